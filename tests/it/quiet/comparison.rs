//! Two rule sets in step find what each of them, run by itself, tells otherwise.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use triggerbell::domain::{
    comparison::{Change, Comparison, Difference, Message, Side, Wording, wind_down},
    entry::Entry,
    notification::NotificationId,
    rehearsal::{Decided, Rehearsal},
    rule::RuleSet,
};

use super::stage::{START, entry, rules_with};

/// Pieces of rule sets, of which each side takes some.
const RULES: &[&str] = &[
    "
  - name: change
    match: {returnCode: {not: 0}}
    notify: change
    flapping: {changes: 3, within: 10m}
",
    "
  - name: change
    match: {returnCode: [2, 3]}
    notify: change
    severity: critical
    send_to: [dev]
",
    "
  - name: grouped
    match: {returnCode: {not: 0}}
    send_to: [ops, dev]
    group: {wait: 90s, max: 2}
    throttle: 5m
",
    "
  - name: grouped
    match: {returnCode: {not: 0}}
    send_to: [ops, dev]
    group: {wait: 4m, max: 2}
",
    "
  - name: every
    match: {returnCode: 1}
    severity: warning
",
    "
  - name: every-other
    match: {returnCode: [1, 2]}
",
    "
  - name: every
    match: {returnCode: 1}
    mode: shadow
",
];

struct Plain;

fn text(decided: &Decided) -> String {
    let intent = &decided.intent;
    format!("{} {} {:?} {}", intent.rule, intent.severity, intent.entries, intent.count)
}

impl Wording for Plain {
    fn is_same(&self, old: &Decided, new: &Decided) -> bool {
        old == new
    }

    fn text(&self, _: Side, decided: &Decided, entries: &[Arc<Entry>]) -> String {
        assert_eq!(entries.len(), decided.intent.entries.len(), "its entries are at hand");
        text(decided)
    }
}

/// What each message says, when, and to whom about what.
type Told = BTreeMap<NotificationId, (Timestamp, String, String)>;

/// What one rule set tells by itself.
fn told(rules: &RuleSet, entries: &[Arc<Entry>]) -> Told {
    let mut rehearsal = Rehearsal::new(rules, START);
    let mut decided = Vec::new();
    for entry in entries {
        decided.extend(rehearsal.feed(entry, entry.row.time).decided);
    }
    decided.extend(wind_down(&mut rehearsal));
    let sent = decided.into_iter().filter(|one| one.intent.held_by.is_none());
    let whom = |one: &Decided| format!("{} {}", one.intent.receiver, one.intent.reason.name());
    sent.map(|one| (one.intent.id, (one.at, text(&one), whom(&one)))).collect()
}

fn compared(old: &RuleSet, new: &RuleSet, entries: &[Arc<Entry>]) -> Vec<Difference> {
    let mut comparison = Comparison::new(old, new, START);
    let mut differences = Vec::new();
    for entry in entries {
        differences.extend(comparison.feed(entry, entry.row.time, &Plain).differences);
    }
    differences.extend(comparison.finish(&Plain).differences);
    differences
}

fn id(message: &Message) -> NotificationId {
    message.decided.intent.id
}

fn entries(updates: &[(i64, usize, i64)]) -> Vec<Arc<Entry>> {
    let mut at = 0;
    let made = (0..).zip(updates).map(|(number, &(gap, service, code))| {
        at += gap;
        let time = START + SignedDuration::from_secs(at);
        Arc::new(entry(time, ["a", "b", "c"][service], code, number))
    });
    made.collect()
}

