//! One poll of one repository: walk what is new, decide it, commit it.
//!
//! Deliberately absent: when to poll again, and what a failure means for the source.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use crate::{
    domain::entry::FieldHasher,
    engine::{
        cursor::{
            Closed, Counts, FirstRun, Moment, Settings as CursorSettings, Walk, Window, unchanged,
        },
        decider::{Decider, Taken},
    },
    ports::{
        Clock, Cursor, CursorMove, Event, Observer, Page, PageRequest, Rejected, RepoKey, Source,
        SourceError, SourceErrorKind, Store, StoreError,
    },
};

use super::{
    board::SourceBoard,
    budget::Budget,
    places::{Place, Places},
    windows::Windows,
};

/// A walk of more pages than this is a long one.
pub(super) const SHORT_PAGES: u32 = 8;

/// Sealed rows that are decided in one commit.
const DRAIN_ROWS: usize = 1000;

/// Tries of one page, the first included, before its walk fails: of a repository that fails
/// already, of another, and of a long walk, which is worth some patience.
const PAGE_TRIES: (usize, usize, usize) = (1, 4, 10);

/// The first wait between tries of a page, and the longest.
const PAGE_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// What all polls of a source work with.
pub(super) struct Poller {
    pub(super) name: Arc<str>,
    pub(super) source: Arc<dyn Source>,
    pub(super) store: Arc<dyn Store>,
    pub(super) decider: Decider,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) board: SourceBoard,
    pub(super) cursor_settings: CursorSettings,
    pub(super) budget: Budget,
    pub(super) places: Places,
    pub(super) windows: Windows,
    /// The times that its rows say are not to be believed.
    pub(super) zone_doubted: AtomicBool,
}

/// A poll to be made.
pub(super) struct Job {
    pub(super) repo: RepoKey,
    pub(super) cursor: Cursor,
    /// Its place, where it was queued for one of the long ones.
    pub(super) place: Option<Place>,
    /// The instant of its first request, where it was taken for it already.
    pub(super) slot: Option<Instant>,
    /// The repository failed the last time.
    pub(super) failing: bool,
}

/// What a poll came to; only what was committed counts as fresh, rejected or a gap.
#[derive(Debug, Default)]
pub(super) struct Polled {
    /// The instant that was taken for the first request, until it is made.
    slot: Option<Instant>,
    pub(super) cursor: Option<Cursor>,
    /// When its first page was asked for.
    pub(super) asked_at: Option<Instant>,
    /// Requests made.
    pub(super) requests: u32,
    /// Pages got.
    pub(super) pages: u32,
    pub(super) fresh: u64,
    /// Digests of the rows that could not be understood.
    pub(super) rejected: Vec<[u8; 16]>,
    pub(super) gap: bool,
    pub(super) skew_s: Option<i64>,
    /// The newest row's instant, as the configured zone has it.
    pub(super) newest: Option<Timestamp>,
    pub(super) deprecated: Option<String>,
    /// What the first contact came to.
    pub(super) baseline: Option<Baseline>,
}

/// What a first contact came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Baseline {
    /// Rows that are known from now on and no entries.
    pub(super) history: u64,
    /// Rows that became entries.
    pub(super) fresh: u64,
}

/// Why a poll failed.
#[derive(Debug)]
pub(super) enum PollError {
    Source(SourceError),
    Store(StoreError),
    /// It turned out to be a long walk, and no place is free for one.
    Backlog,
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
    /// Polls a repository. What was committed lasts even where it fails later.
    pub(super) async fn poll(&self, job: Job) -> (Polled, Result<(), PollError>) {
        let mut polled = Polled { slot: job.slot, ..Polled::default() };
        let result = self.try_poll(job, &mut polled).await;
        let (requests, fresh) = (polled.requests, polled.fresh);
        self.observer.observe(Event::Poll { source: &self.name, requests, fresh });
        (polled, result)
    }

