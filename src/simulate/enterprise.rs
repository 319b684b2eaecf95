//! The enterprise registry of the stand-in: the log of its webhooks, its namespaces, and the webhook
//! itself, which calls whoever wants to be pushed to.
//!
//! Its events are the rows of the [`World`]: each row is an image push that a webhook was called
//! for. As the contract `trigger-log-api` has them, 2 and 3; since no document says what its
//! offsets count, it can be told to count rows or pages. Deliberately absent: envelopes (`answer`).
//!
//! [`World`]: super::world::World

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::http::{ClientSettings, client},
    domain::entry::Row,
};

use super::world::World;

/// The id of the registry.
pub const REGISTRY_ID: &str = "tcr-standin";

/// The longest that whoever is pushed to may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What the log's `Offset` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offsets {
    /// Rows.
    #[default]
    Rows,
    /// Pages, of which the first has this number.
    Pages {
        /// 0 or 1.
        first: usize,
    },
}

impl Offsets {
    /// The first row that is asked for, counted from zero.
    pub(super) const fn first_row(self, offset: usize, limit: usize) -> usize {
        match self {
            Self::Rows => offset,
            Self::Pages { first } => offset.saturating_sub(first).saturating_mul(limit),
        }
    }
}

/// What happened, in the words of a webhook's call.
pub fn event(row: &Row) -> Value {
    let repo = row.repo.as_deref().unwrap_or("library/unnamed");
    let (namespace, name) = repo.split_once('/').unwrap_or(("library", repo));
    json!({
        "type": "pushImage",
        "occur_at": row.time.as_second(),
        "operator": "100000000001",
        "event_data": {
            "resources": [{
                "digest": digest(row),
                "tag": row.tag,
                "resource_url": format!("standin.example/{repo}"),
            }],
            "repository": {
                "date_created": row.time.as_second(),
                "name": name,
                "namespace": namespace,
                "repo_full_name": repo,
                "repo_type": "private",
            },
        },
    })
}

/// A digest that every push has for itself: rows that differ are different images.
fn digest(row: &Row) -> String {
    let hash = Sha256::digest(row.identity_without_result().to_string());
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A row of the log.
pub(super) fn log_row(id: u64, row: &Row) -> Value {
    let status = match row.return_code {
        Some(0) => "finished",
        Some(_) => "error",
        None => "running",
    };
    let trigger = row.trigger.as_deref().unwrap_or_default();
    json!({
        "Id": id + 1,
        "TriggerId": trigger.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 9973),
        "EventType": "pushImage",
        "NotifyType": "http",
        "Status": status,
        "Detail": event(row).to_string(),
        "CreationTime": created(row.time),
        "UpdateTime": created(row.time),
    })
}

/// As the documents show it: with no more than a second's grain, and in UTC.
fn created(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whom the registry's webhook calls.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The whole address.
    pub url: String,
    /// A header that every call carries, by name and value.
    pub header: (String, String),
    /// How often a call is made for one event, until it is answered with 2xx.
    pub tries: u32,
}

/// Calls a webhook for each row that comes into the world, until `stop`. Says how many calls were
/// answered with 2xx.
///
/// # Errors
/// The header can't be sent.
pub async fn call_hook(world: &World, hook: Hook, stop: CancellationToken) -> Result<u64, String> {
    let settings = ClientSettings { timeout: CALL_TIMEOUT, ..ClientSettings::default() };
    let client = client(&settings).map_err(|error| error.to_string())?;
    let mut news = world.news();
    let mut answered = 0;
    loop {
        let news = tokio::select! {
            () = stop.cancelled() => return Ok(answered),
            news = news.recv() => news,
        };
        let row: Arc<Row> = match news {
            Ok(news) if !news.revised => news.row,
            Ok(_) | Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(answered),
        };
        let body = event(&row).to_string();
        for _ in 0..hook.tries.max(1) {
            let (name, value) = &hook.header;
            let call = client
                .post(&hook.url)
                .header("content-type", "application/json")
                .header(name, value)
                .body(body.clone());
            if call.send().await.is_ok_and(|answer| answer.status().is_success()) {
                answered += 1;
                break;
            }
        }
    }
}
