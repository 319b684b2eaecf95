//! `explain`: which clause decided, where the looking ended, what held a message back.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::process::ran;

const RULES: &str = r"rules:
  - name: prod-deploy-failed
    match: {repo: 'shop/*', returnCode: {not: 0}}
    send_to: [ops]
    notify: change
    stop: true
  - name: everything
    match: {}
    send_to: [ops]
    mode: shadow
";

fn write(folder: &Path) {
    let config = "sources:\n  shop:\n    file: {path: log.json}\nreceivers:\n  ops:\n    webhook:\n      \
                  url: http://127.0.0.1:9/planted-hook\nrules: [rules.yaml]\n";
    fs::write(folder.join("triggerbell.yaml"), config).unwrap();
    fs::write(folder.join("rules.yaml"), RULES).unwrap();
}

/// A row as the file of entries has it.
fn row(time: &str, tag: &str, code: i64) -> String {
    format!(
        r#"{{"repo":"shop/api","tag":"{tag}","time":"{time}","service":"api","returnCode":{code}}}"#
    )
}

#[tokio::test]
async fn an_entry_that_missed_by_one_clause_says_by_which_as_the_page_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let only = RULES.split("  - name: everything").next().unwrap();
    fs::write(folder.path().join("rules.yaml"), only).unwrap();
    fs::write(folder.path().join("one.json"), row("2026-03-02 09:00:00", "v1.2.3", 0)).unwrap();
    let explained = ran(folder.path(), &["explain", "--entry", "one.json"], &[]).await;
    assert_eq!(explained.code, Some(0), "{}", explained.said());
    let page = fs::read_to_string("docs/commands.md").unwrap();
    let block = page.split("## `explain`").nth(1).unwrap().split("```text\n").nth(1).unwrap();
    assert_eq!(explained.stdout.trim_end(), block.split("```").next().unwrap().trim_end());
    assert!(!explained.said().contains("planted"), "{}", explained.said());
}

#[tokio::test]
async fn what_follows_is_what_the_service_would_do_hold_and_stop_at() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let rows = [
        row("2026-03-02 09:00:00", "v1.2.3", 1),
        row("2026-03-02 09:02:00", "v1.2.3", 1),
        row("2026-03-02 09:05:00", "v1.2.4", 0),
    ];
    fs::write(folder.path().join("day.json"), rows.join("\n")).unwrap();
    let args = ["explain", "--entry", "day.json", "--format", "json"];
    let explained = ran(folder.path(), &args, &[]).await;
    assert_eq!(explained.code, Some(0), "{}", explained.said());
    let lines: Vec<Value> =
        explained.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let messages: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let told = line["messages"].as_array().unwrap().iter();
            told.map(|it| format!("{} {} {}", it["rule"], it["reason"], it["held_by"])).collect()
        })
        .collect();
    let (rule, other) = ("\"prod-deploy-failed\"", "\"everything\"");
    assert_eq!(messages[0], [format!("{rule} \"failing\" null")]);
    assert_eq!(messages[1], [format!("{rule} \"failing\" \"state\"")]);
    assert_eq!(
        messages[2],
        [format!("{rule} \"recovered\" null"), format!("{other} \"matched\" \"shadow\""),]
    );
    assert_eq!(lines[0]["rules"][1]["stopped_by"], "prod-deploy-failed");
    assert_eq!(lines[2]["rules"][0]["decided_by"]["path"], "match.returnCode.not");
    assert_eq!(lines[0]["entry"]["repo"], "shop/api");
}

#[tokio::test]
async fn a_source_that_there_is_none_of_and_a_file_of_nothing_are_said() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    fs::write(folder.path().join("one.json"), row("2026-03-02 09:00:00", "v1", 0)).unwrap();
    let args = ["explain", "--entry", "one.json", "--source", "shopp"];
    let explained = ran(folder.path(), &args, &[]).await;
    assert_eq!(explained.code, Some(2), "{}", explained.said());
    assert!(explained.stderr.contains("did you mean shop?"), "{}", explained.stderr);
    let missing = ran(folder.path(), &["explain", "--entry", "none.json"], &[]).await;
    assert_eq!(missing.code, Some(78), "{}", missing.said());
    assert!(missing.stderr.contains("none.json"), "{}", missing.stderr);
}
