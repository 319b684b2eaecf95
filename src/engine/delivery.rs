//! Delivery: a lane for each receiver, which claims, sends and settles.
//!
//! A lane is one loop over its own bounded work: claims and settlements are single and batched,
//! sends run side by side up to the receiver's concurrency. What follows an attempt is decided by
//! the pure `domain::retry::next_step`; order within a key is the store's promise (it hands out
//! only rows that are first of their key). Attempts are counted by the claim, before they are made,
//! so a crash repeats at most the sends in flight and one batch of unsettled ones.
//!
//! Deliberately absent: HTTP, SQL, what an answer means, and any effect of one lane on another.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    domain::{
        outcome::{Class, Outcome, OutcomeRecord, Scope},
        pace::{Pace, PaceLog},
        retry::{JITTER_SHARE, NextStep, RETRY_AFTER_CAP, next_step},
    },
    engine::{alarm::Alarms, board::LaneBoard, digest::Digests, fallback::Fallback, wake::Wakes},
    ports::{
        AlarmKind, Claim, Clock, ClosedLane, Delivery, Event, Folding, HandedOver, LaneRecord,
        Notifier, Observer, SettleAs, Settlement, Store, StoreError,
    },
};

/// The most rows of one claim, and the most unsettled attempts of one lane beside those in flight.
const BATCH: usize = 256;

/// Outcomes that are kept at once although more are on their way.
const SETTLE_MANY: usize = 128;

/// How long a busy lane gathers: outcomes to keep, and rows to claim, which it then writes
/// together. One sync serves many of them, and the pages that each commit writes anew; a lane that
/// is not busy waits for nothing.
const GATHER: Duration = Duration::from_millis(10);

/// How long a lane sleeps when nothing tells it otherwise.
const SLOW_POLL: Duration = Duration::from_secs(30);

/// How long a lane waits when the store failed.
const STORE_BACKOFF: Duration = Duration::from_secs(1);

/// The first wait between probes of a closed lane; it doubles up to [`PROBE_MAX`].
const PROBE_MIN: Duration = Duration::from_secs(60);

/// The longest wait between probes of a closed lane.
const PROBE_MAX: Duration = Duration::from_secs(30 * 60);

/// How long sends in flight may settle when the service stops.
const DRAIN: Duration = Duration::from_secs(10);

/// What a lane does for its receiver.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// How fast it may be sent to.
    pub pace: Option<Pace>,
    /// Sends that run side by side, at least 1.
    pub concurrency: usize,
    /// The longest that one send may take, whatever its own timeouts say.
    pub send_timeout: Duration,
}

/// What every lane works with.
#[derive(Clone)]
pub struct LaneWorld {
    /// The outbox.
    pub store: Arc<dyn Store>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who counts.
    pub observer: Arc<dyn Observer>,
    /// Where lanes that close are said.
    pub alarms: Alarms,
    /// The lanes' bells.
    pub wakes: Wakes,
}

/// A receiver's lane.
pub struct Lane {
    settings: LaneSettings,
    notifier: Arc<dyn Notifier>,
    world: LaneWorld,
    board: LaneBoard,
    /// What of the lane outlives a restart, but for the sends, which `pace` holds.
    record: LaneRecord,
    pace: PaceLog,
    /// The record changed since it was last kept.
    dirty: bool,
    /// Claimed, not yet sent.
    ready: VecDeque<Delivery>,
    /// Attempts whose result is not yet kept.
    unsettled: Vec<Settlement>,
    /// Attempts whose result is being kept now.
    settling: usize,
    sending: usize,
    claiming: bool,
    /// The claim that was begun last went along with the settlement that was.
    claims_along: bool,
    /// When to claim next; `None` when nothing is known to wait.
    look_at: Option<Timestamp>,
    /// The bell rang since the last claim was begun, so what that claim saw may be old.
    rung: bool,
    /// The store is being asked what is due next.
    asking: bool,
    /// What that answer says will be old.
    ask_again: bool,
    /// The store fails; said once.
    store_failing: bool,
    /// What the clock said last.
    seen_at: Timestamp,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    stopping: bool,
    /// When a settlement or a claim was last begun.
    wrote_at: Option<tokio::time::Instant>,
    /// How what waits folds into digests, where it does.
    digests: Option<Digests>,
    /// A digest is gathered: nothing is claimed before this.
    gather_until: Option<Timestamp>,
    /// Who takes over what waits while the lane is closed.
    fallback: Option<Fallback>,
    /// Something may wait that the fallback is to take over.
    to_hand_over: bool,
    handing_over: bool,
}

