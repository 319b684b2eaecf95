//! `test`: scenarios are played by what the service decides by, and what differs is shown.

use std::path::Path;

use super::write;
use crate::support::command::{Ended, command};

const RULES: &str = r"rules:
  - name: prod-deploy-failed
    match: {repo: 'shop/*', tag: 'v\d+\.\d+\.\d+', returnCode: {not: 0}}
    severity: critical
    send_to: [ops-wecom]
    notify: change
    remind: 1h
  - name: together
    match: {repo: 'staging/**', returnCode: {not: 0}}
    send_to: [dev-slack]
    group: {by: [clusterId], wait: 30s}
  - name: night-job-silent
    match: {service: nightly}
    send_to: [ops-wecom]
    notify: {absent_for: 24h}
";

/// The example of the design.
const DESIGNED: &str = "tests:
  - name: the second failure is silent, the success recovers
    start: 2026-03-02T09:00:00+08:00
    entries:
      - {at: 0s, repo: shop/api, tag: v1.2.3, returnCode: 1}
      - {at: 2m, repo: shop/api, tag: v1.2.3, returnCode: 1}
      - {at: 5m, repo: shop/api, tag: v1.2.4, returnCode: 0}
    expect:
      - {at: 0s, rule: prod-deploy-failed, send_to: ops-wecom, reason: failing, text_contains: v1.2.3}
      - {at: 5m, rule: prod-deploy-failed, send_to: ops-wecom, reason: recovered}
";

/// Runs tests of the rules above.
async fn tested(tests: &str, args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules/shop.yaml", RULES);
    write(folder.path(), "rules/shop_test.yaml", tests);
    run(folder.path(), args).await
}

async fn run(folder: &Path, args: &[&str]) -> Ended {
    command(folder, &[&["test"], args].concat()).await
}

/// A scenario of the rules above passes.
async fn passes(scenario: &str) {
    let tests = format!("tests:\n  - name: one\n{scenario}");
    let ended = tested(&tests, &["rules"]).await;
    assert_eq!(ended.code, 0, "{scenario}\n{}", ended.all());
    assert!(ended.out.ends_with("\n1 test in 1 file: 1 passed, 0 failed\n"), "{}", ended.out);
}

/// What is said of a scenario that fails.
async fn fails(scenario: &str) -> String {
    let tests = format!("tests:\n  - name: one\n{scenario}");
    let ended = tested(&tests, &["rules"]).await;
    assert_eq!(ended.code, 1, "{scenario}\n{}", ended.all());
    assert!(ended.out.ends_with("\n1 test in 1 file: 0 passed, 1 failed\n"), "{}", ended.out);
    ended.out
}

