//! Answers of the trigger log API, of both generations, into a page of rows.
//!
//! One decoder for all: a host of one generation can answer in the other's envelope, and either
//! puts things in more than one place (`trigger-log-api`, 1.3 and 2). As tolerant as that document
//! says and no more. Deliberately absent: what a refusal means (`refusal`), single rows (`row`),
//! HTTP.

use std::{borrow::Cow, fmt};

use jiff::tz::TimeZone;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    row::{Reading, plain, rejected},
    scalar::{Key, Scalar, scalars_are},
};
use crate::ports::Page;

/// An answer of more rows than this is none of ours: a hundred are asked for.
const MAX_ROWS: usize = 10_000;

/// A refusal, as the service wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `4100`, or `AuthFailure.SignatureFailure`.
    pub code: String,
    /// API 2.0's `codeDesc`, where there is one.
    pub code_desc: Option<String>,
    /// The service's own words; a module's error number stays in front of them.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if let Some(desc) = &self.code_desc {
            write!(f, " {desc}")?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

/// Why a text gave no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is a refusal.
    #[error("{0}")]
    Refused(Refusal),
    /// It is not an answer of this API, or a broken one: what is wrong with it.
    #[error("{0}")]
    Garbled(String),
}

/// Reads an answer. Rows out of tolerance are among the page's rejected ones and stop nothing.
/// `zone` is that of the log's timestamps.
///
/// # Errors
/// The text is a refusal, or not an answer.
pub fn decode_page(answer: &str, zone: &TimeZone) -> Result<Page, Unread> {
    let answer = Answer::read(answer, Origin::Wire)?;
    let mut page = Page {
        rows: Vec::with_capacity(answer.rows.len()),
        len: u32::try_from(answer.rows.len()).unwrap_or(u32::MAX),
        total: answer.total,
        deprecated: answer.deprecated,
        ..Page::default()
    };
    for raw in answer.rows {
        match Reading::api(zone).row(raw.get()) {
            Ok(row) => page.rows.push(row),
            Err(problem) => page.rejected.push(rejected(raw.get(), problem.reason)),
        }
    }
    Ok(page)
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Origin {
    /// A service.
    #[default]
    Wire,
    /// A person's file: of any length, and lists as our own API exports them (`items`) count too.
    File,
}

impl Origin {
    const fn max_rows(self) -> usize {
        match self {
            Self::Wire => MAX_ROWS,
            Self::File => usize::MAX,
        }
    }
}

/// A successful answer, its rows not yet read.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) rows: Vec<&'a RawValue>,
    total: Option<u64>,
    deprecated: Option<String>,
}

impl<'a> Answer<'a> {
    /// Takes the envelope off.
    pub(super) fn read(text: &'a str, origin: Origin) -> Result<Self, Unread> {
        let mut parts = Parts { origin, ..Parts::default() };
        let mut reader = serde_json::Deserializer::from_str(text);
        Level { place: Place::Top, parts: &mut parts }
            .deserialize(&mut reader)
            .and_then(|()| reader.end())
            .map_err(|error| Unread::Garbled(format!("the answer is not whole JSON: {error}")))?;
        parts.judge()
    }
}

/// What was found in an answer, wherever it stood.
#[derive(Debug, Default)]
struct Parts<'a> {
    origin: Origin,
    /// The list stood under `items`, as in an export of ours, which has no code.
    exported: bool,
    /// The 2.0 envelope's `code`.
    code: Option<Scalar<'a>>,
    code_desc: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
    /// There was a 3.0 `Response` with something of ours in it.
    response: bool,
    /// The 3.0 `Error`.
    error: Option<(Cow<'a, str>, Cow<'a, str>)>,
    rows: Vec<&'a RawValue>,
    total: Option<Scalar<'a>>,
    deprecated: Option<Cow<'a, str>>,
    /// The first thing out of tolerance.
    problem: Option<String>,
}

impl<'a> Parts<'a> {
    fn judge(self) -> Result<Answer<'a>, Unread> {
        if let Some((code, message)) = self.error {
            return Err(Unread::Refused(Refusal {
                code: code.into_owned(),
                code_desc: None,
                message: message.into_owned(),
            }));
        }
        match &self.code {
            None | Some(Scalar::Null) if self.response || self.exported => {}
            None | Some(Scalar::Null) => {
                let problem = self.problem.unwrap_or_else(|| {
                    "the answer is not the API's: it has neither a code nor a Response".to_owned()
                });
                return Err(Unread::Garbled(problem));
            }
            Some(code) => match code.whole_number() {
                Some(0) => {}
                Some(code) => {
                    return Err(Unread::Refused(Refusal {
                        code: code.to_string(),
                        code_desc: self.code_desc.map(Cow::into_owned),
                        message: self.message.unwrap_or_default().into_owned(),
                    }));
                }
                None => return Err(garbled("code", code.describe(), "a whole number")),
            },
        }
        if let Some(problem) = self.problem {
            return Err(Unread::Garbled(problem));
        }
        let total = match self.total {
            None | Some(Scalar::Null) => None,
            Some(total) => {
                let number = total.whole_number();
                let number = number
                    .ok_or_else(|| garbled("totalCount", total.describe(), "a whole number"))?;
                u64::try_from(number).ok()
            }
        };
        Ok(Answer { rows: self.rows, total, deprecated: self.deprecated.map(Cow::into_owned) })
    }

    fn complain(&mut self, name: &str, found: &str, wanted: &str) {
        if self.problem.is_none() {
            self.problem = Some(complaint(name, found, wanted));
        }
    }
}

