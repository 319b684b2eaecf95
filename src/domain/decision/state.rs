//! What is remembered between decisions, as a whole.
//!
//! Deliberately absent: what changes it, which is the other files' of this folder.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{super::matcher::Matcher, StateChange};
use crate::domain::{
    clause::Clause,
    entry::EntryId,
    group::Bundle,
    incident::{Incident, Told},
    memory::{At, Record, Slot, Subject, Table, slot_of},
    notification::{HeldBy, Key, Reason},
    quiet::LISTED,
    rule::{Mode, RuleSet, Scratch},
    silence::Silence,
    storm::Storm,
};

/// When a key was last well, for as long as an older row may still come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Well {
    pub(super) last: At,
    pub(super) forget_at: At,
}

impl Record for Well {
    const PREFIX: char = 'w';

    fn due(&self) -> Option<At> {
        Some(self.forget_at)
    }
}

/// How a source was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Reading {
    /// When it last was, within a minute.
    pub(super) until: At,
    /// For how long in all it was not, in milliseconds.
    pub(super) unread_ms: i64,
    /// How long it may go unread before that counts.
    pub(super) patience_ms: i64,
}

impl Record for Reading {
    const PREFIX: char = 'r';

    fn due(&self) -> Option<At> {
        None
    }
}

/// What the rules remember between entries. `notify: every` with nothing that keeps it quiet
/// remembers nothing.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) incidents: Table<Incident>,
    pub(super) bundles: Table<Bundle>,
    pub(super) storms: Table<Storm>,
    pub(super) silences: Table<Silence>,
    pub(super) well_keys: Table<Well>,
    pub(super) readings: Table<Reading>,
    pub(super) derived: Derived,
    /// Working memory, worth nothing but time: it is not part of what is remembered.
    pub(super) scratch: Scratch,
    pub(super) well: Vec<bool>,
    pub(super) nameless: Arc<str>,
    /// The times that entries say are not to be believed for now.
    pub(super) times_doubted: bool,
    /// It is said of each source when it is read.
    pub(super) readings_awaited: bool,
    unreadable: Vec<String>,
}

/// What follows from the records and a rule set.
#[derive(Debug, Clone, Default)]
pub(super) struct Derived {
    bound: Option<Arc<Matcher>>,
    /// By subject, the rules that have an incident or a storm's member of it.
    pub(super) awaiting: HashMap<Subject, Vec<Arc<str>>>,
    /// By rule and values of fields, how many incidents of the rule explain others.
    pub(super) explains: HashMap<(Arc<str>, Subject), u32>,
}

/// Whose timer it is; of those due at one instant they fire in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timed {
    Silence,
    Incident,
    Bundle,
    Storm,
    Well,
}

/// An incident as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIncident {
    /// The rule's name.
    pub rule: Arc<str>,
    /// The source; empty where a rule watches all of them.
    pub source: Arc<str>,
    /// What it is about.
    pub key: Key,
    /// What it was opened as: failing, threshold or absent.
    pub reason: Reason,
    /// How many incidents of the key there have been.
    pub number: u64,
    /// When it began, by entry time.
    pub since: Timestamp,
    /// The last failure's entry time.
    pub last_at: Timestamp,
    /// Failures.
    pub count: u64,
    /// Whether it fails and recovers in turns, so that changes are not told one by one.
    pub flapping: bool,
    /// Why nobody was told of it, where nobody was.
    pub held_by: Option<HeldBy>,
}

impl State {
    /// Says whether the times of the entries that come next are to be believed. Where they are not,
    /// none is late news. It is not part of what is remembered.
    pub const fn doubt_times(&mut self, doubted: bool) {
        self.times_doubted = doubted;
    }

    /// Says that sources which are read are not before that is said of them; else they are all the
    /// time, as in tests of rules. It is not part of what is remembered.
    pub const fn await_readings(&mut self) {
        self.readings_awaited = true;
    }

    /// The state that these committed records hold. A silence's clauses are compiled by `compile`
    /// from the text that they were written in.
    pub fn from_records(
        records: impl IntoIterator<Item = (String, Vec<u8>)>,
        compile: &dyn Fn(&str) -> Option<Clause>,
    ) -> Self {
        let mut this = Self::default();
        let mut names: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        for (name, record) in records {
            let Some((prefix, mut slot)) = slot_of(&name) else {
                this.unreadable.push(name);
                continue;
            };
            slot.rule = names.entry(slot.rule.clone()).or_insert(slot.rule).clone();
            let read = match prefix {
                Incident::PREFIX => this.incidents.load(slot, &record),
                Bundle::PREFIX => this.bundles.load(slot, &record),
                Storm::PREFIX => this.storms.load(slot, &record),
                Silence::PREFIX => this.load_silence(slot, &record, compile),
                Well::PREFIX => this.well_keys.load(slot, &record),
                Reading::PREFIX => this.readings.load(slot, &record),
                _ => false,
            };
            if !read {
                this.unreadable.push(name);
            }
        }
        this
    }

