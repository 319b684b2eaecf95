//! What the program knows and how it decides, with nothing of the world in it.
//!
//! Everything here is a value or a pure function over values. Deliberately absent: clocks (an
//! instant is always a parameter), IO, the environment, randomness, async, and any module of ours.
//! The words are those of the field: see "Words" in ARCHITECTURE.md.

pub mod entry;
pub mod field;

pub mod cel;
pub mod clause;
pub mod expression;
mod glob;
pub mod lint;
mod lookup;
mod matcher;
pub mod nearness;
pub mod quiet;
pub mod rule;
pub mod verdict;
mod wording;

pub mod comparison;
pub mod decision;
pub mod digest;
mod group;
pub mod held;
pub mod incident;
pub mod interval;
pub mod memory;
pub mod rehearsal;
mod seen;
pub mod silence;
pub mod storm;

pub mod lane_load;
pub mod late;
pub mod limit;
pub mod notification;
pub mod outcome;
pub mod pace;
pub mod retry;
