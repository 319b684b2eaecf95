//! What Slack's incoming webhooks say to a payload (`receivers` 1.1 and 1.2).
//!
//! Lengths are in Unicode scalar values. Deliberately absent: the rate, which is the wall's, and
//! block types that a webhook can't carry.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::Verdict;

const TEXT_MAX: usize = 40_000;
const BLOCKS_MAX: usize = 50;
const BLOCKS_SUM_MAX: usize = 13_200;
const SECTION_MAX: usize = 3_000;
const FIELDS_MAX: usize = 10;
const FIELD_MAX: usize = 2_000;
const HEADER_MAX: usize = 150;
const CONTEXT_MAX: usize = 10;
const ATTACHMENTS_MAX: usize = 100;

/// Accepts a payload, or refuses it in Slack's words.
pub(super) fn judge(payload: &Value) -> Result<(), Verdict> {
    let bad = |word: &'static str| Err(Verdict::new(StatusCode::BAD_REQUEST, word));
    let Some(payload) = payload.as_object() else { return bad("invalid_payload") };
    let text = match payload.get("text") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => return bad("invalid_payload"),
    };
    if text.chars().count() > TEXT_MAX {
        return bad("msg_too_long");
    }
    let blocks = match list(payload, "blocks") {
        Ok(blocks) => blocks,
        Err(()) => return bad("invalid_blocks_format"),
    };
    let attachments = match list(payload, "attachments") {
        Ok(attachments) => attachments,
        Err(()) => return bad("invalid_attachments"),
    };
    if text.trim().is_empty() && blocks.is_empty() && attachments.is_empty() {
        return bad("no_text");
    }
    if attachments.len() > ATTACHMENTS_MAX {
        return bad("too_many_attachments");
    }
    check_blocks(blocks).or_else(bad)?;
    for attachment in attachments {
        let Some(attachment) = attachment.as_object() else { return bad("invalid_attachments") };
        let Ok(within) = list(attachment, "blocks") else { return bad("invalid_attachments") };
        if check_blocks(within).is_err() {
            return bad("invalid_attachments");
        }
        let said = ["text", "fallback", "title", "pretext", "image_url"]
            .iter()
            .any(|key| attachment.get(*key).is_some_and(|value| !is_empty(value)));
        let fields = list(attachment, "fields").is_ok_and(|fields| !fields.is_empty());
        if text.is_empty() && blocks.is_empty() && within.is_empty() && !said && !fields {
            return bad("missing_text_or_fallback_or_attachments");
        }
    }
    Ok(())
}

fn check_blocks(blocks: &[Value]) -> Result<(), &'static str> {
    if blocks.len() > BLOCKS_MAX {
        return Err("invalid_blocks");
    }
    let mut sum = 0;
    for block in blocks {
        sum += check_block(block).ok_or("invalid_blocks")?;
    }
    if sum > BLOCKS_SUM_MAX { Err("msg_blocks_too_long") } else { Ok(()) }
}

/// The length of a block's texts; `None` for a block that Slack refuses.
fn check_block(block: &Value) -> Option<usize> {
    let block = block.as_object()?;
    let id = block.get("block_id").map_or(Some(""), Value::as_str)?;
    if id.chars().count() > 255 {
        return None;
    }
    match block.get("type")?.as_str()? {
        "section" => check_section(block),
        "header" => text_object(block.get("text")?, HEADER_MAX, &["plain_text"]),
        "divider" => Some(0),
        "context" => {
            let elements = block.get("elements")?.as_array()?;
            if elements.is_empty() || elements.len() > CONTEXT_MAX {
                return None;
            }
            elements.iter().map(check_context_element).sum()
        }
        "image" => image(block),
        "actions" => {
            let elements = block.get("elements")?.as_array()?;
            ((1..=25).contains(&elements.len())
                && elements.iter().all(|element| element.get("type").is_some()))
            .then_some(0)
        }
        "rich_text" => block.get("elements")?.as_array().map(|_| 0),
        _ => None,
    }
}

fn check_section(block: &Map<String, Value>) -> Option<usize> {
    let both = ["plain_text", "mrkdwn"];
    let text = match block.get("text") {
        Some(text) => Some(text_object(text, SECTION_MAX, &both)?),
        None => None,
    };
    let Some(fields) = block.get("fields") else { return text };
    let fields = fields.as_array()?;
    if fields.is_empty() || fields.len() > FIELDS_MAX {
        return None;
    }
    let fields: Option<usize> =
        fields.iter().map(|field| text_object(field, FIELD_MAX, &both)).sum();
    Some(text.unwrap_or(0) + fields?)
}

fn check_context_element(element: &Value) -> Option<usize> {
    match element.get("type")?.as_str()? {
        "image" => image(element.as_object()?),
        _ => text_object(element, SECTION_MAX, &["plain_text", "mrkdwn"]),
    }
}

fn image(block: &Map<String, Value>) -> Option<usize> {
    let address = block.get("image_url")?.as_str()?;
    let alt = block.get("alt_text")?.as_str()?;
    (!address.is_empty() && address.len() <= 3_000 && alt.chars().count() <= 2_000).then_some(0)
}

/// The length of a text object of one of these types; `None` when it is empty, too long or wrong.
fn text_object(value: &Value, max: usize, types: &[&str]) -> Option<usize> {
    let object = value.as_object()?;
    let text = object.get("text")?.as_str()?;
    let kind = object.get("type")?.as_str()?;
    let length = text.chars().count();
    (types.contains(&kind) && (1..=max).contains(&length)).then_some(length)
}

fn list<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a [Value], ()> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(()),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_str().is_none_or(|text| text.trim().is_empty())
}
