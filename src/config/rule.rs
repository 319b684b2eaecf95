//! Rules: from a rule file's tree to checked rules (design 2.2).
//!
//! Deliberately absent: which files there are (`rule_files`), and the match language (`rule_match`).

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZone;

use super::{
    interval::Intervals,
    lint::Written,
    names::Names,
    quiet::{self, Draft, Pending},
    rule_match::ClauseReader,
    templates::TemplateNames,
};
use crate::{
    document::{Code, Document, Entry, Kind, MapReader, Place, Problem, Report, Value, nearest},
    domain::{
        cel::Compiler,
        clause::Clause,
        expression::Expressions,
        field::Field,
        quiet::Quiet,
        rule::{DEFAULT_BY, Mode, Notify, Origin, Rule, Severity},
    },
};

/// Reads the rules of any number of files, in order.
pub(super) struct RuleReader<'a> {
    names: &'a Names,
    templates: &'a TemplateNames,
    zone: &'a TimeZone,
    intervals: &'a Intervals,
    expressions: Expressions,
    compiler: Compiler,
    rules: Vec<Rule>,
    /// Where each name was first given, and what else the lint wants to know.
    written: Written,
    /// What is to be checked once all rules are known.
    pending: Vec<Pending>,
    /// A rule could not be read, so that a name may be unknown for no fault of its own.
    incomplete: bool,
}

/// What a file says for all of its rules.
#[derive(Default)]
struct Defaults {
    send_to: Option<Vec<Arc<str>>>,
    labels: BTreeMap<String, String>,
    severity: Option<Severity>,
    template: Option<Arc<str>>,
    by: Option<Vec<Field>>,
    recover: Option<Clause>,
    quiet: Draft,
    mode: Option<Mode>,
    /// Something of it could not be read, so that a rule may lack it for no fault of its own.
    broken: bool,
}

impl<'a> RuleReader<'a> {
    pub(super) fn new(
        names: &'a Names,
        templates: &'a TemplateNames,
        zone: &'a TimeZone,
        intervals: &'a Intervals,
    ) -> Self {
        Self {
            names,
            templates,
            zone,
            intervals,
            expressions: Expressions::default(),
            compiler: Compiler::default(),
            rules: Vec::new(),
            written: Written::default(),
            pending: Vec::new(),
            incomplete: false,
        }
    }

    /// The rules, in order, once what one says of another was checked, and where they are written.
    pub(super) fn finish(self, report: &Report) -> (Vec<Rule>, Written) {
        quiet::check(self.pending, &self.rules, !self.incomplete, report);
        (self.rules, self.written)
    }

    /// Says that there are rules, or may be, which are not read.
    pub(super) fn miss(&mut self, some: bool) {
        self.written.gaps.cut_off |= some;
    }

    /// Whether every rule could be read so far.
    pub(super) const fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// Whether no rule could be read so far.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Reads one file.
    pub(super) fn file(&mut self, document: &Document, report: &Report) {
        let Some(root) = &document.root else {
            self.written.gaps.cut_off |= document.broken;
            if !document.broken {
                report.add(
                    Problem::new(Code::Empty, "the file holds no rules")
                        .at(&document.file, Default::default())
                        .help("write `rules:` and a list of rules"),
                );
            }
            return;
        };
        let value = Value::root(root, "the rule file", &document.file, report);
        let rules = value.map().and_then(|mut map| {
            let written = map.get("defaults");
            let defaults = written.map(|value| self.defaults(value)).unwrap_or_default();
            if let Some(value) = written.filter(|_| defaults.broken) {
                self.written.gaps.mention(value.node());
            }
            let rules = map.require("rules");
            map.finish("keys of a rule file");
            Some((rules?.list()?, defaults))
        });
        self.written.gaps.cut_off |= document.broken || rules.is_none();
        for (rule, defaults) in rules
            .iter()
            .flat_map(|(rules, defaults)| rules.iter().map(move |rule| (*rule, defaults)))
        {
            let before = report.errors();
            let read = self.rule(rule, defaults);
            let is_sound = report.errors() == before && rule.node().is_whole() && !defaults.broken;
            if read.is_none() || !is_sound {
                let name = read.as_ref().map(|rule| &rule.name);
                self.written.gaps.rule(name, rule.node());
            }
            self.incomplete |= read.is_none();
            self.rules.extend(read);
        }
    }

