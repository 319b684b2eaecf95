//! What may be repeated of what a receiver said: without secrets, control characters and length.
//!
//! The URL is the credential of most receivers, and many answer with the path that was asked for.
//! A secret is found as it was configured and in the spellings that an echo gives it:
//! percent-encoded (twice, too), escaped for JSON or HTML, in other letter case, as basic
//! authentication. Deliberately absent: guessing what else could be a secret.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Url;

/// What stands in a secret's place.
const MASK: &str = "***";

/// What is shorter is hidden only as part of something longer: hiding each `x` of the path `/x`
/// would hide what was said and protect nothing.
const LEAST_BYTES: usize = 4;

/// Words that many a path is made of. They are hidden as parts of it and not by themselves: a
/// receiver that says "send too fast" would not be understood.
const PATH_WORDS: [&str; 12] = [
    "alerts", "events", "hook", "hooks", "incoming", "message", "messages", "robot", "send",
    "services", "webhook", "webhooks",
];

/// Knows a receiver's secrets, to leave them out of what is shown and kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Scrubber {
    /// Lower-case, each at most once, the longest first.
    needles: Vec<Vec<u8>>,
}

impl Scrubber {
    /// Hides a text, and its parts between spaces where it has some (`Bearer …`).
    pub(super) fn hide(&mut self, secret: &str) {
        self.add(secret);
        for part in secret.split_ascii_whitespace() {
            self.add(part);
        }
    }

    /// Hides what is secret in a URL: all of it but scheme and host, whole and in parts. Path
    /// segments in `public` are the same for everybody and may be shown.
    pub(super) fn hide_url(&mut self, url: &Url, public: &[&str]) {
        let path = url.path();
        if path.len() > 1 && !path.split('/').all(|part| part.is_empty() || public.contains(&part))
        {
            self.add(url.as_str());
            self.add(path);
            self.add(path.trim_matches('/'));
        }
        let known = |part: &&str| public.contains(part) || PATH_WORDS.contains(part);
        for part in path.split('/').filter(|part| !known(part)) {
            self.add(part);
        }
        self.hide_query(url);
        let password = url.password().unwrap_or_default();
        self.add(url.username());
        self.add(password);
        if !url.username().is_empty() || !password.is_empty() {
            // An echo may leave out the padding.
            self.add(basic_credentials(url).trim_end_matches('='));
        }
    }

    /// Hides a URL's query, whole and value by value.
    pub(super) fn hide_query(&mut self, url: &Url) {
        if let Some(query) = url.query() {
            self.add(query);
            for (_, value) in url.query_pairs() {
                self.add(&value);
            }
            for pair in query.split('&') {
                self.add(pair.split_once('=').map_or(pair, |(_, value)| value));
            }
        }
    }

    fn add(&mut self, secret: &str) {
        for needle in [secret.as_bytes().to_vec(), percent_decoded(secret)] {
            let needle = needle.to_ascii_lowercase();
            if needle.len() >= LEAST_BYTES && !self.needles.contains(&needle) {
                self.needles.push(needle);
            }
        }
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }

    /// At most `limit` bytes of a text on one line, secrets masked and control characters gone.
    /// `cut` says that the text went on beyond its end, where a secret may have begun.
    pub(super) fn clean(&self, text: &str, cut: bool, limit: usize) -> String {
        let mut clean = String::new();
        let mut at = 0;
        while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let (piece, step) = match self.secret_at(&text.as_bytes()[at..], cut) {
                // A match may end within a character; what is left of it is left out.
                Some(len) => (None, ceil_boundary(text, at + len) - at),
                None => (Some(next), next.len_utf8()),
            };
            at += step;
            match piece {
                None if clean.ends_with(MASK) => {}
                None => clean.push_str(MASK),
                Some(c) if c.is_whitespace() || is_unprintable(c) => {
                    if !clean.is_empty() && !clean.ends_with(' ') {
                        clean.push(' ');
                    }
                }
                Some(c) => clean.push(c),
            }
            if clean.len() > limit {
                break;
            }
        }
        shorten(&mut clean, limit);
        clean.truncate(clean.trim_end().len());
        clean
    }

    /// How many bytes at the start of a text spell a secret.
    fn secret_at(&self, text: &[u8], cut: bool) -> Option<usize> {
        self.needles.iter().find_map(|needle| {
            spelled(text, needle, cut, unescaped).or_else(|| spelled(text, needle, cut, plain))
        })
    }
}

