//! What still holds a bundle when that for which it waited is over: a silence that ends in a mute, a
//! mute that ends in a silence, one of two silences. It waits on, as a whole, for the end of that.
//!
//! Deliberately absent: a bundle of which a part is held; it leaves whole.

use super::Decision;
use crate::domain::{
    entry::Entry,
    group::{Bundle, Kind},
    incident::Incident,
    interval,
    memory::{At, Slot, Subject},
    notification::Reason,
};

impl Decision<'_> {
    /// Whether a bundle is still held; then it is noted in it until when.
    pub(super) fn is_still_held(&mut self, index: usize, slot: &Slot) -> bool {
        let Some(bundle) = self.state.bundles.get(slot) else { return false };
        let asks = matches!(bundle.kind, Kind::Silence | Kind::Mute | Kind::CatchUp);
        if !asks || bundle.listed.is_empty() {
            return false;
        }
        let about = self.what_it_lists(slot, bundle);
        if let Some(silence) = self.silence_of_all(&about) {
            self.state.bundles.edit(slot, |bundle| {
                bundle.silence = Some(silence);
                bundle.due = None;
            });
            return true;
        }
        let mute = self.rules.rules()[index].quiet.mute.as_ref();
        let Some(end) = mute.and_then(|mute| interval::end_of(&mute.during, self.clock)) else {
            return false;
        };
        self.state.bundles.edit(slot, |bundle| {
            bundle.silence = None;
            bundle.due = Some(At::from(end));
        });
        true
    }

    /// Entries that stand for what a bundle lists, as far as they are remembered.
    fn what_it_lists(&self, slot: &Slot, bundle: &Bundle) -> Vec<Entry> {
        let about = |listed: &crate::domain::group::Listed| {
            let known = self.state.incidents.get(&Slot::new(&slot.rule, listed.subject));
            let sketch = known.map(Incident::sketch).unwrap_or_else(|| {
                let (key, source) = (listed.key.clone(), bundle.source.clone());
                let mut incident = Incident::new(0, key, source, Reason::Matched);
                incident.last = self.now;
                incident.sketch()
            });
            Entry { id: listed.entry, ..sketch }
        };
        bundle.listed.iter().map(about).collect()
    }

    /// The silence that holds the first of these, where each is held by one.
    fn silence_of_all(&mut self, about: &[Entry]) -> Option<Subject> {
        if !about.iter().all(|about| self.is_silenced(about)) {
            return None;
        }
        let silences: Vec<_> = about.iter().map(|about| self.silence_of(about)).collect();
        silences.into_iter().flatten().next()
    }
}