    fn load_silence(
        &mut self,
        slot: Slot,
        record: &[u8],
        compile: &dyn Fn(&str) -> Option<Clause>,
    ) -> bool {
        self.silences.load_with(slot, record, |silence: &mut Silence| {
            silence.clause = compile(&silence.matchers).map(Arc::new);
        })
    }

    /// The names of records that could not be read: they are of a later version, or damaged. They
    /// stay where they are and mean nothing.
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.next_due_at().map(At::timestamp)
    }

    pub(super) fn next_due_at(&self) -> Option<At> {
        [
            self.silences.next_due(),
            self.incidents.next_due(),
            self.bundles.next_due(),
            self.storms.next_due(),
            self.well_keys.next_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is due, in the order of time.
    pub(super) fn due(&self, now: At) -> Vec<(At, Timed, Slot)> {
        fn of<V: Record>(
            table: &Table<V>,
            timed: Timed,
            now: At,
        ) -> impl Iterator<Item = (At, Timed, Slot)> {
            table.due(now).map(move |(at, slot)| (*at, timed, slot.clone()))
        }
        let mut due: Vec<_> = of(&self.silences, Timed::Silence, now)
            .chain(of(&self.incidents, Timed::Incident, now))
            .chain(of(&self.bundles, Timed::Bundle, now))
            .chain(of(&self.storms, Timed::Storm, now))
            .chain(of(&self.well_keys, Timed::Well, now))
            .collect();
        due.sort_unstable();
        due
    }

    /// What changed since this was last asked: to be committed with what was decided meanwhile.
    pub fn take_changes(&mut self) -> Vec<StateChange> {
        let mut changes = Vec::new();
        self.incidents.take_changes(&mut changes);
        self.bundles.take_changes(&mut changes);
        self.storms.take_changes(&mut changes);
        self.silences.take_changes(&mut changes);
        self.well_keys.take_changes(&mut changes);
        self.readings.take_changes(&mut changes);
        changes
    }

    /// Forgets what changed, for who commits nothing: [`State::take_changes`] will not tell it.
    pub fn forget_changes(&mut self) {
        self.incidents.forget_changes();
        self.bundles.forget_changes();
        self.storms.forget_changes();
        self.silences.forget_changes();
        self.well_keys.forget_changes();
        self.readings.forget_changes();
    }

    /// Adds the entries that messages to come may still tell of. Says how many records were looked
    /// at: it is a scan.
    pub fn entries_to_tell(&self, entries: &mut HashSet<EntryId>) -> usize {
        for (_, incident) in self.incidents.iter() {
            let window = incident.window.iter().map(|(_, entry)| *entry);
            entries.extend(window.chain([incident.first, incident.last_entry]));
        }
        for (_, bundle) in self.bundles.iter() {
            entries.extend(bundle.listed.iter().map(|listed| listed.entry));
        }
        for (_, storm) in self.storms.iter() {
            entries.extend(storm.recent.iter().map(|(_, _, entry)| *entry));
            entries.extend(storm.raging.iter().map(|raging| raging.opened_by));
        }
        self.incidents.len() + self.bundles.len() + self.storms.len()
    }

    /// Derives what follows from the records and a rule set, where it is not the one of last time.
    pub(super) fn bind(&mut self, rules: &RuleSet, now: At) {
        let identity = rules.identity();
        if self.derived.bound.as_ref().is_some_and(|bound| Arc::ptr_eq(bound, identity)) {
            return;
        }
        self.derived = Derived { bound: Some(identity.clone()), ..Derived::default() };
        let open: Vec<_> = self.incidents.find(|_, incident| incident.open);
        for slot in open {
            self.note_open(rules, &slot);
        }
        let storms = self.storms.iter().filter_map(|(slot, storm)| {
            Some((slot.rule.clone(), storm.raging.as_ref()?.members.clone()))
        });
        let storms: Vec<_> = storms.collect();
        for (rule, members) in storms {
            members.into_iter().for_each(|subject| self.await_success(subject, &rule));
        }
        self.watch(rules, now);
    }

    /// Notes that a rule is to hear of a subject's success.
    pub(super) fn await_success(&mut self, subject: Subject, rule: &Arc<str>) {
        match self.derived.awaiting.entry(subject) {
            Entry::Vacant(place) => {
                place.insert(vec![rule.clone()]);
            }
            Entry::Occupied(mut rules) if !rules.get().contains(rule) => {
                rules.get_mut().push(rule.clone());
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Notes that a rule need not hear of a subject's success any more.
    pub(super) fn await_no_more(&mut self, subject: Subject, rule: &str) {
        if let Some(rules) = self.derived.awaiting.get_mut(&subject) {
            rules.retain(|one| **one != *rule);
            if rules.is_empty() {
                self.derived.awaiting.remove(&subject);
            }
        }
    }

    /// Notes in what is derived that an incident is open.
    pub(super) fn note_open(&mut self, rules: &RuleSet, slot: &Slot) {
        for mark in self.marks(rules, slot) {
            *self.derived.explains.entry((slot.rule.clone(), mark)).or_default() += 1;
        }
        self.await_success(slot.subject, &slot.rule);
    }

    /// Notes in what is derived that an incident is about to close.
    pub(super) fn note_closed(&mut self, rules: &RuleSet, slot: &Slot) {
        for mark in self.marks(rules, slot) {
            let place = (slot.rule.clone(), mark);
            if let Some(count) = self.derived.explains.get_mut(&place) {
                *count -= 1;
                if *count == 0 {
                    self.derived.explains.remove(&place);
                }
            }
        }
        self.await_no_more(slot.subject, &slot.rule);
    }

    /// The values by which an incident explains those of other rules.
    fn marks(&self, rules: &RuleSet, slot: &Slot) -> Vec<Subject> {
        let Some(&index) = rules.lookup.by_name.get(&slot.rule) else { return Vec::new() };
        let inhibits = &rules.lookup.of[index].inhibits;
        match self.incidents.get(slot) {
            // What is told to nobody explains nothing either.
            Some(incident) if !inhibits.is_empty() && rules.rules()[index].mode == Mode::Live => {
                let sketch = incident.sketch();
                inhibits.iter().map(|equal| Subject::of_values(equal, &sketch)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The incidents that are open, by rule.
    pub fn open_incidents(&self) -> Vec<OpenIncident> {
        let mut open: Vec<_> = self.incidents.iter().filter(|(_, one)| one.open).collect();
        open.sort_unstable_by_key(|(slot, _)| *slot);
        let view = |(slot, incident): (&Slot, &Incident)| OpenIncident {
            rule: slot.rule.clone(),
            source: incident.source.clone(),
            key: incident.key.clone(),
            reason: incident.opens_as,
            number: incident.number,
            since: incident.since.timestamp(),
            last_at: incident.last.timestamp(),
            count: incident.count,
            flapping: incident.calm_at.is_some(),
            held_by: match &incident.told {
                Told::No => incident.held,
                Told::Storm(_) => Some(HeldBy::Storm),
                Told::In(place) => {
                    let bundle = self.bundles.get(&Slot::new(&slot.rule, place.bundle));
                    let waits = bundle.filter(|bundle| bundle.opened_by == place.opened_by);
                    waits.map(|bundle| bundle.kind.held_by().unwrap_or(HeldBy::Group))
                }
                Told::Directly(_) => None,
            },
        };
        open.into_iter().map(view).collect()
    }

    /// The silences with their ids, oldest first.
    pub fn silences(&self) -> Vec<(Subject, Silence)> {
        let all = self.silences.iter().map(|(slot, silence)| (slot.subject, silence.clone()));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(id, silence)| (silence.created_at, *id));
        all
    }

    /// How many incidents are open, by rule, and how many groups.
    pub fn counts(&self) -> (std::collections::BTreeMap<Arc<str>, u64>, u64) {
        let mut firing = std::collections::BTreeMap::new();
        for (slot, _) in self.incidents.iter().filter(|(_, incident)| incident.open) {
            *firing.entry(slot.rule.clone()).or_default() += 1;
        }
        let groups = self.bundles.iter().filter(|(_, bundle)| bundle.kind.held_by().is_none());
        let receivers = groups.map(|(_, bundle)| bundle.receivers.len() as u64);
        (firing, receivers.sum())
    }
}

/// How many entries a rule's messages list.
pub(super) fn listed(rules: &RuleSet, index: usize) -> usize {
    rules.rules()[index].quiet.group.as_ref().map_or(LISTED, |group| group.max)
}
