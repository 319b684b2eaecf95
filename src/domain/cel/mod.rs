//! `cel` in a match: a checked expression, as clauses where it can be said in clauses.
//!
//! [`Compiler::compile`] bounds a text (`scan`), parses it, gives every part a type and a cost
//! (`check`: unknown names and what could never work are told here, with their places), and takes it
//! apart (`translate`): what asks one field one thing becomes a test like any other, with the
//! matcher's speed and the verdict's words, and only the rest is left to the interpreter (`run`).
//! The meaning is CEL's; an error, an absent field among them, is *unknown*. CEL's `&&`, `||` and `!`
//! take errors just as Kleene's take the unknown, which is why the parts may be put together again
//! as clauses.
//!
//! The interpreter is the `cel` crate, which is pure: values in, a value out.
//! Deliberately absent: maps, bytes, unsigned numbers, `null`, `dyn` and optionals, which entries
//! have none of; a clock; and where in a file a text was written.

mod check;
mod operators;
mod run;
mod scan;
mod translate;
mod types;

use std::{ops::Range, sync::Arc};

use cel::{
    Env, IdedExpr,
    common::ast::{Expr, SourceInfo},
};
use jiff::tz::TimeZone;

use super::{clause::Clause, expression::Expressions};

pub use run::CelTest;
pub use scan::{MAX_BYTES, MAX_DEPTH};

/// What kind of mistake was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It can't be read as an expression.
    Syntax,
    /// It is larger, deeper or slower than what is taken.
    TooLarge,
    /// A field that entries do not have.
    UnknownField,
    /// A name or a function that does not exist.
    UnknownName,
    /// Something that can't work, whatever the entry.
    Mistyped,
}

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CelError {
    /// What kind of mistake.
    pub fault: Fault,
    /// What is wrong, without a full stop.
    pub message: String,
    /// Where in the text, in bytes; `None` where it is about the whole.
    pub span: Option<Range<usize>>,
    /// The name that was not known, for a suggestion.
    pub name: Option<String>,
    /// The names that would have been right.
    pub known: Vec<&'static str>,
    /// What to do.
    pub help: Option<String>,
}

impl CelError {
    fn new(fault: Fault, message: impl Into<String>, span: Option<Range<usize>>) -> Self {
        let message = message.into();
        Self { fault, message, span, name: None, known: Vec::new(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Finds a time zone by its name.
pub type Zones<'a> = &'a dyn Fn(&str) -> Option<TimeZone>;

/// Compiles expressions; what they share is made once.
pub struct Compiler {
    env: Arc<Env>,
}

impl Default for Compiler {
    fn default() -> Self {
        let mut env = Env::stdlib().with_optional_support(false);
        // The extension declares names that nothing else declares.
        env.add_extension(cel::extensions::strings).expect("the names are free");
        Self { env: Arc::new(env) }
    }
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiler")
    }
}

impl Compiler {
    /// The clause that an expression is, written at `path` of its rule.
    ///
    /// # Errors
    /// Everything that is wrong with it; of what can't be parsed, the first.
    pub fn compile(
        &self,
        source: &str,
        path: &str,
        expressions: &mut Expressions,
        zones: Zones<'_>,
    ) -> Result<Clause, Vec<CelError>> {
        scan::check(source).map_err(|error| vec![*error])?;
        let (expression, places) = self.parse(source)?;
        let places = Places { source, info: places };
        let known = check::check(&expression, &places, zones)?;
        let mut translator = translate::Translator {
            path,
            places: &places,
            known: &known,
            expressions,
            env: &self.env,
        };
        Ok(translator.clause(&expression))
    }

    /// As [`Compiler::compile`], and all of it left to the interpreter: what a property test holds
    /// the other to.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn compile_whole(
        &self,
        source: &str,
        path: &str,
        zones: Zones<'_>,
    ) -> Result<Clause, Vec<CelError>> {
        scan::check(source).map_err(|error| vec![*error])?;
        let (expression, places) = self.parse(source)?;
        let places = Places { source, info: places };
        let known = check::check(&expression, &places, zones)?;
        Ok(Clause::Cel(CelTest::new(path, source, &expression, &known, &self.env)))
    }

    fn parse(&self, source: &str) -> Result<(IdedExpr, SourceInfo), Vec<CelError>> {
        // Deeper than the brackets can be, for what nests without them: `a ? b : c ? d : e`.
        let limit = u16::try_from(2 * MAX_DEPTH).unwrap_or(u16::MAX);
        let parser = self.env.parser().max_recursion_depth(limit);
        parser.parse_with_source_info(source).map_err(|errors| {
            let first = errors.errors.into_iter().next();
            let (message, position) = first.map_or_else(Default::default, |it| (it.msg, it.pos));
            vec![unreadable(source, &message, position)]
        })
    }
}

/// Where the parts of an expression stand in its text.
struct Places<'a> {
    source: &'a str,
    info: SourceInfo,
}

impl Places<'_> {
    /// The token of a node, an operator's own where it is one.
    fn token(&self, id: u64) -> Option<Range<usize>> {
        let (start, last) = self.info.offset_for(id)?;
        let start = start as usize;
        let end = (last as usize + 1).min(self.source.len());
        self.source.get(start..end).map(|_| start..end)
    }
}

