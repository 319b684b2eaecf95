//! Reading a tree by hand: each value is asked for what it should be, and says what is wrong.
//!
//! Every method puts its problem into the report and gives `None`, so that reading goes on and all
//! problems of a document are found. A value that was found unreadable before says nothing.
//! Deliberately absent: which keys there are.

use std::{
    fmt::Display,
    ops::{Range, RangeInclusive},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use super::{
    Code, DurationError, Entry, File, Kind, Map, Node, Place, Problem, Report, Scalar, Span,
    nearest, parse_duration, secrecy, show_duration, within as within_text,
};

/// Where a value stands, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is a whole document, and its key says which.
    Root,
    /// Under a key.
    Key,
    /// In the list under a key.
    Item,
}

/// A value to be read.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    node: &'a Node,
    /// The key that it stands under.
    key: &'a str,
    standing: Standing,
    file: &'a Arc<File>,
    report: &'a Report,
}

impl<'a> Value<'a> {
    /// The whole of a document, under a name that messages can use.
    pub const fn root(
        node: &'a Node,
        what: &'a str,
        file: &'a Arc<File>,
        report: &'a Report,
    ) -> Self {
        Self { node, key: what, standing: Standing::Root, file, report }
    }

    /// The node itself.
    pub const fn node(&self) -> &'a Node {
        self.node
    }

    /// The key that it stands under, or of the list that it is an item of.
    pub const fn key(&self) -> &'a str {
        self.key
    }

    /// The file that it stands in.
    pub const fn file(&self) -> &'a Arc<File> {
        self.file
    }

    /// Where problems go.
    pub const fn report(&self) -> &'a Report {
        self.report
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        Place { file: Arc::clone(self.file), span: self.node.head() }
    }

    /// A problem at this value, to be completed and given to [`Value::add`].
    pub fn problem(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::new(code, message).at(self.file, self.node.head())
    }

    /// Puts a problem down.
    pub fn add(&self, problem: Problem) {
        self.report.add(problem);
    }

    /// The scalar, where it is one.
    pub const fn scalar(&self) -> Option<&'a Scalar> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Masks it in excerpts: it may be a secret in the wrong place.
    pub fn hide(&self) {
        secrecy::hide_scalars(self.file, self.node);
    }

    /// Whether the environment had a part in its text.
    pub fn is_expanded(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.written.is_some())
    }

    /// Whether it is a map.
    pub const fn is_map(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    /// Whether it is a list.
    pub const fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    /// Where a range of its text stands in the file, where that can be told.
    pub fn span_within(&self, range: Range<usize>) -> Option<Span> {
        let text = &*self.scalar().filter(|scalar| scalar.written.is_none())?.text;
        let written = self.file.text().get(self.node.span.range())?;
        let within = within_text::locate(written, text, &range)?;
        let start = self.node.span.start as usize;
        Some(Span::from(start + within.start..start + within.end))
    }

    /// What is here, in words: `a list`, `` `text` ``. Never shows what the environment gave.
    pub fn found(&self) -> String {
        match &self.node.kind {
            _ if self.node.is_null() => "nothing".to_owned(),
            Kind::Scalar(scalar) => quoted(scalar.shown()),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Unreadable => "something unreadable".to_owned(),
        }
    }

    /// What it is called in messages.
    fn called(&self) -> String {
        match self.standing {
            Standing::Root => self.key.to_owned(),
            Standing::Key => format!("`{}`", self.key),
            Standing::Item => format!("this item of `{}`", self.key),
        }
    }

    /// Says that something else was expected here.
    pub fn mismatch(&self, expected: &str) {
        if matches!(self.node.kind, Kind::Unreadable) {
            return;
        }
        let found = match &self.node.kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Scalar(_) | Kind::Unreadable => "a text",
        };
        let problem = if self.node.is_null() {
            let message = format!("{} has no value", self.called());
            self.problem(Code::WrongShape, message)
                .label(format!("expected {expected}"))
                .help("give it one, or leave the key out")
        } else {
            let message = format!("{} takes {expected}, not {found}", self.called());
            self.problem(Code::WrongShape, message).label(format!("expected {expected}"))
        };
        self.add(problem);
    }

    /// A text that is not empty.
    pub fn text(&self) -> Option<&'a str> {
        self.text_as("a text")
    }

    /// A text that is not empty, called so in messages.
    pub fn text_as(&self, expected: &str) -> Option<&'a str> {
        let Some(scalar) = self.scalar().filter(|_| !self.node.is_null()) else {
            self.mismatch(expected);
            return None;
        };
        if scalar.text.trim().is_empty() {
            let message = format!("{} is empty", self.called());
            self.add(self.problem(Code::Empty, message).label(format!("expected {expected}")));
            return None;
        }
        Some(&scalar.text)
    }

    /// A text whatever it is, empty included; a null is a text of its characters.
    pub fn raw_text(&self) -> Option<&'a str> {
        match self.scalar() {
            Some(scalar) if self.node.span.start < self.node.span.end => Some(&scalar.text),
            _ => {
                self.mismatch("a value");
                None
            }
        }
    }

    /// A name that can stand in logs, metrics and addresses.
    pub fn name(&self) -> Option<&'a str> {
        let text = self.text_as("a name")?;
        let Some(fault) = name_fault(text) else {
            return Some(text);
        };
        let message = format!("`{}` is not a name that can be used", self.key);
        self.add(self.problem(Code::BadName, message).label(fault));
        None
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.text_as("`true` or `false`")? {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let meant = match other.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" => Some("true"),
                    "no" | "off" | "false" => Some("false"),
                    _ => None,
                };
                let message = format!("`{}` is `true` or `false`, not {}", self.key, self.found());
                let help = meant.map(|meant| format!("write `{meant}`"));
                self.add(self.problem(Code::BadBoolean, message).maybe_help(help));
                None
            }
        }
    }

    /// A number within bounds.
    pub fn number<N>(&self, bounds: RangeInclusive<N>) -> Option<N>
    where
        N: FromStr + PartialOrd + Display,
    {
        let text = self.text_as("a number")?;
        match text.parse::<N>() {
            Ok(number) if bounds.contains(&number) => Some(number),
            parsed => {
                let what = if parsed.is_ok() { "out of bounds" } else { "not such a number" };
                let message = format!(
                    "`{}` takes a number from {} to {}",
                    self.key,
                    bounds.start(),
                    bounds.end()
                );
                self.add(self.problem(Code::BadNumber, message).label(self.or_hidden(what)));
                None
            }
        }
    }

    /// A duration within bounds.
    pub fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let example = example(&bounds);
        let text = self.text_as(&format!("a duration like `{example}`"))?;
        let (message, label, help) = match parse_duration(text) {
            Ok(duration) if bounds.contains(&duration) => return Some(duration),
            Ok(_) | Err(DurationError::TooLong) => {
                let message = format!(
                    "`{}` takes a duration from {} to {}",
                    self.key,
                    show_duration(*bounds.start()),
                    show_duration(*bounds.end())
                );
                (message, "out of bounds".to_owned(), None)
            }
            Err(error) => {
                let help = match &error {
                    DurationError::NoUnit
                        if !self.is_expanded() && within(&bounds, &format!("{text}s")) =>
                    {
                        format!("write `{text}s` for seconds; units: s, m, h, d, w")
                    }
                    DurationError::UnknownUnit(unit) if !self.is_expanded() => {
                        meant(text, unit, &bounds)
                    }
                    DurationError::Compound | DurationError::Fraction if within(&bounds, "90m") => {
                        "use one whole number in the smaller unit: `90m` for an hour and a half"
                            .to_owned()
                    }
                    _ => {
                        format!(
                            "write a whole number and a unit, as `{example}`; units: s, m, h, d, w"
                        )
                    }
                };
                let message = format!("`{}` takes a duration like `{example}`", self.key);
                let label = match error {
                    DurationError::UnknownUnit(_) if self.is_expanded() => {
                        "an unknown unit".to_owned()
                    }
                    error => error.to_string(),
                };
                (message, label, Some(help))
            }
        };
        let label = self.or_hidden(&label);
        self.add(self.problem(Code::BadDuration, message).label(label).maybe_help(help));
        None
    }

    /// One of a few words.
    pub fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text_as("a word")?;
        let found = words.iter().find(|(word, _)| *word == text).map(|&(_, meaning)| meaning);
        if found.is_none() {
            let message = format!("`{}` can't be {}", self.key, self.found());
            let known = words.iter().map(|&(word, _)| word);
            let help = (!self.is_expanded()).then(|| nearest(text, known.clone())).flatten();
            self.add(
                self.problem(Code::UnknownWord, message)
                    .known("values", known)
                    .maybe_help(help.map(did_you_mean)),
            );
        }
        found
    }

    /// The items of a list, without those that the environment left empty.
    pub fn list(&self) -> Option<Vec<Self>> {
        match &self.node.kind {
            Kind::List(items) => Some(self.items(items)),
            _ => {
                self.mismatch("a list");
                None
            }
        }
    }

    /// The items of a list, or this one value.
    pub fn list_or_one(&self) -> Option<Vec<Self>> {
        match &self.node.kind {
            Kind::List(items) => Some(self.items(items)),
            Kind::Scalar(_) if self.node.span.start < self.node.span.end => Some(vec![*self]),
            _ => {
                self.mismatch("a value or a list of them");
                None
            }
        }
    }

    /// As [`Value::list_or_one`], with at least one item.
    pub fn some(&self) -> Option<Vec<Self>> {
        let items = self.list_or_one()?;
        if items.is_empty() {
            let message = format!("`{}` is an empty list", self.key);
            self.add(
                self.problem(Code::Empty, message).help("name at least one, or leave the key out"),
            );
            return None;
        }
        Some(items)
    }

    /// A map, to be read key by key.
    pub fn map(&self) -> Option<MapReader<'a>> {
        match &self.node.kind {
            Kind::Map(map) => Some(MapReader {
                value: *self,
                map,
                taken: vec![false; map.entries.len()],
                known: Vec::new(),
                private: false,
            }),
            _ => {
                self.mismatch("a map");
                None
            }
        }
    }

    /// The entries of a map whose keys are names that the user chose.
    pub fn entries(&self) -> Option<Vec<(&'a Entry, Self)>> {
        let Kind::Map(map) = &self.node.kind else {
            self.mismatch("a map");
            return None;
        };
        Some(map.entries.iter().map(|entry| (entry, self.under(entry))).collect())
    }

    /// The entries of a map whose keys are names that the user chose, without those whose name
    /// can't be used.
    pub fn named(&self, what: &str) -> Option<Vec<(&'a Entry, Self)>> {
        let mut entries = self.entries()?;
        entries.retain(|(entry, _)| {
            let fault = name_fault(&entry.key.text);
            if let Some(fault) = fault {
                let message = format!("this is not a name that a {what} can have");
                let problem = Problem::new(Code::BadName, message).at(self.file, entry.key.span);
                self.add(problem.label(fault));
            }
            fault.is_none()
        });
        Some(entries)
    }

    /// Whether it is a map of which all keys are there to be seen.
    pub const fn is_complete(&self) -> bool {
        match &self.node.kind {
            Kind::Map(map) => map.complete,
            Kind::Unreadable => false,
            _ => true,
        }
    }

    fn under(&self, entry: &'a Entry) -> Self {
        Self { node: &entry.value, key: &entry.key.text, standing: Standing::Key, ..*self }
    }

    fn items(&self, items: &'a [Node]) -> Vec<Self> {
        let items = items.iter().filter(|node| !node.is_unset());
        items.map(|node| Self { node, standing: Standing::Item, ..*self }).collect()
    }

    /// The label, or another that tells nothing of a value that came from the environment.
    fn or_hidden(&self, label: &str) -> String {
        if self.is_expanded() {
            "what the environment gives is none".to_owned()
        } else {
            label.to_owned()
        }
    }
}

