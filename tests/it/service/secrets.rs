//! No secret shows: planted in every place where one can stand, with a registry, receivers and a
//! proxy that fail in every way and repeat whatever they were sent, then looked for in all that the
//! program writes, answers, logs and keeps.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, time::Duration};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::support::{
    process::{PATIENCE, Service, client, ran, until_within},
    receiver::{Receiver, Reply, Seen},
    stand::Stand,
};

/// What is planted, by where: in the environment under this name, or in a file of this name.
const SECRETS: &[(&str, &str)] = &[
    ("ECHO_ID", "AKIDecho0secret1id2in3place4"),
    ("ECHO_KEY", "Ek+y/0secret=in%20place"),
    ("ECHO_TOKEN", "tok/0secret+in=place"),
    ("NEW_ID_FILE", "AKIDnew0secret1id2in3file4"),
    ("NEW_KEY_FILE", "Nk+y/0secret=in%2Ffile"),
    ("NEW_TOKEN_FILE", "ntok/0secret+in=file"),
    ("SOURCE_PROXY_PASSWORD", "source-proxy-pa55word-0"),
    ("SLACK_PATH", "T0SLACK0/B0SLACK0/xSecretPathOfSlack0"),
    ("SLACK_PATH_FILE", "T1SLACK1/B1SLACK1/xSecretPathOfSlack1"),
    ("WECOM_KEY", "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"),
    ("WECOM_KEY_FILE", "793a91f6-7xxx-4bc4-97a0-0ec2sifa5bbb"),
    ("SLACK_TOKEN", "xoxb-0slack-1secret-2token-in-place"),
    ("SLACK_TOKEN_FILE", "xoxb-0slack-1secret-2token-in-file"),
    ("WECOM_SECRET", "corp-secret_0in1place2345678901234567890123"),
    ("WECOM_SECRET_FILE", "corp-secret_0in1file34567890123456789012345"),
    // What WeCom grants for these; nobody configures it.
    ("ACCESS_TOKEN", "granted-access-token-secret-0123456789"),
    ("HOOK_USER", "hook-user-secret"),
    ("HOOK_PASSWORD", "hook-pa55word-secret"),
    ("HOOK_PATH", "hook-path-secret"),
    ("HOOK_QUERY", "hook+query/secret"),
    ("HOOK_HEADER", "hook\"header\\secret"),
    ("HOOK_BEARER", "hook-bearer-secret"),
    ("HOOK_HEADER_FILE", "hook-header-file-secret"),
    ("HOOK_PATH_FILE", "hook-path-file-secret"),
    ("HOOK_SIGNING", "whsec_c2lnbmluZy1zZWNyZXQtb2YtdGhlLWhvb2stMA=="),
    ("HOOK_SIGNING_FILE", "whsec_c2lnbmluZy1zZWNyZXQtb2YtdGhlLWhvb2stMQ=="),
    ("HOOK_PROXY_PASSWORD", "hook-proxy-pa55word-0"),
    ("API_TOKEN", "api-token/secret+0"),
    ("URL_PASSWORD", "url-pa55word-secret"),
];

fn secret(name: &str) -> &'static str {
    SECRETS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).unwrap()
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// How a secret may be spelled where it shows; letter case apart.
fn spellings(secret: &str) -> Vec<String> {
    let quoted = Value::from(secret).to_string();
    let escaped = quoted.trim_matches('"').to_owned();
    let mut all = vec![
        secret.to_owned(),
        percent_encoded(secret),
        percent_encoded(&percent_encoded(secret)),
        escaped.replace('/', "\\/"),
        escaped,
        format!("{secret:?}").trim_matches('"').to_owned(),
        // Without its last letters, which depend on what follows.
        BASE64_STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
    ];
    all.extend(secret.strip_prefix("whsec_").map(str::to_owned));
    all.extend(secret.rsplit_once('/').map(|(_, last)| last.to_owned()).filter(|l| l.len() > 9));
    all
}

/// All that was said, by where.
#[derive(Default)]
struct Said(BTreeMap<String, Vec<u8>>);

