//! What happened, for whoever counts it. The engine says each thing once; nothing is read back.

use std::time::Duration;

use super::SourceErrorKind;

/// Counts what happens.
pub trait Observer: Send + Sync + 'static {
    /// Notes an event. Returns at once.
    fn observe(&self, event: Event<'_>);
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each event's sentence says what its fields are")]
pub enum Event<'a> {
    /// A page was asked for; `error` where it was not got.
    Request { source: &'a str, error: Option<SourceErrorKind>, took: Duration },
    /// A poll of a repository ended; with how many requests and fresh rows.
    Poll { source: &'a str, requests: u32, fresh: u64 },
    /// Entries were decided and committed.
    Entries { source: &'a str, count: u64 },
    /// Rows could not be understood.
    Rejected { source: &'a str, count: u64 },
    /// A registry sent something; `result` is `taken known rejected unauthorized too_large busy` or
    /// `failed`.
    Push { source: &'a str, result: &'a str },
    /// A walk met no known row where some were known.
    Gap { source: &'a str },
    /// A rule matched.
    Matched { rule: &'a str, count: u64 },
    /// Notifications were queued.
    Queued { receiver: &'a str, count: u64 },
    /// Notifications were decided and held.
    Held { by: &'a str, count: u64 },
    /// Waiting notifications were folded into a digest.
    Folded { receiver: &'a str, count: u64 },
    /// Waiting notifications were handed over to a receiver's fallback.
    FellBack { receiver: &'a str, count: u64 },
    /// A template failed and the plain message went instead.
    RenderFailed { receiver: &'a str },
    /// An attempt was made.
    Attempt { receiver: &'a str, class: &'a str, took: Duration },
    /// A notification arrived, this long after it was decided.
    Delivered { receiver: &'a str, after: Duration },
    /// A notification was given up.
    Dead { receiver: &'a str },
    /// A commit to the store took this long; `rows` counts requests that shared its sync.
    Commit { took: Duration, requests: u64 },
    /// A reload came to `loaded`, `refused` or `failed`.
    Reload { result: &'a str },
    /// An alarm began or ended.
    Alarm { kind: &'a str, firing: bool },
}
