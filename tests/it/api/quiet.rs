//! Incidents and silences of the real binary, over the API and the command line.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bell, items_of, line, write};
use crate::support::{
    http,
    process::{Service, until},
    receiver::Receiver,
};

const RULES: &str = "rules:
  - name: failed
    match: {returnCode: {not: 0}}
    by: [service]
    notify: change
    send_to: [audit]
";

/// A service that tells of changes, once it has told of the first failure.
async fn failing() -> Bell {
    let bell = Bell::start("", "", Receiver::start().await).await;
    write(bell.folder.path(), "rules.yaml", RULES);
    let bell = restarted(bell).await;
    bell.append(&line(0, "v1", 1));
    bell.notifications("state=delivered", 1).await;
    bell
}

/// The same after a restart.
async fn restarted(bell: Bell) -> Bell {
    let Bell { service, receiver, folder } = bell;
    assert!(service.terminate().await.success());
    let service = Service::again(folder.path(), &[]).await;
    Bell { service, receiver, folder }
}

async fn delete(bell: &Bell, path: &str) -> http::Answer {
    let lines = ["Content-Type: application/json"];
    http::send(bell.port(), &format!("{} {path}", Method::DELETE), &lines, "{}").await
}

/// What arrived: the reason, and the incident.
fn arrived(bell: &Bell) -> Vec<(String, Value)> {
    let seen = bell.receiver.seen();
    seen.iter()
        .map(|seen| {
            let data = seen.json()["data"].clone();
            (data["reason"].as_str().unwrap().to_owned(), data["incident"].clone())
        })
        .collect()
}

#[tokio::test]
async fn an_incident_is_shown_until_it_is_over_and_outlasts_a_restart() {
    let bell = failing().await;
    bell.append(&line(60, "v2", 1));
    until("the second failure is counted", async || {
        let items = items_of(&bell.get("/api/v1/incidents").await.json());
        items.len() == 1 && items[0]["count"] == 2
    })
    .await;
    let incident = items_of(&bell.get("/api/v1/incidents").await.json()).remove(0);
    assert_eq!(incident["rule"], "failed");
    assert_eq!(incident["key"], json!({"service": "api"}));
    assert_eq!((&incident["reason"], &incident["held_by"]), (&json!("failing"), &Value::Null));
    for (query, wanted) in [("rule=failed&source=shop", 1), ("rule=other", 0), ("source=other", 0)]
    {
        let answer = bell.get(&format!("/api/v1/incidents?{query}")).await.json();
        assert_eq!(items_of(&answer).len(), wanted, "{query}");
    }
    assert_eq!(bell.get("/api/v1/incidents?key=api").await.status, 400);
    let metrics = bell.get("/metrics").await.body;
    assert!(metrics.contains("triggerbell_incidents{rule=\"failed\"} 1"), "{metrics}");
    assert!(metrics.contains("triggerbell_groups_open 0"), "{metrics}");

    let bell = restarted(bell).await;
    bell.append(&line(754, "v3", 0));
    bell.notifications("state=delivered", 2).await;
    assert!(items_of(&bell.get("/api/v1/incidents").await.json()).is_empty());
    let arrived = arrived(&bell);
    let reasons: Vec<_> = arrived.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["failing", "recovered"]);
    let (first, over) = (&bell.receiver.seen()[0].json()["data"]["id"].clone(), &arrived[1].1);
    assert_eq!(
        (&over["first_id"], &over["count"], &over["duration"]),
        (first, &json!(2), &json!(754))
    );
}

#[tokio::test]
async fn incidents_are_listed_by_their_keys() {
    let bell = failing().await;
    for name in ["web", "pay", "auth", "mail", "cart"] {
        bell.append(&line(61, "v2", 1).replace("api", name));
    }
    let keys = async || -> Vec<String> {
        let items = items_of(&bell.get("/api/v1/incidents").await.json());
        items.iter().map(|it| it["key"]["service"].as_str().unwrap().to_owned()).collect()
    };
    until("all of them fail", async || keys().await.len() == 6).await;
    assert_eq!(keys().await, ["api", "auth", "cart", "mail", "pay", "web"]);
}

#[tokio::test]
async fn what_held_a_message_is_said_in_the_explanation() {
    let bell = failing().await;
    bell.append(&line(60, "v2", 1));
    let held = bell.notifications("state=held", 1).await.remove(0);
    assert_eq!(held["held_by"], "state");
    let id = held["entries"][0].as_str().unwrap();
    let explained = bell.get(&format!("/api/v1/entries/{id}/explain")).await.json();
    assert_eq!(explained["notifications"][0]["held_by"], "state");
}

