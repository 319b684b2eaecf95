//! What is said of rules without any entry: that entries bear it out, and that what is shown shows it.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use triggerbell::domain::{
    clause::{Clause, Test},
    entry::{Entry, Row, WallTime, region_name},
    expression::{Glob, Pattern},
    field::Field,
    lint::{Finding, Tags, Witness, findings},
    rule::Rule,
    verdict::Truth,
};

use super::{NOW, clauses, entries, entry_of, rule};

/// An entry with the fields of a witness; the others are absent.
fn shown(witness: &Witness) -> Entry {
    let mut row = Row::at(WallTime(0), NOW);
    let mut source = None;
    for (field, value) in witness {
        let Some(value) = value else { continue };
        let text = || Some(value.as_str().into());
        match field {
            Field::Repo => row.repo = text(),
            Field::Tag => row.tag = text(),
            Field::Trigger => row.trigger = text(),
            Field::InvokeSource => row.invoke_source = text(),
            Field::InvokeAction => row.invoke_action = text(),
            Field::InvokeMethod => row.invoke_method = text(),
            Field::InvokeExpr => row.invoke_expr = text(),
            Field::AppId => row.app_id = text(),
            Field::Service => row.service = text(),
            Field::ClusterId => row.cluster_id = text(),
            Field::Namespace => row.namespace = text(),
            Field::Container => row.container = text(),
            Field::ReturnMsg => row.return_msg = text(),
            Field::ReturnCode => row.return_code = value.parse().ok(),
            Field::ClusterRegion => row.cluster_region = value.parse().ok(),
            Field::Time => row.time = value.parse().unwrap(),
            Field::Source => source = text(),
            Field::Region => row.cluster_region = region(value),
        }
    }
    let mut entry = entry_of(row);
    if let Some(source) = source {
        let source: Box<str> = source;
        entry.source = source.into();
    }
    entry
}

/// The number of a region, by its name or, where it has none, by its digits.
fn region(name: &str) -> Option<i64> {
    let mut numbers = 0..=100;
    numbers.find(|&it| region_name(it) == Some(name)).or_else(|| name.parse().ok())
}

fn matches(rule: &Rule, entry: &Entry) -> bool {
    rule.matches.evaluate(entry, NOW) == Truth::True
}

/// Whether the looking reaches a rule.
fn reaches(rules: &[Rule], index: usize, entry: &Entry) -> bool {
    !rules[..index].iter().any(|rule| rule.ends_looking() && matches(rule, entry))
}

/// Whether a clause speaks of nothing that a witness can't be made to show exactly: time passes, and
/// `cel` is not looked into.
fn is_free(clause: &Clause) -> bool {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().all(is_free),
        Clause::Not(clause) => is_free(clause),
        Clause::Test(test) => test.field != Field::Time,
        Clause::Cel(_) => false,
    }
}

