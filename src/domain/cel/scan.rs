//! The bounds that a `cel` text keeps before it is parsed: length, nesting and chains.
//!
//! The parser and everything after it recurse, so depth is bounded here, where looking is a loop
//! over the text. Deliberately absent: whether the text is well formed, which the parser says; and
//! time, which `check` bounds.

use std::ops::Range;

use super::{CelError, Fault};

/// The longest text that is taken, in bytes.
pub const MAX_BYTES: usize = 4096;

/// How deep brackets, and with them calls, lists and macros, may nest.
pub const MAX_DEPTH: usize = 16;

/// The most operators that may follow one another without `&&`, `||`, `,` or a bracket between: the
/// tree of `1 + 1 + 1` is as deep as it is long.
const MAX_CHAIN: usize = 64;

/// Keeps the bounds, or says which is not kept and where.
pub(super) fn check(source: &str) -> Result<(), Box<CelError>> {
    if source.len() > MAX_BYTES {
        return Err(too_large(
            format!("the expression is {} bytes long, more than {MAX_BYTES}", source.len()),
            None,
            "split it into several rules, or into clauses on fields",
        ));
    }
    let mut levels = vec![0_usize];
    for (at, sign) in signs(source) {
        let place = Some(at..at + sign.len());
        match sign {
            "(" | "[" | "{" => {
                levels.push(0);
                if levels.len() > MAX_DEPTH + 1 {
                    let message = format!("the expression nests more than {MAX_DEPTH} deep");
                    return Err(too_large(message, place, "take it apart into several clauses"));
                }
            }
            ")" | "]" | "}" => {
                if levels.len() > 1 {
                    levels.pop();
                }
                chained(&mut levels, &place)?;
            }
            "," | "&&" | "||" => {
                if let Some(chain) = levels.last_mut() {
                    *chain = 0;
                }
            }
            _ => chained(&mut levels, &place)?,
        }
    }
    Ok(())
}

/// Counts an operator at the innermost level.
fn chained(levels: &mut [usize], place: &Option<Range<usize>>) -> Result<(), Box<CelError>> {
    let Some(chain) = levels.last_mut() else { return Ok(()) };
    *chain += 1;
    if *chain <= MAX_CHAIN {
        return Ok(());
    }
    let message = format!("more than {MAX_CHAIN} operators follow one another");
    Err(too_large(message, place.clone(), "use a list: `entry.service in ['a', 'b']`"))
}

fn too_large(message: String, span: Option<Range<usize>>, help: &str) -> Box<CelError> {
    Box::new(CelError::new(Fault::TooLarge, message, span).help(help))
}

/// The brackets, commas and operators of a text, texts in quotes and comments passed over.
pub(super) fn signs(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < source.len() {
            let rest = &source[at..];
            let first = rest.chars().next()?;
            let start = at;
            match first {
                '\'' | '"' => at += quoted(&source[..at], rest, first),
                '/' if rest.starts_with("//") => at += rest.find('\n').unwrap_or(rest.len()),
                '&' | '|' if rest[1..].starts_with(first) => {
                    at += 2;
                    return Some((start, &source[start..at]));
                }
                '(' | '[' | '{' | ')' | ']' | '}' | ',' | '+' | '-' | '*' | '/' | '%' | '!'
                | '.' | '?' | ':' | '<' | '>' | '=' => {
                    at += 1;
                    return Some((start, &source[start..at]));
                }
                other => at += other.len_utf8(),
            }
        }
        None
    })
}

/// The length of the quoted text that `rest` begins with; to the end where it is never closed.
fn quoted(before: &str, rest: &str, quote: char) -> usize {
    let raw = before.ends_with(['r', 'R']);
    let triple: String = [quote; 3].iter().collect();
    let closing = if rest.starts_with(&triple) { triple } else { quote.to_string() };
    let mut at = closing.len();
    while at < rest.len() {
        if rest[at..].starts_with(&closing) {
            return at + closing.len();
        }
        let mut letters = rest[at..].chars();
        let first = letters.next().map_or(1, char::len_utf8);
        let escaped = if !raw && rest[at..].starts_with('\\') { letters.next() } else { None };
        at += first + escaped.map_or(0, char::len_utf8);
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_chains_are_bounded_and_texts_are_passed_over() {
        let nested = |depth: usize| "(".repeat(depth) + "1" + &")".repeat(depth);
        let sum = |count: usize| "1".to_owned() + &" + 1".repeat(count);
        for sound in [
            nested(MAX_DEPTH),
            sum(MAX_CHAIN),
            format!("a == '{}'", "(".repeat(500)),
            format!(r#"a == "\"{}" || b == r'\' && {}"#, "(".repeat(500), nested(2)),
            format!("a == '''it's {}''' // {}", "(".repeat(500), "(".repeat(500)),
            "a == 1 || ".repeat(300) + "b",
        ] {
            assert_eq!(check(&sound), Ok(()), "{sound}");
        }
        for broken in [nested(MAX_DEPTH + 1), sum(MAX_CHAIN + 1), "x".repeat(MAX_BYTES + 1)] {
            assert_eq!(check(&broken).unwrap_err().fault, Fault::TooLarge);
        }
    }
}
