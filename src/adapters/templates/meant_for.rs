//! That a message was meant for another receiver, said in the message: a line before a chat's own
//! words, a field of the shipped webhook's body.
//!
//! Deliberately absent: bodies of a user's own making, which have `meant_for` in scope.

use serde_json::{Map, Value, json};

use super::{ReceiverType, WecomForm, escape::Written, form, language::Language};
use crate::ports::{Part, PayloadFormat};

/// The parts with the first of them saying so.
///
/// # Errors
/// The receiver's form does not hold it.
pub(super) fn said(
    mut parts: Vec<Part>,
    kind: ReceiverType,
    meant_for: &str,
    language: Language,
    wecom: &WecomForm,
) -> Result<Vec<Part>, String> {
    let Some(first) = parts.first_mut().filter(|part| part.payload.format == PayloadFormat::Json)
    else {
        return Ok(parts);
    };
    let Ok(Value::Object(mut body)) = serde_json::from_str(&first.payload.body) else {
        return Ok(parts);
    };
    let note = language.meant_for(meant_for);
    match kind {
        ReceiverType::Slack => slack(&mut body, &note),
        ReceiverType::Wecom => chat(&mut body, &note),
        ReceiverType::Webhook => field(&mut body, meant_for),
    }
    let written = Written::Whole(Value::Object(body).to_string());
    let making = form::wecom::Making { form: wecom, link: None, language };
    let mut said = form::parts(kind, true, written, making)?;
    said.extend(parts.drain(1..));
    Ok(said)
}

fn slack(body: &mut Map<String, Value>, note: &str) {
    if let Some(Value::Array(blocks)) = body.get_mut("blocks") {
        let text = json!({ "type": "mrkdwn", "text": note });
        blocks.insert(0, json!({ "type": "context", "elements": [text] }));
    }
    before(body, "text", note);
}

fn chat(body: &mut Map<String, Value>, note: &str) {
    let kind = body.get("msgtype").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(Value::Object(content)) = body.get_mut(&kind) else { return };
    let key = if kind == "template_card" { "sub_title_text" } else { "content" };
    before(content, key, note);
}

/// The body that the shipped template makes says it in `data`; others are what their templates say.
fn field(body: &mut Map<String, Value>, meant_for: &str) {
    let ours =
        body.get("type").and_then(Value::as_str).is_some_and(|it| it.starts_with("trigger."));
    if let Some(Value::Object(data)) = body.get_mut("data").filter(|_| ours) {
        data.insert("meant_for".to_owned(), meant_for.into());
    }
}

/// Puts a line before a text.
fn before(body: &mut Map<String, Value>, key: &str, note: &str) {
    let text = match body.get(key).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => format!("{note}\n{text}"),
        _ => note.to_owned(),
    };
    body.insert(key.to_owned(), text.into());
}
