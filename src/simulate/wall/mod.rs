//! The chat wall: plays Slack, WeCom and any webhook, and shows in a browser what people would see.
//!
//! `POST /services/T…/B…/X…` answers as Slack's incoming webhooks do, `POST /api/chat.postMessage`
//! and `chat.update` as its API does for an app's token; `POST /cgi-bin/webhook/send?key=KEY` as
//! WeCom's group robots do, `GET /cgi-bin/gettoken` and `POST /cgi-bin/message/send` as its API does
//! for an app; limits and rates included. `/hook/…` takes anything. `GET /` is the page: `GET /snapshot` for its first paint, `GET
//! /events` (server-sent events) from then on; `/?still` paints once, for pictures. The page writes
//! foreign text as text only and loads nothing from elsewhere. Deliberately absent: keeping
//! messages beyond the last few, and TLS.

mod apps;
mod hooks;
mod record;
mod slack;
mod wecom;

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
    routing::{any, get, post},
};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use record::WallCounts;

use crate::domain::entry::Row;

use super::{
    serve::{Now, Server, machine_clock},
    world::{News, World},
};
use record::{Event, Record, clipped};

/// The largest message that is read.
const BODY_LIMIT_BYTES: usize = 256 * 1024;
/// How much of a webhook's body that is not JSON is shown, in characters.
const TEXT_SHOWN: usize = 4_000;
/// Characters of a summary.
const SUMMARY_MAX: usize = 160;

/// Messages that Slack takes in a second beyond its one a second.
const SLACK_BURST: usize = 4;

/// Where a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Slack: an incoming webhook, or an app in its channel.
    Slack,
    /// WeCom: a group robot, or an app.
    WeCom,
    /// Any webhook.
    Webhook,
}

impl Channel {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Slack, Self::WeCom, Self::Webhook];

    /// The channel's name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::WeCom => "wecom",
            Self::Webhook => "webhook",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A message that came in.
#[derive(Debug, Clone)]
pub struct WallMessage {
    /// Where.
    pub channel: Channel,
    /// When.
    pub at: Timestamp,
    /// Why it was refused, in the receiver's own words; `None` when it was taken.
    pub refusal: Option<String>,
    /// Its first line of text, without markup and control characters, at most 160 characters.
    pub summary: String,
    /// The whole of it.
    pub payload: Arc<Value>,
    /// Its place among Slack's messages, where an app posted it.
    pub place: Option<Place>,
}

/// Where a message of an app's stands in Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The message's `ts`; that of the one which it takes the place of, for an edit.
    pub ts: String,
    /// The `ts` of the message whose thread it is in.
    pub thread: Option<String>,
    /// Whether it takes the place of the message of that `ts`.
    pub edit: bool,
}

/// What the service under watch has done, for the page's header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ServiceCounts {
    /// Entries read.
    pub seen: u64,
    /// Entries that a rule matched.
    pub matched: u64,
    /// Messages delivered.
    pub delivered: u64,
}

/// How a wall behaves.
#[derive(Clone)]
pub struct WallSettings {
    /// The credentials in its URLs are made from this.
    pub seed: u64,
    /// The world whose rows it shows; `None` shows none.
    pub world: Option<Arc<World>>,
    /// Whether it refuses what comes too fast, as the real ones do.
    pub paced: bool,
    /// The wall's clock.
    pub now: Now,
}

impl Default for WallSettings {
    fn default() -> Self {
        Self { seed: 0, world: None, paced: true, now: machine_clock() }
    }
}

/// A wall that is being served. It ends when this is dropped.
pub struct Wall {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    record: Record,
    slack: [String; 3],
    wecom_key: String,
    apps: apps::Apps,
    paced: bool,
    pace: Mutex<Pace>,
    now: Now,
    stop: CancellationToken,
}

/// When messages were taken lately.
#[derive(Default)]
struct Pace {
    slack: VecDeque<Instant>,
    wecom: VecDeque<Instant>,
    wecom_app: VecDeque<Instant>,
}

/// A refusal in Slack's manner: a status and a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    status: StatusCode,
    word: &'static str,
}

impl Verdict {
    const fn new(status: StatusCode, word: &'static str) -> Self {
        Self { status, word }
    }
}

