//! What each part of an expression is and at most costs, and with it everything that can be known to
//! be wrong before any entry is seen.
//!
//! Entries have texts, whole numbers and one instant, so every part has one type. Lists come only
//! from the expression itself, so the steps of its loops can be counted; what may take too many is
//! refused, and no clock is needed when it runs. Deliberately absent: values.

use std::{collections::HashMap, ops::Range};

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr},
};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    CelError, Fault, Places, Zones,
    types::{CALENDAR, Kind, function_names, methods},
};
use crate::domain::{
    expression::Pattern,
    field::{Field, FieldKind},
};

/// The most steps that an expression may take, each at most about a microsecond.
const MAX_STEPS: u64 = 10_000;

/// The most texts of an entry that a value may hold together: what `+` makes longer.
const MAX_SIZE: u64 = 10_000;

/// What the texts of an expression stand for, found out once.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The regular expressions of `matches`, each anchored around the text it is looked for in.
    pub(super) patterns: HashMap<String, Pattern>,
    /// The time zones.
    pub(super) zones: HashMap<String, TimeZone>,
    /// By node: the instants of `timestamp('…')`, in microseconds since 1970.
    pub(super) instants: HashMap<u64, i64>,
}

/// What is known of a part.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// Steps to come by it.
    pub(super) cost: u64,
    /// How many texts it holds at most.
    pub(super) size: u64,
    /// How many items, of a list.
    pub(super) length: u64,
}

impl Part {
    fn new(kind: Kind, cost: u64) -> Self {
        Self { kind, cost, size: 1, length: 0 }
    }

    /// What one item of a list holds.
    fn item(&self) -> Self {
        let kind = match &self.kind {
            Kind::List(kind) => (**kind).clone(),
            _ => Kind::Nothing,
        };
        let inner = if matches!(kind, Kind::List(_)) { self.size } else { 0 };
        Self { kind, cost: 0, size: self.size.div_ceil(self.length.max(1)).max(1), length: inner }
    }
}

/// Looks at a whole expression.
pub(super) fn check(
    expression: &IdedExpr,
    places: &Places<'_>,
    zones: Zones<'_>,
) -> Result<Known, Vec<CelError>> {
    let mut checker =
        Checker { places, zones, known: Known::default(), errors: Vec::new(), scopes: Vec::new() };
    if let Some(whole) = checker.part(expression) {
        if whole.kind != Kind::Bool && whole.kind != Kind::Nothing {
            let message = format!("the expression gives {}, not true or false", whole.kind);
            let help = "compare it with something: `entry.returnCode >= 400`";
            checker.add(CelError::new(Fault::Mistyped, message, None).help(help));
        } else if whole.cost > MAX_STEPS {
            let message =
                format!("the expression may take {} steps, more than {MAX_STEPS}", whole.cost);
            let help = "lists within lists multiply; make them shorter, or use `in`";
            checker.add(CelError::new(Fault::TooLarge, message, None).help(help));
        }
    }
    if checker.errors.is_empty() { Ok(checker.known) } else { Err(checker.errors) }
}

pub(super) struct Checker<'a> {
    pub(super) places: &'a Places<'a>,
    zones: Zones<'a>,
    known: Known,
    errors: Vec<CelError>,
    /// The variables of the macros around, innermost last.
    scopes: Vec<(String, Part)>,
}

