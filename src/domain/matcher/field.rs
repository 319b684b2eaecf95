//! One field's part of the matcher: from its value to the terms that are still possible.
//!
//! Deliberately absent: what is asked of a value and holds (`scan`), and the other fields.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use super::{
    bits::{Bits, Terms},
    need::{Access, AtomId, Need, allows_missing},
    scan::{ScanScratch, Scanner, ScannerBuilder},
};
use crate::domain::{clause::Clause, entry::Value, field::Field};

/// What all terms need of one field. Every term has at most one need here, which is all that it
/// asks of the field, so the terms of two needs never overlap.
#[derive(Debug)]
pub(super) struct FieldIndex {
    /// The field.
    pub(super) field: Field,
    scanner: Scanner,
    atoms: usize,
    /// Terms that are possible where the entry lacks the field.
    missing: Bits,
    /// Terms that are possible whatever the value, as long as nothing holds for it.
    present: Bits,
    needs: Box<[SharedNeed]>,
    /// By atom: what follows where it holds.
    reactions: Box<[Box<[Reaction]>]>,
    /// Needs that nothing tells of beforehand.
    checks: Box<[NeedId]>,
}

/// A distinct need, by number.
type NeedId = u32;

/// A distinct need and the terms that have it.
#[derive(Debug)]
struct SharedNeed {
    need: Need,
    terms: Terms,
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
    /// Compiles what the terms need of a field. Those at `asking` mention it.
    pub(super) fn new(field: Field, terms: &[Cow<'_, Clause>], asking: &[u32]) -> Self {
        let count = terms.len();
        let mut scanner = ScannerBuilder::default();
        let mut missing = Bits::all(count);
        let mut present = Bits::all(count);
        let mut needs: HashMap<Need, Vec<u32>> = HashMap::new();
        for &term in asking {
            let clause = &*terms[term as usize];
            if !allows_missing(clause, field) {
                missing.remove(term);
            }
            present.remove(term);
            let need = Need::of(clause, field, &mut |test| scanner.atoms(test));
            needs.entry(need).or_default().push(term);
        }
        let mut reactions = vec![Vec::new(); scanner.count()];
        let mut checks = Vec::new();
        let mut kept = Vec::with_capacity(needs.len());
        for (need, terms) in needs {
            let terms = Terms::new(terms, count);
            let id = kept.len() as NeedId;
            let mut react = |atoms: BTreeSet<AtomId>, reaction: Reaction| {
                atoms.into_iter().for_each(|atom| reactions[atom as usize].push(reaction));
            };
            match need.access() {
                Access::Always => terms.add_to(&mut present),
                Access::When(atoms) => react(atoms, Reaction::Meet(id)),
                Access::Unless(atoms) => {
                    terms.add_to(&mut present);
                    react(atoms, Reaction::Fail(id));
                }
                Access::CheckWhen(atoms) => react(atoms, Reaction::Check(id)),
                Access::Check => checks.push(id),
            }
            kept.push(SharedNeed { need, terms });
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
        if self.checks.is_empty() {
            // The two usual cases, each in one pass over the terms.
            match hits.list() {
                [] => return possible.intersect(&self.present),
                [atom] => {
                    if let [Reaction::Meet(id)] = *self.reactions[*atom as usize]
                        && let Terms::Many(terms) = &self.needs[id as usize].terms
                    {
                        return possible.intersect_either(&self.present, terms);
                    }
                }
                _ => {}
            }
        }
        allowed.copy_from(&self.present);
        for &atom in hits.list() {
            for reaction in &self.reactions[atom as usize] {
                match *reaction {
                    Reaction::Meet(id) => self.needs[id as usize].terms.add_to(allowed),
                    Reaction::Fail(id) => self.needs[id as usize].terms.remove_from(allowed),
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
        let SharedNeed { need, terms } = &self.needs[id as usize];
        if need.is_met(&|atom| scratch.hits.contains(atom)) {
            terms.add_to(allowed);
        }
    }
}
