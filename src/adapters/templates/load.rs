//! Finding template files and compiling each for the receivers that it serves.
//!
//! Deliberately absent: folders within the folder; names are flat.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::Path,
};

use rust_embed::RustEmbed;

use crate::adapters::regular;

use super::{
    ReceiverType, Settings, TemplateProblem, lint::lint, listed, names::nearest,
    template::Compiled, trial,
};

/// The largest template file that is read.
const FILE_LIMIT_BYTES: u64 = 256 * 1024;
/// The most template files of a folder.
const FILES_LIMIT: usize = 1_000;

#[derive(RustEmbed)]
#[folder = "templates/"]
struct Shipped;

/// A template file.
pub(super) struct File {
    path: String,
    name: String,
    kind: Option<ReceiverType>,
    json: bool,
    /// Whether it is the user's, which comes before the shipped.
    users: bool,
    source: Cow<'static, str>,
}

impl File {
    /// Whether it can make messages for receivers of that type.
    fn serves(&self, kind: ReceiverType) -> bool {
        match self.kind {
            Some(own) => own == kind,
            None => !self.json || kind == ReceiverType::Webhook,
        }
    }

    /// Whether it makes messages for webhooks and for nothing else.
    fn is_for_webhooks(&self) -> bool {
        self.kind == Some(ReceiverType::Webhook) || (self.kind.is_none() && self.json)
    }

    /// The order in which files of one name are preferred, the least first.
    fn rank(&self) -> (bool, bool, bool) {
        (!self.users, self.kind.is_none(), !self.json)
    }
}

/// The templates that come with the program.
pub(super) fn shipped() -> Vec<File> {
    Shipped::iter()
        .filter_map(|path| {
            let source = match Shipped::get(&path)?.data {
                Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).ok()?),
                Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).ok()?),
            };
            let (name, kind, json) = parse_name(&path).ok()?;
            Some(File { path: format!("shipped:{path}"), name, kind, json, users: false, source })
        })
        .collect()
}