fn complaint(name: &str, found: &str, wanted: &str) -> String {
    format!("the answer can't be understood: {name} is {found}, where {wanted} was expected")
}

fn garbled(name: &str, found: &str, wanted: &str) -> Unread {
    Unread::Garbled(complaint(name, found, wanted))
}

/// Which object of an answer is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Response,
    Data,
    Error,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Top => "the whole",
            Self::Response => "Response",
            Self::Data => "data",
            Self::Error => "Error",
        }
    }
}

/// One object of the answer, read into the parts.
struct Level<'p, 'a> {
    place: Place,
    parts: &'p mut Parts<'a>,
}

impl<'a> Level<'_, 'a> {
    /// Reads the value of one key. Unknown keys pass.
    fn take<A: MapAccess<'a>>(&mut self, key: &Key<'a>, map: &mut A) -> Result<(), A::Error> {
        let inside = match self.place {
            Place::Top if key.is("response") => Some(Place::Response),
            Place::Top | Place::Response if key.is("data") => Some(Place::Data),
            Place::Response if key.is("error") => Some(Place::Error),
            _ => None,
        };
        if let Some(place) = inside {
            self.parts.response |= self.place == Place::Response;
            return map.next_value_seed(Level { place, parts: &mut *self.parts });
        }
        if self.place == Place::Error {
            return self.take_error(key, map);
        }
        let top = self.place == Place::Top;
        if key.is("logInfo") {
            self.parts.response |= self.place == Place::Response;
            map.next_value_seed(RowList(&mut *self.parts))
        } else if key.is("totalCount") {
            self.parts.total = Some(map.next_value()?);
            Ok(())
        } else if top && key.is("code") {
            self.parts.code = Some(map.next_value()?);
            Ok(())
        } else if top && key.is("codeDesc") {
            self.parts.code_desc = map.next_value::<Scalar<'a>>()?.into_text();
            Ok(())
        } else if top && key.is("message") {
            self.parts.message = map.next_value::<Scalar<'a>>()?.into_text();
            Ok(())
        } else if top && self.parts.origin == Origin::File && &*key.0 == "items" {
            self.parts.exported = true;
            map.next_value_seed(RowList(&mut *self.parts))
        } else if self.place == Place::Response && key.is("deprecatedWarning") {
            self.parts.deprecated = map.next_value::<Scalar<'a>>()?.into_text();
            Ok(())
        } else {
            self.parts.response |= self.place == Place::Response && key.is("requestId");
            map.next_value::<IgnoredAny>().map(|_| ())
        }
    }

    fn take_error<A: MapAccess<'a>>(&mut self, key: &Key<'a>, map: &mut A) -> Result<(), A::Error> {
        let value: Scalar<'a> = map.next_value()?;
        if let (Some((code, message)), Some(text)) = (&mut self.parts.error, value.into_text()) {
            if key.is("code") {
                *code = text;
            } else if key.is("message") {
                *message = text;
            }
        }
        Ok(())
    }

    /// The level was something other than an object. An empty PHP array is an empty object, but
    /// an answer that is nothing but one says nothing, not that the log is empty.
    fn not_an_object(self, found: &str) {
        self.parts.complain(self.place.name(), found, "an object");
    }
}

impl<'a> DeserializeSeed<'a> for Level<'_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Level<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.place == Place::Error {
            self.parts.error = Some((Cow::Borrowed(""), Cow::Borrowed("")));
        }
        while let Some(key) = map.next_key::<Key<'a>>()? {
            self.take(&key, &mut map)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        if list.next_element::<IgnoredAny>()?.is_none() {
            return Ok(());
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.not_an_object("a list");
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    scalars_are!(not_an_object);
}

/// The list of rows, each kept as its JSON.
struct RowList<'p, 'a>(&'p mut Parts<'a>);

impl RowList<'_, '_> {
    fn not_a_list(self, found: &str) {
        self.0.complain("logInfo", found, "a list");
    }
}

impl<'a> DeserializeSeed<'a> for RowList<'_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for RowList<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        // The place that holds rows wins over one that holds none: both may be written.
        let mut rows = Vec::new();
        while let Some(row) = list.next_element::<&'a RawValue>()? {
            if rows.len() == self.0.origin.max_rows() {
                return Err(A::Error::custom("it holds more rows than anyone asked for"));
            }
            rows.push(row);
        }
        if !rows.is_empty() {
            self.0.rows = rows;
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.not_a_list("an object");
        Ok(())
    }

    scalars_are!(not_a_list);
}

/// The rows of a list that stands alone, each as its JSON.
pub(super) fn bare_list(text: &str) -> Result<Vec<&RawValue>, String> {
    serde_json::from_str(text).map_err(|error| plain(&error))
}
