//! A registry's log that moves while it is read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use triggerbell::{
    domain::entry::{Identity, Row, WallTime},
    engine::cursor::Ask,
    ports::Page,
};

/// How the rows of one second are ordered in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The same way every time, newer rows first.
    Steady,
    /// Another way in every answer.
    Shuffled,
    /// One way and the other way round in turns.
    Alternating,
}

/// What the answers say of the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    Honest,
    Missing,
    /// A number that has nothing to do with the rows, another one every time.
    Lying,
    /// Always the same number.
    Frozen,
}

/// A row of the log, from its publication on.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) wall: i64,
    pub(super) kind: u32,
    pub(super) result: Option<i64>,
    /// It gained its result after it was published.
    pub(super) revised: bool,
    pub(super) gone: bool,
    /// Whether it must become an entry.
    pub(super) owed: bool,
    /// Whether it must not, unless it gains its result: it was there at first contact.
    pub(super) history: bool,
}

impl Published {
    pub(super) fn row(&self) -> Row {
        row(self.wall, self.kind, self.result)
    }

    pub(super) fn identity(&self) -> Identity {
        self.row().identity()
    }

    pub(super) fn family(&self) -> Identity {
        self.row().identity_without_result()
    }
}

pub(super) fn row(wall: i64, kind: u32, result: Option<i64>) -> Row {
    let time = Timestamp::from_second(wall).unwrap();
    let mut row = Row::at(WallTime(wall), time);
    row.service = Some(format!("service-{kind}").into());
    row.return_code = result;
    row
}

/// The log and its moods.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) rows: Vec<Published>,
    pub(super) now: i64,
    order: Order,
    total: Total,
    random: fastrand::Rng,
    answers: u64,
    next_kind: u32,
    /// A walk is under way.
    pub(super) is_read: bool,
    pub(super) limit: u32,
}

impl Registry {
    pub(super) fn new(order: Order, total: Total, limit: u32, seed: u64, now: i64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            rows: Vec::new(),
            now,
            order,
            total,
            random,
            answers: 0,
            next_kind: 1000,
            is_read: false,
            limit,
        }
    }

    /// Publishes a row. Where the order changes, no more of a kind stand in a second than some page
    /// will show together, as the guarantee wants it.
    pub(super) fn publish(&mut self, wall: i64, kind: u32, result: Option<i64>, owed: bool) {
        let (mut kind, mut wall) = (kind, wall);
        let mut in_second = self.in_second(wall);
        if self.order == Order::Shuffled && in_second >= 4 * self.limit as usize {
            // Else some twins would not come together in any page for hundreds of requests.
            self.now += i64::from(wall == self.now);
            wall = self.now;
            in_second = self.in_second(wall);
        }
        let twins =
            self.rows.iter().filter(|row| row.wall == wall && row.kind == kind && !row.gone);
        let most = match self.order {
            Order::Steady => usize::MAX,
            // An unfinished twin has to be seen beside its like at every count.
            Order::Shuffled if result.is_none() && in_second >= self.limit as usize => 1,
            Order::Shuffled if in_second >= 3 * self.limit as usize => 1,
            Order::Shuffled => 2,
            Order::Alternating => 1,
        };
        if kind == 0 || twins.count() >= most {
            kind = self.next_kind;
            self.next_kind += 1;
        }
        let row =
            Published { wall, kind, result, revised: false, gone: false, owed, history: false };
        self.rows.push(row);
    }

    fn in_second(&self, wall: i64) -> usize {
        self.rows.iter().filter(|row| row.wall == wall && !row.gone).count()
    }

    /// The indexes of the rows that are there, newest first, published last first in a second.
    pub(super) fn present(&self) -> Vec<usize> {
        let mut present: Vec<usize> =
            (0..self.rows.len()).filter(|&index| !self.rows[index].gone).collect();
        present.sort_by_key(|&index| std::cmp::Reverse((self.rows[index].wall, index)));
        present
    }

    /// The oldest rows leave.
    pub(super) fn expire(&mut self, count: usize) {
        for index in self.present().into_iter().rev().take(count) {
            self.leave(index);
        }
    }

    /// Some row leaves.
    pub(super) fn withdraw(&mut self, pick: u32) {
        let present = self.present();
        if let Some(&index) = present.get(pick as usize % present.len().max(1)) {
            self.leave(index);
        }
    }

    fn leave(&mut self, index: usize) {
        // A second longer than a page loses no row while it is read, and no twin while its order
        // changes, as the guarantee wants it.
        let (wall, family) = (self.rows[index].wall, self.rows[index].family());
        let twins = self.rows.iter().filter(|row| row.family() == family && !row.gone).count();
        // Nor does one leave above it then, where no total tells.
        let is_long = |row: &Published| self.in_second(row.wall) >= self.limit as usize;
        let hides = self.is_read
            && self.total != Total::Honest
            && self.rows.iter().filter(|row| !row.gone && row.wall < wall).any(is_long);
        if self.is_read && self.in_second(wall) >= self.limit as usize
            || self.is_shuffled() && twins > 1
            || hides
        {
            return;
        }
        self.rows[index].gone = true;
        // While first contact reads a second, its rows and their number must not fall apart.
        let wall = self.rows[index].wall;
        self.rows.iter_mut().filter(|row| row.wall == wall).for_each(|row| row.history = false);
    }

    /// A row without a result, no older than `since`, gains it.
    pub(super) fn finish(&mut self, pick: u32, since: i64) {
        let bare: Vec<usize> = self
            .present()
            .into_iter()
            .filter(|&index| self.rows[index].result.is_none() && self.rows[index].wall >= since)
            .collect();
        if let Some(&index) = bare.get(pick as usize % bare.len().max(1)) {
            self.rows[index].result = Some(i64::from(pick % 2));
            self.rows[index].revised = true;
        }
    }

    pub(super) fn is_shuffled(&self) -> bool {
        self.order == Order::Shuffled
    }

    pub(super) fn page(&mut self, ask: Ask) -> Page {
        self.answers += 1;
        let mut seconds: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for index in self.present() {
            seconds.entry(self.rows[index].wall).or_default().push(index);
        }
        let mut log = Vec::new();
        for (_, mut second) in seconds.into_iter().rev() {
            match self.order {
                Order::Steady => {}
                Order::Shuffled => self.random.shuffle(&mut second),
                Order::Alternating if self.answers.is_multiple_of(2) => second.reverse(),
                Order::Alternating => {}
            }
            log.extend(second);
        }
        let total = match self.total {
            Total::Honest => Some(log.len() as u64),
            Total::Missing => None,
            Total::Lying => Some(self.random.u64(0..200)),
            Total::Frozen => Some(7),
        };
        let skip = usize::try_from(ask.offset).unwrap();
        let rows: Vec<Row> = log
            .into_iter()
            .skip(skip)
            .take(ask.limit.min(self.limit) as usize)
            .map(|index| self.rows[index].row())
            .collect();
        Page { len: rows.len() as u32, rows, total, ..Page::default() }
    }
}
