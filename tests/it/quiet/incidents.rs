//! Incidents: told once, counted, reminded of, over, flapping, absent.

use std::time::Duration;

use jiff::SignedDuration;
use triggerbell::domain::{decision::Input, notification::Reason};

use super::stage::{START, Stage, after};

const CHANGE: &str = "
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
";

#[test]
fn a_key_is_told_when_it_fails_and_when_it_is_well_and_not_between() {
    let mut stage = Stage::new(CHANGE);
    stage.works("api").at("1m").fails("api").at("2m").fails("api").at("3m").fails("web");
    stage.at("5m").works("api").at("6m").works("api");
    let intents = stage.decided.clone();
    assert_eq!(
        stage.all(),
        ["1m failing api", "2m failing api held by state", "3m failing web", "5m recovered api",]
    );
    let recovered = &intents[3].1;
    let incident = recovered.incident.unwrap();
    assert_eq!((incident.duration_s, incident.count), (240, 2));
    assert_eq!(incident.since, START + after("1m"));
    assert_eq!(incident.first_id, Some(intents[0].1.id), "it refers to the first message");
    assert_eq!(recovered.entries.len(), 1);
}

#[test]
fn what_only_ever_succeeds_says_nothing_even_where_match_takes_all() {
    let mut stage = Stage::new("  - {name: all, match: {}, notify: change}\n");
    stage.works("api").at("1m").works("api").at("2m").works("web");
    assert_eq!(stage.all(), [""; 0]);
    stage.at("3m").fails("api").at("4m").works("api");
    assert_eq!(stage.told(), ["3m failing api", "4m recovered api"]);
}

#[test]
fn each_incident_of_a_key_has_ids_of_its_own_and_the_same_input_the_same() {
    let run = || {
        let mut stage = Stage::new(CHANGE);
        for minute in ["1m", "2m", "3m", "4m"] {
            stage.at(minute).update("api", i64::from(minute == "1m" || minute == "3m"));
        }
        stage.decided.into_iter().map(|(_, intent)| intent.id).collect::<Vec<_>>()
    };
    let ids = run();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (4, 4));
    assert_eq!(ids, run());
}

#[test]
fn by_says_what_is_one_thing() {
    let mut stage = Stage::new(&format!("{CHANGE}    by: [clusterId]\n"));
    stage.fails("api").at("1m").fails("web").at("2m").works("worker");
    assert_eq!(stage.told(), ["0s failing", "2m recovered"]);
}

#[test]
fn recover_is_the_rules_own_and_match_is_not_asked() {
    let mut stage = Stage::new(
        "
  - name: timeouts
    match: {returnCode: 504}
    notify: change
    recover: {returnCode: [0, 3]}
",
    );
    stage.update("api", 504).at("1m").update("api", 500).at("2m").update("api", 3);
    assert_eq!(stage.told(), ["0s failing api", "2m recovered api"]);
}

#[test]
fn a_stopped_rule_sees_the_recovery_of_its_incident() {
    let mut stage = Stage::new(
        "
  - name: noise
    match: {tag: 'v[3-9]'}
    stop: true
  - name: failed
    match: {returnCode: {not: 0}}
    notify: change
",
    );
    stage.fails("api").at("1m").works("web").at("2m").works("api").at("3m").fails("api");
    assert_eq!(
        stage.told(),
        ["0s failing api", "2m matched api", "2m recovered api", "3m matched api"],
        "the failure after the stop is not seen, the recovery is"
    );
}

#[test]
fn late_rows_move_no_incident() {
    let mut stage = Stage::new(&format!("{CHANGE}  - {{name: every, match: {{}}}}\n"));
    stage.at("10m").works("api").update_of(START + after("9m"), "api", 1);
    assert_eq!(
        stage.all(),
        ["10m matched api", "10m failing api held by state", "10m matched api"],
        "it was well after that"
    );
    stage.at("11m").fails("api").at("12m").update_of(START + after("10m 30s"), "api", 0);
    stage.at("13m").works("api").at("14m").update_of(START + after("12m"), "api", 1);
    let told: Vec<_> = stage.told().into_iter().filter(|line| !line.contains("matched")).collect();
    assert_eq!(told, ["11m failing api", "13m recovered api"]);
}

