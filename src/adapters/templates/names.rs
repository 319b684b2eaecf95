//! What a template can name: the scope of a message, as a fixed tree of names and types.
//!
//! One table for the check at load and for rendering: a name that passed the check has been
//! resolved to a [`Step`], so rendering looks nothing up. Deliberately absent: values (`value`).

use crate::domain::field::{Field, FieldKind};

/// What a name or an expression stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Everything in scope.
    Root,
    /// One entry.
    Entry,
    /// A list of entries.
    Entries,
    /// The rule.
    Rule,
    /// The rule's labels.
    Labels,
    /// The incident.
    Incident,
    /// What a digest counts.
    Digest,
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// An instant.
    Time,
    /// A span of whole seconds.
    Duration,
    /// True or false.
    Truth,
    /// Text that only an attempt can know.
    Late,
    /// Bytes that only an attempt can know.
    Bytes,
    /// The receiver's secrets.
    Secrets,
    /// `null`, or what could not be resolved and has been complained about.
    Nothing,
}

impl Type {
    /// Whether it is worked out at each attempt, so that nothing can be decided by it.
    pub(super) const fn is_late(self) -> bool {
        matches!(self, Self::Late | Self::Bytes | Self::Secrets)
    }

    /// Whether it can stand in a message as it is.
    pub(super) const fn is_printable(self) -> bool {
        !matches!(
            self,
            Self::Root
                | Self::Entry
                | Self::Entries
                | Self::Rule
                | Self::Labels
                | Self::Incident
                | Self::Digest
                | Self::Bytes
                | Self::Secrets
        )
    }

    /// The word for it in a complaint, with its article.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Root => "everything in scope",
            Self::Entry => "an entry",
            Self::Entries => "a list of entries",
            Self::Rule => "the rule",
            Self::Labels => "a map of labels",
            Self::Incident => "an incident",
            Self::Digest => "a digest's counts",
            Self::Text => "text",
            Self::Number => "a number",
            Self::Time => "an instant",
            Self::Duration => "a span of time",
            Self::Truth => "true or false",
            Self::Late => "what only an attempt can know",
            Self::Bytes => "bytes",
            Self::Secrets => "the receiver's secrets",
            Self::Nothing => "nothing",
        }
    }
}

/// One step along a path, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A name of the outermost scope.
    Root(Name),
    /// A field of an entry.
    Field(Field),
    /// The rule's name.
    RuleName,
    /// The rule's labels.
    RuleLabels,
    /// A label, which a rule may lack.
    Label(Box<str>),
    /// Something about an incident.
    Incident(About),
    /// How many things of a digest stand so.
    Digest(Counted),
    /// The entry at that place in the list, from 0.
    Nth(usize),
    /// A secret of the receiver's.
    Secret(Box<str>),
}

/// The names of the outermost scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// The last of `entries`.
    Entry,
    /// The entries that are listed, oldest first.
    Entries,
    /// How many entries the message stands for.
    Count,
    /// How many of them are not listed.
    More,
    /// Why it is sent.
    Reason,
    /// The rule.
    Rule,
    /// The rule's severity.
    Severity,
    /// The incident, where there is one.
    Incident,
    /// What a digest counts, where it is one.
    Digest,
    /// The entry's source.
    Source,
    /// The receiver's name.
    Receiver,
    /// The notification's id.
    Id,
    /// A link to the notification, where a public address is configured.
    Url,
    /// What an alarm or a test says; of a digest, the command that lists the rest.
    Message,
    /// The receiver that it was meant for, where this one stands in for it.
    MeantFor,
    /// When the notification was decided.
    Now,
    /// When the attempt is made, in Unix seconds.
    NowS,
    /// When the attempt is made, in Unix milliseconds.
    NowMs,
    /// The receiver's secrets.
    Secrets,
}

