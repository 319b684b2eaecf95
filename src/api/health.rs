//! Whether the service lives and works, its metrics, its status and its page.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse},
};
use serde_json::json;

use super::{Problem, Shared};

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the service does its work, or what does not.
pub(crate) async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let readiness = shared.control.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let text = shared.control.metrics().await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

/// `GET /api/v1/status`.
pub(crate) async fn status(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    Ok(Json(shared.control.status().await?))
}

/// `GET /api/v1/rules`.
pub(crate) async fn rules(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let rules = shared.control.rules().await?;
    Ok(Json(json!({ "items": rules, "next": null })))
}

/// `GET /`: a page without data of its own, so that it needs no token; it asks the API.
pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}
