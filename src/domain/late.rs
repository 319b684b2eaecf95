//! Parts of a message that only an attempt can know: its time, what is signed with that time, and
//! secrets.
//!
//! A message is rendered once and may leave hours later, several times. What depends on the moment
//! of sending, and what may not lie in a database, stays a formula ([`Late`]) in the queued message
//! and is worked out at each attempt. A queued message is a list of [`Piece`]s, kept as JSON. Text
//! out of the log can only ever become the content of a string in it, whatever it says: there is no
//! mark in a text that would make a formula of what stands beside it, and so none to forge.
//!
//! The stored form is for good: databases hold it. Deliberately absent: the clock and the secrets,
//! which are given, and signatures over the whole body, which are made after it is filled in.

use std::fmt::{self, Write as _};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Something to be worked out at an attempt. Gives bytes, which are text but for a bare
/// [`Late::HmacSha256`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// What was known already.
    Text(Box<str>),
    /// Unix seconds of the attempt.
    NowS,
    /// Unix milliseconds of the attempt.
    NowMs,
    /// One of the receiver's secrets, by name.
    Secret(Box<str>),
    /// One after the other.
    Concat(Vec<Self>),
    /// HMAC-SHA256, of a key and a message: 32 bytes.
    HmacSha256(Box<(Self, Self)>),
    /// Standard base64, padded.
    Base64(Box<Self>),
    /// Lower-case hexadecimal digits.
    Hex(Box<Self>),
    /// Percent-encoded, all but letters, digits and `-_.~`.
    UrlEncode(Box<Self>),
}

/// How what was worked out is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// As it is.
    Text,
    /// Inside a JSON string.
    JsonText,
    /// As a whole JSON string.
    Json,
}

/// A piece of a queued message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Piece {
    /// Text that was rendered.
    Text(String),
    /// What is worked out at each attempt.
    Late {
        /// The formula.
        late: Late,
        /// How its result is written.
        how: How,
    },
}

/// A queued message with pieces that each attempt fills in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LateMessage {
    /// Whether the body is JSON.
    pub json: bool,
    /// The body.
    pub body: Vec<Piece>,
    /// Headers beside the receiver's own.
    pub headers: Vec<(String, Vec<Piece>)>,
    /// Parameters of the query beside the receiver's own, not encoded.
    pub query: Vec<(String, Vec<Piece>)>,
}

/// What an attempt knows.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// When it is made.
    pub now: Timestamp,
    /// The receiver's secrets, by name.
    pub secret: &'a dyn Fn(&str) -> Option<String>,
}

/// A formula names a secret that the receiver does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no `secrets.{0}`")]
pub struct NoSecret(pub String);

impl Late {
    /// Whether its result depends on the attempt.
    pub fn is_late(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::NowS | Self::NowMs | Self::Secret(_) => true,
            Self::Concat(parts) => parts.iter().any(Self::is_late),
            Self::HmacSha256(both) => both.0.is_late() || both.1.is_late(),
            Self::Base64(of) | Self::Hex(of) | Self::UrlEncode(of) => of.is_late(),
        }
    }

    /// Its result, where that depends on nothing of the attempt.
    pub fn known(&self) -> Option<String> {
        let none = |_: &str| None;
        let moment = Moment { now: Timestamp::UNIX_EPOCH, secret: &none };
        (!self.is_late()).then(|| self.text(&moment).ok()).flatten()
    }

    /// Works it out.
    ///
    /// # Errors
    /// A secret is not there.
    pub fn bytes(&self, moment: &Moment<'_>) -> Result<Vec<u8>, NoSecret> {
        Ok(match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::NowS => moment.now.as_second().to_string().into_bytes(),
            Self::NowMs => moment.now.as_millisecond().to_string().into_bytes(),
            Self::Secret(name) => {
                (moment.secret)(name).ok_or_else(|| NoSecret(name.to_string()))?.into_bytes()
            }
            Self::Concat(parts) => {
                let mut whole = Vec::new();
                for part in parts {
                    whole.extend(part.bytes(moment)?);
                }
                whole
            }
            Self::HmacSha256(both) => hmac(&both.0.bytes(moment)?, &both.1.bytes(moment)?),
            Self::Base64(of) => BASE64_STANDARD.encode(of.bytes(moment)?).into_bytes(),
            Self::Hex(of) => hex(&of.bytes(moment)?).into_bytes(),
            Self::UrlEncode(of) => url_encode(&of.bytes(moment)?).into_bytes(),
        })
    }

    /// Its result as text. What is no text is replaced by the sign for that.
    ///
    /// # Errors
    /// As [`Late::bytes`].
    pub fn text(&self, moment: &Moment<'_>) -> Result<String, NoSecret> {
        let bytes = self.bytes(moment)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length.
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(message));
    mac.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string can't fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Percent-encodes all but letters, digits and `-_.~` (RFC 3986, unreserved).
pub fn url_encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut out, &byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

impl How {
    fn write(self, out: &mut String, text: &str) {
        let quoted = || serde_json::Value::from(text).to_string();
        match self {
            Self::Text => out.push_str(text),
            Self::Json => out.push_str(&quoted()),
            Self::JsonText => {
                let quoted = quoted();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
    }
}

/// Pieces as one text.
///
/// # Errors
/// As [`Late::bytes`].
pub fn fill(pieces: &[Piece], moment: &Moment<'_>) -> Result<String, NoSecret> {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Late { late, how } => how.write(&mut out, &late.text(moment)?),
        }
    }
    Ok(out)
}

