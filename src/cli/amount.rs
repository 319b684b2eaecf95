//! Numbers and durations as short as people read them.
//!
//! Deliberately absent: reading them; these are for tables only.

use std::time::Duration;

/// A number with no more digits than a person reads.
pub(super) fn short(number: f64) -> String {
    let text = if number >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

pub(super) fn span(duration: Duration) -> String {
    span_s(duration.as_secs_f64())
}

/// A duration in its two largest units.
pub(super) fn span_s(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{}s", short((seconds * 10.0).round() / 10.0));
    }
    let whole = seconds.round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    let two = |one: u64, first: &str, other: u64, second: &str| {
        if other == 0 { format!("{one}{first}") } else { format!("{one}{first} {other}{second}") }
    };
    match (days, hours) {
        (0, 0) => two(minutes, "m", whole % 60, "s"),
        (0, _) => two(hours, "h", minutes, "m"),
        _ => two(days, "d", hours, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_numbers_are_short() {
        let spans = [9.96, 10.0, 61.0, 200.0, 3600.0, 7_260.0, 200_000.0].map(span_s);
        assert_eq!(spans, ["10s", "10s", "1m 1s", "3m 20s", "1h", "2h 1m", "2d 7h"]);
        assert_eq!([0.5, 20.0, 199.96, 3.1379].map(short), ["0.5", "20", "200", "3.14"]);
    }
}
