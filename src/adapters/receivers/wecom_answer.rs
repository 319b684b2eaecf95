//! What the answers of WeCom's API mean, to robots and apps alike.
//!
//! The API says everything in `errcode`, behind HTTP 200; an answer without one may come from a
//! gateway in between, so the message may or may not have arrived. Deliberately absent: what is
//! done about a stale access token, which is the app's.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::{
    http::Answer,
    json,
    status::{Refusal, StatusPolicy, throttled},
    wecom::KIND,
};
use crate::domain::outcome::{Class, Flag, Outcome};

/// What whoever sends too fast waits.
const THROTTLED: Duration = Duration::from_secs(60);

/// How often a message is sent again while the API says that it is busy.
const BUSY_RETRIES: u32 = 3;

/// Codes that refuse, what they come to, and what they mean.
type Refusals = &'static [(i64, Refusal, &'static str)];

/// Who is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A group robot.
    Robot,
    /// An app, with an access token.
    App,
}

impl Sender {
    /// Codes that refuse it, beside those that refuse whoever sends.
    const fn refusals(self) -> Refusals {
        match self {
            Self::Robot => ROBOT,
            Self::App => APP,
        }
    }
}

/// An answer of the API.
#[derive(Deserialize)]
pub(super) struct Said {
    #[serde(deserialize_with = "code")]
    pub(super) errcode: i64,
    /// In words. Like all below: whatever else stands there must not make an answer of success
    /// unreadable, or the message would be sent again.
    #[serde(default)]
    errmsg: Value,
    /// Whom an app's message did not reach, `|` between them.
    #[serde(default)]
    invaliduser: Value,
    #[serde(default)]
    invalidparty: Value,
    #[serde(default)]
    invalidtag: Value,
    #[serde(default)]
    unlicenseduser: Value,
}

impl Said {
    /// The answer in a body, where it is one.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        json::read_object(body)
    }

    /// What the API says to it, in words; empty where it says none.
    pub(super) fn errmsg(&self) -> &str {
        self.errmsg.as_str().unwrap_or_default()
    }

    /// Whom the message did not reach, in words; empty where it reached everybody.
    fn missed(&self) -> String {
        let lists = [
            ("invaliduser", &self.invaliduser),
            ("invalidparty", &self.invalidparty),
            ("invalidtag", &self.invalidtag),
            ("unlicenseduser", &self.unlicenseduser),
        ];
        let named = lists.iter().filter_map(|(name, list)| Some((name, list.as_str()?)));
        let named = named.filter(|(_, list)| !list.trim().is_empty());
        named.map(|(name, list)| format!("{name} {list}")).collect::<Vec<_>>().join(", ")
    }
}

/// A code, which a gateway may have made text of.
fn code<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let code = Value::deserialize(from)?;
    let number = code.as_i64().or_else(|| code.as_str()?.parse().ok());
    number.ok_or_else(|| D::Error::custom("errcode is no whole number"))
}

/// Codes that refuse, whoever sends. Others refuse the message.
const COMMON: Refusals = &[
    (40008, Refusal::Message, "the message's type is unknown; check the template"),
    (40033, Refusal::Message, "the message holds characters that WeCom refuses"),
    (40035, Refusal::Message, "WeCom can't read the message; check the template"),
    (40039, Refusal::Message, "a link is malformed; check the template"),
    (40058, Refusal::Message, "a field is malformed or too long; check the template"),
    (40063, Refusal::Message, "a field is empty; check the template"),
    (44004, Refusal::Message, "the message is empty; check the template"),
    (45002, Refusal::Message, "the message is too long; shorten the template"),
    (45008, Refusal::Message, "the message has too many articles; check the template"),
    (45033, Refusal::Later, "too many requests at once; lower concurrency"),
];

/// Codes that refuse a robot.
const ROBOT: Refusals = &[
    (
        93000,
        Refusal::Endpoint,
        "the key is wrong or the robot was removed; add a robot to the group and update key",
    ),
    (93004, Refusal::Endpoint, "the robot is disabled; enable it, or add another and update key"),
    (
        93008,
        Refusal::Endpoint,
        "the robot is not in the group; add it, or add another and update key",
    ),
];

