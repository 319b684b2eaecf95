//! Places for walks, so that a backlog of one repository holds up no other.
//!
//! Short walks share sixteen places; a walk that turns out to be long needs one of four others, and
//! where none is free it is given up and queued: a walk that waits holds no rows in memory.
//! Deliberately absent: the queue, and requests, which the budget shares evenly.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Short walks that run side by side.
const SHORT_WALKS: usize = 16;

/// Long walks that run side by side, beside the short ones.
const LONG_WALKS: usize = 4;

/// A walk's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) enum Place {
    /// Among the short walks.
    Short(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>),
    /// Among the long ones.
    Long(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit),
}

impl Place {
    pub(super) const fn is_long(&self) -> bool {
        matches!(self, Self::Long(_))
    }
}

/// The places of a source.
#[derive(Debug)]
pub(super) struct Places {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
    queued: AtomicBool,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            short: Arc::new(Semaphore::new(SHORT_WALKS)),
            long: Arc::new(Semaphore::new(LONG_WALKS)),
            queued: AtomicBool::new(false),
        }
    }
}

impl Places {
    /// Waits for a place among the short walks, in the order asked.
    pub(super) async fn short(&self) -> Place {
        // It is never closed.
        Place::Short(self.short.clone().acquire_owned().await.ok())
    }

    /// A place among the long walks for one that was queued, where one is free.
    pub(super) fn long(&self) -> Option<Place> {
        self.long.clone().try_acquire_owned().ok().map(Place::Long)
    }

    /// A place among the long walks for one that runs, where one is free and none is queued.
    pub(super) fn upgrade(&self) -> Option<Place> {
        if self.queued.load(Ordering::Relaxed) { None } else { self.long() }
    }

    /// Whether long walks are queued.
    pub(super) fn queued(&self, queued: bool) {
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// Long walks that run.
    pub(super) fn long_walks(&self) -> usize {
        LONG_WALKS - self.long.available_permits()
    }
}
