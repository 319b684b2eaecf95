//! Repositories that are found out by the running service, over each API of the stand-in registry.

use std::time::Duration;

use serde_json::Value;
use triggerbell::simulate::{Offsets, REGISTRY_ID, RegistrySettings};

use crate::{
    service::{EVERYTHING, audit},
    support::{
        process::{Service, ran, until},
        receiver::Receiver,
        stand::{Stand, tally},
    },
};

/// A source of that type that finds its repositories out.
fn source(stand: &Stand, kind: &str, extra: &str) -> String {
    let credentials = stand.registry.credentials();
    let endpoint = match kind {
        "ccr" => stand.registry.ccr_endpoint(),
        _ => format!("{}\n      region: ap-guangzhou", stand.registry.url()),
    };
    let registry = if kind == "tcr_enterprise" {
        format!("\n      registry_id: {REGISTRY_ID}")
    } else {
        String::new()
    };
    format!(
        "sources:\n  shop:\n    {kind}:\n      endpoint: {endpoint}\n      secret_id: {}\n      \
         secret_key: {}{registry}\n    {extra}\n",
        credentials.secret_id, credentials.secret_key,
    )
}

async fn discovery(service: &Service) -> Value {
    service.json("/api/v1/status").await["sources"]["shop"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repositories_that_come_and_go_lose_and_repeat_nothing_over_api_2() {
    come_and_go("ccr").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repositories_that_come_and_go_lose_and_repeat_nothing_over_api_3() {
    come_and_go("tcr_personal").await;
}

async fn come_and_go(kind: &str) {
    let stand = Stand::start(&["shop/r0", "shop/r1", "shop/tmp-0", "other/r0"]).await;
    for repo in ["shop/r0", "shop/r1"] {
        stand.push_ago(repo, 20, 600);
    }
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let extra = "discover:\n      include: ['shop/*']\n      exclude: ['shop/tmp-*']\n      \
                 every: 10s\n    first_run: all\n    poll_every: 1s";
    let config = format!("{}{}", source(&stand, kind, extra), audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    until("all of it is told", async || tally(&stand.rows(), &receiver.seen()).lost == 0).await;
    // One appears, with rows from its first second on; a restart lies between.
    stand.push("shop/new", 5);
    assert!(service.terminate().await.success());
    stand.push("shop/new", 5);
    let service = Service::again(folder.path(), &[]).await;
    until("the new one is told", async || tally(&stand.rows(), &receiver.seen()).lost == 0).await;
    let status = discovery(&service).await;
    assert_eq!((&status["repos"], &status["discovery"]["found"]), (&3.into(), &3.into()));
    // One disappears and comes back with its log gone.
    let rows = stand.rows();
    stand.world.remove_repo("shop/r1");
    until("it is missed", async || discovery(&service).await["discovery"]["missing"] == 1).await;
    stand.push("shop/r1", 3);
    until("it is back", async || discovery(&service).await["discovery"]["missing"] == 0).await;
    let all: Vec<_> = rows.iter().chain(&stand.world.rows("shop/r1")).cloned().collect();
    until("its rows are told", async || tally(&all, &receiver.seen()).lost == 0).await;
    stand.push("shop/tmp-0", 3);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let counts = tally(&all, &receiver.seen());
    eprintln!("{kind}: {counts:?}");
    assert_eq!((counts.lost, counts.invented, counts.repeats), (0, 0, 0), "{kind}");
    assert!(service.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enterprise_registry_is_read_by_namespace_whatever_its_offsets_count() {
    for offsets in [Offsets::Rows, Offsets::Pages { first: 0 }, Offsets::Pages { first: 1 }] {
        let settings = RegistrySettings { offsets, ..RegistrySettings::default() };
        let stand = Stand::start_with(&["shop/api", "shop/web", "pay/api"], settings).await;
        stand.push_ago("shop/api", 300, 2000);
        stand.push_ago("pay/api", 30, 2000);
        let receiver = Receiver::start().await;
        let folder = tempfile::tempdir().unwrap();
        let extra = "discover:\n      every: 10s\n    first_run: all\n    poll_every: 1s";
        let config = format!("{}{}", source(&stand, "tcr_enterprise", extra), audit(&receiver));
        let service = Service::start(folder.path(), &config, EVERYTHING).await;
        until("the history is told", async || receiver.by_id().len() == 330).await;
        // Several pushes of one second, and ones that differ in nothing but their number.
        for _ in 0..5 {
            stand.push("shop/web", 40);
        }
        until("the news are told", async || receiver.by_id().len() == 530).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let ids = receiver.by_id();
        assert!(ids.values().all(|count| *count == 1), "{offsets:?}: something came twice");
        assert_eq!(ids.len(), 530, "{offsets:?}");
        let seen = receiver.seen().last().unwrap().json()["data"]["entry"].clone();
        assert_eq!(seen["repo"], "shop/web");
        assert_eq!(seen["invokeSource"], "pushImage");
        assert!(service.terminate().await.success());

        let fetched = ran(folder.path(), &["fetch", "--limit", "3", "--format", "json"], &[]).await;
        assert_eq!(fetched.code, Some(0), "{}", fetched.said());
        assert_eq!(
            fetched.stdout.lines().count(),
            6,
            "three of each namespace: {}",
            fetched.said()
        );
    }
}
