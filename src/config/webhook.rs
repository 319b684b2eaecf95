//! The keys of the generic webhook.
//!
//! Headers and query may be templates; one that reads nothing of the message becomes the receiver's,
//! the others are the message's. Deliberately absent: conditions over answers (`config::answers`),
//! and what the values mean, which the adapter's settings say.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
    sync::Arc,
};

use super::{
    answers,
    receiver::{Receiver, refused},
    values::{path, require_secret, secret, secret_file},
};
use crate::{
    adapters::{
        receivers::{StatusPolicy, StatusSet, WebhookOptions, WebhookSettings},
        secret::Secret,
        templates::{
            DEFAULT, LEAST_BYTES, TemplateProblem, Templates, TooLong, ValueOf, ValueTemplate,
            WebhookForm,
        },
    },
    document::{Code, MapReader, Problem, Span, Value, nearest},
    domain::{late::Piece, limit::webhook::BODY, rule::Rule},
};

/// The source that events name where the configuration names none.
const EVENT_SOURCE: &str = "triggerbell";

/// Reads the keys of a webhook.
pub(super) fn webhook(
    map: &mut MapReader<'_>,
    folder: &Path,
) -> Option<(WebhookSettings, WebhookForm)> {
    let url = require_secret(map, "url", "url_file", folder);
    if let Some((_, value)) = map.place_of("url")
        && let Some(text) = value.scalar().map(|scalar| &scalar.text)
        && ValueTemplate::is_one(text)
        && !value.is_expanded()
    {
        let problem = value.problem(Code::BadSetting, "`url` is no template");
        value.add(problem.help("write what differs from attempt to attempt under `query`"));
    }
    let method = map.get("method").and_then(|value| value.text());
    let secrets = map.get("secrets").map(|value| secrets(value, folder)).unwrap_or_default();
    let mut values = |key, of| {
        let value = map.get(key);
        value.map(|value| Values::read(value, of, folder, &secrets)).unwrap_or_default()
    };
    let (headers, query) = (values("headers", ValueOf::Header), values("query", ValueOf::Query));
    let max_bytes = map.get("max_bytes").and_then(|value| value.number(LEAST_BYTES..=BODY));
    let words = [("cut", TooLong::Cut), ("split", TooLong::Split)];
    let too_long = map.get("too_long").and_then(|value| value.one_of(&words));
    let secret_names = secrets.keys().cloned().collect();
    let options = WebhookOptions {
        method: method.map(str::to_owned),
        headers: headers.fixed.into_iter().collect(),
        signing_secrets: signing_secrets(map, folder),
        query: query.fixed,
        late_headers: headers.late,
        late_query: query.late,
        secrets,
        cloudevents: cloudevents(map),
        statuses: map.get("statuses").and_then(statuses).unwrap_or_default(),
        answers: answers::answers(map),
    };
    match WebhookSettings::new(url?, options) {
        Ok(settings) => {
            let form = WebhookForm {
                headers: headers.of_the_message,
                query: query.of_the_message,
                max_bytes,
                too_long: too_long.unwrap_or_default(),
                around: settings.around(),
                secrets: secret_names,
            };
            Some((settings, form))
        }
        Err(errors) => {
            errors.into_iter().for_each(|error| refused(map, error));
            None
        }
    }
}

/// The source of events, where bodies take the form of CloudEvents.
fn cloudevents(map: &mut MapReader<'_>) -> Option<String> {
    let words = [("template", false), ("cloudevents", true)];
    let wanted = map.get("form").and_then(|value| value.one_of(&words)).unwrap_or(false);
    let source = map.get("event_source").and_then(|value| Some((value, value.text()?)));
    if let (false, Some((value, _))) = (wanted, source) {
        let problem = value.problem(Code::BadSetting, "`event_source` is for CloudEvents");
        value.add(problem.help("write `form: cloudevents` beside it, or leave it out"));
    }
    wanted.then(|| source.map_or(EVENT_SOURCE, |(_, source)| source).to_owned())
}

