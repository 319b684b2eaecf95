//! What the HTTP of all receivers shares: one request, one bounded answer, no redirects, and a
//! failure that says whether the request may have arrived.
//!
//! Deliberately absent: what an answer means (each type's own table), and any retry. hyper sends
//! again by itself only what it has not yet written to a connection that turned out to be closed.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER},
};

use super::{
    guard::{self, AddressGuard, Forbidden, GuardedResolver, Lookup},
    scrub::{self, Scrubber},
    signature::SigningKey,
    wecom_token::Tokens,
};
use crate::adapters::{
    http::{ClientError, ClientSettings, client_with, describe},
    secret::Secret,
};

/// The most that is read of an answer.
const READ_BYTES: usize = 64 * 1024;

/// The most that is repeated of an answer, so that a sentence around it fits in 2 KiB.
const SAID_BYTES: usize = 1536;

/// How receivers are reached, where it is not the receiver's type that decides.
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    /// Time limits, authorities, proxy.
    pub client: ClientSettings,
    /// Which addresses may be dialled.
    pub guard: AddressGuard,
}

/// Connections to receivers, shared by all that are reached in the same way. Clones share too.
#[derive(Debug, Clone)]
pub struct Wire {
    client: reqwest::Client,
    guard: AddressGuard,
    timeout: Duration,
    proxy: Option<Secret>,
    tokens: Tokens,
}

/// What tells two wires apart: connect limit, limit, authorities, idle connections, guard.
type WireKey = (Duration, Duration, Option<PathBuf>, usize, AddressGuard);

/// Wires by their settings: receivers that are reached in the same way share connections and
/// trusted roots, which are the larger part of a wire's memory.
///
/// All wires share the access tokens, so that receivers of one app have one token between them.
pub struct Wires {
    lookup: Lookup,
    made: Vec<(WireKey, Wire)>,
    tokens: Tokens,
}

impl Default for Wires {
    fn default() -> Self {
        Self::looking_up(guard::system())
    }
}

impl Wires {
    /// No wires yet; names will be looked up in this way.
    pub fn looking_up(lookup: Lookup) -> Self {
        Self { lookup, made: Vec::new(), tokens: Tokens::default() }
    }

    /// The wire of these settings, built at their first use. One with a proxy is never shared.
    ///
    /// # Errors
    /// As [`crate::adapters::http::client`].
    pub fn wire(&mut self, settings: &HttpSettings) -> Result<Wire, ClientError> {
        if settings.client.proxy.is_some() {
            return Wire::new(settings, &self.lookup, self.tokens.clone());
        }
        let client = &settings.client;
        let key = (
            client.connect_timeout,
            client.timeout,
            client.ca_file.clone(),
            client.idle_per_host,
            settings.guard,
        );
        if let Some((_, wire)) = self.made.iter().find(|(known, _)| *known == key) {
            return Ok(wire.clone());
        }
        let wire = Wire::new(settings, &self.lookup, self.tokens.clone())?;
        self.made.push((key, wire.clone()));
        Ok(wire)
    }
}

impl Wire {
    fn new(settings: &HttpSettings, lookup: &Lookup, tokens: Tokens) -> Result<Self, ClientError> {
        let guard = settings.guard;
        let timeout = settings.client.timeout;
        // Always the shorter of the two, so that a connection that never came about is told from a
        // request that was never answered.
        let connect_timeout = settings.client.connect_timeout.min(timeout.mul_f64(0.9));
        let client = ClientSettings { connect_timeout, ..settings.client.clone() };
        let client = client_with(&client, |builder| {
            builder.dns_resolver(GuardedResolver(guard, lookup.clone()))
        })?;
        Ok(Self { client, guard, timeout, proxy: settings.client.proxy.clone(), tokens })
    }

    /// The access tokens of apps.
    pub(super) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Makes a target know the wire's own secrets too: a proxy's answers may repeat them.
    pub(super) fn prepare(&self, mut target: Target) -> Target {
        let proxy = self.proxy.as_ref().and_then(|url| url.expose(|url| Url::parse(url).ok()));
        if let Some(proxy) = proxy {
            target.scrub.hide_url(&proxy, &[]);
        }
        target
    }

