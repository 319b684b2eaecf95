//! From text to tree: parser events, with aliases and merges put in place, duplicates refused, and
//! a bound on everything.
//!
//! A mistake of syntax does not end the reading where it can be stepped over: the offending
//! characters are replaced in a copy, byte for byte so that all places stay, what they belonged to
//! becomes [`Kind::Unreadable`], and the copy is parsed. Where it can't, what was read until then is
//! kept and marked incomplete. Deliberately absent: what keys mean.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::{
    Code, Entry, File, Key, Kind, Map, Node, Place, Problem, Report, Scalar, Span, Style, secrecy,
    syntax::{self, Repair},
};

/// The largest document, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// The deepest nesting.
pub const MAX_DEPTH: usize = 48;

/// The most nodes, counted after aliases are put in place.
pub const MAX_NODES: usize = 500_000;

/// The most mistakes of syntax that are stepped over in one document.
const MAX_REPAIRS: usize = 20;

/// A document, as far as it could be read.
#[derive(Debug)]
pub struct Document {
    /// Its file.
    pub file: Arc<File>,
    /// The tree; `None` when there is nothing in it, or nothing that could be read.
    pub root: Option<Node>,
    /// Whether reading broke off: what is missing may stand after that.
    pub broken: bool,
}

impl Document {
    /// Reads a document. What is wrong with it goes into the report.
    pub fn parse(file: File, report: &Report) -> Self {
        let file = Arc::new(file);
        if file.text().len() > MAX_BYTES {
            let problem = Problem::new(
                Code::TooLarge,
                format!("the file is larger than {} MiB", MAX_BYTES >> 20),
            );
            report.add(problem.at(&file, Span::default()).help("split it into several files"));
            return Self { file, root: None, broken: true };
        }
        let mut text = Cow::Borrowed(file.text());
        let mut repaired = Repaired::default();
        for attempt in 0..=MAX_REPAIRS {
            let mut builder = Builder::new(&file, &repaired);
            let Err(error) = builder.run(&text) else {
                return builder.finish(report, false);
            };
            let syntax = syntax::explain(&file, &text, &error, builder.open_bracket());
            report.add(syntax.problem);
            match syntax.repair {
                Some(repair) if attempt < MAX_REPAIRS => {
                    text = Cow::Owned(apply(&text, &repair));
                    if repair.swallows {
                        repaired.swallowed.extend(&repair.spans);
                    }
                    repaired.spans.extend(repair.spans);
                }
                _ => return builder.finish(report, true),
            }
        }
        Self { file, root: None, broken: true }
    }
}

/// The text with each span of a repair filled with its filler; as many bytes as before.
fn apply(text: &str, repair: &Repair) -> String {
    let mut fixed = text.to_owned();
    for span in &repair.spans {
        let filler = repair.filler.to_string().repeat(span.range().len());
        fixed.replace_range(span.range(), &filler);
    }
    fixed
}

/// What was overwritten in the copy that is parsed.
#[derive(Default)]
struct Repaired {
    /// All of it.
    spans: Vec<Span>,
    /// What may have been keys of the map around it.
    swallowed: Vec<Span>,
}

impl Repaired {
    fn touches(&self, span: Span) -> bool {
        self.spans.iter().any(|repaired| repaired.overlaps(span))
    }

    fn swallows(&self, span: Span) -> bool {
        self.swallowed.iter().any(|repaired| repaired.overlaps(span))
    }
}

/// Builds the tree from events, with a stack of its own: depth costs no call stack.
struct Builder<'a> {
    file: &'a Arc<File>,
    repaired: &'a Repaired,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    problems: Vec<Problem>,
    /// Set when a bound was met; reading ends there.
    stopped: bool,
    documents: usize,
}

/// A map or list that is being read.
struct Open {
    start: u32,
    flow: bool,
    anchor: usize,
    tagged: bool,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { map: Map, places: HashMap<Arc<str>, Span>, key: Option<PendingKey>, merges: Vec<Node> },
}

/// A key whose value is awaited.
enum PendingKey {
    Text(Key),
    Merge,
    /// A key that is no text, or a duplicate: reported; its value is dropped.
    Dropped(Option<Arc<str>>),
}

impl<'a> Builder<'a> {
    fn new(file: &'a Arc<File>, repaired: &'a Repaired) -> Self {
        Self {
            file,
            repaired,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            problems: Vec::new(),
            stopped: false,
            documents: 0,
        }
    }

