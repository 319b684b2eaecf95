//! One row of the log, from its JSON, in either generation's shape or the project's own.
//!
//! As tolerant as `trigger-log-api` 1.3 says and no more: numbers as numeric strings, an account
//! as a number, `[]` or null for a nested object, unknown fields and values. Anything else makes
//! the row unread, with the field named. Deliberately absent: the envelope around rows (`decode`).

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    cut, one_line,
    scalar::{Key, Scalar, same_name, scalars_are},
    wall_time,
};
use crate::{
    document::nearest,
    domain::{
        entry::{Row, WallTime},
        field::Field,
    },
    ports::Rejected,
};

/// The most of an unread row that is kept.
pub(super) const RAW_LIMIT_BYTES: usize = 64 * 1024;

type Names = &'static [(&'static str, Field)];

/// The fields that stand in a row itself, by the names of API 2.0.
const ROW: Names = &[
    ("repoName", Field::Repo),
    ("tagName", Field::Tag),
    ("triggerName", Field::Trigger),
    ("invokeSource", Field::InvokeSource),
    ("invokeAction", Field::InvokeAction),
    ("invokeTime", Field::Time),
];

/// The objects nested in a row, and their fields.
const NESTED: &[(&str, Names)] = &[
    (
        "invokeCondition",
        &[("invokeMethod", Field::InvokeMethod), ("invokeExpr", Field::InvokeExpr)],
    ),
    (
        "invokePara",
        &[
            ("appId", Field::AppId),
            ("clusterId", Field::ClusterId),
            ("namespace", Field::Namespace),
            ("serviceName", Field::Service),
            ("containerName", Field::Container),
            ("clusterRegion", Field::ClusterRegion),
        ],
    ),
    ("invokeResult", &[("returnCode", Field::ReturnCode), ("returnMsg", Field::ReturnMsg)]),
];

/// Which keys an object had, of those that tell whether it is a row at all.
#[derive(Debug, Default)]
struct Keys {
    /// One that a row has.
    known: bool,
    /// One by which a machine wrote it: names of the API's rows, or a wrapper. Such rows may hold
    /// what is not known here.
    vendors: bool,
    /// The first that no row has.
    unknown: Option<String>,
}

impl Keys {
    /// Notes a key whose value is not read.
    fn skipped(&mut self, key: &str) {
        if Field::by_name(key).is_none() && self.unknown.is_none() {
            self.unknown = Some(one_line(key, 40));
        }
    }

    /// Why the object is not what a person meant by an entry.
    fn problem<'a>(&self, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
        let unknown = match (&self.unknown, self.known) {
            (Some(unknown), known) if !known || !self.vendors => unknown,
            (None, false) => return Some("no key of it is one of an entry".to_owned()),
            _ => return None,
        };
        let list = known.clone().collect::<Vec<_>>().join(", ");
        let near = nearest(unknown, known);
        let meant = near.map_or(String::new(), |near| format!("did you mean {near}? "));
        Some(format!("{unknown:?} is no key of an entry; {meant}known: {list}"))
    }
}

/// What holds the fields in an exported entry that wraps them.
const WRAPPERS: &[&str] = &["entry", "fields"];

/// Keys that no row has and every answer or list of rows has one of.
const ENVELOPE: &[&str] = &["response", "code", "data", "logInfo", "items"];

/// Which shapes of a row are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The API's rows, of either generation.
    Api,
    /// Those, and entries under the names that rules use.
    Any,
}

/// How rows are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'z> {
    /// The zone of timestamps that carry none.
    pub(super) zone: &'z TimeZone,
    /// The shapes understood.
    pub(super) shape: Shape,
    /// The time of a row that has none; without it such a row is unread.
    pub(super) missing_time: Option<Timestamp>,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowProblem {
    /// Why, in words that name the field.
    pub(super) reason: String,
    /// It looks like an answer that holds rows rather than like a row.
    pub(super) envelope: bool,
}

impl<'z> Reading<'z> {
    /// Rows as the API writes them, in that zone.
    pub(super) const fn api(zone: &'z TimeZone) -> Self {
        Self { zone, shape: Shape::Api, missing_time: None }
    }

    /// Reads one row.
    pub(super) fn row(self, json: &str) -> Result<Row, RowProblem> {
        let mut draft = Draft::new(self);
        let mut reader = serde_json::Deserializer::from_str(json);
        let part = Part { draft: &mut draft, nested: None };
        if let Err(error) = part.deserialize(&mut reader) {
            // Only what the scan for the row's end let pass: a broken escape, a number past all
            // bounds.
            let reason = format!("{} can't be read: {}", draft.reading_at, plain(&error));
            return Err(RowProblem { reason, envelope: draft.envelope });
        }
        draft.finish()
    }
}

