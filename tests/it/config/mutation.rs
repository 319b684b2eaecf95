//! No file, however broken, makes the reader panic, hang or grow without bound.

use std::{path::Path, time::Duration};

use proptest::prelude::*;
use triggerbell::{
    adapters::templates::{Settings, TemplateProblem, Templates},
    config::{self, Request},
    document::{File, MAX_PROBLEMS, Problems, json, sarif, text},
};

use super::{
    corpus,
    world::{check_text, load_text},
};
use crate::support::thread_time;

/// A change of a text at a place, given as a share of its length.
#[derive(Debug, Clone)]
enum Edit {
    Delete(f64, usize),
    Insert(f64, String),
    Repeat(f64, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let sign = prop::sample::select(vec![
        ":", ": ", "-", "- ", "\n", "\t", "  ", "{", "}", "[", "]", "'", "\"", "*", "&a ", "*a",
        "!", "|", ">", "#", "${", "${A}", "<<: ", "\\", "? ", "---\n", "\u{feff}", "é", "值", "\0",
        "\r\n", "%", "@", "`", ",", "1e9", "cel: '", "entry.", " && ", "((", "{{", "}}", "{{#if ",
        "{{/if}}", "{{{", "match: ", "any: [",
    ]);
    let place = || 0.0..1.0f64;
    let edit = prop_oneof![
        (place(), 1usize..20).prop_map(|(at, count)| Edit::Delete(at, count)),
        (place(), sign).prop_map(|(at, sign)| Edit::Insert(at, sign.to_owned())),
        (place(), 1usize..40).prop_map(|(at, count)| Edit::Repeat(at, count)),
    ];
    prop::collection::vec(edit, 1..8)
}

/// Ten levels of ten aliases each.
fn alias_bomb() -> String {
    let mut text = "a0: &a0 [{repo: shop/*}]\n".to_owned();
    for level in 1..10 {
        let before = level - 1;
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
    }
    text + "rules:\n  - name: x\n    match: {any: *a9}\n"
}

/// The character boundary at or before an index.
fn floor(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn apply(mut text: String, edits: &[Edit]) -> String {
    for edit in edits {
        let (Edit::Delete(share, _) | Edit::Insert(share, _) | Edit::Repeat(share, _)) = edit;
        let at = floor(&text, (text.len() as f64 * share) as usize);
        match edit {
            Edit::Delete(_, count) => {
                let end = floor(&text, at + count);
                text.replace_range(at..end.max(at), "");
            }
            Edit::Insert(_, sign) => text.insert_str(at, sign),
            Edit::Repeat(_, count) => {
                let end = floor(&text, at + count);
                let again = text[at..end.max(at)].to_owned();
                text.insert_str(at, &again);
            }
        }
    }
    text
}

fn show_all(problems: &Problems) {
    let shown = text(problems, true) + &json(problems) + &sarif(problems);
    assert!(shown.len() < 64 << 20);
    for problem in problems.iter() {
        if let Some(place) = &problem.place {
            assert!(place.span.start <= place.span.end);
            assert!(place.span.end as usize <= place.file.text().len());
        }
    }
}

/// The problems of a templates folder with one template.
fn check_template(name: &str, text: &str) -> Vec<TemplateProblem> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), text).unwrap();
    let settings = Settings { zone: jiff::tz::TimeZone::UTC, public_url: None };
    let problems = Templates::load(Some(folder.path()), settings).err().unwrap_or_default();
    for problem in &problems {
        assert!(problem.message.len() < 400, "{problem}");
    }
    problems
}

fn check_rules(text: String) -> Problems {
    let request = Request { config: None, data_dir: None, env: &|_| None };
    config::check_rules(vec![File::new("rules.yaml", text)], &request)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_mutated_file_is_read_to_its_end(which in any::<prop::sample::Index>(), edits in edits()) {
        let cases: Vec<_> = corpus().into_iter().filter(|path| path.is_file()).collect();
        let case = which.get(&cases);
        let text = apply(std::fs::read_to_string(case).unwrap(), &edits);
        let path = Path::new("tests/it/config/broken/triggerbell.yaml");
        let problems = load_text(path, &text);
        show_all(&problems.map_or_else(|problems| problems, |loaded| loaded.warnings));
        show_all(&check_text(path, &text));
        show_all(&check_rules(text));
    }
}

