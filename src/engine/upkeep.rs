//! Keeping house: what is past its time goes, in steps small enough to delay nothing.
//!
//! Deliberately absent: what may go, which is the store's to know.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::ports::{AlarmKind, Clock, Retention, Store, StoreError};

use super::alarm::Alarms;

/// How often the house is looked over.
const EVERY: Duration = Duration::from_secs(60);

/// The pause between two steps, in which deliveries have the store to themselves.
const PAUSE: Duration = Duration::from_millis(50);

/// Rows deleted in one step.
const STEP_ROWS: usize = 500;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Entries, from when they were taken in.
    pub entries: Duration,
    /// Notifications, from when they ended.
    pub notifications: Duration,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        let days_30 = Duration::from_secs(30 * 24 * 3600);
        Self { entries: days_30, notifications: days_30 }
    }
}

/// The house's keeper.
pub struct Upkeep {
    /// How long things are kept now.
    pub retention: Arc<ArcSwap<RetentionSettings>>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The alarms, of which that about dead letters ends here.
    pub alarms: Alarms,
}

impl Upkeep {
    /// Keeps house until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut failing = false;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            match self.step(&cancel).await {
                Ok(()) if std::mem::take(&mut failing) => {
                    info!("the store can be looked after again");
                }
                Ok(()) => {}
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    warn!("could not look after the store, trying on: {error}");
                }
                Err(_) => {}
            }
        }
    }

    /// Deletes all that is past its time, step by step, and ends alarms about dead letters that are
    /// gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn step(&self, cancel: &CancellationToken) -> Result<(), StoreError> {
        while !cancel.is_cancelled() {
            let now = self.clock.now();
            let before = |age: Duration| now.checked_sub(age).unwrap_or(now);
            let kept = **self.retention.load();
            let retention = Retention {
                entries_before: before(kept.entries),
                notifications_before: before(kept.notifications),
                limit: STEP_ROWS,
            };
            if !self.store.retain(retention).await? {
                break;
            }
            cancel.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
        let outbox = self.store.outbox().await?;
        for alarm in self.alarms.firing() {
            let dead = outbox.iter().any(|count| count.receiver == alarm.about && count.dead > 0);
            if alarm.kind == AlarmKind::DeadLetter && !dead {
                self.alarms.clear(AlarmKind::DeadLetter, &alarm.about, self.clock.now());
            }
        }
        Ok(())
    }
}
