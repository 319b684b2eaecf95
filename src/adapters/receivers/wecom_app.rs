//! WeCom's apps (企业微信自建应用): messages to members, departments and tags, under an access token.
//!
//! A token that is no longer taken is dropped, another is asked for, and the message is sent once
//! more, all in one attempt. WeCom drops a message whose JSON it has seen within a while, the only
//! protection from doubles that it offers: so a message's bytes are the same at every attempt, and
//! hold the notification's id, since another message of the same words must arrive. Deliberately
//! absent: how tokens are kept (`wecom_token`) and what answers mean (`wecom_answer`).

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Kind, SettingError,
    attempt::{Protocol, failed},
    http::{Answer, Outgoing, Target, Wire},
    json,
    status::Refusal,
    wecom::{self, BASE},
    wecom_answer::{Said, Sender, classify, is_stale},
    wecom_token::{Granted, Token},
};
use crate::{
    adapters::secret::Secret,
    domain::outcome::{Class, Flag, Outcome, Scope},
    ports::Delivery,
};

/// Robots and apps are one type to whoever configures them.
const KIND: Kind = wecom::KIND;

const GET_TOKEN: &str = "cgi-bin/gettoken";
const SEND: &str = "cgi-bin/message/send";

/// What of the paths may be shown.
const PUBLIC: [&str; 4] = ["cgi-bin", "message", "send", "gettoken"];

/// How long WeCom remembers what it has seen: the most that it offers, four hours.
const REMEMBERED_SECONDS: u32 = 4 * 3600;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An app, and for whom its messages are.
#[derive(Clone)]
pub struct WecomAppSettings {
    corpid: String,
    secret: Secret,
    agentid: u32,
    to: Recipients,
    base: Option<Url>,
}

/// For whom messages are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipients {
    /// Members by userid, or `@all`.
    pub users: Vec<String>,
    /// Departments by number.
    pub parties: Vec<String>,
    /// Tags by number.
    pub tags: Vec<String>,
}

/// What identifies an app.
#[derive(Debug, Clone)]
pub struct WecomApp {
    /// The company (企业ID).
    pub corpid: String,
    /// The app's secret.
    pub secret: Secret,
    /// The app.
    pub agentid: u32,
}

impl WecomAppSettings {
    /// Settings for an app. `base_url` is where the API is: Tencent's where nothing is said,
    /// another for private deployments.
    ///
    /// # Errors
    /// Everything that is malformed, or that there is nobody to send to.
    pub fn new(
        app: WecomApp,
        to: Recipients,
        base_url: Option<&str>,
    ) -> Result<Self, Vec<SettingError>> {
        let mut errors = to.problems();
        let WecomApp { corpid, secret, agentid } = app;
        let corpid = corpid.trim().to_owned();
        if !is_id(&corpid) {
            let help = "paste the company's id (企业ID), ww… or wx…, from My Company in WeCom's \
                        administration";
            errors.push(SettingError::new("corpid", "is no company's id", help));
        }
        errors.extend(secret.expose(|secret| checked_secret(secret).err()));
        match base_url.map(wecom::base).transpose() {
            Ok(base) if errors.is_empty() => Ok(Self { corpid, secret, agentid, to, base }),
            Ok(_) => Err(errors),
            Err(error) => {
                errors.push(error);
                Err(errors)
            }
        }
    }

    /// The address of a method.
    fn method(&self, path: &str) -> Result<Url, SettingError> {
        let base = self.base.as_ref().map_or(BASE, Url::as_str).trim_end_matches('/');
        Url::parse(&format!("{base}/{path}"))
            .map_err(|_| SettingError::new("base_url", "makes no URL", format!("write {BASE}")))
    }

