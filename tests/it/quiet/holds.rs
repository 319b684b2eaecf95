//! The holds, in their order, and what follows when they end.

use jiff::SignedDuration;
use triggerbell::domain::notification::Reason;

use super::stage::{START, Stage, after, rules_with};

const CHANGE: &str = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
";

const NIGHT: &str = "
time_intervals:
  lunch: {times: ['12:00-13:00']}
";

fn rule(keys: &str) -> String {
    format!("{CHANGE}    {keys}\n")
}

#[test]
fn a_group_is_one_message_at_its_time() {
    let mut stage = Stage::new(&rule("group: {by: [clusterId], wait: 30s, max: 2}"));
    stage.fails("api").at("10s").fails("web").at("20s").fails("worker").at("31s");
    let group = stage.decided[0].1.clone();
    assert_eq!(stage.told(), ["30s failing x3"]);
    assert_eq!(group.entries.len(), 2, "two are listed, one more is counted");
    stage.at("1m").works("api").at("65s").works("web").at("3m");
    let recovered = stage.decided[0].1.clone();
    assert_eq!(stage.told(), ["90s recovered x2"]);
    assert_eq!(recovered.entries.len(), 2);
}

#[test]
fn a_recovery_cancels_a_failure_that_still_waits_in_its_group() {
    let mut stage = Stage::new(&rule("group: {wait: 30s}"));
    stage.fails("api").at("10s").works("api").at("5m");
    assert_eq!(
        stage.all(),
        ["10s failing api held by group", "10s recovered api held by group"],
        "nobody hears of it, and it is on record"
    );
    stage.fails("api").at("5m 1s").fails("web").at("5m 2s").works("api").at("10m");
    assert_eq!(stage.told(), ["330s failing"]);
}

#[test]
fn groups_are_kept_apart_by_receiver() {
    let rules = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
    send_to: [ops, dev]
    group: {wait: 30s}
";
    let mut stage = Stage::new(rules);
    stage.fails("api").at("1m").works("api").at("2m");
    assert_eq!(
        stage.told(),
        ["30s failing", "30s failing to dev", "90s recovered", "90s recovered to dev"]
    );
}

#[test]
fn a_throttle_lets_one_through_and_sums_up_the_rest() {
    let mut stage = Stage::new("  - {name: any, match: {returnCode: {not: 0}}, throttle: 10m}\n");
    stage.fails("api").at("1m").fails("api").at("2m").fails("web").at("3m").fails("api").at("1h");
    assert_eq!(
        stage.all(),
        [
            "0s matched api",
            "1m matched api held by throttle",
            "2m matched web",
            "3m matched api held by throttle",
            "10m summary api x2"
        ]
    );
    stage.fails("api");
    assert_eq!(stage.told(), ["1h matched api"]);
}

#[test]
fn a_throttled_failure_that_lasts_is_told_when_it_may_be() {
    let mut stage = Stage::new(&rule("throttle: 10m"));
    stage.fails("api").at("1m").works("api").at("2m").fails("api").at("30m").works("api");
    assert_eq!(
        stage.told(),
        ["0s failing api", "1m recovered api", "10m failing api", "30m recovered api"]
    );
}

#[test]
fn a_mute_holds_and_sums_up() {
    let mut stage = Stage::with(&rule("mute: {during: [lunch]}"), NIGHT);
    stage.at("2h 50m").fails("web").at("3h 1m").fails("api").at("3h 2m").works("api");
    stage.at("3h 3m").fails("worker").at("3h 4m").works("web").at("5h").works("worker");
    assert_eq!(
        stage.all(),
        [
            "170m failing web",
            "181m failing api held by muted",
            "182m recovered api held by muted",
            "183m failing worker held by muted",
            "184m recovered web held by muted",
            "4h summary x4",
            "5h recovered worker"
        ]
    );
}

#[test]
fn what_a_mute_drops_is_told_while_it_lasts() {
    let mut stage = Stage::with(&rule("mute: {during: [lunch], at_end: drop}"), NIGHT);
    stage.at("3h 1m").fails("api").at("3h 2m").works("api").at("3h 3m").fails("worker");
    stage.at("4h 30m").works("worker");
    assert_eq!(stage.told(), ["4h failing worker", "270m recovered worker"]);
}

#[test]
fn what_a_mute_sends_again_is_what_is_not_over() {
    let mut stage = Stage::with(&rule("mute: {during: [lunch], at_end: resend}"), NIGHT);
    stage.at("2h 50m").fails("web").at("3h 1m").fails("api").at("3h 2m").works("api");
    stage.at("3h 3m").fails("worker").at("3h 4m").works("web").at("5h");
    assert_eq!(stage.told(), ["170m failing web", "4h recovered web", "4h failing worker"]);
    let rules = "  - {name: all, match: {}, mute: {during: [lunch], at_end: resend}}\n";
    let mut stage = Stage::with(rules, NIGHT);
    stage.at("3h 1m").works("api").at("3h 2m").works("web").at("5h");
    assert_eq!(stage.told(), ["4h matched api", "4h matched web"]);
}

