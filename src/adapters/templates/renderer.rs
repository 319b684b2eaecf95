//! The renderer that the engine uses: receivers by name, each with its type and template.
//!
//! Deliberately absent: which entries a message tells of, and when; that is decided before.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    DEFAULT, ReceiverType, TemplateProblem, Templates, WebhookForm, WecomForm,
    escape::{Chat, Sink},
    form,
    language::Language,
    meant_for,
    value::more,
};
use crate::{
    domain::{digest::Tally, entry::Entry, field::Field, incident::IncidentView},
    ports::{Context, Part, Payload, PayloadFormat, RenderError, RenderRequest, Renderer},
};

/// How messages are made for one receiver.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its type.
    pub kind: ReceiverType,
    /// Its template; `None` leaves it to [`DEFAULT`].
    pub template: Option<Arc<str>>,
}

/// Renders for a set of receivers.
#[derive(Debug)]
pub struct MessageRenderer {
    templates: Arc<Templates>,
    targets: BTreeMap<Arc<str>, Target>,
    /// What webhooks ask for of their own, by receiver.
    forms: BTreeMap<Arc<str>, Arc<WebhookForm>>,
    /// What WeCom's receivers ask for of their own, by receiver.
    wecom: BTreeMap<Arc<str>, Arc<WecomForm>>,
}

impl MessageRenderer {
    /// A renderer for those receivers, by name.
    ///
    /// # Errors
    /// A receiver's template does not exist for its type; all such, in the order of the receivers.
    pub fn new(
        templates: Arc<Templates>,
        targets: BTreeMap<Arc<str>, Target>,
    ) -> Result<Self, Vec<TemplateProblem>> {
        let problems: Vec<_> = targets
            .values()
            .filter_map(|target| {
                let name = target.template.as_deref().unwrap_or(DEFAULT);
                templates.check_use(name, target.kind).err()
            })
            .collect();
        if problems.is_empty() {
            Ok(Self { templates, targets, forms: BTreeMap::new(), wecom: BTreeMap::new() })
        } else {
            Err(problems)
        }
    }

    /// The same for webhooks that ask for a form of their own, by receiver.
    #[must_use]
    pub fn with_forms(mut self, forms: BTreeMap<Arc<str>, Arc<WebhookForm>>) -> Self {
        self.forms = forms;
        self
    }

    /// The same for WeCom's receivers that ask for a form of their own, by receiver.
    #[must_use]
    pub fn with_wecom(mut self, forms: BTreeMap<Arc<str>, Arc<WecomForm>>) -> Self {
        self.wecom = forms;
        self
    }

    fn target(&self, name: &str) -> Option<&Target> {
        self.targets.get(name)
    }

    fn template<'n>(&self, request: &RenderRequest<'n>, target: &'n Target) -> &'n str {
        request.template.or(target.template.as_deref()).unwrap_or(DEFAULT)
    }
}

impl Renderer for MessageRenderer {
    fn render(&self, request: &RenderRequest<'_>) -> Result<Vec<Part>, RenderError> {
        let parts = self.rendered(request)?;
        match request.context.meant_for {
            None => Ok(parts),
            Some(name) => self.saying(parts, request, name).map_err(RenderError),
        }
    }

    fn plain(&self, request: &RenderRequest<'_>, problem: &str) -> Part {
        let part = self.plainly(request, problem);
        let Some(name) = request.context.meant_for else { return part };
        // A short message has room for it.
        let said = self.saying(vec![part.clone()], request, name);
        said.ok().and_then(|parts| parts.into_iter().next()).unwrap_or(part)
    }
}

impl MessageRenderer {
    /// The message saying that it was meant for another receiver.
    fn saying(
        &self,
        parts: Vec<Part>,
        request: &RenderRequest<'_>,
        meant_for: &str,
    ) -> Result<Vec<Part>, String> {
        let Some(target) = self.target(request.receiver) else { return Ok(parts) };
        let usual = WecomForm::default();
        let form = self.wecom.get(request.receiver).map_or(&usual, |form| form);
        let language = Language::of(self.template(request, target));
        meant_for::said(parts, target.kind, meant_for, language, form)
    }

    fn rendered(&self, request: &RenderRequest<'_>) -> Result<Vec<Part>, RenderError> {
        let Some(target) = self.target(request.receiver) else {
            return Err(RenderError(format!("there is no receiver `{}`", request.receiver)));
        };
        let name = self.template(request, target);
        match self.forms.get(request.receiver).filter(|_| target.kind == ReceiverType::Webhook) {
            Some(form) => self.templates.webhook(name, request.receiver, request.context, form),
            None => {
                let usual = WecomForm::default();
                let form = self.wecom.get(request.receiver).map_or(&usual, |form| form);
                let (kind, context) = (target.kind, request.context);
                self.templates.preview_as(name, kind, form, request.receiver, context)
            }
        }
    }