    async fn try_poll(&self, job: Job, polled: &mut Polled) -> Result<(), PollError> {
        let Job { repo, mut cursor, place, failing, .. } = job;
        if cursor.sealed {
            // A backlog was sealed and not wholly decided, in this life or an earlier one.
            cursor = self.drain(&repo, cursor, polled).await?;
        }
        let mut place = match place {
            Some(place) => place,
            None => self.places.short().await,
        };
        let now = self.clock.now();
        let (few, some, _) = PAGE_TRIES;
        let tries = if failing { few } else { some };
        let first = self.page(&repo, 0, tries, polled).await?;
        polled.newest = first.rows.iter().map(|row| row.time).max();
        if unchanged(&self.cursor_settings, &cursor, now, &first) {
            return Ok(());
        }
        let window = match self.windows.take(&repo.repo) {
            Some(window) => window,
            None => Window::new(self.store.window(&repo).await?),
        };
        let moment = Moment { now, wall: self.source.wall_time(now) };
        let walk = Walk::new(self.settings_for(&cursor), repo.clone(), cursor, window, moment);
        let (closed, mut window) = self.walk(&repo, walk, first, &mut place, polled).await?;
        if !place.is_long() {
            // What is left asks nothing of the registry.
            drop(place);
        }
        let sealed = closed.cursor.seal;
        window.apply(&closed.cursor);
        self.close(&repo, closed, polled).await?;
        if !sealed {
            // Sealing made rows known that this window has not.
            self.windows.put(&repo.repo, window);
        }
        Ok(())
    }

    /// How a repository is walked: one that was discovered after the first contact has news since
    /// then, whatever becomes of the history of others.
    fn settings_for(&self, cursor: &Cursor) -> CursorSettings {
        let first_run = cursor.since.map_or(self.cursor_settings.first_run, FirstRun::Since);
        CursorSettings { first_run, ..self.cursor_settings }
    }

