//! The registry on bad days: answers that are none, refusals, clocks, lies, and rows that come
//! late or leave early.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use triggerbell::{
    domain::entry::Row,
    simulate::{Fault, RegistrySettings, World},
};

use crate::{
    service::{EVERYTHING, audit, waiting},
    support::{
        process::{PATIENCE, Service, until, until_within},
        receiver::Receiver,
        stand::{Stand, tally},
    },
};

/// What is said of a repository that fails now.
async fn failing(service: &Service, repo: &str) -> Option<String> {
    let status = service.json("/api/v1/status").await;
    let failing = status["sources"]["shop"]["failing"].as_array().unwrap().clone();
    let found = failing.into_iter().find(|failing| failing["repo"] == repo)?;
    found["error"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_none_are_named_and_a_missing_repository_stops_no_other() {
    let settings = RegistrySettings { slow_for: Duration::from_secs(30), ..Default::default() };
    let stand = Stand::start_with(&["shop/api", "shop/web"], settings).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s\n    timeout: 1s");
    let source = source.replace("shop/api, shop/web", "shop/api, shop/missing, shop/web");
    let config = format!("{source}{}", audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    until("the missing one is named", async || failing(&service, "shop/missing").await.is_some())
        .await;
    let said = failing(&service, "shop/missing").await.unwrap();
    assert!(said.contains("the registry knows no such repository"), "{said}");

    let days = [
        (Fault::Html, "a web page, not with the API's JSON"),
        (Fault::Truncated, "not whole JSON"),
        (Fault::Garbled, "not UTF-8"),
        (Fault::Huge, "larger than 8 MiB"),
        (Fault::Hangup, "broke off"),
        (Fault::Error500, "HTTP 500"),
        (Fault::Slow, "could not be reached"),
    ];
    for (fault, words) in days {
        stand.registry.set_fault(fault, 1.0);
        stand.push("shop/api", 5);
        until(fault.name(), async || {
            failing(&service, "shop/api").await.is_some_and(|said| said.contains(words))
        })
        .await;
        stand.registry.set_fault(fault, 0.0);
        let rows = stand.rows();
        until("it is read again", async || tally(&rows, &receiver.seen()).lost == 0).await;
    }
    until("it is said to be well", async || failing(&service, "shop/api").await.is_none()).await;
    let tally = tally(&stand.rows(), &receiver.seen());
    eprintln!("{} kinds of bad answers: {tally:?}", days.len());
    assert_eq!((tally.lost, tally.invented, tally.repeats), (0, 0, 0));
    let log = service.log();
    let missing =
        log.lines().filter(|line| line.contains("could not read the log of shop/missing"));
    let kinds: Vec<_> = missing.filter_map(|line| line.split("error.kind=").nth(1)).collect();
    let kinds: Vec<_> = kinds.iter().filter_map(|kind| kind.split_whitespace().next()).collect();
    assert!(!kinds.is_empty(), "{log}");
    assert!(
        kinds.windows(2).all(|two| two[0] != two[1]),
        "a failure is said when it begins or becomes another, not at every poll: {kinds:?}"
    );
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_name_that_is_unknown_and_a_host_without_tls_are_named_and_stop_no_other_source() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let extra = "first_run: all\n    poll_every: 1s";
    let (endpoint, here) = (stand.registry.ccr_endpoint(), stand.registry.address().to_string());
    let config = format!(
        "sources:\n{}{}{}{}",
        stand.source_named("nameless", extra).replace(&here, "registry.invalid"),
        stand
            .source_named("plain", extra)
            .replace(&endpoint, &endpoint.replace("http://", "https://")),
        stand.source_named("shop", extra),
        audit(&receiver)
    );
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    stand.push("shop/api", 5);
    until("the good one is read", async || receiver.by_id().len() == 5).await;
    for (source, words) in [("nameless", "dns error"), ("plain", "InvalidContentType")] {
        until(source, async || {
            let status = service.json("/api/v1/status").await;
            let said = status["sources"][source]["last_error"].as_str();
            said.is_some_and(|said| {
                said.contains("the registry could not be reached: could not connect")
                    && said.contains(words)
            })
        })
        .await;
    }
    assert_eq!(service.json("/readyz").await["ready"], false, "two sources are unread");
    assert!(service.terminate().await.success());
}

/// A part of the status: a source, with the alarms about it.
fn about<'a>(status: &'a Value, source: &str) -> (&'a Value, Vec<&'a Value>) {
    let alarms = status["alarms"].as_array().unwrap().iter();
    (&status["sources"][source], alarms.filter(|alarm| alarm["about"] == source).collect())
}

fn write_secret(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_a_whole_source_are_named_with_their_remedies_and_end_by_themselves() {
    let repos = ["shop/api", "shop/web", "shop/checkout", "pay/gateway"];
    let refused = Stand::start(&repos).await;
    let skewed = Stand::start(&["shop/api"]).await;
    let late = Stand::start(&["shop/api"]).await;
    let retired = Stand::start(&["shop/api"]).await;
    skewed.registry.set_fault(Fault::Skew, 1.0);
    late.registry.set_fault(Fault::Clock, 1.0);
    late.registry.set_fault(Fault::Skew, 1.0);
    retired.registry.set_fault(Fault::Retired, 1.0);

    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    write_secret(&key_file, "not the key");
    let extra = "first_run: all\n    poll_every: 1s";
    let key = format!("secret_key: {}", refused.registry.credentials().secret_key);
    let config = format!(
        "sources:\n{}{}{}{}{}",
        refused.source_named("refused", extra).replace(&key, "secret_key_file: key"),
        skewed.source_named("skewed", extra),
        late.source_named("late", extra),
        retired.source_named("retired", extra),
        audit(&receiver)
    );
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    let status = async || service.json("/api/v1/status").await;
    until("all is said", async || {
        let status = status().await;
        ["refused", "skewed", "late", "retired"]
            .iter()
            .all(|source| !about(&status, source).1.is_empty())
    })
    .await;
    let now = status().await;
    for (source, state, kind, words) in [
        ("refused", "refused", "credentials", "check secret_id, secret_key"),
        ("skewed", "ok", "clock", "our clock is 600 s behind the registry's"),
        ("late", "refused", "clock", "600 s behind the registry's; set it right (NTP)"),
        ("retired", "refused", "source_blind", "use type tcr_personal"),
    ] {
        let (source, alarms) = about(&now, source);
        assert_eq!(source["state"], state, "{now:#}");
        assert_eq!((alarms.len(), alarms[0]["kind"].as_str()), (1, Some(kind)), "{now:#}");
        let message = alarms[0]["message"].as_str().unwrap();
        // The answer's date may be of the second before.
        let message = message.replace("599 s", "600 s");
        assert!(message.contains(words), "{message}");
    }
    assert!(!now.to_string().contains("not the key"));

    write_secret(&key_file, &refused.registry.credentials().secret_key);
    for stand in [&skewed, &late, &retired] {
        for fault in [Fault::Skew, Fault::Clock, Fault::Retired] {
            stand.registry.set_fault(fault, 0.0);
        }
    }
    for (number, stand) in [&refused, &skewed, &late, &retired].into_iter().enumerate() {
        stand.push(&format!("shop/{}", ["api", "web"][usize::from(number == 0)]), 5);
    }
    until("all of them are read again, and nothing is left to say", async || {
        receiver.by_id().len() == 20 && status().await["alarms"] == serde_json::json!([])
    })
    .await;
    assert!(receiver.by_id().values().all(|count| *count == 1));
    let log = service.log();
    assert_eq!(log.matches("the source refuses us").count(), 3, "{log}");
    assert!(service.terminate().await.success());
}

/// Every row that a world publishes from now on, as it stands last, be it gone since.
struct Chronicle(Arc<Mutex<HashMap<u64, Arc<Row>>>>);

impl Chronicle {
    fn of(world: &World) -> Self {
        let rows: Arc<Mutex<HashMap<_, _>>> = Arc::default();
        let (kept, mut news) = (rows.clone(), world.news());
        tokio::spawn(async move {
            loop {
                match news.recv().await {
                    Ok(one) => kept.lock().unwrap().insert(one.id, one.row),
                    Err(RecvError::Lagged(missed)) => panic!("{missed} news were missed"),
                    Err(RecvError::Closed) => return,
                };
            }
        });
        Self(rows)
    }

    fn rows(&self) -> Vec<Arc<Row>> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_moves_lies_and_fails_is_taken_in_whole_and_once() {
    let repos = ["shop/api", "shop/web", "pay/gateway"];
    let mut stand = Stand::start(&repos).await;
    for repo in repos {
        stand.push_ago(repo, 600, 6000);
    }
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    // Rows are up to 30 s late; the overlap is walked again every half of it.
    let source = stand.source("poll_every: 1s\n    overlap: 40s\n    requests_per_second: 200");
    let config = format!("{source}{}", audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    until("what was there is known", async || service.json("/readyz").await["ready"] == true).await;
    assert_eq!(receiver.count(), 0, "first_run skips what was there");

    let chronicle = Chronicle::of(&stand.world);
    for (fault, chance) in [
        (Fault::Shuffle, 0.5),
        (Fault::Total, 0.3),
        (Fault::Expire, 0.5),
        (Fault::Loose, 0.2),
        (Fault::Truncated, 0.05),
        (Fault::Hangup, 0.05),
        (Fault::Error500, 0.05),
    ] {
        stand.registry.set_fault(fault, chance);
    }
    stand.feed(11, 60.0, 0.2);
    tokio::time::sleep(Duration::from_secs(20)).await;
    stand.stop_feed().await;
    until_within(PATIENCE * 2, Duration::from_millis(500), "all is delivered", async || {
        tally(&chronicle.rows(), &receiver.seen()).lost == 0
            && waiting(&service.json("/api/v1/status").await, "audit") == 0
    })
    .await;
    assert!(service.terminate().await.success());
    let tally = tally(&chronicle.rows(), &receiver.seen());
    let counts = stand.world.counts();
    eprintln!("{counts:?}, {:?}: {tally:?}", stand.registry.requests());
    assert_eq!((tally.lost, tally.invented, tally.repeats), (0, 0, 0));
    assert!(tally.rows > 300 && counts.revised > 0 && counts.removed > 100, "{counts:?}");
}
