//! What a webhook's answer says beyond its status: conditions over status, body and JSON pointers.
//!
//! A [`Predicate`] holds if any of its branches does, and a branch if all of its tests do. As in
//! rules there are three values: a test of something that the answer lacks, or of an answer that is
//! not JSON, is unknown, and what is unknown neither holds nor fails. The reason comes with the
//! value, for people. Deliberately absent: how conditions are written (`config::webhook`), and what
//! follows from them (`webhook`).

use std::{fmt, str::FromStr, time::Duration};

use serde_json::Value;

use super::{
    http::{Answer, seconds},
    json,
    status::StatusSet,
};

/// A condition over an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predicate(pub Vec<Branch>);

/// Tests that hold together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Branch {
    /// The statuses; `None` leaves that to whoever asks.
    pub status: Option<StatusSet>,
    /// The tests of the body.
    pub tests: Vec<Test>,
}

/// A test of the body or of a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// What is looked at.
    pub of: Subject,
    /// What it has to be.
    pub want: Want,
}

/// What a test looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The whole body as text, without white space around it.
    Body,
    /// The value at a pointer of a JSON body.
    At(Pointer),
}

/// What a value has to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// One of these, compared as text; numbers as numbers.
    Is(Vec<String>),
    /// None of these.
    Not(Vec<String>),
    /// A text that holds one of these.
    Contains(Vec<String>),
    /// A number, at least that.
    Min(f64),
    /// A number, at most that.
    Max(f64),
    /// There, or not there.
    Exists(bool),
}

/// A JSON pointer (RFC 6901) to something within a document: it begins with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(String);

/// A text that is no JSON pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It does not begin with `/`.
    #[error("a JSON pointer begins with `/`")]
    NoSlash,
    /// `~` is followed by something else than 0 or 1.
    #[error("in a JSON pointer `~` is written `~0`, and `/` within a key `~1`")]
    Escape,
}

/// Where an answer says how long to wait.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    /// Seconds at a pointer, as a number or a text.
    At(Pointer),
    /// It does not: so long.
    Fixed(Duration),
}

/// Whether a condition holds, with the reason where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No(String),
    /// The answer does not say.
    Unknown(String),
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if !text.starts_with('/') {
            return Err(PointerError::NoSlash);
        }
        let escapes = text.split('~').skip(1);
        if escapes.into_iter().any(|after| !after.starts_with(['0', '1'])) {
            return Err(PointerError::Escape);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An answer's body, parsed once for all that look into it.
pub(super) struct Parsed(Option<Value>);

impl Parsed {
    /// The body of an answer; nothing where it is not JSON, or goes on beyond what was read.
    pub(super) fn of(answer: &Answer<'_>) -> Self {
        let whole = Some(&answer.body).filter(|_| !answer.cut);
        Self(whole.and_then(|body| json::read(body)))
    }

    /// The value at a pointer.
    pub(super) fn at(&self, pointer: &Pointer) -> Option<&Value> {
        self.0.as_ref()?.pointer(&pointer.0)
    }
}

impl Predicate {
    /// Whether it holds. Branches that name no status ask for one of `statuses`, where given.
    pub(super) fn of(
        &self,
        answer: &Answer<'_>,
        parsed: &Parsed,
        statuses: Option<&StatusSet>,
    ) -> Holds {
        let mut first = None;
        for branch in &self.0 {
            match branch.of(answer, parsed, statuses) {
                Holds::Yes => return Holds::Yes,
                // What is not known of one branch is not known of the whole.
                Holds::Unknown(why) if !matches!(first, Some(Holds::Unknown(_))) => {
                    first = Some(Holds::Unknown(why));
                }
                other => first = first.or(Some(other)),
            }
        }
        first.unwrap_or(Holds::Yes)
    }
}

impl Branch {
    fn of(&self, answer: &Answer<'_>, parsed: &Parsed, statuses: Option<&StatusSet>) -> Holds {
        if let Some(wanted) = self.status.as_ref().or(statuses)
            && !wanted.contains(answer.status)
        {
            return Holds::No(format!("the status is {}, not {wanted}", answer.status));
        }
        let mut unknown = None;
        for test in &self.tests {
            match test.of(answer, parsed) {
                Holds::Yes => {}
                Holds::Unknown(why) => unknown = unknown.or(Some(why)),
                no => return no,
            }
        }
        unknown.map_or(Holds::Yes, Holds::Unknown)
    }
}

impl Test {
    fn of(&self, answer: &Answer<'_>, parsed: &Parsed) -> Holds {
        let (name, found) = match &self.of {
            Subject::Body => {
                let text = answer.text().into_owned();
                ("the body".to_owned(), (!text.is_empty()).then(|| Value::from(text)))
            }
            Subject::At(_) if parsed.0.is_none() => {
                return Holds::Unknown("the answer is not JSON".to_owned());
            }
            Subject::At(pointer) => (format!("`{pointer}`"), parsed.at(pointer).cloned()),
        };
        match (&self.want, found) {
            (Want::Exists(wanted), found) if *wanted == found.is_some() => Holds::Yes,
            (Want::Exists(true), _) => Holds::No(format!("{name} is not there")),
            (Want::Exists(false), _) => Holds::No(format!("{name} is there")),
            (_, None) => Holds::Unknown(format!("{name} is not there")),
            (want, Some(found)) if want.fits(&found) => Holds::Yes,
            (want, Some(found)) => {
                let found = answer.quote(&text_of(&found));
                Holds::No(format!("{name} is {found}, {want}"))
            }
        }
    }
}

impl Want {
    fn fits(&self, found: &Value) -> bool {
        let number = || number_of(found);
        match self {
            Self::Is(wanted) => wanted.iter().any(|wanted| equals(found, wanted)),
            Self::Not(wanted) => !wanted.iter().any(|wanted| equals(found, wanted)),
            Self::Contains(wanted) => {
                found.as_str().is_some_and(|text| wanted.iter().any(|part| text.contains(part)))
            }
            Self::Min(least) => number().is_some_and(|number| number >= *least),
            Self::Max(most) => number().is_some_and(|number| number <= *most),
            Self::Exists(wanted) => *wanted,
        }
    }
}

/// What was wanted instead, after a comma.
impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(wanted) => write!(f, "not {}", wanted.join(" or ")),
            Self::Not(_) => f.write_str("which is excluded"),
            Self::Contains(wanted) => write!(f, "which does not hold {}", wanted.join(" or ")),
            Self::Min(least) => write!(f, "not at least {least}"),
            Self::Max(most) => write!(f, "not at most {most}"),
            Self::Exists(_) => f.write_str("which is excluded"),
        }
    }
}

