//! What several subjects need: fakes of the far side and of the store, and the binary as a process.

pub(crate) mod command;
pub(crate) mod http;
pub(crate) mod memory;
pub(crate) mod outbox;
pub(crate) mod process;
pub(crate) mod python;
pub(crate) mod receiver;
pub(crate) mod running;
pub(crate) mod stand;
pub(crate) mod tls;
pub(crate) mod turned;
