//! Ends of a service: killed at any instant, asked to stop under load, refused beside another.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use triggerbell::domain::entry::{Row, WallTime};

use crate::{
    service::{EVERYTHING, audit, waiting, webhooks},
    support::{
        process::{PATIENCE, Service, ran, until, until_within},
        receiver::{Receiver, Reply, Seen},
        stand::{Stand, tally},
    },
};

/// How often the service is killed.
const KILLS: usize = 100;

/// What may arrive twice of one kill: the sends in flight and one batch of settlements.
const REPEATS_MAX: usize = 16 + 256;

/// The longest that one life is let live until what it waits for has come.
const LIFE_MAX: Duration = Duration::from_millis(900);

/// When a life ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// So long after it was begun, be it ready or not.
    After(Duration),
    /// When so many messages have come since.
    Messages(usize),
    /// When so many pages have been asked for since.
    Pages(u64),
}

impl End {
    fn draw(rng: &mut fastrand::Rng) -> Self {
        match rng.u8(0..3) {
            0 => Self::After(Duration::from_millis(rng.u64(3..600))),
            1 => Self::Messages(rng.usize(1..300)),
            _ => Self::Pages(rng.u64(1..40)),
        }
    }

    /// Waits for it, and then for a moment of its own, so that kills come at all instants.
    async fn wait(self, receiver: &Receiver, stand: &Stand, moment: Duration) {
        let pages = || stand.registry.pages_asked().values().sum::<u64>();
        let (begun, messages_before, pages_before) = (Instant::now(), receiver.count(), pages());
        let come = || match self {
            Self::After(wait) => begun.elapsed() >= wait,
            Self::Messages(count) => receiver.count() >= messages_before + count,
            Self::Pages(count) => pages() >= pages_before + count,
        };
        while !come() && begun.elapsed() < LIFE_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(moment).await;
    }
}

/// A receiver that refuses now and then: the first try of every 150th row, and everything for a
/// second after every 2,000th request.
async fn moody() -> Receiver {
    Receiver::answering(|number, _| match number {
        number if number % 2000 == 1999 => Reply::status(429).header("retry-after", "1"),
        number if number % 150 == 149 => Reply::status(500),
        _ => Reply::status(200),
    })
    .await
}

