//! `explain`: which clause decided, where the looking ended, what held a message back.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use triggerbell::domain::{
    entry::{Entry, EntryId},
    verdict::Truth,
};

use crate::support::{
    process::{Service, ran, until},
    receiver::{Receiver, Reply},
    running::Running,
};

const RULES: &str = r"rules:
  - name: prod-deploy-failed
    match: {repo: 'shop/*', returnCode: {not: 0}}
    send_to: [ops]
    notify: change
    stop: true
  - name: everything
    match: {}
    send_to: [ops]
    mode: shadow
";

pub(super) fn write(folder: &Path) {
    let config = "sources:\n  shop:\n    file: {path: log.json}\nreceivers:\n  ops:\n    webhook:\n      \
                  url: http://127.0.0.1:9/planted-hook\nrules: [rules.yaml]\n";
    fs::write(folder.join("triggerbell.yaml"), config).unwrap();
    fs::write(folder.join("rules.yaml"), RULES).unwrap();
}

/// A row as the file of entries has it.
pub(super) fn row(time: &str, tag: &str, code: i64) -> String {
    format!(
        r#"{{"repo":"shop/api","tag":"{tag}","time":"{time}","service":"api","returnCode":{code}}}"#
    )
}

#[tokio::test]
async fn an_entry_that_missed_by_one_clause_says_by_which_as_the_page_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let only = RULES.split("  - name: everything").next().unwrap();
    fs::write(folder.path().join("rules.yaml"), only).unwrap();
    fs::write(folder.path().join("one.json"), row("2026-03-02 09:00:00", "v1.2.3", 0)).unwrap();
    let explained = ran(folder.path(), &["explain", "--entry", "one.json"], &[]).await;
    assert_eq!(explained.code, Some(0), "{}", explained.said());
    let page = fs::read_to_string("docs/commands.md").unwrap();
    let block = page.split("## `explain`").nth(1).unwrap().split("```text\n").nth(1).unwrap();
    assert_eq!(explained.stdout.trim_end(), block.split("```").next().unwrap().trim_end());
    assert!(!explained.said().contains("planted"), "{}", explained.said());
}

#[tokio::test]
async fn what_follows_is_what_the_service_would_do_hold_and_stop_at() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let rows = [
        row("2026-03-02 09:00:00", "v1.2.3", 1),
        row("2026-03-02 09:02:00", "v1.2.3", 1),
        row("2026-03-02 09:05:00", "v1.2.4", 0),
    ];
    fs::write(folder.path().join("day.json"), rows.join("\n")).unwrap();
    let args = ["explain", "--entry", "day.json", "--format", "json"];
    let explained = ran(folder.path(), &args, &[]).await;
    assert_eq!(explained.code, Some(0), "{}", explained.said());
    let lines: Vec<Value> =
        explained.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let messages: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let told = line["messages"].as_array().unwrap().iter();
            told.map(|it| format!("{} {} {}", it["rule"], it["reason"], it["held_by"])).collect()
        })
        .collect();
    let (rule, other) = ("\"prod-deploy-failed\"", "\"everything\"");
    assert_eq!(messages[0], [format!("{rule} \"failing\" null")]);
    assert_eq!(messages[1], [format!("{rule} \"failing\" \"state\"")]);
    assert_eq!(
        messages[2],
        [format!("{rule} \"recovered\" null"), format!("{other} \"matched\" \"shadow\""),]
    );
    assert_eq!(lines[0]["rules"][1]["stopped_by"], "prod-deploy-failed");
    assert_eq!(lines[2]["rules"][0]["decided_by"]["path"], "match.returnCode.not");
    assert_eq!(lines[0]["entry"]["repo"], "shop/api");
}