impl Checker<'_> {
    fn add(&mut self, error: CelError) {
        self.errors.push(error);
    }

    /// Reports something that can't work at a node.
    pub(super) fn mistyped(
        &mut self,
        span: Option<Range<usize>>,
        message: String,
        help: &str,
    ) -> Option<Part> {
        self.add(CelError::new(Fault::Mistyped, message, span).help(help));
        None
    }

    /// Looks at a part. `None` where something in it is wrong, which is reported.
    fn part(&mut self, expression: &IdedExpr) -> Option<Part> {
        let part = match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(name) => self.name(expression, name),
            Expr::Select(select) => self.select(expression, select),
            Expr::Call(call) => self.call(expression, call),
            Expr::List(list) => self.list(&list.elements),
            Expr::Comprehension(comprehension) => self.comprehension(expression, comprehension),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                let help = "compare with lists: `entry.namespace in ['prod', 'canary']`";
                self.mistyped(
                    self.places.token(expression.id),
                    "maps are not part of what rules may use".to_owned(),
                    help,
                )
            }
        }?;
        if part.size > MAX_SIZE {
            let message = "the expression may make values that are too large".to_owned();
            let span = self.places.token(expression.id);
            let help = "`+` within a macro doubles again and again; take it apart";
            self.add(CelError::new(Fault::TooLarge, message, span).help(help));
            return None;
        }
        Some(part)
    }

    fn literal(&mut self, expression: &IdedExpr, literal: &LiteralValue) -> Option<Part> {
        let kind = match literal {
            LiteralValue::Boolean(_) => Kind::Bool,
            LiteralValue::Int(_) => Kind::Int,
            LiteralValue::Double(_) => Kind::Double,
            LiteralValue::String(_) => Kind::Text,
            LiteralValue::Null | LiteralValue::Bytes(_) | LiteralValue::UInt(_) => {
                let help = "an absent field makes the clause unknown; ask with `has(entry.tag)`";
                return self.mistyped(
                    self.places.token(expression.id),
                    "entries have texts, whole numbers and an instant, and nothing like this"
                        .into(),
                    help,
                );
            }
        };
        Some(Part::new(kind, 1))
    }

    fn name(&mut self, expression: &IdedExpr, name: &str) -> Option<Part> {
        if let Some((_, part)) = self.scopes.iter().rev().find(|(known, _)| known == name) {
            return Some(Part { cost: 1 + part.size, ..part.clone() });
        }
        let span = self.places.token(expression.id);
        if name == "entry" {
            let message = "`entry` itself is no value".to_owned();
            return self.mistyped(span, message, "name one of its fields: `entry.service`");
        }
        let mut error = CelError::new(Fault::UnknownName, format!("`{name}` is not known"), span);
        error.help = Some(match Field::by_name(name) {
            Some(field) => format!("write `entry.{field}`"),
            None => format!("fields are `entry.service`; a text stands in quotes: `'{name}'`"),
        });
        self.add(error);
        None
    }

    fn select(&mut self, expression: &IdedExpr, select: &SelectExpr) -> Option<Part> {
        let span = self.places.name_after(expression.id, &select.field);
        if !matches!(&select.operand.expr, Expr::Ident(name) if name == "entry") {
            self.part(&select.operand)?;
            let message =
                format!("nothing but `entry` has fields, so there is no `.{}`", select.field);
            return self.mistyped(span, message, "name a field: `entry.service`");
        }
        let Some(field) = Field::by_name(&select.field) else {
            let message = format!("entries have no field `{}`", select.field);
            let mut error = CelError::new(Fault::UnknownField, message, span);
            error.name = Some(select.field.clone());
            error.known = Field::ALL.iter().map(|field| field.name()).collect();
            self.add(error);
            return None;
        };
        Some(Part::new(if select.test { Kind::Bool } else { kind_of(field) }, 1))
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Option<Part> {
        let mut whole = Part { size: 0, ..Part::new(Kind::List(Box::new(Kind::Nothing)), 1) };
        let parts: Vec<_> = elements.iter().map(|element| self.part(element)).collect();
        for (part, element) in parts.into_iter().zip(elements) {
            let part = part?;
            let list = Kind::List(Box::new(part.kind.clone()));
            let Some(kind) = whole.kind.join(&list) else {
                let message = format!("a list holds one kind of value, and here is {}", part.kind);
                let span = self.places.whole(element);
                return self.mistyped(span, message, "make them all texts, or all numbers");
            };
            whole.kind = kind;
            whole.cost = whole.cost.saturating_add(part.cost).saturating_add(part.size);
            whole.size = whole.size.saturating_add(part.size);
            whole.length += 1;
        }
        Some(whole)
    }

    /// A loop that a macro stands for: its steps times what each may cost.
    fn comprehension(
        &mut self,
        expression: &IdedExpr,
        comprehension: &ComprehensionExpr,
    ) -> Option<Part> {
        let range = self.part(&comprehension.iter_range)?;
        if !matches!(range.kind, Kind::List(_)) {
            let message = format!("this goes through the items of a list, not of {}", range.kind);
            let span = self.places.whole(&comprehension.iter_range);
            return self.mistyped(span, message, "write a list: `['a', 'b'].exists(x, …)`");
        }
        if comprehension.iter_var == "entry" {
            let message = "`entry` is the entry, and can't be the name of an item".to_owned();
            return self.mistyped(self.places.token(expression.id), message, "write `x`");
        }
        let start = self.part(&comprehension.accu_init)?;
        let depth = self.scopes.len();
        self.scopes.push((comprehension.accu_var.clone(), start.clone()));
        self.scopes.push((comprehension.iter_var.clone(), range.item()));
        let condition = self.part(&comprehension.loop_cond);
        let step = self.part(&comprehension.loop_step);
        self.scopes.truncate(depth);
        let (condition, step) = (condition?, step?);
        let kind = start.kind.join(&step.kind)?;
        let rounds = range.length;
        let grown = |end: u64, begin: u64| {
            begin.saturating_add(end.saturating_sub(begin).saturating_mul(rounds))
        };
        let end = Part {
            kind,
            cost: 0,
            size: grown(step.size, start.size),
            length: grown(step.length, start.length),
        };
        let per_round = condition.cost + step.cost + range.item().size + 1;
        self.scopes.push((comprehension.accu_var.clone(), end));
        let result = self.part(&comprehension.result);
        self.scopes.truncate(depth);
        let mut result = result?;
        result.cost = result
            .cost
            .saturating_add(range.cost)
            .saturating_add(start.cost)
            .saturating_add(per_round.saturating_mul(rounds));
        Some(result)
    }

    fn call(&mut self, expression: &IdedExpr, call: &CallExpr) -> Option<Part> {
        if call.target.is_none() && call.func_name == "timestamp" {
            return self.instant(expression, call);
        }
        let place = self.places.function(expression.id, &call.func_name);
        if is_operator(&call.func_name) {
            let arguments = self.arguments(call.args.iter())?;
            return self.operator(expression, call, &arguments, place);
        }
        let all: Vec<&IdedExpr> = call.target.iter().map(|it| &**it).chain(&call.args).collect();
        if !function_names().any(|name| name == call.func_name) {
            let message = format!("there is no function `{}`", call.func_name);
            let mut error = CelError::new(Fault::UnknownName, message, place);
            error.name = Some(call.func_name.clone());
            error.known = function_names().collect();
            self.add(error);
            return None;
        }
        let arguments = self.arguments(all.iter().copied())?;
        let kinds: Vec<&Kind> = arguments.iter().map(|part| &part.kind).collect();
        let member = call.target.is_some();
        let mut named = methods().filter(|method| method.name == call.func_name);
        let Some(method) = named.find(|method| method.fits(member, &kinds)) else {
            let named = methods().filter(|method| method.name == call.func_name);
            let signatures: Vec<String> = named.map(|method| method.to_string()).collect();
            let message = format!("`{}` is not used like this", call.func_name);
            return self.mistyped(place, message, &format!("write {}", signatures.join(" or ")));
        };
        let cost = arguments.iter().fold(1_u64, |cost, it| cost.saturating_add(it.cost + it.size));
        let size = arguments.first().map_or(1, |part| part.size);
        let last = all.last().copied();
        match &*call.func_name {
            "matches" => self.pattern(last)?,
            name if CALENDAR.contains(&name) && arguments.len() == 2 => self.zone(last)?,
            _ => {}
        }
        Some(Part { size, ..Part::new(method.gives(), cost) })
    }

    fn arguments<'e>(&mut self, parts: impl Iterator<Item = &'e IdedExpr>) -> Option<Vec<Part>> {
        let parts: Vec<_> = parts.map(|part| self.part(part)).collect();
        parts.into_iter().collect()
    }

    /// The regular expression of a `matches`, which is found anywhere in the text.
    fn pattern(&mut self, argument: Option<&IdedExpr>) -> Option<()> {
        let (span, text) =
            self.literal_text(argument, "matches", r"`entry.tag.matches('v[0-9]+')`")?;
        let found = Pattern::new(&text).and_then(|_| Pattern::new(&anywhere(&text)));
        match found {
            Ok(pattern) => {
                self.known.patterns.insert(text, pattern);
                Some(())
            }
            Err(error) => {
                let message = format!("that is not a regular expression: {}", error.message);
                self.mistyped(
                    span,
                    message,
                    r"in a text `\\` stands for a backslash; `r'\d'` is raw",
                )
                .map(|_| ())
            }
        }
    }

    fn zone(&mut self, argument: Option<&IdedExpr>) -> Option<()> {
        let (span, name) =
            self.literal_text(argument, "the time zone", "`entry.time.getHours('Asia/Shanghai')`")?;
        match (self.zones)(&name) {
            Some(zone) => {
                self.known.zones.insert(name, zone);
                Some(())
            }
            None => {
                let message = format!("there is no time zone `{name}`");
                self.mistyped(span, message, "write a name such as `'Asia/Shanghai'`").map(|_| ())
            }
        }
    }

    fn instant(&mut self, expression: &IdedExpr, call: &CallExpr) -> Option<Part> {
        let example = "`timestamp('2026-03-02T09:00:00+08:00')`";
        let (span, text) = self.literal_text(call.args.first(), "timestamp", example)?;
        match text.parse::<Timestamp>() {
            Ok(instant) if call.args.len() == 1 => {
                self.known.instants.insert(expression.id, instant.as_microsecond());
                Some(Part::new(Kind::Time, 1))
            }
            _ => {
                let message = format!("`{text}` is not an instant");
                self.mistyped(span, message, &format!("write {example}"))
            }
        }
    }

    /// A text that is written out, which is what can be looked at beforehand.
    fn literal_text(
        &mut self,
        argument: Option<&IdedExpr>,
        what: &str,
        example: &str,
    ) -> Option<(Option<Range<usize>>, String)> {
        let span = argument.and_then(|argument| self.places.whole(argument));
        if let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }) = argument {
            return Some((span, text.inner().to_owned()));
        }
        let message = format!("{what} takes a text that is written out");
        self.mistyped(span, message, &format!("write {example}"))?;
        None
    }
}

/// What a field's value is in an expression.
fn kind_of(field: Field) -> Kind {
    match field.kind() {
        FieldKind::Number => Kind::Int,
        FieldKind::Time => Kind::Time,
        _ => Kind::Text,
    }
}

/// Whether a call is an operator's: those have names that can't be written.
fn is_operator(name: &str) -> bool {
    name.starts_with(['_', '!', '-', '@']) && !name.chars().all(|one| one.is_alphanumeric())
}

/// A regular expression that matches a whole text in which another is found.
fn anywhere(text: &str) -> String {
    format!("(?s:.*?)(?:{text})(?s:.*)")
}
