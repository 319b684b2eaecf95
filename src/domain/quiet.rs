//! What a rule says about keeping quiet: recovery, reminders, groups, throttle, mutes, inhibition,
//! storms and flapping; and what a source says of late news.
//!
//! Values only. Deliberately absent: what follows from them (`decision`).

use std::{sync::Arc, time::Duration};

use super::{
    clause::{Clause, Test},
    field::Field,
    interval::TimeInterval,
    notification::words,
};

/// What a rule says about keeping quiet.
#[derive(Debug, Clone)]
pub struct Quiet {
    /// What ends an incident.
    pub recover: Clause,
    /// How often one that lasts is told again.
    pub remind: Option<Duration>,
    /// What becomes one message.
    pub group: Option<Grouping>,
    /// At most one message of a key in so long.
    pub throttle: Option<Duration>,
    /// When nobody is told.
    pub mute: Option<Mute>,
    /// Whose incidents explain this rule's.
    pub inhibited_by: Option<Inhibition>,
    /// When many keys become one message.
    pub storm: Option<StormGuard>,
    /// When a key that changes too often is told of once.
    pub flapping: Flapping,
}

impl Default for Quiet {
    fn default() -> Self {
        Self {
            recover: Clause::test(Field::ReturnCode, "recover.returnCode", Test::IsNumber(vec![0])),
            remind: None,
            group: None,
            throttle: None,
            mute: None,
            inhibited_by: None,
            storm: None,
            flapping: Flapping::default(),
        }
    }
}

/// What becomes one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// Alerts of the same values of these fields; none means all of the rule's.
    pub by: Vec<Field>,
    /// How long a group stays open, from its first alert.
    pub wait: Duration,
    /// How many entries its message lists.
    pub max: usize,
}

/// How many entries a message lists where nothing says how many.
pub const LISTED: usize = 20;

words! {
    /// What follows when a mute ends.
    AtEnd {
        /// One message that counts what was held.
        Summary = "summary",
        /// What was held and is not over is sent then.
        Resend = "resend",
        /// Nothing, but for what still fails, and the end of what was told before.
        Drop = "drop",
    }
}

/// When nobody is told.
#[derive(Debug, Clone)]
pub struct Mute {
    /// While any of these lasts.
    pub during: Vec<Arc<TimeInterval>>,
    /// What follows.
    pub at_end: AtEnd,
}

/// Whose incidents explain a rule's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibition {
    /// The other rule.
    pub rule: Arc<str>,
    /// The fields that must have the same value, all of them in the other's `by`.
    pub equal: Vec<Field>,
}

/// When many keys become one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StormGuard {
    /// More than so many keys.
    pub keys: usize,
    /// Within so long, by entry time.
    pub within: Duration,
    /// That have the same value of one of these fields; of `returnMsg` the same shape.
    pub share: Vec<Field>,
}

/// When a key changes too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flapping {
    /// More than so many changes.
    pub changes: usize,
    /// Within so long, by entry time.
    pub within: Duration,
}

impl Default for Flapping {
    fn default() -> Self {
        Self { changes: 6, within: Duration::from_secs(30 * 60) }
    }
}

words! {
    /// What becomes of a message about an entry that was taken in late.
    Then {
        /// It is sent like any other.
        Send = "send",
        /// It is told of together with others, once.
        Digest = "digest",
        /// It is recorded.
        Skip = "skip",
    }
}

/// What a source says of late news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp {
    /// An entry older than this when it is decided is late news.
    pub older_than: Duration,
    /// What becomes of it.
    pub then: Then,
}
