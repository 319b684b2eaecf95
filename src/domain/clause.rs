//! Clauses: what a rule asks of an entry, as checked values.
//!
//! This is the language of `match` and `recover` (docs/rules.md) after its texts have been read;
//! it can't be invalid. [`Clause::evaluate`] is its meaning, said naively, clause by clause; the
//! compiled `matcher` must agree with it, and a property test holds it to that. What a verdict or
//! an explanation reports comes from the same evaluation of the same tests.
//! Deliberately absent: YAML, and where in a file a clause was written.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    cel::CelTest,
    entry::{Entry, Value},
    expression::{Glob, Pattern},
    field::Field,
    verdict::{ClauseReport, Truth},
    wording,
};

/// What is asked of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// All of these; true when empty.
    All(Vec<Clause>),
    /// Any of these; false when empty.
    Any(Vec<Clause>),
    /// Not this.
    Not(Box<Clause>),
    /// A test of one field.
    Test(FieldTest),
    /// A part of a `cel` expression that no test of one field can say.
    Cel(CelTest),
}

/// A test of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTest {
    /// The field.
    pub field: Field,
    /// Where the test is written, from the rule: `match.returnCode.not`.
    pub path: Box<str>,
    /// What is asked of its value.
    pub test: Test,
    /// As it was written, where that was in a `cel` expression.
    pub said: Option<Said>,
}

/// A test in the words of a `cel` expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The words: `entry.returnCode != 0`.
    pub text: Box<str>,
    /// Whether they say the opposite of the test, which then stands under a `not` of its own.
    pub opposite: bool,
}

/// What is asked of a field's value. A list means any of; it is never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            // An age that reaches beyond the first instant leaves nothing out.
            (Test::Since(age), Value::Time(time)) => {
                now.checked_sub(*age).map_or(true, |oldest| time >= oldest)
            }
            (test, Value::Text(text)) => test.holds_for_text(text),
            // A region whose name is not known is its number, for text tests too.
            (test, Value::Number(number)) => test.holds_for_text(&number.to_string()),
            (_, Value::Time(_)) => false,
        };
        holds.into()
    }

    /// What it asks, as it is written; `negated` where it stands under an odd number of `not`s.
    fn wanted(&self, negated: bool) -> String {
        match &self.said {
            Some(said) => wording::said(&said.text, said.opposite != negated),
            None => wording::wanted(self.field, &self.test, negated),
        }
    }

    /// The test beside what it met; `negated` where it stands under an odd number of `not`s.
    fn report(&self, negated: bool, entry: &Entry, now: Timestamp) -> ClauseReport {
        let truth = self.evaluate(entry, now);
        ClauseReport {
            path: self.path.to_string(),
            wanted: self.wanted(negated),
            seen: entry.text(self.field).map(|text| wording::shortened(&text)),
            truth: if negated { truth.negate() } else { truth },
        }
    }
}

impl Test {
    /// Whether a test of text holds for a text; false for a test of anything else.
    pub(super) fn holds_for_text(&self, text: &str) -> bool {
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
    /// A test of one field, written at `path`.
    pub fn test(field: Field, path: impl Into<Box<str>>, test: Test) -> Self {
        Self::Test(FieldTest { field, path: path.into(), test, said: None })
    }

    /// The opposite of a clause.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// The value of the clause, said naively.
    pub fn evaluate(&self, entry: &Entry, now: Timestamp) -> Truth {
        match self {
            Self::All(clauses) => {
                let mut truth = Truth::True;
                for clause in clauses {
                    truth = truth.and(clause.evaluate(entry, now));
                    if truth == Truth::False {
                        break;
                    }
                }
                truth
            }
            Self::Any(clauses) => {
                let mut truth = Truth::False;
                for clause in clauses {
                    truth = truth.or(clause.evaluate(entry, now));
                    if truth == Truth::True {
                        break;
                    }
                }
                truth
            }
            Self::Not(clause) => clause.evaluate(entry, now).negate(),
            Self::Test(test) => test.evaluate(entry, now),
            Self::Cel(test) => test.evaluate(entry),
        }
    }

    /// The test that decided where the clause is not true; `None` where it is true, and where
    /// there is no test to name (`any` of nothing).
    ///
    /// Of an `all` it is in the first part that is not true. Of an `any`, of which no part is
    /// true, it is in the first part that has the value of the whole: one that is unknown where
    /// any is, since with the field there it might have matched. Under a `not` the two change
    /// places, as De Morgan has it.
    pub fn decided_by(&self, entry: &Entry, now: Timestamp) -> Option<ClauseReport> {
        self.deciding(false, entry, now)
    }

    /// As [`Clause::decided_by`], of the clause or of its opposite.
    fn deciding(&self, negated: bool, entry: &Entry, now: Timestamp) -> Option<ClauseReport> {
        let truth_of = |clause: &Self| {
            let truth = clause.evaluate(entry, now);
            if negated { truth.negate() } else { truth }
        };
        let whole = truth_of(self);
        if whole == Truth::True {
            return None;
        }
        let deciding_part = match (self, negated) {
            (Self::Test(test), _) => return Some(test.report(negated, entry, now)),
            (Self::Cel(test), _) => return Some(test.report(negated, entry)),
            (Self::Not(clause), _) => return clause.deciding(!negated, entry, now),
            (Self::All(parts), false) | (Self::Any(parts), true) => {
                parts.iter().find(|part| truth_of(part) != Truth::True)
            }
            (Self::Any(parts), false) | (Self::All(parts), true) => {
                parts.iter().find(|part| truth_of(part) == whole)
            }
        };
        deciding_part.and_then(|part| part.deciding(negated, entry, now))
    }

    /// Every test beside what it met, in the order written. The truth is that of the test with the
    /// `not`s around it.
    pub fn reports(&self, entry: &Entry, now: Timestamp) -> Vec<ClauseReport> {
        let mut reports = Vec::new();
        self.collect_reports(false, entry, now, &mut reports);
        reports
    }

    /// What is asked of a field, or of any, in the order written: where it stands, and its words.
    pub fn asked(&self, of: Option<Field>) -> Vec<(&str, String)> {
        let mut asked = Vec::new();
        self.collect_asked(false, of, &mut asked);
        asked
    }

    fn collect_asked<'c>(
        &'c self,
        negated: bool,
        of: Option<Field>,
        asked: &mut Vec<(&'c str, String)>,
    ) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.collect_asked(negated, of, asked));
            }
            Self::Not(clause) => clause.collect_asked(!negated, of, asked),
            Self::Test(test) if of.is_none_or(|field| field == test.field) => {
                asked.push((&test.path, test.wanted(negated)));
            }
            Self::Test(_) | Self::Cel(_) => {}
        }
    }

    fn collect_reports(
        &self,
        negated: bool,
        entry: &Entry,
        now: Timestamp,
        reports: &mut Vec<ClauseReport>,
    ) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.collect_reports(negated, entry, now, reports);
                }
            }
            Self::Not(clause) => clause.collect_reports(!negated, entry, now, reports),
            Self::Test(test) => reports.push(test.report(negated, entry, now)),
            Self::Cel(test) => reports.push(test.report(negated, entry)),
        }
    }
}
