//! WeCom's group robots (企业微信群机器人).
//!
//! Whoever has the key may write to the group, so the address is the credential. Deliberately
//! absent: app messages, which need an access token (`wecom_app`), and what answers mean
//! (`wecom_answer`).

use std::{fmt, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{
    Kind, SettingError,
    attempt::Protocol,
    http::{Answer, Target},
    scrub::shorten,
    wecom_answer::{Sender, classify},
};
use crate::{
    adapters::secret::Secret,
    domain::{limit::wecom as limit, outcome::Outcome, pace::Pace},
    ports::{Delivery, PayloadFormat},
};

/// A robot takes twenty messages a minute.
pub(super) const KIND: Kind = Kind {
    name: "wecom",
    default_pace: Some(Pace { count: 20, per: Duration::from_secs(60) }),
    digest: true,
};

pub(super) const BASE: &str = "https://qyapi.weixin.qq.com";
const PATH: &str = "cgi-bin/webhook/send";

/// A group robot.
#[derive(Clone)]
pub struct WecomSettings {
    key: Secret,
    base: Option<Url>,
}

impl WecomSettings {
    /// Settings for a robot's key, or for its whole URL. `base_url` is where the API is: Tencent's
    /// where nothing is said, another for private deployments.
    ///
    /// # Errors
    /// The key or the base is malformed.
    pub fn new(key: Secret, base_url: Option<&str>) -> Result<Self, SettingError> {
        let settings = Self { key, base: base_url.map(base).transpose()? };
        settings.target().map(|_| settings)
    }
}

impl fmt::Debug for WecomSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base may hold a user and a password.
        let host = self.base.as_ref().and_then(Url::host_str);
        f.debug_struct("WecomSettings").field("key", &self.key).field("host", &host).finish()
    }
}

