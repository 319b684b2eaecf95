//! Refusals and failures, each with what is to be done about it.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use triggerbell::{
    adapters::{
        http::{ClientSettings, client},
        secret::Secret,
        source::{CcrMethod, CcrSource, TcrPersonalSource},
    },
    ports::{Source, SourceError, SourceErrorKind as Kind},
};

use super::fake::{
    Answer, Fake, SAMPLE, SECRET_ID, SECRET_KEY, TOKEN, Ticking, ccr_settings, first_page, patient,
    tcr_settings, zone,
};

/// The codes of API 2.0 (contract 1.4), their kinds, and words of the remedy.
const NUMBERS: &[(i64, Kind, &str)] = &[
    (4000, Kind::Repository, "check the repository's name"),
    (4100, Kind::Credentials, "check secret_id, secret_key"),
    (4101, Kind::Credentials, "check secret_id, secret_key"),
    (4102, Kind::Credentials, "check secret_id, secret_key"),
    (4103, Kind::Credentials, "check secret_id, secret_key"),
    (4104, Kind::Credentials, "check secret_id, secret_key"),
    (4105, Kind::Credentials, "renew token"),
    (4110, Kind::Credentials, "what the account may read"),
    (4200, Kind::Clock, "clock"),
    (4300, Kind::Retired, "API 2.0 looks retired for this account"),
    (4400, Kind::Throttled, "lower requests_per_second"),
    (4500, Kind::Clock, "clock"),
    (4600, Kind::Configuration, "write https:// in endpoint"),
    (4999, Kind::Repository, "refused the request"),
    (5000, Kind::Repository, "knows no such repository"),
    (5100, Kind::Unavailable, "asked again later"),
    (5999, Kind::Unavailable, "asked again later"),
    (6000, Kind::Unavailable, "asked again later"),
    (6100, Kind::Retired, "use type tcr_personal"),
    (6200, Kind::Unavailable, "asked again later"),
    (7777, Kind::Unavailable, "asked again later"),
    (-1, Kind::Unavailable, "asked again later"),
];

/// The codes of API 3.0 (contract 2.2).
const NAMES: &[(&str, Kind, &str)] = &[
    ("AuthFailure.SignatureExpire", Kind::Clock, "clock"),
    ("AuthFailure.TokenFailure", Kind::Credentials, "renew token"),
    ("AuthFailure.SignatureFailure", Kind::Credentials, "check secret_id"),
    ("AuthFailure", Kind::Credentials, "check secret_id"),
    ("UnauthorizedOperation.CamNoAuth", Kind::Credentials, "what the account may read"),
    ("RequestLimitExceeded.UinLimitExceeded", Kind::Throttled, "lower requests_per_second"),
    ("ActionOffline", Kind::Retired, "does not serve this log to the account any more"),
    ("NoSuchVersion", Kind::Retired, "check endpoint"),
    ("InternalError.ErrorTcrInternal", Kind::Unavailable, "asked again later"),
    ("FailedOperation.DependenceError", Kind::Unavailable, "asked again later"),
    ("InvalidParameter.ErrorTcrInvalidParameter", Kind::Repository, "refused the request"),
    ("InvalidParameterValue", Kind::Repository, "refused the request"),
    ("MissingParameter", Kind::Repository, "refused the request"),
    ("UnknownParameter", Kind::Repository, "refused the request"),
    ("ResourceNotFound.ErrNoRepo", Kind::Repository, "knows no such repository"),
    ("ResourceNotFound.ErrNoUser", Kind::Repository, "was never initialised"),
    ("UnsupportedOperation.ErrNoUserInitialized", Kind::Repository, "was never initialised"),
    ("UnsupportedRegion", Kind::Configuration, "check endpoint and region"),
    ("SomethingNew.Entirely", Kind::Unavailable, "asked again later"),
];

#[track_caller]
fn check(error: &SourceError, code: &str, kind: Kind, words: &str) {
    assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)), "{}", error.message);
    for part in [words, code, "(100004)projectId is wrong"] {
        assert!(error.message.contains(part), "{part:?} in {:?}", error.message);
    }
    assert!(
        error.message.starts_with(|c: char| c.is_lowercase() || error.message.starts_with("API"))
    );
}

