//! The windows of known rows, kept in memory between polls, so that a poll that brings one row does
//! not read thousands from the store.
//!
//! A window is taken out while its repository is walked and put back only when the walk's move was
//! committed; whatever fails leaves none, and the next walk reads it from the store again.
//! Deliberately absent: the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::engine::cursor::Window;

/// Distinct rows kept over all repositories of a source, some 10 MB of them.
const MAX_ROWS: usize = 100_000;

/// The windows of a source's repositories.
#[derive(Debug, Default)]
pub(super) struct Windows {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    windows: HashMap<Arc<str>, Window>,
    rows: usize,
}

impl Windows {
    /// Takes a repository's window out, where it is kept.
    pub(super) fn take(&self, repo: &str) -> Option<Window> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let window = kept.windows.remove(repo)?;
        kept.rows -= window.len();
        Some(window)
    }

    /// Keeps a window that is as the store has it, where there is room.
    pub(super) fn put(&self, repo: &Arc<str>, window: Window) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.rows + window.len() > MAX_ROWS {
            return;
        }
        kept.rows += window.len();
        if let Some(old) = kept.windows.insert(repo.clone(), window) {
            kept.rows -= old.len();
        }
    }
}
