//! Taking entries in: one loop for each source, which polls its repositories when they are due.
//!
//! `poll_every` is a floor: the budget of requests is shared by the repositories, and what comes of
//! that is the effective interval that the status shows. A repository that fails slows itself only;
//! a refusal of the whole source slows all of it to a probe. Failures are said when they begin and
//! when they end, not at every poll.
//!
//! Deliberately absent: what is new (`cursor`), what it leads to (`decider`).

mod board;
mod budget;
mod health;
mod places;
mod poll;
mod windows;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{
        alarm::Alarms,
        cursor::{FirstRun, Settings as CursorSettings},
        decider::Decider,
    },
    ports::{Clock, Cursor, Observer, RepoKey, Source, SourceError, SourceErrorKind, Store},
};

pub use board::SourceBoard;
use budget::Budget;
use health::Health;
use places::{Place, Places};
use poll::{Job, PollError, Polled, Poller};

/// Polls in hand at once, long walks apart.
const POLLS_AT_ONCE: usize = 64;

/// Fresh rows of one walk that are kept in memory.
const FRESH_IN_MEMORY: usize = 2000;

/// How often blindness is looked for.
const TICK: Duration = Duration::from_secs(5);

/// The first wait of a repository that the registry refuses.
const REPO_BACKOFF_MIN: Duration = Duration::from_secs(30);

/// The longest that a repository waits that the registry refuses.
const REPO_BACKOFF_MAX: Duration = Duration::from_secs(600);

/// The longest that one waits that can't be read for now: when the registry is well again, nobody
/// is to wait long for it.
const PASSING_BACKOFF_MAX: Duration = Duration::from_secs(120);

/// The longest that one waits whose rows the store did not take.
const STORE_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The first and the longest wait of a refused source.
const SOURCE_BACKOFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));

/// How a source is read.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// Its name.
    pub name: Arc<str>,
    /// Its repositories, each once.
    pub repos: Vec<Arc<str>>,
    /// The floor of the interval between polls of one repository.
    pub poll_every: Duration,
    /// Requests a second, more than zero.
    pub requests_per_second: f64,
    /// What becomes of the rows that are there at first contact; `since` is already a wall time.
    pub first_run: FirstRun,
    /// How late a row may come.
    pub overlap: Duration,
    /// How long a source may go unread before that is an alarm.
    pub blind_after: Duration,
}

/// What every intake works with.
#[derive(Clone)]
pub struct IntakeWorld {
    /// Where cursors lie.
    pub store: Arc<dyn Store>,
    /// Who decides and commits.
    pub decider: Decider,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who counts.
    pub observer: Arc<dyn Observer>,
    /// Where what is wrong with a source is said.
    pub alarms: Alarms,
}

/// A source's intake.
pub struct Intake {
    settings: IntakeSettings,
    store: Arc<dyn Store>,
    poller: Arc<Poller>,
    board: SourceBoard,
    health: Health,
    repos: Vec<Repo>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Repositories that wait for a place among the long walks, in the order in which they came.
    backlogs: VecDeque<usize>,
    flights: FuturesUnordered<BoxFuture<'static, Landed>>,
    refusal: Option<Refusal>,
    /// Polls that came before this say nothing of the interval: the source was refused then.
    restored_at: Option<Instant>,
    /// When a repository was last read.
    read_at: Option<Instant>,
}

/// A poll that ended, with its repository's index.
type Landed = (usize, Polled, Result<(), PollError>);

/// A repository of the source.
struct Repo {
    key: RepoKey,
    cursor: Cursor,
    /// When it was last asked for, each poll's first request.
    asked_at: Option<Instant>,
    /// Polls that failed since the last that did not.
    failures: u32,
    /// When it was last refused as the whole source would be, if it was not read since.
    refused_at: Option<Instant>,
}

/// The whole source is refused: one repository at a time probes.
struct Refusal {
    /// The next probe is then.
    probe_at: Instant,
    /// How long after a probe the next is.
    wait: Duration,
    /// The repository that probes now.
    probing: Option<usize>,
}

/// What a landed poll says of the whole source.
enum Word {
    /// It answers.
    Answers,
    /// It refuses us.
    Refuses,
    /// Nothing that is certain.
    Nothing,
}

