//! The enterprise registry's log of its webhooks: `DescribeWebhookTriggerLog`, namespace by
//! namespace, and its namespaces: `DescribeNamespaces`.
//!
//! The document followed is `trigger-log-api`, section 2. Rows have ids, so each is itself whatever
//! else it looks like; what `Offset` counts is found out (`paging`). A row tells of an image push and
//! of the call to the webhook that it led to: the result is that call's. Deliberately absent: being
//! pushed to (`push`).

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use jiff::{Timestamp, tz::TimeZone};
use reqwest::Client;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    PAGE_LIMIT,
    decode::Unread,
    event::{Event, as_text, creation_time},
    listing::{self, Opened},
    paging::{Cut, Fetched, Item, Paging},
    row::rejected,
    three::{Account, Three},
    wall_time,
};
use crate::{
    domain::entry::{Row, WallTime},
    ports::{
        Clock, Listed, Listing, ListingRequest, Page, PageRequest, Rejected, Source, SourceError,
    },
};

/// What a `tcr_enterprise` source is configured with.
#[derive(Debug, Clone)]
pub struct TcrEnterpriseSettings {
    /// Who asks, and where.
    pub account: Account,
    /// The registry's own id, `tcr-…`.
    pub registry_id: String,
}

/// A source that asks an enterprise registry. What it calls a repository is a namespace; which
/// repository a row is about stands in the row.
pub struct TcrEnterpriseSource {
    api: Three,
    registry_id: String,
    logs: Paging,
    namespaces: Paging,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogParameters<'a> {
    registry_id: &'a str,
    namespace: &'a str,
    limit: u32,
    offset: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NamespaceParameters<'a> {
    registry_id: &'a str,
    limit: u32,
    offset: u64,
}

/// A row of the log, or why it is none, with its text.
type Read = Result<Row, Rejected>;

impl TcrEnterpriseSource {
    /// A source whose times are shown in `zone`. The client's limits are the requests'.
    pub fn new(
        settings: TcrEnterpriseSettings,
        zone: TimeZone,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            api: Three::new(settings.account, zone, client, clock),
            registry_id: settings.registry_id,
            logs: Paging::default(),
            namespaces: Paging::default(),
        }
    }

    async fn fetch_log(
        &self,
        namespace: &str,
        offset: u64,
        limit: u32,
    ) -> Result<Fetched<Read>, SourceError> {
        let registry_id = &self.registry_id;
        let parameters = LogParameters { registry_id, namespace, limit, offset };
        let sign = self.api.signer("DescribeWebhookTriggerLog", &parameters)?;
        let zone = &self.api.exchange.zone;
        let read = |text: &str| read_items(text, "logs", &|item| read_row(item, zone));
        let (mut fetched, skew_s) = self.api.exchange.ask(&sign, &read).await?;
        fetched.skew_s = skew_s;
        Ok(fetched)
    }

    async fn fetch_namespaces(
        &self,
        offset: u64,
        limit: u32,
    ) -> Result<Fetched<Box<str>>, SourceError> {
        let registry_id = &self.registry_id;
        let parameters = NamespaceParameters { registry_id, limit, offset };
        let sign = self.api.signer("DescribeNamespaces", &parameters)?;
        let read = |text: &str| {
            read_items(text, "namespaceList", &|item| {
                let name = item.as_object().and_then(|item| as_text(item, "name"));
                let name = name.unwrap_or_default();
                Item { id: name.clone(), value: name }
            })
        };
        Ok(self.api.exchange.ask(&sign, &read).await?.0)
    }
}

/// The items of an answer's list.
fn read_items<T>(
    text: &str,
    list: &str,
    read: &dyn Fn(&Value) -> Item<T>,
) -> Result<Fetched<T>, Unread> {
    let answer = Opened::read(text)?;
    let items = match answer.find(list) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(read).collect(),
        Some(_) => {
            let what = format!("the answer can't be understood: {list} is no list");
            return Err(Unread::Garbled(what));
        }
    };
    let total = answer.find("totalCount").and_then(listing::number);
    Ok(Fetched { items, total, skew_s: None })
}

