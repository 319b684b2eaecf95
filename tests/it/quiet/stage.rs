//! A stage for rules: entries and time in, messages out.

use jiff::{SignedDuration, Timestamp};
use triggerbell::{
    config::{self, Request},
    document::{File, parse_duration},
    domain::{
        decision::{Effects, Input, State, StateChange, decide, reconcile},
        entry::{Entry, EntryId, Row, WallTime},
        memory::At,
        notification::Intent,
        rule::RuleSet,
        silence::{Silence, SilenceWish, Until},
    },
};

/// Monday, 2026-03-02, nine in the morning in Shanghai.
pub(super) const START: Timestamp = Timestamp::constant(1_772_413_200, 0);

const AROUND: &str = "
receivers:
  ops: {wecom: {key: 693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa}}
  dev: {slack: {webhook_url: 'https://hooks.slack.com/services/T1/B1/x'}}
";

const SOURCE: &str = "
sources:
  shop:
    ccr: {secret_id: id, secret_key: key}
    repos: [shop/api]
";

/// The rules of a rule file's text, with more of a configuration around them.
pub(super) fn rules_with(rules: &str, around: &str) -> RuleSet {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("triggerbell.yaml");
    let text = format!("defaults: {{send_to: [ops]}}\nrules:\n{rules}");
    std::fs::write(folder.path().join("a.yaml"), text).unwrap();
    let sources = if around.contains("sources:") { "" } else { SOURCE };
    let whole = format!("{AROUND}{sources}{around}rules: [a.yaml]\n");
    let request = Request { config: Some(&path), data_dir: None, env: &|_| None };
    let file = File::new("triggerbell.yaml", whole);
    match config::load_file(&path, file, &request) {
        Ok(loaded) => loaded.config.rules,
        Err(problems) => panic!("{}", triggerbell::document::text(&problems, false)),
    }
}

/// How far into the day.
pub(super) fn after(text: &str) -> SignedDuration {
    text.split(' ')
        .map(|part| SignedDuration::try_from(parse_duration(part).unwrap()).unwrap())
        .sum()
}

/// One run of a rule set.
pub(super) struct Stage {
    pub(super) rules: RuleSet,
    pub(super) state: State,
    pub(super) now: Timestamp,
    /// What was decided, with when.
    pub(super) decided: Vec<(Timestamp, Intent)>,
    records: std::collections::BTreeMap<String, Vec<u8>>,
    number: i64,
}

impl Stage {
    pub(super) fn new(rules: &str) -> Self {
        Self::over(rules_with(rules, ""))
    }

    pub(super) fn with(rules: &str, around: &str) -> Self {
        Self::over(rules_with(rules, around))
    }

    pub(super) fn over(rules: RuleSet) -> Self {
        let mut this = Self {
            rules,
            state: State::default(),
            now: START,
            decided: Vec::new(),
            records: std::collections::BTreeMap::new(),
            number: 0,
        };
        // As the service does when it starts.
        this.decide(Input::Tick);
        this
    }

    /// Lets time pass to an instant of the day, each timer firing when it is due.
    pub(super) fn at(&mut self, when: &str) -> &mut Self {
        self.until(START + after(when))
    }

    pub(super) fn until(&mut self, until: Timestamp) -> &mut Self {
        let mut turns = 0;
        while let Some(due) = self.state.next_due().filter(|due| *due <= until) {
            turns += 1;
            assert!(turns < 100_000, "a timer never comes to rest");
            self.now = self.now.max(due);
            self.decide(Input::Tick);
        }
        self.now = self.now.max(until);
        self
    }

    pub(super) fn decide(&mut self, input: Input<'_>) {
        let effects = decide(&self.rules, &mut self.state, input, self.now);
        self.take(effects);
    }

    fn take(&mut self, effects: Effects) {
        self.decided.extend(effects.intents.into_iter().map(|intent| (self.now, intent)));
        for change in self.state.take_changes() {
            match change {
                StateChange::Put { name, record } => self.records.insert(name, record),
                StateChange::Remove { name } => self.records.remove(&name),
            };
        }
    }

    /// Begins anew from what was committed.
    pub(super) fn restart(&mut self) -> &mut Self {
        self.state = State::from_records(self.records.clone(), &matchers);
        assert!(self.state.unreadable().is_empty());
        self
    }