impl Intake {
    /// An intake that has read nothing yet.
    pub fn new(settings: IntakeSettings, source: Arc<dyn Source>, world: IntakeWorld) -> Self {
        let cursor_settings = CursorSettings {
            overlap: settings.overlap,
            page_limit: source.page_limit(),
            first_run: settings.first_run,
            max_fresh: FRESH_IN_MEMORY,
        };
        let board = SourceBoard::new(source.kind(), settings.poll_every, &settings.repos);
        let health = Health::new(
            settings.name.clone(),
            world.alarms,
            world.clock.clone(),
            world.observer.clone(),
            board.clone(),
            settings.blind_after,
        );
        let poller = Arc::new(Poller {
            name: settings.name.clone(),
            source,
            store: world.store.clone(),
            decider: world.decider,
            clock: world.clock,
            observer: world.observer,
            board: board.clone(),
            cursor_settings,
            budget: Budget::new(settings.requests_per_second),
            places: Places::default(),
            windows: windows::Windows::default(),
        });
        let repo = |repo: &Arc<str>| Repo {
            key: RepoKey { source: settings.name.clone(), repo: repo.clone() },
            cursor: Cursor::default(),
            asked_at: None,
            failures: 0,
            refused_at: None,
        };
        let repos: Vec<_> = settings.repos.iter().map(repo).collect();
        Self {
            settings,
            store: world.store,
            poller,
            board,
            health,
            repos,
            due: BinaryHeap::new(),
            backlogs: VecDeque::new(),
            flights: FuturesUnordered::new(),
            refusal: None,
            restored_at: None,
            read_at: None,
        }
    }

    /// Where it shows how it fares.
    pub fn board(&self) -> SourceBoard {
        self.board.clone()
    }

