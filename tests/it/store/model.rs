//! The outbox against a naive model of it: any sequence of commits, claims, settlements, retries,
//! orphans, retention, restarts and kills gives the same rows in the same order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use triggerbell::{
    domain::notification::{HeldBy, NotificationState},
    ports::{Delivery, NotificationQuery, Retention, SettleAs, Store},
};

use super::{Home, about, at, failed_until, id, number, redirect, settlement};

const RECEIVERS: [&str; 2] = ["ops", "dev"];
const KEYS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<(usize, usize, bool)>),
    CommitAgain(prop::sample::Index),
    Claim(usize, usize),
    Settle(Vec<(prop::sample::Index, Becomes)>),
    Retry(prop::sample::Index, Option<usize>),
    Orphan(usize),
    Retain(i64),
    Wait(i64),
    Restart,
    Kill,
}

#[derive(Debug, Clone, Copy)]
enum Becomes {
    Delivered,
    Dead,
    Later(i64, bool),
    Returned,
}

fn op() -> impl Strategy<Value = Op> {
    let row = (0..RECEIVERS.len(), 0..KEYS.len(), prop::bool::weighted(0.1));
    let becomes = prop_oneof![
        4 => Just(Becomes::Delivered),
        1 => Just(Becomes::Dead),
        3 => (0..40_i64, any::<bool>()).prop_map(|(wait, failed)| Becomes::Later(wait, failed)),
        1 => Just(Becomes::Returned),
    ];
    let settled = (any::<prop::sample::Index>(), becomes);
    prop_oneof![
        6 => prop::collection::vec(row, 1..6).prop_map(Op::Commit),
        1 => any::<prop::sample::Index>().prop_map(Op::CommitAgain),
        8 => (0..RECEIVERS.len(), 1..5_usize).prop_map(|(to, limit)| Op::Claim(to, limit)),
        8 => prop::collection::vec(settled, 1..4).prop_map(Op::Settle),
        2 => (any::<prop::sample::Index>(), prop::option::of(0..RECEIVERS.len()))
            .prop_map(|(which, to)| Op::Retry(which, to)),
        1 => (0..RECEIVERS.len()).prop_map(Op::Orphan),
        1 => (0..60_i64).prop_map(Op::Retain),
        4 => (1..30_i64).prop_map(Op::Wait),
        1 => Just(Op::Restart),
        1 => Just(Op::Kill),
    ]
}

/// A row as the model sees it.
#[derive(Debug, Clone)]
struct Row {
    receiver: usize,
    key: usize,
    state: NotificationState,
    created: i64,
    due: Option<i64>,
    ended: i64,
    attempts: u32,
    failures: u32,
    /// A person had it retried: the order of its key no longer binds it.
    retried: bool,
}

impl Row {
    fn live(&self) -> bool {
        matches!(self.state, NotificationState::Pending | NotificationState::Sending)
    }
}

/// All rows by their number, which is also their order, and the lines in which they stand.
#[derive(Debug, Default)]
struct Model {
    rows: BTreeMap<u32, Row>,
    /// By (receiver, key): who stands in line, the first being due.
    lines: BTreeMap<(usize, usize), Vec<u32>>,
    /// By (receiver, key): who joined last and has not left but by ending.
    joined: BTreeMap<(usize, usize), u32>,
    last: u32,
    now: i64,
}

impl Model {
    fn join(&mut self, n: u32) {
        let of = |row: &Row| (row.receiver, row.key);
        let key = of(&self.rows[&n]);
        let line = self.lines.entry(key).or_default();
        if line.is_empty() {
            // A dead letter that is retried is in line again if it was the last.
            let before = self.joined.get(&key).filter(|before| self.rows[before].live());
            line.extend(before);
        }
        line.push(n);
        self.joined.insert(key, n);
        self.let_the_first_go(key);
    }

    /// The first of a line is due when it was decided, if nothing else was said of it.
    fn let_the_first_go(&mut self, key: (usize, usize)) {
        if let Some(first) = self.lines.get(&key).and_then(|line| line.first()) {
            let row = self.rows.get_mut(first).unwrap();
            row.due = row.due.or(Some(row.created));
        }
    }

    fn end(&mut self, n: u32, state: NotificationState) {
        let now = self.now;
        let row = self.rows.get_mut(&n).unwrap();
        (row.state, row.due, row.ended) = (state, None, now);
        let key = (row.receiver, row.key);
        self.lines.entry(key).or_default().retain(|&one| one != n);
        self.let_the_first_go(key);
    }

    /// Goes out of line; whoever stood before it is the last, if it was.
    fn leave(&mut self, n: u32) {
        let key = (self.rows[&n].receiver, self.rows[&n].key);
        let line = self.lines.entry(key).or_default();
        let place = line.iter().position(|&one| one == n);
        let before = place.and_then(|place| place.checked_sub(1)).map(|place| line[place]);
        line.retain(|&one| one != n);
        if self.joined.get(&key) == Some(&n) {
            self.joined.remove(&key);
            self.joined.extend(before.map(|before| (key, before)));
        }
        self.let_the_first_go(key);
    }

