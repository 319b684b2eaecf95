//! The generic webhook: any URL, headers and query, signed by Standard Webhooks where a secret is
//! given, and anything else that a receiver checks, worked out at each attempt.
//!
//! What depends on the attempt comes from two places. Headers and query that read nothing of the
//! message are the receiver's: formulas here, so that a new secret or key counts for what is queued
//! too. Those that read the message, and the body, come with the message ([`LateMessage`]). All are
//! filled in first, then the envelope goes around the body, and the signature is over the bytes that
//! are sent.
//!
//! It is done on 2xx unless it is told what an answer of this receiver means (`answers`). The
//! receiver may say more in a `webhook-delivery` header: `abort-message` gives this message up,
//! `disable` closes the receiver. Deliberately absent: what formulas are ([`crate::domain::late`]).

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    Kind, SettingError,
    answers::Answers,
    attempt::{Protocol, Unsendable},
    cloudevents,
    http::{Answer, Outgoing, Target},
    signature::{SigningKey, sign_with_all},
    status::{Refusal, StatusPolicy},
};
use crate::{
    adapters::secret::Secret,
    domain::{
        late::{self, LateMessage, Moment, Piece, url_encode},
        outcome::{Class, Outcome, Scope},
    },
    ports::{Delivery, PayloadFormat},
};

pub(super) const KIND: Kind = Kind { name: "webhook", default_pace: None, digest: false };

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const CONTROL: HeaderName = HeaderName::from_static("webhook-delivery");

/// The detail of a delivery.
pub(super) const TOOK: &str = "webhook took it";

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
    /// Parameters added to the URL's query, not encoded.
    pub query: Vec<(String, Secret)>,
    /// Headers that each attempt works out.
    pub late_headers: Vec<(String, Vec<Piece>)>,
    /// Parameters of the query that each attempt works out.
    pub late_query: Vec<(String, Vec<Piece>)>,
    /// Secrets that formulas can name.
    pub secrets: BTreeMap<String, Secret>,
    /// The source that events name, where bodies go in the envelope of CloudEvents.
    pub cloudevents: Option<String>,
    /// What statuses mean.
    pub statuses: StatusPolicy,
    /// What else answers mean.
    pub answers: Answers,
}

/// A webhook.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    url: Secret,
    method: Method,
    options: WebhookOptions,
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
        for (name, _) in &options.late_headers {
            problems.extend(header_name(name).err());
        }
        if let Some(source) = &options.cloudevents
            && !cloudevents::is_source(source)
        {
            let help = "write a URL, or a path such as /triggerbell/shop";
            problems.push(SettingError::new("event_source", "is no URI", help));
        }
        problems.extend(options.signing_secrets.iter().filter_map(|secret| key(secret).err()));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { url, method, options })
    }

    /// The most bytes that it puts around a body.
    pub fn around(&self) -> usize {
        self.options.cloudevents.as_deref().map_or(0, cloudevents::around)
    }

    /// The body in its envelope, where there is one.
    fn wrapped<'b>(&self, delivery: &Delivery, body: Cow<'b, str>, json: bool) -> Cow<'b, str> {
        match &self.options.cloudevents {
            Some(source) => Cow::Owned(cloudevents::wrap(delivery, source, &body, json)),
            None => body,
        }
    }

    /// What the body is called, unless `headers` says it.
    fn content_type(&self, json: bool) -> HeaderValue {
        HeaderValue::from_static(match (&self.options.cloudevents, json) {
            (Some(_), _) => cloudevents::CONTENT_TYPE,
            (None, true) => "application/json",
            (None, false) => "text/plain; charset=utf-8",
        })
    }
}

impl Protocol for WebhookSettings {
    const KIND: &'static Kind = &KIND;

    fn secrets(&self) -> Vec<&Secret> {
        let WebhookOptions { headers, query, secrets, signing_secrets, .. } = &self.options;
        let query = query.iter().map(|(_, value)| value);
        std::iter::once(&self.url)
            .chain(headers.values())
            .chain(query)
            .chain(secrets.values())
            .chain(signing_secrets)
            .collect()
    }

    fn target(&self) -> Result<Target, SettingError> {
        let options = &self.options;
        let mut url = self.url.expose(parse_url)?;
        if !options.query.is_empty() {
            let given = url.query().filter(|query| !query.is_empty()).map(str::to_owned);
            let added = options
                .query
                .iter()
                .map(|(name, value)| value.expose(|value| parameter(name, value)));
            let query: Vec<String> = given.into_iter().chain(added).collect();
            url.set_query(Some(&query.join("&")));
        }
        let mut target = Target::new(self.method.clone(), url, &[]);
        for (name, value) in &options.headers {
            let (name_, header) = header(name, value)?;
            // A content type is no secret, and words of it stand in many an answer.
            if name_ != CONTENT_TYPE {
                value.expose(|value| target.scrub.hide(value));
            }
            target.headers.insert(name_, header);
        }
        for (name, secret) in &options.secrets {
            secret.expose(|text| {
                target.scrub.hide(text);
                target.secrets.insert(name.as_str().into(), text.to_owned());
            });
        }
        for secret in &options.signing_secrets {
            secret.expose(|text| {
                target.scrub.hide(text);
                target.scrub.hide(text.trim_start_matches("whsec_"));
            });
            target.keys.push(key(secret)?);
        }
        Ok(target)
    }

