//! A second of more rows than one page shows, read in passes.
//!
//! A pass reads the second from the row above it to the row below it; the positions of these two
//! say how many rows it has. Rows that come above meanwhile make that number too high, which costs
//! another pass; rows that leave make it too low, so a pass is looked over by asking for its first
//! page again, unless its overlapping rows prove that nothing moved. A total that fell meanwhile
//! says that rows left all the same, and others came in their place.
//!
//! What is certain comes from single pages. Rows are counted by **family**, a row and its later
//! self with a result, since a family's number stays as it is when a result is gained: the most of
//! a family that one page showed is a lower bound of it at any time. When the lower bounds add up
//! to the number of rows, every family is known exactly, and the page that showed most of it
//! showed all of it.
//!
//! What they leave open are identical rows that no page showed together. Where the registry keeps
//! its order, passes read the same sequence every time, and the sequence is the second; where it
//! shuffles, they do not. Each pass that agrees is worth a few bits, the first of a walk too when
//! it agrees with the walk before; only enough bits from more than one walk are believed.
//!
//! Deliberately absent: what is known, and requests.

use std::collections::HashMap;

use crate::{
    domain::entry::{Identity, Row, WallTime},
    ports::Doubt,
};

use super::{
    account::Tally,
    page::{SeenRow, sequence_digest},
};

/// Agreement worth this many bits is believed.
pub(super) const BELIEVED_BITS: u32 = 32;

/// What an agreeing pass over diverse rows is worth. Less than chance would say, since a registry
/// of several replicas shows one of a few orders.
const DIVERSE_BITS: u32 = 4;

/// What one over nearly uniform rows is worth: a lone other row escapes a shuffled pass with a
/// likelihood of at most `1/e`.
const UNIFORM_BITS: u32 = 1;

/// Requests that one walk spends on a second before it leaves it in doubt, short passes.
const MIN_BUDGET: u32 = 60;

/// Rows of a second from which on overlapping rows do not agree by chance.
const ANCHORED_ROWS: usize = 64;

/// Pages in one pass before the answers are taken for nonsense.
const MAX_PASS: u32 = 2_000;

/// Passes spoiled in a row before the walk gives way.
const MAX_SPOILED: u32 = 64;

/// Passes of a walk that are made again because the total fell meanwhile; one that falls time and
/// again says nothing of the rows.
const MAX_FALLEN: u32 = 3;

/// Rows kept to make entries of; a second of more distinct rows stays in doubt where it must.
const MAX_KEPT: usize = 20_000;

/// A page, as the second sees it: rows above it, its own, and where the page's last second begins
/// when that lies below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) offset: u64,
    pub(super) len: u32,
    /// The page ended the log.
    pub(super) short: bool,
    pub(super) above: u64,
    pub(super) span: u64,
    pub(super) below: Option<(WallTime, usize)>,
    /// How many rows the log is said to have.
    pub(super) total: Option<u64>,
}

/// Where the walk goes on below the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// The log ends there.
    End,
    /// With the page at that offset; seconds newer than the frontier are done with.
    At { offset: u64, frontier: WallTime },
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ask for the page at this offset.
    Ask(u64),
    /// The second is counted.
    Counted(Resume),
    /// It could not be counted on this walk.
    Doubtful(Resume),
    /// Its end could not be found.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Pages of a pass.
    Pass,
    /// The pass's first page again.
    Verify,
}

/// The most of a family that one page showed.
#[derive(Debug, Default)]
struct Family {
    total: u32,
    rows: Vec<(Identity, u32)>,
}

/// The most of a row that one page showed.
#[derive(Debug, Default)]
struct Most {
    copies: u32,
    /// It has no result yet.
    bare: bool,
}

