//! Splitting and cutting over-long text, measured in the receiver's own unit after escaping.
//!
//! A break falls at the end of a line where that wastes less than half, else between words, else
//! between characters; never inside an entity, a link, a tag, a code span or a joined character.
//! A code fence or a colour that is open at a break is closed before it and opened again after.
//! What is left out is said. Deliberately absent: what the pieces become (`form`).

use crate::domain::limit::Unit;

use super::language::Language;

/// Whose markup a text is in, for what must not be torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Markup {
    /// Slack's mrkdwn.
    Slack,
    /// WeCom's markdown.
    Wecom,
    /// None.
    Plain,
}

/// How a text is measured and what in it must not be torn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ruler {
    /// What lengths count.
    pub unit: Unit,
    /// What must not be torn.
    pub markup: Markup,
    /// The language of marks.
    pub language: Language,
}

/// The longest piece of markup that is kept whole, in bytes. Longer is no markup that a chat
/// would understand.
const LONGEST_ATOM: usize = 2_048;
/// The longest code span that is kept whole, in bytes.
const LONGEST_SPAN: usize = 200;

/// What is open at a place in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Open {
    fence: bool,
    colour: Option<String>,
}

impl Open {
    fn opening(&self) -> String {
        let mut out = self.colour.clone().unwrap_or_default();
        if self.fence {
            out.push_str("```\n");
        }
        out
    }

    const fn closing(&self) -> &'static str {
        match (self.fence, self.colour.is_some()) {
            (false, false) => "",
            (false, true) => "</font>",
            (true, false) => "\n```",
            (true, true) => "\n```</font>",
        }
    }

    fn note(&mut self, atom: &str) {
        if atom == "```" {
            self.fence = !self.fence;
        } else if atom == "</font>" {
            self.colour = None;
        } else if atom.starts_with("<font ") {
            self.colour = Some(atom.to_owned());
        }
    }
}

impl Ruler {
    /// How long a text is.
    pub(super) fn measure(&self, text: &str) -> usize {
        self.unit.measure(text)
    }