impl Wall {
    /// Serves a wall on a listener until `shutdown`, [`Wall::stop`] or drop.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn start(
        listener: TcpListener,
        settings: WallSettings,
        shutdown: &CancellationToken,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stop = shutdown.child_token();
        let mut rng = fastrand::Rng::with_seed(settings.seed ^ 0x3a11);
        let mut text = |length: usize| (0..length).map(|_| rng.alphanumeric()).collect::<String>();
        let shared = Arc::new(Shared {
            record: Record::new(),
            slack: [
                format!("T{}", text(8).to_ascii_uppercase()),
                format!("B{}", text(8).to_ascii_uppercase()),
                text(24),
            ],
            wecom_key: text(32),
            apps: apps::Apps::new(&mut text),
            paced: settings.paced,
            pace: Mutex::default(),
            now: settings.now,
            stop: stop.clone(),
        });
        if let Some(world) = settings.world {
            // Subscribed here, so that rows pushed from now on are not missed.
            tokio::spawn(watch(world.news(), shared.clone()));
        }
        let app = router(shared.clone());
        Ok(Self { address, shared, server: Server::start(listener, app, stop) })
    }

    /// `http://ADDRESS:PORT`, where the page is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its Slack webhook, as a `slack` receiver takes it.
    pub fn slack_webhook_url(&self) -> String {
        format!("{}/services/{}", self.url(), self.shared.slack.join("/"))
    }

    /// Where Slack's API is, as a `slack` receiver takes it.
    pub fn slack_api_url(&self) -> String {
        format!("{}/api", self.url())
    }

    /// The bot token of its Slack app.
    pub fn slack_token(&self) -> &str {
        &self.shared.apps.slack_token
    }

    /// The channel that its Slack app is in.
    pub fn slack_channel(&self) -> &str {
        &self.shared.apps.slack_channel
    }

    /// The company of its WeCom app.
    pub fn wecom_corpid(&self) -> &str {
        &self.shared.apps.corpid
    }

    /// The secret of its WeCom app.
    pub fn wecom_secret(&self) -> &str {
        &self.shared.apps.secret
    }

    /// The number of its WeCom app.
    pub const fn wecom_agentid(&self) -> u32 {
        apps::AGENTID
    }

    /// What stands before `/cgi-bin/…` in the URL of its WeCom robot and app.
    pub fn wecom_base_url(&self) -> String {
        self.url()
    }

    /// The key of its WeCom robot.
    pub fn wecom_key(&self) -> &str {
        &self.shared.wecom_key
    }

    /// The whole URL of its WeCom robot.
    pub fn wecom_webhook_url(&self) -> String {
        format!("{}/cgi-bin/webhook/send?key={}", self.url(), self.shared.wecom_key)
    }

    /// The URL of a webhook that takes anything.
    pub fn webhook_url(&self) -> String {
        format!("{}/hook/audit", self.url())
    }

    /// The messages that come in from now on, refused ones too. A reader that is more than a
    /// thousand behind loses the oldest.
    pub fn messages(&self) -> broadcast::Receiver<WallMessage> {
        self.shared.record.messages()
    }

    /// Has Slack's API refuse its next request with that error.
    pub fn refuse_slack_once(&self, error: &'static str) {
        self.shared.apps.refuse_once(error);
    }

    /// Deletes a message of Slack's by its `ts`, as a person may: nothing can follow it any more.
    /// False where there is none.
    pub fn delete_slack(&self, ts: &str) -> bool {
        self.shared.apps.delete(ts)
    }

    /// Shows these rows and messages in place of all that was there; a message that has a refusal is
    /// shown as refused.
    pub fn show(&self, rows: &[Arc<Row>], messages: Vec<(Channel, Value, Option<String>)>) {
        self.shared.record.clear();
        for (id, row) in (1..).zip(rows) {
            let repo = row.repo.as_deref().unwrap_or_default().into();
            self.shared.record.row(&News { id, repo, row: row.clone(), revised: false });
        }
        for (channel, payload, refusal) in messages {
            self.shared.take(channel, payload, refusal);
        }
    }

    /// Shows in the page's header what the service has done so far.
    pub fn report(&self, counts: ServiceCounts) {
        self.shared.record.service(counts);
    }

    /// What the wall has counted.
    pub fn counts(&self) -> WallCounts {
        self.shared.record.counts()
    }

    /// Ends it: pages at once, requests under way within two seconds.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/wall.css", get(style))
        .route("/wall.js", get(script))
        .route("/snapshot", get(snapshot))
        .route("/events", get(events))
        .route("/services/{team}/{bot}/{token}", post(hooks::slack_hook))
        .route("/api/{method}", post(apps::slack_api))
        .route("/cgi-bin/webhook/send", post(hooks::wecom_hook))
        .route("/cgi-bin/gettoken", get(apps::wecom_token))
        .route("/cgi-bin/message/send", post(apps::wecom_send))
        .route("/hook/{name}", any(hooks::any_hook))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(shared)
}

