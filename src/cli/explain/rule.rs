//! `explain --rule`: what a rule matched lately, and what it missed by the least.
//!
//! A running service says so. Where none answers and none was named, the database is read in its
//! stead, and the rules are those of the files. Deliberately absent: any verdict; the clauses' own are
//! told.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{ExplainArgs, headline, items, kept, or_kept, outcome, word};
use crate::{
    adapters::store::Archive,
    cli::{
        Printed,
        client::Service,
        deliveries::encode,
        exit::{Exit, Failure},
        load::{self, Files, plural_of},
        local, output, service_of,
    },
    config::Config,
    domain::nearness,
};

/// Entries of the database that are looked at, the newest: as many as a service looks at.
const LOOKED_AT: usize = 2_000;

/// Explains a rule.
///
/// # Errors
/// There is no such rule, or neither a service nor a database to ask.
pub(super) async fn run(name: &str, args: &ExplainArgs, files: &Files) -> Result<Exit, Failure> {
    let service = service_of(&args.service, files)?;
    let asked = of_service(name, args, &service).await;
    let kept = |config: &Config| of_database(name, args, config);
    let (history, zone) = or_kept(asked, &service, args, files, kept).await?;
    match args.format {
        Printed::Json => output::line(format_args!("{history:#}"))?,
        Printed::Text => output::print(text(&local::localised(history, &zone)))?,
    }
    Ok(Exit::Done)
}

async fn of_service(name: &str, args: &ExplainArgs, service: &Service) -> Result<Value, Failure> {
    let path = format!("/api/v1/rules/{}/explain?limit={}", encode(name), args.limit);
    service.read(&path).await
}

fn of_database(name: &str, args: &ExplainArgs, config: &Config) -> Result<Value, Failure> {
    let rules = config.rules.rules();
    let index = rules.iter().position(|rule| *rule.name == *name).ok_or_else(|| {
        let known = rules.iter().map(|rule| &*rule.name);
        Failure::new(Exit::No, load::no_such("rule", name, known))
    })?;
    let archive = Archive::open(&config.store)?;
    let mut entries = archive.entries(&archive.newest(LOOKED_AT)?)?;
    entries.reverse();
    let looked_at = entries.iter().map(|found| (&found.entry, found.taken_at));
    let mut history = json!(nearness::of_rule(&config.rules, index, looked_at, args.limit.into()));
    for one in history["matched"].as_array_mut().into_iter().flatten() {
        let id = one["id"].as_str().and_then(|id| id.parse().ok());
        // Its messages are not read with the many.
        let Some(found) = id.map(|id| archive.entry(id)).transpose()?.flatten() else { continue };
        let mut messages = kept::messages(&found, &archive, config)?;
        messages.retain(|message| message["rule"] == *name);
        one["notifications"] = messages.into();
        one["waiting"] = Value::Array(Vec::new());
    }
    Ok(history)
}

fn text(history: &Value) -> String {
    let count = |name: &str| usize::try_from(history[name].as_u64().unwrap_or(0)).unwrap_or(0);
    let mut text = format!(
        "{}: {} of the last {} matched\n",
        word(&history["rule"]),
        count("matches"),
        plural_of(count("looked_at"), "entry", "entries"),
    );
    if history["mode"] == "shadow" {
        text.push_str("it is in shadow: its messages are recorded and not sent\n");
    }
    for one in items(&history["matched"]) {
        let _ = writeln!(text, "\nmatched {}", headline(&one["entry"]));
        if let Some(by) = one["stopped_by"].as_str() {
            let _ = writeln!(text, "  not asked, since {by} matched and says `stop`");
        }
        for message in items(&one["notifications"]) {
            let becomes = outcome::of_message(message, &Value::Null);
            let _ = writeln!(text, "  {} {becomes}", word(&message["reason"]));
        }
        for message in items(&one["waiting"]) {
            let _ = writeln!(text, "  {}", outcome::of_waiting(message));
        }
    }
    for one in items(&history["misses"]) {
        let like = match one["count"].as_u64() {
            Some(count) if count > 1 => format!(" and {} more", count - 1),
            _ => String::new(),
        };
        let _ = writeln!(text, "\nmissed {}{like}", headline(&one["entry"]));
        for clause in items(&one["clauses"]) {
            let [path, wanted, seen] = ["path", "wanted", "seen"].map(|name| word(&clause[name]));
            let _ = writeln!(text, "  {path} wanted {wanted}, saw {seen}");
        }
    }
    text
}
