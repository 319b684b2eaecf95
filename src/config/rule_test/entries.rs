//! The entries of a scenario: written field by field, or recorded in a file.
//!
//! Deliberately absent: how recorded entries are decoded (`adapters::source`).

use std::{collections::HashMap, path::Path, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};

use super::{Happens, Reading, Step, Times, after};
use crate::{
    adapters::source::{FileInput, oldest_first, read_entries},
    document::{Code, MapReader, Value, nearest, parse_duration},
    domain::{
        entry::{Entry, EntryId, Row, WallTime, region_name},
        field::{Field, FieldKind},
    },
};

/// The repository of an entry that names none: one was asked for, so no entry lacks it.
const REPO: &str = "test/test";

/// The numbers among which a region's name is looked for.
const REGIONS: std::ops::RangeInclusive<i64> = 0..=100;

/// What happens when recorded entries are taken in, each at its own time; those from before the
/// start at the start.
pub(super) fn steps_of(entries: Vec<Arc<Entry>>, times: &mut Times) -> Vec<Step> {
    let mut steps = Vec::with_capacity(entries.len());
    for entry in entries {
        let at = entry.row.time.max(times.start);
        // What was recorded after the scenario's end is none of its business.
        if times.until.is_none_or(|until| at <= until) {
            times.last = times.last.max(at);
            steps.push(Step { at, what: Happens::Entry(entry) });
        }
    }
    steps
}

/// Tells entries of the same content apart, as the log's order does.
pub(super) fn number(steps: &mut [Step]) {
    let mut known: HashMap<EntryId, u32> = HashMap::new();
    for step in steps {
        let Happens::Entry(entry) = &mut step.what else { continue };
        // Its id says source, repository and content.
        let ordinal = known.entry(entry.id).or_default();
        if *ordinal > 0 {
            let entry = Arc::make_mut(entry);
            entry.ordinal = *ordinal;
            entry.id = EntryId::of(&entry.source, &entry.asked_repo, entry.identity, *ordinal);
        }
        *ordinal += 1;
    }
}

fn entry(source: Arc<str>, row: Row) -> Arc<Entry> {
    let identity = row.identity();
    let asked_repo: Arc<str> = row.repo.as_deref().unwrap_or(REPO).into();
    let id = EntryId::of(&source, &asked_repo, identity, 0);
    Arc::new(Entry { id, identity, ordinal: 0, revises: false, source, asked_repo, row })
}

/// A row with nothing but its time.
fn row_at(at: Timestamp, zone: &TimeZone) -> Row {
    let offset = i64::from(zone.to_offset(at).seconds());
    Row::at(WallTime(at.as_second() + offset), at)
}

impl Reading<'_, '_> {
    /// The entries of a recorded file, relative to the test file.
    pub(super) fn recorded(&self, value: Value<'_>, source: &Arc<str>) -> Option<Vec<Arc<Entry>>> {
        let name = value.text_as("a file of recorded entries")?;
        let folder = self.file.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(name);
        let shown = Path::new(value.file().name()).parent().unwrap_or(Path::new("")).join(name);
        let broken = |why: String| {
            let message = format!("`{}` {why}", shown.display());
            let help = "an answer of the API or JSON lines, as `fetch --format json` writes them";
            value.add(value.problem(Code::Unreadable, message).help(help));
        };
        if path.is_dir() || !path.exists() {
            let what = if path.is_dir() { "is a folder" } else { "does not exist" };
            broken(what.to_owned());
            return None;
        }
        let text = FileInput::of(&path.to_string_lossy()).read();
        let text = text.map_err(|error| broken(format!("can't be read: {error}"))).ok()?;
        let mut read = read_entries(&text, self.around.zone_of(source), None);
        if let Some(rejected) = read.rejected.first() {
            broken(format!("can't be understood: {}", rejected.reason));
            return None;
        }
        if read.rows.is_empty() {
            broken("holds no entries".to_owned());
            return None;
        }
        oldest_first(&mut read.rows, |row| row.time);
        Some(read.rows.into_iter().map(|row| entry(Arc::clone(source), row)).collect())
    }

    /// The entries that are written out.
    pub(super) fn entries(
        &self,
        map: &mut MapReader<'_>,
        source: &Arc<str>,
        times: &mut Times,
    ) -> Vec<Step> {
        let items = map.get("entries").and_then(|value| value.list()).unwrap_or_default();
        items.into_iter().filter_map(|item| self.entry(item, source, times)).collect()
    }

    fn entry(&self, value: Value<'_>, usual: &Arc<str>, times: &mut Times) -> Option<Step> {
        let mut map = value.map()?;
        let at = times.at(map.get("at"));
        let source = map.get("source").and_then(|value| self.around.source(value));
        let source = source.unwrap_or_else(|| Arc::clone(usual));
        let zone = self.around.zone_of(&source);
        let time = map.get("time").and_then(|value| self.time(value, times.start)).or(at);
        let mut row = row_at(time.unwrap_or(times.start), zone);
        for &field in Field::ALL {
            if matches!(field, Field::Source | Field::Time) {
                continue;
            }
            if let Some(value) = map.get(field.name()) {
                set(&mut row, field, value);
            }
        }
        map.exclusive("region", "clusterRegion");
        map.finish("keys of an entry");
        Some(Step { at: at?, what: Happens::Entry(entry(source, row)) })
    }

    /// The time of a row: so long after the start, or an instant.
    fn time(&self, value: Value<'_>, start: Timestamp) -> Option<Timestamp> {
        let text = value.text_as("an instant")?;
        match parse_duration(text) {
            Ok(by) => Some(after(start, by)),
            Err(_) => self.around.instant(value),
        }
    }
}

/// Gives a row what is written of a field.
fn set(row: &mut Row, field: Field, value: Value<'_>) {
    if field.kind() == FieldKind::Number {
        let number = value.number(i64::MIN..=i64::MAX);
        match field {
            Field::ReturnCode => row.return_code = number,
            _ => row.cluster_region = number,
        }
        return;
    }
    let Some(text) = value.raw_text() else { return };
    let slot = match field {
        Field::Region => return row.cluster_region = region(value, text),
        Field::Repo => &mut row.repo,
        Field::Tag => &mut row.tag,
        Field::ReturnMsg => &mut row.return_msg,
        Field::Service => &mut row.service,
        Field::Namespace => &mut row.namespace,
        Field::ClusterId => &mut row.cluster_id,
        Field::Container => &mut row.container,
        Field::Trigger => &mut row.trigger,
        Field::InvokeMethod => &mut row.invoke_method,
        Field::InvokeExpr => &mut row.invoke_expr,
        Field::InvokeSource => &mut row.invoke_source,
        Field::InvokeAction => &mut row.invoke_action,
        Field::AppId => &mut row.app_id,
        Field::ReturnCode | Field::ClusterRegion | Field::Source | Field::Time => return,
    };
    *slot = Some(text.into());
}

/// The number of a region.
fn region(value: Value<'_>, text: &str) -> Option<i64> {
    let named = REGIONS.filter_map(|number| Some((number, region_name(number)?)));
    let found = named.clone().find(|(_, name)| *name == text).map(|(number, _)| number);
    if found.is_none() {
        let known: Vec<_> = named.map(|(_, name)| name).collect();
        let near = nearest(text, known.iter().copied());
        let help = near.map_or_else(
            || "a region without a name is given by its number: `clusterRegion: 33`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let problem =
            value.problem(Code::UnknownWord, format!("no region is named {}", value.found()));
        value.add(problem.known("regions", known).help(help));
    }
    found
}
