//! Entries of a running service, by the id of one or of a message that tells of some.
//!
//! Deliberately absent: what is done with them.

use std::sync::Arc;

use jiff::tz::TimeZone;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::{adapters::source::read_entries, domain::entry::Entry};

use super::{
    client::Service,
    exit::{Exit, Failure},
    fetch::entry,
};

/// The entries of an id, each as the service answers it.
///
/// # Errors
/// The service can't be reached, or has no such thing.
pub(super) async fn answers(id: &str, service: &Service) -> Result<Vec<Value>, Failure> {
    let path = format!("/api/v1/entries/{id}");
    match service.ask(Method::GET, &path, None).await? {
        (StatusCode::NOT_FOUND, _) => {
            let message = service.read(&format!("/api/v1/notifications/{id}")).await?;
            let mut answers = Vec::new();
            for id in message["entries"].as_array().into_iter().flatten() {
                let Some(id) = id.as_str() else { continue };
                answers.push(service.read(&format!("/api/v1/entries/{id}")).await?);
            }
            Ok(answers)
        }
        answer => Ok(vec![service.must(answer)?]),
    }
}

/// The same as entries.
///
/// # Errors
/// As [`answers`], or there is none that can be understood.
pub(super) async fn entries(
    id: &str,
    service: &Service,
    zone: &TimeZone,
) -> Result<Vec<Arc<Entry>>, Failure> {
    let mut entries = Vec::new();
    for answer in answers(id, service).await? {
        let text = |name: &str| Arc::from(answer[name].as_str().unwrap_or_default());
        let (source, repo) = (text("source"), text("repository"));
        let rows = read_entries(answer["entry"].to_string().as_bytes(), zone, None).rows;
        entries.extend(rows.into_iter().map(|row| Arc::new(entry(&source, &repo, row))));
    }
    if entries.is_empty() {
        return Err(Failure::new(Exit::No, format!("{id} tells of no entry that is still kept")));
    }
    Ok(entries)
}