    fn body(&self, delivery: &Delivery) -> Bytes {
        let json = delivery.payload.format == PayloadFormat::Json;
        let body = self.wrapped(delivery, Cow::Borrowed(&delivery.payload.body), json);
        Bytes::copy_from_slice(body.as_bytes())
    }

    fn dress(
        &self,
        target: &Target,
        delivery: &Delivery,
        body: &Bytes,
        now: Timestamp,
        headers: &mut HeaderMap,
    ) {
        if !headers.contains_key(CONTENT_TYPE) {
            let json = delivery.payload.format == PayloadFormat::Json;
            headers.insert(CONTENT_TYPE, self.content_type(json));
        }
        let id = delivery.id.to_string();
        if !target.keys.is_empty() {
            let second = now.as_second();
            headers.insert(TIMESTAMP, HeaderValue::from(second));
            let signature = sign_with_all(&target.keys, &id, second, body);
            insert(headers, SIGNATURE, signature);
        }
        insert(headers, ID, id);
    }

    fn outgoing(
        &self,
        target: &Target,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Outgoing, Unsendable> {
        let message = match delivery.payload.format {
            PayloadFormat::Late => Some(queued(delivery)?),
            PayloadFormat::Json | PayloadFormat::Text => None,
        };
        let secret = |name: &str| target.secrets.get(name).cloned();
        let filler = Filler { moment: Moment { now, secret: &secret } };
        let mut headers = target.headers.clone();
        let own = self.options.late_headers.iter();
        let with_message = message.iter().flat_map(|message| &message.headers);
        for (name, pieces) in own.chain(with_message) {
            filler.header(&mut headers, name, pieces)?;
        }
        let own = self.options.late_query.iter();
        let with_message = message.iter().flat_map(|message| &message.query);
        let query: Vec<_> = own
            .chain(with_message)
            .map(|(name, pieces)| Ok(parameter(name, &filler.text(pieces)?)))
            .collect::<Result<_, Unsendable>>()?;
        let at = (!query.is_empty()).then(|| target.with_query(&query.join("&")));
        let body = match &message {
            Some(message) => {
                headers.entry(CONTENT_TYPE).or_insert_with(|| self.content_type(message.json));
                let body = Cow::Owned(filler.text(&message.body)?);
                Bytes::from(self.wrapped(delivery, body, message.json).into_owned())
            }
            None => self.body(delivery),
        };
        self.dress(target, delivery, &body, now, &mut headers);
        Ok(Outgoing { at, headers, body })
    }

    fn classify(&self, answer: &Answer<'_>, _delivery: &Delivery, now: Timestamp) -> Outcome {
        let mut outcome = classify(&self.options, answer, now);
        if outcome.class == Class::Delivered {
            outcome.captured = self.options.answers.captured(answer);
        }
        outcome
    }
}

/// Works out what an attempt sends. What can't be is for a person to correct.
struct Filler<'a> {
    moment: Moment<'a>,
}

impl Filler<'_> {
    fn text(&self, pieces: &[Piece]) -> Result<String, Unsendable> {
        late::fill(pieces, &self.moment).map_err(|missing| Unsendable {
            scope: Scope::Endpoint,
            text: format!("{missing} — put it under the receiver's `secrets`"),
        })
    }

    fn header(
        &self,
        headers: &mut HeaderMap,
        name: &str,
        pieces: &[Piece],
    ) -> Result<(), Unsendable> {
        // The error is dropped: it may hold the value.
        let value = HeaderValue::try_from(self.text(pieces)?).ok();
        let pair = HeaderName::try_from(name).ok().zip(value);
        let (name, mut value) = pair.ok_or_else(|| Unsendable {
            scope: Scope::Endpoint,
            text: format!(
                "its header `{name}` would hold a line break or a control character — look at the \
                 secrets that it is made of"
            ),
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }
}

/// The message in its queued form.
fn queued(delivery: &Delivery) -> Result<LateMessage, Unsendable> {
    LateMessage::parse(&delivery.payload.body).map_err(|error| Unsendable {
        scope: Scope::Message,
        text: format!("the queued message can't be read: {error}"),
    })
}

/// A parameter of a query.
fn parameter(name: &str, value: &str) -> String {
    format!("{}={}", url_encode(name.as_bytes()), url_encode(value.as_bytes()))
}

/// Inserts a value that consists of visible ASCII.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// What an answer means: what the configuration says of it, then what the receiver says in its
/// header, then the status.
fn classify(options: &WebhookOptions, answer: &Answer<'_>, now: Timestamp) -> Outcome {
    let WebhookOptions { statuses, answers, .. } = options;
    let status = answer.status;
    if let Some(outcome) = answers.outcome(answer, statuses, now) {
        return outcome;
    }
    if statuses.delivered.contains(status) {
        return Outcome::new(Class::Delivered, Some(status), TOOK);
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

fn header_name(name: &str) -> Result<HeaderName, SettingError> {
    let key = format!("headers.{name}");
    let parsed = HeaderName::try_from(name).map_err(|_| {
        SettingError::new(&key, "is no name of a header", "use letters, digits and hyphens")
    })?;
    if OURS.contains(&parsed.as_str()) {
        return Err(SettingError::new(&key, "is set by triggerbell", "leave it out"));
    }
    Ok(parsed)
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), SettingError> {
    let key = format!("headers.{name}");
    let parsed = header_name(name)?;
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
