//! What the tests of the configuration share: the corpus and an environment.

use std::path::{Path, PathBuf};

use triggerbell::{
    config::{self, Loaded, Request},
    document::{File, Problem, Problems},
};

pub(crate) const BROKEN: &str = "tests/it/config/broken";
pub(crate) const DOUBTFUL: &str = "tests/it/config/doubtful";
pub(crate) const SOUND: &str = "tests/it/config/sound";

/// The environment of every test. The values are such that one can look for them.
pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    ("SECRET_ID", "AKIDfromenv"),
    ("SECRET_KEY", "KEYfromenv"),
    ("WECOM_KEY", "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"),
    ("SLACK_URL", "https://hooks.slack.com/services/T0FROMENV/B0FROMENV/fromenv"),
    ("HOOK", "https://hooks.example.internal/fromenv"),
    ("NOT_A_URL", "FROMENVnourl"),
    ("DAYS", "FROMENVdays"),
    ("EMPTY", ""),
];

pub(crate) fn environment(name: &str) -> Option<String> {
    ENVIRONMENT.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

pub(crate) fn load(path: &Path) -> Result<Loaded, Problems> {
    config::load(&Request { config: Some(path), data_dir: None, env: &environment })
}

/// A text as the configuration at that place.
pub(crate) fn load_text(path: &Path, text: &str) -> Result<Loaded, Problems> {
    let request = Request { config: Some(path), data_dir: None, env: &environment };
    config::load_file(path, File::new(path.display().to_string(), text), &request)
}

/// What is wrong with a text as the configuration at that place, and what is hardly meant in it.
pub(crate) fn check_text(path: &Path, text: &str) -> Problems {
    let request = Request { config: Some(path), data_dir: None, env: &environment };
    let checked = config::check_file(path, File::new(path.display().to_string(), text), &request);
    checked.map_or_else(|problems| problems, |loaded| loaded.warnings)
}

/// The sound configuration with other rules, as if it stood in `folder`.
pub(crate) fn load_with_rules(folder: &str, rules: &str) -> Result<Loaded, Problems> {
    let (path, text) = with_rules(folder, rules);
    load_text(&path, &text)
}

fn with_rules(folder: &str, rules: &str) -> (PathBuf, String) {
    let sound = std::fs::read_to_string(format!("{SOUND}/triggerbell.yaml")).unwrap();
    let templates = PathBuf::from(SOUND).join("templates");
    let text = sound
        .replace("RULES", rules)
        .replace("templates/", &std::path::absolute(templates).unwrap().display().to_string());
    (Path::new(folder).join("triggerbell.yaml"), text)
}

/// What is hardly meant in a case: that of its own files.
pub(crate) fn doubts_about(case: &Path) -> Problems {
    let checked = if case.is_dir() {
        let path = case.join("triggerbell.yaml");
        config::check(&Request { config: Some(&path), data_dir: None, env: &environment })
    } else {
        let name = case.file_name().unwrap().to_str().unwrap();
        let (path, text) = with_rules(DOUBTFUL, name);
        let request = Request { config: Some(&path), data_dir: None, env: &environment };
        config::check_file(&path, File::new(path.display().to_string(), text), &request)
    };
    let problems = checked.map_or_else(|problems| problems, |loaded| loaded.warnings);
    let stem = case.file_stem().unwrap().to_str().unwrap().to_owned();
    let own = |name: &str| name.contains(&stem);
    let of_case = |it: &Problem| it.place.as_ref().is_some_and(|place| own(place.file.name()));
    problems.into_iter().filter(of_case).collect()
}

/// The problems of a case of the corpus.
pub(crate) fn problems_of(case: &Path) -> Problems {
    // A start reads no tests, so that those of another case may stand beside its rules.
    let loaded = if case.ends_with("rule-tests") {
        let path = case.join("triggerbell.yaml");
        config::check(&Request { config: Some(&path), data_dir: None, env: &environment })
    } else if case.is_dir() {
        load(&case.join("triggerbell.yaml"))
    } else {
        let file = config::read_text(case).unwrap();
        if config::is_configuration(&file) {
            load(case)
        } else {
            let folder = case.parent().unwrap().to_str().unwrap();
            load_with_rules(folder, case.file_name().unwrap().to_str().unwrap())
        }
    };
    loaded.map_or_else(|problems| problems, |loaded| loaded.warnings)
}

pub(crate) fn check_file(name: &str) -> Problems {
    problems_of(&Path::new(BROKEN).join(name))
}
