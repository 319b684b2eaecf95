//! Taking entries in: one loop for each source, which polls its repositories when they are due.
//!
//! `poll_every` is a floor: the budget of requests is shared by the repositories (`schedule`), and
//! what comes of that is the effective interval that the status shows. A repository that fails slows
//! itself only; a refusal of the whole source slows all of it to a probe. Failures are said when
//! they begin and when they end, not at every poll.
//!
//! Deliberately absent: what is new (`cursor`), what it leads to (`decider`).

mod baselines;
mod board;
mod budget;
mod discovery;
mod finding;
mod health;
mod humane;
mod inbox;
mod landing;
mod places;
mod poll;
mod roster;
mod schedule;
mod survey;
mod windows;
mod zone;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::AtomicBool},
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
    ports::{Clock, Cursor, Observer, RepoKey, Source, SourceError, Store, StoreError},
};

pub use board::{SourceBoard, SourceBoards};
pub use discovery::DiscoverSettings;
pub use finding::list_all;
pub use inbox::{Inbox, InboxLoop};
pub use roster::BUSY_FOR;
pub use schedule::{Intervals, Load};
pub use survey::MAX_REPOS;

use budget::Budget;
use discovery::{Answer, Discovery};
use finding::Found;
use health::Health;
use landing::Refusal;
use places::{Place, Places};
use poll::{Job, PollError, Polled, Poller};
use roster::{Roster, Standing};
use schedule::{Next, Queue, Spread};

/// Polls in hand at once, long walks apart: what the budget can serve within a few seconds, so that
/// one that can't wait does not stand behind many that can.
const POLLS_AT_ONCE: std::ops::RangeInclusive<usize> = 8..=64;

/// Seconds that the polls in hand are to keep the budget busy.
const POLLS_AHEAD_S: f64 = 4.0;

/// Fresh rows of one walk that are kept in memory.
const FRESH_IN_MEMORY: usize = 2000;

/// How often blindness is looked for.
const TICK: Duration = Duration::from_secs(5);

/// How a source is read.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// Its name.
    pub name: Arc<str>,
    /// The repositories that the configuration names, each once.
    pub repos: Vec<Arc<str>>,
    /// What is discovered beside them.
    pub discover: Option<DiscoverSettings>,
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
    roster: Roster,
    queue: Queue,
    spread: Spread,
    discovery: Option<Discovery>,
    /// Repositories that wait for a place among the long walks, in the order in which they came.
    backlogs: VecDeque<usize>,
    flights: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// How many of the flights are polls.
    polling: usize,
    refusal: Option<Refusal>,
    /// Polls that came before this say nothing of the interval: the source was refused then.
    restored_at: Option<Instant>,
    /// When a repository was last read.
    read_at: Option<Instant>,
    /// Requests that a poll of a busy repository takes, in the mean.
    requests_per_poll: f64,
}

