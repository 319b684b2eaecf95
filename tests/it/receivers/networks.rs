//! Networks as they are: proxies that refuse, certificates of every kind, IPv6, HTTP/2, names whose
//! addresses change.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Mutex,
};

use rcgen::date_time_ymd;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use triggerbell::adapters::{
    http::{ClientSettings, client},
    receivers::{Lookup, Wires},
};

use super::{
    fake::{Fake, Reply, answer, answer_bytes},
    *,
};
use crate::support::tls::{Authority, self_made, self_signed};

fn trusting(authority: &Authority) -> HttpSettings {
    let mut settings = patient();
    settings.client.ca_file = Some(authority.file.path().to_owned());
    settings
}

fn webhook(base: &str) -> WebhookSettings {
    let url = Secret::inline(format!("{base}/PATHSECRET"));
    WebhookSettings::new(url, WebhookOptions::default()).unwrap()
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_told_with_its_remedy_and_nothing_is_sent() {
    let authority = Authority::new();
    let trusting = trusting(&authority);
    let stranger = patient();
    let host = "127.0.0.1";
    let sound = authority.certify(host, |_| {});
    let expired = authority.certify(host, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = authority.certify(host, |params| params.not_before = date_time_ymd(2999, 1, 1));
    let other = authority.certify("elsewhere.example.com", |_| {});
    let (own_file, own) = self_signed(host, &[]);
    let mut trusting_own = patient();
    trusting_own.client.ca_file = Some(own_file.path().to_owned());
    for (what, acceptor, settings, says) in [
        ("sound", &sound, &trusting, None),
        ("of an authority that is not trusted", &sound, &stranger, Some("as `ca_file`")),
        ("expired", &expired, &trusting, Some("the certificate has expired")),
        ("not valid yet", &early, &trusting, Some("is not valid yet")),
        ("of another name", &other, &trusting, Some("the certificate is for another name")),
        ("self-signed", &own, &stranger, Some("as `ca_file`")),
        ("self-signed, of another file", &own, &trusting, Some("as `ca_file`")),
        ("self-signed, of this file", &own, &trusting_own, None),
    ] {
        let fake = Fake::tls(answer(200, &[], ""), acceptor.clone()).await;
        let outcome = send(&open(&webhook(&fake.base()), settings)).await;
        match says {
            None => assert_outcome(&outcome, Class::Delivered, &[], what),
            Some(says) => {
                assert_outcome(&outcome, retry(), &[], what);
                assert!(outcome.detail.contains(says), "{what}: {}", outcome.detail);
            }
        }
        assert_eq!(fake.seen().len(), usize::from(says.is_none()), "{what}");
    }
}

#[tokio::test]
async fn an_authoritys_certificate_of_its_own_making_is_trusted_where_exactly_it_is_named() {
    let host = "127.0.0.1";
    let sound = self_made(host, |_| {});
    let same_name = self_made(host, |_| {});
    let expired = self_made(host, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = self_made(host, |params| params.not_before = date_time_ymd(2999, 1, 1));
    let other = self_made("elsewhere.example.com", |_| {});
    for (what, shown, named, says) in [
        ("the one", &sound, Some(&sound), None),
        ("without ca_file", &sound, None, Some("name exactly that one as `ca_file`")),
        ("another of that name", &sound, Some(&same_name), Some("exactly that one as `ca_file`")),
        ("expired", &expired, Some(&expired), Some("the certificate has expired")),
        ("not valid yet", &early, Some(&early), Some("is not valid yet")),
        ("of another name", &other, Some(&other), Some("the certificate is for another name")),
    ] {
        let mut settings = patient();
        settings.client.ca_file = named.map(|(file, _)| file.path().to_owned());
        let fake = Fake::tls(answer(200, &[], ""), shown.1.clone()).await;
        let outcome = send(&open(&webhook(&fake.base()), &settings)).await;
        match says {
            None => assert_outcome(&outcome, Class::Delivered, &[], what),
            Some(says) => {
                assert_outcome(&outcome, retry(), &[], what);
                assert!(outcome.detail.contains(says), "{what}: {}", outcome.detail);
            }
        }
        assert_eq!(fake.seen().len(), usize::from(says.is_none()), "{what}");
    }
}

/// The other HTTP of triggerbell's, that of sources, tells the same.
#[tokio::test]
async fn a_source_s_certificate_is_judged_in_the_same_way() {
    let authority = Authority::new();
    let fake = Fake::tls(answer(200, &[], "{}"), authority.certify("127.0.0.1", |_| {})).await;
    let told = |settings: ClientSettings| {
        let request = client(&settings).unwrap().get(fake.base()).send();
        async { request.await.map_err(|error| triggerbell::adapters::http::describe(&error)) }
    };
    let refused = told(patient().client).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer") && refused.contains("`ca_file`"), "{refused}");
    assert!(told(trusting(&authority).client).await.is_ok());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_from_a_receiver_that_does() {
    for (reply, says) in [
        (answer(407, &[], ""), "wants a user and a password"),
        (answer(403, &[], "blocked"), "does not let this through"),
        (answer(502, &[], ""), "does not let this through"),
        (Reply::BytesThenHangUp(Vec::new()), "tunnel error"),
    ] {
        let proxy = Fake::new(reply).await;
        let mut settings = patient();
        let url = proxy.base().replace("://", "://PROXYUSER:PROXYPASS@");
        settings.client.proxy = Some(Secret::inline(url));
        let outcome = send(&open(&webhook("https://receiver.invalid"), &settings)).await;
        assert_outcome(&outcome, retry(), &[], says);
        assert!(outcome.detail.contains(says), "{}", outcome.detail);
        assert!(proxy.seen()[0].line().starts_with("CONNECT receiver.invalid:443 "));
        for secret in ["PROXYUSER", "PROXYPASS", "PATHSECRET", "UFJPWFl"] {
            assert!(!outcome.detail.contains(secret), "{}", outcome.detail);
        }
    }
    // Nobody listens where the proxy should be.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut settings = patient();
    settings.client.proxy = Some(Secret::inline(url));
    for scheme in ["http", "https"] {
        let hook = webhook(&format!("{scheme}://receiver.invalid"));
        let outcome = send(&open(&hook, &settings)).await;
        assert_outcome(&outcome, retry(), &[], "no proxy there");
        assert!(outcome.detail.contains("was not reached"), "{}", outcome.detail);
    }
}

#[tokio::test]
async fn what_no_proxy_names_is_reached_directly() {
    let proxy = Fake::new(answer(200, &[], "")).await;
    let direct = Fake::new(answer(200, &[], "")).await;
    let port = direct.address.port();
    for (no_proxy, host, goes_directly) in [
        (vec![], "127.0.0.1", false),
        (vec!["127.0.0.1"], "127.0.0.1", true),
        (vec!["127.0.0.0/8"], "127.0.0.1", true),
        (vec!["10.0.0.0/8", "127.0.0.2"], "127.0.0.1", false),
        (vec!["localhost"], "localhost", true),
        (vec![".local"], "localhost", false),
        (vec!["internal", "10.0.0.1", "127.0.0.0/30"], "127.0.0.1", true),
    ] {
        let what = format!("{no_proxy:?} {host}");
        let mut settings = patient();
        settings.client.proxy = Some(Secret::inline(proxy.base()));
        settings.client.no_proxy = no_proxy.into_iter().map(str::to_owned).collect();
        let before = (proxy.seen().len(), direct.seen().len());
        let outcome = send(&open(&webhook(&format!("http://{host}:{port}")), &settings)).await;
        assert_outcome(&outcome, Class::Delivered, &[], &what);
        let came = (proxy.seen().len() - before.0, direct.seen().len() - before.1);
        assert_eq!(came, if goes_directly { (0, 1) } else { (1, 0) }, "{what}");
    }
}

/// A far side on the IPv6 loopback that answers one request and says what it was.
async fn on_ipv6() -> (u16, tokio::task::JoinHandle<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 16 * 1024];
        let read = stream.read(&mut request).await.unwrap();
        stream.write_all(&answer_bytes(200, &[], "")).await.unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    (port, serving)
}

#[tokio::test]
async fn a_receiver_on_ipv6_is_reached() {
    let (port, serving) = on_ipv6().await;
    let outcome = send(&open(&webhook(&format!("http://[::1]:{port}")), &patient())).await;
    assert_outcome(&outcome, Class::Delivered, &[], "IPv6");
    let request = serving.await.unwrap().to_ascii_lowercase();
    assert!(request.contains(&format!("\r\nhost: [::1]:{port}\r\n")), "{request}");
}

/// Answers look-ups by a script, each with the next of it; the last goes on.
fn script(answers: &[&[SocketAddr]]) -> Lookup {
    let answers: Vec<Vec<SocketAddr>> = answers.iter().map(|all| all.to_vec()).collect();
    let left = Mutex::new(answers);
    Arc::new(move |name| {
        assert_eq!(name, "hooks.example.internal");
        let mut left = left.lock().unwrap();
        let found = if left.len() > 1 { left.remove(0) } else { left[0].clone() };
        Box::pin(async move { Ok(found) })
    })
}

fn open_looking_up(lookup: Lookup, settings: &HttpSettings) -> Arc<dyn Notifier> {
    let wire = Wires::looking_up(lookup).wire(settings).unwrap();
    webhook("http://hooks.example.internal").open(&wire).unwrap()
}

#[tokio::test]
async fn a_name_is_looked_up_anew_for_each_connection() {
    let hang_up = || Reply::BytesThenHangUp(answer_bytes(200, &[("connection", "close")], ""));
    let (one, other) = (Fake::new(hang_up()).await, Fake::new(hang_up()).await);
    let hook = open_looking_up(script(&[&[one.address], &[other.address]]), &patient());
    for seen in [(1, 0), (1, 1), (1, 2)] {
        assert_outcome(&send(&hook).await, Class::Delivered, &[], "moved");
        assert_eq!((one.seen().len(), other.seen().len()), seen);
    }
}

#[tokio::test]
async fn a_name_that_moves_to_a_forbidden_address_is_not_followed() {
    let hang_up = Reply::BytesThenHangUp(answer_bytes(200, &[("connection", "close")], ""));
    let fake = Fake::new(hang_up).await;
    let metadata = SocketAddr::new("169.254.169.254".parse::<IpAddr>().unwrap(), 80);
    let hook = open_looking_up(script(&[&[fake.address], &[metadata]]), &patient());
    assert_outcome(&send(&hook).await, Class::Delivered, &[], "at first");
    let outcome = send(&hook).await;
    assert_outcome(&outcome, ENDPOINT, &[], "rebound");
    assert!(outcome.detail.contains("may not be dialled"), "{}", outcome.detail);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn of_several_addresses_one_that_answers_will_do() {
    let fake = Fake::new(answer(200, &[], "")).await;
    let nobody = TcpListener::bind("[::1]:0").await.unwrap();
    let refused = nobody.local_addr().unwrap();
    drop(nobody);
    let hook = open_looking_up(script(&[&[refused, fake.address]]), &patient());
    assert_outcome(&send(&hook).await, Class::Delivered, &[], "the second address");
}

/// A far side that speaks HTTP/2 and answers 200, over one connection; says how many requests came.
async fn on_http2(
    acceptor: TlsAcceptor,
    count: usize,
) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < count {
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            seen.push(request.headers()["webhook-id"].to_str().unwrap().to_owned());
            respond.send_response(axum::http::Response::new(()), true).unwrap();
        }
        let _ = futures_util::future::poll_fn(|context| connection.poll_closed(context)).await;
        seen
    });
    (port, serving)
}

#[tokio::test]
async fn a_receiver_that_offers_http_2_gets_it_and_all_sends_share_a_connection() {
    let (file, acceptor) = self_signed("localhost", &[b"h2", b"http/1.1"]);
    let (port, serving) = on_http2(acceptor, 8).await;
    let mut settings = patient();
    settings.client.ca_file = Some(file.path().to_owned());
    let hook = open(&webhook(&format!("https://localhost:{port}")), &settings);
    assert_eq!(send(&hook).await.class, Class::Delivered);
    let all = futures_util::future::join_all((0..7).map(|_| send(&hook))).await;
    assert!(all.iter().all(|outcome| outcome.class == Class::Delivered), "{all:?}");
    drop(hook);
    assert_eq!(serving.await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_receiver_that_offers_only_http_1_gets_that() {
    let (file, acceptor) = self_signed("127.0.0.1", &[b"http/1.1"]);
    let fake = Fake::tls(answer(200, &[], ""), acceptor).await;
    let mut settings = patient();
    settings.client.ca_file = Some(file.path().to_owned());
    let outcome = send(&open(&webhook(&fake.base()), &settings)).await;
    assert_outcome(&outcome, Class::Delivered, &[], "HTTP/1.1");
    assert_eq!(fake.seen()[0].line(), "POST /PATHSECRET HTTP/1.1");
}
