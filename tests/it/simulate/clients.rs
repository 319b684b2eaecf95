//! The vendor's official Python clients against the stand-in registry.
//!
//! They are what says that the stand-in signs as the real service does: it checks signatures with
//! the same functions that our own sources sign with.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use super::*;

/// A Python with the vendor's clients, made once and kept in the target folder.
fn python() -> PathBuf {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("official-clients");
    let python = home.join("bin/python");
    let wanted = test_file("clients/requirements.txt");
    let done = home.join("requirements.txt");
    if std::fs::read(&done).ok() != std::fs::read(&wanted).ok() {
        must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        must(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(&wanted));
        std::fs::copy(&wanted, &done).unwrap();
    }
    python
}

fn must(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

/// What a script says: a line of JSON.
async fn ask(python: &Path, script: &str, caller: &Caller, arguments: &[&str]) -> Value {
    let mut command = tokio::process::Command::new(python);
    command
        .arg(test_file("clients").join(script))
        .args([&caller.authority, &caller.credentials.secret_id, &caller.credentials.secret_key])
        .args(arguments)
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .env_remove("https_proxy")
        .env_remove("HTTPS_PROXY");
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_clients_list_entries_signed_each_way_and_are_refused_with_a_wrong_key() {
    let python = tokio::task::spawn_blocking(python).await.unwrap();
    let registry = registry(world(120), RegistrySettings::default()).await;
    let caller = Caller::of(&registry);
    let mut stranger = caller.clone();
    stranger.credentials.secret_key = "a wrong key".into();
    let newest: Vec<String> = (20..120).rev().map(|number| format!("v{number}")).collect();
    let mut ways = 0;
    for method in ["GET", "POST"] {
        for (script, signature, refusal) in [
            ("two.py", "HmacSHA1", "4100"),
            ("two.py", "HmacSHA256", "4100"),
            ("three.py", "HmacSHA1", "AuthFailure.SignatureFailure"),
            ("three.py", "HmacSHA256", "AuthFailure.SignatureFailure"),
            ("three.py", "TC3-HMAC-SHA256", "AuthFailure.SignatureFailure"),
        ] {
            let arguments = [REPO, method, signature];
            let answer = ask(&python, script, &caller, &arguments).await;
            assert_eq!(answer["total"], 120, "{script} {method} {signature}: {answer}");
            assert_eq!(answer["tags"], serde_json::json!(newest), "{script} {method} {signature}");
            let answer = ask(&python, script, &stranger, &arguments).await;
            assert_eq!(answer["refused"], refusal, "{script} {method} {signature}: {answer}");
            ways += 1;
        }
    }
    assert_eq!(ways, 10);
    assert_eq!((registry.requests().answered, registry.requests().refused), (10, 10));
}