    /// A text in pieces of at most `max`, at most `most` of them; the last says what is left out.
    /// `max` is at least 100.
    pub(super) fn split(&self, text: &str, max: usize, most: usize) -> Vec<String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut open = Open::default();
        while !rest.is_empty() {
            let opening = open.opening();
            if self.measure(&opening) + self.measure(rest) <= max {
                pieces.push(opening + rest);
                break;
            }
            if pieces.len() + 1 >= most {
                pieces.push(self.cut_from(&open, rest, max));
                break;
            }
            let (end, next) = self.take(rest, &open, max);
            pieces.push(format!("{opening}{}{}", trim_break(&rest[..end]), next.closing()));
            rest = rest[end..].strip_prefix('\n').unwrap_or(&rest[end..]);
            open = next;
        }
        pieces
    }

    /// A text of at most `max`, with a visible mark where it was cut. `max` is at least 100.
    pub(super) fn cut(&self, text: &str, max: usize) -> String {
        if self.measure(text) <= max {
            return text.to_owned();
        }
        self.cut_from(&Open::default(), text, max)
    }

    /// A text of one line of at most `max`, with `…` where it was cut.
    pub(super) fn cut_line(&self, text: &str, max: usize) -> String {
        if self.measure(text) <= max {
            return text.to_owned();
        }
        let (end, _) = self.take(text, &Open::default(), max - self.measure("…"));
        format!("{}…", text[..end].trim_end())
    }

    fn cut_from(&self, open: &Open, text: &str, max: usize) -> String {
        // The mark is longest when it counts all.
        let longest = self.language.more_characters(text.chars().count());
        let (end, at_end) = self.take(text, open, max - self.measure(&longest) - 1);
        let mark = self.language.more_characters(text[end..].trim_start().chars().count());
        let kept = text[..end].trim_end();
        format!("{}{kept}{}\n{mark}", open.opening(), at_end.closing())
    }

    /// Where a piece of at most `max` ends that begins with what is open, and what is open there.
    fn take(&self, text: &str, open: &Open, max: usize) -> (usize, Open) {
        let mut used = self.measure(&open.opening());
        let mut state = open.clone();
        let mut at = 0;
        let mut best: [Option<(usize, Open)>; 3] = [None, None, None];
        while at < text.len() {
            let mut len = self.atom(&text[at..], &state);
            if at == 0 && used + self.measure(&text[..len]) + 16 > max {
                // Markup that does not fit a piece by itself is torn after all.
                len = first_char(text);
            }
            let atom = &text[at..at + len];
            used += self.measure(atom);
            state.note(atom);
            at += len;
            if used + self.measure(state.closing()) > max {
                break;
            }
            let kind = match atom {
                "\n" => 0,
                " " => 1,
                _ => 2,
            };
            best[kind] = Some((at, state.clone()));
        }
        let furthest = best.iter().flatten().map(|(at, _)| *at).max().unwrap_or(0);
        let chosen = best.into_iter().flatten().find(|(at, _)| *at * 2 >= furthest && *at > 0);
        chosen.unwrap_or_else(|| (first_char(text), open.clone()))
    }

    /// The length in bytes of what stands first in a text and must not be torn.
    fn atom(&self, text: &str, open: &Open) -> usize {
        let markup = match self.markup {
            Markup::Plain => None,
            _ if text.starts_with("```") => Some(3),
            _ if open.fence && self.markup == Markup::Slack => entity(text),
            _ if open.fence => None,
            Markup::Slack => entity(text).or_else(|| tag(text)).or_else(|| span(text)),
            Markup::Wecom => tag(text).or_else(|| link(text)).or_else(|| span(text)),
        };
        markup.unwrap_or_else(|| first_char(text))
    }
}

/// An entity of Slack's.
fn entity(text: &str) -> Option<usize> {
    ["&amp;", "&lt;", "&gt;"].iter().find(|entity| text.starts_with(**entity)).map(|e| e.len())
}

/// `<…>` on one line.
fn tag(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('<')?;
    let end = inside.bytes().take(LONGEST_ATOM).position(|byte| b"<>\n".contains(&byte))?;
    (inside.as_bytes()[end] == b'>').then_some(end + 2)
}

/// `[…](…)` on one line.
fn link(text: &str) -> Option<usize> {
    if !text.starts_with('[') {
        return None;
    }
    let line = text.bytes().take(LONGEST_ATOM).position(|byte| byte == b'\n');
    let line = &text.as_bytes()[..line.unwrap_or(text.len().min(LONGEST_ATOM))];
    let middle = line.windows(2).position(|pair| pair == b"](")?;
    let end = line[middle..].iter().position(|byte| *byte == b')')?;
    Some(middle + end + 1)
}

/// A code span on one line.
fn span(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('`')?;
    let end = inside.bytes().take(LONGEST_SPAN).position(|byte| b"`\n".contains(&byte))?;
    (end > 0 && inside.as_bytes()[end] == b'`').then_some(end + 2)
}

/// The length in bytes of the first character with what is joined to it.
fn first_char(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let mut joined = false;
    chars.next();
    // Bounded, since a text of nothing but joiners is somebody's trick.
    for _ in 0..16 {
        match chars.peek() {
            Some((_, next)) if joined || joins(*next) => {
                joined = *next == '\u{200d}';
                chars.next();
            }
            _ => break,
        }
    }
    chars.peek().map_or(text.len(), |(at, _)| *at)
}

const fn joins(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{20e3}'
        | '\u{1f3fb}'..='\u{1f3ff}')
}

