//! The compiled form of many clauses: which are true of an entry, at a cost that hardly grows with
//! their number.
//!
//! A clause is taken apart into alternatives (`terms`; most have but one), and a term becomes, for
//! each field it asks about, what it *needs* of that field (`need`); needs that several share are
//! looked at once. A value is scanned once for all that is asked of its field (`scan`), which gives
//! the terms still possible, a bit each; the fields' bits are intersected (`bits`), cheapest field
//! first, until none is left. For nearly all clauses that is exact; those with a test of time, an
//! interpreted part of a `cel` expression, or too many alternatives, are evaluated for the entries
//! that get so far. [`Clause::evaluate`] is
//! the meaning of it all, and property tests compare the two.
//!
//! Nothing here remembers entries or values: what a [`Scratch`] keeps from one entry to the next
//! is states of automata, bounded, and worth nothing but time.
//! Deliberately absent: order, `stop`, and what a match leads to.

mod bits;
mod field;
mod need;
mod scan;
mod terms;

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;

use self::{bits::Bits, field::FieldIndex, scan::ScanScratch};
use super::{clause::Clause, entry::Entry, field::Field, verdict::Truth};

/// Many clauses, compiled.
#[derive(Debug)]
pub(super) struct Matcher {
    /// By term: the clause that it is of, ascending.
    owners: Box<[u32]>,
    /// Every term.
    all: Bits,
    /// The fields that any term asks about, but for time, cheapest first.
    fields: Box<[FieldIndex]>,
    /// The terms whose needs are not all that they ask.
    inexact: Bits,
}

impl Matcher {
    /// Compiles clauses.
    pub(super) fn new<'a>(clauses: impl Iterator<Item = &'a Clause>) -> Self {
        let (mut owners, mut terms) = (Vec::new(), Vec::new());
        for (clause, owner) in clauses.zip(0..) {
            let of_clause = terms::terms(clause);
            owners.extend(of_clause.iter().map(|_| owner));
            terms.extend(of_clause);
        }
        let mut asking: BTreeMap<Field, Vec<u32>> = BTreeMap::new();
        let mut inexact = Bits::none(terms.len());
        for (term, index) in terms.iter().zip(0..) {
            for field in need::fields(term) {
                asking.entry(field).or_default().push(index);
            }
            if !need::is_separable(term) {
                inexact.insert(index);
            }
        }
        asking.remove(&Field::Time);
        let mut fields: Box<[FieldIndex]> = asking
            .into_iter()
            .map(|(field, asking)| FieldIndex::new(field, &terms, &asking))
            .collect();
        fields.sort_by_key(FieldIndex::cost);
        Self { owners: owners.into(), all: Bits::all(terms.len()), fields, inexact }
    }

    /// Writes to `found` the indexes of the clauses that are true, ascending. `clause` gives those
    /// that were compiled.
    pub(super) fn matching<'a>(
        self: &Arc<Self>,
        clause: impl Fn(usize) -> &'a Clause,
        entry: &Entry,
        now: Timestamp,
        scratch: &mut Scratch,
        found: &mut Vec<usize>,
    ) {
        found.clear();
        let Working { possible, allowed, fields, .. } = scratch.working_for(self);
        possible.copy_from(&self.all);
        for (field, scratch) in self.fields.iter().zip(fields) {
            if !field.narrow(entry.value(field.field), scratch, allowed, possible) {
                return;
            }
        }
        for term in possible.iter() {
            let index = self.owners[term as usize] as usize;
            let known = found.last() == Some(&index);
            let holds = || {
                !self.inexact.contains(term) || clause(index).evaluate(entry, now) == Truth::True
            };
            if !known && holds() {
                found.push(index);
            }
        }
    }
}

/// What matching writes to: working memory to be kept from one entry to the next, for speed alone.
/// It serves any rule set, one after another; a copy of it is empty.
#[derive(Default)]
pub struct Scratch {
    working: Option<Working>,
}

/// The working memory for one matcher.
struct Working {
    matcher: Arc<Matcher>,
    fields: Box<[ScanScratch]>,
    possible: Bits,
    allowed: Bits,
}

impl Working {
    fn new(matcher: &Arc<Matcher>) -> Self {
        Self {
            matcher: matcher.clone(),
            fields: matcher.fields.iter().map(FieldIndex::scratch).collect(),
            possible: matcher.all.clone(),
            allowed: matcher.all.clone(),
        }
    }
}

impl Scratch {
    /// The memory for a matcher; new where it served another.
    fn working_for(&mut self, matcher: &Arc<Matcher>) -> &mut Working {
        if self.working.as_ref().is_some_and(|working| !Arc::ptr_eq(&working.matcher, matcher)) {
            self.working = None;
        }
        self.working.get_or_insert_with(|| Working::new(matcher))
    }
}

impl Clone for Scratch {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch")
    }
}
