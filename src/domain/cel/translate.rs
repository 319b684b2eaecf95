//! What of an expression is a clause: a field compared with something that is written out.
//!
//! The translation is exact, unknowns included, and a property test holds it to the interpreter.
//! Deliberately absent: cleverness. `? :`, arithmetic, functions that change a text, macros and two
//! fields compared with each other are the interpreter's.

use std::sync::Arc;

use cel::{
    Env, IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, operators},
};
use jiff::Timestamp;

use super::{CelTest, Places, check::Known};
use crate::domain::{
    clause::{Clause, FieldTest, Said, Test},
    expression::Expressions,
    field::Field,
};

/// Takes one expression apart.
pub(super) struct Translator<'a> {
    pub(super) path: &'a str,
    pub(super) places: &'a Places<'a>,
    pub(super) known: &'a Known,
    pub(super) expressions: &'a mut Expressions,
    pub(super) env: &'a Arc<Env>,
}

/// A value that is written out.
enum Written {
    Text(Box<str>),
    Number(i64),
    Time(Timestamp),
}

/// A test, and whether the part says its opposite.
struct Translated {
    field: Field,
    test: Test,
    negated: bool,
}

impl Translated {
    const fn is(field: Field, test: Test) -> Self {
        Self { field, test, negated: false }
    }

    const fn is_not(field: Field, test: Test) -> Self {
        Self { field, test, negated: true }
    }
}

impl Translator<'_> {
    /// The clause that a part is.
    pub(super) fn clause(&mut self, part: &IdedExpr) -> Clause {
        match &part.expr {
            Expr::Literal(LiteralValue::Boolean(truth)) if *truth.inner() => {
                Clause::All(Vec::new())
            }
            Expr::Literal(LiteralValue::Boolean(_)) => Clause::Any(Vec::new()),
            Expr::Call(call) => match (&*call.func_name, &*call.args) {
                (operators::LOGICAL_AND, _) => Clause::All(self.flat(part, operators::LOGICAL_AND)),
                (operators::LOGICAL_OR, _) => Clause::Any(self.flat(part, operators::LOGICAL_OR)),
                (operators::LOGICAL_NOT, [inner]) => self.clause(inner).negated(),
                _ => {
                    let translated = self.test(call);
                    self.said(part, translated)
                }
            },
            Expr::Select(select) if select.test => {
                let field = Field::by_name(&select.field);
                let test = field.map(|field| Translated::is(field, Test::Exists(true)));
                self.said(part, test)
            }
            _ => self.said(part, None),
        }
    }

    /// The operands of a chain of one operator.
    fn flat(&mut self, part: &IdedExpr, operator: &str) -> Vec<Clause> {
        match &part.expr {
            Expr::Call(call) if call.func_name == operator => {
                call.args.iter().flat_map(|operand| self.flat(operand, operator)).collect()
            }
            _ => vec![self.clause(part)],
        }
    }

    /// A test in the words that it was written in; what is none is the interpreter's.
    fn said(&mut self, part: &IdedExpr, translated: Option<Translated>) -> Clause {
        let span = self.places.whole(part);
        let source =
            span.and_then(|span| self.places.source.get(span)).unwrap_or(self.places.source);
        let Some(Translated { field, test, negated }) = translated else {
            return Clause::Cel(CelTest::new(self.path, source, part, self.known, self.env));
        };
        let said = Said { text: source.into(), opposite: negated };
        let clause =
            Clause::Test(FieldTest { field, path: self.path.into(), test, said: Some(said) });
        if negated { clause.negated() } else { clause }
    }

    fn test(&mut self, call: &CallExpr) -> Option<Translated> {
        match (&*call.func_name, call.target.as_deref(), &*call.args) {
            ("startsWith" | "endsWith" | "contains" | "matches", Some(target), [argument])
            | ("matches", None, [target, argument]) => {
                self.text_test(&call.func_name, field_of(target)?, argument)
            }
            (operators::IN, None, [one, list]) => self.one_of(field_of(one)?, list),
            (operator, None, [one, other]) => match (field_of(one), field_of(other)) {
                (Some(field), None) => compared(operator, field, &self.written(other)?),
                (None, Some(field)) => compared(mirrored(operator)?, field, &self.written(one)?),
                _ => None,
            },
            _ => None,
        }
    }

    fn text_test(
        &mut self,
        function: &str,
        field: Field,
        argument: &IdedExpr,
    ) -> Option<Translated> {
        let Written::Text(text) = self.written(argument)? else { return None };
        let escaped = || {
            let mut escaped = String::new();
            regex_syntax::escape_into(&text, &mut escaped);
            escaped
        };
        let pattern = match function {
            "contains" => return Some(Translated::is(field, Test::Contains(vec![text]))),
            "matches" => {
                let pattern = self.known.patterns.get(&*text)?.clone();
                return Some(Translated::is(field, Test::Regex(vec![pattern])));
            }
            "startsWith" => escaped() + "(?s:.*)",
            _ => "(?s:.*)".to_owned() + &escaped(),
        };
        // A text that is too long for it is the interpreter's.
        let pattern = self.expressions.pattern(&pattern).ok()?;
        Some(Translated::is(field, Test::Regex(vec![pattern])))
    }

    fn one_of(&self, field: Field, list: &IdedExpr) -> Option<Translated> {
        let Expr::List(list) = &list.expr else { return None };
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for element in &list.elements {
            match self.written(element)? {
                Written::Text(text) => texts.push(text),
                Written::Number(number) => numbers.push(number),
                Written::Time(_) => return None,
            }
        }
        match (texts.is_empty(), numbers.is_empty()) {
            (false, true) => Some(Translated::is(field, Test::Is(texts))),
            (true, false) => Some(Translated::is(field, Test::IsNumber(numbers))),
            _ => None,
        }
    }

    fn written(&self, part: &IdedExpr) -> Option<Written> {
        match &part.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(Written::Text(text.inner().into())),
            Expr::Literal(LiteralValue::Int(number)) => Some(Written::Number(*number.inner())),
            Expr::Call(_) => {
                let instant = self.known.instants.get(&part.id)?;
                Timestamp::from_microsecond(*instant).ok().map(Written::Time)
            }
            _ => None,
        }
    }
}

