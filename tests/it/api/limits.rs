//! Requests that nobody should send: too large, too slow, too many, and no HTTP at all.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::Bell;
use crate::support::http;

const RETRY: &str = "POST /api/v1/notifications/00000000000000000000000000000000/retry";
const JSON: &str = "Content-Type: application/json";

/// More than the longest limit of the API, and less than for ever.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_its_length_is_said_or_not() {
    let bell = Bell::of_failures(0).await;
    let large = format!("{{\"receiver\":\"{}\"}}", "x".repeat(70_000));
    let answer = http::send(bell.port(), RETRY, &[JSON], &large).await;
    assert_eq!(answer.status, 413);
    assert!(answer.problem().contains("64 KiB"));
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let answer =
        http::send(bell.port(), RETRY, &[JSON, "Transfer-Encoding: chunked"], &chunk).await;
    assert_eq!(answer.status, 413);
    answer.problem();
    let huge = [JSON, "Content-Length: 99999999999"];
    assert_eq!(http::send(bell.port(), RETRY, &huge, &large).await.status, 413);
    let fits = format!("{{\"receiver\":\"{}\"}}", "x".repeat(60_000));
    assert_eq!(http::send(bell.port(), RETRY, &[JSON], &fits).await.status, 404);
}

#[tokio::test]
async fn a_body_that_is_not_of_the_form_is_refused() {
    let bell = Bell::of_failures(0).await;
    for body in ["{", "[]", "7", "{\"reciever\": \"x\"}", "{\"receiver\": 7}", "\u{0}", "{} {}"] {
        let answer = http::send(bell.port(), RETRY, &[JSON], body).await;
        assert_eq!(answer.status, 400, "{body:?}");
        let problem = answer.problem();
        assert!(problem.contains("not of the form"), "{body:?}");
        // In words of JSON, not of this program's.
        assert!(!problem.contains("struct"), "{body:?}: {problem}");
    }
    for body in ["[]", "7", "[\"audit\"]"] {
        let answer = http::send(bell.port(), RETRY, &[JSON], body).await;
        assert!(answer.problem().contains("a JSON object is expected"), "{body:?}");
    }
}

#[tokio::test]
async fn a_head_that_drips_is_cut() {
    let bell = Bell::of_failures(0).await;
    let mut stream = TcpStream::connect(("127.0.0.1", bell.port())).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b"X-Drip: 1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let mut bytes = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut bytes);
    assert!(tokio::time::timeout(SOON, ended).await.is_ok(), "it was let drip on");
    dripping.abort();
    assert!(!String::from_utf8_lossy(&bytes).contains("200 OK"));
    assert_eq!(bell.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_body_that_drips_is_cut_with_a_problem() {
    let bell = Bell::of_failures(0).await;
    let mut stream = TcpStream::connect(("127.0.0.1", bell.port())).await.unwrap();
    let head = format!(
        "{RETRY} HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}\r\nContent-Length: 10\r\n\
         Connection: close\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(SOON, http::read(&mut stream)).await.expect("let drip on");
    assert_eq!(answer.status, 408);
    assert!(answer.problem().contains("did not arrive"));
}

#[tokio::test]
async fn three_hundred_idle_connections_do_not_lock_the_api_out_for_ever() {
    let bell = Bell::of_failures(0).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(("127.0.0.1", bell.port())).await.unwrap());
    }
    let answer = tokio::time::timeout(SOON, bell.get("/healthz")).await;
    assert_eq!(answer.expect("the API is locked out").status, 200);
    drop(idle);
}

#[tokio::test]
async fn connections_kept_alive_after_an_answer_do_not_lock_it_out_either() {
    let bell = Bell::of_failures(0).await;
    let mut idle = Vec::new();
    for _ in 0..260 {
        let mut stream = TcpStream::connect(("127.0.0.1", bell.port())).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        idle.push(stream);
    }
    let answer = tokio::time::timeout(SOON, bell.get("/healthz")).await;
    assert_eq!(answer.expect("the API is locked out").status, 200);
    drop(idle);
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_harms_nothing() {
    let bell = Bell::of_failures(0).await;
    let long_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(1_000_000));
    let many: String = (0..500).map(|number| format!("X-{number}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    let twice = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"hello\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        long_header.into_bytes(),
        many.into_bytes(),
        long_path.into_bytes(),
        twice.as_bytes().to_vec(),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        let answer = http::exchange(bell.port(), &bytes).await;
        assert!(answer.status == 0 || (400..500).contains(&answer.status), "{shown}: {answer:?}");
    }
    assert_eq!(bell.get("/healthz").await.status, 200);
    assert!(!bell.service.log().contains("panic"), "{}", bell.service.log());
}
