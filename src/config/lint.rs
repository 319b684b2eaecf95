//! What is sound and hardly meant: the warnings that `check` adds to those of a load, since finding
//! them takes longer than a start may.
//!
//! Deliberately absent: deciding (`domain::lint`).

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use jiff::tz::TimeZone;

use super::{Whole, fit, gaps::Gaps, in_the_open, read_text};
use crate::{
    document::{Code, Document, Entry, Kind, Map, Node, Place, Problem, Report, nearest},
    domain::{
        clause::{Clause, FieldTest, Test},
        expression::Pattern,
        field::Field,
        lint::{self, Finding, Witness},
        rule::Rule,
    },
};

/// The most stops that are named as those that take everything.
const MAX_NAMED: usize = 4;

/// The most clauses that are named as those that contradict each other.
const MAX_ASKED: usize = 6;

/// The most characters that are shown of a text that an expression matches.
const MAX_SHOWN: usize = 60;

/// What the reading of rules leaves for this.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Where each rule's name stands.
    pub(super) names: HashMap<Arc<str>, Place>,
    /// The regular expressions that tags are compared with, each with its place.
    pub(super) tags: Vec<(Pattern, Place)>,
    /// The names of sources that rules ask for, each with what to say where there is none.
    pub(super) sources: Vec<(Box<str>, Problem)>,
    /// The labels that rules write themselves: the rule's name, the label, and where it stands.
    pub(super) labels: Vec<(Arc<str>, Arc<str>, Place)>,
    /// The time intervals that rules name.
    pub(super) intervals: BTreeSet<Arc<str>>,
    /// What of the rules could not be read.
    pub(super) gaps: Gaps,
}

/// Tells of sources that rules ask for and that a configuration has not; none are told of where its
/// names could not be read.
pub(super) fn sources(written: &Written, known: &[(Arc<str>, TimeZone)], report: &Report) {
    let names = || known.iter().map(|(name, _)| &**name);
    for (name, problem) in &written.sources {
        if known.is_empty() || names().any(|known| known == &**name) {
            continue;
        }
        let help = nearest(name, names()).map(|near| format!("did you mean `{near}`?"));
        report.add(problem.clone().known("sources", names()).maybe_help(help));
    }
}

/// Warns of what is hardly meant in a set of rules.
pub(super) fn rules(rules: &[Rule], written: &Written, report: &Report) {
    let rules = &*written.gaps.comparable(rules);
    let no_tags = tags(written, report);
    fit::mutes(rules, written, report);
    for finding in lint::findings(rules) {
        let rule = &rules[finding.rule()];
        let Some(place) = written.names.get(&rule.name) else { continue };
        // That a tag can't be is the reason, and was said where it stands.
        let excused =
            matches!(finding, Finding::Contradiction { field: None | Some(Field::Tag), .. })
                && asks_for_one_of(&rule.matches, &no_tags);
        if !excused {
            report.add(told(&finding, rules, place, written));
        }
    }
}

fn told(finding: &Finding, rules: &[Rule], place: &Place, written: &Written) -> Problem {
    let name = &rules[finding.rule()].name;
    let problem =
        |code: Code, message: String| Problem::new(code, message).at(&place.file, place.span);
    let beside = |mut problem: Problem, others: &[usize], what: &str| {
        for &other in others.iter().take(MAX_NAMED) {
            if let Some(place) = written.names.get(&rules[other].name) {
                problem = problem.related(place.clone(), what);
            }
        }
        problem
    };
    match finding {
        Finding::Contradiction { field, .. } => {
            let message = match field {
                Some(field) => {
                    format!("`{name}` matches nothing: no `{field}` satisfies all of it")
                }
                None => format!("`{name}` matches nothing: its clauses contradict each other"),
            };
            let help = "clauses beside one another must all hold; `any` asks for one of several";
            let problem = problem(Code::Contradiction, message).help(help);
            match asked(&rules[finding.rule()].matches, *field) {
                Some(asked) => problem.note(asked),
                None => problem,
            }
        }
        Finding::NeverReached { stops, witness, .. } => {
            let message = format!("no entry reaches `{name}`");
            let told = beside(
                problem(Code::NeverReached, message).label("never looked at"),
                stops,
                "this rule takes such entries and ends the looking",
            );
            with_example(told, "an entry that it would match", witness.as_ref())
                .help("move it before, narrow the earlier rule, or take `stop` from it")
        }
        Finding::Twice { first, witness, .. } => {
            let message = format!(
                "`{name}` matches what `{}` matches and sends the same",
                rules[*first].name
            );
            let told = beside(problem(Code::Twice, message), &[*first], "the first of the two");
            with_example(told, "an entry that both match", witness.as_ref())
                .help("remove one of them, or let them differ")
        }
        Finding::Undecided { .. } => {
            let message = format!("it was not decided whether an entry reaches `{name}`");
            let help = "its clauses, with those of the rules before it, are too many to go through";
            problem(Code::Undecided, message).help(help)
        }
    }
}

