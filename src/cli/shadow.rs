//! `shadow report`: what rules in shadow would have sent.
//!
//! It is read from a running service, which decides and records it; nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{
    Printed,
    client::Service,
    deliveries::encode,
    exit::{Exit, Failure},
    explain::headline,
    load, local, output,
    status::word,
    table::Table,
};

/// Messages that are looked at, the newest, and how many are asked for at once.
const LOOKED_AT: usize = 20_000;
const AT_ONCE: usize = 500;

/// Examples of each rule.
const SAMPLES: usize = 3;

/// What to do with rules in shadow.
#[derive(Debug, Clone, Subcommand)]
pub enum ShadowCommand {
    /// Report what rules in shadow would have sent
    Report(ReportArgs),
}

/// What to report.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Only of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Printed,
}

/// Does it.
///
/// # Errors
/// The service can't be reached or refuses.
pub async fn run(command: &ShadowCommand, service: &Service) -> Result<Exit, Failure> {
    let ShadowCommand::Report(args) = command;
    let mut report = Report::begin(args, service).await?;
    let complete = report.read(args, service).await?;
    if let Some(rule) = args.rule.as_ref().filter(|_| report.rules.is_empty())
        && !report.live.contains(rule)
    {
        let known = report.live.iter().map(String::as_str);
        return Err(Failure::new(Exit::No, load::no_such("rule", rule, known)));
    }
    report.show_entries(service).await?;
    match args.format {
        Printed::Json => output::line(format_args!("{:#}", report.json(complete)))?,
        Printed::Text => {
            report.localise(&local::zone_of(service).await);
            output::print(report.text(complete))?;
        }
    }
    Ok(Exit::Done)
}

#[derive(Default)]
struct Report {
    rules: BTreeMap<String, Shadowed>,
    /// The rules in force.
    live: BTreeSet<String>,
    /// The only rule that is asked about.
    only: Option<String>,
    looked_at: usize,
}

/// What one rule would have sent.
#[derive(Default)]
struct Shadowed {
    /// Whether it is in shadow now.
    now: bool,
    messages: u64,
    reasons: BTreeMap<String, u64>,
    receivers: BTreeMap<String, u64>,
    first_at: Value,
    last_at: Value,
    samples: Vec<Value>,
}

impl Report {
    /// The rules that are in shadow now, which may have matched nothing.
    async fn begin(args: &ReportArgs, service: &Service) -> Result<Self, Failure> {
        let rules = service.read("/api/v1/rules").await?;
        let mut report = Self { only: args.rule.clone(), ..Self::default() };
        for rule in rules["items"].as_array().into_iter().flatten() {
            let name = word(&rule["name"]);
            report.live.insert(name.clone());
            if rule["mode"] == "shadow" && args.rule.as_ref().is_none_or(|one| *one == name) {
                report.rules.entry(name).or_default().now = true;
            }
        }
        Ok(report)
    }

    /// Reads what was held, newest first; false where there is more of it.
    async fn read(&mut self, args: &ReportArgs, service: &Service) -> Result<bool, Failure> {
        let mut query = format!("/api/v1/notifications?held_by=shadow&limit={AT_ONCE}");
        if let Some(rule) = &args.rule {
            query += &format!("&rule={}", encode(rule));
        }
        let mut cursor = String::new();
        loop {
            let page = service.read(&format!("{query}{cursor}")).await?;
            for message in page["items"].as_array().into_iter().flatten() {
                self.looked_at += 1;
                self.rules.entry(word(&message["rule"])).or_default().add(message);
            }
            match page["next"].as_str() {
                None => return Ok(true),
                Some(_) if self.looked_at >= LOOKED_AT => return Ok(false),
                Some(next) => cursor = format!("&cursor={}", encode(next)),
            }
        }
    }

    /// Adds the entry that each example tells of last.
    async fn show_entries(&mut self, service: &Service) -> Result<(), Failure> {
        for sample in self.rules.values_mut().flat_map(|rule| &mut rule.samples) {
            let last = sample["entries"].as_array().and_then(|ids| ids.last()?.as_str());
            let Some(id) = last.map(encode) else { continue };
            let (status, answer) =
                service.ask(reqwest::Method::GET, &format!("/api/v1/entries/{id}"), None).await?;
            if status.is_success() {
                sample["entry"] = answer["entry"].clone();
            }
        }
        Ok(())
    }

    fn json(&self, complete: bool) -> Value {
        let items = self.rules.iter().map(|(name, rule)| {
            json!({
                "rule": name, "in_shadow": rule.now, "messages": rule.messages,
                "reasons": counts(&rule.reasons), "receivers": counts(&rule.receivers),
                "first_at": rule.first_at, "last_at": rule.last_at, "samples": rule.samples,
            })
        });
        let items: Vec<Value> = items.collect();
        json!({ "items": items, "looked_at": self.looked_at, "complete": complete })
    }

    /// Tells instants in a zone.
    fn localise(&mut self, zone: &TimeZone) {
        for rule in self.rules.values_mut() {
            let mut told = json!({ "last_at": rule.last_at, "samples": rule.samples });
            told = local::localised(told, zone);
            rule.last_at = told["last_at"].take();
            rule.samples = told["samples"].as_array().cloned().unwrap_or_default();
        }
    }

    fn text(&self, complete: bool) -> String {
        if self.rules.is_empty() {
            return match &self.only {
                Some(rule) => format!("{rule} is not in shadow, and nothing was held by that\n"),
                None => "no rule is in shadow, and none has held anything\n".to_owned(),
            };
        }
        let mut table = Table::new(&["RULE", "MESSAGES", "REASONS", "RECEIVERS", "LAST"]);
        for (name, rule) in &self.rules {
            let name = if rule.now { name.clone() } else { format!("{name} (live now, or gone)") };
            let (reasons, receivers) = (listed(&rule.reasons), listed(&rule.receivers));
            table.row([name, rule.messages.to_string(), reasons, receivers, word(&rule.last_at)]);
        }
        let mut text = table.render();
        for (name, rule) in self.rules.iter().filter(|(_, rule)| !rule.samples.is_empty()) {
            text += &format!("\n{name} would have sent\n");
            for sample in &rule.samples {
                let [at, reason, receiver] =
                    ["created_at", "reason", "receiver"].map(|it| word(&sample[it]));
                let entry = if sample["entry"].is_null() {
                    String::new()
                } else {
                    headline(&sample["entry"])
                };
                text += &format!("  {at} {reason} to {receiver}: {entry}\n");
            }
        }
        if !complete {
            text += &format!("\nonly the newest {LOOKED_AT} messages were looked at; say --rule\n");
        }
        text
    }
}

impl Shadowed {
    /// Adds a message, which is older than those before.
    fn add(&mut self, message: &Value) {
        self.messages += 1;
        *self.reasons.entry(word(&message["reason"])).or_default() += 1;
        *self.receivers.entry(word(&message["receiver"])).or_default() += 1;
        self.first_at = message["created_at"].clone();
        if self.last_at.is_null() {
            self.last_at = message["created_at"].clone();
        }
        if self.samples.len() < SAMPLES {
            let fields = ["id", "created_at", "receiver", "reason", "key", "entries"];
            let some = fields.map(|name| (name.to_owned(), message[name].clone()));
            self.samples.push(Value::Object(some.into_iter().collect::<Map<_, _>>()));
        }
    }
}

fn counts(of: &BTreeMap<String, u64>) -> Value {
    Value::Object(of.iter().map(|(name, &count)| (name.clone(), count.into())).collect())
}

fn listed(of: &BTreeMap<String, u64>) -> String {
    let all: Vec<_> = of.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}
