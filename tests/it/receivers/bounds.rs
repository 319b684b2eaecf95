//! Bad days: nobody there, nobody answering, too much of an answer, half an answer, the wrong
//! certificate, an address that may not be dialled. What may have arrived is said to be so.

use std::{io::Write, time::Instant};

use rcgen::generate_simple_self_signed;
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};
use triggerbell::adapters::receivers::AddressGuard;

use super::{
    fake::{Fake, Reply, answer, answer_bytes},
    *,
};

const AMBIGUOUS: &[Flag] = &[Flag::Ambiguous];

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = Fake::new(answer(200, &[], "ok")).await;
    for fixture in FIXTURES {
        for status in [301, 302, 303, 307, 308] {
            let fake = Fake::new(answer(status, &[("location", &elsewhere.base())], "")).await;
            let outcome = send(&fixture.open(&fake.base())).await;
            assert_outcome(&outcome, ENDPOINT, &[], &format!("{} {status}", fixture.name));
            assert!(!outcome.detail.contains(&elsewhere.address.to_string()));
        }
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_read_to_64_kib_and_no_further() {
    for fixture in FIXTURES {
        for head in
            ["HTTP/1.1 500 No\r\n\r\n", "HTTP/1.1 500 No\r\ncontent-length: 9999999999\r\n\r\n"]
        {
            let fake = Fake::new(Reply::Flood(head.into())).await;
            let outcome = send(&fixture.open(&fake.base())).await;
            assert_outcome(&outcome, retry(), &[], fixture.name);
            assert!(outcome.detail.contains("xxxx") && outcome.detail.ends_with('…'));
            // What lies in the sockets' buffers was not read.
            assert!(fake.flooded() < 16 << 20, "{} bytes were taken", fake.flooded());
        }
    }
}

#[tokio::test]
async fn a_long_answer_of_success_is_judged_by_its_beginning() {
    let long = "x".repeat(1 << 20);
    for fixture in FIXTURES {
        let fake = Fake::new(answer(200, &[], &long)).await;
        let outcome = send(&fixture.open(&fake.base())).await;
        let (class, flags) = match fixture.name {
            "webhook" => (Class::Delivered, &[][..]),
            "slack" => (MESSAGE, &[][..]),
            _ => (retry(), AMBIGUOUS),
        };
        assert_outcome(&outcome, class, flags, fixture.name);
    }
}

#[tokio::test]
async fn a_body_of_exactly_64_kib_is_read_whole() {
    let fill = "x".repeat(64 * 1024 - 25);
    let body = format!(r#"{{"errcode":0,"errmsg":"{fill}"}}"#);
    assert_eq!(body.len(), 64 * 1024);
    let fake = Fake::new(answer(200, &[], &body)).await;
    let outcome = send(&fixture("wecom").open(&fake.base())).await;
    assert_outcome(&outcome, Class::Delivered, &[], "64 KiB");
}

#[tokio::test]
async fn silence_and_slowness_end_at_the_limit_and_may_have_arrived() {
    for fixture in FIXTURES {
        let head = answer_bytes(200, &[], fixture.accepts);
        let drip = b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n".to_vec();
        for reply in [Reply::Silence, Reply::Drip(head[..20].to_vec()), Reply::Drip(drip)] {
            let what = format!("{} {reply:?}", fixture.name);
            let fake = Fake::new(reply).await;
            let begun = Instant::now();
            let outcome = send(&fixture.open_with(&fake.base(), &quick())).await;
            assert_outcome(&outcome, retry(), AMBIGUOUS, &what);
            assert!(begun.elapsed() >= quick().client.timeout.mul_f32(0.9), "{what}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
            assert!(outcome.detail.contains("800ms"), "{}", outcome.detail);
        }
    }
}

#[tokio::test]
async fn a_hang_up_before_or_within_the_answer_may_have_arrived() {
    for fixture in FIXTURES {
        let whole = answer_bytes(200, &[], "0123456789");
        for kept in [0, 1, 12, 20, whole.len() - 10, whole.len() - 1] {
            let fake = Fake::new(Reply::BytesThenHangUp(whole[..kept].to_vec())).await;
            let outcome = send(&fixture.open(&fake.base())).await;
            let what = format!("{} after {kept} bytes", fixture.name);
            assert_outcome(&outcome, retry(), AMBIGUOUS, &what);
            assert_eq!(fake.seen().len(), 1, "{what}: an attempt is one request");
        }
    }
}

#[tokio::test]
async fn half_an_answer_that_says_not_now_has_said_enough() {
    for fixture in FIXTURES {
        let head = b"HTTP/1.1 429 No\r\nretry-after: 9\r\ncontent-length: 50\r\n\r\nslow".to_vec();
        let fake = Fake::new(Reply::BytesThenHangUp(head)).await;
        let outcome = send(&fixture.open(&fake.base())).await;
        assert_outcome(&outcome, retry_after(9), &[Flag::Throttle], fixture.name);
    }
}

#[tokio::test]
async fn what_is_not_http_may_have_arrived() {
    for fixture in FIXTURES {
        for nonsense in [
            &b"220 mail.example.com ESMTP\r\n"[..],
            b"\x15\x03\x01\x00\x02\x02\x16",
            b"HTTP/1.1 \r\n\r\n",
        ] {
            let fake = Fake::new(Reply::BytesThenHangUp(nonsense.to_vec())).await;
            let outcome = send(&fixture.open(&fake.base())).await;
            assert_outcome(&outcome, retry(), AMBIGUOUS, fixture.name);
        }
    }
}

#[tokio::test]
async fn nobody_there_is_not_ambiguous() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    // Accepts connections and says nothing, so TLS never comes about.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = (format!("https://{}", mute.local_addr().unwrap()), mute);
    for fixture in FIXTURES {
        for base in [&refused, &mute.0, "http://nowhere.invalid", "https://nowhere.invalid:8443"] {
            let what = format!("{} at {base}", fixture.name);
            let outcome = send(&fixture.open_with(base, &quick())).await;
            assert_outcome(&outcome, retry(), &[], &what);
            assert_eq!(outcome.status, None, "{what}");
            assert!(outcome.detail.contains("was not reached: "), "{}", outcome.detail);
        }
    }
}

/// A certificate for a name, and an acceptor that shows it.
fn certificate(name: &str) -> (String, TlsAcceptor) {
    let made = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_certificate_is_trusted_only_by_its_authority_and_its_name() {
    for (name, trusted) in [("127.0.0.1", true), ("elsewhere.example.com", false)] {
        let (pem, acceptor) = certificate(name);
        let mut ca_file = tempfile::NamedTempFile::new().unwrap();
        ca_file.write_all(pem.as_bytes()).unwrap();
        let mut with_ca = patient();
        with_ca.client.ca_file = Some(ca_file.path().to_owned());
        for fixture in FIXTURES {
            let fake = Fake::tls(answer(200, &[], fixture.accepts), acceptor.clone()).await;
            let outcome = send(&fixture.open(&fake.base())).await;
            assert_outcome(&outcome, retry(), &[], &format!("{} unknown", fixture.name));
            assert!(outcome.detail.contains("certificate"), "{}", outcome.detail);
            assert_eq!(fake.seen().len(), 0);
            let outcome = send(&fixture.open_with(&fake.base(), &with_ca)).await;
            let class = if trusted { Class::Delivered } else { retry() };
            assert_outcome(&outcome, class, &[], &format!("{} for {name}", fixture.name));
            assert_eq!(fake.seen().len(), usize::from(trusted));
        }
    }
}

#[tokio::test]
async fn metadata_services_are_refused_in_every_spelling() {
    for fixture in FIXTURES {
        for host in [
            "169.254.169.254",
            "2852039166",
            "0xa9.0xfe.0xa9.0xfe",
            "0251.0376.0251.0376",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "100.100.100.200",
        ] {
            let outcome = send(&fixture.open(&format!("http://{host}"))).await;
            assert_outcome(&outcome, ENDPOINT, &[], &format!("{} {host}", fixture.name));
            assert!(outcome.detail.contains("may not be dialled"), "{}", outcome.detail);
        }
    }
}

#[tokio::test]
async fn private_addresses_are_a_setting_and_names_are_judged_by_where_they_lead() {
    let mut guarded = patient();
    guarded.guard = AddressGuard { allow_private: false, ..Default::default() };
    for fixture in FIXTURES {
        let fake = Fake::new(answer(200, &[], fixture.accepts)).await;
        for base in [fake.base(), fake.base_by_name()] {
            let outcome = send(&fixture.open(&base)).await;
            assert_outcome(&outcome, Class::Delivered, &[], &base);
            let outcome = send(&fixture.open_with(&base, &guarded)).await;
            assert_outcome(&outcome, ENDPOINT, &[], &base);
        }
        assert_eq!(fake.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_proxy_is_used_and_its_password_is_not_repeated() {
    for fixture in FIXTURES {
        let fake = Fake::new(answer(200, &[], fixture.accepts)).await;
        let proxy = fake.base().replace("://", "://PROXYUSER:PROXYPASS@");
        let mut settings = patient();
        settings.client.proxy = Some(Secret::inline(proxy));
        let notifier = fixture.open_with("http://receiver.invalid", &settings);
        assert_eq!(send(&notifier).await.class, Class::Delivered);
        let seen = fake.seen().pop().unwrap();
        assert!(seen.line().starts_with("POST http://receiver.invalid/"), "{}", seen.line());
        assert_eq!(seen.header("proxy-authorization"), Some("Basic UFJPWFlVU0VSOlBST1hZUEFTUw=="));

        fake.reply_with(answer(407, &[], &seen.head));
        let outcome = send(&notifier).await;
        assert_outcome(&outcome, ENDPOINT, &[], fixture.name);
        for secret in ["UFJPWFl", "PROXYUSER", "PROXYPASS"].iter().chain(fixture.secrets) {
            assert!(!outcome.detail.contains(secret), "{}", outcome.detail);
        }
        // Over TLS a proxy that refuses the tunnel is one that nothing was sent through.
        let notifier = fixture.open_with("https://receiver.invalid", &settings);
        assert_outcome(&send(&notifier).await, retry(), &[], fixture.name);
    }
}

#[tokio::test]
async fn receivers_that_are_reached_alike_share_connections() {
    let fake = Fake::new(answer(200, &[], "ok")).await;
    let mut wires = Wires::default();
    let slower = ClientSettings { timeout: Duration::from_secs(30), ..patient().client };
    let slower = HttpSettings { client: slower, ..patient() };
    for (settings, connection) in [(patient(), 0), (patient(), 0), (slower.clone(), 1), (slower, 1)]
    {
        let wire = wires.wire(&settings).unwrap();
        let slack = (fixture("slack").settings)(&fake.base()).open(&wire).unwrap();
        assert_eq!(send(&slack).await.class, Class::Delivered);
        assert_eq!(fake.seen().pop().unwrap().connection, connection);
    }
}

#[tokio::test]
async fn messages_in_a_row_share_a_connection() {
    for fixture in FIXTURES {
        let fake = Fake::new(answer(200, &[], fixture.accepts)).await;
        let notifier = fixture.open(&fake.base());
        for _ in 0..20 {
            assert_eq!(send(&notifier).await.class, Class::Delivered);
        }
        assert!(fake.seen().iter().all(|seen| seen.connection == 0));
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    for fixture in FIXTURES {
        let ok = answer_bytes(200, &[], fixture.accepts);
        let fake = Fake::new(Reply::BytesThenHangUp(ok)).await;
        let notifier = fixture.open(&fake.base());
        for _ in 0..5 {
            let outcome = send(&notifier).await;
            // Either it was known to be closed, or the message may have arrived.
            assert!(
                outcome.class == Class::Delivered || outcome.is(Flag::Ambiguous),
                "{outcome:?}"
            );
        }
        assert!(fake.seen().len() >= 5);
    }
}
