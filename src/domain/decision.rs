//! The heart: what an entry, or the passing of time, leads to.
//!
//! `(rule set, state, entry or tick, now) → effects`, pure. The service, the tests of rules, the
//! replay, the explanations and the API call this one function, so nothing else may decide.
//!
//! # What is remembered
//! [`State`] is tables of records (`memory`): `incident`s by (rule, key), with the failures that are
//! being counted, the changes that may be flapping, when a key was last seen and when it is reminded
//! of; `group`s and other bundles of alerts that wait to become one message; `storm`s; `silence`s;
//! when a key was last well; when a source was last read. Each record has a name, and is put down or
//! removed in the transaction that moves the cursor ([`State::take_changes`]). Each says when
//! something of it is due; all those instants are in order ([`State::next_due`]), so a tick with
//! nothing due looks at one number. What can be derived from records (who awaits a success, whose
//! incidents explain others) is derived when a rule set is first met, and kept up.
//!
//! # An entry's way
//! Say `prod` has `notify: change` and the default `by`; an entry of service `api` comes with
//! `returnCode: 1`.
//! 1. Timers that are due fire first, so that it makes no difference when somebody ticked.
//! 2. **match, stop**: the matcher says that `prod` matched. Had an earlier live rule with `stop`
//!    matched, the looking would have ended there. The entry is no success, so nothing recovers; of a
//!    success, every rule that has an incident of its key would hear, matched or not, stopped or not.
//! 3. **state** always advances: there is no incident of (prod, key of the entry), so one opens, with
//!    number 1, since the entry's time. Had there been one that somebody knows of, its count would
//!    have grown and the alert been held by `state`. An entry older than the key's last state moves
//!    nothing.
//! 4. The alert `failing` goes through the **holds** in their order, and the first is the reason that
//!    is recorded: shadow → late news → inhibited → silenced → muted → storm → throttle → group. What
//!    a silence, a mute or a throttle holds, and what a group gathers, joins a bundle, which leaves
//!    as one message when it is due.
//! 5. Nothing holds it: an [`Intent`] for each receiver, which the engine renders and queues; the
//!    incident remembers who was told, by which notification.
//!
//! Twenty minutes later `returnCode: 0` comes: the incident closes, and `recovered` goes to those who
//! were told and nobody else, with how long it took. Were the failure still waiting in a group, it
//! would be taken out of it, and nobody would hear of either.
//!
//! Windows and incidents go by entry time, timers by service time. Deliberately absent: clocks, text
//! and receivers' limits; the engine renders, queues and paces.

mod absence;
mod alert;
mod bundle;
mod key;
mod over;
mod reconcile;
mod silences;
mod state;
mod still_held;
mod storms;
mod waiting;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    entry::Entry,
    field::Field,
    memory::{At, Slot, Subject},
    notification::Intent,
    rule::{Notify, RuleSet},
    silence::SilenceWish,
    verdict::Truth,
};

pub use reconcile::{Closed, reconcile};
pub use state::{OpenIncident, State};
pub use waiting::Waiting;

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// An entry was taken in, or revised by its result.
    Entry(&'a Entry),
    /// Time passed; timers that are due fire.
    Tick,
    /// A source was read whole. It is to be read again within `every`.
    Read {
        /// Its name.
        source: &'a Arc<str>,
        /// Its effective interval.
        every: Duration,
    },
    /// A person wants something of a silence.
    Silence(&'a SilenceWish),
}

/// A change of [`State`], to be committed together with the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateChange {
    /// The record of that name is now this.
    Put {
        /// The record's name, unique in the state.
        name: String,
        /// Its content.
        record: Vec<u8>,
    },
    /// The record of that name is gone.
    Remove {
        /// The record's name.
        name: String,
    },
}

/// What a decision leads to. It is committed in one transaction with [`State::take_changes`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Messages to render and queue, and those that are held, in the order decided.
    pub intents: Vec<Intent>,
    /// Indexes of the rules that matched, in order; those after a `stop` are not among them.
    pub matched: Vec<usize>,
}

/// Decides. Changes `state` in place; the caller commits what changed and, where that fails, builds
/// the state again from what was committed.
pub fn decide(rules: &RuleSet, state: &mut State, input: Input<'_>, now: Timestamp) -> Effects {
    let mut decision = Decision::new(rules, state, now);
    decision.fire_due();
    match input {
        Input::Entry(entry) => decision.entry(entry),
        Input::Tick => {}
        Input::Read { source, every } => decision.read(source, every),
        Input::Silence(wish) => decision.wish(wish),
    }
    decision.uninhibit();
    decision.effects
}

/// A decision that is being made.
struct Decision<'a> {
    rules: &'a RuleSet,
    state: &'a mut State,
    /// The instant to decide at, in whole milliseconds, as records hold it.
    now: At,
    clock: Timestamp,
    effects: Effects,
    /// Rules of which an incident ended by this: what it explained is looked at last, when all that
    /// ended by the same entry has.
    ended: Vec<usize>,
}