/// Whether the registry could have given such an entry: that is all that is spoken of.
fn is_possible(entry: &Entry) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    let tag = entry.row.tag.as_deref().is_none_or(|tag| {
        !tag.is_empty() && !tag.starts_with(['.', '-']) && tag.chars().all(letter)
    });
    tag && !entry.repo().is_empty() && entry.repo().chars().all(|it| it.is_ascii_graphic())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn entries_bear_out_what_is_found(
        clauses in prop::collection::vec((clauses(), any::<bool>(), any::<bool>()), 1..7),
        entries in prop::collection::vec(entries(), 30),
    ) {
        let entries: Vec<Entry> = entries.into_iter().filter(is_possible).collect();
        let mut rules: Vec<Rule> = Vec::new();
        for (number, (clause, stop, again)) in clauses.into_iter().enumerate() {
            // Often one that was there before, whole or narrowed, so that there is something to find.
            let matches = match rules.last() {
                Some(last) if again => Clause::All(vec![clause, last.matches.clone()]),
                _ => clause,
            };
            rules.push(Rule { stop, ..rule(&format!("rule-{number}"), matches) });
        }
        for finding in findings(&rules) {
            let index = finding.rule();
            let free = rules[..=index].iter().all(|rule| is_free(&rule.matches));
            match finding {
                Finding::Contradiction { .. } => {
                    for entry in &entries {
                        prop_assert!(!matches(&rules[index], entry), "{:?}", entry.fields_json());
                    }
                }
                Finding::NeverReached { stops, witness, .. } => {
                    prop_assert!(!stops.is_empty());
                    for entry in entries.iter().filter(|entry| matches(&rules[index], entry)) {
                        prop_assert!(!reaches(&rules, index, entry));
                        prop_assert!(stops.iter().any(|&stop| matches(&rules[stop], entry)));
                    }
                    if let (true, Some(witness)) = (free, witness) {
                        let entry = shown(&witness);
                        prop_assert!(matches(&rules[index], &entry), "{:?}", witness);
                        prop_assert!(stops.iter().any(|&stop| matches(&rules[stop], &entry)));
                    }
                }
                Finding::Twice { first, witness, .. } => {
                    for entry in &entries {
                        prop_assert_eq!(matches(&rules[index], entry), matches(&rules[first], entry));
                    }
                    if let (true, Some(witness)) = (free, witness) {
                        prop_assert!(matches(&rules[index], &shown(&witness)), "{:?}", witness);
                    }
                }
                Finding::Undecided { .. } => {}
            }
        }
    }
}

fn glob(field: Field, text: &str) -> Clause {
    Clause::test(field, "", Test::Glob(vec![Glob::new(text).unwrap()]))
}

fn tag(text: &str) -> Clause {
    Clause::test(Field::Tag, "", Test::Regex(vec![Pattern::new(text).unwrap()]))
}

fn code(numbers: &[i64]) -> Clause {
    Clause::test(Field::ReturnCode, "", Test::IsNumber(numbers.to_vec()))
}

fn stopping(matches: Clause) -> Rule {
    Rule { stop: true, ..rule("stop", matches) }
}

#[test]
fn languages_are_compared_and_not_texts() {
    let never = |rules: &[Rule]| matches!(findings(rules).as_slice(), [Finding::NeverReached { stops, .. }] if !stops.is_empty());
    for (earlier, later, expected) in [
        (vec![tag(r"v\d+\.\d+")], tag(r"v1\.[0-5]"), true),
        (vec![tag(r"v\d+\.\d+")], tag(r"v1\..*"), false),
        (vec![glob(Field::Repo, "shop/**")], glob(Field::Repo, "shop/{api,web}"), true),
        (vec![glob(Field::Repo, "shop/*")], glob(Field::Repo, "shop/**"), false),
        // Together they take everything, and neither does alone.
        (
            vec![code(&[0]), code(&[0]).negated()],
            Clause::test(Field::ReturnCode, "", Test::Min(0)),
            true,
        ),
        // An entry without a result is taken by neither.
        (vec![code(&[0]), code(&[0]).negated()], glob(Field::Repo, "shop/*"), false),
        (vec![tag("[a-m].*"), tag("[n-z].*")], tag("[a-z]+"), true),
        (vec![tag("[a-m].*"), tag("[o-z].*")], tag("[a-z]+"), false),
        (vec![Clause::All(Vec::new())], tag("v1"), true),
    ] {
        let mut rules: Vec<Rule> = earlier.iter().cloned().map(stopping).collect();
        rules.push(rule("later", later.clone()));
        assert_eq!(never(&rules), expected, "{earlier:?} {later:?}: {:?}", findings(&rules));
    }
}

fn named(globs: &[&str]) -> Clause {
    let globs = globs.iter().map(|glob| Glob::new(glob).unwrap()).collect();
    Clause::test(Field::Region, "", Test::Glob(globs))
}

fn numbered(numbers: &[i64]) -> Clause {
    Clause::test(Field::ClusterRegion, "", Test::IsNumber(numbers.to_vec()))
}

fn since(hours: u64) -> Clause {
    Clause::test(Field::Time, "", Test::Since(Duration::from_secs(hours * 3600)))
}

