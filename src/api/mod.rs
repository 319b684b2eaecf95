//! The HTTP API and the status page beside the service (docs/api.md).
//!
//! It reads the ports and acts through `Control`. Deliberately absent: the engine, SQL, and any
//! state of its own; a handler is a question or a wish, never a loop.

mod entries;
mod guard;
mod health;
mod ingest;
mod notifications;
mod openapi;
mod problem;
mod quiet;
mod reload;
mod rules;
mod schema;
mod serve;
mod view;

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    http::{StatusCode, Uri},
    middleware,
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::ports::{Admission, Control, Ingest, Store};

pub(crate) use entries::EXPLAINED;
pub use problem::Problem;
pub use serve::serve;
pub(crate) use view::explained;

/// What the API is told of its surroundings.
#[derive(Clone)]
pub struct ApiSettings {
    /// The address that it is bound to.
    pub bound: SocketAddr,
    /// The token that writing takes, and reading too where it is set.
    pub token: Option<Arc<dyn Admission>>,
    /// The URL that people reach it under.
    pub public_url: Option<String>,
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    settings: Arc<ArcSwap<ApiSettings>>,
    control: Arc<dyn Control>,
    store: Arc<dyn Store>,
    ingest: Arc<dyn Ingest>,
    /// The API's own description, as JSON.
    openapi: Arc<str>,
}

/// The whole API. A route is added by its handler, which carries its method, path and description
/// (`#[utoipa::path]`); what comes under `/api/v1` is guarded and described as such.
pub fn router(
    settings: Arc<ArcSwap<ApiSettings>>,
    control: Arc<dyn Control>,
    store: Arc<dyn Store>,
    ingest: Arc<dyn Ingest>,
) -> Router {
    let (v1, described) = OpenApiRouter::new()
        .routes(routes!(health::status))
        .routes(routes!(entries::list))
        .routes(routes!(entries::show))
        .routes(routes!(entries::explain))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::show))
        .routes(routes!(notifications::retry))
        .routes(routes!(notifications::retry_dead))
        .routes(routes!(rules::list))
        .routes(routes!(rules::explain))
        .routes(routes!(quiet::incidents))
        .routes(routes!(quiet::list, quiet::wish))
        .routes(routes!(quiet::end))
        .routes(routes!(entries::rejected))
        .routes(routes!(reload::reload))
        .routes(routes!(openapi::show))
        .split_for_parts();
    let (open, whole) = OpenApiRouter::with_openapi(openapi::empty())
        .routes(routes!(health::page))
        .routes(routes!(notifications::page))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(ingest::take))
        .split_for_parts();
    let openapi = openapi::whole(whole.nest(openapi::V1, described));
    let shared = Shared { settings, control, store, ingest, openapi };
    let guarded = middleware::from_fn_with_state(shared.clone(), guard::admit);
    open.nest(openapi::V1, v1.route_layer(guarded))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(problem::in_time))
        .layer(CatchPanicLayer::custom(|_| problem::bug()))
        .layer(middleware::from_fn(guard::harden))
        .with_state(shared)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

async fn no_such_method(uri: Uri) -> Problem {
    let detail = format!("{} does not take this method", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
