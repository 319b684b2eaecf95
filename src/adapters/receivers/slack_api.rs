//! What the answers of Slack's Web API mean (`chat.postMessage`, `chat.update`).
//!
//! Deliberately absent, so far: the receiver that calls it. The table is here since its answers are
//! known, and since it must agree with the incoming webhook's beside it.
#![cfg_attr(
    not(test),
    expect(dead_code, reason = "the receiver with a bot token is not built yet")
)]

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    http::Answer,
    status::{Refusal, StatusPolicy, throttled},
};
use crate::domain::outcome::{Class, Outcome};

/// An answer of the API.
#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    error: String,
}

/// Errors, what they come to, and what they mean; a `*` at the end stands for any ending. The first
/// that fits holds. Others refuse the message.
const REFUSALS: &[(&str, Refusal, &str)] = &[
    ("service_unavailable", Refusal::Later, ""),
    ("request_timeout", Refusal::Later, ""),
    ("update_failed", Refusal::Later, ""),
    ("team_added_to_org", Refusal::Later, "the workspace is being moved"),
    ("external_channel_migrating", Refusal::Later, "the channel is being moved"),
    ("internal_error", Refusal::Unclear, ""),
    ("fatal_error", Refusal::Unclear, ""),
    ("invalid_auth", Refusal::Endpoint, "the token is wrong; update token"),
    ("not_authed", Refusal::Endpoint, "no token arrived; update token"),
    ("account_inactive", Refusal::Endpoint, "the token's user is gone; update token"),
    ("token_revoked", Refusal::Endpoint, "the token was revoked; update token"),
    ("token_expired", Refusal::Endpoint, "the token has expired; update token"),
    ("missing_scope", Refusal::Endpoint, "give the app the scope chat:write"),
    ("no_permission", Refusal::Endpoint, "give the app the scope chat:write"),
    ("not_allowed_token_type", Refusal::Endpoint, "use a bot token, xoxb-…"),
    ("access_denied", Refusal::Endpoint, "the app may not do this; ask an administrator"),
    ("channel_not_found", Refusal::Endpoint, "check channel, and invite the app if it is private"),
    ("not_in_channel", Refusal::Endpoint, "invite the app to the channel"),
    ("is_archived", Refusal::Endpoint, "the channel is archived; unarchive it or update channel"),
    ("is_inactive", Refusal::Endpoint, "the channel is frozen; update channel"),
    ("team_not_found", Refusal::Endpoint, "the workspace is gone; update token"),
    ("message_limit_exceeded", Refusal::Endpoint, "the workspace's plan takes no more messages"),
    ("restricted_action_thread_locked", Refusal::Form, "the thread is locked"),
    ("restricted_action*", Refusal::Endpoint, "an administrator restricted who may post"),
    ("message_not_found", Refusal::Form, "the message to change is gone"),
    ("cant_update_message", Refusal::Form, "the message is not the app's to change"),
    ("edit_window_closed", Refusal::Form, "the message is too old to change"),
    ("block_mismatch", Refusal::Form, "the blocks changed meanwhile"),
    ("cannot_reply_to_message", Refusal::Form, "the message takes no replies"),
    ("msg_blocks_too_long", Refusal::Form, "the blocks are too long; shorten the template"),
    ("invalid_blocks*", Refusal::Form, "Slack can't show the blocks; check the template"),
    ("invalid_attachments", Refusal::Form, "Slack can't show the attachments; check the template"),
    ("no_text", Refusal::Message, "the message is empty; check the template"),
    ("msg_too_long", Refusal::Message, "the text is too long; shorten the template"),
    ("too_many_attachments", Refusal::Message, "a message holds at most 100 attachments"),
    ("invalid_arguments", Refusal::Message, "Slack can't read the message; check the template"),
    ("metadata_*", Refusal::Message, "the metadata is malformed; check the template"),
];

/// What an answer means.
fn classify(answer: &Answer<'_>, now: Timestamp) -> Outcome {
    let is_object = answer.body.trim_ascii_start().starts_with(b"{");
    let said: Option<Said> = is_object.then(|| serde_json::from_slice(&answer.body).ok()).flatten();
    let is_limited = |said: &Said| matches!(&*said.error, "ratelimited" | "rate_limited");
    if answer.status == 429 || said.as_ref().is_some_and(is_limited) {
        let after = answer.retry_after(now).unwrap_or(Duration::from_secs(1));
        let detail = format!("slack is being sent to too fast: {}", answer.said());
        let outcome = Outcome::new(Class::Retry { after: None }, Some(answer.status), detail);
        return throttled(outcome, Some(after));
    }
    match said {
        Some(said) if answer.is_success() => by_error(answer, &said),
        None if answer.is_success() => {
            let detail = format!(
                "slack gave an answer that can't be read, so the message may have arrived: {}",
                answer.said()
            );
            Refusal::Unclear.outcome(answer.status, detail)
        }
        _ => StatusPolicy::default().outcome("slack", answer, now),
    }
}