/// A piece of work that ended.
enum Done {
    Claimed { wanted: usize, folding: Folding, result: Result<Vec<Delivery>, StoreError> },
    NextDue(Result<Option<Timestamp>, StoreError>),
    Sent(Box<Attempt>),
    HandedOver(Result<HandedOver, StoreError>),
    Settled { batch: Arc<[Settlement]>, kept_record: bool, result: Result<(), StoreError> },
}

/// An attempt that was made.
struct Attempt {
    delivery: Delivery,
    outcome: Outcome,
    started_at: Timestamp,
    ended_at: Timestamp,
    took: Duration,
}

impl Lane {
    /// A lane that goes on from `record`, which an earlier life may have kept.
    pub fn new(
        settings: LaneSettings,
        notifier: Arc<dyn Notifier>,
        world: LaneWorld,
        board: LaneBoard,
        record: Option<LaneRecord>,
    ) -> Self {
        let mut record = record.unwrap_or_default();
        record.receiver = settings.receiver.clone();
        let pace = PaceLog::from_sends(std::mem::take(&mut record.sends));
        let seen_at = world.clock.now();
        let mut lane = Self {
            settings,
            notifier,
            world,
            board,
            record,
            pace,
            dirty: false,
            ready: VecDeque::new(),
            unsettled: Vec::new(),
            settling: 0,
            sending: 0,
            claiming: false,
            claims_along: false,
            look_at: Some(Timestamp::MIN),
            rung: false,
            asking: false,
            ask_again: false,
            store_failing: false,
            seen_at,
            work: FuturesUnordered::new(),
            stopping: false,
            wrote_at: None,
            digests: None,
            gather_until: None,
            fallback: None,
            to_hand_over: true,
            handing_over: false,
        };
        // Whoever started it may have changed what the lane was closed for.
        lane.probe_within(PROBE_MIN);
        lane.show();
        lane
    }

    /// The same, folding what pace can't clear in time into digests.
    #[must_use]
    pub fn folding(self, digests: Option<Digests>) -> Self {
        Self { digests, ..self }
    }

    /// The same, with somebody who takes over what waits while the lane is closed.
    #[must_use]
    pub fn falling_back(self, fallback: Option<Fallback>) -> Self {
        Self { fallback, ..self }
    }

