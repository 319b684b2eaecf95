//! From source text to a checked [`Program`], or to everything that is wrong with it.
//!
//! handlebars parses; this walks its syntax tree and resolves each name and helper against what a
//! message has, so `{{#if nope}}` is an error with a place and not an empty message. Blocks change
//! what names mean (`this`, `../`, `@root`, `@index`, block parameters) and are followed.
//! Deliberately absent: partials, decorators and raw blocks, which are refused.

mod resolve;

use handlebars::{
    Path as HbPath, Template,
    template::{BlockParam, HelperTemplate, Parameter, TemplateElement},
};

use super::{
    helpers::{self, BLOCKS, NAMES, Signature},
    names::{self, Type, nearest},
    place::Places,
    problem::TemplateProblem,
    program::{Base, Expr, How, Literal, Local, Op, Program},
};
use crate::domain::{notification::Reason, rule::Severity};

/// Checks a template. `json` says that its output is to be JSON, `late` that it is for webhooks
/// alone, whose attempts can fill something in.
pub(super) fn lint(
    path: &str,
    source: &str,
    json: bool,
    late: bool,
) -> Result<Program, Vec<TemplateProblem>> {
    let mut linter = Linter {
        path,
        json,
        late,
        places: Places::new(source),
        frames: Vec::new(),
        problems: Vec::new(),
    };
    if let Some(at) = too_deep(source) {
        let message = format!("blocks and brackets nest more than {MAX_DEPTH} deep");
        linter.complain(at, 1, message, Some("take the template apart".to_owned()));
        return Err(linter.problems);
    }
    match Template::compile(source) {
        Ok(template) => {
            let program = linter.block(&template);
            let blank = |op: &Op| matches!(op, Op::Text { text, .. } if text.trim().is_empty());
            // A webhook may well be called without a body.
            if !late && linter.problems.is_empty() && program.iter().all(blank) {
                let help = Some("write what the message says, or delete the file".to_owned());
                let message = "the template is empty, so there is nothing to send".to_owned();
                return Err(vec![TemplateProblem::of_file(path, message, help)]);
            }
            if linter.problems.is_empty() { Ok(program) } else { Err(linter.problems) }
        }
        Err(error) => Err(vec![linter.syntax(&error)]),
    }
}

/// The most characters that are shown of what the parser says, which may hold a part of the template.
const MAX_REASON: usize = 80;

/// How deep blocks, and brackets within tags, may nest: what reads them recurses.
const MAX_DEPTH: usize = 32;

/// Where blocks or brackets come to nest too deep.
fn too_deep(source: &str) -> Option<usize> {
    let (mut blocks, mut brackets, mut in_tag) = (0_usize, 0_usize, false);
    for (at, sign) in source.char_indices() {
        let rest = &source[at..];
        in_tag |= rest.starts_with("{{");
        match sign {
            '{' if rest.starts_with("{{#") || rest.starts_with("{{~#") => blocks += 1,
            '{' if rest.starts_with("{{/") || rest.starts_with("{{~/") => {
                blocks = blocks.saturating_sub(1);
            }
            '}' if rest.starts_with("}}") => (brackets, in_tag) = (0, false),
            '(' | '[' if in_tag => brackets += 1,
            ')' | ']' if in_tag => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        if blocks > MAX_DEPTH || brackets > MAX_DEPTH {
            return Some(at);
        }
    }
    None
}

struct Linter<'s> {
    path: &'s str,
    json: bool,
    late: bool,
    places: Places<'s>,
    frames: Vec<Frame>,
    problems: Vec<TemplateProblem>,
}

/// A block that changes what names mean.
struct Frame {
    this: Type,
    loops: bool,
    params: Vec<(String, Option<Local>)>,
}

/// What an expression that has been complained about leaves behind.
const NOTHING: (Expr, Type) = (Expr::Literal(Literal::Null), Type::Nothing);

