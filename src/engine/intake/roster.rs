//! The repositories of a source: those that the configuration names, and those that are discovered.
//!
//! Each has a place, whose number all others know it by; the place of one that was let go is free
//! for another once its turn has come and nothing of it is in hand. What is remembered of one that
//! was let go is its cursor, so that it goes on from there when it comes back.
//! Deliberately absent: when they are asked, and the store.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::ports::{Cursor, RepoKey};

/// How long a repository counts as busy after news of it.
pub const BUSY_FOR: Duration = Duration::from_secs(3600);

/// How long a repository is read on that the registry lists no longer.
pub(super) const MISSING_KEPT: Duration = Duration::from_secs(24 * 3600);

/// So many answers must lack a repository before it is let go, whatever else speaks for it.
const MISSING_ANSWERS: u32 = 2;

/// A repository of the source.
pub(super) struct Repo {
    pub(super) key: RepoKey,
    pub(super) cursor: Cursor,
    pub(super) standing: Standing,
    /// A poll of it is in hand.
    pub(super) polling: bool,
    /// When it was last asked for, each poll's first request.
    pub(super) asked_at: Option<Instant>,
    /// Polls that failed since the last that did not.
    pub(super) failures: u32,
    /// The last of them failed since the registry refuses this repository.
    pub(super) refused: bool,
    /// When it was last refused as the whole source would be, if it was not read since.
    pub(super) refused_at: Option<Instant>,
    /// When it last had news.
    news_at: Option<Instant>,
    /// It counts as busy now.
    busy: bool,
}

/// Why a repository is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The configuration names it.
    Named,
    /// The registry lists it.
    Found,
    /// The registry listed it once, and has not since then, in so many answers.
    Missing { since: Instant, answers: u32 },
    /// It is not read any more.
    LetGo,
}

impl Repo {
    fn new(key: RepoKey, cursor: Cursor, standing: Standing) -> Self {
        Self {
            key,
            // One that was never read may have anything.
            busy: cursor.baseline_at.is_none(),
            cursor,
            standing,
            polling: false,
            asked_at: None,
            failures: 0,
            refused: false,
            refused_at: None,
            news_at: None,
        }
    }

    /// Whether it counts as busy.
    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }
}

/// What an answer of the registry changes, none of it done yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Repositories that are listed and not read, with their cursors where they were read before.
    pub(super) new: Vec<(Arc<str>, Option<Cursor>)>,
    /// Repositories that are read on although they are listed no longer: those of this answer.
    pub(super) lost: Vec<Arc<str>>,
    /// Repositories that were missing and are listed again.
    pub(super) back: Vec<Arc<str>>,
    /// Repositories that have been missing for long enough.
    pub(super) leaving: Vec<usize>,
    /// How many are missing, those that leave apart.
    pub(super) missing: usize,
    /// How many could be: all that were listed once.
    pub(super) known: usize,
}

/// All repositories of a source.
#[derive(Default)]
pub(super) struct Roster {
    places: Vec<Repo>,
    by_name: HashMap<Arc<str>, usize>,
    free: Vec<usize>,
    /// The cursors of those that were let go.
    gone: HashMap<Arc<str>, Cursor>,
    busy: usize,
}

impl Roster {
    /// How many are read.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many of them are busy.
    pub(super) const fn busy(&self) -> usize {
        self.busy
    }

    /// The one of a place.
    pub(super) fn get(&self, index: usize) -> &Repo {
        &self.places[index]
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, index: usize) -> &mut Repo {
        &mut self.places[index]
    }

