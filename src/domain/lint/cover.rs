//! Whether boxes are taken up by others, found by trying: an entry of what is left, and where one of
//! the others takes it, what is left without that one, in turn.
//!
//! Most rules are reached, and the first entry shows it. Others are looked at only once they take an
//! entry, so that what is no part of the answer costs nothing.
//! Deliberately absent: where an entry's values come from (`value`).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

use super::{
    language::TooLarge,
    space::{Box, Boxes, CellId, Space},
    value::ValueId,
};
use crate::domain::field::Field;

/// The most questions that are asked to decide about one rule, each counted as the tests that a value
/// has to be found for.
const MAX_QUESTIONS: u64 = 20_000;

/// The most questions about a rule whose values are not known.
const MAX_UNKNOWN: u64 = 32;

/// The most sets that are tried for one that takes up everything alone.
const MAX_ALONE: usize = 64;

/// The most others, of those that take an entry, among which the widest is chosen.
const MAX_COMPARED: usize = 16;

/// Which of the others, one bit each.
type Bits = Vec<u64>;

/// Sets of entries, each with a number that only grows, that may take up others.
#[derive(Debug)]
pub(super) struct Takers {
    boxes: Vec<(usize, Box)>,
    fields: BTreeMap<Field, OfField>,
    /// By field and value: those that may take it.
    taking: HashMap<(Field, ValueId), Rc<Bits>>,
    /// Questions that may still be asked about this rule.
    questions: u64,
}

/// What the others ask of a field.
#[derive(Debug)]
struct OfField {
    /// Those that ask nothing of it.
    anywhere: Bits,
    /// The others, by what they ask.
    cells: Vec<(CellId, Vec<usize>)>,
}

