//! Trying a JSON template on samples at load: what breaks on a quote in a tag, or in the branch of
//! one reason only, is found before the night it would have been needed.

use super::{
    ReceiverType, Settings, TemplateProblem,
    escape::Written,
    eval::{TooMuch, Trace},
    form,
    place::Places,
    sample::{Sample, sample_contexts},
    template::Compiled,
};
use crate::domain::late::stand_in;

/// Tries a template for one type of receiver; the first sample that it fails on makes the problem.
pub(super) fn run(
    template: &Compiled,
    source: &str,
    kind: ReceiverType,
    settings: &Settings,
) -> Option<TemplateProblem> {
    if !template.is_json() {
        return None;
    }
    sample_contexts(|sample, context| {
        let mut trace = Trace::new();
        let wrote = template.write(kind, "sample", context, settings, usize::MAX, Some(&mut trace));
        let output = match wrote {
            Ok(Written::Whole(output)) => output,
            // A trial writes stand-ins.
            Ok(Written::Pieces(pieces)) => stand_in(&pieces),
            Err(TooMuch::Output) => return None,
            Err(TooMuch::Passes) => {
                let message = "its `each` blocks go on too long".to_owned();
                return Some(TemplateProblem::of_file(template.path(), message, None));
            }
        };
        let problem = form::parse(kind, &output)?;
        Some(placed(
            template.path(),
            source,
            &output,
            &trace,
            &problem,
            sample,
            context.reason.name(),
        ))
    })
}

/// The problem, where the template wrote what is wrong.
fn placed(
    path: &str,
    source: &str,
    output: &str,
    trace: &Trace,
    problem: &form::NotJson,
    sample: Sample,
    reason: &str,
) -> TemplateProblem {
    let mut places = Places::new(output);
    places.go_to(problem.line.max(1), problem.column.max(1));
    let in_output = places.here();
    let piece = trace.partition_point(|(start, _)| *start <= in_output);
    let Some((start, at)) = piece.checked_sub(1).and_then(|index| trace.get(index)) else {
        return TemplateProblem::of_file(path, problem.message.clone(), None);
    };
    // Within a piece of the template's own text the place is exact; a value's is its tag.
    let shift = in_output - start;
    let same = source.get(*at..at + shift).is_some_and(|text| output[*start..].starts_with(text));
    let at = if same && source.is_char_boundary(at + shift) { at + shift } else { *at };
    let (line, column) = Places::new(source).line_column(at.min(source.len()));
    let near: String = output[in_output..].chars().take(24).collect();
    let message = format!(
        "the message is not sound JSON: {} (with the sample `{}` and the reason `{reason}`)",
        problem.message,
        sample.name()
    );
    let help = if near.trim().is_empty() {
        "write texts as \"{{x}}\" or {{json x}}, and no comma after the last of a list".to_owned()
    } else {
        format!("it went wrong at: {near}")
    };
    TemplateProblem { path: path.to_owned(), line, column, len: 1, message, help: Some(help) }
}
