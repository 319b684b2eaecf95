//! The command line (design 2.4): one file a command, one list of them here.
//!
//! Deliberately absent: anything that another program could want; that lies in the library's other
//! floors.

mod amount;
pub mod check;
pub mod client;
mod csv;
pub mod deliveries;
pub mod demo;
pub mod exit;
pub mod explain;
pub mod fetch;
pub mod healthcheck;
pub mod load;
mod local;
mod output;
pub mod packaging;
pub mod plan;
pub mod reload;
pub mod render;
pub mod replay;
pub mod run;
mod sample;
pub mod schema;
pub mod send;
pub mod shadow;
pub mod silence;
pub mod simulate;
pub mod status;
mod stored;
pub mod table;
pub mod test;

use std::{
    io::{self, IsTerminal},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::config::Whereabouts;

use client::{Service, ServiceArgs};
use exit::{Exit, Failure};
use load::Files;

/// Where help lists what every command takes.
const COMMON: &str = "Common options";

/// Watches a container registry's trigger log and tells people in chat what each image push did to
/// their services.
#[derive(Debug, Parser)]
#[command(name = "triggerbell", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done · 1 the answer is no · 2 usage · 69 unreachable, locked \
                        or full · 70 our bug · 78 a broken file or refused credentials"
)]
pub struct Cli {
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = COMMON,
        display_order = 1_000,
        help = "The configuration; else TRIGGERBELL_CONFIG, ./triggerbell.yaml or \
                /etc/triggerbell/triggerbell.yaml"
    )]
    config: Option<PathBuf>,

    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        help_heading = COMMON,
        display_order = 1_001,
        help = "The folder of a relative database path; else TRIGGERBELL_DATA or the \
                configuration's folder"
    )]
    data_dir: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

/// How a command prints data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Printed {
    /// For people
    #[default]
    Text,
    /// For programs
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
    /// Report every problem of configuration, rules, rule tests and templates
    Check(check::CheckArgs),
    /// Run rule tests: what the rules tell, beside what is expected
    Test(test::TestArgs),
    /// Read a source once and print entries: proves credentials
    Fetch(fetch::FetchArgs),
    /// What the sources will ask of the APIs, how often, and what the receivers can take
    Plan(plan::PlanArgs),
    /// Why an entry did or did not become a message
    Explain(explain::ExplainArgs),
    /// Decide recorded entries again: what the rules, or others, would do
    Replay(replay::ReplayArgs),
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
    /// Have a running service read its configuration, rules and templates again
    Reload {
        #[command(flatten)]
        args: reload::ReloadArgs,
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
    /// What fails now, by a running service
    Incidents {
        #[command(flatten)]
        args: silence::IncidentsArgs,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Silences of a running service: add, list, end, preview
    Silence {
        #[command(subcommand)]
        command: silence::SilenceCommand,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Rules in shadow of a running service: what they would have sent
    Shadow {
        #[command(subcommand)]
        command: shadow::ShadowCommand,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// The JSON Schema of the configuration, of rule files or of rule tests, for editors
    Schema(schema::SchemaArgs),
    /// A shell's completions, on standard output
    Completions(packaging::CompletionsArgs),
    /// A manual page, in roff, on standard output
    Man(packaging::ManArgs),
}

/// Runs the program on the process's arguments and environment.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(format_args!("error: could not start: {error}\n"));
            return Exit::Unavailable.into();
        }
    };
    // A panic has been told on standard error by then; nothing of the runtime is used after it.
    let run = AssertUnwindSafe(|| runtime.block_on(Box::pin(dispatch(cli))));
    let result = catch_unwind(run).unwrap_or_else(|_| {
        Err(Failure::new(Exit::Bug, "that is a bug of triggerbell's; please report it"))
    });
    // A blocking read of standard input can't be waited for.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                output::note(format_args!("error: {failure}\n"));
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
        Command::Simulate(args) => simulate::run(args, interrupted()?).await,
        Command::Check(args) => check(&args, &files),
        Command::Test(args) => test::run(&args, &files),
        Command::Fetch(args) => fetch::run(&args, &files).await,
        Command::Plan(args) => plan::run(&args, &files).await,
        Command::Explain(args) => explain::run(&args, &files).await,
        Command::Replay(args) => replay::run(&args, &files).await,
        Command::Send(args) => send::run(&args, &files).await,
        Command::Render(args) => render::run(&args, &files).await,
        Command::Status { args, service } => {
            status::run(&args, &service_of(&service, &files)?).await
        }
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => packaging::completions(&args),
        Command::Man(args) => packaging::man(&args),
        Command::Healthcheck { service } => healthcheck::run(&service_of(&service, &files)?).await,
        Command::Reload { args, service } => {
            reload::run(&args, &service_of(&service, &files)?).await
        }
        Command::Deliveries { command, service } => {
            deliveries::run(&command, &service_of(&service, &files)?).await
        }
        Command::Incidents { args, service } => {
            silence::incidents(&args, &service_of(&service, &files)?).await
        }
        Command::Shadow { command, service } => {
            shadow::run(&command, &service_of(&service, &files)?).await
        }
        Command::Silence { command, service } => {
            silence::run(&command, &service_of(&service, &files)?).await
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
        err: &mut io::stderr().lock(),
    };
    check::run(args, &mut world).map_err(output::failed)
}

/// The running service that was named, else the one that the configuration describes.
fn service_of(args: &ServiceArgs, files: &Files) -> Result<Service, Failure> {
    let token = load::environment("TRIGGERBELL_TOKEN").filter(|token| !token.is_empty());
    if let Some(url) = args.url.as_deref().filter(|url| !url.is_empty()) {
        return Service::at(url, token);
    }
    let Whereabouts { listen: mut addr, token: configured } = load::whereabouts(files)?;
    if addr.ip().is_unspecified() {
        let loopback: IpAddr = match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        addr.set_ip(loopback);
    }
    let token = token.or_else(|| configured.map(|token| token.expose(|token| token.to_owned())));
    Service::at(&format!("http://{addr}"), token)
}

/// A token that is cancelled by SIGINT or SIGTERM, from this call on. A second signal ends the
/// process.
///
/// # Errors
/// The system lets no signal be listened for.
pub(crate) fn interrupted() -> Result<CancellationToken, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(Exit::Unavailable, format!("could not listen for signals: {error}"))
        })
    };
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
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
    Ok(token)
}

/// Whether to colour what goes to a terminal.
pub(crate) fn coloured(terminal: bool) -> bool {
    terminal && load::environment("NO_COLOR").is_none_or(|value| value.is_empty())
}
