//! Says which sources were read, for rules that watch for absence.
//!
//! Deliberately absent: what follows from it, and reading.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::ports::StoreError;

use super::{decider::Decider, intake::SourceBoard};

/// How often it is looked at what was read.
const EVERY: Duration = Duration::from_secs(20);

/// Looks at the sources' boards.
pub struct Watch {
    decider: Decider,
    sources: Vec<Watched>,
}

/// A source, and when all of it had last been read as was said.
struct Watched {
    name: Arc<str>,
    board: SourceBoard,
    said: Option<Timestamp>,
}

impl Watch {
    /// A watch over sources that show on these boards when they were read.
    pub fn new(
        decider: Decider,
        sources: impl IntoIterator<Item = (Arc<str>, SourceBoard)>,
    ) -> Self {
        let watched = |(name, board)| Watched { name, board, said: None };
        Self { decider, sources: sources.into_iter().map(watched).collect() }
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
        for source in &mut self.sources {
            let status = source.board.read();
            if status.read_at.is_none() || status.read_at == source.said {
                continue;
            }
            let every = Duration::try_from_secs_f64(status.effective_interval_s);
            self.decider.note_read(source.name.clone(), every.unwrap_or_default()).await?;
            source.said = status.read_at;
        }
        Ok(())
    }
}
