//! The configuration: from files to a checked whole, with every problem of every file in one run.
//!
//! [`load`] reads `triggerbell.yaml` and the rule files that it names; what it gives back can't be
//! invalid and is all that `app` needs. The files are parsed to trees (`document`), variables are
//! expanded, and the trees are read by hand, each problem put down beside the others.
//! Deliberately absent: the process's environment and arguments, which are parameters, and anything
//! that runs.

mod answers;
mod chat;
mod discover;
mod enterprise;
mod environment;
mod fit;
mod gaps;
mod in_the_open;
mod interval;
mod lint;
mod locate;
mod misread;
mod names;
mod network;
mod quiet;
mod receiver;
mod rule;
mod rule_files;
mod rule_match;
mod rule_test;
mod schema;
mod service;
mod source;
mod surroundings;
mod templates;
mod testbed;
mod values;
mod webhook;
mod whereabouts;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::tz::TimeZone;

use crate::{
    adapters::{
        regular,
        source::DEFAULT_ZONE,
        templates::{Settings, Templates},
    },
    document::{
        Code, Document, File, MAX_BYTES, MapReader, Node, Problem, Problems, Report, Value,
    },
    domain::{
        cel::Compiler,
        clause::Clause,
        expression::Expressions,
        rule::{Rule, RuleSet, Sources},
    },
};
use interval::Intervals;
use lint::Written;
use names::Names;
use rule::RuleReader;
use rule_files::Named;
use rule_match::ClauseReader;
use rule_test::Around;
use surroundings::Surroundings;
use templates::TemplateNames;
use values::Shown;

pub use discover::Discover;
pub use environment::Lookup;
pub use locate::{FILE_NAME, locate};
pub use receiver::{Receiver, send_timeout};
pub use rule_files::is_rule_file;
pub use rule_test::{Expected, Happens, Scenario, Step, TestFile, Written as WrittenExpectations};
pub use schema::Schema;
pub use service::{Alarms, Api, Retention};
pub use source::{FirstRun, Source, SourceSettings};
pub use testbed::{Recipient, TestBed, Tested, is_test, test_files, tests};
pub use whereabouts::{Whereabouts, whereabouts};

/// Everything that is configured, checked.
#[derive(Debug)]
pub struct Config {
    /// The configuration file.
    pub path: PathBuf,
    /// The zone of what is shown, and of what says no other.
    pub time_zone: TimeZone,
    /// The sources, in the order written.
    pub sources: Vec<Source>,
    /// The receivers, in the order written.
    pub receivers: Vec<Receiver>,
    /// The rules, in the order in which they are looked at.
    pub rules: RuleSet,
    /// The files and folders that `rules` names; what is to be watched.
    pub rule_paths: Vec<PathBuf>,
    /// The folder of the user's templates, where there is one; it is to be watched.
    pub templates_folder: Option<PathBuf>,
    /// All templates, compiled.
    pub templates: Arc<Templates>,
    /// The database file.
    pub store: PathBuf,
    /// The HTTP API.
    pub api: Api,
    /// Alarms.
    pub alarms: Alarms,
    /// How long things are kept.
    pub retention: Retention,
}

/// What to load, and what of the world it may depend on.
pub struct Request<'a> {
    /// The configuration file that was named, by `--config`.
    pub config: Option<&'a Path>,
    /// The data folder that was named, by `--data-dir`.
    pub data_dir: Option<&'a Path>,
    /// The environment.
    pub env: Lookup<'a>,
}

/// A configuration that can be used, and what is doubtful about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings only.
    pub warnings: Problems,
    /// How many rule tests were checked; a start reads none.
    pub tests: usize,
}

/// Loads the configuration.
///
/// # Errors
/// Every problem of every file, warnings among them, in order.
pub fn load(request: &Request<'_>) -> Result<Loaded, Problems> {
    load_located(request, Care::Sound)
}

