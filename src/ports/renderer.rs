//! Making the text of a message.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::domain::{
    digest::Tally,
    entry::Entry,
    incident::IncidentView,
    notification::{Intent, NotificationId, Reason},
    rule::{Rule, Severity},
};

/// Renders messages. Pure: the same request gives the same parts.
pub trait Renderer: Send + Sync + 'static {
    /// Renders a message for a receiver, within that receiver's limits, as one part or several,
    /// none of them empty.
    ///
    /// # Errors
    /// The template failed; the caller sends [`Renderer::plain`] instead.
    fn render(&self, request: &RenderRequest<'_>) -> Result<Vec<Part>, RenderError>;

    /// A short plain message that needs no template, for when one failed. `problem` is told in it.
    fn plain(&self, request: &RenderRequest<'_>, problem: &str) -> Part;

    /// What is sent: the message, or a plain one and why its template failed.
    fn message(&self, request: &RenderRequest<'_>) -> (Vec<Part>, Option<String>) {
        let problem = match self.render(request) {
            Ok(parts) if !parts.is_empty() => return (parts, None),
            Ok(_) => "it rendered to nothing".to_owned(),
            Err(error) => error.0,
        };
        (vec![self.plain(request, &problem)], Some(problem))
    }
}

/// What to render.
#[derive(Debug, Clone, Copy)]
pub struct RenderRequest<'a> {
    /// The rule's template; `None` leaves it to the receiver's, else `default`.
    pub template: Option<&'a str>,
    /// The receiver's name.
    pub receiver: &'a str,
    /// What is in scope.
    pub context: &'a Context<'a>,
}

/// What a template can see.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The notification's id.
    pub id: NotificationId,
    /// Why it is sent.
    pub reason: Reason,
    /// The rule's name; empty for a test or an alarm.
    pub rule: &'a str,
    /// The rule's labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The rule's severity.
    pub severity: Severity,
    /// The entries that are listed, oldest first; `entry` is the last.
    pub entries: &'a [Arc<Entry>],
    /// How many entries it stands for.
    pub count: u64,
    /// How many of them are not listed, where that is not what is left of `count`.
    pub more: Option<u64>,
    /// The incident that it tells of, where it is one.
    pub incident: Option<IncidentView>,
    /// How the things stand that a digest tells of, where it is one.
    pub digest: Option<Tally>,
    /// When it was decided, for `ago` and the webhook's `timestamp`.
    pub now: Timestamp,
    /// What an alarm or a test says; of a digest, the command that lists the rest.
    pub message: Option<&'a str>,
    /// The receiver that it was meant for, where this one stands in for it.
    pub meant_for: Option<&'a str>,
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

impl<'a> Context<'a> {
    /// What the template of a decided message sees: `rule` is the one that caused it, where it is
    /// still known, `entries` are those that it lists, and `now` is when it was decided.
    pub fn of_intent(
        intent: &'a Intent,
        rule: Option<&'a Rule>,
        entries: &'a [Arc<Entry>],
        now: Timestamp,
    ) -> Self {
        Self {
            id: intent.id,
            reason: intent.reason,
            rule: &intent.rule,
            labels: rule.map_or(&NO_LABELS, |rule| &rule.labels),
            severity: intent.severity,
            entries,
            count: intent.count,
            more: Some(intent.more),
            incident: intent.incident,
            digest: None,
            now,
            message: None,
            meant_for: None,
        }
    }
}

/// One message as a receiver gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What is sent.
    pub payload: Payload,
}

/// What is sent, opaque to all but the receiver's adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How to label it.
    pub format: PayloadFormat,
    /// The bytes, as text.
    pub body: String,
}

/// What a payload's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadFormat {
    /// JSON that has been parsed once, so it is well formed.
    Json,
    /// Plain text.
    Text,
    /// Pieces that each attempt puts together ([`crate::domain::late::LateMessage`]); webhooks only.
    Late,
}

/// Why a template failed, with its name, line and column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(pub String);
