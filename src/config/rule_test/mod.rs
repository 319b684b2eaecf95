//! Rule tests: from the tree of a `*_test.yaml` file to scenarios that can be played (design 2.5,
//! docs/testing.md).
//!
//! Deliberately absent: which files there are and what they run on (`testbed`), and the playing,
//! which is the command's.

mod entries;
mod events;
mod expectation;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{
    interval::Intervals,
    names::Names,
    templates::TemplateNames,
    values::{days, seconds},
};
use crate::{
    document::{Code, Document, File, MapReader, Problem, Report, Span, Value, nearest},
    domain::{
        entry::Entry,
        memory::Subject,
        rule::{Rule, RuleSet, Sources},
        silence::Silence,
    },
};

pub(super) use expectation::reasons;

pub use expectation::Expected;

/// How long a scenario goes on after all that is written of it, where it does not say until when:
/// what a group or a window still holds is to be seen.
const AFTERWARDS: Duration = seconds(300);

/// The source of entries where several are configured, or none.
const SOURCE: &str = "test";

/// Where a scenario begins: a Monday, at nine in the morning.
const START: DateTime = jiff::civil::date(2026, 1, 5).at(9, 0, 0, 0);

/// Any time of a scenario, from its start.
const AT: std::ops::RangeInclusive<Duration> = seconds(0)..=days(366);

/// A test file, checked.
#[derive(Debug)]
pub struct TestFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its text, under the name that it is shown by.
    pub file: Arc<File>,
    /// Its scenarios, in the order written.
    pub tests: Vec<Scenario>,
    /// The rule sets that scenarios reload to.
    pub reloads: Vec<RuleSet>,
}

/// One scenario: what happens and what is to be told.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The line that it begins on, from 1.
    pub line: usize,
    /// When it begins.
    pub start: Timestamp,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
    /// The sources that are read while it lasts.
    pub sources: Vec<Arc<str>>,
    /// Until when it lasts.
    pub until: Timestamp,
    /// What is to be told, in the order written.
    pub expect: Vec<Expected>,
    /// Where that is written, for whoever writes it anew.
    pub written: Written,
}

/// Where the expectations of a scenario are written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The whole scenario.
    pub scenario: Span,
    /// The key `expect` and its value; `None` where it is not written.
    pub expect: Option<(Span, Span)>,
    /// Each item of the list.
    pub items: Vec<Span>,
}

/// Something that happens at an instant.
#[derive(Debug, Clone)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Happens,
}

/// What happens in a scenario.
#[derive(Debug, Clone)]
pub enum Happens {
    /// A source is read, and then no more for a while.
    ReadingStops(Vec<Arc<str>>),
    /// It is read again.
    ReadingGoesOn(Vec<Arc<str>>),
    /// Somebody silences something.
    Silence(Subject, Box<Silence>),
    /// Somebody ends a silence.
    EndSilence(Subject),
    /// The service is killed and begins anew.
    Restart,
    /// Other rules are put in force: an index of the file's `reloads`.
    Reload(usize),
    /// An entry is taken in.
    Entry(Arc<Entry>),
}

/// What test files may take for granted.
pub(super) struct Around<'a> {
    pub(super) names: &'a Names,
    pub(super) templates: &'a TemplateNames,
    pub(super) zone: &'a TimeZone,
    pub(super) intervals: &'a Intervals,
    /// The rules that they are about.
    pub(super) rules: &'a [Rule],
    /// False where some of the rules could not be read: then an unknown name says nothing.
    pub(super) complete: bool,
    /// The sources by name, each with its zone; empty without a configuration.
    pub(super) sources: &'a [(Arc<str>, TimeZone)],
    /// What deciding is to know of them, for rules that are reloaded.
    pub(super) deciding: Sources,
}

impl Around<'_> {
    /// Reads a test file. Every problem is put down; what comes back is of use where there is none.
    pub(super) fn read(&self, path: &Path, document: &Document, report: &Report) -> TestFile {
        let mut file = TestFile {
            path: path.to_owned(),
            file: Arc::clone(&document.file),
            tests: Vec::new(),
            reloads: Vec::new(),
        };
        let Some(root) = &document.root else {
            if !document.broken {
                let problem = Problem::new(Code::Empty, "the file holds no tests");
                let problem = problem.at(&document.file, Span::default());
                report.add(problem.help("write `tests:` and a list of scenarios"));
            }
            return file;
        };
        let value = Value::root(root, "the test file", &document.file, report);
        let Some(mut map) = value.map() else { return file };
        let tests = map.require("tests");
        map.finish("keys of a test file");
        let mut reading = Reading { around: self, file: &mut file, names: HashSet::new() };
        for value in tests.and_then(|value| value.list()).unwrap_or_default() {
            reading.scenario(value);
        }
        report.name_paths(document);
        file
    }

    /// The source that entries come from where they name none.
    fn usual_source(&self) -> Arc<str> {
        match self.sources {
            [(only, _)] => Arc::clone(only),
            _ => SOURCE.into(),
        }
    }

    /// The name of a source.
    fn source(&self, value: Value<'_>) -> Option<Arc<str>> {
        let name = value.text_as("the name of a source")?;
        let known = self.sources.iter().map(|(name, _)| &**name);
        if self.sources.is_empty() || known.clone().any(|known| known == name) {
            return Some(name.into());
        }
        let near = nearest(name, known.clone());
        let problem = value
            .problem(Code::UnknownSource, format!("no source is named {}", value.found()))
            .known("sources", known);
        value.add(problem.maybe_help(near.map(|near| format!("did you mean `{near}`?"))));
        None
    }

    fn zone_of(&self, source: &str) -> &TimeZone {
        let own = self.sources.iter().find(|(name, _)| **name == *source);
        own.map_or(self.zone, |(_, zone)| zone)
    }

    /// An instant: RFC 3339, or a local date and time.
    fn instant(&self, value: Value<'_>) -> Option<Timestamp> {
        let text = value.text_as("an instant")?;
        let local = || self.zone.to_timestamp(text.parse::<DateTime>().ok()?).ok();
        let instant = text.parse().ok().or_else(local);
        if instant.is_none() {
            let message = format!("`{}` takes an instant", value.key());
            let help =
                "write `2026-03-02T09:00:00+08:00`, or without the offset for the local time";
            value.add(value.problem(Code::BadTime, message).help(help));
        }
        instant
    }

    /// How long scenarios go on by themselves.
    fn afterwards(&self) -> Duration {
        let waits = self.rules.iter().filter_map(|rule| rule.quiet.group.as_ref());
        waits.map(|group| group.wait).fold(AFTERWARDS, Duration::max)
    }
}

