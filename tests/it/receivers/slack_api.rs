//! Slack's Web API with a bot token: what is sent, what its answers come to, row by row, and how a
//! message follows an earlier one.

use serde_json::{Value, json};
use triggerbell::{
    domain::{notification::Follow, outcome::Outcome},
    ports::Earlier,
};

use super::{
    fake::{Fake, Reply, answer},
    *,
};

const TAKEN: &str = r#"{"ok":true,"channel":"C0123456789","ts":"1503435956.000247"}"#;

fn refused(error: &str) -> Reply {
    answer(200, &[], &json!({ "ok": false, "error": error }).to_string())
}

fn follows(follow: Follow, payload: &str) -> Delivery {
    let captured = json!({ "channel": "C9876543210", "ts": "1400000000.000100" });
    Delivery { earlier: Some(Earlier { captured, follow }), ..delivery(payload) }
}

fn body(fake: &Fake) -> Value {
    serde_json::from_slice(&fake.seen().pop().unwrap().body).unwrap()
}

#[tokio::test]
async fn a_message_goes_to_the_channel_under_the_token_and_its_ids_are_kept() {
    let fake = Fake::new(answer(200, &[], TAKEN)).await;
    let slack = fixture("slack_api").open(&format!("{}/api", fake.base()));
    let outcome = slack.send(&delivery(r#"{"text":"down","channel":"C0OTHER"}"#), now()).await;
    assert_outcome(&outcome, Class::Delivered, &[], "a message");
    let ids = json!({ "channel": "C0123456789", "ts": "1503435956.000247" });
    assert_eq!(outcome.captured, Some(ids));
    let seen = fake.seen().pop().unwrap();
    assert_eq!(seen.line(), "POST /api/chat.postMessage HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Bearer xoxb-0SECRET-TOKEN0"));
    assert_eq!(seen.header("content-type"), Some("application/json; charset=utf-8"));
    // Where it goes is the configuration's to say, whatever a template writes.
    assert_eq!(body(&fake), json!({ "text": "down", "channel": "C0123456789" }));

    let text = Payload { format: PayloadFormat::Text, body: "up again".to_owned() };
    slack.send(&Delivery { payload: text, ..delivery("") }, now()).await;
    assert_eq!(body(&fake), json!({ "text": "up again", "channel": "C0123456789" }));
    let blocks = r#"{"text":"down","blocks":[{"type":"divider"}]}"#;
    slack.send(&Delivery { plain: true, ..delivery(blocks) }, now()).await;
    assert_eq!(body(&fake), json!({ "text": "down", "channel": "C0123456789" }));
}

/// A row of the contract: errors, and what they come to.
type Row = (&'static [&'static str], Class, &'static [Flag]);

fn rows() -> Vec<Row> {
    let form: &[Flag] = &[Flag::Fallback];
    vec![
        (&["ratelimited", "rate_limited"], retry_after(1), &[Flag::Throttle]),
        (
            &[
                "service_unavailable",
                "request_timeout",
                "update_failed",
                "team_added_to_org",
                "external_channel_migrating",
            ],
            retry(),
            &[],
        ),
        (&["internal_error", "fatal_error"], retry(), &[Flag::Ambiguous]),
        (
            &[
                "invalid_auth",
                "not_authed",
                "account_inactive",
                "token_revoked",
                "token_expired",
                "missing_scope",
                "no_permission",
                "not_allowed_token_type",
                "access_denied",
                "channel_not_found",
                "not_in_channel",
                "is_archived",
                "is_inactive",
                "team_not_found",
                "restricted_action",
                "restricted_action_read_only_channel",
                "message_limit_exceeded",
            ],
            ENDPOINT,
            &[],
        ),
        (
            &[
                "no_text",
                "msg_too_long",
                "too_many_attachments",
                "invalid_arguments",
                "metadata_too_large",
                "metadata_must_be_sent_from_app",
                "something_new",
                "",
            ],
            MESSAGE,
            &[],
        ),
        (
            &[
                "msg_blocks_too_long",
                "invalid_blocks",
                "invalid_blocks_format",
                "invalid_attachments",
                "message_not_found",
                "cant_update_message",
                "edit_window_closed",
                "block_mismatch",
                "cannot_reply_to_message",
                "restricted_action_thread_locked",
            ],
            MESSAGE,
            form,
        ),
    ]
}

#[tokio::test]
async fn every_error_is_classed_as_the_contract_says() {
    let fake = Fake::new(Reply::Silence).await;
    let slack = fixture("slack_api").open(&fake.base());
    for (errors, class, flags) in rows() {
        for error in errors {
            fake.reply_with(refused(error));
            let outcome = send(&slack).await;
            assert_outcome(&outcome, class.clone(), flags, error);
            assert!(outcome.detail.contains(error), "{}", outcome.detail);
            assert_eq!(outcome.captured, None);
        }
    }
    let limited = answer(200, &[("Retry-After", "17")], r#"{"ok":false,"error":"ratelimited"}"#);
    fake.reply_with(limited);
    assert_outcome(&send(&slack).await, retry_after(17), &[Flag::Throttle], "a 200 with a wait");
    for unreadable in ["", "<html>", "{}", "[true]", "ok", r#"{"ok":"true"}"#, r#"{"ok":true"#] {
        fake.reply_with(answer(200, &[], unreadable));
        assert_outcome(&send(&slack).await, retry(), &[Flag::Ambiguous], unreadable);
    }
}

#[tokio::test]
async fn a_success_without_ids_is_one_that_nothing_can_follow() {
    let fake = Fake::new(Reply::Silence).await;
    let slack = fixture("slack_api").open(&fake.base());
    for taken in [
        r#"{"ok":true}"#,
        r#"{"ok":true,"channel":7,"ts":null}"#,
        r#"{"ok":true,"channel":"xoxb-0SECRET-TOKEN0","ts":"1503435956.000247"}"#,
    ] {
        fake.reply_with(answer(200, &[], taken));
        let outcome = send(&slack).await;
        assert_outcome(&outcome, Class::Delivered, &[], taken);
        assert_eq!(outcome.captured, None, "{taken}");
    }
}

#[tokio::test]
async fn a_message_goes_into_the_thread_of_an_earlier_one() {
    let fake = Fake::new(answer(200, &[], TAKEN)).await;
    let slack = fixture("slack_api").open(&fake.base());
    let outcome = slack.send(&follows(Follow::Thread, r#"{"text":"still"}"#), now()).await;
    assert_outcome(&outcome, Class::Delivered, &[], "a reply");
    assert_eq!(fake.seen()[0].line(), "POST /chat.postMessage HTTP/1.1");
    let wanted =
        json!({"text": "still", "channel": "C9876543210", "thread_ts": "1400000000.000100"});
    assert_eq!(body(&fake), wanted);
    // What comes next goes where this one went, and not under it.
    let captured = outcome.captured.unwrap();
    assert_eq!(captured["ts"], "1503435956.000247");
    let earlier = Some(Earlier { captured, follow: Follow::Update });
    slack.send(&Delivery { earlier, ..delivery(r#"{"text":"well"}"#) }, now()).await;
    assert_eq!(body(&fake)["ts"], "1400000000.000100");
}

#[tokio::test]
async fn an_edit_that_is_longer_than_slack_takes_goes_into_the_thread() {
    let fake = Fake::new(answer(200, &[], TAKEN)).await;
    let slack = fixture("slack_api").open(&fake.base());
    for (length, line) in [(4_000, "chat.update"), (4_001, "chat.postMessage")] {
        let payload = json!({ "text": "好".repeat(length) }).to_string();
        let outcome = slack.send(&follows(Follow::Update, &payload), now()).await;
        assert_outcome(&outcome, Class::Delivered, &[], line);
        let seen = fake.seen().pop().unwrap();
        assert_eq!(seen.line(), format!("POST /{line} HTTP/1.1"));
        let thread = (length > 4_000).then_some("1400000000.000100");
        assert_eq!(body(&fake)["thread_ts"].as_str(), thread);
    }
}

#[tokio::test]
async fn a_message_takes_the_place_of_an_earlier_one_and_leaves_nothing_of_it() {
    let fake = Fake::new(answer(200, &[], TAKEN)).await;
    let slack = fixture("slack_api").open(&fake.base());
    let outcome = slack.send(&follows(Follow::Update, r#"{"text":"well"}"#), now()).await;
    assert_outcome(&outcome, Class::Delivered, &[], "an edit");
    assert_eq!(fake.seen()[0].line(), "POST /chat.update HTTP/1.1");
    assert_eq!(fake.seen()[0].header("authorization"), Some("Bearer xoxb-0SECRET-TOKEN0"));
    let wanted = json!({"text": "well", "channel": "C9876543210", "ts": "1400000000.000100",
        "blocks": [], "attachments": []});
    assert_eq!(body(&fake), wanted);
    let blocks = r#"{"text":"well","blocks":[{"type":"divider"}]}"#;
    slack.send(&follows(Follow::Update, blocks), now()).await;
    assert_eq!(body(&fake)["blocks"], json!([{ "type": "divider" }]));
}

async fn unfollowed(follow: Follow, error: &str, then: Reply) -> (Outcome, Vec<(String, Value)>) {
    let fake = Fake::in_turn(vec![refused(error), then]).await;
    let slack = fixture("slack_api").open(&fake.base());
    let outcome = slack.send(&follows(follow, r#"{"text":"well"}"#), now()).await;
    let seen = fake.seen().into_iter();
    let seen = seen.map(|one| (one.line().to_owned(), serde_json::from_slice(&one.body).unwrap()));
    (outcome, seen.collect())
}

#[tokio::test]
async fn what_can_not_be_followed_any_more_makes_a_new_message() {
    let updates = ["message_not_found", "cant_update_message", "edit_window_closed"];
    let updates = updates.into_iter().chain(["block_mismatch"]).map(|it| (Follow::Update, it));
    let threads = ["cannot_reply_to_message", "restricted_action_thread_locked"];
    let threads = threads.into_iter().chain(["thread_not_found"]).map(|it| (Follow::Thread, it));
    // The channel of then is gone, which need not be the one that is configured now.
    let gone = ["channel_not_found", "not_in_channel", "is_archived", "is_inactive"];
    let gone = gone.into_iter().map(|it| (Follow::Update, it));
    for (follow, error) in updates.chain(threads).chain(gone) {
        let (outcome, seen) = unfollowed(follow, error, answer(200, &[], TAKEN)).await;
        assert_outcome(&outcome, Class::Delivered, &[Flag::Degraded], error);
        assert!(outcome.detail.contains(error), "{}", outcome.detail);
        // The old ids are forgotten: the new ones take their place.
        assert_eq!(outcome.captured.unwrap()["ts"], "1503435956.000247");
        let [_, (line, fresh)] = &seen[..] else { panic!("{} requests", seen.len()) };
        assert_eq!(line, "POST /chat.postMessage HTTP/1.1");
        assert_eq!(*fresh, json!({"text": "well", "channel": "C0123456789"}), "{error}");
    }
    // What came of the new one is what came of it.
    let (outcome, seen) =
        unfollowed(Follow::Update, "message_not_found", refused("is_archived")).await;
    assert_outcome(&outcome, ENDPOINT, &[], "the new one is refused too");
    assert_eq!(seen.len(), 2);
    // Anything else is no reason to tell it anew.
    let (outcome, seen) = unfollowed(Follow::Update, "msg_too_long", answer(200, &[], TAKEN)).await;
    assert_outcome(&outcome, MESSAGE, &[], "too long");
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn ids_that_are_none_make_a_new_message() {
    let fake = Fake::new(answer(200, &[], TAKEN)).await;
    let slack = fixture("slack_api").open(&fake.base());
    for captured in
        [json!(null), json!({}), json!({"channel": "C1"}), json!({"channel": "C1", "ts": 5})]
    {
        for follow in [Follow::Thread, Follow::Update] {
            let earlier = Some(Earlier { captured: captured.clone(), follow });
            let outcome = slack.send(&Delivery { earlier, ..delivery("{}") }, now()).await;
            assert_outcome(&outcome, Class::Delivered, &[], "a new message");
            assert_eq!(body(&fake), json!({"channel": "C0123456789"}));
        }
    }
}

#[tokio::test]
async fn receivers_that_know_no_threads_send_a_message_like_any_other() {
    for name in ["slack", "wecom", "wecom_app", "webhook"] {
        let fixture = fixture(name);
        let fake = Fake::new(answer(200, &[], fixture.accepts)).await;
        let receiver = fixture.open(&fake.base());
        for follow in [Follow::Thread, Follow::Update] {
            let outcome = receiver.send(&follows(follow, r#"{"text":"well"}"#), now()).await;
            assert_outcome(&outcome, Class::Delivered, &[], name);
        }
        assert_eq!(fake.seen().len(), 2);
    }
}
