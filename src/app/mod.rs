//! The composition root: from a checked configuration to running loops, in one straight line.
//!
//! Each thing's end is set where it begins: loops end by one token, the store is dropped last.
//! Deliberately absent: decisions, and anything global; two Apps live in one process.

mod files;
mod fleet;
mod open;
mod reload;
mod retry;
mod service;
mod silences;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    adapters::{
        http::ClientError,
        receivers::SettingError,
        store::{SqliteSettings, SqliteStore},
        templates::TemplateProblem,
    },
    api,
    config::{self, Config},
    domain::{digest::Pressure, rule::RuleSet},
    engine::{
        alarm::Alarms,
        board::LaneBoards,
        decider::{Decider, DeciderWorld, Deciding, Policy},
        delivery::LaneWorld,
        digest::Digests,
        fallback::Fallback,
        intake::{Inbox, InboxLoop, IntakeWorld, SourceBoards},
        teller::AlarmTeller,
        upkeep::{RetentionSettings, Upkeep},
        wake::Wakes,
        watch::Watch,
    },
    ports::{AlarmKind, Clock, Control, LaneRecord, Renderer, Store, StoreError},
    telemetry::Metrics,
};

use fleet::{Fleet, Loop};
use open::{api_settings, intake_settings, open_receiver, open_source};
use reload::{InForce, Reloader};
use service::{Service, ServiceParts};

pub use files::{Files, watch as watch_files};
pub use open::{discover_settings, notifiers, renderer, repositories, sources};
pub use reload::Loader;
pub use silences::checked_matchers;

/// Loops of a reload that wait to be started.
const STARTS: usize = 16;

/// What a send may take beyond its own limits before it is given up.
const SEND_GRACE: Duration = Duration::from_secs(5);

/// Why an App could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The API's address can't be listened on.
    #[error("could not listen on {0}: {1}; change `api.listen`")]
    Listen(SocketAddr, io::Error),
    /// An HTTP client can't be built.
    #[error("{0}: {1}")]
    Client(Arc<str>, ClientError),
    /// A receiver's settings no longer hold.
    #[error("receiver {0}: {1}")]
    Receiver(Arc<str>, SettingError),
    /// Templates are broken.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Templates(Vec<TemplateProblem>),
}

/// A loop of the service panicked.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a bug of triggerbell's; the log says where, please report it")]
pub struct LoopFailed;

/// A service that is ready to run.
pub struct App {
    listener: TcpListener,
    router: axum::Router,
    deciding: Deciding,
    inbox: InboxLoop,
    /// Of sources and receivers, and those that reloads bring.
    loops: Vec<Loop>,
    starts: mpsc::Receiver<Loop>,
    /// Ends them.
    root: CancellationToken,
    upkeep: Upkeep,
    teller: AlarmTeller,
    watch: Watch,
    control: Arc<dyn Control>,
    files: Arc<Files>,
    /// Held to the end, so that the file is let go after everything else.
    store: Arc<SqliteStore>,
    addr: SocketAddr,
}

impl App {
    /// Opens everything that the configuration names and binds the API's address. `loader` reads the
    /// configuration again, for reloads.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        mut config: Config,
        loader: Loader,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let in_force = InForce::of(&config);
        let root = CancellationToken::new();
        let files = Files::of(&config);
        let metrics = Arc::new(Metrics::new());
        let renderer = Arc::new(renderer(&config)?);
        let sqlite = SqliteSettings::at(&config.store);
        let opened = {
            let observer = metrics.clone();
            tokio::task::spawn_blocking(move || SqliteStore::open(&sqlite, observer)).await
        };
        // The task neither panics nor is cancelled.
        let sqlite = Arc::new(opened.map_err(|_| closed())??);
        let store: Arc<dyn Store> = sqlite.clone();

        let names: Vec<Arc<str>> =
            config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
        let now = clock.now();
        let orphans = store.orphan(&names, now).await?;
        say_released(store.release_claims(now).await?, orphans);

        let alarms = Alarms::new(metrics.clone());
        alarms.recall(store.alarms().await?);
        for count in store.outbox().await?.into_iter().filter(|count| count.dead > 0) {
            let (about, is_gone) = (&count.receiver, !names.contains(&count.receiver));
            // Nobody was told, or the end came before that: it is no less so.
            let is_new = !alarms.fires(AlarmKind::DeadLetter, about);
            if is_gone && (is_new || orphans > 0) {
                fleet::say_orphans(&alarms, about, count.dead, now);
            } else if is_new {
                say_dead(&alarms, about, count.dead, now);
            }
        }
        let wakes = Wakes::new(names);
        let policy = policy(std::mem::take(&mut config.rules), renderer);
        let decider_world = DeciderWorld {
            store: store.clone(),
            clock: clock.clone(),
            observer: metrics.clone(),
            alarms: alarms.clone(),
            wakes: wakes.clone(),
        };
        let (decider, deciding) = Decider::new(policy, decider_world).await?;

