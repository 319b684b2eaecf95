//! Opening the file: for this process alone, checked, in the right mode and schema.
//!
//! Exclusive use is two locks of the operating system (`flock`), which the kernel drops with the
//! process, however that ends, so a kill leaves nothing to clean up; they hold against a second open
//! within the process too. One is on a file of its own beside the database, `PATH.lock`, and tells
//! two opens of one name apart before either touches the database. It is left behind: to delete it
//! would let two processes lock two different files of one name. The other is on the database
//! itself, whatever it is called: a hard link, or a `.lock` that somebody removed, leads to the same
//! one. It does not meddle with the locks of SQLite, which are of another kind on a local disk; but
//! to close any descriptor of the database drops those that this process has on it. So ours is
//! closed after all connections, and never where another store of this process may have the file.
//! Not used is SQLite's exclusive mode, because that would refuse our own readers.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::ports::{StoreError, StoreErrorKind};

use super::error::{Failure, Outcome, store_error};

/// Marks the file as ours: the letters T, B, e, l.
const APPLICATION_ID: i32 = 0x5442_656c;

/// The schema's steps; the file's `user_version` counts those that were taken.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_digests.sql"),
    include_str!("../migrations/0003_fallback.sql"),
    include_str!("../migrations/0004_threads.sql"),
    include_str!("../migrations/0005_alarms.sql"),
];

/// How long a statement waits for a lock that somebody's shell or backup holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// More than the statements of the adapter, so that each is prepared once.
const CACHED_STATEMENTS: usize = 96;

/// Twice the usual: a payload is rarely more than a page, a batch writes half as many of them, and
/// each has a cost of its own. Twice more gained nothing. Binds when the file is begun.
const PAGE: &str = "PRAGMA page_size = 8192";

/// The writer's connection: a page cache of 8 MiB, and a log that is cut back to 32 MiB after a
/// burst. When it is copied back: [`super::checkpoint`].
const WRITER: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = OFF;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8192;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 33554432;
    PRAGMA trusted_schema = OFF;
";

const READER: &str = "
    PRAGMA query_only = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -1024;
    PRAGMA trusted_schema = OFF;
";

const CHECKPOINTER: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 33554432;
    PRAGMA cache_size = -256;
    PRAGMA trusted_schema = OFF;
";

/// The writer's connection, and the lock that makes it the only one. Dropped in this order.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) lock: Lock,
}

/// What makes a database ours alone until it is dropped: the file beside it, and the file itself.
pub(super) struct Lock {
    _beside: File,
    itself: File,
    /// The database's own path, whatever links lead to it.
    path: PathBuf,
}

impl Lock {
    /// Whether the database and its log still lie where they are looked for after a crash. SQLite
    /// writes on into files that were removed or replaced, and nothing fails until the next start.
    ///
    /// # Errors
    /// Which does not.
    pub(super) fn in_place(&self) -> Outcome<()> {
        let gone = |path: &Path| Err(Failure::Gone(path.display().to_string()));
        if !same_file(&self.itself, &self.path) {
            return gone(&self.path);
        }
        // It is there for as long as anybody has the database open.
        let log = beside(&self.path, "-wal");
        match log.try_exists() {
            Ok(false) => gone(&log),
            // What can't be looked at is none of the things that are told here.
            Ok(true) | Err(_) => Ok(()),
        }
    }
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        (_, Err(error)) => error.kind() != ErrorKind::NotFound,
        (Err(_), Ok(_)) => true,
    }
}

#[cfg(not(unix))]
fn same_file(_: &File, path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Opens the file for this process alone, begun where there is none, migrated where it is older.
pub(super) fn open_writer(path: &Path, max_pages: Option<u32>) -> Result<Opened, StoreError> {
    let lock = take_lock(path)?;
    check_header(path)?;
    let conn = prepare(path, max_pages).map_err(|failure| failure.told(path))?;
    check_owner(path, &conn)?;
    migrate(&conn).map_err(|failure| failure.told(path))?;
    Ok(Opened { conn, lock })
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> Outcome<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        common(&conn)?;
        conn.execute_batch(READER)?;
        Ok(conn)
    };
    open().map_err(|failure| failure.told(path))
}

/// Opens a connection that copies the log back.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> Outcome<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        common(&conn)?;
        conn.execute_batch(CHECKPOINTER)?;
        Ok(conn)
    };
    open().map_err(|failure| failure.told(path))
}

