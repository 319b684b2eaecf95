//! What a look at one second adds to what is known of it.
//!
//! A **whole** look shows every row that the second has; a **partial** one shows some, which is a
//! lower bound. Rows beyond the known copies are new either way. A finished row beyond the known
//! ones, where an unfinished double of it is known, is that double with its result, but only a
//! whole look can say that the unfinished one is gone; until then it waits.
//! Deliberately absent: where the second stands in the log.

use std::{collections::HashMap, sync::Arc};

use crate::{
    domain::entry::{Entry, EntryId, Identity, Row, WallTime},
    ports::RepoKey,
};

use super::{
    page::SeenRow,
    window::{Key, Ledger},
};

/// How much of a second a look shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// All of it.
    Whole,
    /// Some of it.
    Partial,
}

/// What becomes of rows that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// They become entries.
    Entries,
    /// They are history: known from then on, and no entries.
    History,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Rows that were new, whatever became of them.
    pub(super) new: u32,
    /// Rows that wait for a whole look.
    pub(super) waiting: u32,
    /// Rows that wait for another walk.
    pub(super) postponed: u32,
    /// Rows that were known before this walk.
    pub(super) met: u32,
}

impl Found {
    /// Whether the look showed nothing but known rows.
    pub(super) fn is_settled(&self) -> bool {
        self.new == 0 && self.waiting == 0 && self.postponed == 0
    }
}

/// The rows of one look, by identity.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Vec<(Identity, u32, Row)>,
}

impl Tally {
    /// Counts rows, which are of one second, and keeps the order in which they first stand.
    pub(super) fn of(rows: impl IntoIterator<Item = SeenRow>) -> Self {
        let mut places: HashMap<Identity, usize> = HashMap::new();
        let mut counts: Vec<(Identity, u32, Row)> = Vec::new();
        for seen in rows {
            let place = *places.entry(seen.identity).or_insert(counts.len());
            match counts.get_mut(place) {
                Some((_, count, _)) => *count += 1,
                None => counts.push((seen.identity, 1, seen.row)),
            }
        }
        Self { counts }
    }

    /// A look of these counts.
    pub(super) fn from_counts(counts: Vec<(Identity, u32, Row)>) -> Self {
        Self { counts }
    }
}

/// The account of a walk: what it knows and what it has taken in.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) repo: RepoKey,
    pub(super) ledger: Ledger,
    /// Fresh entries, newest first, as they were found.
    pub(super) fresh: Vec<Entry>,
    pub(super) taken: u64,
    pub(super) revised: u64,
    pub(super) history: u64,
}

impl Account {
    pub(super) fn new(repo: RepoKey, ledger: Ledger) -> Self {
        Self { repo, ledger, fresh: Vec::new(), taken: 0, revised: 0, history: 0 }
    }

    /// Adds a look at a second.
    pub(super) fn look(&mut self, wall: WallTime, tally: Tally, look: Look, news: News) -> Found {
        let mut found = Found::default();
        // Only where something is known of the second can a finished row revise one of it.
        let may_revise = self.ledger.knows_second(wall);
        let shown: HashMap<Identity, u32> = if may_revise {
            tally.counts.iter().map(|(identity, count, _)| (*identity, *count)).collect()
        } else {
            HashMap::new()
        };
        for (identity, count, row) in tally.counts {
            let key = (wall, identity);
            found.met += u32::from(self.ledger.was_known(key));
            let beyond = count.saturating_sub(self.ledger.get(key).copies);
            if beyond == 0 {
                continue;
            }
            if !may_revise || is_bare(&row) {
                found.new += beyond;
                let bare = is_bare(&row);
                self.take(key, row, beyond, bare, news);
                continue;
            }
            let bare = row.identity_without_result();
            let unfinished = (wall, bare);
            let gone = self.ledger.get(unfinished).copies;
            let gone = gone.saturating_sub(shown.get(&bare).copied().unwrap_or(0));
            found.met += u32::from(gone > 0 && self.ledger.was_known(unfinished));
            if gone > 0 && self.ledger.taken_bare(unfinished) > 0 {
                // It was taken in by this very walk; its revision must not be put down before it.
                found.postponed += beyond;
            } else if gone > 0 && look == Look::Partial {
                found.waiting += beyond;
            } else {
                let revisions = beyond.min(gone);
                found.new += beyond;
                self.revise(unfinished, key, &row, revisions, news);
                self.take(key, row, beyond - revisions, false, news);
            }
        }
        found
    }

    fn take(&mut self, key: Key, row: Row, copies: u32, bare: bool, news: News) {
        for row in std::iter::repeat_n(row, copies as usize) {
            let ordinal = self.ledger.take(key, bare);
            if news == News::History {
                self.history += 1;
                continue;
            }
            let id = EntryId::of(&self.repo.source, &self.repo.repo, key.1, ordinal);
            self.put_down(id, key.1, ordinal, false, row);
        }
    }

    fn revise(&mut self, unfinished: Key, key: Key, row: &Row, copies: u32, news: News) {
        for _ in 0..copies {
            let old = self.ledger.revise(unfinished);
            let ordinal = self.ledger.take(key, false);
            if news == News::History {
                self.history += 1;
                continue;
            }
            let id = EntryId::of(&self.repo.source, &self.repo.repo, unfinished.1, old);
            self.revised += 1;
            self.put_down(id, key.1, ordinal, true, row.clone());
        }
    }

    /// Marks what the fresh entries changed as known by their being staged.
    pub(super) fn mark_staged(&mut self) {
        for entry in &self.fresh {
            let wall = entry.row.wall_time;
            self.ledger.mark_staged((wall, entry.identity));
            if entry.revises {
                self.ledger.mark_staged((wall, entry.row.identity_without_result()));
            }
        }
    }

    fn put_down(&mut self, id: EntryId, identity: Identity, ordinal: u32, revises: bool, row: Row) {
        self.taken += 1;
        self.fresh.push(Entry {
            id,
            identity,
            ordinal,
            revises,
            source: Arc::clone(&self.repo.source),
            asked_repo: Arc::clone(&self.repo.repo),
            row,
        });
    }
}

/// Whether a row's identity is the one that it has without a result.
fn is_bare(row: &Row) -> bool {
    row.return_code.is_none() && row.return_msg.as_deref().unwrap_or_default().is_empty()
}