/// Reads a map key by key, and knows which keys were asked for.
#[derive(Debug)]
pub struct MapReader<'a> {
    value: Value<'a>,
    map: &'a Map,
    taken: Vec<bool>,
    known: Vec<&'static str>,
    private: bool,
}

impl<'a> MapReader<'a> {
    /// The map itself, as a value.
    pub const fn value(&self) -> Value<'a> {
        self.value
    }

    /// Says that unknown keys of this map may hold secrets, so that their values are not shown.
    #[must_use]
    pub const fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// The value of a key; `None` where it is not written, or the environment left it empty.
    pub fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        self.take(key).filter(|value| !value.node.is_unset())
    }

    /// The value of a key that can't be left out.
    pub fn require(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.missing(key, None);
        }
        value
    }

    /// Says that a key is missing, unless the map could not be read whole.
    pub fn missing(&self, key: &str, help: Option<&str>) {
        if self.map.complete {
            let unset = self.map.entries.iter().find(|entry| &*entry.key.text == key);
            let (span, label) = match unset {
                Some(entry) => (entry.value.span, Some("the environment gives nothing")),
                None => (self.value.node.head(), None),
            };
            let message = format!("`{key}` is missing in {}", self.value.called());
            let mut problem =
                Problem::new(Code::MissingKey, message).at(self.value.file, span).maybe_help(help);
            problem.label = label.map(str::to_owned);
            problem.of_holder = unset.is_none();
            self.value.add(problem);
        }
    }

    /// Refuses a key that is designed and not built yet.
    pub fn not_yet(&mut self, key: &'static str) {
        if let Some((span, _)) = self.place_of(key) {
            self.take(key);
            let message = format!("this version does not do `{key}` yet");
            let problem = Problem::new(Code::NotYet, message).at(self.value.file, span);
            self.value.add(problem.help("leave it out"));
        }
    }

    /// Refuses two keys beside each other; true when both are there.
    pub fn exclusive(&self, one: &str, other: &str) -> bool {
        let (Some((first, _)), Some((second, _))) = (self.place_of(one), self.place_of(other))
        else {
            return false;
        };
        let place = Place { file: Arc::clone(self.value.file), span: first };
        self.value.add(
            Problem::new(Code::Exclusive, format!("`{one}` and `{other}` are both given"))
                .at(self.value.file, second)
                .related(place, format!("`{one}` is given here"))
                .help("keep one of them"),
        );
        true
    }

    /// Says nothing more of a key, about which something was said.
    pub fn pass_over(&mut self, key: &str) {
        self.take(key);
    }

    /// Whether a key is written, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.map.entries.iter().any(|entry| &*entry.key.text == key)
    }

    /// Where a key is written, and its value; `None` where the environment left it empty.
    pub fn place_of(&self, key: &str) -> Option<(Span, Value<'a>)> {
        let entry = self.map.entries.iter().find(|entry| &*entry.key.text == key)?;
        (!entry.value.is_unset()).then(|| (entry.key.span, self.value.under(entry)))
    }

    /// Reports the keys that nobody asked for. `what` names the keys that are known: `keys of a
    /// rule`.
    pub fn finish(self, what: &str) {
        self.finish_as(Code::UnknownKey, what, |key| format!("`{key}` is not known here"));
    }

    /// As [`MapReader::finish`], with another code and message.
    pub fn finish_as(self, code: Code, what: &str, message: impl Fn(&str) -> String) {
        for (entry, taken) in self.map.entries.iter().zip(&self.taken) {
            if *taken {
                continue;
            }
            let key = &*entry.key.text;
            let near = nearest(key, self.known.iter().copied());
            if self.private || near.is_some_and(secrecy::sounds_secret) {
                secrecy::hide_scalars(self.value.file, &entry.value);
            } else {
                // An address is a secret under any key, and here nobody knows what the key is for.
                secrecy::hide_addresses(self.value.file, &entry.value);
            }
            self.value.add(
                Problem::new(code, message(&cut(key)))
                    .at(self.value.file, entry.key.span)
                    .known(what, self.known.iter().copied())
                    .maybe_help(near.map(did_you_mean)),
            );
        }
    }

    fn take(&mut self, key: &str) -> Option<Value<'a>> {
        let index = self.map.entries.iter().position(|entry| &*entry.key.text == key)?;
        self.taken[index] = true;
        Some(self.value.under(&self.map.entries[index]))
    }
}