    fn run(&mut self, text: &str) -> Result<(), granit_parser::ScanError> {
        let mut options = granit_parser::options! {
            emit_unresolved_aliases: true,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        options.set_emit_comments(false);
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event?;
            let span_bytes = Span::from(span.byte_range().unwrap_or_default());
            let tag = span.tag_span().and_then(|span| span.byte_range()).map(Span::from);
            self.event(event, span_bytes, tag);
            if self.stopped {
                break;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span, tag: Option<Span>) {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.report(
                        Problem::new(Code::SecondDocument, "a second document begins here")
                            .at(self.file, span)
                            .help("keep one document a file: move what follows into its own file"),
                    );
                    self.stopped = true;
                }
            }
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => self.unresolved(&name, span),
            Event::Scalar(text, style, anchor, tag_name) => {
                let tagged = tag_name.is_some() && self.refuse_tag(tag, span);
                let node = Node { span, kind: self.scalar(&text, style, span, tagged) };
                self.place(node, anchor);
            }
            Event::SequenceStart(style, anchor, tag_name) => {
                let tagged = tag_name.is_some() && self.refuse_tag(tag, span);
                self.start(span, style, anchor, tagged, OpenKind::List(Vec::new()));
            }
            Event::MappingStart(style, anchor, tag_name) => {
                let tagged = tag_name.is_some() && self.refuse_tag(tag, span);
                let map = Map { entries: Vec::new(), complete: true };
                let kind =
                    OpenKind::Map { map, places: HashMap::new(), key: None, merges: Vec::new() };
                self.start(span, style, anchor, tagged, kind);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span.end),
            _ => {}
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: Span, tagged: bool) -> Kind {
        if tagged || self.repaired.touches(span) {
            return Kind::Unreadable;
        }
        let style = match style {
            ScalarStyle::Plain if self.open.last().is_some_and(|open| open.flow) => {
                Style::PlainInFlow
            }
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            _ => Style::Block,
        };
        Kind::Scalar(Scalar { text: text.into(), style, written: None })
    }

    /// Where the innermost bracket that is open stands.
    fn open_bracket(&self) -> Option<u32> {
        self.open.last().filter(|open| open.flow).map(|open| open.start)
    }

    fn start(
        &mut self,
        span: Span,
        style: StructureStyle,
        anchor: usize,
        tagged: bool,
        kind: OpenKind,
    ) {
        if self.open.len() >= MAX_DEPTH {
            self.report(syntax::too_deep(self.file, span));
            self.stopped = true;
            return;
        }
        let flow = style == StructureStyle::Flow;
        self.open.push(Open { start: span.start, flow, anchor, tagged, kind });
    }

    fn end(&mut self, at: u32) {
        let Some(open) = self.open.pop() else { return };
        let (anchor, tagged) = (open.anchor, open.tagged);
        let mut node = self.close(open, Some(at));
        if tagged {
            node.kind = Kind::Unreadable;
        }
        self.place(node, anchor);
    }

    /// Makes a node of what was open. `end` is `None` where the document broke off inside it.
    fn close(&mut self, open: Open, end: Option<u32>) -> Node {
        let (kind, last) = match open.kind {
            OpenKind::List(items) => {
                let last = items.last().map_or(open.start, |item| item.span.end);
                (Kind::List(items), last)
            }
            OpenKind::Map { mut map, mut places, merges, .. } => {
                map.complete &= end.is_some();
                let last = map
                    .entries
                    .last()
                    .map_or(open.start, |entry| entry.value.span.end.max(entry.key.span.end));
                self.merge(&mut map, &mut places, merges);
                (Kind::Map(map), last)
            }
        };
        // A block collection ends where the next line begins; its last entry says where it ends.
        let end = if open.flow { end.unwrap_or(last) } else { last };
        Node { span: Span { start: open.start, end: end.max(open.start) }, kind }
    }

    /// Puts merged keys after a map's own, which win, as do those of earlier merges.
    fn merge(&mut self, map: &mut Map, places: &mut HashMap<Arc<str>, Span>, merges: Vec<Node>) {
        let singly = merges.into_iter().flat_map(|node| match node.kind {
            Kind::List(items) => items,
            kind => vec![Node { span: node.span, kind }],
        });
        for node in singly {
            let head = node.head();
            let Kind::Map(merged) = node.kind else {
                map.complete = false;
                if !matches!(node.kind, Kind::Unreadable) {
                    self.report(bad_merge(self.file, head));
                }
                continue;
            };
            map.complete &= merged.complete;
            for entry in merged.entries {
                if !places.contains_key(&entry.key.text) {
                    places.insert(Arc::clone(&entry.key.text), entry.key.span);
                    map.entries.push(entry);
                }
            }
        }
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node, anchor: usize) {
        self.nodes += 1;
        if self.nodes > MAX_NODES && !self.stopped {
            self.report(
                Problem::new(
                    Code::TooLarge,
                    format!("the file holds more than {MAX_NODES} values"),
                )
                .at(self.file, node.head())
                .help("split it into several files"),
            );
            self.stopped = true;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { map, places, key, merges } => match key.take() {
                None => {
                    let (next, problem) = read_key(self.file, node, places, &mut map.complete);
                    *key = Some(next);
                    self.problems.extend(problem);
                }
                Some(PendingKey::Text(key)) => {
                    map.complete &= !self.repaired.swallows(node.span);
                    map.entries.push(Entry { key, value: node });
                }
                Some(PendingKey::Merge) => merges.push(node),
                Some(PendingKey::Dropped(key)) => {
                    secrecy::hide_dropped(self.file, key.as_deref().unwrap_or_default(), &node);
                }
            },
        }
    }

