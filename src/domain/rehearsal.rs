//! A rehearsal: rules decide entries at instants of somebody's choosing, as the service would.
//!
//! It holds what is remembered and the time. [`Rehearsal::feed`] hands it an entry,
//! [`Rehearsal::advance`] lets time pass, and both first fire every timer on the way at its own
//! instant; what was decided comes back in order. Tests of rules and replays drive [`decide`] by this
//! and by nothing else, so that they can say nothing that the service would not do.
//!
//! Memory is bounded by what the rules remember: entries that they no longer need are let go.
//! Deliberately absent: any decision, the text of a message, and files.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    clause::Clause,
    decision::{Closed, Effects, Input, State, StateChange, decide, reconcile},
    entry::{Entry, EntryId},
    notification::Intent,
    rule::RuleSet,
    silence::SilenceWish,
};

/// So many entries are kept before it is looked which of them are still needed.
const KEPT: usize = 16 * 1024;

/// What changed is let go after so many decisions, where nobody commits it.
const FORGET_CHANGES_EVERY: usize = 1024;

/// Timers that may fire at one instant before time moves on regardless.
const MOST_AT_ONCE: usize = 1_000;

/// Something that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// When, by the rehearsal's time.
    pub at: Timestamp,
    /// What: a message to be sent, or one that is held and by what.
    pub intent: Intent,
}

/// What an entry led to.
#[derive(Debug, Clone, Default)]
pub struct Fed {
    /// Indexes of the rules that matched, those after a `stop` not among them.
    pub matched: Vec<usize>,
    /// What was decided on the way to its instant and because of it, in order.
    pub decided: Vec<Decided>,
}

/// A run of one rule set over entries and time.
#[derive(Debug)]
pub struct Rehearsal<'r> {
    rules: &'r RuleSet,
    state: State,
    now: Timestamp,
    entries: HashMap<EntryId, Arc<Entry>>,
    /// How many entries are kept before it is looked again which are needed.
    look_at: usize,
    /// What was committed, where it is to be possible to begin anew from it.
    committed: Option<BTreeMap<String, Vec<u8>>>,
    undrained: usize,
}

impl<'r> Rehearsal<'r> {
    /// One that remembers nothing and begins at an instant, as the service does when it starts.
    pub fn new(rules: &'r RuleSet, start: Timestamp) -> Self {
        Self::from_state(rules, State::default(), start)
    }

    /// One that goes on from what is remembered, once that is fitted to the rules.
    pub fn from_state(rules: &'r RuleSet, mut state: State, start: Timestamp) -> Self {
        // Watches for what is absent begin by this.
        reconcile(rules, &mut state, start);
        Self {
            rules,
            state,
            now: start,
            entries: HashMap::new(),
            look_at: KEPT,
            committed: None,
            undrained: 0,
        }
    }

    /// The same, once it commits as the service does, so that [`Rehearsal::restart`] finds what was
    /// remembered. It costs what writing that down costs.
    #[must_use]
    pub fn committing(mut self) -> Self {
        self.committed = Some(BTreeMap::new());
        self.commit();
        self
    }