/// Codes that refuse an app.
const APP: Refusals = &[
    (40001, Refusal::Endpoint, "the secret is not that of this corpid and app; update secret"),
    (40013, Refusal::Endpoint, "there is no such corpid; update corpid"),
    (40056, Refusal::Endpoint, "there is no such agentid; update agentid"),
    (
        48002,
        Refusal::Endpoint,
        "the app may not send messages; grant it that in WeCom's administration",
    ),
    (
        60020,
        Refusal::Endpoint,
        "this machine's address is not among the app's trusted ones; add it in WeCom's \
         administration",
    ),
    (
        81013,
        Refusal::Endpoint,
        "nobody of to_user, to_party and to_tag exists or may see the app; correct them",
    ),
    (82001, Refusal::Endpoint, "the message is for nobody; give to_user, to_party or to_tag"),
    (
        301_002,
        Refusal::Endpoint,
        "the secret belongs to another app than agentid; give both from the same page",
    ),
];

/// Codes that say that an access token is no longer taken.
const STALE: [i64; 3] = [40014, 41001, 42001];

/// Whether an answer says that the access token is no longer taken.
pub(super) fn is_stale(answer: &Answer<'_>) -> bool {
    Said::read(&answer.body).is_some_and(|said| STALE.contains(&said.errcode))
}

/// What an answer to a message means. `failures` counts the earlier attempts that failed.
pub(super) fn classify(
    answer: &Answer<'_>,
    sender: Sender,
    failures: u32,
    now: Timestamp,
) -> Outcome {
    let status = answer.status;
    if status == 429 {
        let after = answer.retry_after(now).unwrap_or(THROTTLED);
        return too_fast(status, &answer.said(), after);
    }
    let policy = StatusPolicy::default();
    if policy.retry.contains(status) {
        return policy.outcome(KIND.name, answer, now);
    }
    match Said::read(&answer.body) {
        Some(said) if answer.is_success() || said.errcode != 0 => {
            by_code(answer, &said, sender, failures, now)
        }
        _ if answer.is_success() => {
            let detail = format!(
                "wecom gave an answer without errcode, so the message may have arrived: {} — \
                 check what stands between",
                answer.said()
            );
            Refusal::Unclear.outcome(status, detail)
        }
        _ => policy.outcome(KIND.name, answer, now),
    }
}

fn by_code(
    answer: &Answer<'_>,
    said: &Said,
    sender: Sender,
    failures: u32,
    now: Timestamp,
) -> Outcome {
    let code = said.errcode;
    let status = answer.status;
    let quote = format!("{code} {}", answer.quote(said.errmsg()));
    match code {
        0 if said.errmsg().to_ascii_lowercase().contains("warning") => {
            let detail = format!("wecom took it, but not as it was meant: {quote}");
            Outcome::new(Class::Delivered, Some(status), detail).with(Flag::Degraded)
        }
        0 => match said.missed() {
            missed if missed.is_empty() => {
                Outcome::new(Class::Delivered, Some(status), "wecom took it")
            }
            missed => {
                let missed = answer.quote(&missed);
                let detail = format!("wecom took it, but not for everybody: {missed}");
                Outcome::new(Class::Delivered, Some(status), detail).with(Flag::Degraded)
            }
        },
        -1 if failures < BUSY_RETRIES => {
            Refusal::Later.outcome(status, format!("wecom is busy: {quote}"))
        }
        -1 => {
            let detail = format!("wecom is busy, after {BUSY_RETRIES} retries still: {quote}");
            Refusal::Message.outcome(status, detail)
        }
        45009 => too_fast(status, &quote, answer.retry_after(now).unwrap_or(THROTTLED)),
        // Not the message's fault, and over as soon as there is a fresh one.
        _ if sender == Sender::App && STALE.contains(&code) => {
            let detail = format!("wecom refused the access token: {quote}");
            Outcome::new(Class::Retry { after: Some(Duration::ZERO) }, Some(status), detail)
        }
        _ => {
            let mut known = sender.refusals().iter().chain(COMMON);
            let (refusal, remedy) = known.find(|(known, ..)| *known == code).map_or(
                (Refusal::Message, "an unknown code; look it up in WeCom's list of error codes"),
                |&(_, refusal, remedy)| (refusal, remedy),
            );
            let too_long = said.errmsg().to_ascii_lowercase().contains("exceed max length");
            let refusal = match refusal {
                Refusal::Message if too_long => Refusal::Form,
                other => other,
            };
            refusal.outcome(status, format!("wecom refused: {quote} — {remedy}"))
        }
    }
}

fn too_fast(status: u16, quote: &str, after: Duration) -> Outcome {
    let detail = format!("wecom is being sent to too fast: {quote}");
    throttled(Outcome::new(Class::Retry { after: None }, Some(status), detail), Some(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_documented() {
        let document = include_str!("../../../docs/receivers.md");
        let codes = COMMON.iter().chain(ROBOT).chain(APP).map(|(code, ..)| *code).chain(STALE);
        for code in codes {
            assert!(document.contains(&code.to_string()), "{code}");
        }
    }
}
