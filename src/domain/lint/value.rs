//! The values of a field of which tests hold: whether there is one, and which.
//!
//! Deliberately absent: how automata are made and walked (`language`).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    Witness,
    language::{self, Language, TooLarge},
    space::{Atom, CellId, Space},
};
use crate::domain::{
    clause::Test,
    entry::region_name,
    field::{Field, FieldKind},
    wording,
};

/// The most texts that are put together of others before automata are walked.
const MAX_GUESSED: usize = 3;

/// The most numbers between two bounds that are tried one by one.
const MAX_TRIED: i64 = 1_000;

/// The numbers among which all regions are that have a name.
const REGIONS: std::ops::RangeInclusive<i64> = 0..=100;

/// A value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// The entry lacks it.
    Absent,
    Text(String),
    Number(i64),
    /// When it was, and how long before the decision: neither follows from the other, since it is
    /// not known when that will be.
    Time(Timestamp, Duration),
}

/// A distinct value, by number.
pub(super) type ValueId = usize;

/// A value, where there is one, or that it could not be decided.
pub(super) type Decided = Result<Option<ValueId>, TooLarge>;

type Found = Result<Option<Value>, TooLarge>;

impl Space {
    /// Some value of a cell, absence among them.
    pub(super) fn some(&mut self, id: CellId) -> Decided {
        if let Some(known) = self.cells[id].some {
            return known;
        }
        let cell = &self.cells[id].cell;
        let found = if cell.absent && !is_always_there(cell.field) {
            Ok(Some(Value::Absent))
        } else {
            self.present(id, false)
        };
        let found = found.map(|value| value.map(|value| self.value_id(value)));
        self.cells[id].some = Some(found);
        found
    }

    /// The first value of a cell, the same for all cells that hold the same; absence comes last.
    pub(super) fn first(&mut self, id: CellId) -> Decided {
        if let Some(known) = self.cells[id].first {
            return known;
        }
        let found = match self.present(id, true) {
            Ok(None) if self.cells[id].cell.absent => Ok(Some(Value::Absent)),
            other => other,
        };
        let found = found.map(|value| value.map(|value| self.value_id(value)));
        self.cells[id].first = Some(found);
        found
    }

    fn value_id(&mut self, value: Value) -> ValueId {
        if let Some(&id) = self.value_ids.get(&value) {
            return id;
        }
        self.values.push(value.clone());
        self.value_ids.insert(value, self.values.len() - 1);
        self.values.len() - 1
    }

    /// A value of a cell that is there: some, or the first.
    fn present(&mut self, id: CellId, first: bool) -> Found {
        let cell = self.cells[id].cell.clone();
        if !cell.present {
            return Ok(None);
        }
        match cell.field.kind() {
            FieldKind::Number => self.number(cell.field, &cell.tests),
            FieldKind::Time => self.instant(&cell.tests),
            _ => self.text(cell.field, &cell.tests, first),
        }
    }

    /// Whether a cell has a value.
    pub(super) fn has(&mut self, id: CellId, value: ValueId) -> bool {
        let cell = &self.cells[id].cell;
        if self.values[value] == Value::Absent {
            return cell.absent;
        }
        if !cell.present {
            return false;
        }
        let tests = cell.tests.clone();
        tests.iter().all(|&(atom, wanted)| {
            self.make_language(atom);
            self.holds(atom, &self.values[value]) == wanted
        })
    }

    /// Whether a test holds of a value that is there.
    fn holds(&self, atom: Atom, value: &Value) -> bool {
        let known = &self.tests[atom];
        match (&known.test, value) {
            (_, Value::Text(text)) => match (&known.written_out, &known.language) {
                (Some(texts), _) => texts.contains(text),
                (None, Some(Some(language))) => language.has(text),
                _ => known.test.holds_for_text(text),
            },
            // A region that has a name is that, and none is a number.
            (test, &Value::Number(number))
                if known.field == Field::Region && region_name(number).is_some() =>
            {
                region_name(number).is_some_and(|name| test.holds_for_text(name))
            }
            (Test::IsNumber(numbers), Value::Number(number)) => numbers.contains(number),
            (Test::Min(min), Value::Number(number)) => number >= min,
            (Test::Max(max), Value::Number(number)) => number <= max,
            (test, Value::Number(number)) => test.holds_for_text(&number.to_string()),
            (Test::NotBefore(start), Value::Time(time, _)) => time >= start,
            (Test::NotAfter(end), Value::Time(time, _)) => time <= end,
            (Test::Since(longest), Value::Time(_, age)) => age <= longest,
            _ => false,
        }
    }

