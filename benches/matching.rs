//! How many entries a second the rules alone take, on one core.
//!
//! `cargo bench --bench matching` prints a table; `-- --json PATH` writes the same as JSON. The
//! first three rows are the mix of design.md section 7: rules over 40 repository globs, 25 tag
//! patterns and 30 services, every tag unique. The rest are rule sets that are hard on purpose.

use std::{
    error::Error,
    hint::black_box,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use triggerbell::domain::{
    cel::Compiler,
    clause::{Clause, Test},
    decision::{Input, State, StateChange, decide},
    entry::{Entry, EntryId, Row, WallTime},
    expression::Expressions,
    field::Field,
    quiet::{Grouping, Quiet},
    rule::{DEFAULT_BY, Mode, Notify, Origin, Rule, RuleSet, Scratch, Severity},
    verdict::Truth,
};

/// Entries in a round; each has a tag of its own.
const ENTRIES: usize = 200_000;

/// How long a measurement lasts at least.
const AT_LEAST: Duration = Duration::from_millis(1500);

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|one| one == "--records") {
        return read_records(arguments.get(at + 1).ok_or("--records wants a path")?);
    }
    let json = match arguments.iter().position(|one| one == "--json") {
        Some(at) => Some(arguments.get(at + 1).ok_or("--json wants a path")?),
        None => None,
    };
    let entries = mixed_entries();
    let mut results = vec![
        measure("mix", 3, mixed_rules, &entries)?,
        measure("mix", 1_000, mixed_rules, &entries)?,
        measure("mix", 10_000, mixed_rules, &entries)?,
        measure("mix, tags in Chinese", 1_000, mixed_rules, &chinese_entries())?,
        measure("tag patterns distinct by prefix", 10_000, distinct_prefixes, &entries)?,
        measure("tag patterns distinct within", 10_000, distinct_infixes, &entries)?,
        measure("any across fields", 1_000, any_across_fields, &entries)?,
        measure("mix, in cel", 1_000, mixed_in_cel, &entries)?,
        measure("mix, and cel that is interpreted", 1_000, mixed_and_interpreted, &entries)?,
    ];
    results.push(measure_deciding(&entries)?);
    results.push(measure_quiet_memory()?);
    results.push(measure_naively(&entries)?);
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(&results)?)?;
    }
    Ok(())
}

/// Compiles a rule set and matches entries until the time is up.
fn measure(
    name: &str,
    count: usize,
    clauses: fn(usize, &mut Expressions) -> Result<Clause, Failure>,
    entries: &[Entry],
) -> Result<serde_json::Value, Failure> {
    let resident_before = resident_bytes()?;
    let start = Instant::now();
    let rules = rule_set(count, clauses)?;
    let compile = start.elapsed();
    let (mut scratch, mut found, mut matches) = (Scratch::default(), Vec::new(), 0_usize);
    let (mut taken, start) = (0, Instant::now());
    'rounds: loop {
        for chunk in entries.chunks(500) {
            for entry in chunk {
                rules.matching(&mut scratch, black_box(entry), Timestamp::UNIX_EPOCH, &mut found);
                matches += black_box(&found).len();
            }
            taken += chunk.len();
            if start.elapsed() >= AT_LEAST {
                break 'rounds;
            }
        }
    }
    let per_second = taken as f64 / start.elapsed().as_secs_f64();
    let resident = resident_bytes()?.saturating_sub(resident_before);
    Ok(report(name, count, per_second, compile, resident, matches as f64 / taken as f64))
}