/// As [`load`], with warnings of what is sound and hardly meant, which take longer to find.
///
/// # Errors
/// As [`load`].
pub fn check(request: &Request<'_>) -> Result<Loaded, Problems> {
    load_located(request, Care::Meant)
}

/// How much is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// What is wrong.
    Sound,
    /// What is hardly meant, too.
    Meant,
}

fn load_located(request: &Request<'_>, care: Care) -> Result<Loaded, Problems> {
    let report = Report::default();
    let text = locate(request.config, request.env).and_then(|path| match read_text(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(Box::new(unreadable(&path, &error, None))),
    });
    match text {
        Ok((path, file)) => load_text(&path, file, request, report, care),
        Err(problem) => {
            report.add(*problem);
            Err(report.into_problems())
        }
    }
}

/// As [`load`], of a text that was read already and stands for the file at `path`.
///
/// # Errors
/// As [`load`].
pub fn load_file(path: &Path, file: File, request: &Request<'_>) -> Result<Loaded, Problems> {
    load_text(path, file, request, Report::default(), Care::Sound)
}

/// As [`check`], of a text that was read already and stands for the file at `path`.
///
/// # Errors
/// As [`load`].
pub fn check_file(path: &Path, file: File, request: &Request<'_>) -> Result<Loaded, Problems> {
    load_text(path, file, request, Report::default(), Care::Meant)
}

/// Checks rule files and rule tests alone. Receivers and templates are those of the configuration that the request
/// names, else of the nearest one in the folders above the first file; where there is none, no name
/// can be called unknown.
pub fn check_rules(files: Vec<File>, request: &Request<'_>) -> Problems {
    let report = Report::default();
    let (tests, files): (Vec<File>, Vec<File>) = files.into_iter().partition(is_test);
    testbed::check(tests, request, &report);
    let (rules, written) = read_rules(files, request, &report);
    lint::rules(&rules, &written, &report);
    written.gaps.tell(&report);
    report.into_problems()
}

/// Checks a template alone.
pub fn check_template(path: &Path) -> Problems {
    let report = Report::default();
    templates::check(path, default_zone(), &report);
    report.into_problems()
}

/// The rules of these files, with the names that [`check_rules`] knows; what is hardly meant is not
/// looked for.
///
/// # Errors
/// Everything that is wrong with them.
pub fn rules(files: Vec<File>, request: &Request<'_>) -> Result<Vec<Rule>, Problems> {
    let report = Report::default();
    let (rules, _) = read_rules(files, request, &report);
    if report.errors() == 0 { Ok(rules) } else { Err(report.into_problems()) }
}

/// Rules with what was written of them, read with what surrounds the first file.
fn read_rules(files: Vec<File>, request: &Request<'_>, report: &Report) -> (Vec<Rule>, Written) {
    let around = match files.first() {
        Some(file) => Surroundings::of(Path::new(file.name()), request),
        None => Surroundings::unknown(),
    };
    let Surroundings { names, templates, zone, intervals } = &around;
    let mut reader = RuleReader::new(names, templates, zone, intervals);
    for file in files {
        let document = Document::parse(file, report);
        rule_document(&mut reader, &document, report);
    }
    reader.finish(report)
}

/// Reads the clauses of a silence, written as those of `match` are, in YAML or JSON.
///
/// # Errors
/// Everything that is wrong with them.
pub fn matchers(text: &str) -> Result<Clause, Problems> {
    let report = Report::default();
    let document = Document::parse(File::new("matchers", text), &report);
    let clause = document.root.as_ref().and_then(|root| {
        let value = Value::root(root, "matchers", &document.file, &report);
        let mut expressions = Expressions::default();
        let zone = &default_zone();
        let (compiler, tags) = (&Compiler::default(), &mut Vec::new());
        let sources = &mut Vec::new();
        let expressions = &mut expressions;
        ClauseReader { zone, compiler, expressions, tags, sources }.clauses(value, "matchers", 0)
    });
    report.name_paths(&document);
    match clause {
        Some(clause) if report.errors() == 0 => Ok(clause),
        _ => {
            if report.errors() == 0 {
                report.add(Problem::new(Code::Empty, "`matchers` holds no clauses"));
            }
            Err(report.into_problems())
        }
    }
}

