//! Mistakes of YAML syntax in words for people, and how to step over them.
//!
//! The parser says where it stopped and what it expected; what a person meant is guessed from the
//! text around. Deliberately absent: problems of what a well-formed document says.

use std::sync::Arc;

use granit_parser::{ErrorKind, ScanError};

use super::{Code, File, MAX_DEPTH, Place, Problem, Span, secrecy};

/// A mistake, and the way over it where there is one.
pub(super) struct Syntax {
    pub(super) problem: Problem,
    pub(super) repair: Option<Repair>,
}

/// Bytes to be overwritten in a copy, so that reading can go on.
pub(super) struct Repair {
    pub(super) spans: Vec<Span>,
    /// One byte.
    pub(super) filler: char,
    /// Whether what is overwritten may have been a key of its own.
    pub(super) swallows: bool,
}

impl Repair {
    fn of(spans: Vec<Span>) -> Self {
        Self { spans, filler: 'x', swallows: false }
    }
}

/// Explains why the parser stopped. `text` is the file's, or a repaired copy of it.
/// `open` is where the innermost bracket stands that is not closed.
pub(super) fn explain(
    file: &Arc<File>,
    text: &str,
    error: &ScanError,
    open: Option<u32>,
) -> Syntax {
    let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    let scene = Scene::new(file, text, at, open);
    secrecy::hide_on_line(file, scene.line);
    if let Some(open) = open {
        secrecy::hide_on_line(file, file.position(open).line);
    }
    match error.kind() {
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => scene.tab(),
        ErrorKind::MissingAnchorOrAliasName => scene.bare_star(),
        ErrorKind::UnexpectedCharacter { character } => scene.reserved(*character),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            scene.flow_separator()
        }
        ErrorKind::MappingValueNotAllowed => scene.stray_colon(),
        ErrorKind::UnknownQuotedScalarEscape => scene.escape(),
        ErrorKind::UnclosedQuotedScalar => scene.plainly(
            "this quote is never closed",
            "close it; inside '…' a quote is written twice: 'it''s'",
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => scene.plainly(
            "something follows the closing quote",
            "a quote inside '…' is written twice, 'it''s', and inside \"…\" as \\\"",
        ),
        ErrorKind::UnclosedFlowCollection { open } => {
            let close = if *open == '{' { '}' } else { ']' };
            scene.plainly(
                &format!("this `{open}` is never closed"),
                &format!("close it with `{close}`"),
            )
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => scene.plainly(
            &format!("this `{open}` is closed by a `{close}`"),
            "each bracket closes what was opened last",
        ),
        ErrorKind::RecursionLimitExceeded => {
            Syntax { problem: too_deep(file, scene.here()), repair: None }
        }
        ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation => scene.indentation(),
        ErrorKind::InvalidColonPlacement
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofImplicitFlowMapping => scene.unclosed().unwrap_or_else(|| {
            scene.plainly(
                "a comma or a value is missing here, or a comma is too many",
                "separate values with one `, `, or write the block form with one key a line",
            )
        }),
        ErrorKind::SimpleKeyExpected => scene.no_colon(),
        other => scene.plainly(
            &format!("this is not YAML: {other}"),
            "check quotes, brackets and indentation",
        ),
    }
}

/// An alias of a name that no anchor has: almost always a glob.
pub(super) fn alias_as_glob(file: &Arc<File>, name: &str, span: Span) -> Problem {
    let written = file.text().get(span.range()).unwrap_or(name);
    Problem::new(
        Code::UnknownAlias,
        format!("`{written}` is read as a YAML alias, and nothing is named so"),
    )
    .at(file, span)
    .label("an unquoted `*` begins an alias")
    .help(quoted(file, span, written))
}

/// Keys whose bare values are regular expressions, in which no glob is understood.
const REGEX_KEYS: [&str; 1] = ["tag"];

/// How to write a value that begins with `*` so that it is a glob.
fn quoted(file: &File, span: Span, written: &str) -> String {
    let before = file.text().get(..span.range().start).unwrap_or_default();
    let words = |c: char| !(c.is_alphanumeric() || c == '_');
    let key = before.trim_end().strip_suffix(':').and_then(|it| it.trim_end().rsplit(words).next());
    match key {
        Some(key) if REGEX_KEYS.contains(&key) => {
            format!("`{key}` takes a regular expression; for a glob write {{glob: '{written}'}}")
        }
        _ => format!("quote it: '{written}'"),
    }
}

/// A tag.
pub(super) fn tag(file: &Arc<File>, span: Span) -> Problem {
    let written = file.text().get(span.range()).unwrap_or("!");
    Problem::new(
        Code::Tag,
        format!("`{written}` is read as a YAML tag, and tags mean nothing here"),
    )
    .at(file, span)
    .help("leave it out, or quote the whole value if it begins with `!`")
}

/// Nesting beyond the bound.
pub(super) fn too_deep(file: &Arc<File>, span: Span) -> Problem {
    Problem::new(Code::TooLarge, format!("this is nested more than {MAX_DEPTH} deep"))
        .at(file, span)
        .help("no configuration needs that: check the brackets")
}

/// The text around the place where the parser stopped.
struct Scene<'a> {
    file: &'a Arc<File>,
    text: &'a str,
    at: usize,
    line: usize,
    /// Where the line begins and ends.
    start: usize,
    end: usize,
    /// Where the innermost bracket stands that is not closed.
    open: Option<u32>,
}

