//! Entries written down as text: answers of the API, JSON lines, exports of our own.
//!
//! Values may follow each other on one line or stretch over many. What can't be understood costs
//! its own line and says where it stands; the rest goes on. Every byte is looked at a bounded
//! number of times, whatever the text. Deliberately absent: files (`file`), and any order.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::value::RawValue;

use super::{
    cut,
    decode::{Answer, Origin, bare_list},
    one_line,
    row::{RAW_LIMIT_BYTES, Reading, Shape, plain, rejected},
};
use crate::{domain::entry::Row, ports::Rejected};

/// The most pieces that are kept of what could not be understood; the others are counted.
const MAX_REJECTED: usize = 1_000;

/// And the most bytes of them, since they are handed on at every reading.
const MAX_REJECTED_BYTES: usize = 4 * 1024 * 1024;

/// What a text held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// The rows, in the text's order.
    pub rows: Vec<Row>,
    /// What could not be understood, each with its line; at most a thousand and one, and about four
    /// megabytes of it; the last then counts the rest.
    pub rejected: Vec<Rejected>,
}

/// Reads rows from a text: answers of either generation, whole and one after another, lists of
/// rows, `{"items": […]}`, and JSON lines of rows, in the API's shape or under the names that rules
/// use (`repo`, `tag`, `returnCode`, `time` …; `time` in RFC 3339, or naive in `zone`).
///
/// A row without a time has `missing_time`; without that it is rejected. A line that is not UTF-8
/// is rejected.
pub fn read_entries(text: &[u8], zone: &TimeZone, missing_time: Option<Timestamp>) -> Entries {
    let how = Reading { zone, shape: Shape::Any, missing_time };
    let mut reader = Reader { how, found: Entries::default(), kept_bytes: 0, unkept: 0 };
    match std::str::from_utf8(text) {
        Ok(text) => reader.text(text),
        Err(_) => {
            let text = reader.without_broken_lines(text);
            reader.text(&text);
        }
    }
    if reader.unkept > 0 {
        let reason = format!("{} more could not be understood", reader.unkept);
        reader.found.rejected.push(Rejected { raw: String::new(), reason });
    }
    reader.found
}

/// Puts what was recorded into the order of time. What is written newest first, as the API answers, is
/// so within a second, too.
pub fn oldest_first<T, K: Ord>(recorded: &mut [T], time: impl Fn(&T) -> K) {
    if recorded.first().map(&time) > recorded.last().map(&time) {
        recorded.reverse();
    }
    recorded.sort_by_key(time);
}

struct Reader<'z> {
    how: Reading<'z>,
    found: Entries,
    /// How long the rejected pieces are together.
    kept_bytes: usize,
    /// How many rejected pieces were counted only.
    unkept: usize,
}

/// A place in the text. Moves forward only, so that counting lines costs one pass.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    line: usize,
}

impl Place {
    const START: Self = Self { offset: 0, line: 1 };

    /// Goes to an offset that is not before this one.
    fn advance(&mut self, text: &str, to: usize) {
        let passed = &text.as_bytes()[self.offset..to];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.offset = to;
    }
}

