//! `deliveries`: notifications of a running service, and another try for one.

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::{Value, json};

use crate::domain::notification::NotificationState;

use super::{
    Printed,
    client::Service,
    exit::{Exit, Failure},
    output,
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
    Retry(RetryArgs),
}

/// Which notifications.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Only in this state
    #[arg(long, value_parser = states())]
    state: Option<String>,

    /// Only for this receiver
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,

    /// Only of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,

    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Printed,
}

fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(NotificationState::ALL.iter().map(|state| state.name()))
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

/// Which notification to try again, and where.
#[derive(Debug, Clone, Args)]
pub struct RetryArgs {
    /// Which one
    #[command(flatten)]
    which: IdArgs,

    /// Another receiver of the same type, in place of its own
    #[arg(long, value_name = "RECEIVER")]
    to: Option<String>,
}

/// Does it.
///
/// # Errors
/// The service can't be reached or refuses.
pub async fn run(command: &DeliveriesCommand, service: &Service) -> Result<Exit, Failure> {
    match command {
        DeliveriesCommand::List(args) => list(args, service).await,
        DeliveriesCommand::Show(args) => show(args, service).await,
        DeliveriesCommand::Retry(args) => retry(args, service).await,
    }
}

async fn retry(args: &RetryArgs, service: &Service) -> Result<Exit, Failure> {
    let id = &args.which.id;
    let path = format!("/api/v1/notifications/{}/retry", checked_id(id)?);
    let wish = match &args.to {
        Some(to) => json!({ "receiver": to }),
        None => json!({}),
    };
    let answer = service.write(&path, &wish).await?;
    match args.which.format {
        Printed::Json => output::line(format_args!("{answer:#}"))?,
        Printed::Text => output::line(format_args!("{id} is tried again"))?,
    }
    Ok(Exit::Done)
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
    let list = service.read(&path).await?;
    if args.format == Printed::Json {
        output::line(format_args!("{list:#}"))?;
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
        output::note("no notifications\n");
    } else {
        output::print(table.render())?;
    }
    Ok(Exit::Done)
}

async fn show(args: &IdArgs, service: &Service) -> Result<Exit, Failure> {
    let path = format!("/api/v1/notifications/{}", checked_id(&args.id)?);
    let item = service.read(&path).await?;
    if args.format == Printed::Json {
        output::line(format_args!("{item:#}"))?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for (name, value) in item.as_object().into_iter().flatten() {
        match name.as_str() {
            "attempt_list" => text += &attempts(value),
            "payload" => text += &format!("payload:\n{}\n", pretty(value)),
            _ => text += &format!("{name}: {}\n", printable(&word(value))),
        }
    }
    output::print(text)?;
    Ok(Exit::Done)
}

fn attempts(attempts: &Value) -> String {
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
    format!("attempts made:\n{}", table.render())
}

/// What is sent, without what could move a terminal's cursor.
fn pretty(value: &Value) -> String {
    match value {
        Value::String(text) => text.lines().map(printable).collect::<Vec<_>>().join("\n"),
        other => format!("{other:#}"),
    }
}

pub(super) fn checked_id(id: &str) -> Result<&str, Failure> {
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
