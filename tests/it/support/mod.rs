//! What several subjects need: fakes of the far side and of the store, and the binary as a process.

#![expect(dead_code, reason = "the tests of bad days use the rest")]

pub(crate) mod outbox;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod stand;
