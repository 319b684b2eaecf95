//! `run`: what it reads, what it refuses to start with, how it logs and how it ends.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Child,
};

use super::{config, free_port, row, signal, write};
use crate::support::{
    command::{Ended, command, command_with},
    process::{PATIENCE, Service, triggerbell, until},
    receiver::Receiver,
};

const ANY_PORT: &str = "  listen: 127.0.0.1:0\n";

#[tokio::test]
async fn what_a_file_holds_becomes_messages() {
    let answer = r#"{"code":0,"message":"","codeDesc":"Success","data":{"totalCount":2,"logInfo":[
        {"repoName":"shop/api","tagName":"v1","triggerName":"t","invokeSource":"IMAGE_PUSH",
         "invokeAction":"SERVICE_UPDATE","invokeTime":"2026-11-01 10:00:00",
         "invokeCondition":{"invokeMethod":"all","invokeExpr":""},
         "invokePara":{"appId":"1","clusterId":"c","namespace":"n","serviceName":"api",
          "containerName":"api","clusterRegion":1},"invokeResult":{"returnCode":0,"returnMsg":""}},
        {"repoName":"shop/web","tagName":"v2","triggerName":"t","invokeSource":"IMAGE_PUSH",
         "invokeAction":"SERVICE_UPDATE","invokeTime":"2026-11-01 10:00:01",
         "invokeCondition":{"invokeMethod":"all","invokeExpr":""},
         "invokePara":{"appId":"1","clusterId":"c","namespace":"n","serviceName":"web",
          "containerName":"web","clusterRegion":1},"invokeResult":{"returnCode":1,"returnMsg":"x"}}]}}"#;
    let lines = row(1, "v1", 0) + &row(2, "v2", 1);
    for text in [answer, &lines] {
        let receiver = Receiver::start().await;
        let folder = tempfile::tempdir().unwrap();
        config(folder.path(), "log.jsonl", &receiver.url, ANY_PORT);
        write(folder.path(), "log.jsonl", text);
        let service = Service::again(folder.path(), &[]).await;
        until("both are delivered", async || receiver.count() == 2).await;
        let mut tags: Vec<_> = receiver
            .seen()
            .iter()
            .map(|seen| seen.json()["data"]["entry"]["tag"].as_str().unwrap().to_owned())
            .collect();
        tags.sort_unstable();
        assert_eq!(tags, ["v1", "v2"]);
        assert!(service.terminate().await.success());
    }
}

