//! What still waits to become a message, as whoever asks about an entry sees it.
//!
//! Deliberately absent: what is held for the end of a mute, a throttle or a silence, which is recorded
//! as held.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::State;
use crate::domain::{entry::EntryId, memory::At};

/// A message that is to leave later, with others that it gathers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Who is to get it.
    pub receivers: Vec<Arc<str>>,
    /// Where it waits: `group` or `catch_up`.
    pub waits_in: &'static str,
    /// When it leaves.
    pub until: Option<Timestamp>,
    /// Of how many entries it tells so far.
    pub count: u64,
}

impl State {
    /// The messages that are to tell of an entry and have not left, by rule.
    pub fn waiting(&self, entry: EntryId) -> Vec<Waiting> {
        let bundles = self.bundles.iter().filter(|(_, bundle)| {
            bundle.kind.held_by().is_none()
                && bundle.listed.iter().any(|listed| listed.entry == entry)
        });
        let waiting = bundles.map(|(slot, bundle)| Waiting {
            rule: slot.rule.clone(),
            receivers: bundle.receivers.clone(),
            waits_in: bundle.kind.name(),
            until: bundle.due.map(At::timestamp),
            count: bundle.count,
        });
        let mut waiting: Vec<Waiting> = waiting.collect();
        waiting.sort_by(|one, other| (&one.rule, one.until).cmp(&(&other.rule, other.until)));
        waiting
    }
}
