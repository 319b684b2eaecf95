//! What rules remember between entries, kept so that a restart changes nothing: tables of records,
//! each with a name, a version and perhaps an instant at which something of it is due.
//!
//! A [`Table`] is a typed map with two lists beside it: the instants that are due, in order, so that
//! a tick with nothing due costs no scan, and the records that changed since they were last
//! committed. Instants are whole milliseconds ([`At`]), in memory as in a record, so that what was
//! read again is what was written. Deliberately absent: what is remembered, and what follows from it.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    decision::StateChange,
    entry::{Entry, FieldHasher, hex_id, read_hex},
    field::Field,
};

/// The version that records are written in, as their first byte. A record of an earlier one is read
/// as it was meant; fields that it lacks have the value that says nothing.
const VERSION: u8 = b'1';

/// An instant, in milliseconds since 1970-01-01 UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct At(pub i64);

impl At {
    /// This much later, as far as instants go.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This much earlier, as far as instants go.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long it is since an earlier instant, in milliseconds.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The next instant that is a multiple of so many milliseconds: what need not be prompt is done
    /// together.
    #[must_use]
    pub const fn rounded_up(self, to_ms: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(to_ms)).saturating_add(to_ms))
    }

    /// The same instant for the rest of the program.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

impl From<Timestamp> for At {
    fn from(at: Timestamp) -> Self {
        Self(at.as_millisecond())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What an entry is about, whatever the rule: a digest of its source and the fields of a `by`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Subject(pub [u8; 16]);
hex_id!(Subject);

impl Subject {
    /// Of nothing in particular: what a rule remembers of all that it matches.
    pub const ALL: Self = Self([0; 16]);

    /// The subject of an entry under a `by`.
    pub fn of(by: &[Field], entry: &Entry) -> Self {
        Self::of_fields("subject", &entry.source, by, entry)
    }

    /// A digest of an entry's values of some fields, whatever its source.
    pub fn of_values(fields: &[Field], entry: &Entry) -> Self {
        Self::of_fields("values", "", fields, entry)
    }

    fn of_fields(what: &str, source: &str, fields: &[Field], entry: &Entry) -> Self {
        let mut hasher = FieldHasher::new(what);
        hasher.text(source);
        for &field in fields {
            hasher.number(Some(field as i64));
            let text = entry.text(field);
            hasher.number(text.as_ref().map(|text| text.len() as i64));
            hasher.text(text.as_deref().unwrap_or_default());
        }
        Self(hasher.finish())
    }

    /// A digest of some texts, for what is about something else.
    pub fn of_texts(texts: &[&str]) -> Self {
        let mut hasher = FieldHasher::new("texts");
        texts.iter().for_each(|text| hasher.text(text));
        Self(hasher.finish())
    }

    /// This subject in a light of its own: the same two give the same one.
    #[must_use]
    pub fn in_light_of(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] ^ other.0[at]))
    }
}

/// Where a record lies in its table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The rule's name; empty, or a source's, for what is no rule's.
    pub rule: Arc<str>,
    /// What it is about.
    pub subject: Subject,
}

impl Slot {
    /// A rule's record about something.
    pub fn new(rule: &Arc<str>, subject: Subject) -> Self {
        Self { rule: rule.clone(), subject }
    }

    fn name(&self, prefix: char) -> String {
        format!("{prefix}{}{}", self.subject, self.rule)
    }
}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> Ordering {
        (&*self.rule, self.subject).cmp(&(&*other.rule, other.subject))
    }
}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A record.
pub trait Record: Serialize + DeserializeOwned {
    /// What the names of its kind begin with.
    const PREFIX: char;

    /// When something of it is due next.
    fn due(&self) -> Option<At>;
}

/// All records of a kind.
#[derive(Debug, Clone)]
pub struct Table<V> {
    /// Boxed, since a map has room for twice as many as there are.
    records: HashMap<Slot, Box<V>>,
    timers: BTreeSet<(At, Slot)>,
    changed: HashSet<Slot>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { records: HashMap::new(), timers: BTreeSet::new(), changed: HashSet::new() }
    }
}

