//! WeCom's apps: what is sent, and the life of an access token: asked for once, shared, dropped when
//! it is refused, never asked for in haste.

use serde_json::{Value, json};
use triggerbell::adapters::receivers::SettingError;

use super::{
    answers::given_reply,
    fake::{Fake, Reply, Seen, answer, token},
    *,
};

const OK: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

fn refused(errcode: i64) -> Reply {
    answer(200, &[], &json!({ "errcode": errcode, "errmsg": "no" }).to_string())
}

fn app(fake: &Fake) -> Arc<dyn Notifier> {
    fixture("wecom_app").open(&fake.base())
}

fn after(seconds: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(seconds)
}

async fn send_at(notifier: &Arc<dyn Notifier>, seconds: i64) -> Outcome {
    notifier.send(&delivery(r#"{"msgtype":"text","text":{"content":"x"}}"#), after(seconds)).await
}

fn tokens(seen: &[Seen]) -> Vec<String> {
    let token = |seen: &Seen| {
        let query = seen.line().split("access_token=").nth(1).unwrap();
        query.split(' ').next().unwrap().to_owned()
    };
    seen.iter().map(token).collect()
}

#[tokio::test]
async fn a_message_goes_to_whom_the_configuration_names_under_a_token() {
    let fake = Fake::new(answer(200, &[], OK)).await;
    let to = Recipients {
        users: vec!["zhangsan".to_owned(), "lisi".to_owned()],
        parties: vec!["2".to_owned()],
        tags: vec!["7".to_owned(), "8".to_owned()],
    };
    let secret = Secret::inline("corpSECRET-0123456789_abc");
    let base = format!("{}/qy/", fake.base());
    let settings = WecomAppSettings::new(wecom_app(secret), to, Some(&base)).unwrap();
    let notifier = open(&settings, &patient());
    let message = r####"{"msgtype":"markdown","markdown":{"content":"### 更新失败"}}"####;
    let outcome = notifier.send(&delivery(message), now()).await;
    assert_outcome(&outcome, Class::Delivered, &[], "a message");
    assert_eq!(
        fake.asked()[0].line(),
        "GET /qy/cgi-bin/gettoken?corpid=ww0123456789abcdef&corpsecret=corpSECRET-0123456789_abc \
         HTTP/1.1"
    );
    let seen = fake.seen().pop().unwrap();
    assert_eq!(
        seen.line(),
        "POST /qy/cgi-bin/message/send?access_token=token-for-corpSECRET-0123456789_abc HTTP/1.1"
    );
    let sent: Value = serde_json::from_slice(&seen.body).unwrap();
    let wanted = json!({
        "msgtype": "markdown", "markdown": {"content": "### 更新失败"},
        "touser": "zhangsan|lisi", "toparty": "2", "totag": "7|8", "agentid": 1_000_002,
        "enable_duplicate_check": 1, "duplicate_check_interval": 14400,
        "notification_id": "abababababababababababababababab",
    });
    assert_eq!(sent, wanted);

    // A template may say for whom its message is.
    let message = r#"{"touser":"oncall","msgtype":"text","text":{"content":"x"}}"#;
    notifier.send(&delivery(message), now()).await;
    let sent: Value = serde_json::from_slice(&fake.seen().pop().unwrap().body).unwrap();
    assert_eq!((&sent["touser"], &sent["toparty"]), (&json!("oncall"), &Value::Null));
}

#[tokio::test]
async fn the_bytes_are_the_same_at_every_attempt_and_other_for_another_message() {
    let fake = Fake::new(answer(503, &[], "")).await;
    let notifier = app(&fake);
    let message = delivery(r#"{"msgtype":"text","text":{"content":"x"}}"#);
    for attempt in 1..=4 {
        let failures = attempt - 1;
        let delivery = Delivery { attempt, failures, ..message.clone() };
        notifier.send(&delivery, after(i64::from(attempt) * 1000)).await;
    }
    let other = Delivery { id: NotificationId([0xcd; 16]), ..message };
    notifier.send(&other, after(9000)).await;
    let bodies: Vec<_> = fake.seen().into_iter().map(|seen| seen.body).collect();
    assert!(bodies[..4].iter().all(|body| *body == bodies[0]), "WeCom would show it twice");
    assert_ne!(bodies[4], bodies[0], "WeCom would drop the second of two alike");
}

#[tokio::test]
async fn one_token_serves_until_shortly_before_its_end() {
    let fake = Fake::new(answer(200, &[], OK)).await;
    fake.grant(vec![token("first", 7200), token("second", 7200)]);
    let notifier = app(&fake);
    for seconds in [0, 10, 3600, 7139, 7141, 7200, 14000] {
        assert_outcome(&send_at(&notifier, seconds).await, Class::Delivered, &[], "a message");
    }
    let used = tokens(&fake.seen());
    assert_eq!(used, ["first", "first", "first", "first", "second", "second", "second"]);
    assert_eq!(fake.asked().len(), 2);
    // A clock that is set back by years does not make a token last for years.
    send_at(&notifier, -100_000_000).await;
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test]
async fn a_short_or_senseless_life_makes_no_request_of_every_message() {
    for (given, seconds) in
        [("30", 30), ("0", 30), ("-1", 3600), (r#""7200""#, 3600), ("null", 3600)]
    {
        let fake = Fake::new(answer(200, &[], OK)).await;
        let grant = format!(r#"{{"access_token":"t","expires_in":{given}}}"#);
        fake.grant(vec![answer(200, &[], &grant)]);
        let notifier = app(&fake);
        for second in [0, 10, 20, seconds] {
            assert_outcome(&send_at(&notifier, second).await, Class::Delivered, &[], given);
        }
        assert_eq!(fake.asked().len(), 1, "{given}");
    }
}

#[tokio::test]
async fn ten_sends_at_once_ask_for_one_token() {
    let fake = Fake::new(answer(200, &[], OK)).await;
    let notifier = app(&fake);
    let outcomes = futures_util::future::join_all((0..10).map(|_| send_at(&notifier, 0))).await;
    assert!(outcomes.iter().all(|outcome| outcome.class == Class::Delivered));
    assert_eq!((fake.asked().len(), fake.seen().len()), (1, 10));
}

/// A far side that takes only the newest token: the others have ended or were revoked.
async fn takes_only(newest: &str, errcode: i64) -> Fake {
    let (newest, refusal) = (newest.to_owned(), refused(errcode));
    let fake = Fake::new(answer(200, &[], OK)).await;
    fake.decide(move |seen| {
        let stale = !seen.line().contains(&format!("access_token={newest} "));
        stale.then(|| refusal.clone())
    });
    fake
}

#[tokio::test]
async fn a_token_that_ended_or_was_revoked_is_asked_for_again_once_by_ten_sends() {
    for errcode in [40014, 41001, 42001] {
        let fake = takes_only("second", errcode).await;
        fake.grant(vec![token("first", 7200), token("second", 7200), token("third", 7200)]);
        let notifier = app(&fake);
        let sends = (0..10).map(|_| send_at(&notifier, 0));
        let outcomes = futures_util::future::join_all(sends).await;
        for outcome in outcomes {
            assert_outcome(&outcome, Class::Delivered, &[], &errcode.to_string());
        }
        assert_eq!(fake.asked().len(), 2, "{errcode}");
        let used = tokens(&fake.seen());
        let of = |token: &str| used.iter().filter(|used| *used == token).count();
        assert_eq!((of("second"), of("third")), (10, 0), "{errcode}");
        assert!((1..=10).contains(&of("first")), "{errcode}");
        // And the next message uses the new one at once.
        assert_outcome(&send_at(&notifier, 60).await, Class::Delivered, &[], "the next");
        assert_eq!(fake.asked().len(), 2, "{errcode}");
    }
}

#[tokio::test]
async fn receivers_of_one_app_have_one_token_between_them() {
    let fake = takes_only("second", 42001).await;
    fake.grant(vec![token("first", 7200), token("second", 7200)]);
    let mut wires = Wires::default();
    let mut receivers = Vec::new();
    for timeout in [20, 20, 30] {
        let wire = wires.wire(&within(Duration::from_secs(timeout))).unwrap();
        receivers.push((fixture("wecom_app").settings)(&fake.base()).open(&wire).unwrap());
    }
    for receiver in &receivers {
        assert_outcome(&send_at(receiver, 0).await, Class::Delivered, &[], "each");
    }
    assert_eq!((fake.asked().len(), fake.seen().len()), (2, 4));
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_too_closes_the_lane() {
    for errcode in [40014, 41001, 42001] {
        let fake = Fake::new(refused(errcode)).await;
        let outcome = send_at(&app(&fake), 0).await;
        assert_outcome(&outcome, ENDPOINT, &[], &errcode.to_string());
        assert!(outcome.detail.contains("and a fresh one too"), "{}", outcome.detail);
        assert_eq!((fake.asked().len(), fake.seen().len()), (2, 2), "{errcode}");
    }
}

/// What the known answer asks for: drop the token, get another, send once more.
pub(super) async fn assert_drops_fetches_and_resends_once(given: &Value) {
    let fake = Fake::in_turn(vec![given_reply(given), answer(200, &[], OK)]).await;
    assert_outcome(&send_at(&app(&fake), 0).await, Class::Delivered, &[], "resent");
    assert_eq!((fake.asked().len(), fake.seen().len()), (2, 2));
    assert_eq!(fake.seen()[0].body, fake.seen()[1].body);
}

#[tokio::test]
async fn a_wrong_secret_is_not_shown_again_in_haste() {
    let fake = Fake::new(answer(200, &[], OK)).await;
    let wrong = r#"{"errcode":40001,"errmsg":"invalid credential, hint: [17]"}"#;
    fake.grant(vec![answer(200, &[], wrong)]);
    let notifier = app(&fake);
    let sends = (0..10).map(|_| send_at(&notifier, 0));
    for outcome in futures_util::future::join_all(sends).await {
        assert_outcome(&outcome, ENDPOINT, &[], "a wrong secret");
        for said in ["gettoken", "40001 invalid credential", "update secret"] {
            assert!(outcome.detail.contains(said), "{}", outcome.detail);
        }
    }
    assert_eq!((fake.asked().len(), fake.seen().len()), (1, 0));
    // Ten messages a second for four hours.
    let mut asked_at = Vec::new();
    for second in 0..4 * 3600 {
        let before = fake.asked().len();
        assert_eq!(send_at(&notifier, second).await.class, ENDPOINT);
        if fake.asked().len() > before {
            asked_at.push(second);
        }
    }
    let waits: Vec<i64> = asked_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(asked_at[0], 60);
    assert_eq!(waits[..5], [120, 240, 480, 960, 1800]);
    assert!(waits[5..].iter().all(|wait| *wait == 1800), "{waits:?}");
    // A clock that is set back does not make the wait longer.
    let before = fake.asked().len();
    send_at(&notifier, -1_000_000).await;
    assert_eq!(fake.asked().len(), before + 1);
}

#[tokio::test]
async fn what_stands_between_a_message_and_its_token_is_told_and_never_ambiguous() {
    let cases = [
        (refused(40013), ENDPOINT, vec![]),
        (refused(60020), ENDPOINT, vec![]),
        // Whatever it means, the message is not to blame.
        (refused(99_999_999), ENDPOINT, vec![]),
        (refused(-1), retry(), vec![]),
        (refused(45009), retry_after(60), vec![Flag::Throttle]),
        (answer(429, &[("retry-after", "9")], ""), retry_after(9), vec![Flag::Throttle]),
        (answer(503, &[], ""), retry(), vec![]),
        (answer(404, &[], ""), ENDPOINT, vec![]),
        (answer(200, &[], "<html>"), retry(), vec![]),
        (answer(200, &[], r#"{"errcode":0}"#), retry(), vec![]),
        (answer(200, &[], r#"{"errcode":0,"access_token":""}"#), retry(), vec![]),
        (answer(200, &[], r#"{"access_token":"NEWTOKENSECRET","expires_in":"#), retry(), vec![]),
        (Reply::BytesThenHangUp(vec![]), retry(), vec![]),
        (Reply::Silence, retry(), vec![]),
    ];
    for (reply, class, flags) in cases {
        let fake = Fake::new(answer(200, &[], OK)).await;
        fake.grant(vec![reply.clone()]);
        let notifier = fixture("wecom_app").open_with(&fake.base(), &quick());
        let sends = (0..3).map(|_| send_at(&notifier, 0));
        for outcome in futures_util::future::join_all(sends).await {
            assert_outcome(&outcome, class.clone(), &flags, &format!("{reply:?}"));
            assert!(outcome.detail.contains("no access token"), "{}", outcome.detail);
            assert!(!outcome.detail.contains("NEWTOKEN"), "{}", outcome.detail);
        }
        assert_eq!((fake.asked().len(), fake.seen().len()), (1, 0), "{reply:?}");
        // The schedule's first wait is longer than a passing failure is believed.
        fake.grant(vec![]);
        if class == retry() {
            assert_outcome(&send_at(&notifier, 5).await, Class::Delivered, &[], "later");
        }
    }
}

#[tokio::test]
async fn every_errcode_is_classed_as_the_contract_says() {
    let fake = Fake::new(Reply::Silence).await;
    let notifier = app(&fake);
    let rows: [(&[i64], &str, Class, &[Flag]); 8] = [
        (&[0], "ok", Class::Delivered, &[]),
        (&[0], "ok. Warning: wrong json format. ", Class::Delivered, &[Flag::Degraded]),
        (&[-1], "system busy", retry(), &[]),
        (&[45009], "api freq out of limit", retry_after(60), &[Flag::Throttle]),
        (&[45033], "api concurrent out of limit", retry(), &[]),
        (&[40058, 45002], "text.content exceed max length 2048.", MESSAGE, &[Flag::Fallback]),
        (
            &[
                40008, 40033, 40035, 40039, 40058, 40063, 44004, 45002, 45008, 93000, 99_999_999,
                -2, 1,
            ],
            "no",
            MESSAGE,
            &[],
        ),
        (&[40001, 40013, 40056, 60020, 81013, 82001, 301_002, 48002], "no", ENDPOINT, &[]),
    ];
    for (codes, errmsg, class, flags) in rows {
        for code in codes {
            let body = json!({"errcode": code, "errmsg": errmsg}).to_string();
            fake.reply_with(answer(200, &[], &body));
            let outcome = send_at(&notifier, 0).await;
            assert_outcome(&outcome, class.clone(), flags, &body);
            if outcome.class != Class::Delivered {
                assert!(outcome.detail.contains(&code.to_string()), "{}", outcome.detail);
            }
        }
    }
}

#[tokio::test]
async fn a_message_that_reached_not_everybody_is_degraded_and_says_whom() {
    let fake = Fake::new(Reply::Silence).await;
    let notifier = app(&fake);
    for (name, missed) in [("invaliduser", "zhang|li"), ("invalidparty", "9"), ("invalidtag", "7")]
        .into_iter()
        .chain([("unlicenseduser", "wang")])
    {
        let mut body = json!({"errcode": 0, "errmsg": "ok", "msgid": "m", "invaliduser": ""});
        body[name] = json!(missed);
        fake.reply_with(answer(200, &[], &body.to_string()));
        let outcome = send_at(&notifier, 0).await;
        assert_outcome(&outcome, Class::Delivered, &[Flag::Degraded], name);
        assert!(outcome.detail.contains(&format!("{name} {missed}")), "{}", outcome.detail);
    }
    for whole in [json!(""), json!(null), json!([]), json!(5)] {
        let body = json!({"errcode": 0, "errmsg": "ok", "invaliduser": whole});
        fake.reply_with(answer(200, &[], &body.to_string()));
        assert_outcome(&send_at(&notifier, 0).await, Class::Delivered, &[], &whole.to_string());
    }
}

#[test]
fn settings_that_can_not_be_are_all_named() {
    let keys = |result: Result<WecomAppSettings, Vec<SettingError>>| {
        let errors = result.unwrap_err();
        assert!(errors.iter().all(|error| error.help.is_some()));
        assert!(!format!("{errors:?}").contains("SECRET"), "{errors:?}");
        errors.into_iter().map(|error| error.key).collect::<Vec<_>>()
    };
    let bad = WecomApp { corpid: "SECRET id".into(), ..wecom_app(Secret::inline("SECRET\u{7}")) };
    let bad = WecomAppSettings::new(bad, Recipients::default(), Some("SECRET"));
    assert_eq!(keys(bad), ["to_user", "corpid", "secret", "base_url"]);
    let list = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    for (to, key) in [
        (Recipients { users: list(&["a", "b c"]), ..Default::default() }, "to_user"),
        (Recipients { users: list(&[""]), ..Default::default() }, "to_user"),
        (Recipients { users: vec!["u".to_owned(); 1001], ..Default::default() }, "to_user"),
        (Recipients { parties: list(&["ops"]), ..Default::default() }, "to_party"),
        (Recipients { tags: list(&["-1"]), ..Default::default() }, "to_tag"),
        (Recipients { tags: vec!["1".to_owned(); 101], ..Default::default() }, "to_tag"),
    ] {
        let app = wecom_app(Secret::inline("fine"));
        assert_eq!(keys(WecomAppSettings::new(app, to, None)), [key]);
    }
}
