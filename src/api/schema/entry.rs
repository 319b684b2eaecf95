//! Entries, what was rejected, and why a message came.

use jiff::Timestamp;
use utoipa::ToSchema;

use super::*;

/// An entry as it is kept.
#[derive(ToSchema)]
pub(crate) struct Entry {
    #[schema(inline)]
    id: Id,
    source: String,
    /// The repository that was asked for.
    repository: String,
    taken_at: Timestamp,
    entry: Fields,
    /// The rules that matched.
    matched: Vec<String>,
    /// `no_rule` where no rule matched.
    #[schema(required)]
    reason: Option<String>,
}

/// An entry asked for by its id.
#[derive(ToSchema)]
pub(crate) struct EntryShown {
    #[schema(inline)]
    id: Id,
    source: String,
    repository: String,
    taken_at: Timestamp,
    entry: Fields,
    matched: Vec<String>,
    #[schema(required)]
    reason: Option<String>,
    /// The notifications that tell of it, oldest first.
    #[schema(inline)]
    notifications: Vec<Id>,
}

/// A page of entries.
#[derive(ToSchema)]
pub(crate) struct Entries {
    items: Vec<Entry>,
    /// The `cursor` of the next page.
    #[schema(required)]
    next: Option<String>,
}

/// What the rules in force say of an entry.
#[derive(ToSchema)]
pub(crate) struct Explanation {
    #[schema(inline)]
    entry: Id,
    rules: Vec<RuleExplained>,
    /// What became of the messages that tell of it, oldest first.
    notifications: Vec<MessageExplained>,
    /// Messages that are to tell of it and have not left.
    waiting: Vec<MessageWaiting>,
}

/// A message that is to leave later, with others that it gathers.
#[derive(ToSchema)]
pub(crate) struct MessageWaiting {
    rule: String,
    receivers: Vec<String>,
    /// `group` or `catch_up`.
    waits_in: String,
    #[schema(required)]
    until: Option<Timestamp>,
    /// Of how many entries it tells so far.
    count: u64,
}

/// What became of a message.
#[derive(ToSchema)]
pub(crate) struct MessageExplained {
    #[schema(inline)]
    id: Id,
    rule: String,
    receiver: String,
    #[schema(inline)]
    reason: ReasonWord,
    #[schema(inline)]
    state: StateWord,
    /// What held it back.
    #[schema(inline, required)]
    held_by: Option<HeldByWord>,
    /// The same in a sentence: which silence, which rule, until when.
    #[schema(required)]
    because: Option<String>,
    #[schema(required)]
    folded_into: Option<String>,
    created_at: Timestamp,
    attempts: u32,
    #[schema(required)]
    last_attempt_at: Option<Timestamp>,
    /// Not before then, where its time or its receiver's lane says so.
    #[schema(required)]
    next_attempt_at: Option<Timestamp>,
    /// What it waits for: its receiver's lane or pace, or an earlier message about the same thing.
    #[schema(required)]
    waits_for: Option<String>,
    /// The receiver that it was meant for, where a fallback took it over.
    #[schema(required)]
    fallback_of: Option<String>,
    #[schema(required)]
    last_outcome: Option<Outcome>,
    /// What the attempt before the last came to.
    #[schema(required)]
    outcome_before: Option<Outcome>,
}

/// What followed from a match.
#[derive(ToSchema)]
pub(crate) struct Followed {
    #[schema(inline)]
    mode: ModeWord,
    send_to: Vec<String>,
    stopped: bool,
}

/// A row that could not be understood.
#[derive(ToSchema)]
pub(crate) struct Rejected {
    source: String,
    repo: String,
    /// The row as it came.
    raw: String,
    reason: String,
    seen_at: Timestamp,
}

/// Rows that could not be understood.
#[derive(ToSchema)]
pub(crate) struct RejectedRows {
    items: Vec<Rejected>,
    #[schema(required)]
    next: Option<String>,
}