        let intake_world = IntakeWorld {
            store: store.clone(),
            decider: decider.clone(),
            clock: clock.clone(),
            observer: metrics.clone(),
            alarms: alarms.clone(),
        };
        let (inbox, inbox_loop) = Inbox::new(&intake_world);
        let inbox = Arc::new(inbox);
        let lane_world = LaneWorld {
            store: store.clone(),
            clock: clock.clone(),
            observer: metrics.clone(),
            alarms: alarms.clone(),
            wakes: wakes.clone(),
        };
        let boards = LaneBoards::default();
        let source_boards = SourceBoards::default();
        let kinds = Arc::default();
        let fleet = Arc::new(Fleet {
            lanes: lane_world,
            intakes: intake_world,
            decider: decider.clone(),
            boards: boards.clone(),
            sources: source_boards.clone(),
            inbox: inbox.clone(),
            kinds: Arc::clone(&kinds),
            root: root.clone(),
            running: Mutex::default(),
        });
        let fresh = fleet.open(&config)?;
        let records = store.lanes().await?.into_iter().map(|lane| (lane.receiver.clone(), lane));
        let records: BTreeMap<_, _> = records.collect();
        end_what_is_past(&alarms, &config, &records, now);
        let (_, _, loops) = fleet.exchange(fresh, Some(records), now);
        let (starter, starts) = mpsc::channel(STARTS);

        let retention = Arc::new(ArcSwap::from_pointee(retention_settings(config.retention)));
        let upkeep = Upkeep {
            retention: retention.clone(),
            store: store.clone(),
            clock: clock.clone(),
            alarms: alarms.clone(),
        };

        let send_to = Arc::new(ArcSwap::from_pointee(config.alarms.send_to.clone()));
        let teller = AlarmTeller {
            alarms: alarms.clone(),
            send_to: send_to.clone(),
            decider: decider.clone(),
            store: store.clone(),
            clock: clock.clone(),
            wakes: wakes.clone(),
        };

        let watch = Watch::new(decider.clone(), source_boards.clone());

        let listen = config.api.listen;
        let listener =
            TcpListener::bind(listen).await.map_err(|error| StartError::Listen(listen, error))?;
        let addr = listener.local_addr().map_err(|error| StartError::Listen(listen, error))?;
        let settings = Arc::new(ArcSwap::from_pointee(api_settings(&config, addr)));
        let reloader = Reloader {
            loader,
            fleet,
            starter,
            api: settings.clone(),
            last: arc_swap::ArcSwapOption::empty(),
            zone: ArcSwap::from_pointee(reload::zone_name(&config)),
            files: files.clone(),
            in_force,
            running: tokio::sync::Mutex::default(),
            decider: decider.clone(),
            send_to,
            retention,
            alarms: alarms.clone(),
            observer: metrics.clone(),
            clock: clock.clone(),
        };
        let service = Service::new(ServiceParts {
            reloader: Arc::new(reloader),
            store: store.clone(),
            clock,
            decider,
            metrics,
            alarms,
            wakes,
            lanes: boards,
            sources: source_boards,
            kinds,
        });
        let control: Arc<dyn Control> = Arc::new(service);
        let router = api::router(settings, control.clone(), store, inbox);
        Ok(Self {
            listener,
            router,
            deciding,
            inbox: inbox_loop,
            loops,
            starts,
            root,
            upkeep,
            teller,
            watch,
            control,
            files,
            store: sqlite,
            addr,
        })
    }

    /// The address that the API listens on.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What the service says of itself and the wishes it takes.
    pub fn control(&self) -> Arc<dyn Control> {
        self.control.clone()
    }

    /// The files that it was configured by, to be watched.
    pub fn files(&self) -> Arc<Files> {
        self.files.clone()
    }

    /// Runs until cancelled, then lets sends in flight settle and closes the store.
    ///
    /// # Errors
    /// A loop ended by a bug of ours; the others were stopped in good order.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), LoopFailed> {
        let mut loops = JoinSet::new();
        let (root, stop) = (self.root, cancel.clone());
        loops.spawn(async move {
            stop.cancelled().await;
            root.cancel();
        });
        loops.spawn(self.deciding.run(cancel.clone()));
        loops.spawn(self.inbox.run(cancel.clone()));
        for one in self.loops {
            loops.spawn(one);
        }
        loops.spawn(self.upkeep.run(cancel.clone()));
        loops.spawn(self.teller.run(cancel.clone()));
        loops.spawn(self.watch.run(cancel.clone()));
        loops.spawn(api::serve(self.listener, self.router, cancel.clone()));
        info!("started: the API and the status page are at http://{}/", self.addr);
        let mut result = Ok(());
        let mut starts = self.starts;
        loop {
            let ended = tokio::select! {
                Some(one) = starts.recv(), if !cancel.is_cancelled() => {
                    loops.spawn(one);
                    continue;
                }
                ended = loops.join_next() => ended,
            };
            match ended {
                None => break,
                Some(Ok(())) => {}
                Some(Err(failure)) => {
                    result = Err(LoopFailed);
                    error!("a loop ended by a bug of triggerbell's, stopping: {failure}");
                    cancel.cancel();
                }
            }
        }
        drop(starts);
        drop(self.control);
        // Every loop has ended, so this is the last hold on the store; closing waits for the disk.
        let store = self.store;
        let _ = tokio::task::spawn_blocking(move || drop(store)).await;
        info!("stopped");
        result
    }
}