    /// Reads the source until cancelled. What is in hand then is dropped: nothing of it is lost,
    /// since it was committed or was not.
    pub async fn run(mut self, cancel: CancellationToken) {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = self.load_cursors() => {}
        }
        while !cancel.is_cancelled() {
            let until = self.start_due();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                Some((index, polled, result)) = self.flights.next() => {
                    self.landed(index, polled, result);
                }
                () = tokio::time::sleep_until(until) => {}
            }
            self.health.look_for_blindness(self.poller.places.long_walks() > 0);
        }
    }

    /// Reads the cursors of an earlier life, for as long as it takes.
    async fn load_cursors(&mut self) {
        let cursors = loop {
            match self.store.cursors(&self.settings.name).await {
                Ok(cursors) => break cursors,
                Err(error) => self.health.store_failed(&error),
            }
            tokio::time::sleep(TICK).await;
        };
        self.health.store_works();
        let mut cursors: HashMap<_, _> = cursors.into_iter().collect();
        for repo in &mut self.repos {
            repo.cursor = cursors.remove(&repo.key.repo).unwrap_or_default();
        }
        let now = Instant::now();
        self.due.extend((0..self.repos.len()).map(|index| Reverse((now, index))));
    }

    /// Starts the polls that are due, and says when to look again.
    fn start_due(&mut self) -> Instant {
        let now = Instant::now();
        let tick = now + TICK;
        if let Some(refusal) = &self.refusal {
            return self.probe(refusal.probe_at, now).min(tick);
        }
        while !self.backlogs.is_empty()
            && let Some(place) = self.poller.places.long()
            && let Some(index) = self.backlogs.pop_front()
        {
            self.start(index, Some(place));
        }
        self.poller.places.queued(!self.backlogs.is_empty());
        while self.flights.len() < POLLS_AT_ONCE + self.poller.places.long_walks() {
            match self.due.peek() {
                Some(&Reverse((at, index))) if at <= now => {
                    self.due.pop();
                    self.start(index, None);
                }
                Some(&Reverse((at, _))) => return at.min(tick),
                None => return tick,
            }
        }
        tick
    }

    /// Lets one repository find out whether the source still refuses us, when that is due. Says
    /// when to look again.
    fn probe(&mut self, probe_at: Instant, now: Instant) -> Instant {
        let far = now + TICK;
        let Some(refusal) = self.refusal.as_mut().filter(|refusal| refusal.probing.is_none())
        else {
            return far;
        };
        if probe_at > now {
            return probe_at;
        }
        // None is due while all of them are still in hand.
        let Some(Reverse((at, index))) = self.due.pop() else { return far };
        if at > now {
            self.due.push(Reverse((at, index)));
            return at;
        }
        refusal.probing = Some(index);
        self.start(index, None);
        far
    }

    fn start(&mut self, index: usize, place: Option<Place>) {
        let repo = &self.repos[index];
        let job = Job {
            repo: repo.key.clone(),
            cursor: repo.cursor.clone(),
            place,
            failing: repo.failures > 0,
        };
        let poller = self.poller.clone();
        let poll = async move {
            let (polled, result) = poller.poll(job).await;
            (index, polled, result)
        };
        self.flights.push(poll.boxed());
    }

    /// Takes note of a poll that ended, and sets the repository's next.
    fn landed(&mut self, index: usize, mut polled: Polled, result: Result<(), PollError>) {
        self.health.note(index, &self.repos[index].key, &polled);
        self.board.round(self.poller.budget.time_for(self.repos.len()));
        self.note_interval(index, &polled);
        if let Some(cursor) = polled.cursor.take() {
            self.repos[index].cursor = cursor;
            self.health.store_works();
        }
        let (word, wait) = self.judge(index, &polled, result);
        self.take_word(index, &word);
        let now = Instant::now();
        let Some(wait) = wait else {
            if self.refusal.is_none() {
                self.backlogs.push_back(index);
                self.poller.places.queued(true);
            } else {
                self.due.push(Reverse((now, index)));
            }
            return;
        };
        let asked = polled.asked_at.unwrap_or(now);
        let next = asked.checked_add(wait).unwrap_or(now + REPO_BACKOFF_MAX);
        self.due.push(Reverse((next.max(now), index)));
    }

    /// Measures the interval that a repository is really polled at.
    fn note_interval(&mut self, index: usize, polled: &Polled) {
        let repo = &mut self.repos[index];
        let Some(asked) = polled.asked_at else { return };
        if let Some(before) = repo.asked_at.replace(asked)
            && repo.failures == 0
            && self.restored_at.is_none_or(|restored| before >= restored)
        {
            self.board.interval(index, asked - before);
        }
    }

    /// What a poll's end says of the source, and how long the repository waits from when it was
    /// asked for; `None` when it is to wait for a place among the long walks.
    fn judge(
        &mut self,
        index: usize,
        polled: &Polled,
        result: Result<(), PollError>,
    ) -> (Word, Option<Duration>) {
        let repo = &mut self.repos[index];
        // What is refused again although others were read meanwhile is this repository alone, such
        // as one that the account may not see: the source would be refused and well again in turns.
        let refused =
            matches!(&result, Err(PollError::Source(error)) if error.kind.is_source_wide());
        let alone = refused && repo.refused_at.is_some_and(|at| self.read_at > Some(at));
        let answered = if polled.pages > 0 { Word::Answers } else { Word::Nothing };
        match result {
            Ok(()) => {
                repo.failures = 0;
                repo.refused_at = None;
                self.read_at = Some(Instant::now());
                self.health.read(index, &repo.key);
                (answered, Some(self.settings.poll_every))
            }
            Err(PollError::Backlog) => (answered, None),
            Err(PollError::Store(error)) => {
                repo.failures = repo.failures.saturating_add(1);
                self.health.store_failed(&error);
                (answered, Some(doubled(TICK, repo.failures, STORE_BACKOFF_MAX)))
            }
            Err(PollError::Source(error)) if error.kind.is_source_wide() && !alone => {
                repo.refused_at = Some(Instant::now());
                self.health.refused(&error);
                (Word::Refuses, Some(self.settings.poll_every))
            }
            Err(PollError::Source(mut error)) => {
                if alone {
                    error.kind = SourceErrorKind::Repository;
                }
                repo.failures = repo.failures.saturating_add(1);
                self.health.failed(index, &repo.key, &error);
                let wait = backoff(&error, repo.failures, self.settings.poll_every);
                (Word::Nothing, Some(wait))
            }
        }
    }

    /// Slows the source down, or lets it go at full speed again. While it is refused only a probe
    /// is believed: other polls were under way before, and say nothing of the present.
    fn take_word(&mut self, index: usize, word: &Word) {
        let now = Instant::now();
        let (first, most) = SOURCE_BACKOFF;
        let Some(refusal) = &mut self.refusal else {
            if matches!(word, Word::Refuses) {
                let refusal = Refusal { probe_at: now + first, wait: first, probing: None };
                self.refusal = Some(refusal);
                self.due.extend(self.backlogs.drain(..).map(|index| Reverse((now, index))));
            }
            return;
        };
        if refusal.probing.take_if(|probing| *probing == index).is_none() {
            return;
        }
        match word {
            Word::Answers => {
                self.refusal = None;
                self.restored_at = Some(now);
                self.health.accepted();
            }
            Word::Refuses => {
                refusal.wait = (refusal.wait * 2).min(most);
                refusal.probe_at = now + refusal.wait;
            }
            Word::Nothing => refusal.probe_at = now + refusal.wait,
        }
    }
}

/// How long a repository waits after so many failures, at least one.
fn backoff(error: &SourceError, failures: u32, poll_every: Duration) -> Duration {
    let (base, most) = match error.kind {
        SourceErrorKind::Repository => (poll_every.max(REPO_BACKOFF_MIN), REPO_BACKOFF_MAX),
        _ => (poll_every, PASSING_BACKOFF_MAX),
    };
    doubled(base, failures, most).max(error.retry_after.unwrap_or_default())
}

/// `base`, doubled at each failure after the first, up to `most` or `base`.
fn doubled(base: Duration, failures: u32, most: Duration) -> Duration {
    base.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(most.max(base))
}
