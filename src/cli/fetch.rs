//! `fetch`: reads a source once and prints entries, which proves its credentials.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use crate::{
    adapters::clock::SystemClock,
    app,
    config::{Config, Source as Configured},
    domain::{
        entry::{Entry, EntryId, Row},
        field::Field,
    },
    engine::intake::list_all,
    ports::{Clock, PageRequest, Source, SourceErrorKind},
};

use super::{
    csv,
    exit::{Exit, Failure, of_source},
    load::{self, Files},
    local, output,
    table::{Table, printable},
};

/// What to read and how to print it.
#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    /// The source; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// The repository; all of the source's where left out
    #[arg(long, value_name = "REPO")]
    pub repo: Option<String>,

    /// The most entries of a repository, newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,

    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How entries are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// An object a line
    Json,
    /// Every field, with a head
    Csv,
}

/// Reads and prints.
///
/// # Errors
/// The source can't be read.
pub async fn run(args: &FetchArgs, files: &Files) -> Result<Exit, Failure> {
    let config = load::config(files, "fetched")?;
    let (configured, source) = choose(&config, args.source.as_deref())?;
    let repos = match &args.repo {
        Some(repo) => vec![Arc::from(repo.as_str())],
        None => discovered(configured, &*source).await?,
    };
    let mut entries = Vec::new();
    let mut rejected = 0;
    let mut failed = None;
    for repo in repos {
        match read(&*source, configured, &repo, args.limit, &mut entries).await {
            Ok(not_understood) => rejected += not_understood,
            // It says nothing of the others.
            Err(Unread::Repository(failure)) => {
                output::note(format_args!("error: {failure}\n"));
                failed = Some(Failure::new(failure.exit, ""));
            }
            Err(Unread::Source(failure)) => return Err(failure),
        }
    }
    output::print(shown(&entries, args.format, &config.time_zone))?;
    let not_understood =
        if rejected > 0 { format!(", {rejected} not understood") } else { String::new() };
    let count = load::plural_of(entries.len(), "entry", "entries");
    output::note(format_args!("{count}{not_understood}\n"));
    failed.map_or(Ok(Exit::Done), Err)
}

/// The repositories of a source: those that are named, and those that the registry lists.
pub(super) async fn discovered(
    configured: &Configured,
    source: &dyn Source,
) -> Result<Vec<Arc<str>>, Failure> {
    let mut repos = app::repositories(configured);
    let Some(discover) = app::discover_settings(configured) else { return Ok(repos) };
    let listed = list_all(source).await.map_err(|error| {
        let message = format!("could not list the repositories of {}: {error}", configured.name);
        Failure::new(of_source(error.kind), message)
    })?;
    let known: std::collections::HashSet<_> = repos.iter().cloned().collect();
    let found = listed.into_iter().filter(|name| discover.wants(name) && !known.contains(name));
    repos.extend(found);
    Ok(repos)
}

/// What could not be read.
enum Unread {
    Repository(Failure),
    Source(Failure),
}

/// The source of that name, opened.
pub(super) fn choose<'c>(
    config: &'c Config,
    name: Option<&str>,
) -> Result<(&'c Configured, Arc<dyn Source>), Failure> {
    let known = || config.sources.iter().map(|source| &*source.name).collect::<Vec<_>>().join(", ");
    let index = match name {
        Some(name) => {
            config.sources.iter().position(|source| &*source.name == name).ok_or_else(|| {
                let names = config.sources.iter().map(|source| &*source.name);
                Failure::new(Exit::Usage, load::no_such("source", name, names))
            })?
        }
        None if config.sources.len() == 1 => 0,
        None => {
            let message = format!("say which source with --source; known: {}", known());
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut sources = app::sources(config, &clock)?;
    let configured = &config.sources[index];
    let source = sources.swap_remove(index).ok_or_else(|| {
        let name = &configured.name;
        let message = format!("source {name} is pushed to; there is nothing to read");
        Failure::new(Exit::Usage, message)
    })?;
    Ok((configured, source))
}

/// Reads up to `limit` rows of a repository; says how many could not be understood.
async fn read(
    source: &dyn Source,
    configured: &Configured,
    repo: &Arc<str>,
    limit: u32,
    entries: &mut Vec<Entry>,
) -> Result<usize, Unread> {
    let (mut offset, mut rejected) = (0_u64, 0);
    while offset < u64::from(limit) {
        let wanted = (u64::from(limit) - offset).min(source.page_limit().into());
        let wanted = u32::try_from(wanted).unwrap_or(1);
        let request = PageRequest { repo, offset, limit: wanted };
        let page = source.page(request).await.map_err(|error| {
            let message = format!("could not read the log of {repo}: {error}");
            let failure = Failure::new(of_source(error.kind), message);
            match error.kind {
                SourceErrorKind::Repository => Unread::Repository(failure),
                _ => Unread::Source(failure),
            }
        })?;
        for bad in &page.rejected {
            let reason = printable(&bad.reason);
            output::note(format_args!("warning: a row of {repo} can't be understood: {reason}\n"));
        }
        rejected += page.rejected.len();
        let len = page.len;
        entries.extend(page.rows.into_iter().map(|row| entry(&configured.name, repo, row)));
        if len < wanted {
            break;
        }
        offset += u64::from(len);
    }
    Ok(rejected)
}

/// A row as an entry. Its ordinal is not known here, since only one look was taken.
pub(super) fn entry(source: &Arc<str>, repo: &Arc<str>, row: Row) -> Entry {
    let identity = row.identity();
    Entry {
        id: EntryId::of(source, repo, identity, 0),
        identity,
        ordinal: 0,
        revises: false,
        source: source.clone(),
        asked_repo: repo.clone(),
        row,
    }
}

fn shown(entries: &[Entry], format: Format, zone: &TimeZone) -> String {
    match format {
        Format::Json => {
            entries.iter().map(|entry| entry.fields_json().to_string() + "\n").collect()
        }
        Format::Csv => csv(entries),
        Format::Table => table(entries, zone),
    }
}

/// What of an entry fits on a line.
fn table(entries: &[Entry], zone: &TimeZone) -> String {
    let fields = [
        Field::Time,
        Field::Repo,
        Field::Tag,
        Field::Trigger,
        Field::Region,
        Field::ClusterId,
        Field::Namespace,
        Field::Service,
        Field::ReturnCode,
        Field::ReturnMsg,
    ];
    let mut table = Table::new(&fields.map(Field::name));
    for entry in entries {
        table.row(fields.map(|field| {
            if field == Field::Time {
                return local::shown(entry.row.time, zone);
            }
            entry.text(field).map_or("-".to_owned(), |text| text.chars().take(60).collect())
        }));
    }
    if table.is_empty() { String::new() } else { table.render() }
}

/// Every field of every entry, with a head.
fn csv(entries: &[Entry]) -> String {
    let mut text = csv::line(Field::ALL.iter().map(|field| field.name()));
    for entry in entries {
        let cells: Vec<_> =
            Field::ALL.iter().map(|&field| entry.text(field).unwrap_or_default()).collect();
        text += &csv::line(cells.iter().map(|cell| &**cell));
    }
    text
}
