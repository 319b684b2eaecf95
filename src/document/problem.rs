//! A problem found in a document, and the collection of them.
//!
//! A problem says what is wrong, where, what was found, what is known, and what to do. Every one
//! has a code from one list ([`Code`]). Deliberately absent: how it is shown (`render`).

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use super::{Code, File, Position, Severity, Span};

/// A place in a file.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub file: Arc<File>,
    /// Where in it.
    pub span: Span,
}

impl Place {
    /// The line and column at which it begins.
    pub fn position(&self) -> Position {
        self.file.position(self.span.start)
    }

    /// Its length in Unicode scalar values.
    pub fn length(&self) -> usize {
        self.file.text().get(self.span.range()).map_or(0, |text| text.chars().count())
    }

    fn key(&self) -> (&str, Span) {
        (self.file.name(), self.span)
    }
}

/// A place beside the main one, with what it has to do with the problem.
#[derive(Debug, Clone)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// What is there.
    pub text: String,
}

/// The names that would have been right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What they are, in the plural: `receivers`.
    pub what: String,
    /// They.
    pub names: Vec<String>,
}

/// Something wrong, in words for the person who wrote the file. No text of it holds a secret or a
/// value that came from the environment.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Which kind.
    pub code: Code,
    /// What is wrong, in one short sentence without a full stop.
    pub message: String,
    /// Where; `None` when it is in no file.
    pub place: Option<Place>,
    /// A few words beside the place: what was found there.
    pub label: Option<String>,
    /// Other places that have to do with it.
    pub related: Vec<Label>,
    /// The path of the place in its document: `rules[1].send_to[0]`.
    pub path: Option<String>,
    /// It is about the map whose first key the place is.
    pub(super) of_holder: bool,
    /// The names that would have been right.
    pub known: Option<Known>,
    /// Further lines of what is known about it.
    pub notes: Vec<String>,
    /// What to do, in one line.
    pub help: Option<String>,
}

impl Problem {
    /// A problem in no file.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            place: None,
            label: None,
            related: Vec::new(),
            path: None,
            of_holder: false,
            known: None,
            notes: Vec::new(),
            help: None,
        }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, file: &Arc<File>, span: Span) -> Self {
        self.place = Some(Place { file: Arc::clone(file), span });
        self
    }

    /// The same with words beside the place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = Some(text.into());
        self
    }

    /// The same with another place.
    #[must_use]
    pub fn related(mut self, place: Place, text: impl Into<String>) -> Self {
        self.related.push(Label { place, text: text.into() });
        self
    }

    /// The same with the names that would have been right.
    #[must_use]
    pub fn known<N: Into<String>>(
        mut self,
        what: impl Into<String>,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        self.known = Some(Known { what: what.into(), names });
        self
    }

    /// The same with a further line.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// The same with a remedy.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// The same with a remedy, where there is one.
    #[must_use]
    pub fn maybe_help(mut self, text: Option<impl Into<String>>) -> Self {
        self.help = text.map(Into::into).or(self.help);
        self
    }

    /// Whether it stops a start.
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    fn sort_key(&self) -> (Option<(&str, Span)>, Code, &str) {
        (self.place.as_ref().map(Place::key), self.code, &self.message)
    }
}

/// Problems in order: by file, then by place.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    list: Vec<Problem>,
    left_out: Vec<String>,
}

impl Problems {
    /// The problems, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.list.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many are warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// What was not looked at for warnings, since something else is wrong: each a few words.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The same with what was not looked at, each said once.
    #[must_use]
    pub fn leaving_out(mut self, left_out: impl IntoIterator<Item = String>) -> Self {
        for words in left_out {
            if !self.left_out.contains(&words) {
                self.left_out.push(words);
            }
        }
        self
    }

    /// `2 errors, 1 warning`.
    pub fn summary(&self) -> String {
        let count = |count: usize, word: &str| match count {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{count} {word}s")),
        };
        let parts = [count(self.errors(), "error"), count(self.warnings(), "warning")];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "no problems".to_owned() } else { parts.join(", ") }
    }

    fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|problem| problem.severity() == severity).count()
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<T: IntoIterator<Item = Problem>>(problems: T) -> Self {
        let mut list: Vec<_> = problems.into_iter().collect();
        list.sort_by(|one, other| one.sort_key().cmp(&other.sort_key()));
        // What stands under an anchor is read once for each alias, and is wrong once.
        list.dedup_by(|one, other| one.sort_key() == other.sort_key());
        Self { list, left_out: Vec::new() }
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

/// The most problems that are kept; a person does not read more.
pub const MAX_PROBLEMS: usize = 1_000;

/// Where problems are put as they are found.
#[derive(Debug, Default)]
pub struct Report {
    problems: RefCell<Vec<Problem>>,
    left_out: RefCell<Vec<String>>,
    errors: Cell<usize>,
}

impl Report {
    /// Puts a problem down.
    pub fn add(&self, problem: Problem) {
        if problem.severity() == Severity::Error {
            self.errors.set(self.errors.get() + 1);
        }
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS {
            problems.push(problem);
        }
    }

    /// Puts down, in a few words, what is not looked at for warnings since something else is wrong.
    pub fn left_out(&self, what: String) {
        self.left_out.borrow_mut().push(what);
    }

    /// How many errors were put down so far; to see whether a part of a document had any.
    pub fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Says of each problem in a file where in its document it stands.
    pub fn name_paths(&self, document: &super::Document) {
        let Some(root) = &document.root else { return };
        for problem in self.problems.borrow_mut().iter_mut() {
            if problem.path.is_none()
                && let Some(place) = &problem.place
                && Arc::ptr_eq(&place.file, &document.file)
            {
                problem.path = root.path_of(place.span, problem.of_holder);
            }
        }
    }

    /// All of them, in order.
    pub fn into_problems(self) -> Problems {
        let problems: Problems = self.problems.into_inner().into_iter().collect();
        problems.leaving_out(self.left_out.into_inner())
    }
}
