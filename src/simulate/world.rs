//! The world of a stand-in registry: the trigger log of each repository, as it stands now.
//!
//! One `World` is shared by both generations of the API, by whoever pushes rows (the [`Feed`], or a
//! test) and by the chat wall, which listens for news. Rows are kept sorted, so that a page costs
//! what it holds and not what the log holds. Deliberately absent: time passing by itself, chance
//! (callers bring their own), and any form of answer.
//!
//! [`Feed`]: super::feed::Feed

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;

use crate::domain::entry::{Row, WallTime};

/// News that a listener can be behind before it loses some.
const NEWS_CAPACITY: usize = 4096;

/// Rows that a log holds at most; the oldest expire beyond it.
const ROWS_MAX: usize = 1_000_000;

/// The trigger logs of all repositories.
pub struct World {
    inner: Mutex<Inner>,
    news: broadcast::Sender<News>,
}

#[derive(Default)]
struct Inner {
    logs: BTreeMap<Arc<str>, Log>,
    next_id: u64,
    counts: Counts,
}

#[derive(Default)]
struct Log {
    /// By time, oldest first; within a second in the order of arrival.
    rows: VecDeque<Stored>,
    /// A row of each trigger that was ever seen, by the trigger's name.
    triggers: BTreeMap<Box<str>, Arc<Row>>,
    /// Pages asked for.
    asked: u64,
    /// Changes with every change of `rows`, so that an index can tell that it is stale.
    revision: u64,
    index: Option<Index>,
}

#[derive(Clone)]
struct Stored {
    id: u64,
    row: Arc<Row>,
}

/// The positions of a log's rows in another order than time's.
struct Index {
    by: SortKey,
    revision: u64,
    positions: Vec<usize>,
}

/// Where a row stands, to give it its result or to take it away later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRef {
    repo: Arc<str>,
    wall_time: WallTime,
    id: u64,
}

/// What happened in the world, for those who watch it.
#[derive(Debug, Clone)]
pub struct News {
    /// The row's number in this world; the same when it gains its result.
    pub id: u64,
    /// The repository whose log the row stands in.
    pub repo: Arc<str>,
    /// The row as it is now.
    pub row: Arc<Row>,
    /// Whether the row was there before and has now gained its result.
    pub revised: bool,
}

/// How much there was of everything, since the world began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows published.
    pub published: u64,
    /// Rows that gained their result later.
    pub revised: u64,
    /// Rows that expired or were taken away.
    pub removed: u64,
}

/// What a page is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    /// `invoke_time`.
    #[default]
    Time,
    /// `trigger_name`, then time.
    Trigger,
    /// `repo_name`, then time.
    Repo,
}

/// Which rows of a log are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Rows to skip.
    pub offset: usize,
    /// Rows at most.
    pub limit: usize,
    /// Smallest first.
    pub ascending: bool,
    /// What "small" means.
    pub by: SortKey,
    /// Where set, the rows of each second come in an order that depends on this number. Only with
    /// [`SortKey::Time`].
    pub shuffle: Option<u64>,
}

/// Rows of a log, and how many it holds.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The rows, in the order asked for.
    pub rows: Vec<Arc<Row>>,
    /// All rows of the log at that moment.
    pub total: usize,
}

impl Default for World {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl World {
    /// A world with these repositories, all of them empty.
    pub fn new(repos: &[String]) -> Self {
        let world =
            Self { inner: Mutex::new(Inner::default()), news: broadcast::channel(NEWS_CAPACITY).0 };
        for repo in repos {
            world.add_repo(repo);
        }
        world
    }

    /// Makes a repository known, with an empty log.
    pub fn add_repo(&self, repo: &str) {
        self.lock().logs.entry(Arc::from(repo)).or_default();
    }

    /// Makes the trigger that a row names known, without a row in the log.
    pub fn add_trigger(&self, row: Row) {
        let (Some(repo), Some(trigger)) = (row.repo.clone(), row.trigger.clone()) else { return };
        let mut inner = self.lock();
        let log = inner.logs.entry(Arc::from(repo)).or_default();
        log.triggers.entry(trigger).or_insert_with(|| Arc::new(row));
    }