/// Whether a file is a configuration rather than a rule file, by the keys at its left edge; a file
/// that can't be parsed has them too.
pub fn is_configuration(file: &File) -> bool {
    const KEYS: [&str; 9] = [
        "sources",
        "receivers",
        "templates",
        "store",
        "api",
        "time_zone",
        "time_intervals",
        "alarms",
        "retention",
    ];
    file.text()
        .lines()
        .any(|line| line.split_once(':').is_some_and(|(key, _)| KEYS.contains(&key.trim_end())))
}

/// The rule files that a path stands for: itself, or those of the folder.
///
/// # Errors
/// It can't be read.
pub fn rule_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    rule_files::files_of(path)
}

/// Reads a file's text.
///
/// # Errors
/// It can't be read, is larger than a document may be, or is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<File> {
    read_as(path, &path.display().to_string())
}

/// As [`read_text`], under another name.
fn read_as(path: &Path, name: &str) -> io::Result<File> {
    use io::Read;
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    regular::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        // It is refused for its size, so what was cut in two at the end does not matter.
        return Ok(File::new(name, String::from_utf8_lossy(&bytes)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })?;
    Ok(File::new(name, text))
}

/// A file or folder that can't be read, at the value that names it, where one does.
pub fn unreadable(path: &Path, error: &io::Error, value: Option<Value<'_>>) -> Problem {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "can't be read: permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a folder".to_owned(),
        _ => format!("can't be read: {error}"),
    };
    let message = format!("`{}` {why}", path.display());
    match value {
        Some(value) => value
            .problem(Code::Unreadable, message)
            .help("relative paths are relative to the folder of the file that holds them"),
        None => Problem::new(Code::Unreadable, message),
    }
}

fn load_text(
    path: &Path,
    file: File,
    request: &Request<'_>,
    report: Report,
    care: Care,
) -> Result<Loaded, Problems> {
    let mut document = Document::parse(file, &report);
    environment::expand(&mut document, request.env, &report);
    document.hide_secrets();
    let whole = whole(path, &document, request, &report, care);
    if care == Care::Meant {
        match &whole {
            Some(whole) => {
                lint::rules(&whole.rules, &whole.written, &report);
                lint::configuration(&document, whole, &report);
            }
            None => report.left_out("all of it, since the configuration can't be read".to_owned()),
        }
    }
    report.name_paths(&document);
    let failed = report.errors() > 0;
    let problems = report.into_problems();
    match whole {
        Some(Whole { config, rules, tests, .. }) if !failed => {
            let read = config.sources.iter().filter(|source| source.is_read());
            let read = read.map(|source| source.name.clone()).collect();
            let sources = Sources { read, ..source::for_deciding(&outlines(&config.sources)) };
            let rules = RuleSet::new(rules).over(sources);
            let config = Config { rules, ..config };
            Ok(Loaded { config, warnings: problems, tests })
        }
        _ => Err(problems),
    }
}

/// The whole as far as it could be read; the rules apart, which are compiled only when there is no
/// error.
struct Whole {
    config: Config,
    rules: Vec<Rule>,
    written: Written,
    /// The templates are those that are written, and not the shipped ones alone for want of them.
    has_templates: bool,
    /// How many rule tests there are, where they are looked at.
    tests: usize,
}

