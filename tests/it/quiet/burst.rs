//! Ten thousand failures at once, through real HTTP, to a robot that takes twenty messages a minute.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::support::running::Running;

const RULES: &str = "\
rules:
  - name: prod
    match: {returnCode: {not: 0}}
    by: [service]
    notify: change
    send_to: [robot]
";

const ROWS: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn ten_thousand_failures_are_a_handful_of_messages_that_account_for_each() {
    let mut running = Running::at("2026-03-02T09:00:00+08:00", &["shop/api"]).await;
    let receivers = format!("receivers:\n{}", running.robot("robot", "    template: default-zh\n"));
    running.start(&format!("{}{receivers}", running.source("poll_every: 5s")), RULES).await;
    running.pass(Duration::from_secs(10)).await;
    for number in 0..ROWS {
        running.push("shop/api", &format!("svc-{number}"), 1);
    }
    running.pass(Duration::from_secs(60)).await;
    running.step(5);
    running.pass(Duration::from_secs(300)).await;

    let messages = running.messages();
    let sizes: Vec<usize> = messages
        .iter()
        .map(|message| {
            assert_eq!(message.refusal, None, "the robot was never sent to too fast");
            message.payload["markdown"]["content"].as_str().unwrap().len()
        })
        .collect();
    println!("{} messages of {sizes:?} bytes", messages.len());
    assert!(messages.len() <= 10, "a handful: {}", messages.len());
    assert!(sizes.iter().all(|&bytes| bytes <= 4_096), "{sizes:?}");

    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    let (mut ids, mut digests, mut into) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut path = "/api/v1/notifications?limit=500".to_owned();
    loop {
        let page = running.json(&path).await;
        for item in page["items"].as_array().unwrap() {
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            if text("reason") == "digest" {
                assert_eq!(item["state"], "delivered");
                digests.insert(text("id"));
                continue;
            }
            *states.entry(text("state")).or_default() += 1;
            ids.insert(text("id"));
            if item["state"] == "folded" {
                into.insert(text("folded_into"));
            }
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/notifications?limit=500&cursor={next}");
    }
    println!("{} digests, members {states:?}", digests.len());
    assert_eq!(ids.len(), ROWS, "each service was told of under an id of its own");
    assert_eq!(states.values().sum::<usize>(), ROWS);
    assert!(states.keys().all(|state| state == "folded" || state == "delivered"), "{states:?}");
    assert_eq!(into, digests, "whoever is folded leads to a digest that was delivered");
    let alone = states.get("delivered").copied().unwrap_or_default();
    assert_eq!(messages.len(), digests.len() + alone);
    let counted: u64 = messages
        .iter()
        .map(|message| {
            let first = message.summary.split('共').nth(1);
            first.map_or(1, |count| count.replace('条', "").trim().parse::<u64>().unwrap())
        })
        .sum();
    assert_eq!(counted, ROWS as u64, "and the messages count all of them");
}
