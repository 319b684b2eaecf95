//! Fast wake: whoever commits notifications wakes the lanes that they are for.
//!
//! A lane subscribes before it asks the store, so a commit between the two is not missed; its slow
//! poll is the safety net for everything else.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

/// A lane's bell.
#[derive(Debug, Default)]
pub struct Bell {
    notify: Notify,
    /// A person wants it tried now.
    urgent: AtomicBool,
}

impl Bell {
    /// Waits for a ring, counted from this call on.
    pub fn notified(&self) -> impl Future<Output = ()> {
        self.notify.notified()
    }

    /// Whether a person rang since this was asked last.
    pub fn take_urgent(&self) -> bool {
        self.urgent.swap(false, Ordering::AcqRel)
    }
}

/// One bell for each receiver.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    bells: Arc<RwLock<BTreeMap<Arc<str>, Arc<Bell>>>>,
}

impl Wakes {
    /// Bells for these receivers.
    pub fn new(receivers: impl IntoIterator<Item = Arc<str>>) -> Self {
        let bells = receivers.into_iter().map(|name| (name, Arc::default())).collect();
        Self { bells: Arc::new(RwLock::new(bells)) }
    }

    fn find(&self, receiver: &str) -> Option<Arc<Bell>> {
        self.bells.read().unwrap_or_else(PoisonError::into_inner).get(receiver).cloned()
    }

    /// Wakes a receiver's lane; one that there is none of is not an error.
    pub fn wake(&self, receiver: &str) {
        if let Some(bell) = self.find(receiver) {
            // One permit is kept when the lane is busy, so the ring is not lost.
            bell.notify.notify_one();
        }
    }

    /// Wakes a receiver's lane for a person, who wants a closed one to try now.
    pub fn urge(&self, receiver: &str) {
        if let Some(bell) = self.find(receiver) {
            bell.urgent.store(true, Ordering::Release);
            bell.notify.notify_one();
        }
    }

    /// A receiver's bell, for its lane alone to wait on; there is one from now on.
    pub fn bell(&self, receiver: &Arc<str>) -> Arc<Bell> {
        let mut bells = self.bells.write().unwrap_or_else(PoisonError::into_inner);
        bells.entry(receiver.clone()).or_default().clone()
    }

    /// There is no such receiver any more.
    pub fn forget(&self, receiver: &str) {
        self.bells.write().unwrap_or_else(PoisonError::into_inner).remove(receiver);
    }
}