/// One row of the log; what is out of tolerance makes it unread, under its text as its id.
fn read_row(item: &Value, zone: &TimeZone) -> Item<Read> {
    let id = item.as_object().and_then(|item| as_text(item, "id"));
    let row = match (item, &id) {
        (Value::Object(item), Some(id)) => row_of(item, id, zone),
        (Value::Object(_), None) => Err("Id is missing".to_owned()),
        _ => Err("the row is no object".to_owned()),
    };
    let value = row.map_err(|reason| rejected(&item.to_string(), reason));
    Item { id: id.unwrap_or_else(|| item.to_string().into()), value }
}

fn row_of(item: &Map<String, Value>, id: &str, zone: &TimeZone) -> Result<Row, String> {
    let event = match listing::field(item, "detail") {
        Some(Value::String(detail)) => serde_json::from_str(detail)
            .map_err(|_| "Detail is not whole JSON".to_owned())
            .and_then(|detail| Event::read(&detail))?,
        Some(detail @ Value::Object(_)) => Event::read(detail)?,
        _ => return Err("Detail is missing".to_owned()),
    };
    let created = || creation_time(&as_text(item, "creationTime")?, zone);
    // The event's own time is sure; the log's has been seen hours away from it.
    let at = event.at.or_else(created).ok_or("neither occur_at nor CreationTime is a time")?;
    if event.resources.len() > 1 {
        return Err(format!("it tells of {} images at once", event.resources.len()));
    }
    let resource = event.resources.first().cloned().unwrap_or_default();
    let mut row = event.row(&resource, at, zone);
    row.mark = Some(id.into());
    row.trigger = as_text(item, "triggerId");
    row.invoke_action = as_text(item, "notifyType");
    if let Some((code, status)) = as_text(item, "status").and_then(outcome) {
        row.return_code = Some(code);
        row.return_msg = Some(status);
    }
    Ok(row)
}

/// How the call to the webhook ended. No document lists the words: what is neither an end nor known
/// leaves the result unknown, until the row says more.
fn outcome(status: Box<str>) -> Option<(i64, Box<str>)> {
    let code = match status.to_ascii_lowercase().as_str() {
        "finished" | "success" | "succeeded" => 0,
        "error" | "failed" | "failure" | "stopped" => 1,
        _ => return None,
    };
    Some((code, status))
}

#[async_trait]
impl Source for TcrEnterpriseSource {
    fn kind(&self) -> &'static str {
        "tcr_enterprise"
    }

    fn page_limit(&self) -> u32 {
        PAGE_LIMIT
    }

    fn wall_time(&self, at: Timestamp) -> WallTime {
        wall_time(&self.api.exchange.zone, at)
    }

    async fn page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let limit = request.limit.clamp(1, PAGE_LIMIT);
        let fetch = |offset, limit| self.fetch_log(request.repo, offset, limit).boxed();
        let cut: Cut<Read> = self.logs.cut(request.offset, limit, &fetch).await?;
        let mut page = Page {
            len: u32::try_from(cut.items.len()).unwrap_or(u32::MAX),
            total: cut.total,
            skew_s: cut.skew_s,
            extra_requests: cut.requests.saturating_sub(1),
            ..Page::default()
        };
        for item in cut.items {
            match item.value {
                Ok(row) => page.rows.push(row),
                Err(unread) => page.rejected.push(unread),
            }
        }
        Ok(page)
    }

    async fn repositories(&self, request: ListingRequest) -> Result<Listing, SourceError> {
        let limit = request.limit.clamp(1, PAGE_LIMIT);
        let fetch = |offset, limit| self.fetch_namespaces(offset, limit).boxed();
        let cut = self.namespaces.cut(request.offset, limit, &fetch).await?;
        let len = u32::try_from(cut.items.len()).unwrap_or(u32::MAX);
        let named = cut.items.into_iter().filter(|item| !item.value.is_empty());
        let items = named.map(|item| Listed { repo: item.value, mark: None }).collect();
        Ok(Listing { items, len, total: cut.total, partial: None })
    }
}