#[tokio::test]
async fn an_answer_of_the_api_is_newest_first_and_is_decided_oldest_first_within_a_second_too() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let rows = [
        row("2026-03-02 09:05:00", "v3", 0),
        row("2026-03-02 09:05:00", "v2", 1),
        row("2026-03-02 09:00:00", "v1", 1),
    ];
    fs::write(folder.path().join("day.json"), rows.join("\n")).unwrap();
    let args = ["explain", "--entry", "day.json", "--format", "json"];
    let explained = ran(folder.path(), &args, &[]).await;
    let told = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let first = &line["messages"][0];
        let word = |value: &Value| value.as_str().unwrap_or("sent").to_owned();
        [&line["entry"]["tag"], &first["reason"], &first["held_by"]].map(word)
    };
    let told: Vec<_> = explained.stdout.lines().map(told).collect();
    let wanted =
        [["v1", "failing", "sent"], ["v2", "failing", "state"], ["v3", "recovered", "sent"]];
    assert_eq!(told, wanted, "{}", explained.said());
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_judged_by_the_instant_at_which_it_was_taken_in_whenever_one_asks() {
    let mut shop = Running::at("2026-03-02T01:00:00Z", &["shop/api"]).await;
    let receivers = shop.robot("ops", "");
    let config = format!("{}receivers:\n{receivers}", shop.source("poll_every: 10s"));
    let rules = "rules:\n  - name: news\n    match: {time: {since: 5m}}\n    send_to: [ops]\n";
    shop.start(&config, rules).await;
    shop.push("shop/api", "api", 1);
    shop.pass(Duration::from_secs(30)).await;
    shop.step(60);
    shop.pass(Duration::from_secs(3600)).await;
    let entries = shop.json("/api/v1/entries").await;
    let id = entries["items"][0]["id"].as_str().unwrap();
    let explained = shop.json(&format!("/api/v1/entries/{id}/explain")).await;
    assert_eq!(explained["notifications"][0]["state"], "delivered", "{explained:#}");
    assert_eq!(explained["rules"][0]["truth"], "true", "{explained:#}");
    shop.stop().await;
    // The machine's clock is years on from the test's.
    let told = ran(shop.folder.path(), &["explain", "--id", id], &[]).await;
    assert!(told.stdout.contains("news: matched\n"), "{}", told.said());
    let told = ran(shop.folder.path(), &["explain", "--rule", "news"], &[]).await;
    assert!(told.stdout.starts_with("news: 1 of the last 1 entry matched"), "{}", told.said());
}

/// Receivers that refuse, that ask to wait, and that may be told but once an hour.
#[tokio::test]
async fn what_a_message_waits_for_and_who_took_it_over_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::answering(|_, seen| match seen.path.as_str() {
        "/closed" => Reply::status(401),
        "/tired" => Reply::status(429).header("retry-after", "600"),
        _ => Reply::status(200),
    })
    .await;
    let rows: String = ["closed", "tired", "slow", "slow"]
        .iter()
        .zip(1..)
        .map(|(service, second)| {
            row(&format!("2026-03-02 09:00:0{second}"), "v1", 1).replace("api", service) + "\n"
        })
        .collect();
    fs::write(folder.path().join("log.json"), rows).unwrap();
    let mut config = "sources:\n  shop:\n    file: {path: log.json}\nreceivers:\n".to_owned();
    let mut rules = "rules:\n".to_owned();
    for (name, beside) in [
        ("ops", ""),
        ("closed", "    fallback: ops\n"),
        ("tired", ""),
        ("slow", "    pace: 1/1h\n"),
    ] {
        let url = format!("{}/{name}", receiver.url);
        config += &format!("  {name}:\n    webhook:\n      url: {url}\n{beside}");
        rules += &format!("  - {{name: to-{name}, match: {{service: {name}}}, send_to: {name}}}\n");
    }
    let service = Service::start(folder.path(), &config, &rules).await;
    for (name, number, told) in [
        ("closed", 0, "matched is delivered to ops, the fallback of closed, tried at 20"),
        ("closed", 0, "; the attempt before, HTTP 401: "),
        ("tired", 0, "matched for tired is pending, since tired asked to wait until 20"),
        ("tired", 0, "+08:00, next tried at 20"),
        ("slow", 0, "matched is delivered to slow, "),
        ("slow", 1, "is pending, since its turn comes as the pace of slow allows, 1/1h (see"),
    ] {
        until(told, async || {
            let entries = service.json("/api/v1/entries").await;
            let items = entries["items"].as_array().unwrap().iter().rev();
            let of_it = items.filter(|it| it["entry"]["service"] == name).nth(number);
            let Some(id) = of_it.and_then(|it| it["id"].as_str()) else { return false };
            let args = ["explain", "--id", id, "--url", &service.url];
            ran(folder.path(), &args, &[]).await.stdout.contains(told)
        })
        .await;
    }
}

#[tokio::test]
async fn a_source_that_there_is_none_of_and_a_file_of_nothing_are_said() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    fs::write(folder.path().join("one.json"), row("2026-03-02 09:00:00", "v1", 0)).unwrap();
    let args = ["explain", "--entry", "one.json", "--source", "shopp"];
    let explained = ran(folder.path(), &args, &[]).await;
    assert_eq!(explained.code, Some(2), "{}", explained.said());
    assert!(explained.stderr.contains("did you mean shop?"), "{}", explained.stderr);
    let missing = ran(folder.path(), &["explain", "--entry", "none.json"], &[]).await;
    assert_eq!(missing.code, Some(78), "{}", missing.said());
    assert!(missing.stderr.contains("none.json"), "{}", missing.stderr);
}

