//! Threads and edits: Slack with a bot token keeps one message of an incident, through real HTTP to a
//! wall that judges threads and edits as Slack does.

use std::time::Duration;

use triggerbell::simulate::{Place, WallMessage};

use crate::support::running::Running;

const RULES: &str = "\
rules:
  - name: prod
    match: {returnCode: {not: 0}}
    by: [service]
    notify: change
    remind: 10m
    send_to: [bot]
";

const MINUTE: Duration = Duration::from_secs(60);

/// A service with a bot in Slack, at nine in the morning, whose first poll is done.
async fn running(beside: &str) -> Running {
    let mut running = Running::at("2026-03-02T09:00:00+08:00", &["shop/api"]).await;
    let receivers = format!("receivers:\n{}", running.slack_app("bot", beside));
    running.step(5);
    running.start(&format!("{}{receivers}", running.source("poll_every: 5s")), RULES).await;
    running.pass(MINUTE).await;
    running
}

/// A message in short: what its first line says, and where it stands. A message is named by when it
/// came first: `a`, `b`. Time passes in steps of seconds, so spans are told to the minute.
fn told(messages: &[WallMessage]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut name = |ts: &str| {
        let place = names.iter().position(|known| known == ts).unwrap_or_else(|| {
            names.push(ts.to_owned());
            names.len() - 1
        });
        char::from(b'a' + u8::try_from(place).unwrap())
    };
    let say = |message: &WallMessage| {
        let head = message.payload["blocks"][0]["text"]["text"].as_str().unwrap_or_default();
        let head = match head.rsplit_once(' ') {
            Some((before, last)) if before.ends_with('m') && last.ends_with('s') => before,
            _ => head,
        };
        if let Some(refusal) = &message.refusal {
            return format!("refused: {refusal}");
        }
        let Place { ts, thread, edit } = message.place.as_ref().unwrap();
        match (thread, edit) {
            (_, true) => format!("{} becomes {head}", name(ts)),
            (Some(thread), _) => format!("{} under {}: {head}", name(ts), name(thread)),
            (None, _) => format!("{}: {head}", name(ts)),
        }
    };
    messages.iter().map(say).collect()
}

fn ts(message: &WallMessage) -> String {
    message.place.as_ref().unwrap().ts.clone()
}

