//! What is wrong with a template is said at load: where, what, and what to write instead.

use super::problems;

/// `line:column:length message; help` of each problem of a template.
fn wrong(name: &str, template: &str) -> Vec<String> {
    problems(&[(name, template)])
        .into_iter()
        .map(|problem| {
            let help = problem.help.map(|help| format!("; {help}")).unwrap_or_default();
            format!("{}:{}:{} {}{help}", problem.line, problem.column, problem.len, problem.message)
        })
        .collect()
}

fn is_wrong(template: &str, expected: &str) {
    let told = wrong("x.hbs", template);
    assert_eq!(told.len(), 1, "{template}: {told:#?}");
    assert!(told[0].starts_with(expected), "{template}\n    got {}\n wanted {expected}", told[0]);
}

fn is_sound(template: &str) {
    super::load(&[("x.hbs", template)]);
}

#[test]
fn unknown_names_have_a_place_and_a_suggestion() {
    is_wrong(
        "{{entry.tga}}",
        "1:3:9 unknown name `entry.tga`; did you mean `entry.tag`? known here: repo, tag,",
    );
    is_wrong(
        "hi\n  {{ enrty.tag }}",
        "2:6:9 unknown name `enrty.tag`; did you mean `entry`? known here: entry, entries,",
    );
    is_wrong("中文 {{nope}}", "1:6:4 unknown name `nope`; known here: entry,");
    is_wrong("{{tag}}", "1:3:3 unknown name `tag`; did you mean `entry.tag`?");
    is_wrong(
        "{{entry.returncode}}",
        "1:3:16 unknown name `entry.returncode`; did you mean `entry.returnCode`?",
    );
    is_wrong("{{rule.nmae}}", "1:3:9 unknown name `rule.nmae`; did you mean `rule.name`?");
    is_wrong(
        "{{incident.sinse}}",
        "1:3:14 unknown name `incident.sinse`; did you mean `incident.since`?",
    );
    is_wrong("{{entry.tag.length}}", "1:3:16 unknown name `entry.tag.length`; text has no fields");
    is_wrong("{{entries.first.tag}}", "1:3:17 unknown name `entries.first.tag`");
    is_wrong("{{upper}}", "1:3:5 unknown name `upper`; `upper` is a helper and needs an argument");
}

#[test]
fn names_in_conditions_and_arguments_are_checked() {
    is_wrong("{{#if nope}}x{{/if}}", "1:7:4 unknown name `nope`");
    is_wrong("a\n{{#unless entry.nope}}x{{/unless}}", "2:11:10 unknown name `entry.nope`");
    is_wrong("{{#if (eq entry.nope 'x')}}x{{/if}}", "1:11:10 unknown name `entry.nope`");
    is_wrong("{{#if (and entry (not nope))}}x{{/if}}", "1:23:4 unknown name `nope`");
    is_wrong("{{upper entry.nope}}", "1:9:10 unknown name `entry.nope`");
    is_wrong("{{#if entry}}{{entry.tag}}{{else if nope}}y{{/if}}", "1:37:4 unknown name `nope`");
    is_wrong(
        "{{#if entry}}nope {{else if entry.tag}}x{{else if (eq nope 1)}}y{{/if}}",
        "1:55:4 unknown name `nope`",
    );
    is_wrong("{{#if entry}}x{{else}}\n{{nope}}{{/if}}", "2:3:4 unknown name `nope`");
}

