//! Sources: the keys that all types share, and those of each type.
//!
//! Deliberately absent: reading a log.

use std::{ops::RangeInclusive, path::Path, sync::Arc, time::Duration};

use jiff::tz::TimeZone;

use super::{
    discover::{Discover, discover},
    enterprise::{has_key, namespaces_only, refuse_keys_of_reading, tcr_enterprise},
    network::http,
    receiver::one_type,
    rule::words,
    values::{days, repository, require_secret, seconds, secret, zone},
};
use crate::{
    adapters::{
        http::ClientSettings,
        source::{
            Account, CcrMethod, CcrSettings, Endpoint, FileInput, FileSettings, PushSettings,
            TcrEnterpriseSettings, TcrPersonalSettings, signature::SignatureMethod,
        },
    },
    document::{Code, Entry, MapReader, Value},
    domain::{
        quiet::{CatchUp, Then},
        rule::Sources,
    },
};

/// A source, checked.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: Arc<str>,
    /// A hash of all that is written of it.
    pub written: u64,
    /// What its type is configured with.
    pub settings: SourceSettings,
    /// The repositories to read, each once. Of a `file` source where nothing is said: empty, and all
    /// that the file holds are meant.
    pub repos: Vec<Arc<str>>,
    /// The repositories that are found out beside them, where any are.
    pub discover: Option<Discover>,
    /// The floor of the interval at which each repository is read.
    pub poll_every: Duration,
    /// The most requests a second, shared by its repositories.
    pub requests_per_second: f64,
    /// What becomes of the rows that are there at the first reading.
    pub first_run: FirstRun,
    /// How far back the log is walked again.
    pub overlap: Duration,
    /// The zone of the log's timestamps.
    pub zone: TimeZone,
    /// What becomes of messages about entries that are taken in late; `None` treats none as late.
    pub catch_up: Option<CatchUp>,
    /// How it is reached.
    pub http: ClientSettings,
}

/// What deciding is to know of a source. None of it is a secret or lies behind one, so it can be read
/// where the rest can't.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    /// Its name.
    pub(super) name: Arc<str>,
    /// How far back the log is walked again.
    pub(super) overlap: Duration,
    /// The zone of the log's timestamps.
    pub(super) zone: TimeZone,
    /// What becomes of messages about entries that are taken in late.
    pub(super) catch_up: Option<CatchUp>,
}

impl Source {
    /// Whether it is read, rather than pushed to.
    pub(super) const fn is_read(&self) -> bool {
        !matches!(self.settings, SourceSettings::Push(_))
    }

    /// What deciding is to know of it.
    pub(super) fn outline(&self) -> Outline {
        let Self { name, overlap, zone, catch_up, .. } = self.clone();
        Outline { name, overlap, zone, catch_up }
    }
}

/// What a source's type is configured with.
#[derive(Debug, Clone)]
pub enum SourceSettings {
    /// API 2.0.
    Ccr(CcrSettings),
    /// API 3.0.
    TcrPersonal(TcrPersonalSettings),
    /// The enterprise edition's log, over API 3.0.
    TcrEnterprise(TcrEnterpriseSettings),
    /// The enterprise edition's webhook, which calls us.
    Push(PushSettings),
    /// A file.
    File(FileSettings),
}

impl SourceSettings {
    /// The key that names the type.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ccr(_) => "ccr",
            Self::TcrPersonal(_) => "tcr_personal",
            Self::TcrEnterprise(_) | Self::Push(_) => "tcr_enterprise",
            Self::File(_) => "file",
        }
    }
}

/// What becomes of the rows that are there at the first reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstRun {
    /// They are known and nothing more.
    Skip,
    /// They are taken in as if they were new.
    All,
    /// Those not older than this are.
    Since(Duration),
}

/// The types, in the order in which people are told of them.
pub(super) const KINDS: [&str; 4] = ["ccr", "tcr_personal", "tcr_enterprise", "file"];

/// The most repositories that one source takes.
const MAX_REPOS: usize = 100_000;

const INTERVALS: RangeInclusive<Duration> = seconds(1)..=days(1);
const WINDOWS: RangeInclusive<Duration> = seconds(0)..=days(31);

