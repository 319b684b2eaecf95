//! What a webhook's configuration says of its messages' form: how large a body may be and what
//! becomes of a larger one, headers and query that read the message.
//!
//! A body is measured in bytes with stand-ins for what attempts fill in. One that is too large is
//! made again: with shorter foreign texts, then, of a JSON template, with fewer entries listed, of
//! which `more` counts the rest, or cut; or, where that is asked for, as several messages. Deliberately absent: what the receiver
//! adds by itself at each attempt (`adapters::receivers`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    Sample, Settings, WecomForm,
    escape::Written,
    eval::TooMuch,
    form,
    language::Language,
    sample_context, sample_entry,
    split::{Markup, Ruler},
    template::Compiled,
    value::Scope,
    value_template::{LONGEST, ValueTemplate},
};
use crate::{
    domain::{
        late::{LateMessage, Piece, stand_in},
        limit::{Unit, webhook::BODY},
        notification::Reason,
    },
    ports::{Context, Part, PayloadFormat, RenderError},
};

/// The fewest bytes that a limit can be: what a cut text needs to be one.
pub const LEAST_BYTES: usize = 256;

/// The most messages that one becomes.
const MOST_PARTS: usize = 4;

/// How many characters of one foreign text a message holds, tried in turn until it fits.
const LONGEST_TEXTS: [usize; 4] = [64 * 1024, 2_048, 256, 64];

/// What becomes of a body that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TooLong {
    /// It is made shorter, visibly.
    #[default]
    Cut,
    /// It becomes several messages, at most four; what does not fit into those is cut.
    Split,
}

/// What a webhook's configuration says of its messages' form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookForm {
    /// Headers that read the message.
    pub headers: Vec<(String, ValueTemplate)>,
    /// Parameters of the query that read the message.
    pub query: Vec<(String, ValueTemplate)>,
    /// The most bytes of a body; `None` leaves it to what anything may be.
    pub max_bytes: Option<usize>,
    /// What becomes of a larger one.
    pub too_long: TooLong,
    /// Bytes that the receiver puts around each body.
    pub around: usize,
    /// The names of the receiver's secrets.
    pub secrets: BTreeSet<String>,
}

/// What a message is made of.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) template: &'a Compiled,
    pub(super) receiver: &'a str,
    pub(super) settings: &'a Settings,
}

impl ValueTemplate {
    /// Its pieces, where it reads nothing of any message.
    ///
    /// # Errors
    /// It would be too long.
    pub fn of_the_receiver(&self) -> Result<Vec<Piece>, String> {
        let (labels, zone) = (BTreeMap::new(), jiff::tz::TimeZone::UTC);
        let context = sample_context(&[], &labels, Reason::Test, Timestamp::UNIX_EPOCH);
        self.render(&Scope {
            context: &context,
            receiver: "",
            zone: &zone,
            public_url: None,
            language: Language::English,
            longest: LONGEST,
            stand_in: false,
        })
    }
}

impl WebhookForm {
    /// Whether messages are made as they would be without it.
    pub fn is_plain(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty() && self.max_bytes.is_none()
    }

    /// The most bytes of what a template writes.
    pub(super) fn most(&self) -> usize {
        self.max_bytes.unwrap_or(BODY).saturating_sub(self.around).max(LEAST_BYTES)
    }

    /// Renders a message within the limit, with its headers and query.
    ///
    /// # Errors
    /// It came out too long in every way, or as JSON that is none.
    pub(super) fn render(
        &self,
        making: Making<'_>,
        context: &Context<'_>,
    ) -> Result<Vec<Part>, RenderError> {
        let bodies = match self.too_long {
            TooLong::Split => self.split(making, context)?,
            TooLong::Cut => vec![self.cut(making, context)?],
        };
        let fail = |problem| RenderError(format!("{}: {problem}", making.template.path()));
        let language = making.template.language();
        let wecom = WecomForm::default();
        let shape = form::wecom::Making { form: &wecom, link: None, language };
        let mut parts = Vec::with_capacity(bodies.len());
        for body in bodies {
            let json = making.template.is_json();
            let made = form::parts(super::ReceiverType::Webhook, json, body, shape);
            for part in made.map_err(fail)? {
                parts.push(self.dress(
                    part,
                    making.receiver,
                    context,
                    making.settings,
                    language,
                )?);
            }
        }
        Ok(parts)
    }

