//! What registries send by themselves: taken in by the same decisions as what is read, and answered
//! when it is on the disk.
//!
//! An event has no id, so it is known by what it tells (`trigger-log-api`, section 3): its entry's
//! id is a hash of that, and one that is there already is answered and changes nothing. One loop
//! takes all that waits and puts it down together, so many events share a commit and two tellings of
//! one event never race. Deliberately absent: HTTP, and what the body means.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    domain::entry::{Entry, EntryId, Row},
    engine::decider::{Decider, Taken},
    ports::{
        Clock, Event, Ingest, IngestError, Ingested, Observer, PushSource, Rejected, RepoKey,
        Store, StoreError,
    },
};

use super::{IntakeWorld, SourceBoard, board::Adds};

/// Events that wait to be put down; beyond them the registry is told to come again.
const WAITING: usize = 256;

/// Under this name is kept what can't be understood: which repository it is about is not known.
const UNKNOWN_REPO: &str = "ingest";

/// Where registries' events go in.
pub struct Inbox {
    sources: ArcSwap<BTreeMap<Arc<str>, Arc<Slot>>>,
    letters: mpsc::Sender<Letter>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
}

struct Slot {
    source: Arc<dyn PushSource>,
    board: SourceBoard,
    /// That some events can't be understood was said.
    puzzled: AtomicBool,
}

/// An event on its way.
struct Letter {
    source: Arc<str>,
    event: Result<Vec<Row>, Rejected>,
    answer: oneshot::Sender<Result<Ingested, StoreError>>,
}

/// The loop that takes them in.
pub struct InboxLoop {
    letters: mpsc::Receiver<Letter>,
    store: Arc<dyn Store>,
    decider: Decider,
}

impl Inbox {
    /// An inbox of no sources yet, and its loop.
    pub fn new(world: &IntakeWorld) -> (Self, InboxLoop) {
        let (sender, letters) = mpsc::channel(WAITING);
        let inbox = Self {
            sources: ArcSwap::default(),
            letters: sender,
            observer: world.observer.clone(),
            clock: world.clock.clone(),
        };
        let inbox_loop =
            InboxLoop { letters, store: world.store.clone(), decider: world.decider.clone() };
        (inbox, inbox_loop)
    }

    /// Takes what a source sends from now on, in place of one that had its name. Gives the board that
    /// it shows on how it fares.
    pub fn put(&self, name: &Arc<str>, source: Arc<dyn PushSource>) -> SourceBoard {
        let board = SourceBoard::new(source.kind());
        board.push(|_| {});
        let slot = Arc::new(Slot { source, board: board.clone(), puzzled: AtomicBool::new(false) });
        self.sources.rcu(|sources| {
            let mut sources = BTreeMap::clone(sources);
            sources.insert(name.clone(), slot.clone());
            sources
        });
        board
    }

    /// Takes nothing more under that name. What is on its way is taken in.
    pub fn remove(&self, name: &str) {
        if self.slot(name).is_some() {
            self.sources.rcu(|sources| {
                let mut sources = BTreeMap::clone(sources);
                sources.remove(name);
                sources
            });
        }
    }

    fn slot(&self, source: &str) -> Option<(Arc<str>, Arc<Slot>)> {
        let sources = self.sources.load();
        sources.get_key_value(source).map(|(name, slot)| (name.clone(), slot.clone()))
    }

    fn observe(&self, source: &str, result: &str) {
        self.observer.observe(Event::Push { source, result });
    }

    /// Takes note of what came of an event.
    fn note(&self, name: &Arc<str>, slot: &Slot, ingested: Ingested, rejected: Option<&str>) {
        if let Some(reason) = rejected {
            if !slot.puzzled.swap(true, Ordering::Relaxed) {
                warn!(
                    source.name = &**name,
                    "an event could not be understood: {reason}; it is kept as it came, and the \
                     status counts what else comes"
                );
            }
            self.observe(name, "rejected");
            self.observer.observe(Event::Rejected { source: name, count: 1 });
            slot.board.add(Adds { rejected: 1, ..Adds::default() });
            return;
        }
        self.observe(name, if ingested.taken > 0 { "taken" } else { "known" });
        slot.board.add(Adds { entries: ingested.taken as u64, ..Adds::default() });
        let now = self.clock.now();
        slot.board.push(|push| {
            push.known += ingested.known as u64;
            push.last_at = Some(now);
        });
    }
}

#[async_trait]
impl Ingest for Inbox {
    fn header(&self, source: &str) -> Option<String> {
        self.slot(source).map(|(_, slot)| slot.source.header().to_owned())
    }

