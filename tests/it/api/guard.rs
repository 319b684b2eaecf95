//! Who may read and who may write.

use super::{Bell, line, moment};
use crate::support::{
    http::{self, Answer},
    receiver::{Receiver, Reply},
};

const TOKEN: &str = "the-token-of-this-test";

/// A service with a dead letter, and the path of its retry.
async fn with_dead_letter(api: &str) -> (Bell, String) {
    let receiver = Receiver::answering(|_, _| Reply::status(400)).await;
    let bell = Bell::start(&line(1, "v1", 1), api, receiver).await;
    let lines = [format!("Authorization: Bearer {TOKEN}")];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let mut id = None;
    crate::support::process::until("there is a dead letter", async || {
        let path = "GET /api/v1/notifications?state=dead";
        let list = http::send(bell.port(), path, &lines, "").await.json();
        id = list["items"][0]["id"].as_str().map(str::to_owned);
        id.is_some()
    })
    .await;
    (bell, format!("/api/v1/notifications/{}/retry", id.unwrap()))
}

#[tokio::test]
async fn without_a_token_writing_works_on_loopback_under_names_that_no_stranger_has() {
    let (bell, path) = with_dead_letter("").await;
    let port = bell.port();
    let write = async |lines: &[&str]| bell.post(&path, lines, "{}").await;
    let host = |name: &str| format!("Host: {name}:{port}");
    for name in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"] {
        assert_eq!(write(&[&host(name)]).await.status, 202, "{name}");
        settled(&bell).await;
    }
    let own = format!("Origin: http://127.0.0.1:{port}");
    assert_eq!(write(&[&own]).await.status, 202);
    settled(&bell).await;
    let refused = [
        vec![host("evil.example")],
        vec![host("127.0.0.1.evil.example")],
        vec![host("localhost.evil.example")],
        vec![host("triggerbell")],
        vec!["Host:".to_owned()],
        vec![host("evil.example"), format!("Origin: http://evil.example:{port}")],
        vec!["Origin: https://evil.example".to_owned()],
        vec!["Origin: null".to_owned()],
        vec!["Origin:".to_owned()],
        vec![format!("Origin: http://127.0.0.1:{}", port.wrapping_add(1))],
        vec![format!("Origin: http://localhost:{port}")],
    ];
    for lines in refused {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let answer = write(&lines).await;
        assert_eq!(answer.status, 403, "{lines:?}");
        answer.problem();
    }
    let before = bell.receiver.count();
    moment().await;
    assert_eq!(bell.receiver.count(), before, "what was refused did nothing");
}

/// Waits until nothing waits.
async fn settled(bell: &Bell) {
    bell.notifications("state=dead", 1).await;
}

#[tokio::test]
async fn a_write_needs_a_json_body_type() {
    let (bell, path) = with_dead_letter("").await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let line = format!("Content-Type: {kind}");
        let answer = http::send(bell.port(), &format!("POST {path}"), &[&line], "{}").await;
        assert_eq!(answer.status, 415, "{kind:?}");
        assert!(answer.problem().contains("application/json"));
    }
    assert_eq!(http::send(bell.port(), &format!("POST {path}"), &[], "{}").await.status, 415);
    for (kind, body) in [("Application/JSON; charset=utf-8", "{}"), ("application/json", "")] {
        let line = format!("Content-Type: {kind}");
        let answer = http::send(bell.port(), &format!("POST {path}"), &[&line], body).await;
        assert_eq!(answer.status, 202, "{kind}");
        settled(&bell).await;
    }
}

#[tokio::test]
async fn without_a_token_nobody_writes_where_others_can_reach_it() {
    let (bell, path) = with_dead_letter("  listen: 0.0.0.0:0\n").await;
    let answer = bell.post(&path, &[], "{}").await;
    assert_eq!(answer.status, 403);
    assert!(answer.problem().contains("api.token"), "the remedy is said: {}", answer.problem());
    assert_eq!(bell.get("/api/v1/notifications").await.status, 200, "reading works");
}