/// A row as kept for inspection.
pub(super) fn rejected(json: &str, reason: String) -> Rejected {
    Rejected { raw: cut(json, RAW_LIMIT_BYTES).to_owned(), reason }
}

/// A parser's complaint without its line and column, which count within an excerpt.
pub(super) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

/// A row being put together.
struct Draft<'z> {
    how: Reading<'z>,
    row: Row,
    timed: bool,
    envelope: bool,
    keys: Keys,
    /// The first thing that was out of tolerance.
    problem: Option<String>,
    /// What is being read, for the parser's own complaints.
    reading_at: &'static str,
}

impl<'z> Draft<'z> {
    fn new(how: Reading<'z>) -> Self {
        Self {
            how,
            row: Row::at(WallTime::default(), Timestamp::UNIX_EPOCH),
            timed: false,
            envelope: false,
            keys: Keys::default(),
            problem: None,
            reading_at: "the row",
        }
    }

    fn finish(mut self) -> Result<Row, RowProblem> {
        if let (None, false, Some(at)) = (&self.problem, self.timed, self.how.missing_time) {
            self.set_time(at);
        }
        if self.how.missing_time.is_some() {
            // With the time as good as given, only its keys tell a row from anything else.
            let known = Field::ALL.iter().map(|field| field.name());
            let problem = self.keys.problem(known);
            self.envelope &= !self.keys.known;
            if let Some(problem) = problem {
                self.complain(|| problem);
            }
        }
        let time = if self.how.shape == Shape::Api { "invokeTime" } else { "the time" };
        let reason = match self.problem {
            Some(problem) => problem,
            None if self.timed => return Ok(self.row),
            None => format!("{time} is missing"),
        };
        Err(RowProblem { reason, envelope: self.envelope })
    }

    /// Notes what is out of tolerance; the first thing stays.
    fn complain(&mut self, problem: impl FnOnce() -> String) {
        if self.problem.is_none() {
            self.problem = Some(problem());
        }
    }

    fn set(&mut self, nested: Option<&str>, name: &str, field: Field, value: Scalar<'_>) {
        if value == Scalar::Null {
            return;
        }
        match field {
            Field::ReturnCode | Field::ClusterRegion => match value.whole_number() {
                Some(number) if field == Field::ReturnCode => self.row.return_code = Some(number),
                Some(number) => self.row.cluster_region = Some(number),
                None => self.wrong(nested, name, &value, "a whole number"),
            },
            Field::Time => match value {
                Scalar::Text(text) => self.read_time(nested, name, &text),
                other => self.wrong(nested, name, &other, "text"),
            },
            _ => {
                let text: Box<str> = match value {
                    Scalar::Text(text) => text.into(),
                    Scalar::Int(number) if field == Field::AppId => number.to_string().into(),
                    Scalar::Large(number) if field == Field::AppId => number.to_string().into(),
                    other => return self.wrong(nested, name, &other, "text"),
                };
                if let Some(slot) = text_slot(&mut self.row, field) {
                    *slot = Some(text);
                }
            }
        }
    }

    fn wrong(&mut self, nested: Option<&str>, name: &str, value: &Scalar<'_>, wanted: &str) {
        self.complain(|| {
            let found = match value {
                Scalar::Text(text) => format!("{:?}", one_line(text, 40)),
                other => other.describe().to_owned(),
            };
            format!("{} is {found}, where {wanted} was expected", path(nested, name))
        });
    }

    fn read_time(&mut self, nested: Option<&str>, name: &str, text: &str) {
        let at = match naive(text, name == "time") {
            Some(naive) => self.how.zone.to_ambiguous_timestamp(naive).compatible().ok(),
            None if name == "time" => text.parse().ok(),
            None => None,
        };
        match at {
            Some(at) => self.set_time(at),
            None => self.complain(|| {
                let shown = one_line(text, 40);
                format!("{} is {shown:?}, which is no time", path(nested, name))
            }),
        }
        // In the hour that a zone repeats or leaves out, the log's own clock is what was written.
        if let Some(naive) = naive(text, name == "time") {
            self.row.wall_time = seconds(naive);
        }
    }

    fn set_time(&mut self, at: Timestamp) {
        self.timed = true;
        self.row.time = at;
        self.row.wall_time = wall_time(self.how.zone, at);
    }

