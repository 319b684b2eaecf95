//! The gate of a lane: what time allows it, and what of that outlives a restart.
//!
//! Pace, a wait that the receiver asked for, and whether the lane is closed lie together here, since
//! each of them says "not before". The gate knows no rows and starts nothing; the lane asks it, and
//! keeps its record with the next claim or settlement where it changed.
//!
//! Deliberately absent: the store, what an answer means, and alarms.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{
        pace::{Pace, PaceLog},
        retry::{JITTER_SHARE, RETRY_AFTER_CAP},
    },
    ports::{ClosedLane, LaneRecord, Unfinished},
};

/// How long a lane sleeps when nothing tells it otherwise.
const SLOW_POLL: Duration = Duration::from_secs(30);

/// The first wait between probes of a closed lane; it doubles up to [`PROBE_MAX`].
pub(super) const PROBE_MIN: Duration = Duration::from_secs(60);

/// The longest wait between probes of a closed lane.
const PROBE_MAX: Duration = Duration::from_secs(30 * 60);

/// Whether rows may be claimed.
pub(super) enum Claimable {
    /// So many, now.
    Now(usize),
    /// None before that instant.
    At(Timestamp),
    /// None until work in hand ends.
    Unknown,
}

/// What time allows a lane.
pub(super) struct Gate {
    limit: Option<Pace>,
    /// What outlives a restart, but for the sends, which `pace` holds.
    record: LaneRecord,
    pace: PaceLog,
    /// The record changed since it was last kept.
    dirty: bool,
    /// When to claim next; `None` when nothing is known to wait.
    look_at: Option<Timestamp>,
    /// A digest is gathered: nothing is claimed before this.
    gather_until: Option<Timestamp>,
    /// What the clock said last.
    seen_at: Timestamp,
    /// The clock was set back since the last claim: waits of rows may have become too long.
    set_back: bool,
}

impl Gate {
    /// A gate that goes on from what an earlier life kept.
    pub(super) fn new(
        receiver: Arc<str>,
        limit: Option<Pace>,
        record: Option<LaneRecord>,
        now: Timestamp,
    ) -> Self {
        let mut record = record.unwrap_or_default();
        record.receiver = receiver;
        let pace = PaceLog::from_sends(std::mem::take(&mut record.sends));
        Self {
            limit,
            record,
            pace,
            dirty: false,
            look_at: Some(Timestamp::MIN),
            gather_until: None,
            seen_at: now,
            set_back: false,
        }
    }

    /// Why and since when the lane is closed, where it is.
    pub(super) const fn closed(&self) -> Option<&ClosedLane> {
        self.record.closed.as_ref()
    }

    /// Until when the receiver asked to wait.
    pub(super) const fn hold_until(&self) -> Option<Timestamp> {
        self.record.hold_until
    }

    /// When waiting rows were last folded.
    pub(super) const fn folded_at(&self) -> Option<Timestamp> {
        self.record.folded_at
    }

    /// The part that is to go before anything else.
    pub(super) const fn unfinished(&self) -> Option<Unfinished> {
        self.record.unfinished
    }

    /// Nothing else goes before that part, or anything may.
    pub(super) fn go_on_with(&mut self, part: Option<Unfinished>) {
        if self.record.unfinished != part {
            self.record.unfinished = part;
            self.dirty = true;
        }
        if let Some(part) = part {
            self.look_sooner(part.at);
        }
    }

    /// Keeps the waits as long as they were meant where the clock was set back, even while the
    /// service was down: instants that were near must not become far.
    pub(super) fn follow_clock(&mut self, now: Timestamp) {
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
        if let Some(part) = &mut self.record.unfinished {
            part.at = meant(part.at, hold_max);
        }
        if !back.is_zero() {
            self.gather_until = None;
            self.dirty = true;
            self.set_back = true;
            self.look_now();
        }
    }

    /// Whether the clock was set back since this was asked last.
    pub(super) const fn take_set_back(&mut self) -> bool {
        std::mem::replace(&mut self.set_back, false)
    }

    /// The clock was set back, and the rows' waits are not yet shortened.
    pub(super) const fn still_set_back(&mut self) {
        self.set_back = true;
    }

    /// Whether nothing may be sent now: the receiver asked to wait, or the lane is closed and its
    /// probe is not yet due.
    pub(super) fn is_shut(&self, now: Timestamp) -> bool {
        let probe = self.record.closed.as_ref().map(|closed| closed.next_probe_at);
        self.record.hold_until.max(probe).is_some_and(|until| until > now)
    }

    /// When to look again though nothing happens: soon where what is `ready` waits for a hold.
    pub(super) fn wait_until(&self, ready: bool, now: Timestamp) -> Timestamp {
        let slow = slow_poll(now);
        match self.record.hold_until {
            Some(hold) if ready && hold > now => slow.min(hold),
            _ => slow,
        }
    }

    /// How many rows may be claimed where there is `room` for so many, or when that will be known
    /// better. `busy` says that rows are in hand.
    pub(super) fn claimable(&mut self, room: usize, busy: bool, now: Timestamp) -> Claimable {
        let closed = self.record.closed.as_ref();
        let probe = closed.map_or(Timestamp::MIN, |closed| closed.next_probe_at);
        let hold = self.record.hold_until.unwrap_or(Timestamp::MIN);
        let gather = self.gather_until.unwrap_or(Timestamp::MIN);
        let look = self.look_at.unwrap_or_else(|| slow_poll(now));
        let look = look.max(self.record.unfinished.map_or(gather, |part| part.at));
        let at = look.max(probe).max(hold);
        if at > now {
            return Claimable::At(at);
        }
        if closed.is_some() {
            return if busy { Claimable::Unknown } else { Claimable::Now(1) };
        }
        let Some(limit) = self.limit else { return Claimable::Now(room.max(1)) };
        match self.pace.allowance(limit, now) as usize {
            0 => match self.pace.next_allowed(limit, now) {
                at if at > now => Claimable::At(at),
                // What is reserved is about to be sent, which wakes the loop.
                _ => Claimable::Unknown,
            },
            allowed => Claimable::Now(allowed.min(room.max(1))),
        }
    }

