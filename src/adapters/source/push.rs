//! The enterprise registry's own webhook: what it sends, and the header that says it is the one.
//!
//! The document followed is `trigger-log-api`, section 3: no signature and no id, one header of the
//! operator's choice. A secret in a file is read again where what comes does not fit it, now and
//! then. Deliberately absent: HTTP, and whether an event is known.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;
use subtle::ConstantTimeEq as _;

use super::{
    event::{Event, Resource},
    row::rejected,
};
use crate::{
    adapters::secret::Secret,
    domain::entry::Row,
    ports::{PushSource, Rejected},
};

/// How often a secret's file is read again at most, since anybody can make it fit nothing.
const REREAD_EVERY: Duration = Duration::from_secs(5);

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
    settings: PushSettings,
    zone: TimeZone,
    reread_at: Mutex<Option<Instant>>,
}

impl EnterprisePush {
    /// One whose times are shown in `zone`.
    pub const fn new(settings: PushSettings, zone: TimeZone) -> Self {
        Self { settings, zone, reread_at: Mutex::new(None) }
    }

    fn fits(&self, given: &[u8]) -> bool {
        self.settings.secret.expose(|secret| secret.as_bytes().ct_eq(given).into())
    }

    /// Whether the secret's file may be read again now.
    fn may_reread(&self) -> bool {
        let mut last = self.reread_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|at| at.elapsed() >= REREAD_EVERY);
        if may {
            *last = Some(Instant::now());
        }
        may
    }
}

impl PushSource for EnterprisePush {
    fn kind(&self) -> &'static str {
        "tcr_enterprise"
    }

    fn header(&self) -> &str {
        &self.settings.header
    }

    fn admits(&self, given: &[u8]) -> bool {
        if self.fits(given) {
            return true;
        }
        let changed = self.may_reread() && self.settings.secret.reread().unwrap_or(false);
        changed && self.fits(given)
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