    /// The field that a key stands for, with its name as the documents write it.
    fn field(&self, nested: Option<Group>, key: &str) -> Option<(&'static str, Field)> {
        let names = nested.map_or(ROW, |group| group.names);
        let known = names.iter().find(|(name, _)| same_name(key, name)).copied();
        let flat =
            self.how.shape == Shape::Any && nested.is_none_or(|group| group.names.is_empty());
        known.or_else(|| {
            let field = flat.then(|| Field::by_name(key))??;
            // Both follow from other things: the source is the reader's, the region its number's.
            (!matches!(field, Field::Source | Field::Region)).then_some((field.name(), field))
        })
    }

    /// The nested object that a key of the row stands for.
    fn group(&self, key: &str) -> Option<Group> {
        let nested = NESTED.iter().find(|(name, _)| same_name(key, name));
        nested.map(|&(name, names)| Group { name, names }).or_else(|| {
            let wrapper = WRAPPERS.iter().find(|name| **name == key)?;
            (self.how.shape == Shape::Any).then_some(Group { name: wrapper, names: &[] })
        })
    }
}

fn path(nested: Option<&str>, name: &str) -> String {
    nested.map_or_else(|| name.to_owned(), |nested| format!("{nested}.{name}"))
}

fn text_slot(row: &mut Row, field: Field) -> Option<&mut Option<Box<str>>> {
    Some(match field {
        Field::Repo => &mut row.repo,
        Field::Tag => &mut row.tag,
        Field::Trigger => &mut row.trigger,
        Field::InvokeSource => &mut row.invoke_source,
        Field::InvokeAction => &mut row.invoke_action,
        Field::InvokeMethod => &mut row.invoke_method,
        Field::InvokeExpr => &mut row.invoke_expr,
        Field::AppId => &mut row.app_id,
        Field::Service => &mut row.service,
        Field::ClusterId => &mut row.cluster_id,
        Field::Namespace => &mut row.namespace,
        Field::Container => &mut row.container,
        Field::ReturnMsg => &mut row.return_msg,
        Field::ReturnCode | Field::ClusterRegion | Field::Region | Field::Source | Field::Time => {
            return None;
        }
    })
}

/// `YYYY-MM-DD HH:MM:SS` and nothing else; with a `T` between where `or_t`.
fn naive(text: &str, or_t: bool) -> Option<civil::DateTime> {
    let bytes: &[u8; 19] = text.as_bytes().try_into().ok()?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let between = bytes[10] == b' ' || (or_t && bytes[10] == b'T');
    if !between || separators.iter().any(|&(at, wanted)| bytes[at] != wanted) {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0_i16, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0'))
        })
    };
    let small = |from: usize| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    civil::DateTime::new(number(0, 4)?, small(5)?, small(8)?, small(11)?, small(14)?, small(17)?, 0)
        .ok()
}

/// The seconds that a naive time is, as if it were UTC.
fn seconds(naive: civil::DateTime) -> WallTime {
    let utc = TimeZone::UTC.to_ambiguous_timestamp(naive).compatible();
    WallTime(utc.map_or(i64::MIN, Timestamp::as_second))
}

/// An object nested in a row. A wrapper of flat fields has no names of its own.
#[derive(Clone, Copy)]
struct Group {
    name: &'static str,
    names: Names,
}

/// The row, or an object nested in it, being read into the draft.
struct Part<'d, 'z> {
    draft: &'d mut Draft<'z>,
    nested: Option<Group>,
}

impl Part<'_, '_> {
    fn not_an_object(self, what: &str) {
        let name = self.nested.map_or("the row", |group| group.name);
        self.draft.complain(|| format!("{name} is {what}, where an object was expected"));
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { draft, nested } = self;
        let group_name = nested.map(|group| group.name);
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if let Some((name, field)) = draft.field(nested, &key) {
                draft.reading_at = name;
                draft.keys.known = true;
                draft.keys.vendors |= name != field.name();
                draft.set(group_name, name, field, map.next_value()?);
            } else if let Some(group) = nested.is_none().then(|| draft.group(&key)).flatten() {
                draft.reading_at = group.name;
                draft.keys.known |= !group.names.is_empty();
                draft.keys.vendors = true;
                map.next_value_seed(Part { draft: &mut *draft, nested: Some(group) })?;
            } else {
                draft.envelope |=
                    nested.is_none() && ENVELOPE.iter().any(|name| same_name(&key, name));
                draft.keys.skipped(&key);
                map.next_value::<IgnoredAny>()?;
            }
            draft.reading_at = group_name.unwrap_or("the row");
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if list.next_element::<IgnoredAny>()?.is_none() {
            return Ok(());
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.not_an_object("a list");
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.nested.is_none() {
            self.not_an_object("null");
        }
        Ok(())
    }

    scalars_are!(not_an_object);
}
