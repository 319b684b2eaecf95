//! WeCom's forms: what a text template's words become in each, within each one's bytes; and who is
//! mentioned, which is the template's author's and the configuration's to say, never the log's.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use triggerbell::{
    adapters::templates::{
        MessageRenderer, ReceiverType, Sample, Target, Templates, WecomForm, WecomMessage,
        sample_context, sample_entry,
    },
    domain::{entry::Entry, notification::Reason},
    ports::{RenderRequest, Renderer},
};

use super::{labels, load, now, problems, shipped};

fn form(message: WecomMessage) -> WecomForm {
    WecomForm { message, ..WecomForm::default() }
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn made(templates: &Templates, name: &str, form: &WecomForm, entry: &Arc<Entry>) -> Vec<Value> {
    let (labels, entries) = (labels(), [Arc::clone(entry)]);
    let context = sample_context(&entries, &labels, Reason::Matched, now());
    let parts = templates.preview_as(name, ReceiverType::Wecom, form, "ops", &context).unwrap();
    parts.iter().map(super::json).collect()
}

fn one(templates: &Templates, form: &WecomForm, entry: &Arc<Entry>) -> Value {
    let mut parts = made(templates, "x", form, entry);
    assert_eq!(parts.len(), 1, "the message is one part");
    parts.remove(0)
}

fn failure() -> Arc<Entry> {
    Arc::new(sample_entry(Sample::Failure))
}

/// An entry whose message is this text.
fn saying(text: &str) -> Arc<Entry> {
    super::limits::entry_saying(text)[0].clone()
}

#[test]
fn the_shipped_words_are_a_message_in_every_form() {
    let templates = shipped();
    let of = |form| made(&templates, "default-zh", &form, &failure()).remove(0);
    let text = of(form(WecomMessage::Text));
    assert_eq!(text["msgtype"], "text");
    let content = text["text"]["content"].as_str().unwrap();
    assert!(
        content.starts_with("🔴 api 更新失败\n镜像仓库：shop/api\n镜像标签：v1.2.3\n"),
        "{content}"
    );
    assert!(content.contains("查看详情 https://bell.example.internal/notifications/"));
    let second = of(form(WecomMessage::MarkdownV2));
    assert_eq!(second["msgtype"], "markdown_v2");
    let content = second["markdown_v2"]["content"].as_str().unwrap();
    assert!(content.starts_with("### 🔴 api 更新失败\n> **镜像仓库**：shop/api\n"), "{content}");
    for shown in [content, text["text"]["content"].as_str().unwrap()] {
        assert!(!shown.contains("<font") && !shown.contains("</font>"), "{shown}");
    }
    for markup in ["**", "### ", "\n> ", "]("] {
        assert!(!text["text"]["content"].as_str().unwrap().contains(markup), "{markup}");
    }
}

#[test]
fn a_card_has_a_title_rows_links_and_somewhere_to_lead() {
    let templates = shipped();
    let card = made(&templates, "default-zh", &form(WecomMessage::TemplateCard), &failure());
    let card = &card[0]["template_card"];
    assert_eq!(card["card_type"], "text_notice");
    assert_eq!(card["main_title"]["title"], "🔴 api 更新失败");
    let under = card["main_title"]["desc"].as_str().unwrap();
    assert!(under.contains("team：shop"), "{under}");
    let rows = card["horizontal_content_list"].as_array().unwrap();
    assert_eq!(rows[0], json!({ "keyname": "镜像仓库", "value": "shop/api" }));
    assert_eq!(rows.len(), 6);
    let text = card["sub_title_text"].as_str().unwrap();
    assert!(text.contains("结果：失败，返回码 404"), "what has no row is in the text: {text}");
    let links = card["jump_list"].as_array().unwrap();
    assert_eq!(links[0]["title"], "查看详情");
    assert_eq!(links[1]["url"], "https://wiki.example.internal/shop?a=1&b=2");
    let leads = card["card_action"]["url"].as_str().unwrap();
    assert!(leads.starts_with("https://bell.example.internal/notifications/"), "{leads}");

    let own = WecomForm {
        card_url: Some("https://wiki.example.internal/".to_owned()),
        ..form(WecomMessage::TemplateCard)
    };
    let card = made(&templates, "default", &own, &failure()).remove(0);
    let action = json!({ "type": 1, "url": "https://wiki.example.internal/" });
    assert_eq!(card["template_card"]["card_action"], action);
}

#[test]
fn every_form_keeps_within_its_bytes() {
    let templates = load(&[("x.hbs", "标题\n{{entry.returnMsg}}")]);
    let robot = |message| form(message);
    let app = |message| WecomForm { app: true, ..form(message) };
    let mentioning =
        |message| WecomForm { mentioned: list(&["zhangsan", "@all"]), ..form(message) };
    for (form, kind, most) in [
        (robot(WecomMessage::Markdown), "markdown", 4_096),
        (robot(WecomMessage::MarkdownV2), "markdown_v2", 4_096),
        (robot(WecomMessage::Text), "text", 2_048),
        (app(WecomMessage::Markdown), "markdown", 2_048),
        (app(WecomMessage::Text), "text", 2_048),
        (mentioning(WecomMessage::Markdown), "markdown", 4_096),
        (mentioning(WecomMessage::Text), "text", 2_048),
    ] {
        for length in [10, 670, 676, 680, 1_340, 1_355, 1_362, 1_500, 5_000] {
            let parts = made(&templates, "x", &form, &saying(&"汉".repeat(length)));
            assert!(parts.len() <= 4);
            let mut told = 0;
            for (index, part) in parts.iter().enumerate() {
                let content = part[kind]["content"].as_str().unwrap();
                assert!(content.len() <= most, "{kind} of {length}: {}", content.len());
                told += content.matches('汉').count();
                let mentions = content.contains("<@zhangsan><@all>")
                    || part["text"]["mentioned_list"] == json!(["zhangsan", "@all"]);
                assert_eq!(mentions, index == 0 && !form.mentioned.is_empty(), "{kind} {index}");
            }
            // All of it, or all that four messages hold.
            assert!(told == length || parts.len() == 4, "{told} of {length} in {kind}");
        }
    }
    let long = saying(&"长 **词** [x] ".repeat(2_000));
    let card = one(&templates, &form(WecomMessage::TemplateCard), &long);
    assert!(card["template_card"]["sub_title_text"].as_str().unwrap().len() <= 512);
}

const MENTIONS: &str = "{{mention 'zhangsan'}} {{mention rule.labels.team}} {{mention 'all'}} down";

#[test]
fn a_mention_is_what_the_form_has_for_it() {
    let templates = load(&[("x.hbs", MENTIONS)]);
    let of = |message| one(&templates, &form(message), &failure());
    let content = json!({ "content": "<@zhangsan> <@shop> <@all> down" });
    assert_eq!(of(WecomMessage::Markdown)["markdown"], content);
    let text = json!({
        "content": "@zhangsan @shop @all down", "mentioned_list": ["zhangsan", "shop", "@all"],
    });
    assert_eq!(of(WecomMessage::Text)["text"], text);
    let content = json!({ "content": "@zhangsan @shop @all down" });
    assert_eq!(of(WecomMessage::MarkdownV2)["markdown_v2"], content);
    let title = &of(WecomMessage::TemplateCard)["template_card"]["main_title"]["title"];
    assert_eq!(title, "@zhangsan @shop @all down");
}

#[test]
fn a_json_template_mentions_in_the_way_of_its_type() {
    let template =
        |kind: &str| format!(r#"{{"msgtype": "{kind}", "{kind}": {{"content": "{MENTIONS}"}}}}"#);
    for (kind, content, listed) in [
        ("markdown", "<@zhangsan> <@shop> <@all> down", json!(null)),
        ("markdown_v2", "@zhangsan @shop @all down", json!(null)),
        ("text", "@zhangsan @shop @all down", json!(["zhangsan", "shop", "@all"])),
    ] {
        let templates = load(&[("x.wecom.json.hbs", &template(kind))]);
        // What the receiver's form is does not matter to a template that says its own.
        for message in WecomMessage::ALL {
            let made = one(&templates, &form(*message), &failure());
            assert_eq!(made["msgtype"], kind);
            assert_eq!(made[kind]["content"], content);
            assert_eq!(made[kind]["mentioned_list"], listed);
        }
    }
}

#[test]
fn whom_the_configuration_mentions_is_mentioned_in_every_message() {
    let everywhere = WecomForm {
        mentioned: list(&["zhangsan", "@all"]),
        mentioned_mobile: list(&["13800001111"]),
        ..form(WecomMessage::Text)
    };
    let templates = load(&[("x.hbs", "{{mention 'zhangsan'}} down"), ("y.hbs", "{{entry.tag}}")]);
    let text = one(&templates, &everywhere, &failure());
    let wanted = json!({ "content": "@zhangsan down", "mentioned_list": ["zhangsan", "@all"],
        "mentioned_mobile_list": ["13800001111"] });
    assert_eq!(text["text"], wanted);
    let markdown = WecomForm { message: WecomMessage::Markdown, ..everywhere.clone() };
    let made = made(&templates, "y", &markdown, &failure());
    assert_eq!(made[0]["markdown"]["content"], "v1.2.3\n<@zhangsan><@all>");

    let json_text = r#"{"msgtype":"text","text":{"content":"x","mentioned_list":["lisi"]}}"#;
    let templates = load(&[("x.wecom.json.hbs", json_text)]);
    let text = one(&templates, &everywhere, &failure());
    assert_eq!(text["text"]["mentioned_list"], json!(["lisi", "zhangsan", "@all"]));
}

#[test]
fn nothing_out_of_the_log_mentions_anybody_in_any_form() {
    let hostile = "@all <@all> <@zhangsan> \u{e0001}<@all>\u{e0001}<@zhangsan>";
    let entry = saying(hostile);
    let as_text = "{{entry.returnMsg}} {{plain entry.returnMsg}} {{truncate entry.returnMsg 90}}";
    let in_json = |kind: &str| {
        format!(
            r#"{{"msgtype": "{kind}", "{kind}": {{"content": "{{{{entry.returnMsg}}}} {{{{plain entry.returnMsg}}}}"}}, "more": {{{{json (plain entry)}}}}, "entry": {{{{json entry}}}}}}"#
        )
    };
    for message in WecomMessage::ALL {
        let templates = load(&[("x.wecom.hbs", as_text)]);
        let made = one(&templates, &form(*message), &entry);
        assert!(made["text"].get("mentioned_list").is_none(), "{made}");
        assert!(!made.to_string().contains('\u{e0001}'), "{made}");
    }
    for kind in ["text", "markdown", "markdown_v2"] {
        let templates = load(&[("x.wecom.json.hbs", &in_json(kind))]);
        let made = one(&templates, &WecomForm::default(), &entry);
        assert!(made[kind].get("mentioned_list").is_none(), "{made}");
        assert!(!made.to_string().contains('\u{e0001}'), "{made}");
        let content = made[kind]["content"].as_str().unwrap();
        assert!(content.starts_with("＠all ＜＠all> ＜@zhangsan>"), "{content}");
    }
}

#[test]
fn markup_that_a_value_brings_is_no_markup() {
    let templates =
        load(&[("x.hbs", "**Tag**: {{entry.returnMsg}}\n`a` **b** 2 ** 3 [c](http://d)")]);
    let entry = saying("[safe](http://evil) <font color=\"info\">green</font> # x");
    let text = one(&templates, &form(WecomMessage::Text), &entry);
    let wanted = "Tag: [safe] (http://evil) ＜font color=\"info\">green＜/font> # x\n\
                  a b 2 ** 3 c http://d";
    assert_eq!(text["text"]["content"], wanted);
    let card = one(&templates, &form(WecomMessage::TemplateCard), &entry);
    assert_eq!(card["template_card"].get("jump_list"), None, "no link of a value's: {card}");
}

#[test]
fn a_card_that_wecom_would_refuse_is_an_error_at_load() {
    let card = |inside: &str| format!(r#"{{"msgtype":"template_card","template_card":{inside}}}"#);
    let action = r#""card_action":{"type":1,"url":"https://x"}"#;
    let title = r#""main_title":{"title":"x"}"#;
    let rows = |most: usize| format!("[{}]", vec!["{\"keyname\":\"a\"}"; most].join(","));
    for (inside, wanted) in [
        (format!("{{{title},{action}}}"), "no card_type"),
        (format!(r#"{{"card_type":"text_notice",{action}}}"#), "main_title.title"),
        (format!(r#"{{"card_type":"text_notice",{title}}}"#), "card_action"),
        (
            format!(
                r#"{{"card_type":"text_notice",{title},{action},"horizontal_content_list":{}}}"#,
                rows(7)
            ),
            "at most 6",
        ),
    ] {
        let found = problems(&[("x.wecom.json.hbs", &card(&inside))]);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains(wanted), "{}", found[0].message);
    }
    let missing = problems(&[("x.wecom.json.hbs", r#"{"msgtype":"template_card"}"#)]);
    assert!(missing[0].message.contains("`template_card` is missing"));
    let sound = format!(
        r#"{{"card_type":"text_notice",{title},{action},"horizontal_content_list":{}}}"#,
        rows(6)
    );
    let templates = load(&[("x.wecom.json.hbs", &card(&sound))]);
    assert_eq!(one(&templates, &WecomForm::default(), &failure())["msgtype"], "template_card");
}

#[test]
fn a_template_that_fails_is_told_in_the_receivers_way() {
    let templates = load(&[("x.hbs", "{{#if (eq entry.tag 'v9')}}x{{/if}}")]);
    let target = Target { kind: ReceiverType::Wecom, template: Some("x".into()) };
    let targets = BTreeMap::from([("ops".into(), target)]);
    let asked = WecomForm { mentioned: list(&["zhangsan"]), ..form(WecomMessage::TemplateCard) };
    let renderer = MessageRenderer::new(Arc::new(templates), targets).unwrap();
    let renderer = renderer.with_wecom(BTreeMap::from([("ops".into(), Arc::new(asked))]));
    let (labels, entries) = (labels(), [failure()]);
    let context = sample_context(&entries, &labels, Reason::Matched, now());
    let request = RenderRequest { template: None, receiver: "ops", context: &context };
    assert!(renderer.render(&request).is_err());
    let plain = super::json(&renderer.plain(&request, "it broke"));
    assert_eq!(plain["msgtype"], "text");
    assert_eq!(plain["text"]["mentioned_list"], json!(["zhangsan"]));
}
