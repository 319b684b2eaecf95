//! What a webhook is sent, byte by byte, and Standard Webhooks signatures by their known answers.

use serde_json::Value;
use triggerbell::adapters::receivers::{
    StatusPolicy, StatusSet,
    signature::{KeyError, SigningKey, VerifyError, sign_with_all, verify},
};

use super::{
    fake::{Fake, answer},
    *,
};

#[tokio::test]
async fn every_type_sends_the_bytes_it_was_given() {
    let body = "{\"text\": \"磁盘已满 97% <&> \\\"db-1\\\"\\n🔥\",\t\"n\":1.0}\r\n";
    // Slack's and WeCom's apps add to whom a message goes.
    for fixture in ["slack", "wecom", "webhook"].map(fixture) {
        let fake = Fake::new(answer(200, &[], fixture.accepts)).await;
        let outcome = fixture.open(&fake.base()).send(&delivery(body), now()).await;
        assert_outcome(&outcome, Class::Delivered, &[], fixture.name);
        let seen = fake.seen().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&seen.body), body, "{}", fixture.name);
        assert!(seen.line().starts_with("POST /"), "{}", seen.line());
        assert_eq!(seen.header("content-type"), Some("application/json"));
        assert_eq!(seen.header("content-length"), Some(&*body.len().to_string()));
        for absent in
            ["content-encoding", "transfer-encoding", "accept-encoding", "cookie", "expect"]
        {
            assert_eq!(seen.header(absent), None, "{absent}");
        }
        assert!(seen.header("user-agent").unwrap().starts_with("triggerbell/"));
    }
}

#[tokio::test]
async fn the_id_stays_and_the_time_and_signature_are_each_attempts_own() {
    let fake = Fake::in_turn(vec![answer(503, &[], ""), answer(200, &[], "")]).await;
    let notifier = fixture("webhook").open(&fake.base());
    let message = delivery("{\"n\":1}");
    let key = SigningKey::parse(SIGNING_SECRET).unwrap();
    for (attempt, second) in [(1, 1_800_000_000_i64), (2, 1_800_000_005)] {
        let at = Timestamp::from_second(second).unwrap();
        notifier.send(&Delivery { attempt, ..message.clone() }, at).await;
        let seen = fake.seen().pop().unwrap();
        assert_eq!(seen.header("webhook-id"), Some("abababababababababababababababab"));
        assert_eq!(seen.header("webhook-timestamp"), Some(&*second.to_string()));
        let header = |name| seen.header(name).unwrap();
        let signed = verify(
            &key,
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
            &seen.body,
            second + 10,
        );
        assert_eq!(signed, Ok(()));
    }
}

#[tokio::test]
async fn method_headers_user_and_format_go_out_as_configured() {
    let fake = Fake::new(answer(200, &[], "")).await;
    let url = fake.base().replace("://", "://me:pa%20ss@") + "/a%2Fb/c?x=1&y=%26#fragment";
    let options = WebhookOptions {
        method: Some("PUT".to_owned()),
        headers: [("X-Team", "shop 商店")].map(|(k, v)| (k.to_owned(), Secret::inline(v))).into(),
        ..Default::default()
    };
    let settings = WebhookSettings::new(Secret::inline(url), options).unwrap();
    let mut message = delivery("plain words");
    message.payload.format = PayloadFormat::Text;
    open(&settings, &patient()).send(&message, now()).await;
    let seen = fake.seen().pop().unwrap();
    assert_eq!(seen.line(), "PUT /a%2Fb/c?x=1&y=%26 HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Basic bWU6cGEgc3M="));
    assert_eq!(seen.header("x-team"), Some("shop 商店"));
    assert_eq!(seen.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(seen.header("host"), Some(&*fake.address.to_string()));
    assert_eq!(seen.header("webhook-id"), Some("abababababababababababababababab"));
    assert_eq!(seen.header("webhook-signature"), None);
    assert_eq!(seen.header("webhook-timestamp"), None);
}

#[tokio::test]
async fn a_content_type_of_ones_own_wins() {
    let fake = Fake::new(answer(200, &[], "")).await;
    let own = ("Content-Type".to_owned(), Secret::inline("application/cloudevents+json"));
    let options = WebhookOptions { headers: [own].into(), ..Default::default() };
    let settings = WebhookSettings::new(Secret::inline(fake.base() + "/x"), options).unwrap();
    send(&open(&settings, &patient())).await;
    let seen = fake.seen().pop().unwrap();
    assert_eq!(seen.header("content-type"), Some("application/cloudevents+json"));
    assert_eq!(seen.head.to_ascii_lowercase().matches("content-type").count(), 1);
}

#[tokio::test]
async fn what_statuses_mean_is_a_setting() {
    let fake = Fake::new(answer(200, &[], "")).await;
    let set = |text: &str| text.parse::<StatusSet>().unwrap();
    let statuses = StatusPolicy {
        delivered: StatusSet::of([set("200"), set("409")]),
        retry: StatusSet::of([set("404"), set("5xx")]),
        ..Default::default()
    };
    let options = WebhookOptions { statuses, ..Default::default() };
    let settings = WebhookSettings::new(Secret::inline(fake.base() + "/x"), options).unwrap();
    let webhook = open(&settings, &patient());
    for (status, class) in [
        (200, Class::Delivered),
        (409, Class::Delivered),
        (202, MESSAGE),
        (404, retry()),
        (500, retry()),
        (403, ENDPOINT),
        (408, MESSAGE),
    ] {
        fake.reply_with(answer(status, &[], ""));
        assert_outcome(&send(&webhook).await, class, &[], &status.to_string());
    }
}

