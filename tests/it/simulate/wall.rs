//! The chat wall: its verdicts on payloads, held to the limits that the contract names, and its
//! page in a real browser.

use std::process::Command;

use serde_json::{Value, json};
use triggerbell::simulate::{
    Channel, Demo, DemoSettings, Rate, ServiceCounts, Wall, WallCounts, WallSettings,
};

use super::*;

async fn wall(paced: bool) -> Wall {
    let settings = WallSettings { paced, ..WallSettings::default() };
    Wall::start(listener().await, settings, &CancellationToken::new()).unwrap()
}

async fn post(url: &str, body: String) -> (u16, String) {
    let request = http().post(url).header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

fn header(text: &str) -> Value {
    json!({"type": "header", "text": {"type": "plain_text", "text": text}})
}

/// A payload of these blocks.
fn blocks(blocks: Vec<Value>) -> Value {
    let mut payload = json!({"text": "hello"});
    payload["blocks"] = Value::Array(blocks);
    payload
}

/// Payloads at and beyond each of Slack's limits, and what it says to them.
fn slack_cases() -> Vec<(&'static str, Value, &'static str)> {
    let field = |length: usize| json!({"type": "mrkdwn", "text": "字".repeat(length)});
    let fields = |count: usize, length: usize| {
        blocks(vec![json!({"type": "section", "fields": vec![field(length); count]})])
    };
    let context =
        |count: usize| blocks(vec![json!({"type": "context", "elements": vec![field(1); count]})]);
    let attachments = |count: usize| json!({"attachments": vec![json!({"text": "a"}); count]});
    vec![
        ("text", json!({"text": "hello"}), "ok"),
        ("longest text", json!({"text": "字".repeat(40_000)}), "ok"),
        ("text too long", json!({"text": "字".repeat(40_001)}), "msg_too_long"),
        ("nothing", json!({}), "no_text"),
        ("empty text", json!({"text": ""}), "no_text"),
        ("a list", json!([]), "invalid_payload"),
        ("text of the wrong type", json!({"text": 1}), "invalid_payload"),
        ("blocks", blocks(vec![section("a"), header("b"), json!({"type": "divider"})]), "ok"),
        ("blocks alone", json!({"blocks": [section("a")]}), "ok"),
        ("50 blocks", blocks(vec![section("a"); 50]), "ok"),
        ("51 blocks", blocks(vec![section("a"); 51]), "invalid_blocks"),
        ("no list", json!({"text": "a", "blocks": {}}), "invalid_blocks_format"),
        ("longest section", blocks(vec![section(&"字".repeat(3_000))]), "ok"),
        ("section too long", blocks(vec![section(&"字".repeat(3_001))]), "invalid_blocks"),
        ("empty section", blocks(vec![section("")]), "invalid_blocks"),
        ("longest header", blocks(vec![header(&"字".repeat(150))]), "ok"),
        ("header too long", blocks(vec![header(&"字".repeat(151))]), "invalid_blocks"),
        ("10 fields", fields(10, 1), "ok"),
        ("11 fields", fields(11, 1), "invalid_blocks"),
        ("field too long", fields(1, 2_001), "invalid_blocks"),
        ("10 elements", context(10), "ok"),
        ("11 elements", context(11), "invalid_blocks"),
        ("unknown block", blocks(vec![json!({"type": "fireworks"})]), "invalid_blocks"),
        ("all too long", blocks(vec![section(&"a".repeat(3_000)); 5]), "msg_blocks_too_long"),
        ("100 attachments", attachments(100), "ok"),
        ("101 attachments", attachments(101), "too_many_attachments"),
        ("attachments of text", json!({"attachments": ["a"]}), "invalid_attachments"),
        (
            "an empty attachment",
            json!({"attachments": [{"color": "good"}]}),
            "missing_text_or_fallback_or_attachments",
        ),
    ]
}

#[tokio::test]
async fn slack_payloads_are_judged_as_slack_judges_them() {
    let wall = wall(false).await;
    let mut refused = 0;
    for (what, payload, wanted) in slack_cases() {
        let (status, word) = post(&wall.slack_webhook_url(), payload.to_string()).await;
        let wanted_status = if wanted == "ok" { 200 } else { 400 };
        assert_eq!((status, word.as_str()), (wanted_status, wanted), "{what}");
        refused += u64::from(wanted != "ok");
    }
    let hook = |team: &str, bot: &str, token: &str| {
        let url = wall.slack_webhook_url();
        let parts: Vec<&str> = url.rsplitn(4, '/').collect();
        let or = |given: &str, own: &str| if given.is_empty() { own } else { given }.to_owned();
        let (token, bot, team) = (or(token, parts[0]), or(bot, parts[1]), or(team, parts[2]));
        format!("{}/{team}/{bot}/{token}", parts[3])
    };
    for (url, status, word) in [
        (hook("T0", "", ""), 404, "no_team"),
        (hook("", "B0", ""), 404, "no_service"),
        (hook("", "", "x"), 403, "invalid_token"),
    ] {
        let answer = post(&url, r#"{"text":"a"}"#.to_owned()).await;
        assert_eq!(answer, (status, word.to_owned()));
        refused += 1;
    }
    let answer = post(&wall.slack_webhook_url(), "{\"text\":".to_owned()).await;
    assert_eq!(answer, (400, "invalid_payload".to_owned()));
    let accepted = slack_cases().iter().filter(|(.., wanted)| *wanted == "ok").count() as u64;
    assert_eq!(wall.counts(), WallCounts { published: 0, accepted, refused: refused + 1 });
}

#[tokio::test]
async fn wecom_payloads_are_judged_in_bytes() {
    let wall = wall(false).await;
    let of = |kind: &str, content: String| json!({"msgtype": kind, kind: {"content": content}});
    let cases = [
        (of("text", "字".repeat(682) + "ab"), 0),
        (of("text", "字".repeat(683)), 40058),
        (of("markdown", "字".repeat(1_365) + "a"), 0),
        (of("markdown", "字".repeat(1_365) + "ab"), 40058),
        (of("markdown_v2", "a".repeat(4_096)), 0),
        (of("markdown", " ".to_owned()), 44004),
        (json!({"msgtype": "markdown", "markdown": {}}), 44004),
        (json!({"msgtype": "markdown"}), 40063),
        (json!({"msgtype": "fax", "fax": {}}), 40008),
        (json!({}), 40008),
        (json!({"msgtype": "text", "text": {"content": "a", "mentioned_list": ["@all"]}}), 0),
        (json!({"msgtype": "text", "text": {"content": "a", "mentioned_list": "@all"}}), 40035),
    ];
    for (payload, wanted) in cases {
        let (status, body) = post(&wall.wecom_webhook_url(), payload.to_string()).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, answer["errcode"].as_i64()), (200, Some(wanted)), "{payload}");
        assert_eq!(answer["errmsg"] == "ok", wanted == 0);
        if wanted == 40058 {
            assert!(answer["errmsg"].as_str().unwrap().contains("exceed max length"), "{answer}");
        }
    }
    let url = format!("{}/cgi-bin/webhook/send?key=wrong", wall.wecom_base_url());
    let (_, body) = post(&url, of("text", "a".into()).to_string()).await;
    assert!(body.contains("93000"), "{body}");
    let (_, body) = post(&wall.wecom_webhook_url(), "msgtype=text".to_owned()).await;
    assert!(body.contains("40035"), "{body}");
}

