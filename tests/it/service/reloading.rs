//! Reloading while the service runs: what is sound is put in force at once and says nothing by itself;
//! what is not is refused with the diagnostics of `check`, and what was in force goes on.

use serde_json::json;
use tokio::process::Command;

use crate::{
    service::{EVERYTHING, audit},
    support::{
        process::{Ran, Service, ran, until},
        receiver::Receiver,
        stand::{Stand, tally},
    },
};

async fn reload(service: &Service, format: &str) -> Ran {
    ran(&service.folder, &["reload", "--url", &service.url, "--format", format], &[]).await
}

fn write_rules(service: &Service, rules: &str) {
    std::fs::write(service.folder.join("rules.yaml"), rules).unwrap();
}

async fn alarms(service: &Service) -> Vec<String> {
    let status = service.json("/api/v1/status").await;
    let alarms = status["alarms"].as_array().unwrap().iter();
    alarms.map(|alarm| alarm["kind"].as_str().unwrap().to_owned()).collect()
}

const CHANGE: &str = "rules:\n  - name: failing\n    match: {returnCode: {not: 0}}\n    \
                      notify: change\n    by: [service]\n    send_to: [audit]\n";

#[tokio::test]
async fn rules_change_while_it_runs_and_an_incident_of_a_renamed_one_ends_in_silence() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s");
    let config = format!("{source}{}", audit(&receiver));
    let service = Service::start(folder.path(), &config, CHANGE).await;
    stand.push("shop/api", 1);
    until("it fails", async || receiver.count() == 1).await;
    let open = service.json("/api/v1/incidents").await;
    assert_eq!(open["items"].as_array().unwrap().len(), 1, "{open:#}");

    write_rules(&service, &CHANGE.replace("failing", "renamed"));
    let done = reload(&service, "json").await;
    assert_eq!(done.code, Some(0), "{}", done.said());
    let answer: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&answer["added"], &answer["removed"]), (&json!(["renamed"]), &json!(["failing"])));
    let open = service.json("/api/v1/incidents").await;
    assert_eq!(open["items"], json!([]), "it is over in the record");
    assert!(service.log().contains("an incident ended, since its rule is gone"));
    assert_eq!(receiver.count(), 1, "nobody was sent anything");

    write_rules(&service, EVERYTHING);
    let id = service.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().await.unwrap().success());
    until("the signal's rules are in force", async || {
        service.json("/api/v1/rules").await["items"][0]["name"] == "everything"
    })
    .await;
    stand.push("shop/api", 1);
    until("they decide", async || receiver.count() == 2).await;
    assert_eq!(receiver.seen()[1].json()["data"]["rule"], "everything");
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn what_is_not_sound_is_refused_with_diagnostics_and_the_old_rules_go_on() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s");
    let config = format!("{source}{}", audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;

    write_rules(&service, &EVERYTHING.replace("[audit]", "[audti]"));
    let refused = reload(&service, "text").await;
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    let checked = ran(folder.path(), &["check"], &[]).await.stdout;
    assert!(checked.contains("audti"), "{checked}");
    let diagnostics = refused.stdout.trim_end();
    assert!(!diagnostics.is_empty() && checked.contains(diagnostics), "{diagnostics}\n{checked}");
    let refused = reload(&service, "json").await;
    let answer: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!((&answer["status"], &answer["problems"][0]["line"]), (&json!(422), &json!(5)));
    assert_eq!(alarms(&service).await, ["reload"], "once for both");
    let metrics = service.get("/metrics").await.unwrap();
    assert!(metrics.contains("triggerbell_reloads_total{result=\"refused\"} 2"), "{metrics}");
    stand.push("shop/api", 1);
    until("the old rules go on", async || receiver.count() == 1).await;

    // Half a file, as an editor leaves it for a moment.
    write_rules(&service, &EVERYTHING[..EVERYTHING.len() / 2]);
    assert_eq!(reload(&service, "text").await.code, Some(1));
    Service::configure(folder.path(), &config[..config.len() - 20], EVERYTHING);
    assert_eq!(reload(&service, "text").await.code, Some(1));
    let status = service.json("/api/v1/status").await;
    let last = &status["reload"];
    assert_eq!((&last["result"], &last["by"]), (&json!("refused"), &json!("api")));
    assert!(last["detail"].as_str().unwrap().contains("what was in force stays"), "{last}");
    let log = service.log();
    let said = log.lines().find(|line| line.contains("a reload was refused: ")).unwrap();
    assert_eq!(said.matches("what was in force stays").count(), 1, "{said}");

    Service::configure(folder.path(), &config, EVERYTHING);
    let done = reload(&service, "text").await;
    assert_eq!((done.code, &*done.stdout), (Some(0), "loaded: 1 rule\n"), "{}", done.said());
    assert_eq!(alarms(&service).await, [""; 0], "it is over");
    let status = service.json("/api/v1/status").await;
    assert_eq!(
        (&status["reload"]["result"], &status["reload"]["detail"]),
        (&json!("loaded"), &json!(null))
    );

    let moved = format!("{config}store:\n  sqlite: elsewhere.db\n");
    Service::configure(folder.path(), &moved, EVERYTHING);
    let done = reload(&service, "text").await;
    assert_eq!(done.code, Some(0), "{}", done.said());
    assert!(done.stdout.ends_with("not taken up: `store` takes a restart\n"), "{}", done.stdout);
    assert!(service.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_of_a_thousand_rules_under_load_lose_and_repeat_nothing() {
    let stand = Stand::start(&["shop/api", "shop/web"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s\n    requests_per_second: 100");
    let config = format!("{source}{}", audit(&receiver));
    let other = |n: usize| {
        format!("  - name: other-{n}\n    match: {{repo: none/r{n}}}\n    send_to: [audit]\n")
    };
    let others: String = (0..1000).map(other).collect();
    let service = Service::start(folder.path(), &config, &format!("{EVERYTHING}{others}")).await;
    for round in 0..20 {
        stand.push("shop/api", 50);
        stand.push("shop/web", 50);
        let renamed = others.replace("other-1\n", &format!("round-{round}\n"));
        write_rules(&service, &format!("{EVERYTHING}{renamed}"));
        let done = reload(&service, "text").await;
        assert_eq!(done.code, Some(0), "{}", done.said());
    }
    let rows = stand.rows();
    assert_eq!(rows.len(), 2000);
    until("all is delivered", async || tally(&rows, &receiver.seen()).lost == 0).await;
    let counts = tally(&rows, &receiver.seen());
    assert_eq!((counts.requests, counts.repeats), (2000, 0));
    assert!(service.terminate().await.success());
}

/// The rule that is in force, as the service says it.
async fn rule(service: &Service) -> String {
    let rules = service.json("/api/v1/rules").await;
    rules["items"][0]["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn changed_files_are_taken_up_by_themselves_and_a_broken_change_is_an_alarm() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s");
    let config = format!("{source}{}", audit(&receiver));
    let named = |name: &str| EVERYTHING.replace("everything", name);
    // As a config map is laid out: a link to a link, of which the inner one is swapped.
    let lay = |version: &str, rules: &str| {
        std::fs::create_dir(folder.path().join(version)).unwrap();
        std::fs::write(folder.path().join(version).join("rules.yaml"), rules).unwrap();
        let next = folder.path().join("..next");
        std::os::unix::fs::symlink(version, &next).unwrap();
        std::fs::rename(next, folder.path().join("..data")).unwrap();
    };
    lay("v1", &named("first"));
    let service = Service::start(folder.path(), &config, &named("first")).await;
    std::fs::remove_file(folder.path().join("rules.yaml")).unwrap();
    std::os::unix::fs::symlink("..data/rules.yaml", folder.path().join("rules.yaml")).unwrap();
    assert_eq!(rule(&service).await, "first");

    lay("v2", &named("second"));
    until("the swapped link is followed", async || rule(&service).await == "second").await;
    lay("v3", "rules:\n  - name: [\n");
    until("a broken file is an alarm", async || alarms(&service).await == ["reload"]).await;
    assert_eq!(rule(&service).await, "second");
    let refused = "triggerbell_reloads_total{result=\"refused\"} 1";
    assert!(service.get("/metrics").await.unwrap().contains(refused));
    lay("v4", &named("fourth"));
    until("it is mended", async || rule(&service).await == "fourth").await;
    assert_eq!(alarms(&service).await, [""; 0]);
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_named_pipe_among_the_rules_holds_neither_the_watch_nor_the_end() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s");
    let config = format!("{source}{}", audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;

    let rules = folder.path().join("rules.yaml");
    std::fs::remove_file(&rules).unwrap();
    assert!(Command::new("mkfifo").arg(&rules).status().await.unwrap().success());
    until("the watch refuses it", async || alarms(&service).await.contains(&"reload".to_owned()))
        .await;
    assert!(service.log().contains("a named pipe"), "{}", service.log());
    let refused = reload(&service, "text").await;
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    assert!(refused.said().contains("a named pipe"), "{}", refused.said());
    assert!(service.terminate().await.success());
}
