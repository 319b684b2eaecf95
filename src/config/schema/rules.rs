//! The schema of rule files.
//!
//! Deliberately absent: the clauses of `match` (`clauses`), and what hangs on other rules or files.

use serde_json::{Value, json};

use super::{
    clauses,
    shape::{Key, Scalars, defined, field, key, map, named, shown, some, text, words},
};
use crate::domain::{
    field::Field,
    quiet::{AtEnd, Flapping, LISTED},
    rule::{DEFAULT_BY, Mode, Severity},
};

const RULES: Scalars = Scalars { expanded: false };

/// A rule file.
pub(super) fn rules() -> Value {
    let defaults = key("defaults", "What holds for every rule of this file", map(common()));
    let rule = [
        key("name", "Unique across all rule files: the rule's identity in the record", text())
            .needed()
            .example("prod-deploy-failed"),
        key("match", "What it asks of an entry; {} matches every one", defined("clauses"))
            .needed()
            .example(json!({"repo": "shop/*", "returnCode": {"not": 0}})),
    ];
    let rule = rule.into_iter().chain(common());
    let rule = map(rule.chain([key(
        "stop",
        "No later rule looks at what this one matched",
        RULES.boolean(),
    )
    .default(false)]));
    let list = json!({"type": "array", "items": rule});
    let list = key("rules", "The rules, in the order in which they are looked at", list).needed();
    map([defaults, list])
}

/// What the rules' schema refers to.
pub(super) fn definitions() -> Value {
    let mut all = json!({"clauses": clauses::clauses()});
    for (name, shape) in clauses::kinds() {
        all[name] = shape;
    }
    all
}

/// What rules and defaults can both say.
fn common() -> Vec<Key> {
    let by: Vec<&str> = DEFAULT_BY.iter().map(|field| field.name()).collect();
    let says = [
        key("send_to", "Receivers of the configuration", some(&text())).example(json!(["ops"])),
        key("severity", "How grave it is", words(Severity::ALL.iter().map(|it| it.name())))
            .default(Severity::Info.name()),
        key("labels", "Free words for templates and webhooks", named(&text()))
            .example(json!({"team": "shop"})),
        key("template", "The template; else the receiver's", text()).example("default-zh"),
        key("mode", "shadow: decided and recorded, never sent", modes()).default("live"),
        key("by", "The fields that make a key: what an alert is about", some(&field())).default(by),
    ];
    says.into_iter().chain(quiet()).collect()
}

fn modes() -> Value {
    words(Mode::ALL.iter().map(|it| it.name()))
}

fn quiet() -> Vec<Key> {
    let period = || RULES.duration();
    vec![
        key("notify", "When it tells of a key: each time, at changes, or by a count", notify())
            .default("every")
            .example("change"),
        key("recover", "Clauses that end an incident", defined("clauses"))
            .default(json!({"returnCode": 0})),
        key("remind", "An incident that lasts is told again so often", period()).example("1h"),
        key("group", "Alerts that become one message", group())
            .example(json!({"by": ["clusterId"], "wait": "30s", "max": 50})),
        key("throttle", "At most one message of a key in so long", period()).example("10m"),
        key("mute", "When nobody is told", mute())
            .example(json!({"during": ["night"], "at_end": "summary"})),
        key("inhibited_by", "Another rule whose incidents explain this rule's", inhibited_by())
            .example(json!({"rule": "cluster-down", "equal": ["clusterId"]})),
        key("storm", "When many keys become one message", storm())
            .example(json!({"keys": 10, "within": "2m", "share": ["clusterId"]})),
        key("flapping", "When a key that changes too often is told of once", flapping()),
    ]
}

fn notify() -> Value {
    let count = key("count", "So many matches of a key", RULES.whole(2, 1_000)).example(3);
    let within = key("within", "in so long, by entry time", RULES.duration()).example("15m");
    let absent = key("absent_for", "Nothing matched for so long", RULES.duration()).example("24h");
    let mut says = map([count, within, absent]);
    says["anyOf"] = json!([{"required": ["absent_for"]}, {"required": ["count", "within"]}]);
    json!({"anyOf": [words(["every", "change"]), says]})
}

fn group() -> Value {
    map([
        key("by", "Alerts of the same values of these fields; none: all", some(&field())),
        key("wait", "How long it stays open, from its first alert", RULES.duration())
            .default("30s"),
        key("max", "How many entries its message lists", RULES.whole(1, 100)).default(LISTED),
    ])
}

fn mute() -> Value {
    map([
        key("during", "Names of time_intervals", some(&text())).needed().example(json!(["night"])),
        key("at_end", "What follows", words(AtEnd::ALL.iter().map(|it| it.name())))
            .default(AtEnd::Summary.name()),
    ])
}

fn inhibited_by() -> Value {
    map([
        key("rule", "The other rule's name; it needs incidents", text()).needed(),
        key("equal", "Fields of the same value, in the `by` of both", some(&field())).needed(),
    ])
}

fn storm() -> Value {
    let share = [Field::ClusterId, Field::Region, Field::ReturnMsg].map(Field::name);
    map([
        key("keys", "More than so many keys", RULES.whole(2, 1_000)).needed().example(10),
        key("within", "within so long, by entry time", RULES.duration()).needed().example("2m"),
        key("share", "that have the same value of one of these", some(&field()))
            .default(share.to_vec()),
    ])
}

fn flapping() -> Value {
    let default = Flapping::default();
    map([
        key("changes", "More than so many changes", RULES.whole(2, 100)).default(default.changes),
        key("within", "within so long, by entry time", RULES.duration())
            .default(shown(default.within)),
    ])
}
