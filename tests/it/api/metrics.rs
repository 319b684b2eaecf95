//! The metrics, read as strictly as a scraper that follows `OpenMetrics` 1.0 would.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use super::{Bell, line};
use crate::support::{
    process::until,
    receiver::{Receiver, Reply},
};

/// A sample: its name, its labels and its value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Families by name: their type and samples.
fn parse(text: &str) -> BTreeMap<String, (String, Vec<Sample>)> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let mut families: BTreeMap<String, (String, Vec<Sample>)> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name, text) = (words.next(), words.next(), words.next());
            let (name, text) = (name.unwrap(), text.expect("metadata says something"));
            match what.unwrap() {
                "TYPE" => {
                    let family = families.entry(name.to_owned()).or_default();
                    assert!(family.0.is_empty(), "{name} has two types");
                    text.clone_into(&mut family.0);
                }
                "HELP" => assert!(text.ends_with('.'), "{line}"),
                "UNIT" => assert!(name.ends_with(text), "{line}"),
                other => panic!("{other}"),
            }
            name.clone_into(&mut current);
            families.entry(current.clone()).or_default();
        } else {
            let sample = sample(line);
            assert!(sample.0.starts_with(&current), "{line} stands under {current}");
            families.get_mut(&current).unwrap().1.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').unwrap()),
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("{line}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
        (name.to_owned(), value.to_owned())
    };
    let labels = labels.split(',').filter(|pair| !pair.is_empty()).map(pair).collect();
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{line}")))
}

#[tokio::test]
async fn metrics_are_openmetrics_and_count_what_happened() {
    let lines = line(1, "v1", 1) + &line(2, "v1", 1) + &line(3, "v9", 1) + &line(4, "x", 0);
    let bell = Bell::start(&lines, "", Receiver::start().await).await;
    bell.notifications("state=delivered", 2).await;
    let answer = bell.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let families = parse(&answer.body);
    let mut series = BTreeSet::new();
    for (name, (kind, samples)) in &families {
        assert!(name.starts_with("triggerbell_"), "{name}");
        assert!(
            ["counter", "gauge", "histogram", "info"].contains(&kind.as_str()),
            "{name}: {kind}"
        );
        for (sample, labels, value) in samples {
            assert!(series.insert((sample, labels)), "{sample} stands there twice");
            let suffix = sample.strip_prefix(name.as_str()).unwrap();
            let allowed: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(allowed.contains(&suffix), "{sample} of the {kind} {name}");
            assert!(*value >= 0.0 || kind == "gauge");
        }
    }
    histograms_add_up(&families);
    let value = |name: &str, label: (&str, &str)| {
        let family = name.strip_suffix("_total").unwrap_or(name);
        let found = families[family].1.iter().find(|(sample, labels, _)| {
            sample == name && labels.get(label.0).map(String::as_str) == Some(label.1)
        });
        found.unwrap_or_else(|| panic!("{name} {label:?}")).2
    };
    assert_eq!(value("triggerbell_entries_total", ("source", "shop")), 4.0);
    assert_eq!(value("triggerbell_rule_matches_total", ("rule", "failed")), 2.0);
    assert_eq!(value("triggerbell_notifications_queued_total", ("receiver", "audit")), 2.0);
    assert_eq!(value("triggerbell_notifications_held_total", ("by", "shadow")), 1.0);
    assert_eq!(value("triggerbell_delivery_attempts_total", ("class", "delivered")), 2.0);
    assert_eq!(value("triggerbell_outbox_waiting", ("receiver", "audit")), 0.0);
    assert_eq!(value("triggerbell_build_info", ("version", env!("CARGO_PKG_VERSION"))), 1.0);
    assert!(!answer.body.contains("http"), "no address of a receiver");
}

#[tokio::test]
async fn what_no_longer_waits_is_no_longer_shown_to_wait() {
    let mood = Arc::new(AtomicU16::new(503));
    let answers = mood.clone();
    let receiver =
        Receiver::answering(move |_, _| Reply::status(answers.load(Ordering::Relaxed))).await;
    let bell = Bell::start(&line(1, "v1", 1), "", receiver).await;
    let mut waiting = serde_json::Value::Null;
    until("the first try has failed", async || {
        waiting = bell.notifications("", 1).await.remove(0);
        waiting["last_outcome"].is_object() && waiting["state"] == "pending"
    })
    .await;
    let gauge = "\ntriggerbell_outbox_waiting{receiver=\"audit\"} ";
    let shown = bell.get("/metrics").await.body;
    assert!(shown.contains(&format!("{gauge}1\n")), "{shown}");
    mood.store(200, Ordering::Relaxed);
    let path = format!("/api/v1/notifications/{}/retry", waiting["id"].as_str().unwrap());
    assert_eq!(bell.post(&path, &[], "").await.status, 202);
    bell.notifications("state=delivered", 1).await;
    let shown = bell.get("/metrics").await.body;
    assert!(shown.contains(&format!("{gauge}0\n")), "{shown}");
}

fn histograms_add_up(families: &BTreeMap<String, (String, Vec<Sample>)>) {
    let mut histograms = 0;
    for (name, (_, samples)) in families.iter().filter(|(_, (kind, _))| kind == "histogram") {
        let mut last: BTreeMap<BTreeMap<String, String>, f64> = BTreeMap::new();
        for (sample, labels, value) in samples {
            let mut series = labels.clone();
            let bound = series.remove("le");
            if sample.ends_with("_bucket") {
                let below = last.insert(series, *value).unwrap_or(0.0);
                assert!(*value >= below, "{name} is not cumulative at {bound:?}");
            }
        }
        for (sample, labels, value) in samples.iter().filter(|it| it.0.ends_with("_count")) {
            assert_eq!(last.get(labels), Some(value), "{sample}: the last bucket holds all");
            histograms += 1;
        }
    }
    assert!(histograms > 2);
}