    /// Sends one request to a target and reads the answer.
    pub(super) async fn exchange<'a>(
        &self,
        target: &'a Target,
        outgoing: &'a mut Outgoing,
    ) -> Result<Answer<'a>, Failure> {
        if let Some(address) = target.literal {
            self.guard.check(address).map_err(Failure::forbidden)?;
        }
        let (url, scrub) = match &outgoing.at {
            Some((url, scrub)) => (url, scrub),
            None => (&target.url, &target.scrub),
        };
        let mut request = reqwest::Request::new(target.method.clone(), url.clone());
        *request.headers_mut() = std::mem::take(&mut outgoing.headers);
        *request.body_mut() = Some(std::mem::take(&mut outgoing.body).into());
        let fail = |error: &_, status| self.failure(error, status, scrub);
        let mut response =
            self.client.execute(request).await.map_err(|error| fail(&error, None))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let (body, cut) = match read(&mut response).await {
            Ok(read) => read,
            // These say by themselves that nothing arrived; the rest of the answer adds nothing.
            Err(_) if status == 429 || status >= 500 => (Bytes::new(), true),
            Err(error) => return Err(fail(&error, Some(status))),
        };
        Ok(Answer { status, headers, body, cut, scrub })
    }

    fn failure(&self, error: &reqwest::Error, status: Option<u16>, scrub: &Scrubber) -> Failure {
        if let Some(forbidden) = forbidden(error) {
            return Failure::forbidden(*forbidden);
        }
        let text = if error.is_timeout() && !error.is_connect() {
            format!("no answer within {:?}", self.timeout)
        } else {
            describe(error)
        };
        let kind = if error.is_builder() {
            FailureKind::Unusable
        } else if error.is_connect() {
            FailureKind::Unreached
        } else {
            FailureKind::Unanswered
        };
        Failure { kind, status, text: scrub.clean(&text, false, SAID_BYTES) }
    }
}

/// Reads at most [`READ_BYTES`] of a body, and says whether there was more.
async fn read(response: &mut reqwest::Response) -> Result<(Bytes, bool), reqwest::Error> {
    let Some(mut body) = response.chunk().await? else { return Ok((Bytes::new(), false)) };
    if body.len() <= READ_BYTES
        && let Some(more) = response.chunk().await?
    {
        let mut whole = BytesMut::from(body.as_ref());
        append(&mut whole, &more);
        while whole.len() <= READ_BYTES
            && let Some(more) = response.chunk().await?
        {
            append(&mut whole, &more);
        }
        body = whole.freeze();
    }
    let cut = body.len() > READ_BYTES;
    body.truncate(READ_BYTES);
    Ok((body, cut))
}

/// Appends up to one byte beyond the limit, which tells that it was passed.
fn append(whole: &mut BytesMut, more: &Bytes) {
    let room = (READ_BYTES + 1).saturating_sub(whole.len());
    whole.extend_from_slice(&more[..more.len().min(room)]);
}

fn forbidden(error: &reqwest::Error) -> Option<&Forbidden> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref() {
            return Some(forbidden);
        }
        cause = error.source();
    }
    None
}

/// Where a receiver's requests go, prepared once for all of them. Never printed: it is the
/// credential.
pub(super) struct Target {
    method: Method,
    url: Url,
    /// The host, where it is an address: a resolver never sees it.
    literal: Option<IpAddr>,
    /// Sent with every request; values are marked sensitive.
    pub(super) headers: HeaderMap,
    /// What requests are signed with; empty for all but a webhook that signs.
    pub(super) keys: Vec<SigningKey>,
    /// What formulas can name; empty for all but a webhook that has such.
    pub(super) secrets: BTreeMap<Box<str>, String>,
    /// Where a token is asked for first; none for all but an app of WeCom's.
    pub(super) token_url: Option<Url>,
    /// Knows the secrets of the above.
    pub(super) scrub: Scrubber,
}