/// The templates of a folder. Files that don't end in `.hbs`, and hidden ones, are none.
pub(super) fn folder(folder: &Path, problems: &mut Vec<TemplateProblem>) -> Vec<File> {
    let listing = fs::read_dir(folder).and_then(|entries| {
        entries
            .take(FILES_LIMIT + 1)
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<BTreeSet<_>>>()
    });
    let paths = match listing {
        Ok(paths) if paths.len() <= FILES_LIMIT => paths,
        Ok(_) => {
            let message = format!("the folder holds more than {FILES_LIMIT} files");
            let help = Some("keep only templates in it".to_owned());
            problems.push(TemplateProblem::of_file(folder.display().to_string(), message, help));
            return Vec::new();
        }
        Err(error) => {
            let message = format!("the folder of templates can't be read: {error}");
            let help = Some("name a folder that exists, or leave `templates` out".to_owned());
            problems.push(TemplateProblem::of_file(folder.display().to_string(), message, help));
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for path in paths {
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if file_name.starts_with('.') || !file_name.ends_with(".hbs") || path.is_dir() {
            continue;
        }
        let shown = path.display().to_string();
        let parsed = parse_name(file_name).and_then(|parts| Ok((parts, read(&path)?)));
        match parsed {
            Ok(((name, kind, json), source)) => {
                let source = source.into();
                files.push(File { path: shown, name, kind, json, users: true, source });
            }
            Err((message, help)) => problems.push(TemplateProblem::of_file(shown, message, help)),
        }
    }
    files
}

type Complaint = (String, Option<String>);

fn read(path: &Path) -> Result<String, Complaint> {
    let cant = |error: std::io::Error| (format!("it can't be read: {error}"), None);
    let len = fs::metadata(path).map_err(cant)?.len();
    if len > FILE_LIMIT_BYTES {
        let message = format!("it is {len} bytes; a template is at most {FILE_LIMIT_BYTES}");
        return Err((message, None));
    }
    let mut bytes = Vec::new();
    let mut file = regular::open(path).map_err(cant)?.take(FILE_LIMIT_BYTES);
    file.read_to_end(&mut bytes).map_err(cant)?;
    String::from_utf8(bytes)
        .map_err(|_| ("it is not UTF-8".to_owned(), Some("save it as UTF-8".to_owned())))
}

/// Takes `NAME[.TYPE][.json].hbs` apart.
fn parse_name(file_name: &str) -> Result<(String, Option<ReceiverType>, bool), Complaint> {
    let stem = file_name.strip_suffix(".hbs").unwrap_or(file_name);
    let (stem, json) = match stem.strip_suffix(".json") {
        Some(stem) => (stem, true),
        None => (stem, false),
    };
    let forms = "NAME.hbs, NAME.TYPE.hbs, NAME.TYPE.json.hbs or NAME.json.hbs";
    let (name, kind) = match stem.rsplit_once('.') {
        None => (stem, None),
        Some((name, word)) => match ReceiverType::by_name(word) {
            Some(kind) => (name, Some(kind)),
            None => {
                let known = ReceiverType::ALL.iter().map(|kind| kind.name());
                let help = match nearest(word, known.clone()) {
                    Some(near) => format!("did you mean `{near}`? types: {}", listed(known)),
                    None => format!("types: {}; files are named {forms}", listed(known)),
                };
                return Err((format!("there is no receiver type `{word}`"), Some(help)));
            }
        },
    };
    if name.is_empty() || name.contains('.') {
        let message = "the file's name holds no name of a template".to_owned();
        return Err((message, Some(format!("files are named {forms}"))));
    }
    Ok((name.to_owned(), kind, json))
}

/// Compiles each file, tries it, and picks for each name and receiver type the one that comes
/// first. A broken file makes a problem even where another would be picked.
pub(super) fn compile(
    mut files: Vec<File>,
    settings: &Settings,
    problems: &mut Vec<TemplateProblem>,
) -> BTreeMap<Box<str>, [Option<Compiled>; 3]> {
    files.sort_by_key(File::rank);
    let mut by_name: BTreeMap<Box<str>, [Option<Compiled>; 3]> = BTreeMap::new();
    for file in files {
        let compiled = match (&file.source, file.users) {
            (Cow::Borrowed(source), false) => {
                Compiled::shipped(&file.name, &file.path, file.json, source)
            }
            _ => match checked(&file, settings) {
                Ok(compiled) => compiled,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            },
        };
        let slots = by_name.entry(file.name.as_str().into()).or_default();
        for &kind in ReceiverType::ALL.iter().filter(|kind| file.serves(**kind)) {
            slots[kind as usize].get_or_insert_with(|| compiled.clone());
        }
    }
    by_name
}

/// Compiles a file and tries it for each type that it serves.
fn checked(file: &File, settings: &Settings) -> Result<Compiled, Vec<TemplateProblem>> {
    let program = lint(&file.path, &file.source, file.json, file.is_for_webhooks())?;
    let compiled = Compiled::new(&file.name, &file.path, file.json, program);
    let served = ReceiverType::ALL.iter().filter(|kind| file.serves(**kind));
    let problems: Vec<_> =
        served.filter_map(|kind| trial::run(&compiled, &file.source, *kind, settings)).collect();
    if problems.is_empty() { Ok(compiled.squeezed()) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_templates_are_sound() {
        let settings = Settings {
            zone: jiff::tz::TimeZone::UTC,
            public_url: Some("https://bell.example.internal".to_owned()),
        };
        let files = shipped();
        assert!(files.len() >= 6);
        for file in files {
            checked(&file, &settings).unwrap();
        }
    }

    #[test]
    fn file_names_are_taken_apart() {
        let parsed = |name: &str| parse_name(name).ok();
        assert_eq!(parsed("a.hbs"), Some(("a".into(), None, false)));
        assert_eq!(parsed("a-zh.json.hbs"), Some(("a-zh".into(), None, true)));
        assert_eq!(parsed("a.slack.hbs"), Some(("a".into(), Some(ReceiverType::Slack), false)));
        assert_eq!(parsed("a.wecom.json.hbs"), Some(("a".into(), Some(ReceiverType::Wecom), true)));
        assert_eq!(parsed("a.b.slack.hbs"), None);
        assert_eq!(parsed(".hbs"), None);
        let (message, help) = parse_name("a.slak.hbs").unwrap_err();
        assert_eq!(message, "there is no receiver type `slak`");
        assert!(help.unwrap().starts_with("did you mean `slack`?"));
    }
}
