//! What a webhook's answers mean, where its configuration says so.
//!
//! Asked in this order: `success_when`, `throttle_when`, `retry_when`, `disable_when`; what is left
//! over is read by its status. A receiver of which `success_when` is known has not taken a message
//! until that holds, whatever the status: an answer that says otherwise refuses the message, and one
//! that says nothing (no JSON, or without the value) may come from something in between, so the
//! message is sent again. Deliberately absent: statuses by themselves (`status`).

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    http::Answer,
    predicate::{Holds, Parsed, Pointer, Predicate, Wait, text_of},
    status::{Refusal, StatusPolicy, throttled},
    webhook::TOOK,
};
use crate::domain::outcome::{Class, Outcome};

/// The most bytes of one captured text.
const CAPTURED_BYTES: usize = 256;

/// What a webhook's answers mean.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// The receiver has it.
    pub success_when: Option<Predicate>,
    /// Not now, and nothing else either.
    pub throttle_when: Option<Predicate>,
    /// Not now.
    pub retry_when: Option<Predicate>,
    /// Nothing can pass until a person acts.
    pub disable_when: Option<Predicate>,
    /// How long to wait, beside the header `Retry-After`: the first that says so.
    pub retry_after: Vec<Wait>,
    /// Values of an answer that are kept with a delivery, by name.
    pub capture: Vec<(String, Pointer)>,
}

impl Answers {
    /// What an answer comes to; `None` leaves it to its status.
    pub(super) fn outcome(
        &self,
        answer: &Answer<'_>,
        statuses: &StatusPolicy,
        now: Timestamp,
    ) -> Option<Outcome> {
        let parsed = Parsed::of(answer);
        let success = self
            .success_when
            .as_ref()
            .map(|success| success.of(answer, &parsed, Some(&statuses.delivered)));
        if success == Some(Holds::Yes) {
            return Some(Outcome::new(Class::Delivered, Some(answer.status), TOOK));
        }
        let holds = |predicate: &Option<Predicate>| {
            let held = predicate.as_ref().map(|predicate| predicate.of(answer, &parsed, None));
            held == Some(Holds::Yes)
        };
        let status = answer.status;
        if holds(&self.throttle_when) {
            let detail = format!("webhook takes no more for now: {}", answer.said());
            let after = self.wait(answer, &parsed, now);
            return Some(throttled(Refusal::Later.outcome(status, detail), after));
        }
        if holds(&self.retry_when) {
            let detail = format!("webhook did not take it now: {}", answer.said());
            let mut outcome = Refusal::Later.outcome(status, detail);
            outcome.class = Class::Retry { after: self.wait(answer, &parsed, now) };
            return Some(outcome);
        }
        if holds(&self.disable_when) {
            let detail = format!(
                "webhook takes nothing from us: {} — `disable_when` holds; correct the receiver",
                answer.said()
            );
            return Some(Refusal::Endpoint.outcome(status, detail));
        }
        if !statuses.delivered.contains(status) {
            return self.by_status(answer, &parsed, statuses, now);
        }
        self.not_taken(answer, success?)
    }

    /// An answer with a status of refusal that says how long to wait in its own way.
    fn by_status(
        &self,
        answer: &Answer<'_>,
        parsed: &Parsed,
        statuses: &StatusPolicy,
        now: Timestamp,
    ) -> Option<Outcome> {
        if self.retry_after.is_empty() || statuses.refusal(answer.status) != Refusal::Later {
            return None;
        }
        let after = self.wait(answer, parsed, now);
        let mut outcome = statuses.outcome("webhook", answer, now);
        outcome.class = Class::Retry { after };
        Some(if answer.status == 429 { throttled(outcome, after) } else { outcome })
    }

    /// An answer with a status of success that is none.
    fn not_taken(&self, answer: &Answer<'_>, success: Holds) -> Option<Outcome> {
        let said = answer.said();
        match success {
            Holds::Yes => None,
            Holds::No(why) => {
                let detail = format!("webhook refused: {said} — `success_when` fails: {why}");
                Some(Refusal::Message.outcome(answer.status, detail))
            }
            Holds::Unknown(why) => {
                let detail = format!(
                    "webhook did not say that it took it, so it is sent again: {said} — \
                     `success_when` can't tell: {why}"
                );
                Some(Refusal::Unclear.outcome(answer.status, detail))
            }
        }
    }

    fn wait(&self, answer: &Answer<'_>, parsed: &Parsed, now: Timestamp) -> Option<Duration> {
        let header = answer.retry_after(now);
        header.or_else(|| self.retry_after.iter().find_map(|wait| wait.of(parsed)))
    }

    /// The values that are kept with a delivery: texts, numbers, true and false, secrets masked.
    pub(super) fn captured(&self, answer: &Answer<'_>) -> Option<Value> {
        if self.capture.is_empty() {
            return None;
        }
        let parsed = Parsed::of(answer);
        let found: Map<String, Value> = self
            .capture
            .iter()
            .filter_map(|(name, pointer)| Some((name.clone(), shown(answer, parsed.at(pointer)?)?)))
            .collect();
        (!found.is_empty()).then_some(found.into())
    }
}

/// A value fit to be kept: no list, no map, nothing secret.
fn shown(answer: &Answer<'_>, value: &Value) -> Option<Value> {
    if matches!(value, Value::Array(_) | Value::Object(_) | Value::Null) {
        return None;
    }
    let text = text_of(value);
    let mut clean = answer.scrub.clean(&text, false, CAPTURED_BYTES);
    if clean == text && !value.is_string() {
        return Some(value.clone());
    }
    clean.truncate(clean.trim_end().len());
    Some(Value::String(clean))
}
