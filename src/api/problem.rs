//! Errors as RFC 9457 problem details: `application/problem+json` with a sentence that says what
//! to do; and what is read of a request, refused with such a problem.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{PathRejection, QueryRejection},
    },
    http::{Response, StatusCode, header, request::Parts},
    middleware::Next,
    response::IntoResponse,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::ports::{ControlError, StoreError, StoreErrorKind};

/// The largest body of a request.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// The longest that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// An error for whoever called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    /// The API's token would not help.
    plain: bool,
    /// Members of its own kind.
    more: serde_json::Map<String, Value>,
}

impl Problem {
    /// A problem of that status, told in a sentence.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), plain: false, more: serde_json::Map::new() }
    }

    /// The same, which the API's token has nothing to do with.
    pub(crate) fn plain(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { plain: true, ..Self::new(status, detail) }
    }

    /// The same with a member that its kind has beside the common ones.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// The status that it is answered with.
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        for (name, value) in self.more {
            body[name] = value;
        }
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string())
                .into_response();
        if self.status == StatusCode::UNAUTHORIZED && !self.plain {
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
            ControlError::Invalid(detail) => Self::new(StatusCode::BAD_REQUEST, detail),
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

/// Answers for a request that takes too long, which then goes no further.
pub(crate) async fn in_time(request: Request, next: Next) -> Response<Body> {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "that took longer than 10 s; the log says more where something is wrong";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
        }
    }
}

/// The body of a request, at most `limit` bytes of it and within a few seconds.
pub(crate) async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let body = Limited::new(request.into_body(), limit).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body).await.map_err(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 5 s")
    })?;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let detail = format!("a body is at most {} KiB", limit / 1024);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "the body broke off")
        }
    })?;
    Ok(body.to_bytes())
}

/// The JSON body of a request; none is read as an empty object. Refused with a problem where it is
/// too large, too slow or not of the form.
pub(crate) struct Given<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = read(request, BODY_LIMIT_BYTES).await?;
        let text = body.trim_ascii();
        let text = if text.is_empty() { b"{}" } else { text };
        let unfit = |why: String| {
            let detail = format!("the body is not of the form: {why}");
            Problem::new(StatusCode::BAD_REQUEST, detail)
        };
        // All are objects; a list would be taken for one, field by field.
        let whole: Value =
            serde_json::from_slice(text).map_err(|error| unfit(error.to_string()))?;
        if !whole.is_object() {
            return Err(unfit("a JSON object is expected, as {\"name\": value}".to_owned()));
        }
        serde_json::from_slice(text).map(Self).map_err(|error| unfit(error.to_string()))
    }
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

/// The query of a request that takes none: a list that is always whole has no pages.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoQuery {}

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
