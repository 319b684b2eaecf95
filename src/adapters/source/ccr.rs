//! The personal registry's trigger log over API 2.0: `ListTriggerLog`.
//!
//! The document followed is `trigger-log-api`, section 1. The API was announced retired for public
//! accounts; private installations still speak it. Repositories are listed by their triggers
//! (`ListTrigger`), since without one a repository has no log; where that is refused, by
//! `SearchUserRepository`. Deliberately absent: which of them are wanted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use reqwest::{
    Body, Client, Method, Request,
    header::{CONTENT_TYPE, HeaderValue},
};

use super::{
    Endpoint, PAGE_LIMIT,
    exchange::Exchange,
    listing::{REPOSITORIES, Shape, TRIGGERS, decode_listing},
    refusal::Api,
    signature::{SignatureMethod, encode_parameters, v2_sign, v2_string_to_sign},
    wall_time,
};
use crate::{
    adapters::secret::Secret,
    domain::entry::WallTime,
    ports::{
        Clock, Listing, ListingRequest, Page, PageRequest, Source, SourceError, SourceErrorKind,
    },
};

/// How the parameters travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CcrMethod {
    /// In the query: the id of the key, the token and the signature are part of the URL, which
    /// proxies write down.
    Get,
    /// In a form.
    #[default]
    Post,
}

impl CcrMethod {
    /// The HTTP method.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// What a `ccr` source is configured with.
#[derive(Debug, Clone)]
pub struct CcrSettings {
    /// The API's address; [`CcrSettings::ENDPOINT`] where none is written.
    pub endpoint: Endpoint,
    /// `Region`; free text, not sent where absent.
    pub region: Option<String>,
    /// The id of the API key.
    pub secret_id: Secret,
    /// The API key.
    pub secret_key: Secret,
    /// The token of temporary keys.
    pub token: Option<Secret>,
    /// The hash that requests are signed with.
    pub signature_method: SignatureMethod,
    /// How the parameters travel.
    pub method: CcrMethod,
}

impl CcrSettings {
    /// The public service's address.
    pub const ENDPOINT: &'static str = "https://ccr.api.qcloud.com/v2/index.php";

    /// Settings with every default.
    pub const fn new(endpoint: Endpoint, secret_id: Secret, secret_key: Secret) -> Self {
        Self {
            endpoint,
            region: None,
            secret_id,
            secret_key,
            token: None,
            signature_method: SignatureMethod::HmacSha256,
            method: CcrMethod::Post,
        }
    }
}

/// A source that asks API 2.0.
pub struct CcrSource {
    settings: CcrSettings,
    exchange: Exchange,
    /// `ListTrigger` was refused for the listing under way.
    by_repository: AtomicBool,
}

impl CcrSource {
    /// A source whose log is written in `zone`. The client's limits are the requests'.
    pub fn new(
        settings: CcrSettings,
        zone: TimeZone,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut secrets = vec![settings.secret_id.clone(), settings.secret_key.clone()];
        secrets.extend(settings.token.clone());
        let exchange = Exchange { api: Api::V2, client, clock, zone, secrets };
        Self { settings, exchange, by_repository: AtomicBool::new(false) }
    }

    /// The request for a page of the log, signed for that instant.
    fn log_request(&self, request: PageRequest<'_>, at: Timestamp) -> Request {
        let params = vec![
            ("reponame", request.repo.to_owned()),
            ("offset", request.offset.to_string()),
            ("limit", request.limit.clamp(1, PAGE_LIMIT).to_string()),
            ("order", "desc".to_owned()),
            ("orderby", "invoke_time".to_owned()),
        ];
        self.signed("ListTriggerLog", params, at)
    }

