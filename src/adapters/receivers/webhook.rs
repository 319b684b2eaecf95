//! The generic webhook: any URL, any headers, signed by Standard Webhooks where a secret is given.
//!
//! It is done on 2xx, since nothing more is known of the receiver; which statuses mean what is a
//! setting. The receiver may say more in a `webhook-delivery` header: `abort-message` gives this
//! message up, `disable` closes the receiver. Deliberately absent: predicates over the answer's body.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    Kind, SettingError,
    attempt::Protocol,
    http::{Answer, Target},
    signature::{SigningKey, sign_with_all},
    status::{Refusal, StatusPolicy},
};
use crate::{
    adapters::secret::Secret,
    domain::outcome::{Class, Outcome},
    ports::{Delivery, PayloadFormat},
};

pub(super) const KIND: Kind = Kind { name: "webhook", default_pace: None, digest: false };

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const CONTROL: HeaderName = HeaderName::from_static("webhook-delivery");

const METHODS: [Method; 5] =
    [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE];

/// Headers that are HTTP's own or ours to set.
const OURS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// What can be said of a webhook beside its URL.
#[derive(Debug, Clone, Default)]
pub struct WebhookOptions {
    /// `POST` where nothing is said; `PUT`, `PATCH`, `GET`, `DELETE`.
    pub method: Option<String>,
    /// Headers to send, `content-type` among them where it is not to follow the payload.
    pub headers: BTreeMap<String, Secret>,
    /// Secrets (`whsec_…`) to sign with: none, one, or the new and the old while they rotate.
    pub signing_secrets: Vec<Secret>,
    /// What statuses mean.
    pub statuses: StatusPolicy,
}

/// A webhook.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    url: Secret,
    method: Method,
    headers: BTreeMap<String, Secret>,
    signing_secrets: Vec<Secret>,
    statuses: StatusPolicy,
}

impl WebhookSettings {
    /// Settings for a URL.
    ///
    /// # Errors
    /// Everything that is wrong, at least one thing.
    pub fn new(url: Secret, options: WebhookOptions) -> Result<Self, Vec<SettingError>> {
        let mut problems = Vec::new();
        let method = method(options.method.as_deref()).unwrap_or_else(|problem| {
            problems.push(problem);
            Method::POST
        });
        problems.extend(url.expose(parse_url).err());
        for (name, value) in &options.headers {
            problems.extend(header(name, value).err());
        }
        problems.extend(options.signing_secrets.iter().filter_map(|secret| key(secret).err()));
        if !problems.is_empty() {
            return Err(problems);
        }
        let WebhookOptions { headers, signing_secrets, statuses, .. } = options;
        Ok(Self { url, method, headers, signing_secrets, statuses })
    }
}

impl Protocol for WebhookSettings {
    const KIND: &'static Kind = &KIND;

    fn secrets(&self) -> Vec<&Secret> {
        let headers = self.headers.values();
        std::iter::once(&self.url).chain(headers).chain(&self.signing_secrets).collect()
    }

    fn target(&self) -> Result<Target, SettingError> {
        let mut target = Target::new(self.method.clone(), self.url.expose(parse_url)?, &[]);
        for (name, value) in &self.headers {
            let (name_, header) = header(name, value)?;
            // A content type is no secret, and words of it stand in many an answer.
            if name_ != CONTENT_TYPE {
                value.expose(|value| target.scrub.hide(value));
            }
            target.headers.insert(name_, header);
        }
        for secret in &self.signing_secrets {
            secret.expose(|text| {
                target.scrub.hide(text);
                target.scrub.hide(text.trim_start_matches("whsec_"));
            });
            target.keys.push(key(secret)?);
        }
        Ok(target)
    }

    fn body(&self, delivery: &Delivery) -> Bytes {
        Bytes::copy_from_slice(delivery.payload.body.as_bytes())
    }

    fn dress(
        &self,
        target: &Target,
        delivery: &Delivery,
        body: &Bytes,
        now: Timestamp,
        headers: &mut HeaderMap,
    ) {
        let content_type = match delivery.payload.format {
            PayloadFormat::Json => "application/json",
            PayloadFormat::Text => "text/plain; charset=utf-8",
        };
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        let id = delivery.id.to_string();
        if !target.keys.is_empty() {
            let second = now.as_second();
            headers.insert(TIMESTAMP, HeaderValue::from(second));
            let signature = sign_with_all(&target.keys, &id, second, body);
            insert(headers, SIGNATURE, signature);
        }
        insert(headers, ID, id);
    }

    fn classify(&self, answer: &Answer<'_>, _delivery: &Delivery, now: Timestamp) -> Outcome {
        classify(&self.statuses, answer, now)
    }
}

/// Inserts a value that consists of visible ASCII.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// What an answer means.
fn classify(statuses: &StatusPolicy, answer: &Answer<'_>, now: Timestamp) -> Outcome {
    let status = answer.status;
    if statuses.delivered.contains(status) {
        return Outcome::new(Class::Delivered, Some(status), "webhook took it");
    }
    let control = answer.headers.get(CONTROL).map(|value| value.as_bytes().trim_ascii());
    match control {
        Some(b"abort-message") => {
            let detail = format!("webhook gave the message up itself: {}", answer.said());
            Refusal::Message.outcome(status, detail)
        }
        Some(b"disable") => {
            let detail = format!(
                "webhook asked to be sent nothing more: {} — talk to its owner",
                answer.said()
            );
            Refusal::Endpoint.outcome(status, detail)
        }
        _ => statuses.outcome(KIND.name, answer, now),
    }
}

fn method(given: Option<&str>) -> Result<Method, SettingError> {
    let Some(given) = given else { return Ok(Method::POST) };
    let known = METHODS.iter().find(|method| method.as_str() == given.trim());
    known.cloned().ok_or_else(|| {
        let known = METHODS.map(|method| method.to_string()).join(", ");
        SettingError::new("method", format!("`{given}` is no method of a webhook"), known)
    })
}

fn parse_url(text: &str) -> Result<Url, SettingError> {
    let wrong = |message| SettingError::new("url", message, "write https://host/path");
    let url = Url::parse(text.trim()).map_err(|_| wrong("is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(wrong("is not an https or http URL"));
    }
    Ok(url)
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), SettingError> {
    let key = format!("headers.{name}");
    let parsed = HeaderName::try_from(name).map_err(|_| {
        SettingError::new(&key, "is no name of a header", "use letters, digits and hyphens")
    })?;
    if OURS.contains(&parsed.as_str()) {
        return Err(SettingError::new(&key, "is set by triggerbell", "leave it out"));
    }
    // The error is dropped: it may hold the value.
    let mut value = value.expose(HeaderValue::from_str).map_err(|_| {
        SettingError::new(&key, "holds a line break or a control character", "remove it")
    })?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

fn key(secret: &Secret) -> Result<SigningKey, SettingError> {
    secret.expose(SigningKey::parse).map_err(|problem| {
        let help = "write whsec_ and base64 of 24 to 64 random bytes; `openssl rand -base64 32` \
                    makes such";
        SettingError::new("signing_secret", problem.to_string(), help)
    })
}
