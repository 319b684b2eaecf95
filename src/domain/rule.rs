//! Rules, checked, and the rule set that matches them.
//!
//! Deliberately absent: files and YAML (`config`), how matching is made fast (`matcher`), and what a
//! match leads to (`decision`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    clause::Clause,
    entry::Entry,
    field::Field,
    lookup::Lookup,
    matcher::Matcher,
    notification::words,
    quiet::{CatchUp, Quiet},
    verdict::{Followed, RuleExplanation, Verdict},
};

pub use super::matcher::Scratch;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// At every matching entry.
    Every,
    /// When a key begins to fail, and when it is well again.
    Change,
    /// When a key matched so many times within so long.
    Count {
        /// At least 2.
        count: usize,
        /// The sliding window, by entry time.
        within: Duration,
    },
    /// When nothing matched for so long, and when something does again.
    Absent {
        /// So long, while the source was read.
        after: Duration,
        /// For each key that was seen before, rather than for the rule as a whole.
        per_key: bool,
    },
}

impl Notify {
    /// Whether a rule that tells so has incidents, which end by `recover`.
    pub const fn recovers(&self) -> bool {
        matches!(self, Self::Change | Self::Count { .. })
    }
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
    /// How it keeps quiet.
    pub quiet: Quiet,
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

impl Rule {
    /// Whether a match of this rule ends the looking: a rule in shadow changes nothing for others.
    pub const fn ends_looking(&self) -> bool {
        self.stop && matches!(self.mode, Mode::Live)
    }
}

/// Rules in the order in which they are looked at, compiled for matching.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    matcher: Arc<Matcher>,
    pub(super) lookup: Lookup,
    pub(super) sources: Sources,
}

/// What deciding is to know of the sources.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What each says of late news, by name; others send it.
    pub catch_up: BTreeMap<Arc<str>, CatchUp>,
    /// How late a row of any of them may come.
    pub overlap: Duration,
    /// Those that are read, and of which it is said when they were; others only push.
    pub read: BTreeSet<Arc<str>>,
}

impl Default for Sources {
    fn default() -> Self {
        let (catch_up, read) = (BTreeMap::new(), BTreeSet::new());
        Self { catch_up, overlap: Duration::from_secs(600), read }
    }
}

impl Default for RuleSet {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl RuleSet {
    /// Compiles a set. The rules' names are unique. A receiver that a rule lists twice is told once.
    pub fn new(mut rules: Vec<Rule>) -> Self {
        for rule in &mut rules {
            let mut seen = std::collections::BTreeSet::new();
            rule.send_to.retain(|receiver| seen.insert(receiver.clone()));
        }
        let matcher = Arc::new(Matcher::new(rules.iter().map(|rule| &rule.matches)));
        let lookup = Lookup::new(&rules);
        Self { rules, matcher, lookup, sources: Sources::default() }
    }

    /// The same rules over sources of which something is known.
    #[must_use]
    pub fn over(self, sources: Sources) -> Self {
        Self { sources, ..self }
    }

    /// What is known of the sources.
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What tells this set from every other one while both exist.
    pub(super) const fn identity(&self) -> &Arc<Matcher> {
        &self.matcher
    }

    /// Whether any rule watches for absence, so that it matters when a source was read.
    pub fn watches_absence(&self) -> bool {
        !self.lookup.absent.is_empty()
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Writes to `out` the indexes of the rules whose match is true, ascending, without regard to
    /// `stop`: what [`Clause::evaluate`] says of each, at a cost that hardly grows with their
    /// number. `scratch` is best the one of the last call.
    pub fn matching(
        &self,
        scratch: &mut Scratch,
        entry: &Entry,
        now: Timestamp,
        out: &mut Vec<usize>,
    ) {
        self.matcher.matching(|index| &self.rules[index].matches, entry, now, scratch, out);
    }

    /// What the rule at `index` says of an entry, and which clause decided.
    pub fn verdict(&self, index: usize, entry: &Entry, now: Timestamp) -> Verdict {
        let clause = &self.rules[index].matches;
        Verdict { truth: clause.evaluate(entry, now), decided_by: clause.decided_by(entry, now) }
    }

    /// What every rule says of an entry, in their order, down to each clause.
    pub fn explain(&self, entry: &Entry, now: Timestamp) -> Vec<RuleExplanation> {
        let mut stopped_by: Option<Arc<str>> = None;
        let mut explanations = Vec::with_capacity(self.rules.len());
        for (index, rule) in self.rules.iter().enumerate() {
            let verdict = self.verdict(index, entry, now);
            let decides = verdict.matched() && stopped_by.is_none();
            explanations.push(RuleExplanation {
                rule: rule.name.clone(),
                verdict,
                clauses: rule.matches.reports(entry, now),
                stopped_by: stopped_by.clone(),
                followed: decides.then(|| Followed {
                    mode: rule.mode,
                    send_to: rule.send_to.clone(),
                    stopped: rule.ends_looking(),
                }),
            });
            if decides && rule.ends_looking() {
                stopped_by = Some(rule.name.clone());
            }
        }
        explanations
    }
}
