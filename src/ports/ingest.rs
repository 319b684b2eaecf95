//! Events that a registry tells of by itself, instead of being asked.

use async_trait::async_trait;

use crate::domain::entry::Row;

use super::{Rejected, StoreError};

/// A registry that calls us when something happens.
pub trait PushSource: Send + Sync + 'static {
    /// The type as configured.
    fn kind(&self) -> &'static str;

    /// The header that carries the secret.
    fn header(&self) -> &str;

    /// Whether a header's value is the secret; takes the same time whatever is wrong with it.
    fn admits(&self, given: &[u8]) -> bool;

    /// The rows that a body tells of, at least one.
    ///
    /// # Errors
    /// It can't be understood; it is to be kept.
    fn rows(&self, body: &str) -> Result<Vec<Row>, Rejected>;
}

/// What the API may have taken in of what a registry sends.
#[async_trait]
pub trait Ingest: Send + Sync + 'static {
    /// The header that carries the secret of a source; `None` where it takes no pushes.
    fn header(&self, source: &str) -> Option<String>;

    /// Whether a source takes what comes with that value of its header. What is not admitted is
    /// counted.
    fn admits(&self, source: &str, given: Option<&[u8]>) -> bool;

    /// Notes that something of a source was not read, and why, in a word.
    fn refused(&self, source: &str, why: &'static str);

    /// Takes an event in: when this returns `Ok` it is on the disk, with all that it causes.
    ///
    /// # Errors
    /// See [`IngestError`].
    async fn take(&self, source: &str, body: String) -> Result<Ingested, IngestError>;
}

/// What came of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Entries that were taken in.
    pub taken: usize,
    /// Those that were there already, since the event was told of before.
    pub known: usize,
}

/// Why an event was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// It can't be understood; it is kept for inspection.
    #[error("{0}")]
    NotUnderstood(String),
    /// More comes than can be put down, or the service stops.
    #[error("more events come than can be put down now; send it again")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
