//! An enterprise registry that calls us: what it sends is told once, however often it sends it, and
//! is on the disk when it is answered.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use triggerbell::simulate::{Hook, call_hook, enterprise::event};

use crate::{
    service::{EVERYTHING, audit},
    support::{
        http,
        process::{Service, ran, until},
        receiver::Receiver,
        stand::Stand,
    },
};

const SECRET: &str = "planted-push-secret";

const SOURCE: &str = "sources:\n  shop:\n    tcr_enterprise:\n      push:\n        \
                      header: X-Bell\n        secret_file: secret\n";

async fn start(folder: &tempfile::TempDir, receiver: &Receiver) -> Service {
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    let config = format!("{SOURCE}{}", audit(receiver));
    Service::start(folder.path(), &config, EVERYTHING).await
}

fn port(service: &Service) -> u16 {
    service.url.rsplit(':').next().unwrap().parse().unwrap()
}

async fn push(service: &Service, lines: &[&str], body: &str) -> http::Answer {
    http::send(port(service), "POST /ingest/shop", lines, body).await
}

fn with_secret() -> String {
    format!("X-Bell: {SECRET}")
}

fn pushed(tag: &str, second: i64) -> String {
    json!({
        "type": "pushImage", "occur_at": second, "operator": "1",
        "event_data": {
            "resources": [{"digest": format!("sha256:{tag}"), "tag": tag}],
            "repository": {"name": "api", "namespace": "shop", "repo_full_name": "shop/api"},
        },
    })
    .to_string()
}

async fn metric(service: &Service, result: &str) -> u64 {
    let line = format!("triggerbell_ingest_requests_total{{source=\"shop\",result=\"{result}\"}} ");
    let metrics = service.get("/metrics").await.unwrap();
    let value = metrics.lines().find_map(|it| it.strip_prefix(&line).map(str::to_owned));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_told_once_however_often_and_to_whichever_process_it_is_sent() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let service = start(&folder, &receiver).await;
    let secret = with_secret();
    let first = push(&service, &[&secret], &pushed("v1", 1_790_000_000)).await;
    assert_eq!((first.status, first.json()), (200, json!({"taken": 1, "known": 0})));
    let again = push(&service, &[&secret], &pushed("v1", 1_790_000_000)).await;
    assert_eq!((again.status, again.json()), (200, json!({"taken": 0, "known": 1})));
    // Another second, another image: other events.
    push(&service, &[&secret], &pushed("v1", 1_790_000_001)).await;
    push(&service, &[&secret], &pushed("v2", 1_790_000_000)).await;
    until("three are told", async || receiver.by_id().len() == 3).await;
    let entry = receiver.seen()[0].json()["data"]["entry"].clone();
    assert_eq!((&entry["repo"], &entry["tag"]), (&"shop/api".into(), &"v1".into()));
    assert_eq!(entry["time"], "2026-09-21T14:13:20Z");
    assert!(entry.get("returnCode").is_none(), "no result is known");

    // Twenty copies at once, half of them after the process was killed.
    let copies = |service: &Service| {
        let (port, line) = (port(service), with_secret());
        let send = move || {
            let line = line.clone();
            async move {
                let body = pushed("v3", 1_790_000_002);
                http::send(port, "POST /ingest/shop", &[&line], &body).await.json()
            }
        };
        futures_util::future::join_all((0..10).map(|_| send()))
    };
    let answers = copies(&service).await;
    let taken: u64 = answers.iter().map(|answer| answer["taken"].as_u64().unwrap()).sum();
    assert_eq!(taken, 1, "{answers:?}");
    let mut service = service;
    service.child.kill().await.unwrap();
    let service = Service::again(folder.path(), &[]).await;
    let answers = copies(&service).await;
    assert!(answers.iter().all(|answer| answer["known"] == 1), "{answers:?}");
    until("four are told", async || receiver.by_id().len() == 4).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.by_id().len(), 4);

    let status = service.json("/api/v1/status").await["sources"]["shop"].clone();
    assert_eq!((&status["state"], &status["push"]["known"]), (&"ok".into(), &10.into()));
    assert_eq!(service.json("/readyz").await["ready"], true, "silence is no blindness");
    assert_eq!(metric(&service, "known").await, 10);
}

