//! WeCom's form: a markdown message, or whatever message a JSON template writes. Lengths are bytes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{MOST_PARTS, NotJson, Part, PayloadFormat, Usage, json_part, number_all, part};
use crate::{
    adapters::templates::{
        escape::push_json_string,
        language::Language,
        split::{Markup, Ruler},
    },
    domain::limit::wecom::{MARKDOWN, TEXT, UNIT},
};

/// What the number of a part adds at most.
const NUMBER: usize = 16;

/// The message types whose content can be too long, each with its limit.
const CONTENTS: [(&str, usize); 3] =
    [("markdown", MARKDOWN), ("markdown_v2", MARKDOWN), ("text", TEXT)];

pub(super) fn from_text(text: &str, language: Language) -> Vec<Part> {
    let message = |content: &str| {
        let mut body = String::with_capacity(content.len() + 64);
        body.push_str("{\"msgtype\":\"markdown\",\"markdown\":{\"content\":");
        push_json_string(&mut body, content);
        body.push_str("}}");
        part(PayloadFormat::Json, body)
    };
    if text.len() <= MARKDOWN {
        return vec![message(text)];
    }
    let pieces = ruler(language).split(text, MARKDOWN - NUMBER, MOST_PARTS);
    number_all(pieces).iter().map(|piece| message(piece)).collect()
}

pub(super) fn from_json(text: String, language: Language) -> Result<Vec<Part>, String> {
    let message = check(&text).map_err(|problem| problem.message)?;
    if message.content().is_some_and(|(_, content, _)| content.trim().is_empty()) {
        return Err("its content is empty, which WeCom refuses".to_owned());
    }
    if message.fits() {
        return Ok(vec![part(PayloadFormat::Json, text)]);
    }
    let whole: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(split(&whole, language))
}

pub(super) fn plain(text: &str, language: Language) -> Part {
    let content = ruler(language).cut(text, TEXT);
    json_part(&json!({"msgtype": "text", "text": {"content": content}}))
}

fn ruler(language: Language) -> Ruler {
    Ruler { unit: UNIT, markup: Markup::Wecom, language }
}

/// Splits the content of a message that is too long. Who is mentioned is mentioned once.
fn split(whole: &Value, language: Language) -> Vec<Part> {
    for (kind, max) in CONTENTS {
        let Some(content) = whole.pointer(&format!("/{kind}/content")).and_then(Value::as_str)
        else {
            continue;
        };
        if content.len() <= max {
            continue;
        }
        let pieces = number_all(ruler(language).split(content, max - NUMBER, MOST_PARTS));
        let message = |(index, piece): (usize, &String)| {
            let mut message = whole.clone();
            if let Some(body) = message.get_mut(kind).and_then(Value::as_object_mut) {
                body.insert("content".to_owned(), piece.as_str().into());
                if index > 0 {
                    body.remove("mentioned_list");
                    body.remove("mentioned_mobile_list");
                }
            }
            json_part(&message)
        };
        return pieces.iter().enumerate().map(message).collect();
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
}

#[derive(Debug, Deserialize)]
struct Content {
    content: String,
}

impl Message {
    /// The content of the message's own type, with its limit.
    fn content(&self) -> Option<(&'static str, &str, usize)> {
        let (what, content, max) = match self.msgtype.as_str() {
            "markdown" => ("markdown.content", &self.markdown, MARKDOWN),
            "markdown_v2" => ("markdown_v2.content", &self.markdown_v2, MARKDOWN),
            "text" => ("text.content", &self.text, TEXT),
            _ => return None,
        };
        content.as_ref().map(|content| (what, content.content.as_str(), max))
    }

    fn fits(&self) -> bool {
        self.content().is_none_or(|(_, content, max)| content.len() <= max)
    }
}

pub(super) fn check(text: &str) -> Result<Message, NotJson> {
    let message: Message = serde_json::from_str(text)?;
    let has_content = CONTENTS.iter().any(|(kind, _)| *kind == message.msgtype);
    if has_content && message.content().is_none() {
        let problem = format!("`{}` has no content", message.msgtype);
        return Err(NotJson { line: 1, column: 1, message: problem });
    }
    Ok(message)
}

pub(super) fn usage(body: &str) -> Vec<Usage> {
    let Ok(message) = check(body) else { return Vec::new() };
    let content = message.content();
    content
        .map(|(what, content, allowed)| Usage {
            what,
            used: UNIT.measure(content),
            allowed,
            unit: Some(UNIT),
        })
        .into_iter()
        .collect()
}
