//! SOCKS5 proxies (RFC 1928, 1929): by name and address, with a password, and such as refuse.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    fake::{Fake, answer},
    *,
};

/// What a proxy saw and did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Asked {
    user: Option<(String, String)>,
    /// Where to, as it was said.
    target: Option<String>,
}

/// A SOCKS5 proxy that leads every connection to one place, or answers with a refusal.
struct Proxy {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A proxy's rules.
#[derive(Clone, Copy)]
struct Rules {
    /// The one user and password, where it wants them.
    user: Option<(&'static str, &'static str)>,
    /// What it says to the request: 0 is that it leads on.
    reply: u8,
}

impl Proxy {
    async fn start(to: std::net::SocketAddr, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::default());
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut one = Asked::default();
                    let led = lead(stream, to, rules, &mut one, &seen).await;
                    if led.is_none() {
                        seen.lock().unwrap().push(one);
                    }
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// The length, and as many bytes.
async fn text(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = vec![0; stream.read_u8().await.ok()?.into()];
    stream.read_exact(&mut bytes).await.ok()?;
    String::from_utf8(bytes).ok()
}

/// Serves one connection; `None` when it ended before anything was led on.
async fn lead(
    mut stream: TcpStream,
    to: std::net::SocketAddr,
    rules: Rules,
    one: &mut Asked,
    seen: &Mutex<Vec<Asked>>,
) -> Option<()> {
    assert_eq!(stream.read_u8().await.ok()?, 5, "the version");
    let mut methods = vec![0; stream.read_u8().await.ok()?.into()];
    stream.read_exact(&mut methods).await.ok()?;
    let wanted = if rules.user.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        stream.write_all(&[5, 0xff]).await.ok()?;
        return None;
    }
    stream.write_all(&[5, wanted]).await.ok()?;
    if let Some(user) = rules.user {
        assert_eq!(stream.read_u8().await.ok()?, 1, "the version of user and password");
        let said = (text(&mut stream).await?, text(&mut stream).await?);
        let passes = (said.0.as_str(), said.1.as_str()) == user;
        one.user = Some(said);
        stream.write_all(&[1, u8::from(!passes)]).await.ok()?;
        if !passes {
            return None;
        }
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.ok()?;
    assert_eq!(head[..3], [5, 1, 0], "connect");
    let host = match head[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await.ok()?).to_string(),
        3 => text(&mut stream).await?,
        4 => std::net::Ipv6Addr::from(stream.read_u128().await.ok()?).to_string(),
        kind => panic!("an address of kind {kind}"),
    };
    one.target = Some(format!("{host}:{}", stream.read_u16().await.ok()?));
    stream.write_all(&[5, rules.reply, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
    if rules.reply != 0 {
        return None;
    }
    seen.lock().unwrap().push(one.clone());
    let mut there = TcpStream::connect(to).await.ok()?;
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
    Some(())
}

const OPEN: Rules = Rules { user: None, reply: 0 };

fn hook(url: &str) -> WebhookSettings {
    let url = Secret::inline(format!("{url}/PATHSECRET"));
    WebhookSettings::new(url, WebhookOptions::default()).unwrap()
}

fn through(proxy: &str) -> HttpSettings {
    let mut settings = patient();
    settings.client.proxy = Some(Secret::inline(proxy.to_owned()));
    settings
}

#[tokio::test]
async fn a_socks5_proxy_leads_to_the_receiver_and_resolves_names_where_it_is_asked_to() {
    let far = Fake::new(answer(200, &[], "")).await;
    let proxy = Proxy::start(far.address, OPEN).await;
    for (scheme, url, target) in [
        ("socks5", "http://192.0.2.7:81", "192.0.2.7:81"),
        ("socks5h", "http://receiver.invalid:81", "receiver.invalid:81"),
    ] {
        let settings = through(&format!("{scheme}://{}", proxy.address));
        let outcome = send(&open(&hook(url), &settings)).await;
        assert_outcome(&outcome, Class::Delivered, &[], scheme);
        assert_eq!(proxy.asked().last().unwrap().target.as_deref(), Some(target));
    }
    assert_eq!(far.seen().len(), 2);
}

#[tokio::test]
async fn a_socks5_proxy_is_told_user_and_password() {
    let far = Fake::new(answer(200, &[], "")).await;
    let rules = Rules { user: Some(("PROXYUSER", "PROXY PASS")), ..OPEN };
    let proxy = Proxy::start(far.address, rules).await;
    let settings = through(&format!("socks5://PROXYUSER:PROXY%20PASS@{}", proxy.address));
    let outcome = send(&open(&hook("http://192.0.2.7"), &settings)).await;
    assert_outcome(&outcome, Class::Delivered, &[], "with a password");
    let user = Some(("PROXYUSER".to_owned(), "PROXY PASS".to_owned()));
    assert_eq!(proxy.asked()[0].user, user);
}

#[tokio::test]
async fn a_socks5_proxy_that_refuses_is_told_from_a_receiver_that_does() {
    let far = Fake::new(answer(200, &[], "")).await;
    let locked = Rules { user: Some(("somebody", "else")), ..OPEN };
    for (rules, user, says) in [
        (locked, "", "the proxy wants a user and a password"),
        (locked, "PROXYUSER:PROXYPASS@", "the proxy wants a user and a password"),
        (Rules { reply: 2, ..OPEN }, "", "the proxy does not let this through"),
        (Rules { reply: 5, ..OPEN }, "", "the proxy does not let this through"),
    ] {
        let proxy = Proxy::start(far.address, rules).await;
        let settings = through(&format!("socks5://{user}{}", proxy.address));
        for url in ["http://192.0.2.7", "https://192.0.2.7"] {
            let outcome = send(&open(&hook(url), &settings)).await;
            assert_outcome(&outcome, retry(), &[], says);
            assert!(outcome.detail.contains(says), "{}: {}", rules.reply, outcome.detail);
            for secret in ["PROXYUSER", "PROXYPASS", "PATHSECRET"] {
                assert!(!outcome.detail.contains(secret), "{}", outcome.detail);
            }
        }
    }
    assert_eq!(far.seen().len(), 0);
    // Nobody listens where the proxy should be.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = through(&format!("socks5://{}", listener.local_addr().unwrap()));
    drop(listener);
    let outcome = send(&open(&hook("https://192.0.2.7"), &settings)).await;
    assert_outcome(&outcome, retry(), &[], "no proxy there");
    assert!(outcome.detail.contains("was not reached"), "{}", outcome.detail);
}
