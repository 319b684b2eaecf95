//! What a replay came to, counted: messages by receiver and reason, what was held, the load on each
//! receiver, and the differences between two rule sets.
//!
//! Only counts and a few examples are kept, however long the history. Deliberately absent: how they
//! are printed (`print`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    cli::{amount::span, local::shown},
    config::Config,
    domain::{
        comparison::{Change, Difference},
        entry::Entry,
        lane_load::LaneLoad,
        notification::{HeldBy, Reason},
        rehearsal::{Decided, Fed},
        rule::RuleSet,
    },
};

use super::history::History;

/// How many examples of each change are kept for people.
const EXAMPLES: usize = 10;

/// The history that was replayed.
pub(super) struct About {
    pub(super) name: String,
    pub(super) entries: usize,
    pub(super) span: Option<(Timestamp, Timestamp)>,
    pub(super) rejected: usize,
}

impl About {
    pub(super) fn of(history: &History) -> Self {
        Self {
            name: history.name.clone(),
            entries: history.len,
            span: (history.len > 0).then_some((history.start, history.end)),
            rejected: history.rejected,
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name, "entries": self.entries, "not_understood": self.rejected,
            "from": self.span.map(|span| span.0), "to": self.span.map(|span| span.1),
        })
    }

    /// For people: how many, of what, from when to when in a zone.
    pub(super) fn text(&self, zone: &TimeZone) -> String {
        let count = crate::cli::load::plural_of(self.entries, "entry", "entries");
        let mut text = format!("{count} of {}", self.name);
        if let Some((from, to)) = self.span {
            text += &format!(", {} to {}", shown(from, zone), shown(to, zone));
        }
        if self.rejected > 0 {
            text += &format!("; {} not understood", self.rejected);
        }
        text
    }
}

/// What one rule set did.
pub(super) struct Tally {
    /// The set's name.
    pub(super) name: String,
    pub(super) rules: Vec<RuleTally>,
    pub(super) receivers: BTreeMap<Arc<str>, ReceiverTally>,
    /// Entries that at least one rule matched.
    pub(super) matched: u64,
    by_name: BTreeMap<Arc<str>, usize>,
}

/// What one rule did.
pub(super) struct RuleTally {
    pub(super) name: Arc<str>,
    /// Entries that it matched.
    pub(super) matched: u64,
    pub(super) messages: u64,
    pub(super) held: BTreeMap<HeldBy, u64>,
}

/// What one receiver got.
pub(super) struct ReceiverTally {
    pub(super) reasons: BTreeMap<Reason, u64>,
    pub(super) load: LaneLoad,
    digest_after: Option<Duration>,
}

impl ReceiverTally {
    fn new(name: &str, config: &Config) -> Self {
        let receiver = config.receivers.iter().find(|receiver| *receiver.name == *name);
        Self {
            reasons: BTreeMap::new(),
            load: LaneLoad::new(receiver.and_then(|receiver| receiver.pace)),
            digest_after: receiver.and_then(|receiver| receiver.digest_after),
        }
    }

    /// Whether its pace would have kept something so long that it is folded into a digest.
    pub(super) fn folds(&self) -> bool {
        let delay = self.load.longest_delay();
        delay.zip(self.digest_after).is_some_and(|((delay, _), after)| delay > after)
    }

    pub(super) fn peak(&self) -> u64 {
        self.load.peak_per_minute().map_or(0, |(peak, _)| peak)
    }

    /// The longest delay, for people.
    pub(super) fn delay(&self) -> String {
        match self.load.longest_delay() {
            Some((delay, _)) if self.folds() => format!("{}, in digests", span(delay)),
            Some((delay, _)) => span(delay),
            None => "-".to_owned(),
        }
    }

    fn json(&self) -> Value {
        let (peak, delay) = (self.load.peak_per_minute(), self.load.longest_delay());
        json!({
            "messages": self.load.messages(),
            "reasons": words(&self.reasons, Reason::name),
            "pace": self.load.pace().map(|pace| json!({
                "count": pace.count, "per_s": pace.per.as_secs_f64() })),
            "peak_per_minute": self.peak(), "peak_at": peak.map(|it| it.1),
            "longest_delay_s": delay.map(|it| it.0.as_secs_f64()), "longest_delay_at": delay.map(|it| it.1),
            "folds_into_digests": self.folds(),
        })
    }
}

fn words<K: Copy>(counts: &BTreeMap<K, u64>, name: impl Fn(K) -> &'static str) -> Value {
    let all = counts.iter().map(|(&word, &count)| (name(word).to_owned(), count.into()));
    Value::Object(all.collect())
}

