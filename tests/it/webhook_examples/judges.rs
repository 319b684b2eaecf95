//! What each of the examples' receivers checks of a request, and how it answers.
//!
//! Each judge works signatures out by itself, from the request alone. What could not be verified of
//! the real ones is left to them.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::receiver::Seen;

/// How a request was judged.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// Why it was refused.
    pub(super) why: Option<String>,
}

/// One of the receivers.
#[derive(Clone, Copy)]
pub(super) struct Judge {
    /// The example's name.
    pub(super) name: &'static str,
    /// The variable of its address, and the path.
    pub(super) address: (&'static str, &'static str),
    /// The variables of its secrets.
    pub(super) secrets: &'static [(&'static str, &'static str)],
    /// Variables with wrong values, and a word of what is then said.
    pub(super) wrong: &'static [(&'static str, &'static str, &'static str)],
    /// Whether it holds everything when it is busy.
    pub(super) throttles: bool,
    pub(super) judge: fn(&Seen, Timestamp) -> Verdict,
    pub(super) busy: fn() -> Verdict,
}

const DINGTALK_SECRET: &str = "SEC1f2e3d4c5b6a79880716253443526170";
const FEISHU_SECRET: &str = "Qm9kYXRhLXNlY3JldA";
const PAGERDUTY_KEY: &str = "0123456789abcdef0123456789abcdef";

pub(super) const JUDGES: &[Judge] = &[
    Judge {
        name: "dingtalk",
        address: ("DINGTALK_URL", "/robot/send?access_token=5fe8c1"),
        secrets: &[("DINGTALK_SECRET", DINGTALK_SECRET)],
        wrong: &[
            ("DINGTALK_SECRET", "SECwrong", "sign not match"),
            ("DINGTALK_URL", "/robot/send?access_token=other", "token is not exist"),
        ],
        throttles: true,
        judge: |seen, now| code_of(dingtalk(seen, now), "errcode", "errmsg", 310_000),
        busy: || answered(200, &json!({"errcode": 130_101, "errmsg": "send too fast"})),
    },
    Judge {
        name: "feishu",
        address: ("FEISHU_URL", "/open-apis/bot/v2/hook/0e1f"),
        secrets: &[("FEISHU_SECRET", FEISHU_SECRET)],
        wrong: &[("FEISHU_SECRET", "wrong", "sign match fail")],
        throttles: true,
        judge: |seen, now| code_of(feishu(seen, now), "code", "msg", 19_021),
        busy: || answered(200, &json!({"code": 11_232, "msg": "frequency limited"})),
    },
    Judge {
        name: "teams",
        address: ("TEAMS_URL", "/workflows/7/triggers/manual/paths/invoke?sig=a%2Bb-c_d"),
        secrets: &[],
        wrong: &[("TEAMS_URL", "/workflows/7/triggers/manual/paths/invoke?sig=x", "401")],
        throttles: true,
        judge: |seen, _| match teams(seen) {
            Ok(()) => Verdict { status: 202, headers: vec![], body: String::new(), why: None },
            Err(why) => {
                let status = if why.contains("signature") { 401 } else { 400 };
                refused(status, &json!({"error": {"code": "Refused", "message": why}}), why)
            }
        },
        busy: || {
            let mut verdict = answered(429, &json!({"error": {"code": "TooManyRequests"}}));
            verdict.headers.push(("retry-after", "3".to_owned()));
            verdict
        },
    },
    Judge {
        name: "discord",
        address: ("DISCORD_URL", "/api/webhooks/7/s3cr3t-t0ken"),
        secrets: &[],
        wrong: &[("DISCORD_URL", "/api/webhooks/7/other", "Invalid Webhook Token")],
        throttles: true,
        judge: |seen, _| match discord(seen) {
            Ok(content) => {
                let id = "1099511627776";
                answered(200, &json!({"id": id, "channel_id": "42", "content": content}))
            }
            Err((status, code, why)) => {
                refused(status, &json!({"message": why, "code": code}), why.to_owned())
            }
        },
        busy: || {
            let body = json!({"message": "You are being rate limited.", "retry_after": 0.4, "global": false});
            answered(429, &body)
        },
    },
    Judge {
        name: "pagerduty",
        address: ("PAGERDUTY_URL", "/v2/enqueue"),
        secrets: &[("PAGERDUTY_KEY", PAGERDUTY_KEY)],
        wrong: &[("PAGERDUTY_KEY", "0123", "Event object is invalid")],
        throttles: true,
        judge: |seen, _| match pagerduty(seen) {
            Ok(key) => {
                let body =
                    json!({"status": "success", "message": "Event processed", "dedup_key": key});
                answered(202, &body)
            }
            Err(why) => {
                let body = json!({
                    "status": "invalid event", "message": "Event object is invalid", "errors": [why],
                });
                refused(400, &body, why)
            }
        },
        busy: || answered(429, &json!({"status": "throttle exceeded"})),
    },
    Judge {
        name: "alertmanager",
        address: ("ALERTMANAGER_URL", "/api/v2/alerts"),
        secrets: &[],
        wrong: &[("ALERTMANAGER_URL", "/api/v1/alerts", "404")],
        throttles: false,
        judge: |seen, _| match alertmanager(seen) {
            Ok(()) => Verdict { status: 200, headers: vec![], body: String::new(), why: None },
            Err(why) => {
                let status = if seen.path == "/api/v2/alerts" { 400 } else { 404 };
                refused(status, &json!(why), why.clone())
            }
        },
        busy: || answered(503, &json!("not ready")),
    },
];

