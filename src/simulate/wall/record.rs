//! What the wall remembers and tells browsers: the last rows and messages, numbered in one order.
//!
//! A browser takes a snapshot, then asks for what came after its number; what falls out of memory
//! in between makes it take the snapshot again. Deliberately absent: HTTP.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::domain::entry::region_name;

use super::{
    super::{answer::LogTime, world::News},
    Channel, ServiceCounts, WallMessage,
};

/// Rows remembered.
const ROWS_KEPT: usize = 120;
/// Messages remembered, for each channel.
const MESSAGES_KEPT: usize = 60;
/// Events that a browser can be behind.
const EVENTS_CAPACITY: usize = 1024;

/// One thing for browsers to show.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) seq: u64,
    /// JSON on one line; empty where everything before is forgotten.
    pub(super) json: Arc<str>,
}

pub(super) struct Record {
    inner: Mutex<Inner>,
    events: broadcast::Sender<Event>,
    messages: broadcast::Sender<WallMessage>,
}

#[derive(Default)]
struct Inner {
    seq: u64,
    /// Everything up to here may be forgotten, in part.
    forgotten: u64,
    rows: VecDeque<Event>,
    chats: [VecDeque<Event>; Channel::ALL.len()],
    service: Option<Event>,
    published: u64,
    accepted: u64,
    refused: u64,
}

/// What the wall has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WallCounts {
    /// Rows that the registry published.
    pub published: u64,
    /// Messages taken.
    pub accepted: u64,
    /// Messages refused.
    pub refused: u64,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            events: broadcast::channel(EVENTS_CAPACITY).0,
            messages: broadcast::channel(EVENTS_CAPACITY).0,
        }
    }

    pub(super) fn row(&self, news: &News) {
        let row = &news.row;
        let shown = json!({
            "repo": row.repo.as_deref().unwrap_or(&news.repo),
            "tag": row.tag,
            "trigger": row.trigger,
            "service": row.service,
            "namespace": row.namespace,
            "cluster": row.cluster_id,
            "region": row.cluster_region.map(|number| {
                region_name(number).map_or_else(|| number.to_string(), str::to_owned)
            }),
            "code": row.return_code,
            "message": row.return_msg.as_deref().map(|text| clipped(text, 400)),
            "time": LogTime(row.wall_time).to_string(),
        });
        let mut inner = self.lock();
        inner.published += u64::from(!news.revised);
        let event = inner.event(json!({"kind": "row", "id": news.id, "row": shown}));
        inner.keep(|inner| &mut inner.rows, ROWS_KEPT, &event);
        self.tell(event);
    }

    pub(super) fn message(&self, message: WallMessage) {
        let mut inner = self.lock();
        match message.refusal {
            None => inner.accepted += 1,
            Some(_) => inner.refused += 1,
        }
        let event = inner.event(json!({
            "kind": "message",
            "channel": message.channel.name(),
            "at": message.at.to_string(),
            "refusal": message.refusal,
            "payload": *message.payload,
            "place": message.place,
        }));
        inner.keep(|inner| &mut inner.chats[message.channel as usize], MESSAGES_KEPT, &event);
        self.tell(event);
        let _ = self.messages.send(message);
    }

    /// Forgets all rows and messages, and has browsers do so too.
    pub(super) fn clear(&self) {
        let mut inner = self.lock();
        inner.rows.clear();
        inner.chats.iter_mut().for_each(VecDeque::clear);
        (inner.published, inner.accepted, inner.refused) = (0, 0, 0);
        inner.seq += 1;
        inner.forgotten = inner.seq;
        let seq = inner.seq;
        self.tell(Event { seq, json: "".into() });
    }

    pub(super) fn service(&self, counts: ServiceCounts) {
        let mut inner = self.lock();
        let event = inner.event(json!({"kind": "service", "service": counts}));
        inner.service = Some(event.clone());
        self.tell(event);
    }

    /// Everything remembered, oldest first: `{"seq": …, "events": […]}`.
    pub(super) fn snapshot(&self) -> String {
        let inner = self.lock();
        let events: Vec<&str> = inner.after(0).into_iter().map(|event| &*event.json).collect();
        format!(r#"{{"seq":{},"events":[{}]}}"#, inner.seq, events.join(","))
    }

    /// What came after a number, and what comes from now on; `None` for the past when some of it
    /// is forgotten.
    pub(super) fn follow(&self, after: u64) -> (Option<Vec<Event>>, broadcast::Receiver<Event>) {
        let inner = self.lock();
        let known = (inner.forgotten..=inner.seq).contains(&after);
        (known.then(|| inner.after(after).into_iter().cloned().collect()), self.events.subscribe())
    }

    pub(super) fn messages(&self) -> broadcast::Receiver<WallMessage> {
        self.messages.subscribe()
    }

    pub(super) fn counts(&self) -> WallCounts {
        let inner = self.lock();
        WallCounts { published: inner.published, accepted: inner.accepted, refused: inner.refused }
    }

    /// Called under the lock, so that browsers hear events in their order.
    fn tell(&self, event: Event) {
        // Nobody watching is no failure.
        let _ = self.events.send(event);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock leaves it half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn event(&mut self, mut value: Value) -> Event {
        self.seq += 1;
        value["seq"] = self.seq.into();
        value["counts"] = json!({
            "published": self.published, "accepted": self.accepted, "refused": self.refused,
        });
        Event { seq: self.seq, json: value.to_string().into() }
    }

    fn keep(
        &mut self,
        queue: impl FnOnce(&mut Self) -> &mut VecDeque<Event>,
        most: usize,
        event: &Event,
    ) {
        let queue = queue(self);
        queue.push_back(event.clone());
        if queue.len() > most
            && let Some(gone) = queue.pop_front()
        {
            self.forgotten = self.forgotten.max(gone.seq);
        }
    }

    fn after(&self, seq: u64) -> Vec<&Event> {
        let all = self.rows.iter().chain(self.chats.iter().flatten()).chain(&self.service);
        let mut events: Vec<_> = all.filter(|event| event.seq > seq).collect();
        events.sort_unstable_by_key(|event| event.seq);
        events
    }
}

/// A text cut to so many characters, visibly.
pub(super) fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
