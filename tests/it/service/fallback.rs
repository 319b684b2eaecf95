//! Fallbacks: what a closed lane holds reaches the receiver that stands in for it, once, and says whom
//! it was meant for.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use serde_json::{Value, json};

use crate::{
    service::{EVERYTHING, waiting},
    support::{
        process::{Service, until},
        receiver::{Receiver, Reply, Seen},
        stand::{Stand, tally},
    },
};

/// A receiver whose paths answer with statuses of their own: `/audit` with the first, all others with
/// the second.
async fn two_moods(audit: u16, other: u16) -> (Receiver, [Arc<AtomicU16>; 2]) {
    let moods = [audit, other].map(|status| Arc::new(AtomicU16::new(status)));
    let answers = moods.clone();
    let receiver = Receiver::answering(move |_, seen| {
        let mood = &answers[usize::from(seen.path != "/audit")];
        Reply::status(mood.load(Ordering::Relaxed))
    })
    .await;
    (receiver, moods)
}

/// Two webhooks, the first with the second as its fallback.
fn receivers(receiver: &Receiver) -> String {
    let url = &receiver.url;
    format!(
        "receivers:\n  audit:\n    webhook:\n      url: {url}/audit\n    fallback: other\n  \
         other:\n    webhook:\n      url: {url}/other\n    timeout: 5s\n"
    )
}

fn at(receiver: &Receiver, path: &str) -> Vec<Seen> {
    receiver.seen().into_iter().filter(|seen| seen.path == path).collect()
}

fn source(stand: &Stand) -> String {
    stand.source("first_run: all\n    poll_every: 1s\n    requests_per_second: 500")
}

