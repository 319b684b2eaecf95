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
mod poll;

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    engine::{
        alarm::Alarms,
        cursor::{FirstRun, Settings as CursorSettings},
        decider::Decider,
    },
    ports::{
        AlarmKind, Clock, Cursor, Event, Observer, RepoKey, Source, SourceError, SourceErrorKind,
        SourceState, Store, StoreError,
    },
};

use board::Adds;
pub use board::SourceBoard;
use budget::Budget;
use poll::{Places, PollError, Polled, Poller};

/// Polls in hand at once, long walks apart.
const POLLS_AT_ONCE: usize = 64;

/// Fresh rows of one walk that are kept in memory.
const FRESH_IN_MEMORY: usize = 2000;

/// How often blindness is looked for.
const TICK: Duration = Duration::from_secs(5);

/// The longest that a failing repository waits.
const REPO_BACKOFF_MAX: Duration = Duration::from_secs(600);

/// The first and the longest wait of a refused source.
const SOURCE_BACKOFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));

/// How far clocks may differ before it is said, in seconds.
const SKEW_SAID_S: i64 = 60;

/// How far in the future a row may lie before the zone is doubted.
const FUTURE_SAID: SignedDuration = SignedDuration::from_mins(5);

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
    pub decider: Arc<Decider>,
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
    world: IntakeWorld,
    poller: Arc<Poller>,
    board: SourceBoard,
    repos: Vec<Repo>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    flights: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// Set while the whole source is refused: when the next probe is, and how long after it.
    refused: Option<(Instant, Duration)>,
    started_at: Timestamp,
    blind: bool,
    deprecation_said: bool,
    store_failing: bool,
}

/// A poll that ended, with its repository's index.
type Landed = (usize, Polled, Result<(), PollError>);

