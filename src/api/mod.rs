//! The HTTP API and the status page beside the service (docs/api.md).
//!
//! It reads the ports and acts through `Control`. Deliberately absent: the engine, SQL, and any
//! state of its own; a handler is a question or a wish, never a loop.

mod entries;
mod guard;
mod health;
mod notifications;
mod problem;
mod serve;
mod view;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    http::{StatusCode, Uri},
    middleware,
    routing::{get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

use secrecy::SecretString;

use crate::ports::{Control, Store};

pub use problem::Problem;
pub use serve::serve;

/// What the API is told of its surroundings.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The address that it is bound to.
    pub bound: SocketAddr,
    /// The token that writing takes, and reading too where it is set.
    pub token: Option<SecretString>,
    /// The URL that people reach it under.
    pub public_url: Option<String>,
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    settings: Arc<ApiSettings>,
    control: Arc<dyn Control>,
    store: Arc<dyn Store>,
}

/// The whole API.
pub fn router(settings: ApiSettings, control: Arc<dyn Control>, store: Arc<dyn Store>) -> Router {
    let shared = Shared { settings: Arc::new(settings), control, store };
    let v1 = Router::new()
        .route("/status", get(health::status))
        .route("/entries", get(entries::list))
        .route("/entries/{id}", get(entries::show))
        .route("/entries/{id}/explain", get(entries::explain))
        .route("/notifications", get(notifications::list))
        .route("/notifications/{id}", get(notifications::show))
        .route("/notifications/{id}/retry", post(notifications::retry))
        .route("/rules", get(health::rules))
        .route("/rejected", get(entries::rejected))
        .route_layer(middleware::from_fn_with_state(shared.clone(), guard::admit));
    Router::new()
        .route("/", get(health::page))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .nest("/api/v1", v1)
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
