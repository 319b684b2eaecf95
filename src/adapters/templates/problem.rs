//! What is wrong with a template, and where.

use std::fmt;

/// Something wrong with a template or with its use. Shown with the file's text by whoever checks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateProblem {
    /// The file as it was found; `shipped:NAME` for one that came with the program.
    pub path: String,
    /// Line, from 1; 0 where it is about the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 where it is about the file as a whole.
    pub column: usize,
    /// How many characters it is about, at least 1; 0 where it is about the file as a whole.
    pub len: usize,
    /// The cause.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
}

impl TemplateProblem {
    /// A problem of a file as a whole.
    pub(super) fn of_file(path: impl Into<String>, message: String, help: Option<String>) -> Self {
        Self { path: path.into(), line: 0, column: 0, len: 0, message, help }
    }
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TemplateProblem {}
