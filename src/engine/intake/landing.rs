//! What follows from a poll that ended: the repository's next turn, and what it says of the source.
//!
//! Deliberately absent: the poll itself, and what is said in the log.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use crate::ports::{SourceError, SourceErrorKind};

use super::{
    Intake, TICK,
    poll::{PollError, Polled, SHORT_PAGES},
    roster::Standing,
    schedule::Next,
};

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

/// By how much one poll moves the mean of requests.
const MEAN_WEIGHT: f64 = 1.0 / 32.0;

/// The whole source is refused: one repository at a time probes.
pub(super) struct Refusal {
    /// The next probe is then.
    pub(super) probe_at: Instant,
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
    /// Lets one repository find out whether the source still refuses us, when that is due. Says
    /// when to look again.
    pub(super) fn probe(&mut self, probe_at: Instant, now: Instant) -> Instant {
        let far = now + TICK;
        if self.refusal.as_ref().is_none_or(|refusal| refusal.probing.is_some()) {
            return far;
        }
        if probe_at > now {
            return probe_at;
        }
        match self.queue.next(now) {
            Next::Poll(index) if self.roster.get(index).standing == Standing::LetGo => {
                self.roster.vacate(index);
                now
            }
            Next::Poll(index) => {
                if let Some(refusal) = &mut self.refusal {
                    refusal.probing = Some(index);
                }
                self.start(index, None, None);
                far
            }
            Next::Wait(at) => at,
            // None is due while all of them are still in hand.
            Next::Nothing => far,
        }
    }

    /// Takes note of a poll that ended, and sets the repository's next.
    pub(super) fn poll_landed(
        &mut self,
        index: usize,
        mut polled: Polled,
        result: Result<(), PollError>,
    ) {
        self.polling -= 1;
        let repo = self.roster.get(index);
        self.health.note(index, &repo.key, &polled, repo.asked_at);
        let doubted = self.health.doubts_zone();
        self.poller.zone_doubted.store(doubted, Ordering::Relaxed);
        self.note_interval(index, &polled);
        let repo = self.roster.get_mut(index);
        repo.polling = false;
        let was_busy = repo.is_busy();
        if let Some(cursor) = polled.cursor.take() {
            repo.cursor = cursor;
            self.health.store_works();
        }
        let ended = result.is_ok();
        let (word, wait) = self.judge(index, &polled, result);
        let now = Instant::now();
        let busy = self.roster.polled(index, polled.fresh > 0, now);
        if was_busy && ended {
            self.note_requests(polled.requests);
        }
        self.take_word(index, &word);
        self.show();
        let Some(wait) = wait else {
            if self.refusal.is_none() {
                self.backlogs.push_back(index);
                self.poller.places.queued(true);
            } else {
                self.queue.put(now, index);
            }
            return;
        };
        let intervals = self.load().intervals();
        let wait = wait.max(if busy { intervals.busy } else { intervals.idle });
        let asked = polled.asked_at.unwrap_or(now);
        let next = asked.checked_add(wait).unwrap_or(now + REPO_BACKOFF_MAX).max(now);
        // A short budget spreads them by itself.
        let next = match ended && wait == self.settings.poll_every {
            true => self.spread.seat(next, wait, self.roster.len()),
            false => next,
        };
        self.queue.put(next, index);
    }

    /// Measures the interval that a repository is really polled at.
    fn note_interval(&mut self, index: usize, polled: &Polled) {
        let repo = self.roster.get_mut(index);
        let Some(asked) = polled.asked_at else { return };
        if let Some(before) = repo.asked_at.replace(asked)
            && repo.failures == 0
            && self.restored_at.is_none_or(|restored| before >= restored)
        {
            self.board.interval(index, asked - before);
        }
    }

    /// Measures what a poll of a busy repository takes, long walks apart, which have their own turn.
    fn note_requests(&mut self, requests: u32) {
        if (1..=SHORT_PAGES).contains(&requests) {
            let off = f64::from(requests) - self.requests_per_poll;
            self.requests_per_poll += off * MEAN_WEIGHT;
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
        let repo = self.roster.get_mut(index);
        // What is refused again although others were read meanwhile is this repository alone, such
        // as one that the account may not see: the source would be refused and well again in turns.
        let refused =
            matches!(&result, Err(PollError::Source(error)) if error.kind.is_source_wide());
        let alone = refused && repo.refused_at.is_some_and(|at| self.read_at > Some(at));
        let answered = if polled.pages > 0 { Word::Answers } else { Word::Nothing };
        match result {
            Ok(()) => {
                repo.failures = 0;
                repo.refused = false;
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
                repo.refused = error.kind == SourceErrorKind::Repository;
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
                for index in self.backlogs.drain(..) {
                    self.queue.put(now, index);
                }
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
