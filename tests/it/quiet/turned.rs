//! A clock that is set back: what waits by it does not wait longer.

use std::time::Duration;

use crate::support::running::Running;

const RULES: &str = "\
rules:
  - name: grouped
    match: {returnCode: {not: 0}}
    group: {by: [clusterId], wait: 30s}
    send_to: [bot]
";

#[tokio::test(start_paused = true)]
async fn a_group_leaves_in_time_by_a_clock_that_is_set_back() {
    for restarted in [false, true] {
        let mut bell = Running::at("2026-03-02T01:00:00Z", &["shop/api"]).await;
        let config = format!("{}receivers:\n{}", bell.source(""), bell.robot("bot", ""));
        bell.start(&config, RULES).await;
        bell.pass(Duration::from_secs(15)).await;
        bell.push("shop/api", "api", 1);
        bell.pass(Duration::from_secs(15)).await;
        assert_eq!(bell.messages().len(), 0, "it waits for others");
        if restarted {
            bell.stop().await;
        }
        // Not so far that the registry refuses it.
        bell.turned.set_back(Duration::from_secs(240));
        if restarted {
            bell.again().await;
        }
        bell.pass(Duration::from_secs(40)).await;
        assert_eq!(bell.messages().len(), 1, "restarted: {restarted}");
        bell.stop().await;
    }
}

const LASTING: &str = "\
rules:
  - name: lasting
    match: {returnCode: {not: 0}}
    notify: change
    by: [service]
    flapping: {changes: 2, within: 1m}
    storm: {keys: 3, within: 1m, share: [clusterId]}
    remind: 1m
    send_to: [bot]
";

#[tokio::test(start_paused = true)]
async fn a_flapping_key_calms_in_time_by_a_clock_that_is_set_back() {
    let mut bell = Running::at("2026-03-02T01:00:00Z", &["shop/api"]).await;
    let config = format!("{}receivers:\n{}", bell.source(""), bell.robot("bot", ""));
    bell.start(&config, LASTING).await;
    bell.pass(Duration::from_secs(15)).await;
    for code in [1, 0, 1, 0] {
        bell.push("shop/api", "api", code);
        bell.pass(Duration::from_secs(12)).await;
    }
    assert!(!bell.messages().is_empty(), "it flaps");
    bell.turned.set_back(Duration::from_secs(240));
    bell.pass(Duration::from_secs(90)).await;
    assert_eq!(bell.messages().len(), 1, "it says where the key stands");
    bell.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_reminded_of_in_time_by_a_clock_that_is_set_back() {
    let mut bell = Running::at("2026-03-02T01:00:00Z", &["shop/api"]).await;
    let config = format!("{}receivers:\n{}", bell.source(""), bell.robot("bot", ""));
    bell.start(&config, LASTING).await;
    bell.pass(Duration::from_secs(15)).await;
    for service in ["one", "two", "three", "four"] {
        bell.push("shop/api", service, 1);
    }
    bell.pass(Duration::from_secs(30)).await;
    assert!(!bell.messages().is_empty(), "the storm is told");
    bell.turned.set_back(Duration::from_secs(240));
    bell.pass(Duration::from_secs(90)).await;
    assert_eq!(bell.messages().len(), 1, "it is reminded of");
    bell.stop().await;
}
