//! What a scenario expects to be told.
//!
//! Deliberately absent: comparing it with what was told, which is the command's.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::{Reading, Times, Written, events::json_of, place_of};
use crate::{
    config::rule::words,
    document::{Code, MapReader, Span, Value, nearest},
    domain::{
        notification::{HeldBy, Reason},
        rule::Severity,
    },
};

/// Reasons of messages that deciding does not lead to.
const NOT_DECIDED: [Reason; 4] = [Reason::Digest, Reason::Alarm, Reason::Canary, Reason::Test];

/// One message that is expected, or one that is to be held. What is `None` is not asked about.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Which item of the list it is, from 0; an item that names several receivers is several.
    pub item: usize,
    /// Its line, from 1.
    pub line: usize,
    /// When.
    pub at: Option<Timestamp>,
    /// By which rule.
    pub rule: Option<Arc<str>>,
    /// To whom.
    pub send_to: Option<Arc<str>>,
    /// Why.
    pub reason: Option<Reason>,
    /// How grave.
    pub severity: Option<Severity>,
    /// For how many entries it stands.
    pub count: Option<u64>,
    /// What holds it; `None` for a message that is sent.
    pub held_by: Option<HeldBy>,
    /// Its whole text.
    pub text: Option<String>,
    /// Texts that it contains.
    pub text_contains: Vec<String>,
    /// What is part of the JSON that is sent.
    pub payload: Option<Json>,
}

impl Reading<'_, '_> {
    /// The expectations of a scenario, and where they are written.
    pub(super) fn expectations(
        &self,
        map: &mut MapReader<'_>,
        times: &mut Times,
    ) -> (Vec<Expected>, Written) {
        let value = map.get("expect");
        let items = value.and_then(|value| value.list()).unwrap_or_default();
        let written = Written {
            scenario: Span::default(),
            expect: place_of(map, "expect"),
            items: items.iter().map(|item| item.node().span).collect(),
        };
        let read = |(index, item)| self.expectation(index, item, times);
        let expect: Vec<_> = items.into_iter().enumerate().filter_map(read).flatten().collect();
        (expect, written)
    }

    fn expectation(
        &self,
        item: usize,
        value: Value<'_>,
        times: &mut Times,
    ) -> Option<Vec<Expected>> {
        let mut map = value.map()?;
        let at = map.get("at").map(|at| times.at(Some(at)));
        let rule = map.get("rule").map(|value| self.rule(value));
        let send_to = map.get("send_to").map(|value| self.around.names.receivers(value));
        let reason = map.get("reason").and_then(|value| value.one_of(&reasons()));
        let severities = words(Severity::ALL, Severity::name);
        let severity = map.get("severity").and_then(|value| value.one_of(&severities));
        let count = map.get("count").and_then(|value| value.number(1..=u64::MAX));
        let holds = words(HeldBy::ALL, HeldBy::name);
        let held_by = map.get("held_by").and_then(|value| value.one_of(&holds));
        let text = map.get("text").and_then(|value| value.raw_text());
        let contains = map.get("text_contains").and_then(|value| value.some());
        let payload = map.get("payload").map(|value| json_of(value.node(), true));
        if held_by.is_some() {
            ["text", "text_contains", "payload"].into_iter().for_each(|key| {
                map.exclusive("held_by", key);
            });
        }
        let empty = value.entries().is_some_and(|entries| entries.is_empty());
        if empty && value.is_complete() {
            let problem = value.problem(Code::Empty, "this expects nothing of any message");
            value.add(problem.help("say what is told: `{at: 0s, rule: …, send_to: …, reason: …}`"));
        }
        map.finish("keys of an expectation");
        let expected = Expected {
            item,
            line: value.place().position().line,
            at: at.flatten(),
            rule: rule.flatten(),
            send_to: None,
            reason,
            severity,
            count,
            held_by,
            text: text.map(str::to_owned),
            text_contains: contains
                .into_iter()
                .flatten()
                .filter_map(|item| item.raw_text().map(str::to_owned))
                .collect(),
            payload,
        };
        Some(match send_to.flatten() {
            None => vec![expected],
            Some(names) => {
                let one = |name| Expected { send_to: Some(name), ..expected.clone() };
                names.into_iter().map(one).collect()
            }
        })
    }

    fn rule(&self, value: Value<'_>) -> Option<Arc<str>> {
        let name = value.text_as("the name of a rule")?;
        let of_reloads = self.file.reloads.iter().flat_map(|set| set.rules());
        let rules = || self.around.rules.iter().chain(of_reloads.clone()).map(|rule| &rule.name);
        if let Some(known) = rules().find(|known| ***known == *name) {
            return Some(Arc::clone(known));
        }
        if self.around.complete {
            let near = nearest(name, rules().map(|name| &**name));
            let problem =
                value.problem(Code::UnknownRule, format!("no rule is named {}", value.found()));
            let help = near.map_or_else(
                || "rules are known by their `name`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            value.add(problem.help(help));
        }
        Some(name.into())
    }
}

/// The reasons that deciding can have.
pub(in crate::config) fn reasons() -> Vec<(&'static str, Reason)> {
    let mut all = words(Reason::ALL, Reason::name);
    all.retain(|(_, reason)| !NOT_DECIDED.contains(reason));
    all
}
