//! Globs and regular expressions: checked when a rule is read, compiled when first needed.
//!
//! Checking is cheap (microseconds) and complete: what [`Glob::new`] and [`Pattern::new`] accept
//! can't fail later, whatever it is matched against. Compiling is dear, and an expression that
//! the rule set's own automaton evaluates is never compiled alone. Both match the whole text,
//! case-sensitively. Deliberately absent: many expressions at once (`matcher`).

use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::{Arc, OnceLock},
};

use regex_automata::{meta, nfa::thompson::WhichCaptures};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::glob;

/// The longest glob or regular expression that is taken, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 4096;

/// The largest expression that is taken, in characters and ranges of characters with counted
/// repetitions written out: `\d{1,9}` is 9 times the 70 or so ranges of digits.
const MAX_WEIGHT: usize = 50_000;

/// How deep groups and classes may nest.
const NEST_LIMIT: u32 = 100;

/// Why a glob or a regular expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// Cause and, where one is known, remedy.
    pub message: String,
    /// Where in the text as it was written, in bytes; `None` where it is about the whole.
    pub span: Option<Range<usize>>,
}

impl PatternError {
    /// An error at a place.
    pub(super) fn at(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span: Some(span) }
    }

    /// An error about the whole.
    fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None }
    }

    /// What the parser says of `text`. Where it points between two characters, the second is meant.
    fn of_syntax(error: &regex_syntax::Error, text: &str) -> Self {
        let (message, span) = match error {
            regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span()),
            regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span()),
            other => return Self::whole(other.to_string()),
        };
        let (start, end) = (span.start.offset, span.end.offset);
        let next = text[start..].chars().next().map_or(0, char::len_utf8);
        Self::at(message, start..end.max(start + next))
    }
}

/// A glob: `*`, `?` and `[…]` stop at `/`, `**` does not, `{a,b}` is either. Cheap to clone; two
/// are equal when they are written alike.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Glob(Arc<Expression>);

/// A regular expression, anchored at both ends. Cheap to clone; two are equal when they are
/// written alike.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<Expression>);

impl Glob {
    /// Checks a glob.
    ///
    /// # Errors
    /// It is malformed, or larger than the bounds of this module.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Expression::new(Syntax::Glob, text).map(|expression| Self(Arc::new(expression)))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether it matches the whole text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// What it is compiled from.
    pub(super) fn expression(&self) -> &Arc<Expression> {
        &self.0
    }
}

impl Pattern {
    /// Checks a regular expression.
    ///
    /// # Errors
    /// It is malformed, or larger than the bounds of this module.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Expression::new(Syntax::Regex, text).map(|expression| Self(Arc::new(expression)))
    }

    /// As it was written, unanchored.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether it matches the whole text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// What it is compiled from.
    pub(super) fn expression(&self) -> &Arc<Expression> {
        &self.0
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({})", self.0.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.0.text)
    }
}

/// Makes each distinct glob and regular expression once, for a thousand rules that write the same
/// dozen. Lives as long as a set of rules is being read.
#[derive(Debug, Default)]
pub struct Expressions {
    globs: HashMap<Box<str>, Glob>,
    patterns: HashMap<Box<str>, Pattern>,
}

impl Expressions {
    /// As [`Glob::new`].
    ///
    /// # Errors
    /// As [`Glob::new`].
    pub fn glob(&mut self, text: &str) -> Result<Glob, PatternError> {
        if let Some(glob) = self.globs.get(text) {
            return Ok(glob.clone());
        }
        let glob = Glob::new(text)?;
        self.globs.insert(text.into(), glob.clone());
        Ok(glob)
    }

    /// As [`Pattern::new`].
    ///
    /// # Errors
    /// As [`Pattern::new`].
    pub fn pattern(&mut self, text: &str) -> Result<Pattern, PatternError> {
        if let Some(pattern) = self.patterns.get(text) {
            return Ok(pattern.clone());
        }
        let pattern = Pattern::new(text)?;
        self.patterns.insert(text.into(), pattern.clone());
        Ok(pattern)
    }
}

/// How an expression is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Syntax {
    Glob,
    Regex,
}

