//! A notification: one message for one receiver, one row of the outbox.
//!
//! Deliberately absent: text. What it says is rendered by an adapter before it is queued and is
//! opaque bytes from then on.

use std::{fmt, str::FromStr, sync::Arc};

use serde::Serialize;

use super::{
    entry::{Entry, EntryId, FieldHasher, hex_id},
    field::Field,
    incident::IncidentView,
    rule::Severity,
};

/// The id of a notification, the same at every attempt and for the same input: 32 lower-case
/// hexadecimal digits, so it holds no `.` (Standard Webhooks forbids one). Like an [`EntryId`], it
/// begins with the two bytes of the repository that caused it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NotificationId(pub [u8; 16]);
hex_id!(NotificationId);

impl NotificationId {
    /// The id of what `rule` tells `receiver` about an entry for a reason. `incident` is the
    /// incident's number under its key, 0 where there is none.
    pub fn of(entry: &Entry, rule: &str, receiver: &str, reason: Reason, incident: u64) -> Self {
        let mut hasher = FieldHasher::new("notification");
        hasher.text(&entry.source);
        hasher.text(&entry.asked_repo);
        hasher.bytes(&entry.identity.0);
        hasher.number(Some(i64::from(entry.ordinal)));
        hasher.text(rule);
        hasher.text(receiver);
        hasher.text(reason.name());
        hasher.number(Some(i64::try_from(incident).unwrap_or(i64::MAX)));
        Self(hasher.finish_after(entry.id.prefix()))
    }

    /// The id of what time alone made `rule` tell `receiver`: `what` it was, `cause` the entry that
    /// it goes back to, `incident` as above, and `nth` where there are several of it.
    pub fn of_time(
        (what, nth): (&str, u64),
        cause: EntryId,
        (rule, receiver): (&str, &str),
        reason: Reason,
        incident: u64,
    ) -> Self {
        let mut hasher = FieldHasher::new("time");
        hasher.text(what);
        hasher.bytes(&cause.0);
        hasher.text(rule);
        hasher.text(receiver);
        hasher.text(reason.name());
        for number in [incident, nth] {
            hasher.number(Some(i64::try_from(number).unwrap_or(i64::MAX)));
        }
        Self(hasher.finish_after(cause.prefix()))
    }

    /// The most parts that a message is split into.
    pub const MOST_PARTS: u32 = 4;

    /// The id of a later part of a message that was split; part 0 keeps the message's own.
    #[must_use]
    pub fn part(self, part: u32) -> Self {
        if part == 0 {
            return self;
        }
        let mut hasher = FieldHasher::new("part");
        hasher.bytes(&self.0);
        hasher.number(Some(i64::from(part)));
        Self(hasher.finish_after([self.0[0], self.0[1]]))
    }

    /// Whether an id is that of a later part of this message.
    pub fn has_part(self, id: Self) -> bool {
        // A part's id begins as its message's does: this tells most from one another at once.
        id.0[..2] == self.0[..2] && (1..Self::MOST_PARTS).any(|part| self.part(part) == id)
    }

    /// The id of a message that no entry caused: a test, an alarm. `what` and `when` tell one
    /// from another.
    pub fn of_event(what: &str, receiver: &str, reason: Reason, when_ms: i64) -> Self {
        let mut hasher = FieldHasher::new("event");
        hasher.text(what);
        hasher.text(receiver);
        hasher.text(reason.name());
        hasher.number(Some(when_ms));
        Self(hasher.finish())
    }
}

/// Declares an enum whose every variant has one word for files, the store, the API and templates.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The one of that name.
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.name()) }
        }
    };
}
pub(crate) use words;

words! {
    /// Why a message is sent.
    Reason {
        /// `notify: every`: the entry matched.
        Matched = "matched",
        /// A key began to fail.
        Failing = "failing",
        /// A failing key is well again.
        Recovered = "recovered",
        /// It still fails.
        Reminder = "reminder",
        /// It happened so many times within a window.
        Threshold = "threshold",
        /// Nothing was seen for too long.
        Absent = "absent",
        /// It was seen again.
        Returned = "returned",
        /// It fails and recovers in turns.
        Flapping = "flapping",
        /// Many keys fail together.
        Storm = "storm",
        /// What was held back during a mute or silence.
        Summary = "summary",
        /// Waiting messages folded into one.
        Digest = "digest",
        /// What happened while nobody was reading the log.
        CatchUp = "catch_up",
        /// About triggerbell itself.
        Alarm = "alarm",
        /// The first message of a new way of rendering.
        Canary = "canary",
        /// A person asked for it.
        Test = "test",
    }
}

