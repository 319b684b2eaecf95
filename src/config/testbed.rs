//! What rule tests run on: rules, and what is around them as far as tests need it.
//!
//! Of a configuration they need the rules, templates and intervals, which have to be sound, and the
//! names and forms of sources and receivers, of which the rest may be wrong or lack its secrets:
//! that is for `check` and `run`. Without a configuration the rules of a folder do. Deliberately
//! absent: what stands in a test file (`rule_test`), and running it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::tz::TimeZone;

use super::{
    FILE_NAME, Request, default_zone, environment,
    interval::Intervals,
    is_configuration, locate,
    names::Names,
    read_as, read_text, receiver,
    rule::RuleReader,
    rule_document,
    rule_files::{self, Named},
    rule_test::{Around, TestFile},
    service, source,
    surroundings::above,
    template_names,
    templates::{self, TemplateNames},
    unreadable,
    values::{self, Shown},
};
use crate::{
    adapters::templates::{Settings, Templates, WebhookForm, WecomForm},
    document::{
        Code, Document, File, Kind, Map, MapReader, Node, Problem, Problems, Report, Value,
    },
    domain::rule::{Rule, RuleSet, Sources},
};

/// Test files and what they run on.
#[derive(Debug)]
pub struct Tested {
    /// What they run on.
    pub bed: TestBed,
    /// The files, in order.
    pub files: Vec<TestFile>,
}

/// What rule tests run on.
#[derive(Debug)]
pub struct TestBed {
    /// The rules.
    pub rules: RuleSet,
    /// The receivers by name; empty where there is no configuration.
    pub recipients: BTreeMap<Arc<str>, Recipient>,
    /// The templates: the configuration's, else the shipped ones alone.
    pub templates: Arc<Templates>,
    /// The rule files, for the places of clauses.
    documents: Vec<Document>,
    ground: Ground,
    template_names: TemplateNames,
    templates_folder: Option<Shown>,
    complete: bool,
}

/// A receiver as far as it matters to messages' texts.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Its type.
    pub kind: Option<&'static str>,
    /// Its template, where it names one.
    pub template: Option<Arc<str>>,
    /// What a webhook asks for of its messages' form.
    pub form: Option<Arc<WebhookForm>>,
    /// What a WeCom receiver asks for of its messages' form.
    pub wecom: Option<Arc<WecomForm>>,
}

/// What is around the rules.
#[derive(Debug)]
struct Ground {
    names: Names,
    zone: TimeZone,
    intervals: Intervals,
    sources: Vec<(Arc<str>, TimeZone)>,
    deciding: Sources,
}

/// Where the rules are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Where {
    /// The rules of a configuration.
    Configured(PathBuf),
    /// Those of a folder and the folders within it, with the receivers of a configuration where
    /// there is one.
    Folder(PathBuf, Option<PathBuf>),
    /// Those of a folder alone.
    Beside(PathBuf, Option<PathBuf>),
}

/// Loads the test files that paths stand for, and what they run on: those beside the rules of the
/// configuration where there is no path.
///
/// # Errors
/// Every problem of tests, rules and templates, warnings among them.
pub fn tests(paths: &[PathBuf], request: &Request<'_>) -> Result<Vec<Tested>, Problems> {
    let report = Report::default();
    let mut wanted: Vec<(Where, Option<Vec<PathBuf>>)> = Vec::new();
    if paths.is_empty() {
        match locate(request.config, request.env) {
            Ok(config) => wanted.push((Where::Configured(config), None)),
            Err(problem) => {
                report.add(
                    problem.note("or name the folder of the rules: `triggerbell test rules/`"),
                );
            }
        }
    }
    for path in paths {
        match named(path, request) {
            Ok((place, files)) => {
                let known = wanted.iter_mut().find(|(other, all)| *other == place && all.is_some());
                match (known, files) {
                    (Some((_, Some(known))), Some(more)) => known.extend(more),
                    (_, files) => wanted.push((place, files)),
                }
            }
            Err(problem) => report.add(*problem),
        }
    }
    let mut tested = Vec::new();
    for (place, files) in wanted {
        let (bed, own) = TestBed::read(&place, request, &report);
        let files = files.map(|files| {
            files.into_iter().map(|path| (path.display().to_string(), path)).collect()
        });
        let files = bed.read_files(files.unwrap_or(own), &report);
        tested.push(Tested { bed, files });
    }
    if report.errors() > 0 { Err(report.into_problems()) } else { Ok(tested) }
}

