//! `render`: a template as it would be sent, for one type of receiver or for all of them; with
//! `--serve` in a browser (`serve`).

mod serve;

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    adapters::{
        source::DEFAULT_ZONE,
        templates::{
            ReceiverType, Settings, Templates, Usage, WecomForm, WecomMessage, sample_context,
            usage,
        },
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
    client::ServiceArgs,
    deliveries::checked_id,
    exit::{Exit, Failure},
    load::{self, Files},
    output, sample, service_of, stored,
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

    /// An entry of the running service, or those of a message, by its id
    #[arg(long, value_name = "ID", conflicts_with = "entry")]
    pub id: Option<String>,

    /// Show it in the browser as the chat wall would, and render it again whenever a file is saved
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8091")]
    pub serve: Option<SocketAddr>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,

    /// Where the service is.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// For what a template is rendered.
struct For {
    kind: ReceiverType,
    /// The receiver's name, or its type's.
    name: String,
    form: WecomForm,
    /// Whether any receiver of the type is meant, in whichever form.
    any: bool,
}

impl For {
    fn any(kind: ReceiverType) -> Self {
        Self { kind, name: kind.name().to_owned(), form: WecomForm::default(), any: true }
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
        Ok(Self { kind, name: name.to_owned(), form, any: false })
    }
}

/// What is rendered, once the files are read.
struct Loaded {
    templates: Arc<Templates>,
    zone: TimeZone,
    kinds: Vec<For>,
    /// What of the disk it depends on.
    paths: Vec<PathBuf>,
}

/// Renders and prints, or serves. Uses the configuration's templates where there is a configuration.
///
/// # Errors
/// Templates or the configuration are broken, or there is no such template or entry.
pub async fn run(args: &RenderArgs, files: &Files) -> Result<Exit, Failure> {
    if let Some(addr) = args.serve {
        return serve::run(addr, args, files).await;
    }
    let loaded = loaded(args, files)?;
    let now = Timestamp::now();
    let entries = entries(args, files, &loaded.zone, now).await?;
    for wanted in &loaded.kinds {
        let parts = render(args, &loaded.templates, wanted, &entries, now)?;
        for (number, part) in parts.iter().enumerate() {
            match args.format {
                Printed::Json => output::line(body(&part.payload).0)?,
                Printed::Text => output::line(shown(wanted, number + 1, parts.len(), part))?,
            }
        }
        if args.format == Printed::Text && wanted.any {
            output::print(other_forms(args, &loaded.templates, wanted, &entries, now))?;
        }
    }
    Ok(Exit::Done)
}

/// The entries that are told of.
async fn entries(
    args: &RenderArgs,
    files: &Files,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Vec<Arc<Entry>>, Failure> {
    match &args.id {
        Some(id) => {
            let service = service_of(&args.service, files)?;
            stored::entries(checked_id(id)?, &service, zone).await
        }
        None => sample::entries(args.entry.as_deref(), zone, now),
    }
}

/// Reads the files.
fn loaded(args: &RenderArgs, files: &Files) -> Result<Loaded, Failure> {
    let found = locate(files.config.as_deref(), &load::environment).ok();
    let config = found.as_ref().map(|_| load::config(files, "rendered")).transpose()?;
    let (templates, zone) = templates(config.as_ref())?;
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
    let folder = config.and_then(|config| config.templates_folder);
    Ok(Loaded { templates, zone, kinds, paths: found.into_iter().chain(folder).collect() })
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
    For { kind, name, form, .. }: &For,
    entries: &[Arc<Entry>],
    now: Timestamp,
) -> Result<Vec<Part>, Failure> {
    let labels = BTreeMap::new();
    let context = sample_context(entries, &labels, Reason::Matched, now);
    templates
        .preview_as(&args.template, *kind, form, name, &context)
        .map_err(|error| Failure::new(Exit::Config, error.to_string()))
}

/// How much of the limits it takes in the other forms that a type has: WeCom's.
fn other_forms(
    args: &RenderArgs,
    templates: &Templates,
    wanted: &For,
    entries: &[Arc<Entry>],
    now: Timestamp,
) -> String {
    let mut text = String::new();
    if wanted.kind != ReceiverType::Wecom {
        return text;
    }
    for (app, of) in [(false, "robot"), (true, "app")] {
        for &message in WecomMessage::ALL {
            let form = WecomForm { message, app, ..wanted.form.clone() };
            let other = For { kind: wanted.kind, name: wanted.name.clone(), form, any: true };
            // A robot's markdown was shown, and apps know no second one.
            if other.form == wanted.form || app && message == WecomMessage::MarkdownV2 {
                continue;
            }
            let Ok(parts) = render(args, templates, &other, entries, now) else { continue };
            let Some(part) = parts.first() else { continue };
            let used: Vec<_> =
                usage(other.kind, &other.form, part).iter().map(used_of_allowed).collect();
            let split =
                if parts.len() > 1 { format!(", {} messages", parts.len()) } else { String::new() };
            text += &format!("   as form {message} of a WeCom {of}: {}{split}\n", used.join(", "));
        }
    }
    text
}

fn used_of_allowed(usage: &Usage) -> String {
    let unit = usage.unit.map_or(String::new(), |unit| format!(" {unit}"));
    format!("{}: {} of {}{unit}", usage.what, usage.used, usage.allowed)
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
    let For { kind, name, form, .. } = wanted;
    let mut text = format!("── {name} · message {number} of {of}\n");
    let (body, is_json) = body(&part.payload);
    let json = is_json.then(|| serde_json::from_str::<serde_json::Value>(&body).ok()).flatten();
    text += &json.map_or_else(|| format!("{body}\n"), |json| format!("{json:#}\n"));
    for usage in usage(*kind, form, part) {
        text += &format!("   {}\n", used_of_allowed(&usage));
    }
    text
}
