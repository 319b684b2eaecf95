//! A store in memory that keeps the promises about taking entries in as plainly as they can be
//! said, for intakes under paused time. It can fail, and it can stop for ever before or after any
//! write, as a crash would. What intakes don't ask for is not there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use triggerbell::{
    domain::{
        decision::StateChange,
        entry::{Entry, EntryId, Identity, WallTime},
        notification::NotificationId,
    },
    ports::{
        AttemptView, Batch, Claim, Cursor, CursorMove, Delivery, EntryQuery, EntryView, Known,
        LaneRecord, List, NewNotification, NotificationQuery, NotificationView, OutboxCount,
        Payload, Redirect, RejectedView, RepoKey, Retention, RetriedDead, RetryDead, RuleCount,
        Settlement, Store, StoreError, StoreErrorKind,
    },
};

/// A commit, as far as tests ask about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Whose cursors moved, in order.
    pub(crate) repos: Vec<Arc<str>>,
    pub(crate) entries: usize,
    pub(crate) unseal: bool,
    pub(crate) seal: bool,
}

/// What is put down of a repository.
#[derive(Debug, Default)]
struct RepoRecord {
    cursor: Cursor,
    known: BTreeMap<(WallTime, Identity), Known>,
    staged: Vec<Entry>,
    sealed: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Inner {
    repos: BTreeMap<RepoKey, RepoRecord>,
    entries: HashMap<EntryId, Entry>,
    /// Every decision of an entry, in order.
    decided: Vec<Entry>,
    notifications: Vec<NewNotification>,
    notified: BTreeSet<NotificationId>,
    rejected: BTreeSet<(String, String)>,
    state: BTreeMap<String, Vec<u8>>,
    commits: Vec<Commit>,
    staged_chunks: usize,
    failing: bool,
    /// The store can't take in what holds rows of that repository.
    poison: Option<Arc<str>>,
    writes: u64,
    /// The write at which everything stops, and whether that write is still made.
    stop_at: Option<(u64, bool)>,
    state_reads: u32,
    window_reads: u32,
    /// Everything stops when a walk has been sealed.
    stop_when_sealed: bool,
}

/// The store. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Inner>>);

fn broken() -> StoreError {
    StoreError { kind: StoreErrorKind::Full, message: "the disk is full".to_owned() }
}

impl Memory {
    fn with<R>(&self, use_it: impl FnOnce(&mut Inner) -> R) -> R {
        use_it(&mut self.0.lock().unwrap())
    }

    /// From now on every write fails, or none.
    pub(crate) fn fail(&self, failing: bool) {
        self.with(|inner| inner.failing = failing);
    }

    /// From the `write`-th on nothing answers any more; that write is made or not.
    pub(crate) fn stop_at(&self, write: u64, made: bool) {
        self.with(|inner| inner.stop_at = Some((inner.writes + write, made)));
    }

    /// From now on a commit that moves that repository's cursor fails by a bug, or none does.
    pub(crate) fn poison(&self, repo: Option<&str>) {
        self.with(|inner| inner.poison = repo.map(Into::into));
    }

    /// When a walk has been sealed nothing answers any more.
    pub(crate) fn stop_when_sealed(&self) {
        self.with(|inner| inner.stop_when_sealed = true);
    }

    /// Whether everything has stopped.
    pub(crate) fn stopped(&self) -> bool {
        self.with(|inner| inner.stop_at.is_some_and(|(write, _)| inner.writes >= write))
    }

    /// As after a start.
    pub(crate) fn restart(&self) {
        self.with(|inner| (inner.stop_at, inner.stop_when_sealed) = (None, false));
    }

    pub(crate) fn writes(&self) -> u64 {
        self.with(|inner| inner.writes)
    }

    pub(crate) fn state_reads(&self) -> u32 {
        self.with(|inner| inner.state_reads)
    }

    pub(crate) fn window_reads(&self) -> u32 {
        self.with(|inner| inner.window_reads)
    }

    /// Every decision of an entry, in order.
    pub(crate) fn decided(&self) -> Vec<Entry> {
        self.with(|inner| inner.decided.clone())
    }

    pub(crate) fn notifications(&self) -> Vec<NewNotification> {
        self.with(|inner| inner.notifications.clone())
    }

    pub(crate) fn rejected(&self) -> usize {
        self.with(|inner| inner.rejected.len())
    }

    pub(crate) fn commits(&self) -> Vec<Commit> {
        self.with(|inner| inner.commits.clone())
    }

    pub(crate) fn staged_chunks(&self) -> usize {
        self.with(|inner| inner.staged_chunks)
    }

