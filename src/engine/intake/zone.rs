//! Whether a log's rows come whole hours after the time that they say: a wrong `time_zone`.
//!
//! A row that a poll finds fresh, where the poll before it was moments ago, was written in between,
//! so its age is at most that pause. Where the newest of such rows is instead k hours older than
//! that, poll after poll, with the same k, the zone is off by k hours: rows that are merely late
//! don't keep to whole hours. One row that is not older than it may be says that the zone is right.
//! Deliberately absent: rows in the future, which need no such evidence, and what is done about it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How far clocks, and the log behind its pushes, may be off.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(2);

/// Polls further apart than this say nothing: too many ages would look like whole hours.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// So many polls must agree.
const AGREEING: u32 = 3;

/// Zones lie no further apart than this, in hours.
const HOURS_MAX: i64 = 26;

/// What polls with news said of the zone of a source.
#[derive(Debug, Default)]
pub(super) struct Zone {
    /// By how many hours the last polls found the newest row too old, and how many agreed.
    off: Option<(i64, u32)>,
}

/// The news of one poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    /// The newest row's instant, as the configured zone has it.
    pub(super) newest: Timestamp,
    /// When it was read.
    pub(super) now: Timestamp,
    /// How long before that the repository was read last.
    pub(super) pause: Duration,
}

impl Zone {
    /// Takes note of a poll that found fresh rows.
    pub(super) fn note(&mut self, news: News) {
        let pause = SignedDuration::try_from(news.pause).unwrap_or(SignedDuration::MAX);
        if news.pause > PAUSE_MAX {
            return;
        }
        let age = news.now.duration_since(news.newest);
        let hours = (age + TOLERANCE).as_hours();
        let beyond = age - SignedDuration::from_hours(hours);
        let whole = (1..=HOURS_MAX).contains(&hours) && beyond <= pause + TOLERANCE;
        self.off = match self.off {
            _ if !whole => None,
            Some((before, polls)) if before == hours => Some((hours, polls.saturating_add(1))),
            _ => Some((hours, 1)),
        };
    }

    /// By how many hours the log lags, where enough polls agree.
    pub(super) fn hours_behind(&self) -> Option<i64> {
        self.off.filter(|&(_, polls)| polls >= AGREEING).map(|(hours, _)| hours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(age_s: i64, pause_s: u64) -> News {
        let now = Timestamp::from_second(1_772_409_600).unwrap();
        let newest = now - SignedDuration::from_secs(age_s);
        News { newest, now, pause: Duration::from_secs(pause_s) }
    }

    fn said(polls: &[(i64, u64)]) -> Option<i64> {
        let mut zone = Zone::default();
        polls.iter().for_each(|&(age_s, pause_s)| zone.note(news(age_s, pause_s)));
        zone.hours_behind()
    }

    #[test]
    fn three_polls_that_agree_on_whole_hours_say_so_and_one_that_does_not_takes_it_back() {
        let eight = 8 * 3600;
        assert_eq!(said(&[(eight + 3, 10), (eight + 9, 10)]), None);
        assert_eq!(said(&[(eight + 3, 10), (eight + 9, 10), (eight - 60, 10)]), Some(8));
        assert_eq!(said(&[(eight, 10), (eight, 10), (eight, 10), (4, 10)]), None);
        assert_eq!(said(&[(eight, 10), (3600, 10), (eight, 10)]), None, "not the same hours");
        let late = 8 * 3600 + 20 * 60;
        assert_eq!(said(&[(late, 10), (late, 10), (late, 10)]), None, "merely late");
        assert_eq!(said(&[(eight, 900), (eight, 900), (eight, 900)]), None, "polled too seldom");
        let slow = (eight + 290, 300);
        assert_eq!(said(&[slow, slow, slow]), Some(8), "the pause is allowed for");
        assert_eq!(said(&[(40 * 3600, 10); 3]), None, "no zone is so far off");
    }
}
