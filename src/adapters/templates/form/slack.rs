//! Slack's form: a text line and blocks. Lengths are Unicode scalar values.
//!
//! A message that fits goes out as the template wrote it, after one pass that parses and measures
//! it without building a tree. One that does not is taken apart: long sections become several,
//! long lists of fields several sections, too many blocks several messages; titles and fields are
//! cut. Empty text objects, which Slack refuses, are left out.

mod measure;

use serde_json::{Map, Value, json};

use super::{MOST_PARTS, NotJson, Part, PayloadFormat, Usage, json_part, numbered, part};
use crate::{
    adapters::templates::{
        escape::push_json_string,
        language::Language,
        split::{Markup, Ruler},
    },
    domain::limit::slack::{
        ATTACHMENTS, BLOCKS, BLOCKS_TOTAL, CONTEXT_ELEMENTS, HEADER_TEXT, SECTION_FIELD_TEXT,
        SECTION_FIELDS, SECTION_TEXT, TEXT_ADVISED, UNIT,
    },
};
use measure::Message;

/// The text of one element of a context block. Undocumented; kept well below a section's.
const CONTEXT_TEXT: usize = 2_000;
/// The most sections that one long text becomes.
const MOST_SECTIONS: usize = 16;
/// Room that the number of a part and a mark of a cut take in a message.
const ROOM: usize = 100;

pub(super) fn check(text: &str) -> Result<Message, NotJson> {
    let message: Message = serde_json::from_str(text)?;
    match message.problem() {
        None => Ok(message),
        Some(problem) => Err(NotJson { line: 1, column: 1, message: problem.to_owned() }),
    }
}

pub(super) fn usage(body: &str) -> Vec<Usage> {
    serde_json::from_str::<Message>(body).map(|message| message.usage()).unwrap_or_default()
}

pub(super) fn from_json(text: String, language: Language) -> Result<Vec<Part>, String> {
    let message = check(&text).map_err(|problem| problem.message)?;
    if message.fits() {
        return Ok(vec![part(PayloadFormat::Json, text)]);
    }
    let whole: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let parts = Fitting::new(language).fit(whole);
    if parts.is_empty() { Err("the message is empty".to_owned()) } else { Ok(parts) }
}

pub(super) fn from_text(text: &str, language: Language) -> Vec<Part> {
    if UNIT.measure(text) <= SECTION_TEXT {
        let mut body = String::with_capacity(2 * text.len() + 160);
        body.push_str("{\"text\":");
        push_json_string(&mut body, text);
        body.push_str(",\"blocks\":[{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\",\"text\":");
        push_json_string(&mut body, text);
        body.push_str(",\"verbatim\":true}}],\"unfurl_links\":false,\"unfurl_media\":false}");
        return vec![part(PayloadFormat::Json, body)];
    }
    let fitting = Fitting::new(language);
    let sections = fitting.ruler(Markup::Slack).split(text, SECTION_TEXT, MOST_SECTIONS);
    let groups = fitting.group(sections.iter().map(|text| section(text)).collect());
    let of = groups.len();
    let message = |(index, blocks): (usize, Vec<Value>)| {
        let texts: Vec<_> = blocks.iter().filter_map(text_of).collect();
        let line = fitting.ruler(Markup::Slack).cut(&texts.join("\n"), TEXT_ADVISED - ROOM);
        let mut message = Map::new();
        message.insert("unfurl_links".to_owned(), false.into());
        message.insert("unfurl_media".to_owned(), false.into());
        fitting.finish(message, &line, blocks, index, of)
    };
    groups.into_iter().enumerate().map(message).collect()
}

pub(super) fn plain(text: &str, language: Language) -> Part {
    let text = Fitting::new(language).ruler(Markup::Slack).cut(text, SECTION_TEXT);
    json_part(&json!({"text": text, "unfurl_links": false, "unfurl_media": false}))
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}})
}

fn note(text: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
}

/// The text of a block that has one.
fn text_of(block: &Value) -> Option<&str> {
    block.pointer("/text/text").and_then(Value::as_str)
}

