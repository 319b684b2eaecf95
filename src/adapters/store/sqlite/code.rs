//! How values stand in columns: enums as numbers that never change their meaning, instants as
//! milliseconds, records as JSON.
//!
//! A number once given is given for good: databases hold it. A new variant gets the next one.

use jiff::Timestamp;
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use serde::Serialize;

use crate::{
    domain::{
        notification::{HeldBy, NotificationState, Reason},
        rule::Severity,
    },
    ports::PayloadFormat,
};

use super::error::{Failure, Outcome};

/// The class of an outcome that `outbox` holds for a delivered row.
pub(super) const DELIVERED: &str = "delivered";

/// A value that stands in a column as a number.
pub(super) trait Coded: Sized + Copy + 'static {
    /// Every value.
    fn all() -> &'static [Self];

    /// Its number.
    fn code(self) -> i64;
}

/// A coded value on its way out of a column.
pub(super) struct Code<T>(pub(super) T);

impl<T: Coded> FromSql for Code<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let code = value.as_i64()?;
        let found = T::all().iter().copied().find(|one| one.code() == code);
        found.map(Self).ok_or(FromSqlError::OutOfRange(code))
    }
}

impl Coded for NotificationState {
    fn all() -> &'static [Self] {
        Self::ALL
    }

    fn code(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Sending => 1,
            Self::Delivered => 2,
            Self::Dead => 3,
            Self::Folded => 4,
            Self::Held => 5,
        }
    }
}

impl Coded for Reason {
    fn all() -> &'static [Self] {
        Self::ALL
    }

    fn code(self) -> i64 {
        match self {
            Self::Matched => 0,
            Self::Failing => 1,
            Self::Recovered => 2,
            Self::Reminder => 3,
            Self::Threshold => 4,
            Self::Absent => 5,
            Self::Returned => 6,
            Self::Flapping => 7,
            Self::Storm => 8,
            Self::Summary => 9,
            Self::Digest => 10,
            Self::CatchUp => 11,
            Self::Alarm => 12,
            Self::Canary => 13,
            Self::Test => 14,
        }
    }
}

impl Coded for Severity {
    fn all() -> &'static [Self] {
        Self::ALL
    }

    fn code(self) -> i64 {
        match self {
            Self::Info => 0,
            Self::Warning => 1,
            Self::Error => 2,
            Self::Critical => 3,
        }
    }
}

impl Coded for HeldBy {
    fn all() -> &'static [Self] {
        Self::ALL
    }

    fn code(self) -> i64 {
        match self {
            Self::Shadow => 0,
            Self::State => 1,
            Self::Inhibited => 2,
            Self::Silenced => 3,
            Self::Muted => 4,
            Self::Storm => 5,
            Self::Throttle => 6,
            Self::Group => 7,
            Self::CatchUp => 8,
        }
    }
}

impl Coded for PayloadFormat {
    fn all() -> &'static [Self] {
        &[Self::Json, Self::Text, Self::Late]
    }

    fn code(self) -> i64 {
        match self {
            Self::Json => 0,
            Self::Text => 1,
            Self::Late => 2,
        }
    }
}

/// An instant as a column holds it. What is finer than a millisecond is dropped.
pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_nanosecond().div_euclid(1_000_000) as i64
}

/// The first millisecond that is not before an instant: for what may not happen too early.
pub(super) fn ms_not_before(at: Timestamp) -> i64 {
    let floor = ms(at);
    if at.as_nanosecond().rem_euclid(1_000_000) == 0 { floor } else { floor + 1 }
}

/// The instant of a column.
pub(super) fn instant(ms: i64) -> Outcome<Timestamp> {
    Timestamp::from_millisecond(ms)
        .map_err(|_| Failure::Unreadable(format!("{ms} is no instant in milliseconds")))
}

/// The instant of a column that may be null.
pub(super) fn instant_or_none(ms: Option<i64>) -> Outcome<Option<Timestamp>> {
    ms.map(instant).transpose()
}

/// The part of a key's digest by which the outbox compares keys. Two keys that share it would only
/// be kept in order as if they were one; at a million keys that has a chance of one in ten million.
pub(super) fn short_key(key: &[u8; 16]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// A number of a type that a column can't hold, cut to what it can.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// UTF-8 bytes that go into a column as text, without being looked at again.
pub(super) struct Utf8<'a>(pub(super) &'a [u8]);

impl ToSql for Utf8<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Writes a value as compact JSON into a buffer that is used again and again.
pub(super) fn json_into<'a>(buffer: &'a mut Vec<u8>, value: &impl Serialize) -> Outcome<Utf8<'a>> {
    buffer.clear();
    serde_json::to_writer(&mut *buffer, value)
        .map_err(|error| Failure::Bug(format!("a record can't be written as JSON: {error}")))?;
    Ok(Utf8(buffer))
}