/// The problems of a test file of the shipped rules.
fn check_tests(text: String) -> Problems {
    let request = Request { config: None, data_dir: None, env: &|_| None };
    config::check_rules(vec![File::new("rules/mutated_test.yaml", text)], &request)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_mutated_test_file_is_read_to_its_end(which in any::<prop::sample::Index>(), edits in edits()) {
        let folders = ["tests/it/config/broken/rule-tests/rules", "rules", "examples/rules"];
        let files = folders.iter().flat_map(|folder| config::test_files(Path::new(folder)).unwrap());
        let cases: Vec<_> = files.collect();
        show_all(&check_tests(apply(std::fs::read_to_string(which.get(&cases)).unwrap(), &edits)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_mutated_template_is_read_to_its_end(which in any::<prop::sample::Index>(), edits in edits()) {
        let files = std::fs::read_dir("templates").unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.collect();
        files.sort();
        let path = which.get(&files);
        let name = path.file_name().unwrap().to_str().unwrap();
        check_template(name, &apply(std::fs::read_to_string(path).unwrap(), &edits));
    }
}

#[test]
fn a_template_that_nests_without_end_is_refused() {
    for text in [
        "{{#if entry.tag}}".repeat(10_000),
        "{{#if entry.tag}}".repeat(5_000) + &"{{/if}}".repeat(5_000),
        format!("{{{{#if {}entry.tag{}}}}}x{{{{/if}}}}", "(not ".repeat(5_000), ")".repeat(5_000)),
        "{{".repeat(60_000),
        "{{{{raw}}}}".repeat(10_000),
        "{{else}}".repeat(10_000),
        "{{#each entries}}".repeat(40) + &"{{/each}}".repeat(40),
    ] {
        let started = thread_time();
        assert!(!check_template("x.hbs", &text).is_empty(), "{}", &text[..40]);
        assert!(thread_time() - started < Duration::from_secs(20), "{}", &text[..40]);
    }
}

#[test]
fn what_is_too_much_is_refused_quickly() {
    let nine = |line: &str| line.repeat(9);
    let hostile = [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "a".repeat(5 << 20),
        format!("rules: [{}]", "x, ".repeat(600_000)),
        format!("rules:\n{}", "  - {}\n".repeat(200_000)),
        format!("rules:\n{}", "\t- a: b: c\n".repeat(2_000)),
        format!("rules:\n  - name: x\n    match: {}", "{not: ".repeat(40) + &"}".repeat(40)),
        format!("rules:\n  - name: x\n    match: {{tag: '{}'}}", "(a|b)*".repeat(10_000)),
        format!("rules:\n  - name: x\n    match: {{tag: '{}'}}", "(".repeat(4_000)),
        format!("rules:\n  - {}", nine("name: é\n    ")),
        format!("rules:\n  - name: x\n    match: {{tag: '{}'}}", "a{1000}".repeat(150_000)),
        format!("rules:\n  - name: x\n    match: {{repo: '{}'}}", "{a,".repeat(300_000)),
        format!(
            "rules:\n  - name: x\n    match: {{cel: '{}'}}",
            "entry.tag == \"a\" || ".repeat(50_000)
        ),
        format!("rules:\n  - name: x\n    match: {{cel: '{}'}}", "(".repeat(4_000)),
        format!("rules:\n  - name: x\n    match: {{cel: '{}'}}", "[1].map(x, ".repeat(300)),
        format!("rules:\n  - name: x\n    match: {{cel: '{}true'}}", "!-".repeat(2_000)),
        format!("rules:\n  - name: x\n    match: {{any: [{}]}}", "{cel: entry.a}, ".repeat(3_000)),
        alias_bomb(),
    ];
    for text in hostile {
        let begin = text.chars().take(40).collect::<String>();
        let started = thread_time();
        let problems = check_rules(text.clone());
        assert!(problems.errors() > 0);
        assert!(problems.iter().len() <= MAX_PROBLEMS);
        show_all(&problems);
        show_all(&check_text(Path::new("triggerbell.yaml"), &text));
        show_all(&check_tests(text));
        let took = thread_time() - started;
        assert!(took < Duration::from_secs(20), "{begin:?} took {took:?}");
        println!("{begin:?} took {took:?}");
    }
}
