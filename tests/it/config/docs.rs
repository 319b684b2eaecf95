//! What the documents and examples say is true: their YAML passes `check`, and no code is left out.

use std::{fs, path::Path};

use triggerbell::{
    config::{self, Request},
    document::{Code, Problems},
};

use super::{shown, world};

/// The sources and receivers that a fragment of the documents may take for granted.
const SOURCES: &str = "
sources:
  shop:
    ccr: {secret_id: id, secret_key: key}
    repos: [shop/api]
";
const RECEIVERS: &str = "
receivers:
  ops-wecom: {wecom: {key: 693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa}}
  dev-slack: {slack: {webhook_url: 'https://hooks.slack.com/services/T1/B1/x'}}
";

/// The variables that the documents name.
fn documented(name: &str) -> Option<String> {
    let value = match name {
        "TENCENTCLOUD_SECRET_ID" | "TENCENTCLOUD_SECRET_KEY" | "PUSH_SECRET" => {
            "from-the-environment"
        }
        "WECOM_KEY" => "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa",
        "SLACK_URL" => "https://hooks.slack.com/services/T1/B1/x",
        "SLACK_TOKEN" => "xoxb-1-2-x",
        "WECOM_SECRET" => "corp-secret_0123456789",
        "HOOK_SECRET" => "SECxxx",
        "WHSEC" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The YAML blocks of a document.
pub(super) fn blocks(path: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let blocks: Vec<String> = text
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    assert!(!blocks.is_empty(), "{path} has no examples");
    blocks
}

/// The problems of a configuration in a folder that has what the documents name.
fn problems_of(text: &str, rules: &str) -> Problems {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in [("rules/a.yaml", rules), ("more/payments.yaml", "rules: []\n")] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::create_dir(folder.path().join("templates")).unwrap();
    let path = folder.path().join("triggerbell.yaml");
    let lacks = |key: &str| !text.lines().any(|line| line.starts_with(key));
    let mut whole = text.to_owned();
    for (key, base) in
        [("sources:", SOURCES), ("receivers:", RECEIVERS), ("rules:", "rules: [rules]\n")]
    {
        if lacks(key) {
            whole.push_str(base);
        }
    }
    fs::write(&path, whole).unwrap();
    let request = Request { config: Some(&path), data_dir: None, env: &documented };
    config::load(&request).map_or_else(|problems| problems, |loaded| loaded.warnings)
}

const ONE_RULE: &str = "rules:\n  - {name: one, match: {}, send_to: REPLACED}\n";

#[test]
fn the_configuration_page_passes_check() {
    for block in blocks("docs/configuration.md") {
        // Any receiver that the block has will do for the rule.
        let receiver = if block.contains("  dev-slack:") || !block.contains("receivers:") {
            "dev-slack"
        } else {
            "ops-wecom"
        };
        let problems = problems_of(&block, &ONE_RULE.replace("REPLACED", receiver));
        assert!(problems.is_empty(), "{block}\n{}", shown(&problems));
    }
}

#[test]
fn the_rules_page_passes_check() {
    let chinese = blocks("docs/rules.zh-CN.md");
    for block in blocks("docs/rules.md").into_iter().chain(chinese) {
        let rules = if block.starts_with("match:") {
            let indented: String = block.lines().map(|line| format!("    {line}\n")).collect();
            format!("rules:\n  - name: one\n    send_to: dev-slack\n{indented}")
        } else {
            block
        };
        let problems = problems_of("", &rules);
        assert!(problems.is_empty(), "{rules}\n{}", shown(&problems));
    }
}

#[test]
fn the_page_about_quiet_passes_check() {
    let blocks = blocks("docs/quiet.md");
    let is_rules = |block: &&String| block.starts_with("rules:") || block.starts_with("defaults:");
    let intervals = blocks.iter().find(|block| block.starts_with("time_intervals:")).unwrap();
    for rules in blocks.iter().filter(is_rules) {
        let problems = problems_of(intervals, rules);
        assert!(problems.is_empty(), "{rules}\n{}", shown(&problems));
    }
    for block in blocks.iter().filter(|block| !is_rules(block)) {
        let problems = problems_of(block, &ONE_RULE.replace("REPLACED", "dev-slack"));
        assert!(problems.is_empty(), "{block}\n{}", shown(&problems));
    }
}

#[test]
fn the_other_pages_examples_pass_check() {
    for (path, receiver) in [
        ("docs/sources.md", "dev-slack"),
        ("docs/delivery.md", "ops-wecom"),
        ("docs/webhook.md", "hook"),
        ("docs/networks.md", "hook"),
    ] {
        for block in blocks(path) {
            let problems = problems_of(&block, &ONE_RULE.replace("REPLACED", receiver));
            assert!(problems.is_empty(), "{path}\n{block}\n{}", shown(&problems));
        }
    }
}

#[test]
fn the_receivers_page_passes_check() {
    for block in blocks("docs/receivers.md") {
        let name = block.lines().nth(1).and_then(|line| line.trim().strip_suffix(':'));
        let rule = ONE_RULE.replace("REPLACED", name.expect("an example names a receiver"));
        let problems = problems_of(&block, &rule);
        assert!(problems.is_empty(), "{block}\n{}", shown(&problems));
    }
}

#[test]
fn what_the_readmes_tell_a_new_user_to_write_passes_check() {
    for path in ["README.md", "README.zh-CN.md"] {
        let blocks = blocks(path);
        let [configuration, rules] = &blocks[..] else {
            panic!("{path} has {} examples", blocks.len())
        };
        let problems = problems_of(configuration, rules);
        assert!(problems.is_empty(), "{path}\n{}", shown(&problems));
    }
}

#[test]
fn the_templates_of_the_templates_page_pass_check() {
    let page = fs::read_to_string("docs/templates.md").unwrap();
    let mut blocks = page.split("```handlebars\n").skip(1);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    for name in ["deploy.hbs", "deploy.json.hbs"] {
        let text = blocks.next().unwrap().split("```").next().unwrap();
        assert!(page.contains(&format!("`templates/{name}`")), "{name} is not named");
        fs::write(folder.path().join("templates").join(name), text).unwrap();
    }
    assert!(blocks.next().is_none(), "an example that is not tried");
    let webhook = "  audit: {webhook: {url: 'https://hooks.example.internal/x'}}\n";
    let path = folder.path().join("triggerbell.yaml");
    fs::write(
        &path,
        format!("{SOURCES}{RECEIVERS}{webhook}rules: rules.yaml\ntemplates: templates\n"),
    )
    .unwrap();
    let rule = "rules:\n  - {name: one, match: {}, template: deploy, labels: {team: shop}, \
                send_to: [dev-slack, ops-wecom, audit]}\n";
    fs::write(folder.path().join("rules.yaml"), rule).unwrap();
    let request = Request { config: Some(&path), data_dir: None, env: &documented };
    let loaded = config::load(&request).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert!(loaded.warnings.is_empty(), "{}", shown(&loaded.warnings));
}

#[test]
fn the_examples_and_the_shipped_rules_pass_check() {
    let path = Path::new("examples/triggerbell.yaml");
    let request = Request { config: Some(path), data_dir: None, env: &documented };
    let loaded = config::load(&request).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert!(loaded.warnings.is_empty(), "{}", shown(&loaded.warnings));
    assert_eq!(loaded.config.sources.len(), 1);
    assert_eq!(loaded.config.receivers.len(), 2);
    assert!(loaded.config.rules.rules().len() >= 4);
    let text = fs::read_to_string(path).unwrap();
    assert!(!text.contains("cluster-"), "the example holds what is nobody's business");
    let shipped = config::rule_files(Path::new("rules")).unwrap();
    assert!(!shipped.is_empty());
    for file in shipped {
        let problems = problems_of("", &fs::read_to_string(file).unwrap());
        assert!(problems.is_empty(), "{}", shown(&problems));
    }
}

#[test]
fn the_check_page_lists_every_code() {
    let page = fs::read_to_string("docs/check.md").unwrap();
    for code in Code::ALL {
        let row = format!("| {} | {} |", code.name(), code.title());
        assert!(page.contains(&row), "docs/check.md lacks `{row}`");
    }
    let mentioned = page.matches("| E").count() + page.matches("| W").count();
    assert_eq!(mentioned, Code::ALL.len(), "docs/check.md lists a code that is not");
}

#[test]
fn a_thousand_rules_are_checked() {
    // Run with --release and --no-capture to see the figure that design.md section 7 speaks of.
    let folder = tempfile::tempdir().unwrap();
    let rules: String = (0..1000)
        .map(|index| {
            format!(
                "  - name: rule-{index}
    match:
      repo: team-{}/*
      tag: 'v{}\\.\\d+\\.\\d+'
      service: [service-{}, 'svc-{index}-*']
      returnCode: {{not: 0}}
    labels: {{team: team-{}}}
    send_to: [dev-slack, ops-wecom]
",
                index % 40,
                index % 25,
                index % 30,
                index % 7
            )
        })
        .collect();
    fs::write(folder.path().join("rules.yaml"), format!("rules:\n{rules}")).unwrap();
    let path = folder.path().join("triggerbell.yaml");
    fs::write(&path, format!("{SOURCES}{RECEIVERS}\nrules: rules.yaml\n")).unwrap();
    let request = Request { config: Some(&path), data_dir: None, env: &world::environment };
    for _ in 0..3 {
        let started = std::time::Instant::now();
        let loaded = config::load(&request).unwrap();
        println!("1,000 rules checked in {:?}", started.elapsed());
        assert_eq!(loaded.config.rules.rules().len(), 1000);
    }
}
