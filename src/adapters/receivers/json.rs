//! The JSON of an answer, read so that what stands at its edges costs nothing else of it: a mark of
//! the byte order before it, and a number beyond what a double holds, which counts as a text of its
//! digits. A message that was taken would otherwise be sent again for them. Deliberately absent:
//! what the answer means, and any leniency towards what is not JSON.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};

/// The answer in a body, where it is JSON of that form.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let text = unmarked(body);
    serde_json::from_slice(text).ok().or_else(|| match quoted(text)? {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => serde_json::from_slice(&text).ok(),
    })
}

/// As [`read`], of an object alone. A struct could also be read from an array.
pub(super) fn read_object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let is_object = unmarked(body).trim_ascii_start().starts_with(b"{");
    is_object.then(|| read(body))?
}

/// A mark of the byte order says nothing, and some put it before their JSON.
fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// JSON with its numbers beyond a double in quotes; `None` where it is none.
fn quoted(json: &[u8]) -> Option<Cow<'_, [u8]>> {
    // This asks for the grammar alone, whatever a number comes to.
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let mut out = Vec::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(&byte) = json.get(at) {
        let length = match byte {
            b'"' => text_length(&json[at..]),
            b'-' | b'0'..=b'9' => number_length(&json[at..]),
            _ => 1,
        };
        let token = &json[at..at + length];
        if byte != b'"' && is_beyond(token) {
            out.extend_from_slice(&json[kept..at]);
            out.push(b'"');
            out.extend_from_slice(token);
            out.push(b'"');
            kept = at + length;
        }
        at += length;
    }
    if kept == 0 {
        return Some(Cow::Borrowed(json));
    }
    out.extend_from_slice(&json[kept..]);
    Some(Cow::Owned(out))
}

/// How long a text is that begins with its quote.
fn text_length(json: &[u8]) -> usize {
    let mut escaped = false;
    let end = json.iter().skip(1).position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

fn number_length(json: &[u8]) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    json.iter().position(|byte| !part(byte)).unwrap_or(json.len())
}

fn is_beyond(token: &[u8]) -> bool {
    let number = str::from_utf8(token).ok().and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(f64::is_infinite)
}
