//! A card (`text_notice`) out of the words of a text template.
//!
//! The first line is the title; lines that name something in bold and say it (`**Tag**: v1`) are
//! rows; a line that is wholly grey is what stands under the title; links are at the bottom, and
//! the rest is the text. WeCom only advises how long each may be; the bounds are ours. Deliberately
//! absent: cards that a JSON template writes, which are checked and left as they are.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::Usage,
    Making,
    words::{plain_line, without_colours},
};
use crate::{
    adapters::templates::split::{Markup, Ruler},
    domain::limit::wecom::{
        CARD_LINKS, CARD_ROW_NAME, CARD_ROW_VALUE, CARD_ROWS, CARD_TEXT, CARD_TITLE, UNIT,
    },
};

/// What a template's words come to.
#[derive(Default)]
struct Words {
    title: String,
    under: String,
    rows: Vec<(String, String)>,
    text: Vec<String>,
    links: Vec<(String, String)>,
}

impl Words {
    fn of(text: &str) -> Self {
        let mut words = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            words.take(line);
        }
        words
    }

    fn take(&mut self, line: &str) {
        let coloured = without_colours(line);
        let bare = coloured.trim();
        let mut links = Vec::new();
        let plain = plain_line(bare, &mut links);
        let is_grey =
            line.trim().starts_with("<font color=\"comment\">") && line.trim().ends_with("</font>");
        if !links.is_empty() && links_alone(bare) {
            self.links.extend(links);
        } else if self.title.is_empty() {
            self.title = plain;
        } else if let Some(row) = row(bare).filter(|_| self.rows.len() < CARD_ROWS) {
            self.rows.push(row);
        } else if is_grey && !line.trim().starts_with('>') {
            self.under = plain;
        } else {
            self.text.push(plain);
        }
    }
}

/// Whether a line holds links and nothing else.
fn links_alone(line: &str) -> bool {
    let mut rest = line.trim();
    while let Some(inside) = rest.strip_prefix('[') {
        let Some((_, after)) = inside.split_once("](") else { return false };
        let Some((_, after)) = after.split_once(')') else { return false };
        rest = after.trim_start();
    }
    rest.is_empty()
}

/// A line `**name**: value` as a row.
fn row(line: &str) -> Option<(String, String)> {
    let line = line.trim_start_matches('>').trim_start();
    let (name, rest) = line.strip_prefix("**")?.split_once("**")?;
    let value = rest.strip_prefix(':').or_else(|| rest.strip_prefix('：'))?.trim();
    let value = plain_line(value, &mut Vec::new());
    (!name.is_empty() && !value.is_empty()).then(|| (name.to_owned(), value))
}

/// The message.
pub(super) fn card(text: &str, making: Making<'_>) -> Value {
    let words = Words::of(text);
    let ruler = Ruler { unit: UNIT, markup: Markup::Plain, language: making.language };
    let line = |text: &str, most: usize| ruler.cut_line(text, most);
    let first_link = words.links.first().map(|(_, address)| address.as_str());
    let link = making.form.card_url.as_deref().or(making.link).or(first_link);
    let mut card = json!({
        "card_type": "text_notice",
        "main_title": { "title": line(&words.title, CARD_TITLE) },
    });
    if !words.under.is_empty() {
        card["main_title"]["desc"] = line(&words.under, CARD_TITLE).into();
    }
    if !words.text.is_empty() {
        card["sub_title_text"] = ruler.cut(&words.text.join("\n"), CARD_TEXT).into();
    }
    if !words.rows.is_empty() {
        let row = |(name, value): &(String, String)| json!({ "keyname": line(name, CARD_ROW_NAME), "value": line(value, CARD_ROW_VALUE) });
        card["horizontal_content_list"] = words.rows.iter().map(row).collect();
    }
    if !words.links.is_empty() {
        let jump = |(label, address): &(String, String)| json!({ "type": 1, "title": line(label, CARD_ROW_NAME), "url": address });
        card["jump_list"] = words.links.iter().take(CARD_LINKS).map(jump).collect();
    }
    // The check of the configuration has seen to it that there is one.
    card["card_action"] = json!({ "type": 1, "url": link.unwrap_or("https://work.weixin.qq.com") });
    json!({ "msgtype": "template_card", "template_card": card })
}

/// As much of a card as is checked and measured.
#[derive(Debug, Deserialize)]
pub(super) struct Card {
    #[serde(default)]
    card_type: String,
    #[serde(default)]
    main_title: Option<Title>,
    #[serde(default)]
    sub_title_text: String,
    #[serde(default)]
    horizontal_content_list: Vec<Value>,
    #[serde(default)]
    jump_list: Vec<Value>,
    #[serde(default)]
    card_action: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Title {
    #[serde(default)]
    title: String,
}

impl Card {
    fn title(&self) -> &str {
        self.main_title.as_ref().map_or("", |title| &title.title)
    }

    /// What WeCom would refuse.
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.card_type.is_empty() {
            return Some("`template_card` has no card_type");
        }
        if self.card_type != "text_notice" {
            return None;
        }
        if self.title().trim().is_empty() && self.sub_title_text.trim().is_empty() {
            return Some("a text_notice has a main_title.title or a sub_title_text");
        }
        if self.card_action.is_none() {
            return Some("a text_notice has a card_action, with the URL that it leads to");
        }
        (self.horizontal_content_list.len() > CARD_ROWS || self.jump_list.len() > CARD_LINKS)
            .then_some("a card has at most 6 in horizontal_content_list and 3 in jump_list")
    }

    /// How much of its bounds it takes.
    pub(super) fn usage(&self) -> Vec<Usage> {
        let of = |what, used, allowed, unit| Usage { what, used, allowed, unit };
        vec![
            of("main_title.title", UNIT.measure(self.title()), CARD_TITLE, Some(UNIT)),
            of("sub_title_text", UNIT.measure(&self.sub_title_text), CARD_TEXT, Some(UNIT)),
            of("rows", self.horizontal_content_list.len(), CARD_ROWS, None),
            of("links", self.jump_list.len(), CARD_LINKS, None),
        ]
    }
}