#[tokio::test]
async fn with_a_token_reading_takes_it_too_and_health_never_does() {
    let api = format!("  token: {TOKEN}\n");
    let (bell, path) = with_dead_letter(&api).await;
    let right = format!("Authorization: Bearer {TOKEN}");
    let read =
        async |lines: &[&str]| http::send(bell.port(), "GET /api/v1/status", lines, "").await;
    assert_eq!(read(&[&right]).await.status, 200);
    assert_eq!(read(&[&right.replace("Bearer", "bearer")]).await.status, 200);
    let unauthorised = |answer: Answer| {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        assert!(!answer.problem().contains(TOKEN));
    };
    for wrong in [
        "Authorization: Bearer".to_owned(),
        "Authorization: Bearer x".to_owned(),
        format!("Authorization: Bearer {TOKEN}x"),
        format!("Authorization: Bearer {}", &TOKEN[1..]),
        format!("Authorization: Basic {TOKEN}"),
        format!("Authorization: {TOKEN}"),
        format!("X-Token: {TOKEN}"),
    ] {
        unauthorised(read(&[&wrong]).await);
    }
    for path in ["entries", "notifications", "rules", "rejected", "entries/x/explain"] {
        unauthorised(bell.get(&format!("/api/v1/{path}")).await);
        unauthorised(bell.get(&format!("/api/v1/{path}?token={TOKEN}")).await);
    }
    unauthorised(bell.post(&path, &[], "{}").await);
    for path in ["/healthz", "/readyz", "/metrics", "/"] {
        assert_eq!(bell.get(path).await.status, 200, "{path}");
    }
    assert_eq!(bell.post(&path, &[&right], "{}").await.status, 202);
    settled_with(&bell, &right).await;
    let foreign = [&*right, "Origin: https://evil.example"];
    assert_eq!(bell.post(&path, &foreign, "{}").await.status, 403);
    let rebound = [&*right, "Host: evil.example"];
    let answer = bell.post(&path, &rebound, "{}").await;
    assert_eq!(answer.status, 403);
    assert!(answer.problem().contains("api.public_url"), "{}", answer.problem());
    assert_eq!(bell.post(&path, &[&right, "Host: triggerbell:8080"], "{}").await.status, 202);
    assert!(!bell.service.log().contains(TOKEN));
}

#[tokio::test]
async fn a_token_in_a_file_is_replaced_while_the_service_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let api = format!("  token_file: {}\n", file.display());
    let bell = Bell::start(&line(1, "v1", 1), &api, Receiver::start().await).await;
    let read = async |token: &str| {
        let shown = format!("Authorization: Bearer {token}");
        http::send(bell.port(), "GET /api/v1/status", &[&shown], "").await.status
    };
    assert_eq!(read("old").await, 200);
    std::fs::write(&file, "new\n").unwrap();
    assert_eq!(read("new").await, 200, "as soon as it is shown");
    assert_eq!(read("old").await, 401, "and then the old one is worth nothing");
    std::fs::remove_file(&file).unwrap();
    assert_eq!((read("old").await, read("new").await), (401, 200), "what was read last stands");
}

async fn settled_with(bell: &Bell, right: &str) {
    crate::support::process::until("it is dead again", async || {
        let path = "GET /api/v1/notifications?state=dead";
        let list = http::send(bell.port(), path, &[right], "").await.json();
        list["items"].as_array().is_some_and(|items| items.len() == 1)
    })
    .await;
}

#[tokio::test]
async fn the_public_url_is_a_name_of_ours() {
    let (bell, path) = with_dead_letter("  public_url: https://bell.example.internal\n").await;
    for lines in [
        vec!["Host: bell.example.internal"],
        vec!["Host: Bell.Example.Internal:443", "Origin: https://bell.example.internal"],
        // A proxy before it that rewrites the Host.
        vec!["Host: 127.0.0.1", "Origin: https://bell.example.internal"],
    ] {
        assert_eq!(bell.post(&path, &lines, "{}").await.status, 202, "{lines:?}");
        settled(&bell).await;
    }
    let other = ["Host: bell.example.internal.evil.example"];
    assert_eq!(bell.post(&path, &other, "{}").await.status, 403);
}
