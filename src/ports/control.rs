//! What the API may do to the running service, and what the service says of itself.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{
    decision::Waiting,
    entry::{Entry, EntryId},
    memory::Subject,
    nearness::RuleHistory,
    notification::{HeldBy, NotificationId, Reason, words},
    pace::Pace,
    rule::{Mode, Severity},
};

use super::{EntryView, NotificationView, RetriedDead, StoreError};

/// The running service, as the API sees it.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// What the service says of itself now.
    async fn status(&self) -> Result<Status, StoreError>;

    /// Whether the service does its work: the store takes writes and every source was read within
    /// three of its effective intervals.
    async fn readiness(&self) -> Readiness;

    /// The rules in force with their counts, in their order.
    async fn rules(&self) -> Result<Vec<RuleStatus>, StoreError>;

    /// Puts a dead (or waiting) notification at the head of its lane, under the same id; `to`
    /// another receiver, with the text that it has there.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn retry(&self, id: NotificationId, to: Option<&str>) -> Result<(), ControlError>;

    /// Does the same with dead letters of a receiver, a bounded number of them.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn retry_dead(&self, text: &RetryText) -> Result<RetriedDead, ControlError>;

    /// The incidents that are open, by rule and key.
    async fn incidents(&self) -> Result<Vec<IncidentStatus>, StoreError>;

    /// The silences that last, oldest first.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn silences(&self) -> Result<Vec<SilenceStatus>, ControlError>;

    /// Begins a silence.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn add_silence(&self, text: SilenceText) -> Result<SilenceStatus, ControlError>;

    /// Gives a silence another end.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn extend_silence(
        &self,
        id: Subject,
        until: Option<String>,
        lasts: Option<String>,
    ) -> Result<SilenceStatus, ControlError>;

    /// Ends a silence, and says how it stood.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn end_silence(&self, id: Subject) -> Result<SilenceStatus, ControlError>;

    /// What a silence would have held in the last day.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn preview_silence(&self, matchers: &str) -> Result<SilencePreview, ControlError>;

    /// Reads the configuration, rules and templates again and puts them in force, where they are
    /// sound. `by` says who wants it, in a word.
    ///
    /// # Errors
    /// They are not, or the store failed; what was in force stays.
    async fn reload(&self, by: &'static str) -> Result<Reloaded, ReloadRefused>;

    /// Before when nothing goes to a receiver, where that is known: its lane is closed, or was asked
    /// to wait.
    fn not_before(&self, receiver: &str) -> Option<Timestamp>;

    /// What a message that is to be sent still waits for, in a sentence: its receiver's lane or pace, or
    /// one of its key before it. `None` where it waits for nothing but an attempt's time.
    fn waits_for(&self, message: &NotificationView) -> Option<String>;

    /// What rules say of an entry, and what of it still waits to leave, as JSON for people and
    /// programs.
    ///
    /// # Errors
    /// The store failed.
    async fn explain(&self, found: &EntryView) -> Result<serde_json::Value, ControlError>;

    /// The messages that are to tell of an entry and have not left, by rule.
    async fn waiting(&self, entry: EntryId) -> Result<Vec<Waiting>, StoreError>;

    /// What holds a message about an entry, in a sentence; `None` where nothing does, and where its
    /// rule is gone.
    ///
    /// # Errors
    /// The store failed.
    async fn held_because(
        &self,
        entry: &Entry,
        message: &NotificationView,
    ) -> Result<Option<String>, ControlError>;

    /// What a rule in force makes of entries, which are given newest first, naming at most `limit`
    /// matches and misses; `None` where there is no such rule.
    fn explain_rule(&self, name: &str, entries: &[EntryView], limit: usize) -> Option<RuleHistory>;

    /// The metrics in the text format of Prometheus.
    async fn metrics(&self) -> Result<String, StoreError>;
}

/// Which dead letters to try again, as a person says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryText {
    /// The receiver that they were for.
    pub receiver: String,
    /// An instant (RFC 3339), or how long ago as `2h`: those that were given up since.
    pub since: String,
    /// Another receiver to send them to.
    pub to: Option<String>,
    /// Only those after this place.
    pub after: i64,
    /// Only count them.
    pub preview: bool,
}

/// What a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// How many rules are in force now.
    pub rules: usize,
    /// Names of rules that were not there before.
    pub added: Vec<Arc<str>>,
    /// Names of rules that are gone.
    pub removed: Vec<Arc<str>>,
    /// Which sources are others.
    pub sources: Exchanged,
    /// Which receivers are others.
    pub receivers: Exchanged,
    /// What of the configuration is another now and is taken up at the next start only.
    pub at_restart: Vec<String>,
    /// Warnings, as `check --format json` has them.
    pub warnings: Vec<serde_json::Value>,
}

