//! Rules: that the compiled matcher says what each clause says, that a verdict names the clause
//! that decided, and that a decision follows from them.

mod cel;
mod lint;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use jiff::Timestamp;
use proptest::{prelude::*, sample::select};
use triggerbell::domain::{
    clause::{Clause, Test},
    decision::{Effects, Input, State, decide},
    entry::{Entry, EntryId, Row, WallTime},
    expression::{Glob, Pattern},
    field::Field,
    notification::{HeldBy, Reason},
    quiet::Quiet,
    rule::{DEFAULT_BY, Mode, Notify, Origin, Rule, RuleSet, Scratch, Severity},
    verdict::{ClauseReport, Truth},
};

/// When decisions are made.
const NOW: Timestamp = Timestamp::constant(1_795_000_000, 0);

// ---- what rules and entries are made of ---------------------------------------------------

const TEXTS: &[&str] = &[
    "",
    "api",
    "web",
    "shop/api",
    "shop/web",
    "shop/api/v2",
    "pay/api",
    "v1.2.3",
    "v1x2x3",
    "v10",
    "latest",
    "触发",
    "触发器",
    "kube Resurces NotFound",
    "请求超时",
    "prod-é",
    "a\nb",
    "Shanghai",
    "99",
    "-1",
    "0",
    "API",
];

const GLOBS: &[&str] = &[
    "*",
    "**",
    "shop/*",
    "shop/**",
    "**/api",
    "*/api",
    "{api,web}",
    "v?*",
    "触?",
    "[a-m]*",
    "[!a]*",
    "api",
    "Shang*",
    "9?",
    "触发",
    "team-**",
    "",
];

const PATTERNS: &[&str] = &[
    r"v\d+\.\d+\.\d+",
    "v1.2.3",
    "latest|v.*",
    "",
    ".*超.*",
    r"\w+",
    r"\bapi\b.*",
    "(?i)api",
    "[^/]+",
    "(?s).*",
    "web",
    r"-?\d+",
    r".*\b发.*",
    "(?x) v 10 # ten",
    r"\p{Han}+",
    "(?m)^a$",
];

const NUMBERS: &[i64] = &[-1, 0, 1, 4, 99, 404, i64::MAX];

fn texts() -> impl Strategy<Value = Vec<Box<str>>> {
    prop::collection::vec(select(TEXTS).prop_map(Box::from), 1..4)
}

/// Each made and compiled once for all cases: those of [`PATTERNS`], and many more that differ.
static ALL_PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let made = (0..1200).map(|number| match number % 2 {
        0 => format!(r"v{number}(\.\d+)*"),
        _ => format!(".*{}.*", number / 20),
    });
    let all = PATTERNS.iter().map(|&text| text.to_owned()).chain(made);
    all.map(|text| Pattern::new(&text).expect("a good pattern")).collect()
});

/// A few patterns that many rules share, and some that few do.
fn patterns() -> impl Strategy<Value = Vec<Pattern>> {
    let index = prop_oneof![3 => 0..PATTERNS.len(), 1 => 0..100_usize];
    prop::collection::vec(index.prop_map(|index| ALL_PATTERNS[index].clone()), 1..3)
}

fn globs() -> impl Strategy<Value = Vec<Glob>> {
    prop::collection::vec(
        select(GLOBS).prop_map(|text| Glob::new(text).expect("a good glob")),
        1..3,
    )
}

fn instants() -> impl Strategy<Value = Timestamp> {
    (-2..=2_i64).prop_map(|hours| NOW + jiff::SignedDuration::from_hours(hours))
}

/// Any operator, on any field: what makes no sense must be the same nonsense in both.
fn tests() -> impl Strategy<Value = Test> {
    prop_oneof![
        texts().prop_map(Test::Is),
        prop::collection::vec(select(NUMBERS), 1..3).prop_map(Test::IsNumber),
        globs().prop_map(Test::Glob),
        patterns().prop_map(Test::Regex),
        texts().prop_map(Test::Contains),
        select(NUMBERS).prop_map(Test::Min),
        select(NUMBERS).prop_map(Test::Max),
        instants().prop_map(Test::NotBefore),
        instants().prop_map(Test::NotAfter),
        select(&[0, 3600, u64::MAX][..]).prop_map(|secs| Test::Since(Duration::from_secs(secs))),
        any::<bool>().prop_map(Test::Exists),
    ]
}

