//! The house's arrows and absences (ARCHITECTURE.md), read from the source so that the picture
//! can't rot.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Which floors each floor may name; a floor may always name itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("document", &[]),
    ("ports", &["domain"]),
    ("engine", &["ports", "domain"]),
    ("adapters", &["ports", "domain", "document"]),
    ("api", &["ports", "domain"]),
    ("simulate", &["adapters", "domain"]),
    ("telemetry", &["ports", "domain"]),
    ("config", &["adapters", "domain", "document"]),
    ("app", &["config", "engine", "adapters", "api", "telemetry", "ports", "domain", "document"]),
    (
        "cli",
        &[
            "app",
            "config",
            "engine",
            "adapters",
            "api",
            "simulate",
            "telemetry",
            "ports",
            "domain",
            "document",
        ],
    ),
];

/// Words that a floor must not hold, and why.
const ABSENCES: &[(&str, &[&str], &str)] = &[
    (
        "domain",
        &[
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "std::env",
            "std::fs",
            "std::net",
            "fastrand",
            "tokio",
            "async fn",
            "tracing",
        ],
        "the domain has no clock, IO, environment, randomness, async or log",
    ),
    (
        "engine",
        &["rusqlite", "reqwest", "std::fs", "std::env", "Timestamp::now", "SystemTime", "axum"],
        "the engine sees the world only through ports",
    ),
    (
        "api",
        &["rusqlite", "reqwest", "std::fs", "std::env"],
        "the API has no SQL and no IO of its own",
    ),
    ("config", &["std::env::", "reqwest::Client", "tokio"], "configuration is read, not lived"),
];

struct File {
    path: PathBuf,
    floor: String,
    text: String,
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
                let floor = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                files.push(File { path, floor, text });
            }
        }
    }
    assert!(files.len() > 30, "the sources were not found");
    files
}

/// The code of a file, without comments, up to its unit tests.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The floors that a file names: after `crate::`, one by one or in braces.
fn named_floors(code: &str) -> Vec<String> {
    let mut floors = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(inside) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for letter in inside.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ if depth > 0 => {}
                    ',' => floors.push(std::mem::take(&mut word)),
                    _ => word.push(letter),
                }
            }
            floors.push(word);
        } else {
            floors.push(rest.to_owned());
        }
    }
    floors
        .iter()
        .map(|path| {
            let path = path.trim();
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
            path[..end].to_owned()
        })
        .filter(|floor| !floor.is_empty())
        .collect()
}

#[test]
fn arrows_point_downward() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(allowed) = arrows.get(file.floor.as_str()) else { continue };
        for floor in named_floors(&code(&file.text)) {
            let known = arrows.contains_key(floor.as_str());
            if known && floor != file.floor && !allowed.contains(&floor.as_str()) {
                wrong.push(format!("{} names {floor}", file.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point upward:\n{}", wrong.join("\n"));
}

#[test]
fn every_floor_is_on_the_map() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for file in sources() {
        let known = arrows.contains_key(file.floor.as_str());
        assert!(known || ["lib", "main"].contains(&file.floor.as_str()), "{}", file.path.display());
    }
}

#[test]
fn what_must_be_absent_is() {
    let mut wrong = Vec::new();
    for file in sources() {
        let code = code(&file.text);
        for (floor, words, why) in ABSENCES {
            if file.floor == *floor {
                let found = words.iter().filter(|word| code.contains(**word));
                wrong.extend(found.map(|word| format!("{}: {word}: {why}", file.path.display())));
            }
        }
        // A cell as a field is an owner's; as a static it is everybody's.
        let cells = ["OnceLock", "LazyLock", "Mutex", "RwLock", "Atomic"];
        let found =
            code.lines().filter(|line| line.split_whitespace().any(|word| word == "static"));
        let found = found.flat_map(|line| cells.iter().filter(|cell| line.contains(**cell)));
        let anywhere = ["static mut", "thread_local!", "lazy_static"];
        let found = found.chain(anywhere.iter().filter(|word| code.contains(**word)));
        wrong.extend(found.map(|word| format!("{}: {word}: no global state", file.path.display())));
        if code.contains("anyhow") && !["cli", "app", "main"].contains(&file.floor.as_str()) {
            wrong.push(format!("{}: anyhow only in cli and app", file.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let mute: Vec<_> = sources()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! ") || file.text.len() < 12)
        .map(|file| file.path.display().to_string())
        .collect();
    assert!(mute.is_empty(), "modules without a head:\n{}", mute.join("\n"));
}

#[test]
fn main_does_nothing() {
    let main =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).unwrap();
    assert!(main.lines().count() < 40);
}