/// A long second while it is being read.
#[derive(Debug)]
pub(super) struct Long {
    wall: WallTime,
    old: Option<Doubt>,
    stage: Stage,
    /// Where a pass begins.
    top: u64,
    /// The second's first position, as the pass's first page had it.
    first: Option<u64>,
    /// The most rows that the log was said to have during the pass.
    total: Option<u64>,
    /// It was said to have fewer after that.
    shrank: bool,
    /// Passes that were not believed for that.
    fallen: u32,
    /// How many positions the pass found, and where the walk goes on.
    found: Option<(u64, Resume)>,
    /// The pass's rows by position.
    sequence: Vec<Identity>,
    /// The overlapping rows of the pass's pages agreed.
    steady: bool,
    /// Where in the sequence they stand.
    anchors: Vec<usize>,
    families: HashMap<Identity, Family>,
    family_rows: u64,
    most: HashMap<Identity, Most>,
    kept: HashMap<Identity, Row>,
    /// The digest of the walk's first whole pass.
    reading: Option<Identity>,
    bits: u32,
    /// Two passes of this walk did not agree.
    differs: bool,
    believed: bool,
    /// The rows of the second, or none where just the known ones are there; set at a pass's end.
    counted: Option<HashMap<Identity, u32>>,
    requests: u32,
    passes: u32,
    pass_requests: u32,
    spoiled: u32,
}

impl Long {
    /// A second that the page at `top` begins and does not end.
    pub(super) fn new(wall: WallTime, top: u64, old: Option<Doubt>) -> Self {
        Self {
            wall,
            old,
            stage: Stage::Pass,
            top,
            first: None,
            total: None,
            shrank: false,
            fallen: 0,
            found: None,
            sequence: Vec::new(),
            steady: true,
            anchors: Vec::new(),
            families: HashMap::new(),
            family_rows: 0,
            most: HashMap::new(),
            kept: HashMap::new(),
            reading: None,
            bits: 0,
            differs: false,
            believed: false,
            counted: None,
            requests: 0,
            passes: 0,
            pass_requests: 0,
            spoiled: 0,
        }
    }

    pub(super) fn wall(&self) -> WallTime {
        self.wall
    }

    /// Whether the second was met at first contact.
    pub(super) fn was_history(&self) -> bool {
        self.old.is_some_and(|old| old.history)
    }

    /// Notes the second's rows in a page, the first of which stands at `position`, and counts them.
    pub(super) fn note(&mut self, rows: Vec<SeenRow>, position: u64) -> Tally {
        self.note_sequence(&rows, position);
        let mut page: HashMap<Identity, HashMap<Identity, u32>> = HashMap::new();
        for seen in &rows {
            let family = seen.row.identity_without_result();
            *page.entry(family).or_default().entry(seen.identity).or_default() += 1;
            if self.kept.len() < MAX_KEPT && !self.kept.contains_key(&seen.identity) {
                self.kept.insert(seen.identity, seen.row.clone());
            }
        }
        for (family, rows) in page {
            for (identity, copies) in &rows {
                let most = self.most.entry(*identity).or_default();
                most.copies = most.copies.max(*copies);
                most.bare = *identity == family;
            }
            let total = rows.values().sum();
            let best = self.families.entry(family).or_default();
            if total >= best.total {
                self.family_rows += u64::from(total - best.total);
                *best = Family { total, rows: rows.into_iter().collect() };
            }
        }
        Tally::of(rows)
    }

    fn note_sequence(&mut self, rows: &[SeenRow], position: u64) {
        let Some(first) = self.first else {
            self.sequence = rows.iter().map(|seen| seen.identity).collect();
            return;
        };
        let Some(at) = position.checked_sub(first).and_then(|at| usize::try_from(at).ok()) else {
            self.steady = false;
            return;
        };
        for (place, seen) in (at..).zip(rows) {
            match self.sequence.get(place) {
                Some(known) if *known == seen.identity => self.anchors.push(place),
                None if self.stage == Stage::Pass && place == self.sequence.len() => {
                    self.sequence.push(seen.identity);
                }
                _ => self.steady = false,
            }
        }
    }

    /// What is to be done after a page; `known` gives the copies that are known of the second now.
    pub(super) fn turn(
        &mut self,
        shown: &Shown,
        known: impl FnOnce() -> HashMap<Identity, u32>,
    ) -> Turn {
        self.requests += 1;
        self.pass_requests += 1;
        self.shrank |= shown.total.is_some() && shown.total < self.total;
        self.total = self.total.max(shown.total);
        match self.stage {
            Stage::Pass => self.pass(shown, known),
            Stage::Verify => self.verify(shown),
        }
    }

