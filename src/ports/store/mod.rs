//! Where everything lasts: cursors, entries, decision state and the outbox.
//!
//! Two calls carry the promise of the product. [`Store::commit`] puts a cursor's move and all that
//! it caused down together or not at all. [`Store::claim`] counts an attempt before it is made, and
//! [`Store::settle`] says what it came to. A call that returned `Ok` is on the disk.

mod batch;
mod outbox;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{
    entry::{Entry, EntryId},
    notification::NotificationId,
};

use super::{Alarm, Delivery, Payload};

pub use batch::{
    AlarmChange, Batch, Cursor, CursorMove, DecidedEntry, Doubt, Known, NewNotification, RepoKey,
    Told,
};
pub use outbox::{
    Claim, ClosedLane, Compose, Fold, Folding, HandOver, HandedOver, Kept, LaneRecord, Recompose,
    Redirect, RetriedDead, RetryDead, SettleAs, Settlement, Unfinished,
};
pub use view::{
    AttemptView, EntryQuery, EntryView, List, NotificationQuery, NotificationView, OutboxCount,
    RejectedView, RuleCount,
};

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

    /// Makes a dead or waiting notification due at once, under the same id, its schedule begun
    /// afresh; for another receiver where given, with the text that it has there. False when there
    /// is none with that id.
    async fn retry(
        &self,
        id: NotificationId,
        to: Option<Redirect>,
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
