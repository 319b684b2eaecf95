//! Telling alarms: what began or ended goes to receivers through the outbox, never through the one
//! that it is about.
//!
//! Deliberately absent: what fires (`alarm`), and the log's own sentence about it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    domain::{
        entry::FieldHasher,
        notification::{NotificationId, Reason},
        rule::Severity,
    },
    ports::{
        Alarm, AlarmChange, AlarmKind, Batch, Clock, Context, NewNotification, RenderRequest,
        Store, StoreError,
    },
};

use super::{
    alarm::{Alarms, News},
    decider::Decider,
    wake::Wakes,
};

/// How long the teller waits when the store failed.
const STORE_BACKOFF: Duration = Duration::from_secs(5);

/// Sends alarms to receivers.
pub struct AlarmTeller {
    /// The alarms.
    pub alarms: Alarms,
    /// The receivers that they go to now.
    pub send_to: Arc<ArcSwap<Vec<Arc<str>>>>,
    /// Whose renderer makes the messages.
    pub decider: Decider,
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
            .load()
            .iter()
            .filter(|receiver| !is_about(&news.alarm, receiver))
            .flat_map(|receiver| self.messages(news, receiver))
            .collect();
        let alarm = news.alarm.clone();
        let change = match news.over_at {
            None => AlarmChange::Began(alarm),
            Some(_) => AlarmChange::Over(alarm.kind, alarm.about),
        };
        // Of what was told to nobody nothing is kept; that it is over is, whoever is told now.
        while !notifications.is_empty() || news.over_at.is_some() {
            match self.queue(notifications.clone(), change.clone()).await {
                Ok(()) => return,
                Err(error) => warn!("could not queue an alarm, trying on: {error}"),
            }
            tokio::time::sleep(STORE_BACKOFF).await;
        }
    }

    async fn queue(
        &self,
        notifications: Vec<NewNotification>,
        change: AlarmChange,
    ) -> Result<(), StoreError> {
        let receivers: Vec<_> =
            notifications.iter().map(|notification| notification.receiver.clone()).collect();
        let at = Some(self.clock.now());
        let alarms = vec![change];
        self.store.commit(Batch { notifications, alarms, at, ..Batch::default() }).await?;
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
            more: None,
            incident: None,
            digest: None,
            now,
            message: Some(&message),
            meant_for: None,
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
            told: crate::ports::Told { message: Some(message.clone()), ..Default::default() },
            follows: None,
        };
        parts.into_iter().enumerate().map(notification).collect()
    }
}

/// Whether an alarm is about that receiver; a source may well have the same name. One about a template
/// ends with the receiver for which it failed, and who gets the plain messages that say so.
fn is_about(alarm: &Alarm, receiver: &str) -> bool {
    match alarm.kind {
        AlarmKind::LaneClosed | AlarmKind::DeadLetter => *alarm.about == *receiver,
        AlarmKind::Template => alarm.about.rsplit(' ').next() == Some(receiver),
        _ => false,
    }
}