    fn defaults(&mut self, value: Value<'_>) -> Defaults {
        let before = value.report().errors();
        let Some(mut map) = value.map() else {
            return Defaults { broken: true, ..Defaults::default() };
        };
        let common = self.common(&mut map);
        map.finish("keys of defaults");
        Defaults { broken: value.report().errors() > before || !value.is_complete(), ..common }
    }

    /// What rules and defaults can both say.
    fn common(&mut self, map: &mut MapReader<'_>) -> Defaults {
        let send_to = map.get("send_to").and_then(|value| self.names.receivers(value));
        let template = map.get("template");
        let template = template.and_then(|value| {
            let name = value.name()?;
            self.template(value, name, send_to.as_deref().unwrap_or_default());
            Some(name.into())
        });
        Defaults {
            send_to,
            labels: map.get("labels").and_then(labels).unwrap_or_default(),
            severity: map
                .get("severity")
                .and_then(|value| value.one_of(&words(Severity::ALL, Severity::name))),
            template,
            by: map.get("by").and_then(fields),
            recover: map.get("recover").and_then(|value| self.clauses(value, "recover")),
            quiet: Draft::read(map, self.intervals),
            mode: map.get("mode").and_then(|value| value.one_of(&words(Mode::ALL, Mode::name))),
            broken: false,
        }
    }

    fn rule(&mut self, value: Value<'_>, defaults: &Defaults) -> Option<Rule> {
        let mut map = value.map()?;
        let name = map.require("name").and_then(|value| self.name(value));
        let matches = map.require("match");
        let matches = matches.and_then(|value| self.clauses(value, "match"));
        let own = self.common(&mut map);
        let stop = map.get("stop").and_then(|value| value.boolean()).unwrap_or(false);
        if own.send_to.is_none() && defaults.send_to.is_none() && !defaults.broken {
            self.sends_nowhere(&map);
        }
        let wrote_template = map.place_of("template").is_some();
        let inherits = own.send_to.is_none().then_some(defaults.send_to.as_deref()).flatten();
        if let (true, Some(receivers), Some((_, value))) =
            (wrote_template, inherits, map.place_of("template"))
            && let Some(template) = &own.template
        {
            self.template(value, template, receivers);
        }
        if let (Some(name), Some((_, labels))) = (&name, map.place_of("labels")) {
            let entries = match &labels.node().kind {
                Kind::Map(map) => &*map.entries,
                _ => &[],
            };
            let place = |span| Place { span, ..labels.place() };
            let placed = |entry: &Entry| {
                (Arc::clone(name), Arc::clone(&entry.key.text), place(entry.key.span))
            };
            self.written.labels.extend(entries.iter().map(placed));
        }
        map.finish("keys of a rule");
        let mut labels = defaults.labels.clone();
        labels.extend(own.labels);
        let by = own.by.or_else(|| defaults.by.clone());
        let has_by = by.is_some();
        let mut quiet = Quiet::default();
        if let Some(recover) = own.recover.or_else(|| defaults.recover.clone()) {
            quiet.recover = recover;
        }
        let mut rule = Rule {
            name: name?,
            matches: matches?,
            severity: own.severity.or(defaults.severity).unwrap_or(Severity::Info),
            labels,
            send_to: own.send_to.or_else(|| defaults.send_to.clone())?,
            template: own.template.or_else(|| defaults.template.clone()),
            notify: Notify::Every,
            by: by.unwrap_or_else(|| DEFAULT_BY.to_vec()),
            quiet,
            stop,
            mode: own.mode.or(defaults.mode).unwrap_or(Mode::Live),
            origin: origin(value),
        };
        let pending = own.quiet.apply(&defaults.quiet, &mut rule, has_by, value.report());
        self.pending.extend(pending);
        Some(rule)
    }

