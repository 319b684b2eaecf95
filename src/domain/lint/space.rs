//! Clauses as boxes: for each field what its value may be, a union of which is what a clause is true
//! of.
//!
//! Every distinct test, and every distinct set of values of a field, is kept once and known by its
//! number, so that what was found out about it is found out once for a whole set of rules.
//! Deliberately absent: which values there are (`value`), and boxes taken up by others (`cover`).

use std::collections::HashMap;

use super::{
    Witness,
    language::{self, Language, TooLarge},
    value::{Decided, Value, ValueId},
};
use crate::domain::{
    clause::{Clause, FieldTest, Test},
    field::Field,
};

/// The most boxes that a clause is taken apart into.
const MAX_BOXES: usize = 128;

/// The most questions that are asked for a whole set of rules: some seconds. A thousand rules of the
/// usual kinds ask a hundredth of them.
const MAX_QUESTIONS: u64 = 1_000_000;

/// The most steps that automata are walked for a whole set of rules: some seconds.
const MAX_STEPS: u64 = 20_000_000;

/// What the automata of a whole set of rules may take, in bytes.
const MAX_ROOM: usize = 24 << 20;

/// What a part that can't be decided is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opaque {
    /// True.
    Holds,
    /// False.
    Fails,
}

/// A distinct test of a field, by number.
pub(super) type Atom = usize;

/// A distinct set of values of a field, by number.
pub(super) type CellId = usize;

/// What the value of one field may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    /// The field, or the one that it follows from.
    pub(super) field: Field,
    /// It may be absent.
    pub(super) absent: bool,
    /// It may be there, and then these tests hold of it, or do not.
    pub(super) present: bool,
    pub(super) tests: Vec<(Atom, bool)>,
}

impl Cell {
    fn any(field: Field) -> Self {
        Self { field, absent: true, present: true, tests: Vec::new() }
    }

    fn present(field: Field, mut tests: Vec<(Atom, bool)>) -> Self {
        tests.sort_unstable();
        tests.dedup();
        if tests.windows(2).any(|two| two[0].0 == two[1].0) {
            // A test and its opposite.
            return Self { field, absent: false, present: false, tests: Vec::new() };
        }
        Self { field, absent: false, present: true, tests }
    }

    fn and(&self, other: &Self) -> Self {
        let absent = self.absent && other.absent;
        if !(self.present && other.present) {
            return Self { field: self.field, absent, present: false, tests: Vec::new() };
        }
        let both = Self::present(self.field, [&*self.tests, &*other.tests].concat());
        Self { absent, ..both }
    }

    /// What is left of all values without these, as cells that do not overlap.
    fn complement(&self) -> Vec<Self> {
        let mut rest = Vec::new();
        if !self.absent {
            let tests = Vec::new();
            rest.push(Self { field: self.field, absent: true, present: false, tests });
        }
        if !self.present {
            rest.push(Self::present(self.field, Vec::new()));
            return rest;
        }
        for (index, &(atom, holds)) in self.tests.iter().enumerate() {
            let mut tests = self.tests[..index].to_vec();
            tests.push((atom, !holds));
            rest.push(Self::present(self.field, tests));
        }
        rest
    }
}

/// A cell for each field that anything is asked of, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Box(pub(super) Vec<(Field, CellId)>);

/// A union of boxes.
pub(super) type Boxes = Vec<Box>;

impl Box {
    pub(super) fn cell(&self, field: Field) -> Option<CellId> {
        self.0.iter().find(|(own, _)| *own == field).map(|&(_, cell)| cell)
    }
}

/// The tests and cells that were met, and what was found out about them.
#[derive(Debug)]
pub(super) struct Space {
    numbers: HashMap<(Field, String), Atom>,
    pub(super) tests: Vec<Known>,
    ids: HashMap<Cell, CellId>,
    pub(super) cells: Vec<KnownCell>,
    both: HashMap<(CellId, CellId), CellId>,
    complements: HashMap<CellId, Vec<CellId>>,
    pub(super) alphabets: HashMap<Field, Option<Language>>,
    pub(super) value_ids: HashMap<Value, ValueId>,
    pub(super) values: Vec<Value>,
    /// Steps that may still be taken.
    pub(super) steps: u64,
    /// Bytes that automata may still take.
    pub(super) room: usize,
    /// Questions that may still be asked.
    questions: u64,
}

/// A distinct test of a field.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) field: Field,
    pub(super) test: Test,
    /// The only texts that it holds for, where they are written out.
    pub(super) written_out: Option<Vec<String>>,
    /// Made when first needed; the inner `None` where it is too large.
    pub(super) language: Option<Option<Language>>,
    /// A text that it holds for, found when first needed.
    pub(super) example: Option<Option<String>>,
}

