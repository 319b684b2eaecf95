//! `simulate` and `demo`.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
};

use super::signal;
use crate::support::{
    http,
    process::{PATIENCE, triggerbell},
};

fn start(args: &[&str], tmp: &std::path::Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = triggerbell();
    command.args(args).current_dir(tmp).env("TMPDIR", tmp).stderr(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    line.expect("there is another line")
}

/// The exit code, with nothing said on standard error.
async fn ended(mut child: Child) -> i32 {
    let mut err = String::new();
    let mut stderr = child.stderr.take().unwrap();
    tokio::time::timeout(PATIENCE, stderr.read_to_string(&mut err)).await.unwrap().unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(err, "");
    status.code().unwrap_or_else(|| panic!("{status}"))
}

#[tokio::test]
async fn simulate_prints_exactly_four_lines_and_ends_when_interrupted() {
    for name in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let args = ["simulate", "--listen", "127.0.0.1:0", "--repos", "a/b,c/d", "--rate", "9/s"];
        let (child, mut lines) = start(&args, folder.path());
        let url = next(&mut lines).await;
        let url = url.strip_prefix("listening on http://127.0.0.1:").unwrap();
        let port: u16 = url.trim_end_matches('/').parse().unwrap();
        let id = next(&mut lines).await;
        assert!(id.strip_prefix("secret_id: ").is_some_and(|id| !id.contains(' ')), "{id}");
        let key = next(&mut lines).await;
        assert!(key.strip_prefix("secret_key: ").is_some_and(|key| !key.contains(' ')), "{key}");
        assert_eq!(next(&mut lines).await, "repos: a/b,c/d");
        assert!(http::send(port, "GET /v2/index.php", &[], "").await.status > 0, "it listens");
        signal(&child, name).await;
        assert_eq!(lines.next_line().await.unwrap(), None, "four lines and no more");
        assert_eq!(ended(child).await, 0);
    }
}

#[tokio::test]
async fn demo_serves_the_wall_prints_a_line_for_each_message_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["demo", "--for", "5s", "--listen", "127.0.0.1:0", "--rate", "5/s"];
    let (child, mut lines) = start(&args, folder.path());
    let wall = next(&mut lines).await;
    let port = |line: &str| -> u16 {
        let (_, rest) = line.split_once("http://127.0.0.1:").unwrap_or_else(|| panic!("{line}"));
        rest.trim_end_matches('/').parse().unwrap()
    };
    assert!(wall.starts_with("chat wall: "), "{wall}");
    let wall = port(&wall);
    let status = port(&next(&mut lines).await);
    let page = http::send(wall, "GET /", &[], "").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<html"), "{}", page.body);
    assert_eq!(http::send(status, "GET /healthz", &[], "").await.status, 200);
    let mut messages = Vec::new();
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap()
    {
        if line.starts_with("slack ") || line.starts_with("wecom ") {
            messages.push(line);
        }
    }
    assert!(messages.iter().any(|line| line.starts_with("slack ")), "{messages:?}");
    assert!(messages.iter().any(|line| line.starts_with("wecom ")), "{messages:?}");
    assert_eq!(ended(child).await, 0);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "no folder is left behind");
}

#[tokio::test]
async fn a_demo_of_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        crate::support::process::ran(folder.path(), &["demo", "--rate", "0/s"], &[]).await;
    assert_eq!(refused.code, Some(2), "{}", refused.said());
    assert!(refused.stderr.contains("nothing would be pushed"), "{}", refused.said());
}

#[tokio::test]
async fn demo_ends_when_interrupted_and_goes_on_when_nobody_reads_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (child, mut lines) = start(&["demo", "--listen", "127.0.0.1:0"], folder.path());
    let wall = next(&mut lines).await;
    let (_, port) = wall.rsplit_once(':').unwrap();
    let port: u16 = port.trim_end_matches('/').parse().unwrap();
    while !next(&mut lines).await.starts_with("slack ") {}
    drop(lines);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(http::send(port, "GET /", &[], "").await.status, 200, "the wall goes on");
    signal(&child, "-INT").await;
    assert_eq!(ended(child).await, 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no folder is left behind");
}

#[tokio::test]
async fn every_repository_of_a_simulated_registry_is_found_before_it_has_rows() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["simulate", "--listen", "127.0.0.1:0", "--repos", "a/b,c/d"];
    let (child, mut lines) = start(&args, folder.path());
    let mut said = Vec::new();
    for _ in 0..4 {
        said.push(next(&mut lines).await.split_once(' ').unwrap().1.to_owned());
    }
    let url = said[0].strip_prefix("on ").unwrap().trim_end_matches('/').to_owned();
    let (id, key) = (&said[1], &said[2]);
    for kind in ["ccr", "tcr_personal"] {
        let (path, region) =
            if kind == "ccr" { ("/v2/index.php", "") } else { ("/", ", region: ap-guangzhou") };
        let text = format!(
            "sources:\n  log:\n    discover: {{}}\n    {kind}: {{endpoint: '{url}{path}', secret_id: {id}, \
             secret_key: {key}{region}}}\nreceivers: {{ops: {{slack: {{webhook_url: \
             'http://127.0.0.1:9/x'}}}}}}\nrules: []\n"
        );
        std::fs::write(folder.path().join("triggerbell.yaml"), text).unwrap();
        let args = ["plan", "--format", "json"];
        let ended = crate::support::command::command(folder.path(), &args).await;
        assert_eq!(ended.code, 0, "{kind}: {ended:?}");
        assert_eq!(ended.json()["sources"][0]["repos"], 2, "{kind}");
    }
    signal(&child, "-INT").await;
    assert_eq!(ended(child).await, 0);
}

#[tokio::test]
async fn what_simulate_can_not_serve_is_a_mistake_of_usage() {
    let folder = tempfile::tempdir().unwrap();
    let free = "127.0.0.1:0";
    for (listen, repos) in [
        ("nope", "a/b"),
        ("127.0.0.1:99999", "a/b"),
        (free, "bad repo"),
        (free, ""),
        (free, "a/b,,a/b"),
        (free, "a/b,a/b"),
        (free, "api"),
    ] {
        let args = ["simulate", "--listen", listen, "--repos", repos];
        let ended = crate::support::command::command(folder.path(), &args).await;
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}: {ended:?}");
    }
}
