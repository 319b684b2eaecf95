//! What may not be shown in an excerpt: values whose key sounds like a credential, and addresses,
//! which in this trade are credentials.
//!
//! Excerpts show lines as written, and a mistake may stand on the same line as a secret, or be that
//! the secret stands under the wrong key. So the names alone decide, whether or not they are known.
//! A bare `${VAR}` shows nothing and is left. Deliberately absent: what the environment holds, which
//! never reaches an excerpt.

use super::{Document, File, Kind, Node, Span};

impl Document {
    /// Masks in excerpts of this document what sounds like a secret.
    pub fn hide_secrets(&self) {
        hide_in_comments(&self.file);
        if let Some(root) = &self.root {
            hide_in(&self.file, root);
        }
    }
}

/// Masks the addresses in comments: what was replaced often stays behind its `#`.
fn hide_in_comments(file: &File) {
    for line in 1..=file.line_count() {
        let range = file.line_range(line);
        let text = &file.text()[range.clone()];
        let comment = if text.starts_with('#') { Some(0) } else { text.find(" #") };
        let address = comment.and_then(|at| Some(at + text[at..].find("://")? + 3));
        if let Some(address) = address {
            file.hide(Span::from(range.start + address..range.end));
        }
    }
}

/// Addresses that are no secret, and help to see; unless they hold a password or parameters.
const SHOWN: [&str; 6] = ["endpoint", "public_url", "base_url", "api_url", "card_url", "no_proxy"];

/// Whether a key of that name holds, or may hold, a credential.
pub(super) fn sounds_secret(key: &str) -> bool {
    const WORDS: [&str; 9] = [
        "secret",
        "token",
        "password",
        "key",
        "url",
        "proxy",
        "postgres",
        "authorization",
        "cookie",
    ];
    let key = key.to_ascii_lowercase();
    let open = key.ends_with("_file") || SHOWN.contains(&key.as_str());
    !open && WORDS.iter().any(|word| key.contains(word))
}

/// Masks what sounds like a secret in a value that has no place in the tree.
pub(super) fn hide_dropped(file: &File, key: &str, node: &Node) {
    if sounds_secret(key) { hide_scalars(file, node) } else { hide_in(file, node) }
}

/// Masks the addresses in a node.
pub(super) fn hide_addresses(file: &File, node: &Node) {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.shown().contains("://") => hide_scalars(file, node),
        Kind::Scalar(_) | Kind::Unreadable => {}
        Kind::List(items) => items.iter().for_each(|item| hide_addresses(file, item)),
        Kind::Map(map) => map.entries.iter().for_each(|entry| hide_addresses(file, &entry.value)),
    }
}

/// Masks every scalar of a node, but for a bare `${VAR}`.
pub(super) fn hide_scalars(file: &File, node: &Node) {
    match &node.kind {
        Kind::Scalar(scalar) => {
            if !is_reference(scalar.shown()) && node.span.start < node.span.end {
                file.hide(node.span);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| hide_scalars(file, item)),
        Kind::Map(map) => map.entries.iter().for_each(|entry| hide_scalars(file, &entry.value)),
        Kind::Unreadable => {
            let written = file.text().get(node.span.range()).unwrap_or_default();
            // What begins with `*` was read as an alias, and is named in the problem about it.
            if !is_reference(written) && !written.starts_with('*') {
                file.hide(node.span);
            }
        }
    }
}

/// Masks what follows a secret's key on a line that can't be parsed.
pub(super) fn hide_on_line(file: &File, line: usize) {
    let range = file.line_range(line);
    let text = &file.text()[range.clone()];
    if let Some(start) = text.find("://") {
        file.hide(Span::from(range.start + start + 3..range.end));
    }
    for (colon, _) in text.match_indices(':') {
        let before = text[..colon].trim_end_matches(['"', '\'', ' ']);
        let word = before
            .rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '-');
        let key = word.into_iter().next().unwrap_or_default();
        if sounds_secret(key) && !is_reference(text[colon + 1..].trim()) {
            file.hide(Span::from(range.start + colon + 1..range.end));
            return;
        }
    }
}

