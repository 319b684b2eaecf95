//! Receivers: the keys that all types share, and those of each type.
//!
//! What a type's values mean is for the adapter's settings to say; here its keys are read, and what
//! the adapter refuses is put where it is written. Deliberately absent: sending.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::{
    chat,
    names::Names,
    network::http,
    values::{pace, seconds},
    webhook::{self, webhook},
};
use crate::{
    adapters::{
        receivers::{self, AddressGuard, HttpSettings, Kind, SettingError, Settings},
        templates::{WebhookForm, WecomForm},
    },
    document::{Code, Entry, MapReader, Place, Problem, Value, nearest},
    domain::pace::Pace,
};

/// A receiver, checked.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its name.
    pub name: Arc<str>,
    /// A hash of all that is written of it.
    pub written: u64,
    /// What its type is configured with.
    pub settings: Arc<dyn Settings>,
    /// How fast it may be sent to.
    pub pace: Option<Pace>,
    /// How long pace may let a message wait before what waits folds into a digest; `None` for never.
    pub digest_after: Option<Duration>,
    /// The template, where one is named.
    pub template: Option<Arc<str>>,
    /// The receiver that takes over what this one's closed lane holds.
    pub fallback: Option<Arc<str>>,
    /// Sends that run side by side, at least 1.
    pub concurrency: usize,
    /// What a webhook asks for of its messages' form; nothing for other types.
    pub form: Option<Arc<WebhookForm>>,
    /// What a WeCom receiver asks for of its messages' form; nothing for other types.
    pub wecom: Option<Arc<WecomForm>>,
    /// How it is reached: limits in time, authorities, proxy, addresses.
    pub http: HttpSettings,
}

impl Receiver {
    /// Its type.
    pub fn kind(&self) -> &'static str {
        self.settings.kind().name
    }
}

/// Sends side by side where the configuration says nothing: chats hold back what comes faster than
/// their pace, webhooks are as fast as their answers.
const CHAT_CONCURRENCY: usize = 4;
const WEBHOOK_CONCURRENCY: usize = 16;

/// How long pace may let messages wait where the configuration says nothing.
const DIGEST_AFTER: Duration = seconds(60);

/// A receiver as far as it could be read: its name is known to rules even if the rest is wrong.
pub(super) struct ReadReceiver<'a> {
    pub(super) name: Arc<str>,
    pub(super) kind: Option<&'static str>,
    pub(super) receiver: Option<Receiver>,
    /// The value of `template`, for the check that it exists.
    pub(super) template: Option<Value<'a>>,
    /// The value of `fallback`, to be read once all names are known.
    pub(super) fallback: Option<Value<'a>>,
}

/// Warns of what says how messages fold where none does.
fn warn_of_idle_digest(
    digest: Option<Value<'_>>,
    after: Option<Value<'_>>,
    folds: bool,
    paced: bool,
) {
    let idle = |value: Value<'_>, key: &str, help: &str| {
        let message = format!("`{key}` has no effect here");
        value.add(value.problem(Code::NoEffect, message).help(help));
    };
    match (digest, after) {
        (Some(digest), _) if folds && !paced => idle(
            digest,
            "digest",
            "what has no pace never waits for one, so nothing folds: add `pace: 20/1m`",
        ),
        (_, Some(after)) if !folds => {
            idle(after, "digest_after", "nothing folds here: add `digest: on`");
        }
        _ => {}
    }
}

