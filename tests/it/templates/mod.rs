//! Templates, as receivers and the people who write them see them.

mod hostile;
mod limits;
mod lint;
mod lookup;
mod oracle;
mod renderer;
mod rules;
mod shipped;
mod wecom;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;
use tempfile::TempDir;
use triggerbell::{
    adapters::templates::{ReceiverType, Settings, TemplateProblem, Templates, sample_context},
    domain::{entry::Entry, notification::Reason},
    ports::{Context, Part},
};

/// A quarter past nine in Shanghai, a second after the samples' time.
fn now() -> Timestamp {
    "2026-03-02T01:00:06Z".parse().unwrap()
}

fn settings() -> Settings {
    Settings {
        zone: TimeZone::get("Asia/Shanghai").unwrap(),
        public_url: Some("https://bell.example.internal/".to_owned()),
    }
}

fn shipped() -> Templates {
    Templates::load(None, settings()).unwrap()
}

/// A folder with those files in it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Templates {
    let folder = folder(files);
    Templates::load(Some(folder.path()), settings()).unwrap()
}

/// What is wrong with those files, with file names for paths.
fn problems(files: &[(&str, &str)]) -> Vec<TemplateProblem> {
    let folder = folder(files);
    let mut problems = Templates::load(Some(folder.path()), settings()).unwrap_err();
    for problem in &mut problems {
        let name = Path::new(&problem.path).file_name().unwrap();
        problem.path = name.to_str().unwrap().to_owned();
    }
    problems
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("runbook".to_owned(), "https://wiki.example.internal/shop?a=1&b=2".to_owned()),
        ("team".to_owned(), "shop".to_owned()),
    ])
}

/// Renders about those entries, for the reason.
fn render(
    templates: &Templates,
    name: &str,
    kind: ReceiverType,
    entries: &[Arc<Entry>],
    reason: Reason,
) -> Vec<Part> {
    let labels = labels();
    let context = sample_context(entries, &labels, reason, now());
    render_context(templates, name, kind, &context)
}

fn render_context(
    templates: &Templates,
    name: &str,
    kind: ReceiverType,
    context: &Context<'_>,
) -> Vec<Part> {
    templates.preview(name, kind, "ops", context).unwrap()
}

/// The one part that a message is, as text.
fn one(parts: &[Part]) -> &str {
    assert_eq!(parts.len(), 1, "the message is one part");
    &parts[0].payload.body
}

/// What a one-line text template writes about an entry, for a machine.
fn written(template: &str, entries: &[Arc<Entry>]) -> String {
    let templates = load(&[("x.hbs", template)]);
    one(&render(&templates, "x", ReceiverType::Webhook, entries, Reason::Matched)).to_owned()
}

fn json(part: &Part) -> Value {
    serde_json::from_str(&part.payload.body).expect("the payload is JSON")
}

/// Every text object of a Slack payload and its top-level text: (is it mrkdwn, the text).
fn slack_texts(payload: &Value) -> Vec<(bool, &str)> {
    let mut out = vec![(true, payload["text"].as_str().expect("there is a text line"))];
    collect(&payload["blocks"], &mut out);
    out
}

fn collect<'v>(value: &'v Value, out: &mut Vec<(bool, &'v str)>) {
    match value {
        Value::Array(list) => list.iter().for_each(|one| collect(one, out)),
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get("text") {
                out.push((map["type"] == "mrkdwn", text));
            }
            map.values().for_each(|one| collect(one, out));
        }
        _ => {}
    }
}

fn wecom_content(part: &Part) -> String {
    let payload = json(part);
    assert_eq!(payload["msgtype"], "markdown");
    payload["markdown"]["content"].as_str().unwrap().to_owned()
}
