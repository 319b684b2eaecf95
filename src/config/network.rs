//! How sources and receivers are reached: limits, authorities, proxy.
//!
//! Deliberately absent: which addresses may be dialled, which is a receiver's alone.

use std::path::Path;

use super::values::{Shown, path, seconds, secret};
use crate::{
    adapters::http::{ClientSettings, is_no_proxy},
    document::{Code, MapReader, Problem, Value},
};

/// The limits, authorities and proxy that sources and receivers share.
pub(super) fn http(map: &mut MapReader<'_>, folder: &Path) -> ClientSettings {
    let defaults = ClientSettings::default();
    let limits = seconds(1)..=seconds(600);
    let timeout = map.get("timeout").and_then(|value| value.duration(limits.clone()));
    let connect = map.get("connect_timeout").and_then(|value| value.duration(limits));
    let ca = map.get("ca_file");
    let ca_file = ca.and_then(|value| path(value, folder));
    let proxy = secret(map, "proxy", "proxy_file", folder);
    let no_proxy = map.get("no_proxy").map(no_proxy).unwrap_or_default();
    let ca_file: Option<Shown> = ca_file;
    let settings = ClientSettings {
        timeout: timeout.unwrap_or(defaults.timeout),
        connect_timeout: connect.unwrap_or(defaults.connect_timeout),
        ca_file: ca_file.as_ref().map(|file| file.path.clone()),
        proxy,
        no_proxy,
        ..defaults
    };
    check_client(map, &settings, ca_file.as_ref());
    settings
}

/// What is reached without the proxy: a list, or one text with commas, as the environment has it.
fn no_proxy(value: Value<'_>) -> Vec<String> {
    let items = value.some().unwrap_or_default().into_iter();
    let mut all = Vec::new();
    for item in items {
        let Some(text) = item.text_as("a host, a domain or a network") else { continue };
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            if is_no_proxy(one) {
                all.push(one.to_owned());
                continue;
            }
            let message = "this is nothing that `no_proxy` takes";
            let help = "a host, a domain (all below it too), an address, a network as `10.0.0.0/8`; \
                        no port, no scheme, no `*`";
            item.add(item.problem(Code::BadSetting, message).help(help));
        }
    }
    all
}

/// Tries what only building a client can tell: whether its certificates and its proxy can be used.
fn check_client(map: &MapReader<'_>, settings: &ClientSettings, ca_file: Option<&Shown>) {
    let value = map.value();
    let at = |key: &str| map.place_of(key).map_or(value.place(), |(_, value)| value.place());
    if let Some(file) = ca_file {
        let only = ClientSettings { proxy: None, ..settings.clone() };
        if let Err(error) = crate::adapters::http::client(&only) {
            let place = at("ca_file");
            let path = file.path.display().to_string();
            let error = error.to_string().replace(&path, &file.shown.display().to_string());
            let problem = Problem::new(Code::BadCertificate, format!("`ca_file`: {error}"));
            let help = "name a file of PEM certificates";
            value.add(problem.at(&place.file, place.span).help(help));
        }
    }
    if let Some(proxy) = &settings.proxy
        && !proxy.expose(is_proxy)
    {
        let place = at(if map.place_of("proxy").is_some() { "proxy" } else { "proxy_file" });
        let problem = Problem::new(Code::BadUrl, "`proxy` takes the URL of a proxy");
        let help = "write `http://host:port` or `socks5://host:port`";
        value.add(problem.at(&place.file, place.span).help(help));
    }
}

fn is_proxy(text: &str) -> bool {
    reqwest::Url::parse(text.trim()).is_ok_and(|url| {
        url.has_host() && matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h")
    })
}