    /// The places in use.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        let used =
            |(index, repo): (usize, &Repo)| (repo.standing != Standing::LetGo).then_some(index);
        self.places.iter().enumerate().filter_map(used)
    }

    /// Adds one, and says its place; `None` where it is there already.
    pub(super) fn add(
        &mut self,
        key: RepoKey,
        cursor: Cursor,
        standing: Standing,
    ) -> Option<usize> {
        if self.by_name.contains_key(&key.repo) {
            return None;
        }
        let name = key.repo.clone();
        self.gone.remove(&name);
        let repo = Repo::new(key, Cursor { gone_at: None, ..cursor }, standing);
        self.busy += usize::from(repo.busy);
        let index = match self.free.pop() {
            Some(index) => {
                self.places[index] = repo;
                index
            }
            None => {
                self.places.push(repo);
                self.places.len() - 1
            }
        };
        self.by_name.insert(name, index);
        Some(index)
    }

    /// Has one go on from the cursor of an earlier life; `recent` says that it had news lately.
    pub(super) fn resume(&mut self, index: usize, cursor: Cursor, recent: bool, now: Instant) {
        self.places[index].cursor = Cursor { gone_at: None, ..cursor };
        self.polled(index, recent, now);
    }

    /// Remembers one that was let go in an earlier life.
    pub(super) fn remember_gone(&mut self, name: Arc<str>, cursor: Cursor) {
        self.gone.insert(name, cursor);
    }

    /// Lets one go. Its place is free when [`Roster::vacate`] says so.
    pub(super) fn let_go(&mut self, index: usize) {
        let repo = &mut self.places[index];
        if repo.standing == Standing::LetGo {
            return;
        }
        repo.standing = Standing::LetGo;
        self.busy -= usize::from(std::mem::take(&mut repo.busy));
        self.by_name.remove(&repo.key.repo);
        self.gone.insert(repo.key.repo.clone(), repo.cursor.clone());
    }

    /// Frees the place of one that was let go, whose turn has come.
    pub(super) fn vacate(&mut self, index: usize) {
        self.free.push(index);
    }

    /// Notes that a repository was polled, and whether there was news. Says whether it is busy.
    pub(super) fn polled(&mut self, index: usize, news: bool, now: Instant) -> bool {
        let repo = &mut self.places[index];
        if news {
            repo.news_at = Some(now);
        }
        let unread = repo.cursor.baseline_at.is_none() && repo.failures == 0;
        let busy = repo.standing != Standing::LetGo
            && (unread || repo.news_at.is_some_and(|at| now.duration_since(at) < BUSY_FOR));
        self.busy = self.busy + usize::from(busy) - usize::from(repo.busy);
        repo.busy = busy;
        busy
    }

    /// Takes note of an answer of the registry, and says what is to follow from it.
    pub(super) fn compare(&mut self, listed: &[Arc<str>], now: Instant) -> Changes {
        let mut changes = Changes::default();
        let listed: std::collections::HashSet<&str> = listed.iter().map(|name| &**name).collect();
        for (index, repo) in self.places.iter_mut().enumerate() {
            let there = listed.contains(&*repo.key.repo);
            repo.standing = match (repo.standing, there) {
                (same @ (Standing::Named | Standing::LetGo), _) => same,
                (Standing::Found, true) => Standing::Found,
                (Standing::Missing { answers, .. }, true) => {
                    if answers > 0 {
                        changes.back.push(repo.key.repo.clone());
                    }
                    Standing::Found
                }
                (Standing::Found, false) => {
                    changes.lost.push(repo.key.repo.clone());
                    Standing::Missing { since: now, answers: 1 }
                }
                (Standing::Missing { since, answers }, false) => {
                    if answers == 0 {
                        changes.lost.push(repo.key.repo.clone());
                    }
                    Standing::Missing { since, answers: answers + 1 }
                }
            };
            if let Standing::Missing { since, answers } = repo.standing {
                let long = now.duration_since(since) >= MISSING_KEPT;
                if answers >= MISSING_ANSWERS && (long || repo.refused) && !repo.polling {
                    changes.leaving.push(index);
                } else {
                    changes.missing += 1;
                }
            }
            changes.known +=
                usize::from(matches!(repo.standing, Standing::Found | Standing::Missing { .. }));
        }
        let mut new: Vec<(Arc<str>, Option<Cursor>)> = listed
            .iter()
            .filter(|name| !self.by_name.contains_key(**name))
            .map(|name| (Arc::from(*name), self.gone.get(*name).cloned()))
            .collect();
        new.sort_by(|one, other| one.0.cmp(&other.0));
        changes.new = new;
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(repo: &str) -> RepoKey {
        RepoKey { source: "s".into(), repo: repo.into() }
    }

    fn names(text: &str) -> Vec<Arc<str>> {
        text.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn a_repository_goes_missing_is_let_go_and_comes_back_with_its_cursor() {
        let mut roster = Roster::default();
        let start = Instant::now();
        let cursor = Cursor { total: Some(7), ..Cursor::default() };
        let a = roster.add(key("a"), cursor.clone(), Standing::Found).unwrap();
        let b = roster.add(key("b"), Cursor::default(), Standing::Named).unwrap();
        assert_eq!(roster.add(key("a"), Cursor::default(), Standing::Found), None);
        assert_eq!((roster.len(), roster.busy()), (2, 2));

        let lost = roster.compare(&names("c"), start);
        assert_eq!((lost.lost, lost.missing, lost.known), (names("a"), 1, 1));
        assert_eq!(lost.new, [("c".into(), None)]);
        // One answer is no answer, and one that can be read is kept for a day.
        roster.get_mut(a).refused = true;
        assert_eq!(roster.get(a).standing, Standing::Missing { since: start, answers: 1 });
        let back = roster.compare(&names("a"), start);
        assert_eq!((back.back, back.missing), (names("a"), 0));
        roster.get_mut(a).refused = false;
        for _ in 0..5 {
            assert_eq!(roster.compare(&[], start).leaving, [0; 0]);
        }
        let later = start + MISSING_KEPT;
        roster.get_mut(a).polling = true;
        assert_eq!(roster.compare(&[], later).leaving, [0; 0], "it is in hand");
        roster.get_mut(a).polling = false;
        assert_eq!(roster.compare(&[], later).leaving, [a]);

        roster.let_go(a);
        assert_eq!((roster.len(), roster.busy()), (1, 1));
        assert_eq!(roster.indices().collect::<Vec<_>>(), [b]);
        let back = roster.compare(&names("a"), later);
        assert_eq!(back.new, [("a".into(), Some(cursor))]);
        roster.vacate(a);
        assert_eq!(roster.add(key("d"), Cursor::default(), Standing::Found), Some(a));
    }

    #[test]
    fn one_that_the_registry_refuses_and_lists_no_longer_is_let_go_soon() {
        let mut roster = Roster::default();
        let now = Instant::now();
        let a = roster.add(key("a"), Cursor::default(), Standing::Found).unwrap();
        roster.get_mut(a).refused = true;
        assert_eq!(roster.compare(&[], now).leaving, [0; 0]);
        assert_eq!(roster.compare(&[], now).leaving, [a]);
    }

    #[test]
    fn news_make_a_repository_busy_for_an_hour() {
        let mut roster = Roster::default();
        let now = Instant::now();
        let read = Cursor { baseline_at: Some(jiff::Timestamp::UNIX_EPOCH), ..Cursor::default() };
        let a = roster.add(key("a"), read, Standing::Named).unwrap();
        assert_eq!(roster.busy(), 0);
        assert!(roster.polled(a, true, now));
        assert!(roster.polled(a, false, now + BUSY_FOR - Duration::from_secs(1)));
        assert_eq!(roster.busy(), 1);
        assert!(!roster.polled(a, false, now + BUSY_FOR));
        assert_eq!(roster.busy(), 0);
    }
}
