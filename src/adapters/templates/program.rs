//! A template, checked and resolved: what is rendered is what was checked.
//!
//! `lint` makes it from the syntax tree, `eval` runs it. Every name has become a [`Step`] and every
//! helper a [`Helper`], so nothing can be unknown while a message is rendered. Deliberately
//! absent: source text; only offsets into it are kept, to place what goes wrong later.

use std::collections::BTreeSet;

use super::{
    helpers::Helper,
    names::{Name, Step},
};

/// What a template does, in order.
pub(super) type Program = Vec<Op>;

/// One thing that a template does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    /// Writes the template's own text. `at` is its offset in the source, in bytes.
    Text { text: Box<str>, at: usize },
    /// Writes a value. `at` is the offset of its tag.
    Emit { expr: Expr, how: How, at: usize },
    /// `if` and `unless`.
    If { test: Expr, negate: bool, then: Program, otherwise: Program },
    /// `each`.
    Each { over: Expr, body: Program, otherwise: Program },
    /// `with`.
    With { what: Expr, body: Program, otherwise: Program },
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Escaped for the chat, then for JSON where the template is JSON.
    Escaped,
    /// For JSON only, where the template is JSON; else as it is.
    Plain,
    /// As a JSON value, its texts escaped for the chat.
    Json,
    /// As a JSON value, its texts as they are.
    PlainJson,
    /// As a mention, which is what the operator wrote and no entry's text.
    Mention,
}

/// Something that has a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    /// What the template says.
    Literal(Literal),
    /// A path.
    Path { base: Base, steps: Box<[Step]> },
    /// A helper's result.
    Call { helper: Helper, args: Box<[Expr]> },
}

/// The names of the receiver's secrets that a program writes, each once.
pub(super) fn secrets(program: &[Op]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    paths(program, &mut |_, steps| {
        if let [.., Step::Secret(name)] = steps {
            found.insert(&**name);
        }
    });
    found
}

/// Whether a program writes something of the message that it is for, and not only of the attempt.
pub(super) fn reads_the_message(program: &[Op]) -> bool {
    let mut found = false;
    paths(program, &mut |base, steps| {
        let of_attempt = matches!(
            steps,
            [Step::Root(Name::NowS | Name::NowMs)] | [Step::Root(Name::Secrets), Step::Secret(_)]
        );
        found |= !(base == Base::Root && of_attempt);
    });
    found
}

/// What every message of a program writes of an entry's fields and of an incident, with the offset
/// of its tag; what stands in a block or is an argument, such as of `default`, is written with care.
pub(super) fn always_read(program: &[Op]) -> Vec<(&Step, usize)> {
    let mut found = Vec::new();
    for op in program {
        // A value of JSON may be `null`, so that the form stays the same.
        if let Op::Emit { expr: Expr::Path { base: Base::Root, steps }, how, at } = op
            && matches!(how, How::Escaped | How::Plain)
            && let Some(step @ (Step::Field(_) | Step::Incident(_))) = steps.last()
            && matches!(steps.first(), Some(Step::Root(Name::Entry | Name::Incident)))
        {
            found.push((step, *at));
        }
    }
    found
}

/// The labels that a program asks for; `None` where it shows all of them.
pub(super) fn labels(program: &[Op]) -> Option<BTreeSet<&str>> {
    let (mut found, mut all) = (BTreeSet::new(), false);
    paths(program, &mut |_, steps| match steps.last() {
        Some(Step::Label(name)) => {
            found.insert(&**name);
        }
        Some(Step::RuleLabels | Step::Root(Name::Rule)) => all = true,
        _ => {}
    });
    (!all).then_some(found)
}

/// Calls `each` with every path of a program.
fn paths<'p>(program: &'p [Op], each: &mut dyn FnMut(Base, &'p [Step])) {
    for op in program {
        match op {
            Op::Text { .. } => {}
            Op::Emit { expr, .. } => paths_of(expr, each),
            Op::If { test: expr, then: one, otherwise: other, .. }
            | Op::Each { over: expr, body: one, otherwise: other }
            | Op::With { what: expr, body: one, otherwise: other } => {
                paths_of(expr, each);
                paths(one, each);
                paths(other, each);
            }
        }
    }
}

fn paths_of<'p>(expr: &'p Expr, each: &mut dyn FnMut(Base, &'p [Step])) {
    match expr {
        Expr::Literal(_) => {}
        Expr::Path { base, steps } => each(*base, steps),
        Expr::Call { args, .. } => args.iter().for_each(|arg| paths_of(arg, each)),
    }
}

/// What a template says literally.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// `null`.
    Null,
    /// `true`, `false`.
    Truth(bool),
    /// A whole number.
    Number(i64),
    /// Text.
    Text(Box<str>),
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The outermost scope.
    Root,
    /// What the block at that depth stands at, counted from outside, from 0.
    Frame(usize),
    /// Something about the pass of the `each` at that depth.
    Local(usize, Local),
}

/// What an `each` says of its pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    /// From 0.
    Index,
    /// Whether it is the first.
    First,
    /// Whether it is the last.
    Last,
    /// The label's name; the index in a list.
    Key,
}