    /// Where a token is asked for. A secret.
    fn token_url(&self) -> Result<Url, SettingError> {
        let mut url = self.method(GET_TOKEN)?;
        // The target carries them in a header. These fail only for URLs that can't have a user.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        self.secret.expose(|secret| {
            let secret = checked_secret(secret)?;
            let mut query = url.query_pairs_mut();
            query.append_pair("corpid", &self.corpid).append_pair("corpsecret", secret);
            Ok(())
        })?;
        Ok(url)
    }

    /// A token, from an earlier send or by asking.
    async fn token(
        &self,
        wire: &Wire,
        target: &Target,
        stale: Option<&Arc<Token>>,
        now: Timestamp,
    ) -> Result<Arc<Token>, Box<Outcome>> {
        let target = target.of_token();
        let app = wire.tokens().of(target.url().as_str());
        app.get(stale, now, async {
            let headers = target.headers.clone();
            let mut asking = Outgoing { headers, ..Outgoing::default() };
            match wire.exchange(&target, &mut asking).await {
                Ok(answer) => granted(&answer, now),
                Err(failure) => Err(without_token(failed(KIND.name, &failure))),
            }
        })
        .await
    }

    /// Sends a message under a token, and says whether the token was refused.
    async fn send(
        &self,
        wire: &Wire,
        target: &Target,
        token: &Token,
        delivery: &Delivery,
        now: Timestamp,
    ) -> (Outcome, bool) {
        let mut url = target.url().clone();
        url.query_pairs_mut().append_pair("access_token", token.expose());
        let mut scrub = target.scrub.clone();
        scrub.hide(token.expose());
        let mut headers = target.headers.clone();
        headers.insert(CONTENT_TYPE, JSON);
        let body = self.body(delivery);
        let mut outgoing = Outgoing { at: Some((url, scrub)), headers, body };
        match wire.exchange(target, &mut outgoing).await {
            Ok(answer) => (self.classify(&answer, delivery, now), is_stale(&answer)),
            Err(failure) => (failed(KIND.name, &failure), false),
        }
    }
}

impl fmt::Debug for WecomAppSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base may hold a user and a password.
        f.debug_struct("WecomAppSettings")
            .field("corpid", &self.corpid)
            .field("secret", &self.secret)
            .field("agentid", &self.agentid)
            .field("to", &self.to)
            .field("host", &self.base.as_ref().and_then(Url::host_str))
            .finish()
    }
}

impl Recipients {
    /// The most of each, as WeCom's documents say.
    const MOST: [(&'static str, usize); 3] =
        [("to_user", 1000), ("to_party", 100), ("to_tag", 100)];

    fn lists(&self) -> [&Vec<String>; 3] {
        [&self.users, &self.parties, &self.tags]
    }

    fn problems(&self) -> Vec<SettingError> {
        if self.lists().iter().all(|list| list.is_empty()) {
            let help = "give to_user, to_party or to_tag; to_user: '@all' is everybody who may \
                        see the app";
            return vec![SettingError::new(
                "to_user",
                "is missing: there is nobody to send to",
                help,
            )];
        }
        let mut problems = Vec::new();
        for ((key, most), list) in Self::MOST.into_iter().zip(self.lists()) {
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let fault = list.iter().find(|one| {
                one.is_empty()
                    || one.chars().any(|c| c.is_whitespace() || c.is_control() || c == '|')
                    || (key != "to_user" && !is_number(one))
            });
            if fault.is_some() {
                let help = match key {
                    "to_user" => "list userids, as WeCom's contacts show them",
                    _ => "list the numbers that WeCom's contacts show",
                };
                problems.push(SettingError::new(key, "holds what is no id", help));
            } else if list.len() > most {
                let help = format!("name at most {most}, or a department or a tag that holds them");
                problems.push(SettingError::new(key, "names too many", help));
            }
        }
        problems
    }
}

impl Protocol for WecomAppSettings {
    const KIND: &'static Kind = &KIND;

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.secret]
    }

    fn target(&self) -> Result<Target, SettingError> {
        let mut target = Target::new(Method::POST, self.method(SEND)?, &PUBLIC);
        let token_url = self.token_url()?;
        target.scrub.hide_url(&token_url, &PUBLIC);
        target.token_url = Some(token_url);
        Ok(target)
    }

