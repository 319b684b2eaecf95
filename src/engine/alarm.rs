//! Alarms: what triggerbell has to say about itself, each once, and once when it is over.
//!
//! This is the record of what fires; it logs a sentence at both ends and tells the observer.
//! Deliberately absent: sending them to receivers, which needs a way round the receiver concerned.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use tracing::{info, warn};

use crate::ports::{Alarm, AlarmKind, Event, Observer};

type Firing = BTreeMap<(AlarmKind, Arc<str>), Alarm>;

/// The alarms that fire. Clones share them.
#[derive(Clone)]
pub struct Alarms {
    firing: Arc<Mutex<Firing>>,
    observer: Arc<dyn Observer>,
}

impl Alarms {
    /// No alarm yet.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { firing: Arc::default(), observer }
    }

    /// Raises an alarm about something. While it fires, raising it again only renews its words.
    pub fn raise(&self, kind: AlarmKind, about: &Arc<str>, message: &str, now: Timestamp) {
        let mut firing = self.firing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(alarm) = firing.get_mut(&(kind, about.clone())) {
            message.clone_into(&mut alarm.message);
            return;
        }
        warn!(alarm.kind = kind.name(), alarm.about = %about, "alarm: {message}");
        self.observer.observe(Event::Alarm { kind: kind.name(), firing: true });
        let alarm = Alarm { kind, about: about.clone(), message: message.to_owned(), since: now };
        firing.insert((kind, about.clone()), alarm);
    }

    /// Ends an alarm, where it fires.
    pub fn clear(&self, kind: AlarmKind, about: &Arc<str>) {
        let mut firing = self.firing.lock().unwrap_or_else(PoisonError::into_inner);
        if firing.remove(&(kind, about.clone())).is_some() {
            info!(alarm.kind = kind.name(), alarm.about = %about, "alarm over");
            self.observer.observe(Event::Alarm { kind: kind.name(), firing: false });
        }
    }

    /// What fires, oldest first.
    pub fn firing(&self) -> Vec<Alarm> {
        let firing = self.firing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut alarms: Vec<_> = firing.values().cloned().collect();
        alarms.sort_by_key(|alarm| alarm.since);
        alarms
    }
}
