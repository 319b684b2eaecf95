//! `explain`: what became of the messages about an entry, and why.

use std::fs;

use super::explaining::{row, service, write};
use crate::support::{
    process::{ran, until},
    receiver::Receiver,
};

#[tokio::test]
async fn a_message_is_told_under_the_entries_that_it_tells_of_whenever_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let rules = r"defaults: {send_to: [ops]}
rules:
  - name: gathered
    match: {returnCode: {not: 0}}
    group: {wait: 20s}
  - name: watched
    match: {returnCode: {not: 0}}
    notify: change
  - name: seldom
    match: {returnCode: {not: 0}}
    throttle: 10m
  - name: explained
    match: {returnCode: {not: 0}}
    inhibited_by: {rule: watched, equal: [service]}
";
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let rows = [
        row("2026-03-02 09:00:00", "v1", 1),
        row("2026-03-02 09:00:10", "v2", 1),
        row("2026-03-02 09:05:00", "v3", 0),
    ];
    fs::write(folder.path().join("day.json"), rows.join("\n")).unwrap();
    let explained = ran(folder.path(), &["explain", "--entry", "day.json"], &[]).await;
    assert_eq!(explained.code, Some(0), "{}", explained.said());
    let parts: Vec<&str> = explained.stdout.split("entry of 2026").skip(1).collect();
    let ends = parts.iter().map(|part| part.trim_end().rsplit("\n\n").next().unwrap());
    let ends: Vec<Vec<&str>> = ends.map(|end| end.lines().collect()).collect();
    let together = "gathered: matched is sent to ops at 2026-03-02T09:00:20+08:00, for 2 entries";
    assert_eq!(
        ends[0],
        [
            "watched: failing is sent to ops",
            "seldom: matched is sent to ops",
            "explained: matched for ops is held (inhibited): watched has an incident with the \
             same service",
            together,
        ]
    );
    assert_eq!(
        ends[1],
        [
            "watched: failing for ops is held (state): its key fails already, or newer of it was \
             seen before",
            "seldom: matched for ops is held (throttle): its key was told of less than 10m before",
            "explained: matched for ops is held (inhibited): watched has an incident with the \
             same service",
            together,
            "seldom: summary is sent to ops at 2026-03-02T09:10:00+08:00",
        ]
    );
    assert!(parts[2].contains("watched: did not match"), "{}", parts[2]);
    assert!(parts[2].contains("yes recover holds, which ends an incident"), "{}", parts[2]);
}

#[tokio::test]
async fn what_became_of_a_message_is_said_with_the_silence_the_group_and_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let running = service(folder.path(), &receiver).await;
    let said = running.json("/api/v1/entries").await;
    let told = said["items"][2]["id"].as_str().unwrap();
    let explain = async |id: &str| {
        let args = ["explain", "--id", id, "--url", &running.url];
        let explained = ran(folder.path(), &args, &[]).await;
        assert_eq!(explained.code, Some(0), "{}", explained.said());
        explained.stdout
    };
    let answered = explain(told).await;
    let sent = answered.lines().find(|line| line.starts_with("prod-failed: matched is")).unwrap();
    assert!(sent.contains("is delivered to ops, tried at 20"), "{sent}");
    assert!(sent.contains(", HTTP 200: "), "{sent}");
    assert!(answered.contains("is held (shadow): its rule has `mode: shadow`"), "{answered}");

    let rules = r"defaults: {send_to: [ops]}
rules:
  - name: prod-failed
    match: {returnCode: {not: 0}, service: api}
  - name: gathered
    match: {returnCode: {not: 0}, service: web}
    group: {wait: 10m}
";
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let url = ["--url", &*running.url];
    let reloaded = ran(folder.path(), &["reload", url[0], url[1]], &[]).await;
    assert_eq!(reloaded.code, Some(0), "{}", reloaded.said());
    let wish = ["silence", "add", "service: api", "--for", "2h", "--comment", "database moves"];
    let wish = [&wish[..], &["--author", "bob"], &url].concat();
    let wished = ran(folder.path(), &wish, &[]).await;
    assert_eq!(wished.code, Some(0), "{}", wished.said());
    let more = [
        row("2026-03-02 09:03:00", "v2", 1),
        row("2026-03-02 09:04:00", "v2", 1).replace("api", "web"),
    ];
    let log = folder.path().join("log.json");
    let rows = fs::read_to_string(&log).unwrap() + &more.join("\n") + "\n";
    fs::write(&log, rows).unwrap();
    until("both are taken in", async || {
        running.json("/api/v1/entries").await["items"].as_array().unwrap().len() == 5
    })
    .await;
    let entries = running.json("/api/v1/entries").await;
    let [waits, held] = [0, 1].map(|index| entries["items"][index]["id"].as_str().unwrap());
    let held = explain(held).await;
    assert!(held.contains("is held (silenced): database moves (silence "), "{held}");
    assert!(held.contains(" by bob, until 20"), "{held}");
    assert!(held.contains("+08:00) (see `deliveries"), "in the zone of all else: {held}");
    let waits = explain(waits).await;
    assert!(waits.contains("gathered: waits for ops in a group until 20"), "{waits}");
}
