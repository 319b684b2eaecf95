//! The tree of a document: maps, lists and scalars, each with its span.
//!
//! Deliberately absent: types. A scalar is its text and its style; what it means is for the reader.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::Span;

/// A node of the tree. Where an alias stands, the node is that of its anchor, with the anchor's
/// span.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it is written. A block map or list reaches from its first entry to the end of its
    /// last.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A text.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Map),
    /// Something that could not be read and has been reported; readers pass over it in silence.
    Unreadable,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bare, in block style.
    Plain,
    /// Bare, inside `{}` or `[]`.
    PlainInFlow,
    /// In `'…'` or `"…"`.
    Quoted,
    /// After `|` or `>`.
    Block,
}

/// A text.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// Its text after quotes and escapes, and after expansion.
    pub text: Arc<str>,
    /// How it is written.
    pub style: Style,
    /// Its text before expansion, where the environment had a part in it. Only this may be shown.
    pub written: Option<Arc<str>>,
}

/// A map, in the order written; its keys are unique.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// Its entries, those that came by `<<` last.
    pub entries: Vec<Entry>,
    /// False where the document broke off inside it, or a part of it could not be read: then a key
    /// that is not there says nothing.
    pub complete: bool,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Node,
}

/// A key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its text.
    pub text: Arc<str>,
    /// Where it is written.
    pub span: Span,
}

impl Scalar {
    /// The text that may be shown to a person: as written in the file.
    pub fn shown(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.text)
    }

    /// Whether the environment left nothing of it: then its key counts as not written.
    pub fn is_unset(&self) -> bool {
        self.written.is_some() && self.text.is_empty()
    }
}

impl Node {
    /// Feeds what is written here into a hash, what the environment said included, and where it is
    /// written not: the same text elsewhere hashes the same. The hash may hold secrets; it is for
    /// comparing in memory.
    pub fn hash_text(&self, hasher: &mut impl Hasher) {
        match &self.kind {
            Kind::Scalar(scalar) => (0_u8, &scalar.text).hash(hasher),
            Kind::List(items) => {
                (1_u8, items.len()).hash(hasher);
                items.iter().for_each(|item| item.hash_text(hasher));
            }
            Kind::Map(map) => {
                (2_u8, map.entries.len()).hash(hasher);
                for entry in &map.entries {
                    entry.key.text.hash(hasher);
                    entry.value.hash_text(hasher);
                }
            }
            Kind::Unreadable => 3_u8.hash(hasher),
        }
    }

    /// Whether all that is written here could be read.
    pub fn is_whole(&self) -> bool {
        match &self.kind {
            Kind::Scalar(_) => true,
            Kind::List(items) => items.iter().all(Self::is_whole),
            Kind::Map(map) => {
                map.complete && map.entries.iter().all(|entry| entry.value.is_whole())
            }
            Kind::Unreadable => false,
        }
    }

    /// Whether nothing is written here, or an explicit null.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar(Scalar {
                text,
                style: Style::Plain | Style::PlainInFlow,
                written: None,
            }) => self.span.start == self.span.end || matches!(&**text, "~" | "null"),
            _ => false,
        }
    }

    /// Whether the environment left nothing of it.
    pub fn is_unset(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_unset())
    }

    /// The span to point at: the first key of a map, the first item of a list.
    pub fn head(&self) -> Span {
        match &self.kind {
            Kind::Map(map) => map
                .entries
                .iter()
                .map(|entry| entry.key.span)
                .find(|&span| self.span.contains(span))
                .unwrap_or(self.span),
            Kind::List(items) => items
                .first()
                .map(Self::head)
                .filter(|&span| self.span.contains(span))
                .unwrap_or(self.span),
            Kind::Scalar(_) | Kind::Unreadable => self.span,
        }
    }

    /// The path of the innermost node or key that holds a span, as `rules[1].send_to[0]`; `None`
    /// at the root. With `holder`, of the map whose key the span is.
    pub fn path_of(&self, span: Span, holder: bool) -> Option<String> {
        let mut path = String::new();
        let mut node = self;
        loop {
            match &node.kind {
                Kind::Map(map) => {
                    let Some(entry) = map.entries.iter().find(|entry| {
                        entry.key.span.to(entry.value.span).contains(span)
                            || entry.value.span.contains(span)
                    }) else {
                        break;
                    };
                    if holder && entry.key.span == span {
                        break;
                    }
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&entry.key.text);
                    node = &entry.value;
                }
                Kind::List(items) => {
                    let Some(index) = items.iter().position(|item| item.span.contains(span)) else {
                        break;
                    };
                    path.push_str(&format!("[{index}]"));
                    node = &items[index];
                }
                Kind::Scalar(_) | Kind::Unreadable => break,
            }
        }
        (!path.is_empty()).then_some(path)
    }
}
