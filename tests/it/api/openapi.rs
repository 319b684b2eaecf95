//! `openapi.json`: that it lacks no route, agrees with the documents, and is true of a running
//! service, as tools say that know nothing of it.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use serde_json::Value;

use super::{Bell, line};
use crate::support::{
    http,
    python::{must, python},
    receiver::Receiver,
};

const TOKEN: &str = "a-token-for-openapi";

async fn bell() -> Bell {
    let lines: String = (0..5).map(|number| line(number, "v1", 1)).collect();
    let lines = lines + "{\"no\": \"row\"}\n" + &line(9, "v9", 0);
    Bell::start(&lines, &format!("  token: {TOKEN}\n"), Receiver::start().await).await
}

async fn document(bell: &Bell) -> Value {
    let token = format!("Authorization: Bearer {TOKEN}");
    http::send(bell.port(), "GET /api/v1/openapi.json", &[&token], "").await.json()
}

/// `GET /path` for every operation.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

/// The code of the API, without comments and unit tests.
fn sources() -> Vec<(PathBuf, String)> {
    let files = fs::read_dir("src/api").unwrap().map(|entry| entry.unwrap().path());
    let code = files.filter(|path| path.extension().is_some_and(|end| end == "rs"));
    code.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn a_route_can_only_be_added_with_its_description() {
    let mut added = 0;
    for (path, text) in sources() {
        for way in [".route(", ".route_service(", ".nest_service(", ".fallback_service(", ".merge("]
        {
            assert!(!text.contains(way), "{}: {way}…) adds a route without one", path.display());
        }
        added += text.matches("routes!(").count();
    }
    assert!(added >= 14, "only {added} routes were found");
}

#[tokio::test]
async fn it_has_the_requests_of_the_documents_and_no_others() {
    let document = document(&bell().await).await;
    let described = operations(&document);
    let page = fs::read_to_string("docs/api.md").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<String> = rows
        .map(|(request, _)| request.to_owned())
        .filter(|request| ["GET /", "POST /", "DELETE /"].iter().any(|it| request.starts_with(it)))
        .collect();
    assert_eq!(described, documented);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let errors = operation["responses"].as_object().unwrap();
            let guarded = path.starts_with("/api/v1");
            // What registries send has a secret of its own, which is not the API's token.
            let has_secret = path.starts_with("/ingest/");
            assert_eq!(errors.contains_key("401"), guarded || has_secret, "{method} {path}");
            assert_eq!(errors.contains_key("415"), guarded && method != "get", "{method} {path}");
            assert_eq!(errors.contains_key("404"), path.contains('{'), "{method} {path}");
            assert_eq!(operation["security"].as_array().unwrap().is_empty(), !guarded, "{path}");
            assert!(operation["summary"].is_string(), "{method} {path} says nothing");
        }
    }
}

#[tokio::test]
async fn it_takes_the_token_like_the_rest() {
    let bell = bell().await;
    let refused = http::send(bell.port(), "GET /api/v1/openapi.json", &[], "").await;
    assert_eq!(refused.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_tool_finds_every_answer_as_described() {
    let bell = bell().await;
    // So that there is a silence to end.
    let token = format!("Authorization: Bearer {TOKEN}");
    let wish = r#"{"matchers": {"service": "pay"}, "author": "mei", "for": "2h"}"#;
    let begun = bell.post("/api/v1/silences", &[&token], wish).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let (url, folder) = (bell.service.url.clone(), tempfile::tempdir().unwrap());
    let run = move || {
        let script = fs::canonicalize("tests/clients/openapi.py").unwrap();
        let mut command = Command::new(python("openapi"));
        command.arg(script).args([&url, TOKEN]).arg(folder.path());
        for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        must(&mut command)
    };
    let said = tokio::task::spawn_blocking(run).await.unwrap();
    println!("{said}");
    let count = operations(&document(&bell).await).len();
    assert!(said.contains(&format!("{count} operations")), "{said}");
}