/// A glob or a regular expression that is known to be well formed.
pub(super) struct Expression {
    syntax: Syntax,
    text: Box<str>,
    compiled: OnceLock<meta::Regex>,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        (self.syntax, &self.text) == (other.syntax, &other.text)
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.syntax, &self.text).hash(state);
    }
}

impl Expression {
    fn new(syntax: Syntax, text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_EXPRESSION_BYTES {
            return Err(PatternError::whole(format!(
                "it is {} bytes long, more than {MAX_EXPRESSION_BYTES}; split it into a list",
                text.len()
            )));
        }
        let this = Self { syntax, text: text.into(), compiled: OnceLock::new() };
        if weight(&this.parse()?) > MAX_WEIGHT {
            return Err(PatternError::whole(
                "it grows too large when its repetitions are written out; use smaller counts, or `*`",
            ));
        }
        Ok(this)
    }

    /// Whether it matches the whole text.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.compiled.get_or_init(|| self.compile()).is_match(text)
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The one text that it matches, where there is but one.
    pub(super) fn literal(&self) -> Option<String> {
        match self.checked().into_kind() {
            HirKind::Empty => Some(String::new()),
            HirKind::Literal(literal) => String::from_utf8(literal.0.into_vec()).ok(),
            _ => None,
        }
    }

    /// The expression, anchored, cut down to ASCII: on a text that is all ASCII it matches exactly
    /// what the whole expression does, and it is many times smaller.
    pub(super) fn ascii(&self) -> Hir {
        anchor(to_ascii(self.checked()))
    }

    /// The expression, anchored.
    pub(super) fn whole(&self) -> Hir {
        anchor(self.checked())
    }

    fn parse(&self) -> Result<Hir, PatternError> {
        let mut parser = regex_syntax::ParserBuilder::new();
        parser.nest_limit(NEST_LIMIT);
        match self.syntax {
            Syntax::Regex => parser
                .build()
                .parse(&self.text)
                .map_err(|error| PatternError::of_syntax(&error, &self.text)),
            Syntax::Glob => {
                let regex = glob::to_regex(&self.text)?;
                let parsed = parser.dot_matches_new_line(true).build().parse(&regex);
                // A place in the translation says nothing about the glob.
                parsed.map_err(|error| {
                    PatternError::whole(PatternError::of_syntax(&error, &regex).message)
                })
            }
        }
    }

    fn checked(&self) -> Hir {
        self.parse().expect("`new` parsed the same text")
    }

    fn compile(&self) -> meta::Regex {
        // No size limit and so no way to fail: `new` bounded what this grows to. The engines left
        // out would double time and memory, for texts much longer than these.
        let config = meta::Config::new()
            .nfa_size_limit(None)
            .which_captures(WhichCaptures::None)
            .hybrid(false)
            .dfa(false);
        meta::Builder::new()
            .configure(config)
            .build_from_hir(&self.whole())
            .expect("an expression of bounded weight compiles when there is no size limit")
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.syntax, self.text)
    }
}

/// Anchored as a tree, not as text: the comment of a `(?x)` expression would swallow the end.
fn anchor(hir: Hir) -> Hir {
    Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)])
}

/// How large an expression is once its counted repetitions are written out.
fn weight(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Unicode(class)) => class.ranges().len().max(1),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len().max(1),
        HirKind::Repetition(repetition) => {
            let copies = repetition.max.unwrap_or(repetition.min).max(1) as usize;
            weight(&repetition.sub).saturating_mul(copies)
        }
        HirKind::Capture(capture) => weight(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(weight).fold(0, usize::saturating_add)
        }
    }
}

/// What is left of an expression when every character of the text is ASCII.
fn to_ascii(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.is_ascii() => Hir::literal(literal.0),
        HirKind::Literal(_) => Hir::fail(),
        HirKind::Class(mut class) => {
            match &mut class {
                Class::Unicode(class) => class.intersect(&ascii_class()),
                Class::Bytes(class) => {
                    let ascii = regex_syntax::hir::ClassBytesRange::new(0, 0x7f);
                    class.intersect(&regex_syntax::hir::ClassBytes::new([ascii]));
                }
            }
            Hir::class(class)
        }
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            other => other,
        }),
        HirKind::Repetition(mut repetition) => {
            repetition.sub = Box::new(to_ascii(*repetition.sub));
            Hir::repetition(repetition)
        }
        HirKind::Capture(capture) => to_ascii(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(to_ascii).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(to_ascii).collect()),
    }
}

