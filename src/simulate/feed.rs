//! The feed: pushes the story's images into the world, a backlog at once and then at a rate.
//!
//! [`Feed::step`] does whatever is due at an instant and says when to come again, so that tests
//! bring their own time; [`Feed::run`] is the loop around it. Deliberately absent: what is pushed
//! (`story`).

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::domain::entry::{Row, WallTime};

use super::{
    serve::Now,
    story::{REPOS, Story, Told, jobs},
    world::{RowRef, World},
};

/// The log's clock ahead of UTC, in seconds: +08:00.
pub const LOG_OFFSET_S: i64 = 8 * 3600;

/// How late a late row is at most, in milliseconds.
const LATE_MAX_MS: u64 = 30_000;

/// The longest and shortest past that a backlog is spread over, in seconds.
const BACKLOG_SPAN_S: (i64, i64) = (3600, 7 * 86_400);

/// When the first burst comes, how long what fails by it does so, and how long it is until the next.
const BURST_FIRST: Duration = Duration::from_secs(20);
const BURST_LASTS: Duration = Duration::from_secs(75);
const BURST_REST: Duration = Duration::from_secs(105);

/// The most pushes of one step; when more are due, they are given up rather than piled up.
const STEP_MAX: usize = 10_000;

/// Rows a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

/// A rate that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate; write it as 5/s, 0.5/s or 30/m")]
pub struct RateError(String);

impl Rate {
    /// A rate in rows a second; what is not above zero never comes.
    pub const fn per_second(rows: f64) -> Self {
        Self(rows)
    }

    /// No new rows at all.
    pub const NEVER: Self = Self(0.0);

