//! `fetch`, `send` and `render`.

use std::{path::Path, process::Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{row, write};
use crate::support::{
    command::{command, command_with},
    http,
    process::{PATIENCE, Registry, triggerbell, until},
    receiver::{Receiver, Reply},
};

fn fetching(folder: &Path, sources: &str) {
    let rest = "receivers:\n  audit:\n    webhook:\n      url: http://127.0.0.1:9/x\n\
                rules: [rules.yaml]\n";
    write(folder, "triggerbell.yaml", &format!("{sources}{rest}"));
    write(folder, "rules.yaml", "rules:\n  - name: a\n    match: {}\n    send_to: [audit]\n");
}

#[tokio::test]
async fn fetch_reads_beyond_a_page_in_each_format() {
    let registry = Registry::start(&["--backlog", "500", "--repos", "a/b", "--seed", "5"]).await;
    let folder = tempfile::tempdir().unwrap();
    fetching(folder.path(), &registry.source("poll_every: 1s"));
    let json = command(folder.path(), &["fetch", "--limit", "250", "--format", "json"]).await;
    assert_eq!(json.code, 0, "{}", json.err);
    let lines: Vec<serde_json::Value> =
        json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 250);
    assert!(lines.iter().all(|line| line["repo"] == "a/b" && line["time"].is_string()));
    let times: Vec<_> = lines.iter().map(|line| line["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "newest first");
    assert!(json.err.contains("250 entries"), "{}", json.err);

    let csv = command(folder.path(), &["fetch", "--repo", "a/b", "--format", "csv"]).await;
    let mut csv_lines = csv.out.lines();
    assert!(csv_lines.next().unwrap().starts_with("repo,tag,returnCode,"));
    assert_eq!((csv.code, csv_lines.count()), (0, 20), "the default limit");

    let all = command(folder.path(), &["fetch", "--source", "shop", "--limit", "9999"]).await;
    assert_eq!((all.code, all.out.lines().count()), (0, 501), "a head and 500 rows");
    assert!(all.out.starts_with("time"), "{}", all.out.lines().next().unwrap());
}

#[tokio::test]
async fn fetch_prints_foreign_text_that_harms_neither_a_spreadsheet_nor_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    fetching(folder.path(), "sources:\n  log:\n    file: log.jsonl\n");
    let tags = ["=cmd|'/c calc'!A1", "+1+1", "-1+1", "@SUM(A1)", "a\u{1b}[2Jb", "v1.2.3"];
    let log: String = (1..).zip(tags).map(|(number, tag)| row(number, tag, -1)).collect();
    write(folder.path(), "log.jsonl", &log);
    let csv = command(folder.path(), &["fetch", "--format", "csv"]).await;
    assert_eq!(csv.code, 0, "{csv:?}");
    let cells: Vec<_> =
        csv.out.lines().skip(1).map(|line| line.split(',').take(3).collect::<Vec<_>>()).collect();
    let shown: Vec<_> = cells.iter().rev().map(|cells| cells[1]).collect();
    let expected = ["'=cmd|'/c calc'!A1", "'+1+1", "'-1+1", "'@SUM(A1)", "a\u{fffd}[2Jb", "v1.2.3"];
    assert_eq!(shown, expected);
    assert!(cells.iter().all(|cells| cells[2] == "-1"), "a number stays one: {}", csv.out);

    let json = command(folder.path(), &["fetch", "--format", "json"]).await;
    let kept = |tag: &&str| json.out.contains(&serde_json::to_string(tag).unwrap());
    assert!(tags.iter().all(kept), "{}", json.out);
}

#[tokio::test]
async fn fetch_says_why_it_could_not() {
    let registry = Registry::start(&["--repos", "a/b"]).await;
    let folder = tempfile::tempdir().unwrap();
    let source = registry.source("poll_every: 1s");
    fetching(folder.path(), &source);
    let empty = command(folder.path(), &["fetch"]).await;
    assert_eq!((empty.code, empty.out.as_str()), (0, ""), "{}", empty.err);
    assert!(empty.err.contains("0 entries"), "{}", empty.err);

    let unknown = command(folder.path(), &["fetch", "--source", "shp"]).await;
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("did you mean shop?"), "{}", unknown.err);

    fetching(folder.path(), &source.replace(&registry.secret_key, "not-the-key-at-all"));
    let refused = command(folder.path(), &["fetch"]).await;
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.err.contains("secret_key"), "a remedy: {}", refused.err);
    assert!(!refused.all().contains("not-the-key-at-all"), "{refused:?}");

    let url = registry.url.trim_end_matches('/').to_owned();
    fetching(folder.path(), &source.replace(&url, "http://127.0.0.1:9"));
    let gone = command(folder.path(), &["fetch"]).await;
    assert_eq!(gone.code, 69, "{gone:?}");
    assert!(gone.err.contains("could not connect"), "{}", gone.err);
}