/// What an entry is to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// It ends an incident.
    Recovers,
    /// It matched.
    Matches,
}

impl<'a> Decision<'a> {
    fn new(rules: &'a RuleSet, state: &'a mut State, now: Timestamp) -> Self {
        let now = At::from(now);
        state.bind(rules, now);
        Self {
            rules,
            state,
            now,
            clock: now.timestamp(),
            effects: Effects::default(),
            ended: Vec::new(),
        }
    }

    /// What an entry leads to. One that revises an earlier is decided like any other: its identity
    /// is new, and so are the ids of what it causes.
    fn entry(&mut self, entry: &Entry) {
        let rules = self.rules;
        let mut matched = std::mem::take(&mut self.effects.matched);
        rules.matching(&mut self.state.scratch, entry, self.clock, &mut matched);
        let last = matched.iter().position(|&index| rules.rules()[index].ends_looking());
        if let Some(last) = last {
            matched.truncate(last + 1);
        }
        if rules.lookup.classes.is_empty() {
            for &index in &matched {
                self.matches(index, entry);
            }
        } else {
            self.entry_with_memory(entry, &matched);
        }
        self.effects.matched = matched;
        if entry.row.return_code == Some(0) {
            self.end_silences_by_success(entry);
        }
    }

    /// As [`Decision::entry`], where rules have incidents: in the order of the rules, each hears of
    /// the recovery or of the match.
    fn entry_with_memory(&mut self, entry: &Entry, matched: &[usize]) {
        let lookup = &self.rules.lookup;
        let mut well = std::mem::take(&mut self.state.well);
        well.clear();
        well.resize(lookup.classes.len(), false);
        let mut acts: Vec<(usize, Act)> = Vec::new();
        for (class, is_well) in lookup.classes.iter().zip(&mut well) {
            *is_well = class.recover.evaluate(entry, self.clock) == Truth::True;
            if *is_well {
                let subject = self.subject(class.by, entry);
                if class.remembers {
                    self.note_well(subject.in_light_of(class.stamp), entry);
                }
                self.add_awaiting(class.by, subject, &mut acts);
            }
        }
        // A rule whose own `recover` does not hold is not ended by another's.
        acts.retain(|&(index, _)| lookup.of[index].class.is_some_and(|class| well[class]));
        acts.extend(matched.iter().map(|&index| (index, Act::Matches)));
        acts.sort_unstable();
        acts.dedup();
        for (index, act) in acts {
            let is_well = lookup.of[index].class.is_some_and(|class| well[class]);
            match act {
                Act::Recovers => self.recovers(index, entry),
                // A success is no failure, whatever `match` says.
                Act::Matches if is_well && self.rules.rules()[index].notify.recovers() => {}
                Act::Matches => self.matches(index, entry),
            }
        }
        self.state.well = well;
    }

    /// Adds the rules of that `by` that await a success of a subject.
    fn add_awaiting(&self, by: usize, subject: Subject, acts: &mut Vec<(usize, Act)>) {
        let lookup = &self.rules.lookup;
        let awaiting = self.state.derived.awaiting.get(&subject);
        let indexes = awaiting.into_iter().flatten().filter_map(|name| lookup.by_name.get(name));
        acts.extend(
            indexes.filter(|&&at| lookup.of[at].by == by).map(|&index| (index, Act::Recovers)),
        );
    }

    /// A rule matched, and it is not a success to it.
    fn matches(&mut self, index: usize, entry: &Entry) {
        match self.rules.rules()[index].notify {
            Notify::Every => self.every(index, entry),
            Notify::Change => self.fails(index, entry),
            Notify::Count { count, within } => self.counts(index, entry, count, within),
            Notify::Absent { after, per_key } => self.is_seen(index, entry, after, per_key),
        }
    }

    fn subject(&self, by: usize, entry: &Entry) -> Subject {
        let by: &[Field] = &self.rules.lookup.bys[by];
        Subject::of(by, entry)
    }

    /// The subject of an entry under a rule's `by`.
    fn subject_for(&self, index: usize, entry: &Entry) -> Subject {
        self.subject(self.rules.lookup.of[index].by, entry)
    }

    fn slot(&self, index: usize, subject: Subject) -> Slot {
        Slot::new(&self.rules.rules()[index].name, subject)
    }

    /// Fires what is due, in the order of time.
    fn fire_due(&mut self) {
        if self.state.next_due_at().is_none_or(|due| due > self.now) {
            return;
        }
        for (_, kind, slot) in self.state.due(self.now) {
            match kind {
                state::Timed::Silence => self.silence_due(&slot),
                state::Timed::Incident => self.incident_due(&slot),
                state::Timed::Bundle => self.bundle_due(&slot),
                state::Timed::Storm => self.storm_due(&slot),
                state::Timed::Well => {
                    self.state.well_keys.remove(&slot);
                }
            }
        }
        self.uninhibit();
    }
}