    /// How long `rows` take at this rate.
    fn time_for(self, rows: f64) -> Duration {
        // A day stands for all that is longer.
        Duration::try_from_secs_f64(rows / self.0)
            .unwrap_or(Duration::MAX)
            .min(Duration::from_secs(86_400))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let fail = || RateError(text.to_owned());
        let (number, unit) = text.split_once('/').ok_or_else(fail)?;
        let number: f64 = number.trim().parse().map_err(|_| fail())?;
        let seconds = match unit.trim() {
            "s" | "1s" => 1.0,
            "m" | "1m" => 60.0,
            "h" | "1h" => 3600.0,
            _ => return Err(fail()),
        };
        if !(number.is_finite() && number >= 0.0) {
            return Err(fail());
        }
        Ok(Self(number / seconds))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// Pushes images into a world.
pub struct Feed {
    story: Story,
    rng: fastrand::Rng,
    rate: Rate,
    late: f64,
    next_push: Option<Timestamp>,
    burst: Option<Burst>,
    due: BTreeMap<(Timestamp, u64), Due>,
    order: u64,
}

/// Many jobs of a repository that fail at once, and recover at once.
struct Burst {
    repo: String,
    /// When the next is; the first is a while after the first step.
    next: Option<Timestamp>,
    fails: bool,
}

enum Due {
    Publish(Box<Told>),
    Result(RowRef, i64, String),
}

impl Feed {
    /// A feed for these repositories (the stand-in's own where there are none), at a rate of new
    /// rows. The same seed and the same instants give the same rows.
    pub fn new(seed: u64, repos: &[String], rate: Rate) -> Self {
        Self {
            story: Story::new(seed, repos),
            rng: fastrand::Rng::with_seed(seed ^ 0xfeed),
            rate,
            late: 0.0,
            next_push: None,
            burst: None,
            due: BTreeMap::new(),
            order: 0,
        }
    }

    /// The repositories where the user names none.
    pub fn default_repos() -> Vec<String> {
        REPOS.iter().map(|&repo| repo.to_owned()).collect()
    }

    /// The probability that a row is published late (the fault `late`).
    pub fn set_late(&mut self, chance: f64) {
        self.late = chance;
    }

    /// Every three minutes, beside the rate, many jobs of a repository fail at once and recover at once.
    pub fn set_bursts(&mut self, repo: &str) {
        self.burst = Some(Burst { repo: repo.to_owned(), next: None, fails: true });
    }

    /// Makes the triggers of every repository known, before any of them has fired.
    pub fn set_triggers(&self, world: &World) {
        for row in self.story.triggers() {
            world.add_trigger(row);
        }
    }

    /// Puts `rows` rows into the world at once, spread over the past before `now`.
    pub fn fill(&mut self, world: &World, rows: usize, now: Timestamp) {
        let span = i64::try_from(rows).unwrap_or(i64::MAX).saturating_mul(30);
        let span = span.clamp(BACKLOG_SPAN_S.0, BACKLOG_SPAN_S.1);
        let mut done = 0;
        while done < rows {
            let back = span - (span as f64 * done as f64 / rows as f64) as i64;
            let time = now.saturating_sub(SignedDuration::from_secs(back)).unwrap_or(now);
            let told = self.story.push(wall_time(time), time);
            if told.is_empty() {
                return;
            }
            for Told { mut row, later } in told.into_iter().take(rows - done) {
                if let Some((_, code, message)) = later {
                    row.return_code = Some(code);
                    row.return_msg = Some(message.into());
                }
                world.push(row);
                done += 1;
            }
        }
    }

    /// Does what is due at `now`; when to come again.
    pub fn step(&mut self, world: &World, now: Timestamp) -> Timestamp {
        let first = if self.rate.0 > 0.0 { now } else { Timestamp::MAX };
        let mut next_push = self.next_push.unwrap_or(first);
        for _ in 0..STEP_MAX {
            if next_push > now {
                break;
            }
            let rows = self.push(world, next_push);
            // From half to one and a half times the mean.
            let gap = self.rate.time_for(rows as f64 * (0.5 + self.rng.f64()));
            next_push = next_push.saturating_add(gap).unwrap_or(Timestamp::MAX);
        }
        self.next_push = Some(next_push.max(now));
        let next_push = self.burst(world, now).map_or(next_push, |at| at.min(next_push));
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), due) = first.remove_entry();
            match due {
                Due::Publish(told) => self.publish(world, *told, at),
                Due::Result(row, code, message) => {
                    world.resolve(&row, code, &message);
                }
            }
        }
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        due.map_or(next_push, |due| due.min(next_push))
    }

    /// Steps until `stop`.
    pub async fn run(mut self, world: &World, now: Now, stop: CancellationToken) {
        loop {
            let next = self.step(world, now());
            let wait = Duration::try_from(next.duration_since(now())).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait.max(Duration::from_millis(1))) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Publishes the burst that is due; when the next is.
    fn burst(&mut self, world: &World, now: Timestamp) -> Option<Timestamp> {
        let burst = self.burst.as_mut()?;
        let after = |wait: Duration| now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let next = *burst.next.get_or_insert_with(|| after(BURST_FIRST));
        if next > now {
            return Some(next);
        }
        for row in jobs(&burst.repo, burst.fails, wall_time(now), now) {
            world.push(row);
        }
        burst.next = Some(after(if burst.fails { BURST_LASTS } else { BURST_REST }));
        burst.fails = !burst.fails;
        burst.next
    }

    fn push(&mut self, world: &World, at: Timestamp) -> usize {
        let told = self.story.push(wall_time(at), at);
        let rows = told.len();
        for told in told {
            if self.rng.f64() < self.late {
                let late = Duration::from_millis(self.rng.u64(1_000..LATE_MAX_MS));
                self.later(at, late, Due::Publish(Box::new(told)));
            } else {
                self.publish(world, told, at);
            }
        }
        // A story without repositories is asked no more often than another.
        rows.max(1)
    }

    fn publish(&mut self, world: &World, told: Told, at: Timestamp) {
        let row: Row = told.row;
        let place = world.push(row);
        if let Some((wait, code, message)) = told.later {
            self.later(at, wait, Due::Result(place, code, message));
        }
    }

    fn later(&mut self, at: Timestamp, wait: Duration, due: Due) {
        let at = at.saturating_add(wait).unwrap_or(Timestamp::MAX);
        self.order += 1;
        self.due.insert((at, self.order), due);
    }
}

