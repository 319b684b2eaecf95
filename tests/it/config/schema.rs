//! The schemas: that they know the keys that `check` knows, that the shipped ones are those that the
//! program prints, and that an independent validator takes what is sound and refuses what is not.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use triggerbell::{
    config::{self, Request, Schema},
    document::{Code, File, Problem, Problems},
};

use super::docs::blocks;
use crate::support::python::{must, python};

/// The key that nobody knows, which makes `check` say which it knows.
const PROBE: &str = "zzz-probe";

/// A step from a document's root to a value.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Item,
}

/// Every map of known keys that a schema describes: the way to it, and its keys.
fn maps(schema: &Value) -> Vec<(Vec<Step>, BTreeSet<String>)> {
    let mut found = Vec::new();
    walk(schema, schema, &mut Vec::new(), &mut Vec::new(), &mut found);
    found
}

fn walk(
    root: &Value,
    shape: &Value,
    way: &mut Vec<Step>,
    inside: &mut Vec<String>,
    found: &mut Vec<(Vec<Step>, BTreeSet<String>)>,
) {
    for alternatives in ["anyOf", "allOf"] {
        for shape in shape[alternatives].as_array().into_iter().flatten() {
            walk(root, shape, way, inside, found);
        }
    }
    if let Some(name) = shape["$ref"].as_str().and_then(|it| it.strip_prefix("#/definitions/")) {
        // A definition within itself has the same keys.
        if !inside.iter().any(|it| it == name) {
            inside.push(name.to_owned());
            walk(root, &root["definitions"][name], way, inside, found);
            inside.pop();
        }
    }
    let step = |step, shape, way: &mut Vec<Step>, inside: &mut Vec<String>, found: &mut Vec<_>| {
        way.push(step);
        walk(root, shape, way, inside, found);
        way.pop();
    };
    if let Some(properties) = shape["properties"].as_object() {
        if !shape["patternProperties"].is_object() {
            found.push((way.clone(), properties.keys().cloned().collect()));
        }
        for (key, shape) in properties {
            step(Step::Key(key.clone()), shape, way, inside, found);
        }
    }
    if shape["additionalProperties"].is_object() {
        let named = &shape["additionalProperties"];
        step(Step::Key("one".to_owned()), named, way, inside, found);
    }
    if shape["items"].is_object() {
        step(Step::Item, &shape["items"], way, inside, found);
    }
}