const CLUSTER: &str = "
  - name: cluster-down
    match: {returnCode: 99}
    by: [clusterId]
    notify: change
  - name: failed
    match: {returnCode: 1}
    notify: change
    inhibited_by: {rule: cluster-down, equal: [clusterId]}
";

#[test]
fn what_another_incident_explains_is_held_and_told_if_it_outlasts_it() {
    let mut stage = Stage::new(CLUSTER);
    stage.update("node", 99).at("1m").fails("api").at("2m").fails("web").at("3m").works("web");
    assert_eq!(
        stage.all(),
        [
            "0s failing",
            "1m failing api held by inhibited",
            "2m failing web held by inhibited",
            "3m recovered",
            "3m recovered web held by inhibited",
            "3m failing api"
        ]
    );
    stage.at("4m").works("api");
    assert_eq!(stage.told(), ["4m recovered api"]);
}

const STORM: &str = "storm: {keys: 3, within: 2m, share: [clusterId]}";

#[test]
fn many_keys_that_fail_together_are_one_message_and_one_recovery() {
    let mut stage = Stage::new(&rule(STORM));
    for (service, second) in [("a", 0), ("b", 10), ("c", 20), ("d", 30), ("e", 40)] {
        stage.until(START + SignedDuration::from_secs(second)).fails(service);
    }
    let storm = stage.decided.iter().find(|(_, intent)| intent.reason == Reason::Storm);
    let storm = storm.unwrap().1.clone();
    assert_eq!((storm.count, storm.entries.len()), (4, 4));
    assert_eq!(
        stage.all(),
        [
            "0s failing a",
            "10s failing b",
            "20s failing c",
            "30s storm x4",
            "30s failing d held by storm",
            "40s failing e held by storm"
        ]
    );
    for (service, minute) in [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)] {
        stage.until(START + SignedDuration::from_mins(minute)).works(service);
    }
    let over = stage.decided.last().unwrap().1.clone();
    assert_eq!(stage.told(), ["5m recovered x5"]);
    assert_eq!(over.incident.unwrap().first_id, Some(storm.id));
}

#[test]
fn what_is_well_again_is_no_part_of_a_storm() {
    let mut stage = Stage::new(&rule(STORM));
    stage.fails("a").fails("b").works("b").fails("c").fails("d");
    assert_eq!(
        stage.told(),
        ["0s failing a", "0s failing b", "0s recovered b", "0s failing c", "0s failing d"]
    );
    stage.fails("e").works("a").works("c").works("d").works("e");
    assert_eq!(stage.told(), ["0s storm x4", "0s recovered x4"]);
}

#[test]
fn a_storm_takes_out_of_a_group_what_it_tells() {
    let mut stage = Stage::new(&format!("{CHANGE}    group: {{wait: 1m}}\n    {STORM}\n"));
    for service in ["a", "b", "c", "d"] {
        stage.fails(service);
    }
    stage.at("10m");
    assert_eq!(stage.told(), ["0s storm x4"]);
}

#[test]
fn a_storm_of_a_rule_without_incidents_ends_when_it_lulls() {
    let rules = format!("  - name: any\n    match: {{returnCode: {{not: 0}}}}\n    {STORM}\n");
    let mut stage = Stage::new(&rules);
    for service in ["a", "b", "c", "d", "e", "a"] {
        stage.fails(service);
    }
    stage.at("1h");
    assert_eq!(
        stage.told(),
        ["0s matched a", "0s matched b", "0s matched c", "0s storm x4", "10m summary x5"]
    );
}

#[test]
fn shadow_is_decided_and_never_sent() {
    let mut stage = Stage::new(&rule("mode: shadow"));
    stage.fails("api").at("1m").fails("api").at("2m").works("api");
    assert_eq!(
        stage.all(),
        [
            "0s failing api held by shadow",
            "1m failing api held by shadow",
            "2m recovered api held by shadow"
        ]
    );
}

#[test]
fn two_rules_hold_the_same_entry_each_for_its_own_reason() {
    let rules = "
  - {name: one, match: {returnCode: {not: 0}}, notify: change, mute: {during: [lunch]}}
  - {name: two, match: {returnCode: {not: 0}}, mode: shadow}
";
    let mut stage = Stage::with(rules, NIGHT);
    stage.at("3h 1m").fails("api");
    assert_eq!(stage.all(), ["181m failing api held by muted", "181m matched api held by shadow"]);
}

