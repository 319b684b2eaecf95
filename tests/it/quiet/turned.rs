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
