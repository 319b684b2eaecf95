//! The command line of the real binary: what is printed, on which stream, and with which exit code
//! (design 2.4).

mod asking;
mod checking;
mod explaining;
mod help;
mod outcomes;
mod packaging;
mod planning;
mod replaying;
mod running;
mod sending;
mod standins;
mod testing;

use std::path::Path;

use serde_json::json;

/// Writes a file into a folder.
fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A row as a line.
fn row(number: u32, tag: &str, code: i64) -> String {
    let time = jiff::Timestamp::from_second(1_790_000_000 + i64::from(number)).unwrap();
    let row = json!({
        "time": time, "repo": "shop/api", "tag": tag, "service": "api", "returnCode": code,
        "returnMsg": "said, \"so\"",
    });
    format!("{row}\n")
}

/// A configuration of a file source and a webhook at an address, and a rule for everything.
fn config(folder: &Path, log: &str, url: &str, api: &str) {
    let text = format!(
        "sources:\n  log:\n    file: {log}\n    poll_every: 1s\nreceivers:\n  audit:\n    \
         webhook:\n      url: {url}/hook\nrules: [rules.yaml]\napi:\n{api}"
    );
    write(folder, "triggerbell.yaml", &text);
    write(folder, "rules.yaml", "rules:\n  - name: all\n    match: {}\n    send_to: [audit]\n");
}

/// A port that was free a moment ago, for a service that its own configuration has to lead to.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// SIGINT or SIGTERM to a process that a test started.
async fn signal(child: &tokio::process::Child, name: &str) {
    let id = child.id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill").args([name, &id]).status().await.unwrap();
    assert!(sent.success());
}
