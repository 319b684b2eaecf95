//! Rules, and what they matched and missed.

use jiff::Timestamp;
use utoipa::ToSchema;

use super::*;

/// What one rule says of an entry.
#[derive(ToSchema)]
pub(crate) struct RuleExplained {
    rule: String,
    #[schema(inline)]
    truth: TruthWord,
    #[schema(required)]
    decided_by: Option<Clause>,
    clauses: Vec<Clause>,
    /// The earlier rule whose match ended the looking.
    #[schema(required)]
    stopped_by: Option<String>,
    #[schema(required)]
    followed: Option<Followed>,
}

/// What a rule made of the newest entries.
#[derive(ToSchema)]
pub(crate) struct RuleHistory {
    rule: String,
    #[schema(inline)]
    mode: ModeWord,
    send_to: Vec<String>,
    /// How many entries were looked at, the newest.
    looked_at: u64,
    /// How many of them it matches.
    matches: u64,
    /// The newest of those.
    matched: Vec<RuleMatch>,
    /// The others by what they lack, those that lack the least first.
    misses: Vec<RuleMiss>,
}

/// An entry that a rule matches.
#[derive(ToSchema)]
pub(crate) struct RuleMatch {
    #[schema(inline)]
    id: Id,
    entry: Fields,
    /// The earlier rule whose match ended the looking.
    #[schema(required)]
    stopped_by: Option<String>,
    /// What became of the rule's messages that tell of it, oldest first.
    notifications: Vec<MessageExplained>,
    /// The rule's messages that are to tell of it and have not left.
    waiting: Vec<MessageWaiting>,
}

/// Entries that a rule misses by the same clauses, which saw the same; the newest of them.
#[derive(ToSchema)]
pub(crate) struct RuleMiss {
    count: u64,
    #[schema(inline)]
    id: Id,
    entry: Fields,
    /// The clauses that would all have to hold, and do not.
    clauses: Vec<Clause>,
}

/// A clause beside what it met.
#[derive(ToSchema)]
pub(crate) struct Clause {
    /// Where it stands in the rule: `match.returnCode.not`.
    path: String,
    wanted: String,
    #[schema(required)]
    seen: Option<String>,
    #[schema(inline)]
    truth: TruthWord,
}

/// A rule in force, with its counts.
#[derive(ToSchema)]
pub(crate) struct Rule {
    name: String,
    file: String,
    line: u32,
    #[schema(inline)]
    severity: SeverityWord,
    #[schema(inline)]
    mode: ModeWord,
    send_to: Vec<String>,
    matched: u64,
    #[schema(required)]
    last_matched_at: Option<Timestamp>,
}

/// The rules in force, in their order.
#[derive(ToSchema)]
pub(crate) struct Rules {
    items: Vec<Rule>,
    #[schema(required)]
    next: Option<String>,
}
