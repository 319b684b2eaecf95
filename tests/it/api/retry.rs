//! Another try for what was given up.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use serde_json::json;

use super::{Bell, line};
use crate::support::receiver::{Receiver, Reply};

/// A receiver that answers with a status that can be changed.
async fn moody(status: u16) -> (Receiver, Arc<AtomicU16>) {
    let mood = Arc::new(AtomicU16::new(status));
    let answers = mood.clone();
    let receiver =
        Receiver::answering(move |_, _| Reply::status(answers.load(Ordering::Relaxed))).await;
    (receiver, mood)
}

#[tokio::test]
async fn a_dead_letter_goes_out_again_under_its_id_and_a_delivered_one_does_not() {
    let (receiver, mood) = moody(400).await;
    let bell = Bell::start(&line(1, "v1", 1), "", receiver).await;
    let dead = bell.notifications("state=dead", 1).await.remove(0);
    assert_eq!(
        dead["last_outcome"],
        json!({"class": "permanent", "scope": "message", "flags": [], "status": 400,
            "detail": dead["last_outcome"]["detail"], "retry_after_s": null})
    );
    let id = dead["id"].as_str().unwrap();
    mood.store(200, Ordering::Relaxed);
    let path = format!("/api/v1/notifications/{id}/retry");
    let answer = bell.post(&path, &[], "").await;
    assert_eq!((answer.status, answer.json()["id"].as_str()), (202, Some(id)));
    let delivered = bell.notifications("state=delivered", 1).await.remove(0);
    assert_eq!((&delivered["id"], &delivered["attempts"]), (&dead["id"], &json!(2)));
    let seen = bell.receiver.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.id() == id), "the receiver sees the same id");
    assert_eq!(seen[0].body, seen[1].body, "and the same text");

    let again = bell.post(&path, &[], "").await;
    assert_eq!(again.status, 409);
    assert!(again.problem().contains("delivered"), "{}", again.problem());
    assert_eq!(bell.receiver.count(), 2);
    let whole = bell.get(&format!("/api/v1/notifications/{id}")).await.json();
    let numbers: Vec<_> =
        whole["attempt_list"].as_array().unwrap().iter().map(|it| it["number"].clone()).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn a_dead_letter_goes_to_another_receiver_with_the_text_that_it_has_there() {
    let (receiver, mood) = moody(400).await;
    let bell = Bell::start(&line(1, "v1", 1), "", receiver).await;
    let dead = bell.notifications("state=dead", 1).await.remove(0);
    let path = format!("/api/v1/notifications/{}/retry", dead["id"].as_str().unwrap());
    mood.store(200, Ordering::Relaxed);
    let answer = bell.post(&path, &[], r#"{"receiver": "nobody"}"#).await;
    assert_eq!(answer.status, 409);
    assert!(answer.problem().contains("audit, chat, other"), "{}", answer.problem());
    let answer = bell.post(&path, &[], r#"{"receiver": "chat"}"#).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let delivered = bell.notifications("state=delivered", 1).await.remove(0);
    assert_eq!((&delivered["id"], &delivered["receiver"]), (&dead["id"], &json!("chat")));
    let seen = bell.receiver.seen();
    let paths: Vec<_> = seen.iter().map(|seen| &*seen.path).collect();
    assert_eq!(paths, ["/audit", "/chat"]);
    let text: serde_json::Value = serde_json::from_str(&seen[1].body).unwrap();
    assert!(text["blocks"].is_array(), "Slack's own form: {text}");
    assert!(seen[1].body.contains("audit"), "it says whom it was meant for: {text}");
}

#[tokio::test]
async fn dead_letters_of_a_receiver_that_is_gone_go_to_another_of_any_type() {
    let (receiver, mood) = moody(400).await;
    let bell = Bell::start(&(line(1, "v1", 1) + &line(2, "v2", 1)), "", receiver).await;
    let dead = bell.notifications("state=dead", 2).await.remove(0);
    let Bell { service, receiver, folder } = bell;
    assert!(service.terminate().await.success());
    for file in ["triggerbell.yaml", "rules.yaml"] {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        super::write(folder.path(), file, &text.replace("audit", "renamed"));
    }
    mood.store(200, Ordering::Relaxed);
    let service = crate::support::process::Service::again(folder.path(), &[]).await;
    let bell = Bell { service, receiver, folder };
    let path = format!("/api/v1/notifications/{}/retry", dead["id"].as_str().unwrap());
    let answer = bell.post(&path, &[], r#"{"receiver": "other"}"#).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let all = json!({"receiver": "audit", "since": "1h", "to": "chat"}).to_string();
    let answer = bell.post("/api/v1/notifications/retry", &[], &all).await;
    assert_eq!((answer.status, answer.json()["count"].as_u64()), (202, Some(1)), "{}", answer.body);
    bell.notifications("state=delivered", 2).await;
    for seen in bell.receiver.seen() {
        let text: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        assert_eq!(text["blocks"].is_array(), seen.path == "/chat", "{}: {text}", seen.path);
    }
}

#[tokio::test]
async fn what_waits_for_its_next_try_says_when_and_can_be_tried_at_once() {
    let (receiver, mood) = moody(503).await;
    let bell = Bell::start(&line(1, "v1", 1), "", receiver).await;
    let mut waiting = json!(null);
    crate::support::process::until("the first try has failed", async || {
        waiting = bell.notifications("", 1).await.remove(0);
        waiting["last_outcome"].is_object() && waiting["state"] == "pending"
    })
    .await;
    assert_eq!(waiting["last_outcome"]["class"], "retry");
    assert_eq!(waiting["last_outcome"]["status"], 503);
    let due: jiff::Timestamp = waiting["next_attempt_at"].as_str().unwrap().parse().unwrap();
    let made: jiff::Timestamp = waiting["created_at"].as_str().unwrap().parse().unwrap();
    assert!(due > made);
    mood.store(200, Ordering::Relaxed);
    let path = format!("/api/v1/notifications/{}/retry", waiting["id"].as_str().unwrap());
    assert_eq!(bell.post(&path, &[], "{}").await.status, 202);
    bell.notifications("state=delivered", 1).await;
}

#[tokio::test]
async fn the_dead_letters_of_a_receiver_go_out_again_under_their_ids() {
    let (receiver, mood) = moody(400).await;
    let lines: String = (0..30).map(|number| line(number, "v1", 1)).collect();
    let bell = Bell::start(&lines, "", receiver).await;
    let dead = bell.notifications("state=dead", 30).await;
    mood.store(200, Ordering::Relaxed);
    let path = "/api/v1/notifications/retry";
    let wish = |more: serde_json::Value| {
        let mut wish = json!({"receiver": "audit", "since": "1h"});
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        wish.to_string()
    };
    for (more, status, said) in [
        (json!({"to": "nobody"}), 409, "audit, chat, other"),
        (json!({"receiver": "nobody"}), 409, "audit, chat, other"),
        (json!({"since": "yesterday"}), 400, "`since` is an instant"),
        (json!({"since": "99999999d"}), 400, "`since`"),
        (json!({"cursor": "x"}), 400, "`cursor`"),
        (json!({"all": true}), 400, "unknown field"),
    ] {
        let answer = bell.post(path, &[], &wish(more)).await;
        assert_eq!(answer.status, status, "{}", answer.problem());
        assert!(answer.problem().contains(said), "{}", answer.problem());
    }
    let answer = bell.post(path, &[], &wish(json!({"preview": true}))).await;
    assert_eq!((answer.status, answer.json()), (202, json!({"count": 30, "next": null})));
    let later = json!({"since": jiff::Timestamp::now() + std::time::Duration::from_secs(60)});
    assert_eq!(bell.post(path, &[], &wish(later)).await.json()["count"], 0);
    assert_eq!(bell.receiver.count(), 30, "nothing was sent so far");

    let answer = bell.post(path, &[], &wish(json!({"to": "other"}))).await;
    assert_eq!((answer.status, answer.json()), (202, json!({"count": 30, "next": null})));
    let delivered = bell.notifications("state=delivered&receiver=other", 30).await;
    let ids = |items: &[serde_json::Value]| {
        items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&delivered), ids(&dead));
    let seen = bell.receiver.seen();
    let (first, again) = seen.split_at(30);
    assert!(again.iter().all(|seen| seen.path == "/other"));
    let told = |seen: &[crate::support::receiver::Seen]| {
        seen.iter().map(|seen| seen.id()).collect::<Vec<_>>()
    };
    assert_eq!(told(again), told(first), "one key: in the order decided");
}
