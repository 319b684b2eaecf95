//! Sources: the registries whose trigger log is read, and files that hold such a log.
//!
//! A source asks for one page and makes rows of the answer ([`decode`]), or says in the port's
//! words why it can't. Deliberately absent: when to ask again, what is new (both the engine's),
//! and any state beyond the last content of a file.

mod ccr;
mod decode;
mod endpoint;
mod enterprise;
mod event;
mod exchange;
mod file;
mod lines;
mod listing;
mod paging;
mod push;
mod refusal;
mod row;
mod scalar;
pub mod signature;
mod tcr;
mod three;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    domain::entry::WallTime,
    ports::{SourceError, SourceErrorKind},
};

pub use ccr::{CcrMethod, CcrSettings, CcrSource};
pub use decode::{Refusal, Unread, decode_page};
pub use endpoint::{Endpoint, EndpointError};
pub use enterprise::{TcrEnterpriseSettings, TcrEnterpriseSource};
pub use file::{FileInput, FileSettings, FileSource};
pub use lines::{Entries, oldest_first, read_entries};
pub use push::{EnterprisePush, PushSettings};
pub use tcr::{TcrPersonalSettings, TcrPersonalSource};
pub use three::Account;

/// The zone of the log's timestamps, which carry none: what the service is thought to mean
/// (`trigger-log-api`, 1.3). A setting, since no document states it.
pub const DEFAULT_ZONE: &str = "Asia/Shanghai";

/// The most rows that either generation answers to one request.
const PAGE_LIMIT: u32 = 100;

/// What a clock in that zone shows at an instant, as seconds.
fn wall_time(zone: &TimeZone, at: Timestamp) -> WallTime {
    WallTime(at.as_second() + i64::from(zone.to_offset(at).seconds()))
}

/// An error with nothing but its kind and text.
fn source_error(kind: SourceErrorKind, message: impl Into<String>) -> SourceError {
    SourceError { kind, message: message.into(), code: None, retry_after: None, skew_s: None }
}

/// Text of others, made fit to stand in one line: control characters become spaces, and what is
/// beyond `limit` characters an ellipsis.
fn one_line(text: &str, limit: usize) -> String {
    let mut line: String =
        text.chars().take(limit).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        line.push('…');
    }
    line
}

/// The beginning of `text` that fits into `limit` bytes, cut between characters.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
