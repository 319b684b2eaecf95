//! Clauses as boxes: for each field what its value may be, a union of which is what a clause is true
//! of; and whether boxes are empty, or taken up by others.
//!
//! Deliberately absent: texts (`language`).

use std::collections::{BTreeMap, HashMap};

use super::{
    Witness,
    language::{self, Language, TooLarge},
};
use crate::domain::{
    clause::{Clause, FieldTest, Test},
    field::{Field, FieldKind},
};

/// The most boxes that a clause, or what is left of one, is taken apart into.
const MAX_BOXES: usize = 128;

/// The most questions that are asked to decide about one rule.
const MAX_QUESTIONS: usize = 20_000;

/// The most questions that are asked for a whole set of rules: some seconds. A thousand rules of the
/// usual kinds ask a tenth of them.
const MAX_QUESTIONS_OF_ALL: u64 = 600_000;

/// The most steps that automata are walked for a whole set of rules: some seconds.
const MAX_STEPS: u64 = 50_000_000;

/// What a part that can't be decided is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opaque {
    /// True.
    Holds,
    /// False.
    Fails,
}

/// A value, where there is one, or that it could not be decided.
type Decided = Result<Option<String>, TooLarge>;

/// A distinct test of a field, by number.
type Atom = usize;

/// What the value of one field may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cell {
    /// It may be absent.
    absent: bool,
    /// It may be there, and then these tests hold of it, or do not.
    present: bool,
    tests: Vec<(Atom, bool)>,
}

impl Cell {
    const ANY: Self = Self { absent: true, present: true, tests: Vec::new() };

    fn of(atom: Atom, holds: bool) -> Self {
        Self { absent: false, present: true, tests: vec![(atom, holds)] }
    }

    fn and(&self, other: &Self) -> Self {
        let mut tests = [&*self.tests, &*other.tests].concat();
        tests.sort_unstable();
        tests.dedup();
        Self { absent: self.absent && other.absent, present: self.present && other.present, tests }
    }

    /// What is left of all values without these, as cells that do not overlap.
    fn complement(&self) -> Vec<Self> {
        let mut rest = Vec::new();
        if !self.absent {
            rest.push(Self { absent: true, present: false, tests: Vec::new() });
        }
        if !self.present {
            rest.push(Self { absent: false, present: true, tests: Vec::new() });
            return rest;
        }
        for (index, &(atom, holds)) in self.tests.iter().enumerate() {
            let mut tests = self.tests[..index].to_vec();
            tests.push((atom, !holds));
            tests.sort_unstable();
            rest.push(Self { absent: false, present: true, tests });
        }
        rest
    }
}

/// A cell for each field that anything is asked of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Box(BTreeMap<Field, Cell>);

/// A union of boxes.
pub(super) type Boxes = Vec<Box>;

impl Box {
    fn and(&self, other: &Self) -> Self {
        let mut cells = self.0.clone();
        for (&field, cell) in &other.0 {
            let both = cells.get(&field).map_or_else(|| cell.clone(), |own| own.and(cell));
            cells.insert(field, both);
        }
        Self(cells)
    }

    fn with(&self, field: Field, cell: &Cell) -> Self {
        self.and(&Self(BTreeMap::from([(field, cell.clone())])))
    }
}

/// The tests that were met, and what was found out about them.
#[derive(Debug)]
pub(super) struct Space {
    numbers: HashMap<(Field, String), Atom>,
    tests: Vec<Known>,
    alphabets: HashMap<Field, Option<Language>>,
    /// Steps that may still be taken.
    budget: u64,
    /// Questions that may still be asked.
    questions: u64,
    /// By field and tests: a value, where there is one.
    values: HashMap<(Field, Vec<(Atom, bool)>), Decided>,
}

