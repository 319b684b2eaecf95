//! CloudEvents 1.0, structured form in JSON: an envelope around a message's body.
//!
//! The envelope belongs to the receiver and is put around at each attempt, before the signature.
//! Deliberately absent: the binary form (headers), batches, extension attributes.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ports::Delivery;

/// What names the content of such a body.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The envelope, in the order of the specification.
#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'a str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    time: String,
    datacontenttype: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// The default template's own envelope, which gives way to this one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Default<'a> {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(rename = "timestamp")]
    _time: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A body in its envelope. `json` says that the body is JSON; else it becomes a text.
pub(super) fn wrap(delivery: &Delivery, source: &str, body: &str, json: bool) -> String {
    let raw = || serde_json::from_str::<&RawValue>(body).ok();
    let data = match json.then(raw).flatten() {
        Some(raw) => {
            Data::Json(serde_json::from_str::<Default<'_>>(body).map_or(raw, |own| own.data))
        }
        None => Data::Text(body),
    };
    let envelope = Envelope {
        specversion: "1.0",
        id: delivery.id.to_string(),
        source,
        kind: format!("trigger.{}", delivery.reason),
        time: delivery.created_at.to_string(),
        datacontenttype: if matches!(data, Data::Json(_)) {
            "application/json"
        } else {
            "text/plain"
        },
        data,
    };
    // Texts and JSON that was parsed: nothing that JSON can't hold.
    serde_json::to_string(&envelope).unwrap_or_default()
}

/// The most bytes that the envelope adds to a body.
pub(super) fn around(source: &str) -> usize {
    // The names and punctuation, an id of 32, a time of at most 30, a type of at most 32.
    260 + source.len() * 2
}

/// Whether a text can be an event's source: a URI reference that is not empty (RFC 3986).
pub(super) fn is_source(text: &str) -> bool {
    let part =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    !text.is_empty() && text.bytes().all(part)
}
