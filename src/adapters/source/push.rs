//! The enterprise registry's own webhook: what it sends, and the header that says it is the one.
//!
//! The document followed is `trigger-log-api`, section 3: no signature and no id, one header of the
//! operator's choice. Deliberately absent: HTTP, and whether an event is known.

use jiff::tz::TimeZone;

use super::{
    event::{Event, Resource},
    row::rejected,
};
use crate::{
    adapters::{admission::Shown, secret::Secret},
    domain::entry::Row,
    ports::{Admission as _, PushSource, Rejected},
};

/// What a source that is pushed to is configured with.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// The header that carries the secret.
    pub header: String,
    /// The secret, the header's whole value.
    pub secret: Secret,
}

/// A registry that calls us.
pub struct EnterprisePush {
    header: String,
    zone: TimeZone,
    secret: Shown,
}

impl EnterprisePush {
    /// One whose times are shown in `zone`.
    pub fn new(settings: PushSettings, zone: TimeZone) -> Self {
        Self { header: settings.header, zone, secret: Shown::new(settings.secret) }
    }
}

impl PushSource for EnterprisePush {
    fn kind(&self) -> &'static str {
        "tcr_enterprise"
    }

    fn header(&self) -> &str {
        &self.header
    }

    fn admits(&self, given: &[u8]) -> bool {
        self.secret.admits(given)
    }

    /// A row for each image that the event tells of; for one that names none, a row without a tag.
    fn rows(&self, body: &str) -> Result<Vec<Row>, Rejected> {
        let unread = |reason: String| rejected(body, reason);
        let value = serde_json::from_str(body)
            .map_err(|error| unread(format!("the body is not whole JSON: {error}")))?;
        let event = Event::read(&value).map_err(unread)?;
        let at = event.at.ok_or_else(|| unread("occur_at is missing".to_owned()))?;
        let whole = [Resource::default()];
        let resources = if event.resources.is_empty() { &whole[..] } else { &event.resources };
        Ok(resources.iter().map(|resource| event.row(resource, at, &self.zone)).collect())
    }
}
