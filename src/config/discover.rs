//! `discover`: which repositories a source finds out.
//!
//! Deliberately absent: finding them out.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    misread,
    rule_match::bad_expression,
    values::{days, seconds},
};
use crate::{
    document::{Code, Value},
    domain::{expression::Glob, field::Field},
};

/// Which repositories are found out.
#[derive(Debug, Clone)]
pub struct Discover {
    /// Those that one of these matches.
    pub include: Vec<Glob>,
    /// But not those that one of these matches.
    pub exclude: Vec<Glob>,
    /// How often the registry is asked which there are.
    pub every: Duration,
}

const DISCOVERIES: RangeInclusive<Duration> = seconds(10)..=days(1);

/// `{include: [...], exclude: [...], every: 10m}`, all of which may be left out.
pub(super) fn discover(value: Value<'_>, kind: Option<&str>) -> Option<Discover> {
    if kind == Some("file") {
        let message = "a file can't be asked which repositories there are";
        let help = "leave `discover` out: all that the file holds are read where `repos` is not \
                    given";
        value.add(value.problem(Code::BadSetting, message).help(help));
        return None;
    }
    let mut map = value.map()?;
    let include = map.get("include").map(globs);
    let exclude = map.get("exclude").map(globs);
    let every = map.get("every").map(|value| value.duration(DISCOVERIES));
    map.finish("keys of discover");
    Some(Discover {
        include: include.unwrap_or_else(|| Glob::new("**").ok().map(|all| vec![all]))?,
        exclude: exclude.unwrap_or_else(|| Some(Vec::new()))?,
        every: every.unwrap_or(Some(seconds(600)))?,
    })
}

/// Globs over repositories; what is wrong with each is reported.
fn globs(value: Value<'_>) -> Option<Vec<Glob>> {
    let items = value.some()?;
    let globs: Vec<_> = items.iter().map(|item| glob(*item)).collect();
    globs.into_iter().collect()
}

fn glob(value: Value<'_>) -> Option<Glob> {
    let text = value.text_as("a glob over repositories")?;
    let glob = Glob::new(text).map_err(|error| {
        if value.is_expanded() {
            let message = format!("`{}` takes globs over repositories", value.key());
            value.add(value.problem(Code::BadGlob, message).help("write `shop/*`"));
        } else {
            bad_expression(value, Code::BadGlob, "glob", &error, None);
        }
    });
    if let (Some(sign), false) = (misread::sign_of_regex(text), value.is_expanded()) {
        let message =
            format!("{} looks like a regular expression, and this is a glob", value.found());
        let mut problem = value.problem(Code::RegexAsGlob, message);
        if let Ok(glob) = &glob {
            problem = misread::missed_as_glob(problem, Field::Repo, glob);
        }
        let help = "write `*` for anything within a segment, `**` for anything at all";
        value.add(problem.label(format!("`{sign}` is no wildcard here")).help(help));
    }
    glob.ok()
}
