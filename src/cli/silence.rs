//! `silence`: what people want left untold by a running service; and `incidents`, what fails now.
//!
//! Deliberately absent: the language of the clauses, which the service reads.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{app, document::parse_duration};

use super::{
    Printed,
    client::Service,
    deliveries::encode,
    exit::{Exit, Failure},
    load::environment,
    local, output,
    status::word,
    table::Table,
};

/// What to do with silences.
#[derive(Debug, Clone, Subcommand)]
pub enum SilenceCommand {
    /// Begin a silence, or give one another end
    Add(AddArgs),
    /// List the silences that last, with how much they have held
    List(PrintArgs),
    /// End one now
    End(EndArgs),
    /// Say what one would have silenced in the last day
    Preview(PreviewArgs),
}

/// How to print.
#[derive(Debug, Clone, Args)]
pub struct PrintArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,
}

/// A new silence, or another end for one.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("end").required(true))]
pub struct AddArgs {
    /// Clauses as those of a rule's `match`: 'service: pay' or '{service: pay, tag: "v1.*"}'
    #[arg(value_name = "CLAUSES", required_unless_present = "extend", value_parser = app::checked_matchers)]
    clauses: Option<String>,

    /// How long: 2h
    #[arg(long = "for", value_name = "DURATION", group = "end", value_parser = lasting)]
    lasts: Option<String>,

    /// Until an instant (RFC 3339), or `next_success`
    #[arg(long, value_name = "WHEN", group = "end", value_parser = ending)]
    until: Option<String>,

    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,

    /// Who; else the name of the user
    #[arg(long, value_name = "NAME")]
    author: Option<String>,

    /// Give the silence of that id another end
    #[arg(long, value_name = "ID", conflicts_with = "clauses")]
    extend: Option<String>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Printed,
}

/// Which silence.
#[derive(Debug, Clone, Args)]
pub struct EndArgs {
    /// Its id, 32 hexadecimal digits
    id: String,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Printed,
}

/// What to try.
#[derive(Debug, Clone, Args)]
pub struct PreviewArgs {
    /// Clauses as those of a rule's `match`
    #[arg(value_name = "CLAUSES", value_parser = app::checked_matchers)]
    clauses: String,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Printed,
}

/// How long a silence lasts, as it was written.
fn lasting(text: &str) -> Result<String, String> {
    match parse_duration(text) {
        Ok(lasts) if lasts.is_zero() => Err("a silence of no length silences nothing".to_owned()),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; write a duration as 2h")),
    }
}

/// When a silence ends, as it was written.
fn ending(text: &str) -> Result<String, String> {
    if text == "next_success" || text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("write an instant as 2026-03-02T09:00:00+08:00, or next_success".to_owned())
}

const PATH: &str = "/api/v1/silences";

/// Does it.
///
/// # Errors
/// The service can't be reached or refuses.
pub async fn run(command: &SilenceCommand, service: &Service) -> Result<Exit, Failure> {
    match command {
        SilenceCommand::Add(args) => add(args, service).await,
        SilenceCommand::List(args) => list(args, service).await,
        SilenceCommand::End(args) => {
            let id = super::deliveries::checked_id(&args.id)?;
            let path = format!("{PATH}/{id}");
            let answer =
                service.must(service.ask(Method::DELETE, &path, Some(&json!({}))).await?)?;
            print(&answer, (args.format, service), |silence| {
                format!("{id} is over; it held {}\n", word(&silence["held"]))
            })
            .await
        }
        SilenceCommand::Preview(args) => {
            let wish = json!({ "matchers": args.clauses, "preview": true });
            let answer = service.write(PATH, &wish).await?;
            print(&answer, (args.format, service), preview).await
        }
    }
}

