//! `explain --id` from a database, where no service runs: what the rules of the files say of an entry,
//! and what became of its messages.
//!
//! Deliberately absent: what waits in a group, and who wished for a silence, which only a service knows.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    adapters::store::Archive,
    api,
    cli::exit::{Exit, Failure},
    config::Config,
    domain::{entry::EntryId, held, notification::NotificationId},
    ports::EntryView,
};

/// Explains the entry of an id, or each of those that the message of that id tells of.
pub(super) fn of_id(id: &str, config: &Config) -> Result<Vec<Value>, Failure> {
    let archive = Archive::open(&config.store)?;
    let parsed: (Result<EntryId, _>, Result<NotificationId, _>) = (id.parse(), id.parse());
    let (Ok(entry), Ok(message)) = parsed else { return Err(none(id, &config.store)) };
    if let Some(found) = archive.entry(entry)? {
        return Ok(vec![explained(&found, &archive, config)?]);
    }
    let told = archive.notification(message)?.ok_or_else(|| none(id, &config.store))?;
    let mut explanations = Vec::new();
    for &id in &told.0.entries {
        if let Some(found) = archive.entry(id)? {
            explanations.push(explained(&found, &archive, config)?);
        }
    }
    Ok(explanations)
}

fn none(id: &str, store: &Path) -> Failure {
    let message = format!("neither an entry nor a message {id} is kept in {}", store.display());
    Failure::new(Exit::No, message)
}

fn explained(found: &EntryView, archive: &Archive, config: &Config) -> Result<Value, Failure> {
    Ok(json!({
        "id": found.entry.id, "entry": found.entry.fields_json(),
        "rules": config.rules.explain(&found.entry, found.taken_at),
        "messages": messages(found, archive, config)?, "waiting": [],
    }))
}

/// What became of the messages that tell of an entry.
pub(super) fn messages(
    found: &EntryView,
    archive: &Archive,
    config: &Config,
) -> Result<Vec<Value>, Failure> {
    let mut messages = Vec::new();
    for &id in found.notifications.iter().take(api::EXPLAINED) {
        let Some((message, attempts)) = archive.notification(id)? else { continue };
        let rule = config.rules.rules().iter().find(|rule| *rule.name == *message.rule);
        let because = rule
            .zip(message.held_by)
            .map(|(rule, by)| held::because(rule, by, message.reason, message.created_at));
        messages.push(api::explained(&message, &attempts, because.as_deref(), (None, None)));
    }
    Ok(messages)
}
