//! Storms: many keys of one rule that fail together become one message, and one recovery.
//!
//! Deliberately absent: what a storm remembers (`domain::storm`).

use std::{sync::Arc, time::Duration};

use super::{
    Decision,
    alert::{Alert, Cause, Outcome},
    key::Knows,
};
use crate::domain::{
    entry::{Entry, EntryId, Row, WallTime},
    field::Field,
    group::Kind,
    incident::{Incident, IncidentView, Told},
    memory::{At, Slot, Subject},
    notification::{HeldBy, Key, Reason},
    quiet::{LISTED, StormGuard},
    rule::{DEFAULT_BY, Notify},
    seen::set,
    storm::{MOST_MEMBERS, Raging, Storm, shared_value},
};

/// A storm of a rule without incidents is over when nothing joined it for at least so long.
const LULL: Duration = Duration::from_secs(600);

/// How often it is looked whether the end of a storm, which was explained, is explained still.
pub(super) const OWED: Duration = Duration::from_secs(60);

/// A storm that is no more than a memory is forgotten at whole minutes.
const FORGET_MS: i64 = 60 * 1000;

impl Decision<'_> {
    /// Counts an alert among those that share something with it. What a storm tells of is held.
    pub(super) fn storm(&mut self, alert: &Alert<'_>) -> Option<Outcome> {
        let rule = &self.rules.rules()[alert.rule];
        let guard = rule.quiet.storm.as_ref()?;
        let shared: Vec<(Field, String)> = guard
            .share
            .iter()
            .filter_map(|&field| Some((field, shared_value(field, alert.about)?)))
            .collect();
        let slot_of = |(field, value): &(Field, String)| {
            let about = Subject::of_texts(&["storm", &alert.source, field.name(), value]);
            Slot::new(&rule.name, about)
        };
        let slots: Vec<Slot> = shared.iter().map(slot_of).collect();
        let raging =
            |slot: &&Slot| self.state.storms.get(slot).is_some_and(|storm| storm.raging.is_some());
        if let Some(slot) = slots.iter().find(raging) {
            return Some(self.join_storm(&slot.clone(), alert, guard));
        }
        let mut begins = None;
        for (slot, (field, value)) in slots.iter().zip(shared) {
            if self.state.storms.get(slot).is_none() {
                let shape = self.rules.lookup.of[alert.rule].shape;
                let storm = Storm::new(shape, alert.source.clone(), field, value);
                self.state.storms.put(slot.clone(), storm);
            }
            let count = self.note_in(slot, alert, guard);
            if count > guard.keys && begins.is_none() {
                begins = Some(slot.clone());
            }
        }
        Some(self.begin_storm(&begins?, alert, guard))
    }

    /// Notes a key's failure among those that share a value, and says how many failed lately.
    fn note_in(&mut self, slot: &Slot, alert: &Alert<'_>, guard: &StormGuard) -> usize {
        let at = At::from(alert.about.row.time);
        let from = at.minus(guard.within);
        let forget = self.now.plus(guard.within).rounded_up(FORGET_MS);
        let entry = alert.entries.last().copied().unwrap_or(alert.about.id);
        let count = self.state.storms.edit(slot, |storm| {
            storm.notes(at, from, alert.subject, entry);
            if storm.recent.len() > MOST_MEMBERS {
                storm.recent.remove(0);
            }
            storm.quiet_at = Some(forget);
            storm.recent.len()
        });
        count.unwrap_or_default()
    }

    /// A storm begins: it is told with its members, which are then told of by nothing else.
    fn begin_storm(&mut self, slot: &Slot, alert: &Alert<'_>, guard: &StormGuard) -> Outcome {
        let Some(storm) = self.state.storms.get(slot).cloned() else {
            return Outcome::Held(HeldBy::Storm);
        };
        let members: Vec<Subject> = storm.recent.iter().map(|(_, subject, _)| *subject).collect();
        let most = super::state::listed(self.rules, alert.rule);
        let from = storm.recent.len().saturating_sub(most);
        let entries: Vec<EntryId> = storm.recent[from..].iter().map(|(.., entry)| *entry).collect();
        let since = storm.recent.first().map_or(self.now, |(when, ..)| *when);
        let keys = members.len() as u64;
        let mut told = alert.clone();
        told.reason = Reason::Storm;
        told.key = storm_key(alert, slot);
        told.entries = entries;
        told.count = keys;
        told.number = 0;
        told.incident = Some(view(since, alert.about, keys));
        let Outcome::Sent(sent) = self.send(&told) else { return Outcome::Held(HeldBy::Storm) };
        let remind = self.rules.rules()[alert.rule].quiet.remind;
        let raging = Raging {
            since,
            opened_by: alert.about.id,
            members: members.clone(),
            keys,
            told: sent,
            left: Vec::new(),
            joined: storm.recent[storm.recent.len().saturating_sub(LISTED)..]
                .iter()
                .map(|&(_, subject, entry)| (subject, entry))
                .collect(),
            reminders: 0,
            remind_at: remind.map(|every| self.now.plus(every)),
        };
        let quiet_at = self.lull(alert.rule, guard);
        self.state.storms.edit(slot, |storm| {
            storm.raging = Some(raging);
            storm.recent.clear();
            storm.quiet_at = quiet_at;
        });
        for subject in members {
            self.becomes_member(slot, subject, alert);
        }
        self.hold(alert, HeldBy::Storm);
        Outcome::Storm(slot.subject)
    }

    /// A key is from now on told of by a storm.
    fn becomes_member(&mut self, storm: &Slot, subject: Subject, alert: &Alert<'_>) {
        let slot = Slot::new(&storm.rule, subject);
        self.state.await_success(subject, &storm.rule);
        if subject == alert.subject {
            return;
        }
        let Some(incident) = self.state.incidents.get(&slot).cloned() else { return };
        if !incident.open {
            return;
        }
        if let Knows::Soon(place) = self.who_knows(&slot)
            && place.kind == Kind::Group
        {
            let sketch = incident.sketch();
            let member =
                self.alert_of((alert.rule, subject), &incident, incident.opens_as, &sketch);
            self.over_in(&slot.rule, &place, &member);
            let unsent = Alert { cause: Cause::Time("unsent", 0), ..member };
            self.hold(&unsent, HeldBy::Storm);
        }
        self.state.incidents.edit(&slot, |incident| {
            incident.told = Told::Storm(storm.subject);
            incident.remind_at = None;
        });
    }

    /// A key joins a storm that was told of.
    fn join_storm(&mut self, slot: &Slot, alert: &Alert<'_>, guard: &StormGuard) -> Outcome {
        let quiet_at = self.lull(alert.rule, guard);
        let entry = alert.entries.last().copied().unwrap_or(alert.about.id);
        self.state.storms.edit(slot, |storm| {
            if let Some(raging) = &mut storm.raging {
                raging.joins(alert.subject, entry);
            }
            storm.quiet_at = quiet_at;
        });
        self.state.await_success(alert.subject, &slot.rule);
        self.hold(alert, HeldBy::Storm);
        Outcome::Storm(slot.subject)
    }

    /// When a storm is over for want of members, where recoveries do not end it.
    fn lull(&self, index: usize, guard: &StormGuard) -> Option<At> {
        let every = self.rules.rules()[index].notify == Notify::Every;
        every.then(|| self.now.plus(guard.within.max(LULL)))
    }

    /// Forgets a key's failures among those that may become a storm.
    pub(super) fn fails_no_more(&mut self, index: usize, subject: Subject) {
        let rule = &self.rules.rules()[index];
        if rule.quiet.storm.is_none() {
            return;
        }
        let noted = self.state.storms.find(|slot, storm| {
            slot.rule == rule.name && storm.recent.iter().any(|(_, known, _)| *known == subject)
        });
        for slot in noted {
            self.state.storms.edit(&slot, |storm| {
                storm.recent.retain(|(_, known, _)| *known != subject);
            });
        }
    }

    /// An incident that a storm told of is over.
    pub(super) fn leave_storm(&mut self, storm: Subject, alert: &Alert<'_>) {
        let slot = self.slot(alert.rule, storm);
        let left = self
            .state
            .storms
            .edit(&slot, |storm| storm.raging.as_mut().map(|raging| raging.leaves(alert.subject)));
        if left.flatten() != Some(true) {
            self.hold(alert, HeldBy::Storm);
            return;
        }
        self.end_storm(&slot, alert);
    }

    /// Tells that a storm is over. What explains that may keep it for now: then it is owed.
    fn end_storm(&mut self, slot: &Slot, alert: &Alert<'_>) {
        let raging = self.state.storms.get(slot).and_then(|storm| storm.raging.clone());
        let Some(raging) = raging else { return };
        let mut told = alert.clone();
        // In what holds it, it stands beside its last member.
        told.subject = slot.subject;
        told.key = storm_key(alert, slot);
        told.count = raging.keys;
        told.number = 0;
        told.incident = Some(view(raging.since, alert.about, raging.keys));
        told.to = Some(raging.told);
        if self.tell(&told) != Outcome::Held(HeldBy::Inhibited) {
            self.state.storms.remove(slot);
            return;
        }
        let again = self.now.plus(OWED);
        self.state.storms.edit(slot, |storm| {
            if let Some(raging) = &mut storm.raging {
                raging.remind_at = Some(again);
            }
        });
    }

    /// Tells that a storm is over where that is owed.
    fn end_again(&mut self, slot: &Slot) -> bool {
        let Some(storm) = self.state.storms.get(slot).cloned() else { return false };
        let (Some(raging), Some(&index)) =
            (storm.raging, self.rules.lookup.by_name.get(&slot.rule))
        else {
            return false;
        };
        if !raging.members.is_empty() || raging.remind_at.is_none_or(|at| at > self.now) {
            return false;
        }
        let about = self.about_storm(&storm.source, &storm.field, &storm.value, &raging);
        let mut alert = self.of_storm((index, slot), &raging, Reason::Recovered, &about);
        alert.cause = Cause::Time("storm-over", self.now.0.unsigned_abs());
        self.end_storm(slot, &alert);
        true
    }

    /// A success of a key that has no incident: it may be a storm's member all the same.
    pub(super) fn storm_member_recovers(&mut self, index: usize, subject: Subject, entry: &Entry) {
        let rule = &self.rules.rules()[index];
        self.state.await_no_more(subject, &rule.name);
        let storms = self.state.storms.find(|slot, storm| {
            let raging = storm.raging.as_ref();
            slot.rule == rule.name && raging.is_some_and(|raging| raging.members.contains(&subject))
        });
        for slot in storms {
            let mut alert = Alert::of_entry(index, Reason::Recovered, entry, rule);
            alert.subject = subject;
            self.leave_storm(slot.subject, &alert);
        }
    }

    /// A storm has had no new member for long enough, or is only a memory.
    pub(super) fn storm_due(&mut self, slot: &Slot) {
        let now = self.now;
        if self.end_again(slot) {
            return;
        }
        self.remind_of_storm(slot);
        let due = |storm: &Storm| storm.quiet_at.is_some_and(|at| at <= now);
        if !self.state.storms.get(slot).is_some_and(due) {
            return;
        }
        let Some(storm) = self.state.storms.remove(slot) else { return };
        let (Some(raging), Some(&index)) =
            (storm.raging, self.rules.lookup.by_name.get(&slot.rule))
        else {
            return;
        };
        raging.members.iter().for_each(|&one| self.state.await_no_more(one, &slot.rule));
        let about = self.about_storm(&storm.source, &storm.field, &storm.value, &raging);
        let alert = self.of_storm((index, slot), &raging, Reason::Summary, &about);
        self.tell(&alert);
    }

    /// Tells again of a storm that lasts, to whom it was told.
    fn remind_of_storm(&mut self, slot: &Slot) {
        let index = self.rules.lookup.by_name.get(&slot.rule).copied();
        let every = index.and_then(|index| self.rules.rules()[index].quiet.remind);
        let now = self.now;
        let storm = self.state.storms.edit(slot, |storm| {
            let raging = storm.raging.as_mut()?;
            raging.remind_at.filter(|at| *at <= now)?;
            raging.remind_at = every.map(|every| now.plus(every));
            raging.reminders += 1;
            Some(storm.clone())
        });
        let Some(storm) = storm.flatten() else { return };
        let (Some(raging), Some(index), Some(_)) = (storm.raging, index, every) else { return };
        let about = match self.all_silenced(slot, &raging) {
            Some(member) => Entry { id: raging.opened_by, ..member },
            None => self.about_storm(&storm.source, &storm.field, &storm.value, &raging),
        };
        let mut alert = self.of_storm((index, slot), &raging, Reason::Reminder, &about);
        alert.cause = Cause::Time("storm-reminder", raging.reminders);
        alert.count = raging.members.len() as u64;
        alert.to = Some(raging.told.clone());
        self.tell(&alert);
    }

    /// The last entry of one of a storm's members, where silences hold those of all.
    fn all_silenced(&self, slot: &Slot, raging: &Raging) -> Option<Entry> {
        if self.state.silences.is_empty() {
            return None;
        }
        let known = |member: &Subject| self.state.incidents.get(&Slot::new(&slot.rule, *member));
        let mut members = raging.members.iter().filter_map(known).map(Incident::sketch);
        let first = members.next().filter(|first| self.is_silenced(first))?;
        members.all(|member| self.is_silenced(&member)).then_some(first)
    }

    /// Something to say of a storm that lasts because time passed.
    fn of_storm<'e>(
        &self,
        (index, slot): (usize, &Slot),
        raging: &Raging,
        reason: Reason,
        about: &'e Entry,
    ) -> Alert<'e> {
        let most = super::state::listed(self.rules, index);
        let mut alert = Alert::of_entry(index, reason, about, &self.rules.rules()[index]);
        alert.cause = Cause::Time("storm", 0);
        alert.subject = slot.subject;
        alert.key = storm_key(&alert, slot);
        let from = raging.joined.len().saturating_sub(most);
        alert.entries = raging.joined[from..].iter().map(|(_, entry)| *entry).collect();
        alert.count = raging.keys;
        alert.incident = Some(view(raging.since, about, raging.keys));
        alert
    }

    /// An entry that stands for a storm: of its members it has what they share.
    fn about_storm(&self, source: &Arc<str>, field: &str, value: &str, raging: &Raging) -> Entry {
        let mut row = Row::at(WallTime::default(), self.clock);
        row.repo = Some(Box::default());
        if let Some(field) = Field::by_name(field) {
            set(&mut row, field, Some(value));
        }
        Entry {
            id: raging.opened_by,
            identity: row.identity(),
            ordinal: 0,
            revises: false,
            source: source.clone(),
            asked_repo: "".into(),
            row,
        }
    }
}

/// What a storm's messages are about: its source, and what its members share.
fn storm_key(alert: &Alert<'_>, slot: &Slot) -> Key {
    let mut key = alert.key.clone();
    key.fields.retain(|(field, _)| DEFAULT_BY.contains(field) && *field == Field::ClusterId);
    key.digest = slot.subject.0;
    key
}

fn view(since: At, about: &Entry, count: u64) -> IncidentView {
    IncidentView {
        since: since.timestamp(),
        duration_s: At::from(about.row.time).since(since).max(0) / 1000,
        count,
        first_id: None,
    }
}
