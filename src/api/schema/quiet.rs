//! Incidents and silences.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use utoipa::ToSchema;

use super::*;

/// An incident that is open.
#[derive(ToSchema)]
pub(crate) struct Incident {
    rule: String,
    /// Empty where the rule watches all sources.
    source: String,
    /// The fields of `by`, null where the entry lacked one.
    key: BTreeMap<String, Option<String>>,
    /// What it was opened as.
    #[schema(inline)]
    reason: ReasonWord,
    /// How many incidents of the key there have been, this one included.
    number: u64,
    /// When it began, by entry time.
    since: Timestamp,
    last_at: Timestamp,
    /// Failures.
    count: u64,
    flapping: bool,
    /// Why nobody was told of it yet.
    #[schema(inline, required)]
    held_by: Option<HeldByWord>,
}

/// The incidents that are open.
#[derive(ToSchema)]
pub(crate) struct Incidents {
    items: Vec<Incident>,
    #[schema(required)]
    next: Option<String>,
}

/// A silence that lasts.
#[derive(ToSchema)]
pub(crate) struct Silence {
    #[schema(inline)]
    id: Id,
    /// As they were written.
    matchers: Value,
    author: String,
    comment: String,
    created_at: Timestamp,
    /// An instant, or `next_success`.
    until: String,
    /// Alerts that it has held.
    held: u64,
}

/// The silences that last.
#[derive(ToSchema)]
pub(crate) struct Silences {
    items: Vec<Silence>,
    #[schema(required)]
    next: Option<String>,
}

/// What a silence would have held.
#[derive(ToSchema)]
pub(crate) struct SilencePreview {
    since: Timestamp,
    /// Entries that its clauses match.
    entries: u64,
    /// Messages about them that were sent.
    notifications: u64,
    /// The same by rule.
    rules: BTreeMap<String, u64>,
    /// The newest of these messages.
    #[schema(inline)]
    newest: Vec<Id>,
    /// Whether all of that time could be looked at.
    complete: bool,
}
