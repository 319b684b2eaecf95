//! Silences, and what follows when they or an inhibition end.
//!
//! Deliberately absent: the language of their clauses.

use super::Decision;
use crate::domain::{
    entry::Entry,
    memory::{Slot, Subject},
    notification::HeldBy,
    rule::DEFAULT_BY,
    silence::{Silence, SilenceWish, Until},
    verdict::Truth,
};

impl Decision<'_> {
    fn silence_slot(&self, id: Subject) -> Slot {
        Slot::new(&self.state.nameless, id)
    }

    /// Whether a silence holds alerts about an entry.
    fn holds(&self, silence: &Silence, about: &Entry) -> bool {
        let clause = silence.clause.as_ref();
        clause.is_some_and(|clause| clause.evaluate(about, self.clock) == Truth::True)
    }

    /// Whether any silence holds alerts about an entry; nothing is noted of it.
    pub(super) fn is_silenced(&self, about: &Entry) -> bool {
        self.state.silences.iter().any(|(_, silence)| self.holds(silence, about))
    }

    /// The oldest silence that holds alerts about an entry, which is noted in it.
    pub(super) fn silence_of(&mut self, about: &Entry) -> Option<Subject> {
        let holding = self.state.silences.iter().filter(|(_, silence)| self.holds(silence, about));
        let first = holding.min_by_key(|(slot, silence)| (silence.created_at, slot.subject));
        let slot = first?.0.clone();
        self.state.silences.edit(&slot, |silence| {
            let until_success = silence.until == Until::NextSuccess;
            silence.holds(until_success.then(|| Subject::of(&DEFAULT_BY, about)));
        });
        Some(slot.subject)
    }

    /// Ends the silences that were to last until a success, by one.
    pub(super) fn end_silences_by_success(&mut self, entry: &Entry) {
        if self.state.silences.is_empty() {
            return;
        }
        let subject = Subject::of(&DEFAULT_BY, entry);
        let ended = self.state.silences.find(|_, silence| {
            let matches = || {
                let clause = silence.clause.as_ref();
                clause.is_some_and(|clause| clause.evaluate(entry, self.clock) == Truth::True)
            };
            silence.until == Until::NextSuccess
                && entry.row.time >= silence.created_at.timestamp()
                && (silence.subjects.contains(&subject) || matches())
        });
        for slot in ended {
            self.end_silence(slot.subject);
        }
    }

    /// A person's wish.
    pub(super) fn wish(&mut self, wish: &SilenceWish) {
        match wish {
            SilenceWish::Add(id, silence) => {
                let slot = self.silence_slot(*id);
                self.state.silences.put(slot, (**silence).clone());
            }
            SilenceWish::Extend(id, until) => {
                let slot = self.silence_slot(*id);
                self.state.silences.edit(&slot, |silence| silence.until = *until);
            }
            SilenceWish::End(id) => self.end_silence(*id),
        }
        // One that ends at once has ended.
        self.fire_due();
    }

    /// A silence's time has come.
    pub(super) fn silence_due(&mut self, slot: &Slot) {
        let due = |silence: &Silence| matches!(silence.until, Until::At(at) if at <= self.now);
        if self.state.silences.get(slot).is_some_and(due) {
            self.end_silence(slot.subject);
        }
    }

    /// Ends a silence: for each rule that it held, one summary.
    fn end_silence(&mut self, id: Subject) {
        let slot = self.silence_slot(id);
        if self.state.silences.remove(&slot).is_none() {
            return;
        }
        let bundles = self.state.bundles.find(|_, bundle| bundle.silence == Some(id));
        for slot in bundles {
            match self.rules.lookup.by_name.get(&slot.rule) {
                Some(&index) => self.close_bundle(index, &slot),
                None => {
                    self.state.bundles.remove(&slot);
                }
            }
        }
    }

    /// Tells what incidents explained that have ended, where it still lasts.
    pub(super) fn uninhibit(&mut self) {
        let mut others: Vec<usize> = std::mem::take(&mut self.ended)
            .into_iter()
            .flat_map(|index| self.rules.lookup.of[index].inhibited.iter().copied())
            .collect();
        others.sort_unstable();
        others.dedup();
        for other in others {
            let rule = &self.rules.rules()[other];
            let quiet = self.state.incidents.find(|slot, incident| {
                slot.rule == rule.name && incident.held == Some(HeldBy::Inhibited)
            });
            for slot in &quiet {
                self.release(other, slot);
            }
        }
    }
}