    /// Forgets a repository and its log.
    pub fn remove_repo(&self, repo: &str) {
        let mut inner = self.lock();
        if let Some(log) = inner.logs.remove(repo) {
            inner.counts.removed += log.rows.len() as u64;
        }
    }

    /// Puts a row into the log of its own repository (`library/unnamed` where it names none). A row
    /// older than others takes its place among them, as late rows do.
    pub fn push(&self, row: Row) -> RowRef {
        let repo = row.repo.clone().unwrap_or_else(|| "library/unnamed".into());
        self.push_to(&repo, row)
    }

    /// Puts a row into the log of a repository, whatever repository the row itself names.
    pub fn push_to(&self, repo: &str, row: Row) -> RowRef {
        let row = Arc::new(row);
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        inner.counts.published += 1;
        let repo: Arc<str> =
            inner.logs.get_key_value(repo).map_or_else(|| Arc::from(repo), |(key, _)| key.clone());
        let log = inner.logs.entry(repo.clone()).or_default();
        log.insert(Stored { id, row: row.clone() });
        let full = log.rows.len() > ROWS_MAX && log.rows.pop_front().is_some();
        inner.counts.removed += u64::from(full);
        let at = RowRef { repo: repo.clone(), wall_time: row.wall_time, id };
        // Sent under the lock, so that news come in the order of what they tell. No listener is no
        // failure.
        let _ = self.news.send(News { id, repo, row, revised: false });
        at
    }

    /// Gives a row its result. False when the row is gone.
    pub fn resolve(&self, at: &RowRef, return_code: i64, return_msg: &str) -> bool {
        let mut inner = self.lock();
        let Some(stored) = inner.logs.get_mut(&at.repo).and_then(|log| log.find(at)) else {
            return false;
        };
        let mut row = Row::clone(&stored.row);
        row.return_code = Some(return_code);
        row.return_msg = Some(return_msg.into());
        let row = Arc::new(row);
        stored.row = row.clone();
        inner.counts.revised += 1;
        let _ = self.news.send(News { id: at.id, repo: at.repo.clone(), row, revised: true });
        true
    }

    /// Takes a row away. False when it is gone already.
    pub fn remove(&self, at: &RowRef) -> bool {
        let mut inner = self.lock();
        let Some(log) = inner.logs.get_mut(&at.repo) else { return false };
        let Some(position) = log.position(at) else { return false };
        log.rows.remove(position);
        log.revision += 1;
        inner.counts.removed += 1;
        true
    }

    /// Lets the oldest rows of a repository expire, at most `rows` of them; how many did.
    pub fn expire(&self, repo: &str, rows: usize) -> usize {
        let mut inner = self.lock();
        let Some(log) = inner.logs.get_mut(repo) else { return 0 };
        let gone = rows.min(log.rows.len());
        log.rows.drain(..gone);
        log.revision += 1;
        inner.counts.removed += gone as u64;
        gone
    }

    /// A part of a repository's log; `None` for a repository that does not exist.
    pub fn slice(&self, repo: &str, wanted: Slice) -> Option<Rows> {
        let mut inner = self.lock();
        let log = inner.logs.get_mut(repo)?;
        log.asked += 1;
        Some(log.slice(wanted))
    }

    /// All rows of a repository, newest first; empty for one that does not exist.
    pub fn rows(&self, repo: &str) -> Vec<Arc<Row>> {
        let inner = self.lock();
        let rows = inner.logs.get(repo).map(|log| log.rows.iter().rev());
        rows.into_iter().flatten().map(|stored| stored.row.clone()).collect()
    }

    /// The rows of all repositories of a namespace with their numbers, the latest that came first;
    /// `None` for a namespace that does not exist.
    pub fn namespace(&self, namespace: &str) -> Option<Vec<(u64, Arc<Row>)>> {
        let inner = self.lock();
        let within = |repo: &str| repo.split_once('/').is_some_and(|(its, _)| its == namespace);
        let mut logs = inner.logs.iter().filter(|(repo, _)| within(repo)).peekable();
        logs.peek()?;
        let rows = logs.flat_map(|(_, log)| log.rows.iter());
        let mut rows: Vec<_> = rows.map(|stored| (stored.id, stored.row.clone())).collect();
        rows.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        Some(rows)
    }

