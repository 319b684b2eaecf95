//! The schema of rule tests.
//!
//! Deliberately absent: which rules, receivers and sources there are, and what excludes what.

use serde_json::{Value, json};

use super::{
    clauses,
    shape::{Key, Scalars, defined, key, map, some, text, words},
};
use crate::{
    config::rule_test::reasons,
    domain::{
        field::{Field, FieldKind},
        notification::HeldBy,
        rule::Severity,
    },
};

const TESTS: Scalars = Scalars { expanded: false };

/// A test file.
pub(super) fn tests() -> Value {
    map([key("tests", "The scenarios", list(&scenario())).needed()])
}

fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn at() -> Value {
    TESTS.duration()
}

fn scenario() -> Value {
    map([
        key("name", "Reports know a test by it", text())
            .needed()
            .example("the second failure is silent"),
        key("start", "When it begins: RFC 3339, or a local time", text())
            .example("2026-03-02T09:00:00+08:00"),
        key("source", "Where entries come from that name no other", text()),
        key("entries_from", "A file of recorded entries, relative to this one", text())
            .example("day.jsonl"),
        key("until", "How long it lasts, from the start", at()).example("2h"),
        key("events", "What happens beside entries", list(&event())),
        key("entries", "What is taken in", list(&entry()))
            .example(json!([{"at": "0s", "repo": "shop/api", "tag": "v1.2.3", "returnCode": 1}])),
        key("expect", "What is to be told, and nothing else", list(&expectation()))
            .default(json!([]))
            .example(
                json!([{"at": "0s", "rule": "failed", "send_to": "ops", "reason": "failing"}]),
            ),
    ])
}

fn entry() -> Value {
    let fields = Field::ALL.iter().filter(|field| !matches!(field, Field::Source | Field::Time));
    let fields = fields.map(|&field| {
        // What stands behind is about comparing.
        let about = clauses::about(field).split(';').next().unwrap_or_default();
        key(field.name(), about, if field.kind() == FieldKind::Number { number() } else { text() })
    });
    let own: [Key; 3] = [
        key("at", "When it is taken in, from the start", at()).default("0s"),
        key("source", "The source that it comes from; else the scenario's", text()),
        key("time", "The row's own time: from the start, or an instant; else `at`", text()),
    ];
    map(own.into_iter().chain(fields))
}

fn number() -> Value {
    json!({"type": ["integer", "string"], "pattern": "^[+-]?[0-9]+$"})
}

fn event() -> Value {
    map([
        key("at", "When, from the start", at()).default("0s"),
        key("silence", "Somebody silences something", silence()),
        key("end_silence", "The name of a silence that somebody ends", text()),
        key("restart", "The service is killed, and begins anew", TESTS.boolean()),
        key("reload", "The rules of this file or folder are put in force", text()),
        key("unread", "The source is not read for so long", TESTS.duration()).example("2h"),
        key("source", "Which source is not read; else all", text()),
    ])
}

fn silence() -> Value {
    map([
        key("matchers", "What it asks of an entry, as `match` does", defined("clauses"))
            .needed()
            .example(json!({"service": "pay"})),
        key("for", "How long it lasts", TESTS.duration()).example("2h"),
        key("until", "next_success, or an instant", text()).example("next_success"),
        key("name", "By which `end_silence` knows it", text()),
    ])
}

fn expectation() -> Value {
    map([
        key("at", "When it is decided, from the start", at()),
        key("rule", "The rule that tells", text()),
        key("send_to", "The receiver; of several a message each", some(&text())),
        key("reason", "Why it is sent", words(reasons().into_iter().map(|(name, _)| name))),
        key("severity", "How grave it is", words(Severity::ALL.iter().map(|it| it.name()))),
        key("count", "For how many entries it stands", TESTS.whole(1, u64::MAX)),
        key(
            "held_by",
            "It is not sent, since this holds it",
            words(HeldBy::ALL.iter().map(|it| it.name())),
        ),
        key("text", "Its whole text", text()),
        key("text_contains", "Text that it contains", some(&text())),
        key("payload", "A part of the JSON that is sent", json!({}))
            .example(json!({"data": {"count": 2}})),
    ])
}