#[tokio::test]
async fn standard_input_becomes_messages_and_its_end_is_no_trouble() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    config(folder.path(), "'-'", &receiver.url, &format!("  listen: 127.0.0.1:{port}\n"));
    let mut command = triggerbell();
    command.arg("run").current_dir(folder.path()).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = (0..30).map(|number| row(number, "v1", 1)).collect();
    stdin.write_all(lines.as_bytes()).await.unwrap();
    drop(stdin);
    until("all are delivered", async || receiver.by_id().len() == 30).await;
    let url = format!("http://127.0.0.1:{port}");
    until("it is ready", async || {
        command_at(folder.path(), &["healthcheck", "--url", &url]).await.code == 0
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let ended = command_at(folder.path(), &["healthcheck", "--url", &url]).await;
    assert_eq!(ended.code, 0, "a log that was read to its end is no blind source: {ended:?}");
    assert_eq!(receiver.count(), 30);
    signal(&child, "-INT").await;
    assert_eq!(ended_with(&mut child).await, 0);
}

async fn command_at(folder: &Path, args: &[&str]) -> Ended {
    command(folder, args).await
}

/// The exit code of a process that is ending.
async fn ended_with(child: &mut Child) -> i32 {
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    status.code().unwrap_or_else(|| panic!("{status}"))
}

#[tokio::test]
async fn a_broken_configuration_starts_nothing_and_all_of_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    config(folder.path(), "log.jsonl", "nonsense", ANY_PORT);
    write(
        folder.path(),
        "rules.yaml",
        "rules:\n  - name: a\n    mtch: {}\n    send_to: [nobody]\n",
    );
    let ended = command(folder.path(), &["run"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (78, ""));
    for text in ["error[", "mtch", "nobody", "nothing was started", "rules.yaml:3:"] {
        assert!(ended.err.contains(text), "{text}: {}", ended.err);
    }
    assert!(ended.err.matches("error[").count() >= 3, "all problems: {}", ended.err);
    assert!(!folder.path().join("triggerbell.db").exists());

    let empty = tempfile::tempdir().unwrap();
    let ended = command(empty.path(), &["run"]).await;
    assert_eq!(ended.code, 78);
    assert!(
        ended.err.contains("--config") && ended.err.contains("TRIGGERBELL_CONFIG"),
        "{ended:?}"
    );
    let ended = command(empty.path(), &["run", "--config", "nowhere.yaml"]).await;
    assert_eq!(ended.code, 78);
    assert!(ended.err.contains("nowhere.yaml"), "{ended:?}");
}

#[tokio::test]
async fn what_others_hold_is_said_with_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    config(
        folder.path(),
        "log.jsonl",
        "http://127.0.0.1:9",
        &format!("  listen: 127.0.0.1:{port}\n"),
    );
    let ended = command(folder.path(), &["run"]).await;
    assert_eq!(ended.code, 69, "{ended:?}");
    assert!(ended.err.contains("api.listen") && ended.err.contains(&port.to_string()), "{ended:?}");

    let free = format!("127.0.0.1:{}", free_port());
    let service_folder = tempfile::tempdir().unwrap();
    let own = free_port();
    config(
        service_folder.path(),
        "log.jsonl",
        "http://127.0.0.1:9",
        &format!("  listen: 127.0.0.1:{own}\n"),
    );
    write(service_folder.path(), "log.jsonl", "");
    let service = Service::again(service_folder.path(), &[]).await;
    let second = command(service_folder.path(), &["run", "--listen", &free]).await;
    assert_eq!(second.code, 69, "{second:?}");
    assert!(second.err.contains("triggerbell.db"), "{}", second.err);
    assert!(service.terminate().await.success());

    write(service_folder.path(), "triggerbell.db", &"this is no database. ".repeat(500));
    let damaged = command(service_folder.path(), &["run", "--listen", &free]).await;
    assert_eq!(damaged.code, 78, "{damaged:?}");
    let taken_simulate = format!("127.0.0.1:{port}");
    for args in [["simulate", "--listen", &taken_simulate], ["demo", "--listen", &taken_simulate]] {
        let ended = command(folder.path(), &args).await;
        assert_eq!(ended.code, 69, "{args:?}: {ended:?}");
        assert!(ended.err.contains("listen"), "{}", ended.err);
    }
    drop(taken);
}

