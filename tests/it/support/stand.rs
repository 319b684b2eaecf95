//! The stand-in registry in the test's own process, so that the test knows every row; and the
//! account of which of them a receiver was told of.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use triggerbell::{
    domain::entry::{Row, WallTime},
    simulate::{Feed, Rate, Registry, RegistrySettings, World},
};

use super::receiver::Seen;

/// The log's clock is Shanghai's.
const ZONE_S: i64 = 8 * 3600;

/// A registry with its world, and whoever pushes images.
pub(crate) struct Stand {
    pub(crate) registry: Registry,
    pub(crate) world: Arc<World>,
    repos: Vec<String>,
    pushed: AtomicI64,
    feed: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Stand {
    pub(crate) async fn start(repos: &[&str]) -> Self {
        Self::start_with(repos, RegistrySettings::default()).await
    }

    pub(crate) async fn start_with(repos: &[&str], settings: RegistrySettings) -> Self {
        let repos: Vec<String> = repos.iter().map(|&repo| repo.to_owned()).collect();
        let world = Arc::new(World::new(&repos));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        let registry = Registry::start(listener, world.clone(), settings, &stop).unwrap();
        Self { registry, world, repos, pushed: AtomicI64::new(0), feed: None }
    }

    /// Pushes rows of this second, each with a tag of its own.
    pub(crate) fn push(&self, repo: &str, rows: i64) {
        self.push_ago(repo, rows, 0);
    }

    /// Pushes rows that are spread evenly over so many seconds before now.
    pub(crate) fn push_ago(&self, repo: &str, rows: i64, seconds: i64) {
        let now = Timestamp::now().as_second();
        for done in 0..rows {
            let number = self.pushed.fetch_add(1, Ordering::Relaxed);
            let at = now - (rows - done) * seconds / rows;
            let text = |text: String| Some(text.into_boxed_str());
            let row = Row {
                repo: text(repo.to_owned()),
                tag: text(format!("v{number}")),
                trigger: text("deploy".to_owned()),
                service: text(format!("svc-{}", number % 40)),
                cluster_id: text("cls-1".to_owned()),
                namespace: text("default".to_owned()),
                return_code: Some(i64::from(number % 3 == 0)),
                return_msg: text("said".to_owned()),
                ..Row::at(WallTime(at + ZONE_S), Timestamp::from_second(at).unwrap())
            };
            self.world.push(row);
        }
    }

    /// Pushes images from now on, as the stand-in's own story has them.
    pub(crate) fn feed(&mut self, seed: u64, rows_per_second: f64, late: f64) {
        let mut feed = Feed::new(seed, &self.repos, Rate::per_second(rows_per_second));
        feed.set_late(late);
        let (stop, world) = (CancellationToken::new(), self.world.clone());
        let stopped = stop.clone();
        let task =
            tokio::spawn(async move { feed.run(&world, Arc::new(Timestamp::now), stopped).await });
        self.feed = Some((stop, task));
    }

    /// Pushes this many rows a second, each with a tag of its own, to the repositories in turn.
    pub(crate) fn trickle(self: &Arc<Self>, rows_per_second: u32) -> CancellationToken {
        let stop = CancellationToken::new();
        let (stand, stopped) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rows_per_second);
            for repo in (0..stand.repos.len()).cycle() {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    _ = ticks.tick() => stand.push(&stand.repos[repo], 1),
                }
            }
        });
        stop
    }

    /// No new rows from now on.
    pub(crate) async fn stop_feed(&mut self) {
        if let Some((stop, task)) = self.feed.take() {
            stop.cancel();
            task.await.unwrap();
        }
    }

    /// The `sources` of a configuration that reads all of it through API 2.0, as a block.
    pub(crate) fn source(&self, extra: &str) -> String {
        format!("sources:\n{}", self.source_named("shop", extra))
    }

    /// One of the `sources` of a configuration, of that name.
    pub(crate) fn source_named(&self, name: &str, extra: &str) -> String {
        let credentials = self.registry.credentials();
        format!(
            "  {name}:\n    ccr:\n      endpoint: {}\n      secret_id: {}\n      \
             secret_key: {}\n    repos: [{}]\n    {extra}\n",
            self.registry.ccr_endpoint(),
            credentials.secret_id,
            credentials.secret_key,
            self.repos.join(", "),
        )
    }

    /// Every row of every log, as it stands now.
    pub(crate) fn rows(&self) -> Vec<Arc<Row>> {
        self.world.repos().iter().flat_map(|repo| self.world.rows(repo)).collect()
    }
}

/// What tells rows apart in a message: all their fields but the words of the result.
type Shown = [String; 8];

fn shown_row(row: &Row) -> Shown {
    let text = |field: &Option<Box<str>>| field.as_deref().unwrap_or_default().to_owned();
    [
        text(&row.repo),
        text(&row.tag),
        text(&row.trigger),
        text(&row.service),
        text(&row.cluster_id),
        text(&row.namespace),
        (row.wall_time.0 - ZONE_S).to_string(),
        row.return_code.map(|code| code.to_string()).unwrap_or_default(),
    ]
}

fn shown_message(seen: &Seen) -> Shown {
    let body = seen.json();
    let entry = &body["data"]["entry"];
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let time: Timestamp = text("time").parse().unwrap();
    let code = match &entry["returnCode"] {
        Value::Null => String::new(),
        code => code.to_string(),
    };
    [
        text("repo"),
        text("tag"),
        text("trigger"),
        text("service"),
        text("clusterId"),
        text("namespace"),
        time.as_second().to_string(),
        code,
    ]
}

/// The account of what a receiver accepted, held against every row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Rows of the logs.
    pub(crate) rows: usize,
    /// Requests that came, whatever they were answered.
    pub(crate) requests: usize,
    /// Ids that were accepted.
    pub(crate) accepted: usize,
    /// Rows that no accepted message tells of.
    pub(crate) lost: usize,
    /// Accepted ids that tell of no row, those of rows whose result came later apart.
    pub(crate) invented: usize,
    /// Acceptances beyond the first of an id.
    pub(crate) repeats: usize,
}

/// Holds what was accepted against the rows, copies of equal rows counted.
pub(crate) fn tally(rows: &[Arc<Row>], seen: &[Seen]) -> Tally {
    let mut tally = Tally { rows: rows.len(), requests: seen.len(), ..Tally::default() };
    let mut ids: HashMap<String, Shown> = HashMap::new();
    for one in seen.iter().filter(|one| one.status < 299) {
        match ids.entry(one.id()) {
            std::collections::hash_map::Entry::Occupied(_) => tally.repeats += 1,
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(shown_message(one));
            }
        }
    }
    tally.accepted = ids.len();
    let mut told: BTreeMap<Shown, usize> = BTreeMap::new();
    for shown in ids.into_values() {
        *told.entry(shown).or_default() += 1;
    }
    for row in rows {
        match told.get_mut(&shown_row(row)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => tally.lost += 1,
        }
    }
    let left = told.into_iter().filter(|(shown, _)| !shown[7].is_empty());
    tally.invented = left.map(|(_, count)| count).sum();
    tally
}
