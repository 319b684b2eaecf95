//! Who may read and write, and what every answer carries.
//!
//! Writing takes the token; without one it works only where the bound address is loopback, and
//! then only under a name that a stranger's web page can't have (docs/api.md, "Who may do what").

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header},
    middleware::Next,
    response::IntoResponse,
};

use super::{ApiSettings, Problem, Shared};

/// Lets a request to `/api/v1` through, or says why not.
pub(crate) async fn admit(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let settings = shared.settings.load_full();
    let checked = authorise(&settings, request.headers(), writes)
        .and_then(|()| if writes { check_write(&settings, &request) } else { Ok(()) });
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn authorise(settings: &ApiSettings, headers: &HeaderMap, writes: bool) -> Result<(), Problem> {
    let Some(token) = &settings.token else {
        if writes && !settings.bound.ip().is_loopback() {
            let detail = "writing takes a token here: set `api.token`, or listen on 127.0.0.1";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        return Ok(());
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, given)| given.trim())
        .unwrap_or_default();
    if token.admits(given.as_bytes()) {
        return Ok(());
    }
    let detail = if given.is_empty() {
        "this takes the header `Authorization: Bearer TOKEN`"
    } else {
        "that is not the token"
    };
    Err(Problem::new(StatusCode::UNAUTHORIZED, detail))
}

/// Refuses what a web page of somebody else's could make a browser send.
fn check_write(settings: &ApiSettings, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = "a write has the header `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_ours(settings, host) {
        let detail = format!(
            "{host:?} is not a name of this service: write to its address, or set `api.public_url` \
             to the URL that it is reached under"
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let authority = origin
        .as_ref()
        .filter(|origin| matches!(origin.scheme_str(), Some("http" | "https")))
        .and_then(Uri::authority);
    if authority.is_some_and(|it| same(it.as_str(), host) || is_public(settings, it.as_str())) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "the Origin is another site's"))
}

/// Whether a `Host` is one that a stranger's web page can't have: an address, `localhost`, the
/// public URL's, or, where a token is asked for too, a name without a dot, as machines and
/// containers have among themselves.
fn is_ours(settings: &ApiSettings, host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || (settings.token.is_some() && !name.contains('.'))
        || is_public(settings, host)
}

fn is_public(settings: &ApiSettings, authority: &str) -> bool {
    let url = settings.public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
    url.as_ref().and_then(Uri::authority).is_some_and(|ours| same(ours.as_str(), authority))
}

/// Whether two authorities are the same, a default port apart.
fn same(one: &str, other: &str) -> bool {
    let plain = |authority: &str| {
        let bare = authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80"));
        bare.unwrap_or(authority).to_ascii_lowercase()
    };
    plain(one) == plain(other)
}

/// Puts on every answer what keeps a browser from doing more with it than showing it.
pub(crate) async fn harden(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'",
        ),
    );
    response
}
