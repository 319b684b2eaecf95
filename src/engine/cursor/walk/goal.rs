//! How far down a walk reads: to its goal, or until it meets what it knows.

use crate::domain::entry::WallTime;

use super::{FirstRun, Walk};

impl Walk {
    /// Whether a second lies below all that this walk is to read.
    pub(super) fn is_below_goal(&self, wall: WallTime) -> bool {
        if !self.counts.baseline {
            return wall < self.cursor.floor;
        }
        let kept = self.target();
        match self.settings.first_run {
            FirstRun::All => false,
            FirstRun::Skip => kept.is_some_and(|kept| wall < kept),
            FirstRun::Since(since) => kept.is_some_and(|kept| wall < kept.min(since)),
        }
    }

    /// The floor that the whole walk leads to, as page 1 has it; `None` while page 1 was short.
    pub(super) fn target(&self) -> Option<WallTime> {
        let page_end = self.first_page_end?;
        Some(self.overlap_begin().map_or(page_end, |begin| begin.min(page_end)))
    }

    pub(super) fn overlap_begin(&self) -> Option<WallTime> {
        let newest = self.cursor.newest.max(self.first_newest)?.min(self.moment.wall);
        Some(newest.minus_seconds(self.settings.overlap_s()))
    }

    /// Whether a walk that need not read the whole overlap has met what it knows.
    pub(super) fn may_end_early(&mut self, settled: bool) -> bool {
        if self.whole || !settled {
            return false;
        }
        if self.total_says_more() {
            self.whole = true;
            return false;
        }
        true
    }

    /// Whether the total grew by more than was found: late rows stand deeper. It may lie, so it is
    /// believed now and then only.
    fn total_says_more(&self) -> bool {
        let (Some((_, Some(total))), Some(before)) = (self.head, self.cursor.total) else {
            return false;
        };
        let found = self.account.taken - self.account.revised;
        let spare = self.settings.overlap / 20;
        let rested = self
            .cursor
            .walked_at
            .is_none_or(|at| self.moment.now.duration_since(at).unsigned_abs() >= spare);
        rested && total > before.saturating_add(found)
    }
}