/// Checks test files that were read already. The rules that they are about are those of the
/// configuration that holds them, else those of their own folder; what is wrong with those is not
/// told here.
pub(super) fn check(files: Vec<File>, request: &Request<'_>, report: &Report) {
    let mut beds: Vec<(Where, TestBed)> = Vec::new();
    for file in files {
        let path = PathBuf::from(file.name());
        let place = of_file(&path, request);
        if !beds.iter().any(|(known, _)| *known == place) {
            let bed = TestBed::read(&place, request, &Report::default()).0;
            beds.push((place.clone(), bed));
        }
        let document = Document::parse(file, report);
        if let Some((_, bed)) = beds.iter().find(|(known, _)| *known == place) {
            bed.around().read(&path, &document, report);
        }
    }
}

/// Whether a file holds rule tests: by its name, or by its keys where they say so.
pub fn is_test(file: &File) -> bool {
    let begins = |key: &str| {
        let mut lines = file.text().lines();
        lines.any(|line| {
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
        })
    };
    let path = Path::new(file.name());
    let name = path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
    rule_files::is_test_file(&name) || (begins("tests") && !begins("rules"))
}

/// The test files that a path stands for: those of a folder, or those beside a file.
///
/// # Errors
/// It can't be read.
pub fn test_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    rule_files::tests_of(path)
}

/// What a path of the command line stands for.
fn named(
    path: &Path,
    request: &Request<'_>,
) -> Result<(Where, Option<Vec<PathBuf>>), Box<Problem>> {
    let unread = |error| Box::new(unreadable(path, &error, None));
    if path.is_dir() {
        let inside = path.join(FILE_NAME);
        if inside.is_file() {
            return Ok((Where::Configured(inside), None));
        }
        let files = rule_files::tests_of(path).map_err(unread)?;
        return Ok((of_folder(path, path, request), Some(files)));
    }
    let file = read_text(path).map_err(unread)?;
    if is_test(&file) {
        return Ok((of_file(path, request), Some(vec![path.to_owned()])));
    }
    if is_configuration(&file) {
        return Ok((Where::Configured(path.to_owned()), None));
    }
    let message = format!("`{}` holds no tests", path.display());
    let help = "name a test file, a folder of them, or a configuration";
    Err(Box::new(Problem::new(Code::Empty, message).help(help)))
}

fn of_file(path: &Path, request: &Request<'_>) -> Where {
    let folder = path.parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match of_folder(folder, path, request) {
        // A test file may lie where much else does.
        Where::Folder(folder, config) => Where::Beside(folder, config),
        place => place,
    }
}

/// The rules of the configuration around it if it holds the tests, else those of the folder.
fn of_folder(folder: &Path, path: &Path, request: &Request<'_>) -> Where {
    let is_named = request.config.is_some() || (request.env)("TRIGGERBELL_CONFIG").is_some();
    let config = if is_named { locate(request.config, request.env).ok() } else { above(path) };
    let config = config.filter(|config| config.is_file());
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let holds = |config: &PathBuf| {
        let folder = real(folder);
        rule_paths(config, request).iter().any(|rules| match rules.is_dir() {
            true => folder.starts_with(real(rules)),
            false => real(rules).parent() == Some(&*folder),
        })
    };
    match config {
        Some(config) if holds(&config) => Where::Configured(config),
        config => Where::Folder(folder.to_owned(), config),
    }
}

