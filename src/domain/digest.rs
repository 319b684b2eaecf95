//! Digests: when a lane's pace can't clear what waits in time, that becomes one message.
//!
//! Two pure decisions: whether to fold now, and what the digest says of what was folded. A failure
//! and its recovery that both waited are one line, which says that it is over. Deliberately absent:
//! which rows may fold (the store knows who is claimed), and text.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::{
    entry::{EntryId, FieldHasher},
    notification::{NotificationId, Reason},
    pace::Pace,
    rule::Severity,
};

/// The most lines that name something; what is beyond them is counted.
pub const LISTED: usize = 20;

/// What a lane can clear, and how long a message may wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// The lane's pace.
    pub pace: Pace,
    /// `digest_after`.
    pub after: Duration,
}

/// What to do with what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send it message by message: pace clears it in time.
    Singly,
    /// Fold it now.
    Fold,
    /// A digest went lately: gather until then, so that a burst in several commits is a few digests.
    Gather(Timestamp),
}

impl Pressure {
    /// The most messages that pace lets through within `digest_after`, at least 1.
    pub fn clears(&self) -> u64 {
        let rounds = self.after.as_secs_f64() / self.pace.per.as_secs_f64();
        ((f64::from(self.pace.count) * rounds) as u64).max(1)
    }

    /// What to do when so many wait, the last digest having been made at `folded_at`. A clock that
    /// was set back since is no reason to wait.
    pub fn step(&self, waiting: u64, folded_at: Option<Timestamp>, now: Timestamp) -> Step {
        if waiting <= self.clears() {
            return Step::Singly;
        }
        let Some(folded_at) = folded_at.filter(|&at| at <= now) else { return Step::Fold };
        let until = folded_at.checked_add(self.after).unwrap_or(Timestamp::MAX);
        if until > now { Step::Gather(until) } else { Step::Fold }
    }
}

/// A waiting message, as far as a digest cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub id: NotificationId,
    /// The digest of its key.
    pub key: [u8; 16],
    /// Why it was to be sent.
    pub reason: Reason,
    /// How grave it is.
    pub severity: Severity,
    /// The newest entry that it tells of.
    pub entry: Option<EntryId>,
}

/// How one thing stands after all that waited about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It fails.
    Failing,
    /// Something else is said of it.
    Other,
    /// It is well again; that it failed was told before.
    Recovered,
    /// It failed and recovered while both waited.
    Over,
}

#[derive(Debug)]
struct Line {
    standing: Standing,
    began_here: bool,
    severity: Severity,
    entry: Option<EntryId>,
    place: usize,
}

/// Gathers what waits, in the order decided.
pub struct Gatherer {
    hasher: FieldHasher,
    count: u64,
    /// The last message that was counted: parts of it that follow are no more messages.
    counted: Option<NotificationId>,
    lines: HashMap<[u8; 16], Line>,
}

impl Gatherer {
    /// Gathers what waits for a receiver.
    pub fn new(receiver: &str) -> Self {
        let mut hasher = FieldHasher::new("digest");
        hasher.text(receiver);
        Self { hasher, count: 0, counted: None, lines: HashMap::new() }
    }

    /// Adds a message.
    pub fn add(&mut self, waiting: &Waiting) {
        self.hasher.bytes(&waiting.id.0);
        if !self.counted.is_some_and(|message| message.has_part(waiting.id)) {
            self.count += 1;
            self.counted = Some(waiting.id);
        }
        let place = self.lines.len();
        let line = self.lines.entry(waiting.key).or_insert(Line {
            standing: Standing::Other,
            began_here: false,
            severity: waiting.severity,
            entry: None,
            place,
        });
        line.severity = line.severity.max(waiting.severity);
        line.entry = waiting.entry.or(line.entry);
        line.standing = match waiting.reason {
            Reason::Failing | Reason::Threshold | Reason::Absent | Reason::Storm => {
                line.began_here = true;
                Standing::Failing
            }
            // Of what was told before.
            Reason::Reminder | Reason::Flapping => Standing::Failing,
            Reason::Recovered | Reason::Returned if line.began_here => Standing::Over,
            Reason::Recovered | Reason::Returned => Standing::Recovered,
            _ => Standing::Other,
        };
    }

    /// What a digest of it says.
    pub fn digest(self) -> Digest {
        let mut lines: Vec<Line> = self.lines.into_values().collect();
        lines.sort_unstable_by_key(|line| (line.standing, Reverse(line.severity), line.place));
        let of = |standing| lines.iter().filter(|line| line.standing == standing).count() as u64;
        let tally = Tally {
            failing: of(Standing::Failing),
            matched: of(Standing::Other),
            recovered: of(Standing::Recovered),
            over: of(Standing::Over),
        };
        let open = lines.iter().filter(|line| line.standing <= Standing::Other);
        Digest {
            id: NotificationId(self.hasher.finish()),
            count: self.count,
            severity: open.map(|line| line.severity).max().unwrap_or(Severity::Info),
            tally,
            entries: lines.iter().filter_map(|line| line.entry).take(LISTED).collect(),
        }
    }
}

/// What a digest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Its id, the same for the same messages.
    pub id: NotificationId,
    /// Messages that it stands for.
    pub count: u64,
    /// The gravest of what is not over.
    pub severity: Severity,
    /// The things that they are about.
    pub tally: Tally,
    /// An entry of each thing, the gravest of those that fail first, at most [`LISTED`].
    pub entries: Vec<EntryId>,
}

/// How the things stand that a digest tells of; each is counted once, however many messages told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// They fail.
    pub failing: u64,
    /// Something else is said of them.
    pub matched: u64,
    /// They are well again, and their failure was told before.
    pub recovered: u64,
    /// They failed and recovered while both messages waited.
    pub over: u64,
}

impl Tally {
    /// How many there are.
    pub fn things(&self) -> u64 {
        self.failing + self.matched + self.recovered + self.over
    }
}
