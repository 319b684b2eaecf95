//! The description of the API in OpenAPI 3.1: `GET /api/v1/openapi.json`.
//!
//! Each route is added together with its handler's own description (`routes!`), so that none can be
//! without one; what all share, their errors and who may ask, is put in here from what the handlers
//! take. A test walks the routes, and an independent tool holds a running service to it.
//! Deliberately absent: the forms of what is answered (`schema`).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use utoipa::openapi::{
    Content, Info, License, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, Tag,
    path::{Operation, Parameter, ParameterIn, PathItem},
    security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use super::Shared;

/// What the scheme of the token is called in the description.
const TOKEN: &str = "token";

/// Where the part of the API lies that may take a token.
pub(crate) const V1: &str = "/api/v1";

/// `GET /api/v1/openapi.json`: this.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "service",
    responses((status = 200, description = "The API in OpenAPI 3.1", body = serde_json::Value))
)]
pub(crate) async fn show(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], shared.openapi.to_string())
}

/// What is described before any route is added.
pub(crate) fn empty() -> OpenApi {
    let mut info = Info::new("triggerbell", env!("CARGO_PKG_VERSION"));
    let about = "Watches a container registry's trigger log and tells people in chat what each image \
                 push did to their services.";
    info.description = Some(about.to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let mut document = OpenApi::new(info, utoipa::openapi::Paths::new());
    let tag = |name: &str, about: &str| {
        let mut tag = Tag::new(name);
        tag.description = Some(about.to_owned());
        tag
    };
    document.tags = Some(vec![
        tag("entries", "What was taken in from the trigger log"),
        tag("notifications", "What is or was sent, and how it fares"),
        tag("quiet", "What fails now, and what people want left untold"),
        tag("service", "What the service says of itself"),
    ]);
    document
}

/// The whole description, as JSON: what the routes say, and what holds for all of them.
pub(crate) fn whole(mut document: OpenApi) -> Arc<str> {
    for (path, item) in &mut document.paths.paths {
        for (writes, operation) in operations(item) {
            complete(operation, path.starts_with(V1), writes);
        }
    }
    let components = document.components.get_or_insert_default();
    let scheme = RefOr::T(SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.security_schemes.insert(TOKEN.to_owned(), scheme);
    // It holds nothing but texts and numbers.
    document.to_json().unwrap_or_default().into()
}

/// The operations of a path, and whether each writes.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let reads = [&mut item.get, &mut item.head].into_iter().flatten();
    let writes = [&mut item.post, &mut item.put, &mut item.delete, &mut item.patch];
    let writes = writes.into_iter().flatten();
    reads.map(|it| (false, it)).chain(writes.map(|it| (true, it)))
}

/// Adds to an operation the errors that follow from what it takes, and who may ask.
fn complete(operation: &mut Operation, guarded: bool, writes: bool) {
    let taken = |wanted: ParameterIn| {
        let parameters = operation.parameters.iter().flatten();
        parameters.filter(|it| matches!(it, RefOr::T(Parameter { parameter_in, .. }) if *parameter_in == wanted)).count() > 0
    };
    let (by_path, by_query) = (taken(ParameterIn::Path), taken(ParameterIn::Query));
    let by_body = operation.request_body.is_some();
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required.get_or_insert(Required::False);
    }
    let errors = [
        (
            by_query || by_body,
            StatusCode::BAD_REQUEST,
            "A parameter or the body is not of the form",
        ),
        (guarded, StatusCode::UNAUTHORIZED, "The token is missing or wrong"),
        (
            guarded && writes,
            StatusCode::FORBIDDEN,
            "Writing takes a token here, or the Host or Origin is not this service's",
        ),
        (by_path, StatusCode::NOT_FOUND, "There is nothing of that name"),
        (by_body, StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"),
        (by_body, StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB"),
        (guarded && writes, StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not declared as JSON"),
        (true, StatusCode::INTERNAL_SERVER_ERROR, "A bug of triggerbell's"),
        (true, StatusCode::SERVICE_UNAVAILABLE, "The store can't be used now, or it took too long"),
    ];
    for (happens, status, description) in errors {
        if happens {
            let responses = &mut operation.responses.responses;
            let response = || RefOr::T(problem(description));
            responses.entry(status.as_str().to_owned()).or_insert_with(response);
        }
    }
    if guarded {
        let none: [&str; 0] = [];
        // With no token configured none is needed.
        let open = SecurityRequirement::default();
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, none), open]);
    } else {
        operation.security = Some(Vec::new());
    }
}

/// An answer of problem details.
fn problem(description: &str) -> Response {
    let form = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", form)
        .build()
}
