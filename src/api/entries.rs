//! Entries: what was taken in, what rules said of it, and what could not be understood.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::{
    domain::entry::{Entry, EntryId},
    ports::{AttemptView, EntryQuery, NotificationView},
};

use super::{
    Problem, Shared,
    problem::{Asked, Named},
    schema, view,
};

/// The most items of a page of a list, and how many when nothing is said.
const LIMIT_MAX: usize = 500;
const LIMIT_DEFAULT: usize = 50;

/// Reads `limit` and `cursor`.
pub(crate) fn page_of(
    limit: Option<usize>,
    cursor: Option<&str>,
) -> Result<(usize, Option<i64>), Problem> {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad("`limit` is from 1 to 500"));
    }
    let before = cursor
        .map(|cursor| cursor.parse().map_err(|_| bad("`cursor` is what `next` of a list said")))
        .transpose()?;
    Ok((limit, before))
}

/// The query of `GET entries`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntriesAsked {
    /// The most items of the page; 50 when nothing is said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// What `next` of the page before said.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// Only of this source.
    source: Option<String>,
    /// Only of this repository, as the row says it.
    repo: Option<String>,
}

/// The most messages of an entry that an explanation tells of.
pub(crate) const EXPLAINED: usize = 100;

/// Entries, newest first.
#[utoipa::path(
    get,
    path = "/entries",
    tag = "entries",
    operation_id = "list_entries",
    params(EntriesAsked),
    responses((status = 200, description = "A page of them", body = schema::Entries))
)]
pub(crate) async fn list(
    State(shared): State<Shared>,
    Asked(asked): Asked<EntriesAsked>,
) -> Result<Json<Value>, Problem> {
    let (limit, before) = page_of(asked.limit, asked.cursor.as_deref())?;
    let query = EntryQuery { before, limit, source: asked.source, repo: asked.repo };
    let list = shared.store.entries(query).await?;
    Ok(Json(view::list(&list, view::entry)))
}

/// One entry, with the notifications that tell of it.
#[utoipa::path(
    get,
    path = "/entries/{id}",
    tag = "entries",
    operation_id = "show_entry",
    params(("id" = inline(schema::Id), Path, description = "The entry's id")),
    responses((status = 200, description = "The entry", body = schema::EntryShown))
)]
pub(crate) async fn show(
    State(shared): State<Shared>,
    Named(id): Named<EntryId>,
) -> Result<Json<Value>, Problem> {
    let found = shared.store.entry(id).await?.ok_or_else(not_found)?;
    let mut json = view::entry(&found);
    json["notifications"] = json!(found.notifications);
    Ok(Json(json))
}

/// What the rules in force say of an entry, clause by clause, and what became of the messages that
/// it caused, or what held them.
#[utoipa::path(
    get,
    path = "/entries/{id}/explain",
    tag = "entries",
    operation_id = "explain_entry",
    params(("id" = inline(schema::Id), Path, description = "The entry's id")),
    responses((status = 200, description = "What they say", body = schema::Explanation))
)]
pub(crate) async fn explain(
    State(shared): State<Shared>,
    Named(id): Named<EntryId>,
) -> Result<Json<Value>, Problem> {
    let found = shared.store.entry(id).await?.ok_or_else(not_found)?;
    let mut json = shared.control.explain(&found).await?;
    let mut messages = Vec::new();
    for &id in found.notifications.iter().take(EXPLAINED) {
        if let Some((message, _, attempts)) = shared.store.notification(id).await? {
            messages.push(explained(&shared, &found.entry, &message, &attempts).await?);
        }
    }
    json["notifications"] = messages.into();
    Ok(Json(json))
}

/// What became of a message that tells of an entry: what held it and why, or how its attempts went.
pub(super) async fn explained(
    shared: &Shared,
    entry: &Entry,
    message: &NotificationView,
    attempts: &[AttemptView],
) -> Result<Value, Problem> {
    let because = shared.control.held_because(entry, message).await?;
    let waits_for = shared.control.waits_for(message);
    let not_before = shared.control.not_before(&message.receiver);
    let lane = (waits_for.as_deref(), not_before);
    Ok(view::explained(message, attempts, because.as_deref(), lane))
}

/// The query of `GET rejected`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RejectedAsked {
    /// The most items of the page; 50 when nothing is said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// What `next` of the page before said.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// Rows that could not be understood, as they came, newest first.
#[utoipa::path(
    get,
    path = "/rejected",
    tag = "entries",
    operation_id = "list_rejected",
    params(RejectedAsked),
    responses((status = 200, description = "A page of them", body = schema::RejectedRows))
)]
pub(crate) async fn rejected(
    State(shared): State<Shared>,
    Asked(asked): Asked<RejectedAsked>,
) -> Result<Json<Value>, Problem> {
    let (limit, before) = page_of(asked.limit, asked.cursor.as_deref())?;
    let list = shared.store.rejected(before, limit).await?;
    Ok(Json(view::list(&list, |row| json!(row))))
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no entry with that id; it may be past retention")
}
