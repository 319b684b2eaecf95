//! Speaking with a running service, for the commands that do.
//!
//! Deliberately absent: what the answers mean, which each command reads for itself.

use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::adapters::http::{ClientSettings, client, describe};

use super::exit::{Exit, Failure};

/// The most that is read of an answer.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// The longest that a service may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where the service is. What is not said is taken from the configuration's `api`.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// The service's URL; its token is then `TRIGGERBELL_TOKEN`.
    #[arg(
        long,
        env = "TRIGGERBELL_URL",
        hide_env_values = true,
        value_name = "URL",
        global = true,
        help = "The service's URL, such as http://127.0.0.1:8080; else the configuration's. The \
                token is TRIGGERBELL_TOKEN, else the configuration's"
    )]
    pub url: Option<String>,
}

/// A running service.
pub struct Service {
    client: reqwest::Client,
    url: String,
    /// The URL without what may be a password.
    shown: String,
    token: Option<String>,
}

impl Service {
    /// The service at a URL.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn at(url: &str, token: Option<String>) -> Result<Self, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let parsed = reqwest::Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                usage("the service's URL is not of the form http://HOST:PORT".to_owned())
            })?;
        let settings = ClientSettings { timeout: TIMEOUT, ..Default::default() };
        let client = client(&settings).map_err(|error| usage(error.to_string()))?;
        let shown = parsed.origin().ascii_serialization();
        let url = parsed.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, url, shown, token: token.filter(|token| !token.is_empty()) })
    }

    /// Asks for a path, with a body where it is a write; gives the status and the answer.
    ///
    /// # Errors
    /// The service can't be reached.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Failure> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let unreachable = |error: reqwest::Error| {
            let why = describe(&error.without_url());
            self.unavailable(format!("no answer from {}: {why}", self.shown))
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if text.len() + chunk.len() > ANSWER_LIMIT_BYTES {
                return Err(self.unavailable(format!("{} answers without end", self.shown)));
            }
            text.extend_from_slice(&chunk);
        }
        Ok((answer.status(), serde_json::from_slice(&text).unwrap_or(Value::Null)))
    }

    /// Asks for a path that must answer.
    ///
    /// # Errors
    /// The service can't be reached, or says no.
    pub async fn read(&self, path: &str) -> Result<Value, Failure> {
        self.must(self.ask(Method::GET, path, None).await?)
    }

    /// Has something done that must be done.
    ///
    /// # Errors
    /// The service can't be reached, or says no.
    pub async fn write(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.must(self.ask(Method::POST, path, Some(body)).await?)
    }

    /// The answer, where it is not a refusal.
    ///
    /// # Errors
    /// The service says no.
    pub fn must(&self, (status, body): (StatusCode, Value)) -> Result<Value, Failure> {
        if status.is_success() && body.is_object() {
            return Ok(body);
        }
        let Some(detail) = body["detail"].as_str() else {
            let what = format!("{} answers HTTP {status} and is no triggerbell", self.shown);
            return Err(self.unavailable(format!("{what}; look at --url and api.listen")));
        };
        let exit = match status.as_u16() {
            401 | 403 => Exit::Config,
            408 | 500.. => Exit::Unavailable,
            _ => Exit::No,
        };
        let hint = match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => "; set TRIGGERBELL_TOKEN to `api.token`",
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                "; TRIGGERBELL_TOKEN must be the service's `api.token`"
            }
            _ => "",
        };
        Err(Failure::new(exit, format!("{detail}{hint}")))
    }

    fn unavailable(&self, message: String) -> Failure {
        Failure::new(Exit::Unavailable, message)
    }
}
