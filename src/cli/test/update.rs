//! `--update`: a test file whose expectations are what happened, for review.
//!
//! Of a test that failed, what was met stays as it is written, with its comments; what was not told
//! goes, what differs and what was not expected is written anew. Everything else stays byte for
//! byte. Deliberately absent: writing the file.

use jiff::Timestamp;

use super::{
    Ran, RanFile,
    compare::{contains, differences, offset},
    play::Told,
};
use crate::{
    config::Expected,
    document::{Document, File, Report, Span},
};

/// A change of the text: what stands in a range becomes something else.
type Edit = (std::ops::Range<usize>, String);

/// The text with the expectations of failed tests put down anew, and how many tests that were.
///
/// # Errors
/// A test is written in a way that can't be changed in part: it is said which, and why.
pub(super) fn updated(ran: &RanFile<'_>) -> Result<(String, usize), String> {
    let text = ran.file.file.text();
    let mut edits: Vec<Edit> = Vec::new();
    for test in ran.tests.iter().filter(|test| !test.outcome.as_expected()) {
        let edit = Page { text, test }.edit().ok_or_else(|| {
            let (name, line) = (ran.file.file.name(), test.scenario.line);
            format!("{name}:{line}: can't be updated, since `&` or `*` is part of its `expect`")
        })?;
        edits.push(edit);
    }
    let count = edits.len();
    let mut new = text.to_owned();
    // From the end, so that what comes before stays where it is.
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    for (range, with) in edits {
        new.replace_range(range, &with);
    }
    let report = Report::default();
    Document::parse(File::new(ran.file.file.name(), new.clone()), &report);
    if report.errors() > 0 {
        let name = ran.file.file.name();
        return Err(format!("{name}: can't be updated, since it is written too unusually"));
    }
    Ok((new, count))
}

/// A failed test in its file.
struct Page<'t> {
    text: &'t str,
    test: &'t Ran<'t>,
}

/// One item of the new list.
struct Item {
    at: Timestamp,
    text: String,
    /// The lines as they stand in the file, with the `-` and what comes before it.
    lines: Option<String>,
}

