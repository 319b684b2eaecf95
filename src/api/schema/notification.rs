//! Notifications and their attempts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use utoipa::ToSchema;

use super::*;

/// A notification.
#[derive(ToSchema)]
pub(crate) struct Notification {
    #[schema(inline)]
    id: Id,
    receiver: String,
    /// The rule that caused it; empty for a test or an alarm.
    rule: String,
    source: String,
    /// What it is about: fields, null where the entry lacked one.
    key: BTreeMap<String, Option<String>>,
    #[schema(inline)]
    reason: ReasonWord,
    #[schema(inline)]
    severity: SeverityWord,
    #[schema(inline)]
    state: StateWord,
    #[schema(required, inline)]
    held_by: Option<HeldByWord>,
    #[schema(required)]
    folded_into: Option<String>,
    /// The receiver that it was meant for, where its fallback took it over; else it is not there.
    #[schema(nullable = false)]
    fallback_of: Option<String>,
    #[schema(inline)]
    entries: Vec<Id>,
    created_at: Timestamp,
    attempts: u32,
    #[schema(required)]
    next_attempt_at: Option<Timestamp>,
    #[schema(required)]
    last_outcome: Option<Outcome>,
}

/// A notification asked for by its id.
#[derive(ToSchema)]
pub(crate) struct NotificationShown {
    #[schema(inline)]
    id: Id,
    receiver: String,
    rule: String,
    source: String,
    key: BTreeMap<String, Option<String>>,
    #[schema(inline)]
    reason: ReasonWord,
    #[schema(inline)]
    severity: SeverityWord,
    #[schema(inline)]
    state: StateWord,
    #[schema(required, inline)]
    held_by: Option<HeldByWord>,
    #[schema(required)]
    folded_into: Option<String>,
    /// The receiver that it was meant for, where its fallback took it over; else it is not there.
    #[schema(nullable = false)]
    fallback_of: Option<String>,
    #[schema(inline)]
    entries: Vec<Id>,
    created_at: Timestamp,
    attempts: u32,
    #[schema(required)]
    next_attempt_at: Option<Timestamp>,
    #[schema(required)]
    last_outcome: Option<Outcome>,
    attempt_list: Vec<Attempt>,
    /// What is sent; null where it is held.
    #[schema(required, value_type = Value)]
    payload: Value,
}

/// A page of notifications.
#[derive(ToSchema)]
pub(crate) struct Notifications {
    items: Vec<Notification>,
    /// The `cursor` of the next page.
    #[schema(required)]
    next: Option<String>,
}

/// An attempt to deliver.
#[derive(ToSchema)]
pub(crate) struct Attempt {
    /// From 1.
    number: u32,
    started_at: Timestamp,
    took_ms: u64,
    outcome: Outcome,
}

/// What an attempt came to.
#[derive(ToSchema)]
pub(crate) struct Outcome {
    #[schema(inline)]
    class: ClassWord,
    #[schema(required, inline)]
    scope: Option<ScopeWord>,
    #[schema(inline)]
    flags: Vec<FlagWord>,
    #[schema(required)]
    status: Option<u16>,
    detail: String,
    #[schema(required)]
    retry_after_s: Option<u64>,
}

/// That a wish was taken.
#[derive(ToSchema)]
pub(crate) struct Retried {
    #[schema(inline)]
    id: Id,
    #[schema(inline)]
    state: StateWord,
}

/// How many dead letters are tried again.
#[derive(ToSchema)]
pub(crate) struct RetriedDead {
    /// So many of those that were looked at.
    count: u64,
    /// Pass it as `cursor` to go on; null at the end.
    #[schema(required)]
    next: Option<String>,
}
