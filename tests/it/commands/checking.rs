//! `check`, from outside.

use super::write;
use crate::support::command::{Ended, command, command_with};

/// Five mistakes, each of another kind.
const BROKEN: &str = "sources:
  shop:
    ccr:
      endpoint: https://ccr.api.qcloud.com/v2/index.php
      secret_id: AKIDxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
      secret_key: ${SHOP_KEY}
    repos: [shop/api]
    poll_evry: 10s
receivers:
  ops:
    slack:
      webhook_url: https://hooks.slack.com/services/T0/B0/x
    pace: fast
rules: [rules.yaml]
";

const BROKEN_RULES: &str = "rules:
  - name: failed
    match:
      repo: shop/*
      tag: 'v(\\d+'
      returnCode: {not: zero}
    send_to: [opps]
";

fn sound(folder: &std::path::Path) {
    super::config(folder, "log.jsonl", "http://127.0.0.1:9", "  listen: 127.0.0.1:0\n");
}

#[tokio::test]
async fn five_mistakes_are_all_told_each_under_a_caret() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "triggerbell.yaml", BROKEN);
    write(folder.path(), "rules.yaml", BROKEN_RULES);
    let env = [("SHOP_KEY", "the-key-of-the-shop")];
    let ended = command_with(folder.path(), &["check"], &env, "").await;
    assert_eq!((ended.code, ended.err.as_str()), (78, ""));
    insta::assert_snapshot!("five_mistakes", ended.out);
    let carets = ended.out.lines().filter(|line| line.contains("| ") && line.contains('^')).count();
    // The sixth is under the secret that is written in the open.
    assert_eq!((carets, ended.out.matches("error[").count()), (6, 5), "{}", ended.out);
    assert!(!ended.out.contains("the-key-of-the-shop") && !ended.out.contains("AKID"));
    assert!(!ended.out.contains('\u{1b}'), "no colours in a pipe");
}

#[tokio::test]
async fn what_is_sound_is_said_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    sound(folder.path());
    let ended = command(folder.path(), &["check"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    assert!(ended.out.contains("1 source, 1 receiver, 1 rule, 0 tests"), "{}", ended.out);
    for paths in [
        vec!["check", "."],
        vec!["check", "triggerbell.yaml"],
        vec!["check", "rules.yaml"],
        vec!["check", "triggerbell.yaml", "rules.yaml"],
        vec!["--config", "triggerbell.yaml", "check"],
        vec!["check", "--config", "triggerbell.yaml"],
    ] {
        assert_eq!(command(folder.path(), &paths).await.code, 0, "{paths:?}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let named = folder.path().join("triggerbell.yaml");
    let named = named.to_str().unwrap();
    assert_eq!(command(elsewhere.path(), &["--config", named, "check"]).await.code, 0);
    let env = [("TRIGGERBELL_CONFIG", named)];
    assert_eq!(command_with(elsewhere.path(), &["check"], &env, "").await.code, 0);
    let none = command(elsewhere.path(), &["check"]).await;
    assert_eq!(none.code, 78);
    assert!(none.out.contains("TRIGGERBELL_CONFIG") && none.out.contains("--config"), "{none:?}");
    let gone = command(elsewhere.path(), &["check", "nowhere.yaml"]).await;
    assert_eq!(gone.code, 78);
    assert!(gone.out.contains("nowhere.yaml"), "{gone:?}");
}

#[tokio::test]
async fn standard_input_is_checked_as_a_file_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let ended = command_with(folder.path(), &["check", "-"], &[], BROKEN_RULES).await;
    assert_eq!(ended.code, 78);
    assert!(ended.out.contains("<standard input>:5:"), "{}", ended.out);
    let sound = "rules:\n  - name: a\n    match: {}\n    send_to: [x]\n";
    assert_eq!(command_with(folder.path(), &["check", "-"], &[], sound).await.code, 0);
}

#[tokio::test]
async fn problems_are_data_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules.yaml", BROKEN_RULES);
    let ended = command(folder.path(), &["check", "rules.yaml", "--format", "json"]).await;
    assert_eq!(ended.code, 78);
    let text = ended.out.clone();
    assert!(ended.json().to_string().contains("rules.yaml"), "{text}");
    let ended = command(folder.path(), &["check", "rules.yaml", "--format", "sarif"]).await;
    let sarif = ended.json();
    assert_eq!((ended.code, &sarif["version"]), (78, &serde_json::json!("2.1.0")));
    assert!(!sarif["runs"][0]["results"].as_array().unwrap().is_empty());
    let sound = command(folder.path(), &["check", "-", "--format", "json"]).await;
    assert!(serde_json::from_str::<serde_json::Value>(&sound.out).is_ok(), "{sound:?}");
}

#[tokio::test]
async fn warnings_are_denied_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    // Plain http to another machine.
    super::config(folder.path(), "log", "http://hooks.example.internal", "  listen: 127.0.0.1:0\n");
    let ended = command(folder.path(), &["check"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("warning["), "{}", ended.out);
    assert_eq!(command(folder.path(), &["check", "--deny-warnings"]).await.code, 1);
}

/// A configuration whose source lacks its secret where `$KEY` is not set.
const UNSET: &str = "sources:
  shop:
    ccr:
      endpoint: https://ccr.api.qcloud.com/v2/index.php
      secret_id: ${ID}
      secret_key: ${KEY}
    repos: [shop/api]
receivers:
  ops:
    slack: &hook
      webhook_url: ${HOOK}
  audit: {slack: *hook}
  nobody: {slack: *hook}
time_intervals:
  nights: {times: ['22:00-08:00']}
rules: [rules.yaml]
";

#[tokio::test]
async fn what_is_hardly_meant_is_told_beside_what_is_wrong_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "triggerbell.yaml", UNSET);
    let rules = "rules:
  - {name: all-of-shop, match: {repo: shop/*}, send_to: [ops], stop: true}
  - {name: hidden, match: {repo: shop/api}, send_to: [audit], labels: {team: shop}}
  - {name: impossible, match: {all: [{returnCode: 0}, {returnCode: 1}]}, send_to: [ops]}
";
    write(folder.path(), "rules.yaml", rules);
    let ended = command(folder.path(), &["check"]).await;
    assert_eq!(ended.code, 78);
    assert!(ended.out.contains("error[E061]"), "{}", ended.out);
    assert!(!ended.out.contains("error[E062]"), "{}", ended.out);
    for told in [
        "[W007]: `impossible` matches nothing",
        "[W008]: no entry reaches `hidden`",
        "[W012]: no rule sends to `nobody`",
        "[W012]: no rule names the time interval `nights`",
    ] {
        assert!(ended.out.contains(told), "{told}: {}", ended.out);
    }
    assert!(!ended.out.contains("not looked at"), "{}", ended.out);
    let warnings = |out: &str| -> Vec<String> {
        out.lines().filter(|line| line.starts_with("warning[")).map(str::to_owned).collect()
    };
    let set = [("ID", "i"), ("KEY", "k"), ("HOOK", "https://hooks.slack.com/services/T0/B0/x")];
    let sound = command_with(folder.path(), &["check"], &set, "").await;
    assert_eq!((sound.code, warnings(&sound.out)), (0, warnings(&ended.out)), "{}", sound.out);
}

#[tokio::test]
async fn a_broken_rule_gives_no_further_warnings_and_what_is_left_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "triggerbell.yaml", UNSET);
    // What is wrong with a rule may be that it ends no looking, or is told apart by its severity;
    // what names a receiver uses it.
    let rules = "rules:
  - {name: first, match: {repo: shop/*}, send_to: [ops], mode: shadw, stop: true}
  - {name: hidden-by-none, match: {repo: shop/api}, send_to: [ops]}
  - {name: told-apart, match: {repo: shop/api}, send_to: [ops], severity: hihg}
  - {name: unread, match: {tag: 'v(1'}, send_to: [audit, nobody], mute: {during: [nights]}}
  - {name: impossible, match: {all: [{tag: a}, {tag: b}]}, send_to: [opps]}
";
    write(folder.path(), "rules.yaml", rules);
    let set = [("ID", "i"), ("KEY", "k"), ("HOOK", "https://hooks.slack.com/services/T0/B0/x")];
    let ended = command_with(folder.path(), &["check"], &set, "").await;
    assert_eq!(ended.code, 78);
    let warnings: Vec<_> = ended.out.lines().filter(|line| line.starts_with("warning[")).collect();
    assert_eq!(
        warnings,
        ["warning[W007]: `impossible` matches nothing: no `tag` satisfies all of it"]
    );
    let said = "not looked at for warnings: rules that could not be read (1); \
                what rules with errors hide or repeat (3)";
    assert_eq!(ended.out.lines().last(), Some(said), "{}", ended.out);
    let json = ["check", "--format", "json"];
    let json = command_with(folder.path(), &json, &set, "").await.json();
    assert_eq!(json["left_out"].as_array().unwrap().len(), 2, "{json:#}");

    // Nothing is called unused where rules may be missing.
    write(folder.path(), "rules.yaml", "rules:\n  - {name: a, match: {}, send_to: [ops\n");
    let ended = command_with(folder.path(), &["check"], &set, "").await;
    assert!(!ended.out.contains("warning["), "{}", ended.out);
    assert!(
        ended.out.lines().last().unwrap().contains("which names nothing uses"),
        "{}",
        ended.out
    );
    // Templates that can't be read are no reason to call a label idle.
    write(folder.path(), "templates/broken.hbs", "{{#if}}");
    write(folder.path(), "triggerbell.yaml", &format!("{UNSET}templates: templates\n"));
    let rule = "rules: [{name: a, match: {}, send_to: [ops, audit, nobody], template: broken, \
                labels: {a: b}, mute: {during: nights}}]\n";
    write(folder.path(), "rules.yaml", rule);
    let ended = command_with(folder.path(), &["check"], &set, "").await;
    assert!(ended.out.contains("error[E073]") && !ended.out.contains("warning["), "{}", ended.out);
    assert!(
        ended.out.ends_with("not looked at for warnings: what templates write\n"),
        "{}",
        ended.out
    );
}

#[tokio::test]
async fn a_template_is_checked_as_one() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "templates/good.hbs", "{{entry.service}}: {{entry.returnCode}}");
    write(folder.path(), "templates/broken.hbs", "first\n{{entry.servcie}}");
    let good = command(folder.path(), &["check", "templates/good.hbs"]).await;
    assert_eq!((good.code, good.out.as_str()), (0, "no problems\n"), "{good:?}");
    let broken = command(folder.path(), &["check", "templates/broken.hbs"]).await;
    assert_eq!(broken.code, 78, "{broken:?}");
    assert!(broken.out.contains("error[E073]"), "{}", broken.out);
    assert!(broken.out.contains("--> templates/broken.hbs:2:"), "{}", broken.out);
    assert!(broken.out.ends_with("\n1 error\n"), "{}", broken.out);
    assert_eq!(command(folder.path(), &["check", "templates/none.hbs"]).await.code, 78);
}

/// The texts in backquotes of a remedy.
fn advised(help: &str) -> Vec<&str> {
    help.split('`').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn what_is_advised_for_a_duration_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let checked = async |receiver: &str| {
        let text = format!(
            "sources: {{s: {{file: {{path: l}}}}}}\nreceivers:\n  ops:\n    slack: \
             {{webhook_url: 'https://hooks.slack.com/services/T0/B0/x'}}\n    {receiver}\nrules: []\n"
        );
        write(folder.path(), "triggerbell.yaml", &text);
        command(folder.path(), &["check", "--format", "json"]).await.json()
    };
    for wrong in ["5", "1h30m", "0.5h", "5ms", "2months", "3years", "fast", "5sec", "100 days"] {
        let json = checked(&format!("digest_after: {wrong}")).await;
        let problem = &json["problems"].as_array().unwrap().iter().find(|it| it["code"] == "E021");
        let help = problem.unwrap()["help"].as_str().unwrap();
        let advised = advised(help);
        assert!(!advised.is_empty(), "{wrong}: {help}");
        for duration in advised {
            let json = checked(&format!("digest_after: {duration}")).await;
            assert_eq!(json["errors"], 0, "{wrong} led to {duration}: {json:#}");
        }
    }
    let long = checked("digest_after: 99999999999999999999d").await.to_string();
    assert!(long.contains("takes a duration from 10s to 1h"), "{long}");
}

#[tokio::test]
async fn a_code_is_explained_and_one_that_there_is_not_is_a_wrong_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let ended = command(folder.path(), &["check", "--explain", "E041"]).await;
    assert_eq!(ended.code, 0);
    assert!(ended.out.starts_with("E041 (error): "), "{}", ended.out);
    assert!(ended.out.lines().count() > 2);
    let json = ["check", "--explain", "e041", "--format", "json"];
    let json = command(folder.path(), &json).await.json();
    assert_eq!((&json["code"], &json["severity"]), (&"E041".into(), &"error".into()));
    assert!(json["title"].is_string() && json["explanation"].is_string(), "{json:#}");
    let ended = command(folder.path(), &["check", "--explain", "E941"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("there is no code"), "{}", ended.err);
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_reason_to_fall_over() {
    let folder = tempfile::tempdir().unwrap();
    let many: String = (0..3_000).map(|n| format!("  - name: r{n}\n    mtch: {{}}\n")).collect();
    write(folder.path(), "rules.yaml", &format!("rules:\n{many}"));
    write(
        folder.path(),
        "log.jsonl",
        &(0..5_000).map(|n| super::row(n, "v1", 0)).collect::<String>(),
    );
    super::write(folder.path(), "t/triggerbell.yaml", "");
    let config = tempfile::tempdir().unwrap();
    super::config(
        config.path(),
        folder.path().join("log.jsonl").to_str().unwrap(),
        "http://127.0.0.1:9",
        "  listen: 127.0.0.1:0\n",
    );
    let config = config.path().join("triggerbell.yaml");
    for line in [
        "check rules.yaml".to_owned(),
        "check rules.yaml --format sarif".to_owned(),
        format!("fetch --limit 5000 --config {}", config.display()),
        format!("fetch --limit 5000 --format json --config {}", config.display()),
        "render default".to_owned(),
        "--help".to_owned(),
    ] {
        let script = format!("\"$0\" {line} 2>err | head -c 10 >out");
        let mut command = tokio::process::Command::new("bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_triggerbell")]);
        assert!(command.current_dir(folder.path()).status().await.unwrap().success());
        let err = std::fs::read_to_string(folder.path().join("err")).unwrap();
        assert!(!err.contains("panic"), "{line}: {err}");
        assert!(!err.contains("roken pipe"), "{line}: {err}");
        let script = format!("\"$0\" {line} 2>&1 >/dev/full | head -c 10 >out");
        let mut command = tokio::process::Command::new("bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_triggerbell")]);
        command.current_dir(folder.path()).status().await.unwrap();
        let out = std::fs::read_to_string(folder.path().join("out")).unwrap();
        assert!(!out.contains("panic") && !out.contains("thread"), "{line}: {out}");
    }
}

/// Makes a named pipe, which nobody ever writes to.
fn pipe(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_refused_by_name_and_never_waited_for() {
    for odd in ["rules/late.yaml", "templates/mine.slack.hbs", "rules.yaml"] {
        let folder = tempfile::tempdir().unwrap();
        sound(folder.path());
        for inner in ["rules", "templates"] {
            std::fs::create_dir(folder.path().join(inner)).unwrap();
        }
        let config = folder.path().join("triggerbell.yaml");
        let text = std::fs::read_to_string(&config).unwrap();
        let text = text.replace("rules: [rules.yaml]", "rules: [rules.yaml, rules]");
        assert!(text.contains("rules.yaml, rules]"), "{text}");
        std::fs::write(&config, format!("{text}templates: templates\n")).unwrap();
        let path = folder.path().join(odd);
        let _ = std::fs::remove_file(&path);
        pipe(&path);
        let ended = command(folder.path(), &["check"]).await;
        assert_eq!(ended.code, 78, "{odd}: {ended:?}");
        assert!(ended.out.contains(odd), "{odd}: {}", ended.out);
        assert!(ended.out.contains("it is a named pipe, not a regular file"), "{}", ended.out);
        // A link to a device is one, too.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let ended = command(folder.path(), &["check"]).await;
        assert_eq!(ended.code, 78, "{odd}: {ended:?}");
        assert!(ended.out.contains("it is a device, not a regular file"), "{}", ended.out);
    }
    let folder = tempfile::tempdir().unwrap();
    pipe(&folder.path().join("triggerbell.yaml"));
    for args in [&["check"][..], &["check", "triggerbell.yaml"], &["run"]] {
        let ended = command(folder.path(), args).await;
        assert_eq!(ended.code, 78, "{ended:?}");
        let said = format!("{}{}", ended.out, ended.err);
        assert!(said.contains("triggerbell.yaml") && said.contains("a named pipe"), "{said}");
    }
}

/// What `check` says of a configuration whose one rule has that match.
async fn checked(sources: &str, matches: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "sources: {{shop: {{file: log.jsonl{sources}}}}}\nreceivers: {{ops: {{slack: {{webhook_url: \
         'http://127.0.0.1:9/x'}}}}}}\nrules: [rules.yaml]\n"
    );
    write(folder.path(), "triggerbell.yaml", &text);
    let rules = format!("rules:\n  - name: one\n    match: {{{matches}}}\n    send_to: [ops]\n");
    write(folder.path(), "rules.yaml", &rules);
    command(folder.path(), &["check"]).await
}

#[tokio::test]
async fn names_of_sources_regions_and_repositories_that_can_not_be_are_refused() {
    for (sources, matches, code, said) in [
        ("", "source: shoop", "E053", "did you mean `shop`?"),
        ("", "source: {not: [shop, shoop]}", "E053", "did you mean `shop`?"),
        ("", "region: guangzhou", "E014", "did you mean `Guangzhou`?"),
        ("", "region: {is: Singapur}", "E014", "did you mean `Singapore`?"),
        (", repos: [api]", "repo: '*/api'", "E031", "write `namespace/name`"),
        ("", "tag: *-prod", "E005", "write {glob: '*-prod'}"),
        ("", "tag: *", "E005", "write {glob: '*'}"),
    ] {
        let ended = checked(sources, matches).await;
        assert_eq!(ended.code, 78, "{matches}: {ended:?}");
        assert_eq!(ended.all().matches("error[").count(), 1, "{matches}: {ended:?}");
        assert!(ended.all().contains(code) && ended.all().contains(said), "{matches}: {ended:?}");
    }
    for matches in [
        "source: shop",
        "region: Guangzhou",
        "region: 'Guang*'",
        "region: 33",
        "tag: {glob: '*-prod'}",
    ] {
        let ended = checked("", matches).await;
        assert_eq!(ended.code, 0, "{matches}: {ended:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let alone = "rules:\n  - name: one\n    match: {source: shoop}\n    send_to: [ops]\n";
    write(folder.path(), "alone.yaml", alone);
    assert_eq!(command(folder.path(), &["check", "alone.yaml"]).await.code, 0);
}

#[tokio::test]
async fn the_file_of_a_source_that_is_not_there_is_told_by_check_and_is_a_broken_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let with = |file: &str| {
        let text = format!(
            "sources:\n  shop:\n    file: {file}\nreceivers:\n  ops:\n    webhook:\n      url: \
             https://hooks.example.com/x\nrules: [rules.yaml]\n"
        );
        write(folder.path(), "triggerbell.yaml", &text);
    };
    let rules = "rules:\n  - name: one\n    match: {}\n    send_to: [ops]\n";
    write(folder.path(), "rules.yaml", rules);
    for (file, said) in [("nofile", "nofile` does not exist"), ("{path: .}", "` is a folder")] {
        with(file);
        let ended = command(folder.path(), &["check"]).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.all().contains("warning[W019]"), "{ended:?}");
        assert!(ended.all().contains(said), "{ended:?}");
        assert!(ended.all().contains("triggerbell.yaml:3:"), "{ended:?}");
        assert_eq!(command(folder.path(), &["check", "--deny-warnings"]).await.code, 1);
        let ended = command(folder.path(), &["fetch"]).await;
        assert_eq!(ended.code, 78, "{ended:?}");
        assert!(ended.err.contains("can't be read"), "{ended:?}");
    }
    with("-");
    assert!(!command(folder.path(), &["check"]).await.all().contains("W019"));
    with("there.jsonl");
    write(folder.path(), "there.jsonl", "");
    assert!(!command(folder.path(), &["check"]).await.all().contains("W019"));
    assert_eq!(command(folder.path(), &["fetch"]).await.code, 0);
}
