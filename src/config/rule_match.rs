//! `match` and `recover`: from a tree to checked clauses (design 2.2).
//!
//! Scalars take their text: `tag: 1.10`, `007`, `no` and `1e3` mean those characters. What a bare
//! scalar means is the field's to say. Deliberately absent: what clauses mean (`domain::clause`), and
//! the language of `cel` (`domain::cel`), whose mistakes are only placed here.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{misread, values::ANY_DURATION};
use crate::{
    document::{Code, MapReader, Place, Problem, Span, Value, nearest},
    domain::{
        cel::{CelError, Compiler, Fault},
        clause::{Clause, Test},
        entry::region_names,
        expression::{Expressions, Glob, Pattern, PatternError},
        field::{Field, FieldKind},
    },
};

/// The deepest nesting of `any`, `all` and `not`.
const MAX_NESTING: usize = 16;

/// The most values that one list of a clause takes.
const MAX_VALUES: usize = 10_000;

/// The operators, in the order in which people are told of them.
const OPERATORS: [&str; 9] =
    ["is", "not", "in", "glob", "regex", "contains", "min", "max", "exists"];

/// The operators that numbers have.
pub(super) const NUMBER_OPERATORS: [&str; 6] = ["is", "not", "in", "min", "max", "exists"];

/// The operators that texts have.
pub(super) const TEXT_OPERATORS: [&str; 7] =
    ["is", "not", "in", "glob", "regex", "contains", "exists"];

/// The operators of `time`.
pub(super) const TIME_OPERATORS: [&str; 3] = ["min", "max", "since"];

/// What clauses of one rule set are read with.
pub(super) struct ClauseReader<'a> {
    /// The zone of instants without an offset.
    pub(super) zone: &'a TimeZone,
    /// Globs and regular expressions, each made once.
    pub(super) expressions: &'a mut Expressions,
    /// What reads `cel`.
    pub(super) compiler: &'a Compiler,
    /// The regular expressions that tags are compared with are put down here.
    pub(super) tags: &'a mut Vec<(Pattern, Place)>,
    /// The names of sources that are asked for are put down here, each with what to say of it where
    /// there is no such source.
    pub(super) sources: &'a mut Vec<(Box<str>, Problem)>,
}

/// Where a clause stands in its rule: `match.any[0].tag`.
type Path = String;

