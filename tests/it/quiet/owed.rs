//! What people are owed: the end of what they were told of, and what a hold kept from them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::SignedDuration;
use triggerbell::domain::{
    decision::Input,
    rule::{RuleSet, Sources},
    silence::Until,
};

use super::stage::{START, Stage, after, rules_with};

const EXPLAINED: &str = "
  - name: cluster-down
    match: {returnCode: 9}
    by: [clusterId]
    recover: {returnCode: 3}
    notify: change
  - name: failed
    match: {returnCode: 1}
    notify: change
    inhibited_by: {rule: cluster-down, equal: [clusterId]}
";

const LUNCH: &str = "
time_intervals:
  lunch: {times: ['12:00-13:00']}
";

#[test]
fn a_recovery_that_was_explained_away_is_told_when_the_explanation_ends() {
    let mut stage = Stage::new(EXPLAINED);
    stage.fails("api").at("1m").update("node", 9).at("2m").works("api");
    stage.told();
    stage.at("30m").restart().at("4h").update("node", 3);
    assert_eq!(stage.told(), ["4h recovered", "4h recovered api"], "they were told that it fails");
    stage.at("10h");
    assert_eq!(stage.told(), [""; 0]);
}

#[test]
fn the_end_of_a_later_failure_that_was_explained_is_told_to_who_knows_of_the_first() {
    let mut stage = Stage::new(EXPLAINED);
    stage.fails("api").at("1m").update("node", 9).at("2m").works("api");
    stage.at("3m").fails("api").at("4m").works("api").at("5m");
    stage.told();
    stage.update("node", 3);
    assert_eq!(stage.told(), ["5m recovered", "5m recovered api"]);
}

#[test]
fn what_a_rule_explained_that_is_removed_is_told_a_minute_later() {
    let mut stage = Stage::new(EXPLAINED);
    stage.update("node", 9).at("1m").fails("api").at("10m");
    stage.told();
    let alone = EXPLAINED.split("  - name: failed").nth(1).unwrap();
    let alone = alone.lines().filter(|line| !line.contains("inhibited_by"));
    let alone = format!("  - name: failed{}", alone.collect::<Vec<_>>().join("\n"));
    stage.reload(rules_with(&alone, ""));
    assert_eq!(stage.told(), [""; 0], "a reload tells nobody anything");
    stage.at("1h");
    assert_eq!(stage.told(), ["11m failing api"]);
}

#[test]
fn what_a_shadow_rule_knows_explains_nothing() {
    let shadow = EXPLAINED.replacen("notify: change", "notify: change\n    mode: shadow", 1);
    let mut stage = Stage::new(&shadow);
    stage.update("node", 9).at("1m").fails("api");
    assert_eq!(stage.told(), ["1m failing api"]);
}

#[test]
fn a_rule_that_is_a_shadow_by_now_sends_nothing_of_what_it_gathered() {
    let rule = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
    group: {wait: 30s}
";
    let mut stage = Stage::new(rule);
    stage.fails("api").at("10s");
    stage.reload(rules_with(&format!("{rule}    mode: shadow\n"), ""));
    stage.at("1h");
    assert_eq!(stage.all(), ["30s failing held by shadow"]);
}

#[test]
fn reminders_of_a_group_are_messages_of_their_own() {
    let rule = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
    group: {wait: 30s}
    remind: 1h
";
    let mut stage = Stage::new(rule);
    stage.fails("api").at("150m").restart().at("5h");
    let ids: HashSet<_> = stage.decided.iter().map(|(_, intent)| intent.id).collect();
    assert_eq!(stage.decided.len(), 5, "{:?}", stage.told());
    assert_eq!(ids.len(), 5, "what has the id of another is taken for it");
}

#[test]
fn the_end_of_a_mute_resends_the_end_of_what_was_told_before_it() {
    let rule = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
    mute: {during: [lunch], at_end: resend}
";
    let mut stage = Stage::with(rule, &format!("time_zone: Asia/Shanghai{LUNCH}"));
    stage.at("170m").fails("api");
    stage.at("181m").works("api").at("182m").fails("api").at("183m").works("api").at("5h");
    assert_eq!(stage.told(), ["170m failing api", "4h recovered api"]);
}

