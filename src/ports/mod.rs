//! What the engine and the API need of the world, as traits, with the values that cross them and
//! their errors.
//!
//! Deliberately absent: any implementation (see `adapters`), SQL, HTTP and configuration.

mod admission;
mod clock;
mod control;
mod ingest;
mod notifier;
mod observer;
mod renderer;
mod source;
mod store;

pub use admission::Admission;
pub use clock::Clock;
pub use control::{
    Alarm, AlarmKind, Control, ControlError, DiscoveryStatus, Exchanged, IncidentStatus,
    IntervalStatus, LaneStatus, PushStatus, Readiness, ReloadRefused, ReloadStatus, Reloaded,
    RepoStatus, RetryText, RuleStatus, SilencePreview, SilenceStatus, SilenceText, SourceState,
    SourceStatus, Status,
};
pub use ingest::{Ingest, IngestError, Ingested, PushSource};
pub use notifier::{Delivery, Earlier, Notifier};
pub use observer::{Event, Observer};
pub use renderer::{Context, Part, Payload, PayloadFormat, RenderError, RenderRequest, Renderer};
pub use source::{
    Listed, Listing, ListingRequest, Page, PageRequest, Rejected, Source, SourceError,
    SourceErrorKind,
};
pub use store::{
    AlarmChange, AttemptView, Batch, Claim, ClosedLane, Compose, Cursor, CursorMove, DecidedEntry,
    Doubt, EntryQuery, EntryView, Fold, Folding, HandOver, HandedOver, Kept, Known, LaneRecord,
    List, NewNotification, NotificationQuery, NotificationView, OutboxCount, Recompose, Redirect,
    RejectedView, RepoKey, Retention, RetriedDead, RetryDead, RuleCount, SettleAs, Settlement,
    Store, StoreError, StoreErrorKind, Told, Unfinished,
};
