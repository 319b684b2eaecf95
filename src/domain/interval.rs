//! Intervals of the calendar, for mutes: weekdays, times of day, days of the month, months, in a zone.
//!
//! Times are those that a clock on the wall shows, so a day of 23 or 25 hours has them as they come.
//! A span over midnight belongs to the day on which it begins. Deliberately absent: how they are
//! written in a file.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time, date},
    tz::TimeZone,
};

/// How many turns of the calendar are looked at for the end of an interval before it is taken to
/// have none: more than two a day for a year.
const MOST_TURNS: usize = 2_000;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A part of a day, in minutes since midnight by the wall's clock: from, inclusive, and to,
/// exclusive. Where it ends before it begins it goes on past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From 0 to 1439.
    pub from: u16,
    /// From 0 to 1440, and not `from`.
    pub to: u16,
}

/// An interval. Lists are of inclusive ranges, of which any will do; an empty one asks for nothing.
#[derive(Debug, Clone)]
pub struct TimeInterval {
    /// Parts of the day.
    pub times: Vec<Span>,
    /// Days of the week, Monday is 1; a range may go over Sunday.
    pub weekdays: Vec<(i8, i8)>,
    /// Days of the month, from 1; from the end where negative, -1 is the last.
    pub days_of_month: Vec<(i8, i8)>,
    /// Months, January is 1; a range may go over December.
    pub months: Vec<(i8, i8)>,
    /// The zone of all that.
    pub zone: TimeZone,
}

impl TimeInterval {
    /// One that never lasts.
    pub fn never() -> Self {
        // No month has this number.
        let months = vec![(0, 0)];
        let (times, weekdays, days_of_month) = (Vec::new(), Vec::new(), Vec::new());
        Self { times, weekdays, days_of_month, months, zone: TimeZone::UTC }
    }

    /// Whether it asks for nothing.
    pub const fn is_always(&self) -> bool {
        self.times.is_empty()
            && self.weekdays.is_empty()
            && self.days_of_month.is_empty()
            && self.months.is_empty()
    }

    /// Whether it lasts at an instant.
    pub fn contains(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        self.shows(local.date(), minute_of(local.time()))
    }

    /// Whether it lasts when the wall's clock shows that minute of that day.
    fn shows(&self, date: Date, minute: u16) -> bool {
        if self.times.is_empty() {
            return self.has_day(date);
        }
        let yesterday = date.yesterday().ok();
        self.times.iter().any(|span| {
            if span.from < span.to {
                return span.from <= minute && minute < span.to && self.has_day(date);
            }
            (span.from <= minute && self.has_day(date))
                || (minute < span.to && yesterday.is_some_and(|date| self.has_day(date)))
        })
    }

    fn has_day(&self, date: Date) -> bool {
        let (length, day) = (date.days_in_month(), date.day());
        let from_end = |day: i8| if day < 0 { length + 1 + day } else { day };
        let weekday = date.weekday().to_monday_one_offset();
        any(&self.weekdays, |&(from, to)| turns(from, to, weekday))
            && any(&self.months, |&(from, to)| turns(from, to, date.month()))
            && any(&self.days_of_month, |&(from, to)| {
                // A day beyond the month's end is not in it, and a range up to it ends with it.
                (from_end(from)..=from_end(to)).contains(&day)
            })
    }

    /// The next instant after this one at which it may begin or end.
    fn next_turn(&self, after: Timestamp) -> Option<Timestamp> {
        let date = self.zone.to_datetime(after).date();
        let days = [Some(date), date.tomorrow().ok()];
        let turns = self.times.iter().flat_map(|span| [span.from, span.to % DAY]);
        let minutes: Vec<u16> = turns.chain([0]).collect();
        let of_day =
            |date: Date| minutes.iter().flat_map(move |&minute| self.instants(date, minute));
        // A clock that is put forward may step over an end.
        let put = self.zone.following(after).next().map(|transition| transition.timestamp());
        let turns = days.into_iter().flatten().flat_map(of_day).chain(put);
        turns.filter(|turn| *turn > after).min()
    }

    /// The instants at which the wall's clock shows that minute of that day: two where it is put
    /// back over it.
    fn instants(&self, date: Date, minute: u16) -> impl Iterator<Item = Timestamp> + use<> {
        let hour = i8::try_from(minute / 60).unwrap_or_default();
        let minute = i8::try_from(minute % 60).unwrap_or_default();
        let ambiguous = self.zone.to_ambiguous_timestamp(date.at(hour, minute, 0, 0));
        [ambiguous.earlier().ok(), ambiguous.later().ok()].into_iter().flatten()
    }
}

/// When none of the intervals lasts any more, where one of them lasts now; `None` where none does.
/// An end that is not found within a year is a year away.
pub fn end_of(intervals: &[std::sync::Arc<TimeInterval>], now: Timestamp) -> Option<Timestamp> {
    let lasts = |at| intervals.iter().any(|interval| interval.contains(at));
    if !lasts(now) {
        return None;
    }
    let mut at = now;
    for _ in 0..MOST_TURNS {
        at = intervals.iter().filter_map(|interval| interval.next_turn(at)).min()?;
        if !lasts(at) {
            return Some(at);
        }
    }
    Some(at)
}

/// Whether the intervals together leave no minute of any day. Those of different zones are looked at
/// apart, so that some that only together leave none are not found.
pub fn leave_nothing(intervals: &[std::sync::Arc<TimeInterval>]) -> bool {
    intervals.iter().any(|one| {
        let same: Vec<_> = intervals.iter().filter(|it| it.zone == one.zone).collect();
        let turns = same.iter().flat_map(|it| &it.times).flat_map(|it| [it.from, it.to % DAY]);
        let minutes: Vec<u16> = turns.chain([0]).collect();
        // After that the calendar repeats itself, the years without a leap day at a century apart.
        let days = date(2001, 1, 1).series(1.day()).take_while(|day| day.year() < 2029);
        days.into_iter()
            .all(|day| minutes.iter().all(|&minute| same.iter().any(|it| it.shows(day, minute))))
    })
}

fn any<T>(of: &[T], holds: impl Fn(&T) -> bool) -> bool {
    of.is_empty() || of.iter().any(holds)
}

/// Whether a number lies in an inclusive range that may go over the end of its circle.
const fn turns(from: i8, to: i8, number: i8) -> bool {
    if from <= to { from <= number && number <= to } else { number >= from || number <= to }
}

fn minute_of(time: Time) -> u16 {
    u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or_default()
}