    /// A rule's name, which no rule of any file had before.
    fn name(&mut self, value: Value<'_>) -> Option<Arc<str>> {
        let name: Arc<str> = value.name()?.into();
        if let Some(first) = self.written.names.get(&name) {
            let message = format!("another rule is named `{name}`");
            value.add(
                value
                    .problem(Code::DuplicateRule, message)
                    .label("named again here")
                    .related(first.clone(), "first named here")
                    .help("rename one: a rule's name is its identity in the record"),
            );
            return None;
        }
        self.written.names.insert(Arc::clone(&name), value.place());
        Some(name)
    }

    fn clauses(&mut self, value: Value<'_>, path: &str) -> Option<Clause> {
        let (zone, compiler) = (self.zone, &self.compiler);
        let (expressions, tags) = (&mut self.expressions, &mut self.written.tags);
        let sources = &mut self.written.sources;
        ClauseReader { zone, compiler, expressions, tags, sources }.clauses(value, path, 0)
    }

    /// Checks that a template exists for each of the receivers, of which only the unknown are not
    /// looked at.
    fn template(&self, value: Value<'_>, name: &str, receivers: &[Arc<str>]) {
        let mut told = Vec::new();
        for receiver in receivers {
            let Some(kind) = self.names.kind_of(receiver) else { continue };
            if !told.contains(&kind) {
                told.push(kind);
                self.templates.check(value, name, kind);
            }
        }
    }

    fn sends_nowhere(&self, map: &MapReader<'_>) {
        let value = map.value();
        if map.has("send_to") || !value.is_complete() {
            return;
        }
        let problem = value.problem(Code::NoReceiver, "this rule sends nowhere");
        let problem = problem.help("give it `send_to`, or the file `defaults: {send_to: …}`");
        value.add(self.names.known(problem));
    }
}

/// Words with their meanings, for [`Value::one_of`].
pub(super) fn words<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|&one| (name(one), one)).collect()
}

fn labels(value: Value<'_>) -> Option<BTreeMap<String, String>> {
    const MOST: usize = 64;
    let entries = value.named("label")?;
    if entries.len() > MOST {
        let message = format!("a rule has at most {MOST} labels");
        value.add(value.problem(Code::TooLarge, message));
    }
    let entries = entries.into_iter().take(MOST);
    Some(
        entries
            .filter_map(|(entry, value)| {
                Some((entry.key.text.to_string(), value.raw_text()?.to_owned()))
            })
            .collect(),
    )
}

/// The fields of a key, each once.
pub(super) fn fields(value: Value<'_>) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    for item in value.some()? {
        let Some(text) = item.text_as("a field") else { continue };
        match Field::by_name(text) {
            Some(field) if fields.contains(&field) => {
                let message = format!("`{field}` is listed twice");
                item.add(item.problem(Code::NamedTwice, message).help("list it once"));
            }
            Some(field) => fields.push(field),
            None => {
                let known = Field::ALL.iter().map(|field| field.name());
                let near = nearest(text, known.clone());
                item.add(
                    item.problem(
                        Code::UnknownField,
                        format!("entries have no field {}", item.found()),
                    )
                    .known("fields", known)
                    .maybe_help(near.map(|near| format!("did you mean `{near}`?"))),
                );
            }
        }
    }
    Some(fields)
}

fn origin(value: Value<'_>) -> Origin {
    let place = value.place();
    let line = u32::try_from(place.position().line).unwrap_or(u32::MAX);
    Origin { path: value.file().name().into(), line }
}
