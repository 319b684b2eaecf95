//! Writing values into a message so that they stay text: foreign text can't mention, link, colour,
//! break out of its line or break JSON.
//!
//! Each chat has its own rules (`docs/receivers.md`, 1.3 and 2.1). Only values are escaped, once;
//! a template's own text goes out as it stands. Deliberately absent: limits, which are measured
//! later (`form`), since escaping makes text longer.

use std::fmt::Write as _;

use crate::domain::late::{How, Late, Piece};

/// Stands before a mention in WeCom, until the message's form is known. No value can bring one:
/// it is among what is removed from them.
pub(super) const MENTION: char = '\u{e0001}';

/// Whose rules values are escaped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chat {
    /// `&`, `<`, `>` become entities; a backtick becomes a look-alike, since it has no escape.
    Slack,
    /// What could be markup becomes its full-width look-alike, since WeCom knows no entities.
    Wecom,
    /// Nothing is escaped.
    Machine,
}

/// A message while it is written.
#[derive(Debug)]
pub(super) struct Sink {
    out: String,
    chat: Chat,
    json: bool,
    limit: usize,
    overflowed: bool,
    value_was_last: bool,
    /// What each attempt works out, with the place in `out` where it belongs.
    late: Vec<(usize, Late, How)>,
}

/// A message that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it.
    Whole(String),
    /// All but what each attempt works out.
    Pieces(Vec<Piece>),
}

impl Sink {
    /// An empty message, which may grow to `limit` bytes.
    pub(super) fn new(chat: Chat, json: bool, limit: usize) -> Self {
        Self {
            out: String::with_capacity(2_048),
            chat,
            json,
            limit,
            overflowed: false,
            value_was_last: false,
            late: Vec::new(),
        }
    }

    /// Bytes written.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether more was written than may be; the rest was left out.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// The message, without what each attempt works out.
    pub(super) fn into_string(self) -> String {
        self.out
    }

    /// The message.
    pub(super) fn into_written(self) -> Written {
        if self.late.is_empty() {
            return Written::Whole(self.out);
        }
        let mut pieces = Vec::with_capacity(2 * self.late.len() + 1);
        let mut from = 0;
        for (at, late, how) in self.late {
            if at > from {
                pieces.push(Piece::Text(self.out[from..at].to_owned()));
            }
            pieces.push(Piece::Late { late, how });
            from = at;
        }
        if from < self.out.len() {
            pieces.push(Piece::Text(self.out[from..].to_owned()));
        }
        Written::Pieces(pieces)
    }

    /// What each attempt works out, here.
    pub(super) fn late(&mut self, late: Late, whole_json: bool) {
        let how = match (whole_json, self.json) {
            (true, _) => How::Json,
            (false, true) => How::JsonText,
            (false, false) => How::Text,
        };
        self.late.push((self.out.len(), late, how));
    }

    /// The template's own text.
    pub(super) fn literal(&mut self, text: &str) {
        if self.full(text.len()) {
            return;
        }
        // A value that ends in `]` must not make a link with the template's own parenthesis.
        if self.chat == Chat::Wecom
            && self.value_was_last
            && text.starts_with('(')
            && self.out.ends_with(']')
        {
            self.out.push(' ');
        }
        self.value_was_last = text.is_empty() && self.value_was_last;
        self.out.push_str(text);
    }

    /// A value's text. `lines` keeps its line breaks; `escaped` applies the chat's rules.
    pub(super) fn value(&mut self, text: &str, lines: bool, escaped: bool) {
        if text.is_empty() || self.full(text.len()) {
            return;
        }
        let chat = if escaped { self.chat } else { Chat::Machine };
        let mut rest = text;
        while let Some(at) = rest.find(is_special) {
            self.out.push_str(&rest[..at]);
            let mut chars = rest[at..].chars();
            let Some(found) = chars.next() else { break };
            rest = chars.as_str();
            self.special(found, rest, lines, chat);
        }
        self.out.push_str(rest);
        self.value_was_last = true;
    }

