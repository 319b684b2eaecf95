//! Whether the service lives and works, its metrics, its status and its page.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse},
};

use super::{Problem, Shared, schema};

/// The process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "service",
    responses((status = 200, description = "`ok`", body = String))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the service does its work, and what does not.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "service",
    responses(
        (status = 200, description = "It does", body = schema::Readiness),
        (status = 503, description = "It does not", body = schema::Readiness),
    )
)]
pub(crate) async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let readiness = shared.control.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// The metrics, in the text format of `OpenMetrics`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    responses((status = 200, description = "The metrics", body = String,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"))
)]
pub(crate) async fn metrics(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let text = shared.control.metrics().await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

/// What the service says of itself: sources, receivers, alarms.
#[utoipa::path(
    get,
    path = "/status",
    tag = "service",
    responses((status = 200, description = "What it says", body = schema::Status))
)]
pub(crate) async fn status(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    Ok(Json(shared.control.status().await?))
}

/// The status page, for people. It is without data of its own, so that it needs no token; it asks
/// the API.
#[utoipa::path(
    get,
    path = "/",
    tag = "service",
    responses((status = 200, description = "The page", body = String, content_type = "text/html; charset=utf-8"))
)]
pub(crate) async fn page() -> Html<&'static str> {
    Html(concat!(include_str!("head.html"), include_str!("page.html")))
}
