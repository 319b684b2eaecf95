//! `explain`: why an entry became a message or did not, rule by rule and clause by clause.
//!
//! The verdicts are the rule set's own and what follows is decided by the rehearsal, so nothing here
//! decides anything. Deliberately absent: what a running service remembers; an entry of a file is
//! explained as if it and those before it in the file were all that ever happened.

use std::{fmt::Write as _, sync::Arc};

use clap::Args;
use serde::Serialize;

use crate::{
    config::Config,
    domain::{
        entry::Entry,
        field::Field,
        rehearsal::{Decided, Rehearsal},
        verdict::{ClauseReport, RuleExplanation, Truth},
    },
};

use super::{
    Printed,
    exit::{Exit, Failure},
    load::{self, Files},
    output, sample,
};

/// What to explain.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// A file with entries, an API answer or JSON lines; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub entry: String,

    /// The source that they are taken to come from; the configuration's where it has only one
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,
}

/// All that there is to say of one entry.
#[derive(Debug, Serialize)]
struct Explanation {
    entry: serde_json::Value,
    rules: Vec<RuleExplanation>,
    messages: Vec<Message>,
}

/// What an entry led to, for one receiver.
#[derive(Debug, Serialize)]
struct Message {
    at: jiff::Timestamp,
    rule: Arc<str>,
    receiver: Arc<str>,
    reason: &'static str,
    /// What holds it back; it is sent where nothing does.
    held_by: Option<&'static str>,
}

impl From<Decided> for Message {
    fn from(Decided { at, intent }: Decided) -> Self {
        Self {
            at,
            rule: intent.rule,
            receiver: intent.receiver,
            reason: intent.reason.name(),
            held_by: intent.held_by.map(|by| by.name()),
        }
    }
}

/// Decides the entries of a file, each at its own time, and says why it came out as it did.
///
/// # Errors
/// The configuration or the file is broken, or there is no such source.
pub fn run(args: &ExplainArgs, files: &Files) -> Result<Exit, Failure> {
    let config = load::config(files)?;
    let source = source(args.source.as_deref(), &config)?;
    let now = jiff::Timestamp::now();
    let entries = sample::entries_of(&args.entry, &source, &config.time_zone, now)?;
    let start = entries.iter().map(|entry| entry.row.time).min().unwrap_or(now);
    let mut rehearsal = Rehearsal::new(&config.rules, start);
    for entry in &entries {
        let at = entry.row.time.max(rehearsal.now());
        let rules = config.rules.explain(entry, at);
        let decided = rehearsal.feed(entry, at).decided;
        let messages = decided.into_iter().map(Message::from).collect();
        let explanation = Explanation { entry: entry.fields_json(), rules, messages };
        match args.format {
            Printed::Json => output::line(serde_json::json!(explanation))?,
            Printed::Text => output::line(text(entry, &explanation))?,
        }
    }
    Ok(Exit::Done)
}

/// The source that entries are taken to come from.
fn source(named: Option<&str>, config: &Config) -> Result<Arc<str>, Failure> {
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

/// An explanation as one would read it to a colleague.
fn text(entry: &Entry, explanation: &Explanation) -> String {
    let mut text = format!("{}\n", headline(entry));
    for rule in &explanation.rules {
        explain_rule(&mut text, rule);
    }
    text.push('\n');
    if explanation.messages.is_empty() {
        text.push_str("nothing is sent, and nothing is held back\n");
    }
    for Message { rule, receiver, reason, held_by, .. } in &explanation.messages {
        // Writing to a string can't fail.
        let _ = match held_by {
            Some(by) => writeln!(text, "{rule}: {reason} for {receiver} is held by {by}"),
            None => writeln!(text, "{rule}: {reason} is sent to {receiver}"),
        };
    }
    text
}

/// What tells an entry from others, in a line.
fn headline(entry: &Entry) -> String {
    let mut line = format!("entry of {}", entry.row.time);
    for field in [Field::Repo, Field::Tag, Field::Service, Field::ReturnCode] {
        if let Some(value) = entry.text(field) {
            let _ = write!(line, " · {} {value}", field.name());
        }
    }
    line
}

fn explain_rule(text: &mut String, rule: &RuleExplanation) {
    let verdict = match (&rule.stopped_by, &rule.verdict.decided_by) {
        (Some(by), _) => format!("not asked, since {by} matched and says `stop`"),
        (None, None) => "matched".to_owned(),
        (None, Some(clause)) => format!("did not match: {}", missed(clause)),
    };
    let _ = writeln!(text, "\n{}: {verdict}", rule.rule);
    for clause in &rule.clauses {
        let mark = match clause.truth {
            Truth::True => "yes",
            Truth::False => "no",
            Truth::Unknown => "?",
        };
        let seen = clause.seen.as_deref().unwrap_or("nothing");
        let _ = writeln!(text, "  {mark:<4}{} wanted {}, saw {seen}", clause.path, clause.wanted);
    }
}

/// How a clause missed.
fn missed(clause: &ClauseReport) -> String {
    let ClauseReport { path, wanted, seen, .. } = clause;
    match seen {
        Some(seen) => format!("{path} wants {wanted}, and the entry has {seen}"),
        None => format!("{path} wants {wanted}, and the entry has none"),
    }
}
