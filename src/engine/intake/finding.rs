//! The repositories that are discovered: asking for them, putting down what an answer changes, and
//! only then reading those that are new.
//!
//! What is put down first is what first contact will need after a crash: from when on a new
//! repository's rows are news. The source's own record, when it was last listed, moves last.
//! Deliberately absent: what an answer means (`discovery`, `roster`).

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::info;

use crate::{
    domain::entry::WallTime,
    ports::{
        Batch, Cursor, CursorMove, Event, Listing, ListingRequest, RepoKey, Source, SourceError,
        SourceErrorKind, Store, StoreError,
    },
};

use super::{
    Intake, Landed,
    discovery::{Answer, RECORD},
    poll::Poller,
    roster::{Changes, Standing},
    survey::Survey,
};

/// Records that are put down in one commit.
const COMMIT_RECORDS: usize = 1_000;

/// Tries of one page of a listing, and the first wait between them.
const PAGE_TRIES: usize = 4;
const FIRST_PAGE_WAIT: Duration = Duration::from_millis(200);

/// An answer of the registry and what follows from it.
pub(super) struct Found {
    answer: Answer,
    /// Repositories that are listed and wanted.
    wanted: usize,
    changes: Changes,
    /// From when on the rows of new ones are news; `None` at first contact.
    since: Option<WallTime>,
}

impl Intake {
    /// Takes up what an earlier life had discovered. It is read at once, and counts as missing until
    /// the registry lists it again.
    pub(super) fn resume_discovery(&mut self, cursors: &mut HashMap<Arc<str>, Cursor>) {
        let record = cursors.remove(RECORD);
        let Some(discovery) = &mut self.discovery else { return };
        discovery.whole_at = record.and_then(|record| record.walked_at);
        let named: Vec<Arc<str>> = self.settings.repos.clone();
        let wanted = |name: &Arc<str>| !named.contains(name) && discovery.settings.wants(name);
        let mut known: Vec<Arc<str>> =
            cursors.keys().filter(|name| wanted(name)).cloned().collect();
        known.sort_unstable();
        let since = Instant::now();
        for name in known {
            let cursor = cursors.get(&name).cloned().unwrap_or_default();
            if cursor.gone_at.is_some() {
                self.roster.remember_gone(name, cursor);
            } else {
                self.seat(name, cursor, Standing::Missing { since, answers: 0 });
            }
        }
    }

    /// Asks the registry what there is, when that is due. Says when to look again.
    pub(super) fn start_discovery(&mut self, now: Instant) -> Option<Instant> {
        let discovery = self.discovery.as_mut().filter(|discovery| !discovery.under_way)?;
        if discovery.next_at > now {
            return Some(discovery.next_at);
        }
        discovery.under_way = true;
        let poller = self.poller.clone();
        self.flights.push(async move { Landed::Listed(list(&poller).await) }.boxed());
        None
    }