fn ascii_class() -> regex_syntax::hir::ClassUnicode {
    let ascii = regex_syntax::hir::ClassUnicodeRange::new('\0', '\x7f');
    regex_syntax::hir::ClassUnicode::new([ascii])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_anchored_whatever_the_expression_says() {
        for (pattern, matching, other) in [
            ("v1", "v1", "v1.2"),
            ("a|b", "b", "ab"),
            ("(?x) v1 # a comment that must not swallow the end", "v1", "v12"),
            ("(?m)^v1$", "v1", "v1\nv2"),
            ("", "", "x"),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            assert!(compiled.is_match(matching), "{pattern} on {matching:?}");
            assert!(!compiled.is_match(other), "{pattern} on {other:?}");
        }
    }

    #[test]
    fn globs_match_whole_texts_and_characters() {
        for (glob, matching, other) in [
            ("shop/*", "shop/api", "shop/api/v2"),
            ("shop/**", "shop/api/v2", "shop"),
            ("**/api", "api", "shopapi"),
            ("a/**/b", "a/b", "a/xb"),
            ("team-**", "team-a/b", "team"),
            ("触发?", "触发器", "触发"),
            ("[触发]x", "发x", "器x"),
            ("[!a-c]", "d", "b"),
            ("a[!b]c", "axc", "a/c"),
            ("a[+-9]c", "a.c", "a/c"),
            ("api{,-v2}", "api", "api-v3"),
            ("{shop,pay}/{api,web-*}", "pay/web-1", "pay/admin"),
            (r"\*", "*", "x"),
            ("[]-]", "]", "x"),
            ("*", "", "/"),
            ("a,b", "a,b", "a"),
        ] {
            let compiled = Glob::new(glob).unwrap();
            assert!(compiled.is_match(matching), "{glob} on {matching:?}");
            assert!(!compiled.is_match(other), "{glob} on {other:?}");
        }
    }

    #[test]
    fn an_error_points_into_the_text_as_it_was_written() {
        let regex = |text| Pattern::new(text).unwrap_err();
        let glob = |text| Glob::new(text).unwrap_err();
        for (error, span, message) in [
            (regex("*-prod"), 0..1, "repetition operator missing expression"),
            (regex("超时)("), 6..7, "unopened group"),
            (regex("v[z-a]"), 2..5, "invalid character class range"),
            (regex("a(?=b)"), 1..4, "look-around"),
            (glob("shop/[ab"), 5..6, "`[` is never closed"),
            (glob("超{a,b"), 3..4, "`{` is never closed"),
            (glob("a}"), 1..2, "`}` closes nothing"),
            (glob("x[z-a]"), 2..5, "write `a-z`"),
            (glob("x\\"), 1..2, "escapes nothing"),
        ] {
            assert_eq!(error.span, Some(span), "{error}");
            assert!(error.message.contains(message), "{error}");
        }
    }

    #[test]
    fn size_is_bounded() {
        assert!(Pattern::new(&"a".repeat(MAX_EXPRESSION_BYTES)).is_ok());
        for text in [&"a".repeat(MAX_EXPRESSION_BYTES + 1), "(a{1000}){1000}", r"\w{500}"] {
            assert_eq!(Pattern::new(text).unwrap_err().span, None);
        }
        assert!(Pattern::new(&"(".repeat(500)).is_err());
        assert!(Glob::new(&"{".repeat(500)).is_err());
        let largest = Pattern::new(r"\w{60}").unwrap();
        assert!(largest.is_match(&"字".repeat(60)));
    }

    #[test]
    fn an_expression_is_made_once_for_all_that_write_it() {
        let mut expressions = Expressions::default();
        let one = expressions.pattern("v.*").unwrap();
        let other = expressions.pattern("v.*").unwrap();
        assert!(Arc::ptr_eq(&one.0, &other.0));
        assert!(expressions.glob("[").is_err());
    }
}
