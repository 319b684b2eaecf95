//! The schema of `receivers`.
//!
//! Deliberately absent: which keys of a type go together.

use serde_json::{Value, json};

use super::{
    service::{CONFIG, http, secret},
    shape::{Key, key, map, named, one_type, some, text},
};
use crate::{
    adapters::{
        receivers::{AddressGuard, KINDS},
        templates::{LEAST_BYTES, WecomMessage},
    },
    domain::limit::webhook::BODY,
};

/// Receivers by name.
pub(super) fn receivers() -> Value {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let types = KINDS.iter().map(|kind| of_type(kind.name));
    named(&one_type(map(types.chain(common()).chain(http())), &names))
}

fn of_type(kind: &'static str) -> Key {
    let (about, keys) = match kind {
        "slack" => ("Slack, by an incoming webhook or a bot token", slack()),
        "wecom" => ("WeCom, by a group robot or an app", wecom()),
        _ => ("Any webhook", webhook()),
    };
    key(kind, about, map(keys.into_iter().chain([addresses()])))
}

fn common() -> Vec<Key> {
    vec![
        key("pace", "The most messages in any window", CONFIG.of("[0-9]+ */ *[0-9]*[smhdw]"))
            .example("20/1m"),
        key("template", "The template of rules that name none", text()).default("default"),
        key("fallback", "The receiver that takes over what a closed lane holds", text()),
        key("concurrency", "Sends side by side", CONFIG.whole(1, 256)),
        key("digest", "Whether waiting messages fold into one", CONFIG.word(["on", "off"])),
        key("digest_after", "How long pace may let them wait before they fold", CONFIG.duration())
            .default("1m"),
    ]
}

fn addresses() -> Key {
    let guard = AddressGuard::default();
    let inner = map([
        key("allow_private", "Private addresses", CONFIG.boolean()).default(guard.allow_private),
        key("allow_link_local", "Link-local ones, cloud metadata among them", CONFIG.boolean())
            .default(guard.allow_link_local),
    ]);
    key("addresses", "Which addresses may be dialled", inner)
}

fn slack() -> Vec<Key> {
    let url = secret("webhook_url", "webhook_url_file", "An incoming webhook's URL");
    let token = secret("token", "token_file", "An app's bot token, xoxb-…");
    let rest = [
        key("channel", "The channel's id, or its name in quotes", text()).example("C0123456789"),
        key("api_url", "Where the API is, for a proxy of your own", text()),
    ];
    url.into_iter().chain(token).chain(rest).collect()
}

fn wecom() -> Vec<Key> {
    let robot = secret("key", "key_file", "A group robot's key, or its whole address");
    let app = secret("secret", "secret_file", "The app's secret");
    let forms = CONFIG.word(WecomMessage::ALL.iter().map(|form| form.name()));
    let rest = [
        key("corpid", "The company's id", text()).example("ww0123456789abcdef"),
        key("agentid", "The app's number", CONFIG.whole(0, i32::MAX.unsigned_abs().into())),
        key("to_user", "For these members; @all is everybody", some(&text())),
        key("to_party", "For these departments", some(&text())),
        key("to_tag", "For these tags", some(&text())),
        key("base_url", "Where the API is, for private deployments", text()),
        key("form", "The form of its messages", forms).default(WecomMessage::Markdown.name()),
        key("mentioned_list", "Userids that are mentioned, or @all", some(&text())),
        key("mentioned_mobile_list", "Numbers that are mentioned, or @all", some(&text())),
        key("card_url", "Where a card leads", text()),
    ];
    robot.into_iter().chain(app).chain(rest).collect()
}

fn webhook() -> Vec<Key> {
    let url = secret("url", "url_file", "Where it is sent");
    let signing = "whsec_…, or a list while they rotate: Standard Webhooks";
    let pointers = some(&text());
    let rest = [
        key("method", "How it is sent", text()).default("POST"),
        key("headers", "Headers; NAME_file takes the value from a file", named(&text()))
            .example(json!({"X-Team": "shop"})),
        key("query", "Parameters of the URL, which may be templates", named(&text())),
        key("secrets", "Secrets that templates can name", named(&text())),
        key("signing_secret", signing, some(&text())),
        key("signing_secret_file", "The same, from files", some(&text())),
        key("statuses", "What statuses of HTTP mean", statuses()),
        key("success_when", "Answers that mean delivered", condition())
            .example(json!({"status": "2xx", "/errcode": 0})),
        key("throttle_when", "Answers that mean slow down", condition()),
        key("retry_when", "Answers that mean try again", condition()),
        key("disable_when", "Answers that mean that the receiver is closed", condition()),
        key("retry_after", "Where an answer says how long to wait", pointers)
            .example(json!(["/retry_after", "30s"])),
        key("capture", "What is kept of an answer", named(&text())).example(json!({"id": "/id"})),
        key("max_bytes", "The most bytes of a body", bytes()),
        key("too_long", "What becomes of more", CONFIG.word(["cut", "split"])).default("cut"),
        key("form", "The body: the template's, or a CloudEvent", forms()).default("template"),
        key("event_source", "The source of CloudEvents", text()).default("triggerbell"),
    ];
    url.into_iter().chain(rest).collect()
}

fn forms() -> Value {
    CONFIG.word(["template", "cloudevents"])
}

fn bytes() -> Value {
    CONFIG.whole(LEAST_BYTES as u64, BODY as u64)
}

fn statuses() -> Value {
    let set = some(&text());
    map([
        key("delivered", "They took it", set.clone()).default("2xx"),
        key("retry", "Try again", set.clone()).default(json!([408, 425, 429, "5xx"])),
        key("endpoint", "The receiver is not there any more", set),
    ])
}

/// A condition over an answer: a map of tests that hold together, or a list of such.
fn condition() -> Value {
    let operators = map([
        key("is", "Exactly this, or one of these", some(&text())),
        key("in", "One of these", some(&text())),
        key("not", "None of these", some(&text())),
        key("contains", "Contained text", some(&text())),
        key("min", "At least", text()),
        key("max", "At most", text()),
        key("exists", "Whether it is there at all", CONFIG.boolean()),
    ]);
    let null = json!({"type": "null"});
    let mut wanted = some(&text());
    if let Some(alternatives) = wanted["anyOf"].as_array_mut() {
        alternatives.extend([null, operators]);
    }
    let mut branch = map([
        key("status", "The status of HTTP: `404`, `5xx` or `500-599`, or several", some(&text())),
        key("body", "The whole body, as text", wanted.clone()),
    ]);
    wanted["description"] = "What a JSON pointer into the body finds".into();
    branch["minProperties"] = 1.into();
    branch["patternProperties"] = json!({"^/": wanted});
    some(&branch)
}
