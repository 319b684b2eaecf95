//! What a rule set knows of itself so that deciding looks nothing up by walking over its rules.
//!
//! Rules that ask for the same `by` and the same `recover` form a class: of an entry, one look says
//! for all of them whether it is a success, and one digest what it is about. Deliberately absent:
//! matching (`matcher`).

use std::{collections::HashMap, sync::Arc};

use super::{
    clause::Clause,
    entry::FieldHasher,
    field::Field,
    memory::Subject,
    rule::{Notify, Rule},
};

/// A rule set's knowledge of itself.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The rules' places, by name.
    pub(super) by_name: HashMap<Arc<str>, usize>,
    /// Every `by`, once.
    pub(super) bys: Vec<Vec<Field>>,
    /// The classes of those rules that have something to recover from.
    pub(super) classes: Vec<Class>,
    /// By rule.
    pub(super) of: Vec<OfRule>,
    /// The rules that watch for absence.
    pub(super) absent: Vec<usize>,
}

/// Rules of the same `by` and `recover`.
#[derive(Debug)]
pub(super) struct Class {
    /// Which `by`.
    pub(super) by: usize,
    /// What a success is.
    pub(super) recover: Clause,
    /// Keeps what is remembered for this `recover` apart from what is for others.
    pub(super) stamp: Subject,
    /// Whether it matters when a key was last well: rules of it have incidents.
    pub(super) remembers: bool,
}

/// What is known of one rule.
#[derive(Debug)]
pub(super) struct OfRule {
    /// Which `by`.
    pub(super) by: usize,
    /// Its class, where it has one.
    pub(super) class: Option<usize>,
    /// By what a changed rule is known: a digest of `by` and `notify`.
    pub(super) shape: u64,
    /// The fields by which its incidents explain those of other rules.
    pub(super) inhibits: Vec<Vec<Field>>,
    /// The rules that its incidents explain.
    pub(super) inhibited: Vec<usize>,
}

impl Lookup {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut this = Self {
            by_name: rules.iter().zip(0..).map(|(rule, at)| (rule.name.clone(), at)).collect(),
            bys: Vec::new(),
            classes: Vec::new(),
            of: Vec::with_capacity(rules.len()),
            absent: Vec::new(),
        };
        let mut known_bys: HashMap<&[Field], usize> = HashMap::new();
        let mut known_classes: HashMap<(usize, Subject), usize> = HashMap::new();
        for (rule, at) in rules.iter().zip(0..) {
            let by = *known_bys.entry(&rule.by).or_insert_with(|| {
                this.bys.push(rule.by.clone());
                this.bys.len() - 1
            });
            let recovers = rule.notify.recovers() || rule.quiet.storm.is_some();
            let class = recovers.then(|| {
                let stamp = Subject::of_texts(&["recover", &format!("{:?}", rule.quiet.recover)]);
                let class = *known_classes.entry((by, stamp)).or_insert_with(|| {
                    let recover = rule.quiet.recover.clone();
                    this.classes.push(Class { by, recover, stamp, remembers: false });
                    this.classes.len() - 1
                });
                this.classes[class].remembers |= rule.notify.recovers();
                class
            });
            if matches!(rule.notify, Notify::Absent { .. }) {
                this.absent.push(at);
            }
            let (inhibits, inhibited) = (Vec::new(), Vec::new());
            this.of.push(OfRule { by, class, shape: shape(rule), inhibits, inhibited });
        }
        this.note_inhibitions(rules);
        this
    }

    fn note_inhibitions(&mut self, rules: &[Rule]) {
        for (rule, at) in rules.iter().zip(0..) {
            let Some(inhibition) = &rule.quiet.inhibited_by else { continue };
            let Some(&by) = self.by_name.get(&inhibition.rule) else { continue };
            let of = &mut self.of[by];
            of.inhibited.push(at);
            if !of.inhibits.contains(&inhibition.equal) {
                of.inhibits.push(inhibition.equal.clone());
            }
        }
    }
}

/// A digest of what an incident's meaning hangs on: `by` and `notify`.
fn shape(rule: &Rule) -> u64 {
    let mut hasher = FieldHasher::new("shape");
    rule.by.iter().for_each(|field| hasher.text(field.name()));
    let mut number = |number: u128| hasher.number(i64::try_from(number).ok());
    match rule.notify {
        Notify::Every => number(0),
        Notify::Change => number(1),
        Notify::Count { count, within } => {
            [2, count as u128, within.as_millis()].into_iter().for_each(number);
        }
        Notify::Absent { after, per_key } => {
            [3, u128::from(per_key), after.as_millis()].into_iter().for_each(number);
        }
    }
    let digest = hasher.finish();
    u64::from_le_bytes(std::array::from_fn(|at| digest[at]))
}
