//! For which type of receiver a text was made, told by its form: of a receiver that was taken out of
//! the configuration nothing else is known.
//!
//! Deliberately conservative: what may be another type's is not said to fit.

use serde_json::{Map, Value};

use crate::ports::{Payload, PayloadFormat};

/// The keys of a message to Slack.
const SLACK: [&str; 9] = [
    "text",
    "blocks",
    "attachments",
    "unfurl_links",
    "unfurl_media",
    "mrkdwn",
    "metadata",
    "thread_ts",
    "reply_broadcast",
];

/// Whether a text is surely one for that type: `slack`, `wecom` or `webhook`.
pub(super) fn fits(payload: &Payload, kind: &str) -> bool {
    let object = match payload.format {
        PayloadFormat::Json => serde_json::from_str::<Map<String, Value>>(&payload.body).ok(),
        PayloadFormat::Text | PayloadFormat::Late => None,
    };
    let slack = object.as_ref().is_some_and(|it| {
        ["text", "blocks", "attachments"].iter().any(|key| it.contains_key(*key))
            && it.keys().all(|key| SLACK.contains(&key.as_str()))
    });
    let wecom = object.as_ref().is_some_and(|it| it.contains_key("msgtype"));
    match kind {
        "slack" => slack,
        "wecom" => wecom,
        _ => !slack && !wecom,
    }
}
