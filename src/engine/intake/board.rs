//! What a source shows of itself for the status; written by its intake, read by the API.
//!
//! Notes are taken in constant time however many repositories there are; only reading looks at all.
//! Deliberately absent: anything that a decision about an entry depends on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::ports::{RepoStatus, SourceState, SourceStatus};

/// Repositories that fail are listed up to so many.
const FAILING_LISTED: usize = 20;

/// A source's board. Clones share it.
#[derive(Debug, Clone)]
pub struct SourceBoard(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    kind: &'static str,
    poll_every: Duration,
    /// The time that one request for each repository takes.
    round: Duration,
    held: Option<SourceState>,
    error: Option<String>,
    skew_s: Option<i64>,
    requests: u64,
    entries: u64,
    rejected: u64,
    gaps: u64,
    /// When any of its repositories was last read.
    last_read: Option<Timestamp>,
    /// When any page of it was last got.
    last_page: Option<Timestamp>,
    repos: Vec<RepoBoard>,
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

impl SourceBoard {
    pub(super) fn new(kind: &'static str, poll_every: Duration, repos: &[Arc<str>]) -> Self {
        let board = |name: &Arc<str>| RepoBoard {
            name: name.clone(),
            read_at: None,
            interval: poll_every,
            failing: None,
        };
        Self(Arc::new(Mutex::new(Inner {
            kind,
            poll_every,
            round: Duration::ZERO,
            held: None,
            error: None,
            skew_s: None,
            requests: 0,
            entries: 0,
            rejected: 0,
            gaps: 0,
            last_read: None,
            last_page: None,
            repos: repos.iter().map(board).collect(),
        })))
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut Inner) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, adds: Adds) {
        self.with(|inner| {
            inner.requests += adds.requests;
            inner.entries += adds.entries;
            inner.rejected += adds.rejected;
            inner.gaps += adds.gaps;
        });
    }

    pub(super) fn skew(&self, skew_s: i64) {
        self.with(|inner| inner.skew_s = Some(skew_s));
    }

    pub(super) fn round(&self, round: Duration) {
        self.with(|inner| inner.round = round);
    }

    /// A repository was read.
    pub(super) fn read_repo(&self, repo: usize, at: Timestamp) {
        self.with(|inner| {
            inner.error = None;
            inner.last_read = Some(at);
            inner.repos[repo].read_at = Some(at);
            inner.repos[repo].failing = None;
        });
    }

    /// A page was got.
    pub(super) fn page(&self, at: Timestamp) {
        self.with(|inner| inner.last_page = Some(at));
    }

    pub(super) fn interval(&self, repo: usize, interval: Duration) {
        self.with(|inner| inner.repos[repo].interval = interval);
    }

    /// A repository could not be read; `refused` says that the registry refuses this one.
    pub(super) fn failed(&self, repo: usize, at: Timestamp, error: &str, refused: bool) {
        self.with(|inner| {
            inner.error = Some(error.to_owned());
            let failing = &mut inner.repos[repo].failing;
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
            let readable = |repo: &&RepoBoard| repo.failing.as_ref().is_none_or(|it| !it.refused);
            let read_at =
                inner.repos.iter().filter(readable).map(|repo| repo.read_at).min().flatten();
            let measured = inner.repos.iter().map(|repo| repo.interval).max();
            let effective = inner.poll_every.max(inner.round).max(measured.unwrap_or_default());
            let read = read_at.is_some();
            let state = match inner.held {
                Some(state) => state,
                None if read && inner.kind == "file" => SourceState::Done,
                None if read => SourceState::Ok,
                None => SourceState::Starting,
            };
            let failing = inner.repos.iter().filter_map(|repo| {
                let Failing { since, error, .. } = repo.failing.as_ref()?;
                Some(RepoStatus { repo: repo.name.clone(), error: error.clone(), since: *since })
            });
            SourceStatus {
                kind: inner.kind,
                state,
                repos: inner.repos.len(),
                effective_interval_s: effective.as_secs_f64(),
                read_at,
                last_error: inner.error.clone(),
                skew_s: inner.skew_s,
                requests: inner.requests,
                entries: inner.entries,
                rejected: inner.rejected,
                gaps: inner.gaps,
                failing: failing.take(FAILING_LISTED).collect(),
            }
        })
    }
}
