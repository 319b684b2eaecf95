//! The wall's hooks: Slack's incoming webhook, WeCom's group robot, and any webhook.
//!
//! Deliberately absent: what makes a payload sound (`slack`, `wecom`).

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Channel, Shared, Verdict, shown, slack, wecom};

/// Messages that a robot takes in a minute.
const WECOM_PER_MINUTE: usize = 20;

pub(super) async fn slack_hook(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<[String; 3]>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (payload, verdict) = shared.judge_slack(&path, &headers, &body);
    let wait = if verdict.is_ok() { shared.slack_pace() } else { Ok(()) };
    if let Err(wait) = wait {
        let seconds = wait.as_secs() + 1;
        shared.take(Channel::Slack, payload, Some("rate_limited".to_owned()));
        let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
        let body = json!({"ok": false, "error": "rate_limited", "retry_after": seconds});
        return (StatusCode::TOO_MANY_REQUESTS, retry_after, Json(body)).into_response();
    }
    let (status, word) = match verdict {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(Verdict { status, word }) => (status, word),
    };
    shared.take(Channel::Slack, payload, verdict.err().map(|verdict| verdict.word.to_owned()));
    (status, word).into_response()
}

impl Shared {
    fn judge_slack(
        &self,
        path: &[String; 3],
        headers: &HeaderMap,
        body: &Bytes,
    ) -> (Value, Result<(), Verdict>) {
        let parsed = parse_slack(headers, body);
        let verdict = match (&parsed, &self.slack) {
            (_, [team, ..]) if *team != path[0] => {
                Err(Verdict::new(StatusCode::NOT_FOUND, "no_team"))
            }
            (_, [_, bot, _]) if *bot != path[1] => {
                Err(Verdict::new(StatusCode::NOT_FOUND, "no_service"))
            }
            (_, [.., token]) if *token != path[2] => {
                Err(Verdict::new(StatusCode::FORBIDDEN, "invalid_token"))
            }
            (None, _) => Err(Verdict::new(StatusCode::BAD_REQUEST, "invalid_payload")),
            (Some(payload), _) => slack::judge(payload),
        };
        (parsed.unwrap_or_else(|| shown(body)), verdict)
    }
}

/// A payload as JSON, or in the form field `payload`, which Slack takes too.
fn parse_slack(headers: &HeaderMap, body: &Bytes) -> Option<Value> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.unwrap_or_default().starts_with("application/x-www-form-urlencoded") {
        return serde_json::from_slice(body).ok();
    }
    #[derive(Deserialize)]
    struct Form {
        payload: String,
    }
    let uri = format!("/?{}", std::str::from_utf8(body).ok()?).parse().ok()?;
    let form = Query::<Form>::try_from_uri(&uri).ok()?;
    serde_json::from_str(&form.0.payload).ok()
}

#[derive(Deserialize)]
pub(super) struct Key {
    #[serde(default)]
    key: String,
}

pub(super) async fn wecom_hook(
    State(shared): State<Arc<Shared>>,
    Query(Key { key }): Query<Key>,
    body: Bytes,
) -> Json<Value> {
    let verdict = if key == shared.wecom_key {
        wecom::judge(&body, wecom::ROBOT)
    } else {
        Err(wecom::Errcode::new(93000, "invalid webhook url"))
    };
    let minute = Duration::from_secs(60);
    let verdict = verdict.and_then(|payload| {
        shared
            .pace(|pace| &mut pace.wecom, WECOM_PER_MINUTE, minute)
            .map_err(|_| wecom::Errcode::new(45009, "api freq out of limit"))
            .map(|()| payload)
    });
    match verdict {
        Ok(payload) => {
            shared.take(Channel::WeCom, payload, None);
            Json(json!({"errcode": 0, "errmsg": "ok"}))
        }
        Err(errcode) => {
            let refusal = format!("{} {}", errcode.errcode, errcode.errmsg);
            shared.take(Channel::WeCom, shown(&body), Some(refusal));
            Json(errcode.body())
        }
    }
}

pub(super) async fn any_hook(State(shared): State<Arc<Shared>>, body: Bytes) -> Json<Value> {
    shared.take(Channel::Webhook, shown(&body), None);
    Json(json!({"ok": true}))
}
