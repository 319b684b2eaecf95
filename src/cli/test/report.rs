//! How tests went, for people: a line a file, what failed in detail, totals.
//!
//! Deliberately absent: what is compared (`compare`), and reports for programs.

use std::fmt::Write as _;

use super::{
    Ran, RanFile,
    compare::{Difference, offset},
    play::Told,
};
use crate::{
    cli::load::plural, cli::table::printable, config::Expected, domain::notification::HeldBy,
};

/// The most messages of one kind that are listed of a test.
const MOST_LISTED: usize = 20;

/// The whole report.
pub(super) fn text(ran: &[RanFile<'_>]) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    for file in ran {
        let (name, all, failed) = (file.file.file.name(), file.tests.len(), file.failed());
        let _ = match failed {
            0 => writeln!(text, "ok      {name}  {}", plural(all, "test")),
            _ => writeln!(text, "FAILED  {name}  {failed} of {}", plural(all, "test")),
        };
    }
    for file in ran {
        for test in file.tests.iter().filter(|ran| !ran.outcome.passed()) {
            let (name, line) = (file.file.file.name(), test.scenario.line);
            let _ = writeln!(text, "\n{name}:{line}: {}", printable(&test.scenario.name));
            text.push_str(&details(test));
        }
    }
    let (all, failed) = totals(ran);
    let _ = writeln!(
        text,
        "\n{} in {}: {} passed, {failed} failed",
        plural(all, "test"),
        plural(ran.len(), "file"),
        all - failed
    );
    text
}

/// How many tests there are, and how many of them failed.
pub(super) fn totals(ran: &[RanFile<'_>]) -> (usize, usize) {
    let all = ran.iter().map(|file| file.tests.len()).sum();
    (all, ran.iter().map(RanFile::failed).sum())
}

/// What was wrong with one test.
pub(super) fn details(ran: &Ran<'_>) -> String {
    let Ran { scenario, told, outcome, .. } = ran;
    let mut text = String::new();
    let expected = |index: usize| {
        let expected = &scenario.expect[index];
        (wanted(scenario.start, expected), expected.line)
    };
    for (index, by) in outcome.missing.iter().take(MOST_LISTED) {
        let (what, line) = expected(*index);
        let _ = writeln!(text, "  missing     {what}  (line {line})");
        if let Some(by) = by {
            let _ = writeln!(text, "              it was decided, and held by {by}");
        }
    }
    for (index, other, found) in outcome.differing.iter().take(MOST_LISTED) {
        let (what, line) = expected(*index);
        let _ = writeln!(text, "  differs     {what}  (line {line})");
        text.push_str(&differences(found, told[*other].held_by));
    }
    for index in outcome.unexpected.iter().take(MOST_LISTED) {
        let _ = writeln!(text, "  unexpected  {}", got(scenario.start, &told[*index]));
    }
    for index in outcome.broken.iter().take(MOST_LISTED) {
        let told = &told[*index];
        let why = told.broken.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  template    {}", got(scenario.start, told));
        let _ = writeln!(text, "              failed: {}", printable(why));
    }
    let listed = [
        outcome.missing.len(),
        outcome.differing.len(),
        outcome.unexpected.len(),
        outcome.broken.len(),
    ];
    let more: usize = listed.iter().map(|count| count.saturating_sub(MOST_LISTED)).sum();
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}

/// An expectation in a line.
fn wanted(start: jiff::Timestamp, expected: &Expected) -> String {
    let at = expected.at.map_or("any time".to_owned(), |at| offset(start, at));
    let rule = expected.rule.as_deref().unwrap_or("any rule");
    let to = expected.send_to.as_deref().unwrap_or("anybody");
    let reason = expected.reason.map_or("any reason", |reason| reason.name());
    line(&at, rule, to, reason, expected.held_by)
}

/// A message in a line.
pub(super) fn got(start: jiff::Timestamp, told: &Told) -> String {
    let at = offset(start, told.at);
    let mut line = line(&at, &told.rule, &told.send_to, told.reason.name(), told.held_by);
    if told.count > 1 {
        let _ = write!(line, " × {}", told.count);
    }
    line
}

fn line(at: &str, rule: &str, to: &str, reason: &str, held_by: Option<HeldBy>) -> String {
    let held = held_by.map_or(String::new(), |by| format!(", held by {by}"));
    format!("{at:<4} {} → {}  {reason}{held}", printable(rule), printable(to))
}

fn differences(found: &[Difference], held_by: Option<HeldBy>) -> String {
    let mut text = String::new();
    for Difference { key, wanted, got } in found {
        let _ = match *key {
            "text" => {
                let _ = writeln!(text, "      text      - wanted, + got");
                by_line(wanted, got).into_iter().try_for_each(|(sign, line)| {
                    writeln!(text, "        {sign} {}", printable(line))
                })
            }
            "text_contains" if held_by.is_none() => {
                let _ = writeln!(text, "      {key}  wanted {wanted:?} in");
                got.lines().try_for_each(|line| writeln!(text, "        | {}", printable(line)))
            }
            _ => writeln!(
                text,
                "      {key:<8}  wanted {}, got {}",
                printable(wanted),
                printable(got)
            ),
        };
    }
    text
}

/// Lines that both have, that only the first has (`-`), and that only the second has (`+`).
fn by_line<'t>(wanted: &'t str, got: &'t str) -> Vec<(char, &'t str)> {
    /// Beyond this the two are shown one after the other.
    const MOST: usize = 400;
    let (one, other): (Vec<_>, Vec<_>) = (wanted.lines().collect(), got.lines().collect());
    if one.len().max(other.len()) > MOST {
        let minus = one.into_iter().map(|line| ('-', line));
        return minus.chain(other.into_iter().map(|line| ('+', line))).collect();
    }
    // How long the longest common sequence is of what follows each pair of places.
    let mut common = vec![vec![0_usize; other.len() + 1]; one.len() + 1];
    for at in (0..one.len()).rev() {
        for of in (0..other.len()).rev() {
            common[at][of] = if one[at] == other[of] {
                common[at + 1][of + 1] + 1
            } else {
                common[at + 1][of].max(common[at][of + 1])
            };
        }
    }
    let (mut at, mut of, mut lines) = (0, 0, Vec::new());
    while at < one.len() || of < other.len() {
        if at < one.len() && of < other.len() && one[at] == other[of] {
            lines.push((' ', one[at]));
            (at, of) = (at + 1, of + 1);
        } else if of == other.len() || at < one.len() && common[at + 1][of] >= common[at][of + 1] {
            lines.push(('-', one[at]));
            at += 1;
        } else {
            lines.push(('+', other[of]));
            of += 1;
        }
    }
    lines
}
