//! Running a checked template: a walk over its operations, writing as it goes.
//!
//! Bounded in output and in passes through `each`, so a template can't exhaust the service.

use std::{borrow::Cow, sync::Arc};

use crate::domain::{
    entry::Entry,
    late::{self, Late, Piece},
};

use super::{
    escape::{Chat, MENTION, Sink, Written, push_json_string},
    helpers,
    names::{About, DIGEST},
    program::{Base, Expr, How, Literal, Local, Op},
    value::{Scope, Value, about_incident, count_of, field_of},
};

/// The most passes through all `each` blocks of a message.
const MOST_PASSES: usize = 100_000;

/// A template that asks for too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMuch {
    /// The message is longer than may be.
    Output,
    /// The blocks go around too often.
    Passes,
}

/// Where each piece of the output came from: (its start in the output, the offset in the source).
pub(super) type Trace = Vec<(usize, usize)>;

/// One run of a template.
pub(super) struct Run<'a, 't> {
    scope: &'a Scope<'a>,
    sink: Sink,
    chat: Chat,
    json: bool,
    frames: Vec<Frame<'a>>,
    passes: usize,
    trace: Option<&'t mut Trace>,
    /// The JSON of the entry that was written last: most messages say their only entry twice.
    said: Option<(&'a Entry, Chat, String)>,
}

struct Frame<'a> {
    this: Value<'a>,
    index: usize,
    of: usize,
    key: Option<&'a str>,
}

impl<'a, 't> Run<'a, 't> {
    /// A run that writes at most `limit` bytes.
    pub(super) fn new(scope: &'a Scope<'a>, chat: Chat, json: bool, limit: usize) -> Self {
        let sink = Sink::new(chat, json, limit);
        Self { scope, sink, chat, json, frames: Vec::new(), passes: 0, trace: None, said: None }
    }

