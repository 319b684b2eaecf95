//! Delivering one message to one receiver, once.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{
    notification::{Follow, NotificationId, Reason},
    outcome::Outcome,
};

use super::Payload;

/// A receiver.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// The type as configured: `slack`, `wecom`, `webhook`.
    fn kind(&self) -> &'static str;

    /// Whether it puts a message into the thread, or in the place, of an earlier one: only then is
    /// [`Delivery::earlier`] looked for.
    fn follows(&self) -> bool {
        false
    }

    /// Makes one attempt and says what it came to. Never fails otherwise, never retries, never
    /// waits longer than its own timeouts. `now` is what signatures say the time is.
    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Outcome;
}

/// A claimed row of the outbox.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its place in the outbox, ascending in the order decided.
    pub seq: i64,
    /// The same at every attempt.
    pub id: NotificationId,
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The digest of its key; rows of one (receiver, rule, key) leave in order.
    pub key: [u8; 16],
    /// The message of which it is a later part, where it is one; the parts of a message that were
    /// claimed together lie side by side, in order.
    pub part_of: Option<NotificationId>,
    /// Why it is sent.
    pub reason: Reason,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many of the attempts before this one count against the retry schedule: one that the
    /// receiver only throttled, or that met a closed lane, does not.
    pub failures: u32,
    /// Send the plain form, since the full one was refused.
    pub plain: bool,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What to send.
    pub payload: Payload,
    /// An earlier message that this one follows; receivers that know no threads and edits send it
    /// like any other.
    pub earlier: Option<Earlier>,
}

impl Delivery {
    /// The message that it is, or of which it is a part.
    pub fn message(&self) -> NotificationId {
        self.part_of.unwrap_or(self.id)
    }
}

/// A message that was delivered before, and what this one is to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// What the earlier one's [`Outcome::captured`] holds.
    pub captured: serde_json::Value,
    /// What is to be done.
    pub follow: Follow,
}
