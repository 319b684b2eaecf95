//! A file's text, and places in it.
//!
//! Deliberately absent: reading files. The text is as it was written; what stands in it that may
//! not be shown is marked with [`File::hide`] and masked in every excerpt.

use std::{borrow::Cow, ops::Range, sync::RwLock};

/// A range of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// From the start of one to the end of another.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end.max(self.start) }
    }

    /// Whether another lies within this one.
    pub const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether the two share a byte.
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// As a range of indexes.
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        // Documents are bounded by `MAX_BYTES`, far below 4 GiB.
        let clip = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        Self { start: clip(range.start), end: clip(range.end) }
    }
}

/// Line and column of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in Unicode scalar values.
    pub column: usize,
}

/// A file's name and text.
#[derive(Debug)]
pub struct File {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<u32>,
    hidden: RwLock<Vec<Span>>,
}

impl File {
    /// A file under the name that people know it by.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let starts = breaks.map(|(index, _)| Span::from(index + 1..index + 1).start);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { name: name.into(), text, lines, hidden: RwLock::default() }
    }

    /// Its name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its whole text. Excerpts for people come from [`File::shown`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Marks a range as not to be shown.
    pub fn hide(&self, span: Span) {
        self.hidden.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(span);
    }

    /// A range of the text with what is hidden masked; as many bytes as the range has. Ends that
    /// fall within a character are moved outward.
    pub fn shown(&self, range: Range<usize>) -> Cow<'_, str> {
        let hidden = self.hidden.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let text = &self.text[self.aligned(range.clone())];
        let wanted = Span::from(range);
        if !hidden.iter().any(|span| span.overlaps(wanted)) {
            return Cow::Borrowed(text);
        }
        let mut bytes = text.as_bytes().to_vec();
        for span in hidden.iter().filter(|span| span.overlaps(wanted)) {
            let from = span.start.max(wanted.start) - wanted.start;
            let to = (span.end.min(wanted.end) - wanted.start) as usize;
            for byte in &mut bytes[from as usize..to] {
                if *byte != b'\n' && *byte != b'\r' {
                    *byte = b'*';
                }
            }
        }
        // Hidden spans are those of whole scalars, so no character is cut; were one, it is replaced.
        Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len())))
    }

    /// The position of a byte.
    pub fn position(&self, offset: u32) -> Position {
        let index = self.lines.partition_point(|&start| start <= offset).saturating_sub(1);
        let start = self.lines[index] as usize;
        let end = (offset as usize).min(self.text.len());
        let before = self.text.get(start..end).unwrap_or_default();
        Position { line: index + 1, column: before.chars().count() + 1 }
    }

    /// The span of a number of characters from a position on, within its line.
    pub fn span_at(&self, position: Position, length: usize) -> Span {
        let line = self.line_range(position.line.clamp(1, self.lines.len()));
        let text = &self.text[line.clone()];
        let byte = |chars: usize| {
            text.char_indices().nth(chars).map_or(text.len(), |(index, _)| index) + line.start
        };
        let start = position.column.saturating_sub(1);
        Span::from(byte(start)..byte(start.saturating_add(length)))
    }

    /// The bytes of a line (from 1), without its break.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.lines[line - 1] as usize;
        let end = self.lines.get(line).map_or(self.text.len(), |&next| next as usize - 1);
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    /// How many lines there are.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The same range with its ends on character boundaries and within the text.
    fn aligned(&self, range: Range<usize>) -> Range<usize> {
        let mut start = range.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = range.end.clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        start..end
    }
}
