//! Playing a scenario: its steps in time through a rehearsal, and what was told of it as it would be
//! sent.
//!
//! Deliberately absent: deciding (`domain::rehearsal`), and what was expected (`compare`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::coverage::Coverage;
use crate::{
    adapters::templates::{DEFAULT, MessageRenderer, ReceiverType, Target},
    config::{self, Happens, Scenario, TestBed, TestFile},
    domain::{
        late::{self, LateMessage},
        notification::{HeldBy, Intent, Reason},
        rehearsal::{Decided, Rehearsal},
        rule::{RuleSet, Severity},
        silence::SilenceWish,
    },
    ports::{Context, Part, PayloadFormat, RenderRequest, Renderer},
};

/// So often a source is read, within what absence takes for being read.
const READ_EVERY: SignedDuration = SignedDuration::from_mins(4);

/// How often the service would read it.
const POLL_EVERY: Duration = Duration::from_secs(10);

/// A message that was decided: sent, or held.
pub(super) struct Told {
    pub(super) at: Timestamp,
    pub(super) rule: Arc<str>,
    pub(super) send_to: Arc<str>,
    pub(super) reason: Reason,
    pub(super) severity: Severity,
    pub(super) count: u64,
    pub(super) held_by: Option<HeldBy>,
    /// What a person reads of it; empty where it is held.
    pub(super) text: String,
    /// The JSON of each of its parts.
    pub(super) payloads: Vec<Value>,
    /// Why its template failed.
    pub(super) broken: Option<String>,
    /// The template that made it, and for what.
    pub(super) template: Option<(String, ReceiverType)>,
}

/// What scenarios of one bed are played on.
pub(super) struct Stage<'b> {
    bed: &'b TestBed,
    renderer: MessageRenderer,
    kinds: BTreeMap<Arc<str>, ReceiverType>,
}

impl<'b> Stage<'b> {
    pub(super) fn new(bed: &'b TestBed, files: &[TestFile]) -> Self {
        let reloads = files.iter().flat_map(|file| &file.reloads);
        let sets = std::iter::once(&bed.rules).chain(reloads);
        let names: BTreeSet<&Arc<str>> =
            sets.flat_map(RuleSet::rules).flat_map(|rule| &rule.send_to).collect();
        let mut targets = BTreeMap::new();
        for name in names.into_iter().chain(bed.recipients.keys()) {
            let recipient = bed.recipients.get(name);
            let kind = recipient.and_then(|recipient| recipient.kind);
            // Where nothing is known of a receiver, it takes what any program would.
            let kind = kind.and_then(ReceiverType::by_name).unwrap_or(ReceiverType::Webhook);
            let template = recipient.and_then(|recipient| recipient.template.clone());
            let template = template.filter(|name| bed.templates.check_use(name, kind).is_ok());
            targets.insert(Arc::clone(name), Target { kind, template });
        }
        let kinds = targets.iter().map(|(name, target)| (name.clone(), target.kind)).collect();
        let forms = bed.recipients.iter().filter_map(|(name, recipient)| {
            let form = recipient.form.clone().filter(|form| !form.is_plain())?;
            Some((name.clone(), form))
        });
        let wecom = bed.recipients.iter();
        let wecom = wecom.filter_map(|(name, it)| Some((name.clone(), it.wecom.clone()?)));
        let renderer = match MessageRenderer::new(bed.templates.clone(), targets) {
            Ok(renderer) => renderer.with_forms(forms.collect()).with_wecom(wecom.collect()),
            // Every template was asked for above, and `default` ships for every type.
            Err(problems) => unreachable!("{problems:?}"),
        };
        Self { bed, renderer, kinds }
    }

    /// What was told in a scenario, in order.
    pub(super) fn play(
        &self,
        scenario: &Scenario,
        file: &TestFile,
        coverage: Option<&mut Coverage<'b>>,
    ) -> Vec<Told> {
        let restarts = scenario.steps.iter().any(|step| matches!(step.what, Happens::Restart));
        let mut rehearsal = Rehearsal::new(&self.bed.rules, scenario.start);
        if restarts {
            rehearsal = rehearsal.committing();
        }
        let reading = scenario.sources.iter().cloned().collect();
        let mut play = Play {
            stage: self,
            rehearsal,
            reading,
            read_at: scenario.start,
            told: Vec::new(),
            coverage,
        };
        for step in &scenario.steps {
            play.until(step.at);
            play.step(&step.what, scenario, file);
        }
        play.until(scenario.until);
        play.told
    }

    fn kind(&self, receiver: &str) -> ReceiverType {
        self.kinds.get(receiver).copied().unwrap_or(ReceiverType::Webhook)
    }

    /// The template of a rule's messages to a receiver.
    pub(super) fn template(&self, rule: Option<&str>, receiver: &str) -> (String, ReceiverType) {
        let recipient = self.bed.recipients.get(receiver);
        let own = recipient.and_then(|recipient| recipient.template.as_deref());
        (rule.or(own).unwrap_or(DEFAULT).to_owned(), self.kind(receiver))
    }
}

/// A scenario being played.
struct Play<'s, 'b, 'c, 'r> {
    stage: &'s Stage<'b>,
    rehearsal: Rehearsal<'b>,
    /// The sources that are being read.
    reading: BTreeSet<Arc<str>>,
    /// When they are read next.
    read_at: Timestamp,
    told: Vec<Told>,
    /// Where it is put down what was reached, where somebody asks.
    coverage: Option<&'c mut Coverage<'r>>,
}