    fn plainly(&self, request: &RenderRequest<'_>, problem: &str) -> Part {
        let target = self.target(request.receiver);
        let kind = target.map_or(ReceiverType::Webhook, |target| target.kind);
        let name = target.map_or(DEFAULT, |target| self.template(request, target));
        let language = Language::of(name);
        if kind == ReceiverType::Webhook {
            let usual = WebhookForm::default();
            let form = self.forms.get(request.receiver).map_or(&usual, |form| form);
            let plain = plain_json(request.context, problem, form.most());
            let (receiver, settings) = (request.receiver, &self.templates.settings);
            // A header that can't be made is left out: this is sent because something failed.
            return form
                .dress(plain.clone(), receiver, request.context, settings, language)
                .unwrap_or(plain);
        }
        let chat = if kind == ReceiverType::Slack { Chat::Slack } else { Chat::Wecom };
        let usual = WecomForm::default();
        let form = self.wecom.get(request.receiver).map_or(&usual, |form| form);
        let making = form::wecom::Making { form, link: None, language };
        form::plain(kind, &plain_text(request.context, problem, chat, language), making)
    }
}

/// The most characters of one text in a plain message.
const LONGEST: usize = 300;

/// What happened, in a few lines without any markup.
fn plain_text(context: &Context<'_>, problem: &str, chat: Chat, language: Language) -> String {
    let english = language == Language::English;
    let mut sink = Sink::new(chat, false, usize::MAX);
    let mut short = |text: &str| {
        let cut: String = text.chars().take(LONGEST).collect();
        sink.value(&cut, false, true);
        if cut.len() < text.len() {
            sink.value("…", false, false);
        }
    };
    short(if context.rule.is_empty() { "triggerbell" } else { context.rule });
    short(": ");
    short(context.reason.name());
    if context.count > 1 {
        short(&format!(" × {}", context.count));
    }
    if let Some(message) = context.message {
        short(" · ");
        short(message);
    }
    if let Some(entry) = context.entries.last() {
        short(" · ");
        short(entry.repo());
        for (before, field) in [
            (":", Field::Tag),
            (" → ", Field::Service),
            (" · ", Field::ReturnCode),
            (" ", Field::ReturnMsg),
        ] {
            if let Some(text) = entry.text(field).filter(|text| !text.is_empty()) {
                short(before);
                short(&text);
            }
        }
    }
    sink.literal("\n");
    let says = if english {
        "The template failed, so this is the short form: "
    } else {
        "模板渲染失败，以下为简要内容："
    };
    sink.literal(says);
    let cut: String = problem.chars().take(LONGEST).collect();
    sink.value(&cut, false, true);
    sink.literal("\n");
    sink.literal(&context.id.to_string());
    sink.into_string()
}

/// The most characters of one text where a plain message has little room.
const SHORT: usize = 64;

/// The webhook's body of the API (design 2.6), made without a template, with the problem in it; as
/// much of it as so many bytes hold.
fn plain_json(context: &Context<'_>, problem: &str, most: usize) -> Part {
    let newest = &context.entries[context.entries.len().saturating_sub(1)..];
    let newest = Context { entries: newest, ..context.clone() };
    let tries = [(context, LONGEST), (&newest, LONGEST), (&newest, SHORT)];
    let whole = tries.iter().map(|(context, longest)| plain_body(context, problem, *longest));
    let least = [SHORT, 16, 0].map(|longest| least_body(context, problem, longest));
    let body = whole.chain(least.clone()).find(|body| body.len() <= most);
    let [.., last] = least;
    Part { payload: Payload { format: PayloadFormat::Json, body: body.unwrap_or(last) } }
}

fn plain_body(context: &Context<'_>, problem: &str, longest: usize) -> String {
    let entries: Vec<Value> = context.entries.iter().map(|entry| fields(entry, longest)).collect();
    json!({
        "type": format!("trigger.{}", context.reason),
        "timestamp": context.now.to_string(),
        "data": {
            "id": context.id,
            "rule": context.rule,
            "severity": context.severity,
            "reason": context.reason,
            "labels": context.labels,
            "count": context.count,
            "more": more(context),
            "entry": entries.last(),
            "entries": entries,
            "incident": context.incident.map(incident),
            "digest": context.digest.map(digest),
            "message": context.message.map(|message| short(message, longest)),
            "problem": short(problem, longest),
        },
    })
    .to_string()
}

/// What a message is by, and why it is no more than that.
fn least_body(context: &Context<'_>, problem: &str, longest: usize) -> String {
    let (rule, problem) = (short(context.rule, longest), short(problem, longest));
    json!({
        "type": format!("trigger.{}", context.reason),
        "timestamp": context.now.to_string(),
        "data": {"id": context.id, "rule": rule, "problem": problem},
    })
    .to_string()
}

fn digest(tally: Tally) -> Value {
    json!({
        "failing": tally.failing,
        "matched": tally.matched,
        "recovered": tally.recovered,
        "over": tally.over,
    })
}

fn incident(view: IncidentView) -> Value {
    json!({
        "since": view.since.to_string(),
        "duration": view.duration_s,
        "count": view.count,
        "first_id": view.first_id,
    })
}

/// An entry's fields, long texts cut.
fn fields(entry: &Entry, longest: usize) -> Value {
    let mut fields = entry.fields_json();
    for value in fields.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Value::String(text) = value {
            *text = short(text, longest);
        }
    }
    fields
}

fn short(text: &str, longest: usize) -> String {
    let mut cut: String = text.chars().take(longest).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
