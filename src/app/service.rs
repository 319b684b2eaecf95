//! The running service as the API sees it: what it says of itself, and the wishes it takes.
//!
//! Deliberately absent: loops; everything here answers at once or asks the store.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{
        decision::{OpenIncident, State, Waiting},
        entry::{Entry, EntryId},
        held,
        memory::Subject,
        nearness::{self, RuleHistory},
        notification::{HeldBy, NotificationId},
    },
    engine::{
        alarm::Alarms, board::LaneBoards, decider::Decider, intake::SourceBoards, wake::Wakes,
    },
    ports::{
        Clock, Control, ControlError, EntryView, IncidentStatus, LaneStatus, NotificationView,
        OutboxCount, Readiness, ReloadRefused, Reloaded, RetriedDead, RetryText, RuleStatus,
        SilencePreview, SilenceStatus, SilenceText, SourceStatus, Status, Store, StoreError,
    },
    telemetry::Metrics,
};

use super::{fleet::Kinds, reload::Reloader, retry::Retries, silences};

/// Readiness asks for a read within so many effective intervals.
const INTERVALS: f64 = 3.0;

/// What the service is made of.
pub(super) struct ServiceParts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) decider: Decider,
    pub(super) metrics: Arc<Metrics>,
    pub(super) alarms: Alarms,
    pub(super) wakes: Wakes,
    pub(super) lanes: LaneBoards,
    pub(super) sources: SourceBoards,
    /// The receivers' types, by name.
    pub(super) kinds: Arc<ArcSwap<Kinds>>,
    pub(super) reloader: Arc<Reloader>,
}

/// The running service.
pub(super) struct Service {
    parts: ServiceParts,
    started_at: Timestamp,
}

impl Service {
    pub(super) fn new(parts: ServiceParts) -> Self {
        let started_at = parts.clock.now();
        Self { parts, started_at }
    }

    fn sources(&self) -> BTreeMap<Arc<str>, SourceStatus> {
        self.parts.sources.read()
    }

    fn retries(&self) -> Retries<'_> {
        let ServiceParts { store, wakes, kinds, clock, .. } = &self.parts;
        Retries {
            store,
            wakes,
            kinds: kinds.load_full(),
            policy: self.parts.decider.policy(),
            now: clock.now(),
        }
    }

    async fn lanes(&self) -> Result<BTreeMap<Arc<str>, LaneStatus>, StoreError> {
        let mut lanes = self.parts.lanes.read();
        for count in self.parts.store.outbox().await? {
            if let Some(lane) = lanes.get_mut(&count.receiver) {
                lane.pending = count.waiting;
                lane.oldest_pending_at = count.oldest_at;
                lane.dead = count.dead;
            }
        }
        Ok(lanes)
    }
}

/// What keeps a source from being ready.
fn unready(name: &str, source: &SourceStatus, now: Timestamp) -> Option<String> {
    if source.push.is_some() {
        // Whether there was nothing to tell can't be known.
        return None;
    }
    // One repository that fails is enough, and the others' successes hide nothing of it.
    let failing = source.failing.first().map(|repo| format!("{}: {}", repo.repo, repo.error));
    let known = source.last_error.as_deref().or(failing.as_deref());
    let Some(read_at) = source.read_at else {
        let why = known.unwrap_or("its first reading is under way");
        return Some(format!("source {name} has not been read yet: {why}"));
    };
    let most = SignedDuration::try_from_secs_f64(source.effective_interval_s * INTERVALS).ok()?;
    let age = now.duration_since(read_at);
    (age > most).then(|| {
        let why = known.unwrap_or("its reading takes longer than that");
        format!("source {name} was last read {} s ago: {why}", age.as_secs())
    })
}

#[async_trait]
impl Control for Service {
    async fn status(&self) -> Result<Status, StoreError> {
        Ok(Status {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at,
            now: self.parts.clock.now(),
            time_zone: self.parts.reloader.time_zone(),
            readiness: self.readiness().await,
            sources: self.sources(),
            receivers: self.lanes().await?,
            rules: self.parts.decider.policy().rules.rules().len(),
            reload: self.parts.reloader.last(),
            alarms: self.parts.alarms.firing(),
        })
    }

    fn not_before(&self, receiver: &str) -> Option<Timestamp> {
        self.parts.lanes.not_before(receiver)
    }

    fn waits_for(&self, message: &NotificationView) -> Option<String> {
        self.parts.lanes.waits_for(message, self.parts.clock.now())
    }

    async fn readiness(&self) -> Readiness {
        let now = self.parts.clock.now();
        let sources = self.sources();
        let mut problems: Vec<_> =
            sources.iter().filter_map(|(name, source)| unready(name, source, now)).collect();
        if let Err(error) = self.parts.store.probe().await {
            problems.push(format!("the store takes no writes: {error}"));
        }
        Readiness { ready: problems.is_empty(), problems }
    }

    async fn rules(&self) -> Result<Vec<RuleStatus>, StoreError> {
        let counts = self.parts.store.rule_counts().await?;
        let mut counts: BTreeMap<_, _> =
            counts.into_iter().map(|count| (count.rule.clone(), count)).collect();
        let policy = self.parts.decider.policy();
        let rule = |rule: &crate::domain::rule::Rule| {
            let count = counts.remove(&rule.name);
            RuleStatus {
                name: rule.name.clone(),
                file: rule.origin.path.clone(),
                line: rule.origin.line,
                severity: rule.severity,
                mode: rule.mode,
                send_to: rule.send_to.clone(),
                matched: count.as_ref().map_or(0, |count| count.matched),
                last_matched_at: count.map(|count| count.last_at),
            }
        };
        Ok(policy.rules.rules().iter().map(rule).collect())
    }

