//! Finding out which repositories there are: when the registry is asked, what its answer means, and
//! what is said of it.
//!
//! A repository that is listed no longer is read on: for a day, or until the registry refuses it
//! too. Then it is let go, and goes on where it was when it comes back. One that is found after the
//! first contact is new since the last listing that was whole, so all its rows since then are news.
//! An answer that lacks half of what was known is an alarm, and so is one with nothing that is
//! wanted. Deliberately absent: reading logs.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    domain::expression::Glob,
    ports::{AlarmKind, DiscoveryStatus, SourceError},
};

use super::{health::Health, humane::humane, roster::Changes, survey::Surveyed};

/// The repository under whose name the source's own record is kept: when it was last listed.
pub(super) const RECORD: &str = "";

/// Clocks that differ by less are not said; so much before the last listing a new repository's rows
/// may lie by theirs.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

/// The first wait after a listing that failed; the longest is the interval.
const FIRST_WAIT: Duration = Duration::from_secs(30);

/// Names that are written into one line of the log.
const NAMED: usize = 5;

/// What is discovered.
#[derive(Debug, Clone)]
pub struct DiscoverSettings {
    /// Repositories that one of these matches are read.
    pub include: Vec<Glob>,
    /// But those that one of these matches are not.
    pub exclude: Vec<Glob>,
    /// How often the registry is asked.
    pub every: Duration,
}

impl DiscoverSettings {
    /// Whether a repository is wanted.
    pub fn wants(&self, repo: &str) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.is_match(repo));
        any(&self.include) && !any(&self.exclude)
    }
}

/// The discovery of a source's repositories.
pub(super) struct Discovery {
    pub(super) settings: DiscoverSettings,
    /// When the registry is asked next.
    pub(super) next_at: Instant,
    /// It is being asked, or its answer being put down.
    pub(super) under_way: bool,
    /// When the last listing that was whole began; `None` before the first contact.
    pub(super) whole_at: Option<Timestamp>,
    started_at: Instant,
    answered: Option<Instant>,
    failures: u32,
    partial_said: bool,
    unjoined_said: bool,
    status: DiscoveryStatus,
}

/// A listing, with the instant at which it began.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) begun: Timestamp,
    pub(super) surveyed: Surveyed,
}

impl Discovery {
    pub(super) fn new(settings: DiscoverSettings, now: Instant) -> Self {
        let every_s = settings.every.as_secs_f64();
        Self {
            settings,
            next_at: now,
            under_way: false,
            whole_at: None,
            started_at: now,
            answered: None,
            failures: 0,
            partial_said: false,
            unjoined_said: false,
            status: DiscoveryStatus {
                every_s,
                answered_at: None,
                found: 0,
                listed: 0,
                missing: 0,
                partial: false,
                last_error: None,
            },
        }
    }

    /// What it shows of itself.
    pub(super) const fn status(&self) -> &DiscoveryStatus {
        &self.status
    }

    /// The names of an answer that are wanted.
    pub(super) fn wanted(&self, surveyed: &Surveyed) -> Vec<Arc<str>> {
        surveyed.names.iter().filter(|name| self.settings.wants(name)).cloned().collect()
    }

    /// The instant from which on the rows of a repository that was just found are news; `None` at
    /// first contact, when the configuration says what becomes of them.
    pub(super) fn news_since(&self) -> Option<Timestamp> {
        self.whole_at.map(|at| at.checked_sub(CLOCKS_DIFFER).unwrap_or(at))
    }

    /// Whether a listing moves the instant from which on new repositories are read: one that may
    /// have left some out does not, since they would be found late.
    pub(super) const fn is_whole(&self, answer: &Answer) -> bool {
        answer.surveyed.joined || self.whole_at.is_none()
    }

    /// The registry answered, and what follows from it was put down.
    pub(super) fn answered(
        &mut self,
        answer: &Answer,
        found: usize,
        changes: &Changes,
        health: &Health,
        now: Instant,
    ) {
        if self.is_whole(answer) {
            self.whole_at = Some(answer.begun);
        }
        if std::mem::take(&mut self.failures) > 0 {
            info!(source.name = %health.name(), "the registry lists its repositories again");
        }
        self.answered = Some(now);
        self.next_at = now + self.settings.every;
        self.under_way = false;
        let partial = answer.surveyed.partial == Some(true);
        self.status = DiscoveryStatus {
            answered_at: Some(answer.begun),
            found,
            listed: answer.surveyed.names.len(),
            missing: changes.missing,
            partial,
            last_error: None,
            ..self.status
        };
        self.say(answer, changes, health);
        self.worry(changes, health);
    }