fn hide_in(file: &File, node: &Node) {
    match &node.kind {
        Kind::Scalar(scalar) => {
            if scalar.shown().contains("://") {
                hide_scalars(file, node);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| hide_in(file, item)),
        Kind::Map(map) => {
            for entry in &map.entries {
                let key = &*entry.key.text;
                match key {
                    _ if SHOWN.contains(&key) && !holds_more(&entry.value) => {}
                    "headers" | "query" => hide_around_tags(file, &entry.value),
                    // Under these the keys are names that people chose, whatever they sound like.
                    "sources" | "receivers" => hide_under_names(file, &entry.value),
                    _ if sounds_secret(key) => hide_scalars(file, &entry.value),
                    _ => hide_in(file, &entry.value),
                }
            }
        }
        Kind::Unreadable => {
            // An alias or a word can be shown; what holds keys or an address had better not be.
            if file.text().get(node.span.range()).is_some_and(|text| text.contains(':')) {
                file.hide(node.span);
            }
        }
    }
}

/// Masks every scalar of a node, but for the tags of a template, without the texts that stand in
/// quotes in them: what a template names is no secret, and has to be seen to be corrected.
fn hide_around_tags(file: &File, node: &Node) {
    if let Kind::Map(map) = &node.kind {
        return map.entries.iter().for_each(|entry| hide_around_tags(file, &entry.value));
    }
    let range = node.span.range();
    let written = file.text().get(range.clone()).unwrap_or_default();
    if !matches!(node.kind, Kind::Scalar(_)) || !written.contains("{{") {
        return hide_scalars(file, node);
    }
    let mut shown = false;
    let mut quote = None;
    for (at, letter) in written.char_indices() {
        let rest = &written[at..];
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if shown && rest.starts_with("}}") => shown = false,
            None if shown && matches!(letter, '"' | '\'') => quote = Some(letter),
            None if rest.starts_with("{{") => shown = true,
            None => {}
        }
        if (!shown || quote.is_some()) && !matches!(letter, '}' | '"' | '\'') {
            let start = range.start + at;
            file.hide(Span::from(start..start + letter.len_utf8()));
        }
    }
}

fn hide_under_names(file: &File, node: &Node) {
    match &node.kind {
        Kind::Map(map) => map.entries.iter().for_each(|entry| hide_in(file, &entry.value)),
        _ => hide_in(file, node),
    }
}

/// Whether an address holds more than where something is.
fn holds_more(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar.shown().contains(['@', '?']))
}

/// Whether a text is one reference to the environment, closed or not, and holds nothing itself.
/// Quotes and brackets around it are looked through.
fn is_reference(text: &str) -> bool {
    let text =
        text.trim_matches(|letter: char| letter.is_whitespace() || "\"'|>,]".contains(letter));
    let Some(inside) = text.strip_prefix("${") else { return false };
    let (name, rest) = inside.split_once('}').unwrap_or((inside, ""));
    let default = name.split_once(":-").map_or("", |(_, default)| default);
    default.is_empty() && rest.chars().all(|letter| "}]".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_shows_nothing_and_anything_beside_it_does() {
        for text in ["${A}", "${A:-}", "${A:?set it}", "\"${A}\"", "${A}}", "${A}],", "${A", "${}"]
        {
            assert!(is_reference(text), "{text}");
        }
        for text in ["x${A}", "${A}x", "${A:-secret}", "secret", "", "${A}, b: secret"] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn names_of_secrets_are_known_by_their_sound() {
        for key in ["secret_key", "webhook_url", "SigningSecret", "proxy", "token", "api_key"] {
            assert!(sounds_secret(key), "{key}");
        }
        for key in ["key_file", "public_url", "base_url", "repos", "region", "pace"] {
            assert!(!sounds_secret(key), "{key}");
        }
    }
}