    fn pass(&mut self, shown: &Shown, known: impl FnOnce() -> HashMap<Identity, u32>) -> Turn {
        let bounded_above = shown.above > 0 || shown.offset == 0;
        let bounded_below = shown.below.is_some() || shown.short;
        if shown.span == 0 && bounded_above && bounded_below {
            // All of it left the log.
            return Turn::Counted(resume_below(shown));
        }
        if shown.span == 0 {
            // So many rows came, or left, above that the page missed the second.
            return self.spoil(shown, (!bounded_below).then_some(shown.offset));
        }
        if self.first.is_none() || shown.above > 0 {
            if !bounded_above {
                return self.spoil(shown, None);
            }
            if self.first.is_some() {
                self.sequence.clear();
                self.anchors.clear();
                self.steady = false;
            }
            self.first = Some(shown.offset + shown.above);
        }
        if !bounded_below {
            if self.pass_requests >= MAX_PASS {
                return Turn::Lost;
            }
            // Every other pass cuts its pages elsewhere: identical rows apart in one are together in
            // the other, and an order that changes in step with the requests falls out of it.
            let shifted = self.passes % 2 == 1 && self.pass_requests == 1;
            let step = if shifted { shown.len / 2 } else { shown.len - 1 };
            return Turn::Ask(shown.offset + u64::from(step.max(1)));
        }
        let end = shown.offset + shown.above + shown.span;
        let rows = end - self.first.unwrap_or(end);
        let resume = resume_below(shown);
        self.found = Some((rows, resume));
        // What later pages show may have come since the end was seen.
        self.counted = self.count(rows, known);
        if self.counted.is_some() && self.is_anchored() {
            return Turn::Counted(resume);
        }
        self.stage = Stage::Verify;
        Turn::Ask(self.top)
    }

    /// Whether a pass over many rows proves by itself that nothing moved while it was made: each of
    /// its pages began with the row, one of its kind, that the last one ended with.
    fn is_anchored(&self) -> bool {
        if !self.steady || self.anchors.is_empty() || self.sequence.len() < ANCHORED_ROWS {
            return false;
        }
        let counts = counts(&self.sequence);
        self.anchors.iter().all(|place| counts.get(&self.sequence[*place]) == Some(&1))
    }

    /// What the second holds, where what was seen until now accounts for that many rows.
    fn count(
        &self,
        rows: u64,
        known: impl FnOnce() -> HashMap<Identity, u32>,
    ) -> Option<HashMap<Identity, u32>> {
        if self.family_rows == rows {
            let families = self.families.values();
            return Some(families.flat_map(|family| family.rows.iter().copied()).collect());
        }
        self.shows_just(rows, known).then(HashMap::new)
    }

    /// Whether the known copies are all that the second has: as many as the pass found positions,
    /// and each of them still there. A row that is not known would need a position of its own.
    fn shows_just(&self, rows: u64, known: impl FnOnce() -> HashMap<Identity, u32>) -> bool {
        let known = known();
        if known.values().copied().map(u64::from).sum::<u64>() != rows {
            return false;
        }
        // A finished row stays as it is; an unfinished one is to be seen as often as it is known.
        let stands = |(identity, copies): (&Identity, &u32)| {
            self.most.get(identity).is_some_and(|most| !most.bare || most.copies >= *copies)
        };
        if self.steady {
            // Where the order holds, the sequence tells more: of two pairs of twins, that one of
            // each left and came.
            return self.sequence.len() as u64 == rows && counts(&self.sequence) == known;
        }
        known.iter().all(stands)
    }

    /// Looks whether the pass's first page still stands where it stood.
    fn verify(&mut self, shown: &Shown) -> Turn {
        let Some((rows, resume)) = self.found else { return Turn::Lost };
        let bounded_above = shown.span > 0 && (shown.above > 0 || shown.offset == 0);
        let first = bounded_above.then_some(shown.offset + shown.above);
        // Rows that came above made the number too high, if anything; rows that left made it too low.
        let lost = self.shrank && self.fallen < MAX_FALLEN;
        self.fallen += u32::from(lost);
        let certain = first.is_some() && !lost;
        if certain && first >= self.first && self.counted.is_some() {
            return Turn::Counted(resume);
        }
        if certain && first == self.first {
            self.spoiled = 0;
            self.weigh(rows);
            if self.believed {
                self.counted = Some(counts(&self.sequence));
                return Turn::Counted(resume);
            }
        }
        match first {
            Some(first) => self.top = first.saturating_sub(1),
            None => self.top = self.top.saturating_sub(u64::from(shown.len / 2).max(1)),
        }
        if self.requests >= self.budget() {
            return Turn::Doubtful(resume);
        }
        self.restart()
    }