/// Carries the world's news to the record until the wall ends.
async fn watch(mut news: broadcast::Receiver<News>, shared: Arc<Shared>) {
    loop {
        let one = tokio::select! {
            one = news.recv() => one,
            () = shared.stop.cancelled() => return,
        };
        match one {
            Ok(one) => shared.record.row(&one),
            // The wall shows the last rows only: what was missed would be gone by now.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

impl Shared {
    fn take(&self, channel: Channel, payload: Value, refusal: Option<String>) {
        self.take_at(channel, payload, refusal, None);
    }

    fn take_at(
        &self,
        channel: Channel,
        payload: Value,
        refusal: Option<String>,
        place: Option<Place>,
    ) {
        let summary = summary(channel, &payload);
        self.record.message(WallMessage {
            channel,
            at: (self.now)(),
            refusal,
            summary,
            payload: Arc::new(payload),
            place,
        });
    }

    /// Counts a message against what Slack takes; how long to wait when it is one too many.
    fn slack_pace(&self) -> Result<(), Duration> {
        let most = 1 + SLACK_BURST;
        self.pace(|pace| &mut pace.slack, most, Duration::from_secs(most as u64))
    }

    /// Counts a message against a limit of so many within a time; how long to wait when it is one
    /// too many.
    fn pace(
        &self,
        which: impl FnOnce(&mut Pace) -> &mut VecDeque<Instant>,
        most: usize,
        within: Duration,
    ) -> Result<(), Duration> {
        if !self.paced {
            return Ok(());
        }
        let now = Instant::now();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = which(&mut pace);
        while taken.front().is_some_and(|&first| now - first >= within) {
            taken.pop_front();
        }
        if let Some(&first) = taken.front()
            && taken.len() >= most
        {
            return Err(within - (now - first));
        }
        taken.push_back(now);
        Ok(())
    }
}

/// A body as JSON, or as text where it is none.
fn shown(body: &Bytes) -> Value {
    let text = || Value::String(clipped(&String::from_utf8_lossy(body), TEXT_SHOWN));
    serde_json::from_slice(body).unwrap_or_else(|_| text())
}

/// The first line of what a message says.
fn summary(channel: Channel, payload: &Value) -> String {
    let pointers: &[&str] = match channel {
        Channel::Slack => &["/text", "/blocks/0/text/text", "/attachments/0/fallback"],
        Channel::WeCom => &[
            "/markdown/content",
            "/markdown_v2/content",
            "/text/content",
            "/template_card/main_title/title",
            "/news/articles/0/title",
        ],
        Channel::Webhook => &["/text", "/title", "/type"],
    };
    let said = pointers.iter().find_map(|pointer| payload.pointer(pointer)?.as_str());
    let text = said.map_or_else(|| payload.to_string(), str::to_owned);
    let line = text.lines().map(plain).find(|line| !line.is_empty()).unwrap_or_default();
    clipped(&line, SUMMARY_MAX)
}

/// A line without tags, entities, emphasis and control characters.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.trim_start_matches(['#', '>', ' ']);
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start..].find('>') else { break };
        text.push_str(&rest[..start]);
        let tag = &rest[start + 1..start + length];
        if let Some((_, label)) = tag.split_once('|') {
            text.push_str(label);
        }
        rest = &rest[start + length + 1..];
    }
    text.push_str(rest);
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    text.chars()
        .filter(|c| !c.is_control() && !['*', '`'].contains(c))
        .collect::<String>()
        .trim()
        .to_owned()
}

async fn page() -> Response {
    asset("text/html; charset=utf-8", include_str!("page.html"))
}

async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page.css"))
}

async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page.js"))
}

/// A part of the page, with a policy that lets it load and run only what the wall itself serves.
fn asset(kind: &'static str, text: &'static str) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

async fn snapshot(State(shared): State<Arc<Shared>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, shared.record.snapshot()).into_response()
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn events(
    State(shared): State<Arc<Shared>>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<SseEvent, std::convert::Infallible>>> {
    // A browser that connects again says so itself.
    let last = headers.get("last-event-id").map(HeaderValue::to_str);
    let last = last.and_then(|last| last.ok()?.parse().ok()).unwrap_or(after);
    let (past, receiver) = shared.record.follow(last);
    let follower = Follower {
        lost: past.is_none(),
        past: past.unwrap_or_default().into(),
        receiver,
        stop: shared.stop.clone(),
    };
    let stream = stream::unfold(follower, |mut follower| async {
        follower.next().await.map(|event| (Ok(event), follower))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

/// One browser's place among the events.
struct Follower {
    lost: bool,
    past: VecDeque<Event>,
    receiver: broadcast::Receiver<Event>,
    stop: CancellationToken,
}

impl Follower {
    async fn next(&mut self) -> Option<SseEvent> {
        if std::mem::take(&mut self.lost) {
            return Some(SseEvent::default().event("resync").data("take the snapshot again"));
        }
        let event = match self.past.pop_front() {
            Some(event) => Ok(event),
            None => tokio::select! {
                event = self.receiver.recv() => event,
                () = self.stop.cancelled() => return None,
            },
        };
        match event {
            Ok(Event { json, .. }) if json.is_empty() => {
                Some(SseEvent::default().event("resync").data("take the snapshot again"))
            }
            Ok(Event { seq, json }) => Some(SseEvent::default().id(seq.to_string()).data(&*json)),
            Err(RecvError::Lagged(_)) => {
                Some(SseEvent::default().event("resync").data("take the snapshot again"))
            }
            Err(RecvError::Closed) => None,
        }
    }
}
