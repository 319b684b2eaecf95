//! The store's part in taking entries in, in memory, with the semantics of `Store::commit`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use triggerbell::{
    domain::entry::{Entry, EntryId, Identity, WallTime},
    engine::cursor::{Closed, Window},
    ports::{Cursor, CursorMove, Known, RepoKey},
};

/// What was put down.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) cursor: Cursor,
    known: BTreeMap<(WallTime, Identity), Known>,
    staged: Vec<Entry>,
    sealed: bool,
    pub(super) entries: HashMap<EntryId, Entry>,
    /// How often each entry was decided as new and as revised.
    pub(super) decided: HashMap<EntryId, (u32, u32)>,
    /// How often a row as it then was has been decided.
    pub(super) decided_rows: HashMap<Identity, usize>,
}

pub(super) fn repo() -> RepoKey {
    RepoKey { source: Arc::from("shop"), repo: Arc::from("shop/api") }
}

impl Ledger {
    pub(super) fn window(&self) -> Window {
        Window::new(self.known.values().copied())
    }

    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    pub(super) fn stage(&mut self, rows: Vec<Entry>) {
        assert!(!self.sealed, "rows are staged while sealed ones wait");
        self.staged.extend(rows);
    }

    pub(super) fn clear_stage(&mut self) {
        if !self.sealed {
            self.staged.clear();
        }
    }

    /// Puts a closed walk down in one piece.
    pub(super) fn commit(&mut self, closed: Closed) {
        let seal = closed.cursor.seal;
        let moved = closed.cursor;
        if seal {
            self.stage(closed.fresh);
        } else {
            closed.fresh.into_iter().for_each(|entry| self.decide(entry));
        }
        self.make(&moved);
    }

    fn make(&mut self, moved: &CursorMove) {
        for known in &moved.known {
            self.known.insert((known.wall, known.identity), *known);
        }
        if moved.seal {
            self.sealed = true;
            for entry in &self.staged {
                let key = (entry.row.wall_time, entry.identity);
                let known = self.known.entry(key).or_insert(Known {
                    wall: key.0,
                    identity: key.1,
                    copies: 0,
                    next_ordinal: 0,
                });
                known.copies += 1;
                known.next_ordinal = known.next_ordinal.max(entry.ordinal + 1);
                let unfinished = (key.0, entry.row.identity_without_result());
                if entry.revises
                    && let Some(unfinished) = self.known.get_mut(&unfinished)
                {
                    unfinished.copies -= 1;
                }
            }
        }
        self.known.retain(|key, _| key.0 >= moved.forget_before);
        self.cursor = moved.cursor.clone();
    }

    /// Decides some of the sealed rows, oldest first; true when none are left.
    pub(super) fn drain(&mut self, limit: usize) -> bool {
        if !self.sealed {
            return true;
        }
        self.staged.sort_by_key(|entry| std::cmp::Reverse(entry.row.wall_time));
        for _ in 0..limit {
            match self.staged.pop() {
                Some(entry) => self.decide(entry),
                None => break,
            }
        }
        if self.staged.is_empty() {
            self.sealed = false;
            self.cursor.sealed = false;
        }
        !self.sealed
    }

    fn decide(&mut self, entry: Entry) {
        *self.decided_rows.entry(entry.identity).or_default() += 1;
        let (new, revised) = self.decided.entry(entry.id).or_default();
        if entry.revises {
            *revised += 1;
        } else {
            *new += 1;
        }
        self.entries.insert(entry.id, entry);
    }
}
