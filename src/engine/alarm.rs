//! Alarms: what triggerbell has to say about itself, each once, and once when it is over.
//!
//! [`Alarms`] is the record of what fires: it logs a sentence at both ends and tells the observer.
//! [`AlarmTeller`] sends the same to receivers through the outbox, never through the one that the
//! alarm is about. Deliberately absent: when something is an alarm, which whoever raises it knows.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    domain::{
        entry::FieldHasher,
        notification::{NotificationId, Reason},
        rule::Severity,
    },
    ports::{
        Alarm, AlarmKind, Batch, Clock, Context, Event, NewNotification, Observer, RenderRequest,
        Store, StoreError,
    },
};

use super::{decider::Decider, wake::Wakes};

/// News that wait to be told; beyond them the oldest is only in the log.
const WAITING: usize = 256;

/// How long the teller waits when the store failed.
const STORE_BACKOFF: Duration = Duration::from_secs(5);

/// The alarms that fire. Clones share them.
#[derive(Clone)]
pub struct Alarms {
    inner: Arc<Mutex<Inner>>,
    /// Rung at each piece of news.
    bell: Arc<Notify>,
    observer: Arc<dyn Observer>,
}

#[derive(Default)]
struct Inner {
    firing: BTreeMap<(AlarmKind, Arc<str>), Alarm>,
    news: VecDeque<News>,
}

/// An alarm that began, or ended at an instant.
#[derive(Debug, Clone)]
struct News {
    alarm: Alarm,
    over_at: Option<Timestamp>,
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

    fn next_news(&self) -> Option<News> {
        self.with(|inner| inner.news.pop_front())
    }
}

/// Whether an alarm is about that receiver; a source or a template may well have the same name.
fn is_about(alarm: &Alarm, receiver: &str) -> bool {
    matches!(alarm.kind, AlarmKind::LaneClosed | AlarmKind::DeadLetter) && *alarm.about == *receiver
}

/// Sends alarms to receivers.
pub struct AlarmTeller {
    /// The alarms.
    pub alarms: Alarms,
    /// The receivers that they go to.
    pub send_to: Vec<Arc<str>>,
    /// Whose renderer makes the messages.
    pub decider: Arc<Decider>,
    /// The outbox.
    pub store: Arc<dyn Store>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The lanes' bells.
    pub wakes: Wakes,
}

impl AlarmTeller {
    /// Tells until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        loop {
            while let Some(news) = self.alarms.next_news() {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = self.tell(&news) => {}
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.alarms.bell.notified() => {}
            }
        }
    }

    /// Queues one piece of news, for as long as the store takes to accept it.
    async fn tell(&self, news: &News) {
        let notifications: Vec<_> = self
            .send_to
            .iter()
            .filter(|receiver| !is_about(&news.alarm, receiver))
            .flat_map(|receiver| self.messages(news, receiver))
            .collect();
        while !notifications.is_empty() {
            match self.queue(notifications.clone()).await {
                Ok(()) => return,
                Err(error) => warn!("could not queue an alarm, trying on: {error}"),
            }
            tokio::time::sleep(STORE_BACKOFF).await;
        }
    }

    async fn queue(&self, notifications: Vec<NewNotification>) -> Result<(), StoreError> {
        let receivers: Vec<_> =
            notifications.iter().map(|notification| notification.receiver.clone()).collect();
        let at = Some(self.clock.now());
        self.store.commit(Batch { notifications, at, ..Batch::default() }).await?;
        receivers.iter().for_each(|receiver| self.wakes.wake(receiver));
        Ok(())
    }

    fn messages(&self, news: &News, receiver: &Arc<str>) -> Vec<NewNotification> {
        let News { alarm, over_at } = news;
        let now = self.clock.now();
        let what = format!("{}/{}/{}", alarm.kind, alarm.about, over_at.is_some());
        let since_ms = over_at.unwrap_or(alarm.since).as_millisecond();
        let id = NotificationId::of_event(&what, receiver, Reason::Alarm, since_ms);
        let message = match over_at {
            None => alarm.message.clone(),
            Some(_) => format!("Over: {}", alarm.message),
        };
        let no_labels = BTreeMap::new();
        let severity = if over_at.is_some() { Severity::Info } else { Severity::Error };
        let context = Context {
            id,
            reason: Reason::Alarm,
            rule: "",
            labels: &no_labels,
            severity,
            entries: &[],
            count: 0,
            now,
            message: Some(&message),
        };
        let request = RenderRequest { template: None, receiver, context: &context };
        let renderer = self.decider.policy().renderer.clone();
        let parts = renderer
            .render(&request)
            .unwrap_or_else(|error| vec![renderer.plain(&request, &error.0)]);
        let mut key = FieldHasher::new("alarm");
        key.text(alarm.kind.name());
        key.text(&alarm.about);
        let key = key.finish();
        let key_json = serde_json::json!({ "alarm": alarm.kind, "about": alarm.about });
        let notification = |(number, part): (usize, crate::ports::Part)| NewNotification {
            id: id.part(u32::try_from(number).unwrap_or(u32::MAX)),
            rule: "".into(),
            receiver: receiver.clone(),
            source: "".into(),
            key,
            key_json: key_json.clone(),
            reason: Reason::Alarm,
            severity,
            entries: Vec::new(),
            count: 0,
            created_at: now,
            held_by: None,
            payload: Some(part.payload),
        };
        parts.into_iter().enumerate().map(notification).collect()
    }
}
