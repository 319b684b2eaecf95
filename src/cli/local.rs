//! Times as people read them: in the configuration's zone, with its offset, to the second.
//!
//! What programs read stays as the service answers it, in UTC.

use jiff::{Timestamp, Unit, tz::TimeZone};
use serde_json::Value;

use super::client::Service;

/// Keys whose values are instants where they look like ones, beside all that end in `_at`.
const KEYS: [&str; 5] = ["at", "now", "since", "time", "until"];

/// The zone that a running service is configured with; UTC where it does not say.
pub(super) async fn zone_of(service: &Service) -> TimeZone {
    let status = service.read("/api/v1/status").await;
    status.map_or(TimeZone::UTC, |status| zone_in(&status))
}

/// The zone that a status names.
pub(super) fn zone_in(status: &Value) -> TimeZone {
    let name = status["time_zone"].as_str().unwrap_or("UTC");
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// An answer with its instants in a zone.
pub(super) fn localised(mut answer: Value, zone: &TimeZone) -> Value {
    walk(&mut answer, zone);
    answer
}

fn walk(value: &mut Value, zone: &TimeZone) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, zone)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let told = key.ends_with("_at") || KEYS.contains(&key.as_str());
                match value {
                    Value::String(text) if key == "because" || key == "waits_for" => {
                        *text = sentence(text, zone);
                    }
                    Value::String(text) if told => {
                        if let Ok(at) = text.parse() {
                            *text = shown(at, zone);
                        }
                    }
                    value => walk(value, zone),
                }
            }
        }
        _ => {}
    }
}

/// A sentence with the instants in it in a zone.
fn sentence(text: &str, zone: &TimeZone) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([')', ',']);
        match bare.parse() {
            Ok(at) => shown(at, zone) + &word[bare.len()..],
            Err(_) => word.to_owned(),
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// An instant in a zone.
pub(super) fn shown(at: Timestamp, zone: &TimeZone) -> String {
    let at = at.round(Unit::Second).unwrap_or(at);
    at.display_with_offset(zone.to_offset(at)).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instants_are_told_in_the_zone_and_nothing_else_is_touched() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let answer = json!({
            "created_at": "2026-03-02T01:00:00.6Z", "next_attempt_at": null, "at": "soon",
            "because": "moving (silence ab by bob, until 2026-03-02T01:00:00.6Z)",
            "items": [{"since": "2026-03-02T01:00:00Z", "tag": "2026-03-02T01:00:00Z"}],
        });
        let told = json!({
            "created_at": "2026-03-02T09:00:01+08:00", "next_attempt_at": null, "at": "soon",
            "because": "moving (silence ab by bob, until 2026-03-02T09:00:01+08:00)",
            "items": [{"since": "2026-03-02T09:00:00+08:00", "tag": "2026-03-02T01:00:00Z"}],
        });
        assert_eq!(localised(answer, &zone), told);
    }
}