/// Every key of a schema that says nothing of itself.
fn undescribed(shape: &Value, way: &str, found: &mut Vec<String>) {
    for keys in ["properties", "patternProperties"] {
        // Under `properties` a key of that very name may stand, which is a shape itself.
        for (key, shape) in shape[keys].as_object().into_iter().flatten() {
            if shape.is_object() && shape["description"].as_str().is_none_or(str::is_empty) {
                found.push(format!("{way}.{key}"));
            }
        }
    }
    match shape {
        Value::Object(inner) => {
            inner.iter().for_each(|(key, it)| undescribed(it, &format!("{way}.{key}"), found));
        }
        Value::Array(items) => items.iter().for_each(|it| undescribed(it, way, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_every_schema_says_what_it_is_for() {
    for schema in Schema::ALL {
        let text = fs::read_to_string(format!("schemas/{}.json", schema.name())).unwrap();
        let mut found = Vec::new();
        undescribed(&serde_json::from_str(&text).unwrap(), schema.name(), &mut found);
        assert!(found.is_empty(), "without a description: {found:#?}");
    }
}

/// A document that holds this value at the end of that way.
fn document(way: &[Step], value: Value) -> String {
    let wrap = |value, step: &Step| match step {
        Step::Key(key) => json!({key: value}),
        Step::Item => json!([value]),
    };
    way.iter().rev().fold(value, wrap).to_string()
}

/// What a file's schema is.
fn schema_of(file: &File) -> Schema {
    if config::is_test(file) {
        Schema::Tests
    } else if config::is_configuration(file) {
        Schema::Config
    } else {
        Schema::Rules
    }
}

fn check(schema: Schema, text: &str) -> Problems {
    let file = match schema {
        Schema::Tests => File::new("/nowhere/probe_test.yaml", text),
        _ => File::new("probe.yaml", text),
    };
    match schema {
        Schema::Config => {
            let path = Path::new("/nowhere/probe.yaml");
            let request = Request { config: Some(path), data_dir: None, env: &|_| None };
            config::check_file(path, file, &request).map_or_else(|it| it, |it| it.warnings)
        }
        Schema::Rules | Schema::Tests => {
            let none = Path::new("/nowhere/triggerbell.yaml");
            let request = Request { config: Some(none), data_dir: None, env: &|_| None };
            config::check_rules(vec![file], &request)
        }
    }
}

fn is_at(problem: &Problem, key: &str) -> bool {
    let place = problem.place.as_ref().unwrap();
    let start = usize::try_from(place.span.start).unwrap();
    place.file.text()[start..].trim_start_matches('"').starts_with(key)
}

fn unknown(problem: &Problem) -> bool {
    matches!(problem.code, Code::UnknownKey | Code::UnknownField | Code::UnknownOperator)
}

#[test]
fn check_knows_the_keys_that_the_schemas_know_and_no_others() {
    let mut keys = 0;
    for &schema in Schema::ALL {
        let document_of = schema.document();
        for (way, described) in maps(&document_of) {
            let text = document(&way, json!({PROBE: 1}));
            let problems = check(schema, &text);
            let probe = problems.iter().find(|it| unknown(it) && is_at(it, PROBE));
            let probe = probe.unwrap_or_else(|| panic!("{text} is taken: {problems:?}"));
            let mut known: BTreeSet<String> =
                probe.known.iter().flat_map(|it| &it.names).cloned().collect();
            if probe.code == Code::UnknownField {
                known.extend(["any", "all", "not", "cel"].map(str::to_owned));
            }
            let types = problems.iter().filter(|it| it.code == Code::OneTypeOnly);
            if way.len() == 2 {
                known.extend(types.flat_map(|it| &it.known).flat_map(|it| it.names.clone()));
            }
            for key in known.difference(&described) {
                // Operators that are known and never fit this kind of field are not offered.
                let refused = check(schema, &document(&way, json!({key: "1"})));
                assert!(
                    refused.iter().any(|it| it.code == Code::UnfitOperator),
                    "src/config/schema lacks `{key}`, which check takes in {text}"
                );
            }
            for key in &described {
                let text = document(&way, json!({key: {}}));
                let problems = check(schema, &text);
                let refused = problems.iter().find(|it| unknown(it) && is_at(it, key));
                assert!(refused.is_none(), "check does not know `{key}` of the schema: {text}");
                keys += 1;
            }
        }
    }
    assert!(keys > 250, "only {keys} keys were found");
}

#[test]
fn every_key_says_what_it_does() {
    fn each(shape: &Value, mute: &mut Vec<String>, seen: &mut usize) {
        for (key, inner) in shape["properties"].as_object().into_iter().flatten() {
            *seen += 1;
            if inner["description"].as_str().is_none_or(|text| text.len() < 4) {
                mute.push(key.clone());
            }
        }
        match shape {
            Value::Object(map) => map.values().for_each(|inner| each(inner, mute, seen)),
            Value::Array(list) => list.iter().for_each(|inner| each(inner, mute, seen)),
            _ => {}
        }
    }
    let (mut mute, mut seen) = (Vec::new(), 0);
    for schema in Schema::ALL {
        each(&schema.document(), &mut mute, &mut seen);
    }
    // The names under `status` and `body` of a condition are explained where they lie.
    mute.retain(|key| !["status", "body"].contains(&&**key));
    assert!(mute.is_empty() && seen > 150, "{seen} keys, of which without a word: {mute:?}");
}

/// Run with `SCHEMAS=write` to put them down anew.
#[test]
fn the_shipped_schemas_are_those_that_the_program_prints() {
    for schema in Schema::ALL {
        let path = format!("schemas/{}.json", schema.name());
        let printed = Command::new(env!("CARGO_BIN_EXE_triggerbell"))
            .args(["schema", schema.name()])
            .output()
            .unwrap();
        assert!(printed.status.success());
        if std::env::var("SCHEMAS").as_deref() == Ok("write") {
            fs::write(&path, &printed.stdout).unwrap();
        }
        let shipped = fs::read(&path).unwrap_or_default();
        let stale = format!("{path} is stale: `triggerbell schema {0} > {path}`", schema.name());
        assert!(shipped == printed.stdout, "{stale}");
    }
}

/// Every shipped YAML file with the schema that it is of.
fn shipped() -> Vec<(PathBuf, Schema)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["examples", "rules"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                let file = config::read_text(&path).unwrap();
                files.push((path, schema_of(&file)));
            }
        }
    }
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    files
}

#[test]
fn shipped_files_name_their_schema_for_editors() {
    for (path, schema) in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap();
        let named = first.strip_prefix("# yaml-language-server: $schema=");
        let named = named.unwrap_or_else(|| panic!("{} names no schema", path.display()));
        let target = fs::canonicalize(path.parent().unwrap().join(named)).unwrap();
        assert!(target.ends_with(format!("schemas/{}.json", schema.name())), "{}", path.display());
    }
}

