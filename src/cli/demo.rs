//! `demo`: all of it with no account, network or file of one's own.
//!
//! A stand-in registry pushes images; the very code of `run` polls it over HTTP with signed
//! requests and delivers to a wall in the browser that shows each message as Slack and WeCom
//! would, beside what the log said. A line for each message goes to the terminal too.
//! Deliberately absent: any short cut between the registry and the wall.

use std::{
    fs,
    io::{self, IsTerminal},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::clock::SystemClock,
    app::App,
    ports::Control,
    simulate::{Demo, DemoSettings, Rate, ServiceCounts},
    telemetry::{LogFormat, start_log},
};

use super::{
    coloured,
    exit::{Exit, Failure},
    interrupted,
    load::{self, Files},
    output,
    table::printable,
};

/// How often the wall is told what the service has done.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// How to run the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Where the chat wall listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,

    /// Images pushed, as 1/s, 0.5/s or 30/m
    #[arg(long, value_name = "N/s", default_value = "1/s", value_parser = rate)]
    pub rate: Rate,

    /// End after this long, such as 30s or 5m
    #[arg(long = "for", value_name = "D", value_parser = duration)]
    pub for_: Option<Duration>,

    /// The same seed gives the same pushes
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// A rate at which something comes: a demo of nothing shows nothing.
fn rate(text: &str) -> Result<Rate, String> {
    match text.parse::<Rate>() {
        Ok(rate) if rate == Rate::NEVER => {
            Err("nothing would be pushed; write it as 5/s, 0.5/s or 30/m".to_owned())
        }
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::document::parse_duration(text).map_err(|error| error.to_string())
}

/// Runs until interrupted, or for as long as was asked.
///
/// # Errors
/// An address can't be listened on, or the temporary folder can't be written.
pub async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    let filter = load::environment("RUST_LOG").unwrap_or_else(|| "warn".to_owned());
    start_log(LogFormat::Text, Some(&filter), coloured(io::stderr().is_terminal()));
    let cancel = interrupted()?;
    let unavailable = |what: &str, error: io::Error| {
        Failure::new(Exit::Unavailable, format!("could not {what}: {error}"))
    };
    let settings = DemoSettings {
        wall: args.listen,
        rate: args.rate,
        seed: args.seed,
        ..DemoSettings::default()
    };
    let demo = Demo::start(settings, &cancel)
        .await
        .map_err(|error| unavailable(&format!("listen on {}", args.listen), error))?;
    let folder = Folder::new().map_err(|error| unavailable("write a temporary folder", error))?;
    write_files(&folder.0, &demo).map_err(|error| unavailable("write a temporary file", error))?;
    let files = Files { config: Some(folder.0.join("triggerbell.yaml")), data_dir: None };
    let loader = load::loader(&files, None);
    let app = App::start(load::config(&files, "started")?, loader, Arc::new(SystemClock)).await?;
    output::print(format_args!(
        "chat wall:    {}\nstatus page:  http://{}/\nregistry:     {}\nfiles:        {}\n\
         Ctrl-C ends it. Each line below is a message that was delivered.\n\n",
        demo.wall().url(),
        app.addr(),
        demo.registry().url(),
        folder.0.display(),
    ))?;
    let watching = watch(&demo, app.control(), cancel.clone());
    let ending = end_after(args.for_, cancel.clone());
    let (ended, ..) = tokio::join!(app.run(cancel), watching, ending);
    demo.stop().await;
    ended?;
    Ok(Exit::Done)
}

async fn end_after(time: Option<Duration>, cancel: CancellationToken) {
    let Some(time) = time else { return };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(time) => cancel.cancel(),
    }
}

/// Prints a line for each message that arrives, and keeps the wall's head up to date.
async fn watch(demo: &Demo, service: Arc<dyn Control>, cancel: CancellationToken) {
    let mut messages = demo.wall().messages();
    let mut tick = tokio::time::interval(REPORT_EVERY);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = tick.tick() => {
                if let Some(counts) = counts(&*service).await {
                    demo.wall().report(counts);
                }
            }
            message = messages.recv() => match message {
                Ok(message) => {
                    let channel = message.channel.to_string();
                    let line = format!("{channel:<8} {}", printable(&message.summary));
                    if output::line(line).is_err() {
                        // Nobody reads the terminal any more; the wall goes on.
                        return cancel.cancelled().await;
                    }
                }
                // The terminal is slower than the wall; what was passed over is on the wall.
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

async fn counts(service: &dyn Control) -> Option<ServiceCounts> {
    let (status, rules) = (service.status().await.ok()?, service.rules().await.ok()?);
    Some(ServiceCounts {
        seen: status.sources.values().map(|source| source.entries).sum(),
        matched: rules.iter().map(|rule| rule.matched).sum(),
        delivered: status.receivers.values().map(|lane| lane.delivered).sum(),
    })
}

/// A temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("triggerbell-demo-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is temporary: the system removes what can't be removed now.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What fails is one message in Slack until it is well again: reminders go into its thread and the
/// recovery takes its place. A service that can't make up its mind is told to flap; forty jobs that fail
/// at once are more than the robot takes, and become a digest. Members on call get what fails in
/// production, and of the successes only those in production are told.
const RULES: &str = "\
rules:
  - name: nightly-jobs
    match: {namespace: batch, returnCode: {not: 0}}
    severity: warning
    notify: change
    send_to: [ops-wecom]
    stop: true
  - name: deploy-failed
    match: {returnCode: {not: 0}}
    severity: error
    notify: change
    remind: 1m
    flapping: {changes: 4, within: 5m}
    send_to: [ops-wecom, dev-slack]
  - name: production-failed
    match: {returnCode: {not: 0}, namespace: prod}
    severity: critical
    send_to: [oncall]
  - name: result-unknown
    match: {returnCode: {exists: false}}
    severity: warning
    send_to: [dev-slack]
  - name: deploy-succeeded
    match: {returnCode: 0, namespace: prod}
    severity: info
    send_to: [dev-slack]
";

fn write_files(folder: &Path, demo: &Demo) -> io::Result<()> {
    let (registry, wall) = (demo.registry(), demo.wall());
    let credentials = registry.credentials();
    let repos = demo.world().repos();
    let repos: Vec<_> = repos.iter().map(|repo| format!("      - {repo}\n")).collect();
    let config = format!(
        "sources:
  shop:
    ccr:
      endpoint: {}
      secret_id: {}
      secret_key: {}
    repos:
{}    poll_every: 1s
    requests_per_second: 50
    first_run: {{since: 5m}}
receivers:
  ops-wecom:
    wecom:
      key: {}
      base_url: {}
    template: default-zh
  oncall:
    wecom:
      corpid: {}
      secret: {}
      agentid: {}
      to_user: [zhangsan, lisi]
      base_url: {}
      form: template_card
      card_url: {}
    template: default-zh
  dev-slack:
    slack:
      token: {}
      channel: {}
      api_url: {}
rules: [rules.yaml]
api:
  listen: 127.0.0.1:0
",
        registry.ccr_endpoint(),
        credentials.secret_id,
        credentials.secret_key,
        repos.concat(),
        wall.wecom_key(),
        wall.wecom_base_url(),
        wall.wecom_corpid(),
        wall.wecom_secret(),
        wall.wecom_agentid(),
        wall.wecom_base_url(),
        wall.url(),
        wall.slack_token(),
        wall.slack_channel(),
        wall.slack_api_url(),
    );
    fs::write(folder.join("triggerbell.yaml"), config)?;
    fs::write(folder.join("rules.yaml"), RULES)
}
