//! Reading the files again and putting them in force.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::ports::Reloaded;

use super::{Problem, Shared, problem::Given, schema};

/// Nothing is said: all of it is read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReloadWish {}

/// Reads the configuration, rules and templates again and puts them in force, where they are sound.
#[utoipa::path(
    post,
    path = "/reload",
    tag = "service",
    operation_id = "reload",
    request_body = ReloadWish,
    responses(
        (status = 200, description = "They are in force", body = schema::Reloaded),
        (status = 422, description = "They are not sound, and what was in force stays",
            body = schema::ReloadRefused, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn reload(
    State(shared): State<Shared>,
    Given(ReloadWish {}): Given<ReloadWish>,
) -> Result<Json<Reloaded>, Problem> {
    shared.control.reload("api").await.map(Json).map_err(|refused| {
        if refused.store {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, refused.detail);
        }
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refused.detail)
            .with("problems", Value::Array(refused.problems))
            .with("text", Value::String(refused.text))
    })
}
