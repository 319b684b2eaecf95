//! What tests reached of the rules: which rules matched, which clauses held and did not, and which
//! templates made a message.
//!
//! Deliberately absent: whether an entry matches; that is the rule set's own explanation.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use jiff::Timestamp;

use super::play::Stage;
use crate::{
    adapters::templates::{ReceiverType, Sample, sample_entry},
    cli::table::printable,
    config::TestBed,
    domain::{
        entry::Entry,
        rule::{Mode, Rule, RuleSet},
        verdict::{ClauseReport, Truth},
    },
};

/// A clause, and whether it was seen to hold and seen not to.
#[derive(Debug, Default)]
struct Clause {
    path: String,
    wanted: String,
    held: bool,
    failed: bool,
}

/// A rule with its clauses.
#[derive(Debug)]
struct RuleReach {
    reached: bool,
    matching: Vec<Clause>,
    /// Empty where its `recover` is not written or not asked for.
    recovering: Vec<Clause>,
}

/// What was reached of one bed's rules.
pub(super) struct Coverage<'b> {
    bed: &'b TestBed,
    rules: Vec<RuleReach>,
    templates: BTreeMap<(String, ReceiverType), bool>,
}

/// How much of something was reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) reached: usize,
    pub(super) of: usize,
}

impl Share {
    fn add(&mut self, reached: bool) {
        self.of += 1;
        self.reached += usize::from(reached);
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self { reached: self.reached + other.reached, of: self.of + other.of }
    }

    /// Rounded down, so that 100 is all of it.
    pub(super) fn percent(self) -> usize {
        (self.reached * 100).checked_div(self.of).unwrap_or(100)
    }
}

fn clauses(reports: Vec<ClauseReport>) -> Vec<Clause> {
    let clause = |ClauseReport { path, wanted, .. }| Clause { path, wanted, ..Clause::default() };
    reports.into_iter().map(clause).collect()
}

fn note(clauses: &mut [Clause], reports: &[ClauseReport]) {
    for (clause, report) in clauses.iter_mut().zip(reports) {
        match report.truth {
            Truth::True => clause.held = true,
            // A clause on a field that the entry lacks does not hold either.
            Truth::False | Truth::Unknown => clause.failed = true,
        }
    }
}

impl<'b> Coverage<'b> {
    /// Nothing reached yet.
    pub(super) fn new(bed: &'b TestBed, stage: &Stage<'_>) -> Self {
        // Which clauses there are does not depend on the entry.
        let (any, now) = (sample_entry(Sample::Failure), Timestamp::UNIX_EPOCH);
        let writes = |rule: &Rule| rule.notify.recovers() && bed.line_of(rule, "recover").is_some();
        let reach = |rule: &Rule| RuleReach {
            reached: false,
            matching: clauses(rule.matches.reports(&any, now)),
            recovering: match writes(rule) {
                true => clauses(rule.quiet.recover.reports(&any, now)),
                false => Vec::new(),
            },
        };
        let live = bed.rules.rules().iter().filter(|rule| rule.mode == Mode::Live);
        let used = live.flat_map(|rule| {
            let template = rule.template.as_deref();
            rule.send_to.iter().map(move |receiver| (stage.template(template, receiver), false))
        });
        Self {
            bed,
            rules: bed.rules.rules().iter().map(reach).collect(),
            templates: used.collect(),
        }
    }

    /// Notes what the rules say of an entry that they are to decide now.
    pub(super) fn entry(&mut self, rules: &RuleSet, entry: &Entry, now: Timestamp) {
        if !std::ptr::eq(rules, &raw const self.bed.rules) {
            return;
        }
        let explained = rules.explain(entry, now);
        for ((reach, rule), explained) in self.rules.iter_mut().zip(rules.rules()).zip(explained) {
            if !reach.recovering.is_empty() {
                note(&mut reach.recovering, &rule.quiet.recover.reports(entry, now));
            }
            if explained.stopped_by.is_none() {
                reach.reached |= explained.verdict.matched();
                note(&mut reach.matching, &explained.clauses);
            }
        }
    }

    /// Notes that a rule led to a message, sent or held.
    pub(super) fn rule(&mut self, rules: &RuleSet, name: &Arc<str>) {
        if std::ptr::eq(rules, &raw const self.bed.rules) {
            let known = rules.rules().iter().position(|rule| rule.name == *name);
            if let Some(reach) = known.and_then(|index| self.rules.get_mut(index)) {
                reach.reached = true;
            }
        }
    }

    /// Notes that a template made a message.
    pub(super) fn template(&mut self, template: &(String, ReceiverType)) {
        if let Some(reached) = self.templates.get_mut(template) {
            *reached = true;
        }
    }

    fn shares(&self) -> [(&'static str, Share); 3] {
        let (mut rules, mut clauses, mut templates) = <(Share, Share, Share)>::default();
        for reach in &self.rules {
            rules.add(reach.reached);
            for clause in reach.matching.iter().chain(&reach.recovering) {
                clauses.add(clause.held);
                clauses.add(clause.failed);
            }
        }
        self.templates.values().for_each(|reached| templates.add(*reached));
        [("rules", rules), ("clauses", clauses), ("templates", templates)]
    }

    /// How much of everything was reached.
    pub(super) fn share(&self) -> Share {
        self.shares().into_iter().fold(Share::default(), |all, (_, share)| all.and(share))
    }

    /// The shares, and all that was not reached with its place.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let shares = self.shares().into_iter().chain([("all", self.share())]);
        // Writing to a string can't fail.
        for (what, share) in shares {
            let Share { reached, of } = share;
            let _ = writeln!(text, "  {what:<10} {:>3}%  {reached} of {of}", share.percent());
        }
        let missed = self.missed();
        if !missed.is_empty() {
            text.push_str("\nNot reached:\n");
        }
        for (place, what) in missed {
            let _ = writeln!(text, "  {place}: {what}");
        }
        text
    }

    fn missed(&self) -> Vec<(String, String)> {
        let mut missed = Vec::new();
        for (rule, reach) in self.bed.rules.rules().iter().zip(&self.rules) {
            let place = |line: u32| format!("{}:{line}", rule.origin.path);
            let name = printable(&rule.name);
            if !reach.reached {
                let what = format!("{name}: no entry matched it");
                missed.push((place(rule.origin.line), what));
            }
            for clause in reach.matching.iter().chain(&reach.recovering) {
                let never = match (clause.held, clause.failed) {
                    (true, true) => continue,
                    (true, false) => "never failed to hold",
                    (false, true) => "never held",
                    (false, false) => "was never asked",
                };
                let line = self.bed.line_of(rule, &clause.path).unwrap_or(rule.origin.line);
                let Clause { path, wanted, .. } = clause;
                let what = format!("{name}: {path} ({}) {never}", printable(wanted));
                missed.push((place(line), what));
            }
        }
        for ((name, kind), _) in self.templates.iter().filter(|(_, reached)| !**reached) {
            let file = self.bed.template_file(name, kind.name());
            let place = file.map_or("shipped".to_owned(), |file| format!("{file}:1"));
            missed.push((place, format!("template {name} made no message for {kind}")));
        }
        missed
    }
}
