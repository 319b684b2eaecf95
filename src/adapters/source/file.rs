//! A file, or standard input, read as if it were a registry's log.
//!
//! It is read whole, and again when its length or its time of change has changed; what is read is
//! presented newest first, page by page. Deliberately absent: what the text may hold (`lines`), and
//! any watching.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::Mutex;

use super::{
    lines::{Entries, oldest_first, read_entries},
    source_error, wall_time,
};
use crate::{
    domain::entry::WallTime,
    ports::{Page, PageRequest, Source, SourceError, SourceErrorKind as Kind},
};

/// The most that is read of a file.
const FILE_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

/// Rows on one page: nothing is saved by small ones, and the cursor keeps at least a page.
const FILE_PAGE_LIMIT: u32 = 500;

/// The most repositories of which is remembered that they are not in the file.
const MAX_MISSED: usize = 1_000;

/// What a `file` source reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileInput {
    /// A file.
    Path(PathBuf),
    /// Standard input, read once, to its end.
    Stdin,
}

impl FileInput {
    /// What a person wrote: `-` is standard input.
    pub fn of(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::Path(PathBuf::from(text)) }
    }

    /// Reads it whole. Blocks.
    ///
    /// # Errors
    /// It can't be read, or is larger than 256 MiB.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Path(path) => read_bounded(File::open(path)?, FILE_LIMIT_BYTES),
            Self::Stdin => read_bounded(io::stdin().lock(), FILE_LIMIT_BYTES),
        }
    }
}

fn read_bounded(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let length = from.take(limit + 1).read_to_end(&mut content)?;
    if length as u64 > limit {
        let what = format!("it is larger than {} MiB; split it", limit / (1024 * 1024));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(content)
}

/// What a `file` source is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// Where the log stands.
    pub input: FileInput,
}

/// A source that reads a file.
///
/// Asked for the repository `*` (or an empty name) it gives every row; asked for another, the
/// rows of that repository and those that name none.
pub struct FileSource {
    input: FileInput,
    zone: TimeZone,
    last: Mutex<Option<Content>>,
}

/// A file's length and time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    len: u64,
    changed: Option<SystemTime>,
}

/// What was read last.
struct Content {
    /// Absent for standard input, which does not change any more.
    stamp: Option<Stamp>,
    /// The rows newest first, and what was rejected.
    entries: Arc<Entries>,
    /// Repositories that were asked for and have no row here, as far as they were told of.
    missed: BTreeSet<String>,
}

impl FileSource {
    /// A source whose naive timestamps are in `zone`.
    pub fn new(settings: FileSettings, zone: TimeZone) -> Self {
        Self { input: settings.input, zone, last: Mutex::new(None) }
    }

    /// The file's present content.
    async fn entries(&self, repo: &str) -> Result<Arc<Entries>, SourceError> {
        // Held while reading, so that many repositories read a changed file once.
        let mut last = self.last.lock().await;
        let (input, zone) = (self.input.clone(), self.zone.clone());
        let known = last.as_ref().map(|content| content.stamp);
        let read = tokio::task::spawn_blocking(move || read_changed(&input, &zone, known));
        let fresh = match read.await {
            Ok(Ok(fresh)) => fresh,
            Ok(Err(error)) => return Err(self.unreadable(&error, known.is_some())),
            Err(_) => {
                return Err(self.unreadable(&io::Error::other("the reader stopped"), false));
            }
        };
        if let Some((stamp, entries)) = fresh {
            let entries = Arc::new(entries);
            *last = Some(Content { stamp, entries, missed: BTreeSet::new() });
        }
        let Some(content) = last.as_mut() else { return Ok(Arc::default()) };
        self.tell_of_missing(content, repo);
        Ok(Arc::clone(&content.entries))
    }

    /// Says once, for each content of the file, that it has no row of a repository asked for.
    fn tell_of_missing(&self, content: &mut Content, repo: &str) {
        let rows = &content.entries.rows;
        let missing = !rows.is_empty() && !rows.iter().any(|row| is_of(row.repo.as_deref(), repo));
        let remembered = content.missed.len() < MAX_MISSED;
        if missing && remembered && content.missed.insert(repo.to_owned()) {
            tracing::warn!(
                source.file = %self.shown(),
                source.repo = repo,
                rows = rows.len(),
                "The file has rows, but none of the repository asked for; ask for * to have all."
            );
        }
    }

    /// A file that was read before and is not there is likely being put in place anew.
    fn unreadable(&self, error: &io::Error, was_read: bool) -> SourceError {
        let kind = match error.kind() {
            io::ErrorKind::NotFound if was_read => Kind::Unavailable,
            io::ErrorKind::FileTooLarge
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied => Kind::Configuration,
            _ => Kind::Unavailable,
        };
        source_error(kind, format!("{} can't be read: {error}", self.shown()))
    }

    fn shown(&self) -> String {
        match &self.input {
            FileInput::Path(path) => path.display().to_string(),
            FileInput::Stdin => "standard input".to_owned(),
        }
    }
}

/// Whether a row is of the repository asked for.
fn is_of(row_repo: Option<&str>, asked: &str) -> bool {
    matches!(asked, "" | "*") || row_repo.is_none_or(|repo| repo == asked)
}

type Fresh = Option<(Option<Stamp>, Entries)>;

/// Reads the input, unless it is what is known already.
fn read_changed(
    input: &FileInput,
    zone: &TimeZone,
    known: Option<Option<Stamp>>,
) -> io::Result<Fresh> {
    let stamp = match input {
        FileInput::Path(path) => Some(stamp_of(path)?),
        FileInput::Stdin => None,
    };
    if known == Some(stamp) {
        return Ok(None);
    }
    let mut entries = read_entries(&input.read()?, zone, None);
    oldest_first(&mut entries.rows, |row| row.wall_time);
    entries.rows.reverse();
    Ok(Some((stamp, entries)))
}

fn stamp_of(path: &Path) -> io::Result<Stamp> {
    let meta = std::fs::metadata(path)?;
    Ok(Stamp { len: meta.len(), changed: meta.modified().ok() })
}

#[async_trait]
impl Source for FileSource {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn page_limit(&self) -> u32 {
        FILE_PAGE_LIMIT
    }

    fn wall_time(&self, at: Timestamp) -> WallTime {
        wall_time(&self.zone, at)
    }

    /// The rejected pieces come with the first page and take no offsets.
    async fn page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let entries = self.entries(request.repo).await?;
        let asked = || entries.rows.iter().filter(|r| is_of(r.repo.as_deref(), request.repo));
        let skip = usize::try_from(request.offset).unwrap_or(usize::MAX);
        let take = request.limit.clamp(1, FILE_PAGE_LIMIT) as usize;
        let rows: Vec<_> = asked().skip(skip).take(take).cloned().collect();
        let first = request.offset == 0;
        Ok(Page {
            len: u32::try_from(rows.len()).unwrap_or(u32::MAX),
            rows,
            total: Some(asked().count() as u64),
            rejected: if first { entries.rejected.clone() } else { Vec::new() },
            ..Page::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_limit_is_an_error_that_names_it() {
        assert_eq!(read_bounded(&b"1234"[..], 4).unwrap(), b"1234");
        let error = read_bounded(io::repeat(b' '), 2 * 1024 * 1024).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 2 MiB; split it");
    }
}
