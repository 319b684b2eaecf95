//! What is asked for: the actions that the stand-in registry knows, and their parameters.
//!
//! Both generations end in the same [`Question`]. Deliberately absent: answering it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    gate::{Call, Generation},
    refusal::Refusal,
    world::SortKey,
};

/// The most rows of one answer; more asked for are not given.
const LIMIT_MAX: usize = 100;

/// Rows where no `limit` is given.
const LIMIT_DEFAULT: usize = 20;

/// What an action asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The trigger log of a repository.
    TriggerLog,
    /// The triggers of one or all repositories.
    Triggers,
    /// The repositories.
    Repos,
    /// The enterprise edition's log of a namespace.
    WebhookLog,
    /// The enterprise edition's namespaces.
    Namespaces,
}

/// The actions: generation, name, what they ask for, and the parameters that they take.
const ACTIONS: &[(Generation, &str, Subject, &[&str])] = &[
    (
        Generation::Two,
        "ListTriggerLog",
        Subject::TriggerLog,
        &["reponame", "offset", "limit", "order", "orderby"],
    ),
    (
        Generation::Two,
        "ListTrigger",
        Subject::Triggers,
        &["triggerName", "reponame", "offset", "limit"],
    ),
    (
        Generation::Two,
        "SearchUserRepository",
        Subject::Repos,
        &["offset", "limit", "reponame", "public", "namespace"],
    ),
    (
        Generation::Three,
        "DescribeApplicationTriggerLogPersonal",
        Subject::TriggerLog,
        &["RepoName", "Offset", "Limit", "Order", "OrderBy"],
    ),
    (
        Generation::Three,
        "DescribeRepositoryOwnerPersonal",
        Subject::Repos,
        &["Offset", "Limit", "RepoName"],
    ),
    (
        Generation::Three,
        "DescribeWebhookTriggerLog",
        Subject::WebhookLog,
        &["Namespace", "RegistryId", "Id", "Limit", "Offset"],
    ),
    (
        Generation::Three,
        "DescribeNamespaces",
        Subject::Namespaces,
        &["RegistryId", "NamespaceName", "Limit", "Offset"],
    ),
];

/// A request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) subject: Subject,
    pub(super) repo: Option<String>,
    pub(super) trigger: Option<String>,
    pub(super) namespace: Option<String>,
    /// The enterprise registry.
    pub(super) registry: Option<String>,
    pub(super) offset: usize,
    /// From 0 to 100.
    pub(super) limit: usize,
    pub(super) ascending: bool,
    pub(super) by: SortKey,
}

impl Question {
    pub(super) fn read(call: &Call) -> Result<Self, Refusal> {
        let known = ACTIONS
            .iter()
            .find(|(generation, name, ..)| *generation == call.generation && *name == call.action);
        let Some((.., subject, names)) = known else {
            let message = format!("The action {} does not exist.", call.action);
            return Err(Refusal::unknown_action(message));
        };
        if let Some(name) = call.params.keys().find(|name| !names.contains(&name.as_str())) {
            let message = format!("The parameter `{name}` is not recognized.");
            return Err(Refusal::unknown_parameter(message));
        }
        let params = Params(&call.params);
        let question = Self {
            subject: *subject,
            repo: params.text("reponame")?,
            trigger: params.text("triggername")?,
            namespace: params.text("namespace")?,
            registry: params.text("registryid")?,
            offset: params.number("offset")?.unwrap_or(0),
            limit: params.number("limit")?.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
            ascending: match params.text("order")?.as_deref() {
                None | Some("desc") => false,
                Some("asc") => true,
                Some(other) => return Err(bad("order", other, "asc or desc")),
            },
            by: match params.text("orderby")?.as_deref() {
                None | Some("invoke_time") => SortKey::Time,
                Some("trigger_name") => SortKey::Trigger,
                Some("repo_name") => SortKey::Repo,
                Some(other) => {
                    return Err(bad("orderby", other, "invoke_time, trigger_name or repo_name"));
                }
            },
        };
        let lacks = match question.subject {
            Subject::TriggerLog => question.repo.is_none(),
            Subject::WebhookLog => question.namespace.is_none(),
            Subject::Triggers | Subject::Repos | Subject::Namespaces => false,
        };
        if lacks {
            let name = names.first().copied().unwrap_or_default();
            return Err(Refusal::missing_parameter(format!("The parameter `{name}` is missing.")));
        }
        Ok(question)
    }
}

/// The parameters, found whatever the case of their names.
struct Params<'a>(&'a BTreeMap<String, Value>);

impl Params<'_> {
    fn find(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.find(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(bad(name, &other.to_string(), "text")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let number = match self.find(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_u64().and_then(|number| usize::try_from(number).ok()),
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(bad(name, "this value", "a whole number from 0")),
        }
    }
}

fn bad(name: &str, value: &str, wanted: &str) -> Refusal {
    Refusal::bad_parameter(format!("{name}: {value} is not {wanted}."))
}
