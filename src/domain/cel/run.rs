//! A part of an expression that no clause can say, left to the interpreter.
//!
//! Before it runs its fields become variables that are asked for one by one, its instants numbers,
//! and its regular expressions and time zones are those that were made when it was checked: the
//! interpreter compiles and looks up nothing. Deliberately absent: bounds, which `check` kept.

use std::{collections::BTreeSet, fmt, sync::Arc};

use cel::{
    Context, Env, ExecutionError, IdedExpr, Value,
    common::{
        ast::{CallExpr, Expr, LiteralValue},
        types::{CelBool, CelInt, CelString},
        value::CowVal,
    },
    context::VariableResolver,
    extractors::This,
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{check::Known, types::CALENDAR};
use crate::domain::{
    entry::{self, Entry},
    field::Field,
    verdict::{ClauseReport, Truth},
    wording,
};

/// What the variable of a field is called; nobody can write such a name.
const FIELD: char = '@';

/// What the variable that says whether a field is there is called.
const HAS: &str = "@has.";

/// A test that an expression makes. Cheap to clone; two are equal when they are written alike at
/// the same place.
#[derive(Clone)]
pub struct CelTest(Arc<Inner>);

struct Inner {
    path: Box<str>,
    /// As it was written.
    source: Box<str>,
    /// The fields that it reads.
    fields: Box<[Field]>,
    expression: IdedExpr,
    /// The functions that it calls, and no variable.
    context: Context<'static, 'static>,
}

impl CelTest {
    /// A checked part of an expression.
    pub(super) fn new(
        path: &str,
        source: &str,
        expression: &IdedExpr,
        known: &Known,
        env: &Arc<Env>,
    ) -> Self {
        let mut expression = expression.clone();
        let mut rewriting =
            Rewriting { known, fields: BTreeSet::new(), functions: BTreeSet::new() };
        rewriting.rewrite(&mut expression);
        let mut context = Context::with_env(env.clone());
        for name in &rewriting.functions {
            add_function(&mut context, name, known);
        }
        Self(Arc::new(Inner {
            path: path.into(),
            source: source.into(),
            fields: rewriting.fields.into_iter().collect(),
            expression,
            context,
        }))
    }

    /// The fields that it reads.
    pub fn fields(&self) -> &[Field] {
        &self.0.fields
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Where it is written, from the rule: `match.cel`.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Its value; an error is unknown.
    pub fn evaluate(&self, entry: &Entry) -> Truth {
        self.run(entry).map_or(Truth::Unknown, Truth::from)
    }

    fn run(&self, entry: &Entry) -> Result<bool, String> {
        let variables = Variables { entry };
        let mut context = self.0.context.new_inner_scope();
        context.set_variable_resolver(&variables);
        let value = Value::resolve_val(&self.0.expression, &context).map_err(|it| told(&it))?;
        let truth = value.downcast_ref::<CelBool>().map(|truth| *truth.inner());
        truth.ok_or_else(|| "it is neither true nor false".to_owned())
    }

    /// The test beside what it met; `negated` where it stands under an odd number of `not`s.
    pub(in crate::domain) fn report(&self, negated: bool, entry: &Entry) -> ClauseReport {
        let result = self.run(entry);
        let truth = result.as_ref().map_or(Truth::Unknown, |&truth| truth.into());
        let values = self.0.fields.iter().map(|&field| match entry.text(field) {
            Some(text) => format!("{field} {}", wording::shortened(&text)),
            None => format!("no {field}"),
        });
        let mut seen: Vec<String> = values.collect();
        if let Err(error) = result
            && self.0.fields.iter().all(|&field| entry.value(field).is_some())
        {
            seen.push(error);
        }
        let source = wording::shortened(&self.0.source);
        ClauseReport {
            path: self.0.path.to_string(),
            wanted: if negated { format!("!({source})") } else { source },
            seen: (!seen.is_empty()).then(|| seen.join(", ")),
            truth: if negated { truth.negate() } else { truth },
        }
    }
}

impl PartialEq for CelTest {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.path, &self.0.source) == (&other.0.path, &other.0.source)
    }
}

impl Eq for CelTest {}

impl fmt::Debug for CelTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CelTest({})", self.0.source)
    }
}

