//! What of the rules could not be read, so that the lint runs over the rest and says nothing that
//! follows from a mistake told already.
//!
//! A rule of which something is wrong is looked at for what its clauses say, and stands for nothing
//! else; every text in it counts as a use of what it names. Deliberately absent: the mistakes.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use crate::{
    document::{Kind, Node, Report, nearest},
    domain::rule::Rule,
};

/// The most texts of which one may be a name misspelt; what is wrong with more is not that.
const MAX_NEAR: usize = 1_000;

/// What could not be read.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// The rules that were read and of which something is wrong.
    faulty: HashSet<Arc<str>>,
    /// How many rules could not be read.
    unread: usize,
    /// The texts that stand in what is wrong.
    mentioned: HashSet<Arc<str>>,
    /// There may be rules of which nothing is known.
    pub(super) cut_off: bool,
}

impl Gaps {
    /// A rule of which something is wrong: its name where it could be read all the same.
    pub(super) fn rule(&mut self, name: Option<&Arc<str>>, node: &Node) {
        match name {
            Some(name) => _ = self.faulty.insert(Arc::clone(name)),
            None => self.unread += 1,
        }
        self.mention(node);
    }

    /// Takes every text in a node for a use of what it names.
    pub(super) fn mention(&mut self, node: &Node) {
        match &node.kind {
            Kind::Scalar(scalar) => _ = self.mentioned.insert(Arc::clone(&scalar.text)),
            Kind::List(items) => items.iter().for_each(|item| self.mention(item)),
            Kind::Map(map) => map.entries.iter().for_each(|entry| self.mention(&entry.value)),
            Kind::Unreadable => {}
        }
    }

    /// Whether something that could not be read may use a name, misspelt or not.
    pub(super) fn may_use(&self, name: &str) -> bool {
        let near = |text: &Arc<str>| nearest(text, [name]).is_some();
        let few = self.mentioned.len() <= MAX_NEAR;
        self.cut_off || self.mentioned.contains(name) || (few && self.mentioned.iter().any(near))
    }

    /// Whether nothing is wrong with a rule.
    pub(super) fn is_sound(&self, rule: &Rule) -> bool {
        !self.faulty.contains(&rule.name)
    }

    /// The rules as far as they can be compared: one that is faulty hides none and equals none.
    pub(super) fn comparable<'r>(&self, rules: &'r [Rule]) -> Cow<'r, [Rule]> {
        if self.faulty.is_empty() {
            return Cow::Borrowed(rules);
        }
        let alone = |rule: &Rule| {
            let mut rule = rule.clone();
            if !self.is_sound(&rule) {
                rule.stop = false;
                // No rule can write such a label.
                rule.labels.insert(String::new(), rule.name.to_string());
            }
            rule
        };
        Cow::Owned(rules.iter().map(alone).collect())
    }

    /// Says what the lint left out for this.
    pub(super) fn tell(&self, report: &Report) {
        if self.unread > 0 {
            report.left_out(format!("rules that could not be read ({})", self.unread));
        }
        if self.cut_off {
            report.left_out("files of rules that could not be read to their end".to_owned());
        }
        if !self.faulty.is_empty() {
            let count = self.faulty.len();
            report.left_out(format!("what rules with errors hide or repeat ({count})"));
        }
    }
}
