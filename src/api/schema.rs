//! The forms of what the API answers, for its description. Values are made elsewhere (`view`, and the
//! ports' own types); an independent tool holds what is answered to these.
//!
//! Words and fields are taken from the lists that the rest of the program walks.

#![expect(dead_code, reason = "forms are described and never made")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, RefOr, Schema,
        schema::{KnownFormat, SchemaFormat, SchemaType, Type},
    },
};

use crate::{
    domain::{
        field::{Field, FieldKind},
        notification::{HeldBy, NotificationState, Reason},
        outcome::{Flag, Scope},
        rule::{Mode, Severity},
        verdict::Truth,
    },
    ports::{AlarmKind, SourceState},
};

/// Describes words by the list that declares them.
macro_rules! words {
    ($($name:ident $words:expr;)+) => {
        $(
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    text().enum_values(Some($words)).build().into()
                }
            }

            impl ToSchema for $name {}
        )+
    };
}

words! {
    ReasonWord Reason::ALL.iter().map(|word| word.name());
    StateWord NotificationState::ALL.iter().map(|word| word.name());
    HeldByWord HeldBy::ALL.iter().map(|word| word.name());
    SeverityWord Severity::ALL.iter().map(|word| word.name());
    ModeWord Mode::ALL.iter().map(|word| word.name());
    ScopeWord Scope::ALL.iter().map(|word| word.name());
    FlagWord Flag::ALL.iter().map(|word| word.name());
    ClassWord ["delivered", "retry", "permanent"];
    TruthWord [Truth::True, Truth::False, Truth::Unknown].map(|truth| serde_json::json!(truth));
    SourceStateWord SourceState::ALL.iter().map(|word| word.name());
    AlarmKindWord AlarmKind::ALL.iter().map(|word| word.name());
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// 32 hexadecimal digits.
pub(crate) struct Id;

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        text().pattern(Some("^[0-9a-fA-F]{32}$")).build().into()
    }
}

impl ToSchema for Id {}

/// The fields of an entry; one that the row lacked is absent.
pub(crate) struct Fields;

impl PartialSchema for Fields {
    fn schema() -> RefOr<Schema> {
        let of = |field: Field| -> Object {
            let builder = match field.kind() {
                FieldKind::Number => ObjectBuilder::new().schema_type(Type::Integer),
                FieldKind::Time => {
                    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                }
                // A region whose name is not known is its number.
                _ if field == Field::Region => ObjectBuilder::new()
                    .schema_type(SchemaType::from_iter([Type::String, Type::Integer])),
                _ => text(),
            };
            builder.build()
        };
        let fields = Field::ALL.iter();
        let object = fields
            .fold(ObjectBuilder::new().schema_type(Type::Object), |object, &field| {
                object.property(field.name(), of(field))
            });
        ["repo", "source", "time"].into_iter().fold(object, ObjectBuilder::required).build().into()
    }
}

impl ToSchema for Fields {}

/// Problem details (RFC 9457).
#[derive(ToSchema)]
pub(crate) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    /// What is wrong and what to do.
    detail: String,
}

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
}

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
