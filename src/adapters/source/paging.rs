//! What an `Offset` means where no document says it: rows to skip, or pages.
//!
//! It is found out once, by the ids that two answers have in common: asked with offset 1, a service
//! that counts rows leaves out the first one, one that counts pages from zero shows none of them,
//! and one that counts from one shows all of them. The log may move meanwhile, so the answer counts
//! only where the first page was the same before and after. From then on offsets in rows are
//! translated. Deliberately absent: what the rows are.

use std::{collections::HashSet, sync::Mutex};

use futures_util::future::BoxFuture;

use super::source_error;
use crate::ports::{SourceError, SourceErrorKind as Kind};

/// How often it is tried to find out, before the log is said to move too much.
const TRIES: usize = 5;

/// What an offset counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Rows.
    Rows,
    /// Pages of the size asked for; the first has this number.
    Pages {
        /// 0 or 1.
        first: u64,
    },
}

/// An item of an answer, with what tells it from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item<T> {
    pub(super) id: Box<str>,
    pub(super) value: T,
}

/// An answer, as it was given.
#[derive(Debug, Clone)]
pub(super) struct Fetched<T> {
    pub(super) items: Vec<Item<T>>,
    pub(super) total: Option<u64>,
    pub(super) skew_s: Option<i64>,
}

/// Rows from where they were asked for, and the requests that it took.
#[derive(Debug)]
pub(super) struct Cut<T> {
    pub(super) items: Vec<Item<T>>,
    pub(super) total: Option<u64>,
    pub(super) skew_s: Option<i64>,
    pub(super) requests: u32,
}

/// Asks with an offset as the service takes it, and a limit.
pub(super) type Fetch<'f, T> =
    dyn Fn(u64, u32) -> BoxFuture<'f, Result<Fetched<T>, SourceError>> + Sync + 'f;

/// What is known of a service's offsets.
#[derive(Debug, Default)]
pub(super) struct Paging(Mutex<Option<Unit>>);

impl Paging {
    fn known(&self) -> Option<Unit> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn learn(&self, unit: Unit) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(unit);
    }

    /// Items from the `offset`-th on, at most `limit`.
    pub(super) async fn cut<T: Clone + Send + Sync>(
        &self,
        offset: u64,
        limit: u32,
        fetch: &Fetch<'_, T>,
    ) -> Result<Cut<T>, SourceError> {
        if offset == 0 {
            return Ok(whole(fetch(0, limit).await?, 1));
        }
        match self.known() {
            Some(Unit::Rows) => Ok(whole(fetch(offset, limit).await?, 1)),
            Some(Unit::Pages { first }) => from_pages(offset, limit, first, fetch).await,
            None => self.find_out(offset, limit, fetch).await,
        }
    }

    /// Finds out what offsets count, and gives the items asked for.
    async fn find_out<T: Clone + Send + Sync>(
        &self,
        offset: u64,
        limit: u32,
        fetch: &Fetch<'_, T>,
    ) -> Result<Cut<T>, SourceError> {
        let mut requests = 1;
        let mut before = fetch(0, limit).await?;
        for _ in 0..TRIES {
            if before.items.len() < limit.max(2) as usize {
                // There is but one page, which tells nothing and holds all there is.
                let skip = usize::try_from(offset).unwrap_or(usize::MAX);
                let mut cut = whole(before, requests);
                cut.items.drain(..skip.min(cut.items.len()));
                return Ok(cut);
            }
            let shifted = fetch(1, limit).await?;
            let after = fetch(0, limit).await?;
            requests += 2;
            if ids(&before) == ids(&after)
                && let Some(unit) = unit_of(&ids(&before), &ids(&shifted))
            {
                self.learn(unit);
                let mut cut = match unit {
                    Unit::Rows => whole(fetch(offset, limit).await?, 1),
                    Unit::Pages { first } => from_pages(offset, limit, first, fetch).await?,
                };
                cut.requests += requests;
                return Ok(cut);
            }
            before = after;
        }
        Err(source_error(
            Kind::Unavailable,
            "the log changed each time it was read, so what its offsets count can't be found out",
        ))
    }
}

fn whole<T>(fetched: Fetched<T>, requests: u32) -> Cut<T> {
    let Fetched { items, total, skew_s } = fetched;
    Cut { items, total, skew_s, requests }
}

