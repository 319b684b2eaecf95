//! Speaking with a running service, for the commands that do.

use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::adapters::http::{ClientSettings, client, describe};

use super::exit::{Exit, Failure};

/// Where the service is. What is not said is taken from the configuration's `api`.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// The service's URL, such as <http://127.0.0.1:8080>
    #[arg(
        long,
        global = true,
        env = "TRIGGERBELL_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub url: Option<String>,

    /// The service's token
    #[arg(long, global = true, env = "TRIGGERBELL_TOKEN", hide_env_values = true, hide = true)]
    pub token: Option<String>,
}

/// A running service.
pub struct Service {
    client: reqwest::Client,
    url: String,
    /// What of the URL may be shown: a password may stand in it.
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
            .ok_or_else(|| usage("the service's URL is not an http or https URL".to_owned()))?;
        let settings = ClientSettings { timeout: Duration::from_secs(15), ..Default::default() };
        let client = client(&settings).map_err(|error| usage(error.to_string()))?;
        let shown = parsed.origin().ascii_serialization();
        Ok(Self { client, url: parsed.as_str().trim_end_matches('/').to_owned(), shown, token })
    }

    /// Asks for a path; gives the status and the body.
    ///
    /// # Errors
    /// The service can't be reached.
    pub async fn ask(&self, method: Method, path: &str) -> Result<(StatusCode, Value), Failure> {
        let write = method != Method::GET;
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = self.token.as_deref().filter(|token| !token.is_empty()) {
            request = request.bearer_auth(token);
        }
        if write {
            request = request.header("content-type", "application/json").body("{}");
        }
        let unreachable = |error: reqwest::Error| {
            let why = describe(&error.without_url());
            Failure::new(Exit::Unavailable, format!("no answer from {}: {why}", self.shown))
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.text().await.map_err(unreachable)?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
    }

    /// Asks for a path that must succeed.
    ///
    /// # Errors
    /// The service can't be reached, or says no.
    pub async fn must(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let (status, body) = self.ask(method, path).await?;
        if status.is_success() {
            return Ok(body);
        }
        let detail = body["detail"].as_str().unwrap_or("the service said no more");
        let exit = match status.as_u16() {
            401 | 403 => Exit::Config,
            500.. => Exit::Unavailable,
            _ => Exit::No,
        };
        let hint = if status == StatusCode::UNAUTHORIZED { "; set TRIGGERBELL_TOKEN" } else { "" };
        Err(Failure::new(exit, format!("{detail}{hint}")))
    }
}
