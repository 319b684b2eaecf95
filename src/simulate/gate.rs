//! Who may ask: takes a request apart and checks its signature, time, nonce and token.
//!
//! API 2.0 is `GET` or `POST /v2/index.php` signed with `HmacSHA1` or `HmacSHA256`; API 3.0 is `/`
//! signed with TC3-HMAC-SHA256, or in the old manner, which official clients still offer. The host
//! that must have been signed is the request's `Host` header. Deliberately absent: what is asked
//! for (`question`), and rates.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use axum::{
    body::Bytes,
    extract::{Form, FromRequest as _, Request},
    http::{HeaderMap, Method, header, request::Parts},
};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::adapters::source::signature::{
    SignatureMethod, Tc3Request, tc3_signature, v2_sign, v2_string_to_sign,
};

use super::refusal::Refusal;

/// Seconds that a request's time may be off, either way.
const SKEW_S: i64 = 300;

/// The largest body that is read.
pub(super) const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// The only version of API 3.0 that is known here.
const VERSION: &str = "2019-09-24";

/// Where the personal registry's API 3.0 is served.
const REGIONS: &[&str] = &[
    "ap-beijing",
    "ap-chengdu",
    "ap-chongqing",
    "ap-guangzhou",
    "ap-hongkong",
    "ap-nanjing",
    "ap-shanghai",
    "ap-singapore",
];

/// Which API a request speaks, and which envelope its answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// API 2.0.
    Two,
    /// API 3.0.
    Three,
}

/// A request that was let in.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) generation: Generation,
    pub(super) action: String,
    /// The action's own parameters; the common ones are taken out. Numbers may be text.
    pub(super) params: BTreeMap<String, Value>,
}

/// What callers must know, and what they said lately.
pub(super) struct Gate {
    secret_id: String,
    secret_key: String,
    token: Option<String>,
    /// Nonces by the request's time; those too old to be let in are forgotten.
    nonces: Mutex<BTreeMap<i64, BTreeSet<u64>>>,
}

/// Parameters of the common kind, which every action takes.
const COMMON: &[&str] = &[
    "Action",
    "Region",
    "Timestamp",
    "Nonce",
    "SecretId",
    "Signature",
    "SignatureMethod",
    "Token",
    "RequestClient",
    "Version",
    "Language",
];

type Pairs = Vec<(String, String)>;

/// What the manner of API 2.0 signs beside the parameters.
struct Target {
    method: Method,
    host: String,
    path: String,
}

impl Gate {
    pub(super) fn new(secret_id: String, secret_key: String, token: Option<String>) -> Self {
        Self { secret_id, secret_key, token, nonces: Mutex::default() }
    }

