//! What became of the messages about an entry, in the words of `explain`.
//!
//! Deliberately absent: why one is held, which the service and the rules say.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use super::{items, word};

/// What was sent, held, or still waits.
pub(super) fn of(explanation: &Value) -> String {
    let mut text = String::new();
    for message in items(&explanation["messages"]) {
        let [rule, reason] = ["rule", "reason"].map(|name| word(&message[name]));
        let becomes = of_message(message, &explanation["at"]);
        // A digest is of no rule.
        let what = if rule.is_empty() { format!("{reason}:") } else { format!("{rule}: {reason}") };
        // Writing to a string can't fail.
        let _ = match message["id"].as_str() {
            Some(id) => writeln!(text, "{what} {becomes} (see `deliveries show {id}`)"),
            None => writeln!(text, "{what} {becomes}"),
        };
    }
    for message in items(&explanation["waiting"]) {
        let _ = writeln!(text, "{}: {}", word(&message["rule"]), of_waiting(message));
    }
    if text.is_empty() {
        text.push_str("nothing is sent, and nothing is held back\n");
    }
    text
}

/// Where a message waits, and until when.
pub(super) fn of_waiting(message: &Value) -> String {
    let place = word(&message["waits_in"]);
    let receivers: Vec<String> = items(&message["receivers"]).map(word).collect();
    let until = match &message["until"] {
        Value::Null => String::new(),
        until => format!(" until {}", word(until)),
    };
    let receivers = receivers.join(", ");
    format!("waits for {receivers} in a {place}{until}{}", of_how_many(message))
}

/// What became of a message; `decided_at` is when the entry was.
pub(super) fn of_message(message: &Value, decided_at: &Value) -> String {
    let receiver = match message["fallback_of"].as_str() {
        Some(meant) => {
            format!("{}, the fallback of {}", word(&message["receiver"]), word(&meant.into()))
        }
        None => word(&message["receiver"]),
    };
    if let Some(by) = message["held_by"].as_str() {
        return match message["because"].as_str() {
            Some(because) => format!("for {receiver} is held ({by}): {because}"),
            None => format!("for {receiver} is held ({by})"),
        };
    }
    match message["state"].as_str() {
        None => {
            let later = message["at"] != *decided_at;
            let at = if later { format!(" at {}", word(&message["at"])) } else { String::new() };
            format!("is sent to {receiver}{at}{}", of_how_many(message))
        }
        Some("delivered") => format!("is delivered to {receiver}{}", of_attempts(message)),
        Some("dead") => format!("for {receiver} was given up{}", of_attempts(message)),
        Some("folded") => {
            format!("for {receiver} is told by the digest {}", word(&message["folded_into"]))
        }
        Some(state) => {
            let waits_for = match &message["waits_for"] {
                Value::Null => String::new(),
                waits_for => format!(", since {}", word(waits_for)),
            };
            let next = match message["next_attempt_at"].as_str() {
                Some(next) if is_to_come(next) => format!(", next tried at {}", word(&next.into())),
                _ => String::new(),
            };
            format!("for {receiver} is {state}{waits_for}{next}{}", of_attempts(message))
        }
    }
}

fn is_to_come(instant: &str) -> bool {
    instant.parse().is_ok_and(|instant: Timestamp| instant > Timestamp::now())
}

fn of_how_many(message: &Value) -> String {
    match message["count"].as_u64() {
        Some(count) if count > 1 => format!(", for {count} entries"),
        _ => String::new(),
    }
}

/// When it was tried last, how often, and what was answered.
fn of_attempts(message: &Value) -> String {
    let mut text = String::new();
    if let Some(at) = message["last_attempt_at"].as_str() {
        let _ = write!(text, ", tried at {}", word(&at.into()));
    }
    if let Some(attempts) = message["attempts"].as_u64().filter(|attempts| *attempts > 1) {
        let _ = write!(text, ", attempt {attempts}");
    }
    text.push_str(&of_outcome(&message["last_outcome"]));
    if !message["outcome_before"].is_null() {
        text.push_str("; the attempt before");
        text.push_str(&of_outcome(&message["outcome_before"]));
    }
    text
}

fn of_outcome(outcome: &Value) -> String {
    let mut text = String::new();
    if let Some(status) = outcome["status"].as_u64() {
        let _ = write!(text, ", HTTP {status}");
    }
    if let Some(detail) = outcome["detail"].as_str() {
        let _ = write!(text, ": {}", word(&detail.into()));
    }
    text
}