#[test]
fn blocks_change_what_names_mean() {
    is_sound(
        "{{#each entries}}{{tag}}{{this.tag}}{{./tag}}{{@index}}{{@first}}{{@last}}{{@key}}{{/each}}",
    );
    is_sound("{{#each entries}}{{../count}}{{@root.count}}{{@root/entry.tag}}{{/each}}");
    is_sound(
        "{{#each entries as |one i|}}{{one.tag}}{{i}}{{#with @root.rule}}{{one.repo}}{{name}}{{/with}}{{/each}}",
    );
    is_sound(
        "{{#each rule.labels}}{{@key}}={{this}}{{/each}}{{#with entry}}{{tag}}{{/with}}{{rule.labels.any-thing}}",
    );
    is_sound(
        "{{#with incident}}{{since}}{{duration duration}}{{count}}{{first_id}}{{else}}{{id}}{{/with}}",
    );
    is_sound(
        "{{entries.[0].tag}}{{#each entries}}{{#each ../entries}}{{../tag}}{{@../index}}{{/each}}{{/each}}",
    );
    is_wrong(
        "{{#each entries}}{{count}}{{/each}}",
        "1:20:5 unknown name `count`; did you mean `@root.count`?",
    );
    is_wrong(
        "{{#each entries}}{{entry.tag}}{{/each}}",
        "1:20:9 unknown name `entry.tag`; did you mean `@root.entry`?",
    );
    is_wrong(
        "{{#with entry}}{{/with}}{{repo}}",
        "1:27:4 unknown name `repo`; did you mean `entry.repo`?",
    );
    is_wrong("{{#each entries}}x{{else}}{{tag}}{{/each}}", "1:29:3 unknown name `tag`");
    is_wrong(
        "{{#each entries}}{{../../count}}{{/each}}",
        "1:20:11 `../../count` goes up further than there are blocks",
    );
    is_wrong("{{@index}}", "1:3:6 `@index` stands in no `each` block");
    is_wrong("{{#with entry}}{{@index}}{{/with}}", "1:18:6 `@index` stands in no `each` block");
    is_wrong("{{#each entries}}{{@idx}}{{/each}}", "1:20:4 unknown name `@idx`; known: @index,");
    is_wrong(
        "{{#each entry}}x{{/each}}",
        "1:9:5 `each` can't go over an entry; it goes over `entries` or `rule.labels`",
    );
    is_wrong("{{#with entry.tag}}x{{/with}}", "1:9:9 `with` can't stand at text");
}

#[test]
fn helpers_are_checked() {
    is_wrong(
        "{{uper entry.tag}}",
        "1:3:4 unknown helper `uper`; did you mean `upper`? helpers: json, plain, time,",
    );
    is_wrong("{{now_s 1}}", "1:3:5 unknown helper `now_s`; helpers: json");
    is_wrong(
        "{{#iff entry}}x{{/iff}}",
        "1:4:3 unknown block `iff`; did you mean `if`? blocks: if, unless, each, with",
    );
    is_wrong(
        "{{#if (eq entry.tag)}}x{{/if}}",
        "1:8:2 `eq` takes 2 arguments and got 1; write (eq x y)",
    );
    is_wrong(
        "{{truncate entry.tag}}",
        "1:3:8 `truncate` takes 2 to 3 arguments and got 1; write {{truncate x 200}}",
    );
    is_wrong(
        "{{truncate entry.tag 'x'}}",
        "1:22:3 `truncate` can't take text; it takes the most characters, a number",
    );
    is_wrong(
        "{{time entry.tag}}",
        "1:8:9 `time` can't take text; it takes an instant, such as entry.time",
    );
    is_wrong("{{time entry.time '%!'}}", "1:19:4 this is no format of a time: ");
    is_wrong("{{duration entry.tag}}", "1:12:9 `duration` can't take text");
    is_wrong("{{upper entry}}", "1:9:5 `upper` can't take an entry");
    is_wrong(
        "{{json entry.tag entry.repo}}",
        "1:3:4 `json` takes one argument and got 2; write {{json x}}",
    );
    is_wrong("{{upper (json entry)}}", "1:10:4 `json` can only be the whole of a tag");
    is_wrong("{{upper entry.tag size=3}}", "1:19:4 `upper` takes no argument named `size`");
    is_wrong(
        "{{#if entry entry}}x{{/if}}",
        "1:4:2 `if` takes 1 argument and got 2; write {{#if x}}",
    );
    is_wrong("{{mention entry.trigger}}", "1:3:7 `mention` takes no text out of the log");
    is_wrong(
        "{{entry}}",
        "1:1:2 this is an entry, which has no text; name one of its fields, or write {{json x}}",
    );
    is_sound(
        "{{mention 'U012AB3CD'}}{{mention rule.labels.oncall}}{{plain (default entry.tag 'none')}}{{json (plain entry)}}",
    );
    is_sound("{{#if (or (eq reason 'failing') (ne severity \"info\"))}}{{ago entry.time}}{{/if}}");
}

#[test]
fn words_that_never_come_are_errors() {
    is_wrong(
        "{{#if (eq reason 'faling')}}x{{/if}}",
        "1:19:6 `reason` is never `faling`; did you mean `failing`? known: matched,",
    );
    is_wrong(
        "{{#if (ne 'warn' severity)}}x{{/if}}",
        "1:12:4 `severity` is never `warn`; known: info, warning,",
    );
}

#[test]
fn what_the_language_has_and_we_have_not_is_refused() {
    is_wrong("x {{> other}}", "1:3:2 partials are not available in templates");
    is_wrong("{{* inline 'x'}}", "1:1:2 decorators are not available in templates");
    is_wrong("{{#if entry}}x", "1:");
    is_wrong("{{entry.tag", "1:");
    is_wrong(
        "{{#if entry}}x{{/each}}",
        "1:15:1 this can't be read: helper \"if\" was opened, but \"each\" is closing",
    );
}

