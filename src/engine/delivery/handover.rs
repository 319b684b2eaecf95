//! What waits in a closed lane goes to its receiver's fallback, where it has one.
//!
//! Deliberately absent: what is handed over and what text it has there, which the store does by
//! [`Fallback`]'s wish, in one transaction.
//!
//! [`Fallback`]: crate::engine::fallback::Fallback

use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tracing::info;

use super::{Lane, STORE_BACKOFF, work};
use crate::ports::{Event, HandedOver, StoreError};

impl Lane {
    /// Has the fallback take over what waits, where the lane is closed and no probe is due: then one
    /// row is left to be the probe, and goes, too, if that fails. What is in hand is kept first.
    pub(super) fn hand_over(&mut self, now: Timestamp) {
        let Some(fallback) = &self.fallback else { return };
        let in_hand = self.ready.len() + self.unsettled.len() + self.settling > 0;
        let closed = self.gate.closed().is_some() && self.gate.is_shut(now);
        if !closed || !self.to_hand_over || in_hand || self.claiming || self.handing_over {
            return;
        }
        (self.to_hand_over, self.handing_over) = (false, true);
        let wish = fallback.wish(&self.settings.receiver, now);
        let after = if self.store_failing { STORE_BACKOFF } else { Duration::ZERO };
        self.work.push(work::hand_over(self.world.store.clone(), wish, after).boxed());
    }

    pub(super) fn absorb_hand_over(&mut self, result: Result<HandedOver, StoreError>) {
        self.handing_over = false;
        match (result, &self.fallback) {
            (Ok(HandedOver { count, more }), Some(fallback)) => {
                self.to_hand_over |= more;
                if count > 0 {
                    let receiver = &*self.settings.receiver;
                    self.world.wakes.wake(&fallback.to);
                    self.world.observer.observe(Event::FellBack { receiver, count });
                    info!(
                        receiver.name = receiver, fallback.name = %fallback.to, count,
                        "the fallback took over what waited for a receiver that takes nothing"
                    );
                }
                self.store_works();
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                self.to_hand_over = true;
                self.store_failed("hand over what waits", &error);
            }
        }
    }
}
