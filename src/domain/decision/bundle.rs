//! Bundles: what goes into one, and what becomes of it when it is due.
//!
//! Deliberately absent: the holds' order (`alert`).

use std::{sync::Arc, time::Duration};

use super::{
    Decision,
    alert::{Alert, Cause, Outcome},
};
use crate::domain::{
    entry::{Entry, EntryId, Row, WallTime},
    group::{Bundle, Kind, Listed},
    incident::{Incident, IncidentView, ToldTo, Waits},
    memory::{At, Slot, Subject},
    notification::{HeldBy, Intent, Key, NotificationId, Reason},
    quiet::{AtEnd, LISTED},
    rule::{Mode, Notify, Rule, Severity},
    seen::Seen,
};

/// Late news wait for more of their kind so long, from the last of them.
pub(super) const LATE_NEWS_REST: Duration = Duration::from_secs(30);

/// And at most so long in all.
const LATE_NEWS_IN_ALL: Duration = Duration::from_secs(600);

/// How many alerts a mute without a summary remembers one by one.
const RESENT: usize = 100;

/// How a bundle is opened for an alert, where it is not open yet.
pub(super) struct Joining {
    pub(super) kind: Kind,
    pub(super) subject: Subject,
    pub(super) reason: Reason,
    pub(super) key: Key,
    pub(super) due: Option<At>,
    pub(super) silence: Option<Subject>,
    pub(super) receivers: Vec<Arc<str>>,
    pub(super) most: usize,
    /// Whether each alert is listed by itself.
    pub(super) apart: bool,
}

/// The subject of a rule's bundle of a kind.
fn bundle_of(kind: Kind, of: Subject) -> Subject {
    of.in_light_of(Subject::of_texts(&[kind.name()]))
}