    /// The namespaces of all repositories, in order of name.
    pub fn namespaces(&self) -> Vec<String> {
        let inner = self.lock();
        let names = inner.logs.keys().filter_map(|repo| Some(repo.split_once('/')?.0.to_owned()));
        names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// The repositories, in order of name.
    pub fn repos(&self) -> Vec<Arc<str>> {
        self.lock().logs.keys().cloned().collect()
    }

    /// How many pages of a repository were asked for.
    pub fn pages_asked(&self, repo: &str) -> u64 {
        self.lock().logs.get(repo).map_or(0, |log| log.asked)
    }

    /// One row for each trigger of each repository: what the registry knows of its triggers.
    pub fn triggers(&self) -> Vec<(Arc<str>, Arc<Row>)> {
        let inner = self.lock();
        let of = |(repo, log): (&Arc<str>, &Log)| {
            log.triggers.values().map(|row| (repo.clone(), row.clone())).collect::<Vec<_>>()
        };
        inner.logs.iter().flat_map(of).collect()
    }

    /// How much there was of everything.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// What happens from now on. A listener too slow for it is told how much it missed.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock leaves it half done, so a poisoned one is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn insert(&mut self, stored: Stored) {
        self.revision += 1;
        if let Some(trigger) = &stored.row.trigger
            && !self.triggers.contains_key(trigger)
        {
            self.triggers.insert(trigger.clone(), stored.row.clone());
        }
        let time = stored.row.wall_time;
        if self.rows.back().is_none_or(|last| last.row.wall_time <= time) {
            self.rows.push_back(stored);
        } else {
            let position = self.rows.partition_point(|other| other.row.wall_time <= time);
            self.rows.insert(position, stored);
        }
    }

    fn position(&self, at: &RowRef) -> Option<usize> {
        let start = self.rows.partition_point(|other| other.row.wall_time < at.wall_time);
        let second =
            self.rows.range(start..).take_while(|other| other.row.wall_time == at.wall_time);
        second.enumerate().find(|(_, other)| other.id == at.id).map(|(index, _)| start + index)
    }

    fn find(&mut self, at: &RowRef) -> Option<&mut Stored> {
        let position = self.position(at)?;
        self.rows.get_mut(position)
    }

    fn slice(&mut self, wanted: Slice) -> Rows {
        let total = self.rows.len();
        let from = wanted.offset.min(total);
        let to = from.saturating_add(wanted.limit).min(total);
        // The same places, counted from the smallest.
        let (low, high) = if wanted.ascending { (from, to) } else { (total - to, total - from) };
        let mut rows: Vec<_> = match (wanted.by, wanted.shuffle) {
            (SortKey::Time, None) => self.rows.range(low..high).map(|s| s.row.clone()).collect(),
            (SortKey::Time, Some(seed)) => self.shuffled(low, high, seed),
            (by, _) => {
                self.index(by);
                let positions = self.index.as_ref().map_or(&[][..], |index| &index.positions);
                let row = |&position: &usize| self.rows[position].row.clone();
                positions[low..high].iter().map(row).collect()
            }
        };
        if !wanted.ascending {
            rows.reverse();
        }
        Rows { rows, total }
    }

    /// The rows at `low..high`, each second's rows in another order than that of arrival.
    fn shuffled(&self, low: usize, high: usize, seed: u64) -> Vec<Arc<Row>> {
        if low == high {
            return Vec::new();
        }
        let (first, last) = (self.rows[low].row.wall_time, self.rows[high - 1].row.wall_time);
        let start = self.rows.partition_point(|other| other.row.wall_time < first);
        let end = self.rows.partition_point(|other| other.row.wall_time <= last);
        let mut rows: Vec<_> = self.rows.range(start..end).map(|s| s.row.clone()).collect();
        for second in rows.chunk_by_mut(|a, b| a.wall_time == b.wall_time) {
            // The same second is in the same order wherever the page begins.
            fastrand::Rng::with_seed(seed ^ second[0].wall_time.0 as u64).shuffle(second);
        }
        rows.drain(low - start..high - start).collect()
    }