    /// Lets a request in, or says why not. `now` in Unix seconds.
    pub(super) async fn admit(
        &self,
        generation: Generation,
        request: Request,
        now: i64,
    ) -> Result<Call, Refusal> {
        if request.headers().contains_key(header::AUTHORIZATION) && generation == Generation::Three
        {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, BODY_LIMIT_BYTES)
                .await
                .map_err(|_| Refusal::bad_parameter("the body is too large or broke off"))?;
            return self.admit_tc3(&parts, &body, now);
        }
        let target = Target {
            method: request.method().clone(),
            host: text_header(request.headers(), header::HOST.as_str())?.to_owned(),
            path: request.uri().path().to_owned(),
        };
        let Form(pairs) = Form::<Pairs>::from_request(request, &()).await.map_err(|_| {
            Refusal::bad_parameter(
                "the parameters are no form; send application/x-www-form-urlencoded",
            )
        })?;
        self.admit_v1(generation, &target, pairs, now)
    }

    /// The manner of API 2.0.
    fn admit_v1(
        &self,
        generation: Generation,
        target: &Target,
        pairs: Pairs,
        now: i64,
    ) -> Result<Call, Refusal> {
        let mut params = BTreeMap::new();
        for (key, value) in &pairs {
            if params.insert(key.as_str(), value.as_str()).is_some() {
                return Err(Refusal::bad_parameter(format!("the parameter {key} is there twice")));
            }
        }
        let get = |name: &str| {
            let value = params.get(name).copied().filter(|value| !value.is_empty());
            value.ok_or_else(|| {
                Refusal::missing_parameter(format!("the parameter {name} is missing"))
            })
        };
        let action = get("Action")?.to_owned();
        let (id, signature) = (get("SecretId")?, get("Signature")?);
        let timestamp = whole_number(get("Timestamp")?, "Timestamp")?;
        let nonce = whole_number(get("Nonce")?, "Nonce")?;
        let nonce = u64::try_from(nonce).ok().filter(|nonce| *nonce > 0);
        let nonce = nonce.ok_or_else(|| Refusal::bad_parameter("Nonce is not positive"))?;
        if generation == Generation::Three {
            check_version_and_region(get("Version")?, get("Region")?)?;
        }
        self.check_id(id)?;
        let text = v2_string_to_sign(target.method.as_str(), &target.host, &target.path, &pairs);
        let method = SignatureMethod::of_parameter(params.get("SignatureMethod").copied());
        check_signature(&v2_sign(&self.secret_key, &text, method), signature)?;
        self.check_token(params.get("Token").copied().filter(|token| !token.is_empty()))?;
        check_time(timestamp, now)?;
        self.check_nonce(timestamp, nonce, now)?;
        let own = |(key, _): &(String, String)| !COMMON.contains(&key.as_str());
        let params = pairs.into_iter().filter(own).map(|(key, text)| (key, text.into())).collect();
        Ok(Call { generation, action, params })
    }

    /// The manner of API 3.0.
    fn admit_tc3(&self, parts: &Parts, body: &Bytes, now: i64) -> Result<Call, Refusal> {
        let get = |name: &str| text_header(&parts.headers, name);
        let action = get("x-tc-action")?.to_owned();
        let timestamp = whole_number(get("x-tc-timestamp")?, "X-TC-Timestamp")?;
        check_version_and_region(get("x-tc-version")?, get("x-tc-region")?)?;
        let authorization = Authorization::parse(get("authorization")?)?;
        self.check_id(authorization.id)?;
        let signed = Tc3Request {
            method: parts.method.as_str(),
            host: get("host")?,
            query: parts.uri.query().unwrap_or_default(),
            content_type: get("content-type")?,
            body,
            service: "tcr",
            timestamp,
        };
        check_signature(&tc3_signature(&self.secret_key, &signed), authorization.signature)?;
        self.check_token(parts.headers.get("x-tc-token").and_then(|token| token.to_str().ok()))?;
        check_time(timestamp, now)?;
        let params = if parts.method == Method::GET {
            let pairs = axum::extract::Query::<Pairs>::try_from_uri(&parts.uri)
                .map_err(|_| Refusal::bad_parameter("the query can't be understood"))?;
            pairs.0.into_iter().map(|(key, text)| (key, text.into())).collect()
        } else {
            serde_json::from_slice(body).map_err(|error| {
                Refusal::bad_parameter(format!("the body is no JSON object: {error}"))
            })?
        };
        Ok(Call { generation: Generation::Three, action, params })
    }

    fn check_id(&self, id: &str) -> Result<(), Refusal> {
        if id == self.secret_id {
            return Ok(());
        }
        Err(Refusal::unknown_secret_id(
            "The SecretId is not found, please ensure that it is correct.",
        ))
    }

    fn check_token(&self, token: Option<&str>) -> Result<(), Refusal> {
        if token == self.token.as_deref() {
            return Ok(());
        }
        Err(Refusal::bad_token("The token is not the one that belongs to this SecretId."))
    }

    fn check_nonce(&self, timestamp: i64, nonce: u64, now: i64) -> Result<(), Refusal> {
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        *nonces = nonces.split_off(&(now - SKEW_S));
        if nonces.entry(timestamp).or_default().insert(nonce) {
            return Ok(());
        }
        Err(Refusal::replayed("The request was sent before: its Nonce and Timestamp are known."))
    }
}

/// The parts of an `Authorization` header that matter.
struct Authorization<'a> {
    id: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Result<Self, Refusal> {
        let refusal = |what: &str| Refusal::no_authorization(format!("Authorization: {what}"));
        let rest = text
            .strip_prefix("TC3-HMAC-SHA256 ")
            .ok_or_else(|| refusal("only TC3-HMAC-SHA256 is known"))?;
        let part = |name: &str| {
            let value = rest.split(',').find_map(|part| part.trim().strip_prefix(name));
            value.ok_or_else(|| refusal(&format!("{name} is missing")))
        };
        if part("SignedHeaders=")? != "content-type;host" {
            return Err(refusal("SignedHeaders must be content-type;host here"));
        }
        let (id, scope) =
            part("Credential=")?.split_once('/').ok_or_else(|| refusal("no scope"))?;
        if scope.split_once('/').map(|(_, rest)| rest) != Some("tcr/tc3_request") {
            return Err(refusal("the scope must be DATE/tcr/tc3_request"));
        }
        Ok(Self { id, signature: part("Signature=")? })
    }
}

fn check_version_and_region(version: &str, region: &str) -> Result<(), Refusal> {
    if version != VERSION {
        return Err(Refusal::unknown_version(format!("Version must be {VERSION}")));
    }
    if REGIONS.contains(&region) {
        return Ok(());
    }
    Err(Refusal::unknown_region(format!("Region must be one of {}", REGIONS.join(", "))))
}

fn check_signature(made: &str, given: &str) -> Result<(), Refusal> {
    if made.as_bytes().ct_eq(given.as_bytes()).into() {
        return Ok(());
    }
    Err(Refusal::bad_signature(
        "The provided credentials could not be validated. Please check your signature is correct.",
    ))
}

fn check_time(timestamp: i64, now: i64) -> Result<(), Refusal> {
    let behind = now.saturating_sub(timestamp);
    if behind > SKEW_S {
        return Err(Refusal::expired(format!("The request is {behind} seconds old.")));
    }
    if behind < -SKEW_S {
        return Err(Refusal::replayed(format!("The request's time is {} seconds ahead.", -behind)));
    }
    Ok(())
}

fn whole_number(text: &str, name: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| Refusal::bad_parameter(format!("{name} is not a whole number")))
}

fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refusal> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| Refusal::missing_parameter(format!("the header {name} is missing")))
}
