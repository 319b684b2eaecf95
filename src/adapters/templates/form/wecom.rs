//! WeCom's forms: a markdown message unless the receiver asks for another, or whatever message a
//! JSON template writes. Lengths are bytes.
//!
//! A mention that a template makes is marked where it stands, with a character that no value can
//! bring; here it becomes what the form has for it. Deliberately absent: what a card is made of
//! (`card`).

mod card;
mod words;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{MOST_PARTS, NotJson, Part, PayloadFormat, Usage, json_part, number_all, part};
use crate::{
    adapters::templates::{
        WecomForm, WecomMessage,
        escape::push_json_string,
        language::Language,
        split::{Markup, Ruler},
    },
    domain::limit::wecom::{APP_MARKDOWN, MARKDOWN, TEXT, UNIT},
};
use words::{Mentions, mentions};

/// What the number of a part adds at most.
const NUMBER: usize = 16;

/// The most bytes of a last paragraph that is kept.
const LAST_PARAGRAPH: usize = 256;

/// The message types whose content can be too long.
const CONTENTS: [&str; 3] = ["markdown", "markdown_v2", "text"];

/// What messages to a receiver are made by.
#[derive(Clone, Copy)]
pub(in super::super) struct Making<'a> {
    /// What the receiver asks for.
    pub form: &'a WecomForm,
    /// Where the notification is to be seen.
    pub link: Option<&'a str>,
    /// The language of what is added.
    pub language: Language,
}

/// The most bytes of a content of that type.
fn most(kind: &str, app: bool) -> usize {
    match kind {
        "text" => TEXT,
        _ if app => APP_MARKDOWN,
        _ => MARKDOWN,
    }
}

pub(super) fn from_text(text: &str, making: Making<'_>) -> Vec<Part> {
    let form = making.form;
    let message = match form.message {
        WecomMessage::Markdown => return markdown(text, making),
        WecomMessage::MarkdownV2 => {
            let content = words::without_colours(&mentions(text).shown);
            content_message("markdown_v2", &content)
        }
        WecomMessage::Text => {
            let Mentions { shown, ids } = mentions(text);
            text_message(&words::plain(&shown), &ids, form)
        }
        WecomMessage::TemplateCard => {
            return vec![json_part(&card::card(&mentions(text).shown, making))];
        }
    };
    split(&message, making)
}

/// The usual case, without a tree.
fn markdown(text: &str, making: Making<'_>) -> Vec<Part> {
    let max = most("markdown", making.form.app);
    let mut text = words::marked(text);
    let mentioned = words::mention_line(&making.form.mentioned);
    if text.len() + mentioned.len() <= max {
        text.to_mut().push_str(&mentioned);
        let mut body = String::with_capacity(text.len() + 64);
        body.push_str("{\"msgtype\":\"markdown\",\"markdown\":{\"content\":");
        push_json_string(&mut body, &text);
        body.push_str("}}");
        return vec![part(PayloadFormat::Json, body)];
    }
    split(&with_mentions(content_message("markdown", &text), making.form), making)
}

fn content_message(kind: &str, content: &str) -> Value {
    json!({ "msgtype": kind, kind: { "content": content } })
}

/// A text message that mentions those and whom the receiver mentions in every one.
fn text_message(content: &str, ids: &[String], form: &WecomForm) -> Value {
    let mut message = content_message("text", content);
    if let Some(text) = message.get_mut("text").and_then(Value::as_object_mut)
        && !ids.is_empty()
    {
        text.insert("mentioned_list".to_owned(), json!(ids));
    }
    with_mentions(message, form)
}

/// A message with those whom the receiver mentions in every one, in the way of its type.
fn with_mentions(mut message: Value, form: &WecomForm) -> Value {
    let kind = message.get("msgtype").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(body) = message.get_mut(&kind).and_then(Value::as_object_mut) else { return message };
    match kind.as_str() {
        "text" => {
            mention_also(body, "mentioned_list", &form.mentioned);
            mention_also(body, "mentioned_mobile_list", &form.mentioned_mobile);
        }
        "markdown" => {
            if let Some(Value::String(content)) = body.get_mut("content") {
                content.push_str(&words::mention_line(&form.mentioned));
            }
        }
        _ => {}
    }
    message
}

fn mention_also(body: &mut Map<String, Value>, list: &str, also: &[String]) {
    if also.is_empty() {
        return;
    }
    let list = body.entry(list).or_insert_with(|| json!([]));
    if let Value::Array(list) = list {
        for id in also {
            if !list.iter().any(|known| known == id) {
                list.push(json!(id));
            }
        }
    }
}

pub(super) fn from_json(text: String, making: Making<'_>) -> Result<Vec<Part>, String> {
    let text = by_its_type(text, making.form)?;
    let message = check(&text).map_err(|problem| problem.message)?;
    if message.content().is_some_and(|(_, content)| content.trim().is_empty()) {
        return Err("its content is empty, which WeCom refuses".to_owned());
    }
    if message.fits(making.form.app) {
        return Ok(vec![part(PayloadFormat::Json, text)]);
    }
    let whole: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(split(&whole, making))
}