impl Tally {
    pub(super) fn new(name: String, rules: &RuleSet, config: &Config) -> Self {
        let rule = |name: &Arc<str>| RuleTally {
            name: name.clone(),
            matched: 0,
            messages: 0,
            held: BTreeMap::new(),
        };
        let rules: Vec<_> = rules.rules().iter().map(|it| rule(&it.name)).collect();
        let by_name =
            rules.iter().enumerate().map(|(index, it)| (it.name.clone(), index)).collect();
        let names = config.receivers.iter().map(|receiver| receiver.name.clone());
        let receivers =
            names.map(|name| (name.clone(), ReceiverTally::new(&name, config))).collect();
        Self { name, rules, receivers, matched: 0, by_name }
    }

    /// Adds what came of an entry.
    pub(super) fn fed(&mut self, fed: &Fed) {
        self.matched += u64::from(!fed.matched.is_empty());
        for &index in &fed.matched {
            self.rules[index].matched += 1;
        }
        fed.decided.iter().for_each(|decided| self.add(decided));
    }

    fn add(&mut self, decided: &Decided) {
        let intent = &decided.intent;
        let Some(&index) = self.by_name.get(&intent.rule) else { return };
        let rule = &mut self.rules[index];
        if let Some(by) = intent.held_by {
            *rule.held.entry(by).or_default() += 1;
            return;
        }
        rule.messages += 1;
        // A rule's receivers are all configured.
        if let Some(receiver) = self.receivers.get_mut(&intent.receiver) {
            *receiver.reasons.entry(intent.reason).or_default() += 1;
            receiver.load.add(decided.at);
        }
    }

    pub(super) fn messages(&self) -> u64 {
        self.rules.iter().map(|rule| rule.messages).sum()
    }

    pub(super) fn held(&self) -> u64 {
        self.rules.iter().flat_map(|rule| rule.held.values()).sum()
    }

    pub(super) fn json(&self) -> Value {
        let rules = self.rules.iter().map(|rule| {
            let held = words(&rule.held, HeldBy::name);
            let counts =
                json!({ "matched": rule.matched, "messages": rule.messages, "held": held });
            (rule.name.to_string(), counts)
        });
        let receivers = self.receivers.iter().map(|(name, it)| (name.to_string(), it.json()));
        json!({
            "name": self.name, "entries_matched": self.matched, "messages": self.messages(),
            "held": self.held(), "receivers": Value::Object(receivers.collect()),
            "rules": Value::Object(rules.collect()),
        })
    }
}

/// What differs, counted by receiver, with examples.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) counts: BTreeMap<Change, u64>,
    pub(super) receivers: BTreeMap<Arc<str>, BTreeMap<Change, u64>>,
    pub(super) examples: BTreeMap<Change, Vec<Difference>>,
}

impl Differences {
    pub(super) fn add(&mut self, difference: Difference) {
        let change = difference.change;
        *self.counts.entry(change).or_default() += 1;
        let mut receivers: Vec<Arc<str>> = [&difference.old, &difference.new]
            .into_iter()
            .flatten()
            .map(|message| message.decided.intent.receiver.clone())
            .collect();
        receivers.dedup();
        for receiver in receivers {
            *self.receivers.entry(receiver).or_default().entry(change).or_default() += 1;
        }
        let examples = self.examples.entry(change).or_default();
        if examples.len() < EXAMPLES {
            examples.push(difference);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub(super) fn count(&self, change: Change) -> u64 {
        self.counts.get(&change).copied().unwrap_or(0)
    }

    pub(super) fn of(&self, receiver: &str, change: Change) -> u64 {
        self.receivers.get(receiver).and_then(|it| it.get(&change)).copied().unwrap_or(0)
    }

    pub(super) fn json(&self) -> (Value, Value) {
        let all = |of: &dyn Fn(Change) -> u64| -> Value {
            let counts = Change::ALL.iter().map(|&it| (it.name().to_owned(), of(it).into()));
            Value::Object(counts.collect())
        };
        let receivers = self
            .receivers
            .keys()
            .map(|name| (name.to_string(), all(&|change| self.of(name, change))));
        (all(&|change| self.count(change)), Value::Object(receivers.collect()))
    }
}

/// A message as JSON shows it.
pub(super) fn message(decided: &Decided, entry: Option<&Arc<Entry>>) -> Value {
    let Decided { at, intent } = decided;
    json!({
        "at": at, "receiver": intent.receiver, "rule": intent.rule, "reason": intent.reason,
        "severity": intent.severity, "source": intent.source, "key": intent.key.to_json(),
        "count": intent.count, "id": intent.id, "entry": entry.map(|entry| entry.fields_json()),
    })
}

/// A difference as JSON shows it.
pub(super) fn difference(of: &Difference) -> Value {
    let side = |side: &Option<crate::domain::comparison::Message>| {
        side.as_ref().map(|it| message(&it.decided, it.entry.as_ref()))
    };
    let mut json = json!({
        "change": of.change, "old": side(&of.old), "new": side(&of.new), "held_by": of.held_by,
    });
    if let Some((old, new)) = &of.texts {
        json["old_text"] = old.as_str().into();
        json["new_text"] = new.as_str().into();
    }
    json
}