impl Takers {
    pub(super) fn new<'b>(sets: impl IntoIterator<Item = (usize, &'b Boxes)>) -> Self {
        let sets = sets.into_iter();
        let boxes: Vec<(usize, Box)> = sets
            .flat_map(|(number, boxes)| boxes.iter().map(move |one| (number, one.clone())))
            .collect();
        let fields: BTreeSet<Field> =
            boxes.iter().flat_map(|(_, one)| one.0.iter().map(|&(field, _)| field)).collect();
        let of_field = |field: Field| {
            let mut anywhere = vec![0; boxes.len().div_ceil(64)];
            let mut cells: BTreeMap<CellId, Vec<usize>> = BTreeMap::new();
            for (index, (_, one)) in boxes.iter().enumerate() {
                match one.cell(field) {
                    Some(cell) => cells.entry(cell).or_default().push(index),
                    None => set(&mut anywhere, index),
                }
            }
            (field, OfField { anywhere, cells: cells.into_iter().collect() })
        };
        let fields = fields.into_iter().map(of_field).collect();
        Self { boxes, fields, taking: HashMap::new(), questions: MAX_QUESTIONS }
    }

    /// The sets, of those numbered below `before`, that together take up all of the boxes, where
    /// they do: one alone, if one does, and never one that is not needed.
    ///
    /// # Errors
    /// Too much had to be asked.
    pub(super) fn covering(
        &mut self,
        space: &mut Space,
        boxes: &Boxes,
        before: usize,
    ) -> Result<Option<Vec<usize>>, TooLarge> {
        self.questions = MAX_QUESTIONS;
        if let Some(alone) = self.alone(space, boxes, before) {
            return Ok(Some(vec![alone]));
        }
        let earlier = self.of(|number| number < before);
        let Some(mut needed) = self.search(space, boxes, &earlier)? else { return Ok(None) };
        for number in needed.clone().into_iter().rev() {
            let others: BTreeSet<usize> =
                needed.iter().copied().filter(|&it| it != number).collect();
            let allowed = self.of(|it| others.contains(&it));
            // Where that can't be decided it stays among them.
            if let Ok(Some(_)) = self.search(space, boxes, &allowed) {
                needed = others;
            }
        }
        Ok(Some(needed.into_iter().collect()))
    }

    /// The first set that takes up all of the boxes alone.
    fn alone(&mut self, space: &mut Space, boxes: &Boxes, before: usize) -> Option<usize> {
        let earlier = self.of(|number| number < before);
        let mut common: Option<BTreeSet<usize>> = None;
        for one in boxes {
            let (takers, _) = self.taking_first(space, one, &earlier);
            let own: BTreeSet<usize> = ones(&takers).map(|index| self.boxes[index].0).collect();
            let both = common.map_or_else(|| own.clone(), |common| &common & &own);
            if both.is_empty() {
                return None;
            }
            common = Some(both);
        }
        let candidates = common.into_iter().flatten().take(MAX_ALONE);
        candidates.into_iter().find(|&number| {
            let allowed = self.of(|it| it == number);
            matches!(self.search(space, boxes, &allowed), Ok(Some(_)))
        })
    }

    /// The boxes of the sets with such numbers.
    fn of(&self, wanted: impl Fn(usize) -> bool) -> Bits {
        let mut bits = vec![0; self.boxes.len().div_ceil(64)];
        for (index, (number, _)) in self.boxes.iter().enumerate() {
            if wanted(*number) {
                set(&mut bits, index);
            }
        }
        bits
    }

    /// The sets that were needed to take up all of the boxes; `None` where something is left.
    fn search(
        &mut self,
        space: &mut Space,
        boxes: &Boxes,
        allowed: &Bits,
    ) -> Result<Option<BTreeSet<usize>>, TooLarge> {
        let mut left: Vec<(Box, bool)> =
            boxes.iter().rev().map(|one| (one.clone(), true)).collect();
        let (mut needed, mut undecided, mut unknown) = (BTreeSet::new(), false, 0);
        while let Some((one, whole)) = left.pop() {
            let size = space.size(&one);
            self.questions = self.questions.checked_sub(size).ok_or(TooLarge)?;
            space.ask(size)?;
            let (takers, known) = self.taking_first(space, &one, allowed);
            unknown += u64::from(!known);
            if unknown > MAX_UNKNOWN {
                undecided = true;
                continue;
            }
            let Some(other) = self.widest(space, &one, &takers) else {
                if known || whole {
                    return Ok(None);
                }
                // Something may be left, or nothing.
                undecided = true;
                continue;
            };
            needed.insert(self.boxes[other].0);
            let mut rest = without(space, &one, &self.boxes[other].1);
            rest.reverse();
            left.extend(rest.into_iter().map(|piece| (piece, false)));
        }
        if undecided { Err(TooLarge) } else { Ok(Some(needed)) }
    }

    /// Which of the others take an entry of a box, and whether all of its values are known: where
    /// one is not, those that may take it.
    fn taking_first(&mut self, space: &mut Space, one: &Box, allowed: &Bits) -> (Bits, bool) {
        let (mut bits, mut known) = (allowed.clone(), true);
        for (&field, of_field) in &self.fields {
            let cell = one.cell(field).unwrap_or_else(|| space.any(field));
            let taking = match space.some(cell) {
                Ok(Some(value)) => Rc::clone(
                    self.taking
                        .entry((field, value))
                        .or_insert_with(|| Rc::new(of_field.taking(|own| space.has(own, value)))),
                ),
                _ => {
                    known = false;
                    let may = |own| space.may_meet(cell, own);
                    Rc::new(of_field.taking(may))
                }
            };
            bits.iter_mut().zip(&*taking).for_each(|(bits, taking)| *bits &= taking);
        }
        (bits, known)
    }

    /// The one, of those that take an entry of a box, that asks the least beyond the box.
    fn widest(&self, space: &mut Space, one: &Box, takers: &Bits) -> Option<usize> {
        let narrowed = |space: &mut Space, index: usize| {
            let asked = self.boxes[index].1.0.iter();
            asked
                .filter(|&&(field, cell)| {
                    one.cell(field).is_none_or(|own| space.both(own, cell) != own)
                })
                .count()
        };
        ones(takers).take(MAX_COMPARED).min_by_key(|&index| narrowed(space, index))
    }
}

impl OfField {
    fn taking(&self, mut takes: impl FnMut(CellId) -> bool) -> Bits {
        let mut bits = self.anywhere.clone();
        for (cell, indexes) in &self.cells {
            if takes(*cell) {
                indexes.iter().for_each(|&index| set(&mut bits, index));
            }
        }
        bits
    }
}

/// What is left of a box without another.
fn without(space: &mut Space, one: &Box, other: &Box) -> Boxes {
    let mut rest = Vec::new();
    let mut within = one.clone();
    for &(field, cell) in &other.0 {
        for outside in space.complement(cell) {
            rest.extend(space.with(&within, field, outside));
        }
        match space.with(&within, field, cell) {
            Some(both) => within = both,
            None => break,
        }
    }
    rest
}

fn set(bits: &mut Bits, index: usize) {
    bits[index / 64] |= 1 << (index % 64);
}

fn ones(bits: &Bits) -> impl Iterator<Item = usize> {
    let words = bits.iter().enumerate().filter(|(_, word)| **word != 0);
    words.flat_map(|(at, &word)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit)
    })
}
