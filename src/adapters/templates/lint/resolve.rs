//! What a path means where it stands: the names of the message, of the block, or of a loop.

use handlebars::{Path as HbPath, PathSeg};

use super::{
    super::{
        helpers::{BLOCKS, NAMES},
        names::{self, Type, known, nearest},
        program::{Base, Expr, Local},
    },
    Linter, NOTHING,
};

impl Linter<'_> {
    /// Resolves a path that stands at `at`.
    pub(super) fn path(&mut self, path: &HbPath, at: usize) -> (Expr, Type) {
        match path {
            HbPath::Local((level, name, raw)) => self.local(*level, name, raw, at),
            HbPath::Relative((segments, raw)) => {
                let named: Vec<&str> = segments
                    .iter()
                    .filter_map(|segment| match segment {
                        PathSeg::Named(name) => Some(name.as_str()),
                        _ => None,
                    })
                    .collect();
                let ups = raw.strip_prefix("./").unwrap_or(raw).matches("../").count();
                self.relative(&named, ups, raw, at)
            }
        }
    }

    fn local(&mut self, level: usize, name: &str, raw: &str, at: usize) -> (Expr, Type) {
        let local = match name {
            "index" => Some((Local::Index, Type::Number)),
            "first" => Some((Local::First, Type::Truth)),
            "last" => Some((Local::Last, Type::Truth)),
            "key" => Some((Local::Key, Type::Text)),
            _ => None,
        };
        let len = raw.chars().count();
        let Some((local, leads_to)) = local else {
            let help = "known: @index, @first, @last, @key, @root.…".to_owned();
            self.complain(at, len, format!("unknown name `{raw}`"), Some(help));
            return NOTHING;
        };
        let depth = self.frames.len().checked_sub(level + 1);
        match depth.filter(|&depth| self.frames[depth].loops) {
            Some(depth) => {
                (Expr::Path { base: Base::Local(depth, local), steps: Box::default() }, leads_to)
            }
            None => {
                let help = "it belongs inside {{#each entries}}…{{/each}}".to_owned();
                let message = format!("`{raw}` stands in no `each` block");
                self.complain(at, len, message, Some(help));
                NOTHING
            }
        }
    }

    fn relative(&mut self, named: &[&str], ups: usize, raw: &str, at: usize) -> (Expr, Type) {
        let mut rest = named;
        let (base, from) = if raw.contains("@root") {
            (Base::Root, Type::Root)
        } else if ups > 0 {
            match self.frames.len().checked_sub(ups) {
                Some(0) => (Base::Root, Type::Root),
                Some(depth) => (Base::Frame(depth - 1), self.frames[depth - 1].this),
                None => {
                    let message = format!("`{raw}` goes up further than there are blocks");
                    self.complain(at, raw.chars().count(), message, None);
                    return NOTHING;
                }
            }
        } else if let Some((found, leads_to)) =
            named.first().and_then(|name| self.block_param(name))
        {
            rest = &named[1..];
            (found, leads_to)
        } else {
            match self.frames.last() {
                Some(frame) => (Base::Frame(self.frames.len() - 1), frame.this),
                None => (Base::Root, Type::Root),
            }
        };
        let (base, from) = match named {
            // Names that are used like helpers, which stand anywhere.
            ["now_s" | "now_ms"] if ups == 0 => (Base::Root, Type::Root),
            _ => (base, from),
        };
        let mut steps = Vec::with_capacity(rest.len());
        let mut leads_to = from;
        for segment in rest {
            let Some((step, next)) = names::step(leads_to, segment) else {
                self.unknown_name(leads_to, segment, raw, at);
                return NOTHING;
            };
            if next.is_late() && !self.late {
                self.webhooks_only(segment, at);
                return NOTHING;
            }
            steps.push(step);
            leads_to = next;
        }
        (Expr::Path { base, steps: steps.into() }, leads_to)
    }

    fn block_param(&self, name: &str) -> Option<(Base, Type)> {
        self.frames.iter().enumerate().rev().find_map(|(depth, frame)| {
            let (_, local) = frame.params.iter().find(|(param, _)| param == name)?;
            Some(match local {
                None => (Base::Frame(depth), frame.this),
                Some(local) => (Base::Local(depth, *local), Type::Number),
            })
        })
    }

    pub(super) fn unknown_name(&mut self, on: Type, segment: &str, raw: &str, at: usize) {
        let len = raw.chars().count();
        let known = known(on);
        let message = format!("unknown name `{raw}`");
        if NAMES.contains(&segment) || BLOCKS.contains(&segment) {
            let help = format!("`{segment}` is a helper and needs an argument");
            return self.complain(at, len, message, Some(help));
        }
        if known.is_empty() {
            let help = format!("{} has no fields", on.name());
            return self.complain(at, len, message, Some(help));
        }
        let prefix = &raw[..raw.rfind(segment).unwrap_or(0)];
        // A field named where no entry is meant, or a name of the message inside a block.
        let elsewhere = match on {
            Type::Root if names::step(Type::Entry, segment).is_some() => {
                Some(format!("entry.{segment}"))
            }
            Type::Entry if names::step(Type::Root, segment).is_some() => {
                Some(format!("@root.{segment}"))
            }
            _ => nearest(segment, known.iter().copied()).map(|near| format!("{prefix}{near}")),
        };
        let known = known.join(", ");
        let help = match elsewhere {
            Some(near) => format!("did you mean `{near}`? known here: {known}"),
            None => format!("known here: {known}"),
        };
        self.complain(at, len, message, Some(help));
    }
}
