//! Conditions over a webhook's answers, as they are written: `{status: 2xx, /errcode: 0}`.
//!
//! A map is tests that hold together, a list any of its maps. Under a JSON pointer stands a value, a
//! list of values, or operators, as under a field in a rule. Deliberately absent: what follows from
//! a condition, which the adapter says.

use crate::{
    adapters::receivers::{
        Answers, Branch, Pointer, PointerError, Predicate, Subject, Test, Wait, Want,
    },
    document::{Code, Entry, MapReader, Problem, Value, nearest},
};

use super::{values::seconds, webhook::status_set};

/// Reads the keys that say what answers mean.
pub(super) fn answers(map: &mut MapReader<'_>) -> Answers {
    let mut when = |key| map.get(key).and_then(predicate);
    Answers {
        success_when: when("success_when"),
        throttle_when: when("throttle_when"),
        retry_when: when("retry_when"),
        disable_when: when("disable_when"),
        retry_after: map.get("retry_after").map(waits).unwrap_or_default(),
        capture: map.get("capture").map(capture).unwrap_or_default(),
    }
}

fn predicate(value: Value<'_>) -> Option<Predicate> {
    let branches = if value.is_list() { value.some()? } else { vec![value] };
    let read: Vec<Option<Branch>> = branches.into_iter().map(branch).collect();
    read.into_iter().collect::<Option<Vec<_>>>().map(Predicate)
}

fn branch(value: Value<'_>) -> Option<Branch> {
    let entries = value.entries()?;
    if entries.is_empty() {
        let problem = value.problem(Code::Empty, "this condition asks for nothing");
        value.add(problem.help("write what has to hold: `{status: 2xx, /errcode: 0}`"));
        return None;
    }
    let mut branch = Branch::default();
    let mut sound = true;
    for (entry, value) in entries {
        if &*entry.key.text == "status" {
            branch.status = status_set(value);
            sound &= branch.status.is_some();
            continue;
        }
        let tests = subject(entry, value).zip(wants(value));
        sound &= tests.is_some();
        let (subject, wants) = tests.unwrap_or((Subject::Body, Vec::new()));
        branch.tests.extend(wants.into_iter().map(|want| Test { of: subject.clone(), want }));
    }
    sound.then_some(branch)
}

/// What a key of a condition looks at.
fn subject(entry: &Entry, value: Value<'_>) -> Option<Subject> {
    let key = &*entry.key.text;
    if key == "body" {
        return Some(Subject::Body);
    }
    let error = match key.parse() {
        Ok(pointer) => return Some(Subject::At(pointer)),
        Err(error) => error,
    };
    let near = nearest(key, ["status", "body"]).map(str::to_owned);
    let help = near.or_else(|| meant(key, error)).map(|near| format!("did you mean `{near}`?"));
    let problem = Problem::new(Code::BadPointer, format!("`{key}` is nothing to look at: {error}"));
    let known = ["status", "body", "/a/json/pointer"];
    let problem = problem.at(value.file(), entry.key.span).known("keys of a condition", known);
    value.add(problem.maybe_help(help));
    None
}

/// The pointer that was most likely meant by a text that is none.
fn meant(text: &str, error: PointerError) -> Option<String> {
    let text = text.trim_start_matches("$.").trim();
    let fits = error == PointerError::NoSlash && !text.is_empty() && !text.contains(['$', ' ']);
    fits.then(|| format!("/{}", text.replace('.', "/")))
}

fn pointer(value: Value<'_>) -> Option<Pointer> {
    let text = value.text_as("a JSON pointer like `/id`")?;
    let parsed = text.parse();
    parsed.map_err(|error| value.add(no_pointer(value, text, error))).ok()
}

fn no_pointer(value: Value<'_>, text: &str, error: PointerError) -> Problem {
    let meant = meant(text, error).filter(|_| !value.is_expanded());
    let help = meant.map(|near| format!("did you mean `{near}`?"));
    let message = format!("{} is no JSON pointer: {error}", value.found());
    value.problem(Code::BadPointer, message).maybe_help(help)
}

/// What a value has to be: a value, one of a list, or what operators say.
fn wants(value: Value<'_>) -> Option<Vec<Want>> {
    if !value.is_map() {
        return Some(vec![Want::Is(texts(value)?)]);
    }
    let mut map = value.map()?;
    let mut wants = Vec::new();
    let mut sound = true;
    let mut take = |written: Option<Option<Want>>| {
        sound &= !matches!(written, Some(None));
        wants.extend(written.flatten());
    };
    for (key, make) in [
        ("is", Want::Is as fn(Vec<String>) -> Want),
        ("in", Want::Is),
        ("not", Want::Not),
        ("contains", Want::Contains),
    ] {
        take(map.get(key).map(|value| texts(value).map(make)));
    }
    for (key, make) in [("min", Want::Min as fn(f64) -> Want), ("max", Want::Max)] {
        take(map.get(key).map(|value| number(value).map(make)));
    }
    take(map.get("exists").map(|value| value.boolean().map(Want::Exists)));
    if wants.is_empty() && sound && map.value().entries().is_none_or(|all| all.is_empty()) {
        value.add(value.problem(Code::Empty, format!("`{}` asks for nothing", value.key())));
        sound = false;
    }
    map.finish_as(Code::UnknownOperator, "operators", |key| format!("`{key}` is no operator here"));
    sound.then_some(wants)
}

fn number(value: Value<'_>) -> Option<f64> {
    let text = value.text_as("a number")?;
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    if number.is_none() {
        let message = format!("`{}` takes a number", value.key());
        value.add(value.problem(Code::BadNumber, message));
    }
    number
}

fn texts(value: Value<'_>) -> Option<Vec<String>> {
    let items = if value.is_list() { value.some()? } else { vec![value] };
    let texts: Vec<_> = items.iter().map(|item| item.raw_text().map(str::to_owned)).collect();
    texts.into_iter().collect()
}

/// Where an answer says how long to wait: pointers and a duration, in the order in which they are
/// tried.
fn waits(value: Value<'_>) -> Vec<Wait> {
    let items = value.some().unwrap_or_default().into_iter();
    let wait = |item: Value<'_>| {
        let text = item.text_as("a JSON pointer, or a duration")?;
        if text.starts_with(|letter: char| letter.is_ascii_digit()) {
            return item.duration(seconds(1)..=seconds(3600)).map(Wait::Fixed);
        }
        pointer(item).map(Wait::At)
    };
    items.filter_map(wait).collect()
}

/// What is kept of an answer: `name: /pointer`.
fn capture(value: Value<'_>) -> Vec<(String, Pointer)> {
    let entries = value.named("captured value").unwrap_or_default().into_iter();
    entries
        .filter_map(|(entry, value)| Some((entry.key.text.to_string(), pointer(value)?)))
        .collect()
}
