//! `replay`: what rules would have done, and what others would change.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    command::command,
    process::{Registry, Service, ran, until},
};

const CONFIG: &str = "sources:
  shop:
    file: {path: log.json}
receivers:
  ops-wecom:
    wecom: {key: 693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa}
    pace: 2/1m
  dev-slack:
    slack: {webhook_url: 'https://hooks.slack.com/services/T1/B1/planted'}
rules: [rules.yaml]
";

/// The blocks of the page that are of a kind.
fn blocks(kind: &str) -> Vec<String> {
    let page = fs::read_to_string("docs/replay.md").unwrap();
    let begin = format!("```{kind}\n");
    let blocks = page.split(&begin).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The page's own rule sets and history in a folder.
fn write(folder: &Path) {
    fs::write(folder.join("triggerbell.yaml"), CONFIG).unwrap();
    let [old, new] = &blocks("yaml")[..] else { panic!("two rule sets") };
    fs::write(folder.join("rules.yaml"), old).unwrap();
    fs::write(folder.join("new.yaml"), new).unwrap();
    fs::write(folder.join("history.jsonl"), &blocks("json")[0]).unwrap();
}

#[tokio::test]
async fn the_pages_example_is_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let texts = blocks("text");
    let alone = command(folder.path(), &["replay", "--entries", "history.jsonl"]).await;
    assert_eq!((alone.code, alone.err.as_str()), (0, ""));
    assert_eq!(alone.out, texts[0]);
    let args = ["replay", "--entries", "history.jsonl", "--against", "new.yaml"];
    let compared = command(folder.path(), &args).await;
    assert_eq!((compared.code, compared.err.as_str()), (1, ""));
    assert_eq!(compared.out, texts[1]);
    assert!(!compared.out.contains("planted"));
    let itself = ["replay", "--entries", "history.jsonl", "--against", "rules.yaml"];
    let compared = command(folder.path(), &itself).await;
    assert_eq!(compared.code, 0, "{}", compared.all());
    assert!(compared.out.contains("no difference"), "{}", compared.out);
}

#[tokio::test]
async fn json_names_every_message_and_every_difference_and_swap_turns_it_round() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let args = ["replay", "--entries", "history.jsonl", "--format", "json"];
    let alone = command(folder.path(), &args).await.json();
    let messages = alone["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 7);
    assert_eq!(messages[0]["receiver"], "ops-wecom");
    assert_eq!(messages[0]["at"], "2026-03-02T01:00:00Z");
    assert_eq!(messages[0]["entry"]["tag"], "v1.2.3");
    assert_eq!(alone["rules"]["receivers"]["ops-wecom"]["longest_delay_s"], 40.0);
    assert_eq!(alone["rules"]["receivers"]["ops-wecom"]["peak_per_minute"], 3);
    assert_eq!(alone["rules"]["rules"]["shop-state"]["matched"], 3);
    let changes = async |more: &[&str]| {
        let args = [&args[..], &["--against", "new.yaml"], more].concat();
        let compared = command(folder.path(), &args).await;
        assert_eq!(compared.code, 1, "{}", compared.all());
        compared.json()
    };
    let there = changes(&[]).await;
    let kinds = |json: &Value, wanted: &str| {
        let all = json["differences"].as_array().unwrap().iter();
        all.filter(|one| one["change"] == wanted).cloned().collect::<Vec<_>>()
    };
    assert_eq!(there["different"], true);
    let [added] = &kinds(&there, "added")[..] else { panic!("one is added: {there:#}") };
    assert_eq!((&added["new"]["rule"], &added["old"]), (&"pushed".into(), &Value::Null));
    assert_eq!(kinds(&there, "re-routed").len(), 2);
    assert_eq!(there["receivers"]["dev-slack"]["re-worded"], 4);
    let reworded = &kinds(&there, "re-worded")[0];
    assert!(reworded["new_text"].as_str().unwrap().contains("critical"), "{reworded:#}");
    let back = changes(&["--swap"]).await;
    let [gone] = &kinds(&back, "gone")[..] else { panic!("one is gone: {back:#}") };
    assert_eq!(gone["old"], added["new"]);
    assert_eq!(back["new"]["name"], "triggerbell.yaml");
}

#[tokio::test]
async fn markdown_holds_no_markup_of_strangers() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let row = r#"{"time":"2026-03-02 09:00:00","repo":"shop/api","tag":"latest","service":"<img src=x>|@channel*"}"#;
    fs::write(folder.path().join("history.jsonl"), row).unwrap();
    let args = "replay --entries history.jsonl --against new.yaml --format markdown";
    let args: Vec<_> = args.split(' ').collect();
    let compared = command(folder.path(), &args).await;
    assert_eq!(compared.code, 1, "{}", compared.all());
    assert!(compared.out.contains("| ops-wecom | 0 → 1 | 1 |"), "{}", compared.out);
    assert!(
        compared.out.contains(r"service &lt;img src=x&gt;\|@<!-- -->channel\*"),
        "{}",
        compared.out
    );
}

fn git(folder: &Path, args: &[&str]) {
    let who = ["-c", "user.email=a@b.example", "-c", "user.name=a"];
    let ran = Command::new("git").arg("-C").arg(folder).args(who).args(args).output().unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test]