fn set(pieces: &BTreeSet<usize>) -> RuleSet {
    let mut names = BTreeSet::new();
    let some = pieces.iter().map(|&piece| RULES[piece]);
    let text: String = some.filter(|text| names.insert(text.lines().nth(1))).collect();
    rules_with(if text.is_empty() { RULES[0] } else { &text }, "")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_differs_is_what_each_alone_tells_otherwise(
        updates in prop::collection::vec((1_i64..400, 0_usize..3, 0_i64..4), 1..60),
        old in prop::collection::btree_set(0..RULES.len(), 1..4),
        new in prop::collection::btree_set(0..RULES.len(), 1..4),
    ) {
        let (old, new) = (set(&old), set(&new));
        let entries = entries(&updates);
        let (was, is) = (told(&old, &entries), told(&new, &entries));
        let (mut left, mut right) = (BTreeSet::new(), BTreeSet::new());
        let (mut moved, mut reworded) = (BTreeSet::new(), BTreeSet::new());
        for Difference { change, old, new, texts, .. } in compared(&old, &new, &entries) {
            let (old, new) = (old.as_ref().map(id), new.as_ref().map(id));
            if let (Some(one), Some(other)) = (old, new) && one == other {
                let in_place = if change == Change::Moved { &mut moved } else { &mut reworded };
                prop_assert!(in_place.insert(one));
                prop_assert!(change == Change::Moved || texts.is_some());
                continue;
            }
            prop_assert_eq!(change == Change::Added, old.is_none());
            prop_assert_eq!(change == Change::Gone, new.is_none());
            prop_assert!(old.is_none_or(|id| left.insert(id)), "told once");
            prop_assert!(new.is_none_or(|id| right.insert(id)), "told once");
        }
        // What has another id because one set has seen more incidents is the same all the same.
        let only = |one: &Told, other: &Told| -> BTreeSet<_> {
            let alone = other.iter().filter(|(id, _)| !one.contains_key(id));
            let alone: BTreeSet<_> = alone.map(|(_, said)| said).collect();
            let only = one.iter().filter(|(id, _)| !other.contains_key(id));
            only.filter(|(_, said)| !alone.contains(said)).map(|(id, _)| *id).collect()
        };
        let both: Vec<_> = was.keys().filter(|id| is.contains_key(id)).copied().collect();
        prop_assert_eq!(left, only(&was, &is));
        prop_assert_eq!(right, only(&is, &was));
        let other_time = |id: &&NotificationId| was[*id].0 != is[*id].0;
        prop_assert_eq!(moved, both.iter().filter(other_time).copied().collect());
        let other_text = |id: &&NotificationId| !other_time(id) && was[*id].1 != is[*id].1;
        prop_assert_eq!(reworded, both.iter().filter(other_text).copied().collect());
    }

    #[test]
    fn more_incidents_before_are_no_difference_in_those_that_follow(
        updates in prop::collection::vec((1_i64..400, 0_usize..3, 0_i64..4), 1..60),
    ) {
        let rule = |code: &str| {
            format!("\n  - name: change\n    match: {{returnCode: {code}}}\n    notify: change\n")
        };
        let [old, new] = ["[2, 3]", "3"].map(|code| rules_with(&rule(code), ""));
        for Difference { change, old, new, .. } in compared(&old, &new, &entries(&updates)) {
            prop_assert!(change != Change::Rerouted, "{:?} is {:?}", old, new);
        }
    }

    #[test]
    fn a_rule_set_does_not_differ_from_itself(
        updates in prop::collection::vec((1_i64..400, 0_usize..3, 0_i64..4), 1..60),
        rules in prop::collection::btree_set(0..RULES.len(), 1..6),
    ) {
        let entries = entries(&updates);
        prop_assert!(compared(&set(&rules), &set(&rules), &entries).is_empty());
    }
}

#[test]
fn the_same_news_at_another_time_has_moved_whatever_its_incident_is_numbered() {
    let rule = |code: &str, remind: &str| {
        let text = format!(
            "\n  - name: change\n    match: {{returnCode: {code}}}\n    notify: change\n    remind: \
             {remind}\n"
        );
        rules_with(&text, "")
    };
    let (old, new) = (rule("[2, 3]", "60m"), rule("3", "90m"));
    // Of the first failure only the old set knows, so that the second is its second incident.
    let updates = [(10, 0, 2), (600, 0, 0), (600, 0, 3), (3_790, 1, 0), (3_210, 0, 0)];
    let differences = compared(&old, &new, &entries(&updates));
    let moved: Vec<_> = differences.iter().filter(|it| it.change == Change::Moved).collect();
    let [moved] = &moved[..] else { panic!("{differences:#?}") };
    let [was, is] =
        [&moved.old, &moved.new].map(|it| it.as_ref().unwrap().decided.at.duration_since(START));
    assert_eq!((was.as_secs(), is.as_secs()), (4_810, 6_610));
    assert!(id(moved.old.as_ref().unwrap()) != id(moved.new.as_ref().unwrap()));
    assert!(differences.iter().all(|it| it.change != Change::Added), "{differences:#?}");
}
