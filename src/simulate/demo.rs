//! Everything that the `demo` command needs but the service: a registry that is being pushed to,
//! and a chat wall beside it. How to use it is shown at the head of `simulate`.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    feed::{Feed, Rate},
    registry::{Credentials, Registry, RegistrySettings},
    serve::machine_clock,
    wall::{Wall, WallSettings},
    world::World,
};

/// How a demo is set up.
#[derive(Debug, Clone)]
pub struct DemoSettings {
    /// Where the chat wall listens.
    pub wall: SocketAddr,
    /// Where the registry listens.
    pub registry: SocketAddr,
    /// The repositories; empty for the stand-in's own.
    pub repos: Vec<String>,
    /// Rows that are there at the start.
    pub backlog: usize,
    /// New rows.
    pub rate: Rate,
    /// Chance begins here.
    pub seed: u64,
}

impl Default for DemoSettings {
    fn default() -> Self {
        Self {
            wall: SocketAddr::from(([127, 0, 0, 1], 8090)),
            registry: SocketAddr::from(([127, 0, 0, 1], 0)),
            repos: Vec::new(),
            backlog: 60,
            rate: Rate::per_second(1.0),
            seed: 0,
        }
    }
}

/// A demo under way. It ends when this is dropped.
pub struct Demo {
    registry: Registry,
    wall: Wall,
    ending: DropGuard,
    feeding: JoinHandle<()>,
}

impl Demo {
    /// Starts registry, feed and wall; they end with `shutdown`, [`Demo::stop`] or drop.
    ///
    /// # Errors
    /// An address can't be listened on.
    pub async fn start(settings: DemoSettings, shutdown: &CancellationToken) -> io::Result<Self> {
        let stop = shutdown.child_token();
        let repos = if settings.repos.is_empty() { Feed::default_repos() } else { settings.repos };
        let world = Arc::new(World::new(&repos));
        let wall = TcpListener::bind(settings.wall).await?;
        let wall_settings =
            WallSettings { seed: settings.seed, world: Some(world.clone()), ..Default::default() };
        let wall = Wall::start(wall, wall_settings, &stop)?;
        let now = machine_clock();
        let mut feed = Feed::new(settings.seed, &repos, settings.rate);
        if let Some(repo) = repos.last() {
            feed.set_bursts(repo);
        }
        feed.set_triggers(&world);
        feed.fill(&world, settings.backlog, now());
        let registry_settings = RegistrySettings {
            credentials: Credentials::generated(settings.seed),
            seed: settings.seed,
            now: now.clone(),
            ..Default::default()
        };
        let listener = TcpListener::bind(settings.registry).await?;
        let registry = Registry::start(listener, world.clone(), registry_settings, &stop)?;
        let stopped = stop.clone();
        let feeding = tokio::spawn(async move { feed.run(&world, now, stopped).await });
        Ok(Self { registry, wall, ending: stop.drop_guard(), feeding })
    }

    /// The registry.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The chat wall.
    pub const fn wall(&self) -> &Wall {
        &self.wall
    }

    /// The trigger logs.
    pub fn world(&self) -> &World {
        self.registry.world()
    }

    /// Ends all of it, within a few seconds.
    pub async fn stop(self) {
        drop(self.ending);
        // It only sleeps and steps, so it ends at once.
        let _ = self.feeding.await;
        self.registry.stop().await;
        self.wall.stop().await;
    }
}