/// A distinct test of a field.
#[derive(Debug)]
struct Known {
    test: Test,
    /// The only texts that it holds for, where they are written out.
    written_out: Option<Vec<String>>,
    /// Made when first needed; the inner `None` where it is too large.
    language: Option<Option<Language>>,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            tests: Vec::new(),
            alphabets: HashMap::new(),
            budget: MAX_STEPS,
            questions: MAX_QUESTIONS_OF_ALL,
            values: HashMap::new(),
        }
    }
}

impl Space {
    /// What a clause is true of, without boxes that are empty; `None` where they are too many.
    pub(super) fn boxes(&mut self, clause: &Clause, opaque: Opaque) -> Option<Boxes> {
        self.signed(clause, false, opaque)
    }

    /// As [`Space::boxes`], where nothing of the clause is opaque.
    pub(super) fn exact(&mut self, clause: &Clause) -> Option<Boxes> {
        let (most, least) =
            (self.boxes(clause, Opaque::Holds)?, self.boxes(clause, Opaque::Fails)?);
        (most == least && !most.is_empty()).then_some(most)
    }

    fn signed(&mut self, clause: &Clause, negated: bool, opaque: Opaque) -> Option<Boxes> {
        match (clause, negated) {
            (Clause::Not(clause), _) => self.signed(clause, !negated, opaque),
            (Clause::Cel(_), _) => Some(undecided(opaque)),
            (Clause::Test(test), _) => Some(self.test(test, negated, opaque)),
            (Clause::All(parts), false) | (Clause::Any(parts), true) => {
                let mut whole = vec![Box::default()];
                for part in parts {
                    let others = self.signed(part, negated, opaque)?;
                    let pairs = whole.iter().flat_map(|one| others.iter().map(|it| one.and(it)));
                    let both: Boxes = pairs.take(MAX_BOXES * MAX_BOXES).collect();
                    whole = both.into_iter().filter(|it| !self.is_empty(it)).collect();
                    if whole.len() > MAX_BOXES {
                        return None;
                    }
                }
                Some(whole)
            }
            (Clause::Any(parts), false) | (Clause::All(parts), true) => {
                let mut whole = Vec::new();
                for part in parts {
                    whole.extend(self.signed(part, negated, opaque)?);
                    if whole.len() > MAX_BOXES {
                        return None;
                    }
                }
                Some(whole)
            }
        }
    }

    /// What a test, negated or not, is true of: never of a field that is absent, `exists` apart.
    fn test(&mut self, test: &FieldTest, negated: bool, opaque: Opaque) -> Boxes {
        let cell = match &test.test {
            Test::Exists(wanted) => {
                let present = *wanted != negated;
                Cell { absent: !present, present, tests: Vec::new() }
            }
            Test::Since(_) => return undecided(opaque),
            _ => Cell::of(self.atom(test.field, &test.test), !negated),
        };
        let one = Box(BTreeMap::from([(test.field, cell)]));
        if self.is_empty(&one) { Vec::new() } else { vec![one] }
    }

    fn atom(&mut self, field: Field, test: &Test) -> Atom {
        let key = (field, format!("{test:?}"));
        if let Some(&atom) = self.numbers.get(&key) {
            return atom;
        }
        let written_out = language::written_out(test);
        self.tests.push(Known { test: test.clone(), written_out, language: None });
        self.numbers.insert(key, self.tests.len() - 1);
        self.tests.len() - 1
    }

    /// A value that a field may have, where there is one; where it can't be decided it is taken to
    /// have one.
    fn value(&mut self, field: Field, tests: &[(Atom, bool)]) -> Decided {
        let key = (field, tests.to_vec());
        if let Some(value) = self.values.get(&key) {
            return value.clone();
        }
        let value = match field.kind() {
            FieldKind::Number => self.number(tests),
            FieldKind::Time => self.instant(tests),
            _ => self.text(field, tests),
        };
        self.values.insert(key, value.clone());
        value
    }

