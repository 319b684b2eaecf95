//! From fresh entries to one commit: decide each, render what is to be sent, put all of it down
//! together, ring the bells.
//!
//! One loop decides for all sources, since each decision may depend on the state that the one
//! before it left. What several polls ask for while a commit is under way is decided together and
//! put down in the next one: a sync, and the pages that every commit writes anew, then serve all of
//! them. Each is answered when its rows are on the disk. A commit that fails because of what one of
//! them holds is made again for each alone, so that one poll's trouble stays its own.
//! Timers fire in the same loop, and what people wish is met there (`turn`).
//! Deliberately absent: which entries are fresh.

mod draft;
mod turn;

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        clause::Clause,
        decision::State,
        entry::Entry,
        rule::{Rule, RuleSet},
    },
    ports::{
        Batch, Clock, CursorMove, Event, Observer, Rejected, Renderer, RepoKey, Store, StoreError,
        StoreErrorKind,
    },
};

use self::{
    draft::{Drafter, TemplateFailures, state_of},
    turn::{Look, Turn},
};
use super::{alarm::Alarms, wake::Wakes};

/// Entries decided before others get a turn on the thread.
const YIELD_EVERY: usize = 64;

/// A commit takes up no more polls' rows when it has so many.
const COMMIT_ROWS: usize = 1_000;

/// Polls that may wait for the loop with their rows in hand; more wait with theirs.
const WAITING: usize = 16;

/// What decides and what renders, which a reload swaps together.
pub struct Policy {
    /// The rules in force.
    pub rules: RuleSet,
    /// What makes their messages.
    pub renderer: Arc<dyn Renderer>,
    /// Compiles the clauses of silences from the text that they were written in.
    pub matchers: Matchers,
    by_name: HashMap<Arc<str>, usize>,
}

/// Compiles a silence's clauses.
pub type Matchers = Arc<dyn Fn(&str) -> Option<Clause> + Send + Sync>;

impl Policy {
    /// Rules with the renderer of their messages.
    pub fn new(rules: RuleSet, renderer: Arc<dyn Renderer>) -> Self {
        let names = rules.rules().iter().enumerate();
        let by_name = names.map(|(index, rule)| (rule.name.clone(), index)).collect();
        Self { rules, renderer, matchers: Arc::new(|_| None), by_name }
    }

    /// The same with a reader of silences' clauses.
    #[must_use]
    pub fn reading(self, matchers: Matchers) -> Self {
        Self { matchers, ..self }
    }

    pub(super) fn rule(&self, name: &str) -> Option<&Rule> {
        self.by_name.get(name).map(|&index| &self.rules.rules()[index])
    }
}

/// The way to the loop that decides. Clones lead to the same.
#[derive(Clone)]
pub struct Decider {
    policy: Arc<ArcSwap<Policy>>,
    asks: mpsc::Sender<Ask>,
}

/// What is to be taken in.
#[derive(Debug, Default)]
pub struct Taken {
    /// Fresh entries, oldest first.
    pub entries: Vec<Entry>,
    /// The cursor's move that goes with them.
    pub cursor: Option<CursorMove>,
    /// They were sealed; such are decided in a commit of their own.
    pub unseal: bool,
    /// Rows that could not be understood.
    pub rejected: Vec<(RepoKey, Rejected)>,
    /// The times that the entries say are not to be believed, so none of them is late news.
    pub zone_doubted: bool,
}

/// What is asked of the loop, and whom to tell that it is done: on the disk, where it leads to
/// anything.
enum Ask {
    /// A poll's rows.
    Take(Box<Taken>, Answer),
    /// Something else that is to be decided.
    Turn(Turn, Answer),
    /// A look at what is remembered.
    Look(Look, Answer),
    /// Other rules, with the renderer of their messages.
    Swap(Box<Policy>, Answer),
}

/// Whom to tell.
type Answer = oneshot::Sender<Result<(), StoreError>>;

impl Ask {
    /// A poll's rows that others may share a commit with, and how many.
    const fn shares(&self) -> Option<usize> {
        match self {
            Self::Take(taken, _) if !taken.unseal => Some(taken.entries.len()),
            _ => None,
        }
    }
}

