//! The words of a message in forms that know less markup than markdown, and its mentions.
//!
//! Only markup that a template wrote is taken out: a value's `<` and `](` were made harmless when it
//! was written (`escape`). Deliberately absent: lengths.

use std::borrow::Cow;

use serde_json::Value;

use crate::adapters::templates::escape::MENTION;

/// A text with its mentions taken out.
pub(super) struct Mentions {
    /// The text, in which `@` and the id stand for each.
    pub(super) shown: String,
    /// Who is mentioned, each once; `all` has become `@all`.
    pub(super) ids: Vec<String>,
}

/// Whether a template mentions somebody in it.
pub(super) fn has_marks(text: &str) -> bool {
    text.contains(MENTION)
}

/// The text as markdown, which has mentions of its own.
pub(super) fn marked(text: &str) -> Cow<'_, str> {
    if has_marks(text) { Cow::Owned(text.replace(MENTION, "")) } else { Cow::Borrowed(text) }
}

/// Takes the mentions out of a text.
pub(super) fn mentions(text: &str) -> Mentions {
    let mut shown = String::with_capacity(text.len());
    let mut ids: Vec<String> = Vec::new();
    let mut pieces = text.split(MENTION);
    shown.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let Some((id, rest)) = piece.strip_prefix("<@").and_then(|rest| rest.split_once('>'))
        else {
            shown.push_str(piece);
            continue;
        };
        let id = if id == "all" { "@all".to_owned() } else { id.to_owned() };
        if !id.starts_with('@') {
            shown.push('@');
        }
        shown.push_str(&id);
        shown.push_str(rest);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Mentions { shown, ids }
}

/// Gives the mentions in all texts of a message the form that it has for them.
pub(super) fn resolve(value: &mut Value, is_markdown: bool, ids: &mut Vec<String>) {
    match value {
        Value::String(text) if has_marks(text) => {
            if is_markdown {
                *text = text.replace(MENTION, "");
            } else {
                let found = mentions(text);
                *text = found.shown;
                ids.extend(found.ids);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| resolve(it, is_markdown, ids)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|it| resolve(it, is_markdown, ids));
        }
        _ => {}
    }
}

/// Whom a markdown message mentions at its end, on a line of its own; nothing for nobody.
pub(super) fn mention_line(ids: &[String]) -> String {
    let tags = ids.iter().map(|id| format!("<@{}>", id.trim_start_matches('@')));
    let line: String = tags.collect();
    if line.is_empty() { line } else { format!("\n{line}") }
}

/// Markdown without colours, which its second version shows as they are written.
pub(super) fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match font_tag(rest) {
            Some(len) => rest = &rest[len..],
            None => {
                out.push('<');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The length of a tag of colour at the start of a text.
fn font_tag(text: &str) -> Option<usize> {
    let is_tag = text.starts_with("<font ") || text.starts_with("</font>");
    is_tag.then(|| text.find('>').map(|end| end + 1))?
}

/// Markdown as plain text: its words, and the addresses of its links.
pub(super) fn plain(text: &str) -> String {
    let text = without_colours(text);
    let lines: Vec<String> = text.lines().map(|line| plain_line(line, &mut Vec::new())).collect();
    lines.join("\n")
}

/// A line of markdown without colours as plain text. Links go to `links`, as label and address, and
/// stay in the text where those are not wanted apart.
pub(super) fn plain_line(line: &str, links: &mut Vec<(String, String)>) -> String {
    let line = line.trim_end();
    let line = line.strip_prefix("> ").or_else(|| line.strip_prefix('>')).unwrap_or(line);
    let unheaded = line.trim_start_matches('#');
    let line = match line.len() - unheaded.len() {
        1..=6 if unheaded.starts_with(' ') => unheaded.trim_start(),
        _ => line,
    };
    let line = without_pairs(&without_pairs(line, "**"), "`");
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some((before, label, address, after)) = link(rest) {
        out.push_str(before);
        out.push_str(&format!("{label} {address}"));
        links.push((label.to_owned(), address.to_owned()));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The first link of a text: what is before it, its label, its address, and what is after it.
fn link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let middle = text.find("](")?;
    let start = text[..middle].rfind('[')?;
    let rest = &text[middle + 2..];
    let end = rest.find(')')?;
    let address = &rest[..end];
    let is_address = address.starts_with("http://") || address.starts_with("https://");
    is_address.then(|| (&text[..start], &text[start + 1..middle], address, &rest[end + 1..]))
}

/// A line without a mark that stands in pairs around words.
fn without_pairs(line: &str, mark: &str) -> String {
    let pieces: Vec<&str> = line.split(mark).collect();
    if pieces.len() % 2 == 1 {
        return pieces.concat();
    }
    // The last one has no other: it is no markup.
    let last = pieces.len() - 1;
    format!("{}{mark}{}", pieces[..last].concat(), pieces[last])
}
