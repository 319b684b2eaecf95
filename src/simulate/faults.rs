//! What a stand-in registry can do wrong, each with a probability.
//!
//! One table, [`FAULTS`], is what `--help` prints, what `--fault` parses and what tests walk.
//! Deliberately absent: how a fault is done, which is the registry's and the feed's.

use std::{collections::VecDeque, str::FromStr};

macro_rules! faults {
    ($($variant:ident $name:literal $what:literal,)*) => {
        /// A way to fail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $what] $variant,)*
        }

        /// Every fault, its name, and what it does.
        pub const FAULTS: &[(Fault, &str, &str)] = &[$((Fault::$variant, $name, $what),)*];
    };
}

faults! {
    Error500 "error500" "answers HTTP 500 with a line of text",
    Html "html" "answers 200 with a gateway's HTML page",
    Truncated "truncated" "cuts the JSON of an answer in half",
    Garbled "garbled" "puts bytes that are not UTF-8 into the answer",
    Huge "huge" "answers with 10 MB of blanks before the JSON",
    Slow "slow" "answers after 20 seconds",
    Hangup "hangup" "closes the connection in the middle of the answer",
    Throttle "throttle" "refuses as over quota (4400, `RequestLimitExceeded`)",
    Auth "auth" "refuses the credentials (4100, `AuthFailure.SignatureFailure`)",
    Clock "clock" "refuses the request's time (4500, `AuthFailure.SignatureExpire`)",
    Retired "retired" "refuses as if the API were retired (4300, `ActionOffline`)",
    Shuffle "shuffle" "gives the rows of one second in another order at each request",
    Total "total" "lies about how many rows there are",
    Loose "loose" "writes numbers as text, empty objects as [], and the total one floor up",
    Skew "skew" "sends a Date ten minutes ahead",
    Late "late" "publishes a new row up to 30 seconds late, under its true time",
    Expire "expire" "lets the ten oldest rows of the repository expire before it answers",
}

impl Fault {
    /// The name in `--fault NAME=P`.
    pub fn name(self) -> &'static str {
        FAULTS[self as usize].1
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Which faults happen, how often.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    chances: [f64; FAULTS.len()],
    next: VecDeque<Fault>,
}

/// The faults that one request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drawn(u32);

impl Faults {
    /// No faults but these, each with its probability from 0 to 1.
    pub fn of(chances: impl IntoIterator<Item = (Fault, f64)>) -> Self {
        let mut faults = Self::default();
        for (fault, chance) in chances {
            faults.set(fault, chance);
        }
        faults
    }

    /// Sets the probability of a fault, from 0 (never) to 1 (always).
    pub fn set(&mut self, fault: Fault, chance: f64) {
        self.chances[fault as usize] = chance.clamp(0.0, 1.0);
    }

    /// Makes the next request meet this fault and no other; several calls queue up.
    pub fn once(&mut self, fault: Fault) {
        self.next.push_back(fault);
    }

    /// Throws the dice for one request. [`Fault::Late`] befalls rows, not requests: it is the feed's.
    pub fn draw(&mut self, rng: &mut fastrand::Rng) -> Drawn {
        if let Some(fault) = self.next.pop_front() {
            return Drawn(fault.bit());
        }
        let met = FAULTS.iter().filter(|(fault, ..)| {
            *fault != Fault::Late && self.chances[*fault as usize] > rng.f64()
        });
        Drawn(met.fold(0, |bits, (fault, ..)| bits | fault.bit()))
    }

    /// The probability of a fault.
    pub fn chance(&self, fault: Fault) -> f64 {
        self.chances[fault as usize]
    }
}

impl Drawn {
    /// Whether the request meets this fault.
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & fault.bit() != 0
    }

    /// Whether it meets any.
    pub const fn any(self) -> bool {
        self.0 != 0
    }
}

/// `NAME=P` as written on the command line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultChance(pub Fault, pub f64);

/// A `NAME=P` that can't be understood: what is wrong and what is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultError(String);

impl FromStr for FaultChance {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let Some((name, chance)) = text.split_once('=') else {
            return Err(FaultError(format!("write NAME=P, for example {text}=0.1")));
        };
        let Some((fault, ..)) = FAULTS.iter().find(|(_, known, _)| *known == name) else {
            let known: Vec<_> = FAULTS.iter().map(|(_, known, _)| *known).collect();
            let known = known.join(", ");
            return Err(FaultError(format!("there is no fault `{name}`; known: {known}")));
        };
        match chance.parse::<f64>() {
            Ok(chance) if (0.0..=1.0).contains(&chance) => Ok(Self(*fault, chance)),
            _ => Err(FaultError(format!("`{chance}` is not a probability from 0 to 1"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_faults_and_its_names_parse() {
        for (place, (fault, name, _)) in FAULTS.iter().enumerate() {
            assert_eq!(*fault as usize, place);
            assert_eq!(fault.name(), *name);
            assert_eq!(format!("{name}=0.5").parse(), Ok(FaultChance(*fault, 0.5)));
        }
    }

    #[test]
    fn what_is_not_a_chance_is_refused_with_a_remedy() {
        for (text, said) in [
            ("slow", "NAME=P"),
            ("slwo=0.1", "there is no fault `slwo`; known: error500, html"),
            ("slow=2", "not a probability"),
            ("slow=NaN", "not a probability"),
        ] {
            let error = text.parse::<FaultChance>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_queued_fault_comes_alone_and_once() {
        let mut faults = Faults::of([(Fault::Slow, 1.0)]);
        let mut rng = fastrand::Rng::with_seed(1);
        faults.once(Fault::Html);
        let first = faults.draw(&mut rng);
        assert!(first.has(Fault::Html) && !first.has(Fault::Slow));
        let second = faults.draw(&mut rng);
        assert!(second.has(Fault::Slow) && !second.has(Fault::Html));
    }
}
