//! One contract for all receivers: the same tables against every type in the registry, over real
//! sockets to a fake far side; then what each type promises by itself.

mod answers;
mod bounds;
mod configured;
mod fake;
mod networks;
mod secrets;
mod slack_api;
mod socks;
mod webhook;
mod wecom_app;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use triggerbell::{
    adapters::{
        http::ClientSettings,
        receivers::{
            HttpSettings, KINDS, Recipients, Settings, SlackApiSettings, SlackSettings,
            WebhookOptions, WebhookSettings, WecomApp, WecomAppSettings, WecomSettings, Wires,
        },
        secret::Secret,
    },
    domain::{
        notification::{NotificationId, Reason},
        outcome::{Class, Flag, Outcome, Scope},
    },
    ports::{Delivery, Notifier, Payload, PayloadFormat},
};

const SIGNING_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A type under test.
#[derive(Clone, Copy)]
struct Fixture {
    /// The type, and which of its ways where it has two.
    name: &'static str,
    kind: &'static str,
    /// Its settings for a far side at this base URL (`http://127.0.0.1:1234`), with a secret in
    /// every place where one can stand.
    settings: fn(&str) -> Arc<dyn Settings>,
    /// What the far side answers with 200 when it took a message.
    accepts: &'static str,
    /// What it answers, and with which status, when it takes nothing from us any more.
    refuses_all: (u16, &'static str),
    /// Texts that may be seen nowhere.
    secrets: &'static [&'static str],
}

