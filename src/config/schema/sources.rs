//! The schema of `sources`.
//!
//! Deliberately absent: which keys fit which type, beyond those under the type itself.

use serde_json::{Value, json};

use super::{
    service::{CONFIG, http, secret},
    shape::{Key, key, map, named, one_type, some, text, words},
};
use crate::{
    adapters::source::{Account, CcrMethod, CcrSettings, signature::SignatureMethod},
    config::source::KINDS,
    domain::quiet::Then,
};

/// Sources by name.
pub(super) fn sources() -> Value {
    let types = KINDS.iter().map(|&kind| of_type(kind));
    named(&one_type(map(types.chain(common()).chain(http())), &KINDS))
}

fn of_type(kind: &'static str) -> Key {
    match kind {
        "ccr" => key(kind, "API 2.0, ListTriggerLog", ccr()),
        "tcr_personal" => key(kind, "API 3.0, the personal edition", map(account())),
        "tcr_enterprise" => {
            key(kind, "The enterprise edition: its log, or its webhook", enterprise())
        }
        _ => {
            let path = key("path", "The file, or - for standard input", text()).needed();
            let shape = json!({"anyOf": [text(), map([path])]});
            key(kind, "A recorded answer, or JSON lines", shape).example("rows.jsonl")
        }
    }
}

fn common() -> Vec<Key> {
    let whole_or_fraction = json!({
        "type": ["number", "string"], "minimum": 0.01, "maximum": 1000,
    });
    vec![
        key("repos", "Whole names of repositories; of tcr_enterprise: namespaces", some(&text()))
            .example(json!(["shop/api", "shop/web"])),
        key("discover", "Repositories that are found out", discover())
            .example(json!({"include": ["shop/*"], "exclude": ["shop/tmp-*"], "every": "10m"})),
        key("poll_every", "How often each repository is read, at most", CONFIG.duration())
            .default("10s"),
        key("requests_per_second", "Shared by the source's repositories", whole_or_fraction)
            .default(10),
        key("first_run", "What becomes of the rows that are there at first", first_run())
            .default("skip"),
        key("overlap", "How late a row may appear and still be seen", CONFIG.duration())
            .default("10m"),
        key("time_zone", "The zone of this log's timestamps", text()),
        key("catch_up", "What becomes of late news", catch_up())
            .example(json!({"older_than": "6h", "then": "digest"})),
    ]
}

/// Whoever asks a registry.
fn keys_of_an_account() -> impl Iterator<Item = Key> {
    let id = secret("secret_id", "secret_id_file", "The id of an API key that may read");
    let key = secret("secret_key", "secret_key_file", "The API key itself");
    let token = secret("token", "token_file", "The token of temporary keys");
    id.into_iter().chain(key).chain(token)
}

fn ccr() -> Value {
    let methods = [CcrMethod::Post, CcrMethod::Get].map(CcrMethod::name);
    let signatures = [SignatureMethod::HmacSha256, SignatureMethod::HmacSha1];
    let keys = [
        key("endpoint", "Where the API is", text()).default(CcrSettings::ENDPOINT),
        key("region", "Sent as Region", text()).example("ap-guangzhou"),
        key("signature_method", "How requests are signed", words(signatures.map(|it| it.name())))
            .default(SignatureMethod::HmacSha256.name()),
        key("method", "How they are sent", words(methods)).default(CcrMethod::Post.name()),
    ];
    map(keys.into_iter().chain(keys_of_an_account()))
}

fn account() -> Vec<Key> {
    let keys = [
        key("endpoint", "Where the API is", text()).default(Account::ENDPOINT),
        key("region", "The registry's region", text()).example("ap-guangzhou"),
    ];
    keys.into_iter().chain(keys_of_an_account()).collect()
}

fn enterprise() -> Value {
    let header = key("header", "The header that the registry sends", text()).needed();
    let push = secret("secret", "secret_file", "That header's whole value");
    let push = map([header].into_iter().chain(push));
    let keys = [
        key("registry_id", "The registry's id", text()).example("tcr-1a2b3c4d"),
        key("push", "The registry calls us, and nothing is read", push),
    ];
    map(keys.into_iter().chain(account()))
}

fn discover() -> Value {
    map([
        key("include", "Globs of what is read", some(&text())).default("**"),
        key("exclude", "Globs of what is not", some(&text())),
        key("every", "How often the registry is asked", CONFIG.duration()).default("10m"),
    ])
}

fn first_run() -> Value {
    let since = key("since", "Those of the last so long", CONFIG.duration()).needed().example("2h");
    json!({"anyOf": [CONFIG.word(["skip", "all"]), map([since])]})
}

fn catch_up() -> Value {
    map([
        key("older_than", "An entry older than this when taken in is late", CONFIG.duration())
            .needed()
            .example("6h"),
        key("then", "What becomes of it", CONFIG.word(Then::ALL.iter().map(|it| it.name())))
            .default(Then::Send.name()),
    ])
}
