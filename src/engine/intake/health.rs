//! What failures and oddities mean for a source: what is logged, when an alarm begins and ends.
//!
//! Failures are said when they begin, when they change and when they end, not at every poll. An
//! alarm is about the source, whichever of its repositories gave rise to it, so it ends when none
//! of them does any more. Deliberately absent: when to poll again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    engine::alarm::Alarms,
    ports::{
        AlarmKind, Clock, Event, Observer, RepoKey, SourceError, SourceErrorKind, SourceState,
        StoreError,
    },
};

use super::{
    baselines::Baselines,
    board::{Adds, SourceBoard},
    humane::humane,
    poll::Polled,
    zone::{News, Zone},
};

/// Failing repositories that are named in the log; more are in the status only.
const FAILING_SAID: usize = 20;

/// How far clocks may differ before it is said, and how near they must be again, in seconds.
const SKEW_SAID_S: (i64, i64) = (60, 30);

/// How far in the future a row may lie before the zone is doubted.
const FUTURE_SAID: SignedDuration = SignedDuration::from_mins(5);

/// Rows that could not be understood of which is remembered that they were counted.
const REJECTED_REMEMBERED: usize = 50_000;

/// How a source fares, for its log and its alarms.
pub(super) struct Health {
    name: Arc<str>,
    alarms: Alarms,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    board: SourceBoard,
    blind_after: Duration,
    started_at: Timestamp,
    blind: bool,
    /// When it was last found that the source has no repositories to be read.
    listed_at: Option<Timestamp>,
    /// Why a repository could not be read, until one is.
    last_error: Option<String>,
    /// Why the whole source is refused, where it is.
    refused: Option<SourceErrorKind>,
    /// The repositories that fail.
    failing: HashMap<usize, Failing>,
    /// There were more of them than are named.
    many_said: bool,
    gaps: HashSet<usize>,
    /// Repositories whose newest row lies in the future.
    ahead: HashSet<usize>,
    zone: Zone,
    skewed: bool,
    skew_s: Option<i64>,
    deprecation_said: bool,
    store_failing: bool,
    rejected_said: HashSet<usize>,
    rejected: Remembered,
    baselines: Baselines,
    /// People were told before this start that it can't be read; it has not been read since.
    recalled: bool,
}

struct Failing {
    /// The registry refused it, at the last failure or at one before.
    refused: bool,
    said: bool,
}

/// A bounded set that forgets the oldest.
#[derive(Default)]
struct Remembered {
    set: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl Remembered {
    /// False when it is remembered already.
    fn insert(&mut self, digest: [u8; 16]) -> bool {
        if !self.set.insert(digest) {
            return false;
        }
        if self.order.len() == REJECTED_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        self.order.push_back(digest);
        true
    }
}

impl Health {
    pub(super) fn new(
        name: Arc<str>,
        alarms: Alarms,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        board: SourceBoard,
        blind_after: Duration,
    ) -> Self {
        let started_at = clock.now();
        let recalled = UNREAD.into_iter().any(|kind| alarms.fires(kind, &name));
        Self {
            recalled,
            name,
            alarms,
            clock,
            observer,
            board,
            blind_after,
            started_at,
            blind: false,
            listed_at: None,
            last_error: None,
            refused: None,
            failing: HashMap::new(),
            many_said: false,
            gaps: HashSet::new(),
            ahead: HashSet::new(),
            zone: Zone::default(),
            skewed: false,
            skew_s: None,
            deprecation_said: false,
            store_failing: false,
            rejected_said: HashSet::new(),
            rejected: Remembered::default(),
            baselines: Baselines::default(),
        }
    }

    /// The source's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn raise(&self, kind: AlarmKind, message: &str) {
        self.alarms.raise(kind, &self.name, message, self.clock.now());
    }

    /// Raises an alarm whose words begin with the source's name.
    pub(super) fn tell(&self, kind: AlarmKind, message: &str) {
        self.raise(kind, &format!("{}: {message}", self.name));
    }

    pub(super) fn clear(&self, kind: AlarmKind) {
        self.alarms.clear(kind, &self.name, self.clock.now());
    }

    /// Takes note of what a poll saw, whatever it came to.
    ///
    /// `asked_before` is when the repository was asked the last time.
    pub(super) fn note(
        &mut self,
        index: usize,
        repo: &RepoKey,
        polled: &Polled,
        asked_before: Option<Instant>,
    ) {
        let rejected = self.count_rejected(index, repo, &polled.rejected);
        self.board.add(Adds {
            requests: polled.requests.into(),
            entries: polled.fresh,
            rejected,
            gaps: polled.gap.into(),
        });
        if polled.gap {
            self.gaps.insert(index);
            self.tell(
                AlarmKind::Gap,
                &format!("rows of {} may have left the log unread", repo.repo),
            );
        } else if polled.pages > 0 && self.gaps.remove(&index) && self.gaps.is_empty() {
            self.clear(AlarmKind::Gap);
        }
        if let Some(said) = &polled.deprecated
            && !std::mem::replace(&mut self.deprecation_said, true)
        {
            warn!(
                source.name = %self.name,
                "the registry says that this API is deprecated: {said}"
            );
        }
        if let Some(baseline) = polled.baseline {
            self.baselines.note(repo, baseline);
        }
        self.note_zone(polled, asked_before);
        self.note_clock(index, polled);
    }

