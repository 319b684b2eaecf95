//! `render`: a template as it would be sent, for one type of receiver or for all of them.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    adapters::{
        source::DEFAULT_ZONE,
        templates::{ReceiverType, Settings, Templates, sample_context, usage},
    },
    app::StartError,
    config::{Config, locate},
    domain::{
        entry::Entry,
        late::{self, LateMessage},
        notification::Reason,
    },
    ports::{Part, Payload, PayloadFormat},
};

use super::{
    Printed,
    exit::{Exit, Failure},
    load::{self, Files},
    output, sample,
};

/// What to render.
#[derive(Debug, Clone, Args)]
pub struct RenderArgs {
    /// The template's name
    #[arg(value_name = "TEMPLATE")]
    pub template: String,

    /// For this type of receiver; all that it has a form for where left out
    #[arg(long, value_enum, value_name = "TYPE")]
    pub receiver: Option<Kind>,

    /// A file with the entries to tell of, `-` for standard input; else a sample
    #[arg(long, value_name = "FILE")]
    pub entry: Option<String>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,
}

/// A type of receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A Slack incoming webhook
    Slack,
    /// A WeCom group robot
    Wecom,
    /// Any webhook
    Webhook,
}

impl From<Kind> for ReceiverType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Slack => Self::Slack,
            Kind::Wecom => Self::Wecom,
            Kind::Webhook => Self::Webhook,
        }
    }
}

/// Renders and prints. Uses the configuration's templates where there is a configuration.
///
/// # Errors
/// Templates or the configuration are broken, or there is no such template.
pub fn run(args: &RenderArgs, files: &Files) -> Result<Exit, Failure> {
    let config = match locate(files.config.as_deref(), &load::environment) {
        Ok(_) => Some(load::config(files)?),
        Err(_) => None,
    };
    let (templates, zone) = templates(config.as_ref())?;
    let now = Timestamp::now();
    let entries = sample::entries(args.entry.as_deref(), &zone, now)?;
    let all = ReceiverType::ALL.iter().copied();
    let kinds: Vec<ReceiverType> = match args.receiver {
        Some(kind) => vec![kind.into()],
        None => all.filter(|kind| templates.check_use(&args.template, *kind).is_ok()).collect(),
    };
    let first = kinds.first().copied().unwrap_or(ReceiverType::Slack);
    templates
        .check_use(&args.template, first)
        .map_err(|problem| Failure::new(Exit::Config, problem.to_string()))?;
    for kind in kinds {
        render(args, &templates, kind, &entries, now)?;
    }
    Ok(Exit::Done)
}

/// The templates and the zone of the configuration, or the shipped ones.
fn templates(config: Option<&Config>) -> Result<(Arc<Templates>, TimeZone), Failure> {
    if let Some(config) = config {
        return Ok((config.templates.clone(), config.time_zone.clone()));
    }
    // The database is bundled, so the zone is there.
    let zone = TimeZone::get(DEFAULT_ZONE).unwrap_or(TimeZone::UTC);
    let settings = Settings { zone: zone.clone(), public_url: None };
    let templates = Templates::load(None, settings).map_err(StartError::Templates)?;
    Ok((Arc::new(templates), zone))
}

fn render(
    args: &RenderArgs,
    templates: &Templates,
    kind: ReceiverType,
    entries: &[Arc<Entry>],
    now: Timestamp,
) -> Result<(), Failure> {
    let labels = BTreeMap::new();
    let context = sample_context(entries, &labels, Reason::Matched, now);
    let parts = templates
        .preview(&args.template, kind, kind.name(), &context)
        .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    for (number, part) in parts.iter().enumerate() {
        match args.format {
            Printed::Json => output::line(body(&part.payload).0)?,
            Printed::Text => output::line(shown(kind, number + 1, parts.len(), part))?,
        }
    }
    Ok(())
}

/// A message's body and whether it is JSON. What each attempt works out stands there as a template
/// would write it.
fn body(payload: &Payload) -> (Cow<'_, str>, bool) {
    match payload.format {
        PayloadFormat::Text => (Cow::Borrowed(&payload.body), false),
        PayloadFormat::Json => (Cow::Borrowed(&payload.body), true),
        PayloadFormat::Late => match LateMessage::parse(&payload.body) {
            Ok(message) => (Cow::Owned(late::shown(&message.body)), message.json),
            Err(_) => (Cow::Borrowed(&payload.body), false),
        },
    }
}

/// A message with how much of its receiver's limits it uses.
fn shown(kind: ReceiverType, number: usize, of: usize, part: &Part) -> String {
    let mut text = format!("── {kind} · message {number} of {of}\n");
    let (body, is_json) = body(&part.payload);
    let json = is_json.then(|| serde_json::from_str::<serde_json::Value>(&body).ok()).flatten();
    text += &json.map_or_else(|| format!("{body}\n"), |json| format!("{json:#}\n"));
    for usage in usage(kind, part) {
        let unit = usage.unit.map_or(String::new(), |unit| format!(" {unit}"));
        text += &format!("   {}: {} of {}{unit}\n", usage.what, usage.used, usage.allowed);
    }
    text
}
