//! `plan`: what it works out is what the documents say, and what the running service then shows.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{
    process::{Service, ran, until},
    receiver::Receiver,
    stand::Stand,
};

const KEYS: &str = "      secret_id: planted-id\n      secret_key: planted-key\n";

fn write(folder: &Path, sources: &str) {
    let config = format!(
        "sources:\n{sources}receivers:\n  ops-wecom:\n    wecom:\n      key: planted-wecom-key\n\
         rules: [rules.yaml]\n"
    );
    fs::write(folder.join("triggerbell.yaml"), config).unwrap();
    let rule = |name| format!("  - {{name: {name}, match: {{}}, send_to: [ops-wecom]}}\n");
    fs::write(folder.join("rules.yaml"), format!("rules:\n{}{}", rule("one"), rule("two")))
        .unwrap();
}

fn found(name: &str, kind: &str, more: &str) -> String {
    format!("  {name}:\n    {kind}:\n      region: ap-guangzhou\n{KEYS}    discover: {{}}\n{more}")
}

#[tokio::test]
async fn two_thousand_repositories_are_planned_as_the_page_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &found("shop", "tcr_personal", ""));
    let plan = ran(folder.path(), &["plan", "--repos", "2000"], &[]).await;
    assert_eq!(plan.code, Some(0), "{}", plan.said());
    let page = fs::read_to_string("docs/commands.md").unwrap();
    let block = page.split("## `plan`").nth(1).unwrap().split("```text\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    assert_eq!(plan.stdout, block, "docs/commands.md shows something else");
}

#[tokio::test]
async fn limits_that_are_passed_are_noted_and_no_secret_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let sources = found("one", "tcr_personal", "    requests_per_second: 15\n")
        + &found("two", "tcr_personal", "    requests_per_second: 15\n")
        + "  three:\n    tcr_enterprise:\n      push: {header: X-Bell, secret: planted-secret}\n";
    write(folder.path(), &sources);
    let args = ["plan", "--repos", "50", "--entries", "1000", "--format", "json"];
    let plan = ran(folder.path(), &args, &[]).await;
    assert_eq!(plan.code, Some(0), "{}", plan.said());
    assert!(!plan.said().contains("planted"), "{}", plan.said());
    let json: Value = serde_json::from_str(&plan.stdout).unwrap();
    let notes: Vec<_> =
        json["notes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let limit = "one, two: 30 requests a second with one account, and the API allows 20";
    assert_eq!(notes, [limit]);
    assert_eq!(json["pushed"], serde_json::json!(["three"]));
    let receiver = &json["receivers"][0];
    assert_eq!((&receiver["rules"], &receiver["messages_per_hour"]), (&2.into(), &2000.into()));
    let text = ran(folder.path(), &args[..5], &[]).await.stdout;
    assert!(text.contains("2000/h, of which 800 wait"), "{text}");

    let wrong = ran(folder.path(), &["plan", "--source", "oen", "--repos", "1"], &[]).await;
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("did you mean one?"), "{}", wrong.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planned_is_what_status_shows() {
    let repos: Vec<String> = (0..200).map(|index| format!("shop/r{index}")).collect();
    let names: Vec<&str> = repos.iter().map(String::as_str).collect();
    let stand = Stand::start(&names).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = stand.registry.credentials();
    let config = format!(
        "sources:\n  shop:\n    tcr_personal:\n      endpoint: {}\n      region: ap-guangzhou\n      \
         secret_id: {}\n      secret_key: {}\n    discover: {{}}\n    poll_every: 1s\n    \
         requests_per_second: 40\nreceivers:\n  audit:\n    webhook:\n      url: {}\n",
        stand.registry.url(),
        credentials.secret_id,
        credentials.secret_key,
        receiver.url,
    );
    let rules = "rules:\n  - {name: all, match: {}, send_to: [audit]}\n";
    let service = Service::start(folder.path(), &config, rules).await;
    until("all have been read", async || {
        service.json("/api/v1/status").await["sources"]["shop"]["intervals"]["busy"] == 0
            && service.json("/readyz").await["ready"] == true
    })
    .await;
    let shown = service.json("/api/v1/status").await["sources"]["shop"].clone();
    let plan = ran(folder.path(), &["plan", "--format", "json"], &[]).await;
    assert_eq!(plan.code, Some(0), "{}", plan.said());
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let planned = &plan["sources"][0];
    assert_eq!((&shown["repos"], &planned["repos"]), (&200.into(), &200.into()));
    assert_eq!(planned["intervals"][0]["idle_s"], 5.0);
    assert_eq!(shown["intervals"]["idle_s"], 5.0);
    let status = ran(folder.path(), &["status", "--url", &service.url], &[]).await;
    eprintln!("{}", status.stdout);
    assert!(status.stdout.contains("200"), "{}", status.stdout);
}
