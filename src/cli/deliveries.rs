//! `deliveries`: notifications of a running service, and another try for one, or for dead letters.

use std::io::{self, BufRead, IsTerminal, Read};

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::{document::parse_duration, domain::notification::NotificationState};

use super::{
    Printed,
    client::Service,
    exit::{Exit, Failure},
    load::plural,
    local, output,
    status::word,
    table::{Table, printable},
};

/// What to do with notifications.
#[derive(Debug, Clone, Subcommand)]
pub enum DeliveriesCommand {
    /// List notifications, newest first
    List(ListArgs),
    /// Show one with its attempts and what is sent
    Show(IdArgs),
    /// Try a dead or waiting one, or a receiver's dead letters, again at once, under the same ids
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

    /// Go on where a list ended: what it said as --cursor, or `next` in JSON
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,

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

/// What to try again, and where.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct RetryArgs {
    /// Its id, 32 hexadecimal digits
    #[arg(group = "which")]
    id: Option<String>,

    /// All dead letters of this receiver that were given up since --since
    #[arg(long, value_name = "NAME", group = "which", requires = "since")]
    receiver: Option<String>,

    /// An instant (RFC 3339), or how long ago: 2h
    #[arg(long, value_name = "WHEN", requires = "receiver", value_parser = since)]
    since: Option<String>,

    /// Another receiver in place of its own; the text is made anew for it
    #[arg(long, value_name = "RECEIVER")]
    to: Option<String>,

    /// Only say how many that would be
    #[arg(long, requires = "receiver")]
    preview: bool,

    /// Don't ask, where standard input is a terminal
    #[arg(long, requires = "receiver")]
    yes: bool,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Printed,
}

/// Since when, as it was written.
fn since(text: &str) -> Result<String, String> {
    if parse_duration(text).is_ok() || text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("write an instant as 2026-03-02T09:00:00+08:00, or how long ago as 2h".to_owned())
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
    let Some(id) = &args.id else { return retry_dead(args, service).await };
    let path = format!("/api/v1/notifications/{}/retry", checked_id(id)?);
    let wish = match &args.to {
        Some(to) => json!({ "receiver": to }),
        None => json!({}),
    };
    let answer = service.write(&path, &wish).await?;
    match args.format {
        Printed::Json => output::line(format_args!("{answer:#}"))?,
        Printed::Text => output::line(format_args!("{id} is tried again"))?,
    }
    Ok(Exit::Done)
}

async fn retry_dead(args: &RetryArgs, service: &Service) -> Result<Exit, Failure> {
    let receiver = args.receiver.as_deref().unwrap_or_default();
    let ask = !args.yes && !args.preview && io::stdin().is_terminal();
    if ask {
        let count = dead_letters(args, service, true).await?;
        let to = args.to.as_deref().unwrap_or(receiver);
        output::note(format_args!("send {} to {to} again? [y/N] ", letters(count)));
        let mut answer = String::new();
        let read = io::stdin().lock().take(16).read_line(&mut answer);
        if read.is_err() || !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new(Exit::No, "nothing was done"));
        }
    }
    let count = dead_letters(args, service, args.preview).await?;
    match (args.format, args.preview) {
        (Printed::Json, _) => output::line(format_args!("{:#}", json!({ "count": count })))?,
        (Printed::Text, true) => output::line(format_args!("{} of {receiver}", letters(count)))?,
        (Printed::Text, false) => {
            output::line(format_args!("{} of {receiver} tried again", letters(count)))?;
        }
    }
    Ok(Exit::Done)
}

fn letters(count: u64) -> String {
    plural(usize::try_from(count).unwrap_or(usize::MAX), "dead letter")
}

/// Has a receiver's dead letters tried again, or counted, a bounded number with each request.
async fn dead_letters(args: &RetryArgs, service: &Service, preview: bool) -> Result<u64, Failure> {
    let mut wish = json!({ "receiver": args.receiver, "since": args.since, "preview": preview });
    if let Some(to) = &args.to {
        wish["to"] = json!(to);
    }
    // What a duration goes back from moves on with each request, which never takes more.
    let mut count = 0;
    loop {
        let answer = service.write("/api/v1/notifications/retry", &wish).await?;
        count += answer["count"].as_u64().unwrap_or(0);
        if !answer["next"].is_string() {
            return Ok(count);
        }
        wish["cursor"] = answer["next"].clone();
    }
}

async fn list(args: &ListArgs, service: &Service) -> Result<Exit, Failure> {
    let mut path = format!("/api/v1/notifications?limit={}", args.limit);
    for (name, value) in [
        ("state", &args.state),
        ("receiver", &args.receiver),
        ("rule", &args.rule),
        ("cursor", &args.cursor),
    ] {
        if let Some(value) = value {
            path += &format!("&{name}={}", encode(value));
        }
    }
    let list = service.read(&path).await?;
    if let Some(receiver) = &args.receiver
        && list["items"].as_array().is_some_and(Vec::is_empty)
    {
        known_receiver(receiver, service).await?;
    }
    if args.format == Printed::Json {
        output::line(format_args!("{list:#}"))?;
        return Ok(Exit::Done);
    }
    let next = list["next"].as_str().map(str::to_owned);
    let list = local::localised(list, &local::zone_of(service).await);
    let mut table =
        Table::new(&["ID", "CREATED", "STATE", "RECEIVER", "RULE", "REASON", "TRIES", "LAST"]);
    for item in list["items"].as_array().into_iter().flatten() {
        table.row([
            word(&item["id"]),
            word(&item["created_at"]),
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
    if let Some(next) = next {
        output::note(format_args!("there are more: --cursor {next}\n"));
    }
    Ok(Exit::Done)
}

/// Refuses a receiver that there is not. One that is gone is known by what it left, while that is kept.
async fn known_receiver(name: &str, service: &Service) -> Result<(), Failure> {
    let status = service.read("/api/v1/status").await?;
    match status["receivers"].as_object() {
        Some(receivers) if !receivers.contains_key(name) => {
            let known: Vec<_> = receivers.keys().map(String::as_str).collect();
            let problem = format!("there is no receiver {name}; known: {}", known.join(", "));
            Err(Failure::new(Exit::No, problem))
        }
        _ => Ok(()),
    }
}

async fn show(args: &IdArgs, service: &Service) -> Result<Exit, Failure> {
    let path = format!("/api/v1/notifications/{}", checked_id(&args.id)?);
    let item = service.read(&path).await?;
    if args.format == Printed::Json {
        output::line(format_args!("{item:#}"))?;
        return Ok(Exit::Done);
    }
    let item = shown_locally(item, &local::zone_of(service).await);
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

/// A message with its instants in a zone; what is sent stays as it is.
fn shown_locally(mut item: Value, zone: &TimeZone) -> Value {
    let payload = item.get_mut("payload").map(Value::take);
    let mut item = local::localised(item, zone);
    if let Some(payload) = payload {
        item["payload"] = payload;
    }
    item
}

fn attempts(attempts: &Value) -> String {
    let mut table = Table::new(&["  TRY", "AT", "MS", "CAME TO", "DETAIL"]);
    for attempt in attempts.as_array().into_iter().flatten() {
        let outcome = &attempt["outcome"];
        table.row([
            format!("  {}", word(&attempt["number"])),
            word(&attempt["started_at"]),
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
pub(super) fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