    fn claim(&mut self, receiver: usize, limit: usize) -> Vec<(u32, u32, u32)> {
        let mut due: Vec<(i64, u32)> = self.waiting(receiver).collect();
        due.retain(|&(due, _)| due <= self.now);
        due.sort_unstable();
        due.truncate(limit);
        due.iter().map(|&(_, n)| self.claimed(n)).collect()
    }

    fn claimed(&mut self, n: u32) -> (u32, u32, u32) {
        let row = self.rows.get_mut(&n).unwrap();
        row.state = NotificationState::Sending;
        row.attempts += 1;
        (n, row.attempts, row.failures)
    }

    /// The waiting rows of a receiver that stand behind no other, with their times.
    fn waiting(&self, receiver: usize) -> impl Iterator<Item = (i64, u32)> {
        let rows = self.rows.iter().filter(move |(_, row)| {
            row.receiver == receiver && row.state == NotificationState::Pending
        });
        rows.filter_map(|(&n, row)| row.due.map(|due| (due, n)))
    }

    fn settle(&mut self, n: u32, becomes: Becomes) {
        let now = self.now;
        let row = self.rows.get_mut(&n).unwrap();
        match becomes {
            Becomes::Delivered => self.end(n, NotificationState::Delivered),
            Becomes::Dead => self.end(n, NotificationState::Dead),
            Becomes::Later(wait, failed) => {
                row.state = NotificationState::Pending;
                row.due = Some(now + wait);
                row.failures += u32::from(failed);
            }
            Becomes::Returned => {
                row.state = NotificationState::Pending;
                row.attempts -= 1;
            }
        }
    }
}

/// The real store and the model side by side.
struct Both {
    home: Home,
    model: Model,
    sending: Vec<Delivery>,
}