/// Secrets, new and old ones while they rotate: one or a list, in place or in files.
fn signing_secrets(map: &mut MapReader<'_>, folder: &Path) -> Vec<Secret> {
    let (key, file_key) = ("signing_secret", "signing_secret_file");
    let is_list = |key| map.place_of(key).is_some_and(|(_, value)| value.is_list());
    if !is_list(key) && !is_list(file_key) {
        return secret(map, key, file_key, folder).into_iter().collect();
    }
    let (inline, files) = (map.get(key), map.get(file_key));
    if map.exclusive(key, file_key) {
        return Vec::new();
    }
    if let Some(items) = inline.and_then(|value| value.some()) {
        return items.into_iter().filter_map(|item| item.text().map(Secret::inline)).collect();
    }
    let items = files.and_then(|value| value.some()).unwrap_or_default().into_iter();
    items.filter_map(|item| secret_file(item, &path(item, folder)?)).collect()
}

/// Secrets that templates can name: `name: value`, or `name_file: path`.
fn secrets(value: Value<'_>, folder: &Path) -> BTreeMap<String, Secret> {
    let entries = value.named("secret").unwrap_or_default();
    let mut secrets = BTreeMap::new();
    for (entry, value) in entries {
        let Some((name, secret)) = named_secret(&entry.key.text, value, folder) else { continue };
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if !name.chars().all(plain) || name.is_empty() {
            let message = "this is not a name that a template can use";
            let problem = Problem::new(Code::BadName, message).at(value.file(), entry.key.span);
            value.add(problem.help("use letters, digits and `_`"));
            continue;
        }
        secrets.insert(name, secret);
    }
    secrets
}

/// A secret under a name of the user's, in place or, under the name with `_file`, in a file.
fn named_secret(key: &str, value: Value<'_>, folder: &Path) -> Option<(String, Secret)> {
    match key.strip_suffix("_file") {
        Some(name) => Some((name.to_owned(), secret_file(value, &path(value, folder)?)?)),
        None => Some((key.to_owned(), Secret::inline(value.text()?))),
    }
}

/// The values of `headers` or `query`, by what they depend on.
#[derive(Default)]
struct Values {
    /// Nothing.
    fixed: Vec<(String, Secret)>,
    /// The attempt alone.
    late: Vec<(String, Vec<Piece>)>,
    /// The message.
    of_the_message: Vec<(String, ValueTemplate)>,
}

impl Values {
    fn read(
        value: Value<'_>,
        of: ValueOf,
        folder: &Path,
        secrets: &BTreeMap<String, Secret>,
    ) -> Self {
        let what = if of == ValueOf::Header { "header" } else { "parameter" };
        let mut values = Self::default();
        for (entry, value) in value.named(what).unwrap_or_default() {
            let key = &*entry.key.text;
            let text = value.scalar().map(|scalar| &*scalar.text);
            let template = text.filter(|text| ValueTemplate::is_one(text) && !value.is_expanded());
            match template {
                Some(text) => values.template(key, value, ValueTemplate::new(of, text), secrets),
                None => values.fixed.extend(named_secret(key, value, folder)),
            }
        }
        values
    }

    fn template(
        &mut self,
        name: &str,
        value: Value<'_>,
        read: Result<ValueTemplate, Vec<TemplateProblem>>,
        secrets: &BTreeMap<String, Secret>,
    ) {
        let template = match read {
            Ok(template) => template,
            Err(problems) => {
                return problems.into_iter().for_each(|problem| report(value, problem));
            }
        };
        for wanted in template.secrets().filter(|name| !secrets.contains_key(*name)) {
            let known = secrets.keys().map(String::as_str);
            value.add(no_secret(value, wanted, known));
        }
        if template.reads_the_message() {
            return self.of_the_message.push((name.to_owned(), template));
        }
        match template.of_the_receiver() {
            Ok(pieces) => self.late.push((name.to_owned(), pieces)),
            Err(problem) => value.add(value.problem(Code::BadTemplate, problem)),
        }
    }
}

/// Says that a receiver lacks a secret that a template names.
pub(super) fn no_secret<'k>(
    value: Value<'_>,
    wanted: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> Problem {
    let help = match nearest(wanted, known.clone()) {
        Some(near) => format!("did you mean `secrets.{near}`?"),
        None => format!("give `{wanted}` under the webhook's `secrets`"),
    };
    let message = format!("there is no secret `{wanted}`");
    value.problem(Code::BadTemplate, message).known("secrets", known).help(help)
}

