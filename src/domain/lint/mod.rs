//! Questions about rules that no entry has to be seen for: can it ever match, is it ever reached, do
//! two say the same.
//!
//! A clause becomes boxes: for each field what its value may be (`space`), of which the texts are
//! decided by automata (`language`). Fields are taken to be independent, parts that can't be said so
//! (`cel` that is interpreted, `since`) are taken for true or for false, whichever can't lead to a
//! wrong warning; and what grows too large is said not to be decided.
//! Deliberately absent: where in a file a rule stands, and the words of a warning (`config`).

mod language;
mod space;

use std::collections::HashMap;

use super::{
    clause::{Clause, Test},
    expression::Pattern,
    field::Field,
    rule::{Origin, Rule},
};

use language::Language;
use space::{Boxes, Opaque, Space};

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
    let all: Vec<Option<Boxes>> =
        rules.iter().map(|rule| space.boxes(&rule.matches, Opaque::Holds)).collect();
    let mut findings = Vec::new();
    let mut earlier: Vec<(usize, Boxes)> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        match &all[index] {
            Some(boxes) if boxes.is_empty() => findings
                .push(Finding::Contradiction { rule: index, field: space.blamed(&rule.matches) }),
            Some(boxes) => match space.covering(boxes, &earlier) {
                Ok(Some(stops)) => {
                    // Of parts that were only taken for true nothing can be shown.
                    let exact = space.exact(&rule.matches);
                    let witness = exact.and_then(|boxes| space.witness(&boxes[0]));
                    findings.push(Finding::NeverReached { rule: index, stops, witness });
                }
                Ok(None) => {}
                Err(_) => findings.push(Finding::Undecided { rule: index }),
            },
            None => findings.push(Finding::Undecided { rule: index }),
        }
        if rule.ends_looking()
            && let Some(boxes) = space.boxes(&rule.matches, Opaque::Fails)
        {
            earlier.push((index, boxes));
        }
    }
    findings.extend(twins(&mut space, rules));
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
fn twins(space: &mut Space, rules: &[Rule]) -> Vec<Finding> {
    let mut kept: HashMap<String, Vec<usize>> = HashMap::new();
    let mut findings = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let Some(exact) = space.exact(&rule.matches) else { continue };
        let Some(shape) = space.shape(&exact) else { continue };
        let key = format!("{shape:?} {:?}", what_follows(rule));
        let earlier = kept.entry(key).or_default();
        let twin = earlier.iter().copied().find(|&first| {
            let other = space.exact(&rules[first].matches);
            !rules[first].ends_looking() && other.is_some_and(|other| space.equal(&exact, &other))
        });
        match twin {
            Some(first) => {
                let witness = space.witness(&exact[0]);
                findings.push(Finding::Twice { rule: index, first, witness });
            }
            None => earlier.push(index),
        }
    }
    findings
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

/// The most steps that are taken to find one tag.
const STEPS_FOR_A_TAG: u64 = 20_000_000;

/// Whether a regular expression matches nothing that the registry allows as a tag; `None` where
/// that could not be decided.
pub fn matches_no_tag(pattern: &Pattern) -> Option<bool> {
    Some(tag(&[(pattern, true)])?.is_none())
}

/// A tag in which a regular expression is found, and which it does not match as a whole: what a
/// person who meant it unanchored would miss.
pub fn found_within(pattern: &Pattern) -> Option<String> {
    let anywhere = Pattern::new(&format!("(?s:.*?)(?:{})(?s:.*)", pattern.text())).ok()?;
    tag(&[(&anywhere, true), (pattern, false)])?
}

/// A tag that matches some regular expressions and not others; the outer `None` where that could
/// not be decided.
fn tag(wanted: &[(&Pattern, bool)]) -> Option<Option<String>> {
    let of = |pattern: &Pattern| Language::of(Field::Tag, &Test::Regex(vec![pattern.clone()]));
    let languages: Option<Vec<(Language, bool)>> =
        wanted.iter().map(|&(pattern, wanted)| Some((of(pattern)?, wanted))).collect();
    let (languages, alphabet) = (languages?, Language::alphabet(Field::Tag)?);
    let all: Vec<(&Language, bool)> = std::iter::once((&alphabet, true))
        .chain(languages.iter().map(|(language, wanted)| (language, *wanted)))
        .collect();
    language::witness(Field::Tag, &all, &mut { STEPS_FOR_A_TAG }).ok()
}