fn ids<T>(fetched: &Fetched<T>) -> Vec<&str> {
    fetched.items.iter().map(|item| &*item.id).collect()
}

/// What an offset counts, where one of 1 turned the first answer into the second.
fn unit_of(first: &[&str], shifted: &[&str]) -> Option<Unit> {
    if shifted == first {
        return Some(Unit::Pages { first: 1 });
    }
    let rest = &first[1..];
    if shifted.len() >= rest.len() && shifted[..rest.len()] == *rest {
        return Some(Unit::Rows);
    }
    let shown: HashSet<&str> = first.iter().copied().collect();
    let apart = shifted.iter().all(|id| !shown.contains(id));
    apart.then_some(Unit::Pages { first: 0 })
}

/// Items from an offset that does not begin a page lie on two. What moved from the one to the
/// other between the requests shows on both and counts once.
async fn from_pages<T: Clone + Send + Sync>(
    offset: u64,
    limit: u32,
    first: u64,
    fetch: &Fetch<'_, T>,
) -> Result<Cut<T>, SourceError> {
    let size = u64::from(limit.max(1));
    let (page, skip) = (first + offset / size, usize::try_from(offset % size).unwrap_or(0));
    let mut cut = whole(fetch(page, limit).await?, 1);
    let full = cut.items.len() >= limit as usize;
    if skip > 0 && full {
        let next = fetch(page + 1, limit).await?;
        let shown: HashSet<Box<str>> = cut.items.iter().map(|item| item.id.clone()).collect();
        cut.items.extend(next.items.into_iter().filter(|item| !shown.contains(&item.id)));
        cut.requests += 1;
    }
    cut.items.drain(..skip.min(cut.items.len()));
    cut.items.truncate(limit as usize);
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::*;

    /// A log that gets a row before each request, the newest first.
    struct Moving {
        rows: Arc<Mutex<Vec<u64>>>,
        unit: Unit,
        grows: bool,
    }

    impl Moving {
        fn fetch(&self, offset: u64, limit: u32) -> Fetched<u64> {
            let mut rows = self.rows.lock().unwrap();
            let next = rows.len() as u64;
            if self.grows {
                rows.insert(0, next);
            }
            let skip = match self.unit {
                Unit::Rows => offset,
                Unit::Pages { first } => offset.saturating_sub(first) * u64::from(limit),
            };
            let shown = rows.iter().skip(usize::try_from(skip).unwrap()).take(limit as usize);
            let items = shown.map(|&row| Item { id: row.to_string().into(), value: row }).collect();
            Fetched { items, total: Some(rows.len() as u64), skew_s: None }
        }
    }

    fn ready(paging: &Paging, log: &Moving, offset: u64) -> Result<Vec<u64>, SourceError> {
        let fetch =
            |offset, limit| futures_util::future::ready(Ok(log.fetch(offset, limit))).boxed();
        let cut = paging.cut(offset, 10, &fetch).now_or_never().unwrap()?;
        Ok(cut.items.into_iter().map(|item| item.value).collect())
    }

    #[test]
    fn a_row_that_moves_from_one_page_to_the_next_meanwhile_counts_once() {
        for first in [0, 1] {
            let rows = Arc::new(Mutex::new((0..100).rev().collect()));
            let still = Moving { rows: rows.clone(), unit: Unit::Pages { first }, grows: false };
            let paging = Paging::default();
            assert_eq!(ready(&paging, &still, 15).unwrap(), (75..85).rev().collect::<Vec<_>>());
            assert_eq!(paging.known(), Some(still.unit));
            let moving = Moving { grows: true, ..still };
            for offset in [15, 37, 68] {
                let rows = ready(&paging, &moving, offset).unwrap();
                assert!(rows.is_sorted_by(|one, other| *one == *other + 1), "{rows:?}");
                assert_eq!(rows.len(), 10);
            }
        }
    }

    #[test]
    fn what_never_stands_still_is_found_out_by_nobody() {
        let rows = Arc::new(Mutex::new((0..100).rev().collect()));
        let moving = Moving { rows, unit: Unit::Rows, grows: true };
        let paging = Paging::default();
        let error = ready(&paging, &moving, 20).unwrap_err();
        assert!(error.message.contains("changed each time"), "{error}");
        assert_eq!(paging.known(), None);
    }
}
