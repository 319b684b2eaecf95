//! The keys of the chats: Slack's webhooks and apps, WeCom's robots and apps.
//!
//! Deliberately absent: what a value may be, which the adapters say.

use std::{path::Path, sync::Arc};

use reqwest::Url;

use super::{
    receiver::{Receiver, refused},
    values::secret,
};
use crate::{
    adapters::{
        receivers::{
            Recipients, Settings, SlackApiSettings, SlackSettings, WecomApp, WecomAppSettings,
            WecomSettings,
        },
        secret::Secret,
        templates::{WecomForm, WecomMessage},
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

pub(super) fn wecom(
    map: &mut MapReader<'_>,
    folder: &Path,
) -> Option<(Arc<dyn Settings>, Arc<WecomForm>)> {
    let settings = wecom_settings(map, folder);
    let form = form(map, first_of(map, APP_KEYS).is_some());
    Some((settings?, Arc::new(form?)))
}

fn wecom_settings(map: &mut MapReader<'_>, folder: &Path) -> Option<Arc<dyn Settings>> {
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

/// The most bytes of all the names that a receiver mentions, so that there is room for the message.
const MENTIONED_BYTES: usize = 512;

/// The form of the messages, and whom they mention.
fn form(map: &mut MapReader<'_>, app: bool) -> Option<WecomForm> {
    let words: Vec<_> = WecomMessage::ALL.iter().map(|form| (form.name(), *form)).collect();
    let written = map.get("form");
    let message = written.map_or(Some(WecomMessage::Markdown), |value| value.one_of(&words))?;
    let mut fine = true;
    let mut complain = |value: Value<'_>, message: String, help: &str| {
        fine = false;
        value.add(value.problem(Code::BadSetting, message).help(help));
    };
    if let Some(value) = written
        && app
        && message == WecomMessage::MarkdownV2
    {
        let help = "write `markdown`, `text` or `template_card`";
        complain(value, "an app can't send `markdown_v2`".to_owned(), help);
    }
    let lists = ["mentioned_list", "mentioned_mobile_list"].map(|key| (key, map.get(key)));
    let mut mentioned = [Vec::new(), Vec::new()];
    for ((key, value), names) in lists.into_iter().zip(&mut mentioned) {
        let Some(value) = value else { continue };
        *names = ids(value)?;
        let mobile = key == "mentioned_mobile_list";
        if app {
            let help = "an app writes to members: name them under `to_user`";
            complain(value, format!("`{key}` is for group robots"), help);
        } else if mobile && message != WecomMessage::Text {
            let help = "write `form: text` beside it, or name userids under `mentioned_list`";
            complain(value, format!("`{key}` works in text messages only"), help);
        } else if !matches!(message, WecomMessage::Text | WecomMessage::Markdown) {
            let help = "write `form: text` or `form: markdown` beside it";
            complain(value, format!("a message of the form `{message}` can't mention"), help);
        } else if names.iter().any(|name| !is_mention(name, mobile)) {
            let help = if mobile {
                "list telephone numbers, or '@all'"
            } else {
                "list userids, or '@all'"
            };
            complain(value, format!("`{key}` holds what can't be mentioned"), help);
        } else if names.iter().map(|name| name.len() + 3).sum::<usize>() > MENTIONED_BYTES {
            let help = "mention fewer, or '@all'";
            complain(value, format!("`{key}` takes more than {MENTIONED_BYTES} bytes"), help);
        }
    }
    let card_url = map.get("card_url");
    let address = card_url.map_or(Some(None), |value| address(value).map(Some))?;
    if let Some(value) = card_url
        && message != WecomMessage::TemplateCard
    {
        let help = "write `form: template_card` beside it, or leave it out";
        complain(value, "`card_url` is where a card leads".to_owned(), help);
    }
    let [mentioned, mentioned_mobile] = mentioned;
    let card_url = address.map(str::to_owned);
    fine.then_some(WecomForm { message, app, mentioned, mentioned_mobile, card_url })
}

/// An address that a card can lead to.
fn address(value: Value<'_>) -> Option<&str> {
    let text = value.text_as("a URL")?;
    let is_url = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if Url::parse(text).is_ok_and(|url| is_url(&url)) {
        return Some(text);
    }
    let problem = value.problem(Code::BadUrl, format!("`{}` takes a URL", value.key()));
    value.add(problem.help("write `https://host` or `https://host/path`"));
    None
}

/// Whether a name can be mentioned: a userid or a number, or everybody.
fn is_mention(name: &str, mobile: bool) -> bool {
    let is_part = |byte: u8| match mobile {
        true => byte.is_ascii_digit() || byte == b'+',
        false => byte.is_ascii_alphanumeric() || b"._-@".contains(&byte),
    };
    name == "@all" || (!name.is_empty() && !name.starts_with('@') && name.bytes().all(is_part))
}

/// What stands under a key of a map.
fn under<'a>(value: Value<'a>, key: &str) -> Option<Value<'a>> {
    let entries = value.is_map().then(|| value.entries())??;
    entries.into_iter().find(|(entry, _)| *entry.key.text == *key).map(|(_, value)| value)
}

/// Says of each card that it leads nowhere: it has no `card_url`, and notifications have no address.
pub(super) fn check_cards(root: Value<'_>, receivers: &[Receiver], has_address: bool) {
    for receiver in receivers {
        let Some(form) = &receiver.wecom else { continue };
        let leads = has_address || form.card_url.is_some();
        if leads || form.message != WecomMessage::TemplateCard {
            continue;
        }
        let value = ["receivers", &*receiver.name, "wecom", "form"];
        let Some(value) = value.iter().try_fold(root, |value, key| under(value, key)) else {
            continue;
        };
        let problem = value.problem(Code::BadSetting, "a card has to lead somewhere");
        let help =
            "give `card_url` beside it, or `api.public_url` for the notification's own address";
        value.add(problem.help(help));
    }
}

/// The first of some keys that is written.
fn first_of(map: &MapReader<'_>, keys: &[&'static str]) -> Option<&'static str> {
    keys.iter().copied().find(|key| map.place_of(key).is_some())
}
