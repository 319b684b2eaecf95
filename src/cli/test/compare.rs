//! What was told beside what was expected: which belong together, and what is left.
//!
//! Every expectation is met by a message of its own, and as many are met as can be; what is left is
//! paired where two are nearly the same, so that it can be said in what they differ. Deliberately
//! absent: words for people (`report`).

use jiff::Timestamp;
use serde_json::Value;

use super::play::{Told, leaves};
use crate::{
    config::{Expected, Scenario},
    document::show_duration,
    domain::notification::HeldBy,
};

/// What came of a scenario, by indexes of its expectations and of what was told.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What belongs together.
    pub(super) met: Vec<(usize, usize)>,
    /// What is nearly the same, and in what it differs.
    pub(super) differing: Vec<(usize, usize, Vec<Difference>)>,
    /// What was not told, and what held it where something did.
    pub(super) missing: Vec<(usize, Option<HeldBy>)>,
    /// What was not expected.
    pub(super) unexpected: Vec<usize>,
    /// What was told by a template that failed.
    pub(super) broken: Vec<usize>,
}

impl Outcome {
    pub(super) const fn passed(&self) -> bool {
        self.as_expected() && self.broken.is_empty()
    }

    /// Whether what was told is what was expected, by whatever template.
    pub(super) const fn as_expected(&self) -> bool {
        self.differing.is_empty() && self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// A key of an expectation that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) key: &'static str,
    pub(super) wanted: String,
    pub(super) got: String,
}

/// How long after the start something is, as tests write it; parts of a second do not count.
pub(super) fn offset(start: Timestamp, at: Timestamp) -> String {
    let passed = at.duration_since(start);
    show_duration(passed.unsigned_abs())
}

/// Compares what was told in a scenario with what it expects.
pub(super) fn compare(scenario: &Scenario, told: &[Told]) -> Outcome {
    let expect = &scenario.expect;
    let holds = |expected: &Expected, told: &Told| differences(scenario, expected, told).is_empty();
    let fitting: Vec<Vec<usize>> = expect
        .iter()
        .map(|expected| {
            let all = told.iter().enumerate();
            all.filter(|(_, told)| holds(expected, told)).map(|(index, _)| index).collect()
        })
        .collect();
    let of_told = matching(&fitting, told.len());
    let mut met: Vec<(usize, usize)> =
        of_told.iter().enumerate().filter_map(|(index, by)| Some(((*by)?, index))).collect();
    met.sort_unstable();
    let left = |index: &usize| !met.iter().any(|(expected, _)| expected == index);
    let unmet: Vec<usize> = (0..expect.len()).filter(left).collect();
    let free: Vec<usize> = (0..told.len()).filter(|index| of_told[*index].is_none()).collect();
    let differing = nearly(scenario, told, &unmet, &free);
    let missing = unmet.iter().filter(|index| !differing.iter().any(|(it, ..)| it == *index));
    let missing = missing.map(|&index| (index, held(scenario, &expect[index], told, &free)));
    let paired = |index: &usize| differing.iter().any(|(_, told, _)| told == index);
    let sent = |index: &usize| told[*index].held_by.is_none();
    let missing = missing.collect();
    let unexpected = free.iter().copied().filter(|it| sent(it) && !paired(it)).collect();
    let broken = (0..told.len()).filter(|index| told[*index].broken.is_some()).collect();
    Outcome { met, differing, missing, unexpected, broken }
}

/// The largest matching, by augmenting paths: for each message the expectation that it meets. Those
/// that come first keep the first that fits where there is a choice.
fn matching(fitting: &[Vec<usize>], messages: usize) -> Vec<Option<usize>> {
    fn place(
        expected: usize,
        fitting: &[Vec<usize>],
        seen: &mut [bool],
        of_told: &mut [Option<usize>],
    ) -> bool {
        for &index in &fitting[expected] {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            let moves = match of_told[index] {
                None => true,
                Some(other) => place(other, fitting, seen, of_told),
            };
            if moves {
                of_told[index] = Some(expected);
                return true;
            }
        }
        false
    }
    let mut of_told = vec![None; messages];
    for expected in 0..fitting.len() {
        // One that is free is taken without moving another.
        let free = fitting[expected].iter().find(|index| of_told[**index].is_none());
        match free {
            Some(&index) => of_told[index] = Some(expected),
            None => {
                place(expected, fitting, &mut vec![false; messages], &mut of_told);
            }
        }
    }
    of_told
}

/// Pairs what is left where it is about the same thing: fewest differences first.
fn nearly(
    scenario: &Scenario,
    told: &[Told],
    unmet: &[usize],
    free: &[usize],
) -> Vec<(usize, usize, Vec<Difference>)> {
    let mut candidates = Vec::new();
    for &expected in unmet {
        for &index in free {
            let wanted = &scenario.expect[expected];
            if wanted.held_by.is_none() && told[index].held_by.is_some() {
                continue;
            }
            let found = differences(scenario, wanted, &told[index]);
            if alike(wanted, &told[index], &found) {
                candidates.push((found.len(), expected, index, found));
            }
        }
    }
    candidates.sort_by_key(|(count, expected, index, _)| (*count, *expected, *index));
    let mut pairs: Vec<(usize, usize, Vec<Difference>)> = Vec::new();
    for (_, expected, index, found) in candidates {
        if !pairs.iter().any(|(one, other, _)| *one == expected || *other == index) {
            pairs.push((expected, index, found));
        }
    }
    pairs.sort_by_key(|(expected, ..)| *expected);
    pairs
}

/// Whether two are about the same thing: of rule, receiver, reason and time at most one differs,
/// and at least one of the names is the same, or the time where no name is given.
fn alike(wanted: &Expected, told: &Told, found: &[Difference]) -> bool {
    let differs = ["at", "rule", "send_to", "reason"]
        .iter()
        .filter(|key| found.iter().any(|difference| difference.key == **key))
        .count();
    let same = [
        wanted.rule.as_ref() == Some(&told.rule),
        wanted.send_to.as_ref() == Some(&told.send_to),
        wanted.reason == Some(told.reason),
    ];
    let names_none = wanted.rule.is_none() && wanted.send_to.is_none() && wanted.reason.is_none();
    let at_its_time = names_none && wanted.at.is_some() && differs == 0;
    differs <= 1 && same.into_iter().any(|same| same) || at_its_time
}

/// What held a message that was expected to be sent.
fn held(scenario: &Scenario, expected: &Expected, told: &[Told], free: &[usize]) -> Option<HeldBy> {
    if expected.held_by.is_some() {
        return None;
    }
    free.iter().map(|index| &told[*index]).find_map(|told| {
        let held_by = told.held_by?;
        // Nothing was rendered of it.
        let as_held = Expected {
            held_by: Some(held_by),
            text: None,
            text_contains: Vec::new(),
            payload: None,
            ..expected.clone()
        };
        differences(scenario, &as_held, told).is_empty().then_some(held_by)
    })
}

/// In what a message differs from an expectation.
pub(super) fn differences(
    scenario: &Scenario,
    expected: &Expected,
    told: &Told,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut note = |key, wanted: String, got: String| found.push(Difference { key, wanted, got });
    let at = |at| offset(scenario.start, at);
    if let Some(wanted) = expected.at.map(at).filter(|wanted| *wanted != at(told.at)) {
        note("at", wanted, at(told.at));
    }
    for (key, wanted, got) in
        [("rule", &expected.rule, &told.rule), ("send_to", &expected.send_to, &told.send_to)]
    {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != got) {
            note(key, wanted.to_string(), got.to_string());
        }
    }
    if let Some(wanted) = expected.reason.filter(|wanted| *wanted != told.reason) {
        note("reason", wanted.to_string(), told.reason.to_string());
    }
    if let Some(wanted) = expected.severity.filter(|wanted| *wanted != told.severity) {
        note("severity", wanted.to_string(), told.severity.to_string());
    }
    if let Some(wanted) = expected.count.filter(|wanted| *wanted != told.count) {
        note("count", wanted.to_string(), told.count.to_string());
    }
    if expected.held_by != told.held_by {
        let word =
            |by: Option<HeldBy>| by.map_or("nothing: it is sent".to_owned(), |by| by.to_string());
        note("held_by", word(expected.held_by), word(told.held_by));
    }
    if told.held_by.is_none() {
        found.extend(said_otherwise(expected, told));
    }
    found
}