impl Page<'_> {
    fn edit(&self) -> Option<Edit> {
        let written = &self.test.scenario.written;
        match written.expect {
            None => Some(self.added()),
            Some((key, value)) => {
                let mut between = self.text.get(key.end as usize..value.start as usize)?.chars();
                let anchored = between.any(|letter| matches!(letter, '&' | '*'))
                    || !written.scenario.contains(value)
                    || !written.items.iter().all(|item| value.contains(*item));
                (!anchored).then(|| self.replaced(key, value))
            }
        }
    }

    /// The whole list for a test that has none.
    fn added(&self) -> Edit {
        let span = self.test.scenario.written.scenario.range();
        let end = span.start + self.text[span.clone()].trim_end().len();
        let items = self.items(false);
        if self.text[..end].ends_with('}') && self.text[span.start..].starts_with('{') {
            let list = format!(", expect: {}", in_flow(&items));
            return (end - 1..end - 1, list);
        }
        let indent = span.start - self.line_start(span.start);
        let at = self.line_end(end);
        let pad = " ".repeat(indent);
        let list = self.in_block(&items, &format!("{pad}  "));
        (at..at, format!("{0}{pad}expect:{list}", self.line_break()))
    }

    fn replaced(&self, key: Span, value: Span) -> Edit {
        let (start, key_end) = (key.range().start, key.range().end);
        let before = &self.text[self.line_start(start)..start];
        let end = value.range().start + self.text[value.range()].trim_end().len();
        if !matches!(before.trim(), "" | "-") {
            return (start..end, format!("expect: {}", in_flow(&self.items(false))));
        }
        let items = &self.test.scenario.written.items;
        let first = items.first().map(|item| item.range().start);
        let dashed = first.filter(|at| self.text[self.line_start(*at)..*at].trim() == "-");
        let Some(first) = dashed else {
            let pad = " ".repeat(before.len() + 2);
            let items = self.items(false);
            let list =
                if items.is_empty() { " []".to_owned() } else { self.in_block(&items, &pad) };
            return (key_end..end, format!(":{list}"));
        };
        let pad = &self.text[self.line_start(first)..first];
        let pad = &pad[..pad.len() - pad.trim_start().len()];
        let items = self.items(true);
        let list = if items.is_empty() { " []".to_owned() } else { self.in_block(&items, pad) };
        // From the end of the key's line on, so that a comment there stays, unless there is no list.
        let from = if items.is_empty() { key_end + 1 } else { self.line_end(key_end) };
        (from..self.line_end(end), list)
    }

    /// The new list: what was met as it is written, and the rest at its time.
    fn items(&self, in_lines: bool) -> Vec<Item> {
        let Ran { scenario, told, outcome, .. } = self.test;
        let mut items: Vec<Item> = Vec::new();
        let mut anew: Vec<Item> = outcome
            .unexpected
            .iter()
            .map(|&index| self.anew(&told[index], &Expected::default()))
            .collect();
        for (number, span) in scenario.written.items.iter().enumerate() {
            let own = |index: &usize| scenario.expect[*index].item == number;
            let of = (0..scenario.expect.len()).filter(own).count();
            let met: Vec<_> = outcome.met.iter().filter(|(index, _)| own(index)).collect();
            if let (Some((_, first)), true) = (met.first(), met.len() == of) {
                let text = self.text[span.range()].trim_end().to_owned();
                let lines = in_lines.then(|| self.lines(number));
                items.push(Item { at: told[*first].at, text, lines });
                continue;
            }
            let met = met.into_iter().map(|(index, other)| (*index, *other));
            let differing = outcome.differing.iter().filter(|(index, ..)| own(index));
            let differing = differing.map(|(index, other, _)| (*index, *other));
            for (index, other) in met.chain(differing) {
                anew.push(self.anew(&told[other], &scenario.expect[index]));
            }
        }
        anew.sort_by_key(|item| item.at);
        for item in anew {
            let after = items.iter().rposition(|other| other.at <= item.at);
            items.insert(after.map_or(0, |index| index + 1), item);
        }
        items
    }

    /// The lines of an item, with the comments before it and behind it.
    fn lines(&self, number: usize) -> String {
        let items = &self.test.scenario.written.items;
        let end_of = |index: usize| {
            let span = items[index].range();
            self.line_end(span.start + self.text[span.clone()].trim_end().len())
        };
        let key = self.test.scenario.written.expect.map_or(0, |(key, _)| key.range().end);
        let from = if number == 0 { self.line_end(key) } else { end_of(number - 1) };
        self.text[from..end_of(number)].to_owned()
    }

    /// A message as an expectation. Of one that asked for more than is usual, what still holds is
    /// asked again, and what does not is asked as it is now.
    fn anew(&self, told: &Told, asked: &Expected) -> Item {
        let scenario = self.test.scenario;
        let mut keys = vec![
            ("at", offset(scenario.start, told.at)),
            ("rule", scalar(&told.rule)),
            ("send_to", scalar(&told.send_to)),
            ("reason", told.reason.to_string()),
        ];
        if asked.severity.is_some() {
            keys.push(("severity", told.severity.to_string()));
        }
        if asked.count.is_some() || told.count > 1 {
            keys.push(("count", told.count.to_string()));
        }
        if let Some(by) = told.held_by {
            keys.push(("held_by", by.to_string()));
        }
        let said = told.held_by.is_none();
        if asked.text.is_some() && said {
            keys.push(("text", scalar(told.text.trim_end_matches('\n'))));
        }
        let held: Vec<String> = asked
            .text_contains
            .iter()
            .filter(|text| said && contains(told, text))
            .map(|text| scalar(text))
            .collect();
        match &held[..] {
            [] => {}
            [one] => keys.push(("text_contains", one.clone())),
            all => keys.push(("text_contains", format!("[{}]", all.join(", ")))),
        }
        let payload = asked.payload.clone().filter(|payload| {
            let only = Expected { payload: Some(payload.clone()), ..Expected::default() };
            said && differences(scenario, &only, told).is_empty()
        });
        if let Some(payload) = payload {
            keys.push(("payload", payload.to_string()));
        }
        let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        Item { at: told.at, text: format!("{{{}}}", keys.join(", ")), lines: None }
    }

    fn in_block(&self, items: &[Item], pad: &str) -> String {
        let line = |item: &Item| match &item.lines {
            Some(lines) => lines.clone(),
            None => format!("{}{pad}- {}", self.line_break(), item.text),
        };
        items.iter().map(line).collect()
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |index| index + 1)
    }

    /// Before the line's break.
    fn line_end(&self, at: usize) -> usize {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |index| at + index);
        if self.text[at..end].ends_with('\r') { end - 1 } else { end }
    }

    fn line_break(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }
}

fn in_flow(items: &[Item]) -> String {
    let texts: Vec<_> = items.iter().map(|item| item.text.as_str()).collect();
    format!("[{}]", texts.join(", "))
}

/// A text as a YAML scalar that can stand in `{}`.
fn scalar(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "._-/ ".contains(letter);
    let is_bare = text.starts_with(char::is_alphabetic)
        && text.chars().all(plain)
        && !text.ends_with(' ')
        && !matches!(text, "true" | "false" | "null");
    if is_bare {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        // What JSON escapes, YAML reads between double quotes.
        serde_json::Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
