//! `test`: runs rule tests and says what was told otherwise than expected (docs/testing.md).
//!
//! What is told is decided by the rehearsal and rendered by the service's own renderer; nothing here
//! decides. Deliberately absent: what stands in a test file (`config`).

mod compare;
mod coverage;
mod junit;
mod play;
mod report;
mod update;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};

use super::{
    exit::{Exit, Failure},
    load::{self, Files},
    output,
};
use crate::config::{self, Request};

use compare::Outcome;
use coverage::{Coverage, Share};
use play::{Stage, Told};

/// What to test, and how to say it.
#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// Test files, folders of them, or configurations; else all tests beside the configured rules
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Say which rules, clauses and templates no test reached; at least so many percent have to be
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub coverage: Option<u8>,

    /// How to print what came of it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Write what happened into the files as what is expected, for review
    #[arg(long)]
    pub update: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For code hosts: XML as test runners write it
    Junit,
}

/// How one scenario went.
struct Ran<'t> {
    scenario: &'t config::Scenario,
    told: Vec<Told>,
    outcome: Outcome,
    took: Duration,
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
    let mut coverages = Vec::new();
    for config::Tested { bed, files } in &tested {
        let stage = Stage::new(bed, files);
        let mut coverage = args.coverage.map(|_| Coverage::new(bed, &stage));
        ran.extend(files.iter().map(|file| run_file(&stage, file, coverage.as_mut())));
        coverages.extend(coverage);
    }
    if ran.iter().all(|file| file.tests.is_empty()) {
        let message = "there are no tests; they stand in files `*_test.yaml` beside the rules";
        return Err(Failure::new(Exit::No, message));
    }
    if args.update {
        return update_files(&ran);
    }
    match args.format {
        Format::Text => output::print(report::text(&ran))?,
        Format::Junit => output::print(junit::xml(&ran))?,
    }
    let reaches = say_coverage(args, &coverages)?;
    let failed = ran.iter().any(|file| file.failed() > 0);
    Ok(if failed || !reaches { Exit::No } else { Exit::Done })
}

fn run_file<'t>(
    stage: &Stage<'t>,
    file: &'t config::TestFile,
    mut coverage: Option<&mut Coverage<'t>>,
) -> RanFile<'t> {
    let tests = file.tests.iter().map(|scenario| {
        let began = Instant::now();
        let told = stage.play(scenario, file, coverage.as_deref_mut());
        let outcome = compare::compare(scenario, &told);
        Ran { scenario, told, outcome, took: began.elapsed() }
    });
    RanFile { file, tests: tests.collect() }
}

/// Prints what was reached, and says whether that is enough.
fn say_coverage(args: &TestArgs, coverages: &[Coverage<'_>]) -> Result<bool, Failure> {
    let Some(wanted) = args.coverage else { return Ok(true) };
    let mut text = String::new();
    for coverage in coverages {
        text.push_str("\nReached by tests:\n");
        text.push_str(&coverage.text());
    }
    let all = coverages.iter().fold(Share::default(), |all, it| all.and(it.share()));
    let reaches = all.percent() >= usize::from(wanted);
    if !reaches {
        text.push_str(&format!("\n{}% were reached, and {wanted}% are asked for\n", all.percent()));
    }
    match args.format {
        Format::Text => output::print(text)?,
        // Standard output is the document.
        Format::Junit => output::note(text),
    }
    Ok(reaches)
}

/// Writes what happened into the files of tests that failed.
fn update_files(ran: &[RanFile<'_>]) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for file in ran {
        let name = file.file.file.name();
        match update::updated(file) {
            Ok((_, 0)) => {}
            Ok((text, count)) => {
                fs::write(&file.file.path, text).map_err(|error| {
                    Failure::new(Exit::Unavailable, format!("could not write {name}: {error}"))
                })?;
                output::line(format_args!("updated {name}  {}", load::plural(count, "test")))?;
            }
            Err(why) => {
                output::note(format_args!("error: {why}\n"));
                exit = Exit::No;
            }
        }
    }
    let broken = |file: &RanFile<'_>| file.tests.iter().any(|it| !it.outcome.broken.is_empty());
    for file in ran.iter().filter(|file| broken(file)) {
        let name = file.file.file.name();
        output::note(format_args!("error: {name}: a template failed; see `triggerbell test`\n"));
        exit = Exit::No;
    }
    if exit == Exit::Done && ran.iter().all(|file| file.failed() == 0) {
        output::line("every test passes: nothing to update")?;
    }
    Ok(exit)
}