    /// A text of which the tests hold. Where one of them allows but a few, those are tried; else the
    /// automata are walked.
    fn text(&mut self, field: Field, tests: &[(Atom, bool)]) -> Decided {
        if !tests.iter().all(|&(atom, _)| is_of_texts(&self.tests[atom].test)) {
            return Err(TooLarge);
        }
        let few = tests.iter().filter(|(_, holds)| *holds);
        let few = few
            .filter_map(|&(atom, _)| self.tests[atom].written_out.as_ref())
            .min_by_key(|it| it.len());
        if let Some(few) = few {
            let fits = |text: &&String| {
                let holds = |atom: Atom| self.tests[atom].test.holds_for_text(text);
                language::is_possible(field, text)
                    && tests.iter().all(|&(atom, wanted)| holds(atom) == wanted)
            };
            return Ok(few.iter().find(fits).cloned());
        }
        for &(atom, _) in tests {
            let known = &mut self.tests[atom];
            if known.language.is_none() {
                known.language = Some(Language::of(field, &known.test));
            }
        }
        let alphabet = self.alphabets.entry(field).or_insert_with(|| Language::alphabet(field));
        let mut all = vec![(alphabet.as_ref().ok_or(TooLarge)?, true)];
        for &(atom, holds) in tests {
            // A test that is none of texts, or whose automaton is too large, is beyond this.
            let language = self.tests[atom].language.as_ref().and_then(Option::as_ref);
            all.push((language.ok_or(TooLarge)?, holds));
        }
        language::witness(field, &all, &mut self.budget)
    }

    /// Numbers change only at the numbers that tests name, so those and their neighbours are all
    /// that need be tried.
    fn number(&self, tests: &[(Atom, bool)]) -> Decided {
        let mut tried = vec![0, 1];
        for &(atom, _) in tests {
            match &self.tests[atom].test {
                Test::IsNumber(numbers) => tried.extend(numbers),
                Test::Min(number) | Test::Max(number) => tried.push(*number),
                // What is none of numbers is beyond this.
                _ => return Err(TooLarge),
            }
        }
        let neighbours = tried
            .iter()
            .flat_map(|&it| [Some(it), it.checked_add(1), it.checked_sub(1)].into_iter().flatten());
        let neighbours: Vec<i64> = neighbours.collect();
        let holds = |test: &Test, number: i64| match test {
            Test::IsNumber(numbers) => numbers.contains(&number),
            Test::Min(min) => number >= *min,
            Test::Max(max) => number <= *max,
            _ => false,
        };
        let fits = |number: &&i64| {
            tests.iter().all(|&(atom, wanted)| holds(&self.tests[atom].test, **number) == wanted)
        };
        Ok(neighbours.iter().find(fits).map(i64::to_string))
    }

    /// As [`Space::number`], of instants.
    fn instant(&self, tests: &[(Atom, bool)]) -> Decided {
        let second = jiff::SignedDuration::from_secs(1);
        let mut tried = Vec::new();
        for &(atom, _) in tests {
            let (Test::NotBefore(time) | Test::NotAfter(time)) = self.tests[atom].test else {
                return Err(TooLarge);
            };
            tried.push(time);
            tried.extend(time.checked_add(second).ok());
            tried.extend(time.checked_sub(second).ok());
        }
        let fits = |time: &&jiff::Timestamp| {
            tests.iter().all(|&(atom, wanted)| {
                wanted
                    == match self.tests[atom].test {
                        Test::NotBefore(start) => **time >= start,
                        Test::NotAfter(end) => **time <= end,
                        _ => false,
                    }
            })
        };
        Ok(tried.iter().find(fits).map(ToString::to_string))
    }

    fn is_empty_cell(&mut self, field: Field, cell: &Cell) -> bool {
        if cell.absent && !is_always_there(field) {
            return false;
        }
        !cell.present || (!cell.tests.is_empty() && self.value(field, &cell.tests) == Ok(None))
    }

    fn is_empty(&mut self, one: &Box) -> bool {
        one.0.iter().any(|(&field, cell)| self.is_empty_cell(field, cell))
    }

