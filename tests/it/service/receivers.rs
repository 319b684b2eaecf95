//! Receivers on bad days: each fails in its own way, and none delays another; what was given up is
//! shown and tried again.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    service::{EVERYTHING, audit, waiting, webhooks},
    support::{
        process::{Ran, Service, client, ran, until},
        receiver::{Receiver, Reply, Seen},
        stand::{Stand, tally},
    },
};

const ROWS: i64 = 20;

/// A receiver that answers the first request of each message with `first`, and the others well.
async fn at_second_try(first: impl Fn() -> Reply + Send + Sync + 'static) -> Receiver {
    let known: Mutex<HashMap<String, ()>> = Mutex::default();
    Receiver::answering(move |_, seen| match known.lock().unwrap().insert(seen.id(), ()) {
        None => first(),
        Some(()) => Reply::status(200),
    })
    .await
}

/// The statuses that each message's requests were answered with, in order.
fn by_message(receiver: &Receiver) -> HashMap<String, Vec<u16>> {
    let mut all: HashMap<_, Vec<u16>> = HashMap::new();
    for seen in receiver.seen() {
        all.entry(seen.id()).or_default().push(seen.status);
    }
    all
}

/// WeCom that is too busy for the first two requests.
async fn busy_wecom() -> Receiver {
    Receiver::answering(|number, _| match number {
        0 | 1 => Reply::status(200)
            .header("retry-after", "1")
            .body(json!({"errcode": 45009, "errmsg": "api freq out of limit"}).to_string()),
        _ => Reply::status(200).body(json!({"errcode": 0, "errmsg": "ok"}).to_string()),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_fail_in_every_way_delay_no_other() {
    let stand = Stand::start(&["shop/api"]).await;
    let good = Receiver::start().await;
    let gone = Receiver::answering(|_, _| Reply::status(410)).await;
    let open = CancellationToken::new();
    let gate = open.clone();
    let slow = Receiver::answering(move |_, _| Reply::status(200).until(&gate)).await;
    let never = CancellationToken::new();
    let silent = at_second_try(move || Reply::status(500).until(&never)).await;
    let hangs_up = at_second_try(|| Reply { hang_up: true, ..Reply::status(200).body("o") }).await;
    let broken = at_second_try(|| Reply::status(500)).await;
    let later = Receiver::answering(|number, _| match number {
        0 => Reply::status(429).header("retry-after", "2"),
        _ => Reply::status(200),
    })
    .await;
    let wecom = busy_wecom().await;

    let hooks = [
        ("good", &*good.url),
        ("gone", &gone.url),
        ("hangs-up", &hangs_up.url),
        ("broken", &broken.url),
    ];
    let receivers = format!(
        "{}  slow:\n    webhook:\n      url: {}/\n    timeout: 5m\n  silent:\n    webhook:\n      \
         url: {}/\n    timeout: 1s\n  later:\n    webhook:\n      url: {}/\n    concurrency: 1\n  \
         wecom:\n    wecom:\n      key: 693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa\n      \
         base_url: {}\n    pace: 100/1s\n    concurrency: 1\n",
        webhooks(&hooks),
        slow.url,
        silent.url,
        later.url,
        wecom.url
    );
    let rules = "rules:\n  - name: everything\n    match: {}\n    by: [tag]\n    send_to: \
                 [gone, slow, silent, hangs-up, broken, later, wecom, good]\n";
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}{receivers}", stand.source("first_run: all\n    poll_every: 1s"));
    let service = Service::start(folder.path(), &config, rules).await;
    stand.push("shop/api", ROWS);
    let rows = stand.rows();

    let all_of = |receiver: &Receiver| tally(&rows, &receiver.seen());
    until("the good one has everything", async || all_of(&good).lost == 0).await;
    let status = service.json("/api/v1/status").await;
    assert_eq!(status["receivers"]["slow"]["delivered"], 0, "{status:#}");
    assert!(slow.count() > 0, "the slow one was asked at the same time");

    until("the others have, by and by", async || {
        [&silent, &hangs_up, &broken, &later].iter().all(|receiver| all_of(receiver).lost == 0)
            && wecom.count() == 2 + usize::try_from(ROWS).unwrap()
    })
    .await;
    assert_eq!(slow.count(), 16, "it has as many in hand as side by side are allowed");
    open.cancel();
    until("the slow one has, once it answers", async || {
        let status = service.json("/api/v1/status").await;
        all_of(&slow).lost == 0 && waiting(&status, "slow") == 0
    })
    .await;

    for (name, receiver) in [("good", &good), ("slow", &slow)] {
        assert_eq!((all_of(receiver).requests, all_of(receiver).repeats), (20, 0), "{name}");
    }
    for (name, receiver, first) in
        [("silent", &silent, 500), ("hangs-up", &hangs_up, 299), ("broken", &broken, 500)]
    {
        let tries = by_message(receiver);
        assert_eq!(tries.len(), rows.len(), "{name}");
        for tries in tries.values() {
            // A busy machine may miss the silent one's short timeout once more.
            assert!(tries.starts_with(&[first, 200]), "{name}: {tries:?}");
        }
        eprintln!("{name}: {} messages, each {first} and then 200", tries.len());
    }
    let seen = later.seen();
    let wait = seen[1].at - seen[0].at;
    assert!(wait >= Duration::from_secs(2), "Retry-After was 2 s, it came after {wait:?}");
    assert_eq!(seen.len(), 21, "the one that was asked to wait came again");
    assert_unanswered_is_said(&service, "hangs-up").await;
    assert_unanswered_is_said(&service, "silent").await;
    assert_closed(&service, folder.path(), &gone).await;
    assert!(service.terminate().await.success());
}

/// The record says of attempts without a whole answer that the message may have arrived.
async fn assert_unanswered_is_said(service: &Service, receiver: &str) {
    let list = service.json(&format!("/api/v1/notifications?receiver={receiver}&limit=1")).await;
    let id = list["items"][0]["id"].as_str().unwrap();
    let shown = service.json(&format!("/api/v1/notifications/{id}")).await;
    let first = &shown["attempt_list"].as_array().unwrap().iter().find(|it| it["number"] == 1);
    let outcome = &first.unwrap()["outcome"];
    assert_eq!(outcome["flags"], json!(["ambiguous"]), "{receiver}: {shown:#}");
    assert_eq!(shown["state"], "delivered", "{receiver}: {shown:#}");
}

/// A receiver that is gone closes its lane: its messages wait, and the status and an alarm say so.
async fn assert_closed(service: &Service, folder: &Path, gone: &Receiver) {
    let status = service.json("/api/v1/status").await;
    let lane = &status["receivers"]["gone"];
    assert!(lane["closed"].as_str().unwrap().contains("410"), "{status:#}");
    assert_eq!((lane["pending"].as_i64(), lane["dead"].as_i64()), (Some(ROWS), Some(0)));
    assert!(gone.count() <= 16, "{} tried a closed lane", gone.count());
    let alarms = status["alarms"].as_array().unwrap();
    let closed: Vec<_> = alarms.iter().filter(|alarm| alarm["kind"] == "lane_closed").collect();
    assert_eq!(closed.len(), 1, "{status:#}");
    assert_eq!(closed[0]["about"], "gone");
    let printed = ran(folder, &["status", "--url", &service.url], &[]).await;
    assert!(printed.stdout.contains("gone refuses everything"), "{}", printed.said());
}

async fn deliveries(service: &Service, args: &[&str]) -> Ran {
    let args = [&["deliveries"], args, &["--url", &service.url]].concat();
    ran(&service.folder, &args, &[]).await
}

async fn ids_of(service: &Service, receiver: &str, state: &str) -> Vec<String> {
    let args = ["list", "--receiver", receiver, "--state", state, "--format", "json"];
    let list: Value = serde_json::from_str(&deliveries(service, &args).await.stdout).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_dead_letter_is_listed_shown_and_tried_again_under_the_same_id() {
    let stand = Stand::start(&["shop/api"]).await;
    let mended = Arc::new(AtomicBool::new(false));
    let well = mended.clone();
    let receiver = Receiver::answering(move |_, _| match well.load(Ordering::Relaxed) {
        true => Reply::status(200),
        false => Reply::status(422).body("no such channel"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s");
    let config = format!("{source}{}", audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    stand.push("shop/api", 1);
    until("it is dead", async || ids_of(&service, "audit", "dead").await.len() == 1).await;
    let id = ids_of(&service, "audit", "dead").await.remove(0);
    let status = service.json("/api/v1/status").await;
    assert_eq!(status["alarms"][0]["kind"], "dead_letter", "{status:#}");

    let listed = deliveries(&service, &["list", "--state", "dead"]).await;
    assert!(listed.stdout.contains(&id), "{}", listed.said());
    assert!(listed.stdout.contains("no such channel"), "{}", listed.said());
    let shown = deliveries(&service, &["show", &id]).await;
    assert!(shown.stdout.contains("no such channel"), "{}", shown.said());
    assert!(shown.stdout.contains("trigger.matched"), "{}", shown.said());

    mended.store(true, Ordering::Relaxed);
    let retried = deliveries(&service, &["retry", &id]).await;
    assert_eq!(retried.code, Some(0), "{}", retried.said());
    until("it is delivered", async || {
        ids_of(&service, "audit", "delivered").await == [id.as_str()]
    })
    .await;
    let ids: Vec<_> = receiver.seen().iter().map(Seen::id).collect();
    assert_eq!(ids, [&*id, &*id], "the same id both times");
    let again = deliveries(&service, &["retry", &id]).await;
    assert_eq!(again.code, Some(1), "{}", again.said());
    assert!(again.stderr.contains("it is delivered"), "{}", again.said());
    let unknown = deliveries(&service, &["retry", &"0".repeat(32)]).await;
    assert_eq!(unknown.code, Some(1), "{}", unknown.said());
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn what_waited_for_a_removed_receiver_is_dead_and_may_go_to_another() {
    let stand = Stand::start(&["shop/api"]).await;
    let gone = Receiver::answering(|_, _| Reply::status(410)).await;
    let audit = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s");
    let both = webhooks(&[("gone", &gone.url), ("audit", &audit.url)]);
    let rules = EVERYTHING.replace("[audit]", "[gone]");
    let service = Service::start(folder.path(), &format!("{source}{both}"), &rules).await;
    stand.push("shop/api", 5);
    until("they wait", async || waiting(&service.json("/api/v1/status").await, "gone") == 5).await;
    assert!(service.terminate().await.success());

    let one = webhooks(&[("audit", &audit.url)]);
    let service = Service::start(folder.path(), &format!("{source}{one}"), EVERYTHING).await;
    let dead = ids_of(&service, "gone", "dead").await;
    assert_eq!(dead.len(), 5);
    assert_eq!(audit.count(), 0, "a restart says nothing");
    let alarms = service.json("/api/v1/status").await["alarms"].clone();
    assert_eq!((&alarms[0]["kind"], &alarms[0]["about"]), (&"dead_letter".into(), &"gone".into()));
    let message = alarms[0]["message"].as_str().unwrap();
    assert!(message.starts_with("5 messages wait for gone"), "{message}");
    let back = deliveries(&service, &["retry", &dead[0]]).await;
    assert_eq!(back.code, Some(1), "{}", back.said());
    assert!(back.stderr.contains("there is no receiver gone; known: audit"), "{}", back.said());
    let answer = client()
        .post(format!("{}/api/v1/notifications/{}/retry", service.url, dead[0]))
        .header("content-type", "application/json")
        .body(r#"{"receiver": "audit"}"#)
        .send();
    assert_eq!(answer.await.unwrap().status(), 202);
    until("the other has it", async || audit.count() == 1).await;
    assert_eq!(audit.seen()[0].id(), dead[0]);
    assert!(service.terminate().await.success());
}
