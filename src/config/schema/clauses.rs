//! The schema of `match` and `recover`, from the fields that there are.
//!
//! Deliberately absent: what a clause means.

use serde_json::{Value, json};

use super::shape::{Key, Scalars, defined, key, map, some, text};
use crate::{
    config::rule_match::{NUMBER_OPERATORS, TEXT_OPERATORS, TIME_OPERATORS},
    domain::field::{Field, FieldKind},
};

const RULES: Scalars = Scalars { expanded: false };

/// Clauses, all of which must hold.
pub(super) fn clauses() -> Value {
    let list = json!({"type": "array", "items": defined("clauses"), "minItems": 1});
    let fields = Field::ALL.iter().map(|&field| key(field.name(), about(field), of_field(field)));
    map(fields.chain([
        key("any", "At least one of these holds", list.clone()),
        key("all", "All of these hold", list),
        key("not", "These do not hold together", defined("clauses")),
        key("cel", "An expression in CEL that is true of the entry", json!({"type": "string"}))
            .example("entry.returnCode >= 400 && entry.service.startsWith(\"pay\")"),
    ]))
}

/// What each kind of field may be compared with, under the kind's name.
pub(super) fn kinds() -> Vec<(&'static str, Value)> {
    let number = json!({"type": ["integer", "string"], "pattern": "^[+-]?[0-9]+$"});
    let of = |operators: &[&'static str], bare: Value, value: &Value| {
        let mut operators = map(operators.iter().map(|&name| operator(name, value)));
        operators["minProperties"] = 1.into();
        let mut shape = bare;
        match shape["anyOf"].as_array_mut() {
            Some(alternatives) => alternatives.push(operators),
            None => shape = operators,
        }
        shape
    };
    vec![
        ("numbers", of(&NUMBER_OPERATORS, some(&number), &number)),
        ("texts", of(&TEXT_OPERATORS, some(&text()), &text())),
        ("instants", of(&TIME_OPERATORS, json!({}), &json!({"type": "string"}))),
    ]
}

fn operator(name: &'static str, value: &Value) -> Key {
    match name {
        "is" => key(name, "Exactly this, or one of these", some(value)),
        "in" => key(name, "One of these", some(value)),
        "not" => key(name, "Not this, nor any of these, as a bare value is read", some(value)),
        "glob" => key(name, "A glob; `*` stops at `/`, `**` does not", some(value)),
        "regex" => key(name, "A regular expression, anchored at both ends", some(value)),
        "contains" => key(name, "Contained text", some(value)),
        "min" => key(name, "At least", value.clone()),
        "max" => key(name, "At most", value.clone()),
        "since" => key(name, "Not older than this duration", RULES.duration()).example("2h"),
        _ => key(name, "Whether the entry has the field at all", RULES.boolean()),
    }
}

fn of_field(field: Field) -> Value {
    defined(match field.kind() {
        FieldKind::Number => "numbers",
        FieldKind::Time => "instants",
        FieldKind::Glob | FieldKind::Regex | FieldKind::Contains | FieldKind::Exact => "texts",
    })
}

pub(super) const fn about(field: Field) -> &'static str {
    match field {
        Field::Repo => "The repository; a bare value is a glob, in which `*` stops at `/`",
        Field::Tag => "The image's tag; a bare value is a regular expression, anchored",
        Field::ReturnCode => "The result of the update; 0 is success, absent is unknown",
        Field::ReturnMsg => "The result's text; a bare value is contained text",
        Field::Service => "The service; a bare value is a glob",
        Field::Namespace => "The service's namespace; a bare value is a glob",
        Field::ClusterId => "The cluster; a bare value is a glob",
        Field::Container => "The container whose image was replaced; a bare value is a glob",
        Field::Trigger => "The trigger's name; a bare value is a glob",
        Field::Region => "The name of `clusterRegion`; a bare value is a glob",
        Field::ClusterRegion => "The cluster's region, as the registry numbers it",
        Field::InvokeMethod => "The trigger's condition: all, taglist or regex",
        Field::InvokeExpr => "What the condition compares with; a bare value is contained text",
        Field::InvokeSource => "What fired the trigger: IMAGE_PUSH",
        Field::InvokeAction => "What the trigger did: SERVICE_UPDATE",
        Field::AppId => "The account",
        Field::Source => "The configured source that the entry came from",
        Field::Time => "When the trigger fired: `min`, `max` or `since`",
    }
}