#[test]
fn a_template_with_nothing_in_it_is_refused() {
    let nothing = "0:0:0 the template is empty, so there is nothing to send";
    for source in ["", " \n\t\n", "{{! a remark }}\n"] {
        is_wrong(source, nothing);
        assert!(wrong("x.slack.hbs", source)[0].starts_with(nothing), "{source:?}");
        assert!(!wrong("x.json.hbs", source).is_empty(), "{source:?}");
    }
    super::load(&[("x.webhook.hbs", "")]);
    is_sound("{{#if entry}}{{entry.tag}}{{/if}}");
}

#[test]
fn raw_values_are_refused_everywhere() {
    let help = "write {{x}}, or {{plain x}} where the chat's signs are wanted";
    let why = "`{{{x}}}` would let text out of the log mention people and forge links";
    for tag in ["{{{entry.tag}}}", "{{&entry.tag}}", "{{& entry.tag}}", "{{{upper entry.tag}}}"] {
        for file in ["x.hbs", "x.slack.hbs", "x.wecom.hbs", "x.webhook.hbs"] {
            let told = wrong(file, &format!("a{tag}"));
            assert_eq!(told, [format!("1:2:3 {why}; {help}")], "{file}: {tag}");
        }
        let inside = format!("{{{{#if entry}}}}{tag}{{{{/if}}}}");
        is_wrong(&inside, &format!("1:14:3 {why}"));
    }
    assert!(
        wrong("x.json.hbs", "\"{{&entry.tag}}\"")[0].starts_with("1:2:3 `{{{x}}}` would break")
    );
    assert_eq!(
        wrong("x.json.hbs", "{\"a\":\n \"{{{entry.tag}}}\"}"),
        [
            "2:3:3 `{{{x}}}` would break the JSON with the first quote in it; write {{plain x}} inside a string, {{json x}} for a whole value"
        ]
    );
}

#[test]
fn json_is_tried_on_samples() {
    let told = wrong("x.json.hbs", "{\"tag\":\n  {{entry.tag}}}");
    assert!(told[0].starts_with("2:3:1 the message is not sound JSON: expected value (with the sample `failure` and the reason `matched`)"), "{told:?}");
    let told = wrong("x.json.hbs", "{\"a\": [{{#each entries}}{{json tag}},{{/each}}]}");
    assert!(
        told[0].starts_with("1:47:1 the message is not sound JSON: expected value"),
        "{told:?}"
    );
    let told = wrong("x.json.hbs", "{\"a\": 1\n\n \"b\": 2}");
    assert!(
        told[0].starts_with("3:2:1 the message is not sound JSON: expected `,` or `}`"),
        "{told:?}"
    );
    // Only one reason's branch is broken, and only a quote in a text breaks the other.
    let told = wrong("x.json.hbs", "{\"a\": 1{{#if (eq reason 'storm')}} oops{{/if}}}");
    assert!(told[0].contains("the reason `storm`"), "{told:?}");
    let told = wrong("x.slack.json.hbs", "{\"blocks\": 5}");
    assert!(told[0].contains("invalid type: integer `5`, expected a sequence"), "{told:?}");
    let told = wrong("x.slack.json.hbs", "{\"txt\": \"a\"}");
    assert!(
        told[0].contains("a Slack message has a `text`, `blocks` or `attachments`"),
        "{told:?}"
    );
    let told = wrong("x.wecom.json.hbs", "{\"markdown\": {\"content\": \"a\"}}");
    assert!(told[0].contains("missing field `msgtype`"), "{told:?}");
    let told = wrong("x.wecom.json.hbs", "{\"msgtype\": \"text\"}");
    assert!(told[0].contains("`text` has no content"), "{told:?}");
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let found = problems(&[
        (
            "b.hbs",
            "{{nope}}\n{{#if (eq entry.tga 1)}}{{uper entry.tag}}{{/if}}{{#each entries}}{{x}}{{/each}}",
        ),
        ("a.json.hbs", "{\"a\": }"),
        ("c.slak.hbs", ""),
    ]);
    let told: Vec<_> =
        found.iter().map(|one| format!("{}:{}:{}", one.path, one.line, one.column)).collect();
    assert_eq!(
        told,
        ["a.json.hbs:1:7", "b.hbs:1:3", "b.hbs:2:11", "b.hbs:2:27", "b.hbs:2:69", "c.slak.hbs:0:0"]
    );
}
