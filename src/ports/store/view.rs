//! What is kept, as people ask for it: lists, entries, notifications, counts.
//!
//! Deliberately absent: how it is shown; the API and the command line have their own words.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{
    entry::{Entry, EntryId},
    notification::{HeldBy, NotificationId, NotificationState, Reason},
    outcome::OutcomeRecord,
    rule::Severity,
};

/// A page of a list, and where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `before` to go on; `None` at the end.
    pub next: Option<i64>,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct EntryQuery {
    /// Only those put down before this place.
    pub before: Option<i64>,
    /// At most so many, from 1 to 500.
    pub limit: usize,
    /// Only of this source.
    pub source: Option<String>,
    /// Only of this repository, as the row says it.
    pub repo: Option<String>,
}

/// An entry as it is kept.
#[derive(Debug, Clone)]
pub struct EntryView {
    /// Its place, ascending.
    pub seq: i64,
    /// The entry.
    pub entry: Entry,
    /// When it was taken in, or last revised.
    pub taken_at: Timestamp,
    /// The rules that matched.
    pub matched: Vec<String>,
    /// The notifications that tell of it, oldest first; filled for a single entry only.
    pub notifications: Vec<NotificationId>,
}

/// Which notifications.
#[derive(Debug, Clone, Default)]
pub struct NotificationQuery {
    /// Only those put down before this place.
    pub before: Option<i64>,
    /// At most so many, from 1 to 500.
    pub limit: usize,
    /// Only in this state.
    pub state: Option<NotificationState>,
    /// Only for this receiver.
    pub receiver: Option<String>,
    /// Only of this rule.
    pub rule: Option<String>,
    /// Only held, and by this.
    pub held_by: Option<HeldBy>,
}

/// A notification as the API shows it.
#[derive(Debug, Clone)]
pub struct NotificationView {
    /// Its place, ascending.
    pub seq: i64,
    /// Its id.
    pub id: NotificationId,
    /// Its receiver.
    pub receiver: String,
    /// Its rule.
    pub rule: String,
    /// Its source.
    pub source: String,
    /// Its key.
    pub key: serde_json::Value,
    /// Why it is sent.
    pub reason: Reason,
    /// How grave it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: NotificationState,
    /// What holds it.
    pub held_by: Option<HeldBy>,
    /// The digest that tells of it.
    pub folded_into: Option<NotificationId>,
    /// The receiver that it was meant for, where its fallback took it over.
    pub fallback_of: Option<String>,
    /// The entries that it tells of.
    pub entries: Vec<EntryId>,
    /// When it was decided.
    pub created_at: Timestamp,
    /// Attempts made.
    pub attempts: u32,
    /// When it is due; `None` when it is not waiting, or waits behind another of its key.
    pub next_attempt_at: Option<Timestamp>,
    /// What the last attempt came to.
    pub last_outcome: Option<OutcomeRecord>,
}

/// An attempt as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it came to.
    pub outcome: OutcomeRecord,
    /// What was kept of the answer, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<serde_json::Value>,
}

/// How a receiver's rows stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxCount {
    /// The receiver.
    pub receiver: Arc<str>,
    /// Rows that wait or are being sent.
    pub waiting: u64,
    /// When the oldest of them was decided.
    pub oldest_at: Option<Timestamp>,
    /// Dead letters.
    pub dead: u64,
}

/// How often a rule matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCount {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Entries matched, ever.
    pub matched: u64,
    /// When it last did.
    pub last_at: Timestamp,
}

/// A row that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedView {
    /// The source.
    pub source: String,
    /// The repository asked for.
    pub repo: String,
    /// The row as it came.
    pub raw: String,
    /// Why it was not understood.
    pub reason: String,
    /// When it was first seen.
    pub seen_at: Timestamp,
}