    /// Weighs a pass whose positions are certain.
    fn weigh(&mut self, rows: u64) {
        if !self.steady || self.sequence.len() as u64 != rows {
            self.differs = true;
            return;
        }
        let digest = sequence_digest(&self.sequence);
        let bits = worth(&self.sequence);
        let before = self.old.filter(|old| old.reading == Some(digest));
        match self.reading {
            None => {
                self.reading = Some(digest);
                self.bits = if before.is_some() { bits } else { 0 };
            }
            Some(reading) if reading == digest => self.bits += bits,
            Some(_) => self.differs = true,
        }
        let bits = before.map_or(0, |old| old.bits + self.bits);
        self.believed = !self.differs && bits >= BELIEVED_BITS;
    }

    fn spoil(&mut self, shown: &Shown, forward: Option<u64>) -> Turn {
        self.spoiled += 1;
        if self.spoiled > MAX_SPOILED || self.requests >= self.budget() {
            return Turn::Lost;
        }
        self.top = match forward {
            Some(offset) => offset + u64::from(shown.len).saturating_sub(1),
            None => self.top.saturating_sub(u64::from(shown.len / 2).max(1)),
        };
        self.restart()
    }

    /// Requests that may be spent on the second before it is left in doubt.
    fn budget(&self) -> u32 {
        MIN_BUDGET.max(self.pass_requests.saturating_mul(4))
    }

    fn restart(&mut self) -> Turn {
        self.passes += 1;
        self.stage = Stage::Pass;
        self.first = None;
        self.total = None;
        self.shrank = false;
        self.sequence.clear();
        self.anchors.clear();
        self.counted = None;
        self.steady = true;
        self.pass_requests = 0;
        Turn::Ask(self.top)
    }

    /// The whole second, where it was counted row by row.
    pub(super) fn whole(&self) -> Option<Tally> {
        let counts = self.counted.as_ref().filter(|counts| !counts.is_empty())?;
        // A map has no order of its own; the same rows are to lead to the same entries every time.
        let mut ordered: Vec<_> = counts.iter().map(|(row, count)| (*row, *count)).collect();
        ordered.sort_unstable_by_key(|(identity, _)| *identity);
        let kept = |(identity, count)| Some((identity, count, self.kept.get(&identity)?.clone()));
        Some(Tally::from_counts(ordered.into_iter().filter_map(kept).collect()))
    }

    /// What is to be remembered of it for the next walk.
    pub(super) fn doubt(&self, history: bool) -> Doubt {
        let old = self.old.unwrap_or(Doubt {
            wall: self.wall,
            reading: None,
            bits: 0,
            walks: 0,
            history,
        });
        let (reading, bits) = match self.reading {
            _ if self.differs => (None, 0),
            None => (old.reading, old.bits),
            Some(_) if self.reading == old.reading => (old.reading, old.bits + self.bits),
            Some(_) => (self.reading, self.bits),
        };
        // However sure, one walk alone is not believed.
        let bits = bits.min(BELIEVED_BITS - 1);
        Doubt { reading, bits, walks: old.walks.saturating_add(1), history, ..old }
    }

    /// What is to be remembered of a second that was counted by belief, so that the next walk needs
    /// one pass and no more.
    pub(super) fn belief(&self) -> Option<Doubt> {
        let old = self.old.filter(|_| self.believed)?;
        Some(Doubt { bits: BELIEVED_BITS, walks: 0, ..old })
    }
}

/// Where the walk goes on after a page that shows what lies below the second.
fn resume_below(shown: &Shown) -> Resume {
    match shown.below {
        Some((frontier, start)) if !shown.short => {
            Resume::At { offset: (shown.offset + start as u64).saturating_sub(1), frontier }
        }
        _ => Resume::End,
    }
}

/// What it is worth that a pass reads a sequence again.
fn worth(sequence: &[Identity]) -> u32 {
    let most = counts(sequence).into_values().max().unwrap_or(0);
    if sequence.len() - most as usize >= 3 { DIVERSE_BITS } else { UNIFORM_BITS }
}

fn counts(sequence: &[Identity]) -> HashMap<Identity, u32> {
    let mut counts = HashMap::new();
    sequence.iter().for_each(|row| *counts.entry(*row).or_default() += 1);
    counts
}
