//! The service in this process, as `run` starts it, under a clock that the test moves: real HTTP to a
//! stand-in registry and the chat wall, a real database, and days that pass in seconds.
//!
//! Everything goes by tokio's paused time. A thread that waits keeps that from moving by itself, and
//! [`Running::pass`] moves it in steps, after each of which it waits until nothing more happens.

use std::{fs, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use triggerbell::{
    adapters::clock::TokioClock,
    app::{App, Loader, LoopFailed},
    config::{self, Request},
    domain::entry::{Row, WallTime},
    ports::{Clock, Control},
    simulate::{Registry, RegistrySettings, Wall, WallMessage, WallSettings, World},
};

use super::turned::TurnedClock;

/// The log's clock is Shanghai's.
const ZONE_S: i64 = 8 * 3600;

/// How long the machine is given for what it does, and after how many times that with no request and
/// nothing left to write it counts as at rest.
const BREATH: Duration = Duration::from_millis(1);
const STILL: u32 = 3;

/// A breath that took so long says that the machine has much else to do; then more of them have to be
/// still, since what is under way takes longer too.
const LATE: Duration = Duration::from_millis(4);
const STILL_WHEN_LATE: u32 = 12;

/// The longest that it may be busy.
const BUSY: u32 = 5_000;

/// A life of the service.
struct Life {
    control: Arc<dyn Control>,
    url: String,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), LoopFailed>>,
}

/// A service, its registry and its wall. Needs `#[tokio::test(start_paused = true)]`.
pub(crate) struct Running {
    pub(crate) clock: TokioClock,
    /// What the service goes by.
    pub(crate) turned: Arc<TurnedClock>,
    pub(crate) registry: Registry,
    pub(crate) wall: Wall,
    pub(crate) folder: tempfile::TempDir,
    world: Arc<World>,
    messages: broadcast::Receiver<WallMessage>,
    life: Option<Life>,
    step: Duration,
    _still: std::sync::mpsc::Sender<()>,
}