impl Said {
    fn add(&mut self, place: impl Into<String>, text: impl AsRef<[u8]>) {
        self.0.entry(place.into()).or_default().extend_from_slice(text.as_ref());
    }

    /// Where a secret stands, for each that stands anywhere.
    fn leaks(&self, secrets: &[(String, String)]) -> Vec<String> {
        let mut leaks = Vec::new();
        for (place, text) in &self.0 {
            let text = String::from_utf8_lossy(text).to_lowercase();
            for (name, secret) in secrets {
                for spelling in spellings(secret) {
                    let spelling = spelling.to_lowercase();
                    if let Some(at) = text.find(&spelling) {
                        let (from, to) = (at.saturating_sub(200), at + spelling.len() + 60);
                        let around =
                            String::from_utf8_lossy(&text.as_bytes()[from..to.min(text.len())]);
                        leaks.push(format!("{name} in {place}: …{around}…"));
                        break;
                    }
                }
            }
        }
        leaks
    }
}

/// All of a request, in several spellings, as servers in search of help put it into their errors.
fn echo(seen: &Seen) -> String {
    let mut text = format!("you sent {} ", seen.path);
    for (name, value) in &seen.headers {
        let _ = write!(text, "{name}: {} ", String::from_utf8_lossy(value.as_bytes()));
    }
    let _ = write!(text, "{} ", seen.body);
    let encoded = percent_encoded(&text);
    let spaced = text.replace(['&', '='], " ");
    format!("{spaced} {text} {encoded} {}", Value::from(seen.path.as_str()))
}

/// How receivers fail.
const WAYS: &[(&str, u16)] = &[
    ("accepts", 200),
    ("moved", 302),
    ("refuses", 400),
    ("forbids", 403),
    ("gone", 410),
    ("later", 429),
    ("broken", 500),
    ("hangs-up", 299),
];

fn failing(status: u16) -> impl Fn(usize, &Seen) -> Reply {
    move |_, seen| match status {
        // Some fail before an app has its token, the others with the token in the address.
        200 | 400 | 403 | 410 if seen.path.starts_with("/cgi-bin/gettoken") => {
            let token = secret("ACCESS_TOKEN");
            Reply::status(200).body(json!({"errcode": 0, "access_token": token}).to_string())
        }
        200 => Reply::status(200).body(json!({"errcode": 40058, "errmsg": echo(seen)}).to_string()),
        299 => Reply { hang_up: true, ..Reply::status(200).body(echo(seen)) },
        302 => Reply::status(302).header("location", seen.path.clone()).body(echo(seen)),
        status => Reply::status(status).body(echo(seen)),
    }
}

/// A registry of both generations that refuses everything and repeats it.
async fn echoing_registry() -> Receiver {
    Receiver::answering(|number, seen| {
        let message = echo(seen);
        let text = if seen.headers.contains_key("x-tc-action") {
            let code = ["AuthFailure.SignatureFailure", "InternalError", "RequestLimitExceeded"];
            let error = json!({"Code": code[number % 3], "Message": message});
            json!({"Response": {"Error": error, "RequestId": "r"}})
        } else {
            let code = [4100, 5100, 4400][number % 3];
            json!({"code": code, "message": message, "codeDesc": message})
        };
        match number % 4 {
            3 => Reply::status(502).body(message),
            _ => Reply::status(200).body(text.to_string()),
        }
    })
    .await
}

struct Far {
    stand: Stand,
    registry: Receiver,
    proxy: Receiver,
    receivers: Vec<(&'static str, Receiver)>,
}

impl Far {
    async fn start() -> Self {
        let mut receivers = Vec::new();
        for &(way, status) in WAYS {
            receivers.push((way, Receiver::answering(failing(status)).await));
        }
        let proxy = Receiver::answering(|number, seen| {
            Reply::status([407, 502, 400][number % 3]).body(echo(seen))
        });
        Self {
            stand: Stand::start(&["shop/api"]).await,
            registry: echoing_registry().await,
            proxy: proxy.await,
            receivers,
        }
    }