impl Protocol for WecomSettings {
    const KIND: &'static Kind = &KIND;

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.key]
    }

    fn target(&self) -> Result<Target, SettingError> {
        let (url, key) = self.key.expose(|key| send_url(key, self.base.as_ref()))?;
        let mut target = Target::new(Method::POST, url, &["cgi-bin", "webhook", "send"]);
        target.scrub.hide(&key);
        Ok(target)
    }

    fn body(&self, delivery: &Delivery) -> Bytes {
        let body = &delivery.payload.body;
        match message(delivery) {
            Some(message) => message.into(),
            None => Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn classify(&self, answer: &Answer<'_>, delivery: &Delivery, now: Timestamp) -> Outcome {
        classify(answer, Sender::Robot, delivery.failures, now)
    }
}

/// The message where it does not go out as it was rendered.
pub(super) fn message(delivery: &Delivery) -> Option<String> {
    let body = &delivery.payload.body;
    match delivery.payload.format {
        PayloadFormat::Json => delivery.plain.then(|| plain_form(body)),
        // Attempts fill nothing in but for webhooks.
        PayloadFormat::Text | PayloadFormat::Late => Some(text_message(body.clone(), limit::TEXT)),
    }
}

/// The API's base in what people paste: a trailing slash, or the whole path, is no part of it.
pub(super) fn base(text: &str) -> Result<Url, SettingError> {
    let wrong = |message| SettingError::new("base_url", message, format!("write {BASE}"));
    let mut url = Url::parse(text.trim()).map_err(|_| wrong("is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("is not an https URL"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let methods = [PATH, "cgi-bin/message/send", "cgi-bin/gettoken"];
    let path = methods.iter().find_map(|method| path.strip_suffix(method)).unwrap_or(path);
    let path = path.trim_end_matches('/').to_owned();
    url.set_path(&format!("{path}/"));
    Ok(url)
}

/// Where to send, and the key, by what was given as the key: the key, or a URL with it.
fn send_url(given: &str, base: Option<&Url>) -> Result<(Url, String), SettingError> {
    let wrong = |message| {
        let help = "paste the robot's webhook address, or what follows key= in it";
        SettingError::new("key", message, help)
    };
    let given = given.trim();
    let pasted = Url::parse(given).ok().filter(|url| url.has_host());
    let key = match &pasted {
        Some(url) => url.query_pairs().find(|(name, _)| name == "key").map(|(_, key)| key.into()),
        None => Some(given.rsplit_once("key=").map_or(given, |(_, key)| key).to_owned()),
    };
    let key = key.ok_or_else(|| wrong("is a URL without key="))?;
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if key.is_empty() || !key.chars().all(is_key) {
        return Err(wrong("is neither a robot's key nor a URL with one"));
    }
    let mut url = match (pasted, base) {
        (Some(url), None) if matches!(url.scheme(), "https" | "http") => url,
        (Some(_), None) => return Err(wrong("is not an https URL")),
        (_, base) => {
            let base = base.map_or(BASE, Url::as_str).trim_end_matches('/');
            Url::parse(&format!("{base}/{PATH}")).map_err(|_| wrong("makes no URL"))?
        }
    };
    url.set_fragment(None);
    url.query_pairs_mut().clear().append_pair("key", &key);
    Ok((url, key))
}

/// A message that was too long, cut to half of what should have passed. Visibly: the cut ends in
/// an ellipsis.
fn plain_form(body: &str) -> String {
    let mut message = match serde_json::from_str(body) {
        Ok(Value::Object(message)) => message,
        _ => return text_message(body.to_owned(), limit::TEXT / 2),
    };
    let form = message.get("msgtype").and_then(Value::as_str).unwrap_or_default().to_owned();
    let most = if form == "text" { limit::TEXT / 2 } else { limit::MARKDOWN / 2 };
    let content = message.get_mut(&form).and_then(|part| part.get_mut("content"));
    if let Some(Value::String(content)) = content {
        shorten(content, most);
        return Value::Object(message).to_string();
    }
    let mut text = String::new();
    gather_text(&Value::Object(message), &mut text);
    text_message(text, limit::TEXT / 2)
}

fn text_message(mut content: String, most: usize) -> String {
    shorten(&mut content, most);
    json!({ "msgtype": "text", "text": { "content": content } }).to_string()
}

/// The texts of a card or an article that people read, one a line.
fn gather_text(part: &Value, text: &mut String) {
    const READ: [&str; 7] =
        ["title", "desc", "description", "sub_title_text", "keyname", "value", "quote_text"];
    match part {
        Value::Array(items) => items.iter().for_each(|item| gather_text(item, text)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(value) if READ.contains(&name.as_str()) => {
                        if !text.is_empty() {
                            text.push('\n');
                        }
                        text.push_str(value);
                    }
                    _ => gather_text(value, text),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a-91f6";

    #[test]
    fn a_key_or_a_whole_url_is_understood_and_the_base_is_a_setting() {
        let url = |given: &str, base_url: Option<&str>| {
            let base = base_url.map(|text| base(text).unwrap());
            send_url(given, base.as_ref()).map(|(url, _)| url.to_string())
        };
        for given in ["693a-91f6", " 693a-91f6\n", URL, "key=693a-91f6", "send?key=693a-91f6"] {
            assert_eq!(url(given, None).as_deref(), Ok(URL), "{given}");
            for base in ["http://127.0.0.1:9/qy", "http://127.0.0.1:9/qy/"]
                .into_iter()
                .chain(["http://127.0.0.1:9/qy/cgi-bin/webhook/send?key=other"])
            {
                let wanted = "http://127.0.0.1:9/qy/cgi-bin/webhook/send?key=693a-91f6";
                assert_eq!(url(given, Some(base)).as_deref(), Ok(wanted), "{given} at {base}");
            }
        }
        let private = "https://wecom.example.internal:8443/cgi-bin/webhook/send?key=k&debug=1#x";
        let wanted = "https://wecom.example.internal:8443/cgi-bin/webhook/send?key=k";
        assert_eq!(url(private, None).as_deref(), Ok(wanted));
        for wrong in
            ["", "a b", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send", "ftp://h/?key=k"]
        {
            assert_eq!(url(wrong, None).unwrap_err().key, "key", "{wrong}");
        }
    }

    #[test]
    fn the_plain_form_is_cut_visibly_and_between_characters() {
        let body = json!({"msgtype": "markdown", "markdown": {"content": "汉".repeat(2000)}});
        let cut: Value = serde_json::from_str(&plain_form(&body.to_string())).unwrap();
        let content = cut["markdown"]["content"].as_str().unwrap();
        assert!(content.len() <= 2048 && content.len() > 2040 && content.ends_with("汉…"));
        let body = json!({"msgtype": "text", "text": {"content": "x".repeat(3000), "mentioned_list": ["@all"]}});
        let cut: Value = serde_json::from_str(&plain_form(&body.to_string())).unwrap();
        assert!(cut["text"]["content"].as_str().unwrap().len() <= 1024);
        assert_eq!(cut["text"]["mentioned_list"][0], "@all");
    }

    #[test]
    fn the_plain_form_of_a_card_is_its_text() {
        let card = json!({"msgtype": "template_card", "template_card": {"card_type": "text_notice",
            "main_title": {"title": "down", "desc": "api"}, "card_action": {"type": 1, "url": "https://x"}}});
        let plain: Value = serde_json::from_str(&plain_form(&card.to_string())).unwrap();
        assert_eq!(plain, json!({"msgtype": "text", "text": {"content": "down\napi"}}));
    }
}
