//! What of a repository's log is new: a pure state machine that walks its pages.
//!
//! # The guarantee
//!
//! Every row that the log ever shows becomes **exactly one entry**, when
//!
//! 1. it comes **within the overlap**: when it appears, its second is no more than `overlap` older
//!    than the log's clock (and a result is gained no later than that);
//! 2. it is **there when it is looked for**: it does not leave the log before the first walk of the
//!    whole overlap that begins after it appeared has read its second;
//! 3. the **pages can be joined**: each answer is one consistent look at the log, newest first;
//!    between two requests rows do not leave it faster, above the place that is read, than stepping
//!    back can follow; and while a second of more rows than a page is read, it loses none, and no
//!    row leaves above it just as another comes there, unless the totals tell of the loss;
//! 4. **our clock and the log's newest row are not both ahead** of the log's own clock.
//!
//! What no reader of such a log can tell: of byte-identical rows in one second, one that leaves
//! just as another comes; whether a row gained its result or left while its finished double came
//! (the entries' final rows are the same either way); and, in a second of more rows than a page
//! whose order changes with every request, more identical rows than one page shows at once, or that
//! one of them left.
//!
//! # How
//!
//! - Rows have no id, so what is known is kept as a **multiset by second**: how many copies of a
//!   row were taken in, and how many ordinals were given out. Copies fall only when a row gains its
//!   result; a row that vanishes was taken in all the same.
//! - A page is one consistent look. A second that is **bounded in one page**, above by the log's top
//!   or a newer row, below by an older row or the log's end, has its whole multiset there. The next
//!   page begins one row above the last, unbounded second, which both joins the pages and bounds that
//!   second in turn. Where it does not begin with a newer row, rows have left above: step back, ask
//!   again.
//! - What a page shows of an **unbounded** second is a lower bound, and lower bounds are facts:
//!   copies beyond the known ones are new. So every row that was seen is taken, bounded or not; only
//!   what is ambiguous waits (a finished row whose unfinished double may lie on another page).
//! - A **second longer than a page** is read in passes ([`long`]), until single pages account for as
//!   many rows as it has positions. What they do not account for, identical rows that no page shows
//!   together, is doubtful: never believed on one walk, but when passes of several walks read the
//!   very same sequence so often that chance is out of the question.
//! - A poll costs **one request** when page 1 and the total are as they were ([`unchanged`]). When
//!   they are not, the walk ends at the first whole second that holds nothing new. The **whole
//!   overlap** is walked at first contact, every half overlap, and while a second is in doubt; only
//!   such a walk moves the floor, to `min(newest row, our clock when it began) - overlap`, and never
//!   above a page of kept rows or a second in doubt: a row that comes within the overlap after one
//!   such walk began is still above the floor of the next.
//!
//! Deliberately absent: clocks, IO, the store, and every decision about a row but whether it is new.

mod account;
mod long;
mod page;
mod walk;
mod window;

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    domain::entry::{Entry, WallTime},
    ports::{Cursor, CursorMove, Doubt, Page, Rejected},
};

pub use walk::Walk;
pub use window::Window;

/// How a repository is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How late a row may come.
    pub overlap: Duration,
    /// The most rows that a page can hold; at least 2.
    pub page_limit: u32,
    /// What becomes of the rows that are there at first contact.
    pub first_run: FirstRun,
    /// Fresh rows kept in memory; beyond them they are to be staged ([`Walk::chunk`]).
    pub max_fresh: usize,
}

impl Settings {
    /// The overlap in the log's own unit.
    fn overlap_s(&self) -> i64 {
        i64::try_from(self.overlap.as_secs()).unwrap_or(i64::MAX)
    }
}

/// What becomes of the rows that are there at first contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstRun {
    /// They are history: known from then on, and no entries.
    Skip,
    /// All become entries.
    All,
    /// Those of this second and later become entries.
    Since(WallTime),
}

/// The instant at which a walk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// On our clock.
    pub now: Timestamp,
    /// The same on the log's clock, as our clock and the configured zone have it.
    pub wall: WallTime,
}

/// The next page that a walk wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Rows to skip, from the newest.
    pub offset: u64,
    /// Rows wanted.
    pub limit: u32,
}

/// What a walk came to, when it has ended.
#[derive(Debug, Clone)]
pub struct Closed {
    /// Fresh entries, oldest first. Those that were handed out by [`Walk::chunk`] are not among
    /// them; where there were any, [`CursorMove::seal`] is set and these are to be staged too.
    pub fresh: Vec<Entry>,
    /// The cursor's move.
    pub cursor: CursorMove,
    /// Rows that could not be understood, each text once.
    pub rejected: Vec<Rejected>,
    /// What was seen and made of it.
    pub counts: Counts,
}

/// What a walk saw and made of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pages absorbed.
    pub requests: u32,
    /// Rows seen, repeats among them.
    pub rows: u64,
    /// Fresh entries, staged ones and revisions among them.
    pub fresh: u64,
    /// Entries that gained their result.
    pub revised: u64,
    /// Rows that are history: known from now on, and no entries.
    pub history: u64,
    /// It was the first contact.
    pub baseline: bool,
    /// The whole overlap was walked.
    pub whole: bool,
    /// No known row was met although some were known: rows may have been missed.
    pub gap: bool,
    /// Seconds that could not be counted yet.
    pub doubts: u32,
    /// Seconds that were given up in this walk: copies of identical rows may have been missed.
    pub given_up: u32,
    /// Pages that could not be joined.
    pub unjoined: u32,
    /// Pages whose rows were not newest first.
    pub disordered: u32,
}

/// Whether the poll ends here: the first page and the total are as the last walk left them, and
/// nothing else is due.
pub fn unchanged(settings: &Settings, cursor: &Cursor, now: Timestamp, first: &Page) -> bool {
    cursor.baseline_at.is_some()
        && !cursor.sealed
        && !whole_is_due(settings, cursor, now)
        && cursor.total == first.total
        && cursor.head == Some(page::digest(first))
}

/// Whether a second still waits for a walk that agrees: it is neither believed nor given up. The
/// others are remembered until the floor has passed them, so as not to be doubted afresh.
pub fn waits(doubt: &Doubt) -> bool {
    doubt.bits < long::BELIEVED_BITS && doubt.walks < walk::MAX_DOUBTFUL_WALKS
}

/// Whether the whole overlap is to be walked.
fn whole_is_due(settings: &Settings, cursor: &Cursor, now: Timestamp) -> bool {
    if cursor.doubts.iter().any(waits) {
        return true;
    }
    // A clock that was set back would else put the next whole walk off by as much.
    cursor.walked_at.is_none_or(|at| at > now || now.duration_since(at) >= half(settings.overlap))
}

fn half(overlap: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(overlap / 2).unwrap_or(jiff::SignedDuration::MAX)
}
