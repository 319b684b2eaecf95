//! Sources and receivers that are added, removed and changed while the service runs: nothing is lost,
//! nothing comes twice, and what is gone is gone from everything that the service says of itself.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use triggerbell::{
    adapters::clock::SystemClock,
    app::{App, Loader},
    config::{self, Request},
};

use crate::{
    service::{EVERYTHING, audit, waiting},
    support::{
        process::{Service, client, ran, until},
        receiver::{Receiver, Reply},
        stand::{Stand, tally},
    },
};

/// Writes a configuration and has it taken up; what the service answers.
async fn reload(service: &Service, config: &str, rules: &str) -> Value {
    Service::configure(&service.folder, config, rules);
    let args = ["reload", "--url", &service.url, "--format", "json"];
    let done = ran(&service.folder, &args, &[]).await;
    assert_eq!(done.code, Some(0), "{}", done.said());
    serde_json::from_str(&done.stdout).unwrap()
}

fn fast(stand: &Stand) -> String {
    stand.source("first_run: all\n    poll_every: 1s\n    requests_per_second: 200")
}

/// A webhook under a name, at a path of its own.
fn hook(name: &str, url: &str, more: &str) -> String {
    format!("  {name}:\n    webhook:\n      url: {url}\n{more}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_change_under_load_and_nothing_is_lost_or_told_twice() {
    let stand = Arc::new(Stand::start(&["shop/api", "shop/web"]).await);
    // Slow enough that sends are in flight at every exchange.
    let receiver = Receiver::answering(|_, _| Reply {
        after: Duration::from_millis(30),
        ..Reply::status(200)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let with = |round: usize| {
        let url = format!("{}/round-{round}", receiver.url);
        let more = format!("    concurrency: {}\n", 2 + round % 7);
        format!("{}receivers:\n{}", fast(&stand), hook("audit", &url, &more))
    };
    let service = Service::start(folder.path(), &with(0), EVERYTHING).await;
    let live = stand.trickle(100);
    for round in 1..=25 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = reload(&service, &with(round), EVERYTHING).await;
        let wanted = json!({"added": [], "removed": [], "changed": ["audit"]});
        assert_eq!(answer["receivers"], wanted, "{answer:#}");
        assert_eq!(answer["sources"]["changed"], json!([]), "{answer:#}");
    }
    live.cancel();
    until("all is delivered", async || {
        tally(&stand.rows(), &receiver.seen()).lost == 0
            && waiting(&service.json("/api/v1/status").await, "audit") == 0
    })
    .await;
    let counts = tally(&stand.rows(), &receiver.seen());
    assert!(counts.rows > 250, "{counts:?}");
    assert_eq!((counts.repeats, counts.invented), (0, 0), "{counts:?}");
    assert_eq!(counts.requests, counts.rows, "each was sent once");
    let last = receiver.seen().pop().unwrap();
    assert_eq!(last.path, "/round-25", "by the one that is there now");
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_receiver_comes_and_goes_and_what_waited_for_it_are_dead_letters() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver =
        Receiver::answering(|_, seen| Reply::status(if seen.path == "/other" { 503 } else { 200 }))
            .await;
    let folder = tempfile::tempdir().unwrap();
    let before = format!("{}{}", fast(&stand), audit(&receiver));
    let both = before.clone() + &hook("other", &format!("{}/other", receiver.url), "");
    let service = Service::start(folder.path(), &before, EVERYTHING).await;
    stand.push("shop/api", 5);
    until("the first five are told", async || receiver.count() == 5).await;

    let rules = EVERYTHING.replace("[audit]", "[audit, other]");
    let answer = reload(&service, &both, &rules).await;
    assert_eq!(answer["receivers"], json!({"added": ["other"], "removed": [], "changed": []}));
    stand.push("shop/api", 5);
    until("both are told", async || {
        let status = service.json("/api/v1/status").await;
        receiver.count() >= 15 && waiting(&status, "other") == 5
    })
    .await;

    let answer = reload(&service, &before, EVERYTHING).await;
    assert_eq!(answer["receivers"], json!({"added": [], "removed": ["other"], "changed": []}));
    until("what waited are dead letters", async || {
        let path = "/api/v1/notifications?receiver=other&state=dead";
        service.json(path).await["items"].as_array().unwrap().len() == 5
    })
    .await;
    until("it is gone from the status", async || {
        service.json("/api/v1/status").await["receivers"]["other"].is_null()
    })
    .await;
    let alarms = service.json("/api/v1/status").await["alarms"].clone();
    assert_eq!((&alarms[0]["kind"], &alarms[0]["about"]), (&"dead_letter".into(), &"other".into()));
    // It comes back, takes messages now, and its dead letters stay what they are until asked for.
    let again = before.clone() + &hook("other", &format!("{}/again", receiver.url), "");
    reload(&service, &again, &rules).await;
    stand.push("shop/api", 5);
    let told = |path: &str| receiver.seen().iter().filter(|seen| seen.path == path).count();
    until("both are told again", async || told("/audit") == 15 && told("/again") == 5).await;
    let args =
        ["deliveries", "retry", "--receiver", "other", "--since", "1h", "--url", &service.url];
    let retried = ran(folder.path(), &args, &[]).await;
    assert_eq!(retried.stdout, "5 dead letters of other tried again\n", "{}", retried.said());
    until("the dead letters too", async || told("/again") == 10).await;
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_mended_receiver_is_tried_at_once() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver =
        Receiver::answering(|_, seen| Reply::status(if seen.path == "/right" { 200 } else { 404 }))
            .await;
    let folder = tempfile::tempdir().unwrap();
    let with = |path: &str| {
        let url = format!("{}/{path}", receiver.url);
        format!("{}receivers:\n{}", fast(&stand), hook("audit", &url, ""))
    };
    let service = Service::start(folder.path(), &with("wrong"), EVERYTHING).await;
    stand.push("shop/api", 10);
    until("it is closed", async || {
        service.json("/api/v1/status").await["receivers"]["audit"]["closed"].is_string()
    })
    .await;
    reload(&service, &with("right"), EVERYTHING).await;
    until("all is delivered", async || tally(&stand.rows(), &receiver.seen()).lost == 0).await;
    until("the alarm is over", async || {
        service.json("/api/v1/status").await["alarms"] == json!([])
    })
    .await;
    assert!(service.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_change_under_load_and_every_row_is_told_once() {
    let stand = Arc::new(Stand::start(&["shop/api", "shop/web"]).await);
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let with = |round: usize| {
        let rate = 100 + round;
        let source = format!("first_run: all\n    poll_every: 1s\n    requests_per_second: {rate}");
        format!("{}{}", stand.source(&source), audit(&receiver))
    };
    let service = Service::start(folder.path(), &with(0), EVERYTHING).await;
    // More than is kept in memory of one walk: staged and sealed while sources are exchanged.
    stand.push_ago("shop/api", 3000, 3000);
    let live = stand.trickle(100);
    for round in 1..=20 {
        tokio::time::sleep(Duration::from_millis(120)).await;
        let answer = reload(&service, &with(round), EVERYTHING).await;
        assert_eq!(answer["sources"]["changed"], json!(["shop"]), "{answer:#}");
        assert_eq!(answer["receivers"]["changed"], json!([]), "{answer:#}");
    }
    live.cancel();
    until("all is told", async || tally(&stand.rows(), &receiver.seen()).lost == 0).await;
    let counts = tally(&stand.rows(), &receiver.seen());
    assert!(counts.rows > 3150, "{counts:?}");
    assert_eq!((counts.repeats, counts.invented, counts.requests), (0, 0, counts.rows));
    // The status counts since the start, whoever of that name has read.
    until("all is counted", async || {
        service.json("/api/v1/status").await["sources"]["shop"]["entries"] == counts.rows
    })
    .await;

    // Another source comes, the first goes.
    let second = Stand::start(&["pay/gateway"]).await;
    second.push("pay/gateway", 3);
    let source = second.source_named("pay", "first_run: all\n    poll_every: 1s");
    let pay = format!("sources:\n{source}{}", audit(&receiver));
    let answer = reload(&service, &pay, EVERYTHING).await;
    let wanted = json!({"added": ["pay"], "removed": ["shop"], "changed": []});
    assert_eq!(answer["sources"], wanted);
    until("the new one is read", async || receiver.count() == counts.rows + 3).await;
    stand.push("shop/api", 1);
    let status = service.json("/api/v1/status").await;
    let sources: Vec<_> = status["sources"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(sources, ["pay"]);
    until("it alone is asked for", async || service.json("/readyz").await["ready"] == true).await;

    // The zone that sources take where they say none is a part of them.
    let answer = reload(&service, &format!("time_zone: UTC\n{pay}"), EVERYTHING).await;
    assert_eq!(answer["sources"]["changed"], json!(["pay"]));
    assert_eq!(receiver.count(), counts.rows + 3, "nobody was told of the first one's row");
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn what_registries_push_to_and_the_token_change_at_once() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let log = "  log:\n    file: log.jsonl\n    poll_every: 1s\n";
    std::fs::write(folder.path().join("log.jsonl"), "").unwrap();
    let with = |sources: &str, token: &str| {
        let listen = "  listen: 127.0.0.1:0\n";
        let config = format!(
            "sources:\n{sources}{}rules: [rules.yaml]\napi:\n{listen}{token}",
            audit(&receiver)
        );
        std::fs::write(folder.path().join("triggerbell.yaml"), config).unwrap();
    };
    with(log, "");
    std::fs::write(folder.path().join("rules.yaml"), EVERYTHING).unwrap();
    let service = Service::again(folder.path(), &[]).await;
    let command = async |args: &[&str], token: &str| {
        let args = [args, &["--url", &service.url]].concat();
        ran(folder.path(), &args, &[("TRIGGERBELL_TOKEN", token)]).await.code
    };
    let ingest = async |name: &str| {
        let request = client().post(format!("{}/ingest/{name}", service.url));
        let request = request.header("x-bell", "a-secret-of-the-push").body("{}");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ingest("pushed").await, 404);
    let pushed = "  pushed:\n    tcr_enterprise:\n      push:\n        header: X-Bell\n        \
                  secret: a-secret-of-the-push\n";
    with(&format!("{log}{pushed}"), "  token: the-first-token\n");
    assert_eq!(command(&["reload"], "").await, Some(0));
    assert_eq!(ingest("pushed").await, 400, "it is there, and does not understand that");
    assert_eq!(command(&["deliveries", "list"], "").await, Some(78), "the token is asked for");
    with(log, "  token: the-second-token\n");
    assert_eq!(command(&["reload"], "the-first-token").await, Some(0));
    assert_eq!(ingest("pushed").await, 404);
    assert_eq!(command(&["deliveries", "list"], "the-first-token").await, Some(78));
    assert_eq!(command(&["deliveries", "list"], "the-second-token").await, Some(0));
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn one_mistake_anywhere_and_nothing_at_all_is_exchanged() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}{}", fast(&stand), audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    let changed = config.replace("/audit", "/changed").replace("poll_every: 1s", "poll_every: 2s");
    let broken = [
        (changed.clone(), EVERYTHING.replace("[audit]", "[audti]")),
        (changed.clone() + &hook("more", "ftp://x", ""), EVERYTHING.to_owned()),
        (
            changed.clone() + &hook("more", "https://x.example", "    ca_file: rules.yaml\n"),
            EVERYTHING.to_owned(),
        ),
        (changed[..changed.len() - 10].to_owned(), EVERYTHING.to_owned()),
    ];
    for (config, rules) in broken {
        Service::configure(folder.path(), &config, &rules);
        let refused = ran(folder.path(), &["reload", "--url", &service.url], &[]).await;
        assert_eq!(refused.code, Some(1), "{}", refused.said());
    }
    stand.push("shop/api", 3);
    until("all is told", async || receiver.count() == 3).await;
    assert!(receiver.seen().iter().all(|seen| seen.path == "/audit"));
    let status = service.json("/api/v1/status").await;
    assert_eq!(status["reload"]["result"], "refused");
    assert_eq!(status["receivers"].as_object().unwrap().len(), 1);
    assert!(service.terminate().await.success());
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn write(folder: &Path, receiver: &Receiver, round: usize) {
    let (url, every) = (&receiver.url, 1 + round % 2);
    let more = hook(&format!("r{}", round % 3), &format!("{url}/more"), "");
    let config = format!(
        "sources:\n  log:\n    file: log.jsonl\n    poll_every: {every}s\nreceivers:\n{}{more}\
         rules: [rules.yaml]\napi:\n  listen: 127.0.0.1:0\n",
        hook("audit", &format!("{url}/audit"), &format!("    concurrency: {}\n", 1 + round % 5)),
    );
    std::fs::write(folder.join("triggerbell.yaml"), config).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_in_a_row_take_no_more_memory_and_leave_nothing_running() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("log.jsonl"), "").unwrap();
    std::fs::write(folder.path().join("rules.yaml"), EVERYTHING).unwrap();
    write(folder.path(), &receiver, 0);
    let path = folder.path().join("triggerbell.yaml");
    let loader: Loader = Arc::new(move || {
        config::load(&Request { config: Some(&path), data_dir: None, env: &|_| None })
    });
    let app = App::start(loader().unwrap().config, loader, Arc::new(SystemClock)).await.unwrap();
    let (control, cancel) = (app.control(), CancellationToken::new());
    let running = tokio::spawn(app.run(cancel.clone()));
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (mut before, mut most) = (0, 0);
    for round in 1..=1000 {
        write(folder.path(), &receiver, round);
        let done = control.reload("api").await.unwrap();
        assert_eq!(&*done.receivers.changed, ["audit".into()]);
        assert_eq!((done.receivers.added.len(), done.receivers.removed.len()), (1, 1));
        assert_eq!(&*done.sources.changed, ["log".into()]);
        most = most.max(tasks());
        if round == 200 {
            before = resident();
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more after eight hundred more");
    assert!(most < 100, "{most} tasks at once");
    until("those that were exchanged have ended", async || tasks() < 25).await;
    let row =
        json!({"time": jiff::Timestamp::now(), "repo": "shop/api", "tag": "v1", "returnCode": 1});
    std::fs::write(folder.path().join("log.jsonl"), format!("{row}\n")).unwrap();
    until("it still works", async || receiver.count() == 1).await;
    drop(control);
    cancel.cancel();
    running.await.unwrap().unwrap();
}