    fn admits(&self, source: &str, given: Option<&[u8]>) -> bool {
        let Some((_, slot)) = self.slot(source) else { return false };
        if given.is_some_and(|given| slot.source.admits(given)) {
            return true;
        }
        let mut first = false;
        slot.board.push(|push| {
            first = push.unauthorized == 0;
            push.unauthorized += 1;
        });
        if first {
            warn!(
                source.name = source,
                "a call without the secret was refused; the status counts them"
            );
        }
        self.observe(source, "unauthorized");
        false
    }

    fn refused(&self, source: &str, why: &'static str) {
        self.observe(source, why);
    }

    async fn take(&self, source: &str, body: String) -> Result<Ingested, IngestError> {
        let Some((name, slot)) = self.slot(source) else {
            return Err(IngestError::Busy);
        };
        let event = slot.source.rows(&body);
        let reason = event.as_ref().err().map(|rejected| rejected.reason.clone());
        let (answer, answered) = oneshot::channel();
        let letter = Letter { source: name.clone(), event, answer };
        let busy = || {
            self.observe(source, "busy");
            IngestError::Busy
        };
        self.letters.try_send(letter).map_err(|_| busy())?;
        let ingested = match answered.await {
            Ok(Ok(ingested)) => ingested,
            Ok(Err(error)) => {
                self.observe(source, "failed");
                return Err(IngestError::Store(error));
            }
            Err(_) => return Err(busy()),
        };
        self.note(&name, &slot, ingested, reason.as_deref());
        match reason {
            Some(reason) => Err(IngestError::NotUnderstood(reason)),
            None => Ok(ingested),
        }
    }
}

impl InboxLoop {
    /// Takes in what comes until cancelled. What waits then is not answered as taken.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut letters = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                count = self.letters.recv_many(&mut letters, WAITING) => {
                    if count == 0 {
                        // The inbox itself is gone; nothing can come.
                        return cancel.cancelled().await;
                    }
                }
            }
            self.step(std::mem::take(&mut letters)).await;
        }
    }

    /// Puts down what waits, and answers it.
    async fn step(&self, letters: Vec<Letter>) {
        let mut taken = Taken::default();
        let mut seen = HashSet::new();
        let mut answers = Vec::with_capacity(letters.len());
        let mut failed = None;
        for letter in letters {
            let sorted = self.sort(&letter.source, letter.event, &mut seen, &mut taken).await;
            match sorted {
                Ok(ingested) => answers.push((letter.answer, Ok(ingested))),
                Err(error) => {
                    failed.get_or_insert_with(|| error.clone());
                    answers.push((letter.answer, Err(error)));
                }
            }
        }
        // Decisions are made oldest first.
        taken.entries.sort_by_key(|entry| entry.row.time);
        let nothing = taken.entries.is_empty() && taken.rejected.is_empty();
        let result = if nothing { Ok(()) } else { self.decider.take(taken).await };
        if let Err(error) = failed.as_ref().map_or(result.as_ref(), Err) {
            warn!(
                "could not take in what registries sent, they are told to send it again: {error}"
            );
        }
        for (answer, outcome) in answers {
            let outcome = result.clone().and(outcome);
            // Whoever asked may have gone; the event is taken in all the same.
            let _ = answer.send(outcome);
        }
    }

    /// Puts an event with what is to be taken in, or finds that it is known.
    async fn sort(
        &self,
        source: &Arc<str>,
        event: Result<Vec<Row>, Rejected>,
        seen: &mut HashSet<EntryId>,
        taken: &mut Taken,
    ) -> Result<Ingested, StoreError> {
        let mut ingested = Ingested::default();
        let rows = match event {
            Ok(rows) => rows,
            Err(rejected) => {
                let repo = RepoKey { source: source.clone(), repo: UNKNOWN_REPO.into() };
                taken.rejected.push((repo, rejected));
                return Ok(ingested);
            }
        };
        for row in rows {
            let entry = entry(source, row);
            if !seen.insert(entry.id) || self.store.entry(entry.id).await?.is_some() {
                ingested.known += 1;
            } else {
                ingested.taken += 1;
                taken.entries.push(entry);
            }
        }
        Ok(ingested)
    }
}

/// The entry of an event, which is the only one of its kind.
fn entry(source: &Arc<str>, row: Row) -> Entry {
    let repo: Arc<str> = Arc::from(row.repo.as_deref().unwrap_or(UNKNOWN_REPO));
    let identity = row.identity();
    Entry {
        id: EntryId::of(source, &repo, identity, 0),
        identity,
        ordinal: 0,
        revises: false,
        source: source.clone(),
        asked_repo: repo,
        row,
    }
}
