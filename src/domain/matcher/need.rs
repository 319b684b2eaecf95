//! What a clause needs of one field: the part of it that speaks of that field.
//!
//! Only "is it true" matters to a match, and with the `not`s pushed down to the tests that is an
//! ordinary two-valued question: an `all` is true when all its parts are, an `any` when one is, and
//! a test, negated or not, of a field that the entry lacks never is, `exists` apart. So a
//! clause, with every test of another field taken for true, is a necessary condition on this
//! field; and where no `any` spans fields, the conditions together are the whole clause.
//! Deliberately absent: values, which `scan` looks at.

use std::collections::BTreeSet;

use crate::domain::{
    clause::{Clause, FieldTest, Test},
    field::Field,
};

/// A distinct thing asked of a field's value, by number.
pub(super) type AtomId = u32;

/// What is needed of the value of a field that the entry has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Need {
    /// That the atom holds.
    Atom(AtomId),
    /// That it does not.
    NotAtom(AtomId),
    /// All of these.
    All(Vec<Need>),
    /// Any of these.
    Any(Vec<Need>),
}

impl Need {
    /// Nothing is needed.
    const NOTHING: Self = Self::All(Vec::new());
    /// No value will do.
    const IMPOSSIBLE: Self = Self::Any(Vec::new());

    /// What a clause needs of a field. `atoms` numbers what a test asks, each member of its list.
    pub(super) fn of(
        clause: &Clause,
        field: Field,
        atoms: &mut impl FnMut(&Test) -> Vec<AtomId>,
    ) -> Self {
        Self::of_signed(clause, false, field, atoms)
    }

    /// What a clause, or its opposite, needs.
    fn of_signed(
        clause: &Clause,
        negated: bool,
        field: Field,
        atoms: &mut impl FnMut(&Test) -> Vec<AtomId>,
    ) -> Self {
        match (clause, negated) {
            (Clause::Not(clause), _) => Self::of_signed(clause, !negated, field, atoms),
            // Nothing is known beforehand of what the interpreter will say.
            (Clause::Cel(_), _) => Self::NOTHING,
            (Clause::Test(test), _) if test.field != field => Self::NOTHING,
            (Clause::Test(FieldTest { test: Test::Exists(wanted), .. }), _) => {
                if *wanted != negated { Self::NOTHING } else { Self::IMPOSSIBLE }
            }
            (Clause::Test(FieldTest { test, .. }), false) => {
                Self::any(atoms(test).into_iter().map(Self::Atom))
            }
            (Clause::Test(FieldTest { test, .. }), true) => {
                Self::all(atoms(test).into_iter().map(Self::NotAtom))
            }
            (Clause::All(parts), false) | (Clause::Any(parts), true) => {
                Self::all(parts.iter().map(|part| Self::of_signed(part, negated, field, atoms)))
            }
            (Clause::Any(parts), false) | (Clause::All(parts), true) => {
                Self::any(parts.iter().map(|part| Self::of_signed(part, negated, field, atoms)))
            }
        }
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::All(parts) => all.extend(parts),
                Self::Any(parts) if parts.is_empty() => return Self::IMPOSSIBLE,
                other => all.push(other),
            }
        }
        if all.len() == 1 { all.remove(0) } else { Self::All(all) }
    }

    fn any(parts: impl Iterator<Item = Self>) -> Self {
        let mut any = Vec::new();
        for part in parts {
            match part {
                Self::Any(parts) => any.extend(parts),
                Self::All(parts) if parts.is_empty() => return Self::NOTHING,
                other => any.push(other),
            }
        }
        if any.len() == 1 { any.remove(0) } else { Self::Any(any) }
    }

    /// Whether it is met where just the atoms hold of which `holds` says so.
    pub(super) fn is_met(&self, holds: &impl Fn(AtomId) -> bool) -> bool {
        match self {
            Self::Atom(atom) => holds(*atom),
            Self::NotAtom(atom) => !holds(*atom),
            Self::All(parts) => parts.iter().all(|part| part.is_met(holds)),
            Self::Any(parts) => parts.iter().any(|part| part.is_met(holds)),
        }
    }

    /// How it is looked up.
    pub(super) fn access(&self) -> Access {
        if *self == Self::NOTHING {
            return Access::Always;
        }
        match (self.guards(), self.exclusions()) {
            (Some(atoms), _) if self.is_any_of_atoms() => Access::When(atoms),
            (Some(atoms), _) => Access::CheckWhen(atoms),
            (None, Some(atoms)) => Access::Unless(atoms),
            (None, None) => Access::Check,
        }
    }

    fn is_any_of_atoms(&self) -> bool {
        match self {
            Self::Atom(_) => true,
            Self::Any(parts) => parts.iter().all(|part| matches!(part, Self::Atom(_))),
            Self::NotAtom(_) | Self::All(_) => false,
        }
    }

    /// Atoms of which one must hold, where there are such.
    fn guards(&self) -> Option<BTreeSet<AtomId>> {
        match self {
            Self::Atom(atom) => Some([*atom].into()),
            Self::NotAtom(_) => None,
            Self::All(parts) => parts.iter().filter_map(Self::guards).min_by_key(BTreeSet::len),
            Self::Any(parts) => {
                parts.iter().map(Self::guards).try_fold(BTreeSet::new(), |mut union, guards| {
                    union.extend(guards?);
                    Some(union)
                })
            }
        }
    }

    /// The atoms none of which may hold, where nothing else is needed.
    fn exclusions(&self) -> Option<BTreeSet<AtomId>> {
        match self {
            Self::NotAtom(atom) => Some([*atom].into()),
            Self::All(parts) => parts
                .iter()
                .map(|part| match part {
                    Self::NotAtom(atom) => Some(*atom),
                    _ => None,
                })
                .collect(),
            Self::Atom(_) | Self::Any(_) => None,
        }
    }
}