/// Reads the whole.
fn whole(
    path: &Path,
    document: &Document,
    request: &Request<'_>,
    report: &Report,
    care: Care,
) -> Option<Whole> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let Some(root) = &document.root else {
        if !document.broken {
            let problem = Problem::new(Code::Empty, "the configuration is empty");
            let help = "start from examples/triggerbell.yaml";
            report.add(problem.at(&document.file, Default::default()).help(help));
        }
        return None;
    };
    let value = Value::root(root, "the configuration", &document.file, report);
    let mut map = value.map()?;
    let time_zone = map.get("time_zone").and_then(values::zone).unwrap_or_else(default_zone);
    let sources = sources(&mut map, folder, &time_zone);
    let templates_folder = map.get("templates").and_then(|value| values::path(value, folder));
    let names_of_templates = template_names(&map, templates_folder.as_ref());
    let (receivers, names) = receivers(&mut map, folder, &names_of_templates);
    let data_dir = data_folder(request, folder);
    let store = service::store(&mut map, &data_dir);
    let api = service::api(&mut map, folder);
    chat::check_cards(value, &receivers, api.public_url.is_some());
    let alarms = service::alarms(&mut map, &names);
    let retention = service::retention(&mut map);
    let intervals = Intervals::read(&mut map, &time_zone);
    let mut reader = RuleReader::new(&names, &names_of_templates, &time_zone, &intervals);
    let before = report.errors();
    let rule_paths = named_rules(&mut map, folder, &mut reader, report);
    let (rules, mut written) = reader.finish(report);
    written.intervals = intervals.used();
    let source_names = testbed::source_names(&map, &outlines(&sources), &time_zone);
    lint::sources(&written, &source_names, report);
    let mut tests = 0;
    if care == Care::Meant {
        let around = Around {
            names: &names,
            templates: &names_of_templates,
            zone: &time_zone,
            intervals: &intervals,
            rules: &rules,
            complete: report.errors() == before,
            sources: &source_names,
            deciding: source::for_deciding(&outlines(&sources)),
        };
        tests = rule_tests(&rule_paths, &around, report);
    }
    map.finish("keys of the configuration");
    let settings = Settings {
        zone: time_zone.clone(),
        public_url: api.public_url.as_ref().map(ToString::to_string),
    };
    let readable = templates_folder.as_ref().filter(|folder| folder.path.is_dir());
    // The shipped ones alone are sound, so that there is nothing to find in them.
    let worthwhile = readable.is_some() || report.errors() == 0;
    let templates =
        worthwhile.then(|| templates::compile(readable, settings.clone(), report)).flatten();
    if let Some(templates) = &templates {
        webhook::check_secrets(value, &receivers, &rules, templates);
    }
    let is_written = templates_folder.is_none() || (readable.is_some() && templates.is_some());
    let shipped = || templates::compile(None, settings, &Report::default());
    let templates = templates.or_else(|| (care == Care::Meant).then(shipped).flatten());
    let config = Config {
        path: path.to_owned(),
        time_zone: time_zone.clone(),
        sources,
        receivers,
        rules: RuleSet::default(),
        rule_paths: rule_paths.into_iter().map(|shown| shown.path).collect(),
        templates_folder: templates_folder.map(|folder| folder.path),
        templates: templates?,
        store,
        api,
        alarms,
        retention,
    };
    Some(Whole { config, rules, written, has_templates: is_written, tests })
}

/// A hash of what is written of something.
fn written(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    node.hash_text(&mut hasher);
    hasher.finish()
}

fn sources(map: &mut MapReader<'_>, folder: &Path, zone: &TimeZone) -> Vec<Source> {
    let Some(value) = map.require("sources") else { return Vec::new() };
    let Some(entries) = value.named("source") else { return Vec::new() };
    if entries.is_empty() && value.is_complete() {
        value.add(value.problem(Code::Empty, "there are no sources, so nothing is read"));
    }
    entries
        .into_iter()
        .filter_map(|(entry, value)| source::source(entry, value, folder, zone))
        .collect()
}

/// What deciding is to know of sources.
fn outlines(sources: &[Source]) -> Vec<source::Outline> {
    sources.iter().map(Source::outline).collect()
}