    /// The records as they were committed.
    pub(super) fn records(&self) -> &std::collections::BTreeMap<String, Vec<u8>> {
        &self.records
    }

    /// Swaps the rules.
    pub(super) fn reload(&mut self, rules: RuleSet) -> Vec<String> {
        self.rules = rules;
        let (effects, closed) = reconcile(&self.rules, &mut self.state, self.now);
        self.take(effects);
        closed.iter().map(|closed| format!("{} {}", closed.rule, closed.key.to_json())).collect()
    }

    /// An update of a service, now, that came to that.
    pub(super) fn update(&mut self, service: &str, code: i64) -> &mut Self {
        let at = self.now;
        self.update_of(at, service, code)
    }

    /// As [`Stage::update`], of a row that says another time.
    pub(super) fn update_of(&mut self, at: Timestamp, service: &str, code: i64) -> &mut Self {
        let entry = self.entry(at, service, code);
        self.decide(Input::Entry(&entry));
        self
    }

    pub(super) fn entry(&mut self, at: Timestamp, service: &str, code: i64) -> Entry {
        self.number += 1;
        entry(at, service, code, self.number)
    }

    pub(super) fn fails(&mut self, service: &str) -> &mut Self {
        self.update(service, 1)
    }

    pub(super) fn works(&mut self, service: &str) -> &mut Self {
        self.update(service, 0)
    }

    /// A person's silence.
    pub(super) fn silence(&mut self, id: u8, clauses: &str, until: Until) -> &mut Self {
        let clause = matchers(clauses).unwrap();
        let now = At::from(self.now);
        let silence = Silence::new(
            (clauses.to_owned(), clause),
            "mei".to_owned(),
            "known".to_owned(),
            now,
            until,
        );
        let wish =
            SilenceWish::Add(triggerbell::domain::memory::Subject([id; 16]), Box::new(silence));
        self.decide(Input::Silence(&wish));
        self
    }

    /// What was sent since this was last asked, a line each.
    pub(super) fn told(&mut self) -> Vec<String> {
        let decided = std::mem::take(&mut self.decided);
        decided
            .iter()
            .filter(|(_, intent)| intent.held_by.is_none())
            .map(|(at, intent)| line(*at, intent))
            .collect()
    }

    /// What was sent or held.
    pub(super) fn all(&mut self) -> Vec<String> {
        let decided = std::mem::take(&mut self.decided);
        decided.iter().map(|(at, intent)| line(*at, intent)).collect()
    }
}

/// Compiles a silence's clauses, as the service does.
pub(super) fn matchers(text: &str) -> Option<triggerbell::domain::clause::Clause> {
    config::matchers(text).ok()
}

/// An update in cluster `cls-1`, with a tag of its own.
pub(super) fn entry(at: Timestamp, service: &str, code: i64, number: i64) -> Entry {
    let mut row = Row::at(WallTime(at.as_second()), at);
    row.repo = Some("shop/api".into());
    row.tag = Some(format!("v{number}").into());
    row.service = Some(service.into());
    row.cluster_id = Some("cls-1".into());
    row.return_code = Some(code);
    row.return_msg =
        Some(if code == 0 { "ok".into() } else { format!("pod {service}-7f9 not ready").into() });
    let identity = row.identity();
    Entry {
        id: EntryId::of("shop", "shop/api", row.identity_without_result(), 0),
        identity,
        ordinal: 0,
        revises: false,
        source: "shop".into(),
        asked_repo: "shop/api".into(),
        row,
    }
}

/// `5m failing api`, and what else there is to say of a message.
pub(super) fn line(at: Timestamp, intent: &Intent) -> String {
    let since = at.duration_since(START);
    let before = if since.is_negative() { "-" } else { "" };
    let service = intent
        .key
        .fields
        .iter()
        .find(|(field, _)| field.name() == "service")
        .and_then(|(_, text)| text.as_deref());
    let since = triggerbell::document::show_duration(since.unsigned_abs());
    let mut line = format!("{before}{since} {}", intent.reason);
    if let Some(service) = service {
        line += &format!(" {service}");
    }
    if &*intent.receiver != "ops" {
        line += &format!(" to {}", intent.receiver);
    }
    if intent.count != 1 {
        line += &format!(" x{}", intent.count);
    }
    if let Some(by) = intent.held_by {
        line += &format!(" held by {by}");
    }
    line
}
