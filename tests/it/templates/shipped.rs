//! The templates that come with the program, read as people would read them.

use std::{fmt::Write, sync::Arc};

use triggerbell::{
    adapters::templates::{ReceiverType, Sample, sample_context, sample_entry},
    domain::notification::Reason,
    ports::Part,
};

use super::{json, labels, now, one, render_context, shipped, wecom_content};

/// What is told: reason, samples from the oldest, how many it stands for, a message.
const TOLD: &[(Reason, &[Sample], u64, Option<&str>)] = &[
    (Reason::Matched, &[Sample::Failure], 1, None),
    (Reason::Matched, &[Sample::Success], 1, None),
    (Reason::Matched, &[Sample::Unknown], 1, None),
    (Reason::Matched, &[Sample::Bare], 1, None),
    (Reason::Matched, &[Sample::Success, Sample::Unknown, Sample::Failure], 7, None),
    (Reason::Failing, &[Sample::Failure], 1, None),
    (Reason::Failing, &[Sample::Failure, Sample::Failure], 2, None),
    (Reason::Recovered, &[Sample::Success], 1, None),
    (Reason::Reminder, &[Sample::Failure], 1, None),
    (Reason::Threshold, &[Sample::Failure], 3, None),
    (Reason::Absent, &[Sample::Success], 1, None),
    (Reason::Absent, &[], 0, Some("nothing matched for 24h")),
    (Reason::Returned, &[Sample::Success], 1, None),
    (Reason::Flapping, &[Sample::Failure], 1, None),
    (Reason::Storm, &[Sample::Failure, Sample::Failure], 12, None),
    (Reason::Summary, &[Sample::Failure, Sample::Success], 2, None),
    (
        Reason::Digest,
        &[Sample::Failure, Sample::Failure],
        120,
        Some("triggerbell deliveries list --state folded --receiver ops"),
    ),
    (Reason::CatchUp, &[Sample::Failure, Sample::Success], 40, None),
    (
        Reason::Alarm,
        &[],
        0,
        Some(
            "source shop could not be read for 10m: the credentials are refused; check secret_id and secret_key",
        ),
    ),
    (Reason::Canary, &[Sample::Failure], 1, None),
    (Reason::Test, &[Sample::Failure], 1, None),
    (Reason::Test, &[], 0, Some("Somebody asked for this message.")),
];

fn read(name: &str, kind: ReceiverType, show: fn(&Part) -> String) -> String {
    let templates = shipped();
    let labels = labels();
    let mut out = String::new();
    for (reason, samples, count, message) in TOLD {
        let entries: Vec<_> = samples.iter().map(|one| Arc::new(sample_entry(*one))).collect();
        let mut context = sample_context(&entries, &labels, *reason, now());
        context.count = *count;
        context.message = *message;
        let parts = render_context(&templates, name, kind, &context);
        one(&parts);
        let samples = samples.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
        writeln!(out, "──── {reason} ({samples}; {count})\n{}\n", show(&parts[0])).unwrap();
    }
    out
}

/// A Slack message as lines.
fn slack(part: &Part) -> String {
    let payload = json(part);
    let mut out = format!("text: {}", payload["text"].as_str().unwrap());
    for block in payload["blocks"].as_array().unwrap() {
        match block["type"].as_str().unwrap() {
            "header" => write!(out, "\n# {}", block["text"]["text"].as_str().unwrap()).unwrap(),
            "section" => {
                if let Some(text) = block["text"]["text"].as_str() {
                    write!(out, "\n| {}", text.replace('\n', "\n| ")).unwrap();
                }
                for field in block["fields"].as_array().into_iter().flatten() {
                    write!(out, "\n| {}", field["text"].as_str().unwrap().replace('\n', " ⏎ "))
                        .unwrap();
                }
            }
            "context" => {
                write!(out, "\n_ {}", block["elements"][0]["text"].as_str().unwrap()).unwrap();
            }
            other => panic!("a block of type {other}"),
        }
    }
    out
}

fn webhook(part: &Part) -> String {
    serde_json::to_string_pretty(&json(part)).unwrap()
}

#[test]
fn slack_in_english() {
    insta::assert_snapshot!(read("default", ReceiverType::Slack, slack));
}

#[test]
fn slack_in_chinese() {
    insta::assert_snapshot!(read("default-zh", ReceiverType::Slack, slack));
}

#[test]
fn wecom_in_english() {
    insta::assert_snapshot!(read("default", ReceiverType::Wecom, wecom_content));
}

#[test]
fn wecom_in_chinese() {
    insta::assert_snapshot!(read("default-zh", ReceiverType::Wecom, wecom_content));
}

#[test]
fn webhook_as_the_api_documents_it() {
    insta::assert_snapshot!(read("default", ReceiverType::Webhook, webhook));
    assert_eq!(
        read("default", ReceiverType::Webhook, webhook),
        read("default-zh", ReceiverType::Webhook, webhook),
        "machines get the same body in every language"
    );
}

#[test]
fn the_slack_payload_as_it_is_sent() {
    let templates = shipped();
    let entries = [Arc::new(sample_entry(Sample::Failure))];
    let labels = labels();
    let context = sample_context(&entries, &labels, Reason::Matched, now());
    let parts = render_context(&templates, "default", ReceiverType::Slack, &context);
    insta::assert_snapshot!(serde_json::to_string_pretty(&json(&parts[0])).unwrap());
}

#[test]
fn no_link_where_no_public_address_is_set() {
    let mut settings = super::settings();
    settings.public_url = None;
    let templates = triggerbell::adapters::templates::Templates::load(None, settings).unwrap();
    let entries = [Arc::new(sample_entry(Sample::Failure))];
    let none = std::collections::BTreeMap::new();
    let context = sample_context(&entries, &none, Reason::Matched, now());
    for name in ["default", "default-zh"] {
        for &kind in ReceiverType::ALL {
            let parts = render_context(&templates, name, kind, &context);
            let body = one(&parts);
            assert!(!body.contains("http"), "{body}");
            assert!(!body.contains("]("), "{body}");
        }
    }
}

#[test]
fn the_same_request_gives_the_same_parts() {
    let templates = shipped();
    let entries = [Arc::new(sample_entry(Sample::Failure))];
    let labels = labels();
    let context = sample_context(&entries, &labels, Reason::Matched, now());
    for &kind in ReceiverType::ALL {
        let render = || render_context(&templates, "default-zh", kind, &context);
        assert_eq!(render(), render());
    }
}

/// Not a bound, since machines differ: prints what a message costs. Meaningful in release only.
#[test]
fn what_a_message_costs() {
    let templates = shipped();
    let entries = [Arc::new(sample_entry(Sample::Failure))];
    let labels = labels();
    let context = sample_context(&entries, &labels, Reason::Matched, now());
    for &kind in ReceiverType::ALL {
        let rounds = 2_000;
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(render_context(&templates, "default", kind, &context));
        }
        println!("default for {kind}: {:?} a message", start.elapsed() / rounds);
    }
}
