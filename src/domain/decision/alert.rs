//! An alert on its way to people: the holds, in their order, and who gets it where none applies.
//!
//! Deliberately absent: whether there is anything to say (`key`, `absence`, `storms`).

use std::sync::Arc;

use super::{Decision, bundle::Joining, state::listed};
use crate::domain::{
    entry::{Entry, EntryId},
    group::Kind,
    incident::{IncidentView, ToldTo, Waits},
    interval,
    memory::Subject,
    notification::{HeldBy, Intent, Key, NotificationId, Reason},
    quiet::Then,
    rule::{Mode, Rule},
};

/// What made it necessary to say something.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    /// The entry that the alert is about.
    Entry,
    /// Time alone: what it was, and the how manieth.
    Time(&'static str, u64),
}

/// Something to say.
#[derive(Debug, Clone)]
pub(super) struct Alert<'e> {
    /// The rule.
    pub(super) rule: usize,
    pub(super) reason: Reason,
    /// The entry, or a sketch of the last one.
    pub(super) about: &'e Entry,
    pub(super) cause: Cause,
    /// What it is about, under the rule's `by`.
    pub(super) subject: Subject,
    pub(super) key: Key,
    pub(super) source: Arc<str>,
    pub(super) entries: Vec<EntryId>,
    pub(super) count: u64,
    /// How many it stands for and does not list, where that is not what is left of `count`.
    pub(super) more: Option<u64>,
    /// The incident's number, 0 where there is none.
    pub(super) number: u64,
    pub(super) incident: Option<IncidentView>,
    /// Who gets it, where it is not all of the rule's receivers, each with what told of it first.
    pub(super) to: Option<Vec<ToldTo>>,
}

/// What became of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is sent to these.
    Sent(Vec<ToldTo>),
    /// It waits in a bundle.
    Waits(Waits),
    /// A storm tells of it.
    Storm(Subject),
    /// It is held, and no more is to come of it.
    Held(HeldBy),
}

impl<'e> Alert<'e> {
    /// An alert about one entry for all of a rule's receivers.
    pub(super) fn of_entry(rule: usize, reason: Reason, entry: &'e Entry, of: &Rule) -> Self {
        Self {
            rule,
            reason,
            about: entry,
            cause: Cause::Entry,
            subject: Subject::ALL,
            key: Key::of(&of.name, &of.by, entry),
            source: entry.source.clone(),
            entries: vec![entry.id],
            count: 1,
            more: None,
            number: 0,
            incident: None,
            to: None,
        }
    }

    fn id(&self, rule: &Rule, receiver: &str) -> NotificationId {
        let Self { reason, number, .. } = *self;
        match self.cause {
            Cause::Entry => NotificationId::of(self.about, &rule.name, receiver, reason, number),
            Cause::Time(what, nth) => {
                let names = (&*rule.name, receiver);
                NotificationId::of_time((what, nth), self.about.id, names, reason, number)
            }
        }
    }
}

/// Whether it is news of trouble, which storms gather and throttles hold.
const fn is_news(reason: Reason) -> bool {
    matches!(reason, Reason::Matched | Reason::Failing | Reason::Threshold)
}

/// Whether its rule's group gathers it. A storm's reminders and end, which are no incident's, stand
/// for many already.
const fn is_grouped(alert: &Alert<'_>) -> bool {
    let of_storm =
        alert.number == 0 && (alert.reason.is_over() || matches!(alert.reason, Reason::Reminder));
    !of_storm && !matches!(alert.reason, Reason::Summary | Reason::Storm | Reason::Flapping)
}

