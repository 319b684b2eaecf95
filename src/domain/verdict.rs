//! Whether a rule matched an entry, which clause decided, and what there is to say of all rules.
//!
//! Values only. Deliberately absent: how they are come by (`clause`, `rule`).

use std::sync::Arc;

use serde::Serialize;

use super::rule::Mode;

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

/// What one rule of a set said of an entry, down to each clause: `explain`, and the API's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleExplanation {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Whether it matched, and which clause decided where it did not.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Every clause, in the order written.
    pub clauses: Vec<ClauseReport>,
    /// The earlier rule whose match ended the looking, so that this rule, whatever its verdict, was
    /// not asked.
    pub stopped_by: Option<Arc<str>>,
    /// What followed; `None` where the rule did not match or was not asked.
    pub followed: Option<Followed>,
}

/// What followed from a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Followed {
    /// Whether messages are sent, or only recorded.
    pub mode: Mode,
    /// The receivers they are for.
    pub send_to: Vec<Arc<str>>,
    /// Whether the looking ended here.
    pub stopped: bool,
}
