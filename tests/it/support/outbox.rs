//! An outbox in memory that keeps the store's promises about delivery as plainly as they can be
//! said, for lanes under paused time. What lanes don't ask for is not there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use triggerbell::{
    domain::{
        entry::{Entry, EntryId},
        notification::{NotificationId, NotificationState, Reason},
        outcome::OutcomeRecord,
        retry::longest_wait,
    },
    ports::{
        AttemptView, Batch, Claim, Cursor, Delivery, EntryQuery, EntryView, HandOver, HandedOver,
        Known, LaneRecord, List, NotificationQuery, NotificationView, OutboxCount, Payload,
        PayloadFormat, Redirect, RejectedView, RepoKey, Retention, RetriedDead, RetryDead,
        RuleCount, SettleAs, Settlement, Store, StoreError, StoreErrorKind,
    },
};

/// A row of the outbox.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) receiver: Arc<str>,
    pub(crate) key: [u8; 16],
    /// The first part of the message of which it is a later one.
    pub(crate) part_of: Option<i64>,
    pub(crate) state: NotificationState,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) plain: bool,
    pub(crate) due_at: Timestamp,
    pub(crate) outcomes: Vec<OutcomeRecord>,
    pub(crate) taken_over: bool,
}

/// The outbox. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    rows: Vec<Row>,
    lanes: BTreeMap<Arc<str>, LaneRecord>,
    failing: bool,
}

fn id(seq: i64) -> NotificationId {
    NotificationId([u8::try_from(seq % 256).unwrap(); 16])
}

fn broken() -> StoreError {
    StoreError { kind: StoreErrorKind::Full, message: "the disk is full".to_owned() }
}

impl Outbox {
    /// Adds a waiting row; the number in its key tells keys apart.
    pub(crate) fn push(&self, receiver: &str, key: u8, at: Timestamp) -> i64 {
        self.push_part(receiver, key, None, at)
    }

    /// Adds a waiting row that is a later part of the message that another begins.
    pub(crate) fn push_part(
        &self,
        receiver: &str,
        key: u8,
        part_of: Option<i64>,
        at: Timestamp,
    ) -> i64 {
        let mut inner = self.0.lock().unwrap();
        let seq = i64::try_from(inner.rows.len()).unwrap();
        inner.rows.push(Row {
            seq,
            receiver: receiver.into(),
            key: [key; 16],
            part_of,
            state: NotificationState::Pending,
            attempts: 0,
            failures: 0,
            plain: false,
            due_at: at,
            outcomes: Vec::new(),
            taken_over: false,
        });
        seq
    }

    pub(crate) fn row(&self, seq: i64) -> Row {
        self.0.lock().unwrap().rows[usize::try_from(seq).unwrap()].clone()
    }

    pub(crate) fn try_row(&self, seq: i64) -> Option<Row> {
        self.0.lock().unwrap().rows.get(usize::try_from(seq).unwrap()).cloned()
    }

    pub(crate) fn count(&self, state: NotificationState) -> usize {
        self.0.lock().unwrap().rows.iter().filter(|row| row.state == state).count()
    }

    pub(crate) fn lane(&self, receiver: &str) -> Option<LaneRecord> {
        self.0.lock().unwrap().lanes.get(receiver).cloned()
    }

    /// From now on every write fails, or none.
    pub(crate) fn fail(&self, failing: bool) {
        self.0.lock().unwrap().failing = failing;
    }
}

impl Inner {
    /// Whether a waiting row is the first of its key.
    fn is_head(&self, row: &Row) -> bool {
        let live = [NotificationState::Pending, NotificationState::Sending];
        !self.rows.iter().any(|other| {
            other.receiver == row.receiver
                && other.key == row.key
                && other.seq < row.seq
                && live.contains(&other.state)
        })
    }

    /// A row and the later parts behind it.
    fn with_parts(&self, head: &Row) -> Vec<Row> {
        let message = head.part_of.unwrap_or(head.seq);
        let behind = self.rows.iter().filter(|row| {
            row.seq > head.seq
                && row.part_of == Some(message)
                && row.state == NotificationState::Pending
        });
        std::iter::once(head).chain(behind).cloned().collect()
    }

    fn heads(&self, receiver: &str) -> Vec<Row> {
        let mut heads: Vec<_> = self
            .rows
            .iter()
            .filter(|row| &*row.receiver == receiver && row.state == NotificationState::Pending)
            .filter(|row| self.is_head(row))
            .cloned()
            .collect();
        heads.sort_by_key(|row| (row.due_at, row.seq));
        heads
    }
}

#[async_trait]
impl Store for Outbox {
    async fn claim(&self, claim: Claim) -> Result<Vec<Delivery>, StoreError> {
        let mut inner = self.0.lock().unwrap();
        if inner.failing {
            return Err(broken());
        }
        if let Some(lane) = claim.lane {
            inner.lanes.insert(lane.receiver.clone(), lane);
        }
        if claim.fit_waits {
            for row in inner.rows.iter_mut().filter(|row| row.receiver == claim.receiver) {
                let longest = if row.attempts == 0 {
                    std::time::Duration::ZERO
                } else {
                    longest_wait(row.failures)
                };
                row.due_at = row.due_at.min(claim.now.checked_add(longest).unwrap());
            }
        }
        let mut heads = inner.heads(&claim.receiver);
        heads.retain(|row| row.due_at <= claim.now);
        if let Some(unfinished) = claim.unfinished {
            heads.retain(|row| row.seq == unfinished.seq);
        }
        let (goes_on, mut due) = (claim.unfinished.is_some(), Vec::new());
        for head in heads {
            let message = inner.with_parts(&head);
            if !due.is_empty() && due.len() + message.len() > claim.limit {
                break;
            }
            due.extend(message);
        }
        let claimed = due.into_iter().enumerate().map(|(n, row)| {
            let row = &mut inner.rows[usize::try_from(row.seq).unwrap()];
            row.state = NotificationState::Sending;
            row.attempts += 1;
            Delivery {
                seq: row.seq,
                id: id(row.seq),
                receiver: row.receiver.clone(),
                key: row.key,
                reason: Reason::Matched,
                attempt: row.attempts,
                failures: row.failures,
                plain: row.plain,
                created_at: row.due_at,
                payload: Payload { format: PayloadFormat::Json, body: "{}".to_owned() },
                // One that comes by itself is a message of its own, but where it is asked for.
                part_of: row.part_of.filter(|_| n > 0 || goes_on).map(id),
                earlier: None,
            }
        });
        Ok(claimed.collect())
    }