async fn add(args: &AddArgs, service: &Service) -> Result<Exit, Failure> {
    let mut wish = match (&args.extend, &args.clauses) {
        (Some(id), _) => json!({ "id": super::deliveries::checked_id(id)? }),
        (None, clauses) => {
            let known = || environment("USER").or_else(|| environment("LOGNAME"));
            let author = args.author.clone().or_else(known);
            let Some(author) = author.filter(|author| !author.is_empty()) else {
                return Err(Failure::new(Exit::Usage, "say who wants it: --author NAME"));
            };
            json!({ "matchers": clauses, "author": author, "comment": args.comment })
        }
    };
    for (name, value) in [("for", &args.lasts), ("until", &args.until)] {
        if let Some(value) = value {
            wish[name] = json!(value);
        }
    }
    let answer = service.write(PATH, &wish).await?;
    print(&answer, (args.format, service), |silence| {
        format!("{} lasts until {}\n", word(&silence["id"]), end_of(silence))
    })
    .await
}

async fn list(args: &PrintArgs, service: &Service) -> Result<Exit, Failure> {
    let answer = service.read(PATH).await?;
    print(&answer, (args.format, service), |answer| {
        let mut table = Table::new(&["ID", "MATCHERS", "UNTIL", "HELD", "AUTHOR", "COMMENT"]);
        for silence in answer["items"].as_array().into_iter().flatten() {
            table.row([
                word(&silence["id"]),
                matchers(&silence["matchers"]),
                end_of(silence),
                word(&silence["held"]),
                word(&silence["author"]),
                word(&silence["comment"]),
            ]);
        }
        table.render()
    })
    .await
}

fn matchers(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn end_of(silence: &Value) -> String {
    match silence["until"].as_str() {
        Some("next_success") => "the next success".to_owned(),
        _ => word(&silence["until"]),
    }
}

fn preview(preview: &Value) -> String {
    let mut text = format!(
        "since {}: {} entries match, {} messages about them were sent\n",
        word(&preview["since"]),
        word(&preview["entries"]),
        word(&preview["notifications"]),
    );
    for (rule, count) in preview["rules"].as_object().into_iter().flatten() {
        text += &format!("  {} of rule {}\n", word(count), super::table::printable(rule));
    }
    if preview["complete"] == json!(false) {
        text += "there is more of that time than was looked at\n";
    }
    text
}

/// Which incidents, and how to print them.
#[derive(Debug, Clone, Args)]
pub struct IncidentsArgs {
    /// Only of this rule
    #[arg(long)]
    pub rule: Option<String>,
    #[command(flatten)]
    print: PrintArgs,
}

/// Prints the incidents of a running service.
///
/// # Errors
/// The service can't be reached or refuses.
pub async fn incidents(args: &IncidentsArgs, service: &Service) -> Result<Exit, Failure> {
    let query = args.rule.as_deref().map(|rule| format!("?rule={}", encode(rule)));
    let answer = service.read(&format!("/api/v1/incidents{}", query.unwrap_or_default())).await?;
    print(&answer, (args.print.format, service), |answer| {
        let mut table = Table::new(&["RULE", "WHAT", "SINCE", "FAILURES", "STATE", "KEY"]);
        for incident in answer["items"].as_array().into_iter().flatten() {
            let state = match (incident["held_by"].as_str(), incident["flapping"].as_bool()) {
                (Some(by), _) => format!("held by {by}"),
                (None, Some(true)) => "flapping".to_owned(),
                _ => "told".to_owned(),
            };
            let key = incident["key"].as_object().into_iter().flatten();
            let key = key.filter(|(_, text)| !text.is_null());
            let key: Vec<_> = key.map(|(name, text)| format!("{name}={}", word(text))).collect();
            table.row([
                word(&incident["rule"]),
                word(&incident["reason"]),
                word(&incident["since"]),
                word(&incident["count"]),
                state,
                key.join(" "),
            ]);
        }
        table.render()
    })
    .await
}

async fn print(
    answer: &Value,
    (format, service): (Printed, &Service),
    text: impl FnOnce(&Value) -> String,
) -> Result<Exit, Failure> {
    match format {
        Printed::Json => output::line(format_args!("{answer:#}"))?,
        Printed::Text => {
            let zone = local::zone_of(service).await;
            output::print(text(&local::localised(answer.clone(), &zone)))?;
        }
    }
    Ok(Exit::Done)
}
