//! The service as a process: from the stand-in registry to receivers, on good days and on bad ones.

mod chats;
mod discovered;
mod exchange;
mod fallback;
mod flood;
mod killed;
mod networks;
mod pushed;
mod receivers;
mod registry;
mod reloading;
mod secrets;
mod store;
mod taking_over;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{
    process::{Registry, Service, until},
    receiver::Receiver,
};

/// A rule that sends everything to `audit`, each tag a key of its own.
const EVERYTHING: &str =
    "rules:\n  - name: everything\n    match: {}\n    by: [tag]\n    send_to: [audit]\n";

/// The `receivers` of a configuration: webhooks of these names at these URLs.
fn webhooks(hooks: &[(&str, &str)]) -> String {
    let hook = |(name, url): &(&str, &str)| {
        format!("  {name}:\n    webhook:\n      url: {url}/{name}\n    timeout: 30s\n")
    };
    format!("receivers:\n{}", hooks.iter().map(hook).collect::<String>())
}

fn audit(receiver: &Receiver) -> String {
    webhooks(&[("audit", &receiver.url)])
}

/// The messages that wait for a receiver.
fn waiting(status: &Value, receiver: &str) -> u64 {
    status["receivers"][receiver]["pending"].as_u64().unwrap()
}

#[tokio::test]
async fn every_row_of_a_backlog_is_delivered_once_and_a_restart_says_nothing() {
    let registry = Registry::start(&["--backlog", "500", "--seed", "7"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = registry.source("first_run: all\n    poll_every: 1s");
    let config = format!("{source}{}", audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    until("all is delivered", async || receiver.by_id().len() == 500).await;
    let status = service.json("/api/v1/status").await;
    assert_eq!(status["sources"]["shop"]["entries"], 500, "{status:#}");
    until("it is ready", async || service.json("/readyz").await["ready"] == true).await;
    assert!(service.terminate().await.success());

    let again = Service::again(folder.path(), &[]).await;
    until("it has read again", async || {
        again.json("/api/v1/status").await["sources"]["shop"]["read_at"].is_string()
    })
    .await;
    assert!(again.terminate().await.success());
    let counts = receiver.by_id();
    assert_eq!(counts.len(), 500);
    assert!(counts.values().all(|count| *count == 1), "nothing twice, nothing on a restart");
    let first = receiver.seen()[0].json();
    assert_eq!(first["type"], "trigger.matched");
    let times: BTreeSet<_> = receiver
        .seen()
        .iter()
        .map(|seen| seen.json()["data"]["entry"]["time"].to_string())
        .collect();
    assert!(times.len() > 100);
}
