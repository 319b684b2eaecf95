//! What rule files that are checked alone may take for granted: the configuration beside or above
//! them, of which only names are read.
//!
//! Deliberately absent: the problems of that configuration, which nobody asked about.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::{
    FILE_NAME, Request, default_zone, environment, interval::Intervals, locate, names::Names,
    read_text, receivers, template_names, templates::TemplateNames, values,
};
use crate::document::{Document, Report, Value};

/// The receivers and templates that rules can name, and the zone of their times.
pub(super) struct Surroundings {
    pub(super) names: Names,
    pub(super) templates: TemplateNames,
    pub(super) zone: TimeZone,
    pub(super) intervals: Intervals,
}

impl Surroundings {
    /// None at all: no name can be called unknown.
    pub(super) fn unknown() -> Self {
        Self {
            names: Names::default(),
            templates: TemplateNames::unknown(),
            zone: default_zone(),
            intervals: Intervals::default(),
        }
    }

    /// Those of the configuration that was named, by flag or environment, else of the nearest one in
    /// the folders above `path`.
    pub(super) fn of(path: &Path, request: &Request<'_>) -> Self {
        let named = request.config.is_some() || (request.env)("TRIGGERBELL_CONFIG").is_some();
        let config = if named { locate(request.config, request.env).ok() } else { above(path) };
        config.and_then(|config| Self::read(&config, request)).unwrap_or_else(Self::unknown)
    }

    fn read(config: &Path, request: &Request<'_>) -> Option<Self> {
        let ignored = Report::default();
        let mut document = Document::parse(read_text(config).ok()?, &ignored);
        environment::expand(&mut document, request.env, &ignored);
        let folder = config.parent().unwrap_or(Path::new(""));
        let value =
            Value::root(document.root.as_ref()?, "the configuration", &document.file, &ignored);
        let mut map = value.map()?;
        let zone = map.get("time_zone").and_then(values::zone).unwrap_or_else(default_zone);
        let templates_folder = map.get("templates").and_then(|value| values::path(value, folder));
        let templates = template_names(&map, templates_folder.as_ref());
        let (_, names) = receivers(&mut map, folder, &templates);
        let intervals = Intervals::read(&mut map, &zone);
        Some(Self { names, templates, zone, intervals })
    }
}

/// The configuration in the nearest folder that holds `path`, however deep.
pub(super) fn above(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())
}
