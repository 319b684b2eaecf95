//! `explain`: why an entry became a message or did not, rule by rule and clause by clause.
//!
//! The verdicts are the rule set's own and what follows is decided by the rehearsal, or told by the
//! running service, so nothing here decides anything. Deliberately absent: what a service remembers,
//! for the entries of a file; they are explained as if they were all that ever happened.

mod kept;
mod outcome;
mod rule;

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    sync::Arc,
};

use clap::Args;
use jiff::{SignedDuration, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    adapters::source::oldest_first,
    config::Config,
    domain::{
        entry::{Entry, EntryId},
        field::Field,
        held,
        notification::Reason,
        rehearsal::{Decided, Rehearsal},
    },
};

use super::{
    Printed,
    client::{Service, ServiceArgs},
    deliveries::checked_id,
    exit::{Exit, Failure},
    load::{self, Files},
    local, output, sample, service_of, stored,
    table::printable,
};

/// What to explain.
#[derive(Debug, Clone, Args)]
#[group(id = "what", required = true, multiple = false, args = ["entry", "id", "rule"])]
pub struct ExplainArgs {
    /// A file with entries, an API answer or JSON lines; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub entry: Option<String>,

    /// An entry or a message of the running service, else of the database, by its id
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,

    /// A rule: what it matched lately, and what it missed by the least
    #[arg(long, value_name = "NAME")]
    pub rule: Option<String>,

    /// With --rule, how many matches and misses to name
    #[arg(long, value_name = "N", requires = "rule", conflicts_with_all = ["entry", "id"], default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub limit: u8,

    /// The source that a file's entries are taken to come from; the configuration's where it has
    /// only one
    #[arg(long, value_name = "NAME", conflicts_with_all = ["id", "rule"])]
    pub source: Option<String>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,

    /// Where the service is.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// Explains the entries of a file, or what a running service has.
///
/// # Errors
/// The configuration or the file is broken, the service can't be reached, or there is no such thing.
pub async fn run(args: &ExplainArgs, files: &Files) -> Result<Exit, Failure> {
    if let Some(rule) = &args.rule {
        return rule::run(rule, args, files).await;
    }
    let (explanations, zone) = match (&args.entry, &args.id) {
        (Some(file), _) => {
            let config = load::config(files, "explained")?;
            (of_file(file, args.source.as_deref(), &config)?, config.time_zone)
        }
        (None, Some(id)) => {
            let (id, service) = (checked_id(id)?, service_of(&args.service, files)?);
            let asked = of_id(id, &service).await;
            or_kept(asked, &service, args, files, |config| kept::of_id(id, config)).await?
        }
        (None, None) => (Vec::new(), TimeZone::UTC),
    };
    for explanation in explanations {
        match args.format {
            Printed::Json => output::line(&explanation)?,
            Printed::Text => output::line(text(&local::localised(explanation, &zone)))?,
        }
    }
    Ok(Exit::Done)
}

/// How long time goes on after the last entry, so that what waits then leaves.
const GOES_ON: SignedDuration = SignedDuration::from_hours(24);

/// Decides the entries of a file, each at its own time. A message is told under every entry that it
/// tells of, whenever it leaves.
fn of_file(file: &str, source: Option<&str>, config: &Config) -> Result<Vec<Value>, Failure> {
    let source = source_of(source, config)?;
    let now = jiff::Timestamp::now();
    let mut entries = sample::entries_of(file, &source, &config.time_zone, now)?;
    oldest_first(&mut entries, |entry| entry.row.time);
    let start = entries.first().map_or(now, |entry| entry.row.time);
    let mut rehearsal = Rehearsal::new(&config.rules, start);
    let mut explained: Vec<Explained> = Vec::with_capacity(entries.len());
    let mut places: HashMap<EntryId, usize> = HashMap::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let at = entry.row.time.max(rehearsal.now());
        tell(rehearsal.advance(at), None, &places, &mut explained, config);
        let rules = config.rules.explain(entry, at);
        explained.push(Explained { at, rules: json!(rules), messages: Vec::new() });
        places.insert(entry.id, index);
        let fed = rehearsal.feed(entry, at);
        tell(fed.decided, Some(index), &places, &mut explained, config);
    }
    // Of reminders and absences of the time after it the file says nothing.
    let end = rehearsal.now().saturating_add(GOES_ON).unwrap_or(jiff::Timestamp::MAX);
    let mut rest = rehearsal.advance(end);
    rest.retain(|it| !matches!(it.intent.reason, Reason::Reminder | Reason::Absent));
    tell(rest, None, &places, &mut explained, config);
    let of = |(entry, it): (&Arc<Entry>, Explained)| {
        let fields = entry.fields_json();
        json!({ "entry": fields, "at": it.at, "rules": it.rules, "messages": it.messages })
    };
    Ok(entries.iter().zip(explained).map(of).collect())
}

/// What is said of an entry.
struct Explained {
    /// When it was decided.
    at: jiff::Timestamp,
    rules: Value,
    messages: Vec<Value>,
}

