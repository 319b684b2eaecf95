//! Over-long messages: every part within its receiver's limits, and nothing lost without a mark.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use triggerbell::{
    adapters::templates::{
        ReceiverType, Sample, Templates, WecomForm, sample_context, sample_entry, usage,
    },
    domain::{entry::Entry, limit, notification::Reason},
    ports::Part,
};

use super::{json, labels, load, now, one, render, render_context, shipped, wecom_content};

fn chars(value: &Value) -> usize {
    value.as_str().unwrap_or_default().chars().count()
}

/// Measures a Slack payload by the documents, without any of the program's own measuring.
fn assert_slack_fits(part: &Part) {
    let payload = json(part);
    let text = chars(&payload["text"]);
    assert!((1..=4_000).contains(&text), "text of {text}");
    let Some(blocks) = payload.get("blocks") else { return };
    let blocks = blocks.as_array().unwrap();
    assert!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
    let mut total = 0;
    for block in blocks {
        let own = chars(&block["text"]["text"]);
        let list = |name: &str| block[name].as_array().cloned().unwrap_or_default();
        let lengths =
            |name: &str| list(name).iter().map(|one| chars(&one["text"])).collect::<Vec<_>>();
        let (fields, elements) = (lengths("fields"), lengths("elements"));
        assert!(!fields.contains(&0) && !elements.contains(&0), "an empty text object");
        match block["type"].as_str().unwrap() {
            "header" => assert!((1..=150).contains(&own), "a header of {own}"),
            "section" => {
                assert!(own <= 3_000 && (own > 0 || !fields.is_empty()), "a section of {own}");
                assert!(fields.len() <= 10 && fields.iter().all(|field| *field <= 2_000));
            }
            "context" => assert!((1..=10).contains(&elements.len())),
            _ => {}
        }
        total += own + fields.iter().chain(&elements).sum::<usize>();
    }
    assert!(total <= 13_200, "{total} in all blocks");
}

fn assert_wecom_fits(part: &Part) {
    let content = wecom_content(part);
    assert!((1..=4_096).contains(&content.len()), "{} bytes", content.len());
    for tag in ["<font", "</font>"] {
        assert_eq!(content.matches("<font").count(), content.matches(tag).count());
    }
}

/// That parts are numbered where there are several.
fn assert_numbered(parts: &[Part]) {
    assert!((1..=4).contains(&parts.len()), "{} parts", parts.len());
    if parts.len() > 1 {
        for (index, part) in parts.iter().enumerate() {
            let number = format!("({}/{})", index + 1, parts.len());
            assert!(part.payload.body.contains(&number), "{number}");
        }
    }
}

const MARKS: [&str; 4] = [" more characters", "个字符", "more", "…"];

fn long_text(longest: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,30}",
        "[一-龥]{1,60}",
        Just("\n".to_owned()),
        Just(" ".to_owned()),
        Just("<&>".to_owned()),
        Just("👨‍👩‍👧".to_owned()),
        Just("```".to_owned()),
        Just("\"\\".to_owned()),
    ];
    (piece, 0..longest).prop_map(|(piece, times)| piece.repeat(times))
}

