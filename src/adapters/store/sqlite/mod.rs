//! The store on SQLite.
//!
//! One thread writes, two read and one copies the log back, each with a connection of its own
//! ([`thread`], [`checkpoint`]): the engine's questions never stand behind a person's, and commits
//! not behind the copying. The file is in write-ahead mode and every transaction
//! is synced before it is answered. The layout, and why (`migrations/`):
//!
//! - What a notification *is* (`messages`) is written once; how it *fares* (`outbox`) is a narrow
//!   row. A claim and a settlement rewrite a few pages of narrow rows and never a payload, and a
//!   list filtered by state, receiver or rule scans narrow rows.
//! - First in, first out per (receiver, key): a row is due only when it is the first of its [`mod@line`].
//!   The next one becomes due in the transaction that ends the one before it. The index of due rows
//!   and that of live rows are partial: their size is the backlog's, whatever was delivered. Both
//!   are in the order of time, so what a batch touches of them lies together.
//! - A message that is delivered at its first attempt costs no row in `attempts`.
//! - Sealing a walk is one number in `repos`, not a write to each staged row.
//! - Pages that retention frees are used again; the file does not shrink, and does not grow beyond
//!   its fullest. To give the space back, stop and run `VACUUM`.
//!
//! Deliberately absent: rusqlite's types outside this folder, and decisions.

mod archive;
mod checkpoint;
mod claim;
mod code;
mod commit;
mod cursors;
mod error;
mod fold;
mod follow;
mod hand_over;
mod line;
mod names;
mod open;
mod outbox;
#[cfg(test)]
mod plans;
mod query;
mod retain;
mod retell;
mod thread;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;

use crate::{
    domain::{
        entry::{Entry, EntryId},
        notification::NotificationId,
    },
    ports::{
        Alarm, AttemptView, Batch, Claim, Cursor, Delivery, EntryQuery, EntryView, Fold, Folding,
        HandOver, HandedOver, Known, LaneRecord, List, NotificationQuery, NotificationView,
        Observer, OutboxCount, Payload, Redirect, RejectedView, RepoKey, Retention, RetriedDead,
        RetryDead, RuleCount, Settlement, Store, StoreError, StoreErrorKind,
    },
};

pub use archive::Archive;

use self::{
    checkpoint::Checkpointer,
    names::Names,
    open::Opened,
    thread::{Reader, Writer},
};

/// Where the store lies, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// The database file; beside it come `-wal`, `-shm` and `.lock`. Its folder has to exist.
    pub path: PathBuf,
    /// The most pages of 8 KiB that the file may have; `None` leaves it to the disk. Beyond it
    /// writes fail as they do on a full disk.
    pub max_pages: Option<u32>,
}

impl SqliteSettings {
    /// A file of that path, bounded by its disk.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_pages: None }
    }
}

/// What the writer's thread works with. The lock is let go after the connection is closed.
struct Writing {
    conn: Connection,
    names: Names,
    /// For records on their way into a column.
    buffer: Vec<u8>,
    swept: retain::Swept,
    lock: open::Lock,
}

impl Writing {
    /// Forgets what a transaction that was rolled back may have taught.
    fn forget(&mut self) {
        self.names.forget();
    }
}

