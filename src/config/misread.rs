//! A glob where a regular expression is read, and the reverse: likely slips, told as warnings.
//!
//! Both languages are valid in each other's place and mean something else there. Only what a bare
//! value says is looked at: who writes `{glob: …}` or `{regex: …}` is believed. A value that what was
//! likely meant matches, and what is written does not, is shown. Deliberately absent: deciding what an
//! expression matches (`domain::lint`).

use crate::{
    document::{Code, Problem, Value},
    domain::{
        clause::Test,
        expression::{Glob, Pattern},
        field::Field,
        lint,
    },
};

/// What separates alternatives in a regular expression.
const EITHER: &str = "|";

/// Warns where a bare value of a field that reads regular expressions looks like a glob.
pub(super) fn glob_as_regex(field: Field, value: Value<'_>, pattern: &Pattern) {
    let text = pattern.text();
    if let Some(meant) = as_regex(text) {
        let message =
            format!("`{text}` looks like a glob, and `{field}` reads a regular expression");
        let problem =
            value.problem(Code::GlobAsRegex, message).label("`*` repeats the letter before it");
        let problem = match Pattern::new(&meant) {
            Ok(meant) => missing(
                problem,
                field,
                &Test::Regex(vec![meant]),
                &Test::Regex(vec![pattern.clone()]),
            ),
            Err(_) => problem,
        };
        value.add(problem.help(format!("write `{meant}`, or `{{glob: '{text}'}}`")));
    }
}

/// Warns where a bare value of a field that reads globs looks like a regular expression.
pub(super) fn regex_as_glob(field: Field, value: Value<'_>, glob: &Glob) {
    let text = glob.text();
    if let Some(sign) = sign_of_regex(text) {
        let message =
            format!("`{text}` looks like a regular expression, and `{field}` reads a glob");
        let label = match sign {
            ".*" | ".+" => format!("in a glob the `.` of `{sign}` is a plain dot"),
            _ => format!("`{sign}` means nothing in a glob"),
        };
        let instead = match sign {
            EITHER => "`{a,b}` for either of two",
            _ => "`*` for anything",
        };
        let problem = value.problem(Code::RegexAsGlob, message).label(label);
        let problem = missed_as_glob(problem, field, glob);
        value.add(problem.help(format!("write {instead}, or `{{regex: '{text}'}}`")));
    }
}

/// Adds a value that a glob's text matches as a regular expression, and not as the glob.
pub(super) fn missed_as_glob(problem: Problem, field: Field, glob: &Glob) -> Problem {
    match Pattern::new(glob.text()) {
        Ok(meant) => {
            missing(problem, field, &Test::Regex(vec![meant]), &Test::Glob(vec![glob.clone()]))
        }
        Err(_) => problem,
    }
}

/// Adds a value that one test holds for and the other does not.
fn missing(problem: Problem, field: Field, meant: &Test, written: &Test) -> Problem {
    match lint::told_apart(field, meant, written).filter(|value| !value.is_empty()) {
        Some(value) => problem.note(format!("it does not match `{value}`")),
        None => problem,
    }
}

/// The regular expression for a text that is most likely a glob; `None` for any other text.
///
/// A `*` that follows nothing or a plain character, and no sign of a regular expression beside it.
pub(super) fn as_regex(text: &str) -> Option<String> {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '/');
    let mut starred = false;
    let mut before = None;
    for letter in text.chars() {
        match letter {
            '*' if before.is_none_or(|before| plain(before) || before == '*') => starred = true,
            '*' | '\\' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '+' | '^' | '$' => return None,
            _ => {}
        }
        before = Some(letter);
    }
    starred.then(|| text.replace('.', "\\.").replace("**", "*").replace('*', ".*"))
}

/// What gives a regular expression away in a text that is read as a glob.
pub(super) fn sign_of_regex(text: &str) -> Option<&'static str> {
    if text.starts_with('^') {
        return Some("^");
    }
    if text.ends_with('$') {
        return Some("$");
    }
    if has_alternatives(text) {
        return Some(EITHER);
    }
    ["\\d", "\\w", "\\s", "\\.", "\\b", ".*", ".+", "]+", "]*", ")?", ")+", "(?"]
        .into_iter()
        .find(|sign| text.contains(sign))
}

/// Whether there is a `|` between brackets, as in `(prod|canary)`. One alone may be part of a name.
fn has_alternatives(text: &str) -> bool {
    let within = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    within.is_some_and(|(within, _)| within.contains(EITHER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_told_from_regular_expressions() {
        for (text, meant) in [
            ("test*", Some("test.*")),
            ("*-prod", Some(".*-prod")),
            ("release-*", Some("release-.*")),
            ("v1.2*", Some("v1\\.2.*")),
            ("**", Some(".*")),
            ("v.*", None),
            ("v\\d*", None),
            ("[0-9]*", None),
            ("(a|b)*", None),
            ("v1.2.3", None),
            ("latest", None),
        ] {
            assert_eq!(as_regex(text).as_deref(), meant, "for {text:?}");
        }
        for (text, sign) in [
            ("shop/.*", Some(".*")),
            ("^shop/api$", Some("^")),
            ("api-\\d", Some("\\d")),
            ("(prod|canary)", Some("|")),
            ("shop/(api|web)-*", Some("|")),
            ("构建|部署", None),
            ("web (old)", None),
            ("shop/*", None),
            ("shop/{api,web}", None),
            ("api-[0-9]", None),
        ] {
            assert_eq!(sign_of_regex(text), sign, "for {text:?}");
        }
    }
}
