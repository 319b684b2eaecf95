//! A clock that is set back.

use std::{sync::Mutex, time::Duration};

use jiff::Timestamp;
use triggerbell::{adapters::clock::TokioClock, ports::Clock};

/// Tokio's time, by a clock that can be set back.
pub(crate) struct TurnedClock {
    clock: TokioClock,
    back: Mutex<Duration>,
}

impl TurnedClock {
    /// One that is right so far.
    pub(crate) fn of(clock: TokioClock) -> Self {
        Self { clock, back: Mutex::default() }
    }

    /// From now on it shows so much less than it should.
    pub(crate) fn set_back(&self, by: Duration) {
        *self.back.lock().unwrap() = by;
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> Timestamp {
        self.clock.now().checked_sub(*self.back.lock().unwrap()).unwrap()
    }
}