    pub(crate) fn cursor(&self, source: &str, repo: &str) -> Cursor {
        let key = RepoKey { source: source.into(), repo: repo.into() };
        self.with(|inner| inner.repos.get(&key).map(|it| it.cursor.clone()).unwrap_or_default())
    }

    /// Rows that are staged and not sealed, of a repository.
    pub(crate) fn staged(&self, source: &str, repo: &str) -> usize {
        let key = RepoKey { source: source.into(), repo: repo.into() };
        self.with(|inner| inner.repos.get(&key).map_or(0, |it| it.staged.len()))
    }

    /// Makes a write, in its own turn; `Err` where the store fails, and no end where it stopped.
    async fn write<R>(&self, make: impl FnOnce(&mut Inner) -> R) -> Result<R, StoreError> {
        tokio::task::yield_now().await;
        let made = self.with(|inner| {
            inner.writes += 1;
            match inner.stop_at {
                Some((at, made)) if inner.writes > at || (inner.writes == at && !made) => None,
                _ if inner.failing => Some(Err(broken())),
                _ => Some(Ok(make(inner))),
            }
        });
        if self.stopped() {
            return std::future::pending().await;
        }
        tokio::task::yield_now().await;
        match made {
            Some(made) => made,
            None => std::future::pending().await,
        }
    }
}

impl Inner {
    fn advance(&mut self, moved: CursorMove) {
        let record = self.repos.entry(moved.repo).or_default();
        for known in moved.known {
            record.known.insert((known.wall, known.identity), known);
        }
        if moved.seal {
            assert!(record.sealed.is_empty(), "a walk is sealed over another's rows");
            record.sealed = std::mem::take(&mut record.staged);
            for entry in &record.sealed {
                let (wall, identity) = (entry.row.wall_time, entry.identity);
                let fresh = Known { wall, identity, copies: 0, next_ordinal: 0 };
                let known = record.known.entry((wall, identity)).or_insert(fresh);
                known.copies += 1;
                known.next_ordinal = known.next_ordinal.max(entry.ordinal + 1);
            }
            for entry in record.sealed.iter().filter(|entry| entry.revises) {
                let base = (entry.row.wall_time, entry.row.identity_without_result());
                if let Some(known) = record.known.get_mut(&base) {
                    known.copies = known.copies.saturating_sub(1);
                }
            }
            // Newest first as staged: the oldest is at the end.
            record.sealed.sort_by_key(|entry| std::cmp::Reverse(entry.row.wall_time));
            if self.stop_when_sealed {
                self.stop_at = Some((self.writes, true));
            }
        }
        record.known.retain(|key, _| key.0 >= moved.forget_before);
        record.cursor = moved.cursor;
    }

    fn commit(&mut self, batch: Batch) {
        self.commits.push(Commit {
            repos: batch.cursors.iter().map(|moved| moved.repo.repo.clone()).collect(),
            entries: batch.entries.len(),
            unseal: batch.unseal,
            seal: batch.cursors.iter().any(|moved| moved.seal),
        });
        for moved in batch.cursors {
            self.advance(moved);
        }
        let ids: BTreeSet<[u8; 16]> =
            batch.entries.iter().map(|decided| decided.entry.id.0).collect();
        if let Some(first) = batch.entries.first().filter(|_| batch.unseal) {
            let Entry { source, asked_repo, .. } = &*first.entry;
            let key = RepoKey { source: source.clone(), repo: asked_repo.clone() };
            let sealed = &mut self.repos.get_mut(&key).unwrap().sealed;
            sealed.retain(|entry| !ids.contains(&entry.id.0));
        }
        for decided in batch.entries {
            let entry = (*decided.entry).clone();
            self.decided.push(entry.clone());
            self.entries.insert(entry.id, entry);
        }
        for change in batch.changes {
            match change {
                StateChange::Put { name, record } => self.state.insert(name, record),
                StateChange::Remove { name } => self.state.remove(&name),
            };
        }
        for new in batch.notifications {
            if self.notified.insert(new.id) {
                self.notifications.push(new);
            }
        }
        for (repo, rejected) in batch.rejected {
            self.rejected.insert((repo.repo.to_string(), rejected.raw));
        }
    }
}

#[async_trait]
impl Store for Memory {
    async fn cursors(&self, source: &str) -> Result<Vec<(Arc<str>, Cursor)>, StoreError> {
        Ok(self.with(|inner| {
            let of_source = inner.repos.iter().filter(|(key, _)| &*key.source == source);
            of_source.map(|(key, record)| (key.repo.clone(), record.cursor.clone())).collect()
        }))
    }

