//! Digests in a running service.

use std::time::Duration;

use crate::support::running::Running;

const RULES: &str = "\
rules:
  - name: prod
    match: {returnCode: {not: 0}}
    by: [service]
    notify: change
    send_to: [ops]
";

/// The first lines of what a robot got of forty failures, within so many minutes.
async fn told(beside: &str, minutes: u32) -> Vec<String> {
    let mut running = Running::at("2026-03-02T09:00:00+08:00", &["shop/api"]).await;
    running.step(5);
    let receivers = format!("receivers:\n{}", running.robot("ops", beside));
    running.start(&format!("{}{receivers}", running.source("poll_every: 5s")), RULES).await;
    running.pass(Duration::from_secs(60)).await;
    for number in 0..40 {
        running.push("shop/api", &format!("svc-{number}"), 1);
    }
    running.pass(Duration::from_secs(60) * minutes).await;
    assert_eq!(running.json("/api/v1/status").await["receivers"]["ops"]["pending"], 0);
    let messages = running.messages();
    assert!(messages.iter().all(|message| message.refusal.is_none()), "{messages:#?}");
    messages.into_iter().map(|message| message.summary).collect()
}

#[tokio::test(start_paused = true)]
async fn without_digests_every_message_goes_by_itself_as_fast_as_pace_lets_it() {
    let told = told("    pace: 10/1m\n    digest: off\n", 5).await;
    assert_eq!(told.len(), 40);
    assert!(told.iter().all(|line| line.ends_with("failed to update")), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn with_digests_they_are_one() {
    assert_eq!(told("    pace: 10/1m\n", 5).await, ["📋 40 alerts in one message"]);
}
