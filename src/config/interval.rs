//! `time_intervals`: parts of the calendar under names, for mutes.
//!
//! Deliberately absent: what an interval means (`domain::interval`).

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::tz::TimeZone;

use super::values::zone;
use crate::{
    document::{Code, MapReader, Value, nearest},
    domain::interval::{Span, TimeInterval},
};

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The intervals that can be named.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    known: BTreeMap<Arc<str>, Option<Arc<TimeInterval>>>,
    /// False where they could not all be read: then an unknown name says nothing.
    complete: bool,
    /// Those that were named.
    used: RefCell<BTreeSet<Arc<str>>>,
}

impl Intervals {
    /// The names of those that were named so far.
    pub(super) fn used(&self) -> BTreeSet<Arc<str>> {
        self.used.borrow().clone()
    }

    /// Reads those of a configuration.
    pub(super) fn read(map: &mut MapReader<'_>, default_zone: &TimeZone) -> Self {
        let complete = map.value().is_complete();
        let Some(value) = map.get("time_intervals") else {
            return Self { complete, ..Self::default() };
        };
        let Some(entries) = value.named("time interval") else { return Self::default() };
        let read = |(entry, value): (&crate::document::Entry, Value<'_>)| {
            (Arc::clone(&entry.key.text), interval(value, default_zone).map(Arc::new))
        };
        let known = entries.into_iter().map(read).collect();
        Self { known, complete: value.is_complete(), ..Self::default() }
    }

    /// Reads the names of one or more; `None` where any of them is not known or can't be used.
    pub(super) fn named(&self, value: Value<'_>) -> Option<Vec<Arc<TimeInterval>>> {
        let items = value.some()?;
        let wanted = items.len();
        let found: Vec<_> = items.into_iter().filter_map(|item| self.one(item)).collect();
        (found.len() == wanted).then_some(found)
    }

    fn one(&self, value: Value<'_>) -> Option<Arc<TimeInterval>> {
        let name = value.text_as("the name of a time interval")?;
        if let Some(known) = self.known.get(name) {
            self.used.borrow_mut().insert(name.into());
            return known.clone();
        }
        if !self.complete {
            // Nothing can be said of it, and the rule is to be read on.
            return Some(Arc::new(TimeInterval::never()));
        }
        let near = nearest(name, self.known.keys().map(|name| &**name));
        let message = format!("no time interval is named {}", value.found());
        let problem = value
            .problem(Code::UnknownInterval, message)
            .known("time intervals", self.known.keys().map(|name| name.to_string()));
        let help = near.map_or_else(
            || format!("write it under `time_intervals`: `{name}: {{times: ['22:00-08:00']}}`"),
            |near| format!("did you mean `{near}`?"),
        );
        value.add(problem.help(help));
        None
    }
}

fn interval(value: Value<'_>, default_zone: &TimeZone) -> Option<TimeInterval> {
    let mut map = value.map()?;
    let before = value.report().errors();
    let times = map.get("times").map(|value| each(value, time)).unwrap_or_default();
    let weekdays = map.get("weekdays").map(|value| each(value, weekday)).unwrap_or_default();
    let days = map.get("days_of_month").map(|value| each(value, day)).unwrap_or_default();
    let months = map.get("months").map(|value| each(value, month)).unwrap_or_default();
    let zone = map.get("time_zone").and_then(zone).unwrap_or_else(|| default_zone.clone());
    map.finish("keys of a time interval");
    if value.report().errors() > before {
        return None;
    }
    let interval = TimeInterval { times, weekdays, days_of_month: days, months, zone };
    if interval.is_always() && value.is_complete() {
        let problem = value.problem(Code::Empty, "the interval never ends");
        let known = ["times", "weekdays", "days_of_month", "months"];
        value.add(problem.known("keys", known).help("give it `times: ['22:00-08:00']`"));
        return None;
    }
    Some(interval)
}

/// What of a list, or the one value, could be read.
fn each<T>(value: Value<'_>, read: impl Fn(Value<'_>) -> Option<T>) -> Vec<T> {
    value.some().into_iter().flatten().filter_map(read).collect()
}

/// The two ends of a range, or one value as both.
fn ends(text: &str) -> (&str, &str) {
    // A day counted from the month's end begins with the sign that parts the ends.
    let parted = text.char_indices().skip(1).find(|(_, letter)| *letter == '-');
    match parted {
        Some((at, _)) => (text[..at].trim(), text[at + 1..].trim()),
        None => (text.trim(), text.trim()),
    }
}

fn time(value: Value<'_>) -> Option<Span> {
    let minute = |text: &str| -> Option<u16> {
        let (hour, minute) = text.split_once(':')?;
        let two = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
        let (hour, minute) = (two(hour)?, two(minute)?);
        let whole = hour * 60 + minute;
        (minute < 60 && whole <= 24 * 60).then_some(whole)
    };
    let text = value.text_as("a part of the day like `22:00-08:00`")?;
    let (from, to) = ends(text);
    let span = minute(from)
        .zip(minute(to))
        .filter(|(from, to)| from != to && *from < 24 * 60)
        .map(|(from, to)| Span { from, to });
    span.or_else(|| {
        bad(
            value,
            "a part of the day",
            "write two times of the clock: `22:00-08:00`, `00:00-24:00`",
        )
    })
}

fn weekday(value: Value<'_>) -> Option<(i8, i8)> {
    let read = |text: &str| place_in(&WEEKDAYS, text);
    range(value, read, "days of the week", "write `mon-fri`, or a list: `[mon, wed]`")
}

fn month(value: Value<'_>) -> Option<(i8, i8)> {
    let read = |text: &str| {
        let number = text.parse().ok().filter(|month| (1..=12).contains(month));
        number.or_else(|| place_in(&MONTHS, text))
    };
    range(value, read, "months", "write `jan-mar` or `1-3`")
}

fn day(value: Value<'_>) -> Option<(i8, i8)> {
    let read = |text: &str| {
        let number: i8 = text.parse().ok()?;
        ((1..=31).contains(&number) || (-31..=-1).contains(&number)).then_some(number)
    };
    let help = "write `1-7`, or from the end: `-7--1` is the last week, `-1` the last day";
    let ends = range(value, read, "days of the month", help)?;
    // Of two that are counted from the same end the earlier comes first.
    let (from, to) = ends;
    if (from > 0) == (to > 0) && from > to {
        bad(value, "days of the month", help)
    } else {
        Some(ends)
    }
}

fn range(
    value: Value<'_>,
    read: impl Fn(&str) -> Option<i8>,
    what: &str,
    help: &str,
) -> Option<(i8, i8)> {
    let (from, to) = ends(value.raw_text()?);
    read(from).zip(read(to)).or_else(|| bad(value, what, help))
}

/// From 1.
fn place_in(names: &[&str], text: &str) -> Option<i8> {
    let text = text.to_ascii_lowercase();
    let place = names.iter().zip(1..).find(|(name, _)| **name == text);
    place.map(|(_, place)| place)
}

fn bad<T>(value: Value<'_>, what: &str, help: &str) -> Option<T> {
    let message = format!("{} is not {what}", value.found());
    value.add(value.problem(Code::BadRange, message).help(help));
    None
}
