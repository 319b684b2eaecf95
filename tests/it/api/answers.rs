//! What the API shows: the forms of design 2.6, to the letter.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Bell, items_of, line};
use crate::support::{
    http::{self, Answer},
    process::until,
    receiver::Receiver,
};

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn is_instant(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok())
}

fn is_id(value: &Value) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    value.as_str().is_some_and(|id| id.len() == 32 && id.chars().all(hex))
}

#[tokio::test]
async fn a_notification_has_the_fields_of_the_design_and_no_others() {
    let bell = Bell::of_failures(1).await;
    let item = bell.notifications("", 1).await.remove(0);
    let expected = [
        "id",
        "receiver",
        "rule",
        "source",
        "key",
        "reason",
        "severity",
        "state",
        "held_by",
        "folded_into",
        "entries",
        "created_at",
        "attempts",
        "next_attempt_at",
        "last_outcome",
    ];
    assert_eq!(names(&item), expected);
    assert!(is_id(&item["id"]) && is_instant(&item["created_at"]), "{item:#}");
    let entry = items_of(&bell.get("/api/v1/entries").await.json()).remove(0);
    let plain = json!({
        "receiver": "audit", "rule": "failed", "source": "shop", "key": {"service": "api"},
        "reason": "matched", "severity": "critical", "state": "delivered", "held_by": null,
        "folded_into": null, "entries": [entry["id"]], "attempts": 1, "next_attempt_at": null,
        "last_outcome": {"class": "delivered", "scope": null, "flags": [], "status": 200,
            "detail": item["last_outcome"]["detail"], "retry_after_s": null},
    });
    for (name, value) in plain.as_object().unwrap() {
        assert_eq!(&item[name], value, "{name}");
    }
    assert!(item["last_outcome"]["detail"].is_string());

    let path = format!("/api/v1/notifications/{}", item["id"].as_str().unwrap());
    let whole = bell.get(&path).await.json();
    for name in expected {
        assert_eq!(whole[name], item[name], "{name} is the same alone and in the list");
    }
    let attempts = whole["attempt_list"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(names(&attempts[0]), ["number", "started_at", "took_ms", "outcome"]);
    assert_eq!(whole["payload"]["data"]["id"], item["id"], "what is sent is shown");
    assert_eq!(bell.receiver.seen()[0].id(), item["id"].as_str().unwrap());
}

#[tokio::test]
async fn what_is_not_sent_says_why() {
    let lines = line(1, "v9.1", 0) + &line(2, "latest", 0);
    let bell = Bell::start(&lines, "", Receiver::start().await).await;
    let held = bell.notifications("", 1).await.remove(0);
    assert_eq!((held["state"].as_str(), held["held_by"].as_str()), (Some("held"), Some("shadow")));
    assert_eq!((&held["attempts"], &held["last_outcome"]), (&json!(0), &Value::Null));
    assert_eq!(held["next_attempt_at"], Value::Null);
    let whole = bell.get(&format!("/api/v1/notifications/{}", held["id"].as_str().unwrap())).await;
    assert_eq!((whole.status, &whole.json()["payload"]), (200, &Value::Null));

    let entries = items_of(&bell.get("/api/v1/entries").await.json());
    assert_eq!(entries.len(), 2);
    let (latest, shadowed) = (&entries[0], &entries[1]);
    assert_eq!((&latest["matched"], &latest["reason"]), (&json!([]), &json!("no_rule")));
    assert_eq!((&shadowed["matched"], &shadowed["reason"]), (&json!(["shadowed"]), &Value::Null));
    assert_eq!(bell.receiver.count(), 0);
}

#[tokio::test]
async fn an_entry_has_every_field_that_rules_know_and_names_what_told_of_it() {
    let bell = Bell::of_failures(1).await;
    let listed = items_of(&bell.get("/api/v1/entries").await.json()).remove(0);
    assert_eq!(
        names(&listed),
        ["id", "source", "repository", "taken_at", "entry", "matched", "reason"]
    );
    assert!(is_id(&listed["id"]) && is_instant(&listed["taken_at"]));
    assert_eq!(
        listed["entry"],
        json!({
            "repo": "shop/api", "tag": "v1", "returnCode": 1, "returnMsg": "said so",
            "service": "api", "namespace": "prod", "clusterId": "cls-1", "region": "Guangzhou",
            "clusterRegion": 1, "source": "shop", "time": "2026-09-21T14:13:20Z",
        })
    );
    let whole = bell.get(&format!("/api/v1/entries/{}", listed["id"].as_str().unwrap())).await;
    let told = bell.notifications("", 1).await.remove(0);
    assert_eq!(whole.json()["notifications"], json!([told["id"]]));
}

#[tokio::test]
async fn explain_shows_each_rule_each_clause_what_it_wanted_and_what_it_met() {
    let bell = Bell::start(&line(1, "v2", 0), "", Receiver::start().await).await;
    let mut entries = Vec::new();
    until("the entry is there", async || {
        entries = items_of(&bell.get("/api/v1/entries").await.json());
        entries.len() == 1
    })
    .await;
    let id = entries[0]["id"].as_str().unwrap();
    let explained = bell.get(&format!("/api/v1/entries/{id}/explain")).await.json();
    assert_eq!(explained["entry"], id);
    let rules = explained["rules"].as_array().unwrap();
    let verdicts: Vec<_> = rules.iter().map(|rule| (&rule["rule"], &rule["truth"])).collect();
    assert_eq!(
        verdicts,
        [(&json!("failed"), &json!("false")), (&json!("shadowed"), &json!("false"))]
    );
    let failed = &rules[0];
    assert_eq!(
        failed["decided_by"],
        json!({"path": "match.returnCode.not", "wanted": "not 0", "seen": "0", "truth": "false"}),
        "{failed:#}"
    );
    let clauses = failed["clauses"].as_array().unwrap();
    let paths: Vec<_> = clauses.iter().map(|clause| clause["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["match.repo", "match.returnCode.not", "match.tag"]);
    assert_eq!(clauses[0]["truth"], "true");
    assert_eq!(rules[1]["decided_by"]["seen"], "v2");
}

#[tokio::test]
async fn pages_of_a_list_hold_everything_once_while_rows_are_added() {
    let bell = Bell::of_failures(23).await;
    let before: BTreeSet<_> = {
        let all = items_of(&bell.get("/api/v1/entries?limit=500").await.json());
        all.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(before.len(), 23);
    for path in ["/api/v1/entries", "/api/v1/notifications"] {
        let known = items_of(&bell.get(&format!("{path}?limit=500")).await.json()).len();
        let mut added = 0;
        let ids = bell
            .walk(path, 5, |page| {
                added += 1;
                bell.append(&line(1_000 + known as u32 * 10 + page as u32, "v1", 1));
            })
            .await;
        let once: BTreeSet<_> = ids.iter().cloned().collect();
        assert_eq!(once.len(), ids.len(), "{path} shows nothing twice");
        assert_eq!(ids.len(), known, "{path} shows all that was there, and nothing later");
        let all = known + added;
        until("what was added is there", async || {
            items_of(&bell.get(&format!("{path}?limit=500")).await.json()).len() == all
        })
        .await;
    }
}

#[tokio::test]
async fn lists_are_filtered_and_empty_filters_are_empty_lists() {
    let lines = line(1, "v1", 1) + &line(2, "v9", 1) + &line(3, "v3", 0);
    let bell = Bell::start(&lines, "", Receiver::start().await).await;
    bell.notifications("state=delivered", 1).await;
    bell.notifications("state=held", 1).await;
    bell.notifications("rule=shadowed&receiver=audit", 1).await;
    bell.notifications("receiver=other", 0).await;
    bell.notifications("rule=nobody", 0).await;
    let count = async |query: &str| {
        items_of(&bell.get(&format!("/api/v1/entries?{query}")).await.json()).len()
    };
    assert_eq!(count("source=shop&repo=shop/api").await, 3);
    assert_eq!(count("repo=shop%2Fapi&limit=2").await, 2);
    assert_eq!(count("source=nobody").await, 0);
    assert_eq!(count("repo=nobody").await, 0);
}

#[tokio::test]
async fn a_query_that_is_not_of_the_form_is_refused_with_what_is_known() {
    let bell = Bell::of_failures(1).await;
    for (query, said) in [
        ("notifications?state=gone", "pending, sending, delivered, dead, folded, held"),
        ("notifications?limit=0", "from 1 to 500"),
        ("notifications?limit=501", "from 1 to 500"),
        ("notifications?limit=many", "limit"),
        ("notifications?cursor=x", "`next`"),
        ("notifications?sate=dead", "sate"),
        ("entries?state=dead", "state"),
        ("entries?limit=-1", "limit"),
        ("entries?cursor=99999999999999999999999", "`next`"),
    ] {
        let answer = bell.get(&format!("/api/v1/{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.problem().contains(said), "{query}: {}", answer.problem());
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_problems() {
    let bell = Bell::of_failures(1).await;
    for path in [
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/status",
        "/api/v1/entries/xyz",
        "/api/v1/entries/00000000000000000000000000000000",
        "/api/v1/entries/00000000000000000000000000000000/explain",
        "/api/v1/notifications/00000000000000000000000000000000",
        "/api/v1/notifications/%ff",
        "/../../etc/passwd",
        "/api/v1/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/triggerbell.yaml",
        "/triggerbell.db",
        "/api/v1/entries/..%2f..%2ftriggerbell.db",
    ] {
        let answer = bell.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.problem().contains("root:"), "{path}");
    }
    for (request, allowed) in [
        ("POST /healthz", "GET"),
        ("DELETE /api/v1/entries", "GET"),
        ("PUT /", "GET"),
        ("GET /api/v1/notifications/00000000000000000000000000000000/retry", "POST"),
    ] {
        let kind = ["Content-Type: application/json"];
        let answer = http::send(bell.port(), request, &kind, "").await;
        assert_eq!(answer.status, 405, "{request}");
        answer.problem();
        assert!(answer.header("allow").is_some_and(|it| it.contains(allowed)), "{answer:?}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let bell = Bell::of_failures(1).await;
    for path in ["/", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/entries"] {
        let answer = http::send(bell.port(), &format!("HEAD {path}"), &[], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }
    assert_eq!(http::send(bell.port(), "HEAD /nothing", &[], "").await.status, 404);
}

#[tokio::test]
async fn the_status_and_the_rules_count_what_happened() {
    let bell = Bell::of_failures(4).await;
    let status = bell.get("/api/v1/status").await.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["rules"], 2);
    assert_eq!(status["sources"]["shop"]["kind"], "file");
    assert_eq!(status["sources"]["shop"]["entries"], 4);
    assert_eq!(status["sources"]["shop"]["effective_interval_s"], 1.0);
    assert_eq!(status["receivers"]["audit"]["delivered"], 4);
    assert_eq!(status["receivers"]["chat"]["kind"], "slack");
    let rules = items_of(&bell.get("/api/v1/rules").await.json());
    assert_eq!(rules.len(), 2);
    assert_eq!((&rules[0]["name"], &rules[0]["matched"]), (&json!("failed"), &json!(4)));
    assert_eq!((&rules[0]["line"], &rules[0]["mode"]), (&json!(2), &json!("live")));
    assert!(is_instant(&rules[0]["last_matched_at"]));
    assert_eq!((&rules[1]["mode"], &rules[1]["last_matched_at"]), (&json!("shadow"), &Value::Null));
}

#[tokio::test]
async fn every_answer_has_the_headers_of_a_page_that_may_do_nothing_and_none_opens_it_to_others() {
    let bell = Bell::of_failures(1).await;
    let origin = ["Origin: https://evil.example"];
    for request in ["GET /", "GET /api/v1/status", "GET /nothing", "OPTIONS /api/v1/status"] {
        let answer = http::send(bell.port(), request, &origin, "").await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{request}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{request}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{request}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{request}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        let head = answer.head.to_lowercase();
        assert!(!head.contains("access-control-"), "{head}");
        assert!(!head.contains("\r\nserver:"), "{head}");
    }
    assert_tame(&bell.get("/").await);
}

/// A page that loads nothing foreign and makes no markup of what it is told.
fn assert_tame(page: &Answer) {
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    for foreign in ["src=\"http", "href=\"http", "url(http", "@import", "src=\"//"] {
        assert!(!page.body.contains(foreign), "nothing foreign is loaded: {foreign}");
    }
    for unsafe_way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
        assert!(!page.body.contains(unsafe_way), "{unsafe_way}");
    }
}

#[tokio::test]
async fn the_link_of_a_message_leads_to_a_page_that_holds_no_data_and_asks_for_the_token() {
    let api = "  token: tk-page\n  public_url: https://bell.example/under\n";
    let bell = Bell::start(&line(1, "v1", 1), api, Receiver::start().await).await;
    until("the message arrived", async || bell.receiver.count() > 0).await;
    let message = bell.receiver.seen()[0].json()["data"].clone();
    let path = message["url"].as_str().unwrap().strip_prefix("https://bell.example/under").unwrap();
    assert_eq!(path, format!("/notifications/{}", message["id"].as_str().unwrap()));
    let page = bell.get(path).await;
    assert_tame(&page);
    assert!(page.body.contains("This service asks for its token:"));
    assert!(!page.body.contains("shop/api") && !page.body.contains("tk-page"));
    // What it shows comes from there.
    assert_eq!(bell.get(&format!("/api/v1{path}")).await.status, 401);
    assert_eq!(bell.get("/notifications/nothing").await.status, 404);
}

#[tokio::test]
async fn no_list_takes_what_it_does_not_know_and_rejected_rows_come_in_pages() {
    let lines: String = (0..3).map(|number| format!("{{\"odd\": {number}}}\n")).collect();
    let bell = Bell::start(&lines, "", Receiver::start().await).await;
    until("all are put down", async || {
        items_of(&bell.get("/api/v1/rejected").await.json()).len() == 3
    })
    .await;
    let mut seen = Vec::new();
    let mut path = "/api/v1/rejected?limit=1".to_owned();
    loop {
        let page = bell.get(&path).await.json();
        assert_eq!(items_of(&page).len(), 1, "{page:#}");
        seen.push(page["items"][0]["raw"].to_string());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/rejected?limit=1&cursor={next}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
    for list in ["entries", "notifications", "rejected", "rules", "incidents", "silences"] {
        for query in ["limit=0", "limit=501", "cursor=x", "odd=1"] {
            let answer = bell.get(&format!("/api/v1/{list}?{query}")).await;
            assert_eq!(answer.status, 400, "{list}?{query}: {}", answer.body);
            assert!(!answer.problem().is_empty());
        }
    }
}
