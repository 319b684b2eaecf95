//! Notifications: where each stands, what its attempts came to, and the wish to try one again.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    domain::{
        late::{LateMessage, shown},
        notification::{NotificationId, NotificationState},
    },
    ports::{NotificationQuery, Payload, PayloadFormat},
};

use super::{
    Problem, Shared,
    entries::page_of,
    problem::{Asked, Given, Named},
    view,
};

/// The query of `GET notifications`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationsAsked {
    limit: Option<usize>,
    cursor: Option<String>,
    state: Option<String>,
    receiver: Option<String>,
    rule: Option<String>,
}

/// `GET /api/v1/notifications`, newest first.
pub(crate) async fn list(
    State(shared): State<Shared>,
    Asked(asked): Asked<NotificationsAsked>,
) -> Result<Json<Value>, Problem> {
    let (limit, before) = page_of(asked.limit, asked.cursor.as_deref())?;
    let state = asked.state.map(|name| state_by_name(&name)).transpose()?;
    let NotificationsAsked { receiver, rule, .. } = asked;
    let query = NotificationQuery { before, limit, state, receiver, rule };
    let list = shared.store.notifications(query).await?;
    Ok(Json(view::list(&list, view::notification)))
}

fn state_by_name(name: &str) -> Result<NotificationState, Problem> {
    NotificationState::by_name(name).ok_or_else(|| {
        let known: Vec<_> = NotificationState::ALL.iter().map(|state| state.name()).collect();
        let detail = format!("there is no state {name:?}; known: {}", known.join(", "));
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

/// `GET /api/v1/notifications/{id}`, with its attempts and what is sent.
pub(crate) async fn show(
    State(shared): State<Shared>,
    Named(id): Named<NotificationId>,
) -> Result<Json<Value>, Problem> {
    let (found, payload, attempts) = shared
        .store
        .notification(id)
        .await?
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such notification"))?;
    let mut json = view::notification(&found);
    json["attempt_list"] = json!(attempts);
    match payload {
        Some(payload) => put_payload(&mut json, payload),
        None => json["payload"] = Value::Null,
    }
    Ok(Json(json))
}

/// What is sent, and the headers and query that come with it. What each attempt works out is shown as
/// a template would write it.
fn put_payload(json: &mut Value, payload: Payload) {
    let message = match payload.format {
        PayloadFormat::Json | PayloadFormat::Text => None,
        PayloadFormat::Late => LateMessage::parse(&payload.body).ok(),
    };
    let Some(message) = message else {
        json["payload"] = payload_json(payload);
        return;
    };
    let format = if message.json { PayloadFormat::Json } else { PayloadFormat::Text };
    json["payload"] = payload_json(Payload { format, body: shown(&message.body) });
    for (name, values) in [("payload_headers", &message.headers), ("payload_query", &message.query)]
    {
        if !values.is_empty() {
            let all = values.iter().map(|(name, pieces)| (name.clone(), shown(pieces).into()));
            json[name] = Value::Object(all.collect());
        }
    }
}

fn payload_json(payload: Payload) -> Value {
    match payload.format {
        PayloadFormat::Json => serde_json::from_str(&payload.body).unwrap_or(json!(payload.body)),
        PayloadFormat::Text | PayloadFormat::Late => Value::String(payload.body),
    }
}

/// The body of a retry; none, or an empty object, retries to the same receiver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryWish {
    /// Another receiver of the same type.
    receiver: Option<String>,
}

/// `POST /api/v1/notifications/{id}/retry`.
pub(crate) async fn retry(
    State(shared): State<Shared>,
    Named(id): Named<NotificationId>,
    Given(wish): Given<RetryWish>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    shared.control.retry(id, wish.receiver.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id, "state": "pending" }))))
}
