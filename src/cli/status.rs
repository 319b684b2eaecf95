//! `status`: what a running service says of itself.

use clap::Args;
use serde_json::Value;

use super::{
    Printed,
    client::Service,
    exit::{Exit, Failure},
    load::plural,
    local, output,
    table::{Table, printable},
};

/// How to print what the service says.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,
}

/// Prints the status. Exit code 1 when the service is not ready.
///
/// # Errors
/// The service can't be reached or refuses.
pub async fn run(args: &StatusArgs, service: &Service) -> Result<Exit, Failure> {
    let status = service.read("/api/v1/status").await?;
    if !status["readiness"].is_object() {
        let message = "what answered is no triggerbell; check --url or `api.listen`";
        return Err(Failure::new(Exit::Unavailable, message));
    }
    let ready = status["readiness"]["ready"].as_bool().unwrap_or(false);
    let zone = local::zone_in(&status);
    match args.format {
        Printed::Json => output::line(format_args!("{status:#}"))?,
        Printed::Text => output::print(text(&local::localised(status, &zone)))?,
    }
    Ok(if ready { Exit::Done } else { Exit::No })
}

fn text(status: &Value) -> String {
    let rules = status["rules"].as_u64().unwrap_or(0);
    let mut text = format!(
        "triggerbell {} · {} · started {}\n",
        word(&status["version"]),
        plural(usize::try_from(rules).unwrap_or(usize::MAX), "rule"),
        word(&status["started_at"]),
    );
    let reload = &status["reload"];
    if reload.is_object() {
        let (at, result) = (word(&reload["at"]), word(&reload["result"]));
        let why = reload["detail"].as_str().map_or(String::new(), |why| format!(": {why}"));
        text += &format!("reloaded {at}: {result}{}\n", printable(&why));
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for problem in list(&status["readiness"]["problems"]) {
        text += &format!("not ready: {}\n", printable(&word(&problem)));
    }
    for alarm in list(&status["alarms"]) {
        let message = printable(&word(&alarm["message"]));
        text += &format!("alarm since {}: {message}\n", word(&alarm["since"]));
    }
    let mut sources =
        Table::new(&["SOURCE", "STATE", "REPOS", "EVERY", "READ AT", "ENTRIES", "ERROR"]);
    for (name, source) in status["sources"].as_object().into_iter().flatten() {
        sources.row([
            name.clone(),
            word(&source["state"]),
            word(&source["repos"]),
            every(source),
            word(&source["read_at"]),
            word(&source["entries"]),
            error_of(source),
        ]);
    }
    let mut lanes = Table::new(&["RECEIVER", "LANE", "WAITING", "DELIVERED", "DEAD", "ERROR"]);
    for (name, lane) in status["receivers"].as_object().into_iter().flatten() {
        let closed = lane["closed"].as_str();
        lanes.row([
            name.clone(),
            lane_state(lane, &status["now"]),
            word(&lane["pending"]),
            word(&lane["delivered"]),
            word(&lane["dead"]),
            closed.map_or_else(|| word(&lane["last_error"]), ToOwned::to_owned),
        ]);
    }
    text + "\n" + &sources.render() + "\n" + &lanes.render()
}

/// Whether a lane sends, and when it will, where that is known.
fn lane_state(lane: &Value, now: &Value) -> String {
    let instant = |value: &Value| value.as_str()?.parse::<jiff::Timestamp>().ok();
    let held = instant(&lane["held_until"]) > instant(now);
    match (lane["closed"].as_str(), &lane["next_probe_at"]) {
        (Some(_), Value::Null) => "closed".to_owned(),
        (Some(_), probe) => format!("closed, tried {}", word(probe)),
        (None, _) if held => format!("paused until {}", word(&lane["held_until"])),
        (None, _) => "open".to_owned(),
    }
}

/// How often a source's repositories are asked: those with news, and the slowest of the others where
/// that differs.
fn every(source: &Value) -> String {
    if source["push"].is_object() {
        return "pushed".to_owned();
    }
    let seconds = |value: &Value| value.as_f64().unwrap_or(0.0);
    let slowest = seconds(&source["effective_interval_s"]);
    let busy = seconds(&source["intervals"]["busy_s"]);
    let some_are_busy = source["intervals"]["busy"].as_u64().unwrap_or(0) > 0;
    if some_are_busy && busy + 1.0 < slowest {
        format!("{busy:.1}s..{slowest:.1}s")
    } else {
        format!("{slowest:.1}s")
    }
}

/// Why a source, or the first of its repositories that fail, can't be read.
fn error_of(source: &Value) -> String {
    let failing = &source["failing"][0];
    if let Some(error) = source["discovery"]["last_error"].as_str()
        && source["last_error"].is_null()
        && failing.is_null()
    {
        return format!("discovery: {error}");
    }
    match (&source["last_error"], failing["repo"].as_str()) {
        (Value::Null, Some(repo)) => format!("{repo}: {}", word(&failing["error"])),
        (error, _) => word(error),
    }
}

/// A value as one word or sentence; a dash for none.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
