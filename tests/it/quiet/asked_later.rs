//! What is told again is asked by the holds like what was told at first, for whatever fields they name.

use super::stage::{START, Stage, after};
use triggerbell::domain::{notification::Reason, silence::Until};

const CHANGE: &str = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
    by: [service]
";

/// An hour in which a rule may be muted.
const LUNCH: &str = "
time_zone: Asia/Shanghai
time_intervals: {lunch: {times: ['12:00-13:00']}}
";

fn until(when: &str) -> Until {
    Until::At((START + after(when)).into())
}

fn rule(more: &str) -> String {
    format!("{CHANGE}    {more}\n")
}

#[test]
fn a_silence_on_a_field_outside_the_key_holds_reminders() {
    let mut stage = Stage::new(&rule("remind: 10m"));
    stage.fails("api").at("1m").silence(1, "{returnMsg: not ready, clusterId: cls-1}", until("1h"));
    stage.restart().at("59m");
    assert_eq!(stage.told(), ["0s failing api"]);
    stage.at("61m").told();
    stage.at("75m").works("api");
    assert_eq!(stage.told(), ["70m reminder api", "75m recovered api"]);
}

#[test]
fn a_silence_on_what_another_failure_said_holds_nothing_of_this_one() {
    let mut stage = Stage::new(&rule("remind: 10m"));
    stage.fails("api").at("1m").silence(1, "{returnMsg: out of memory}", until("1h")).at("25m");
    assert_eq!(stage.told(), ["0s failing api", "10m reminder api", "20m reminder api"]);
}

#[test]
fn a_silence_on_a_field_outside_the_key_holds_a_throttles_summary() {
    let rules = "  - {name: any, match: {returnCode: 1}, by: [service], throttle: 10m}\n";
    let mut stage = Stage::new(rules);
    stage.fails("api").at("1m").fails("api").at("2m").fails("api");
    stage.silence(1, "{returnMsg: not ready}", until("20m")).restart().at("15m");
    assert_eq!(stage.told(), ["0s matched api"]);
    stage.at("1h");
    assert_eq!(stage.told(), ["20m summary api x2"]);
}

