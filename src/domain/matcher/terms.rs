//! A clause as alternatives, each of them a conjunction that can be looked up field by field.
//!
//! Without this an `any` across fields needs nothing of any one field, and would have to be
//! evaluated for every entry. Deliberately absent: clauses that speak of one field, which stay
//! whole, and clauses with very many alternatives, which stay as they are and are merely slower.

use std::borrow::Cow;

use super::need::{fields, is_separable};
use crate::domain::clause::Clause;

/// The most alternatives that a clause is taken apart into.
const MAX_TERMS: usize = 16;

/// Clauses of which one is true just when the whole is; one at least.
pub(super) fn terms(clause: &Clause) -> Vec<Cow<'_, Clause>> {
    if is_separable(clause) {
        return vec![Cow::Borrowed(clause)];
    }
    let terms = alternatives(clause, false);
    if terms.is_empty() {
        return vec![Cow::Borrowed(clause)];
    }
    terms.into_iter().map(|parts| Cow::Owned(Clause::All(parts))).collect()
}

/// The alternatives of a clause or of its opposite, each as the parts of a conjunction. What would
/// make too many is left whole.
fn alternatives(clause: &Clause, negated: bool) -> Vec<Vec<Clause>> {
    match (clause, negated) {
        (Clause::Not(clause), _) => alternatives(clause, !negated),
        _ if fields(clause).len() == 1 => whole(clause, negated),
        (Clause::All(parts), false) | (Clause::Any(parts), true) => {
            parts.iter().fold(vec![Vec::new()], |terms, part| {
                let mut others = alternatives(part, negated);
                if terms.len() * others.len() > MAX_TERMS {
                    others = whole(part, negated);
                }
                combined(&terms, &others)
            })
        }
        (Clause::Any(parts), false) | (Clause::All(parts), true) => {
            let terms: Vec<_> = parts.iter().flat_map(|part| alternatives(part, negated)).collect();
            if terms.len() > MAX_TERMS { whole(clause, negated) } else { terms }
        }
        (Clause::Test(_) | Clause::Cel(_), _) => whole(clause, negated),
    }
}

/// A clause or its opposite, as the one part of the one alternative.
fn whole(clause: &Clause, negated: bool) -> Vec<Vec<Clause>> {
    let clause = clause.clone();
    vec![vec![if negated { clause.negated() } else { clause }]]
}

/// Each of the one with each of the other.
fn combined(some: &[Vec<Clause>], others: &[Vec<Clause>]) -> Vec<Vec<Clause>> {
    let pairs = some.iter().flat_map(|one| others.iter().map(move |other| (one, other)));
    pairs.map(|(one, other)| [one.as_slice(), other].concat()).collect()
}
