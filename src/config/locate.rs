//! Which file is the configuration.
//!
//! Deliberately absent: reading it.

use std::path::{Path, PathBuf};

use super::Lookup;
use crate::document::{Code, Problem};

/// The configuration's name where none is given.
pub const FILE_NAME: &str = "triggerbell.yaml";

/// Where it is looked for last.
const SYSTEM: &str = "/etc/triggerbell/triggerbell.yaml";

/// Whether a file is there, of whatever kind: one that can't be read is to be told of, not passed over.
fn is_there(path: &&Path) -> bool {
    path.exists() && !path.is_dir()
}

/// The configuration file: the one that was named, else `TRIGGERBELL_CONFIG`, else
/// `./triggerbell.yaml`, else `/etc/triggerbell/triggerbell.yaml`.
///
/// # Errors
/// None was named and neither of the last two exists.
pub fn locate(named: Option<&Path>, env: Lookup<'_>) -> Result<PathBuf, Box<Problem>> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    if let Some(path) = env("TRIGGERBELL_CONFIG").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let candidates = [FILE_NAME, SYSTEM];
    let found = candidates.iter().map(Path::new).find(is_there);
    found.map(Path::to_owned).ok_or_else(|| {
        let message = "there is no configuration";
        let problem = Problem::new(Code::NoConfiguration, message)
            .note(format!("looked for ./{FILE_NAME} and {SYSTEM}"))
            .help("name one with `--config` or TRIGGERBELL_CONFIG; start from examples/triggerbell.yaml");
        Box::new(problem)
    })
}
