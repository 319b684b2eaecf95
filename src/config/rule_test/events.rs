//! What happens in a scenario beside entries: silences, restarts, reloads, and stretches in which a
//! source is not read.
//!
//! Deliberately absent: what follows from them (`domain`).

use std::{collections::HashMap, path::Path};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value as Json};

use super::{AT, Happens, Reading, Step, Times, after};
use crate::{
    config::{
        rule::RuleReader,
        rule_document,
        rule_files::{self, Named},
        rule_match::ClauseReader,
        values::Shown,
    },
    document::{Code, Entry, Kind, MapReader, Node, Style, Value, nearest},
    domain::{
        cel::Compiler,
        clause::Clause,
        expression::Expressions,
        memory::{At, Subject},
        rule::RuleSet,
        silence::{Silence, Until},
    },
};

/// The keys of which an event has one.
const KINDS: [&str; 5] = ["silence", "end_silence", "restart", "reload", "unread"];

impl Reading<'_, '_> {
    /// The events that are written.
    pub(super) fn events(&mut self, map: &mut MapReader<'_>, times: &mut Times) -> Vec<Step> {
        let items = map.get("events").and_then(|value| value.list()).unwrap_or_default();
        let mut silences = HashMap::new();
        let mut steps = Vec::new();
        for item in items {
            self.event(item, times, &mut silences, &mut steps);
        }
        steps
    }

    fn event(
        &mut self,
        value: Value<'_>,
        times: &mut Times,
        silences: &mut HashMap<String, Subject>,
        steps: &mut Vec<Step>,
    ) -> Option<()> {
        let mut map = value.map()?;
        let at = times.at(map.get("at"));
        let kinds = KINDS.map(|kind| map.get(kind));
        let source = map.get("source").and_then(|value| self.around.source(value));
        map.finish("keys of an event");
        let mut written = KINDS.into_iter().zip(kinds).filter_map(|(kind, it)| Some((kind, it?)));
        let Some((kind, said)) = written.next() else {
            if value.is_complete() {
                let known = "an event is one of: `silence`, `end_silence`, `restart`, `reload`, \
                             `unread`";
                map_missing(value, known);
            }
            return None;
        };
        for (other, _) in written {
            value.map()?.exclusive(kind, other);
        }
        let at = at?;
        let what = match kind {
            "silence" => self.silence(said, at, silences)?,
            "end_silence" => Happens::EndSilence(begun(said, silences)?),
            "restart" => {
                let restarts = said.boolean()?;
                return restarts.then(|| steps.push(Step { at, what: Happens::Restart }));
            }
            "reload" => Happens::Reload(self.reload(said)?),
            _ => {
                let end = after(at, said.duration(AT)?);
                times.last = times.last.max(end);
                let sources = source.map_or_else(Vec::new, |source| vec![source]);
                steps.push(Step { at, what: Happens::ReadingStops(sources.clone()) });
                steps.push(Step { at: end, what: Happens::ReadingGoesOn(sources) });
                return Some(());
            }
        };
        steps.push(Step { at, what });
        Some(())
    }

    fn silence(
        &self,
        value: Value<'_>,
        at: Timestamp,
        silences: &mut HashMap<String, Subject>,
    ) -> Option<Happens> {
        let mut map = value.map()?;
        let name = map.get("name").and_then(|value| value.name());
        let matchers = map.require("matchers");
        let clause = matchers.and_then(|value| clauses(value, self.around.zone));
        let lasts = map.get("for").map(|value| value.duration(AT));
        let until = map.get("until").map(|value| self.silenced_until(value, at));
        let both = map.exclusive("for", "until");
        if lasts.is_none() && until.is_none() && !both {
            map.missing("for", Some("say how long: `for: 2h`, or `until: next_success`"));
        }
        map.finish("keys of a silence");
        let until = match (until, lasts) {
            (Some(until), _) => until?,
            (None, lasts) => Until::At(after(at, lasts??).into()),
        };
        let text = json_of(matchers?.node(), false).to_string();
        let number = silences.len().to_string();
        let id = Subject::of_texts(&["silence", name.unwrap_or_default(), &number, &text]);
        silences.insert(name.map_or(number, str::to_owned), id);
        let (author, comment) = ("a test".to_owned(), String::new());
        let silence = Silence::new((text, clause?), author, comment, At::from(at), until);
        Some(Happens::Silence(id, Box::new(silence)))
    }

