//! Single things that go wrong in practice, each by its own short story.

use std::time::Duration;

use jiff::Timestamp;
use triggerbell::{
    domain::entry::{Row, WallTime},
    engine::cursor::{Ask, Closed, Counts, FirstRun, Moment, Settings, Walk, unchanged},
    ports::{Page, Rejected},
};

use super::{
    ledger::{Ledger, repo},
    registry::row,
};

const NOON: i64 = 1_700_000_000;

/// A log whose answers a test can bend.
struct Shop {
    ledger: Ledger,
    settings: Settings,
    /// Newest first.
    rows: Vec<Row>,
    now: i64,
    asked: Vec<Ask>,
}

impl Shop {
    fn new(page_limit: u32, first_run: FirstRun) -> Self {
        let overlap = Duration::from_secs(600);
        let settings = Settings { overlap, page_limit, first_run, max_fresh: 2000 };
        Self { ledger: Ledger::default(), settings, rows: Vec::new(), now: NOON, asked: Vec::new() }
    }

    fn push(&mut self, wall: i64, kind: u32) {
        self.rows.push(row(wall, kind, Some(0)));
        self.rows.sort_by_key(|row| std::cmp::Reverse(row.wall_time));
    }

    fn answer(&self, ask: Ask) -> Page {
        let skip = usize::try_from(ask.offset).unwrap();
        let rows = self.rows.iter().skip(skip).take(ask.limit as usize).cloned();
        let rows: Vec<Row> = rows.collect();
        let total = Some(self.rows.len() as u64);
        Page { len: rows.len() as u32, rows, total, ..Page::default() }
    }

    fn poll(&mut self) -> Counts {
        self.poll_bent(|_, page| page)
    }

    /// Polls once; `bend` makes of an honest answer what the walk is given.
    fn poll_bent(&mut self, bend: impl Fn(Ask, Page) -> Page) -> Counts {
        self.try_poll(bend).map_or(Counts::default(), |closed| closed.counts)
    }

    fn try_poll(&mut self, bend: impl Fn(Ask, Page) -> Page) -> Option<Closed> {
        let instant = Timestamp::from_second(self.now).unwrap();
        let moment = Moment { now: instant, wall: WallTime(self.now) };
        let mut ask = Ask { offset: 0, limit: self.settings.page_limit };
        let mut walk = None;
        self.asked.clear();
        loop {
            assert!(self.asked.len() < 1000, "the walk does not end: {:?}", &self.asked[990..]);
            self.asked.push(ask);
            let page = bend(ask, self.answer(ask));
            if walk.is_none() && unchanged(&self.settings, &self.ledger.cursor, instant, &page) {
                return None;
            }
            let walk = walk.get_or_insert_with(|| {
                let (cursor, window) = (self.ledger.cursor.clone(), self.ledger.window());
                Walk::new(self.settings, repo(), cursor, window, moment)
            });
            walk.absorb(page);
            match walk.ask() {
                Some(next) => ask = next,
                None => break,
            }
        }
        let (closed, _) = walk.unwrap().finish();
        self.ledger.commit(closed.clone());
        Some(closed)
    }

    fn taken(&self) -> usize {
        self.ledger.entries.len()
    }
}

#[test]
fn a_poll_with_nothing_new_costs_one_request() {
    let mut shop = Shop::new(5, FirstRun::Skip);
    (0..50).for_each(|n| shop.push(NOON - n, 1));
    shop.poll();
    shop.now += 10;
    assert!(shop.try_poll(|_, page| page).is_none());
    assert_eq!(shop.asked.len(), 1);
    // Another order of the same rows is nothing new either.
    let reversed = |_, mut page: Page| {
        page.rows.reverse();
        page.rows.sort_by_key(|row| std::cmp::Reverse(row.wall_time));
        page
    };
    assert!(shop.try_poll(reversed).is_none());
}

#[test]
fn a_new_row_costs_one_request_where_the_page_also_shows_known_ones() {
    let mut shop = Shop::new(10, FirstRun::Skip);
    (0..50).for_each(|n| shop.push(NOON - n, 1));
    shop.poll();
    shop.now += 10;
    shop.push(shop.now, 2);
    let counts = shop.poll();
    assert_eq!((counts.requests, counts.fresh), (1, 1));
}

#[test]
fn first_contact_is_silent_and_what_comes_after_is_not() {
    let mut shop = Shop::new(5, FirstRun::Skip);
    (0..2000).for_each(|n| shop.push(NOON - n, 1));
    let counts = shop.poll();
    assert_eq!(counts.fresh, 0);
    assert!(counts.baseline && counts.history >= 600, "{counts:?}");
    // Years of history are not walked for it.
    assert!(shop.asked.iter().all(|ask| ask.offset < 700));
    shop.push(NOON - 599, 7);
    shop.push(NOON, 7);
    shop.now += 301;
    assert_eq!(shop.poll().fresh, 2);
}

