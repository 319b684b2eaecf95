//! No secret shows in what is said of an attempt or logged of it, and one that was replaced in its
//! file is used without a restart.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use triggerbell::adapters::receivers::{SettingError, plain_http_to_elsewhere};

use super::{
    fake::{Fake, Reply, answer},
    *,
};

#[track_caller]
fn assert_hidden(text: &str, fixture: &Fixture, what: &str) {
    let text = text.to_ascii_lowercase();
    for secret in fixture.secrets {
        assert!(!text.contains(&secret.to_ascii_lowercase()), "{what} shows {secret}: {text}");
    }
}

#[tokio::test]
async fn a_receiver_that_repeats_our_secrets_is_not_repeated() {
    for fixture in FIXTURES {
        let fake = Fake::new(answer(200, &[], "")).await;
        let notifier = fixture.open(&fake.base());
        send(&notifier).await;
        let sent = fake.seen().pop().unwrap();
        let asked = sent.line().split(' ').nth(1).unwrap().to_owned();
        let echoes = [
            sent.head.clone(),
            fake.base() + &asked,
            asked.replace('/', "%2F").replace('=', "%3d"),
            asked.replace('/', r"\/"),
            asked.replace('/', "&#x2F;").replace('&', "&amp;"),
            asked.to_uppercase(),
            fixture.secrets.join(" and "),
            fixture.secrets.join(""),
            format!("{}{}", "y".repeat(64 * 1024 - 8), fixture.secrets[0]),
        ];
        for echo in echoes {
            for status in [200, 400, 404, 429, 500] {
                fake.reply_with(answer(status, &[("location", &fake.base())], &echo));
                let outcome = send(&notifier).await;
                let what = format!("{} {status}", fixture.name);
                assert_hidden(&format!("{outcome:?}"), &fixture, &what);
            }
            let errmsg = serde_json::json!({"errcode": 40058, "errmsg": echo}).to_string();
            fake.reply_with(answer(200, &[], &errmsg));
            assert_hidden(&format!("{:?}", send(&notifier).await), &fixture, fixture.name);
        }
    }
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_shows_in_failures_or_in_logs_at_any_level() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for fixture in FIXTURES {
        let settings = (fixture.settings)("http://127.0.0.1:1");
        assert_hidden(&format!("{settings:?}"), &fixture, "Debug of settings");
        let fake = Fake::new(answer(200, &[], fixture.accepts)).await;
        for reply in [
            answer(200, &[], fixture.accepts),
            answer(404, &[], "no"),
            Reply::BytesThenHangUp(vec![]),
            Reply::BytesThenHangUp(b"nonsense\r\n\r\n".to_vec()),
            Reply::Silence,
        ] {
            fake.reply_with(reply);
            let outcome = send(&fixture.open_with(&fake.base(), &quick())).await;
            assert_hidden(&format!("{outcome:?}"), &fixture, fixture.name);
        }
        for base in ["http://127.0.0.1:1", "https://nowhere.invalid", "http://169.254.169.254"]
            .into_iter()
            .chain([fake.base().replace("http", "https").as_str()])
        {
            let outcome = send(&fixture.open_with(base, &quick())).await;
            assert_hidden(&format!("{outcome:?}"), &fixture, base);
        }
        let logs = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
        assert!(logs.contains("hyper_util"), "nothing was captured");
        assert_hidden(&logs, &fixture, "the log");
    }
}

/// Writes a secret file whole, as an orchestrator does.
fn write_secret(path: &std::path::Path, text: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, path).unwrap();
}

/// What to write into a secret file, for a base URL and a key.
type SecretText = fn(&str, &str) -> String;

/// The settings of a type whose secret stands in a file, and what to write into it.
fn from_file(kind: &str, base: &str, path: &std::path::Path) -> (Arc<dyn Settings>, SecretText) {
    let text: SecretText = match kind {
        "slack" => |base, key| format!("{base}/services/T0/B0/{key}\n"),
        "slack_api" => |_, key| format!("xoxb-{key}\n"),
        "wecom" | "wecom_app" => |_, key| format!("{key}\n"),
        _ => |base, key| format!("{base}/hooks/{key}\n"),
    };
    write_secret(path, &text(base, "old-key"));
    let secret = Secret::file(path).unwrap();
    let settings: Arc<dyn Settings> = match kind {
        "slack" => Arc::new(SlackSettings::new(secret).unwrap()),
        "slack_api" => Arc::new(SlackApiSettings::new(secret, "#ops", Some(base)).unwrap()),
        "wecom" => Arc::new(WecomSettings::new(secret, Some(base)).unwrap()),
        "wecom_app" => {
            let app = wecom_app(secret);
            Arc::new(WecomAppSettings::new(app, everybody(), Some(base)).unwrap())
        }
        _ => Arc::new(WebhookSettings::new(secret, WebhookOptions::default()).unwrap()),
    };
    (settings, text)
}

