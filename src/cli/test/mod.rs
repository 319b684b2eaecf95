//! `test`: runs rule tests and says what was told otherwise than expected (docs/testing.md).
//!
//! What is told is decided by the rehearsal and rendered by the service's own renderer; nothing here
//! decides. Deliberately absent: what stands in a test file (`config`).

mod compare;
mod play;
mod report;

use std::path::PathBuf;

use clap::Args;

use super::{
    exit::{Exit, Failure},
    load::{self, Files},
    output,
};
use crate::config::{self, Request};

use compare::Outcome;
use play::{Stage, Told};

/// What to test, and how to say it.
#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// Test files, folders of them, or configurations; else all tests beside the configured rules
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// How one scenario went.
struct Ran<'t> {
    scenario: &'t config::Scenario,
    told: Vec<Told>,
    outcome: Outcome,
}

/// How the scenarios of one file went.
struct RanFile<'t> {
    file: &'t config::TestFile,
    tests: Vec<Ran<'t>>,
}

impl RanFile<'_> {
    fn failed(&self) -> usize {
        self.tests.iter().filter(|ran| !ran.outcome.passed()).count()
    }
}

/// Runs the tests.
///
/// # Errors
/// A file is broken, or there are no tests.
pub fn run(args: &TestArgs, files: &Files) -> Result<Exit, Failure> {
    let request = Request {
        config: files.config.as_deref(),
        data_dir: files.data_dir.as_deref(),
        env: &load::environment,
    };
    let tested = config::tests(&args.paths, &request)
        .map_err(|problems| load::broken(&problems, "tested"))?;
    let mut ran = Vec::new();
    for config::Tested { bed, files } in &tested {
        let stage = Stage::new(bed, files);
        for file in files {
            let tests = file.tests.iter().map(|scenario| {
                let told = stage.play(scenario, file);
                let outcome = compare::compare(scenario, &told);
                Ran { scenario, told, outcome }
            });
            ran.push(RanFile { file, tests: tests.collect() });
        }
    }
    if ran.iter().all(|file| file.tests.is_empty()) {
        let message = "there are no tests; they stand in files `*_test.yaml` beside the rules";
        return Err(Failure::new(Exit::No, message));
    }
    output::print(report::text(&ran))?;
    let failed = ran.iter().any(|file| file.failed() > 0);
    Ok(if failed { Exit::No } else { Exit::Done })
}