impl Decision<'_> {
    /// Puts an alert into a bundle; a reminder into none, since the next one says the same.
    fn join(&mut self, alert: &Alert<'_>, joining: &Joining) -> Outcome {
        let rule = &self.rules.rules()[alert.rule];
        let held_by = joining.kind.held_by();
        if let Some(by) = held_by {
            self.hold(alert, by);
            if alert.reason == Reason::Reminder {
                return Outcome::Held(by);
            }
        }
        let slot = Slot::new(&rule.name, joining.subject);
        if self.state.bundles.get(&slot).is_none() {
            let bundle = self.opened(alert, joining);
            self.state.bundles.put(slot.clone(), bundle);
        }
        let mut listed = listed_of(alert);
        // A group has passed the holds. An incident may be forgotten before a silence ends.
        if joining.kind == Kind::Group {
            listed.key = Key::none();
        } else {
            listed.seen = Seen::of(alert.about, &listed.key);
        }
        let place = self.state.bundles.edit(&slot, |bundle| {
            bundle.joins(listed, joining.most);
            bundle.is_also_for(&joining.receivers);
            // Late news go on as long as more of them come; a mute may have been changed.
            if matches!(bundle.kind, Kind::CatchUp | Kind::Mute) {
                bundle.due = joining.due;
            }
            bundle.place(slot.subject)
        });
        match place {
            Some(place) => Outcome::Waits(place),
            None => Outcome::Held(held_by.unwrap_or(HeldBy::Group)),
        }
    }

    pub(super) fn opened(&self, alert: &Alert<'_>, joining: &Joining) -> Bundle {
        Bundle {
            shape: self.rules.lookup.of[alert.rule].shape,
            kind: joining.kind,
            reason: joining.reason,
            source: alert.source.clone(),
            key: joining.key.clone(),
            opened_by: alert.about.id,
            opened_at: self.now,
            opened_again: match alert.cause {
                Cause::Entry => 0,
                Cause::Time(..) => self.now.0,
            },
            due: joining.due,
            receivers: joining.receivers.clone(),
            listed: Vec::new(),
            apart: joining.apart,
            count: 0,
            silence: joining.silence,
        }
    }

    pub(super) fn join_late_news(&mut self, alert: &Alert<'_>) -> Outcome {
        let source = Subject::of_texts(&[&alert.source]);
        let mut joining = self.joining(alert, Kind::CatchUp, bundle_of(Kind::CatchUp, source));
        joining.reason = Reason::CatchUp;
        joining.key = Key::of(&self.rules.rules()[alert.rule].name, &[], alert.about);
        let slot = self.slot(alert.rule, joining.subject);
        let opened = self.state.bundles.get(&slot).map_or(self.now, |bundle| bundle.opened_at);
        let most = opened.plus(LATE_NEWS_IN_ALL);
        joining.due = Some(self.now.plus(LATE_NEWS_REST).min(most));
        self.join(alert, &joining)
    }

    pub(super) fn join_silence(&mut self, alert: &Alert<'_>, silence: Subject) -> Outcome {
        let joining = self.in_silence(alert, silence);
        self.join(alert, &joining)
    }

    /// A place in what a silence holds.
    pub(super) fn in_silence(&self, alert: &Alert<'_>, silence: Subject) -> Joining {
        let subject = bundle_of(Kind::Silence, silence);
        let mut joining = self.joining(alert, Kind::Silence, subject);
        joining.silence = Some(silence);
        joining.key = Key::of(&self.rules.rules()[alert.rule].name, &[], alert.about);
        joining
    }

    pub(super) fn join_mute(&mut self, alert: &Alert<'_>, end: At) -> Outcome {
        let joining = self.in_mute(alert, end);
        self.join(alert, &joining)
    }

    /// A place in what a mute holds.
    pub(super) fn in_mute(&self, alert: &Alert<'_>, end: At) -> Joining {
        let rule = &self.rules.rules()[alert.rule];
        let mut joining = self.joining(alert, Kind::Mute, bundle_of(Kind::Mute, Subject::ALL));
        joining.due = Some(end);
        joining.key = Key::of(&rule.name, &[], alert.about);
        let at_end = rule.quiet.mute.as_ref().map_or(AtEnd::Summary, |mute| mute.at_end);
        if at_end != AtEnd::Summary {
            joining.most = RESENT;
            joining.apart = at_end == AtEnd::Resend && rule.notify == Notify::Every;
        }
        joining
    }

    /// Holds an alert of a key that was told too recently.
    pub(super) fn join_throttle(&mut self, alert: &Alert<'_>) -> Option<Outcome> {
        self.rules.rules()[alert.rule].quiet.throttle?;
        let subject = bundle_of(Kind::Throttle, alert.subject);
        self.state.bundles.get(&self.slot(alert.rule, subject))?;
        let joining = self.joining(alert, Kind::Throttle, subject);
        Some(self.join(alert, &joining))
    }

    /// Begins a key's throttle: an empty bundle that gathers what comes meanwhile.
    pub(super) fn begin_throttle(&mut self, alert: &Alert<'_>) {
        let rule = &self.rules.rules()[alert.rule];
        let Some(period) = rule.quiet.throttle else { return };
        let subject = bundle_of(Kind::Throttle, alert.subject);
        let slot = Slot::new(&rule.name, subject);
        if self.state.bundles.get(&slot).is_none() {
            let mut joining = self.joining(alert, Kind::Throttle, subject);
            joining.due = Some(self.now.plus(period));
            let bundle = self.opened(alert, &joining);
            self.state.bundles.put(slot, bundle);
        }
    }

    pub(super) fn join_group(&mut self, alert: &Alert<'_>) -> Outcome {
        let rule = &self.rules.rules()[alert.rule];
        let Some(group) = &rule.quiet.group else { return self.send(alert) };
        let mut joining = self.joining(alert, Kind::Group, Subject::ALL);
        let mut texts = vec![alert.reason.name()];
        texts.extend(joining.receivers.iter().map(|receiver| &**receiver));
        let values = Subject::of(&group.by, alert.about);
        joining.subject = bundle_of(Kind::Group, values.in_light_of(Subject::of_texts(&texts)));
        joining.reason = alert.reason;
        joining.key = Key::of(&rule.name, &group.by, alert.about);
        joining.due = Some(self.now.plus(group.wait));
        joining.most = group.max;
        if is_news(alert.reason) {
            self.begin_throttle(alert);
        }
        self.join(alert, &joining)
    }

    /// Takes out of its group what would be told after this alert and says otherwise: the end of the
    /// key's last incident, a reminder. Where it is the end, nothing has changed for those whom that
    /// would have told.
    pub(super) fn overtakes(&mut self, alert: &Alert<'_>) -> Option<Outcome> {
        if alert.reason.is_over() {
            self.takes_out(alert, |reason| reason == Reason::Reminder, alert.number);
        } else if is_news(alert.reason) && alert.number > 1 {
            let end = self.takes_out(alert, Reason::is_over, alert.number - 1)?;
            self.hold(alert, HeldBy::Group);
            return Some(Outcome::Sent(end.to));
        }
        None
    }

    /// Takes out of a group what waits in it about the same key for such a reason, and is not so any
    /// more; `number` is that of its incident. It is recorded as held.
    fn takes_out(
        &mut self,
        alert: &Alert<'_>,
        such: impl Fn(Reason) -> bool,
        number: u64,
    ) -> Option<Listed> {
        let rule = &self.rules.rules()[alert.rule];
        let is_it = |listed: &Listed| listed.subject == alert.subject;
        let groups = self.state.bundles.find(|slot, bundle| {
            slot.rule == rule.name
                && bundle.kind == Kind::Group
                && such(bundle.reason)
                && bundle.listed.iter().any(is_it)
        });
        let slot = groups.into_iter().next()?;
        let (listed, empty) = self.state.bundles.edit(&slot, |bundle| {
            let listed = bundle.listed.iter().find(|listed| is_it(listed)).cloned();
            bundle.leaves(alert.subject);
            (listed, bundle.count == 0)
        })?;
        if empty {
            self.state.bundles.remove(&slot);
        }
        let listed = listed?;
        let about = Entry { id: listed.entry, ..alert.about.clone() };
        let unsent = Alert {
            reason: listed.reason,
            about: &about,
            cause: Cause::Time("unsent", 0),
            entries: vec![listed.entry],
            count: 1,
            number,
            incident: listed.incident.map(view_of),
            to: Some(listed.to.clone()),
            ..alert.clone()
        };
        self.hold(&unsent, HeldBy::Group);
        Some(listed)
    }

    /// A bundle's time has come.
    pub(super) fn bundle_due(&mut self, slot: &Slot) {
        let Some(bundle) = self.state.bundles.get(slot) else { return };
        if bundle.due.is_none_or(|due| due > self.now) {
            return;
        }
        let Some(&index) = self.rules.lookup.by_name.get(&slot.rule) else {
            self.state.bundles.remove(slot);
            return;
        };
        self.close_bundle(index, slot);
    }

    /// Has a bundle leave.
    pub(super) fn close_bundle(&mut self, index: usize, slot: &Slot) {
        if !self.let_go(index, slot) {
            return;
        }
        let Some(bundle) = self.state.bundles.get(slot).cloned() else { return };
        match bundle.kind {
            Kind::Group | Kind::CatchUp | Kind::Silence => {
                self.state.bundles.remove(slot);
                self.send_bundle(index, &bundle, bundle.reason);
            }
            Kind::Throttle => self.end_throttle(index, slot, &bundle),
            Kind::Mute => self.end_mute(index, slot, &bundle),
        }
    }

    /// Sends a bundle's one message.
    fn send_bundle(&mut self, index: usize, bundle: &Bundle, reason: Reason) {
        if bundle.count == 0 {
            return;
        }
        let about = self.about_bundle(bundle);
        let mut alert = self.of_bundle(index, bundle, &about, reason);
        // What nets lists a key once, so one that is listed alone is what all of it is about.
        if let [only] = &bundle.listed[..]
            && bundle.kind != Kind::Group
        {
            alert.key = only.key.clone();
        }
        if let [only] = &bundle.listed[..]
            && bundle.count == 1
        {
            alert.incident = only.incident.map(view_of);
            let to = |receiver: &Arc<str>| {
                let own =
                    id_of_bundle(&place_of(bundle), &self.rules.rules()[index].name, receiver);
                let told = only.to.iter().find(|(told, _)| told == receiver);
                (receiver.clone(), told.map_or(own, |(_, id)| *id))
            };
            alert.to = Some(bundle.receivers.iter().map(to).collect());
        } else if reason.is_over() && bundle.listed.len() as u64 == bundle.count {
            // Ends of what one message told of follow it together.
            for (receiver, id) in alert.to.iter_mut().flatten() {
                let mut told = bundle.listed.iter().map(|listed| {
                    listed.to.iter().find(|(told, _)| told == receiver).map(|(_, id)| *id)
                });
                if let Some(first) = told.next().flatten()
                    && told.all(|other| other == Some(first))
                {
                    *id = first;
                }
            }
        }
        if self.rules.rules()[index].mode == Mode::Shadow {
            self.hold(&alert, HeldBy::Shadow);
            return;
        }
        self.send(&alert);
    }

    pub(super) fn of_bundle<'e>(
        &self,
        index: usize,
        bundle: &Bundle,
        about: &'e Entry,
        reason: Reason,
    ) -> Alert<'e> {
        let rule = &self.rules.rules()[index];
        // What is told one by one at the end is listed here by nothing else.
        let most = match bundle.kind {
            Kind::Mute => bundle.listed.len(),
            _ => super::state::listed(self.rules, index),
        };
        let to = |receiver: &Arc<str>| {
            (receiver.clone(), id_of_bundle(&place_of(bundle), &rule.name, receiver))
        };
        Alert {
            rule: index,
            reason,
            about,
            cause: Cause::Time(bundle.kind.name(), bundle.opened_again.unsigned_abs()),
            subject: bundle.listed.first().map_or(Subject::ALL, |listed| listed.subject),
            key: bundle.key.clone(),
            source: bundle.source.clone(),
            entries: bundle.entries(most),
            count: bundle.count,
            more: Some(bundle.unlisted(most)),
            number: 0,
            incident: None,
            to: Some(bundle.receivers.iter().map(to).collect()),
        }
    }

    /// An entry that stands for a bundle: what its message's id goes back to.
    pub(super) fn about_bundle(&self, bundle: &Bundle) -> Entry {
        let mut row = Row::at(WallTime::default(), self.clock);
        row.repo = Some(Box::default());
        let mut incident =
            Incident::new(0, bundle.key.clone(), bundle.source.clone(), Reason::Matched);
        incident.last = self.now;
        Entry { id: bundle.opened_by, ..incident.sketch() }
    }

    /// A key may be told of again: what came meanwhile is, if it still matters.
    fn end_throttle(&mut self, index: usize, slot: &Slot, bundle: &Bundle) {
        self.state.bundles.remove(slot);
        let Some(first) = bundle.listed.first() else { return };
        let key_slot = Slot::new(&slot.rule, first.subject);
        let open = self.state.incidents.get(&key_slot).is_some_and(|incident| incident.open);
        if open {
            if self.waits_in(&key_slot, slot, bundle) {
                self.tell_open(&key_slot, "throttle");
            }
            return;
        }
        // The holds are asked for what it is about; its id goes back to what opened it.
        let seen = self.what_is_listed(slot, bundle, first);
        let about = Entry { id: bundle.opened_by, ..seen };
        let alert = self.of_bundle(index, bundle, &about, Reason::Summary);
        let last = first.entry;
        if let Outcome::Sent(_) = self.tell(&alert) {
            let subject = alert.subject;
            let id = last;
            let about = Entry { id, ..about.clone() };
            self.begin_throttle(&Alert { about: &about, subject, ..alert.clone() });
        }
    }

    /// Whether an incident waits in that bundle to be told.
    pub(super) fn waits_in(&self, incident: &Slot, slot: &Slot, bundle: &Bundle) -> bool {
        use crate::domain::incident::Told;
        let told = self.state.incidents.get(incident).map(|incident| &incident.told);
        match told {
            Some(Told::In(place)) => place.bundle == slot.subject && bundle.is(place),
            _ => false,
        }
    }

    /// A mute is over. Whatever it does else, what still fails and nobody knows of is told, by the
    /// summary or by itself.
    fn end_mute(&mut self, index: usize, slot: &Slot, bundle: &Bundle) {
        let mute = self.rules.rules()[index].quiet.mute.as_ref();
        let at_end = mute.map_or(AtEnd::Summary, |mute| mute.at_end);
        if at_end == AtEnd::Summary {
            self.state.bundles.remove(slot);
            return self.send_bundle(index, bundle, Reason::Summary);
        }
        let waiting = self.state.incidents.find(|one, incident| {
            one.rule == slot.rule && incident.open && self.waits_in(one, slot, bundle)
        });
        self.state.bundles.remove(slot);
        // Ends first: what still fails may have been a member of a storm that is over.
        self.resend(index, bundle, at_end == AtEnd::Resend);
        for listed in bundle.listed.iter().filter(|listed| !listed.owed.is_empty()) {
            // It may be over before that leaves its group.
            self.state.incidents.edit(&Slot::new(&slot.rule, listed.subject), |incident| {
                if incident.open && incident.owes.is_empty() {
                    incident.owes.clone_from(&listed.owed);
                }
            });
        }
        for incident in &waiting {
            self.tell_open(incident, "mute");
        }
    }

    /// Sends what a mute held that ends an incident which was told of before, and with `all` what is no
    /// incident's.
    fn resend(&mut self, index: usize, bundle: &Bundle, all: bool) {
        let is_every = all && self.rules.rules()[index].notify == Notify::Every;
        for listed in &bundle.listed {
            if !(is_every || listed.is_over() && !listed.to.is_empty()) {
                continue;
            }
            let about = Entry { id: listed.entry, ..self.about_bundle(bundle) };
            // A throttle binds what is resent as well, and its summary may be held more than once.
            let is_summary = listed.reason == Reason::Summary;
            let nth = if is_summary { bundle.opened_at.0.unsigned_abs() } else { 0 };
            let throttled = is_summary || is_news(listed.reason);
            let alert = Alert {
                rule: index,
                reason: listed.reason,
                about: &about,
                cause: Cause::Time("resend", nth),
                subject: listed.subject,
                key: listed.key.clone(),
                source: bundle.source.clone(),
                entries: listed.entry().into_iter().collect(),
                count: self.stands_for(index, listed, is_every),
                more: None,
                number: 0,
                incident: listed.incident.map(view_of),
                to: (!listed.to.is_empty()).then(|| listed.to.clone()),
            };
            if throttled && self.join_throttle(&alert).is_some() {
                continue;
            }
            self.send(&alert);
            if throttled {
                self.begin_throttle(&alert);
            }
        }
        let about = self.about_bundle(bundle);
        let (count, entries) = (bundle.unlisted(bundle.listed.len()), Vec::new());
        if all && count > 0 {
            let rest = self.of_bundle(index, bundle, &about, Reason::Summary);
            self.send(&Alert { count, entries, more: None, ..rest });
        }
    }

    /// How many a resent alert stands for: what its hold netted, of a storm's end its keys.
    fn stands_for(&self, index: usize, listed: &Listed, is_every: bool) -> u64 {
        if is_every {
            return listed.alerts;
        }
        let own = self.state.incidents.get(&self.slot(index, listed.subject));
        match listed.incident {
            Some((.., keys)) if own.is_none_or(|own| own.key.digest != listed.key.digest) => keys,
            _ => 1,
        }
    }

    /// Records what waits in a bundle for receivers that are not among those kept. What its kind
    /// holds was recorded when it came.
    pub(super) fn hold_bundle(&mut self, slot: &Slot, kept: &[Arc<str>]) {
        let Some(bundle) = self.state.bundles.get(slot) else { return };
        if bundle.kind.held_by().is_some() || bundle.count == 0 {
            return;
        }
        let index = self.rules.lookup.by_name.get(&slot.rule);
        let severity = index.map_or(Severity::Info, |&index| self.rules.rules()[index].severity);
        let most = index.map_or(LISTED, |&index| super::state::listed(self.rules, index));
        for receiver in bundle.receivers.iter().filter(|receiver| !kept.contains(receiver)) {
            self.effects.intents.push(Intent {
                id: id_of_bundle(&place_of(bundle), &slot.rule, receiver),
                rule: slot.rule.clone(),
                receiver: receiver.clone(),
                reason: bundle.reason,
                severity,
                source: bundle.source.clone(),
                key: bundle.key.clone(),
                incident: None,
                entries: bundle.entries(most),
                follows: None,
                count: bundle.count,
                more: bundle.unlisted(most),
                held_by: Some(HeldBy::Group),
            });
        }
    }

    /// Notes in the bundle where an alert waits that it is over before anybody was told. Says what
    /// holds its recovery.
    pub(super) fn over_in(&mut self, rule: &Arc<str>, place: &Waits, alert: &Alert<'_>) -> HeldBy {
        let slot = Slot::new(rule, place.bundle);
        let mut listed = listed_of(alert);
        listed.seen = Seen::of(alert.about, &listed.key);
        let most = super::state::listed(self.rules, alert.rule);
        let empty = self.state.bundles.edit(&slot, |bundle| {
            if bundle.kind == Kind::Group {
                bundle.leaves(alert.subject);
            } else {
                bundle.joins(listed, most);
            }
            bundle.count == 0 && bundle.kind == Kind::Group
        });
        if empty == Some(true) {
            self.state.bundles.remove(&slot);
        }
        place.kind.held_by().unwrap_or(HeldBy::Group)
    }
}