/// How many bytes of `text` spell `needle`, read unit by unit. The end of a text that was cut
/// matches whatever would have followed, if enough of it stands there.
fn spelled(text: &[u8], needle: &[u8], cut: bool, read: fn(&[u8]) -> (u8, usize)) -> Option<usize> {
    let mut at = 0;
    for (matched, &wanted) in needle.iter().enumerate() {
        if at >= text.len() {
            return (cut && matched >= LEAST_BYTES).then_some(at);
        }
        let (byte, len) = read(&text[at..]);
        // Forms write a space as `+`.
        let is_space = wanted == b' ' && byte == b'+';
        if !is_space && !byte.eq_ignore_ascii_case(&wanted) {
            return None;
        }
        at += len;
    }
    Some(at.min(text.len()))
}

/// The next byte as it stands.
fn plain(text: &[u8]) -> (u8, usize) {
    (text[0], 1)
}

/// The next byte behind its escape, and the escape's length.
fn unescaped(text: &[u8]) -> (u8, usize) {
    match text {
        [b'%', high, low, rest @ ..] => match (hex_byte(*high, *low), rest) {
            // Encoded twice: `%252F`.
            (Some(b'%'), [high, low, ..]) => match hex_byte(*high, *low) {
                Some(byte) => (byte, 5),
                None => (b'%', 3),
            },
            (Some(byte), _) => (byte, 3),
            (None, _) => (b'%', 1),
        },
        [b'\\', b'u' | b'U', b'0', b'0', high, low, ..] => match hex_byte(*high, *low) {
            Some(byte) => (byte, 6),
            None => (b'\\', 1),
        },
        [b'\\', escaped @ (b'/' | b'"' | b'\\'), ..] => (*escaped, 2),
        [b'&', rest @ ..] => entity(rest).unwrap_or((b'&', 1)),
        _ => plain(text),
    }
}

/// An HTML entity of one byte, after its `&`.
fn entity(rest: &[u8]) -> Option<(u8, usize)> {
    let end = rest.iter().take(8).position(|&byte| byte == b';')?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    let byte = match name {
        "amp" => b'&',
        "lt" => b'<',
        "gt" => b'>',
        "quot" => b'"',
        "apos" => b'\'',
        _ => {
            let number = name.strip_prefix('#')?;
            match number.strip_prefix(['x', 'X']) {
                Some(hex) => u8::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            }
        }
    };
    Some((byte, end + 2))
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// A text with its percent escapes resolved.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    while let [first, rest @ ..] = bytes {
        let escape = match (first, rest) {
            (b'%', [high, low, after @ ..]) => hex_byte(*high, *low).map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = escape.unwrap_or((*first, rest));
        decoded.push(byte);
        bytes = after;
    }
    decoded
}

/// A URL's user and password as the header `Authorization: Basic …` carries them.
pub(super) fn basic_credentials(url: &Url) -> String {
    let mut pair = percent_decoded(url.username());
    pair.push(b':');
    pair.extend(percent_decoded(url.password().unwrap_or_default()));
    BASE64_STANDARD.encode(pair)
}

/// Control characters, and those that turn or hide the text around them on a screen.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Cuts a text to at most `limit` bytes, with a mark where something was cut.
pub(super) fn shorten(text: &mut String, limit: usize) {
    const MARK: &str = "…";
    if text.len() > limit {
        let end = (0..=limit.saturating_sub(MARK.len()))
            .rev()
            .find(|&end| text.is_char_boundary(end))
            .unwrap_or(0);
        text.truncate(end);
        text.push_str(MARK);
    }
}