prop_compose! {
    fn long_entry()(
        tag in long_text(300), service in long_text(300), namespace in long_text(200),
        cluster in long_text(100), message in long_text(2_000), code in 0_i64..3,
    ) -> Arc<Entry> {
        let mut entry = sample_entry(Sample::Failure);
        entry.row.tag = Some(tag.into());
        entry.row.service = Some(service.into());
        entry.row.namespace = Some(namespace.into());
        entry.row.cluster_id = Some(cluster.into());
        entry.row.return_msg = Some(message.into());
        entry.row.return_code = Some(code);
        Arc::new(entry)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_entries_fit(entries in proptest::collection::vec(long_entry(), 1..50), more in 0_u64..5) {
        thread_local!(static SHIPPED: Templates = shipped());
        SHIPPED.with(|templates| {
            let labels = labels();
            let mut context = sample_context(&entries, &labels, Reason::Matched, now());
            context.count += more;
            for name in ["default", "default-zh"] {
                let parts = render_context(templates, name, ReceiverType::Slack, &context);
                parts.iter().for_each(assert_slack_fits);
                assert_numbered(&parts);
                let parts = render_context(templates, name, ReceiverType::Wecom, &context);
                parts.iter().for_each(assert_wecom_fits);
                assert_numbered(&parts);
                let parts = render_context(templates, name, ReceiverType::Webhook, &context);
                assert!(one(&parts).len() <= limit::webhook::BODY);
            }
        });
    }

    #[test]
    fn a_text_is_told_whole_or_says_what_is_missing(message in long_text(3_000)) {
        thread_local!(static PLAIN: Templates = load(&[
            ("x.hbs", "says: {{entry.returnMsg}}"),
            ("x-zh.hbs", "说：{{entry.returnMsg}}"),
            ("x.slack.json.hbs", r#"{"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "{{entry.returnMsg}}."}}]}"#),
        ]));
        PLAIN.with(|templates| {
            let mut entry = sample_entry(Sample::Failure);
            entry.row.return_msg = Some(message.as_str().into());
            let entries = [Arc::new(entry)];
            let letters = |text: &str| text.chars().filter(|c| ('一'..='龥').contains(c) && !"说还有个字符".contains(*c)).count();
            let want = letters(&message);
            for (name, kind) in [
                ("x", ReceiverType::Slack), ("x-zh", ReceiverType::Slack),
                ("x", ReceiverType::Wecom), ("x-zh", ReceiverType::Wecom),
            ] {
                let parts = render(templates, name, kind, &entries, Reason::Matched);
                assert_numbered(&parts);
                let mut told = 0;
                let mut marked = false;
                for part in &parts {
                    let text = match kind {
                        ReceiverType::Slack => {
                            assert_slack_fits(part);
                            let payload = json(part);
                            let blocks = payload["blocks"].as_array().unwrap().iter();
                            blocks.filter_map(|block| block["text"]["text"].as_str().map(str::to_owned)).collect::<String>()
                        }
                        _ => {
                            assert_wecom_fits(part);
                            wecom_content(part)
                        }
                    };
                    told += letters(&text);
                    marked |= part.payload.body.contains(MARKS[0]) || part.payload.body.contains(MARKS[1]);
                }
                assert!(told == want || marked, "{told} of {want} told, and no mark");
            }
        });
    }
}

pub(super) fn entry_saying(message: &str) -> [Arc<Entry>; 1] {
    let mut entry = sample_entry(Sample::Failure);
    entry.row.return_msg = Some(message.into());
    [Arc::new(entry)]
}

#[test]
fn wecom_counts_bytes_and_slack_characters() {
    let templates = load(&[("x.hbs", "{{entry.returnMsg}}")]);
    for (kind, fits, splits) in [
        (ReceiverType::Wecom, "字".repeat(1_365), "字".repeat(1_366)),
        (ReceiverType::Slack, "字".repeat(3_000), "字".repeat(13_200)),
    ] {
        let parts =
            |text: &str| render(&templates, "x", kind, &entry_saying(text), Reason::Matched);
        assert_eq!(parts(&fits).len(), 1);
        assert!(parts(&splits).len() > 1);
    }
    // Measured after escaping: an ampersand is five characters on the wire.
    let parts = render(
        &templates,
        "x",
        ReceiverType::Slack,
        &entry_saying(&"&".repeat(3_000)),
        Reason::Matched,
    );
    parts.iter().for_each(assert_slack_fits);
    for part in &parts {
        let body = json(part).to_string();
        assert_eq!(body.matches('&').count(), body.matches("&amp;").count());
    }
}

#[test]
fn a_long_list_goes_on_in_numbered_parts() {
    let templates = shipped();
    let entries: Vec<_> = (0..50)
        .map(|index| {
            let mut entry = sample_entry(Sample::Failure);
            entry.row.tag = Some(format!("v1.2.{index}").into());
            entry.row.return_msg = Some("镜像拉取失败：连接超时".into());
            Arc::new(entry)
        })
        .collect();
    let labels = labels();
    let mut context = sample_context(&entries, &labels, Reason::Failing, now());
    context.count = 60;
    let parts = render_context(&templates, "default-zh", ReceiverType::Wecom, &context);
    assert_eq!(parts.len(), 2, "fifty lines of some 110 bytes are two parts");
    let told: Vec<_> = parts.iter().map(wecom_content).collect();
    assert!(told[0].ends_with("(1/2)") && told[1].starts_with("(2/2)\n"));
    let all = told.concat();
    for index in 0..50 {
        assert!(all.contains(&format!("v1.2.{index} ")), "{index}");
    }
    assert!(all.contains("……另有 10 条"));
    assert!(told[0].lines().chain(told[1].lines()).all(|line| !line.ends_with("镜像")));
    let parts = render_context(&templates, "default", ReceiverType::Slack, &context);
    let body = one(&parts);
    assert!(
        (0..50).all(|index| body.contains(&format!("v1.2.{index}`")))
            && body.contains("_+10 more_")
    );
}

#[test]
fn too_long_for_all_parts_is_cut_with_a_count() {
    let templates = load(&[("x.hbs", "{{entry.returnMsg}}"), ("x-zh.hbs", "{{entry.returnMsg}}")]);
    let entries = entry_saying(&"日志第一行\n".repeat(8_000));
    let parts = render(&templates, "x-zh", ReceiverType::Wecom, &entries, Reason::Matched);
    assert_eq!(parts.len(), 4);
    assert!(wecom_content(&parts[3]).contains("……（还有 "), "{}", wecom_content(&parts[3]));
    let parts = render(&templates, "x", ReceiverType::Slack, &entries, Reason::Matched);
    assert!(parts.last().unwrap().payload.body.contains(" more characters"));
}

#[test]
fn a_fence_that_is_split_is_closed_and_opened_again() {
    let templates = load(&[("x.slack.hbs", "before\n```\n{{entry.returnMsg}}\n```\nafter")]);
    let entries = entry_saying(&"line of a log\n".repeat(900));
    let parts = render(&templates, "x", ReceiverType::Slack, &entries, Reason::Matched);
    for part in &parts {
        for block in json(part)["blocks"].as_array().unwrap() {
            let text = block["text"]["text"].as_str().unwrap_or_default();
            assert_eq!(text.matches("```").count() % 2, 0, "{text}");
        }
    }
}

#[test]
fn slack_blocks_of_users_are_made_to_fit() {
    let templates = load(&[(
        "x.slack.json.hbs",
        r#"{"text": "", "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "{{plain entry.returnMsg}}"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "{{entry.region}}"}, "fields": [
              {{#each entries}}{"type": "mrkdwn", "text": "{{tag}}"}, {{/each}}
              {"type": "mrkdwn", "text": "{{rule.labels.nothing}}"}]},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "{{rule.labels.nothing}}"}]},
            {{#each entries}}{"type": "divider"}, {{/each}}
            {"type": "section", "text": {"type": "mrkdwn", "text": "end"}}]}"#,
    )]);
    let mut entries: Vec<_> = (0..60).map(|_| entry_saying(&"长".repeat(400))[0].clone()).collect();
    let parts = render(&templates, "x", ReceiverType::Slack, &entries, Reason::Matched);
    assert_eq!(parts.len(), 2, "sixty dividers are two messages");
    parts.iter().for_each(assert_slack_fits);
    assert_numbered(&parts);
    let first = json(&parts[0]);
    assert!(first["blocks"][0]["text"]["text"].as_str().unwrap().ends_with('…'));
    assert_eq!(first["text"].as_str().unwrap().chars().take(7).collect::<String>(), "(1/2) 长");
    let fields: usize = first["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["fields"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(fields, 60);
    entries.truncate(1);
    let parts = render(&templates, "x", ReceiverType::Slack, &entries, Reason::Matched);
    assert_eq!(parts.len(), 1);
}

