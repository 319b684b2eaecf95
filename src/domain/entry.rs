//! An entry: one row of the trigger log, and what makes it itself.
//!
//! Rows carry no id, so identity is the decoded content and its multiplicity
//! (`docs/trigger-log.md`). Deliberately absent: how an answer is decoded (adapters), and which
//! rows are new (`engine::cursor`).

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::field::Field;

/// Seconds since 1970-01-01 00:00:00 **on the log's own clock**, zone unknown.
///
/// The cursor compares only these, so that correcting a source's time zone repeats nothing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Before every row.
    pub const MIN: Self = Self(i64::MIN);

    /// This many seconds earlier, stopping at [`WallTime::MIN`].
    pub const fn minus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

/// One row as a source decoded it. A field that the row lacked, or held as null, is `None`; an
/// empty string stays an empty string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// When the trigger fired, on the log's own clock.
    pub wall_time: WallTime,
    /// The same instant, in the zone that the source is configured with.
    pub time: Timestamp,
    /// `repoName`; may differ from the repository asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<Box<str>>,
    /// `tagName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Box<str>>,
    /// `triggerName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Box<str>>,
    /// `invokeSource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke_source: Option<Box<str>>,
    /// `invokeAction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke_action: Option<Box<str>>,
    /// `invokeCondition.invokeMethod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke_method: Option<Box<str>>,
    /// `invokeCondition.invokeExpr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke_expr: Option<Box<str>>,
    /// `invokePara.appId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<Box<str>>,
    /// `invokePara.serviceName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Box<str>>,
    /// `invokePara.clusterId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<Box<str>>,
    /// `invokePara.namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
    /// `invokePara.containerName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Box<str>>,
    /// `invokePara.clusterRegion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_region: Option<i64>,
    /// `invokeResult.returnCode`; 0 is success, absent is *unknown*, not failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_code: Option<i64>,
    /// `invokeResult.returnMsg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_msg: Option<Box<str>>,
    /// What the log itself tells this row from others by, where it does: a number or a digest. No
    /// field that anyone can name, but part of what the row is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Box<str>>,
}

/// What a row is, apart from how often it stands in the log: 128 bits of SHA-256 over its fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub [u8; 16]);

impl Row {
    /// A row with a time and nothing else.
    pub fn at(wall_time: WallTime, time: Timestamp) -> Self {
        Self {
            wall_time,
            time,
            repo: None,
            tag: None,
            trigger: None,
            invoke_source: None,
            invoke_action: None,
            invoke_method: None,
            invoke_expr: None,
            app_id: None,
            service: None,
            cluster_id: None,
            namespace: None,
            container: None,
            cluster_region: None,
            return_code: None,
            return_msg: None,
            mark: None,
        }
    }

    /// Whether the row says how the update ended.
    pub const fn has_result(&self) -> bool {
        self.return_code.is_some() || self.return_msg.is_some()
    }

    /// The identity of this row. An absent text and an empty one are the same here, since the two
    /// generations of the API differ in just that for the same row.
    pub fn identity(&self) -> Identity {
        self.hash(true)
    }

    /// The identity that this row had, or would have had, before its result was known.
    pub fn identity_without_result(&self) -> Identity {
        self.hash(false)
    }

    fn hash(&self, with_result: bool) -> Identity {
        let mut hasher = FieldHasher::new("row");
        hasher.number(Some(self.wall_time.0));
        for text in [
            &self.repo,
            &self.tag,
            &self.trigger,
            &self.invoke_source,
            &self.invoke_action,
            &self.invoke_method,
            &self.invoke_expr,
            &self.app_id,
            &self.service,
            &self.cluster_id,
            &self.namespace,
            &self.container,
        ] {
            hasher.text(text.as_deref().unwrap_or_default());
        }
        hasher.number(self.cluster_region);
        if with_result {
            hasher.number(self.return_code);
            hasher.text(self.return_msg.as_deref().unwrap_or_default());
        } else {
            hasher.number(None);
            hasher.text("");
        }
        // Rows without one have the identity that they had before there were any.
        if let Some(mark) = &self.mark {
            hasher.text(mark);
        }
        Identity(hasher.finish())
    }
}