#[test]
fn a_region_is_its_number_and_an_age_a_longer_one() {
    let at_least = Clause::test(Field::ClusterRegion, "", Test::Min(2));
    let there = Clause::test(Field::ClusterRegion, "", Test::Exists(true));
    for (earlier, later, expected) in [
        (numbered(&[1]), named(&["Guangzhou"]), true),
        (named(&["Guangzhou"]), numbered(&[1]), true),
        (numbered(&[1]), named(&["Guangzhou", "Beijing"]), false),
        (at_least.clone(), named(&["Shang*", "Beijing"]), true),
        (at_least, named(&["G*"]), false),
        // A region without a name is its digits.
        (named(&["9?"]), numbered(&[90, 99]), true),
        (named(&["9?"]), numbered(&[9]), false),
        (named(&["*"]), there.clone(), true),
        (named(&["[!-]*"]), there, false),
        (since(2), since(1), true),
        (since(1), since(2), false),
        (since(1), since(2).negated(), false),
        (since(1).negated(), since(2).negated(), true),
    ] {
        let rules = [stopping(earlier.clone()), rule("later", later.clone())];
        let found = findings(&rules);
        let never = matches!(found.as_slice(), [Finding::NeverReached { .. }]);
        assert_eq!(never, expected, "{earlier:?} {later:?}: {found:?}");
        assert!(never || found.is_empty(), "{found:?}");
    }
    for clauses in [
        vec![named(&["Beijing"]), numbered(&[1])],
        vec![named(&["??????????*"]), numbered(&[1, 4, 5])],
        vec![since(1), since(2).negated()],
    ] {
        let found = findings(&[rule("never", Clause::All(clauses))]);
        assert!(matches!(found.as_slice(), [Finding::Contradiction { .. }]), "{found:?}");
    }
}

