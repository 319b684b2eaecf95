//! Where everything lasts: cursors, entries, decision state and the outbox.
//!
//! Two calls carry the promise of the product. [`Store::commit`] puts a cursor's move and all that
//! it caused down together or not at all. [`Store::claim`] counts an attempt before it is made, and
//! [`Store::settle`] says what it came to. A call that returned `Ok` is on the disk.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    decision::StateChange,
    digest::{Digest, Pressure, Tally},
    entry::{Entry, EntryId, Identity, WallTime},
    incident::IncidentView,
    notification::{HeldBy, NotificationId, NotificationState, Reason},
    outcome::OutcomeRecord,
    rule::Severity,
};

use super::{Alarm, AlarmKind, Delivery, Payload};

/// Keeps everything. All methods may be called at once; writes are put in an order of their own.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // Taking in.

    /// The cursors of a source, by repository.
    async fn cursors(&self, source: &str) -> Result<Vec<(Arc<str>, Cursor)>, StoreError>;

    /// The rows of a repository that are known, in no order.
    async fn window(&self, repo: &RepoKey) -> Result<Vec<Known>, StoreError>;

    /// Keeps fresh rows of a walk that has not ended, newest first within and across calls. They
    /// mean nothing until [`CursorMove::seal`].
    async fn stage(&self, repo: &RepoKey, rows: Vec<Entry>) -> Result<(), StoreError>;

    /// Forgets the rows that an unfinished walk staged. Sealed rows stay.
    async fn clear_stage(&self, repo: &RepoKey) -> Result<(), StoreError>;

    /// Sealed rows of a repository, oldest first, at most `limit`.
    async fn sealed(&self, repo: &RepoKey, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// The decision state, record by record.
    async fn state(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Puts a batch down in one transaction. An entry or a notification whose id is there already
    /// is left as it is, except that a revision replaces its entry.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    // Delivering.

    /// Returns claims of an earlier life to the waiting rows; their attempts stay counted. Says
    /// how many there were. Called once, before the first claim.
    async fn release_claims(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Claims rows of one receiver that are due and first of their (rule, key), oldest first. The
    /// attempt is counted before this returns.
    async fn claim(&self, claim: Claim) -> Result<Vec<Delivery>, StoreError>;

    /// Folds what waits for a receiver into one digest, where pace can't clear it in time, in one
    /// transaction: members are `folded` and lead to the digest, which waits in their place and
    /// holds back what comes later of their keys. Rows that are claimed, and what stands behind
    /// them, stay; so do digests, alarms and tests. A store that knows no digests folds nothing.
    async fn fold(&self, fold: Fold) -> Result<Folding, StoreError> {
        let _ = fold;
        Ok(Folding::Calm)
    }

    /// Folds, then claims, unless more is to be gathered first. A store that can does both in one
    /// transaction: what is committed in between would be claimed message by message.
    async fn fold_and_claim(
        &self,
        fold: Fold,
        claim: Claim,
    ) -> Result<(Folding, Vec<Delivery>), StoreError> {
        match self.fold(fold).await? {
            Folding::Gather(until) => Ok((Folding::Gather(until), Vec::new())),
            folding => Ok((folding, self.claim(claim).await?)),
        }
    }

    /// Hands over to another receiver what waits for one and was meant for it, in the order decided,
    /// a bounded number of rows in one transaction. What is claimed stays; a row changes its receiver
    /// at most once so. A store that knows no fallbacks hands nothing over.
    async fn hand_over(&self, wish: HandOver) -> Result<HandedOver, StoreError> {
        let _ = wish;
        Ok(HandedOver::default())
    }

    /// When the receiver's next waiting row is due; `None` when nothing waits or all that waits
    /// stands behind another of its key.
    async fn next_due(&self, receiver: &str) -> Result<Option<Timestamp>, StoreError>;

    /// Says what attempts came to, and keeps a lane's record with them.
    async fn settle(
        &self,
        settlements: Arc<[Settlement]>,
        lane: Option<LaneRecord>,
    ) -> Result<(), StoreError>;

    /// The alarms that people were told of and not yet that they are over. A store that keeps none
    /// has none.
    async fn alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        Ok(Vec::new())
    }

    /// The lanes' records.
    async fn lanes(&self) -> Result<Vec<LaneRecord>, StoreError>;

    /// Makes dead letters of what waits for receivers that are not among these. Says how many.
    async fn orphan(&self, receivers: &[Arc<str>], now: Timestamp) -> Result<u64, StoreError>;

    /// Returns the claims of one receiver, whose lane has ended, to the waiting rows; their attempts
    /// stay counted.
    async fn release_lane(&self, receiver: &str) -> Result<u64, StoreError>;

    /// Makes dead letters of what waits for one receiver, which is gone; what its lane left claimed
    /// among it. Says how many.
    async fn bury(&self, receiver: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// Makes a dead or waiting notification due at once, for `to` where given, under the same id,
    /// its schedule begun afresh. False when there is none with that id.
    async fn retry(
        &self,
        id: NotificationId,
        to: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Does the same with dead letters of a receiver, in the order decided, and looks at no more of
    /// them than it is to. Those of one key leave one after another, behind what waits.
    async fn retry_dead(&self, wish: RetryDead) -> Result<RetriedDead, StoreError>;

    // Asking.

    /// Entries, newest first.
    async fn entries(&self, query: EntryQuery) -> Result<List<EntryView>, StoreError>;

    /// One entry.
    async fn entry(&self, id: EntryId) -> Result<Option<EntryView>, StoreError>;

    /// Those of these entries that are kept, in no order, each once for each time it is named.
    async fn entries_by_id(&self, ids: Vec<EntryId>) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            entries.extend(self.entry(id).await?.map(|view| view.entry));
        }
        Ok(entries)
    }

    /// Notifications, newest first.
    async fn notifications(
        &self,
        query: NotificationQuery,
    ) -> Result<List<NotificationView>, StoreError>;

    /// One notification, with its payload and its attempts, oldest first.
    async fn notification(
        &self,
        id: NotificationId,
    ) -> Result<Option<(NotificationView, Option<Payload>, Vec<AttemptView>)>, StoreError>;

    /// How many rows wait and how many are dead, by receiver. Cheap whatever is delivered.
    async fn outbox(&self) -> Result<Vec<OutboxCount>, StoreError>;

    /// How often each rule matched.
    async fn rule_counts(&self) -> Result<Vec<RuleCount>, StoreError>;

    /// Rows that could not be understood, newest first: at most `limit`, from 1 to 500, of those put
    /// down before that place.
    async fn rejected(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<List<RejectedView>, StoreError>;

    // Upkeep.

    /// Deletes a bounded number of rows past their time; true when there may be more. Never
    /// touches waiting rows, the decision state or the cursors' windows.
    async fn retain(&self, retention: Retention) -> Result<bool, StoreError>;

    /// Whether the store takes writes, tried by one.
    async fn probe(&self) -> Result<(), StoreError>;
}

/// A repository of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoKey {
    /// The source's name.
    pub source: Arc<str>,
    /// The repository that is asked for.
    pub repo: Arc<str>,
}

/// What of a repository has been taken in, apart from the known rows themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// When the first walk closed; `None` before.
    pub baseline_at: Option<Timestamp>,
    /// Rows before this are never fresh.
    pub floor: WallTime,
    /// The newest row known.
    pub newest: Option<WallTime>,
    /// A digest of page 1 when the last walk closed, as a multiset.
    pub head: Option<Identity>,
    /// The total that page 1 named then.
    pub total: Option<u64>,
    /// When the whole overlap was last walked.
    pub walked_at: Option<Timestamp>,
    /// Seconds of more rows than a page shows that could not be counted yet: they wait for a walk
    /// that agrees.
    pub doubts: Vec<Doubt>,
    /// Sealed rows wait to be decided.
    pub sealed: bool,
    /// Set until the first walk closes where the repository was discovered after the source's first
    /// contact: its rows of this second and later are news.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<WallTime>,
    /// When the repository was let go, since the registry lists it no longer; `None` while it is
    /// read. It goes on from here when it comes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
}

