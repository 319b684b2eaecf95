//! What an attempt to deliver came to, as the receiver's answer says (`docs/receivers.md`).
//!
//! Deliberately absent: what to do next, which is `retry`'s to say, and every receiver's own
//! answers, which its adapter reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::notification::words;

words! {
    /// What a permanent refusal is about.
    Scope {
        /// This message can never pass.
        Message = "message",
        /// Nothing can pass until a person acts.
        Endpoint = "endpoint",
    }
}

words! {
    /// What else is to be said of an attempt.
    Flag {
        /// It may have arrived although it looks failed.
        Ambiguous = "ambiguous",
        /// It arrived, but not as asked.
        Degraded = "degraded",
        /// The whole destination is to be held, not just this message.
        Throttle = "throttle",
        /// It may pass in another form: the adapter is to send its plain form next.
        Fallback = "fallback",
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The receiver has it.
    Delivered,
    /// Not now.
    Retry {
        /// How long the receiver asked to wait; `None` leaves it to the schedule.
        after: Option<Duration>,
    },
    /// Never, as it stands.
    Permanent(Scope),
}

/// The result of one attempt, free of secrets, fit to be shown and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it came to.
    pub class: Class,
    /// What else is to be said, in [`Flag`] order, each at most once.
    pub flags: Vec<Flag>,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// A sentence for the operator: cause and, where there is one, remedy. At most 2 KiB, no
    /// control characters, no secrets.
    pub detail: String,
    /// Ids that the answer gave for later edits or threads (Slack's `ts` and `channel`), as JSON.
    pub captured: Option<serde_json::Value>,
}

impl Outcome {
    /// An outcome of that class with nothing else said.
    pub fn new(class: Class, status: Option<u16>, detail: impl Into<String>) -> Self {
        Self { class, flags: Vec::new(), status, detail: detail.into(), captured: None }
    }

    /// The same with a flag more.
    #[must_use]
    pub fn with(mut self, flag: Flag) -> Self {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
            self.flags.sort_unstable();
        }
        self
    }

    /// Whether a flag is set.
    pub fn is(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }
}

/// An outcome in the form of the API's `last_outcome` (design 2.6), which is also how it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// `delivered`, `retry` or `permanent`.
    pub class: String,
    /// `message` or `endpoint`, for a permanent one.
    pub scope: Option<Scope>,
    /// The flags.
    pub flags: Vec<Flag>,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// A sentence for the operator.
    pub detail: String,
    /// Seconds that the receiver asked to wait, rounded up.
    pub retry_after_s: Option<u64>,
}

impl From<&Outcome> for OutcomeRecord {
    fn from(outcome: &Outcome) -> Self {
        let (class, scope, after) = match &outcome.class {
            Class::Delivered => ("delivered", None, None),
            Class::Retry { after } => ("retry", None, *after),
            Class::Permanent(scope) => ("permanent", Some(*scope), None),
        };
        Self {
            class: class.to_owned(),
            scope,
            flags: outcome.flags.clone(),
            status: outcome.status,
            detail: outcome.detail.clone(),
            retry_after_s: after.map(|after| after.as_millis().div_ceil(1000) as u64),
        }
    }
}