impl<'a> Scene<'a> {
    fn new(file: &'a Arc<File>, text: &'a str, at: usize, open: Option<u32>) -> Self {
        let line = file.position(Span::from(at..at).start).line;
        let range = file.line_range(line);
        Self {
            file,
            text,
            at: at.clamp(range.start, range.end),
            line,
            start: range.start,
            end: range.end,
            open,
        }
    }

    /// The character where the parser stopped.
    fn here(&self) -> Span {
        let length = self.text[self.at..self.end].chars().next().map_or(0, char::len_utf8);
        Span::from(self.at..self.at + length)
    }

    /// From where the parser stopped to the end of the word.
    fn word(&self) -> Span {
        let rest = &self.text[self.at..self.end];
        let length = rest.find([' ', '\t', ',', ']', '}']).unwrap_or(rest.len());
        Span::from(self.at..self.at + length)
    }

    fn plainly(&self, message: &str, help: &str) -> Syntax {
        let problem = Problem::new(Code::Syntax, message).at(self.file, self.here()).help(help);
        Syntax { problem, repair: None }
    }

    /// Tabs before the first word of a line: all of them in the file are one mistake.
    fn tab(&self) -> Syntax {
        let mut spans = Vec::new();
        let mut lines = 0;
        for line in 1..=self.file.line_count() {
            let range = self.file.line_range(line);
            let text = &self.text[range.clone()];
            let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
            let tabs = text[..indent].match_indices('\t').map(|(index, _)| range.start + index);
            let before = spans.len();
            spans.extend(tabs.map(|tab| Span::from(tab..tab + 1)));
            lines += usize::from(spans.len() > before);
        }
        let message = "a tab can't indent YAML";
        let first =
            self.text[self.start..self.end].find('\t').map_or(self.at, |tab| self.start + tab);
        let more = match lines {
            0 | 1 => String::new(),
            2 => "; another line begins with one too".to_owned(),
            _ => format!("; {} more lines begin with one too", lines - 1),
        };
        let problem = Problem::new(Code::Tab, message)
            .at(self.file, Span::from(first..first + 1))
            .help(format!("use spaces{more}"));
        let repair = (!spans.is_empty()).then_some(Repair { spans, filler: ' ', swallows: false });
        Syntax { problem, repair }
    }

    /// `*` alone, or before something that names nothing.
    fn bare_star(&self) -> Syntax {
        let word = self.word();
        if !self.text[word.range()].starts_with('*') {
            return self.plainly(
                "`&` names an anchor, and no name follows",
                "quote the value if it begins with `&`",
            );
        }
        let written = &self.text[word.range()];
        let problem =
            Problem::new(Code::UnknownAlias, format!("`{written}` is read as a YAML alias"))
                .at(self.file, word)
                .label("an unquoted `*` begins an alias")
                .help(quoted(self.file, word, written));
        Syntax { problem, repair: Some(Repair::of(vec![word])) }
    }

    /// `@`, a backtick or `%` at the start of a bare value.
    fn reserved(&self, character: char) -> Syntax {
        let here = self.here();
        let problem =
            Problem::new(Code::Syntax, format!("a bare value can't begin with `{character}`"))
                .at(self.file, here)
                .help("quote the whole value");
        let one_byte = here.range().len() == 1;
        Syntax { problem, repair: one_byte.then(|| Repair::of(vec![here])) }
    }

    /// `${…}` inside `{}` or `[]` ends the value at `$`.
    fn flow_separator(&self) -> Syntax {
        let reference = self.text[self.start..self.at].ends_with('$')
            && self.text[self.at..self.end].starts_with('{');
        let Some(length) = reference.then(|| self.text[self.at..self.end].find('}')).flatten()
        else {
            if let Some(unclosed) = self.unclosed() {
                return unclosed;
            }
            return self.plainly(
                "a comma or the closing bracket is missing here",
                "separate values with `, `; quote a value that holds brackets, or write the block form",
            );
        };
        let span = Span::from(self.at - 1..self.at + length + 1);
        let written = &self.text[span.range()];
        let problem = expansion_in_flow(self.file, span, written, self.key_before());
        Syntax { problem, repair: Some(Repair::of(vec![span])) }
    }

