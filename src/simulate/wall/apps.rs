//! The wall's apps: Slack's API for a bot token, with threads and edits, and WeCom's for an app.
//!
//! A WeCom message whose bytes were seen within four hours is taken and not shown, as the real one
//! does when it is asked to. Deliberately absent: members and departments, of which any will do,
//! and tokens that end by themselves.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Channel, Place, Shared, shown, slack, wecom};

/// The number of the WeCom app.
pub(super) const AGENTID: u32 = 1_000_002;

/// The most messages that are remembered, for threads and edits, and for repeats.
const REMEMBERED: usize = 1_000;
/// The longest text of an edit, in characters.
const UPDATE_MAX: usize = 4_000;
/// Messages to one member that an app may send in a minute.
const APP_PER_MINUTE: usize = 30;

/// Who the apps are, and what they have said.
pub(super) struct Apps {
    pub(super) slack_token: String,
    pub(super) slack_channel: String,
    pub(super) corpid: String,
    pub(super) secret: String,
    access_token: String,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    /// Slack's messages by their `ts`, and whether each is in another's thread.
    posted: VecDeque<(String, bool)>,
    /// What Slack's API says to the next requests, whatever they are.
    refusals: VecDeque<&'static str>,
    count: u64,
    /// Bytes that WeCom took.
    taken: VecDeque<Bytes>,
}

impl Apps {
    /// Apps with credentials of `text`, which gives so many letters.
    pub(super) fn new(text: &mut impl FnMut(usize) -> String) -> Self {
        Self {
            slack_token: format!("xoxb-{}", text(40)),
            slack_channel: format!("C{}", text(10).to_ascii_uppercase()),
            corpid: format!("ww{}", text(16).to_ascii_lowercase()),
            secret: text(43),
            access_token: text(64),
            said: Mutex::default(),
        }
    }

    /// Where a message of Slack's goes, or why it can't.
    fn place(&self, method: &str, payload: &Value, second: i64) -> Result<Place, &'static str> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |name: &str| payload.get(name).and_then(Value::as_str);
        let find = |said: &Said, ts: &str| {
            said.posted.iter().find(|(posted, _)| posted == ts).map(|&(_, is_reply)| is_reply)
        };
        if let Some(error) = said.refusals.pop_front() {
            return Err(error);
        }
        if method == "chat.update" {
            let ts =
                named("ts").filter(|ts| find(&said, ts).is_some()).ok_or("message_not_found")?;
            return Ok(Place { ts: ts.to_owned(), thread: None, edit: true });
        }
        let thread = match named("thread_ts").map(|ts| (ts, find(&said, ts))) {
            Some((_, None)) => return Err("thread_not_found"),
            // A thread hangs on its first message, and on none of the replies.
            Some((_, Some(true))) => return Err("cannot_reply_to_message"),
            Some((ts, Some(false))) => Some(ts.to_owned()),
            None => None,
        };
        said.count += 1;
        let ts = format!("{second}.{:06}", said.count % 1_000_000);
        remember(&mut said.posted, (ts.clone(), thread.is_some()));
        Ok(Place { ts, thread, edit: false })
    }

    /// Slack's API says this to the next request.
    pub(super) fn refuse_once(&self, error: &'static str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.refusals.push_back(error);
    }

    /// Forgets a message of Slack's, as when a person deletes it. False where there is none.
    pub(super) fn delete(&self, ts: &str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let before = said.posted.len();
        said.posted.retain(|(posted, _)| posted != ts);
        said.posted.len() < before
    }

    /// Whether these bytes were taken before.
    fn repeats(&self, body: &Bytes) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let known = said.taken.contains(body);
        if !known {
            remember(&mut said.taken, body.clone());
        }
        known
    }
}

fn remember<T>(queue: &mut VecDeque<T>, one: T) {
    queue.push_back(one);
    if queue.len() > REMEMBERED {
        queue.pop_front();
    }
}

/// `POST /api/METHOD`: `chat.postMessage` and `chat.update`.
pub(super) async fn slack_api(
    State(shared): State<Arc<Shared>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let payload: Option<Value> = serde_json::from_slice(&body).ok();
    let said = shared.judge_slack_api(&method, &headers, payload.as_ref());
    let payload = payload.unwrap_or_else(|| shown(&body));
    if said.is_ok()
        && let Err(wait) = shared.slack_pace()
    {
        shared.take(Channel::Slack, payload, Some("ratelimited".to_owned()));
        let retry_after = [(header::RETRY_AFTER, (wait.as_secs() + 1).to_string())];
        let body = json!({ "ok": false, "error": "ratelimited" });
        return (StatusCode::TOO_MANY_REQUESTS, retry_after, Json(body)).into_response();
    }
    let second = (shared.now)().as_second();
    let place = said.and_then(|()| shared.apps.place(&method, &payload, second));
    match place {
        Ok(place) => {
            let answer =
                json!({ "ok": true, "channel": shared.apps.slack_channel, "ts": place.ts });
            shared.take_at(Channel::Slack, payload, None, Some(place));
            Json(answer).into_response()
        }
        Err(error) => {
            shared.take(Channel::Slack, payload, Some(error.to_owned()));
            Json(json!({ "ok": false, "error": error })).into_response()
        }
    }
}

