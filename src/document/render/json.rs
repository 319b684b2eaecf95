//! Problems for programs.

use serde::Serialize;

use super::super::{Place, Problem, Problems};

#[derive(Serialize)]
struct Output<'a> {
    problems: Vec<One<'a>>,
    errors: usize,
    warnings: usize,
    left_out: &'a [String],
}

#[derive(Serialize)]
struct One<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    #[serde(flatten)]
    place: Option<Where<'a>>,
    path: Option<&'a str>,
    label: Option<&'a str>,
    related: Vec<Beside<'a>>,
    known: &'a [String],
    notes: &'a [String],
    help: Option<&'a str>,
}

#[derive(Serialize)]
struct Where<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    length: usize,
}

#[derive(Serialize)]
struct Beside<'a> {
    #[serde(flatten)]
    place: Where<'a>,
    message: &'a str,
}

/// The problems as one JSON object, over several lines: `problems`, each with `code severity message
/// file line column length path label related known notes help`, the counts `errors` and `warnings`,
/// and `left_out`, what was not looked at for warnings. Lines and columns count from 1, columns and lengths in Unicode scalar values.
pub fn json(problems: &Problems) -> String {
    let output = Output {
        problems: problems.iter().map(one).collect(),
        errors: problems.errors(),
        warnings: problems.warnings(),
        left_out: problems.left_out(),
    };
    // Only texts and numbers: there is nothing in it that JSON can't hold.
    serde_json::to_string_pretty(&output).unwrap_or_default() + "\n"
}

fn one(problem: &Problem) -> One<'_> {
    One {
        code: problem.code.name(),
        severity: problem.severity().name(),
        message: &problem.message,
        place: problem.place.as_ref().map(place),
        path: problem.path.as_deref(),
        label: problem.label.as_deref(),
        related: problem
            .related
            .iter()
            .map(|label| Beside { place: place(&label.place), message: &label.text })
            .collect(),
        known: problem.known.as_ref().map_or(&[], |known| &known.names),
        notes: &problem.notes,
        help: problem.help.as_deref(),
    }
}

fn place(place: &Place) -> Where<'_> {
    let position = place.position();
    Where {
        file: place.file.name(),
        line: position.line,
        column: position.column,
        length: place.length(),
    }
}
