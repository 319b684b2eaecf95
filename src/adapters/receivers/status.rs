//! What an HTTP status alone says of a delivery, for webhooks whose owner may have other ideas, and
//! for answers of the others that do not come from their API.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use jiff::Timestamp;

use super::http::Answer;
use crate::domain::outcome::{Class, Flag, Outcome, Scope};

/// A set of HTTP statuses, written `404`, `5xx` or `500-599`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

/// A set that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status; write 404, 5xx or 500-599")]
pub struct NotAStatus(String);

impl StatusSet {
    /// Whether a status is in it.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    /// The set of several.
    pub fn of(sets: impl IntoIterator<Item = Self>) -> Self {
        Self(sets.into_iter().flat_map(|set| set.0).collect())
    }
}

impl FromStr for StatusSet {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        let status = |text: &str| {
            let is_status = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|status| is_status && *status >= 100)
        };
        let range = if let Some((from, to)) = text.split_once('-') {
            status(from).zip(status(to)).filter(|(from, to)| from <= to)
        } else if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=9).contains(class));
            class.map(|class: u16| (class * 100, class * 100 + 99))
        } else {
            status(text).map(|status| (status, status))
        };
        let (from, to) = range.ok_or_else(|| NotAStatus(text.to_owned()))?;
        Ok(Self(vec![from..=to]))
    }
}

/// What statuses mean. They are looked up in this order; one that is in no set refuses the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPolicy {
    /// The receiver has it: 2xx.
    pub delivered: StatusSet,
    /// Not now: 408, 425, 429, 5xx.
    pub retry: StatusSet,
    /// Nothing can pass until a person acts: 3xx, 401, 403, 404, 405, 407, 410.
    pub endpoint: StatusSet,
}

impl Default for StatusPolicy {
    fn default() -> Self {
        Self {
            delivered: StatusSet(vec![200..=299]),
            retry: StatusSet(vec![408..=408, 425..=425, 429..=429, 500..=599]),
            endpoint: StatusSet(vec![
                100..=199,
                300..=399,
                401..=401,
                403..=405,
                407..=407,
                410..=410,
            ]),
        }
    }
}

/// What a refusal comes to, whatever the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The message can never pass.
    Message,
    /// The message may pass in its plain form.
    Form,
    /// Nothing can pass until a person acts.
    Endpoint,
    /// Not now.
    Later,
    /// Not now, as far as can be told; it may have arrived.
    Unclear,
}

impl Refusal {
    /// The outcome of it.
    pub(super) fn outcome(self, status: u16, detail: String) -> Outcome {
        let class = match self {
            Self::Message | Self::Form => Class::Permanent(Scope::Message),
            Self::Endpoint => Class::Permanent(Scope::Endpoint),
            Self::Later | Self::Unclear => Class::Retry { after: None },
        };
        let outcome = Outcome::new(class, Some(status), detail);
        match self {
            Self::Form => outcome.with(Flag::Fallback),
            Self::Unclear => outcome.with(Flag::Ambiguous),
            Self::Message | Self::Endpoint | Self::Later => outcome,
        }
    }
}

impl StatusPolicy {
    /// What a status that is not `delivered` comes to.
    pub(super) fn refusal(&self, status: u16) -> Refusal {
        if self.retry.contains(status) {
            Refusal::Later
        } else if self.endpoint.contains(status) {
            Refusal::Endpoint
        } else {
            Refusal::Message
        }
    }

    /// The outcome of an answer of which only the status can be understood, and which is not
    /// `delivered`.
    pub(super) fn outcome(&self, kind: &str, answer: &Answer<'_>, now: Timestamp) -> Outcome {
        let refusal = self.refusal(answer.status);
        let detail = match remedy(answer.status) {
            Some(remedy) => format!("{kind} refused: {} — {remedy}", answer.said()),
            None => format!("{kind} refused: {}", answer.said()),
        };
        let mut outcome = refusal.outcome(answer.status, detail);
        if refusal == Refusal::Later {
            let after = answer.retry_after(now);
            outcome.class = Class::Retry { after };
            if answer.status == 429 {
                return throttled(outcome, after);
            }
        }
        outcome
    }
}

/// An outcome that holds the whole destination. Never for less than a second: "retry after 0"
/// would be a loop.
pub(super) fn throttled(mut outcome: Outcome, after: Option<std::time::Duration>) -> Outcome {
    let after = after.map(|after| after.max(std::time::Duration::from_secs(1)));
    outcome.class = Class::Retry { after };
    outcome.with(Flag::Throttle)
}

/// What a person can do about a status.
fn remedy(status: u16) -> Option<&'static str> {
    Some(match status {
        300..=399 => "redirects are not followed; configure the URL that it leads to",
        401 | 403 => "check the credentials in the URL and headers",
        404 | 410 => "there is nothing at this URL; check it, or create the hook again",
        405 => "check the method and the URL",
        407 => "check the proxy's user and password",
        413 => "the message is too large; shorten the template",
        415 => "check the content type that the receiver wants",
        400 | 422 => "the receiver does not understand the body; check the template",
        431 => "the headers are too large",
        _ => return None,
    })
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match (range.start(), range.end()) {
                (from, to) if from == to => write!(f, "{comma}{from}")?,
                (from, to) => write!(f, "{comma}{from}-{to}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_statuses_classes_and_ranges() {
        let set = |text: &str| text.parse::<StatusSet>();
        assert!(set("404").unwrap().contains(404) && !set("404").unwrap().contains(405));
        assert!(set("5xx").unwrap().contains(599) && !set("5xx").unwrap().contains(600));
        assert!(set("500-503").unwrap().contains(503) && !set("500-503").unwrap().contains(504));
        for wrong in ["", "xx", "0xx", "99", "1000", "503-500", "4x4", "+44", "500-", "ok"] {
            assert!(set(wrong).is_err(), "{wrong}");
        }
        let both = StatusSet::of([set("404").unwrap(), set("5xx").unwrap()]);
        assert_eq!(both.to_string(), "404, 500-599");
    }

    #[test]
    fn the_default_policy_is_the_contract() {
        let policy = StatusPolicy::default();
        let refused = |statuses: &[u16], wanted: Refusal| {
            for &status in statuses {
                assert_eq!(policy.refusal(status), wanted, "{status}");
                assert!(!policy.delivered.contains(status), "{status}");
            }
        };
        refused(&[408, 425, 429, 500, 501, 502, 503, 504, 520, 599], Refusal::Later);
        refused(&[301, 302, 304, 307, 308, 401, 403, 404, 405, 410], Refusal::Endpoint);
        refused(&[400, 402, 409, 413, 414, 415, 418, 422, 431, 600], Refusal::Message);
        for status in [200, 201, 202, 204, 299] {
            assert!(policy.delivered.contains(status));
        }
    }
}
