//! The personal registry's trigger log over API 3.0: `DescribeApplicationTriggerLogPersonal`, and
//! its repositories: `DescribeRepositoryOwnerPersonal`.
//!
//! The document followed is `trigger-log-api`, section 2. Deliberately absent: the enterprise
//! edition's log (`enterprise`), and which repositories are wanted.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use reqwest::Client;
use serde::Serialize;

use super::{
    PAGE_LIMIT,
    listing::{OWNED, decode_listing},
    three::{Account, Three},
    wall_time,
};
use crate::{
    domain::entry::WallTime,
    ports::{Clock, Listing, ListingRequest, Page, PageRequest, Source, SourceError},
};

/// A source that asks API 3.0.
pub struct TcrPersonalSource {
    api: Three,
}

/// The parameters of a page of the log, in the order and the letters of the document.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogParameters<'a> {
    repo_name: &'a str,
    offset: u64,
    limit: u32,
    order: &'a str,
    order_by: &'a str,
}

/// The parameters of a page of the repositories.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListParameters {
    offset: u64,
    limit: u32,
}

impl TcrPersonalSource {
    /// A source whose log is written in `zone`. The client's limits are the requests'.
    pub fn new(
        settings: TcrPersonalSettings,
        zone: TimeZone,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { api: Three::new(settings, zone, client, clock) }
    }
}

/// What a `tcr_personal` source is configured with.
pub type TcrPersonalSettings = Account;

#[async_trait]
impl Source for TcrPersonalSource {
    fn kind(&self) -> &'static str {
        "tcr_personal"
    }

    fn page_limit(&self) -> u32 {
        PAGE_LIMIT
    }

    fn wall_time(&self, at: Timestamp) -> WallTime {
        wall_time(&self.api.exchange.zone, at)
    }

    async fn page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let parameters = LogParameters {
            repo_name: request.repo,
            offset: request.offset,
            limit: request.limit.clamp(1, PAGE_LIMIT),
            order: "desc",
            order_by: "invoke_time",
        };
        let sign = self.api.signer("DescribeApplicationTriggerLogPersonal", &parameters)?;
        self.api.exchange.page(&sign).await
    }

    async fn repositories(&self, request: ListingRequest) -> Result<Listing, SourceError> {
        let ListingRequest { offset, limit } = request;
        let parameters = ListParameters { offset, limit: limit.clamp(1, PAGE_LIMIT) };
        let sign = self.api.signer("DescribeRepositoryOwnerPersonal", &parameters)?;
        let read = |text: &str| decode_listing(text, OWNED);
        Ok(self.api.exchange.ask(&sign, &read).await?.0)
    }
}
