//! Recorded entries, by their own times, however many: of a file, of the database, of a source.
//!
//! A large file is looked through once for where each line lies and when its rows were, and read line
//! by line in the order of time; the database's entries likewise. A thread reads ahead while they are
//! decided. Deliberately absent: any decision.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    adapters::{
        source::{FileInput, oldest_first, read_entries},
        store::Archive,
    },
    cli::{
        exit::{Exit, Failure},
        output,
        table::printable,
    },
    domain::entry::{Entry, EntryId, Identity, Row},
};

/// The largest file that is read at once, whatever its form.
const WHOLE_BYTES: u64 = 16 * 1024 * 1024;

/// The longest line.
const LINE_BYTES: u64 = 64 * 1024 * 1024;

/// Entries that are handed on together, and how often that may wait.
const BATCH: usize = 1_000;
const BATCHES: usize = 8;

/// Rows that could not be understood and are told one by one.
const TOLD: usize = 5;

/// Recorded entries, ready to be read in the order of time.
pub(super) struct History {
    /// What was read, for people.
    pub(super) name: String,
    /// How many there are.
    pub(super) len: usize,
    /// When the first was.
    pub(super) start: Timestamp,
    /// When the last was.
    pub(super) end: Timestamp,
    /// Rows that could not be understood.
    pub(super) rejected: usize,
    reader: Box<dyn Reader>,
}

/// Gives entries in the order of time.
trait Reader: Send {
    /// The next; empty at the end.
    fn next(&mut self) -> Result<Vec<Arc<Entry>>, Failure>;
}

type Batches = mpsc::Receiver<Result<Vec<Arc<Entry>>, Failure>>;

impl History {
    /// Of a file, or of standard input.
    ///
    /// # Errors
    /// It can't be read, or nothing in it can be understood.
    pub(super) fn of_file(
        file: &str,
        source: &Arc<str>,
        zone: &TimeZone,
        since: Option<Timestamp>,
    ) -> Result<Self, Failure> {
        let name = if file == "-" { "standard input" } else { file };
        let broken = |error: io::Error| Failure::new(Exit::Config, format!("{name}: {error}"));
        if file != "-"
            && File::open(file).and_then(|it| it.metadata()).map_err(broken)?.len() > WHOLE_BYTES
        {
            let found = Lines::of(Path::new(file), zone, source, since).map_err(broken)?;
            if let Some((lines, times)) = found {
                return Ok(Self::new(name.to_owned(), times, 0, Box::new(lines)));
            }
        }
        let text = FileInput::of(file).read().map_err(broken)?;
        let read = read_entries(&text, zone, None);
        drop(text);
        for bad in read.rejected.iter().take(TOLD) {
            output::note(format_args!("warning: {name}: {}\n", printable(&bad.reason)));
        }
        if read.rows.is_empty() {
            return Err(Failure::new(Exit::Config, format!("{name}: holds no entry with a time")));
        }
        let rows = read.rows.into_iter().map(|row| (None, row)).collect();
        Ok(Self::of_rows(name.to_owned(), source, rows, since, read.rejected.len()))
    }

    /// Of rows in memory, each with the repository that was asked for.
    pub(super) fn of_rows(
        name: String,
        source: &Arc<str>,
        mut rows: Vec<(Option<Arc<str>>, Row)>,
        since: Option<Timestamp>,
        rejected: usize,
    ) -> Self {
        rows.retain(|(_, row)| since.is_none_or(|since| row.time >= since));
        oldest_first(&mut rows, |(_, row)| row.time);
        let times = (rows.len(), rows.first().map(|it| it.1.time), rows.last().map(|it| it.1.time));
        let reader = Rows { rows: rows.into_iter(), numbers: Numbers::new(source) };
        Self::new(name, times, rejected, Box::new(reader))
    }

