//! Rules: those in force, and what one of them made of recent entries.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::{
    domain::{entry::EntryId, nearness::RuleHistory},
    ports::EntryQuery,
};

use super::{
    Problem, Shared,
    entries::explained,
    problem::{Asked, Named, NoQuery},
    schema,
};

/// Entries that are looked at, the newest, and how many are asked for at once.
const LOOKED_AT: usize = 2_000;
const AT_ONCE: usize = 500;

/// Matches and misses that are named, at most and where nothing is said.
const NAMED_MAX: usize = 50;
const NAMED: usize = 10;

/// Messages of an entry that are told of.
const MESSAGES: usize = 20;

/// The rules in force with their counts, in their order.
#[utoipa::path(
    get,
    path = "/rules",
    tag = "service",
    operation_id = "list_rules",
    responses((status = 200, description = "The rules", body = schema::Rules))
)]
pub(crate) async fn list(
    State(shared): State<Shared>,
    Asked(NoQuery {}): Asked<NoQuery>,
) -> Result<impl IntoResponse, Problem> {
    let rules = shared.control.rules().await?;
    Ok(Json(json!({ "items": rules, "next": null })))
}

/// The query of `GET rules/{name}/explain`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainAsked {
    /// The most matches and misses that are named; 10 when nothing is said.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<usize>,
}

/// What a rule in force matches of the newest entries, and what it misses by the least.
#[utoipa::path(
    get,
    path = "/rules/{name}/explain",
    tag = "service",
    operation_id = "explain_rule",
    params(("name" = String, Path, description = "The rule's name"), ExplainAsked),
    responses((status = 200, description = "What it made of them", body = schema::RuleHistory))
)]
pub(crate) async fn explain(
    State(shared): State<Shared>,
    Named(name): Named<String>,
    Asked(asked): Asked<ExplainAsked>,
) -> Result<Json<Value>, Problem> {
    let limit = asked.limit.unwrap_or(NAMED);
    if !(1..=NAMED_MAX).contains(&limit) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "`limit` is from 1 to 50"));
    }
    let mut entries = Vec::new();
    let mut before = None;
    while entries.len() < LOOKED_AT {
        let query = EntryQuery { before, limit: AT_ONCE, ..EntryQuery::default() };
        let page = shared.store.entries(query).await?;
        entries.extend(page.items);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let history: RuleHistory = shared
        .control
        .explain_rule(&name, &entries, limit)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no rule of that name"))?;
    let mut json = json!(history);
    for item in json["matched"].as_array_mut().into_iter().flatten() {
        let id = item["id"].as_str().and_then(|id| id.parse().ok());
        let Some(id) = id else { continue };
        item["notifications"] = messages(&shared, id, &name).await?.into();
        let mut waiting = shared.control.waiting(id).await?;
        waiting.retain(|it| *it.rule == *name);
        item["waiting"] = json!(waiting);
    }
    Ok(Json(json))
}

/// What became of the messages of a rule that tell of an entry.
async fn messages(shared: &Shared, entry: EntryId, rule: &str) -> Result<Vec<Value>, Problem> {
    let Some(found) = shared.store.entry(entry).await? else { return Ok(Vec::new()) };
    let mut messages = Vec::new();
    for &id in found.notifications.iter().take(MESSAGES) {
        if let Some((message, _, attempts)) = shared.store.notification(id).await?
            && message.rule == rule
        {
            messages.push(explained(shared, &found.entry, &message, &attempts).await?);
        }
    }
    Ok(messages)
}