    /// What is left of a box without another.
    fn without(&mut self, one: &Box, other: &Box) -> Boxes {
        let mut rest = Vec::new();
        let mut within = one.clone();
        for (&field, cell) in &other.0 {
            for outside in cell.complement() {
                let piece = within.with(field, &outside);
                if !self.is_empty(&piece) {
                    rest.push(piece);
                }
            }
            within = within.with(field, cell);
        }
        rest
    }

    /// The earlier sets that together take up all of the boxes, where they do: one alone, if one
    /// does.
    pub(super) fn covering(
        &mut self,
        boxes: &Boxes,
        earlier: &[(usize, Boxes)],
    ) -> Result<Option<Vec<usize>>, TooLarge> {
        let mut touching = Vec::new();
        for (index, others) in earlier {
            let meets = others.iter().any(|other| {
                boxes.iter().any(|one| {
                    let both = one.and(other);
                    !self.is_empty(&both)
                })
            });
            if meets {
                touching.push((*index, others));
            }
        }
        for (index, others) in &touching {
            if self.left(boxes, std::slice::from_ref(others))?.is_empty() {
                return Ok(Some(vec![*index]));
            }
        }
        if touching.len() < 2 {
            return Ok(None);
        }
        let all: Vec<&Boxes> = touching.iter().map(|(_, others)| *others).collect();
        let covered = self.left(boxes, &all)?.is_empty();
        Ok(covered.then(|| touching.iter().map(|(index, _)| *index).collect()))
    }

    /// What is left of boxes without others.
    fn left(&mut self, boxes: &Boxes, others: &[&Boxes]) -> Result<Boxes, TooLarge> {
        let mut left = boxes.clone();
        let mut questions = 0;
        for other in others.iter().flat_map(|others| others.iter()) {
            questions += left.len();
            self.questions = self.questions.checked_sub(left.len() as u64).ok_or(TooLarge)?;
            left = left.iter().flat_map(|one| self.without(one, other)).collect();
            if left.len() > MAX_BOXES || questions > MAX_QUESTIONS {
                return Err(TooLarge);
            }
            if left.is_empty() {
                break;
            }
        }
        Ok(left)
    }

    /// Whether two unions hold the same.
    pub(super) fn equal(&mut self, one: &Boxes, other: &Boxes) -> bool {
        let within = |it: Result<Boxes, TooLarge>| it.is_ok_and(|left| left.is_empty());
        within(self.left(one, &[other])) && within(self.left(other, &[one]))
    }

    /// What is the same for equal unions of one box: its fields, and the first value of each. `None`
    /// for more than one box, whose taking apart is not unique.
    pub(super) fn shape(&mut self, boxes: &Boxes) -> Option<Witness> {
        let [one] = boxes.as_slice() else { return None };
        self.witness(one)
    }

    /// An entry in a box; `None` where one of its values could not be decided.
    pub(super) fn witness(&mut self, one: &Box) -> Option<Witness> {
        let cells = one.0.iter().filter(|(_, cell)| **cell != Cell::ANY);
        let cells: Vec<(Field, Cell)> = cells.map(|(&field, cell)| (field, cell.clone())).collect();
        let mut witness = Vec::new();
        for (field, cell) in cells {
            let value = if cell.present { self.value(field, &cell.tests).ok()? } else { None };
            witness.push((field, value));
        }
        Some(witness)
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

/// What can't be decided, taken for true or for false.
fn undecided(opaque: Opaque) -> Boxes {
    match opaque {
        Opaque::Holds => vec![Box::default()],
        Opaque::Fails => Vec::new(),
    }
}

/// Whether a test is one of texts.
const fn is_of_texts(test: &Test) -> bool {
    matches!(test, Test::Is(_) | Test::Glob(_) | Test::Regex(_) | Test::Contains(_))
}

/// Fields that no entry lacks.
const fn is_always_there(field: Field) -> bool {
    matches!(field, Field::Repo | Field::Source | Field::Time)
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