/// Puts what is wrong with a template where it stands in the configuration.
fn report(value: Value<'_>, problem: TemplateProblem) {
    let within =
        value.scalar().and_then(|scalar| value.span_within(range(&scalar.text, &problem)?));
    let place: Span = within.unwrap_or_else(|| value.place().span);
    let told = Problem::new(Code::BadTemplate, problem.message).at(value.file(), place);
    value.add(told.maybe_help(problem.help));
}

/// The bytes of a text that a problem is about.
fn range(text: &str, problem: &TemplateProblem) -> Option<Range<usize>> {
    let line_start = match problem.line.saturating_sub(1) {
        0 => 0,
        before => text.match_indices('\n').nth(before - 1)?.0 + 1,
    };
    let chars = |from: usize, count: usize| {
        text[from..].char_indices().nth(count).map_or(text.len(), |(at, _)| from + at)
    };
    let start = chars(line_start, problem.column.saturating_sub(1));
    Some(start..chars(start, problem.len))
}

fn statuses(value: Value<'_>) -> Option<StatusPolicy> {
    let mut map = value.map()?;
    let defaults = StatusPolicy::default();
    let mut set = |key| map.get(key).and_then(status_set);
    let policy = StatusPolicy {
        delivered: set("delivered").unwrap_or(defaults.delivered),
        retry: set("retry").unwrap_or(defaults.retry),
        endpoint: set("endpoint").unwrap_or(defaults.endpoint),
    };
    map.finish("keys of statuses");
    Some(policy)
}

/// One status, class or range of them, or a list of such.
pub(super) fn status_set(value: Value<'_>) -> Option<StatusSet> {
    let items = value.some()?.into_iter();
    let sets = items.filter_map(|item| {
        let set = item.text()?.parse::<StatusSet>();
        set.map_err(|_| {
            let message = format!("{} is no status of HTTP", item.found());
            item.add(
                item.problem(Code::BadNumber, message).help("write `404`, `5xx` or `500-599`"),
            );
        })
        .ok()
    });
    Some(StatusSet::of(sets.collect::<Vec<_>>()))
}

/// Says which secrets the templates of webhooks name that those webhooks do not have.
pub(super) fn check_secrets(
    root: Value<'_>,
    receivers: &[Receiver],
    rules: &[Rule],
    templates: &Templates,
) {
    let written = root.entries().unwrap_or_default().into_iter();
    let written = written.filter(|(entry, _)| &*entry.key.text == "receivers");
    let written: Vec<_> =
        written.flat_map(|(_, value)| value.entries().unwrap_or_default()).collect();
    for receiver in receivers {
        let Some(form) = &receiver.form else { continue };
        let Some((_, value)) = written.iter().find(|(entry, _)| entry.key.text == receiver.name)
        else {
            continue;
        };
        let own = receiver.template.as_deref().unwrap_or(DEFAULT);
        let of_rules = rules.iter().filter(|rule| rule.send_to.contains(&receiver.name));
        let names: BTreeSet<&str> =
            of_rules.filter_map(|rule| rule.template.as_deref()).chain([own]).collect();
        for (name, secret) in names
            .into_iter()
            .flat_map(|name| templates.secrets(name).into_iter().map(move |secret| (name, secret)))
            .filter(|(_, secret)| !form.secrets.contains(*secret))
        {
            let known = form.secrets.iter().map(String::as_str);
            let mut problem = no_secret(*value, secret, known);
            problem.message = format!(
                "the template `{name}` names the secret `{secret}`, which this receiver lacks"
            );
            value.add(problem);
        }
    }
}

/// The settings as a receiver holds them, and the form.
pub(super) fn shared(
    read: (WebhookSettings, WebhookForm),
) -> (Arc<dyn crate::adapters::receivers::Settings>, Option<Arc<WebhookForm>>) {
    let (settings, form) = read;
    (Arc::new(settings), Some(Arc::new(form)))
}
