//! A lane's digests: the wish to fold, and the notification that a digest becomes.
//!
//! Deliberately absent: when to fold and what a digest says (`domain::digest`), and which rows may
//! (the store).

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{
    domain::{
        digest::{Digest, Pressure},
        entry::Entry,
        notification::Reason,
    },
    ports::{Context, Fold, NewNotification, Payload, RenderRequest, Renderer, Told},
};

/// Entries that a digest lists, tried in turn until it is one message.
const LISTED: [usize; 8] = [20, 14, 10, 7, 5, 3, 1, 0];

/// Gives the renderer that is in force.
pub type RendererNow = Arc<dyn Fn() -> Arc<dyn Renderer> + Send + Sync>;

/// How a lane folds.
#[derive(Clone)]
pub struct Digests {
    /// What the lane can clear.
    pub pressure: Pressure,
    /// What renders its digests.
    pub renderer: RendererNow,
}

impl Digests {
    /// The wish to fold what waits for a receiver.
    pub(super) fn wish(
        &self,
        receiver: &Arc<str>,
        folded_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Fold {
        let (renderer, name) = ((self.renderer)(), receiver.clone());
        Fold {
            receiver: receiver.clone(),
            now,
            pressure: self.pressure,
            folded_at,
            compose: Arc::new(move |digest, entries| {
                notification(&*renderer, &name, digest, entries, now)
            }),
        }
    }
}

fn notification(
    renderer: &dyn Renderer,
    receiver: &Arc<str>,
    digest: &Digest,
    entries: &[Arc<Entry>],
    now: Timestamp,
) -> NewNotification {
    let (payload, listed) = render(renderer, receiver, digest, entries, now);
    NewNotification {
        id: digest.id,
        rule: "".into(),
        receiver: receiver.clone(),
        source: "".into(),
        key: digest.id.0,
        key_json: serde_json::json!({}),
        reason: Reason::Digest,
        severity: digest.severity,
        entries: entries[..listed].iter().map(|entry| entry.id).collect(),
        count: digest.count,
        created_at: now,
        held_by: None,
        payload: Some(payload),
        told: Told {
            digest: Some(digest.tally),
            message: Some(command(receiver)),
            ..Told::default()
        },
        follows: None,
    }
}

/// The command that lists what a digest does not.
fn command(receiver: &str) -> String {
    format!("triggerbell deliveries list --state folded --receiver {receiver}")
}

/// The digest as one message, with as many entries as fit, and how many those are.
fn render(
    renderer: &dyn Renderer,
    receiver: &str,
    digest: &Digest,
    entries: &[Arc<Entry>],
    now: Timestamp,
) -> (Payload, usize) {
    let message = command(receiver);
    let labels = BTreeMap::new();
    let mut context = Context {
        id: digest.id,
        reason: Reason::Digest,
        rule: "",
        labels: &labels,
        severity: digest.severity,
        entries: &[],
        count: digest.count,
        more: None,
        incident: None,
        digest: Some(digest.tally),
        now,
        message: Some(&message),
        meant_for: None,
    };
    let mut problem = "it does not fit into one message".to_owned();
    for listed in LISTED.into_iter().map(|listed| listed.min(entries.len())) {
        context.entries = &entries[..listed];
        let request = RenderRequest { template: None, receiver, context: &context };
        match renderer.render(&request) {
            Ok(mut parts) if parts.len() == 1 => {
                return (parts.remove(0).payload, listed);
            }
            Ok(_) => {}
            Err(error) => problem = error.0,
        }
    }
    let request = RenderRequest { template: None, receiver, context: &context };
    (renderer.plain(&request, &problem).payload, 0)
}