/// How a need is looked up from the atoms that hold, so that those that can't be met cost nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It is met by every value.
    Always,
    /// It is met when one of these holds.
    When(BTreeSet<AtomId>),
    /// It is met unless one of these holds.
    Unless(BTreeSet<AtomId>),
    /// It may be met when one of these holds.
    CheckWhen(BTreeSet<AtomId>),
    /// It must be looked at.
    Check,
}

/// Whether a clause could be true of an entry that lacks the field, whatever its other fields.
pub(super) fn allows_missing(clause: &Clause, field: Field) -> bool {
    allows_missing_signed(clause, false, field)
}

fn allows_missing_signed(clause: &Clause, negated: bool, field: Field) -> bool {
    match (clause, negated) {
        (Clause::Not(clause), _) => allows_missing_signed(clause, !negated, field),
        (Clause::Cel(_), _) => true,
        (Clause::Test(test), _) if test.field != field => true,
        (Clause::Test(FieldTest { test: Test::Exists(wanted), .. }), _) => *wanted == negated,
        (Clause::Test(_), _) => false,
        (Clause::All(parts), false) | (Clause::Any(parts), true) => {
            parts.iter().all(|part| allows_missing_signed(part, negated, field))
        }
        (Clause::Any(parts), false) | (Clause::All(parts), true) => {
            parts.iter().any(|part| allows_missing_signed(part, negated, field))
        }
    }
}

/// The fields that a clause asks about, those apart that only an interpreted part reads.
pub(super) fn fields(clause: &Clause) -> BTreeSet<Field> {
    match clause {
        Clause::Cel(_) => BTreeSet::new(),
        Clause::All(parts) | Clause::Any(parts) => parts.iter().flat_map(fields).collect(),
        Clause::Not(clause) => fields(clause),
        Clause::Test(test) => [test.field].into(),
    }
}

/// Whether the needs of a clause, field by field, are together the whole clause: it is a
/// conjunction of parts that each speak of one field, none of them of time, which passes, and none
/// interpreted.
pub(super) fn is_separable(clause: &Clause) -> bool {
    is_separable_signed(clause, false)
}

fn is_separable_signed(clause: &Clause, negated: bool) -> bool {
    match (clause, negated) {
        (Clause::Not(clause), _) => is_separable_signed(clause, !negated),
        (Clause::All(parts), false) | (Clause::Any(parts), true) => {
            parts.iter().all(|part| is_separable_signed(part, negated))
        }
        _ => {
            let fields = fields(clause);
            fields.len() == 1 && !fields.contains(&Field::Time) && !is_interpreted(clause)
        }
    }
}

/// Whether a part of a clause is the interpreter's.
fn is_interpreted(clause: &Clause) -> bool {
    match clause {
        Clause::Cel(_) => true,
        Clause::All(parts) | Clause::Any(parts) => parts.iter().any(is_interpreted),
        Clause::Not(clause) => is_interpreted(clause),
        Clause::Test(_) => false,
    }
}