#[tokio::test]
async fn a_silence_is_begun_listed_extended_and_ended() {
    let bell = failing().await;
    let wish =
        json!({"matchers": {"service": "api"}, "author": "mei", "comment": "known", "for": "2h"});
    let preview = json!({"matchers": {"service": "api"}, "preview": true}).to_string();
    let seen = bell.post("/api/v1/silences", &[], &preview).await;
    assert_eq!((seen.status, seen.json()["entries"].clone()), (200, json!(1)));
    assert_eq!(seen.json()["notifications"], 1);
    assert_eq!(seen.json()["rules"], json!({"failed": 1}));

    let begun = bell.post("/api/v1/silences", &[], &wish.to_string()).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    bell.append(&line(60, "v2", 0));
    let held = bell.notifications("state=held", 1).await.remove(0);
    assert_eq!((&held["reason"], &held["held_by"]), (&json!("recovered"), &json!("silenced")));
    let listed = items_of(&bell.get("/api/v1/silences").await.json()).remove(0);
    assert_eq!((&listed["id"], &listed["held"]), (&json!(id), &json!(1)));
    assert_eq!(listed["matchers"], json!({"service": "api"}));

    let extended = json!({"id": id, "until": "next_success"}).to_string();
    let extended = bell.post("/api/v1/silences", &[], &extended).await;
    assert_eq!((extended.status, extended.json()["until"].clone()), (200, json!("next_success")));
    let ended = delete(&bell, &format!("/api/v1/silences/{id}")).await;
    assert_eq!((ended.status, ended.json()["held"].clone()), (200, json!(1)));
    assert_eq!(delete(&bell, &format!("/api/v1/silences/{id}")).await.status, 404);
    bell.notifications("state=delivered", 2).await;
    let reasons: Vec<_> = arrived(&bell).into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["failing", "summary"]);
}

#[tokio::test]
async fn a_silence_that_makes_no_sense_is_refused_with_a_reason() {
    let bell = failing().await;
    for (wish, said) in [
        (json!({"matchers": {"servise": "api"}, "author": "m", "for": "2h"}), "servise"),
        (json!({"matchers": {}, "author": "m", "for": "2h"}), "everything"),
        (json!({"matchers": {"service": "a"}, "author": "m"}), "`until` or `for`"),
        (json!({"matchers": {"service": "a"}, "for": "2h"}), "`author`"),
        (json!({"matchers": {"service": "a"}, "author": "m", "for": "2"}), "duration"),
        (
            json!({"matchers": {"service": "a"}, "author": "m", "until": "2001-01-01T00:00:00Z"}),
            "passed",
        ),
        (json!({"matchers": {"service": "a"}, "author": "m", "unti": "x"}), "unti"),
    ] {
        let answer = bell.post("/api/v1/silences", &[], &wish.to_string()).await;
        assert_eq!(answer.status, 400, "{wish}: {}", answer.body);
        assert!(answer.body.contains(said), "{wish}: {}", answer.body);
    }
    assert!(items_of(&bell.get("/api/v1/silences").await.json()).is_empty());
}

#[tokio::test]
async fn the_commands_say_the_same() {
    let bell = failing().await;
    let folder = bell.folder.path();
    let url = bell.service.url.clone();
    let run = async |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["--url", &url]).collect();
        let ended = crate::support::command::command(folder, &words).await;
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        ended.out
    };
    let incidents = run(&["incidents"]).await;
    assert!(incidents.contains("failed") && incidents.contains("service=api"), "{incidents}");
    let preview = run(&["silence", "preview", "service: api"]).await;
    assert!(preview.contains("1 entries match, 1 messages"), "{preview}");
    let begun = run(&["silence", "add", "service: api", "--author", "mei", "--for", "2h"]).await;
    let id = begun.split(' ').next().unwrap().to_owned();
    let listed = run(&["silence", "list"]).await;
    assert!(listed.contains(&id) && listed.contains("service: api"), "{listed}");
    let extended = run(&["silence", "add", "--extend", &id, "--until", "next_success"]).await;
    assert!(extended.contains("the next success"), "{extended}");
    let ended = run(&["silence", "end", &id]).await;
    assert!(ended.contains("it held 0"), "{ended}");
    let json = run(&["silence", "list", "--format", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["items"], json!([]));
}
