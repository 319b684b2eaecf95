//! Values while a message is rendered: borrowed from the context, never a tree of copies.

use std::{borrow::Cow, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    domain::{
        digest::Tally,
        entry::{self, Entry},
        field::Field,
        incident::IncidentView,
        late::Late,
    },
    ports::Context,
};

use super::{
    language::Language,
    names::{About, Counted, Name, Step},
};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// Not there; renders empty.
    Absent,
    /// True or false.
    Truth(bool),
    /// A whole number.
    Number(i64),
    /// An instant.
    Time(Timestamp),
    /// Text of one line; line breaks in it are somebody's trick and become spaces.
    Text(Cow<'a, str>),
    /// Text that may have several lines.
    Lines(Cow<'a, str>),
    /// Everything in scope.
    Root,
    /// The rule.
    Rule,
    /// The rule's labels.
    Labels,
    /// The incident.
    Incident(IncidentView),
    /// What a digest counts.
    Digest(Tally),
    /// One entry.
    Entry(&'a Entry),
    /// A list of entries.
    Entries(&'a [Arc<Entry>]),
    /// What each attempt works out.
    Late(Box<Late>),
}

/// What a template sees besides its context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The message.
    pub context: &'a Context<'a>,
    /// The receiver's name.
    pub receiver: &'a str,
    /// The zone that instants are shown in.
    pub zone: &'a TimeZone,
    /// Where links lead, without a slash at its end.
    pub public_url: Option<&'a str>,
    /// The template's language.
    pub language: Language,
    /// The most characters of one foreign text.
    pub longest: usize,
    /// Whether to write stand-ins for what only an attempt can know, so that the whole can be tried.
    pub stand_in: bool,
}

impl<'a> Scope<'a> {
    /// The value one step on from another.
    pub(super) fn step(&self, from: &Value<'a>, step: &Step) -> Value<'a> {
        match (step, from) {
            (Step::Root(name), _) => self.named(*name),
            (Step::Field(field), Value::Entry(entry)) => field_of(entry, *field),
            (Step::RuleName, _) => Value::text(self.context.rule),
            (Step::RuleLabels, _) => Value::Labels,
            (Step::Label(label), _) => match self.context.labels.get(&**label) {
                Some(text) => Value::Lines(Cow::Borrowed(text)),
                None => Value::Absent,
            },
            (Step::Secret(name), _) => Value::Late(Box::new(Late::Secret(name.clone()))),
            (Step::Incident(about), Value::Incident(incident)) => about_incident(incident, *about),
            (Step::Digest(counted), Value::Digest(tally)) => count_of(tally, *counted),
            (Step::Nth(index), Value::Entries(entries)) => match entries.get(*index) {
                Some(entry) => Value::Entry(entry),
                None => Value::Absent,
            },
            _ => Value::Absent,
        }
    }

    fn named(&self, name: Name) -> Value<'a> {
        let context = self.context;
        match name {
            Name::Entry => context.entries.last().map_or(Value::Absent, |last| Value::Entry(last)),
            Name::Entries => Value::Entries(context.entries),
            Name::Count => number(context.count),
            Name::More => number(more(context)),
            Name::Reason => Value::text(context.reason.name()),
            Name::Rule => Value::Rule,
            Name::Severity => Value::text(context.severity.name()),
            Name::Incident => context.incident.map_or(Value::Absent, Value::Incident),
            Name::Digest => context.digest.map_or(Value::Absent, Value::Digest),
            Name::Source => match context.entries.last() {
                Some(entry) => Value::text(&entry.source),
                None => Value::Absent,
            },
            Name::Receiver => Value::text(self.receiver),
            Name::Id => Value::Text(Cow::Owned(context.id.to_string())),
            Name::Url => match self.public_url {
                Some(base) => Value::Text(Cow::Owned(link(base, context))),
                None => Value::Absent,
            },
            Name::Message => match context.message {
                Some(message) => Value::Lines(Cow::Borrowed(message)),
                None => Value::Absent,
            },
            Name::MeantFor => context.meant_for.map_or(Value::Absent, Value::text),
            Name::Now => Value::Time(context.now),
            Name::NowS => Value::Late(Box::new(Late::NowS)),
            Name::NowMs => Value::Late(Box::new(Late::NowMs)),
            // Only its secrets can be named.
            Name::Secrets => Value::Absent,
        }
    }
}

/// How many entries a message stands for and does not list; of a digest, how many things, each of
/// which is listed by one entry.
pub(super) fn more(context: &Context<'_>) -> u64 {
    let listed = context.entries.len() as u64;
    match (context.digest, context.more) {
        (Some(tally), _) => tally.things().saturating_sub(listed),
        (None, Some(more)) => more,
        (None, None) => context.count.saturating_sub(listed),
    }
}

/// The address of a notification's page under the public one.
pub(super) fn link(base: &str, context: &Context<'_>) -> String {
    format!("{base}/notifications/{}", context.id)
}

fn number<'a>(number: u64) -> Value<'a> {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Something about an incident.
pub(super) fn about_incident<'a>(incident: &IncidentView, about: About) -> Value<'a> {
    match about {
        About::Since => Value::Time(incident.since),
        About::Duration => Value::Number(incident.duration_s),
        About::Count => number(incident.count),
        About::FirstId => match incident.first_id {
            Some(id) => Value::Text(Cow::Owned(id.to_string())),
            None => Value::Absent,
        },
    }
}

/// How many things of a digest stand so.
pub(super) fn count_of<'a>(tally: &Tally, counted: Counted) -> Value<'a> {
    number(match counted {
        Counted::Failing => tally.failing,
        Counted::Matched => tally.matched,
        Counted::Recovered => tally.recovered,
        Counted::Over => tally.over,
    })
}

/// A field of an entry.
pub(super) fn field_of(entry: &Entry, field: Field) -> Value<'_> {
    match entry.value(field) {
        None => Value::Absent,
        Some(entry::Value::Text(text)) if field == Field::ReturnMsg => {
            Value::Lines(Cow::Borrowed(text))
        }
        Some(entry::Value::Text(text)) => Value::text(text),
        Some(entry::Value::Number(number)) => Value::Number(number),
        Some(entry::Value::Time(time)) => Value::Time(time),
    }
}

impl<'a> Value<'a> {
    /// Text of one line.
    pub(super) const fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// What `if` makes of it: nothing, empty, zero and false are false.
    pub(super) fn is_true(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::Absent => false,
            Self::Truth(truth) => *truth,
            Self::Number(number) => *number != 0,
            Self::Text(text) | Self::Lines(text) => !text.is_empty(),
            Self::Labels => !scope.context.labels.is_empty(),
            Self::Entries(entries) => !entries.is_empty(),
            Self::Time(_)
            | Self::Root
            | Self::Rule
            | Self::Entry(_)
            | Self::Incident(_)
            | Self::Digest(_)
            | Self::Late(_) => true,
        }
    }

    /// Its text, before any escaping; empty for what has none.
    pub(super) fn to_text(&self, scope: &Scope<'_>) -> Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Lines(text) => Cow::Borrowed(text),
            Self::Truth(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Time(time) => Cow::Owned(super::helpers::show_time(*time, scope.zone)),
            _ => Cow::Borrowed(""),
        }
    }

    /// Whether two values are the same: nothing equals only nothing, else their texts are compared.
    pub(super) fn equals(&self, other: &Self, scope: &Scope<'_>) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::Absent, _) | (_, Self::Absent) => false,
            (Self::Number(one), Self::Number(other)) => one == other,
            (one, other) => one.to_text(scope) == other.to_text(scope),
        }
    }
}
