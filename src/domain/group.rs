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
    seen::Seen,
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
    /// How many alerts it stands for: those that it took the place of, and those it sums up.
    #[serde(default = "one")]
    pub(super) alerts: u64,
    /// None in a group, whose message has the group's.
    #[serde(default = "Key::none", with = "key", skip_serializing_if = "Key::is_none")]
    pub(super) key: Key,
    /// The rest of its entry, where no incident remembers it.
    #[serde(default, skip_serializing_if = "Seen::is_empty")]
    pub(super) seen: Seen,
    /// Who is to get it where it is not everybody, and what told them of the incident.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) to: Vec<ToldTo>,
    /// Of one that tells of no end, who was to hear of an end that it took the place of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) owed: Vec<ToldTo>,
    /// Its incident: since, last, failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) incident: Option<(At, At, u64)>,
}

const fn one() -> u64 {
    1
}

impl Listed {
    /// The entry that tells of it, where one does.
    pub(super) fn entry(&self) -> Option<EntryId> {
        Some(self.entry).filter(|entry| entry.0 != [0; 16])
    }

    /// Whether it tells that something is over.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.reason, Reason::Recovered | Reason::Returned)
    }
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
    /// Where time opened it and no entry, that instant; else 0. Its message's id goes back to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) opened_again: i64,
    pub(super) due: Option<At>,
    pub(super) receivers: Vec<Arc<str>>,
    /// The first alerts; of one subject the newest, where the kind nets.
    pub(super) listed: Vec<Listed>,
    /// Whether each alert is listed by itself, though others of its subject are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) apart: bool,
    /// Alerts in all.
    pub(super) count: u64,
    /// Of a silence, its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) silence: Option<Subject>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl Record for Bundle {
    const PREFIX: char = 'b';

    fn due(&self) -> Option<At> {
        self.due
    }
}

impl Bundle {
    /// Takes an alert in. `max` is how many are listed.
    pub(super) fn joins(&mut self, mut alert: Listed, max: usize) {
        self.count += alert.alerts;
        let nets = self.kind != Kind::Group && !self.apart;
        let known = self.listed.iter().position(|known| known.subject == alert.subject);
        match known.filter(|_| nets) {
            Some(known) => {
                let before = &mut self.listed[known];
                if alert.to.is_empty() {
                    // Who was told of the first failure hears of the last end.
                    let owed = if before.is_over() { &mut before.to } else { &mut before.owed };
                    let owed = std::mem::take(owed);
                    *if alert.is_over() { &mut alert.to } else { &mut alert.owed } = owed;
                }
                alert.alerts += before.alerts;
                *before = alert;
            }
            // One that leaves a group makes room for one of these.
            None if self.listed.len() < self.room(max) => self.listed.push(alert),
            None => {}
        }
    }

    /// How many are remembered one by one, where so many are listed.
    fn room(&self, max: usize) -> usize {
        if self.kind == Kind::Group { max.saturating_mul(2) } else { max }
    }

    /// Makes sure that these are among those that its message goes to.
    pub(super) fn is_also_for(&mut self, receivers: &[Arc<str>]) {
        for receiver in receivers {
            if !self.receivers.contains(receiver) {
                self.receivers.push(receiver.clone());
            }
        }
    }

    /// Takes over what another held; what it has of the same subject is newer.
    pub(super) fn takes_over(&mut self, older: Listed, max: usize) {
        let known = self.listed.iter().position(|known| known.subject == older.subject);
        let Some(newer) = known.filter(|_| !self.apart).map(|known| self.listed.remove(known))
        else {
            return self.joins(older, max);
        };
        self.count = self.count.saturating_sub(newer.alerts);
        self.joins(older, max);
        self.joins(newer, max);
    }

    /// Takes an alert out that is over before it was told.
    pub(super) fn leaves(&mut self, subject: Subject) {
        self.count = self.count.saturating_sub(1);
        self.listed.retain(|known| known.subject != subject);
    }

    /// How many alerts it counts and does not list, where it lists the first `most`.
    pub(super) fn unlisted(&self, most: usize) -> u64 {
        let listed = self.listed.iter().take(most).map(|listed| listed.alerts);
        self.count.saturating_sub(listed.sum())
    }

    /// The entries that its message lists, where it lists the first `most`.
    pub(super) fn entries(&self, most: usize) -> Vec<EntryId> {
        self.listed.iter().take(most).filter_map(Listed::entry).collect()
    }

    /// Whether it is the one that a place is in, rather than a later one of its kind.
    pub(super) fn is(&self, place: &Waits) -> bool {
        self.opened_by == place.opened_by && self.opened_again == place.opened_again
    }

    /// A place in it.
    pub(super) fn place(&self, bundle: Subject) -> Waits {
        Waits {
            bundle,
            opened_by: self.opened_by,
            opened_again: self.opened_again,
            kind: self.kind,
            reason: self.reason,
            receivers: self.receivers.clone(),
        }
    }
}
