//! Which of the things asked of a field hold for a value, all found in one look at it.
//!
//! Whole texts and numbers are looked up, contained texts are found by one Aho-Corasick automaton,
//! and globs and regular expressions by lazy DFAs of a few hundred expressions each, cut down to
//! ASCII. A text that is not ASCII, and one on which a DFA's cache does no good, is tried against
//! the expressions one by one: slower, never different. A DFA's cache belongs to the caller.

use std::{collections::HashMap, fmt::Write, sync::Arc};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use regex_automata::{
    Anchored, Input, MatchKind,
    hybrid::dfa::{Cache, DFA},
    nfa::thompson::{self, WhichCaptures},
};

use super::need::AtomId;
use crate::domain::{clause::Test, entry::Value, expression::Expression};

/// How many expressions share a DFA. More make its states large where many can match at once;
/// fewer make more walks.
const EXPRESSIONS_PER_DFA: usize = 256;

/// The memory that the caches of a field's DFAs may take together, in bytes.
const CACHE_BYTES: usize = 4 << 20;

/// The least that a DFA's cache may take.
const MIN_CACHE_BYTES: usize = 256 << 10;

/// Gathers what is asked of a field, each distinct thing once.
#[derive(Debug, Default)]
pub(super) struct ScannerBuilder {
    count: AtomId,
    texts: HashMap<Box<str>, AtomId>,
    numbers: HashMap<i64, AtomId>,
    bounds: HashMap<Bound, AtomId>,
    contained: HashMap<Box<str>, AtomId>,
    expressions: HashMap<Arc<Expression>, AtomId>,
}

/// A limit on a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bound {
    Min(i64),
    Max(i64),
}

impl ScannerBuilder {
    /// The numbers of what a test asks, each member of its list. A test that no text and no number
    /// can pass asks nothing.
    pub(super) fn atoms(&mut self, test: &Test) -> Vec<AtomId> {
        match test {
            Test::Is(texts) => texts.iter().map(|text| self.text(text)).collect(),
            Test::IsNumber(numbers) => numbers
                .iter()
                .map(|&number| *self.numbers.entry(number).or_insert_with(|| next(&mut self.count)))
                .collect(),
            Test::Glob(globs) => {
                globs.iter().map(|glob| self.expression(glob.expression())).collect()
            }
            Test::Regex(patterns) => {
                patterns.iter().map(|pattern| self.expression(pattern.expression())).collect()
            }
            Test::Contains(texts) => texts
                .iter()
                .map(|text| {
                    let count = &mut self.count;
                    *self.contained.entry(text.clone()).or_insert_with(|| next(count))
                })
                .collect(),
            Test::Min(number) => vec![self.bound(Bound::Min(*number))],
            Test::Max(number) => vec![self.bound(Bound::Max(*number))],
            Test::NotBefore(_) | Test::NotAfter(_) | Test::Since(_) | Test::Exists(_) => Vec::new(),
        }
    }

    fn text(&mut self, text: &str) -> AtomId {
        if let Some(&atom) = self.texts.get(text) {
            return atom;
        }
        let atom = next(&mut self.count);
        self.texts.insert(text.into(), atom);
        atom
    }

    fn bound(&mut self, bound: Bound) -> AtomId {
        *self.bounds.entry(bound).or_insert_with(|| next(&mut self.count))
    }

    fn expression(&mut self, expression: &Arc<Expression>) -> AtomId {
        if let Some(&atom) = self.expressions.get(expression) {
            return atom;
        }
        // One that matches a single text is looked up like any whole text.
        let literal = expression.literal();
        let atom = match &literal {
            Some(text) => self.text(text),
            None => next(&mut self.count),
        };
        self.expressions.insert(expression.clone(), atom);
        atom
    }

    /// How many things are asked.
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    /// Compiles the scanner.
    pub(super) fn build(self) -> Scanner {
        self.build_within(CACHE_BYTES)
    }

    /// Compiles the scanner; the caches of its DFAs share `cache_bytes`, within reason.
    fn build_within(self, cache_bytes: usize) -> Scanner {
        let whole_texts: std::collections::HashSet<AtomId> = self.texts.values().copied().collect();
        let mut expressions: Vec<(Arc<Expression>, AtomId)> =
            self.expressions.into_iter().filter(|(_, atom)| !whole_texts.contains(atom)).collect();
        // Neighbours begin alike, so that a text is at once refused by most of the DFAs.
        expressions.sort_unstable_by(|(one, _), (other, _)| one.text().cmp(other.text()));
        let automata = expressions.len().div_ceil(EXPRESSIONS_PER_DFA).max(1);
        let cache_bytes = (cache_bytes / automata).max(MIN_CACHE_BYTES);
        Scanner {
            texts: self.texts,
            numbers: self.numbers,
            bounds: self.bounds.into_iter().collect(),
            contained: Contained::new(self.contained),
            automata: expressions
                .chunks(EXPRESSIONS_PER_DFA)
                .map(|members| Automaton::new(members, cache_bytes))
                .collect(),
        }
    }
}

