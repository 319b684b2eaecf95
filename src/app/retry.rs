//! Another try by hand: for one message, or for a receiver's dead letters.
//!
//! Deliberately absent: what a retry does to rows (the store), and the requests that ask for one.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    document::parse_duration,
    domain::notification::{NotificationId, NotificationState},
    engine::{decider::Policy, fallback::redirect, wake::Wakes},
    ports::{ControlError, Redirect, RetriedDead, RetryDead, RetryText, Store},
};

use super::fleet::Kinds;

/// Dead letters that are looked at in one transaction.
const STEP: usize = 1_000;

/// Steps that one wish takes; whoever wished goes on from there.
const STEPS: usize = 10;

/// What a retry needs of the running service.
pub(super) struct Retries<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) wakes: &'a Wakes,
    /// The receivers' types, by name.
    pub(super) kinds: Arc<Kinds>,
    /// What is in force.
    pub(super) policy: Arc<Policy>,
    pub(super) now: Timestamp,
}

fn conflict<T>(why: impl Into<String>) -> Result<T, ControlError> {
    Err(ControlError::Conflict(why.into()))
}

impl Retries<'_> {
    /// Tries one again.
    pub(super) async fn one(
        &self,
        id: NotificationId,
        to: Option<&str>,
    ) -> Result<(), ControlError> {
        let (found, payload, _) =
            self.store.notification(id).await?.ok_or(ControlError::NotFound)?;
        if !matches!(found.state, NotificationState::Dead | NotificationState::Pending) {
            let state = found.state;
            return conflict(format!("it is {state}; only a dead or waiting one is retried"));
        }
        if payload.is_none() {
            return conflict("there is nothing to send");
        }
        if found.state == NotificationState::Pending && found.next_attempt_at.is_none() {
            // First in, first out per key holds for people too.
            let why = "it waits behind an earlier message about the same thing; retry that one";
            return conflict(why);
        }
        let target = self.target(&found.receiver, to)?;
        if !self.store.retry(id, self.redirect(to), self.now).await? {
            return conflict("it was taken up in this very moment; look at it again");
        }
        self.wakes.urge(target);
        Ok(())
    }

    /// Tries dead letters of a receiver again, a bounded number of them.
    pub(super) async fn dead(&self, text: &RetryText) -> Result<RetriedDead, ControlError> {
        let to = text.to.as_deref();
        let target = self.target(&text.receiver, to)?;
        let mut wish = RetryDead {
            receiver: text.receiver.as_str().into(),
            to: self.redirect(to),
            since: since(&text.since, self.now)?,
            after: text.after,
            limit: STEP,
            now: self.now,
            preview: text.preview,
        };
        let mut done = RetriedDead::default();
        for _ in 0..STEPS {
            let step = self.store.retry_dead(wish.clone()).await?;
            done = RetriedDead { count: done.count + step.count, next: step.next };
            let Some(next) = step.next else { break };
            wish.after = next;
        }
        if done.count > 0 && !text.preview {
            self.wakes.urge(target);
        }
        Ok(done)
    }

    /// Another receiver, with the text that messages have there by what is in force.
    fn redirect(&self, to: Option<&str>) -> Option<Redirect> {
        to.map(|to| redirect(to.into(), self.policy.clone()))
    }

    /// The receiver that is to get it: `to`, else its own; one that is there.
    fn target<'a>(&self, own: &'a str, to: Option<&'a str>) -> Result<&'a str, ControlError> {
        let target = to.unwrap_or(own);
        if !self.kinds.contains_key(target) {
            let known: Vec<_> = self.kinds.keys().map(|name| &**name).collect();
            return conflict(format!("there is no receiver {target}; known: {}", known.join(", ")));
        }
        Ok(target)
    }
}

/// Reads since when: an instant, or how long ago.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, ControlError> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let invalid = |why: String| ControlError::Invalid(format!("`since` {why}"));
    let ago = parse_duration(text).map_err(|error| {
        invalid(format!("is an instant as `2026-03-02T09:00:00+08:00`, or a duration: {error}"))
    })?;
    now.checked_sub(ago).map_err(|_| invalid("is too long ago".to_owned()))
}
