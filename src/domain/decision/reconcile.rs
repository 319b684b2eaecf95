//! What becomes of what is remembered when the rules change.
//!
//! Rules are known by name. One that is gone, or whose `by` or `notify` is another, ends its incidents
//! in the record, with no message; what waited for it in a bundle is recorded as held. Since each
//! record says what its rule was like, the old rules are not needed, and a file that was edited
//! while nothing ran is dealt with in the same way. So is a clock that was set back meanwhile: what
//! waits does not wait longer than what begins to. Deliberately absent: reading the new rules.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Decision, Effects, bundle::LATE_NEWS_REST, state::State, storms::OWED};
use crate::domain::{
    group::Kind,
    memory::{At, Slot},
    notification::{HeldBy, Key},
    rule::{Rule, RuleSet},
    storm::Storm,
};

/// How long after a change of rules that is told which a rule explained that is gone.
const RELEASE: Duration = Duration::from_secs(60);

/// An incident that ended because its rule is gone or means something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The rule's name.
    pub rule: Arc<str>,
    /// What it was about.
    pub key: Key,
    /// Whether the rule is gone, rather than changed.
    pub removed: bool,
}

/// Fits what is remembered to a rule set, and says which incidents ended by that. Tells nobody
/// anything; [`State::take_changes`] is to be committed.
pub fn reconcile(rules: &RuleSet, state: &mut State, now: Timestamp) -> (Effects, Vec<Closed>) {
    let mut decision = Decision::new(rules, state, now);
    let closed = decision.drop_incidents();
    decision.drop_bundles();
    decision.drop_storms();
    // Receivers that a rule no longer tells are told nothing more.
    decision.state.derived = Default::default();
    decision.state.bind(rules, decision.now);
    decision.shorten_waits();
    decision.look_at_explained();
    (decision.effects, closed)
}

impl Decision<'_> {
    /// The rule that a record was made for, if it means the same now.
    fn same_rule(&self, slot: &Slot, shape: u64) -> Option<&Rule> {
        let &index = self.rules.lookup.by_name.get(&slot.rule)?;
        (self.rules.lookup.of[index].shape == shape).then(|| &self.rules.rules()[index])
    }

    fn drop_incidents(&mut self) -> Vec<Closed> {
        let gone = self
            .state
            .incidents
            .find(|slot, incident| self.same_rule(slot, incident.shape).is_none());
        let removed = gone.into_iter().filter_map(|slot| {
            let incident = self.state.incidents.remove(&slot)?;
            let removed = !self.rules.lookup.by_name.contains_key(&slot.rule);
            incident.open.then_some(Closed { rule: slot.rule, key: incident.key, removed })
        });
        removed.collect()
    }

    /// Has those incidents looked at in a while that a rule explained which now does not. This itself
    /// tells nobody anything.
    fn look_at_explained(&mut self) {
        let at = self.now.plus(RELEASE);
        let held = self
            .state
            .incidents
            .find(|_, one| one.held == Some(HeldBy::Inhibited) && one.waits_for_release());
        for slot in held {
            let Some(&index) = self.rules.lookup.by_name.get(&slot.rule) else { continue };
            let sketch = self.state.incidents.get(&slot).map(|incident| incident.sketch());
            let rule = &self.rules.rules()[index];
            if sketch.is_some_and(|sketch| !self.is_inhibited(rule, &sketch)) {
                self.state.incidents.edit(&slot, |incident| {
                    incident.remind_at = Some(incident.remind_at.map_or(at, |due| due.min(at)));
                });
            }
        }
    }

    fn drop_bundles(&mut self) {
        let all = self.state.bundles.find(|_, _| true);
        for slot in all {
            let Some(bundle) = self.state.bundles.get(&slot) else { continue };
            let kept: Vec<_> = match self.same_rule(&slot, bundle.shape) {
                Some(rule) => bundle
                    .receivers
                    .iter()
                    .filter(|receiver| rule.send_to.contains(receiver))
                    .cloned()
                    .collect(),
                None => Vec::new(),
            };
            if kept.len() == bundle.receivers.len() {
                continue;
            }
            self.hold_bundle(&slot, &kept);
            if kept.is_empty() {
                self.state.bundles.remove(&slot);
            } else {
                self.state.bundles.edit(&slot, |bundle| bundle.receivers = kept);
            }
        }
    }

    /// Has nothing wait longer than what begins to wait now, as it would by a clock that was set back.
    /// The ends of mutes and silences are times of day, which the clock says.
    fn shorten_waits(&mut self) {
        let now = self.now;
        let late =
            |due: Option<At>, longest: Duration| due.is_some_and(|at| at > now.plus(longest));
        for slot in self.state.bundles.find(|_, bundle| late(bundle.due, Duration::ZERO)) {
            let Some(rule) = self.rule_of(&slot) else { continue };
            let (group, throttle) = (rule.quiet.group.as_ref(), rule.quiet.throttle);
            let kind = self.state.bundles.get(&slot).map(|bundle| bundle.kind);
            let longest = match kind {
                Some(Kind::Group) => group.map(|group| group.wait),
                Some(Kind::Throttle) => throttle,
                Some(Kind::CatchUp) => Some(LATE_NEWS_REST),
                Some(Kind::Mute | Kind::Silence) | None => None,
            };
            let Some(longest) = longest else { continue };
            if self.state.bundles.get(&slot).is_some_and(|bundle| late(bundle.due, longest)) {
                self.state.bundles.edit(&slot, |bundle| bundle.due = Some(now.plus(longest)));
            }
        }
        for slot in self.state.incidents.find(|_, one| late(one.remind_at, RELEASE)) {
            let Some(rule) = self.rule_of(&slot) else { continue };
            let longest = rule.quiet.remind.map_or(RELEASE, |every| every.max(RELEASE));
            self.state.incidents.edit(&slot, |incident| {
                incident.remind_at = incident.remind_at.map(|at| at.min(now.plus(longest)));
            });
        }
        for slot in self.state.incidents.find(|_, one| late(one.calm_at, Duration::ZERO)) {
            let Some(rule) = self.rule_of(&slot) else { continue };
            let latest = now.plus(rule.quiet.flapping.within);
            self.state.incidents.edit(&slot, |incident| {
                incident.calm_at = incident.calm_at.map(|at| at.min(latest));
            });
        }
        let reminds = |storm: &Storm| storm.raging.as_ref().and_then(|raging| raging.remind_at);
        for slot in self.state.storms.find(|_, storm| late(reminds(storm), OWED)) {
            let Some(rule) = self.rule_of(&slot) else { continue };
            let latest = now.plus(rule.quiet.remind.map_or(OWED, |every| every.max(OWED)));
            self.state.storms.edit(&slot, |storm| {
                if let Some(raging) = &mut storm.raging {
                    raging.remind_at = raging.remind_at.map(|at| at.min(latest));
                }
            });
        }
    }

    fn rule_of(&self, slot: &Slot) -> Option<&Rule> {
        let &index = self.rules.lookup.by_name.get(&slot.rule)?;
        self.rules.rules().get(index)
    }

    fn drop_storms(&mut self) {
        let gone =
            self.state.storms.find(|slot, storm| self.same_rule(slot, storm.shape).is_none());
        for slot in gone {
            self.state.storms.remove(&slot);
        }
    }
}