#[tokio::test]
async fn the_receiver_may_give_a_message_or_itself_up() {
    let fake = Fake::new(answer(200, &[], "")).await;
    let webhook = fixture("webhook").open(&fake.base());
    for (status, word, class) in [
        (500, "abort-message", MESSAGE),
        (429, "abort-message", MESSAGE),
        (404, "abort-message", MESSAGE),
        (200, "abort-message", Class::Delivered),
        (500, "disable", ENDPOINT),
        (400, "disable", ENDPOINT),
        (500, "something-new", retry()),
    ] {
        fake.reply_with(answer(status, &[("webhook-delivery", word)], ""));
        assert_outcome(&send(&webhook).await, class, &[], &format!("{status} {word}"));
    }
}

struct Vector {
    keys: Vec<SigningKey>,
    id: String,
    timestamp: i64,
    body: String,
    signature: String,
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../vectors/standard_webhooks_vectors.json")).unwrap()
}

fn vector(known: &Value) -> Vector {
    let text = |name: &str| known[name].as_str().unwrap().to_owned();
    let keys = match &known["secrets"] {
        Value::Array(secrets) => secrets.clone(),
        _ => vec![known["secret"].clone()],
    };
    Vector {
        keys: keys.iter().map(|key| SigningKey::parse(key.as_str().unwrap()).unwrap()).collect(),
        id: text("msg_id"),
        timestamp: known["timestamp"].as_i64().unwrap(),
        body: text("body"),
        signature: known["headers"]["webhook-signature"].as_str().unwrap().to_owned(),
    }
}

fn check(vector: &Vector, key: &SigningKey, timestamp: i64, now: i64) -> Result<(), VerifyError> {
    let timestamp = timestamp.to_string();
    verify(key, &vector.id, &timestamp, &vector.signature, vector.body.as_bytes(), now)
}

#[test]
fn signatures_are_those_of_the_reference_libraries() {
    let known = vectors();
    let all = known["vectors"].as_array().unwrap();
    assert_eq!(all.len(), 4);
    for known in all {
        let vector = vector(known);
        let made =
            sign_with_all(&vector.keys, &vector.id, vector.timestamp, vector.body.as_bytes());
        assert_eq!(made, vector.signature, "{}", known["name"]);
        for key in &vector.keys {
            assert_eq!(check(&vector, key, vector.timestamp, vector.timestamp), Ok(()));
        }
    }
}

#[test]
fn a_message_that_was_changed_is_refused() {
    let known = vectors();
    let refused = Err(VerifyError::Signature);
    for negative in known["negative"].as_array().unwrap() {
        let of = known["vectors"].as_array().unwrap().iter();
        let mut vector = vector(of.clone().find(|one| one["name"] == negative["of"]).unwrap());
        let now = vector.timestamp;
        let mut timestamp = now;
        if let Some(body) = negative["body"].as_str() {
            vector.body = body.to_owned();
        } else if let Some(other) = negative["timestamp"].as_i64() {
            timestamp = other;
        } else {
            vector.signature = vector.signature.replace("v1,", "v1a,");
        }
        let got = check(&vector, &vector.keys[0], timestamp, now);
        assert_eq!(got, refused, "{}", negative["change"]);
    }
    let mut vector = vector(&known["vectors"][0]);
    for signature in ["", "v1", "v1,", "v1,!!!", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
        vector.signature = signature.to_owned();
        assert_eq!(check(&vector, &vector.keys[0], vector.timestamp, vector.timestamp), refused);
    }
}

#[test]
fn a_message_is_believed_for_five_minutes_either_way() {
    let vector = vector(&vectors()["vectors"][0]);
    for (late, wanted) in [
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err(VerifyError::Time)),
        (-301, Err(VerifyError::Time)),
    ] {
        let got = check(&vector, &vector.keys[0], vector.timestamp, vector.timestamp + late);
        assert_eq!(got, wanted, "{late} s");
    }
    let got = verify(&vector.keys[0], &vector.id, "soon", &vector.signature, b"", 0);
    assert_eq!(got, Err(VerifyError::Timestamp));
}

#[test]
fn a_signing_secret_is_whsec_and_24_to_64_bytes() {
    let secret = |length: usize| format!("whsec_{}", base64_of(&vec![7; length]));
    for length in [24, 25, 32, 63, 64] {
        assert!(SigningKey::parse(&secret(length)).is_ok(), "{length}");
        assert!(SigningKey::parse(secret(length).trim_end_matches('=')).is_ok(), "{length}");
    }
    for length in [0, 23, 65] {
        assert_eq!(SigningKey::parse(&secret(length)).unwrap_err(), KeyError::Length(length));
    }
    for (secret, problem) in [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", KeyError::Prefix),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", KeyError::Prefix),
        ("whsec_not base64 at all, is it now?", KeyError::Base64),
    ] {
        assert_eq!(SigningKey::parse(secret).unwrap_err(), problem);
    }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}
