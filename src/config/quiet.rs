//! The keys by which a rule keeps quiet: `notify recover remind group throttle mute inhibited_by storm
//! flapping` (design 2.2).
//!
//! Deliberately absent: what they do (`domain::decision`).

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    interval::Intervals,
    rule::{fields, words},
    values::{days, seconds},
};
use crate::{
    document::{Code, MapReader, Place, Problem, Report, Value, nearest},
    domain::{
        field::Field,
        quiet::{AtEnd, Flapping, Grouping, Inhibition, LISTED, Mute, Quiet, StormGuard},
        rule::{Notify, Rule},
    },
};

const PERIODS: RangeInclusive<Duration> = seconds(1)..=days(31);

/// What a rule, or a file for all of its rules, says about keeping quiet.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    notify: Option<Notify>,
    /// A `notify` that could not be read is written.
    unreadable: bool,
    remind: Option<(Duration, Place)>,
    group: Option<Grouping>,
    throttle: Option<Duration>,
    mute: Option<Mute>,
    inhibited_by: Option<(Inhibition, Places)>,
    storm: Option<StormGuard>,
    flapping: Option<(Flapping, Place)>,
}

/// Where an inhibition stands: the other rule's name, and the fields.
#[derive(Debug, Clone)]
pub(super) struct Places {
    rule: Place,
    equal: Place,
}

/// An inhibition that is to be checked once all rules are known.
#[derive(Debug)]
pub(super) struct Pending {
    by: Vec<Field>,
    inhibition: Inhibition,
    places: Places,
}

impl Draft {
    /// Reads the keys.
    pub(super) fn read(map: &mut MapReader<'_>, intervals: &Intervals) -> Self {
        let placed =
            |value: Value<'_>| Some((value.duration(seconds(10)..=days(31))?, value.place()));
        let written = map.get("notify");
        let notify = written.and_then(notify);
        Self {
            notify,
            unreadable: written.is_some() && notify.is_none(),
            remind: map.get("remind").and_then(placed),
            group: map.get("group").and_then(group),
            throttle: map.get("throttle").and_then(|value| value.duration(PERIODS)),
            mute: map.get("mute").and_then(|value| mute(value, intervals)),
            inhibited_by: map.get("inhibited_by").and_then(inhibited_by),
            storm: map.get("storm").and_then(storm),
            flapping: map.get("flapping").and_then(flapping),
        }
    }

    /// What a rule says, with what its file says where it says nothing.
    fn or(self, file: &Self) -> Self {
        Self {
            notify: self.notify.or(file.notify),
            unreadable: self.unreadable,
            remind: self.remind.or_else(|| file.remind.clone()),
            group: self.group.or_else(|| file.group.clone()),
            throttle: self.throttle.or(file.throttle),
            mute: self.mute.or_else(|| file.mute.clone()),
            inhibited_by: self.inhibited_by.or_else(|| file.inhibited_by.clone()),
            storm: self.storm.or_else(|| file.storm.clone()),
            flapping: self.flapping.or_else(|| file.flapping.clone()),
        }
    }

    /// Warns of what has no effect on a rule that tells so.
    fn warn_of_idle(&self, notify: Notify, report: &Report) {
        let idle = |place: &Place, key: &str, help: &str| {
            let problem = Problem::new(Code::NoEffect, format!("`{key}` has no effect here"));
            report.add(problem.at(&place.file, place.span).help(help));
        };
        if let (Some((_, place)), Notify::Every) = (&self.remind, notify) {
            idle(place, "remind", "a rule without `notify` has no incidents: add `notify: change`");
        }
        if let Some((_, place)) = &self.flapping
            && notify != Notify::Change
        {
            idle(place, "flapping", "only `notify: change` tells of changes: add it");
        }
    }

    /// Gives it to a rule, with what its file says where it says nothing; `has_by` says whether the
    /// rule's `by` is written. What hangs on other rules is left for later.
    pub(super) fn apply(
        self,
        file: &Self,
        rule: &mut Rule,
        has_by: bool,
        report: &Report,
    ) -> Option<Pending> {
        let mut notify = self.notify.or(file.notify).unwrap_or(Notify::Every);
        if !self.unreadable {
            self.warn_of_idle(notify, report);
        }
        let this = self.or(file);
        if let Notify::Absent { per_key, .. } = &mut notify {
            *per_key = has_by;
        }
        rule.notify = notify;
        let Quiet { recover, .. } = std::mem::take(&mut rule.quiet);
        let (inhibited_by, places) = this.inhibited_by.unzip();
        rule.quiet = Quiet {
            recover,
            remind: this.remind.map(|(every, _)| every),
            group: this.group,
            throttle: this.throttle,
            mute: this.mute,
            inhibited_by: inhibited_by.clone(),
            storm: this.storm,
            flapping: this.flapping.map(|(flapping, _)| flapping).unwrap_or_default(),
        };
        Some(Pending { by: rule.by.clone(), inhibition: inhibited_by?, places: places? })
    }
}