fn by_error(answer: &Answer<'_>, said: &Said) -> Outcome {
    if said.ok {
        return Outcome::new(Class::Delivered, Some(answer.status), "slack took it");
    }
    let fits = |known: &str| match known.strip_suffix('*') {
        Some(beginning) => said.error.starts_with(beginning),
        None => said.error == known,
    };
    let known = REFUSALS.iter().find(|(known, ..)| fits(known));
    let (refusal, remedy) =
        known.map_or((Refusal::Message, ""), |&(_, refusal, remedy)| (refusal, remedy));
    let dash = if remedy.is_empty() { "" } else { " — " };
    let detail = format!("slack refused: {}{dash}{remedy}", answer.quote(&said.error));
    refusal.outcome(answer.status, detail)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName};
    use serde_json::Value;

    use super::{super::scrub::Scrubber, *};
    use crate::domain::outcome::{Flag, Scope};

    fn outcome(status: u16, headers: &[(&str, &str)], body: &str) -> Outcome {
        let header = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
        };
        let headers: HeaderMap = headers.iter().map(header).collect();
        let scrub = Scrubber::default();
        let body = body.to_owned().into();
        classify(
            &Answer { status, headers, body, cut: false, scrub: &scrub },
            Timestamp::UNIX_EPOCH,
        )
    }

    fn refused(error: &str) -> Outcome {
        outcome(200, &[], &format!(r#"{{"ok":false,"error":"{error}"}}"#))
    }

    #[test]
    fn known_answers_come_to_what_they_are_known_to() {
        let known = include_str!("../../../tests/vectors/receiver_cases.json");
        let known: Value = serde_json::from_str(known).unwrap();
        let cases = known["cases"].as_array().unwrap();
        let cases = cases.iter().filter(|case| case["receiver"] == "slack_api");
        let mut tried = 0;
        for case in cases {
            let answer = &case["answer"];
            let headers: Vec<_> = answer["headers"].as_object().unwrap().iter().collect();
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (&***name, value.as_str().unwrap())).collect();
            let status = answer["status"].as_u64().unwrap() as u16;
            let got = outcome(status, &headers, answer["body"].as_str().unwrap());
            let expect = &case["expect"];
            let class = match expect["class"].as_str().unwrap() {
                "retry" => {
                    let after = expect["after_s"].as_u64().map(Duration::from_secs);
                    Class::Retry { after }
                }
                _ => Class::Permanent(Scope::by_name(expect["scope"].as_str().unwrap()).unwrap()),
            };
            assert_eq!(got.class, class, "{}", case["id"]);
            for (flag, name) in [
                (Flag::Ambiguous, "ambiguous"),
                (Flag::Throttle, "throttle_destination"),
                (Flag::Fallback, "fallback"),
            ] {
                assert_eq!(got.is(flag), !expect[name].is_null(), "{}: {name}", case["id"]);
            }
            tried += 1;
        }
        assert_eq!(tried, 7);
    }

    #[test]
    fn errors_are_classed_as_the_contract_says() {
        let class = |error: &str| (refused(error).class, refused(error).flags);
        let message = Class::Permanent(Scope::Message);
        let endpoint = Class::Permanent(Scope::Endpoint);
        assert_eq!(class("restricted_action"), (endpoint.clone(), vec![]));
        assert_eq!(class("restricted_action_read_only_channel"), (endpoint, vec![]));
        let form = (message.clone(), vec![Flag::Fallback]);
        assert_eq!(class("restricted_action_thread_locked"), form);
        assert_eq!(class("invalid_blocks_format"), form);
        assert_eq!(class("metadata_too_large"), (message.clone(), vec![]));
        assert_eq!(class("something_new"), (message, vec![]));
        let later = Class::Retry { after: None };
        assert_eq!(class("update_failed"), (later.clone(), vec![]));
        assert_eq!(outcome(502, &[], "<html>").class, later);
        assert_eq!(outcome(200, &[], r#"{"ok":true}"#).class, Class::Delivered);
        for unreadable in ["", "<html>", "{}", "[true]", "ok", r#"{"ok":"true"}"#] {
            let got = outcome(200, &[], unreadable);
            assert_eq!((got.class, got.flags), (later.clone(), vec![Flag::Ambiguous]));
        }
        let limited = Class::Retry { after: Some(Duration::from_secs(1)) };
        assert_eq!(class("ratelimited"), (limited, vec![Flag::Throttle]));
    }
}