impl Target {
    /// A target; what is secret in its URL will not be shown. Path segments in `public` may be.
    pub(super) fn new(method: Method, mut url: Url, public: &[&str]) -> Self {
        let mut scrub = Scrubber::default();
        scrub.hide_url(&url, public);
        let mut headers = HeaderMap::new();
        if !url.username().is_empty() || url.password().is_some() {
            let basic = format!("Basic {}", scrub::basic_credentials(&url));
            if let Ok(mut value) = HeaderValue::try_from(basic) {
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            // These fail only for URLs that can't have a user.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        url.set_fragment(None);
        scrub.hide_url(&url, public);
        Self {
            method,
            literal: literal_address(&url),
            url,
            headers,
            keys: Vec::new(),
            secrets: BTreeMap::new(),
            token_url: None,
            scrub,
        }
    }

    /// Where a token is asked for: another method and address of the same host, under the same
    /// headers. The target itself where it has none.
    pub(super) fn of_token(&self) -> Self {
        Self {
            method: Method::GET,
            literal: self.literal,
            url: self.token_url.as_ref().unwrap_or(&self.url).clone(),
            headers: self.headers.clone(),
            keys: Vec::new(),
            secrets: BTreeMap::new(),
            token_url: None,
            scrub: self.scrub.clone(),
        }
    }

    /// Where it leads.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it is reached over plain `http` and is not this machine.
    pub(super) fn is_in_clear(&self) -> bool {
        super::plain_http_to_elsewhere(self.url.as_str())
    }

    /// Whether requests to the other would be the same.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.url == other.url
            && self.headers == other.headers
            && self.secrets == other.secrets
            && self.scrub == other.scrub
    }

    /// The same with parameters added to the query, encoded already, and what knows their secrets.
    pub(super) fn with_query(&self, added: &str) -> (Url, Scrubber) {
        let mut url = self.url.clone();
        url.set_query(Some(&match url.query() {
            Some(query) if !query.is_empty() => format!("{query}&{added}"),
            _ => added.to_owned(),
        }));
        let mut scrub = self.scrub.clone();
        scrub.hide_query(&url);
        (url, scrub)
    }
}

/// What one attempt sends to a target.
#[derive(Default)]
pub(super) struct Outgoing {
    /// The URL of this attempt, and what knows its secrets; `None` where it is the target's.
    pub(super) at: Option<(Url, Scrubber)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The address that a URL's host is, where it is no name.
pub(super) fn literal_address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// A receiver's answer.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// At most 64 KiB.
    pub(super) body: Bytes,
    /// Whether there was more.
    pub(super) cut: bool,
    pub(super) scrub: &'a Scrubber,
}

impl Answer<'_> {
    /// Whether the status is one of success. That alone proves little.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, without white space around it. Holds whatever the receiver wrote.
    pub(super) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.body.trim_ascii())
    }

    /// What it said, for people: status and the beginning of the body, secrets masked.
    pub(super) fn said(&self) -> String {
        match self.quote(&self.text()) {
            quote if quote.is_empty() => format!("status {}", self.status),
            quote => format!("status {}: {quote}", self.status),
        }
    }

    /// A piece of the answer, fit to be shown.
    pub(super) fn quote(&self, piece: &str) -> String {
        self.scrub.clean(piece, self.cut, SAID_BYTES)
    }

    /// How long the header `Retry-After` asks to wait.
    pub(super) fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        self.headers.get_all(RETRY_AFTER).iter().find_map(|value| {
            let text = value.to_str().ok()?.trim();
            seconds(text).or_else(|| until(text, now))
        })
    }
}

/// Whole seconds of a decimal number, rounded up. `None` for a negative one and for what is none.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = text.parse::<f64>().ok().filter(|_| is_number)?;
    // `as` saturates, which is what a number of centuries deserves.
    Some(Duration::from_secs(u64::from(number.ceil() as u32)))
}

/// The time left until an HTTP date, rounded up to seconds. `None` where it has passed.
fn until(text: &str, now: Timestamp) -> Option<Duration> {
    let date = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    let left = u64::try_from(date.as_millisecond() - now.as_millisecond()).ok()?;
    Some(Duration::from_secs(left.div_ceil(1000)))
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// The status, where the answer broke off after it.
    pub(super) status: Option<u16>,
    /// In words, secrets masked.
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The address may not be dialled. Nothing was sent.
    Forbidden,
    /// The URL can't be asked. Nothing was sent.
    Unusable,
    /// Name, connection or TLS failed. Nothing was sent.
    Unreached,
    /// The request may have arrived, but no whole answer came.
    Unanswered,
}

impl Failure {
    fn forbidden(forbidden: Forbidden) -> Self {
        Self { kind: FailureKind::Forbidden, status: None, text: forbidden.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_any_http_date() {
        let now: Timestamp = "2026-11-24T08:49:30.5Z".parse().unwrap();
        let cases = [
            ("30", Some(30)),
            ("0", Some(0)),
            ("1.2", Some(2)),
            ("0.3", Some(1)),
            (" 7 ", Some(7)),
            ("2592000", Some(2_592_000)),
            ("99999999999999999999", Some(u64::from(u32::MAX))),
            ("-5", None),
            ("-0.1", None),
            ("soon", None),
            ("", None),
            (".", None),
            ("1e3", None),
            ("inf", None),
            ("NaN", None),
            ("1.2.3", None),
            ("+3", None),
            ("Tue, 24 Nov 2026 08:49:37 GMT", Some(7)),
            ("Tuesday, 24-Nov-26 08:49:37 GMT", Some(7)),
            ("Tue Nov 24 08:49:37 2026", Some(7)),
            ("Tue, 24 Nov 2026 08:49:00 GMT", None),
            ("Tue, 24 Nov", None),
        ];
        for (header, wanted) in cases {
            let text = header.trim();
            let got = seconds(text).or_else(|| until(text, now));
            assert_eq!(got.map(|wait| wait.as_secs()), wanted, "{header:?}");
        }
    }
}
