//! Sources on networks as they are: behind TLS of an authority of one's own, and behind a proxy.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    service::{EVERYTHING, audit},
    support::{
        process::{Service, until},
        receiver::Receiver,
        stand::Stand,
        tls::{Authority, relay, self_made},
    },
};

/// A proxy that leads whatever it is asked for to one place; what it was asked for.
async fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
    let seen = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.ok()?);
                }
                let head = String::from_utf8(head).ok()?;
                seen.lock().unwrap().push(head.clone());
                let mut there = TcpStream::connect(to).await.ok()?;
                if head.starts_with("CONNECT ") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                } else {
                    there.write_all(head.as_bytes()).await.ok()?;
                }
                copy_bidirectional(&mut stream, &mut there).await.ok()
            });
        }
    });
    (address, asked)
}

/// A source of that name that reads the stand at another place.
fn read_at(stand: &Stand, name: &str, base: &str, more: &str) -> String {
    let extra = format!("first_run: all\n    poll_every: 1s\n    {more}");
    let here = format!("http://{}", stand.registry.address());
    stand.source_named(name, &extra).replace(&here, base)
}

fn ca_file(path: &Path) -> String {
    format!("ca_file: {}", path.display())
}

#[tokio::test]
async fn a_source_over_tls_trusts_its_own_ca_file_and_says_what_to_do_with_another() {
    let stand = Stand::start(&["shop/api"]).await;
    let here = stand.registry.address();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let signed = relay(authority.certify("127.0.0.1", |_| {}), here).await;
    let (own_file, own) = self_made("127.0.0.1", |_| {});
    let own = relay(own, here).await;
    let elsewhere = relay(authority.certify("elsewhere.example.com", |_| {}), here).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (ca_file(authority.file.path()), ca_file(stranger.file.path()));
    let exactly = ca_file(own_file.path());
    let sources = [
        ("right", signed, &*right),
        ("wrong", signed, &*wrong),
        ("none", signed, ""),
        ("own", own, &*exactly),
        ("own-wrong", own, &*right),
        ("name", elsewhere, &*right),
    ];
    let sources =
        sources.map(|(name, at, more)| read_at(&stand, name, &format!("https://{at}"), more));
    let config = format!("sources:\n{}{}", sources.concat(), audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    stand.push("shop/api", 3);
    until("both that are trusted are read", async || receiver.by_id().len() == 6).await;
    for (source, says) in [
        // As when an authority was made anew: the name stays, the key does not.
        ("wrong", "another authority of the same name has signed the certificate: name that one"),
        ("none", "name its authority's file as `ca_file`"),
        ("own-wrong", "name exactly that one as `ca_file`"),
        ("name", "the certificate is for another name"),
    ] {
        until(source, async || {
            let status = service.json("/api/v1/status").await;
            let said =
                status["sources"][source]["last_error"].as_str().unwrap_or_default().to_owned();
            assert_eq!(status["sources"][source]["entries"], 0, "{status:#}");
            said.contains("the registry could not be reached") && said.contains(says)
        })
        .await;
    }
    let status = service.json("/api/v1/status").await;
    for source in ["right", "own"] {
        assert_eq!(status["sources"][source]["state"], "ok", "{status:#}");
        assert_eq!(status["sources"][source]["entries"], 3, "{status:#}");
    }
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_source_goes_through_its_own_proxy_and_no_other_does() {
    let stand = Stand::start(&["shop/api"]).await;
    let here = stand.registry.address();
    let authority = Authority::new();
    let far = relay(authority.certify("registry.invalid", |_| {}), here).await;
    let (tunnel, tunnelled) = proxy(far).await;
    let (plain, passed) = proxy(here).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let trust = ca_file(authority.file.path());
    let with = |proxy: SocketAddr| format!("proxy: http://{proxy}\n    {trust}");
    let sources = [
        read_at(&stand, "tunnel", "https://registry.invalid", &with(tunnel)),
        read_at(&stand, "plain", "http://registry.invalid", &with(plain)),
        read_at(&stand, "direct", &format!("http://{here}"), ""),
        read_at(&stand, "lost", "https://registry.invalid", &trust),
    ];
    let config = format!("sources:\n{}{}", sources.concat(), audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    stand.push("shop/api", 3);
    until("all but one are read", async || receiver.by_id().len() == 9).await;
    until("that one says why it is not", async || {
        let status = service.json("/api/v1/status").await;
        let said = status["sources"]["lost"]["last_error"].as_str();
        said.is_some_and(|said| said.contains("could not connect"))
    })
    .await;
    let asked = |seen: &Mutex<Vec<String>>| seen.lock().unwrap().clone();
    let all = (asked(&tunnelled), asked(&passed));
    assert!(all.0.iter().all(|head| head.starts_with("CONNECT registry.invalid:443 ")), "{all:?}");
    let absolute = "POST http://registry.invalid/v2/index.php";
    assert!(all.1.iter().all(|head| head.starts_with(absolute)), "{all:?}");
    let key = &stand.registry.credentials().secret_key;
    assert!(!format!("{all:?}").contains(key.as_str()), "{all:?}");
    assert!(service.terminate().await.success());
}