impl Linter<'_> {
    fn syntax(&self, error: &handlebars::TemplateError) -> TemplateProblem {
        let (line, column) = error.pos().unwrap_or((1, 1));
        let reason = error.reason().to_string();
        let reason = reason.strip_prefix("invalid handlebars syntax: ").unwrap_or(&reason);
        // The names of the grammar's parts say nothing to anybody.
        let lists_grammar = reason.starts_with("expected ") && reason.contains("_tag");
        let reason = if lists_grammar { "a tag or a block is not closed" } else { reason };
        // Where a quote is not closed, the rest of the template stands in it.
        let shown: String = reason.chars().take(MAX_REASON).collect();
        let reason = if shown.len() < reason.len() { format!("{shown}…") } else { shown };
        TemplateProblem {
            path: self.path.to_owned(),
            line,
            column,
            len: 1,
            message: format!("this can't be read: {reason}"),
            help: Some("tags are closed with }} and blocks with {{/name}}".to_owned()),
        }
    }

    fn complain(&mut self, at: usize, len: usize, message: String, help: Option<String>) {
        let (line, column) = self.places.line_column(at);
        let path = self.path.to_owned();
        self.problems.push(TemplateProblem { path, line, column, len, message, help });
    }

    fn block(&mut self, template: &Template) -> Program {
        let mut program = Vec::new();
        for (index, element) in template.elements.iter().enumerate() {
            // The tree places the template's own text by what comes after it.
            let is_text = matches!(element, TemplateElement::RawString(_));
            if let Some(place) = template.mapping.get(index)
                && !is_text
            {
                self.places.go_to(place.0, place.1);
            }
            if let Some(op) = self.element(element) {
                program.push(op);
            }
        }
        program
    }

    fn element(&mut self, element: &TemplateElement) -> Option<Op> {
        match element {
            TemplateElement::RawString(text) if text.is_empty() => None,
            TemplateElement::RawString(text) => {
                let at = self.places.find_text(text);
                Some(Op::Text { text: text.as_str().into(), at })
            }
            TemplateElement::Comment(_) => None,
            TemplateElement::Expression(tag) => self.tag(tag, false),
            TemplateElement::HtmlExpression(tag) => self.tag(tag, true),
            TemplateElement::HelperBlock(tag) => self.helper_block(tag),
            TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
                self.refuse("partials are not available in templates")
            }
            TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                self.refuse("decorators are not available in templates")
            }
            _ => self.refuse("this is not available in templates"),
        }
    }

    fn refuse(&mut self, message: &str) -> Option<Op> {
        let at = self.places.here();
        let help = Some("write the text out in this template".to_owned());
        self.complain(at, 2, message.to_owned(), help);
        None
    }

    /// `{{x}}`, `{{helper x}}`, and `{{{x}}}` or `{{&x}}`, which are refused.
    fn tag(&mut self, tag: &HelperTemplate, raw: bool) -> Option<Op> {
        let at = self.places.here();
        if raw {
            let (message, help) = if self.json {
                (
                    "`{{{x}}}` would break the JSON with the first quote in it",
                    "write {{plain x}} inside a string, {{json x}} for a whole value",
                )
            } else {
                (
                    "`{{{x}}}` would let text out of the log mention people and forge links",
                    "write {{x}}, or {{plain x}} where the chat's signs are wanted",
                )
            };
            self.complain(at, 3, message.to_owned(), Some(help.to_owned()));
            return None;
        }
        let bare = tag.params.is_empty() && tag.hash.is_empty();
        let (expr, leads_to, how) = match &tag.name {
            Parameter::Path(path) if bare => {
                let place = self.places.find_name(raw_path(path));
                let (expr, leads_to) = self.path(path, place);
                (expr, leads_to, How::Escaped)
            }
            name => self.call_to_write(name_of(name), tag)?,
        };
        let whole = matches!(how, How::Json | How::PlainJson);
        if leads_to == Type::Bytes {
            let help = "write {{base64 …}} or {{hex …}} around it".to_owned();
            self.complain(at, 2, "these are bytes, which have no text".to_owned(), Some(help));
            return None;
        }
        if leads_to == Type::Secrets || (!whole && !leads_to.is_printable()) {
            self.complain(
                at,
                2,
                format!("this is {}, which has no text", leads_to.name()),
                Some("name one of its fields, or write {{json x}}".to_owned()),
            );
            return None;
        }
        Some(Op::Emit { expr, how, at })
    }

    /// A helper's call that is the whole of a tag.
    fn call_to_write(&mut self, name: &str, tag: &HelperTemplate) -> Option<(Expr, Type, How)> {
        let how = match name {
            "json" => How::Json,
            "plain" => How::Plain,
            "mention" => How::Mention,
            _ => {
                let at = self.places.find_name(name);
                let (expr, leads_to) = self.call(name, at, tag)?;
                return Some((expr, leads_to, How::Escaped));
            }
        };
        let at = self.places.find_name(name);
        self.no_named_arguments(name, tag);
        let [one] = tag.params.as_slice() else {
            self.complain(
                at,
                name.chars().count(),
                format!("`{name}` takes one argument and got {}", tag.params.len()),
                Some(format!("write {{{{{name} x}}}}")),
            );
            return None;
        };
        // `{{json (plain x)}}` is a whole value whose texts are left as they are.
        if let Parameter::Subexpression(inner) = one
            && how == How::Json
            && let TemplateElement::Expression(call) = inner.as_element()
            && name_of(&call.name) == "plain"
            && call.params.len() == 1
        {
            self.places.find_name("plain");
            let (expr, leads_to) = self.param(&call.params[0]);
            return Some((expr, leads_to, How::PlainJson));
        }
        let (expr, leads_to) = self.param(one);
        if how == How::Mention && is_foreign(&expr) {
            self.complain(
                at,
                name.len(),
                "`mention` takes no text out of the log, which anybody can write".to_owned(),
                Some(
                    "write an id in quotes, or a label: {{mention rule.labels.oncall}}".to_owned(),
                ),
            );
            return None;
        }
        Some((expr, leads_to, how))
    }

    fn call(&mut self, name: &str, at: usize, tag: &HelperTemplate) -> Option<(Expr, Type)> {
        let Some(signature) = helpers::by_name(name) else {
            self.unknown_helper(name, at);
            return None;
        };
        if signature.helper.is_late() && !self.late {
            self.webhooks_only(name, at);
            return None;
        }
        self.no_named_arguments(name, tag);
        let given = tag.params.len();
        if given < signature.least || given > signature.most {
            self.wrong_count(signature, at, given);
            return None;
        }
        let mut args = Vec::with_capacity(given);
        let mut types = Vec::with_capacity(given);
        for (index, param) in tag.params.iter().enumerate() {
            let start = self.places.here();
            let (expr, leads_to) = self.param(param);
            let end = self.places.here();
            if let Err(wanted) = helpers::takes(signature.helper, index, leads_to) {
                let place = self.places.argument(start, end);
                self.complain(
                    place.0,
                    place.1,
                    format!("`{name}` can't take {}", leads_to.name()),
                    Some(format!("it takes {wanted}")),
                );
            }
            self.check_literal(signature, index, &expr, start);
            types.push(leads_to);
            args.push(expr);
        }
        self.check_words(&args, at);
        let gives = match signature.helper {
            helpers::Helper::Default if types[0] == types[1] => types[0],
            helpers::Helper::Concat if types.contains(&Type::Late) => Type::Late,
            _ => signature.gives,
        };
        Some((Expr::Call { helper: signature.helper, args: args.into() }, gives))
    }

    fn unknown_helper(&mut self, name: &str, at: usize) {
        let is_block = BLOCKS.contains(&name);
        let help = if is_block {
            format!("it is a block: {{{{#{name} x}}}}…{{{{/{name}}}}}")
        } else {
            let late = if self.late { helpers::LATE_NAMES } else { &[] };
            let names: Vec<&str> = NAMES.iter().chain(late).copied().collect();
            match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? helpers: {}", names.join(", ")),
                None => format!("helpers: {}", names.join(", ")),
            }
        };
        let message = match name {
            "json" | "mention" => format!("`{name}` can only be the whole of a tag"),
            _ if is_block => format!("`{name}` is no helper"),
            _ => format!("unknown helper `{name}`"),
        };
        self.complain(at, name.chars().count(), message, Some(help));
    }

    /// Says that something belongs to an attempt, and this template not to webhooks alone.
    fn webhooks_only(&mut self, name: &str, at: usize) {
        let message = format!("`{name}` is worked out at each attempt, which only webhooks do");
        let help = "for webhooks name the file `NAME.webhook.hbs` or `NAME.json.hbs`".to_owned();
        self.complain(at, name.chars().count(), message, Some(help));
    }

    fn wrong_count(&mut self, signature: &Signature, at: usize, given: usize) {
        let wanted = match (signature.least, signature.most) {
            (1, 1) => "1 argument".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, usize::MAX) => format!("{least} arguments or more"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        self.complain(
            at,
            signature.name.len(),
            format!("`{}` takes {wanted} and got {given}", signature.name),
            Some(format!("write {}", signature.usage)),
        );
    }

    fn no_named_arguments(&mut self, name: &str, tag: &HelperTemplate) {
        let mut keys: Vec<_> = tag.hash.keys().cloned().collect();
        keys.sort_unstable();
        for key in keys {
            let at = self.places.peek_name(&key);
            let message = format!("`{name}` takes no argument named `{key}`");
            self.complain(at, key.chars().count(), message, None);
        }
    }

    /// Literals whose sense can be judged now: the format of `time`.
    fn check_literal(&mut self, signature: &Signature, index: usize, expr: &Expr, start: usize) {
        if signature.helper == helpers::Helper::Time
            && index == 1
            && let Expr::Literal(Literal::Text(format)) = expr
            && let Err(problem) = helpers::check_format(format)
        {
            let place = self.places.argument(start, self.places.here());
            let help = "%Y-%m-%d %H:%M:%S writes the whole of it".to_owned();
            let message = format!("this is no format of a time: {problem}");
            self.complain(place.0, place.1, message, Some(help));
        }
    }

    /// `(eq reason 'x')` and `(eq severity 'x')` where no such word exists are never true.
    fn check_words(&mut self, args: &[Expr], at: usize) {
        let [one, other] = args else { return };
        for (path, literal) in [(one, other), (other, one)] {
            let (Expr::Path { base: Base::Root, steps }, Expr::Literal(Literal::Text(word))) =
                (path, literal)
            else {
                continue;
            };
            let (what, words): (_, Vec<_>) = match &**steps {
                [names::Step::Root(names::Name::Reason)] => {
                    ("reason", Reason::ALL.iter().map(|one| one.name()).collect())
                }
                [names::Step::Root(names::Name::Severity)] => {
                    ("severity", Severity::ALL.iter().map(|one| one.name()).collect())
                }
                _ => continue,
            };
            if !word.is_empty() && !words.contains(&&**word) {
                let near = nearest(word, words.iter().copied());
                let known = words.join(", ");
                let help = match near {
                    Some(near) => format!("did you mean `{near}`? known: {known}"),
                    None => format!("known: {known}"),
                };
                let place = self.places.quoted_after(at, word);
                let message = format!("`{what}` is never `{word}`");
                self.complain(place, word.chars().count(), message, Some(help));
            }
        }
    }

    fn param(&mut self, param: &Parameter) -> (Expr, Type) {
        match param {
            Parameter::Path(path) => {
                let at = self.places.find_name(raw_path(path));
                self.path(path, at)
            }
            Parameter::Literal(json) => {
                self.places.skip_literal(json);
                self.literal(json)
            }
            Parameter::Name(name) => {
                let at = self.places.find_name(name);
                self.unknown_name(Type::Root, name, name, at);
                NOTHING
            }
            Parameter::Subexpression(inner) => {
                let TemplateElement::Expression(call) = inner.as_element() else { return NOTHING };
                match &call.name {
                    Parameter::Path(path) if call.params.is_empty() && call.hash.is_empty() => {
                        let at = self.places.find_name(raw_path(path));
                        self.path(path, at)
                    }
                    name => {
                        let name = name_of(name);
                        let at = self.places.find_name(name);
                        // What is written plainly is decided by the tag, not within it.
                        if let ("plain", [one]) = (name, call.params.as_slice()) {
                            return self.param(one);
                        }
                        self.call(name, at, call).unwrap_or(NOTHING)
                    }
                }
            }
            _ => {
                self.refuse("this is not available in templates");
                NOTHING
            }
        }
    }

    fn literal(&mut self, json: &serde_json::Value) -> (Expr, Type) {
        use serde_json::Value;
        let (literal, leads_to) = match json {
            Value::Null => (Literal::Null, Type::Nothing),
            Value::Bool(truth) => (Literal::Truth(*truth), Type::Truth),
            Value::String(text) => (Literal::Text(text.as_str().into()), Type::Text),
            Value::Number(number) if number.is_i64() => {
                (Literal::Number(number.as_i64().unwrap_or_default()), Type::Number)
            }
            _ => {
                let at = self.places.here();
                let message = "only texts, whole numbers, true, false and null can be written here";
                self.complain(at, 1, message.to_owned(), None);
                (Literal::Null, Type::Nothing)
            }
        };
        (Expr::Literal(literal), leads_to)
    }

    fn helper_block(&mut self, tag: &HelperTemplate) -> Option<Op> {
        let name = name_of(&tag.name).to_owned();
        let at = self.places.find_name(&name);
        if !BLOCKS.contains(&name.as_str()) {
            let near = nearest(&name, BLOCKS.iter().copied());
            let known = BLOCKS.join(", ");
            let help = match near {
                Some(near) => format!("did you mean `{near}`? blocks: {known}"),
                None => format!("blocks: {known}"),
            };
            let message = format!("unknown block `{name}`");
            self.complain(at, name.chars().count(), message, Some(help));
            return None;
        }
        self.no_named_arguments(&name, tag);
        let [param] = tag.params.as_slice() else {
            let message = format!("`{name}` takes 1 argument and got {}", tag.params.len());
            let help = Some(format!("write {{{{#{name} x}}}}"));
            self.complain(at, name.chars().count(), message, help);
            return None;
        };
        let start = self.places.here();
        let (expr, leads_to) = self.param(param);
        let place = self.places.argument(start, self.places.here());
        if leads_to.is_late() {
            let message = format!("`{name}` can't ask for {}", leads_to.name());
            let help = "it can only be written, or be a helper's argument".to_owned();
            self.complain(place.0, place.1, message, Some(help));
            return None;
        }
        let frame = match name.as_str() {
            "each" => self.each_frame(leads_to, place),
            "with" => self.with_frame(leads_to, place),
            _ => None,
        };
        let framed = frame.is_some();
        if let Some(this) = frame {
            let params = block_params(tag.block_param.as_ref());
            self.frames.push(Frame { this, loops: name == "each", params });
        }
        let then = tag.template.as_ref().map(|body| self.block(body)).unwrap_or_default();
        if framed {
            self.frames.pop();
        }
        let otherwise = tag.inverse.as_ref().map(|body| self.inverse(body)).unwrap_or_default();
        Some(match name.as_str() {
            "each" => Op::Each { over: expr, body: then, otherwise },
            "with" => Op::With { what: expr, body: then, otherwise },
            _ => Op::If { test: expr, negate: name == "unless", then, otherwise },
        })
    }

    /// What follows `{{else}}`, or the next link of an `{{else if}}` chain.
    fn inverse(&mut self, body: &Template) -> Program {
        if let [TemplateElement::HelperBlock(next)] = body.elements.as_slice()
            && next.is_chained()
            && body.mapping.is_empty()
        {
            self.places.find_name("else");
        }
        self.block(body)
    }

    fn each_frame(&mut self, over: Type, place: (usize, usize)) -> Option<Type> {
        match over {
            Type::Entries => Some(Type::Entry),
            Type::Labels => Some(Type::Text),
            Type::Nothing => Some(Type::Nothing),
            other => {
                let message = format!("`each` can't go over {}", other.name());
                let help = "it goes over `entries` or `rule.labels`".to_owned();
                self.complain(place.0, place.1, message, Some(help));
                Some(Type::Nothing)
            }
        }
    }

    fn with_frame(&mut self, what: Type, place: (usize, usize)) -> Option<Type> {
        if what.is_printable() && what != Type::Nothing {
            let message = format!("`with` can't stand at {}, which has no fields", what.name());
            let help =
                "it stands at `entry`, `rule`, `rule.labels`, `incident` or `digest`".to_owned();
            self.complain(place.0, place.1, message, Some(help));
            return Some(Type::Nothing);
        }
        Some(what)
    }
}

/// Whether an expression holds text out of the log.
fn is_foreign(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => false,
        Expr::Path { steps, .. } => !matches!(steps.last(), Some(names::Step::Label(_))),
        Expr::Call { args, .. } => args.iter().any(is_foreign),
    }
}

fn block_params(params: Option<&BlockParam>) -> Vec<(String, Option<Local>)> {
    let name = |param: &Parameter| name_of(param).to_owned();
    match params {
        Some(BlockParam::Single(one)) => vec![(name(one), None)],
        Some(BlockParam::Pair((one, other))) => {
            vec![(name(one), None), (name(other), Some(Local::Index))]
        }
        _ => Vec::new(),
    }
}

fn name_of(name: &Parameter) -> &str {
    match name {
        Parameter::Name(name) => name,
        Parameter::Path(path) => raw_path(path),
        _ => "",
    }
}

fn raw_path(path: &HbPath) -> &str {
    match path {
        HbPath::Relative((_, raw)) | HbPath::Local((_, _, raw)) => raw,
    }
}
