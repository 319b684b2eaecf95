//! Whether a rule matched an entry, and which clause decided.

use serde::Serialize;

/// The three values of a clause. On a field that the entry lacks a clause is unknown, which
/// `not`, `any` and `all` keep and which does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// The entry lacks what it asks about.
    Unknown,
}

impl Truth {
    /// Kleene's negation.
    #[must_use]
    pub const fn negate(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }

    /// Kleene's conjunction.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    /// Kleene's disjunction.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        self.negate().and(other.negate()).negate()
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// What a rule said of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The value of the whole match; only `true` matches.
    pub truth: Truth,
    /// The clause that decided: the first that was not true, in the order written; `None` where
    /// all were.
    pub decided_by: Option<ClauseReport>,
}

impl Verdict {
    /// Whether the rule matched.
    pub const fn matched(&self) -> bool {
        matches!(self.truth, Truth::True)
    }
}

/// A clause beside what it met, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClauseReport {
    /// Where it stands in the rule: `match.returnCode.not`.
    pub path: String,
    /// What it wanted, as it is written: `not 0`.
    pub wanted: String,
    /// What the entry had, `None` where it lacked the field.
    pub seen: Option<String>,
    /// Its value.
    pub truth: Truth,
}