/// What came of something that was under way.
enum Landed {
    /// A poll of a repository.
    Poll(usize, Box<Polled>, Result<(), PollError>),
    /// The registry was asked which repositories there are.
    Listed(Result<Answer, SourceError>),
    /// What an answer changes was put down.
    PutDown(Found, Result<(), StoreError>),
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
        let board = SourceBoard::new(source.kind());
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
            zone_doubted: AtomicBool::new(false),
        });
        let now = Instant::now();
        let mut this = Self {
            discovery: settings.discover.clone().map(|settings| Discovery::new(settings, now)),
            settings,
            store: world.store,
            poller,
            board,
            health,
            roster: Roster::default(),
            queue: Queue::default(),
            spread: Spread::default(),
            backlogs: VecDeque::new(),
            flights: FuturesUnordered::new(),
            polling: 0,
            refusal: None,
            restored_at: None,
            read_at: None,
            requests_per_poll: 1.0,
        };
        for repo in this.settings.repos.clone() {
            this.seat(repo, Cursor::default(), Standing::Named);
        }
        this.show();
        this
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
                Some(landed) = self.flights.next() => self.landed(landed),
                () = tokio::time::sleep_until(until) => {}
            }
            self.health.look_around(self.poller.places.long_walks() > 0);
        }
    }

    fn landed(&mut self, landed: Landed) {
        match landed {
            Landed::Poll(index, polled, result) => self.poll_landed(index, *polled, result),
            Landed::Listed(result) => self.listed(result),
            Landed::PutDown(found, result) => self.put_down(&found, result),
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
        self.resume_discovery(&mut cursors);
        let now = Instant::now();
        let lately = self.poller.source.wall_time(self.poller.clock.now());
        let lately = lately.minus_seconds(i64::try_from(BUSY_FOR.as_secs()).unwrap_or(i64::MAX));
        for index in self.roster.indices().collect::<Vec<_>>() {
            let repo = &self.roster.get(index).key.repo;
            if let Some(cursor) = cursors.remove(repo) {
                let recent = cursor.newest >= Some(lately);
                self.roster.resume(index, cursor, recent, now);
            }
            self.queue.put(now, index);
        }
        self.show();
    }

    /// Gives a repository a place; `None` where it has one.
    fn seat(&mut self, repo: Arc<str>, cursor: Cursor, standing: Standing) -> Option<usize> {
        let key = RepoKey { source: self.settings.name.clone(), repo: repo.clone() };
        let index = self.roster.add(key, cursor, standing)?;
        self.board.seat(index, repo, self.settings.poll_every);
        Some(index)
    }

    /// What the budget has to serve now.
    fn load(&self) -> Load {
        Load {
            repos: self.roster.len(),
            busy: self.roster.busy(),
            requests_per_poll: self.requests_per_poll,
            per_second: self.poller.budget.per_second(),
            poll_every: self.settings.poll_every,
        }
    }

    /// Shows the intervals and the discovery as they are now.
    fn show(&self) {
        self.board.load(&self.load());
        if let Some(discovery) = &self.discovery {
            self.board.discovery(discovery.status());
        }
    }

    /// Starts what is due, and says when to look again.
    fn start_due(&mut self) -> Instant {
        let now = Instant::now();
        let tick = now + TICK;
        if let Some(refusal) = &self.refusal {
            return self.probe(refusal.probe_at, now).min(tick);
        }
        let discovers_at = self.start_discovery(now).unwrap_or(tick);
        while !self.backlogs.is_empty()
            && let Some(place) = self.poller.places.long()
            && let Some(index) = self.backlogs.pop_front()
        {
            self.start(index, Some(place), None);
        }
        self.poller.places.queued(!self.backlogs.is_empty());
        let most = self.polls_at_once() + self.poller.places.long_walks();
        while self.polling < most {
            match self.queue.next(now) {
                Next::Poll(index) => self.start(index, None, None),
                Next::Wait(at) => match self.start_early(now) {
                    Some(soonest) => return at.min(tick).min(discovers_at).min(soonest),
                    None => continue,
                },
                Next::Nothing => break,
            }
        }
        tick.min(discovers_at)
    }

    /// Where nothing is due and the budget is short all the same, asks whoever is due next before
    /// its time, so that nothing of the budget is wasted. Says when that may be, where it is not
    /// now.
    fn start_early(&mut self, now: Instant) -> Option<Instant> {
        let far = now + TICK;
        let Some(index) = self.queue.peek() else { return Some(far) };
        let repo = self.roster.get(index);
        let floor =
            repo.asked_at.filter(|_| repo.failures == 0 && repo.standing != Standing::LetGo);
        let Some(floor) = floor.and_then(|asked| asked.checked_add(self.settings.poll_every))
        else {
            return Some(far);
        };
        let soonest = floor.max(self.poller.budget.free_at());
        if soonest > now {
            return Some(soonest);
        }
        self.queue.pop();
        let slot = self.poller.budget.reserve();
        self.start(index, None, Some(slot));
        None
    }

    fn polls_at_once(&self) -> usize {
        let ahead = self.poller.budget.per_second() * POLLS_AHEAD_S;
        (ahead as usize).clamp(*POLLS_AT_ONCE.start(), *POLLS_AT_ONCE.end())
    }

    /// Polls a repository whose turn it is, unless it was let go meanwhile.
    fn start(&mut self, index: usize, place: Option<Place>, slot: Option<Instant>) {
        let repo = self.roster.get_mut(index);
        if repo.standing == Standing::LetGo {
            return self.roster.vacate(index);
        }
        repo.polling = true;
        let job = Job {
            repo: repo.key.clone(),
            cursor: repo.cursor.clone(),
            place,
            slot,
            failing: repo.failures > 0,
        };
        self.polling += 1;
        let poller = self.poller.clone();
        let poll = async move {
            let (polled, result) = poller.poll(job).await;
            Landed::Poll(index, Box::new(polled), result)
        };
        self.flights.push(poll.boxed());
    }
}
