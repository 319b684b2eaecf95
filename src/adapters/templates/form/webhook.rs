//! The generic webhook's form: any JSON, or any text.

use serde::de::IgnoredAny;

use super::{NotJson, Part, PayloadFormat, Usage, part};
use crate::domain::limit::webhook::{BODY, UNIT};

pub(super) fn from_json(text: String) -> Result<Vec<Part>, String> {
    check(&text).map_err(|problem| problem.message)?;
    Ok(vec![part(PayloadFormat::Json, text)])
}

pub(super) fn check(text: &str) -> Result<(), NotJson> {
    serde_json::from_str::<IgnoredAny>(text)?;
    Ok(())
}

pub(super) fn usage(body: &str) -> Vec<Usage> {
    vec![Usage { what: "body", used: UNIT.measure(body), allowed: BODY, unit: Some(UNIT) }]
}