    async fn hand_over(&self, wish: HandOver) -> Result<HandedOver, StoreError> {
        let mut inner = self.0.lock().unwrap();
        if inner.failing {
            return Err(broken());
        }
        let waits = |row: &&mut Row| {
            row.receiver == wish.from && row.state == NotificationState::Pending && !row.taken_over
        };
        let mut count = 0;
        for row in inner.rows.iter_mut().filter(waits).take(wish.limit) {
            (row.receiver, row.taken_over) = (wish.to.to.clone(), true);
            count += 1;
        }
        Ok(HandedOver { count, more: count == wish.limit as u64 })
    }

    async fn next_due(&self, receiver: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.0.lock().unwrap().heads(receiver).first().map(|row| row.due_at))
    }

    async fn settle(
        &self,
        settlements: Arc<[Settlement]>,
        lane: Option<LaneRecord>,
    ) -> Result<(), StoreError> {
        let mut inner = self.0.lock().unwrap();
        if inner.failing {
            return Err(broken());
        }
        if let Some(lane) = lane {
            inner.lanes.insert(lane.receiver.clone(), lane);
        }
        for settlement in settlements.iter().cloned() {
            let row = &mut inner.rows[usize::try_from(settlement.seq).unwrap()];
            assert_eq!(row.state, NotificationState::Sending, "only a claimed row is settled");
            if settlement.becomes != SettleAs::Returned {
                row.outcomes.push(settlement.outcome);
            }
            match settlement.becomes {
                SettleAs::Delivered => row.state = NotificationState::Delivered,
                SettleAs::Dead => row.state = NotificationState::Dead,
                SettleAs::Pending { at, plain, failed } => {
                    row.state = NotificationState::Pending;
                    row.due_at = at;
                    row.plain = plain;
                    row.failures += u32::from(failed);
                }
                SettleAs::Returned => {
                    row.state = NotificationState::Pending;
                    row.attempts -= 1;
                }
            }
        }
        Ok(())
    }

    async fn cursors(&self, _: &str) -> Result<Vec<(Arc<str>, Cursor)>, StoreError> {
        unreachable!("lanes know no cursors")
    }

    async fn window(&self, _: &RepoKey) -> Result<Vec<Known>, StoreError> {
        unreachable!("lanes know no cursors")
    }

    async fn stage(&self, _: &RepoKey, _: Vec<Entry>) -> Result<(), StoreError> {
        unreachable!("lanes know no cursors")
    }

    async fn clear_stage(&self, _: &RepoKey) -> Result<(), StoreError> {
        unreachable!("lanes know no cursors")
    }

    async fn sealed(&self, _: &RepoKey, _: usize) -> Result<Vec<Entry>, StoreError> {
        unreachable!("lanes know no cursors")
    }

    async fn state(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        unreachable!("lanes know no decisions")
    }

    async fn commit(&self, _: Batch) -> Result<(), StoreError> {
        unreachable!("lanes know no decisions")
    }

    async fn release_claims(&self, _: Timestamp) -> Result<u64, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn lanes(&self) -> Result<Vec<LaneRecord>, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn orphan(&self, _: &[Arc<str>], _: Timestamp) -> Result<u64, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn release_lane(&self, _: &str) -> Result<u64, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn bury(&self, _: &str, _: Timestamp) -> Result<u64, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn retry(
        &self,
        _: NotificationId,
        _: Option<Redirect>,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        unreachable!("the API does that")
    }

    async fn retry_dead(&self, _: RetryDead) -> Result<RetriedDead, StoreError> {
        unreachable!("the API does that")
    }

    async fn entries(&self, _: EntryQuery) -> Result<List<EntryView>, StoreError> {
        unreachable!("the API does that")
    }

    async fn entry(&self, _: EntryId) -> Result<Option<EntryView>, StoreError> {
        unreachable!("the API does that")
    }

    async fn notifications(
        &self,
        _: NotificationQuery,
    ) -> Result<List<NotificationView>, StoreError> {
        unreachable!("the API does that")
    }

    async fn notification(
        &self,
        _: NotificationId,
    ) -> Result<Option<(NotificationView, Option<Payload>, Vec<AttemptView>)>, StoreError> {
        unreachable!("the API does that")
    }

    async fn outbox(&self) -> Result<Vec<OutboxCount>, StoreError> {
        unreachable!("the API does that")
    }

    async fn rule_counts(&self) -> Result<Vec<RuleCount>, StoreError> {
        unreachable!("the API does that")
    }

    async fn rejected(&self, _: Option<i64>, _: usize) -> Result<List<RejectedView>, StoreError> {
        unreachable!("the API does that")
    }

    async fn retain(&self, _: Retention) -> Result<bool, StoreError> {
        unreachable!("upkeep does that")
    }

    async fn probe(&self) -> Result<(), StoreError> {
        unreachable!("readiness does that")
    }
}