#[test]
fn the_end_of_a_mute_resends_each_and_counts_the_rest() {
    let rule = "
  - name: any
    match: {returnCode: {not: 0}}
    mute: {during: [lunch], at_end: resend}
";
    let mut stage = Stage::with(rule, &format!("time_zone: Asia/Shanghai{LUNCH}"));
    stage.at("181m").fails("api").at("182m").fails("api").at("5h");
    assert_eq!(stage.told(), ["4h matched api", "4h matched api"]);
    stage.at("1621m");
    for _ in 0..130 {
        stage.fails("api");
    }
    stage.at("30h");
    let told = stage.told();
    assert_eq!(told.len(), 101);
    assert_eq!(told[100], "28h summary x30");
}

#[test]
fn a_throttles_summary_counts_in_a_mutes() {
    let rule = "
  - name: any
    match: {returnCode: {not: 0}}
    throttle: 10m
    mute: {during: [lunch], at_end: summary}
";
    let mut stage = Stage::with(rule, &format!("time_zone: Asia/Shanghai{LUNCH}"));
    stage.at("175m").fails("api").at("176m").fails("api").at("177m").fails("api").at("5h");
    assert_eq!(stage.told(), ["175m matched api", "4h summary api x2"]);
}

#[test]
fn a_mute_tells_all_receivers_though_the_first_that_it_held_was_for_fewer() {
    let rule = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
    mute: {during: [lunch], at_end: summary}
";
    let around = format!("time_zone: Asia/Shanghai{LUNCH}");
    let mut stage = Stage::with(rule, &around);
    stage.at("170m").fails("api");
    stage.reload(rules_with(&format!("{rule}    send_to: [ops, dev]\n"), &around));
    stage.at("181m").works("api").at("182m").fails("web").at("5h");
    assert_eq!(
        stage.told(),
        ["170m failing api", "4h summary x2", "4h summary to dev x2"],
        "dev is to hear of web"
    );
}

#[test]
fn a_failure_that_comes_late_counts_while_the_window_reaches_back_to_it() {
    let rule = "
  - name: often
    match: {returnCode: {not: 0}}
    by: [clusterId]
    notify: {count: 3, within: 15m}
";
    let mut stage = Stage::new(rule);
    let second = |second| START + SignedDuration::from_secs(second);
    stage.at("10m").update_of(second(0), "api", 1).update_of(second(100), "api", 1);
    let mut other = Stage::new(rule);
    other.state = stage.state.clone();
    stage.update_of(second(90), "web", 1);
    assert_eq!(stage.told(), ["10m threshold x3"]);
    other.at("10m").update_of(second(95), "api", 0).update_of(second(90), "web", 1);
    assert_eq!(other.told(), [""; 0], "it was well since");
}

const ABSENT: &str = "
  - name: nightly
    match: {repo: shop/nightly}
    notify: {absent_for: 1h}
";

fn reading(names: &[&str]) -> RuleSet {
    let read = names.iter().map(|&name| name.into()).collect();
    rules_with(ABSENT, "").over(Sources { read, ..Sources::default() })
}

fn reads(stage: &mut Stage, source: &str) {
    let (source, every): (Arc<str>, _) = (source.into(), Duration::from_secs(60));
    stage.decide(Input::Read { source: &source, every });
}

#[test]
fn what_was_never_read_is_not_missed() {
    let mut stage = Stage::over(reading(&["shop"]));
    stage.state.await_readings();
    stage.at("5h");
    assert_eq!(stage.told(), [""; 0], "nobody has looked yet");
    for minute in 300..400 {
        stage.at(&format!("{minute}m"));
        reads(&mut stage, "shop");
    }
    assert_eq!(stage.told(), ["6h absent"], "an hour after the first look");
}

#[test]
fn a_source_that_is_gone_is_not_waited_for() {
    let mut stage = Stage::over(reading(&["shop", "old"]));
    stage.state.await_readings();
    reads(&mut stage, "shop");
    reads(&mut stage, "old");
    stage.reload(reading(&["shop"]));
    for minute in 1..100 {
        stage.at(&format!("{minute}m"));
        reads(&mut stage, "shop");
    }
    assert_eq!(stage.told(), ["1h absent"]);
}

fn muted_at_lunch() -> Stage {
    let rule = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
    mute: {during: [lunch], at_end: summary}
";
    Stage::with(rule, LUNCH)
}

fn until(when: &str) -> Until {
    Until::At((START + after(when)).into())
}

#[test]
fn a_silence_that_ends_in_a_mute_is_summed_up_when_the_mute_ends() {
    let mut stage = muted_at_lunch();
    stage.at("170m").silence(1, "{service: api}", until("190m")).at("175m").fails("api");
    stage.at("239m");
    assert_eq!(stage.told(), [""; 0], "the silence is over, lunch is not");
    stage.restart().at("5h").works("api").at("6h");
    assert_eq!(stage.told(), ["4h summary api", "5h recovered api"]);
}

