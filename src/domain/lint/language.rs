//! The texts that a test holds for, as an automaton, and texts found by walking several at once.
//!
//! Deliberately absent: numbers and instants (`space`).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use regex_automata::{
    Anchored,
    dfa::{
        Automaton,
        dense::{self, DFA},
    },
    nfa::thompson::{self, WhichCaptures},
    util::{primitives::StateID, start},
};
use regex_syntax::hir::{Hir, Look};

use crate::domain::{clause::Test, expression::Expression, field::Field};

/// The largest automaton, in bytes, and what making it may take.
const MAX_BYTES: usize = 2 << 20;

/// The most states that are walked through for one question, and the most steps between them.
const MAX_STATES: usize = 20_000;
const MAX_STEPS: u64 = 2_000_000;

/// The longest tag that the registry takes.
const MAX_TAG: usize = 128;

/// What was asked grew too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

/// The texts that a test holds for. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Language(Arc<DFA<Vec<u32>>>);

impl Language {
    /// Of a test of a field; `None` where it is none of texts, or larger than `room`, from which it
    /// is taken: from there too where it is too large, since finding that out takes as long.
    pub(super) fn of(field: Field, test: &Test, room: &mut usize) -> Option<Self> {
        let of = |expression: &Arc<Expression>| {
            if is_ascii(field) { expression.ascii() } else { expression.whole() }
        };
        let hir = match test {
            Test::Is(texts) => any(texts.iter().map(|text| anchored(literal(text)))),
            Test::Contains(texts) => any(texts
                .iter()
                .map(|text| anchored(Hir::concat(vec![anything(), literal(text), anything()])))),
            Test::Glob(globs) => any(globs.iter().map(|glob| of(glob.expression()))),
            Test::Regex(patterns) => any(patterns.iter().map(|pattern| of(pattern.expression()))),
            _ => return None,
        };
        let most = MAX_BYTES.min(*room);
        let made = Self::compiled(&hir, most);
        let took = made.as_ref().map_or(most, |made| made.0.memory_usage());
        *room = room.saturating_sub(took);
        made
    }

    /// What a field's value may be at all.
    pub(super) fn alphabet(field: Field) -> Option<Self> {
        let text = match field {
            Field::Tag => "[A-Za-z0-9_][A-Za-z0-9_.-]*",
            Field::Repo => "[!-~]+",
            Field::ClusterRegion => "0|-?[1-9][0-9]*",
            _ => "(?s:.*)",
        };
        let hir = regex_syntax::parse(text).ok()?;
        Self::compiled(&anchored(hir), MAX_BYTES)
    }

    fn compiled(hir: &Hir, most: usize) -> Option<Self> {
        let config = thompson::Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(MAX_BYTES));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir).ok()?;
        let config = dense::Config::new()
            .start_kind(regex_automata::dfa::StartKind::Anchored)
            .accelerate(false)
            .dfa_size_limit(Some(most))
            .determinize_size_limit(Some(2 * most));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?;
        Some(Self(Arc::new(dfa)))
    }

    fn start(&self) -> Option<StateID> {
        self.0.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()
    }

    /// Whether a text is one of it.
    pub(super) fn has(&self, text: &str) -> bool {
        let Some(start) = self.start() else { return false };
        let end = text.bytes().fold(start, |state, byte| self.0.next_state(state, byte));
        self.accepts(end)
    }

    fn accepts(&self, state: StateID) -> bool {
        self.0.is_match_state(self.0.next_eoi_state(state))
    }
}

/// Whether values of a field are ASCII, so that nothing else need be looked at.
const fn is_ascii(field: Field) -> bool {
    matches!(field, Field::Tag | Field::Repo)
}

