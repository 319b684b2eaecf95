//! A key's incidents: when one opens and ends, what is counted, when it is told again, and when it
//! flaps.
//!
//! Deliberately absent: who gets what is told (`alert`), and absence.

use std::time::Duration;

use super::{
    Decision,
    alert::{Alert, Cause, Outcome},
    bundle::{LATE_NEWS_REST, told_by_bundle},
    state::Well,
};
use crate::domain::{
    entry::{Entry, EntryId},
    group::Kind,
    incident::{Incident, IncidentView, Told, ToldTo, Waits},
    memory::{At, Slot, Subject},
    notification::{HeldBy, Key, Reason},
};

/// What need not be prompt is forgotten together, at whole ten minutes.
const FORGET_MS: i64 = 10 * 60 * 1000;

/// A key without an incident is remembered at least so long.
const REMEMBER: Duration = Duration::from_secs(3600);

/// The most failures of a key that are remembered while they are counted.
const MOST_COUNTED: usize = 1_000;

/// Who knows of an incident.
pub(super) enum Knows {
    Nobody,
    /// Those that this bundle will tell.
    Soon(Waits),
    These(Vec<ToldTo>),
    /// Those that a storm told.
    Storm(Subject),
}

/// Where a key stands between calm and flapping, once it changed.
enum Flaps {
    No,
    Begins,
    Lasts,
}