/// Calls a method of the wall's Slack API with its token.
async fn slack_api(wall: &Wall, method: &str, mut message: Value) -> Value {
    if message.get("channel").is_none() {
        message["channel"] = json!(wall.slack_channel());
    }
    let url = format!("{}/{method}", wall.slack_api_url());
    let request = http().post(url).bearer_auth(wall.slack_token()).body(message.to_string());
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_slack_api_posts_threads_and_edits() {
    let wall = wall(false).await;
    let mut messages = wall.messages();
    let head = slack_api(&wall, "chat.postMessage", json!({"text": "down"})).await;
    assert_eq!((&head["ok"], &head["channel"]), (&json!(true), &json!(wall.slack_channel())));
    let ts = head["ts"].as_str().unwrap();
    let reply =
        slack_api(&wall, "chat.postMessage", json!({"text": "still", "thread_ts": ts})).await;
    let edit = slack_api(&wall, "chat.update", json!({"text": "well", "ts": ts})).await;
    assert_ne!(reply["ts"], head["ts"]);
    assert_eq!(edit["ts"], head["ts"]);
    let by_name = slack_api(&wall, "chat.postMessage", json!({"text": "x", "channel": "#deploys"}));
    assert_eq!(by_name.await["ok"], true);
    let mut places = Vec::new();
    for _ in 0..3 {
        let place = messages.recv().await.unwrap().place.unwrap();
        places.push((place.thread, place.edit));
    }
    assert_eq!(places, [(None, false), (Some(ts.to_owned()), false), (None, true)]);

    let post = "chat.postMessage";
    for (method, message, error) in [
        (post, json!({"text": ""}), "no_text"),
        (post, json!({"text": 1}), "invalid_arguments"),
        (post, json!({"text": "a", "channel": "C0ELSEWHERE"}), "channel_not_found"),
        (post, json!({"text": "a", "thread_ts": "1.2"}), "thread_not_found"),
        (post, blocks(vec![json!({"type": "fireworks"})]), "invalid_blocks"),
        (post, blocks(vec![section(&"a".repeat(3_000)); 5]), "msg_blocks_too_long"),
        ("chat.update", json!({"text": "a", "ts": "1.2"}), "message_not_found"),
        ("chat.update", json!({"text": "a"}), "message_not_found"),
        ("chat.update", json!({"text": "a".repeat(4_001), "ts": ts}), "msg_too_long"),
        ("chat.delete", json!({"ts": ts}), "unknown_method"),
    ] {
        let answer = slack_api(&wall, method, message).await;
        assert_eq!(answer, json!({"ok": false, "error": error}), "{method}");
    }
    let url = format!("{}/{post}", wall.slack_api_url());
    assert!(self::post(&url, "{}".to_owned()).await.1.contains("not_authed"));
    let wrong = http().post(url).bearer_auth("xoxb-wrong").send().await.unwrap();
    assert!(wrong.text().await.unwrap().contains("invalid_auth"));
}

#[tokio::test]
async fn the_wecom_app_takes_a_token_and_shows_nothing_twice() {
    let wall = wall(false).await;
    let ask = async |corpid: &str, secret: &str| -> Value {
        let url = format!(
            "{}/cgi-bin/gettoken?corpid={corpid}&corpsecret={secret}",
            wall.wecom_base_url()
        );
        let answer = http().get(url).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    };
    assert_eq!(ask("ww0", wall.wecom_secret()).await["errcode"], 40013);
    assert_eq!(ask(wall.wecom_corpid(), "x").await["errcode"], 40001);
    let granted = ask(wall.wecom_corpid(), wall.wecom_secret()).await;
    assert_eq!((&granted["errcode"], &granted["expires_in"]), (&json!(0), &json!(7200)));
    let send = async |token: &str, message: Value| -> i64 {
        let base = wall.wecom_base_url();
        let url = format!("{base}/cgi-bin/message/send?access_token={token}");
        let (_, body) = post(&url, message.to_string()).await;
        serde_json::from_str::<Value>(&body).unwrap()["errcode"].as_i64().unwrap()
    };
    let token = granted["access_token"].as_str().unwrap();
    let text = |content: &str| {
        json!({"touser": "zhangsan", "agentid": wall.wecom_agentid(), "msgtype": "text",
            "text": {"content": content}, "enable_duplicate_check": 1})
    };
    let without = |name: &str| {
        let mut message = text("a");
        message.as_object_mut().unwrap().remove(name);
        message
    };
    for (token, message, wanted) in [
        (token, text("a"), 0),
        (token, text("a"), 0),
        (token, text("b"), 0),
        ("", text("a"), 41001),
        ("stale", text("a"), 40014),
        (token, without("agentid"), 301_002),
        (token, without("touser"), 82001),
        (token, text(""), 44004),
        (token, json!({"msgtype": "markdown", "markdown": {"content": "a".repeat(2_049)}}), 40058),
    ] {
        assert_eq!(send(token, message.clone()).await, wanted, "{token} {message}");
    }
    // The second of two with the same bytes was taken and not shown.
    assert_eq!(wall.counts().accepted, 2);
}

#[tokio::test]
async fn what_comes_too_fast_is_told_to_wait() {
    let wall = wall(true).await;
    let text = json!({"msgtype": "text", "text": {"content": "a"}}).to_string();
    for sent in 1..=21 {
        let (_, body) = post(&wall.wecom_webhook_url(), text.clone()).await;
        let wanted = if sent <= 20 { "\"errcode\":0" } else { "\"errcode\":45009" };
        assert!(body.contains(wanted), "{sent}: {body}");
    }
    let client = http();
    let mut limited = None;
    for _ in 0..12 {
        let request = client.post(wall.slack_webhook_url()).body(r#"{"text":"a"}"#);
        let answer = request.send().await.unwrap();
        if answer.status() == 429 {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("a burst of 12 in well under a second is limited");
    let after: u64 = limited.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let body: Value = serde_json::from_str(&limited.text().await.unwrap()).unwrap();
    assert!((1..=5).contains(&after) && body["retry_after"] == after, "{after} {body}");
}

#[tokio::test]
async fn whoever_listens_hears_each_message_with_its_verdict() {
    let wall = wall(false).await;
    let mut messages = wall.messages();
    let said = "*<https://x.example|deploy &lt;failed&gt;>*\u{7} `v1`\nmore";
    post(&wall.slack_webhook_url(), json!({"text": said}).to_string()).await;
    post(&wall.slack_webhook_url(), json!({"text": ""}).to_string()).await;
    let content = "### <font color=\"warning\">部署失败</font> **shop/api**\n> more";
    let payload = json!({"msgtype": "markdown", "markdown": {"content": content}});
    post(&wall.wecom_webhook_url(), payload.to_string()).await;
    post(&wall.webhook_url(), "not JSON".to_owned()).await;
    let mut heard = Vec::new();
    for _ in 0..4 {
        let message = messages.recv().await.unwrap();
        heard.push((message.channel, message.summary, message.refusal));
    }
    let ok = |channel, summary: &str| (channel, summary.to_owned(), None);
    assert_eq!(heard[0], ok(Channel::Slack, "deploy <failed> v1"));
    assert_eq!(heard[1].2.as_deref(), Some("no_text"));
    assert_eq!(heard[2], ok(Channel::WeCom, "部署失败 shop/api"));
    assert_eq!(heard[3], ok(Channel::Webhook, "\"not JSON\""));
}

/// The events that a page hears after number `after`, up to and with the last one named.
async fn events(wall: &Wall, after: u64, last: &str) -> String {
    let url = format!("{}/events?after={after}", wall.url());
    let mut answer = http().get(url).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut heard = String::new();
    while !heard.contains(last) {
        let chunk = answer.chunk().await.unwrap().expect("the stream goes on");
        heard.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    heard
}

#[tokio::test]
async fn a_page_goes_on_where_it_stopped_or_begins_anew() {
    let world = world(0);
    let settings =
        WallSettings { paced: false, world: Some(world.clone()), ..WallSettings::default() };
    let wall = Wall::start(listener().await, settings, &CancellationToken::new()).unwrap();
    let place = world.push(row(0));
    assert!(events(&wall, 0, "id: 1\n").await.contains(r#""tag":"v0""#));
    world.resolve(&place, 404, "kube Resurces NotFound");
    post(&wall.slack_webhook_url(), r#"{"text":"first"}"#.into()).await;
    let snapshot: Value =
        serde_json::from_str(&events(&wall, 2, "id: 3\n").await.replace("id: 3\ndata: ", ""))
            .unwrap();
    assert_eq!(
        (&snapshot["kind"], &snapshot["payload"]["text"]),
        (&json!("message"), &json!("first"))
    );
    let heard = events(&wall, 1, "id: 3\n").await;
    assert!(heard.contains("id: 2\n") && !heard.contains("id: 1\n"), "{heard}");
    assert!(heard.contains("kube Resurces NotFound"), "{heard}");

    for number in 1..200 {
        world.push(row(number));
    }
    // What is forgotten in part, and what a wall before this one has numbered, must be asked anew.
    events(&wall, 3, "event: resync\n").await;
    events(&wall, 9_999, "event: resync\n").await;
    let answer = http().get(format!("{}/snapshot", wall.url())).send().await.unwrap();
    let snapshot: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let kinds = snapshot["events"].as_array().unwrap().iter().map(|event| event["kind"].clone());
    assert_eq!(kinds.clone().filter(|kind| kind == "row").count(), 120);
    assert_eq!(kinds.filter(|kind| kind == "message").count(), 1, "rows push no message out");
}

/// The page's document after it has settled, as Chromium has it.
async fn dom(url: String) -> String {
    let browser = move || {
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--virtual-time-budget=4000", "--timeout=20000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .output()
            .expect("chromium is installed");
        String::from_utf8(output.stdout).unwrap()
    };
    tokio::task::spawn_blocking(browser).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_what_people_would_see_and_foreign_text_stays_text() {
    let world = world(0);
    let settings =
        WallSettings { paced: false, world: Some(world.clone()), ..WallSettings::default() };
    let wall = Wall::start(listener().await, settings, &CancellationToken::new()).unwrap();
    let hostile =
        "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>";
    let mut bad = row(5);
    bad.tag = Some(hostile.into());
    bad.return_msg = Some("kube Resurces NotFound <b>bold</b>".into());
    world.push(bad);
    world.push(row(6));
    let mrkdwn = format!(
        "*failed* `code` <https://ci.example/1|build 1> <javascript:alert(1)|bad link> &lt;!channel&gt; {}",
        hostile.replace('<', "&lt;").replace('>', "&gt;")
    );
    let payload =
        json!({"text": "v6 of api", "blocks": [header("Deploy <i>failed</i>"), section(&mrkdwn)]});
    assert_eq!(post(&wall.slack_webhook_url(), payload.to_string()).await.1, "ok");
    let raw = json!({"text": format!("<!channel> {hostile}")});
    post(&wall.slack_webhook_url(), raw.to_string()).await;
    post(&wall.slack_webhook_url(), json!({"blocks": [{"type": "fireworks"}]}).to_string()).await;
    let content = format!(
        "### Deploy\n<font color=\"warning\">**failed**</font> [log](https://ci.example/2) \
         [bad](javascript:alert(1))\n>{hostile}"
    );
    let payload = json!({"msgtype": "markdown", "markdown": {"content": content}});
    post(&wall.wecom_webhook_url(), payload.to_string()).await;
    let head = slack_api(&wall, "chat.postMessage", json!({"text": "*pay* is down"})).await;
    let ts = head["ts"].as_str().unwrap();
    let reply = json!({"text": "down &lt;b&gt;still&lt;/b&gt;", "thread_ts": ts});
    slack_api(&wall, "chat.postMessage", reply).await;
    slack_api(&wall, "chat.update", json!({"text": "*pay* is well again", "ts": ts})).await;
    wall.report(ServiceCounts { seen: 2, matched: 1, delivered: 3 });

    let dom = dom(wall.url() + "/?still").await;
    for shown in [
        r#"<li class="row good""#,
        r#"<li class="row failed""#,
        "kube Resurces NotFound &lt;b&gt;bold&lt;/b&gt;",
        r#"<div class="header">Deploy &lt;i&gt;failed&lt;/i&gt;</div>"#,
        "<b>failed</b> <code>code</code>",
        r#"<a href="https://ci.example/1" target="_blank" rel="noopener noreferrer">build 1</a>"#,
        "&lt;!channel&gt; &lt;script&gt;",
        r#"<span class="mention shout">@channel</span>"#,
        "Refused: invalid_blocks",
        r#"<div class="heading h3">Deploy</div>"#,
        r#"<span class="warning"><b>failed</b></span>"#,
        // An edit takes the place of what it edits, and the thread stays under it.
        r#"<span class="edited">(edited)</span>"#,
        "<b>pay</b> is well again",
        r#"<ol class="thread"><li class="message">"#,
        "down &lt;b&gt;still&lt;/b&gt;",
        r#"<dd id="count-seen">2</dd>"#,
        r#"<dd id="count-matched">1</dd>"#,
        r#"<dd id="count-delivered">6</dd>"#,
        r#"<dd id="count-refused">1</dd>"#,
        // The row that the first message is about says where it was told.
        r#"<div class="told"><span class="slack">Slack</span></div>"#,
    ] {
        assert!(dom.contains(shown), "no {shown} in {dom}");
    }
    assert!(dom.contains("<title>triggerbell · chat wall</title>"), "a script has run");
    for absent in [
        "<script>document",
        "<img",
        "javascript:alert(1)\"",
        "onerror=document.title='owned'>",
        "is down",
    ] {
        assert!(!dom.contains(absent), "{absent} in {dom}");
    }
}

#[tokio::test]
async fn a_demo_has_everything_but_the_service() {
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = DemoSettings {
        wall: local,
        registry: local,
        backlog: 30,
        rate: Rate::per_second(200.0),
        ..DemoSettings::default()
    };
    let stop = CancellationToken::new();
    let demo = Demo::start(settings.clone(), &stop).await.unwrap();
    let second = Demo::start(settings, &stop).await.unwrap();
    let mut news = demo.world().news();
    let fresh = news.recv().await.unwrap();
    let caller = Caller::of(demo.registry());
    let own = [("Action", "ListTriggerLog"), ("reponame", &*fresh.repo)];
    assert_eq!(caller.two(&own).await["code"], 0);
    assert!(demo.wall().counts().published > 30);
    assert_eq!(post(&demo.wall().slack_webhook_url(), r#"{"text":"a"}"#.into()).await.1, "ok");
    // A page that is open does not hold the end up.
    let mut page = http().get(format!("{}/events", demo.wall().url())).send().await.unwrap();
    assert!(page.chunk().await.unwrap().is_some());
    second.stop().await;
    demo.stop().await;
    while let Ok(Some(_)) = page.chunk().await {}
}
