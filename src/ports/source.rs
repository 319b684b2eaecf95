//! A registry's trigger log, read page by page, newest first.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::entry::{Row, WallTime};

/// Reads a trigger log.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The type as configured: `ccr`, `tcr_personal`, `tcr_enterprise`, `file`.
    fn kind(&self) -> &'static str;

    /// The most rows that one page can hold.
    fn page_limit(&self) -> u32;

    /// What the log's own clock shows at an instant.
    fn wall_time(&self, at: Timestamp) -> WallTime;

    /// One page, ordered by time, newest first; within a second in no particular order. Signed
    /// afresh at each call. Retries of its own are not made: the caller decides by the error.
    ///
    /// # Errors
    /// Classed as the contract says, see [`SourceErrorKind`].
    async fn page(&self, request: PageRequest<'_>) -> Result<Page, SourceError>;

    /// One page of the repositories that the account can see, in the service's own order, signed
    /// afresh at each call. A source that can't tell refuses as a matter of configuration.
    ///
    /// # Errors
    /// As [`Source::page`].
    async fn repositories(&self, request: ListingRequest) -> Result<Listing, SourceError> {
        let ListingRequest { .. } = request;
        Err(SourceError {
            kind: SourceErrorKind::Configuration,
            message: format!("a source of type {} can't list its repositories", self.kind()),
            code: None,
            retry_after: None,
            skew_s: None,
        })
    }

    /// Whether the account sees only some of the repositories, asked where a whole listing did not
    /// say; `None` where the service does not say either.
    ///
    /// # Errors
    /// As [`Source::page`].
    async fn sees_some_only(&self) -> Result<Option<bool>, SourceError> {
        Ok(None)
    }
}

/// Which repositories to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingRequest {
    /// Items to skip.
    pub offset: u64,
    /// Items wanted, from 1 to the source's page limit.
    pub limit: u32,
}

/// A page of a listing of repositories, as one consistent look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The items, in the answer's order. A repository can stand in several.
    pub items: Vec<Listed>,
    /// How many items the answer held, understood or not: what offsets count.
    pub len: u32,
    /// `totalCount`, as it was said. It may lie.
    pub total: Option<u64>,
    /// Whether the account sees only some of the repositories, where the answer says so.
    pub partial: Option<bool>,
}

/// An item of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The repository as it is asked for.
    pub repo: Box<str>,
    /// What tells the item from others of the same repository, such as a trigger's name.
    pub mark: Option<Box<str>>,
}

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest<'a> {
    /// The repository, `namespace/name`.
    pub repo: &'a str,
    /// Rows to skip, from the newest.
    pub offset: u64,
    /// Rows wanted, from 1 to the source's page limit.
    pub limit: u32,
}

/// A page of the log, as one consistent look at it.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The rows that could be understood, in the answer's order.
    pub rows: Vec<Row>,
    /// How many rows the answer held, understood or not: what offsets count.
    pub len: u32,
    /// `totalCount`, as it was said. It may lie.
    pub total: Option<u64>,
    /// The rows that could not be understood.
    pub rejected: Vec<Rejected>,
    /// The answer's `Date` minus our clock at its arrival, in whole seconds, where it had one.
    pub skew_s: Option<i64>,
    /// What the service said of its own deprecation.
    pub deprecated: Option<String>,
    /// Requests that were made for it beside the first.
    pub extra_requests: u32,
}

/// A row that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The row as it came, at most 64 KiB of it.
    pub raw: String,
    /// Why, in words that name the field.
    pub reason: String,
}

/// Why a page could not be read, by what is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceErrorKind {
    /// Credentials refused: read them again, slow the whole source down, raise an alarm.
    Credentials,
    /// The request's time was refused: sign again at once, once; then an alarm that names the skew.
    Clock,
    /// The API does not serve this account any more: an alarm that says what to use instead.
    Retired,
    /// Too many requests: back off, and keep the budget lower.
    Throttled,
    /// This repository can't be read as it is asked for; the others can.
    Repository,
    /// The request is wrong whatever the repository: a matter of configuration.
    Configuration,
    /// Not now: back off. Network, TLS, HTML, broken JSON, 5xx.
    Unavailable,
}

impl SourceErrorKind {
    /// Whether it means that nothing of the source can be read until somebody mends it.
    pub const fn is_source_wide(self) -> bool {
        match self {
            Self::Credentials | Self::Clock | Self::Retired | Self::Configuration => true,
            Self::Throttled | Self::Repository | Self::Unavailable => false,
        }
    }

    /// A word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Clock => "clock",
            Self::Retired => "retired",
            Self::Throttled => "throttled",
            Self::Repository => "repository",
            Self::Configuration => "configuration",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why a page could not be read. The text holds no secret and fits "could not read the log of
/// REPO: {error}".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What is to be done about it.
    pub kind: SourceErrorKind,
    /// Cause and remedy, in lower case, without the repository's name.
    pub message: String,
    /// The service's own code, where it gave one.
    pub code: Option<String>,
    /// How long the service asked to wait.
    pub retry_after: Option<Duration>,
    /// As [`Page::skew_s`].
    pub skew_s: Option<i64>,
}