/// A second of more rows than a page shows that could not be counted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// The second.
    pub wall: WallTime,
    /// A digest of its rows in the order that every reading of them showed, `None` while no two
    /// readings agreed.
    pub reading: Option<Identity>,
    /// How unlikely it is that so many readings agreed by chance, in bits.
    pub bits: u32,
    /// Walks that ended without a count.
    pub walks: u32,
    /// It was met at first contact: its rows are history, not news.
    pub history: bool,
}

/// A row of the window: what is known, how often it stands in the log, and how many ordinals of it
/// have been given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The row's second.
    pub wall: WallTime,
    /// The row.
    pub identity: Identity,
    /// Copies of it taken in and not since revised.
    pub copies: u32,
    /// The next copy's ordinal.
    pub next_ordinal: u32,
}

/// A cursor's move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorMove {
    /// Whose.
    pub repo: RepoKey,
    /// What it is now.
    pub cursor: Cursor,
    /// Known rows that are new or changed.
    pub known: Vec<Known>,
    /// Known rows before this are forgotten.
    pub forget_before: WallTime,
    /// The staged rows are from now on to be decided, and those at or after `forget_before` become
    /// known rows: a copy more of each, and a copy less of the unfinished row that one revises.
    pub seal: bool,
}

/// All that steps of the intake cause: of one repository, or of several that are put down together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The cursors' moves; none while sealed rows are decided, or for a tick.
    pub cursors: Vec<CursorMove>,
    /// Entries with what was decided of them, oldest first within each repository.
    pub entries: Vec<DecidedEntry>,
    /// These entries, of one repository then, were sealed; their staged rows go.
    pub unseal: bool,
    /// Changes of the decision state.
    pub changes: Vec<StateChange>,
    /// Notifications, in the order decided.
    pub notifications: Vec<NewNotification>,
    /// Rows that could not be understood; one that is known by its text is not kept twice.
    pub rejected: Vec<(RepoKey, super::Rejected)>,
    /// Alarms that people are told of by these notifications.
    pub alarms: Vec<AlarmChange>,
    /// When.
    pub at: Option<Timestamp>,
}

