//! Problems as SARIF 2.1.0, which code hosts show beside the lines of a change.

use serde_json::{Value, json};

use super::super::{Code, Place, Problem, Problems, Severity};

/// The problems as a SARIF log of one run, with every code as a rule.
pub fn sarif(problems: &Problems) -> String {
    let rules: Vec<Value> = Code::ALL.iter().map(|&code| rule(code)).collect();
    let results: Vec<Value> = problems.iter().map(result).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "triggerbell",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.name(),
        "shortDescription": {"text": code.title()},
        "fullDescription": {"text": code.explanation()},
        "defaultConfiguration": {"level": code.severity().name()},
    })
}

fn result(problem: &Problem) -> Value {
    let mut text = problem.message.clone();
    for note in &problem.notes {
        text = format!("{text}\n{note}");
    }
    if let Some(help) = &problem.help {
        text = format!("{text}\nhelp: {help}");
    }
    let related: Vec<Value> = problem
        .related
        .iter()
        .map(|label| {
            let mut location = location(&label.place);
            location["message"] = json!({"text": label.text});
            location
        })
        .collect();
    let level = match problem.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut result = json!({
        "ruleId": problem.code.name(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == problem.code),
        "level": level,
        "message": {"text": text},
        "locations": problem.place.iter().map(location).collect::<Vec<_>>(),
    });
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    result
}

fn location(place: &Place) -> Value {
    let start = place.position();
    let end = place.file.position(place.span.end);
    json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(place.file.name())},
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column.max(if end.line == start.line { start.column } else { 1 }),
        },
    }})
}

/// A path as a URI reference: `/` between its parts, what a URI can't hold percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.replace('\\', "/").bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