/// Which of the sources or receivers a reload exchanged, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Exchanged {
    /// Those that were not there before.
    pub added: Vec<Arc<str>>,
    /// Those that are gone.
    pub removed: Vec<Arc<str>>,
    /// Those that are written otherwise.
    pub changed: Vec<Arc<str>>,
}

/// What came of the last reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReloadStatus {
    /// When it was.
    pub at: Timestamp,
    /// Who wanted it, in a word: `api`, `signal` or `files`.
    pub by: &'static str,
    /// `loaded`, `refused` or `failed`; after the last two, what was in force before is.
    pub result: &'static str,
    /// Why not, in a sentence.
    pub detail: Option<String>,
}

/// Why a reload was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ReloadRefused {
    /// In a sentence.
    pub detail: String,
    /// What is wrong in the files, as `check --format json` has it; nothing where the files are
    /// sound.
    pub problems: Vec<serde_json::Value>,
    /// The same as `check` prints it.
    pub text: String,
    /// The files are sound, and the store could not take what follows.
    pub store: bool,
}

/// Why a wish could not be met.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such thing.
    #[error("there is nothing with that id")]
    NotFound,
    /// It is not of the form.
    #[error("{0}")]
    Invalid(String),
    /// Its state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether the service does its work, and what does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether all is well.
    pub ready: bool,
    /// A sentence for each thing that is not; empty when ready.
    pub problems: Vec<String>,
}

/// What the service says of itself.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// This program's version.
    pub version: &'static str,
    /// When it started.
    pub started_at: Timestamp,
    /// The present instant.
    pub now: Timestamp,
    /// The configuration's time zone, by its name.
    pub time_zone: Arc<str>,
    /// As [`Control::readiness`].
    pub readiness: Readiness,
    /// The sources, by name.
    pub sources: BTreeMap<Arc<str>, SourceStatus>,
    /// The receivers' lanes, by name.
    pub receivers: BTreeMap<Arc<str>, LaneStatus>,
    /// Rules in force.
    pub rules: usize,
    /// The last reload; `None` where there was none since the start.
    pub reload: Option<ReloadStatus>,
    /// Alarms that fire now, oldest first.
    pub alarms: Vec<Alarm>,
}

words! {
    /// How a source fares.
    SourceState {
        /// It has not been read yet.
        Starting = "starting",
        /// It was read lately.
        Ok = "ok",
        /// Its credentials are refused.
        Refused = "refused",
        /// It could not be read for too long.
        Blind = "blind",
        /// A `file` source that has been read to its end.
        Done = "done",
    }
}

/// How a source fares.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    /// Its type.
    pub kind: &'static str,
    /// How it fares.
    pub state: SourceState,
    /// How many repositories it reads.
    pub repos: usize,
    /// The interval that the slowest of its repositories is read at, in seconds.
    pub effective_interval_s: f64,
    /// The intervals by which its repositories are asked now.
    pub intervals: IntervalStatus,
    /// How the discovery of its repositories fares, where there is one.
    pub discovery: Option<DiscoveryStatus>,
    /// What came, where the registry sends events instead of being asked; such a source has no
    /// interval and can't be found blind.
    pub push: Option<PushStatus>,
    /// When all of its repositories had last been read: the oldest of their last successes, those
    /// apart that the registry refuses, which are among `failing`.
    pub read_at: Option<Timestamp>,
    /// The last failure, where it was after the last success.
    pub last_error: Option<String>,
    /// The registry's clock minus ours, in whole seconds.
    pub skew_s: Option<i64>,
    /// Requests made since the start.
    pub requests: u64,
    /// Entries taken in since the start.
    pub entries: u64,
    /// Rows that could not be understood since the start.
    pub rejected: u64,
    /// Gaps since the start.
    pub gaps: u64,
    /// Repositories that fail now, at most 20, with why.
    pub failing: Vec<RepoStatus>,
}

/// The intervals by which the repositories of a source are asked, as its budget allows them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct IntervalStatus {
    /// Repositories that had news within the last hour, or were not read yet.
    pub busy: usize,
    /// How often each of them is asked, in seconds.
    pub busy_s: f64,
    /// How often each of the others is asked, in seconds.
    pub idle_s: f64,
    /// How many requests a poll of a busy repository takes, in the mean.
    pub requests_per_poll: f64,
}

/// How the discovery of a source's repositories fares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiscoveryStatus {
    /// How often the registry is asked what there is, in seconds.
    pub every_s: f64,
    /// When it last answered.
    pub answered_at: Option<Timestamp>,
    /// Repositories that it listed then and that `include` and `exclude` let through.
    pub found: usize,
    /// Repositories that it listed then, all of them.
    pub listed: usize,
    /// Repositories that are read although it lists them no longer.
    pub missing: usize,
    /// The account sees only some of the registry's repositories.
    pub partial: bool,
    /// Why it can't be asked, where the last try failed.
    pub last_error: Option<String>,
}