    fn alias(&mut self, id: usize, span: Span) {
        let Some(node) = self.anchors.get(&id) else {
            self.report(
                Problem::new(Code::UnknownAlias, "this alias stands inside what it names")
                    .at(self.file, span)
                    .help("write the value out"),
            );
            self.place(Node { span, kind: Kind::Unreadable }, 0);
            return;
        };
        let room = MAX_NODES.saturating_sub(self.nodes);
        let Some(count) = count_nodes(node, room, MAX_DEPTH.saturating_sub(self.open.len())) else {
            self.report(
                Problem::new(Code::TooLarge, "the aliases of this file unfold to too much")
                    .at(self.file, span)
                    .help(format!(
                        "at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep: write some out"
                    )),
            );
            self.stopped = true;
            return;
        };
        self.nodes += count;
        let node = node.clone();
        self.place(node, 0);
    }

    fn unresolved(&mut self, name: &str, span: Span) {
        self.report(syntax::alias_as_glob(self.file, name, span));
        self.place(Node { span, kind: Kind::Unreadable }, 0);
    }

    fn refuse_tag(&mut self, tag: Option<Span>, span: Span) -> bool {
        let span = tag.unwrap_or(span);
        self.report(syntax::tag(self.file, span));
        true
    }

    fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The document. What was still open is closed where it broke off.
    fn finish(mut self, report: &Report, broken: bool) -> Document {
        let broken = broken || self.stopped;
        // A document that is parsed again after a repair reports its tree's problems then.
        while let Some(open) = self.open.pop() {
            let node = self.close(open, None);
            self.place(node, 0);
        }
        if let Some(root) = self.root.as_mut().filter(|_| broken) {
            break_off(root);
        }
        for problem in self.problems {
            report.add(problem);
        }
        Document { file: Arc::clone(self.file), root: self.root, broken }
    }
}

/// Marks what ends where the reading broke off: it may have gone on.
fn break_off(node: &mut Node) {
    let last = match &mut node.kind {
        Kind::Map(map) => {
            map.complete = false;
            map.entries.last_mut().map(|entry| &mut entry.value)
        }
        Kind::List(items) => items.last_mut(),
        Kind::Scalar(_) | Kind::Unreadable => None,
    };
    last.into_iter().for_each(break_off);
}

/// Reads a node that stands where a key is awaited.
fn read_key(
    file: &Arc<File>,
    node: Node,
    places: &mut HashMap<Arc<str>, Span>,
    complete: &mut bool,
) -> (PendingKey, Option<Problem>) {
    let (span, head) = (node.span, node.head());
    match node.kind {
        Kind::Unreadable => {
            *complete = false;
            (PendingKey::Dropped(None), None)
        }
        Kind::Scalar(scalar)
            if matches!(scalar.style, Style::Plain | Style::PlainInFlow)
                && &*scalar.text == "<<" =>
        {
            (PendingKey::Merge, None)
        }
        Kind::Scalar(scalar) if span.start < span.end => match places.get(&scalar.text) {
            Some(&first) => {
                let place = Place { file: Arc::clone(file), span: first };
                let problem =
                    Problem::new(Code::DuplicateKey, format!("`{}` is given twice", scalar.text))
                        .at(file, span)
                        .label("given again")
                        .related(place, "first given here")
                        .help("keep one of them");
                (PendingKey::Dropped(Some(scalar.text)), Some(problem))
            }
            None => {
                places.insert(Arc::clone(&scalar.text), span);
                (PendingKey::Text(Key { text: scalar.text, span }), None)
            }
        },
        _ => {
            *complete = false;
            let problem = Problem::new(Code::KeyNotText, "a key has to be a text")
                .at(file, head)
                .help("write `key: value`; quote the key if it begins with a special character");
            (PendingKey::Dropped(None), Some(problem))
        }
    }
}

fn bad_merge(file: &Arc<File>, span: Span) -> Problem {
    Problem::new(Code::BadMerge, "`<<` takes a map, or a list of maps")
        .at(file, span)
        .help("write `<<: *name`, where `&name` stands before a map")
}

/// How many nodes there are; `None` when they are more than `room` or deeper than `depth`.
fn count_nodes(node: &Node, room: usize, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let mut count = 1;
    let mut add = |child: &Node| -> Option<()> {
        count += count_nodes(child, room.checked_sub(count)?, depth)?;
        Some(())
    };
    match &node.kind {
        Kind::List(items) => items.iter().try_for_each(&mut add)?,
        Kind::Map(map) => map.entries.iter().try_for_each(|entry| add(&entry.value))?,
        Kind::Scalar(_) | Kind::Unreadable => {}
    }
    (count <= room).then_some(count)
}
