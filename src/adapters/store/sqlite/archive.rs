//! The entries of a database, and what became of them, for who only reads and at any time.
//!
//! It takes no lock, writes nothing, creates nothing, and never reads for long at a time, so that a
//! service which has the file open goes on as if nobody looked; the file of one that has stopped can
//! be read too. Deliberately absent: the rest of what a store keeps, and migrations.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use crate::{
    domain::{entry::EntryId, notification::NotificationId},
    ports::{AttemptView, EntryView, NotificationView, StoreError, StoreErrorKind},
};

use super::{
    error::{Failure, Outcome, store_error},
    open, query,
};

/// Rows that one look takes in.
const AT_ONCE: i64 = 5_000;

/// When an entry was, and its place.
const TIMES: &str = "SELECT seq, json_extract(fields, '$.time') FROM entries WHERE seq > ?1
    ORDER BY seq LIMIT ?2";

/// The places of the newest entries.
const NEWEST: &str = "SELECT seq FROM entries ORDER BY seq DESC LIMIT ?1";

/// A database that is read beside whoever writes it.
pub struct Archive {
    conn: Connection,
    path: PathBuf,
}

impl Archive {
    /// Opens it. Blocks.
    ///
    /// # Errors
    /// There is none, or it is no database of ours, of a later version, or can't be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            let problem = "does not exist; a service that ran has one: look at `store.sqlite`, \
                           --data-dir and TRIGGERBELL_DATA";
            return Err(store_error(StoreErrorKind::Io, path, problem));
        }
        open::check_header(path)?;
        let conn = open::open_reader(path)?;
        open::check_owner(path, &conn)?;
        Ok(Self { conn, path: path.to_owned() })
    }

    /// The places of all entries at or after an instant, by their own time and, where that is the
    /// same, in the order in which they were decided. Blocks.
    ///
    /// # Errors
    /// It can't be read.
    pub fn places(&self, since: Option<Timestamp>) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        let mut places = Vec::new();
        let mut after = i64::MIN;
        loop {
            let some = self.some_places(after).map_err(|failure| failure.told(&self.path))?;
            let Some(&(_, last)) = some.last() else { break };
            after = last;
            let wanted = some.into_iter().filter(|(at, _)| since.is_none_or(|since| *at >= since));
            places.extend(wanted);
        }
        places.sort_unstable();
        Ok(places)
    }

    /// The places of the newest entries, at most `limit`, oldest first. Blocks.
    ///
    /// # Errors
    /// It can't be read.
    pub fn newest(&self, limit: usize) -> Result<Vec<i64>, StoreError> {
        let look = || -> Outcome<Vec<i64>> {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut find = self.conn.prepare_cached(NEWEST)?;
            let places = find.query_map([limit], |row| row.get(0))?;
            Ok(places.collect::<Result<_, _>>()?)
        };
        let mut places = look().map_err(|failure| failure.told(&self.path))?;
        places.reverse();
        Ok(places)
    }

    /// One entry, with the messages that tell of it. Blocks.
    ///
    /// # Errors
    /// It can't be read.
    pub fn entry(&self, id: EntryId) -> Result<Option<EntryView>, StoreError> {
        query::entry(&self.conn, id).map_err(|failure| failure.told(&self.path))
    }

    /// One message, with its attempts. Blocks.
    ///
    /// # Errors
    /// It can't be read.
    pub fn notification(
        &self,
        id: NotificationId,
    ) -> Result<Option<(NotificationView, Vec<AttemptView>)>, StoreError> {
        let found = query::notification(&self.conn, id);
        let found = found.map_err(|failure| failure.told(&self.path))?;
        Ok(found.map(|(message, _, attempts)| (message, attempts)))
    }

    fn some_places(&self, after: i64) -> Outcome<Vec<(Timestamp, i64)>> {
        let mut find = self.conn.prepare_cached(TIMES)?;
        let mut rows = find.query([after, AT_ONCE])?;
        let mut places = Vec::new();
        while let Some(row) = rows.next()? {
            let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            let at: Timestamp = text
                .parse()
                .map_err(|_| Failure::Unreadable(format!("the time {text:?} of an entry")))?;
            places.push((at, row.get(0)?));
        }
        Ok(places)
    }

    /// The entries at these places, in their order; those that are gone by now are left out. Blocks.
    ///
    /// # Errors
    /// It can't be read.
    pub fn entries(&self, places: &[i64]) -> Result<Vec<EntryView>, StoreError> {
        query::entries_at(&self.conn, places).map_err(|failure| failure.told(&self.path))
    }
}
