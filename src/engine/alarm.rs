//! Alarms: what triggerbell has to say about itself, each once, and once when it is over.
//!
//! [`Alarms`] is the record of what fires: it logs a sentence at both ends and tells the observer.
//! Deliberately absent: when something is an alarm, which whoever raises it knows, and sending them
//! (`teller`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::ports::{Alarm, AlarmKind, Event, Observer};

/// News that wait to be told; beyond them the oldest is only in the log.
const WAITING: usize = 256;

/// The alarms that fire. Clones share them.
#[derive(Clone)]
pub struct Alarms {
    inner: Arc<Mutex<Inner>>,
    /// Rung at each piece of news.
    pub(super) bell: Arc<Notify>,
    observer: Arc<dyn Observer>,
}

#[derive(Default)]
struct Inner {
    firing: BTreeMap<(AlarmKind, Arc<str>), Alarm>,
    news: VecDeque<News>,
}

/// An alarm that began, or ended at an instant.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) alarm: Alarm,
    pub(super) over_at: Option<Timestamp>,
}

impl Inner {
    fn tell(&mut self, alarm: Alarm, over_at: Option<Timestamp>) {
        if self.news.len() == WAITING {
            self.news.pop_front();
        }
        self.news.push_back(News { alarm, over_at });
    }
}

impl Alarms {
    /// No alarm yet.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { inner: Arc::default(), bell: Arc::default(), observer }
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut Inner) -> R) -> R {
        use_it(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on with what people were told of in an earlier life: raised again it is no news, and when
    /// it is over they are told.
    pub fn recall(&self, told: Vec<Alarm>) {
        for alarm in told {
            info!(
                alarm.kind = alarm.kind.name(), alarm.about = %alarm.about,
                "an alarm that was told before this start: {}", alarm.message
            );
            self.observer.observe(Event::Alarm { kind: alarm.kind.name(), firing: true });
            self.with(|inner| inner.firing.insert((alarm.kind, alarm.about.clone()), alarm));
        }
    }

    /// Whether an alarm fires.
    pub fn fires(&self, kind: AlarmKind, about: &Arc<str>) -> bool {
        self.with(|inner| inner.firing.contains_key(&(kind, about.clone())))
    }

    /// Raises an alarm about something. While it fires, raising it again only renews its words.
    pub fn raise(&self, kind: AlarmKind, about: &Arc<str>, message: &str, now: Timestamp) {
        let new = self.with(|inner| {
            if let Some(alarm) = inner.firing.get_mut(&(kind, about.clone())) {
                message.clone_into(&mut alarm.message);
                return false;
            }
            let message = message.to_owned();
            let alarm = Alarm { kind, about: about.clone(), message, since: now };
            inner.tell(alarm.clone(), None);
            inner.firing.insert((kind, about.clone()), alarm);
            true
        });
        if new {
            warn!(alarm.kind = kind.name(), alarm.about = %about, "alarm: {message}");
            self.observer.observe(Event::Alarm { kind: kind.name(), firing: true });
            self.bell.notify_one();
        }
    }

    /// Ends an alarm, where it fires.
    pub fn clear(&self, kind: AlarmKind, about: &Arc<str>, now: Timestamp) {
        let ended = self.with(|inner| {
            let Some(alarm) = inner.firing.remove(&(kind, about.clone())) else { return false };
            inner.tell(alarm, Some(now));
            true
        });
        if ended {
            info!(alarm.kind = kind.name(), alarm.about = %about, "alarm over");
            self.observer.observe(Event::Alarm { kind: kind.name(), firing: false });
            self.bell.notify_one();
        }
    }

    /// What fires, oldest first.
    pub fn firing(&self) -> Vec<Alarm> {
        let mut alarms: Vec<_> = self.with(|inner| inner.firing.values().cloned().collect());
        alarms.sort_by_key(|alarm| alarm.since);
        alarms
    }

    pub(super) fn next_news(&self) -> Option<News> {
        self.with(|inner| inner.news.pop_front())
    }
}
