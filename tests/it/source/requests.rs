//! What the registry is asked, and how it is signed.

use jiff::Timestamp;
use serde_json::{Value, json};
use triggerbell::{
    adapters::{
        secret::Secret,
        source::{
            CcrMethod, CcrSource, Endpoint,
            signature::{
                SignatureMethod, Tc3Request, tc3_authorization, v2_sign, v2_string_to_sign,
            },
        },
    },
    ports::{PageRequest, Source as _, SourceErrorKind},
};

use super::fake::{
    Answer, Asked, Fake, SAMPLE, SAMPLE_3, SECRET_ID, SECRET_KEY, Standing, TOKEN, ccr_settings,
    first_page, patient, zone,
};

const REFUSED: &str = r#"{"code":4100,"message":"wrong key","codeDesc":"AuthFailure"}"#;

/// Whether an API 2.0 request is signed with the key, as the service would see it.
fn is_signed_with(asked: &Asked, key: &str) -> bool {
    let params = asked.parameters();
    let path = asked.target.split('?').next().unwrap();
    let method = asked.parameter("SignatureMethod");
    let text = v2_string_to_sign(&asked.method, asked.header("host"), path, &params);
    let method = SignatureMethod::of_parameter(method.as_deref());
    asked.parameter("Signature") == Some(v2_sign(key, &text, method))
}

#[tokio::test]
async fn api_2_is_asked_newest_first_and_signed_each_way() {
    let registry = Fake::judging(|asked| {
        Answer::ok(if is_signed_with(asked, SECRET_KEY) { SAMPLE } else { REFUSED })
    })
    .await;
    for method in [CcrMethod::Get, CcrMethod::Post] {
        for hash in [SignatureMethod::HmacSha1, SignatureMethod::HmacSha256] {
            let source = registry.ccr_with(|settings| {
                settings.method = method;
                settings.signature_method = hash;
                settings.region = Some("ap-guangzhou".to_owned());
                settings.token = Some(Secret::inline(TOKEN));
            });
            let request = PageRequest { repo: "命名空间/a+b c~*", offset: 40, limit: 999 };
            let page = source.page(request).await.unwrap();
            assert_eq!(page.rows.len(), 1);

            let asked = registry.asked().pop().unwrap();
            assert_eq!(asked.method, method.name());
            for (name, value) in [
                ("Action", "ListTriggerLog"),
                ("reponame", "命名空间/a+b c~*"),
                ("offset", "40"),
                ("limit", "100"),
                ("order", "desc"),
                ("orderby", "invoke_time"),
                ("Region", "ap-guangzhou"),
                ("SecretId", SECRET_ID),
                ("SignatureMethod", hash.name()),
                ("Token", TOKEN),
            ] {
                assert_eq!(asked.parameter(name).as_deref(), Some(value), "{name}");
            }
            let posted = method == CcrMethod::Post;
            assert_eq!(asked.target.contains(SECRET_ID), !posted, "secrets stay out of the URL");
            if posted {
                assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
            }
        }
    }
    assert_eq!(registry.asked().len(), 4);
}

#[tokio::test]
async fn what_is_not_configured_is_not_sent() {
    let registry = Fake::answering([Answer::ok(SAMPLE)]).await;
    first_page(&registry.ccr()).await.unwrap();
    let asked = &registry.asked()[0];
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.parameter("Region"), None);
    assert_eq!(asked.parameter("Token"), None);
}

#[tokio::test]
async fn api_3_is_asked_newest_first_and_signed() {
    let registry = Fake::answering([Answer::ok(SAMPLE_3)]).await;
    let source = registry.tcr_with(|settings| settings.token = Some(Secret::inline(TOKEN)));
    let request = PageRequest { repo: "shop/接口", offset: 200, limit: 50 };
    assert_eq!(source.page(request).await.unwrap().rows.len(), 1);

    let asked = &registry.asked()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/"));
    assert_eq!(asked.header("x-tc-action"), "DescribeApplicationTriggerLogPersonal");
    assert_eq!(asked.header("x-tc-version"), "2019-09-24");
    assert_eq!(asked.header("x-tc-region"), "ap-guangzhou");
    assert_eq!(asked.header("x-tc-token"), TOKEN);
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let expected = json!({"RepoName": "shop/接口", "Offset": 200, "Limit": 50, "Order": "desc",
        "OrderBy": "invoke_time"});
    assert_eq!(body, expected);
    let signed = Tc3Request {
        method: "POST",
        host: asked.header("host"),
        query: "",
        content_type: asked.header("content-type"),
        body: asked.body.as_bytes(),
        service: "tcr",
        timestamp: asked.header("x-tc-timestamp").parse().unwrap(),
    };
    assert_eq!(asked.header("authorization"), tc3_authorization(SECRET_ID, SECRET_KEY, &signed));
}

#[tokio::test]
async fn a_refused_time_is_signed_for_again_at_once_and_once() {
    let stale = r#"{"code":4500,"message":"replayed","codeDesc":"ReplayAttack"}"#;
    let registry = Fake::answering([Answer::ok(stale), Answer::ok(SAMPLE)]).await;
    let source = registry.ccr();
    assert_eq!(first_page(&source).await.unwrap().rows.len(), 1);
    let asked = registry.asked();
    assert_eq!(asked.len(), 2);
    for name in ["Nonce", "Timestamp", "Signature"] {
        assert_ne!(asked[0].parameter(name), asked[1].parameter(name), "{name} is new");
    }
    assert_eq!(asked[0].parameter("reponame"), asked[1].parameter("reponame"));

    let registry = Fake::answering([Answer::ok(stale)]).await;
    let error = first_page(&registry.ccr()).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Clock);
    assert_eq!(registry.asked().len(), 2, "not again and again");
}