/// What a registry has sent since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PushStatus {
    /// When the last event was taken in.
    pub last_at: Option<Timestamp>,
    /// Events that were known already.
    pub known: u64,
    /// Calls that did not have the secret.
    pub unauthorized: u64,
}

/// A repository that fails.
#[derive(Debug, Clone, Serialize)]
pub struct RepoStatus {
    /// Its name.
    pub repo: Arc<str>,
    /// Why.
    pub error: String,
    /// Since when.
    pub since: Timestamp,
}

/// How a receiver's lane fares.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LaneStatus {
    /// The receiver's type.
    pub kind: &'static str,
    /// Why the lane is closed, where it is.
    pub closed: Option<String>,
    /// When a closed lane is tried next.
    pub next_probe_at: Option<Timestamp>,
    /// Nothing is sent before this instant, as the receiver asked.
    pub held_until: Option<Timestamp>,
    /// How fast it may be sent to, which the configuration says.
    #[serde(skip)]
    pub pace: Option<Pace>,
    /// Notifications that wait.
    pub pending: u64,
    /// When the oldest that waits was decided.
    pub oldest_pending_at: Option<Timestamp>,
    /// Dead letters kept.
    pub dead: u64,
    /// Delivered since the start.
    pub delivered: u64,
    /// Attempts since the start.
    pub attempts: u64,
    /// The last failure, where it was after the last delivery.
    pub last_error: Option<String>,
}

/// A rule in force, with its counts.
#[derive(Debug, Clone, Serialize)]
pub struct RuleStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line in that file.
    pub line: u32,
    /// Its severity.
    pub severity: Severity,
    /// Live or shadow.
    pub mode: Mode,
    /// Where it sends.
    pub send_to: Vec<Arc<str>>,
    /// Entries matched, ever.
    pub matched: u64,
    /// When it last matched.
    pub last_matched_at: Option<Timestamp>,
}

/// An incident that is open.
#[derive(Debug, Clone, Serialize)]
pub struct IncidentStatus {
    /// The rule's name.
    pub rule: Arc<str>,
    /// The source; empty where a rule watches all of them.
    pub source: Arc<str>,
    /// What it is about.
    pub key: serde_json::Value,
    /// What it was opened as: failing, threshold or absent.
    pub reason: Reason,
    /// How many incidents of the key there have been, this one included.
    pub number: u64,
    /// When it began, by entry time.
    pub since: Timestamp,
    /// The last failure's entry time.
    pub last_at: Timestamp,
    /// Failures.
    pub count: u64,
    /// Whether it fails and recovers in turns.
    pub flapping: bool,
    /// Why nobody was told of it yet, where nobody was.
    pub held_by: Option<HeldBy>,
}

/// A silence as a person wishes it.
#[derive(Debug, Clone)]
pub struct SilenceText {
    /// Clauses, as those of `match` are written.
    pub matchers: String,
    /// Who.
    pub author: String,
    /// Why.
    pub comment: String,
    /// An instant, or `next_success`.
    pub until: Option<String>,
    /// How long, in place of `until`.
    pub lasts: Option<String>,
}

/// A silence that lasts.
#[derive(Debug, Clone, Serialize)]
pub struct SilenceStatus {
    /// Its id.
    pub id: Subject,
    /// Its clauses, as they were written.
    pub matchers: serde_json::Value,
    /// Who.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when: an instant, or `next_success`.
    pub until: String,
    /// Alerts that it has held.
    pub held: u64,
}

/// What a silence would have held.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SilencePreview {
    /// How far back was looked.
    pub since: Timestamp,
    /// Entries that its clauses match.
    pub entries: u64,
    /// Messages about them that were sent.
    pub notifications: u64,
    /// The same by rule.
    pub rules: BTreeMap<String, u64>,
    /// The newest of these messages.
    pub newest: Vec<NotificationId>,
    /// Whether all of that time could be looked at.
    pub complete: bool,
}

words! {
    /// What triggerbell can have to say about itself.
    AlarmKind {
        /// A source could not be read for too long.
        SourceBlind = "source_blind",
        /// Credentials were refused.
        Credentials = "credentials",
        /// A clock or a zone is off.
        Clock = "clock",
        /// Rows may have been missed.
        Gap = "gap",
        /// The discovery of repositories fails, or finds far fewer than before.
        Discovery = "discovery",
        /// A receiver refuses everything.
        LaneClosed = "lane_closed",
        /// A notification was given up.
        DeadLetter = "dead_letter",
        /// A changed configuration was refused.
        Reload = "reload",
        /// A template failed.
        Template = "template",
    }
}

/// Something about triggerbell itself that a person is to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// What kind.
    pub kind: AlarmKind,
    /// The source, receiver or template it is about.
    pub about: Arc<str>,
    /// Cause and remedy, in a sentence.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}