/// A distinct cell.
#[derive(Debug)]
pub(super) struct KnownCell {
    pub(super) cell: Cell,
    /// Some value of it, found when first needed.
    pub(super) some: Option<Decided>,
    /// Its first value, the same for all cells that hold the same.
    pub(super) first: Option<Decided>,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            tests: Vec::new(),
            ids: HashMap::new(),
            cells: Vec::new(),
            both: HashMap::new(),
            complements: HashMap::new(),
            alphabets: HashMap::new(),
            value_ids: HashMap::new(),
            values: Vec::new(),
            steps: MAX_STEPS,
            room: MAX_ROOM,
            questions: MAX_QUESTIONS,
        }
    }
}

impl Space {
    /// What a clause is true of, without boxes that are empty; `None` where they are too many.
    pub(super) fn boxes(&mut self, clause: &Clause, opaque: Opaque) -> Option<Boxes> {
        self.signed(clause, false, opaque)
    }

    fn signed(&mut self, clause: &Clause, negated: bool, opaque: Opaque) -> Option<Boxes> {
        let mut whole;
        match (clause, negated) {
            (Clause::Not(clause), _) => return self.signed(clause, !negated, opaque),
            (Clause::Cel(_), _) => {
                return Some(match opaque {
                    Opaque::Holds => vec![Box::default()],
                    Opaque::Fails => Vec::new(),
                });
            }
            (Clause::Test(test), _) => return Some(self.test(test, negated)),
            (Clause::All(parts), false) | (Clause::Any(parts), true) => {
                whole = vec![Box::default()];
                for part in parts {
                    let others = self.signed(part, negated, opaque)?;
                    whole = self.products(&whole, &others)?;
                }
            }
            (Clause::Any(parts), false) | (Clause::All(parts), true) => {
                whole = Vec::new();
                for part in parts {
                    whole.extend(self.signed(part, negated, opaque)?);
                    if whole.len() > MAX_BOXES {
                        return None;
                    }
                }
            }
        }
        Some(whole)
    }

    /// What is in both of two unions; `None` where it is too much.
    fn products(&mut self, ones: &Boxes, others: &Boxes) -> Option<Boxes> {
        let mut whole = Vec::new();
        for one in ones {
            for other in others {
                // Most are of one, for which nothing is multiplied.
                if others.len() > 1 {
                    self.ask(1).ok()?;
                }
                if let Some(both) = self.and(one, other) {
                    whole.push(both);
                }
                if whole.len() > MAX_BOXES {
                    return None;
                }
            }
        }
        Some(whole)
    }

    /// What a test, negated or not, is true of: never of a field that is absent, `exists` apart.
    fn test(&mut self, test: &FieldTest, negated: bool) -> Boxes {
        let field = followed(test.field);
        let cell = match &test.test {
            Test::Exists(wanted) if *wanted != negated => Cell::present(field, Vec::new()),
            Test::Exists(_) => Cell { present: false, ..Cell::any(field) },
            _ => Cell::present(field, vec![(self.atom(test.field, &test.test), !negated)]),
        };
        let cell = self.id(cell);
        if self.is_empty(cell) { Vec::new() } else { vec![Box(vec![(field, cell)])] }
    }

    fn atom(&mut self, field: Field, test: &Test) -> Atom {
        let key = (field, format!("{test:?}"));
        if let Some(&atom) = self.numbers.get(&key) {
            return atom;
        }
        let written_out = language::written_out(test);
        let test = test.clone();
        self.tests.push(Known { field, test, written_out, language: None, example: None });
        self.numbers.insert(key, self.tests.len() - 1);
        self.tests.len() - 1
    }

    fn id(&mut self, cell: Cell) -> CellId {
        if let Some(&id) = self.ids.get(&cell) {
            return id;
        }
        let id = self.cells.len();
        self.cells.push(KnownCell { cell: cell.clone(), some: None, first: None });
        self.ids.insert(cell, id);
        id
    }

    /// All that a field may be.
    pub(super) fn any(&mut self, field: Field) -> CellId {
        self.id(Cell::any(field))
    }

    /// What is in both of two cells of a field.
    pub(super) fn both(&mut self, one: CellId, other: CellId) -> CellId {
        if one == other {
            return one;
        }
        let key = (one.min(other), one.max(other));
        if let Some(&both) = self.both.get(&key) {
            return both;
        }
        let both = self.cells[key.0].cell.and(&self.cells[key.1].cell);
        let both = self.id(both);
        self.both.insert(key, both);
        both
    }

    /// What is left of all values without those of a cell, as cells that do not overlap.
    pub(super) fn complement(&mut self, one: CellId) -> Vec<CellId> {
        if let Some(known) = self.complements.get(&one) {
            return known.clone();
        }
        let cells = self.cells[one].cell.complement();
        let rest: Vec<CellId> = cells.into_iter().map(|cell| self.id(cell)).collect();
        self.complements.insert(one, rest.clone());
        rest
    }