    /// Delivers until cancelled; then lets sends in flight settle for a bounded time.
    pub async fn run(mut self, cancel: CancellationToken) {
        let bell = self.world.wakes.bell(&self.settings.receiver);
        if let Some(closed) = &self.record.closed {
            self.raise_closed(&closed.detail, closed.since);
        }
        while !cancel.is_cancelled() {
            // Subscribed before the store is asked, so that a commit in between is not missed.
            let woken = bell.notified();
            let sleep = self.advance();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(done) = self.work.next() => self.absorb(done),
                () = woken => {
                    self.rung = true;
                    self.to_hand_over = true;
                    self.look_at = Some(Timestamp::MIN);
                    if bell.take_urgent() {
                        self.probe_within(Duration::ZERO);
                    }
                }
                () = tokio::time::sleep(sleep) => {}
            }
            while let Some(Some(done)) = self.work.next().now_or_never() {
                self.absorb(done);
            }
        }
        self.drain().await;
    }

    /// Starts all the work that may be started now, and says how long nothing else can start.
    fn advance(&mut self) -> Duration {
        let now = self.world.clock.now();
        self.follow_clock(now);
        while self.may_send(now) {
            let Some(delivery) = self.ready.pop_front() else { break };
            self.start_send(delivery, now);
        }
        self.hand_over(now);
        let mut until = self.wait_until(now);
        let gather = self.gathers();
        if gather.is_none() {
            // Both at once, so that they share a commit: the claim comes second, and finds those
            // that the settlement lets come forward.
            let settles = !self.unsettled.is_empty() && self.settling == 0;
            if settles {
                self.start_settle(Duration::ZERO);
                self.claims_along = false;
                if self.settings.pace.is_none() {
                    self.look_at = Some(Timestamp::MIN);
                }
            }
            if !self.claiming && self.ready.len() < self.settings.concurrency * 2 {
                match self.claimable(now) {
                    Claimable::Now(limit) => {
                        self.start_claim(limit, now);
                        self.claims_along = settles;
                    }
                    Claimable::At(at) => until = until.min(at),
                    Claimable::Unknown => {}
                }
            }
        }
        let gather = gather.unwrap_or(Duration::MAX);
        Duration::try_from(until.duration_since(now)).unwrap_or_default().min(gather)
    }

    /// Has the fallback take over what waits, where the lane is closed and no probe is due: then one
    /// row is left to be the probe, and goes, too, if that fails. What is in hand is kept first.
    fn hand_over(&mut self, now: Timestamp) {
        let Some(fallback) = &self.fallback else { return };
        let in_hand = self.ready.len() + self.unsettled.len() + self.settling > 0;
        let closed = self.record.closed.is_some() && self.is_shut(now);
        if !closed || !self.to_hand_over || in_hand || self.claiming || self.handing_over {
            return;
        }
        (self.to_hand_over, self.handing_over) = (false, true);
        let (store, wish) = (self.world.store.clone(), fallback.wish(&self.settings.receiver, now));
        let failed = self.store_failing;
        let hand_over = async move {
            if failed {
                tokio::time::sleep(STORE_BACKOFF).await;
            }
            Done::HandedOver(store.hand_over(wish).await)
        };
        self.work.push(hand_over.boxed());
    }

    fn absorb_hand_over(&mut self, result: Result<HandedOver, StoreError>) {
        self.handing_over = false;
        match (result, &self.fallback) {
            (Ok(HandedOver { count, more }), Some(fallback)) => {
                self.to_hand_over |= more;
                if count > 0 {
                    let receiver = &*self.settings.receiver;
                    self.world.wakes.wake(&fallback.to);
                    self.world.observer.observe(Event::FellBack { receiver, count });
                    info!(
                        receiver.name = receiver, fallback.name = %fallback.to, count,
                        "the fallback took over what waited for a receiver that takes nothing"
                    );
                }
                self.store_works();
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                self.to_hand_over = true;
                self.store_failed("hand over what waits", &error);
            }
        }
    }

    /// How much longer a busy lane gathers since it last wrote; `None` when it is to write now.
    fn gathers(&self) -> Option<Duration> {
        let busy = self.sending * 2 > self.settings.concurrency && self.settings.concurrency > 8;
        let full = self.unsettled.len() >= SETTLE_MANY && self.settling == 0;
        if !busy || full || self.stopping {
            return None;
        }
        let left = GATHER.checked_sub(self.wrote_at?.elapsed())?;
        Some(left).filter(|left| !left.is_zero())
    }

    /// Keeps the lane's waits as long as they were meant where the clock was set back, even while
    /// the service was down: instants that were near must not become far.
    fn follow_clock(&mut self, now: Timestamp) {
        let back = std::mem::replace(&mut self.seen_at, now).duration_since(now);
        let back = back.max(SignedDuration::ZERO);
        let hold_max = RETRY_AFTER_CAP.mul_f64(1.0 + JITTER_SHARE);
        let meant = |at: Timestamp, longest: Duration| {
            let latest = now.checked_add(longest).unwrap_or(Timestamp::MAX);
            at.checked_sub(back).unwrap_or(Timestamp::MIN).min(latest)
        };
        if let Some(hold) = &mut self.record.hold_until {
            *hold = meant(*hold, hold_max);
        }
        if let Some(closed) = &mut self.record.closed {
            closed.next_probe_at = meant(closed.next_probe_at, PROBE_MAX);
        }
        if !back.is_zero() {
            self.gather_until = None;
            self.dirty = true;
            self.look_at = Some(Timestamp::MIN);
        }
    }

    /// Whether nothing may be sent now: the receiver asked to wait, or the lane is closed and its
    /// probe is not yet due.
    fn is_shut(&self, now: Timestamp) -> bool {
        let probe = self.record.closed.as_ref().map(|closed| closed.next_probe_at);
        self.record.hold_until.max(probe).is_some_and(|until| until > now)
    }

    fn wait_until(&self, now: Timestamp) -> Timestamp {
        let slow = now.checked_add(SLOW_POLL).unwrap_or(Timestamp::MAX);
        match self.record.hold_until {
            Some(hold) if !self.ready.is_empty() && hold > now => slow.min(hold),
            _ => slow,
        }
    }

    /// Whether a claimed row may be sent now.
    fn may_send(&self, now: Timestamp) -> bool {
        !self.stopping
            && self.sending < self.settings.concurrency
            && self.unsettled.len() + self.settling < BATCH
            && !self.is_shut(now)
    }

    /// How many rows may be claimed, or when that will be known better.
    fn claimable(&mut self, now: Timestamp) -> Claimable {
        let slow = now.checked_add(SLOW_POLL).unwrap_or(Timestamp::MAX);
        let closed = self.record.closed.as_ref();
        let probe = closed.map_or(Timestamp::MIN, |closed| closed.next_probe_at);
        let hold = self.record.hold_until.unwrap_or(Timestamp::MIN);
        let gather = self.gather_until.unwrap_or(Timestamp::MIN);
        let at = self.look_at.unwrap_or(slow).max(probe).max(hold).max(gather);
        if at > now {
            return Claimable::At(at);
        }
        if closed.is_some() {
            let busy = self.sending + self.ready.len() + self.unsettled.len() + self.settling > 0;
            return if busy { Claimable::Unknown } else { Claimable::Now(1) };
        }
        let room = (self.settings.concurrency * 4).min(BATCH) - self.ready.len().min(BATCH);
        let Some(pace) = self.settings.pace else { return Claimable::Now(room.max(1)) };
        match self.pace.allowance(pace, now) as usize {
            0 => match self.pace.next_allowed(pace, now) {
                at if at > now => Claimable::At(at),
                // What is reserved is about to be sent, which wakes the loop.
                _ => Claimable::Unknown,
            },
            allowed => Claimable::Now(allowed.min(room.max(1))),
        }
    }

    fn start_claim(&mut self, wanted: usize, now: Timestamp) {
        self.claiming = true;
        self.wrote_at = Some(tokio::time::Instant::now());
        self.rung = false;
        if self.settings.pace.is_some() {
            // Kept before they are sent: after a crash the lane is too slow rather than too fast.
            self.pace.reserve(u32::try_from(wanted).unwrap_or(u32::MAX));
        }
        let claim = Claim {
            receiver: self.settings.receiver.clone(),
            limit: wanted,
            now,
            follow: self.notifier.follows(),
            lane: self.settings.pace.is_some().then(|| self.record_at(now)),
        };
        let store = self.world.store.clone();
        let digests = self.digests.as_ref().filter(|_| self.record.closed.is_none());
        let fold = digests.map(|digests| digests.wish(&claim.receiver, self.record.folded_at, now));
        let claim = async move {
            let folding = match fold {
                Some(fold) => store.fold(fold).await,
                None => Ok(Folding::Calm),
            };
            let (folding, result) = match folding {
                Ok(Folding::Gather(until)) => (Folding::Gather(until), Ok(Vec::new())),
                Ok(folding) => (folding, store.claim(claim).await),
                Err(error) => (Folding::Calm, Err(error)),
            };
            Done::Claimed { wanted, folding, result }
        };
        self.work.push(claim.boxed());
    }

    fn start_send(&mut self, delivery: Delivery, started_at: Timestamp) {
        self.sending += 1;
        let notifier = self.notifier.clone();
        let clock = self.world.clock.clone();
        let limit = self.settings.send_timeout;
        let send = async move {
            let begun = Instant::now();
            let sent = AssertUnwindSafe(notifier.send(&delivery, started_at)).catch_unwind();
            let outcome = match tokio::time::timeout(limit, sent).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => bug_outcome(),
                Err(_) => timeout_outcome(limit),
            };
            let (ended_at, took) = (clock.now(), begun.elapsed());
            Done::Sent(Box::new(Attempt { delivery, outcome, started_at, ended_at, took }))
        };
        self.work.push(send.boxed());
    }

    /// Keeps what attempts came to, after a wait where the store just failed.
    fn start_settle(&mut self, after: Duration) {
        let batch: Arc<[Settlement]> = std::mem::take(&mut self.unsettled).into();
        self.wrote_at = Some(tokio::time::Instant::now());
        self.settling = batch.len();
        let record = self.dirty.then(|| self.record_at(self.world.clock.now()));
        self.dirty = false;
        let store = self.world.store.clone();
        let settle = async move {
            // Even a wait of nothing lasts until the timer's next tick.
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            let kept_record = record.is_some();
            let result = store.settle(batch.clone(), record).await;
            Done::Settled { batch, kept_record, result }
        };
        self.work.push(settle.boxed());
    }

    /// Asks when the next row is due.
    fn start_ask(&mut self) {
        if self.asking {
            self.ask_again = true;
            return;
        }
        self.asking = true;
        let (store, receiver) = (self.world.store.clone(), self.settings.receiver.clone());
        self.work.push(async move { Done::NextDue(store.next_due(&receiver).await) }.boxed());
    }

    fn absorb(&mut self, done: Done) {
        match done {
            Done::Claimed { wanted, folding, result } => {
                self.absorb_folding(folding);
                self.absorb_claim(wanted, result);
            }
            Done::NextDue(result) => {
                self.asking = false;
                if std::mem::take(&mut self.ask_again) {
                    self.start_ask();
                }
                match result {
                    Ok(due) => {
                        // A ring that was lost costs no more than this.
                        let slow = self.world.clock.now().checked_add(SLOW_POLL);
                        let slow = slow.unwrap_or(Timestamp::MAX);
                        self.look_sooner(due.map_or(slow, |due| due.min(slow)));
                    }
                    Err(error) => self.store_failed("ask what is due", &error),
                }
            }
            Done::Sent(attempt) => self.absorb_attempt(*attempt),
            Done::HandedOver(result) => self.absorb_hand_over(result),
            Done::Settled { batch, kept_record, result } => {
                self.absorb_settle(&batch, kept_record, result);
            }
        }
    }

    fn absorb_folding(&mut self, folding: Folding) {
        match folding {
            Folding::Calm => self.gather_until = None,
            Folding::Gather(until) => self.gather_until = Some(until),
            Folding::Folded(count) => {
                self.gather_until = None;
                self.record.folded_at = Some(self.world.clock.now());
                self.dirty = true;
                let receiver = &*self.settings.receiver;
                self.world.observer.observe(Event::Folded { receiver, count });
                info!(receiver.name = receiver, count, "folded waiting messages into a digest");
            }
        }
    }

    fn absorb_claim(&mut self, wanted: usize, result: Result<Vec<Delivery>, StoreError>) {
        self.claiming = false;
        let got = result.as_ref().map_or(0, Vec::len);
        if self.settings.pace.is_some() && got < wanted {
            self.pace.release(u32::try_from(wanted - got).unwrap_or(u32::MAX));
            self.dirty = true;
        }
        match result {
            Ok(deliveries) => {
                self.ready.extend(deliveries);
                if got < wanted && !self.rung {
                    self.look_at = None;
                    self.start_ask();
                }
                let now = self.world.clock.now();
                if self.is_shut(now) {
                    // It was shut while they were being claimed.
                    self.hand_back(now);
                }
                self.store_works();
            }
            Err(error) => self.store_failed("claim messages", &error),
        }
    }

    fn absorb_attempt(&mut self, attempt: Attempt) {
        self.sending -= 1;
        if self.settings.pace.is_some() {
            // Counted from its end: it arrived by then, so that the next window can't begin too early.
            self.pace.note(attempt.ended_at);
            self.dirty = true;
        }
        let Attempt { delivery, outcome, started_at, ended_at, took } = attempt;
        let jitter = fastrand::f64();
        let next = next_step(delivery.failures, delivery.plain, &outcome, ended_at, jitter);
        let record = OutcomeRecord::from(&outcome);
        self.observe(&delivery, &record, &next, ended_at, took);
        let becomes = self.follow(&delivery, &outcome, &next, ended_at);
        self.unsettled.push(Settlement {
            seq: delivery.seq,
            receiver: delivery.receiver,
            key: delivery.key,
            attempt: delivery.attempt,
            started_at,
            ended_at,
            outcome: record,
            captured: outcome.captured,
            becomes,
        });
        self.show();
    }

    /// Does to the lane what the next step asks for, and says what becomes of the row.
    fn follow(
        &mut self,
        delivery: &Delivery,
        outcome: &Outcome,
        next: &NextStep,
        now: Timestamp,
    ) -> SettleAs {
        match *next {
            NextStep::Delivered => {
                self.reopen();
                SettleAs::Delivered
            }
            NextStep::RetryAt { at, plain, hold_lane, failed } => {
                if hold_lane {
                    self.record.hold_until = Some(self.record.hold_until.map_or(at, |h| h.max(at)));
                    self.dirty = true;
                    self.hand_back(now);
                }
                if self.record.closed.is_some() {
                    self.close(&outcome.detail, now);
                }
                self.look_sooner(at);
                SettleAs::Pending { at, plain, failed }
            }
            NextStep::Dead => {
                if outcome.class == Class::Permanent(Scope::Message) {
                    // The receiver judged the message, so it is there.
                    self.reopen();
                }
                let message = format!(
                    "a message to {} was given up: {}; see `deliveries list --state dead`",
                    self.settings.receiver, outcome.detail
                );
                let about = &self.settings.receiver;
                self.world.alarms.raise(AlarmKind::DeadLetter, about, &message, now);
                self.world.observer.observe(Event::Dead { receiver: &delivery.receiver });
                SettleAs::Dead
            }
            NextStep::CloseLane => {
                self.close(&outcome.detail, now);
                self.hand_back(now);
                // Due since it was decided, so that it stays the oldest and probes.
                SettleAs::Pending { at: delivery.created_at, plain: delivery.plain, failed: false }
            }
        }
    }

    /// Closes the lane, or puts the next probe of a closed one off.
    fn close(&mut self, detail: &str, now: Timestamp) {
        if self.record.closed.as_ref().is_some_and(|closed| closed.next_probe_at > now) {
            // No probe failed: this one was in flight when the lane closed.
            return;
        }
        let closed = self.record.closed.get_or_insert_with(|| ClosedLane {
            since: now,
            detail: String::new(),
            probes: 0,
            next_probe_at: now,
        });
        detail.clone_into(&mut closed.detail);
        let wait = PROBE_MIN.saturating_mul(1 << closed.probes.min(10)).min(PROBE_MAX);
        closed.probes = closed.probes.saturating_add(1);
        closed.next_probe_at = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        let since = closed.since;
        self.dirty = true;
        self.raise_closed(detail, since);
    }

    fn raise_closed(&self, detail: &str, since: Timestamp) {
        let meanwhile = match &self.fallback {
            None => "its messages wait and are tried again by themselves".to_owned(),
            Some(fallback) => format!("its messages go to {} meanwhile", fallback.to),
        };
        let receiver = &self.settings.receiver;
        let message = format!("{receiver} refuses everything: {detail}; {meanwhile}");
        self.world.alarms.raise(AlarmKind::LaneClosed, &self.settings.receiver, &message, since);
    }

    /// Brings a closed lane's probe forward.
    fn probe_within(&mut self, wait: Duration) {
        if let Some(closed) = &mut self.record.closed {
            let latest = self.seen_at.checked_add(wait).unwrap_or(Timestamp::MAX);
            closed.next_probe_at = closed.next_probe_at.min(latest);
        }
    }

    /// Opens the lane where it is closed.
    fn reopen(&mut self) {
        if self.record.closed.take().is_some() {
            self.dirty = true;
            self.look_at = Some(Timestamp::MIN);
            let now = self.world.clock.now();
            self.world.alarms.clear(AlarmKind::LaneClosed, &self.settings.receiver, now);
            info!(receiver.name = %self.settings.receiver, "the receiver takes messages again");
        }
    }

    /// Gives the rows that were claimed and not sent back to the store.
    fn hand_back(&mut self, now: Timestamp) {
        let returned = self.ready.drain(..).map(|delivery| Settlement {
            seq: delivery.seq,
            receiver: delivery.receiver,
            key: delivery.key,
            attempt: delivery.attempt,
            started_at: now,
            ended_at: now,
            outcome: OutcomeRecord::from(&Outcome::new(
                Class::Retry { after: None },
                None,
                "not sent",
            )),
            captured: None,
            becomes: SettleAs::Returned,
        });
        let before = self.unsettled.len();
        self.unsettled.extend(returned);
        if self.settings.pace.is_some() {
            let unsent = self.unsettled.len() - before;
            self.pace.release(u32::try_from(unsent).unwrap_or(u32::MAX));
            self.dirty = true;
        }
        self.look_at = Some(Timestamp::MIN);
    }

    fn absorb_settle(
        &mut self,
        batch: &[Settlement],
        kept_record: bool,
        result: Result<(), StoreError>,
    ) {
        self.settling = 0;
        match result {
            Ok(()) => {
                self.store_works();
                self.to_hand_over = true;
                // What ended may have let the next of its key come forward; a claim that went along
                // has seen it.
                if !self.claims_along && self.look_at.is_none_or(|at| at > self.world.clock.now()) {
                    self.start_ask();
                }
            }
            Err(error) => {
                // Nothing is forgotten: they are kept with the next batch.
                self.dirty |= kept_record;
                let newer = std::mem::replace(&mut self.unsettled, batch.to_vec());
                self.unsettled.extend(newer);
                self.store_failed("keep what was delivered", &error);
                self.start_settle(STORE_BACKOFF);
            }
        }
    }

    fn store_failed(&mut self, doing: &str, error: &StoreError) {
        if !std::mem::replace(&mut self.store_failing, true) {
            let receiver = &self.settings.receiver;
            error!(receiver.name = %receiver, "could not {doing}, trying on: {error}");
        }
        let again = self.world.clock.now().checked_add(STORE_BACKOFF).unwrap_or(Timestamp::MAX);
        self.look_at = Some(again);
    }

    fn store_works(&mut self) {
        if std::mem::take(&mut self.store_failing) {
            info!(receiver.name = %self.settings.receiver, "the store works again");
        }
    }

    fn look_sooner(&mut self, at: Timestamp) {
        self.look_at = Some(self.look_at.map_or(at, |look| look.min(at)));
    }

    /// Stops: gives back what was not sent, waits for what is in flight, keeps what came of it.
    async fn drain(mut self) {
        self.stopping = true;
        let deadline = tokio::time::Instant::now() + DRAIN;
        loop {
            self.hand_back(self.world.clock.now());
            if !self.unsettled.is_empty() && self.settling == 0 {
                self.start_settle(Duration::ZERO);
            }
            if self.sending == 0 && self.settling == 0 && !self.claiming && !self.handing_over {
                break;
            }
            match tokio::time::timeout_at(deadline, self.work.next()).await {
                Ok(Some(done)) => self.absorb(done),
                Ok(None) => break,
                Err(_) => {
                    warn!(
                        receiver.name = %self.settings.receiver,
                        in_flight = self.sending,
                        "stopped with messages in flight; they are sent again at the next start"
                    );
                    break;
                }
            }
        }
    }

    fn record_at(&self, now: Timestamp) -> LaneRecord {
        let mut record = self.record.clone();
        if self.settings.pace.is_some() {
            record.sends = self.pace.sends(now).collect();
        }
        record
    }

    fn observe(
        &self,
        delivery: &Delivery,
        record: &OutcomeRecord,
        next: &NextStep,
        now: Timestamp,
        took: Duration,
    ) {
        let receiver = &*delivery.receiver;
        self.world.observer.observe(Event::Attempt { receiver, class: &record.class, took });
        self.board.attempted(record);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if *next == NextStep::Delivered {
            let after = now.duration_since(delivery.created_at).try_into().unwrap_or_default();
            self.world.observer.observe(Event::Delivered { receiver, after });
            debug!(
                receiver.name = receiver, notification.id = %delivery.id,
                attempt = delivery.attempt, duration_ms = took_ms, "delivered a message"
            );
            return;
        }
        let then = match next {
            NextStep::Delivered => "done",
            NextStep::RetryAt { .. } => "it will be tried again",
            NextStep::Dead => "it is a dead letter now",
            NextStep::CloseLane => "the lane is closed until the receiver takes messages again",
        };
        warn!(
            receiver.name = receiver, notification.id = %delivery.id, attempt = delivery.attempt,
            status = record.status, duration_ms = took_ms,
            "could not deliver a message: {}; {then}", record.detail
        );
    }

    fn show(&self) {
        self.board.lane(
            self.notifier.kind(),
            self.record.closed.as_ref().map(|closed| closed.detail.clone()),
            self.record.hold_until,
        );
    }
}

/// Whether rows may be claimed.
enum Claimable {
    /// So many, now.
    Now(usize),
    /// None before that instant.
    At(Timestamp),
    /// None until work in hand ends.
    Unknown,
}

fn bug_outcome() -> Outcome {
    Outcome::new(
        Class::Retry { after: None },
        None,
        "the receiver's adapter panicked: a bug of ours",
    )
}

fn timeout_outcome(limit: Duration) -> Outcome {
    let detail = format!("no answer within {} s", limit.as_secs());
    Outcome::new(Class::Retry { after: None }, None, detail)
        .with(crate::domain::outcome::Flag::Ambiguous)
}