/// What a configuration names under `rules`.
fn rule_paths(config: &Path, request: &Request<'_>) -> Vec<PathBuf> {
    let ignored = Report::default();
    let Ok(file) = read_text(config) else { return Vec::new() };
    let mut document = Document::parse(file, &ignored);
    environment::expand(&mut document, request.env, &ignored);
    let folder = config.parent().unwrap_or(Path::new(""));
    let root = document.root.as_ref();
    let map = root.and_then(|root| Value::root(root, "", &document.file, &ignored).map());
    let value = map.and_then(|mut map| map.get("rules"));
    let items = value.and_then(|value| value.list_or_one()).unwrap_or_default();
    items.into_iter().filter_map(|item| Some(values::path(item, folder)?.path)).collect()
}

/// Test files with the names that they are shown by.
type Shelf = Vec<(String, PathBuf)>;

impl TestBed {
    /// Reads it, with the test files beside configured rules.
    fn read(place: &Where, request: &Request<'_>, report: &Report) -> (Self, Shelf) {
        let ignored = Report::default();
        // Of a configuration that only lends its names nobody asked what is wrong with it.
        let (config, own) = match place {
            Where::Configured(config) => (Some(config.as_path()), report),
            Where::Folder(_, config) | Where::Beside(_, config) => (config.as_deref(), &ignored),
        };
        let text = config.and_then(|config| match read_text(config) {
            Ok(file) => Some((config, file)),
            Err(error) => {
                own.add(unreadable(config, &error, None));
                None
            }
        });
        let document = text.map(|(config, file)| {
            let mut document = Document::parse(file, own);
            environment::expand(&mut document, request.env, &ignored);
            document.hide_secrets();
            (config.parent().unwrap_or(Path::new("")).to_owned(), document)
        });
        let mut surely = document.as_ref().and_then(|(_, document)| map_of(document, own));
        let mut perhaps = document.as_ref().and_then(|(_, document)| map_of(document, &ignored));
        let folder = document.as_ref().map_or(Path::new(""), |(folder, _)| folder);
        let mut bed = Self::around_rules(surely.as_mut(), perhaps.as_mut(), folder, own);
        let named = match place {
            Where::Configured(_) => {
                let value = surely.as_mut().and_then(|map| map.get("rules"));
                let items = value.and_then(|value| value.list_or_one()).unwrap_or_default();
                let named = |item| Some(Named { path: values::path(item, folder)?, value: item });
                items.into_iter().filter_map(named).collect()
            }
            Where::Folder(..) | Where::Beside(..) => Vec::new(),
        };
        let before = report.errors();
        let documents = match place {
            Where::Configured(_) => rule_files::documents(&named, report).0,
            Where::Folder(folder, _) => documents_of(folder, rule_files::files_of(folder), report),
            Where::Beside(folder, _) => {
                documents_of(folder, rule_files::files_beside(folder), report)
            }
        };
        bed.read_rules(documents, report);
        bed.complete &= report.errors() == before;
        let shelf = named.iter().flat_map(|Named { path, .. }| {
            let files = rule_files::tests_of(&path.path).unwrap_or_default();
            files.into_iter().map(|file| (path.inside(&file), file)).collect::<Vec<_>>()
        });
        let shelf = shelf.collect();
        if let Some((_, document)) = &document {
            own.name_paths(document);
        }
        (bed, shelf)
    }

