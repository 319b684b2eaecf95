//! What a mute resends, and what follows from a throttle's summary that something held.

use std::collections::HashSet;

use triggerbell::domain::{notification::Reason, silence::Until};

use super::stage::{START, Stage, after};

const LUNCH: &str = "
time_zone: Asia/Shanghai
time_intervals: {lunch: {times: ['12:00-13:00', '13:30-14:00']}}
";

/// Every failure, throttled by service, and what lunch holds is resent.
fn stage(throttle: &str) -> Stage {
    let rule = format!(
        "
  - name: any
    match: {{returnCode: {{not: 0}}}}
    by: [service]
    throttle: {throttle}
    mute: {{during: [lunch], at_end: resend}}
"
    );
    Stage::with(&rule, LUNCH)
}

#[test]
fn of_what_a_mute_resends_a_key_is_told_once_in_a_throttles_period() {
    let mut stage = stage("10m");
    stage.at("181m").fails("api").at("182m").fails("api").fails("web").at("183m").fails("api");
    stage.restart().at("6h");
    let (_, summary) = stage.decided.last().unwrap();
    assert_eq!((summary.entries.len(), summary.more), (1, 0));
    assert_eq!(stage.told(), ["4h matched api", "4h matched web", "250m summary api x2"]);
}

#[test]
fn a_throttle_that_began_before_a_mute_binds_what_that_resends() {
    let mut stage = stage("75m");
    stage.at("175m").fails("api").at("181m").fails("api").at("182m").fails("api").at("245m");
    assert_eq!(stage.told(), ["175m matched api"], "its period lasts until 250m");
    stage.at("246m").fails("api").restart().at("260m");
    assert_eq!(stage.told(), ["250m summary api x3"]);
}

#[test]
fn a_throttle_counts_all_that_a_resent_message_stands_for() {
    let mut stage = stage("75m");
    stage.at("175m").fails("api").silence(1, "{service: api}", Until::At(at("190m")));
    stage.at("181m").fails("api").at("182m").fails("api").restart().at("10h");
    assert_eq!(stage.told(), ["175m matched api", "250m summary api x2"]);
}

#[test]
fn a_throttles_summary_that_is_resent_follows_nothing_and_begins_the_next_period() {
    let mut stage = stage("20m");
    stage.at("170m").fails("api").at("171m").fails("api").at("195m").fails("api");
    stage.restart().at("10h");
    let resent = stage.decided.iter().find(|(_, one)| one.reason == Reason::Summary && sent(one));
    assert_eq!(resent.unwrap().1.follows, None, "nothing was sent before it that tells of these");
    let ids: HashSet<_> = stage.decided.iter().map(|(_, intent)| intent.id).collect();
    assert_eq!(ids.len(), stage.decided.len(), "what has the id of another is taken for it");
    // The second period would end in the second mute, which resends again.
    assert_eq!(stage.told(), ["170m matched api", "4h summary api", "260m summary api"]);
}

#[test]
fn a_summary_that_mutes_and_throttles_hold_in_turns_is_told_in_the_end() {
    let mut stage = stage("35m");
    stage.at("150m").fails("api").at("151m").fails("api").at("181m").fails("api");
    stage.restart().at("10h");
    let ids: HashSet<_> = stage.decided.iter().map(|(_, intent)| intent.id).collect();
    assert_eq!(ids.len(), stage.decided.len(), "what has the id of another is taken for it");
    assert_eq!(stage.told(), ["150m matched api", "4h matched api", "5h summary api"]);
}

#[test]
fn a_throttles_summary_that_a_silence_held_follows_nothing() {
    let rules = "  - {name: any, match: {returnCode: 1}, by: [service], throttle: 10m}\n";
    let mut stage = Stage::new(rules);
    stage.fails("api").at("1m").fails("api").silence(1, "{service: api}", Until::At(at("20m")));
    stage.restart().at("1h");
    assert_eq!(stage.decided.last().unwrap().1.follows, None);
    assert_eq!(stage.told(), ["0s matched api", "20m summary api"]);
}

fn at(when: &str) -> triggerbell::domain::memory::At {
    (START + after(when)).into()
}

fn sent(intent: &triggerbell::domain::notification::Intent) -> bool {
    intent.held_by.is_none()
}
