//! A registry on the loopback that gives the answers it was told to and remembers what it was
//! asked, and the sources that ask it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use futures_util::{StreamExt as _, stream};
use jiff::{Timestamp, tz::TimeZone};
use triggerbell::{
    adapters::{
        http::{ClientSettings, client},
        secret::Secret,
        source::{CcrSettings, CcrSource, DEFAULT_ZONE, TcrPersonalSettings, TcrPersonalSource},
    },
    ports::{Clock, Page, PageRequest, Source, SourceError},
};

pub(super) const SECRET_ID: &str = "AKIDplantedid0123456789";
pub(super) const SECRET_KEY: &str = "planted/key+with=specials";
pub(super) const TOKEN: &str = "planted token&with=specials";

/// The official sample of the contract, whole.
pub(super) const SAMPLE: &str = r#"{"code":0,"message":"","codeDesc":"Success","data":{"logInfo":[{"repoName":"kubetest/kubetest","tagName":"latest","triggerName":"trigger_test","invokeSource":"IMAGE_PUSH","invokeAction":"SERVICE_UPDATE","invokeTime":"2018-07-23 23:13:27","invokeCondition":{"invokeMethod":"regex","invokeExpr":"test*"},"invokePara":{"appId":"1254119589","clusterId":"cls-666666","namespace":"default","serviceName":"nginx-test","containerName":"nginx-test","clusterRegion":1},"invokeResult":{"returnCode":0,"returnMsg":"ok"}}],"totalCount":1}}"#;

/// The same row as API 3.0 writes it.
pub(super) const SAMPLE_3: &str = r#"{"Response":{"Data":{"TotalCount":1,"LogInfo":[{"RepoName":"kubetest/kubetest","TagName":"latest","TriggerName":"trigger_test","InvokeSource":"IMAGE_PUSH","InvokeAction":"SERVICE_UPDATE","InvokeTime":"2018-07-23 23:13:27","InvokeCondition":{"InvokeMethod":"regex","InvokeExpr":"test*"},"InvokePara":{"AppId":"1254119589","ClusterId":"cls-666666","Namespace":"default","ServiceName":"nginx-test","ContainerName":"nginx-test","ClusterRegion":1},"InvokeResult":{"ReturnCode":0,"ReturnMsg":"ok"}}]},"RequestId":"a-b-c"}}"#;

/// One answer.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// The answer never ends behind its body.
    pub(super) stalls: bool,
}

impl Answer {
    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), stalls: false }
    }

    pub(super) fn status(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, ..Self::ok(body) }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What the registry was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The decoded parameters of the query or the form.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or(self.body.as_str(), |(_, query)| query);
        let url = reqwest::Url::parse(&format!("http://x/?{query}")).unwrap();
        url.query_pairs().into_owned().collect()
    }

    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

type Judge = Box<dyn Fn(&Asked) -> Answer + Send + Sync>;

struct Desk {
    answers: Mutex<VecDeque<Answer>>,
    judge: Option<Judge>,
    asked: Mutex<Vec<Asked>>,
}

/// The registry. It ends when it is dropped.
pub(super) struct Fake {
    pub(super) authority: String,
    desk: Arc<Desk>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    /// Gives these answers one after another, and the last of them from then on.
    pub(super) async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start(answers.into_iter().collect(), None).await
    }

    /// Gives the answer that a judge finds right.
    pub(super) async fn judging(judge: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(VecDeque::new(), Some(Box::new(judge))).await
    }

    async fn start(answers: VecDeque<Answer>, judge: Option<Judge>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let desk =
            Arc::new(Desk { answers: Mutex::new(answers), judge, asked: Mutex::new(Vec::new()) });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { authority, desk, server }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.desk.asked.lock().unwrap().clone()
    }
}

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1024 * 1024).await.unwrap();
    let asked = Asked {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let answer = match &desk.judge {
        Some(judge) => judge(&asked),
        None => {
            let mut answers = desk.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap()
        }
    };
    desk.asked.lock().unwrap().push(asked);
    let body = if answer.stalls {
        let begun = stream::iter([Ok::<_, std::convert::Infallible>(answer.body)]);
        Body::from_stream(begun.chain(stream::pending()))
    } else {
        Body::from(answer.body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// A clock that goes one second further each time it is looked at.
pub(super) struct Ticking(AtomicI64);

impl Ticking {
    pub(super) fn from(second: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(second)))
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

/// A clock that stands.
pub(super) struct Standing(pub(super) Timestamp);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }
}

pub(super) fn zone() -> TimeZone {
    TimeZone::get(DEFAULT_ZONE).unwrap()
}

/// A client whose limits no test here meets.
pub(super) fn patient() -> reqwest::Client {
    let settings = ClientSettings { timeout: Duration::from_secs(20), ..ClientSettings::default() };
    client(&settings).unwrap()
}

pub(super) fn ccr_settings(endpoint: &str) -> CcrSettings {
    CcrSettings::new(
        endpoint.parse().unwrap(),
        Secret::inline(SECRET_ID),
        Secret::inline(SECRET_KEY),
    )
}

pub(super) fn tcr_settings(endpoint: &str) -> TcrPersonalSettings {
    TcrPersonalSettings {
        endpoint: endpoint.parse().unwrap(),
        region: "ap-guangzhou".to_owned(),
        secret_id: Secret::inline(SECRET_ID),
        secret_key: Secret::inline(SECRET_KEY),
        token: None,
    }
}

impl Fake {
    pub(super) fn ccr(&self) -> CcrSource {
        self.ccr_with(|_| ())
    }

    pub(super) fn ccr_with(&self, change: impl FnOnce(&mut CcrSettings)) -> CcrSource {
        let mut settings = ccr_settings(&format!("http://{}/v2/index.php", self.authority));
        change(&mut settings);
        CcrSource::new(settings, zone(), patient(), Ticking::from(1_772_413_200))
    }

    pub(super) fn tcr(&self) -> TcrPersonalSource {
        self.tcr_with(|_| ())
    }

    pub(super) fn tcr_with(
        &self,
        change: impl FnOnce(&mut TcrPersonalSettings),
    ) -> TcrPersonalSource {
        let mut settings = tcr_settings(&format!("http://{}", self.authority));
        change(&mut settings);
        TcrPersonalSource::new(settings, zone(), patient(), Ticking::from(1_772_413_200))
    }
}

/// The first page of `shop/api`.
pub(super) async fn first_page(source: &dyn Source) -> Result<Page, SourceError> {
    source.page(PageRequest { repo: "shop/api", offset: 0, limit: 100 }).await
}
