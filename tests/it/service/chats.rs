//! The chats in all their ways, from the registry to the wall, which judges what it is sent as Slack
//! and WeCom would: a bot in a channel, an app to members, a robot in each form.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use triggerbell::simulate::{Wall, WallMessage, WallSettings};

use crate::support::{
    process::{Service, ran, until},
    receiver::{Receiver, Reply},
    stand::Stand,
};

const ROWS: i64 = 3;

async fn wall() -> Wall {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = WallSettings { paced: false, ..WallSettings::default() };
    Wall::start(listener, settings, &CancellationToken::new()).unwrap()
}

fn receivers(wall: &Wall) -> (String, Vec<&'static str>) {
    let base = wall.wecom_base_url();
    let robot = |name: &str, form: &str| {
        format!(
            "  {name}:\n    wecom:\n      key: {}\n      base_url: {base}\n{form}    \
             template: default-zh\n    pace: 100/1s\n",
            wall.wecom_key()
        )
    };
    let app = |name: &str, form: &str| {
        format!(
            "  {name}:\n    wecom:\n      corpid: {}\n      secret: {}\n      agentid: {}\n      \
             to_user: [{name}]\n      base_url: {base}\n{form}    pace: 100/1s\n",
            wall.wecom_corpid(),
            wall.wecom_secret(),
            wall.wecom_agentid()
        )
    };
    let text = format!(
        "receivers:\n  bot:\n    slack:\n      token: {}\n      channel: '#deploys'\n      \
         api_url: {}\n    pace: 100/1s\n{}{}{}{}{}{}",
        wall.slack_token(),
        wall.slack_api_url(),
        robot("robot-text", "      form: text\n      mentioned_list: [zhangsan]\n"),
        robot("robot-v2", "      form: markdown_v2\n"),
        robot("robot-card", "      form: template_card\n      card_url: https://wiki.example/\n"),
        app("app-markdown", ""),
        app("app-text", "      form: text\n"),
        app("app-card", "      form: template_card\n      card_url: https://wiki.example/\n"),
    );
    let names =
        vec!["bot", "robot-text", "robot-v2", "robot-card", "app-markdown", "app-text", "app-card"];
    (text, names)
}

