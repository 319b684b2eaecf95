//! The enterprise edition as a source: its log is read, or its webhook calls us.
//!
//! Deliberately absent: the keys that all sources share.

use std::path::Path;

use super::{
    source::{SourceSettings, account},
    values::require_secret,
};
use crate::{
    adapters::source::{PushSettings, TcrEnterpriseSettings},
    document::{Code, MapReader, Value},
};

/// The enterprise edition: its log is read, or it calls us.
pub(super) fn tcr_enterprise(value: Value<'_>, folder: &Path) -> Option<SourceSettings> {
    let mut map = value.map()?.private();
    if let Some(pushed) = map.get("push") {
        for key in ["registry_id", "secret_id", "secret_id_file", "secret_key", "secret_key_file"] {
            map.exclusive("push", key);
        }
        let settings = push(pushed, folder);
        ["endpoint", "region", "registry_id", "secret_id", "secret_id_file", "secret_key"]
            .into_iter()
            .chain(["secret_key_file", "token", "token_file"])
            .for_each(|key| map.pass_over(key));
        map.finish("keys of tcr_enterprise");
        return settings.map(SourceSettings::Push);
    }
    let registry_id = map.get("registry_id").map(|value| value.text_as("a registry's id"));
    if registry_id.is_none() {
        let help = "the id of the registry, `tcr-…`; or `push` where the registry is to call";
        map.missing("registry_id", Some(help));
    }
    let account = account(&mut map, folder);
    map.finish("keys of tcr_enterprise");
    let registry_id = registry_id.flatten()?.to_owned();
    Some(SourceSettings::TcrEnterprise(TcrEnterpriseSettings { account: account?, registry_id }))
}

/// `{header: X-Bell, secret: …}`.
fn push(value: Value<'_>, folder: &Path) -> Option<PushSettings> {
    let mut map = value.map()?.private();
    let header = map.require("header").and_then(header_name);
    let secret = require_secret(&mut map, "secret", "secret_file", folder);
    map.finish("keys of push");
    Some(PushSettings { header: header?, secret: secret? })
}

fn header_name(value: Value<'_>) -> Option<String> {
    let text = value.text_as("a header's name")?;
    let name = text.parse::<reqwest::header::HeaderName>().ok();
    if name.is_none() {
        let message = "`header` is no name that a header can have";
        value.add(value.problem(Code::BadSetting, message).help("write `X-Triggerbell-Token`"));
    }
    Some(name?.as_str().to_owned())
}

pub(super) fn has_key(value: Value<'_>, key: &'static str) -> bool {
    value.is_map() && value.map().is_some_and(|map| map.has(key))
}

/// Keys that say how a log is read say nothing of a registry that calls us.
pub(super) fn refuse_keys_of_reading(map: &mut MapReader<'_>) {
    let keys = ["repos", "discover", "poll_every", "requests_per_second", "first_run", "overlap"];
    for key in keys {
        if let Some(value) = map.get(key) {
            let message = format!("`{key}` says how a log is read, and this source is pushed to");
            let help = "leave it out; to read the log too, make a second source";
            value.add(value.problem(Code::BadSetting, message).help(help));
        }
    }
}

/// The enterprise edition's log is read by namespace.
pub(super) fn namespaces_only(value: Value<'_>) {
    for item in value.list_or_one().unwrap_or_default() {
        let text = item.scalar().map(|scalar| &*scalar.text).unwrap_or_default();
        if let Some((namespace, _)) = text.split_once('/') {
            let message = format!("{} is a repository, not a namespace", item.found());
            let problem = item.problem(Code::BadRepo, message);
            let help = if item.is_expanded() {
                "this log is read by namespace".to_owned()
            } else {
                format!("this log is read by namespace: write `{namespace}`; rules tell by `repo`")
            };
            item.add(problem.help(help));
        }
    }
}
