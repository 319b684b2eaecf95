//! How often which repository is asked, and what of it is due: pure arithmetic and a queue.
//!
//! # The bound
//!
//! Where the budget is enough, every repository is asked at the floor. Where it is not, those that
//! had news lately ask for it first, but for no more than half of the budget as long as the others
//! need the rest, and never at longer intervals than those. So an idle repository is asked at least
//! every **two rounds**, a round being the time that one poll of each takes.
//!
//! What is due is asked in the order in which it became due. A repository that was asked meanwhile
//! is due again only after one that was due before, so a repository that is due waits for **at most
//! one poll of each other**, however busy those are; a poll is a few pages, since a longer walk has
//! a place and a turn of its own. New repositories do not wait in that order, but every second turn
//! is left to those that do.
//!
//! Where the budget leaves time between them, polls are spread over the interval ([`Spread`]): those
//! that once ended together, because one commit served them, would else be due together for ever
//! after, and the last of them would wait for all others.
//!
//! `plan` works out intervals by this same code. Deliberately absent: requests, and clocks.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// The longest interval that is worked out.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a source has to ask for, and how much it may ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Its repositories.
    pub repos: usize,
    /// Those of them that had news lately.
    pub busy: usize,
    /// Requests that a poll of a busy one takes, in the mean; at least 1. The others take one.
    pub requests_per_poll: f64,
    /// Requests a second.
    pub per_second: f64,
    /// The floor of the intervals.
    pub poll_every: Duration,
}

/// How often repositories are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// Each of those that had news lately.
    pub busy: Duration,
    /// Each of the others; never less.
    pub idle: Duration,
}

impl Load {
    /// The intervals that the budget allows.
    pub fn intervals(&self) -> Intervals {
        let floor_s = self.poll_every.as_secs_f64();
        let busy = self.busy.min(self.repos) as f64 * self.requests_per_poll.max(1.0);
        let idle = self.repos.saturating_sub(self.busy) as f64;
        let rate = self.per_second;
        let evenly = if busy > 0.0 { rate * busy / (busy + idle) } else { 0.0 };
        let share = (rate / 2.0).max(rate - idle / floor_s).max(evenly).min(busy / floor_s);
        let busy_interval = seconds(busy / share).max(self.poll_every);
        let idle_interval = seconds(idle / (rate - share)).max(busy_interval);
        Intervals { busy: busy_interval, idle: idle_interval }
    }

    /// The time that one poll of each repository takes.
    pub fn round(&self) -> Duration {
        let busy = self.busy.min(self.repos) as f64 * self.requests_per_poll.max(1.0);
        let idle = self.repos.saturating_sub(self.busy) as f64;
        seconds((busy + idle) / self.per_second)
    }
}

/// A number of seconds as a duration; nonsense, such as nothing over nothing, is none.
fn seconds(seconds: f64) -> Duration {
    if seconds.is_nan() {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
}

/// Spreads polls over their interval.
///
/// A poll that would come too close to the one that was seated before it comes later, by at most a
/// [`STRETCH`] of its interval each time. So a crowd of any size thins out within some twenty rounds, and
/// polls that lie apart are left where they are.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// The latest seat given.
    last: Option<Instant>,
}

/// One over the part of its interval by which a poll is put off at most.
const STRETCH: u32 = 20;

impl Spread {
    /// When a poll comes that may come at `at`, one of `among` that are each asked every `interval`.
    pub(super) fn seat(&mut self, at: Instant, interval: Duration, among: usize) -> Instant {
        // A little closer than evenly, so that all of them fit.
        let apart = interval.mul_f64(0.9 / among.max(1) as f64);
        let latest = at + interval / STRETCH;
        let seat = match self.last {
            // A seat beyond that was given when intervals were longer: it says nothing any more.
            Some(last) if last <= latest => (last + apart).clamp(at, latest),
            _ => at,
        };
        self.last = Some(seat);
        seat
    }
}

/// Repositories that wait for their next poll, by index; each at most once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// New ones, in the order in which they were found.
    fresh: VecDeque<usize>,
    /// The last that was taken was a new one.
    was_fresh: bool,
}

/// What a queue has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This one is to be polled now.
    Poll(usize),
    /// Nothing is due before this.
    Wait(Instant),
    /// Nothing waits.
    Nothing,
}

impl Queue {
    /// Has a repository wait until then.
    pub(super) fn put(&mut self, at: Instant, index: usize) {
        self.due.push(Reverse((at, index)));
    }

    /// Has a new repository wait for its first poll.
    pub(super) fn put_fresh(&mut self, index: usize) {
        self.fresh.push_back(index);
    }

