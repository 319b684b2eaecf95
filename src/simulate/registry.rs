//! The stand-in registry: serves a [`World`] in both generations of the trigger log API.
//!
//! `GET` or `POST /v2/index.php` speaks API 2.0 (`ListTriggerLog`, `ListTrigger`,
//! `SearchUserRepository`), `/` speaks API 3.0 (`DescribeApplicationTriggerLogPersonal`,
//! `DescribeRepositoryOwnerPersonal`, and of the enterprise edition `DescribeWebhookTriggerLog` and
//! `DescribeNamespaces`), as the contract `trigger-log-api` has them and as the vendor's official
//! clients expect them. Every answer carries a `Date`; refusals come with HTTP
//! 200; faults come as asked for. Deliberately absent: TLS, rates of its own (the fault `throttle`
//! refuses), and rows (see [`World`] and [`Feed`]).
//!
//! [`Feed`]: super::feed::Feed

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    response::Response,
    routing::any,
};
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    answer::Style,
    enterprise::{Offsets, REGISTRY_ID},
    faults::{Drawn, Fault, Faults},
    gate::{BODY_LIMIT_BYTES, Gate, Generation},
    question::{Question, Subject},
    refusal::Refusal,
    serve::{Now, Server, machine_clock},
    world::{Slice, World},
};

/// The path of API 2.0.
const PATH_2: &str = "/v2/index.php";

/// How far a skewed `Date` is ahead.
const SKEW: Duration = Duration::from_secs(600);

/// What the fault `huge` puts before an answer.
const HUGE_BYTES: usize = 10 * 1024 * 1024;

/// What callers sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `SecretId`.
    pub secret_id: String,
    /// `SecretKey`.
    pub secret_key: String,
    /// `Token`: where set, every request must carry it; where not, none may.
    pub token: Option<String>,
}

impl Credentials {
    /// Credentials made up from a seed, in the usual form, of use nowhere else.
    pub fn generated(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5ec2_e75e);
        let mut text = |length: usize| (0..length).map(|_| rng.alphanumeric()).collect::<String>();
        Self { secret_id: format!("AKID{}", text(32)), secret_key: text(32), token: None }
    }
}

/// How a registry behaves.
#[derive(Clone)]
pub struct RegistrySettings {
    /// What callers sign with.
    pub credentials: Credentials,
    /// What goes wrong, how often.
    pub faults: Faults,
    /// Chance begins here: the same seed and requests give the same faults.
    pub seed: u64,
    /// The registry's clock.
    pub now: Now,
    /// How long the fault `slow` takes.
    pub slow_for: Duration,
    /// The account sees only some of the repositories, and is told so.
    pub partial: bool,
    /// What the offsets of the enterprise edition count.
    pub offsets: Offsets,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            credentials: Credentials::generated(0),
            faults: Faults::default(),
            seed: 0,
            now: machine_clock(),
            slow_for: Duration::from_secs(20),
            partial: false,
            offsets: Offsets::default(),
        }
    }
}

/// How many requests there were, by how they were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Let in and answered, whatever faults befell the answer.
    pub answered: u64,
    /// Refused, be it by a fault.
    pub refused: u64,
    /// Met at least one fault.
    pub faulty: u64,
}

/// A registry that is being served. It ends when this is dropped.
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    world: Arc<World>,
    credentials: Credentials,
    gate: Gate,
    chance: Mutex<Chance>,
    now: Now,
    slow_for: Duration,
    partial: bool,
    offsets: Offsets,
    stop: CancellationToken,
}

struct Chance {
    faults: Faults,
    rng: fastrand::Rng,
    counts: RequestCounts,
}

/// The chance of one request, drawn at its beginning.
struct Luck {
    met: Drawn,
    number: u64,
    request_id: String,
}