impl Reader<'_> {
    /// Rejects the lines that are not UTF-8 and gives the text with nothing in their place.
    fn without_broken_lines(&mut self, text: &[u8]) -> String {
        let mut whole = String::with_capacity(text.len());
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            match std::str::from_utf8(line) {
                Ok(line) => whole.push_str(line),
                Err(_) => {
                    let raw = String::from_utf8_lossy(line);
                    self.reject(index + 1, raw.trim_end(), "is not UTF-8");
                    whole.push('\n');
                }
            }
        }
        whole
    }

    fn text(&mut self, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut at = Place::START;
        loop {
            at.advance(text, skip_space(text, at.offset));
            if at.offset == text.len() {
                return;
            }
            match next_value(&text[at.offset..]) {
                Ok(raw) => {
                    self.value(raw.get(), at.line);
                    at.advance(text, at.offset + raw.get().len());
                }
                Err(broken) => self.salvage(text, &mut at, &broken),
            }
        }
    }

    /// Takes the lines that a broken value stretches over one by one: those that are values by
    /// themselves are read, the others rejected, and none of them is looked at again.
    fn salvage(&mut self, text: &str, at: &mut Place, broken: &Broken) {
        let end = text[at.offset..]
            .split_inclusive('\n')
            .take(broken.lines)
            .fold(at.offset, |end, line| end + line.len());
        let mut why = Some(broken.why.as_str());
        let mut rejected_before = false;
        while at.offset < end {
            let rest = &text[at.offset..end];
            let line = rest.split_inclusive('\n').next().unwrap_or(rest);
            let continues = line.starts_with([' ', '\t', '}', ']']);
            let left = self.line(line, at.line);
            let left = left.trim();
            let is_left = !left.is_empty() && left != ",";
            if is_left && rejected_before && continues {
                self.extend_rejected(left);
            } else if is_left {
                self.reject(at.line, left, why.take().unwrap_or("is not JSON by itself"));
            }
            rejected_before = is_left;
            at.advance(text, at.offset + line.len());
        }
    }

    /// Reads the values that a line begins with, and gives what is left of it.
    fn line<'t>(&mut self, line: &'t str, number: usize) -> &'t str {
        let mut offset = 0;
        loop {
            offset = skip_space(line, offset);
            match next_value(&line[offset..]) {
                Ok(raw) => {
                    self.value(raw.get(), number);
                    offset += raw.get().len();
                }
                Err(_) => return &line[offset..],
            }
        }
    }

    /// Reads an object or a list.
    fn value(&mut self, json: &str, line: usize) {
        if json.starts_with('[') {
            return match bare_list(json) {
                Ok(rows) => self.rows(json, &rows, line),
                Err(why) => self.reject(line, json, &why),
            };
        }
        let problem = match self.how.row(json) {
            Ok(row) => return self.found.rows.push(row),
            Err(problem) => problem,
        };
        if !problem.envelope {
            return self.reject(line, json, &problem.reason);
        }
        match Answer::read(json, Origin::File) {
            Ok(answer) => self.rows(json, &answer.rows, line),
            Err(why) => self.reject(line, json, &format!("holds no rows: {why}")),
        }
    }

    /// Reads the rows of one value, which begins on that line.
    fn rows(&mut self, json: &str, rows: &[&RawValue], line: usize) {
        let mut at = Place { offset: 0, line };
        for raw in rows {
            match self.how.row(raw.get()) {
                Ok(row) => self.found.rows.push(row),
                Err(problem) => {
                    // Rows are parts of the value's own text, in order.
                    let offset = (raw.get().as_ptr() as usize)
                        .saturating_sub(json.as_ptr() as usize)
                        .clamp(at.offset, json.len());
                    at.advance(json, offset);
                    self.reject(at.line, raw.get(), &problem.reason);
                }
            }
        }
    }

    fn reject(&mut self, line: usize, raw: &str, why: &str) {
        let room = self.kept_bytes < MAX_REJECTED_BYTES;
        if room && self.unkept == 0 && self.found.rejected.len() < MAX_REJECTED {
            let piece = rejected(raw, format!("line {line}: {}", one_line(why, 300)));
            self.kept_bytes += piece.raw.len();
            self.found.rejected.push(piece);
        } else {
            self.unkept += 1;
        }
    }

    /// Adds a line to what was rejected last.
    fn extend_rejected(&mut self, line: &str) {
        if let (0, Some(last)) = (self.unkept, self.found.rejected.last_mut()) {
            let room = RAW_LIMIT_BYTES.saturating_sub(last.raw.len() + 1);
            if room > 0 {
                let line = cut(line, room);
                self.kept_bytes += line.len() + 1;
                last.raw.push('\n');
                last.raw.push_str(line);
            }
        }
    }
}

/// A value that is not JSON.
struct Broken {
    why: String,
    /// How many lines are of no use for a value that begins with the first of them. The line on
    /// which the parser gave up may begin another, unless it is the first or the text ended.
    lines: usize,
}

/// The object or list that a text begins with.
fn next_value(text: &str) -> Result<&RawValue, Broken> {
    if !text.starts_with(['{', '[']) {
        return Err(Broken { why: "is not a JSON object".to_owned(), lines: 1 });
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(raw)) => Ok(raw),
        Some(Err(error)) => {
            let lines =
                if error.is_eof() { usize::MAX } else { error.line().saturating_sub(1).max(1) };
            Err(Broken { why: format!("is not JSON: {}", plain(&error)), lines })
        }
        None => Err(Broken { why: "is empty".to_owned(), lines: 1 }),
    }
}

/// The offset of the next byte that is not JSON's white space.
fn skip_space(text: &str, from: usize) -> usize {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    from + text.as_bytes()[from..].iter().take_while(|byte| space(byte)).count()
}
