//! One compiled template and the run of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use super::{
    Read, ReceiverType, Settings, WecomForm,
    escape::{Chat, Written},
    eval::{Run, TooMuch, Trace},
    form,
    language::Language,
    lint::lint,
    names::Step,
    program::{self, Program},
    squeeze::squeeze,
    value::{Scope, link},
};
use crate::{
    domain::limit,
    ports::{Context, Part, RenderError},
};

/// How many characters of one foreign text a message holds. A message that gets longer than may
/// be is made again with fewer.
const LONGEST_TEXTS: [usize; 3] = [64 * 1024, 2_048, 256];

/// A checked template. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Compiled(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: Box<str>,
    json: bool,
    language: Language,
    /// The source of a shipped template, which is compiled when it is first needed.
    shipped: &'static str,
    program: OnceLock<Program>,
}

impl Compiled {
    /// A template of that name, from that file.
    pub(super) fn new(name: &str, path: &str, json: bool, program: Program) -> Self {
        Self::made(name, path, json, "", OnceLock::from(program))
    }

    /// A shipped template. That those are sound is a test's to keep.
    pub(super) fn shipped(name: &str, path: &str, json: bool, source: &'static str) -> Self {
        Self::made(name, path, json, source, OnceLock::new())
    }

    fn made(
        name: &str,
        path: &str,
        json: bool,
        shipped: &'static str,
        program: OnceLock<Program>,
    ) -> Self {
        let language = Language::of(name);
        Self(Arc::new(Inner { path: path.into(), json, language, shipped, program }))
    }

    /// The same without the layout of its JSON.
    pub(super) fn squeezed(self) -> Self {
        let Inner { json: true, .. } = *self.0 else { return self };
        match squeeze(self.program()) {
            None => self,
            Some(program) => Self(Arc::new(Inner {
                path: self.0.path.clone(),
                json: true,
                language: self.0.language,
                shipped: "",
                program: OnceLock::from(program),
            })),
        }
    }

    /// Makes sure that it is compiled, so that no message waits for it.
    pub(super) fn warm(&self) {
        self.program();
    }

    fn program(&self) -> &Program {
        self.0.program.get_or_init(|| {
            // An unsound one would write nothing, which is an error when it is rendered.
            let program =
                lint(&self.0.path, self.0.shipped, self.0.json, false).unwrap_or_default();
            if self.0.json { squeeze(&program).unwrap_or(program) } else { program }
        })
    }

    /// The file, for people.
    pub(super) fn path(&self) -> &str {
        &self.0.path
    }

    /// Whether its output is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.0.json
    }

    /// The language of what is added to its words.
    pub(super) fn language(&self) -> Language {
        self.0.language
    }

    /// The names of the receiver's secrets that it writes.
    pub(super) fn secrets(&self) -> BTreeSet<&str> {
        program::secrets(self.program())
    }

    /// What every message of it writes, with the offset of its tag in bytes.
    pub(super) fn always_read(&self) -> Vec<(Read, usize)> {
        let read = |step: &Step| match step {
            Step::Field(field) => Read::Field(*field),
            _ => Read::Incident,
        };
        program::always_read(self.program())
            .into_iter()
            .map(|(step, at)| (read(step), at))
            .collect()
    }

    /// The labels that it asks for; `None` where it shows all of them.
    pub(super) fn labels(&self) -> Option<BTreeSet<&str>> {
        program::labels(self.program())
    }

    /// Renders a message as the receiver gets it; one of WeCom's in the form that it asks for.
    ///
    /// # Errors
    /// It came out too long in every way, or as JSON that is none.
    pub(super) fn render(
        &self,
        kind: ReceiverType,
        form: &WecomForm,
        receiver: &str,
        context: &Context<'_>,
        settings: &Settings,
    ) -> Result<Vec<Part>, RenderError> {
        for longest in LONGEST_TEXTS {
            match self.write(kind, receiver, context, settings, longest, None) {
                Ok(written) => {
                    let link = settings.public_url.as_deref().map(|base| link(base, context));
                    let link = link.as_deref();
                    let making = form::wecom::Making { form, link, language: self.0.language };
                    return form::parts(kind, self.0.json, written, making)
                        .map_err(|problem| RenderError(format!("{}: {problem}", self.path())));
                }
                Err(TooMuch::Output) => {}
                Err(TooMuch::Passes) => {
                    let path = self.path();
                    return Err(RenderError(format!("{path}: its `each` blocks go on too long")));
                }
            }
        }
        let most = limit::webhook::BODY;
        Err(RenderError(format!("{}: the message is longer than {most} bytes", self.path())))
    }

    /// What the template writes, before it takes the receiver's form.
    pub(super) fn write(
        &self,
        kind: ReceiverType,
        receiver: &str,
        context: &Context<'_>,
        settings: &Settings,
        longest: usize,
        trace: Option<&mut Trace>,
    ) -> Result<Written, TooMuch> {
        let scope = Scope {
            context,
            receiver,
            zone: &settings.zone,
            public_url: settings.public_url.as_deref(),
            language: self.0.language,
            longest,
            stand_in: trace.is_some(),
        };
        let run = Run::new(&scope, chat(kind), self.0.json, limit::webhook::BODY);
        match trace {
            Some(trace) => run.traced(trace).finish(self.program()),
            None => run.finish(self.program()),
        }
    }
}

const fn chat(kind: ReceiverType) -> Chat {
    match kind {
        ReceiverType::Slack => Chat::Slack,
        ReceiverType::Wecom => Chat::Wecom,
        ReceiverType::Webhook => Chat::Machine,
    }
}