/// Runs a service until it has started, interrupts it, and gives what it logged.
async fn log_of(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> String {
    let mut command = triggerbell();
    command.args(args).current_dir(folder).envs(env.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    // Whatever the log's level, the database is there once it has started.
    until("it has started", async || folder.join("triggerbell.db").exists()).await;
    signal(&child, "-TERM").await;
    let mut log = String::new();
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap()
    {
        log += &(line + "\n");
    }
    assert_eq!(ended_with(&mut child).await, 0, "{log}");
    log
}

#[tokio::test]
async fn the_log_has_the_form_and_the_level_that_were_asked_for() {
    let run = async |args: &[&str], env: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        config(folder.path(), "log.jsonl", "http://127.0.0.1:9", ANY_PORT);
        write(folder.path(), "log.jsonl", &row(1, "v1", 1));
        log_of(folder.path(), args, env).await
    };
    let json = run(&["run", "--log", "json"], &[]).await;
    assert!(json.lines().count() > 1, "{json}");
    for line in json.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
        assert!(line["timestamp"].is_string(), "{line}");
    }
    let text = run(&["run"], &[]).await;
    assert!(text.contains("INFO") && text.contains("the status page"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours in a pipe: {text}");
    let quiet = run(&["run"], &[("RUST_LOG", "error")]).await;
    assert!(!quiet.contains("INFO"), "{quiet}");
    let bad = run(&["run"], &[("RUST_LOG", "inof")]).await;
    assert!(bad.contains("RUST_LOG") && bad.contains("INFO"), "{bad}");
    let worse = run(&["run", "--log", "json"], &[("RUST_LOG", "a=b=c")]).await;
    assert!(worse.contains("RUST_LOG can't be understood"), "{worse}");
    let module = run(&["run"], &[("RUST_LOG", "triggerbell=info,hyper=off")]).await;
    assert!(module.contains("INFO") && !module.contains("RUST_LOG"), "{module}");
}

#[tokio::test]
async fn the_data_folder_is_where_it_was_said_to_be() {
    for (args, env, place) in [
        (&["run"][..], &[][..], "triggerbell.db"),
        (&["run", "--data-dir", "flag"], &[("TRIGGERBELL_DATA", "env")], "flag/triggerbell.db"),
        (&["run"], &[("TRIGGERBELL_DATA", "env")], "env/triggerbell.db"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        config(folder.path(), "log.jsonl", "http://127.0.0.1:9", ANY_PORT);
        write(folder.path(), "log.jsonl", "");
        std::fs::create_dir(folder.path().join("flag")).unwrap();
        std::fs::create_dir(folder.path().join("env")).unwrap();
        let mut command = triggerbell();
        command.args(args).current_dir(folder.path()).envs(env.iter().copied());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        until(place, async || folder.path().join(place).exists()).await;
        signal(&child, "-INT").await;
        assert_eq!(ended_with(&mut child).await, 0);
    }
    let folder = tempfile::tempdir().unwrap();
    config(folder.path(), "log.jsonl", "http://127.0.0.1:9", ANY_PORT);
    let env = [("TRIGGERBELL_DATA", "/nowhere/at/all")];
    let ended = command_with(folder.path(), &["run"], &env, "").await;
    assert!([69, 78].contains(&ended.code), "{ended:?}");
    assert!(ended.err.contains("/nowhere/at/all"), "{}", ended.err);
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    config(folder.path(), "log.jsonl", &receiver.url, &format!("  listen: 127.0.0.1:{port}\n"));
    write(folder.path(), "log.jsonl", "");
    let mut command = triggerbell();
    command.arg("run").env("RUST_LOG", "debug").current_dir(folder.path());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    drop(lines);
    write(folder.path(), "log.jsonl", &row(1, "v1", 1));
    until("it is delivered", async || receiver.count() == 1).await;
    signal(&child, "-TERM").await;
    assert_eq!(ended_with(&mut child).await, 0);
}

#[tokio::test]
async fn a_log_in_json_holds_the_warnings_of_the_files_as_lines() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let api = format!("  listen: 127.0.0.1:{port}\n");
    config(folder.path(), "log.jsonl", "http://127.0.0.1:9", &api);
    let rules = "rules:\n  - name: a\n    match: {tag: 'test*'}\n    send_to: [audit]\n";
    write(folder.path(), "rules.yaml", rules);
    let ended = command(folder.path(), &["run", "--log", "json"]).await;
    assert_eq!(ended.code, 69, "{ended:?}");
    let first = ended.err.lines().next().unwrap();
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!((&first["level"], &first["code"]), (&"WARN".into(), &"W001".into()), "{first}");
    assert!(first["file"].as_str().unwrap().ends_with("rules.yaml"), "{first}");
    assert_eq!(first["line"], 3, "{first}");
    let text = command(folder.path(), &["run"]).await;
    assert!(text.err.starts_with("warning[W001]"), "{text:?}");
}

#[tokio::test]
async fn what_keeps_a_service_from_starting_is_lines_of_a_log_of_json() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let told = async |code: i32| {
        let ended = command(folder.path(), &["run", "--log", "json"]).await;
        assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{ended:?}");
        let lines = ended.err.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        lines.collect::<Vec<_>>()
    };
    config(folder.path(), "log.jsonl", &receiver.url, "  listen: nowhere\n  tokn: x\n");
    let lines = told(78).await;
    let of = |code: &str| lines.iter().find(|line| line["code"] == code).cloned();
    let listen = of("E026").unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(listen["level"], "ERROR");
    assert!(listen["file"].as_str().unwrap().ends_with("triggerbell.yaml"));
    assert!(listen["line"].is_u64());
    let last = lines.last().unwrap();
    assert_eq!(last["exit_code"], 78);
    assert_eq!(last["message"], "2 errors; nothing was started");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("  listen: {}\n", taken.local_addr().unwrap());
    config(folder.path(), "log.jsonl", &receiver.url, &api);
    let lines = told(69).await;
    let last = lines.last().unwrap();
    assert!(last["message"].as_str().unwrap().contains("could not listen"), "{last}");
}
