//! The binary: arguments, runtime, exit code. Everything else is in the library.

fn main() {}