impl Registry {
    /// Serves a world on a listener until `shutdown`, [`Registry::stop`] or drop.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn start(
        listener: TcpListener,
        world: Arc<World>,
        settings: RegistrySettings,
        shutdown: &CancellationToken,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stop = shutdown.child_token();
        let Credentials { secret_id, secret_key, token } = settings.credentials.clone();
        let shared = Arc::new(Shared {
            world,
            credentials: settings.credentials,
            gate: Gate::new(secret_id, secret_key, token),
            chance: Mutex::new(Chance {
                faults: settings.faults,
                rng: fastrand::Rng::with_seed(settings.seed),
                counts: RequestCounts::default(),
            }),
            now: settings.now,
            slow_for: settings.slow_for,
            partial: settings.partial,
            offsets: settings.offsets,
            stop: stop.clone(),
        });
        let app = Router::new()
            .route(PATH_2, any(two))
            .route("/", any(three))
            .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
            .with_state(shared.clone());
        Ok(Self { address, shared, server: Server::start(listener, app, stop) })
    }

    /// `http://ADDRESS:PORT`, without a slash: the endpoint of API 3.0.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The endpoint of API 2.0.
    pub fn ccr_endpoint(&self) -> String {
        format!("http://{}{PATH_2}", self.address)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What callers sign with.
    pub fn credentials(&self) -> &Credentials {
        &self.shared.credentials
    }

    /// The world that is served.
    pub fn world(&self) -> &Arc<World> {
        &self.shared.world
    }

    /// Sets the probability of a fault from now on, from 0 to 1.
    pub fn set_fault(&self, fault: Fault, chance: f64) {
        self.shared.chance().faults.set(fault, chance);
    }

    /// Makes the next request meet this fault and no other; several calls queue up.
    pub fn fault_once(&self, fault: Fault) {
        self.shared.chance().faults.once(fault);
    }

    /// How many requests there were.
    pub fn requests(&self) -> RequestCounts {
        self.shared.chance().counts
    }

    /// How many pages of each repository were asked for.
    pub fn pages_asked(&self) -> BTreeMap<Arc<str>, u64> {
        let world = &self.shared.world;
        world.repos().into_iter().map(|repo| (repo.clone(), world.pages_asked(&repo))).collect()
    }

    /// Ends it: idle connections at once, others within two seconds.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

async fn two(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.respond(Generation::Two, request).await
}

async fn three(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.respond(Generation::Three, request).await
}

impl Shared {
    fn chance(&self) -> MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn luck(&self) -> Luck {
        let chance = &mut *self.chance();
        let met = chance.faults.draw(&mut chance.rng);
        chance.counts.faulty += u64::from(met.any());
        let (number, other) = (chance.rng.u64(..), chance.rng.u64(..));
        let hex = format!("{number:016x}{other:016x}");
        let request_id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        Luck { met, number, request_id }
    }

    async fn respond(&self, generation: Generation, request: Request) -> Response {
        let luck = self.luck();
        if luck.met.has(Fault::Slow) {
            tokio::select! {
                () = tokio::time::sleep(self.slow_for) => {}
                () = self.stop.cancelled() => {}
            }
        }
        let (status, kind, body) = if luck.met.has(Fault::Error500) {
            (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", b"internal server error\n".to_vec())
        } else if luck.met.has(Fault::Html) {
            (StatusCode::OK, "text/html", gateway_page())
        } else {
            (StatusCode::OK, "application/json", self.answer(generation, request, &luck).await)
        };
        self.send(status, kind, body, luck.met)
    }

    async fn answer(&self, generation: Generation, request: Request, luck: &Luck) -> Vec<u8> {
        let style = Style {
            generation,
            loose: luck.met.has(Fault::Loose),
            request_id: luck.request_id.clone(),
        };
        let now = (self.now)().as_second();
        let answer = match self.gate.admit(generation, request, now).await {
            Ok(call) => feigned_refusal(luck.met)
                .map_or_else(|| Question::read(&call), Err)
                .and_then(|question| self.look_up(&question, &style, luck)),
            Err(refusal) => Err(refusal),
        };
        let counts = &mut self.chance().counts;
        match answer {
            Ok(body) => {
                counts.answered += 1;
                body
            }
            Err(refusal) => {
                counts.refused += 1;
                style.refusal(&refusal)
            }
        }
    }

    fn look_up(&self, question: &Question, style: &Style, luck: &Luck) -> Result<Vec<u8>, Refusal> {
        let window = |total: usize| {
            let from = question.offset.min(total);
            from..from.saturating_add(question.limit).min(total)
        };
        match question.subject {
            Subject::TriggerLog => self.trigger_log(question, style, luck),
            Subject::Triggers => {
                let mut all = self.world.triggers();
                all.retain(|(repo, row)| {
                    question.repo.as_deref().is_none_or(|wanted| wanted == &**repo)
                        && question
                            .trigger
                            .as_deref()
                            .is_none_or(|name| row.trigger.as_deref() == Some(name))
                });
                Ok(style.triggers(all.len(), &all[window(all.len())]))
            }
            Subject::Repos => {
                let mut all = self.world.repos();
                all.retain(|repo| {
                    let namespace = repo.split_once('/').map_or("", |(namespace, _)| namespace);
                    question.repo.as_deref().is_none_or(|wanted| wanted == &**repo)
                        && question.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
                });
                Ok(style.repos(all.len(), &all[window(all.len())], self.partial))
            }
            Subject::WebhookLog => {
                known_registry(question)?;
                let namespace = question.namespace.as_deref().unwrap_or_default();
                let all = self.world.namespace(namespace).ok_or_else(|| {
                    Refusal::no_repo(format!("namespace {namespace} does not exist"))
                })?;
                Ok(style.webhook_log(all.len(), &all[self.enterprise_window(question, all.len())]))
            }
            Subject::Namespaces => {
                known_registry(question)?;
                let all = self.world.namespaces();
                Ok(style.namespaces(all.len(), &all[self.enterprise_window(question, all.len())]))
            }
        }
    }

    /// The rows that are asked for, by what offsets count.
    fn enterprise_window(&self, question: &Question, total: usize) -> std::ops::Range<usize> {
        let from = self.offsets.first_row(question.offset, question.limit).min(total);
        from..from.saturating_add(question.limit).min(total)
    }

    fn trigger_log(
        &self,
        question: &Question,
        style: &Style,
        luck: &Luck,
    ) -> Result<Vec<u8>, Refusal> {
        let repo = question.repo.as_deref().unwrap_or_default();
        if luck.met.has(Fault::Expire) {
            self.world.expire(repo, 10);
        }
        let slice = Slice {
            offset: question.offset,
            limit: question.limit,
            ascending: question.ascending,
            by: question.by,
            shuffle: luck.met.has(Fault::Shuffle).then_some(luck.number),
        };
        let rows = self
            .world
            .slice(repo, slice)
            .ok_or_else(|| Refusal::no_repo(format!("(100004)repository {repo} does not exist")))?;
        let total = match luck.met.has(Fault::Total) {
            // Nothing, half of it, or more than there is.
            true => [0, rows.total / 2, rows.total + 1 + luck.number as usize % 50]
                [luck.number as usize / 64 % 3],
            false => rows.total,
        };
        Ok(style.trigger_log(total, &rows.rows))
    }

    fn send(&self, status: StatusCode, kind: &'static str, body: Vec<u8>, met: Drawn) -> Response {
        let seconds = u64::try_from((self.now)().as_second()).unwrap_or_default();
        let mut date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        if met.has(Fault::Skew) {
            date += SKEW;
        }
        let response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, kind)
            .header(header::DATE, httpdate::fmt_http_date(date));
        let body = twisted(body, met);
        let response = if met.has(Fault::Hangup) {
            let length = body.len();
            let half = Bytes::from(body).slice(..length / 2);
            response
                .header(header::CONTENT_LENGTH, length)
                .body(Body::from_stream(stream::iter([half]).map(Ok).chain(stream::once(broken()))))
        } else {
            response.body(Body::from(body))
        };
        response.expect("these headers are valid")
    }
}

fn known_registry(question: &Question) -> Result<(), Refusal> {
    match question.registry.as_deref() {
        Some(REGISTRY_ID) => Ok(()),
        Some(other) => Err(Refusal::no_registry(format!("the registry {other} does not exist"))),
        None => Err(Refusal::missing_parameter("The parameter `RegistryId` is missing.")),
    }
}

/// The rest of an answer that breaks off, a moment after what came before has been sent.
async fn broken() -> io::Result<Bytes> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    Err(io::Error::other("hanging up, as asked"))
}