/// Reads one entry of `sources`.
pub(super) fn source(
    entry: &Entry,
    value: Value<'_>,
    folder: &Path,
    default_zone: &TimeZone,
) -> Option<Source> {
    let mut map = value.map()?;
    let kind = one_type(&mut map, &KINDS, "source");
    let written = kind.and_then(|kind| Some((kind, map.get(kind)?)));
    let settings = written.and_then(|(kind, value)| settings(kind, value, folder));
    let is_file = kind == Some("file");
    let is_pushed = matches!(settings, Some(SourceSettings::Push(_)))
        || written.is_some_and(|(_, value)| has_key(value, "push"));
    if is_pushed {
        refuse_keys_of_reading(&mut map);
    }
    let listed = map.get("repos");
    let repos = listed.and_then(repositories);
    if kind == Some("tcr_enterprise") {
        listed.into_iter().for_each(namespaces_only);
    } else if kind.is_some() {
        listed.into_iter().for_each(whole_names_only);
    }
    let discover = map.get("discover").and_then(|value| discover(value, kind));
    if repos.is_none()
        && kind.is_some()
        && !is_file
        && !map.has("repos")
        && !map.has("discover")
        && !is_pushed
    {
        let help = match kind {
            Some("tcr_enterprise") => {
                "list namespaces to read, `repos: [shop]`, or have them found, `discover: {}`"
            }
            _ => {
                "list what to read, `repos: [shop/api, shop/web]`, or have it found, `discover: {}`"
            }
        };
        map.missing("repos", Some(help));
    }
    let mut duration =
        |key, bounds| map.get(key).and_then(|value: Value<'_>| value.duration(bounds));
    let poll_every = duration("poll_every", INTERVALS);
    let requests = map.get("requests_per_second").and_then(|value| value.number(0.01..=1000.0));
    let first_run = map.get("first_run").and_then(first_run);
    let Outline { name, overlap, zone, catch_up } = outlined(entry, &mut map, default_zone);
    let http = http(&mut map, folder);
    map.finish("keys of a source");
    Some(Source {
        name,
        written: super::written(value.node()),
        settings: settings?,
        repos: repos.unwrap_or_default(),
        discover,
        poll_every: poll_every.unwrap_or(seconds(10)),
        requests_per_second: requests.unwrap_or(10.0),
        first_run: first_run.unwrap_or(if is_file { FirstRun::All } else { FirstRun::Skip }),
        overlap,
        zone,
        catch_up,
        http,
    })
}

/// Reads what deciding is to know of an entry of `sources`, whatever else is wrong with it.
pub(super) fn outline(entry: &Entry, value: Value<'_>, default_zone: &TimeZone) -> Option<Outline> {
    Some(outlined(entry, &mut value.map()?, default_zone))
}

fn outlined(entry: &Entry, map: &mut MapReader<'_>, default_zone: &TimeZone) -> Outline {
    let overlap = map.get("overlap").and_then(|value| value.duration(WINDOWS));
    let zone = map.get("time_zone").and_then(zone);
    Outline {
        name: Arc::clone(&entry.key.text),
        overlap: overlap.unwrap_or(seconds(600)),
        zone: zone.unwrap_or_else(|| default_zone.clone()),
        catch_up: map.get("catch_up").and_then(catch_up),
    }
}

/// Every other log is read by repository, and none is named by a single word.
fn whole_names_only(value: Value<'_>) {
    for item in value.list_or_one().unwrap_or_default() {
        let text = item.scalar().map(|scalar| &*scalar.text).unwrap_or_default();
        let is_word = |letter: char| letter.is_alphanumeric() || "._-".contains(letter);
        if !text.is_empty() && text.chars().all(is_word) {
            let problem = item.problem(Code::BadRepo, format!("{} has no namespace", item.found()));
            item.add(problem.help("write `namespace/name`"));
        }
    }
}

fn repositories(value: Value<'_>) -> Option<Vec<Arc<str>>> {
    let items = value.some()?;
    if items.len() > MAX_REPOS {
        let message = format!("a source reads at most {MAX_REPOS} repositories");
        value.add(value.problem(Code::TooLarge, message).help("make several sources of it"));
    }
    let mut known = std::collections::HashSet::new();
    let mut repos = Vec::new();
    for item in items.into_iter().take(MAX_REPOS) {
        let Some(name) = repository(item) else { continue };
        if known.insert(name) {
            repos.push(name.into());
        } else {
            let message = format!("{} is listed twice", item.found());
            item.add(item.problem(Code::NamedTwice, message).help("list it once"));
        }
    }
    Some(repos)
}

/// `skip`, `all` or `{since: 2h}`.
fn first_run(value: Value<'_>) -> Option<FirstRun> {
    if !value.is_map() {
        return match value.text_as("`skip`, `all` or `{since: 2h}`")? {
            "skip" => Some(FirstRun::Skip),
            "all" => Some(FirstRun::All),
            _ => {
                let message = format!("`first_run` can't be {}", value.found());
                let known = ["skip", "all", "{since: 2h}"];
                value.add(value.problem(Code::UnknownWord, message).known("values", known));
                None
            }
        };
    }
    let mut map = value.map()?;
    let since = map.require("since").and_then(|value| value.duration(seconds(1)..=days(3660)));
    map.finish("keys of first_run");
    since.map(FirstRun::Since)
}

fn catch_up(value: Value<'_>) -> Option<CatchUp> {
    let mut map = value.map()?;
    let older_than = map.require("older_than");
    let older_than = older_than.and_then(|value| value.duration(seconds(60)..=days(366)));
    let then = map.get("then").map(|value| value.one_of(&words(Then::ALL, Then::name)));
    map.finish("keys of catch_up");
    Some(CatchUp { older_than: older_than?, then: then.unwrap_or(Some(Then::Send))? })
}

/// What deciding is to know of the sources.
pub(super) fn for_deciding(sources: &[Outline]) -> Sources {
    let late = sources.iter().filter_map(|source| Some((source.name.clone(), source.catch_up?)));
    let overlap = sources.iter().map(|source| source.overlap).max();
    let overlap = overlap.unwrap_or_default();
    Sources { catch_up: late.collect(), overlap, ..Sources::default() }
}

fn settings(kind: &str, value: Value<'_>, folder: &Path) -> Option<SourceSettings> {
    if kind != "file" && !value.is_map() {
        value.hide();
    }
    match kind {
        "ccr" => ccr(value, folder).map(SourceSettings::Ccr),
        "tcr_personal" => tcr_personal(value, folder).map(SourceSettings::TcrPersonal),
        "tcr_enterprise" => tcr_enterprise(value, folder),
        "file" => file(value, folder).map(SourceSettings::File),
        _ => None,
    }
}

fn ccr(value: Value<'_>, folder: &Path) -> Option<CcrSettings> {
    let mut map = value.map()?.private();
    let endpoint = endpoint(&mut map, CcrSettings::ENDPOINT);
    let region = map.get("region").and_then(|value| value.text());
    let id = require_secret(&mut map, "secret_id", "secret_id_file", folder);
    let key = require_secret(&mut map, "secret_key", "secret_key_file", folder);
    let token = secret(&mut map, "token", "token_file", folder);
    let signature = map.get("signature_method").and_then(|value| {
        let methods = [SignatureMethod::HmacSha256, SignatureMethod::HmacSha1];
        value.one_of(&methods.map(|method| (method.name(), method)))
    });
    let method = map.get("method").and_then(|value| {
        value.one_of(&[CcrMethod::Post, CcrMethod::Get].map(|method| (method.name(), method)))
    });
    map.finish("keys of ccr");
    let mut settings = CcrSettings::new(endpoint?, id?, key?);
    settings.region = region.map(str::to_owned);
    settings.token = token;
    settings.signature_method = signature.unwrap_or(settings.signature_method);
    settings.method = method.unwrap_or(settings.method);
    Some(settings)
}

fn tcr_personal(value: Value<'_>, folder: &Path) -> Option<TcrPersonalSettings> {
    let mut map = value.map()?.private();
    let account = account(&mut map, folder);
    map.finish("keys of tcr_personal");
    account
}

/// Who asks API 3.0, and where.
pub(super) fn account(map: &mut MapReader<'_>, folder: &Path) -> Option<Account> {
    let endpoint = endpoint(map, Account::ENDPOINT);
    let region = map.require("region").and_then(|value| value.text());
    let secret_id = require_secret(map, "secret_id", "secret_id_file", folder);
    let secret_key = require_secret(map, "secret_key", "secret_key_file", folder);
    let token = secret(map, "token", "token_file", folder);
    Some(Account {
        endpoint: endpoint?,
        region: region?.to_owned(),
        secret_id: secret_id?,
        secret_key: secret_key?,
        token,
    })
}

fn file(value: Value<'_>, folder: &Path) -> Option<FileSettings> {
    // `file: rows.jsonl` says all there is to say; the map leaves room.
    let path = if value.is_map() {
        let mut map = value.map()?;
        let path = map.require("path").and_then(|value| value.text_as("a path"));
        map.finish("keys of file");
        path?
    } else {
        value.text_as("a path, or `-` for standard input")?
    };
    let input = match FileInput::of(path) {
        FileInput::Path(path) => FileInput::Path(folder.join(path)),
        FileInput::Stdin => FileInput::Stdin,
    };
    Some(FileSettings { input })
}

fn endpoint(map: &mut MapReader<'_>, default: &str) -> Option<Endpoint> {
    let Some(value) = map.get("endpoint") else { return default.parse().ok() };
    let endpoint = value.text_as("a URL")?.parse::<Endpoint>();
    let endpoint = endpoint.map_err(|error| {
        let message = "`endpoint` can't be used";
        value.add(value.problem(Code::BadUrl, message).help(error.to_string()));
    });
    let endpoint = endpoint.ok()?;
    if endpoint.is_plain() {
        let message =
            "`endpoint` is plain http, so signed requests can be read and kept on the way";
        value.add(value.problem(Code::PlainHttp, message).help("use https://"));
    }
    Some(endpoint)
}
