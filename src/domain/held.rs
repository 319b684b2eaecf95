//! What holds a message back, in a sentence for whoever waits for it.
//!
//! Deliberately absent: whether it is held (`decision`), and which silence a person wished for, which
//! no rule knows.

use jiff::Timestamp;

use super::{
    field::Field,
    interval,
    notification::{HeldBy, Reason},
    rule::{Notify, Rule},
    wording,
};

/// Why a message of a rule, decided at an instant, was held.
pub fn because(rule: &Rule, by: HeldBy, reason: Reason, at: Timestamp) -> String {
    let quiet = &rule.quiet;
    match by {
        HeldBy::Shadow => "its rule has `mode: shadow`".to_owned(),
        HeldBy::State => of_state(rule, reason),
        HeldBy::CatchUp => "it came later than `catch_up` of its source tells of".to_owned(),
        HeldBy::Inhibited => quiet.inhibited_by.as_ref().map_or_else(
            || "an incident of another rule explains it".to_owned(),
            |other| format!("{} has an incident with the same {}", other.rule, list(&other.equal)),
        ),
        HeldBy::Silenced => "somebody silenced it".to_owned(),
        HeldBy::Muted => {
            let end = quiet.mute.as_ref().and_then(|mute| interval::end_of(&mute.during, at));
            end.map_or_else(
                || "a time interval of its `mute` lasted".to_owned(),
                |end| format!("its rule is muted until {end}"),
            )
        }
        HeldBy::Storm => "one message tells of all that fail at once".to_owned(),
        HeldBy::Throttle => quiet.throttle.map_or_else(
            || "its key was told of shortly before".to_owned(),
            |period| format!("its key was told of less than {} before", wording::duration(period)),
        ),
        HeldBy::Group => "the group that it waited in was given up".to_owned(),
    }
}

fn of_state(rule: &Rule, reason: Reason) -> String {
    match (reason, rule.notify) {
        (Reason::Recovered, _) => "nobody was told that it failed, or only time passed".to_owned(),
        (_, Notify::Count { count, within }) => {
            let within = wording::duration(within);
            format!("there were not yet {count} within {within}, or they are told of already")
        }
        _ => "its key fails already, or newer of it was seen before".to_owned(),
    }
}

fn list(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ")
}
