//! What the loops show of themselves, for the status: written by them, read by the API.
//!
//! Deliberately absent: anything that a decision depends on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::{
    domain::{notification::NotificationState, outcome::OutcomeRecord, pace::Pace},
    ports::{ClosedLane, LaneStatus, NotificationView},
};

/// The lanes' boards. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct LaneBoards {
    lanes: Arc<Mutex<BTreeMap<Arc<str>, LaneStatus>>>,
}

/// One lane's board.
#[derive(Debug, Clone)]
pub struct LaneBoard {
    boards: LaneBoards,
    receiver: Arc<str>,
}

impl LaneBoards {
    /// The board of a receiver's lane.
    pub fn lane(&self, receiver: &Arc<str>) -> LaneBoard {
        let board = LaneBoard { boards: self.clone(), receiver: receiver.clone() };
        board.update(|_| {});
        board
    }

    /// Takes down the board of a receiver that is gone.
    pub fn remove(&self, receiver: &str) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(receiver);
    }

    /// Before when nothing goes to a receiver: its lane is closed, or was asked to wait.
    pub fn not_before(&self, receiver: &str) -> Option<Timestamp> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(receiver).and_then(|lane| lane.held_until.max(lane.next_probe_at))
    }

    /// What a message that is to be sent waits for, in a sentence; `None` where that is only the time of
    /// its next attempt.
    pub fn waits_for(&self, message: &NotificationView, now: Timestamp) -> Option<String> {
        if message.state != NotificationState::Pending {
            return None;
        }
        let Some(due) = message.next_attempt_at else {
            return Some("an earlier message about the same thing goes first".to_owned());
        };
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (receiver, lane) = (&message.receiver, lanes.get(&*message.receiver)?);
        match (&lane.closed, lane.held_until, lane.pace) {
            (Some(closed), ..) => Some(format!("the lane of {receiver} is closed: {closed}")),
            (None, Some(until), _) if until > now => {
                Some(format!("{receiver} asked to wait until {until}"))
            }
            (None, _, Some(pace)) if due <= now => {
                Some(format!("its turn comes as the pace of {receiver} allows, {pace}"))
            }
            _ => None,
        }
    }

    /// All of them, without what only the store knows.
    pub fn read(&self) -> BTreeMap<Arc<str>, LaneStatus> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl LaneBoard {
    /// Notes an attempt.
    pub fn attempted(&self, outcome: &OutcomeRecord) {
        self.update(|status| {
            status.attempts += 1;
            if outcome.class == "delivered" {
                status.delivered += 1;
                status.last_error = None;
            } else {
                status.last_error = Some(outcome.detail.clone());
            }
        });
    }

    /// Notes how the lane stands.
    pub fn lane(
        &self,
        kind: &'static str,
        closed: Option<&ClosedLane>,
        held_until: Option<Timestamp>,
        pace: Option<Pace>,
    ) {
        self.update(|status| {
            status.kind = kind;
            status.closed = closed.map(|closed| closed.detail.clone());
            status.next_probe_at = closed.map(|closed| closed.next_probe_at);
            status.held_until = held_until;
            status.pace = pace;
        });
    }

    fn update(&self, change: impl FnOnce(&mut LaneStatus)) {
        let mut lanes = self.boards.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        change(lanes.entry(self.receiver.clone()).or_default());
    }
}