/// In what the text and payload of a message differ.
fn said_otherwise(expected: &Expected, told: &Told) -> Vec<Difference> {
    let mut found = Vec::new();
    let got = told.text.trim_end_matches('\n');
    if let Some(wanted) = &expected.text
        && wanted.trim_end_matches('\n') != got
    {
        let wanted = wanted.trim_end_matches('\n').to_owned();
        found.push(Difference { key: "text", wanted, got: got.to_owned() });
    }
    for wanted in &expected.text_contains {
        if !contains(told, wanted) {
            let (wanted, got) = (wanted.clone(), got.to_owned());
            found.push(Difference { key: "text_contains", wanted, got });
        }
    }
    if let Some(wanted) = &expected.payload {
        let of_each = told.payloads.iter().map(|payload| lacking(wanted, Some(payload), ""));
        // Of a message in parts the one that comes nearest is shown.
        let nearest = of_each.min_by_key(Vec::len).unwrap_or_else(|| lacking(wanted, None, ""));
        found.extend(nearest);
    }
    found
}

/// Whether a text is part of what is told, or of one text of its JSON.
pub(super) fn contains(told: &Told, text: &str) -> bool {
    let text = text.trim_end_matches('\n');
    let mut said = Vec::new();
    told.payloads.iter().for_each(|payload| leaves(payload, &mut said));
    told.text.contains(text) || said.iter().any(|said| said.contains(text))
}

/// What of the wanted JSON is not part of the other: objects may hold more keys, lists not more
/// items.
fn lacking(wanted: &Value, got: Option<&Value>, path: &str) -> Vec<Difference> {
    match (wanted, got) {
        (Value::Object(map), Some(Value::Object(other))) => map
            .iter()
            .flat_map(|(key, wanted)| lacking(wanted, other.get(key), &format!("{path}.{key}")))
            .collect(),
        (Value::Array(items), Some(Value::Array(others))) if items.len() == others.len() => {
            let pairs = items.iter().zip(others).enumerate();
            pairs
                .flat_map(|(at, (wanted, got))| {
                    lacking(wanted, Some(got), &format!("{path}[{at}]"))
                })
                .collect()
        }
        (wanted, Some(got)) if same(wanted, got) => Vec::new(),
        (wanted, got) => {
            let got = got.map_or("nothing".to_owned(), ToString::to_string);
            let (path, wanted) = (path.trim_start_matches('.'), wanted.to_string());
            let told = if path.is_empty() { wanted } else { format!("{path}: {wanted}") };
            vec![Difference { key: "payload", wanted: told, got }]
        }
    }
}

/// Whether two scalars are the same; numbers by their value.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.is_number() && other.is_number() && one.as_f64() == other.as_f64()
}
