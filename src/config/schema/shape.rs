//! The pieces that schemas are put together from: JSON Schema, draft 7.
//!
//! Deliberately absent: which keys there are.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{document::show_duration, domain::field::Field};

/// One key of a map.
pub(super) struct Key {
    name: &'static str,
    shape: Value,
    required: bool,
}

/// A key, what it does, and what its value may be.
pub(super) fn key(name: &'static str, about: &str, mut shape: Value) -> Key {
    shape["description"] = about.into();
    Key { name, shape, required: false }
}

impl Key {
    /// The same, where it can't be left out.
    pub(super) fn needed(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same with what holds where it is left out.
    pub(super) fn default(self, value: impl Into<Value>) -> Self {
        self.with("default", value.into())
    }

    /// The same with one way to write it.
    pub(super) fn example(self, value: impl Into<Value>) -> Self {
        self.with("examples", json!([value.into()]))
    }

    fn with(mut self, word: &str, value: Value) -> Self {
        self.shape[word] = value;
        self
    }
}

/// A map of these keys and no others.
pub(super) fn map(keys: impl IntoIterator<Item = Key>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys {
        if key.required {
            required.push(key.name);
        }
        properties.insert(key.name.to_owned(), key.shape);
    }
    let mut shape = json!({
        "type": "object", "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        shape["required"] = required.into();
    }
    shape
}

/// A map of names that are the user's.
pub(super) fn named(value: &Value) -> Value {
    let names = json!({"minLength": 1, "maxLength": 100});
    json!({"type": "object", "additionalProperties": value, "propertyNames": names})
}

/// A map in which exactly one of the keys says of what type it is.
pub(super) fn one_type(mut map: Value, types: &[&str]) -> Value {
    map["oneOf"] = types.iter().map(|name| json!({"required": [name]})).collect();
    map
}

/// A text; a scalar of any look is one.
pub(super) fn text() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

/// One value, or a list of them.
pub(super) fn some(item: &Value) -> Value {
    json!({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})
}

/// One value, or a list of them, which may be empty.
pub(super) fn any(item: &Value) -> Value {
    json!({"anyOf": [item, {"type": "array", "items": item}]})
}

/// A field's name.
pub(super) fn field() -> Value {
    words(Field::ALL.iter().map(|field| field.name()))
}

/// One of a few words.
pub(super) fn words(all: impl IntoIterator<Item = &'static str>) -> Value {
    json!({"enum": all.into_iter().collect::<Vec<_>>()})
}

/// Another shape, where it is defined.
pub(super) fn defined(name: &str) -> Value {
    // Draft 7 reads nothing beside a reference, so that it stands alone.
    json!({"allOf": [{"$ref": format!("#/definitions/{name}")}]})
}

/// The shape of a duration in words.
pub(super) fn shown(duration: Duration) -> Value {
    show_duration(duration).into()
}

/// Shapes of scalars, which in the configuration may be variables.
#[derive(Clone, Copy)]
pub(super) struct Scalars {
    /// `${VAR}` is expanded here.
    pub(super) expanded: bool,
}

impl Scalars {
    fn pattern(self, plain: &str) -> String {
        let variable = if self.expanded { r"|\$\{" } else { "" };
        format!("^({plain})${variable}")
    }

    /// A text of that pattern.
    pub(super) fn of(self, pattern: &str) -> Value {
        json!({"type": "string", "pattern": self.pattern(pattern)})
    }

    pub(super) fn duration(self) -> Value {
        self.of("[0-9]+[smhdw]")
    }

    pub(super) fn boolean(self) -> Value {
        json!({"type": ["boolean", "string"], "pattern": self.pattern("true|false")})
    }

    /// A whole number within bounds.
    pub(super) fn whole(self, least: u64, most: u64) -> Value {
        json!({
            "type": ["integer", "string"], "minimum": least, "maximum": most,
            "pattern": self.pattern("[0-9]+"),
        })
    }

    /// One of a few words.
    pub(super) fn word(self, all: impl IntoIterator<Item = &'static str>) -> Value {
        if !self.expanded {
            return words(all);
        }
        json!({"anyOf": [words(all), {"type": "string", "pattern": r"\$\{"}]})
    }
}