/// What the log's clock shows.
fn wall_time(at: Timestamp) -> WallTime {
    WallTime(at.as_second() + LOG_OFFSET_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world_after(seconds: i64, rate: f64, late: f64) -> (World, Feed) {
        let repos = Feed::default_repos();
        let world = World::new(&repos);
        let mut feed = Feed::new(3, &repos, Rate::per_second(rate));
        feed.set_late(late);
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        for second in 0..seconds {
            feed.step(&world, start + SignedDuration::from_secs(second));
        }
        (world, feed)
    }

    #[test]
    fn the_rate_is_kept_and_unknown_results_arrive() {
        let (world, _) = world_after(1_000, 5.0, 0.0);
        let counts = world.counts();
        assert!((4_500..5_500).contains(&counts.published), "{counts:?}");
        assert!((80..300).contains(&counts.revised), "{counts:?}");
    }

    #[test]
    fn bursts_fail_and_recover_beside_the_rate() {
        let repos = Feed::default_repos();
        let world = World::new(&repos);
        let mut feed = Feed::new(3, &repos, Rate::NEVER);
        feed.set_bursts(&repos[0]);
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let mut now = start;
        while now < start + SignedDuration::from_secs(200) {
            now = feed.step(&world, now);
        }
        let rows = world.rows(&repos[0]);
        let at = |second: i64, code: i64| {
            rows.iter()
                .filter(|row| row.time == start + SignedDuration::from_secs(second))
                .filter(|row| row.return_code == Some(code))
                .count()
        };
        assert_eq!((at(20, 1), at(95, 0), rows.len()), (40, 40, 80));
    }

    #[test]
    fn late_rows_come_under_their_true_time() {
        let repos = Feed::default_repos();
        let world = World::new(&repos);
        let mut news = world.news();
        let mut feed = Feed::new(3, &repos, Rate::per_second(2.0));
        feed.set_late(0.5);
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let (mut late, mut in_time) = (0, 0);
        for second in 0..200 {
            let now = start + SignedDuration::from_secs(second);
            feed.step(&world, now);
            let fresh = std::iter::from_fn(|| news.try_recv().ok()).filter(|one| !one.revised);
            for one in fresh {
                let behind = wall_time(now).0 - one.row.wall_time.0;
                assert!((0..=31).contains(&behind), "{behind}");
                if behind > 1 { late += 1 } else { in_time += 1 }
            }
        }
        assert!(late > 50 && in_time > 50, "{late} late, {in_time} in time");
    }

    #[test]
    fn a_backlog_has_exactly_the_rows_asked_for_and_all_of_them_are_past() {
        let repos = Feed::default_repos();
        let world = World::new(&repos);
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        Feed::new(3, &repos, Rate::per_second(1.0)).fill(&world, 1_000, now);
        assert_eq!(world.counts().published, 1_000);
        let rows: Vec<_> = world.repos().iter().flat_map(|repo| world.rows(repo)).collect();
        assert!(
            rows.iter()
                .all(|row| row.time < now && row.wall_time.0 == row.time.as_second() + 28_800)
        );
        assert!(world.repos().iter().all(|repo| world.rows(repo).len() > 50));
    }

    #[test]
    fn rates_are_read_and_refused() {
        assert_eq!("5/s".parse(), Ok(Rate(5.0)));
        assert_eq!("30/m".parse(), Ok(Rate(0.5)));
        for bad in ["5", "x/s", "5/d", "-1/s", "inf/s"] {
            assert!(bad.parse::<Rate>().unwrap_err().to_string().contains("5/s"), "{bad}");
        }
    }
}
