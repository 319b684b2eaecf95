//! What lanes exchange with the outbox: claims, settlements, folding, handing over, retries by hand.
//!
//! Deliberately absent: when each is asked for, which is the lane's, and what a row says.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        digest::{Digest, Pressure},
        entry::Entry,
        notification::{NotificationId, Reason},
        outcome::OutcomeRecord,
        rule::Severity,
    },
    ports::Payload,
};

use super::{NewNotification, Told};

/// A wish to hand over what waits for a receiver.
#[derive(Clone)]
pub struct HandOver {
    /// Whose rows.
    pub from: Arc<str>,
    /// Who takes them over.
    pub to: Redirect,
    /// The most rows.
    pub limit: usize,
    /// The present instant.
    pub now: Timestamp,
}

/// Another receiver for messages that were made for one.
#[derive(Clone)]
pub struct Redirect {
    /// Who is to get them.
    pub to: Arc<str>,
    /// Makes the text that a message has there, called within the transaction.
    pub compose: Recompose,
}

impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirect").field("to", &self.to).finish_non_exhaustive()
    }
}

/// Makes the text that a kept message has for another receiver.
pub type Recompose = Arc<dyn Fn(&Kept) -> Payload + Send + Sync>;

/// What of a kept message its text is made of.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its id.
    pub id: NotificationId,
    /// The receiver that it was meant for.
    pub receiver: Arc<str>,
    /// Its rule.
    pub rule: String,
    /// Why it is sent.
    pub reason: Reason,
    /// How grave it is.
    pub severity: Severity,
    /// The entries that it tells of, as far as they are kept.
    pub entries: Vec<Arc<Entry>>,
    /// How many entries it stands for.
    pub count: u64,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What it says besides.
    pub told: Told,
}

/// What came of a wish to hand over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandedOver {
    /// So many rows went.
    pub count: u64,
    /// There may be more.
    pub more: bool,
}

/// A wish for rows to send.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Whose rows.
    pub receiver: Arc<str>,
    /// The most that are wanted. Only where the first that is due is a message of more parts come
    /// more: those of that one.
    pub limit: usize,
    /// The present instant.
    pub now: Timestamp,
    /// The clock was set back: waits that are longer than any can have been meant are shortened
    /// first.
    pub fit_waits: bool,
    /// Look for the message that each follows ([`Delivery::earlier`](crate::ports::Delivery::earlier)).
    pub follow: bool,
    /// Only this one, with the parts behind it.
    pub unfinished: Option<Unfinished>,
    /// The lane's record as it is once these are claimed, pace included; the store fills in
    /// nothing.
    pub lane: Option<LaneRecord>,
}

/// A wish to fold what waits for a receiver.
#[derive(Clone)]
pub struct Fold {
    /// Whose rows.
    pub receiver: Arc<str>,
    /// The present instant.
    pub now: Timestamp,
    /// What the lane can clear.
    pub pressure: Pressure,
    /// When the last digest was made.
    pub folded_at: Option<Timestamp>,
    /// Makes the digest's notification, called within the transaction with the entries that it names.
    pub compose: Compose,
}

/// Makes a digest's notification from what it says and the entries that it names.
pub type Compose = Arc<dyn Fn(&Digest, &[Arc<Entry>]) -> NewNotification + Send + Sync>;

/// What came of a wish to fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// There is no need.
    Calm,
    /// More waits than can be cleared, and a digest went lately: it is gathered until then.
    Gather(Timestamp),
    /// So many were folded.
    Folded(u64),
}

/// A lane, as it outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaneRecord {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The sends that pace still counts, oldest first.
    pub sends: Vec<Timestamp>,
    /// Nothing is sent before this.
    pub hold_until: Option<Timestamp>,
    /// Set while the lane is closed.
    pub closed: Option<ClosedLane>,
    /// When waiting rows were last folded into a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded_at: Option<Timestamp>,
    /// A message of which a part went and the next is to go before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Unfinished>,
}

/// Where a message that was split is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The message.
    pub message: NotificationId,
    /// The row of the part that is next.
    pub seq: i64,
    /// Not before this.
    pub at: Timestamp,
}

/// Why and since when a lane is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedLane {
    /// Since when.
    pub since: Timestamp,
    /// What the receiver said.
    pub detail: String,
    /// Probes made.
    pub probes: u32,
    /// When the oldest row probes next.
    pub next_probe_at: Timestamp,
}

/// What an attempt came to.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The row.
    pub seq: i64,
    /// Its receiver.
    pub receiver: Arc<str>,
    /// Its key's digest.
    pub key: [u8; 16],
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it came to.
    pub outcome: OutcomeRecord,
    /// What the answer gave for later edits or threads.
    pub captured: Option<serde_json::Value>,
    /// What becomes of the row.
    pub becomes: SettleAs,
}

/// What becomes of a row after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleAs {
    /// Delivered; the next of its key is due.
    Delivered,
    /// It waits, first of its key, until then.
    Pending {
        /// When it is due.
        at: Timestamp,
        /// Send the plain form next, as in [`Delivery::plain`](crate::ports::Delivery::plain).
        plain: bool,
        /// Whether the attempt counts in [`Delivery::failures`](crate::ports::Delivery::failures).
        failed: bool,
    },
    /// Given up; the next of its key is due.
    Dead,
    /// It was claimed and not sent: it waits as if it had not been claimed, due at once, and the
    /// attempt is taken back.
    Returned,
}

/// A wish to try dead letters again.
#[derive(Debug, Clone)]
pub struct RetryDead {
    /// Whose.
    pub receiver: Arc<str>,
    /// For whom; `None` for the same.
    pub to: Option<Redirect>,
    /// Those that were given up since then.
    pub since: Timestamp,
    /// Only those after this place.
    pub after: i64,
    /// The most that are looked at.
    pub limit: usize,
    /// The present instant.
    pub now: Timestamp,
    /// Only count them.
    pub preview: bool,
}

/// What came of a wish to try dead letters again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetriedDead {
    /// How many are tried, or would be.
    pub count: u64,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}
