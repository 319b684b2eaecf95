//! The helpers: one table of names, what they take, and what they give.
//!
//! Blocks (`if unless each with`) are the language's own. `json`, `plain` and `mention` decide how
//! a value is written, so they are a [`How`](super::program::How) and not a function. What depends on
//! the attempt gives a formula ([`Late`]), which the queued message keeps; `now_s`, `now_ms` and
//! `secrets.NAME` are names (`names`). Deliberately absent: working formulas out.

use std::borrow::Cow;

use jiff::{Timestamp, fmt::strtime, tz::TimeZone};

use super::{
    names::Type,
    value::{Scope, Value},
};
use crate::domain::late::Late;

/// A helper that computes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    /// `time x [format]`: an instant in the display zone.
    Time,
    /// `ago x`: how long before the message was decided.
    Ago,
    /// `duration x`: a span of seconds in words.
    Duration,
    /// `truncate x n [mark]`: at most `n` characters, with a visible mark.
    Truncate,
    /// `upper x`.
    Upper,
    /// `lower x`.
    Lower,
    /// `default x y`: `y` where `x` is absent or empty.
    Default,
    /// `eq x y`.
    Eq,
    /// `ne x y`.
    Ne,
    /// `and x y …`.
    And,
    /// `or x y …`.
    Or,
    /// `not x`.
    Not,
    /// `replace x this that`: the text with each `this` become `that`.
    Replace,
    /// `concat x y …`: one text after the other.
    Concat,
    /// `hmac_sha256 key message`: 32 bytes.
    HmacSha256,
    /// `base64 x`.
    Base64,
    /// `hex x`.
    Hex,
    /// `url_encode x`.
    UrlEncode,
}

impl Helper {
    /// Whether it takes what only an attempt can know.
    const fn takes_late(self) -> bool {
        matches!(self, Self::Concat) || self.is_late()
    }

    /// Whether it is worked out at each attempt, which only webhooks do.
    pub(super) const fn is_late(self) -> bool {
        matches!(self, Self::HmacSha256 | Self::Base64 | Self::Hex | Self::UrlEncode)
    }
}

/// What a helper is called, takes and gives.
#[derive(Debug)]
pub(super) struct Signature {
    /// The helper.
    pub helper: Helper,
    /// Its name in templates.
    pub name: &'static str,
    /// The fewest arguments.
    pub least: usize,
    /// The most arguments.
    pub most: usize,
    /// How it is written, for a complaint.
    pub usage: &'static str,
    /// What it gives.
    pub gives: Type,
}

/// Every helper that computes a value.
pub(super) const HELPERS: &[Signature] = &[
    sign(Helper::Time, "time", 1, 2, "{{time x}} or {{time x '%H:%M'}}", Type::Text),
    sign(Helper::Ago, "ago", 1, 1, "{{ago x}}", Type::Text),
    sign(Helper::Duration, "duration", 1, 1, "{{duration x}}", Type::Text),
    sign(Helper::Truncate, "truncate", 2, 3, "{{truncate x 200}}", Type::Text),
    sign(Helper::Upper, "upper", 1, 1, "{{upper x}}", Type::Text),
    sign(Helper::Lower, "lower", 1, 1, "{{lower x}}", Type::Text),
    sign(Helper::Default, "default", 2, 2, "{{default x 'none'}}", Type::Text),
    sign(Helper::Eq, "eq", 2, 2, "(eq x y)", Type::Truth),
    sign(Helper::Ne, "ne", 2, 2, "(ne x y)", Type::Truth),
    sign(Helper::And, "and", 2, usize::MAX, "(and x y)", Type::Truth),
    sign(Helper::Or, "or", 2, usize::MAX, "(or x y)", Type::Truth),
    sign(Helper::Not, "not", 1, 1, "(not x)", Type::Truth),
    sign(Helper::Replace, "replace", 3, 3, "{{replace x 'this' 'that'}}", Type::Text),
    sign(Helper::Concat, "concat", 2, usize::MAX, "(concat x y)", Type::Text),
    sign(Helper::HmacSha256, "hmac_sha256", 2, 2, "(hmac_sha256 key message)", Type::Bytes),
    sign(Helper::Base64, "base64", 1, 1, "{{base64 x}}", Type::Late),
    sign(Helper::Hex, "hex", 1, 1, "{{hex x}}", Type::Late),
    sign(Helper::UrlEncode, "url_encode", 1, 1, "{{url_encode x}}", Type::Late),
];

