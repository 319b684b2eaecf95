//! What answers come to: what holds for every type, then each type's own table, row by row.

use serde_json::Value;
use triggerbell::domain::{outcome::Outcome, retry::RETRY_AFTER_CAP};

use super::{
    fake::{Fake, Reply, answer},
    *,
};

/// What the contract says of a status whose body says nothing.
fn by_status(status: u16) -> (Class, &'static [Flag]) {
    match status {
        429 => (retry(), &[Flag::Throttle]),
        408 | 425 | 500.. => (retry(), &[]),
        300..=399 | 401 | 403 | 404 | 405 | 407 | 410 => (ENDPOINT, &[]),
        _ => (MESSAGE, &[]),
    }
}

#[tokio::test]
async fn every_type_takes_its_own_words_of_success() {
    for fixture in FIXTURES {
        let fake = Fake::new(answer(200, &[], fixture.accepts)).await;
        let outcome = send(&fixture.open(&fake.base())).await;
        assert_outcome(&outcome, Class::Delivered, &[], fixture.name);
        assert_eq!(outcome.status, Some(200));
    }
}

#[tokio::test]
async fn every_status_from_300_to_599_is_classed_alike() {
    for fixture in FIXTURES {
        let fake = Fake::new(Reply::Silence).await;
        let notifier = fixture.open(&fake.base());
        for status in 300..600 {
            fake.reply_with(answer(status, &[], ""));
            let outcome = send(&notifier).await;
            let (mut class, flags) = by_status(status);
            // These two know how long to wait without being told.
            match (fixture.name, status) {
                ("slack" | "slack_api", 429) => class = retry_after(1),
                ("wecom" | "wecom_app", 429) => class = retry_after(60),
                _ => {}
            }
            assert_outcome(&outcome, class, flags, &format!("{} {status}", fixture.name));
            assert_eq!(outcome.status, Some(status));
        }
    }
}

#[tokio::test]
async fn a_success_that_says_nothing_is_a_delivery_to_a_webhook_alone() {
    for fixture in FIXTURES {
        for status in [200, 201, 202, 204, 299] {
            let fake = Fake::new(answer(status, &[], "")).await;
            let outcome = send(&fixture.open(&fake.base())).await;
            let (class, flags): (_, &[Flag]) = match fixture.name {
                "webhook" => (Class::Delivered, &[]),
                "slack" => (MESSAGE, &[]),
                _ => (retry(), &[Flag::Ambiguous]),
            };
            assert_outcome(&outcome, class, flags, &format!("{} {status}", fixture.name));
        }
    }
}

#[tokio::test]
async fn a_429_waits_as_long_as_it_says_in_seconds_or_as_a_date() {
    for fixture in FIXTURES {
        let unsaid = match fixture.name {
            "slack" | "slack_api" => retry_after(1),
            "wecom" | "wecom_app" => retry_after(60),
            _ => retry(),
        };
        let cases = [
            ("30", retry_after(30)),
            ("1.2", retry_after(2)),
            ("0", retry_after(1)),
            ("Tue, 24 Nov 2026 08:49:37 GMT", retry_after(7)),
            ("Tuesday, 24-Nov-26 08:50:00 GMT", retry_after(30)),
            ("Tue Nov 24 09:49:30 2026", retry_after(3600)),
            ("Tue, 24 Nov 2026 08:49:00 GMT", unsaid.clone()),
            ("-5", unsaid.clone()),
            ("soon", unsaid),
        ];
        let fake = Fake::new(Reply::Silence).await;
        let notifier = fixture.open(&fake.base());
        for (header, class) in cases {
            fake.reply_with(answer(429, &[("Retry-After", header)], "slow down"));
            let what = format!("{} {header}", fixture.name);
            assert_outcome(&send(&notifier).await, class, &[Flag::Throttle], &what);
        }
    }
}

#[tokio::test]
async fn a_503_waits_as_long_as_it_says_without_holding_the_others() {
    for fixture in FIXTURES {
        let fake = Fake::new(answer(503, &[("retry-after", "120")], "")).await;
        let outcome = send(&fixture.open(&fake.base())).await;
        assert_outcome(&outcome, retry_after(120), &[], fixture.name);
    }
}

