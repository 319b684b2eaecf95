//! One attempt, the same for every type of receiver: prepare, send, read the answer, say what it
//! came to. A type brings a [`Protocol`].
//!
//! A refusal that a person must act upon may be one that a person has acted upon: secrets that
//! stand in files are read again, and if they changed the message is only late, not refused.

use std::{fmt, future::Future, sync::Arc};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::{
    Kind, SettingError, Settings,
    http::{Answer, Failure, FailureKind, Outgoing, Target, Wire},
    scrub::shorten,
};
use crate::{
    adapters::secret::Secret,
    domain::outcome::{Class, Flag, Outcome, Scope},
    ports::{Delivery, Notifier},
};

/// The most that an outcome's detail holds.
const DETAIL_BYTES: usize = 2048;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request that can't be made: what of, and why, with the remedy and without secrets.
#[derive(Debug)]
pub(super) struct Unsendable {
    pub(super) scope: Scope,
    pub(super) text: String,
}

/// What is a type's own: where it sends, what, and how it reads the answer. Implemented by the
/// type's settings.
pub(super) trait Protocol: fmt::Debug + Clone + Send + Sync + 'static {
    /// The type.
    const KIND: &'static Kind;

    /// Whether it makes use of [`Delivery::earlier`].
    const FOLLOWS: bool = false;

    /// The secrets that are read again when the receiver refuses everything.
    fn secrets(&self) -> Vec<&Secret>;

    /// Where it sends, by what the secrets are now.
    fn target(&self) -> Result<Target, SettingError>;

    /// The bytes to send.
    fn body(&self, delivery: &Delivery) -> Bytes;

    /// Adds what differs from message to message to the target's headers.
    fn dress(
        &self,
        _target: &Target,
        _delivery: &Delivery,
        _body: &Bytes,
        _now: Timestamp,
        headers: &mut HeaderMap,
    ) {
        headers.insert(CONTENT_TYPE, JSON);
    }

    /// All that one attempt sends.
    ///
    /// # Errors
    /// It can't be made; nothing is sent.
    fn outgoing(
        &self,
        target: &Target,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Outgoing, Unsendable> {
        let body = self.body(delivery);
        let mut headers = target.headers.clone();
        self.dress(target, delivery, &body, now, &mut headers);
        Ok(Outgoing { at: None, headers, body })
    }

    /// What an answer means. Pure.
    fn classify(&self, answer: &Answer<'_>, delivery: &Delivery, now: Timestamp) -> Outcome;

    /// Makes the attempt: one request, and what its answer means. A type that has to ask for
    /// something first, or that knows another way, makes several.
    fn attempt(
        &self,
        wire: &Wire,
        target: &Target,
        delivery: &Delivery,
        now: Timestamp,
    ) -> impl Future<Output = Outcome> + Send {
        async move {
            match self.outgoing(target, delivery, now) {
                Ok(mut outgoing) => match wire.exchange(target, &mut outgoing).await {
                    Ok(answer) => self.classify(&answer, delivery, now),
                    Err(failure) => failed(Self::KIND.name, &failure),
                },
                Err(Unsendable { scope, text }) => {
                    let detail = format!("{} was not sent to: {text}", Self::KIND.name);
                    Outcome::new(Class::Permanent(scope), None, detail)
                }
            }
        }
    }
}

impl<P: Protocol> Settings for P {
    fn kind(&self) -> &'static Kind {
        P::KIND
    }

    fn sends_in_clear(&self) -> bool {
        self.target().is_ok_and(|target| target.is_in_clear())
    }

    fn open(&self, wire: &Wire) -> Result<Arc<dyn Notifier>, SettingError> {
        let target = ArcSwap::from_pointee(wire.prepare(self.target()?));
        let (protocol, wire) = (self.clone(), wire.clone());
        Ok(Arc::new(Receiver { protocol, wire, target, renewing: tokio::sync::Mutex::default() }))
    }
}

/// A receiver of any type.
struct Receiver<P> {
    protocol: P,
    wire: Wire,
    /// Replaced when a secret was found to have changed.
    target: ArcSwap<Target>,
    /// Held while secrets are read again, so that of many refused at once one reads and the others
    /// learn of it.
    renewing: tokio::sync::Mutex<()>,
}

#[async_trait]
impl<P: Protocol> Notifier for Receiver<P> {
    fn kind(&self) -> &'static str {
        P::KIND.name
    }

    fn follows(&self) -> bool {
        P::FOLLOWS
    }

    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Outcome {
        let target = self.target.load_full();
        let mut outcome = self.protocol.attempt(&self.wire, &target, delivery, now).await;
        if outcome.class == Class::Permanent(Scope::Endpoint) {
            outcome = self.after_refusal(&target, outcome).await;
        }
        shorten(&mut outcome.detail, DETAIL_BYTES);
        outcome
    }
}

impl<P: Protocol> Receiver<P> {
    /// Reads secrets again after everything was refused: if they are others now than those that
    /// were used, the refusal no longer stands.
    async fn after_refusal(&self, used: &Arc<Target>, refusal: Outcome) -> Outcome {
        match self.renew(used).await {
            Ok(true) => {
                let detail =
                    format!("{}; its secret has changed and was read again", refusal.detail);
                Outcome { class: Class::Retry { after: None }, detail, ..refusal }
            }
            Ok(false) => refusal,
            Err(problem) => {
                let detail =
                    format!("{}; its secret could not be read again: {problem}", refusal.detail);
                Outcome { detail, ..refusal }
            }
        }
    }

    /// Whether requests go elsewhere now than `used` says.
    async fn renew(&self, used: &Arc<Target>) -> Result<bool, String> {
        let _one_at_a_time = self.renewing.lock().await;
        if !Arc::ptr_eq(used, &self.target.load()) {
            return Ok(true);
        }
        let protocol = self.protocol.clone();
        let fresh = tokio::task::spawn_blocking(move || {
            for secret in protocol.secrets() {
                secret.reread().map_err(|error| error.to_string())?;
            }
            protocol.target().map_err(|error| error.to_string())
        });
        let fresh = fresh.await.map_err(|_| "the service is stopping".to_owned())??;
        let fresh = self.wire.prepare(fresh);
        if fresh.is_same_as(used) {
            return Ok(false);
        }
        self.target.store(Arc::new(fresh));
        Ok(true)
    }
}

/// The outcome of a request that got no answer.
pub(super) fn failed(kind: &str, failure: &Failure) -> Outcome {
    let text = &failure.text;
    let later = Class::Retry { after: None };
    match failure.kind {
        FailureKind::Forbidden => {
            let detail = format!(
                "{kind} was not sent to: {text}, which may not be dialled — configure another URL"
            );
            Outcome::new(Class::Permanent(Scope::Endpoint), None, detail)
        }
        FailureKind::Unusable => {
            let detail = format!("{kind} was not sent to: {text} — check its URL");
            Outcome::new(Class::Permanent(Scope::Endpoint), None, detail)
        }
        FailureKind::Unreached => {
            Outcome::new(later, None, format!("{kind} was not reached: {text}"))
        }
        FailureKind::Unanswered => {
            let detail =
                format!("{kind} gave no whole answer, so the message may have arrived: {text}");
            Outcome::new(later, failure.status, detail).with(Flag::Ambiguous)
        }
    }
}