/// A piece without the line break that it ends in.
fn trim_break(piece: &str) -> &str {
    piece.strip_suffix('\n').unwrap_or(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ruler(unit: Unit, markup: Markup) -> Ruler {
        Ruler { unit, markup, language: Language::English }
    }

    #[test]
    fn breaks_fall_at_line_ends() {
        let line = "x".repeat(39);
        let text = vec![line; 10].join("\n");
        let pieces = ruler(Unit::Chars, Markup::Plain).split(&text, 100, 10);
        assert_eq!(pieces.len(), 5);
        assert_eq!(pieces.join("\n"), text);
    }

    #[test]
    fn a_fence_is_closed_and_opened_again() {
        let text = format!("before\n```\n{}```\nafter", "line of log\n".repeat(30));
        let pieces = ruler(Unit::Chars, Markup::Slack).split(&text, 120, 20);
        for piece in &pieces {
            assert!(piece.chars().count() <= 120);
            assert_eq!(piece.matches("```").count() % 2, 0, "{piece}");
        }
    }

    #[test]
    fn colours_links_and_entities_stay_whole() {
        let text = format!("<font color=\"warning\">{}</font>", "红 [a](http://b/c) ".repeat(60));
        let pieces = ruler(Unit::Bytes, Markup::Wecom).split(&text, 200, 20);
        assert!(pieces.len() > 3);
        for piece in &pieces {
            assert!(piece.len() <= 200);
            assert_eq!(piece.matches("<font").count(), piece.matches("</font>").count());
            assert_eq!(piece.matches("[a](http://b/c)").count(), piece.matches('[').count());
        }
        let pieces = ruler(Unit::Chars, Markup::Slack).split(&"&lt;".repeat(200), 101, 20);
        assert!(pieces.iter().all(|piece| piece.len() % 4 == 0));
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        let cut = ruler(Unit::Bytes, Markup::Wecom).cut(&"字".repeat(2_000), 300);
        assert!(cut.len() <= 300);
        let kept = cut.matches('字').count();
        let missing = super::super::language::grouped(2_000 - kept);
        assert!(cut.ends_with(&format!("\n… {missing} more characters")), "{cut}");
    }

    proptest! {
        #[test]
        fn pieces_fit_and_lose_nothing(
            words in proptest::collection::vec(
                prop_oneof![
                    "[a-z]{1,12}", "[一-龥]{1,40}", Just("\n".to_owned()), Just(" ".to_owned()),
                    Just("```".to_owned()), Just("&amp;".to_owned()), Just("<font color=\"info\">".to_owned()),
                    Just("</font>".to_owned()), Just("[x](http://y)".to_owned()), Just("👨‍👩‍👧".to_owned()),
                    Just("<http://a|b>".to_owned()), Just("`".to_owned()), "<[a-z]{150,400}>",
                ], 0..120),
            max in 100_usize..400,
            bytes: bool,
            wecom: bool,
        ) {
            let text = words.concat();
            let unit = if bytes { Unit::Bytes } else { Unit::Chars };
            let ruler = ruler(unit, if wecom { Markup::Wecom } else { Markup::Slack });
            let pieces = ruler.split(&text, max, 1_000);
            for piece in &pieces {
                prop_assert!(unit.measure(piece) <= max, "{} > {max}: {piece}", unit.measure(piece));
            }
            // Whatever is added at breaks is markup; letters are never lost.
            let letters = |text: &str| text.chars().filter(|c| ('一'..='龥').contains(c)).count();
            prop_assert_eq!(pieces.iter().map(|piece| letters(piece)).sum::<usize>(), letters(&text));
            let few = ruler.split(&text, max, 3);
            prop_assert!(few.len() <= 3);
            prop_assert!(few.iter().all(|piece| unit.measure(piece) <= max));
            prop_assert!(pieces.len() <= 3 || few[2].contains("more characters"));
            let cut = ruler.cut(&text, max);
            prop_assert!(unit.measure(&cut) <= max);
            prop_assert!(cut == text || cut.contains("more characters"));
        }
    }
}