    /// What a person may want to know of an answer.
    fn say(&mut self, answer: &Answer, changes: &Changes, health: &Health) {
        let name = health.name();
        if !changes.new.is_empty() {
            let names = some_of(changes.new.iter().map(|(name, _)| &**name));
            info!(source.name = %name, repos = changes.new.len(), "found repositories: {names}");
        }
        if !changes.lost.is_empty() {
            let names = some_of(changes.lost.iter().map(|name| &**name));
            warn!(
                source.name = %name, repos = changes.lost.len(),
                "the registry lists no longer, and they are read on for a day or until it refuses \
                 them: {names}"
            );
        }
        if !changes.back.is_empty() {
            let names = some_of(changes.back.iter().map(|name| &**name));
            info!(source.name = %name, repos = changes.back.len(), "listed again: {names}");
        }
        let partial = answer.surveyed.partial == Some(true);
        if partial && !std::mem::replace(&mut self.partial_said, true) {
            warn!(
                source.name = %name,
                "the account sees only some of the registry's repositories; what it does not see \
                 is not read"
            );
        }
        let unjoined = !answer.surveyed.joined;
        if unjoined && !std::mem::replace(&mut self.unjoined_said, true) {
            warn!(
                source.name = %name,
                "the list of repositories changed whenever it was read; some may be found late, \
                 and their rows since the last whole list are taken in then"
            );
        }
    }

    /// Raises or ends the alarm that an answer is reason for.
    fn worry(&self, changes: &Changes, health: &Health) {
        let DiscoveryStatus { found, listed, .. } = self.status;
        if is_shrunk(changes.missing, changes.known) {
            let (missing, known) = (changes.missing, changes.known);
            health.tell(
                AlarmKind::Discovery,
                &format!(
                    "the registry lists only {} of {known} repositories that were known; the \
                     others are read on for a day; check what the account may see",
                    known - missing
                ),
            );
        } else if found == 0 && changes.known == 0 {
            let what = match listed {
                0 => "the registry lists no repository; check the account and the region".into(),
                _ => format!(
                    "`discover` lets none of {listed} repositories through; check `include` and \
                     `exclude`"
                ),
            };
            health.tell(AlarmKind::Discovery, &what);
        } else {
            health.clear(AlarmKind::Discovery);
        }
    }

    /// The registry could not be asked, or what follows from its answer not be put down.
    pub(super) fn failed(
        &mut self,
        error: &SourceError,
        health: &Health,
        blind_after: Duration,
        now: Instant,
    ) {
        self.under_way = false;
        self.failures = self.failures.saturating_add(1);
        let wait = FIRST_WAIT.saturating_mul(1 << (self.failures - 1).min(10));
        let wait = wait.min(self.settings.every.max(FIRST_WAIT));
        self.next_at = now + wait.max(error.retry_after.unwrap_or_default());
        self.status.last_error = Some(error.message.clone());
        if self.failures == 1 {
            warn!(
                source.name = %health.name(), error.kind = error.kind.name(),
                "could not list the repositories: {}", error.message
            );
        }
        let silent = now.duration_since(self.answered.unwrap_or(self.started_at));
        if silent >= blind_after.max(self.settings.every.saturating_mul(3)) {
            health.tell(
                AlarmKind::Discovery,
                &format!(
                    "the registry could not be asked for {} which repositories there are, so \
                     new ones are not read: {}",
                    humane(SignedDuration::try_from(silent).unwrap_or(SignedDuration::MAX)),
                    error.message
                ),
            );
        }
    }
}

/// Whether so much is missing that the answer itself is to be doubted.
const fn is_shrunk(missing: usize, known: usize) -> bool {
    missing >= 2 && missing * 2 >= known
}

/// A few names, and how many more there are.
fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named: Vec<_> = names.take(NAMED).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}