    fn all_hold(&self, tests: &[(Atom, bool)], value: &Value) -> bool {
        tests.iter().all(|&(atom, wanted)| self.holds(atom, value) == wanted)
    }

    /// Makes the automaton of a test of texts that are not written out.
    fn make_language(&mut self, atom: Atom) {
        let known = &mut self.tests[atom];
        let wanted = matches!(known.test, Test::Glob(_) | Test::Regex(_));
        if known.language.is_none() && known.written_out.is_none() && wanted {
            known.language = Some(Language::of(known.field, &known.test, &mut self.room));
        }
    }

    /// A text of which the tests hold. Where one of them allows but a few, those are tried; else,
    /// unless the first is asked for, some that are likely; else the automata are walked.
    fn text(&mut self, field: Field, tests: &[(Atom, bool)], first: bool) -> Found {
        if !tests.iter().all(|&(atom, _)| is_of_texts(&self.tests[atom].test)) {
            return Err(TooLarge);
        }
        tests.iter().for_each(|&(atom, _)| self.make_language(atom));
        let few = tests.iter().filter(|(_, holds)| *holds);
        let few = few
            .filter_map(|&(atom, _)| self.tests[atom].written_out.as_ref())
            .min_by_key(|it| it.len());
        if let Some(few) = few {
            let mut few = few.iter().filter(|text| language::is_possible(field, text));
            let fits = |text: &String| self.all_hold(tests, &Value::Text(text.clone()));
            return Ok(few.find(|text| fits(text)).cloned().map(Value::Text));
        }
        if !first && let Some(guessed) = self.guessed(field, tests) {
            return Ok(Some(guessed));
        }
        Ok(self.walked(field, tests)?.map(Value::Text))
    }

    /// A text put together of those that tests hold for alone, if one happens to be right: it is
    /// for those that look for a part.
    fn guessed(&mut self, field: Field, tests: &[(Atom, bool)]) -> Option<Value> {
        let mut parts = Vec::new();
        for &(atom, _) in tests.iter().filter(|(_, holds)| *holds).take(MAX_GUESSED) {
            if self.tests[atom].example.is_none() {
                let example = self.walked(field, &[(atom, true)]).ok().flatten();
                self.tests[atom].example = Some(example);
            }
            parts.extend(self.tests[atom].example.clone().flatten());
        }
        let pairs = parts.iter().flat_map(|one| parts.iter().map(move |other| (one, other)));
        let joined =
            pairs.filter(|(one, other)| one != other).map(|(one, it)| format!("{one}{it}"));
        let mut guessed = parts.iter().cloned().chain(joined);
        guessed.find_map(|text| {
            let possible = language::is_possible(field, &text);
            let value = Value::Text(text);
            (possible && self.all_hold(tests, &value)).then_some(value)
        })
    }

    /// The shortest text of which the tests hold.
    fn walked(&mut self, field: Field, tests: &[(Atom, bool)]) -> Result<Option<String>, TooLarge> {
        for &(atom, _) in tests {
            let known = &mut self.tests[atom];
            if known.language.is_none() {
                known.language = Some(Language::of(known.field, &known.test, &mut self.room));
            }
        }
        let alphabet = self.alphabets.entry(field).or_insert_with(|| Language::alphabet(field));
        let mut all = vec![(alphabet.as_ref().ok_or(TooLarge)?, true)];
        for &(atom, holds) in tests {
            // A test whose automaton is too large is beyond this.
            let language = self.tests[atom].language.as_ref().and_then(Option::as_ref);
            all.push((language.ok_or(TooLarge)?, holds));
        }
        language::witness(field, &all, &mut self.steps)
    }

    /// Numbers change only at the numbers that tests name and at those with a name, so those and
    /// their neighbours are all that need be tried, unless others are asked for by their digits.
    fn number(&mut self, field: Field, tests: &[(Atom, bool)]) -> Found {
        let named = REGIONS.filter(|&it| region_name(it).is_some());
        let mut tried: Vec<i64> =
            if field == Field::ClusterRegion { named.collect() } else { Vec::new() };
        tried.extend([0, 1]);
        let mut by_digits = false;
        for &(atom, _) in tests {
            let known = &self.tests[atom];
            match &known.test {
                Test::IsNumber(numbers) => tried.extend(numbers),
                Test::Min(number) | Test::Max(number) => tried.push(*number),
                test if known.field == Field::Region && is_of_texts(test) => by_digits = true,
                // What is none of numbers is beyond this.
                _ => return Err(TooLarge),
            }
        }
        let neighbours = tried
            .iter()
            .flat_map(|&it| [Some(it), it.checked_add(1), it.checked_sub(1)].into_iter().flatten());
        let mut neighbours: Vec<i64> = neighbours.collect();
        let nameless = |it: i64| field == Field::ClusterRegion && region_name(it).is_none();
        neighbours.sort_by_key(|&it| (nameless(it), it.unsigned_abs(), it < 0));
        let mut values = neighbours.into_iter().map(Value::Number);
        match values.find(|value| self.all_hold(tests, value)) {
            None if by_digits => self.nameless(tests),
            found => Ok(found),
        }
    }

