//! Globs, said as regular expressions.
//!
//! Ours rather than a crate's because an error must point into the text as it was written, `?`
//! and `[…]` must take a Chinese character for one, and `**` must cross `/` wherever it stands.
//! A whole segment `**` matches no segment too: `a/**/b` matches `a/b`.
//! Deliberately absent: compiling and matching (`expression`), and paths of a file system.

use std::{iter::Peekable, str::CharIndices};

use super::expression::PatternError;

/// How deep `{…}` may nest.
const MAX_DEPTH: usize = 10;

/// The regular expression, not anchored, that matches what the glob matches; `.` in it is meant
/// to match every character.
///
/// # Errors
/// What is malformed, and where in `glob`.
pub(super) fn to_regex(glob: &str) -> Result<String, PatternError> {
    let mut translation = Translation {
        glob,
        chars: glob.char_indices().peekable(),
        regex: String::with_capacity(2 * glob.len()),
        open: Vec::new(),
        previous: None,
    };
    translation.run()?;
    Ok(translation.regex)
}

/// A translation under way.
struct Translation<'a> {
    glob: &'a str,
    chars: Peekable<CharIndices<'a>>,
    regex: String,
    /// Where each open `{` stands.
    open: Vec<usize>,
    /// The last character taken.
    previous: Option<char>,
}

impl Translation<'_> {
    fn run(&mut self) -> Result<(), PatternError> {
        while let Some((at, character)) = self.chars.next() {
            let previous = self.previous.replace(character);
            match character {
                '?' => self.regex.push_str("[^/]"),
                '*' => self.stars(previous),
                '[' => self.class(at)?,
                '{' => self.open_alternatives(at)?,
                ',' if !self.open.is_empty() => self.regex.push('|'),
                '}' => self.close_alternatives(at)?,
                '\\' => match self.chars.next() {
                    Some((_, escaped)) => self.literal(escaped),
                    None => {
                        let problem = r"`\` escapes nothing; write `\\` for the character itself";
                        return Err(PatternError::at(problem, at..self.glob.len()));
                    }
                },
                other => self.literal(other),
            }
        }
        match self.open.pop() {
            None => Ok(()),
            Some(at) => Err(PatternError::at(
                r"this `{` is never closed; add `}`, or write `\{` for the character itself",
                at..at + 1,
            )),
        }
    }

    /// One `*` stops at `/`; more do not, and where they are a whole segment they may be none.
    /// `previous` is what stands before.
    fn stars(&mut self, previous: Option<char>) {
        let mut stars = 1;
        while self.chars.next_if(|&(_, character)| character == '*').is_some() {
            stars += 1;
        }
        if stars == 1 {
            self.regex.push_str("[^/]*");
            return;
        }
        let nested = !self.open.is_empty();
        let starts_segment = match previous {
            None | Some('/') => true,
            Some('{' | ',') => nested,
            Some(_) => false,
        };
        if starts_segment && self.chars.next_if(|&(_, character)| character == '/').is_some() {
            self.previous = Some('/');
            self.regex.push_str("(?:.*/)?");
        } else {
            self.regex.push_str(".*");
        }
    }

    fn open_alternatives(&mut self, at: usize) -> Result<(), PatternError> {
        if self.open.len() == MAX_DEPTH {
            return Err(PatternError::at(
                format!("braces nest more than {MAX_DEPTH} deep; write the alternatives out"),
                at..at + 1,
            ));
        }
        self.open.push(at);
        self.regex.push_str("(?:");
        Ok(())
    }

    fn close_alternatives(&mut self, at: usize) -> Result<(), PatternError> {
        if self.open.pop().is_none() {
            return Err(PatternError::at(
                r"this `}` closes nothing; write `\}` for the character itself",
                at..at + 1,
            ));
        }
        self.regex.push(')');
        Ok(())
    }

    /// `[abc]`, `[a-z]`, `[!a-z]`; a first `]` and a first or last `-` are themselves. Like `?`,
    /// a class never matches `/`.
    fn class(&mut self, open: usize) -> Result<(), PatternError> {
        let negated = self.chars.next_if(|&(_, one)| matches!(one, '!' | '^')).is_some();
        let members = self.class_members(open)?;
        self.regex.push_str(if negated { "[^/" } else { "[[" });
        for (from, to) in members {
            self.class_character(from);
            self.regex.push('-');
            self.class_character(to);
        }
        self.regex.push_str(if negated { "]" } else { "]&&[^/]]" });
        Ok(())
    }

    /// The ranges up to the closing `]`; at least one.
    fn class_members(&mut self, open: usize) -> Result<Vec<(char, char)>, PatternError> {
        let mut members = Vec::new();
        loop {
            let (at, from) = match self.chars.next() {
                Some((_, ']')) if !members.is_empty() => return Ok(members),
                Some(next) => next,
                None => {
                    return Err(PatternError::at(
                        r"this `[` is never closed; add `]`, or write `\[` for the character itself",
                        open..open + 1,
                    ));
                }
            };
            members.push((from, self.range_end(at, from)?));
        }
    }

    /// The end of the range that begins with `from`: `from` itself where no range is written.
    fn range_end(&mut self, at: usize, from: char) -> Result<char, PatternError> {
        let mut ahead = self.chars.clone();
        let (Some((_, '-')), Some((end, to))) = (ahead.next(), ahead.next()) else {
            return Ok(from);
        };
        if to == ']' {
            return Ok(from);
        }
        self.chars = ahead;
        if to < from {
            return Err(PatternError::at(
                format!("this range runs backwards; write `{to}-{from}`"),
                at..end + to.len_utf8(),
            ));
        }
        Ok(to)
    }

    fn class_character(&mut self, character: char) {
        // Escaped by number: within a class `-`, `&`, `~`, `[`, `]` and `^` can all mean something.
        self.regex.push_str(&format!("\\x{{{:x}}}", u32::from(character)));
    }

    fn literal(&mut self, character: char) {
        regex_syntax::escape_into(character.encode_utf8(&mut [0; 4]), &mut self.regex);
    }
}