#[test]
fn reminders_come_while_it_lasts() {
    let mut stage = Stage::new(&format!("{CHANGE}    remind: 1h\n"));
    stage.fails("api").at("30m").fails("api").at("2h 30m").works("api").at("9h");
    let reminder = stage.decided[2].1.clone();
    assert_eq!(
        stage.told(),
        ["0s failing api", "1h reminder api", "2h reminder api", "150m recovered api"]
    );
    let incident = reminder.incident.unwrap();
    assert_eq!((incident.count, incident.duration_s), (2, 3600));
}

#[test]
fn a_day_without_ticks_makes_one_reminder() {
    let mut stage = Stage::new(&format!("{CHANGE}    remind: 1h\n"));
    stage.fails("api");
    stage.now = START + after("1d");
    stage.decide(Input::Tick);
    stage.decide(Input::Tick);
    assert_eq!(stage.told(), ["0s failing api", "1d reminder api"]);
}

#[test]
fn a_clock_that_jumps_back_repeats_nothing() {
    let mut stage = Stage::new(&format!("{CHANGE}    remind: 1h\n"));
    stage.fails("api").at("1h");
    stage.now = START - after("2h");
    stage.decide(Input::Tick);
    assert_eq!(stage.told(), ["0s failing api", "1h reminder api"]);
}

#[test]
fn a_count_within_a_window_fires_once_and_is_over_with_a_success() {
    let mut stage = Stage::new(
        "  - {name: often, match: {returnCode: {not: 0}}, notify: {count: 3, within: 15m}}\n",
    );
    stage.fails("api").at("10m").fails("api").at("16m").fails("api");
    assert_eq!(stage.told(), [""; 0], "no three of them lie within a quarter of an hour");
    stage.at("20m").fails("api").at("21m").fails("api");
    let fired =
        stage.decided.iter().find(|(_, intent)| intent.held_by.is_none()).unwrap().1.clone();
    assert_eq!((fired.reason, fired.count, fired.entries.len()), (Reason::Threshold, 3, 3));
    assert_eq!(fired.incident.unwrap().since, START + after("10m"));
    stage.at("22m").works("api").at("23m").fails("api").at("24m").fails("api");
    assert_eq!(stage.told(), ["20m threshold api x3", "22m recovered api"], "counted from nothing");
    stage.at("25m").fails("api");
    assert_eq!(stage.told(), ["25m threshold api x3"]);
}

#[test]
fn an_empty_window_ends_a_count_without_a_word() {
    let mut stage = Stage::new(
        "  - {name: often, match: {returnCode: {not: 0}}, notify: {count: 2, within: 10m}}\n",
    );
    stage.fails("api").at("1m").fails("api").at("12m").fails("api").at("13m").fails("api");
    assert_eq!(stage.told(), ["1m threshold api x2", "13m threshold api x2"]);
}

#[test]
fn absence_is_told_once_and_once_when_it_is_over() {
    let mut stage =
        Stage::new("  - {name: nightly, match: {service: backup}, notify: {absent_for: 1h}}\n");
    stage
        .works("api")
        .at("30m")
        .works("backup")
        .at("5h")
        .works("backup")
        .at("5h 30m")
        .works("backup");
    let returned = stage.decided.iter().find(|(_, intent)| intent.reason == Reason::Returned);
    assert_eq!(returned.unwrap().1.incident.unwrap().duration_s, 16_200);
    assert_eq!(stage.told(), ["90m absent", "5h returned"]);
}