/// A test file being read.
struct Reading<'a, 'f> {
    around: &'a Around<'a>,
    file: &'f mut TestFile,
    names: HashSet<String>,
}

/// A scenario's times.
#[derive(Clone, Copy)]
struct Times {
    start: Timestamp,
    /// The last that was written of.
    last: Timestamp,
    /// Until when it lasts, where that is written.
    until: Option<Timestamp>,
}

impl Times {
    /// The instant that is so long after the start; what comes after the end is reported.
    fn at(&mut self, at: Option<Value<'_>>) -> Option<Timestamp> {
        let Some(value) = at else { return Some(self.start) };
        let instant = after(self.start, value.duration(AT)?);
        self.last = self.last.max(instant);
        if self.until.is_some_and(|until| instant > until) {
            let message = format!("{} comes after the end of the scenario", value.found());
            let problem = value.problem(Code::AfterEnd, message);
            value.add(problem.help("give it a later `until`, or leave `until` out"));
        }
        Some(instant)
    }
}

/// An instant so long after another, as far as instants go.
fn after(start: Timestamp, by: Duration) -> Timestamp {
    start.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl Reading<'_, '_> {
    fn scenario(&mut self, value: Value<'_>) -> Option<()> {
        let around = self.around;
        let mut map = value.map()?;
        let name = map.require("name").and_then(|value| self.name(value));
        let written_start = map.get("start");
        let start = written_start.and_then(|value| around.instant(value));
        let source = map.get("source").and_then(|value| around.source(value));
        let source = source.unwrap_or_else(|| around.usual_source());
        let recorded = map.get("entries_from").map(|value| self.recorded(value, &source));
        let recorded = recorded.flatten().unwrap_or_default();
        let earliest = recorded.iter().map(|entry| entry.row.time).min();
        let usual = || around.zone.to_timestamp(START).unwrap_or(Timestamp::UNIX_EPOCH);
        let start = start.or(earliest).unwrap_or_else(usual);
        let until = map.get("until").and_then(|value| value.duration(AT));
        let mut times = Times { start, last: start, until: until.map(|until| after(start, until)) };
        let mut steps = self.events(&mut map, &mut times);
        steps.extend(entries::steps_of(recorded, &mut times));
        steps.extend(self.entries(&mut map, &source, &mut times));
        entries::number(&mut steps);
        steps.sort_by_key(|step| step.at);
        let (expect, written) = self.expectations(&mut map, &mut times);
        map.finish("keys of a test");
        self.file.tests.push(Scenario {
            name: name.unwrap_or_default(),
            line: value.place().position().line,
            start,
            sources: self.sources(&source, &steps),
            steps,
            until: times.until.unwrap_or_else(|| after(times.last, around.afterwards())),
            expect,
            written: Written { scenario: value.node().span, ..written },
        });
        Some(())
    }

    /// A test's name, which no other test of the file has.
    fn name(&mut self, value: Value<'_>) -> Option<String> {
        let name = value.text_as("a name")?;
        if !self.names.insert(name.to_owned()) {
            let message = format!("another test of this file is named `{name}`");
            let problem = value.problem(Code::NamedTwice, message);
            value.add(problem.help("rename one: reports know tests by file and name"));
        }
        Some(name.to_owned())
    }

    /// The sources that are read: the configured ones, and all that an entry names.
    fn sources(&self, usual: &Arc<str>, steps: &[Step]) -> Vec<Arc<str>> {
        let mut sources: Vec<Arc<str>> = vec![Arc::clone(usual)];
        let configured = self.around.sources.iter().map(|(name, _)| name);
        let named = steps.iter().filter_map(|step| match &step.what {
            Happens::Entry(entry) => Some(&entry.source),
            _ => None,
        });
        for name in configured.chain(named) {
            if !sources.contains(name) {
                sources.push(Arc::clone(name));
            }
        }
        sources
    }
}

/// A map's key with its value, where both are written.
fn place_of(map: &MapReader<'_>, key: &str) -> Option<(Span, Span)> {
    map.place_of(key).map(|(span, value)| (span, value.node().span))
}
