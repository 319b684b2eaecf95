//! `plan`: what a configuration asks of the registries' APIs and of the receivers, before it runs.
//!
//! Intervals are those of the engine's own schedule ([`Load`]), so what is said here is what
//! `status` will show. Deliberately absent: what rules will match, which only a history can tell.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    adapters::clock::SystemClock,
    app,
    config::{Config, Source as Configured, SourceSettings},
    domain::{pace::Pace, rule::Mode},
    engine::intake::Load,
    ports::{Clock, Source},
};

use super::{
    Printed,
    amount::{short, span, span_s},
    exit::{Exit, Failure},
    fetch::discovered,
    load::{self, Files, plural, plural_of},
    output,
    table::Table,
};

/// Requests a second that the vendor documents for API 3.0, of either edition.
const API_3_PER_SECOND: f64 = 20.0;

/// Pages that a poll reads at most before its walk counts as a long one.
const SHORT_PAGES: f64 = 8.0;

/// What to assume.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Only this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// Repositories of each source that finds them out, instead of asking the registry
    #[arg(long, value_name = "N")]
    pub repos: Option<usize>,

    /// Requests that a poll of a busy repository takes, in the mean
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = pages)]
    pub pages: f64,

    /// New entries an hour, over all sources, each of which every rule matches
    #[arg(long, value_name = "N")]
    pub entries: Option<u64>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Printed,
}

fn pages(text: &str) -> Result<f64, String> {
    let pages = text.parse::<f64>().ok().filter(|pages| (1.0..=SHORT_PAGES).contains(pages));
    pages.ok_or_else(|| format!("write a number from 1 to {SHORT_PAGES}"))
}