/// What the loop works with.
pub struct DeciderWorld {
    /// Where all of it is put down.
    pub store: Arc<dyn Store>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who counts.
    pub observer: Arc<dyn Observer>,
    /// Where templates that fail are said.
    pub alarms: Alarms,
    /// The lanes' bells.
    pub wakes: Wakes,
}

/// The loop that decides and commits for all sources.
pub struct Deciding {
    policy: Arc<ArcSwap<Policy>>,
    asks: mpsc::Receiver<Ask>,
    /// What was committed. `None` says that a commit failed and that it is to be read again.
    state: Option<State>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    wakes: Wakes,
    drafter: Drafter,
    /// Timers could not be fired the last time.
    failing: bool,
    /// What the clock said the last time.
    seen_at: Timestamp,
}

impl Decider {
    /// The way to the loop, and the loop itself, whose state is what was committed.
    ///
    /// # Errors
    /// The store can't say what that is.
    pub async fn new(policy: Policy, world: DeciderWorld) -> Result<(Self, Deciding), StoreError> {
        let DeciderWorld { store, clock, observer, alarms, wakes } = world;
        let state = Some(state_of(store.state().await?, &policy));
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let (sender, asks) = mpsc::channel(WAITING);
        let failures = TemplateFailures::default();
        let drafter = Drafter { store: store.clone(), observer, alarms, failures };
        let decider = Self { policy: policy.clone(), asks: sender };
        let (failing, seen_at) = (false, clock.now());
        let deciding =
            Deciding { policy, asks, state, store, clock, wakes, drafter, failing, seen_at };
        Ok((decider, deciding))
    }

    /// What is in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Has entries decided and all that they cause committed, the cursor's move included.
    ///
    /// # Errors
    /// The store took nothing of it; what is decided next starts from what was committed. A caller
    /// that stops waiting does not take its rows back.
    pub async fn take(&self, taken: Taken) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.asks.send(Ask::Take(Box::new(taken), answer)).await.is_err() {
            return Err(stopped());
        }
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> StoreError {
    StoreError {
        kind: StoreErrorKind::Closed,
        message: "nothing is taken in any more: the service is stopping".to_owned(),
    }
}

impl Deciding {
    /// Decides until cancelled; a commit that was begun is ended first.
    pub async fn run(mut self, cancel: CancellationToken) {
        self.begin(&cancel).await;
        let mut next = None;
        while !cancel.is_cancelled() {
            self.tick().await;
            let idle = self.idle();
            let first = match next.take() {
                Some(ask) => ask,
                None => tokio::select! {
                    biased;
                    () = cancel.cancelled() => return,
                    ask = self.asks.recv() => match ask {
                        Some(ask) => ask,
                        None => return,
                    },
                    () = tokio::time::sleep(idle) => continue,
                },
            };
            next = self.meet(first).await;
        }
    }

    /// Meets what is asked; rows together with what else waits and fits. Gives back what came with
    /// them and does not fit, to come first the next time.
    async fn meet(&mut self, first: Ask) -> Option<Ask> {
        // Nobody may be waiting any more for an answer.
        match first {
            Ask::Turn(turn, answer) => {
                let _ = answer.send(self.take_turn(turn).await);
                None
            }
            Ask::Swap(policy, answer) => {
                let _ = answer.send(self.swap(*policy).await);
                None
            }
            Ask::Look(look, answer) => {
                let _ = answer.send(self.show(look).await);
                None
            }
            Ask::Take(taken, answer) => {
                let mut group = vec![(*taken, answer)];
                let next = self.gather(&mut group);
                self.take_all(group).await;
                next
            }
        }
    }

    /// Adds what else waits and fits. Gives back one that does not fit, to come first the next time.
    fn gather(&mut self, group: &mut Vec<(Taken, Answer)>) -> Option<Ask> {
        let mut rows = group[0].0.entries.len();
        if group[0].0.unseal {
            return None;
        }
        while rows < COMMIT_ROWS {
            let ask = self.asks.try_recv().ok()?;
            rows += ask.shares().unwrap_or(COMMIT_ROWS);
            match ask {
                Ask::Take(taken, answer) if !taken.unseal && rows <= COMMIT_ROWS => {
                    group.push((*taken, answer));
                }
                other => return Some(other),
            }
        }
        None
    }

