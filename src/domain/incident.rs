//! An incident: a key that is failing, from its first failure until it recovers.
//!
//! The same record holds what is remembered of a key that does not fail now: failures that are being
//! counted, when it was last seen, how often it changed. Deliberately absent: when it opens and
//! closes and who is told (`decision`).

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    entry::{Entry, EntryId, Row, WallTime},
    group::Kind,
    memory::{At, Record, Subject},
    notification::{HeldBy, Key, NotificationId, Reason},
    seen::{Seen, set},
};

/// What a template and the API see of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IncidentView {
    /// When it began.
    pub since: Timestamp,
    /// How long it has lasted, or lasted, in whole seconds.
    pub duration_s: i64,
    /// Failures counted so far.
    pub count: u64,
    /// The notification that told of it first, where one did.
    pub first_id: Option<NotificationId>,
}

/// A notification that told of something, and whom.
pub(super) type ToldTo = (Arc<str>, NotificationId);

/// Who knows of an incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    /// Nobody.
    #[default]
    No,
    /// These receivers, each by a notification of its own.
    Directly(Vec<ToldTo>),
    /// Whoever is told by this bundle, once it has left.
    In(Waits),
    /// It is a member of a storm that was told of.
    Storm(Subject),
}

/// A place in a bundle: which one, and by whom it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waits {
    pub(super) bundle: Subject,
    pub(super) opened_by: EntryId,
    /// Of a bundle that time opened, when: the same entry may be told of in more than one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) opened_again: i64,
    /// What the bundle waits for, and its message's reason.
    pub(super) kind: Kind,
    pub(super) reason: Reason,
    pub(super) receivers: Vec<Arc<str>>,
}

/// A key under a rule's eye.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Incident {
    /// Of the rule's `by` and `notify`, by which a changed rule is known.
    pub(super) shape: u64,
    pub(super) source: Arc<str>,
    #[serde(with = "key")]
    pub(super) key: Key,
    /// The reason with which it opens: failing, threshold or absent.
    pub(super) opens_as: Reason,
    pub(super) open: bool,
    /// How many incidents of the key there have been, this one included.
    pub(super) number: u64,
    /// Entry time of its first failure.
    pub(super) since: At,
    /// Entry time of the key's last state.
    pub(super) last: At,
    pub(super) count: u64,
    pub(super) first: EntryId,
    pub(super) last_entry: EntryId,
    /// The rest of its last entry.
    #[serde(default, skip_serializing_if = "Seen::is_empty")]
    pub(super) seen: Seen,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) told: Told,
    /// What held it, while nobody knows of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<HeldBy>,
    /// Who was told of an earlier incident and not yet that it is over, since that was held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) owes: Vec<ToldTo>,
    /// Reminders so far, and when the next is due.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) reminders: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) remind_at: Option<At>,
    /// Entry times of its last changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<At>,
    /// Set while it flaps: when it is calm if nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) calm_at: Option<At>,
    /// Failures that are being counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) window: Vec<(At, EntryId)>,
    /// When what is watched for has been absent too long, or has been quiet long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quiet_at: Option<At>,
    /// For how long its source had not been read when it was last seen, in milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) unread_ms: i64,
    /// When it is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) forget_at: Option<At>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Record for Incident {
    const PREFIX: char = 'i';

    fn due(&self) -> Option<At> {
        [self.remind_at, self.calm_at, self.quiet_at, self.forget_at].into_iter().flatten().min()
    }
}

impl Incident {
    /// What is remembered of a key that nothing is known of.
    pub(super) fn new(shape: u64, key: Key, source: Arc<str>, opens_as: Reason) -> Self {
        Self {
            shape,
            source,
            key,
            opens_as,
            open: false,
            number: 0,
            since: At::default(),
            last: At(i64::MIN),
            count: 0,
            first: EntryId([0; 16]),
            last_entry: EntryId([0; 16]),
            seen: Seen::default(),
            told: Told::No,
            held: None,
            owes: Vec::new(),
            reminders: 0,
            remind_at: None,
            changes: Vec::new(),
            calm_at: None,
            window: Vec::new(),
            quiet_at: None,
            unread_ms: 0,
            forget_at: None,
        }
    }

    /// Notes a failure, at the time that is believed of it.
    pub(super) fn fails(&mut self, entry: &Entry, at: At) {
        if !self.open {
            self.open = true;
            self.number += 1;
            self.since = at;
            self.first = entry.id;
            self.count = 0;
            self.reminders = 0;
            self.forget_at = None;
        }
        self.count += 1;
        self.sees(entry, at);
    }

    /// Notes the key's last state; one that is counted late makes it no older.
    pub(super) fn sees(&mut self, entry: &Entry, at: At) {
        self.last = self.last.max(at);
        self.last_entry = entry.id;
        self.seen.sees(entry, &self.key);
    }

    /// Ends it; `forget_at` is when the key is forgotten if nothing happens.
    pub(super) fn closes(&mut self, forget_at: At) {
        self.open = false;
        self.remind_at = None;
        self.held = None;
        self.window.clear();
        self.quiet_at = None;
        self.forget_at = Some(forget_at);
    }

    /// Whether nobody knows of it, nor will without more ado.
    pub(super) const fn is_untold(&self) -> bool {
        self.open && matches!(self.told, Told::No)
    }

    /// Whether there is something to tell of it once what holds it is over: that it lasts, or its end.
    pub(super) const fn waits_for_release(&self) -> bool {
        self.is_untold() || !self.open && !self.owes.is_empty()
    }

    /// What is to be seen of it at an instant of entry time.
    pub(super) fn view(&self, at: At) -> IncidentView {
        IncidentView {
            since: self.since.timestamp(),
            duration_s: at.since(self.since).max(0) / 1000,
            count: self.count,
            first_id: None,
        }
    }

    /// An entry with what is remembered of the last one, where that is not at hand.
    pub(super) fn sketch(&self) -> Entry {
        let time = self.last.timestamp();
        let mut row = Row::at(WallTime(time.as_second()), time);
        for (field, text) in &self.key.fields {
            set(&mut row, *field, text.as_deref());
        }
        self.seen.put_into(&mut row);
        Entry {
            id: self.last_entry,
            identity: row.identity(),
            ordinal: 0,
            revises: false,
            source: self.source.clone(),
            asked_repo: row.repo.as_deref().unwrap_or_default().into(),
            row,
        }
    }

    /// The entry that tells of it best, where one is known.
    pub(super) fn entries(&self) -> Vec<EntryId> {
        if self.last_entry.0 == [0; 16] { Vec::new() } else { vec![self.last_entry] }
    }
}

/// A key as a record holds it.
pub(super) mod key {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::domain::{field::Field, memory::Subject, notification::Key};

    type Written<'a> = (Subject, Vec<(&'a str, Option<&'a str>)>);
    type Read = (Subject, Vec<(String, Option<Box<str>>)>);

    pub(in crate::domain) fn serialize<S: Serializer>(
        key: &Key,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let fields = key.fields.iter().map(|(field, text)| (field.name(), text.as_deref()));
        let written: Written<'_> = (Subject(key.digest), fields.collect());
        written.serialize(serializer)
    }

    pub(in crate::domain) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Key, D::Error> {
        let (digest, fields): Read = Deserialize::deserialize(deserializer)?;
        let fields = fields.into_iter().map(|(name, text)| {
            let field = Field::by_name(&name);
            field.map(|field| (field, text)).ok_or_else(|| D::Error::custom("an unknown field"))
        });
        Ok(Key { fields: fields.collect::<Result<_, _>>()?, digest: digest.0 })
    }
}