impl Shared {
    fn judge_slack_api(
        &self,
        method: &str,
        headers: &HeaderMap,
        payload: Option<&Value>,
    ) -> Result<(), &'static str> {
        if !["chat.postMessage", "chat.update"].contains(&method) {
            return Err("unknown_method");
        }
        let shown = headers.get(header::AUTHORIZATION).ok_or("not_authed")?;
        if shown.as_bytes() != format!("Bearer {}", self.apps.slack_token).as_bytes() {
            return Err("invalid_auth");
        }
        let payload = payload.filter(|payload| payload.is_object()).ok_or("invalid_json")?;
        let channel = payload.get("channel").and_then(Value::as_str).unwrap_or_default();
        let named = channel.trim_start_matches('#') == "deploys" && method == "chat.postMessage";
        if channel != self.apps.slack_channel && !named {
            return Err("channel_not_found");
        }
        let text = payload.get("text").and_then(Value::as_str).unwrap_or_default();
        if method == "chat.update" && text.chars().count() > UPDATE_MAX {
            return Err("msg_too_long");
        }
        slack::judge(payload).map_err(|verdict| match verdict.word {
            "invalid_payload" => "invalid_arguments",
            "missing_text_or_fallback_or_attachments" => "no_text",
            word => word,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    corpid: String,
    #[serde(default)]
    corpsecret: String,
}

/// `GET /cgi-bin/gettoken`.
pub(super) async fn wecom_token(
    State(shared): State<Arc<Shared>>,
    Query(given): Query<Credentials>,
) -> Json<Value> {
    let apps = &shared.apps;
    if given.corpid != apps.corpid {
        return Json(wecom::Errcode::new(40013, "invalid corpid").body());
    }
    if given.corpsecret != apps.secret {
        return Json(wecom::Errcode::new(40001, "invalid credential").body());
    }
    Json(json!({
        "errcode": 0, "errmsg": "ok", "access_token": apps.access_token, "expires_in": 7200,
    }))
}

#[derive(Deserialize)]
pub(super) struct AccessToken {
    #[serde(default)]
    access_token: String,
}

/// `POST /cgi-bin/message/send`.
pub(super) async fn wecom_send(
    State(shared): State<Arc<Shared>>,
    Query(AccessToken { access_token }): Query<AccessToken>,
    body: Bytes,
) -> Json<Value> {
    let verdict = shared.judge_wecom_app(&access_token, &body);
    match verdict {
        Ok(payload) => {
            let checks = payload.get("enable_duplicate_check").is_some_and(|check| *check == 1);
            if !(checks && shared.apps.repeats(&body)) {
                shared.take(Channel::WeCom, payload, None);
            }
            Json(json!({ "errcode": 0, "errmsg": "ok", "msgid": "wall" }))
        }
        Err(errcode) => {
            let refusal = format!("{} {}", errcode.errcode, errcode.errmsg);
            shared.take(Channel::WeCom, shown(&body), Some(refusal));
            Json(errcode.body())
        }
    }
}

impl Shared {
    fn judge_wecom_app(&self, token: &str, body: &Bytes) -> Result<Value, wecom::Errcode> {
        let refuse = |errcode, what| Err(wecom::Errcode::new(errcode, what));
        if token.is_empty() {
            return refuse(41001, "access_token missing");
        }
        if token != self.apps.access_token {
            return refuse(40014, "invalid access_token");
        }
        let payload = wecom::judge(body, wecom::APP)?;
        if payload.get("agentid").and_then(Value::as_u64) != Some(u64::from(AGENTID)) {
            return refuse(301_002, "not allow operate another agent with this accesstoken");
        }
        let names = |name: &str| {
            payload.get(name).and_then(Value::as_str).is_some_and(|ids| !ids.is_empty())
        };
        if !["touser", "toparty", "totag"].into_iter().any(names) {
            return refuse(82001, "user & party & tag all empty");
        }
        let minute = Duration::from_secs(60);
        self.pace(|pace| &mut pace.wecom_app, APP_PER_MINUTE, minute)
            .map_err(|_| wecom::Errcode::new(45009, "api freq out of limit"))
            .map(|()| payload)
    }
}
