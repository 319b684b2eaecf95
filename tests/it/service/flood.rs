//! A flood: a backlog of many thousand entries through `run` to one webhook.

use std::time::{Duration, Instant};

use crate::{
    service::{EVERYTHING, audit, waiting},
    support::{
        process::{PATIENCE, Service, until_within},
        receiver::Receiver,
        stand::{Stand, tally},
    },
};

/// A fifth of what `make bench` sends, for the sake of an unoptimised build.
const ROWS: i64 = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_entries_is_delivered_once_each() {
    let repos = ["shop/api", "shop/web", "pay/gateway", "data/etl"];
    let stand = Stand::start(&repos).await;
    for repo in repos {
        stand.push_ago(repo, ROWS / 4, 6000);
    }
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s\n    requests_per_second: 1000");
    let config = format!("{source}{}", audit(&receiver));
    let begun = Instant::now();
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    until_within(PATIENCE * 3, Duration::from_millis(200), "all has come", async || {
        receiver.count() >= usize::try_from(ROWS).unwrap()
    })
    .await;
    let took = begun.elapsed();
    until_within(PATIENCE, Duration::from_millis(50), "nothing waits", async || {
        waiting(&service.json("/api/v1/status").await, "audit") == 0
    })
    .await;
    assert!(service.terminate().await.success());
    let tally = tally(&stand.rows(), &receiver.seen());
    eprintln!("{tally:?} in {took:?}");
    assert_eq!((tally.lost, tally.invented, tally.repeats), (0, 0, 0));
    assert_eq!(tally.accepted, usize::try_from(ROWS).unwrap());
}
