//! Delivery: a lane for each receiver, which claims, sends and settles.
//!
//! A lane is one loop over its own bounded work: claims and settlements are single and batched,
//! sends run side by side up to the receiver's concurrency. What follows an attempt is decided by
//! the pure `domain::retry::next_step`; order within a key is the store's promise (it hands out
//! only rows that are first of their key). Attempts are counted by the claim, before they are made,
//! so a crash repeats at most the sends in flight and one batch of unsettled ones.
//!
//! What time allows is the [`gate`]'s, the pieces of work are in [`work`], and what an attempt means
//! for its row and its lane is in `outcome`.
//!
//! Deliberately absent: HTTP, SQL, what an answer means, and any effect of one lane on another.

mod gate;
mod handover;
mod outcome;
mod parts;
mod work;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    domain::pace::Pace,
    engine::{alarm::Alarms, board::LaneBoard, digest::Digests, fallback::Fallback, wake::Wakes},
    ports::{
        Claim, Clock, Delivery, Event, Folding, LaneRecord, Notifier, Observer, Settlement, Store,
        StoreError,
    },
};
use gate::{Claimable, Gate, PROBE_MIN};
use parts::Parts;
use work::Done;

/// The most rows of one claim, and the most unsettled attempts of one lane beside those in flight.
const BATCH: usize = 256;

/// Outcomes that are kept at once although more are on their way.
const SETTLE_MANY: usize = 128;

/// How long a busy lane gathers: outcomes to keep, and rows to claim, which it then writes
/// together. One sync serves many of them, and the pages that each commit writes anew; a lane that
/// is not busy waits for nothing.
const GATHER: Duration = Duration::from_millis(10);

/// How long a lane waits when the store failed.
const STORE_BACKOFF: Duration = Duration::from_secs(1);

