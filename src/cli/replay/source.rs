//! A source's own history: every page of every repository that the registry still shows.
//!
//! Deliberately absent: what is new, which is the cursor's; rows that come while it is read are left
//! for another time.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    cli::{
        exit::{Exit, Failure, of_source},
        fetch::{choose, discovered},
        load, output,
        table::printable,
    },
    config::Config,
    domain::entry::Row,
    ports::{PageRequest, Source},
};

use super::history::History;

/// The most rows that are kept in memory.
const MOST_ROWS: usize = 500_000;

/// Reads the history of a source.
///
/// # Errors
/// There is no such source, or it can't be read.
pub(super) async fn history(
    name: &str,
    config: &Config,
    since: Option<Timestamp>,
) -> Result<History, Failure> {
    let (configured, source) = choose(config, Some(name))?;
    let mut reading = Reading { source: &*source, since, rows: Vec::new(), rejected: 0 };
    let watched = io::stderr().is_terminal();
    for repo in discovered(configured, &*source).await? {
        reading.repository(&repo).await?;
        if watched {
            output::note(format_args!("\r{} read", load::plural(reading.rows.len(), "row")));
        }
    }
    if watched {
        output::note("\r\u{1b}[K");
    }
    let Reading { rows, rejected, .. } = reading;
    Ok(History::of_rows(format!("source {name}"), &configured.name, rows, since, rejected))
}

struct Reading<'s> {
    source: &'s dyn Source,
    since: Option<Timestamp>,
    rows: Vec<(Option<Arc<str>>, Row)>,
    rejected: usize,
}

impl Reading<'_> {
    /// Reads the pages of a repository, newest first. Where rows came at the front meanwhile, the
    /// next page begins as many later.
    async fn repository(&mut self, repo: &Arc<str>) -> Result<(), Failure> {
        let limit = self.source.page_limit();
        let (mut offset, mut last_total) = (0, None);
        loop {
            let request = PageRequest { repo, offset, limit };
            let page = self.source.page(request).await.map_err(|error| {
                let message = format!("could not read the log of {repo}: {error}");
                Failure::new(of_source(error.kind), message)
            })?;
            for bad in &page.rejected {
                let reason = printable(&bad.reason);
                output::note(format_args!("warning: a row of {repo} is passed over: {reason}\n"));
            }
            self.rejected += page.rejected.len();
            let came = match (last_total, page.total) {
                (Some(last), Some(total)) => u64::saturating_sub(total, last),
                _ => 0,
            };
            last_total = page.total.or(last_total);
            let old = |row: &Row| self.since.is_some_and(|since| row.time < since);
            let ended = page.len < limit || page.rows.iter().any(old);
            // Those that came pushed as many of the last page into this one.
            let known = usize::try_from(came).unwrap_or(usize::MAX);
            self.rows
                .extend(page.rows.into_iter().skip(known).map(|row| (Some(repo.clone()), row)));
            if self.rows.len() > MOST_ROWS {
                let message = format!("more than {MOST_ROWS} rows; say --since");
                return Err(Failure::new(Exit::Usage, message));
            }
            if ended {
                return Ok(());
            }
            offset += u64::from(page.len);
        }
    }
}