    /// What time it is.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The rules in force.
    pub const fn rules(&self) -> &'r RuleSet {
        self.rules
    }

    /// What is remembered.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// When a timer is due next; `None` where time alone will change nothing.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.state.next_due()
    }

    /// Lets time pass until the entry is taken in, and has it decided. An instant that has passed is
    /// now.
    pub fn feed(&mut self, entry: &Arc<Entry>, at: Timestamp) -> Fed {
        self.let_go();
        let mut decided = self.advance(at);
        self.entries.insert(entry.id, entry.clone());
        let Effects { intents, matched } =
            decide(self.rules, &mut self.state, Input::Entry(entry), self.now);
        self.take(intents, &mut decided);
        Fed { matched, decided }
    }

    /// Lets time pass, each timer firing when it is due. An instant that has passed is now.
    pub fn advance(&mut self, to: Timestamp) -> Vec<Decided> {
        let mut decided = Vec::new();
        let mut at_once = 0;
        while let Some(due) = self.state.next_due().filter(|due| *due <= to.max(self.now)) {
            at_once = if due > self.now { 0 } else { at_once + 1 };
            self.now = self.now.max(due);
            if at_once > MOST_AT_ONCE {
                // As the service, which sleeps that long at least.
                at_once = 0;
                let later = self.now.saturating_add(SignedDuration::from_millis(1));
                self.now = later.unwrap_or(Timestamp::MAX);
                if self.now > to {
                    break;
                }
            }
            self.tick(&mut decided);
        }
        self.now = self.now.max(to);
        decided
    }

    /// Notes that a source was read whole now, and that it is to be read again within `every`. While
    /// nothing says what is read, everything is.
    pub fn read(&mut self, source: &Arc<str>, every: Duration) -> Vec<Decided> {
        self.decide(Input::Read { source, every })
    }

    /// Has a person's wish met.
    pub fn wish(&mut self, wish: &SilenceWish) -> Vec<Decided> {
        self.decide(Input::Silence(wish))
    }

    /// Swaps the rules, as a reload does: what is held because of it, and which incidents ended.
    pub fn reload(&mut self, rules: &'r RuleSet) -> (Vec<Decided>, Vec<Closed>) {
        self.rules = rules;
        let (effects, closed) = reconcile(rules, &mut self.state, self.now);
        let mut decided = Vec::new();
        self.take(effects.intents, &mut decided);
        (decided, closed)
    }

    /// Begins anew from what was committed, as a service that was killed does. `compile` reads the
    /// clauses of silences. Without [`Rehearsal::committing`], everything is forgotten.
    pub fn restart(&mut self, compile: &dyn Fn(&str) -> Option<Clause>) -> Vec<Decided> {
        let committed = self.committed.clone().unwrap_or_default();
        self.state = State::from_records(committed, compile);
        let (effects, _) = reconcile(self.rules, &mut self.state, self.now);
        let mut decided = Vec::new();
        self.take(effects.intents, &mut decided);
        decided
    }

    /// The entries of a message in its order, for whoever renders it: those of what the last call
    /// gave back are all there, but for entries that were never fed.
    pub fn entries(&self, intent: &Intent) -> Vec<Arc<Entry>> {
        intent.entries.iter().filter_map(|id| self.entries.get(id)).cloned().collect()
    }

    fn tick(&mut self, decided: &mut Vec<Decided>) {
        let effects = decide(self.rules, &mut self.state, Input::Tick, self.now);
        self.take(effects.intents, decided);
    }

    fn decide(&mut self, input: Input<'_>) -> Vec<Decided> {
        let mut decided = Vec::new();
        let effects = decide(self.rules, &mut self.state, input, self.now);
        self.take(effects.intents, &mut decided);
        decided
    }

    fn take(&mut self, intents: Vec<Intent>, decided: &mut Vec<Decided>) {
        let at = self.now;
        decided.extend(intents.into_iter().map(|intent| Decided { at, intent }));
        self.undrained += 1;
        if self.committed.is_some() {
            self.commit();
        } else if self.undrained >= FORGET_CHANGES_EVERY {
            self.undrained = 0;
            self.state.forget_changes();
        }
    }

    fn commit(&mut self) {
        let Some(committed) = &mut self.committed else { return };
        for change in self.state.take_changes() {
            match change {
                StateChange::Put { name, record } => committed.insert(name, record),
                StateChange::Remove { name } => committed.remove(&name),
            };
        }
    }

    /// Lets entries go that nothing will tell of any more.
    fn let_go(&mut self) {
        if self.entries.len() < self.look_at {
            return;
        }
        let mut needed = HashSet::new();
        let records = self.state.entries_to_tell(&mut needed);
        self.entries.retain(|id, _| needed.contains(id));
        self.look_at = KEPT + 2 * records.max(self.entries.len());
    }
}
