//! What operators can stand between, what comes of it, and the remedy where they can't.
//!
//! Deliberately absent: functions (`types`), and the values.

use std::ops::Range;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, operators},
};

use super::{
    check::{Checker, Part},
    types::Kind,
};

impl Checker<'_> {
    /// Looks at an operator between parts that were looked at.
    pub(super) fn operator(
        &mut self,
        expression: &IdedExpr,
        call: &CallExpr,
        arguments: &[Part],
        place: Option<Range<usize>>,
    ) -> Option<Part> {
        let kinds: Vec<&Kind> = arguments.iter().map(|part| &part.kind).collect();
        let Some(kind) = comes_of(&call.func_name, &kinds) else {
            return self.unfit(expression, call, &kinds, place);
        };
        if let [_, divisor] = &*call.args
            && matches!(&*call.func_name, operators::DIVIDE | operators::MODULO)
            && kind == Kind::Int
            && is_zero(divisor)
        {
            let help = "write another number; a clause without a value never holds";
            let message = "what is divided by zero has no value".to_owned();
            return self.mistyped(place, message, help);
        }
        let sum = |of: fn(&Part) -> u64| arguments.iter().map(of).fold(0, u64::saturating_add);
        let most = |of: fn(&Part) -> u64| arguments.iter().map(of).max().unwrap_or(0);
        let sizes = sum(|part| part.size);
        let (size, length) = match (&*call.func_name, &kind) {
            (operators::ADD, Kind::List(_) | Kind::Text) => (sizes, sum(|part| part.length)),
            (_, Kind::List(_) | Kind::Text) => (most(|part| part.size), most(|part| part.length)),
            _ => (1, 0),
        };
        let cost = sum(|part| part.cost).saturating_add(sizes).saturating_add(1);
        Some(Part { kind, cost, size, length })
    }

    /// Reports an operator between what it can't stand between, with the remedy where one is near.
    fn unfit(
        &mut self,
        expression: &IdedExpr,
        call: &CallExpr,
        kinds: &[&Kind],
        place: Option<Range<usize>>,
    ) -> Option<Part> {
        let sign = self.places.token(expression.id).map(|span| &self.places.source[span]);
        let sign = sign.unwrap_or(&call.func_name).to_owned();
        let message = match kinds {
            [one, other] if call.func_name != operators::INDEX => {
                format!("`{sign}` can't stand between {one} and {other}")
            }
            [one, ..] => format!("`{sign}` can't be used with {one}"),
            [] => format!("`{sign}` can't be used here"),
        };
        let literal = |part: &IdedExpr| match &part.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
            _ => None,
        };
        let text = call.args.iter().find_map(literal);
        let help = match (kinds, text) {
            ([Kind::Time, Kind::Text] | [Kind::Text, Kind::Time], _) => {
                "write `timestamp('2026-03-02T09:00:00+08:00')`".to_owned()
            }
            ([Kind::Int, Kind::Text] | [Kind::Text, Kind::Int], Some(text))
                if text.parse::<i64>().is_ok() =>
            {
                format!("write `{text}`, without quotes")
            }
            ([Kind::Int, Kind::Text] | [Kind::Text, Kind::Int], _) => {
                "write a number, or make a text of it: `string(entry.returnCode)`".to_owned()
            }
            ([_, Kind::Bool] | [Kind::Bool, _], _) => {
                "compare each side with something: `entry.returnCode != 0`".to_owned()
            }
            _ => "both sides have to be of one kind".to_owned(),
        };
        self.mistyped(place, message, &help)
    }
}

/// Whether a part is a zero that is written out.
fn is_zero(part: &IdedExpr) -> bool {
    match &part.expr {
        Expr::Literal(LiteralValue::Int(number)) => *number.inner() == 0,
        Expr::Call(call) if call.func_name == operators::NEGATE => call.args.iter().all(is_zero),
        _ => false,
    }
}

/// What comes of an operator between values of such kinds, where it can stand there.
fn comes_of(operator: &str, kinds: &[&Kind]) -> Option<Kind> {
    use Kind::{Bool, Double, Int, List, Nothing, Text, Time};
    let numbers = |one: &Kind, other: &Kind| {
        [one, other].into_iter().all(|kind| matches!(kind, Int | Double | Nothing))
    };
    match (operator, kinds) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [Bool, Bool]) => Some(Bool),
        (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [Bool]) => Some(Bool),
        (operators::CONDITIONAL, [Bool, one, other]) => one.join(other),
        (operators::EQUALS | operators::NOT_EQUALS, [one, other]) => {
            (one.join(other).is_some() || numbers(one, other)).then_some(Bool)
        }
        (
            operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS,
            [one, other],
        ) => {
            let ordered = matches!((one, other), (Text, Text) | (Time, Time));
            (ordered || numbers(one, other)).then_some(Bool)
        }
        (operators::ADD, [one, other]) => {
            one.join(other).filter(|kind| matches!(kind, Int | Double | Text | List(_)))
        }
        (operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE, [one, other]) => {
            one.join(other).filter(|kind| matches!(kind, Int | Double))
        }
        (operators::MODULO, [Int, Int]) => Some(Int),
        (operators::NEGATE, [kind @ (Int | Double)]) => Some((*kind).clone()),
        (operators::IN, [one, List(item)]) => one.join(item).map(|_| Bool),
        (operators::INDEX, [List(item), Int]) => Some((**item).clone()),
        _ => None,
    }
}
