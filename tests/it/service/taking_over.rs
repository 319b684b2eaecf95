//! A source that is exchanged while rows of the old one are still being decided: the new one waits for
//! them. Who did not would read what was known before them, and take them in a second time.
//!
//! Nothing here is left to luck but how soon it is seen: rounds are gone through until one of them
//! shows the rows behind the exchange.

use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use triggerbell::{
    adapters::clock::SystemClock,
    app::{App, Loader},
    config::{self, Request},
    domain::entry::{Row, WallTime},
};

use crate::{
    service::audit,
    support::{
        process::{client, until},
        receiver::Receiver,
        stand::Stand,
    },
};

/// Rounds until the rows stand behind the exchange; nearly always it is the first.
const ROUNDS: u32 = 12;

const RULES: &str = "rules:
  - name: three
    match: {returnCode: 1}
    by: [tag]
    notify: {count: 3, within: 1h}
    send_to: [audit]
  - name: marker
    match: {tag: marker}
    send_to: [audit]
";

/// What stands before a registry and, while it is shut, passes each question on only when it is told to.
struct Gate {
    behind: String,
    shut: AtomicBool,
    asked: AtomicUsize,
    let_through: Semaphore,
}

impl Gate {
    async fn before(stand: &Stand) -> (Arc<Self>, String) {
        let endpoint = stand.registry.ccr_endpoint();
        let path = endpoint.find("/v2").unwrap();
        let gate = Arc::new(Self {
            behind: endpoint[..path].to_owned(),
            shut: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            let_through: Semaphore::new(0),
        });
        let router = Router::new().fallback(pass).with_state(gate.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{}", listener.local_addr().unwrap(), &endpoint[path..]);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gate, url)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn shut(&self) {
        self.let_through.forget_permits(usize::MAX);
        self.shut.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.shut.store(false, Ordering::SeqCst);
        self.let_through.add_permits(1000);
    }
}

async fn pass(
    State(gate): State<Arc<Gate>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Bytes) {
    gate.asked.fetch_add(1, Ordering::SeqCst);
    if gate.shut.load(Ordering::SeqCst) {
        gate.let_through.acquire().await.unwrap().forget();
    }
    let request = client().request(method, format!("{}{uri}", gate.behind));
    let answer = request.headers(headers).body(body).send().await.unwrap();
    (answer.status(), answer.bytes().await.unwrap())
}

fn write(folder: &Path, stand: &Stand, endpoint: &str, receiver: &Receiver, rate: u32) {
    let source = format!("first_run: all\n    poll_every: 1s\n    requests_per_second: {rate}");
    let source = stand.source(&source).replace(&stand.registry.ccr_endpoint(), endpoint);
    let config = format!(
        "{source}  other:\n    file: log.jsonl\n    poll_every: 1s\n{}rules: [rules.yaml]\napi:\n  \
         listen: 127.0.0.1:0\n",
        audit(receiver)
    );
    std::fs::write(folder.join("triggerbell.yaml"), config).unwrap();
}

fn row(tag: &str, service: &str, code: i64) -> Row {
    let at = Timestamp::now().as_second();
    let text = |text: &str| Some(text.into());
    Row {
        repo: text("shop/api"),
        tag: text(tag),
        service: text(service),
        return_code: Some(code),
        ..Row::at(WallTime(at + 8 * 3600), Timestamp::from_second(at).unwrap())
    }
}

/// What is on the disk, and how long it takes to put something there.
struct Disk(rusqlite::Connection);

impl Disk {
    /// The database of a running service, in which an entry takes long to put down from now on; until
    /// it is there others read what was there before.
    async fn slowed_down(path: &Path) -> Self {
        let conn = rusqlite::Connection::open(path).unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        let slow = "CREATE TABLE slow AS WITH RECURSIVE n (x) AS
                    (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000) SELECT x FROM n;
                    CREATE TRIGGER slowly AFTER INSERT ON entries BEGIN
                    SELECT count(*) FROM slow a, slow b WHERE a.x + b.x = NEW.seq; END";
        until("it can be slowed down", async || conn.execute_batch(slow).is_ok()).await;
        Self(conn)
    }

