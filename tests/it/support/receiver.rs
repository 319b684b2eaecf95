//! A receiver on loopback: takes requests, notes them, and answers as it is told.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio_util::sync::CancellationToken;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) at: Instant,
    /// The status that it was answered with; 299 for an answer that broke off.
    pub(crate) status: u16,
}

impl Seen {
    /// The notification's id.
    pub(crate) fn id(&self) -> String {
        self.headers["webhook-id"].to_str().unwrap().to_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) after: Duration,
    /// Answer only when this is cancelled.
    pub(crate) until: Option<CancellationToken>,
    /// Hang up in the middle of the answer.
    pub(crate) hang_up: bool,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: "ok".to_owned(),
            after: Duration::ZERO,
            until: None,
            hang_up: false,
        }
    }

    /// A header more.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Another body.
    pub(crate) fn body(self, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Only when this is cancelled.
    pub(crate) fn until(self, gate: &CancellationToken) -> Self {
        Self { until: Some(gate.clone()), ..self }
    }

    /// Whether a sender may take it for a success.
    const fn accepts(&self) -> bool {
        matches!(self.status, 200..=299) && !self.hang_up
    }
}

type Script = Box<dyn Fn(usize, &Seen) -> Reply + Send + Sync>;

struct Inner {
    seen: Mutex<Vec<Seen>>,
    count: AtomicUsize,
    script: Script,
}

/// A receiver that answers by a script of the request's number, from 0, and the request.
#[derive(Clone)]
pub(crate) struct Receiver {
    inner: Arc<Inner>,
    pub(crate) url: String,
}

impl Receiver {
    /// A receiver that says `ok` to everything.
    pub(crate) async fn start() -> Self {
        Self::answering(|_, _| Reply::status(200)).await
    }

    pub(crate) async fn answering(
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let inner = Arc::new(Inner {
            seen: Mutex::default(),
            count: AtomicUsize::default(),
            script: Box::new(script),
        });
        let router = Router::new().fallback(take).with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inner, url }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.inner.seen.lock().unwrap().len()
    }

    /// What came since the first `from` requests.
    pub(crate) fn since(&self, from: usize) -> Vec<Seen> {
        self.inner.seen.lock().unwrap()[from..].to_vec()
    }

    /// How often each notification came, by its id.
    pub(crate) fn by_id(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for seen in self.inner.seen.lock().unwrap().iter() {
            *counts.entry(seen.id()).or_default() += 1;
        }
        counts
    }
}

async fn take(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let method = method.to_string();
    let mut seen =
        Seen { method, path: uri.to_string(), headers, body, at: Instant::now(), status: 0 };
    let number = inner.count.fetch_add(1, Ordering::Relaxed);
    let reply = (inner.script)(number, &seen);
    seen.status = if reply.accepts() { reply.status } else { reply.status.max(299) };
    inner.seen.lock().unwrap().push(seen);
    tokio::time::sleep(reply.after).await;
    if let Some(gate) = reply.until {
        gate.cancelled().await;
    }
    let status = StatusCode::from_u16(reply.status).unwrap();
    let mut response = if reply.hang_up {
        let part = Ok(Bytes::from(reply.body));
        let broken = Err(std::io::Error::other("hung up"));
        (status, Body::from_stream(stream::iter([part, broken]))).into_response()
    } else {
        (status, reply.body).into_response()
    };
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
