//! Ends: who hears that an incident is over, and what is owed to them where that was held.
//!
//! Deliberately absent: what ends an incident (`key`, `absence`).

use super::{
    Decision,
    alert::{Alert, Cause, Outcome},
    bundle::LATE_NEWS_REST,
    key::Knows,
};
use crate::domain::{
    entry::Entry,
    group::Kind,
    incident::{Incident, ToldTo},
    memory::{Slot, Subject},
    notification::{HeldBy, Reason},
};

impl Decision<'_> {
    /// Tells that an incident is over to those who know of it.
    pub(super) fn tell_over(&mut self, alert: &Alert<'_>, before: &Incident, knows: Knows) {
        let name = self.rules.rules()[alert.rule].name.clone();
        let slot = Slot::new(&name, alert.subject);
        let owed = self.state.incidents.edit(&slot, |incident| std::mem::take(&mut incident.owes));
        let owed = owed.unwrap_or_default();
        match knows {
            Knows::Nobody if owed.is_empty() => {
                self.hold(alert, before.held.unwrap_or(HeldBy::State));
            }
            Knows::Nobody => self.tell_well(alert, &slot, owed),
            Knows::Soon(place) => {
                // What waits there tells those of the end to whom it is owed.
                let to = (place.kind != Kind::Group && !owed.is_empty()).then(|| owed.clone());
                let ended = Alert { to: to.or_else(|| alert.to.clone()), ..alert.clone() };
                let by = self.over_in(&name, &place, &ended);
                if place.kind == Kind::Group {
                    self.hold_unsent(alert.rule, alert.subject, before);
                }
                if place.kind == Kind::Group && !owed.is_empty() {
                    self.tell_well(alert, &slot, owed);
                } else if place.kind != Kind::CatchUp {
                    self.hold(alert, by);
                }
            }
            Knows::These(told) => self.tell_well(alert, &slot, told),
            Knows::Storm(storm) => self.leave_storm(storm, alert),
        }
    }

    /// Tells those who know of an incident that it is over. What explains it may keep that from them
    /// for now, and so may late news that are skipped: then it is owed to them.
    fn tell_well(&mut self, alert: &Alert<'_>, slot: &Slot, told: Vec<ToldTo>) {
        let outcome = self.tell(&Alert { to: Some(told.clone()), ..alert.clone() });
        let Outcome::Held(by @ (HeldBy::Inhibited | HeldBy::CatchUp)) = outcome else { return };
        let caught_up = self.now.plus(LATE_NEWS_REST);
        self.state.incidents.edit(slot, |incident| {
            incident.owes = told;
            incident.held = Some(by);
            incident.forget_at = None;
            incident.remind_at = (by == HeldBy::CatchUp).then_some(caught_up);
        });
    }

    /// Tells of what another incident explained, once nothing explains it any more, or of late news
    /// that were skipped, once no more of it came: that it still lasts, or that it is over where that
    /// is owed to somebody.
    pub(super) fn release(&mut self, index: usize, slot: &Slot) -> bool {
        let Some(incident) = self.state.incidents.get(slot) else { return false };
        let sketch = incident.sketch();
        let what = match incident.held {
            Some(HeldBy::Inhibited) => "uninhibited",
            Some(HeldBy::CatchUp) => "caught-up",
            _ => return false,
        };
        if self.is_inhibited(&self.rules.rules()[index], &sketch) {
            return false;
        }
        if incident.is_untold() {
            self.tell_open(slot, what);
            return true;
        }
        if incident.open || incident.owes.is_empty() {
            return false;
        }
        let absence = incident.opens_as == Reason::Absent;
        let reason = if absence { Reason::Returned } else { Reason::Recovered };
        let mut alert = self.alert_of((index, slot.subject), incident, reason, &sketch);
        alert.cause = Cause::Time(what, 0);
        let forget_at = (!absence).then(|| self.forget_at(index));
        let owed = self.state.incidents.edit(slot, |incident| {
            incident.held = None;
            incident.remind_at = None;
            incident.forget_at = forget_at;
            std::mem::take(&mut incident.owes)
        });
        self.tell_well(&alert, slot, owed.unwrap_or_default());
        true
    }

    /// Records the failure that left its group unsent.
    pub(super) fn hold_unsent(&mut self, index: usize, subject: Subject, before: &Incident) {
        let sketch = Entry { id: before.first, ..before.sketch() };
        let mut alert = self.alert_of((index, subject), before, before.opens_as, &sketch);
        alert.cause = Cause::Time("unsent", 0);
        self.hold(&alert, HeldBy::Group);
    }
}