/// Works it out and prints it.
///
/// # Errors
/// The configuration is broken, or a registry can't be asked.
pub async fn run(args: &PlanArgs, files: &Files) -> Result<Exit, Failure> {
    let config = load::config(files, "planned")?;
    if let Some(name) = &args.source
        && config.sources.iter().all(|source| *source.name != **name)
    {
        let names = config.sources.iter().map(|source| &*source.name);
        return Err(Failure::new(Exit::Usage, load::no_such("source", name, names)));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened = app::sources(&config, &clock)?;
    let mut plan = Plan::default();
    for (configured, source) in config.sources.iter().zip(&opened) {
        let wanted = args.source.as_deref().is_none_or(|name| name == &*configured.name);
        match source {
            _ if !wanted => {}
            Some(source) => {
                let repos = count(args, configured, &**source).await?;
                plan.sources.push(SourcePlan::of(configured, repos, args.pages));
            }
            None => plan.pushed.push(configured.name.clone()),
        }
    }
    plan.receivers =
        config.receivers.iter().map(|it| receiver(&config, it, args.entries)).collect();
    plan.note(&config);
    output::print(match args.format {
        Printed::Text => plan.text(),
        Printed::Json => format!("{:#}\n", plan.json()),
    })?;
    Ok(Exit::Done)
}

/// How many repositories a source has.
async fn count(
    args: &PlanArgs,
    configured: &Configured,
    source: &dyn Source,
) -> Result<usize, Failure> {
    match args.repos {
        Some(repos) if configured.discover.is_some() => Ok(repos.max(configured.repos.len())),
        _ => Ok(discovered(configured, source).await?.len()),
    }
}

/// What all of it comes to.
#[derive(Debug, Default)]
struct Plan {
    sources: Vec<SourcePlan>,
    /// Sources that registries push to.
    pushed: Vec<Arc<str>>,
    receivers: Vec<ReceiverPlan>,
    notes: Vec<String>,
}

/// What a source comes to.
#[derive(Debug)]
struct SourcePlan {
    name: Arc<str>,
    kind: &'static str,
    repos: usize,
    load: Load,
    /// How often its repositories are found out, and the requests that it takes.
    discovery: Option<(Duration, usize)>,
    overlap: Duration,
}

/// What a receiver comes to.
#[derive(Debug)]
struct ReceiverPlan {
    name: Arc<str>,
    kind: &'static str,
    pace: Option<Pace>,
    /// The vendor's own limit.
    limit: Option<Pace>,
    /// Live rules that send to it.
    rules: usize,
    /// Messages an hour, if every rule matched every entry.
    messages: Option<u64>,
}

impl SourcePlan {
    fn of(configured: &Configured, repos: usize, requests_per_poll: f64) -> Self {
        let load = Load {
            repos,
            busy: 0,
            requests_per_poll,
            per_second: configured.requests_per_second,
            poll_every: configured.poll_every,
        };
        // Each page begins with the last item of the one before.
        let pages = |items: usize| 1 + items.saturating_sub(2) / 99;
        Self {
            name: configured.name.clone(),
            kind: configured.settings.kind(),
            repos,
            load,
            discovery: configured.discover.as_ref().map(|it| (it.every, pages(repos) + 1)),
            overlap: configured.overlap,
        }
    }

    /// How many repositories are assumed to have news: none, one in a hundred, one in ten, all.
    fn cases(&self) -> Vec<Load> {
        let mut busy = vec![0, self.repos.div_ceil(100), self.repos.div_ceil(10), self.repos];
        busy.dedup();
        busy.into_iter().map(|busy| Load { busy, ..self.load }).collect()
    }

    /// The budget that would ask every repository at the floor.
    fn enough(&self) -> f64 {
        self.repos as f64 * self.load.requests_per_poll / self.load.poll_every.as_secs_f64()
    }

    /// From when all of it is read for the first time: pages of one, and of the most.
    fn first_reading(&self) -> (Duration, Duration) {
        let all = |pages| Load { busy: self.repos, requests_per_poll: pages, ..self.load }.round();
        (all(1.0), all(SHORT_PAGES))
    }

    fn json(&self) -> Value {
        let case = |load: Load| {
            let intervals = load.intervals();
            json!({
                "busy": load.busy,
                "busy_s": intervals.busy.as_secs_f64(),
                "idle_s": intervals.idle.as_secs_f64(),
            })
        };
        let (least, most) = self.first_reading();
        json!({
            "name": self.name,
            "kind": self.kind,
            "repos": self.repos,
            "poll_every_s": self.load.poll_every.as_secs_f64(),
            "requests_per_second": self.load.per_second,
            "requests_per_poll": self.load.requests_per_poll,
            "enough_requests_per_second": self.enough(),
            "api_limit_per_second": api_limit(self.kind),
            "intervals": self.cases().into_iter().map(case).collect::<Vec<_>>(),
            "first_reading_s": [least.as_secs_f64(), most.as_secs_f64()],
            "discovery": self.discovery.map(|(every, requests)| json!({
                "every_s": every.as_secs_f64(), "requests": requests,
            })),
        })
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} ({}): {}, poll_every {}, {} requests a second\n",
            self.name,
            self.kind,
            plural_of(self.repos, "repository", "repositories"),
            span(self.load.poll_every),
            short(self.load.per_second),
        );
        let mut table =
            Table::new(&["  WITH NEWS", "ASKED EVERY", "THE OTHERS EVERY", "REQUESTS/S"]);
        for load in self.cases() {
            let intervals = load.intervals();
            let others = load.repos - load.busy;
            let asked = load.busy as f64 * load.requests_per_poll / intervals.busy.as_secs_f64()
                + others as f64 / intervals.idle.as_secs_f64();
            let or_dash = |some: bool, every| if some { span(every) } else { "-".to_owned() };
            table.row([
                format!("  {}", load.busy),
                or_dash(load.busy > 0, intervals.busy),
                or_dash(others > 0, intervals.idle),
                short(asked),
            ]);
        }
        text += &table.render();
        let (least, most) = self.first_reading();
        text += &format!(
            "  first reading of all   {} to {} (1 to {SHORT_PAGES} pages each)\n",
            span(least),
            span(most)
        );
        text += &format!(
            "  whole overlap of {}   read again by each repository every {}\n",
            span(self.overlap),
            span((self.overlap / 2).max(self.load.intervals().idle))
        );
        if let Some((every, requests)) = self.discovery {
            text += &format!(
                "  discovery              {} every {}\n",
                plural(requests, "request"),
                span(every)
            );
        }
        text
    }
}

fn api_limit(kind: &str) -> Option<f64> {
    matches!(kind, "tcr_personal" | "tcr_enterprise").then_some(API_3_PER_SECOND)
}

fn receiver(
    config: &Config,
    receiver: &crate::config::Receiver,
    entries: Option<u64>,
) -> ReceiverPlan {
    let sends = |rule: &&crate::domain::rule::Rule| {
        rule.mode == Mode::Live && rule.send_to.contains(&receiver.name)
    };
    let rules = config.rules.rules().iter().filter(sends).count();
    ReceiverPlan {
        name: receiver.name.clone(),
        kind: receiver.kind(),
        pace: receiver.pace,
        limit: receiver.settings.kind().default_pace,
        rules,
        messages: entries.map(|entries| entries.saturating_mul(rules as u64)),
    }
}

/// Messages an hour that a pace allows.
fn per_hour(pace: Pace) -> f64 {
    f64::from(pace.count) * 3600.0 / pace.per.as_secs_f64()
}