    /// Takes out whose turn it is.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let due = self.due.peek().map(|&Reverse((at, _))| at);
        let is_due = due.is_some_and(|at| at <= now);
        if !(is_due && self.was_fresh)
            && let Some(index) = self.fresh.pop_front()
        {
            self.was_fresh = true;
            return Next::Poll(index);
        }
        match (is_due, due) {
            (true, _) => {
                self.was_fresh = false;
                // It was seen just before.
                self.due.pop().map_or(Next::Nothing, |Reverse((_, index))| Next::Poll(index))
            }
            (false, Some(at)) => Next::Wait(at),
            (false, None) => Next::Nothing,
        }
    }

    /// Who is due next, new ones apart.
    pub(super) fn peek(&self) -> Option<usize> {
        self.due.peek().map(|&Reverse((_, index))| index)
    }

    /// Takes out who is due next, new ones apart, whenever that is.
    pub(super) fn pop(&mut self) -> Option<usize> {
        self.due.pop().map(|Reverse((_, index))| index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(repos: usize, busy: usize, pages: f64, per_second: f64, floor_s: u64) -> Load {
        let poll_every = Duration::from_secs(floor_s);
        Load { repos, busy, requests_per_poll: pages, per_second, poll_every }
    }

    fn of(load: Load) -> (f64, f64) {
        let Intervals { busy, idle } = load.intervals();
        (busy.as_secs_f64(), idle.as_secs_f64())
    }

    #[test]
    fn intervals_as_a_person_would_work_them_out() {
        // Enough for all: the floor.
        assert_eq!(of(load(100, 10, 1.0, 10.0, 10)), (10.0, 10.0));
        assert_eq!(of(load(0, 0, 1.0, 10.0, 10)), (10.0, 10.0));
        // Nobody is busy: a round. Everybody is: the same.
        assert_eq!(of(load(10_000, 0, 1.0, 20.0, 10)).1, 500.0);
        assert_eq!(of(load(1_000, 1_000, 1.0, 10.0, 10)), (100.0, 100.0));
        // A few are busy: they are asked at the floor, and the others pay a little for it.
        let (busy, idle) = of(load(10_000, 20, 1.0, 20.0, 10));
        assert!(busy == 10.0 && (idle - 9_980.0 / 18.0).abs() < 1e-6, "{busy} {idle}");
        // Busy ones would take all: they get half.
        assert_eq!(of(load(10_000, 400, 1.0, 20.0, 10)), (40.0, 960.0));
        // So many are busy that half would be less than their part.
        let (busy, idle) = of(load(1_000, 900, 1.0, 10.0, 10));
        assert!((busy - 100.0).abs() < 1e-6 && (idle - 100.0).abs() < 1e-6, "{busy} {idle}");
        // Pages count.
        assert_eq!(of(load(10, 10, 8.0, 1.0, 10)), (80.0, 80.0));
    }

    proptest! {
        #[test]
        fn the_budget_is_kept_and_nobody_waits_longer_than_two_rounds(
            repos in 1_usize..20_000,
            part in 0.0..=1.0_f64,
            pages in 1.0..8.0_f64,
            per_second in 0.05..200.0_f64,
            floor_s in 1_u64..600,
        ) {
            let busy = (repos as f64 * part) as usize;
            let load = load(repos, busy, pages, per_second, floor_s);
            let (busy_s, idle_s) = of(load);
            let (floor_s, round_s) = (floor_s as f64, load.round().as_secs_f64());
            prop_assert!(busy_s >= floor_s && idle_s >= busy_s);
            prop_assert!(idle_s <= floor_s.max(2.0 * round_s) * 1.000_001, "{idle_s} {round_s}");
            let asked = busy as f64 * pages / busy_s + (repos - busy) as f64 / idle_s;
            prop_assert!(asked <= per_second * 1.000_001, "{asked} of {per_second}");
            // And none of it is wasted where it is short.
            if round_s > floor_s {
                prop_assert!(asked >= per_second * 0.5, "{asked} of {per_second}");
            }
        }
    }

    proptest! {
        #[test]
        fn polls_that_end_together_part_and_none_is_put_off_by_much(
            repos in 1_usize..200,
            interval_s in 1_u64..100,
            crowded in prop::collection::vec(0.0..0.02_f64, 200),
        ) {
            let interval = Duration::from_secs(interval_s);
            let (begin, mut spread) = (Instant::now(), Spread::default());
            // All of them are asked within a fiftieth of the interval.
            let mut asked: Vec<_> = crowded[..repos]
                .iter()
                .map(|part| begin + interval.mul_f64(*part))
                .collect();
            asked.sort();
            for round in 0..30 {
                let earlier = asked.clone();
                for at in &mut asked {
                    *at = spread.seat(*at + interval, interval, repos);
                }
                asked.sort();
                for (before, at) in earlier.iter().zip(&asked) {
                    let waited = *at - *before;
                    prop_assert!(waited >= interval, "the interval is a floor");
                    prop_assert!(waited <= interval * 21 / 20, "{waited:?} of {interval:?}");
                    prop_assert!(round < 26 || waited <= interval * 101 / 100, "it comes to rest");
                }
            }
            let even = interval.as_secs_f64() / repos as f64;
            for pair in asked.windows(2) {
                let apart = (pair[1] - pair[0]).as_secs_f64();
                prop_assert!(apart >= even * 0.85, "{apart} s of {even} s");
            }
        }
    }

    #[test]
    fn new_ones_come_at_once_and_leave_every_second_turn_to_the_others() {
        let now = Instant::now();
        let mut queue = Queue::default();
        (0..3).for_each(|index| queue.put(now, index));
        (10..14).for_each(|index| queue.put_fresh(index));
        queue.put(now + Duration::from_secs(1), 5);
        let taken: Vec<_> = (0..8).map(|_| queue.next(now)).collect();
        let polls = [10, 0, 11, 1, 12, 2, 13].map(Next::Poll);
        assert_eq!(taken[..7], polls);
        assert_eq!(taken[7], Next::Wait(now + Duration::from_secs(1)));
        assert_eq!(Queue::default().next(now), Next::Nothing);
    }
}