/// Whether a value is what was written: numbers by what they are, all else by its text.
fn equals(found: &Value, wanted: &str) -> bool {
    match found {
        Value::String(text) => text == wanted,
        Value::Number(number) => {
            number.to_string() == wanted
                || wanted.parse::<f64>().is_ok_and(|wanted| number.as_f64() == Some(wanted))
        }
        Value::Bool(truth) => wanted == if *truth { "true" } else { "false" },
        Value::Null => wanted == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// A number, or a text that is one.
fn number_of(found: &Value) -> Option<f64> {
    match found {
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        other => other.as_f64(),
    }
}

/// A value's text, without the quotes of one.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Wait {
    /// How long that is, in whole seconds, rounded up.
    pub(super) fn of(&self, parsed: &Parsed) -> Option<Duration> {
        match self {
            Self::Fixed(wait) => Some(*wait),
            Self::At(pointer) => match parsed.at(pointer)? {
                number @ Value::Number(_) => seconds(&number.to_string()),
                Value::String(text) => seconds(text.trim()),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scrub::Scrubber, *};

    fn at(pointer: &str, want: Want) -> Test {
        Test { of: Subject::At(pointer.parse().unwrap()), want }
    }

    fn is(values: &[&str]) -> Want {
        Want::Is(values.iter().map(|value| (*value).to_owned()).collect())
    }

    fn asked(tests: Vec<Test>, body: &str) -> Holds {
        let scrub = Scrubber::default();
        let body = body.to_owned().into();
        let answer =
            Answer { status: 200, headers: Default::default(), body, cut: false, scrub: &scrub };
        let predicate = Predicate(vec![Branch { status: None, tests }]);
        predicate.of(&answer, &Parsed::of(&answer), None)
    }

    #[test]
    fn values_are_compared_by_what_they_are() {
        for (body, want, holds) in [
            (r#"{"a":0}"#, is(&["0"]), true),
            (r#"{"a":"0"}"#, is(&["0"]), true),
            (r#"{"a":0.0}"#, is(&["0"]), true),
            (r#"{"a":-1}"#, is(&["0", "-1"]), true),
            (r#"{"a":1}"#, is(&["0"]), false),
            (r#"{"a":true}"#, is(&["true"]), true),
            (r#"{"a":null}"#, is(&["null"]), true),
            (r#"{"a":[0]}"#, is(&["0"]), false),
            (r#"{"a":"007"}"#, is(&["7"]), false),
            (r#"{"a":5}"#, Want::Min(5.0), true),
            (r#"{"a":5}"#, Want::Max(4.9), false),
            (r#"{"a":"6"}"#, Want::Min(5.0), true),
            (r#"{"a":"rate limit"}"#, Want::Contains(vec!["limit".to_owned()]), true),
            (r#"{"a":1}"#, Want::Exists(true), true),
            (r#"{"a":1}"#, Want::Exists(false), false),
            (r#"{"b":1}"#, Want::Exists(false), true),
            (r#"{"a":1}"#, Want::Not(vec!["0".to_owned()]), true),
        ] {
            let got = asked(vec![at("/a", want.clone())], body);
            assert_eq!(got == Holds::Yes, holds, "{body} {want:?}: {got:?}");
            assert!(!matches!(got, Holds::Unknown(_)), "{body} {want:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_unknown_and_a_refusal_beside_it_is_a_refusal() {
        let unknown = |body, tests| matches!(asked(tests, body), Holds::Unknown(_));
        let not = || Want::Not(vec!["0".to_owned()]);
        assert!(unknown("<html>", vec![at("/a", is(&["0"]))]));
        assert!(unknown("<html>", vec![at("/a", Want::Exists(false))]));
        assert!(unknown("", vec![at("/a", not())]));
        assert!(unknown("{}", vec![at("/a", not())]));
        assert!(unknown("{}", vec![at("/a", is(&["0"]))]));
        let both = vec![at("/a", is(&["0"])), at("/b", is(&["1"]))];
        assert_eq!(asked(both, r#"{"b":2}"#), Holds::No("`/b` is 2, not 1".to_owned()));
    }

    #[test]
    fn pointers_are_those_of_the_standard() {
        for good in ["/", "/a", "/a/0/b", "/a~1b/~0", "/a b"] {
            assert!(good.parse::<Pointer>().is_ok(), "{good}");
        }
        assert_eq!("errcode".parse::<Pointer>(), Err(PointerError::NoSlash));
        assert_eq!("".parse::<Pointer>(), Err(PointerError::NoSlash));
        assert_eq!("/a~2".parse::<Pointer>(), Err(PointerError::Escape));
        assert_eq!("/a~".parse::<Pointer>(), Err(PointerError::Escape));
    }
}
