//! One field's part of the matcher: from its value to the rules that are still possible.
//!
//! Deliberately absent: what is asked of a value and holds (`scan`), and the other fields.

use std::collections::HashMap;

use super::{
    bits::{Bits, Rules},
    need::{Access, AtomId, Need, allows_missing},
    scan::{ScanScratch, Scanner, ScannerBuilder},
};
use crate::domain::{clause::Clause, entry::Value, field::Field};

/// What all rules need of one field. Every rule has at most one need here, which is all that it
/// asks of the field, so the rules of two needs never overlap.
#[derive(Debug)]
pub(super) struct FieldIndex {
    /// The field.
    pub(super) field: Field,
    scanner: Scanner,
    atoms: usize,
    /// Rules that are possible where the entry lacks the field.
    missing: Bits,
    /// Rules that are possible whatever the value, as long as nothing holds for it.
    present: Bits,
    needs: Box<[NeedRules]>,
    /// By atom: what follows where it holds.
    reactions: Box<[Box<[Reaction]>]>,
    /// Needs that nothing tells of beforehand.
    checks: Box<[NeedId]>,
}

/// A distinct need, by number.
type NeedId = u32;

/// A distinct need and the rules that have it.
#[derive(Debug)]
struct NeedRules {
    need: Need,
    rules: Rules,
}

/// What follows where an atom holds.
#[derive(Debug, Clone, Copy)]
enum Reaction {
    /// The need is met.
    Meet(NeedId),
    /// It is not met.
    Fail(NeedId),
    /// It may be met: it is to be looked at.
    Check(NeedId),
}

impl FieldIndex {
    /// Compiles what the clauses, one for each rule, need of a field. Those at `asking` mention it.
    pub(super) fn new(field: Field, clauses: &[&Clause], asking: &[u32]) -> Self {
        let count = clauses.len();
        let mut scanner = ScannerBuilder::default();
        let mut missing = Bits::all(count);
        let mut present = Bits::all(count);
        let mut needs: HashMap<Need, Vec<u32>> = HashMap::new();
        for &rule in asking {
            let clause = clauses[rule as usize];
            if !allows_missing(clause, field) {
                missing.remove(rule);
            }
            present.remove(rule);
            let need = Need::of(clause, field, &mut |test| scanner.atoms(test));
            needs.entry(need).or_default().push(rule);
        }
        let mut reactions = vec![Vec::new(); scanner.count()];
        let mut checks = Vec::new();
        let mut kept = Vec::with_capacity(needs.len());
        for (need, rules) in needs {
            let rules = Rules::new(rules, count);
            let id = kept.len() as NeedId;
            let mut react = |atoms: std::collections::BTreeSet<AtomId>, reaction: Reaction| {
                atoms.into_iter().for_each(|atom| reactions[atom as usize].push(reaction));
            };
            match need.access() {
                Access::Always => rules.add_to(&mut present),
                Access::When(atoms) => react(atoms, Reaction::Meet(id)),
                Access::Unless(atoms) => {
                    rules.add_to(&mut present);
                    react(atoms, Reaction::Fail(id));
                }
                Access::CheckWhen(atoms) => react(atoms, Reaction::Check(id)),
                Access::Check => checks.push(id),
            }
            kept.push(NeedRules { need, rules });
        }
        Self {
            field,
            atoms: scanner.count(),
            scanner: scanner.build(),
            missing,
            present,
            needs: kept.into(),
            reactions: reactions.into_iter().map(Vec::into_boxed_slice).collect(),
            checks: checks.into(),
        }
    }

    /// How much narrowing costs beside other fields'; only the order matters.
    pub(super) fn cost(&self) -> usize {
        self.scanner.cost()
    }

    /// Somewhere to write to.
    pub(super) fn scratch(&self) -> ScanScratch {
        self.scanner.scratch(self.atoms)
    }

    /// Keeps of `possible` what the value, or its absence, allows, and says whether anything is
    /// left. `allowed` is overwritten.
    pub(super) fn narrow(
        &self,
        value: Option<Value<'_>>,
        scratch: &mut ScanScratch,
        allowed: &mut Bits,
        possible: &mut Bits,
    ) -> bool {
        let Some(value) = value else {
            return possible.intersect(&self.missing);
        };
        self.scanner.scan(value, scratch);
        let hits = &scratch.hits;
        if hits.list().is_empty() && self.checks.is_empty() {
            return possible.intersect(&self.present);
        }
        allowed.copy_from(&self.present);
        for &atom in hits.list() {
            for reaction in &self.reactions[atom as usize] {
                match *reaction {
                    Reaction::Meet(id) => self.needs[id as usize].rules.add_to(allowed),
                    Reaction::Fail(id) => self.needs[id as usize].rules.remove_from(allowed),
                    Reaction::Check(id) => self.check(id, scratch, allowed),
                }
            }
        }
        for &id in &self.checks {
            self.check(id, scratch, allowed);
        }
        possible.intersect(allowed)
    }

    fn check(&self, id: NeedId, scratch: &ScanScratch, allowed: &mut Bits) {
        let NeedRules { need, rules } = &self.needs[id as usize];
        if need.is_met(&|atom| scratch.hits.contains(atom)) {
            rules.add_to(allowed);
        }
    }
}
