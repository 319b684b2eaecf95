//! What a source shows of itself for the status; written by its intake, read by the API.
//!
//! Notes are taken in constant time however many repositories there are; only reading looks at all.
//! Deliberately absent: anything that a decision about an entry depends on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::ports::{
    DiscoveryStatus, IntervalStatus, PushStatus, RepoStatus, SourceState, SourceStatus,
};

use super::schedule::{Intervals, Load};

/// Repositories that fail are listed up to so many.
const FAILING_LISTED: usize = 20;

/// A source's board. Clones share it.
#[derive(Debug, Clone)]
pub struct SourceBoard(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    kind: &'static str,
    intervals: IntervalStatus,
    discovery: Option<DiscoveryStatus>,
    push: Option<PushStatus>,
    held: Option<SourceState>,
    error: Option<String>,
    skew_s: Option<i64>,
    counts: Counts,
    /// When any of its repositories was last read.
    last_read: Option<Timestamp>,
    /// When any page of it was last got.
    last_page: Option<Timestamp>,
    /// By place; those of which nothing is shown are places that are free.
    repos: Vec<Option<RepoBoard>>,
    /// How many there are.
    count: usize,
}

#[derive(Debug)]
struct RepoBoard {
    name: Arc<str>,
    read_at: Option<Timestamp>,
    interval: Duration,
    failing: Option<Failing>,
}

/// Since when a repository fails, and why.
#[derive(Debug)]
struct Failing {
    since: Timestamp,
    error: String,
    /// The registry refuses this repository, so that it says nothing of the source.
    refused: bool,
}

/// What a poll adds to the counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Adds {
    pub(super) requests: u64,
    pub(super) entries: u64,
    pub(super) rejected: u64,
    pub(super) gaps: u64,
}

/// What was counted since the start, of whoever has had a source's name: one that is exchanged may
/// still count while the next shows already.
#[derive(Debug, Clone, Default)]
struct Counts(Arc<Mutex<Adds>>);