    /// Asks for a page of a listing.
    async fn list(
        &self,
        action: &'static str,
        shape: Shape,
        request: ListingRequest,
    ) -> Result<Listing, SourceError> {
        let sign = |at: Timestamp| {
            let params = vec![
                ("offset", request.offset.to_string()),
                ("limit", request.limit.clamp(1, PAGE_LIMIT).to_string()),
            ];
            Ok(self.signed(action, params, at))
        };
        let read = |text: &str| decode_listing(text, shape);
        Ok(self.exchange.ask(&sign, &read).await?.0)
    }

    /// A request with an action's own parameters, signed for that instant.
    fn signed(
        &self,
        action: &'static str,
        mut params: Vec<(&'static str, String)>,
        at: Timestamp,
    ) -> Request {
        let settings = &self.settings;
        params.extend([
            ("Action", action.to_owned()),
            ("Timestamp", at.as_second().to_string()),
            ("Nonce", fastrand::u32(1..=i32::MAX.unsigned_abs()).to_string()),
            ("SecretId", settings.secret_id.expose(str::to_owned)),
            ("SignatureMethod", settings.signature_method.name().to_owned()),
        ]);
        if let Some(region) = &settings.region {
            params.push(("Region", region.clone()));
        }
        if let Some(token) = &settings.token {
            params.push(("Token", token.expose(str::to_owned)));
        }
        let endpoint = &settings.endpoint;
        let method = settings.method;
        let text = v2_string_to_sign(method.name(), endpoint.host(), endpoint.path(), &params);
        let signature =
            settings.secret_key.expose(|key| v2_sign(key, &text, settings.signature_method));
        params.push(("Signature", signature));
        let wire = encode_parameters(&params);
        let mut url = endpoint.url();
        match method {
            CcrMethod::Get => {
                url.set_query(Some(&wire));
                Request::new(Method::GET, url)
            }
            CcrMethod::Post => {
                let mut request = Request::new(Method::POST, url);
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers_mut().insert(CONTENT_TYPE, form);
                *request.body_mut() = Some(Body::from(wire));
                request
            }
        }
    }
}

/// The action that lists repositories whether or not they have a trigger.
const SEARCH: &str = "SearchUserRepository";

/// Whether another action may be allowed where one failed so.
const fn is_refusal(kind: SourceErrorKind) -> bool {
    match kind {
        SourceErrorKind::Credentials
        | SourceErrorKind::Repository
        | SourceErrorKind::Configuration
        | SourceErrorKind::Retired => true,
        SourceErrorKind::Clock | SourceErrorKind::Throttled | SourceErrorKind::Unavailable => false,
    }
}

#[async_trait]
impl Source for CcrSource {
    fn kind(&self) -> &'static str {
        "ccr"
    }

    fn page_limit(&self) -> u32 {
        PAGE_LIMIT
    }

    fn wall_time(&self, at: Timestamp) -> WallTime {
        wall_time(&self.exchange.zone, at)
    }

    async fn page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        self.exchange.page(&|at: Timestamp| Ok(self.log_request(request, at))).await
    }

    async fn repositories(&self, request: ListingRequest) -> Result<Listing, SourceError> {
        if request.offset > 0 && self.by_repository.load(Ordering::Relaxed) {
            return self.list(SEARCH, REPOSITORIES, request).await;
        }
        let refused = match self.list("ListTrigger", TRIGGERS, request).await {
            Err(error) if is_refusal(error.kind) => error,
            other => {
                self.by_repository.store(false, Ordering::Relaxed);
                return other;
            }
        };
        // An account may see one and not the other; what was refused first says more.
        let listing = self.list(SEARCH, REPOSITORIES, request).await.map_err(|_| refused)?;
        self.by_repository.store(true, Ordering::Relaxed);
        Ok(listing)
    }

    /// Triggers don't say whether there are more that the account does not see; repositories do.
    async fn sees_some_only(&self) -> Result<Option<bool>, SourceError> {
        let first = ListingRequest { offset: 0, limit: 1 };
        Ok(self.list(SEARCH, REPOSITORIES, first).await?.partial)
    }
}
