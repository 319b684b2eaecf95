//! What a source shows of itself for the status; written by its intake, read by the API.

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
    repos: Vec<RepoBoard>,
}

#[derive(Debug)]
struct RepoBoard {
    name: Arc<str>,
    read_at: Option<Timestamp>,
    interval: Duration,
    failing: Option<(Timestamp, String)>,
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

    pub(super) fn succeeded(&self, repo: usize, at: Timestamp) {
        self.with(|inner| {
            inner.held = None;
            inner.error = None;
            inner.repos[repo].read_at = Some(at);
            inner.repos[repo].failing = None;
        });
    }

    pub(super) fn interval(&self, repo: usize, interval: Duration) {
        self.with(|inner| inner.repos[repo].interval = interval);
    }

    pub(super) fn failed(&self, repo: usize, at: Timestamp, error: &str) {
        self.with(|inner| {
            inner.error = Some(error.to_owned());
            let failing = inner.repos[repo].failing.get_or_insert((at, String::new()));
            error.clone_into(&mut failing.1);
        });
    }

    /// The whole source is held, or blind.
    pub(super) fn held(&self, state: SourceState) {
        self.with(|inner| inner.held = Some(state));
    }

    /// When any of its repositories was last read.
    pub(super) fn last_read(&self) -> Option<Timestamp> {
        self.with(|inner| inner.repos.iter().filter_map(|repo| repo.read_at).max())
    }

    /// What it shows now.
    pub fn read(&self) -> SourceStatus {
        self.with(|inner| {
            let read_at = inner.repos.iter().map(|repo| repo.read_at).min().flatten();
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
                let (since, error) = repo.failing.clone()?;
                Some(RepoStatus { repo: repo.name.clone(), error, since })
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