/// The field that a part is.
fn field_of(part: &IdedExpr) -> Option<Field> {
    match &part.expr {
        Expr::Select(select) if !select.test => Field::by_name(&select.field),
        _ => None,
    }
}

/// The operator with its sides exchanged.
fn mirrored(operator: &str) -> Option<&'static str> {
    Some(match operator {
        operators::EQUALS => operators::EQUALS,
        operators::NOT_EQUALS => operators::NOT_EQUALS,
        operators::LESS => operators::GREATER,
        operators::LESS_EQUALS => operators::GREATER_EQUALS,
        operators::GREATER => operators::LESS,
        operators::GREATER_EQUALS => operators::LESS_EQUALS,
        _ => return None,
    })
}

fn compared(operator: &str, field: Field, value: &Written) -> Option<Translated> {
    let (is, is_not) = (Translated::is, Translated::is_not);
    Some(match (operator, value) {
        (operators::EQUALS, Written::Text(text)) => is(field, Test::Is(vec![text.clone()])),
        (operators::NOT_EQUALS, Written::Text(text)) => is_not(field, Test::Is(vec![text.clone()])),
        (operators::EQUALS, Written::Number(number)) => is(field, Test::IsNumber(vec![*number])),
        (operators::NOT_EQUALS, Written::Number(number)) => {
            is_not(field, Test::IsNumber(vec![*number]))
        }
        (operators::GREATER_EQUALS, Written::Number(number)) => is(field, Test::Min(*number)),
        (operators::LESS_EQUALS, Written::Number(number)) => is(field, Test::Max(*number)),
        (operators::LESS, Written::Number(number)) => is_not(field, Test::Min(*number)),
        (operators::GREATER, Written::Number(number)) => is_not(field, Test::Max(*number)),
        (operators::GREATER_EQUALS, Written::Time(time)) => is(field, Test::NotBefore(*time)),
        (operators::LESS_EQUALS, Written::Time(time)) => is(field, Test::NotAfter(*time)),
        (operators::LESS, Written::Time(time)) => is_not(field, Test::NotBefore(*time)),
        (operators::GREATER, Written::Time(time)) => is_not(field, Test::NotAfter(*time)),
        _ => return None,
    })
}
