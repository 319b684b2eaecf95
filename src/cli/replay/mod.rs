//! `replay`: recorded entries decided again, each at its own time; with `--against`, what another
//! rule set would change.
//!
//! The configuration's rules are the old set and those of `--against` the new one, unless `--swap`
//! says the reverse. Rehearsals decide, so what is said here is what the service would do.
//! Deliberately absent: any decision, and any write.

mod against;
mod git;
mod history;
mod print;
mod report;
mod source;

use std::{
    io::{self, IsTerminal},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use jiff::{Timestamp, civil, tz::TimeZone};

use crate::{
    config::Config,
    document::parse_duration,
    domain::{
        comparison::{Comparison, Step, wind_down},
        entry::Entry,
        rehearsal::{Fed, Rehearsal},
    },
};

use super::{
    exit::{Exit, Failure},
    explain::source_of,
    load::{self, Files},
    output,
};

use against::{Against, Set, Words};
use history::History;
use print::Printer;
use report::{Differences, Tally};

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What to replay.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("history").required(true).multiple(true))]
pub struct ReplayArgs {
    /// A file with entries, an API answer or JSON lines; `-` for standard input
    #[arg(long, value_name = "FILE", group = "history", conflicts_with = "store")]
    pub entries: Option<String>,

    /// The entries in the configuration's database, whether the service runs or not
    #[arg(long, group = "history", conflicts_with = "source")]
    pub store: bool,

    /// The log of this source, all of it that the registry still shows; with --entries, the source
    /// that they are taken to come from
    #[arg(long, value_name = "NAME", group = "history")]
    pub source: Option<String>,

    /// Only entries since then: 2026-03-02, 2026-03-02T09:00:00+08:00, or 12h for the last twelve
    /// hours
    #[arg(long, value_name = "T")]
    pub since: Option<String>,

    /// The new rule set: a file or folder of rules, a whole configuration, or one of a git revision,
    /// git:REV or git:REV:PATH
    #[arg(long, value_name = "PATH")]
    pub against: Option<String>,

    /// Take what --against names as the old rule set, and the configuration's as the new one
    #[arg(long, requires = "against")]
    pub swap: bool,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How a replay is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For a review
    Markdown,
    /// For programs: every message or difference
    Json,
}

/// Replays and prints. Exit code 1 where `--against` names rules that would change something.
///
/// # Errors
/// The configuration, the other rules or the entries can't be read.
pub async fn run(args: &ReplayArgs, files: &Files) -> Result<Exit, Failure> {
    let config = load::config(files, "replayed")?;
    let other = args.against.as_deref().map(|path| against::load(path, &config, files));
    let other = other.transpose()?;
    let since = args.since.as_deref().map(|text| since_of(text, &config.time_zone));
    let history = history(args, &config, since.transpose()?).await?;
    match other {
        None => alone(args.format, &config, history),
        Some(other) => compared(args, &config, &other, history),
    }
}

/// An instant, a day, or how long ago.
fn since_of(text: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(at) = text.parse::<civil::DateTime>()
        && let Ok(at) = zone.to_ambiguous_timestamp(at).compatible()
    {
        return Ok(at);
    }
    let ago = parse_duration(text).ok().and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    ago.ok_or_else(|| {
        let message = format!(
            "--since {text}: write an instant as 2026-03-02T09:00:00+08:00, a day as 2026-03-02, or \
             a duration as 12h"
        );
        Failure::new(Exit::Usage, message)
    })
}

async fn history(
    args: &ReplayArgs,
    config: &Config,
    since: Option<Timestamp>,
) -> Result<History, Failure> {
    match (&args.entries, &args.source) {
        (Some(file), source) => {
            let source = source_of(source.as_deref(), config)?;
            History::of_file(file, &source, &config.time_zone, since)
        }
        (None, Some(source)) => source::history(source, config, since).await,
        (None, None) => History::of_store(&config.store, since),
    }
}

/// What one rule set would do.
fn alone(format: Format, config: &Config, history: History) -> Result<Exit, Failure> {
    let mut tally = Tally::new(config.path.display().to_string(), &config.rules, config);
    let mut printer = Printer::begin(format, "messages", config.time_zone.clone());
    let mut rehearsal = Rehearsal::new(&config.rules, history.start);
    let about = report::About::of(&history);
    each(history, |entry, at| {
        let fed = rehearsal.feed(entry, at);
        tally.fed(&fed);
        printer.messages(&fed.decided, &rehearsal)
    })?;
    let last = Fed { decided: wind_down(&mut rehearsal), ..Fed::default() };
    tally.fed(&last);
    printer.messages(&last.decided, &rehearsal)?;
    printer.alone(&about, &tally)?;
    Ok(Exit::Done)
}

/// What the new rule set would change.
fn compared(
    args: &ReplayArgs,
    config: &Config,
    other: &Against,
    history: History,
) -> Result<Exit, Failure> {
    let base = Set::of(config)?;
    let other = Set::other(other, &base)?;
    let (old, new) = if args.swap { (&other, &base) } else { (&base, &other) };
    let words = Words::of(old, new);
    let mut tallies = [old, new].map(|it| Tally::new(it.name.clone(), it.rules, it.config));
    let mut differences = Differences::default();
    let mut printer = Printer::begin(args.format, "differences", config.time_zone.clone());
    let mut comparison = Comparison::new(old.rules, new.rules, history.start);
    let about = report::About::of(&history);
    let mut take = |step: Step| {
        let [was, is] = &mut tallies;
        was.fed(&step.old);
        is.fed(&step.new);
        for difference in step.differences {
            printer.difference(&difference)?;
            differences.add(difference);
        }
        Ok(())
    };
    each(history, |entry, at| take(comparison.feed(entry, at, &words)))?;
    take(comparison.finish(&words))?;
    printer.compared(&about, &tallies, &differences)?;
    Ok(if differences.is_empty() { Exit::Done } else { Exit::No })
}

/// Hands on every entry with the instant to decide it at, and shows progress where somebody watches.
fn each(
    history: History,
    mut take: impl FnMut(&Arc<Entry>, Timestamp) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let len = history.len;
    let watched = io::stderr().is_terminal();
    let (mut done, mut shown) = (0, Instant::now());
    for batch in history.begin()? {
        let batch = batch?;
        for entry in &batch {
            take(entry, entry.row.time)?;
        }
        done += batch.len();
        if watched && shown.elapsed() > PROGRESS_EVERY {
            shown = Instant::now();
            output::note(format_args!("\r{done} of {len} entries"));
        }
    }
    if watched {
        output::note("\r\u{1b}[K");
    }
    Ok(())
}