    /// How many entries of a tag are there.
    fn taken(&self, tag: &str) -> i64 {
        let sql = "SELECT count(*) FROM entries WHERE fields LIKE '%\"' || ?1 || '\"%'";
        self.0.query_row(sql, [tag], |row| row.get(0)).unwrap()
    }

    /// Whether nobody puts anything down, for long enough that nobody is about to.
    async fn is_still(&self, looks: u32) -> bool {
        for _ in 0..looks {
            if self.0.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_exchanged_waits_for_the_rows_of_the_one_before() {
    let stand = Stand::start(&["shop/api"]).await;
    let (gate, endpoint) = Gate::before(&stand).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("log.jsonl"), "").unwrap();
    std::fs::write(folder.join("rules.yaml"), RULES).unwrap();
    write(folder, &stand, &endpoint, &receiver, 20);
    let path = folder.join("triggerbell.yaml");
    let read = Arc::new(Notify::new());
    let told = read.clone();
    let loader: Loader = Arc::new(move || {
        let loaded = config::load(&Request { config: Some(&path), data_dir: None, env: &|_| None });
        told.notify_one();
        loaded
    });
    let app = App::start(loader().unwrap().config, loader, Arc::new(SystemClock)).await.unwrap();
    let (control, cancel) = (app.control(), CancellationToken::new());
    let running = tokio::spawn(app.run(cancel.clone()));
    read.notified().await;
    stand.world.push(row("marker", "first", 0));
    until("it is read", async || receiver.count() == 1).await;
    let disk = Disk::slowed_down(&folder.join("triggerbell.db")).await;

    let mut shown = false;
    for round in 1..=ROUNDS {
        let tag = format!("round-{round}");
        gate.shut();
        let before = gate.asked();
        until("it asks", async || gate.asked() > before).await;
        let asked = gate.asked();
        stand.world.push(row(&tag, "a", 1));
        stand.world.push(row(&tag, "b", 1));
        let line = json!({"time": Timestamp::now(), "tag": format!("other-{round}")});
        let mut log = std::fs::File::options().append(true).open(folder.join("log.jsonl")).unwrap();
        writeln!(log, "{line}").unwrap();
        until("another's row is put down", async || !disk.is_still(1).await).await;
        write(folder, &stand, &endpoint, &receiver, 20 + round);
        let (control, changed) = (control.clone(), json!(["shop"]));
        let reload = tokio::spawn(async move { control.reload("api").await });
        read.notified().await;
        // The exchange has its turn after the other's row, and what comes now after the exchange.
        tokio::time::sleep(Duration::from_millis(20) * (round - 1)).await;
        gate.let_through.add_permits(1);
        let reloaded = reload.await.unwrap().unwrap();
        assert_eq!(json!(reloaded.sources.changed), changed);
        // Nobody is let through any more, so rows that come now are the old one's.
        let came_before = disk.taken(&tag) > 0;
        let mut asks_early = false;
        let came = loop {
            let asks = gate.asked() > asked;
            match disk.taken(&tag) {
                0 if asks && disk.is_still(40).await => break disk.taken(&tag) > 0,
                0 => asks_early |= asks,
                _ => break true,
            }
        };
        shown = came && !came_before;
        assert!(!shown || !asks_early, "it asked before the old one's rows were put down");
        gate.open();
        stand.world.push(row("marker", &tag, 0));
        let told = usize::try_from(round).unwrap() + 1;
        until("it goes on", async || receiver.count() >= told).await;
        let seen = receiver.seen();
        let twice = seen.iter().find(|seen| seen.json()["type"] == "trigger.threshold");
        assert!(twice.is_none(), "two failures were counted as three: {twice:?}");
        if shown {
            break;
        }
    }
    assert!(shown, "the rows never stood behind the exchange");
    drop(control);
    cancel.cancel();
    running.await.unwrap().unwrap();
}
