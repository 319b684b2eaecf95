//! A storm: many keys of one rule that fail within a short while and share something.
//!
//! Deliberately absent: who is told (`decision`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    entry::{Entry, EntryId},
    field::Field,
    incident::ToldTo,
    memory::{At, Record, Subject},
    notification::NotificationId,
};

/// The most members of a storm that are known one by one; more are only counted.
pub(super) const MOST_MEMBERS: usize = 10_000;

/// What is known of the keys of a rule that share a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Storm {
    pub(super) shape: u64,
    pub(super) source: Arc<str>,
    pub(super) field: String,
    pub(super) value: String,
    /// Keys that failed lately: when, which, by which entry; oldest first, each key once.
    pub(super) recent: Vec<(At, Subject, EntryId)>,
    /// Set while it lasts.
    pub(super) raging: Option<Raging>,
    /// When it is over for want of members, or forgotten.
    pub(super) quiet_at: Option<At>,
}

/// A storm that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Raging {
    pub(super) since: At,
    pub(super) opened_by: EntryId,
    /// Keys that still fail.
    pub(super) members: Vec<Subject>,
    /// Keys that were members at any time, and failures of members.
    pub(super) keys: u64,
    pub(super) told: Vec<ToldTo>,
}

impl Record for Storm {
    const PREFIX: char = 't';

    fn due(&self) -> Option<At> {
        self.quiet_at
    }
}

impl Storm {
    /// Nothing yet.
    pub(super) fn new(shape: u64, source: Arc<str>, field: Field, value: String) -> Self {
        let (field, recent) = (field.name().to_owned(), Vec::new());
        Self { shape, source, field, value, recent, raging: None, quiet_at: None }
    }

    /// Notes a failure, and forgets those from before `from`.
    pub(super) fn notes(&mut self, at: At, from: At, subject: Subject, entry: EntryId) {
        self.recent.retain(|(when, known, _)| *when > from && *known != subject);
        self.recent.push((at, subject, entry));
    }
}

impl Raging {
    /// Takes a member in. False where it was one.
    pub(super) fn joins(&mut self, subject: Subject) -> bool {
        if self.members.contains(&subject) {
            return false;
        }
        self.keys += 1;
        if self.members.len() < MOST_MEMBERS {
            self.members.push(subject);
        }
        true
    }

    /// The notification that told a receiver of it.
    pub(super) fn first_id(&self, receiver: &str) -> Option<NotificationId> {
        self.told.iter().find(|(told, _)| **told == *receiver).map(|(_, id)| *id)
    }
}

/// The value that an entry shares with others: the field's text, of a message its shape. `None`
/// where the entry lacks it.
pub(super) fn shared_value(field: Field, entry: &Entry) -> Option<String> {
    let text = entry.text(field)?;
    Some(if field == Field::ReturnMsg { shape_of(&text) } else { text.into_owned() })
}

/// A message without what differs from one key to the next: every word that has a digit in it is
/// `#`, and only the beginning counts.
pub fn shape_of(message: &str) -> String {
    const LONGEST: usize = 200;
    let is_word = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    let mut shape = String::new();
    let mut rest = message.trim();
    while let Some(first) = rest.chars().next() {
        if shape.len() >= LONGEST {
            break;
        }
        let in_word = is_word(first);
        let end = rest.find(|letter: char| is_word(letter) != in_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        if in_word && part.contains(|letter: char| letter.is_ascii_digit()) {
            shape.push('#');
        } else {
            shape.push_str(part);
        }
        rest = after;
    }
    shape
}
