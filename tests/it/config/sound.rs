//! What a sound configuration becomes, and what it may depend on.

use std::{fs, path::Path, time::Duration};

use triggerbell::{
    cli::check::{self, CheckArgs, Format, World},
    cli::exit::Exit,
    config::{self, FirstRun, Loaded, Request, SourceSettings},
    domain::{
        clause::{Clause, Test},
        field::Field,
        rule::{Mode, Severity},
    },
};

use super::world::{environment, load, load_text};

fn sound(text: &str) -> Loaded {
    load_text(Path::new("triggerbell.yaml"), text)
        .unwrap_or_else(|problems| panic!("{}", super::shown(&problems)))
}

const SOURCE: &str = "
sources:
  shop:
    ccr: {secret_id: id, secret_key: key}
    repos: [shop/api]
";

const RECEIVERS: &str = "
receivers:
  ops: {webhook: {url: 'https://hooks.example.internal/x'}}
  chat:
    slack: {webhook_url: 'https://hooks.slack.com/services/T1/B1/x'}
  robot:
    wecom: {key: 693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa}
    pace: 5/10s
    concurrency: 2
    timeout: 3s
";

/// The match of the only rule of a rule file.
fn only_match(clauses: &str) -> Clause {
    let folder = tempfile::tempdir().unwrap();
    let rules = format!("rules:\n  - name: one\n    send_to: ops\n    match:\n{clauses}");
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let path = folder.path().join("triggerbell.yaml");
    let loaded = load_text(&path, &format!("{SOURCE}{RECEIVERS}\nrules: rules.yaml\n"));
    let loaded = loaded.unwrap_or_else(|problems| panic!("{}", super::shown(&problems)));
    loaded.config.rules.rules()[0].matches.clone()
}

fn test_of(clause: &Clause) -> (Field, &str, &Test) {
    match clause {
        Clause::Test(test) => (test.field, &test.path, &test.test),
        other => panic!("no test: {other:?}"),
    }
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = sound(&format!("{SOURCE}{RECEIVERS}")).config;
    let source = &config.sources[0];
    assert_eq!(&*source.name, "shop");
    assert!(matches!(source.settings, SourceSettings::Ccr(_)));
    assert_eq!(source.poll_every, Duration::from_secs(10));
    assert_eq!(source.overlap, Duration::from_secs(600));
    assert_eq!(source.first_run, FirstRun::Skip);
    assert_eq!(source.zone.iana_name(), Some("Asia/Shanghai"));
    let paces: Vec<_> = config
        .receivers
        .iter()
        .map(|receiver| {
            (receiver.kind(), receiver.pace.map(|pace| (pace.count, pace.per.as_secs())))
        })
        .collect();
    assert_eq!(paces, [("webhook", None), ("slack", Some((1, 1))), ("wecom", Some((5, 10)))]);
    assert_eq!(config.receivers[2].http.client.timeout, Duration::from_secs(3));
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.store, Path::new("triggerbell.db"));
    assert_eq!(config.retention.entries, Duration::from_secs(30 * 86_400));
}

#[test]
fn scalars_of_clauses_take_their_text() {
    for text in ["1.10", "007", "no", "1e3", "0x1F", "true", "null", "2026-03-02", "'1.10'"] {
        let clause = only_match(&format!("      appId: {text}\n"));
        let (field, path, test) = test_of(&clause);
        assert_eq!((field, path), (Field::AppId, "match.appId"));
        let Test::Is(values) = test else { panic!("{test:?}") };
        assert_eq!(&*values[0], text.trim_matches('\''));
    }
}