impl Decision<'_> {
    /// `notify: change`: a key fails.
    pub(super) fn fails(&mut self, index: usize, entry: &Entry) {
        let subject = self.subject_for(index, entry);
        let slot = self.slot(index, subject);
        if self.is_late(index, &slot, entry) {
            return self.hold_state(index, entry, Reason::Failing, subject);
        }
        self.know(index, &slot, entry, Reason::Failing);
        if self.state.incidents.get(&slot).is_some_and(|incident| incident.open) {
            return self.fails_again(index, &slot, entry);
        }
        let flaps = self.opens(index, &slot, entry);
        match flaps {
            Flaps::No => self.tell_opened(&slot, entry, &[entry.id], 1),
            Flaps::Begins => self.tell_flapping(index, &slot, entry),
            Flaps::Lasts => self.hold_state(index, entry, Reason::Failing, subject),
        }
    }

    /// `notify: {count, within}`: a key failed once more.
    pub(super) fn counts(&mut self, index: usize, entry: &Entry, count: usize, within: Duration) {
        let subject = self.subject_for(index, entry);
        let slot = self.slot(index, subject);
        if !self.still_counts(index, &slot, entry, within) {
            return self.hold_state(index, entry, Reason::Threshold, subject);
        }
        self.know(index, &slot, entry, Reason::Threshold);
        let (at, now) = (self.time_of(&slot, entry), self.now);
        let counted = self.state.incidents.edit(&slot, |incident| {
            let newest = incident.window.last().map_or(at, |(when, _)| at.max(*when));
            incident.window.retain(|(when, _)| *when > newest.minus(within));
            if incident.window.len() >= count.min(MOST_COUNTED) {
                incident.window.remove(0);
            }
            let place = incident.window.partition_point(|(when, _)| *when <= at);
            incident.window.insert(place, (at, entry.id));
            if incident.open {
                incident.quiet_at = Some(now.plus(within));
            } else {
                if at >= incident.last {
                    incident.sees(entry, at);
                }
                // A row that comes late may still count.
                incident.forget_at = Some(now.plus(within).plus(REMEMBER).rounded_up(FORGET_MS));
            }
            (incident.open, incident.window.clone())
        });
        let Some((open, window)) = counted else { return };
        if open {
            return self.fails_again(index, &slot, entry);
        }
        if window.len() < count {
            return self.hold_state(index, entry, Reason::Threshold, subject);
        }
        self.opens(index, &slot, entry);
        let total = window.len() as u64;
        self.state.incidents.edit(&slot, |incident| {
            incident.since = window.first().map_or(at, |(when, _)| *when);
            incident.count = total;
            incident.quiet_at = Some(now.plus(within));
        });
        let entries: Vec<EntryId> = window.into_iter().map(|(_, entry)| entry).collect();
        self.tell_opened(&slot, entry, &entries, total);
    }

    /// An entry for which `recover` holds, of a key that may have an incident.
    pub(super) fn recovers(&mut self, index: usize, entry: &Entry) {
        let subject = self.subject_for(index, entry);
        let slot = self.slot(index, subject);
        let Some(incident) = self.state.incidents.get(&slot).filter(|incident| incident.open)
        else {
            return self.storm_member_recovers(index, subject, entry);
        };
        let reason = Reason::Recovered;
        if At::from(entry.row.time) < incident.last {
            return self.hold_state(index, entry, reason, subject);
        }
        let at = self.time_of(&slot, entry);
        let knows = self.who_knows(&slot);
        let before = incident.clone();
        let flaps = self.closes(index, &slot, entry);
        self.fails_no_more(index, subject);
        let mut alert = self.alert_of((index, subject), &before, reason, entry);
        alert.incident = Some(before.view(at));
        match (flaps, knows) {
            (Flaps::No, knows) => self.tell_over(&alert, &before, knows),
            (Flaps::Lasts, Knows::Storm(storm)) => self.leave_storm(storm, &alert),
            (Flaps::Lasts, _) => self.hold_state(index, entry, reason, subject),
            (Flaps::Begins, knows) => {
                if let Knows::Storm(storm) = knows {
                    self.leave_storm(storm, &alert);
                }
                self.tell_flapping(index, &slot, entry);
            }
        }
    }

    /// A key that fails already failed again.
    fn fails_again(&mut self, index: usize, slot: &Slot, entry: &Entry) {
        let at = self.time_of(slot, entry);
        let untold = self.state.incidents.edit(slot, |incident| {
            incident.fails(entry, at);
            incident.is_untold() && incident.calm_at.is_none()
        });
        if untold == Some(true) {
            return self.tell_opened(slot, entry, &[entry.id], 1);
        }
        let opens_as = self.state.incidents.get(slot).map(|incident| incident.opens_as);
        self.hold_state(index, entry, opens_as.unwrap_or(Reason::Failing), slot.subject);
    }

    /// Makes sure that something is remembered of a key.
    pub(super) fn know(&mut self, index: usize, slot: &Slot, entry: &Entry, opens_as: Reason) {
        if self.state.incidents.get(slot).is_none() {
            let rule = &self.rules.rules()[index];
            let key = Key::of(&rule.name, &rule.by, entry);
            let shape = self.rules.lookup.of[index].shape;
            let incident = Incident::new(shape, key, entry.source.clone(), opens_as);
            self.state.incidents.put(slot.clone(), incident);
        }
    }

    /// Opens an incident.
    fn opens(&mut self, index: usize, slot: &Slot, entry: &Entry) -> Flaps {
        let at = self.time_of(slot, entry);
        self.state.incidents.edit(slot, |incident| incident.fails(entry, at));
        self.state.note_open(self.rules, slot);
        self.note_change(index, slot, at)
    }

    /// Ends an incident, and lets those speak whom it kept quiet.
    fn closes(&mut self, index: usize, slot: &Slot, entry: &Entry) -> Flaps {
        let at = self.time_of(slot, entry);
        self.state.note_closed(self.rules, slot);
        self.state.incidents.edit(slot, |incident| incident.sees(entry, at));
        let forget_at = self.forget_at(index);
        self.state.incidents.edit(slot, |incident| incident.closes(forget_at));
        let flaps = self.note_change(index, slot, at);
        if matches!(flaps, Flaps::No) {
            self.state.incidents.edit(slot, |incident| incident.told = Told::No);
        }
        self.ended.push(index);
        flaps
    }

    /// Ends an incident of which nothing more is to be told.
    pub(super) fn closes_quietly(&mut self, index: usize, slot: &Slot) {
        self.state.note_closed(self.rules, slot);
        let forget_at = self.forget_at(index);
        self.state.incidents.edit(slot, |incident| {
            incident.closes(forget_at);
            incident.told = Told::No;
        });
        self.ended.push(index);
    }

    pub(super) fn forget_at(&self, index: usize) -> At {
        let flapping = self.rules.rules()[index].quiet.flapping.within;
        self.now.plus(flapping.max(REMEMBER)).rounded_up(FORGET_MS)
    }

    /// Notes that a key changed, and whether it changes too often.
    fn note_change(&mut self, index: usize, slot: &Slot, at: At) -> Flaps {
        let rule = &self.rules.rules()[index];
        let flapping = rule.quiet.flapping;
        let calm_at = self.now.plus(flapping.within);
        let flaps = self.state.incidents.edit(slot, |incident| {
            if incident.opens_as != Reason::Failing {
                return Flaps::No;
            }
            incident.changes.retain(|when| *when > at.minus(flapping.within));
            if incident.changes.len() > flapping.changes {
                incident.changes.remove(0);
            }
            incident.changes.push(at);
            if incident.calm_at.is_some() {
                incident.calm_at = Some(calm_at);
                return Flaps::Lasts;
            }
            if incident.changes.len() <= flapping.changes {
                return Flaps::No;
            }
            incident.calm_at = Some(calm_at);
            incident.remind_at = None;
            Flaps::Begins
        });
        flaps.unwrap_or(Flaps::No)
    }

    /// Tells once that a key flaps.
    fn tell_flapping(&mut self, index: usize, slot: &Slot, entry: &Entry) {
        let Some(incident) = self.state.incidents.get(slot).cloned() else { return };
        if let Knows::Soon(place) = self.who_knows(slot)
            && place.kind == Kind::Group
        {
            let alert = self.alert_of((index, slot.subject), &incident, incident.opens_as, entry);
            self.over_in(&slot.rule, &place, &alert);
            self.hold_unsent(index, slot.subject, &incident);
        }
        let mut alert = self.alert_of((index, slot.subject), &incident, Reason::Flapping, entry);
        let count = incident.changes.len() as u64;
        alert.incident = Some(IncidentView { count, ..incident.view(incident.last) });
        let outcome = self.tell(&alert);
        let told = match (told_of(outcome), incident.told) {
            (Told::No, before) => before,
            (told, _) => told,
        };
        self.state.incidents.edit(slot, |incident| incident.told = told);
    }

    /// A flapping key has been calm for long enough: where it stands is told once.
    fn calms(&mut self, index: usize, slot: &Slot) {
        let knows = self.who_knows(slot);
        self.state.incidents.edit(slot, |incident| incident.calm_at = None);
        let Some(incident) = self.state.incidents.get(slot).cloned() else { return };
        if incident.open {
            self.state.incidents.edit(slot, |incident| {
                incident.told = Told::No;
                // Who was told that it flaps hears of its end, though this be held.
                if let Knows::These(told) = knows
                    && incident.owes.is_empty()
                {
                    incident.owes = told;
                }
            });
            return self.tell_open(slot, "calm");
        }
        self.state.incidents.edit(slot, |incident| incident.told = Told::No);
        let sketch = incident.sketch();
        let mut alert = self.alert_of((index, slot.subject), &incident, Reason::Recovered, &sketch);
        alert.cause = Cause::Time("calm", 0);
        alert.incident = Some(incident.view(incident.last));
        self.tell_over(&alert, &incident, knows);
    }

    /// Tells of an incident that has just opened, or that nobody knows of yet, because of an entry.
    fn tell_opened(&mut self, slot: &Slot, entry: &Entry, entries: &[EntryId], count: u64) {
        let Some(&index) = self.rules.lookup.by_name.get(&slot.rule) else { return };
        let Some(incident) = self.state.incidents.get(slot) else { return };
        let mut alert = self.alert_of((index, slot.subject), incident, incident.opens_as, entry);
        let most = super::state::listed(self.rules, index);
        let from = entries.len().saturating_sub(most);
        alert.entries = entries[from..].to_vec();
        alert.count = count;
        let outcome = self.tell(&alert);
        self.remember(index, slot, outcome);
    }

    /// Tells of an incident that is open because nothing holds it any more; `what` was it.
    pub(super) fn tell_open(&mut self, slot: &Slot, what: &'static str) {
        let Some(&index) = self.rules.lookup.by_name.get(&slot.rule) else { return };
        let Some(incident) = self.state.incidents.get(slot).cloned() else { return };
        let sketch = incident.sketch();
        let mut alert = self.alert_of((index, slot.subject), &incident, incident.opens_as, &sketch);
        alert.cause = Cause::Time(what, incident.count);
        alert.incident = Some(incident.view(self.now.max(incident.last)));
        let outcome = self.tell(&alert);
        self.remember(index, slot, outcome);
    }

    /// Remembers who was told of an incident.
    pub(super) fn remember(&mut self, index: usize, slot: &Slot, outcome: Outcome) {
        let remind = self.rules.rules()[index].quiet.remind;
        let remind_at = remind.map(|every| self.now.plus(every));
        let caught_up = self.now.plus(LATE_NEWS_REST);
        self.state.incidents.edit(slot, |incident| {
            incident.held = match &outcome {
                Outcome::Held(by) => Some(*by),
                _ => None,
            };
            if matches!(outcome, Outcome::Sent(_)) {
                incident.owes.clear();
            }
            incident.told = told_of(outcome);
            incident.remind_at = match incident.held {
                Some(HeldBy::CatchUp) => Some(caught_up),
                _ => remind_at.filter(|_| !matches!(incident.told, Told::No | Told::Storm(_))),
            };
        });
    }

    /// What is due about a key.
    pub(super) fn incident_due(&mut self, slot: &Slot) {
        let Some(&index) = self.rules.lookup.by_name.get(&slot.rule) else { return };
        let due = |at: Option<At>, now: At| at.is_some_and(|at| at <= now);
        let now = self.now;
        let is = |this: &Self, of: fn(&Incident) -> Option<At>| {
            this.state.incidents.get(slot).is_some_and(|incident| due(of(incident), now))
        };
        if is(self, |incident| incident.calm_at) {
            self.calms(index, slot);
        }
        if is(self, |incident| incident.quiet_at) {
            self.quiet_due(index, slot);
        }
        if is(self, |incident| incident.remind_at) {
            self.remind(index, slot);
        }
        if is(self, |incident| incident.forget_at) {
            let idle = |incident: &Incident| !incident.open && incident.calm_at.is_none();
            if self.state.incidents.get(slot).is_some_and(idle) {
                self.state.incidents.remove(slot);
            } else {
                self.state.incidents.edit(slot, |incident| incident.forget_at = None);
            }
        }
    }

    /// A key has been quiet for as long as a window: what was counted is nothing any more.
    pub(super) fn window_is_empty(&mut self, index: usize, slot: &Slot) {
        let Some(incident) = self.state.incidents.get(slot).cloned() else { return };
        if !incident.open {
            self.state.incidents.edit(slot, |incident| incident.quiet_at = None);
            return;
        }
        // That nothing more was pushed is no sign of health, so nobody is told; the record is.
        let knows = self.who_knows(slot);
        self.closes_quietly(index, slot);
        self.fails_no_more(index, slot.subject);
        let sketch = incident.sketch();
        let mut alert = self.alert_of((index, slot.subject), &incident, Reason::Recovered, &sketch);
        alert.cause = Cause::Time("quiet", 0);
        alert.incident = Some(incident.view(incident.last));
        match knows {
            Knows::Storm(storm) => self.leave_storm(storm, &alert),
            _ => {
                self.hold(&alert, HeldBy::State);
            }
        }
    }

    /// Tells again of an incident that lasts.
    fn remind(&mut self, index: usize, slot: &Slot) {
        if self.release(index, slot) {
            return;
        }
        let every = self.rules.rules()[index].quiet.remind;
        let (now, knows) = (self.now, self.who_knows(slot));
        let incident = self.state.incidents.edit(slot, |incident| {
            incident.remind_at = every.filter(|_| incident.open).map(|every| now.plus(every));
            incident.reminders += u64::from(matches!(knows, Knows::These(_)));
            incident.clone()
        });
        let (Some(incident), Knows::These(told)) = (incident, knows) else { return };
        if !incident.open || incident.calm_at.is_some() {
            return;
        }
        let sketch = incident.sketch();
        let mut alert = self.alert_of((index, slot.subject), &incident, Reason::Reminder, &sketch);
        alert.cause = Cause::Time("reminder", incident.reminders);
        alert.incident = Some(incident.view(now.max(incident.last)));
        alert.count = 1;
        alert.to = Some(told);
        self.tell(&alert);
    }

    /// Who knows of an incident by now.
    pub(super) fn who_knows(&self, slot: &Slot) -> Knows {
        let Some(incident) = self.state.incidents.get(slot) else { return Knows::Nobody };
        match &incident.told {
            Told::No => Knows::Nobody,
            Told::Directly(told) => Knows::These(told.clone()),
            Told::Storm(storm) => Knows::Storm(*storm),
            Told::In(place) => {
                let bundle = self.state.bundles.get(&Slot::new(&slot.rule, place.bundle));
                if bundle.is_some_and(|bundle| bundle.is(place)) {
                    return Knows::Soon(place.clone());
                }
                match self.rules.lookup.by_name.get(&slot.rule) {
                    Some(&index) => Knows::These(told_by_bundle(place, &self.rules.rules()[index])),
                    None => Knows::Nobody,
                }
            }
        }
    }

    /// An alert about an incident, because of an entry or a sketch of one.
    pub(super) fn alert_of<'e>(
        &self,
        (index, subject): (usize, Subject),
        incident: &Incident,
        reason: Reason,
        about: &'e Entry,
    ) -> Alert<'e> {
        let known = about.id != EntryId([0; 16]);
        Alert {
            rule: index,
            reason,
            about,
            cause: Cause::Entry,
            subject,
            key: incident.key.clone(),
            source: incident.source.clone(),
            entries: if known { vec![about.id] } else { Vec::new() },
            count: 1,
            more: None,
            number: incident.number,
            incident: Some(incident.view(incident.last)),
            to: None,
        }
    }

    /// Records what the rule's state keeps from being told again.
    pub(super) fn hold_state(
        &mut self,
        index: usize,
        entry: &Entry,
        reason: Reason,
        subject: Subject,
    ) {
        let rule = &self.rules.rules()[index];
        let incident = self.state.incidents.get(&Slot::new(&rule.name, subject));
        let alert = match incident {
            Some(incident) => self.alert_of((index, subject), incident, reason, entry),
            None => Alert::of_entry(index, reason, entry, rule),
        };
        let by = match rule.mode {
            crate::domain::rule::Mode::Shadow => HeldBy::Shadow,
            crate::domain::rule::Mode::Live => HeldBy::State,
        };
        self.hold(&alert, by);
    }

    /// Whether a failure is to be counted: one that comes late is while its key does not fail, is not
    /// known to have been well since, and the window still reaches back to it.
    fn still_counts(&self, index: usize, slot: &Slot, entry: &Entry, within: Duration) -> bool {
        if !self.is_late(index, slot, entry) {
            return true;
        }
        let at = At::from(entry.row.time);
        let Some(incident) = self.state.incidents.get(slot) else { return false };
        let reaches = incident.window.last().is_some_and(|(when, _)| at > when.minus(within));
        let well = self.last_well(index, slot);
        !incident.open && reaches && well.is_none_or(|well| at >= well)
    }

    /// When a key was last well, where that is still known.
    fn last_well(&self, index: usize, slot: &Slot) -> Option<At> {
        let class = self.rules.lookup.of[index].class?;
        let stamp = self.rules.lookup.classes[class].stamp;
        let well = Slot::new(&self.state.nameless, slot.subject.in_light_of(stamp));
        self.state.well_keys.get(&well).map(|well| well.last)
    }

    /// Whether an entry is older than its key's last state.
    fn is_late(&self, index: usize, slot: &Slot, entry: &Entry) -> bool {
        let at = At::from(entry.row.time);
        if self.state.incidents.get(slot).is_some_and(|incident| at < incident.last) {
            return true;
        }
        self.last_well(index, slot).is_some_and(|well| at < well)
    }

    /// The time that is believed of an entry. One from the future is as old as the present, and not
    /// older than its key's last state: it must not keep its key from moving until then.
    pub(super) fn time_of(&self, slot: &Slot, entry: &Entry) -> At {
        let last = self.state.incidents.get(slot).map_or(self.now, |incident| incident.last);
        At::from(entry.row.time).min(self.now.max(last))
    }

    /// Notes that a key was well, for as long as an older row may still come.
    pub(super) fn note_well(&mut self, subject: Subject, entry: &Entry) {
        let slot = Slot::new(&self.state.nameless, subject);
        let before = self.state.well_keys.get(&slot).map_or(self.now, |well| well.last);
        let last = At::from(entry.row.time).min(self.now.max(before));
        let forget_at =
            self.now.plus(self.rules.sources.overlap.max(REMEMBER)).rounded_up(FORGET_MS);
        match self.state.well_keys.get(&slot) {
            None => self.state.well_keys.put(slot, Well { last, forget_at }),
            Some(well) if well.last < last => {
                self.state.well_keys.edit(&slot, |well| *well = Well { last, forget_at });
            }
            Some(_) => {}
        }
    }
}

pub(super) fn told_of(outcome: Outcome) -> Told {
    match outcome {
        Outcome::Sent(told) => Told::Directly(told),
        Outcome::Waits(place) => Told::In(place),
        Outcome::Storm(storm) => Told::Storm(storm),
        Outcome::Held(_) => Told::No,
    }
}
