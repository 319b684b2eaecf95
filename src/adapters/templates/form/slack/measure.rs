//! Parsing a Slack message and measuring it in one pass, without building a tree.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::super::Usage;
use crate::domain::limit::slack::{
    ATTACHMENTS, BLOCKS, BLOCKS_TOTAL, CONTEXT_ELEMENTS, HEADER_TEXT, SECTION_FIELD_TEXT,
    SECTION_FIELDS, SECTION_TEXT, TEXT_ADVISED, UNIT,
};

/// The lengths of a message.
#[derive(Debug, Deserialize)]
pub(in super::super) struct Message {
    #[serde(default)]
    text: Option<Length>,
    #[serde(default)]
    blocks: Vec<Block>,
    #[serde(default)]
    attachments: Vec<Attachment>,
}

#[derive(Debug, Deserialize)]
struct Attachment {
    #[serde(default)]
    blocks: Vec<Block>,
}

#[derive(Debug, Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    text: Option<Length>,
    #[serde(default)]
    fields: Vec<Length>,
    #[serde(default)]
    elements: Vec<Length>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Section,
    Header,
    Context,
    #[serde(other)]
    Other,
}

/// The length of a text or of a text object; `None` for what is neither.
#[derive(Debug, Clone, Copy)]
struct Length(Option<usize>);

impl Message {
    /// What no fitting could repair.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let empty = self.text.is_none() && self.blocks.is_empty() && self.attachments.is_empty();
        empty.then_some("a Slack message has a `text`, `blocks` or `attachments`")
    }

    /// Whether it can go out as it is.
    pub(super) fn fits(&self) -> bool {
        let text = self.text.and_then(|text| text.0).unwrap_or(0);
        (1..=TEXT_ADVISED).contains(&text)
            && blocks_fit(&self.blocks)
            && self.attachments.len() <= ATTACHMENTS
            && self.attachments.iter().all(|attachment| blocks_fit(&attachment.blocks))
    }

    /// How much of each limit it takes.
    pub(super) fn usage(&self) -> Vec<Usage> {
        let longest = |kind, of: fn(&Block) -> usize| {
            self.blocks.iter().filter(|block| block.kind == kind).map(of).max().unwrap_or(0)
        };
        let own = |block: &Block| block.text.and_then(|text| text.0).unwrap_or(0);
        let field = |block: &Block| block.fields.iter().filter_map(|one| one.0).max().unwrap_or(0);
        let unit = Some(UNIT);
        let text = self.text.and_then(|text| text.0).unwrap_or(0);
        let total = self.blocks.iter().map(Block::total).sum();
        let usage = |what, used, allowed, unit| Usage { what, used, allowed, unit };
        vec![
            usage("text", text, TEXT_ADVISED, unit),
            usage("blocks", self.blocks.len(), BLOCKS, None),
            usage("header", longest(Kind::Header, own), HEADER_TEXT, unit),
            usage("section", longest(Kind::Section, own), SECTION_TEXT, unit),
            usage("field", longest(Kind::Section, field), SECTION_FIELD_TEXT, unit),
            usage("all blocks", total, BLOCKS_TOTAL, unit),
        ]
    }
}

fn blocks_fit(blocks: &[Block]) -> bool {
    blocks.len() <= BLOCKS
        && blocks.iter().all(Block::fits)
        && blocks.iter().map(Block::total).sum::<usize>() <= BLOCKS_TOTAL
}

impl Block {
    fn fits(&self) -> bool {
        match self.kind {
            Kind::Section => {
                all_within(self.text.as_slice(), SECTION_TEXT)
                    && self.fields.len() <= SECTION_FIELDS
                    && all_within(&self.fields, SECTION_FIELD_TEXT)
                    && (self.text.is_some() || !self.fields.is_empty())
            }
            Kind::Header => self.text.is_some() && all_within(self.text.as_slice(), HEADER_TEXT),
            Kind::Context => {
                (1..=CONTEXT_ELEMENTS).contains(&self.elements.len())
                    && all_within(&self.elements, super::CONTEXT_TEXT)
            }
            Kind::Other => true,
        }
    }

    fn total(&self) -> usize {
        let lists = self.fields.iter().chain(&self.elements);
        self.text.iter().chain(lists).filter_map(|length| length.0).sum()
    }
}

fn all_within(lengths: &[Length], max: usize) -> bool {
    lengths.iter().all(|length| length.0.is_none_or(|length| (1..=max).contains(&length)))
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Measure)
    }
}

struct Measure;

impl<'de> Visitor<'de> for Measure {
    type Value = Length;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or an object that holds one")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Length, E> {
        // White space alone counts as empty, which Slack refuses.
        let length = if text.trim().is_empty() { 0 } else { UNIT.measure(text) };
        Ok(Length(Some(length)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Length, A::Error> {
        let mut length = Length(None);
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Text => length = map.next_value()?,
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(length)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Length, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Length(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Length, E> {
        Ok(Length(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Length, E> {
        Ok(Length(None))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Length, E> {
        Ok(Length(None))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Length, E> {
        Ok(Length(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Length, E> {
        Ok(Length(None))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Text,
    #[serde(other)]
    Other,
}
