//! A silence: a person's wish that what some clauses match is not told for a while.
//!
//! Its clauses are kept as they were written, since only their text survives; whoever reads the
//! records compiles them. Deliberately absent: that language (`config`), and what follows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    clause::Clause,
    memory::{At, Record, Subject},
};

/// Until when a silence lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// An instant.
    At(At),
    /// The next success of what it matches, or of anything that it has held.
    NextSuccess,
}

/// The most subjects that a silence remembers to have held.
const MOST_HELD: usize = 1_000;

/// A silence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Silence {
    /// Its clauses as they were written, in JSON.
    pub matchers: String,
    /// The same, compiled; `None` where the text can't be read, and then it matches nothing.
    #[serde(skip)]
    pub clause: Option<Arc<Clause>>,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// When it began.
    pub created_at: At,
    /// Until when it lasts.
    pub until: Until,
    /// Alerts that it has held.
    pub held: u64,
    /// What they were about, under the default `by`, where it lasts until a success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) subjects: Vec<Subject>,
}

impl Record for Silence {
    const PREFIX: char = 's';

    fn due(&self) -> Option<At> {
        match self.until {
            Until::At(at) => Some(at),
            Until::NextSuccess => None,
        }
    }
}

impl Silence {
    /// A silence that has held nothing.
    pub fn new(
        (matchers, clause): (String, Clause),
        author: String,
        comment: String,
        created_at: At,
        until: Until,
    ) -> Self {
        Self {
            matchers,
            clause: Some(Arc::new(clause)),
            author,
            comment,
            created_at,
            until,
            held: 0,
            subjects: Vec::new(),
        }
    }

    /// Notes that it held an alert.
    pub(super) fn holds(&mut self, subject: Option<Subject>) {
        self.held += 1;
        if let Some(subject) = subject
            && self.subjects.len() < MOST_HELD
            && !self.subjects.contains(&subject)
        {
            self.subjects.push(subject);
        }
    }
}

/// A person's wish about silences.
#[derive(Debug, Clone)]
pub enum SilenceWish {
    /// A new one, under an id that no other has.
    Add(Subject, Box<Silence>),
    /// Another end.
    Extend(Subject, Until),
    /// It ends now.
    End(Subject),
}
