//! The state of the service, and what a reload came to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use utoipa::ToSchema;

use super::*;

/// What a reload changed.
#[derive(ToSchema)]
pub(crate) struct Reloaded {
    /// How many rules are in force now.
    rules: u64,
    /// Names of rules that were not there before.
    added: Vec<String>,
    /// Names of rules that are gone.
    removed: Vec<String>,
    sources: Exchanged,
    receivers: Exchanged,
    /// What of the configuration is taken up at the next start only.
    at_restart: Vec<String>,
    /// Warnings, as `check --format json` has them.
    warnings: Vec<serde_json::Value>,
}

/// Which sources or receivers were exchanged, by name.
#[derive(ToSchema)]
pub(crate) struct Exchanged {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

/// What came of the last reload.
#[derive(ToSchema)]
pub(crate) struct ReloadStatus {
    at: Timestamp,
    /// `api`, `signal` or `files`.
    by: String,
    /// `loaded`, `refused` or `failed`; after the last two, what was in force before is.
    result: String,
    #[schema(required)]
    detail: Option<String>,
}

/// Problem details of a reload that was refused.
#[derive(ToSchema)]
pub(crate) struct ReloadRefused {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// What is wrong, as `check --format json` has it.
    problems: Vec<serde_json::Value>,
    /// The same as `check` prints it.
    text: String,
}

/// Whether the service does its work.
#[derive(ToSchema)]
pub(crate) struct Readiness {
    ready: bool,
    problems: Vec<String>,
}

/// What the service says of itself.
#[derive(ToSchema)]
pub(crate) struct Status {
    version: String,
    started_at: Timestamp,
    now: Timestamp,
    /// The zone in which people read times, by its IANA name.
    time_zone: String,
    readiness: Readiness,
    sources: BTreeMap<String, SourceStatus>,
    receivers: BTreeMap<String, LaneStatus>,
    rules: u64,
    /// Null where there was none since the start.
    #[schema(required)]
    reload: Option<ReloadStatus>,
    alarms: Vec<Alarm>,
}

/// How a source fares.
#[derive(ToSchema)]
pub(crate) struct SourceStatus {
    kind: String,
    #[schema(inline)]
    state: SourceStateWord,
    repos: u64,
    effective_interval_s: f64,
    intervals: IntervalStatus,
    #[schema(required)]
    discovery: Option<DiscoveryStatus>,
    #[schema(required)]
    push: Option<PushStatus>,
    #[schema(required)]
    read_at: Option<Timestamp>,
    #[schema(required)]
    last_error: Option<String>,
    #[schema(required)]
    skew_s: Option<i64>,
    requests: u64,
    entries: u64,
    rejected: u64,
    gaps: u64,
    failing: Vec<RepoStatus>,
}

/// The intervals by which the repositories of a source are asked.
#[derive(ToSchema)]
pub(crate) struct IntervalStatus {
    /// Repositories that had news within the last hour, or were not read yet.
    busy: u64,
    busy_s: f64,
    idle_s: f64,
    requests_per_poll: f64,
}

/// How the discovery of a source's repositories fares.
#[derive(ToSchema)]
pub(crate) struct DiscoveryStatus {
    every_s: f64,
    #[schema(required)]
    answered_at: Option<Timestamp>,
    found: u64,
    listed: u64,
    missing: u64,
    partial: bool,
    #[schema(required)]
    last_error: Option<String>,
}

/// What a registry has sent since the start.
#[derive(ToSchema)]
pub(crate) struct PushStatus {
    #[schema(required)]
    last_at: Option<Timestamp>,
    known: u64,
    unauthorized: u64,
}

/// What came of an event that a registry sent.
#[derive(ToSchema)]
pub(crate) struct Ingested {
    /// Entries that were taken in.
    taken: u64,
    /// Those that were there already.
    known: u64,
}

/// A repository that fails.
#[derive(ToSchema)]
pub(crate) struct RepoStatus {
    repo: String,
    error: String,
    since: Timestamp,
}

/// How a receiver's lane fares.
#[derive(ToSchema)]
pub(crate) struct LaneStatus {
    kind: String,
    #[schema(required)]
    closed: Option<String>,
    /// When a closed lane is tried next.
    #[schema(required)]
    next_probe_at: Option<Timestamp>,
    #[schema(required)]
    held_until: Option<Timestamp>,
    pending: u64,
    #[schema(required)]
    oldest_pending_at: Option<Timestamp>,
    dead: u64,
    delivered: u64,
    attempts: u64,
    #[schema(required)]
    last_error: Option<String>,
}

/// Something about triggerbell itself that a person is to know.
#[derive(ToSchema)]
pub(crate) struct Alarm {
    #[schema(inline)]
    kind: AlarmKindWord,
    about: String,
    message: String,
    since: Timestamp,
}
