//! Loading the configuration for a command: its warnings and problems go to standard error.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use crate::{
    config::{self, Config, Loaded, Request},
    document::text,
};

use super::{
    coloured,
    exit::{Exit, Failure},
};

/// Which files were named on the command line.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The configuration.
    pub config: Option<PathBuf>,
    /// The folder of the database.
    pub data_dir: Option<PathBuf>,
}

/// The process's environment, for what is expanded in the configuration.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Loads the configuration.
///
/// # Errors
/// It has problems, all of which were printed.
pub(crate) fn config(files: &Files) -> Result<Config, Failure> {
    let request = Request {
        config: files.config.as_deref(),
        data_dir: files.data_dir.as_deref(),
        env: &environment,
    };
    let coloured = coloured(io::stderr().is_terminal());
    match config::load(&request) {
        Ok(Loaded { config, warnings }) => {
            eprint!("{}", text(&warnings, coloured));
            Ok(config)
        }
        Err(problems) => {
            eprint!("{}", text(&problems, coloured));
            let (errors, warnings) = (problems.errors(), problems.warnings());
            let message = format!(
                "{}{}; nothing was started",
                plural(errors, "error"),
                if warnings > 0 {
                    format!(", {}", plural(warnings, "warning"))
                } else {
                    String::new()
                },
            );
            Err(Failure::new(Exit::Config, message))
        }
    }
}

/// So many of something.
pub(crate) fn plural(count: usize, what: &str) -> String {
    plural_of(count, what, &format!("{what}s"))
}

/// So many of something whose plural is not made by an `s`.
pub(crate) fn plural_of(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