/// Checks what inhibitions ask of the rules that they name. `complete` says whether all rules could
/// be read.
pub(super) fn check(pending: Vec<Pending>, rules: &[Rule], complete: bool, report: &Report) {
    for Pending { by, inhibition, places } in pending {
        let Some(other) = rules.iter().find(|rule| rule.name == inhibition.rule) else {
            if complete {
                unknown_rule(&inhibition.rule, &places.rule, rules, report);
            }
            continue;
        };
        if other.notify == Notify::Every {
            let message = format!("rule `{}` has no incidents, so it explains nothing", other.name);
            unfit(report, &places.rule, &message, "give that rule `notify: change`");
        }
        for field in &inhibition.equal {
            let whose = match (by.contains(field), other.by.contains(field)) {
                (true, true) => continue,
                (false, _) => "this rule's",
                (true, false) => "the other rule's",
            };
            let message = format!("`{field}` is not in {whose} `by`");
            unfit(report, &places.equal, &message, &format!("add `{field}` to {whose} `by`"));
        }
    }
}

fn unfit(report: &Report, place: &Place, message: &str, help: &str) {
    report.add(Problem::new(Code::UnfitSetting, message).at(&place.file, place.span).help(help));
}

fn unknown_rule(name: &str, place: &Place, rules: &[Rule], report: &Report) {
    let names = rules.iter().map(|rule| &*rule.name);
    let near = nearest(name, names).map(|near| format!("did you mean `{near}`?"));
    let problem = Problem::new(Code::UnknownRule, format!("no rule is named `{name}`"));
    let help = near.unwrap_or_else(|| "rules are known by their `name`".to_owned());
    report.add(problem.at(&place.file, place.span).help(help));
}

/// `every`, `change`, `{count: 3, within: 15m}` or `{absent_for: 24h}`.
fn notify(value: Value<'_>) -> Option<Notify> {
    if !value.is_map() {
        return value.one_of(&[("every", Notify::Every), ("change", Notify::Change)]);
    }
    let mut map = value.map()?;
    let absent = map.get("absent_for");
    let notify = if let Some(absent) = absent {
        let after = absent.duration(seconds(60)..=days(366));
        after.map(|after| Notify::Absent { after, per_key: false })
    } else {
        let count = map.require("count").and_then(|value| value.number(2..=1_000));
        let within = map.require("within").and_then(|value| value.duration(PERIODS));
        count.zip(within).map(|(count, within)| Notify::Count { count, within })
    };
    map.finish("keys of notify");
    notify
}

fn group(value: Value<'_>) -> Option<Grouping> {
    let mut map = value.map()?;
    let by = map.get("by").map(fields);
    let wait = map.get("wait").map(|value| value.duration(seconds(1)..=days(1)));
    let max = map.get("max").map(|value| value.number(1..=100));
    map.finish("keys of group");
    Some(Grouping {
        by: by.unwrap_or(Some(Vec::new()))?,
        wait: wait.unwrap_or(Some(seconds(30)))?,
        max: max.unwrap_or(Some(LISTED))?,
    })
}

fn mute(value: Value<'_>, intervals: &Intervals) -> Option<Mute> {
    let mut map = value.map()?;
    let during = map.require("during").and_then(|value| intervals.named(value));
    let at_end = map.get("at_end").map(|value| value.one_of(&words(AtEnd::ALL, AtEnd::name)));
    map.finish("keys of mute");
    Some(Mute { during: during?, at_end: at_end.unwrap_or(Some(AtEnd::Summary))? })
}

fn inhibited_by(value: Value<'_>) -> Option<(Inhibition, Places)> {
    let mut map = value.map()?;
    let (rule, equal) = (map.require("rule"), map.require("equal"));
    map.finish("keys of inhibited_by");
    let (rule, equal) = rule.zip(equal)?;
    let places = Places { rule: rule.place(), equal: equal.place() };
    let name: Arc<str> = rule.name()?.into();
    Some((Inhibition { rule: name, equal: fields(equal)? }, places))
}

fn storm(value: Value<'_>) -> Option<StormGuard> {
    let mut map = value.map()?;
    let keys = map.require("keys").and_then(|value| value.number(2..=1_000));
    let within = map.require("within").and_then(|value| value.duration(seconds(1)..=days(1)));
    let share = map.get("share").map(fields);
    map.finish("keys of storm");
    let default = vec![Field::ClusterId, Field::Region, Field::ReturnMsg];
    Some(StormGuard { keys: keys?, within: within?, share: share.unwrap_or(Some(default))? })
}

fn flapping(value: Value<'_>) -> Option<(Flapping, Place)> {
    let mut map = value.map()?;
    let default = Flapping::default();
    let changes = map.get("changes").map(|value| value.number(2..=100));
    let within = map.get("within").map(|value| value.duration(seconds(10)..=days(7)));
    map.finish("keys of flapping");
    let changes = changes.unwrap_or(Some(default.changes))?;
    let within = within.unwrap_or(Some(default.within))?;
    Some((Flapping { changes, within }, value.place()))
}
