//! `POST /ingest/{source}`: what a registry sends by itself, answered when it is on the disk.
//!
//! Its only authentication is the source's own header, which is looked at before anything of the
//! body is read. Deliberately absent: the API's token, which a registry does not have.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use crate::ports::IngestError;

use super::{Problem, Shared, problem, schema};

/// The largest event; the documented ones are under two kilobytes.
const EVENT_LIMIT_BYTES: usize = 256 * 1024;

/// `POST /ingest/{source}`: takes an event in.
#[utoipa::path(
    post,
    path = "/ingest/{source}",
    tag = "entries",
    operation_id = "ingest",
    params(("source" = String, Path, description = "The name of a source that is pushed to")),
    request_body = Value,
    responses(
        (status = 200, description = "The event is on the disk", body = schema::Ingested),
        (status = 401, description = "The source's own header does not hold its secret",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "The event is larger than 256 KiB",
            body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn take(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let ingest = &shared.ingest;
    let Some(header) = ingest.header(&source) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no source of that name is pushed to"));
    };
    let given = request.headers().get(header).map(|value| value.as_bytes());
    if !ingest.admits(&source, given) {
        let detail = "the source's header is missing or does not hold its secret";
        return Err(Problem::plain(StatusCode::UNAUTHORIZED, detail));
    }
    let body = problem::read(request, EVENT_LIMIT_BYTES).await.inspect_err(|problem| {
        let too_large = problem.status() == StatusCode::PAYLOAD_TOO_LARGE;
        ingest.refused(&source, if too_large { "too_large" } else { "failed" });
    })?;
    let body = String::from_utf8_lossy(&body).into_owned();
    match ingest.take(&source, body).await {
        Ok(ingested) => Ok(Json(json!({ "taken": ingested.taken, "known": ingested.known }))),
        Err(IngestError::NotUnderstood(reason)) => {
            let detail = format!("that can't be understood and is kept: {reason}");
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
        Err(error @ IngestError::Busy) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
        }
        Err(IngestError::Store(error)) => Err(error.into()),
    }
}
