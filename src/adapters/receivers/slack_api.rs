//! Slack's Web API with a bot token: messages into a channel (`chat.postMessage`), into a thread,
//! and in place of an earlier one (`chat.update`).
//!
//! Everything is said in the body, behind HTTP 200. A delivered message's `ts` and `channel` are
//! kept, and whoever is given them can follow it. An earlier message that can't be followed any
//! more makes a new one, in the same attempt: it is better told twice than not. Deliberately
//! absent: which message follows which, which is decided before.

use std::{fmt, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Kind, SettingError,
    attempt::{Protocol, failed},
    http::{Answer, Outgoing, Target, Wire},
    json, slack,
    status::{Refusal, StatusPolicy, throttled},
};
use crate::{
    adapters::secret::Secret,
    domain::{
        notification::Follow,
        outcome::{Class, Flag, Outcome, Scope},
    },
    ports::{Delivery, Earlier, PayloadFormat},
};

/// Incoming webhooks and apps are one type to whoever configures them.
const KIND: Kind = slack::KIND;

const API: &str = "https://slack.com/api";
const POST: &str = "chat.postMessage";
const UPDATE: &str = "chat.update";

/// Without a charset Slack takes the message and warns.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// The longest id of a message or a channel that is kept.
const ID_BYTES: usize = 64;

/// An app in a channel.
#[derive(Clone)]
pub struct SlackApiSettings {
    token: Secret,
    channel: String,
    api: Url,
}

impl SlackApiSettings {
    /// Settings for a bot token and a channel, by id (`C…`) or by name (`#deploys`). `api_url` is
    /// where the API is, where it is not Slack's own.
    ///
    /// # Errors
    /// Everything that is malformed.
    pub fn new(
        token: Secret,
        channel: &str,
        api_url: Option<&str>,
    ) -> Result<Self, Vec<SettingError>> {
        let channel = checked_channel(channel);
        let api = api_base(api_url.unwrap_or(API));
        let sound = token.expose(|token| bearer(token).map(drop));
        match (sound, channel, api) {
            (Ok(()), Ok(channel), Ok(api)) => Ok(Self { token, channel, api }),
            (token, channel, api) => {
                Err([token.err(), channel.err(), api.err()].into_iter().flatten().collect())
            }
        }
    }

    /// The address of a method.
    fn method(&self, name: &str) -> Url {
        let mut url = self.api.clone();
        url.set_path(&format!("{}/{name}", self.api.path().trim_end_matches('/')));
        url
    }

    /// The message as a new one in the channel.
    fn message(&self, delivery: &Delivery) -> Map<String, Value> {
        let body = &delivery.payload.body;
        let plain;
        let body = match delivery.payload.format {
            PayloadFormat::Json if delivery.plain => {
                plain = slack::plain_form(body);
                &plain
            }
            _ => body,
        };
        let mut message = match (delivery.payload.format, serde_json::from_str(body)) {
            (PayloadFormat::Json, Ok(Value::Object(message))) => message,
            _ => Map::from_iter([("text".to_owned(), json!(body))]),
        };
        message.insert("channel".to_owned(), json!(self.channel));
        message
    }

    /// Asks a method; with the outcome goes the word of a refusal.
    async fn call(
        &self,
        wire: &Wire,
        target: &Target,
        method: &str,
        message: &Map<String, Value>,
        now: Timestamp,
    ) -> (Outcome, Option<String>) {
        let at = Some((self.method(method), target.scrub.clone()));
        let mut headers = target.headers.clone();
        headers.insert(CONTENT_TYPE, JSON);
        let mut outgoing = Outgoing { at, headers, body: bytes(message) };
        match wire.exchange(target, &mut outgoing).await {
            Ok(answer) => {
                (classify(&answer, now), Said::read(&answer).map(|said| said.error().to_owned()))
            }
            Err(failure) => (failed(KIND.name, &failure), None),
        }
    }
}

