//! Parts of the calendar: over midnight, by weekday, at the month's end, and when clocks are put.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use triggerbell::domain::interval::{TimeInterval, end_of, leave_nothing};

use super::stage::rules_with;

/// The interval of that text, as a rule's mute names it.
fn interval(text: &str) -> std::sync::Arc<TimeInterval> {
    let around = format!("time_intervals:\n  x: {text}\n");
    let rules = rules_with("  - {name: a, match: {}, mute: {during: [x]}}\n", &around);
    rules.rules()[0].quiet.mute.as_ref().unwrap().during[0].clone()
}

fn instant(zone: &str, text: &str) -> Timestamp {
    let local: DateTime = text.parse().unwrap();
    TimeZone::get(zone).unwrap().to_timestamp(local).unwrap()
}

/// Whether it lasts at those local times of Shanghai.
fn lasts(text: &str, times: &[&str]) -> Vec<bool> {
    let interval = interval(text);
    times.iter().map(|time| interval.contains(instant("Asia/Shanghai", time))).collect()
}

#[test]
fn a_span_over_midnight_belongs_to_the_day_on_which_it_begins() {
    // 2026-03-06 is a Friday.
    assert_eq!(
        lasts(
            "{weekdays: mon-fri, times: ['22:00-08:00']}",
            &[
                "2026-03-06T21:59:59",
                "2026-03-06T22:00",
                "2026-03-07T07:59:59",
                "2026-03-07T08:00",
                "2026-03-07T22:00",
                "2026-03-09T07:00",
            ]
        ),
        [false, true, true, false, false, false]
    );
}

#[test]
fn weekdays_months_and_days_from_the_months_end_all_count() {
    assert_eq!(
        lasts(
            "{weekdays: [sat-mon], months: nov-feb, days_of_month: [1-7, -2--1]}",
            &[
                "2026-02-28T12:00",
                "2026-02-27T12:00",
                "2026-02-21T12:00",
                "2026-03-01T12:00",
                "2026-11-01T12:00",
                "2026-11-30T00:00",
            ]
        ),
        [true, false, false, false, true, true]
    );
    assert_eq!(lasts("{times: ['00:00-24:00']}", &["2026-03-06T23:59:59"]), [true]);
}

fn end(text: &str, zone: &str, now: &str) -> Option<Timestamp> {
    end_of(&[interval(text)], instant(zone, now))
}

#[test]
fn its_end_is_found_across_days_that_join() {
    let end = |text, now| end(text, "Asia/Shanghai", now);
    let at = |text| Some(instant("Asia/Shanghai", text));
    let night = "{weekdays: mon-fri, times: ['22:00-08:00']}";
    assert_eq!(end(night, "2026-03-06T23:00"), at("2026-03-07T08:00"));
    assert_eq!(end(night, "2026-03-07T12:00"), None);
    assert_eq!(end("{weekdays: [sat, sun]}", "2026-03-07T12:00"), at("2026-03-09T00:00"));
    assert_eq!(
        end("{times: ['22:00-24:00', '00:00-06:00']}", "2026-03-07T23:00"),
        at("2026-03-08T06:00")
    );
}

#[test]
fn clocks_that_are_put_forward_or_back_move_the_end_with_them() {
    let night = "{times: ['22:00-06:00'], time_zone: Europe/Berlin}";
    let hours = |from: &str, now| {
        let now = instant("Europe/Berlin", now);
        let end = end_of(&[interval(from)], now).unwrap();
        end.duration_since(now).as_hours()
    };
    assert_eq!(hours(night, "2026-03-27T22:00"), 8);
    assert_eq!(hours(night, "2026-03-28T22:00"), 7, "the clock was put forward at two");
    assert_eq!(hours(night, "2026-10-24T22:00"), 9, "and back at three");
    // An end that the clock steps over is where it steps.
    assert_eq!(
        end(
            "{times: ['22:00-02:30'], time_zone: Europe/Berlin}",
            "Europe/Berlin",
            "2026-03-28T23:00"
        ),
        Some(instant("Europe/Berlin", "2026-03-29T03:00"))
    );
}

/// Whether they last at every minute of two weeks around the end of each month of some years.
fn last_always(intervals: &[std::sync::Arc<TimeInterval>]) -> bool {
    let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
    let months = (2026..2029).flat_map(|year| (1..=12).map(move |month| (year, month)));
    let starts = months.map(|(year, month)| {
        let last = jiff::civil::date(year, month, 25).at(0, 0, 0, 0);
        shanghai.to_timestamp(last).unwrap()
    });
    starts.into_iter().all(|start| {
        (0..14 * 24 * 60).all(|minute| {
            let at = start + jiff::SignedDuration::from_mins(minute);
            intervals.iter().any(|interval| interval.contains(at))
        })
    })
}

#[test]
fn intervals_that_leave_nothing_are_known() {
    for (texts, expected) in [
        (vec!["{times: ['22:00-08:00']}", "{times: ['08:00-22:00']}"], true),
        (vec!["{times: ['22:00-08:00']}", "{times: ['08:01-22:00']}"], false),
        (vec!["{weekdays: mon-fri}", "{weekdays: sat-sun}"], true),
        (vec!["{weekdays: mon-fri}", "{weekdays: sat}"], false),
        // Monday's small hours belong to Sunday's night, which is not in it.
        (vec!["{weekdays: mon-fri, times: ['22:00-08:00']}", "{times: ['08:00-22:00']}"], false),
        (vec!["{times: ['00:00-24:00']}"], true),
        (vec!["{days_of_month: 1-30}", "{days_of_month: -1}"], true),
        (vec!["{days_of_month: 1-30}"], false),
        (vec!["{days_of_month: 1-28}", "{days_of_month: -3--1}"], true),
        (vec!["{months: jan-nov}"], false),
        (vec!["{weekdays: mon-thu}", "{weekdays: fri-sun, months: jan-nov}"], false),
        (vec!["{weekdays: mon-thu}", "{weekdays: fri-sun, time_zone: UTC}"], false),
    ] {
        let intervals: Vec<_> = texts.iter().map(|text| interval(text)).collect();
        assert_eq!(leave_nothing(&intervals), expected, "{texts:?}");
        assert_eq!(last_always(&intervals), expected, "{texts:?}");
    }
}
