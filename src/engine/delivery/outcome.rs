//! What an attempt means: for its row, for its lane, and for who watches.
//!
//! The step itself is decided by the pure `domain::retry::next_step`; here it is carried out.
//! Deliberately absent: when anything is sent or kept.

use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::{
    Lane,
    work::{Attempt, not_sent},
};
use crate::{
    domain::{
        outcome::{Class, Outcome, OutcomeRecord, Scope},
        retry::{NextStep, next_step},
    },
    ports::{AlarmKind, Delivery, Event, SettleAs, Settlement},
};

impl Lane {
    pub(super) fn absorb_attempt(&mut self, attempt: Attempt) {
        self.sending -= 1;
        let Attempt { delivery, outcome, started_at, ended_at, took } = attempt;
        self.gate.sent(ended_at);
        let jitter = fastrand::f64();
        let next = next_step(delivery.failures, delivery.plain, &outcome, ended_at, jitter);
        let record = OutcomeRecord::from(&outcome);
        self.observe(&delivery, &record, &next, ended_at, took);
        let becomes = self.follow(&delivery, &outcome, &next, ended_at);
        self.part_ended(&delivery, becomes, ended_at);
        self.unsettled.push(Settlement {
            seq: delivery.seq,
            receiver: delivery.receiver,
            key: delivery.key,
            attempt: delivery.attempt,
            started_at,
            ended_at,
            outcome: record,
            captured: outcome.captured,
            becomes,
        });
        self.show();
    }

    /// Does to the lane what the next step asks for, and says what becomes of the row.
    fn follow(
        &mut self,
        delivery: &Delivery,
        outcome: &Outcome,
        next: &NextStep,
        now: Timestamp,
    ) -> SettleAs {
        match *next {
            NextStep::Delivered => {
                self.reopen();
                SettleAs::Delivered
            }
            NextStep::RetryAt { at, plain, hold_lane, failed } => {
                if hold_lane {
                    self.gate.hold(at);
                    self.hand_back(now);
                }
                if self.gate.closed().is_some() {
                    self.close(&outcome.detail, now);
                }
                self.gate.look_sooner(at);
                SettleAs::Pending { at, plain, failed }
            }
            NextStep::Dead => {
                if outcome.class == Class::Permanent(Scope::Message) {
                    // The receiver judged the message, so it is there.
                    self.reopen();
                }
                self.bury(delivery, &outcome.detail, now);
                SettleAs::Dead
            }
            NextStep::CloseLane => {
                self.close(&outcome.detail, now);
                self.hand_back(now);
                // Due since it was decided, so that it stays the oldest and probes.
                SettleAs::Pending { at: delivery.created_at, plain: delivery.plain, failed: false }
            }
        }
    }

    /// Says that a message is given up.
    fn bury(&self, delivery: &Delivery, detail: &str, now: Timestamp) {
        let about = &self.settings.receiver;
        let message = format!(
            "a message to {about} was given up: {detail}; see `deliveries list --state dead`"
        );
        self.world.alarms.raise(AlarmKind::DeadLetter, about, &message, now);
        self.world.observer.observe(Event::Dead { receiver: &delivery.receiver });
    }

    /// Closes the lane, or puts the next probe of a closed one off.
    fn close(&mut self, detail: &str, now: Timestamp) {
        if let Some(since) = self.gate.close(detail, now) {
            self.raise_closed(detail, since);
        }
    }

    pub(super) fn raise_closed(&self, detail: &str, since: Timestamp) {
        let meanwhile = match &self.fallback {
            None => "its messages wait and are tried again by themselves".to_owned(),
            Some(fallback) => format!("its messages go to {} meanwhile", fallback.to),
        };
        let receiver = &self.settings.receiver;
        let message = format!("{receiver} refuses everything: {detail}; {meanwhile}");
        self.world.alarms.raise(AlarmKind::LaneClosed, &self.settings.receiver, &message, since);
    }

    /// Opens the lane where it is closed.
    fn reopen(&mut self) {
        if self.gate.reopen() {
            let now = self.world.clock.now();
            self.world.alarms.clear(AlarmKind::LaneClosed, &self.settings.receiver, now);
            info!(receiver.name = %self.settings.receiver, "the receiver takes messages again");
        }
    }

    /// Gives the rows that were claimed and not sent back to the store.
    pub(super) fn hand_back(&mut self, now: Timestamp) {
        self.keep_place(now);
        let reserved = self.forget_unreserved();
        self.gate.release(reserved);
        let returned = self.ready.drain(..).map(|delivery| Settlement {
            seq: delivery.seq,
            receiver: delivery.receiver,
            key: delivery.key,
            attempt: delivery.attempt,
            started_at: now,
            ended_at: now,
            outcome: OutcomeRecord::from(&not_sent()),
            captured: None,
            becomes: SettleAs::Returned,
        });
        self.unsettled.extend(returned);
        self.gate.look_now();
    }

    fn observe(
        &self,
        delivery: &Delivery,
        record: &OutcomeRecord,
        next: &NextStep,
        now: Timestamp,
        took: Duration,
    ) {
        let receiver = &*delivery.receiver;
        self.world.observer.observe(Event::Attempt { receiver, class: &record.class, took });
        self.board.attempted(record);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if *next == NextStep::Delivered {
            let after = now.duration_since(delivery.created_at).try_into().unwrap_or_default();
            self.world.observer.observe(Event::Delivered { receiver, after });
            debug!(
                receiver.name = receiver, notification.id = %delivery.id,
                attempt = delivery.attempt, duration_ms = took_ms, "delivered a message"
            );
            return;
        }
        let then = match next {
            NextStep::Delivered => "done",
            NextStep::RetryAt { .. } => "it will be tried again",
            NextStep::Dead => "it is a dead letter now",
            NextStep::CloseLane => "the lane is closed until the receiver takes messages again",
        };
        warn!(
            receiver.name = receiver, notification.id = %delivery.id, attempt = delivery.attempt,
            status = record.status, duration_ms = took_ms,
            "could not deliver a message: {}; {then}", record.detail
        );
    }
}
