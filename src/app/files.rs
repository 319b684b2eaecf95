//! Watching the files that the configuration consists of, so that a change is taken up by itself.
//!
//! What is compared is their content, every other second, rather than events: a config map swaps a
//! link far above the file, editors write beside it and rename, and shares over a network tell of
//! nothing. A change is taken up once two looks in a row see the same, so that a file that is still
//! being written waits. Deliberately absent: files of secrets, which are read when they are refused.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::regular,
    config::{self, Config},
    ports::Control,
};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(2);

/// The most that is read of a file; a longer one is refused anyway.
const FILE_BYTES: u64 = 8 << 20;

/// The most templates that are looked at.
const TEMPLATES: usize = 10_000;

/// The files of the configuration, and what of them was last taken up or refused.
#[derive(Debug)]
pub struct Files {
    paths: ArcSwap<Paths>,
    settled: AtomicU64,
}

/// Where the files are.
#[derive(Debug)]
pub(super) struct Paths {
    config: PathBuf,
    rules: Vec<PathBuf>,
    templates: Option<PathBuf>,
}

impl Paths {
    /// Those that a configuration names, and its own.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            config: config.path.clone(),
            rules: config.rule_paths.clone(),
            templates: config.templates_folder.clone(),
        }
    }

    /// A hash of all that they hold.
    fn look(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash_file(&self.config, &mut hasher);
        for path in &self.rules {
            match config::rule_files(path) {
                Ok(files) => files.iter().for_each(|file| hash_file(file, &mut hasher)),
                Err(error) => error.kind().hash(&mut hasher),
            }
        }
        if let Some(folder) = &self.templates {
            let files = std::fs::read_dir(folder).into_iter().flatten().take(TEMPLATES);
            let mut files: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
            files.sort();
            files.iter().for_each(|file| hash_file(file, &mut hasher));
        }
        hasher.finish()
    }
}

/// Adds a file's name and content, or why it has none.
fn hash_file(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    let mut content = Vec::new();
    let read = regular::open(path).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut content));
    match read {
        Ok(_) => content.hash(hasher),
        Err(error) => error.kind().hash(hasher),
    }
}

impl Files {
    /// Those of a configuration that was just read.
    pub(super) fn of(config: &Config) -> Arc<Self> {
        let paths = Paths::of(config);
        let settled = AtomicU64::new(paths.look());
        Arc::new(Self { paths: ArcSwap::from_pointee(paths), settled })
    }

    /// Says that they are about to be read: what they hold now is no change any more.
    pub(super) fn settle(&self) {
        self.settled.store(self.paths.load().look(), Ordering::Release);
    }

    /// Says where they are from now on. Where that is elsewhere they are read once more: what came
    /// to them since they were read is not known.
    pub(super) fn moved(&self, paths: Paths) {
        self.paths.store(Arc::new(paths));
    }

    /// What they hold now, where it is not what was last taken up or refused.
    fn changed(&self) -> Option<u64> {
        let seen = self.paths.load().look();
        (seen != self.settled.load(Ordering::Acquire)).then_some(seen)
    }
}

/// Reloads when the files have changed and are at rest, until cancelled. What comes of it is in the
/// log.
pub async fn watch(files: Arc<Files>, control: Arc<dyn Control>, cancel: CancellationToken) {
    let mut pending = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let looked = files.clone();
        let look = tokio::task::spawn_blocking(move || looked.changed());
        // A disk that does not answer does not hold the end up.
        let seen = tokio::select! {
            () = cancel.cancelled() => return,
            seen = look => seen.unwrap_or(None),
        };
        if seen.is_some() && seen == pending {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = control.reload("files") => {}
            }
        }
        pending = seen;
    }
}
