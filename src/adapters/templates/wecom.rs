//! What a WeCom receiver's configuration says of its messages: the form that a text template's words
//! take, and who is mentioned.
//!
//! A template that writes JSON has the last word: it says the form itself. Deliberately absent: how
//! the forms are made (`form::wecom`).

use crate::domain::notification::words;

words! {
    /// The forms that the words of a text template can take.
    WecomMessage {
        /// Headings, bold, links, quotes, three colours and mentions.
        Markdown = "markdown",
        /// Tables, lists and fences, without colours and mentions; robots only.
        MarkdownV2 = "markdown_v2",
        /// Plain text, which can mention by telephone number too.
        Text = "text",
        /// A card with a title, rows and links (`text_notice`).
        TemplateCard = "template_card",
    }
}

/// What a WeCom receiver asks for of its messages. The default is a robot's, in markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WecomForm {
    /// What a text template's words become.
    pub message: WecomMessage,
    /// Whether an app sends them, which takes fewer bytes than a robot.
    pub app: bool,
    /// Members that every message mentions, by userid, or `@all`.
    pub mentioned: Vec<String>,
    /// Members that every text message mentions, by telephone number, or `@all`.
    pub mentioned_mobile: Vec<String>,
    /// Where a card leads; the notification's own address where nothing is said.
    pub card_url: Option<String>,
}

impl Default for WecomForm {
    fn default() -> Self {
        Self {
            message: WecomMessage::Markdown,
            app: false,
            mentioned: Vec::new(),
            mentioned_mobile: Vec::new(),
            card_url: None,
        }
    }
}
