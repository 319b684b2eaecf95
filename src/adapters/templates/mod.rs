//! Templates: what a message says, and how it says it to each kind of receiver.
//!
//! A template is handlebars in syntax. At load it is parsed, every name and helper in it is
//! resolved ([`lint`]), a JSON template is tried on samples, hostile ones among them, and its
//! output parsed; all problems are reported at once. While a message is rendered, what was checked
//! is run ([`eval`]) straight over the borrowed context; the library's own renderer would copy the
//! context into a tree and look each name up, for each message. Values are escaped as they are
//! written ([`escape`]); then the message is measured in the receiver's own unit, split or cut
//! ([`form`], [`split`]). Shipped templates are compiled when they are first needed.
//!
//! Files: for template N and receiver type T the first that exists of `N.T.json.hbs`, `N.T.hbs`,
//! `N.json.hbs` (webhook only), `N.hbs`, in the user's folder, then among the shipped.
//!
//! In a template of webhooks, what depends on the attempt (`now_s`, a signature, a secret) stays a
//! formula in the queued message ([`crate::domain::late`]).
//!
//! Deliberately absent: sending, and working such formulas out.

mod escape;
mod eval;
mod form;
mod helpers;
mod language;
mod lint;
mod load;
mod meant_for;
mod names;
mod place;
mod problem;
mod program;
mod renderer;
mod sample;
mod split;
mod squeeze;
mod template;
mod trial;
mod value;
mod value_template;
mod webhook;
mod wecom;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use jiff::tz::TimeZone;

pub use form::{Usage, usage};
pub use problem::TemplateProblem;
pub use renderer::{MessageRenderer, Target};
pub use sample::{Sample, sample_context, sample_entry};
pub use value_template::{ValueOf, ValueTemplate};
pub use webhook::{LEAST_BYTES, TooLong, WebhookForm};
pub use wecom::{WecomForm, WecomMessage};

use crate::{
    domain::{field::Field, notification::words},
    ports::{Context, Part, RenderError},
};
use names::nearest;
use template::Compiled;

words! {
    /// The kinds of receiver that messages are made for.
    ReceiverType {
        /// Slack: blocks and mrkdwn.
        Slack = "slack",
        /// WeCom: markdown.
        Wecom = "wecom",
        /// Anything that takes an HTTP request.
        Webhook = "webhook",
    }
}

/// Something that a template writes and that an entry or a message may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// A field of the entry.
    Field(Field),
    /// Something of the incident.
    Incident,
}

/// A template's file, for people, and what each of its messages writes, with the offset of its tag.
pub type AlwaysRead<'t> = (&'t str, Vec<(Read, usize)>);

/// The template of whoever names none.
pub const DEFAULT: &str = "default";

/// What all templates share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The zone that instants are shown in.
    pub zone: TimeZone,
    /// The service's address for people; `None` leaves links out.
    pub public_url: Option<String>,
}

/// All templates, checked and compiled.
#[derive(Debug)]
pub struct Templates {
    settings: Settings,
    /// By name, then by receiver type in the order of [`ReceiverType::ALL`].
    by_name: BTreeMap<Box<str>, [Option<Compiled>; 3]>,
}

impl Templates {
    /// Reads and checks the shipped templates and those of a folder, which come first.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, in the order of paths and places.
    pub fn load(
        user_folder: Option<&Path>,
        mut settings: Settings,
    ) -> Result<Self, Vec<TemplateProblem>> {
        settings.public_url = settings
            .public_url
            .map(|url| url.trim_end_matches('/').to_owned())
            .filter(|url| !url.is_empty());
        let mut problems = Vec::new();
        let mut files = load::shipped();
        if let Some(folder) = user_folder {
            files.extend(load::folder(folder, &mut problems));
        }
        let by_name = load::compile(files, &settings, &mut problems);
        if problems.is_empty() {
            return Ok(Self { settings, by_name });
        }
        problems.sort();
        problems.dedup();
        Err(problems)
    }

    /// The names of all templates, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }

    /// Whether a template can be used for a receiver of that type.
    ///
    /// # Errors
    /// There is no such template, or none for that type; without a place, since whoever names the
    /// template knows where.
    pub fn check_use(&self, name: &str, kind: ReceiverType) -> Result<(), TemplateProblem> {
        if let Some(template) = self.find(name, kind) {
            template.warm();
            return Ok(());
        }
        let file = format!("{name}.{kind}.hbs");
        let (message, help) = if self.by_name.contains_key(name) {
            (
                format!("template `{name}` has no form for {kind}"),
                format!("add {file} to the folder of templates"),
            )
        } else {
            let known = self.names().collect::<Vec<_>>().join(", ");
            let help = match nearest(name, self.names()) {
                Some(near) => format!("did you mean `{near}`? templates: {known}"),
                None => format!("templates: {known}; add {file} or {name}.hbs"),
            };
            (format!("there is no template `{name}`"), help)
        };
        Err(TemplateProblem::of_file(file, message, Some(help)))
    }

    /// Renders a context by one template for one type of receiver, as it would be sent.
    ///
    /// # Errors
    /// There is no such template, or it failed.
    pub fn preview(
        &self,
        name: &str,
        kind: ReceiverType,
        receiver: &str,
        context: &Context<'_>,
    ) -> Result<Vec<Part>, RenderError> {
        self.preview_as(name, kind, &WecomForm::default(), receiver, context)
    }

    /// As [`Templates::preview`], where a WeCom receiver asks for a form of its own.
    ///
    /// # Errors
    /// There is no such template, or it failed.
    pub fn preview_as(
        &self,
        name: &str,
        kind: ReceiverType,
        form: &WecomForm,
        receiver: &str,
        context: &Context<'_>,
    ) -> Result<Vec<Part>, RenderError> {
        match self.find(name, kind) {
            Some(template) => template.render(kind, form, receiver, context, &self.settings),
            None => Err(RenderError(format!("there is no template `{name}` for {kind}"))),
        }
    }

    /// The names of the receiver's secrets that a template for webhooks writes.
    pub fn secrets(&self, name: &str) -> Vec<&str> {
        let template = self.find(name, ReceiverType::Webhook);
        template.map(|template| template.secrets().into_iter().collect()).unwrap_or_default()
    }

    /// The file of a template for a type of receiver, and what each of its messages writes, with the
    /// offset of the tag in bytes.
    pub fn always_read(&self, name: &str, kind: ReceiverType) -> Option<AlwaysRead<'_>> {
        let template = self.find(name, kind)?;
        Some((template.path(), template.always_read()))
    }

    /// Whether a template for a type of receiver can show a label of a rule.
    pub fn shows_label(&self, name: &str, kind: ReceiverType, label: &str) -> bool {
        let asked = self.find(name, kind).map(Compiled::labels);
        asked.is_none_or(|asked| asked.is_none_or(|asked| asked.contains(label)))
    }

    /// How many bytes a message about one entry has, of a template that can't be cut, where a webhook
    /// may have no more than fewer.
    pub fn lacks(&self, name: &str, receiver: &str, form: &WebhookForm) -> Option<usize> {
        let template = self.find(name, ReceiverType::Webhook)?;
        form.lacks(webhook::Making { template, receiver, settings: &self.settings })
    }

    /// As [`Templates::preview`] for a webhook, in the form that its configuration asks for.
    fn webhook(
        &self,
        name: &str,
        receiver: &str,
        context: &Context<'_>,
        form: &WebhookForm,
    ) -> Result<Vec<Part>, RenderError> {
        let Some(template) = self.find(name, ReceiverType::Webhook) else {
            return Err(RenderError(format!("there is no template `{name}` for webhook")));
        };
        form.render(webhook::Making { template, receiver, settings: &self.settings }, context)
    }

    fn find(&self, name: &str, kind: ReceiverType) -> Option<&Compiled> {
        self.by_name.get(name)?[kind as usize].as_ref()
    }
}

/// The words in a set of names, each once and in order.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}
