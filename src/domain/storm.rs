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
    quiet::LISTED,
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
    /// Keys that were members at any time.
    pub(super) keys: u64,
    pub(super) told: Vec<ToldTo>,
    /// Members that are well again, which count once though they fail again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left: Vec<Subject>,
    /// The last that joined and still fail, oldest first, each by its entry.
    #[serde(default, rename = "joined_by", skip_serializing_if = "Vec::is_empty")]
    pub(super) joined: Vec<(Subject, EntryId)>,
    /// Reminders so far, and when the next is due.
    #[serde(default)]
    pub(super) reminders: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) remind_at: Option<At>,
}

impl Record for Storm {
    const PREFIX: char = 't';

    fn due(&self) -> Option<At> {
        let remind_at = self.raging.as_ref().and_then(|raging| raging.remind_at);
        [self.quiet_at, remind_at].into_iter().flatten().min()
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
    /// Takes a member in, by that entry.
    pub(super) fn joins(&mut self, subject: Subject, entry: EntryId) {
        if self.members.contains(&subject) {
            return;
        }
        match self.left.iter().position(|left| *left == subject) {
            Some(before) => {
                self.left.swap_remove(before);
            }
            None => self.keys += 1,
        }
        if self.members.len() < MOST_MEMBERS {
            self.members.push(subject);
        }
        if self.joined.len() >= LISTED {
            self.joined.remove(0);
        }
        self.joined.push((subject, entry));
    }

    /// Lets a member go that is well again. Says whether it was the last.
    pub(super) fn leaves(&mut self, subject: Subject) -> bool {
        let before = self.members.len();
        self.members.retain(|member| *member != subject);
        self.joined.retain(|(member, _)| *member != subject);
        if self.members.len() < before && self.left.len() < MOST_MEMBERS {
            self.left.push(subject);
        }
        self.members.is_empty()
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
