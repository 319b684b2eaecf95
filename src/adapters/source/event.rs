//! What happened in an enterprise registry, as its webhooks tell it and as its log keeps it.
//!
//! One JSON for both (`trigger-log-api`, 2 and 3): `type`, `occur_at`, and `event_data` with the
//! repository and what was pushed. Deliberately absent: where it came from.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::{listing, one_line, wall_time};
use crate::domain::entry::Row;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// `pushImage` and the like.
    pub(super) kind: Box<str>,
    /// When it happened, where it says so.
    pub(super) at: Option<Timestamp>,
    /// `namespace/name`.
    pub(super) repo: Box<str>,
    /// What was pushed, as a rule one image.
    pub(super) resources: Vec<Resource>,
}

/// Something that was pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) digest: Option<Box<str>>,
    pub(super) tag: Option<Box<str>>,
}

impl Event {
    /// Reads an event; otherwise says what is wrong with it, with the field named.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let event = object(value, "the event")?;
        let data = object(event.get("event_data").unwrap_or(&Value::Null), "event_data")?;
        let repository = data.get("repository").unwrap_or(&Value::Null);
        let repository = object(repository, "event_data.repository")?;
        Ok(Self {
            kind: text(event, "type")?.ok_or("type is missing")?,
            at: match event.get("occur_at") {
                None | Some(Value::Null) => None,
                Some(at) => Some(instant(at).ok_or("occur_at is no time in Unix seconds")?),
            },
            repo: full_name(repository)?,
            resources: resources(data)?,
        })
    }

    /// A row of the event for one of its resources, without a result.
    pub(super) fn row(&self, resource: &Resource, at: Timestamp, zone: &TimeZone) -> Row {
        Row {
            repo: Some(self.repo.clone()),
            tag: resource.tag.clone(),
            invoke_source: Some(self.kind.clone()),
            mark: resource.digest.clone(),
            ..Row::at(wall_time(zone, at), at)
        }
    }
}

fn object<'v>(value: &'v Value, name: &str) -> Result<&'v Map<String, Value>, String> {
    match value {
        Value::Object(object) => Ok(object),
        Value::Null => Err(format!("{name} is missing")),
        _ => Err(format!("{name} is no object")),
    }
}

/// A text that is there and not empty.
fn text(object: &Map<String, Value>, name: &str) -> Result<Option<Box<str>>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(other) => Err(format!("{name} is {}, no text", one_line(&other.to_string(), 40))),
    }
}

fn full_name(repository: &Map<String, Value>) -> Result<Box<str>, String> {
    if let Some(name) = text(repository, "repo_full_name")? {
        return Ok(name);
    }
    let (namespace, name) = (text(repository, "namespace")?, text(repository, "name")?);
    match (namespace, name) {
        (Some(namespace), Some(name)) => Ok(format!("{namespace}/{name}").into()),
        _ => Err("event_data.repository names no repository".to_owned()),
    }
}

fn resources(data: &Map<String, Value>) -> Result<Vec<Resource>, String> {
    let items = match data.get("resources") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err("event_data.resources is no list".to_owned()),
    };
    let resource = |item: &Value| {
        let item = object(item, "an item of event_data.resources")?;
        Ok(Resource { digest: text(item, "digest")?, tag: text(item, "tag")? })
    };
    items.iter().map(resource).collect()
}

/// Unix seconds, as a number or as text.
fn instant(value: &Value) -> Option<Timestamp> {
    let seconds = match value {
        Value::String(text) => text.parse().ok()?,
        other => other.as_i64()?,
    };
    Timestamp::from_second(seconds).ok()
}

/// When a row of the log was made: RFC 3339, or in the log's own zone where it has no offset.
pub(super) fn creation_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let naive: jiff::civil::DateTime = text.parse().ok()?;
        zone.to_ambiguous_timestamp(naive).compatible().ok()
    })
}

/// A number or a text, as text.
pub(super) fn as_text(object: &Map<String, Value>, name: &str) -> Option<Box<str>> {
    match listing::field(object, name)? {
        Value::String(text) if !text.is_empty() => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The event of the service's own documents, shortened.
    const PUSHED: &str = r#"{"type":"pushImage","occur_at":1586774843,"operator":"332133",
        "event_data":{"resources":[{"digest":"sha256:7ac7","tag":"v1","resource_url":"x"}],
        "repository":{"name":"nginx","namespace":"some-ns","repo_full_name":"some-ns/nginx",
        "repo_type":"private"}}}"#;

    fn read(text: &str) -> Result<Event, String> {
        Event::read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_documented_event_is_read() {
        let event = read(PUSHED).unwrap();
        assert_eq!((&*event.kind, &*event.repo), ("pushImage", "some-ns/nginx"));
        let resource = Resource { digest: Some("sha256:7ac7".into()), tag: Some("v1".into()) };
        assert_eq!(event.resources, std::slice::from_ref(&resource));
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let row = event.row(&resource, event.at.unwrap(), &zone);
        assert_eq!((row.time.as_second(), row.wall_time.0), (1_586_774_843, 1_586_803_643));
        assert_eq!((row.tag.as_deref(), row.repo.as_deref()), (Some("v1"), Some("some-ns/nginx")));
        let twin = event.row(&Resource { digest: None, ..resource }, row.time, &zone);
        assert_ne!(row.identity(), twin.identity(), "the digest tells pushes apart");
    }

    #[test]
    fn what_is_out_of_tolerance_names_the_field() {
        for (text, said) in [
            ("7", "the event is no object"),
            ("{}", "event_data is missing"),
            (r#"{"event_data":{}}"#, "event_data.repository is missing"),
            (r#"{"event_data":{"repository":{}},"type":"x"}"#, "names no repository"),
            (r#"{"event_data":{"repository":{"repo_full_name":"a/b"}}}"#, "type is missing"),
            (
                r#"{"type":"x","occur_at":"noon","event_data":{"repository":{"repo_full_name":"a/b"}}}"#,
                "occur_at is no time",
            ),
            (
                r#"{"type":"x","event_data":{"repository":{"repo_full_name":"a/b"},"resources":[7]}}"#,
                "resources is no object",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        let loose = r#"{"type":"x","occur_at":"5","event_data":{"repository":{"namespace":"a","name":"b"}}}"#;
        assert_eq!(&*read(loose).unwrap().repo, "a/b");
    }
}