const fn is_news(reason: Reason) -> bool {
    matches!(reason, Reason::Matched | Reason::Failing | Reason::Threshold)
}

fn listed_of(alert: &Alert<'_>) -> Listed {
    let none = EntryId([0; 16]);
    let is_summary = alert.reason == Reason::Summary;
    // What told of it first would have been the summary itself, which is held.
    let to = alert.to.clone().filter(|_| !is_summary);
    Listed {
        subject: alert.subject,
        entry: alert.entries.last().copied().unwrap_or(none),
        reason: alert.reason,
        // A throttle's closing summary stands for all that it held, and so does what is resent.
        alerts: if is_summary || alert.reason == Reason::Matched { alert.count } else { 1 },
        key: alert.key.clone(),
        seen: Seen::default(),
        to: to.unwrap_or_default(),
        owed: Vec::new(),
        incident: alert.incident.map(|view| {
            let since = At::from(view.since);
            (since, since.plus(Duration::from_secs(view.duration_s.unsigned_abs())), view.count)
        }),
    }
}

fn view_of((since, last, count): (At, At, u64)) -> IncidentView {
    let duration_s = last.since(since).max(0) / 1000;
    IncidentView { since: since.timestamp(), duration_s, count, first_id: None }
}

fn place_of(bundle: &Bundle) -> Waits {
    bundle.place(Subject::ALL)
}

/// The id of a bundle's message for a receiver.
pub(super) fn id_of_bundle(place: &Waits, rule: &str, receiver: &str) -> NotificationId {
    let reason = match place.kind {
        Kind::Group => place.reason,
        Kind::CatchUp => Reason::CatchUp,
        Kind::Throttle | Kind::Mute | Kind::Silence => Reason::Summary,
    };
    let cause = (place.kind.name(), place.opened_again.unsigned_abs());
    NotificationId::of_time(cause, place.opened_by, (rule, receiver), reason, 0)
}

/// Who is told by a bundle that has left, each by its message.
pub(super) fn told_by_bundle(place: &Waits, rule: &Rule) -> Vec<ToldTo> {
    let told = |receiver: &Arc<str>| (receiver.clone(), id_of_bundle(place, &rule.name, receiver));
    place.receivers.iter().map(told).collect()
}