#[tokio::test]
async fn slack_takes_the_wait_from_the_body_where_no_header_says_it() {
    let fake = Fake::new(Reply::Silence).await;
    let slack = fixture("slack").open(&fake.base());
    for (header, body, seconds) in [
        (None, r#"{"retry_after": 7, "ok": false}"#, 7),
        (None, r#"{"retry_after": 1.5}"#, 2),
        (None, r#"{"retry_after": "9"}"#, 9),
        (None, r#"{"retry_after": -3}"#, 1),
        (None, r#"{"retry_after": null}"#, 1),
        (None, "rate_limited", 1),
        (Some(("Retry-After", "4")), r#"{"retry_after": 7}"#, 4),
        (Some(("Retry-After", "nonsense")), r#"{"retry_after": 7}"#, 7),
    ] {
        fake.reply_with(answer(429, header.as_slice(), body));
        assert_outcome(&send(&slack).await, retry_after(seconds), &[Flag::Throttle], body);
    }
}

#[tokio::test]
async fn slack_answers_are_classed_as_the_contract_says() {
    let fake = Fake::new(Reply::Silence).await;
    let slack = fixture("slack").open(&fake.base());
    let form: &[Flag] = &[Flag::Fallback];
    let rows: [(u16, &[&str], Class, &[Flag]); 9] = [
        (200, &["ok", " ok\n"], Class::Delivered, &[]),
        (200, &["", "OK", "okay", "<html>", r#"{"ok":true}"#, "no_text"], MESSAGE, &[]),
        (
            400,
            &[
                "invalid_payload",
                "no_text",
                "missing_text_or_fallback_or_attachments",
                "too_many_attachments",
                "something_new",
            ],
            MESSAGE,
            &[],
        ),
        (
            400,
            &["invalid_blocks", "invalid_blocks_format", "invalid_attachments", "invalid_blocks\n"],
            MESSAGE,
            form,
        ),
        (400, &["user_not_found"], ENDPOINT, &[]),
        (
            403,
            &[
                "action_prohibited",
                "posting_to_general_channel_denied",
                "invalid_token",
                "something_new",
            ],
            ENDPOINT,
            &[],
        ),
        (404, &["channel_not_found", "no_service", "no_team", "something_new"], ENDPOINT, &[]),
        (410, &["channel_is_archived"], ENDPOINT, &[]),
        (500, &["rollup_error", "", "no_service"], retry(), &[]),
    ];
    for (status, bodies, class, flags) in rows {
        for body in bodies {
            fake.reply_with(answer(status, &[], body));
            let outcome = send(&slack).await;
            assert_outcome(&outcome, class.clone(), flags, &format!("{status} {body}"));
        }
    }
}

#[tokio::test]
async fn wecom_answers_are_classed_as_the_contract_says() {
    let fake = Fake::new(Reply::Silence).await;
    let wecom = fixture("wecom").open(&fake.base());
    let rows: [(&[i64], &str, Class, &[Flag]); 8] = [
        (&[0], "ok", Class::Delivered, &[]),
        (&[0], "ok. Warning: wrong json format. ", Class::Delivered, &[Flag::Degraded]),
        (&[-1], "system busy", retry(), &[]),
        (&[45009], "api freq out of limit", retry_after(60), &[Flag::Throttle]),
        (&[45033], "api concurrent out of limit", retry(), &[]),
        (&[40058], "markdown.content exceed max length 4096.", MESSAGE, &[Flag::Fallback]),
        (
            &[40008, 40033, 40035, 40039, 40058, 40063, 44004, 45002, 45008, 99_999_999, -2, 1],
            "no",
            MESSAGE,
            &[],
        ),
        (&[93000, 93004, 93008], "no", ENDPOINT, &[]),
    ];
    for (codes, errmsg, class, flags) in rows {
        for code in codes {
            let body = serde_json::json!({"errcode": code, "errmsg": errmsg}).to_string();
            fake.reply_with(answer(200, &[], &body));
            let outcome = send(&wecom).await;
            assert_outcome(&outcome, class.clone(), flags, &body);
            if outcome.class != Class::Delivered {
                assert!(outcome.detail.contains(&code.to_string()), "{}", outcome.detail);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_says_it_was_taken_is_believed_whatever_else_it_says() {
    for (kind, bodies) in [
        (
            "wecom",
            [
                r#"{"errcode":0,"errmsg":null}"#,
                r#"{"errcode":0,"errmsg":{"en":"ok"}}"#,
                r#"{"errcode":"0","errmsg":"ok"}"#,
            ],
        ),
        (
            "slack_api",
            [
                r#"{"ok":true,"error":null}"#,
                r#"{"ok":true,"error":0,"ts":1,"channel":null}"#,
                r#"{"ok":true,"error":{}}"#,
            ],
        ),
    ] {
        let fake = Fake::new(Reply::Silence).await;
        let notifier = fixture(kind).open(&fake.base());
        for body in bodies {
            fake.reply_with(answer(200, &[], body));
            assert_outcome(&send(&notifier).await, Class::Delivered, &[], body);
        }
    }
    let fake = Fake::new(answer(200, &[], r#"{"errcode":"45009","errmsg":"freq"}"#)).await;
    let outcome = send(&fixture("wecom").open(&fake.base())).await;
    assert_outcome(&outcome, retry_after(60), &[Flag::Throttle], "a code in quotes");
}

#[tokio::test]
async fn a_200_that_wecom_itself_did_not_write_may_have_arrived() {
    let fake = Fake::new(Reply::Silence).await;
    let wecom = fixture("wecom").open(&fake.base());
    for body in
        ["<html>gateway</html>", "ok", "{}", "null", r#"{"errmsg":"ok"}"#, r#"{"errcode":0"#]
            .into_iter()
            .chain([r#"{"errcode":"zero"}"#, r#"{"errcode":null}"#, "[0]", "\u{0}"])
    {
        fake.reply_with(answer(200, &[], body));
        assert_outcome(&send(&wecom).await, retry(), &[Flag::Ambiguous], body);
    }
}

#[tokio::test]
async fn a_busy_wecom_is_tried_four_times_and_no_more() {
    let fake = Fake::new(answer(200, &[], r#"{"errcode":-1,"errmsg":"system busy"}"#)).await;
    let wecom = fixture("wecom").open(&fake.base());
    for (failures, class) in [(0, retry()), (1, retry()), (2, retry()), (3, MESSAGE), (4, MESSAGE)]
    {
        let delivery = Delivery { failures, ..delivery("{}") };
        let outcome = wecom.send(&delivery, now()).await;
        assert_outcome(&outcome, class, &[], &format!("after {failures} failures"));
    }
}

#[tokio::test]
async fn the_detail_names_cause_and_remedy() {
    let fake = Fake::new(Reply::Silence).await;
    for (kind, status, body, wanted) in [
        (
            "slack",
            404,
            "no_service",
            "slack refused: no_service — the webhook was removed or disabled; create a new one and \
             update webhook_url",
        ),
        (
            "slack",
            400,
            "surprise",
            "slack refused: status 400: surprise — the receiver does not understand the body; \
             check the template",
        ),
        (
            "wecom",
            200,
            r#"{"errcode":93004,"errmsg":"robot disabled"}"#,
            "wecom refused: 93004 robot disabled — the robot is disabled; enable it, or add \
             another and update key",
        ),
        (
            "webhook",
            302,
            "",
            "webhook refused: status 302 — redirects are not followed; configure the URL that it \
             leads to",
        ),
        (
            "webhook",
            500,
            "oops\r\n\u{1b}[2Jat line 1",
            "webhook refused: status 500: oops [2Jat line 1",
        ),
    ] {
        fake.reply_with(answer(status, &[], body));
        assert_eq!(send(&fixture(kind).open(&fake.base())).await.detail, wanted);
    }
}

#[tokio::test]
async fn the_plain_form_goes_out_when_it_is_asked_for() {
    let fake = Fake::new(answer(200, &[], "")).await;
    let full = r#"{"text":"down","blocks":[{"type":"divider"}]}"#;
    let plain = Delivery { plain: true, ..delivery(full) };
    for (kind, wanted) in [("slack", r#"{"text":"down"}"#), ("webhook", full)] {
        fixture(kind).open(&fake.base()).send(&plain, now()).await;
        assert_eq!(String::from_utf8_lossy(&fake.seen().pop().unwrap().body), wanted);
    }
    let body =
        format!(r#"{{"msgtype":"markdown","markdown":{{"content":"{}"}}}}"#, "汉".repeat(1500));
    let plain = Delivery { plain: true, ..delivery(&body) };
    fixture("wecom").open(&fake.base()).send(&plain, now()).await;
    let sent: Value = serde_json::from_slice(&fake.seen().pop().unwrap().body).unwrap();
    let content = sent["markdown"]["content"].as_str().unwrap();
    assert!(content.len() <= 2048 && content.ends_with("汉…"));
}

/// Every known answer.
#[tokio::test]
async fn known_answers_come_to_what_they_are_known_to() {
    let known: Value =
        serde_json::from_str(include_str!("../../vectors/receiver_cases.json")).unwrap();
    let mut tried = 0;
    for case in known["cases"].as_array().unwrap() {
        let kind = match case["receiver"].as_str().unwrap() {
            "slack_webhook" => "slack",
            "wecom_robot" => "wecom",
            // These need predicates: `configured` has them.
            "webhook+predicate" => continue,
            other => other,
        };
        let fixture = fixture(kind);
        if case["expect"]["action"].is_string() {
            wecom_app::assert_drops_fetches_and_resends_once(&case["answer"]).await;
            tried += 1;
            continue;
        }
        let of_token = case["note"].as_str().is_some_and(|note| note.contains("gettoken"));
        let outcome = known_answer(fixture, &case["answer"], of_token).await;
        assert_known(&outcome, &case["expect"], case["id"].as_str().unwrap());
        tried += 1;
    }
    assert_eq!(tried, 43);
}

pub(super) fn given_reply(given: &Value) -> Reply {
    let headers: Vec<_> = given["headers"].as_object().unwrap().iter().collect();
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let status = given["status"].as_u64().unwrap() as u16;
    answer(status, &headers, given["body"].as_str().unwrap())
}

async fn known_answer(fixture: Fixture, given: &Value, of_token: bool) -> Outcome {
    let reply = match given["transport_error"].as_str() {
        Some(error) if error.contains("blocked") => {
            return send(&fixture.open("http://169.254.169.254")).await;
        }
        Some(_) => Reply::BytesThenHangUp(vec![]),
        None => given_reply(given),
    };
    let fake = Fake::new(reply.clone()).await;
    if of_token {
        fake.grant(vec![reply]);
    }
    send(&fixture.open(&fake.base())).await
}

#[track_caller]
fn assert_known(outcome: &Outcome, expect: &Value, id: &str) {
    let (class, scope) = match &outcome.class {
        Class::Delivered => ("delivered", None),
        Class::Retry { .. } => ("retry", None),
        Class::Permanent(scope) => ("permanent", Some(scope.name())),
    };
    assert_eq!(Some(class), expect["class"].as_str(), "{id}: {outcome:?}");
    assert_eq!(scope, expect["scope"].as_str(), "{id}: {outcome:?}");
    let expected = |name: &str| !matches!(expect[name], Value::Null | Value::Bool(false));
    for (flag, name) in [
        (Flag::Ambiguous, "ambiguous"),
        (Flag::Degraded, "degraded"),
        (Flag::Throttle, "throttle_destination"),
        (Flag::Fallback, "fallback"),
    ] {
        assert_eq!(outcome.is(flag), expected(name), "{id}: {name} in {outcome:?}");
    }
    if let Class::Retry { after } = outcome.class {
        match &expect["after_s"] {
            Value::Number(seconds) => {
                assert_eq!(after.map(|after| after.as_secs()), seconds.as_u64(), "{id}");
            }
            word if word == "schedule" => assert_eq!(after, None, "{id}"),
            _ => assert!(after >= Some(RETRY_AFTER_CAP), "{id}: {after:?}"),
        }
    }
}

#[tokio::test]
async fn what_stands_at_the_edges_of_an_answer_keeps_no_success_from_being_read() {
    for (name, body) in [
        ("wecom", r#"{"errcode":0,"errmsg":"ok","x":1e999}"#),
        ("wecom_app", r#"{"errcode":0,"errmsg":"ok","invaliduser":1e999}"#),
        ("slack_api", r#"{"ok":true,"channel":"C0123456789","ts":"1.2","n":-1e999}"#),
        ("slack_api", r#"{"ok":true,"channel":1e999,"ts":"1.2"}"#),
    ] {
        for mark in ["", "\u{feff}"] {
            let fake = Fake::new(Reply::Silence).await;
            let fixture = fixture(name);
            fake.reply_with(answer(200, &[], fixture.accepts));
            let notifier = fixture.open(&fake.base());
            assert_outcome(&send(&notifier).await, Class::Delivered, &[], name);
            fake.reply_with(answer(200, &[], &format!("{mark}{body}")));
            let outcome = send(&notifier).await;
            assert_eq!(outcome.class, Class::Delivered, "{name} {body}: {outcome:?}");
        }
    }
}
