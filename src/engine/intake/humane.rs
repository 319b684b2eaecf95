//! Spans of time in alarms, rounded to what a person would say: `45 s`, `10 min`, `8 h`, `3 d`.

use jiff::SignedDuration;

/// A span in the unit in which it is a small number, rounded to the nearest.
pub(super) fn humane(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let units = [(86_400, 2, "d"), (3_600, 2, "h"), (60, 2, "min")];
    for (length, least, name) in units {
        let rounded = seconds.saturating_add(length / 2) / length;
        if rounded >= least {
            return format!("{rounded} {name}");
        }
    }
    format!("{seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_rounded_to_what_a_person_would_say() {
        for (seconds, said) in [
            (0, "0 s"),
            (45, "45 s"),
            (89, "89 s"),
            (90, "2 min"),
            (600, "10 min"),
            (89 * 60, "89 min"),
            (479 * 60, "8 h"),
            (35 * 3600, "35 h"),
            (72 * 3600, "3 d"),
        ] {
            assert_eq!(humane(SignedDuration::from_secs(seconds)), said);
        }
    }
}
