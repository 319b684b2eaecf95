//! Tests in words: what a verdict says was wanted, as a person would write it in a rule.
//!
//! Deliberately absent: reading such words (`config`).

use std::{fmt::Write, time::Duration};

use super::{
    clause::Test,
    field::{Field, FieldKind},
};

/// How many members of a list are named.
const MAX_LISTED: usize = 20;

/// How many characters of a text are shown.
const MAX_SHOWN: usize = 500;

/// A test as it would be written in a rule: `shop/*`, `not 0`, `[a, b]`, `min 400`. An operator is
/// named only where a bare value on that field would mean another.
pub(super) fn wanted(field: Field, test: &Test, negated: bool) -> String {
    let bare = field.kind();
    let named = |operator: &'static str, kind: FieldKind| if kind == bare { "" } else { operator };
    let (operator, value) = match test {
        Test::Is(texts) => (named("is", FieldKind::Exact), list(texts.iter().map(|text| &**text))),
        Test::IsNumber(numbers) => {
            (named("is", FieldKind::Number), list(numbers.iter().map(i64::to_string)))
        }
        Test::Glob(globs) => {
            (named("glob", FieldKind::Glob), list(globs.iter().map(|glob| glob.text())))
        }
        Test::Regex(patterns) => {
            (named("regex", FieldKind::Regex), list(patterns.iter().map(|pattern| pattern.text())))
        }
        Test::Contains(texts) => {
            (named("contains", FieldKind::Contains), list(texts.iter().map(|text| &**text)))
        }
        Test::Min(number) => ("min", number.to_string()),
        Test::Max(number) => ("max", number.to_string()),
        Test::NotBefore(instant) => ("min", instant.to_string()),
        Test::NotAfter(instant) => ("max", instant.to_string()),
        Test::Since(age) => ("since", duration(*age)),
        Test::Exists(wanted) => ("exists", wanted.to_string()),
    };
    let words = [if negated { "not" } else { "" }, operator, &value];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A test in the words of an expression, or their opposite.
pub(super) fn said(text: &str, opposite: bool) -> String {
    let text = shortened(text);
    if opposite { format!("!({text})") } else { text }
}

/// One value alone, several as `[a, b]`. An empty text is shown as `''`.
fn list<T: AsRef<str>>(values: impl ExactSizeIterator<Item = T>) -> String {
    let count = values.len();
    let mut out = String::new();
    for (index, value) in values.take(MAX_LISTED).enumerate() {
        let value = value.as_ref();
        out.push_str(if index == 0 { "" } else { ", " });
        out.push_str(if value.is_empty() { "''" } else { value });
    }
    if count > MAX_LISTED {
        let _ = write!(out, ", … {} more", count - MAX_LISTED);
    }
    let out = shortened(&out);
    if count == 1 { out } else { format!("[{out}]") }
}

/// A text, cut with a mark that says how much is missing where it is very long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => {
            format!("{}… ({} characters more)", &text[..end], text[end..].chars().count())
        }
    }
}

/// A duration as rules write it, in the largest unit that divides it: `90m`, `2h`, `30d`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() != 0 || seconds == 0 {
        return format!("{duration:?}");
    }
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let unit = units.into_iter().find(|(_, length)| seconds.is_multiple_of(*length));
    let (name, length) = unit.unwrap_or(("s", 1));
    format!("{}{name}", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::expression::{Glob, Pattern};

    #[test]
    fn a_test_is_said_as_it_would_be_written() {
        let glob = || Test::Glob(vec![Glob::new("shop/*").unwrap()]);
        let regex = || Test::Regex(vec![Pattern::new(r"v\d+").unwrap()]);
        for (field, test, negated, words) in [
            (Field::Repo, glob(), false, "shop/*"),
            (Field::Tag, glob(), false, "glob shop/*"),
            (Field::Tag, regex(), false, r"v\d+"),
            (Field::Repo, regex(), true, r"not regex v\d+"),
            (Field::ReturnCode, Test::IsNumber(vec![0]), true, "not 0"),
            (Field::ReturnCode, Test::IsNumber(vec![1, 2]), false, "[1, 2]"),
            (Field::Service, Test::Is(vec!["api".into(), "".into()]), false, "is [api, '']"),
            (Field::ReturnMsg, Test::Contains(vec!["超时".into()]), false, "超时"),
            (Field::ReturnCode, Test::Min(400), false, "min 400"),
            (Field::Time, Test::Since(Duration::from_secs(7200)), false, "since 2h"),
            (Field::Time, Test::Since(Duration::from_secs(5400)), false, "since 90m"),
            (Field::Service, Test::Exists(false), false, "exists false"),
        ] {
            assert_eq!(wanted(field, &test, negated), words);
        }
    }

    #[test]
    fn long_lists_and_texts_are_cut_visibly() {
        let many = Test::IsNumber((0..25).collect());
        assert!(wanted(Field::ReturnCode, &many, false).ends_with("19, … 5 more]"));
        assert_eq!(
            shortened(&"超".repeat(501)),
            format!("{}… (1 characters more)", "超".repeat(500))
        );
    }
}
