//! Rules beside what they are used with: templates, mutes, and how often sources are read. Each is
//! sound by itself, and together they do less than is meant.
//!
//! Deliberately absent: what rules say by themselves (`lint`), and deciding it (`domain`).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::{
    Config, Source,
    lint::{Written, child, text_of, under},
    read_text,
    source::SourceSettings,
    unreadable,
};
use crate::{
    adapters::{
        source::{FileInput, FileSettings},
        templates::{DEFAULT, Read, ReceiverType, WebhookForm},
    },
    document::{Code, File, Kind, Node, Problem, Report, Span},
    domain::{
        clause::{Clause, Test},
        field::Field,
        interval, lint,
        rule::{Notify, Rule},
    },
};

/// What a limit that is proposed is a multiple of.
const ROUND: usize = 1_024;

/// Warns of rules that are muted at every hour.
pub(super) fn mutes(rules: &[Rule], written: &Written, report: &Report) {
    for rule in rules.iter().filter(|rule| written.gaps.is_sound(rule)) {
        let Some(mute) = &rule.quiet.mute else { continue };
        let place = written.names.get(&rule.name);
        if let Some(place) = place.filter(|_| interval::leave_nothing(&mute.during)) {
            let message = format!("`{}` is muted at every hour of every day", rule.name);
            let problem = Problem::new(Code::AlwaysMuted, message).at(&place.file, place.span);
            report.add(problem.help("to have it decided and not sent write `mode: shadow`"));
        }
    }
}

/// Warns of a source's file that can't be read now; it may be there later.
pub(super) fn file(config: &Config, source: &str, within: &Arc<File>, at: Span, report: &Report) {
    let found = config.sources.iter().find(|known| &*known.name == source);
    let Some(SourceSettings::File(FileSettings { input: FileInput::Path(path) })) =
        found.map(|source| &source.settings)
    else {
        return;
    };
    let problem = match std::fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => return,
        Ok(_) => unreadable(path, &io::ErrorKind::IsADirectory.into(), None),
        Err(error) => unreadable(path, &error, None),
    };
    let message = format!("{}; `{source}` reads nothing until it can be read", problem.message);
    let help = "relative paths are relative to the folder of the file that holds them";
    report.add(Problem::new(Code::NoFile, message).at(within, at).help(help));
}

/// Warns of rules that wait for an absence that is shorter than the time between two readings.
/// `complete` says whether all sources could be read.
pub(super) fn absences(
    config: &Config,
    complete: bool,
    rules: &[Rule],
    written: &Written,
    report: &Report,
) {
    let waits = |rule: &Rule| matches!(rule.notify, Notify::Absent { .. });
    if !complete && rules.iter().any(waits) {
        report.left_out("how often sources with errors are read".to_owned());
    }
    for rule in rules.iter().filter(|rule| written.gaps.is_sound(rule)) {
        let Notify::Absent { after, .. } = rule.notify else { continue };
        let rare = config.sources.iter().find(|source| {
            let is = Test::Is(vec![source.name.as_ref().into()]);
            interval_of(source) > after && !lint::excludes(&rule.matches, Field::Source, is)
        });
        let (Some(source), Some(place)) = (rare, written.names.get(&rule.name)) else { continue };
        let message = format!(
            "`{}` waits for {} without an entry, and `{}` is read every {} at best",
            rule.name,
            shown(after),
            source.name,
            shown(interval_of(source)),
        );
        let problem = Problem::new(Code::ShortAbsence, message).at(&place.file, place.span);
        report.add(problem.help("make `absent_for` several times as long"));
    }
}

/// How often each repository of a source is read at best.
fn interval_of(source: &Source) -> Duration {
    if matches!(source.settings, SourceSettings::Push(_)) {
        return Duration::ZERO;
    }
    let repos = u32::try_from(source.repos.len()).unwrap_or(u32::MAX);
    let budget = Duration::from_secs_f64(f64::from(repos) / source.requests_per_second);
    source.poll_every.max(budget)
}

fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Warns of what a rule's templates write and the rule never has, and of labels that they can't show.
pub(super) fn templates(
    config: &Config,
    root: &Node,
    rules: &[Rule],
    written: &Written,
    report: &Report,
) {
    let addressed = addressed(root);
    let rules = || rules.iter().filter(|rule| written.gaps.is_sound(rule));
    for rule in rules() {
        let mut known: Vec<(&str, ReceiverType)> = Vec::new();
        for (template, kind) in used_by(rule, &addressed).into_iter().flatten() {
            if !known.contains(&(template, kind)) {
                known.push((template, kind));
                writes(rule, template, kind, config, written, report);
            }
        }
    }
    let by_name: HashMap<&Arc<str>, &Rule> = rules().map(|rule| (&rule.name, rule)).collect();
    for (name, label, place) in &written.labels {
        let Some(&rule) = by_name.get(name) else { continue };
        let shows = |(template, kind): (&str, ReceiverType)| {
            kind == ReceiverType::Webhook || config.templates.shows_label(template, kind, label)
        };
        // One that stands in for another may be of any type.
        let has_fallback =
            |name: &Arc<str>| addressed.get(&**name).is_some_and(|it| it.has_fallback);
        if !rule.send_to.iter().any(has_fallback)
            && !used_by(rule, &addressed).into_iter().any(|it| it.is_none_or(shows))
        {
            let message = format!("no template of `{name}` shows the label `{label}`");
            let problem = Problem::new(Code::Unused, message).at(&place.file, place.span);
            let help = format!("write `{{{{rule.labels.{label}}}}}` in one, or take the label out");
            report.add(problem.help(help));
        }
    }
}