/// Decides the mix with `notify: change` and a success now and then, and takes the changes of the
/// state every so many entries, as a commit does.
fn measure_deciding(entries: &[Entry]) -> Result<serde_json::Value, Failure> {
    let resident_before = resident_bytes()?;
    let start = Instant::now();
    let rules = changing(&rule_set(1_000, mixed_rules)?);
    let compile = start.elapsed();
    let mut entries = entries.to_vec();
    for (index, entry) in entries.iter_mut().enumerate() {
        entry.row.return_code = Some(i64::from(index % 10 == 0));
        entry.row.time = Timestamp::from_second(index as i64 / 100)?;
    }
    let (mut state, mut matches, mut taken) = (State::default(), 0, 0);
    let start = Instant::now();
    'rounds: loop {
        for chunk in entries.chunks(500) {
            for entry in chunk {
                let now = entry.row.time;
                let effects = decide(&rules, &mut state, Input::Entry(black_box(entry)), now);
                matches += effects.matched.len();
                black_box(&effects);
            }
            black_box(state.take_changes());
            taken += chunk.len();
            if start.elapsed() >= AT_LEAST {
                break 'rounds;
            }
        }
    }
    let per_second = taken as f64 / start.elapsed().as_secs_f64();
    let resident = resident_bytes()?.saturating_sub(resident_before);
    let each = matches as f64 / taken as f64;
    Ok(report("deciding, notify: change", 1_000, per_second, compile, resident, each))
}

/// What 10,000 open incidents and 1,000 open groups cost, and how long they take to be read again:
/// `compile_ms` is that, and `entries_per_s` how many ticks a second with nothing due. It is read by a
/// process of its own, which has no memory to use again.
fn measure_quiet_memory() -> Result<serde_json::Value, Failure> {
    let rules = quiet_rules()?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut state = State::default();
    for index in 0..10_000 {
        let mut entry = entry(&mut random, format!("v{index}"));
        entry.row.service = Some(format!("service-{index}").into());
        entry.row.namespace = Some(format!("namespace-{}", index % 1_000).into());
        let message = format!("pod service-{index}-7f9c does not become ready within 300 s");
        entry.row.return_msg = Some(message.into());
        decide(&rules, &mut state, Input::Entry(&entry), Timestamp::UNIX_EPOCH);
    }
    let records = tempfile::NamedTempFile::new()?;
    let mut out = BufWriter::new(records.as_file());
    for change in state.take_changes() {
        if let StateChange::Put { name, record } = change {
            writeln!(out, "{name}\t{}", String::from_utf8(record)?)?;
        }
    }
    out.flush()?;
    let child = std::process::Command::new(std::env::current_exe()?)
        .args(["--records".as_ref(), records.path().as_os_str()])
        .output()?;
    let read: [f64; 3] = serde_json::from_slice(&child.stdout)?;
    let [per_second, read_s, resident] = read;
    let read = Duration::from_secs_f64(read_s);
    let name = "10,000 incidents, 1,000 groups";
    Ok(report(name, 1, per_second, read, resident as u64, 0.0))
}

/// Reads records, and prints ticks a second, how long the reading took, and the memory it took.
fn read_records(path: &str) -> Result<(), Failure> {
    let rules = quiet_rules()?;
    decide(&rules, &mut State::default(), Input::Tick, Timestamp::UNIX_EPOCH);
    let resident_before = resident_bytes()?;
    let start = Instant::now();
    let lines = BufReader::new(std::fs::File::open(path)?).lines();
    let records = lines.map_while(|line| {
        let line = line.ok()?;
        let (name, record) = line.split_once('\t')?;
        Some((name.to_owned(), record.as_bytes().to_vec()))
    });
    let mut state = State::from_records(records, &|_| None);
    decide(&rules, &mut state, Input::Tick, Timestamp::UNIX_EPOCH);
    let read = start.elapsed();
    let resident = resident_bytes()?.saturating_sub(resident_before);
    let (mut ticks, start) = (0_u64, Instant::now());
    while start.elapsed() < AT_LEAST {
        for _ in 0..1_000 {
            black_box(decide(&rules, &mut state, Input::Tick, Timestamp::UNIX_EPOCH));
        }
        ticks += 1_000;
    }
    if state.open_incidents().len() != 10_000 {
        return Err("not all incidents were read again".into());
    }
    let per_second = ticks as f64 / start.elapsed().as_secs_f64();
    println!("{}", serde_json::json!([per_second, read.as_secs_f64(), resident as f64]));
    Ok(())
}