/// A service that took in three rows, of which its rule matched one.
pub(super) async fn service(folder: &Path, receiver: &Receiver) -> Service {
    let rows = [
        row("2026-03-02 09:00:00", "v1.2.3", 1),
        row("2026-03-02 09:01:00", "latest", 0).replace("api", "web"),
        row("2026-03-02 09:02:00", "v1.2.4", 0),
    ];
    fs::write(folder.join("log.json"), rows.join("\n") + "\n").unwrap();
    let config = format!(
        "sources:\n  shop:\n    file: {{path: log.json}}\nreceivers:\n  ops:\n    webhook:\n      url: \
         {}/hook\n",
        receiver.url
    );
    let rules = r"rules:
  - name: prod-failed
    match: {tag: 'v\d+\.\d+\.\d+', returnCode: {not: 0}}
    send_to: [ops]
  - name: tried/out
    match: {service: [api, web]}
    send_to: [ops]
    mode: shadow
";
    let service = Service::start(folder, &config, rules).await;
    until("the message is delivered", async || {
        let list = service.json("/api/v1/notifications?state=delivered").await;
        list["items"].as_array().unwrap().len() == 1
    })
    .await;
    service
}

/// A text without the instants at which deliveries were tried.
fn untimed(text: &str) -> String {
    let mut parts = text.split("tried at ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "tried" + &part["2026-03-02T09:00:09+08:00".len()..])
}

#[tokio::test]
async fn what_waits_in_a_group_is_told_of_its_rule_and_of_no_other() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.jsonl"), row("2026-03-02 09:00:00", "v1.2.3", 1)).unwrap();
    let config = "sources:\n  log: {file: {path: log.jsonl}, first_run: all}\n\
                  receivers:\n  ops: {webhook: {url: 'http://127.0.0.1:9/'}}\n";
    let rules = "defaults: {send_to: [ops], group: {wait: 1h}}\nrules:\n\
                 \x20 - {name: news, match: {repo: shop/*}}\n\
                 \x20 - {name: other, match: {repo: shop/*}}\n";
    let service = Service::start(folder.path(), config, rules).await;
    until("it waits in the group of the rule that is asked for", async || {
        let args = ["explain", "--rule", "news", "--url", &service.url];
        let told = ran(folder.path(), &args, &[]).await.stdout;
        told.contains("\n  waits for ops in a group until 20") && told.matches("waits").count() == 1
    })
    .await;
}

