//! Incidents and silences: what fails now, and what people want left untold.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::memory::Subject,
    ports::{IncidentStatus, SilenceStatus, SilenceText},
};

use super::{
    Problem, Shared,
    problem::{Asked, Given, Named, NoQuery},
    schema,
};

/// The query of `GET incidents`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentsAsked {
    /// Only of this rule.
    rule: Option<String>,
    /// Only of this source.
    source: Option<String>,
}

/// All incidents that are open, by rule and key.
#[utoipa::path(
    get,
    path = "/incidents",
    tag = "quiet",
    operation_id = "list_incidents",
    params(IncidentsAsked),
    responses((status = 200, description = "All of them", body = schema::Incidents))
)]
pub(crate) async fn incidents(
    State(shared): State<Shared>,
    Asked(asked): Asked<IncidentsAsked>,
) -> Result<Json<Value>, Problem> {
    let is = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|it| it == name);
    let mut incidents: Vec<IncidentStatus> = shared.control.incidents().await?;
    incidents.retain(|one| is(&asked.rule, &one.rule) && is(&asked.source, &one.source));
    Ok(Json(json!({ "items": incidents, "next": null })))
}

/// All silences that last, oldest first.
#[utoipa::path(
    get,
    path = "/silences",
    tag = "quiet",
    operation_id = "list_silences",
    responses((status = 200, description = "All of them", body = schema::Silences))
)]
pub(crate) async fn list(
    State(shared): State<Shared>,
    Asked(NoQuery {}): Asked<NoQuery>,
) -> Result<Json<Value>, Problem> {
    let silences: Vec<SilenceStatus> = shared.control.silences().await?;
    Ok(Json(json!({ "items": silences, "next": null })))
}

/// A wish about silences.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceWish {
    /// The silence to give another end; else a new one.
    #[schema(value_type = Option<schema::Id>, inline)]
    id: Option<Subject>,
    /// Clauses, as an object or as text.
    matchers: Option<Value>,
    author: Option<String>,
    comment: Option<String>,
    /// An instant, or `next_success`.
    until: Option<String>,
    /// How long, in place of `until`.
    #[serde(rename = "for")]
    lasts: Option<String>,
    /// Only say what it would have silenced.
    #[serde(default)]
    preview: bool,
}

/// Begins a silence, gives one another end, or says what one would have silenced in the last day.
#[utoipa::path(
    post,
    path = "/silences",
    tag = "quiet",
    operation_id = "add_silence",
    request_body = SilenceWish,
    responses(
        (status = 201, description = "It has begun", body = schema::Silence),
        (status = 200, description = "It has another end, or would have silenced this",
            body = serde_json::Value),
        (status = 409, description = "There are too many",
            body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn wish(
    State(shared): State<Shared>,
    Given(wish): Given<SilenceWish>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let SilenceWish { id, matchers, author, comment, until, lasts, preview } = wish;
    let matchers = match matchers {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    };
    if preview {
        let matchers = matchers.ok_or_else(|| missing("matchers"))?;
        let preview = shared.control.preview_silence(&matchers).await?;
        return Ok((StatusCode::OK, Json(json!(preview))));
    }
    if let Some(id) = id {
        if matchers.is_some() || author.is_some() || comment.is_some() {
            let detail = "a silence that exists takes another end, `until` or `for`, and no more";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        let silence = shared.control.extend_silence(id, until, lasts).await?;
        return Ok((StatusCode::OK, Json(json!(silence))));
    }
    let text = SilenceText {
        matchers: matchers.ok_or_else(|| missing("matchers"))?,
        author: author.ok_or_else(|| missing("author"))?,
        comment: comment.unwrap_or_default(),
        until,
        lasts,
    };
    let silence = shared.control.add_silence(text).await?;
    Ok((StatusCode::CREATED, Json(json!(silence))))
}

fn missing(name: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("a new silence has `{name}`"))
}

/// Ends a silence now; answers how it stood.
#[utoipa::path(
    delete,
    path = "/silences/{id}",
    tag = "quiet",
    operation_id = "end_silence",
    params(("id" = inline(schema::Id), Path, description = "The silence's id")),
    responses((status = 200, description = "It has ended", body = schema::Silence))
)]
pub(crate) async fn end(
    State(shared): State<Shared>,
    Named(id): Named<Subject>,
) -> Result<Json<Value>, Problem> {
    let silence = shared.control.end_silence(id).await?;
    Ok(Json(json!(silence)))
}
