//! A source's requests, shared by its repositories.
//!
//! Each request takes the next free instant, in the order asked, so walks that run side by side
//! share the budget evenly however long each is. Deliberately absent: which repository asks when.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How much earlier than evenly spaced a request may be, so that a fine budget is not bounded by
/// the timer's grain.
const SLACK: Duration = Duration::from_millis(20);

/// How long a service's "too many" is remembered.
const PENALTY: Duration = Duration::from_secs(300);

/// The most that a penalty stretches the budget.
const PENALTY_MAX: u32 = 16;

/// So many requests a second, evenly.
#[derive(Debug)]
pub(super) struct Budget {
    interval: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: Instant,
    stretch: u32,
    stretched_until: Instant,
}

impl Budget {
    /// A budget of more than zero requests a second.
    pub(super) fn new(requests_per_second: f64) -> Self {
        let now = Instant::now();
        let interval = Duration::try_from_secs_f64(1.0 / requests_per_second)
            .unwrap_or(Duration::from_secs(3600));
        let inner = Mutex::new(Inner { next: now, stretch: 1, stretched_until: now });
        Self { interval, inner }
    }

    /// Waits for this request's instant.
    pub(super) async fn take(&self) {
        let at = self.reserve();
        if at > Instant::now() {
            tokio::time::sleep_until(at).await;
        }
    }

    fn reserve(&self) -> Instant {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if inner.stretched_until <= now {
            inner.stretch = 1;
        }
        let at = inner.next.max(now.checked_sub(SLACK).unwrap_or(now));
        inner.next = at + self.interval * inner.stretch;
        at
    }

    /// Halves the budget for a while, since the service said that it is asked too much.
    pub(super) fn penalise(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.stretch = (inner.stretch * 2).min(PENALTY_MAX);
        inner.stretched_until = Instant::now() + PENALTY;
    }

    /// The time that so many requests take.
    pub(super) fn time_for(&self, requests: usize) -> Duration {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.interval * inner.stretch * u32::try_from(requests).unwrap_or(u32::MAX)
    }
}
