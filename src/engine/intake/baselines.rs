//! First contacts in the log: each of a few, and many summed up.
//!
//! Deliberately absent: what first contact is (`cursor`).

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use crate::ports::RepoKey;

use super::poll::Baseline;

/// First contacts that are said one by one.
const SAID: usize = 20;

/// When no more first contacts came for so long, the rest of them are summed up.
const QUIET: Duration = Duration::from_secs(30);

/// First contacts since the last quiet time.
#[derive(Default)]
pub(super) struct Baselines {
    /// Those that were said one by one.
    said: usize,
    /// Those that were not.
    unsaid: usize,
    history: u64,
    fresh: u64,
    last: Option<Instant>,
}

impl Baselines {
    /// Says what a first contact came to, unless there were many.
    pub(super) fn note(&mut self, repo: &RepoKey, Baseline { history, fresh }: Baseline) {
        self.last = Some(Instant::now());
        if self.said < SAID {
            self.said += 1;
            info!(
                source.name = %repo.source, repo.name = %repo.repo, history, fresh,
                "read the log for the first time"
            );
        } else {
            self.unsaid += 1;
            self.history += history;
            self.fresh += fresh;
        }
    }

    /// Sums up those that were not said, when there are no more of them for now.
    pub(super) fn sum_up(&mut self, source: &str) {
        if self.last.is_none_or(|last| last.elapsed() < QUIET) {
            return;
        }
        let Self { unsaid, history, fresh, .. } = std::mem::take(self);
        if unsaid > 0 {
            info!(
                source.name = source,
                repos = unsaid,
                history,
                fresh,
                "read the logs of more repositories for the first time"
            );
        }
    }
}
