//! The templates that can be named, and whether one exists for a receiver's type.
//!
//! Deliberately absent: what stands in a template (`adapters::templates`).

use std::{collections::BTreeSet, path::Path};

use crate::document::{Code, Value, nearest};

/// The templates that come with the program, for every type of receiver.
const SHIPPED: [&str; 2] = ["default", "default-zh"];

/// The most files that are looked at in a templates folder.
const MAX_FILES: usize = 10_000;

/// The templates of a folder and the shipped ones.
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
            None => format!("add `{name}.{kind}.hbs`, or `{name}.hbs` for every type"),
        };
        let problem = value.problem(Code::UnknownTemplate, message);
        value.add(problem.known("templates", self.names()).help(help));
    }

    fn exists(&self, name: &str, kind: &str) -> bool {
        let has = |suffix: &str| self.files.contains(&format!("{name}{suffix}"));
        SHIPPED.contains(&name)
            || has(&format!(".{kind}.json.hbs"))
            || has(&format!(".{kind}.hbs"))
            || (kind == "webhook" && has(".json.hbs"))
            || has(".hbs")
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