/// How many of these were accepted before.
fn repeated(seen: &[Seen], known: &mut HashSet<String>) -> usize {
    let accepted = seen.iter().filter(|seen| seen.status < 299);
    accepted.filter(|seen| !known.insert(seen.id())).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_a_hundred_times_it_loses_nothing() {
    let stand = Arc::new(Stand::start(&["shop/api", "shop/web", "pay/gateway"]).await);
    // More than is kept in memory of one walk, so that it is sealed in the store and drained.
    stand.push_ago("shop/api", 3000, 6000);
    stand.push_ago("shop/web", 400, 4000);
    let receiver = moody().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s\n    requests_per_second: 500");
    Service::configure(folder.path(), &format!("{source}{}", audit(&receiver)), EVERYTHING);

    let live = stand.trickle(25);
    let mut rng = fastrand::Rng::with_seed(0x9b1d);
    let mut known = HashSet::new();
    let (mut accounted, mut repeats, mut most) = (0, 0, 0);
    for kill in 0..KILLS {
        if kill % 33 == 32 {
            stand.push("shop/api", 2500);
        }
        let mut child = Service::spawn(folder.path(), &[]);
        let moment = Duration::from_micros(rng.u64(0..20_000));
        End::draw(&mut rng).wait(&receiver, &stand, moment).await;
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself in life {kill}");
        child.kill().await.unwrap();
        let seen = receiver.since(accounted);
        accounted += seen.len();
        let again = repeated(&seen, &mut known);
        assert!(again <= REPEATS_MAX, "{again} came twice after kill {kill}");
        (repeats, most) = (repeats + again, most.max(again));
    }
    live.cancel();
    eprintln!("{KILLS} kills: {repeats} of {} came twice, at most {most} of one kill", known.len());

    let service = Service::again(folder.path(), &[]).await;
    until_within(PATIENCE * 2, Duration::from_millis(500), "all is delivered", async || {
        tally(&stand.rows(), &receiver.seen()).lost == 0
            && waiting(&service.json("/api/v1/status").await, "audit") == 0
    })
    .await;
    assert!(service.terminate().await.success());
    let tally = tally(&stand.rows(), &receiver.seen());
    eprintln!("{tally:?}");
    assert_eq!((tally.lost, tally.invented, tally.accepted), (0, 0, tally.rows));
    assert!(tally.rows > 10_000 && repeats > 0, "what was to be tried was not: {tally:?}");
}

/// Incidents that open and end, each told when it does; and groups that wait for longer than a life.
const QUIET: &str = "\
rules:
  - name: incidents
    match: {returnCode: {not: 0}}
    by: [service]
    notify: change
    flapping: {changes: 100, within: 1m}
    send_to: [incidents]
  - name: groups
    match: {returnCode: {not: 0}}
    by: [service]
    group: {wait: 2s, max: 100}
    send_to: [groups]
";

/// How often the service is killed with incidents and groups open.
const QUIET_KILLS: usize = 40;

/// Services, each of which fails and recovers in turns.
const SERVICES: i64 = 30;

/// The `number`-th row: a service fails, and the next time it is well.
fn push_turn(stand: &Stand, number: i64) {
    let at = jiff::Timestamp::now().as_second();
    let text = |text: String| Some(text.into_boxed_str());
    stand.world.push(Row {
        repo: text("shop/api".to_owned()),
        tag: text(format!("v{number}")),
        service: text(format!("svc-{}", number % SERVICES)),
        return_code: Some(i64::from(number / SERVICES % 2 == 0)),
        ..Row::at(WallTime(at + 8 * 3600), jiff::Timestamp::from_second(at).unwrap())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_with_incidents_and_groups_open_each_is_told_as_if_it_had_not_been() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = moody().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s\n    requests_per_second: 500");
    let hooks = webhooks(&[("incidents", &receiver.url), ("groups", &receiver.url)]);
    Service::configure(folder.path(), &format!("{source}{hooks}"), QUIET);
    let mut rng = fastrand::Rng::with_seed(0x9b1d);
    let mut rows = 0;
    // Of one service a row is at least two seconds younger than the one before.
    let mut pushing = tokio::time::interval(Duration::from_millis(75));
    for kill in 0..QUIET_KILLS {
        let mut child = Service::spawn(folder.path(), &[]);
        let end = Instant::now() + Duration::from_millis(rng.u64(20..1_200));
        while Instant::now() < end {
            pushing.tick().await;
            push_turn(&stand, rows);
            rows += 1;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself in life {kill}");
        child.kill().await.unwrap();
    }
    // The last round is whole, and everything is well.
    while rows % (2 * SERVICES) != 0 {
        pushing.tick().await;
        push_turn(&stand, rows);
        rows += 1;
    }
    let failures = usize::try_from(rows / 2).unwrap();
    let service = Service::again(folder.path(), &[]).await;
    // Each message once, by its id, whatever was repeated.
    let told = |path: &str| {
        let mut told = HashMap::new();
        for seen in receiver.seen() {
            if seen.status < 299 && seen.path == path {
                told.insert(seen.id(), seen.json()["data"].clone());
            }
        }
        told
    };
    let grouped =
        || -> u64 { told("/groups").values().map(|data| data["count"].as_u64().unwrap()).sum() };
    until_within(PATIENCE, Duration::from_millis(500), "all is told", async || {
        let status = service.json("/api/v1/status").await;
        told("/incidents").len() >= 2 * failures
            && grouped() >= failures as u64
            && waiting(&status, "incidents") + waiting(&status, "groups") == 0
    })
    .await;
    assert!(service.terminate().await.success());
    let mut by_reason: BTreeMap<(String, String), usize> = BTreeMap::new();
    for data in told("/incidents").values() {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let key = (text(&data["entry"]["service"]), text(&data["reason"]));
        *by_reason.entry(key).or_default() += 1;
    }
    let each = failures / usize::try_from(SERVICES).unwrap();
    assert_eq!(by_reason.len(), 2 * usize::try_from(SERVICES).unwrap(), "{by_reason:?}");
    assert!(by_reason.values().all(|&count| count == each), "{each} of each: {by_reason:?}");
    assert_eq!(grouped(), failures as u64, "every failure is in one group");
    let groups = told("/groups").len();
    eprintln!("{QUIET_KILLS} kills, {rows} rows: {} messages, {groups} groups", 2 * failures);
    assert!(groups < failures, "groups are messages of several");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_under_load_it_stops_in_time_and_repeats_nothing() {
    let stand = Arc::new(Stand::start(&["shop/api", "shop/web"]).await);
    stand.push_ago("shop/api", 2600, 5000);
    let receiver = Receiver::answering(|_, _| Reply {
        after: Duration::from_millis(20),
        ..Reply::status(200)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s\n    requests_per_second: 500");
    let live = stand.trickle(50);
    Service::configure(folder.path(), &format!("{source}{}", audit(&receiver)), EVERYTHING);
    let mut longest = Duration::ZERO;
    for stop in 0..4 {
        let service = Service::again(folder.path(), &[]).await;
        let before = receiver.count();
        until("it delivers", async || receiver.count() > before + 100).await;
        let asked = Instant::now();
        let ended = service.terminate().await;
        longest = longest.max(asked.elapsed());
        assert_eq!(ended.code(), Some(0), "stop {stop}");
        assert!(asked.elapsed() < Duration::from_secs(15), "stop {stop}: {:?}", asked.elapsed());
    }
    live.cancel();
    let service = Service::again(folder.path(), &[]).await;
    until_within(PATIENCE, Duration::from_millis(500), "all is delivered", async || {
        tally(&stand.rows(), &receiver.seen()).lost == 0
    })
    .await;
    assert!(service.terminate().await.success());
    let tally = tally(&stand.rows(), &receiver.seen());
    eprintln!("4 stops under load, the longest took {longest:?}: {tally:?}");
    assert_eq!((tally.lost, tally.invented, tally.repeats), (0, 0, 0));
}

#[tokio::test]
async fn a_second_process_on_the_same_database_is_refused_and_the_first_goes_on() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s");
    let config = format!("{source}{}", audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    let second = ran(folder.path(), &["run"], &[]).await;
    let path = folder.path().join("triggerbell.db");
    assert_eq!(second.code, Some(69), "{}", second.said());
    let said = second.stderr.lines().last().unwrap();
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    assert!(said.contains("is in use by another triggerbell"), "{said}");
    // Nor by another name, or when somebody tidied the lock away.
    std::fs::remove_file(folder.path().join("triggerbell.db.lock")).unwrap();
    let third = ran(folder.path(), &["run"], &[]).await;
    assert_eq!(third.code, Some(69), "{}", third.said());
    let elsewhere = tempfile::tempdir_in(folder.path().parent().unwrap()).unwrap();
    std::fs::hard_link(&path, elsewhere.path().join("triggerbell.db")).unwrap();
    let data = elsewhere.path().to_str().unwrap();
    let fourth = ran(folder.path(), &["run", "--data-dir", data], &[]).await;
    assert_eq!(fourth.code, Some(69), "{}", fourth.said());
    assert!(fourth.stderr.contains("is in use by another triggerbell"), "{}", fourth.said());
    stand.push("shop/api", 20);
    until("the first goes on", async || receiver.by_id().len() == 20).await;
    assert!(service.terminate().await.success());
}