#[tokio::test]
async fn every_code_has_its_kind_and_its_remedy_in_either_envelope() {
    for &(code, kind, words) in NUMBERS {
        for code_on_wire in [json!(code), json!(code.to_string())] {
            let body = json!({"code": code_on_wire, "codeDesc": "Name",
                "message": "(100004)projectId is wrong"});
            let registry = Fake::answering([Answer::ok(body.to_string())]).await;
            let error = first_page(&registry.ccr()).await.unwrap_err();
            check(&error, &code.to_string(), kind, words);
            assert!(error.message.contains("Name"), "{}", error.message);
            // A 3.0 host that answers in the 2.0 envelope means the same.
            let error = first_page(&registry.tcr()).await.unwrap_err();
            assert_eq!(error.kind, kind, "{code}");
        }
    }
    for &(code, kind, words) in NAMES {
        let body = json!({"Response": {"RequestId": "r",
            "Error": {"Code": code, "Message": "(100004)projectId is wrong"}}});
        let registry = Fake::answering([Answer::ok(body.to_string())]).await;
        check(&first_page(&registry.tcr()).await.unwrap_err(), code, kind, words);
        assert_eq!(first_page(&registry.ccr()).await.unwrap_err().kind, kind, "{code}");
    }
}

#[tokio::test]
async fn a_refusal_says_more_than_the_status_it_comes_with() {
    let body = r#"{"code":4300,"message":"closed","codeDesc":"RequestDenied"}"#;
    let registry = Fake::answering([Answer::status(403, body)]).await;
    assert_eq!(first_page(&registry.ccr()).await.unwrap_err().kind, Kind::Retired);
}

