//! The entry that `send` and `render` tell of: a sample, or the last of a file.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    adapters::{
        source::{FileInput, read_entries},
        templates::{Sample, sample_entry},
    },
    domain::entry::Entry,
};

use super::{
    exit::{Exit, Failure},
    fetch::entry,
};

/// Every entry of a file, or a sample where none is named.
///
/// # Errors
/// The file can't be read, or holds no entry that can be understood.
pub(super) fn entries(
    file: Option<&str>,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Vec<Arc<Entry>>, Failure> {
    match file {
        Some(file) => entries_of(file, &"sample".into(), zone, now),
        None => Ok(vec![Arc::new(sample_entry(Sample::Failure))]),
    }
}

/// Every entry of a file, as if it came from that source.
///
/// # Errors
/// The file can't be read, or holds no entry that can be understood.
pub(super) fn entries_of(
    file: &str,
    source: &Arc<str>,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Vec<Arc<Entry>>, Failure> {
    let name = if file == "-" { "standard input" } else { file };
    let broken = |why: String| Failure::new(Exit::Config, format!("{name}: {why}"));
    let text = FileInput::of(file).read().map_err(|error| broken(error.to_string()))?;
    let read = read_entries(&text, zone, Some(now));
    if let Some(rejected) = read.rejected.first() {
        return Err(broken(rejected.reason.clone()));
    }
    if read.rows.is_empty() {
        return Err(broken("holds no entry".to_owned()));
    }
    let repo: Arc<str> = "sample".into();
    Ok(read.rows.into_iter().map(|row| Arc::new(entry(source, &repo, row))).collect())
}