fn clauses() -> impl Strategy<Value = Clause> {
    // The fields that rules ask about most are asked about most here, so that needs are shared.
    let field = prop_oneof![
        2 => select(&[Field::Tag, Field::Repo, Field::Service, Field::ReturnCode][..]),
        1 => select(Field::ALL),
    ];
    let test = (field, tests()).prop_map(|(field, test)| Clause::test(field, "", test));
    test.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Clause::All),
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Clause::Any),
            1 => inner.prop_map(Clause::negated),
        ]
    })
}

fn entries() -> impl Strategy<Value = Entry> {
    let text = || {
        prop::option::weighted(
            0.8,
            prop_oneof![
                4 => select(TEXTS).prop_map(str::to_owned),
                1 => (0..1200_u32).prop_map(|number| format!("v{number}.1")),
                1 => "[a-z0-9./-]{0,12}",
            ]
            .prop_map(String::into_boxed_str),
        )
    };
    let number = || prop::option::weighted(0.8, select(NUMBERS));
    let texts = prop::collection::vec(text(), 12..=12);
    (texts, number(), number(), instants()).prop_map(|(texts, code, region, time)| {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        let mut row = Row::at(WallTime(0), time);
        row.repo = next();
        row.tag = next();
        row.trigger = next();
        row.invoke_source = next();
        row.invoke_action = next();
        row.invoke_method = next();
        row.invoke_expr = next();
        row.app_id = next();
        row.service = next();
        row.namespace = next();
        row.container = next();
        row.return_msg = next();
        row.return_code = code;
        row.cluster_region = region;
        entry_of(row)
    })
}

fn entry_of(row: Row) -> Entry {
    let (source, asked_repo) = ("shop", "shop/api");
    let identity = row.identity();
    Entry {
        id: EntryId::of(source, asked_repo, row.identity_without_result(), 0),
        identity,
        ordinal: 0,
        revises: false,
        source: source.into(),
        asked_repo: asked_repo.into(),
        row,
    }
}

fn rule(name: &str, matches: Clause) -> Rule {
    Rule {
        name: name.into(),
        matches,
        severity: Severity::Error,
        labels: Default::default(),
        send_to: vec!["ops".into()],
        template: None,
        notify: Notify::Every,
        by: DEFAULT_BY.to_vec(),
        quiet: Quiet::default(),
        stop: false,
        mode: Mode::Live,
        origin: Origin::default(),
    }
}

/// Rules of these clauses, every test at a path of its own.
fn rule_set(mut clauses: Vec<Clause>) -> RuleSet {
    for clause in &mut clauses {
        number_paths(clause, &mut 0);
    }
    let rules = clauses.into_iter().enumerate();
    RuleSet::new(rules.map(|(index, clause)| rule(&format!("rule-{index}"), clause)).collect())
}

fn number_paths(clause: &mut Clause, next: &mut u32) {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => {
            parts.iter_mut().for_each(|part| number_paths(part, next));
        }
        Clause::Not(clause) => number_paths(clause, next),
        Clause::Test(test) => {
            test.path = format!("test-{next}").into();
            *next += 1;
        }
        Clause::Cel(_) => {}
    }
}

fn naively_matching(rules: &RuleSet, entry: &Entry) -> Vec<usize> {
    let matches = |index: &usize| rules.rules()[*index].matches.evaluate(entry, NOW) == Truth::True;
    (0..rules.rules().len()).filter(matches).collect()
}

