//! How fast a receiver may be sent to: at most `count` sends in any window of `per`.
//!
//! A sliding window, not a bucket: a bucket refilled at the same rate lets twice as many through
//! around a burst, which a robot held to 20 a minute refuses. Deliberately absent: waiting.

use std::{collections::VecDeque, fmt, time::Duration};

use jiff::Timestamp;

use super::wording;

/// At most `count` sends in any window of `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Sends in the window; at least 1, at most [`Pace::MAX_COUNT`].
    pub count: u32,
    /// The window's length; more than zero.
    pub per: Duration,
}

impl Pace {
    /// The largest count, since each send in the window is remembered.
    pub const MAX_COUNT: u32 = 10_000;
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, wording::duration(self.per))
    }
}

/// The sends of the last window, oldest first, and those that are about to be made. Kept with the
/// lane, so that a restart does not grant a fresh allowance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaceLog {
    sent: VecDeque<Timestamp>,
    reserved: u32,
}

impl PaceLog {
    /// A log of these sends, in any order.
    pub fn from_sends(mut sends: Vec<Timestamp>) -> Self {
        sends.sort_unstable();
        Self { sent: sends.into(), reserved: 0 }
    }

    /// The remembered sends, oldest first; those about to be made count as made at `now`.
    pub fn sends(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        self.sent.iter().copied().chain(std::iter::repeat_n(now, self.reserved as usize))
    }

    /// How many more may be reserved at `now`.
    pub fn allowance(&mut self, pace: Pace, now: Timestamp) -> u32 {
        self.forget(pace, now);
        let sent = u32::try_from(self.sent.len()).unwrap_or(u32::MAX);
        pace.count.saturating_sub(sent.saturating_add(self.reserved))
    }

    /// Sets `count` sends aside, which are about to be made.
    pub fn reserve(&mut self, count: u32) {
        self.reserved = self.reserved.saturating_add(count);
    }

    /// Frees `count` reserved sends, which will not be made.
    pub fn release(&mut self, count: u32) {
        self.reserved = self.reserved.saturating_sub(count);
    }

    /// Notes that a reserved send is made at `now`.
    pub fn note(&mut self, now: Timestamp) {
        self.release(1);
        self.sent.push_back(now);
    }

    /// When the next send is allowed, reserved ones apart: `now` where there is allowance already.
    pub fn next_allowed(&mut self, pace: Pace, now: Timestamp) -> Timestamp {
        self.forget(pace, now);
        let over = (self.sent.len() + 1).saturating_sub(pace.count as usize);
        match over.checked_sub(1).and_then(|index| self.sent.get(index)) {
            Some(&sent) => sent.checked_add(pace.per).unwrap_or(Timestamp::MAX),
            None => now,
        }
    }

    /// Drops what left the window, and what a clock that was set back left in the future.
    fn forget(&mut self, pace: Pace, now: Timestamp) {
        while self.sent.front().is_some_and(|&sent| {
            sent > now || sent.checked_add(pace.per).is_ok_and(|free| free <= now)
        }) {
            self.sent.pop_front();
        }
    }
}