/// An alarm that people were told of, or told that it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmChange {
    /// It began.
    Began(Alarm),
    /// The one of this kind about this is over.
    Over(AlarmKind, Arc<str>),
}

/// An entry with what was decided of it.
#[derive(Debug, Clone)]
pub struct DecidedEntry {
    /// The entry.
    pub entry: Arc<Entry>,
    /// When it was taken in.
    pub taken_at: Timestamp,
    /// The rules that matched, in order; none is a reason too.
    pub matched: Vec<Arc<str>>,
}

/// A notification to put down.
#[derive(Debug, Clone)]
pub struct NewNotification {
    /// Its id.
    pub id: NotificationId,
    /// The rule; empty for a test or an alarm.
    pub rule: Arc<str>,
    /// The receiver.
    pub receiver: Arc<str>,
    /// The source of what it tells of; empty for a test or an alarm.
    pub source: Arc<str>,
    /// The digest of its key.
    pub key: [u8; 16],
    /// The key as the API shows it.
    pub key_json: serde_json::Value,
    /// Why it is sent.
    pub reason: Reason,
    /// How grave it is.
    pub severity: Severity,
    /// The entries that it tells of.
    pub entries: Vec<EntryId>,
    /// How many entries it stands for.
    pub count: u64,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What holds it; then it has no payload.
    pub held_by: Option<HeldBy>,
    /// What is sent; `None` only when held.
    pub payload: Option<Payload>,
    /// What it says besides its entries.
    pub told: Told,
    /// The message that told the same receiver of its incident first, where it is another.
    pub follows: Option<NotificationId>,
}

/// What a message says besides its entries, kept so that it can be rendered for another receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The incident that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentView>,
    /// What a digest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Tally>,
    /// What an alarm or a summary says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A wish to hand over what waits for a receiver.
#[derive(Clone)]
pub struct HandOver {
    /// Whose rows.
    pub from: Arc<str>,
    /// Who takes them over.
    pub to: Arc<str>,
    /// The most rows.
    pub limit: usize,
    /// The present instant.
    pub now: Timestamp,
    /// Makes a row's text for the one who takes it over, called within the transaction.
    pub compose: Recompose,
}

/// Makes the text that a kept message has for another receiver.
pub type Recompose = Arc<dyn Fn(&Kept) -> Payload + Send + Sync>;

/// What of a kept message its text is made of.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its id.
    pub id: NotificationId,
    /// The receiver that it was meant for.
    pub receiver: Arc<str>,
    /// Its rule.
    pub rule: String,
    /// Why it is sent.
    pub reason: Reason,
    /// How grave it is.
    pub severity: Severity,
    /// The entries that it tells of, as far as they are kept.
    pub entries: Vec<Arc<Entry>>,
    /// How many entries it stands for.
    pub count: u64,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What it says besides.
    pub told: Told,
}

/// What came of a wish to hand over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandedOver {
    /// So many rows went.
    pub count: u64,
    /// There may be more.
    pub more: bool,
}

