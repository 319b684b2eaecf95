//! Taking the layout out of a JSON template once, instead of out of each message.
//!
//! Whether a place is inside a JSON string depends only on the template's own text: values bring
//! no bare quote. Where the branches of a block disagree on it, the template keeps its layout,
//! which is sound JSON too.

use super::program::{Op, Program};

/// A program that writes the same JSON without white space between its values, if that can be
/// known beforehand.
pub(super) fn squeeze(program: &Program) -> Option<Program> {
    let mut squeezed = program.clone();
    let mut state = State::default();
    walk(&mut squeezed, &mut state)?;
    Some(squeezed)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    in_string: bool,
    escaped: bool,
}

/// Squeezes a block; `None` where the state after it is not known.
fn walk(program: &mut Program, state: &mut State) -> Option<()> {
    for op in program.iter_mut() {
        match op {
            Op::Text { text, .. } => *text = state.squeeze(text).into(),
            Op::Emit { .. } if state.escaped => return None,
            Op::Emit { .. } => {}
            Op::If { then, otherwise, .. } => branches(then, otherwise, state)?,
            Op::Each { body, otherwise, .. } => {
                let before = *state;
                branches(body, otherwise, state)?;
                // A pass ends where the next begins.
                if *state != before {
                    return None;
                }
            }
            Op::With { body, otherwise, .. } => branches(body, otherwise, state)?,
        }
    }
    program.retain(|op| !matches!(op, Op::Text { text, .. } if text.is_empty()));
    Some(())
}

fn branches(one: &mut Program, other: &mut Program, state: &mut State) -> Option<()> {
    let mut after_other = *state;
    walk(one, state)?;
    walk(other, &mut after_other)?;
    (*state == after_other).then_some(())
}

impl State {
    fn squeeze(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if self.in_string {
                match c {
                    _ if self.escaped => self.escaped = false,
                    '\\' => self.escaped = true,
                    '"' => self.in_string = false,
                    _ => {}
                }
            } else if c == '"' {
                self.in_string = true;
            } else if c.is_ascii_whitespace() {
                continue;
            }
            out.push(c);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::templates::lint::lint;

    fn texts(source: &str) -> Option<String> {
        fn all(program: &[Op], out: &mut String) {
            for op in program {
                match op {
                    Op::Text { text, .. } => out.push_str(text),
                    Op::Emit { .. } => out.push('·'),
                    Op::If { then, otherwise, .. } => {
                        all(then, out);
                        all(otherwise, out);
                    }
                    Op::Each { body, otherwise, .. } | Op::With { body, otherwise, .. } => {
                        all(body, out);
                        all(otherwise, out);
                    }
                }
            }
        }
        let mut out = String::new();
        all(&squeeze(&lint("x", source, true, false).unwrap())?, &mut out);
        Some(out)
    }

    #[test]
    fn layout_goes_and_strings_stay() {
        assert_eq!(
            texts("{ \"a b\" : [ 1 ,\n\t\"x \\\" y\\\\\" ] }\n").unwrap(),
            r#"{"a b":[1,"x \" y\\"]}"#
        );
        assert_eq!(
            texts("{\"a\": \"x {{entry.tag}} y\", {{#if message}} \"b\": {{json message}} , {{/if}} \"c\": 1}").unwrap(),
            "{\"a\":\"x · y\",\"b\":·,\"c\":1}"
        );
    }

    #[test]
    fn branches_that_disagree_keep_the_layout() {
        assert_eq!(
            texts("{\"a\": {{#if message}}\"x {{else}}1, \"b c\": \" {{/if}} y\"}").as_deref(),
            Some("{\"a\":\"x 1,\"b c\":\"  y\"}")
        );
        assert_eq!(texts("{\"a\": {{#if message}}\"x{{/if}} 1 \"}"), None);
        assert_eq!(texts("[{{#each entries}} \" {{/each}} ]"), None);
    }
}
