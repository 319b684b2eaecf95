//! Clauses: what a rule asks of an entry, as checked values.
//!
//! This is the language of `match` and `recover` (docs/rules.md) after its texts have been read;
//! it can't be invalid. [`Clause::evaluate`] is its meaning, said naively, clause by clause; the
//! compiled matcher in `rule` must agree with it, and a property test holds it to that.
//! Deliberately absent: YAML, and where in a file a clause was written.

use std::{fmt, time::Duration};

use globset::GlobMatcher;
use jiff::Timestamp;
use regex::Regex;

use super::{
    entry::{Entry, Value},
    field::Field,
    verdict::Truth,
};

/// What is asked of an entry.
#[derive(Debug, Clone)]
pub enum Clause {
    /// All of these; true when empty.
    All(Vec<Clause>),
    /// Any of these; false when empty.
    Any(Vec<Clause>),
    /// Not this.
    Not(Box<Clause>),
    /// A test of one field.
    Test(FieldTest),
}

/// A test of one field.
#[derive(Debug, Clone)]
pub struct FieldTest {
    /// The field.
    pub field: Field,
    /// Where the test is written, from the rule: `match.returnCode.not`.
    pub path: Box<str>,
    /// What is asked of its value.
    pub test: Test,
}

/// What is asked of a field's value. A list means any of; it is never empty.
#[derive(Debug, Clone)]
pub enum Test {
    /// Exactly one of these texts.
    Is(Vec<Box<str>>),
    /// One of these numbers.
    IsNumber(Vec<i64>),
    /// One of these globs; `*` stops at `/`, `**` does not.
    Glob(Vec<Glob>),
    /// One of these regular expressions, anchored at both ends.
    Regex(Vec<Pattern>),
    /// Contains one of these texts.
    Contains(Vec<Box<str>>),
    /// At least this number.
    Min(i64),
    /// At most this number.
    Max(i64),
    /// At this instant or later.
    NotBefore(Timestamp),
    /// At this instant or earlier.
    NotAfter(Timestamp),
    /// At most this long before the decision.
    Since(Duration),
    /// Whether the entry has the field at all. Never unknown.
    Exists(bool),
}

/// A glob with the text it was written as.
#[derive(Clone)]
pub struct Glob {
    /// As written.
    pub text: Box<str>,
    matcher: GlobMatcher,
}

/// A regular expression with the text it was written as.
#[derive(Clone)]
pub struct Pattern {
    /// As written, unanchored.
    pub text: Box<str>,
    regex: Regex,
}

impl Glob {
    /// Compiles a glob: `*` and `?` stop at `/`, `**` does not, `[…]` and `{a,b}` as usual.
    ///
    /// # Errors
    /// What globset says of a malformed one.
    pub fn new(text: &str) -> Result<Self, globset::Error> {
        let glob = globset::GlobBuilder::new(text).literal_separator(true).build()?;
        Ok(Self { text: text.into(), matcher: glob.compile_matcher() })
    }

    /// Whether it matches the whole text.
    pub fn is_match(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }
}

impl Pattern {
    /// The most memory that one compiled expression may take.
    pub const SIZE_LIMIT: usize = 1 << 20;

    /// Compiles a regular expression, anchored at both ends.
    ///
    /// # Errors
    /// What regex says of a malformed or too large one, in terms of the text as written.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        // Compiled bare first, so that an error speaks of the text as written and `)(` is refused.
        regex::RegexBuilder::new(text).size_limit(Self::SIZE_LIMIT).build()?;
        let regex =
            regex::RegexBuilder::new(&Self::anchored(text)).size_limit(Self::SIZE_LIMIT).build()?;
        Ok(Self { text: text.into(), regex })
    }

    /// The expression as it is compiled.
    pub fn anchored(text: &str) -> String {
        format!(r"\A(?:{text})\z")
    }

    /// Whether it matches the whole text.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({})", self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

impl FieldTest {
    /// The value of the test. On a field that the entry lacks every test but `exists` is unknown.
    pub fn evaluate(&self, entry: &Entry, now: Timestamp) -> Truth {
        let value = entry.value(self.field);
        if let Test::Exists(wanted) = self.test {
            return (value.is_some() == wanted).into();
        }
        let Some(value) = value else {
            return Truth::Unknown;
        };
        let holds = match (&self.test, value) {
            (Test::IsNumber(numbers), Value::Number(number)) => numbers.contains(&number),
            (Test::Min(min), Value::Number(number)) => number >= *min,
            (Test::Max(max), Value::Number(number)) => number <= *max,
            (Test::NotBefore(instant), Value::Time(time)) => time >= *instant,
            (Test::NotAfter(instant), Value::Time(time)) => time <= *instant,
            (Test::Since(age), Value::Time(time)) => {
                now.checked_sub(*age).is_ok_and(|oldest| time >= oldest)
            }
            (test, Value::Text(text)) => test.holds_for_text(text),
            // A region whose name is not known is its number, for text tests too.
            (test, Value::Number(number)) => test.holds_for_text(&number.to_string()),
            (_, Value::Time(_)) => false,
        };
        holds.into()
    }
}

impl Test {
    /// Whether a test of text holds for a text; false for a test of anything else.
    fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Self::Is(texts) => texts.iter().any(|one| &**one == text),
            Self::Glob(globs) => globs.iter().any(|glob| glob.is_match(text)),
            Self::Regex(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
            Self::Contains(texts) => texts.iter().any(|one| text.contains(&**one)),
            _ => false,
        }
    }
}

impl Clause {
    /// The value of the clause, said naively.
    pub fn evaluate(&self, entry: &Entry, now: Timestamp) -> Truth {
        match self {
            Self::All(clauses) => clauses
                .iter()
                .fold(Truth::True, |truth, clause| truth.and(clause.evaluate(entry, now))),
            Self::Any(clauses) => clauses
                .iter()
                .fold(Truth::False, |truth, clause| truth.or(clause.evaluate(entry, now))),
            Self::Not(clause) => clause.evaluate(entry, now).negate(),
            Self::Test(test) => test.evaluate(entry, now),
        }
    }
}