#[tokio::test]
async fn a_refused_time_names_the_clocks_offset() {
    let expired = r#"{"Response":{"Error":{"Code":"AuthFailure.SignatureExpire","Message":"late"},"RequestId":"r"}}"#;
    let table = [
        ("Mon, 02 Mar 2026 01:10:00 GMT", 600, "this machine's clock is 600 s behind"),
        ("Mon, 02 Mar 2026 00:50:00 GMT", -600, "this machine's clock is 600 s ahead of"),
        ("Mon, 02 Mar 2026 01:00:03 GMT", 3, "agree within 4 s"),
    ];
    for (date, skew, words) in table {
        let registry = Fake::answering([Answer::ok(expired).header("date", date)]).await;
        let settings = ccr_settings(&format!("http://{}/", registry.authority));
        let now: Timestamp = "2026-03-02T01:00:00.9Z".parse().unwrap();
        let clock = std::sync::Arc::new(Standing(now));
        let source = CcrSource::new(settings, zone(), patient(), clock);
        let error = first_page(&source).await.unwrap_err();
        assert_eq!((error.kind, error.skew_s), (SourceErrorKind::Clock, Some(skew)));
        assert!(error.message.contains(words), "{}", error.message);
    }
}

#[tokio::test]
async fn every_answer_measures_the_clock() {
    let date = "Mon, 02 Mar 2026 01:00:30 GMT";
    let good = Answer::ok(SAMPLE).header("date", date);
    let bad = Answer::status(503, "").header("date", date);
    let registry = Fake::answering([good, bad]).await;
    let settings = ccr_settings(&format!("http://{}/", registry.authority));
    let clock = std::sync::Arc::new(Standing("2026-03-02T01:00:00Z".parse().unwrap()));
    let source = CcrSource::new(settings, zone(), patient(), clock);
    assert_eq!(first_page(&source).await.unwrap().skew_s, Some(30));
    assert_eq!(first_page(&source).await.unwrap_err().skew_s, Some(30));
}

#[tokio::test]
async fn refused_credentials_are_read_again_from_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "the old key\n").unwrap();
    let registry = Fake::judging(|asked| {
        Answer::ok(if is_signed_with(asked, "the new key") { SAMPLE } else { REFUSED })
    })
    .await;
    let key = Secret::file(&path).unwrap();
    let source = registry.ccr_with(|settings| settings.secret_key = key);

    let error = first_page(&source).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Credentials);
    assert!(!error.message.contains("read again"), "{}", error.message);

    std::fs::write(&path, "the new key\n").unwrap();
    assert_eq!(first_page(&source).await.unwrap().rows.len(), 1, "they are asked with at once");
    assert_eq!(registry.asked().len(), 3, "one request before, and one with each");

    std::fs::write(&path, "another wrong key").unwrap();
    key_is_still_good(&source).await;
    std::fs::remove_file(&path).unwrap();
    key_is_still_good(&source).await;
}

/// A file is read when the credentials are refused, not before.
async fn key_is_still_good(source: &CcrSource) {
    first_page(source).await.unwrap();
}

#[tokio::test]
async fn credentials_that_are_others_and_refused_too_are_asked_with_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "an old key").unwrap();
    let registry = Fake::judging(|_| Answer::ok(REFUSED)).await;
    let key = Secret::file(&path).unwrap();
    let source = registry.ccr_with(|settings| settings.secret_key = key);
    std::fs::write(&path, "another wrong key").unwrap();
    let error = first_page(&source).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Credentials);
    assert!(error.message.contains("hold others than before"), "{}", error.message);
    assert_eq!(registry.asked().len(), 2);
}

#[tokio::test]
async fn a_secret_file_that_went_missing_is_said_with_the_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "some key").unwrap();
    let registry = Fake::answering([Answer::ok(REFUSED)]).await;
    let key = Secret::file(&path).unwrap();
    let source = registry.tcr_with(|settings| settings.secret_key = key);
    std::fs::remove_file(&path).unwrap();
    let error = first_page(&source).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Credentials);
    assert!(error.message.contains(path.to_str().unwrap()), "{}", error.message);
}

#[test]
fn an_endpoint_is_a_whole_address_without_secrets() {
    let good: Endpoint = "https://ccr.api.qcloud.com/v2/index.php".parse().unwrap();
    assert_eq!((good.host(), good.path()), ("ccr.api.qcloud.com", "/v2/index.php"));
    let ported: Endpoint = "http://[::1]:8091".parse().unwrap();
    assert_eq!((ported.host(), ported.path()), ("[::1]:8091", "/"));
    assert!(!ported.is_plain());
    assert!("http://registry.internal/".parse::<Endpoint>().unwrap().is_plain());
    for bad in [
        "",
        "ccr.api.qcloud.com/v2/index.php",
        "ftp://x/",
        "https://",
        "https://x/?a=planted",
        "https://x/#planted",
        "https://u:planted@x/",
    ] {
        let error = bad.parse::<Endpoint>().unwrap_err().to_string();
        assert!(!error.contains("planted"), "{error}");
    }
}