/// The refusal that a fault asks for.
fn feigned_refusal(met: Drawn) -> Option<Refusal> {
    if met.has(Fault::Throttle) {
        Some(Refusal::throttled("Your current request times equals to 21 in a second."))
    } else if met.has(Fault::Auth) {
        Some(Refusal::bad_signature("The provided credentials could not be validated."))
    } else if met.has(Fault::Clock) {
        Some(Refusal::replayed("The request's time or nonce can't be accepted."))
    } else if met.has(Fault::Retired) {
        Some(Refusal::retired("This API is offline for this account."))
    } else {
        None
    }
}

/// The bytes of an answer, with what faults do to bytes.
fn twisted(mut body: Vec<u8>, met: Drawn) -> Vec<u8> {
    if met.has(Fault::Truncated) {
        body.truncate(body.len() / 2);
    }
    if met.has(Fault::Garbled) {
        // Within the first name, so that no reader can step over it.
        body.splice(2.min(body.len())..2.min(body.len()), [0xff, 0xfe, 0xc3]);
    }
    if met.has(Fault::Huge) {
        body.splice(..0, std::iter::repeat_n(b' ', HUGE_BYTES));
    }
    body
}

fn gateway_page() -> Vec<u8> {
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
      Gateway</h1></center>\r\n<hr><center>stgw</center>\r\n</body>\r\n</html>\r\n"
        .to_vec()
}