/// How much of the sum of all blocks a block takes.
fn weight(block: &Value) -> usize {
    let list = |name: &str| block.get(name).and_then(Value::as_array).into_iter().flatten();
    let own = text_of(block).map_or(0, |text| UNIT.measure(text));
    let of = |object: &Value| match object.get("text") {
        Some(Value::String(text)) => UNIT.measure(text),
        Some(inner) => inner.get("text").and_then(Value::as_str).map_or(0, |t| UNIT.measure(t)),
        None => 0,
    };
    own + list("fields").chain(list("elements")).map(of).sum::<usize>()
}

/// Makes a message fit.
struct Fitting {
    language: Language,
}

impl Fitting {
    const fn new(language: Language) -> Self {
        Self { language }
    }

    const fn ruler(&self, markup: Markup) -> Ruler {
        Ruler { unit: UNIT, markup, language: self.language }
    }

    fn fit(&self, mut message: Map<String, Value>) -> Vec<Part> {
        let blocks = match message.remove("blocks") {
            Some(Value::Array(blocks)) => {
                blocks.into_iter().flat_map(|block| self.block(block)).collect()
            }
            _ => Vec::new(),
        };
        let attachments = message.remove("attachments").and_then(|list| self.attachments(list));
        let line = match message.get("text").and_then(Value::as_str) {
            Some(text) if !text.trim().is_empty() => text.to_owned(),
            _ => blocks.iter().find_map(text_of).unwrap_or_default().to_owned(),
        };
        message.remove("text");
        if blocks.is_empty() && attachments.is_none() {
            return self.text_only(&message, &line);
        }
        let line = self.ruler(Markup::Slack).cut(&line, TEXT_ADVISED - ROOM);
        let groups = self.group(blocks);
        let of = groups.len();
        let part = |(index, blocks): (usize, Vec<Value>)| {
            let mut message = message.clone();
            if index + 1 == of
                && let Some(attachments) = &attachments
            {
                message.insert("attachments".to_owned(), attachments.clone());
            }
            self.finish(message, &line, blocks, index, of)
        };
        groups.into_iter().enumerate().map(part).collect()
    }

    fn text_only(&self, message: &Map<String, Value>, line: &str) -> Vec<Part> {
        let pieces = self.ruler(Markup::Slack).split(line, TEXT_ADVISED - ROOM, MOST_PARTS);
        let part = |piece: String| {
            let mut message = message.clone();
            message.insert("text".to_owned(), piece.into());
            json_part(&Value::Object(message))
        };
        super::number_all(pieces).into_iter().map(part).collect()
    }

    /// One message of several, with its text line, its blocks and its visible number.
    fn finish(
        &self,
        mut message: Map<String, Value>,
        line: &str,
        mut blocks: Vec<Value>,
        index: usize,
        of: usize,
    ) -> Part {
        let number = numbered(index, of);
        let line = if of > 1 { format!("{number} {line}") } else { line.to_owned() };
        match (of > 1, index) {
            (false, _) => {}
            (true, 0) => blocks.push(note(&number)),
            (true, _) => blocks.insert(0, note(&number)),
        }
        message.insert("text".to_owned(), line.into());
        if !blocks.is_empty() {
            message.insert("blocks".to_owned(), blocks.into());
        }
        json_part(&Value::Object(message))
    }

    /// Blocks by message, at least one group. What is too much for all messages is counted in a
    /// note at the end of the last.
    fn group(&self, blocks: Vec<Value>) -> Vec<Vec<Value>> {
        let mut groups = vec![Vec::new()];
        let mut used = 0;
        let mut missing = 0;
        for block in blocks {
            let weight = weight(&block);
            let last = groups.len();
            let group: &Vec<Value> = &groups[last - 1];
            let full = group.len() + 2 >= BLOCKS || used + weight > BLOCKS_TOTAL - ROOM;
            if missing > 0 || (full && !group.is_empty() && last == MOST_PARTS) {
                missing += weight.max(1);
                continue;
            }
            if full && !group.is_empty() {
                groups.push(Vec::new());
                used = 0;
            }
            used += weight;
            if let Some(group) = groups.last_mut() {
                group.push(block);
            }
        }
        if missing > 0
            && let Some(group) = groups.last_mut()
        {
            group.push(note(&self.language.more_characters(missing)));
        }
        groups
    }

