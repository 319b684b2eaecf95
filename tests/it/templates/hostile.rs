//! Whatever stands in the log stays text: it can't mention, link, colour, forge a line or break
//! the JSON.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use triggerbell::{
    adapters::templates::{ReceiverType, Sample, Templates, sample_entry},
    domain::{entry::Entry, field::Field, notification::Reason},
};

use super::{json, load, one, render, shipped, slack_texts, wecom_content};

/// Pieces that attacks are made of.
const PIECES: &[&str] = &[
    "<",
    ">",
    "&",
    "&amp;",
    "&lt;",
    "<!channel>",
    "<!here|x>",
    "<@U012AB3CD>",
    "<!subteam^S01>",
    "<http://evil.example|safe>",
    "<https://evil.example>",
    "|",
    "[",
    "]",
    "(",
    ")",
    "](",
    "[safe](http://evil.example)",
    "<font color=\"warning\">",
    "</font>",
    "<@all>",
    "@all",
    "@ALL",
    "@here",
    "#",
    "# ",
    "> ",
    "\n",
    "\r\n",
    "\r",
    "\u{2028}",
    "\u{85}",
    "\t",
    "`",
    "```",
    "*",
    "_",
    "~",
    "\"",
    "\\",
    "\\n",
    "\\\"",
    "\"}]}",
    "\",\"x\":\"",
    "{{id}}",
    "\u{0}",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{2066}",
    "\u{feff}",
    "\u{e0041}",
    "中文",
    "🔴",
    "é",
    " ",
    "v1.2.3",
    "成功",
];

fn attack() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

prop_compose! {
    /// An entry with an attack in every text.
    fn attacker()(
        texts in proptest::collection::vec(attack(), 12),
        code in proptest::option::of(-3_i64..600),
        message in proptest::option::of(attack()),
    ) -> Arc<Entry> {
        let mut entry = sample_entry(Sample::Failure);
        let mut texts = texts.into_iter().map(String::into_boxed_str);
        let row = &mut entry.row;
        for field in [
            &mut row.repo, &mut row.tag, &mut row.trigger, &mut row.invoke_source,
            &mut row.invoke_action, &mut row.invoke_method, &mut row.invoke_expr, &mut row.app_id,
            &mut row.service, &mut row.cluster_id, &mut row.namespace, &mut row.container,
        ] {
            *field = texts.next();
        }
        row.return_code = code;
        row.return_msg = message.map(String::into_boxed_str);
        Arc::new(entry)
    }
}

const OURS: [&str; 2] = [
    "<https://wiki.example.internal/shop?a=1&amp;b=2|",
    "<https://bell.example.internal/notifications/",
];

/// No construct in a Slack text but those that the template wrote, and no character that hides.
fn assert_slack_safe(payload: &Value) {
    for (mrkdwn, text) in slack_texts(payload) {
        assert_nothing_hidden(text);
        if !mrkdwn {
            continue;
        }
        for (at, _) in text.match_indices('<') {
            assert!(OURS.iter().any(|ours| text[at..].starts_with(ours)), "{text}");
        }
        for (at, _) in text.match_indices('&') {
            let known = ["&amp;", "&lt;", "&gt;"];
            assert!(known.iter().any(|entity| text[at..].starts_with(entity)), "{text}");
        }
        assert_eq!(text.matches('`').count() % 2, 0, "code spans are paired: {text}");
    }
}

fn assert_nothing_hidden(text: &str) {
    let hidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
            || ('\u{e0000}'..='\u{e007f}').contains(&c)
            || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
    };
    assert!(!text.contains(hidden), "{text:?}");
}

/// The lines and the markup of a WeCom message are the template's.
fn assert_wecom_safe(content: &str, code: Option<i64>) {
    assert_nothing_hidden(content);
    let mut rest = content.to_owned();
    for tag in ["info", "comment", "warning"] {
        rest = rest.replace(&format!("<font color=\"{tag}\">"), "");
    }
    let tags = content.len() - rest.len();
    assert!(tags > 0 && !rest.replace("</font>", "").contains('<'), "{content}");
    let fonts = content.matches("<font").count();
    assert_eq!(fonts, 3, "title, result and footer: {content}");
    assert_eq!(content.matches("</font>").count(), fonts);
    let links = content.matches("](").count();
    assert_eq!(links, 2, "details and runbook: {content}");
    assert!(!content.to_lowercase().contains("@all"), "{content}");
    for (index, line) in content.lines().enumerate() {
        let ours = match index {
            0 => line.starts_with("### <font color="),
            _ => {
                line.is_empty()
                    || line.starts_with("> ")
                    || line.starts_with("<font color=\"comment\">prod-deploy-failed")
                    || line.starts_with("[Details](https://bell")
                    || line.starts_with("[查看详情](https://bell")
            }
        };
        assert!(ours, "a forged line {line:?} (code {code:?}) in {content}");
        let quoted = line.strip_prefix("> ").unwrap_or("");
        assert!(!quoted.trim_start().starts_with(['#', '>']), "{line}");
    }
}

