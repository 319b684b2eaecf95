//! Values of the configuration that are more than a text: pace, zone, URL, address, path, secret.
//!
//! Deliberately absent: which keys take them.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::tz::TimeZone;
use reqwest::Url;

use crate::{
    adapters::secret::Secret,
    document::{Code, MapReader, Value, parse_duration},
    domain::pace::Pace,
};

/// Seconds as a duration.
pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Days as a duration.
pub(super) const fn days(days: u64) -> Duration {
    seconds(days * 24 * 3600)
}

/// Bounds for a duration that nothing bounds: what instants can be moved by.
pub(super) const ANY_DURATION: RangeInclusive<Duration> = seconds(1)..=days(36_500);

/// A pace: `20/1m` or `20/m`.
pub(super) fn pace(value: Value<'_>) -> Option<Pace> {
    let text = value.text_as("a pace like `20/1m`")?;
    let (count, per) = text.split_once('/').unwrap_or((text, ""));
    let per = per.trim();
    let per = if per.starts_with(|letter: char| letter.is_ascii_digit()) {
        parse_duration(per)
    } else {
        parse_duration(&format!("1{per}"))
    };
    let count =
        count.trim().parse::<u32>().ok().filter(|count| (1..=Pace::MAX_COUNT).contains(count));
    let per = per.ok().filter(|per| (seconds(1)..=days(1)).contains(per));
    let pace = count.zip(per).map(|(count, per)| Pace { count, per });
    if pace.is_none() {
        let message = format!("`{}` takes a pace like `20/1m`", value.key());
        let help = format!(
            "a number from 1 to {}, `/`, and a duration of at most a day: `20/1m`, `1/s`",
            Pace::MAX_COUNT
        );
        value.add(value.problem(Code::BadPace, message).help(help));
    }
    pace
}

/// A time zone of the IANA database.
pub(super) fn zone(value: Value<'_>) -> Option<TimeZone> {
    let text = value.text_as("a time zone like `Asia/Shanghai`")?;
    let zone = TimeZone::get(text).ok();
    if zone.is_none() {
        let message = format!("there is no time zone {}", value.found());
        let help = "use a name of the IANA database: `Asia/Shanghai`, `Europe/Berlin`, `UTC`";
        value.add(value.problem(Code::BadZone, message).help(help));
    }
    zone
}

/// An address to listen on.
pub(super) fn address(value: Value<'_>) -> Option<SocketAddr> {
    let text = value.text_as("an address like `127.0.0.1:8080`")?;
    let address = text.parse().ok();
    if address.is_none() {
        let help = if text.starts_with(':') {
            format!("write `0.0.0.0{text}` for all interfaces, `127.0.0.1{text}` for this machine")
        } else {
            "write an IP and a port: `127.0.0.1:8080`".to_owned()
        };
        let help = if value.is_expanded() { "write an IP and a port".to_owned() } else { help };
        let message = format!("`{}` takes an IP and a port", value.key());
        value.add(value.problem(Code::BadAddress, message).help(help));
    }
    address
}

/// A public http or https URL, without what would not survive a link: no query, no fragment.
pub(super) fn public_url(value: Value<'_>) -> Option<Url> {
    let text = value.text_as("a URL")?;
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if url.is_none() {
        let message = format!("`{}` takes a URL", value.key());
        value.add(
            value
                .problem(Code::BadUrl, message)
                .help("write `https://host` or `https://host/path`"),
        );
    }
    url
}

/// A path, relative to the folder of the file that holds it.
pub(super) fn path(value: Value<'_>, folder: &Path) -> Option<Shown> {
    let text = value.text_as("a path")?;
    let written = value.scalar().map_or(text, |scalar| scalar.shown());
    let shown = if value.is_expanded() { written.into() } else { folder.join(text) };
    Some(Shown { path: folder.join(text), shown })
}

/// A path, and how it may be shown: as written, where the environment had a part in it.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) path: PathBuf,
    pub(super) shown: PathBuf,
}

impl Shown {
    /// How a path within this one may be shown.
    pub(super) fn inside(&self, path: &Path) -> String {
        match path.strip_prefix(&self.path) {
            Ok(rest) if rest.as_os_str().is_empty() => self.shown.display().to_string(),
            Ok(rest) => self.shown.join(rest).display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }
}

/// A secret, in place or in a file: `key` or `key_file`. `None` where neither is written or what is
/// written can't be used, which is reported.
pub(super) fn secret(
    map: &mut MapReader<'_>,
    key: &'static str,
    file_key: &'static str,
    folder: &Path,
) -> Option<Secret> {
    let (inline, file) = (map.get(key), map.get(file_key));
    if map.exclusive(key, file_key) {
        return None;
    }
    if let Some(value) = inline {
        return value.text().map(Secret::inline);
    }
    let value = file?;
    let path = path(value, folder)?;
    secret_file(value, &path)
}

/// The secret that a file holds; what is wrong with the file is put at the value that names it.
pub(super) fn secret_file(value: Value<'_>, file: &Shown) -> Option<Secret> {
    Secret::file(&file.path)
        .map_err(|error| {
            let path = file.shown.display();
            let problem = if error.path.exists() {
                value.problem(Code::SecretFile, format!("`{path}` {}", error.problem))
            } else if value.text().is_some_and(is_pasted) {
                if !value.is_expanded() {
                    value.hide();
                }
                let message = "a secret stands where the path of its file belongs";
                let help = "write it into a file and the file's path here, or leave `_file` out";
                value.problem(Code::SecretFile, message).help(help)
            } else {
                let message = format!("`{path}` does not exist");
                let help = "relative paths are relative to the folder of the file that holds them";
                value.problem(Code::SecretFile, message).help(help)
            };
            value.add(problem);
        })
        .ok()
}

/// Whether what names no file looks like a secret rather than like a path, and so had better not be
/// shown.
fn is_pasted(text: &str) -> bool {
    text.contains("://") || (text.len() >= 16 && !text.contains(['/', '\\', '.']))
}

/// As [`secret`], of a key that can't be left out.
pub(super) fn require_secret(
    map: &mut MapReader<'_>,
    key: &'static str,
    file_key: &'static str,
    folder: &Path,
) -> Option<Secret> {
    let secret = secret(map, key, file_key, folder);
    if map.place_of(key).is_none() && map.place_of(file_key).is_none() {
        map.missing(key, Some(&format!("give `{key}`, or `{file_key}` with the path of a file")));
    }
    secret
}

/// Checks that a repository's whole name is written.
pub(super) fn repository<'a>(value: Value<'a>) -> Option<&'a str> {
    let text = value.text_as("a repository")?;
    let fault = if text.contains(['*', '?', '[', '{']) {
        Some(("is a glob", "name each repository: `shop/api`"))
    } else if text.contains(char::is_whitespace) {
        Some(("has white space in it", "write `namespace/name`"))
    } else if text.starts_with('/') || text.ends_with('/') || text.len() > 512 {
        Some(("is not a repository's name", "write `namespace/name`"))
    } else {
        None
    };
    let Some((what, help)) = fault else { return Some(text) };
    value.add(value.problem(Code::BadRepo, format!("{} {what}", value.found())).help(help));
    None
}
