//! The walk itself: which page next, and when it ends.
//!
//! How it crosses a second longer than a page is in `tall`, how far down it reads in `goal`, and what
//! it leaves behind in `close`.
//!
//! Deliberately absent: what a second's rows mean (`account`) and how a long second is counted
//! (`long`); this only moves through the log.

mod close;
mod goal;
mod tall;

use std::collections::HashSet;

use crate::{
    domain::entry::{Entry, Identity, WallTime},
    ports::{Cursor, Doubt, Page, Rejected, RepoKey},
};

use super::{
    Ask, Counts, FirstRun, Moment, Settings, Window,
    account::{Account, Found, Look, News, Tally},
    long::{Long, Resume, Shown, Turn},
    page::{self, Block},
    whole_is_due,
    window::Ledger,
};

/// After so many walks a second that could not be counted is given up.
pub(super) const MAX_DOUBTFUL_WALKS: u32 = 64;

/// Steps back at one place, each twice as long as the last, before a page is taken unjoined.
const MAX_STEPS_BACK: u32 = 12;

/// Pages in a row that bring the walk no further before it is ended.
const MAX_STALLED: u32 = 64;

/// Rejected rows kept of one walk; more are counted and not kept.
const MAX_REJECTED: usize = 1000;

/// A walk through the pages of one repository's log. Pure: it says what to ask for ([`Walk::ask`])
/// and absorbs the answers ([`Walk::absorb`]) until it asks for nothing more; then
/// [`Walk::finish`]. A walk that fails half-way is dropped ([`Walk::abandon`]): nothing of it lasts,
/// and staged chunks are to be cleared.
#[derive(Debug)]
pub struct Walk {
    settings: Settings,
    cursor: Cursor,
    moment: Moment,
    /// The whole overlap is walked.
    whole: bool,
    account: Account,
    /// Where the next page begins.
    offset: u64,
    /// How the next page is to be read.
    phase: Phase,
    /// Seconds newer than this one are done with.
    frontier: Option<WallTime>,
    /// Fewer rows than this are a short page.
    full_len: u32,
    /// What page 1 said.
    head: Option<(Identity, Option<u64>)>,
    /// The second of page 1's last row, when that page was full.
    first_page_end: Option<WallTime>,
    /// The newest row of page 1: what the log's clock had reached when the walk began.
    first_newest: Option<WallTime>,
    newest: Option<WallTime>,
    /// Rows between these seconds, both excluded, were taken in and forgotten again.
    pruned: Option<(WallTime, WallTime)>,
    doubts: Vec<Doubt>,
    rejected: Vec<Rejected>,
    rejected_seen: HashSet<String>,
    counts: Counts,
    steps_back: u32,
    stalled: u32,
    met_known: bool,
    staged: bool,
    /// Something is left that only another whole walk can tell.
    again: bool,
}

/// How the next page is to be read.
#[derive(Debug)]
enum Phase {
    /// It is page 1.
    First,
    /// It begins one row above the frontier's second.
    Joining,
    /// It begins where an unreadable page ended: there is no row to join by.
    Following,
    /// It looks past a short page whose total says that there is more.
    PastEnd { resume: u64, len: u32 },
    /// It looks again at a log that says it has rows and shows none.
    EmptyAgain,
    /// It is one of a second longer than a page.
    Long(Box<Long>),
    /// There is no next page.
    Ended {
        /// All seconds down to the goal were read.
        covered: bool,
    },
}

impl Walk {
    /// A walk that begins at `moment`. `window` is what was committed for `repo`.
    pub fn new(
        settings: Settings,
        repo: RepoKey,
        cursor: Cursor,
        window: Window,
        moment: Moment,
    ) -> Self {
        let baseline = cursor.baseline_at.is_none();
        let whole = baseline || whole_is_due(&settings, &cursor, moment.now);
        Self {
            settings,
            whole,
            account: Account::new(repo, Ledger::new(window)),
            offset: 0,
            phase: Phase::First,
            frontier: None,
            full_len: settings.page_limit,
            head: None,
            first_page_end: None,
            first_newest: None,
            newest: cursor.newest,
            pruned: None,
            doubts: Vec::new(),
            rejected: Vec::new(),
            rejected_seen: HashSet::new(),
            counts: Counts { baseline, ..Counts::default() },
            steps_back: 0,
            stalled: 0,
            met_known: false,
            staged: false,
            again: false,
            cursor,
            moment,
        }
    }

    /// The page that is wanted next; `None` when the walk has ended. Asking twice changes nothing,
    /// so a request that failed can be made again.
    pub fn ask(&self) -> Option<Ask> {
        match self.phase {
            Phase::Ended { .. } => None,
            _ => Some(Ask { offset: self.offset, limit: self.settings.page_limit }),
        }
    }

