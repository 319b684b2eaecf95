//! `run`: the service.

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    sync::Arc,
};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::clock::SystemClock,
    app::{App, LoopFailed, StartError, watch_files},
    config::Config,
    ports::Control,
    telemetry::{LogFormat, start_log},
};

use super::{
    coloured,
    exit::{Exit, Failure},
    interrupted,
    load::{self, Files},
};

/// How to run the service.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// How to write the log, on standard error
    #[arg(long, value_enum, default_value_t)]
    pub log: LogFormat,

    /// Where the API listens, in place of the configuration's `api.listen`
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// Listens for SIGHUP, from this call on.
fn hangups() -> Result<Signal, Failure> {
    signal(SignalKind::hangup()).map_err(|error| {
        Failure::new(Exit::Unavailable, format!("could not listen for signals: {error}"))
    })
}

/// Reloads at each SIGHUP until cancelled. What comes of it is in the log.
async fn reload_at(mut hangups: Signal, control: Arc<dyn Control>, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            Some(()) = hangups.recv() => {
                let _ = control.reload("signal").await;
            }
        }
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// The configuration is broken, or something that it names can't be opened.
pub async fn run(args: RunArgs, files: &Files) -> Result<Exit, Failure> {
    let cancel = interrupted()?;
    start_log(
        args.log,
        load::environment("RUST_LOG").as_deref(),
        coloured(io::stderr().is_terminal()),
    );
    match args.log {
        LogFormat::Text => serve(args, load::config(files, "started")?, files, cancel).await,
        LogFormat::Json => {
            // What ends it is a line of the log, too.
            let ended = match load::config_logging(files) {
                Ok(config) => serve(args, config, files, cancel).await,
                Err(failure) => Err(failure),
            };
            ended.map_err(|failure| {
                tracing::error!(exit_code = failure.exit as u8, "{}", failure.message);
                Failure::new(failure.exit, "")
            })
        }
    }
}

async fn serve(
    args: RunArgs,
    mut config: Config,
    files: &Files,
    cancel: CancellationToken,
) -> Result<Exit, Failure> {
    if let Some(listen) = args.listen {
        config.api.listen = listen;
    }
    let hangups = hangups()?;
    let app = App::start(config, load::loader(files, args.listen), Arc::new(SystemClock)).await?;
    let reloads = reload_at(hangups, app.control(), cancel.clone());
    let watch = watch_files(app.files(), app.control(), cancel.clone());
    let (ended, (), ()) = tokio::join!(app.run(cancel), reloads, watch);
    ended?;
    Ok(Exit::Done)
}

impl From<LoopFailed> for Failure {
    fn from(error: LoopFailed) -> Self {
        Self::new(Exit::Bug, error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Listen(..) => Self::new(Exit::Unavailable, error.to_string()),
            StartError::Client(..) | StartError::Receiver(..) | StartError::Templates(_) => {
                Self::new(Exit::Config, error.to_string())
            }
        }
    }
}
