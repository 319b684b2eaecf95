//! Alarms reach the receivers that are configured for them, each once, and once when it is over; never
//! the one that they are about.

use std::{fs, time::Duration};

use triggerbell::simulate::{Channel, Fault};

use crate::support::{
    process::{Registry, Service, until},
    receiver::{Receiver, Reply},
    running::Running,
};

const RULES: &str = "rules:\n  - name: everything\n    match: {}\n    send_to: [gone]\n";

const MINUTE: Duration = Duration::from_secs(60);

/// Everything goes to the robot, by a template that can fail; alarms to the bot, the robot and a
/// webhook.
const ALL_TO_THE_ROBOT: &str = "\
rules:
  - name: everything
    match: {}
    by: [tag]
    send_to: [robot]
    template: picky
";

/// What alarms of the story below go to.
const TO_ALL: &str = "[bot, robot, audit]";

/// A service that alarms these receivers, a minute after its start.
async fn alarming(send_to: &str, source: &str, rules: &str) -> Running {
    let mut running = Running::at("2026-03-02T09:00:00+08:00", &["shop/api"]).await;
    running.step(5);
    let folder = running.folder.path().join("templates");
    fs::create_dir(&folder).unwrap();
    let picky = "{{#if (ne entry.returnCode 7)}}{{entry.tag}}{{/if}}";
    fs::write(folder.join("picky.hbs"), picky).unwrap();
    let config = format!(
        "{}receivers:\n{}{}  audit:\n    webhook:\n      url: {}\ntemplates: templates\nalarms:\n  \
         send_to: {send_to}\n  source_blind_after: 10m\n",
        running.source(&format!("poll_every: 5s\n    {source}")),
        running.slack_app("bot", ""),
        running.robot("robot", ""),
        running.wall.webhook_url(),
    );
    running.start(&config, rules).await;
    running.pass(MINUTE).await;
    running
}

/// Alarms that were told: where, and whether they are over.
type Told = Vec<(Channel, bool)>;

/// The alarms that came, all of which are about those words.
fn alarms(running: &mut Running, words: &str) -> Told {
    let mut told = Vec::new();
    for message in running.messages() {
        let payload = message.payload.to_string();
        if message.refusal.is_some()
            || !payload.contains("triggerbell needs attention")
                && !payload.contains("triggerbell: an alarm is over")
                && !payload.contains("trigger.alarm")
        {
            continue;
        }
        assert!(payload.contains(words), "{payload} is not about {words}");
        let over = payload.contains("Over: ");
        if let Some(firing) = message.payload["data"]["firing"].as_bool() {
            assert_eq!((firing, &message.payload["type"]), (!over, &"trigger.alarm".into()));
        } else {
            assert_eq!(payload.contains("triggerbell: an alarm is over"), over, "{payload}");
            assert_eq!(payload.contains("needs attention"), !over, "{payload}");
        }
        told.push((message.channel, over));
    }
    told.sort_by_key(|(channel, over)| (*over, *channel as usize));
    told
}

const ALL: [Channel; 3] = [Channel::Slack, Channel::WeCom, Channel::Webhook];

/// Told to those, and told to be over.
fn each_once(to: &[Channel]) -> (Told, Told) {
    let all = |over| to.iter().map(|&channel| (channel, over)).collect();
    (all(false), all(true))
}

