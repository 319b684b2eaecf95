//! The receivers that can be named, and the reading of such names.
//!
//! Deliberately absent: what a receiver is (`receiver`).

use std::{collections::BTreeMap, sync::Arc};

use crate::document::{Code, Problem, Value, nearest};

/// The receivers by name, each with its type.
#[derive(Debug, Default)]
pub(super) struct Names {
    receivers: BTreeMap<Arc<str>, Option<&'static str>>,
    /// False where the configuration's receivers could not all be read, or there is no
    /// configuration: then an unknown name says nothing.
    complete: bool,
}

impl Names {
    /// The names of a configuration.
    pub(super) const fn new(
        receivers: BTreeMap<Arc<str>, Option<&'static str>>,
        complete: bool,
    ) -> Self {
        Self { receivers, complete }
    }

    /// The type of a receiver; `None` where the name or the type is not known.
    pub(super) fn kind_of(&self, name: &str) -> Option<&'static str> {
        self.receivers.get(name).copied().flatten()
    }

    /// Reads one name or a list of them, each once. Unknown ones are reported.
    pub(super) fn receivers(&self, value: Value<'_>) -> Option<Vec<Arc<str>>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for item in value.some()? {
            let Some(name) = self.receiver(item) else { continue };
            if names.contains(&name) {
                let message = format!("{} is listed twice", item.found());
                item.add(item.problem(Code::NamedTwice, message).help("list it once"));
            } else {
                names.push(name);
            }
        }
        Some(names)
    }

    /// Adds the known names to a problem, where all are known.
    pub(super) fn known(&self, problem: Problem) -> Problem {
        if self.complete {
            problem.known("receivers", self.receivers.keys().map(|name| name.to_string()))
        } else {
            problem
        }
    }

    /// Reads one name. An unknown one is reported.
    pub(super) fn receiver(&self, value: Value<'_>) -> Option<Arc<str>> {
        let name = value.text_as("the name of a receiver")?;
        if let Some((known, _)) = self.receivers.get_key_value(name) {
            return Some(Arc::clone(known));
        }
        if self.complete {
            let near = nearest(name, self.receivers.keys().map(|name| &**name));
            let problem = value
                .problem(Code::UnknownReceiver, format!("no receiver is named {}", value.found()));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            value.add(self.known(problem).maybe_help(help));
        }
        Some(name.into())
    }
}