impl ReceiverPlan {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "kind": self.kind,
            "per_hour": self.pace.map(per_hour),
            "limit_per_hour": self.limit.map(per_hour),
            "rules": self.rules,
            "messages_per_hour": self.messages,
        })
    }

    /// How long a thousand messages take.
    fn thousand(&self) -> String {
        let seconds = |pace: Pace| 1000.0 * pace.per.as_secs_f64() / f64::from(pace.count);
        self.pace.map_or_else(|| "-".to_owned(), |pace| span_s(seconds(pace)))
    }

    fn verdict(&self) -> String {
        match (self.messages, self.pace.map(per_hour)) {
            (None, _) => "-".to_owned(),
            (Some(messages), Some(most)) if messages as f64 > most => {
                format!("{messages}/h, of which {} wait", short(messages as f64 - most))
            }
            (Some(messages), _) => format!("{messages}/h"),
        }
    }
}

impl Plan {
    /// What is beyond a limit, or shared unawares.
    fn note(&mut self, config: &Config) {
        let mut accounts: BTreeMap<String, Vec<&SourcePlan>> = BTreeMap::new();
        let mut notes = Vec::new();
        for source in &self.sources {
            let SourcePlan { name, load, .. } = source;
            if source.enough() > load.per_second {
                notes.push(format!(
                    "{name}: to ask all repositories every {} takes {} requests a second",
                    span(load.poll_every),
                    short(source.enough())
                ));
            }
            let configured = config.sources.iter().find(|it| it.name == *name);
            if let Some(account) = configured.and_then(|it| account(&it.settings)) {
                accounts.entry(account).or_default().push(source);
            }
        }
        for sources in accounts.values() {
            let names: Vec<&str> = sources.iter().map(|source| &*source.name).collect();
            let sum: f64 = sources.iter().map(|source| source.load.per_second).sum();
            let limit = sources.iter().find_map(|source| api_limit(source.kind));
            if let Some(limit) = limit.filter(|limit| sum > *limit) {
                notes.push(format!(
                    "{}: {} requests a second with one account, and the API allows {}",
                    names.join(", "),
                    short(sum),
                    short(limit)
                ));
            }
        }
        for receiver in &self.receivers {
            if let (Some(pace), Some(limit)) = (receiver.pace, receiver.limit)
                && per_hour(pace) > per_hour(limit)
            {
                notes.push(format!(
                    "{}: its pace is {} messages an hour, and {} takes {}",
                    receiver.name,
                    short(per_hour(pace)),
                    receiver.kind,
                    short(per_hour(limit))
                ));
            }
        }
        self.notes = notes;
    }

    fn json(&self) -> Value {
        json!({
            "sources": self.sources.iter().map(SourcePlan::json).collect::<Vec<_>>(),
            "pushed": self.pushed,
            "receivers": self.receivers.iter().map(ReceiverPlan::json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    fn text(&self) -> String {
        let mut text: String = self.sources.iter().map(|source| source.text() + "\n").collect();
        for name in &self.pushed {
            text += &format!("{name}: is pushed to, and asks for nothing\n\n");
        }
        let head = ["RECEIVER", "TYPE", "MESSAGES/H", "1000 TAKE", "RULES", "EXPECTED"];
        let mut table = Table::new(&head);
        for receiver in &self.receivers {
            table.row([
                receiver.name.to_string(),
                receiver.kind.to_owned(),
                receiver.pace.map_or_else(|| "no limit".to_owned(), |pace| short(per_hour(pace))),
                receiver.thousand(),
                receiver.rules.to_string(),
                receiver.verdict(),
            ]);
        }
        if !table.is_empty() {
            text += &table.render();
        }
        for note in &self.notes {
            text += &format!("\nnote: {note}");
        }
        if self.notes.is_empty() { text } else { text + "\n" }
    }
}

/// What the API counts requests by: where, and whose. Used to tell accounts apart, never shown.
fn account(settings: &SourceSettings) -> Option<String> {
    let of = |host: &str, id: &crate::adapters::secret::Secret| {
        Some(id.expose(|id| format!("{host} {id}")))
    };
    match settings {
        SourceSettings::Ccr(it) => of(it.endpoint.host(), &it.secret_id),
        SourceSettings::TcrPersonal(it) => of(it.endpoint.host(), &it.secret_id),
        SourceSettings::TcrEnterprise(it) => of(it.account.endpoint.host(), &it.account.secret_id),
        SourceSettings::Push(_) | SourceSettings::File(_) => None,
    }
}