    /// Makes the index by another key than time, unless it is there and fresh.
    fn index(&mut self, by: SortKey) {
        let fresh = self.index.as_ref().is_some_and(|i| i.by == by && i.revision == self.revision);
        if fresh {
            return;
        }
        let name = |position: &usize| {
            let row = &self.rows[*position].row;
            match by {
                SortKey::Trigger => row.trigger.clone(),
                SortKey::Repo => row.repo.clone(),
                SortKey::Time => None,
            }
        };
        let mut positions: Vec<usize> = (0..self.rows.len()).collect();
        // Stable, hence by time within a name.
        positions.sort_by_cached_key(name);
        self.index = Some(Index { by, revision: self.revision, positions });
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn row(second: i64, tag: &str) -> Row {
        let mut row = Row::at(WallTime(second), Timestamp::from_second(second).unwrap());
        row.repo = Some("shop/api".into());
        row.trigger = Some(format!("trigger-{}", second % 3).into());
        row.tag = Some(tag.into());
        row
    }

    fn tags(rows: &Rows) -> Vec<String> {
        rows.rows.iter().map(|row| row.tag.as_deref().unwrap_or_default().to_owned()).collect()
    }

    fn newest(offset: usize, limit: usize) -> Slice {
        Slice { offset, limit, ascending: false, by: SortKey::Time, shuffle: None }
    }

    #[test]
    fn a_late_row_takes_its_place_and_pages_are_newest_first() {
        let world = World::default();
        for (second, tag) in [(10, "a"), (12, "c"), (11, "b"), (12, "d")] {
            world.push(row(second, tag));
        }
        let slice = |wanted| world.slice("shop/api", wanted).unwrap();
        assert_eq!(tags(&slice(newest(0, 3))), ["d", "c", "b"]);
        assert_eq!(tags(&slice(newest(3, 3))), ["a"]);
        assert_eq!(tags(&slice(newest(9, 3))), [""; 0]);
        assert_eq!(tags(&slice(Slice { ascending: true, ..newest(1, 2) })), ["b", "c"]);
        let by_trigger = Slice { ascending: true, by: SortKey::Trigger, ..newest(0, 9) };
        assert_eq!(tags(&slice(by_trigger)), ["c", "d", "a", "b"]);
        assert!(world.slice("shop/none", newest(0, 1)).is_none());
    }

    #[test]
    fn a_shuffled_second_joins_over_pages_of_one_order() {
        let world = World::default();
        for number in 0..50 {
            world.push(row(7, &number.to_string()));
        }
        let page = |offset, seed| {
            tags(
                &world
                    .slice("shop/api", Slice { shuffle: Some(seed), ..newest(offset, 20) })
                    .unwrap(),
            )
        };
        let mut all = [page(0, 1), page(20, 1), page(40, 1)].concat();
        assert_ne!(page(0, 1), page(0, 2));
        all.sort_by_key(|tag| tag.parse::<u32>().unwrap());
        assert_eq!(all, (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn results_come_later_and_rows_go() {
        let world = World::default();
        let mut news = world.news();
        let first = world.push(row(1, "a"));
        let second = world.push(row(1, "b"));
        assert!(world.resolve(&second, 404, "kube Resurces NotFound"));
        assert_eq!(world.rows("shop/api")[0].return_code, Some(404));
        assert!(world.remove(&first) && !world.remove(&first));
        assert_eq!(world.expire("shop/api", 5), 1);
        assert!(!world.resolve(&second, 0, "ok"));
        assert_eq!(world.counts(), Counts { published: 2, revised: 1, removed: 2 });
        let revised: Vec<_> =
            std::iter::from_fn(|| news.try_recv().ok()).map(|n| n.revised).collect();
        assert_eq!(revised, [false, false, true]);
    }
}
