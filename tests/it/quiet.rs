//! Quiet by design: what people get, and what is held and why, decided as the service decides.
//!
//! Rules are read from files by the configuration's front door; entries, ticks, restarts and reloads
//! go through `decide`. Time is the test's own.

mod asked_later;
mod burst;
mod comparison;
mod day;
mod expectations;
mod folding;
mod holds;
mod incidents;
mod intervals;
mod owed;
mod pushed;
mod rehearsal;
mod resent;
mod restart;
mod silences;
mod stage;
mod threads;
mod turned;
