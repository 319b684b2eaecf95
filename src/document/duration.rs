//! Durations as people write them: `30s 10m 6h 30d 2w`.
//!
//! One whole number and one unit; a day is 24 hours. Deliberately absent: bare numbers and months,
//! which mean different things to different people.

use std::time::Duration;

const UNITS: [(&str, u64); 5] =
    [("w", 7 * 24 * 3600), ("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)];

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number alone.
    #[error("a number without a unit")]
    NoUnit,
    /// A unit that is not known.
    #[error("there is no unit `{0}`")]
    UnknownUnit(String),
    /// More than one number and unit.
    #[error("more than one unit")]
    Compound,
    /// A fraction.
    #[error("a fraction")]
    Fraction,
    /// No number at all.
    #[error("not a number with a unit")]
    Malformed,
    /// Longer than a thousand years.
    #[error("too long")]
    TooLong,
}

/// Reads a duration.
///
/// # Errors
/// See [`DurationError`].
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(DurationError::Malformed);
    }
    if unit.is_empty() {
        return Err(DurationError::NoUnit);
    }
    if unit.starts_with(['.', ',']) {
        return Err(DurationError::Fraction);
    }
    let Some(&(_, seconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let compound = unit.bytes().any(|byte| byte.is_ascii_digit());
        return Err(if compound {
            DurationError::Compound
        } else {
            DurationError::UnknownUnit(unit.trim().chars().take(20).collect())
        });
    };
    let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
    // A thousand years is enough for anyone, and far from what arithmetic on instants refuses.
    number
        .checked_mul(seconds)
        .filter(|&seconds| seconds <= 1000 * 366 * 24 * 3600)
        .map(Duration::from_secs)
        .ok_or(DurationError::TooLong)
}

/// Writes a duration as [`parse_duration`] reads it, in the largest unit that fits; parts of a
/// second are dropped.
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (unit, size) = UNITS
        .into_iter()
        .find(|&(_, size)| seconds > 0 && seconds.is_multiple_of(size))
        .unwrap_or(("s", 1));
    format!("{}{unit}", seconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_one_number_and_one_unit() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("6h", 21_600), ("30d", 2_592_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
            assert_eq!(show_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(parse_duration("2w"), Ok(Duration::from_secs(14 * 86_400)));
        for (text, error) in [
            ("10", DurationError::NoUnit),
            ("10 s", DurationError::UnknownUnit("s".to_owned())),
            ("5min", DurationError::UnknownUnit("min".to_owned())),
            ("1h30m", DurationError::Compound),
            ("1.5h", DurationError::Fraction),
            ("-1s", DurationError::Malformed),
            ("", DurationError::Malformed),
            ("99999999999999999999s", DurationError::TooLong),
            ("999999999999w", DurationError::TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(error), "for {text:?}");
        }
    }
}
