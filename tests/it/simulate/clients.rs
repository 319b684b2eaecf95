//! The vendor's official Python clients against the stand-in registry.
//!
//! They are what says that the stand-in signs as the real service does: it checks signatures with
//! the same functions that our own sources sign with.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::support::python::python;

/// What a script says: a line of JSON for each way of signing.
async fn ask(python: &Path, script: &str, caller: &Caller) -> Vec<Value> {
    let mut command = tokio::process::Command::new(python);
    command
        .arg(test_file("clients").join(script))
        .args([&caller.authority, &caller.credentials.secret_id, &caller.credentials.secret_key])
        .arg(REPO);
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"] {
        command.env_remove(proxy);
    }
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_clients_list_entries_signed_each_way_and_are_refused_with_a_wrong_key() {
    let python = tokio::task::spawn_blocking(|| python("official")).await.unwrap();
    let registry = registry(world(120), RegistrySettings::default()).await;
    let caller = Caller::of(&registry);
    let mut stranger = caller.clone();
    stranger.credentials.secret_key = "a wrong key".into();
    let newest: Vec<String> = (20..120).rev().map(|number| format!("v{number}")).collect();
    let mut ways = 0;
    for (script, signatures, refusal) in [
        ("two.py", &["HmacSHA1", "HmacSHA256"][..], "4100"),
        (
            "three.py",
            &["TC3-HMAC-SHA256", "HmacSHA1", "HmacSHA256"],
            "AuthFailure.SignatureFailure",
        ),
    ] {
        let wanted: Vec<String> = ["GET", "POST"]
            .iter()
            .flat_map(|method| signatures.iter().map(move |name| format!("{method} {name}")))
            .collect();
        let (taken, refused) =
            tokio::join!(ask(&python, script, &caller), ask(&python, script, &stranger));
        for (place, way) in wanted.iter().enumerate() {
            let listed = json!({"way": way, "total": 120, "tags": newest});
            assert_eq!(taken.get(place), Some(&listed), "{script}");
            assert_eq!(
                refused.get(place),
                Some(&json!({"way": way, "refused": refusal})),
                "{script}"
            );
            ways += 1;
        }
    }
    assert_eq!(ways, 10);
    assert_eq!((registry.requests().answered, registry.requests().refused), (10, 10));
}