fn receivers(
    map: &mut MapReader<'_>,
    folder: &Path,
    templates: &TemplateNames,
) -> (Vec<Receiver>, Names) {
    let complete = map.value().is_complete();
    let Some(value) = map.get("receivers") else {
        return (Vec::new(), Names::new(BTreeMap::new(), complete));
    };
    let Some(entries) = value.named("receiver") else {
        return (Vec::new(), Names::new(BTreeMap::new(), false));
    };
    let mut names = BTreeMap::new();
    let (mut receivers, mut fallbacks) = (Vec::new(), Vec::new());
    for (entry, value) in entries {
        let read = receiver::receiver(entry, value, folder);
        let template = read.template.and_then(|value| Some((value, value.scalar()?)));
        if let (Some(kind), Some((value, name))) = (read.kind, template) {
            templates.check(value, &name.text, kind);
        }
        fallbacks.extend(read.fallback.map(|value| (read.name.clone(), value)));
        names.insert(read.name, read.kind);
        receivers.extend(read.receiver);
    }
    let names = Names::new(names, value.is_complete());
    receiver::fallbacks(&fallbacks, &names, &mut receivers);
    (receivers, names)
}

fn named_rules(
    map: &mut MapReader<'_>,
    folder: &Path,
    reader: &mut RuleReader<'_>,
    report: &Report,
) -> Vec<Shown> {
    let value = map.get("rules");
    let items = value.and_then(|value| value.list_or_one()).unwrap_or_default();
    let count = items.len().max(usize::from(value.is_some()));
    let named: Vec<Named<'_>> = items
        .into_iter()
        .filter_map(|item| Some(Named { path: values::path(item, folder)?, value: item }))
        .collect();
    let (documents, all) = rule_files::documents(&named, report);
    reader.miss(!all || count > named.len());
    for document in &documents {
        rule_document(reader, document, report);
    }
    if reader.is_empty() && report.errors() == 0 {
        rule_files::warn_of_none(value, map.value());
    }
    named.into_iter().map(|named| named.path).collect()
}

/// Checks the rule tests beside the rules, and counts them. What names a folder that can't be read was
/// told already.
fn rule_tests(rule_paths: &[Shown], around: &Around<'_>, report: &Report) -> usize {
    let mut count = 0;
    let mut known = std::collections::HashSet::new();
    for path in rule_paths {
        for file in rule_files::tests_of(&path.path).unwrap_or_default() {
            if !known.insert(file.clone()) {
                continue;
            }
            let shown = path.inside(&file);
            match read_as(&file, &shown) {
                Ok(text) => {
                    let read = around.read(&file, &Document::parse(text, report), report);
                    count += read.tests.len();
                }
                Err(error) => report.add(unreadable(Path::new(&shown), &error, None)),
            }
        }
    }
    count
}

fn rule_document(reader: &mut RuleReader<'_>, document: &Document, report: &Report) {
    environment::warn_of_unexpanded(document, report);
    reader.file(document, report);
    report.name_paths(document);
}

fn template_names(map: &MapReader<'_>, folder: Option<&Shown>) -> TemplateNames {
    let (names, error) = TemplateNames::read(folder.map(|folder| &*folder.path));
    if let (Some(error), Some(folder)) = (error, folder) {
        let value = map.place_of("templates").map(|(_, value)| value);
        map.value().add(unreadable(&folder.shown, &error, value));
    }
    names
}

/// Where a relative database path is relative to.
fn data_folder(request: &Request<'_>, folder: &Path) -> PathBuf {
    let named = request.data_dir.map(Path::to_owned);
    let environment =
        || (request.env)("TRIGGERBELL_DATA").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(environment).unwrap_or_else(|| folder.to_owned())
}

fn default_zone() -> TimeZone {
    // The database is bundled, so the zone is there.
    TimeZone::get(DEFAULT_ZONE).unwrap_or(TimeZone::UTC)
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("config", &self.config)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}