#[test]
fn a_bare_value_means_what_the_field_says() {
    type Expected = fn(&Test) -> bool;
    let cases: &[(&str, Expected)] = &[
        ("repo: shop/*", |test| matches!(test, Test::Glob(globs) if globs.len() == 1)),
        (
            "tag: [latest, 'v.*']",
            |test| matches!(test, Test::Regex(patterns) if patterns.len() == 2),
        ),
        ("returnCode: 0", |test| *test == Test::IsNumber(vec![0])),
        ("returnMsg: timeout", |test| matches!(test, Test::Contains(_))),
        ("invokeMethod: all", |test| matches!(test, Test::Is(_))),
        ("tag: {glob: 'v*'}", |test| matches!(test, Test::Glob(_))),
        ("repo: {is: shop/api}", |test| matches!(test, Test::Is(_))),
        ("service: {in: [a, b]}", |test| matches!(test, Test::Is(both) if both.len() == 2)),
        ("service: {contains: pay}", |test| matches!(test, Test::Contains(_))),
        ("returnCode: {min: 400}", |test| *test == Test::Min(400)),
        ("returnCode: {max: -1}", |test| *test == Test::Max(-1)),
        ("clusterId: {exists: false}", |test| *test == Test::Exists(false)),
        ("time: {since: 2h}", |test| *test == Test::Since(Duration::from_secs(7200))),
    ];
    for (clause, expected) in cases {
        let clause = only_match(&format!("      {clause}\n"));
        assert!(expected(test_of(&clause).2), "{clause:?}");
    }
}