impl ClauseReader<'_> {
    /// Reads a map of clauses, all of which must hold. `None` when there was a problem, which is
    /// reported; every other clause of it is checked all the same.
    pub(super) fn clauses(&mut self, value: Value<'_>, path: &str, depth: usize) -> Option<Clause> {
        if depth > MAX_NESTING {
            let message = format!("clauses are nested more than {MAX_NESTING} deep");
            value.add(value.problem(Code::TooLarge, message).help("put them into separate rules"));
            return None;
        }
        if value.is_list() {
            let message = format!("`{}` takes a map of clauses, not a list", value.key());
            let help = "write `any: [{…}, {…}]` inside it where one of several must hold";
            value.add(value.problem(Code::WrongShape, message).help(help));
            return None;
        }
        let mut clauses = Vec::new();
        let entries = value.entries()?;
        let mut whole = value.is_complete();
        for (entry, inner) in entries {
            let key = &*entry.key.text;
            let path = format!("{path}.{key}");
            let clause = match key {
                "any" | "all" => self.combined(inner, key, &path, depth),
                "not" => self.clauses(inner, &path, depth + 1).map(Clause::negated),
                "cel" => self.cel(inner, &path),
                name => match Field::by_name(name) {
                    Some(field) => self.field(field, inner, path),
                    None => {
                        unknown_field(value, entry.key.span, name);
                        None
                    }
                },
            };
            whole &= clause.is_some();
            clauses.extend(clause);
        }
        whole.then(|| if clauses.len() == 1 { clauses.remove(0) } else { Clause::All(clauses) })
    }

    fn combined(
        &mut self,
        value: Value<'_>,
        key: &str,
        path: &str,
        depth: usize,
    ) -> Option<Clause> {
        if !value.is_list() {
            let message = format!("`{key}` takes a list of maps of clauses");
            if value.is_complete() || value.is_map() {
                let help = format!("write `{key}: [{{repo: a/*}}, {{repo: b/*}}]`");
                value.add(value.problem(Code::WrongShape, message).help(help));
            }
            return None;
        }
        let items = value.some()?;
        let wanted = items.len();
        let clauses: Vec<Clause> = items
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| self.clauses(item, &format!("{path}[{index}]"), depth + 1))
            .collect();
        (clauses.len() == wanted).then(|| match key {
            "any" => Clause::Any(clauses),
            _ => Clause::All(clauses),
        })
    }

    /// A CEL expression, each of whose mistakes is told at its place.
    fn cel(&mut self, value: Value<'_>, path: &str) -> Option<Clause> {
        let text = value.text_as("a CEL expression")?;
        let zones = |name: &str| TimeZone::get(name).ok();
        let compiled = self.compiler.compile(text, path, self.expressions, &zones);
        compiled.map_err(|errors| errors.into_iter().for_each(|it| bad_cel(value, it))).ok()
    }

    /// What is asked of one field: a bare value, a list of them, or a map of operators.
    fn field(&mut self, field: Field, value: Value<'_>, path: Path) -> Option<Clause> {
        if value.is_map() {
            return self.operators(field, value, &path);
        }
        if field.kind() == FieldKind::Time {
            let message = "`time` takes only `min`, `max` and `since`";
            let help = "write `time: {since: 2h}` or `time: {min: 2026-03-02T09:00:00+08:00}`";
            value.add(value.problem(Code::UnfitOperator, message).help(help));
            return None;
        }
        self.bare(field, value).map(|test| Clause::test(field, path, test))
    }

    fn operators(&mut self, field: Field, value: Value<'_>, path: &str) -> Option<Clause> {
        let mut map = value.map()?;
        let before = value.report().errors();
        let known: &[&'static str] = match field.kind() {
            FieldKind::Time => &TIME_OPERATORS,
            FieldKind::Number => &NUMBER_OPERATORS,
            _ => &TEXT_OPERATORS,
        };
        let mut clauses = Vec::new();
        for &operator in known {
            if let Some(wanted) = map.get(operator) {
                let path = format!("{path}.{operator}");
                clauses.extend(self.operator(field, operator, wanted, path));
            }
        }
        // Those of other fields are not known here, and no riddle either.
        let others = OPERATORS.iter().filter(|_| field.kind() != FieldKind::Time);
        for &operator in others.filter(|operator| !known.contains(operator)) {
            if let Some((_, wanted)) = map.place_of(operator) {
                map.pass_over(operator);
                clauses.extend(self.operator(field, operator, wanted, String::new()));
            }
        }
        let empty = clauses.is_empty() && value.report().errors() == before;
        finish_operators(map, field);
        if value.report().errors() > before || !value.is_complete() {
            return None;
        }
        if empty {
            let message = format!("`{field}` has no operator");
            value
                .add(value.problem(Code::Empty, message).known("operators", known.iter().copied()));
            return None;
        }
        Some(if clauses.len() == 1 { clauses.remove(0) } else { Clause::All(clauses) })
    }

    fn operator(
        &mut self,
        field: Field,
        operator: &'static str,
        value: Value<'_>,
        path: Path,
    ) -> Option<Clause> {
        let test = match (operator, field.kind()) {
            ("min", FieldKind::Time) => Test::NotBefore(self.instant(value)?),
            ("max", FieldKind::Time) => Test::NotAfter(self.instant(value)?),
            ("since", FieldKind::Time) => Test::Since(value.duration(ANY_DURATION)?),
            (_, FieldKind::Time) => return unfit(field, operator, value),
            ("exists", _) => Test::Exists(value.boolean()?),
            ("not", _) => return self.negated(field, value, path),
            ("is" | "in", FieldKind::Number) => Test::IsNumber(numbers(field, value)?),
            ("min", FieldKind::Number) => Test::Min(number(field, value)?),
            ("max", FieldKind::Number) => Test::Max(number(field, value)?),
            (_, FieldKind::Number) | ("min" | "max" | "since", _) => {
                return unfit(field, operator, value);
            }
            ("is" | "in", _) => Test::Is(self.exactly(field, value)?),
            ("contains", _) => Test::Contains(texts(value)?),
            ("glob", _) => Test::Glob(each(value, |item| self.glob(item))?),
            (_, _) => Test::Regex(each(value, |item| self.pattern_of(field, item))?),
        };
        Some(Clause::test(field, path, test))
    }

    fn negated(&mut self, field: Field, value: Value<'_>, path: Path) -> Option<Clause> {
        if value.is_map() {
            let message = format!("`not` under `{field}` takes a value or a list of values");
            let help = format!("to negate operators write `not: {{{field}: {{…}}}}`");
            value.add(value.problem(Code::WrongShape, message).help(help));
            return None;
        }
        let test = self.bare(field, value)?;
        Some(Clause::test(field, path, test).negated())
    }

    /// A bare value, or a list of them, in the meaning that the field gives them.
    fn bare(&mut self, field: Field, value: Value<'_>) -> Option<Test> {
        Some(match field.kind() {
            FieldKind::Number => Test::IsNumber(numbers(field, value)?),
            FieldKind::Contains => Test::Contains(texts(value)?),
            FieldKind::Exact => Test::Is(self.exactly(field, value)?),
            FieldKind::Glob => Test::Glob(each(value, |item| {
                let glob = self.glob(item)?;
                misread::regex_as_glob(field, item, &glob);
                known_region(field, item, glob.text()).then_some(glob)
            })?),
            FieldKind::Regex => Test::Regex(each(value, |item| {
                let pattern = self.pattern_of(field, item)?;
                misread::glob_as_regex(field, item, &pattern);
                Some(pattern)
            })?),
            FieldKind::Time => return None,
        })
    }

    fn exactly(&mut self, field: Field, value: Value<'_>) -> Option<Vec<Box<str>>> {
        each(value, |item| {
            let text: Box<str> = item.raw_text()?.into();
            if !known_region(field, item, &text) {
                return None;
            }
            if field == Field::Source {
                let message = format!("no source is named {}", item.found());
                self.sources.push((text.clone(), item.problem(Code::UnknownSource, message)));
            }
            Some(text)
        })
    }

    fn glob(&mut self, value: Value<'_>) -> Option<Glob> {
        let text = value.raw_text()?;
        let glob = self.expressions.glob(text);
        glob.map_err(|error| bad_expression(value, Code::BadGlob, "glob", &error, None)).ok()
    }

    fn pattern_of(&mut self, field: Field, value: Value<'_>) -> Option<Pattern> {
        let pattern = self.pattern(value)?;
        if field == Field::Tag {
            self.tags.push((pattern.clone(), value.place()));
        }
        Some(pattern)
    }

    fn pattern(&mut self, value: Value<'_>) -> Option<Pattern> {
        let text = value.raw_text()?;
        let pattern = self.expressions.pattern(text);
        pattern
            .map_err(|error| {
                let help = misread::as_regex(text).map(|meant| {
                    format!("if a glob is meant, write `{{glob: '{text}'}}`, or `{meant}`")
                });
                bad_expression(value, Code::BadRegex, "regular expression", &error, help);
            })
            .ok()
    }

    /// An instant: RFC 3339, or a local date and time in the configuration's zone.
    fn instant(&self, value: Value<'_>) -> Option<Timestamp> {
        let text = value.text_as("an instant")?;
        let local = || {
            let local: DateTime = text.parse().ok()?;
            self.zone.to_timestamp(local).ok()
        };
        let instant = text.parse::<Timestamp>().ok().or_else(local);
        if instant.is_none() {
            let message = format!("`{}` takes an instant", value.key());
            let help =
                "write `2026-03-02T09:00:00+08:00`, or without the offset for the local time";
            value.add(value.problem(Code::BadTime, message).help(help));
        }
        instant
    }
}

