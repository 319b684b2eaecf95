//! The loops: taking entries in, delivering notifications, keeping house.
//!
//! Deliberately absent: SQL, HTTP, files and the system clock; the engine sees the world only
//! through `ports`. Each loop is short and does one `step` at a time; steps are what is tested.

pub mod alarm;
pub mod board;
pub mod cursor;
pub mod decider;
pub mod delivery;
pub mod digest;
pub mod fallback;
pub mod intake;
pub mod teller;
pub mod upkeep;
pub mod wake;
pub mod watch;