    /// A whole JSON value: as it stands in a JSON template, as text in any other.
    pub(super) fn json_value(&mut self, json: &str, escaped: bool) {
        if self.json {
            self.literal(json);
        } else {
            self.value(json, false, escaped);
        }
    }

    /// A mention, as the chat writes one. Who is mentioned comes from the operator.
    pub(super) fn mention(&mut self, who: &str) {
        let sound = !who.is_empty()
            && who.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let tag = match self.chat {
            _ if !sound => None,
            Chat::Machine => None,
            Chat::Wecom => Some(format!("{MENTION}<@{who}>")),
            Chat::Slack => Some(slack_mention(who)),
        };
        match tag {
            Some(tag) => self.out.push_str(&tag),
            None => {
                self.out.push('@');
                self.value(who, false, true);
            }
        }
        self.value_was_last = true;
    }

    fn full(&mut self, more: usize) -> bool {
        self.overflowed |= self.out.len() + more > self.limit;
        self.overflowed
    }

    fn special(&mut self, found: char, rest: &str, lines: bool, chat: Chat) {
        match (found, chat) {
            ('\r', _) if rest.starts_with('\n') => {}
            ('\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}', _) => {
                if lines {
                    self.line_break(chat);
                } else {
                    self.out.push(' ');
                }
            }
            ('\t', _) if lines => self.out.push_str(if self.json { "\\t" } else { "\t" }),
            ('\t', _) => self.out.push(' '),
            ('"' | '\\', _) if self.json => {
                self.out.push('\\');
                self.out.push(found);
            }
            ('&', Chat::Slack) => self.out.push_str("&amp;"),
            ('<', Chat::Slack) => self.out.push_str("&lt;"),
            ('>', Chat::Slack) => self.out.push_str("&gt;"),
            ('`', Chat::Slack) => self.out.push('ˋ'),
            ('<', Chat::Wecom) => self.out.push('＜'),
            ('(', Chat::Wecom) if self.out.ends_with(']') => self.out.push_str(" ("),
            ('#', Chat::Wecom) if self.at_line_start() => self.out.push('＃'),
            ('>', Chat::Wecom) if self.at_line_start() => self.out.push('＞'),
            ('@', Chat::Wecom) if starts_with_all(rest) => self.out.push('＠'),
            (other, _) if is_removed(other) => {}
            (other, _) => self.out.push(other),
        }
    }

    /// Breaks the line inside a value. In a WeCom quote, the value stays in the quote.
    fn line_break(&mut self, chat: Chat) {
        let quoted = chat == Chat::Wecom && self.line().trim_start().starts_with('>');
        self.out.push_str(match (self.json, quoted) {
            (true, false) => "\\n",
            (true, true) => "\\n> ",
            (false, false) => "\n",
            (false, true) => "\n> ",
        });
    }

    /// The line that is being written. In JSON it begins at an escaped line break or at a quote.
    fn line(&self) -> &str {
        let start = if self.json {
            let broken = self.out.rfind("\\n").map(|at| at + 2);
            broken.max(self.out.rfind('"').map(|at| at + 1))
        } else {
            self.out.rfind('\n').map(|at| at + 1)
        };
        &self.out[start.unwrap_or(0)..]
    }

    /// Whether what comes next would be taken for markup that stands at the start of a line.
    fn at_line_start(&self) -> bool {
        self.line().bytes().all(|byte| b" >\t*#-`".contains(&byte))
    }
}

