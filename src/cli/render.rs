//! `render`: a template as it would be sent, for one type of receiver or for all of them.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    adapters::{
        source::DEFAULT_ZONE,
        templates::{ReceiverType, Settings, Templates, WecomForm, sample_context, usage},
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

    /// For this type of receiver, slack, wecom or webhook, or for this one of the configuration;
    /// for all types that it has a form for where left out
    #[arg(long, value_name = "TYPE")]
    pub receiver: Option<String>,

    /// A file with the entries to tell of, `-` for standard input; else a sample
    #[arg(long, value_name = "FILE")]
    pub entry: Option<String>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,
}

/// For what a template is rendered.
struct For {
    kind: ReceiverType,
    /// The receiver's name, or its type's.
    name: String,
    form: WecomForm,
}

impl For {
    fn any(kind: ReceiverType) -> Self {
        Self { kind, name: kind.name().to_owned(), form: WecomForm::default() }
    }

    /// The type of that name, else the configured receiver of that name.
    fn named(name: &str, config: Option<&Config>) -> Result<Self, Failure> {
        if let Some(kind) = ReceiverType::by_name(name) {
            return Ok(Self::any(kind));
        }
        let receivers = config.map(|config| &*config.receivers).unwrap_or_default();
        let found = receivers.iter().find(|receiver| *receiver.name == *name);
        let known = ReceiverType::ALL.iter().map(|kind| kind.name());
        let known = known.chain(receivers.iter().map(|receiver| &*receiver.name));
        let no_such = || Failure::new(Exit::Usage, load::no_such("receiver", name, known));
        let receiver = found.ok_or_else(no_such)?;
        let kind = ReceiverType::by_name(receiver.kind()).unwrap_or(ReceiverType::Webhook);
        let form = receiver.wecom.as_deref().cloned().unwrap_or_default();
        Ok(Self { kind, name: name.to_owned(), form })
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
    let kinds: Vec<For> = match &args.receiver {
        Some(name) => vec![For::named(name, config.as_ref())?],
        None => {
            let fit = all.filter(|kind| templates.check_use(&args.template, *kind).is_ok());
            fit.map(For::any).collect()
        }
    };
    let first = kinds.first().map_or(ReceiverType::Slack, |wanted| wanted.kind);
    templates
        .check_use(&args.template, first)
        .map_err(|problem| Failure::new(Exit::Config, problem.to_string()))?;
    for wanted in &kinds {
        render(args, &templates, wanted, &entries, now)?;
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
    wanted: &For,
    entries: &[Arc<Entry>],
    now: Timestamp,
) -> Result<(), Failure> {
    let For { kind, name, form } = wanted;
    let labels = BTreeMap::new();
    let context = sample_context(entries, &labels, Reason::Matched, now);
    let parts = templates
        .preview_as(&args.template, *kind, form, name, &context)
        .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    for (number, part) in parts.iter().enumerate() {
        match args.format {
            Printed::Json => output::line(body(&part.payload).0)?,
            Printed::Text => output::line(shown(wanted, number + 1, parts.len(), part))?,
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
fn shown(wanted: &For, number: usize, of: usize, part: &Part) -> String {
    let For { kind, name, form } = wanted;
    let mut text = format!("── {name} · message {number} of {of}\n");
    let (body, is_json) = body(&part.payload);
    let json = is_json.then(|| serde_json::from_str::<serde_json::Value>(&body).ok()).flatten();
    text += &json.map_or_else(|| format!("{body}\n"), |json| format!("{json:#}\n"));
    for usage in usage(*kind, form, part) {
        let unit = usage.unit.map_or(String::new(), |unit| format!(" {unit}"));
        text += &format!("   {}: {} of {}{unit}\n", usage.what, usage.used, usage.allowed);
    }
    text
}
