//! Failures inside the adapter, and how they are told outside it: kind, cause, remedy and path.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::ports::{StoreError, StoreErrorKind};

/// A failure inside the adapter, before the path is added.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite's.
    Sql(Error),
    /// Something kept can't be read as what it was written as.
    Unreadable(String),
    /// A file was taken away from under us.
    Gone(String),
    /// Our bug.
    Bug(String),
}

/// What a request inside the adapter gives.
pub(super) type Outcome<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl Failure {
    /// The failure as the rest of the program sees it.
    pub(super) fn told(&self, path: &Path) -> StoreError {
        match self {
            Self::Sql(error) => tell_sql(path, error),
            Self::Unreadable(problem) => store_error(
                StoreErrorKind::Damaged,
                path,
                &format!("holds a record that can't be read ({problem}); restore a backup"),
            ),
            Self::Gone(name) => store_error(
                StoreErrorKind::Io,
                path,
                &format!(
                    "was taken away from under this triggerbell: {name} was removed or replaced, and \
                     what was put down since is lost when it ends; put the files right, start again"
                ),
            ),
            Self::Bug(problem) => store_error(
                StoreErrorKind::Bug,
                path,
                &format!("was used wrongly ({problem}); please report this"),
            ),
        }
    }
}

/// An error whose sentence begins with the path.
pub(super) fn store_error(kind: StoreErrorKind, path: &Path, problem: &str) -> StoreError {
    StoreError { kind, message: format!("{} {problem}", path.display()) }
}

/// What a closed store answers.
pub(super) fn closed(path: &Path) -> StoreError {
    store_error(StoreErrorKind::Closed, path, "was closed; start again to use it")
}

fn tell_sql(path: &Path, error: &Error) -> StoreError {
    let Some(inner) = error.sqlite_error() else {
        return store_error(
            StoreErrorKind::Bug,
            path,
            &format!("was asked something wrong ({error}); please report this"),
        );
    };
    let (kind, problem) = match inner.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
            StoreErrorKind::Locked,
            format!("is being written by another process ({error}); end that one"),
        ),
        ErrorCode::DiskFull => (StoreErrorKind::Full, full(error)),
        ErrorCode::SystemIoFailure if inner.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
            (StoreErrorKind::Full, full(error))
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => (
            StoreErrorKind::Damaged,
            format!(
                "is damaged or is no SQLite database ({error}); restore a backup, or move it away to begin a new one"
            ),
        ),
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly => (
            StoreErrorKind::Io,
            format!(
                "can't be opened for writing ({error}); give this user the right to write the file and its folder"
            ),
        ),
        ErrorCode::SystemIoFailure
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OutOfMemory => (
            StoreErrorKind::Io,
            format!(
                "can't be read or written ({error}); see to the disk and the file system it is on"
            ),
        ),
        _ => (
            StoreErrorKind::Bug,
            format!("was asked something wrong ({error}); please report this"),
        ),
    };
    store_error(kind, path, &problem)
}

fn full(error: &Error) -> String {
    format!("has no room to grow ({error}); make room on its disk, what was put down is safe")
}
