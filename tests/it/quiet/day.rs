//! One day of a service, from morning to morning, through real HTTP: what fails, flaps and storms, a
//! silence until the next success, and a night that is muted. What people got is written out, message
//! by message, each with why it came; nothing else may come.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use triggerbell::{
    domain::entry::{Row, WallTime},
    ports::Clock,
    simulate::{Channel, WallMessage},
};

use crate::support::running::Running;

const RULES: &str = "\
rules:
  - name: prod
    match: {namespace: prod, returnCode: {not: 0}}
    by: [service]
    notify: change
    remind: 1h
    flapping: {changes: 4, within: 30m}
    storm: {keys: 3, within: 5m, share: [clusterId]}
    send_to: [bot]
  - name: dev
    match: {namespace: dev, returnCode: {not: 0}}
    by: [service]
    notify: change
    mute: {during: [night], at_end: summary}
    send_to: [robot]
";

/// What happens: when, in which namespace, to which services, and how it ends.
const DAY: &[(&str, &str, &[&str], i64)] = &[
    // A failure, another try that fails, and one that goes well.
    ("08:30", "prod", &["api"], 1),
    ("08:40", "prod", &["api"], 1),
    ("09:50", "prod", &["api"], 0),
    // What was well is pushed again.
    ("10:00", "prod", &["api"], 0),
    // A service that can't make up its mind.
    ("10:30", "prod", &["web"], 1),
    ("10:35", "prod", &["web"], 0),
    ("10:40", "prod", &["web"], 1),
    ("10:45", "prod", &["web"], 0),
    ("10:50", "prod", &["web"], 1),
    ("10:55", "prod", &["web"], 0),
    // A cluster goes down and takes eight services with it.
    ("12:00", "prod", &["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"], 1),
    ("12:10", "prod", &["s1", "s2", "s3", "s4"], 0),
    ("12:20", "prod", &["s5", "s6", "s7", "s8"], 0),
    // Somebody works on `pay`, and has silenced it until it is well.
    ("14:10", "prod", &["pay"], 1),
    ("14:20", "prod", &["pay"], 1),
    ("14:30", "prod", &["pay"], 0),
    ("15:00", "prod", &["pay"], 1),
    ("15:05", "prod", &["pay"], 0),
    // Night: nobody is to be woken for `dev`, and `prod` is another matter.
    ("22:30", "dev", &["batch", "etl"], 1),
    ("23:00", "prod", &["db"], 1),
    ("23:20", "prod", &["db"], 0),
    ("23:30", "dev", &["etl"], 0),
    ("08:20", "dev", &["batch"], 0),
];

fn push(running: &Running, namespace: &str, service: &str, code: i64) {
    let at = running.clock.now().as_second();
    let text = |text: &str| Some(text.into());
    running.push_row(Row {
        repo: text("shop/api"),
        tag: text("v1"),
        service: text(service),
        cluster_id: text("cls-1"),
        namespace: text(namespace),
        return_code: Some(code),
        return_msg: text(if code == 0 { "ok" } else { "no such image" }),
        ..Row::at(WallTime(at + 8 * 3600), Timestamp::from_second(at).unwrap())
    });
}

