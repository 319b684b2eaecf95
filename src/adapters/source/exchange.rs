//! One signed request and its answer: what the API sources share.
//!
//! Everything read is bounded, and whatever goes wrong on the way becomes a source's error whose
//! text holds no secret and no URL. A refused time is signed for again at once, once; refused
//! credentials are read again from their files, and asked with at once, once, where they are others
//! now. Deliberately absent: any other retry, and the parameters (`ccr`, `tcr`).

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use reqwest::{
    Client, Request, Response, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};

use super::{
    decode::{Unread, decode_page},
    one_line,
    refusal::{self, Api},
    signature::percent_encode,
    source_error,
};
use crate::{
    adapters::{http, secret::Secret},
    ports::{Clock, Page, SourceError, SourceErrorKind as Kind},
};

/// The most of an answer that is read. A page of a hundred rows is about fifty kilobytes.
const ANSWER_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// The most characters of a warning that the API is deprecated.
const DEPRECATED_CHARS: usize = 500;

/// The longest that a service's `Retry-After` is believed.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(3600);

/// Clocks that differ by less are not what made a request's time refused.
const CLOSE_CLOCKS_S: u64 = 60;

/// Makes a request that is signed for that instant, with a nonce of its own.
pub(super) type Sign<'a> = dyn Fn(Timestamp) -> Result<Request, SourceError> + Sync + 'a;

/// A registry's API, and what is needed to talk to it.
pub(super) struct Exchange {
    pub(super) api: Api,
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    /// The zone of the log's timestamps.
    pub(super) zone: TimeZone,
    /// All that requests are signed with.
    pub(super) secrets: Vec<Secret>,
}

/// Reads an answer's text.
pub(super) type Read<'a, T> = dyn Fn(&str) -> Result<T, Unread> + Sync + 'a;

impl Exchange {
    /// Asks for a page of the log.
    pub(super) async fn page(&self, sign: &Sign<'_>) -> Result<Page, SourceError> {
        let (page, skew_s) = self.ask(sign, &|text| decode_page(text, &self.zone)).await?;
        let said = page.deprecated.map(|text| self.scrub(text));
        let deprecated = said.map(|text| one_line(&text, DEPRECATED_CHARS));
        Ok(Page { skew_s, deprecated, ..page })
    }

    /// Asks for something, and reads it; with the answer's `Date` minus our clock.
    pub(super) async fn ask<T: Send>(
        &self,
        sign: &Sign<'_>,
        read: &Read<'_, T>,
    ) -> Result<(T, Option<i64>), SourceError> {
        let mut outcome = self.attempt(sign, read).await;
        if matches!(&outcome, Err(error) if error.kind == Kind::Clock) {
            outcome = self.attempt(sign, read).await;
        }
        outcome = match outcome {
            Err(error) if error.kind == Kind::Credentials => match self.reread(error).await {
                None => self.attempt(sign, read).await.map_err(refused_too),
                Some(error) => Err(error),
            },
            other => other,
        };
        match outcome {
            Err(error) if error.kind == Kind::Clock => Err(name_the_offset(error)),
            other => other,
        }
    }

    async fn attempt<T: Send>(
        &self,
        sign: &Sign<'_>,
        read: &Read<'_, T>,
    ) -> Result<(T, Option<i64>), SourceError> {
        let request = sign(self.clock.now())?;
        let answer = self.client.execute(request).await.map_err(|error| {
            let why = http::describe(&error.without_url());
            self.scrubbed(source_error(
                Kind::Unavailable,
                format!("the registry could not be reached: {why}"),
            ))
        })?;
        let skew_s = skew(answer.headers(), self.clock.now());
        let retry_after = retry_after(answer.headers(), self.clock.now());
        let status = answer.status();
        let read = match read_body(answer).await {
            Ok(body) => self.judge(status, &body, read),
            Err(error) => Err(error),
        };
        read.map(|read| (read, skew_s))
            .map_err(|error| self.scrubbed(SourceError { skew_s, retry_after, ..error }))
    }

    /// Makes what was asked for of an answer, or the error that it is.
    fn judge<T>(
        &self,
        status: StatusCode,
        body: &[u8],
        read: &Read<'_, T>,
    ) -> Result<T, SourceError> {
        let unavailable = |what: String| source_error(Kind::Unavailable, what);
        let decoded = match std::str::from_utf8(body) {
            Ok(text) if status == StatusCode::OK && text.trim_start().starts_with('<') => {
                return Err(unavailable(
                    "the registry answered with a web page, not with the API's JSON; check endpoint"
                        .to_owned(),
                ));
            }
            Ok(text) => read(text),
            Err(error) => Err(Unread::Garbled(format!(
                "the answer is not UTF-8 from byte {} on",
                error.valid_up_to()
            ))),
        };
        match decoded {
            // A refusal says more than the status that it came with.
            Err(Unread::Refused(refusal)) => {
                Err(refusal::error_of(&refusal, self.api, |text| self.scrub(text)))
            }
            _ if status != StatusCode::OK => Err(of_status(status)),
            Ok(read) => Ok(read),
            Err(Unread::Garbled(what)) => Err(unavailable(what)),
        }
    }

