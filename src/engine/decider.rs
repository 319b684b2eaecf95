//! From fresh entries to one commit: decide each, render what is to be sent, put all of it down
//! together, ring the bells.
//!
//! Decisions are made one batch at a time, whatever source they come from, since each may depend on
//! the state that the one before it left. Deliberately absent: which entries are fresh.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tracing::debug;

use crate::{
    domain::{
        decision::{Effects, Input, State, decide},
        entry::Entry,
        notification::Intent,
        rule::{Rule, RuleSet},
    },
    ports::{
        AlarmKind, Batch, Clock, Context, CursorMove, DecidedEntry, Event, NewNotification,
        Observer, Part, Rejected, RenderRequest, Renderer, RepoKey, Store, StoreError,
    },
};

use super::{alarm::Alarms, wake::Wakes};

/// Entries decided before others get a turn on the thread.
const YIELD_EVERY: usize = 64;

/// How long a template is to have worked before the alarm about it ends: one that fails for some
/// entries only is one alarm, not one for each.
const WORKS_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// What decides and what renders, which a reload swaps together.
pub struct Policy {
    /// The rules in force.
    pub rules: RuleSet,
    /// What makes their messages.
    pub renderer: Arc<dyn Renderer>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Policy {
    /// Rules with the renderer of their messages.
    pub fn new(rules: RuleSet, renderer: Arc<dyn Renderer>) -> Self {
        let names = rules.rules().iter().enumerate();
        let by_name = names.map(|(index, rule)| (rule.name.clone(), index)).collect();
        Self { rules, renderer, by_name }
    }

    fn rule(&self, name: &str) -> Option<&Rule> {
        self.by_name.get(name).map(|&index| &self.rules.rules()[index])
    }
}

/// Decides and commits for all sources.
pub struct Decider {
    policy: ArcSwap<Policy>,
    /// Held from the first decision of a batch to its commit, so that commits come in the order of
    /// decisions. Taken out meanwhile: `None` says that a batch failed or was dropped half-way, and
    /// that the state is to be read again.
    state: Mutex<Option<State>>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    alarms: Alarms,
    failures: TemplateFailures,
    wakes: Wakes,
}

/// What is to be taken in.
#[derive(Debug, Default)]
pub struct Taken {
    /// Fresh entries, oldest first.
    pub entries: Vec<Entry>,
    /// The cursor's move that goes with them.
    pub cursor: Option<CursorMove>,
    /// They were sealed.
    pub unseal: bool,
    /// Rows that could not be understood.
    pub rejected: Vec<(RepoKey, Rejected)>,
}

impl Decider {
    /// A decider whose state is what was committed.
    ///
    /// # Errors
    /// The store can't say what that is.
    pub async fn new(
        policy: Policy,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        alarms: Alarms,
        wakes: Wakes,
    ) -> Result<Self, StoreError> {
        let state = Mutex::new(Some(State::from_records(store.state().await?)));
        let policy = ArcSwap::from_pointee(policy);
        let failures = TemplateFailures::default();
        Ok(Self { policy, state, store, clock, observer, alarms, failures, wakes })
    }

    /// What is in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Decides entries and commits all that they cause, the cursor's move included.
    ///
    /// # Errors
    /// The store took nothing of it; what is decided next starts from what was committed.
    pub async fn take(&self, taken: Taken) -> Result<(), StoreError> {
        let mut kept = self.state.lock().await;
        let mut state = match kept.take() {
            Some(state) => state,
            None => State::from_records(self.store.state().await?),
        };
        let policy = self.policy.load_full();
        let now = self.clock.now();
        let mut batch = Batch {
            cursor: taken.cursor,
            unseal: taken.unseal,
            rejected: taken.rejected,
            at: Some(now),
            ..Batch::default()
        };
        for (index, entry) in taken.entries.into_iter().enumerate() {
            if index % YIELD_EVERY == YIELD_EVERY - 1 {
                tokio::task::yield_now().await;
            }
            self.decide(&policy, &mut state, Arc::new(entry), now, &mut batch);
        }
        let counts = Counts::of(&batch);
        self.store.commit(batch).await?;
        *kept = Some(state);
        drop(kept);
        self.tell(&counts);
        Ok(())
    }

    fn decide(
        &self,
        policy: &Policy,
        state: &mut State,
        entry: Arc<Entry>,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let Effects { intents, changes, matched } =
            decide(&policy.rules, state, Input::Entry(&entry), now);
        batch.changes.extend(changes);
        for intent in intents {
            self.queue(policy, &intent, &entry, now, batch);
        }
        let rules = policy.rules.rules();
        let matched = matched.into_iter().map(|index| rules[index].name.clone()).collect();
        batch.entries.push(DecidedEntry { entry, taken_at: now, matched });
    }