#[tokio::test]
async fn a_rule_is_explained_by_what_it_matched_and_what_it_missed_by_the_least() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let running = service(folder.path(), &receiver).await;
    let args = ["explain", "--rule", "prod-failed", "--url", &running.url];
    let explained = ran(folder.path(), &args, &[]).await;
    assert_eq!(explained.code, Some(0), "{}", explained.said());
    let page = fs::read_to_string("docs/commands.md").unwrap();
    let block = page.split("## `explain`").nth(1).unwrap().split("```text\n").nth(3).unwrap();
    let page = block.split("```").next().unwrap();
    assert_eq!(untimed(&explained.stdout), untimed(page));

    let other = ["explain", "--rule", "tried/out", "--url", &running.url, "--format", "json"];
    let json: Value = serde_json::from_str(&ran(folder.path(), &other, &[]).await.stdout).unwrap();
    assert_eq!((&json["matches"], &json["mode"]), (&3.into(), &"shadow".into()));
    assert_eq!(json["matched"][0]["notifications"][0]["held_by"], "shadow");
    let few = [&other[..], &["--limit", "1"]].concat();
    let json: Value = serde_json::from_str(&ran(folder.path(), &few, &[]).await.stdout).unwrap();
    assert_eq!(json["matched"].as_array().unwrap().len(), 1);
    assert_eq!(json["matched"][0]["entry"]["tag"], "v1.2.4", "the newest");
    let none = ran(folder.path(), &["explain", "--rule", "nope", "--url", &running.url], &[]).await;
    assert_eq!(none.code, Some(1), "{}", none.said());

    let report = ran(folder.path(), &["shadow", "report", "--url", &running.url], &[]).await;
    assert_eq!(report.code, Some(0), "{}", report.said());
    let rows: Vec<_> = report
        .stdout
        .lines()
        .take(2)
        .map(str::split_whitespace)
        .map(|it| it.collect::<Vec<_>>())
        .collect();
    assert_eq!(rows[0], ["RULE", "MESSAGES", "REASONS", "RECEIVERS", "LAST"]);
    assert_eq!(rows[1][..6], ["tried/out", "3", "matched", "3", "ops", "3"]);
    assert!(
        report.stdout.contains("matched to ops: entry of 2026-03-02T09:02:00+08:00"),
        "{}",
        report.stdout
    );
    let of = async |rule: &str| {
        let args = ["shadow", "report", "--rule", rule, "--url", &running.url];
        ran(folder.path(), &args, &[]).await
    };
    let live = of("prod-failed").await;
    assert_eq!(live.stdout, "prod-failed is not in shadow, and nothing was held by that\n");
    let unknown = of("tried/outt").await;
    assert_eq!(unknown.code, Some(1), "{}", unknown.said());
    assert!(unknown.stderr.contains("did you mean tried/out?"), "{}", unknown.stderr);
    let args = ["shadow", "report", "--format", "json", "--url", &running.url];
    let json: Value = serde_json::from_str(&ran(folder.path(), &args, &[]).await.stdout).unwrap();
    let [rule] = &json["items"].as_array().unwrap()[..] else { panic!("one rule: {json:#}") };
    assert_eq!((&rule["messages"], &rule["receivers"]["ops"]), (&3.into(), &3.into()));
    assert_eq!(rule["samples"][0]["entry"]["tag"], "v1.2.4");
    assert_eq!(json["complete"], true);
    let held = running.json("/api/v1/notifications?held_by=shadow").await;
    let held = held["items"].as_array().unwrap();
    assert!(held.len() == 3 && held.iter().all(|it| it["rule"] == "tried/out"), "{held:#?}");
    let silenced = running.json("/api/v1/notifications?held_by=silenced").await;
    assert_eq!(silenced["items"].as_array().unwrap().len(), 0);
    let wrong = running.json("/api/v1/notifications?held_by=shadows").await;
    assert_eq!(wrong["status"], 400);
    assert!(wrong["detail"].as_str().unwrap().contains("known: shadow, state"), "{wrong}");

    let entries = running.json("/api/v1/entries").await;
    let [entry, message] =
        [&entries["items"][2]["id"], &held[0]["id"]].map(|id| id.as_str().unwrap());
    for (id, tag) in [(entry, "v1.2.3"), (message, "v1.2.4")] {
        let args = ["render", "default", "--receiver", "slack", "--id", id, "--url", &running.url];
        let rendered = ran(folder.path(), &args, &[]).await;
        assert_eq!(rendered.code, Some(0), "{}", rendered.said());
        assert!(rendered.stdout.contains(tag), "{}", rendered.stdout);
    }

    // With nobody to ask, the database says what it can.
    let config = fs::read_to_string(folder.path().join("triggerbell.yaml")).unwrap();
    let port = super::free_port().to_string();
    fs::write(
        folder.path().join("triggerbell.yaml"),
        config.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")),
    )
    .unwrap();
    let explained = ran(folder.path(), &["explain", "--rule", "prod-failed"], &[]).await;
    assert_eq!(explained.code, Some(0), "{}", explained.said());
    assert!(explained.stderr.contains("no service answers"), "{}", explained.stderr);
    assert!(
        explained.stdout.starts_with("prod-failed: 1 of the last 3 entries matched"),
        "{}",
        explained.stdout
    );
    assert!(explained.stdout.contains("match.tag wanted"), "{}", explained.stdout);
    assert_eq!(untimed(&explained.stdout), untimed(page), "the same as the service says");
    let [entry, message] = [entry, message].map(str::to_owned);
    for (id, tag) in [(&entry, "v1.2.3"), (&message, "v1.2.4")] {
        let explained = ran(folder.path(), &["explain", "--id", id], &[]).await;
        assert_eq!(explained.code, Some(0), "{}", explained.said());
        assert!(explained.stderr.contains("no service answers"), "{}", explained.stderr);
        assert!(explained.stdout.contains(&format!("tag {tag} ")), "{}", explained.stdout);
        let held = "tried/out: matched for ops is held (shadow): its rule has `mode: shadow` (see";
        assert!(explained.stdout.contains(held), "{}", explained.stdout);
        // A service that was named is asked, and nothing else.
        let url = format!("http://127.0.0.1:{port}");
        let named = ran(folder.path(), &["explain", "--id", id, "--url", &url], &[]).await;
        assert_eq!(named.code, Some(69), "{}", named.said());
    }
    let unknown = ran(folder.path(), &["explain", "--id", &"0".repeat(32)], &[]).await;
    assert_eq!(unknown.code, Some(1), "{}", unknown.said());
    let none = ran(folder.path(), &["explain", "--rule", "prod-fialed"], &[]).await;
    assert!(none.stderr.contains("did you mean prod-failed?"), "{}", none.stderr);
}

