//! What a command comes to: the exit codes of design 2.4 and the errors that lead to them.

use std::{fmt, process::ExitCode};

use crate::ports::{SourceErrorKind, StoreError, StoreErrorKind};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The answer is no: a test failed, a difference, not ready, a refusal.
    No = 1,
    /// The command line was wrong.
    Usage = 2,
    /// Something can't be reached, is locked, or is full.
    Unavailable = 69,
    /// Our bug.
    Bug = 70,
    /// A broken file or refused credentials.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked: a sentence for standard error and an exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Cause and remedy; empty where everything has been said already.
    pub message: String,
}

impl Failure {
    /// A failure with that exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.kind {
            StoreErrorKind::Bug => Exit::Bug,
            StoreErrorKind::Damaged => Exit::Config,
            _ => Exit::Unavailable,
        };
        Self::new(exit, error.message)
    }
}

/// The exit code of a source that could not be read.
pub fn of_source(kind: SourceErrorKind) -> Exit {
    match kind {
        SourceErrorKind::Throttled | SourceErrorKind::Unavailable => Exit::Unavailable,
        SourceErrorKind::Credentials
        | SourceErrorKind::Clock
        | SourceErrorKind::Retired
        | SourceErrorKind::Repository
        | SourceErrorKind::Configuration => Exit::Config,
    }
}