impl fmt::Debug for SlackApiSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path to a proxy may be a secret.
        f.debug_struct("SlackApiSettings")
            .field("token", &self.token)
            .field("channel", &self.channel)
            .field("host", &self.api.host_str())
            .finish()
    }
}

impl Protocol for SlackApiSettings {
    const KIND: &'static Kind = &KIND;
    const FOLLOWS: bool = true;

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.token]
    }

    fn target(&self) -> Result<Target, SettingError> {
        let public = ["api", POST, UPDATE];
        let mut target = Target::new(Method::POST, self.method(POST), &public);
        let value = self.token.expose(|token| {
            target.scrub.hide(token);
            bearer(token)
        })?;
        target.headers.insert(AUTHORIZATION, value);
        Ok(target)
    }

    fn body(&self, delivery: &Delivery) -> Bytes {
        bytes(&self.message(delivery))
    }

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

    fn classify(&self, answer: &Answer<'_>, _delivery: &Delivery, now: Timestamp) -> Outcome {
        classify(answer, now)
    }

    async fn attempt(
        &self,
        wire: &Wire,
        target: &Target,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Outcome {
        let fresh = self.message(delivery);
        let Some(place) = delivery.earlier.as_ref().and_then(Place::of) else {
            return self.call(wire, target, POST, &fresh, now).await.0;
        };
        let (method, message) = match place.follow {
            Follow::Update if fits_an_edit(&fresh) => (UPDATE, place.update(fresh.clone())),
            Follow::Update | Follow::Thread => (POST, place.reply(fresh.clone())),
        };
        let (mut outcome, error) = self.call(wire, target, method, &message, now).await;
        match error {
            Some(error) if is_unfollowed(&error) => {
                let outcome = self.call(wire, target, POST, &fresh, now).await.0;
                anew(outcome, &error)
            }
            // It says nothing that is known, so that it need not be the message's fault.
            Some(error) if is_refused(&outcome) && refusal(&error).is_none() => {
                let outcome = self.call(wire, target, POST, &fresh, now).await.0;
                anew(outcome, "an error that is not known")
            }
            _ => {
                // What comes next belongs where this one does.
                if let Some(place_of_this) = &mut outcome.captured {
                    place_of_this["thread_ts"] = json!(place.ts);
                }
                outcome
            }
        }
    }
}

/// Errors that say that the earlier message can't be followed; a new one may pass.
const UNFOLLOWED: [&str; 7] = [
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "block_mismatch",
    "cannot_reply_to_message",
    "restricted_action_thread_locked",
    "thread_not_found",
];

/// Errors that say that the channel which the earlier message stands in is gone, which may be
/// another than the one that is configured by now; a new message finds out.
const ELSEWHERE: [&str; 4] = ["channel_not_found", "not_in_channel", "is_archived", "is_inactive"];

fn is_refused(outcome: &Outcome) -> bool {
    outcome.class == Class::Permanent(Scope::Message)
}

fn is_unfollowed(error: &str) -> bool {
    UNFOLLOWED.contains(&error) || ELSEWHERE.contains(&error)
}

/// The most characters of an edit's text. A longer message goes into the thread.
const EDIT_CHARS: usize = 4_000;

fn fits_an_edit(message: &Map<String, Value>) -> bool {
    let text = message.get("text").and_then(Value::as_str).unwrap_or_default();
    text.chars().count() <= EDIT_CHARS
}

/// The outcome of a new message where an earlier one was to be followed.
fn anew(mut outcome: Outcome, error: &str) -> Outcome {
    // `error` is one of those that are known or ours, so nothing of the far side's is repeated.
    outcome.detail = format!(
        "{}, as a new message, since the earlier one could not be followed: {error}",
        outcome.detail
    );
    match outcome.class {
        Class::Delivered => outcome.with(Flag::Degraded),
        _ => outcome,
    }
}

/// Where an earlier message stands.
struct Place {
    channel: String,
    ts: String,
    follow: Follow,
}

