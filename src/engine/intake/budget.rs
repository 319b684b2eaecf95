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

/// The most that penalties stretch the budget.
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
    penalised_at: Option<Instant>,
}

impl Inner {
    fn stretch(&mut self, now: Instant) -> u32 {
        if self.penalised_at.is_some_and(|at| now.saturating_duration_since(at) >= PENALTY) {
            self.penalised_at = None;
            self.stretch = 1;
        }
        self.stretch
    }
}

impl Budget {
    /// A budget of more than zero requests a second.
    pub(super) fn new(requests_per_second: f64) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / requests_per_second)
            .unwrap_or(Duration::from_secs(3600));
        let inner = Inner { next: Instant::now(), stretch: 1, penalised_at: None };
        Self { interval, inner: Mutex::new(inner) }
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut Inner) -> R) -> R {
        use_it(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for this request's instant.
    pub(super) async fn take(&self) {
        let at = self.reserve();
        if at > Instant::now() {
            tokio::time::sleep_until(at).await;
        }
    }

    /// When the next request may be made without waiting.
    pub(super) fn free_at(&self) -> Instant {
        self.with(|inner| inner.next)
    }

    /// Takes a request's instant, which the request is to wait for.
    pub(super) fn reserve(&self) -> Instant {
        let now = Instant::now();
        self.with(|inner| {
            let at = inner.next.max(now.checked_sub(SLACK).unwrap_or(now));
            inner.next = at + self.interval * inner.stretch(now);
            at
        })
    }

    /// Halves the budget for a while, since the service said of a request made at `sent` that it is
    /// asked too much, and asks nothing for as long as it wished. Requests that were already under
    /// way when it was halved say nothing new.
    pub(super) fn penalise(&self, sent: Instant, wished: Option<Duration>) {
        let now = Instant::now();
        self.with(|inner| {
            if let Some(wished) = wished {
                inner.next = inner.next.max(now + wished);
            }
            let stretch = inner.stretch(now);
            if inner.penalised_at.is_none_or(|at| sent > at) {
                inner.stretch = (stretch * 2).min(PENALTY_MAX);
                inner.penalised_at = Some(now);
            }
        });
    }

    /// Requests a second, as they are now.
    pub(super) fn per_second(&self) -> f64 {
        let stretch = self.with(|inner| inner.stretch(Instant::now()));
        1.0 / (self.interval.as_secs_f64() * f64::from(stretch))
    }

    /// Takes account of requests that were made without asking.
    pub(super) fn charge(&self, requests: u32) {
        let now = Instant::now();
        self.with(|inner| {
            let took = self.interval * inner.stretch(now);
            inner.next = inner.next.max(now) + took.saturating_mul(requests);
        });
    }
}