fn receivers(folder: &Path, url: &str) {
    let text = format!(
        "sources:\n  log:\n    file: log.jsonl\nreceivers:\n  audit:\n    webhook:\n      \
         url: {url}/hook\n  chat:\n    slack:\n      webhook_url: {url}/services/T/B/secret-path\n  \
         robot:\n    wecom:\n      key: 693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa\n      base_url: {url}\n\
         rules: [rules.yaml]\n"
    );
    write(folder, "triggerbell.yaml", &text);
    write(folder, "rules.yaml", "rules:\n  - name: a\n    match: {}\n    send_to: [audit]\n");
}

#[tokio::test]
async fn send_proves_each_type_of_receiver_by_the_true_path() {
    let receiver = Receiver::answering(|_, seen| {
        let wecom = seen.path.starts_with("/cgi-bin");
        let body = if wecom { r#"{"errcode":0,"errmsg":"ok"}"# } else { "ok" };
        Reply { body: body.to_owned(), ..Reply::status(200) }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    receivers(folder.path(), &receiver.url);
    for name in ["audit", "chat", "robot"] {
        let ended = command(folder.path(), &["send", name]).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.starts_with(&format!("delivered to {name} (HTTP 200)")), "{}", ended.out);
        assert!(!ended.all().contains("secret-path"), "{ended:?}");
    }
    let seen = receiver.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].json()["type"], "trigger.test");
    assert!(seen[1].json()["blocks"].is_array());
    assert_eq!(seen[2].json()["msgtype"], "markdown");
    assert!(seen.iter().all(|seen| seen.body.contains("est")), "they say that it is a test");

    write(folder.path(), "entry.json", &row(1, "v1.2.3-file", 7));
    let ended = command(folder.path(), &["send", "audit", "--entry", "entry.json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let piped = row(1, "v1.2.3-pipe", 7);
    let args = ["send", "chat", "--template", "default-zh", "--entry", "-"];
    let ended = command_with(folder.path(), &args, &[], &piped).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let seen = receiver.seen();
    assert_eq!(seen[3].json()["data"]["entry"]["tag"], "v1.2.3-file");
    assert!(seen[4].body.contains("v1.2.3-pipe"));
    assert!(seen[4].body.contains("测试"), "{}", seen[4].body);
}

#[tokio::test]
async fn send_says_why_it_was_refused_and_by_whom() {
    let receiver = Receiver::answering(|_, seen| {
        if seen.path.starts_with("/cgi-bin") {
            let body = r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#.to_owned();
            return Reply { body, ..Reply::status(200) };
        }
        Reply { body: "no_service".to_owned(), ..Reply::status(404) }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    receivers(folder.path(), &receiver.url);
    for name in ["chat", "robot", "audit"] {
        let ended = command(folder.path(), &["send", name]).await;
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{name}: {ended:?}");
        assert!(ended.err.starts_with("error: "), "{}", ended.err);
        assert!(!ended.err.contains("secret-path") && !ended.err.contains("693a91f6"), "{ended:?}");
    }
    receivers(folder.path(), "http://127.0.0.1:9");
    for name in ["chat", "robot", "audit"] {
        let ended = command(folder.path(), &["send", name]).await;
        assert_eq!((ended.code, ended.out.as_str()), (69, ""), "{name}: {ended:?}");
        assert!(!ended.err.contains("secret-path") && !ended.err.contains("693a91f6"), "{ended:?}");
    }
    let unknown = command(folder.path(), &["send", "adit"]).await;
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.err.contains("did you mean audit?"), "{}", unknown.err);
    let template = command(folder.path(), &["send", "audit", "--template", "defalt"]).await;
    assert_eq!(template.code, 78, "{template:?}");
    let entry = command(folder.path(), &["send", "audit", "--entry", "nowhere.json"]).await;
    assert_eq!(entry.code, 78, "{entry:?}");
    assert!(entry.err.contains("nowhere.json"), "{}", entry.err);
    let nothing = command_with(folder.path(), &["send", "audit", "--entry", "-"], &[], "").await;
    assert_eq!(nothing.code, 78, "{nothing:?}");
    assert!(nothing.err.contains("holds no entry"), "{}", nothing.err);
}

#[tokio::test]
async fn render_shows_every_type_without_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let all = command(folder.path(), &["render", "default"]).await;
    assert_eq!((all.code, all.err.as_str()), (0, ""));
    for kind in ["── slack", "── wecom", "── webhook"] {
        assert!(all.out.contains(kind), "{kind}: {}", all.out);
    }
    assert!(all.out.contains(" of "), "how much of the limits it takes");
    for kind in ["slack", "wecom", "webhook"] {
        let args = ["render", "default-zh", "--receiver", kind, "--format", "json"];
        let one = command(folder.path(), &args).await;
        assert_eq!(one.code, 0, "{one:?}");
        assert!(!one.out.is_empty());
    }
    write(folder.path(), "entry.json", &row(1, "v7.7.7", 7));
    let args = ["render", "default", "--receiver", "slack", "--entry", "entry.json"];
    let mine = command(folder.path(), &args).await;
    assert!(mine.out.contains("v7.7.7"), "{mine:?}");
    let args = ["render", "default", "--receiver", "wecom", "--entry", "-"];
    let piped = command_with(folder.path(), &args, &[], &row(1, "v8.8.8", 7)).await;
    assert!(piped.out.contains("v8.8.8"), "{piped:?}");
    let unknown = command(folder.path(), &["render", "defualt"]).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (78, ""));
    assert!(unknown.err.contains("did you mean") && unknown.err.contains("default"), "{unknown:?}");
    let broken =
        command_with(folder.path(), &["render", "default", "--entry", "-"], &[], "{").await;
    assert_eq!(broken.code, 78, "{broken:?}");
    assert!(broken.err.contains("standard input"), "{}", broken.err);
}

#[tokio::test]
async fn render_uses_the_templates_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    receivers(folder.path(), "http://127.0.0.1:9");
    let config = folder.path().join("triggerbell.yaml");
    let text = std::fs::read_to_string(&config).unwrap() + "templates: mine/\n";
    std::fs::write(&config, text).unwrap();
    write(folder.path(), "mine/short.slack.hbs", "{{entry.repo}} came to {{entry.returnCode}}");
    let one = command(folder.path(), &["render", "short"]).await;
    assert_eq!(one.code, 0, "{one:?}");
    assert!(one.out.contains("came to") && !one.out.contains("── wecom"), "{}", one.out);
    let args = ["render", "short", "--receiver", "wecom"];
    assert_eq!(command(folder.path(), &args).await.code, 78, "there is no form for it");
    write(folder.path(), "mine/broken.hbs", "{{#if entry.tag}}");
    let broken = command(folder.path(), &["render", "broken"]).await;
    assert_eq!(broken.code, 78);
    assert!(broken.err.contains("broken.hbs"), "{}", broken.err);
}

