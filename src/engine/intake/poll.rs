//! One poll of one repository: walk what is new, decide it, commit it.
//!
//! Deliberately absent: when to poll again, and what a failure means for the source.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{info, warn};

use crate::{
    engine::{
        cursor::{Closed, Moment, Settings as CursorSettings, Walk, Window, unchanged},
        decider::{Decider, Taken},
    },
    ports::{
        Clock, Cursor, CursorMove, Event, Observer, Page, PageRequest, RepoKey, Source,
        SourceError, SourceErrorKind, Store, StoreError,
    },
};

use super::budget::Budget;

/// Short walks that run side by side.
const SHORT_WALKS: usize = 16;

/// Long walks that run side by side, beside the short ones.
const LONG_WALKS: usize = 4;

/// A walk of more pages than this is a long one.
const SHORT_PAGES: u32 = 8;

/// Sealed rows that are decided in one commit.
const DRAIN_ROWS: usize = 1000;

/// Tries of one page, the first included, before its walk fails.
const PAGE_TRIES: usize = 4;

/// What all polls of a source work with.
pub(super) struct Poller {
    pub(super) name: Arc<str>,
    pub(super) source: Arc<dyn Source>,
    pub(super) store: Arc<dyn Store>,
    pub(super) decider: Arc<Decider>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) cursor_settings: CursorSettings,
    pub(super) budget: Budget,
    pub(super) places: Places,
}

/// Places for walks. A long one gives its place among the short ones back, so that a backlog of one
/// repository holds up no other.
pub(super) struct Places {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
    long_count: AtomicUsize,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            short: Arc::new(Semaphore::new(SHORT_WALKS)),
            long: Arc::new(Semaphore::new(LONG_WALKS)),
            long_count: AtomicUsize::new(0),
        }
    }
}

impl Places {
    /// Long walks that run or wait for a place.
    pub(super) fn long_walks(&self) -> usize {
        self.long_count.load(Ordering::Relaxed)
    }
}

/// What a poll came to.
#[derive(Debug, Default)]
pub(super) struct Polled {
    pub(super) cursor: Option<Cursor>,
    pub(super) requests: u32,
    pub(super) fresh: u64,
    pub(super) rejected: u64,
    pub(super) gap: bool,
    pub(super) skew_s: Option<i64>,
    /// The newest row's instant, as the configured zone has it.
    pub(super) newest: Option<Timestamp>,
    pub(super) deprecated: Option<String>,
}

/// Why a poll failed.
#[derive(Debug)]
pub(super) enum PollError {
    Source(SourceError),
    Store(StoreError),
}

impl From<SourceError> for PollError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<StoreError> for PollError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Poller {
    /// Polls a repository whose cursor is this. What was committed lasts even where it fails later.
    pub(super) async fn poll(
        &self,
        repo: RepoKey,
        cursor: Cursor,
    ) -> (Polled, Result<(), PollError>) {
        let mut polled = Polled::default();
        let result = self.try_poll(&repo, cursor, &mut polled).await;
        let (requests, fresh) = (polled.requests, polled.fresh);
        self.observer.observe(Event::Poll { source: &self.name, requests, fresh });
        (polled, result)
    }

    async fn try_poll(
        &self,
        repo: &RepoKey,
        cursor: Cursor,
        polled: &mut Polled,
    ) -> Result<(), PollError> {
        let place = self.short_place().await;
        if cursor.sealed {
            // A backlog was sealed and not wholly decided, in this life or an earlier one.
            return self.drain(repo, cursor, polled).await;
        }
        let now = self.clock.now();
        let limit = self.cursor_settings.page_limit;
        let first = self.page(repo, 0, limit, polled).await?;
        polled.newest = first.rows.iter().map(|row| row.time).max();
        if unchanged(&self.cursor_settings, &cursor, now, &first) {
            return Ok(());
        }
        let window = Window::new(self.store.window(repo).await?);
        let moment = Moment { now, wall: self.source.wall_time(now) };
        let walk = Walk::new(self.cursor_settings, repo.clone(), cursor, window, moment);
        let closed = self.walk(repo, walk, first, place, polled).await?;
        self.close(repo, closed, polled).await
    }

    async fn short_place(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.places.short.clone().acquire_owned().await.ok()
    }

