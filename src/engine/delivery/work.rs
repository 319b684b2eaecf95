//! The pieces of work that a lane has in hand: claims, sends, settlements, questions.
//!
//! Each is one future that ends in one [`Done`]; none outlives its lane. Deliberately absent: when
//! one is begun and what follows from how it ends, which is the lane's.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use jiff::Timestamp;

use crate::{
    domain::outcome::{Class, Flag, Outcome},
    ports::{
        Claim, Clock, Delivery, Fold, Folding, HandOver, HandedOver, LaneRecord, Notifier,
        Settlement, Store, StoreError,
    },
};

/// A piece of work that ended.
pub(super) enum Done {
    Claimed {
        wanted: usize,
        fitted: bool,
        went_on: bool,
        folding: Folding,
        result: Result<Vec<Delivery>, StoreError>,
    },
    NextDue(Result<Option<Timestamp>, StoreError>),
    Sent(Box<Attempt>),
    HandedOver(Result<HandedOver, StoreError>),
    Settled {
        batch: Arc<[Settlement]>,
        kept_record: bool,
        result: Result<(), StoreError>,
    },
}

/// An attempt that was made.
pub(super) struct Attempt {
    pub(super) delivery: Delivery,
    pub(super) outcome: Outcome,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) took: Duration,
}

/// Folds where that is wished, then claims.
pub(super) async fn claim(store: Arc<dyn Store>, fold: Option<Fold>, claim: Claim) -> Done {
    let (wanted, fitted, went_on) = (claim.limit, claim.fit_waits, claim.unfinished.is_some());
    let claimed = match fold {
        Some(fold) => store.fold_and_claim(fold, claim).await,
        None => store.claim(claim).await.map(|deliveries| (Folding::Calm, deliveries)),
    };
    let (folding, result) = match claimed {
        Ok((folding, deliveries)) => (folding, Ok(deliveries)),
        Err(error) => (Folding::Calm, Err(error)),
    };
    Done::Claimed { wanted, fitted, went_on, folding, result }
}

/// Sends, for at most `limit`. What the receiver's adapter does wrong is an outcome too.
pub(super) async fn send(
    notifier: Arc<dyn Notifier>,
    clock: Arc<dyn Clock>,
    limit: Duration,
    delivery: Delivery,
    started_at: Timestamp,
) -> Done {
    let begun = Instant::now();
    let sent = AssertUnwindSafe(notifier.send(&delivery, started_at)).catch_unwind();
    let outcome = match tokio::time::timeout(limit, sent).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => bug_outcome(),
        Err(_) => timeout_outcome(limit),
    };
    let (ended_at, took) = (clock.now(), begun.elapsed());
    Done::Sent(Box::new(Attempt { delivery, outcome, started_at, ended_at, took }))
}

/// Keeps what attempts came to, after a wait where the store just failed.
pub(super) async fn settle(
    store: Arc<dyn Store>,
    batch: Arc<[Settlement]>,
    record: Option<LaneRecord>,
    after: Duration,
) -> Done {
    // Even a wait of nothing lasts until the timer's next tick.
    if !after.is_zero() {
        tokio::time::sleep(after).await;
    }
    let kept_record = record.is_some();
    let result = store.settle(batch.clone(), record).await;
    Done::Settled { batch, kept_record, result }
}

/// Has the fallback take over what waits, after a wait where the store just failed.
pub(super) async fn hand_over(store: Arc<dyn Store>, wish: HandOver, after: Duration) -> Done {
    if !after.is_zero() {
        tokio::time::sleep(after).await;
    }
    Done::HandedOver(store.hand_over(wish).await)
}

/// Asks when the next row is due.
pub(super) async fn ask(store: Arc<dyn Store>, receiver: Arc<str>) -> Done {
    Done::NextDue(store.next_due(&receiver).await)
}

/// What a row that was claimed and not sent is settled with.
pub(super) fn not_sent() -> Outcome {
    Outcome::new(Class::Retry { after: None }, None, "not sent")
}

fn bug_outcome() -> Outcome {
    let detail = "the receiver's adapter panicked: a bug of ours";
    Outcome::new(Class::Retry { after: None }, None, detail)
}

fn timeout_outcome(limit: Duration) -> Outcome {
    let detail = format!("no answer within {} s", limit.as_secs());
    Outcome::new(Class::Retry { after: None }, None, detail).with(Flag::Ambiguous)
}