/// How a message follows an earlier one about the same incident, where the receiver knows how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It goes into the earlier one's thread.
    Thread,
    /// It takes the earlier one's place.
    Update,
}

impl Reason {
    /// Whether it tells that something is over.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Recovered | Self::Returned)
    }

    /// How a message for the reason `next` follows one for this reason, both being about one thing.
    /// What stands for several things, such as a summary, is not followed: its place is not one
    /// incident's to take.
    pub const fn followed_by(self, next: Self) -> Option<Follow> {
        use Reason::{Absent, Failing, Flapping, Reminder, Storm, Threshold};
        let tells = matches!(self, Failing | Threshold | Absent | Flapping | Storm | Reminder);
        match next {
            _ if !tells => None,
            _ if next.is_over() => Some(Follow::Update),
            Failing | Threshold | Absent | Flapping | Storm | Reminder => Some(Follow::Thread),
            _ => None,
        }
    }
}

words! {
    /// Where a notification stands.
    NotificationState {
        /// It waits for its turn, its time or its lane.
        Pending = "pending",
        /// It was claimed; an attempt has been counted.
        Sending = "sending",
        /// The receiver's answer said that it arrived.
        Delivered = "delivered",
        /// It was given up, and can be retried by hand.
        Dead = "dead",
        /// It is told by a digest.
        Folded = "folded",
        /// It was decided and will not be sent; `held_by` says why.
        Held = "held",
    }
}

words! {
    /// What held a notification back, in the order in which the holds are asked.
    HeldBy {
        /// Its rule is in shadow.
        Shadow = "shadow",
        /// The rule's state says that it was told already.
        State = "state",
        /// It is late news, which its source is told to leave untold.
        CatchUp = "catch_up",
        /// Another rule's incident explains it.
        Inhibited = "inhibited",
        /// A person silenced it.
        Silenced = "silenced",
        /// A schedule muted it.
        Muted = "muted",
        /// It is a member of a storm.
        Storm = "storm",
        /// Its key was told too recently.
        Throttle = "throttle",
        /// It waits in a group.
        Group = "group",
    }
}

/// The thing that an alert is about: (rule, source, the fields of `by`). A missing field is a
/// value of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The fields in the rule's order, each with its text, `None` where the entry lacked it.
    pub fields: Vec<(Field, Option<Box<str>>)>,
    /// A digest of rule, source and fields, by which keys are compared and ordered.
    pub digest: [u8; 16],
}

impl Key {
    /// No key, where whose it is is known.
    pub const fn none() -> Self {
        Self { fields: Vec::new(), digest: [0; 16] }
    }

    /// Whether it is none.
    pub fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// The key of an entry under a rule's `by`.
    pub fn of(rule: &str, by: &[Field], entry: &Entry) -> Self {
        let mut hasher = FieldHasher::new("key");
        hasher.text(rule);
        hasher.text(&entry.source);
        let fields = by
            .iter()
            .map(|&field| {
                let text = entry.text(field);
                hasher.text(field.name());
                hasher.number(text.as_ref().map(|text| text.len() as i64));
                hasher.text(text.as_deref().unwrap_or_default());
                (field, text.map(|text| text.into_owned().into_boxed_str()))
            })
            .collect();
        Self { fields, digest: hasher.finish() }
    }

    /// The key as the API shows it: an object of field names, null where the entry lacked one.
    pub fn to_json(&self) -> serde_json::Value {
        self.fields
            .iter()
            .map(|(field, text)| (field.name().to_owned(), serde_json::json!(text)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// A notification as it was decided, before it is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its id, stable for the same input.
    pub id: NotificationId,
    /// The rule that caused it; empty for a test or an alarm.
    pub rule: Arc<str>,
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// Why it is sent.
    pub reason: Reason,
    /// How grave the rule says it is.
    pub severity: Severity,
    /// The source of what it is about; empty where that is several, or none.
    pub source: Arc<str>,
    /// What it is about.
    pub key: Key,
    /// The incident that it tells of, where it is one.
    pub incident: Option<IncidentView>,
    /// The entries that it tells of, oldest first, at most the rule's `max`.
    pub entries: Vec<EntryId>,
    /// The earlier message that it follows, where one told of the same before.
    pub follows: Option<NotificationId>,
    /// How many entries it stands for, listed or not.
    pub count: u64,
    /// How many it stands for and does not list: of a summary, which lists of each key the last, less
    /// than what is left of `count`.
    pub more: u64,
    /// What holds it back; such an intent is recorded and never rendered.
    pub held_by: Option<HeldBy>,
}
