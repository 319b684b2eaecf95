//! The other rule set: rules alone, which take the configuration's receivers and templates, or a whole
//! configuration with its own.
//!
//! Deliberately absent: how a git revision is read (`git`).

use std::{
    collections::{HashMap, HashSet},
    io::{self, IsTerminal},
    path::Path,
    sync::Arc,
};

use crate::{
    adapters::templates::MessageRenderer,
    app,
    cli::{
        coloured,
        exit::{Exit, Failure},
        load::{self, Files},
        output,
    },
    config::{self, Config, FILE_NAME, Loaded, Request},
    document::{self, Problems, text},
    domain::{
        comparison::{Side, Wording},
        entry::Entry,
        rehearsal::Decided,
        rule::{Rule, RuleSet},
    },
    ports::{Context, RenderRequest, Renderer},
};

use super::git;

/// What `--against` names.
pub(super) enum Against {
    /// Rules alone.
    Rules(String, Box<RuleSet>),
    /// A whole configuration.
    Whole(String, Box<Config>),
}

/// A rule set with what its messages take.
pub(super) struct Set<'c> {
    /// What it is called.
    pub(super) name: String,
    pub(super) rules: &'c RuleSet,
    /// Whose receivers and templates they are.
    pub(super) config: &'c Config,
    renderer: Arc<MessageRenderer>,
    by_name: HashMap<Arc<str>, usize>,
}

impl<'c> Set<'c> {
    /// The configuration's own.
    ///
    /// # Errors
    /// A template is missing.
    pub(super) fn of(config: &'c Config) -> Result<Self, Failure> {
        let renderer = Arc::new(app::renderer(config)?);
        let name = config.path.display().to_string();
        Ok(Self::new(name, &config.rules, config, renderer))
    }

    /// What `--against` names, beside the configuration's own.
    ///
    /// # Errors
    /// A template is missing.
    pub(super) fn other(against: &'c Against, base: &Self) -> Result<Self, Failure> {
        match against {
            Against::Whole(name, config) => {
                let renderer = Arc::new(app::renderer(config)?);
                Ok(Self::new(name.clone(), &config.rules, config, renderer))
            }
            Against::Rules(name, rules) => Ok(Set {
                name: name.clone(),
                rules,
                config: base.config,
                renderer: base.renderer.clone(),
                by_name: names(rules),
            }),
        }
    }

    fn new(
        name: String,
        rules: &'c RuleSet,
        config: &'c Config,
        renderer: Arc<MessageRenderer>,
    ) -> Self {
        Self { name, rules, config, renderer, by_name: names(rules) }
    }

    fn rule(&self, name: &str) -> Option<&'c Rule> {
        self.by_name.get(name).and_then(|&index| self.rules.rules().get(index))
    }

    fn text(&self, decided: &Decided, entries: &[Arc<Entry>]) -> String {
        let intent = &decided.intent;
        let rule = self.rule(&intent.rule);
        let context = Context::of_intent(intent, rule, entries, decided.at);
        let template = rule.and_then(|rule| rule.template.as_deref());
        let request = RenderRequest { template, receiver: &intent.receiver, context: &context };
        let (parts, _) = self.renderer.message(&request);
        parts.into_iter().map(|part| part.payload.body).collect::<Vec<_>>().join("\n")
    }
}

fn names(rules: &RuleSet) -> HashMap<Arc<str>, usize> {
    let rules = rules.rules().iter().enumerate();
    rules.map(|(index, rule)| (rule.name.clone(), index)).collect()
}

/// What messages of both sets say. Where nothing that a template sees can differ, nothing is rendered.
pub(super) struct Words<'s> {
    old: &'s Set<'s>,
    new: &'s Set<'s>,
    /// Rules whose messages look the same where what they tell is the same.
    same: HashSet<Arc<str>>,
}

impl<'s> Words<'s> {
    pub(super) fn of(old: &'s Set<'s>, new: &'s Set<'s>) -> Self {
        let alike = |rule: &&Rule| {
            new.rule(&rule.name)
                .is_some_and(|other| other.template == rule.template && other.labels == rule.labels)
        };
        let same = if Arc::ptr_eq(&old.renderer, &new.renderer) {
            old.rules.rules().iter().filter(alike).map(|rule| rule.name.clone()).collect()
        } else {
            HashSet::new()
        };
        Self { old, new, same }
    }
}

impl Wording for Words<'_> {
    fn is_same(&self, old: &Decided, new: &Decided) -> bool {
        old == new && self.same.contains(&old.intent.rule)
    }

    fn text(&self, side: Side, decided: &Decided, entries: &[Arc<Entry>]) -> String {
        match side {
            Side::Old => self.old.text(decided, entries),
            Side::New => self.new.text(decided, entries),
        }
    }
}

/// Loads what `--against` names: a path, else a git revision.
///
/// # Errors
/// There is no such thing, or it is not sound.
pub(super) fn load(named: &str, config: &Config, files: &Files) -> Result<Against, Failure> {
    let path = Path::new(named);
    if !path.exists() {
        return git::load(named, config, files);
    }
    let unreadable = |error: io::Error| {
        Failure::new(Exit::Config, format!("--against {named}: can't be read: {error}"))
    };
    let whole = path.join(FILE_NAME);
    if path.is_dir() && whole.is_file() {
        return configuration(named, &whole, files);
    }
    let mut read = Vec::new();
    for file in config::rule_files(path).map_err(unreadable)? {
        read.push(config::read_text(&file).map_err(unreadable)?);
    }
    match &read[..] {
        [only] if path.is_file() && config::is_configuration(only) => {
            configuration(named, path, files)
        }
        _ => rules(named, read, config, files),
    }
}

/// A whole configuration.
pub(super) fn configuration(name: &str, path: &Path, files: &Files) -> Result<Against, Failure> {
    let data_dir = files.data_dir.as_deref();
    let request = Request { config: Some(path), data_dir, env: &load::environment };
    let Loaded { config, .. } =
        config::load(&request).map_err(|problems| unsound(name, &problems))?;
    Ok(Against::Whole(name.to_owned(), Box::new(config)))
}

/// Rules alone: receivers, templates and sources are the configuration's.
pub(super) fn rules(
    name: &str,
    read: Vec<document::File>,
    config: &Config,
    files: &Files,
) -> Result<Against, Failure> {
    if read.is_empty() {
        let message = format!("--against {name}: holds no rule files (*.yaml, *.yml)");
        return Err(Failure::new(Exit::Config, message));
    }
    let data_dir = files.data_dir.as_deref();
    let request = Request { config: Some(&config.path), data_dir, env: &load::environment };
    let rules = config::rules(read, &request).map_err(|problems| unsound(name, &problems))?;
    let rules = RuleSet::new(rules).over(config.rules.sources().clone());
    Ok(Against::Rules(name.to_owned(), Box::new(rules)))
}

fn unsound(name: &str, problems: &Problems) -> Failure {
    output::note(text(problems, coloured(io::stderr().is_terminal())));
    let errors = load::plural(problems.errors(), "error");
    let message = format!("--against {name}: {errors}; nothing was replayed");
    Failure::new(Exit::Config, message)
}