    /// Whether sends are counted at all.
    pub(super) const fn has_pace(&self) -> bool {
        self.limit.is_some()
    }

    /// Sets sends aside for a claim, and gives the record to keep with it. It is kept before they
    /// are sent: after a crash the lane is too slow rather than too fast.
    pub(super) fn reserve(&mut self, count: usize, now: Timestamp) -> Option<LaneRecord> {
        self.limit?;
        self.pace.reserve(u32::try_from(count).unwrap_or(u32::MAX));
        Some(self.record_at(now))
    }

    /// Sets one more send aside, where pace allows it.
    pub(super) fn reserve_one(&mut self, now: Timestamp) -> bool {
        let Some(limit) = self.limit else { return true };
        let allowed = self.pace.allowance(limit, now) > 0;
        if allowed {
            self.pace.reserve(1);
        }
        allowed
    }

    /// When pace allows the next send.
    pub(super) fn next_allowed(&mut self, now: Timestamp) -> Timestamp {
        self.limit.map_or(now, |limit| self.pace.next_allowed(limit, now))
    }

    /// Frees reserved sends, which will not be made.
    pub(super) fn release(&mut self, count: usize) {
        if self.limit.is_some() && count > 0 {
            self.pace.release(u32::try_from(count).unwrap_or(u32::MAX));
            self.dirty = true;
        }
    }

    /// Counts a reserved send from its end: it arrived by then, so that the next window can't begin
    /// too early.
    pub(super) fn sent(&mut self, ended_at: Timestamp) {
        if self.limit.is_some() {
            self.pace.note(ended_at);
            self.dirty = true;
        }
    }

    /// Sends nothing before an instant, as the receiver asked.
    pub(super) fn hold(&mut self, until: Timestamp) {
        self.record.hold_until = self.record.hold_until.max(Some(until));
        self.dirty = true;
    }

    /// Closes the lane, or puts the next probe of a closed one off; says since when it is closed.
    /// `None` where no probe failed: what failed was in flight when the lane closed.
    pub(super) fn close(&mut self, detail: &str, now: Timestamp) -> Option<Timestamp> {
        if self.record.closed.as_ref().is_some_and(|closed| closed.next_probe_at > now) {
            return None;
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
        Some(since)
    }

    /// Brings a closed lane's probe forward.
    pub(super) fn probe_within(&mut self, wait: Duration) {
        if let Some(closed) = &mut self.record.closed {
            let latest = self.seen_at.checked_add(wait).unwrap_or(Timestamp::MAX);
            closed.next_probe_at = closed.next_probe_at.min(latest);
        }
    }

    /// Opens the lane; says whether it was closed.
    pub(super) fn reopen(&mut self) -> bool {
        let was_closed = self.record.closed.take().is_some();
        if was_closed {
            self.dirty = true;
            self.look_now();
        }
        was_closed
    }

    /// A digest is gathered until then, or no more.
    pub(super) const fn gather(&mut self, until: Option<Timestamp>) {
        self.gather_until = until;
    }

    /// Waiting rows were folded.
    pub(super) const fn folded(&mut self, now: Timestamp) {
        self.gather_until = None;
        self.record.folded_at = Some(now);
        self.dirty = true;
    }

    /// Something may wait.
    pub(super) const fn look_now(&mut self) {
        self.look_at = Some(Timestamp::MIN);
    }

    /// Something will wait then, if not sooner.
    pub(super) fn look_sooner(&mut self, at: Timestamp) {
        self.look_at = Some(self.look_at.map_or(at, |look| look.min(at)));
    }

    /// Something will wait then, by the store's word. A ring that was lost costs no more than the
    /// slow poll.
    pub(super) fn look_when_due(&mut self, due: Option<Timestamp>, now: Timestamp) {
        let slow = slow_poll(now);
        self.look_sooner(due.map_or(slow, |due| due.min(slow)));
    }

    /// Nothing before then: the store fails.
    pub(super) const fn look_at(&mut self, at: Timestamp) {
        self.look_at = Some(at);
    }

    /// Nothing is known to wait.
    pub(super) const fn look_no_more(&mut self) {
        self.look_at = None;
    }

    /// Whether nothing is known to wait at an instant.
    pub(super) fn sees_nothing(&self, now: Timestamp) -> bool {
        self.look_at.is_none_or(|at| at > now)
    }

    /// The record where it changed since it was last taken.
    pub(super) fn take_changed(&mut self, now: Timestamp) -> Option<LaneRecord> {
        std::mem::take(&mut self.dirty).then(|| self.record_at(now))
    }

    /// The record that was taken could not be kept.
    pub(super) const fn not_kept(&mut self) {
        self.dirty = true;
    }

    fn record_at(&self, now: Timestamp) -> LaneRecord {
        let mut record = self.record.clone();
        if self.limit.is_some() {
            record.sends = self.pace.sends(now).collect();
        }
        record
    }
}

/// The latest instant at which a lane looks again.
fn slow_poll(now: Timestamp) -> Timestamp {
    now.checked_add(SLOW_POLL).unwrap_or(Timestamp::MAX)
}