    /// As [`Space::number`], of regions without a name, for which their digits stand.
    fn nameless(&mut self, tests: &[(Atom, bool)]) -> Found {
        let (mut least, mut most, mut bounded) = (i64::MIN, i64::MAX, false);
        let mut of_digits = Vec::new();
        for &(atom, holds) in tests {
            match (&self.tests[atom].test, holds) {
                // Each of its numbers was tried.
                (Test::IsNumber(_), true) => return Ok(None),
                (Test::Min(min), true) => least = least.max(*min),
                (Test::Min(min), false) => most = most.min(min.saturating_sub(1)),
                (Test::Max(max), true) => most = most.min(*max),
                (Test::Max(max), false) => least = least.max(max.saturating_add(1)),
                (Test::IsNumber(_), false) => {}
                _ => {
                    of_digits.push((atom, holds));
                    continue;
                }
            }
            bounded = true;
        }
        if bounded && most.checked_sub(least).is_some_and(|wide| wide <= MAX_TRIED) {
            let mut values = (least..=most).map(Value::Number);
            return Ok(values.find(|value| self.all_hold(tests, value)));
        }
        let Some(digits) = self.walked(Field::ClusterRegion, &of_digits)? else { return Ok(None) };
        let value = digits.parse().map(Value::Number).map_err(|_| TooLarge)?;
        if self.all_hold(tests, &value) { Ok(Some(value)) } else { Err(TooLarge) }
    }

    /// As [`Space::number`], of instants, and of how long ago they were.
    fn instant(&self, tests: &[(Atom, bool)]) -> Found {
        let second = SignedDuration::from_secs(1);
        let mut ages = vec![Duration::ZERO];
        let mut times = Vec::new();
        for &(atom, _) in tests {
            match self.tests[atom].test {
                Test::NotBefore(time) | Test::NotAfter(time) => {
                    times.push(time);
                    times.extend(time.checked_add(second).ok());
                    times.extend(time.checked_sub(second).ok());
                }
                Test::Since(age) => {
                    ages.push(age);
                    ages.extend(age.checked_add(Duration::from_secs(1)));
                }
                _ => return Err(TooLarge),
            }
        }
        times.push(Timestamp::UNIX_EPOCH);
        let mut values = times.iter().flat_map(|&time| ages.iter().map(move |&age| (time, age)));
        let found = values.find(|&(time, age)| self.all_hold(tests, &Value::Time(time, age)));
        Ok(found.map(|(time, age)| Value::Time(time, age)))
    }

    /// A value of a cell as a witness shows it, under the fields that were asked for.
    pub(super) fn shown(&self, field: Field, cell: CellId, value: ValueId) -> Witness {
        let tests = &self.cells[cell].cell.tests;
        let asks =
            |what: fn(&Test) -> bool| tests.iter().any(|&(atom, _)| what(&self.tests[atom].test));
        match &self.values[value] {
            Value::Absent => vec![(field, None)],
            Value::Text(text) => vec![(field, Some(text.clone()))],
            &Value::Number(number) => {
                let of =
                    |asked: Field| tests.iter().any(|&(atom, _)| self.tests[atom].field == asked);
                let name = || region_name(number).map_or_else(|| number.to_string(), str::to_owned);
                let mut shown = Vec::new();
                if of(Field::Region) {
                    shown.push((Field::Region, Some(name())));
                }
                if shown.is_empty() || of(field) {
                    shown.push((field, Some(number.to_string())));
                }
                shown
            }
            &Value::Time(time, age) => {
                let mut words = Vec::new();
                if asks(|test| matches!(test, Test::NotBefore(_) | Test::NotAfter(_))) {
                    words.push(time.to_string());
                }
                if asks(|test| matches!(test, Test::Since(_))) {
                    words.push(match age {
                        Duration::ZERO => "now".to_owned(),
                        age => format!("{} ago", wording::duration(age)),
                    });
                }
                vec![(field, Some(words.join(", ")))]
            }
        }
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
