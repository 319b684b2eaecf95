//! The wall clock. Waiting is tokio's, which tests can pause; the instant is ours.

use jiff::Timestamp;

/// Says what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}