#[test]
fn first_contact_takes_all_or_since_where_it_is_told_to() {
    let mut shop = Shop::new(5, FirstRun::All);
    (0..40).for_each(|n| shop.push(NOON - 100 * n, 1));
    assert_eq!(shop.poll().fresh, 40);
    let mut shop = Shop::new(5, FirstRun::Since(WallTime(NOON - 1000)));
    (0..40).for_each(|n| shop.push(NOON - 100 * n, 1));
    assert_eq!(shop.poll().fresh, 11);
}

#[test]
fn an_empty_first_answer_is_a_baseline_too() {
    let mut shop = Shop::new(5, FirstRun::Skip);
    assert!(shop.poll().baseline);
    shop.push(NOON - 100_000, 1);
    assert_eq!(shop.poll().fresh, 1);
}

#[test]
fn an_empty_answer_that_names_rows_is_asked_again_before_it_is_a_baseline() {
    let mut shop = Shop::new(5, FirstRun::Skip);
    (0..20).for_each(|n| shop.push(NOON - n, 1));
    let calls = std::cell::Cell::new(0);
    let hiccup = |_, page: Page| {
        calls.set(calls.get() + 1);
        if calls.get() == 1 { Page { total: page.total, ..Page::default() } } else { page }
    };
    let counts = shop.poll_bent(hiccup);
    assert_eq!((counts.fresh, counts.history), (0, 20));
}

#[test]
fn rows_that_vanish_for_a_while_are_not_taken_again() {
    let mut shop = Shop::new(5, FirstRun::All);
    (0..4).for_each(|n| shop.push(NOON - n, 1));
    shop.poll();
    let empty = |_, _| Page::default();
    shop.poll_bent(empty);
    shop.now += 301;
    shop.poll_bent(empty);
    shop.now += 301;
    shop.poll();
    assert!(shop.ledger.decided.values().all(|decided| *decided == (1, 0)));
    assert_eq!(shop.taken(), 4);
}

#[test]
fn a_walk_that_meets_nothing_known_is_a_gap_and_takes_all_that_it_saw() {
    let mut shop = Shop::new(5, FirstRun::Skip);
    (0..10).for_each(|n| shop.push(NOON - n, 1));
    shop.poll();
    shop.rows.clear();
    (100..110).for_each(|n| shop.push(NOON + n, 1));
    shop.now += 120;
    let counts = shop.poll();
    assert!(counts.gap);
    assert_eq!(counts.fresh, 10);
    shop.now += 301;
    assert!(!shop.poll().gap);
}

#[test]
fn a_row_from_the_far_future_does_not_push_the_floor_past_live_rows() {
    let mut shop = Shop::new(5, FirstRun::Skip);
    (0..10).for_each(|n| shop.push(NOON - n, 1));
    shop.push(NOON + 1_000_000, 9);
    shop.poll();
    for minute in 1..30 {
        shop.now = NOON + 60 * minute;
        shop.push(shop.now - 590, 2);
        shop.push(shop.now, 3);
        shop.poll();
        shop.poll();
    }
    shop.now += 301;
    shop.poll();
    assert_eq!(shop.taken(), 58);
}

#[test]
fn a_total_that_lies_changes_nothing_but_cost() {
    for total in [None, Some(0), Some(3), Some(1_000_000)] {
        let mut shop = Shop::new(5, FirstRun::All);
        (0..23).for_each(|n| shop.push(NOON - n / 2, n as u32));
        let lie = |_, page| Page { total, ..page };
        assert_eq!(shop.poll_bent(lie).fresh, 23);
        shop.push(NOON, 99);
        assert_eq!(shop.poll_bent(lie).fresh, 1);
    }
}

#[test]
fn a_server_that_gives_fewer_rows_than_asked_for_is_read_to_the_end() {
    let mut shop = Shop::new(10, FirstRun::All);
    (0..30).for_each(|n| shop.push(NOON - n, 1));
    let capped = |_, mut page: Page| {
        page.rows.truncate(4);
        page.len = page.rows.len() as u32;
        page
    };
    assert_eq!(shop.poll_bent(capped).fresh, 30);
}

#[test]
fn a_server_that_ignores_the_offset_ends_the_walk() {
    let mut shop = Shop::new(5, FirstRun::All);
    (0..30).for_each(|n| shop.push(NOON - n, 1));
    let first = shop.answer(Ask { offset: 0, limit: 5 });
    assert_eq!(shop.poll_bent(|_, _| first.clone()).fresh, 5);
    // One second only: it looks as if it had no end.
    let mut shop = Shop::new(5, FirstRun::All);
    (0..5).for_each(|n| shop.push(NOON, n));
    let first = shop.answer(Ask { offset: 0, limit: 5 });
    let deep = |ask: Ask, _| if ask.offset < 400 { first.clone() } else { Page::default() };
    shop.poll_bent(deep);
    assert_eq!(shop.taken(), 5);
}

#[test]
fn rows_out_of_order_are_taken_all_the_same() {
    let mut shop = Shop::new(5, FirstRun::All);
    (0..30).for_each(|n| shop.push(NOON - n, 1));
    let backwards = |_, mut page: Page| {
        page.rows.reverse();
        page
    };
    let counts = shop.poll_bent(backwards);
    assert_eq!(counts.fresh, 30);
    assert!(counts.disordered > 0);
}