impl Decision<'_> {
    /// `notify: every`.
    pub(super) fn every(&mut self, index: usize, entry: &Entry) {
        let rule = &self.rules.rules()[index];
        let mut alert = Alert::of_entry(index, Reason::Matched, entry, rule);
        let quiet = &rule.quiet;
        if quiet.storm.is_some() || quiet.throttle.is_some() || quiet.mute.is_some() {
            alert.subject = self.subject_for(index, entry);
        }
        self.tell(&alert);
    }

    /// Leads an alert through the holds.
    pub(super) fn tell(&mut self, alert: &Alert<'_>) -> Outcome {
        let rule = &self.rules.rules()[alert.rule];
        if rule.mode == Mode::Shadow {
            return self.hold(alert, HeldBy::Shadow);
        }
        match self.late_news(alert) {
            Then::Send => {}
            Then::Skip => return self.hold(alert, HeldBy::CatchUp),
            Then::Digest => return self.join_late_news(alert),
        }
        if let Some(outcome) = self.overtakes(alert) {
            return outcome;
        }
        if self.is_inhibited(rule, alert.about) {
            return self.hold(alert, HeldBy::Inhibited);
        }
        if let Some(silence) = self.silence_of(alert.about) {
            return self.join_silence(alert, silence);
        }
        if let Some(mute) = &rule.quiet.mute
            && let Some(end) = interval::end_of(&mute.during, self.clock)
        {
            return self.join_mute(alert, end.into());
        }
        if is_news(alert.reason) {
            if let Some(outcome) = self.storm(alert) {
                return outcome;
            }
            if let Some(outcome) = self.join_throttle(alert) {
                return outcome;
            }
        }
        if rule.quiet.group.is_some() && is_grouped(alert) {
            return self.join_group(alert);
        }
        self.send(alert)
    }

    /// What its source says of an alert about a late entry; alerts that time causes are never late.
    fn late_news(&self, alert: &Alert<'_>) -> Then {
        let believed = !self.state.times_doubted;
        if self.rules.sources.catch_up.is_empty()
            || !matches!(alert.cause, Cause::Entry)
            || !believed
        {
            return Then::Send;
        }
        let catch_up = self.rules.sources.catch_up.get(&alert.about.source);
        match catch_up {
            Some(catch_up)
                if self.clock.duration_since(alert.about.row.time).unsigned_abs()
                    > catch_up.older_than
                    && alert.about.row.time < self.clock =>
            {
                catch_up.then
            }
            _ => Then::Send,
        }
    }

    /// Whether another rule's incident explains what an entry tells.
    pub(super) fn is_inhibited(&self, rule: &Rule, about: &Entry) -> bool {
        let Some(inhibition) = &rule.quiet.inhibited_by else { return false };
        if self.state.derived.explains.is_empty() {
            return false;
        }
        let values = Subject::of_values(&inhibition.equal, about);
        self.state.derived.explains.contains_key(&(inhibition.rule.clone(), values))
    }

    /// Records an alert that is held, for each receiver.
    pub(super) fn hold(&mut self, alert: &Alert<'_>, by: HeldBy) -> Outcome {
        self.push(alert, Some(by));
        Outcome::Held(by)
    }

    /// Has an alert sent.
    pub(super) fn send(&mut self, alert: &Alert<'_>) -> Outcome {
        let told = self.push(alert, None);
        if is_news(alert.reason) {
            self.begin_throttle(alert);
        }
        Outcome::Sent(told)
    }

    /// Adds an intent for each receiver.
    fn push(&mut self, alert: &Alert<'_>, held_by: Option<HeldBy>) -> Vec<ToldTo> {
        let rule = &self.rules.rules()[alert.rule];
        let receivers: Vec<(Arc<str>, Option<NotificationId>)> = match &alert.to {
            // One that the rule no longer tells may be gone altogether.
            Some(to) => to
                .iter()
                .filter(|(to, _)| rule.send_to.contains(to))
                .map(|(to, first)| (to.clone(), Some(*first)))
                .collect(),
            None => rule.send_to.iter().map(|to| (to.clone(), None)).collect(),
        };
        let mut told = Vec::with_capacity(receivers.len());
        for (receiver, first_id) in receivers {
            let id = alert.id(rule, &receiver);
            let follows = first_id.filter(|&first| first != id);
            // A message that is the first of its incident refers to itself.
            let first_id = first_id.or(Some(id));
            self.effects.intents.push(Intent {
                id,
                rule: rule.name.clone(),
                receiver: receiver.clone(),
                reason: alert.reason,
                severity: rule.severity,
                source: alert.source.clone(),
                key: alert.key.clone(),
                incident: alert.incident.map(|view| IncidentView { first_id, ..view }),
                entries: alert.entries.clone(),
                follows,
                count: alert.count,
                more: alert
                    .more
                    .unwrap_or_else(|| alert.count.saturating_sub(alert.entries.len() as u64)),
                held_by,
            });
            told.push((receiver, id));
        }
        told
    }

    /// A place in a bundle for an alert.
    pub(super) fn joining(&self, alert: &Alert<'_>, kind: Kind, subject: Subject) -> Joining {
        let rule = &self.rules.rules()[alert.rule];
        let receivers = match &alert.to {
            Some(to) => to.iter().map(|(receiver, _)| receiver.clone()).collect(),
            None => rule.send_to.clone(),
        };
        Joining {
            kind,
            subject,
            reason: Reason::Summary,
            key: alert.key.clone(),
            due: None,
            silence: None,
            receivers,
            most: listed(self.rules, alert.rule),
            apart: false,
        }
    }
}
