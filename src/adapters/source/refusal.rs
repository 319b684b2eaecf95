//! What the service's refusals mean: which kind of failure, in which words, with which remedy.
//!
//! The tables are `trigger-log-api` 1.4 (numbers, API 2.0) and 2.2 (prefixes, API 3.0). Deliberately
//! absent: what is then done (the engine), and the clock's offset, which `exchange` knows.

use super::{decode::Refusal, one_line, source_error};
use crate::ports::{SourceError, SourceErrorKind as Kind};

/// The most characters of a refusal that are quoted.
const QUOTE_LIMIT: usize = 300;

/// Which API was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    V2,
    V3,
}

/// The error that a refusal is. `scrub` takes our secrets out of the service's words, which has to
/// be done before they are cut: half a secret is not found any more.
pub(super) fn error_of(
    refusal: &Refusal,
    api: Api,
    scrub: impl Fn(String) -> String,
) -> SourceError {
    let kind = kind_of(&refusal.code);
    let quote = one_line(&scrub(refusal.to_string()), QUOTE_LIMIT);
    let (cause, remedy) = words(kind, &refusal.code, api);
    let message = if remedy.is_empty() {
        format!("{cause} ({quote})")
    } else {
        format!("{cause} ({quote}); {remedy}")
    };
    let code = one_line(&scrub(refusal.code.clone()), 100);
    SourceError { code: Some(code), ..source_error(kind, message) }
}

/// The kind of a code of either generation.
fn kind_of(code: &str) -> Kind {
    code.parse().map_or_else(|_| kind_of_name(code), kind_of_number)
}

fn kind_of_number(code: i64) -> Kind {
    match code {
        4100..=4105 | 4110 => Kind::Credentials,
        4200 | 4500 => Kind::Clock,
        4300 | 6100 => Kind::Retired,
        4400 => Kind::Throttled,
        4600 => Kind::Configuration,
        4000..=5000 => Kind::Repository,
        _ => Kind::Unavailable,
    }
}

/// The first prefix that fits decides.
const NAMES: &[(&str, Kind)] = &[
    ("AuthFailure.SignatureExpire", Kind::Clock),
    ("AuthFailure", Kind::Credentials),
    ("UnauthorizedOperation", Kind::Credentials),
    ("RequestLimitExceeded", Kind::Throttled),
    ("ActionOffline", Kind::Retired),
    ("NoSuchVersion", Kind::Retired),
    ("InvalidParameter", Kind::Repository),
    ("MissingParameter", Kind::Repository),
    ("UnknownParameter", Kind::Repository),
    ("ResourceNotFound", Kind::Repository),
    ("UnsupportedOperation", Kind::Repository),
    ("InvalidAction", Kind::Configuration),
    ("UnsupportedProtocol", Kind::Configuration),
    ("UnsupportedRegion", Kind::Configuration),
];

fn kind_of_name(code: &str) -> Kind {
    let known = NAMES.iter().find(|(prefix, _)| code.starts_with(prefix));
    known.map_or(Kind::Unavailable, |&(_, kind)| kind)
}

/// Cause and remedy.
fn words(kind: Kind, code: &str, api: Api) -> (&'static str, &'static str) {
    match kind {
        Kind::Credentials if matches!(code, "4105" | "AuthFailure.TokenFailure") => (
            "the registry refused the temporary token",
            "renew token, secret_id and secret_key together",
        ),
        Kind::Credentials => (
            "the registry refused the credentials",
            "check secret_id, secret_key and what the account may read",
        ),
        Kind::Clock => ("the registry refused the request's time or nonce", ""),
        Kind::Retired if api == Api::V2 => {
            ("API 2.0 looks retired for this account", "use type tcr_personal")
        }
        Kind::Retired => (
            "the registry does not serve this log to the account any more",
            "check endpoint and region, and where the account's images have moved",
        ),
        Kind::Throttled => {
            ("the registry is asked more often than it allows", "lower requests_per_second")
        }
        Kind::Repository if never_initialised(code) => (
            "the personal registry was never initialised for this account",
            "open it once in the console, or check whose credentials these are",
        ),
        Kind::Repository if code == "5000" || code.starts_with("ResourceNotFound") => {
            ("the registry knows no such repository", "check its name and the region")
        }
        Kind::Repository => ("the registry refused the request", "check the repository's name"),
        Kind::Configuration if code == "4600" => {
            ("the registry takes HTTPS only", "write https:// in endpoint")
        }
        Kind::Configuration => {
            ("the registry does not take such requests", "check endpoint and region")
        }
        Kind::Unavailable => ("the registry failed for now", "it is asked again later"),
    }
}

fn never_initialised(code: &str) -> bool {
    matches!(code, "ResourceNotFound.ErrNoUser" | "UnsupportedOperation.ErrNoUserInitialized")
}