#[test]
fn rows_that_can_not_be_understood_stop_nothing_and_are_handed_on_once() {
    let mut shop = Shop::new(5, FirstRun::All);
    (0..40).for_each(|n| shop.push(NOON - n, n as u32));
    // Every third row, and a whole page of them, is rubbish.
    let rubbish = |ask: Ask, mut page: Page| {
        let offset = ask.offset as usize;
        let rows = std::mem::take(&mut page.rows);
        for (index, row) in rows.into_iter().enumerate() {
            let place = offset + index;
            if place.is_multiple_of(3) || (15..25).contains(&place) {
                let raw = format!("row {place}");
                page.rejected.push(Rejected { raw, reason: "rubbish".to_owned() });
            } else {
                page.rows.push(row);
            }
        }
        page
    };
    let closed = shop.try_poll(rubbish).unwrap();
    let good = (0..40).filter(|place| place % 3 != 0 && !(15..25).contains(place)).count();
    assert_eq!((closed.counts.fresh as usize, closed.rejected.len()), (good, 40 - good));
}

#[test]
fn rows_that_leave_above_between_two_requests_hide_none_below() {
    let mut shop = Shop::new(5, FirstRun::All);
    (0..60).for_each(|n| shop.push(NOON - n, 1));
    let full = shop.rows.clone();
    // After the first request the six newest rows are gone, the last of them unseen.
    let requests = std::cell::Cell::new(0);
    let moved = |ask: Ask, page: Page| {
        requests.set(requests.get() + 1);
        if requests.get() == 1 {
            return page;
        }
        let skip = 6 + usize::try_from(ask.offset).unwrap();
        let rows: Vec<Row> = full.iter().skip(skip).take(5).cloned().collect();
        Page { len: rows.len() as u32, rows, total: Some(54), ..Page::default() }
    };
    assert_eq!(shop.poll_bent(moved).fresh, 59);
}

#[test]
fn a_long_second_of_twins_pages_apart_is_counted_by_the_walks_that_agree() {
    let mut shop = Shop::new(10, FirstRun::All);
    (0..20).for_each(|n| shop.push(NOON, n));
    (0..20).for_each(|n| shop.push(NOON, n));
    let counts = shop.poll();
    assert_eq!((counts.fresh, counts.doubts), (20, 1));
    let mut polls = 0;
    while shop.taken() < 40 {
        polls += 1;
        assert!(polls < 10, "the twins are never believed");
        shop.poll();
    }
    shop.now += 301;
    assert_eq!(shop.poll().fresh, 0);
}

/// Two replicas of the registry, each with an order of its own: read in part here and in part there,
/// rows seem to stand twice and others not at all.
#[test]
fn what_one_walk_alone_has_read_is_not_believed() {
    let mut shop = Shop::new(10, FirstRun::All);
    (0..12).for_each(|n| shop.push(NOON, n));
    let mut other = shop.rows.clone();
    other.swap(0, 10);
    other.swap(1, 11);
    let torn = |ask: Ask, page: Page| match usize::try_from(ask.offset).unwrap() {
        0 => page,
        skip => {
            let rows: Vec<Row> = other.iter().skip(skip).take(10).cloned().collect();
            Page { len: rows.len() as u32, rows, total: Some(12), ..Page::default() }
        }
    };
    let counts = shop.poll_bent(torn);
    assert_eq!((counts.fresh, counts.doubts), (10, 1));
    assert_eq!(shop.poll().fresh, 2);
    shop.now += 301;
    assert_eq!(shop.poll().fresh, 0);
}

#[test]
fn a_backlog_of_a_hundred_thousand_rows_is_walked_in_bounded_chunks() {
    let mut shop = Shop::new(100, FirstRun::All);
    shop.rows = (0..100_000).map(|n| row(NOON - n / 7, n as u32, Some(0))).collect();
    let moment = Moment { now: Timestamp::from_second(NOON).unwrap(), wall: WallTime(NOON) };
    let cursor = shop.ledger.cursor.clone();
    let mut walk = Walk::new(shop.settings, repo(), cursor, shop.ledger.window(), moment);
    let started = std::time::Instant::now();
    let (mut staged, mut answering) = (0, Duration::ZERO);
    while let Some(ask) = walk.ask() {
        let begun = std::time::Instant::now();
        let page = shop.answer(ask);
        answering += begun.elapsed();
        walk.absorb(page);
        if let Some(chunk) = walk.chunk() {
            assert!(chunk.len() <= 2100);
            assert!(chunk.is_sorted_by(|a, b| a.row.wall_time >= b.row.wall_time));
            staged += chunk.len();
        }
    }
    let (closed, _) = walk.finish();
    let took = started.elapsed().saturating_sub(answering);
    eprintln!("100,000 rows walked in {took:?}, {} requests", closed.counts.requests);
    assert_eq!(staged + closed.fresh.len(), 100_000);
    assert!(closed.cursor.seal);
    // Only the overlap's rows could be left to be known, and sealing does that.
    assert!(closed.cursor.known.is_empty());
    assert_eq!(closed.cursor.forget_before, WallTime(NOON - 600));
}