    /// Renders an intent and adds its notification, one for each part of its message.
    fn queue(
        &self,
        policy: &Policy,
        intent: &Intent,
        entry: &Arc<Entry>,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let parts = match intent.held_by {
            Some(_) => vec![None],
            None => self.render(policy, intent, entry, now).into_iter().map(Some).collect(),
        };
        let key_json = intent.key.to_json();
        for (number, part) in parts.into_iter().enumerate() {
            batch.notifications.push(NewNotification {
                id: intent.id.part(u32::try_from(number).unwrap_or(u32::MAX)),
                rule: intent.rule.clone(),
                receiver: intent.receiver.clone(),
                source: entry.source.clone(),
                key: intent.key.digest,
                key_json: key_json.clone(),
                reason: intent.reason,
                severity: intent.severity,
                entries: intent.entries.clone(),
                count: intent.count,
                created_at: now,
                held_by: intent.held_by,
                payload: part.map(|part| part.payload),
            });
        }
    }

    /// Renders a message; one whose template fails becomes a short plain one that says so.
    fn render(
        &self,
        policy: &Policy,
        intent: &Intent,
        entry: &Arc<Entry>,
        now: Timestamp,
    ) -> Vec<Part> {
        let no_labels = std::collections::BTreeMap::new();
        let rule = policy.rule(&intent.rule);
        let context = Context {
            id: intent.id,
            reason: intent.reason,
            rule: &intent.rule,
            labels: rule.map_or(&no_labels, |rule| &rule.labels),
            severity: intent.severity,
            entries: std::slice::from_ref(entry),
            count: intent.count,
            now,
            message: None,
        };
        let template = rule.and_then(|rule| rule.template.as_deref());
        let request = RenderRequest { template, receiver: &intent.receiver, context: &context };
        match policy.renderer.render(&request) {
            Ok(parts) if !parts.is_empty() => {
                self.template_works(&request, now);
                parts
            }
            Ok(_) => self.render_plain(policy, &request, "it rendered to nothing", now),
            Err(error) => self.render_plain(policy, &request, &error.0, now),
        }
    }

    /// Ends the alarm about a template that failed before and has worked for a while.
    fn template_works(&self, request: &RenderRequest<'_>, now: Timestamp) {
        if let Some(about) = self.failures.works(request, now) {
            self.alarms.clear(AlarmKind::Template, &about, now);
        }
    }

    fn render_plain(
        &self,
        policy: &Policy,
        request: &RenderRequest<'_>,
        problem: &str,
        now: Timestamp,
    ) -> Vec<Part> {
        let receiver = request.receiver;
        let about = self.failures.fails(request, now);
        debug!(
            receiver.name = receiver,
            rule.name = request.context.rule,
            "a template failed, a plain message goes instead: {problem}"
        );
        let message = format!("template {about} failed, a plain message went instead: {problem}");
        self.alarms.raise(AlarmKind::Template, &about, &message, now);
        self.observer.observe(Event::RenderFailed { receiver });
        vec![policy.renderer.plain(request, problem)]
    }

    fn tell(&self, counts: &Counts) {
        for (source, &count) in &counts.entries {
            self.observer.observe(Event::Entries { source, count });
        }
        for (rule, &count) in &counts.matched {
            self.observer.observe(Event::Matched { rule, count });
        }
        for (by, &count) in &counts.held {
            self.observer.observe(Event::Held { by, count });
        }
        for (receiver, &count) in &counts.queued {
            self.observer.observe(Event::Queued { receiver, count });
            self.wakes.wake(receiver);
        }
    }
}

/// The templates that failed lately, each for one receiver, and when they last did.
#[derive(Default)]
struct TemplateFailures {
    /// Whether there are any, so that the usual case costs nothing.
    any: AtomicBool,
    last: StdMutex<HashMap<Arc<str>, Timestamp>>,
}

impl TemplateFailures {
    fn about(request: &RenderRequest<'_>) -> Arc<str> {
        match request.template {
            Some(template) => format!("{template} for {}", request.receiver).into(),
            None => format!("of receiver {}", request.receiver).into(),
        }
    }

    /// Notes a failure and says what an alarm is to be about.
    fn fails(&self, request: &RenderRequest<'_>, now: Timestamp) -> Arc<str> {
        let about = Self::about(request);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(about.clone(), now);
        self.any.store(true, Ordering::Relaxed);
        about
    }

    /// Notes a success; says what the alarm was about that is over by it.
    fn works(&self, request: &RenderRequest<'_>, now: Timestamp) -> Option<Arc<str>> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let about = Self::about(request);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let failed_at = *last.get(&about)?;
        if now.duration_since(failed_at) < WORKS_AGAIN_AFTER {
            return None;
        }
        last.remove(&about);
        self.any.store(!last.is_empty(), Ordering::Relaxed);
        Some(about)
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
