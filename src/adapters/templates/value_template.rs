//! A template that stands in the configuration as a value: a webhook's header, a parameter of its
//! query.
//!
//! The same language with the same names as in a file. One that reads nothing of the message
//! belongs to the receiver and is worked out at each attempt; what reads the message is rendered with
//! it and queued beside the body. Deliberately absent: where in the configuration it stands.

use std::sync::Arc;

use super::{
    TemplateProblem,
    escape::{Chat, Written},
    eval::Run,
    lint::lint,
    program::{self, Expr, Op, Program},
    value::Scope,
};
use crate::domain::late::Piece;

/// The most bytes that a value is long, before it is encoded.
const MOST_BYTES: usize = 4 * 1024;

/// The most characters of one foreign text in a value.
pub(super) const LONGEST: usize = 256;

/// What a value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueOf {
    /// A header, which is one line.
    Header,
    /// A parameter of the query, which is encoded as a whole.
    Query,
}

/// A checked template. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueTemplate {
    of: ValueOf,
    program: Arc<Program>,
}

impl ValueTemplate {
    /// Whether a text is to be read as a template.
    pub fn is_one(text: &str) -> bool {
        text.contains("{{")
    }

    /// Checks a template.
    ///
    /// # Errors
    /// Everything that is wrong with it; places are those in the text, from line 1.
    pub fn new(of: ValueOf, text: &str) -> Result<Self, Vec<TemplateProblem>> {
        let program = lint("", text, false, true)?;
        if of == ValueOf::Header
            && let Some(problem) = line_break(text, &program)
        {
            return Err(vec![problem]);
        }
        if of == ValueOf::Query && is_encoded(&program) {
            let message = "what stands under `query` is encoded already".to_owned();
            let help = Some("leave `url_encode` out".to_owned());
            let len = text.chars().count();
            let problem =
                TemplateProblem { path: String::new(), line: 1, column: 1, len, message, help };
            return Err(vec![problem]);
        }
        Ok(Self { of, program: Arc::new(program) })
    }

    /// Whether it reads anything of the message.
    pub fn reads_the_message(&self) -> bool {
        program::reads_the_message(&self.program)
    }

    /// The names of the receiver's secrets that it writes.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        program::secrets(&self.program).into_iter()
    }

    /// Its text for a message.
    ///
    /// # Errors
    /// It would be too long.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<Vec<Piece>, String> {
        let run = Run::new(scope, Chat::Machine, false, MOST_BYTES);
        let written = run
            .finish(&self.program)
            .map_err(|_| format!("it would be longer than {MOST_BYTES} bytes"))?;
        let mut pieces = match written {
            Written::Whole(text) => vec![Piece::Text(text)],
            Written::Pieces(pieces) => pieces,
        };
        if self.of == ValueOf::Header {
            // The template's own text has no line break, so these are foreign.
            for piece in &mut pieces {
                if let Piece::Text(text) = piece {
                    *text = text.replace(['\r', '\n'], " ");
                }
            }
        }
        Ok(pieces)
    }
}

/// A line break in the template's own text.
fn line_break(text: &str, program: &[Op]) -> Option<TemplateProblem> {
    let before = text.get(..line_break_in(program)?).unwrap_or_default();
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    Some(TemplateProblem {
        path: String::new(),
        line: before.matches('\n').count() + 1,
        column,
        len: 1,
        message: "a header is one line, and this template writes a line break".to_owned(),
        help: Some("write it on one line; `>-` folds several lines of YAML into one".to_owned()),
    })
}

fn line_break_in(program: &[Op]) -> Option<usize> {
    program.iter().find_map(|op| match op {
        Op::Text { text, at } => text.find(['\r', '\n']).map(|within| at + within),
        Op::If { then: one, otherwise: other, .. }
        | Op::Each { body: one, otherwise: other, .. }
        | Op::With { body: one, otherwise: other, .. } => {
            line_break_in(one).or_else(|| line_break_in(other))
        }
        Op::Emit { .. } => None,
    })
}

/// Whether a value is nothing but something percent-encoded.
fn is_encoded(program: &[Op]) -> bool {
    let [Op::Emit { expr: Expr::Call { helper, .. }, .. }] = program else { return false };
    *helper == super::helpers::Helper::UrlEncode
}
