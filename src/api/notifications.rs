//! Notifications: where each stands, what its attempts came to, and the wish to try one again.

use axum::{Json, extract::State, http::StatusCode, response::Html};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::{
        late::{LateMessage, shown},
        notification::{HeldBy, NotificationId, NotificationState},
    },
    ports::{NotificationQuery, NotificationView, Payload, PayloadFormat, RetryText},
};

use super::{
    Problem, Shared,
    entries::page_of,
    problem::{Asked, Given, Named},
    schema, view,
};

/// The query of `GET notifications`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationsAsked {
    /// The most items of the page; 50 when nothing is said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// What `next` of the page before said.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// Only in this state.
    #[param(value_type = Option<schema::StateWord>, inline)]
    state: Option<String>,
    /// Only for this receiver.
    receiver: Option<String>,
    /// Only of this rule.
    rule: Option<String>,
    /// Only held, and by this.
    #[param(value_type = Option<schema::HeldByWord>, inline)]
    held_by: Option<String>,
}

/// Notifications, newest first.
#[utoipa::path(
    get,
    path = "/notifications",
    tag = "notifications",
    operation_id = "list_notifications",
    params(NotificationsAsked),
    responses((status = 200, description = "A page of them", body = schema::Notifications))
)]
pub(crate) async fn list(
    State(shared): State<Shared>,
    Asked(asked): Asked<NotificationsAsked>,
) -> Result<Json<Value>, Problem> {
    let (limit, before) = page_of(asked.limit, asked.cursor.as_deref())?;
    let state = asked.state.map(|name| state_by_name(&name)).transpose()?;
    let held_by = asked.held_by.map(|name| hold_by_name(&name)).transpose()?;
    let NotificationsAsked { receiver, rule, .. } = asked;
    let query = NotificationQuery { before, limit, state, receiver, rule, held_by };
    let list = shared.store.notifications(query).await?;
    let shown = |view: &_| notification(&shared, view);
    Ok(Json(view::list(&list, shown)))
}

/// A notification as it is kept, and as its lane lets it be sent.
fn notification(shared: &Shared, view: &NotificationView) -> Value {
    view::notification(view, shared.control.not_before(&view.receiver))
}

fn state_by_name(name: &str) -> Result<NotificationState, Problem> {
    NotificationState::by_name(name).ok_or_else(|| {
        let known: Vec<_> = NotificationState::ALL.iter().map(|state| state.name()).collect();
        let detail = format!("there is no state {name:?}; known: {}", known.join(", "));
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

fn hold_by_name(name: &str) -> Result<HeldBy, Problem> {
    HeldBy::by_name(name).ok_or_else(|| {
        let known: Vec<_> = HeldBy::ALL.iter().map(|by| by.name()).collect();
        let detail = format!("nothing holds by {name:?}; known: {}", known.join(", "));
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

/// One notification, with its attempts and what is sent.
#[utoipa::path(
    get,
    path = "/notifications/{id}",
    tag = "notifications",
    operation_id = "show_notification",
    params(("id" = inline(schema::Id), Path, description = "The notification's id")),
    responses((status = 200, description = "The notification", body = schema::NotificationShown))
)]
pub(crate) async fn show(
    State(shared): State<Shared>,
    Named(id): Named<NotificationId>,
) -> Result<Json<Value>, Problem> {
    let (found, payload, attempts) = shared
        .store
        .notification(id)
        .await?
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such notification"))?;
    let mut json = notification(&shared, &found);
    json["attempt_list"] = json!(attempts);
    match payload {
        Some(payload) => put_payload(&mut json, payload),
        None => json["payload"] = Value::Null,
    }
    Ok(Json(json))
}

/// A notification's page, for people: where the links in messages lead. Like the status page it is
/// without data of its own, so that it needs no token; it asks the API.
#[utoipa::path(
    get,
    path = "/notifications/{id}",
    tag = "service",
    operation_id = "notification_page",
    params(("id" = inline(schema::Id), Path, description = "The notification's id")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html; charset=utf-8"))
)]
pub(crate) async fn page(Named(_): Named<NotificationId>) -> Html<&'static str> {
    Html(concat!(include_str!("head.html"), include_str!("notification.html")))
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
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryWish {
    /// Another receiver, which gets the text that it has there.
    receiver: Option<String>,
}

/// Tries a dead or waiting notification again at once.
#[utoipa::path(
    post,
    path = "/notifications/{id}/retry",
    tag = "notifications",
    operation_id = "retry_notification",
    params(("id" = inline(schema::Id), Path, description = "The notification's id")),
    request_body = RetryWish,
    responses(
        (status = 202, description = "It is tried", body = schema::Retried),
        (status = 409, description = "Its state or the receiver does not allow it",
            body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn retry(
    State(shared): State<Shared>,
    Named(id): Named<NotificationId>,
    Given(wish): Given<RetryWish>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    shared.control.retry(id, wish.receiver.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id, "state": "pending" }))))
}

/// Which dead letters to try again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryDeadWish {
    /// The receiver that they were for.
    receiver: String,
    /// An instant (RFC 3339), or how long ago as `2h`: those that were given up since then.
    since: String,
    /// Another receiver to send them to, with the text that they have there.
    to: Option<String>,
    /// What `next` of the answer before said.
    #[schema(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// Only count them.
    #[serde(default)]
    preview: bool,
}

/// Tries dead letters of a receiver again, at most 10,000 at a time; `next` goes on from there.
#[utoipa::path(
    post,
    path = "/notifications/retry",
    tag = "notifications",
    operation_id = "retry_dead_letters",
    request_body = RetryDeadWish,
    responses(
        (status = 202, description = "They are tried, or would be",
            body = schema::RetriedDead),
        (status = 409, description = "The receiver does not allow it",
            body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn retry_dead(
    State(shared): State<Shared>,
    Given(wish): Given<RetryDeadWish>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let RetryDeadWish { receiver, since, to, cursor, preview } = wish;
    let (_, after) = page_of(None, cursor.as_deref())?;
    let text = RetryText { receiver, since, to, after: after.unwrap_or(0), preview };
    let done = shared.control.retry_dead(&text).await?;
    let next = done.next.map(|next| next.to_string());
    Ok((StatusCode::ACCEPTED, Json(json!({ "count": done.count, "next": next }))))
}
