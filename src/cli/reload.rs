//! `reload`: has a running service read its files again.
//!
//! Deliberately absent: reading them, which the service does with its own environment and folders.

use clap::Args;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Printed,
    client::Service,
    exit::{Exit, Failure},
    load::plural,
    output,
    table::printable,
};

/// How to print what came of it.
#[derive(Debug, Clone, Args)]
pub struct ReloadArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,
}

/// Reloads. Exit code 1 when the files were refused; what is wrong is printed as `check` prints it.
///
/// # Errors
/// The service can't be reached or refuses.
pub async fn run(args: &ReloadArgs, service: &Service) -> Result<Exit, Failure> {
    let (status, answer) = service.ask(Method::POST, "/api/v1/reload", Some(&json!({}))).await?;
    let refused = status == StatusCode::UNPROCESSABLE_ENTITY && answer["text"].is_string();
    if refused {
        match args.format {
            Printed::Json => output::line(format_args!("{answer:#}"))?,
            Printed::Text => output::print(answer["text"].as_str().unwrap_or_default())?,
        }
        let detail = answer["detail"].as_str().unwrap_or_default();
        return Err(Failure::new(Exit::No, detail));
    }
    let answer = service.must((status, answer))?;
    match args.format {
        Printed::Json => output::line(format_args!("{answer:#}"))?,
        Printed::Text => output::print(text(&answer))?,
    }
    Ok(Exit::Done)
}

fn text(answer: &Value) -> String {
    let names = |value: &Value| {
        let names = value.as_array().into_iter().flatten();
        names.map(|name| name.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let rules = usize::try_from(answer["rules"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let mut text = format!("loaded: {}\n", plural(rules, "rule"));
    for what in ["added", "removed"] {
        let names = names(&answer[what]);
        if !names.is_empty() {
            text += &format!("{what}: {}\n", printable(&names.join(", ")));
        }
    }
    for what in ["sources", "receivers"] {
        for how in ["added", "removed", "changed"] {
            let names = names(&answer[what][how]);
            if !names.is_empty() {
                text += &format!("{what} {how}: {}\n", printable(&names.join(", ")));
            }
        }
    }
    for line in names(&answer["at_restart"]) {
        text += &format!("not taken up: {}\n", printable(&line));
    }
    let warnings = answer["warnings"].as_array().map_or(0, Vec::len);
    if warnings > 0 {
        text += &format!("{}; `check` prints them\n", plural(warnings, "warning"));
    }
    text
}
