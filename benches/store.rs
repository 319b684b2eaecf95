//! What the store costs: entries with one notification each, put down, claimed and settled in
//! batches, in rows a second and in CPU time a row. `cargo bench --bench store -- [ROWS] [KEYS]
//! [ROWS OF A COMMIT]`.
//!
//! Deliberately absent: statistics. It runs once, on a file in the temporary folder, and prints.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::{
    fs,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use triggerbell::{
    adapters::store::{SqliteSettings, SqliteStore},
    domain::{
        entry::{Entry, EntryId, Row, WallTime},
        notification::{NotificationId, Reason},
        outcome::{Class, Outcome, OutcomeRecord},
        rule::Severity,
    },
    ports::{
        Batch, Claim, DecidedEntry, Delivery, Event, NewNotification, Observer, Payload,
        PayloadFormat, RepoKey, SettleAs, Settlement, Store,
    },
};

const CLAIM_ROWS: usize = 256;
const STAGE_ROWS: u32 = 1_000;

struct Nobody;

impl Observer for Nobody {
    fn observe(&self, _: Event<'_>) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u32>().ok());
    let rows = numbers.next().unwrap_or(100_000);
    let keys = numbers.next().unwrap_or(1_200);
    let commit_rows = numbers.next().unwrap_or(1_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    let store = SqliteStore::open(&SqliteSettings::at(&path), Arc::new(Nobody)).unwrap();

    println!("{rows} entries with a notification each, {keys} keys");
    let committed = commit(&store, 0..rows, commit_rows, keys).await;
    committed.and(deliver(&store, rows).await).print("together, as a backlog", rows);
    staged(&store, rows).await;
    let mut spent = Spent::default();
    for from in (rows..2 * rows).step_by(250) {
        let batch = batch(from, 250, keys);
        let meter = Meter::start();
        store.commit(batch).await.unwrap();
        spent.add(&meter);
        spent = spent.and(drain(&store, 250).await);
    }
    spent.print("together, as they come", rows);
    let meter = Meter::start();
    drop(store);
    meter.print("closing", rows);
    println!("file {} KiB, peak memory {}", fs::metadata(&path).unwrap().len() / 1024, peak());
}

async fn commit(store: &SqliteStore, rows: Range<u32>, commit_rows: u32, keys: u32) -> Spent {
    let (count, mut spent) = (rows.len(), Spent::default());
    for from in rows.step_by(commit_rows as usize) {
        let batch = batch(from, commit_rows, keys);
        let meter = Meter::start();
        store.commit(batch).await.unwrap();
        spent.add(&meter);
    }
    spent.print("commit", u32::try_from(count).unwrap());
    spent
}

/// Claims and settles, the claims and the settlements metered apart.
async fn deliver(store: &SqliteStore, rows: u32) -> Spent {
    let (claims, settlements) = claim_and_settle(store, rows).await;
    claims.print("claim", rows);
    settlements.print("settle", rows);
    claims.and(settlements)
}

async fn drain(store: &SqliteStore, rows: u32) -> Spent {
    let (claims, settlements) = claim_and_settle(store, rows).await;
    claims.and(settlements)
}

async fn claim_and_settle(store: &SqliteStore, mut left: u32) -> (Spent, Spent) {
    let (mut claims, mut settlements) = (Spent::default(), Spent::default());
    while left > 0 {
        let meter = Meter::start();
        let claimed = store.claim(wish()).await.unwrap();
        claims.add(&meter);
        assert!(!claimed.is_empty());
        left -= u32::try_from(claimed.len()).unwrap();
        let settled = claimed.iter().map(settlement).collect();
        let meter = Meter::start();
        store.settle(settled, None).await.unwrap();
        settlements.add(&meter);
    }
    (claims, settlements)
}

/// The way of rows of a long walk before they are decided.
async fn staged(store: &SqliteStore, rows: u32) {
    let repo = RepoKey { source: "shop".into(), repo: "shop/staged".into() };
    let mut spent = Spent::default();
    for from in (0..rows).step_by(STAGE_ROWS as usize) {
        let chunk = (from..from + STAGE_ROWS).map(|n| entry(&repo, 10_000_000 - n)).collect();
        let meter = Meter::start();
        store.stage(&repo, chunk).await.unwrap();
        spent.add(&meter);
    }
    spent.print("stage", rows);
    let meter = Meter::start();
    store.clear_stage(&repo).await.unwrap();
    meter.print("clear the stage", rows);
}

fn wish() -> Claim {
    Claim {
        receiver: "audit".into(),
        limit: CLAIM_ROWS,
        now: Timestamp::MAX,
        fit_waits: false,
        follow: false,
        unfinished: None,
        lane: None,
    }
}

fn batch(from: u32, rows: u32, keys: u32) -> Batch {
    let repos: Vec<RepoKey> = (0..40)
        .map(|n| RepoKey { source: "shop".into(), repo: format!("shop/service-{n}").into() })
        .collect();
    let mut batch = Batch::default();
    for n in from..from + rows {
        let entry = entry(&repos[n as usize % repos.len()], n);
        batch.notifications.push(notification(&entry, n % keys));
        let taken_at = entry.row.time;
        let matched = vec!["prod-deploy-failed".into()];
        batch.entries.push(DecidedEntry { entry: Arc::new(entry), taken_at, matched });
    }
    batch
}

fn entry(repo: &RepoKey, n: u32) -> Entry {
    let time = Timestamp::from_second(1_770_000_000 + i64::from(n / 50)).unwrap();
    let row = Row {
        repo: Some((&*repo.repo).into()),
        tag: Some(format!("v1.{n}.0").into()),
        trigger: Some("deploy-production".into()),
        invoke_source: Some("IMAGE_PUSH".into()),
        invoke_action: Some("SERVICE_UPDATE".into()),
        invoke_method: Some("regex".into()),
        invoke_expr: Some("v.*".into()),
        app_id: Some("1250000000".into()),
        service: Some(format!("service-{}", n % 30).into()),
        cluster_id: Some("cls-9x8y7z6w".into()),
        namespace: Some("production".into()),
        container: Some("main".into()),
        cluster_region: Some(1),
        return_code: Some(i64::from(n % 3)),
        return_msg: Some("update service ok".into()),
        ..Row::at(WallTime(time.as_second()), time)
    };
    let identity = row.identity();
    Entry {
        id: EntryId::of(&repo.source, &repo.repo, identity, 0),
        identity,
        ordinal: 0,
        revises: false,
        source: repo.source.clone(),
        asked_repo: repo.repo.clone(),
        row,
    }
}

fn notification(entry: &Entry, key: u32) -> NewNotification {
    let fields = serde_json::to_string(&entry.row).unwrap();
    let name = format!("key {key}");
    NewNotification {
        told: Default::default(),
        id: NotificationId::of(entry, "prod-deploy-failed", "audit", Reason::Matched, 0),
        rule: "prod-deploy-failed".into(),
        receiver: "audit".into(),
        source: "shop".into(),
        key: NotificationId::of_event(&name, "", Reason::Matched, 0).0,
        key_json: serde_json::json!({"repo": entry.repo(), "service": entry.row.service}),
        reason: Reason::Matched,
        severity: Severity::Critical,
        entries: vec![entry.id],
        count: 1,
        created_at: entry.row.time,
        held_by: None,
        payload: Some(Payload {
            format: PayloadFormat::Json,
            body: format!(
                "{{\"type\":\"trigger.matched\",\"data\":{{\"entry\":{fields},\"count\":1}}}}"
            ),
        }),
        follows: None,
    }
}

fn settlement(delivery: &Delivery) -> Settlement {
    let now = Timestamp::from_second(1_780_000_000).unwrap();
    Settlement {
        seq: delivery.seq,
        receiver: delivery.receiver.clone(),
        key: delivery.key,
        attempt: delivery.attempt,
        started_at: now,
        ended_at: now + Duration::from_millis(3),
        outcome: OutcomeRecord::from(&Outcome::new(Class::Delivered, Some(200), "200 OK")),
        captured: None,
        becomes: SettleAs::Delivered,
    }
}

/// Time on the wall and on the processors, all threads together.
#[derive(Default, Clone, Copy)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

struct Meter {
    wall: Instant,
    cpu: Duration,
}

impl Meter {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    fn print(&self, what: &str, rows: u32) {
        let mut spent = Spent::default();
        spent.add(self);
        spent.print(what, rows);
    }
}

impl Spent {
    fn and(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }

    fn add(&mut self, meter: &Meter) {
        self.wall += meter.wall.elapsed();
        // A thread that ended meanwhile took its time along.
        self.cpu += cpu().saturating_sub(meter.cpu);
    }

    fn print(&self, what: &str, rows: u32) {
        let rate = f64::from(rows) / self.wall.as_secs_f64();
        let micros = self.cpu.as_secs_f64() * 1e6 / f64::from(rows);
        println!("{what:24} {rate:9.0} rows/s   {micros:6.2} µs of CPU a row");
    }
}

/// CPU time of this process's threads so far, in nanoseconds as the scheduler counts them.
fn cpu() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let spent = threads.filter_map(|thread| {
        let stat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

/// The most memory that was resident, as the kernel tells it.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("unknown").trim().to_owned()
}