/// The YAML of the pages with the schema that it is of; fragments of a rule are left out.
fn pages() -> Vec<(String, String, Schema)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("docs").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        if !text.contains("```yaml\n") {
            continue;
        }
        for (number, block) in blocks(path.to_str().unwrap()).into_iter().enumerate() {
            let name = format!("{}#{number}", path.display());
            let begins = |key: &str| block.lines().any(|line| line.starts_with(key));
            if begins("rules:") && !begins("rules: [") && !begins("sources:") {
                found.push((name, block, Schema::Rules));
            } else if begins("tests:") {
                found.push((name, block, Schema::Tests));
            } else if config::is_configuration(&File::new("block", block.clone())) {
                let lacks = if begins("sources:") { "" } else { "sources: {}\n" };
                found.push((name, format!("{lacks}{block}"), Schema::Config));
            }
        }
    }
    assert!(found.len() > 15, "{} blocks", found.len());
    found
}

/// A sample of the corpus of mistakes that a schema can see.
const BROKEN: &[&str] = &[
    "booleans.yaml",
    "durations.yaml",
    "one-field-in-snake-case.yaml",
    "one-key-in-capitals.yaml",
    "one-labels-as-list.yaml",
    "one-match-as-text.yaml",
    "one-mode-dry-run.yaml",
    "one-sources-as-list.yaml",
    "rule-tests/rules/a-unknown-keys_test.yaml",
    "rule-tests/rules/c-values_test.yaml",
    "rule-tests/rules/e-shapes_test.yaml",
    "unknown-key-rule.yaml",
    "unknown-key.yaml",
    "unknown-operator.yaml",
    "wrong-shape.yaml",
];

/// What the validator says of documents, a line for each.
fn validated(documents: &[(String, String, Schema)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let of = |schema: Schema| {
        let path = fs::canonicalize(format!("schemas/{}.json", schema.name())).unwrap();
        let own = documents.iter().filter(|(_, _, it)| *it == schema);
        let own: Vec<_> = own.map(|(name, text, _)| json!([name, text])).collect();
        json!({"schema": path, "documents": own})
    };
    let jobs = folder.path().join("jobs.json");
    let all: Vec<Value> = Schema::ALL.iter().map(|&schema| of(schema)).collect();
    fs::write(&jobs, Value::from(all).to_string()).unwrap();
    let said = must(Command::new(python("schema")).arg("tests/clients/schema.py").arg(&jobs));
    println!("{said}");
    said.lines().map(str::to_owned).collect()
}

#[test]
fn an_independent_validator_takes_what_is_sound_and_refuses_what_is_not() {
    let sound = shipped().into_iter().map(|(path, schema)| {
        (path.display().to_string(), fs::read_to_string(&path).unwrap(), schema)
    });
    // What is doubtful is for `check` to say.
    let none = "sources: {}\nrules: []\n".to_owned();
    let none = ("no-rules.yaml".to_owned(), none, Schema::Config);
    let sound: Vec<_> = sound.chain(pages()).chain([none]).collect();
    let broken = BROKEN.iter().map(|name| {
        let file = config::read_text(&Path::new(super::BROKEN).join(name)).unwrap();
        let schema = schema_of(&file);
        ((*name).to_owned(), file.text().to_owned(), schema)
    });
    let said = validated(&sound.iter().cloned().chain(broken).collect::<Vec<_>>());
    assert_eq!(said.len(), sound.len() + BROKEN.len());
    for (name, ..) in &sound {
        let line = said.iter().find(|line| line.contains(&format!(" {name}"))).unwrap();
        assert!(line.starts_with("valid "), "{line}");
    }
    for name in BROKEN {
        let line = said.iter().find(|line| line.contains(name)).unwrap();
        assert!(line.starts_with("refused "), "{line}");
    }
}
