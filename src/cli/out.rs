//! Standard output, which its reader may close at any time.
//!
//! Deliberately absent: what long-running commands print, which go on without a reader.

use std::{
    fmt,
    io::{self, Write as _},
    process,
};

use super::exit::Exit;

/// Prints a line.
pub(super) fn line(line: fmt::Arguments<'_>) {
    text(format_args!("{line}\n"));
}

/// Prints a text as it is. Ends the process where nobody reads any more, or nothing can be written.
pub(super) fn text(text: fmt::Arguments<'_>) {
    let Err(error) = io::stdout().lock().write_fmt(text) else { return };
    let exit = match error.kind() {
        // Whoever read it has seen enough.
        io::ErrorKind::BrokenPipe => Exit::Done,
        _ => {
            eprintln!("error: could not write: {error}");
            Exit::Unavailable
        }
    };
    process::exit(exit as i32);
}