async fn a_git_revision_is_compared_with_as_a_file_a_folder_and_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("deploy");
    fs::create_dir_all(inner.join("rules")).unwrap();
    write(&inner);
    fs::rename(inner.join("new.yaml"), inner.join("rules/shop.yaml")).unwrap();
    git(folder.path(), &["init", "-q", "-b", "main"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "one"]);
    // What the work tree holds does not matter.
    fs::remove_dir_all(inner.join("rules")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let against = async |what: &str| {
        let args = ["replay", "--entries", "history.jsonl", "--against", what];
        ran(&inner, &args, &[("PATH", &path)]).await
    };
    let sum = "1 added, 1 gone, 2 re-routed, 4 re-worded";
    for what in [
        "git:main:deploy/rules",
        "git:HEAD:./rules/shop.yaml",
        "HEAD:deploy/rules/",
        "git:main:./rules",
    ] {
        let compared = against(what).await;
        assert_eq!(compared.code, Some(1), "{what}: {}", compared.said());
        assert!(compared.stdout.contains(sum), "{what}: {}", compared.said());
        assert!(
            compared.stdout.contains(&format!("to the new ones, {what}:")),
            "{}",
            compared.stdout
        );
    }
    for what in ["git:main", "git:main:deploy", "git:main:./triggerbell.yaml"] {
        let compared = against(what).await;
        assert_eq!(compared.code, Some(0), "{what}: {}", compared.said());
    }
    for (what, remedy) in [
        ("git:mian:deploy/rules", "git branch --all"),
        ("git:main:deploy/rulse", "git ls-tree"),
        ("nowhere", "git:REV:PATH"),
        ("git:--output=x:a", "git:REV"),
    ] {
        let compared = against(what).await;
        assert_eq!(compared.code, Some(78), "{what}: {}", compared.said());
        assert!(compared.stderr.contains(remedy), "{what}: {}", compared.stderr);
        assert_eq!(compared.stdout, "", "{what}");
    }
}

#[tokio::test]
async fn other_rules_that_are_not_sound_are_told_as_check_tells_them() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let broken = "rules:\n  - {name: a, match: {}, send_to: [ops-wecm]}\n";
    fs::write(folder.path().join("new.yaml"), broken).unwrap();
    let args = ["replay", "--entries", "history.jsonl", "--against", "new.yaml"];
    let compared = command(folder.path(), &args).await;
    assert_eq!(compared.code, 78, "{}", compared.all());
    assert!(
        compared.err.contains("new.yaml:2:") && compared.err.contains("ops-wecom"),
        "{}",
        compared.err
    );
    for (since, code) in [("1h", 0), ("2026-03-02T09:01:00", 0), ("yesterday", 2)] {
        let args = ["replay", "--entries", "history.jsonl", "--since", since, "--format", "json"];
        let since_then = command(folder.path(), &args).await;
        assert_eq!(since_then.code, code, "{since}: {}", since_then.all());
        if since.starts_with("2026") {
            // 09:01 in Shanghai: two entries are later.
            assert_eq!(since_then.json()["history"]["entries"], 2);
        }
    }
}

/// A log of a file source with the page's rows.
#[tokio::test]
async fn the_database_of_a_service_that_runs_gives_what_the_service_sent() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    fs::copy(folder.path().join("history.jsonl"), folder.path().join("log.json")).unwrap();
    let config = CONFIG.replace("rules: [rules.yaml]\n", "");
    let rules = fs::read_to_string(folder.path().join("rules.yaml")).unwrap();
    let args = ["replay", "--store", "--format", "json"];
    let none = command(folder.path(), &args).await;
    assert_eq!(none.code, 69, "{}", none.all());
    assert!(none.err.contains("triggerbell.db") && none.err.contains("--data-dir"), "{}", none.err);
    assert!(!folder.path().join("triggerbell.db").exists(), "nothing is made");

    let service = Service::start(folder.path(), &config, &rules).await;
    let page = "/api/v1/notifications?limit=500";
    let sent = async || -> BTreeSet<String> {
        let items = service.json(page).await["items"].as_array().cloned().unwrap();
        let of_rules = items.iter().filter(|it| it["rule"] != "");
        of_rules.map(|it| it["id"].to_string()).collect()
    };
    until("all of it is decided", async || sent().await.len() == 7).await;
    let replayed = command(folder.path(), &args).await;
    assert_eq!(replayed.code, 0, "{}", replayed.all());
    let ids = |json: Value| -> BTreeSet<String> {
        let messages = json["messages"].as_array().cloned().unwrap();
        messages.iter().map(|it| it["id"].to_string()).collect()
    };
    assert_eq!(ids(replayed.json()), sent().await, "the same messages under the same ids");
    assert!(service.terminate().await.success());
    let replayed = command(folder.path(), &args).await;
    assert_eq!((replayed.code, ids(replayed.json()).len()), (0, 7));
}

#[tokio::test]
async fn a_sources_own_history_is_read_with_all_its_pages() {
    let registry = Registry::start(&["--repos", "shop/api,shop/web", "--backlog", "450"]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{}receivers:\n  dev-slack: {{slack: {{webhook_url: 'https://hooks.slack.com/services/T1/B1/x'}}}}\n\
         rules: [rules.yaml]\n",
        registry.source("")
    );
    fs::write(folder.path().join("triggerbell.yaml"), config).unwrap();
    let rules = "rules:\n  - {name: all, match: {}, send_to: [dev-slack]}\n";
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let args = ["replay", "--source", "shop", "--format", "json"];
    let replayed = command(folder.path(), &args).await;
    assert_eq!(replayed.code, 0, "{}", replayed.all());
    let json = replayed.json();
    assert_eq!(json["history"]["entries"], 450);
    let messages = json["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 450);
    let times: Vec<_> = messages.iter().map(|it| it["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "in the order of time");
    let unknown = command(folder.path(), &["replay", "--source", "shp"]).await;
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("did you mean shop?"), "{}", unknown.err);
}
