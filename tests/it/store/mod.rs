//! The store, through its port, on real files.

mod asking;
mod delivering;
mod folding;
mod following;
mod model;
mod opening;
mod retrying;
mod taking_in;
mod upkeep;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use triggerbell::{
    adapters::store::{SqliteSettings, SqliteStore},
    domain::{
        entry::{Entry, EntryId, Row, WallTime},
        notification::{NotificationId, NotificationState, Reason},
        outcome::{Class, Outcome, OutcomeRecord},
        rule::Severity,
    },
    ports::{
        Batch, Claim, Cursor, CursorMove, DecidedEntry, Delivery, Event, NewNotification, Observer,
        Payload, PayloadFormat, Redirect, RepoKey, SettleAs, Settlement, Store,
    },
};

/// An observer that looks away.
struct Nobody;

impl Observer for Nobody {
    fn observe(&self, _: Event<'_>) {}
}

/// A store in a folder of its own, and the folder.
struct Home {
    store: SqliteStore,
    folder: tempfile::TempDir,
}

impl std::ops::Deref for Home {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path().join("bell.db"));
        Self { store, folder }
    }

    /// The same after a stop and a start.
    fn reopened(self) -> Self {
        let Self { store, folder } = self;
        drop(store);
        let store = open(folder.path().join("bell.db"));
        Self { store, folder }
    }

    /// What another start would find if this process were killed now: the files as they are.
    fn as_if_killed(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bell.db", "bell.db-wal"] {
            std::fs::copy(self.folder.path().join(name), folder.path().join(name)).unwrap();
        }
        let store = open(folder.path().join("bell.db"));
        Self { store, folder }
    }

    async fn put(&self, notifications: Vec<NewNotification>) {
        self.commit(Batch { notifications, ..Batch::default() }).await.unwrap();
    }

    async fn claim_for(&self, receiver: &str, limit: usize, now: Timestamp) -> Vec<Delivery> {
        self.store.claim(wish(receiver, limit, now)).await.unwrap()
    }

    async fn settle_as(&self, delivery: &Delivery, becomes: SettleAs, now: Timestamp) {
        self.settle([settlement(delivery, becomes, now)].into(), None).await.unwrap();
    }

    async fn state_of(&self, id: NotificationId) -> NotificationState {
        self.notification(id).await.unwrap().unwrap().0.state
    }
}

fn open(path: PathBuf) -> SqliteStore {
    SqliteStore::open(&SqliteSettings::at(path), Arc::new(Nobody)).unwrap()
}

/// So many seconds after a fixed morning.
fn at(seconds: i64) -> Timestamp {
    "2026-03-02T09:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds as u64)
}

fn shop_api() -> RepoKey {
    RepoKey { source: "shop".into(), repo: "shop/api".into() }
}

fn row(second: i64, tag: &str) -> Row {
    Row {
        repo: Some("shop/api".into()),
        tag: Some(tag.into()),
        trigger: Some("deploy".into()),
        service: Some("api".into()),
        ..Row::at(WallTime(1_000 + second), at(second))
    }
}

fn entry_of(key: &RepoKey, row: Row, ordinal: u32) -> Entry {
    let identity = row.identity();
    Entry {
        id: EntryId::of(&key.source, &key.repo, identity, ordinal),
        identity,
        ordinal,
        revises: false,
        source: key.source.clone(),
        asked_repo: key.repo.clone(),
        row,
    }
}

fn entry(second: i64, tag: &str) -> Entry {
    entry_of(&shop_api(), row(second, tag), 0)
}

fn decided(entry: Entry, matched: &[&str]) -> DecidedEntry {
    let taken_at = entry.row.time;
    let matched = matched.iter().map(|&rule| rule.into()).collect();
    DecidedEntry { entry: Arc::new(entry), taken_at, matched }
}

/// Notification `n` for a receiver about a key, decided at second `n`.
fn about(n: u32, receiver: &str, key: &str) -> NewNotification {
    let mut digest = [0; 16];
    digest[..key.len()].copy_from_slice(key.as_bytes());
    NewNotification {
        told: Default::default(),
        id: NotificationId(u128::from(n).to_be_bytes()),
        rule: "prod-deploy-failed".into(),
        receiver: receiver.into(),
        source: "shop".into(),
        key: digest,
        key_json: serde_json::json!({"service": key}),
        reason: Reason::Matched,
        severity: Severity::Critical,
        entries: Vec::new(),
        count: 1,
        created_at: at(n.into()),
        held_by: None,
        payload: Some(Payload { format: PayloadFormat::Json, body: format!("{{\"n\": {n}}}") }),
        follows: None,
    }
}

fn id(n: u32) -> NotificationId {
    NotificationId(u128::from(n).to_be_bytes())
}

/// The `n` of notifications made by [`about`].
fn number(id: NotificationId) -> u32 {
    u32::try_from(u128::from_be_bytes(id.0)).unwrap()
}

fn numbers(deliveries: &[Delivery]) -> Vec<u32> {
    deliveries.iter().map(|delivery| number(delivery.id)).collect()
}

fn settlement(delivery: &Delivery, becomes: SettleAs, now: Timestamp) -> Settlement {
    let class = match becomes {
        SettleAs::Delivered => Class::Delivered,
        _ => Class::Retry { after: None },
    };
    let status = if becomes == SettleAs::Delivered { 200 } else { 503 };
    Settlement {
        seq: delivery.seq,
        receiver: delivery.receiver.clone(),
        key: delivery.key,
        attempt: delivery.attempt,
        started_at: now,
        ended_at: now + Duration::from_millis(20),
        outcome: OutcomeRecord::from(&Outcome::new(class, Some(status), "the answer")),
        captured: None,
        becomes,
    }
}

fn wish(receiver: &str, limit: usize, now: Timestamp) -> Claim {
    Claim {
        receiver: receiver.into(),
        limit,
        now,
        fit_waits: false,
        follow: true,
        unfinished: None,
        lane: None,
    }
}

fn failed_until(at: Timestamp) -> SettleAs {
    SettleAs::Pending { at, plain: false, failed: true }
}

fn moved(cursor: Cursor) -> CursorMove {
    CursorMove {
        repo: shop_api(),
        cursor,
        known: Vec::new(),
        forget_before: WallTime::MIN,
        seal: false,
    }
}

/// Another receiver, where a text names whom it was meant for.
fn redirect(to: &str) -> Redirect {
    Redirect {
        to: to.into(),
        compose: Arc::new(|kept| Payload {
            format: PayloadFormat::Text,
            body: format!("{} for {}: {:?}", kept.id, kept.receiver, kept.told.message),
        }),
    }
}