/// A wish for rows to send.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Whose rows.
    pub receiver: Arc<str>,
    /// The most that are wanted.
    pub limit: usize,
    /// The present instant.
    pub now: Timestamp,
    /// The clock was set back: waits that are longer than any can have been meant are shortened
    /// first.
    pub fit_waits: bool,
    /// Look for the message that each follows ([`Delivery::earlier`]).
    pub follow: bool,
    /// The lane's record as it is once these are claimed, pace included; the store fills in
    /// nothing.
    pub lane: Option<LaneRecord>,
}

/// A wish to fold what waits for a receiver.
#[derive(Clone)]
pub struct Fold {
    /// Whose rows.
    pub receiver: Arc<str>,
    /// The present instant.
    pub now: Timestamp,
    /// What the lane can clear.
    pub pressure: Pressure,
    /// When the last digest was made.
    pub folded_at: Option<Timestamp>,
    /// Makes the digest's notification, called within the transaction with the entries that it names.
    pub compose: Compose,
}

/// Makes a digest's notification from what it says and the entries that it names.
pub type Compose = Arc<dyn Fn(&Digest, &[Arc<Entry>]) -> NewNotification + Send + Sync>;

/// What came of a wish to fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// There is no need.
    Calm,
    /// More waits than can be cleared, and a digest went lately: it is gathered until then.
    Gather(Timestamp),
    /// So many were folded.
    Folded(u64),
}

/// A lane, as it outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaneRecord {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The sends that pace still counts, oldest first.
    pub sends: Vec<Timestamp>,
    /// Nothing is sent before this.
    pub hold_until: Option<Timestamp>,
    /// Set while the lane is closed.
    pub closed: Option<ClosedLane>,
    /// When waiting rows were last folded into a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded_at: Option<Timestamp>,
}

/// Why and since when a lane is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedLane {
    /// Since when.
    pub since: Timestamp,
    /// What the receiver said.
    pub detail: String,
    /// Probes made.
    pub probes: u32,
    /// When the oldest row probes next.
    pub next_probe_at: Timestamp,
}

/// What an attempt came to.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The row.
    pub seq: i64,
    /// Its receiver.
    pub receiver: Arc<str>,
    /// Its key's digest.
    pub key: [u8; 16],
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it came to.
    pub outcome: OutcomeRecord,
    /// What the answer gave for later edits or threads.
    pub captured: Option<serde_json::Value>,
    /// What becomes of the row.
    pub becomes: SettleAs,
}

/// What becomes of a row after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleAs {
    /// Delivered; the next of its key is due.
    Delivered,
    /// It waits, first of its key, until then.
    Pending {
        /// When it is due.
        at: Timestamp,
        /// Send the plain form next, as in [`Delivery::plain`].
        plain: bool,
        /// Whether the attempt counts in [`Delivery::failures`].
        failed: bool,
    },
    /// Given up; the next of its key is due.
    Dead,
    /// It was claimed and not sent: it waits as if it had not been claimed, due at once, and the
    /// attempt is taken back.
    Returned,
}

/// A wish to try dead letters again.
#[derive(Debug, Clone)]
pub struct RetryDead {
    /// Whose.
    pub receiver: Arc<str>,
    /// For whom; `None` for the same.
    pub to: Option<Arc<str>>,
    /// Those that were given up since then.
    pub since: Timestamp,
    /// Only those after this place.
    pub after: i64,
    /// The most that are looked at.
    pub limit: usize,
    /// The present instant.
    pub now: Timestamp,
    /// Only count them.
    pub preview: bool,
}

/// What came of a wish to try dead letters again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetriedDead {
    /// How many are tried, or would be.
    pub count: u64,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}

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

/// What may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries taken in before this, that no kept notification tells of.
    pub entries_before: Timestamp,
    /// Notifications that ended before this.
    pub notifications_before: Timestamp,
    /// The most rows to delete in this step.
    pub limit: usize,
}

/// What kind of failure a store had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Another process has it.
    Locked,
    /// No space is left.
    Full,
    /// The file is not a database, or is damaged, or of a later version.
    Damaged,
    /// It can't be opened, read or written.
    Io,
    /// It was closed.
    Closed,
    /// Our bug.
    Bug,
}

/// A failure of the store: what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind.
    pub kind: StoreErrorKind,
    /// A sentence with the path and the remedy.
    pub message: String,
}