    /// Reads the secrets' files again. `None` where they hold others now; else the error, which says
    /// what can't be read.
    async fn reread(&self, mut error: SourceError) -> Option<SourceError> {
        let secrets = self.secrets.clone();
        let read = tokio::task::spawn_blocking(move || {
            secrets.iter().map(Secret::reread).collect::<Vec<_>>()
        });
        let outcomes = read.await.unwrap_or_default();
        if outcomes.iter().any(|outcome| matches!(outcome, Ok(true))) {
            return None;
        }
        for problem in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            error.message.push_str(&format!("; {problem}"));
        }
        Some(error)
    }

    fn scrubbed(&self, error: SourceError) -> SourceError {
        SourceError {
            message: self.scrub(error.message),
            code: error.code.map(|code| self.scrub(code)),
            ..error
        }
    }

    /// The service's words with our secrets taken out, should it repeat them to us.
    fn scrub(&self, mut text: String) -> String {
        for secret in &self.secrets {
            secret.expose(|secret| {
                let mut encoded = String::new();
                percent_encode(secret, &mut encoded);
                for form in [secret, &encoded] {
                    if !form.is_empty() && text.contains(form) {
                        text = text.replace(form, "…");
                    }
                }
            });
        }
        text
    }
}

/// Reads an answer's body, as far as is allowed.
async fn read_body(mut answer: Response) -> Result<Vec<u8>, SourceError> {
    let too_large = || {
        source_error(
            Kind::Unavailable,
            format!("the answer is larger than {} MiB", ANSWER_LIMIT_BYTES / (1024 * 1024)),
        )
    };
    if answer.content_length().is_some_and(|length| length > ANSWER_LIMIT_BYTES as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        let chunk = answer.chunk().await.map_err(|error| {
            let why = http::describe(&error.without_url());
            source_error(Kind::Unavailable, format!("the registry's answer broke off: {why}"))
        })?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > ANSWER_LIMIT_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
}

/// The error of an answer that says nothing but its status.
fn of_status(status: StatusCode) -> SourceError {
    let remedy = if status.is_redirection() || matches!(status.as_u16(), 404 | 405) {
        "check endpoint"
    } else {
        "it is asked again later"
    };
    let kind =
        if status == StatusCode::TOO_MANY_REQUESTS { Kind::Throttled } else { Kind::Unavailable };
    let message = format!("the registry answered with HTTP {}; {remedy}", status.as_u16());
    SourceError { code: Some(status.as_u16().to_string()), ..source_error(kind, message) }
}

/// Says that the credentials are those that the files hold now.
fn refused_too(mut error: SourceError) -> SourceError {
    if error.kind == Kind::Credentials {
        error.message.push_str("; their files were just read again and hold others than before");
    }
    error
}

/// Says what the clocks have to do with it.
fn name_the_offset(mut error: SourceError) -> SourceError {
    let said = match error.skew_s {
        None => "the answer has no Date to compare this machine's clock with; check that it is \
                 kept in time"
            .to_owned(),
        Some(skew) if skew.unsigned_abs() < CLOSE_CLOCKS_S => format!(
            "this machine's clock and the registry's agree within {} s, so look for a proxy that \
             delays or repeats requests",
            skew.unsigned_abs() + 1
        ),
        Some(skew) => format!(
            "this machine's clock is {} s {} the registry's; set it right (NTP)",
            skew.unsigned_abs(),
            if skew > 0 { "behind" } else { "ahead of" }
        ),
    };
    error.message = format!("{}; {said}", error.message);
    error
}

/// The answer's `Date` minus our clock, in whole seconds.
fn skew(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    let date = http_date(headers.get(DATE)?.to_str().ok()?)?;
    Some(date - now.as_second())
}

/// How long the service asked to wait: seconds, decimals rounded up, or a date. Nonsense is none.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<f64>() {
        Ok(seconds) => seconds.ceil(),
        // Within 2^53 for any year that a date can write.
        #[expect(clippy::cast_precision_loss, reason = "seconds of a calendar are exact in f64")]
        Err(_) => (http_date(text)? - now.as_second()) as f64,
    };
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    Some(wait.min(RETRY_AFTER_LIMIT))
}

/// Unix seconds of an HTTP date in any of its three forms.
fn http_date(text: &str) -> Option<i64> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// A setting that can't stand in a request.
pub(super) fn unusable(what: &str) -> SourceError {
    source_error(
        Kind::Configuration,
        format!("{} can't be sent: it holds characters that no header can", one_line(what, 40)),
    )
}
