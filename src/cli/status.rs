//! `status`: what a running service says of itself.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::{
    Printed,
    client::Service,
    exit::{Exit, Failure},
    table::Table,
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
    let status = service.must(Method::GET, "/api/v1/status").await?;
    match args.format {
        Printed::Json => println!("{status:#}"),
        Printed::Text => print!("{}", text(&status)),
    }
    let ready = status["readiness"]["ready"].as_bool().unwrap_or(false);
    Ok(if ready { Exit::Done } else { Exit::No })
}

fn text(status: &Value) -> String {
    let mut text = format!(
        "triggerbell {} · {} rules · started {}\n",
        word(&status["version"]),
        word(&status["rules"]),
        word(&status["started_at"]),
    );
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for problem in list(&status["readiness"]["problems"]) {
        text += &format!("not ready: {}\n", word(&problem));
    }
    for alarm in list(&status["alarms"]) {
        text += &format!("alarm since {}: {}\n", word(&alarm["since"]), word(&alarm["message"]));
    }
    let mut sources =
        Table::new(&["SOURCE", "STATE", "REPOS", "EVERY", "READ AT", "ENTRIES", "ERROR"]);
    for (name, source) in status["sources"].as_object().into_iter().flatten() {
        sources.row([
            name.clone(),
            word(&source["state"]),
            word(&source["repos"]),
            format!("{:.1}s", source["effective_interval_s"].as_f64().unwrap_or(0.0)),
            word(&source["read_at"]),
            word(&source["entries"]),
            word(&source["last_error"]),
        ]);
    }
    let mut lanes = Table::new(&["RECEIVER", "LANE", "WAITING", "DELIVERED", "DEAD", "ERROR"]);
    for (name, lane) in status["receivers"].as_object().into_iter().flatten() {
        let closed = lane["closed"].as_str();
        lanes.row([
            name.clone(),
            if closed.is_some() { "closed" } else { "open" }.to_owned(),
            word(&lane["pending"]),
            word(&lane["delivered"]),
            word(&lane["dead"]),
            closed.map_or_else(|| word(&lane["last_error"]), ToOwned::to_owned),
        ]);
    }
    text + "\n" + &sources.render() + "\n" + &lanes.render()
}

/// A value as one word or sentence; a dash for none.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