/// What the page of `render --serve` shows: the messages' payloads and refusals by channel.
async fn shown(port: u16) -> Vec<(String, String, Value)> {
    let snapshot = http::send(port, "GET /snapshot", &[], "").await.json();
    let events = snapshot["events"].as_array().unwrap().iter();
    let messages = events.filter(|event| event["kind"] == "message");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    messages
        .map(|it| (text(&it["channel"]), it["payload"].to_string(), it["refusal"].clone()))
        .collect()
}

#[tokio::test]
async fn render_serves_the_template_and_shows_it_again_when_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    receivers(folder.path(), "http://127.0.0.1:9");
    let config = folder.path().join("triggerbell.yaml");
    let text = std::fs::read_to_string(&config).unwrap() + "templates: mine/\n";
    std::fs::write(&config, text).unwrap();
    write(folder.path(), "mine/short.slack.hbs", "first {{entry.tag}} <b>");
    write(folder.path(), "entry.json", &row(1, "v7.7.7", 7));
    let mut command = triggerbell();
    command.args(["render", "short", "--entry", "entry.json", "--serve", "127.0.0.1:0"]);
    command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let (_, rest) = line.split_once("http://127.0.0.1:").unwrap_or_else(|| panic!("{line}"));
    let port: u16 = rest.split('/').next().unwrap().parse().unwrap();
    let page = http::send(port, "GET /", &[], "").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
        "{policy}"
    );
    let says = async |wanted: &str| {
        until(&format!("the page shows {wanted}"), async || {
            let shown = shown(port).await;
            matches!(&shown[..], [(channel, payload, refusal)]
                if channel == "slack" && payload.contains(wanted) && refusal.is_null())
        })
        .await;
    };
    says("first v7.7.7").await;
    write(folder.path(), "mine/short.slack.hbs", "second {{entry.tag}}");
    says("second v7.7.7").await;
    write(folder.path(), "mine/short.slack.hbs", "{{#if entry.tag}}");
    until("the page shows that it is broken, and where", async || {
        let shown = shown(port).await;
        shown.iter().any(|(_, _, refusal)| refusal.is_string())
            && shown.iter().any(|(_, payload, _)| payload.contains("short.slack.hbs:1:"))
    })
    .await;
    write(folder.path(), "mine/short.slack.hbs", "third {{entry.tag}}");
    says("third v7.7.7").await;
    write(folder.path(), "entry.json", &row(1, "v8.8.8", 7));
    says("third v8.8.8").await;
    super::signal(&child, "-INT").await;
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("error: 1 error; nothing was rendered\n"), "{said}");
    assert_eq!(ended.status.code(), Some(0));
}

