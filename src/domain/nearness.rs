//! What a rule made of recent entries: those that it matched, and those that it missed by the least.
//!
//! Verdicts are the clauses' own ([`Clause::missing`]). Deliberately absent: what followed, and where
//! the entries come from.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    clause::Clause,
    entry::{Entry, EntryId},
    rule::{Mode, RuleSet},
    verdict::ClauseReport,
};

/// What a rule made of the entries that were looked at.
#[derive(Debug, Clone, Serialize)]
pub struct RuleHistory {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Whether its messages are sent.
    pub mode: Mode,
    /// Whom it tells.
    pub send_to: Vec<Arc<str>>,
    /// How many entries were looked at, the newest.
    pub looked_at: usize,
    /// How many of them it matches.
    pub matches: usize,
    /// The newest of those.
    pub matched: Vec<Match>,
    /// The others by what they lack, those that lack the least first.
    pub misses: Vec<Miss>,
}

/// An entry that a rule matches.
#[derive(Debug, Clone, Serialize)]
pub struct Match {
    /// Its id.
    pub id: EntryId,
    /// Its fields.
    pub entry: serde_json::Value,
    /// The earlier rule whose match ended the looking, so that this one was not asked.
    pub stopped_by: Option<Arc<str>>,
}

/// Entries that a rule misses by the same clauses, which saw the same.
#[derive(Debug, Clone, Serialize)]
pub struct Miss {
    /// How many there are.
    pub count: usize,
    /// The newest one's id.
    pub id: EntryId,
    /// The newest one's fields.
    pub entry: serde_json::Value,
    /// The clauses that would all have to hold, and do not.
    pub clauses: Vec<ClauseReport>,
}

/// What the rule at `index` makes of entries, which are given newest first, each with the instant to
/// judge it at. At most `limit` matches and misses are named.
pub fn of_rule<'e>(
    rules: &RuleSet,
    index: usize,
    entries: impl Iterator<Item = (&'e Entry, Timestamp)>,
    limit: usize,
) -> RuleHistory {
    let rule = &rules.rules()[index];
    let mut history = RuleHistory {
        rule: rule.name.clone(),
        mode: rule.mode,
        send_to: rule.send_to.clone(),
        looked_at: 0,
        matches: 0,
        matched: Vec::new(),
        misses: Vec::new(),
    };
    for (entry, now) in entries {
        history.looked_at += 1;
        let clauses = rule.matches.missing(entry, now);
        if clauses.is_empty() && rules.verdict(index, entry, now).matched() {
            history.matches += 1;
            if history.matched.len() < limit {
                let stopped_by = rules.explain(entry, now).swap_remove(index).stopped_by;
                let (id, entry) = (entry.id, entry.fields_json());
                history.matched.push(Match { id, entry, stopped_by });
            }
            continue;
        }
        note_miss(&mut history.misses, clauses, entry, limit);
    }
    history
}

/// Adds a miss to those of the same clauses, or in its place among the nearest.
fn note_miss(misses: &mut Vec<Miss>, clauses: Vec<ClauseReport>, entry: &Entry, limit: usize) {
    if let Some(same) = misses.iter_mut().find(|miss| miss.clauses == clauses) {
        same.count += 1;
        return;
    }
    // Of those as near the newest comes first, and it came first.
    let place = misses.partition_point(|miss| miss.clauses.len() <= clauses.len());
    if place < limit {
        misses.truncate(limit - 1);
        let (id, entry) = (entry.id, entry.fields_json());
        misses.insert(place, Miss { count: 1, id, entry, clauses });
    }
}

impl Clause {
    /// The fewest tests that would have to hold, each with the `not`s around it, for the clause to be
    /// true; none where it is. Of an `any`, which needs one part, those of the nearest part.
    pub fn missing(&self, entry: &Entry, now: Timestamp) -> Vec<ClauseReport> {
        self.missing_of(false, entry, now)
    }

    fn missing_of(&self, negated: bool, entry: &Entry, now: Timestamp) -> Vec<ClauseReport> {
        let of = |part: &Self| part.missing_of(negated, entry, now);
        match (self, negated) {
            (Self::Not(clause), _) => clause.missing_of(!negated, entry, now),
            (Self::All(parts), false) | (Self::Any(parts), true) => {
                parts.iter().flat_map(of).collect()
            }
            (Self::Any(parts), false) | (Self::All(parts), true) => {
                parts.iter().map(of).min_by_key(Vec::len).unwrap_or_default()
            }
            (Self::Test(_) | Self::Cel(_), _) => {
                let whole = if negated { self.clone().negated() } else { self.clone() };
                whole.decided_by(entry, now).into_iter().collect()
            }
        }
    }
}
