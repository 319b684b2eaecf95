//! Questions about rules that no entry has to be seen for: can it ever match, is it ever reached, do
//! two say the same.
//!
//! A clause becomes boxes: for each field what its value may be (`space`, `value`), of which the texts
//! are decided by automata (`language`); and boxes are held against those of earlier rules (`cover`).
//! Fields are taken to be independent, `region` and `clusterRegion` apart; parts that can't be said so
//! (`cel` that is interpreted) are taken for true or for false, whichever can't lead to a wrong
//! warning; and what grows too large is said not to be decided. That is counted in questions and
//! steps, never in time: the same rules are told the same everywhere.
//! Deliberately absent: where in a file a rule stands, and the words of a warning (`config`).

mod cover;
mod language;
mod space;
mod value;

use std::collections::HashMap;

use super::{
    clause::{Clause, Test},
    expression::Pattern,
    field::Field,
    rule::{Origin, Rule},
};

use cover::Takers;
use language::Language;
use space::{Boxes, Opaque, Space, is_opaque};

/// Something that is hardly meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No entry can match.
    Contradiction {
        /// The rule.
        rule: usize,
        /// A field for which no value will do, where one alone is to blame.
        field: Option<Field>,
    },
    /// Earlier rules with `stop` take everything that it matches.
    NeverReached {
        /// The rule.
        rule: usize,
        /// The earlier rules that take it, in order.
        stops: Vec<usize>,
        /// Fields and values of an entry that it matches; `None` where none could be made.
        witness: Option<Witness>,
    },
    /// Two rules match the same entries and send the same.
    Twice {
        /// The later rule.
        rule: usize,
        /// The earlier.
        first: usize,
        /// Fields and values of an entry that both match.
        witness: Option<Witness>,
    },
    /// It grew too large to say whether the rule is reached.
    Undecided {
        /// The rule.
        rule: usize,
    },
}

/// Fields of an entry that shows something, each with its value; `None` where it has to be absent.
pub type Witness = Vec<(Field, Option<String>)>;

/// What is hardly meant in a set of rules, in their order.
pub fn findings(rules: &[Rule]) -> Vec<Finding> {
    let mut space = Space::default();
    let most: Vec<Option<Boxes>> =
        rules.iter().map(|rule| space.boxes(&rule.matches, Opaque::Holds)).collect();
    let least: Vec<Option<Boxes>> = rules
        .iter()
        .zip(&most)
        .map(|(rule, most)| match is_opaque(&rule.matches) {
            true => space.boxes(&rule.matches, Opaque::Fails),
            false => most.clone(),
        })
        .collect();
    let stops = rules.iter().zip(&least).enumerate().filter(|(_, (rule, _))| rule.ends_looking());
    let mut stops =
        Takers::new(stops.filter_map(|(index, (_, boxes))| Some((index, boxes.as_ref()?))));
    // Of parts that were only taken for true nothing can be shown.
    let exact: Vec<Option<&Boxes>> = most
        .iter()
        .zip(&least)
        .map(|(most, least)| most.as_ref().filter(|it| most == least && !it.is_empty()))
        .collect();
    let mut findings = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        match &most[index] {
            Some(boxes) if boxes.is_empty() => findings
                .push(Finding::Contradiction { rule: index, field: space.blamed(&rule.matches) }),
            Some(boxes) => match stops.covering(&mut space, boxes, index) {
                Ok(Some(stops)) => {
                    let witness = exact[index].and_then(|boxes| space.witness(&boxes[0]));
                    findings.push(Finding::NeverReached { rule: index, stops, witness });
                }
                Ok(None) => {}
                Err(_) => findings.push(Finding::Undecided { rule: index }),
            },
            None => findings.push(Finding::Undecided { rule: index }),
        }
    }
    findings.extend(twins(&mut space, rules, &exact));
    findings.sort_by_key(Finding::rule);
    findings
}

impl Finding {
    /// The rule that it is about, by its place in the set.
    pub fn rule(&self) -> usize {
        match self {
            Self::Contradiction { rule, .. }
            | Self::NeverReached { rule, .. }
            | Self::Twice { rule, .. }
            | Self::Undecided { rule } => *rule,
        }
    }
}

/// Rules that match the same entries and lead to the same. Those that sit before a `stop` of their
/// twin are never reached, and told as such.
fn twins(space: &mut Space, rules: &[Rule], exact: &[Option<&Boxes>]) -> Vec<Finding> {
    let mut kept: HashMap<_, Vec<(usize, &Boxes)>> = HashMap::new();
    let mut findings = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let Some(own) = exact[index] else { continue };
        let Some(shape) = space.shape(own) else { continue };
        let earlier = kept.entry((shape, format!("{:?}", what_follows(rule)))).or_default();
        let twin = earlier
            .iter()
            .find(|(first, other)| !rules[*first].ends_looking() && are_equal(space, own, other));
        match twin {
            Some(&(first, _)) => {
                let witness = space.witness(&own[0]);
                findings.push(Finding::Twice { rule: index, first, witness });
            }
            None => earlier.push((index, own)),
        }
    }
    findings
}