/// The store in an SQLite file, which no other process can open meanwhile.
///
/// Dropping it, or [`SqliteStore::close`], does what was asked before, copies the write-ahead log
/// back and lets the file go. A caller that goes away does not take its request back.
pub struct SqliteStore {
    // The others go first, so that the writer's connection is the last and clears the log.
    checkpointer: Checkpointer,
    engine: Reader,
    people: Reader,
    writer: Writer,
    path: Arc<PathBuf>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, begun where there is none and migrated where it is older. Blocks for as long
    /// as that takes. `observer` hears of every commit.
    ///
    /// # Errors
    /// [`StoreErrorKind::Locked`] when it is open already, here or in another process;
    /// [`StoreErrorKind::Damaged`] when it is no database, another program's or a later version's;
    /// [`StoreErrorKind::Full`] and [`StoreErrorKind::Io`] when it can't be written.
    pub fn open(
        settings: &SqliteSettings,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, StoreError> {
        let Opened { mut conn, lock } = open::open_writer(&settings.path, settings.max_pages)?;
        let engine = open::open_reader(&settings.path)?;
        let people = open::open_reader(&settings.path)?;
        let copying = open::open_checkpointer(&settings.path)?;
        let checkpointer = Checkpointer::spawn(&mut conn, copying)
            .map_err(|failure| failure.told(&settings.path))?;
        let path = Arc::new(settings.path.clone());
        let writing = Writing {
            conn,
            names: Names::default(),
            buffer: Vec::new(),
            swept: retain::Swept::default(),
            lock,
        };
        let no_thread = |error: std::io::Error| {
            let problem = format!("can't be served: no thread can be started: {error}");
            error::store_error(StoreErrorKind::Io, &settings.path, &problem)
        };
        Ok(Self {
            checkpointer: checkpointer.map_err(no_thread)?,
            writer: Writer::spawn(writing, path.clone(), observer).map_err(no_thread)?,
            engine: Reader::spawn("store-engine", engine, path.clone()).map_err(no_thread)?,
            people: Reader::spawn("store-people", people, path.clone()).map_err(no_thread)?,
            path,
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does what was asked before, copies the log back and lets the file go. From then on every
    /// call fails with [`StoreErrorKind::Closed`].
    pub async fn close(&self) {
        self.checkpointer.close().await;
        self.engine.close().await;
        self.people.close().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn cursors(&self, source: &str) -> Result<Vec<(Arc<str>, Cursor)>, StoreError> {
        let source = source.to_owned();
        self.engine.call(move |conn| cursors::of_source(conn, &source)).await
    }

    async fn window(&self, repo: &RepoKey) -> Result<Vec<Known>, StoreError> {
        let repo = repo.clone();
        self.engine.call(move |conn| cursors::window(conn, &repo)).await
    }

    async fn stage(&self, repo: &RepoKey, rows: Vec<Entry>) -> Result<(), StoreError> {
        let repo = repo.clone();
        self.writer.call(move |writing| cursors::stage(writing, &repo, &rows)).await
    }

    async fn clear_stage(&self, repo: &RepoKey) -> Result<(), StoreError> {
        loop {
            let repo = repo.clone();
            if !self.writer.call(move |writing| cursors::clear_stage(writing, &repo)).await? {
                return Ok(());
            }
        }
    }

    async fn sealed(&self, repo: &RepoKey, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let repo = repo.clone();
        self.engine.call(move |conn| cursors::sealed(conn, &repo, limit)).await
    }

    async fn state(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.engine.call(query::state).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.writer.call(move |writing| commit::commit(writing, &batch)).await
    }

    async fn release_claims(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.writer.call(move |writing| outbox::release_claims(writing, now)).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Delivery>, StoreError> {
        self.writer.call(move |writing| claim::claim(writing, &claim)).await
    }

    async fn fold_and_claim(
        &self,
        fold: Fold,
        claim: Claim,
    ) -> Result<(Folding, Vec<Delivery>), StoreError> {
        let both = move |writing: &mut Writing| match fold::fold(writing, &fold)? {
            Folding::Gather(until) => Ok((Folding::Gather(until), Vec::new())),
            folding => Ok((folding, claim::claim(writing, &claim)?)),
        };
        self.writer.call(both).await
    }

    async fn fold(&self, fold: Fold) -> Result<Folding, StoreError> {
        self.writer.call(move |writing| fold::fold(writing, &fold)).await
    }

    async fn hand_over(&self, wish: HandOver) -> Result<HandedOver, StoreError> {
        self.writer.call(move |writing| hand_over::hand_over(writing, &wish)).await
    }

    async fn next_due(&self, receiver: &str) -> Result<Option<Timestamp>, StoreError> {
        let receiver = receiver.to_owned();
        self.engine.call(move |conn| outbox::next_due(conn, &receiver)).await
    }

    async fn settle(
        &self,
        settlements: Arc<[Settlement]>,
        lane: Option<LaneRecord>,
    ) -> Result<(), StoreError> {
        self.writer.call(move |writing| outbox::settle(writing, &settlements, lane.as_ref())).await
    }

    async fn lanes(&self) -> Result<Vec<LaneRecord>, StoreError> {
        self.engine.call(outbox::lanes).await
    }

    async fn orphan(&self, receivers: &[Arc<str>], now: Timestamp) -> Result<u64, StoreError> {
        let receivers: Arc<[Arc<str>]> = receivers.into();
        let mut total = 0;
        loop {
            let receivers = receivers.clone();
            let step = move |writing: &mut Writing| outbox::orphan(writing, &receivers, now);
            match self.writer.call(step).await? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }

    async fn release_lane(&self, receiver: &str) -> Result<u64, StoreError> {
        let receiver = receiver.to_owned();
        self.writer.call(move |writing| outbox::release_lane(writing, &receiver)).await
    }

    async fn bury(&self, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
        let receiver: Arc<str> = receiver.into();
        let released = receiver.clone();
        self.writer.call(move |writing| outbox::release_lane(writing, &released)).await?;
        let mut total = 0;
        loop {
            let receiver = receiver.clone();
            let step = move |writing: &mut Writing| outbox::bury(writing, &receiver, now);
            match self.writer.call(step).await? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }

    async fn retry(
        &self,
        id: NotificationId,
        to: Option<Redirect>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.writer.call(move |writing| outbox::retry(writing, id, to.as_ref(), now)).await
    }

    async fn retry_dead(&self, wish: RetryDead) -> Result<RetriedDead, StoreError> {
        if wish.preview {
            return self.people.call(move |conn| outbox::dead_since(conn, &wish)).await;
        }
        self.writer.call(move |writing| outbox::retry_dead(writing, &wish)).await
    }

    async fn entries(&self, query: EntryQuery) -> Result<List<EntryView>, StoreError> {
        self.people.call(move |conn| query::entries(conn, &query)).await
    }

    async fn entry(&self, id: EntryId) -> Result<Option<EntryView>, StoreError> {
        self.people.call(move |conn| query::entry(conn, id)).await
    }

    async fn entries_by_id(&self, ids: Vec<EntryId>) -> Result<Vec<Entry>, StoreError> {
        self.engine.call(move |conn| query::entries_by_id(conn, &ids)).await
    }

    async fn notifications(
        &self,
        query: NotificationQuery,
    ) -> Result<List<NotificationView>, StoreError> {
        self.people.call(move |conn| query::notifications(conn, &query)).await
    }

    async fn notification(
        &self,
        id: NotificationId,
    ) -> Result<Option<(NotificationView, Option<Payload>, Vec<AttemptView>)>, StoreError> {
        self.people.call(move |conn| query::notification(conn, id)).await
    }

    async fn outbox(&self) -> Result<Vec<OutboxCount>, StoreError> {
        self.people.call(query::outbox).await
    }

    async fn alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        self.people.call(query::alarms).await
    }

    async fn rule_counts(&self) -> Result<Vec<RuleCount>, StoreError> {
        self.people.call(query::rule_counts).await
    }

    async fn rejected(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<List<RejectedView>, StoreError> {
        self.people.call(move |conn| query::rejected(conn, before, limit)).await
    }

    async fn retain(&self, retention: Retention) -> Result<bool, StoreError> {
        self.writer
            .call(move |writing| {
                writing.lock.in_place()?;
                retain::retain(writing, &retention)
            })
            .await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writer
            .call(|writing| {
                writing.lock.in_place()?;
                let sql = "UPDATE probes SET count = count + 1 WHERE id = 1";
                writing.conn.prepare_cached(sql)?.execute([])?;
                Ok(())
            })
            .await
    }
}
