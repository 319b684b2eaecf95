//! The command line (design 2.4): one file a command, one list of them here.
//!
//! Deliberately absent: anything that another program could want; that lies in the library's other
//! floors.

pub mod check;
pub mod client;
pub mod deliveries;
pub mod demo;
pub mod exit;
pub mod fetch;
pub mod healthcheck;
pub mod load;
mod out;
pub mod render;
pub mod run;
mod sample;
pub mod send;
pub mod simulate;
pub mod status;
pub mod table;

use std::{
    io::{self, IsTerminal},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use client::{Service, ServiceArgs};
use exit::{Exit, Failure};
use load::Files;

/// Watches a container registry's trigger log and tells people in chat what each image push did to
/// their services.
#[derive(Debug, Parser)]
#[command(name = "triggerbell", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done · 1 the answer is no · 2 usage · 69 unreachable, locked \
                        or full · 70 our bug · 78 a broken file or refused credentials"
)]
pub struct Cli {
    /// The configuration; else ./triggerbell.yaml, else /etc/triggerbell/triggerbell.yaml
    #[arg(long, global = true, env = "TRIGGERBELL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where a relative database path is; else the configuration's folder
    #[arg(long, global = true, env = "TRIGGERBELL_DATA", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

/// How a command prints data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Printed {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Run(run::RunArgs),
    /// All of it with no account: a stand-in registry, rules and a chat wall in the browser
    Demo(demo::DemoArgs),
    /// The stand-in registry alone, to test against
    Simulate(simulate::SimulateArgs),
    /// Report every problem of configuration, rules and templates
    Check(check::CheckArgs),
    /// Read a source once and print entries: proves credentials
    Fetch(fetch::FetchArgs),
    /// Send a test message to a receiver by the true path
    Send(send::SendArgs),
    /// Show a template as it would be sent
    Render(render::RenderArgs),
    /// What a running service says of itself
    Status {
        #[command(flatten)]
        args: status::StatusArgs,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Whether a running service is ready; quiet, for containers
    Healthcheck {
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Notifications of a running service: list, show, retry
    Deliveries {
        #[command(subcommand)]
        command: deliveries::DeliveriesCommand,
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// Runs the program on the process's arguments and environment.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start: {error}");
            return Exit::Unavailable.into();
        }
    };
    let result =
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(dispatch(cli)))).unwrap_or_else(|_| {
            Err(Failure::new(Exit::Bug, "a bug of triggerbell's; please report it"))
        });
    // A blocking read of standard input can't be waited for.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("error: {failure}");
            }
            failure.exit.into()
        }
    }
}

async fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let files = Files { config: cli.config, data_dir: cli.data_dir };
    match cli.command {
        Command::Run(args) => run::run(args, &files).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Simulate(args) => simulate::run(args, interrupted()).await,
        Command::Check(args) => check(&args, &files),
        Command::Fetch(args) => fetch::run(&args, &files).await,
        Command::Send(args) => send::run(&args, &files).await,
        Command::Render(args) => render::run(&args, &files),
        Command::Status { args, service } => {
            status::run(&args, &service_of(service, &files)?).await
        }
        Command::Healthcheck { service } => healthcheck::run(&service_of(service, &files)?).await,
        Command::Deliveries { command, service } => {
            deliveries::run(&command, &service_of(service, &files)?).await
        }
    }
}

fn check(args: &check::CheckArgs, files: &Files) -> Result<Exit, Failure> {
    let mut world = check::World {
        config: files.config.as_deref(),
        data_dir: files.data_dir.as_deref(),
        env: &load::environment,
        coloured: coloured(io::stdout().is_terminal()),
        input: &mut io::stdin().lock(),
        out: &mut io::stdout().lock(),
    };
    check::run(args, &mut world).or_else(|error| match error.kind() {
        // Whoever read it has seen enough.
        io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        _ => Err(Failure::new(Exit::Unavailable, format!("could not write: {error}"))),
    })
}

/// The running service that was named, else the one that the configuration describes.
fn service_of(args: ServiceArgs, files: &Files) -> Result<Service, Failure> {
    if let Some(url) = args.url {
        return Service::at(&url, args.token);
    }
    let config = load::config(files)?;
    let mut addr = config.api.listen;
    if addr.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match addr {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        addr.set_ip(loopback);
    }
    let token =
        args.token.or_else(|| config.api.token.map(|token| token.expose(|token| token.to_owned())));
    Service::at(&format!("http://{addr}"), token)
}

/// A token that is cancelled by SIGINT or SIGTERM. A second signal ends the process.
pub(crate) fn interrupted() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        let mut signals = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            signals += 1;
            if signals > 1 {
                std::process::exit(130);
            }
            cancelled.cancel();
        }
    });
    token
}

/// Whether to colour what goes to a terminal.
pub(crate) fn coloured(terminal: bool) -> bool {
    terminal && load::environment("NO_COLOR").is_none_or(|value| value.is_empty())
}