/// What all kinds of connection are set to.
fn common(conn: &Connection) -> Outcome<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // A plan that looked at a bound value is made anew for the next value: half of a settlement's
    // time, before this. Ours are the same whatever is bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A file that stands beside the database.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn take_lock(path: &Path) -> Result<Lock, StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let problem = format!(
            "can't be opened: there is no folder {}; create it, or mount a volume there",
            folder.display()
        );
        return Err(store_error(StoreErrorKind::Io, path, &problem));
    }
    if path.is_dir() {
        let problem = "is a folder; name a file in it";
        return Err(store_error(StoreErrorKind::Io, path, problem));
    }
    // A link and its target are one database, and one lock.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let lock_path = self::beside(path, ".lock");
    let cant = |error| cant_write(path, &lock_path, &error);
    let beside = private_file(&lock_path).map_err(cant)?;
    beside.try_lock().map_err(|error| not_locked(path, &lock_path, error))?;
    // Messages are nobody else's to read. SQLite gives its other files the mode of this one.
    let itself = private_file(path).map_err(|error| cant_write(path, path, &error))?;
    // Elsewhere a lock would keep SQLite out as well.
    if cfg!(unix)
        && let Err(error) = itself.try_lock()
    {
        // Left open on purpose, once for each such refusal: see the head.
        std::mem::forget(itself);
        return Err(not_locked(path, path, error));
    }
    Ok(Lock { _beside: beside, itself, path: path.clone() })
}

fn not_locked(path: &Path, file: &Path, error: TryLockError) -> StoreError {
    match error {
        TryLockError::WouldBlock => {
            let problem = "is in use by another triggerbell, by this name or another; stop that \
                           one, or give this one a store of its own";
            store_error(StoreErrorKind::Locked, path, problem)
        }
        TryLockError::Error(error) => cant_write(path, file, &error),
    }
}

/// Opens a file for writing, made for this user alone where there is none.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn cant_write(path: &Path, file: &Path, error: &io::Error) -> StoreError {
    let (kind, remedy) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (StoreErrorKind::Full, "make room on its disk")
        }
        ErrorKind::Unsupported => {
            (StoreErrorKind::Io, "its file system has no locks; put the store on another")
        }
        _ => (StoreErrorKind::Io, "give this user the right to write the file and its folder"),
    };
    let problem = format!("can't be opened: {}: {error}; {remedy}", file.display());
    store_error(kind, path, &problem)
}

/// Refuses what is plainly no database before SQLite touches it.
pub(super) fn check_header(path: &Path) -> Result<(), StoreError> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut head = Vec::with_capacity(MAGIC.len());
    File::open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head))
        .map_err(|error| cant_write(path, path, &error))?;
    if head.is_empty() || head == MAGIC {
        return Ok(());
    }
    let problem = "is no SQLite database; name another file, or move this one away";
    Err(store_error(StoreErrorKind::Damaged, path, problem))
}

fn prepare(path: &Path, max_pages: Option<u32>) -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    common(&conn)?;
    conn.execute_batch(PAGE)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::Sql(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
            Some("the file system can't hold a write-ahead log".to_owned()),
        )));
    }
    conn.execute_batch(WRITER)?;
    if let Some(pages) = max_pages {
        conn.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?;
    }
    Ok(conn)
}

/// Refuses another program's database, and one of a later version of this program.
pub(super) fn check_owner(path: &Path, conn: &Connection) -> Result<(), StoreError> {
    let ask = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let look = || -> Outcome<(i64, i64, i64)> {
        Ok((
            ask("PRAGMA application_id")?,
            ask("PRAGMA user_version")?,
            ask("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    let (owner, version, things) = look().map_err(|failure| failure.told(path))?;
    if things > 0 && owner != i64::from(APPLICATION_ID) {
        let problem = "is another program's database; name another file";
        return Err(store_error(StoreErrorKind::Damaged, path, problem));
    }
    if version > MIGRATIONS.len() as i64 {
        let problem = format!(
            "was written by a later triggerbell (schema {version}, this one knows {}); run that \
             version, or restore a backup",
            MIGRATIONS.len()
        );
        return Err(store_error(StoreErrorKind::Damaged, path, &problem));
    }
    Ok(())
}

/// Takes the steps that the file has not seen, each in a transaction of its own.
fn migrate(conn: &Connection) -> Outcome<()> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let taken = usize::try_from(version)
        .map_err(|_| Failure::Unreadable(format!("schema version {version}")))?;
    for (index, step) in MIGRATIONS.iter().enumerate().skip(taken) {
        let transaction = conn.unchecked_transaction()?;
        transaction.execute_batch(step)?;
        transaction.execute_batch(&format!(
            "PRAGMA user_version = {}; PRAGMA application_id = {APPLICATION_ID}",
            index + 1
        ))?;
        transaction.commit()?;
    }
    Ok(())
}
