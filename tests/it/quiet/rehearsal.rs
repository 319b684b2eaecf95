//! A rehearsal decides what the service decides, at the same instants, and keeps what it needs.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use triggerbell::domain::{
    decision::Input,
    entry::Entry,
    rehearsal::{Decided, Rehearsal},
};

use super::stage::{START, Stage, entry, line, matchers, rules_with};

const RULES: &str = "
  - name: change
    match: {returnCode: {not: 0}}
    notify: change
    remind: 7m
    flapping: {changes: 3, within: 10m}
  - name: grouped
    match: {returnCode: {not: 0}}
    send_to: [ops, dev]
    group: {wait: 90s, max: 2}
    throttle: 5m
  - name: counted
    match: {returnCode: [1, 2]}
    notify: {count: 3, within: 6m}
  - name: silent
    match: {service: a}
    notify: {absent_for: 15m}
";

fn lines(decided: &[Decided]) -> Vec<String> {
    decided.iter().map(|decided| line(decided.at, &decided.intent)).collect()
}

fn seconds(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever comes, and wherever it is killed in between, it says what a stage says that ticks
    /// for itself.
    #[test]
    fn it_says_what_the_service_does(
        updates in prop::collection::vec((1_i64..400, 0_usize..3, 0_i64..3, prop::bool::weighted(0.1)), 1..60),
    ) {
        let rules = rules_with(RULES, "");
        let mut stage = Stage::over(rules_with(RULES, ""));
        let mut rehearsal = Rehearsal::new(&rules, START).committing();
        let mut said = Vec::new();
        let mut at = 0;
        for (number, (gap, service, code, killed)) in updates.into_iter().enumerate() {
            at += gap;
            let number = i64::try_from(number).unwrap();
            let entry = entry(seconds(at), ["a", "b", "c"][service], code, number);
            stage.until(seconds(at)).decide(Input::Entry(&entry));
            said.extend(lines(&rehearsal.feed(&Arc::new(entry), seconds(at)).decided));
            if killed {
                said.extend(lines(&rehearsal.restart(&matchers)));
            }
        }
        stage.until(seconds(at + 7200));
        said.extend(lines(&rehearsal.advance(seconds(at + 7200))));
        prop_assert_eq!(said, stage.all());
    }
}

fn update(at: i64, service: &str, code: i64) -> Arc<Entry> {
    Arc::new(entry(seconds(at), service, code, at))
}

#[test]
fn what_a_group_waits_for_is_there_when_it_leaves_and_nothing_else_is_kept() {
    let rules = rules_with(
        "
  - name: grouped
    match: {returnCode: {not: 0}}
    group: {wait: 1d, max: 3}
",
        "",
    );
    let mut rehearsal = Rehearsal::new(&rules, START);
    let first = update(0, "api", 1);
    rehearsal.feed(&first, seconds(0));
    let old = update(1, "web", 0);
    rehearsal.feed(&old, seconds(1));
    for at in 2..50_000 {
        let fed = rehearsal.feed(&update(at, "web", 0), seconds(at));
        assert!(fed.matched.is_empty() && fed.decided.is_empty());
    }
    let decided = rehearsal.advance(seconds(86_400));
    let [summary] = &decided[..] else { panic!("one message: {decided:?}") };
    assert_eq!(summary.at, seconds(86_400));
    assert_eq!(rehearsal.entries(&summary.intent), [first]);
    let of_old = triggerbell::domain::notification::Intent {
        entries: vec![old.id],
        ..summary.intent.clone()
    };
    assert!(rehearsal.entries(&of_old).is_empty(), "an entry that nothing tells of is kept");
}

#[test]
fn it_says_which_rules_matched_and_when_something_is_due() {
    let rules = rules_with(RULES, "");
    let mut rehearsal = Rehearsal::new(&rules, START);
    assert_eq!(rehearsal.next_due(), Some(seconds(900)));
    let fed = rehearsal.feed(&update(1200, "a", 1), seconds(1200));
    assert_eq!(fed.matched, [0, 1, 2, 3]);
    let said = lines(&fed.decided);
    assert_eq!(
        said,
        ["15m absent", "20m failing a", "20m threshold a held by state", "20m returned"]
    );
    assert_eq!(rehearsal.now(), seconds(1200));
}

/// The rate on this machine; run it by name, with `--run-ignored`.
#[test]
#[ignore = "a measurement"]
fn a_million_entries_of_which_a_tenth_match() {
    let rules = rules_with(
        "
  - name: change
    match: {returnCode: {not: 0}}
    notify: change
  - name: every
    match: {returnCode: {not: 0}}
    group: {wait: 30s}
",
        "",
    );
    let services: Vec<String> = (0..1000).map(|number| format!("svc-{number}")).collect();
    let entries: Vec<_> = (0..1_000_000_i64)
        .map(|at| {
            let service = &services[usize::try_from(at * 7919 % 1000).unwrap()];
            Arc::new(entry(seconds(at), service, i64::from(at % 10 == 0), at))
        })
        .collect();
    let began = std::time::Instant::now();
    let mut rehearsal = Rehearsal::new(&rules, START);
    let mut decided = 0;
    for entry in &entries {
        decided += rehearsal.feed(entry, entry.row.time).decided.len();
    }
    eprintln!("{decided} decided in {:?}", began.elapsed());
}
