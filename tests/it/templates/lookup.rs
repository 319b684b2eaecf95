//! Which file makes a message.

use std::sync::Arc;

use triggerbell::{
    adapters::templates::{ReceiverType, Sample, Templates, sample_entry},
    domain::notification::Reason,
};

use super::{folder, json, load, one, problems, render, settings, shipped, wecom_content};

fn told(files: &[(&str, &str)], name: &str, kind: ReceiverType) -> String {
    let entries = [Arc::new(sample_entry(Sample::Failure))];
    let parts = render(&load(files), name, kind, &entries, Reason::Matched);
    match kind {
        ReceiverType::Slack => json(&parts[0])["text"].as_str().unwrap().to_owned(),
        ReceiverType::Wecom => wecom_content(&parts[0]),
        ReceiverType::Webhook => one(&parts).to_owned(),
    }
}

#[test]
fn the_most_particular_file_comes_first() {
    let all = [
        ("n.slack.json.hbs", r#"{"text": "slack json"}"#),
        ("n.slack.hbs", "slack"),
        ("n.webhook.json.hbs", r#""webhook json""#),
        ("n.webhook.hbs", "webhook"),
        ("n.json.hbs", r#""json""#),
        ("n.hbs", "any"),
    ];
    let from = |skip: usize, kind| told(&all[skip..], "n", kind);
    assert_eq!(from(0, ReceiverType::Slack), "slack json");
    assert_eq!(from(1, ReceiverType::Slack), "slack");
    assert_eq!(from(2, ReceiverType::Slack), "any", "`n.json.hbs` is for webhooks alone");
    assert_eq!(from(0, ReceiverType::Wecom), "any");
    assert_eq!(from(0, ReceiverType::Webhook), r#""webhook json""#);
    assert_eq!(from(3, ReceiverType::Webhook), "webhook");
    assert_eq!(from(4, ReceiverType::Webhook), r#""json""#);
    assert_eq!(from(5, ReceiverType::Webhook), "any");
}

#[test]
fn the_users_folder_comes_before_the_shipped() {
    let mine = [("default.hbs", "mine")];
    assert_eq!(told(&mine, "default", ReceiverType::Slack), "mine");
    assert_eq!(told(&mine, "default", ReceiverType::Webhook), "mine");
    assert!(told(&mine, "default-zh", ReceiverType::Wecom).contains("更新失败"));
}

#[test]
fn what_is_no_template_is_passed_over() {
    let folder = folder(&[("README.md", "{{nope}}"), (".hidden.hbs", "{{nope}}"), ("x.hbs", "x")]);
    std::fs::create_dir(folder.path().join("sub.hbs")).unwrap();
    let templates = Templates::load(Some(folder.path()), settings()).unwrap();
    assert_eq!(templates.names().collect::<Vec<_>>(), ["default", "default-zh", "x"]);
}

#[test]
fn a_use_of_what_is_not_there_says_what_is() {
    let templates = load(&[("deploy.slack.hbs", "x")]);
    templates.check_use("deploy", ReceiverType::Slack).unwrap();
    let problem = templates.check_use("deploy", ReceiverType::Wecom).unwrap_err();
    assert_eq!(problem.message, "template `deploy` has no form for wecom");
    assert_eq!(problem.help.unwrap(), "add deploy.wecom.hbs to the folder of templates");
    let problem = templates.check_use("deplyo", ReceiverType::Slack).unwrap_err();
    assert_eq!(problem.message, "there is no template `deplyo`");
    assert_eq!(
        problem.help.unwrap(),
        "did you mean `deploy`? templates: default, default-zh, deploy"
    );
    assert!(shipped().check_use("default", ReceiverType::Wecom).is_ok());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let found = problems(&[
        ("x.slak.hbs", "x"),
        ("a.b.wecom.hbs", "x"),
        ("big.hbs", &"x".repeat(256 * 1024 + 1)),
    ]);
    let told: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "a.b.wecom.hbs: the file's name holds no name of a template; files are named NAME.hbs, NAME.TYPE.hbs, NAME.TYPE.json.hbs or NAME.json.hbs",
            "big.hbs: it is 262145 bytes; a template is at most 262144",
            "x.slak.hbs: there is no receiver type `slak`; did you mean `slack`? types: slack, webhook, wecom",
        ]
    );
    let folder = folder(&[]);
    std::fs::write(folder.path().join("x.hbs"), b"\xff\xfe").unwrap();
    let found = Templates::load(Some(folder.path()), settings()).unwrap_err();
    assert_eq!(found[0].message, "it is not UTF-8");
    let found = Templates::load(Some(&folder.path().join("nowhere")), settings()).unwrap_err();
    assert!(found[0].message.starts_with("the folder of templates can't be read: "));
}