impl Place {
    /// The place that was kept; `None` where what was kept is none, and a new message is made.
    fn of(earlier: &Earlier) -> Option<Self> {
        let text = |name: &str| earlier.captured.get(name)?.as_str();
        // One in a thread stands under the first of it.
        let (channel, ts) = (text("channel")?, text("thread_ts").or_else(|| text("ts"))?);
        let sound = is_channel_id(channel) && is_ts(ts);
        let (channel, ts) = (channel.to_owned(), ts.to_owned());
        sound.then_some(Self { channel, ts, follow: earlier.follow })
    }

    /// A message in its thread.
    fn reply(&self, mut message: Map<String, Value>) -> Map<String, Value> {
        message.insert("channel".to_owned(), json!(self.channel));
        message.insert("thread_ts".to_owned(), json!(self.ts));
        message
    }

    /// A message in its place. What the new one lacks is emptied, since Slack keeps what is not
    /// named.
    fn update(&self, mut message: Map<String, Value>) -> Map<String, Value> {
        message.insert("channel".to_owned(), json!(self.channel));
        message.insert("ts".to_owned(), json!(self.ts));
        for part in ["blocks", "attachments"] {
            message.entry(part).or_insert_with(|| json!([]));
        }
        message
    }
}

fn is_channel_id(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    (1..=ID_BYTES).contains(&text.len()) && text.bytes().all(is_letter)
}

fn is_ts(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let halves = text.split_once('.');
    text.len() <= ID_BYTES
        && halves.is_some_and(|(before, after)| is_digits(before) && is_digits(after))
}

fn bytes(message: &Map<String, Value>) -> Bytes {
    serde_json::to_vec(message).unwrap_or_default().into()
}