/// How long sends in flight may settle when the service stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long they may at most where another lane is to follow.
const DRAIN_MAX: Duration = Duration::from_secs(30);

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
    gate: Gate,
    /// Claimed, not yet sent.
    ready: VecDeque<Delivery>,
    /// Attempts whose result is not yet kept.
    unsettled: Vec<Settlement>,
    /// Attempts whose result is being kept now.
    settling: usize,
    sending: usize,
    parts: Parts,
    claiming: bool,
    /// The claim that was begun last went along with the settlement that was.
    claims_along: bool,
    /// The bell rang since the last claim was begun, so what that claim saw may be old.
    rung: bool,
    /// The store is being asked what is due next.
    asking: bool,
    /// What that answer says will be old.
    ask_again: bool,
    /// The store fails; said once.
    store_failing: bool,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    stopping: bool,
    /// When a settlement or a claim was last begun.
    wrote_at: Option<tokio::time::Instant>,
    /// How what waits folds into digests, where it does.
    digests: Option<Digests>,
    /// Who takes over what waits while the lane is closed.
    fallback: Option<Fallback>,
    /// Something may wait that the fallback is to take over.
    to_hand_over: bool,
    handing_over: bool,
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
        let gate = Gate::new(settings.receiver.clone(), settings.pace, record, world.clock.now());
        let mut lane = Self {
            settings,
            notifier,
            world,
            board,
            gate,
            ready: VecDeque::new(),
            unsettled: Vec::new(),
            settling: 0,
            sending: 0,
            parts: Parts::default(),
            claiming: false,
            claims_along: false,
            rung: false,
            asking: false,
            ask_again: false,
            store_failing: false,
            work: FuturesUnordered::new(),
            stopping: false,
            wrote_at: None,
            digests: None,
            fallback: None,
            to_hand_over: true,
            handing_over: false,
        };
        // Whoever started it may have changed what the lane was closed for.
        lane.gate.probe_within(PROBE_MIN);
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
    pub async fn run(self, cancel: CancellationToken) {
        self.run_until(CancellationToken::new(), cancel).await;
    }

    /// As [`Lane::run`]; where another lane is to follow while the service runs on, sends in flight
    /// have as long as they may take.
    pub async fn run_until(mut self, retire: CancellationToken, cancel: CancellationToken) {
        let bell = self.world.wakes.bell(&self.settings.receiver);
        if let Some(closed) = self.gate.closed() {
            self.raise_closed(&closed.detail, closed.since);
        }
        while !cancel.is_cancelled() && !retire.is_cancelled() {
            // Subscribed before the store is asked, so that a commit in between is not missed.
            let woken = bell.notified();
            let sleep = self.advance();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = retire.cancelled() => break,
                Some(done) = self.work.next() => self.absorb(done),
                () = woken => {
                    self.rung = true;
                    self.to_hand_over = true;
                    self.gate.look_now();
                    if bell.take_urgent() {
                        self.gate.probe_within(Duration::ZERO);
                        self.show();
                    }
                }
                () = tokio::time::sleep(sleep) => {}
            }
            while let Some(Some(done)) = self.work.next().now_or_never() {
                self.absorb(done);
            }
        }
        self.drain(&cancel).await;
    }

    /// Starts all the work that may be started now, and says how long nothing else can start.
    fn advance(&mut self) -> Duration {
        let now = self.world.clock.now();
        self.gate.follow_clock(now);
        while self.may_send(now) && self.parts_allow(now) {
            let Some(delivery) = self.ready.pop_front() else { break };
            self.start_send(delivery, now);
        }
        self.hand_over(now);
        let mut until = self.gate.wait_until(!self.ready.is_empty(), now);
        if self.sending == 0 && !self.gate.is_shut(now) {
            until = until.min(self.part_allowed(now));
        }
        let gather = self.gathers();
        if gather.is_none() {
            // Both at once, so that they share a commit: the claim comes second, and finds those
            // that the settlement lets come forward.
            let settles = !self.unsettled.is_empty() && self.settling == 0;
            if settles {
                self.start_settle(Duration::ZERO);
                self.claims_along = false;
                if !self.gate.has_pace() {
                    self.gate.look_now();
                }
            }
            if !self.claiming && self.has_room() {
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

    /// Whether a claimed row may be sent now.
    fn may_send(&self, now: Timestamp) -> bool {
        !self.stopping
            && self.sending < self.settings.concurrency
            && self.unsettled.len() + self.settling < BATCH
            && !self.gate.is_shut(now)
    }

    /// Whether more may be claimed beside what is in hand. A part that is next is claimed once it is
    /// kept that it is.
    fn has_room(&self) -> bool {
        let kept = self.unsettled.is_empty() && self.settling == 0;
        self.ready.len() < self.settings.concurrency * 2
            && self.parts.unreserved == 0
            && (kept || self.unfinished().is_none())
    }

    /// How many rows may be claimed, or when that will be known better.
    fn claimable(&mut self, now: Timestamp) -> Claimable {
        let room = (self.settings.concurrency * 4).min(BATCH) - self.ready.len().min(BATCH);
        let busy = self.sending + self.ready.len() + self.unsettled.len() + self.settling > 0;
        self.gate.claimable(room, busy, now)
    }

    fn start_claim(&mut self, limit: usize, now: Timestamp) {
        self.claiming = true;
        self.wrote_at = Some(tokio::time::Instant::now());
        self.rung = false;
        let receiver = self.settings.receiver.clone();
        let unfinished = self.unfinished();
        let folds = self.gate.closed().is_none() && unfinished.is_none();
        let digests = self.digests.as_ref().filter(|_| folds);
        let fold = digests.map(|digests| digests.wish(&receiver, self.gate.folded_at(), now));
        let lane = self.gate.reserve(limit, now);
        let follow = self.notifier.follows();
        let fit_waits = self.gate.take_set_back();
        let claim = Claim { receiver, limit, now, fit_waits, follow, unfinished, lane };
        self.work.push(work::claim(self.world.store.clone(), fold, claim).boxed());
    }

    fn start_send(&mut self, delivery: Delivery, now: Timestamp) {
        self.sending += 1;
        self.begin_part(&delivery);
        let (notifier, clock) = (self.notifier.clone(), self.world.clock.clone());
        let limit = self.settings.send_timeout;
        self.work.push(work::send(notifier, clock, limit, delivery, now).boxed());
    }

    /// Keeps what attempts came to, after a wait where the store just failed.
    fn start_settle(&mut self, after: Duration) {
        let batch: Arc<[Settlement]> = std::mem::take(&mut self.unsettled).into();
        self.wrote_at = Some(tokio::time::Instant::now());
        self.settling = batch.len();
        let record = self.gate.take_changed(self.world.clock.now());
        self.work.push(work::settle(self.world.store.clone(), batch, record, after).boxed());
    }

    /// Asks when the next row is due.
    fn start_ask(&mut self) {
        if self.asking {
            self.ask_again = true;
            return;
        }
        self.asking = true;
        let (store, receiver) = (self.world.store.clone(), self.settings.receiver.clone());
        self.work.push(work::ask(store, receiver).boxed());
    }

    fn absorb(&mut self, done: Done) {
        match done {
            Done::Claimed { wanted, fitted, went_on, folding, result } => {
                self.absorb_folding(folding);
                self.absorb_claim(wanted, (fitted, went_on), result);
            }
            Done::NextDue(result) => {
                self.asking = false;
                if std::mem::take(&mut self.ask_again) {
                    self.start_ask();
                }
                match result {
                    Ok(due) => self.gate.look_when_due(due, self.world.clock.now()),
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
            Folding::Calm => self.gate.gather(None),
            Folding::Gather(until) => self.gate.gather(Some(until)),
            Folding::Folded(count) => {
                self.gate.folded(self.world.clock.now());
                let receiver = &*self.settings.receiver;
                self.world.observer.observe(Event::Folded { receiver, count });
                info!(receiver.name = receiver, count, "folded waiting messages into a digest");
            }
        }
    }

    fn absorb_claim(
        &mut self,
        wanted: usize,
        (fitted, went_on): (bool, bool),
        result: Result<Vec<Delivery>, StoreError>,
    ) {
        self.claiming = false;
        let got = result.as_ref().map_or(0, Vec::len);
        self.gate.release(wanted.saturating_sub(got));
        self.parts.unreserved = got.saturating_sub(wanted);
        match result {
            Ok(deliveries) => {
                if went_on {
                    // It is in hand now, or was taken elsewhere.
                    self.gate.go_on_with(None);
                    self.gate.look_now();
                    self.rung = true;
                }
                self.ready.extend(deliveries);
                if got < wanted && !self.rung {
                    self.gate.look_no_more();
                    self.start_ask();
                }
                let now = self.world.clock.now();
                if self.gate.is_shut(now) || self.unfinished().is_some() {
                    // It was shut while they were being claimed, or another is to go before them.
                    self.hand_back(now);
                }
                self.store_works();
            }
            Err(error) => {
                if fitted {
                    self.gate.still_set_back();
                }
                self.store_failed("claim messages", &error);
            }
        }
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
                if !self.claims_along && self.gate.sees_nothing(self.world.clock.now()) {
                    self.start_ask();
                }
            }
            Err(error) => {
                // Nothing is forgotten: they are kept with the next batch.
                if kept_record {
                    self.gate.not_kept();
                }
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
        self.gate.look_at(again);
    }

    fn store_works(&mut self) {
        if std::mem::take(&mut self.store_failing) {
            info!(receiver.name = %self.settings.receiver, "the store works again");
        }
    }

    /// Stops: gives back what was not sent, waits for what is in flight, keeps what came of it.
    async fn drain(mut self, cancel: &CancellationToken) {
        self.stopping = true;
        let mut hurried = cancel.is_cancelled();
        let patience = if hurried { DRAIN } else { self.settings.send_timeout.min(DRAIN_MAX) };
        let mut deadline = tokio::time::Instant::now() + patience;
        loop {
            self.hand_back(self.world.clock.now());
            if !self.unsettled.is_empty() && self.settling == 0 {
                self.start_settle(Duration::ZERO);
            }
            if self.sending == 0 && self.settling == 0 && !self.claiming && !self.handing_over {
                break;
            }
            let ended = tokio::select! {
                ended = tokio::time::timeout_at(deadline, self.work.next()) => ended,
                () = cancel.cancelled(), if !hurried => {
                    hurried = true;
                    deadline = deadline.min(tokio::time::Instant::now() + DRAIN);
                    continue;
                }
            };
            match ended {
                Ok(Some(done)) => self.absorb(done),
                Ok(None) => break,
                Err(_) => {
                    warn!(
                        receiver.name = %self.settings.receiver,
                        in_flight = self.sending,
                        "stopped with messages in flight; they are sent again"
                    );
                    break;
                }
            }
        }
    }

    fn show(&self) {
        let (closed, hold_until) = (self.gate.closed(), self.gate.hold_until());
        self.board.lane(self.notifier.kind(), closed, hold_until, self.settings.pace);
    }
}