    /// Forgets a repository that is not read any more.
    pub(super) fn forget(&mut self, index: usize) {
        if self.gaps.remove(&index) && self.gaps.is_empty() {
            self.clear(AlarmKind::Gap);
        }
        self.ahead.remove(&index);
        self.judge_clock();
        self.failing.remove(&index);
        self.rejected_said.remove(&index);
    }

    /// Counts each row that could not be understood once, however often it is met.
    fn count_rejected(&mut self, index: usize, repo: &RepoKey, digests: &[[u8; 16]]) -> u64 {
        let new = digests.iter().filter(|digest| self.rejected.insert(**digest)).count() as u64;
        if new > 0 {
            self.observer.observe(Event::Rejected { source: &self.name, count: new });
            if self.rejected_said.insert(index) {
                warn!(
                    source.name = %self.name, repo.name = %repo.repo, rows = new,
                    "some rows can't be understood; they are kept, see /api/v1/rejected"
                );
            }
        }
        new
    }

    /// Compares the age of fresh rows with the time in which they were written.
    fn note_zone(&mut self, polled: &Polled, asked_before: Option<Instant>) {
        let whole = polled.fresh > 0 && polled.baseline.is_none() && !polled.gap;
        if let (true, Some(newest), Some(before), Some(asked)) =
            (whole, polled.newest, asked_before, polled.asked_at)
        {
            let pause = asked.saturating_duration_since(before);
            self.zone.note(News { newest, now: self.clock.now(), pause });
        }
    }

    /// Whether the times of this source's rows are not to be believed: news that look old are none.
    pub(super) fn doubts_zone(&self) -> bool {
        self.zone.hours_behind().is_some() || !self.ahead.is_empty()
    }

    fn note_clock(&mut self, index: usize, polled: &Polled) {
        if let Some(skew_s) = polled.skew_s {
            self.board.skew(skew_s);
            self.skew_s = Some(skew_s);
            let (begins, ends) = SKEW_SAID_S;
            self.skewed = skew_s.abs() > if self.skewed { ends } else { begins };
        }
        let now = self.clock.now();
        let ahead = polled.newest.map(|newest| newest.duration_since(now));
        match ahead {
            Some(ahead) if ahead > FUTURE_SAID => {
                self.ahead.insert(index);
                if !self.skewed && self.refused != Some(SourceErrorKind::Clock) {
                    self.tell(
                        AlarmKind::Clock,
                        &format!(
                            "the newest row lies {} in the future; set the source's \
                             `time_zone`",
                            humane(ahead)
                        ),
                    );
                }
            }
            Some(_) => {
                self.ahead.remove(&index);
            }
            None => {}
        }
        self.judge_clock();
    }

    /// Compares the registry's clock with ours, and the newest rows with both.
    fn judge_clock(&self) {
        match self.skew_s.filter(|_| self.skewed) {
            // What the registry itself said of the clock stands.
            _ if self.refused == Some(SourceErrorKind::Clock) => {}
            Some(skew_s) => {
                let way = if skew_s > 0 { "behind" } else { "ahead of" };
                self.tell(
                    AlarmKind::Clock,
                    &format!(
                        "our clock is {} s {way} the registry's; set this machine's clock",
                        skew_s.abs()
                    ),
                );
            }
            None => match self.zone.hours_behind() {
                _ if !self.ahead.is_empty() => {}
                Some(hours) => self.tell(
                    AlarmKind::Clock,
                    &format!(
                        "rows come {hours} h after the time that they say; set the source's \
                         `time_zone`"
                    ),
                ),
                None => self.clear(AlarmKind::Clock),
            },
        }
    }

    /// A repository was read.
    pub(super) fn read(&mut self, index: usize, repo: &RepoKey) {
        if self.failing.remove(&index).is_some_and(|failing| failing.said) {
            info!(
                source.name = %self.name, repo.name = %repo.repo, "the log can be read again"
            );
        }
        if self.failing.is_empty() {
            self.many_said = false;
        }
        self.board.read_repo(index, self.clock.now());
        self.last_error = None;
        self.end_recalled();
        if self.refused.is_none() && std::mem::take(&mut self.blind) {
            self.clear(AlarmKind::SourceBlind);
            self.board.let_go();
        }
    }