    /// What is around the rules. The first map's problems are told, the second's not.
    fn around_rules(
        mut surely: Option<&mut MapReader<'_>>,
        mut perhaps: Option<&mut MapReader<'_>>,
        folder: &Path,
        report: &Report,
    ) -> Self {
        let zone = surely.as_mut().and_then(|map| map.get("time_zone")).and_then(values::zone);
        let zone = zone.unwrap_or_else(default_zone);
        let templates_folder = surely.as_mut().and_then(|map| map.get("templates"));
        let templates_folder = templates_folder.and_then(|value| values::path(value, folder));
        let template_names = match &surely {
            Some(map) => template_names(map, templates_folder.as_ref()),
            None => TemplateNames::unknown(),
        };
        let intervals = surely.as_mut().map(|map| Intervals::read(map, &zone)).unwrap_or_default();
        let url = perhaps.as_mut().and_then(|map| service::api(map, folder).public_url);
        let settings =
            || Settings { zone: zone.clone(), public_url: url.as_ref().map(ToString::to_string) };
        let readable = templates_folder.as_ref().filter(|folder| folder.path.is_dir());
        let templates = templates::compile(readable, settings(), report)
            .or_else(|| templates::compile(None, settings(), &Report::default()));
        let (names, recipients) =
            perhaps.as_mut().map(|map| recipients(map, folder)).unwrap_or_default();
        let sources = perhaps.as_mut().map(|map| outlines(map, &zone));
        let deciding = sources.as_deref().map(source::for_deciding).unwrap_or_default();
        let sources = sources.unwrap_or_default();
        let sources = perhaps.map(|map| source_names(map, &sources, &zone)).unwrap_or_default();
        Self {
            rules: RuleSet::default(),
            recipients,
            // The shipped templates are sound: a test compiles them.
            templates: templates.unwrap_or_else(|| unreachable!("the shipped templates are sound")),
            documents: Vec::new(),
            ground: Ground { names, zone, intervals, sources, deciding },
            template_names,
            templates_folder,
            complete: false,
        }
    }

    fn read_rules(&mut self, documents: Vec<Document>, report: &Report) {
        let Ground { names, zone, intervals, deciding, .. } = &self.ground;
        let mut reader = RuleReader::new(names, &self.template_names, zone, intervals);
        for document in &documents {
            rule_document(&mut reader, document, report);
        }
        self.complete = reader.is_complete() && !documents.is_empty();
        let (rules, _) = reader.finish(report);
        self.rules = RuleSet::new(rules).over(deciding.clone());
        self.documents = documents;
    }

    fn around(&self) -> Around<'_> {
        let Ground { names, zone, intervals, sources, deciding } = &self.ground;
        Around {
            names,
            templates: &self.template_names,
            zone,
            intervals,
            rules: self.rules.rules(),
            complete: self.complete,
            sources,
            deciding: deciding.clone(),
        }
    }

    fn read_files(&self, files: Shelf, report: &Report) -> Vec<TestFile> {
        let around = self.around();
        let mut read: Vec<TestFile> = Vec::new();
        for (shown, path) in files {
            if read.iter().any(|known| known.path == path) {
                continue;
            }
            match read_as(&path, &shown) {
                Ok(file) => {
                    let document = Document::parse(file, report);
                    read.push(around.read(&path, &document, report));
                }
                Err(error) => report.add(unreadable(Path::new(&shown), &error, None)),
            }
        }
        read
    }

    /// The line of a clause of a rule, by its path: `match.returnCode.not`; `None` where it is not
    /// written, as a default.
    pub fn line_of(&self, rule: &Rule, path: &str) -> Option<u32> {
        let document =
            self.documents.iter().find(|document| *document.file.name() == *rule.origin.path)?;
        let root = as_map(document.root.as_ref()?)?;
        let Kind::List(rules) = &get(root, "rules")?.kind else { return None };
        let line = |node: &Node| document.file.position(node.head().start).line;
        let own = rules.iter().find(|node| line(node) == rule.origin.line as usize)?;
        let steps: Vec<&str> = path.split(['.', '[']).collect();
        let holders = [as_map(own), get(root, "defaults").and_then(as_map)];
        let found = holders.into_iter().flatten().find_map(|map| line_in(map, &steps))?;
        u32::try_from(document.file.position(found).line).ok()
    }

    /// The file of a template for a type of receiver, as it is shown; `None` for a shipped one.
    pub fn template_file(&self, name: &str, kind: &str) -> Option<String> {
        let file = self.template_names.file(name, kind)?;
        let folder = self.templates_folder.as_ref()?;
        Some(folder.inside(&folder.path.join(file)))
    }
}