/// Warns of webhooks whose `max_bytes` a message about one entry can't keep to.
pub(super) fn sizes(
    config: &Config,
    root: &Node,
    file: &Arc<File>,
    rules: &[Rule],
    report: &Report,
) {
    let forms: HashMap<&str, &WebhookForm> = config
        .receivers
        .iter()
        .filter_map(|receiver| Some((&*receiver.name, receiver.form.as_deref()?)))
        .filter(|(_, form)| form.max_bytes.is_some())
        .collect();
    if forms.is_empty() {
        return;
    }
    // Whatever is sent to one, each template once: alarms and digests go by the receiver's own.
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for receiver in config.receivers.iter().filter(|it| forms.contains_key(&*it.name)) {
        let own = receiver.template.as_deref().unwrap_or(DEFAULT);
        used.entry(&receiver.name).or_default().insert(own);
    }
    for rule in rules {
        let Some(template) = rule.template.as_deref() else { continue };
        for receiver in &rule.send_to {
            used.get_mut(&**receiver).map(|used| used.insert(template));
        }
    }
    for entry in under(root, "receivers") {
        let name = &*entry.key.text;
        let Some(most) = child(&entry.value, "webhook").and_then(|it| child(it, "max_bytes"))
        else {
            continue;
        };
        let Some((form, used)) = forms.get(name).zip(used.get(name)) else { continue };
        let lacking = used.iter().filter_map(|&template| {
            Some((config.templates.lacks(template, name, form)?, template))
        });
        let Some((needs, template)) = lacking.max() else { continue };
        let message = format!(
            "a message of the template `{template}` about one entry takes {needs} bytes, which is more"
        );
        let problem = Problem::new(Code::TooSmall, message).at(file, most.span);
        report.add(problem.help(format!(
            "write {} and more, or a template that says less",
            needs.next_multiple_of(ROUND)
        )));
    }
}

/// A receiver as far as templates are concerned, whether or not it has what it takes to be sent to.
struct Addressed<'c> {
    /// `None` where that can't be read.
    kind: Option<ReceiverType>,
    /// The outer `None` where that can't be read.
    template: Option<Option<&'c str>>,
    has_fallback: bool,
}

fn addressed(root: &Node) -> HashMap<&str, Addressed<'_>> {
    let read = |node| {
        let kind = |node: &Node| match &node.kind {
            Kind::Map(map) => {
                map.entries.iter().find_map(|entry| ReceiverType::by_name(&entry.key.text))
            }
            _ => None,
        };
        let template = child(node, "template").filter(|template| !template.is_unset());
        Addressed {
            kind: kind(node),
            template: template.map_or(Some(None), |template| text_of(template).map(Some)),
            has_fallback: child(node, "fallback").is_some(),
        }
    };
    under(root, "receivers").map(|entry| (&*entry.key.text, read(&entry.value))).collect()
}

/// The templates of a rule's messages, each with its type of receiver; `None` where one can't be
/// told.
fn used_by<'c>(
    rule: &'c Rule,
    addressed: &HashMap<&str, Addressed<'c>>,
) -> Vec<Option<(&'c str, ReceiverType)>> {
    let used = |name: &Arc<str>| {
        let receiver = addressed.get(&**name)?;
        let own = rule.template.as_deref().map_or(receiver.template, |own| Some(Some(own)))?;
        Some((own.unwrap_or(DEFAULT), receiver.kind?))
    };
    rule.send_to.iter().map(used).collect()
}

/// Warns of what one template writes and the rule never has. Shipped ones ask before they write.
fn writes(
    rule: &Rule,
    template: &str,
    kind: ReceiverType,
    config: &Config,
    written: &Written,
    report: &Report,
) {
    let Some((path, reads)) = config.templates.always_read(template, kind) else { return };
    let folder = config.templates_folder.as_ref();
    if !folder.is_some_and(|folder| Path::new(path).starts_with(folder)) {
        return;
    }
    for (read, at) in reads {
        let message = match read {
            Read::Field(field) if never_has(rule, field) => {
                format!("no entry of `{}` has a `{field}`", rule.name)
            }
            Read::Incident if rule.notify == Notify::Every => {
                format!("`{}` tells of every match and has no incidents", rule.name)
            }
            _ => continue,
        };
        let Ok(file) = read_text(Path::new(path)) else { return };
        let length = file.text().get(at..).and_then(|tag| tag.find("}}")).map_or(2, |end| end + 2);
        // A template is far smaller than that.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span { start: offset(at), end: offset(at + length) };
        let mut problem = Problem::new(Code::NeverThere, message)
            .at(&Arc::new(file), span)
            .label("stays empty in every message");
        if let Some(place) = written.names.get(&rule.name) {
            problem = problem.related(place.clone(), "this rule's messages are made by it");
        }
        report.add(problem.help("take it out, or let another template tell of this rule"));
    }
}

/// Whether no entry that a rule tells of can have a field: none that it matches, nor one that ends an
/// incident.
fn never_has(rule: &Rule, field: Field) -> bool {
    let never = |clause: &Clause| lint::excludes(clause, field, Test::Exists(true));
    never(&rule.matches) && (!rule.notify.recovers() || never(&rule.quiet.recover))
}
