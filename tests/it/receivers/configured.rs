//! Webhooks as their configuration has them: what each attempt works out, what answers mean, how
//! large a body may be. From YAML and templates to the bytes on a socket.

use std::{fs, sync::Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use triggerbell::{
    adapters::{
        receivers::signature::{SigningKey, verify},
        templates::{MessageRenderer, Sample, sample_context, sample_entry},
    },
    app,
    config::{self, Request},
    domain::entry::Entry,
    ports::{Context, Part, RenderRequest, Renderer},
};

use super::{
    fake::{Fake, Reply, Seen, answer},
    *,
};

const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A receiver `hook` made from a configuration, and its far side.
struct Hook {
    fake: Fake,
    notifier: Arc<dyn Notifier>,
    renderer: MessageRenderer,
    folder: TempDir,
}

impl Hook {
    /// With these keys under `webhook`, beside the URL, and these template files; the template
    /// `own` is used where there is one.
    async fn new(keys: &str, templates: &[(&str, &str)]) -> Self {
        Self::answering(answer(200, &[], "{}"), keys, templates).await
    }

    async fn answering(reply: Reply, keys: &str, templates: &[(&str, &str)]) -> Self {
        let fake = Fake::new(reply).await;
        let folder = tempfile::tempdir().unwrap();
        let keys: String = keys.lines().map(|line| format!("      {line}\n")).collect();
        let template = if templates.is_empty() { "default" } else { "own" };
        let text = format!(
            "sources:\n  log:\n    file: rows.jsonl\nreceivers:\n  hook:\n    webhook:\n      url: \
             {}/PATHSECRET\n{keys}    template: {template}\nrules: rules.yaml\ntemplates: .\n",
            fake.base()
        );
        fs::write(folder.path().join("triggerbell.yaml"), text).unwrap();
        let rules = "rules:\n  - {name: all, match: {}, send_to: [hook]}\n";
        fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        fs::write(folder.path().join("key"), "FILESECRET-1\n").unwrap();
        for (name, text) in templates {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let path = folder.path().join("triggerbell.yaml");
        let request = Request { config: Some(&path), data_dir: None, env: &|_| None };
        let config = config::load(&request)
            .unwrap_or_else(|problems| panic!("{}", triggerbell::document::text(&problems, false)))
            .config;
        let renderer = app::renderer(&config).unwrap();
        let notifier = app::notifiers(&config).unwrap().remove(0);
        Self { fake, notifier, renderer, folder }
    }

    fn render(&self, entries: &[Arc<Entry>]) -> Vec<Part> {
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        let context = sample_context(entries, &labels, Reason::Failing, now());
        self.render_as(&context)
    }

    fn render_as(&self, context: &Context<'_>) -> Vec<Part> {
        let request = RenderRequest { template: None, receiver: "hook", context };
        self.renderer.render(&request).unwrap()
    }

    /// One attempt with a message about a failure, at that second.
    async fn attempt(&self, second: i64) -> (Outcome, Option<Seen>) {
        let part = self.render(&[Arc::new(sample_entry(Sample::Failure))]).remove(0);
        self.attempt_with(part, second).await
    }

    async fn attempt_with(&self, part: Part, second: i64) -> (Outcome, Option<Seen>) {
        let before = self.fake.seen().len();
        let message = Delivery { payload: part.payload, ..delivery("") };
        let at = Timestamp::from_second(second).unwrap();
        let outcome = self.notifier.send(&message, at).await;
        (outcome, self.fake.seen().get(before).cloned())
    }

    /// What an answer comes to.
    async fn says(&self, status: u16, body: &str) -> Outcome {
        self.fake.reply_with(answer(status, &[], body));
        self.attempt(1_800_000_000).await.0
    }
}

fn entry(change: impl FnOnce(&mut triggerbell::domain::entry::Row)) -> Arc<Entry> {
    let mut entry = sample_entry(Sample::Failure);
    change(&mut entry.row);
    Arc::new(entry)
}

const PER_ATTEMPT: &str = "\
secrets:
  sign: SIGN\"SECRET
  file_file: key
headers:
  X-At: '{{now_s}}'
  X-Key: 'Bearer {{secrets.file}}'
  X-About: '{{entry.repo}} {{rule.labels.team}}'
  X-Fixed: as it is
query:
  at: '{{now_ms}}'
  sign: '{{base64 (hmac_sha256 secrets.sign (concat now_ms \"\\n\" secrets.sign))}}'
  tag: '{{entry.tag}}'
  fixed: a b&c";

const BODY: &str = r#"{"at": {{now_s}}, "key": {{json secrets.sign}}, "in": "<{{secrets.sign}}>",
  "hex": "{{hex (hmac_sha256 "Jefe" "what do ya want for nothing?")}}",
  "enc": "{{url_encode (concat entry.repo "?")}}", "repo": "{{entry.repo}}"}"#;

#[tokio::test]
async fn url_query_headers_and_body_are_worked_out_at_each_attempt() {
    let hook = Hook::new(PER_ATTEMPT, &[("own.json.hbs", BODY)]).await;
    let part = hook.render(&[Arc::new(sample_entry(Sample::Failure))]).remove(0);
    // What is queued holds no secret.
    for secret in ["SIGN", "FILESECRET", "PATHSECRET"] {
        assert!(!part.payload.body.contains(secret), "{}", part.payload.body);
    }
    let mut lines = Vec::new();
    for second in [1_800_000_000, 1_800_000_007] {
        let (outcome, seen) = hook.attempt_with(part.clone(), second).await;
        assert_outcome(&outcome, Class::Delivered, &[], "per attempt");
        let seen = seen.unwrap();
        assert_eq!(seen.header("x-at"), Some(&*second.to_string()));
        assert_eq!(seen.header("x-key"), Some("Bearer FILESECRET-1"));
        assert_eq!(seen.header("x-about"), Some("shop/api shop"));
        assert_eq!(seen.header("x-fixed"), Some("as it is"));
        assert_eq!(seen.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let wanted = json!({
            "at": second, "key": "SIGN\"SECRET", "in": "<SIGN\"SECRET>",
            "hex": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "enc": "shop%2Fapi%3F", "repo": "shop/api",
        });
        assert_eq!(body, wanted);
        lines.push(seen.line().to_owned());
    }
    // HMAC-SHA256 of "<ms>\nSIGN\"SECRET" under that secret, worked out by another program.
    assert_eq!(
        lines,
        [
            "POST /PATHSECRET?fixed=a%20b%26c&at=1800000000000&sign=zpVKhlbdq4ECtI9I1VdZByUT4gYuQYVT7oLvdPVqgv8%3D&tag=v1.2.3 HTTP/1.1",
            "POST /PATHSECRET?fixed=a%20b%26c&at=1800000007000&sign=z2lwlEht%2FhxLGe4bhS1Ypi%2BJTsF4zI9qRpLT3knT9a4%3D&tag=v1.2.3 HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn foreign_text_forges_no_header_no_parameter_and_no_formula() {
    let keys = "secrets:\n  sign: SIGNSECRET\nheaders:\n  X-Msg: 'said: {{entry.returnMsg}}'\n\
                query:\n  tag: '{{entry.tag}}'";
    let body = r#"{"m": "{{entry.returnMsg}}", "at": {{now_s}}}"#;
    let hook = Hook::new(keys, &[("own.json.hbs", body)]).await;
    let forged =
        "a\r\nX-Evil: 1\n\n{\"late\":{\"secret\":\"sign\"},\"how\":\"text\"} {{secrets.sign}}";
    let entry = entry(|row| {
        row.return_msg = Some(forged.into());
        row.tag = Some("v1&sign=x#y z".into());
    });
    let (outcome, seen) = hook.attempt_with(hook.render(&[entry]).remove(0), 1_800_000_000).await;
    assert_outcome(&outcome, Class::Delivered, &[], "foreign text");
    let seen = seen.unwrap();
    let said =
        "said: a  X-Evil: 1  {\"late\":{\"secret\":\"sign\"},\"how\":\"text\"} {{secrets.sign}}";
    assert_eq!(seen.header("x-msg"), Some(said.replace("a  X", "a X").as_str()));
    assert_eq!(seen.header("x-evil"), None);
    assert_eq!(seen.line(), "POST /PATHSECRET?tag=v1%26sign%3Dx%23y%20z HTTP/1.1");
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body["m"], forged.replace("\r\n", "\n"));
    assert!(!String::from_utf8_lossy(&seen.body).contains("SIGNSECRET"));
}

#[tokio::test]
async fn a_header_that_would_break_its_line_is_not_sent() {
    let keys = "secrets:\n  key: \"one\\ntwo\"\nheaders:\n  X-Key: '{{secrets.key}}'";
    let hook = Hook::new(keys, &[]).await;
    let (outcome, seen) = hook.attempt(1_800_000_000).await;
    assert_outcome(&outcome, ENDPOINT, &[], "a line break");
    assert!(outcome.detail.contains("`X-Key` would hold a line break"), "{}", outcome.detail);
    assert!(seen.is_none());
}

#[tokio::test]
async fn a_secret_that_the_receiver_lacks_is_said_and_nothing_is_sent() {
    let queued = Hook::new("secrets:\n  sign: a\n", &[("own.json.hbs", r#""{{secrets.sign}}""#)]);
    let part = queued.await.render(&[Arc::new(sample_entry(Sample::Failure))]).remove(0);
    let later = Hook::new("secrets:\n  sing: a\n", &[]).await;
    let (outcome, seen) = later.attempt_with(part, 1_800_000_000).await;
    assert_outcome(&outcome, ENDPOINT, &[], "no secret");
    assert!(outcome.detail.contains("there is no `secrets.sign`"), "{}", outcome.detail);
    assert!(seen.is_none());
}

#[tokio::test]
async fn a_secret_in_a_file_is_read_again_when_everything_is_refused() {
    let hook = Hook::new(PER_ATTEMPT, &[]).await;
    fs::write(hook.folder.path().join("key"), "FILESECRET-2").unwrap();
    let refused = hook.says(401, "no").await;
    assert_outcome(&refused, retry(), &[], "a new secret");
    let (_, seen) = hook.attempt(1_800_000_000).await;
    assert_eq!(seen.unwrap().header("x-key"), Some("Bearer FILESECRET-2"));
}

#[tokio::test]
async fn what_an_attempt_worked_out_is_masked_in_what_is_said_of_it() {
    let hook = Hook::new(PER_ATTEMPT, &[("own.json.hbs", BODY)]).await;
    let (_, seen) = hook.attempt(1_800_000_000).await;
    let echo = format!("bad request: {} {}", seen.as_ref().unwrap().line(), "SIGN\\\"SECRET");
    let said = hook.says(400, &echo).await.detail;
    for secret in ["PATHSECRET", "SIGN", "%3D", "FILESECRET"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn every_secret_signs_the_very_bytes_that_are_sent() {
    let keys = format!(
        "form: cloudevents\nsecrets:\n  key: KEY\nsigning_secret: [{SIGNING_SECRET}, {OTHER_SECRET}]"
    );
    let body = r#"{"at": {{now_ms}}, "key": "{{secrets.key}}"}"#;
    let hook = Hook::new(&keys, &[("own.json.hbs", body)]).await;
    let (_, seen) = hook.attempt(1_800_000_000).await;
    let seen = seen.unwrap();
    let header = |name| seen.header(name).unwrap();
    assert_eq!(header("webhook-signature").matches("v1,").count(), 2);
    for secret in [SIGNING_SECRET, OTHER_SECRET] {
        let key = SigningKey::parse(secret).unwrap();
        let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
        let signed = verify(&key, id, time, header("webhook-signature"), &seen.body, 1_800_000_000);
        assert_eq!(signed, Ok(()));
    }
    let event: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(event["data"], json!({"at": 1_800_000_000_000_i64, "key": "KEY"}));
}

#[tokio::test]
async fn signing_secrets_rotate_in_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, secret: &str| {
        let path = folder.path().join(name);
        fs::write(&path, secret).unwrap();
        path.display().to_string()
    };
    let (new, old) = (file("new", OTHER_SECRET), file("old", SIGNING_SECRET));
    let hook = Hook::new(&format!("signing_secret_file:\n  - {new}\n  - {old}"), &[]).await;
    let signed_by = async |secret: &str| {
        let (_, seen) = hook.attempt(1_800_000_000).await;
        let seen = seen.unwrap();
        let header = |name| seen.header(name).unwrap();
        let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
        let key = SigningKey::parse(secret).unwrap();
        let signature = header("webhook-signature");
        verify(&key, id, time, signature, &seen.body, 1_800_000_000).is_ok()
    };
    assert!(signed_by(OTHER_SECRET).await && signed_by(SIGNING_SECRET).await);
    // The old one is replaced by a newer; the refusal of everything has it read.
    let newest = "whsec_bmV3ZXN0LW9mLWFsbC1rZXlzLW9mLWFsbA==";
    fs::write(&old, newest).unwrap();
    assert_eq!(hook.says(401, "").await.class, retry());
    hook.fake.reply_with(answer(200, &[], ""));
    assert!(signed_by(newest).await && !signed_by(SIGNING_SECRET).await);
}

#[tokio::test]
async fn an_event_is_one_of_cloudevents() {
    let hook = Hook::new("form: cloudevents\nevent_source: /bell/shop", &[]).await;
    let (_, seen) = hook.attempt(1_800_000_000).await;
    let seen = seen.unwrap();
    let type_ = "application/cloudevents+json; charset=utf-8";
    assert_eq!(seen.header("content-type"), Some(type_));
    let mut event: Value = serde_json::from_slice(&seen.body).unwrap();
    let data = event.as_object_mut().unwrap().remove("data").unwrap();
    let wanted = json!({
        "specversion": "1.0", "id": seen.header("webhook-id"), "source": "/bell/shop",
        "type": "trigger.failing", "time": "2026-11-24T08:49:30Z",
        "datacontenttype": "application/json",
    });
    assert_eq!(event, wanted);
    // The default template's own envelope has given way.
    assert_eq!((&data["reason"], &data["entry"]["repo"]), (&json!("failing"), &json!("shop/api")));

    let hook = Hook::new("form: cloudevents", &[("own.hbs", "{{entry.repo}} failed")]).await;
    let (_, seen) = hook.attempt(1_800_000_000).await;
    let event: Value = serde_json::from_slice(&seen.unwrap().body).unwrap();
    assert_eq!(event["datacontenttype"], "text/plain");
    assert_eq!(
        (&event["data"], &event["source"]),
        (&json!("shop/api failed"), &json!("triggerbell"))
    );
}

#[tokio::test]
async fn answers_mean_what_the_configuration_says() {
    let keys = "\
success_when: {status: [2xx, 409], /errcode: 0}
throttle_when: {/errcode: 130101}
retry_when:
  - {/errcode: [-1, 5]}
  - {status: 400, /error/code: {min: 500, max: 599}}
  - body: {contains: [deploying, warming up]}
disable_when: {/errcode: {is: [310000, 300001]}, /fatal: {not: false}}
retry_after: [/wait, /limits/0/s, 2m]";
    let hook = Hook::new(keys, &[]).await;
    let throttle: &[Flag] = &[Flag::Throttle];
    let ambiguous: &[Flag] = &[Flag::Ambiguous];
    for (status, body, class, flags, detail) in [
        (200, r#"{"errcode":0}"#, Class::Delivered, &[][..], "took it"),
        (409, r#"{"errcode":"0"}"#, Class::Delivered, &[], "took it"),
        (200, r#"{"errcode":1}"#, MESSAGE, &[], "`/errcode` is 1, not 0"),
        (200, r#"{"errcode":310000,"fatal":true}"#, ENDPOINT, &[], "disable_when"),
        (200, r#"{"errcode":310000,"fatal":false}"#, MESSAGE, &[], "not 0"),
        (200, r#"{"errcode":310000}"#, MESSAGE, &[], "not 0"),
        (200, r#"{"errcode":-1}"#, retry_after(120), &[], "did not take it now"),
        (200, r#"{"errcode":5,"wait":0.2}"#, retry_after(1), &[], "did not take it now"),
        (200, r#"{"errcode":5,"limits":[{"s":"7"}]}"#, retry_after(7), &[], "not take it now"),
        (200, r#"{"errcode":5,"wait":"soon"}"#, retry_after(120), &[], "did not take it now"),
        (200, r#"{"errcode":130101,"wait":30}"#, retry_after(30), throttle, "takes no more"),
        (200, "<html>login</html>", retry(), ambiguous, "the answer is not JSON"),
        (200, "", retry(), ambiguous, "the answer is not JSON"),
        (200, r#"{"ok":true}"#, retry(), ambiguous, "`/errcode` is not there"),
        (200, "now deploying, come back", retry_after(120), &[], "did not take it now"),
        (400, r#"{"error":{"code":503}}"#, retry_after(120), &[], "did not take it now"),
        (400, r#"{"error":{"code":400}}"#, MESSAGE, &[], "refused"),
        (400, r#"{"errcode":0}"#, MESSAGE, &[], "refused"),
        (429, r#"{"wait":1.5}"#, retry_after(2), throttle, "refused"),
        (503, "", retry_after(120), &[], "refused"),
        (401, "", ENDPOINT, &[], "credentials"),
    ] {
        let outcome = hook.says(status, body).await;
        assert_outcome(&outcome, class, flags, body);
        assert!(outcome.detail.contains(detail), "{body}: {}", outcome.detail);
    }
    hook.fake.reply_with(answer(200, &[("retry-after", "9")], r#"{"errcode":130101}"#));
    let outcome = hook.attempt(1_800_000_000).await.0;
    assert_outcome(&outcome, retry_after(9), throttle, "the header comes first");
}

#[tokio::test]
async fn without_success_when_the_other_conditions_still_count() {
    let keys = "retry_when: {/again: true}\ndisable_when: {/gone: {exists: true}}";
    let hook = Hook::new(keys, &[]).await;
    assert_eq!(hook.says(200, "fine").await.class, Class::Delivered);
    assert_eq!(hook.says(200, "{}").await.class, Class::Delivered);
    assert_eq!(hook.says(200, r#"{"again":true}"#).await.class, retry());
    assert_eq!(hook.says(200, r#"{"gone":null}"#).await.class, ENDPOINT);
    assert_eq!(hook.says(500, r#"{"gone":1}"#).await.class, ENDPOINT);
}

#[tokio::test]
async fn a_mark_of_the_byte_order_before_json_keeps_nothing_from_being_read() {
    let hook = Hook::new("success_when: {/errcode: 0}\ncapture: {id: /id}", &[]).await;
    let taken = hook.says(200, "\u{feff}{\"errcode\":0,\"id\":\"m1\"}").await;
    assert_outcome(&taken, Class::Delivered, &[], "taken");
    assert_eq!(taken.captured, Some(json!({"id": "m1"})));
    assert_eq!(hook.says(200, "\u{feff}{\"errcode\":1}").await.class, MESSAGE);
}

#[tokio::test]
async fn a_number_beyond_a_double_hurts_nothing_but_itself() {
    let keys = "success_when: {/errcode: 0}\nretry_when: {/load: {min: 9}}\nretry_after: \
                /wait\ncapture: {id: /id, big: /big}";
    let hook = Hook::new(keys, &[]).await;
    let taken = hook
        .says(
            200,
            r#"{"big":1e999,"errcode":0,"list":[-1E+400,{"s":"1e999 \\\"1e999"}],"id":"m1"}"#,
        )
        .await;
    assert_outcome(&taken, Class::Delivered, &[], "taken");
    assert_eq!(taken.captured, Some(json!({"id": "m1", "big": "1e999"})));
    let marked = format!("\u{feff}{{\"errcode\":0,\"big\":{}}}", "9".repeat(400));
    assert_outcome(&hook.says(200, &marked).await, Class::Delivered, &[], "behind a mark");
    // Asked for, it is no number that anything can be compared with.
    let itself = hook.says(200, r#"{"errcode":1e999,"load":1e999}"#).await;
    assert_outcome(&itself, MESSAGE, &[], "itself");
    assert!(itself.detail.contains("`/errcode` is 1e999, not 0"), "{}", itself.detail);
    let later = hook.says(200, r#"{"errcode":1,"load":9,"wait":1e999}"#).await;
    assert_outcome(&later, retry(), &[], "a wait without end is none");
    // What is not JSON does not become it.
    for body in
        ["{1e999:0,\"errcode\":0}", "{\"errcode\":0,\"a\":01e999}", "{\"errcode\":0,\"a\":1e999"]
    {
        let outcome = hook.says(200, body).await;
        assert_outcome(&outcome, retry(), &[Flag::Ambiguous], body);
        assert!(outcome.detail.contains("is not JSON"), "{}", outcome.detail);
    }
}

#[tokio::test]
async fn an_answer_longer_than_is_read_is_not_believed() {
    let hook = Hook::new("success_when: {/ok: true}", &[]).await;
    let long = format!(r#"{{"ok":true,"x":"{}"}}"#, "x".repeat(70_000));
    assert_outcome(&hook.says(200, &long).await, retry(), &[Flag::Ambiguous], "cut");
}

#[tokio::test]
async fn values_of_an_answer_are_kept_and_secrets_never() {
    let keys = "secrets:\n  token: TOKEN-1234\ncapture:\n  id: /id\n  n: /data/0/n\n  echo: /echo\n  \
                number: /number\n  list: /data\n  none: /none";
    let hook = Hook::new(keys, &[]).await;
    let body =
        r#"{"id":"m\u00001","data":[{"n":7}],"echo":"TOKEN-1234 /PATHSECRET","number":1234}"#;
    let kept = hook.says(200, body).await.captured.unwrap();
    assert_eq!(kept, json!({"id": "m 1", "n": 7, "echo": "*** ***", "number": 1234}));
    assert_eq!(hook.says(200, "no json").await.captured, None);
    assert_eq!(hook.says(500, body).await.captured, None);
}

fn many(count: usize, message: &str) -> Vec<Arc<Entry>> {
    let one = |index| {
        entry(|row| {
            row.tag = Some(format!("v{index}").into());
            row.return_msg = Some(message.into());
        })
    };
    (0..count).map(one).collect()
}

const LIST: &str = r#"{"count": {{count}}, "more": {{more}}, "key": "{{secrets.key}}",
  "list": [{{#each entries}}{"tag": "{{tag}}", "said": "{{returnMsg}}"}{{#unless @last}},{{/unless}}{{/each}}]}"#;

async fn bodies(keys: &str, template: (&str, &str), entries: &[Arc<Entry>]) -> Vec<String> {
    let hook = Hook::new(&format!("secrets:\n  key: KEY\n{keys}"), &[template]).await;
    let mut bodies = Vec::new();
    for part in hook.render(entries) {
        let (_, seen) = hook.attempt_with(part, 1_800_000_000).await;
        bodies.push(String::from_utf8(seen.unwrap().body).unwrap());
    }
    bodies
}

#[tokio::test]
async fn a_body_is_cut_visibly_to_the_bytes_that_the_receiver_takes() {
    let list = ("own.json.hbs", LIST);
    let whole = bodies("max_bytes: 2000", list, &many(3, "短")).await;
    assert_eq!(whole.len(), 1);
    let cut = bodies("max_bytes: 2000", list, &many(3, &"汉字".repeat(2_000))).await;
    let [body] = &cut[..] else { panic!("{} messages", cut.len()) };
    assert!(body.len() <= 2_000, "{}", body.len());
    let json: Value = serde_json::from_str(body).unwrap();
    assert!(json["list"][0]["said"].as_str().unwrap().contains("more characters"), "{json}");
    assert_eq!(json["key"], "KEY");
    let fewer = bodies("max_bytes: 2000", list, &many(100, "no such cluster, as it seems")).await;
    let json: Value = serde_json::from_str(&fewer[0]).unwrap();
    let listed = json["list"].as_array().unwrap();
    assert!(fewer[0].len() <= 2_000 && listed.len() >= 12, "{json}");
    assert_eq!(json["count"], 100);
    assert_eq!(json["more"], 100 - listed.len());
    assert_eq!(listed.last().unwrap()["tag"], "v99", "the newest are kept");
}

#[tokio::test]
async fn a_body_is_split_where_that_is_asked_for() {
    let list = ("own.json.hbs", LIST);
    let keys = "max_bytes: 2000\ntoo_long: split";
    let parts = bodies(keys, list, &many(100, "no such cluster")).await;
    assert_eq!(parts.len(), 3, "as few as will do");
    let (mut tags, mut counted) = (Vec::new(), 0);
    for part in &parts {
        assert!(part.len() <= 2_000, "{}", part.len());
        let json: Value = serde_json::from_str(part).unwrap();
        let list = json["list"].as_array().unwrap();
        tags.extend(list.iter().map(|entry| entry["tag"].as_str().unwrap().to_owned()));
        counted += json["count"].as_u64().unwrap();
    }
    assert_eq!(counted, 100, "every entry is counted once");
    tags.dedup();
    assert_eq!(tags.len(), 100, "every entry is listed once: {tags:?}");

    let text = ("own.hbs", "{{#each entries}}{{tag}}: {{returnMsg}}\n{{/each}}");
    let parts = bodies(keys, text, &many(100, "no such cluster, as it seems")).await;
    assert!((2..=4).contains(&parts.len()) && parts.iter().all(|part| part.len() <= 2_000));
    assert!(parts[0].contains("v0: ") && parts[0].ends_with(&format!("(1/{})", parts.len())));
    assert!(parts.last().unwrap().contains("v99: "));
    let cut = bodies("max_bytes: 300", text, &many(100, "x")).await;
    assert!(cut.len() == 1 && cut[0].len() <= 300 && cut[0].contains("more"), "{cut:?}");
}

#[tokio::test]
async fn room_is_kept_for_the_envelope_and_for_what_is_filled_in() {
    let keys =
        "max_bytes: 1000\nform: cloudevents\nevent_source: https://bell.example.internal/a/b";
    let said = Mutex::new(Vec::new());
    for length in (0..800).step_by(50) {
        let parts = bodies(keys, ("own.json.hbs", LIST), &many(1, &"x".repeat(length))).await;
        assert!(parts[0].len() <= 1_000, "{length}: {}", parts[0].len());
        said.lock().unwrap().push(parts[0].len());
    }
    assert!(said.lock().unwrap().iter().any(|length| *length > 650), "{said:?}");
}

#[tokio::test]
async fn a_message_whose_template_failed_still_has_its_headers_and_query() {
    let keys =
        "secrets:\n  sign: SIGN\nheaders:\n  X-About: '{{entry.repo}}'\nquery:\n  at: '{{now_s}}'";
    let hook = Hook::new(keys, &[]).await;
    let entries = [Arc::new(sample_entry(Sample::Failure))];
    let labels = BTreeMap::new();
    let context = sample_context(&entries, &labels, Reason::Failing, now());
    let request = RenderRequest { template: None, receiver: "hook", context: &context };
    let part = hook.renderer.plain(&request, "it broke");
    let (_, seen) = hook.attempt_with(part, 1_800_000_000).await;
    let seen = seen.unwrap();
    assert_eq!(seen.header("x-about"), Some("shop/api"));
    assert_eq!(seen.line(), "POST /PATHSECRET?at=1800000000 HTTP/1.1");
    assert!(String::from_utf8_lossy(&seen.body).contains("it broke"));
}

#[tokio::test]
async fn the_message_for_a_template_that_failed_keeps_to_the_bytes_that_the_receiver_takes() {
    let labels = BTreeMap::from([("team".to_owned(), "shop".repeat(40))]);
    for (most, lists) in [(256, 0), (400, 0), (1_000, 0), (6_000, 1), (1_000_000, 100)] {
        let hook = Hook::new(&format!("max_bytes: {most}"), &[]).await;
        let entries = many(100, &"汉字".repeat(500));
        let context = sample_context(&entries, &labels, Reason::Failing, now());
        let request = RenderRequest { template: None, receiver: "hook", context: &context };
        let part = hook.renderer.plain(&request, &"\"it broke\" ".repeat(100));
        assert!(part.payload.body.len() <= most, "{most}: {}", part.payload.body.len());
        let data = serde_json::from_str::<Value>(&part.payload.body).unwrap()["data"].clone();
        assert_eq!(data["id"], context.id.to_string());
        assert!(data["problem"].as_str().unwrap().starts_with("\"it"), "{data}");
        let listed = data["entries"].as_array().map_or(0, Vec::len);
        assert_eq!(listed, lists, "{most}");
        assert!(listed == 0 || data["more"] == 100 - listed, "{data}");
        assert!(listed == 0 || data["entry"]["tag"] == "v99", "the newest is kept");
    }
}
