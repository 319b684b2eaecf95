//! The documents keep their word: commands and flags that they name exist and are all named, links
//! lead somewhere, the two READMEs say the same, and no metric is left out.
//!
//! That their YAML passes `check` is held by `config::docs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use jiff::Timestamp;
use triggerbell::{
    ports::{Event, Observer, OutboxCount, SourceErrorKind},
    telemetry::Metrics,
};

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document for people, by its path from the project's root.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in [".", "docs"] {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        found.extend(files.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    found.sort();
    found
}

/// What stands between `before` and `after`, each time.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split_once(after)).map(|(it, _)| it).collect()
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut links = 0;
    for document in documents() {
        let text = prose(&fs::read_to_string(&document).unwrap());
        for link in between(&text, "](", ")") {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = document.parent().unwrap().join(path);
            assert!(target.exists(), "{}: {link} leads nowhere", document.display());
            links += 1;
        }
    }
    assert!(links > 60, "only {links} links were found");
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[test]
fn every_page_is_in_the_index_and_the_pages_that_code_cites_exist() {
    let index = read("docs/README.md");
    for entry in fs::read_dir("docs").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && name != "README.md" {
            assert!(index.contains(&format!("]({name})")), "docs/README.md lacks {name}");
        }
    }
    let mut cited = BTreeSet::new();
    let mut folders = vec![PathBuf::from("src"), "tests".into(), "benches".into()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let names = between(&text, "docs/", ".md").into_iter();
                cited.extend(names.filter(|name| is_name(name)).map(ToOwned::to_owned));
            }
        }
    }
    let makefile = read("Makefile");
    cited.extend(between(&makefile, "docs/", ".md").into_iter().map(ToOwned::to_owned));
    assert!(cited.len() > 5, "{cited:?}");
    for name in cited {
        assert!(Path::new(&format!("docs/{name}.md")).exists(), "docs/{name}.md does not exist");
    }
}

/// Pages with their Chinese editions.
const TRANSLATED: [(&str, &str); 3] = [
    ("README.md", "README.zh-CN.md"),
    ("docs/README.md", "docs/README.zh-CN.md"),
    ("docs/rules.md", "docs/rules.zh-CN.md"),
];

#[test]
fn pages_in_two_languages_have_the_same_shape() {
    let shape = |text: &str| {
        let headings = text.lines().filter(|line| line.starts_with("## ")).count();
        let rows = text.lines().filter(|line| line.starts_with('|')).count();
        let blocks: Vec<_> =
            between(text, "```", "\n").into_iter().step_by(2).map(str::to_owned).collect();
        // Either edition may lead to a page in its own language.
        let links: BTreeSet<_> = between(&prose(text), "](", ")")
            .into_iter()
            .map(|link| link.replace(".zh-CN", ""))
            .filter(|link| !link.starts_with("README"))
            .collect();
        (headings, rows, blocks, links)
    };
    for (english, chinese) in TRANSLATED {
        let name = |path: &str| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
        let (one, other) = (read(english), read(chinese));
        assert_eq!(shape(&one), shape(&other), "{chinese}");
        assert!(one.contains(&format!("[中文]({})", name(chinese))), "{english}");
        assert!(other.contains(&format!("[English]({})", name(english))), "{chinese}");
    }
}

#[test]
fn the_rules_page_says_the_same_of_every_key_in_chinese() {
    let (english, chinese) = (read("docs/rules.md"), read("docs/rules.zh-CN.md"));
    let examples = |text: &str| -> Vec<String> {
        between(text, "```yaml\n", "```").into_iter().map(ToOwned::to_owned).collect()
    };
    assert_eq!(examples(&english), examples(&chinese));
    let words = |text: &str| -> BTreeSet<String> {
        prose(text).split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
    };
    assert_eq!(words(&english), words(&chinese));
}

