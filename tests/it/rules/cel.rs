//! `cel`: that it means what the interpreter says, that parts of it become clauses, and that its
//! bounds hold.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use proptest::{prelude::*, sample::select};
use triggerbell::domain::{
    cel::{CelError, Compiler, Fault, MAX_BYTES},
    clause::Clause,
    entry::{Entry, Row, WallTime},
    expression::Expressions,
    field::{Field, FieldKind},
    rule::{RuleSet, Scratch},
    verdict::Truth,
};

use super::{NOW, entries, entry_of, naively_matching, pushed, report, rule};
use crate::support::thread_time;

fn zones(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

fn compiled(source: &str) -> Result<Clause, Vec<CelError>> {
    Compiler::default().compile(source, "match.cel", &mut Expressions::default(), &zones)
}

fn clause(source: &str) -> Clause {
    compiled(source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"))
}

fn refused(source: &str) -> CelError {
    match compiled(source) {
        Ok(clause) => panic!("{source} is {clause:?}"),
        Err(mut errors) => errors.remove(0),
    }
}

/// How many parts the interpreter has to run.
fn interpreted(clause: &Clause) -> usize {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().map(interpreted).sum(),
        Clause::Not(clause) => interpreted(clause),
        Clause::Test(_) => 0,
        Clause::Cel(_) => 1,
    }
}

// ---- what is a clause against the interpreter -----------------------------------------------

fn texts() -> impl Strategy<Value = String> {
    let text = select(&["", "api", "shop/api", "v1.2.3", "触发", "a\nb", "9", "p.y", "it's"][..]);
    text.prop_map(|text| format!("\"{}\"", text.replace('\n', "\\n")))
}

fn text_fields() -> impl Strategy<Value = String> {
    let is_text = |field: &&Field| !matches!(field.kind(), FieldKind::Number | FieldKind::Time);
    let fields: Vec<Field> = Field::ALL.iter().filter(is_text).copied().collect();
    select(fields).prop_map(|field| format!("entry.{field}"))
}

fn numbers() -> impl Strategy<Value = String> {
    let written = select(&["0", "1", "-1", "404", "9223372036854775807", "4"][..]);
    prop_oneof![
        written.prop_map(str::to_owned),
        select(&["entry.returnCode", "entry.clusterRegion"][..]).prop_map(str::to_owned),
        text_fields().prop_map(|text| format!("size({text})")),
        text_fields().prop_map(|text| format!("int({text})")),
        select(&["(entry.returnCode + 1)", "(10 / entry.returnCode)", "entry.time.getHours()"][..])
            .prop_map(str::to_owned),
    ]
}

fn comparison() -> impl Strategy<Value = &'static str> {
    select(&["==", "!=", "<", "<=", ">", ">="][..])
}

/// Any part that is true or false: some that clauses can say, some that they can't.
fn atoms() -> impl Strategy<Value = String> {
    let instants = select(
        &["timestamp('2026-11-18T05:46:40Z')", "entry.time", "timestamp('2020-01-01T00:00:00Z')"][..],
    );
    prop_oneof![
        4 => (text_fields(), comparison(), texts()).prop_map(|(f, op, t)| format!("{f} {op} {t}")),
        1 => (texts(), comparison(), text_fields()).prop_map(|(t, op, f)| format!("{t} {op} {f}")),
        1 => (text_fields(), comparison(), text_fields()).prop_map(|(f, op, g)| format!("{f} {op} {g}")),
        4 => (numbers(), comparison(), numbers()).prop_map(|(f, op, t)| format!("{f} {op} {t}")),
        2 => (instants.clone(), comparison(), instants).prop_map(|(f, op, t)| format!("{f} {op} {t}")),
        3 => (text_fields(), select(&["contains", "startsWith", "endsWith"][..]), texts())
            .prop_map(|(f, name, t)| format!("{f}.{name}({t})")),
        2 => (text_fields(), select(&["api", "^v[0-9]", "x*$", "(?i)API", "^$", "发"][..]))
            .prop_map(|(f, regex)| format!("{f}.matches('{regex}')")),
        2 => (text_fields(), prop::collection::vec(texts(), 0..4))
            .prop_map(|(f, list)| format!("{f} in [{}]", list.join(", "))),
        1 => (numbers(), prop::collection::vec(numbers(), 0..4))
            .prop_map(|(f, list)| format!("{f} in [{}]", list.join(", "))),
        2 => select(Field::ALL).prop_map(|field| format!("has(entry.{field})")),
        1 => (texts(), text_fields()).prop_map(|(t, f)| format!("['a', {t}].exists(x, {f}.contains(x))")),
        1 => text_fields().prop_map(|f| format!("{f}.lowerAscii() == 'api'")),
        1 => (numbers(), numbers()).prop_map(|(a, b)| format!("[{a}, {b}].all(n, n > 0 || n == -1)")),
        1 => any::<bool>().prop_map(|truth| truth.to_string()),
    ]
}

