//! Receivers: Slack, WeCom and any webhook (`docs/receivers.md`).
//!
//! A way to send is one file: its settings, which are checked when they are made, the body it
//! sends, and a table that reads its answers. A type has one way, or two: Slack's webhooks and apps,
//! WeCom's robots and apps. Everything that the types share is here beside
//! them: the attempt itself (`attempt`), HTTP with bounds (`http`), which addresses may be dialled
//! (`guard`), JSON with its edges (`json`), what may be repeated of an answer (`scrub`), signatures (`signature`). A new type is
//! a file and a line in [`KINDS`].
//!
//! Deliberately absent: what follows an attempt. Retries, pace, order and closed lanes are the
//! engine's; nothing here waits, counts or remembers, apart from a secret that was read again and
//! the access tokens of WeCom's apps (`wecom_token`).

mod answers;
mod attempt;
mod cloudevents;
mod guard;
mod http;
mod json;
mod predicate;
mod scrub;
pub mod signature;
mod slack;
mod slack_api;
mod status;
mod webhook;
mod wecom;
mod wecom_answer;
mod wecom_app;
mod wecom_token;

use std::{fmt, sync::Arc};

pub use answers::Answers;
pub use guard::{AddressGuard, Lookup};
pub use http::{HttpSettings, Wire, Wires};
pub use predicate::{Branch, Pointer, PointerError, Predicate, Subject, Test, Wait, Want};
pub use slack::SlackSettings;
pub use slack_api::SlackApiSettings;
pub use status::{StatusPolicy, StatusSet};
pub use webhook::{WebhookOptions, WebhookSettings};
pub use wecom::WecomSettings;
pub use wecom_app::{Recipients, WecomApp, WecomAppSettings};

use crate::{domain::pace::Pace, ports::Notifier};

/// Every type of receiver, in the order in which people are told of them.
pub const KINDS: &[Kind] = &[slack::KIND, wecom::KIND, webhook::KIND];

/// The type of that name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// A type of receiver and what holds for it where the configuration says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The key that names it in the configuration.
    pub name: &'static str,
    /// How fast it may be sent to; `None` is as fast as it goes.
    pub default_pace: Option<Pace>,
    /// Whether waiting messages fold into digests.
    pub digest: bool,
}

/// Checked settings of a receiver: what the configuration holds and the service opens.
pub trait Settings: fmt::Debug + Send + Sync + 'static {
    /// Its type.
    fn kind(&self) -> &'static Kind;

    /// Whether it sends over plain `http` to anything but this machine, so that whoever is between
    /// reads messages and secrets.
    fn sends_in_clear(&self) -> bool;

    /// The receiver itself, over a wire of [`Wires`].
    ///
    /// # Errors
    /// A secret file changed since the settings were checked and is malformed now.
    fn open(&self, wire: &Wire) -> Result<Arc<dyn Notifier>, SettingError>;
}

/// A setting that can't be. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SettingError {
    /// The key under the type's own, dotted where it lies deeper: `webhook_url`, `headers.X-Team`.
    pub key: String,
    /// What is wrong, in lower case.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl SettingError {
    fn new(key: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), help: Some(help.into()) }
    }
}

/// Whether a URL is plain `http` to anything but loopback. False for what is no URL.
pub fn plain_http_to_elsewhere(url: &str) -> bool {
    reqwest::Url::parse(url.trim()).is_ok_and(|url| {
        let loopback = match http::literal_address(&url) {
            Some(address) => guard::is_loopback(address),
            None => url.host_str().is_some_and(|host| {
                host.eq_ignore_ascii_case("localhost") || host.ends_with(".localhost")
            }),
        };
        url.scheme() == "http" && !loopback
    })
}
