//! The generic webhook's form: any JSON, or any text, with or without pieces that each attempt fills
//! in.

use serde::de::IgnoredAny;

use super::{NotJson, Part, Payload, PayloadFormat, Usage, part};
use crate::domain::{
    late::{LateMessage, Piece, stand_in},
    limit::webhook::{BODY, UNIT},
};

pub(super) fn from_json(text: String) -> Result<Vec<Part>, String> {
    check(&text).map_err(|problem| problem.message)?;
    Ok(vec![part(PayloadFormat::Json, text)])
}

/// A message whose attempts have something to fill in.
pub(super) fn from_pieces(json: bool, body: Vec<Piece>) -> Result<Vec<Part>, String> {
    let whole = stand_in(&body);
    if json {
        check(&whole).map_err(|problem| problem.message)?;
    } else if whole.trim().is_empty() {
        return Err("the template wrote nothing".to_owned());
    }
    Ok(vec![late_part(&LateMessage { json, body, ..Default::default() })])
}

/// A message in its queued form.
pub(in super::super) fn late_part(message: &LateMessage) -> Part {
    part(PayloadFormat::Late, message.to_json())
}

pub(super) fn check(text: &str) -> Result<(), NotJson> {
    serde_json::from_str::<IgnoredAny>(text)?;
    Ok(())
}

pub(super) fn usage(payload: &Payload) -> Vec<Usage> {
    let used = match payload.format {
        PayloadFormat::Json | PayloadFormat::Text => UNIT.measure(&payload.body),
        PayloadFormat::Late => LateMessage::parse(&payload.body)
            .map_or(0, |message| UNIT.measure(&stand_in(&message.body))),
    };
    vec![Usage { what: "body", used, allowed: BODY, unit: Some(UNIT) }]
}
