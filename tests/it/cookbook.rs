//! The cookbook: every recipe passes `check` without a warning and its own tests, which reach all of
//! it, and the page shows what stands in the files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::command::{command, command_with};

const COOKBOOK: &str = "examples/cookbook";

/// What the configurations take from the environment.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("TENCENTCLOUD_SECRET_ID", "AKIDexample"),
    ("TENCENTCLOUD_SECRET_KEY", "example"),
    ("WECOM_KEY", "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"),
    ("SOUTH_WECOM_KEY", "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aab"),
    ("NORTH_WECOM_KEY", "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aac"),
    ("SLACK_URL", "https://hooks.slack.com/services/T1/B1/x"),
    ("PAGER_TOKEN", "example-pager-token"),
];

/// The folders of the recipes, in order.
fn recipes() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(COOKBOOK).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 20, "{} recipes", folders.len());
    folders
}

/// The command that is given all recipes.
fn with_recipes<'a>(words: &[&'a str], folders: &'a [PathBuf]) -> Vec<&'a str> {
    let folders = folders.iter().map(|folder| folder.to_str().unwrap());
    words.iter().copied().chain(folders).collect()
}

#[tokio::test]
async fn every_recipe_passes_check_without_a_warning() {
    let folders = recipes();
    let args = with_recipes(&["check", "--deny-warnings"], &folders);
    let ended = command_with(Path::new("."), &args, ENVIRONMENT, "").await;
    assert_eq!(ended.code, 0, "{}", ended.all());
}

#[tokio::test]
async fn every_recipe_passes_its_tests_without_a_secret_and_they_reach_all_of_it() {
    let folders = recipes();
    let args = with_recipes(&["test", "--coverage=100"], &folders);
    let ended = command(Path::new("."), &args).await;
    assert_eq!(ended.code, 0, "{}", ended.all());
    for folder in &folders {
        let file = folder.join("rules_test.yaml");
        assert!(ended.out.contains(&format!("ok      {}  ", file.display())), "{}", ended.out);
    }
    assert!(!ended.out.contains("Not reached:"), "{}", ended.out);
}

/// The text of a file without its first line, which names the schema.
fn body(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.starts_with("# yaml-language-server:"), "{}", path.display());
    rest.to_owned()
}

/// The blocks of a part of the page that are of one language.
fn blocks<'t>(section: &'t str, language: &str) -> Vec<&'t str> {
    let begin = format!("```{language}\n");
    let parts = section.split(&begin).skip(1);
    parts.map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_page_shows_every_recipe_as_it_stands_in_its_files() {
    let page = fs::read_to_string("docs/cookbook.md").unwrap();
    let mut shown = BTreeSet::new();
    for section in page.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap();
        let link = section.split("](../examples/cookbook/").nth(1);
        let name = link.and_then(|rest| rest.split_once("/rules.yaml)")).map(|(name, _)| name);
        let name = name.unwrap_or_else(|| panic!("{title} leads to no recipe"));
        let folder = Path::new(COOKBOOK).join(name);
        let anchor: String = title
            .to_lowercase()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        assert!(page.contains(&format!("[{title}](#{anchor})")), "{title} is not in the table");

        let yaml = blocks(section, "yaml");
        let (rules, others) = yaml.split_first().unwrap_or_else(|| panic!("{title} shows no rule"));
        assert_eq!(*rules, body(&folder.join("rules.yaml")), "{title}");
        let whole = |file: &str| format!("\n{}", body(&folder.join(file)));
        for block in others {
            let found = ["triggerbell.yaml", "rules_test.yaml"]
                .iter()
                .any(|file| whole(file).contains(&format!("\n{block}")));
            assert!(found, "{title} shows what is in none of its files:\n{block}");
        }
        for block in blocks(section, "handlebars") {
            let templates = fs::read_dir(folder.join("templates")).unwrap();
            let found = templates
                .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
                .any(|text| text == block);
            assert!(found, "{title} shows a template that is none of its files:\n{block}");
        }
        assert!(shown.insert(folder), "{name} is shown twice");
    }
    let all: BTreeSet<PathBuf> = recipes().into_iter().collect();
    assert_eq!(shown, all);
}