/// Which way a message took, by what it looks like.
fn way(message: &WallMessage) -> String {
    let payload = &message.payload;
    match payload["msgtype"].as_str() {
        None => "bot".to_owned(),
        Some(kind) => {
            let sender = payload["touser"].as_str().unwrap_or("robot");
            format!("{sender} {kind}")
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_every_chat_is_delivered_once_and_its_ids_are_kept() {
    let (stand, wall) = (Stand::start(&["shop/api"]).await, wall().await);
    let mut messages = wall.messages();
    let (receivers, names) = receivers(&wall);
    let rules = format!(
        "rules:\n  - name: everything\n    match: {{}}\n    by: [tag]\n    send_to: [{}]\n",
        names.join(", ")
    );
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}{receivers}", stand.source("first_run: all\n    poll_every: 1s"));
    stand.push("shop/api", ROWS);
    let service = Service::start(folder.path(), &config, &rules).await;
    let wanted = names.len() as u64 * u64::try_from(ROWS).unwrap();
    until("all is delivered", async || {
        let status = service.json("/api/v1/status").await;
        let lanes = status["receivers"].as_object().unwrap();
        lanes.values().map(|lane| lane["delivered"].as_u64().unwrap()).sum::<u64>() == wanted
    })
    .await;

    let mut ways: BTreeMap<String, i64> = BTreeMap::new();
    while let Ok(message) = messages.try_recv() {
        assert_eq!(message.refusal, None, "{:?}", message.payload);
        *ways.entry(way(&message)).or_default() += 1;
        if way(&message) == "robot text" {
            assert_eq!(message.payload["text"]["mentioned_list"][0], "zhangsan");
        }
    }
    let each = |way: &str| (way.to_owned(), ROWS);
    let wanted = BTreeMap::from(
        [
            "bot",
            "robot text",
            "robot markdown_v2",
            "robot template_card",
            "app-markdown markdown",
            "app-text text",
            "app-card template_card",
        ]
        .map(each),
    );
    assert_eq!(ways, wanted);

    let list = service.json("/api/v1/notifications?receiver=bot").await;
    let path = format!("/api/v1/notifications/{}", list["items"][0]["id"].as_str().unwrap());
    // Counted when it was answered, and kept a moment later.
    until("what Slack called the message is kept", async || {
        find(&service.json(&path).await, "captured").is_some()
    })
    .await;
    let one = service.json(&path).await;
    let captured = find(&one, "captured").unwrap();
    assert_eq!(captured["channel"], wall.slack_channel());
    assert!(captured["ts"].as_str().unwrap().contains('.'), "{captured}");
    assert!(service.terminate().await.success());
}

/// The first value under a key, wherever it lies.
fn find<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(fields) => {
            fields.get(key).or_else(|| fields.values().find_map(|value| find(value, key)))
        }
        Value::Array(items) => items.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_and_render_show_each_way() {
    let (stand, wall) = (Stand::start(&["shop/api"]).await, wall().await);
    let (receivers, names) = receivers(&wall);
    let rules = "rules:\n  - name: everything\n    match: {}\n    send_to: [bot]\n";
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}{receivers}", stand.source(""));
    Service::configure(folder.path(), &config, rules);
    for name in &names {
        let sent = ran(folder.path(), &["send", name], &[]).await;
        assert!(
            sent.stdout.starts_with(&format!("delivered to {name} (HTTP 200)")),
            "{}",
            sent.said()
        );
    }
    assert_eq!(wall.counts().accepted, names.len() as u64);
    assert_eq!(wall.counts().refused, 0);
    for (name, shown) in [
        ("robot-text", r#""mentioned_list": ["#),
        ("robot-v2", "markdown_v2.content: "),
        ("app-card", r#""card_type": "text_notice""#),
        ("app-text", "text.content: "),
        ("app-markdown", " of 2048 bytes"),
        ("wecom", " of 4096 bytes"),
    ] {
        let rendered = ran(folder.path(), &["render", "default", "--receiver", name], &[]).await;
        assert!(rendered.stdout.contains(shown), "{name}: {}", rendered.said());
    }
    let unknown = ran(folder.path(), &["render", "default", "--receiver", "robot-txt"], &[]).await;
    assert!(unknown.said().contains("did you mean robot-text?"), "{}", unknown.said());
}

#[tokio::test]
async fn an_edit_that_slack_refuses_in_words_that_are_not_known_is_told_anew() {
    let slack = Receiver::answering(|number, seen| {
        let taken = json!({"ok": true, "channel": "C0123456789", "ts": format!("1.{number}")});
        let refused = json!({"ok": false, "error": "a_word_of_tomorrow"});
        let edits = seen.path.ends_with("chat.update");
        Reply::status(200).body((if edits { refused } else { taken }).to_string())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let row = |second: i64, code: i64| {
        let time = jiff::Timestamp::from_second(1_790_000_000 + second).unwrap();
        format!("{}\n", json!({"time": time, "repo": "shop/api", "returnCode": code}))
    };
    std::fs::write(folder.path().join("log.jsonl"), row(0, 1) + &row(60, 0)).unwrap();
    let config = format!(
        "sources:\n  shop:\n    file: log.jsonl\n    poll_every: 1s\nreceivers:\n  bot:\n    slack:\n      \
         token: xoxb-1\n      channel: C0123456789\n      api_url: {}/api\n",
        slack.url
    );
    let rules = "rules:\n  - name: all\n    match: {returnCode: {not: 0}}\n    notify: change\n    \
                 send_to: [bot]\n";
    let service = Service::start(folder.path(), &config, rules).await;
    let states = async || {
        let list = service.json("/api/v1/notifications?receiver=bot").await;
        let states = list["items"].as_array().unwrap().iter();
        states.map(|item| item["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    until("all is over", async || {
        let states = states().await;
        states.len() == 2 && states.iter().all(|state| state == "delivered" || state == "dead")
    })
    .await;
    assert_eq!(states().await, ["delivered", "delivered"], "{}", service.log());
    let paths: Vec<_> = slack.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/api/chat.postMessage", "/api/chat.update", "/api/chat.postMessage"]);
    assert!(service.terminate().await.success());
}