/// The documents of a folder's rule files.
fn documents_of(
    folder: &Path,
    files: std::io::Result<Vec<PathBuf>>,
    report: &Report,
) -> Vec<Document> {
    let files = match files {
        Ok(files) => files,
        Err(error) => {
            report.add(unreadable(folder, &error, None));
            return Vec::new();
        }
    };
    let mut documents = Vec::new();
    for path in files {
        match read_text(&path) {
            // A folder may hold more than rules; what is a configuration says so.
            Ok(file) if is_configuration(&file) || is_test(&file) => {}
            Ok(file) => documents.push(Document::parse(file, report)),
            Err(error) => report.add(unreadable(&path, &error, None)),
        }
    }
    documents
}

fn map_of<'a>(document: &'a Document, report: &'a Report) -> Option<MapReader<'a>> {
    let root = document.root.as_ref()?;
    Value::root(root, "the configuration", &document.file, report).map()
}

/// The receivers as far as each can be read.
fn recipients(map: &mut MapReader<'_>, folder: &Path) -> (Names, BTreeMap<Arc<str>, Recipient>) {
    let complete = map.value().is_complete();
    let Some(value) = map.get("receivers") else {
        return (Names::new(BTreeMap::new(), complete), BTreeMap::new());
    };
    let (mut names, mut all) = (BTreeMap::new(), BTreeMap::new());
    for (entry, value) in value.named("receiver").unwrap_or_default() {
        let read = receiver::receiver(entry, value, folder);
        let template = read.template.and_then(|value| value.name()).map(Into::into);
        let forms = read.receiver.map(|receiver| (receiver.form, receiver.wecom));
        let (form, wecom) = forms.unwrap_or_default();
        names.insert(read.name.clone(), read.kind);
        all.insert(read.name, Recipient { kind: read.kind, template, form, wecom });
    }
    (Names::new(names, value.is_complete()), all)
}

/// What deciding is to know of the sources, which may lack their secrets.
fn outlines(map: &mut MapReader<'_>, zone: &TimeZone) -> Vec<source::Outline> {
    let entries = map.get("sources").and_then(|value| value.named("source")).unwrap_or_default();
    let outlines = entries.into_iter().map(|(entry, value)| source::outline(entry, value, zone));
    outlines.flatten().collect()
}

/// The sources that can be named, each with its zone; none where not all could be read.
pub(super) fn source_names(
    map: &MapReader<'_>,
    read: &[source::Outline],
    zone: &TimeZone,
) -> Vec<(Arc<str>, TimeZone)> {
    let Some((_, value)) = map.place_of("sources") else { return Vec::new() };
    if !value.is_complete() {
        return Vec::new();
    }
    let named = |name: &Arc<str>| {
        let own = read.iter().find(|source| source.name == *name);
        (Arc::clone(name), own.map_or_else(|| zone.clone(), |source| source.zone.clone()))
    };
    let Kind::Map(map) = &value.node().kind else { return Vec::new() };
    map.entries.iter().map(|entry| named(&entry.key.text)).collect()
}

fn as_map(node: &Node) -> Option<&Map> {
    match &node.kind {
        Kind::Map(map) => Some(map),
        _ => None,
    }
}

fn get<'m>(map: &'m Map, key: &str) -> Option<&'m Node> {
    map.entries.iter().find(|entry| *entry.key.text == *key).map(|entry| &entry.value)
}

/// Where the last step of a path stands, from a map on.
fn line_in(map: &Map, steps: &[&str]) -> Option<u32> {
    let (first, rest) = steps.split_first()?;
    let entry = map.entries.iter().find(|entry| *entry.key.text == **first)?;
    let start = entry.key.span.start;
    if rest.is_empty() {
        return Some(start);
    }
    let inner = match &entry.value.kind {
        Kind::Map(map) => line_in(map, rest),
        Kind::List(items) => {
            let item =
                rest[0].trim_end_matches(']').parse().ok().and_then(|at: usize| items.get(at));
            item.and_then(as_map).and_then(|map| line_in(map, &rest[1..]))
        }
        _ => None,
    };
    Some(inner.unwrap_or(start))
}