    /// Absorbs the answer to [`Walk::ask`].
    pub fn absorb(&mut self, mut page: Page) {
        self.counts.requests += 1;
        self.counts.rows += u64::from(page.len);
        self.keep_rejected(&mut page);
        match std::mem::replace(&mut self.phase, Phase::Joining) {
            Phase::First => self.first(page),
            Phase::Joining => self.joining(page),
            Phase::Following => self.forward(page, false),
            Phase::PastEnd { resume, len } => self.past_end(page, resume, len),
            Phase::EmptyAgain if page.len == 0 => self.end(true),
            Phase::EmptyAgain => self.first(page),
            Phase::Long(long) => self.long(long, page),
            Phase::Ended { covered } => self.end(covered),
        }
    }

    /// Fresh entries that are to be staged before the walk goes on, newest first, since they are
    /// more than [`Settings::max_fresh`].
    pub fn chunk(&mut self) -> Option<Vec<Entry>> {
        if self.account.fresh.len() <= self.settings.max_fresh {
            return None;
        }
        self.staged = true;
        self.account.mark_staged();
        self.prune();
        Some(std::mem::take(&mut self.account.fresh))
    }

    /// Gives the window back as it was, since the walk failed.
    pub fn abandon(self) -> Window {
        self.account.ledger.into_base()
    }

    /// Whether chunks were handed out.
    pub fn has_staged(&self) -> bool {
        self.staged
    }

    // Page by page.

    fn first(&mut self, page: Page) {
        self.head = Some((page::digest(&page), page.total));
        let walls = || page.rows.iter().map(|row| row.wall_time);
        self.first_newest = walls().max();
        if page.len >= self.settings.page_limit {
            self.first_page_end = walls().min();
        }
        // An empty log is a baseline, but not on the word of an answer that contradicts itself.
        let contradicts = page.len == 0 && page.total.is_some_and(|total| total > 0);
        if contradicts && self.counts.baseline {
            self.phase = Phase::EmptyAgain;
            return;
        }
        self.forward(page, false);
    }

    /// A page that is to begin with a row newer than the frontier.
    fn joining(&mut self, page: Page) {
        let joined = self.offset == 0
            || page
                .rows
                .first()
                .is_some_and(|row| self.frontier.is_none_or(|at| row.wall_time > at));
        if joined {
            self.steps_back = 0;
            return self.forward(page, false);
        }
        if self.steps_back >= MAX_STEPS_BACK {
            self.steps_back = 0;
            return self.forward(page, true);
        }
        // Rows have left above: what is between the last page and this one was never shown.
        let back = 4_u64 << self.steps_back;
        self.steps_back += 1;
        self.offset = self.offset.saturating_sub(back);
        self.look_at_parts(page::blocks(page.rows).0);
    }

    /// Reads a page and finds where the next begins.
    fn forward(&mut self, page: Page, unjoined: bool) {
        if unjoined {
            self.counts.unjoined += 1;
        }
        if page.len == 0 {
            return self.end(true);
        }
        let short = page.len < self.full_len;
        let more = page.total.is_some_and(|total| total > self.offset + u64::from(page.len));
        let unreadable = page.rejected.len();
        let (blocks, ordered) = page::blocks(page.rows);
        let Some(last) = blocks.last() else {
            return self.after_unreadable(page.len, short);
        };
        if !ordered {
            return self.disordered(blocks, page.len, short);
        }
        let (last_wall, last_start) = (last.wall, last.start);
        let last_rows = last.rows.len();
        self.newest = self.newest.max(blocks.first().map(|block| block.wall));
        // A last block that fills the page is a long second; its rows are looked at there.
        let is_long = !short
            && last_start <= 1
            && unreadable == 0
            && !self.is_below_goal(last_wall)
            && (self.offset == 0 || last_start == 1)
            && last_rows + last_start == page.len as usize;
        if is_long {
            return self.enter_long(blocks, page.len, page.total);
        }
        let settled = self.look_at_all(blocks, short);
        if short {
            return self.at_short_page(page.len, last_wall, last_start, more);
        }
        if self.is_below_goal(last_wall) || self.may_end_early(settled) {
            return self.end(true);
        }
        self.advance(page.len, last_wall, last_start);
    }

    /// Looks at the seconds of a page, each as whole as the page shows it. Says whether the oldest
    /// whole one, and what can be seen of the one below, held nothing new.
    fn look_at_all(&mut self, blocks: Vec<Block>, ends_log: bool) -> bool {
        let count = blocks.len();
        let (mut whole, mut partial) = (None, Found::default());
        for (index, block) in blocks.into_iter().enumerate() {
            let above = index > 0 || self.offset == 0;
            let below = index + 1 < count || ends_log;
            if above && below {
                whole = Some(self.look(block, Look::Whole));
            } else {
                let found = self.look(block, Look::Partial);
                if index > 0 {
                    partial = found;
                }
            }
        }
        whole.is_some_and(|found| found.met > 0 && found.is_settled()) && partial.is_settled()
    }