#[test]
fn a_wecom_json_template_is_split_and_mentions_once() {
    let templates = load(&[(
        "x.wecom.json.hbs",
        r#"{"msgtype": "text", "text": {"content": "{{entry.returnMsg}}", "mentioned_list": ["@all"]}}"#,
    )]);
    let entries = entry_saying(&"一二三四五\n".repeat(200));
    let parts = render(&templates, "x", ReceiverType::Wecom, &entries, Reason::Matched);
    assert_eq!(parts.len(), 2);
    for (index, part) in parts.iter().enumerate() {
        let payload = json(part);
        assert!(payload["text"]["content"].as_str().unwrap().len() <= 2_048);
        assert_eq!(payload["text"].get("mentioned_list").is_some(), index == 0);
    }
}

#[test]
fn a_body_for_a_machine_has_its_texts_cut_and_stays_json() {
    let templates = shipped();
    let entry = &entry_saying(&"错".repeat(300_000))[0];
    let one_entry = [Arc::clone(entry)];
    let parts = render(&templates, "default", ReceiverType::Webhook, &one_entry, Reason::Matched);
    let told = json(&parts[0])["data"]["entry"]["returnMsg"].as_str().unwrap().to_owned();
    assert!(told.ends_with("… 234,464 more characters"), "{}", &told[told.len() - 40..]);
    let many: Vec<_> = (0..50).map(|_| Arc::clone(entry)).collect();
    let parts = render(&templates, "default", ReceiverType::Webhook, &many, Reason::Matched);
    assert!(one(&parts).len() <= limit::webhook::BODY);
    assert_eq!(json(&parts[0])["data"]["entries"].as_array().unwrap().len(), 50);
}

#[test]
fn usage_says_how_much_of_each_limit_is_taken() {
    let templates = load(&[("x.hbs", "二字")]);
    let entries = entry_saying("x");
    let used = |kind, what: &str| {
        let parts = render(&templates, "x", kind, &entries, Reason::Matched);
        let found = usage(kind, &WecomForm::default(), &parts[0])
            .into_iter()
            .find(|one| one.what == what)
            .unwrap();
        (found.used, found.allowed)
    };
    assert_eq!(used(ReceiverType::Slack, "section"), (2, 3_000));
    assert_eq!(used(ReceiverType::Slack, "blocks"), (1, 50));
    assert_eq!(used(ReceiverType::Wecom, "markdown.content"), (6, 4_096));
    assert_eq!(used(ReceiverType::Webhook, "body"), (6, 1_048_576));
}

#[test]
fn a_message_too_long_for_its_parts_still_ends_with_what_it_is_found_by() {
    let templates = shipped();
    let told = |tag: &str| {
        let mut entry = sample_entry(Sample::Failure);
        entry.row.tag = Some(tag.into());
        let entries = [Arc::new(entry)];
        render(&templates, "default-zh", ReceiverType::Wecom, &entries, Reason::Matched)
    };
    let short = wecom_content(&told("v1")[0]);
    let (_, footer) = short.trim_end().rsplit_once("\n\n").unwrap();
    assert!(footer.contains(" · "), "rule, severity and id: {footer}");
    let parts = told(&"长".repeat(9_000));
    assert_eq!(parts.len(), 4);
    parts.iter().for_each(assert_wecom_fits);
    let last = wecom_content(&parts[3]);
    assert!(last.contains(footer), "{last}");
}