    /// Of the database, beside a service that runs or not.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) fn of_store(path: &Path, since: Option<Timestamp>) -> Result<Self, Failure> {
        let archive = Archive::open(path)?;
        let places = archive.places(since)?;
        let times = (places.len(), places.first().map(|it| it.0), places.last().map(|it| it.0));
        let places = places.into_iter().map(|(_, place)| place).collect();
        let reader = Stored { archive, places, next: 0 };
        Ok(Self::new(path.display().to_string(), times, 0, Box::new(reader)))
    }

    fn new(
        name: String,
        (len, start, end): (usize, Option<Timestamp>, Option<Timestamp>),
        rejected: usize,
        reader: Box<dyn Reader>,
    ) -> Self {
        let start = start.unwrap_or(Timestamp::UNIX_EPOCH);
        Self { name, len, start, end: end.unwrap_or(start), rejected, reader }
    }

    /// Begins to read.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn begin(self) -> Result<Batches, Failure> {
        let (sender, batches) = mpsc::sync_channel(BATCHES);
        let mut reader = self.reader;
        let run = move || {
            loop {
                let batch = reader.next();
                let ended = batch.as_ref().map_or(true, Vec::is_empty);
                // Nobody listens any more: then there is nothing more to read.
                if sender.send(batch).is_err() || ended {
                    return;
                }
            }
        };
        thread::Builder::new().name("history".to_owned()).spawn(run).map_err(|error| {
            Failure::new(Exit::Unavailable, format!("no thread can be started: {error}"))
        })?;
        Ok(batches)
    }
}

/// Makes entries of rows: copies of one row are told apart by their number.
struct Numbers {
    source: Arc<str>,
    at: Timestamp,
    seen: HashMap<Identity, u32>,
    repos: BTreeMap<Box<str>, Arc<str>>,
}

impl Numbers {
    fn new(source: &Arc<str>) -> Self {
        let (seen, repos) = (HashMap::new(), BTreeMap::new());
        Self { source: source.clone(), at: Timestamp::MIN, seen, repos }
    }

    fn entry(&mut self, asked: Option<Arc<str>>, row: Row) -> Arc<Entry> {
        if row.time != self.at {
            self.at = row.time;
            self.seen.clear();
        }
        let identity = row.identity();
        let next = self.seen.entry(identity).or_default();
        let ordinal = *next;
        *next += 1;
        let asked_repo = asked.unwrap_or_else(|| self.repo(row.repo.as_deref().unwrap_or("*")));
        Arc::new(Entry {
            id: EntryId::of(&self.source, &asked_repo, identity, ordinal),
            identity,
            ordinal,
            revises: false,
            source: self.source.clone(),
            asked_repo,
            row,
        })
    }

    fn repo(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.repos.get(name) {
            return known.clone();
        }
        let repo: Arc<str> = name.into();
        self.repos.insert(name.into(), repo.clone());
        repo
    }
}

/// Rows in memory.
struct Rows {
    rows: std::vec::IntoIter<(Option<Arc<str>>, Row)>,
    numbers: Numbers,
}

impl Reader for Rows {
    fn next(&mut self) -> Result<Vec<Arc<Entry>>, Failure> {
        let some = self.rows.by_ref().take(BATCH);
        Ok(some.map(|(asked, row)| self.numbers.entry(asked, row)).collect())
    }
}

/// The database's entries.
struct Stored {
    archive: Archive,
    places: Vec<i64>,
    next: usize,
}

impl Reader for Stored {
    fn next(&mut self) -> Result<Vec<Arc<Entry>>, Failure> {
        // What retention took away meanwhile may have been all of a batch.
        while self.next < self.places.len() {
            let end = self.places.len().min(self.next + BATCH);
            let entries = self.archive.entries(&self.places[self.next..end])?;
            self.next = end;
            if !entries.is_empty() {
                return Ok(entries.into_iter().map(|found| Arc::new(found.entry)).collect());
            }
        }
        Ok(Vec::new())
    }
}

/// A row of a large file: when it was, the line that holds it, and which of that line's it is.
#[derive(Clone, Copy)]
struct Place {
    at: Timestamp,
    offset: u64,
    number: u32,
    len: u32,
}

/// A file of lines, each a value by itself, that is not kept in memory.
struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    zone: TimeZone,
    places: std::vec::IntoIter<Place>,
    numbers: Numbers,
    /// The rows of the line that was read last.
    last: (u64, Vec<Option<Row>>),
    line: Vec<u8>,
}

type Times = (usize, Option<Timestamp>, Option<Timestamp>);

