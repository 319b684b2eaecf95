//! From what a template wrote to what a receiver takes: wrapped, parsed, measured, split or cut.
//!
//! One module a receiver type. Deliberately absent: what templates say, and sending.

mod slack;
pub(super) mod webhook;
pub(super) mod wecom;

use serde_json::Value;

use super::{ReceiverType, WecomForm, escape::Written};
use crate::{
    domain::limit::Unit,
    ports::{Part, Payload, PayloadFormat},
};

/// The most messages that one notification becomes.
const MOST_PARTS: usize = 4;

/// Output that is no JSON, or not of the shape that the receiver takes.
#[derive(Debug)]
pub(super) struct NotJson {
    /// Line in the output, from 1.
    pub line: usize,
    /// Column in the output, from 1.
    pub column: usize,
    /// The cause.
    pub message: String,
}

impl From<serde_json::Error> for NotJson {
    fn from(error: serde_json::Error) -> Self {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
        Self { line: error.line(), column: error.column(), message }
    }
}

/// What a template wrote, as the parts of a message, each within the receiver's limits.
///
/// # Errors
/// It is empty, or JSON that is none, or not of the receiver's shape.
pub(super) fn parts(
    kind: ReceiverType,
    json: bool,
    written: Written,
    making: wecom::Making<'_>,
) -> Result<Vec<Part>, String> {
    let language = making.language;
    let text = match written {
        Written::Whole(text) => text,
        // Only templates of webhooks alone may leave something to the attempt.
        Written::Pieces(pieces) => return webhook::from_pieces(json, pieces),
    };
    if text.trim().is_empty() {
        return Err("the template wrote nothing".to_owned());
    }
    match (kind, json) {
        (ReceiverType::Slack, true) => slack::from_json(text, language),
        (ReceiverType::Slack, false) => Ok(slack::from_text(text.trim(), language)),
        (ReceiverType::Wecom, true) => wecom::from_json(text, making),
        (ReceiverType::Wecom, false) => Ok(wecom::from_text(text.trim(), making)),
        (ReceiverType::Webhook, true) => webhook::from_json(text),
        (ReceiverType::Webhook, false) => Ok(vec![part(PayloadFormat::Text, text)]),
    }
}

/// What is wrong with a template's output as the receiver's JSON.
pub(super) fn parse(kind: ReceiverType, output: &str) -> Option<NotJson> {
    match kind {
        ReceiverType::Slack => slack::check(output).err(),
        ReceiverType::Wecom => wecom::check(output).err(),
        ReceiverType::Webhook => webhook::check(output).err(),
    }
}

/// A text without markup, escaped for the receiver already, as one message within its limits.
pub(super) fn plain(kind: ReceiverType, text: &str, making: wecom::Making<'_>) -> Part {
    match kind {
        ReceiverType::Slack => slack::plain(text, making.language),
        ReceiverType::Wecom => wecom::plain(text, making),
        ReceiverType::Webhook => part(PayloadFormat::Text, text.to_owned()),
    }
}

/// How much of one of the receiver's limits a part takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What is measured: `text`, `blocks`, `section`, `markdown.content`, `body` …
    pub what: &'static str,
    /// How much of it there is; of several, the greatest.
    pub used: usize,
    /// How much there may be.
    pub allowed: usize,
    /// What is counted; `None` for things, such as blocks.
    pub unit: Option<Unit>,
}

/// How much of the receiver's limits a part takes, for people.
pub fn usage(kind: ReceiverType, wecom: &WecomForm, part: &Part) -> Vec<Usage> {
    match kind {
        ReceiverType::Slack => slack::usage(&part.payload.body),
        ReceiverType::Wecom => wecom::usage(&part.payload.body, wecom.app),
        ReceiverType::Webhook => webhook::usage(&part.payload),
    }
}

fn part(format: PayloadFormat, body: String) -> Part {
    Part { payload: Payload { format, body } }
}

fn json_part(value: &Value) -> Part {
    part(PayloadFormat::Json, value.to_string())
}

/// The visible number of a part, from 1, of so many.
fn numbered(index: usize, of: usize) -> String {
    format!("({}/{of})", index + 1)
}

/// Pieces of a text with their visible numbers: the first carries it at its end, so that what is
/// seen first is the title, the others at their beginning. Adds at most 8 to a piece.
pub(super) fn number_all(pieces: Vec<String>) -> Vec<String> {
    let of = pieces.len();
    if of < 2 {
        return pieces;
    }
    let number = |(index, piece): (usize, String)| match index {
        0 => format!("{piece}\n{}", numbered(index, of)),
        _ => format!("{}\n{piece}", numbered(index, of)),
    };
    pieces.into_iter().enumerate().map(number).collect()
}
