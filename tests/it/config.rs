//! The configuration through its front door: files in, a checked whole or every problem out.
//!
//! `config/broken/` holds files with mistakes. Each has the diagnostics that a person sees beside it
//! as a reviewed snapshot; a rule file is read as if `config/sound/triggerbell.yaml` named it.

mod docs;
mod mutation;
mod schema;
mod sound;
mod world;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use triggerbell::document::{Code, Problems, json, sarif, text};

use world::{BROKEN, DOUBTFUL, check_file, doubts_about, problems_of};

/// The files and folders of the corpus, in order.
fn corpus() -> Vec<PathBuf> {
    let cases = cases_in(BROKEN);
    assert!(cases.len() >= 150, "the corpus has {} cases", cases.len());
    cases
}

fn cases_in(folder: &str) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|name| name == "yaml"))
        .collect();
    cases.sort();
    cases
}

fn shown(problems: &Problems) -> String {
    format!("{}{}\n", text(problems, false), problems.summary())
}

#[test]
fn every_mistake_is_shown_as_reviewed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("config/broken");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for case in corpus() {
        let problems = problems_of(&case);
        let name = case.file_stem().unwrap().to_str().unwrap();
        settings.bind(|| insta::assert_snapshot!(name, shown(&problems)));
    }
}

#[test]
fn what_is_hardly_meant_is_shown_as_reviewed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("config/doubtful");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for case in cases_in(DOUBTFUL) {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let doubts = shown(&doubts_about(&case));
        assert!(!doubts.contains("never-shown"), "{doubts}");
        settings.bind(|| insta::assert_snapshot!(name, doubts));
    }
}

#[test]
fn a_start_does_not_wait_for_doubts() {
    for case in cases_in(DOUBTFUL) {
        let problems = problems_of(&case);
        assert!(problems.is_empty(), "{}: {}", case.display(), shown(&problems));
    }
}

#[test]
fn the_corpus_covers_every_code() {
    let mut codes: BTreeSet<Code> = corpus()
        .iter()
        .flat_map(|case| problems_of(case).into_iter().map(|problem| problem.code))
        .collect();
    let doubts = cases_in(DOUBTFUL);
    codes.extend(doubts.iter().flat_map(|it| doubts_about(it).into_iter().map(|it| it.code)));
    // It takes rules by the hundred.
    codes.insert(Code::Undecided);
    // No file can show that there is none; `sound` does.
    codes.insert(Code::NoConfiguration);
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !codes.contains(code)).collect();
    assert!(missing.is_empty(), "no file of the corpus shows {missing:?}");
}

#[test]
fn every_problem_has_a_place_and_none_tells_what_the_environment_holds() {
    for case in corpus() {
        let problems = problems_of(&case);
        assert!(!problems.is_empty(), "{} has no problem", case.display());
        let everything = shown(&problems) + &json(&problems) + &sarif(&problems);
        for secret in world::ENVIRONMENT.iter().map(|(_, value)| *value) {
            let told = !secret.is_empty() && everything.contains(secret);
            assert!(!told, "{} tells the value {secret:?}", case.display());
        }
        assert!(!everything.contains("never-shown"), "{} shows a secret", case.display());
        for problem in problems.iter() {
            assert!(problem.place.is_some(), "{}: {}", case.display(), problem.message);
            assert!(problem.message.len() < 200, "too long: {}", problem.message);
            let sentence = problem.message.chars().next().unwrap();
            assert!(!sentence.is_uppercase(), "{} begins a sentence", problem.message);
        }
    }
}

#[test]
fn five_mistakes_of_one_file_are_five_problems_with_carets() {
    let problems = check_file("five-mistakes.yaml");
    assert_eq!((problems.errors(), problems.warnings()), (5, 0));
    let shown = shown(&problems);
    let carets = shown.lines().filter(|line| line.contains("| ") && line.contains("  ^"));
    assert_eq!(carets.count(), 5, "{shown}");
    let codes: Vec<_> = problems.iter().map(|problem| problem.code.name()).collect();
    assert_eq!(codes, ["E023", "E027", "E044", "E014", "E041"]);
}

#[test]
fn json_gives_the_same_places() {
    let problems = check_file("five-mistakes.yaml");
    let json: serde_json::Value = serde_json::from_str(&json(&problems)).unwrap();
    assert_eq!(json["errors"], 5);
    let receiver = &json["problems"][4];
    assert_eq!(receiver["code"], "E041");
    assert_eq!(receiver["severity"], "error");
    assert_eq!(receiver["path"], "rules[0].send_to[0]");
    assert_eq!((&receiver["line"], &receiver["column"]), (&9.into(), &15.into()));
    assert_eq!(receiver["length"], "ops-wecmo".len());
    assert_eq!(receiver["help"], "did you mean `ops-wecom`?");
    assert_eq!(receiver["known"], serde_json::json!(["audit", "dev-slack", "ops-wecom"]));
}

#[test]
fn sarif_names_every_code_and_every_place() {
    let problems = check_file("duplicate-rule");
    let sarif: serde_json::Value = serde_json::from_str(&sarif(&problems)).unwrap();
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), Code::ALL.len());
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "E043");
    assert_eq!(rules[result["ruleIndex"].as_u64().unwrap() as usize]["id"], "E043");
    let place = &result["locations"][0]["physicalLocation"];
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("rules/b/c.yml"));
    assert_eq!(place["region"]["startLine"], 5);
    let other = &result["relatedLocations"][0]["physicalLocation"];
    assert!(other["artifactLocation"]["uri"].as_str().unwrap().ends_with("rules/a.yaml"));
}

#[test]
fn sarif_shows_the_entry_that_a_warning_is_about() {
    let doubts = doubts_about(&Path::new(DOUBTFUL).join("never-reached.yaml"));
    let sarif: serde_json::Value = serde_json::from_str(&sarif(&doubts)).unwrap();
    let text = sarif["runs"][0]["results"][0]["message"]["text"].as_str().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("an entry that it would match: "), "{text}");
    assert!(lines[2].starts_with("help: "), "{text}");
}
