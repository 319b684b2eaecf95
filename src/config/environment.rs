//! `${VAR}`, `${VAR:-default}` and `${VAR:?message}` in the bare block scalars of a document.
//!
//! What was written is kept beside what came of it, and only that is ever shown. Deliberately
//! absent: the environment itself, which is a parameter, and any expansion in rule files.

use std::sync::Arc;

use crate::document::{Code, Document, File, Kind, Node, Problem, Report, Scalar, Span, Style};

/// Looks an environment variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The longest text that expansion makes.
const MAX_EXPANDED_BYTES: usize = 64 * 1024;

/// Expands every scalar of a document in place.
pub(super) fn expand(document: &mut Document, lookup: Lookup<'_>, report: &Report) {
    let file = Arc::clone(&document.file);
    if let Some(root) = &mut document.root {
        Expansion { file: &file, lookup, report }.node(root, None);
    }
}

/// Expands the values of some keys of one map at the top of a document, in place.
pub(super) fn expand_within(
    document: &mut Document,
    holder: &str,
    keys: &[&str],
    lookup: Lookup<'_>,
    report: &Report,
) {
    fn under<'a>(node: &'a mut Node, wanted: &[&str]) -> Vec<(Arc<str>, &'a mut Node)> {
        let Kind::Map(map) = &mut node.kind else { return Vec::new() };
        let entries = map.entries.iter_mut().filter(|entry| wanted.contains(&&*entry.key.text));
        entries.map(|entry| (entry.key.text.clone(), &mut entry.value)).collect()
    }
    let file = Arc::clone(&document.file);
    let expansion = Expansion { file: &file, lookup, report };
    let root = document.root.iter_mut();
    let holders = root.flat_map(|root| under(root, &[holder]));
    for (key, value) in holders.flat_map(|(_, holder)| under(holder, keys)) {
        expansion.node(value, Some(&key));
    }
}

