//! HTTP written by hand, for what no well-behaved client sends.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::process::PATIENCE;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The sentence of a problem, which has to be one as RFC 9457 has it.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        let names: Vec<_> = problem.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["type", "title", "status", "detail"]);
        assert_eq!(problem["status"], self.status);
        assert!(problem["type"].is_string() && problem["title"].is_string());
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// Sends a head with these lines and a body, and reads the answer to its end. `Host` and
/// `Content-Length` are added where `lines` have none.
pub(crate) async fn send(port: u16, request: &str, lines: &[&str], body: &str) -> Answer {
    let has = |name: &str| lines.iter().any(|line| line.to_lowercase().starts_with(name));
    let mut head = format!("{request} HTTP/1.1\r\n");
    if !has("host:") {
        head += &format!("Host: 127.0.0.1:{port}\r\n");
    }
    if !has("content-length:") && !has("transfer-encoding:") && !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for line in lines {
        head += &format!("{line}\r\n");
    }
    let text = format!("{head}Connection: close\r\n\r\n{body}");
    exchange(port, text.as_bytes()).await
}

/// Sends bytes and reads the answer to its end.
pub(crate) async fn exchange(port: u16, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // A server that has refused reads no further.
    let _ = stream.write_all(bytes).await;
    read(&mut stream).await
}

/// Reads an answer until the server closes.
pub(crate) async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is as good as an end.
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "the connection was not closed in {PATIENCE:?}");
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or(0), head: head.to_owned(), body: body.to_owned() }
}
