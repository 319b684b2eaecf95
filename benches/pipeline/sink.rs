//! The receiver: takes messages, counts them by id and notes when they came. Also a relay in front
//! of the registry that notes when each repository's last page passed, on the same clock.
//!
//! Speaks just enough HTTP for one client that keeps its connections. Commands come by standard
//! input, a line each, and each is answered by a line: `reset DELAY_MS`, `stats`, `latency`.

use std::{
    collections::HashMap,
    io::{BufRead as _, Write as _},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Default)]
struct Seen {
    delay: Duration,
    by_id: HashMap<Box<[u8]>, u32>,
    arrivals: Vec<Instant>,
    /// When the last page of a repository had passed the relay.
    pages: HashMap<Box<[u8]>, Instant>,
    /// From that to the arrival of a message about that repository, in seconds.
    latencies: Vec<f64>,
    requests: u64,
}

type Shared = Arc<Mutex<Seen>>;

/// Serves until standard input ends. Prints its own address and the relay's.
pub(crate) fn run(upstream: &str) {
    let seen = Shared::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (shared, upstream) = (seen.clone(), upstream.to_owned());
    std::thread::spawn(move || {
        runtime.block_on(async {
            let messages = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
            println!("{} {}", messages.local_addr().unwrap(), relay.local_addr().unwrap());
            loop {
                tokio::select! {
                    Ok((stream, _)) = messages.accept() => {
                        tokio::spawn(take(stream, shared.clone()));
                    }
                    Ok((stream, _)) = relay.accept() => {
                        tokio::spawn(pass(stream, upstream.clone(), shared.clone()));
                    }
                }
            }
        });
    });
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut seen = seen.lock().unwrap();
        let answer = match line.split_once(' ').unwrap_or((&line, "")) {
            ("reset", delay) => {
                let delay = Duration::from_millis(delay.parse().unwrap());
                *seen = Seen { delay, pages: std::mem::take(&mut seen.pages), ..Seen::default() };
                serde_json::Value::Null
            }
            ("stats", _) => stats(&seen),
            _ => serde_json::json!(seen.latencies),
        };
        println!("{answer}");
        std::io::stdout().flush().unwrap();
    }
}

/// Counts, and the time since the last arrival and within the middle nine tenths.
fn stats(seen: &Seen) -> serde_json::Value {
    let total: u32 = seen.by_id.values().sum();
    let arrivals = &seen.arrivals;
    let edge = arrivals.len() / 20;
    let since = arrivals.last().map(|last| last.elapsed().as_secs_f64());
    let middle = (arrivals.len() > 40)
        .then(|| (arrivals[arrivals.len() - 1 - edge] - arrivals[edge]).as_secs_f64());
    serde_json::json!({
        "distinct": seen.by_id.len(), "total": total, "since_last_s": since, "middle_s": middle,
        "middle": arrivals.len().saturating_sub(2 * edge + 1), "requests": seen.requests,
    })
}

/// One connection that brings messages.
async fn take(mut stream: TcpStream, seen: Shared) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(4096);
    while let Some((head, length)) = request(&mut stream, &mut buffer).await {
        let came = Instant::now();
        let delay = note(&seen, &buffer[..head], &buffer[head..head + length], came);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        buffer.drain(..head + length);
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
            return;
        }
    }
}

/// Reads until the buffer begins with a whole request: the lengths of its head and body.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(usize, usize)> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let head = end + 4;
            let length = header(&buffer[..head], b"content-length: ")
                .map_or(0, |text| std::str::from_utf8(text).unwrap().trim().parse().unwrap());
            if buffer.len() >= head + length {
                return Some((head, length));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn note(seen: &Shared, head: &[u8], body: &[u8], came: Instant) -> Duration {
    // A message of the script has no id: its text is one.
    let id = header(head, b"webhook-id: ").unwrap_or(body);
    let mut seen = seen.lock().unwrap();
    *seen.by_id.entry(id.into()).or_default() += 1;
    seen.arrivals.push(came);
    let repo = find(body, b"\"repo\":\"").map(|at| &body[at + 8..]);
    let repo = repo.and_then(|rest| rest.split(|&byte| byte == b'"').next());
    if let Some(&page) = repo.and_then(|repo| seen.pages.get(repo)) {
        seen.latencies.push((came - page).as_secs_f64());
    }
    seen.delay
}

/// One connection to the registry: what passes is not changed.
async fn pass(mut near: TcpStream, upstream: String, seen: Shared) {
    let Ok(mut far) = TcpStream::connect(upstream).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (mut asked, mut answer) = (Vec::new(), Vec::with_capacity(64 * 1024));
    let mut repo: Box<[u8]> = Box::default();
    loop {
        tokio::select! {
            read = near.read_buf(&mut asked) => {
                if read.unwrap_or(0) == 0 || far.write_all(&asked).await.is_err() {
                    return;
                }
                if let Some(at) = find(&asked, b"reponame=") {
                    let rest = &asked[at + 9..];
                    let name = rest.split(|byte| matches!(byte, b'&' | b' ')).next().unwrap();
                    repo = String::from_utf8_lossy(name).replace("%2F", "/").into_bytes().into();
                    seen.lock().unwrap().requests += 1;
                }
                asked.clear();
            }
            read = far.read_buf(&mut answer) => {
                if read.unwrap_or(0) == 0 || near.write_all(&answer).await.is_err() {
                    return;
                }
                seen.lock().unwrap().pages.insert(repo.clone(), Instant::now());
                answer.clear();
            }
        }
    }
}

fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = head.split(|&byte| byte == b'\n');
    lines.find_map(|line| {
        let named = line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name);
        named.then(|| &line[name.len()..])
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