/// What is wrong with a name.
pub(super) fn name_fault(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("it is empty")
    } else if text.chars().count() > 100 {
        Some("longer than 100 characters")
    } else if text.chars().any(char::is_control) {
        Some("has a control character or a line break")
    } else if text.trim() != text {
        Some("has white space at an end")
    } else {
        None
    }
}

/// A duration within bounds.
fn example(bounds: &RangeInclusive<Duration>) -> String {
    let usual = Duration::from_secs(30);
    show_duration(if bounds.contains(&usual) { usual } else { *bounds.start() })
}

/// Whether a text is a duration within bounds.
fn within(bounds: &RangeInclusive<Duration>, text: &str) -> bool {
    parse_duration(text).is_ok_and(|duration| bounds.contains(&duration))
}

/// What was most likely meant by a duration with another unit, as far as it is within bounds.
fn meant(text: &str, unit: &str, bounds: &RangeInclusive<Duration>) -> String {
    let number = text.trim_end_matches(unit).trim();
    let unit = unit.trim().to_lowercase();
    let (said, meant) = match unit.chars().next() {
        _ if unit.starts_with("ms") || unit.starts_with("mil") => {
            ("write whole seconds, as", "1s".to_owned())
        }
        _ if unit.starts_with("mo") => {
            ("months differ in length: write days, as", "30d".to_owned())
        }
        Some(letter @ ('s' | 'm' | 'h' | 'd' | 'w')) => ("write", format!("{number}{letter}")),
        Some('y') => ("years differ in length: write days, as", "365d".to_owned()),
        _ => ("", String::new()),
    };
    if within(bounds, &meant) {
        format!("{said} `{meant}`")
    } else {
        format!("write one as `{}`; units: s, m, h, d, w", example(bounds))
    }
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

fn quoted(text: &str) -> String {
    format!("`{}`", cut(text))
}

/// A text in one line of bounded length.
fn cut(text: &str) -> String {
    const MOST: usize = 60;
    let mut line: String = text
        .chars()
        .take(MOST)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}