    /// Whether a cell has no value; where that can't be decided it is taken to have one.
    fn is_empty(&mut self, cell: CellId) -> bool {
        self.some(cell) == Ok(None)
    }

    /// Whether two cells of a field may have a value in common, as far as their tests show.
    pub(super) fn may_meet(&self, one: CellId, other: CellId) -> bool {
        let (one, other) = (&self.cells[one].cell, &self.cells[other].cell);
        let opposite =
            |&(atom, holds): &(Atom, bool)| one.tests.binary_search(&(atom, !holds)).is_ok();
        let both_present = one.present && other.present && !other.tests.iter().any(opposite);
        (one.absent && other.absent) || both_present
    }

    /// A box of which one field is narrowed, unless nothing is left of it.
    pub(super) fn with(&mut self, one: &Box, field: Field, cell: CellId) -> Option<Box> {
        let mut cells = one.0.clone();
        match cells.iter_mut().find(|(own, _)| *own == field) {
            Some((_, own)) => {
                *own = self.both(*own, cell);
                if self.is_empty(*own) {
                    return None;
                }
            }
            None => {
                if self.is_empty(cell) {
                    return None;
                }
                let place = cells.partition_point(|(own, _)| *own < field);
                cells.insert(place, (field, cell));
            }
        }
        Some(Box(cells))
    }

    /// What is in both of two boxes, unless that is nothing.
    fn and(&mut self, one: &Box, other: &Box) -> Option<Box> {
        let mut both = one.clone();
        for &(field, cell) in &other.0 {
            both = self.with(&both, field, cell)?;
        }
        Some(both)
    }

    /// How many tests there are in a box, and one.
    pub(super) fn size(&self, one: &Box) -> u64 {
        let tests = one.0.iter().map(|&(_, cell)| self.cells[cell].cell.tests.len() as u64);
        1 + tests.sum::<u64>()
    }

    /// Counts a question about so many tests.
    ///
    /// # Errors
    /// Too many were asked.
    pub(super) fn ask(&mut self, tests: u64) -> Result<(), TooLarge> {
        self.questions = self.questions.checked_sub(tests).ok_or(TooLarge)?;
        Ok(())
    }

    /// What is the same for equal unions of one box: its fields, and the first value of each. `None`
    /// for more than one box, whose taking apart is not unique.
    pub(super) fn shape(&mut self, boxes: &Boxes) -> Option<Vec<(Field, ValueId)>> {
        let [one] = boxes.as_slice() else { return None };
        let mut shape = Vec::new();
        for (field, cell) in self.asked(one) {
            shape.push((field, self.first(cell).ok()??));
        }
        Some(shape)
    }

    /// An entry in a box; `None` where one of its values could not be decided.
    pub(super) fn witness(&mut self, one: &Box) -> Option<Witness> {
        let mut witness = Vec::new();
        for (field, cell) in self.asked(one) {
            let value = self.first(cell).ok()??;
            witness.extend(self.shown(field, cell, value));
        }
        Some(witness)
    }

    /// The fields of a box that may not be anything.
    fn asked(&self, one: &Box) -> Vec<(Field, CellId)> {
        let asked = |(field, cell): &&(Field, CellId)| self.cells[*cell].cell != Cell::any(*field);
        one.0.iter().filter(asked).copied().collect()
    }

    /// The one field of a conjunction for which no value will do.
    pub(super) fn blamed(&mut self, clause: &Clause) -> Option<Field> {
        let Clause::All(parts) = clause else { return None };
        let fields = Field::ALL.iter().copied();
        fields.into_iter().find(|&field| {
            let of_field = parts.iter().filter(|part| speaks_only_of(part, field)).cloned();
            let alone = Clause::All(of_field.collect());
            self.boxes(&alone, Opaque::Holds).is_some_and(|boxes| boxes.is_empty())
        })
    }
}

/// The field that another follows from: a region's name is that of its number.
const fn followed(field: Field) -> Field {
    match field {
        Field::Region => Field::ClusterRegion,
        other => other,
    }
}

/// Whether something in a clause can't be said in boxes.
pub(super) fn is_opaque(clause: &Clause) -> bool {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().any(is_opaque),
        Clause::Not(clause) => is_opaque(clause),
        Clause::Test(_) => false,
        Clause::Cel(_) => true,
    }
}

fn speaks_only_of(clause: &Clause, field: Field) -> bool {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => {
            parts.iter().all(|part| speaks_only_of(part, field))
        }
        Clause::Not(clause) => speaks_only_of(clause, field),
        Clause::Test(test) => test.field == field,
        Clause::Cel(_) => false,
    }
}