    /// Takes all of a group in with one commit, or each alone where that fails through what one of
    /// them holds.
    async fn take_all(&mut self, group: Vec<(Taken, Answer)>) {
        let (group, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|(taken, answer)| (Shared::from(taken), answer)).unzip();
        let result = self.take_in(&group).await;
        let apart =
            group.len() > 1 && matches!(&result, Err(error) if error.kind == StoreErrorKind::Bug);
        for (taken, answer) in group.iter().zip(answers) {
            let result = match apart {
                true => self.take_in(std::slice::from_ref(taken)).await,
                false => result.clone(),
            };
            // Nobody may be waiting any more.
            let _ = answer.send(result);
        }
    }

    /// What is remembered, taken out: to be put back once what changes it is committed.
    async fn take_state(&mut self, policy: &Policy) -> Result<State, StoreError> {
        match self.state.take() {
            Some(state) => Ok(state),
            None => Ok(state_of(self.store.state().await?, policy)),
        }
    }

    /// Decides and commits.
    async fn take_in(&mut self, group: &[Shared]) -> Result<(), StoreError> {
        // Put back once all of it is committed.
        let policy = self.policy.load_full();
        let mut state = self.take_state(&policy).await?;
        let now = self.clock.now();
        let mut batch = Batch { at: Some(now), ..Batch::default() };
        let mut decided = 0_usize;
        for taken in group {
            batch.cursors.extend(taken.cursor.clone());
            batch.unseal |= taken.unseal;
            batch.rejected.extend(taken.rejected.iter().cloned());
            state.doubt_times(taken.zone_doubted);
            for entry in &taken.entries {
                decided += 1;
                if decided.is_multiple_of(YIELD_EVERY) {
                    tokio::task::yield_now().await;
                }
                self.drafter.decide(&policy, &mut state, entry.clone(), now, &mut batch).await?;
            }
        }
        batch.changes = state.take_changes();
        let counts = Counts::of(&batch);
        self.store.commit(batch).await?;
        self.state = Some(state);
        self.tell(&counts);
        Ok(())
    }

    fn tell(&self, counts: &Counts) {
        for (source, &count) in &counts.entries {
            self.drafter.observer.observe(Event::Entries { source, count });
        }
        for (rule, &count) in &counts.matched {
            self.drafter.observer.observe(Event::Matched { rule, count });
        }
        for (by, &count) in &counts.held {
            self.drafter.observer.observe(Event::Held { by, count });
        }
        for (receiver, &count) in &counts.queued {
            self.drafter.observer.observe(Event::Queued { receiver, count });
            self.wakes.wake(receiver);
        }
    }
}

/// What is to be taken in, as it can be decided more than once.
struct Shared {
    entries: Vec<Arc<Entry>>,
    cursor: Option<CursorMove>,
    unseal: bool,
    rejected: Vec<(RepoKey, Rejected)>,
    zone_doubted: bool,
}

impl From<Taken> for Shared {
    fn from(taken: Taken) -> Self {
        let Taken { entries, cursor, unseal, rejected, zone_doubted } = taken;
        let entries = entries.into_iter().map(Arc::new).collect();
        Self { entries, cursor, unseal, rejected, zone_doubted }
    }
}

/// What a batch holds, counted before it is given away.
#[derive(Default)]
struct Counts {
    entries: HashMap<Arc<str>, u64>,
    matched: HashMap<Arc<str>, u64>,
    queued: HashMap<Arc<str>, u64>,
    held: HashMap<&'static str, u64>,
}

impl Counts {
    fn of(batch: &Batch) -> Self {
        let mut counts = Self::default();
        for decided in &batch.entries {
            *counts.entries.entry(decided.entry.source.clone()).or_default() += 1;
            for rule in &decided.matched {
                *counts.matched.entry(rule.clone()).or_default() += 1;
            }
        }
        for notification in &batch.notifications {
            match notification.held_by {
                Some(by) => *counts.held.entry(by.name()).or_default() += 1,
                None => *counts.queued.entry(notification.receiver.clone()).or_default() += 1,
            }
        }
        counts
    }
}