impl<'b> Play<'_, 'b, '_, '_> {
    /// Lets time pass, sources being read on the way.
    fn until(&mut self, to: Timestamp) {
        while self.read_at <= to && self.rehearsal.rules().watches_absence() {
            let decided = self.rehearsal.advance(self.read_at);
            self.take(decided);
            self.read(&self.reading.clone());
            self.read_at = self.read_at.saturating_add(READ_EVERY).unwrap_or(Timestamp::MAX);
        }
        let decided = self.rehearsal.advance(to);
        self.take(decided);
    }

    fn read(&mut self, sources: &BTreeSet<Arc<str>>) {
        for source in sources {
            let decided = self.rehearsal.read(source, POLL_EVERY);
            self.take(decided);
        }
    }

    fn step(&mut self, what: &'b Happens, scenario: &Scenario, file: &'b TestFile) {
        let all = |named: &[Arc<str>]| -> BTreeSet<Arc<str>> {
            let named = if named.is_empty() { &*scenario.sources } else { named };
            named.iter().cloned().collect()
        };
        let decided = match what {
            Happens::ReadingStops(sources) => {
                let sources = all(sources);
                self.read(&sources);
                self.reading.retain(|source| !sources.contains(source));
                return;
            }
            Happens::ReadingGoesOn(sources) => {
                let sources = all(sources);
                self.read(&sources);
                self.reading.extend(sources);
                return;
            }
            Happens::Silence(id, silence) => {
                self.rehearsal.wish(&SilenceWish::Add(*id, silence.clone()))
            }
            Happens::EndSilence(id) => self.rehearsal.wish(&SilenceWish::End(*id)),
            Happens::Restart => self.rehearsal.restart(&|text| config::matchers(text).ok()),
            Happens::Reload(index) => self.rehearsal.reload(&file.reloads[*index]).0,
            Happens::Entry(entry) => {
                let now = self.rehearsal.now();
                if let Some(coverage) = &mut self.coverage {
                    coverage.entry(self.rehearsal.rules(), entry, now);
                }
                self.rehearsal.feed(entry, now).decided
            }
        };
        self.take(decided);
    }

    /// Renders what was decided while its entries are there.
    fn take(&mut self, decided: Vec<Decided>) {
        for Decided { at, intent } in decided {
            let told = self.tell(at, &intent);
            if let Some(coverage) = &mut self.coverage {
                coverage.rule(self.rehearsal.rules(), &told.rule);
                told.template.iter().for_each(|template| coverage.template(template));
            }
            self.told.push(told);
        }
    }

    fn tell(&self, at: Timestamp, intent: &Intent) -> Told {
        let mut told = Told {
            at,
            rule: intent.rule.clone(),
            send_to: intent.receiver.clone(),
            reason: intent.reason,
            severity: intent.severity,
            count: intent.count,
            held_by: intent.held_by,
            text: String::new(),
            payloads: Vec::new(),
            broken: None,
            template: None,
        };
        if intent.held_by.is_some() {
            return told;
        }
        let rules = self.rehearsal.rules().rules();
        let rule = rules.iter().find(|rule| rule.name == intent.rule);
        let entries = self.rehearsal.entries(intent);
        let context = Context::of_intent(intent, rule, &entries, at);
        let template = rule.and_then(|rule| rule.template.as_deref());
        let request = RenderRequest { template, receiver: &intent.receiver, context: &context };
        let (parts, problem) = self.stage.renderer.message(&request);
        let kind = self.stage.kind(&intent.receiver);
        let (texts, payloads): (Vec<_>, Vec<_>) =
            parts.iter().map(|part| read_part(kind, part)).unzip();
        told.text = texts.join("\n");
        told.payloads = payloads.into_iter().flatten().collect();
        // Without a configuration nobody says that the template had to be there.
        told.broken = problem.filter(|_| self.stage.bed.recipients.contains_key(&intent.receiver));
        told.template = Some(self.stage.template(template, &intent.receiver));
        told
    }
}

/// What a person reads of a part, and its JSON. What each attempt works out stands there as a
/// template would write it.
fn read_part(kind: ReceiverType, part: &Part) -> (String, Option<Value>) {
    let body = match part.payload.format {
        PayloadFormat::Text => return (part.payload.body.clone(), None),
        PayloadFormat::Json => part.payload.body.clone(),
        PayloadFormat::Late => match LateMessage::parse(&part.payload.body) {
            Ok(message) => late::shown(&message.body),
            Err(_) => part.payload.body.clone(),
        },
    };
    let Ok(json) = serde_json::from_str::<Value>(&body) else { return (body, None) };
    let mut said = Vec::new();
    match kind {
        ReceiverType::Webhook => {}
        ReceiverType::Slack => texts(&json["blocks"], "text", &mut said),
        ReceiverType::Wecom => {
            texts(&json, "content", &mut said);
            if said.is_empty() {
                leaves(&json["template_card"], &mut said);
            }
        }
    }
    if said.is_empty() && kind == ReceiverType::Slack {
        said.extend(json["text"].as_str());
    }
    let text = if said.is_empty() { body.clone() } else { said.join("\n") };
    (text, Some(json))
}

/// The texts under a key, wherever it stands.
fn texts<'j>(json: &'j Value, key: &str, found: &mut Vec<&'j str>) {
    match json {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner.as_str() {
                    Some(text) if name == key => found.push(text),
                    _ => texts(inner, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

/// Every text of a JSON value.
pub(super) fn leaves<'j>(json: &'j Value, found: &mut Vec<&'j str>) {
    match json {
        Value::String(text) => found.push(text),
        Value::Object(map) => map.values().for_each(|inner| leaves(inner, found)),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        _ => {}
    }
}
