//! The rest of the configuration: store, API, alarms, retention.
//!
//! Deliberately absent: sources, receivers and rules, which have files of their own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reqwest::Url;

use super::{
    names::Names,
    values::{address, days, public_url, seconds, secret},
};
use crate::{
    adapters::secret::Secret,
    document::{MapReader, Value},
};

/// The HTTP API.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What writers, and then readers too, have to show.
    pub token: Option<Secret>,
    /// Where people reach it, for links in messages.
    pub public_url: Option<Url>,
}

/// Alarms: triggerbell about itself.
#[derive(Debug, Clone)]
pub struct Alarms {
    /// The receivers that they go to.
    pub send_to: Vec<Arc<str>>,
    /// How long a source may go unread before it is blind.
    pub source_blind_after: Duration,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries, from when they were taken in.
    pub entries: Duration,
    /// Notifications, from when they ended.
    pub notifications: Duration,
}

/// The API's settings.
pub(super) fn api(map: &mut MapReader<'_>, folder: &Path) -> Api {
    let mut map = map.get("api").and_then(|value| value.map());
    let (listen, token) = listening(map.as_mut(), folder);
    let public_url = map.as_mut().and_then(|map| map.get("public_url")).and_then(public_url);
    if let Some(map) = map {
        map.finish("keys of api");
    }
    Api { listen, token, public_url }
}

/// Where the API listens, and what it has to be shown.
pub(super) fn listening(
    map: Option<&mut MapReader<'_>>,
    folder: &Path,
) -> (SocketAddr, Option<Secret>) {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let Some(map) = map else { return (default, None) };
    let listen = map.get("listen").and_then(address).unwrap_or(default);
    (listen, secret(map, "token", "token_file", folder))
}

/// The alarms' settings.
pub(super) fn alarms(map: &mut MapReader<'_>, names: &Names) -> Alarms {
    let blind_after = seconds(600);
    let Some(mut map) = map.get("alarms").and_then(|value| value.map()) else {
        return Alarms { send_to: Vec::new(), source_blind_after: blind_after };
    };
    let send_to = map.get("send_to").and_then(|value| names.receivers(value));
    let after = map.get("source_blind_after");
    let after = after.and_then(|value| value.duration(seconds(30)..=days(30)));
    map.finish("keys of alarms");
    Alarms {
        send_to: send_to.unwrap_or_default(),
        source_blind_after: after.unwrap_or(blind_after),
    }
}

/// How long things are kept.
pub(super) fn retention(map: &mut MapReader<'_>) -> Retention {
    let defaults = Retention { entries: days(30), notifications: days(30) };
    let Some(mut map) = map.get("retention").and_then(|value| value.map()) else {
        return defaults;
    };
    let mut time =
        |key| map.get(key).and_then(|value: Value<'_>| value.duration(seconds(3600)..=days(3660)));
    let retention = Retention {
        entries: time("entries").unwrap_or(defaults.entries),
        notifications: time("notifications").unwrap_or(defaults.notifications),
    };
    map.finish("keys of retention");
    retention
}

/// The database file. A relative path is relative to the data folder.
pub(super) fn store(map: &mut MapReader<'_>, data_folder: &Path) -> PathBuf {
    let default = data_folder.join("triggerbell.db");
    let Some(mut map) = map.get("store").and_then(|value| value.map()) else { return default };
    map.not_yet("postgres");
    map.not_yet("postgres_file");
    let path = map.get("sqlite").and_then(|value| value.text_as("a path"));
    map.finish("keys of store");
    path.map_or(default, |path| data_folder.join(path))
}