async fn firing(running: &Running) -> Vec<String> {
    let status = running.json("/api/v1/status").await;
    let alarms = status["alarms"].as_array().unwrap();
    alarms.iter().map(|alarm| alarm["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_blind_source_refused_credentials_and_a_clock_that_is_off_are_told_to_all() {
    let (began, over) = each_once(&ALL);
    for (fault, kind, words) in [
        (
            Fault::Error500,
            "source_blind",
            "shop could not be read for 10 min: the registry answered with HTTP 500",
        ),
        (Fault::Auth, "credentials", "check secret_id"),
        (Fault::Skew, "clock", "set this machine"),
        (Fault::Clock, "clock", "the registry refused the request's time"),
    ] {
        let mut running = alarming(TO_ALL, "first_run: skip", ALL_TO_THE_ROBOT).await;
        running.registry.set_fault(fault, 1.0);
        running.pass(25 * MINUTE).await;
        assert_eq!(firing(&running).await, [kind]);
        assert_eq!(alarms(&mut running, words), began, "{kind}");
        running.registry.set_fault(fault, 0.0);
        running.pass(10 * MINUTE).await;
        assert_eq!(firing(&running).await, [""; 0]);
        assert_eq!(alarms(&mut running, words), over, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_zone_is_told_to_all() {
    // The log's clock is Shanghai's, eight hours ahead.
    let mut running = alarming(TO_ALL, "time_zone: UTC", ALL_TO_THE_ROBOT).await;
    running.push("shop/api", "api", 0);
    running.pass(5 * MINUTE).await;
    let (began, over) = each_once(&ALL);
    assert_eq!(
        alarms(&mut running, "shop: the newest row lies 8 h in the future; set the source's"),
        began
    );
    // It is mended, which takes a start.
    running.stop().await;
    let path = running.folder.path().join("triggerbell.yaml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("time_zone: UTC", "time_zone: Asia/Shanghai")).unwrap();
    running.again().await;
    running.pass(5 * MINUTE).await;
    assert_eq!(alarms(&mut running, "in the future"), over);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_to_all() {
    let mut running = alarming(TO_ALL, "overlap: 10m", ALL_TO_THE_ROBOT).await;
    running.push("shop/api", "api", 0);
    running.pass(MINUTE).await;
    running.messages();
    running.expire("shop/api");
    running.push("shop/api", "api", 0);
    running.pass(MINUTE).await;
    let (began, over) = each_once(&ALL);
    let told: Vec<_> = alarms(&mut running, "shop: rows of shop/api may have left the log unread");
    assert_eq!(told, [began, over].concat());
}

#[tokio::test(start_paused = true)]
async fn a_closed_lane_is_told_to_the_others() {
    let rules = ALL_TO_THE_ROBOT.replace("[robot]", "[bot]");
    let mut running = alarming(TO_ALL, "overlap: 10m", &rules).await;
    for _ in 0..3 {
        running.wall.refuse_slack_once("is_archived");
    }
    running.push("shop/api", "api", 1);
    running.pass(3 * MINUTE).await;
    let (began, over) = each_once(&[Channel::WeCom, Channel::Webhook]);
    assert_eq!(alarms(&mut running, "bot refuses everything"), began);
    running.pass(10 * MINUTE).await;
    assert_eq!(alarms(&mut running, "bot refuses everything"), over);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_told_to_the_others_until_none_is_left() {
    let rules = ALL_TO_THE_ROBOT.replace("[robot]", "[bot]");
    let mut running = alarming(TO_ALL, "overlap: 10m", &rules).await;
    running.wall.refuse_slack_once("msg_too_long");
    running.push("shop/api", "api", 1);
    running.pass(5 * MINUTE).await;
    let (began, over) = each_once(&[Channel::WeCom, Channel::Webhook]);
    assert_eq!(alarms(&mut running, "a message to bot was given up"), began);
    // A restart says nothing of it, and forgets nothing.
    running.stop().await;
    running.again().await;
    running.pass(5 * MINUTE).await;
    assert_eq!(alarms(&mut running, ""), []);
    assert_eq!(firing(&running).await, ["dead_letter"]);
    let dead = running.json("/api/v1/notifications?state=dead").await;
    let id = dead["items"][0]["id"].as_str().unwrap().parse().unwrap();
    running.control().retry(id, None).await.unwrap();
    running.pass(3 * MINUTE).await;
    assert_eq!(alarms(&mut running, "a message to bot was given up"), over);
}

#[tokio::test(start_paused = true)]
async fn a_failed_reload_is_told_to_all_and_a_start_ends_it() {
    let (began, over) = each_once(&ALL);
    for restarts in [false, true] {
        let mut running = alarming(TO_ALL, "overlap: 10m", ALL_TO_THE_ROBOT).await;
        let path = running.folder.path().join("rules.yaml");
        fs::write(&path, "rules: 5\n").unwrap();
        for _ in 0..2 {
            running.control().reload("test").await.unwrap_err();
            running.pass(MINUTE).await;
        }
        assert_eq!(alarms(&mut running, "a reload was refused"), began);
        fs::write(&path, ALL_TO_THE_ROBOT).unwrap();
        if restarts {
            running.stop().await;
            running.again().await;
        } else {
            running.control().reload("test").await.unwrap();
        }
        running.pass(MINUTE).await;
        assert_eq!(alarms(&mut running, "a reload was refused"), over, "{restarts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_template_is_told_to_those_who_do_not_get_its_plain_message() {
    let (began, over) = each_once(&[Channel::Slack, Channel::Webhook]);
    for mended in [false, true] {
        let mut running = alarming(TO_ALL, "overlap: 10m", ALL_TO_THE_ROBOT).await;
        running.push("shop/api", "api", 7);
        running.push("shop/api", "web", 7);
        running.pass(MINUTE).await;
        let told = alarms(&mut running, "template picky for robot failed");
        assert_eq!(told, began);
        if mended {
            let path = running.folder.path().join("templates/picky.hbs");
            fs::write(path, "{{entry.tag}}").unwrap();
            running.control().reload("test").await.unwrap();
        } else {
            // It works for other entries.
            running.pass(10 * MINUTE).await;
            running.push("shop/api", "api", 0);
        }
        running.pass(MINUTE).await;
        assert_eq!(alarms(&mut running, "template picky for robot failed"), over, "{mended}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_concerns_the_only_receiver_is_in_the_status_and_the_metrics() {
    let rules = ALL_TO_THE_ROBOT.replace("[robot]", "[bot]");
    let mut running = alarming("[bot]", "overlap: 10m", &rules).await;
    for _ in 0..2 {
        running.wall.refuse_slack_once("is_archived");
    }
    running.push("shop/api", "api", 1);
    running.pass(30 * Duration::from_secs(1)).await;
    assert_eq!(firing(&running).await, ["lane_closed"]);
    let metrics = running.get("/metrics").await;
    assert!(metrics.contains("triggerbell_alarms{kind=\"lane_closed\"} 1"), "{metrics}");
    running.pass(10 * MINUTE).await;
    assert_eq!(firing(&running).await, [""; 0]);
    assert_eq!(alarms(&mut running, ""), [], "nobody is told through the one that refuses");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_outlives_a_restart_said_once_and_said_to_be_over_once() {
    let (began, over) = each_once(&ALL);
    let mut running = alarming(TO_ALL, "first_run: skip", ALL_TO_THE_ROBOT).await;
    running.registry.set_fault(Fault::Auth, 1.0);
    running.pass(2 * MINUTE).await;
    assert_eq!(alarms(&mut running, "check secret_id"), began);
    for _ in 0..2 {
        running.crash().await;
        running.again().await;
        running.pass(2 * MINUTE).await;
        assert_eq!(firing(&running).await, ["credentials"]);
        assert_eq!(alarms(&mut running, ""), [], "it was told");
    }
    // The key is mended, and the service started with it.
    running.stop().await;
    running.registry.set_fault(Fault::Auth, 0.0);
    running.again().await;
    running.pass(2 * MINUTE).await;
    assert_eq!(firing(&running).await, [""; 0]);
    assert_eq!(alarms(&mut running, "check secret_id"), over);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_told_to_the_others_once_even_over_a_restart() {
    let registry = Registry::start(&["--backlog", "20", "--seed", "3"]).await;
    let gone = Receiver::answering(|_, _| Reply::status(410)).await;
    let ops = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let receivers = format!(
        "receivers:\n  gone:\n    webhook:\n      url: {}/a\n  ops:\n    webhook:\n      \
         url: {}/b\nalarms: {{send_to: [gone, ops]}}\n",
        gone.url, ops.url
    );
    let config = format!("{}{receivers}", registry.source("first_run: all"));
    let service = Service::start(folder.path(), &config, RULES).await;
    until("the others are told", async || ops.count() == 1).await;
    let alarm = ops.seen()[0].json();
    assert_eq!(alarm["type"], "trigger.alarm", "{alarm:#}");
    assert!(alarm.to_string().contains("gone refuses everything"), "{alarm:#}");
    assert!(gone.seen().iter().all(|seen| seen.json()["type"] != "trigger.alarm"));

    // A restart says the same alarm to itself, and to nobody else.
    assert!(service.terminate().await.success());
    let service = Service::again(folder.path(), &[]).await;
    until("the lane is known to be closed", async || {
        let status = service.json("/api/v1/status").await;
        status["alarms"][0]["kind"] == "lane_closed"
    })
    .await;
    let item = service.json("/api/v1/notifications?receiver=ops").await;
    assert_eq!(item["items"].as_array().unwrap().len(), 1, "{item:#}");
    assert_eq!(ops.count(), 1);
}

#[tokio::test]
async fn a_dead_letter_that_nobody_was_told_of_is_known_and_told_after_a_start() {
    let registry = Registry::start(&["--backlog", "20", "--seed", "3"]).await;
    let gone = Receiver::answering(|_, _| Reply::status(413)).await;
    let ops = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = |send_to: &str| {
        let receivers = format!(
            "receivers:\n  gone:\n    webhook:\n      url: {}/a\n  ops:\n    webhook:\n      url: \
             {}/b\nalarms: {{send_to: [{send_to}]}}\n",
            gone.url, ops.url
        );
        format!("{}{receivers}", registry.source("first_run: all"))
    };
    let service = Service::start(folder.path(), &config("gone"), RULES).await;
    let is_dead = async |service: &Service| {
        service.json("/api/v1/status").await["alarms"][0]["kind"] == "dead_letter"
    };
    until("a letter is dead", async || is_dead(&service).await).await;
    assert!(service.terminate().await.success());

    let service = Service::again(folder.path(), &[]).await;
    assert!(is_dead(&service).await, "it is still there");
    let metrics = service.get("/metrics").await.unwrap();
    assert!(metrics.contains("triggerbell_alarms{kind=\"dead_letter\"} 1"), "{metrics}");
    assert!(service.terminate().await.success());

    // Somebody is there to be told by now, once.
    let service = Service::start(folder.path(), &config("ops"), RULES).await;
    until("it is told", async || ops.count() == 1).await;
    assert!(ops.seen()[0].body.contains("gone were given up"), "{}", ops.seen()[0].body);
    assert!(service.terminate().await.success());
    let service = Service::again(folder.path(), &[]).await;
    assert!(is_dead(&service).await);
    assert!(service.terminate().await.success());
    assert_eq!(ops.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_about_a_source_goes_to_a_fallback_of_its_name() {
    let audit = Receiver::answering(|_, _| Reply::status(410)).await;
    let mut running = Running::at("2026-03-02T09:00:00+08:00", &["shop/api"]).await;
    running.step(5);
    let config = format!(
        "{}receivers:\n{}  audit:\n    webhook:\n      url: {}\n    fallback: shop\nalarms:\n  \
         send_to: [audit]\n",
        running.source("poll_every: 5s"),
        running.slack_app("shop", ""),
        audit.url,
    );
    let rules = ALL_TO_THE_ROBOT.replace("[robot]", "[shop]").replace("    template: picky\n", "");
    running.start(&config, &rules).await;
    running.pass(MINUTE).await;
    // A dead letter of the receiver `shop`, which it is not told of.
    running.wall.refuse_slack_once("msg_too_long");
    running.push("shop/api", "api", 1);
    running.pass(5 * MINUTE).await;
    assert!(audit.count() > 0, "it was tried");
    assert_eq!(alarms(&mut running, ""), []);
    // The source `shop`, which it is told of.
    running.registry.set_fault(Fault::Auth, 1.0);
    running.pass(3 * MINUTE).await;
    assert_eq!(alarms(&mut running, "check secret_id"), [(Channel::Slack, false)]);
}
