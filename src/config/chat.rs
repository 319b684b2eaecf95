//! The keys of the chats: Slack's webhooks and apps, WeCom's robots and apps.
//!
//! Deliberately absent: what a value may be, which the adapters say.

use std::{path::Path, sync::Arc};

use super::{receiver::refused, values::secret};
use crate::{
    adapters::{
        receivers::{
            Recipients, Settings, SlackApiSettings, SlackSettings, WecomApp, WecomAppSettings,
            WecomSettings,
        },
        secret::Secret,
    },
    document::{Code, MapReader, Value},
};

pub(super) fn slack(map: &mut MapReader<'_>, folder: &Path) -> Option<Arc<dyn Settings>> {
    let url = secret(map, "webhook_url", "webhook_url_file", folder);
    let token = secret(map, "token", "token_file", folder);
    let channel = map.get("channel").and_then(channel);
    let api_url = map.get("api_url").and_then(|value| value.text_as("a URL"));
    let webhook = first_of(map, &["webhook_url", "webhook_url_file"]);
    let app = first_of(map, &["token", "token_file", "channel", "api_url"]);
    match (webhook, app) {
        (Some(webhook), Some(app)) => {
            map.exclusive(webhook, app);
            None
        }
        (Some(_), None) => {
            let settings = SlackSettings::new(url?);
            let settings = settings.map(|settings| Arc::new(settings) as _);
            settings.map_err(|error| refused(map, error)).ok()
        }
        (None, Some(_)) => {
            let help = "give `token`, or `token_file` with the path of a file";
            require(map, &["token", "token_file"], help);
            require(map, &["channel"], "name the channel by its id, C0123456789");
            let whole = token.is_some() && channel.is_some();
            let token = token.unwrap_or_else(|| Secret::inline(STAND_IN));
            let settings = SlackApiSettings::new(token, channel.unwrap_or(STAND_IN), api_url);
            let settings = settings.map(|settings| Arc::new(settings) as _);
            let settings =
                settings.map_err(|errors| errors.into_iter().for_each(|it| refused(map, it)));
            settings.ok().filter(|_| whole)
        }
        (None, None) => {
            let help = "give the `webhook_url` of an incoming webhook, or the `token` of an app \
                        and a `channel`";
            map.missing("webhook_url", Some(help));
            None
        }
    }
}

/// A channel's id or name. Its name begins with what begins a comment in YAML.
fn channel(value: Value<'_>) -> Option<&str> {
    if !value.node().is_null() {
        return value.text_as("a channel");
    }
    let problem = value.problem(Code::WrongShape, "`channel` has no value");
    let help = "` #` begins a comment: write the name in quotes, '#deploys', or the channel's id";
    value.add(problem.label("expected a channel").help(help));
    None
}

/// Says that a key is missing where neither it nor another form of it is written.
fn require(map: &MapReader<'_>, forms: &[&'static str], help: &str) {
    if !forms.iter().any(|key| map.place_of(key).is_some()) {
        map.missing(forms[0], Some(help));
    }
}

pub(super) fn wecom(map: &mut MapReader<'_>, folder: &Path) -> Option<Arc<dyn Settings>> {
    let key = secret(map, "key", "key_file", folder);
    let app = app(map, folder);
    let base_url = map.get("base_url").and_then(|value| value.text_as("a URL"));
    let robot = first_of(map, &["key", "key_file"]);
    match (robot, first_of(map, APP_KEYS)) {
        (Some(robot), Some(app)) => {
            map.exclusive(robot, app);
            None
        }
        (Some(_), None) => {
            let settings = WecomSettings::new(key?, base_url);
            let settings = settings.map(|settings| Arc::new(settings) as _);
            settings.map_err(|error| refused(map, error)).ok()
        }
        (None, Some(_)) => {
            require(map, &["corpid"], "it is the company's id (企业ID), ww… or wx…");
            require(
                map,
                &["secret", "secret_file"],
                "give `secret`, or `secret_file` with the path of a file",
            );
            require(map, &["agentid"], "it is the app's number (AgentId)");
            let help = "give `to_user`, `to_party` or `to_tag`; `to_user: '@all'` is everybody who \
                        may see the app";
            require(map, &TO, help);
            let (app, to, whole) = app;
            let settings = WecomAppSettings::new(app, to, base_url);
            let settings = settings.map(|settings| Arc::new(settings) as _);
            let settings =
                settings.map_err(|errors| errors.into_iter().for_each(|it| refused(map, it)));
            settings.ok().filter(|_| whole)
        }
        (None, None) => {
            let help =
                "give the `key` of a group robot, or `corpid`, `secret` and `agentid` of an app";
            map.missing("key", Some(help));
            None
        }
    }
}

/// The keys of an app, those first that say most clearly that it is one.
const APP_KEYS: &[&str] =
    &["corpid", "agentid", "secret", "secret_file", "to_user", "to_party", "to_tag"];

/// The keys that say for whom an app's messages are.
const TO: [&str; 3] = ["to_user", "to_party", "to_tag"];

/// Stands where nothing usable is written, which has been reported, so that the adapter can still
/// say what is wrong with the rest. What is made with it is thrown away.
const STAND_IN: &str = "0";

/// What is written of an app, and whether nothing of it was missing or could not be used.
fn app(map: &mut MapReader<'_>, folder: &Path) -> (WecomApp, Recipients, bool) {
    let corpid = map.get("corpid").and_then(|value| value.text_as("a company's id"));
    let secret = secret(map, "secret", "secret_file", folder);
    let agentid = map.get("agentid").and_then(|value| value.number(0..=i32::MAX.unsigned_abs()));
    let mut whole = corpid.is_some() && secret.is_some() && agentid.is_some();
    let mut ids = |key| {
        let ids = map.get(key).map_or_else(|| Some(Vec::new()), ids);
        whole &= ids.is_some();
        ids.unwrap_or_else(|| vec![STAND_IN.to_owned()])
    };
    let [users, parties, tags] = TO.map(&mut ids);
    let mut to = Recipients { users, parties, tags };
    if first_of(map, &TO).is_none() {
        whole = false;
        to.users.push(STAND_IN.to_owned());
    }
    let app = WecomApp {
        corpid: corpid.unwrap_or(STAND_IN).to_owned(),
        secret: secret.unwrap_or_else(|| Secret::inline(STAND_IN)),
        agentid: agentid.unwrap_or_default(),
    };
    (app, to, whole)
}

/// Ids in a list, or in one text with `|` between them, as WeCom writes them.
fn ids(value: Value<'_>) -> Option<Vec<String>> {
    let items = value.some()?.into_iter().map(|item| item.text_as("an id"));
    let texts: Option<Vec<&str>> = items.collect();
    let ids = texts?.into_iter().flat_map(|text| text.split('|')).map(|id| id.trim().to_owned());
    Some(ids.collect())
}

/// The first of some keys that is written.
fn first_of(map: &MapReader<'_>, keys: &[&'static str]) -> Option<&'static str> {
    keys.iter().copied().find(|key| map.place_of(key).is_some())
}