/// Adds what was decided to the entries that it tells of, and to the one that caused it.
fn tell(
    decided: Vec<Decided>,
    cause: Option<usize>,
    places: &HashMap<EntryId, usize>,
    explained: &mut [Explained],
    config: &Config,
) {
    for it in decided {
        let told_of = it.intent.entries.iter().filter_map(|id| places.get(id).copied());
        let told_of: BTreeSet<usize> = told_of.chain(cause).collect();
        let message = message(it, config);
        for index in told_of {
            explained[index].messages.push(message.clone());
        }
    }
}

/// What an entry led to, for one receiver.
fn message(Decided { at, intent }: Decided, config: &Config) -> Value {
    let rule = config.rules.rules().iter().find(|rule| rule.name == intent.rule);
    let because = rule.zip(intent.held_by);
    let because = because.map(|(rule, by)| held::because(rule, by, intent.reason, at));
    json!({
        "at": at, "rule": intent.rule, "receiver": intent.receiver, "count": intent.count,
        "reason": intent.reason.name(), "held_by": intent.held_by.map(|by| by.name()),
        "because": because,
    })
}

/// What a service answered, and its zone; where none answers and none was named, what the database
/// and the rule files say in its stead.
async fn or_kept<T>(
    asked: Result<T, Failure>,
    service: &Service,
    args: &ExplainArgs,
    files: &Files,
    kept: impl FnOnce(&Config) -> Result<T, Failure>,
) -> Result<(T, TimeZone), Failure> {
    let named = args.service.url.as_deref().is_some_and(|url| !url.is_empty());
    match asked {
        Err(failure) if failure.exit == Exit::Unavailable && !named => {
            let config = load::config(files, "explained")?;
            // Of the two, that no service answers is what is usually wrong.
            let found = kept(&config).map_err(|other| match other.exit {
                Exit::Unavailable => failure,
                _ => other,
            })?;
            let path = config.store.display();
            output::note(format_args!("no service answers; told from {path} and the rule files\n"));
            Ok((found, config.time_zone))
        }
        asked => Ok((asked?, local::zone_of(service).await)),
    }
}

/// Asks the service about an entry, or about each of those that a message tells of.
async fn of_id(id: &str, service: &Service) -> Result<Vec<Value>, Failure> {
    let mut explanations = Vec::new();
    for entry in stored::answers(id, service).await? {
        let id = word(&entry["id"]);
        let mut said = service.read(&format!("/api/v1/entries/{id}/explain")).await?;
        let [rules, messages, waiting] =
            ["rules", "notifications", "waiting"].map(|name| said[name].take());
        explanations.push(json!({
            "id": id, "entry": &entry["entry"], "rules": rules, "messages": messages,
            "waiting": waiting,
        }));
    }
    Ok(explanations)
}

/// The source that entries are taken to come from.
pub(super) fn source_of(named: Option<&str>, config: &Config) -> Result<Arc<str>, Failure> {
    let known = config.sources.iter().map(|source| &*source.name);
    match named {
        Some(name) if known.clone().any(|known| known == name) => Ok(name.into()),
        Some(name) => Err(Failure::new(Exit::Usage, load::no_such("source", name, known))),
        None => match &*config.sources {
            [only] => Ok(only.name.clone()),
            _ => Ok("sample".into()),
        },
    }
}

/// A word of an answer as a person reads it.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}

/// The items of a list in an answer.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// An explanation as one would read it to a colleague.
fn text(explanation: &Value) -> String {
    let mut text = headline(&explanation["entry"]);
    text.push('\n');
    for rule in items(&explanation["rules"]) {
        explain_rule(&mut text, rule);
        let recovers = |it: &Value| it["rule"] == rule["rule"] && it["reason"] == "recovered";
        if items(&explanation["messages"]).any(recovers) && rule["truth"] != "true" {
            text.push_str("  yes recover holds, which ends an incident\n");
        }
    }
    text.push('\n');
    text.push_str(&outcome::of(explanation));
    text
}

/// What tells an entry from others, in a line.
pub(super) fn headline(entry: &Value) -> String {
    let mut line = format!("entry of {}", word(&entry["time"]));
    for field in [Field::Repo, Field::Tag, Field::Service, Field::ReturnCode] {
        let value = &entry[field.name()];
        if !value.is_null() {
            let _ = write!(line, " · {} {}", field.name(), word(value));
        }
    }
    line
}

fn explain_rule(text: &mut String, rule: &Value) {
    let decided_by = &rule["decided_by"];
    let verdict = match (&rule["stopped_by"], decided_by) {
        (Value::Null, Value::Null) => "matched".to_owned(),
        (Value::Null, clause) => format!(
            "did not match: {} wants {}, and the entry has {}",
            word(&clause["path"]),
            word(&clause["wanted"]),
            word(&clause["seen"])
        ),
        (by, _) => format!("not asked, since {} matched and says `stop`", word(by)),
    };
    let _ = writeln!(text, "\n{}: {verdict}", word(&rule["rule"]));
    for clause in items(&rule["clauses"]) {
        let mark = match clause["truth"].as_str() {
            Some("true") => "yes",
            Some("false") => "no",
            _ => "?",
        };
        let [path, wanted, seen] = ["path", "wanted", "seen"].map(|name| word(&clause[name]));
        let _ = writeln!(text, "  {mark:<4}{path} wanted {wanted}, saw {seen}");
    }
}