/// The id of an entry in the store, the API and messages: 32 lower-case hexadecimal digits.
///
/// Its first two bytes are those of its repository ([`repo_prefix`]) and the rest a hash, so that
/// the ids of one walk lie side by side in an index and not each on a page of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub [u8; 16]);

impl EntryId {
    /// The id of the `ordinal`-th (from 0) of the rows of that identity in one repository's log.
    /// The same input gives the same id, on every machine and in every version.
    pub fn of(source: &str, asked_repo: &str, identity: Identity, ordinal: u32) -> Self {
        let mut hasher = FieldHasher::new("entry");
        hasher.text(source);
        hasher.text(asked_repo);
        hasher.bytes(&identity.0);
        hasher.number(Some(i64::from(ordinal)));
        Self(hasher.finish_after(repo_prefix(source, asked_repo)))
    }

    /// The first two bytes, which ids of what the entry causes begin with too.
    pub const fn prefix(self) -> [u8; 2] {
        [self.0[0], self.0[1]]
    }
}

/// What the ids of all that comes from one repository begin with: FNV-1a over both names, folded to
/// 16 bits. Repositories may share it, at the price of a little locality.
pub fn repo_prefix(source: &str, asked_repo: &str) -> [u8; 2] {
    let bytes = source.bytes().chain([0]).chain(asked_repo.bytes());
    let hash = bytes
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    [a ^ c, b ^ d]
}

/// One row of the trigger log, taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Stable across restarts, and across the gaining of a result.
    pub id: EntryId,
    /// What the row was when it was decided; changes when the row gains its result.
    pub identity: Identity,
    /// How many rows of the same identity came before it in this repository.
    pub ordinal: u32,
    /// Set when the entry was taken in earlier without a result, which it now has.
    pub revises: bool,
    /// The configured source's name.
    pub source: Arc<str>,
    /// The repository that was asked for.
    pub asked_repo: Arc<str>,
    /// The row's fields.
    pub row: Row,
}

/// The value of a field of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text, as the registry wrote it.
    Text(&'a str),
    /// A whole number.
    Number(i64),
    /// An instant.
    Time(Timestamp),
}

impl Entry {
    /// The row's repository, else the one asked for.
    pub fn repo(&self) -> &str {
        self.row.repo.as_deref().unwrap_or(&self.asked_repo)
    }

    /// The value of a field, or `None` where the entry lacks it. A region without a known name
    /// lacks none: it is its number (see [`region_name`]); that text is made by [`Entry::text`].
    pub fn value(&self, field: Field) -> Option<Value<'_>> {
        let row = &self.row;
        match field {
            Field::Repo => Some(Value::Text(self.repo())),
            Field::Tag => row.tag.as_deref().map(Value::Text),
            Field::ReturnCode => row.return_code.map(Value::Number),
            Field::ReturnMsg => row.return_msg.as_deref().map(Value::Text),
            Field::Service => row.service.as_deref().map(Value::Text),
            Field::Namespace => row.namespace.as_deref().map(Value::Text),
            Field::ClusterId => row.cluster_id.as_deref().map(Value::Text),
            Field::Container => row.container.as_deref().map(Value::Text),
            Field::Trigger => row.trigger.as_deref().map(Value::Text),
            Field::Region => row.cluster_region.map(|number| match region_name(number) {
                Some(name) => Value::Text(name),
                None => Value::Number(number),
            }),
            Field::ClusterRegion => row.cluster_region.map(Value::Number),
            Field::InvokeMethod => row.invoke_method.as_deref().map(Value::Text),
            Field::InvokeExpr => row.invoke_expr.as_deref().map(Value::Text),
            Field::InvokeSource => row.invoke_source.as_deref().map(Value::Text),
            Field::InvokeAction => row.invoke_action.as_deref().map(Value::Text),
            Field::AppId => row.app_id.as_deref().map(Value::Text),
            Field::Source => Some(Value::Text(&self.source)),
            Field::Time => Some(Value::Time(row.time)),
        }
    }

    /// The fields that the entry has, in the order of [`Field::ALL`].
    pub fn fields(&self) -> impl Iterator<Item = (Field, Value<'_>)> {
        Field::ALL.iter().filter_map(|&field| Some((field, self.value(field)?)))
    }

    /// The fields that the entry has as a JSON object, under the names that rules use: numbers are
    /// numbers, instants are RFC 3339. What the API and the command line show.
    pub fn fields_json(&self) -> serde_json::Value {
        let json = |value: Value<'_>| match value {
            Value::Text(text) => text.into(),
            Value::Number(number) => number.into(),
            Value::Time(time) => time.to_string().into(),
        };
        let fields = self.fields().map(|(field, value)| (field.name().to_owned(), json(value)));
        fields.collect::<serde_json::Map<_, _>>().into()
    }

    /// The field as text; `None` where the entry lacks it. A number is written in decimal, an
    /// instant in RFC 3339 UTC.
    pub fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        self.value(field).map(|value| match value {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Time(time) => Cow::Owned(time.to_string()),
        })
    }
}