/// The clauses of which some contradict each other, where there are two to name.
fn asked(clause: &Clause, of: Option<Field>) -> Option<String> {
    let asked = clause.asked(of);
    let named = asked.iter().take(MAX_ASKED).map(|(path, wanted)| format!("{path} wants {wanted}"));
    let mut named: Vec<String> = named.collect();
    if asked.len() > MAX_ASKED {
        named.push(format!("{} more", asked.len() - MAX_ASKED));
    }
    (asked.len() > 1).then(|| named.join(", "))
}

fn with_example(problem: Problem, what: &str, witness: Option<&Witness>) -> Problem {
    match witness {
        Some(witness) => problem.note(example(what, witness)),
        None => problem,
    }
}

fn example(what: &str, witness: &Witness) -> String {
    let value = |(field, value): &(Field, Option<String>)| match value {
        Some(value) => format!("{field} `{value}`"),
        None => format!("no {field}"),
    };
    let values: Vec<String> = witness.iter().map(value).collect();
    match values.as_slice() {
        [] => format!("{what}: any"),
        values => format!("{what}: {}", values.join(", ")),
    }
}

/// Whether a clause compares a tag with one of these regular expressions.
fn asks_for_one_of(clause: &Clause, patterns: &BTreeSet<&str>) -> bool {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => {
            parts.iter().any(|part| asks_for_one_of(part, patterns))
        }
        Clause::Not(clause) => asks_for_one_of(clause, patterns),
        Clause::Test(FieldTest { field: Field::Tag, test: Test::Regex(own), .. }) => {
            own.iter().any(|pattern| patterns.contains(pattern.text()))
        }
        Clause::Test(_) | Clause::Cel(_) => false,
    }
}

/// Warns of regular expressions that no tag can match, and of those meant to be found anywhere; says
/// which are of the first.
fn tags<'w>(written: &'w Written, report: &Report) -> BTreeSet<&'w str> {
    let mut known: HashMap<&str, (bool, Option<String>)> = HashMap::new();
    let (mut none, mut tags) = (BTreeSet::new(), lint::Tags::default());
    for (pattern, place) in &written.tags {
        let text = pattern.text();
        let (impossible, missed) = known.entry(text).or_insert_with(|| {
            let impossible = tags.matches_no_tag(pattern) == Some(true);
            let half = anchored_by_halves(text) && !impossible;
            (impossible, half.then(|| tags.found_within(pattern)).flatten())
        });
        if *impossible {
            none.insert(text);
            let message = format!("`{text}` matches nothing that can be a tag");
            let help = "a tag is at most 128 letters, digits, `_`, `.` and `-`, and begins with none of \
                        the last two";
            let problem = Problem::new(Code::NoSuchTag, message).at(&place.file, place.span);
            let problem = match tags.matched_text(pattern) {
                Some(Some(text)) if text.is_empty() => {
                    problem.note("it matches the empty text, and no tag is empty")
                }
                Some(Some(text)) => {
                    problem.note(format!("it matches `{}`, which is no tag", cut(&text)))
                }
                Some(None) => problem.note("it matches no text at all"),
                None => problem,
            };
            report.add(problem.help(help));
        } else if let Some(missed) = missed {
            let message = format!("`{text}` has to match the whole tag");
            let meant = loosened(text);
            report.add(
                Problem::new(Code::HalfAnchored, message)
                    .at(&place.file, place.span)
                    .note(format!("it does not match `{missed}`"))
                    .help(format!(
                        "for tags that begin or end so write `{meant}`; else leave `^` and `$` out"
                    )),
            );
        }
    }
    none
}

/// The beginning of a long text.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether it is anchored at one end only, as if the other were open.
fn anchored_by_halves(text: &str) -> bool {
    text.starts_with('^') != (text.ends_with('$') && !text.ends_with("\\$"))
}

fn loosened(text: &str) -> String {
    match text.strip_prefix('^') {
        Some(rest) => format!("{rest}.*"),
        None => format!(".*{}", text.trim_end_matches('$')),
    }
}

/// Warns of receivers, intervals, templates and labels that nothing uses, of secrets in the open, and
/// of rules that do not fit what is around them.
pub(super) fn configuration(document: &Document, whole: &Whole, report: &Report) {
    let Some(root) = &document.root else { return };
    let Whole { config, rules, written, .. } = whole;
    for section in ["sources", "receivers", "api", "store"] {
        under(root, section).for_each(|entry| in_the_open::secrets(entry, document, report));
    }
    for entry in under(root, "sources") {
        let Some(file) = child(&entry.value, "file") else { continue };
        let place = child(file, "path").unwrap_or(file).span;
        fit::file(config, &entry.key.text, &document.file, place, report);
    }
    let is_whole = config.sources.len() == under(root, "sources").count();
    fit::absences(config, is_whole, rules, written, report);
    if whole.has_templates {
        fit::templates(config, root, rules, written, report);
        fit::sizes(config, root, &document.file, rules, report);
    } else {
        report.left_out("what templates write".to_owned());
    }
    if names_are_known(root) && !document.broken && !written.gaps.cut_off {
        unused(document, root, whole, report);
    } else {
        report.left_out("which names nothing uses".to_owned());
    }
    written.gaps.tell(report);
}

