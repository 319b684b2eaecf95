//! The JSON forms of what the store keeps (design 2.6).

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::ports::{AttemptView, EntryView, List, NotificationView};

/// An entry as it is kept.
pub(crate) fn entry(view: &EntryView) -> Json {
    json!({
        "id": view.entry.id,
        "source": view.entry.source,
        "repository": view.entry.asked_repo,
        "taken_at": view.taken_at,
        "entry": view.entry.fields_json(),
        "matched": view.matched,
        "reason": view.matched.is_empty().then_some("no_rule"),
    })
}

/// A notification; `not_before` is what its receiver's lane waits for.
pub(crate) fn notification(view: &NotificationView, not_before: Option<Timestamp>) -> Json {
    let mut json = json!({
        "id": view.id,
        "receiver": view.receiver,
        "rule": view.rule,
        "source": view.source,
        "key": view.key,
        "reason": view.reason,
        "severity": view.severity,
        "state": view.state,
        "held_by": view.held_by,
        "folded_into": view.folded_into,
        "entries": view.entries,
        "created_at": view.created_at,
        "attempts": view.attempts,
        "next_attempt_at": next_attempt_at(view, not_before),
        "last_outcome": view.last_outcome,
    });
    if let Some(receiver) = &view.fallback_of {
        json["fallback_of"] = json!(receiver);
    }
    json
}

/// When it is tried next, which its receiver's lane may put off.
fn next_attempt_at(view: &NotificationView, not_before: Option<Timestamp>) -> Option<Timestamp> {
    let due = view.next_attempt_at?;
    Some(due).filter(|at| *at > Timestamp::MIN).max(not_before)
}

/// What became of a message: why something held it, or how its attempts went. `not_before` is what its
/// receiver's lane waits for.
pub(crate) fn explained(
    message: &NotificationView,
    attempts: &[AttemptView],
    because: Option<&str>,
    (waits_for, not_before): (Option<&str>, Option<Timestamp>),
) -> Json {
    let before = attempts.len().checked_sub(2).and_then(|index| attempts.get(index));
    json!({
        "id": message.id, "rule": message.rule, "receiver": message.receiver,
        "reason": message.reason, "state": message.state, "held_by": message.held_by,
        "because": because,
        "folded_into": message.folded_into, "created_at": message.created_at,
        "attempts": message.attempts, "fallback_of": message.fallback_of, "waits_for": waits_for,
        "last_attempt_at": attempts.last().map(|attempt| attempt.started_at),
        "next_attempt_at": next_attempt_at(message, not_before),
        "last_outcome": message.last_outcome,
        "outcome_before": before.map(|attempt| &attempt.outcome),
    })
}

/// A page of a list.
pub(crate) fn list<T>(list: &List<T>, item: impl Fn(&T) -> Json) -> Json {
    json!({
        "items": list.items.iter().map(item).collect::<Vec<_>>(),
        "next": list.next.map(|next| next.to_string()),
    })
}