fn next(count: &mut AtomId) -> AtomId {
    let atom = *count;
    *count += 1;
    atom
}

/// Finds what holds for a value.
#[derive(Debug)]
pub(super) struct Scanner {
    texts: HashMap<Box<str>, AtomId>,
    numbers: HashMap<i64, AtomId>,
    bounds: Box<[(Bound, AtomId)]>,
    contained: Option<Contained>,
    automata: Box<[Automaton]>,
}

/// What holds for a value, each atom once.
#[derive(Debug)]
pub(super) struct Hits {
    list: Vec<AtomId>,
    seen: Box<[u64]>,
}

impl Hits {
    /// Nothing holds, of `count` things.
    pub(super) fn new(count: usize) -> Self {
        Self { list: Vec::new(), seen: vec![0; count.div_ceil(64)].into() }
    }

    /// What holds, in no order.
    pub(super) fn list(&self) -> &[AtomId] {
        &self.list
    }

    /// Whether one holds.
    pub(super) fn contains(&self, atom: AtomId) -> bool {
        self.seen[atom as usize / 64] & (1 << (atom % 64)) != 0
    }

    fn insert(&mut self, atom: AtomId) {
        if !self.contains(atom) {
            self.seen[atom as usize / 64] |= 1 << (atom % 64);
            self.list.push(atom);
        }
    }

    fn clear(&mut self) {
        for atom in self.list.drain(..) {
            self.seen[atom as usize / 64] = 0;
        }
    }
}

/// What a scanner writes to while it looks at a value.
#[derive(Debug)]
pub(super) struct ScanScratch {
    /// What was found.
    pub(super) hits: Hits,
    /// One for each automaton, made when first needed.
    caches: Box<[Option<Cache>]>,
    /// A number as text.
    number: String,
}

impl Scanner {
    /// Somewhere to write to.
    pub(super) fn scratch(&self, count: usize) -> ScanScratch {
        ScanScratch {
            hits: Hits::new(count),
            caches: self.automata.iter().map(|_| None).collect(),
            number: String::new(),
        }
    }

    /// How much a look costs beside other fields'; only the order matters.
    pub(super) fn cost(&self) -> usize {
        let texts = usize::from(!self.texts.is_empty());
        texts + 10 * self.automata.len() + 20 * usize::from(self.contained.is_some())
    }

    /// Finds what holds for a value, into `scratch.hits`.
    pub(super) fn scan(&self, value: Value<'_>, scratch: &mut ScanScratch) {
        scratch.hits.clear();
        match value {
            Value::Text(text) => self.scan_text(text, &mut scratch.hits, &mut scratch.caches),
            Value::Number(number) => self.scan_number(number, scratch),
            Value::Time(_) => {}
        }
    }

    fn scan_number(&self, number: i64, scratch: &mut ScanScratch) {
        if let Some(&atom) = self.numbers.get(&number) {
            scratch.hits.insert(atom);
        }
        for &(bound, atom) in &self.bounds {
            let holds = match bound {
                Bound::Min(min) => number >= min,
                Bound::Max(max) => number <= max,
            };
            if holds {
                scratch.hits.insert(atom);
            }
        }
        if self.texts.is_empty() && self.contained.is_none() && self.automata.is_empty() {
            return;
        }
        scratch.number.clear();
        // Writing to a string can't fail.
        let _ = write!(scratch.number, "{number}");
        self.scan_text(&scratch.number, &mut scratch.hits, &mut scratch.caches);
    }

    fn scan_text(&self, text: &str, hits: &mut Hits, caches: &mut [Option<Cache>]) {
        if let Some(&atom) = self.texts.get(text) {
            hits.insert(atom);
        }
        if let Some(contained) = &self.contained {
            contained.scan(text, hits);
        }
        if self.automata.is_empty() {
            return;
        }
        let ascii = text.is_ascii();
        for (automaton, cache) in self.automata.iter().zip(caches) {
            if !(ascii && automaton.scan(text, hits, cache)) {
                automaton.scan_singly(text, hits);
            }
        }
    }
}

/// Finds contained texts.
#[derive(Debug)]
struct Contained {
    searcher: AhoCorasick,
    atoms: Box<[AtomId]>,
}

impl Contained {
    /// `None` where no text is looked for.
    fn new(texts: HashMap<Box<str>, AtomId>) -> Option<Self> {
        if texts.is_empty() {
            return None;
        }
        let (texts, atoms): (Vec<_>, Vec<_>) = texts.into_iter().unzip();
        let searcher = AhoCorasickBuilder::new()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(texts.iter().map(|text| text.as_bytes()))
            .expect("texts of a rule file are far from 2^31 states");
        Some(Self { searcher, atoms: atoms.into() })
    }