    async fn window(&self, repo: &RepoKey) -> Result<Vec<Known>, StoreError> {
        tokio::task::yield_now().await;
        Ok(self
            .with(|inner| {
                inner.window_reads += 1;
                inner.repos.get(repo).map(|record| record.known.values().copied().collect())
            })
            .unwrap_or_default())
    }

    async fn stage(&self, repo: &RepoKey, rows: Vec<Entry>) -> Result<(), StoreError> {
        self.write(|inner| {
            inner.staged_chunks += 1;
            inner.repos.entry(repo.clone()).or_default().staged.extend(rows);
        })
        .await
    }

    async fn clear_stage(&self, repo: &RepoKey) -> Result<(), StoreError> {
        self.write(|inner| inner.repos.entry(repo.clone()).or_default().staged.clear()).await
    }

    async fn sealed(&self, repo: &RepoKey, limit: usize) -> Result<Vec<Entry>, StoreError> {
        tokio::task::yield_now().await;
        Ok(self.with(|inner| {
            let sealed = inner.repos.get(repo).map(|record| &record.sealed[..]).unwrap_or_default();
            sealed.iter().rev().take(limit).cloned().collect()
        }))
    }

    async fn state(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.with(|inner| {
            inner.state_reads += 1;
            if inner.failing {
                return Err(broken());
            }
            Ok(inner.state.clone().into_iter().collect())
        })
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let bug = StoreError { kind: StoreErrorKind::Bug, message: "poison".to_owned() };
        let moves = |repo: &Arc<str>| batch.cursors.iter().any(|moved| moved.repo.repo == *repo);
        if self.with(|inner| inner.poison.as_ref().is_some_and(moves)) {
            return Err(bug);
        }
        self.write(|inner| inner.commit(batch)).await
    }

    async fn release_claims(&self, _: Timestamp) -> Result<u64, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn claim(&self, _: Claim) -> Result<Vec<Delivery>, StoreError> {
        unreachable!("lanes do that")
    }

    async fn next_due(&self, _: &str) -> Result<Option<Timestamp>, StoreError> {
        unreachable!("lanes do that")
    }

    async fn settle(&self, _: Arc<[Settlement]>, _: Option<LaneRecord>) -> Result<(), StoreError> {
        unreachable!("lanes do that")
    }

    async fn lanes(&self) -> Result<Vec<LaneRecord>, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn orphan(&self, _: &[Arc<str>], _: Timestamp) -> Result<u64, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn release_lane(&self, _: &str) -> Result<u64, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn bury(&self, _: &str, _: Timestamp) -> Result<u64, StoreError> {
        unreachable!("the composition root does that")
    }

    async fn retry(
        &self,
        _: NotificationId,
        _: Option<Redirect>,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        unreachable!("the API does that")
    }

    async fn retry_dead(&self, _: RetryDead) -> Result<RetriedDead, StoreError> {
        unreachable!("the API does that")
    }

    async fn entries(&self, _: EntryQuery) -> Result<List<EntryView>, StoreError> {
        unreachable!("the API does that")
    }

    async fn entry(&self, id: EntryId) -> Result<Option<EntryView>, StoreError> {
        Ok(self.with(|inner| {
            let entry = inner.entries.get(&id)?.clone();
            let (seq, taken_at) = (0, entry.row.time);
            Some(EntryView { seq, entry, taken_at, matched: Vec::new(), notifications: Vec::new() })
        }))
    }

    async fn notifications(
        &self,
        _: NotificationQuery,
    ) -> Result<List<NotificationView>, StoreError> {
        unreachable!("the API does that")
    }

    async fn notification(
        &self,
        _: NotificationId,
    ) -> Result<Option<(NotificationView, Option<Payload>, Vec<AttemptView>)>, StoreError> {
        unreachable!("the API does that")
    }

    async fn outbox(&self) -> Result<Vec<OutboxCount>, StoreError> {
        unreachable!("the API does that")
    }

    async fn rule_counts(&self) -> Result<Vec<RuleCount>, StoreError> {
        unreachable!("the API does that")
    }

    async fn rejected(&self, _: Option<i64>, _: usize) -> Result<List<RejectedView>, StoreError> {
        unreachable!("the API does that")
    }

    async fn retain(&self, _: Retention) -> Result<bool, StoreError> {
        unreachable!("upkeep does that")
    }

    async fn probe(&self) -> Result<(), StoreError> {
        unreachable!("readiness does that")
    }
}
