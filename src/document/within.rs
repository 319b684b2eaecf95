//! Where a part of a scalar's text stands in the file, whatever its quotes, folds and indentation.
//!
//! The scalar's text and what is written for it are walked side by side. Deliberately absent:
//! double-quoted texts with escapes, for which the whole scalar is pointed at.

use std::ops::Range;

/// The bytes of `written`, a scalar as it stands in the file, that a range of its text stands in.
/// `None` where the two can't be laid side by side.
pub(super) fn locate(written: &str, text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    text.get(range.clone())?;
    if let Some(offset) = written.find(text).filter(|_| written.len() <= text.len() + 2) {
        return Some(offset + range.start..offset + range.end);
    }
    let body = match written.chars().next()? {
        '|' | '>' => written.find('\n')? + 1,
        '\'' => 1,
        '"' if written.contains('\\') => return None,
        '"' => 1,
        _ => 0,
    };
    let single = written.starts_with('\'');
    let mut at = body;
    let (mut start, mut end) = (None, body);
    for (index, letter) in text.char_indices() {
        if range.start == index {
            start = Some(at);
        }
        at = after(written, at, letter, single)?;
        if start.is_some() && range.end == index + letter.len_utf8() {
            end = at;
        }
        if range.start == index {
            // White space before the letter is not part of it.
            start = Some(at - written_length(letter, single));
        }
    }
    let start = start.unwrap_or(at);
    Some(start..end.max(start))
}

/// The place after the next character of the text, white space that folding took away passed over.
fn after(written: &str, mut at: usize, letter: char, single: bool) -> Option<usize> {
    if letter.is_whitespace() {
        let rest = &written[at..];
        let blank = rest.len() - rest.trim_start().len();
        // A line that was folded is one space here; a space within a line is itself.
        let taken =
            rest[..blank].rfind('\n').map_or(letter.len_utf8().min(blank), |index| index + 1);
        return Some(at + taken);
    }
    loop {
        let next = written[at..].chars().next()?;
        if next == letter {
            return Some(at + written_length(letter, single));
        }
        if !next.is_whitespace() {
            return None;
        }
        at += next.len_utf8();
    }
}

/// How many bytes a character takes as it is written: a single quote in single quotes stands twice.
const fn written_length(letter: char, single: bool) -> usize {
    if single && letter == '\'' { 2 } else { letter.len_utf8() }
}

#[cfg(test)]
mod tests {
    use super::locate;

    #[test]
    fn a_part_of_a_text_is_found_however_it_is_written() {
        for (written, text, part, expected) in [
            ("abc", "abc", "b", "b"),
            ("'a b'", "a b", "b", "b"),
            ("'it''s so'", "it's so", "so", "so"),
            ("'it''s so'", "it's so", "'s", "''s"),
            ("\"a b\"", "a b", "b", "b"),
            ("|\n      a &&\n      b == 1\n", "a &&\nb == 1\n", "b == 1", "b == 1"),
            ("|-\n  a\n  触发 b", "a\n触发 b", "触发", "触发"),
            (">\n      a &&\n      b == 1\n", "a && b == 1\n", "== 1", "== 1"),
            ("a &&\n    b", "a && b", "b", "b"),
        ] {
            let start = text.find(part).unwrap();
            let found = locate(written, text, &(start..start + part.len())).unwrap();
            assert_eq!(&written[found], expected, "{part:?} of {written:?}");
        }
        assert_eq!(locate(r#""a\tb c""#, "a\tb c", &(4..5)), None);
    }
}