/// Rules and their renderer, with the reader of silences' clauses.
fn policy(rules: RuleSet, renderer: Arc<dyn Renderer>) -> Policy {
    Policy::new(rules, renderer).reading(Arc::new(|text: &str| config::matchers(text).ok()))
}

const fn retention_settings(retention: config::Retention) -> RetentionSettings {
    RetentionSettings { entries: retention.entries, notifications: retention.notifications }
}

fn closed() -> StoreError {
    StoreError {
        kind: crate::ports::StoreErrorKind::Bug,
        message: "the store could not be opened: its thread ended".to_owned(),
    }
}

/// How a receiver's lane folds: where it has a pace, and does.
fn digests(receiver: &config::Receiver, decider: &Decider) -> Option<Digests> {
    let (pace, after) = (receiver.pace?, receiver.digest_after?);
    let decider = decider.clone();
    let renderer = move || decider.policy().renderer.clone();
    Some(Digests { pressure: Pressure { pace, after }, renderer: Arc::new(renderer) })
}

/// Who takes over from a receiver.
fn fallback(receiver: &config::Receiver, decider: &Decider) -> Option<Fallback> {
    let (to, decider) = (receiver.fallback.clone()?, decider.clone());
    Some(Fallback { to, policy: Arc::new(move || decider.policy()) })
}

/// Ends the alarms of an earlier life that this start is the end of; the others end as they always do.
fn end_what_is_past(
    alarms: &Alarms,
    config: &Config,
    lanes: &BTreeMap<Arc<str>, LaneRecord>,
    now: Timestamp,
) {
    let is_there = |name: &Arc<str>| config.receivers.iter().any(|it| it.name == *name);
    for alarm in alarms.firing() {
        let lasts = match alarm.kind {
            // The files are sound; templates are tried anew.
            AlarmKind::Reload | AlarmKind::Template => false,
            AlarmKind::LaneClosed => {
                is_there(&alarm.about)
                    && lanes.get(&alarm.about).is_some_and(|lane| lane.closed.is_some())
            }
            // It is looked at every minute.
            AlarmKind::DeadLetter => true,
            AlarmKind::SourceBlind
            | AlarmKind::Credentials
            | AlarmKind::Clock
            | AlarmKind::Gap
            | AlarmKind::Discovery => {
                config.sources.iter().any(|source| source.name == alarm.about)
            }
        };
        if !lasts {
            alarms.clear(alarm.kind, &alarm.about, now);
        }
    }
}

/// Messages were given up before this start.
fn say_dead(alarms: &Alarms, about: &Arc<str>, dead: u64, now: Timestamp) {
    let message = format!(
        "{dead} messages to {about} were given up before this start; see `deliveries list --state \
         dead`"
    );
    alarms.raise(AlarmKind::DeadLetter, about, &message, now);
}

fn say_released(claims: u64, orphans: u64) {
    if claims > 0 {
        info!(messages = claims, "took up messages that an earlier run had in hand");
    }
    if orphans > 0 {
        info!(messages = orphans, "messages of receivers that are gone are dead letters now");
    }
}
