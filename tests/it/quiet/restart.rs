//! That restarts and reloads change nothing, and that what is told is what a naive reading says.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use proptest::{prelude::*, test_runner::TestRunner};
use triggerbell::domain::{
    decision::Input,
    memory::{At, Subject},
    notification::{Intent, Reason},
    silence::{SilenceWish, Until},
};

use super::stage::{START, Stage, line, rules_with};

const AROUND: &str = "
time_intervals:
  odd: {times: ['09:10-09:25', '10:00-10:40', '12:00-12:30']}
sources:
  shop:
    ccr: {secret_id: id, secret_key: key}
    repos: [shop/api]
    catch_up: {older_than: 1h, then: digest}
";

/// Rules of every kind, with times short enough for an hour to hold several of each.
const RULES: &str = "
  - name: cluster-down
    match: {returnCode: 99}
    by: [clusterId]
    notify: change
  - name: change
    match: {returnCode: {not: 0}}
    notify: change
    remind: 7m
    flapping: {changes: 2, within: 10m}
    inhibited_by: {rule: cluster-down, equal: [clusterId]}
    mute: {during: [odd], at_end: resend}
  - name: grouped
    match: {returnCode: {not: 0}}
    send_to: [ops, dev]
    by: [service]
    notify: change
    group: {by: [clusterId], wait: 90s, max: 2}
    remind: 11m
    throttle: 5m
  - name: stormy
    match: {returnCode: {not: 0}}
    notify: change
    storm: {keys: 2, within: 4m, share: [clusterId, returnMsg]}
    group: {wait: 45s}
    mute: {during: [odd], at_end: drop}
  - name: counted
    match: {returnCode: [1, 2]}
    notify: {count: 3, within: 6m}
    remind: 20m
  - name: every
    match: {service: [a, b]}
    throttle: 3m
    storm: {keys: 2, within: 2m}
    mute: {during: [odd]}
  - name: missing
    match: {service: c}
    notify: {absent_for: 9m}
  - name: missing-each
    match: {}
    by: [service]
    notify: {absent_for: 15m}
    remind: 10m
  - name: shadow
    match: {}
    mode: shadow
    notify: change
    stop: true
";

#[derive(Debug, Clone)]
enum Step {
    /// A row of a service, so many seconds old.
    Row {
        service: usize,
        code: i64,
        age: i64,
    },
    /// Time passes.
    Pass(i64),
    /// A tick at an odd moment.
    Tick,
    /// The source was read.
    Read,
    Silence {
        id: u8,
        minutes: Option<i64>,
    },
    EndSilence(u8),
    Restart,
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let age = prop_oneof![8 => Just(0), 1 => 1..600_i64, 1 => 3_000..5_000_i64];
    let code = prop_oneof![4 => Just(0), 4 => Just(1), 1 => Just(2), 1 => Just(99)];
    let step = prop_oneof![
        12 => (0..4_usize, code, age)
            .prop_map(|(service, code, age)| Step::Row { service, code, age }),
        8 => prop_oneof![1..40_i64, 40..600_i64, 600..4_000_i64].prop_map(Step::Pass),
        1 => Just(Step::Tick),
        2 => Just(Step::Read),
        1 => (0..3_u8, prop::option::of(1..60_i64))
            .prop_map(|(id, minutes)| Step::Silence { id, minutes }),
        1 => (0..3_u8).prop_map(Step::EndSilence),
        3 => Just(Step::Restart),
        1 => Just(Step::Reload),
    ];
    prop::collection::vec(step, 1..80)
}

/// Plays the steps, with the restarts and reloads or without.
fn play(steps: &[Step], interrupted: bool) -> Vec<(jiff::Timestamp, Intent)> {
    let mut stage = Stage::over(rules_with(RULES, AROUND));
    for step in steps {
        match step {
            Step::Row { service, code, age } => {
                let at = stage.now - SignedDuration::from_secs(*age);
                stage.update_of(at, ["a", "b", "c", "d"][*service], *code);
            }
            Step::Pass(seconds) => {
                let until = stage.now + SignedDuration::from_secs(*seconds);
                stage.until(until);
            }
            Step::Tick => stage.decide(Input::Tick),
            Step::Read => {
                let source = "shop".into();
                stage.decide(Input::Read { source: &source, every: Duration::from_secs(60) });
            }
            Step::Silence { id, minutes } => {
                let until = minutes.map_or(Until::NextSuccess, |minutes| {
                    Until::At(At::from(stage.now + SignedDuration::from_mins(minutes)))
                });
                let clauses =
                    ["{service: a}", "{returnCode: {min: 1}}", "{service: [b, c]}"][*id as usize];
                stage.silence(*id, clauses, until);
            }
            Step::EndSilence(id) => {
                stage.decide(Input::Silence(&SilenceWish::End(Subject([*id; 16]))));
            }
            Step::Restart if interrupted => {
                stage.restart();
            }
            Step::Reload if interrupted => {
                let closed = stage.reload(rules_with(RULES, AROUND));
                assert!(closed.is_empty(), "the same rules close nothing: {closed:?}");
            }
            Step::Restart | Step::Reload => {}
        }
    }
    let until = stage.now + SignedDuration::from_hours(3);
    stage.until(until);
    stage.decided
}

