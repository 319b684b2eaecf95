//! `schema`: the JSON Schema of what people write, for their editors.
//!
//! Deliberately absent: the schemas (`config`).

use clap::{Args, ValueEnum};

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::config::Schema;

/// Which schema.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum, value_name = "WHAT")]
    pub of: Of,
}

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// triggerbell.yaml
    Config,
    /// Rule files
    Rules,
    /// Rule tests
    Tests,
}

/// Prints it.
///
/// # Errors
/// It can't be written.
pub fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let schema = match args.of {
        Of::Config => Schema::Config,
        Of::Rules => Schema::Rules,
        Of::Tests => Schema::Tests,
    };
    output::line(format_args!("{:#}", schema.document()))?;
    Ok(Exit::Done)
}