impl Lines {
    /// Looks where the rows lie; `None` where a line is no value by itself.
    fn of(
        path: &Path,
        zone: &TimeZone,
        source: &Arc<str>,
        since: Option<Timestamp>,
    ) -> io::Result<Option<(Self, Times)>> {
        let mut file = BufReader::with_capacity(1024 * 1024, File::open(path)?);
        let (mut places, mut offset, mut line) = (Vec::new(), 0, Vec::new());
        loop {
            line.clear();
            let len = (&mut file).take(LINE_BYTES).read_until(b'\n', &mut line)?;
            if len == 0 {
                break;
            }
            let read = read_entries(&line, zone, None);
            if !read.rejected.is_empty() {
                return Ok(None);
            }
            // No line is longer than 64 MiB.
            let len32 = u32::try_from(len).unwrap_or(u32::MAX);
            for (number, row) in (0..).zip(&read.rows) {
                if since.is_none_or(|since| row.time >= since) {
                    places.push(Place { at: row.time, offset, number, len: len32 });
                }
            }
            offset += len as u64;
        }
        oldest_first(&mut places, |place: &Place| place.at);
        let times = (places.len(), places.first().map(|it| it.at), places.last().map(|it| it.at));
        file.seek(SeekFrom::Start(0))?;
        let lines = Self {
            path: path.to_owned(),
            file,
            offset: 0,
            zone: zone.clone(),
            places: places.into_iter(),
            numbers: Numbers::new(source),
            last: (u64::MAX, Vec::new()),
            line,
        };
        Ok(Some((lines, times)))
    }

    fn row(&mut self, place: Place) -> io::Result<Option<Row>> {
        if self.last.0 != place.offset {
            // Within what is buffered this costs nothing.
            let by = place.offset.cast_signed() - self.offset.cast_signed();
            self.file.seek_relative(by)?;
            self.line.resize(place.len as usize, 0);
            self.file.read_exact(&mut self.line)?;
            self.offset = place.offset + u64::from(place.len);
            let rows = read_entries(&self.line, &self.zone, None).rows;
            self.last = (place.offset, rows.into_iter().map(Some).collect());
        }
        Ok(self.last.1.get_mut(place.number as usize).and_then(Option::take))
    }
}

impl Reader for Lines {
    fn next(&mut self) -> Result<Vec<Arc<Entry>>, Failure> {
        let mut entries = Vec::with_capacity(BATCH);
        while entries.len() < BATCH {
            let Some(place) = self.places.next() else { break };
            let row = self.row(place).map_err(|error| {
                let path = self.path.display();
                Failure::new(
                    Exit::Unavailable,
                    format!("{path} changed while it was read: {error}"),
                )
            })?;
            entries.extend(row.map(|row| self.numbers.entry(None, row)));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(history: History) -> Vec<(String, u32)> {
        let batches = history.begin().unwrap().into_iter().map(Result::unwrap);
        batches.flatten().map(|it| (it.row.time.to_string(), it.ordinal)).collect()
    }

    #[test]
    fn a_large_file_is_read_line_by_line_in_the_order_of_time_as_a_small_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.json");
        let row = |minute: u32| {
            format!(r#"{{"repo":"a","tag":"t","time":"2026-03-02T01:{minute:02}:00Z"}}"#)
        };
        let mut lines = vec![format!("[{},{}]", row(50), row(30)), String::new()];
        lines.extend([40, 40, 20, 10, 45, 5].map(row));
        std::fs::write(&path, lines.join("\n")).unwrap();
        let (source, zone) = (Arc::from("shop"), TimeZone::UTC);
        let since = Some("2026-03-02T01:10:00Z".parse().unwrap());
        let (lines, found) = Lines::of(&path, &zone, &source, since).unwrap().unwrap();
        let by_line = times(History::new(String::new(), found, 0, Box::new(lines)));
        let whole = History::of_file(path.to_str().unwrap(), &source, &zone, since).unwrap();
        assert_eq!(by_line, times(whole));
        let minutes: Vec<_> = by_line.iter().map(|(at, number)| (&at[14..16], *number)).collect();
        let wanted = [("10", 0), ("20", 0), ("30", 0), ("40", 0), ("40", 1), ("45", 0), ("50", 0)];
        assert_eq!(minutes, wanted);
        std::fs::write(&path, "{\n\"repo\": \"a\",\n\"time\": \"2026-03-02T01:00:00Z\"}\n")
            .unwrap();
        assert!(Lines::of(&path, &zone, &source, None).unwrap().is_none(), "no lines of values");
    }
}
