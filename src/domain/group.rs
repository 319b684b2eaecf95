//! Bundles: alerts that wait to become one message. A group, what came while a key was throttled,
//! what a mute or a silence held, late news.
//!
//! Deliberately absent: what goes into one, and when it leaves (`decision`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    entry::EntryId,
    incident::{ToldTo, Waits, key},
    memory::{At, Record, Subject},
    notification::{HeldBy, Key, Reason},
};

/// What a bundle waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Others of its group.
    Group,
    /// The end of a key's throttle. One may be empty.
    Throttle,
    /// The end of a mute.
    Mute,
    /// The end of a silence.
    Silence,
    /// The end of late news.
    CatchUp,
}

impl Kind {
    /// The word for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Throttle => "throttle",
            Self::Mute => "mute",
            Self::Silence => "silence",
            Self::CatchUp => "catch_up",
        }
    }

    /// What holds an alert that went into one; `None` where the bundle's message stands for it.
    pub(super) const fn held_by(self) -> Option<HeldBy> {
        match self {
            Self::Group | Self::CatchUp => None,
            Self::Throttle => Some(HeldBy::Throttle),
            Self::Mute => Some(HeldBy::Muted),
            Self::Silence => Some(HeldBy::Silenced),
        }
    }
}

/// An alert that a bundle lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) subject: Subject,
    pub(super) entry: EntryId,
    pub(super) reason: Reason,
    #[serde(with = "key")]
    pub(super) key: Key,
    /// Who is to get it where it is not everybody, and what told them of the incident.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) to: Vec<ToldTo>,
    /// Its incident: since, last, failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) incident: Option<(At, At, u64)>,
}

/// Alerts that wait to become one message for each of some receivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bundle {
    pub(super) shape: u64,
    pub(super) kind: Kind,
    /// The reason of its message, where all goes as it should.
    pub(super) reason: Reason,
    pub(super) source: Arc<str>,
    #[serde(with = "key")]
    pub(super) key: Key,
    pub(super) opened_by: EntryId,
    pub(super) opened_at: At,
    pub(super) due: Option<At>,
    pub(super) receivers: Vec<Arc<str>>,
    /// The first alerts; of one subject the newest, where the kind nets.
    pub(super) listed: Vec<Listed>,
    /// Alerts in all.
    pub(super) count: u64,
    /// Of a silence, its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) silence: Option<Subject>,
}

impl Record for Bundle {
    const PREFIX: char = 'b';

    fn due(&self) -> Option<At> {
        self.due
    }
}

impl Bundle {
    /// Takes an alert in. `max` is how many are listed.
    pub(super) fn joins(&mut self, alert: Listed, max: usize) {
        self.count += 1;
        let nets = self.kind != Kind::Group;
        let known = self.listed.iter().position(|known| known.subject == alert.subject);
        match known.filter(|_| nets) {
            Some(known) => self.listed[known] = alert,
            None if self.listed.len() < max => self.listed.push(alert),
            None => {}
        }
    }

    /// Takes an alert out that is over before it was told.
    pub(super) fn leaves(&mut self, subject: Subject) {
        self.count = self.count.saturating_sub(1);
        self.listed.retain(|known| known.subject != subject);
    }

    /// The entries that its message lists.
    pub(super) fn entries(&self) -> Vec<EntryId> {
        self.listed.iter().map(|listed| listed.entry).collect()
    }

    /// A place in it.
    pub(super) fn place(&self, bundle: Subject) -> Waits {
        Waits {
            bundle,
            opened_by: self.opened_by,
            kind: self.kind,
            reason: self.reason,
            receivers: self.receivers.clone(),
        }
    }
}