/// Pieces as one text, with stand-ins for what is not known before the attempt: to be measured and
/// parsed. A secret counts as 64 characters.
pub fn stand_in(pieces: &[Piece]) -> String {
    let secret = |_: &str| Some("s".repeat(64));
    let now = Timestamp::from_second(1_772_413_205).unwrap_or_default();
    // Every secret is there.
    fill(pieces, &Moment { now, secret: &secret }).unwrap_or_default()
}

/// Pieces as people are shown them: formulas as a template would write them.
pub fn shown(pieces: &[Piece]) -> String {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Late { late, how } => how.write(&mut out, &format!("{{{{{late}}}}}")),
        }
    }
    out
}

impl LateMessage {
    /// As it is queued.
    pub fn to_json(&self) -> String {
        // Strings, lists and structs of such: nothing that JSON can't hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The message in its queued form.
    ///
    /// # Errors
    /// It is none: the database was written by something else.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", serde_json::Value::from(&**text)),
            Self::NowS => f.write_str("now_s"),
            Self::NowMs => f.write_str("now_ms"),
            Self::Secret(name) => write!(f, "secrets.{name}"),
            Self::Concat(parts) => {
                f.write_str("concat")?;
                parts.iter().try_for_each(|part| write!(f, " {}", Inside(part)))
            }
            Self::HmacSha256(both) => {
                write!(f, "hmac_sha256 {} {}", Inside(&both.0), Inside(&both.1))
            }
            Self::Base64(of) => write!(f, "base64 {}", Inside(of)),
            Self::Hex(of) => write!(f, "hex {}", Inside(of)),
            Self::UrlEncode(of) => write!(f, "url_encode {}", Inside(of)),
        }
    }
}

/// A formula within another: in parentheses where it is a call.
struct Inside<'a>(&'a Late);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Late::Text(_) | Late::NowS | Late::NowMs | Late::Secret(_) => self.0.fmt(f),
            call => write!(f, "({call})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Late {
        Late::Text(text.into())
    }

    fn worked_out(late: &Late) -> Result<String, NoSecret> {
        let secret = |name: &str| (name == "sign").then(|| "SEC\"1".to_owned());
        late.text(&Moment { now: "2026-03-02T01:00:05.25Z".parse().unwrap(), secret: &secret })
    }

    #[test]
    fn formulas_are_those_of_the_standards() {
        // RFC 4231, test case 2.
        let signed =
            Late::HmacSha256(Box::new((text("Jefe"), text("what do ya want for nothing?"))));
        let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(worked_out(&Late::Hex(signed.clone().into())).unwrap(), tag);
        let base64 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
        assert_eq!(worked_out(&Late::Base64(signed.into())).unwrap(), base64);
        assert_eq!(worked_out(&Late::NowS).unwrap(), "1772413205");
        assert_eq!(worked_out(&Late::NowMs).unwrap(), "1772413205250");
        let encoded = worked_out(&Late::UrlEncode(text("a b+/=商~").into())).unwrap();
        assert_eq!(encoded, "a%20b%2B%2F%3D%E5%95%86~");
        assert_eq!(worked_out(&Late::Secret("sing".into())), Err(NoSecret("sing".to_owned())));
    }

    #[test]
    fn what_is_worked_out_breaks_no_json() {
        let piece = |how| Piece::Late { late: Late::Secret("sign".into()), how };
        let secret = |_: &str| Some("a\"\n\\".to_owned());
        let moment = Moment { now: Timestamp::UNIX_EPOCH, secret: &secret };
        let pieces = [
            Piece::Text("{\"a\":\"".to_owned()),
            piece(How::JsonText),
            Piece::Text("\",\"b\":".to_owned()),
            piece(How::Json),
            Piece::Text("}".to_owned()),
        ];
        let whole = fill(&pieces, &moment).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(parsed, serde_json::json!({"a": "a\"\n\\", "b": "a\"\n\\"}));
    }

    #[test]
    fn foreign_text_stays_text_whatever_it_says() {
        let forged = r#"{"late":"now_s","how":"text"}"#;
        let piece = Piece::Text(forged.to_owned());
        let message = LateMessage { body: vec![piece], ..Default::default() };
        let read = LateMessage::parse(&message.to_json()).unwrap();
        assert_eq!(read, message);
        assert_eq!(stand_in(&read.body), forged);
    }

    #[test]
    fn the_stored_form_is_for_good() {
        let both =
            Box::new((Late::Secret("k".into()), Late::Concat(vec![Late::NowMs, text("\n")])));
        let late = Late::Base64(Box::new(Late::HmacSha256(both)));
        let message = LateMessage {
            json: true,
            body: vec![
                Piece::Text("{\"t\":".to_owned()),
                Piece::Late { late: Late::NowS, how: How::Text },
                Piece::Text(",\"sign\":\"".to_owned()),
                Piece::Late { late: late.clone(), how: How::JsonText },
                Piece::Text("\"}".to_owned()),
            ],
            headers: vec![("x".to_owned(), vec![Piece::Text("y".to_owned())])],
            query: Vec::new(),
        };
        let stored = concat!(
            r#"{"json":true,"body":["{\"t\":",{"late":"now_s","how":"text"},",\"sign\":\"","#,
            r#"{"late":{"base64":{"hmac_sha256":[{"secret":"k"},{"concat":["now_ms",{"text":"\n"}]}]}},"#,
            r#""how":"json_text"},"\"}"],"headers":[["x",["y"]]],"query":[]}"#
        );
        assert_eq!(message.to_json(), stored);
        assert_eq!(LateMessage::parse(stored).unwrap(), message);
        assert_eq!(late.to_string(), r#"base64 (hmac_sha256 secrets.k (concat now_ms "\n"))"#);
        assert!(shown(&message.body).starts_with(r#"{"t":{{now_s}},"sign":"{{base64 ("#));
    }
}