/// The shortest text of a field in all of these languages, or in none of those with `false`; `None`
/// where there is none.
///
/// # Errors
/// Too many states had to be walked through, or more steps taken than are left in `budget`.
pub(super) fn witness(
    field: Field,
    all: &[(&Language, bool)],
    budget: &mut u64,
) -> Result<Option<String>, TooLarge> {
    let starts: Option<Vec<StateID>> = all.iter().map(|(language, _)| language.start()).collect();
    let starts = starts.ok_or(TooLarge)?;
    let bytes = told_apart(&preferred(is_ascii(field)), all);
    let mut steps_left = MAX_STEPS;
    let mut from: Vec<(usize, u8)> = vec![(0, 0)];
    let mut states = vec![starts.clone()];
    let mut known = HashMap::from([(starts, 0_usize)]);
    let mut queue = VecDeque::from([0_usize]);
    while let Some(at) = queue.pop_front() {
        let here = states[at].clone();
        let met =
            |((it, wanted), &state): (&(&Language, bool), &StateID)| it.accepts(state) == *wanted;
        if all.iter().zip(&here).all(met) {
            let text = spelled(&from, at);
            return Ok(text.filter(|text| field != Field::Tag || text.len() <= MAX_TAG));
        }
        let steps = (bytes.len() * all.len()) as u64;
        *budget = budget.checked_sub(steps).ok_or(TooLarge)?;
        steps_left = steps_left.checked_sub(steps).ok_or(TooLarge)?;
        for &byte in &bytes {
            let next: Vec<StateID> = all
                .iter()
                .zip(&here)
                .map(|((language, _), &state)| language.0.next_state(state, byte))
                .collect();
            let lost = all
                .iter()
                .zip(&next)
                .any(|((it, wanted), &state)| *wanted && it.0.is_dead_state(state));
            if lost || known.contains_key(&next) {
                continue;
            }
            if states.len() == MAX_STATES {
                return Err(TooLarge);
            }
            known.insert(next.clone(), states.len());
            queue.push_back(states.len());
            states.push(next);
            from.push((at, byte));
        }
    }
    Ok(None)
}

/// The first of those bytes that none of the languages tells apart.
fn told_apart(bytes: &[u8], all: &[(&Language, bool)]) -> Vec<u8> {
    let mut groups = vec![0_usize; bytes.len()];
    let mut count = 1;
    for (language, _) in all {
        let classes = language.0.byte_classes();
        let mut numbers = vec![usize::MAX; count * 256];
        count = 0;
        for (group, &byte) in groups.iter_mut().zip(bytes) {
            let number = &mut numbers[*group * 256 + usize::from(classes.get(byte))];
            if *number == usize::MAX {
                *number = count;
                count += 1;
            }
            *group = *number;
        }
    }
    // Groups are numbered as they are met.
    let mut next = 0;
    let firsts = bytes.iter().zip(groups).filter(|&(_, group)| {
        let first = group == next;
        next += usize::from(first);
        first
    });
    firsts.map(|(&byte, _)| byte).collect()
}

/// The text that leads to a state.
fn spelled(from: &[(usize, u8)], mut at: usize) -> Option<String> {
    let mut bytes = Vec::new();
    while at != 0 {
        let (before, byte) = from[at];
        bytes.push(byte);
        at = before;
    }
    bytes.reverse();
    String::from_utf8(bytes).ok()
}

/// Whether a text can be a value of a field at all.
pub(super) fn is_possible(field: Field, text: &str) -> bool {
    let name = |one: u8| one.is_ascii_alphanumeric() || one == b'_';
    match field {
        Field::Tag => {
            text.len() <= MAX_TAG
                && text.bytes().next().is_some_and(name)
                && text.bytes().all(|one| name(one) || matches!(one, b'.' | b'-'))
        }
        Field::Repo => !text.is_empty() && text.bytes().all(|one| one.is_ascii_graphic()),
        _ => true,
    }
}

/// The texts that a test holds for, where they are few and written out.
pub(super) fn written_out(test: &Test) -> Option<Vec<String>> {
    let literal = |expression: &Arc<Expression>| expression.literal();
    match test {
        Test::Is(texts) => Some(texts.iter().map(|text| text.to_string()).collect()),
        Test::Glob(globs) => globs.iter().map(|glob| literal(glob.expression())).collect(),
        Test::Regex(patterns) => {
            patterns.iter().map(|pattern| literal(pattern.expression())).collect()
        }
        _ => None,
    }
}

/// Every byte, those first that people use in names.
fn preferred(ascii: bool) -> Vec<u8> {
    let names = (b'a'..=b'z').chain(b'0'..=b'9').chain(*b"-._/").chain(b'A'..=b'Z');
    let mut bytes: Vec<u8> = names.collect();
    let rest = if ascii { 0x20..=0x7e } else { 0..=u8::MAX };
    for byte in rest {
        if !bytes.contains(&byte) {
            bytes.push(byte);
        }
    }
    bytes
}

fn literal(text: &str) -> Hir {
    Hir::literal(text.as_bytes())
}

fn anything() -> Hir {
    // The pattern is ours and sound.
    regex_syntax::parse("(?s:.*)").unwrap_or_else(|_| Hir::empty())
}

fn anchored(hir: Hir) -> Hir {
    Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)])
}

fn any(hirs: impl Iterator<Item = Hir>) -> Hir {
    Hir::alternation(hirs.collect())
}