/// The names of all helpers, as documents list them.
pub(super) const NAMES: &[&str] = &[
    "json", "plain", "time", "ago", "duration", "truncate", "upper", "lower", "default", "eq",
    "ne", "and", "or", "not", "replace", "concat", "mention",
];

/// The names of those that webhooks know besides.
pub(super) const LATE_NAMES: &[&str] =
    &["now_s", "now_ms", "hmac_sha256", "base64", "hex", "url_encode"];

/// The names of the blocks.
pub(super) const BLOCKS: &[&str] = &["if", "unless", "each", "with"];

const fn sign(
    helper: Helper,
    name: &'static str,
    least: usize,
    most: usize,
    usage: &'static str,
    gives: Type,
) -> Signature {
    Signature { helper, name, least, most, usage, gives }
}

/// The helper of that name.
pub(super) fn by_name(name: &str) -> Option<&'static Signature> {
    HELPERS.iter().find(|signature| signature.name == name)
}

/// Whether an argument is of a kind that the helper takes; else what it takes, in words.
pub(super) fn takes(helper: Helper, index: usize, given: Type) -> Result<(), &'static str> {
    use Type::{Duration, Nothing, Number, Text, Time};
    match given {
        Type::Bytes if matches!(helper, Helper::HmacSha256 | Helper::Base64 | Helper::Hex) => {
            return Ok(());
        }
        Type::Bytes => return Err("text: put `base64` or `hex` around it"),
        Type::Late if helper.takes_late() => return Ok(()),
        Type::Late => return Err("what is known before the attempt"),
        _ => {}
    }
    match (helper, index, given) {
        (_, _, Nothing) | (Helper::Time | Helper::Ago, 0, Time) => Ok(()),
        (Helper::Time | Helper::Ago, 0, _) => Err("an instant, such as entry.time"),
        (Helper::Time, _, Text) => Ok(()),
        (Helper::Time, ..) => Err("a format in quotes, such as '%H:%M'"),
        (Helper::Duration, _, Duration | Number) => Ok(()),
        (Helper::Duration, ..) => Err("a span of time, such as incident.duration"),
        (Helper::Truncate, 1, Number) => Ok(()),
        (Helper::Truncate, 1, _) => Err("the most characters, a number"),
        (Helper::And | Helper::Or | Helper::Not, ..) => Ok(()),
        _ if given.is_printable() => Ok(()),
        _ => Err("something that can be written; name one of its fields"),
    }
}

/// Computes what a helper gives. `args` are as many as it takes.
pub(super) fn call<'a>(helper: Helper, args: &[Value<'a>], scope: &Scope<'a>) -> Value<'a> {
    let Some(first) = args.first() else { return Value::Absent };
    match helper {
        Helper::Time => match (first, args.get(1)) {
            (Value::Time(time), Some(format)) => {
                let zoned = time.to_zoned_datetime(scope.zone.clone());
                let text = strtime::format(format.to_text(scope).as_bytes(), &zoned);
                Value::Text(Cow::Owned(text.unwrap_or_default()))
            }
            (Value::Time(time), None) => Value::Text(Cow::Owned(show_time(*time, scope.zone))),
            _ => Value::Absent,
        },
        Helper::Ago => match first {
            Value::Time(time) => {
                let seconds = scope.context.now.as_second().saturating_sub(time.as_second());
                Value::Text(Cow::Owned(scope.language.ago(seconds)))
            }
            _ => Value::Absent,
        },
        Helper::Duration => match first {
            Value::Number(seconds) => Value::Text(Cow::Owned(scope.language.duration(*seconds))),
            _ => Value::Absent,
        },
        Helper::Truncate => truncate(args, scope),
        Helper::Upper => map_text(first, scope, str::to_uppercase),
        Helper::Lower => map_text(first, scope, str::to_lowercase),
        Helper::Default => match args {
            [Value::Absent, other] => other.clone(),
            [Value::Text(text) | Value::Lines(text), other] if text.is_empty() => other.clone(),
            _ => first.clone(),
        },
        Helper::Eq => Value::Truth(args.get(1).is_some_and(|other| first.equals(other, scope))),
        Helper::Ne => Value::Truth(args.get(1).is_none_or(|other| !first.equals(other, scope))),
        Helper::And => Value::Truth(args.iter().all(|arg| arg.is_true(scope))),
        Helper::Or => Value::Truth(args.iter().any(|arg| arg.is_true(scope))),
        Helper::Not => Value::Truth(!first.is_true(scope)),
        Helper::Replace => replace(args, scope),
        Helper::Concat | Helper::HmacSha256 | Helper::Base64 | Helper::Hex | Helper::UrlEncode => {
            formula(helper, args, scope)
        }
    }
}