/// The header that shows a token.
fn bearer(token: &str) -> Result<HeaderValue, SettingError> {
    let wrong = |message: &str| {
        let help = "paste the Bot User OAuth Token that Slack shows under OAuth & Permissions: \
                    xoxb-…";
        SettingError::new("token", message, help)
    };
    let token = token.trim();
    if token.contains("://") {
        let help = "the URL of an incoming webhook belongs under webhook_url, without a channel";
        return Err(SettingError::new("token", "is a URL, not a token", help));
    }
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("is not a token of Slack's"));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| wrong("is not a token of Slack's"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn checked_channel(text: &str) -> Result<String, SettingError> {
    let help = "write the channel's id, C0123456789, which Slack shows under the channel's \
                details, or its name in quotes, '#deploys'";
    let wrong = |message| SettingError::new("channel", message, help);
    let channel = text.trim();
    let name = channel.trim_start_matches(['#', '@']);
    if name.is_empty() || channel.contains("://") {
        return Err(wrong("names no channel"));
    }
    if channel.chars().any(|c| c.is_whitespace() || c.is_control() || c == ',') {
        return Err(wrong("is not one channel"));
    }
    Ok(channel.to_owned())
}

/// The API's base in what people paste: a method's name at its end is no part of it.
fn api_base(text: &str) -> Result<Url, SettingError> {
    let wrong = |message| SettingError::new("api_url", message, format!("write {API}"));
    let mut url = Url::parse(text.trim()).map_err(|_| wrong("is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("is not an https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("can't hold a user, since the token takes that header"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix(POST).or_else(|| path.strip_suffix(UPDATE)).unwrap_or(path);
    let path = path.trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// An answer of the API.
#[derive(Deserialize)]
struct Said {
    ok: bool,
    /// A word. Whatever else stands here and below must not make an answer of success unreadable,
    /// or the message would be sent again.
    #[serde(default)]
    error: Value,
    #[serde(default)]
    ts: Value,
    #[serde(default)]
    channel: Value,
}

impl Said {
    /// The answer in a body, where it is one.
    fn read(answer: &Answer<'_>) -> Option<Self> {
        json::read_object(&answer.body)
    }

    /// The word that it refuses with; empty where it has none.
    fn error(&self) -> &str {
        self.error.as_str().unwrap_or_default()
    }

    /// Where the message stands, for whoever follows it.
    fn place(&self) -> Option<Value> {
        let (ts, channel) = (self.ts.as_str()?, self.channel.as_str()?);
        (is_ts(ts) && is_channel_id(channel)).then(|| json!({ "channel": channel, "ts": ts }))
    }
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
    let said = Said::read(answer);
    let is_limited = |said: &Said| matches!(said.error(), "ratelimited" | "rate_limited");
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
        _ => StatusPolicy::default().outcome(KIND.name, answer, now),
    }
}

/// What an error comes to and what it means, where it is known.
fn refusal(error: &str) -> Option<(Refusal, &'static str)> {
    let fits = |known: &str| match known.strip_suffix('*') {
        Some(beginning) => error.starts_with(beginning),
        None => error == known,
    };
    let found = REFUSALS.iter().find(|(known, ..)| fits(known));
    found.map(|&(_, refusal, remedy)| (refusal, remedy))
}

fn by_error(answer: &Answer<'_>, said: &Said) -> Outcome {
    if said.ok {
        let mut taken = Outcome::new(Class::Delivered, Some(answer.status), "slack took it");
        taken.captured = said.place();
        return taken;
    }
    let (refusal, remedy) = refusal(said.error()).unwrap_or((Refusal::Message, ""));
    let dash = if remedy.is_empty() { "" } else { " — " };
    let detail = format!("slack refused: {}{dash}{remedy}", answer.quote(said.error()));
    refusal.outcome(answer.status, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_documented() {
        let document = include_str!("../../../docs/receivers.md");
        let words = REFUSALS.iter().map(|(word, ..)| *word).chain(UNFOLLOWED);
        for word in words {
            assert!(document.contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn what_people_paste_is_understood() {
        for pasted in ["https://slack.com/api", " https://slack.com/api/\n"]
            .into_iter()
            .chain(["https://slack.com/api/chat.postMessage", "https://slack.com/api/chat.update/"])
        {
            let base = api_base(pasted).map(String::from);
            assert_eq!(base.as_deref(), Ok("https://slack.com/api"), "{pasted}");
        }
        for wrong in ["", "slack.com", "ftp://slack.com/api", "https://user:pass@h/api"] {
            assert_eq!(api_base(wrong).unwrap_err().key, "api_url", "{wrong}");
        }
        for good in ["C0123456789", " #deploys\n", "deploys", "@U0123456789"] {
            assert_eq!(checked_channel(good).as_deref(), Ok(good.trim()), "{good}");
        }
        for wrong in ["", "#", "a b", "C1,C2", "https://app.slack.com/client/T1/C1"] {
            assert_eq!(checked_channel(wrong).unwrap_err().key, "channel", "{wrong}");
        }
        for wrong in ["", "xoxb 1", "xoxb-\u{7}1", "https://hooks.slack.com/services/T/B/x"] {
            let error = bearer(wrong).unwrap_err();
            assert_eq!(error.key, "token", "{wrong}");
            assert!(wrong.is_empty() || !format!("{error:?}").contains(wrong), "{wrong}");
        }
        assert_eq!(bearer(" xoxb-1 ").unwrap().to_str().unwrap(), "Bearer xoxb-1");
    }

    #[test]
    fn only_ids_of_slacks_are_kept() {
        let place = |channel: &str, ts: &str| {
            let said = json!({ "ok": true, "channel": channel, "ts": ts });
            serde_json::from_value::<Said>(said).unwrap().place()
        };
        assert!(place("C0123456789", "1503435956.000247").is_some());
        for (channel, ts) in [
            ("xoxb-1-2", "1503435956.000247"),
            ("C0123456789", "xoxb.1"),
            ("C0123456789", "1503435956"),
            ("", ""),
            ("C1", "1.2.3"),
        ] {
            assert_eq!(place(channel, ts), None, "{channel} {ts}");
        }
    }
}
