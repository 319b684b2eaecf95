//! Readiness: it is progress, not life.

use tokio::process::Command;

use super::{Bell, line, write};
use crate::support::{
    http,
    process::{Registry, Service, until},
    receiver::Receiver,
};

#[tokio::test]
async fn a_service_that_reads_and_writes_is_ready_and_stays_so() {
    let bell = Bell::of_failures(2).await;
    until("it is ready", async || bell.get("/readyz").await.status == 200).await;
    let ready = bell.get("/readyz").await.json();
    assert_eq!(ready, serde_json::json!({"ready": true, "problems": []}));
    // Three intervals of a log that says nothing new are no reason to worry.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(bell.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_source_that_is_not_read_is_named_and_why_while_the_process_lives() {
    let registry = Registry::start(&["--seed", "3"]).await;
    let folder = tempfile::tempdir().unwrap();
    let receivers = "receivers:\n  audit:\n    webhook:\n      url: http://127.0.0.1:9/x\n";
    let unread = format!(
        "  unread:\n    ccr:\n      endpoint: {}/v2/index.php\n      secret_id: {}\n      \
         secret_key: wrong\n    repos: [a/b]\n    poll_every: 1s\n",
        registry.url.trim_end_matches('/'),
        registry.secret_id,
    );
    let config = format!("{}{unread}{receivers}", registry.source("poll_every: 1s"));
    let rules = "rules:\n  - name: all\n    match: {}\n    send_to: [audit]\n";
    let service = Service::start(folder.path(), &config, rules).await;
    let port = super::port_of(&service);
    let problems = async || {
        let answer = http::send(port, "GET /readyz", &[], "").await;
        assert_eq!(answer.status, 503);
        let json = answer.json();
        assert_eq!(json["ready"], false);
        json["problems"].as_array().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    until("only the unread source is named", async || {
        let problems = problems().await;
        problems.len() == 1 && problems[0].contains("source unread") && problems[0].contains("key")
    })
    .await;
    assert!(!problems().await[0].contains("wrong"), "no secret");
    assert_eq!(http::send(port, "GET /healthz", &[], "").await.status, 200);

    // And one that was read and is not any more.
    drop(registry);
    until("the silent source is named too", async || {
        let problems = problems().await;
        problems.iter().any(|problem| {
            problem.contains("source shop was last read") && problem.contains("connect")
        })
    })
    .await;
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_said_and_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let config = format!(
        "sources:\n  shop:\n    file: log.jsonl\n    poll_every: 1s\nreceivers:\n  audit:\n    \
         webhook:\n      url: {}\nrules: [rules.yaml]\napi:\n  listen: 127.0.0.1:0\n",
        receiver.url
    );
    write(folder.path(), "triggerbell.yaml", &config);
    write(folder.path(), "rules.yaml", super::RULES);
    write(folder.path(), "log.jsonl", &line(1, "v1", 1));
    // No file may grow beyond 1 MiB, as if the disk were full.
    let limited = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" run";
    let mut command = Command::new("bash");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_triggerbell")]).current_dir(folder.path());
    command.env("RUST_LOG", "info").kill_on_drop(true);
    let child = Service::logged(folder.path(), command);
    let service = Service::from_child(folder.path(), child).await;
    let port = super::port_of(&service);
    until("one is delivered", async || receiver.count() == 1).await;
    let get = async |path: &str| http::send(port, &format!("GET {path}"), &[], "").await;
    until("it is ready", async || get("/readyz").await.status == 200).await;

    let more: String = (2..4_000).map(|number| line(number, "v0", 0)).collect();
    let log = folder.path().join("log.jsonl");
    std::fs::write(&log, line(1, "v1", 1) + &more).unwrap();
    let mut said = String::new();
    until("it says that the store takes no writes", async || {
        let answer = get("/readyz").await;
        said = answer.json()["problems"].to_string();
        answer.status == 503 && said.contains("the store takes no writes")
    })
    .await;
    assert_eq!(get("/healthz").await.status, 200);
    assert_eq!(get("/api/v1/notifications").await.status, 200);
    let id =
        get("/api/v1/notifications").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(get(&format!("/api/v1/notifications/{id}")).await.status, 200);
}