    fn advance(&mut self, len: u32, last_wall: WallTime, last_start: usize) {
        let start = self.offset + last_start as u64;
        let mut next = start.saturating_sub(1);
        self.phase = Phase::Joining;
        let lower = self.frontier.is_none_or(|at| last_wall < at);
        self.stalled = if lower { 0 } else { self.stalled + 1 };
        if !lower && self.frontier.is_some_and(|at| last_wall > at) {
            // So many rows came meanwhile that the page shows none below the frontier.
            next = self.offset + u64::from(len) - 1;
        }
        if next <= self.offset {
            // Unreadable rows hide where the second begins.
            next = self.offset + u64::from(len);
            self.counts.unjoined += 1;
            self.phase = Phase::Following;
        }
        if self.stalled > MAX_STALLED {
            return self.end(false);
        }
        self.lower_frontier(last_wall);
        self.offset = next;
    }

    /// A page without a row that could be understood.
    fn after_unreadable(&mut self, len: u32, short: bool) {
        if short {
            return self.end(true);
        }
        self.stalled += 1;
        if self.stalled > MAX_STALLED {
            return self.end(false);
        }
        self.offset += u64::from(len);
        self.counts.unjoined += 1;
        self.phase = Phase::Following;
    }

    /// Rows that are not newest first: each is taken for what it shows, and nothing is concluded
    /// from where it stands.
    fn disordered(&mut self, blocks: Vec<Block>, len: u32, short: bool) {
        self.counts.disordered += 1;
        let newest = blocks.first().map(|block| block.wall);
        self.newest = self.newest.max(newest);
        self.look_at_parts(blocks);
        if short || newest.is_some_and(|newest| self.is_below_goal(newest)) {
            return self.end(true);
        }
        self.offset += u64::from(len);
        self.phase = Phase::Following;
    }

    fn at_short_page(&mut self, len: u32, last_wall: WallTime, last_start: usize, more: bool) {
        if !more {
            return self.end(true);
        }
        // The total may lie, or the server may give fewer rows than were asked for.
        self.lower_frontier(last_wall);
        let resume = (self.offset + last_start as u64).saturating_sub(1);
        self.phase = Phase::PastEnd { resume, len };
        self.offset += u64::from(len);
    }

    fn past_end(&mut self, page: Page, resume: u64, short_len: u32) {
        if page.len == 0 || self.stalled > MAX_STALLED {
            return self.end(page.len == 0);
        }
        self.look_at_parts(page::blocks(page.rows).0);
        self.stalled += 1;
        // One row is no page: more likely a row came meanwhile.
        if short_len >= 2 {
            self.full_len = short_len.min(self.full_len);
        }
        self.offset = resume;
        self.phase = Phase::Joining;
    }

    fn lower_frontier(&mut self, wall: WallTime) {
        self.frontier = Some(self.frontier.map_or(wall, |at| at.min(wall)));
    }

    // Looking.

    /// Takes rows for what they show, where nothing can be said of what stands around them.
    fn look_at_parts(&mut self, blocks: Vec<Block>) {
        for block in blocks {
            self.look(block, Look::Partial);
        }
    }

    fn look(&mut self, block: Block, look: Look) -> Found {
        self.look_tally(block.wall, Tally::of(block.rows), look)
    }

    fn look_tally(&mut self, wall: WallTime, tally: Tally, look: Look) -> Found {
        if self.is_out_of_bounds(wall) {
            return Found::default();
        }
        let found = self.account.look(wall, tally, look, self.news(wall));
        self.met_known |= found.met > 0;
        self.again |= found.postponed > 0;
        found
    }

    fn news(&self, wall: WallTime) -> News {
        if self.cursor.doubts.iter().any(|doubt| doubt.wall == wall && doubt.history) {
            return News::History;
        }
        match self.settings.first_run {
            _ if !self.counts.baseline => News::Entries,
            FirstRun::All => News::Entries,
            FirstRun::Since(since) if wall >= since => News::Entries,
            FirstRun::Since(_) | FirstRun::Skip => News::History,
        }
    }

    /// Whether rows of a second are no longer looked at.
    fn is_out_of_bounds(&self, wall: WallTime) -> bool {
        if self.pruned.is_some_and(|(above, below)| wall > above && wall < below) {
            return true;
        }
        !self.counts.baseline && wall < self.cursor.floor
    }

    fn end(&mut self, covered: bool) {
        self.phase = Phase::Ended { covered };
    }

    fn prune(&mut self) {
        let (Some(frontier), Some(target)) = (self.frontier, self.target()) else { return };
        if self.counts.baseline && frontier < target {
            self.account.ledger.prune(frontier, target);
            self.pruned = Some((frontier, target));
        }
    }

    fn keep_rejected(&mut self, page: &mut Page) {
        for rejected in &page.rejected {
            if self.rejected.len() < MAX_REJECTED && self.rejected_seen.insert(rejected.raw.clone())
            {
                self.rejected.push(rejected.clone());
            }
        }
    }
}
