//! Absence: what was not seen for too long, once, and once when it is seen again.
//!
//! Only time in which the source was read counts: while nobody looks, nothing can be missed.
//! Deliberately absent: how a source is read.

use std::{sync::Arc, time::Duration};

use super::{
    Decision,
    alert::{Alert, Cause},
    state::{Reading, State},
};
use crate::domain::{
    entry::Entry,
    incident::Incident,
    memory::{At, Slot, Subject},
    notification::{Key, Reason},
    rule::{Notify, Rule, RuleSet},
};

/// How long a source may go unread before that counts, unless it is read more rarely than that.
const PATIENCE_MS: i64 = 5 * 60 * 1000;

/// A source that is read is noted so often.
const NOTED_MS: i64 = 60 * 1000;

/// The most keys that one rule watches; of more, those that come later are not watched.
const MOST_WATCHED: usize = 10_000;

impl State {
    /// Begins the watch of rules that were never met before.
    pub(super) fn watch(&mut self, rules: &RuleSet, now: At) {
        for &index in &rules.lookup.absent {
            let rule = &rules.rules()[index];
            let slot = Slot::new(&rule.name, Subject::ALL);
            let Notify::Absent { after, per_key: false } = rule.notify else { continue };
            if self.incidents.get(&slot).is_some() {
                continue;
            }
            let mut incident = watched(rules, index, key_of_all(rule), "".into());
            incident.last = now;
            incident.unread_ms = self.unread_ms("");
            incident.quiet_at = Some(now.plus(after));
            self.incidents.put(slot, incident);
        }
    }

    /// For how long a source was not read, in all.
    fn unread_ms(&self, source: &str) -> i64 {
        self.readings.get(&reading_of(source)).map_or(0, |reading| reading.unread_ms)
    }
}

fn reading_of(source: &str) -> Slot {
    Slot { rule: source.into(), subject: Subject::ALL }
}

fn key_of_all(rule: &Rule) -> Key {
    Key { fields: Vec::new(), digest: Subject::of_texts(&["absent", &rule.name]).0 }
}

fn watched(rules: &RuleSet, index: usize, key: Key, source: Arc<str>) -> Incident {
    Incident::new(rules.lookup.of[index].shape, key, source, Reason::Absent)
}