/// How many sequences are tried; `TRIGGERBELL_CASES` says another number.
fn cases() -> u32 {
    std::env::var("TRIGGERBELL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig { cases: cases(), ..ProptestConfig::default() })
}

#[test]
fn restarts_and_reloads_change_nothing_that_people_get() {
    // What was told in all, by reason, so that a test in which nothing happens is noticed.
    let told: RefCell<BTreeMap<String, u64>> = RefCell::default();
    runner()
        .run(&steps(), |steps| {
            let plain = play(&steps, false);
            let interrupted = play(&steps, true);
            let lines = |decided: &[(jiff::Timestamp, Intent)]| -> Vec<String> {
                let lines = decided.iter().map(|(at, intent)| {
                    format!("{} {}: {}", intent.id, intent.rule, line(*at, intent))
                });
                lines.collect()
            };
            prop_assert_eq!(lines(&plain), lines(&interrupted));
            prop_assert!(plain == interrupted, "the same in all they say");
            for (_, intent) in plain {
                let held = intent.held_by.map_or("", |by| by.name());
                *told.borrow_mut().entry(format!("{} {held}", intent.reason)).or_default() += 1;
            }
            Ok(())
        })
        .unwrap();
    let told = told.into_inner();
    for wanted in [
        "failing ",
        "recovered ",
        "reminder ",
        "threshold ",
        "absent ",
        "returned ",
        "flapping ",
        "storm ",
        "summary ",
        "catch_up ",
        "matched ",
        "failing shadow",
        "failing state",
        "failing inhibited",
        "failing silenced",
        "failing muted",
        "failing storm",
        "failing throttle",
        "failing group",
    ] {
        assert!(told.contains_key(wanted), "no {wanted:?} in {told:#?}");
    }
}

#[test]
fn ids_are_never_given_twice() {
    runner()
        .run(&steps(), |steps| {
            let mut known = BTreeMap::new();
            for (at, intent) in play(&steps, false) {
                let before = known.insert(intent.id, (at, intent.clone()));
                // The same row twice is the same news.
                if let Some((_, before)) = before {
                    prop_assert_eq!(before.entries, intent.entries);
                    prop_assert_eq!(before.reason, intent.reason);
                    let timed = matches!(intent.reason, Reason::Reminder | Reason::Summary);
                    prop_assert!(!timed, "at {at}: time tells each once");
                }
            }
            Ok(())
        })
        .unwrap();
}

/// A row: after how many seconds, of which service, whether it failed, how old.
type Event = (i64, usize, bool, i64);

fn events() -> impl Strategy<Value = Vec<Event>> {
    let age = prop_oneof![6 => Just(0), 1 => 1..400_i64];
    prop::collection::vec((0..300_i64, 0..3_usize, any::<bool>(), age), 1..60)
}

const SERVICES: [&str; 3] = ["a", "b", "c"];

/// What a run tells, without what is held.
fn told(rules: &str, events: &[Event]) -> Vec<String> {
    let mut stage = Stage::new(rules);
    for &(wait, service, fails, age) in events {
        let until = stage.now + SignedDuration::from_secs(wait);
        stage.until(until);
        let at = until - SignedDuration::from_secs(age);
        stage.update_of(at, SERVICES[service], i64::from(fails));
    }
    let sent = stage.decided.iter().filter(|(_, intent)| intent.held_by.is_none());
    sent.map(|(at, intent)| {
        let second = at.duration_since(START).as_secs();
        let text = intent.key.fields[0].1.as_deref().unwrap_or_default().to_owned();
        format!("{second} {} {text}", intent.reason)
    })
    .collect()
}

#[test]
fn change_is_what_a_naive_reading_says() {
    let rules = "
  - name: change
    match: {returnCode: {not: 0}}
    by: [service]
    notify: change
    flapping: {changes: 100, within: 10s}
";
    runner()
        .run(&events(), |events| {
            let mut expected = Vec::new();
            let (mut now, mut last, mut open) = (0, [i64::MIN; 3], [false; 3]);
            for &(wait, service, fails, age) in &events {
                now += wait;
                let at = now - age;
                if at < last[service] {
                    continue;
                }
                // A success of what never failed is a state too.
                last[service] = at;
                if open[service] != fails {
                    open[service] = fails;
                    let reason = if fails { "failing" } else { "recovered" };
                    expected.push(format!("{now} {reason} {}", SERVICES[service]));
                }
            }
            prop_assert_eq!(told(rules, &events), expected);
            Ok(())
        })
        .unwrap();
}

#[test]
fn count_is_what_a_naive_reading_says() {
    const WITHIN: i64 = 600;
    let rules = "
  - name: count
    match: {returnCode: {not: 0}}
    by: [service]
    notify: {count: 3, within: 10m}
";
    #[derive(Default, Clone)]
    struct Key {
        failures: Vec<i64>,
        open: bool,
        last: Option<i64>,
        well: Option<i64>,
        noted: i64,
    }
    impl Key {
        fn anew(&self) -> Self {
            Self { last: self.last, well: self.well, ..Self::default() }
        }
    }
    runner()
        .run(&events(), |events| {
            let mut expected = Vec::new();
            let (mut now, mut keys) = (0, vec![Key::default(); 3]);
            for &(wait, service, fails, age) in &events {
                now += wait;
                for key in &mut keys {
                    if key.open && now - key.noted >= WITHIN {
                        *key = key.anew();
                    }
                }
                let (at, key) = (now - age, &mut keys[service]);
                let is_late = key.last.is_some_and(|last| at < last);
                let newest = key.failures.iter().copied().max();
                // A failure that comes late counts while its key is not known to have been well since.
                let counts = !key.open
                    && key.well.is_none_or(|well| at >= well)
                    && newest.is_some_and(|newest| at > newest - WITHIN);
                if !fails {
                    // That it was well is known, however late.
                    key.well = key.well.max(Some(at));
                }
                if is_late && !(fails && counts) {
                    continue;
                }
                key.last = key.last.max(Some(at));
                if !fails {
                    if key.open {
                        expected.push(format!("{now} recovered {}", SERVICES[service]));
                        *key = key.anew();
                    }
                    continue;
                }
                key.noted = now;
                key.failures.push(at);
                let newest = newest.map_or(at, |newest| newest.max(at));
                let recent = key.failures.iter().filter(|&&when| when > newest - WITHIN).count();
                if !key.open && recent >= 3 {
                    key.open = true;
                    expected.push(format!("{now} threshold {}", SERVICES[service]));
                }
            }
            prop_assert_eq!(told(rules, &events), expected);
            Ok(())
        })
        .unwrap();
}

#[test]
fn ten_thousand_incidents_are_read_again_and_a_tick_without_need_touches_none() {
    let mut stage = Stage::new(
        "  - {name: change, match: {returnCode: {not: 0}}, notify: change, group: {by: [service], wait: 1h}}\n",
    );
    for number in 0..10_000 {
        stage.fails(&format!("service-{number}"));
    }
    assert_eq!(stage.state.open_incidents().len(), 10_000);
    let before = stage.records().clone();
    stage.restart();
    stage.at("30m").decide(Input::Tick);
    assert_eq!(*stage.records(), before);
    stage.at("1h");
    assert_eq!(stage.told().len(), 10_000);
}

#[test]
fn a_record_of_an_earlier_version_is_read_and_one_of_a_later_is_passed_over() {
    use triggerbell::domain::decision::State;
    let mut stage =
        Stage::new("  - {name: change, match: {returnCode: {not: 0}}, notify: change}\n");
    stage.fails("api");
    let (name, record) = stage.records().iter().next().unwrap();
    assert_eq!(record[0], b'1', "a record says its version");
    // Fields that came later are not there.
    let mut json: serde_json::Value = serde_json::from_slice(&record[1..]).unwrap();
    for field in ["tag", "code", "told", "changes"] {
        json.as_object_mut().unwrap().remove(field);
    }
    let older = [&b"1"[..], &serde_json::to_vec(&json).unwrap()].concat();
    let state = State::from_records([(name.clone(), older)], &|_| None);
    assert_eq!((state.open_incidents().len(), state.unreadable().len()), (1, 0));
    let later = [&b"9"[..], b"{}"].concat();
    let state = State::from_records([(name.clone(), later), ("?".to_owned(), vec![])], &|_| None);
    assert_eq!((state.open_incidents().len(), state.unreadable().len()), (0, 2));
}
