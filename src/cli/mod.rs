//! The command line (design 2.4): one file a command, one list of them here.
//!
//! Deliberately absent: anything that another program could want; that lies in the library's other
//! floors.

pub mod check;
pub mod client;
pub mod deliveries;
pub mod exit;
pub mod healthcheck;
pub mod simulate;
pub mod status;
pub mod table;

/// How a command prints data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Printed {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}