#[tokio::test]
async fn the_designed_example_passes_with_a_folder_alone() {
    let ended = tested(DESIGNED, &["rules/"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.all());
    let expected = "ok      rules/shop_test.yaml  1 test\n\n1 test in 1 file: 1 passed, 0 failed\n";
    assert_eq!(ended.out, expected);
    assert_eq!(tested(DESIGNED, &["rules/shop_test.yaml"]).await.code, 0);
    assert_eq!(tested(DESIGNED, &["."]).await.code, 0);
}

#[tokio::test]
async fn what_is_wrong_is_shown_side_by_side() {
    let failed = fails(
        "    entries:
      - {at: 0s, repo: shop/api, tag: v1.2.3, returnCode: 1}
      - {at: 10s, repo: staging/a/b, returnCode: 1}
      - {at: 20s, repo: staging/a/c, returnCode: 1}
      - {at: 1m, repo: shop/web, tag: v1.0.0, returnCode: 1}
    expect:
      - {at: 0s, rule: prod-deploy-failed, send_to: ops-wecom, reason: failing, severity: error, text_contains: v1.2.4}
      - {at: 40s, rule: together, send_to: dev-slack, count: 3, payload: {data: {rule: together, more: 1}}}
      - {at: 2m, rule: prod-deploy-failed, send_to: ops-wecom, reason: recovered}
",
    )
    .await;
    insta::assert_snapshot!("a_failing_test", failed);
}

#[tokio::test]
async fn what_is_not_expected_must_not_be_sent() {
    let entry = "    entries: [{repo: shop/api, tag: v1.2.3, returnCode: 1}]\n";
    let failed = fails(&format!("{entry}    expect: []\n")).await;
    assert!(
        failed.contains("unexpected  0s   prod-deploy-failed → ops-wecom  failing"),
        "{failed}"
    );
    let failed = fails(entry).await;
    assert!(failed.contains("unexpected"), "{failed}");
    // A group that nobody waited for in the test closes all the same.
    let failed = fails("    entries: [{repo: staging/a, returnCode: 1}]\n").await;
    assert!(failed.contains("unexpected  30s  together → dev-slack  matched"), "{failed}");
    // A reminder comes within an hour; unless it is expected, the scenario is over by then.
    passes(&format!("{entry}    expect: [{{at: 0s}}]\n")).await;
    passes(&format!("{entry}    expect: [{{at: 0s}}, {{at: 1h, reason: reminder}}]\n")).await;
    let failed = fails(&format!("{entry}    until: 2h\n    expect: [{{at: 0s}}]\n")).await;
    assert_eq!(failed.matches("unexpected").count(), 2, "{failed}");
}

#[tokio::test]
async fn every_expectation_has_a_message_of_its_own_and_as_many_are_met_as_can_be() {
    let entries = "    entries:
      - {at: 0s, repo: shop/a, tag: v1.0.0, returnCode: 1}
      - {at: 0s, repo: shop/b, tag: v1.0.0, returnCode: 1}
";
    // The first would take either; only the second's own leaves it one.
    passes(&format!(
        "{entries}    expect: [{{rule: prod-deploy-failed}}, {{text_contains: shop/a}}]\n"
    ))
    .await;
    passes(&format!("{entries}    expect: [{{at: 0s}}, {{at: 0s}}]\n")).await;
    let failed = fails(&format!("{entries}    expect: [{{text_contains: shop/a}}]\n")).await;
    assert_eq!(failed.matches("unexpected").count(), 1, "{failed}");
}

#[tokio::test]
async fn time_is_the_tests_own_and_only_what_was_read_counts_for_absence() {
    let entries = "    entries: [{at: 1h, service: nightly}]\n";
    passes(&format!(
        "{entries}    expect: [{{at: 25h, rule: night-job-silent, reason: absent}}]\n"
    ))
    .await;
    passes(&format!(
        "{entries}    events: [{{at: 5h, unread: 2h}}]
    expect: [{{at: 27h, rule: night-job-silent, reason: absent}}]\n"
    ))
    .await;
}

#[tokio::test]
async fn silences_restarts_and_reloads_happen_at_their_time() {
    let failing = "    entries:
      - {at: 1m, repo: shop/api, tag: v1.2.3, returnCode: 1}
      - {at: 5m, repo: shop/api, tag: v1.2.3, returnCode: 1}
      - {at: 8m, repo: shop/api, tag: v1.2.4, returnCode: 0}
";
    let held = "{at: 1m, rule: prod-deploy-failed, held_by: silenced}";
    passes(&format!(
        "{failing}    events:
      - {{at: 0s, silence: {{name: work, matchers: {{service: {{exists: false}}}}, for: 2h}}}}
      - {{at: 3m, restart: true}}
      - {{at: 4m, end_silence: work}}
    expect:
      - {held}
      - {{at: 4m, reason: summary}}
      - {{at: 8m, reason: recovered}}
"
    ))
    .await;
    passes(&format!(
        "{failing}    events:
      - {{at: 0s, silence: {{matchers: {{repo: shop/*}}, until: next_success}}}}
    expect: [{held}, {{at: 8m, reason: summary, count: 2}}]
"
    ))
    .await;
    // What is held needs no word, and what is expected to be sent is not met by it.
    let failed = fails(&format!(
        "{failing}    events:
      - {{at: 0s, silence: {{matchers: {{repo: shop/*}}, for: 2h}}}}
    expect: [{{at: 1m, rule: prod-deploy-failed, send_to: ops-wecom, reason: failing}}]
"
    ))
    .await;
    assert!(failed.contains("it was decided, and held by silenced"), "{failed}");
    // A restart tells nobody anything again.
    passes(&format!(
        "{failing}    events: [{{at: 2m, restart: true}}, {{at: 6m, restart: true}}]
    expect: [{{at: 1m, reason: failing}}, {{at: 8m, reason: recovered}}]\n"
    ))
    .await;
}

#[tokio::test]
async fn a_reload_puts_the_rules_of_another_folder_in_force() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules/shop.yaml", RULES);
    write(
        folder.path(),
        "next/shop.yaml",
        "rules:\n  - {name: all, match: {}, send_to: everybody}\n",
    );
    write(
        folder.path(),
        "rules/shop_test.yaml",
        "tests:
  - name: one
    entries:
      - {at: 0s, repo: shop/api, tag: v1.2.3, returnCode: 0}
      - {at: 2m, repo: shop/api, tag: v1.2.3, returnCode: 0}
    events: [{at: 1m, reload: ../next}]
    expect: [{at: 2m, rule: all, send_to: everybody, reason: matched}]
",
    );
    let ended = run(folder.path(), &["rules"]).await;
    assert_eq!(ended.code, 0, "{}", ended.all());
}

#[tokio::test]
async fn recorded_entries_come_at_their_own_time() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules/shop.yaml", RULES);
    let row = |time: &str, code: i64| {
        format!(
            "{{\"repo\":\"shop/api\",\"tag\":\"v1.2.3\",\"time\":\"{time}\",\"returnCode\":{code}}}\n"
        )
    };
    let log = [
        row("2026-03-02T09:06:00+08:00", 0),
        row("2026-03-02T09:06:00+08:00", 500),
        row("2026-03-02T09:05:00+08:00", 0),
        row("2026-03-02T09:00:00+08:00", 404),
    ]
    .concat();
    write(folder.path(), "rules/day.jsonl", &log);
    write(
        folder.path(),
        "rules/shop_test.yaml",
        "tests:
  - name: one
    entries_from: day.jsonl
    expect:
      - {at: 0s, rule: prod-deploy-failed, reason: failing}
      - {at: 5m, rule: prod-deploy-failed, reason: recovered}
      - {at: 6m, rule: prod-deploy-failed, reason: failing}
      - {at: 6m, rule: prod-deploy-failed, reason: recovered}
",
    );
    let ended = run(folder.path(), &["rules"]).await;
    assert_eq!(ended.code, 0, "{}", ended.all());
}

#[tokio::test]
async fn a_broken_file_is_told_as_check_tells_it_and_nothing_is_tested() {
    let broken = "tests:\n  - name: one\n    entires: []\n    expect: [{rule: prod}]\n";
    let ended = tested(broken, &["rules"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (78, ""));
    for said in ["E011", "did you mean `entries`?", "E050", "2 errors; nothing was tested"] {
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules/shop.yaml", RULES);
    write(folder.path(), "rules/shop_test.yaml", broken);
    let checked = command(folder.path(), &["check", "rules"]).await;
    assert_eq!(checked.code, 78, "{}", checked.all());
    let told = ended.err.split("\nerror: 2 errors").next().unwrap();
    assert!(checked.out.starts_with(told.trim_end()), "{}\n{}", checked.out, ended.err);
    let none = run(folder.path(), &[]).await;
    assert_eq!(none.code, 78);
    assert!(none.err.contains("triggerbell test rules/"), "{}", none.err);
    write(folder.path(), "empty/a.yaml", RULES);
    let none = run(folder.path(), &["empty"]).await;
    assert_eq!(none.code, 1);
    assert!(none.err.contains("there are no tests"), "{}", none.err);
    assert_eq!(run(folder.path(), &["--no-such-flag"]).await.code, 2);
}

/// A configuration whose secrets are not there, as where rules are tested before they are merged.
const CONFIGURATION: &str = "time_zone: Europe/Berlin
sources:
  shop:
    ccr: {secret_id_file: nowhere, secret_key_file: nowhere}
    repos: [shop/api]
receivers:
  ops-wecom:
    wecom:
      key: ${WECOM_KEY}
    template: deploy
  dev-slack:
    slack:
      webhook_url: ${SLACK_URL}
rules: [rules/]
templates: templates/
time_intervals:
  night: {times: ['22:00-08:00']}
";

#[tokio::test]
async fn tests_beside_the_configured_rules_need_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "triggerbell.yaml", CONFIGURATION);
    write(folder.path(), "templates/deploy.hbs", "{{entry.service}} by {{receiver}}: {{reason}}\n");
    write(
        folder.path(),
        "rules/night.yaml",
        "rules:
  - name: all
    match: {source: shop}
    send_to: [ops-wecom, dev-slack]
    mute: {during: [night], at_end: drop}
",
    );
    write(
        folder.path(),
        "rules/night_test.yaml",
        "tests:
  - name: at night nobody is told
    start: 2026-03-02T21:59:00
    entries:
      - {at: 0s, service: api}
      - {at: 1m, service: web}
    expect:
      - {at: 0s, rule: all, send_to: ops-wecom, text: 'api by ops-wecom: matched'}
      - {at: 0s, rule: all, send_to: dev-slack, text_contains: '*Service*', payload: {unfurl_links: false}}
      - {at: 1m, rule: all, send_to: [ops-wecom, dev-slack], held_by: muted}
",
    );
    for args in [&[][..], &["."], &["rules"], &["rules/night_test.yaml"], &["triggerbell.yaml"]] {
        let ended = run(folder.path(), args).await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{args:?}: {}", ended.all());
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let config = folder.path().join("triggerbell.yaml");
    let args = ["--config", config.to_str().unwrap()];
    assert_eq!(run(elsewhere.path(), &args).await.code, 0);
}

#[tokio::test]
async fn coverage_names_what_no_test_reached_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "triggerbell.yaml",
        "sources: {shop: {file: {path: log}}}
receivers:
  ops: {webhook: {url: https://hooks.example.internal/x}}
  chat: {slack: {webhook_url: https://hooks.slack.com/services/T1/B1/x}}
rules: [rules]
templates: templates
",
    );
    write(folder.path(), "templates/short.hbs", "{{entry.tag}}");
    write(
        folder.path(),
        "rules/shop.yaml",
        "rules:
  - name: failed
    match:
      repo: shop/*
      any:
        - returnCode: {not: 0}
        - cel: entry.tag == 'bad'
    send_to: [ops]
    notify: change
    recover:
      returnCode: 0
    stop: true
  - name: behind
    match: {repo: shop/*}
    send_to: [chat]
    template: short
  - name: never
    match: {service: x}
    mode: shadow
    send_to: [chat]
",
    );
    let one = "tests:
  - name: one
    entries: [{repo: shop/api, returnCode: 1}]
    expect: [{rule: failed}]
";
    write(folder.path(), "rules/shop_test.yaml", one);
    let ended = run(folder.path(), &["--coverage"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
    insta::assert_snapshot!("coverage", ended.out);
    assert_eq!(run(folder.path(), &["--coverage=25"]).await.code, 0);
    let lacking = run(folder.path(), &["--coverage=50"]).await;
    assert_eq!(lacking.code, 1);
    assert!(lacking.out.ends_with("% were reached, and 50% are asked for\n"), "{}", lacking.out);
    assert_eq!(run(folder.path(), &["--coverage=101"]).await.code, 2);
    // The document stays one.
    let junit = run(folder.path(), &["--coverage=50", "--format", "junit"]).await;
    assert_eq!(junit.code, 1);
    assert!(junit.out.ends_with("</testsuites>\n"), "{}", junit.out);
    assert!(junit.err.contains("Not reached:"), "{}", junit.err);
    let all = "  - name: two
    entries:
      - {repo: else/api, tag: good, returnCode: 0, service: x}
      - {repo: shop/api, tag: bad, returnCode: 0}
      - {repo: shop/api, tag: good, returnCode: 0}
    expect: [{rule: behind}]
";
    write(folder.path(), "rules/shop_test.yaml", &format!("{one}{all}"));
    let ended = run(folder.path(), &["--coverage=100"]).await;
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert!(!ended.out.contains("Not reached"), "{}", ended.out);
}

/// What Python's parser makes of a report: each case with what is said of its failure.
async fn parsed(xml: &str) -> serde_json::Value {
    let script = "import json, sys, xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.buffer.read())
assert root.tag == 'testsuites', root.tag
cases = [[s.get('name'), c.get('name'), c.get('classname'), [f.get('message') for f in c]]
         for s in root for c in s]
print(json.dumps([dict(root.attrib, time=''), cases]))";
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "report.xml", xml);
    let input = std::fs::File::open(folder.path().join("report.xml")).unwrap();
    let mut python = tokio::process::Command::new("python3");
    let output = python.args(["-c", script]).stdin(input).output().await.unwrap();
    assert!(output.status.success(), "{}\n{xml}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn junit_reports_are_sound_whatever_a_test_is_called() {
    let tests = format!(
        "{DESIGNED}  - name: \"]]> & <b> 'x' \\\"y\\\" \\u0001 \\n é 值\"
    entries: [{{repo: shop/api, tag: v1.2.3, returnCode: 1, service: '<&>'}}]
    expect: [{{at: 0s, text: '<&> \"'}}, {{at: 9s, rule: together, reason: storm}}]
"
    );
    let ended = tested(&tests, &["rules", "--format", "junit"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (1, ""), "{}", ended.out);
    let report = parsed(&ended.out).await;
    let root = serde_json::json!({"name": "triggerbell", "tests": "2", "failures": "1", "errors": "0", "time": ""});
    assert_eq!(report[0], root);
    let cases = report[1].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    assert_eq!(
        cases[0],
        serde_json::json!([
            "rules/shop_test.yaml",
            "the second failure is silent, the success recovers",
            "rules/shop_test.yaml",
            []
        ])
    );
    let name = cases[1][1].as_str().unwrap();
    assert!(name.starts_with("]]> & <b> 'x' \"y\" \u{fffd}") && name.ends_with("é 值"), "{name}");
    assert_eq!(cases[1][3], serde_json::json!(["1 missing, 1 different"]));
}

#[tokio::test]
async fn an_update_writes_what_happened_and_leaves_the_rest_byte_for_byte() {
    let before = std::fs::read_to_string("tests/it/commands/odd_test.yaml").unwrap();
    for text in [before.clone(), before.replace('\n', "\r\n")] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "rules/shop.yaml", RULES);
        write(folder.path(), "rules/odd_test.yaml", &text);
        write(folder.path(), "rules/shop_test.yaml", DESIGNED);
        let ended = run(folder.path(), &["rules", "--update"]).await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
        assert_eq!(ended.out, "updated rules/odd_test.yaml  5 tests\n");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let after = read("rules/odd_test.yaml");
        assert_eq!(after.matches('\r').count() > 0, text.contains('\r'));
        assert_eq!(after.matches('\r').count() % after.matches('\n').count(), 0);
        insta::assert_snapshot!("updated", after.replace('\r', ""));
        assert_eq!(read("rules/shop_test.yaml"), DESIGNED);
        let ended = run(folder.path(), &["rules"]).await;
        assert_eq!(ended.code, 0, "{}", ended.all());
        let ended = run(folder.path(), &["rules", "--update"]).await;
        assert_eq!((ended.code, ended.out.as_str()), (0, "every test passes: nothing to update\n"));
        assert_eq!(read("rules/odd_test.yaml"), after);
    }
}

#[tokio::test]
async fn an_update_keeps_what_was_asked_and_refuses_what_it_can_not_change() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules/shop.yaml", RULES);
    let entry = "entries: [{repo: shop/api, tag: v1.2.3, returnCode: 1}]";
    let text = format!(
        "tests:
  - name: asked for more
    {entry}
    expect:
      - {{at: 1m, rule: prod-deploy-failed, severity: error, text_contains: [v1.2.3, v1.2.4], payload: {{data: {{count: 1}}}}}}
"
    );
    write(folder.path(), "rules/shop_test.yaml", &text);
    assert_eq!(run(folder.path(), &["rules", "--update"]).await.code, 0);
    let read = || std::fs::read_to_string(folder.path().join("rules/shop_test.yaml")).unwrap();
    let last = read().lines().last().unwrap().to_owned();
    assert_eq!(
        last,
        "      - {at: 0s, rule: prod-deploy-failed, send_to: ops-wecom, reason: failing, \
         severity: critical, text_contains: 'v1.2.3', payload: {\"data\":{\"count\":1}}}"
            .replace("'v1.2.3'", "v1.2.3")
    );
    let shared = format!(
        "tests:
  - name: one
    {entry}
    expect: &all [{{at: 3s}}]
  - name: two
    {entry}
    expect: *all
"
    );
    write(folder.path(), "rules/shop_test.yaml", &shared);
    let ended = run(folder.path(), &["rules", "--update"]).await;
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(ended.err.contains("rules/shop_test.yaml:2: can't be updated"), "{}", ended.err);
    assert_eq!(read(), shared);
}

#[tokio::test]
async fn the_shipped_rules_and_the_examples_keep_to_their_tests_to_the_last_clause() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in ["rules/", "examples"] {
        let ended = run(root, &[path, "--coverage=100"]).await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{path}: {}", ended.out);
        assert!(ended.out.contains("ok      "), "{}", ended.out);
    }
}

/// The blocks of a page, of one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_page_about_tests_shows_what_happens() {
    let yaml = blocks("docs/testing.md", "yaml");
    let text = blocks("docs/testing.md", "text");
    let folder = tempfile::tempdir().unwrap();
    let [rules, tests, events] = &yaml[..] else { panic!("{} examples", yaml.len()) };
    write(folder.path(), "rules/shop.yaml", rules);
    write(folder.path(), "rules/shop_test.yaml", tests);
    let ended = run(folder.path(), &["rules/shop_test.yaml"]).await;
    assert_eq!((ended.code, &ended.out), (0, &text[0]), "{}", ended.err);
    let ended = run(folder.path(), &["rules", "--coverage"]).await;
    let (_, reached) = ended.out.split_once("0 failed\n").unwrap();
    assert_eq!((ended.code, reached), (0, text[2].as_str()));
    write(folder.path(), "rules/shop_test.yaml", events);
    assert_eq!(run(folder.path(), &["rules"]).await.code, 0, "{}", ended.all());
    let wrong = "# Wrong in three ways.
tests:
  - name: the wrong severity, and a recovery that does not come
    until: 1h
    entries: [{repo: shop/api, returnCode: 1}]
    expect:
      - {at: 0s, rule: prod-deploy-failed, send_to: ops-wecom, reason: failing, severity: error}
      - {at: 5m, rule: prod-deploy-failed, send_to: ops-wecom, reason: recovered}
";
    write(folder.path(), "rules/shop_test.yaml", wrong);
    let ended = run(folder.path(), &["rules"]).await;
    assert_eq!((ended.code, &ended.out), (1, &text[1]), "{}", ended.err);
}