impl Decision<'_> {
    /// `notify: {absent_for}`: what is watched for was seen.
    pub(super) fn is_seen(&mut self, index: usize, entry: &Entry, after: Duration, per_key: bool) {
        // What was taken in was read; where nobody says what is read, everything is.
        if self.state.readings.get(&reading_of(&entry.source)).is_some() {
            self.read(&entry.source, Duration::ZERO);
        }
        let rule = &self.rules.rules()[index];
        let subject = if per_key { self.subject_for(index, entry) } else { Subject::ALL };
        let slot = Slot::new(&rule.name, subject);
        if self.state.incidents.get(&slot).is_none() {
            if self.state.incidents.len() >= MOST_WATCHED && self.watches_enough(&rule.name) {
                return;
            }
            let key = Key::of(&rule.name, &rule.by, entry);
            let incident = watched(self.rules, index, key, entry.source.clone());
            self.state.incidents.put(slot.clone(), incident);
        }
        let Some(incident) = self.state.incidents.get(&slot) else { return };
        let at = self.time_of(&slot, entry);
        if at < incident.last && incident.last_entry.0 != [0; 16] {
            return;
        }
        let (before, knows) = (incident.clone(), self.who_knows(&slot));
        let unread_ms = self.state.unread_ms(&before.source);
        if before.open {
            self.closes_quietly(index, &slot);
        }
        self.state.incidents.edit(&slot, |incident| {
            incident.sees(entry, at);
            incident.last = at.max(before.last);
            incident.unread_ms = unread_ms;
            incident.quiet_at = Some(incident.last.plus(after));
            incident.forget_at = None;
        });
        if before.open {
            let mut alert = self.alert_of((index, subject), &before, Reason::Returned, entry);
            alert.incident = Some(before.view(at));
            self.tell_over(&alert, &before, knows);
        }
    }

    fn watches_enough(&self, rule: &Arc<str>) -> bool {
        self.state.incidents.iter().filter(|(slot, _)| slot.rule == *rule).count() >= MOST_WATCHED
    }

    /// A key has been quiet for as long as its rule says.
    pub(super) fn quiet_due(&mut self, index: usize, slot: &Slot) {
        let Notify::Absent { after, .. } = self.rules.rules()[index].notify else {
            return self.window_is_empty(index, slot);
        };
        let Some(incident) = self.state.incidents.get(slot) else { return };
        let reading = self.state.readings.get(&reading_of(&incident.source)).cloned();
        let unread = reading.as_ref().map_or(0, |reading| reading.unread_ms) - incident.unread_ms;
        let due = At(incident.last.plus(after).0.saturating_add(unread.max(0)));
        // While it is not read its watch stands still; the next reading sets it going.
        let blind = match reading {
            Some(read) => self.now.since(read.until) > read.patience_ms + NOTED_MS,
            None => self.awaits_reading(&incident.source),
        };
        if due > self.now || blind {
            let quiet_at = (!blind).then_some(due);
            self.state.incidents.edit(slot, |incident| incident.quiet_at = quiet_at);
            return;
        }
        self.is_absent(index, slot);
    }

    /// Whether a source, or any of them where none is named, was never read and is to be.
    fn awaits_reading(&self, source: &str) -> bool {
        let read = &self.rules.sources.read;
        self.state.readings_awaited
            && if source.is_empty() { !read.is_empty() } else { read.contains(source) }
    }

    fn is_absent(&mut self, index: usize, slot: &Slot) {
        let opened = self.state.incidents.edit(slot, |incident| {
            incident.open = true;
            incident.number += 1;
            incident.since = incident.last;
            incident.first = incident.last_entry;
            incident.count = 1;
            incident.reminders = 0;
            incident.quiet_at = None;
            incident.clone()
        });
        let Some(incident) = opened else { return };
        self.state.note_open(self.rules, slot);
        let sketch = incident.sketch();
        let alert = self.alert_of((index, slot.subject), &incident, Reason::Absent, &sketch);
        let alert = Alert {
            cause: Cause::Time("absent", incident.number),
            incident: Some(incident.view(self.now)),
            entries: incident.entries(),
            // What was never seen has no entry to list.
            more: Some(0),
            ..alert
        };
        let outcome = self.tell(&alert);
        self.remember(index, slot, outcome);
    }

    /// A source was read whole.
    pub(super) fn read(&mut self, source: &Arc<str>, every: Duration) {
        if !self.rules.watches_absence() {
            return;
        }
        self.note_reading(source, every);
        // What rules watch for in all sources is missed only while all of them are read.
        let now = self.now;
        let is_read =
            |reading: &Reading| now.since(reading.until) <= reading.patience_ms + NOTED_MS;
        let named = &self.rules.sources.read;
        let counts = |source: &Arc<str>| {
            if named.is_empty() { !source.is_empty() } else { named.contains(source) }
        };
        let unread = self.state.readings.find(|slot, one| counts(&slot.rule) && !is_read(one));
        let never = |one: &Arc<str>| self.state.readings.get(&reading_of(one)).is_none();
        let awaited = self.state.readings_awaited && named.iter().any(never);
        if unread.is_empty() && !awaited {
            self.note_reading(&"".into(), every);
        }
    }

    fn note_reading(&mut self, source: &Arc<str>, every: Duration) {
        let patience = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).saturating_mul(3);
        let now = self.now;
        let slot = Slot::new(source, Subject::ALL);
        let Some(reading) = self.state.readings.get(&slot) else {
            let patience_ms = patience.max(PATIENCE_MS);
            let reading = Reading { until: now, unread_ms: 0, patience_ms };
            self.state.readings.put(slot, reading);
            self.begin_watches(source);
            return self.resume_watches(source);
        };
        let (gap, known) = (now.since(reading.until), reading.patience_ms);
        if (0..NOTED_MS).contains(&gap) && patience <= known {
            return;
        }
        let unread = if gap > known + NOTED_MS { gap } else { 0 };
        self.state.readings.edit(&slot, |reading| {
            reading.until = now;
            reading.unread_ms += unread;
            if every > Duration::ZERO {
                reading.patience_ms = patience.max(PATIENCE_MS);
            }
        });
        if unread > 0 {
            self.resume_watches(source);
        }
    }

    /// Begins the watches for what was not seen yet when a source is first read.
    fn begin_watches(&mut self, source: &str) {
        if !self.awaits_reading(source) {
            return;
        }
        let unseen = self.state.incidents.find(|_, incident| {
            incident.opens_as == Reason::Absent
                && !incident.open
                && *incident.source == *source
                && incident.last_entry.0 == [0; 16]
        });
        for slot in unseen {
            let now = self.now;
            self.state.incidents.edit(&slot, |incident| {
                incident.last = now;
                incident.quiet_at = Some(now.plus(Duration::from_millis(1)));
            });
        }
    }

    /// Sets the watches going again that stood still while a source was not read.
    fn resume_watches(&mut self, source: &str) {
        let still = self.state.incidents.find(|_, incident| {
            incident.opens_as == Reason::Absent
                && !incident.open
                && *incident.source == *source
                && incident.quiet_at.is_none()
        });
        for slot in still {
            let now = self.now;
            self.state.incidents.edit(&slot, |incident| {
                incident.quiet_at = Some(now.plus(Duration::from_millis(1)));
            });
        }
    }
}