#[test]
fn clauses_combine_and_nest_and_know_where_they_stand() {
    let clause = only_match(
        "      returnCode: {not: [0, 1], max: 499}
      any:
        - {repo: a/*}
        - not: {tag: latest, all: [{service: x}]}
",
    );
    let Clause::All(parts) = clause else { panic!("{clause:?}") };
    let Clause::All(operators) = &parts[0] else { panic!("{parts:?}") };
    let Clause::Not(negated) = &operators[0] else { panic!("{operators:?}") };
    assert_eq!(test_of(negated).1, "match.returnCode.not");
    assert_eq!(test_of(negated).2, &Test::IsNumber(vec![0, 1]));
    assert_eq!(test_of(&operators[1]).1, "match.returnCode.max");
    let Clause::Any(either) = &parts[1] else { panic!("{parts:?}") };
    assert_eq!(test_of(&either[0]).1, "match.any[0].repo");
    let Clause::Not(second) = &either[1] else { panic!("{either:?}") };
    let Clause::All(inner) = &**second else { panic!("{second:?}") };
    assert_eq!(test_of(&inner[0]).1, "match.any[1].not.tag");
    let Clause::All(deepest) = &inner[1] else { panic!("{inner:?}") };
    assert_eq!(test_of(&deepest[0]).1, "match.any[1].not.all[0].service");
}

#[test]
fn a_time_without_an_offset_is_local() {
    let clause =
        only_match("      time: {min: '2026-03-02T09:00:00', max: '2026-03-02T09:00:00+01:00'}\n");
    let Clause::All(both) = clause else { panic!("{clause:?}") };
    let at = |text: &str| text.parse().unwrap();
    assert_eq!(test_of(&both[0]).2, &Test::NotBefore(at("2026-03-02T01:00:00Z")));
    assert_eq!(test_of(&both[1]).2, &Test::NotAfter(at("2026-03-02T08:00:00Z")));
}

#[test]
fn defaults_of_a_file_hold_for_its_rules_only() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir_all(rules.join("b/c")).unwrap();
    fs::create_dir_all(rules.join("..data")).unwrap();
    let with = "defaults: {send_to: [chat, robot], severity: error, labels: {team: a, tier: '1'}, by: repo}
rules:
  - {name: inherits, match: {}}
  - {name: says, match: {}, send_to: ops, labels: {team: b}, severity: critical, stop: true, mode: shadow}
";
    fs::write(rules.join("a.yaml"), with).unwrap();
    fs::write(rules.join("..data/a.yaml"), with).unwrap();
    fs::write(rules.join("a_test.yaml"), "tests: []").unwrap();
    fs::write(rules.join("notes.txt"), "no rules").unwrap();
    let without = "rules:\n  - {name: plain, match: {}, send_to: [ops]}\n";
    fs::write(rules.join("b/c/d.yml"), without).unwrap();
    let path = folder.path().join("triggerbell.yaml");
    let loaded = load_text(&path, &format!("{SOURCE}{RECEIVERS}\nrules: [rules]\n")).unwrap();
    let rules = loaded.config.rules.rules();
    let names: Vec<_> = rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["inherits", "says", "plain"]);
    assert_eq!(rules[0].send_to.len(), 2);
    assert_eq!((rules[0].severity, rules[0].mode), (Severity::Error, Mode::Live));
    assert_eq!(rules[0].by, [Field::Repo]);
    assert_eq!((rules[1].severity, rules[1].mode), (Severity::Critical, Mode::Shadow));
    assert!(rules[1].stop);
    assert_eq!(rules[1].labels["team"], "b");
    assert_eq!(rules[1].labels["tier"], "1");
    assert_eq!((rules[2].severity, rules[2].labels.len()), (Severity::Info, 0));
    assert_eq!(rules[1].origin.line, 4);
    assert!(rules[1].origin.path.ends_with("a.yaml"));
}

#[test]
fn anchors_and_merges_are_read_and_own_keys_win() {
    let clause = only_match(
        "      all:
        - &failed {returnCode: {not: 0}, repo: a/b}
        - <<: *failed
          repo: c/d
",
    );
    let Clause::All(parts) = clause else { panic!("{clause:?}") };
    let Clause::All(second) = &parts[1] else { panic!("{parts:?}") };
    assert_eq!(second.len(), 2);
    let Test::Glob(globs) = test_of(&second[0]).2 else { panic!("{second:?}") };
    assert_eq!(globs[0].text(), "c/d");
}

#[test]
fn merges_are_read_in_maps_on_one_line() {
    let merged = "
rules:
  - &first {name: a, match: &ours {repo: a/b}, by: [repo], send_to: [ops]}
  - {name: b, severity: critical, <<: *first}
  - {<<: [*first], name: c, match: {<<: *ours, tag: v*}}
";
    let written = "
rules:
  - {name: a, match: {repo: a/b}, by: [repo], send_to: [ops]}
  - {name: b, severity: critical, match: {repo: a/b}, by: [repo], send_to: [ops]}
  - {name: c, match: {tag: v*, repo: a/b}, by: [repo], send_to: [ops]}
";
    let read = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rules.yaml"), text).unwrap();
        let path = folder.path().join("triggerbell.yaml");
        let loaded =
            load_text(&path, &format!("{SOURCE}{RECEIVERS}\nrules: [rules.yaml]\n")).unwrap();
        let mut told = Vec::new();
        for rule in loaded.config.rules.rules() {
            let clauses = match &rule.matches {
                Clause::All(clauses) => clauses.iter().collect(),
                one => vec![one],
            };
            let tests: Vec<_> = clauses.into_iter().map(|one| test_of(one).2).collect();
            told.push(format!(
                "{} {:?} {:?} {:?} {tests:?}",
                rule.name, rule.severity, rule.by, rule.send_to
            ));
        }
        assert_eq!(told.len(), 3);
        told
    };
    assert_eq!(read(merged), read(written));
}

#[test]
fn paths_are_relative_to_their_file_and_the_database_to_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("triggerbell.yaml");
    fs::write(folder.path().join("key"), "the key\n").unwrap();
    let text = "
sources:
  shop:
    tcr_personal: {region: ap-guangzhou, secret_id_file: key, secret_key_file: key}
    repos: shop/api
  rows: {file: rows.jsonl}
store: {sqlite: data.db}
";
    fs::write(&path, text).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.config.store, folder.path().join("data.db"));
    assert_eq!(loaded.config.sources[1].first_run, FirstRun::All);
    let SourceSettings::TcrPersonal(settings) = &loaded.config.sources[0].settings else {
        panic!("another type")
    };
    assert_eq!(settings.secret_key.expose(str::to_owned), "the key");
    let data = Path::new("/somewhere");
    let named = Request { config: Some(&path), data_dir: Some(data), env: &environment };
    assert_eq!(config::load(&named).unwrap().config.store, data.join("data.db"));
    let env = |name: &str| (name == "TRIGGERBELL_DATA").then(|| "/data".to_owned());
    let by_environment = Request { config: Some(&path), data_dir: None, env: &env };
    assert_eq!(config::load(&by_environment).unwrap().config.store, Path::new("/data/data.db"));
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let text = format!(
        "{SOURCE}api:\n  token: ${{EMPTY:-}}\n  public_url: ${{EMPTY:-https://bell.example}}\n"
    );
    let api = sound(&text).config.api;
    assert!(api.token.is_none());
    assert_eq!(api.public_url.unwrap().as_str(), "https://bell.example/");
}

#[test]
fn the_environment_names_the_file_and_the_flag_wins() {
    let env =
        |name: &str| (name == "TRIGGERBELL_CONFIG").then(|| "from-environment.yaml".to_owned());
    assert_eq!(config::locate(None, &env).unwrap(), Path::new("from-environment.yaml"));
    let flag = Path::new("from-flag.yaml");
    assert_eq!(config::locate(Some(flag), &env).unwrap(), flag);
    let nowhere = config::locate(None, &|_| None).unwrap_err();
    assert_eq!(nowhere.code.name(), "E065");
}

/// Runs `check` and gives how it ended and what it printed.
fn check(args: &CheckArgs, input: &str) -> (Exit, String) {
    check_with(args, input, None)
}

fn check_with(args: &CheckArgs, input: &str, config: Option<&Path>) -> (Exit, String) {
    let mut out = Vec::new();
    let mut input = input.as_bytes();
    let mut world = World {
        config,
        data_dir: None,
        env: &environment,
        coloured: false,
        input: &mut input,
        out: &mut out,
        err: &mut std::io::sink(),
    };
    let exit = check::run(args, &mut world).unwrap();
    (exit, String::from_utf8(out).unwrap())
}

#[test]
fn check_ends_as_documented() {
    let path = |path: &str| CheckArgs { paths: vec![path.into()], ..CheckArgs::default() };
    let (exit, out) = check(&path("tests/it/config/sound/rules/a.yaml"), "");
    assert_eq!((exit, out.as_str()), (Exit::Done, "no problems\n"));
    let (exit, out) = check(&path("tests/it/config/broken/five-mistakes.yaml"), "");
    assert_eq!(exit, Exit::Config);
    assert!(
        out.contains("\n4 errors\nnot looked at for"),
        "without a configuration no receiver is unknown: {out}"
    );
    let warned = path("tests/it/config/broken/glob-as-regex.yaml");
    assert_eq!(check(&warned, "").0, Exit::Done);
    assert_eq!(check(&CheckArgs { deny_warnings: true, ..warned }, "").0, Exit::No);
    assert_eq!(check(&path("no/such/file.yaml"), "").0, Exit::Config);
    let explain = |code: &str| CheckArgs { explain: Some(code.into()), ..CheckArgs::default() };
    let (exit, out) = check(&explain("e012"), "");
    assert_eq!(exit, Exit::Done);
    assert!(out.starts_with("E012 (error): a key that is missing\n\n"), "{out}");
    assert_eq!(check(&explain("E999"), "").0, Exit::Usage);
    let standard_input = CheckArgs { paths: vec!["-".into()], format: Format::Json, ..path("-") };
    let (exit, out) =
        check(&standard_input, "rules:\n  - name: x\n    send_to: a\n    match: {retrunCode: 1}\n");
    assert_eq!(exit, Exit::Config);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["problems"][0]["file"], "<standard input>");
    assert_eq!(json["problems"][0]["help"], "did you mean `returnCode`?");
}

#[test]
fn rule_files_alone_are_checked_against_the_configuration_above_them() {
    let broken = "tests/it/config/broken/five-mistakes.yaml";
    let args = |path: &Path| CheckArgs { paths: vec![path.into()], ..CheckArgs::default() };
    let named = Path::new("tests/it/config/sound/triggerbell.yaml");
    let (_, out) = check_with(&args(Path::new(broken)), "", Some(named));
    assert!(
        out.contains("did you mean `ops-wecom`?") && out.contains("\n5 errors\nnot looked at for"),
        "{out}"
    );
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules/deep");
    fs::create_dir_all(&rules).unwrap();
    fs::copy(broken, rules.join("a.yaml")).unwrap();
    assert!(check(&args(&rules), "").1.contains("\n4 errors\n"));
    fs::copy(named, folder.path().join("triggerbell.yaml")).unwrap();
    assert!(check(&args(&rules), "").1.contains("\n5 errors\n"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let (exit, out) = check(&args(&empty), "");
    assert!(exit == Exit::Done && out.contains("holds no rules"), "{out}");
}
