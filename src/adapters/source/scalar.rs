//! One value of an answer, of whatever type it turns out to be.
//!
//! Answers are read by hand rather than by derive, so that a value of an unexpected type spoils
//! its own row, with the field named, and not the whole answer. Deliberately absent: what a list or
//! an object holds; only whether a list is empty matters, since an empty PHP array stands for an
//! object.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// The first whole number that is too large for `i64`.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// A value of JSON, its inside skipped where it is not a scalar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool,
    Int(i64),
    /// A whole number beyond `i64`.
    Large(u64),
    /// A whole number beyond that, too.
    Beyond,
    /// Any other number.
    Fraction,
    Text(Cow<'a, str>),
    EmptyList,
    List,
    Object,
}

impl<'a> Scalar<'a> {
    /// What it is, as it stands in a reason: "repoName is a list".
    pub(super) const fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int(_) => "a number",
            Self::Large(_) => "a number too large",
            Self::Beyond => "a number beyond 64 bits",
            Self::Fraction => "a fraction",
            Self::Text(_) => "text",
            Self::EmptyList => "an empty list",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }

    /// A whole number, or text that is one in decimal.
    pub(super) fn whole_number(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                if plain { text.parse().ok() } else { None }
            }
            _ => None,
        }
    }

    /// The text, where it is one.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Scalar::Large(number), Scalar::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        // A double of this size has no fraction.
        let is_whole = number.abs() >= TWO_TO_63;
        Ok(if is_whole { Scalar::Beyond } else { Scalar::Fraction })
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if list.next_element::<IgnoredAny>()?.is_none() {
            return Ok(Scalar::EmptyList);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Object)
    }
}

/// A key of an object, borrowed where it holds no escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        from.deserialize_str(KeyVisitor)
    }
}

impl Key<'_> {
    /// Whether it is that field. API 3.0 writes the first letter of each in upper case.
    pub(super) fn is(&self, name: &str) -> bool {
        same_name(&self.0, name)
    }
}

/// Whether a key names a field whose 2.0 name, first letter in lower case, is `name`.
pub(super) fn same_name(key: &str, name: &str) -> bool {
    let (key, name) = (key.as_bytes(), name.as_bytes());
    key.len() == name.len()
        && key.first().map(u8::to_ascii_lowercase) == name.first().copied()
        && key[1..] == name[1..]
}

/// The visits of a visitor that wants an object or a list and meets a scalar: its method `$tell`
/// is told what was met, and the reading goes on behind it.
macro_rules! scalars_are {
    ($tell:ident) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
            self.$tell("a boolean");
            Ok(())
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
            self.$tell("a number");
            Ok(())
        }

        fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
            self.$tell("a number");
            Ok(())
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
            self.$tell("a number");
            Ok(())
        }

        fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
            self.$tell("text");
            Ok(())
        }
    };
}
pub(super) use scalars_are;