impl Counts {
    fn change<R>(&self, change: impl FnOnce(&mut Adds) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// The interval at which the slowest repository is asked: as it is worked out, and as it was
    /// measured, whichever is longer.
    fn effective_interval(&self) -> Duration {
        let IntervalStatus { busy, busy_s, idle_s, .. } = self.intervals;
        let worked_out_s = match self.count {
            0 => self.discovery.as_ref().map_or(busy_s, |discovery| discovery.every_s),
            count if busy < count => idle_s,
            _ => busy_s,
        };
        let worked_out = Duration::try_from_secs_f64(worked_out_s).unwrap_or(Duration::MAX);
        let measured = self.repos.iter().flatten().map(|repo| repo.interval).max();
        worked_out.max(measured.unwrap_or_default())
    }
}

/// The boards of all sources that there are now. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct SourceBoards(Arc<Mutex<BTreeMap<Arc<str>, SourceBoard>>>);

impl SourceBoards {
    fn with<R>(&self, use_it: impl FnOnce(&mut BTreeMap<Arc<str>, SourceBoard>) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a source's board up, in place of one that it had before, whose counts go on.
    pub fn put(&self, source: &Arc<str>, board: SourceBoard) {
        self.with(|boards| {
            if let Some(before) = boards.get(source) {
                let (counts, push) = before.with(|inner| (inner.counts.clone(), inner.push));
                board.with(|inner| {
                    inner.counts = counts;
                    inner.push = inner.push.map(|fresh| push.unwrap_or(fresh));
                });
            }
            boards.insert(source.clone(), board);
        });
    }

    /// Takes down the board of a source that is gone.
    pub fn remove(&self, source: &str) {
        self.with(|boards| boards.remove(source));
    }

    /// How each source fares.
    pub fn read(&self) -> BTreeMap<Arc<str>, SourceStatus> {
        let boards = self.with(|boards| boards.clone());
        boards.into_iter().map(|(name, board)| (name, board.read())).collect()
    }
}

impl SourceBoard {
    pub(super) fn new(kind: &'static str) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            kind,
            intervals: IntervalStatus::default(),
            discovery: None,
            push: None,
            held: None,
            error: None,
            skew_s: None,
            counts: Counts::default(),
            last_read: None,
            last_page: None,
            repos: Vec::new(),
            count: 0,
        })))
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut Inner) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, adds: Adds) {
        self.with(|inner| {
            inner.counts.change(|sums| {
                sums.requests += adds.requests;
                sums.entries += adds.entries;
                sums.rejected += adds.rejected;
                sums.gaps += adds.gaps;
            });
        });
    }

    pub(super) fn skew(&self, skew_s: i64) {
        self.with(|inner| inner.skew_s = Some(skew_s));
    }

    /// A repository has that place from now on.
    pub(super) fn seat(&self, repo: usize, name: Arc<str>, interval: Duration) {
        let board = RepoBoard { name, read_at: None, interval, failing: None };
        self.with(|inner| {
            if inner.repos.len() <= repo {
                inner.repos.resize_with(repo + 1, || None);
            }
            inner.count += usize::from(inner.repos[repo].replace(board).is_none());
        });
    }

    /// The repository of a place is not read any more.
    pub(super) fn unseat(&self, repo: usize) {
        self.with(|inner| {
            inner.count -= usize::from(inner.repos[repo].take().is_some());
        });
    }

    /// The intervals that the budget allows now.
    pub(super) fn load(&self, load: &Load) {
        let Intervals { busy, idle } = load.intervals();
        self.with(|inner| {
            inner.intervals = IntervalStatus {
                busy: load.busy,
                busy_s: busy.as_secs_f64(),
                idle_s: idle.as_secs_f64(),
                requests_per_poll: load.requests_per_poll,
            };
        });
    }

    /// How the discovery stands now.
    pub(super) fn discovery(&self, status: &DiscoveryStatus) {
        self.with(|inner| {
            if inner.discovery.as_ref() != Some(status) {
                inner.discovery = Some(status.clone());
            }
        });
    }

    /// Changes what is shown of what the registry sends.
    pub(super) fn push(&self, change: impl FnOnce(&mut PushStatus)) {
        self.with(|inner| change(inner.push.get_or_insert_default()));
    }

    /// The interval at which the quickest of its repositories are asked.
    pub(super) fn quickest(&self) -> Duration {
        let seconds = self.with(|inner| inner.intervals.busy_s);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// A repository was read.
    pub(super) fn read_repo(&self, repo: usize, at: Timestamp) {
        self.with(|inner| {
            inner.error = None;
            inner.last_read = Some(at);
            if let Some(board) = &mut inner.repos[repo] {
                board.read_at = Some(at);
                board.failing = None;
            }
        });
    }

    /// A page was got.
    pub(super) fn page(&self, at: Timestamp) {
        self.with(|inner| inner.last_page = Some(at));
    }

    pub(super) fn interval(&self, repo: usize, interval: Duration) {
        self.with(|inner| {
            if let Some(board) = &mut inner.repos[repo] {
                board.interval = interval;
            }
        });
    }

    /// A repository could not be read; `refused` says that the registry refuses this one.
    pub(super) fn failed(&self, repo: usize, at: Timestamp, error: &str, refused: bool) {
        self.with(|inner| {
            inner.error = Some(error.to_owned());
            let Some(RepoBoard { failing, .. }) = &mut inner.repos[repo] else { return };
            let since = failing.as_ref().map_or(at, |failing| failing.since);
            *failing = Some(Failing { since, error: error.to_owned(), refused });
        });
    }

    /// The whole source is refused, or blind.
    pub(super) fn hold(&self, state: SourceState, error: Option<&str>) {
        self.with(|inner| {
            inner.held = Some(state);
            if let Some(error) = error {
                inner.error = Some(error.to_owned());
            }
        });
    }

    /// It is neither refused nor blind.
    pub(super) fn let_go(&self) {
        self.with(|inner| inner.held = None);
    }

    /// When any of its repositories was last read, and when any page was got.
    pub(super) fn last(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        self.with(|inner| (inner.last_read, inner.last_page))
    }

    /// What it shows now.
    pub fn read(&self) -> SourceStatus {
        self.with(|inner| {
            let repos = || inner.repos.iter().flatten();
            let readable = |repo: &&RepoBoard| repo.failing.as_ref().is_none_or(|it| !it.refused);
            let read_at = match inner.count {
                // There is nothing to read as long as nothing is found.
                0 => inner.discovery.as_ref().and_then(|discovery| discovery.answered_at),
                _ => repos().filter(readable).map(|repo| repo.read_at).min().flatten(),
            };
            let effective = inner.effective_interval();
            let read_at = inner.push.map_or(read_at, |push| push.last_at);
            let read = read_at.is_some() || inner.push.is_some();
            let state = match inner.held {
                Some(state) => state,
                None if read && inner.kind == "file" => SourceState::Done,
                None if read => SourceState::Ok,
                None => SourceState::Starting,
            };
            let failing = repos().filter_map(|repo| {
                let Failing { since, error, .. } = repo.failing.as_ref()?;
                Some(RepoStatus { repo: repo.name.clone(), error: error.clone(), since: *since })
            });
            let sums = inner.counts.change(|sums| *sums);
            SourceStatus {
                kind: inner.kind,
                state,
                repos: inner.count,
                effective_interval_s: effective.as_secs_f64(),
                intervals: inner.intervals,
                discovery: inner.discovery.clone(),
                push: inner.push,
                read_at,
                last_error: inner.error.clone(),
                skew_s: inner.skew_s,
                requests: sums.requests,
                entries: sums.entries,
                rejected: sums.rejected,
                gaps: sums.gaps,
                failing: failing.take(FAILING_LISTED).collect(),
            }
        })
    }
}
