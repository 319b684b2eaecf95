//! `simulate`: the stand-in registry alone, to test against.
//!
//! Prints `listening on URL`, then `secret_id: …`, `secret_key: …` and `repos: …`, a line each, and
//! serves until it is interrupted. Deliberately absent: the registry itself (`simulate`).

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use clap::Args;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::simulate::{
    Credentials, FAULTS, Fault, FaultChance, Faults, Feed, Hook, Offsets, Rate, Registry,
    RegistrySettings, World, call_hook,
};

use super::{
    exit::{Exit, Failure},
    output,
};

/// Serves a stand-in registry, API 2.0 and 3.0, to test against.
#[derive(Debug, Clone, Args)]
#[command(after_help = faults_help())]
pub struct SimulateArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub listen: String,

    /// The repositories, as namespace/name with commas between
    #[arg(long, value_name = "a/b,c/d", value_delimiter = ',', value_parser = repository)]
    pub repos: Vec<String>,

    /// Rows that are in the log at the start, spread over the recent past
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub backlog: usize,

    /// New rows, as 5/s, 0.5/s or 30/m; none by default
    #[arg(long, value_name = "N/s")]
    pub rate: Option<Rate>,

    /// The same seed gives the same credentials, rows and faults
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Whom the enterprise registry's webhook calls for each new row
    #[arg(long, value_name = "URL", requires = "push_header")]
    pub push: Option<String>,

    /// The header that each call carries, as Name:value
    #[arg(long, value_name = "NAME:VALUE", requires = "push", value_parser = header)]
    pub push_header: Option<(String, String)>,

    /// What the enterprise log's offsets count: rows or pages
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub offsets: Counted,

    /// Something to go wrong with a probability from 0 to 1; may be repeated
    #[arg(long = "fault", value_name = "NAME=P")]
    pub faults: Vec<FaultChance>,
}

/// What the enterprise log's offsets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Counted {
    /// Rows
    #[default]
    Rows,
    /// Pages, from 0
    Pages,
    /// Pages, from 1
    PagesFromOne,
}

impl From<Counted> for Offsets {
    fn from(counted: Counted) -> Self {
        match counted {
            Counted::Rows => Self::Rows,
            Counted::Pages => Self::Pages { first: 0 },
            Counted::PagesFromOne => Self::Pages { first: 1 },
        }
    }
}

/// A host and a port, as it was written.
fn address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match parts.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("write it as 127.0.0.1:0, an address and a port".to_owned()),
    }
}

/// A repository's whole name.
fn repository(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let whole = text.split('/').count() >= 2 && text.split('/').all(|part| !part.is_empty());
    if whole && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("write each as namespace/name, with commas between and no spaces".to_owned())
}