/// The registry's name of a cluster region's number (`trigger-log-api`, 1.3), `None` for one that
/// the documents do not list; people are then shown the number.
pub const fn region_name(number: i64) -> Option<&'static str> {
    Some(match number {
        1 => "Guangzhou",
        4 => "Shanghai",
        5 => "Hong Kong",
        7 => "Shanghai Finance",
        8 => "Beijing",
        9 => "Singapore",
        16 => "Chengdu",
        _ => return None,
    })
}

/// The names of all regions that have one.
pub fn region_names() -> impl Iterator<Item = &'static str> + Clone {
    (0..=100).filter_map(region_name)
}

/// Hashes a sequence of fields so that no two different sequences collide by concatenation.
/// SHA-256, cut to 128 bits.
pub struct FieldHasher(Sha256);

impl FieldHasher {
    /// `domain` keeps hashes made for different purposes apart.
    pub fn new(domain: &str) -> Self {
        let mut this = Self(Sha256::new());
        this.text(domain);
        this
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds bytes, with their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds a number that may be absent.
    pub fn number(&mut self, number: Option<i64>) {
        match number {
            Some(number) => {
                self.0.update([1]);
                self.0.update(number.to_le_bytes());
            }
            None => self.0.update([0]),
        }
    }

    /// A prefix and then the first 112 bits.
    pub fn finish_after(self, prefix: [u8; 2]) -> [u8; 16] {
        let mut out = self.finish();
        out.copy_within(..14, 2);
        out[..2].copy_from_slice(&prefix);
        out
    }

    /// The first 128 bits.
    pub fn finish(self) -> [u8; 16] {
        let digest = self.0.finalize();
        let mut out = [0; 16];
        out.copy_from_slice(&digest[..16]);
        out
    }
}

/// Writes 16 bytes as 32 lower-case hexadecimal digits.
pub(crate) fn write_hex(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (two, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *two = [byte >> 4, byte & 0xf].map(|half| DIGITS[usize::from(half)]);
    }
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

/// A text that is not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hexadecimal digits")]
pub struct NotAnId;

/// Reads 32 hexadecimal digits, of either case.
pub(crate) fn read_hex(text: &str) -> Result<[u8; 16], NotAnId> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NotAnId);
    }
    let mut out = [0; 16];
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| NotAnId)?;
    }
    Ok(out)
}

/// Gives a 16-byte id its text form, both ways.
macro_rules! hex_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $crate::domain::entry::write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $crate::domain::entry::write_hex(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = $crate::domain::entry::NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::domain::entry::read_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use hex_id;

hex_id!(Identity);
hex_id!(EntryId);