impl Both {
    async fn run(mut self, ops: Vec<Op>) {
        for op in ops {
            self.step(op).await;
            self.compare().await;
        }
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Commit(rows) => self.commit(rows).await,
            Op::CommitAgain(which) => {
                if let Some(&n) = pick(&self.model.rows.keys().collect::<Vec<_>>(), &which) {
                    self.home.put(vec![about(*n, "elsewhere", "z")]).await;
                }
            }
            Op::Claim(receiver, limit) => self.claim(receiver, limit).await,
            Op::Settle(which) => self.settle(which).await,
            Op::Retry(which, to) => self.retry(&which, to).await,
            Op::Orphan(gone) => self.orphan(gone).await,
            Op::Retain(age) => self.retain(age).await,
            Op::Wait(seconds) => self.model.now += seconds,
            Op::Restart => {
                let spare = Home::new();
                self.home = std::mem::replace(&mut self.home, spare).reopened();
                self.start().await;
            }
            Op::Kill => {
                self.home = self.home.as_if_killed();
                self.start().await;
            }
        }
    }

    async fn commit(&mut self, rows: Vec<(usize, usize, bool)>) {
        let mut batch = Vec::new();
        for (receiver, key, held) in rows {
            self.model.last += 1;
            let mut new = about(self.model.last, RECEIVERS[receiver], KEYS[key]);
            new.created_at = at(self.model.now);
            let mut state = NotificationState::Pending;
            if held {
                (new.held_by, new.payload) = (Some(HeldBy::State), None);
                state = NotificationState::Held;
            }
            batch.push(new);
            let (created, ended) = (self.model.now, self.model.now);
            let (due, attempts, failures, retried) = (None, 0, 0, false);
            let row =
                Row { receiver, key, state, created, due, ended, attempts, failures, retried };
            self.model.rows.insert(self.model.last, row);
            if !held {
                self.model.join(self.model.last);
            }
        }
        self.home.put(batch).await;
    }

    async fn claim(&mut self, receiver: usize, limit: usize) {
        let claimed = self.home.claim_for(RECEIVERS[receiver], limit, at(self.model.now)).await;
        let seen = claimed.iter().map(|row| (number(row.id), row.attempt, row.failures));
        assert_eq!(seen.collect::<Vec<_>>(), self.model.claim(receiver, limit));
        self.sending.extend(claimed);
    }

    async fn settle(&mut self, which: Vec<(prop::sample::Index, Becomes)>) {
        let mut batch = Vec::new();
        for (which, becomes) in which {
            if self.sending.is_empty() {
                break;
            }
            let delivery = self.sending.remove(which.index(self.sending.len()));
            self.model.settle(number(delivery.id), becomes);
            let becomes = match becomes {
                Becomes::Delivered => SettleAs::Delivered,
                Becomes::Dead => SettleAs::Dead,
                Becomes::Later(wait, true) => failed_until(at(self.model.now + wait)),
                Becomes::Later(wait, false) => {
                    let at = at(self.model.now + wait);
                    SettleAs::Pending { at, plain: false, failed: false }
                }
                Becomes::Returned => SettleAs::Returned,
            };
            batch.push(settlement(&delivery, becomes, at(self.model.now)));
        }
        self.home.settle(batch.into(), None).await.unwrap();
    }

    async fn retry(&mut self, which: &prop::sample::Index, to: Option<usize>) {
        let numbers: Vec<u32> = self.model.rows.keys().copied().collect();
        let Some(&n) = pick(&numbers, which) else { return };
        let row = &self.model.rows[&n];
        let can = matches!(row.state, NotificationState::Pending | NotificationState::Dead);
        if can {
            let blocked = row.state == NotificationState::Pending && row.due.is_none();
            if blocked || to.is_some_and(|to| to != row.receiver) {
                self.model.leave(n);
            }
            let now = self.model.now;
            let row = self.model.rows.get_mut(&n).unwrap();
            (row.state, row.retried) = (NotificationState::Pending, true);
            row.receiver = to.unwrap_or(row.receiver);
            (row.due, row.failures) = (Some(now), 0);
        }
        let to = to.map(|to| redirect(RECEIVERS[to]));
        assert_eq!(self.home.retry(id(n), to, at(self.model.now)).await.unwrap(), can);
    }

    async fn orphan(&mut self, gone: usize) {
        let of = |row: &Row| row.receiver == gone && row.state == NotificationState::Pending;
        let rows = self.model.rows.iter().rev();
        let orphans: Vec<u32> = rows.filter(|(_, row)| of(row)).map(|(&n, _)| n).collect();
        for &n in &orphans {
            self.model.leave(n);
            self.model.end(n, NotificationState::Dead);
        }
        let count = orphans.len() as u64;
        let left = [RECEIVERS[1 - gone].into()];
        assert_eq!(self.home.orphan(&left, at(self.model.now)).await.unwrap(), count);
    }

    async fn retain(&mut self, age: i64) {
        let before = self.model.now - age;
        let Model { rows, joined, .. } = &mut self.model;
        rows.retain(|_, row| row.live() || row.ended >= before);
        joined.retain(|_, n| rows.contains_key(n));
        let notifications_before = at(0) + jiff::SignedDuration::from_secs(before);
        let retention = Retention { entries_before: at(0), notifications_before, limit: 3 };
        while self.home.retain(retention).await.unwrap() {}
    }

    /// What a start does, and what it finds.
    async fn start(&mut self) {
        self.sending.clear();
        let mut released = 0;
        for row in self.model.rows.values_mut() {
            if row.state == NotificationState::Sending {
                row.state = NotificationState::Pending;
                released += 1;
            }
        }
        assert_eq!(self.home.release_claims(at(self.model.now)).await.unwrap(), released);
    }

    /// What the lines are for, whatever they are: nobody who was not retried by hand passes an older
    /// one of its key, and nobody waits behind nobody.
    fn check_order(&self) {
        for receiver in 0..RECEIVERS.len() {
            for key in 0..KEYS.len() {
                let rows = self.model.rows.values();
                let of_key = rows.filter(|row| (row.receiver, row.key) == (receiver, key));
                let live: Vec<&Row> = of_key.filter(|row| row.live()).collect();
                assert!(live.is_empty() || live.iter().any(|row| row.due.is_some()));
                let in_turn = live.iter().filter(|row| !row.retried);
                assert!(in_turn.skip(1).all(|row| row.due.is_none()));
            }
        }
    }

    async fn compare(&self) {
        let query = NotificationQuery { limit: 500, ..NotificationQuery::default() };
        let list = self.home.notifications(query).await.unwrap();
        let seen = list.items.iter().rev().map(|view| {
            let due = view.next_attempt_at;
            (number(view.id), view.receiver.clone(), view.state, view.attempts, due)
        });
        let expected = self.model.rows.iter().map(|(&n, row)| {
            let due = row.due.filter(|_| row.state == NotificationState::Pending);
            (n, RECEIVERS[row.receiver].to_owned(), row.state, row.attempts, due.map(at))
        });
        assert_eq!(seen.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        self.check_order();
        let counts = self.home.outbox().await.unwrap();
        for (index, receiver) in RECEIVERS.into_iter().enumerate() {
            let due = self.model.waiting(index).map(|(due, _)| at(due)).min();
            assert_eq!(self.home.next_due(receiver).await.unwrap(), due, "{receiver}");
            let of = || self.model.rows.values().filter(|row| row.receiver == index);
            let waiting = of().filter(|row| row.live()).count() as u64;
            let dead = of().filter(|row| row.state == NotificationState::Dead).count() as u64;
            let count = counts.iter().find(|count| &*count.receiver == receiver);
            let seen = count.map_or((0, 0), |count| (count.waiting, count.dead));
            assert_eq!(seen, (waiting, dead), "{receiver}");
            let oldest = of().find(|row| row.live()).map(|row| at(row.created));
            assert_eq!(count.and_then(|count| count.oldest_at), oldest, "{receiver}");
        }
    }
}

fn pick<'a, T>(from: &'a [T], which: &prop::sample::Index) -> Option<&'a T> {
    (!from.is_empty()).then(|| &from[which.index(from.len())])
}

/// Few, since each writes to a disk; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(40);
    ProptestConfig { cases, max_shrink_iters: 400, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_outbox_does_what_a_naive_model_does(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let both = Both { home: Home::new(), model: Model::default(), sending: Vec::new() };
        runtime.block_on(both.run(ops));
    }
}
