//! From one entry to what is put down of it: its decision, the messages rendered, and what they say
//! of the templates.
//!
//! Deliberately absent: whose turn it is, and the store.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use tracing::{debug, warn};

use crate::{
    domain::{
        decision::{Effects, Input, State, decide},
        entry::{Entry, EntryId},
        notification::Intent,
    },
    engine::alarm::Alarms,
    ports::{
        AlarmKind, Batch, Context, DecidedEntry, Event, NewNotification, Observer, Part,
        RenderRequest, Store, StoreError, Told,
    },
};

use super::Policy;

/// How long a template is to have worked before the alarm about it ends: one that fails for some
/// entries only is one alarm, not one for each.
const WORKS_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Writes drafts of batches.
pub(super) struct Drafter {
    pub(super) store: Arc<dyn Store>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) alarms: Alarms,
    pub(super) failures: TemplateFailures,
}

impl Drafter {
    /// Decides an entry and adds what it leads to.
    pub(super) async fn decide(
        &self,
        policy: &Policy,
        state: &mut State,
        entry: Arc<Entry>,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let Effects { intents, matched } = decide(&policy.rules, state, Input::Entry(&entry), now);
        for intent in &intents {
            self.queue_known(policy, intent, Some(&entry), now, batch).await?;
        }
        let rules = policy.rules.rules();
        let matched = matched.into_iter().map(|index| rules[index].name.clone()).collect();
        batch.entries.push(DecidedEntry { entry, taken_at: now, matched });
        Ok(())
    }

    /// Queues an intent, once the entries that it tells of are at hand.
    pub(super) async fn queue_known(
        &self,
        policy: &Policy,
        intent: &Intent,
        in_hand: Option<&Arc<Entry>>,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let found;
        let entries = match (&intent.entries[..], in_hand) {
            ([id], Some(entry)) if *id == entry.id => std::slice::from_ref(entry),
            // What is held is not rendered.
            _ if intent.held_by.is_some() => &[],
            (ids, in_hand) => {
                found = self.entries_of(ids, in_hand, batch).await?;
                &found[..]
            }
        };
        self.queue(policy, intent, entries, now, batch);
        Ok(())
    }

    /// Queues what no entry in hand caused, all of its entries fetched together: a thousand groups
    /// that close at once are a few questions to the store.
    pub(super) async fn queue_many(
        &self,
        policy: &Policy,
        intents: &[Intent],
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        // What is held is not rendered.
        let told = intents.iter().filter(|intent| intent.held_by.is_none());
        let ids: Vec<EntryId> = told.flat_map(|intent| intent.entries.iter().copied()).collect();
        let kept = if ids.is_empty() { Vec::new() } else { self.store.entries_by_id(ids).await? };
        let kept: HashMap<EntryId, Arc<Entry>> =
            kept.into_iter().map(|entry| (entry.id, Arc::new(entry))).collect();
        for intent in intents {
            let entries: Vec<_> = match intent.held_by {
                Some(_) => Vec::new(),
                None => intent.entries.iter().filter_map(|id| kept.get(id).cloned()).collect(),
            };
            self.queue(policy, intent, &entries, now, batch);
        }
        Ok(())
    }

    /// Entries by their ids, in that order: the one in hand, those decided in this batch, else as
    /// they are kept. One that was deleted since is left out.
    async fn entries_of(
        &self,
        ids: &[EntryId],
        in_hand: Option<&Arc<Entry>>,
        batch: &Batch,
    ) -> Result<Vec<Arc<Entry>>, StoreError> {
        let mut entries = Vec::with_capacity(ids.len());
        for &id in ids {
            let decided = batch.entries.iter().rev().map(|decided| &decided.entry);
            let known = in_hand.into_iter().chain(decided).find(|entry| entry.id == id);
            match known {
                Some(entry) => entries.push(entry.clone()),
                None => {
                    let kept = self.store.entry(id).await?;
                    entries.extend(kept.map(|view| Arc::new(view.entry)));
                }
            }
        }
        Ok(entries)
    }

