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

/// How long this thread has run, whatever else the machine does.
pub(crate) fn thread_time() -> std::time::Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = stat.split_whitespace().next().unwrap().parse().unwrap();
    std::time::Duration::from_nanos(nanoseconds)
}