#[tokio::test]
async fn a_secret_that_was_replaced_in_its_file_is_used_after_the_first_refusal() {
    let folder = tempfile::tempdir().unwrap();
    for fixture in FIXTURES {
        let (status, refusal) = fixture.refuses_all;
        let fake = Fake::new(answer(status, &[], refusal)).await;
        let path = folder.path().join(fixture.name);
        let (settings, text) = from_file(fixture.name, &fake.base(), &path);
        let notifier = open(&*settings, &patient());
        assert_outcome(&send(&notifier).await, ENDPOINT, &[], "unchanged");

        write_secret(&path, &text(&fake.base(), "new-key"));
        let (one, two) = tokio::join!(send(&notifier), send(&notifier));
        for outcome in [one, two] {
            assert_outcome(&outcome, retry(), &[], "both learn that it changed");
            assert!(outcome.detail.contains("was read again"), "{}", outcome.detail);
        }
        fake.reply_with(answer(200, &[], fixture.accepts));
        assert_outcome(&send(&notifier).await, Class::Delivered, &[], "the new one");
        let heads: Vec<_> = fake.seen().into_iter().map(|seen| seen.head).collect();
        assert!(heads[..3].iter().all(|head| head.contains("old-key")), "{heads:?}");
        assert!(heads[3].contains("new-key"), "{heads:?}");

        fake.reply_with(answer(status, &[], refusal));
        std::fs::remove_file(&path).unwrap();
        let outcome = send(&notifier).await;
        assert_outcome(&outcome, ENDPOINT, &[], "a file that is gone");
        assert!(outcome.detail.contains("could not be read again"), "{}", outcome.detail);
        write_secret(&path, "\u{1}nonsense");
        assert_outcome(&send(&notifier).await, ENDPOINT, &[], "a file with nonsense");
        fake.reply_with(answer(200, &[], fixture.accepts));
        assert_outcome(&send(&notifier).await, Class::Delivered, &[], "the last good one stays");
    }
}

#[test]
fn plain_http_is_in_clear_to_anything_but_this_machine() {
    for (url, wanted) in [
        ("http://example.com/x", true),
        ("http://10.0.0.1/x", true),
        ("http://localhost.example.com/", true),
        ("http://127.0.0.1:8080/x", false),
        ("http://127.9.9.9/x", false),
        ("http://localhost/x", false),
        ("http://app.localhost/x", false),
        ("http://[::1]:80/x", false),
        ("https://example.com/x", false),
        ("no url", false),
    ] {
        assert_eq!(plain_http_to_elsewhere(url), wanted, "{url}");
    }
    for fixture in FIXTURES {
        assert!((fixture.settings)("http://example.com").sends_in_clear());
        assert!(!(fixture.settings)("https://example.com").sends_in_clear());
    }
}

#[test]
fn a_setting_that_cannot_be_names_its_key_and_a_remedy_and_no_secret() {
    let secret = || Secret::inline("SECRET\u{7}VALUE");
    let options = WebhookOptions {
        method: Some("SEND".to_owned()),
        headers: [("x-ok", "fine"), ("no name", "SECRET"), ("x-bad", "SECRET\r\nx: y")]
            .into_iter()
            .chain([("Content-Length", "3"), ("webhook-id", "mine")])
            .map(|(name, value)| (name.to_owned(), Secret::inline(value)))
            .collect(),
        signing_secrets: vec![secret(), Secret::inline("whsec_SECRETc2hvcnQ=")],
        ..Default::default()
    };
    let mut problems: Vec<SettingError> = WebhookSettings::new(secret(), options).unwrap_err();
    problems.push(SlackSettings::new(secret()).unwrap_err());
    problems.push(WecomSettings::new(secret(), None).unwrap_err());
    problems.push(WecomSettings::new(Secret::inline("key"), Some("SECRET")).unwrap_err());
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    let wanted = [
        "method",
        "url",
        "headers.Content-Length",
        "headers.no name",
        "headers.webhook-id",
        "headers.x-bad",
        "signing_secret",
        "signing_secret",
        "webhook_url",
        "key",
        "base_url",
    ];
    assert_eq!(keys, wanted);
    for problem in problems {
        assert!(problem.help.is_some());
        assert!(!format!("{problem:?}").contains("SECRET"), "{problem:?}");
    }
}