#[test]
fn what_a_mute_lets_go_is_a_storm_where_it_shares_a_message() {
    let more = "
    mute: {during: [lunch], at_end: drop}
    storm: {keys: 3, within: 2h, share: [returnMsg]}
";
    let mut stage = Stage::with(&format!("{CHANGE}{more}"), LUNCH);
    stage.at("3h 1m");
    for service in ["a", "b", "c", "d", "e"] {
        stage.fails(service);
    }
    stage.restart().at("5h");
    let mut told = stage.told();
    assert_eq!(told.pop().as_deref(), Some("4h storm x4"), "their messages have one shape");
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn reminders_are_grouped_by_fields_outside_the_key() {
    let mut stage = Stage::new(&rule("group: {by: [clusterId], wait: 30s}\n    remind: 1h"));
    stage.fails("api").at("1h 10m");
    let keys: Vec<_> = stage.decided.iter().map(|(_, intent)| intent.key.to_json()).collect();
    assert_eq!(keys.len(), 2, "{:?}", stage.told());
    assert_eq!(keys[1], serde_json::json!({"clusterId": "cls-1"}));
    assert_eq!(keys[0], keys[1], "the reminder is of the same cluster");
}

#[test]
fn a_text_that_looks_like_what_is_remembered_is_only_a_text() {
    let mut stage = Stage::new(&rule("remind: 10m"));
    let mut entry = stage.entry(START, "api", 1);
    entry.row.return_msg = Some("tag=2:v1service=3:web\u{0}时间=9:".into());
    stage.decide(triggerbell::domain::decision::Input::Entry(&entry));
    stage.silence(1, r#"{returnMsg: "service=3:web\0时间=9"}"#, until("15m"));
    stage.restart().at("11m");
    assert_eq!(stage.told(), ["0s failing api"], "the silence holds it");
    stage.at("21m");
    assert_eq!(stage.told(), ["20m reminder api"]);
}

#[test]
fn of_what_a_silence_held_only_what_another_still_holds_stays() {
    let mut stage = Stage::new(CHANGE);
    stage.silence(1, "{clusterId: cls-1}", until("1h")).silence(2, "{service: api}", until("2h"));
    stage.at("10m").fails("api").fails("web").at("90m").works("web");
    assert_eq!(stage.told(), ["1h summary web", "90m recovered web"]);
    stage.restart().at("3h").works("api");
    assert_eq!(stage.told(), ["2h summary api", "3h recovered api"]);
}

#[test]
fn what_is_explained_when_its_silence_ends_waits_for_the_end_of_that() {
    let rules = "
  - name: cluster-down
    match: {returnCode: 9}
    by: [clusterId]
    recover: {returnCode: 3}
    notify: change
  - name: failed
    match: {returnCode: 1}
    notify: change
    by: [clusterId, service]
    inhibited_by: {rule: cluster-down, equal: [clusterId]}
";
    let mut stage = Stage::new(rules);
    stage.silence(1, "{service: api}", until("1h")).at("10m").fails("api");
    stage.at("20m").update("node", 9).at("90m");
    assert_eq!(stage.told(), ["20m failing"], "the cluster explains it");
    stage.restart().at("2h").update("node", 3).at("3h").works("api");
    assert_eq!(stage.told(), ["2h recovered", "2h failing api", "3h recovered api"]);
}

#[test]
fn a_mutes_summary_counts_alerts_and_says_more_only_of_those_it_does_not_list() {
    let mut stage = Stage::with(&rule("mute: {during: [lunch]}"), LUNCH);
    stage.at("181m").fails("api").at("182m").works("api").at("183m").fails("api").at("5h");
    let (_, summary) = stage.decided.pop().unwrap();
    assert_eq!((summary.count, summary.entries.len(), summary.more), (3, 1, 0));
    stage.at("1621m");
    for service in 0..25 {
        stage.fails(&format!("s{service}"));
    }
    stage.decided.clear();
    stage.at("30h");
    let (_, summary) = stage.decided.pop().unwrap();
    assert_eq!((summary.count, summary.entries.len(), summary.more), (25, 20, 5));
}

#[test]
fn a_group_lists_another_where_one_of_those_it_listed_left() {
    let mut stage = Stage::new(&rule("group: {wait: 1m, max: 3}"));
    for service in ["a", "b", "c", "d", "e"] {
        stage.fails(service);
    }
    stage.at("10s").works("a").at("5m");
    let sent = stage.decided.iter().find(|(_, intent)| intent.held_by.is_none()).unwrap();
    assert_eq!((sent.1.count, sent.1.entries.len(), sent.1.more), (4, 3, 1));
}

const STORM: &str = "storm: {keys: 3, within: 5m, share: [clusterId]}";

#[test]
fn a_storm_that_lasts_is_told_again_as_one() {
    let mut stage = Stage::new(&rule(&format!("remind: 30m\n    {STORM}")));
    for service in ["a", "b", "c", "d"] {
        stage.fails(service);
    }
    stage.at("10m").works("a").fails("e").at("20m").restart().at("85m");
    assert_eq!(
        stage.told(),
        [
            "0s failing a",
            "0s failing b",
            "0s failing c",
            "0s storm x4",
            "30m reminder x4",
            "1h reminder x4"
        ]
    );
    let storm = stage.state.open_incidents();
    assert_eq!(storm.len(), 4);
    for service in ["b", "c", "d", "e"] {
        stage.works(service);
    }
    stage.at("10h");
    assert_eq!(stage.told(), ["85m recovered x5"]);
}

#[test]
fn a_member_that_was_well_and_fails_again_is_one_key_of_its_storm() {
    let mut stage = Stage::new(&rule(STORM));
    for service in ["a", "b", "c", "d"] {
        stage.fails(service);
    }
    stage.at("1m").works("a").at("2m").fails("a").at("3m").works("a").at("4m").fails("a");
    stage.told();
    for service in ["a", "b", "c", "d"] {
        stage.works(service);
    }
    assert_eq!(stage.told(), ["4m recovered x4"]);
}

#[test]
fn the_closing_summary_of_a_storm_without_incidents_lists_the_last_that_joined() {
    let rules =
        format!("  - name: any\n    match: {{returnCode: 1}}\n    by: [service]\n    {STORM}\n");
    let mut stage = Stage::new(&rules);
    for service in ["a", "b", "c", "d", "e", "f"] {
        stage.fails(service);
    }
    stage.at("1h");
    let (_, summary) = stage.decided.pop().unwrap();
    assert_eq!((summary.count, summary.entries.len(), summary.more), (6, 6, 0));
}

#[test]
fn an_absence_of_what_was_never_seen_lists_nothing_and_says_no_more() {
    let rules = "  - {name: nightly, match: {repo: shop/nightly}, notify: {absent_for: 1h}}\n";
    let mut stage = Stage::new(rules);
    stage.at("2h");
    let (_, absent) = stage.decided.pop().unwrap();
    assert_eq!((absent.entries.len(), absent.more), (0, 0));
}

#[test]
fn a_silences_summary_shows_where_a_flapping_key_stands() {
    let mut stage = Stage::new(&rule("flapping: {changes: 2, within: 30m}"));
    stage.silence(1, "{service: api}", until("20m"));
    stage.at("1m").fails("api").at("2m").works("api").at("3m").fails("api").at("4m").works("api");
    let last = stage.decided.last().unwrap().1.entries.clone();
    stage.at("20m");
    let (_, summary) = stage.decided.pop().unwrap();
    assert_eq!((summary.reason, summary.entries), (Reason::Summary, last));
}

#[test]
fn an_end_that_waits_in_its_group_is_not_told_after_the_next_failure() {
    let grouped = rule("group: {by: [clusterId], wait: 30s}");
    let mut stage = Stage::new(&grouped);
    stage.fails("api").at("10m").fails("web").at("10m 10s").works("api");
    stage.at("10m 20s").fails("api").restart().at("20m");
    assert_eq!(
        stage.all(),
        [
            "30s failing",
            "620s recovered api held by group",
            "620s failing api held by group",
            "630s failing"
        ],
        "they know that it fails, and the group of failures leaves first"
    );
    stage.works("api").at("30m");
    assert_eq!(stage.told(), ["1230s recovered"]);
    // So also where the rule has no group by then.
    let mut stage = Stage::new(&grouped);
    stage.fails("api").at("10m").works("api").reload(super::stage::rules_with(CHANGE, ""));
    stage.fails("api").at("20m").works("api");
    assert_eq!(stage.told(), ["30s failing", "20m recovered api"]);
}

#[test]
fn a_reminder_that_waits_in_its_group_is_not_told_after_the_end() {
    let mut stage = Stage::new(&rule("group: {wait: 1m}\n    remind: 10m"));
    stage.fails("api").at("20s").fails("web").at("9m 50s").works("web");
    stage.at("10m 5s").works("api").restart().at("15m");
    assert_eq!(stage.told(), ["1m failing x2", "650s recovered x2"]);
}

#[test]
fn a_summary_says_what_a_key_is_and_not_what_it_was_where_two_holds_meet() {
    let mut stage = Stage::with(&rule("mute: {during: [lunch]}"), LUNCH);
    stage.fails("api").at("3h 1m").works("api").at("3h 2m");
    stage.silence(1, "{returnCode: {min: 1}}", until("3h 10m")).fails("api").restart().at("4h");
    let listed = stage.decided.last().unwrap().1.entries.clone();
    let failed = stage.decided.iter().rfind(|(_, one)| one.reason == Reason::Failing).unwrap();
    assert_eq!(listed, failed.1.entries, "it fails");
    assert_eq!(stage.told(), ["0s failing api", "4h summary api x2"]);
}

#[test]
fn what_no_incident_remembers_is_told_when_a_mute_ends_though_another_explains_it() {
    let rules = "
  - {name: down, match: {returnCode: 9}, by: [clusterId], notify: change}
  - name: any
    match: {returnCode: 1}
    by: [clusterId, service]
    mute: {during: [lunch]}
    inhibited_by: {rule: down, equal: [clusterId]}
";
    let mut stage = Stage::with(rules, LUNCH);
    stage.at("3h 1m").fails("api").at("3h 2m").update("node", 9).restart().at("5h");
    assert_eq!(stage.told(), ["182m failing", "4h summary api"]);
}

#[test]
fn what_a_silence_counted_as_one_counts_as_many_when_a_mute_sends_it_again() {
    let rules = "
  - {name: any, match: {returnCode: 1}, by: [service], mute: {during: [lunch], at_end: resend}}
";
    let mut stage = Stage::with(rules, LUNCH);
    stage.at("170m").silence(1, "{service: api}", until("190m")).fails("api").fails("api");
    stage.restart().at("5h");
    assert_eq!(stage.told(), ["4h matched api x2"]);
}

#[test]
fn a_reload_brings_no_reminder_forward() {
    // Told by a silence's summary, with an end that another rule explained meanwhile.
    let rules = "
  - {name: down, match: {returnCode: 9}, by: [clusterId], notify: change}
  - name: failed
    match: {returnCode: 1}
    by: [clusterId, service]
    notify: change
    remind: 7m
    mute: {during: [lunch]}
    inhibited_by: {rule: down, equal: [clusterId]}
";
    let day = |reload: bool| {
        let mut stage = Stage::with(rules, LUNCH);
        stage.fails("api").silence(1, "{returnCode: 1}", until("242m")).at("220m").works("api");
        stage.at("221m").fails("api").update("node", 9).at("241m").works("node");
        stage.at("243m");
        if reload {
            stage.reload(super::stage::rules_with(rules, LUNCH));
        }
        stage.at("5h").told()
    };
    assert_eq!(day(true), day(false));
}

#[test]
fn a_storms_reminder_lists_those_that_still_fail() {
    let mut stage =
        Stage::new(&rule("storm: {keys: 2, within: 5m, share: [clusterId]}\n    remind: 10m"));
    stage.fails("a").fails("b").fails("c").at("1m").works("b").restart().at("12m");
    let reminder = stage.decided.last().unwrap().1.clone();
    assert_eq!(stage.told().last().map(String::as_str), Some("10m reminder x2"));
    assert_eq!((reminder.entries.len(), reminder.more), (2, 0));
}

#[test]
fn a_storm_of_a_rule_with_a_group_is_reminded_of_and_over_as_one() {
    let more =
        "group: {wait: 30s}\n    storm: {keys: 2, within: 5m, share: [clusterId]}\n    remind: 10m";
    let mut stage = Stage::new(&rule(more));
    stage.fails("a").fails("b").fails("c").at("11m").works("a").works("b").restart().works("c");
    stage.at("1h");
    assert_eq!(stage.told(), ["0s storm x3", "10m reminder x3", "11m recovered x3"]);
}

#[test]
fn what_a_long_silence_held_is_asked_by_all_its_fields_though_its_incident_is_forgotten() {
    let mut stage = Stage::new(CHANGE);
    stage.silence(1, "{service: api}", until("10h")).fails("api").at("1m").works("api");
    stage.silence(2, "{returnMsg: ok}", until("12h")).restart().at("13h");
    assert_eq!(stage.told(), ["12h summary api x2"]);
}
