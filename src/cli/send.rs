//! `send`: a test message to a receiver by the true path: its template, its limits, its adapter.
//!
//! Deliberately absent: the outbox. One attempt is made and its outcome is said.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    app,
    domain::{
        notification::{NotificationId, Reason},
        outcome::{Class, Outcome, OutcomeRecord, Scope},
        rule::Severity,
    },
    ports::{Context, Delivery, RenderRequest, Renderer},
};

use super::{
    Printed,
    exit::{Exit, Failure},
    load::{self, Files},
    output, sample,
};

/// What to send and where.
#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// The receiver's name
    #[arg(value_name = "RECEIVER")]
    pub receiver: String,

    /// The template, in place of the receiver's
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,

    /// A file with the entry to tell of, `-` for standard input; else a sample
    #[arg(long, value_name = "FILE")]
    pub entry: Option<String>,

    /// How to print what came of it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,
}

/// Sends it once. Exit code 1 when the receiver refuses, 69 when it can't be reached now.
///
/// # Errors
/// The configuration or the file is broken, or the template fails.
pub async fn run(args: &SendArgs, files: &Files) -> Result<Exit, Failure> {
    let config = load::config(files, "sent")?;
    let receivers = || config.receivers.iter().map(|receiver| &*receiver.name);
    let Some(index) = receivers().position(|name| name == args.receiver) else {
        let message = load::no_such("receiver", &args.receiver, receivers());
        return Err(Failure::new(Exit::Usage, message));
    };
    let renderer = app::renderer(&config)?;
    let notifier = app::notifiers(&config)?.swap_remove(index);
    let now = Timestamp::now();
    let entries = sample::entries(args.entry.as_deref(), &config.time_zone, now)?;
    let labels = BTreeMap::new();
    let id = NotificationId::of_event("send", &args.receiver, Reason::Test, now.as_millisecond());
    let context = Context {
        id,
        reason: Reason::Test,
        rule: "",
        labels: &labels,
        severity: Severity::Info,
        entries: &entries,
        count: entries.len() as u64,
        more: None,
        incident: None,
        digest: None,
        now,
        message: Some("A test message of triggerbell's."),
        meant_for: None,
    };
    let template = args.template.as_deref();
    let request = RenderRequest { template, receiver: &args.receiver, context: &context };
    let parts = renderer
        .render(&request)
        .map_err(|error| Failure::new(Exit::Config, format!("the template failed: {error}")))?;
    let mut sent = Vec::new();
    for (number, part) in parts.into_iter().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let delivery = Delivery {
            seq: 0,
            id: id.part(number),
            receiver: config.receivers[index].name.clone(),
            key: [0; 16],
            reason: Reason::Test,
            attempt: 1,
            failures: 0,
            plain: false,
            created_at: now,
            payload: part.payload,
            part_of: None,
            earlier: None,
        };
        let outcome = notifier.send(&delivery, Timestamp::now()).await;
        let delivered = outcome.class == Class::Delivered;
        if args.format == Printed::Text {
            said(&args.receiver, &delivery.id, &outcome)?;
        }
        sent.push((delivery.id, outcome));
        if !delivered {
            break;
        }
    }
    match args.format {
        Printed::Text => Ok(Exit::Done),
        Printed::Json => said_whole(&args.receiver, &sent),
    }
}

/// What came of all of it, for programs: the outcomes as the API has them.
fn said_whole(receiver: &str, sent: &[(NotificationId, Outcome)]) -> Result<Exit, Failure> {
    let exit = match sent.last().map(|(_, outcome)| &outcome.class) {
        Some(Class::Delivered) | None => Exit::Done,
        Some(Class::Retry { .. }) => Exit::Unavailable,
        Some(Class::Permanent(_)) => Exit::No,
    };
    let messages = sent
        .iter()
        .map(|(id, outcome)| json!({ "id": id, "outcome": OutcomeRecord::from(outcome) }));
    let messages: Vec<_> = messages.collect();
    let whole =
        json!({ "receiver": receiver, "delivered": exit == Exit::Done, "messages": messages });
    output::line(format_args!("{whole:#}"))?;
    Ok(exit)
}

/// Says that it was delivered, or fails.
fn said(receiver: &str, id: &NotificationId, outcome: &Outcome) -> Result<(), Failure> {
    let status = outcome.status.map_or(String::new(), |status| format!(" (HTTP {status})"));
    let flags: Vec<_> = outcome.flags.iter().map(|flag| flag.name()).collect();
    let flags = if flags.is_empty() { String::new() } else { format!(" [{}]", flags.join(", ")) };
    match outcome.class {
        Class::Delivered => {
            let detail = &outcome.detail;
            output::line(format_args!(
                "delivered to {receiver}{status}{flags}: {detail} · id {id}"
            ))?;
            Ok(())
        }
        Class::Retry { .. } => {
            let message = format!("not delivered{status}{flags}: {}", outcome.detail);
            Err(Failure::new(Exit::Unavailable, message))
        }
        Class::Permanent(scope) => {
            let what = match scope {
                Scope::Message => "this message was refused",
                Scope::Endpoint => "everything is refused until somebody acts",
            };
            let message = format!("{what}{status}{flags}: {}", outcome.detail);
            Err(Failure::new(Exit::No, message))
        }
    }
}