#[tokio::test]
async fn what_was_counted_of_events_goes_on_when_the_source_is_exchanged() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let service = start(&folder, &receiver).await;
    let secret = with_secret();
    for second in [1_790_000_000, 1_790_000_000, 1_790_000_001] {
        push(&service, &[&secret], &pushed("v1", second)).await;
    }
    let config = format!("{}{}", SOURCE.replace("X-Bell", "X-Other"), audit(&receiver));
    Service::configure(folder.path(), &config, EVERYTHING);
    let done = ran(folder.path(), &["reload", "--url", &service.url], &[]).await;
    assert_eq!(done.code, Some(0), "{}", done.said());
    let before = service.json("/api/v1/status").await["sources"]["shop"].clone();
    assert_eq!((&before["entries"], &before["push"]["known"]), (&2.into(), &1.into()), "{before}");
    assert!(before["push"]["last_at"].is_string(), "{before}");
    assert_eq!(push(&service, &[&secret], &pushed("v2", 1_790_000_002)).await.status, 401);
    let other = secret.replace("X-Bell", "X-Other");
    push(&service, &[&other], &pushed("v2", 1_790_000_002)).await;
    let after = service.json("/api/v1/status").await["sources"]["shop"].clone();
    assert_eq!((&after["entries"], &after["push"]["unauthorized"]), (&3.into(), &1.into()));
    assert!(service.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lacks_the_secret_is_refused_before_the_body_is_read() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let service = start(&folder, &receiver).await;
    let body = pushed("v1", 1_790_000_000);
    for lines in [&[][..], &["X-Bell: wrong"], &["X-Bell:"], &["Authorization: Bearer x"]] {
        let answer = push(&service, lines, &body).await;
        assert_eq!(answer.status, 401, "{lines:?}");
        assert!(answer.problem().contains("does not hold its secret"));
        assert!(!answer.head.to_lowercase().contains("www-authenticate"));
    }
    let endless = ["X-Bell: wrong", "Content-Length: 100000000"];
    assert_eq!(push(&service, &endless, "").await.status, 401);
    assert_eq!(http::send(port(&service), "POST /ingest/nobody", &[], &body).await.status, 404);
    assert_eq!(http::send(port(&service), "GET /ingest/shop", &[], "").await.status, 405);
    assert_eq!(metric(&service, "unauthorized").await, 5);
    // The file holds another secret from now on: the old one goes, the new one comes.
    std::fs::write(folder.path().join("secret"), "another-secret").unwrap();
    until("the new secret is taken", async || {
        push(&service, &["X-Bell: another-secret"], &body).await.status == 200
    })
    .await;
    assert_eq!(push(&service, &[&with_secret()], &body).await.status, 401);
    let told = format!("{}{}", service.log(), service.get("/metrics").await.unwrap());
    assert!(!told.contains(SECRET) && !told.contains("another-secret"));
    until("it is told", async || receiver.by_id().len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_refused_counted_and_kept() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let service = start(&folder, &receiver).await;
    let secret = with_secret();
    let cases = [
        ("{half", "not whole JSON"),
        ("[]", "the event is no object"),
        ("{\"type\":\"x\"}", "event_data is missing"),
        (
            "{\"type\":\"x\",\"event_data\":{\"repository\":{\"repo_full_name\":\"a/b\"}}}",
            "occur_at is missing",
        ),
    ];
    for (body, said) in cases {
        let answer = push(&service, &[&secret], body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.problem().contains(said), "{body}: {}", answer.problem());
    }
    push(&service, &[&secret], "{half").await;
    let kept = service.json("/api/v1/rejected").await["items"].as_array().unwrap().clone();
    assert_eq!(kept.len(), cases.len(), "each text once: {kept:?}");
    assert!(kept.iter().any(|it| it["raw"] == "{half"), "{kept:?}");
    assert_eq!(metric(&service, "rejected").await, 5);
    let said = service.log().matches("an event could not be understood").count();
    assert_eq!(said, 1, "the first is said, and no flood: {}", service.log());

    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(300 * 1024));
    let answer = push(&service, &[&secret], &large).await;
    assert_eq!(answer.status, 413);
    assert!(answer.problem().contains("at most 256 KiB"));
    assert_eq!(metric(&service, "too_large").await, 1);
    let answer = push(&service, &[&secret], &pushed("v1", 1_790_000_000)).await;
    assert_eq!(answer.status, 200, "and what is whole is taken");
    until("it is told", async || receiver.by_id().len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stand_in_s_webhook_is_taken_in_while_the_service_is_killed() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let service = start(&folder, &receiver).await;
    let stand = Stand::start(&["shop/api"]).await;
    let (stop, world) = (CancellationToken::new(), stand.world.clone());
    let hook = |service: &Service| Hook {
        url: format!("{}/ingest/shop", service.url),
        header: ("X-Bell".to_owned(), SECRET.to_owned()),
        tries: 3,
    };
    let calling = tokio::spawn({
        let (hook, stop) = (hook(&service), stop.clone());
        async move { call_hook(&world, hook, stop).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    stand.push("shop/api", 100);
    until("all are told", async || receiver.by_id().len() == 100).await;
    // What was answered outlives the process.
    stand.push("shop/api", 50);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut service = service;
    service.child.kill().await.unwrap();
    stop.cancel();
    let answered = calling.await.unwrap().unwrap();
    let service = Service::again(folder.path(), &[]).await;
    // The registry sends all of it again, to be sure.
    for row in stand.world.rows("shop/api") {
        let answer = push(&service, &[&with_secret()], &event(&row).to_string()).await;
        assert_eq!(answer.status, 200);
    }
    until("all are told", async || receiver.by_id().len() == 150).await;
    let total: Value = service.json("/api/v1/status").await["sources"]["shop"].clone();
    let (entries, known) = (&total["entries"], &total["push"]["known"]);
    eprintln!("answered before: {answered}; after the start {entries} taken, {known} known");
    let known = known.as_u64().unwrap();
    assert!(known >= answered, "what was answered was there: {answered} of {known}");
}