/// One rule, with groups that stay open.
fn quiet_rules() -> Result<RuleSet, Failure> {
    let mut rules: Vec<Rule> =
        changing(&rule_set(1, |_, _| Ok(Clause::All(Vec::new())))?).rules().to_vec();
    rules[0].quiet.group =
        Some(Grouping { by: vec![Field::Namespace], wait: Duration::from_secs(3600), max: 50 });
    Ok(RuleSet::new(rules))
}

/// The same rules with `notify: change`.
fn changing(rules: &RuleSet) -> RuleSet {
    let changed = rules.rules().iter().map(|rule| Rule {
        notify: Notify::Change,
        // Successes match as well, so that recovering costs what it costs.
        ..rule.clone()
    });
    RuleSet::new(changed.collect())
}

/// The same work said naively, for scale.
fn measure_naively(entries: &[Entry]) -> Result<serde_json::Value, Failure> {
    let rules = rule_set(1_000, mixed_rules)?;
    let (mut taken, mut matches, start) = (0, 0, Instant::now());
    for entry in entries {
        let holds = |rule: &&Rule| {
            rule.matches.evaluate(black_box(entry), Timestamp::UNIX_EPOCH) == Truth::True
        };
        matches += rules.rules().iter().filter(holds).count();
        taken += 1;
        if start.elapsed() >= AT_LEAST {
            break;
        }
    }
    let per_second = f64::from(taken) / start.elapsed().as_secs_f64();
    Ok(report(
        "mix, naively",
        1_000,
        per_second,
        Duration::ZERO,
        0,
        matches as f64 / f64::from(taken),
    ))
}

fn report(
    name: &str,
    rules: usize,
    per_second: f64,
    compile: Duration,
    resident: u64,
    matches: f64,
) -> serde_json::Value {
    let (compile_ms, mib) = (compile.as_secs_f64() * 1e3, resident as f64 / f64::from(1 << 20));
    println!(
        "{name:<32} {rules:>6} rules {per_second:>12.0} entries/s {compile_ms:>8.1} ms to compile \
         {mib:>6.1} MiB {matches:>6.2} matches each"
    );
    serde_json::json!({
        "name": name, "rules": rules, "entries_per_s": per_second, "compile_ms": compile_ms,
        "resident_bytes": resident, "matches_per_entry": matches,
    })
}

fn rule_set(
    count: usize,
    clauses: fn(usize, &mut Expressions) -> Result<Clause, Failure>,
) -> Result<RuleSet, Failure> {
    let mut expressions = Expressions::default();
    let receiver: Arc<str> = "ops".into();
    let rules: Result<Vec<_>, Failure> = (0..count)
        .map(|index| {
            Ok(Rule {
                name: format!("rule-{index}").into(),
                matches: clauses(index, &mut expressions)?,
                severity: Severity::Error,
                labels: Default::default(),
                send_to: vec![receiver.clone()],
                template: None,
                notify: Notify::Every,
                by: DEFAULT_BY.to_vec(),
                quiet: Quiet::default(),
                stop: false,
                mode: Mode::Live,
                origin: Origin::default(),
            })
        })
        .collect();
    Ok(RuleSet::new(rules?))
}

fn glob(field: Field, text: &str, expressions: &mut Expressions) -> Result<Clause, Failure> {
    Ok(Clause::test(field, "match.field", Test::Glob(vec![expressions.glob(text)?])))
}

fn regex(field: Field, text: &str, expressions: &mut Expressions) -> Result<Clause, Failure> {
    Ok(Clause::test(field, "match.field", Test::Regex(vec![expressions.pattern(text)?])))
}

/// The mix of the design: any three thousandth of the combinations, spread evenly.
fn mixed_rules(index: usize, expressions: &mut Expressions) -> Result<Clause, Failure> {
    let (repo, tag, service) = (index % 40, (index / 40) % 25, (index + index / 1000) % 30);
    let tag = match tag % 5 {
        0 => format!(r"v{}\.\d+\.\d+", tag / 5),
        1 => format!(r"release-{}-\d{{6}}-[0-9a-f]+", tag / 5),
        2 => format!(r".*-rc{}", tag / 5),
        3 => format!(r"(main|develop|hotfix)-{}-.+", tag / 5),
        _ => format!(r"\w+_{}\d*", tag / 5),
    };
    Ok(Clause::All(vec![
        glob(Field::Repo, &format!("team{repo}/*"), expressions)?,
        regex(Field::Tag, &tag, expressions)?,
        glob(Field::Service, &format!("service-{service}"), expressions)?,
    ]))
}

