//! What messages would ask of a receiver: how many in a minute, and how long its pace would keep them.
//!
//! A lane that sends in order, as soon as its pace allows and in no time, by the pace's own code.
//! Deliberately absent: digests, which shorten what this says, and answers, which lengthen it.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::pace::{Pace, PaceLog};

/// Seconds of the window in which the peak is counted.
const WINDOW_S: i64 = 60;

/// The load of one receiver so far.
#[derive(Debug, Clone)]
pub struct LaneLoad {
    pace: Option<Pace>,
    log: PaceLog,
    sent_at: Timestamp,
    /// The last minute's messages by second, oldest first.
    recent: VecDeque<(i64, u64)>,
    in_window: u64,
    messages: u64,
    peak: Option<(u64, Timestamp)>,
    longest: Option<(Duration, Timestamp)>,
}

impl LaneLoad {
    /// None yet, for a receiver of that pace.
    pub fn new(pace: Option<Pace>) -> Self {
        Self {
            pace,
            log: PaceLog::default(),
            sent_at: Timestamp::MIN,
            recent: VecDeque::new(),
            in_window: 0,
            messages: 0,
            peak: None,
            longest: None,
        }
    }

    /// Adds a message that is ready to be sent at an instant, which is not before the last one's.
    pub fn add(&mut self, at: Timestamp) {
        self.messages += 1;
        self.count(at);
        let Some(pace) = self.pace else { return };
        let now = at.max(self.sent_at);
        let allowed = self.log.next_allowed(pace, now).max(now);
        self.log.reserve(1);
        self.log.note(allowed);
        self.sent_at = allowed;
        let delay = allowed.duration_since(at).unsigned_abs();
        if self.longest.is_none_or(|(longest, _)| delay > longest) {
            self.longest = Some((delay, at));
        }
    }

    fn count(&mut self, at: Timestamp) {
        let second = at.as_second();
        match self.recent.back_mut() {
            Some((last, count)) if *last == second => *count += 1,
            _ => self.recent.push_back((second, 1)),
        }
        self.in_window += 1;
        while let Some(&(oldest, count)) = self.recent.front()
            && oldest <= second - WINDOW_S
        {
            self.in_window -= count;
            self.recent.pop_front();
        }
        if self.peak.is_none_or(|(peak, _)| self.in_window > peak) {
            self.peak = Some((self.in_window, at));
        }
    }

    /// The receiver's pace.
    pub const fn pace(&self) -> Option<Pace> {
        self.pace
    }

    /// How many there were.
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// The most of any minute, seconds counted whole, and the end of the first such minute.
    pub const fn peak_per_minute(&self) -> Option<(u64, Timestamp)> {
        self.peak
    }

    /// The longest that one would wait for the pace, and when that one was ready; `None` without a
    /// pace or a message.
    pub const fn longest_delay(&self) -> Option<(Duration, Timestamp)> {
        self.longest
    }
}
