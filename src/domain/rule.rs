//! Rules, checked, and the rule set that matches them.
//!
//! Deliberately absent: files and YAML (`config`), and what a match leads to (`decision`).

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    clause::Clause,
    entry::Entry,
    field::Field,
    notification::words,
    verdict::{Truth, Verdict},
};

words! {
    /// How grave a rule says its alerts are, gravest last.
    Severity {
        /// Worth knowing; the default.
        Info = "info",
        /// Worth a look.
        Warning = "warning",
        /// Something failed.
        Error = "error",
        /// Somebody is to act now.
        Critical = "critical",
    }
}

words! {
    /// Whether a rule's messages are sent.
    Mode {
        /// They are.
        Live = "live",
        /// They are decided and recorded, and never sent.
        Shadow = "shadow",
    }
}

/// When a matching rule tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notify {
    /// At every matching entry.
    Every,
}

/// The fields that make a key where a rule says nothing else.
pub const DEFAULT_BY: [Field; 6] = [
    Field::Repo,
    Field::Trigger,
    Field::ClusterId,
    Field::Namespace,
    Field::Service,
    Field::Container,
];

/// A rule that can't be invalid.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique in its set.
    pub name: Arc<str>,
    /// What it asks of an entry.
    pub matches: Clause,
    /// How grave it is.
    pub severity: Severity,
    /// Free words for templates, in the order of their names.
    pub labels: BTreeMap<String, String>,
    /// The receivers, by name, each once, at least one.
    pub send_to: Vec<Arc<str>>,
    /// The template; `None` leaves it to the receiver.
    pub template: Option<Arc<str>>,
    /// When it tells.
    pub notify: Notify,
    /// What its alerts are about.
    pub by: Vec<Field>,
    /// Whether a match of this rule, if live, ends the looking.
    pub stop: bool,
    /// Whether its messages are sent.
    pub mode: Mode,
    /// The file that it stands in, as it was named, and its line; for people.
    pub origin: Origin,
}

/// Where something stands in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The path as it was given.
    pub path: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

/// Rules in the order in which they are looked at, compiled for matching.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

impl RuleSet {
    /// Compiles a set. The rules' names are unique.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The indexes of the rules whose match is true, ascending, without regard to `stop`.
    pub fn matching(&self, entry: &Entry, now: Timestamp, out: &mut Vec<usize>) {
        out.clear();
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.matches.evaluate(entry, now) == Truth::True {
                out.push(index);
            }
        }
    }

    /// What the rule at `index` says of an entry, and which clause decided.
    pub fn verdict(&self, index: usize, entry: &Entry, now: Timestamp) -> Verdict {
        let clause = &self.rules[index].matches;
        Verdict { truth: clause.evaluate(entry, now), decided_by: clause.decided_by(entry, now) }
    }
}