fn late(then: &str) -> Stage {
    let around = format!(
        "
sources:
  shop:
    ccr: {{secret_id: id, secret_key: key}}
    repos: [shop/api]
    catch_up: {{older_than: 1h, then: {then}}}
"
    );
    Stage::with(CHANGE, &around)
}

/// What happened while nothing ran: one service failed and recovered, another failed.
fn return_after_a_day(stage: &mut Stage) {
    stage.at("1d");
    stage.update_of(START + after("2h"), "api", 1).update_of(START + after("3h"), "api", 0);
    stage.update_of(START + after("4h"), "web", 1).at("1d 10m");
}

#[test]
fn late_news_are_sent_digested_or_skipped() {
    let mut stage = late("send");
    return_after_a_day(&mut stage);
    assert_eq!(stage.told(), ["1d failing api", "1d recovered api", "1d failing web"]);

    let mut stage = late("digest");
    return_after_a_day(&mut stage);
    let digest = stage.decided[0].1.clone();
    assert_eq!(stage.told(), ["86430s catch_up x3"]);
    assert_eq!(digest.entries.len(), 2, "failing and recovered meanwhile is one line");
    stage.at("1d 20m").works("web");
    assert_eq!(stage.told(), ["1460m recovered web"]);

    let mut stage = late("skip");
    return_after_a_day(&mut stage);
    assert_eq!(
        stage.all(),
        [
            "1d failing api held by catch_up",
            "1d recovered api held by catch_up",
            "1d failing web held by catch_up",
            "86430s failing web"
        ],
        "what is open afterwards is told once"
    );
    stage.at("1d 20m").fails("web").at("1d 30m").works("web");
    assert_eq!(stage.told(), ["1470m recovered web"]);
}

#[test]
fn the_end_of_what_was_told_before_is_told_though_late_news_are_skipped() {
    let mut stage = late("skip");
    stage.fails("api").fails("web");
    assert_eq!(stage.told(), ["0s failing api", "0s failing web"]);
    stage.at("1d").update_of(START + after("2h"), "api", 0).update_of(
        START + after("2h"),
        "web",
        0,
    );
    stage.update_of(START + after("3h"), "web", 1).restart().at("1d 10m");
    assert_eq!(stage.told(), ["86430s recovered api", "86430s failing web"]);
    stage.works("web").at("2d");
    assert_eq!(stage.told(), ["1450m recovered web"]);
}

#[test]
fn what_fails_and_recovers_while_news_are_late_is_told_to_nobody_who_did_not_know() {
    let mut stage = late("skip");
    stage.at("1d").update_of(START + after("2h"), "api", 1);
    stage.at("86420s").update_of(START + after("3h"), "api", 0).at("2d");
    assert_eq!(stage.told(), [""; 0]);
}

#[test]
fn a_changed_rule_closes_its_incidents_without_a_message() {
    let mut stage = Stage::new(&rule("group: {wait: 30s}"));
    stage.fails("api").at("1m").fails("web");
    assert_eq!(stage.told(), ["30s failing"]);
    let changed = rules_with(&rule("by: [service]"), "");
    assert_eq!(stage.reload(changed).len(), 2);
    assert_eq!(stage.all(), ["1m failing held by group"], "what waited is on record");
    assert_eq!(stage.records().len(), 0);
    stage.at("2m").works("api").at("3m").fails("api");
    assert_eq!(stage.told(), ["3m failing api"]);
    let renamed = rules_with(&rule("by: [service]").replace("failed", "broken"), "");
    assert_eq!(stage.reload(renamed), ["failed {\"service\":\"api\"}"]);
    stage.at("4m").works("api");
    assert_eq!(stage.all(), [""; 0]);
}

#[test]
fn the_same_rules_again_change_nothing() {
    let mut stage = Stage::new(&rule("remind: 1h"));
    stage.fails("api");
    assert_eq!(stage.reload(rules_with(&rule("remind: 1h"), "")), [""; 0]);
    stage.at("1h").works("api");
    assert_eq!(stage.told(), ["0s failing api", "1h reminder api", "1h recovered api"]);
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_more_of_an_open_group() {
    let rules = |to: &str| format!("{CHANGE}    send_to: {to}\n    group: {{wait: 30s}}\n");
    let mut stage = Stage::new(&rules("[ops, dev]"));
    stage.fails("api");
    stage.reload(rules_with(&rules("[ops]"), ""));
    stage.at("1m").works("api").at("2m");
    assert_eq!(stage.all(), ["0s failing to dev held by group", "30s failing", "90s recovered"]);
}
