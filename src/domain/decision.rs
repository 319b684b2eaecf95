//! The heart: what an entry, or the passing of time, leads to.
//!
//! `(rule set, state, entry or tick, now) → effects`, pure. The service, the tests of rules, the
//! replay, the explanations and the API call this one function, so nothing else may decide.
//! The order of holds binds: match → stop → shadow → state → inhibited → silenced → muted → storm
//! → throttle → group; then the engine renders and queues.
//! Deliberately absent: clocks, text and receivers' limits.

use jiff::Timestamp;

use super::{
    entry::Entry,
    notification::{HeldBy, Intent, Key, NotificationId, Reason},
    rule::{Mode, Notify, Rule, RuleSet, Scratch},
};

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// An entry was taken in, or revised by its result.
    Entry(&'a Entry),
    /// Time passed; timers that are due fire.
    Tick,
}

/// What the rules remember between entries. `notify: every` remembers nothing; incidents, groups
/// and timers will live here, each a record under a name.
#[derive(Debug, Clone, Default)]
pub struct State {
    records: std::collections::BTreeMap<String, Vec<u8>>,
    /// Working memory, worth nothing but time: it is not part of what is remembered.
    scratch: Scratch,
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

impl State {
    /// The state that these committed records hold.
    pub fn from_records(records: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self { records: records.into_iter().collect(), scratch: Scratch::default() }
    }

    /// Makes a change.
    pub fn apply(&mut self, change: &StateChange) {
        match change {
            StateChange::Put { name, record } => {
                self.records.insert(name.clone(), record.clone());
            }
            StateChange::Remove { name } => {
                self.records.remove(name);
            }
        }
    }
}

/// What a decision leads to. All of it is committed in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Messages to render and queue, and those that are held, in the order decided.
    pub intents: Vec<Intent>,
    /// Changes of the state, already made in the state that was passed.
    pub changes: Vec<StateChange>,
    /// Indexes of the rules that matched, in order; those after a `stop` are not among them.
    pub matched: Vec<usize>,
}

/// Decides. Changes `state` in place; the caller commits [`Effects::changes`] and, where that
/// fails, builds the state again from what was committed.
pub fn decide(rules: &RuleSet, state: &mut State, input: Input<'_>, now: Timestamp) -> Effects {
    let mut effects = Effects::default();
    match input {
        Input::Entry(entry) => decide_entry(rules, state, entry, now, &mut effects),
        // Nothing is timed yet.
        Input::Tick => {}
    }
    effects
}

/// What an entry leads to. One that revises an earlier is decided like any other: its identity is
/// new, and so are the ids of what it causes.
fn decide_entry(
    rules: &RuleSet,
    state: &mut State,
    entry: &Entry,
    now: Timestamp,
    effects: &mut Effects,
) {
    rules.matching(&mut state.scratch, entry, now, &mut effects.matched);
    let last = effects.matched.iter().position(|&index| rules.rules()[index].ends_looking());
    if let Some(last) = last {
        effects.matched.truncate(last + 1);
    }
    for &index in &effects.matched {
        let rule = &rules.rules()[index];
        match rule.notify {
            Notify::Every => tell(rule, entry, Reason::Matched, &mut effects.intents),
        }
    }
}

/// The first hold that applies to what a rule tells, in the order that the module's head gives.
fn held_by(rule: &Rule) -> Option<HeldBy> {
    (rule.mode == Mode::Shadow).then_some(HeldBy::Shadow)
}

/// A message about one entry for each of the rule's receivers.
fn tell(rule: &Rule, entry: &Entry, reason: Reason, intents: &mut Vec<Intent>) {
    let key = Key::of(&rule.name, &rule.by, entry);
    let held_by = held_by(rule);
    intents.extend(rule.send_to.iter().map(|receiver| Intent {
        id: NotificationId::of(entry, &rule.name, receiver, reason, 0),
        rule: rule.name.clone(),
        receiver: receiver.clone(),
        reason,
        severity: rule.severity,
        key: key.clone(),
        entries: vec![entry.id],
        count: 1,
        held_by,
    }));
}