/// Each value of a list, or the one; `None` where one had a problem, after all were looked at.
fn each<T>(value: Value<'_>, mut read: impl FnMut(Value<'_>) -> Option<T>) -> Option<Vec<T>> {
    let items = value.some()?;
    if items.len() > MAX_VALUES {
        let message = format!("a list in a clause takes at most {MAX_VALUES} values");
        value.add(value.problem(Code::TooLarge, message).help("say it with a glob"));
        return None;
    }
    let wanted = items.len();
    let read: Vec<T> = items.into_iter().filter_map(&mut read).collect();
    (read.len() == wanted).then_some(read)
}

/// Whether a region can have that name; one that none has is reported. Names are written as entries
/// hold them, and a region without a name goes by its number.
fn known_region(field: Field, value: Value<'_>, text: &str) -> bool {
    let names = region_names();
    let can_be = field != Field::Region
        || text.contains(['*', '?', '[', '{', '\\'])
        || text.parse::<i64>().is_ok()
        || names.clone().any(|name| name == text);
    if !can_be {
        let message = format!("no region is named {}", value.found());
        let help = nearest(text, names.clone()).map(|near| format!("did you mean `{near}`?"));
        let problem = value.problem(Code::UnknownWord, message).known("regions", names);
        value.add(problem.maybe_help(help));
    }
    can_be
}

fn texts(value: Value<'_>) -> Option<Vec<Box<str>>> {
    each(value, |item| item.raw_text().map(Into::into))
}

fn numbers(field: Field, value: Value<'_>) -> Option<Vec<i64>> {
    each(value, |item| number(field, item))
}

