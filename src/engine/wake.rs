//! Fast wake: whoever commits notifications wakes the lanes that they are for.
//!
//! A lane subscribes before it asks the store, so a commit between the two is not missed; its slow
//! poll is the safety net for everything else.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Notify;

/// One bell for each receiver.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    bells: Arc<BTreeMap<Arc<str>, Arc<Notify>>>,
}

impl Wakes {
    /// Bells for these receivers.
    pub fn new(receivers: impl IntoIterator<Item = Arc<str>>) -> Self {
        let bells = receivers.into_iter().map(|name| (name, Arc::new(Notify::new()))).collect();
        Self { bells: Arc::new(bells) }
    }

    /// Wakes a receiver's lane; one that there is none of is not an error.
    pub fn wake(&self, receiver: &str) {
        if let Some(bell) = self.bells.get(receiver) {
            // One permit is kept when the lane is busy, so the ring is not lost.
            bell.notify_one();
        }
    }

    /// A receiver's bell, for its lane alone to wait on.
    pub fn bell(&self, receiver: &str) -> Arc<Notify> {
        self.bells.get(receiver).cloned().unwrap_or_default()
    }
}
