//! Errors as RFC 9457 problem details: `application/problem+json` with a sentence that says what
//! to do.

use axum::{
    body::Body,
    extract::{
        FromRequestParts, Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
    http::{Response, StatusCode, header, request::Parts},
    response::IntoResponse,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::ports::{ControlError, StoreError, StoreErrorKind};

/// An error for whoever called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    /// A problem of that status, told in a sentence.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string())
                .into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let value = header::HeaderValue::from_static("Bearer realm=\"triggerbell\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let status = match error.kind {
            StoreErrorKind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        tracing::error!("the API could not use the store: {error}");
        Self::new(status, error.message)
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotFound => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            ControlError::Conflict(detail) => Self::new(StatusCode::CONFLICT, detail),
            ControlError::Store(error) => error.into(),
        }
    }
}

/// The answer when a handler panicked.
pub(crate) fn bug() -> Response<Body> {
    let detail = "a bug of triggerbell's; the log says more";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
}

/// The query of a request, refused with a problem where it is not of the form.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::from_request_parts(parts, state).await.map(|Query(query)| Self(query)).map_err(
            |error: QueryRejection| Problem::new(StatusCode::BAD_REQUEST, error.body_text()),
        )
    }
}

/// The id in a path, refused with a problem where it is none.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::from_request_parts(parts, state).await.map(|Path(id)| Self(id)).map_err(
            |_: PathRejection| {
                Problem::new(StatusCode::NOT_FOUND, "an id is 32 hexadecimal digits")
            },
        )
    }
}