/// Reads one entry of `receivers`.
pub(super) fn receiver<'a>(entry: &Entry, value: Value<'a>, folder: &Path) -> ReadReceiver<'a> {
    let name: Arc<str> = Arc::clone(&entry.key.text);
    let Some(mut map) = value.map() else {
        return ReadReceiver { name, kind: None, receiver: None, template: None, fallback: None };
    };
    let kinds: Vec<&'static str> = receivers::KINDS.iter().map(|kind| kind.name).collect();
    let kind = one_type(&mut map, &kinds, "receiver").and_then(receivers::kind);
    let written = kind.and_then(|kind| Some((kind, map.get(kind.name)?)));
    let settings = written.and_then(|(kind, value)| settings(kind, value, folder));
    let pace_written = map.get("pace").map(pace);
    let template = map.get("template");
    let template_name = template.and_then(|value| value.name());
    let concurrency = map.get("concurrency").and_then(|value| value.number(1..=256));
    let http = http(&mut map, folder);
    let fallback = map.get("fallback");
    let digest_written = map.get("digest");
    let digest = digest_written.and_then(|value| value.one_of(&[("on", true), ("off", false)]));
    let after_written = map.get("digest_after");
    let digest_after = after_written.and_then(|value| value.duration(seconds(10)..=seconds(3600)));
    if let Some(kind) = kind {
        let folds = digest.unwrap_or(kind.digest);
        let paced = pace_written.is_some() || kind.default_pace.is_some();
        warn_of_idle_digest(digest_written, after_written, folds, paced);
    }
    map.finish("keys of a receiver");
    let receiver =
        settings.zip(kind).map(|((settings, Forms { form, wecom }, guard), kind)| Receiver {
            name: Arc::clone(&name),
            written: super::written(value.node()),
            settings,
            pace: pace_written.flatten().or(kind.default_pace),
            digest_after: digest
                .unwrap_or(kind.digest)
                .then(|| digest_after.unwrap_or(DIGEST_AFTER)),
            template: template_name.map(Into::into),
            fallback: None,
            concurrency: concurrency.unwrap_or(match kind.default_pace {
                Some(_) => CHAT_CONCURRENCY,
                None => WEBHOOK_CONCURRENCY,
            }),
            form,
            wecom,
            http: HttpSettings { client: http, guard },
        });
    ReadReceiver { name, kind: kind.map(|kind| kind.name), receiver, template, fallback }
}