    /// A message with headers and query beside it.
    ///
    /// # Errors
    /// One of them would be too long.
    pub(super) fn dress(
        &self,
        part: Part,
        receiver: &str,
        context: &Context<'_>,
        settings: &Settings,
        language: Language,
    ) -> Result<Part, RenderError> {
        if self.headers.is_empty() && self.query.is_empty() {
            return Ok(part);
        }
        let scope = Scope {
            context,
            receiver,
            zone: &settings.zone,
            public_url: settings.public_url.as_deref(),
            language,
            longest: LONGEST,
            stand_in: false,
        };
        let all = |values: &[(String, ValueTemplate)]| {
            let one = |(name, value): &(String, ValueTemplate)| match value.render(&scope) {
                Ok(pieces) => Ok((name.clone(), pieces)),
                Err(problem) => Err(RenderError(format!("`{name}` of `{receiver}`: {problem}"))),
            };
            values.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let message =
            LateMessage { headers: all(&self.headers)?, query: all(&self.query)?, ..whole(part) };
        Ok(form::webhook::late_part(&message))
    }

    /// How many bytes a body needs for a sample, shortened as far as may be, where that is more than it
    /// may have.
    pub(super) fn lacks(&self, making: Making<'_>) -> Option<usize> {
        // A text is cut anywhere.
        let most = self.max_bytes.filter(|_| making.template.is_json())?;
        let (entry, labels) = ([Arc::new(sample_entry(Sample::Failure))], BTreeMap::new());
        let shortest = LONGEST_TEXTS[LONGEST_TEXTS.len() - 1];
        let needs = Reason::ALL.iter().filter_map(|&reason| {
            let context = sample_context(&entry, &labels, reason, entry[0].row.time);
            // One that fails otherwise is told of elsewhere.
            let written = self.written(making, &context, shortest).ok()??;
            Some(length(&written) + self.around)
        });
        needs.max().filter(|&needs| needs > most)
    }

    /// The first form of a message that fits: with shorter texts, then with fewer entries.
    fn cut(&self, making: Making<'_>, context: &Context<'_>) -> Result<Written, RenderError> {
        let mut context = context.clone();
        let mut longest = 0;
        loop {
            let tries =
                if context.entries.len() > 1 { &LONGEST_TEXTS[..3] } else { &LONGEST_TEXTS };
            while let Some(&texts) = tries.get(longest) {
                if let Some(written) = self.fitting(making, &context, texts)? {
                    return Ok(written);
                }
                longest += 1;
            }
            // A text is cut with a mark; a template may not say what it lists no more.
            if context.entries.len() < 2 || !making.template.is_json() {
                break;
            }
            // The newest are kept; `count` stays, so `more` says how many are left out.
            let kept = context.entries.len() / 2;
            context.entries = &context.entries[context.entries.len() - kept..];
            longest = 2;
        }
        self.cut_text(making, &context)
    }

    /// A text of no particular form, cut where it is too long.
    fn cut_text(&self, making: Making<'_>, context: &Context<'_>) -> Result<Written, RenderError> {
        let last = LONGEST_TEXTS[LONGEST_TEXTS.len() - 1];
        match self.written(making, context, last)? {
            Some(Written::Whole(text)) if !making.template.is_json() => {
                Ok(Written::Whole(ruler(making).cut(&text, self.most())))
            }
            _ => {
                let (path, most) = (making.template.path(), self.most());
                Err(RenderError(format!("{path}: the message is longer than {most} bytes")))
            }
        }
    }

    /// A message as several, each with some of the entries or, of a text, some of its lines.
    fn split(
        &self,
        making: Making<'_>,
        context: &Context<'_>,
    ) -> Result<Vec<Written>, RenderError> {
        if let Some(written) = self.fitting(making, context, LONGEST_TEXTS[0])? {
            return Ok(vec![written]);
        }
        if !making.template.is_json()
            && let Some(Written::Whole(text)) = self.written(making, context, LONGEST_TEXTS[0])?
        {
            // Room for the number of each piece.
            let pieces = ruler(making).split(text.trim(), self.most() - 8, MOST_PARTS);
            return Ok(form::number_all(pieces).into_iter().map(Written::Whole).collect());
        }
        let most = MOST_PARTS.min(context.entries.len());
        for parts in 2..=most {
            let fitting: Result<Option<Vec<_>>, _> = shares(context, parts)
                .iter()
                .map(|share| self.fitting(making, share, LONGEST_TEXTS[0]))
                .collect();
            if let Some(written) = fitting? {
                return Ok(written);
            }
        }
        shares(context, most.max(1)).iter().map(|share| self.cut(making, share)).collect()
    }

    /// What the template writes, where that fits.
    fn fitting(
        &self,
        making: Making<'_>,
        context: &Context<'_>,
        longest: usize,
    ) -> Result<Option<Written>, RenderError> {
        let written = self.written(making, context, longest)?;
        Ok(written.filter(|written| length(written) <= self.most()))
    }

    /// What the template writes; `None` where that is longer than anything may be.
    fn written(
        &self,
        making: Making<'_>,
        context: &Context<'_>,
        longest: usize,
    ) -> Result<Option<Written>, RenderError> {
        let Making { template, receiver, settings } = making;
        let kind = super::ReceiverType::Webhook;
        match template.write(kind, receiver, context, settings, longest, None) {
            Ok(written) => Ok(Some(written)),
            Err(TooMuch::Output) => Ok(None),
            Err(TooMuch::Passes) => {
                let path = template.path();
                Err(RenderError(format!("{path}: its `each` blocks go on too long")))
            }
        }
    }
}

/// The context of each of so many messages: each lists its share of the entries, and the last
/// counts those that none lists.
fn shares<'a>(context: &Context<'a>, parts: usize) -> Vec<Context<'a>> {
    let each = context.entries.len().div_ceil(parts.max(1)).max(1);
    let mut left = context.count;
    let mut shares: Vec<_> = context
        .entries
        .chunks(each)
        .map(|entries| {
            let count = entries.len() as u64;
            left = left.saturating_sub(count);
            Context { entries, count, more: None, ..context.clone() }
        })
        .collect();
    match shares.last_mut() {
        Some(last) => {
            last.count += left;
            last.more = context.more;
        }
        None => shares.push(context.clone()),
    }
    shares
}

fn length(written: &Written) -> usize {
    match written {
        Written::Whole(text) => text.len(),
        Written::Pieces(pieces) => stand_in(pieces).len(),
    }
}

fn ruler(making: Making<'_>) -> Ruler {
    Ruler { unit: Unit::Bytes, markup: Markup::Plain, language: making.template.language() }
}

/// A message as one with pieces, whatever its form.
fn whole(part: Part) -> LateMessage {
    let payload = part.payload;
    let body = |body| vec![Piece::Text(body)];
    match payload.format {
        PayloadFormat::Json => {
            LateMessage { json: true, body: body(payload.body), ..Default::default() }
        }
        PayloadFormat::Text => LateMessage { body: body(payload.body), ..Default::default() },
        // What was made a moment ago can be read.
        PayloadFormat::Late => LateMessage::parse(&payload.body).unwrap_or_default(),
    }
}
