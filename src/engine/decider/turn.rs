//! What makes rules decide besides entries: the passing of time, what people wish, that a source was
//! read, and rules that are not those of before.
//!
//! Deliberately absent: what is due, which the state knows.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    domain::{
        decision::{Effects, Input, State, decide, reconcile},
        silence::SilenceWish,
    },
    ports::{Batch, StoreError},
};

use super::{Ask, Counts, Decider, Deciding, Policy, stopped};

/// Intents whose entries are fetched, and in memory, together.
const INTENTS_AT_ONCE: usize = 64;

/// The longest sleep: how long a wall clock that was set may go unnoticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// A clock that goes back by less was not set back.
const SET_BACK: SignedDuration = SignedDuration::from_secs(1);

/// How long the loop waits before it fires timers again when the store failed.
const STORE_BACKOFF: Duration = Duration::from_secs(5);

/// Something to decide that is no entry.
pub(super) type Turn = Box<dyn FnOnce(&Policy, &mut State, Timestamp) -> Effects + Send>;

/// A look at what is remembered.
pub(super) type Look = Box<dyn FnOnce(&State) + Send>;

impl Decider {
    /// Has a person's wish about silences met.
    ///
    /// # Errors
    /// The store took nothing of it.
    pub async fn wish(&self, wish: SilenceWish) -> Result<(), StoreError> {
        self.turn(Box::new(move |policy, state, now| {
            decide(&policy.rules, state, Input::Silence(&wish), now)
        }))
        .await
    }

    /// Notes that a source was read whole, and that it is to be read again within `every`.
    ///
    /// # Errors
    /// The store took nothing of it.
    pub async fn note_read(&self, source: Arc<str>, every: Duration) -> Result<(), StoreError> {
        self.turn(Box::new(move |policy, state, now| {
            decide(&policy.rules, state, Input::Read { source: &source, every }, now)
        }))
        .await
    }

    /// Puts other rules in force, with the renderer of their messages: what is decided from now on is
    /// decided by them. What is remembered is fitted to them and committed; nobody is told anything.
    ///
    /// # Errors
    /// The store took nothing of it, and the old rules go on.
    pub async fn swap(&self, policy: Policy) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.asks.send(Ask::Swap(Box::new(policy), answer)).await.is_err() {
            return Err(stopped());
        }
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn turn(&self, turn: Turn) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.asks.send(Ask::Turn(turn, answer)).await.is_err() {
            return Err(stopped());
        }
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Looks at what is remembered.
    ///
    /// # Errors
    /// The store can't say what it is.
    pub async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> R + Send + 'static,
    ) -> Result<R, StoreError> {
        let (seen, see) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(move |state| {
            // Nobody may be waiting any more.
            let _ = seen.send(look(state));
        });
        if self.asks.send(Ask::Look(look, answer)).await.is_err() {
            return Err(stopped());
        }
        answered.await.unwrap_or_else(|_| Err(stopped()))?;
        see.await.map_err(|_| stopped())
    }
}

impl Deciding {
    /// Fits what is remembered to the rules, which may have been changed while nothing ran, for as
    /// long as the store takes to accept it.
    pub(super) async fn begin(&mut self, cancel: &CancellationToken) {
        while let Err(error) = self.fit(self.policy.load_full()).await {
            warn!("could not commit what changed rules end, trying on: {error}");
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(STORE_BACKOFF) => {}
            }
        }
    }

    /// Fits what is remembered to the rules. Nobody is told anything; incidents that end by it are
    /// logged.
    async fn fit(&mut self, policy: Arc<Policy>) -> Result<(), StoreError> {
        let fit: Turn = Box::new(|policy, state, now| {
            let (effects, closed) = reconcile(&policy.rules, state, now);
            for incident in closed {
                let why = if incident.removed { "is gone" } else { "means something else now" };
                let key = incident.key.to_json();
                info!(rule.name = %incident.rule, "an incident ended, since its rule {why}: {key}");
            }
            effects
        });
        self.turn_under(policy, fit).await
    }

    /// Puts other rules in force once what follows from them is on the disk.
    pub(super) async fn swap(&mut self, policy: Policy) -> Result<(), StoreError> {
        let policy = Arc::new(policy);
        self.fit(policy.clone()).await?;
        self.policy.store(policy);
        self.drafter.forget_failures(self.clock.now());
        Ok(())
    }

    /// Fires what is due, where anything is. By a clock that was set back nothing waits longer.
    pub(super) async fn tick(&mut self) {
        let now = self.clock.now();
        if self.seen_at.duration_since(now) >= SET_BACK {
            match self.fit(self.policy.load_full()).await {
                Ok(()) => info!("the clock was set back; what waits does not wait longer"),
                // It is tried again at the next tick.
                Err(_) => return,
            }
        }
        self.seen_at = now;
        let due = self
            .state
            .as_ref()
            .is_some_and(|state| state.next_due().is_some_and(|due| due <= self.clock.now()));
        if !due && self.state.is_some() {
            return;
        }
        let tick: Turn =
            Box::new(|policy, state, now| decide(&policy.rules, state, Input::Tick, now));
        match self.take_turn(tick).await {
            Ok(()) if std::mem::take(&mut self.failing) => info!("timers fire again"),
            Ok(()) => {}
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                warn!("could not commit what timers caused, trying on: {error}");
            }
            Err(_) => {}
        }
    }

    /// How long there is nothing due.
    pub(super) fn idle(&self) -> Duration {
        let Some(state) = &self.state else { return STORE_BACKOFF };
        let left = state.next_due().map(|due| due.duration_since(self.clock.now()));
        let left = left.map(|left| left.max(SignedDuration::ZERO).unsigned_abs());
        // Timers are kept in whole milliseconds.
        left.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP) + Duration::from_millis(1)
    }

    /// Decides something that is no entry, and commits what it causes, if anything.
    pub(super) async fn take_turn(&mut self, turn: Turn) -> Result<(), StoreError> {
        self.turn_under(self.policy.load_full(), turn).await
    }

    async fn turn_under(&mut self, policy: Arc<Policy>, turn: Turn) -> Result<(), StoreError> {
        let mut state = self.take_state(&policy).await?;
        let now = self.clock.now();
        let effects = turn(&policy, &mut state, now);
        let mut batch = Batch { at: Some(now), ..Batch::default() };
        for intents in effects.intents.chunks(INTENTS_AT_ONCE) {
            self.drafter.queue_many(&policy, intents, now, &mut batch).await?;
        }
        batch.changes = state.take_changes();
        let counts = Counts::of(&batch);
        if !batch.changes.is_empty() || !batch.notifications.is_empty() {
            self.store.commit(batch).await?;
        }
        self.state = Some(state);
        self.tell(&counts);
        Ok(())
    }

    /// Looks at what is remembered.
    pub(super) async fn show(&mut self, look: Look) -> Result<(), StoreError> {
        let policy = self.policy.load_full();
        let state = self.take_state(&policy).await?;
        look(&state);
        self.state = Some(state);
        Ok(())
    }
}
