//! Says which sources were read, for rules that watch for absence.
//!
//! Deliberately absent: what follows from it, and reading.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::ports::StoreError;

use super::{decider::Decider, intake::SourceBoards};

/// How often it is looked at what was read.
const EVERY: Duration = Duration::from_secs(20);

/// Looks at the sources' boards.
pub struct Watch {
    decider: Decider,
    sources: SourceBoards,
    /// When all of each had last been read as was said.
    said: BTreeMap<Arc<str>, Timestamp>,
}

impl Watch {
    /// A watch over sources that show on these boards when they were read.
    pub fn new(decider: Decider, sources: SourceBoards) -> Self {
        Self { decider, sources, said: BTreeMap::new() }
    }

    /// Says what was read until cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.step().await {
                // Whoever takes rows in says that the store fails; this is said again later.
                debug!("could not note which sources were read: {error}");
            }
        }
    }

    async fn step(&mut self) -> Result<(), StoreError> {
        if !self.decider.policy().rules.watches_absence() {
            return Ok(());
        }
        let sources = self.sources.read();
        self.said.retain(|name, _| sources.contains_key(name));
        for (name, status) in sources {
            // Whoever pushes is heard for as long as somebody listens, which is now.
            if status.push.is_some() {
                self.decider.note_read(name, EVERY).await?;
                continue;
            }
            let Some(read_at) = status.read_at.filter(|at| self.said.get(&name) != Some(at)) else {
                continue;
            };
            let every = Duration::try_from_secs_f64(status.effective_interval_s);
            self.decider.note_read(name.clone(), every.unwrap_or_default()).await?;
            self.said.insert(name, read_at);
        }
        Ok(())
    }
}