// ---- the matcher against its meaning ------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn matching_is_what_each_clause_says(
        clauses in prop::collection::vec(clauses(), 0..20),
        others in prop::collection::vec(clauses(), 0..4),
        entries in prop::collection::vec(entries(), 1..6),
    ) {
        let (rules, others) = (rule_set(clauses), rule_set(others));
        let (mut scratch, mut found) = (Scratch::default(), Vec::new());
        for entry in &entries {
            rules.matching(&mut scratch, entry, NOW, &mut found);
            prop_assert_eq!(&found, &naively_matching(&rules, entry));
        }
        // The same scratch serves another set, as after a reload.
        for entry in &entries {
            others.matching(&mut scratch, entry, NOW, &mut found);
            prop_assert_eq!(&found, &naively_matching(&others, entry));
        }
    }

    #[test]
    fn a_verdict_names_the_first_clause_that_was_not_true(
        clause in clauses(),
        entry in entries(),
    ) {
        let rules = rule_set(vec![clause]);
        let clause = &rules.rules()[0].matches;
        let verdict = rules.verdict(0, &entry, NOW);
        prop_assert_eq!(verdict.truth, clause.evaluate(&entry, NOW));
        let reports = clause.reports(&entry, NOW);
        let Some(decided_by) = verdict.decided_by else {
            // It is true, or there is no test to blame.
            prop_assert!(verdict.truth == Truth::True || has_empty_part(clause));
            return Ok(());
        };
        prop_assert_ne!(decided_by.truth, Truth::True);
        prop_assert!(reports.contains(&decided_by));
        // Of a conjunction it is in the first part that is not true.
        if let Clause::All(parts) = clause {
            let part = parts.iter().find(|part| part.evaluate(&entry, NOW) != Truth::True);
            prop_assert!(part.unwrap().reports(&entry, NOW).iter().any(|one| one.path == decided_by.path));
        }
    }
}

fn has_empty_part(clause: &Clause) -> bool {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => {
            parts.is_empty() || parts.iter().any(has_empty_part)
        }
        Clause::Not(clause) => has_empty_part(clause),
        Clause::Test(_) | Clause::Cel(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn so_it_is_with_many_more_patterns_than_one_automaton_takes(
        entries in prop::collection::vec(entries(), 50),
        step in 1..7_usize,
    ) {
        let patterns = ALL_PATTERNS.iter().step_by(step).enumerate();
        let clauses = patterns.map(|(index, pattern)| {
            let tag = Clause::test(Field::Tag, "match.tag", Test::Regex(vec![pattern.clone()]));
            if index % 3 == 0 { tag.negated() } else { tag }
        });
        let rules = rule_set(clauses.collect());
        let (mut scratch, mut found) = (Scratch::default(), Vec::new());
        for entry in &entries {
            rules.matching(&mut scratch, entry, NOW, &mut found);
            prop_assert_eq!(&found, &naively_matching(&rules, entry));
        }
    }
}

// ---- three values -------------------------------------------------------------------------

#[test]
fn truth_obeys_the_laws_of_kleene() {
    use Truth::{False, True, Unknown};
    let all = [True, False, Unknown];
    assert_eq!((True.and(Unknown), False.and(Unknown)), (Unknown, False));
    assert_eq!((True.or(Unknown), False.or(Unknown)), (True, Unknown));
    assert_eq!(Unknown.negate(), Unknown);
    for a in all {
        assert_eq!(a.negate().negate(), a);
        assert_eq!((a.and(True), a.or(False)), (a, a));
        assert_eq!((a.and(a), a.or(a)), (a, a));
        for b in all {
            assert_eq!((a.and(b), a.or(b)), (b.and(a), b.or(a)));
            assert_eq!(a.and(b).negate(), a.negate().or(b.negate()));
            assert_eq!((a.and(a.or(b)), a.or(a.and(b))), (a, a));
            for c in all {
                assert_eq!(a.and(b).and(c), a.and(b.and(c)));
                assert_eq!(a.and(b.or(c)), a.and(b).or(a.and(c)));
            }
        }
    }
}

// ---- globs --------------------------------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Where the two are meant to agree: ASCII, `**` as a whole segment, no class beside a `/`.
    #[test]
    fn a_glob_means_what_it_does_elsewhere(
        parts in prop::collection::vec(
            select(&["a", "b", "/", "*", "?", "/**/", "[ab]", "{a,b}", "{a,b/a}", "{,a}", r"\*"][..]),
            0..7,
        ),
        ends in (any::<bool>(), any::<bool>()),
        text in "[ab/*]{0,8}",
    ) {
        let glob = [if ends.0 { "**/" } else { "" }, &parts.concat(), if ends.1 { "/**" } else { "" }].concat();
        let whole_segments = glob.split('/').all(|segment| !segment.contains("**") || segment == "**");
        // There a `**/` with nothing to follow matches everything, which is not what it says.
        prop_assume!(whole_segments && !glob.ends_with("**/"));
        let known = globset::GlobBuilder::new(&glob)
            .literal_separator(true)
            .empty_alternates(true)
            .build()
            .unwrap()
            .compile_matcher();
        prop_assert_eq!(Glob::new(&glob).unwrap().is_match(&text), known.is_match(&text), "{}", glob);
    }
}