/// Every type in the registry, in its order, in each of its ways.
const FIXTURES: [Fixture; 5] = [
    Fixture {
        name: "slack",
        kind: "slack",
        settings: |base| {
            let url = format!("{base}/services/T0SECRET/B0SECRET/x0SECRETx");
            Arc::new(SlackSettings::new(Secret::inline(url)).unwrap())
        },
        accepts: "ok",
        refuses_all: (404, "no_service"),
        secrets: &["T0SECRET", "B0SECRET", "x0SECRETx"],
    },
    Fixture {
        name: "slack_api",
        kind: "slack",
        settings: |base| {
            let token = Secret::inline("xoxb-0SECRET-TOKEN0");
            Arc::new(SlackApiSettings::new(token, "C0123456789", Some(base)).unwrap())
        },
        accepts: r#"{"ok":true,"channel":"C0123456789","ts":"1503435956.000247"}"#,
        refuses_all: (200, r#"{"ok":false,"error":"invalid_auth"}"#),
        secrets: &["xoxb-0SECRET-TOKEN0"],
    },
    Fixture {
        name: "wecom",
        kind: "wecom",
        settings: |base| {
            let key = Secret::inline("693a91f6-KEYSECRET");
            let base = base.replace("://", "://USERSECRET:PASSSECRET@");
            Arc::new(WecomSettings::new(key, Some(&base)).unwrap())
        },
        accepts: r#"{"errcode":0,"errmsg":"ok"}"#,
        refuses_all: (200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#),
        secrets: &[
            "693a91f6-KEYSECRET",
            "USERSECRET",
            "PASSSECRET",
            "VVNFUlNFQ1JFVDpQQVNTU0VDUkVU",
        ],
    },
    Fixture {
        name: "wecom_app",
        kind: "wecom",
        settings: |base| {
            let base = base.replace("://", "://USERSECRET:PASSSECRET@");
            let secret = Secret::inline("corpSECRET-0123456789_abc");
            Arc::new(WecomAppSettings::new(wecom_app(secret), everybody(), Some(&base)).unwrap())
        },
        accepts: r#"{"errcode":0,"errmsg":"ok"}"#,
        refuses_all: (200, r#"{"errcode":60020,"errmsg":"not allow to access from your ip"}"#),
        // The token that the far side grants holds the secret that it was asked with.
        secrets: &[
            "corpSECRET-0123456789_abc",
            "USERSECRET",
            "PASSSECRET",
            "VVNFUlNFQ1JFVDpQQVNTU0VDUkVU",
        ],
    },
    Fixture {
        name: "webhook",
        kind: "webhook",
        settings: |base| {
            let url =
                base.replace("://", "://USERSECRET:PASSSECRET@") + "/PATHSECRET?t=QUERYSECRET";
            let header = ("x-token".to_owned(), Secret::inline("HEADERSECRET"));
            let options = WebhookOptions {
                headers: BTreeMap::from([header]),
                signing_secrets: vec![Secret::inline(SIGNING_SECRET)],
                ..Default::default()
            };
            Arc::new(WebhookSettings::new(Secret::inline(url), options).unwrap())
        },
        accepts: "",
        refuses_all: (410, "gone"),
        secrets: &[
            "USERSECRET",
            "PASSSECRET",
            "VVNFUlNFQ1JFVDpQQVNTU0VDUkVU",
            "PATHSECRET",
            "QUERYSECRET",
            "HEADERSECRET",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ],
    },
];

impl Fixture {
    fn open(&self, base: &str) -> Arc<dyn Notifier> {
        self.open_with(base, &patient())
    }

    fn open_with(&self, base: &str, settings: &HttpSettings) -> Arc<dyn Notifier> {
        open(&*(self.settings)(base), settings)
    }
}

fn fixture(name: &str) -> Fixture {
    FIXTURES.into_iter().find(|fixture| fixture.name == name).unwrap()
}

fn wecom_app(secret: Secret) -> WecomApp {
    WecomApp { corpid: "ww0123456789abcdef".to_owned(), secret, agentid: 1_000_002 }
}

fn everybody() -> Recipients {
    Recipients { users: vec!["@all".to_owned()], ..Default::default() }
}

fn open(settings: &dyn Settings, http: &HttpSettings) -> Arc<dyn Notifier> {
    settings.open(&Wires::default().wire(http).unwrap()).unwrap()
}

/// Limits that a test can wait for.
fn quick() -> HttpSettings {
    within(Duration::from_millis(800))
}

/// Limits that a busy machine keeps.
fn patient() -> HttpSettings {
    within(Duration::from_secs(20))
}

fn within(timeout: Duration) -> HttpSettings {
    let client = ClientSettings { connect_timeout: timeout / 2, timeout, ..Default::default() };
    HttpSettings { client, ..Default::default() }
}

fn now() -> Timestamp {
    "2026-11-24T08:49:30Z".parse().unwrap()
}

/// A message of the kind that templates make; opaque to the adapters.
fn delivery(body: &str) -> Delivery {
    Delivery {
        seq: 1,
        id: NotificationId([0xab; 16]),
        receiver: "ops".into(),
        key: [0; 16],
        reason: Reason::Failing,
        attempt: 1,
        failures: 0,
        plain: false,
        created_at: now(),
        payload: Payload { format: PayloadFormat::Json, body: body.to_owned() },
        part_of: None,
        earlier: None,
    }
}

async fn send(notifier: &Arc<dyn Notifier>) -> Outcome {
    notifier.send(&delivery(r#"{"text":"down"}"#), now()).await
}

fn retry() -> Class {
    Class::Retry { after: None }
}

fn retry_after(seconds: u64) -> Class {
    Class::Retry { after: Some(Duration::from_secs(seconds)) }
}

const MESSAGE: Class = Class::Permanent(Scope::Message);
const ENDPOINT: Class = Class::Permanent(Scope::Endpoint);

#[expect(clippy::needless_pass_by_value, reason = "tables of expected classes read better")]
#[track_caller]
fn assert_outcome(outcome: &Outcome, class: Class, flags: &[Flag], what: &str) {
    assert_eq!((&outcome.class, &*outcome.flags), (&class, flags), "{what}: {outcome:?}");
    assert!(outcome.detail.len() <= 2048, "{what}: {} bytes", outcome.detail.len());
    assert!(!outcome.detail.chars().any(char::is_control), "{what}: {:?}", outcome.detail);
    assert!(!outcome.detail.is_empty(), "{what}: no detail");
}

#[test]
fn every_type_in_the_registry_is_under_test() {
    let registered: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let mut tested = FIXTURES.map(|fixture| fixture.kind).to_vec();
    tested.dedup();
    assert_eq!(registered, tested);
    for fixture in FIXTURES {
        let settings = (fixture.settings)("http://127.0.0.1:1");
        assert_eq!(settings.kind().name, fixture.kind);
        assert_eq!(fixture.open("http://127.0.0.1:1").kind(), fixture.kind);
    }
}

#[test]
fn paces_and_digests_are_those_of_the_receivers() {
    let defaults: Vec<_> = KINDS
        .iter()
        .map(|kind| (kind.default_pace.map(|pace| (pace.count, pace.per.as_secs())), kind.digest))
        .collect();
    assert_eq!(defaults, [(Some((1, 1)), true), (Some((20, 60)), true), (None, false)]);
}