fn answered(status: u16, body: &Value) -> Verdict {
    Verdict { status, headers: Vec::new(), body: body.to_string(), why: None }
}

fn refused(status: u16, body: &Value, why: String) -> Verdict {
    Verdict { why: Some(why), ..answered(status, body) }
}

/// An answer that is always 200 and says in a code what it means.
fn code_of(judged: Result<(), (i64, String)>, code: &str, message: &str, all: i64) -> Verdict {
    match judged {
        Ok(()) => answered(200, &json!({code: 0, message: "ok"})),
        Err((number, why)) => {
            let number = if number == 0 { all } else { number };
            refused(200, &json!({code: number, message: why}), why)
        }
    }
}

fn ensure(holds: bool, why: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

/// The body of a POST of JSON.
fn posted_json(seen: &Seen, most_bytes: usize) -> Result<Value, String> {
    ensure(seen.method == "POST", "the method is not POST")?;
    let content_type = seen.headers.get("content-type").and_then(|value| value.to_str().ok());
    ensure(content_type.is_some_and(|kind| kind.starts_with("application/json")), "not JSON")?;
    ensure(seen.body.len() <= most_bytes, "the body is too large")?;
    serde_json::from_str(&seen.body).map_err(|error| error.to_string())
}

fn parameter(seen: &Seen, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(&format!("http://x{}", seen.path)).unwrap();
    let mut found = url.query_pairs().filter(|(key, _)| key == name);
    let value = found.next()?.1.into_owned();
    found.next().is_none().then_some(value)
}

fn signature(key: &str, message: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    BASE64_STANDARD.encode(mac.chain_update(message).finalize().into_bytes())
}

/// Whether a time is within an hour of now.
fn is_fresh(at_ms: i64, now: Timestamp) -> bool {
    at_ms.abs_diff(now.as_millisecond()) <= 3_600_000
}

fn texts_of<'v>(value: &'v Value, name: &str) -> Vec<&'v str> {
    match value {
        Value::Array(items) => items.iter().flat_map(|item| texts_of(item, name)).collect(),
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if key == name => vec![text.as_str()],
                other => texts_of(other, name),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn dingtalk(seen: &Seen, now: Timestamp) -> Result<(), (i64, String)> {
    let plainly = |why: String| (0, why);
    let token = parameter(seen, "access_token");
    if !seen.path.starts_with("/robot/send?") || token.as_deref() != Some("5fe8c1") {
        return Err((300_005, "token is not exist".to_owned()));
    }
    let timestamp = parameter(seen, "timestamp").unwrap_or_default();
    let at: i64 = timestamp.parse().map_err(|_| plainly("no timestamp".to_owned()))?;
    ensure(timestamp.len() == 13 && is_fresh(at, now), "timestamp is invalid").map_err(plainly)?;
    let sign = signature(DINGTALK_SECRET, &format!("{timestamp}\n{DINGTALK_SECRET}"));
    let given = parameter(seen, "sign");
    ensure(given.as_deref() == Some(&*sign), "sign not match").map_err(plainly)?;
    let body = posted_json(seen, 20_000).map_err(|why| (40_035, why))?;
    let text = body["text"]["content"].as_str().unwrap_or_default();
    let sound = body["msgtype"] == "text" && !text.trim().is_empty();
    ensure(sound && body["at"]["isAtAll"] != true, "no text").map_err(|why| (40_035, why))
}

fn feishu(seen: &Seen, now: Timestamp) -> Result<(), (i64, String)> {
    let wrong = |why: String| (9_499, why);
    let body = posted_json(seen, 20_000).map_err(wrong)?;
    // A text, not a number.
    let timestamp = body["timestamp"].as_str().unwrap_or_default();
    let at: i64 = timestamp.parse().unwrap_or_default();
    let fail = "sign match fail or timestamp is not within one hour from current time";
    let sign = signature(&format!("{timestamp}\n{FEISHU_SECRET}"), "");
    let signed = body["sign"] == sign && is_fresh(at * 1000, now);
    ensure(signed, fail).map_err(|why| (19_021, why))?;
    ensure(body["msg_type"] == "interactive", "unknown msg_type").map_err(wrong)?;
    let card = &body["card"];
    let title = card["header"]["title"]["content"].as_str().unwrap_or_default();
    let elements = card["elements"].as_array().map_or(0, Vec::len);
    ensure(!title.is_empty() && elements > 0, "an empty card").map_err(wrong)?;
    let plain =
        texts_of(card, "tag").into_iter().all(|tag| ["plain_text", "div", "note"].contains(&tag));
    ensure(plain, "foreign text could page somebody").map_err(wrong)
}

fn teams(seen: &Seen) -> Result<(), String> {
    ensure(parameter(seen, "sig").as_deref() == Some("a+b-c_d"), "the signature is wrong")?;
    let body = posted_json(seen, 28 * 1024)?;
    ensure(body["type"] == "message", "no message")?;
    let attachment = &body["attachments"][0];
    let kind = "application/vnd.microsoft.card.adaptive";
    ensure(attachment["contentType"] == kind, "no adaptive card")?;
    let card = &attachment["content"];
    ensure(card["type"] == "AdaptiveCard" && card["version"].is_string(), "no adaptive card")?;
    let blocks = card["body"].as_array().filter(|blocks| !blocks.is_empty());
    for block in blocks.ok_or("an empty card")? {
        let runs = block["inlines"].as_array().filter(|runs| !runs.is_empty());
        ensure(block["type"] == "RichTextBlock", "a block that reads markdown")?;
        for run in runs.ok_or("an empty block")? {
            ensure(run["type"] == "TextRun" && run["text"].is_string(), "no text in a run")?;
        }
    }
    Ok(())
}

fn discord(seen: &Seen) -> Result<String, (u16, i64, &'static str)> {
    let (path, _) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    if path != "/api/webhooks/7/s3cr3t-t0ken" {
        return Err((401, 50_027, "Invalid Webhook Token"));
    }
    if parameter(seen, "wait").as_deref() != Some("true") {
        // The real one would answer 204 without a body.
        return Err((400, 0, "not asked to wait"));
    }
    let Ok(body) = posted_json(seen, 1_000_000) else { return Err((400, 50_109, "not JSON")) };
    let content = body["content"].as_str().unwrap_or_default();
    if content.trim().is_empty() {
        return Err((400, 50_006, "Cannot send an empty message"));
    }
    if content.chars().count() > 2_000 {
        return Err((400, 50_035, "Must be 2000 or fewer in length."));
    }
    if body["allowed_mentions"] != json!({"parse": []}) {
        return Err((400, 0, "somebody would be paged"));
    }
    if content.matches('`').count() % 2 != 0 {
        return Err((400, 0, "foreign text broke out of its code"));
    }
    Ok(content.to_owned())
}

fn pagerduty(seen: &Seen) -> Result<String, String> {
    let body = posted_json(seen, 512 * 1024)?;
    ensure(seen.path == "/v2/enqueue", "no such path")?;
    ensure(body["routing_key"] == PAGERDUTY_KEY, "'routing_key' is invalid")?;
    let action = body["event_action"].as_str().unwrap_or_default();
    ensure(["trigger", "acknowledge", "resolve"].contains(&action), "'event_action' is invalid")?;
    let key = body["dedup_key"].as_str().unwrap_or_default();
    ensure((1..=255).contains(&key.chars().count()), "'dedup_key' is invalid")?;
    let payload = &body["payload"];
    let summary = payload["summary"].as_str().unwrap_or_default();
    ensure((1..=1024).contains(&summary.chars().count()), "'payload.summary' is invalid")?;
    ensure(payload["source"].as_str().is_some_and(|text| !text.is_empty()), "no 'payload.source'")?;
    let severity = payload["severity"].as_str().unwrap_or_default();
    let known = ["critical", "error", "warning", "info"];
    ensure(known.contains(&severity), "'payload.severity' is invalid")?;
    let time = payload["timestamp"].as_str().unwrap_or_default().parse::<Timestamp>();
    ensure(time.is_ok(), "'payload.timestamp' is invalid")?;
    let resolves = payload["custom_details"]["entries"][0]["returnCode"] == 0;
    ensure((action == "resolve") == resolves, "what went well is to be resolved")?;
    Ok(key.to_owned())
}

fn alertmanager(seen: &Seen) -> Result<(), String> {
    ensure(seen.path == "/api/v2/alerts", "no such path")?;
    let body = posted_json(seen, 1_000_000)?;
    let alerts = body.as_array().filter(|alerts| !alerts.is_empty()).ok_or("no alerts")?;
    for alert in alerts {
        for part in ["labels", "annotations"] {
            let map = alert[part].as_object().ok_or_else(|| format!("no {part}"))?;
            for (name, value) in map {
                let mut letters = name.chars();
                let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
                let rest = letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
                ensure(first && rest, "a label's name is invalid")?;
                ensure(value.is_string(), "a label is no text")?;
            }
        }
        ensure(alert["labels"]["alertname"].as_str() != Some(""), "no alertname")?;
        let time = |name: &str| match &alert[name] {
            Value::Null => Ok(None),
            other => other.as_str().unwrap_or_default().parse::<Timestamp>().map(Some),
        };
        let starts = time("startsAt").map_err(|error| error.to_string())?;
        let ends = time("endsAt").map_err(|error| error.to_string())?;
        if let (Some(starts), Some(ends)) = (starts, ends) {
            ensure(starts <= ends, "start time must be before end time")?;
        }
    }
    Ok(())
}