/// A JSON string with nothing removed, for machines.
pub(super) fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    // All of them are bytes of their own in UTF-8.
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    while let Some(at) = rest.bytes().position(special) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            // Writing to a string can't fail.
            other => drop(write!(out, "\\u{other:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

fn is_special(c: char) -> bool {
    match c {
        '&' | '<' | '>' | '`' | '"' | '\\' | '(' | '#' | '@' => true,
        _ if c.is_ascii() => c.is_ascii_control(),
        '\u{2028}' | '\u{2029}' => true,
        _ => is_removed(c),
    }
}

/// Characters that show nothing and change what is around them: controls, overrides of the
/// direction of writing, invisible tags.
const fn is_removed(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

fn starts_with_all(rest: &str) -> bool {
    rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("all"))
}

fn slack_mention(who: &str) -> String {
    let is_id = who.len() >= 6
        && who.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    match who {
        "here" | "channel" | "everyone" => format!("<!{who}>"),
        "all" => "<!channel>".to_owned(),
        _ if is_id && who.starts_with('S') => format!("<!subteam^{who}>"),
        _ if is_id && who.starts_with(['U', 'W']) => format!("<@{who}>"),
        _ => format!("@{who}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(chat: Chat, json: bool, before: &str, value: &str, after: &str) -> String {
        let mut sink = Sink::new(chat, json, 10_000);
        sink.literal(before);
        sink.value(value, true, true);
        sink.literal(after);
        sink.into_string()
    }

    #[test]
    fn slack_values_are_escaped_once() {
        let text = "<!channel> a&amp;b `x`";
        assert_eq!(
            written(Chat::Slack, false, "<", text, ">"),
            "<&lt;!channel&gt; a&amp;amp;b ˋxˋ>"
        );
        assert_eq!(written(Chat::Slack, true, "", "\"a\"\\\n", ""), "\\\"a\\\"\\\\\\n");
    }

    #[test]
    fn wecom_values_lose_only_what_forges() {
        let plain = "a < b & c > d [x] (y) # z @bob";
        assert_eq!(
            written(Chat::Wecom, false, "v ", plain, ""),
            "v a ＜ b & c > d [x] (y) # z @bob"
        );
        assert_eq!(
            written(Chat::Wecom, false, "", "# head\n> quote\n  # more", ""),
            "＃ head\n＞ quote\n  ＃ more"
        );
        assert_eq!(
            written(Chat::Wecom, false, "", "[safe](http://evil)", ""),
            "[safe] (http://evil)"
        );
        assert_eq!(
            written(Chat::Wecom, false, "", "[safe]", "(http://ours)"),
            "[safe] (http://ours)"
        );
        assert_eq!(
            written(Chat::Wecom, false, "[safe]", "(http://evil)", ""),
            "[safe] (http://evil)"
        );
        assert_eq!(written(Chat::Wecom, false, "", "@all <@bob> @ALL", ""), "＠all ＜@bob> ＠ALL");
        assert_eq!(written(Chat::Wecom, false, "x\n> ", "one\ntwo", "\n"), "x\n> one\n> two\n");
        assert_eq!(
            written(Chat::Wecom, true, r#""x\n> "#, "one\n# two", ""),
            r#""x\n> one\n> ＃ two"#
        );
    }

    #[test]
    fn controls_and_overrides_go() {
        assert_eq!(
            written(
                Chat::Machine,
                false,
                "",
                "a\u{0}\u{1b}[31m\u{202e}b\u{2066}\r\nc\u{2028}d",
                ""
            ),
            "a[31mb\nc\nd"
        );
        let mut sink = Sink::new(Chat::Slack, false, 100);
        sink.value("v1\nResult: fine\tso", false, true);
        assert_eq!(sink.into_string(), "v1 Result: fine so");
    }

    #[test]
    fn mentions_take_the_chat_s_form() {
        for (chat, who, expected) in [
            (Chat::Slack, "U012AB3CD", "<@U012AB3CD>"),
            (Chat::Slack, "S012AB3CD", "<!subteam^S012AB3CD>"),
            (Chat::Slack, "here", "<!here>"),
            (Chat::Slack, "all", "<!channel>"),
            (Chat::Slack, "zhang.san", "@zhang.san"),
            (Chat::Slack, "a> <!channel", "@a&gt; &lt;!channel"),
            (Chat::Wecom, "zhangsan", "\u{e0001}<@zhangsan>"),
            (Chat::Wecom, "x> <@y", "@x> ＜@y"),
            (Chat::Machine, "bob", "@bob"),
        ] {
            let mut sink = Sink::new(chat, false, 100);
            sink.mention(who);
            assert_eq!(sink.into_string(), expected);
        }
    }
}