#[test]
fn absence_begins_with_the_rule() {
    let mut stage =
        Stage::new("  - {name: nightly, match: {service: backup}, notify: {absent_for: 1h}}\n");
    stage.works("api").at("3h");
    let absent = stage.decided[0].1.clone();
    assert_eq!((absent.entries.len(), &*absent.source), (0, ""));
    assert_eq!(stage.told(), ["1h absent"]);
}

#[test]
fn absence_per_key_is_about_keys_that_were_seen() {
    let mut stage =
        Stage::new("  - {name: quiet, match: {}, by: [service], notify: {absent_for: 1h}}\n");
    stage.works("api").at("30m").works("web").at("70m").works("web").at("2h").works("api");
    assert_eq!(stage.told(), ["1h absent api", "2h returned api"]);
    stage.at("3h");
    assert_eq!(stage.told(), ["130m absent web", "3h absent api"]);
}

#[test]
fn time_in_which_nobody_reads_is_no_absence() {
    let source = "shop".into();
    let read = Input::Read { source: &source, every: Duration::from_secs(10) };
    let mut stage = Stage::new("  - {name: nightly, match: {}, notify: {absent_for: 1h}}\n");
    stage.works("api");
    for minute in 1..=30 {
        stage.until(START + SignedDuration::from_mins(minute)).decide(read);
    }
    // Nothing is read for five hours.
    stage.at("5h 30m").decide(read);
    assert_eq!(stage.told(), [""; 0]);
    for minute in 331..400 {
        stage.until(START + SignedDuration::from_mins(minute)).decide(read);
    }
    assert_eq!(stage.told(), ["6h absent"]);
}

#[test]
fn a_key_that_changes_too_often_is_told_of_once_and_where_it_ends() {
    let mut stage = Stage::new(&format!("{CHANGE}    flapping: {{changes: 3, within: 30m}}\n"));
    for minute in 1..=10 {
        stage.until(START + SignedDuration::from_mins(minute)).update("api", minute % 2);
    }
    assert_eq!(
        stage.told(),
        ["1m failing api", "2m recovered api", "3m failing api", "4m flapping api"]
    );
    stage.at("2h");
    assert_eq!(stage.told(), ["40m recovered api"]);
    stage.fails("api").at("2h 1m").works("api");
    assert_eq!(stage.told(), ["2h failing api", "121m recovered api"], "as before");
}

#[test]
fn a_key_that_flaps_and_stays_down_is_told_so() {
    let mut stage =
        Stage::new(&format!("{CHANGE}    flapping: {{changes: 2, within: 30m}}\n    remind: 1h\n"));
    for minute in 1..=3 {
        stage.until(START + SignedDuration::from_mins(minute)).update("api", minute % 2);
    }
    stage.at("1h 40m").works("api");
    assert_eq!(
        stage.told(),
        [
            "1m failing api",
            "2m recovered api",
            "3m flapping api",
            "33m failing api",
            "93m reminder api",
            "100m recovered api"
        ]
    );
}

#[test]
fn a_key_of_hostile_text_is_a_key() {
    let mut stage = Stage::new(CHANGE);
    let hostile = "\u{0}\"}],\\ <!channel>\n/'; DROP TABLE state; --\u{202e}";
    stage.fails(hostile).restart().at("1m").fails(hostile).at("2m").works(hostile);
    assert_eq!(stage.told().len(), 2);
}

#[test]
fn a_row_from_the_future_does_not_keep_its_key_from_moving() {
    let mut stage = Stage::new(CHANGE);
    stage.update_of(START + after("8h"), "api", 1);
    stage.at("1m").works("api").at("2m").fails("api").at("3m").works("api");
    assert_eq!(
        stage.told(),
        ["0s failing api", "1m recovered api", "2m failing api", "3m recovered api"]
    );
    // Nor does one that is well.
    stage.update_of(START + after("9h"), "web", 0);
    stage.at("4m").fails("web");
    assert_eq!(stage.told(), ["4m failing web"]);
}
