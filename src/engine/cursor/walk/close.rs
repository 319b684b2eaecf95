//! The end of a walk: where the cursor stands then, and from where on rows are still looked for.
//!
//! Deliberately absent: reading pages.

use crate::{
    domain::entry::WallTime,
    engine::cursor::{Closed, FirstRun, Window, waits},
    ports::{Cursor, CursorMove, Doubt},
};

use super::{Phase, Walk};

impl Walk {
    /// Ends the walk: what was fresh, and where the cursor stands now. The window comes back as it
    /// was; where nothing was sealed, [`Window::apply`] brings it up to the committed move.
    pub fn finish(mut self) -> (Closed, Window) {
        let covered = matches!(self.phase, Phase::Ended { covered: true });
        let proven = covered && self.counts.unjoined == 0 && self.counts.disordered == 0;
        let mut counts = self.counts;
        counts.whole = self.whole;
        counts.fresh = self.account.taken;
        counts.revised = self.account.revised;
        counts.history = self.account.history;
        counts.gap = counts.rows > 0 && !self.met_known && !self.account.ledger.base_is_empty();
        let waiting = self.doubts.iter().filter(|doubt| waits(doubt)).count();
        counts.doubts = u32::try_from(waiting).unwrap_or(u32::MAX);
        let mut floor = self.new_floor(proven);
        if counts.baseline && !covered && self.settings.first_run != FirstRun::All {
            // History that this walk did not reach is not to become news when another does.
            let reached = self.frontier.unwrap_or(floor);
            floor = floor.max(reached.min(self.moment.wall));
        }
        let cursor = self.new_cursor(floor);
        if self.staged {
            self.account.mark_staged();
        }
        let mut fresh = std::mem::take(&mut self.account.fresh);
        if !self.staged {
            fresh.reverse();
            fresh.sort_by_key(|entry| entry.row.wall_time);
        }
        let moved = CursorMove {
            repo: self.account.repo.clone(),
            cursor,
            known: self.account.ledger.changed_since(floor),
            forget_before: floor,
            seal: self.staged,
        };
        let closed = Closed { fresh, cursor: moved, rejected: self.rejected, counts };
        (closed, self.account.ledger.into_base())
    }

    fn new_floor(&self, proven: bool) -> WallTime {
        let old = if self.counts.baseline { WallTime::MIN } else { self.cursor.floor };
        if !self.whole {
            return old;
        }
        let page = u64::from(self.settings.page_limit);
        let (Some(begin), Some(kept)) =
            (self.overlap_begin(), self.account.ledger.nth_newest(page))
        else {
            return old;
        };
        // What was not read for certain is kept longer, but not for ever.
        let begin = if proven { begin } else { begin.minus_seconds(self.settings.overlap_s()) };
        let doubt = self.doubts.iter().filter(|doubt| waits(doubt)).map(|doubt| doubt.wall);
        let mut floor = begin.min(kept);
        if let Some(doubt) = doubt.min() {
            floor = floor.min(doubt);
        }
        floor.max(old)
    }

    fn new_cursor(&self, floor: WallTime) -> Cursor {
        let old = &self.cursor;
        // A walk that ended early read the upper seconds only: older doubts stay as they are.
        let mut doubts = self.doubts.clone();
        if !self.whole {
            let unread = |doubt: &&Doubt| doubts.iter().all(|other| other.wall != doubt.wall);
            let kept: Vec<Doubt> = old.doubts.iter().filter(unread).copied().collect();
            doubts.extend(kept);
        }
        doubts.retain(|doubt| doubt.wall >= floor);
        Cursor {
            baseline_at: old.baseline_at.or(Some(self.moment.now)),
            floor,
            newest: self.newest,
            head: self.head.map(|(digest, _)| digest),
            total: self.head.and_then(|(_, total)| total),
            walked_at: match (self.again, self.whole) {
                (true, _) => None,
                (false, true) => Some(self.moment.now),
                (false, false) => old.walked_at,
            },
            doubts,
            sealed: self.staged,
            since: None,
            gone_at: None,
        }
    }
}