    fn scan(&self, text: &str, hits: &mut Hits) {
        for found in self.searcher.find_overlapping_iter(text) {
            hits.insert(self.atoms[found.pattern().as_usize()]);
        }
    }
}

/// A lazy DFA of some expressions.
#[derive(Debug)]
struct Automaton {
    /// `None` where none could be built; the expressions are then tried one by one.
    dfa: Option<DFA>,
    members: Box<[(Arc<Expression>, AtomId)]>,
}

impl Automaton {
    fn new(members: &[(Arc<Expression>, AtomId)], cache_bytes: usize) -> Self {
        let expressions: Vec<_> = members.iter().map(|(member, _)| member.ascii()).collect();
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().which_captures(WhichCaptures::None))
            .build_many_from_hir(&expressions);
        // Where more than one state is made for every few bytes looked at, and the cache has been
        // filled again and again, trying one by one is quicker.
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(cache_bytes)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(8))
            .minimum_bytes_per_state(Some(10));
        let dfa =
            nfa.ok().and_then(|nfa| DFA::builder().configure(config).build_from_nfa(nfa).ok());
        Self { dfa, members: members.into() }
    }

    /// Walks a text that is all ASCII; false where the DFA gave up and nothing is known.
    fn scan(&self, text: &str, hits: &mut Hits, cache: &mut Option<Cache>) -> bool {
        let Some(dfa) = &self.dfa else {
            return false;
        };
        let cache = cache.get_or_insert_with(|| dfa.create_cache());
        self.walk(dfa, text, hits, cache).is_some()
    }

    /// `None` where the DFA gave up. The expressions are anchored, so the state after the last
    /// byte says at once which of them match.
    fn walk(&self, dfa: &DFA, text: &str, hits: &mut Hits, cache: &mut Cache) -> Option<()> {
        cache.search_start(0);
        let input = Input::new(text).anchored(Anchored::Yes);
        let mut state = dfa.start_state_forward(cache, &input).ok()?;
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            state = dfa.next_state(cache, state, byte).ok()?;
            if state.is_tagged() {
                cache.search_finish(at);
                return state.is_dead().then_some(());
            }
        }
        cache.search_finish(text.len());
        state = dfa.next_eoi_state(cache, state).ok()?;
        if state.is_match() {
            for index in 0..dfa.match_len(cache, state) {
                let pattern = dfa.match_pattern(cache, state, index);
                hits.insert(self.members[pattern.as_usize()].1);
            }
        }
        Some(())
    }

    fn scan_singly(&self, text: &str, hits: &mut Hits) {
        for (expression, atom) in &self.members {
            if expression.is_match(text) {
                hits.insert(*atom);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::expression::Pattern;

    /// Every position can begin a match of every pattern, so nearly every byte makes a new state.
    fn hostile_scanner() -> (Scanner, usize) {
        let mut builder = ScannerBuilder::default();
        for number in 0..200_u8 {
            let (one, other) = (char::from(b'a' + number % 26), char::from(b'a' + number / 26));
            let text = format!("(?s).*{one}[a-z]{{8}}.*{other}.{{{}}}", number % 9);
            builder.atoms(&Test::Regex(vec![Pattern::new(&text).unwrap()]));
        }
        let count = builder.count();
        (builder.build_within(0), count)
    }

    #[test]
    fn nothing_is_missed_where_an_automaton_gives_up() {
        let (scanner, count) = hostile_scanner();
        let mut scratch = scanner.scratch(count);
        let (mut random, mut gave_up) = (fastrand::Rng::with_seed(1), 0);
        for _ in 0..60 {
            let text: String = (0..80).map(|_| random.lowercase()).collect();
            let automaton = &scanner.automata[0];
            let walked = automaton.scan(&text, &mut Hits::new(count), &mut scratch.caches[0]);
            gave_up += usize::from(!walked);
            scanner.scan(Value::Text(&text), &mut scratch);
            let mut singly = Hits::new(count);
            automaton.scan_singly(&text, &mut singly);
            scratch.hits.list.sort_unstable();
            singly.list.sort_unstable();
            assert_eq!(scratch.hits.list, singly.list);
        }
        assert!(gave_up > 0, "the patterns are not hostile enough to show anything");
    }

    #[test]
    fn what_is_asked_twice_is_looked_at_once() {
        let mut builder = ScannerBuilder::default();
        let mut atoms = |test: Test| builder.atoms(&test);
        let is = atoms(Test::Is(vec!["api".into()]));
        let pattern = atoms(Test::Regex(vec![Pattern::new("api").unwrap()]));
        let other = atoms(Test::Regex(vec![Pattern::new("api.*").unwrap()]));
        assert_eq!(is, pattern);
        assert_eq!(other, atoms(Test::Regex(vec![Pattern::new("api.*").unwrap()])));
        assert_ne!(is, other);
    }
}