    /// Walks to the end, staging what is more than memory is to hold.
    async fn walk(
        &self,
        repo: &RepoKey,
        mut walk: Walk,
        first: Page,
        place: Option<OwnedSemaphorePermit>,
        polled: &mut Polled,
    ) -> Result<Closed, PollError> {
        let mut place = Some(place);
        let mut long = None;
        walk.absorb(first);
        loop {
            let staged_before = walk.has_staged();
            if let Some(chunk) = walk.chunk() {
                if !staged_before {
                    // Rows of a walk that an earlier life did not end.
                    self.store.clear_stage(repo).await?;
                }
                self.store.stage(repo, chunk).await?;
            }
            let Some(ask) = walk.ask() else { break };
            if polled.requests >= SHORT_PAGES && place.take().is_some() {
                long = Some(LongWalk::begin(&self.places).await);
            }
            let page = self.page(repo, ask.offset, ask.limit, polled).await?;
            walk.absorb(page);
        }
        drop(long);
        Ok(walk.finish().0)
    }

    /// One page, tried again where it may pass at once; each try takes its share of the budget.
    async fn page(
        &self,
        repo: &RepoKey,
        offset: u64,
        limit: u32,
        polled: &mut Polled,
    ) -> Result<Page, SourceError> {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_factor(3.0)
            .with_jitter()
            .with_max_times(PAGE_TRIES - 1)
            .build();
        loop {
            self.budget.take().await;
            polled.requests += 1;
            let begun = Instant::now();
            let request = PageRequest { repo: &repo.repo, offset, limit };
            let result = self.source.page(request).await;
            let error = result.as_ref().err().map(|error| error.kind);
            let took = begun.elapsed();
            self.observer.observe(Event::Request { source: &self.name, error, took });
            match result {
                Ok(page) => {
                    polled.skew_s = page.skew_s.or(polled.skew_s);
                    polled.deprecated = page.deprecated.clone().or(polled.deprecated.take());
                    return Ok(page);
                }
                Err(error) => {
                    polled.skew_s = error.skew_s.or(polled.skew_s);
                    let passing =
                        error.kind == SourceErrorKind::Unavailable && error.retry_after.is_none();
                    match waits.next().filter(|_| passing) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Err(error),
                    }
                }
            }
        }
    }

    /// Commits what a walk came to.
    async fn close(
        &self,
        repo: &RepoKey,
        closed: Closed,
        polled: &mut Polled,
    ) -> Result<(), PollError> {
        let Closed { fresh, cursor: moved, rejected, counts } = closed;
        let cursor = moved.cursor.clone();
        polled.rejected = rejected.len() as u64;
        polled.gap = counts.gap;
        polled.fresh = counts.fresh;
        if counts.baseline {
            info!(
                source.name = %repo.source, repo.name = %repo.repo,
                history = counts.history, fresh = counts.fresh, requests = counts.requests,
                "read the log for the first time"
            );
        }
        if counts.gap {
            self.observer.observe(Event::Gap { source: &self.name });
            warn!(
                source.name = %repo.source, repo.name = %repo.repo, fresh = counts.fresh,
                "met no known row: rows may have left the log before they were read"
            );
        }
        let rejected = rejected.into_iter().map(|rejected| (repo.clone(), rejected)).collect();
        if moved.seal {
            self.store.stage(repo, fresh).await?;
            let taken = Taken { cursor: Some(moved), rejected, ..Taken::default() };
            self.decider.take(taken).await?;
            polled.cursor = Some(cursor.clone());
            return self.drain(repo, cursor, polled).await;
        }
        let taken = Taken { entries: fresh, cursor: Some(moved), unseal: false, rejected };
        self.decider.take(taken).await?;
        polled.cursor = Some(cursor);
        Ok(())
    }

    /// Decides the sealed rows, oldest first, and then says that there are none.
    async fn drain(
        &self,
        repo: &RepoKey,
        cursor: Cursor,
        polled: &mut Polled,
    ) -> Result<(), PollError> {
        loop {
            let entries = self.store.sealed(repo, DRAIN_ROWS).await?;
            if entries.is_empty() {
                break;
            }
            self.decider.take(Taken { entries, unseal: true, ..Taken::default() }).await?;
        }
        let cursor = Cursor { sealed: false, ..cursor };
        let moved = CursorMove {
            repo: repo.clone(),
            forget_before: cursor.floor,
            cursor: cursor.clone(),
            known: Vec::new(),
            seal: false,
        };
        self.decider.take(Taken { cursor: Some(moved), ..Taken::default() }).await?;
        polled.cursor = Some(cursor);
        Ok(())
    }
}

/// A place among the long walks.
struct LongWalk<'a> {
    places: &'a Places,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<'a> LongWalk<'a> {
    async fn begin(places: &'a Places) -> Self {
        places.long_count.fetch_add(1, Ordering::Relaxed);
        let mut this = Self { places, _permit: None };
        // It is never closed.
        this._permit = places.long.clone().acquire_owned().await.ok();
        this
    }
}

impl Drop for LongWalk<'_> {
    fn drop(&mut self) {
        self.places.long_count.fetch_sub(1, Ordering::Relaxed);
    }
}