#[tokio::test]
async fn what_is_no_answer_is_unavailable_and_says_why() {
    let huge = format!("{}{}", " ".repeat(9 * 1024 * 1024), SAMPLE);
    let mut not_utf8 = SAMPLE.as_bytes().to_vec();
    let at = SAMPLE.find("kubetest").unwrap();
    not_utf8[at] = 0xff;
    let many = format!(r#"{{"code":0,"data":{{"logInfo":[{}0]}}}}"#, "0,".repeat(100_000));
    let table: Vec<(Answer, &str)> = vec![
        (Answer::ok("<html><body>sign in</body></html>"), "a web page"),
        (Answer::ok(&SAMPLE.as_bytes()[..SAMPLE.len() - 20]), "not whole JSON"),
        (Answer::ok(format!("{SAMPLE}x")), "not whole JSON"),
        (Answer::ok(""), "not whole JSON"),
        (Answer::ok("[]"), "neither a code nor a Response"),
        (Answer::ok("{}"), "neither a code nor a Response"),
        (Answer::ok(r#"{"Response":[]}"#), "neither a code nor a Response"),
        (Answer::ok("\"ok\""), "the whole is text"),
        (Answer::ok(r#"{"code":"OK"}"#), "code is text"),
        (Answer::ok(r#"{"code":0,"data":"none"}"#), "data is text"),
        (Answer::ok(r#"{"code":0,"data":[1]}"#), "data is a list"),
        (Answer::ok(r#"{"code":0,"data":{"logInfo":{}}}"#), "logInfo is an object"),
        (Answer::ok(r#"{"code":0,"data":{"totalCount":"many"}}"#), "totalCount is text"),
        (Answer::ok(r#"{"Response":{"Error":"no"}}"#), "Error is text"),
        (Answer::ok(many), "more rows than anyone asked for"),
        (Answer::ok(not_utf8), "not UTF-8 from byte"),
        (Answer::ok(huge), "larger than 8 MiB"),
        (Answer::status(302, "").header("location", "http://127.0.0.1:1/"), "HTTP 302"),
        (Answer::status(404, "<html>"), "HTTP 404; check endpoint"),
        (Answer::status(500, SAMPLE), "HTTP 500"),
        (Answer::status(204, ""), "HTTP 204"),
    ];
    for (answer, words) in table {
        let registry = Fake::answering([answer]).await;
        let sources: [&dyn Source; 2] = [&registry.ccr(), &registry.tcr()];
        for source in sources {
            let error = first_page(source).await.unwrap_err();
            assert_eq!(error.kind, Kind::Unavailable, "{words}: {}", error.message);
            assert!(error.message.contains(words), "{words:?} in {:?}", error.message);
        }
    }
}

#[tokio::test]
async fn a_large_answer_of_unknown_length_is_not_read_to_its_end() {
    let endless = Answer { stalls: true, ..Answer::ok(" ".repeat(9 * 1024 * 1024)) };
    let registry = Fake::answering([endless]).await;
    let error = first_page(&registry.ccr()).await.unwrap_err();
    assert!(error.message.contains("larger than 8 MiB"), "{}", error.message);
}

#[tokio::test]
async fn the_service_says_how_long_to_wait() {
    let table = [
        ("7", Some(7)),
        ("1.2", Some(2)),
        ("0", Some(0)),
        ("99999999", Some(3600)),
        ("-5", None),
        ("soon", None),
    ];
    for (header, seconds) in table {
        for status in [429, 503] {
            let answer = Answer::status(status, "").header("retry-after", header);
            let registry = Fake::answering([answer]).await;
            let error = first_page(&registry.ccr()).await.unwrap_err();
            assert_eq!(error.retry_after, seconds.map(Duration::from_secs), "{header}");
            let throttled = error.kind == Kind::Throttled;
            assert_eq!(throttled, status == 429);
        }
    }
    // The clock of these sources stands at 2026-03-02 01:00:00 and ticks at each look.
    let dated = Answer::status(503, "").header("retry-after", "Mon, 02 Mar 2026 01:01:02 GMT");
    let registry = Fake::answering([dated]).await;
    let error = first_page(&registry.ccr()).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn an_answer_that_does_not_come_or_end_is_given_up() {
    let hasty = || {
        let timeout = Duration::from_millis(300);
        client(&ClientSettings { timeout, ..ClientSettings::default() }).unwrap()
    };
    let half = Answer { stalls: true, ..Answer::ok(&SAMPLE.as_bytes()[..50]) };
    let registry = Fake::answering([half]).await;
    let settings = ccr_settings(&format!("http://{}/", registry.authority));
    let source = CcrSource::new(settings, zone(), hasty(), Ticking::from(0));
    let error = first_page(&source).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("timed out"), "{}", error.message);

    // The listener's queue takes the connection; nobody ever answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = tcr_settings(&format!("http://{}/", silent.local_addr().unwrap()));
    let source = TcrPersonalSource::new(settings, zone(), hasty(), Ticking::from(0));
    let error = first_page(&source).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("timed out"), "{}", error.message);
}

#[tokio::test]
async fn a_connection_that_breaks_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hangs_up = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"co").await.unwrap();
    });
    let settings = ccr_settings(&format!("http://{address}/"));
    let source = CcrSource::new(settings, zone(), patient(), Ticking::from(0));
    let error = first_page(&source).await.unwrap_err();
    hangs_up.await.unwrap();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("broke off"), "{}", error.message);

    // Nobody listens there any more.
    let error = first_page(&source).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("could not connect"), "{}", error.message);
}

#[tokio::test]
async fn a_name_that_is_none_and_a_certificate_of_nobody_are_unavailable() {
    let settings = ccr_settings("https://registry.invalid/v2/index.php");
    let source = CcrSource::new(settings, zone(), patient(), Ticking::from(0));
    let error = first_page(&source).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("could not connect"), "{}", error.message);

    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        acceptor.accept(socket).await.map(|_| ()).unwrap_err()
    });
    let settings = tcr_settings(&format!("https://{address}"));
    let source = TcrPersonalSource::new(settings, zone(), patient(), Ticking::from(0));
    let error = first_page(&source).await.unwrap_err();
    server.await.unwrap();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("certificate"), "{}", error.message);
}

#[tokio::test]
async fn no_error_shows_a_secret_even_if_the_service_repeats_it() {
    let echoes = [
        json!({"code": 4100, "codeDesc": SECRET_ID,
            "message": format!("{SECRET_ID} {SECRET_KEY} {TOKEN} planted%20token%26with%3Dspecials")})
        .to_string(),
        json!({"Response": {"Error": {"Code": format!("AuthFailure.{SECRET_ID}"),
            "Message": TOKEN}}})
        .to_string(),
        format!("<html>{SECRET_ID}{SECRET_KEY}{TOKEN}"),
        format!("{{{SECRET_KEY}"),
        format!(r#"{{"code":"{SECRET_KEY}","{TOKEN}":"{SECRET_ID}"}}"#),
    ];
    // Where words are cut, a secret may be cut in two.
    let across = |at: usize| {
        let filler = "x".repeat(at - 6 - SECRET_KEY.len() / 2);
        json!({"code": 4100, "message": format!("{filler}{SECRET_KEY}")}).to_string()
    };
    let echoes = echoes.into_iter().chain((280..330).map(across)).chain([json!({"Response": {
        "Error": {"Code": format!("{}{SECRET_ID}", "x".repeat(90)), "Message": ""}}})
    .to_string()]);
    for echo in echoes {
        let registry = Fake::answering([Answer::ok(echo)]).await;
        let token = || Some(Secret::inline(TOKEN));
        let ccr = registry.ccr_with(|settings| {
            settings.token = token();
            settings.method = CcrMethod::Get;
        });
        let tcr = registry.tcr_with(|settings| settings.token = token());
        let sources: [&dyn Source; 2] = [&ccr, &tcr];
        for source in sources {
            let error = first_page(source).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.to_lowercase().contains("planted"), "{shown}");
        }
        // Nobody listens there: a transport's errors like to name the URL.
        let address = registry.authority.clone();
        drop(registry);
        let mut settings = ccr_settings(&format!("http://{address}/"));
        settings.method = CcrMethod::Get;
        let error = first_page(&CcrSource::new(settings, zone(), patient(), Ticking::from(0)))
            .await
            .unwrap_err();
        assert!(!error.message.to_lowercase().contains("planted"), "{error}");
    }
    let settings = ccr_settings("http://x/");
    assert!(!format!("{settings:?}").contains("planted"));
}
