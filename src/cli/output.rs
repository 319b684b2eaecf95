//! Writing for whoever reads: a terminal, a file, or a pipe whose other end may have gone.
//!
//! `println!` panics when nobody reads any more; here that ends a command quietly, since whoever
//! read has seen enough. Deliberately absent: the log, which is `telemetry`'s.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use super::exit::{Exit, Failure};

/// Writes text to standard output as it is.
///
/// # Errors
/// It can't be written; when nobody reads any more, that is no error to speak of and ends the
/// command as done.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    write!(out, "{text}").and_then(|()| out.flush()).map_err(failed)
}

/// Writes a line to standard output.
///
/// # Errors
/// As [`print()`].
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    print(format_args!("{text}\n"))
}

/// Writes to standard error, which there is nowhere to complain about.
pub(crate) fn note(text: impl Display) {
    // Nobody reads: then nobody misses it.
    let _ = write!(io::stderr().lock(), "{text}");
}

/// What a failure to write to standard output comes to.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
pub(crate) fn failed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Exit::Done, ""),
        _ => Failure::new(Exit::Unavailable, format!("could not write the output: {error}")),
    }
}
