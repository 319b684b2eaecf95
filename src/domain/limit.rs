//! How much a receiver takes, each number in the receiver's own unit (`docs/receivers.md`).
//!
//! One place for what renders, what simulates and what sends. A message is measured last, after
//! escaping. Deliberately absent: how a message is cut or split.

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode scalar values, what `str::chars` yields.
    Chars,
    /// Bytes of UTF-8, what `str::len` says.
    Bytes,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Chars => "characters",
            Self::Bytes => "bytes",
        })
    }
}

impl Unit {
    /// How much of it a text is.
    pub fn measure(self, text: &str) -> usize {
        match self {
            Self::Chars => text.chars().count(),
            Self::Bytes => text.len(),
        }
    }
}

/// Slack: scalar values, and counts of things in a message.
pub mod slack {
    use super::Unit;

    /// What every text limit here counts.
    pub const UNIT: Unit = Unit::Chars;
    /// The message's `text`: more is refused or cut by Slack.
    pub const TEXT: usize = 40_000;
    /// The message's `text`: what Slack advises, and all that an edit can hold.
    pub const TEXT_ADVISED: usize = 4_000;
    /// Blocks in a message.
    pub const BLOCKS: usize = 50;
    /// The text of a section block.
    pub const SECTION_TEXT: usize = 3_000;
    /// Fields of a section block.
    pub const SECTION_FIELDS: usize = 10;
    /// The text of one field of a section block.
    pub const SECTION_FIELD_TEXT: usize = 2_000;
    /// The plain text of a header block.
    pub const HEADER_TEXT: usize = 150;
    /// Elements of a context block.
    pub const CONTEXT_ELEMENTS: usize = 10;
    /// Attachments in a message.
    pub const ATTACHMENTS: usize = 100;
    /// The texts of all blocks together. Undocumented; more was seen to be refused.
    pub const BLOCKS_TOTAL: usize = 13_200;
}

/// WeCom (a group robot, an app): bytes of UTF-8; a Chinese character is three. Longer is refused whole.
pub mod wecom {
    use super::Unit;

    /// What every text limit here counts.
    pub const UNIT: Unit = Unit::Bytes;
    /// `text.content`.
    pub const TEXT: usize = 2_048;
    /// `markdown.content`, and `markdown_v2.content`, to a robot.
    pub const MARKDOWN: usize = 4_096;
    /// `markdown.content` to an app.
    pub const APP_MARKDOWN: usize = 2_048;
    /// A card's title, and the line under it. WeCom only advises; this and the next three are ours.
    pub const CARD_TITLE: usize = 128;
    /// A card's text.
    pub const CARD_TEXT: usize = 512;
    /// The name of a card's row or link.
    pub const CARD_ROW_NAME: usize = 32;
    /// What a card's row says.
    pub const CARD_ROW_VALUE: usize = 256;
    /// The rows of a card: more are refused.
    pub const CARD_ROWS: usize = 6;
    /// The links of a card: more are refused.
    pub const CARD_LINKS: usize = 3;
}

/// The generic webhook: its bounds are ours.
pub mod webhook {
    use super::Unit;

    /// What the limit here counts.
    pub const UNIT: Unit = Unit::Bytes;
    /// The whole body.
    pub const BODY: usize = 1024 * 1024;
}