/// Whether all names that a configuration uses could be read.
fn names_are_known(node: &Node) -> bool {
    let known = |entry: &Entry| match &*entry.key.text {
        "send_to" | "fallback" | "template" => entry.value.is_whole(),
        _ => names_are_known(&entry.value),
    };
    match &node.kind {
        Kind::Map(map) => map.complete && map.entries.iter().all(known),
        Kind::List(items) => items.iter().all(names_are_known),
        // A value that the environment lacks names nothing.
        Kind::Scalar(_) | Kind::Unreadable => true,
    }
}

/// Warns of names that nothing uses.
fn unused(document: &Document, root: &Node, whole: &Whole, report: &Report) {
    let Whole { config, rules, written, .. } = whole;
    let may_use = |name: &str| written.gaps.may_use(name);
    let intervals = under(root, "time_intervals");
    let unnamed = |entry: &&Entry| !written.intervals.contains(&entry.key.text);
    for entry in intervals.filter(unnamed).filter(|entry| !may_use(&entry.key.text)) {
        let message = format!("no rule names the time interval `{}`", entry.key.text);
        let problem = Problem::new(Code::Unused, message).at(&document.file, entry.key.span);
        report.add(problem.help("name it in the `mute: {during: […]}` of a rule, or take it out"));
    }
    let mut used: BTreeSet<&str> =
        rules.iter().flat_map(|rule| &rule.send_to).map(|it| &**it).collect();
    used.extend(
        child(root, "alarms").and_then(|it| child(it, "send_to")).map(texts).unwrap_or_default(),
    );
    let entries: Vec<&Entry> = under(root, "receivers").collect();
    for entry in &entries {
        // One that stands in for another is used.
        used.extend(child(&entry.value, "fallback").and_then(text_of));
    }
    let is_used = |name: &str| used.contains(name) || may_use(name);
    for entry in entries.iter().filter(|entry| !is_used(&entry.key.text)) {
        let message = format!("no rule sends to `{}`", entry.key.text);
        let problem = Problem::new(Code::Unused, message).at(&document.file, entry.key.span);
        report.add(problem.help("name it in the `send_to` of a rule, or take it out"));
    }
    if let Some(folder) = &config.templates_folder {
        unused_templates(folder, &entries, rules, written, report);
    }
}

fn unused_templates(
    folder: &Path,
    receivers: &[&Entry],
    rules: &[Rule],
    written: &Written,
    report: &Report,
) {
    let named = rules.iter().filter_map(|rule| rule.template.as_deref());
    let of_receivers =
        receivers.iter().filter_map(|it| child(&it.value, "template").and_then(text_of));
    let used: BTreeSet<&str> = named.chain(of_receivers).chain(["default", "default-zh"]).collect();
    let Ok(files) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = files.flatten().map(|file| file.path()).collect();
    paths.sort();
    for path in paths {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.split('.').next().unwrap_or_default();
        if file.ends_with(".hbs") && !used.contains(name) && !written.gaps.may_use(name) {
            let message = format!("nothing uses the template `{name}`");
            report.add(
                at_file(&path, Problem::new(Code::Unused, message))
                    .help("name it as the `template` of a rule or a receiver, or take it out"),
            );
        }
    }
}

/// The problem at the beginning of a file.
fn at_file(path: &Path, problem: Problem) -> Problem {
    match read_text(path) {
        Ok(file) => problem.at(&Arc::new(file), Default::default()),
        Err(_) => problem,
    }
}

fn map_of(node: &Node) -> Option<&Map> {
    match &node.kind {
        Kind::Map(map) => Some(map),
        _ => None,
    }
}

pub(super) fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    map_of(node)?.entries.iter().find(|entry| &*entry.key.text == key).map(|entry| &entry.value)
}

pub(super) fn text_of(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(&scalar.text),
        _ => None,
    }
}

/// The texts of a value or of a list of them.
fn texts(node: &Node) -> Vec<&str> {
    match &node.kind {
        Kind::List(items) => items.iter().filter_map(text_of).collect(),
        _ => text_of(node).into_iter().collect(),
    }
}

/// The entries of the map under a key of the root.
pub(super) fn under<'a>(root: &'a Node, key: &str) -> impl Iterator<Item = &'a Entry> {
    let map = child(root, key).and_then(map_of);
    map.into_iter().flat_map(|map| &map.entries)
}
