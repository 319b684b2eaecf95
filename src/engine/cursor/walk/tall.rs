//! A walk through a second that has more rows than a page shows.
//!
//! [`Long`] counts such a second and says where to look next; here the walk does what it says, and
//! leaves in doubt what could not be counted.

use crate::ports::Page;

use super::{Block, Long, Look, MAX_DOUBTFUL_WALKS, News, Phase, Resume, Shown, Turn, Walk, page};

/// What a page says beside its rows.
#[derive(Clone, Copy)]
struct Ending {
    len: u32,
    /// It ended the log.
    short: bool,
    total: Option<u64>,
}

impl Walk {
    pub(super) fn enter_long(&mut self, mut blocks: Vec<Block>, len: u32, total: Option<u64>) {
        let Some(last) = blocks.pop() else { return self.end(false) };
        let wall = last.wall;
        let old = self.cursor.doubts.iter().find(|doubt| doubt.wall == wall).copied();
        for (index, block) in blocks.into_iter().enumerate() {
            let look = if index > 0 || self.offset == 0 { Look::Whole } else { Look::Partial };
            self.look(block, look);
        }
        let long = Box::new(Long::new(wall, self.offset, old));
        self.lower_frontier(wall);
        self.long_page(long, vec![last], Ending { len, short: false, total });
    }

    pub(super) fn long(&mut self, long: Box<Long>, page: Page) {
        if page.len == 0 && self.offset == 0 {
            // Every row has left the log.
            return self.end(true);
        }
        let short = page.len < self.full_len;
        let readable = page.rejected.is_empty();
        let (blocks, ordered) = page::blocks(page.rows);
        if !ordered || !readable {
            self.counts.disordered += u32::from(!ordered);
            let newest = blocks.first().map(|block| block.wall);
            self.look_at_parts(blocks);
            // Positions can't be told here: go on below, and leave the second in doubt.
            self.leave_in_doubt(&long);
            if short || newest.is_none_or(|newest| self.is_below_goal(newest)) {
                return self.end(true);
            }
            self.offset += u64::from(page.len);
            self.phase = Phase::Following;
            return;
        }
        self.long_page(long, blocks, Ending { len: page.len, short, total: page.total });
    }

    /// Hands the blocks of a page to the long second, and does what it says.
    fn long_page(&mut self, mut long: Box<Long>, blocks: Vec<Block>, ending: Ending) {
        let Ending { len, short, total } = ending;
        let skipped = blocks.first().map_or(0, |block| block.start);
        let wall = long.wall();
        let mut span = 0;
        let mut above = skipped;
        let mut below = None;
        let count = blocks.len();
        for (index, block) in blocks.into_iter().enumerate() {
            if block.wall == wall {
                span = block.rows.len();
                let tally = long.note(block.rows, self.offset + block.start as u64);
                self.look_tally(wall, tally, Look::Partial);
                continue;
            }
            if block.wall > wall {
                above = block.start + block.rows.len();
            } else {
                below = Some((block.wall, block.start));
            }
            let whole = (index > 0 || self.offset == 0) && (index + 1 < count || short);
            self.look(block, if whole { Look::Whole } else { Look::Partial });
        }
        let seen = Shown {
            offset: self.offset,
            len,
            short,
            above: above as u64,
            span: span as u64,
            below,
            total,
        };
        let turn = long.turn(&seen, || self.account.ledger.copies_in(wall));
        self.take_turn(long, turn);
    }

    fn take_turn(&mut self, long: Box<Long>, turn: Turn) {
        match turn {
            Turn::Ask(offset) => {
                self.offset = offset;
                self.phase = Phase::Long(long);
            }
            Turn::Counted(resume) => {
                if let Some(tally) = long.whole() {
                    self.look_tally(long.wall(), tally, Look::Whole);
                }
                self.doubts.extend(long.belief());
                self.resume(resume);
            }
            Turn::Doubtful(resume) => {
                self.leave_in_doubt(&long);
                self.resume(resume);
            }
            Turn::Lost => {
                self.leave_in_doubt(&long);
                self.end(false);
            }
        }
    }

    fn leave_in_doubt(&mut self, long: &Long) {
        let history =
            self.counts.baseline && self.news(long.wall()) == News::History || long.was_history();
        let doubt = long.doubt(history);
        if doubt.walks == MAX_DOUBTFUL_WALKS {
            self.counts.given_up += 1;
        }
        if self.doubts.iter().all(|other| other.wall != doubt.wall) {
            self.doubts.push(doubt);
        }
    }

    /// Goes on below a long second.
    fn resume(&mut self, resume: Resume) {
        match resume {
            Resume::End => self.end(true),
            Resume::At { offset, frontier } => {
                self.frontier = Some(frontier);
                if self.is_below_goal(frontier) {
                    return self.end(true);
                }
                self.offset = offset;
                self.phase = Phase::Joining;
                self.stalled = 0;
            }
        }
    }
}