    fn silenced_until(&self, value: Value<'_>, at: Timestamp) -> Option<Until> {
        let text = value.text_as("an instant, or `next_success`")?;
        if text == "next_success" {
            return Some(Until::NextSuccess);
        }
        let until = self.around.instant(value)?;
        if until <= at {
            let problem = value.problem(Code::BadTime, "the silence ends before it begins");
            value.add(problem.help("write how long it lasts: `for: 2h`"));
            return None;
        }
        Some(Until::At(until.into()))
    }

    /// Reads the rules of a file or folder, relative to the test file; what is wrong with them is
    /// put down too.
    fn reload(&mut self, value: Value<'_>) -> Option<usize> {
        let name = value.text_as("a rule file, or a folder of them")?;
        let of = |path: &Path| path.parent().unwrap_or(Path::new("")).join(name);
        let path = Shown { path: of(&self.file.path), shown: of(Path::new(value.file().name())) };
        let report = value.report();
        let before = report.errors();
        let around = self.around;
        let mut reader =
            RuleReader::new(around.names, around.templates, around.zone, around.intervals);
        for document in rule_files::documents(&[Named { path, value }], report).0 {
            rule_document(&mut reader, &document, report);
        }
        let (rules, _) = reader.finish(report);
        (report.errors() == before).then(|| {
            self.file.reloads.push(RuleSet::new(rules).over(around.deciding.clone()));
            self.file.reloads.len() - 1
        })
    }
}

fn map_missing(value: Value<'_>, help: &str) {
    let problem = value.problem(Code::MissingKey, "this event says nothing that happens");
    value.add(problem.help(help));
}

/// The silence that an event ends.
fn begun(value: Value<'_>, silences: &HashMap<String, Subject>) -> Option<Subject> {
    let name = value.text_as("the name of a silence")?;
    if let Some(id) = silences.get(name) {
        return Some(*id);
    }
    let known = || silences.keys().map(String::as_str);
    let near = nearest(name, known());
    let help = near.map_or_else(
        || format!("give it one: `silence: {{name: {name}, …}}` in an event before"),
        |near| format!("did you mean `{near}`?"),
    );
    let message = format!("no silence before is named {}", value.found());
    value.add(value.problem(Code::UnknownSilence, message).help(help));
    None
}

/// The clauses of a silence.
fn clauses(value: Value<'_>, zone: &TimeZone) -> Option<Clause> {
    let (compiler, tags) = (&Compiler::default(), &mut Vec::new());
    let sources = &mut Vec::new();
    let expressions = &mut Expressions::default();
    let clause = ClauseReader { zone, compiler, expressions, tags, sources }
        .clauses(value, "matchers", 0)?;
    if matches!(&clause, Clause::All(all) if all.is_empty()) {
        let message = "`matchers` asks for nothing, so it would silence everything";
        value.add(value.problem(Code::Empty, message).help("write `{service: pay}`"));
        return None;
    }
    Some(clause)
}

/// A tree as JSON. With `typed`, bare numbers, `true`, `false` and `null` are what they look like;
/// else every scalar is its text.
pub(super) fn json_of(node: &Node, typed: bool) -> Json {
    match &node.kind {
        Kind::Scalar(scalar) => {
            let bare = typed && matches!(scalar.style, Style::Plain | Style::PlainInFlow);
            let text = &*scalar.text;
            if bare && node.is_null() {
                return Json::Null;
            }
            let read = bare.then(|| serde_json::from_str::<Json>(text).ok()).flatten();
            read.filter(|json| json.is_number() || json.is_boolean()).unwrap_or_else(|| text.into())
        }
        Kind::List(items) => items.iter().map(|item| json_of(item, typed)).collect(),
        Kind::Map(map) => {
            let entries = map.entries.iter();
            let entry = |entry: &Entry| (entry.key.text.to_string(), json_of(&entry.value, typed));
            entries.map(entry).collect::<Map<_, _>>().into()
        }
        Kind::Unreadable => Json::Null,
    }
}
