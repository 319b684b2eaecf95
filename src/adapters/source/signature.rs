//! How requests to the trigger log API are signed, in both generations.
//!
//! Pure functions: the time and the nonce are parameters, so that the known answers of
//! `tests/vectors/signing_vectors.json` can be asked for, and so that the stand-in registry can
//! check a signature by making it again. The documents followed are `trigger-log-api` 1.2 (API
//! 2.0) and 2.1 (TC3-HMAC-SHA256). Deliberately absent: the parameters and headers themselves
//! (`ccr`, `tcr`), sending, and comparing (use `subtle`).

use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{Timestamp, tz::TimeZone};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The hash under an API 2.0 signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureMethod {
    /// `HmacSHA1`, what the service takes a request for that names no method.
    HmacSha1,
    /// `HmacSHA256`.
    #[default]
    HmacSha256,
}

impl SignatureMethod {
    /// The value of the parameter `SignatureMethod`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HmacSHA1",
            Self::HmacSha256 => "HmacSHA256",
        }
    }

    /// What the service makes of that parameter: exactly `HmacSHA256` selects SHA-256, anything
    /// else, absence too, is SHA-1.
    pub fn of_parameter(value: Option<&str>) -> Self {
        if value == Some("HmacSHA256") { Self::HmacSha256 } else { Self::HmacSha1 }
    }
}

/// The text that an API 2.0 signature is made over.
///
/// `method` is `GET` or `POST`; `host` is the authority, with its port where the request carries
/// one; `path` begins with `/`. `params` are all parameters of the request, query or form, decoded
/// and in any order; `Signature` among them is left out. `_` in a key becomes `.` here, and only
/// here.
pub fn v2_string_to_sign<K: AsRef<str>, V: AsRef<str>>(
    method: &str,
    host: &str,
    path: &str,
    params: &[(K, V)],
) -> String {
    let mut signed: Vec<(Cow<'_, str>, &str)> = params
        .iter()
        .map(|(key, value)| (key.as_ref(), value.as_ref()))
        .filter(|(key, _)| *key != "Signature")
        .map(|(key, value)| (dotted(key), value))
        .collect();
    signed.sort_unstable();
    let mut text = format!("{method}{host}{path}?");
    for (index, (key, value)) in signed.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(key);
        text.push('=');
        text.push_str(value);
    }
    text
}

fn dotted(key: &str) -> Cow<'_, str> {
    if key.contains('_') { Cow::Owned(key.replace('_', ".")) } else { Cow::Borrowed(key) }
}

/// The value of the parameter `Signature`: standard base64 of the HMAC of
/// [`v2_string_to_sign`]'s text.
pub fn v2_sign(secret_key: &str, string_to_sign: &str, method: SignatureMethod) -> String {
    let (key, text) = (secret_key.as_bytes(), string_to_sign.as_bytes());
    match method {
        SignatureMethod::HmacSha1 => {
            let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
            mac.update(text);
            STANDARD.encode(mac.finalize().into_bytes())
        }
        SignatureMethod::HmacSha256 => STANDARD.encode(hmac_sha256(key, text)),
    }
}

/// Parameters as they go on the wire, in a query or a form: `k=v&k=v` in the order given, every
/// byte but the unreserved ones of RFC 3986 as `%XX` in upper case.
pub fn encode_parameters<K: AsRef<str>, V: AsRef<str>>(params: &[(K, V)]) -> String {
    let mut wire = String::new();
    for (index, (key, value)) in params.iter().enumerate() {
        if index > 0 {
            wire.push('&');
        }
        percent_encode(key.as_ref(), &mut wire);
        wire.push('=');
        percent_encode(value.as_ref(), &mut wire);
    }
    wire
}

/// Appends `text`, percent-encoded as RFC 3986 has it, to `wire`.
pub(super) fn percent_encode(text: &str, wire: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            wire.push(char::from(byte));
        } else {
            write!(wire, "%{byte:02X}").expect("writing to a String can't fail");
        }
    }
}

/// What TC3-HMAC-SHA256 signs of a request to API 3.0.
#[derive(Debug, Clone, Copy)]
pub struct Tc3Request<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// The `Host` header, with its port where it carries one.
    pub host: &'a str,
    /// The query as sent, without `?`; empty for a POST.
    pub query: &'a str,
    /// The `Content-Type` header exactly as sent.
    pub content_type: &'a str,
    /// The body's bytes.
    pub body: &'a [u8],
    /// The product: `tcr`.
    pub service: &'a str,
    /// `X-TC-Timestamp`, Unix seconds. The date in the credential's scope is its UTC date.
    pub timestamp: i64,
}

/// The canonical request. The path in it is `/`, whatever way a gateway led the request.
pub fn tc3_canonical_request(request: &Tc3Request<'_>) -> String {
    format!(
        "{}\n/\n{}\ncontent-type:{}\nhost:{}\n\ncontent-type;host\n{}",
        request.method,
        request.query,
        request.content_type,
        request.host,
        hex(&Sha256::digest(request.body)),
    )
}

/// The text that a TC3 signature is made over.
pub fn tc3_string_to_sign(request: &Tc3Request<'_>) -> String {
    format!(
        "TC3-HMAC-SHA256\n{}\n{}\n{}",
        request.timestamp,
        tc3_scope(request),
        hex(&Sha256::digest(tc3_canonical_request(request))),
    )
}

/// The signature alone: 64 lower-case hexadecimal digits.
pub fn tc3_signature(secret_key: &str, request: &Tc3Request<'_>) -> String {
    let date = utc_date(request.timestamp);
    let key = hmac_sha256(format!("TC3{secret_key}").as_bytes(), date.as_bytes());
    let key = hmac_sha256(&key, request.service.as_bytes());
    let key = hmac_sha256(&key, b"tc3_request");
    hex(&hmac_sha256(&key, tc3_string_to_sign(request).as_bytes()))
}

/// The `Authorization` header.
pub fn tc3_authorization(secret_id: &str, secret_key: &str, request: &Tc3Request<'_>) -> String {
    format!(
        "TC3-HMAC-SHA256 Credential={secret_id}/{}, SignedHeaders=content-type;host, Signature={}",
        tc3_scope(request),
        tc3_signature(secret_key, request),
    )
}

fn tc3_scope(request: &Tc3Request<'_>) -> String {
    format!("{}/{}/tc3_request", utc_date(request.timestamp), request.service)
}

/// The UTC date of Unix seconds, as `YYYY-MM-DD`; an instant past all calendars has the first.
fn utc_date(seconds: i64) -> String {
    let instant = Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN);
    TimeZone::UTC.to_datetime(instant).date().to_string()
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String can't fail");
        text
    })
}
