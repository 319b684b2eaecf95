//! The stand-ins, met from outside as a stranger would: the registry, the chat wall, and the
//! vendor's own clients against them.

mod clients;
mod registry;
mod wall;

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use triggerbell::{
    adapters::{
        http::{ClientSettings, client},
        source::signature::{
            SignatureMethod, Tc3Request, encode_parameters, tc3_authorization, v2_sign,
            v2_string_to_sign,
        },
    },
    domain::entry::{Row, WallTime},
    simulate::{Credentials, Registry, RegistrySettings, World},
};

/// The repository of most tests.
const REPO: &str = "shop/api";

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn http() -> reqwest::Client {
    client(&ClientSettings::default()).unwrap()
}

/// The `number`-th row: two a second, so that seconds have twins in time.
fn row(number: i64) -> Row {
    let second = 1_790_000_000 + number / 2;
    let mut row = Row::at(WallTime(second + 28_800), Timestamp::from_second(second).unwrap());
    row.repo = Some(REPO.into());
    row.tag = Some(format!("v{number}").into());
    row.trigger = Some(format!("trigger-{}", number % 2).into());
    row.service = Some("api".into());
    row.cluster_region = Some(1);
    row.return_code = Some(i64::from(number % 5 == 0));
    row.return_msg = Some("ok".into());
    row
}

fn world(rows: i64) -> Arc<World> {
    let world = World::new(&[REPO.to_owned()]);
    (0..rows).for_each(|number| drop(world.push(row(number))));
    Arc::new(world)
}

async fn registry(world: Arc<World>, settings: RegistrySettings) -> Registry {
    Registry::start(listener().await, world, settings, &CancellationToken::new()).unwrap()
}

/// What tests/NAME is.
fn test_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A caller of the API, with everything about a request open to being wrong.
#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    authority: String,
    credentials: Credentials,
    timestamp: i64,
}

impl Caller {
    fn of(registry: &Registry) -> Self {
        Self {
            http: http(),
            authority: registry.address().to_string(),
            credentials: registry.credentials().clone(),
            timestamp: Timestamp::now().as_second(),
        }
    }

    /// Signed parameters in the manner of API 2.0, as they go on the wire.
    fn sign(
        &self,
        (method, path): (&str, &str),
        hash: SignatureMethod,
        own: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let mut params: Vec<(String, String)> = vec![
            ("Timestamp".into(), self.timestamp.to_string()),
            ("Nonce".into(), fastrand::i64(1..).to_string()),
            ("SecretId".into(), self.credentials.secret_id.clone()),
            ("SignatureMethod".into(), hash.name().into()),
        ];
        params.extend(self.credentials.token.clone().map(|token| ("Token".into(), token)));
        params.extend(own.iter().map(|(key, value)| ((*key).into(), (*value).into())));
        let text = v2_string_to_sign(method, &self.authority, path, &params);
        params.push(("Signature".into(), v2_sign(&self.credentials.secret_key, &text, hash)));
        params
    }

    async fn send(
        &self,
        (method, path): (&str, &str),
        params: &[(String, String)],
    ) -> reqwest::Response {
        let (url, wire) = (format!("http://{}{path}", self.authority), encode_parameters(params));
        let request = match method {
            "GET" => self.http.get(format!("{url}?{wire}")),
            _ => self
                .http
                .post(url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(wire),
        };
        request.send().await.unwrap()
    }

    /// An answer of API 2.0 to a POST.
    async fn two(&self, own: &[(&str, &str)]) -> Value {
        let target = ("POST", "/v2/index.php");
        let params = self.sign(target, SignatureMethod::HmacSha256, own);
        parsed(self.send(target, &params).await).await
    }

    /// An answer of API 3.0 to a POST that `tamper` has changed after it was signed.
    async fn three_tampered(
        &self,
        action: &str,
        body: &str,
        tamper: impl FnOnce(&mut reqwest::Request),
    ) -> reqwest::Response {
        let signed = Tc3Request {
            method: "POST",
            host: &self.authority,
            query: "",
            content_type: "application/json",
            body: body.as_bytes(),
            service: "tcr",
            timestamp: self.timestamp,
        };
        let Credentials { secret_id, secret_key, token } = &self.credentials;
        let mut request = self
            .http
            .post(format!("http://{}/", self.authority))
            .header("content-type", signed.content_type)
            .header("x-tc-action", action)
            .header("x-tc-version", "2019-09-24")
            .header("x-tc-region", "ap-guangzhou")
            .header("x-tc-timestamp", self.timestamp.to_string())
            .header("authorization", tc3_authorization(secret_id, secret_key, &signed))
            .body(body.to_owned());
        if let Some(token) = token {
            request = request.header("x-tc-token", token);
        }
        let mut request = request.build().unwrap();
        tamper(&mut request);
        self.http.execute(request).await.unwrap()
    }

    /// An answer of API 3.0 to a POST.
    async fn three(&self, action: &str, body: &str) -> Value {
        parsed(self.three_tampered(action, body, |_| ()).await).await
    }
}

/// An answer as JSON; refusals too come with 200.
async fn parsed(response: reqwest::Response) -> Value {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// The 2.0 log request of most tests.
const LOG: &[(&str, &str)] = &[("Action", "ListTriggerLog"), ("reponame", REPO)];

/// The 3.0 action of most tests.
const LOG_3: &str = "DescribeApplicationTriggerLogPersonal";

/// The tags of a 2.0 answer's rows.
fn tags(answer: &Value) -> Vec<&str> {
    let rows = answer.pointer("/data/logInfo").and_then(Value::as_array);
    let rows = rows.unwrap_or_else(|| panic!("no rows in {answer}"));
    rows.iter().map(|row| row["tagName"].as_str().unwrap()).collect()
}
