//! Loading the configuration for a command: its warnings and problems go to standard error.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    app::Loader,
    config::{self, Config, Loaded, Request, Whereabouts},
    document::{Problem, Problems, Severity, nearest, text},
};

use super::{
    coloured,
    exit::{Exit, Failure},
    output,
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

/// Loads the configuration, and prints its warnings; `not_done` is what a broken one keeps from being
/// done, as in "nothing was sent".
///
/// # Errors
/// It has problems, all of which were printed.
pub(crate) fn config(files: &Files, not_done: &str) -> Result<Config, Failure> {
    match read(files) {
        Ok(Loaded { config, warnings, .. }) => {
            output::note(text(&warnings, coloured(io::stderr().is_terminal())));
            Ok(config)
        }
        Err(problems) => Err(broken(&problems, not_done)),
    }
}

/// Loads the configuration, and writes what is wrong with it to the log, a line each.
///
/// # Errors
/// It has problems, all of which were logged.
pub(crate) fn config_logging(files: &Files) -> Result<Config, Failure> {
    match read(files) {
        Ok(Loaded { config, warnings, .. }) => {
            log(&warnings);
            Ok(config)
        }
        Err(problems) => {
            log(&problems);
            Err(summary(&problems, "started"))
        }
    }
}

fn read(files: &Files) -> Result<Loaded, Problems> {
    let request = Request {
        config: files.config.as_deref(),
        data_dir: files.data_dir.as_deref(),
        env: &environment,
    };
    config::load(&request)
}

/// Writes problems to the log, a line each.
fn log(problems: &Problems) {
    macro_rules! line {
        ($level:expr, $problem:expr) => {{
            let problem: &Problem = $problem;
            let position = problem.place.as_ref().map(|place| place.position());
            tracing::event!(
                $level,
                code = problem.code.name(),
                file = problem.place.as_ref().map(|place| place.file.name()),
                line = position.map(|position| position.line),
                help = problem.help.as_deref(),
                "{}",
                problem.message
            );
        }};
    }
    for problem in problems.iter() {
        match problem.severity() {
            Severity::Error => line!(tracing::Level::ERROR, problem),
            Severity::Warning => line!(tracing::Level::WARN, problem),
        }
    }
}

/// Prints the problems of broken files, and says how many there are and what was not done.
pub(crate) fn broken(problems: &Problems, not_done: &str) -> Failure {
    output::note(text(problems, coloured(io::stderr().is_terminal())));
    summary(problems, not_done)
}

/// How many problems there are, and what was not done.
fn summary(problems: &Problems, not_done: &str) -> Failure {
    let (errors, warnings) = (problems.errors(), problems.warnings());
    let warnings = match warnings {
        0 => String::new(),
        some => format!(", {}", plural(some, "warning")),
    };
    let message = format!("{}{warnings}; nothing was {not_done}", plural(errors, "error"));
    Failure::new(Exit::Config, message)
}

/// Reads the same files again for a running service; its API stays where `listen` says.
pub(crate) fn loader(files: &Files, listen: Option<std::net::SocketAddr>) -> Loader {
    let files = files.clone();
    Arc::new(move || {
        let request = Request {
            config: files.config.as_deref(),
            data_dir: files.data_dir.as_deref(),
            env: &environment,
        };
        let mut loaded = config::load(&request)?;
        if let Some(listen) = listen {
            loaded.config.api.listen = listen;
        }
        Ok(loaded)
    })
}

/// Where the configuration says that the service is, for a command that asks it. What else is wrong
/// with the files is that service's to say.
///
/// # Errors
/// Its address or its token can't be read; why was printed.
pub(crate) fn whereabouts(files: &Files) -> Result<Whereabouts, Failure> {
    let request = Request {
        config: files.config.as_deref(),
        data_dir: files.data_dir.as_deref(),
        env: &environment,
    };
    config::whereabouts(&request).map_err(|problems| {
        output::note(text(&problems, coloured(io::stderr().is_terminal())));
        let message = "where the service is can't be read; mend that, or name it with --url";
        Failure::new(Exit::Config, message)
    })
}

/// That a name is not known, with the nearest or all that are.
pub(crate) fn no_such<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let list = known.clone().collect::<Vec<_>>().join(", ");
    let meant = nearest(name, known).map_or(String::new(), |near| format!("did you mean {near}? "));
    if list.is_empty() {
        return format!("there is no {what} {name:?}; the configuration has none");
    }
    format!("there is no {what} {name:?}; {meant}known: {list}")
}

/// So many of something.
pub(crate) fn plural(count: usize, what: &str) -> String {
    plural_of(count, what, &format!("{what}s"))
}

/// So many of something whose plural is not made by an `s`.
pub(crate) fn plural_of(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