    /// Renders an intent and adds its notification, one for each part of its message.
    fn queue(
        &self,
        policy: &Policy,
        intent: &Intent,
        entries: &[Arc<Entry>],
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let parts = match intent.held_by {
            Some(_) => vec![None],
            None => self.render(policy, intent, entries, now).into_iter().map(Some).collect(),
        };
        let key_json = intent.key.to_json();
        for (number, part) in parts.into_iter().enumerate() {
            batch.notifications.push(NewNotification {
                id: intent.id.part(u32::try_from(number).unwrap_or(u32::MAX)),
                rule: intent.rule.clone(),
                receiver: intent.receiver.clone(),
                source: intent.source.clone(),
                key: intent.key.digest,
                key_json: key_json.clone(),
                reason: intent.reason,
                severity: intent.severity,
                entries: intent.entries.clone(),
                count: intent.count,
                created_at: now,
                held_by: intent.held_by,
                payload: part.map(|part| part.payload),
                told: Told {
                    incident: intent.incident,
                    more: Some(intent.more).filter(|&more| more != left_of(intent)),
                    ..Told::default()
                },
                // Of several parts one takes the first message's place, and the others are new.
                follows: intent.follows.filter(|_| number == 0 || !intent.reason.is_over()),
            });
        }
    }

    /// Renders a message; one whose template fails becomes a short plain one that says so.
    fn render(
        &self,
        policy: &Policy,
        intent: &Intent,
        entries: &[Arc<Entry>],
        now: Timestamp,
    ) -> Vec<Part> {
        let rule = policy.rule(&intent.rule);
        let context = Context::of_intent(intent, rule, entries, now);
        let template = rule.and_then(|rule| rule.template.as_deref());
        let request = RenderRequest { template, receiver: &intent.receiver, context: &context };
        let (parts, problem) = policy.renderer.message(&request);
        match problem {
            None => self.template_works(&request, now),
            Some(problem) => self.template_fails(&request, &problem, now),
        }
        parts
    }

    /// Ends the alarm about a template that failed before and has worked for a while.
    fn template_works(&self, request: &RenderRequest<'_>, now: Timestamp) {
        if let Some(about) = self.failures.works(request, now) {
            self.alarms.clear(AlarmKind::Template, &about, now);
        }
    }

    /// Ends the alarms about templates: others are in force, or the same under other rules.
    pub(super) fn forget_failures(&self, now: Timestamp) {
        for about in self.failures.forget() {
            self.alarms.clear(AlarmKind::Template, &about, now);
        }
    }

    fn template_fails(&self, request: &RenderRequest<'_>, problem: &str, now: Timestamp) {
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
    }
}

/// How many of what a message counts it does not list, where it lists each by itself.
const fn left_of(intent: &Intent) -> u64 {
    intent.count.saturating_sub(intent.entries.len() as u64)
}

/// The state that was committed.
pub(super) fn state_of(records: Vec<(String, Vec<u8>)>, policy: &Policy) -> State {
    let mut state = State::from_records(records, &*policy.matchers);
    state.await_readings();
    if let Some(first) = state.unreadable().first() {
        let records = state.unreadable().len();
        warn!(records, "what rules remember is in part not readable and is passed over: {first}");
    }
    state
}

/// The templates that failed lately, each for one receiver, and when they last did.
#[derive(Default)]
pub(super) struct TemplateFailures {
    /// Whether there are any, so that the usual case costs nothing.
    any: AtomicBool,
    last: Mutex<HashMap<Arc<str>, Timestamp>>,
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

    /// Forgets all of them, and says what alarms were about.
    fn forget(&self) -> Vec<Arc<str>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(false, Ordering::Relaxed);
        last.drain().map(|(about, _)| about).collect()
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