    /// The same, noting where each piece came from.
    pub(super) fn traced(mut self, trace: &'t mut Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Runs a program and gives what it wrote.
    pub(super) fn finish(mut self, program: &'a [Op]) -> Result<Written, TooMuch> {
        self.block(program)?;
        if self.sink.overflowed() { Err(TooMuch::Output) } else { Ok(self.sink.into_written()) }
    }

    fn block(&mut self, program: &'a [Op]) -> Result<(), TooMuch> {
        for op in program {
            match op {
                Op::Text { text, at } => {
                    self.note(*at);
                    self.sink.literal(text);
                }
                Op::Emit { expr, how, at } => {
                    self.note(*at);
                    self.emit(expr, *how);
                }
                Op::If { test, negate, then, otherwise } => {
                    let holds = self.value(test).is_true(self.scope) != *negate;
                    self.block(if holds { then } else { otherwise })?;
                }
                Op::Each { over, body, otherwise } => self.each(over, body, otherwise)?,
                Op::With { what, body, otherwise } => {
                    let this = self.value(what);
                    if this.is_true(self.scope) {
                        self.within(Frame { this, index: 0, of: 1, key: None }, body)?;
                    } else {
                        self.block(otherwise)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn each(&mut self, over: &'a Expr, body: &'a [Op], otherwise: &'a [Op]) -> Result<(), TooMuch> {
        match self.value(over) {
            Value::Entries(entries) if !entries.is_empty() => {
                for (index, entry) in entries.iter().enumerate() {
                    let this = Value::Entry(entry);
                    self.within(Frame { this, index, of: entries.len(), key: None }, body)?;
                }
                Ok(())
            }
            Value::Labels if !self.scope.context.labels.is_empty() => {
                let labels = self.scope.context.labels;
                for (index, (key, text)) in labels.iter().enumerate() {
                    let this = Value::Lines(Cow::Borrowed(text));
                    self.within(Frame { this, index, of: labels.len(), key: Some(key) }, body)?;
                }
                Ok(())
            }
            _ => self.block(otherwise),
        }
    }

    fn within(&mut self, frame: Frame<'a>, body: &'a [Op]) -> Result<(), TooMuch> {
        self.passes += 1;
        if self.passes > MOST_PASSES {
            return Err(TooMuch::Passes);
        }
        if self.sink.overflowed() {
            return Err(TooMuch::Output);
        }
        self.frames.push(frame);
        let done = self.block(body);
        self.frames.pop();
        done
    }

    fn note(&mut self, at: usize) {
        if let Some(trace) = &mut self.trace {
            trace.push((self.sink.len(), at));
        }
    }

    fn emit(&mut self, expr: &'a Expr, how: How) {
        let mut value = self.value(expr);
        if let Value::Late(late) = value {
            if !self.scope.stand_in {
                return self.sink.late(*late, matches!(how, How::Json | How::PlainJson));
            }
            value = stand_in(*late);
        }
        match how {
            How::Escaped | How::Plain => self.write(&value, how == How::Escaped),
            How::Mention => {
                let who = value.to_text(self.scope);
                if !who.is_empty() {
                    self.sink.mention(&who);
                }
            }
            How::Json | How::PlainJson => {
                // In a text template the JSON is a text like any other, escaped as a whole.
                let inside = self.json && how == How::Json;
                let chat = if inside { self.chat } else { Chat::Machine };
                let mut json = String::new();
                match value {
                    Value::Entry(entry) => self.push_entry(&mut json, entry, chat),
                    Value::Entries([entry]) => {
                        json.push('[');
                        self.push_entry(&mut json, entry, chat);
                        json.push(']');
                    }
                    value => push_json(&mut json, &value, chat, self.scope),
                }
                if self.chat != Chat::Machine && json.contains(MENTION) {
                    // Nothing else is removed from plain JSON.
                    json.retain(|c| c != MENTION);
                }
                self.sink.json_value(&json, how == How::Json);
            }
        }
    }

    fn push_entry(&mut self, out: &mut String, entry: &'a Entry, chat: Chat) {
        match &self.said {
            Some((said, by, json)) if std::ptr::eq(*said, entry) && *by == chat => {
                out.push_str(json);
            }
            _ => {
                let begun = out.len();
                push_entry(out, entry, chat, self.scope);
                self.said = Some((entry, chat, out[begun..].to_owned()));
            }
        }
    }

    fn write(&mut self, value: &Value<'_>, escaped: bool) {
        match value {
            Value::Text(text) => {
                self.sink.value(&bounded(text, self.scope), false, escaped);
            }
            Value::Lines(text) => {
                self.sink.value(&bounded(text, self.scope), true, escaped);
            }
            other => self.sink.literal(&other.to_text(self.scope)),
        }
    }

    fn value(&self, expr: &'a Expr) -> Value<'a> {
        match expr {
            Expr::Literal(literal) => match literal {
                Literal::Null => Value::Absent,
                Literal::Truth(truth) => Value::Truth(*truth),
                Literal::Number(number) => Value::Number(*number),
                Literal::Text(text) => Value::Lines(Cow::Borrowed(text)),
            },
            Expr::Path { base, steps } => {
                let mut value = self.base(*base);
                for step in steps {
                    value = self.scope.step(&value, step);
                }
                value
            }
            Expr::Call { helper, args } => match &**args {
                [one] => helpers::call(*helper, &[self.value(one)], self.scope),
                [one, two] => {
                    helpers::call(*helper, &[self.value(one), self.value(two)], self.scope)
                }
                more => {
                    let args: Vec<_> = more.iter().map(|arg| self.value(arg)).collect();
                    helpers::call(*helper, &args, self.scope)
                }
            },
        }
    }

    fn base(&self, base: Base) -> Value<'a> {
        match base {
            Base::Root => Value::Root,
            Base::Frame(depth) => {
                self.frames.get(depth).map_or(Value::Absent, |frame| frame.this.clone())
            }
            Base::Local(depth, local) => {
                let Some(frame) = self.frames.get(depth) else { return Value::Absent };
                match local {
                    Local::Index => Value::Number(frame.index as i64),
                    Local::First => Value::Truth(frame.index == 0),
                    Local::Last => Value::Truth(frame.index + 1 == frame.of),
                    Local::Key => frame.key.map_or(Value::Number(frame.index as i64), Value::text),
                }
            }
        }
    }
}

/// What is written in a trial where each attempt would work something out.
fn stand_in<'a>(late: Late) -> Value<'a> {
    Value::Lines(Cow::Owned(late::stand_in(&[Piece::Late { late, how: late::How::Text }])))
}

/// A text cut visibly at the most characters of one foreign text.
fn bounded<'t>(text: &'t str, scope: &Scope<'_>) -> Cow<'t, str> {
    if text.len() <= scope.longest {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(scope.longest) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let mark = scope.language.more_characters(text[end..].chars().count());
            Cow::Owned(format!("{} {mark}", &text[..end]))
        }
    }
}

/// A value as JSON. Texts are escaped by the chat's rules first; for a machine nothing of them is
/// removed. A field that an entry lacks is left out.
fn push_json(out: &mut String, value: &Value<'_>, chat: Chat, scope: &Scope<'_>) {
    match value {
        Value::Absent => out.push_str("null"),
        Value::Truth(_) | Value::Number(_) => out.push_str(&value.to_text(scope)),
        Value::Time(time) => push_json_string(out, &time.to_string()),
        Value::Text(text) => push_text(out, text, false, chat, scope),
        Value::Lines(text) => push_text(out, text, true, chat, scope),
        Value::Entry(entry) => push_entry(out, entry, chat, scope),
        Value::Entries(entries) => push_entries(out, entries, chat, scope),
        Value::Labels => {
            out.push('{');
            for (index, (name, text)) in scope.context.labels.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_text(out, name, false, chat, scope);
                out.push(':');
                push_text(out, text, true, chat, scope);
            }
            out.push('}');
        }
        Value::Rule => {
            out.push_str("{\"name\":");
            push_text(out, scope.context.rule, false, chat, scope);
            out.push_str(",\"labels\":");
            push_json(out, &Value::Labels, chat, scope);
            out.push('}');
        }
        Value::Incident(incident) => {
            for (index, (name, about)) in ABOUT_INCIDENT.into_iter().enumerate() {
                out.push_str(if index == 0 { "{\"" } else { ",\"" });
                out.push_str(name);
                out.push_str("\":");
                push_json(out, &about_incident(incident, about), chat, scope);
            }
            out.push('}');
        }
        Value::Digest(tally) => {
            for (index, (name, counted)) in DIGEST.into_iter().enumerate() {
                out.push_str(if index == 0 { "{\"" } else { ",\"" });
                out.push_str(name);
                out.push_str("\":");
                push_json(out, &count_of(tally, counted), chat, scope);
            }
            out.push('}');
        }
        Value::Root => out.push_str("{}"),
        // Written by `emit`; no entry and no label holds one.
        Value::Late(_) => out.push_str("null"),
    }
}

/// What the JSON of an incident holds.
const ABOUT_INCIDENT: [(&str, About); 4] = [
    ("since", About::Since),
    ("duration", About::Duration),
    ("count", About::Count),
    ("first_id", About::FirstId),
];

fn push_entries(out: &mut String, entries: &[Arc<Entry>], chat: Chat, scope: &Scope<'_>) {
    out.push('[');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_entry(out, entry, chat, scope);
    }
    out.push(']');
}

fn push_entry(out: &mut String, entry: &Entry, chat: Chat, scope: &Scope<'_>) {
    out.push('{');
    for (index, (field, _)) in entry.fields().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push('"');
        out.push_str(field.name());
        out.push_str("\":");
        push_json(out, &field_of(entry, field), chat, scope);
    }
    out.push('}');
}

fn push_text(out: &mut String, text: &str, lines: bool, chat: Chat, scope: &Scope<'_>) {
    let text = bounded(text, scope);
    if chat == Chat::Machine {
        return push_json_string(out, &text);
    }
    let mut sink = Sink::new(chat, true, usize::MAX);
    sink.value(&text, lines, true);
    out.push('"');
    out.push_str(&sink.into_string());
    out.push('"');
}