#[test]
fn a_stop_is_named_only_where_it_is_needed() {
    let rules = [
        stopping(tag("[a-f].*")),
        stopping(tag("[e-p].*")),
        stopping(tag("[g-z].*")),
        stopping(glob(Field::Repo, "shop/*")),
        rule("later", tag("[a-z]+")),
    ];
    let found = findings(&rules);
    let [Finding::NeverReached { stops, .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(stops, &[0, 2]);
}

#[test]
fn what_excludes_itself_matches_nothing() {
    for (clauses, field) in [
        (vec![tag("v1"), tag("v2")], Some(Field::Tag)),
        (vec![code(&[0]), code(&[0]).negated()], Some(Field::ReturnCode)),
        (
            vec![
                Clause::test(Field::ReturnCode, "", Test::Min(500)),
                Clause::test(Field::ReturnCode, "", Test::Max(400)),
            ],
            Some(Field::ReturnCode),
        ),
        (
            vec![glob(Field::Service, "a*"), Clause::test(Field::Service, "", Test::Exists(false))],
            Some(Field::Service),
        ),
        (vec![Clause::Any(vec![tag("a"), code(&[1])]), tag("b"), code(&[2])], None),
    ] {
        let found = findings(&[rule("never", Clause::All(clauses.clone()))]);
        assert_eq!(found, [Finding::Contradiction { rule: 0, field }], "{clauses:?}");
    }
    let fine = Clause::All(vec![tag("v.*"), tag(".*-rc1").negated(), code(&[0]).negated()]);
    assert_eq!(findings(&[rule("fine", fine)]), []);
}

#[test]
fn the_same_said_twice_is_found_however_it_is_written() {
    let one = Clause::All(vec![glob(Field::Repo, "shop/*"), tag("v[0-9]+")]);
    let other = Clause::All(vec![
        tag(r"v(0|[1-9])[0-9]*"),
        tag(r"v\d+"),
        Clause::Not(Box::new(glob(Field::Repo, "shop/*").negated())),
    ]);
    let found = findings(&[rule("one", one.clone()), rule("other", other)]);
    assert!(matches!(found.as_slice(), [Finding::Twice { rule: 1, first: 0, .. }]), "{found:?}");
    let elsewhere = Rule { send_to: vec!["dev".into()], ..rule("elsewhere", one.clone()) };
    assert_eq!(findings(&[rule("one", one), elsewhere]), []);
}

#[test]
fn tags_that_can_not_be_and_those_that_are_missed_are_known() {
    let mut tags = Tags::default();
    for (text, expected) in [
        ("release/.*", true),
        (" v1", true),
        ("shop/api:v1", true),
        ("-rc", true),
        ("[.]x", true),
        ("v.{200}", true),
        ("v1", false),
        (".*", false),
        ("触发|v1", false),
        ("触发", true),
    ] {
        assert_eq!(tags.matches_no_tag(&Pattern::new(text).unwrap()), Some(expected), "{text}");
    }
    assert_eq!(tags.found_within(&Pattern::new("^v1").unwrap()).as_deref(), Some("v1a"));
    assert_eq!(tags.found_within(&Pattern::new("rc$").unwrap()).as_deref(), Some("arc"));
    assert_eq!(tags.found_within(&Pattern::new("^v.*").unwrap()), None);
}

#[test]
fn a_thousand_rules_and_hostile_ones_are_gone_through_in_bounded_time() {
    let many: Vec<Rule> = (0..1_000)
        .map(|number| {
            let clauses = vec![
                glob(Field::Repo, &format!("team{}/*", number % 40)),
                tag(&format!(r"v{}\.\d+\.\d+(-rc\d+)?", number / 40)),
                glob(Field::Service, &format!("service-{}-*", number % 30)),
            ];
            Rule { stop: number % 2 == 0, ..rule(&format!("rule-{number}"), Clause::All(clauses)) }
        })
        .collect();
    let hostile: Vec<Rule> = (0..30)
        .map(|number| {
            let ends = format!(".*[a-{}].{{{}}}", char::from(b'b' + number % 20), number % 12);
            stopping(Clause::Any(vec![tag(&ends), glob(Field::Repo, &format!("**{number}**"))]))
        })
        .collect();
    let letter = |number: usize| char::from(b'a' + u8::try_from(number % 26).unwrap());
    let parts: Vec<Rule> = (0..1_000)
        .map(|number| {
            let part = |which: usize| {
                let (one, other) = (letter(number * 7 + which), letter(number / 26 + which * 5));
                let tag = tag(&format!(".*{one}.*{other}{}.*", number % 10));
                Clause::All(vec![tag, glob(Field::Service, &format!("*{other}{which}*"))])
            };
            stopping(Clause::Any((0..3).map(part).collect()))
        })
        .collect();
    let stops: Vec<Rule> = (0..1_000)
        .map(|number| {
            let team = letter(number % 10);
            let globs = [format!("{team}/svc-{number}-*"), format!("{team}/web-{}*", number % 37)];
            let tags = [format!(r"v{}\..*", number % 9), format!("release-.*-{}", number % 13)];
            let globs = globs.iter().map(|it| Glob::new(it).unwrap()).collect();
            let tags = tags.iter().map(|it| Pattern::new(it).unwrap()).collect();
            stopping(Clause::All(vec![
                Clause::test(Field::Repo, "", Test::Glob(globs)),
                Clause::test(Field::Tag, "", Test::Regex(tags)),
                glob(Field::Service, &format!("{team}-*")),
                glob(Field::Namespace, &format!("test-{}*", number % 7)).negated(),
            ]))
        })
        .collect();
    for (what, rules, decided) in [
        ("many", many, true),
        ("hostile", hostile, false),
        ("parts of texts", parts, true),
        ("stops", stops, true),
    ] {
        let started = Instant::now();
        let found = findings(&rules);
        let took = started.elapsed();
        println!("{what}: {} findings in {took:?}", found.len());
        assert!(took < Duration::from_secs(120), "{what} took {took:?}");
        assert!(!found.iter().any(|it| matches!(it, Finding::Contradiction { .. })), "{what}");
        let open = found.iter().filter(|it| matches!(it, Finding::Undecided { .. })).count();
        assert!(!decided || open == 0, "{what}: {open} were not decided");
    }
}