    /// The key before a value inside `{}`.
    fn key_before(&self) -> Option<&str> {
        let before = self.text[self.start..self.at - 1].trim_end().strip_suffix(':')?;
        let start = before.rfind(['{', ',', ' ']).map_or(0, |index| index + 1);
        Some(&before[start..]).filter(|key| !key.is_empty())
    }

    /// A `: ` where no key can be: two on a line, a line too far in, or a line before without one.
    fn stray_colon(&self) -> Syntax {
        let before = &self.text[self.start..self.at];
        if before.contains(": ") {
            let problem = Problem::new(Code::Syntax, "a second `: ` in a bare value")
                .at(self.file, self.here())
                .help("quote the value");
            return Syntax { problem, repair: Some(Repair::of(vec![self.here()])) };
        }
        let word_start = self.start + before.len() - before.trim_start().len();
        let word = Span::from(word_start..self.at);
        let previous = (1..self.line)
            .rev()
            .map(|line| &self.text[self.file.line_range(line)])
            .find(|text| !text.trim().is_empty() && !text.trim_start().starts_with('#'));
        let unfinished = previous.is_some_and(|text| !text.contains(':'));
        let problem = if unfinished {
            Problem::new(Code::Syntax, "the line before this one has no `:`")
                .help("write `key: value`, or `key:` before what is indented under it")
        } else {
            Problem::new(
                Code::Syntax,
                "this line is indented as if it went on with the value above",
            )
            .help("give it the same indentation as the keys beside it")
        };
        let line = Span::from(word_start..self.end);
        let repair = Repair { swallows: true, ..Repair::of(vec![line]) };
        Syntax { problem: problem.at(self.file, word), repair: Some(repair) }
    }

    /// `"\d"`: escapes that YAML does not know. Those of one text are one mistake.
    fn escape(&self) -> Syntax {
        let mut offset = self.at + 1;
        let mut spans = Vec::new();
        let bytes = self.text.as_bytes();
        while offset + 1 < bytes.len() && bytes[offset] != b'"' {
            let known = b"0abt\tnvfre \"/\\N_LPxuU\n\r".contains(&bytes[offset + 1]);
            if bytes[offset] == b'\\' && !known {
                let length = self.text[offset + 1..].chars().next().map_or(0, char::len_utf8);
                spans.push(Span::from(offset..offset + 1 + length));
            }
            offset += if bytes[offset] == b'\\' { 2 } else { 1 };
        }
        let help = "use single quotes, in which a backslash is itself: '\\d+'";
        let Some(&first) = spans.first() else {
            return self.plainly("an escape in this text is not known", help);
        };
        let written = &self.text[first.range()];
        let message = format!("`{written}` is no escape that \"…\" knows");
        let problem = Problem::new(Code::Syntax, message).at(self.file, first).help(help);
        Syntax { problem, repair: Some(Repair::of(spans)) }
    }

    /// A bracket that is still open on a later line than its own.
    fn unclosed(&self) -> Option<Syntax> {
        let open = Span { start: self.open?, end: self.open? + 1 };
        if open.start as usize >= self.start {
            return None;
        }
        // The reader's own count of columns may lead astray after a wide character.
        let bracket = self.text.get(open.range()).filter(|it| matches!(*it, "{" | "["))?;
        let close = if bracket == "{" { '}' } else { ']' };
        let here = Place { file: Arc::clone(self.file), span: self.here() };
        let problem = Problem::new(Code::Syntax, format!("this `{bracket}` is never closed"))
            .at(self.file, open)
            .related(here, "no further than here")
            .help(format!("close it with `{close}`"));
        Some(Syntax { problem, repair: None })
    }

    /// A line that can only be a key and has no colon.
    fn no_colon(&self) -> Syntax {
        let rest = self.text[self.at..self.end].trim_end();
        let span = Span::from(self.at..self.at + rest.len());
        let problem = Problem::new(Code::Syntax, "this line has no `:`")
            .at(self.file, span)
            .help("write `key: value`, or `key:` before what is indented under it");
        Syntax { problem, repair: None }
    }

    /// A line that belongs to none of the maps and lists around it.
    fn indentation(&self) -> Syntax {
        let word = self.word();
        let problem = Problem::new(Code::Syntax, "this line fits none of the levels above it")
            .at(self.file, word)
            .help("give it the indentation of the keys or `-` that it belongs beside");
        Syntax { problem, repair: None }
    }
}

/// `${…}` where it is not expanded.
pub(super) fn expansion_in_flow(
    file: &Arc<File>,
    span: Span,
    written: &str,
    key: Option<&str>,
) -> Problem {
    Problem::new(
        Code::ExpansionPlace,
        format!("`{written}` is not expanded inside quotes, `{{}}` or `[]`"),
    )
    .at(file, span)
    .help(match key {
        Some(key) => format!("write it bare, on a line of its own: `{key}: {written}`"),
        None => format!("write it bare, on a line of its own: `key: {written}` or `- {written}`"),
    })
}