impl Places<'_> {
    /// The name of a function whose call is at a node, an operator's own sign where it is one.
    fn function(&self, id: u64, name: &str) -> Option<Range<usize>> {
        let token = self.token(id)?;
        let before = self.source.get(..token.start)?;
        let found = before.rfind(name).map(|start| start..start + name.len());
        found.filter(|it| before[it.end..].trim().is_empty()).or(Some(token))
    }

    /// The name of a field that is selected at a node.
    fn name_after(&self, id: u64, name: &str) -> Option<Range<usize>> {
        let token = self.token(id)?;
        let after = self.source.get(token.end..)?;
        let start = token.end + after.find(name)?;
        Some(start..start + name.len())
    }

    /// From the first to the last token of a part.
    fn whole(&self, part: &IdedExpr) -> Option<Range<usize>> {
        let mut span: Option<Range<usize>> = None;
        self.widen(part, &mut span);
        let span = span?;
        // A call's own closing bracket is no token of any part.
        let text = self.source.get(span.clone())?;
        let count =
            |wanted: [&str; 2]| scan::signs(text).filter(|(_, it)| wanted.contains(it)).count();
        let open = count(["(", "["]).saturating_sub(count([")", "]"]));
        let rest = self.source[span.end..].char_indices();
        let closing = rest.take_while(|(_, one)| matches!(one, ')' | ']' | ' '));
        let closing = closing.filter(|(_, one)| *one != ' ');
        let end = closing.take(open).last().map_or(span.end, |(at, _)| span.end + at + 1);
        Some(span.start..end)
    }

    fn widen(&self, part: &IdedExpr, span: &mut Option<Range<usize>>) {
        let mut take = |token: Option<Range<usize>>| {
            if let Some(token) = token {
                let (start, end) =
                    span.as_ref().map_or((token.start, token.end), |it| (it.start, it.end));
                *span = Some(start.min(token.start)..end.max(token.end));
            }
        };
        match &part.expr {
            Expr::Select(select) => {
                take(self.name_after(part.id, &select.field));
                self.widen(&select.operand, span);
            }
            Expr::Call(call) => {
                take(self.token(part.id));
                take(self.function(part.id, &call.func_name));
                call.target.iter().for_each(|target| self.widen(target, span));
                call.args.iter().for_each(|argument| self.widen(argument, span));
            }
            Expr::List(list) => {
                take(self.token(part.id));
                list.elements.iter().for_each(|element| self.widen(element, span));
            }
            Expr::Comprehension(comprehension) => {
                take(self.token(part.id));
                self.widen(&comprehension.iter_range, span);
                self.widen(&comprehension.loop_step, span);
            }
            _ => take(self.token(part.id)),
        }
    }
}

/// The parser's first complaint, in words that say what to do.
fn unreadable(source: &str, message: &str, (line, column): (isize, isize)) -> CelError {
    let at = offset(source, line, column);
    let rest = source.get(at..).unwrap_or_default();
    let word: String = rest.chars().take_while(|one| one.is_alphanumeric()).collect();
    let meant = match &*word {
        "and" | "AND" => Some("`&&`"),
        "or" | "OR" => Some("`||`"),
        "not" | "NOT" => Some("`!`"),
        _ => None,
    };
    let first = rest.chars().next();
    let length = if word.is_empty() { first.map_or(0, char::len_utf8) } else { word.len() };
    let (message, help) = match (meant, first) {
        (Some(meant), _) => (format!("`{word}` is no operator"), format!("write {meant}")),
        (None, Some('=')) => {
            ("`=` is no operator".to_owned(), "write `==` to compare".to_owned())
        }
        (None, Some('\'' | '"')) => (
            "this text can't be read".to_owned(),
            r"close the quote, and write `\\` for a backslash, or `r'…'` for a text without escapes"
                .to_owned(),
        ),
        (None, Some('&' | '|')) => {
            (format!("`{}` is no operator", &rest[..1]), "write `&&` or `||`".to_owned())
        }
        (None, None) => {
            let help = "something is missing: a value, a bracket or a quote".to_owned();
            ("the expression ends too early".to_owned(), help)
        }
        (None, Some(_)) if message.contains("has()") => (
            "`has` takes a field".to_owned(),
            "write `has(entry.returnCode)`".to_owned(),
        ),
        (None, Some(_)) => (
            "this can't be read as a CEL expression".to_owned(),
            "texts stand in quotes, fields are `entry.service`, and clauses combine with `&&`, `||` \
             and `!`"
                .to_owned(),
        ),
    };
    let span = (length > 0).then(|| at..at + length);
    CelError::new(Fault::Syntax, message, span).help(help)
}

/// The byte at a line and column, both from 1, the column in characters.
fn offset(source: &str, line: isize, column: isize) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = source.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(index, _)| index)
}