    /// What people were told before this start is over.
    fn end_recalled(&mut self) {
        if self.refused.is_none() && std::mem::take(&mut self.recalled) {
            UNREAD.into_iter().for_each(|kind| self.clear(kind));
        }
    }

    /// The registry answered that there is nothing to be read, which is no blindness.
    pub(super) fn nothing_to_read(&mut self) {
        self.listed_at = Some(self.clock.now());
        self.end_recalled();
        if self.refused.is_none() && std::mem::take(&mut self.blind) {
            self.clear(AlarmKind::SourceBlind);
            self.board.let_go();
        }
    }

    /// A repository could not be read.
    pub(super) fn failed(&mut self, index: usize, repo: &RepoKey, error: &SourceError) {
        let refused = error.kind == SourceErrorKind::Repository;
        self.board.failed(index, self.clock.now(), &error.message, refused);
        self.last_error = Some(error.message.clone());
        let before = self.failing.get(&index);
        // That one which is refused can't be read for other reasons either is no news.
        if before.is_some_and(|before| before.refused || !refused) {
            return;
        }
        let said = before.map_or(self.failing.len() < FAILING_SAID, |before| before.said);
        self.failing.insert(index, Failing { refused, said });
        if said {
            warn!(
                source.name = %self.name, repo.name = %repo.repo, error.kind = error.kind.name(),
                "could not read the log of {}: {}", repo.repo, error.message
            );
        } else if !std::mem::replace(&mut self.many_said, true) {
            warn!(
                source.name = %self.name, repos = self.failing.len(),
                "more repositories can't be read; the status counts them"
            );
        }
    }

    /// The whole source is refused, or still is.
    pub(super) fn refused(&mut self, error: &SourceError) {
        let before = self.refused.replace(error.kind);
        if before != Some(error.kind) {
            warn!(
                source.name = %self.name, error.kind = error.kind.name(),
                "the source refuses us and is asked slowly from now on: {}", error.message
            );
            if let Some(before) = before.map(alarm_of)
                && before != alarm_of(error.kind)
            {
                self.clear(before);
            }
        }
        self.raise(alarm_of(error.kind), &format!("{}: {}", self.name, error.message));
        self.board.hold(SourceState::Refused, Some(&error.message));
    }

    /// A source that was refused answers again.
    pub(super) fn accepted(&mut self) {
        let Some(kind) = self.refused.take() else { return };
        info!(source.name = %self.name, "the source can be read again");
        if alarm_of(kind) != AlarmKind::Clock {
            self.clear(alarm_of(kind));
        }
        if std::mem::take(&mut self.blind) {
            self.clear(AlarmKind::SourceBlind);
        }
        self.board.let_go();
        self.judge_clock();
    }

    /// Looks at what only time brings about.
    pub(super) fn look_around(&mut self, walking: bool) {
        self.baselines.sum_up(&self.name);
        self.look_for_blindness(walking);
    }

    /// Raises an alarm when nothing of the source could be read for too long, which is at least
    /// three of the intervals that it is read at. One that is refused has its alarm, which says
    /// more. `walking` says that a long walk is under way: then its pages count, since it ends
    /// nothing for a while.
    fn look_for_blindness(&mut self, walking: bool) {
        if self.blind || self.refused.is_some() {
            return;
        }
        let now = self.clock.now();
        let (read, page) = self.board.last();
        let last = read.max(page.filter(|_| walking)).unwrap_or(self.started_at);
        let last = last.max(self.listed_at.unwrap_or(self.started_at));
        let after = self.blind_after.max(self.board.quickest().saturating_mul(3));
        let Ok(after) = SignedDuration::try_from(after) else { return };
        let since = now.duration_since(last);
        if since > after {
            self.blind = true;
            let why = self.last_error.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            self.raise(
                AlarmKind::SourceBlind,
                &format!("{} could not be read for {}{why}", self.name, humane(since)),
            );
            self.board.hold(SourceState::Blind, None);
        }
    }

    pub(super) fn store_failed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.store_failing, true) {
            warn!(source.name = %self.name, "could not take entries in, trying on: {error}");
        }
    }

    /// Something was committed.
    pub(super) fn store_works(&mut self) {
        if std::mem::take(&mut self.store_failing) {
            info!(source.name = %self.name, "entries are taken in again");
        }
    }
}

/// The alarms that end when the source is read.
const UNREAD: [AlarmKind; 3] = [AlarmKind::SourceBlind, AlarmKind::Credentials, AlarmKind::Gap];

/// The alarm of a source that is refused in this way.
const fn alarm_of(kind: SourceErrorKind) -> AlarmKind {
    match kind {
        SourceErrorKind::Credentials => AlarmKind::Credentials,
        SourceErrorKind::Clock => AlarmKind::Clock,
        _ => AlarmKind::SourceBlind,
    }
}