impl Running {
    /// Everything but the service, at an instant.
    pub(crate) async fn at(start: &str, repos: &[&str]) -> Self {
        let (still, moves) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || moves.recv().is_ok());
        let clock = TokioClock::starting_at(start.parse().unwrap());
        let repos: Vec<String> = repos.iter().map(|&repo| repo.to_owned()).collect();
        let world = Arc::new(World::new(&repos));
        let stop = CancellationToken::new();
        let now: triggerbell::simulate::Now = Arc::new(move || clock.now());
        let settings = RegistrySettings { now: now.clone(), ..RegistrySettings::default() };
        let listen = || TcpListener::bind("127.0.0.1:0");
        let registry =
            Registry::start(listen().await.unwrap(), world.clone(), settings, &stop).unwrap();
        let settings = WallSettings { now, ..WallSettings::default() };
        let wall = Wall::start(listen().await.unwrap(), settings, &stop).unwrap();
        let messages = wall.messages();
        // A disk that is slow is slow by the machine's clock, which counts for nothing here.
        let memory = std::path::Path::new("/dev/shm");
        let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
        let step = Duration::from_secs(1);
        let life = None;
        let turned = Arc::new(TurnedClock::of(clock));
        Self { clock, turned, registry, wall, folder, world, messages, life, step, _still: still }
    }

    /// From now on time passes in steps so long.
    pub(crate) fn step(&mut self, seconds: u64) {
        self.step = Duration::from_secs(seconds);
    }

    /// The `sources` of a configuration that reads the registry, as a block.
    pub(crate) fn source(&self, extra: &str) -> String {
        let credentials = self.registry.credentials();
        let repos: Vec<_> = self.world.repos().iter().map(ToString::to_string).collect();
        format!(
            "time_zone: Asia/Shanghai\nsources:\n  shop:\n    ccr:\n      endpoint: {}\n      \
             secret_id: {}\n      secret_key: {}\n    repos: [{}]\n    requests_per_second: 100\n    \
             {extra}\n",
            self.registry.ccr_endpoint(),
            credentials.secret_id,
            credentials.secret_key,
            repos.join(", "),
        )
    }

    /// A receiver that posts as an app into the wall's Slack, with the keys that stand beside.
    pub(crate) fn slack_app(&self, name: &str, beside: &str) -> String {
        format!(
            "  {name}:\n    slack:\n      token: {}\n      channel: {}\n      api_url: {}\n{beside}",
            self.wall.slack_token(),
            self.wall.slack_channel(),
            self.wall.slack_api_url()
        )
    }

    /// A receiver that is the wall's WeCom robot, with the keys that stand beside.
    pub(crate) fn robot(&self, name: &str, beside: &str) -> String {
        format!(
            "  {name}:\n    wecom:\n      key: {}\n      base_url: {}\n{beside}",
            self.wall.wecom_key(),
            self.wall.wecom_base_url()
        )
    }

    /// Writes the configuration and the rules, and starts the service.
    pub(crate) async fn start(&mut self, config: &str, rules: &str) {
        let config = format!("{config}rules: [rules.yaml]\napi:\n  listen: 127.0.0.1:0\n");
        fs::write(self.folder.path().join("triggerbell.yaml"), config).unwrap();
        fs::write(self.folder.path().join("rules.yaml"), rules).unwrap();
        self.again().await;
    }

    /// Starts the service on what the folder holds.
    pub(crate) async fn again(&mut self) {
        let path = self.folder.path().join("triggerbell.yaml");
        let loader: Loader = Arc::new(move || {
            let request = Request { config: Some(&path), data_dir: None, env: &|_| None };
            config::load(&request)
        });
        let config = loader().unwrap_or_else(|problems| panic!("{problems:?}")).config;
        let app = App::start(config, loader, self.turned.clone()).await.unwrap();
        let cancel = CancellationToken::new();
        let (control, url) = (app.control(), format!("http://{}", app.addr()));
        let task = tokio::spawn(app.run(cancel.clone()));
        self.life = Some(Life { control, url, cancel, task });
        self.rest().await;
    }

    /// Stops the service in good order.
    pub(crate) async fn stop(&mut self) {
        let life = self.life.take().unwrap();
        life.cancel.cancel();
        drop(life.control);
        life.task.await.unwrap().unwrap();
    }

    /// The service ends in the middle of whatever it does.
    pub(crate) async fn crash(&mut self) {
        let life = self.life.take().unwrap();
        life.task.abort();
        drop(life.control);
        let _ = life.task.await;
        // Its store is closed by a thread of its own.
        self.rest().await;
    }

    pub(crate) fn control(&self) -> &dyn Control {
        &*self.life.as_ref().unwrap().control
    }

    /// Where the service listens.
    pub(crate) fn url(&self) -> &str {
        &self.life.as_ref().unwrap().url
    }

    /// What the API says.
    pub(crate) async fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.life.as_ref().unwrap().url);
        super::process::client().get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Asks the API for something, which it has to grant.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) {
        let url = format!("{}{path}", self.life.as_ref().unwrap().url);
        let asked = super::process::client()
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.get(path).await).unwrap()
    }

    /// The registry logs an update of a service now: 0 where it went well.
    pub(crate) fn push(&self, repo: &str, service: &str, code: i64) {
        let at = self.clock.now().as_second();
        let text = |text: &str| Some(text.into());
        let words = if code == 0 { "ok" } else { "no such image" };
        self.push_row(Row {
            repo: text(repo),
            tag: text("v1"),
            trigger: text("deploy"),
            service: text(service),
            cluster_id: text("cls-1"),
            namespace: text("prod"),
            return_code: Some(code),
            return_msg: text(words),
            ..Row::at(WallTime(at + ZONE_S), Timestamp::from_second(at).unwrap())
        });
    }

    /// Every row that the registry shows of a repository is gone.
    pub(crate) fn expire(&self, repo: &str) {
        self.world.expire(repo, usize::MAX);
    }

    pub(crate) fn push_row(&self, row: Row) {
        self.world.push(row);
    }

    /// Time passes.
    pub(crate) async fn pass(&self, time: Duration) {
        self.rest().await;
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(self.step);
            left -= step;
            tokio::time::advance(step).await;
            self.rest().await;
        }
    }

    /// Time passes until an instant.
    pub(crate) async fn pass_until(&self, instant: &str) {
        let until = instant.parse::<Timestamp>().unwrap().duration_since(self.clock.now());
        self.pass(until.unsigned_abs()).await;
    }

    /// Waits, while the clock stands still, until nothing more happens.
    async fn rest(&self) {
        let (mut before, mut still, mut enough) = (None, 0, STILL);
        for _ in 0..BUSY {
            let counts = (self.registry.requests(), self.wall.counts());
            still = if before.replace(counts) == Some(counts) { still + 1 } else { 0 };
            if still >= enough {
                return;
            }
            let began = std::time::Instant::now();
            tokio::task::spawn_blocking(|| std::thread::sleep(BREATH)).await.unwrap();
            if began.elapsed() > LATE {
                enough = STILL_WHEN_LATE;
            }
            if let Some(life) = &self.life {
                // It writes, after all that the store was asked to write before.
                life.control.readiness().await;
            }
        }
        panic!("it never comes to rest");
    }

    /// The messages that came since this was asked last.
    pub(crate) fn messages(&mut self) -> Vec<WallMessage> {
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }
}
