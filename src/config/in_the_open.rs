//! Secrets that are written in the configuration itself, where everybody who may read it sees them.
//!
//! What comes from the environment or a file, and what a template makes, is none of them. Deliberately
//! absent: masking them in excerpts (`document`).

use reqwest::Url;

use crate::{
    adapters::templates::ValueTemplate,
    document::{Code, Document, Entry, Kind, Node, Problem, Report, Scalar},
};

/// Keys whose values are secrets and nothing else.
const SECRETS: [&str; 8] = [
    "secret_key",
    "signing_secret",
    "webhook_url",
    "corpsecret",
    "secret",
    "token",
    "password",
    "key",
];

/// Keys of addresses that can stand in a file.
const FILED: [&str; 2] = ["url", "proxy"];

/// The last words of names of headers and parameters that hold secrets.
const WORDS: [&str; 17] = [
    "authorization",
    "auth",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "key",
    "apikey",
    "pass",
    "passwd",
    "password",
    "secret",
    "sig",
    "sign",
    "signature",
    "token",
    "accesstoken",
];

/// Warns of the secrets under a key.
pub(super) fn secrets(entry: &Entry, document: &Document, report: &Report) {
    let key = &*entry.key.text;
    match &entry.value.kind {
        Kind::Map(map) => {
            let is_secret: fn(&str, &str) -> bool = match key {
                "headers" | "query" => |name, text| names_secret(name) || holds_scheme(text),
                "secrets" => |name, _| !name.ends_with("_file"),
                _ => return map.entries.iter().for_each(|it| secrets(it, document, report)),
            };
            for inner in &map.entries {
                if open(&inner.value).is_some_and(|text| is_secret(&inner.key.text, text)) {
                    warn(&inner.key.text, &inner.value, None, document, report);
                }
            }
        }
        Kind::List(items) if SECRETS.contains(&key) => {
            for item in items.iter().filter(|item| open(item).is_some()) {
                warn(key, item, None, document, report);
            }
        }
        Kind::Scalar(_) => {
            let Some(text) = open(&entry.value) else { return };
            if SECRETS.contains(&key) {
                warn(key, &entry.value, None, document, report);
            } else if let Some(what) = in_address(text) {
                warn(key, &entry.value, Some(&what), document, report);
            }
        }
        Kind::List(_) | Kind::Unreadable => {}
    }
}

/// The text of a scalar, where that is all written here.
fn open(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(Scalar { text, written: None, .. }) => {
            let made = text.is_empty() || text.contains("${") || ValueTemplate::is_one(text);
            (!made).then_some(text)
        }
        _ => None,
    }
}

/// Whether a header or parameter of that name holds a secret.
fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.rsplit(|letter: char| !letter.is_ascii_alphanumeric());
    name != "idempotency-key" && words.next().is_some_and(|last| WORDS.contains(&last))
}

/// Whether a header's value is one that proves who is asking, whatever the header is called.
fn holds_scheme(text: &str) -> bool {
    let scheme = text.split_once(' ').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| matches!(&*scheme, "bearer" | "basic" | "token"))
}

/// What of an address is a secret.
fn in_address(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(Url::has_host)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Some("holds a user's password".to_owned());
    }
    let found = url.query_pairs().find(|(name, value)| !value.is_empty() && names_secret(name));
    found.map(|(name, _)| format!("holds the parameter `{}`", name.escape_debug()))
}

/// Says that a value is a secret, or what in it is one.
fn warn(key: &str, value: &Node, what: Option<&str>, document: &Document, report: &Report) {
    let variable = key.to_uppercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    let mut help = format!("take it from the environment, `{key}: ${{{variable}}}`");
    if what.is_none() || FILED.contains(&key) {
        help = format!("{help}, or from a file, `{key}_file`");
    }
    let message = format!("`{key}` {} in the open", what.unwrap_or("is written"));
    let problem = Problem::new(Code::OpenSecret, message);
    report.add(problem.at(&document.file, value.span).help(help));
}