    /// A block as one or more that fit.
    fn block(&self, mut block: Value) -> Vec<Value> {
        match block.get("type").and_then(Value::as_str) {
            Some("section") => self.section(block),
            Some("header") => {
                let text = text_of(&block).unwrap_or_default();
                let text = self.ruler(Markup::Plain).cut_line(text, HEADER_TEXT);
                if text.trim().is_empty() {
                    return Vec::new();
                }
                block["text"]["text"] = text.into();
                vec![block]
            }
            Some("context") => {
                let elements = self.texts(block.get_mut("elements"), CONTEXT_TEXT);
                let with = |some: &[Value]| json!({"type": "context", "elements": some});
                elements.chunks(CONTEXT_ELEMENTS).map(with).collect()
            }
            _ => vec![block],
        }
    }

    fn section(&self, mut block: Value) -> Vec<Value> {
        let fields = self.texts(block.get_mut("fields"), SECTION_FIELD_TEXT);
        let markup = match block.pointer("/text/type").and_then(Value::as_str) {
            Some("mrkdwn") => Markup::Slack,
            _ => Markup::Plain,
        };
        let text = text_of(&block).unwrap_or_default();
        let pieces = match text.trim().is_empty() {
            true => Vec::new(),
            false => self.ruler(markup).split(text, SECTION_TEXT, MOST_SECTIONS),
        };
        let mut out = Vec::new();
        for (index, piece) in
            pieces.into_iter().filter(|piece| !piece.trim().is_empty()).enumerate()
        {
            // What else the block has goes with its first piece.
            let mut one = if index == 0 { block.clone() } else { json!({"type": "section"}) };
            one["text"] = block["text"].clone();
            one["text"]["text"] = piece.into();
            if let Some(one) = one.as_object_mut() {
                one.remove("fields");
            }
            out.push(one);
        }
        let mut chunks = fields.chunks(SECTION_FIELDS);
        if let [one] = out.as_mut_slice()
            && let Some(first) = chunks.next()
        {
            one["fields"] = first.to_vec().into();
        }
        out.extend(chunks.map(|some| json!({"type": "section", "fields": some})));
        out
    }

    /// Text objects cut to `max`, the empty left out, and what is no text as it is.
    fn texts(&self, list: Option<&mut Value>, max: usize) -> Vec<Value> {
        let Some(Value::Array(list)) = list.map(Value::take) else { return Vec::new() };
        list.into_iter()
            .filter_map(|mut object| {
                let Some(text) = object.get("text").and_then(Value::as_str) else {
                    return Some(object);
                };
                if text.trim().is_empty() {
                    return None;
                }
                let text = self.ruler(Markup::Slack).cut(text, max);
                object["text"] = text.into();
                Some(object)
            })
            .collect()
    }

    /// Attachments whose blocks fit; one more says how many were too many.
    fn attachments(&self, list: Value) -> Option<Value> {
        let Value::Array(list) = list else { return None };
        let more = list.len().saturating_sub(ATTACHMENTS);
        let keep = if more > 0 { ATTACHMENTS - 1 } else { list.len() };
        let mut out: Vec<Value> = Vec::new();
        for mut attachment in list.into_iter().take(keep) {
            if let Some(Value::Array(blocks)) = attachment.get_mut("blocks").map(Value::take) {
                let blocks = blocks.into_iter().flat_map(|block| self.block(block)).collect();
                attachment["blocks"] = self.first_group(blocks).into();
            }
            out.push(attachment);
        }
        if more > 0 {
            out.push(json!({"text": self.language.more_things(more + 1)}));
        }
        (!out.is_empty()).then(|| out.into())
    }

    /// As many blocks as one message takes, with a note of what is missing.
    fn first_group(&self, blocks: Vec<Value>) -> Vec<Value> {
        let all: usize = blocks.iter().map(weight).sum();
        let mut groups = self.group(blocks).into_iter();
        let mut first = groups.next().unwrap_or_default();
        if groups.next().is_some() {
            let kept: usize = first.iter().map(weight).sum();
            first.push(note(&self.language.more_characters(all.saturating_sub(kept))));
        }
        first
    }
}
