//! The far side: reads requests off a socket and answers as it is told, well or badly.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

/// How the far side answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These bytes; then the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes; then it hangs up.
    BytesThenHangUp(Vec<u8>),
    /// Nothing, ever.
    Silence,
    /// These bytes, then one more every few milliseconds, for ever.
    Drip(Vec<u8>),
    /// These bytes, then more as fast as they are taken, for ever.
    Flood(Vec<u8>),
}

/// An HTTP answer with a length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    Reply::Bytes(answer_bytes(status, headers, body))
}

pub(crate) fn answer_bytes(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Whatever\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if status != 204 && status != 304 {
        text += &format!("content-length: {}\r\n", body.len());
    }
    (text + "\r\n" + body).into_bytes()
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Which connection it came over, from 0.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Method and path.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

type Decider = Box<dyn Fn(&Seen) -> Option<Reply> + Send>;

#[derive(Default)]
struct State {
    /// Answers in turn; the last goes on.
    replies: Vec<Reply>,
    seen: Vec<Seen>,
    /// Requests for an access token, which come before what a test is about.
    asked: Vec<Seen>,
    /// How those are answered, in turn; the last goes on. None are granted.
    grants: Vec<Reply>,
    /// Answers some requests before the replies in turn do.
    decider: Option<Decider>,
    flooded: usize,
}

/// A far side on loopback. Its task ends with it.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn new(reply: Reply) -> Self {
        Self::in_turn(vec![reply]).await
    }

    /// Answers each request with the next reply; the last goes on.
    pub(crate) async fn in_turn(replies: Vec<Reply>) -> Self {
        Self::start(replies, None).await
    }

    pub(crate) async fn tls(reply: Reply, acceptor: tokio_rustls::TlsAcceptor) -> Self {
        Self::start(vec![reply], Some(acceptor)).await
    }

    async fn start(replies: Vec<Reply>, acceptor: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let state = Arc::new(Mutex::new(State { replies, ..Default::default() }));
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&state);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                connections.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    match acceptor {
                        None => serve(stream, &shared, number).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, &shared, number).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, scheme, state, _serving: serving }
    }

    /// Where it is, without a path.
    pub(crate) fn base(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Its base by name.
    pub(crate) fn base_by_name(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    pub(crate) fn reply_with(&self, reply: Reply) {
        self.state.lock().unwrap().replies = vec![reply];
    }

    /// Answers requests for a token in turn, in place of granting one; the last goes on.
    pub(crate) fn grant(&self, replies: Vec<Reply>) {
        self.state.lock().unwrap().grants = replies;
    }

    /// Lets `decide` answer the requests that it has an answer to.
    pub(crate) fn decide(&self, decide: impl Fn(&Seen) -> Option<Reply> + Send + 'static) {
        self.state.lock().unwrap().decider = Some(Box::new(decide));
    }

    /// The requests for a token so far.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        self.state.lock().unwrap().asked.clone()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// How much a flood could write.
    pub(crate) fn flooded(&self) -> usize {
        self.state.lock().unwrap().flooded
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &Mutex<State>,
    number: usize,
) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, number).await {
        let reply = {
            let mut state = state.lock().unwrap();
            if request.line().contains("/cgi-bin/gettoken?") {
                let granted = granted(&request);
                state.asked.push(request);
                next(&mut state.grants).unwrap_or(granted)
            } else {
                let decided = state.decider.as_ref().and_then(|decide| decide(&request));
                state.seen.push(request);
                decided.or_else(|| next(&mut state.replies)).unwrap_or(Reply::Silence)
            }
        };
        match reply {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::BytesThenHangUp(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Silence => std::future::pending().await,
            Reply::Drip(bytes) => {
                let _ = stream.write_all(&bytes).await;
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                return;
            }
            Reply::Flood(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let chunk = [b'x'; 64 * 1024];
                while let Ok(written) = stream.write(&chunk).await {
                    state.lock().unwrap().flooded += written;
                }
                return;
            }
        }
    }
}

/// The first of some replies; the last one stays.
fn next(replies: &mut Vec<Reply>) -> Option<Reply> {
    if replies.len() > 1 { Some(replies.remove(0)) } else { replies.first().cloned() }
}

/// A token that holds the secret it was asked with, so that a leak of either shows.
fn granted(request: &Seen) -> Reply {
    let secret = request.line().split("corpsecret=").nth(1).unwrap_or_default();
    let secret = secret.split([' ', '&']).next().unwrap_or_default();
    token(&format!("token-for-{secret}"), 7200)
}

/// The answer that grants a token.
pub(crate) fn token(token: &str, expires_in: i64) -> Reply {
    let body = format!(
        r#"{{"errcode":0,"errmsg":"ok","access_token":"{token}","expires_in":{expires_in}}}"#
    );
    answer(200, &[("content-type", "application/json")], &body)
}

async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    connection: usize,
) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let mut seen = Seen { head, body: Vec::new(), connection };
            let length: usize =
                seen.header("content-length").map_or(0, |text| text.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                seen.body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some(seen);
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
