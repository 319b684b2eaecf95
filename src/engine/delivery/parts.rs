//! The parts of a message that was split: they go in one go, with nothing of the lane between them.
//!
//! The store hands them out together and in order. While one is in flight, nothing else is; one that
//! did not pass is what the lane goes on with, for as long as that delays the others by little.
//! Where it has to wait longer, they go meanwhile. A kill in the middle keeps the order, and not
//! that nothing comes between. Deliberately absent: what is split, and into what.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Lane;
use crate::ports::{Delivery, SettleAs, Unfinished};

/// The longest that a part which failed keeps the lane from its other messages.
const KEEPS: SignedDuration = SignedDuration::from_mins(1);

/// An instant on the far side of the store's rounding.
const A_MOMENT: Duration = Duration::from_millis(1);

/// What of a message in parts is in hand.
#[derive(Default)]
pub(super) struct Parts {
    /// What is in flight is a part, and so alone.
    pub(super) in_flight: bool,
    /// So many at the end of what is claimed have no send set aside: parts of one message, which is
    /// then all that is claimed.
    pub(super) unreserved: usize,
}

impl Lane {
    /// Whether what was claimed first may be sent beside what is in flight, and has a send set aside.
    pub(super) fn parts_allow(&mut self, now: Timestamp) -> bool {
        let Some(first) = self.ready.front() else { return false };
        if self.sending > 0 && (self.parts.in_flight || self.in_parts(first)) {
            return false;
        }
        if self.ready.len() <= self.parts.unreserved {
            if !self.gate.reserve_one(now) {
                return false;
            }
            self.parts.unreserved -= 1;
        }
        true
    }

    /// Notes that one is sent, before it is taken from those that are claimed.
    pub(super) fn begin_part(&mut self, delivery: &Delivery) {
        let next = self.ready.front().and_then(|next| next.part_of);
        self.parts.in_flight = delivery.part_of.is_some() || next == Some(delivery.id);
    }

    /// Whether what was claimed first is of a message in parts.
    fn in_parts(&self, first: &Delivery) -> bool {
        let next = self.ready.get(1).and_then(|next| next.part_of);
        first.part_of.is_some() || next == Some(first.id)
    }

    /// When a part that has no send set aside may go.
    pub(super) fn part_allowed(&mut self, now: Timestamp) -> Timestamp {
        match self.parts.unreserved {
            0 => Timestamp::MAX,
            _ => self.gate.next_allowed(now).max(now.checked_add(A_MOMENT).unwrap_or(now)),
        }
    }

    /// Forgets how many have no send set aside, as nothing is claimed any more; says how many had one.
    pub(super) fn forget_unreserved(&mut self) -> usize {
        self.ready.len().saturating_sub(std::mem::take(&mut self.parts.unreserved))
    }

    /// Where what is given back goes on with a message of which a part went, it is next. A later part
    /// that stands first of what was claimed is such a one.
    pub(super) fn keep_place(&mut self, now: Timestamp) {
        let Some(first) = self.ready.front() else { return };
        if first.part_of.is_some() {
            let (message, seq) = (first.message(), first.seq);
            self.gate.go_on_with(Some(Unfinished { message, seq, at: now }));
        }
    }

    /// After an attempt at a part: what did not pass is to go before the others, unless they would
    /// wait long for it; and the parts behind it do not go before it.
    pub(super) fn part_ended(&mut self, delivery: &Delivery, becomes: SettleAs, now: Timestamp) {
        if !std::mem::take(&mut self.parts.in_flight) {
            return;
        }
        let SettleAs::Pending { at, .. } = becomes else { return };
        self.hand_back(now);
        // Of a message of which nothing arrived all parts wait alike.
        let kept = delivery.part_of.is_some()
            && (at.duration_since(now) <= KEEPS || self.gate.is_shut(now));
        let message = delivery.message();
        let at = at.checked_add(A_MOMENT).unwrap_or(Timestamp::MAX);
        let place = kept.then_some(Unfinished { message, seq: delivery.seq, at });
        self.gate.go_on_with(place);
    }

    /// What the lane is to go on with.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        self.gate.unfinished()
    }
}