#[tokio::test]
async fn render_says_what_each_form_of_wecom_takes() {
    let folder = tempfile::tempdir().unwrap();
    let all = command(folder.path(), &["render", "default", "--receiver", "wecom"]).await;
    assert_eq!((all.code, all.err.as_str()), (0, ""));
    for form in ["as form text of a WeCom robot: ", "as form markdown of a WeCom app: "] {
        let line = all.out.lines().find(|line| line.contains(form));
        assert!(line.is_some_and(|line| line.contains(" of 2048 bytes")), "{form}: {}", all.out);
    }
}

#[tokio::test]
async fn send_says_to_programs_what_came_of_it() {
    let receiver = Receiver::answering(|_, seen| match seen.path.as_str() {
        "/hook" => Reply { body: "fine".to_owned(), ..Reply::status(200) },
        _ => Reply { body: "no_service".to_owned(), ..Reply::status(404) },
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    receivers(folder.path(), &receiver.url);
    for (name, code, class, status) in
        [("audit", 0, "delivered", 200), ("chat", 1, "permanent", 404)]
    {
        let ended = command(folder.path(), &["send", name, "--format", "json"]).await;
        assert_eq!(ended.code, code, "{ended:?}");
        let said = ended.json();
        assert_eq!((&said["receiver"], &said["delivered"]), (&name.into(), &(code == 0).into()));
        let message = &said["messages"][0];
        assert_eq!(message["id"].as_str().unwrap().len(), 32);
        assert_eq!(message["outcome"]["class"], class, "{said:#}");
        assert_eq!(message["outcome"]["status"], status, "{said:#}");
        assert!(!ended.all().contains("secret-path"), "{ended:?}");
    }
}
