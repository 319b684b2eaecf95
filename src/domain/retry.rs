//! What follows an attempt: the one place that decides between another try, a dead letter and a
//! closed lane.
//!
//! Deliberately absent: randomness. Jitter comes in as a number between 0 and 1.

use std::time::Duration;

use jiff::Timestamp;

use super::outcome::{Class, Flag, Outcome, Scope};

/// The waits between attempts; after the last the notification is a dead letter.
pub const SCHEDULE: [Duration; 8] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(12 * 3600),
];

/// The longest that a receiver's `Retry-After` is believed.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(3600);

/// The most that jitter adds to a wait, as a share of it. Jitter only ever lengthens.
pub const JITTER_SHARE: f64 = 0.1;

/// The longest that a message can have been meant to wait after `failures` attempts that count
/// against the schedule: the schedule's wait or, where that is shorter, what a receiver may ask for.
pub fn longest_wait(failures: u32) -> Duration {
    let scheduled = (failures as usize).checked_sub(1).and_then(|index| SCHEDULE.get(index));
    let longest = scheduled.copied().unwrap_or_default().max(RETRY_AFTER_CAP);
    longest.mul_f64(1.0 + JITTER_SHARE)
}

/// What becomes of a notification after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// It is done.
    Delivered,
    /// Another attempt at that instant.
    RetryAt {
        /// When.
        at: Timestamp,
        /// The adapter is to send its plain form.
        plain: bool,
        /// Nothing may be sent to the whole destination before `at`.
        hold_lane: bool,
        /// Whether the attempt counts against the schedule.
        failed: bool,
    },
    /// It is given up: a dead letter.
    Dead,
    /// It keeps its place and its lane closes: nothing passes until the lane's probe does.
    CloseLane,
}

/// Decides what follows. `failures` counts the earlier attempts that count against the schedule;
/// `plain` says that this one already sent the plain form; `jitter` lies in 0..=1.
pub fn next_step(
    failures: u32,
    plain: bool,
    outcome: &Outcome,
    now: Timestamp,
    jitter: f64,
) -> NextStep {
    match &outcome.class {
        Class::Delivered => NextStep::Delivered,
        Class::Permanent(Scope::Endpoint) => NextStep::CloseLane,
        Class::Permanent(Scope::Message) if outcome.is(Flag::Fallback) && !plain => {
            NextStep::RetryAt { at: now, plain: true, hold_lane: false, failed: false }
        }
        Class::Permanent(Scope::Message) => NextStep::Dead,
        Class::Retry { after } => {
            let hold_lane = outcome.is(Flag::Throttle);
            let asked = after.map(|after| after.min(RETRY_AFTER_CAP));
            let wait = match (SCHEDULE.get(failures as usize), asked) {
                // A throttled destination says itself when it is free again. That is no failure of
                // the message: the schedule, which grows, would idle the lane and then lose it.
                (_, Some(asked)) if hold_lane => asked,
                (None, _) => return NextStep::Dead,
                (Some(&scheduled), asked) => scheduled.max(asked.unwrap_or_default()),
            };
            let wait = wait.mul_f64(1.0 + JITTER_SHARE * jitter.clamp(0.0, 1.0));
            let at = now.checked_add(wait).unwrap_or(Timestamp::MAX);
            NextStep::RetryAt {
                at,
                plain: plain || outcome.is(Flag::Fallback),
                hold_lane,
                failed: !(hold_lane && asked.is_some()),
            }
        }
    }
}