fn replace<'a>(args: &[Value<'a>], scope: &Scope<'a>) -> Value<'a> {
    let [text, this, that] = args else { return Value::Absent };
    let (this, that) = (this.to_text(scope), that.to_text(scope));
    // An empty text stands between any two letters, which nobody means.
    let new = |text: &str| match &*this {
        "" => text.to_owned(),
        this => text.replace(this, &that),
    };
    match text {
        Value::Absent => Value::Absent,
        Value::Lines(text) => Value::Lines(Cow::Owned(new(text))),
        other => Value::Text(Cow::Owned(new(&other.to_text(scope)))),
    }
}

/// The formula of a helper. One that needs nothing of the attempt is worked out at once.
fn formula<'a>(helper: Helper, args: &[Value<'a>], scope: &Scope<'a>) -> Value<'a> {
    let mut parts = args.iter().map(|arg| match arg {
        Value::Late(late) => (**late).clone(),
        // It is written among other text, so its line breaks are somebody's trick there too.
        Value::Text(text) if helper == Helper::Concat => {
            Late::Text(text.replace(['\r', '\n'], " ").into())
        }
        other => Late::Text(other.to_text(scope).into()),
    });
    let mut next = || parts.next().unwrap_or(Late::Text("".into()));
    let formula = match helper {
        Helper::HmacSha256 => Late::HmacSha256(Box::new((next(), next()))),
        Helper::Base64 => Late::Base64(Box::new(next())),
        Helper::Hex => Late::Hex(Box::new(next())),
        Helper::UrlEncode => Late::UrlEncode(Box::new(next())),
        _ => Late::Concat(parts.collect()),
    };
    // Bytes are no text; what is put around them is.
    match formula.known().filter(|_| helper != Helper::HmacSha256) {
        Some(text) => Value::Lines(Cow::Owned(text)),
        None => Value::Late(Box::new(formula)),
    }
}

/// At this many characters and more, a cut says how much is missing and not just that it is one.
const LONG_CUT: usize = 200;

fn truncate<'a>(args: &[Value<'a>], scope: &Scope<'a>) -> Value<'a> {
    let Some(Value::Number(most)) = args.get(1) else { return Value::Absent };
    let most = usize::try_from(*most).unwrap_or(0);
    // A short cut is for a place in a line, so its text is of one line; a long one keeps lines.
    let long = most >= LONG_CUT;
    let text = args[0].to_text(scope);
    let Some((end, _)) = text.char_indices().nth(most) else {
        return match args[0].clone() {
            Value::Lines(text) if !long => Value::Text(text),
            whole => whole,
        };
    };
    let mark = match args.get(2) {
        Some(mark) => mark.to_text(scope).into_owned(),
        None if long => scope.language.more_characters(text[end..].chars().count()),
        None => "…".to_owned(),
    };
    let kept = text[..end].trim_end();
    match &args[0] {
        Value::Lines(_) if long => Value::Lines(Cow::Owned(format!("{kept}\n{mark}"))),
        _ => Value::Text(Cow::Owned(format!("{kept}{mark}"))),
    }
}

fn map_text<'a>(value: &Value<'a>, scope: &Scope<'a>, map: fn(&str) -> String) -> Value<'a> {
    match value {
        Value::Absent => Value::Absent,
        Value::Lines(text) => Value::Lines(Cow::Owned(map(text))),
        other => Value::Text(Cow::Owned(map(&other.to_text(scope)))),
    }
}

/// An instant as people read it, in a zone, with its offset: `2026-03-02 09:00:05 +08:00`.
pub(super) fn show_time(time: Timestamp, zone: &TimeZone) -> String {
    use std::fmt::Write as _;

    let offset = zone.to_offset(time);
    let shown = offset.to_datetime(time);
    let minutes = offset.seconds() / 60;
    let mut out = String::with_capacity(26);
    // Writing to a string can't fail.
    let _ = write!(
        out,
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {}{:02}:{:02}",
        shown.year(),
        shown.month(),
        shown.day(),
        shown.hour(),
        shown.minute(),
        shown.second(),
        if minutes < 0 { '-' } else { '+' },
        minutes.abs() / 60,
        minutes.abs() % 60,
    );
    out
}

/// Whether a format of `time` can be used.
pub(super) fn check_format(format: &str) -> Result<(), String> {
    let sample = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
    strtime::format(format.as_bytes(), &sample).map(drop).map_err(|error| error.to_string())
}