    fn sources(&self) -> String {
        let good = self.stand.source("first_run: all\n    poll_every: 1s");
        let (echo, proxy) = (&self.registry.url, self.proxy.url.trim_start_matches("http://"));
        format!(
            "{good}  echo:\n    ccr:\n      endpoint: {echo}/v2/index.php\n      method: GET\n      \
             secret_id: ${{ECHO_ID}}\n      secret_key: ${{ECHO_KEY}}\n      token: ${{ECHO_TOKEN}}\n    \
             repos: [shop/api]\n    poll_every: 1s\n  new:\n    tcr_personal:\n      endpoint: {echo}\n      \
             region: ap-guangzhou\n      secret_id_file: NEW_ID_FILE\n      \
             secret_key_file: NEW_KEY_FILE\n      token_file: NEW_TOKEN_FILE\n    repos: [shop/api]\n    \
             poll_every: 1s\n  proxied:\n    ccr:\n      endpoint: http://registry.invalid/v2/index.php\n      \
             secret_id: ${{ECHO_ID}}\n      secret_key: ${{ECHO_KEY}}\n    repos: [shop/api]\n    \
             poll_every: 1s\n    proxy: http://proxy-user:${{SOURCE_PROXY_PASSWORD}}@{proxy}\n  \
             nowhere:\n    ccr:\n      endpoint: https://registry.invalid/v2/index.php\n      \
             method: GET\n      secret_id: ${{ECHO_ID}}\n      secret_key: ${{ECHO_KEY}}\n    \
             repos: [shop/api]\n    poll_every: 1s\n"
        )
    }