/// A repository of the source.
struct Repo {
    key: RepoKey,
    cursor: Cursor,
    started: Option<Instant>,
    failures: u32,
    failing: bool,
    rejected_said: bool,
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
        let poller = Arc::new(Poller {
            name: settings.name.clone(),
            source,
            store: world.store.clone(),
            decider: world.decider.clone(),
            clock: world.clock.clone(),
            observer: world.observer.clone(),
            cursor_settings,
            budget: Budget::new(settings.requests_per_second),
            places: Places::default(),
        });
        let repo = |repo: &Arc<str>| Repo {
            key: RepoKey { source: settings.name.clone(), repo: repo.clone() },
            cursor: Cursor::default(),
            started: None,
            failures: 0,
            failing: false,
            rejected_said: false,
        };
        let repos: Vec<_> = settings.repos.iter().map(repo).collect();
        let started_at = world.clock.now();
        Self {
            settings,
            world,
            poller,
            board,
            repos,
            due: BinaryHeap::new(),
            flights: FuturesUnordered::new(),
            refused: None,
            started_at,
            blind: false,
            deprecation_said: false,
            store_failing: false,
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
            self.look_for_blindness();
        }
    }

    /// Reads the cursors of an earlier life, for as long as it takes.
    async fn load_cursors(&mut self) {
        let cursors = loop {
            match self.world.store.cursors(&self.settings.name).await {
                Ok(cursors) => break cursors,
                Err(error) => self.store_failed(&error),
            }
            tokio::time::sleep(TICK).await;
        };
        self.store_works();
        let mut cursors: std::collections::HashMap<_, _> = cursors.into_iter().collect();
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
        if let Some((at, _)) = self.refused
            && (at > now || !self.flights.is_empty())
        {
            return at.max(now + Duration::from_millis(1)).min(tick);
        }
        let most = if self.refused.is_some() { 1 } else { POLLS_AT_ONCE };
        while self.flights.len() < most + self.poller.places.long_walks() {
            match self.due.peek() {
                Some(&Reverse((at, index))) if at <= now => {
                    self.due.pop();
                    self.start(index, now);
                }
                Some(&Reverse((at, _))) => return at.min(tick),
                None => return tick,
            }
        }
        tick
    }

    fn start(&mut self, index: usize, now: Instant) {
        let repo = &mut self.repos[index];
        if let Some(started) = repo.started.replace(now).filter(|_| repo.failures == 0) {
            self.board.interval(index, now - started);
        }
        let (poller, key, cursor) = (self.poller.clone(), repo.key.clone(), repo.cursor.clone());
        let poll = async move {
            let (polled, result) = poller.poll(key, cursor).await;
            (index, polled, result)
        };
        self.flights.push(poll.boxed());
    }

    /// Takes note of a poll that ended, and sets the repository's next.
    fn landed(&mut self, index: usize, polled: Polled, result: Result<(), PollError>) {
        self.note(index, &polled);
        if let Some(cursor) = polled.cursor {
            self.repos[index].cursor = cursor;
        }
        let wait = match result {
            Ok(()) => self.succeeded(index),
            Err(PollError::Source(error)) => self.source_failed(index, &error),
            Err(PollError::Store(error)) => {
                self.store_failed(&error);
                TICK
            }
        };
        let now = Instant::now();
        let started = self.repos[index].started.unwrap_or(now);
        self.due.push(Reverse(((started + wait).max(now), index)));
    }

    fn note(&mut self, index: usize, polled: &Polled) {
        let name = &self.settings.name;
        self.board.round(self.poller.budget.time_for(self.repos.len()));
        let repo = &mut self.repos[index];
        let mut rejected = 0;
        if polled.rejected > 0 && !std::mem::replace(&mut repo.rejected_said, true) {
            rejected = polled.rejected;
            warn!(
                source.name = %name, repo.name = %repo.key.repo, rows = rejected,
                "some rows can't be understood; they are kept, see /api/v1/rejected"
            );
            self.world.observer.observe(Event::Rejected { source: name, count: rejected });
        }
        self.board.add(Adds {
            requests: polled.requests.into(),
            entries: polled.fresh,
            rejected,
            gaps: polled.gap.into(),
        });
        if !polled.gap && polled.requests > 0 {
            self.world.alarms.clear(AlarmKind::Gap, name, self.world.clock.now());
        }
        if polled.gap {
            let message = format!("rows of {} may have left the log unread", repo.key.repo);
            self.world.alarms.raise(AlarmKind::Gap, name, &message, self.world.clock.now());
        }
        if let Some(said) = &polled.deprecated
            && !std::mem::replace(&mut self.deprecation_said, true)
        {
            warn!(source.name = %name, "the registry says that this API is deprecated: {said}");
        }
        self.check_clock(polled);
    }

    /// Compares the registry's clock with ours, and the newest row with both.
    fn check_clock(&self, polled: &Polled) {
        let (name, now) = (&self.settings.name, self.world.clock.now());
        if let Some(skew_s) = polled.skew_s {
            self.board.skew(skew_s);
        }
        let ahead = polled.newest.map(|newest| newest.duration_since(now));
        let skewed = polled.skew_s.filter(|skew_s| skew_s.abs() > SKEW_SAID_S);
        if let Some(skew_s) = skewed {
            let way = if skew_s > 0 { "behind" } else { "ahead of" };
            let message = format!(
                "our clock is {} s {way} the registry's; set this machine's clock",
                skew_s.abs()
            );
            self.world.alarms.raise(AlarmKind::Clock, name, &message, now);
        } else if let Some(ahead) = ahead.filter(|ahead| *ahead > FUTURE_SAID) {
            let message = format!(
                "the newest row lies {} min in the future; set the source's `time_zone`",
                ahead.as_mins()
            );
            self.world.alarms.raise(AlarmKind::Clock, name, &message, now);
        } else if polled.skew_s.is_some() || ahead.is_some() {
            self.world.alarms.clear(AlarmKind::Clock, name, now);
        }
    }

    fn succeeded(&mut self, index: usize) -> Duration {
        self.store_works();
        let name = &self.settings.name;
        if self.refused.take().is_some() {
            info!(source.name = %name, "the source can be read again");
            // Those that waited for the probe are due at once.
            let now = Instant::now();
            let due = std::mem::take(&mut self.due).into_iter();
            self.due = due.map(|Reverse((at, index))| Reverse((at.min(now), index))).collect();
        }
        let now = self.world.clock.now();
        for kind in [AlarmKind::Credentials, AlarmKind::SourceBlind] {
            self.world.alarms.clear(kind, name, now);
        }
        self.blind = false;
        let repo = &mut self.repos[index];
        repo.failures = 0;
        if std::mem::take(&mut repo.failing) {
            info!(source.name = %name, repo.name = %repo.key.repo, "the log can be read again");
        }
        self.board.succeeded(index, self.world.clock.now());
        self.settings.poll_every
    }

    /// Says a failure where it is new, and how long the repository waits.
    fn source_failed(&mut self, index: usize, error: &SourceError) -> Duration {
        let (name, now) = (self.settings.name.clone(), self.world.clock.now());
        let repo = &mut self.repos[index];
        repo.failures = repo.failures.saturating_add(1);
        let failures = repo.failures;
        self.board.failed(index, now, &error.message);
        let source_wide = matches!(
            error.kind,
            SourceErrorKind::Credentials
                | SourceErrorKind::Clock
                | SourceErrorKind::Retired
                | SourceErrorKind::Configuration
        );
        if source_wide {
            return self.refuse(&name, error, now);
        }
        if !std::mem::replace(&mut repo.failing, true) {
            warn!(
                source.name = %name, repo.name = %repo.key.repo, error.kind = error.kind.name(),
                "could not read the log of {}: {}", repo.key.repo, error.message
            );
        }
        if error.kind == SourceErrorKind::Throttled {
            self.poller.budget.penalise();
        }
        let base = match error.kind {
            SourceErrorKind::Repository => self.settings.poll_every.max(Duration::from_secs(30)),
            _ => self.settings.poll_every,
        };
        let backoff = base.saturating_mul(1 << failures.saturating_sub(1).min(10));
        let backoff = backoff.min(REPO_BACKOFF_MAX.max(base));
        backoff.max(error.retry_after.unwrap_or_default())
    }

    /// Slows the whole source to a probe.
    fn refuse(&mut self, name: &Arc<str>, error: &SourceError, now: Timestamp) -> Duration {
        let (first, most) = SOURCE_BACKOFF;
        let at = Instant::now();
        let wait = match self.refused {
            None => {
                warn!(
                    source.name = %name, error.kind = error.kind.name(),
                    "the source refuses us and is asked slowly from now on: {}", error.message
                );
                first
            }
            // Polls that were in hand at the refusal say the same once more; only probes count.
            Some((next, wait)) if at < next => wait,
            Some((_, last)) => (last * 2).min(most),
        };
        self.refused = Some((at + wait, wait));
        let kind = match error.kind {
            SourceErrorKind::Credentials => AlarmKind::Credentials,
            SourceErrorKind::Clock => AlarmKind::Clock,
            _ => AlarmKind::SourceBlind,
        };
        self.world.alarms.raise(kind, name, &format!("{name}: {}", error.message), now);
        self.board.held(SourceState::Refused);
        wait
    }

    fn look_for_blindness(&mut self) {
        let now = self.world.clock.now();
        let last = self.board.last_read().unwrap_or(self.started_at);
        let blind_after = SignedDuration::try_from(self.settings.blind_after);
        let blind = blind_after.is_ok_and(|after| now.duration_since(last) > after);
        if blind && !std::mem::replace(&mut self.blind, true) {
            let minutes = now.duration_since(last).as_mins();
            let name = &self.settings.name;
            let message = format!("{name} could not be read for {minutes} min");
            self.world.alarms.raise(AlarmKind::SourceBlind, name, &message, now);
            if self.refused.is_none() {
                self.board.held(SourceState::Blind);
            }
        }
    }

    fn store_failed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.store_failing, true) {
            warn!(source.name = %self.settings.name, "could not take entries in, trying on: {error}");
        }
    }

    fn store_works(&mut self) {
        if std::mem::take(&mut self.store_failing) {
            info!(source.name = %self.settings.name, "entries are taken in again");
        }
    }
}