/// What an entry of service `api`, tag `v1` and code 0 lacks for clauses to match.
fn lacking(clauses: &str) -> Vec<String> {
    let clause = triggerbell::config::matchers(clauses).unwrap();
    let text = row("2026-03-02 09:00:00", "v1", 0);
    let zone = jiff::tz::TimeZone::UTC;
    let row =
        triggerbell::adapters::source::read_entries(text.as_bytes(), &zone, None).rows.remove(0);
    let identity = row.identity();
    let now = row.time;
    let entry = Entry {
        id: EntryId::of("shop", "shop/api", identity, 0),
        identity,
        ordinal: 0,
        revises: false,
        source: "shop".into(),
        asked_repo: "shop/api".into(),
        row,
    };
    let missing = clause.missing(&entry, now);
    assert_eq!(missing.is_empty(), clause.evaluate(&entry, now) == Truth::True, "{clauses}");
    missing.into_iter().map(|it| format!("{} {}", it.path, it.wanted)).collect()
}

#[test]
fn what_a_clause_lacks_is_the_fewest_tests_that_would_make_it_true() {
    let none: [&str; 0] = [];
    assert_eq!(lacking("{service: api, tag: v1}"), none);
    assert_eq!(lacking("{service: web, tag: v1}"), ["matchers.service web"]);
    assert_eq!(lacking("{service: web, returnCode: 1}").len(), 2);
    assert_eq!(lacking("{any: [{service: web, returnCode: 1}, {tag: v2}]}").len(), 1);
    assert_eq!(lacking("{any: [{service: web}, {service: api}]}"), none);
    assert_eq!(lacking("{not: {service: api, tag: v1}}").len(), 1, "one of the two is enough");
    assert_eq!(lacking("{not: {any: [{service: api}, {tag: v1}]}}").len(), 2);
    assert_eq!(lacking("{clusterId: x}").len(), 1, "a field that it lacks");
}

/// A file, explained: how that ended, and the entries that were read.
async fn entries_of(folder: &Path, text: &str) -> (Option<i32>, String, Vec<Value>) {
    fs::write(folder.join("entry.json"), text).unwrap();
    let args = ["explain", "--entry", "entry.json", "--format", "json"];
    let ended = ran(folder, &args, &[]).await;
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap()["entry"].clone();
    (ended.code, ended.said(), ended.stdout.lines().map(read).collect())
}

#[tokio::test]
async fn the_answers_of_either_api_are_read_as_the_rows_that_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let row =
        r#""repoName":"shop/api","tagName":"v1","invokeTime":"2018-07-23 23:13:27","grown":1"#;
    let two = format!(
        r#"{{"code":0,"message":"","codeDesc":"Success","data":{{"totalCount":1,"logInfo":[{{{row}}}]}}}}"#
    );
    let three = format!(
        r#"{{"Response":{{"Data":{{"TotalCount":1,"LogInfo":[{{{row}}}]}},"RequestId":"r"}}}}"#
    );
    let pretty = format!("{:#}", serde_json::from_str::<Value>(&two).unwrap());
    for text in [&two, &three, &pretty, &format!("{{{row}}}")] {
        let (code, said, entries) = entries_of(folder.path(), text).await;
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(entries.len(), 1, "{text}");
        assert_eq!((&entries[0]["repo"], &entries[0]["tag"]), (&"shop/api".into(), &"v1".into()));
    }
}

#[tokio::test]
async fn an_entry_with_a_key_that_none_has_is_refused_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    for (text, said) in [
        (r#"{"retrunCode":1,"repo":"x/y"}"#, "did you mean returnCode?"),
        (r#"{"bogus":1}"#, "\"bogus\" is no key of an entry; known: repo"),
        ("{}", "no key of it is one of an entry"),
    ] {
        for command in [&["explain"][..], &["render", "default"], &["send", "ops"]] {
            fs::write(folder.path().join("entry.json"), text).unwrap();
            let args = [command, &["--entry", "entry.json"]].concat();
            let ended = ran(folder.path(), &args, &[]).await;
            assert_eq!(ended.code, Some(78), "{args:?} {text}: {}", ended.said());
            assert!(ended.said().contains(said), "{args:?} {text}: {}", ended.said());
        }
    }
    let (code, said, entries) = entries_of(folder.path(), r#"{"repo":"x/y","source":"s"}"#).await;
    assert_eq!((code, entries.len()), (Some(0), 1), "{said}");
}