fn number(field: Field, value: Value<'_>) -> Option<i64> {
    let text = value.raw_text()?;
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let comparison = text.trim_start_matches(['<', '>', '=', '!', ' ']);
    let help = match comparison.parse::<i64>() {
        Ok(number) if comparison.len() < text.len() => comparing(text, number),
        _ if field == Field::ClusterRegion => {
            "for the region's name use `region`: `region: Guangzhou`".to_owned()
        }
        _ => "write digits; to compare use `not`, `min`, `max`: `{not: 0}`".to_owned(),
    };
    let message = format!("`{field}` takes a whole number, not {}", value.found());
    value.add(value.problem(Code::BadNumber, message).help(help));
    None
}

/// The operator that a comparison in signs stands for.
fn comparing(text: &str, number: i64) -> String {
    let sign =
        text.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '-').trim();
    match sign {
        "!=" | "!" | "<>" => format!("write `{{not: {number}}}`"),
        ">=" | "=>" => format!("write `{{min: {number}}}`"),
        ">" => format!("write `{{min: {}}}`", number.saturating_add(1)),
        "<=" | "=<" => format!("write `{{max: {number}}}`"),
        "<" => format!("write `{{max: {}}}`", number.saturating_sub(1)),
        _ => format!("write `{number}`"),
    }
}

fn unfit<T>(field: Field, operator: &str, value: Value<'_>) -> Option<T> {
    let (what, known): (_, &[&str]) = match field.kind() {
        FieldKind::Number => ("a number", &NUMBER_OPERATORS),
        FieldKind::Time => ("an instant", &TIME_OPERATORS),
        _ => ("a text", &TEXT_OPERATORS),
    };
    let message = format!("`{operator}` does not fit `{field}`, which is {what}");
    let problem = value.problem(Code::UnfitOperator, message);
    value.add(problem.known(format!("operators of `{field}`"), known.iter().copied()));
    None
}

fn unknown_field(value: Value<'_>, span: Span, name: &str) {
    let known = Field::ALL.iter().map(|field| field.name());
    let near = nearest(name, known.clone().chain(["any", "all", "not", "cel"]));
    value.add(
        Problem::new(Code::UnknownField, format!("entries have no field `{name}`"))
            .at(value.file(), span)
            .known("fields", known)
            .maybe_help(near.map(|near| format!("did you mean `{near}`?"))),
    );
}

fn finish_operators(map: MapReader<'_>, field: Field) {
    map.finish_as(Code::UnknownOperator, "operators", |key| {
        format!("`{key}` is no operator of `{field}`")
    });
}

/// Points into the text where the error has a place in it and the text is written as it is.
pub(super) fn bad_expression(
    value: Value<'_>,
    code: Code,
    what: &str,
    error: &PatternError,
    help: Option<String>,
) {
    let (cause, remedy) = error.message.split_once("; ").unwrap_or((&error.message, ""));
    let remedy = match remedy {
        "" if cause.contains("look-around") || cause.contains("backreference") => {
            "say what must not match in a clause of its own: `not: {tag: …}`".to_owned()
        }
        "" => "a special character is made plain by a backslash: `\\.`".to_owned(),
        remedy => remedy.to_owned(),
    };
    let text = cut(value.raw_text().unwrap_or_default());
    let message = format!("`{text}` is not a {what}: {cause}");
    let whole = value.node().span;
    let place = error
        .span
        .clone()
        .and_then(|range| value.span_within(range))
        .map_or(whole, |span| if span.start == span.end { whole } else { span });
    let problem = Problem::new(code, message).at(value.file(), place);
    value.add(problem.help(help.unwrap_or(remedy)));
}

/// Points into the expression where the mistake has a place in it.
fn bad_cel(value: Value<'_>, error: CelError) {
    let code = match error.fault {
        Fault::Syntax | Fault::Mistyped => Code::BadCel,
        Fault::TooLarge => Code::TooLarge,
        Fault::UnknownField => Code::UnknownField,
        Fault::UnknownName => Code::UnknownName,
    };
    let whole = value.node().span;
    let place = error
        .span
        .and_then(|range| value.span_within(range))
        .filter(|span| span.start < span.end)
        .unwrap_or(whole);
    let mut problem =
        Problem::new(code, error.message).at(value.file(), place).maybe_help(error.help);
    if !error.known.is_empty() {
        let what = if code == Code::UnknownField { "fields" } else { "functions" };
        let near = error.name.and_then(|name| nearest(&name, error.known.iter().copied()));
        let near = near.map(|near| format!("did you mean `{near}`?"));
        problem = problem.known(what, error.known).maybe_help(near);
    }
    value.add(problem);
}

/// The beginning of a text, for a message.
fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
