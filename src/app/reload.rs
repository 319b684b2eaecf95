//! Reloading: all files are read and checked as at the start, and are put in force together or not at
//! all.
//!
//! Everything is opened first, which may fail and changes nothing, then swapped at once; only `store`
//! and `api.listen` stay until the next start. One reload at a time. Deliberately absent: the exchange
//! of sources and receivers (`fleet`), what becomes of open incidents (`domain::decision`).

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Mutex, mpsc};
use tracing::{info, warn};

use crate::{
    api::ApiSettings,
    config::{Config, Loaded},
    document::{Problem, Problems, json, text},
    domain::rule::RuleSet,
    engine::{alarm::Alarms, decider::Decider, upkeep::RetentionSettings},
    ports::{AlarmKind, Clock, Event, Exchanged, Observer, ReloadRefused, ReloadStatus, Reloaded},
};

use super::{
    api_settings,
    files::{Files, Paths},
    fleet::{Fleet, Loop},
    policy, renderer, retention_settings,
};

/// Reads the configuration again, with all that it names.
pub type Loader = Arc<dyn Fn() -> Result<Loaded, Problems> + Send + Sync>;

/// What an alarm about a reload is about.
const ABOUT: &str = "configuration";

/// Problems that the log tells of one by one.
const LOGGED: usize = 20;

/// What can't be changed while the service runs.
pub(super) struct InForce {
    store: PathBuf,
    listen: std::net::SocketAddr,
}

impl InForce {
    pub(super) fn of(config: &Config) -> Self {
        Self { store: config.store.clone(), listen: config.api.listen }
    }

    /// What of a configuration is other than what runs, in sentences.
    fn differs(&self, other: &Self) -> Vec<String> {
        let keys =
            [("store", self.store != other.store), ("api.listen", self.listen != other.listen)];
        let changed = keys.into_iter().filter(|(_, differs)| *differs);
        changed.map(|(key, _)| format!("`{key}` takes a restart")).collect()
    }
}