#[test]
fn a_mute_that_ends_in_a_silence_is_summed_up_when_the_silence_ends() {
    let mut stage = muted_at_lunch();
    stage.at("190m").fails("api").at("200m").silence(1, "{service: api}", until("5h"));
    stage.at("299m");
    assert_eq!(stage.told(), [""; 0], "lunch is over, the silence is not");
    stage.restart().at("6h").works("api");
    assert_eq!(stage.told(), ["5h summary api", "6h recovered api"]);
    // What no silence holds leaves when the mute ends.
    let mut stage = muted_at_lunch();
    stage.at("190m").fails("api").at("200m").silence(1, "{service: web}", until("5h")).at("6h");
    assert_eq!(stage.told(), ["4h summary api"]);
}

#[test]
fn of_two_silences_the_last_to_end_is_summed_up() {
    let mut stage = muted_at_lunch();
    stage.silence(1, "{service: api}", until("1h")).silence(2, "{clusterId: cls-1}", until("2h"));
    stage.at("10m").fails("api").at("119m");
    assert_eq!(stage.told(), [""; 0]);
    stage.at("150m");
    assert_eq!(stage.told(), ["2h summary api"]);
}

#[test]
fn who_was_told_that_a_key_flaps_hears_of_its_end_though_what_came_between_was_explained() {
    let mut stage = Stage::new(EXPLAINED);
    for minute in 0..7 {
        stage.at(&format!("{minute}m")).update("api", i64::from(minute % 2 == 0));
    }
    assert_eq!(stage.told().last().map(String::as_str), Some("6m flapping api"));
    // It is calm, and fails, while the cluster explains that.
    stage.at("10m").update("node", 9).at("40m").works("api").restart().at("50m");
    assert_eq!(stage.told(), ["10m failing"]);
    stage.update("node", 3).at("2h");
    assert_eq!(stage.told(), ["50m recovered", "50m recovered api"]);
}

/// As [`EXPLAINED`], held by something else besides.
fn explained_and(more: &str) -> Stage {
    let around = format!("time_zone: Asia/Shanghai{LUNCH}");
    Stage::with(&format!("{EXPLAINED}    {more}\n"), &around)
}

#[test]
fn a_mute_that_drops_tells_the_end_of_what_was_told_before_it_and_nothing_else() {
    let rule = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
    mute: {during: [lunch], at_end: drop}
";
    let mut stage = Stage::with(rule, &format!("time_zone: Asia/Shanghai{LUNCH}"));
    stage.at("170m").fails("api").at("181m").works("api");
    stage.at("182m").fails("web").at("183m").works("web").restart().at("5h");
    assert_eq!(stage.told(), ["170m failing api", "4h recovered api"]);
}

#[test]
fn a_mute_that_drops_tells_an_end_that_was_explained_before_it() {
    let mut stage = explained_and("mute: {during: [lunch], at_end: drop}");
    stage.at("170m").fails("api").at("171m").update("node", 9).at("172m").works("api");
    stage.at("181m").fails("api").at("182m").update("node", 3).at("183m").works("api");
    stage.restart().at("5h");
    let told = ["170m failing api", "171m failing", "182m recovered", "4h recovered api"];
    assert_eq!(stage.told(), told, "they were told that it fails");
}

#[test]
fn an_end_that_was_explained_is_told_though_the_next_failure_left_its_group() {
    let mut stage = explained_and("group: {by: [service], wait: 30s}");
    stage.fails("api").at("1m").update("node", 9).at("2m").works("api").at("3m").fails("api");
    stage.at("4m").update("node", 3).at("4m 10s").works("api").restart().at("1h");
    let told = stage.told();
    assert_eq!(told[..3], ["30s failing api", "1m failing", "4m recovered"]);
    assert_eq!(told[3..], ["280s recovered api"]);
}

#[test]
fn the_end_of_a_storm_that_another_rule_explains_is_told_once_nothing_explains_it() {
    let mut stage = explained_and("storm: {keys: 2, within: 5m, share: [clusterId]}");
    stage.fails("a").fails("b").fails("c").at("1m").update("node", 9).at("2m");
    stage.works("a").works("b").works("c").restart().at("30m");
    let told = stage.told();
    assert_eq!(told[told.len() - 2..], ["0s storm x3", "1m failing"]);
    stage.update("node", 3).at("5h");
    assert_eq!(stage.told(), ["30m recovered", "31m recovered x3"]);
}
