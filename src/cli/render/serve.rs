//! `render --serve`: a template in the browser, as the chat wall shows messages, rendered again whenever
//! a file that it depends on is saved.
//!
//! The page, its policy and its escaping are the wall's own. Deliberately absent: any way to send what
//! is shown.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{For, RenderArgs, body, entries, loaded, render, used_of_allowed};
use crate::{
    adapters::templates::{ReceiverType, usage},
    cli::{
        exit::{Exit, Failure},
        interrupted,
        load::{self, Files},
        output,
    },
    config::{self, Request, locate},
    document::text,
    domain::entry::Entry,
    simulate::{Channel, Wall, WallSettings},
};

/// How often it is looked whether a file was saved.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The most files that are looked at, and the deepest folder.
const MOST_FILES: usize = 2_000;
const MAX_DEPTH: usize = 4;

/// Shows it until it is interrupted.
///
/// # Errors
/// The address can't be listened on, or the entries can't be read.
pub(super) async fn run(
    addr: SocketAddr,
    args: &RenderArgs,
    files: &Files,
) -> Result<Exit, Failure> {
    let ended = interrupted()?;
    let cant_listen = |error: io::Error| {
        let message = format!("could not listen on {addr}: {error}; say another with --serve ADDR");
        Failure::new(Exit::Unavailable, message)
    };
    let listener = TcpListener::bind(addr).await.map_err(cant_listen)?;
    let settings = WallSettings { paced: false, ..WallSettings::default() };
    let wall = Wall::start(listener, settings, &ended).map_err(cant_listen)?;
    output::line(format_args!("{} at {}/ until Ctrl-C", args.template, wall.url()))?;
    let mut told: Option<Vec<Arc<Entry>>> = None;
    // Until it is known what it depends on, everything beside the configuration may matter.
    let found = locate(files.config.as_deref(), &load::environment).ok();
    let beside = found.and_then(|path| path.parent().map(Path::to_owned));
    let mut watched = Watched { paths: beside.into_iter().collect(), stamps: None };
    loop {
        if watched.changed(args, files) {
            let shown = once(args, files, &mut told, &mut watched).await;
            let rows: Vec<_> = told.iter().flatten().map(|it| Arc::new(it.row.clone())).collect();
            match shown {
                Ok(messages) => wall.show(&rows, messages),
                Err(failure) => {
                    output::note(format_args!("error: {failure}\n"));
                    wall.show(&rows, problem(&failure, files));
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = ended.cancelled() => break,
        }
    }
    wall.stop().await;
    Ok(Exit::Done)
}

type Shown = (Channel, Value, Option<String>);

/// Reads the files and renders.
async fn once(
    args: &RenderArgs,
    files: &Files,
    told: &mut Option<Vec<Arc<Entry>>>,
    watched: &mut Watched,
) -> Result<Vec<Shown>, Failure> {
    let loaded = loaded(args, files)?;
    if watched.paths != loaded.paths {
        // They may have been saved since they were read.
        *watched = Watched { paths: loaded.paths.clone(), stamps: None };
    }
    let now = Timestamp::now();
    // Standard input and a service are asked once; a file may have been saved.
    let again = args.id.is_none() && args.entry.as_deref().is_some_and(|file| file != "-");
    if told.is_none() || again {
        *told = Some(entries(args, files, &loaded.zone, now).await?);
    }
    let told = told.as_deref().unwrap_or_default();
    let mut messages = Vec::new();
    for wanted in &loaded.kinds {
        let channel = channel(wanted);
        match render(args, &loaded.templates, wanted, told, now) {
            Ok(parts) => {
                for part in &parts {
                    let text = body(&part.payload).0;
                    let payload = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
                    let used: Vec<_> = usage(wanted.kind, &wanted.form, part)
                        .iter()
                        .map(used_of_allowed)
                        .collect();
                    output::note(format_args!("{}: {}\n", wanted.name, used.join(", ")));
                    messages.push((channel, payload, None));
                }
            }
            Err(failure) => {
                output::note(format_args!("error: {failure}\n"));
                messages.push((channel, empty(channel), Some(failure.message)));
            }
        }
    }
    Ok(messages)
}

const fn channel(wanted: &For) -> Channel {
    match wanted.kind {
        ReceiverType::Slack => Channel::Slack,
        ReceiverType::Wecom => Channel::WeCom,
        ReceiverType::Webhook => Channel::Webhook,
    }
}

/// A message of a channel that says nothing.
fn empty(channel: Channel) -> Value {
    match channel {
        Channel::WeCom => json!({"msgtype": "text", "text": {"content": "not rendered"}}),
        Channel::Slack => json!({"text": "not rendered"}),
        Channel::Webhook => json!("not rendered"),
    }
}

/// What is wrong, in place of all messages: in a word, and as `check` says it.
fn problem(failure: &Failure, files: &Files) -> Vec<Shown> {
    let request = Request {
        config: files.config.as_deref(),
        data_dir: files.data_dir.as_deref(),
        env: &load::environment,
    };
    let why = match config::load(&request) {
        Err(problems) => text(&problems, false),
        Ok(_) => failure.message.clone(),
    };
    let refused = |channel| (channel, empty(channel), Some("it can't be rendered".to_owned()));
    let [slack, wecom] = [Channel::Slack, Channel::WeCom].map(refused);
    vec![slack, wecom, (Channel::Webhook, json!(why), None)]
}

/// Files, and how they stood when they were looked at last.
struct Watched {
    paths: Vec<PathBuf>,
    stamps: Option<Vec<(PathBuf, u64, Option<SystemTime>)>>,
}

impl Watched {
    /// Whether a file is another than when this was last asked; true at first.
    fn changed(&mut self, args: &RenderArgs, files: &Files) -> bool {
        let entry = args.entry.as_deref().filter(|file| *file != "-").map(PathBuf::from);
        let mut stamps = Vec::new();
        for path in self.paths.iter().chain(&files.config).chain(&entry) {
            stamp(path, 0, &mut stamps);
        }
        stamps.sort();
        let changed = self.stamps.as_ref() != Some(&stamps);
        self.stamps = Some(stamps);
        changed
    }
}

/// Adds how a file, or all files of a folder, stand.
fn stamp(path: &Path, depth: usize, stamps: &mut Vec<(PathBuf, u64, Option<SystemTime>)>) {
    let Ok(meta) = fs::metadata(path) else { return };
    if stamps.len() >= MOST_FILES {
        return;
    }
    if !meta.is_dir() {
        stamps.push((path.to_owned(), meta.len(), meta.modified().ok()));
    } else if depth < MAX_DEPTH {
        for inner in fs::read_dir(path).into_iter().flatten().flatten() {
            stamp(&inner.path(), depth + 1, stamps);
        }
    }
}
