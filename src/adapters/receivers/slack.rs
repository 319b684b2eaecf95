//! Slack's incoming webhooks.
//!
//! HTTP 200 proves nothing here: delivered is 200 with the body `ok`. Refusals are short words in
//! the body. Deliberately absent: threads and edits, since an incoming webhook's answer names no
//! message; `slack_api` does them.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{
    Kind, SettingError,
    attempt::Protocol,
    http::{Answer, Target, seconds},
    json,
    scrub::shorten,
    status::{Refusal, StatusPolicy, throttled},
};
use crate::{
    adapters::secret::Secret,
    domain::{
        limit,
        outcome::{Class, Outcome},
        pace::Pace,
    },
    ports::{Delivery, PayloadFormat},
};

/// Slack advises one message a second and webhook.
pub(super) const KIND: Kind = Kind {
    name: "slack",
    default_pace: Some(Pace { count: 1, per: Duration::from_secs(1) }),
    digest: true,
};

/// An incoming webhook.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    webhook_url: Secret,
}

impl SlackSettings {
    /// Settings for an incoming webhook's URL; its part after the host will do.
    ///
    /// # Errors
    /// It is no such URL.
    pub fn new(webhook_url: Secret) -> Result<Self, SettingError> {
        let settings = Self { webhook_url };
        settings.target().map(|_| settings)
    }
}

impl Protocol for SlackSettings {
    const KIND: &'static Kind = &KIND;

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.webhook_url]
    }

    fn target(&self) -> Result<Target, SettingError> {
        let url = self.webhook_url.expose(webhook_url)?;
        Ok(Target::new(Method::POST, url, &["services"]))
    }

    fn body(&self, delivery: &Delivery) -> Bytes {
        let body = &delivery.payload.body;
        match delivery.payload.format {
            PayloadFormat::Json if delivery.plain => plain_form(body).into(),
            PayloadFormat::Json => Bytes::copy_from_slice(body.as_bytes()),
            // Attempts fill nothing in but for webhooks.
            PayloadFormat::Text | PayloadFormat::Late => json!({ "text": body }).to_string().into(),
        }
    }

    fn classify(&self, answer: &Answer<'_>, _delivery: &Delivery, now: Timestamp) -> Outcome {
        classify(answer, now)
    }
}