// ---- verdicts and explanations ------------------------------------------------------------

/// `{repo: shop/*, returnCode: {not: 0}}` and what follows of it.
fn failed_in_shop() -> Clause {
    let glob = Test::Glob(vec![Glob::new("shop/*").expect("a good glob")]);
    Clause::All(vec![
        Clause::test(Field::Repo, "match.repo", glob),
        Clause::test(Field::ReturnCode, "match.returnCode.not", Test::IsNumber(vec![0])).negated(),
    ])
}

fn pushed(repo: &str, return_code: Option<i64>) -> Entry {
    let mut row = Row::at(WallTime(0), NOW);
    row.repo = Some(repo.into());
    row.return_code = return_code;
    entry_of(row)
}

fn report(path: &str, wanted: &str, seen: Option<&str>, truth: Truth) -> ClauseReport {
    ClauseReport { path: path.into(), wanted: wanted.into(), seen: seen.map(str::to_owned), truth }
}

#[test]
fn a_verdict_says_what_was_wanted_and_what_was_seen() {
    let rules = RuleSet::new(vec![rule("failed", failed_in_shop())]);
    let decided_by = |entry: &Entry| rules.verdict(0, entry, NOW).decided_by;
    assert_eq!(decided_by(&pushed("shop/api", Some(1))), None);
    assert_eq!(
        decided_by(&pushed("shop/api", Some(0))),
        Some(report("match.returnCode.not", "not 0", Some("0"), Truth::False)),
    );
    assert_eq!(
        decided_by(&pushed("shop/api", None)),
        Some(report("match.returnCode.not", "not 0", None, Truth::Unknown)),
    );
    assert_eq!(
        decided_by(&pushed("pay/api", None)),
        Some(report("match.repo", "shop/*", Some("pay/api"), Truth::False)),
    );
}

#[test]
fn of_alternatives_the_one_that_left_it_open_decided() {
    let is = |field, path, text: &str| Clause::test(field, path, Test::Is(vec![text.into()]));
    let any = Clause::Any(vec![
        is(Field::Repo, "match.any[0].repo", "pay/api"),
        is(Field::Service, "match.any[1].service", "api"),
    ]);
    let rules = RuleSet::new(vec![rule("any", any)]);
    let verdict = rules.verdict(0, &pushed("shop/api", None), NOW);
    assert_eq!(verdict.truth, Truth::Unknown);
    assert_eq!(verdict.decided_by.unwrap().path, "match.any[1].service");
}

