//! The HTTP API of the real binary, met as a stranger would: what it shows, whom it lets write, and
//! what it does with requests that nobody should send.

mod answers;
mod guard;
mod limits;
mod metrics;
mod openapi;
mod quiet;
mod ready;
mod retry;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    http::{self, Answer},
    process::{Service, until},
    receiver::Receiver,
};

/// Everything that failed goes out, what is tagged `v9` is only recorded, the rest matches nothing.
const RULES: &str = "rules:
  - name: failed
    match: {repo: shop/*, returnCode: {not: 0}, tag: 'v[0-8].*'}
    severity: critical
    by: [service]
    send_to: [audit]
  - name: shadowed
    match: {tag: 'v9.*'}
    send_to: [audit]
    mode: shadow
";

/// A line of the log: the `number`-th second of the log, one row.
fn line(number: u32, tag: &str, code: i64) -> String {
    let time = jiff::Timestamp::from_second(1_790_000_000 + i64::from(number)).unwrap();
    let row = json!({
        "time": time, "repo": "shop/api", "tag": tag, "service": "api", "namespace": "prod",
        "clusterId": "cls-1", "clusterRegion": 1, "returnCode": code, "returnMsg": "said so",
    });
    format!("{row}\n")
}

/// A running service that reads a log of lines, and the receiver of its messages.
struct Bell {
    service: Service,
    receiver: Receiver,
    folder: TempDir,
}

impl Bell {
    /// A service whose log holds these lines; `api` is added to the configuration's `api`.
    async fn start(lines: &str, api: &str, receiver: Receiver) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log.jsonl"), lines).unwrap();
        let listen = if api.contains("listen:") { "" } else { "  listen: 127.0.0.1:0\n" };
        let config = format!(
            "sources:\n  shop:\n    file: log.jsonl\n    poll_every: 1s\nreceivers:\n  audit:\n    \
             webhook:\n      url: {0}/audit\n  other:\n    webhook:\n      url: {0}/other\n  \
             chat:\n    slack:\n      webhook_url: {0}/chat\nrules: [rules.yaml]\napi:\n{listen}{api}",
            receiver.url
        );
        write(folder.path(), "triggerbell.yaml", &config);
        write(folder.path(), "rules.yaml", RULES);
        let service = Service::again(folder.path(), &[]).await;
        Self { service, receiver, folder }
    }

    /// One with a log of failures that are all delivered.
    async fn of_failures(count: u32) -> Self {
        let lines: String = (0..count).map(|number| line(number, "v1", 1)).collect();
        let bell = Self::start(&lines, "", Receiver::start().await).await;
        bell.notifications("state=delivered", count as usize).await;
        bell
    }

    fn port(&self) -> u16 {
        port_of(&self.service)
    }

    /// Adds to the log.
    fn append(&self, lines: &str) {
        use std::io::Write;
        let path = self.folder.path().join("log.jsonl");
        let mut file = std::fs::File::options().append(true).open(path).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    async fn get(&self, path: &str) -> Answer {
        http::send(self.port(), &format!("GET {path}"), &[], "").await
    }

    async fn post(&self, path: &str, lines: &[&str], body: &str) -> Answer {
        let mut lines = lines.to_vec();
        lines.push("Content-Type: application/json");
        http::send(self.port(), &format!("POST {path}"), &lines, body).await
    }

    /// The notifications of a query, once there are so many.
    async fn notifications(&self, query: &str, count: usize) -> Vec<Value> {
        let path = format!("/api/v1/notifications?limit=500&{query}");
        let mut items = Vec::new();
        until(&format!("there are {count} notifications of {query}"), async || {
            items = items_of(&self.get(&path).await.json());
            items.len() == count
        })
        .await;
        items
    }

    /// The ids of every item of a list, page by page; `between` is told after each page.
    async fn walk(&self, path: &str, limit: usize, mut between: impl FnMut(usize)) -> Vec<String> {
        let (mut ids, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let list = self.get(&format!("{path}?limit={limit}{cursor}")).await.json();
            assert_eq!(list.as_object().unwrap().len(), 2, "items and next: {list:#}");
            let items = items_of(&list);
            assert!(items.len() <= limit);
            ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(next) = list["next"].as_str() else {
                assert!(list["next"].is_null());
                return ids;
            };
            assert_eq!(items.len(), limit, "only the last page is short");
            cursor = format!("&cursor={next}");
            between(pages);
        }
    }
}

/// The port that a service's API is at.
fn port_of(service: &Service) -> u16 {
    service.url.rsplit(':').next().unwrap().parse().unwrap()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn items_of(list: &Value) -> Vec<Value> {
    list["items"].as_array().unwrap_or_else(|| panic!("no list: {list:#}")).clone()
}

/// A moment for what must not happen to happen in.
async fn moment() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