/// The URL in what people paste.
fn webhook_url(text: &str) -> Result<Url, SettingError> {
    let wrong = |message: &str| {
        let help = "paste the whole URL that Slack shows under Incoming Webhooks: \
                    https://hooks.slack.com/services/…";
        SettingError::new("webhook_url", message, help)
    };
    let text = text.trim();
    let path = text.trim_start_matches('/').trim_start_matches("services/");
    let url = if !text.contains("://") && path.starts_with('T') && path.split('/').count() == 3 {
        Url::parse(&format!("https://hooks.slack.com/services/{path}"))
    } else {
        Url::parse(text)
    };
    let url = url.map_err(|_| wrong("is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("is not an https URL"));
    }
    if url.path() == "/" {
        return Err(wrong("has nothing after the host, so it is no webhook"));
    }
    Ok(url)
}

/// The words that Slack refuses with, what they come to, and what they mean.
const REFUSALS: &[(&str, Refusal, &str)] = &[
    ("invalid_payload", Refusal::Message, "Slack can't read the message; check the template"),
    ("no_text", Refusal::Message, "the message is empty; check the template"),
    (
        "missing_text_or_fallback_or_attachments",
        Refusal::Message,
        "the message is empty; check the template",
    ),
    ("too_many_attachments", Refusal::Message, "a message holds at most 100 attachments"),
    ("invalid_blocks", Refusal::Form, "Slack can't show the blocks; check the template"),
    (
        "invalid_blocks_format",
        Refusal::Form,
        "the blocks are no list of blocks; check the template",
    ),
    ("invalid_attachments", Refusal::Form, "Slack can't show the attachments; check the template"),
    (
        "user_not_found",
        Refusal::Endpoint,
        "the user that the webhook writes to is gone; create a new webhook and update webhook_url",
    ),
    (
        "action_prohibited",
        Refusal::Endpoint,
        "an administrator restricted the app or the channel; ask for permission",
    ),
    (
        "posting_to_general_channel_denied",
        Refusal::Endpoint,
        "the app may not write to #general; use a webhook of another channel",
    ),
    (
        "invalid_token",
        Refusal::Endpoint,
        "webhook_url is wrong or was revoked; create a new webhook and update webhook_url",
    ),
    (
        "channel_not_found",
        Refusal::Endpoint,
        "the channel was deleted; create a webhook for another and update webhook_url",
    ),
    (
        "no_service",
        Refusal::Endpoint,
        "the webhook was removed or disabled; create a new one and update webhook_url",
    ),
    (
        "no_service_id",
        Refusal::Endpoint,
        "webhook_url is incomplete; paste the whole URL that Slack shows",
    ),
    (
        "no_active_hooks",
        Refusal::Endpoint,
        "the webhook is disabled; create a new one and update webhook_url",
    ),
    ("no_team", Refusal::Endpoint, "the workspace is gone; update webhook_url"),
    ("team_disabled", Refusal::Endpoint, "the workspace is disabled; update webhook_url"),
    (
        "channel_is_archived",
        Refusal::Endpoint,
        "the channel is archived; unarchive it, or use a webhook of another",
    ),
];

/// What an answer means.
fn classify(answer: &Answer<'_>, now: Timestamp) -> Outcome {
    let text = answer.text();
    match answer.status {
        200 if text == "ok" => Outcome::new(Class::Delivered, Some(200), "slack took it"),
        200..=299 => {
            let detail = format!(
                "slack refused: expected ok, got {} — check that webhook_url is one of Slack's",
                answer.said()
            );
            Refusal::Message.outcome(answer.status, detail)
        }
        429 => {
            let after = answer.retry_after(now).or_else(|| body_retry_after(&answer.body));
            let after = after.unwrap_or(Duration::from_secs(1));
            let detail = format!("slack is being sent to too fast: {}", answer.said());
            throttled(Outcome::new(Class::Retry { after: None }, Some(429), detail), Some(after))
        }
        _ => refusal(answer, &text, now),
    }
}

fn refusal(answer: &Answer<'_>, text: &str, now: Timestamp) -> Outcome {
    let known = REFUSALS.iter().find(|(word, ..)| *word == text);
    match known {
        Some((word, refusal, remedy)) if answer.status < 500 => {
            refusal.outcome(answer.status, format!("slack refused: {word} — {remedy}"))
        }
        _ => StatusPolicy::default().outcome(KIND.name, answer, now),
    }
}

/// `retry_after` of a JSON body, in seconds.
fn body_retry_after(body: &[u8]) -> Option<Duration> {
    let body: Value = json::read(body)?;
    match body.get("retry_after")? {
        Value::Number(number) => seconds(&number.to_string()),
        Value::String(text) => seconds(text.trim()),
        _ => None,
    }
}

/// The message without what Slack could not show: its text alone, taken from the blocks where it
/// has none.
pub(super) fn plain_form(body: &str) -> String {
    let mut message = match serde_json::from_str(body) {
        Ok(Value::Object(message)) => message,
        _ => return json!({ "text": body }).to_string(),
    };
    let parts = ["blocks", "attachments"].map(|part| message.shift_remove(part));
    let has_text = |text: &Value| text.as_str().is_some_and(|text| !text.trim().is_empty());
    if !message.get("text").is_some_and(has_text) {
        let mut text = String::new();
        parts.iter().flatten().for_each(|part| gather_text(part, &mut text));
        // Four bytes at most to a character.
        shorten(&mut text, limit::slack::TEXT_ADVISED);
        message.insert("text".to_owned(), text.into());
    }
    Value::Object(message).to_string()
}

/// The texts in blocks or attachments, one a line.
fn gather_text(part: &Value, text: &mut String) {
    match part {
        Value::Array(items) => items.iter().for_each(|item| gather_text(item, text)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(value) if matches!(name.as_str(), "text" | "fallback") => {
                        if !text.is_empty() {
                            text.push('\n');
                        }
                        text.push_str(value);
                    }
                    _ => gather_text(value, text),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_documented() {
        let document = include_str!("../../../docs/receivers.md");
        for (word, ..) in REFUSALS {
            assert!(document.contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn the_plain_form_keeps_the_text() {
        let full = r#"{"text":"down","blocks":[{"type":"divider"}],"attachments":[],"unfurl_links":false}"#;
        assert_eq!(plain_form(full), r#"{"text":"down","unfurl_links":false}"#);
    }

    #[test]
    fn the_plain_form_of_blocks_alone_is_their_text() {
        let full = r#"{"blocks":[{"type":"header","text":{"type":"plain_text","text":"down"}},
            {"type":"section","fields":[{"type":"mrkdwn","text":"a"},{"type":"mrkdwn","text":"b"}]}]}"#;
        assert_eq!(plain_form(full), r#"{"text":"down\na\nb"}"#);
        assert_eq!(plain_form("not json"), r#"{"text":"not json"}"#);
    }

    #[test]
    fn what_people_paste_is_understood() {
        let whole = "https://hooks.slack.com/services/T0/B0/x";
        for pasted in [whole, " https://hooks.slack.com/services/T0/B0/x\n", "T0/B0/x"]
            .into_iter()
            .chain(["/services/T0/B0/x", "services/T0/B0/x"])
        {
            assert_eq!(webhook_url(pasted).map(String::from).as_deref(), Ok(whole), "{pasted}");
        }
        for wrong in ["", "hooks.slack.com", "https://hooks.slack.com", "ftp://h/x", "xoxb-1-2"] {
            let error = webhook_url(wrong).unwrap_err();
            assert_eq!(error.key, "webhook_url");
            assert!(wrong.is_empty() || !error.to_string().contains(wrong));
        }
    }
}
