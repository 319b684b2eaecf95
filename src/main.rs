//! The binary: arguments, runtime, exit code. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    triggerbell::cli::main()
}