/// Why an evaluation came to nothing, without values, which may be long.
fn told(error: &ExecutionError) -> String {
    match error {
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "divided by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number grew too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list has no such item".to_owned(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` failed"),
        _ => "it came to no value".to_owned(),
    }
}

/// An entry's fields as variables, each read when it is asked for.
struct Variables<'a> {
    entry: &'a Entry,
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(name) = variable.strip_prefix(HAS) {
            let there = self.entry.value(Field::by_name(name)?).is_some();
            return Some(CowVal::owned(CelBool::from(there)));
        }
        let field = Field::by_name(variable.strip_prefix(FIELD)?)?;
        Some(match self.entry.value(field)? {
            entry::Value::Text(text) => CowVal::owned(CelString::from(text)),
            // A region whose name is not known is its number, a text all the same.
            entry::Value::Number(number) if field == Field::Region => {
                CowVal::owned(CelString::from(number.to_string()))
            }
            entry::Value::Number(number) => CowVal::owned(CelInt::from(number)),
            entry::Value::Time(time) => CowVal::owned(CelInt::from(time.as_microsecond())),
        })
    }
}

/// Puts what is known in place of what would be looked up.
struct Rewriting<'a> {
    known: &'a Known,
    fields: BTreeSet<Field>,
    functions: BTreeSet<String>,
}

impl Rewriting<'_> {
    fn rewrite(&mut self, part: &mut IdedExpr) {
        match &mut part.expr {
            Expr::Select(select) => {
                // Only `entry` has fields, as was checked.
                let prefix = if select.test { HAS.to_owned() } else { FIELD.to_string() };
                self.fields.extend(Field::by_name(&select.field));
                part.expr = Expr::Ident(prefix + &select.field);
            }
            Expr::Call(call) => {
                if let Some(&instant) = self.known.instants.get(&part.id) {
                    part.expr = Expr::Literal(LiteralValue::Int(CelInt::from(instant)));
                    return;
                }
                self.call(call);
            }
            Expr::List(list) => list.elements.iter_mut().for_each(|part| self.rewrite(part)),
            Expr::Comprehension(comprehension) => {
                let parts = [
                    &mut comprehension.iter_range,
                    &mut comprehension.accu_init,
                    &mut comprehension.loop_cond,
                    &mut comprehension.loop_step,
                    &mut comprehension.result,
                ];
                parts.into_iter().for_each(|part| self.rewrite(part));
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &mut CallExpr) {
        call.target.iter_mut().for_each(|target| self.rewrite(target));
        call.args.iter_mut().for_each(|argument| self.rewrite(argument));
        let of_time = CALENDAR.contains(&&*call.func_name);
        if of_time && call.args.is_empty() {
            let utc = LiteralValue::String(CelString::from("UTC"));
            call.args.push(IdedExpr { id: 0, expr: Expr::Literal(utc) });
        }
        if of_time || call.func_name == "matches" {
            self.functions.insert(call.func_name.clone());
        }
    }
}

/// Adds `matches`, or a function of the calendar.
fn add_function(context: &mut Context<'static, 'static>, name: &str, known: &Known) {
    let added = if name == "matches" {
        let patterns = known.patterns.clone();
        context.add_function(name, move |This(text): This<Arc<String>>, wanted: Arc<String>| {
            let pattern = patterns.get(wanted.as_str());
            pattern.map(|pattern| pattern.is_match(&text)).ok_or_else(|| unknown(&wanted))
        })
    } else {
        let (zones, part) = (known.zones.clone(), name.to_owned());
        context.add_function(name, move |This(time): This<i64>, zone: Arc<String>| {
            let zone = match zone.as_str() {
                "UTC" => Some(TimeZone::UTC),
                name => zones.get(name).cloned(),
            };
            let instant = Timestamp::from_microsecond(time).ok();
            let local = zone.zip(instant).map(|(zone, instant)| zone.to_datetime(instant));
            local.and_then(|local| part_of(&part, local)).ok_or_else(|| unknown(&part))
        })
    };
    // The environment has no overload of these names: its features for them are left out.
    added.expect("the names are free");
}

fn unknown(what: &str) -> ExecutionError {
    ExecutionError::function_error(what, "not known beforehand")
}

/// A part of a date and time, counted as CEL does: months, days of the month and of the year from 0
/// (`getDate` from 1), days of the week from Sunday.
fn part_of(part: &str, local: DateTime) -> Option<i64> {
    Some(match part {
        "getFullYear" => i64::from(local.year()),
        "getMonth" => i64::from(local.month()) - 1,
        "getDate" => i64::from(local.day()),
        "getDayOfMonth" => i64::from(local.day()) - 1,
        "getDayOfWeek" => i64::from(local.weekday().to_sunday_zero_offset()),
        "getDayOfYear" => i64::from(local.date().day_of_year()) - 1,
        "getHours" => i64::from(local.hour()),
        "getMinutes" => i64::from(local.minute()),
        "getSeconds" => i64::from(local.second()),
        _ => return None,
    })
}
