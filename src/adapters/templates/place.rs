//! Finding in a template's source what its syntax tree talks about.
//!
//! The tree places only whole tags, so names inside them are looked for from there on, in the
//! order of the source.

/// A source and how far it has been walked.
pub(super) struct Places<'s> {
    source: &'s str,
    lines: Vec<usize>,
    at: usize,
    inside_tag: bool,
}

impl<'s> Places<'s> {
    /// At the beginning of a source.
    pub(super) fn new(source: &'s str) -> Self {
        let starts = source.match_indices('\n').map(|(at, _)| at + 1);
        Self { source, lines: std::iter::once(0).chain(starts).collect(), at: 0, inside_tag: false }
    }

    /// Where the walk is, as an offset in bytes.
    pub(super) const fn here(&self) -> usize {
        self.at
    }

    /// Goes to a line and a column in characters, both from 1.
    pub(super) fn go_to(&mut self, line: usize, column: usize) {
        let Some(&start) = self.lines.get(line.saturating_sub(1)) else { return };
        let rest = &self.source[start..];
        let offset = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |c| c.0);
        self.at = start + offset;
        self.inside_tag = true;
    }

    /// The line and the column in characters, both from 1, of an offset.
    pub(super) fn line_column(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        (line, self.source[start..at].chars().count() + 1)
    }

    /// Goes past the next place where a name stands by itself, and gives that place; stays where
    /// it is if there is none.
    pub(super) fn find_name(&mut self, name: &str) -> usize {
        let at = self.peek_name(name);
        if self.source[at..].starts_with(name) {
            self.at = at + name.len();
            self.inside_tag = true;
        }
        at
    }

    /// The next place where a name stands by itself, or this one.
    pub(super) fn peek_name(&self, name: &str) -> usize {
        let rest = &self.source[self.at..];
        rest.match_indices(name)
            .map(|(offset, _)| self.at + offset)
            .find(|&at| {
                let before = self.source[..at].chars().next_back();
                let after = self.source[at + name.len()..].chars().next();
                !before.is_some_and(is_part_of_name) && !after.is_some_and(is_part_of_name)
            })
            .unwrap_or(self.at)
    }

    /// Goes past a piece of the template's own text and gives its place.
    pub(super) fn find_text(&mut self, text: &str) -> usize {
        if std::mem::take(&mut self.inside_tag)
            && let Some(offset) = self.source[self.at..].find("}}")
        {
            self.at += offset + 2;
        }
        match self.source[self.at..].find(text) {
            Some(offset) => {
                let at = self.at + offset;
                self.at = at + text.len();
                at
            }
            None => self.at,
        }
    }

    /// Goes past a literal argument.
    pub(super) fn skip_literal(&mut self, literal: &serde_json::Value) {
        let written = match literal {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let Some(offset) = self.source[self.at..].find(&written) {
            self.at += offset + written.len();
            if self.source[self.at..].starts_with(['"', '\'']) {
                self.at += 1;
            }
        }
    }

    /// The place and length in characters of the argument that was walked over between two
    /// offsets.
    pub(super) fn argument(&self, start: usize, end: usize) -> (usize, usize) {
        let walked = &self.source[start..end.max(start)];
        let trimmed = walked.trim_start();
        (start + walked.len() - trimmed.len(), trimmed.chars().count().max(1))
    }

    /// The place of a quoted word somewhere after an offset.
    pub(super) fn quoted_after(&self, at: usize, word: &str) -> usize {
        ['\'', '"']
            .iter()
            .filter_map(|quote| self.source[at..].find(&format!("{quote}{word}{quote}")))
            .min()
            .map_or(at, |offset| at + offset + 1)
    }
}

fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ':' | '.' | '/' | '@')
}