fn ceil_boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slack() -> Scrubber {
        let mut scrub = Scrubber::default();
        let url = "https://hooks.slack.com/services/T0AAA/B0BBB/Sup3rS3cret";
        scrub.hide_url(&Url::parse(url).unwrap(), &["services"]);
        scrub
    }

    fn clean(scrub: &Scrubber, text: &str) -> String {
        scrub.clean(text, false, 2048)
    }

    #[test]
    fn a_secret_is_masked_in_every_spelling_of_an_echo() {
        let scrub = slack();
        for echo in [
            "https://hooks.slack.com/services/T0AAA/B0BBB/Sup3rS3cret",
            "/services/T0AAA/B0BBB/Sup3rS3cret",
            "services%2FT0AAA%2fB0BBB%2FSup3rS3cret",
            "%252Fservices%252FT0AAA%252FB0BBB%252FSup3rS3cret",
            r#"{"path":"\/services\/T0AAA\/B0BBB\/Sup3rS3cret"}"#,
            r"\u002fservices\u002FT0AAA\u002fB0BBB\u002fSup3rS3cret",
            "&#47;services&#x2F;T0AAA&#x2f;B0BBB&#47;Sup3rS3cret",
            "SUP3RS3CRET",
            "%53up3r%533cret",
            "Sup3rS3cret and T0AAA and B0BBB",
        ] {
            let shown = clean(&scrub, &format!("no such path: {echo} (404)"));
            assert!(shown.starts_with("no such path: ") && shown.ends_with(" (404)"), "{shown}");
            for part in ["T0AAA", "B0BBB", "Sup3rS3cret", "up3r", "SUP3R"] {
                assert!(!shown.contains(part), "{echo} was shown as {shown}");
            }
        }
    }

    #[test]
    fn query_values_user_and_password_are_masked() {
        let mut scrub = Scrubber::default();
        let url = "https://watcher:p%40ss@example.com/x?token=a%2Bb%20c&k=deadbeef";
        scrub.hide_url(&Url::parse(url).unwrap(), &[]);
        for echo in ["a+b c", "a%2Bb%20c", "a%2bb+c", "deadbeef", "p@ss", "p%40ss", "watcher"] {
            let shown = clean(&scrub, &format!("<{echo}>"));
            assert_eq!(shown, "<***>", "{echo}");
        }
        assert_eq!(clean(&scrub, "Basic d2F0Y2hlcjpwQHNz"), "Basic ***");
        assert_eq!(clean(&scrub, "a text with an x"), "a text with an x");
    }

    #[test]
    fn a_path_of_ordinary_words_hides_none_of_them_where_they_are_said() {
        let mut scrub = Scrubber::default();
        let url = "https://oapi.dingtalk.com/robot/send?access_token=5f1aa2";
        scrub.hide_url(&Url::parse(url).unwrap(), &[]);
        assert_eq!(clean(&scrub, "send too fast, token 5f1aa2"), "send too fast, token ***");
        assert_eq!(clean(&scrub, "POST /robot/send?access_token=5f1aa2"), "POST ***?***");
    }

    #[test]
    fn public_segments_are_shown() {
        let mut scrub = Scrubber::default();
        let url = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx";
        scrub.hide_url(&Url::parse(url).unwrap(), &["cgi-bin", "webhook", "send"]);
        assert_eq!(
            clean(&scrub, "POST /cgi-bin/webhook/send?key=693a91f6-7xxx"),
            "POST /cgi-bin/webhook/send?***"
        );
    }

    #[test]
    fn a_secret_that_a_cut_left_half_is_masked() {
        let scrub = slack();
        assert_eq!(scrub.clean("bad: Sup3rS3", true, 2048), "bad: ***");
        assert_eq!(scrub.clean("bad: Sup3rS3", false, 2048), "bad: Sup3rS3");
    }

    #[test]
    fn control_characters_go_and_length_is_bounded() {
        let scrub = Scrubber::default();
        assert_eq!(clean(&scrub, " a\r\n\u{1b}[31mb\u{202e}c\t\0 "), "a [31mb c");
        let long = scrub.clean(&"汉".repeat(5000), false, 2048);
        assert!(long.len() <= 2048 && long.len() > 2040 && long.ends_with('…'));
    }

    proptest! {
        #[test]
        fn no_text_around_a_secret_makes_it_show(
            before in "\\PC{0,40}", after in "\\PC{0,40}", secret in "[a-zA-Z0-9+/=%&_.-]{4,40}"
        ) {
            let mut scrub = Scrubber::default();
            scrub.hide(&secret);
            let shown = clean(&scrub, &format!("{before}{secret}{after}"));
            prop_assert!(!shown.contains(&secret) || secret.chars().all(|c| c == '*'));
        }

        #[test]
        fn any_text_is_cleaned_within_the_limit(text in any::<String>(), limit in 3usize..200) {
            let shown = slack().clean(&text, true, limit);
            prop_assert!(shown.len() <= limit);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
