//! The schema of the configuration, but for sources and receivers.
//!
//! Deliberately absent: what a value may be beyond its shape.

use serde_json::{Value, json};

use super::{
    receivers,
    shape::{Key, Scalars, any, key, map, named, shown, some, text},
    sources,
};
use crate::adapters::{http::ClientSettings, source::DEFAULT_ZONE};

pub(super) const CONFIG: Scalars = Scalars { expanded: true };

/// `triggerbell.yaml`.
pub(super) fn config() -> Value {
    map([
        key("time_zone", "The zone of the log's timestamps, of intervals, and of messages", text())
            .default(DEFAULT_ZONE),
        key("sources", "Where entries come from, by name", sources::sources()).needed(),
        key("receivers", "Where messages go, by name; rules send to these", receivers::receivers()),
        key("rules", "Rule files, and folders of them", any(&text())).example(json!(["rules/"])),
        key("templates", "A folder of templates of your own", text()).example("templates/"),
        key("store", "Where everything is kept", store()),
        key("api", "The HTTP API", api()),
        key("alarms", "What triggerbell says about itself", alarms()),
        key("retention", "How long things are kept", retention()),
        key("time_intervals", "Parts of the calendar, by name, for mutes", named(&interval()))
            .example(json!({"night": {"weekdays": "mon-fri", "times": ["22:00-08:00"]}})),
    ])
}

/// A secret in place, and the same in a file.
pub(super) fn secret(name: &'static str, file: &'static str, about: &str) -> [Key; 2] {
    let in_file = "The same, from a file, which is read again when the secret is refused";
    [key(name, about, text()), key(file, in_file, text()).example("/run/secrets/triggerbell")]
}

/// How an HTTP client reaches whatever it reaches.
pub(super) fn http() -> Vec<Key> {
    let defaults = ClientSettings::default();
    let proxy = secret("proxy", "proxy_file", "http://host:port or socks5://host:port");
    let mut keys = vec![
        key("timeout", "The limit of one request", CONFIG.duration())
            .default(shown(defaults.timeout)),
        key("connect_timeout", "The limit of connecting", CONFIG.duration())
            .default(shown(defaults.connect_timeout)),
        key("ca_file", "PEM certificates to trust beside the system's", text()),
        key("no_proxy", "Hosts, domains and networks reached without it", some(&text()))
            .example(json!(["internal", "10.0.0.0/8"])),
    ];
    keys.extend(proxy);
    keys
}

fn store() -> Value {
    map([key("sqlite", "The database file", text()).default("triggerbell.db")])
}

fn api() -> Value {
    let token = "What writes, and then reads of /api/v1 too, have to show";
    map([
        key("listen", "An IP and a port", CONFIG.of(r".*:[0-9]+")).default("127.0.0.1:8080"),
        key("public_url", "Where people reach the API: makes links in messages", text())
            .example("https://bell.example.internal"),
    ]
    .into_iter()
    .chain(secret("token", "token_file", token)))
}

fn alarms() -> Value {
    map([
        key("send_to", "Receivers", some(&text())),
        key("source_blind_after", "How long a source may go unread", CONFIG.duration())
            .default("10m"),
    ])
}

fn retention() -> Value {
    map([
        key("entries", "From when an entry was taken in", CONFIG.duration()).default("30d"),
        key("notifications", "From when a notification ended", CONFIG.duration()).default("30d"),
    ])
}

fn interval() -> Value {
    map([
        key("times", "Parts of the day by the wall's clock", some(&text()))
            .example(json!(["22:00-08:00"])),
        key("weekdays", "mon-fri, or a list of days", some(&text())).example("mon-fri"),
        key("days_of_month", "1-7; from the end -1, -7--1", some(&text())).example("-1"),
        key("months", "jan-mar, or numbers", some(&text())).example("jan-mar"),
        key("time_zone", "Its own zone; else the configuration's", text()),
    ])
}
