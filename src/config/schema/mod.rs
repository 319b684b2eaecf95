//! The JSON Schemas of what people write, for their editors: `triggerbell schema`.
//!
//! They are made from the lists that the readers use: fields, operators, words, types, defaults.
//! Which keys a map has is written down here a second time, since the readers ask for keys one by
//! one; a test asks the readers at every map which keys they know and holds the two equal. The
//! dialect is draft 7, which the language servers of editors know whole; of later ones they know
//! parts. Deliberately absent: what a schema can't say without hiding its other messages (which key
//! excludes which, what has to exist, bounds of durations): that is `check`'s.

mod clauses;
mod receivers;
mod rules;
mod service;
mod shape;
mod sources;
mod tests;

use serde_json::{Value, json};

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Schema {
    /// `triggerbell.yaml`.
    Config,
    /// A rule file.
    Rules,
    /// A file of rule tests.
    Tests,
}

impl Schema {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Config, Self::Rules, Self::Tests];

    /// Its name on the command line, and its file's without the end.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Rules => "rules",
            Self::Tests => "tests",
        }
    }

    /// The schema itself.
    pub fn document(self) -> Value {
        let (title, body) = match self {
            Self::Config => ("triggerbell.yaml", service::config()),
            Self::Rules => ("Rules of triggerbell", rules::rules()),
            Self::Tests => ("Rule tests of triggerbell", tests::tests()),
        };
        let mut document = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": title,
        });
        for (word, value) in body.as_object().into_iter().flatten() {
            document[word] = value.clone();
        }
        if self != Self::Config {
            document["definitions"] = rules::definitions();
        }
        document
    }
}
