//! The renderer as the engine uses it.

use std::{collections::BTreeMap, sync::Arc};

use triggerbell::{
    adapters::templates::{
        MessageRenderer, ReceiverType, Sample, Target, sample_context, sample_entry,
    },
    domain::notification::Reason,
    ports::{RenderRequest, Renderer},
};

use super::{json, labels, load, now, one, wecom_content};

fn targets() -> BTreeMap<Arc<str>, Target> {
    let target = |kind, template: Option<&str>| Target { kind, template: template.map(Arc::from) };
    BTreeMap::from([
        ("slack".into(), target(ReceiverType::Slack, None)),
        ("wecom".into(), target(ReceiverType::Wecom, Some("default-zh"))),
        ("hook".into(), target(ReceiverType::Webhook, Some("mine"))),
    ])
}

fn renderer() -> MessageRenderer {
    let templates = load(&[
        ("mine.hbs", "mine of {{receiver}}"),
        ("rules.hbs", "the rule's of {{receiver}}"),
        ("empty.hbs", "{{#if (eq entry.tag 'v9')}}x{{/if}}"),
    ]);
    MessageRenderer::new(Arc::new(templates), targets()).unwrap()
}

#[test]
fn the_rules_template_comes_before_the_receivers() {
    let renderer = renderer();
    let entries = [Arc::new(sample_entry(Sample::Failure))];
    let labels = labels();
    let context = sample_context(&entries, &labels, Reason::Matched, now());
    let request = |receiver, template| RenderRequest { template, receiver, context: &context };
    let told = |receiver, template| renderer.render(&request(receiver, template)).unwrap();
    assert_eq!(one(&told("hook", None)), "mine of hook");
    assert_eq!(one(&told("hook", Some("rules"))), "the rule's of hook");
    assert!(json(&told("slack", None)[0])["text"].as_str().unwrap().contains("failed to update"));
    assert!(wecom_content(&told("wecom", None)[0]).contains("更新失败"));
    assert!(wecom_content(&told("wecom", Some("default"))[0]).contains("failed to update"));
    assert!(renderer.render(&request("nobody", None)).unwrap_err().0.contains("`nobody`"));
    assert!(renderer.render(&request("slack", Some("nope"))).unwrap_err().0.contains("`nope`"));
}

#[test]
fn a_receiver_whose_template_is_missing_is_refused() {
    let problems = MessageRenderer::new(Arc::new(super::shipped()), targets()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "there is no template `mine`");
}

#[test]
fn a_template_that_writes_nothing_fails_and_the_plain_message_says_so() {
    let renderer = renderer();
    let mut entry = sample_entry(Sample::Hostile);
    entry.row.return_msg = Some("错".repeat(50_000).into());
    let entries = [Arc::new(entry)];
    let labels = labels();
    let mut context = sample_context(&entries, &labels, Reason::Matched, now());
    let long = "<!channel> ".repeat(5_000);
    for receiver in ["slack", "wecom", "hook", "nobody"] {
        context.count = 1;
        let request = RenderRequest { template: Some("empty"), receiver, context: &context };
        let error = renderer.render(&request).unwrap_err();
        for problem in [error.0.as_str(), &long] {
            let part = renderer.plain(&request, problem);
            let payload = json(&part);
            match receiver {
                "slack" => {
                    let text = payload["text"].as_str().unwrap();
                    assert!(text.starts_with("prod-deploy-failed: matched · "), "{text}");
                    assert!(
                        text.contains(&context.id.to_string()) && text.chars().count() <= 3_000
                    );
                    assert!(!text.contains('<'), "{text}");
                }
                "wecom" => {
                    let text = payload["text"]["content"].as_str().unwrap();
                    assert!(text.len() <= 2_048 && text.contains("prod-deploy-failed"), "{text}");
                    assert!(!text.contains("@all"), "{text}");
                }
                _ => {
                    assert_eq!(payload["type"], "trigger.matched");
                    assert!(payload["data"]["problem"].as_str().unwrap().chars().count() <= 301);
                    assert!(part.payload.body.len() < 20_000);
                }
            }
        }
    }
    context.entries = &[];
    context.message = Some("source shop is blind");
    let request = RenderRequest { template: None, receiver: "slack", context: &context };
    let part = renderer.plain(&request, "x");
    assert!(part.payload.body.contains("source shop is blind"));
}