/// A message in a line: when it came, where, and its first line; for an edit, of which message.
fn line(message: &WallMessage, heads: &mut Vec<(String, String)>) -> String {
    assert_eq!(message.refusal, None, "{:?}", message.payload);
    let at =
        message.at.to_zoned_datetime(TimeZone::get("Asia/Shanghai").unwrap()).strftime("%H:%M");
    if message.channel == Channel::WeCom {
        let content = message.payload["markdown"]["content"].as_str().unwrap();
        let quoted: Vec<_> = content.lines().filter(|line| line.starts_with("> ")).collect();
        return format!("{at} robot: {} ({} lines)", message.summary, quoted.len());
    }
    let head = message.payload["blocks"][0]["text"]["text"].as_str().unwrap();
    let place = message.place.as_ref().unwrap();
    let of = |ts: &str| heads.iter().find(|(known, _)| known == ts).unwrap().1.clone();
    match (&place.thread, place.edit) {
        (_, true) => format!("{at} bot: {head} [in place of {}]", of(&place.ts)),
        (Some(thread), _) => format!("{at} bot: {head} [under {}]", of(thread)),
        (None, _) => {
            heads.push((place.ts.clone(), format!("{at} {head}")));
            format!("{at} bot: {head}")
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_is_these_messages_and_no_other() {
    let mut running = Running::at("2026-03-02T08:00:00+08:00", &["shop/api"]).await;
    running.step(60);
    let config = format!(
        "{}receivers:\n{}{}time_intervals:\n  night: {{times: ['22:00-08:00']}}\n",
        running.source("poll_every: 1m"),
        running.slack_app("bot", ""),
        running.robot("robot", ""),
    );
    running.start(&config, RULES).await;
    let mut day = "2026-03-02";
    let mut messages = Vec::new();
    for &(at, namespace, services, code) in DAY {
        if at == "08:20" {
            day = "2026-03-03";
        }
        if at == "14:10" {
            running.pass_until("2026-03-02T14:00:00+08:00").await;
            let silence = json!({"matchers": {"service": "pay"}, "until": "next_success",
                "author": "ann", "comment": "the database moves"});
            running.post("/api/v1/silences", &silence).await;
        }
        running.pass_until(&format!("{day}T{at}:00+08:00")).await;
        services.iter().for_each(|service| push(&running, namespace, service, code));
        messages.extend(running.messages());
    }
    running.pass(Duration::from_secs(3600)).await;
    messages.extend(running.messages());
    let mut heads = Vec::new();
    let told: Vec<String> = messages.iter().map(|message| line(message, &mut heads)).collect();
    assert_eq!(told, WANTED.map(|(message, _why)| message), "{told:#?}");
    let open = running.json("/api/v1/incidents").await;
    assert_eq!(open["items"], json!([]), "and at the end nothing fails");
}

/// What people got, and why. A row is read at the next poll, a minute after it.
const WANTED: [(&str, &str); 21] = [
    ("08:31 bot: 🔴 api failed to update", "its first failure; that of 08:40 is counted"),
    (
        "09:31 bot: 🔴 api still fails after 1h 1m and 2 failures [under 08:31 🔴 api failed to update]",
        "remind: 1h after it was told",
    ),
    (
        "09:51 bot: ✅ api recovered after 1h 20m and 2 failures [in place of 08:31 🔴 api failed to update]",
        "its success ends the incident; that of 10:00 ends nothing",
    ),
    ("10:31 bot: 🔴 web failed to update", "an incident like any other"),
    ("10:36 bot: ✅ web recovered after 5m [in place of 10:31 🔴 web failed to update]", "its end"),
    ("10:41 bot: 🔴 web failed to update", "the third change of four within half an hour"),
    (
        "10:46 bot: ✅ web recovered after 5m [in place of 10:41 🔴 web failed to update]",
        "the fourth",
    ),
    (
        "10:51 bot: 🟠 web fails and recovers in turns: 5 changes",
        "the fifth is one too many; the change of 10:55 is not told",
    ),
    (
        "11:26 bot: ✅ web recovered after 5m [in place of 10:51 🟠 web fails and recovers in turns: 5 changes]",
        "nothing changed for half an hour, and it is well",
    ),
    ("12:01 bot: 🔴 s1 failed to update", "storm: more than 3 keys; until then each is told"),
    ("12:02 bot: 🔴 s2 failed to update", "told with s1; pace is one a second, a step a minute"),
    ("12:03 bot: 🔴 s3 failed to update", "the same"),
    (
        "12:04 bot: 🔴 4 updates fail together",
        "the fourth makes it a storm, which takes in the others",
    ),
    (
        "12:21 bot: ✅ 8 recovered [in place of 12:04 🔴 4 updates fail together]",
        "one recovery, when the last of the storm is well, and none at 12:10",
    ),
    ("14:31 bot: 📋 2 held back until now", "the silence ended with the success of `pay`"),
    ("15:01 bot: 🔴 pay failed to update", "the silence is over"),
    (
        "15:06 bot: ✅ pay recovered after 5m [in place of 15:01 🔴 pay failed to update]",
        "its end; the summary of the silence stays as it was",
    ),
    ("23:01 bot: 🔴 db failed to update", "`prod` is muted by nobody"),
    ("23:21 bot: ✅ db recovered after 20m [in place of 23:01 🔴 db failed to update]", "its end"),
    (
        "08:00 robot: 📋 3 held back until now (2 lines)",
        "the night is over: `batch` failed, `etl` failed and recovered",
    ),
    (
        "08:21 robot: ✅ batch recovered after 9h 50m (7 lines)",
        "the summary told that it failed, so that it is well is told",
    ),
];