fn distinct_prefixes(index: usize, expressions: &mut Expressions) -> Result<Clause, Failure> {
    regex(Field::Tag, &format!(r"v{}\.{}\.\d+", index % 100, index / 100), expressions)
}

fn distinct_infixes(index: usize, expressions: &mut Expressions) -> Result<Clause, Failure> {
    regex(Field::Tag, &format!(r".*-{index}-[a-z]+\d*"), expressions)
}

fn any_across_fields(index: usize, expressions: &mut Expressions) -> Result<Clause, Failure> {
    Ok(Clause::Any(vec![
        mixed_rules(index, expressions)?,
        glob(Field::Namespace, &format!("namespace-{index}"), expressions)?,
    ]))
}

fn cel(source: &str, expressions: &mut Expressions) -> Result<Clause, Failure> {
    let compiled = Compiler::default().compile(source, "match.cel", expressions, &|_| None);
    compiled.map_err(|errors| format!("{source}: {errors:?}").into())
}

/// Much the same mix in the words of `cel`, all of which clauses can say.
fn mixed_in_cel(index: usize, expressions: &mut Expressions) -> Result<Clause, Failure> {
    let (repo, tag, service) = (index % 40, (index / 40) % 25, (index + index / 1000) % 30);
    let tag = match tag % 3 {
        0 => format!(r"entry.tag.startsWith('v{}.')", tag / 5),
        1 => format!(r"entry.tag.endsWith('-rc{}')", tag / 5),
        _ => format!(r"entry.tag.matches('^(main|develop|hotfix)-{}-.+$')", tag / 5),
    };
    let source = format!(
        "entry.repo.startsWith('team{repo}/') && {tag} && entry.service == 'service-{service}'"
    );
    cel(&source, expressions)
}

/// The mix, and beside it something that only the interpreter can say.
fn mixed_and_interpreted(index: usize, expressions: &mut Expressions) -> Result<Clause, Failure> {
    let interpreted = cel("entry.returnCode % 2 == 1 && size(entry.tag) > 5", expressions)?;
    Ok(Clause::All(vec![mixed_rules(index, expressions)?, interpreted]))
}

/// Entries whose tags are all different, each of one of the mix's shapes.
fn mixed_entries() -> Vec<Entry> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..ENTRIES)
        .map(|index| {
            let digit = random.usize(..5);
            let tag = match random.usize(..5) {
                0 => format!("v{digit}.{}.{index}", random.usize(..100)),
                1 => format!("release-{digit}-202611-{index:07x}"),
                2 => format!("build{index}-rc{digit}"),
                3 => format!("main-{digit}-{index}-fix"),
                _ => format!("nightly_{digit}{index}"),
            };
            entry(&mut random, tag)
        })
        .collect()
}

fn chinese_entries() -> Vec<Entry> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..ENTRIES / 10).map(|index| entry(&mut random, format!("构建{index}-rc1"))).collect()
}

fn entry(random: &mut fastrand::Rng, tag: String) -> Entry {
    let mut row = Row::at(WallTime(0), Timestamp::UNIX_EPOCH);
    let (repo, image) = (random.usize(..40), random.usize(..50));
    row.repo = Some(format!("team{repo}/image-{image}").into());
    row.tag = Some(tag.into());
    row.service = Some(format!("service-{}", random.usize(..30)).into());
    row.namespace = Some("default".into());
    row.cluster_id = Some("cls-666666".into());
    row.return_code = Some(1);
    Entry {
        id: EntryId([0; 16]),
        identity: row.identity(),
        ordinal: 0,
        revises: false,
        source: "shop".into(),
        asked_repo: "team/asked".into(),
        row,
    }
}

/// The resident memory of this process.
fn resident_bytes() -> Result<u64, Failure> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).ok_or("statm is short")?.parse()?;
    Ok(pages * 4096)
}