    /// The registry was asked.
    pub(super) fn listed(&mut self, result: Result<Answer, SourceError>) {
        let now = Instant::now();
        let Some(discovery) = &mut self.discovery else { return };
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                let blind_after = self.settings.blind_after;
                discovery.failed(&error, &self.health, blind_after, now);
                if self.roster.is_empty() && error.kind.is_source_wide() {
                    // Nothing else can find out.
                    self.health.refused(&error);
                }
                return self.show();
            }
        };
        if self.refusal.is_none() {
            self.health.accepted();
        }
        let wanted = discovery.wanted(&answer.surveyed);
        let since = discovery.news_since().map(|at| self.poller.source.wall_time(at));
        let moved = discovery.is_whole(&answer).then_some(answer.begun);
        let changes = self.roster.compare(&wanted, now);
        let at = self.poller.clock.now();
        let mut moves = self.let_go(&changes.leaving, at);
        for (name, cursor) in &changes.new {
            if cursor.is_none() {
                moves.push(self.record(name.clone(), Cursor { since, ..Cursor::default() }));
            }
        }
        let whole = moved.map(|begun| {
            let first = self.discovery.as_ref().and_then(|discovery| discovery.whole_at);
            let cursor = Cursor {
                baseline_at: first.or(Some(begun)),
                walked_at: Some(begun),
                ..Cursor::default()
            };
            self.record(Arc::from(RECORD), cursor)
        });
        let found = Found { wanted: wanted.len(), answer, changes, since };
        let store = self.store.clone();
        let put_down = async move {
            let result = put_down(&*store, moves, whole, at).await;
            Landed::PutDown(found, result)
        };
        self.flights.push(put_down.boxed());
    }

    /// Lets repositories go, and says what is to be put down of them.
    fn let_go(&mut self, leaving: &[usize], at: Timestamp) -> Vec<CursorMove> {
        let mut moves = Vec::new();
        for &index in leaving {
            self.roster.let_go(index);
            self.health.forget(index);
            self.board.unseat(index);
            let repo = self.roster.get(index);
            info!(
                source.name = %self.settings.name, repo.name = %repo.key.repo,
                "the registry does not list it any more, so it is not read any more"
            );
            let cursor = Cursor { gone_at: Some(at), ..repo.cursor.clone() };
            moves.push(self.record(repo.key.repo.clone(), cursor));
        }
        moves
    }

    fn record(&self, repo: Arc<str>, cursor: Cursor) -> CursorMove {
        CursorMove {
            repo: RepoKey { source: self.settings.name.clone(), repo },
            forget_before: cursor.floor,
            cursor,
            known: Vec::new(),
            seal: false,
        }
    }

    /// What an answer changes was put down: the new ones are read.
    pub(super) fn put_down(&mut self, found: &Found, result: Result<(), StoreError>) {
        let now = Instant::now();
        if let Err(error) = result {
            self.health.store_failed(&error);
            let Some(discovery) = &mut self.discovery else { return };
            let failure = SourceError {
                kind: SourceErrorKind::Unavailable,
                message: format!("what was found could not be put down: {error}"),
                code: None,
                retry_after: None,
                skew_s: None,
            };
            discovery.failed(&failure, &self.health, self.settings.blind_after, now);
            return self.show();
        }
        self.health.store_works();
        let Found { answer, wanted, changes, since } = found;
        for (name, cursor) in &changes.new {
            let cursor = cursor.clone();
            let cursor = cursor.unwrap_or(Cursor { since: *since, ..Cursor::default() });
            if let Some(index) = self.seat(name.clone(), cursor, Standing::Found) {
                self.queue.put_fresh(index);
            }
        }
        if let Some(discovery) = &mut self.discovery {
            discovery.answered(answer, *wanted, changes, &self.health, now);
        }
        if self.roster.is_empty() {
            self.health.nothing_to_read();
        }
        self.show();
    }
}

/// Puts records down, and behind them the source's own.
async fn put_down(
    store: &dyn Store,
    mut moves: Vec<CursorMove>,
    whole: Option<CursorMove>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let commit = |cursors| store.commit(Batch { cursors, at: Some(at), ..Batch::default() });
    while !moves.is_empty() {
        let rest = moves.split_off(moves.len().min(COMMIT_RECORDS));
        commit(std::mem::replace(&mut moves, rest)).await?;
    }
    match whole {
        Some(whole) => commit(vec![whole]).await,
        None => Ok(()),
    }
}

/// Asks the registry for all of its repositories.
async fn list(poller: &Poller) -> Result<Answer, SourceError> {
    let begun = poller.clock.now();
    let mut survey = Survey::new(poller.source.page_limit());
    while let Some(request) = survey.ask() {
        survey.absorb(&page(poller, request).await?);
    }
    let mut surveyed = survey.finish();
    if surveyed.partial.is_none() {
        poller.budget.take().await;
        // That it can't say is no reason to read less.
        surveyed.partial = poller.source.sees_some_only().await.unwrap_or_default();
    }
    Ok(Answer { begun, surveyed })
}

/// One page of the listing, tried again where it may pass at once.
async fn page(poller: &Poller, request: ListingRequest) -> Result<Listing, SourceError> {
    let mut wait = FIRST_PAGE_WAIT;
    for _ in 1..PAGE_TRIES {
        match listing(poller, request).await {
            Err(error)
                if error.kind == SourceErrorKind::Unavailable && error.retry_after.is_none() => {}
            other => return other,
        }
        tokio::time::sleep(wait).await;
        wait *= 3;
    }
    listing(poller, request).await
}

/// One request of the listing, when the budget has it.
async fn listing(poller: &Poller, request: ListingRequest) -> Result<Listing, SourceError> {
    poller.budget.take().await;
    let begun = Instant::now();
    let result = poller.source.repositories(request).await;
    let error = result.as_ref().err().map(|error| error.kind);
    poller.observer.observe(Event::Request { source: &poller.name, error, took: begun.elapsed() });
    if let Err(error) = &result
        && error.kind == SourceErrorKind::Throttled
    {
        poller.budget.penalise(begun, error.retry_after);
    }
    result
}

/// Asks a source for all of its repositories, each page once.
///
/// # Errors
/// As the source's.
pub async fn list_all(source: &dyn Source) -> Result<Vec<Arc<str>>, SourceError> {
    let mut survey = Survey::new(source.page_limit());
    while let Some(request) = survey.ask() {
        survey.absorb(&source.repositories(request).await?);
    }
    Ok(survey.finish().names)
}