/// Whether two unions hold the same.
fn are_equal(space: &mut Space, one: &Boxes, other: &Boxes) -> bool {
    let mut within = |inner: &Boxes, outer: &Boxes| {
        matches!(Takers::new([(0, outer)]).covering(space, inner, 1), Ok(Some(_)))
    };
    one == other || (within(one, other) && within(other, one))
}

/// A rule without its name, its place and its match: what a match of it leads to.
fn what_follows(rule: &Rule) -> Rule {
    let mut rule = Rule {
        name: "".into(),
        matches: Clause::All(Vec::new()),
        stop: false,
        origin: Origin::default(),
        ..rule.clone()
    };
    rule.send_to.sort();
    rule
}

/// Whether no entry of which a clause is true can have a field, or can have it so. False where that
/// could not be decided.
pub fn excludes(clause: &Clause, field: Field, test: Test) -> bool {
    let both = Clause::All(vec![clause.clone(), Clause::test(field, "", test)]);
    Space::default().boxes(&both, Opaque::Holds).is_some_and(|boxes| boxes.is_empty())
}

/// What the automata of one question about a value may take, in bytes, and the steps through them. Few
/// are asked, but those of a set of rules full of slips are asked while it is loaded.
const ROOM_FOR_ONE: usize = 128 << 10;
const STEPS_FOR_ONE: u64 = 100_000;

/// The shortest value of a field for which one test holds and another does not; `None` where there is
/// none, or none was found with little work.
pub fn told_apart(field: Field, holds: &Test, fails: &Test) -> Option<String> {
    let (mut room, mut steps) = (ROOM_FOR_ONE, STEPS_FOR_ONE);
    let [alphabet, holds, fails] = [
        Language::alphabet(field)?,
        Language::of(field, holds, &mut room)?,
        Language::of(field, fails, &mut room)?,
    ];
    let all = [(&alphabet, true), (&holds, true), (&fails, false)];
    language::witness(field, &all, &mut steps).ok()?
}

/// What the automata of all tags of a set of rules may take, in bytes, and the steps through them: a
/// thousand patterns of the usual kinds take a hundredth of it.
const ROOM_FOR_TAGS: usize = 16 << 20;
const STEPS_FOR_TAGS: u64 = 20_000_000;

/// Questions about the tags that a set of rules asks for, one after another.
#[derive(Debug)]
pub struct Tags {
    alphabet: Option<Language>,
    room: usize,
    steps: u64,
}

impl Default for Tags {
    fn default() -> Self {
        let alphabet = Language::alphabet(Field::Tag);
        Self { alphabet, room: ROOM_FOR_TAGS, steps: STEPS_FOR_TAGS }
    }
}

impl Tags {
    /// Whether a regular expression matches nothing that the registry allows as a tag; `None` where
    /// that could not be decided.
    pub fn matches_no_tag(&mut self, pattern: &Pattern) -> Option<bool> {
        Some(self.tag(&[(pattern, true)])?.is_none())
    }

    /// The shortest text that a regular expression matches, be it a tag or not; the outer `None` where
    /// that could not be decided.
    pub fn matched_text(&mut self, pattern: &Pattern) -> Option<Option<String>> {
        // A service's name may be any text.
        let any = Field::Service;
        let language = Language::of(any, &Test::Regex(vec![pattern.clone()]), &mut self.room)?;
        language::witness(any, &[(&language, true)], &mut self.steps).ok()
    }

    /// A tag in which a regular expression is found, and which it does not match as a whole: what a
    /// person who meant it unanchored would miss.
    pub fn found_within(&mut self, pattern: &Pattern) -> Option<String> {
        let anywhere = Pattern::new(&format!("(?s:.*?)(?:{})(?s:.*)", pattern.text())).ok()?;
        self.tag(&[(&anywhere, true), (pattern, false)])?
    }

    /// A tag that matches some regular expressions and not others; the outer `None` where that could
    /// not be decided.
    fn tag(&mut self, wanted: &[(&Pattern, bool)]) -> Option<Option<String>> {
        let mut of = |pattern: &Pattern| {
            Language::of(Field::Tag, &Test::Regex(vec![pattern.clone()]), &mut self.room)
        };
        let languages: Option<Vec<(Language, bool)>> =
            wanted.iter().map(|&(pattern, wanted)| Some((of(pattern)?, wanted))).collect();
        let languages = languages?;
        let all: Vec<(&Language, bool)> = std::iter::once((self.alphabet.as_ref()?, true))
            .chain(languages.iter().map(|(language, wanted)| (language, *wanted)))
            .collect();
        language::witness(Field::Tag, &all, &mut self.steps).ok()
    }
}