    /// Walks to the end, staging what is more than memory is to hold.
    async fn walk(
        &self,
        repo: &RepoKey,
        mut walk: Walk,
        first: Page,
        place: &mut Place,
        polled: &mut Polled,
    ) -> Result<(Closed, Window), PollError> {
        let (_, some, many) = PAGE_TRIES;
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
            if polled.pages >= SHORT_PAGES && !place.is_long() {
                *place = self.places.upgrade().ok_or(PollError::Backlog)?;
            }
            let tries = if place.is_long() { many } else { some };
            let page = self.page(repo, ask.offset, tries, polled).await?;
            walk.absorb(page);
        }
        Ok(walk.finish())
    }

    /// One page, tried again where it may pass at once; each try takes its share of the budget.
    async fn page(
        &self,
        repo: &RepoKey,
        offset: u64,
        tries: usize,
        polled: &mut Polled,
    ) -> Result<Page, SourceError> {
        let (first_wait, longest_wait) = PAGE_WAITS;
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(first_wait)
            .with_factor(3.0)
            .with_max_delay(longest_wait)
            .with_jitter()
            .with_max_times(tries - 1)
            .build();
        let (_, _, patient) = PAGE_TRIES;
        loop {
            let error = match self.ask(repo, offset, polled).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let passing = match error.kind {
                // One that says how long it lasts is not tried at once.
                SourceErrorKind::Unavailable => error.retry_after.is_none() || tries == patient,
                // A long walk is not begun again for it; the budget is lower by now.
                SourceErrorKind::Throttled => tries == patient,
                _ => false,
            };
            match waits.next().filter(|_| passing) {
                Some(wait) => tokio::time::sleep(wait.max(error.retry_after.unwrap_or(wait))).await,
                None => return Err(error),
            }
        }
    }

    /// One request, when the budget has it.
    async fn ask(
        &self,
        repo: &RepoKey,
        offset: u64,
        polled: &mut Polled,
    ) -> Result<Page, SourceError> {
        match polled.slot.take() {
            Some(at) => tokio::time::sleep_until(at).await,
            None => self.budget.take().await,
        }
        let begun = Instant::now();
        polled.asked_at.get_or_insert(begun);
        polled.requests += 1;
        let limit = self.cursor_settings.page_limit;
        let result = self.source.page(PageRequest { repo: &repo.repo, offset, limit }).await;
        let (error, took) = (result.as_ref().err().map(|error| error.kind), begun.elapsed());
        self.observer.observe(Event::Request { source: &self.name, error, took });
        match &result {
            Ok(page) => {
                polled.pages += 1;
                polled.requests += page.extra_requests;
                self.budget.charge(page.extra_requests);
                polled.skew_s = page.skew_s.or(polled.skew_s);
                if polled.deprecated.is_none() {
                    polled.deprecated.clone_from(&page.deprecated);
                }
                self.board.page(self.clock.now());
            }
            Err(error) => {
                polled.skew_s = error.skew_s.or(polled.skew_s);
                if error.kind == SourceErrorKind::Throttled {
                    self.budget.penalise(begun, error.retry_after);
                }
            }
        }
        result
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
        let digests: Vec<_> = rejected.iter().map(|rejected| digest(repo, rejected)).collect();
        let rejected = rejected.into_iter().map(|rejected| (repo.clone(), rejected)).collect();
        let sealed = moved.seal;
        let zone_doubted = self.zone_doubted.load(Ordering::Relaxed);
        if sealed {
            self.store.stage(repo, fresh).await?;
            let taken = Taken { cursor: Some(moved), rejected, ..Taken::default() };
            self.decider.take(taken).await?;
        } else {
            let count = fresh.len() as u64;
            let cursor = Some(moved);
            let taken = Taken { entries: fresh, cursor, unseal: false, rejected, zone_doubted };
            self.decider.take(taken).await?;
            polled.fresh += count;
        }
        polled.cursor = Some(cursor.clone());
        polled.rejected = digests;
        polled.gap = counts.gap;
        polled.baseline =
            counts.baseline.then_some(Baseline { history: counts.history, fresh: counts.fresh });
        self.tell(repo, &counts);
        if sealed {
            self.drain(repo, cursor, polled).await?;
        }
        Ok(())
    }

    /// Says what of a closed walk a person may want to know.
    fn tell(&self, repo: &RepoKey, counts: &Counts) {
        if counts.gap {
            self.observer.observe(Event::Gap { source: &self.name });
            warn!(
                source.name = %repo.source, repo.name = %repo.repo, fresh = counts.fresh,
                "met no known row: rows may have left the log before they were read"
            );
        }
        if counts.given_up > 0 {
            warn!(
                source.name = %repo.source, repo.name = %repo.repo, seconds = counts.given_up,
                "a second holds more rows than a page shows, and the log orders them anew for \
                 each request: some of several identical rows in it may have been missed"
            );
        }
    }

    /// Decides the sealed rows, oldest first, and then says that there are none. Gives the cursor
    /// as it is then.
    async fn drain(
        &self,
        repo: &RepoKey,
        cursor: Cursor,
        polled: &mut Polled,
    ) -> Result<Cursor, StoreError> {
        loop {
            let entries = self.store.sealed(repo, DRAIN_ROWS).await?;
            if entries.is_empty() {
                break;
            }
            let count = entries.len() as u64;
            let zone_doubted = self.zone_doubted.load(Ordering::Relaxed);
            let taken = Taken { entries, unseal: true, zone_doubted, ..Taken::default() };
            self.decider.take(taken).await?;
            polled.fresh += count;
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
        polled.cursor = Some(cursor.clone());
        Ok(cursor)
    }
}

/// By what a row that could not be understood is known again.
fn digest(repo: &RepoKey, rejected: &Rejected) -> [u8; 16] {
    let mut hasher = FieldHasher::new("rejected");
    hasher.text(&repo.repo);
    hasher.text(&rejected.raw);
    hasher.finish()
}
