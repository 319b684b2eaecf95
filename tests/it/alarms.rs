//! Alarms reach the receivers that are configured for them, never the one they are about.

use crate::support::{
    process::{Registry, Service, until},
    receiver::{Receiver, Reply},
};

const RULES: &str = "rules:\n  - name: everything\n    match: {}\n    send_to: [gone]\n";

#[tokio::test]
async fn a_receiver_that_is_gone_is_told_to_the_others_once_even_over_a_restart() {
    let registry = Registry::start(&["--backlog", "20", "--seed", "3"]).await;
    let gone = Receiver::answering(|_, _| Reply::status(410)).await;
    let ops = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let receivers = format!(
        "receivers:\n  gone:\n    webhook:\n      url: {}/a\n  ops:\n    webhook:\n      \
         url: {}/b\nalarms: {{send_to: [gone, ops]}}\n",
        gone.url, ops.url
    );
    let config = format!("{}{receivers}", registry.source("first_run: all"));
    let service = Service::start(folder.path(), &config, RULES).await;
    until("the others are told", async || ops.count() == 1).await;
    let alarm = ops.seen()[0].json();
    assert_eq!(alarm["type"], "trigger.alarm", "{alarm:#}");
    assert!(alarm.to_string().contains("gone refuses everything"), "{alarm:#}");
    assert!(gone.seen().iter().all(|seen| seen.json()["type"] != "trigger.alarm"));

    // A restart says the same alarm to itself, and to nobody else.
    assert!(service.terminate().await.success());
    let service = Service::again(folder.path(), &[]).await;
    until("the lane is known to be closed", async || {
        let status = service.json("/api/v1/status").await;
        status["alarms"][0]["kind"] == "lane_closed"
    })
    .await;
    let item = service.json("/api/v1/notifications?receiver=ops").await;
    assert_eq!(item["items"].as_array().unwrap().len(), 1, "{item:#}");
    assert_eq!(ops.count(), 1);
}
