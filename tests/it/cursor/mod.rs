//! The cursor takes every row exactly once, whatever the registry does while it is read.
//!
//! `registry` plays the registry's log, `ledger` plays the store, `schedules` plays them at random
//! against each other, `cases` are single things that go wrong in practice.

mod cases;
mod ledger;
mod registry;
mod schedules;
