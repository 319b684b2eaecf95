//! Opening a file to read it whole: a regular one, or a link to one.
//!
//! A named pipe, a device or a socket may never come to an end, or not even be opened, and whoever
//! reads it would wait for ever. Deliberately absent: how much is read.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Opens a regular file for reading. Links are followed.
///
/// # Errors
/// It can't be opened, or is of another kind, which the error's text names.
pub fn open(path: &Path) -> io::Result<File> {
    let meta = fs::metadata(path)?;
    // What is no file is not even opened: opening a pipe waits for who writes to it.
    if !meta.is_file() {
        if meta.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let kind = kind_of(meta.file_type());
        let why = format!("it is {kind}, not a regular file");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    File::open(path)
}

#[cfg(unix)]
fn kind_of(kind: fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind_of(_: fs::FileType) -> &'static str {
    "of another kind"
}
