//! How tests went, as XML in the form of `JUnit`: a suite a file, a case a scenario.
//!
//! Deliberately absent: coverage, for which that form has no place.

use std::{fmt::Write as _, time::Duration};

use super::{RanFile, report};

/// The whole report.
pub(super) fn xml(ran: &[RanFile<'_>]) -> String {
    let (all, failed) = report::totals(ran);
    let took = |times: &mut dyn Iterator<Item = Duration>| times.sum::<Duration>().as_secs_f64();
    let time = took(&mut ran.iter().flat_map(|file| file.tests.iter().map(|test| test.took)));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string can't fail.
    let _ = writeln!(
        xml,
        "<testsuites name=\"triggerbell\" tests=\"{all}\" failures=\"{failed}\" errors=\"0\" \
         time=\"{time:.6}\">"
    );
    for file in ran {
        let name = escaped(file.file.file.name());
        let time = took(&mut file.tests.iter().map(|test| test.took));
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\" \
             time=\"{time:.6}\">",
            file.tests.len(),
            file.failed()
        );
        for test in &file.tests {
            let case = escaped(&test.scenario.name);
            let _ = write!(
                xml,
                "    <testcase name=\"{case}\" classname=\"{name}\" file=\"{name}\" line=\"{}\" \
                 time=\"{:.6}\"",
                test.scenario.line,
                test.took.as_secs_f64()
            );
            if test.outcome.passed() {
                xml.push_str("/>\n");
            } else {
                let details = report::details(test);
                let message = escaped(&summary(test));
                let _ = writeln!(
                    xml,
                    ">\n      <failure message=\"{message}\">{}</failure>\n    </testcase>",
                    escaped(&details)
                );
            }
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// What was wrong, in a few words.
fn summary(test: &super::Ran<'_>) -> String {
    let counts = [
        (test.outcome.missing.len(), "missing"),
        (test.outcome.differing.len(), "different"),
        (test.outcome.unexpected.len(), "unexpected"),
        (test.outcome.broken.len(), "by a template that failed"),
    ];
    let said = counts.iter().filter(|(count, _)| *count > 0);
    said.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

/// A text as XML 1.0 can hold it, in an element and in an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            // No document can hold these.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other if other.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