/// Reads who takes over from whom, once all receivers are known by name. Each circle is reported once,
/// where its first receiver names the next.
pub(super) fn fallbacks(
    written: &[(Arc<str>, Value<'_>)],
    names: &Names,
    receivers: &mut [Receiver],
) {
    let read =
        |(name, value): &(Arc<str>, Value<'_>)| Some((name.clone(), names.receiver(*value)?));
    let to: BTreeMap<Arc<str>, Arc<str>> = written.iter().filter_map(read).collect();
    let mut told = BTreeSet::new();
    for (name, value) in written {
        let path: Vec<_> = std::iter::successors(to.get(name), |at| to.get(&***at))
            .take(to.len())
            .take_while(|at| *at != name)
            .collect();
        let circle = path.last().map_or(to.get(name), |last| to.get(&***last)) == Some(name);
        if !circle || told.contains(name) {
            continue;
        }
        told.extend(path.iter().map(|at| Arc::clone(at)));
        let message = if path.is_empty() {
            format!("`{name}` is its own fallback")
        } else {
            let path: String = path.iter().map(|at| format!("`{at}` → ")).collect();
            format!("the fallback of `{name}` leads back to it: `{name}` → {path}`{name}`")
        };
        let help = "name a receiver that does not lead back, or leave it out";
        value.add(value.problem(Code::FallbackCircle, message).help(help));
    }
    for receiver in receivers {
        receiver.fallback = to.get(&receiver.name).cloned();
    }
}

/// The one key of a map that names a type; what else is there is reported.
pub(super) fn one_type(
    map: &mut MapReader<'_>,
    kinds: &[&'static str],
    what: &str,
) -> Option<&'static str> {
    let written: Vec<&'static str> = kinds.iter().copied().filter(|kind| map.has(kind)).collect();
    let value = map.value();
    match written[..] {
        [kind] => Some(kind),
        [] => {
            if value.is_complete() {
                no_type(map, kinds, what);
            }
            None
        }
        [first, second, ..] => {
            for kind in &written {
                map.get(kind);
            }
            let place = |kind: &str| map.place_of(kind).map_or(value.node().span, |(span, _)| span);
            let message = format!("{what} `{}` has more than one type", value.key());
            let first_place = Place { file: Arc::clone(value.file()), span: place(first) };
            value.add(
                Problem::new(Code::OneTypeOnly, message)
                    .at(value.file(), place(second))
                    .related(first_place, format!("`{first}` is given here"))
                    .help("keep one, and give the other its own name"),
            );
            None
        }
    }
}

/// Says that no key names a type, and that a key which nearly does is meant for one.
fn no_type(map: &mut MapReader<'_>, kinds: &[&'static str], what: &str) {
    let value = map.value();
    let entries = value.entries().unwrap_or_default();
    let near = entries.iter().find_map(|(entry, _)| {
        nearest(&entry.key.text, kinds.iter().copied()).map(|near| (entry, near))
    });
    let message = format!("{what} `{}` has no type", value.key());
    let problem = match near {
        Some((entry, near)) => {
            map.pass_over(&entry.key.text);
            Problem::new(Code::OneTypeOnly, message)
                .at(value.file(), entry.key.span)
                .help(format!("did you mean `{near}`?"))
        }
        None => value.problem(Code::OneTypeOnly, message).help(format!(
            "write one of them as a key, with its settings under it: `{}:`",
            kinds[0]
        )),
    };
    value.add(problem.known("types", kinds.iter().copied()));
}

/// What a receiver asks for of its messages' form, by its type.
#[derive(Default)]
struct Forms {
    form: Option<Arc<WebhookForm>>,
    wecom: Option<Arc<WecomForm>>,
}

type Read = Option<(Arc<dyn Settings>, Forms, AddressGuard)>;

fn settings(kind: &Kind, value: Value<'_>, folder: &Path) -> Read {
    if !value.is_map() {
        value.hide();
    }
    let mut map = value.map()?.private();
    let read = match kind.name {
        "slack" => chat::slack(&mut map, folder).map(|settings| (settings, Forms::default())),
        "wecom" => chat::wecom(&mut map, folder)
            .map(|(settings, form)| (settings, Forms { wecom: Some(form), ..Forms::default() })),
        _ => webhook(&mut map, folder)
            .map(webhook::shared)
            .map(|(settings, form)| (settings, Forms { form, ..Forms::default() })),
    };
    let guard = guard(&mut map);
    if let Some((settings, _)) = &read
        && settings.sends_in_clear()
    {
        let keys =
            ["url", "url_file", "webhook_url", "webhook_url_file", "api_url", "base_url", "key"];
        let place = keys.iter().find_map(|key| map.place_of(key)).map(|(_, value)| value.place());
        let place = place.unwrap_or_else(|| value.place());
        let message =
            format!("`{}` is reached over plain http, which can be read on the way", kind.name);
        let problem = Problem::new(Code::PlainHttp, message).at(&place.file, place.span);
        value.add(problem.help("use https://; for an authority of your own there is `ca_file`"));
    }
    map.finish(&format!("keys of {}", kind.name));
    let (settings, form) = read?;
    Some((settings, form, guard))
}

fn guard(map: &mut MapReader<'_>) -> AddressGuard {
    let defaults = AddressGuard::default();
    let Some(mut inner) = map.get("addresses").and_then(|value| value.map()) else {
        return defaults;
    };
    let mut flag = |key| inner.get(key).and_then(|value| value.boolean());
    let guard = AddressGuard {
        allow_link_local: flag("allow_link_local").unwrap_or(defaults.allow_link_local),
        allow_private: flag("allow_private").unwrap_or(defaults.allow_private),
    };
    inner.finish("keys of addresses");
    guard
}

/// Puts what an adapter refuses where it is written: the key, its `_file` form, or what it lies in.
pub(super) fn refused(map: &MapReader<'_>, error: SettingError) {
    let value = map.value();
    let (first, rest) = error.key.split_once('.').unwrap_or((&error.key, ""));
    let file_key = format!("{first}_file");
    let found = map.place_of(first).or_else(|| map.place_of(&file_key)).map(|(_, value)| value);
    let inner = found.and_then(|found| {
        let entries = if found.is_map() { found.entries()? } else { return None };
        entries.into_iter().find(|(entry, _)| *entry.key.text == *rest)
    });
    let place = match (inner, found) {
        (Some((entry, _)), _) => Place { file: Arc::clone(value.file()), span: entry.key.span },
        (None, Some(found)) => found.place(),
        (None, None) => value.place(),
    };
    // What the environment holds is not repeated, whoever repeats it.
    let expanded = found.filter(Value::is_expanded).and_then(|value| value.scalar());
    let repeats = expanded.is_some_and(|scalar| error.message.contains(&*scalar.text));
    let what = if repeats { "can't be what the environment says" } else { &error.message };
    let message = format!("`{}` {what}", error.key);
    let problem = Problem::new(Code::BadSetting, message).at(&place.file, place.span);
    value.add(problem.maybe_help(error.help));
}

/// The longest that one send takes, whatever its own limits say: for the lane.
pub fn send_timeout(http: &HttpSettings) -> Duration {
    http.client.timeout + seconds(5)
}
