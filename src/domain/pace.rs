//! How fast a receiver may be sent to: at most `count` sends in any window of `per`.
//!
//! A sliding window, not a bucket: a bucket refilled at the same rate lets twice as many through
//! around a burst, which a robot held to 20 a minute refuses. Deliberately absent: waiting.

use std::{collections::VecDeque, fmt, time::Duration};

use jiff::Timestamp;

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
        write!(f, "{} in {:?}", self.count, self.per)
    }
}

/// The sends of the last window, oldest first. Kept with the lane, so that a restart does not
/// grant a fresh allowance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaceLog {
    sent: VecDeque<Timestamp>,
}

impl PaceLog {
    /// A log of these sends, in any order.
    pub fn from_sends(mut sends: Vec<Timestamp>) -> Self {
        sends.sort_unstable();
        Self { sent: sends.into() }
    }

    /// The remembered sends, oldest first.
    pub fn sends(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.sent.iter().copied()
    }

    /// How many may be sent at `now`.
    pub fn allowance(&mut self, pace: Pace, now: Timestamp) -> u32 {
        self.forget(pace, now);
        pace.count.saturating_sub(u32::try_from(self.sent.len()).unwrap_or(u32::MAX))
    }

    /// Notes `count` sends at `now`.
    pub fn note(&mut self, count: u32, now: Timestamp) {
        self.sent.extend(std::iter::repeat_n(now, count as usize));
    }

    /// Takes back the latest `count` sends, which were noted and then not made.
    pub fn take_back(&mut self, count: u32) {
        let keep = self.sent.len().saturating_sub(count as usize);
        self.sent.truncate(keep);
    }

    /// When the next send is allowed: `now` where there is allowance already.
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
