//! A lane's fallback: the receiver that takes over what a closed lane holds, and the text that a
//! message has there; or at any other that a person sends it to.
//!
//! A text is made for one receiver, so that it is rendered anew for another, by the rules and
//! templates in force. It stays one message under its id: where it would be several, fewer entries
//! are listed.
//! Deliberately absent: when a lane closes (`delivery`), and what moves (the store).

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::ports::{Context, HandOver, Kept, Payload, Redirect, RenderRequest};

use super::decider::Policy;

/// Entries that are listed, tried in turn until it is one message.
const LISTED: [usize; 6] = [usize::MAX, 20, 10, 5, 1, 0];

/// Rows that change their receiver in one transaction; each is rendered within it.
const ROWS: usize = 200;

/// Gives the policy that is in force.
pub type PolicyNow = Arc<dyn Fn() -> Arc<Policy> + Send + Sync>;

/// Who takes over.
#[derive(Clone)]
pub struct Fallback {
    /// The receiver.
    pub to: Arc<str>,
    /// What renders its messages.
    pub policy: PolicyNow,
}

impl Fallback {
    /// The wish to hand over what waits for a receiver.
    pub(super) fn wish(&self, from: &Arc<str>, now: Timestamp) -> HandOver {
        let to = redirect(self.to.clone(), (self.policy)());
        HandOver { from: from.clone(), to, limit: ROWS, now }
    }
}

/// Another receiver for messages that were made for one, with the text that they have there by the
/// rules and templates of `policy`.
pub fn redirect(to: Arc<str>, policy: Arc<Policy>) -> Redirect {
    let name = to.clone();
    Redirect { to, compose: Arc::new(move |kept| compose(&policy, &name, kept)) }
}

/// What a message says to another receiver.
fn compose(policy: &Policy, to: &str, kept: &Kept) -> Payload {
    let none = BTreeMap::new();
    let rule = policy.rule(&kept.rule);
    let mut context = Context {
        id: kept.id,
        reason: kept.reason,
        rule: &kept.rule,
        labels: rule.map_or(&none, |rule| &rule.labels),
        severity: kept.severity,
        entries: &kept.entries,
        count: kept.count,
        more: kept.told.more,
        incident: kept.told.incident,
        digest: kept.told.digest,
        now: kept.created_at,
        message: kept.told.message.as_deref(),
        meant_for: Some(&kept.receiver),
    };
    let mut problem = "it does not fit into one message".to_owned();
    // The rule's template may have no form for this type; then it is the receiver's own.
    let wanted = rule.and_then(|rule| rule.template.as_deref());
    for template in [wanted, None] {
        let mut last = usize::MAX;
        for listed in LISTED.map(|listed| listed.min(kept.entries.len())) {
            if listed == last {
                continue;
            }
            last = listed;
            let left_out = kept.entries.len() - listed;
            context.entries = &kept.entries[left_out..];
            context.more = kept.told.more.map(|more| more + left_out as u64);
            let request = RenderRequest { template, receiver: to, context: &context };
            match policy.renderer.render(&request) {
                Ok(mut parts) if parts.len() == 1 => return parts.remove(0).payload,
                Ok(_) => {}
                Err(error) => {
                    problem = error.0;
                    break;
                }
            }
        }
        if wanted.is_none() {
            break;
        }
    }
    context.entries = &kept.entries;
    context.more = kept.told.more;
    let request = RenderRequest { template: None, receiver: to, context: &context };
    policy.renderer.plain(&request, &problem).payload
}