const ROOT: &[(&str, Name, Type)] = &[
    ("entry", Name::Entry, Type::Entry),
    ("entries", Name::Entries, Type::Entries),
    ("count", Name::Count, Type::Number),
    ("more", Name::More, Type::Number),
    ("reason", Name::Reason, Type::Text),
    ("rule", Name::Rule, Type::Rule),
    ("severity", Name::Severity, Type::Text),
    ("incident", Name::Incident, Type::Incident),
    ("digest", Name::Digest, Type::Digest),
    ("source", Name::Source, Type::Text),
    ("receiver", Name::Receiver, Type::Text),
    ("meant_for", Name::MeantFor, Type::Text),
    ("id", Name::Id, Type::Text),
    ("url", Name::Url, Type::Text),
    ("message", Name::Message, Type::Text),
    ("now", Name::Now, Type::Time),
];

/// What stands for something of the attempt; webhooks only, so not among what is known everywhere.
const ATTEMPT: &[(&str, Name, Type)] = &[
    ("now_s", Name::NowS, Type::Late),
    ("now_ms", Name::NowMs, Type::Late),
    ("secrets", Name::Secrets, Type::Secrets),
];

/// What can be said about an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// When it began.
    Since,
    /// How long it has lasted, or lasted.
    Duration,
    /// Failures.
    Count,
    /// The notification that told of it first.
    FirstId,
}

const INCIDENT: &[(&str, About, Type)] = &[
    ("since", About::Since, Type::Time),
    ("duration", About::Duration, Type::Duration),
    ("count", About::Count, Type::Number),
    ("first_id", About::FirstId, Type::Text),
];

/// What a digest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Things that fail.
    Failing,
    /// Things that something else is said of.
    Matched,
    /// Things that are well again.
    Recovered,
    /// Things that failed and recovered while both messages waited.
    Over,
}

/// What a digest counts, by name.
pub(super) const DIGEST: [(&str, Counted); 4] = [
    ("failing", Counted::Failing),
    ("matched", Counted::Matched),
    ("recovered", Counted::Recovered),
    ("over", Counted::Over),
];

/// The step that `segment` is on something of that type, and what it leads to. `None` where there
/// is no such name.
pub(super) fn step(from: Type, segment: &str) -> Option<(Step, Type)> {
    match from {
        Type::Root => ROOT
            .iter()
            .chain(ATTEMPT)
            .find(|(name, ..)| *name == segment)
            .map(|&(_, name, leads_to)| (Step::Root(name), leads_to)),
        Type::Entry => {
            Field::by_name(segment).map(|field| (Step::Field(field), type_of_field(field)))
        }
        Type::Entries => segment.parse().ok().map(|index| (Step::Nth(index), Type::Entry)),
        Type::Rule => match segment {
            "name" => Some((Step::RuleName, Type::Text)),
            "labels" => Some((Step::RuleLabels, Type::Labels)),
            _ => None,
        },
        Type::Labels => Some((Step::Label(segment.into()), Type::Text)),
        Type::Secrets => Some((Step::Secret(segment.into()), Type::Late)),
        Type::Incident => INCIDENT
            .iter()
            .find(|(name, ..)| *name == segment)
            .map(|&(_, about, leads_to)| (Step::Incident(about), leads_to)),
        Type::Digest => DIGEST
            .iter()
            .find(|(name, _)| *name == segment)
            .map(|&(_, counted)| (Step::Digest(counted), Type::Number)),
        _ => None,
    }
}

/// The names that [`step`] knows on something of that type, in the order of documents. Empty where
/// it has none, or where any will do.
pub(super) fn known(of: Type) -> Vec<&'static str> {
    match of {
        Type::Root => ROOT.iter().map(|(name, ..)| *name).collect(),
        Type::Entry => Field::ALL.iter().map(|field| field.name()).collect(),
        Type::Rule => vec!["name", "labels"],
        Type::Incident => INCIDENT.iter().map(|(name, ..)| *name).collect(),
        Type::Digest => DIGEST.iter().map(|(name, _)| *name).collect(),
        _ => Vec::new(),
    }
}

const fn type_of_field(field: Field) -> Type {
    match field.kind() {
        FieldKind::Number => Type::Number,
        FieldKind::Time => Type::Time,
        _ => Type::Text,
    }
}

/// The known name that was most likely meant.
pub(super) fn nearest<'k>(
    wrong: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let wrong = wrong.to_lowercase();
    let most = (wrong.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