#[test]
fn an_explanation_tells_of_every_rule_and_clause_and_who_ended_the_looking() {
    let stops = Rule { stop: true, ..rule("stops", failed_in_shop()) };
    let rules = RuleSet::new(vec![
        Rule { mode: Mode::Shadow, ..stops.clone() },
        stops,
        rule("after", failed_in_shop()),
    ]);
    let explained = rules.explain(&pushed("shop/api", Some(1)), NOW);
    assert_eq!(
        serde_json::to_value(&explained[1]).unwrap(),
        serde_json::json!({
            "rule": "stops", "truth": "true", "decided_by": null,
            "clauses": [
                {"path": "match.repo", "wanted": "shop/*", "seen": "shop/api", "truth": "true"},
                {"path": "match.returnCode.not", "wanted": "not 0", "seen": "1", "truth": "true"},
            ],
            "stopped_by": null,
            "followed": {"mode": "live", "send_to": ["ops"], "stopped": true},
        }),
    );
    let followed = explained[0].followed.as_ref().unwrap();
    assert_eq!((followed.mode, followed.stopped), (Mode::Shadow, false));
    assert_eq!(explained[2].stopped_by.as_deref(), Some("stops"));
    assert!(explained[2].verdict.matched() && explained[2].followed.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// One evaluator: the explanation and the decision never disagree.
    #[test]
    fn what_is_explained_is_what_is_decided(
        clauses in prop::collection::vec((clauses(), any::<bool>(), any::<bool>()), 0..8),
        entry in entries(),
    ) {
        let rules = clauses.into_iter().enumerate().map(|(index, (clause, stop, shadow))| Rule {
            stop,
            mode: if shadow { Mode::Shadow } else { Mode::Live },
            ..rule(&format!("rule-{index}"), clause)
        });
        let rules = RuleSet::new(rules.collect());
        let decided = decide(&rules, &mut State::default(), Input::Entry(&entry), NOW);
        let explained = rules.explain(&entry, NOW);
        let followed: Vec<_> = (0..explained.len()).filter(|&index| explained[index].followed.is_some()).collect();
        prop_assert_eq!(decided.matched, followed);
    }
}

// ---- decisions ----------------------------------------------------------------------------

fn decided(rules: Vec<Rule>, entry: &Entry) -> Effects {
    decide(&RuleSet::new(rules), &mut State::default(), Input::Entry(entry), NOW)
}

fn told(effects: &Effects) -> Vec<(&str, &str, Option<HeldBy>)> {
    let told = |intent: &triggerbell::domain::notification::Intent| {
        assert_eq!((intent.reason, intent.count), (Reason::Matched, 1));
    };
    effects.intents.iter().for_each(told);
    effects
        .intents
        .iter()
        .map(|intent| (&*intent.rule, &*intent.receiver, intent.held_by))
        .collect()
}

#[test]
fn every_matching_rule_tells_each_of_its_receivers_once() {
    let ops: Arc<str> = "ops".into();
    let rules = vec![
        Rule { send_to: vec![ops.clone(), "dev".into(), ops], ..rule("first", failed_in_shop()) },
        rule("second", failed_in_shop()),
    ];
    let effects = decided(rules, &pushed("shop/api", Some(1)));
    assert_eq!(
        told(&effects),
        [("first", "ops", None), ("first", "dev", None), ("second", "ops", None)],
    );
    let mut ids: Vec<_> = effects.intents.iter().map(|intent| intent.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn stop_ends_the_looking_only_where_the_rule_is_live_and_matched() {
    let stops = Rule { stop: true, ..rule("stops", failed_in_shop()) };
    let shadow = Rule { mode: Mode::Shadow, name: "shadow".into(), ..stops.clone() };
    let rules = || vec![shadow.clone(), stops.clone(), rule("after", Clause::All(Vec::new()))];
    let effects = decided(rules(), &pushed("shop/api", Some(1)));
    assert_eq!(effects.matched, [0, 1]);
    assert_eq!(told(&effects), [("shadow", "ops", Some(HeldBy::Shadow)), ("stops", "ops", None)]);
    assert_eq!(decided(rules(), &pushed("shop/api", Some(0))).matched, [2]);
}

#[test]
fn an_entry_that_gains_its_result_is_decided_again_under_other_ids() {
    let anything = || vec![rule("all", Clause::All(Vec::new()))];
    let before = pushed("shop/api", None);
    let after = Entry { revises: true, ..pushed("shop/api", Some(1)) };
    assert_eq!(before.id, after.id);
    let id = |entry| decided(anything(), entry).intents[0].id;
    assert_ne!(id(&before), id(&after));
    assert_eq!(id(&before), id(&before.clone()), "the same input gives the same id");
}

#[test]
fn a_tick_leads_to_nothing() {
    let rules = RuleSet::new(vec![rule("all", Clause::All(Vec::new()))]);
    assert_eq!(decide(&rules, &mut State::default(), Input::Tick, NOW), Effects::default());
}