/// `--help` of a command, all of it.
fn help(words: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_triggerbell")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the commands under `words`.
fn commands(words: &[&str]) -> Vec<String> {
    let help = help(words);
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect()
}

/// The long flags that a help text lists.
fn flags(help: &str) -> BTreeSet<String> {
    let options = help.split("Options:\n").nth(1).unwrap_or_default();
    options
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")))
        // A value that may be left out stands in brackets.
        .map(|flag| flag.split('[').next().unwrap_or(flag).to_owned())
        .filter(|flag| flag != "--help" && flag != "--version")
        .collect()
}

/// The names of all keys that a schema knows.
fn keys(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            if let Some(properties) = map.get("properties").and_then(|it| it.as_object()) {
                found.extend(properties.keys().cloned());
            }
            map.values().for_each(|inner| keys(inner, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|inner| keys(inner, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_schemas_has_its_place_in_a_page() {
    let settings = ["configuration", "receivers", "sources", "quiet", "webhook"];
    for (schema, pages) in [
        ("config", &settings[..]),
        ("rules", &["rules", "quiet"]),
        ("tests", &["testing", "rules"]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_triggerbell"));
        let output = command.args(["schema", schema]).output().unwrap();
        let mut known = BTreeSet::new();
        keys(&serde_json::from_slice(&output.stdout).unwrap(), &mut known);
        assert!(known.len() > 50, "{known:?}");
        let text: String = pages.iter().map(|page| read(&format!("docs/{page}.md"))).collect();
        let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words: BTreeSet<&str> = text.split(|c| !is_of_a_name(c)).collect();
        let missing: Vec<_> = known.iter().filter(|key| !words.contains(key.as_str())).collect();
        assert!(missing.is_empty(), "no page of {pages:?} names {missing:?} of {schema}");
    }
}

#[test]
fn the_commands_page_names_every_command_and_flag() {
    let page = read("docs/commands.md");
    let names = commands(&[]);
    assert!(names.len() >= 10, "{names:?}");
    let mut spoken: Vec<Vec<String>> = names.into_iter().map(|name| vec![name]).collect();
    for group in ["deliveries", "shadow", "silence"] {
        spoken.extend(commands(&[group]).into_iter().map(|name| vec![group.to_owned(), name]));
    }
    let mut known = BTreeSet::from(["--help".to_owned()]);
    for words in &spoken {
        let command = words.join(" ");
        assert!(page.contains(&format!("`{command}")), "docs/commands.md lacks `{command}`");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for flag in flags(&help(&words)) {
            assert!(
                page.contains(&format!("`{flag}")) || page.contains(&format!("[{flag}")),
                "docs/commands.md lacks {flag} of {command}"
            );
            known.insert(flag);
        }
    }
    let spoken_of: BTreeSet<String> = page
        .split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2 && !word.starts_with("---"))
        .map(ToOwned::to_owned)
        .collect();
    let unknown: Vec<_> = spoken_of.difference(&known).collect();
    assert!(unknown.is_empty(), "docs/commands.md names flags that are not: {unknown:?}");
}

#[test]
fn every_command_that_a_document_types_exists() {
    let names: BTreeSet<String> = commands(&[]).into_iter().collect();
    let targets = read("Makefile");
    let mut typed = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        // In the middle of a sentence, and what a container is told to run.
        for line in between(&prose(&text), "`triggerbell ", "`") {
            let command = line.split_whitespace().next().unwrap_or_default();
            let there = names.contains(command) || command == "COMMAND";
            assert!(there, "{}: `triggerbell {line}`", document.display());
            typed += 1;
        }
        for block in between(&text, "```sh\n", "```") {
            for line in block.lines() {
                let mut words = line.split_whitespace();
                match (words.next(), words.next()) {
                    (Some("triggerbell"), Some(command)) => {
                        assert!(names.contains(command), "{}: {line}", document.display());
                    }
                    (Some("make"), Some(target)) => {
                        let there =
                            targets.lines().any(|line| line.starts_with(&format!("{target}:")));
                        assert!(there, "{}: {line}", document.display());
                    }
                    _ => continue,
                }
                typed += 1;
            }
        }
    }
    assert!(typed > 15, "only {typed} commands were found");
}

/// Lets every event happen once.
fn all_metrics() -> String {
    let metrics = Metrics::new();
    let took = Duration::from_millis(1);
    let (source, receiver) = ("shop", "audit");
    let error = Some(SourceErrorKind::Unavailable);
    for event in [
        Event::Request { source, error, took },
        Event::Poll { source, requests: 1, fresh: 1 },
        Event::Entries { source, count: 1 },
        Event::Rejected { source, count: 1 },
        Event::Gap { source },
        Event::Push { source, result: "taken" },
        Event::Matched { rule: "failed", count: 1 },
        Event::Queued { receiver, count: 1 },
        Event::Held { by: "shadow", count: 1 },
        Event::Folded { receiver: "ops", count: 1 },
        Event::FellBack { receiver: "ops", count: 1 },
        Event::RenderFailed { receiver },
        Event::Attempt { receiver, class: "retry", took },
        Event::Delivered { receiver, after: took },
        Event::Dead { receiver },
        Event::Commit { took, requests: 1 },
        Event::Reload { result: "loaded" },
        Event::Alarm { kind: "gap", firing: true },
    ] {
        metrics.observe(event);
    }
    let outbox = OutboxCount {
        receiver: receiver.into(),
        waiting: 1,
        dead: 1,
        oldest_at: Some(Timestamp::UNIX_EPOCH),
    };
    metrics.note_quiet(&BTreeMap::from([("failed".into(), 1)]), 1);
    metrics.encode(&[outbox], 1000)
}

#[test]
fn the_metrics_page_lists_every_metric_with_its_kind_and_labels() {
    let text = all_metrics();
    let mut rows = BTreeSet::new();
    for family in between(&text, "# TYPE ", "\n") {
        let (name, kind) = family.split_once(' ').unwrap();
        let end = if kind == "counter" { "_total" } else { "" };
        let sample = text
            .lines()
            .find(|line| !line.starts_with('#') && line.starts_with(name))
            .unwrap_or_else(|| panic!("{name} has no value: let its event happen above"));
        let labels: Vec<_> = between(sample, "{", "}")
            .iter()
            .flat_map(|labels| labels.split(','))
            .filter_map(|label| label.split_once('='))
            .filter(|(name, _)| *name != "le")
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let labels = labels.join(", ");
        let space = if labels.is_empty() { "" } else { " " };
        rows.insert(format!("| `{name}{end}` | {kind} |{space}{labels} |"));
    }
    let page = read("docs/metrics.md");
    for row in &rows {
        assert!(page.contains(row), "docs/metrics.md lacks `{row}`");
    }
    let listed = page.lines().filter(|line| line.starts_with("| `triggerbell_")).count();
    assert_eq!(listed, rows.len(), "docs/metrics.md lists a metric that is not");
}

#[test]
fn what_the_api_page_shows_is_json() {
    let page = read("docs/api.md");
    let blocks = between(&page, "```json\n", "```");
    assert!(blocks.len() >= 8, "{} examples", blocks.len());
    for block in blocks {
        let parsed = serde_json::from_str::<serde_json::Value>(block);
        assert!(parsed.is_ok(), "{}: {block}", parsed.unwrap_err());
    }
}

#[test]
fn the_picture_of_the_demo_is_small_enough_to_load() {
    let length = fs::metadata("docs/images/wall.png").unwrap().len();
    assert!((10_000..400_000).contains(&length), "{length} bytes");
}

#[test]
fn the_makefile_and_the_container_files_name_what_exists() {
    let compose = read("docker-compose.yaml");
    assert!(compose.contains("image/Dockerfile") && Path::new("image/Dockerfile").exists());
    for script in ["tests/run.sh", "image/build.sh"] {
        assert!(read("Makefile").contains(script) && Path::new(script).exists(), "{script}");
        let checked = Command::new("bash").args(["-n", script]).status().unwrap();
        assert!(checked.success(), "{script}");
    }
}