#[tokio::test]
async fn what_a_closed_lane_holds_goes_to_its_fallback_once_and_says_so() {
    let stand = Stand::start(&["shop/api"]).await;
    let (receiver, [_, other]) = two_moods(401, 200).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}{}", source(&stand), receivers(&receiver));
    stand.push("shop/api", 40);
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    let all = async |what: &str| {
        until(what, async || tally(&stand.rows(), &at(&receiver, "/other")).lost == 0).await;
    };
    all("the fallback has all of it").await;
    // What is queued while it stays closed goes the same way.
    stand.push("shop/api", 10);
    all("and the rest").await;
    let counts = tally(&stand.rows(), &at(&receiver, "/other"));
    assert_eq!((counts.requests, counts.repeats, counts.invented), (50, 0, 0));
    assert!(at(&receiver, "/audit").len() <= 16, "those in hand when it closed");

    let seen = at(&receiver, "/other").remove(0);
    assert_eq!(seen.json()["data"]["meant_for"], "audit");
    let shown = service.json(&format!("/api/v1/notifications/{}", seen.id())).await;
    assert_eq!((&shown["receiver"], &shown["fallback_of"]), (&json!("other"), &json!("audit")));
    assert_eq!(shown["state"], "delivered");
    let status = service.json("/api/v1/status").await;
    let alarm = status["alarms"][0]["message"].as_str().unwrap();
    assert!(alarm.contains("its messages go to other meanwhile"), "{alarm}");
    assert_eq!(waiting(&status, "audit"), 0);
    let metrics = service.get("/metrics").await.unwrap();
    let counted = "triggerbell_notifications_fallback_total{receiver=\"audit\"} 50";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(service.log().contains("the fallback took over what waited"));

    // It closes as well: what it has stays with it, and leaves when it takes messages again.
    other.store(410, Ordering::Relaxed);
    stand.push("shop/api", 10);
    let mut list = json!(null);
    until("both are closed and hold what came", async || {
        // In this order: once it is closed nothing is claimed, so that none of the ten is in flight.
        let status = service.json("/api/v1/status").await;
        list = service.json("/api/v1/notifications?receiver=other&state=pending").await;
        status["receivers"]["other"]["closed"].is_string()
            && list["items"].as_array().unwrap().len() == 10
    })
    .await;
    other.store(200, Ordering::Relaxed);
    assert_eq!(list["items"][0]["fallback_of"], "audit");
    let id = list["items"][0]["id"].as_str().unwrap();
    let path = format!("{}/api/v1/notifications/{id}/retry", service.url);
    let retry =
        crate::support::process::client().post(path).header("content-type", "application/json");
    assert_eq!(retry.body("{}").send().await.unwrap().status(), 202);
    all("they were not lost").await;
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn an_alarm_about_the_fallback_waits_rather_than_go_through_it() {
    let stand = Stand::start(&["shop/api"]).await;
    let (receiver, [audit, other]) = two_moods(401, 413).await;
    let folder = tempfile::tempdir().unwrap();
    let alarms = "alarms:\n  send_to: [audit]\n";
    let config = format!("{}{}{alarms}", source(&stand), receivers(&receiver));
    stand.push("shop/api", 1);
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    let find = async || {
        let list = service.json("/api/v1/notifications").await;
        let alarm = list["items"].as_array().unwrap().iter().find(|it| it["reason"] == "alarm");
        alarm.cloned().unwrap_or_default()
    };
    until("a letter of the other's is dead", async || !find().await.is_null()).await;
    // What is decided later is handed over, and the alarm before it is not.
    other.store(200, Ordering::Relaxed);
    stand.push("shop/api", 1);
    let is_alarm = |seen: &Seen| seen.json()["type"] == "trigger.alarm";
    until("the other has what came later", async || {
        at(&receiver, "/other").iter().filter(|seen| !is_alarm(seen)).count() == 2
    })
    .await;
    let alarm = find().await;
    assert_eq!((&alarm["receiver"], &alarm["state"]), (&json!("audit"), &json!("pending")));
    audit.store(200, Ordering::Relaxed);
    let id = alarm["id"].as_str().unwrap();
    let path = format!("{}/api/v1/notifications/{id}/retry", service.url);
    let retry =
        crate::support::process::client().post(path).header("content-type", "application/json");
    assert_eq!(retry.body("{}").send().await.unwrap().status(), 202);
    until("it is told", async || at(&receiver, "/audit").iter().any(is_alarm)).await;
    assert!(!at(&receiver, "/other").iter().any(is_alarm));
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_chat_that_stands_in_says_it_before_the_first_line() {
    let stand = Stand::start(&["shop/api"]).await;
    let (receiver, _) = two_moods(401, 200).await;
    let folder = tempfile::tempdir().unwrap();
    let url = &receiver.url;
    let receivers = format!(
        "receivers:\n  audit:\n    webhook:\n      url: {url}/audit\n    fallback: chat\n  \
         chat:\n    slack:\n      webhook_url: {url}/services/T1/B1/x\n    pace: 100/1s\n  \
         closed-zh:\n    webhook:\n      url: {url}/audit\n    fallback: robot\n  \
         robot:\n    wecom:\n      key: 693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa\n      \
         base_url: {url}\n    template: default-zh\n    pace: 100/1s\n"
    );
    let rules = EVERYTHING.replace("[audit]", "[audit, closed-zh]");
    stand.push("shop/api", 1);
    let config = format!("{}{receivers}", source(&stand));
    let service = Service::start(folder.path(), &config, &rules).await;
    let text = |path: &'static str, pointer: &'static str| {
        let seen = receiver.seen();
        let body = seen.iter().find(|seen| seen.path.starts_with(path))?.json();
        body.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    until("both say it", async || {
        text("/services", "/text").is_some() && text("/cgi-bin", "/markdown/content").is_some()
    })
    .await;
    let line = text("/services", "/text").unwrap();
    assert!(line.starts_with("↪ Meant for audit, which takes no messages now\n"), "{line}");
    let block = text("/services", "/blocks/0/elements/0/text").unwrap();
    assert_eq!(block, "↪ Meant for audit, which takes no messages now");
    let robot = text("/cgi-bin", "/markdown/content").unwrap();
    assert!(robot.starts_with("↪ 本应发往 closed-zh，其暂时无法接收\n"), "{robot}");
    assert!(robot.contains("shop/api"), "{robot}");
    assert!(service.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_the_fallback_takes_over_it_loses_nothing() {
    let stand = Stand::start(&["shop/api"]).await;
    let (receiver, _) = two_moods(401, 200).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}{}", source(&stand), receivers(&receiver));
    Service::configure(folder.path(), &config, EVERYTHING);
    let mut rng = fastrand::Rng::with_seed(0xfa11);
    for _ in 0..20 {
        stand.push("shop/api", 300);
        let mut child = Service::spawn(folder.path(), &[]);
        tokio::time::sleep(std::time::Duration::from_millis(rng.u64(5..500))).await;
        child.kill().await.unwrap();
    }
    let service = Service::again(folder.path(), &[]).await;
    until("the fallback has all of it", async || {
        let told = tally(&stand.rows(), &receiver.seen());
        told.lost == 0 && waiting(&service.json("/api/v1/status").await, "other") == 0
    })
    .await;
    let counts = tally(&stand.rows(), &receiver.seen());
    assert_eq!((counts.rows, counts.invented), (6000, 0));
    assert!(counts.repeats <= 20 * (16 + 256), "{counts:?}");
    assert!(service.terminate().await.success());
}