/// Has the files read again.
pub(super) struct Reloader {
    pub(super) loader: Loader,
    pub(super) files: Arc<Files>,
    pub(super) fleet: Arc<Fleet>,
    /// Where loops are started.
    pub(super) starter: mpsc::Sender<Loop>,
    pub(super) api: Arc<ArcSwap<ApiSettings>>,
    pub(super) last: ArcSwapOption<ReloadStatus>,
    /// The name of the zone in which people read times.
    pub(super) zone: ArcSwap<Arc<str>>,
    pub(super) in_force: InForce,
    pub(super) running: Mutex<()>,
    pub(super) decider: Decider,
    pub(super) send_to: Arc<ArcSwap<Vec<Arc<str>>>>,
    pub(super) retention: Arc<ArcSwap<RetentionSettings>>,
    pub(super) alarms: Alarms,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Reloader {
    /// Reads the files and puts them in force. Goes on to its end even if nobody waits any more.
    pub(super) async fn reload(
        self: Arc<Self>,
        by: &'static str,
    ) -> Result<Reloaded, ReloadRefused> {
        let task = tokio::spawn(async move {
            let _one_at_a_time = self.running.lock().await;
            let result = self.try_reload().await;
            self.note(by, &result);
            self.tell(by, &result);
            result
        });
        task.await.unwrap_or_else(|_| Err(failed("a bug of triggerbell's; the log says more")))
    }

    async fn try_reload(&self) -> Result<Reloaded, ReloadRefused> {
        let (loader, files) = (self.loader.clone(), self.files.clone());
        let read = move || {
            files.settle();
            loader()
        };
        let loaded = tokio::task::spawn_blocking(read).await;
        let loaded = loaded.map_err(|_| failed("a bug of triggerbell's; the log says more"))?;
        let Loaded { config, warnings, .. } = loaded.map_err(|problems| refused(&problems))?;
        let found = InForce::of(&config);
        let renderer = renderer(&config).map_err(|error| unfit(&error.to_string()))?;
        let fresh = self.fleet.open(&config).map_err(|error| unfit(&error.to_string()))?;
        let before = self.decider.policy();
        let names = |rules: &RuleSet| -> HashSet<Arc<str>> {
            rules.rules().iter().map(|rule| rule.name.clone()).collect()
        };
        let (old, new) = (names(&before.rules), names(&config.rules));
        let api = api_settings(&config, self.api.load().bound);
        let retention = retention_settings(config.retention);
        let paths = Paths::of(&config);
        let zone = zone_name(&config);
        self.fleet.make_room(&fresh).await;
        self.decider.swap(policy(config.rules, Arc::new(renderer))).await.map_err(|error| {
            failed(&format!(
                "the store could not take the change, what was in force goes on: {error}"
            ))
        })?;
        // From here on nothing can fail.
        self.send_to.store(Arc::new(config.alarms.send_to));
        self.retention.store(Arc::new(retention));
        self.api.store(Arc::new(api));
        self.zone.store(Arc::new(zone));
        self.files.moved(paths);
        let (sources, receivers, loops) = self.fleet.exchange(fresh, None, self.clock.now());
        for one in loops {
            // Where nobody takes it, the service is stopping.
            let _ = self.starter.send(one).await;
        }
        if new.is_empty() {
            warn!("no rules are in force any more, so nobody is told of anything");
        }
        Ok(Reloaded {
            rules: new.len(),
            added: sorted(new.difference(&old)),
            removed: sorted(old.difference(&new)),
            sources,
            receivers,
            at_restart: self.in_force.differs(&found),
            warnings: items(&warnings),
        })
    }

    /// The name of the zone in which people read times.
    pub(super) fn time_zone(&self) -> Arc<str> {
        Arc::clone(&self.zone.load())
    }

    /// What came of the last one.
    pub(super) fn last(&self) -> Option<ReloadStatus> {
        self.last.load_full().map(|last| ReloadStatus::clone(&last))
    }

    fn note(&self, by: &'static str, result: &Result<Reloaded, ReloadRefused>) {
        let (result, detail) = match result {
            Ok(_) => ("loaded", None),
            Err(refused) if refused.store => ("failed", Some(refused.detail.clone())),
            Err(refused) => ("refused", Some(refused.detail.clone())),
        };
        let at = self.clock.now();
        self.last.store(Some(Arc::new(ReloadStatus { at, by, result, detail })));
    }

    /// Says what came of it: in the log, to whoever counts, and as an alarm.
    fn tell(&self, by: &'static str, result: &Result<Reloaded, ReloadRefused>) {
        let (about, now) = (Arc::from(ABOUT), self.clock.now());
        match result {
            Ok(reloaded) => {
                self.observer.observe(Event::Reload { result: "loaded" });
                self.alarms.clear(AlarmKind::Reload, &about, now);
                info!(
                    reload.by = by,
                    rules = reloaded.rules,
                    added = reloaded.added.len(),
                    removed = reloaded.removed.len(),
                    sources = %told(&reloaded.sources),
                    receivers = %told(&reloaded.receivers),
                    "loaded the configuration anew"
                );
                for line in &reloaded.at_restart {
                    warn!("not taken up: {line}");
                }
            }
            Err(refused) => {
                let result = if refused.store { "failed" } else { "refused" };
                self.observer.observe(Event::Reload { result });
                warn!(reload.by = by, "a reload was {result}: {}", refused.detail);
                for problem in refused.problems.iter().take(LOGGED) {
                    warn!("{}", line(problem));
                }
                let message = format!("a reload was {result}: {}", refused.detail);
                self.alarms.raise(AlarmKind::Reload, &about, &message, now);
            }
        }
    }
}

/// The name of the configuration's time zone.
pub(super) fn zone_name(config: &Config) -> Arc<str> {
    config.time_zone.iana_name().unwrap_or("UTC").into()
}

/// Which were exchanged, in a few words.
fn told(exchanged: &Exchanged) -> String {
    let parts = [
        ("added", &exchanged.added),
        ("removed", &exchanged.removed),
        ("changed", &exchanged.changed),
    ];
    let said = parts.iter().filter(|(_, names)| !names.is_empty());
    let said: Vec<_> = said.map(|(what, names)| format!("{what} {}", names.join(" "))).collect();
    if said.is_empty() { "as before".to_owned() } else { said.join(", ") }
}

fn sorted<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<Arc<str>> {
    let mut names: Vec<_> = names.cloned().collect();
    names.sort();
    names
}

/// The problems of files, as `check --format json` has them.
fn items(problems: &Problems) -> Vec<serde_json::Value> {
    let whole: serde_json::Value = serde_json::from_str(&json(problems)).unwrap_or_default();
    whole["problems"].as_array().cloned().unwrap_or_default()
}

/// A problem in a line.
fn line(problem: &serde_json::Value) -> String {
    let word = |name: &str| problem[name].as_str().unwrap_or_default();
    let place = match problem["line"].as_u64() {
        Some(line) => format!("{}:{line}:{}: ", word("file"), problem["column"]),
        None => String::new(),
    };
    format!("{place}{} {}", word("code"), word("message"))
}

fn refused(problems: &Problems) -> ReloadRefused {
    let first = problems.iter().find(|problem| Problem::severity(problem).name() == "error");
    let first = first.map_or("", |problem| &problem.message);
    ReloadRefused {
        detail: format!("{}, the first: {first}; what was in force stays", problems.summary()),
        problems: items(problems),
        text: text(problems, false),
        store: false,
    }
}

/// The files are sound, and can't be put in force while the service runs.
fn unfit(detail: &str) -> ReloadRefused {
    let text = format!("{detail}\n");
    let detail = format!("{detail}; what was in force stays");
    ReloadRefused { detail, problems: Vec::new(), text, store: false }
}

fn failed(detail: &str) -> ReloadRefused {
    let detail = detail.to_owned();
    ReloadRefused { detail, problems: Vec::new(), text: String::new(), store: true }
}