/// The repositories, each of which may be named once.
fn distinct(repos: &[String]) -> Result<(), Failure> {
    let twice = repos.iter().enumerate().find(|(place, repo)| repos[..*place].contains(repo));
    match twice {
        Some((_, repo)) => {
            Err(Failure::new(Exit::Usage, format!("--repos names {repo} twice; name it once")))
        }
        None => Ok(()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as Name:value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn faults_help() -> String {
    let width = FAULTS.iter().map(|(_, name, _)| name.len()).max().unwrap_or_default();
    let line = |(_, name, what): &(Fault, &str, &str)| {
        format!("  {name:width$}  {}\n", what.replace('`', ""))
    };
    format!("Faults:\n{}", FAULTS.iter().map(line).collect::<String>())
}

/// Serves until `shutdown`.
///
/// # Errors
/// The address can't be listened on, or standard output is closed.
pub async fn run(args: SimulateArgs, shutdown: CancellationToken) -> Result<Exit, Failure> {
    distinct(&args.repos)?;
    let unavailable = |what: &str, error: io::Error| {
        Failure::new(Exit::Unavailable, format!("could not {what}: {error}"))
    };
    let address = args.listen.clone();
    let listener = TcpListener::bind(&address).await.map_err(|error| {
        let error = unavailable(&format!("listen on {address}"), error).message;
        Failure::new(Exit::Unavailable, format!("{error}; choose another address"))
    })?;
    let (registry, feed, repos) =
        start(&args, listener, &shutdown).map_err(|error| unavailable("start", error))?;
    announce(&registry, &repos).map_err(output::failed)?;
    let now = RegistrySettings::default().now;
    let hook = args.push.zip(args.push_header).map(|(url, header)| Hook { url, header, tries: 3 });
    let calling = async {
        match hook {
            Some(hook) => call_hook(registry.world(), hook, shutdown.clone()).await.map(|_| ()),
            None => Ok(()),
        }
    };
    let feeding = async {
        if args.rate.is_some() {
            feed.run(registry.world(), now, shutdown.clone()).await;
        } else {
            shutdown.cancelled().await;
        }
    };
    let (called, ()) = tokio::join!(calling, feeding);
    registry.stop().await;
    called.map_err(|error| Failure::new(Exit::Usage, format!("could not push: {error}")))?;
    Ok(Exit::Done)
}

/// The registry as asked for, with its backlog, and the feed that goes on from there.
fn start(
    args: &SimulateArgs,
    listener: TcpListener,
    shutdown: &CancellationToken,
) -> io::Result<(Registry, Feed, Vec<String>)> {
    let repos = if args.repos.is_empty() { Feed::default_repos() } else { args.repos.clone() };
    let faults = Faults::of(args.faults.iter().map(|FaultChance(fault, chance)| (*fault, *chance)));
    let world = Arc::new(World::new(&repos));
    let mut feed = Feed::new(args.seed, &repos, args.rate.unwrap_or(Rate::NEVER));
    feed.set_late(faults.chance(Fault::Late));
    feed.set_triggers(&world);
    feed.fill(&world, args.backlog, Timestamp::now());
    let settings = RegistrySettings {
        credentials: Credentials::generated(args.seed),
        faults,
        seed: args.seed,
        offsets: args.offsets.into(),
        ..Default::default()
    };
    Ok((Registry::start(listener, world, settings, shutdown)?, feed, repos))
}

/// What whoever started this needs to know, in a form that a script can read.
fn announce(registry: &Registry, repos: &[String]) -> io::Result<()> {
    let Credentials { secret_id, secret_key, .. } = registry.credentials();
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {}", registry.url())?;
    writeln!(out, "secret_id: {secret_id}")?;
    writeln!(out, "secret_key: {secret_key}")?;
    writeln!(out, "repos: {}", repos.join(","))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn parse(line: &str) -> Result<SimulateArgs, String> {
        let words = std::iter::once("simulate").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_read_as_the_design_has_them() {
        let args = parse(
            "--listen 127.0.0.1:0 --repos a/b,c/d --backlog 9 --rate 5/s --seed 3 \
             --fault html=0.5 --fault slow=1",
        );
        let args = args.unwrap();
        assert_eq!(args.repos, ["a/b", "c/d"]);
        assert_eq!((args.backlog, args.seed, args.rate), (9, 3, Some(Rate::per_second(5.0))));
        let faults = [FaultChance(Fault::Html, 0.5), FaultChance(Fault::Slow, 1.0)];
        assert_eq!(args.faults, faults);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_known() {
        let error = parse("--listen x:1 --fault slwo=1").unwrap_err();
        assert!(error.contains("there is no fault `slwo`; known: error500"), "{error}");
        let error = parse("--listen x:1 --rate 5").unwrap_err();
        assert!(error.contains("write it as 5/s"), "{error}");
    }

    #[test]
    fn every_fault_stands_in_the_help() {
        let help = parse("--help").unwrap_err();
        assert!(FAULTS.iter().all(|(_, name, _)| help.contains(name)), "{help}");
    }
}
