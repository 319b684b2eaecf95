//! What is remembered of an entry beside its key, for as long as something may still be told of it: a
//! silence, a group or a storm may ask for any of its fields when it is told again.
//!
//! One text for all fields, kept in place, since there may be ten thousand of them and each changes
//! with every failure. Deliberately absent: the fields of the key, which stand beside it, and the
//! entry's time and source.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::{
    entry::{Entry, Row, region_name},
    field::Field,
    notification::Key,
};

/// How much of a text is remembered, in bytes: what comes after is seen by nobody who asks later.
const LONGEST: usize = 1024;

/// The fields of an entry that are not in its key, as `name=length:text` one after another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Seen(String);

impl Seen {
    /// What is to be remembered of an entry with that key.
    pub(super) fn of(entry: &Entry, key: &Key) -> Self {
        let mut seen = Self::default();
        seen.sees(entry, key);
        seen
    }

    /// Remembers an entry instead of the one before.
    pub(super) fn sees(&mut self, entry: &Entry, key: &Key) {
        self.0.clear();
        for &field in Field::ALL {
            // A region is its number's name.
            let known = matches!(field, Field::Source | Field::Time | Field::Region)
                || key.fields.iter().any(|(known, _)| *known == field);
            if known {
                continue;
            }
            if let Some(text) = entry.text(field) {
                let text = beginning(&text);
                // Writing to a text can't fail.
                let _ = write!(self.0, "{}={}:{text}", field.name(), text.len());
            }
        }
    }

    /// Whether nothing is remembered.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets what is remembered in a row.
    pub(super) fn put_into(&self, row: &mut Row) {
        let mut rest = &*self.0;
        while let Some((name, after)) = rest.split_once('=')
            && let Some((length, after)) = after.split_once(':')
            && let Some((text, after)) =
                length.parse().ok().and_then(|at| after.split_at_checked(at))
        {
            if let Some(field) = Field::by_name(name) {
                set(row, field, Some(text));
            }
            rest = after;
        }
    }
}

/// What is remembered of a text: no more than [`LONGEST`], in whole characters.
fn beginning(text: &str) -> &str {
    let end = text.len().min(LONGEST);
    let end = (0..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    &text[..end]
}

/// Sets a field of a row from its text.
pub(super) fn set(row: &mut Row, field: Field, text: Option<&str>) {
    let number = || text.and_then(|text| text.parse().ok());
    let text = || text.map(Box::<str>::from);
    match field {
        Field::Repo => row.repo = text(),
        Field::Tag => row.tag = text(),
        Field::ReturnMsg => row.return_msg = text(),
        Field::Service => row.service = text(),
        Field::Namespace => row.namespace = text(),
        Field::ClusterId => row.cluster_id = text(),
        Field::Container => row.container = text(),
        Field::Trigger => row.trigger = text(),
        Field::InvokeMethod => row.invoke_method = text(),
        Field::InvokeExpr => row.invoke_expr = text(),
        Field::InvokeSource => row.invoke_source = text(),
        Field::InvokeAction => row.invoke_action = text(),
        Field::AppId => row.app_id = text(),
        Field::ReturnCode => row.return_code = number(),
        Field::ClusterRegion => row.cluster_region = number(),
        Field::Region => {
            let named = |number: &i64| region_name(*number) == text().as_deref();
            row.cluster_region = (0..100).find(named).or_else(number);
        }
        // The source is the entry's and the time its own.
        Field::Source | Field::Time => {}
    }
}