fn check(templates: &Templates, entry: &Arc<Entry>) {
    let entries = [Arc::clone(entry)];
    for name in ["default", "default-zh"] {
        let parts = render(templates, name, ReceiverType::Slack, &entries, Reason::Matched);
        parts.iter().for_each(|part| assert_slack_safe(&json(part)));
        let payload = json(&parts[0]);
        for block in payload["blocks"].as_array().unwrap() {
            let kind = block["type"].as_str().unwrap();
            assert!(["header", "section", "context"].contains(&kind));
        }
        let parts = render(templates, name, ReceiverType::Wecom, &entries, Reason::Matched);
        assert_eq!(parts.len(), 1);
        assert_wecom_safe(&wecom_content(&parts[0]), entry.row.return_code);
        let parts = render(templates, name, ReceiverType::Webhook, &entries, Reason::Matched);
        let told = json(&parts[0]);
        for &field in Field::ALL {
            let text = entry.text(field).map(|text| text.into_owned());
            let got = match &told["data"]["entry"][field.name()] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            assert_eq!(got, text, "{field} arrives whole");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn shipped_templates_hold(entry in attacker()) {
        thread_local!(static SHIPPED: Templates = shipped());
        SHIPPED.with(|templates| check(templates, &entry));
    }

    #[test]
    fn lists_hold(entries in proptest::collection::vec(attacker(), 2..6)) {
        thread_local!(static SHIPPED: Templates = shipped());
        SHIPPED.with(|templates| {
            for part in render(templates, "default", ReceiverType::Slack, &entries, Reason::Matched) {
                assert_slack_safe(&json(&part));
            }
            for part in render(templates, "default", ReceiverType::Wecom, &entries, Reason::Matched) {
                let content = wecom_content(&part);
                assert_nothing_hidden(&content);
                let ours = content.matches("<font color=\"").count() + content.matches("</font>").count();
                assert_eq!(content.matches('<').count(), ours, "{content}");
                assert!(!content.to_lowercase().contains("@all"));
            }
        });
    }

    #[test]
    fn users_templates_hold(entry in attacker()) {
        thread_local!(static USERS: Templates = load(&[
            ("x.slack.hbs", "{{entry.tag}}{{entry.repo}}({{entry.returnMsg}}) {{json entry}}\n{{#each entries}}{{upper service}}{{/each}}"),
            ("y.slack.json.hbs", r#"{"text": "{{entry.tag}}{{truncate entry.repo 3}}", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": {{json entry.returnMsg}}}}, {"type": "context", "elements": [{"type": "mrkdwn", "text": "{{lower entry.service}}"}, {"type": "plain_text", "text": "{{plain entry.tag}}"}]}], "metadata": {{json entry}}}"#),
            ("x.wecom.hbs", "{{entry.tag}}({{entry.repo}}) [a]{{entry.service}} {{json entry}}"),
            ("y.wecom.json.hbs", r#"{"msgtype": "markdown", "markdown": {"content": "x {{entry.tag}}({{entry.repo}})\n{{entry.returnMsg}}\n[a]{{entry.service}}"}}"#),
            ("x.json.hbs", r#"{"a": "{{entry.tag}}", "b": "{{plain entry.repo}}", "c": {{json entry.returnMsg}}, "d": [{{#each entries}}{{json this}}{{#unless @last}},{{/unless}}{{/each}}]}"#),
        ]));
        USERS.with(|templates| {
            let entries = [Arc::clone(&entry)];
            for name in ["x", "y"] {
                for part in render(templates, name, ReceiverType::Slack, &entries, Reason::Matched) {
                    let payload = json(&part);
                    for (mrkdwn, text) in slack_texts(&payload) {
                        assert_nothing_hidden(text);
                        assert!(!mrkdwn || !text.contains(['<', '>']), "{text}");
                    }
                }
                for part in render(templates, name, ReceiverType::Wecom, &entries, Reason::Matched) {
                    let content = wecom_content(&part);
                    assert_nothing_hidden(&content);
                    assert!(!content.contains('<') && !content.contains("]("), "{content}");
                }
            }
            let parts = render(templates, "x", ReceiverType::Webhook, &entries, Reason::Matched);
            serde_json::from_str::<Value>(one(&parts)).unwrap();
        });
    }

    #[test]
    fn no_source_text_harms_the_loader(source in "[{}#/a-z@.~!>&()\" \n|=0-9^\\\\]{0,60}") {
        let folder = super::folder(&[("x.hbs", &source), ("x.json.hbs", &source)]);
        if let Err(problems) = Templates::load(Some(folder.path()), super::settings()) {
            for problem in problems {
                let lines = source.split('\n').count();
                prop_assert!(problem.line <= lines + 1, "{problem}");
            }
        }
    }
}

#[test]
fn a_message_of_an_alarm_is_text_too() {
    let templates = shipped();
    let labels = super::labels();
    let mut context =
        triggerbell::adapters::templates::sample_context(&[], &labels, Reason::Alarm, super::now());
    context.message =
        Some("<!channel> [safe](http://evil)\n# <font color=\"info\">all is well</font> @all");
    let slack = super::render_context(&templates, "default", ReceiverType::Slack, &context);
    assert_slack_safe(&json(&slack[0]));
    let content = wecom_content(
        &super::render_context(&templates, "default", ReceiverType::Wecom, &context)[0],
    );
    assert!(content.contains("＜font color=\"info\">all is well＜/font> ＠all"), "{content}");
    assert!(content.contains("\n＃ "), "{content}");
}