    async fn retry(&self, id: NotificationId, to: Option<&str>) -> Result<(), ControlError> {
        self.retries().one(id, to).await
    }

    async fn retry_dead(&self, text: &RetryText) -> Result<RetriedDead, ControlError> {
        self.retries().dead(text).await
    }

    async fn incidents(&self) -> Result<Vec<IncidentStatus>, StoreError> {
        let open = self.parts.decider.look(State::open_incidents).await?;
        let status = |incident: OpenIncident| IncidentStatus {
            rule: incident.rule,
            source: incident.source,
            key: incident.key.to_json(),
            reason: incident.reason,
            number: incident.number,
            since: incident.since,
            last_at: incident.last_at,
            count: incident.count,
            flapping: incident.flapping,
            held_by: incident.held_by,
        };
        let mut incidents: Vec<_> = open.into_iter().map(status).collect();
        // As people look for them; the state has them in the order of hashes.
        incidents.sort_by_cached_key(|it| (it.rule.clone(), it.key.to_string(), it.source.clone()));
        Ok(incidents)
    }

    async fn silences(&self) -> Result<Vec<SilenceStatus>, ControlError> {
        silences::list(&self.parts.decider).await
    }

    async fn add_silence(&self, text: SilenceText) -> Result<SilenceStatus, ControlError> {
        silences::add(&self.parts.decider, text, self.parts.clock.now()).await
    }

    async fn extend_silence(
        &self,
        id: Subject,
        until: Option<String>,
        lasts: Option<String>,
    ) -> Result<SilenceStatus, ControlError> {
        let now = self.parts.clock.now();
        silences::extend(&self.parts.decider, id, (until, lasts), now).await
    }

    async fn end_silence(&self, id: Subject) -> Result<SilenceStatus, ControlError> {
        silences::end(&self.parts.decider, id).await
    }

    async fn preview_silence(&self, matchers: &str) -> Result<SilencePreview, ControlError> {
        silences::preview(&self.parts.store, matchers, self.parts.clock.now()).await
    }

    async fn reload(&self, by: &'static str) -> Result<Reloaded, ReloadRefused> {
        self.parts.reloader.clone().reload(by).await
    }

    async fn explain(&self, found: &EntryView) -> Result<serde_json::Value, ControlError> {
        let rules = {
            let policy = self.parts.decider.policy();
            policy.rules.explain(&found.entry, found.taken_at)
        };
        let id = found.entry.id;
        let waiting = self.waiting(id).await?;
        Ok(serde_json::json!({ "entry": id, "rules": rules, "waiting": waiting }))
    }

    async fn waiting(&self, entry: EntryId) -> Result<Vec<Waiting>, StoreError> {
        self.parts.decider.look(move |state| state.waiting(entry)).await
    }

    async fn held_because(
        &self,
        entry: &Entry,
        message: &NotificationView,
    ) -> Result<Option<String>, ControlError> {
        if message.held_by == Some(HeldBy::Silenced)
            && let Some(who) = silences::holding(&self.parts.decider, entry, message).await?
        {
            return Ok(Some(who));
        }
        let policy = self.parts.decider.policy();
        let rule = policy.rules.rules().iter().find(|rule| *rule.name == *message.rule);
        Ok(rule
            .zip(message.held_by)
            .map(|(rule, by)| held::because(rule, by, message.reason, message.created_at)))
    }

    fn explain_rule(&self, name: &str, entries: &[EntryView], limit: usize) -> Option<RuleHistory> {
        let policy = self.parts.decider.policy();
        let index = policy.rules.rules().iter().position(|rule| *rule.name == *name)?;
        let entries = entries.iter().map(|view| (&view.entry, view.taken_at));
        Some(nearness::of_rule(&policy.rules, index, entries, limit))
    }

    async fn metrics(&self) -> Result<String, StoreError> {
        let mut outbox = self.parts.store.outbox().await?;
        let told: Vec<_> = outbox.iter().map(|count| count.receiver.clone()).collect();
        let kinds = self.parts.kinds.load();
        let silent = kinds.keys().filter(|name| !told.contains(name));
        outbox.extend(silent.map(|name| OutboxCount {
            receiver: name.clone(),
            waiting: 0,
            oldest_at: None,
            dead: 0,
        }));
        let (firing, groups) = self.parts.decider.look(State::counts).await?;
        self.parts.metrics.note_quiet(&firing, groups);
        Ok(self.parts.metrics.encode(&outbox, self.parts.clock.now().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use crate::ports::{IntervalStatus, RepoStatus, SourceState};

    use super::*;

    #[test]
    fn a_source_that_one_repository_keeps_from_being_ready_names_it() {
        let now = Timestamp::UNIX_EPOCH;
        let failing = RepoStatus {
            repo: "nobody/knows".into(),
            error: "the registry knows no such repository".to_owned(),
            since: now,
        };
        let mut source = SourceStatus {
            kind: "ccr",
            state: SourceState::Starting,
            repos: 2,
            effective_interval_s: 10.0,
            intervals: IntervalStatus::default(),
            discovery: None,
            push: None,
            read_at: None,
            last_error: None,
            skew_s: None,
            requests: 2,
            entries: 0,
            rejected: 0,
            gaps: 0,
            failing: vec![failing],
        };
        let told = unready("shop", &source, now).unwrap();
        assert!(told.ends_with("nobody/knows: the registry knows no such repository"), "{told}");
        source.failing.clear();
        let told = unready("shop", &source, now).unwrap();
        assert!(told.ends_with("its first reading is under way"), "{told}");
    }
}
