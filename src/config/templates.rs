//! The templates: which can be named, whether one exists for a receiver's type, and what is wrong
//! with them.
//!
//! Names are looked up by the folder's files, so that a rule's template is checked even when some
//! template is broken. Deliberately absent: what stands in a template (`adapters::templates`).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::tz::TimeZone;

use super::{read_as, values::Shown};
use crate::{
    adapters::templates::{Settings, TemplateProblem, Templates},
    document::{Code, Position, Problem, Report, Value, nearest},
};

/// The templates that come with the program, for every type of receiver.
const SHIPPED: [&str; 2] = ["default", "default-zh"];

/// The most files that are looked at in a templates folder.
const MAX_FILES: usize = 10_000;

/// Compiles the templates of a folder and the shipped ones. `None` when one is broken, which is
/// reported.
pub(super) fn compile(
    folder: Option<&Shown>,
    settings: Settings,
    report: &Report,
) -> Option<Arc<Templates>> {
    let problems = match Templates::load(folder.map(|folder| &*folder.path), settings) {
        Ok(templates) => return Some(Arc::new(templates)),
        Err(problems) => problems,
    };
    for problem in problems {
        let path = PathBuf::from(&problem.path);
        let shown = folder.map_or_else(|| problem.path.clone(), |folder| folder.inside(&path));
        report.add(located(problem, &shown));
    }
    None
}

/// Checks one template, among those of its folder, which it may call.
pub(super) fn check(path: &Path, zone: TimeZone, report: &Report) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let settings = Settings { zone, public_url: None };
    let problems = Templates::load(Some(folder.unwrap_or(Path::new("."))), settings).err();
    let own = |problem: &TemplateProblem| Path::new(&problem.path).file_name() == path.file_name();
    for problem in problems.into_iter().flatten().filter(own) {
        report.add(located(problem, &path.display().to_string()));
    }
}

/// The problem with its place in the template's own file.
fn located(problem: TemplateProblem, shown: &str) -> Problem {
    let file = read_as(Path::new(&problem.path), shown).ok().map(Arc::new);
    let at = file.as_ref().filter(|_| problem.line > 0);
    let message = match at {
        Some(_) => problem.message,
        None => format!("`{shown}`: {}", problem.message),
    };
    let told = Problem::new(Code::BadTemplate, message).maybe_help(problem.help);
    match (at, file.as_ref()) {
        (Some(file), _) => {
            let position = Position { line: problem.line, column: problem.column };
            told.at(file, file.span_at(position, problem.len))
        }
        (None, Some(file)) => told.at(file, Default::default()),
        (None, None) => told,
    }
}

/// The names of a folder's templates and of the shipped ones.
#[derive(Debug, Default)]
pub(super) struct TemplateNames {
    files: BTreeSet<String>,
    /// False where there is a folder that could not be read.
    complete: bool,
}

impl TemplateNames {
    /// The shipped ones, and those of a folder where there is one.
    ///
    /// # Errors
    /// The folder can't be read.
    pub(super) fn read(folder: Option<&Path>) -> (Self, Option<std::io::Error>) {
        let mut names = Self { files: BTreeSet::new(), complete: true };
        let Some(folder) = folder else { return (names, None) };
        match std::fs::read_dir(folder) {
            Ok(entries) => {
                let entries = entries.flatten().take(MAX_FILES);
                let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
                names.files = files.filter(|name| name.ends_with(".hbs")).collect();
                (names, None)
            }
            Err(error) => {
                names.complete = false;
                (names, Some(error))
            }
        }
    }

    /// Those of which nothing is known, so that nothing is said about any name.
    pub(super) fn unknown() -> Self {
        Self::default()
    }

    /// Reports a template that does not exist for a type of receiver.
    pub(super) fn check(&self, value: Value<'_>, name: &str, kind: &str) {
        if !self.complete || self.exists(name, kind) {
            return;
        }
        let elsewhere = self.files.iter().any(|file| base(file) == name);
        let message = if elsewhere {
            format!("the template {} does not exist for {kind}", value.found())
        } else {
            format!("no template is named {}", value.found())
        };
        let near = nearest(name, self.names()).filter(|_| !elsewhere);
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if value.is_expanded() => "add it to the folder of templates".to_owned(),
            None => format!("add `{name}.{kind}.hbs`, or `{name}.hbs` for every type"),
        };
        let problem = value.problem(Code::UnknownTemplate, message);
        value.add(problem.known("templates", self.names()).help(help));
    }

    fn exists(&self, name: &str, kind: &str) -> bool {
        SHIPPED.contains(&name) || self.file(name, kind).is_some()
    }

    /// The folder's file that is used for a type of receiver, by its name; `None` where there is
    /// none, and a shipped one may be used.
    pub(super) fn file(&self, name: &str, kind: &str) -> Option<String> {
        let webhooks = (kind == "webhook").then(|| format!("{name}.json.hbs"));
        let first = [format!("{name}.{kind}.json.hbs"), format!("{name}.{kind}.hbs")];
        let all = first.into_iter().chain(webhooks).chain([format!("{name}.hbs")]);
        all.into_iter().find(|file| self.files.contains(file))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let own: BTreeSet<&str> = self.files.iter().map(|file| base(file)).collect();
        let shipped = SHIPPED.into_iter().filter(|name| !own.contains(name)).collect::<Vec<_>>();
        own.into_iter().chain(shipped)
    }
}

/// The template's name in a file's.
fn base(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::templates::ReceiverType;

    #[test]
    fn the_shipped_templates_are_those_that_ship_for_every_type() {
        let settings = Settings { zone: jiff::tz::TimeZone::UTC, public_url: None };
        let templates = Templates::load(None, settings).unwrap();
        assert_eq!(templates.names().collect::<Vec<_>>(), SHIPPED);
        for (name, kind) in
            SHIPPED.iter().flat_map(|name| ReceiverType::ALL.iter().map(move |kind| (name, kind)))
        {
            assert_eq!(templates.check_use(name, *kind), Ok(()));
        }
    }
}
