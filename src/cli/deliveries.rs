//! `deliveries`: notifications of a running service, and another try for one.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::{
    Printed,
    client::Service,
    exit::{Exit, Failure},
    out,
    status::{instant, word},
    table::{Table, printable},
};

/// What to do with notifications.
#[derive(Debug, Clone, Subcommand)]
pub enum DeliveriesCommand {
    /// List notifications, newest first
    List(ListArgs),
    /// Show one with its attempts and what is sent
    Show(IdArgs),
    /// Try a dead or waiting one again at once, under the same id
    Retry(IdArgs),
}

/// Which notifications.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Only in this state: pending, sending, delivered, dead, folded or held
    #[arg(long)]
    state: Option<String>,

    /// Only for this receiver
    #[arg(long)]
    receiver: Option<String>,

    /// Only of this rule
    #[arg(long)]
    rule: Option<String>,

    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,

    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Printed,
}

/// Which notification.
#[derive(Debug, Clone, Args)]
pub struct IdArgs {
    /// Its id, 32 hexadecimal digits
    id: String,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Printed,
}

/// Does it.
///
/// # Errors
/// The service can't be reached or refuses.
pub async fn run(command: &DeliveriesCommand, service: &Service) -> Result<Exit, Failure> {
    match command {
        DeliveriesCommand::List(args) => list(args, service).await,
        DeliveriesCommand::Show(args) => show(args, service).await,
        DeliveriesCommand::Retry(args) => {
            let path = format!("/api/v1/notifications/{}/retry", checked_id(&args.id)?);
            let answer = service.must(Method::POST, &path).await?;
            match args.format {
                Printed::Json => out::line(format_args!("{answer:#}")),
                Printed::Text => out::line(format_args!("{} is tried again", args.id)),
            }
            Ok(Exit::Done)
        }
    }
}

async fn list(args: &ListArgs, service: &Service) -> Result<Exit, Failure> {
    let mut path = format!("/api/v1/notifications?limit={}", args.limit);
    for (name, value) in
        [("state", &args.state), ("receiver", &args.receiver), ("rule", &args.rule)]
    {
        if let Some(value) = value {
            path += &format!("&{name}={}", encode(value));
        }
    }
    let list = service.must(Method::GET, &path).await?;
    if args.format == Printed::Json {
        out::line(format_args!("{list:#}"));
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new(&["ID", "CREATED", "STATE", "RECEIVER", "RULE", "REASON", "TRIES", "LAST"]);
    for item in list["items"].as_array().into_iter().flatten() {
        table.row([
            word(&item["id"]),
            instant(&item["created_at"]),
            item["held_by"]
                .as_str()
                .map_or_else(|| word(&item["state"]), |by| format!("held: {by}")),
            word(&item["receiver"]),
            word(&item["rule"]),
            word(&item["reason"]),
            word(&item["attempts"]),
            word(&item["last_outcome"]["detail"]),
        ]);
    }
    if table.is_empty() {
        eprintln!("no notifications");
    } else {
        out::text(format_args!("{}", table.render()));
    }
    Ok(Exit::Done)
}

async fn show(args: &IdArgs, service: &Service) -> Result<Exit, Failure> {
    let path = format!("/api/v1/notifications/{}", checked_id(&args.id)?);
    let item = service.must(Method::GET, &path).await?;
    if args.format == Printed::Json {
        out::line(format_args!("{item:#}"));
        return Ok(Exit::Done);
    }
    for (name, value) in item.as_object().into_iter().flatten() {
        match name.as_str() {
            "attempt_list" => print_attempts(value),
            "payload" => out::line(format_args!("payload:\n{}", pretty(value))),
            _ => out::line(format_args!("{name}: {}", printable(&word(value)))),
        }
    }
    Ok(Exit::Done)
}

fn print_attempts(attempts: &Value) {
    let mut table = Table::new(&["  TRY", "AT", "MS", "CAME TO", "DETAIL"]);
    for attempt in attempts.as_array().into_iter().flatten() {
        let outcome = &attempt["outcome"];
        table.row([
            format!("  {}", word(&attempt["number"])),
            instant(&attempt["started_at"]),
            word(&attempt["took_ms"]),
            word(&outcome["class"]),
            word(&outcome["detail"]),
        ]);
    }
    out::text(format_args!("attempts made:\n{}", table.render()));
}

fn pretty(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    }
}

fn checked_id(id: &str) -> Result<&str, Failure> {
    if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(id);
    }
    Err(Failure::new(Exit::Usage, format!("{id:?} is not an id: 32 hexadecimal digits")))
}

/// Percent-encodes a query's value.
fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