/// A JSON message with its mentions in the way of its type. One that has none is left as it is.
fn by_its_type(text: String, form: &WecomForm) -> Result<String, String> {
    let quiet = form.mentioned.is_empty() && form.mentioned_mobile.is_empty();
    if quiet && !words::has_marks(&text) {
        return Ok(text);
    }
    let mut message: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let kind = message.get("msgtype").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut ids = Vec::new();
    words::resolve(&mut message, kind == "markdown", &mut ids);
    if kind == "text"
        && let Some(body) = message.get_mut("text").and_then(Value::as_object_mut)
    {
        mention_also(body, "mentioned_list", &ids);
    }
    Ok(with_mentions(message, form).to_string())
}

pub(super) fn plain(text: &str, making: Making<'_>) -> Part {
    let content = ruler(making.language).cut(text, TEXT);
    json_part(&text_message(&content, &[], making.form))
}

fn ruler(language: Language) -> Ruler {
    Ruler { unit: UNIT, markup: Markup::Wecom, language }
}

/// A content in pieces. Where it is too long even for those, what is cut is not its last paragraph,
/// by which the message is found again.
fn pieces(content: &str, room: usize, language: Language) -> Vec<String> {
    let pieces = ruler(language).split(content, room, MOST_PARTS);
    let last =
        content.trim_end().rsplit_once("\n\n").filter(|(_, footer)| footer.len() <= LAST_PARAGRAPH);
    let Some((text, footer)) = last else { return pieces };
    if pieces.last().is_none_or(|piece| piece.trim_end().ends_with(footer)) {
        return pieces;
    }
    let mut pieces = ruler(language).split(text, room - LAST_PARAGRAPH - 2, MOST_PARTS);
    if let Some(piece) = pieces.last_mut() {
        piece.push_str("\n\n");
        piece.push_str(footer);
    }
    pieces
}

/// A message as it is, or, where its content is too long, split. Who is mentioned is mentioned once.
fn split(whole: &Value, making: Making<'_>) -> Vec<Part> {
    for kind in CONTENTS {
        let max = most(kind, making.form.app);
        let Some(content) = whole.pointer(&format!("/{kind}/content")).and_then(Value::as_str)
        else {
            continue;
        };
        if content.len() <= max {
            continue;
        }
        // The line of mentions at the end is what a cut would take first.
        let line = if kind == "markdown" {
            words::mention_line(&making.form.mentioned)
        } else {
            String::new()
        };
        let content = content.strip_suffix(line.as_str()).unwrap_or(content);
        let room = max - NUMBER - line.len();
        let pieces = number_all(pieces(content, room, making.language));
        let message = |(index, piece): (usize, String)| {
            let mut message = whole.clone();
            if let Some(body) = message.get_mut(kind).and_then(Value::as_object_mut) {
                let piece = if index == 0 { piece + &line } else { piece };
                body.insert("content".to_owned(), piece.into());
                if index > 0 {
                    body.remove("mentioned_list");
                    body.remove("mentioned_mobile_list");
                }
            }
            json_part(&message)
        };
        return pieces.into_iter().enumerate().map(message).collect();
    }
    vec![json_part(whole)]
}

/// As much of a message as is measured.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    msgtype: String,
    #[serde(default)]
    markdown: Option<Content>,
    #[serde(default)]
    markdown_v2: Option<Content>,
    #[serde(default)]
    text: Option<Content>,
    #[serde(default)]
    template_card: Option<card::Card>,
}

#[derive(Debug, Deserialize)]
struct Content {
    content: String,
}

impl Message {
    /// The content of the message's own type.
    fn content(&self) -> Option<(&'static str, &str)> {
        let (what, content) = match self.msgtype.as_str() {
            "markdown" => ("markdown.content", &self.markdown),
            "markdown_v2" => ("markdown_v2.content", &self.markdown_v2),
            "text" => ("text.content", &self.text),
            _ => return None,
        };
        content.as_ref().map(|content| (what, content.content.as_str()))
    }

    fn fits(&self, app: bool) -> bool {
        self.content().is_none_or(|(_, content)| content.len() <= most(&self.msgtype, app))
    }

    /// What no fitting could repair.
    fn problem(&self) -> Option<String> {
        if CONTENTS.contains(&self.msgtype.as_str()) && self.content().is_none() {
            return Some(format!("`{}` has no content", self.msgtype));
        }
        match (self.msgtype.as_str(), &self.template_card) {
            ("template_card", None) => Some("`template_card` is missing".to_owned()),
            ("template_card", Some(card)) => card.problem().map(str::to_owned),
            _ => None,
        }
    }
}

pub(super) fn check(text: &str) -> Result<Message, NotJson> {
    let message: Message = serde_json::from_str(text)?;
    match message.problem() {
        None => Ok(message),
        Some(problem) => Err(NotJson { line: 1, column: 1, message: problem }),
    }
}

pub(super) fn usage(body: &str, app: bool) -> Vec<Usage> {
    let Ok(message) = check(body) else { return Vec::new() };
    if let Some(card) = &message.template_card {
        return card.usage();
    }
    let content = message.content();
    let used = content.map(|(what, content)| Usage {
        what,
        used: UNIT.measure(content),
        allowed: most(&message.msgtype, app),
        unit: Some(UNIT),
    });
    used.into_iter().collect()
}
