//! What is known of a repository's rows: how many copies of each, by second.
//!
//! A [`Window`] is what was committed; a [`Ledger`] lays a walk's own changes over it, so that a
//! walk that fails leaves nothing behind. Deliberately absent: where it is kept.

use std::collections::{BTreeMap, HashMap};

use crate::{
    domain::entry::{Identity, WallTime},
    ports::{CursorMove, Known},
};

pub(super) type Key = (WallTime, Identity);

/// How often a row was taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Copies {
    /// Copies taken in and not since revised.
    pub(super) copies: u32,
    /// The next copy's ordinal.
    pub(super) next_ordinal: u32,
}

/// The rows of a repository that are known, as they were committed.
#[derive(Debug, Clone, Default)]
pub struct Window {
    rows: BTreeMap<Key, Copies>,
}

impl Window {
    /// A window of these rows, in any order.
    pub fn new(known: impl IntoIterator<Item = Known>) -> Self {
        let mut window = Self::default();
        known.into_iter().for_each(|known| window.put(&known));
        window
    }

    /// Distinct rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Makes a committed move that sealed nothing.
    pub fn apply(&mut self, moved: &CursorMove) {
        moved.known.iter().for_each(|known| self.put(known));
        self.rows = self.rows.split_off(&(moved.forget_before, Identity([0; 16])));
    }

    fn put(&mut self, known: &Known) {
        let copies = Copies { copies: known.copies, next_ordinal: known.next_ordinal };
        self.rows.insert((known.wall, known.identity), copies);
    }
}

/// A change that a walk made to a known row.
#[derive(Debug, Clone, Copy)]
struct Change {
    now: Copies,
    /// Copies of it were handed out to be staged, so that sealing makes them known.
    staged: bool,
    /// Copies that this walk took in without a result.
    taken_bare: u32,
}

/// A window with a walk's changes laid over it.
#[derive(Debug)]
pub(super) struct Ledger {
    base: Window,
    changes: BTreeMap<Key, Change>,
}

impl Ledger {
    pub(super) fn new(base: Window) -> Self {
        Self { base, changes: BTreeMap::new() }
    }

    /// The window as it was committed.
    pub(super) fn into_base(self) -> Window {
        self.base
    }

    pub(super) fn base_is_empty(&self) -> bool {
        self.base.is_empty()
    }

    pub(super) fn was_known(&self, key: Key) -> bool {
        self.base.rows.get(&key).is_some_and(|copies| copies.next_ordinal > 0)
    }

    pub(super) fn get(&self, key: Key) -> Copies {
        match self.changes.get(&key) {
            Some(change) => change.now,
            None => self.base.rows.get(&key).copied().unwrap_or_default(),
        }
    }

    /// Copies without a result that this walk itself took in.
    pub(super) fn taken_bare(&self, key: Key) -> u32 {
        self.changes.get(&key).map_or(0, |change| change.taken_bare)
    }

    /// Whether anything is known of a second.
    pub(super) fn knows_second(&self, wall: WallTime) -> bool {
        self.changes.range(second(wall)).next().is_some()
            || self.base.rows.range(second(wall)).next().is_some()
    }

    /// The copies known of a second, by row; a row of which none is left is not among them.
    pub(super) fn copies_in(&self, wall: WallTime) -> HashMap<Identity, u32> {
        let kept = self.base.rows.range(second(wall)).map(|(key, copies)| (key.1, copies.copies));
        let changed = self.changes.range(second(wall)).map(|(key, one)| (key.1, one.now.copies));
        let mut copies: HashMap<Identity, u32> = kept.chain(changed).collect();
        copies.retain(|_, count| *count > 0);
        copies
    }

    /// Notes one more copy and says its ordinal.
    pub(super) fn take(&mut self, key: Key, bare: bool) -> u32 {
        let change = self.change(key);
        let ordinal = change.now.next_ordinal;
        change.now.copies += 1;
        change.now.next_ordinal += 1;
        change.taken_bare += u32::from(bare);
        ordinal
    }

    /// Takes a copy away, since it gained its result, and says which ordinal it had: they are
    /// revised in the order in which they were given out.
    pub(super) fn revise(&mut self, key: Key) -> u32 {
        let change = self.change(key);
        let ordinal = change.now.next_ordinal - change.now.copies;
        change.now.copies -= 1;
        ordinal
    }

    pub(super) fn mark_staged(&mut self, key: Key) {
        self.change(key).staged = true;
    }

    fn change(&mut self, key: Key) -> &mut Change {
        let base = self.base.rows.get(&key).copied().unwrap_or_default();
        self.changes.entry(key).or_insert(Change { now: base, staged: false, taken_bare: 0 })
    }

    /// Forgets changes strictly between two seconds, but for rows that were known before: a walk of
    /// a long history is not to hold all of it.
    pub(super) fn prune(&mut self, above: WallTime, below: WallTime) {
        let base = &self.base;
        self.changes
            .retain(|key, _| key.0 <= above || key.0 >= below || base.rows.contains_key(key));
    }

    /// The second of the `count`-th newest known copy; `None` where fewer are known.
    pub(super) fn nth_newest(&self, count: u64) -> Option<WallTime> {
        let mut changed = self.changes.iter().rev().peekable();
        let mut kept = self.base.rows.iter().rev().peekable();
        let mut seen = 0;
        loop {
            // A changed row stands in both: its change counts, its old self is passed over.
            let (key, copies) = match (changed.peek(), kept.peek()) {
                (Some((changed_key, _)), Some((kept_key, _))) if changed_key == kept_key => {
                    kept.next();
                    continue;
                }
                (Some((changed_key, change)), kept_row)
                    if kept_row.is_none_or(|(kept_key, _)| *changed_key > *kept_key) =>
                {
                    let next = (**changed_key, change.now.copies);
                    changed.next();
                    next
                }
                (_, Some((kept_key, copies))) => {
                    let next = (**kept_key, copies.copies);
                    kept.next();
                    next
                }
                _ => return None,
            };
            seen += u64::from(copies);
            if seen >= count {
                return Some(key.0);
            }
        }
    }

    /// The rows that are new or changed, at or after `floor`, but for those that sealing makes
    /// known.
    pub(super) fn changed_since(&self, floor: WallTime) -> Vec<Known> {
        self.changes
            .range((floor, Identity([0; 16]))..)
            .filter(|(_, change)| !change.staged)
            .map(|(&(wall, identity), change)| Known {
                wall,
                identity,
                copies: change.now.copies,
                next_ordinal: change.now.next_ordinal,
            })
            .collect()
    }
}

fn second(wall: WallTime) -> std::ops::RangeInclusive<Key> {
    (wall, Identity([0; 16]))..=(wall, Identity([0xff; 16]))
}
