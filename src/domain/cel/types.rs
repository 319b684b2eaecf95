//! The kinds of values in an expression and the functions on them: one list, which the check, its
//! messages and the documents' test walk.

use std::fmt;

/// A kind of value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number with a fraction.
    Double,
    /// A text.
    Text,
    /// An instant.
    Time,
    /// A list of one kind of value.
    List(Box<Kind>),
    /// What the items of an empty list are: anything.
    Nothing,
}

impl Kind {
    /// The kind that both are, where there is one.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Nothing, kind) | (kind, Self::Nothing) => Some(kind.clone()),
            (Self::List(one), Self::List(other)) => Some(Self::List(Box::new(one.join(other)?))),
            (one, other) => (one == other).then(|| one.clone()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "a truth value",
            Self::Int => "a whole number",
            Self::Double => "a decimal number",
            Self::Text => "a text",
            Self::Time => "an instant",
            Self::List(_) => "a list",
            Self::Nothing => "nothing",
        })
    }
}

/// A kind of value, as far as functions tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Bool,
    Int,
    Double,
    Text,
    Time,
    List,
}

impl Shape {
    fn takes(self, kind: &Kind) -> bool {
        match (self, kind) {
            (_, Kind::Nothing) | (Self::List, Kind::List(_)) => true,
            (Self::List, _) => false,
            (shape, kind) => shape.kind() == *kind,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Bool => Kind::Bool,
            Self::Int => Kind::Int,
            Self::Double => Kind::Double,
            Self::Text => Kind::Text,
            Self::Time => Kind::Time,
            Self::List => Kind::List(Box::new(Kind::Nothing)),
        }
    }

    /// A value of it, for an example.
    const fn example(self) -> &'static str {
        match self {
            Self::Bool => "true",
            Self::Int => "1",
            Self::Double => "0.5",
            Self::Text => "'…'",
            Self::Time => "entry.time",
            Self::List => "['a', 'b']",
        }
    }
}

/// A way to use a function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether it is written after its first argument: `text.contains('x')`.
    member: bool,
    takes: &'static [Shape],
    gives: Shape,
}

impl Method {
    /// Whether it can be used with such arguments.
    pub(super) fn fits(&self, member: bool, kinds: &[&Kind]) -> bool {
        self.member == member
            && self.takes.len() == kinds.len()
            && self.takes.iter().zip(kinds).all(|(shape, kind)| shape.takes(kind))
    }

    /// What comes of it.
    pub(super) fn gives(&self) -> Kind {
        self.gives.kind()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, rest) = match (self.member, self.takes) {
            (true, [Shape::Text, rest @ ..]) => ("entry.tag.", rest),
            (true, [Shape::List, rest @ ..]) => ("['a', 'b'].", rest),
            (true, [_, rest @ ..]) => ("entry.time.", rest),
            (_, all) => ("", all),
        };
        let arguments: Vec<&str> = rest.iter().map(|shape| shape.example()).collect();
        write!(f, "`{target}{}({})`", self.name, arguments.join(", "))
    }
}

const fn method(name: &'static str, takes: &'static [Shape], gives: Shape) -> Method {
    Method { name, member: true, takes, gives }
}

const fn function(name: &'static str, takes: &'static [Shape], gives: Shape) -> Method {
    Method { name, member: false, takes, gives }
}

use Shape::{Bool, Double, Int, List, Text, Time};

/// Parts of an instant; each is of UTC, or of the time zone that is named.
pub(super) const CALENDAR: [&str; 9] = [
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
];

/// Every way to use a function of texts, lists and numbers, those of one name together.
const METHODS: &[Method] = &[
    method("contains", &[Text, Text], Bool),
    method("startsWith", &[Text, Text], Bool),
    method("endsWith", &[Text, Text], Bool),
    method("matches", &[Text, Text], Bool),
    function("matches", &[Text, Text], Bool),
    method("size", &[Text], Int),
    method("size", &[List], Int),
    function("size", &[Text], Int),
    function("size", &[List], Int),
    method("lowerAscii", &[Text], Text),
    method("upperAscii", &[Text], Text),
    method("trim", &[Text], Text),
    method("substring", &[Text, Int], Text),
    method("substring", &[Text, Int, Int], Text),
    method("indexOf", &[Text, Text], Int),
    method("lastIndexOf", &[Text, Text], Int),
    function("string", &[Text], Text),
    function("string", &[Int], Text),
    function("string", &[Double], Text),
    function("string", &[Bool], Text),
    function("int", &[Text], Int),
    function("int", &[Int], Int),
    function("int", &[Double], Int),
    function("double", &[Text], Double),
    function("double", &[Int], Double),
    function("double", &[Double], Double),
];

/// Every way to use every function but `timestamp`, which takes only a text that is written out.
pub(super) fn methods() -> impl Iterator<Item = Method> {
    let calendar = CALENDAR
        .iter()
        .flat_map(|&name| [method(name, &[Time], Int), method(name, &[Time, Text], Int)]);
    METHODS.iter().copied().chain(calendar)
}

/// The names of all functions and macros, each once.
pub(super) fn function_names() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    methods()
        .map(|method| method.name)
        .filter(move |&name| std::mem::replace(&mut last, name) != name)
        .chain(["timestamp", "has", "all", "exists", "exists_one", "map", "filter"])
}
