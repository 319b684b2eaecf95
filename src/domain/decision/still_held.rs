//! What still holds what a bundle gathered when that for which it waited is over: a silence that ends
//! in a mute, a mute that ends in a silence, one of two silences, what another incident explains by
//! now. The holds are asked in their order for each that it lists, and what is held goes there; the
//! rest leaves.
//!
//! Deliberately absent: groups, which have passed the holds, and throttles, whose end passes them as
//! any alert does.

use super::{Decision, bundle::Joining};
use crate::domain::{
    entry::Entry,
    group::{Bundle, Kind, Listed},
    incident::{Incident, Told},
    interval,
    memory::{At, Slot},
    notification::{HeldBy, Reason},
};

/// What holds one that a bundle lists.
enum Holder {
    Nothing,
    /// Another rule's incident explains it.
    Incident,
    /// It joins this.
    Bundle(Box<Joining>),
}

impl Decision<'_> {
    /// Has what is still held go where it is held by now. False where nothing of the bundle is left
    /// to leave.
    pub(super) fn let_go(&mut self, index: usize, slot: &Slot) -> bool {
        let Some(bundle) = self.state.bundles.get(slot).cloned() else { return false };
        let asks = matches!(bundle.kind, Kind::Silence | Kind::Mute | Kind::CatchUp);
        if !asks || bundle.listed.is_empty() {
            return true;
        }
        let mut last = None;
        let mut left = Bundle { listed: Vec::new(), ..bundle.clone() };
        for listed in &bundle.listed {
            let listed = &self.of_now(slot, listed);
            let about = self.what_is_listed(slot, &bundle, listed);
            match self.holder(index, slot, &bundle, (listed, &about)) {
                Holder::Nothing => {
                    left.listed.push(listed.clone());
                    continue;
                }
                Holder::Incident => self.is_explained(slot, &bundle, listed),
                Holder::Bundle(joining) => {
                    let to = self.goes_to(index, slot, &bundle, listed.clone(), &joining);
                    last = to.or(last);
                }
            }
            left.count = left.count.saturating_sub(listed.alerts);
        }
        if !left.listed.is_empty() || left.count > 0 && last.is_none() {
            self.state.bundles.put(slot.clone(), left);
            return true;
        }
        // What is only counted goes with the last of those that are listed.
        match last {
            Some(last) if last == *slot => {}
            Some(last) => {
                self.state.bundles.edit(&last, |bundle| bundle.count += left.count);
                self.state.bundles.remove(slot);
            }
            None => {
                self.state.bundles.remove(slot);
            }
        }
        false
    }

    /// What a bundle lists, with the last entry where it is a key that fails and recovers in turns.
    fn of_now(&self, slot: &Slot, listed: &Listed) -> Listed {
        let mut listed = listed.clone();
        let known = self.state.incidents.get(&Slot::new(&slot.rule, listed.subject));
        if let Some(incident) = known.filter(|_| listed.reason == Reason::Flapping) {
            listed.entry = incident.last_entry;
        }
        listed
    }

    /// The first hold that keeps one back that a bundle lists.
    fn holder(
        &mut self,
        index: usize,
        slot: &Slot,
        bundle: &Bundle,
        (listed, about): (&Listed, &Entry),
    ) -> Holder {
        let rule = &self.rules.rules()[index];
        let known = self.state.incidents.get(&Slot::new(&slot.rule, listed.subject));
        // What no incident remembers, the end of a storm above all, would be told by nothing once that
        // one ends.
        if known.is_some_and(|known| known.key.digest == listed.key.digest)
            && self.is_inhibited(rule, about)
        {
            return Holder::Incident;
        }
        let whole = self.about_bundle(bundle);
        let mut alert = self.of_bundle(index, bundle, &whole, bundle.reason);
        alert.subject = listed.subject;
        alert.key = listed.key.clone();
        if let Some(silence) = self.silence_of(about) {
            return Holder::Bundle(Box::new(self.in_silence(&alert, silence)));
        }
        let mute = rule.quiet.mute.as_ref();
        match mute.and_then(|mute| interval::end_of(&mute.during, self.clock)) {
            Some(end) => Holder::Bundle(Box::new(self.in_mute(&alert, At::from(end)))),
            None => Holder::Nothing,
        }
    }

    /// Notes that another incident explains one that a bundle lists: it is told when that ends, if
    /// it still matters.
    fn is_explained(&mut self, slot: &Slot, bundle: &Bundle, listed: &Listed) {
        let key = Slot::new(&slot.rule, listed.subject);
        let waits = self.waits_in(&key, slot, bundle);
        self.state.incidents.edit(&key, |incident| {
            if waits && incident.open {
                incident.told = Told::No;
                incident.remind_at = None;
            }
            let owed = if listed.is_over() { &listed.to } else { &listed.owed };
            if incident.owes.is_empty() {
                incident.owes.clone_from(owed);
            }
            if incident.is_untold() || !incident.owes.is_empty() {
                incident.held = Some(HeldBy::Inhibited);
                incident.forget_at = None;
            }
        });
    }

    /// Moves one that a bundle lists into another, which may be the same again with another end.
    fn goes_to(
        &mut self,
        index: usize,
        slot: &Slot,
        bundle: &Bundle,
        listed: Listed,
        joining: &Joining,
    ) -> Option<Slot> {
        let to = Slot::new(&slot.rule, joining.subject);
        let key = Slot::new(&slot.rule, listed.subject);
        let waits = self.waits_in(&key, slot, bundle);
        if to == *slot {
            // What holds it is the same, and has another end by now.
            self.state.bundles.edit(&to, |bundle| bundle.due = joining.due);
            return Some(to);
        }
        if self.state.bundles.get(&to).is_none() {
            let whole = self.about_bundle(bundle);
            let alert = self.of_bundle(index, bundle, &whole, bundle.reason);
            let mut opened = self.opened(&alert, joining);
            // What stays behind leaves at this instant too, and its message's id is another.
            opened.opened_by = listed.entry;
            opened.opened_again = opened.opened_again.max(bundle.opened_again + 1);
            self.state.bundles.put(to.clone(), opened);
        }
        let is_open = self.state.incidents.get(&key).map(|incident| incident.open);
        let place = self.state.bundles.edit(&to, |into| {
            // The newest of a key says what it is now.
            let is_now = |one: &Listed| is_open.is_some_and(|open| open != one.is_over());
            let known = into.listed.iter().find(|known| known.subject == listed.subject);
            if is_now(&listed) && known.is_some_and(|known| !is_now(known)) {
                into.joins(listed, joining.most);
            } else {
                into.takes_over(listed, joining.most);
            }
            into.is_also_for(&joining.receivers);
            into.place(to.subject)
        });
        if let Some(place) = place.filter(|_| waits) {
            self.state.incidents.edit(&key, |incident| incident.told = Told::In(place));
        }
        Some(to)
    }

    /// An entry that stands for one that a bundle lists, as far as it is remembered.
    pub(super) fn what_is_listed(&self, slot: &Slot, bundle: &Bundle, listed: &Listed) -> Entry {
        let known = self.state.incidents.get(&Slot::new(&slot.rule, listed.subject));
        let sketch = known.map(Incident::sketch).unwrap_or_else(|| {
            let (key, source) = (listed.key.clone(), bundle.source.clone());
            let mut incident = Incident::new(0, key, source, Reason::Matched);
            incident.last = self.now;
            incident.seen = listed.seen.clone();
            incident.sketch()
        });
        Entry { id: listed.entry, ..sketch }
    }
}