#[tokio::test(start_paused = true)]
async fn an_incident_is_one_message_with_its_reminders_in_its_thread_and_a_restart_changes_nothing()
{
    let mut running = running("").await;
    running.push("shop/api", "api", 1);
    running.pass(11 * MINUTE).await;
    running.stop().await;
    running.again().await;
    running.pass(10 * MINUTE).await;
    running.crash().await;
    running.again().await;
    running.push("shop/api", "api", 0);
    running.pass(MINUTE).await;
    assert_eq!(
        told(&running.messages()),
        [
            "a: 🔴 api failed to update",
            "b under a: 🔴 api still fails after 10m",
            "c under a: 🔴 api still fails after 20m",
            "a becomes ✅ api recovered after 21m",
        ]
    );
    // The next incident of the key is a message of its own.
    running.push("shop/api", "api", 1);
    running.pass(MINUTE).await;
    running.push("shop/api", "api", 0);
    running.pass(MINUTE).await;
    assert_eq!(
        told(&running.messages()),
        ["a: 🔴 api failed to update", "a becomes ✅ api recovered after 1m"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_a_person_deleted_is_told_anew_and_that_one_is_followed_from_then_on() {
    let mut running = running("").await;
    running.push("shop/api", "api", 1);
    running.pass(MINUTE).await;
    let head = running.messages().remove(0);
    assert!(running.wall.delete_slack(&ts(&head)));
    running.pass(20 * MINUTE).await;
    running.push("shop/api", "api", 0);
    running.pass(MINUTE).await;
    assert_eq!(
        told(&running.messages()),
        [
            "refused: thread_not_found",
            "a: 🔴 api still fails after 10m",
            "b under a: 🔴 api still fails after 20m",
            "a becomes ✅ api recovered after 21m",
        ]
    );
    let degraded = running.json("/api/v1/notifications?receiver=bot").await;
    let flags = &degraded["items"][2]["last_outcome"]["flags"];
    assert_eq!(flags, &serde_json::json!(["degraded"]), "{degraded:#}");
}

#[tokio::test(start_paused = true)]
async fn what_slack_no_longer_lets_change_is_told_anew() {
    for error in
        ["message_not_found", "cant_update_message", "edit_window_closed", "block_mismatch"]
    {
        let mut running = running("").await;
        running.push("shop/api", "api", 1);
        running.pass(MINUTE).await;
        running.wall.refuse_slack_once(error);
        running.push("shop/api", "api", 0);
        running.pass(MINUTE).await;
        let wanted = [
            "a: 🔴 api failed to update".to_owned(),
            format!("refused: {error}"),
            "b: ✅ api recovered after 1m".to_owned(),
        ];
        assert_eq!(told(&running.messages()), wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_message_that_never_arrived_is_a_message_like_any_other() {
    let mut running = running("").await;
    running.wall.refuse_slack_once("msg_too_long");
    running.push("shop/api", "api", 1);
    running.pass(12 * MINUTE).await;
    running.push("shop/api", "api", 0);
    running.pass(MINUTE).await;
    assert_eq!(
        told(&running.messages()),
        [
            "refused: msg_too_long",
            "a: 🔴 api still fails after 10m",
            "a becomes ✅ api recovered after 12m"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_nobodys_first_message_and_is_not_changed() {
    let mut running = running("    pace: 1/1m\n    digest_after: 1m\n").await;
    for service in ["api", "web", "cart", "pay"] {
        running.push("shop/api", service, 1);
    }
    running.pass(5 * MINUTE).await;
    running.push("shop/api", "api", 0);
    running.pass(2 * MINUTE).await;
    let told = told(&running.messages());
    assert_eq!(told, ["a: 📋 4 alerts in one message", "b: ✅ api recovered after 5m"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_changed_by_the_end_of_what_it_tells_though_all_else_folds() {
    let mut running = running("    pace: 1/1m\n    digest_after: 1m\n").await;
    running.push("shop/api", "api", 1);
    running.pass(MINUTE).await;
    for service in ["web", "cart", "pay", "mail"] {
        running.push("shop/api", service, 1);
    }
    running.push("shop/api", "api", 0);
    running.pass(5 * MINUTE).await;
    let mut told = told(&running.messages());
    told.sort();
    assert_eq!(
        told,
        [
            "a becomes ✅ api recovered after 1m",
            "a: 🔴 api failed to update",
            "b: 📋 4 alerts in one message",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_message_of_a_group_stays_and_each_end_goes_into_its_thread() {
    let grouped = RULES.replace("remind: 10m", "group: {by: [clusterId], wait: 30s}");
    let mut running = Running::at("2026-03-02T09:00:00+08:00", &["shop/api"]).await;
    let receivers = format!("receivers:\n{}", running.slack_app("bot", ""));
    running.step(5);
    running.start(&format!("{}{receivers}", running.source("poll_every: 5s")), &grouped).await;
    running.pass(MINUTE).await;
    for service in ["api", "web", "cart"] {
        running.push("shop/api", service, 1);
    }
    running.pass(2 * MINUTE).await;
    running.push("shop/api", "api", 0);
    running.pass(2 * MINUTE).await;
    running.push("shop/api", "web", 0);
    running.push("shop/api", "cart", 0);
    running.pass(2 * MINUTE).await;
    // One that is a group of its own is an incident like any other.
    running.push("shop/api", "pay", 1);
    running.pass(2 * MINUTE).await;
    running.push("shop/api", "pay", 0);
    running.pass(2 * MINUTE).await;
    assert_eq!(
        told(&running.messages()),
        [
            "a: 🔴 3 failed to update",
            "b under a: ✅ api recovered after 2m",
            "c under a: ✅ 2 recovered",
            "d: 🔴 pay failed to update",
            "d becomes ✅ pay recovered after 2m",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_an_edit_and_its_settlement_edits_the_same_message_again() {
    let mut running = running("").await;
    running.push("shop/api", "api", 1);
    running.pass(MINUTE).await;
    running.push("shop/api", "api", 0);
    running.pass(MINUTE).await;
    running.crash().await;
    // The file as it was before the edit was settled: in hand, its attempt counted.
    let file = rusqlite::Connection::open(running.folder.path().join("triggerbell.db")).unwrap();
    let undone = file
        .execute_batch(
            "UPDATE outbox SET state = 1, live = 1, due_at = created_at, ended_at = NULL
             WHERE seq = (SELECT max(seq) FROM outbox);
             DELETE FROM attempts WHERE message = (SELECT max(seq) FROM outbox);",
        )
        .and(file.query_row("SELECT count(*) FROM outbox WHERE state = 1", [], |row| row.get(0)));
    assert_eq!(undone, Ok(1));
    drop(file);
    running.again().await;
    running.pass(MINUTE).await;
    assert_eq!(
        told(&running.messages()),
        [
            "a: 🔴 api failed to update",
            "a becomes ✅ api recovered after 1m",
            "a becomes ✅ api recovered after 1m"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_that_would_be_one_more_message_in_a_thread_folds_with_all_else() {
    let rules = format!(
        "{}  - {{name: noise, match: {{returnCode: 2}}, by: [service], send_to: [bot]}}\n",
        RULES
            .replace("{returnCode: {not: 0}}", "{returnCode: 1}")
            .replace("remind: 10m", "group: {by: [clusterId], wait: 30s}")
    );
    let mut running = Running::at("2026-03-02T09:00:00+08:00", &["shop/api"]).await;
    let pace = "    pace: 1/10m\n    digest_after: 1m\n";
    let receivers = format!("receivers:\n{}", running.slack_app("bot", pace));
    running.step(5);
    running.start(&format!("{}{receivers}", running.source("poll_every: 5s")), &rules).await;
    running.pass(MINUTE).await;
    running.push("shop/api", "api", 1);
    running.push("shop/api", "web", 1);
    running.pass(12 * MINUTE).await;
    // This one may go, and nothing else for ten minutes.
    running.push("shop/api", "cart", 2);
    running.pass(MINUTE).await;
    running.push("shop/api", "api", 0);
    running.pass(MINUTE).await;
    for service in ["pay", "mail", "shop", "bill"] {
        running.push("shop/api", service, 2);
    }
    running.pass(12 * MINUTE).await;
    let told = told(&running.messages());
    let digest = "c: 📋 5 alerts in one message";
    assert_eq!(told, ["a: 🔴 2 failed to update", "b: 🔴 cart failed to update", digest]);
}
