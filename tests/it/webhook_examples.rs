//! The examples under `examples/webhooks/`, each sent by the real binary to a stand-in that checks what
//! the real one checks (`docs/webhook-examples.md`).
//!
//! `cargo nextest run webhook_examples --no-capture` prints each request as it was sent, and the
//! verdict.

mod judges;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use serde_json::json;

use crate::support::{
    command::{Ended, command_with},
    process::{Service, until},
    receiver::{Receiver, Reply, Seen},
};
use judges::{JUDGES, Judge, Verdict};

/// A judge at an address, with what it has judged.
struct Court {
    receiver: Receiver,
    verdicts: Arc<Mutex<Vec<Verdict>>>,
    judge: Judge,
}

impl Court {
    async fn of(name: &str) -> Self {
        Self::busy_at_first(name, 0).await
    }

    /// One that says to the first few that it has no time.
    async fn busy_at_first(name: &str, busy: usize) -> Self {
        let judge = *JUDGES.iter().find(|judge| judge.name == name).unwrap();
        let verdicts: Arc<Mutex<Vec<Verdict>>> = Arc::default();
        let kept = verdicts.clone();
        let number = AtomicUsize::new(0);
        let receiver = Receiver::answering(move |_, seen| {
            let verdict = if number.fetch_add(1, Ordering::Relaxed) < busy {
                (judge.busy)()
            } else {
                (judge.judge)(seen, Timestamp::now())
            };
            print(judge.name, seen, &verdict);
            let mut reply = Reply::status(verdict.status).body(verdict.body.clone());
            for (name, value) in &verdict.headers {
                reply = reply.header(name, value.clone());
            }
            kept.lock().unwrap().push(verdict);
            reply
        })
        .await;
        Self { receiver, verdicts, judge }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("TENCENTCLOUD_SECRET_ID", "not-needed".to_owned()),
            ("TENCENTCLOUD_SECRET_KEY", "not-needed".to_owned()),
        ];
        let (name, path) = self.judge.address;
        environment.push((name, format!("{}{path}", self.receiver.url)));
        environment
            .extend(self.judge.secrets.iter().map(|(name, value)| (*name, (*value).to_owned())));
        environment
    }

    async fn send(&self, args: &[&str]) -> Ended {
        self.send_with(args, &[]).await
    }

    /// Sends by the example, with these variables in place of the right ones.
    async fn send_with(&self, args: &[&str], other: &[(&'static str, String)]) -> Ended {
        let mut environment = self.environment();
        environment.retain(|(name, _)| other.iter().all(|(wrong, _)| wrong != name));
        environment.extend(other.iter().cloned());
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let config = format!("examples/webhooks/{}.yaml", self.judge.name);
        let args = [&["send", "team", "--config", &config], args].concat();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let ended = command_with(root, &args, &environment, "").await;
        for (_, secret) in self.judge.secrets {
            assert!(!ended.all().contains(secret), "{ended:?}");
        }
        ended
    }

    /// Why each request was refused, `None` where it was not.
    fn refusals(&self) -> Vec<Option<String>> {
        let verdicts = self.verdicts.lock().unwrap();
        verdicts.iter().map(|verdict| verdict.why.clone()).collect()
    }
}

/// A request as it was sent, and the verdict.
fn print(name: &str, seen: &Seen, verdict: &Verdict) {
    println!("── {name}\n{} {}", seen.method, seen.path);
    for (header, value) in &seen.headers {
        println!("{header}: {}", value.to_str().unwrap_or("…"));
    }
    println!("\n{}", seen.body);
    let word = verdict.why.as_ref().map_or("accepted".to_owned(), |why| format!("refused: {why}"));
    println!("→ {word}: {} {}\n", verdict.status, verdict.body);
}

/// Files with entries: what is usual, what is hostile, what is long, what went well, and many.
fn entry_files(folder: &Path) -> Vec<String> {
    let hostile = "\"}],\\ @all <at user_id=\"all\">x</at> [safe](http://evil) ```\n# `x` <@1> ${x} {{now_s}}";
    let row = |number: i64, tag: &str, code: i64, message: &str| {
        let time = Timestamp::from_second(1_790_000_000 + number).unwrap();
        json!({
            "time": time, "repo": "shop/api", "tag": tag, "service": "api", "clusterId": "cls-1",
            "namespace": "prod", "returnCode": code, "returnMsg": message,
        })
        .to_string()
    };
    let many: Vec<_> = (0..300).map(|n| row(n, &format!("v{n}"), 1, "部署失败")).collect();
    let files = [
        ("usual", row(1, "v1.2.3", 404, "no such deployment")),
        ("hostile", row(1, hostile, 1, hostile)),
        ("long", row(1, &"长".repeat(120), 1, &"部署失败，原因未知。".repeat(3_000))),
        ("well", row(1, "v1.2.4", 0, "ok")),
        ("many", many.join("\n")),
        ("bare", r#"{"time": "2026-03-02T01:00:05Z", "repo": "shop/api"}"#.to_owned()),
    ];
    let write = |(name, text): &(&str, String)| {
        let path = folder.join(format!("{name}.jsonl"));
        std::fs::write(&path, format!("{text}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    files.iter().map(write).collect()
}

#[tokio::test]
async fn each_example_is_accepted_whatever_it_tells_of() {
    let folder = tempfile::tempdir().unwrap();
    let files = entry_files(folder.path());
    for judge in JUDGES {
        let court = Court::of(judge.name).await;
        let sample = court.send(&[]).await;
        assert_eq!(sample.code, 0, "{}: {sample:?}", judge.name);
        assert!(sample.out.starts_with("delivered to team (HTTP 20"), "{}", sample.out);
        for file in &files {
            let ended = court.send(&["--entry", file]).await;
            assert_eq!(ended.code, 0, "{}, {file}: {ended:?}", judge.name);
        }
        assert!(court.refusals().len() > files.len(), "one request for each at least");
        assert!(court.refusals().iter().all(Option::is_none), "{:?}", court.refusals());
    }
}

#[tokio::test]
async fn what_does_not_fit_into_one_message_goes_as_several_where_the_example_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let many = entry_files(folder.path()).into_iter().find(|file| file.contains("many")).unwrap();
    for (name, least) in [("dingtalk", 2), ("feishu", 2), ("teams", 1)] {
        let court = Court::of(name).await;
        let ended = court.send(&["--entry", &many]).await;
        assert_eq!(ended.code, 0, "{name}: {ended:?}");
        let seen = court.receiver.seen();
        assert!(seen.len() >= least, "{name}: {} messages", seen.len());
        let ids: std::collections::BTreeSet<_> = seen.iter().map(Seen::id).collect();
        assert_eq!(ids.len(), seen.len(), "each has an id of its own");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_by_each_that_has_one_and_said_to_be() {
    for judge in JUDGES {
        let court = Court::of(judge.name).await;
        for (name, wrong, says) in judge.wrong {
            let wrong = match *name {
                name if name == judge.address.0 => format!("{}{wrong}", court.receiver.url),
                _ => (*wrong).to_owned(),
            };
            let ended = court.send_with(&[], &[(name, wrong)]).await;
            assert_eq!(ended.code, 1, "{}: {ended:?}", judge.name);
            assert!(ended.err.contains(says), "{}: {}", judge.name, ended.err);
        }
        assert!(court.refusals().iter().all(Option::is_some), "{:?}", court.refusals());
    }
}

#[tokio::test]
async fn each_that_has_no_time_is_asked_again_later() {
    for judge in JUDGES {
        let court = Court::busy_at_first(judge.name, 1).await;
        let ended = court.send(&[]).await;
        assert_eq!(ended.code, 69, "{}: {ended:?}", judge.name);
        let throttled = ended.err.contains("throttle");
        assert_eq!(throttled, judge.throttles, "{}: {}", judge.name, ended.err);
        assert_eq!(court.send(&[]).await.code, 0, "{}", judge.name);
    }
}

/// A running service with the receivers of these examples, under the examples' names.
async fn serve(folder: &Path, courts: &[Court], rows: &str) -> Service {
    let mut receivers = String::new();
    let mut environment = Vec::new();
    for court in courts {
        let name = court.judge.name;
        let example = std::fs::read_to_string(format!("examples/webhooks/{name}.yaml")).unwrap();
        let (_, rest) = example.split_once("\nreceivers:\n").unwrap();
        let (block, _) = rest.split_once("\nrules:").unwrap();
        receivers +=
            &block.replacen("  team:", &format!("  {name}:"), 1).replace("after: 1m", "after: 1s");
        environment.extend(court.environment());
    }
    let templates = std::fs::canonicalize("examples/webhooks/templates").unwrap();
    let config = format!(
        "sources:\n  log:\n    file: log.jsonl\nreceivers:\n{receivers}\ntemplates: {}\n",
        templates.display()
    );
    std::fs::write(folder.join("log.jsonl"), rows).unwrap();
    let names: Vec<_> = courts.iter().map(|court| court.judge.name).collect();
    let rules =
        format!("rules:\n  - {{name: all, match: {{}}, send_to: [{}]}}\n", names.join(", "));
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Service::start_with(folder, &config, &rules, &environment).await
}

const ROW: &str =
    "{\"time\": \"2026-03-02T01:00:05Z\", \"repo\": \"shop/api\", \"returnCode\": 1}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_sends_what_each_takes() {
    let folder = tempfile::tempdir().unwrap();
    let files = entry_files(folder.path());
    let files = files.iter().filter(|file| !file.contains("many"));
    let rows: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let mut courts = Vec::new();
    for judge in JUDGES {
        courts.push(Court::of(judge.name).await);
    }
    let service = serve(folder.path(), &courts, &rows).await;
    until("all is delivered", async || {
        let refused = courts.iter().flat_map(Court::refusals).flatten().next();
        assert_eq!(refused, None);
        courts.iter().all(|court| court.receiver.count() >= rows.lines().count())
    })
    .await;
    assert!(service.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_by_the_service_is_signed_anew_and_nothing_secret_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let court = Court::busy_at_first("feishu", 1).await;
    let service = serve(folder.path(), std::slice::from_ref(&court), ROW).await;
    let list = async || service.json("/api/v1/notifications").await["items"][0].clone();
    until("it is delivered", async || list().await["state"] == "delivered").await;

    let seen = court.receiver.seen();
    assert_eq!((seen.len(), seen[0].id()), (2, seen[1].id()));
    assert_ne!(seen[0].json()["sign"], seen[1].json()["sign"]);
    assert_eq!(court.refusals()[1], None, "the second signature holds");
    let id = list().await["id"].as_str().unwrap().to_owned();
    let payload = service.json(&format!("/api/v1/notifications/{id}")).await["payload"].clone();
    let sign = r#"{{base64 (hmac_sha256 (concat now_s "\n" secrets.sign) "")}}"#;
    assert_eq!((&payload["timestamp"], &payload["sign"]), (&json!("{{now_s}}"), &json!(sign)));
    assert!(service.terminate().await.success());
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for (name, secret) in court.judge.secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {name}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captured_values_are_shown_with_the_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let court = Court::of("discord").await;
    let service = serve(folder.path(), std::slice::from_ref(&court), ROW).await;
    let list = async || service.json("/api/v1/notifications").await["items"][0].clone();
    until("it is delivered", async || list().await["state"] == "delivered").await;
    let id = list().await["id"].as_str().unwrap().to_owned();
    let shown = service.json(&format!("/api/v1/notifications/{id}")).await;
    let captured = json!({"message": "1099511627776", "channel": "42"});
    assert_eq!(shown["attempt_list"][0]["captured"], captured, "{shown:#}");
    assert!(service.terminate().await.success());
}
