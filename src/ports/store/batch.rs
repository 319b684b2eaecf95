//! What a commit puts down: the cursors' moves, entries, decision state, notifications, alarms.
//!
//! Deliberately absent: how it is put down, and anything about delivering it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        decision::StateChange,
        digest::Tally,
        entry::{Entry, EntryId, Identity, WallTime},
        incident::IncidentView,
        notification::{HeldBy, NotificationId, Reason},
        rule::Severity,
    },
    ports::{Alarm, AlarmKind, Payload, Rejected},
};

/// A repository of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoKey {
    /// The source's name.
    pub source: Arc<str>,
    /// The repository that is asked for.
    pub repo: Arc<str>,
}

/// What of a repository has been taken in, apart from the known rows themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// When the first walk closed; `None` before.
    pub baseline_at: Option<Timestamp>,
    /// Rows before this are never fresh.
    pub floor: WallTime,
    /// The newest row known.
    pub newest: Option<WallTime>,
    /// A digest of page 1 when the last walk closed, as a multiset.
    pub head: Option<Identity>,
    /// The total that page 1 named then.
    pub total: Option<u64>,
    /// When the whole overlap was last walked.
    pub walked_at: Option<Timestamp>,
    /// Seconds of more rows than a page shows that could not be counted yet: they wait for a walk
    /// that agrees.
    pub doubts: Vec<Doubt>,
    /// Sealed rows wait to be decided.
    pub sealed: bool,
    /// Set until the first walk closes where the repository was discovered after the source's first
    /// contact: its rows of this second and later are news.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<WallTime>,
    /// When the repository was let go, since the registry lists it no longer; `None` while it is
    /// read. It goes on from here when it comes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
}

/// A second of more rows than a page shows that could not be counted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// The second.
    pub wall: WallTime,
    /// A digest of its rows in the order that every reading of them showed, `None` while no two
    /// readings agreed.
    pub reading: Option<Identity>,
    /// How unlikely it is that so many readings agreed by chance, in bits.
    pub bits: u32,
    /// Walks that ended without a count.
    pub walks: u32,
    /// It was met at first contact: its rows are history, not news.
    pub history: bool,
}

/// A row of the window: what is known, how often it stands in the log, and how many ordinals of it
/// have been given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The row's second.
    pub wall: WallTime,
    /// The row.
    pub identity: Identity,
    /// Copies of it taken in and not since revised.
    pub copies: u32,
    /// The next copy's ordinal.
    pub next_ordinal: u32,
}

/// A cursor's move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorMove {
    /// Whose.
    pub repo: RepoKey,
    /// What it is now.
    pub cursor: Cursor,
    /// Known rows that are new or changed.
    pub known: Vec<Known>,
    /// Known rows before this are forgotten.
    pub forget_before: WallTime,
    /// The staged rows are from now on to be decided, and those at or after `forget_before` become
    /// known rows: a copy more of each, and a copy less of the unfinished row that one revises.
    pub seal: bool,
}

/// All that steps of the intake cause: of one repository, or of several that are put down together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The cursors' moves; none while sealed rows are decided, or for a tick.
    pub cursors: Vec<CursorMove>,
    /// Entries with what was decided of them, oldest first within each repository.
    pub entries: Vec<DecidedEntry>,
    /// These entries, of one repository then, were sealed; their staged rows go.
    pub unseal: bool,
    /// Changes of the decision state.
    pub changes: Vec<StateChange>,
    /// Notifications, in the order decided.
    pub notifications: Vec<NewNotification>,
    /// Rows that could not be understood; one that is known by its text is not kept twice.
    pub rejected: Vec<(RepoKey, Rejected)>,
    /// Alarms that people are told of by these notifications.
    pub alarms: Vec<AlarmChange>,
    /// When.
    pub at: Option<Timestamp>,
}

/// An alarm that people were told of, or told that it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmChange {
    /// It began.
    Began(Alarm),
    /// The one of this kind about this is over.
    Over(AlarmKind, Arc<str>),
}

/// An entry with what was decided of it.
#[derive(Debug, Clone)]
pub struct DecidedEntry {
    /// The entry.
    pub entry: Arc<Entry>,
    /// When it was taken in.
    pub taken_at: Timestamp,
    /// The rules that matched, in order; none is a reason too.
    pub matched: Vec<Arc<str>>,
}

/// A notification to put down.
#[derive(Debug, Clone)]
pub struct NewNotification {
    /// Its id.
    pub id: NotificationId,
    /// The rule; empty for a test or an alarm.
    pub rule: Arc<str>,
    /// The receiver.
    pub receiver: Arc<str>,
    /// The source of what it tells of; empty for a test or an alarm.
    pub source: Arc<str>,
    /// The digest of its key.
    pub key: [u8; 16],
    /// The key as the API shows it.
    pub key_json: serde_json::Value,
    /// Why it is sent.
    pub reason: Reason,
    /// How grave it is.
    pub severity: Severity,
    /// The entries that it tells of.
    pub entries: Vec<EntryId>,
    /// How many entries it stands for.
    pub count: u64,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What holds it; then it has no payload.
    pub held_by: Option<HeldBy>,
    /// What is sent; `None` only when held.
    pub payload: Option<Payload>,
    /// What it says besides its entries.
    pub told: Told,
    /// The message that told the same receiver of its incident first, where it is another.
    pub follows: Option<NotificationId>,
}

/// What a message says besides its entries, kept so that it can be rendered for another receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The incident that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentView>,
    /// What a digest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Tally>,
    /// What an alarm or a summary says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many it stands for and does not list, where that is not what is left of its count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
}
