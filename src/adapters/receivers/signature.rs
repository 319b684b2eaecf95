//! Standard Webhooks 1.0.0 signatures, symmetric: made by the sender, and checked as a receiver
//! checks them (tests and the demo's wall are receivers).
//!
//! Deliberately absent: asymmetric `v1a` signatures, which are ignored when they are checked.

use std::fmt;

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Seconds that a signature's time may lie from the checker's clock.
pub const TOLERANCE_S: i64 = 300;

const PREFIX: &str = "whsec_";
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Reads padded and unpadded base64 alike.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key to sign with. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

/// A secret that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not begin with `whsec_`.
    #[error("does not begin with whsec_")]
    Prefix,
    /// What follows is not base64.
    #[error("is not base64 after whsec_")]
    Base64,
    /// Its length, in bytes, is not allowed.
    #[error("holds {0} bytes; the key must have 24 to 64")]
    Length(usize),
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The timestamp is no number of seconds.
    #[error("the timestamp is not a number of seconds")]
    Timestamp,
    /// The timestamp is more than five minutes from now.
    #[error("the timestamp is more than five minutes from now")]
    Time,
    /// No signature matches any key.
    #[error("no signature matches")]
    Signature,
}

impl SigningKey {
    /// The key in a secret as people write it: `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// It is no such secret.
    pub fn parse(secret: &str) -> Result<Self, KeyError> {
        let encoded = secret.trim().strip_prefix(PREFIX).ok_or(KeyError::Prefix)?;
        let key = BASE64.decode(encoded).map_err(|_| KeyError::Base64)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(KeyError::Length(key.len()));
        }
        // HMAC takes a key of any length.
        Hmac::new_from_slice(&key).map(Self).map_err(|_| KeyError::Length(key.len()))
    }

    /// The signature of a message, `v1,<base64>`. `timestamp` is Unix seconds; `body` the very
    /// bytes sent.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let tag = self.over(id, &timestamp.to_string(), body).finalize().into_bytes();
        format!("v1,{}", BASE64_STANDARD.encode(tag))
    }

    fn over(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The value of `webhook-signature`: a signature with each key.
pub fn sign_with_all(keys: &[SigningKey], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(id, timestamp, body)).collect();
    signatures.join(" ")
}

/// Checks the three headers of a message as its receiver does, in constant time. `now` is Unix
/// seconds.
///
/// # Errors
/// The message is not to be trusted; the error says why.
pub fn verify(
    key: &SigningKey,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: i64,
) -> Result<(), VerifyError> {
    let seconds: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp)?;
    if seconds.abs_diff(now) > TOLERANCE_S.unsigned_abs() {
        return Err(VerifyError::Time);
    }
    let mac = key.over(id, timestamp, body);
    signatures
        .split(' ')
        .filter_map(|signature| BASE64.decode(signature.strip_prefix("v1,")?).ok())
        .any(|tag| mac.clone().verify_slice(&tag).is_ok())
        .then_some(())
        .ok_or(VerifyError::Signature)
}
