//! Requests of API 3.0: JSON, signed with TC3-HMAC-SHA256.
//!
//! The document followed is `trigger-log-api`, section 2. Deliberately absent: actions and their
//! parameters (`tcr`, `enterprise`).

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use reqwest::{
    Body, Client, Method, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;

use super::{
    Endpoint,
    exchange::{Exchange, unusable},
    refusal::Api,
    signature::{Tc3Request, tc3_authorization},
};
use crate::{
    adapters::secret::Secret,
    ports::{Clock, SourceError},
};

const CONTENT: &str = "application/json";
const VERSION: &str = "2019-09-24";

/// An account, and where API 3.0 serves it.
#[derive(Debug, Clone)]
pub struct Account {
    /// The API's address; [`Account::ENDPOINT`] where none is written.
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

impl Account {
    /// The public service's address.
    pub const ENDPOINT: &'static str = "https://tcr.tencentcloudapi.com";
}

/// An account's way to ask.
pub(super) struct Three {
    account: Account,
    pub(super) exchange: Exchange,
}

impl Three {
    pub(super) fn new(
        account: Account,
        zone: TimeZone,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut secrets = vec![account.secret_id.clone(), account.secret_key.clone()];
        secrets.extend(account.token.clone());
        Self { account, exchange: Exchange { api: Api::V3, client, clock, zone, secrets } }
    }

    /// What signs an action's request for an instant.
    pub(super) fn signer(
        &self,
        action: &'static str,
        parameters: &impl Serialize,
    ) -> Result<impl Fn(Timestamp) -> Result<Request, SourceError> + Sync + '_, SourceError> {
        let body = serde_json::to_vec(parameters).map_err(|_| unusable("the request"))?;
        Ok(move |at| self.signed(action, &body, at))
    }

    fn signed(
        &self,
        action: &'static str,
        body: &[u8],
        at: Timestamp,
    ) -> Result<Request, SourceError> {
        let account = &self.account;
        let signed = Tc3Request {
            method: "POST",
            host: account.endpoint.host(),
            query: "",
            content_type: CONTENT,
            body,
            service: "tcr",
            timestamp: at.as_second(),
        };
        let authorization = account
            .secret_id
            .expose(|id| account.secret_key.expose(|key| tc3_authorization(id, key, &signed)));
        let mut sent = Request::new(Method::POST, account.endpoint.url());
        let headers = sent.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
        headers.insert("X-TC-Action", HeaderValue::from_static(action));
        headers.insert("X-TC-Version", HeaderValue::from_static(VERSION));
        headers.insert("X-TC-Timestamp", HeaderValue::from(signed.timestamp));
        headers.insert("X-TC-Region", header("region", &account.region)?);
        headers.insert(AUTHORIZATION, secret_header("secret_id", &authorization)?);
        if let Some(token) = &account.token {
            headers.insert("X-TC-Token", token.expose(|token| secret_header("token", token))?);
        }
        *sent.body_mut() = Some(Body::from(body.to_vec()));
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
