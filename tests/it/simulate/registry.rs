//! The stand-in registry: who is let in, what is answered, and what goes wrong on request.

use std::{collections::BTreeSet, time::Duration};

use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use triggerbell::simulate::{FAULTS, Fault, Faults};

use super::*;

fn code(answer: &Value) -> i64 {
    answer["code"].as_i64().unwrap_or_else(|| panic!("no code in {answer}"))
}

fn code3(answer: &Value) -> &str {
    let code = answer.pointer("/Response/Error/Code").and_then(Value::as_str);
    code.unwrap_or_else(|| panic!("no error in {answer}"))
}

#[tokio::test]
async fn whoever_signs_rightly_is_answered_whatever_the_manner() {
    let registry = registry(world(3), RegistrySettings::default()).await;
    let caller = Caller::of(&registry);
    for method in ["GET", "POST"] {
        for hash in [SignatureMethod::HmacSha1, SignatureMethod::HmacSha256] {
            let target = (method, "/v2/index.php");
            let answer = parsed(caller.send(target, &caller.sign(target, hash, LOG)).await).await;
            assert_eq!((code(&answer), answer["codeDesc"].as_str()), (0, Some("Success")));
            assert_eq!(tags(&answer), ["v2", "v1", "v0"], "{method} {hash:?}");

            let target = (method, "/");
            let own = [
                ("Action", LOG_3),
                ("RepoName", REPO),
                ("Version", "2019-09-24"),
                ("Region", "ap-guangzhou"),
            ];
            let answer = parsed(caller.send(target, &caller.sign(target, hash, &own)).await).await;
            assert_eq!(answer.pointer("/Response/Data/TotalCount"), Some(&json!(3)));
        }
    }
    let answer = caller.three(LOG_3, r#"{"RepoName": "shop/api", "Limit": 2}"#).await;
    assert_eq!(answer.pointer("/Response/Data/LogInfo/0/TagName"), Some(&json!("v2")));
    assert_eq!(answer.pointer("/Response/Data/TotalCount"), Some(&json!(3)));
    assert!(answer.pointer("/Response/RequestId").is_some_and(Value::is_string));
    assert_eq!(registry.requests().answered, 9);
    assert_eq!(registry.pages_asked()[REPO], 9);
}

#[tokio::test]
async fn api_2_refuses_with_the_contracts_codes() {
    let registry = registry(world(3), RegistrySettings::default()).await;
    let caller = Caller::of(&registry);
    let with = |change: &dyn Fn(&mut Caller)| {
        let mut changed = caller.clone();
        change(&mut changed);
        changed
    };
    let log = |more: &[(&'static str, &'static str)]| [LOG, more].concat();
    let cases = [
        ("wrong key", with(&|c| c.credentials.secret_key.push('x')), log(&[]), 4100),
        ("unknown id", with(&|c| c.credentials.secret_id.push('x')), log(&[]), 4104),
        ("a token", with(&|c| c.credentials.token = Some("t".into())), log(&[]), 4105),
        ("behind", with(&|c| c.timestamp -= 310), log(&[]), 4200),
        ("ahead", with(&|c| c.timestamp += 310), log(&[]), 4500),
        ("no action", caller.clone(), LOG[1..].to_vec(), 4000),
        ("unknown action", caller.clone(), vec![("Action", "ListNothing")], 4000),
        ("no repository", caller.clone(), LOG[..1].to_vec(), 4000),
        ("unknown repository", caller.clone(), vec![LOG[0], ("reponame", "no/body")], 5000),
        ("unknown parameter", caller.clone(), log(&[("colour", "red")]), 4000),
        ("twice", caller.clone(), log(&[LOG[1]]), 4000),
        ("no number", caller.clone(), log(&[("limit", "ten")]), 4000),
        ("no order", caller.clone(), log(&[("order", "up")]), 4000),
        ("no orderby", caller.clone(), log(&[("orderby", "size")]), 4000),
    ];
    for (what, caller, own, wanted) in &cases {
        let answer = caller.two(own).await;
        assert_eq!(code(&answer), *wanted, "{what}: {answer}");
        assert!(answer.get("data").is_none() && answer["message"] != "", "{what}: {answer}");
    }
    assert_eq!(registry.requests().refused, cases.len() as u64);

    let target = ("POST", "/v2/index.php");
    let signed = caller.sign(target, SignatureMethod::HmacSha256, LOG);
    let mut tampered = signed.clone();
    tampered.iter_mut().find(|(key, _)| key == "reponame").unwrap().1 = "shop/web".into();
    assert_eq!(code(&parsed(caller.send(target, &tampered).await).await), 4100);
    let get = ("GET", "/v2/index.php");
    assert_eq!(code(&parsed(caller.send(get, &signed).await).await), 4100, "signed for POST");
    assert_eq!(code(&parsed(caller.send(target, &signed).await).await), 0);
    assert_eq!(code(&parsed(caller.send(target, &signed).await).await), 4500, "replayed");
}

#[tokio::test]
async fn api_3_refuses_with_the_contracts_codes() {
    let registry = registry(world(3), RegistrySettings::default()).await;
    let caller = Caller::of(&registry);
    let body = r#"{"RepoName":"shop/api"}"#;
    let with = |change: &dyn Fn(&mut Caller)| {
        let mut changed = caller.clone();
        change(&mut changed);
        changed
    };
    let cases = [
        (
            "key",
            with(&|c| c.credentials.secret_key.push('x')),
            LOG_3,
            body,
            "AuthFailure.SignatureFailure",
        ),
        (
            "id",
            with(&|c| c.credentials.secret_id.push('x')),
            LOG_3,
            body,
            "AuthFailure.SecretIdNotFound",
        ),
        (
            "token",
            with(&|c| c.credentials.token = Some("t".into())),
            LOG_3,
            body,
            "AuthFailure.TokenFailure",
        ),
        ("behind", with(&|c| c.timestamp -= 310), LOG_3, body, "AuthFailure.SignatureExpire"),
        ("ahead", with(&|c| c.timestamp += 310), LOG_3, body, "AuthFailure.SignatureExpire"),
        ("action", caller.clone(), "DescribeNothing", body, "InvalidAction"),
        ("2.0's action", caller.clone(), "ListTriggerLog", body, "InvalidAction"),
        ("no repository", caller.clone(), LOG_3, "{}", "MissingParameter"),
        (
            "repository",
            caller.clone(),
            LOG_3,
            r#"{"RepoName":"no/body"}"#,
            "ResourceNotFound.ErrNoRepo",
        ),
        (
            "parameter",
            caller.clone(),
            LOG_3,
            r#"{"RepoName":"shop/api","Colour":1}"#,
            "UnknownParameter",
        ),
        (
            "number",
            caller.clone(),
            LOG_3,
            r#"{"RepoName":"shop/api","Limit":-1}"#,
            "InvalidParameter",
        ),
        ("no JSON", caller.clone(), LOG_3, "RepoName=shop/api", "InvalidParameter"),
    ];
    for (what, caller, action, body, wanted) in cases {
        assert_eq!(code3(&caller.three(action, body).await), wanted, "{what}");
    }
    for (header, value, wanted) in [
        ("x-tc-version", "2017-03-12", "NoSuchVersion"),
        ("x-tc-region", "mars-1", "UnsupportedRegion"),
        ("content-type", "text/json", "AuthFailure.SignatureFailure"),
        ("x-tc-timestamp", "1", "AuthFailure.SignatureFailure"),
        ("authorization", "Basic eDp5", "AuthFailure.InvalidAuthorization"),
    ] {
        let tamper = |request: &mut reqwest::Request| {
            request.headers_mut().insert(header, HeaderValue::from_static(value));
        };
        let answer = caller.three_tampered(LOG_3, body, tamper).await;
        assert_eq!(code3(&parsed(answer).await), wanted, "{header}: {value}");
    }
    let tamper = |request: &mut reqwest::Request| *request.body_mut() = Some("{}".into());
    let answer = caller.three_tampered(LOG_3, body, tamper).await;
    assert_eq!(code3(&parsed(answer).await), "AuthFailure.SignatureFailure", "another body");
}

#[tokio::test]
async fn a_token_must_be_carried_where_there_is_one() {
    let mut settings = RegistrySettings::default();
    settings.credentials.token = Some("temporary".into());
    let registry = registry(world(1), settings).await;
    let caller = Caller::of(&registry);
    assert_eq!(code(&caller.two(LOG).await), 0);
    assert!(
        caller.three(LOG_3, r#"{"RepoName":"shop/api"}"#).await["Response"]["Data"].is_object()
    );
    let mut without = caller.clone();
    without.credentials.token = None;
    assert_eq!(code(&without.two(LOG).await), 4105);
}

#[tokio::test]
async fn pages_are_sorted_bounded_and_joined() {
    let registry = registry(world(250), RegistrySettings::default()).await;
    let caller = Caller::of(&registry);
    let page = async |own: &[(&str, &str)]| caller.two(&[LOG, own].concat()).await;
    let default = page(&[]).await;
    assert_eq!((tags(&default).len(), tags(&default)[0]), (20, "v249"));
    assert_eq!(default.pointer("/data/totalCount"), Some(&json!(250)));
    assert_eq!(tags(&page(&[("limit", "1000")]).await).len(), 100, "never more than 100");
    let mut walked = Vec::new();
    for offset in ["0", "100", "200", "300"] {
        let answer = page(&[("limit", "100"), ("offset", offset), ("order", "desc")]).await;
        walked.extend(tags(&answer).into_iter().map(str::to_owned));
    }
    let wanted: Vec<String> = (0..250).rev().map(|number| format!("v{number}")).collect();
    assert_eq!(walked, wanted);
    let oldest = page(&[("order", "asc"), ("limit", "2"), ("offset", "1")]).await;
    assert_eq!(tags(&oldest), ["v1", "v2"]);
    let by_trigger = page(&[("order", "asc"), ("orderby", "trigger_name"), ("limit", "3")]).await;
    assert_eq!(tags(&by_trigger), ["v0", "v2", "v4"]);
    assert_eq!(tags(&page(&[("limit", "0")]).await), [""; 0]);
}

#[tokio::test]
async fn repositories_and_triggers_can_be_discovered() {
    let world = world(4);
    world.add_repo("pay/gateway");
    let registry = registry(world, RegistrySettings::default()).await;
    let caller = Caller::of(&registry);
    let answer = caller.two(&[("Action", "ListTrigger")]).await;
    let names: BTreeSet<_> = answer["data"]["triggerInfo"]
        .as_array()
        .unwrap()
        .iter()
        .map(|info| (info["repoName"].as_str().unwrap(), info["triggerName"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [(REPO, "trigger-0"), (REPO, "trigger-1")].into());
    let answer = caller.two(&[("Action", "SearchUserRepository"), ("namespace", "pay")]).await;
    assert_eq!(answer.pointer("/data/repoInfo/0/reponame"), Some(&json!("pay/gateway")));
    assert_eq!(answer.pointer("/data/totalCount"), Some(&json!(1)));
    let answer = caller.three("DescribeRepositoryOwnerPersonal", r#"{"Limit":1,"Offset":1}"#).await;
    assert_eq!(answer.pointer("/Response/Data/RepoInfo/0/RepoName"), Some(&json!(REPO)));
    assert_eq!(answer.pointer("/Response/Data/TotalCount"), Some(&json!(2)));
}

#[tokio::test]
async fn two_registries_live_in_one_process_and_know_nothing_of_each_other() {
    let settings = |seed| RegistrySettings {
        credentials: Credentials::generated(seed),
        ..RegistrySettings::default()
    };
    let first = registry(world(1), settings(1)).await;
    let second = registry(world(2), settings(2)).await;
    assert_eq!(tags(&Caller::of(&first).two(LOG).await).len(), 1);
    assert_eq!(tags(&Caller::of(&second).two(LOG).await).len(), 2);
    let mut stranger = Caller::of(&first);
    stranger.authority = second.address().to_string();
    assert_eq!(code(&stranger.two(LOG).await), 4104);
    let address = first.address();
    first.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "still listening");
    assert_eq!(code(&Caller::of(&second).two(LOG).await), 0);
}

/// Asks once with a fault that always happens, in both generations, and holds the answers to what
/// the fault's line in the table says.
#[tokio::test]
async fn every_fault_shows() {
    for (fault, name, _) in FAULTS {
        let settings = RegistrySettings {
            faults: Faults::of([(*fault, 1.0)]),
            slow_for: Duration::from_millis(300),
            ..RegistrySettings::default()
        };
        let registry = registry(world(40), settings).await;
        let caller = Caller::of(&registry);
        let target = ("POST", "/v2/index.php");
        let started = std::time::Instant::now();
        let params = caller.sign(target, SignatureMethod::HmacSha256, LOG);
        let two = caller.send(target, &params).await;
        let (status, date) = (two.status(), two.headers()["date"].clone());
        let body = two.bytes().await;
        let waited = started.elapsed();
        let three = caller.three_tampered(LOG_3, r#"{"RepoName":"shop/api"}"#, |_| ()).await;
        let three = three.bytes().await.unwrap_or_default();
        let shows = Shown {
            status: status.as_u16(),
            date: date.to_str().unwrap(),
            body,
            three: &three,
            waited,
        };
        assert!(shows.fault(*fault, &registry), "{name}: {shows:?}");
        let faulty = if *fault == Fault::Late { 0 } else { 2 };
        assert_eq!(registry.requests().faulty, faulty, "{name}");
    }
}

#[derive(Debug)]
struct Shown<'a> {
    status: u16,
    date: &'a str,
    body: reqwest::Result<bytes::Bytes>,
    three: &'a [u8],
    waited: Duration,
}

impl Shown<'_> {
    fn fault(&self, fault: Fault, registry: &Registry) -> bool {
        let body = self.body.as_deref().unwrap_or_default();
        let text = String::from_utf8_lossy(body);
        let two: Value = serde_json::from_slice(body).unwrap_or_default();
        let three: Value = serde_json::from_slice(self.three).unwrap_or_default();
        let refused = |code: i64, code3: &str| {
            two["code"] == code && three.pointer("/Response/Error/Code") == Some(&json!(code3))
        };
        match fault {
            Fault::Error500 => self.status == 500 && two.is_null(),
            Fault::Html => self.status == 200 && text.starts_with("<html>"),
            Fault::Truncated => self.status == 200 && text.starts_with('{') && two.is_null(),
            Fault::Garbled => std::str::from_utf8(body).is_err() && two.is_null(),
            Fault::Huge => body.len() > 10 * 1024 * 1024 && two["code"] == 0,
            Fault::Slow => self.waited >= Duration::from_millis(300) && two["code"] == 0,
            Fault::Hangup => self.body.is_err() && self.three.is_empty(),
            Fault::Throttle => refused(4400, "RequestLimitExceeded"),
            Fault::Auth => refused(4100, "AuthFailure.SignatureFailure"),
            Fault::Clock => refused(4500, "AuthFailure.SignatureExpire"),
            Fault::Retired => refused(4300, "ActionOffline"),
            Fault::Shuffle => {
                let ordered: Vec<String> = (20..40).rev().map(|n| format!("v{n}")).collect();
                let mut shown = tags(&two);
                let shuffled = shown != ordered;
                shown.sort_by_key(|tag| std::cmp::Reverse(tag[1..].parse::<u32>().unwrap()));
                shuffled && shown == ordered
            }
            Fault::Total => two.pointer("/data/totalCount").is_some_and(|total| *total != 40),
            Fault::Loose => {
                two["totalCount"] == "40"
                    && two.pointer("/logInfo/0/invokeCondition") == Some(&json!([]))
                    && three.pointer("/Response/Data/TotalCount") == Some(&json!("40"))
            }
            Fault::Skew => {
                let date = httpdate(self.date);
                (590..=610).contains(&(date - Timestamp::now().as_second()))
            }
            // It is the feed's (`simulate::feed`), which tests it; requests go on as ever.
            Fault::Late => two["code"] == 0,
            Fault::Expire => {
                two.pointer("/data/totalCount") == Some(&json!(30))
                    && registry.world().rows(REPO).len() == 20
            }
        }
    }
}

/// Unix seconds of an HTTP date.
fn httpdate(text: &str) -> i64 {
    let time = jiff::fmt::rfc2822::parse(text).unwrap();
    time.timestamp().as_second()
}

#[tokio::test]
async fn answers_carry_the_registrys_own_date() {
    let start = Timestamp::from_second(1_700_000_000).unwrap();
    let settings = RegistrySettings { now: Arc::new(move || start), ..RegistrySettings::default() };
    let registry = registry(world(1), settings).await;
    let mut caller = Caller::of(&registry);
    caller.timestamp = start.as_second() + 299;
    let answer = caller.three_tampered(LOG_3, r#"{"RepoName":"shop/api"}"#, |_| ()).await;
    assert_eq!(httpdate(answer.headers()["date"].to_str().unwrap()), start.as_second());
    assert!(parsed(answer).await["Response"]["Data"].is_object());
    registry.fault_once(Fault::Html);
    assert!(
        caller.three_tampered(LOG_3, "{}", |_| ()).await.text().await.unwrap().contains("<html>")
    );
}
