//! What others can measure: the metrics of one App, and the log.
//!
//! One registry per App, no global one. The names and their meaning are a table in docs/metrics.md,
//! which a test holds against [`Metrics::encode`]. Deliberately absent: anything that a decision
//! depends on.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use crate::ports::{Event, Observer, OutboxCount};

/// The metrics of one App.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<SourceLabels, Histogram, Seconds>,
    polls: Family<SourceLabels, Counter>,
    entries: Family<SourceLabels, Counter>,
    rejected: Family<SourceLabels, Counter>,
    gaps: Family<SourceLabels, Counter>,
    pushes: Family<RequestLabels, Counter>,
    matched: Family<RuleLabels, Counter>,
    queued: Family<ReceiverLabels, Counter>,
    held: Family<HeldLabels, Counter>,
    folded: Family<ReceiverLabels, Counter>,
    fell_back: Family<ReceiverLabels, Counter>,
    render_failures: Family<ReceiverLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    attempt_seconds: Family<ReceiverLabels, Histogram, Seconds>,
    delay_seconds: Family<ReceiverLabels, Histogram, Seconds>,
    dead: Family<ReceiverLabels, Counter>,
    waiting: Family<ReceiverLabels, Gauge>,
    oldest_seconds: Family<ReceiverLabels, Gauge<f64, AtomicU64>>,
    dead_kept: Family<ReceiverLabels, Gauge>,
    commit_seconds: Histogram,
    commit_requests: Counter,
    alarms: Family<AlarmLabels, Gauge>,
    incidents: Family<RuleLabels, Gauge>,
    groups: Gauge,
    reloads: Family<ReloadLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    source: String,
    result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReceiverLabels {
    receiver: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    receiver: String,
    class: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeldLabels {
    by: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabels {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// Makes histograms of seconds, from a millisecond to an hour.
#[derive(Debug, Clone, Copy, Default)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new([0.001, 0.005, 0.015, 0.05, 0.15, 0.5, 1.5, 5.0, 15.0, 60.0, 600.0, 3600.0])
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that have counted nothing.
    pub fn new() -> Self {
        let mut this = Self {
            registry: Registry::with_prefix("triggerbell"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(Seconds),
            polls: Family::default(),
            entries: Family::default(),
            rejected: Family::default(),
            gaps: Family::default(),
            pushes: Family::default(),
            matched: Family::default(),
            queued: Family::default(),
            held: Family::default(),
            folded: Family::default(),
            fell_back: Family::default(),
            render_failures: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(Seconds),
            delay_seconds: Family::new_with_constructor(Seconds),
            dead: Family::default(),
            waiting: Family::default(),
            oldest_seconds: Family::default(),
            dead_kept: Family::default(),
            commit_seconds: Seconds.new_metric(),
            commit_requests: Counter::default(),
            alarms: Family::default(),
            incidents: Family::default(),
            groups: Gauge::default(),
            reloads: Family::default(),
        };
        this.register_source_metrics();
        this.register_delivery_metrics();
        this
    }

    fn register_source_metrics(&mut self) {
        let build: Family<BuildLabels, Gauge> = Family::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        let registry = &mut self.registry;
        registry.register("build_info", "Always 1; the label is the version", build);
        registry.register(
            "source_requests",
            "Requests to a source by result: ok, or the class of the error",
            self.requests.clone(),
        );
        registry.register(
            "source_request_duration_seconds",
            "How long requests to a source took",
            self.request_seconds.clone(),
        );
        registry.register("polls", "Polls of repositories that ended", self.polls.clone());
        registry.register("entries", "Entries taken in", self.entries.clone());
        registry.register(
            "rejected_rows",
            "Rows that could not be understood and are kept for inspection",
            self.rejected.clone(),
        );
        registry.register("gaps", "Walks after which rows may be missing", self.gaps.clone());
        registry.register(
            "ingest_requests",
            "Events that registries sent, by what came of each",
            self.pushes.clone(),
        );
        registry.register("rule_matches", "Entries that a rule matched", self.matched.clone());
        registry.register("alarms", "Alarms that fire now", self.alarms.clone());
        registry.register(
            "reloads",
            "Reloads of the configuration by result: loaded, refused or failed",
            self.reloads.clone(),
        );
        registry.register("incidents", "Incidents that are open", self.incidents.clone());
        registry.register(
            "groups_open",
            "Groups that wait to become a message",
            self.groups.clone(),
        );
    }

    fn register_delivery_metrics(&mut self) {
        let registry = &mut self.registry;
        registry.register("notifications_queued", "Notifications queued", self.queued.clone());
        registry.register(
            "notifications_held",
            "Notifications decided and not sent, by what held them",
            self.held.clone(),
        );
        registry.register(
            "notifications_folded",
            "Notifications folded into digests",
            self.folded.clone(),
        );
        registry.register(
            "notifications_fallback",
            "Notifications that a receiver's fallback took over",
            self.fell_back.clone(),
        );
        registry.register(
            "render_failures",
            "Messages whose template failed, so that a plain one went instead",
            self.render_failures.clone(),
        );
        registry.register(
            "delivery_attempts",
            "Attempts to deliver by class: delivered, retry or permanent",
            self.attempts.clone(),
        );
        registry.register(
            "delivery_attempt_duration_seconds",
            "How long attempts to deliver took",
            self.attempt_seconds.clone(),
        );
        registry.register(
            "delivery_delay_seconds",
            "From the decision to the delivery",
            self.delay_seconds.clone(),
        );
        registry.register("notifications_dead", "Notifications given up", self.dead.clone());
        registry.register("outbox_waiting", "Notifications that wait now", self.waiting.clone());
        registry.register(
            "outbox_oldest_seconds",
            "Age of the oldest notification that waits now",
            self.oldest_seconds.clone(),
        );
        registry.register("outbox_dead", "Dead letters kept now", self.dead_kept.clone());
        registry.register(
            "store_commit_duration_seconds",
            "How long commits to the store took",
            self.commit_seconds.clone(),
        );
        registry.register(
            "store_commit_requests",
            "Writes that commits carried; several share one commit",
            self.commit_requests.clone(),
        );
    }

    /// Notes how many incidents of each rule and how many groups are open now.
    pub fn note_quiet(&self, firing: &BTreeMap<Arc<str>, u64>, groups: u64) {
        self.incidents.clear();
        for (rule, &count) in firing {
            let labels = RuleLabels { rule: rule.to_string() };
            self.incidents.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.groups.set(i64::try_from(groups).unwrap_or(i64::MAX));
    }

    /// Everything in the text format that Prometheus reads, `outbox` being how the outbox stands at
    /// `now_ms`.
    pub fn encode(&self, outbox: &[OutboxCount], now_ms: i64) -> String {
        // What is not told of now is not shown as it was.
        self.waiting.clear();
        self.dead_kept.clear();
        self.oldest_seconds.clear();
        for count in outbox {
            let labels = ReceiverLabels { receiver: count.receiver.to_string() };
            let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            self.waiting.get_or_create(&labels).set(gauge(count.waiting));
            self.dead_kept.get_or_create(&labels).set(gauge(count.dead));
            let age_ms = count.oldest_at.map_or(0, |at| now_ms - at.as_millisecond());
            self.oldest_seconds.get_or_create(&labels).set(age_ms.max(0) as f64 / 1000.0);
        }
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Observer for Metrics {
    fn observe(&self, event: Event<'_>) {
        let source = |source: &str| SourceLabels { source: source.to_owned() };
        let receiver = |receiver: &str| ReceiverLabels { receiver: receiver.to_owned() };
        match event {
            Event::Request { source: name, error, took } => {
                let result = error.map_or("ok", |error| error.name());
                let labels = RequestLabels { source: name.to_owned(), result: result.to_owned() };
                self.requests.get_or_create(&labels).inc();
                self.request_seconds.get_or_create(&source(name)).observe(took.as_secs_f64());
            }
            Event::Poll { source: name, .. } => {
                self.polls.get_or_create(&source(name)).inc();
            }
            Event::Entries { source: name, count } => {
                self.entries.get_or_create(&source(name)).inc_by(count);
            }
            Event::Rejected { source: name, count } => {
                self.rejected.get_or_create(&source(name)).inc_by(count);
            }
            Event::Push { source: name, result } => {
                let labels = RequestLabels { source: name.to_owned(), result: result.to_owned() };
                self.pushes.get_or_create(&labels).inc();
            }
            Event::Gap { source: name } => {
                self.gaps.get_or_create(&source(name)).inc();
            }
            Event::Matched { rule, count } => {
                self.matched.get_or_create(&RuleLabels { rule: rule.to_owned() }).inc_by(count);
            }
            Event::Queued { receiver: name, count } => {
                self.queued.get_or_create(&receiver(name)).inc_by(count);
            }
            Event::Folded { receiver, count } => {
                let labels = ReceiverLabels { receiver: receiver.to_owned() };
                self.folded.get_or_create(&labels).inc_by(count);
            }
            Event::FellBack { receiver: name, count } => {
                self.fell_back.get_or_create(&receiver(name)).inc_by(count);
            }
            Event::Held { by, count } => {
                self.held.get_or_create(&HeldLabels { by: by.to_owned() }).inc_by(count);
            }
            Event::RenderFailed { receiver: name } => {
                self.render_failures.get_or_create(&receiver(name)).inc();
            }
            Event::Attempt { receiver: name, class, took } => {
                let labels = AttemptLabels { receiver: name.to_owned(), class: class.to_owned() };
                self.attempts.get_or_create(&labels).inc();
                self.attempt_seconds.get_or_create(&receiver(name)).observe(took.as_secs_f64());
            }
            Event::Delivered { receiver: name, after } => {
                self.delay_seconds.get_or_create(&receiver(name)).observe(after.as_secs_f64());
            }
            Event::Dead { receiver: name } => {
                self.dead.get_or_create(&receiver(name)).inc();
            }
            Event::Commit { took, requests } => {
                self.commit_seconds.observe(took.as_secs_f64());
                self.commit_requests.inc_by(requests);
            }
            Event::Reload { result } => {
                let labels = ReloadLabels { result: result.to_owned() };
                self.reloads.get_or_create(&labels).inc();
            }
            Event::Alarm { kind, firing } => {
                let gauge = self.alarms.get_or_create_owned(&AlarmLabels { kind: kind.to_owned() });
                if firing {
                    gauge.inc()
                } else {
                    gauge.dec()
                };
            }
        }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// Starts the log on standard error, for the whole process; `filter` is in the form of `RUST_LOG`,
/// and one that can't be understood is said and `info` taken. A second call changes nothing.
pub fn start_log(format: LogFormat, filter: Option<&str>, colour: bool) {
    use tracing_subscriber::{EnvFilter, fmt};

    let wanted = filter.map(str::trim).filter(|filter| !filter.is_empty()).unwrap_or("info");
    let (filter, problem) = match log_filter(wanted) {
        Ok(filter) => (filter, None),
        Err(problem) => (EnvFilter::new("info"), Some(problem)),
    };
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        // It would be told by a panic, on the very stream that can't be written.
        .log_internal_errors(false);
    // The only failure is that a log is already there.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).try_init(),
    };
    if let Some(problem) = problem {
        tracing::warn!("RUST_LOG can't be understood, the log is at `info`: {problem}");
    }
}

/// Reads a filter. A bare word that is no level would be a module's name and silence everything
/// else, which nobody means by `RUST_LOG=inof`.
fn log_filter(text: &str) -> Result<tracing_subscriber::EnvFilter, String> {
    let bare = |part: &&str| !part.is_empty() && !part.contains(['=', '[', ':']);
    let known = |part: &str| {
        part.parse::<tracing_subscriber::filter::LevelFilter>().is_ok()
            || part == env!("CARGO_PKG_NAME")
    };
    if let Some(word) = text.split(',').map(str::trim).filter(bare).find(|word| !known(word)) {
        return Err(format!("{word:?} is no level; write `debug`, or `{word}=debug` for a module"));
    }
    tracing_subscriber::EnvFilter::try_new(text).map_err(|error| error.to_string())
}
