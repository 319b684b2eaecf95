//! What a template writes, held to the library whose language it is in.

use std::sync::Arc;

use handlebars::Handlebars;
use proptest::prelude::*;
use serde_json::{Value, json};
use triggerbell::{
    adapters::templates::{ReceiverType, Sample, sample_context, sample_entry},
    domain::{entry::Entry, field::Field, notification::Reason},
};

use super::{labels, load, now, one, written};

/// Pieces of a template, some of which nest others.
fn template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{{entry.tag}}"),
        Just("{{ entry.service }}"),
        Just("{{reason}}"),
        Just("{{count}}"),
        Just("{{rule.labels.team}}"),
        Just("{{rule.labels.none}}"),
        Just("{{entry.returnMsg}}"),
        Just(
            "{{#if (eq entry.returnCode 0)}}ok{{else if (eq entry.returnCode null)}}?{{else}}bad{{/if}}"
        ),
        Just("{{#if (and entry.tag (not entry.service))}}both{{/if}}"),
        Just("{{#if (or entry.tag more)}}any{{/if}}"),
        Just(
            "{{#each entries}}{{@index}}{{tag}}{{../reason}}{{@root.count}}{{#unless @last}}, {{/unless}}{{else}}none{{/each}}"
        ),
        Just("{{#each rule.labels as |text|}}{{@key}}={{text}};{{/each}}"),
        Just(
            "{{#each entries as |one i|}}{{i}}{{one.repo}}{{#each ../entries}}{{../tag}}{{@../index}}{{/each}}{{/each}}"
        ),
        Just("{{#with entry}}{{repo}}{{else}}no{{/with}}"),
        Just("{{entries.[0].tag}}"),
        Just("\\{{raw}}"),
        Just("{{! a note }}"),
        Just("{{!-- a }} note --}}"),
        Just("{{~entry.tag~}}"),
        Just("x"),
        Just(" "),
        Just("\n"),
        Just("  \n"),
        Just("中文"),
    ];
    let piece = piece.prop_map(str::to_owned);
    let several =
        |of| proptest::collection::vec(of, 1..6).prop_map(|pieces: Vec<String>| pieces.concat());
    several(piece.boxed()).prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!(
                "{{{{#if entry.service}}}}{a}{{{{else}}}}{b}{{{{/if}}}}"
            )),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!(
                "\n{{{{#if entry.tag}}}}\n{a}\n{{{{else if more}}}}\n{b}\n{{{{/if}}}}\n"
            )),
            inner.clone().prop_map(|a| format!("{{{{#unless more~}}}} {a} {{{{~/unless}}}}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a}{b}")),
        ]
    })
}

fn fields(entry: &Entry) -> Value {
    let field = |field: &Field| {
        let text = entry.text(*field)?;
        let value = match field {
            Field::ReturnCode | Field::ClusterRegion => text.parse::<i64>().unwrap().into(),
            _ => Value::String(text.into_owned()),
        };
        Some((field.name().to_owned(), value))
    };
    Field::ALL.iter().filter_map(field).collect::<serde_json::Map<_, _>>().into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn it_writes_what_handlebars_writes(
        source in template(),
        samples in proptest::collection::vec(proptest::sample::select(&[Sample::Failure, Sample::Success, Sample::Unknown, Sample::Bare][..]), 0..4),
        more in 0_u64..2,
    ) {
        let source = format!("[{source}]");
        let entries: Vec<_> = samples.iter().map(|sample| Arc::new(sample_entry(*sample))).collect();
        let labels = labels();
        let mut context = sample_context(&entries, &labels, Reason::Matched, now());
        context.count += more;
        let parts = load(&[("x.hbs", &source)]).preview("x", ReceiverType::Webhook, "ops", &context).unwrap();

        let mut handlebars = Handlebars::new();
        handlebars.register_escape_fn(handlebars::no_escape);
        let listed: Vec<_> = entries.iter().map(|entry| fields(entry)).collect();
        let data = json!({
            "entry": listed.last(), "entries": listed, "count": context.count, "more": more,
            "reason": "matched", "rule": {"name": context.rule, "labels": labels},
        });
        prop_assert_eq!(one(&parts), handlebars.render_template(&source, &data).unwrap(), "{}", source);
    }
}

#[test]
fn helpers_write_what_their_documents_say() {
    let entries = [Arc::new(sample_entry(Sample::Failure))];
    for (template, expected) in [
        ("{{entry.time}}", "2026-03-02 09:00:05 +08:00"),
        ("{{time entry.time}}", "2026-03-02 09:00:05 +08:00"),
        ("{{time entry.time '%H:%M'}}", "09:00"),
        ("{{ago entry.time}}", "1s ago"),
        ("{{ago now}}", "just now"),
        ("{{duration 200}}", "3m 20s"),
        ("{{truncate entry.returnMsg 4}}", "kube…"),
        ("{{truncate entry.returnMsg 4 ''}}", "kube"),
        ("{{truncate entry.returnMsg 400}}", "kube Resurces NotFound"),
        ("{{upper entry.tag}} {{lower 'ABC'}}", "V1.2.3 abc"),
        ("{{default entry.service entry.repo}}{{default rule.labels.no 'x'}}", "apix"),
        ("{{#if (ne entry.tag 'v1')}}other{{/if}}", "other"),
        (
            "{{json entry.tag}} {{json entry.returnCode}} {{json rule.labels.no}}",
            "\"v1.2.3\" 404 null",
        ),
        ("{{json entry.time}}", "\"2026-03-02T01:00:05Z\""),
        (
            "{{json rule}}",
            r#"{"name":"prod-deploy-failed","labels":{"runbook":"https://wiki.example.internal/shop?a=1&b=2","team":"shop"}}"#,
        ),
        (
            "{{source}} {{receiver}} {{severity}} {{rule.name}}",
            "shop ops critical prod-deploy-failed",
        ),
        ("[{{incident.since}}{{incident.count}}{{entry.invokeExpr}}]", r"[v\d+\.\d+\.\d+]"),
        ("{{mention rule.labels.team}}", "@shop"),
    ] {
        assert_eq!(written(template, &entries), expected, "{template}");
    }
    let id = written("{{id}}", &entries);
    assert_eq!(
        written("{{url}}", &entries),
        format!("https://bell.example.internal/notifications/{id}")
    );
}

#[test]
fn the_json_of_each_entry_is_its_own() {
    let entries = [Sample::Failure, Sample::Bare].map(|kind| Arc::new(sample_entry(kind)));
    let each = "[{{#each entries}}{{json this}}{{#unless @last}},{{/unless}}{{/each}}]";
    let written =
        |template: &str| -> Value { serde_json::from_str(&written(template, &entries)).unwrap() };
    let listed = written(each);
    assert_eq!(listed, written("{{json entries}}"));
    assert!(listed[0] != listed[1] && listed[1] == written("{{json entry}}"), "{listed:#}");
}

#[test]
fn an_absent_field_renders_empty() {
    let entries = [Arc::new(sample_entry(Sample::Bare))];
    for &field in Field::ALL {
        let text = written(&format!("[{{{{entry.{field}}}}}]"), &entries);
        assert_eq!(text == "[]", entries[0].text(field).is_none(), "{field}: {text}");
    }
}
