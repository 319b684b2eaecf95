//! The personal registry's trigger log over API 3.0: `DescribeApplicationTriggerLogPersonal`.
//!
//! The document followed is `trigger-log-api`, section 2. Deliberately absent: the enterprise
//! edition's log, and discovery of repositories.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use reqwest::{
    Body, Client, Method, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;

use super::{
    Endpoint, PAGE_LIMIT,
    exchange::{Exchange, unusable},
    refusal::Api,
    signature::{Tc3Request, tc3_authorization},
    wall_time,
};
use crate::{
    adapters::secret::Secret,
    domain::entry::WallTime,
    ports::{Clock, Page, PageRequest, Source, SourceError},
};

const CONTENT: &str = "application/json";
const ACTION: &str = "DescribeApplicationTriggerLogPersonal";
const VERSION: &str = "2019-09-24";

/// What a `tcr_personal` source is configured with.
#[derive(Debug, Clone)]
pub struct TcrPersonalSettings {
    /// The API's address; [`TcrPersonalSettings::ENDPOINT`] where none is written.
    pub endpoint: Endpoint,
    /// `ap-guangzhou` and the like; API 3.0 requires one.
    pub region: String,
    /// The id of the API key.
    pub secret_id: Secret,
    /// The API key.
    pub secret_key: Secret,
    /// The token of temporary keys.
    pub token: Option<Secret>,
}

impl TcrPersonalSettings {
    /// The public service's address.
    pub const ENDPOINT: &'static str = "https://tcr.tencentcloudapi.com";
}

/// A source that asks API 3.0.
pub struct TcrPersonalSource {
    settings: TcrPersonalSettings,
    exchange: Exchange,
}

/// The request's body, in the order and the letters of the document.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters<'a> {
    repo_name: &'a str,
    offset: u64,
    limit: u32,
    order: &'a str,
    order_by: &'a str,
}

impl TcrPersonalSource {
    /// A source whose log is written in `zone`. The client's limits are the requests'.
    pub fn new(
        settings: TcrPersonalSettings,
        zone: TimeZone,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut secrets = vec![settings.secret_id.clone(), settings.secret_key.clone()];
        secrets.extend(settings.token.clone());
        let exchange = Exchange { api: Api::V3, client, clock, zone, secrets };
        Self { settings, exchange }
    }

    /// The request for a page, signed for that instant.
    fn signed(&self, request: PageRequest<'_>, at: Timestamp) -> Result<Request, SourceError> {
        let settings = &self.settings;
        let body = serde_json::to_vec(&Parameters {
            repo_name: request.repo,
            offset: request.offset,
            limit: request.limit.clamp(1, PAGE_LIMIT),
            order: "desc",
            order_by: "invoke_time",
        })
        .map_err(|_| unusable("the repository's name"))?;
        let signed = Tc3Request {
            method: "POST",
            host: settings.endpoint.host(),
            query: "",
            content_type: CONTENT,
            body: &body,
            service: "tcr",
            timestamp: at.as_second(),
        };
        let authorization = settings
            .secret_id
            .expose(|id| settings.secret_key.expose(|key| tc3_authorization(id, key, &signed)));
        let mut sent = Request::new(Method::POST, settings.endpoint.url());
        let headers = sent.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
        headers.insert("X-TC-Action", HeaderValue::from_static(ACTION));
        headers.insert("X-TC-Version", HeaderValue::from_static(VERSION));
        headers.insert("X-TC-Timestamp", HeaderValue::from(signed.timestamp));
        headers.insert("X-TC-Region", header("region", &settings.region)?);
        headers.insert(AUTHORIZATION, secret_header("secret_id", &authorization)?);
        if let Some(token) = &settings.token {
            headers.insert("X-TC-Token", token.expose(|token| secret_header("token", token))?);
        }
        *sent.body_mut() = Some(Body::from(body));
        Ok(sent)
    }
}

fn header(name: &str, value: &str) -> Result<HeaderValue, SourceError> {
    HeaderValue::from_str(value).map_err(|_| unusable(name))
}

fn secret_header(name: &str, value: &str) -> Result<HeaderValue, SourceError> {
    header(name, value).map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

#[async_trait]
impl Source for TcrPersonalSource {
    fn kind(&self) -> &'static str {
        "tcr_personal"
    }

    fn page_limit(&self) -> u32 {
        PAGE_LIMIT
    }

    fn wall_time(&self, at: Timestamp) -> WallTime {
        wall_time(&self.exchange.zone, at)
    }

    async fn page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        self.exchange.page(&|at: Timestamp| self.signed(request, at)).await
    }
}