    fn body(&self, delivery: &Delivery) -> Bytes {
        let rendered = wecom::message(delivery);
        let rendered = rendered.as_deref().unwrap_or(&delivery.payload.body);
        let mut message = match serde_json::from_str(rendered) {
            Ok(Value::Object(message)) => message,
            _ => Map::from_iter([
                ("msgtype".to_owned(), json!("text")),
                ("text".to_owned(), json!({ "content": rendered })),
            ]),
        };
        // A template may say for whom its message is; then it is for nobody else.
        let names = ["touser", "toparty", "totag"];
        if !names.iter().any(|name| message.contains_key(*name)) {
            for (name, list) in names.into_iter().zip(self.to.lists()) {
                if !list.is_empty() {
                    message.insert(name.to_owned(), json!(list.join("|")));
                }
            }
        }
        message.insert("agentid".to_owned(), json!(self.agentid));
        message.insert("enable_duplicate_check".to_owned(), json!(1));
        message.insert("duplicate_check_interval".to_owned(), json!(REMEMBERED_SECONDS));
        message.insert("notification_id".to_owned(), json!(delivery.id));
        serde_json::to_vec(&message).unwrap_or_default().into()
    }

    fn classify(&self, answer: &Answer<'_>, delivery: &Delivery, now: Timestamp) -> Outcome {
        classify(answer, Sender::App, delivery.failures, now)
    }

    async fn attempt(
        &self,
        wire: &Wire,
        target: &Target,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Outcome {
        let mut stale = None;
        loop {
            let token = match self.token(wire, target, stale.as_ref(), now).await {
                Ok(token) => token,
                Err(refusal) => return *refusal,
            };
            match self.send(wire, target, &token, delivery, now).await {
                (outcome, false) => return outcome,
                (outcome, true) if stale.is_some() => return refused_twice(outcome),
                (_, true) => stale = Some(token),
            }
        }
    }
}

/// What an answer to the question for a token holds.
fn granted(answer: &Answer<'_>, now: Timestamp) -> Result<Granted, Box<Outcome>> {
    #[derive(Deserialize)]
    struct Given {
        access_token: String,
        #[serde(default)]
        expires_in: Value,
    }
    let code = Said::read(&answer.body).map(|said| said.errcode);
    if !answer.is_success() || code.is_some_and(|code| code != 0) {
        return Err(without_token(classify(answer, Sender::App, 0, now)));
    }
    match json::read::<Given>(&answer.body) {
        Some(given) if !given.access_token.is_empty() => {
            let lives = given.expires_in.as_u64().map(Duration::from_secs);
            Ok(Granted { token: given.access_token, lives })
        }
        _ => {
            // What it holds is not repeated: a token may be in it.
            let detail = format!("the answer of status {} holds none", answer.status);
            Err(without_token(Refusal::Later.outcome(answer.status, detail)))
        }
    }
}

/// The outcome of a message for which there was no token. It was not sent, so it did not arrive; and
/// that it can't be is not its own fault.
fn without_token(mut outcome: Outcome) -> Box<Outcome> {
    outcome.flags.retain(|flag| *flag != Flag::Ambiguous && *flag != Flag::Fallback);
    if outcome.class == Class::Permanent(Scope::Message) {
        outcome.class = Class::Permanent(Scope::Endpoint);
    }
    outcome.detail = format!("no access token (gettoken): {}", outcome.detail);
    Box::new(outcome)
}

fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn checked_secret(text: &str) -> Result<&str, SettingError> {
    let text = text.trim();
    let help = "paste the Secret that WeCom's administration shows on the app's page";
    is_id(text)
        .then_some(text)
        .ok_or_else(|| SettingError::new("secret", "is no app's secret", help))
}

/// The outcome of a message whose second, fresh token was refused too.
fn refused_twice(mut outcome: Outcome) -> Outcome {
    outcome.class = Class::Permanent(Scope::Endpoint);
    outcome.detail += ", and a fresh one too — check that secret and corpid are those of agentid";
    outcome
}