    /// A receiver of each kind at each of the failing servers, and where there is none.
    fn receivers(&self, folder: &Path) -> (String, Vec<String>) {
        let mut text = "receivers:\n".to_owned();
        let mut names = Vec::new();
        let places = self.receivers.iter().map(|(way, receiver)| (*way, receiver.url.clone()));
        let dead = [
            ("closed", "http://127.0.0.1:1".to_owned()),
            ("unnamed", "https://nowhere.invalid".to_owned()),
            ("not-tls", self.receivers[0].1.url.replace("http", "https")),
        ];
        for (way, url) in places.chain(dead) {
            let host = url.split_once("://").unwrap().1;
            let scheme = url.split_once("://").unwrap().0;
            let write = |name: &str, value: String| {
                std::fs::write(folder.join(name), value).unwrap();
                name.to_owned()
            };
            let slack = write(
                &format!("slack-{way}"),
                format!("{url}/services/{}\n", secret("SLACK_PATH_FILE")),
            );
            let hook = write(
                &format!("hook-{way}"),
                format!("{url}/{}?key=x\n", secret("HOOK_PATH_FILE")),
            );
            let mut add = |name: String, kind: &str, keys: String| {
                let _ = write!(text, "  {name}:\n    {kind}:\n{keys}    timeout: 3s\n");
                names.push(name);
            };
            add(
                format!("slack-{way}"),
                "slack",
                format!("      webhook_url: {url}/services/${{SLACK_PATH}}\n"),
            );
            add(format!("slack-file-{way}"), "slack", format!("      webhook_url_file: {slack}\n"));
            add(
                format!("wecom-{way}"),
                "wecom",
                format!("      key: ${{WECOM_KEY}}\n      base_url: {url}\n"),
            );
            add(
                format!("wecom-file-{way}"),
                "wecom",
                format!("      key_file: WECOM_KEY_FILE\n      base_url: {url}\n"),
            );
            add(
                format!("slack-app-{way}"),
                "slack",
                format!(
                    "      token: ${{SLACK_TOKEN}}\n      channel: C01\n      api_url: {url}\n"
                ),
            );
            add(
                format!("slack-app-file-{way}"),
                "slack",
                format!(
                    "      token_file: SLACK_TOKEN_FILE\n      channel: C01\n      api_url: {url}\n"
                ),
            );
            for (name, key) in [
                ("wecom-app", "secret: ${WECOM_SECRET}"),
                ("wecom-app-file", "secret_file: WECOM_SECRET_FILE"),
            ] {
                add(
                    format!("{name}-{way}"),
                    "wecom",
                    format!(
                        "      corpid: ww0123456789abcdef\n      {key}\n      agentid: 1000002\n      \
                         to_user: zhangsan\n      base_url: {url}\n"
                    ),
                );
            }
            add(
                format!("hook-{way}"),
                "webhook",
                format!(
                    "      url: {scheme}://${{HOOK_USER}}:${{HOOK_PASSWORD}}@{host}/${{HOOK_PATH}}?q=${{HOOK_QUERY}}\n      \
                     headers:\n        X-Key: ${{HOOK_HEADER}}\n        X-Other_file: HOOK_HEADER_FILE\n      \
                     signing_secret: ${{HOOK_SIGNING}}\n"
                ),
            );
            add(
                format!("hook-file-{way}"),
                "webhook",
                format!(
                    "      url_file: {hook}\n      headers:\n        Authorization: Bearer ${{HOOK_BEARER}}\n      \
                     signing_secret_file: HOOK_SIGNING_FILE\n"
                ),
            );
        }
        let proxy = self.proxy.url.trim_start_matches("http://");
        let _ = write!(
            text,
            "  hook-proxied:\n    webhook:\n      url: http://elsewhere.invalid/${{HOOK_PATH}}\n    \
             proxy: http://proxy-user:${{HOOK_PROXY_PASSWORD}}@{proxy}\n"
        );
        names.push("hook-proxied".to_owned());
        (text, names)
    }
}

/// Asks the running service for everything that it answers.
async fn ask_everything(service: &Service, said: &mut Said) {
    let token = secret("API_TOKEN");
    let client = client();
    let ask = async |path: &str| {
        let request = client.get(format!("{}{path}", service.url)).bearer_auth(token);
        request.send().await.unwrap().text().await.unwrap()
    };
    let mut paths: Vec<String> = [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/nothing",
        "/api/v1/status",
        "/api/v1/rules",
        "/api/v1/rejected",
        "/api/v1/entries",
        "/api/v1/entries?limit=x",
        "/api/v1/notifications?limit=500",
    ]
    .map(str::to_owned)
    .into();
    for (list, suffixes) in [("entries", &["", "/explain"][..]), ("notifications", &[""][..])] {
        let answer: Value =
            serde_json::from_str(&ask(&format!("/api/v1/{list}?limit=500")).await).unwrap();
        let items = answer["items"].as_array().unwrap();
        assert!(!items.is_empty(), "there is nothing of {list} to look through");
        for item in items {
            let id = item["id"].as_str().unwrap();
            paths.extend(suffixes.iter().map(|suffix| format!("/api/v1/{list}/{id}{suffix}")));
        }
    }
    for path in &paths {
        said.add(format!("GET {path}"), ask(path).await);
        said.add(format!("GET {path} without a token"), service.get(path).await.unwrap());
    }
}

/// Runs every command that reads the configuration or asks the service.
async fn run_everything(
    folder: &Path,
    service: &Service,
    receivers: &[String],
    env: &[(&str, &str)],
    said: &mut Said,
) {
    let id = {
        let args = ["deliveries", "list", "--format", "json"];
        let list = ran(folder, &args, &[env, &[("TRIGGERBELL_URL", &*service.url)]].concat()).await;
        let list: Value = serde_json::from_str(&list.stdout).unwrap();
        list["items"][0]["id"].as_str().unwrap().to_owned()
    };
    let mut commands: Vec<Vec<&str>> = [
        "check",
        "check --format json",
        "check --format sarif",
        "status",
        "status --format json",
        "healthcheck",
        "deliveries list",
        "fetch --source shop",
        "fetch --source echo",
        "fetch --source new",
        "fetch --source proxied",
        "fetch --source nowhere",
    ]
    .iter()
    .map(|line| line.split(' ').collect())
    .collect();
    commands.push(vec!["deliveries", "show", &id]);
    commands.push(vec!["deliveries", "retry", &id]);
    let some =
        receivers.iter().filter(|name| name.ends_with("refuses") || name.ends_with("closed"));
    commands.extend(some.map(|name| vec!["send", name]));
    let env = [env, &[("TRIGGERBELL_URL", &*service.url), ("RUST_LOG", "trace")]].concat();
    for command in commands {
        said.add(command.join(" "), ran(folder, &command, &env).await.said());
    }
    let unreachable = format!("http://user:{}@127.0.0.1:1/", secret("URL_PASSWORD"));
    let args = ["status", "--url", &unreachable];
    said.add("status of nobody", ran(folder, &args, &env).await.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_shows_anywhere_whatever_fails() {
    let far = Far::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, value) in SECRETS.iter().filter(|(name, _)| name.ends_with("_FILE")) {
        std::fs::write(folder.join(name), format!("{value}\n")).unwrap();
    }
    let (receivers, names) = far.receivers(folder);
    let rules = format!(
        "rules:\n  - name: everything\n    match: {{}}\n    by: [tag]\n    send_to: [{}]\n",
        names.join(", ")
    );
    let config = format!("{}{receivers}", far.sources());
    Service::configure(folder, &config, &rules);
    let path = folder.join("triggerbell.yaml");
    let config = std::fs::read_to_string(&path).unwrap() + "  token: ${API_TOKEN}\n";
    std::fs::write(&path, config).unwrap();
    far.stand.push("shop/api", 3);

    let mut env = vec![("RUST_LOG", "trace")];
    env.extend(SECRETS.iter().filter(|(name, _)| !name.ends_with("_FILE")).copied());
    let service = Service::again(folder, &env).await;
    let client_env = [&env[..], &[("TRIGGERBELL_TOKEN", secret("API_TOKEN"))]].concat();
    let asked = [&client_env[..], &[("TRIGGERBELL_URL", &*service.url)]].concat();
    let every = Duration::from_millis(250);
    until_within(PATIENCE, every, "everything has failed at least once", async || {
        let status = ran(folder, &["status", "--format", "json"], &asked).await;
        let status: Value = serde_json::from_str(&status.stdout).unwrap();
        let lanes = status["receivers"].as_object().unwrap();
        let sources = status["sources"].as_object().unwrap();
        lanes.values().all(|lane| lane["attempts"].as_u64().unwrap() > 0)
            && sources.iter().all(|(name, it)| name == "shop" || it["last_error"].is_string())
    })
    .await;

    let mut said = Said::default();
    ask_everything(&service, &mut said).await;
    run_everything(folder, &service, &names, &client_env, &mut said).await;
    for file in ["triggerbell.db", "triggerbell.db-wal"] {
        said.add(file, std::fs::read(folder.join(file)).unwrap());
    }
    let log = service.log();
    let traced = log.matches("TRACE").count();
    assert!(traced > 100, "it was to log all that it can, and traced {traced} lines");
    assert!(service.terminate().await.success());
    said.add("the log", std::fs::read(folder.join("log")).unwrap());
    said.add("the database in the end", std::fs::read(folder.join("triggerbell.db")).unwrap());

    let mut secrets: Vec<_> =
        SECRETS.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let known = far.stand.registry.credentials();
    secrets.push(("SHOP_ID".to_owned(), known.secret_id.clone()));
    secrets.push(("SHOP_KEY".to_owned(), known.secret_key.clone()));
    let basic = format!("{}:{}", secret("HOOK_USER"), secret("HOOK_PASSWORD"));
    secrets.push(("the basic authentication".to_owned(), basic));
    for name in ["SOURCE_PROXY_PASSWORD", "HOOK_PROXY_PASSWORD"] {
        secrets.push((format!("{name} as sent"), format!("proxy-user:{}", secret(name))));
    }
    let bytes: usize = said.0.values().map(Vec::len).sum();
    let leaks = said.leaks(&secrets);
    eprintln!(
        "{} secrets in {} spellings looked for in {} places, {} KiB: {} found",
        secrets.len(),
        secrets.iter().map(|(_, secret)| spellings(secret).len()).sum::<usize>(),
        said.0.len(),
        bytes / 1024,
        leaks.len()
    );
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