/// Says of every scalar of a rule file that holds `${…}` that it is not expanded there.
pub(super) fn warn_of_unexpanded(document: &Document, report: &Report) {
    fn walk(node: &Node, found: &mut Vec<(Span, Arc<str>)>) {
        match &node.kind {
            Kind::Scalar(scalar) if reference(&scalar.text).is_some() => {
                found.push((node.span, Arc::clone(&scalar.text)));
            }
            Kind::List(items) => items.iter().for_each(|item| walk(item, found)),
            Kind::Map(map) => map.entries.iter().for_each(|entry| walk(&entry.value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    document.root.iter().for_each(|root| walk(root, &mut found));
    for (span, text) in found {
        let written = reference(&text).map_or(&*text, |(written, _)| written);
        report.add(
            Problem::new(
                Code::NotExpanded,
                format!("`{written}` means just these characters here"),
            )
            .at(&document.file, span)
            .help("variables are expanded in triggerbell.yaml only: write the value out"),
        );
    }
}

/// The first thing in a text that looks like a reference, with the bytes that it takes.
fn reference(text: &str) -> Option<(&str, std::ops::Range<usize>)> {
    let start = text.find("${").filter(|&start| {
        text[start + 2..].starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
    })?;
    let end = start + text[start..].find('}')? + 1;
    Some((&text[start..end], start..end))
}

struct Expansion<'a> {
    file: &'a Arc<File>,
    lookup: Lookup<'a>,
    report: &'a Report,
}

impl Expansion<'_> {
    fn node(&self, node: &mut Node, key: Option<&str>) {
        let span = node.span;
        match &mut node.kind {
            Kind::Scalar(scalar) => {
                if scalar.written.is_none() && scalar.text.contains("${") {
                    match self.scalar(scalar, span, key) {
                        Some(text) => {
                            let text = text.into();
                            scalar.written = Some(std::mem::replace(&mut scalar.text, text));
                        }
                        None => node.kind = Kind::Unreadable,
                    }
                }
            }
            Kind::List(items) => items.iter_mut().for_each(|item| self.node(item, None)),
            Kind::Map(map) => {
                for entry in &mut map.entries {
                    self.node(&mut entry.value, Some(&entry.key.text));
                }
            }
            Kind::Unreadable => {}
        }
    }

    /// The expanded text; `None` when there is a problem, which is reported.
    fn scalar(&self, scalar: &Scalar, span: Span, key: Option<&str>) -> Option<String> {
        let text = &*scalar.text;
        if scalar.style != Style::Plain {
            // A quoted text may hold `${` that is none of ours; only what looks like ours is.
            let Some((written, _)) = reference(text) else { return Some(text.to_owned()) };
            let bare = match key {
                Some(key) => format!("`{key}: {written}`"),
                None => format!("`- {written}`"),
            };
            self.report.add(
                Problem::new(
                    Code::ExpansionPlace,
                    format!(
                        "`{written}` is not expanded inside quotes, `{{}}`, `[]` or a text block"
                    ),
                )
                .at(self.file, span)
                .help(format!("write it bare, on a line of its own: {bare}")),
            );
            return None;
        }
        self.expanded(text, span)
    }

    fn expanded(&self, text: &str, span: Span) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let inside = &rest[start + 2..];
            let Some(end) = inside.find('}') else {
                self.malformed(span, &rest[start..], "a closing `}` is missing");
                return None;
            };
            out.push_str(&self.reference(&inside[..end], span)?);
            rest = &inside[end + 1..];
            if out.len() > MAX_EXPANDED_BYTES {
                self.malformed(span, text, "the environment makes it longer than 64 KiB");
                return None;
            }
        }
        out.push_str(rest);
        Some(out)
    }

    /// What stands between the braces, looked up. An empty variable is an unset one.
    fn reference(&self, inside: &str, span: Span) -> Option<String> {
        let length = inside
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(inside.len());
        let (name, rest) = inside.split_at(length);
        let whole = format!("${{{inside}}}");
        if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
            self.malformed(span, &whole, "a variable's name is missing");
            return None;
        }
        // The braces were closed at the first `}`, which was the inner one's.
        if rest.contains("${") && [":-", ":?"].iter().any(|form| rest.starts_with(form)) {
            self.nested(span, name);
            return None;
        }
        let value = (self.lookup)(name).filter(|value| !value.is_empty());
        if let Some(default) = rest.strip_prefix(":-") {
            return Some(value.unwrap_or_else(|| default.to_owned()));
        }
        let message = rest.strip_prefix(":?");
        if message.is_none() && !rest.is_empty() {
            self.malformed(
                span,
                &whole,
                "after the name only `:-default` or `:?message` can follow",
            );
            return None;
        }
        if value.is_none() {
            let said = message.filter(|message| !message.is_empty());
            let help = match said {
                Some(message) => message.to_owned(),
                None => format!("set it, or give a default: `${{{name}:-…}}`"),
            };
            self.report.add(
                Problem::new(
                    Code::UnsetVariable,
                    format!("the environment variable `{name}` is not set"),
                )
                .at(self.file, span)
                .help(help),
            );
        }
        value
    }

    /// Of what stands within, only the name is shown: a default may be a secret.
    fn nested(&self, span: Span, name: &str) {
        let what = "a variable within a variable is not looked up";
        self.report.add(
            Problem::new(Code::BadExpansion, format!("`${{{name}:…}}` can't be expanded: {what}"))
                .at(self.file, span)
                .help(format!(
                    "write `${{{name}}}` or a plain default, and have whoever starts triggerbell \
                     set it: `{name}=\"${{{name}:-$OTHER}}\"` in a shell"
                )),
        );
    }

    fn malformed(&self, span: Span, written: &str, what: &str) {
        let written: String = written.chars().take(60).collect();
        self.report.add(
            Problem::new(Code::BadExpansion, format!("`{written}` can't be expanded: {what}"))
                .at(self.file, span)
                .help("the forms are `${VAR}`, `${VAR:-default}` and `${VAR:?message}`"),
        );
    }
}