fn expressions() -> impl Strategy<Value = String> {
    atoms().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|it| format!("({})", it.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|it| format!("({})", it.join(" || "))),
            inner.clone().prop_map(|it| format!("!({it})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn clauses_say_what_the_interpreter_says(
        sources in prop::collection::vec(expressions(), 1..4),
        entries in prop::collection::vec(entries(), 1..6),
    ) {
        let compiler = Compiler::default();
        let mut expressions = Expressions::default();
        let mut rules = Vec::new();
        for source in &sources {
            // Chance may write what is too large; nothing else may be refused.
            let parts = match compiler.compile(source, "match.cel", &mut expressions, &zones) {
                Ok(parts) => parts,
                Err(errors) => {
                    prop_assert!(errors.iter().all(|it| it.fault == Fault::TooLarge), "{source}: {errors:?}");
                    return Err(TestCaseError::reject("too large"));
                }
            };
            let whole = compiler.compile_whole(source, "match.cel", &zones).unwrap();
            for entry in &entries {
                let (one, other) = (parts.evaluate(entry, NOW), whole.evaluate(entry, NOW));
                prop_assert_eq!(one, other, "{} of {:?}", source, entry.fields_json());
            }
            rules.push(rule(source, parts));
        }
        let rules = RuleSet::new(rules);
        let (mut scratch, mut found) = (Scratch::default(), Vec::new());
        for entry in &entries {
            rules.matching(&mut scratch, entry, NOW, &mut found);
            prop_assert_eq!(&found, &naively_matching(&rules, entry));
        }
    }

    #[test]
    fn no_text_makes_it_panic(source in "[a-z0-9 .,()\\[\\]{}'\"!&|=<>+*/%?:触-]{0,60}") {
        let _ = compiled(&source);
    }
}

// ---- what it means ---------------------------------------------------------------------------

fn full() -> Entry {
    let mut row = Row::at(WallTime(0), "2026-03-02T01:02:03Z".parse().unwrap());
    row.repo = Some("shop/api".into());
    row.tag = Some("v1.2.3".into());
    row.trigger = Some("prod".into());
    row.invoke_source = Some("IMAGE_PUSH".into());
    row.invoke_action = Some("SERVICE_UPDATE".into());
    row.invoke_method = Some("all".into());
    row.invoke_expr = Some("x".into());
    row.app_id = Some("1254113776".into());
    row.service = Some("payment".into());
    row.cluster_id = Some("cls-1".into());
    row.namespace = Some("default".into());
    row.container = Some("api".into());
    row.cluster_region = Some(4);
    row.return_code = Some(404);
    row.return_msg = Some("请求超时".into());
    entry_of(row)
}

#[test]
fn every_field_can_be_asked() {
    for (source, parts) in [
        ("entry.repo == 'shop/api'", 0),
        ("entry.tag.matches('^v[0-9.]+$')", 0),
        ("entry.trigger in ['prod', 'canary']", 0),
        ("entry.invokeSource == \"IMAGE_PUSH\"", 0),
        ("entry.invokeAction.endsWith('UPDATE')", 0),
        ("entry.invokeMethod != 'regex'", 0),
        ("entry.invokeExpr.contains('x')", 0),
        ("entry.appId == '1254113776'", 0),
        ("entry.service.startsWith('pay')", 0),
        ("entry.clusterId < 'cls-2'", 1),
        ("size(entry.namespace) == 7", 1),
        ("entry.container.upperAscii() == 'API'", 1),
        ("entry.region == 'Shanghai' && entry.clusterRegion == 4", 0),
        ("entry.returnCode >= 400 && entry.returnCode < 500", 0),
        ("entry.returnMsg.contains('超时')", 0),
        ("entry.source == 'shop'", 0),
        ("entry.time > timestamp('2026-03-02T09:00:00+08:00')", 0),
        ("entry.time.getHours('Asia/Shanghai') == 9 && entry.time.getDayOfWeek() == 1", 2),
        ("entry.time.getFullYear() == 2026 && entry.time.getMonth() == 2", 2),
        ("entry.time.getDate() == 2 && entry.time.getDayOfMonth() == 1", 2),
        ("entry.time.getDayOfYear() == 60 && entry.time.getMinutes() == 2", 2),
        ("entry.time.getSeconds() == 3", 1),
        ("entry.tag.substring(0, 2) == 'v1' && entry.tag.indexOf('.') == 2", 2),
        ("double(entry.returnCode) / 100.0 > 4.0", 1),
        ("string(entry.returnCode) == '404' ? has(entry.tag) : false", 1),
        ("['v1', 'v2'].exists(v, entry.tag.startsWith(v + '.'))", 1),
        ("['a', 'b'].map(x, x + 'pi').exists_one(x, x == entry.container)", 1),
        ("400 <= entry.returnCode", 0),
    ] {
        let clause = clause(source);
        assert_eq!(clause.evaluate(&full(), NOW), Truth::True, "{source}");
        assert_eq!(interpreted(&clause), parts, "{source}: {clause:?}");
    }
}

#[test]
fn an_error_and_an_absent_field_are_unknown() {
    let (failed, no_result) = (pushed("shop/api", Some(0)), pushed("shop/api", None));
    for (source, of_failed, of_no_result) in [
        ("10 / entry.returnCode > 1", Truth::Unknown, Truth::Unknown),
        ("10 % entry.returnCode == 1", Truth::Unknown, Truth::Unknown),
        ("!(10 / entry.returnCode > 1)", Truth::Unknown, Truth::Unknown),
        ("entry.returnCode != 1", Truth::True, Truth::Unknown),
        ("!(entry.returnCode == 1)", Truth::True, Truth::Unknown),
        ("has(entry.returnCode)", Truth::True, Truth::False),
        ("has(entry.returnCode) && entry.returnCode == 0", Truth::True, Truth::False),
        ("10 / entry.returnCode > 1 || entry.repo == 'shop/api'", Truth::True, Truth::True),
        ("10 / entry.returnCode > 1 && entry.repo == 'x'", Truth::False, Truth::False),
        ("entry.returnCode + 9223372036854775807 > 0", Truth::True, Truth::Unknown),
        ("entry.returnCode - 9223372036854775807 - 9 < 0", Truth::Unknown, Truth::Unknown),
        ("int(entry.repo) == 1", Truth::Unknown, Truth::Unknown),
        ("['a'][entry.returnCode] == 'a'", Truth::True, Truth::Unknown),
        ("['a'][entry.returnCode + 1] == 'a'", Truth::Unknown, Truth::Unknown),
    ] {
        let clause = clause(source);
        assert_eq!(clause.evaluate(&failed, NOW), of_failed, "{source}");
        assert_eq!(clause.evaluate(&no_result, NOW), of_no_result, "{source}");
    }
}

#[test]
fn a_verdict_speaks_in_the_words_of_the_expression() {
    let source =
        "entry.repo.startsWith('shop/') && entry.returnCode != 0 && 10 / entry.returnCode < 5";
    let rules = RuleSet::new(vec![rule("cel", clause(source))]);
    let decided_by = |entry: &Entry| rules.verdict(0, entry, NOW).decided_by;
    assert_eq!(decided_by(&pushed("shop/api", Some(404))), None);
    assert_eq!(
        decided_by(&pushed("pay/api", Some(404))),
        Some(report("match.cel", "entry.repo.startsWith('shop/')", Some("pay/api"), Truth::False)),
    );
    assert_eq!(
        decided_by(&pushed("shop/api", Some(0))),
        Some(report("match.cel", "entry.returnCode != 0", Some("0"), Truth::False)),
    );
    assert_eq!(
        decided_by(&pushed("shop/api", Some(2))),
        Some(report("match.cel", "10 / entry.returnCode < 5", Some("returnCode 2"), Truth::False)),
    );
    let negated = RuleSet::new(vec![rule("cel", clause("!(entry.returnCode != 0)"))]);
    assert_eq!(
        negated.verdict(0, &pushed("shop/api", Some(1)), NOW).decided_by,
        Some(report("match.cel", "!(entry.returnCode != 0)", Some("1"), Truth::False)),
    );
    let divided = RuleSet::new(vec![rule("cel", clause("10 / entry.returnCode < 5"))]);
    let seen = "returnCode 0, divided by zero";
    assert_eq!(
        divided.verdict(0, &pushed("shop/api", Some(0)), NOW).decided_by,
        Some(report("match.cel", "10 / entry.returnCode < 5", Some(seen), Truth::Unknown)),
    );
}

// ---- what is refused -------------------------------------------------------------------------

#[test]
fn what_can_never_work_is_told_with_its_place() {
    for (source, fault, place, message) in [
        ("entry.nope == 1", Fault::UnknownField, "nope", "entries have no field `nope`"),
        ("has(entry.nope)", Fault::UnknownField, "nope", "entries have no field"),
        ("returnCode >= 400", Fault::UnknownName, "returnCode", "`returnCode` is not known"),
        ("entry.tag.hasPrefix('v')", Fault::UnknownName, "hasPrefix", "no function `hasPrefix`"),
        ("now() > entry.time", Fault::UnknownName, "now", "no function `now`"),
        ("entry.returnCode == '400'", Fault::Mistyped, "==", "a whole number and a text"),
        ("entry.service && true", Fault::Mistyped, "&&", "a text and a truth value"),
        ("entry.time > '2026-03-02'", Fault::Mistyped, ">", "an instant and a text"),
        ("entry.returnCode", Fault::Mistyped, "", "gives a whole number, not true or false"),
        ("entry == 1", Fault::Mistyped, "entry", "`entry` itself is no value"),
        ("entry.tag.contains(1)", Fault::Mistyped, "contains", "not used like this"),
        ("entry.tag.matches('[')", Fault::Mistyped, "'['", "not a regular expression"),
        ("entry.tag.matches(entry.service)", Fault::Mistyped, "entry.service", "written out"),
        ("entry.time.getHours('Mars/Here') == 1", Fault::Mistyped, "'Mars/Here'", "no time zone"),
        ("timestamp('tomorrow') > entry.time", Fault::Mistyped, "'tomorrow'", "not an instant"),
        ("{'a': 1}['a'] == 1", Fault::Mistyped, "{", "maps are not"),
        ("entry.tag == null", Fault::Mistyped, "null", "nothing like this"),
        ("entry.returnCode == 1u", Fault::Mistyped, "1u", "nothing like this"),
        ("entry.tag in ['a', 1]", Fault::Mistyped, "1", "one kind of value"),
        ("entry.tag.exists(x, x == 'a')", Fault::Mistyped, "entry.tag", "items of a list"),
        ("entry.tag.size.x == 1", Fault::Mistyped, "size", "nothing but `entry`"),
        ("entry.returnCode = 1", Fault::Syntax, "=", "`=` is no operator"),
        ("entry.tag == '触发' and true", Fault::Syntax, "and", "`and` is no operator"),
        ("entry.tag == 'v1", Fault::Syntax, "'", "can't be read"),
        (r"entry.tag.matches('\d')", Fault::Syntax, "'", "can't be read"),
        ("entry.tag ==", Fault::Syntax, "", "ends too early"),
        ("has(entry)", Fault::Syntax, "entry", "`has` takes a field"),
    ] {
        let error = refused(source);
        assert_eq!(error.fault, fault, "{source}: {error}");
        assert!(error.message.contains(message), "{source}: {error}");
        let told = error.span.clone().map_or("", |span| &source[span]);
        assert_eq!(told, place, "{source}: {error}");
    }
    let errors = compiled("entry.nope == 1 && entry.tga == 'x' || foo()").unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn size_depth_and_steps_are_bounded() {
    let nested = (0..100).map(|depth| format!("[1].all(x{depth}, ")).collect::<String>();
    let thousand = vec!["1"; 1_000].join(",");
    let doubling = format!("['x']{}.size() == 1", ".map(x, x + x)".repeat(20));
    for (source, message) in [
        ("entry.tag == 'a' || ".repeat(600) + "false", "bytes long"),
        (format!("{}true{}", nested, ")".repeat(100)), "nests more than 16 deep"),
        (format!("[{thousand}].all(x, [{thousand}].all(y, x == y))"), "steps"),
        (doubling, "too large"),
        (format!("{}1 == 1", "1 + ".repeat(500)), "operators follow one another"),
        (format!("{}true", "true ? ".repeat(40) + &": false ".repeat(40)), ""),
    ] {
        let started = thread_time();
        let error = refused(&source);
        assert!(error.message.contains(message), "{error}");
        assert!(thread_time() - started < Duration::from_secs(2));
    }
    assert!("x".repeat(10 * 1024).len() > MAX_BYTES);
    assert_eq!(refused(&"x".repeat(10 * 1024)).fault, Fault::TooLarge);
    let largest = vec!["'abc'"; 600].join(",");
    assert_eq!(interpreted(&clause(&format!("entry.tag in [{largest}]"))), 0);
}

#[test]
fn a_regular_expression_that_is_dear_elsewhere_is_linear_here() {
    let mut row = Row::at(WallTime(0), Timestamp::UNIX_EPOCH);
    row.tag = Some("a".repeat(100_000).into());
    let entry = entry_of(row);
    for source in ["entry.tag.matches('^(a+)+$b')", "true ? entry.tag.matches('(a|aa)+$b') : false"]
    {
        let clause = clause(source);
        let started = thread_time();
        assert_eq!(clause.evaluate(&entry, NOW), Truth::False);
        assert!(thread_time() - started < Duration::from_secs(5), "{source}");
    }
}