impl<V: Record> Table<V> {
    /// The record there.
    pub fn get(&self, slot: &Slot) -> Option<&V> {
        self.records.get(slot).map(|record| &**record)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Slot, &V)> {
        self.records.iter().map(|(slot, record)| (slot, &**record))
    }

    /// Where those lie that are of interest, in order. A scan: only for what seldom happens.
    pub fn find(&self, of_interest: impl Fn(&Slot, &V) -> bool) -> Vec<Slot> {
        let found = self.records.iter().filter(|(slot, record)| of_interest(slot, record));
        let mut found: Vec<_> = found.map(|(slot, _)| slot.clone()).collect();
        found.sort_unstable();
        found
    }

    /// Puts a record down.
    pub fn put(&mut self, slot: Slot, record: V) {
        let due = record.due();
        let before = self.records.insert(slot.clone(), Box::new(record));
        let before = before.and_then(|before| before.due());
        self.retime(&slot, before, due);
        self.changed.insert(slot);
    }

    /// Takes a record away.
    pub fn remove(&mut self, slot: &Slot) -> Option<V> {
        let record = self.records.remove(slot)?;
        self.retime(slot, record.due(), None);
        self.changed.insert(slot.clone());
        Some(*record)
    }

    /// Changes the record there.
    pub fn edit<R>(&mut self, slot: &Slot, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let record = self.records.get_mut(slot)?;
        let before = record.due();
        let result = change(record);
        let due = record.due();
        self.retime(slot, before, due);
        if !self.changed.contains(slot) {
            self.changed.insert(slot.clone());
        }
        Some(result)
    }

    fn retime(&mut self, slot: &Slot, before: Option<At>, due: Option<At>) {
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.timers.remove(&(before, slot.clone()));
        }
        if let Some(due) = due {
            self.timers.insert((due, slot.clone()));
        }
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<At> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What is due, in order.
    pub fn due(&self, now: At) -> impl Iterator<Item = &(At, Slot)> {
        self.timers.iter().take_while(move |(at, _)| *at <= now)
    }

    /// Takes in a record as it was committed. False where it can't be read.
    pub fn load(&mut self, slot: Slot, bytes: &[u8]) -> bool {
        self.load_with(slot, bytes, |_| {})
    }

    /// As [`Table::load`], once what is not in the record was added.
    pub fn load_with(&mut self, slot: Slot, bytes: &[u8], complete: impl FnOnce(&mut V)) -> bool {
        let Some(mut record) = decode::<V>(bytes) else { return false };
        complete(&mut record);
        if let Some(due) = record.due() {
            self.timers.insert((due, slot.clone()));
        }
        self.records.insert(slot, Box::new(record));
        true
    }

    /// Forgets what changed, where nobody commits it.
    pub fn forget_changes(&mut self) {
        self.changed.clear();
    }

    /// What changed since this was last asked, each record once.
    pub fn take_changes(&mut self, changes: &mut Vec<StateChange>) {
        let mut slots: Vec<_> = self.changed.drain().collect();
        slots.sort_unstable();
        changes.extend(slots.into_iter().map(|slot| {
            let name = slot.name(V::PREFIX);
            match self.records.get(&slot) {
                Some(record) => StateChange::Put { name, record: encode(&**record) },
                None => StateChange::Remove { name },
            }
        }));
    }
}

/// The prefix and the slot that a record's name says; `None` for a name that is not of ours.
pub fn slot_of(name: &str) -> Option<(char, Slot)> {
    let prefix = name.chars().next()?;
    let rest = &name[prefix.len_utf8()..];
    let (subject, rule) = (rest.get(..32)?, rest.get(32..)?);
    Some((prefix, Slot { rule: rule.into(), subject: Subject(read_hex(subject).ok()?) }))
}

fn encode<V: Serialize>(record: &V) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Records are plain structures of texts and numbers, which can all be written.
    let written = serde_json::to_writer(&mut bytes, record);
    debug_assert!(written.is_ok(), "a record can be written");
    bytes
}

fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Option<V> {
    match bytes.split_first()? {
        (&VERSION, rest) => serde_json::from_slice(rest).ok(),
        _ => None,
    }
}
