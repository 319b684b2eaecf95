//! What a registry that pushes is not heard of any more.

use std::time::Duration;

use serde_json::json;

use triggerbell::ports::Clock;

use crate::support::{process, running::Running};

const RULES: &str = "\
rules:
  - name: stale
    match: {}
    by: [repo]
    notify: {absent_for: 2h}
    send_to: [ops]
";

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_pushed_no_more_is_missed_though_nothing_is_ever_read() {
    let mut running = Running::at("2026-03-02T09:00:00+08:00", &["shop/api"]).await;
    running.step(10);
    let source = "time_zone: Asia/Shanghai\nsources:\n  shop:\n    tcr_enterprise:\n      push:\n        \
                  header: X-Bell\n        secret: planted-push-secret\n";
    let receivers = format!("receivers:\n{}", running.robot("ops", ""));
    running.start(&format!("{source}{receivers}"), RULES).await;
    let event = json!({
        "type": "pushImage", "occur_at": running.clock.now().as_second(), "operator": "1",
        "event_data": {
            "resources": [{"digest": "sha256:1", "tag": "v1"}],
            "repository": {"name": "api", "namespace": "shop", "repo_full_name": "shop/api"},
        },
    });
    let pushed = process::client()
        .post(format!("{}/ingest/shop", running.url()))
        .header("X-Bell", "planted-push-secret")
        .header("content-type", "application/json")
        .body(event.to_string());
    assert_eq!(pushed.send().await.unwrap().status(), 200);
    running.pass(HOUR).await;
    // What was not listened to does not count.
    running.stop().await;
    running.pass(2 * HOUR).await;
    running.again().await;
    running.pass(HOUR / 2).await;
    assert!(running.messages().is_empty());
    running.pass(HOUR).await;
    let told = running.messages();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].summary.contains("shop/api"), "{told:#?}");
}
