//! Silences as people wish them: from texts to what the rules remember, and what one would have held.
//!
//! Deliberately absent: what a silence does (`domain::decision`).

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    config,
    document::parse_duration,
    domain::{
        clause::Clause,
        decision::State,
        entry::Entry,
        memory::{At, Subject},
        notification::{HeldBy, NotificationState},
        silence::{Silence, SilenceWish, Until},
        verdict::Truth,
    },
    engine::decider::Decider,
    ports::{
        ControlError, EntryQuery, NotificationQuery, NotificationView, SilencePreview,
        SilenceStatus, SilenceText, Store,
    },
};

/// How far back a preview looks.
const PREVIEW_HOURS: i64 = 24;

/// The most entries that a preview looks at.
const PREVIEW_ENTRIES: usize = 20_000;

/// The most that is listed of what a preview found.
const PREVIEW_LISTED: usize = 20;

/// The longest text that a person gives to a silence, in characters.
const LONGEST_TEXT: usize = 500;

/// The most silences at once.
const MOST_SILENCES: usize = 1_000;

fn invalid(why: impl Into<String>) -> ControlError {
    ControlError::Invalid(why.into())
}

/// Reads when a silence ends: an instant, `next_success`, or how long it lasts.
fn until(until: Option<&str>, lasts: Option<&str>, now: Timestamp) -> Result<Until, ControlError> {
    let end = match (until, lasts) {
        (Some("next_success"), None) => return Ok(Until::NextSuccess),
        (Some(text), None) => text.parse::<Timestamp>().map_err(|_| {
            invalid("`until` is an instant as `2026-03-02T09:00:00+08:00`, or `next_success`")
        })?,
        (None, Some(text)) => {
            let lasts = parse_duration(text)
                .map_err(|error| invalid(format!("`for` is a duration as `2h`: {error}")))?;
            now.checked_add(lasts).map_err(|_| invalid("`for` is too long"))?
        }
        _ => return Err(invalid("a silence has `until` or `for`, and not both")),
    };
    if end <= now {
        return Err(invalid("that end has passed"));
    }
    Ok(Until::At(end.into()))
}

/// Compiles clauses, or says what is wrong with them.
fn clauses(text: &str) -> Result<Clause, ControlError> {
    compiled(text).map_err(invalid)
}

fn compiled(text: &str) -> Result<Clause, String> {
    let clause = config::matchers(text).map_err(|problems| {
        let said: Vec<_> = problems.iter().map(|problem| problem.message.clone()).collect();
        format!("the matchers can't be used: {}", said.join("; "))
    })?;
    if matches!(&clause, Clause::All(all) if all.is_empty()) {
        return Err("`matchers` asks for nothing, so it would silence everything".to_owned());
    }
    Ok(clause)
}

/// The clauses of a silence as they were written, where a service can use them.
///
/// # Errors
/// What is wrong with them.
pub fn checked_matchers(text: &str) -> Result<String, String> {
    compiled(text).map(|_| text.to_owned())
}

fn status((id, silence): (Subject, &Silence)) -> SilenceStatus {
    SilenceStatus {
        id,
        matchers: serde_json::from_str(&silence.matchers)
            .unwrap_or_else(|_| silence.matchers.clone().into()),
        author: silence.author.clone(),
        comment: silence.comment.clone(),
        created_at: silence.created_at.timestamp(),
        until: match silence.until {
            Until::At(at) => at.timestamp().to_string(),
            Until::NextSuccess => "next_success".to_owned(),
        },
        held: silence.held,
    }
}

/// The silences that last, oldest first.
pub(super) async fn list(decider: &Decider) -> Result<Vec<SilenceStatus>, ControlError> {
    let silences = decider.look(State::silences).await?;
    Ok(silences.iter().map(|(id, silence)| status((*id, silence))).collect())
}

/// The silence that holds a message about an entry, of those that still last.
pub(super) async fn holding(
    decider: &Decider,
    entry: &Entry,
    message: &NotificationView,
) -> Result<Option<String>, ControlError> {
    let at = message.created_at;
    let silences = decider.look(State::silences).await?;
    let holds = |silence: &Silence| {
        silence.created_at.timestamp() <= at
            && silence.clause.as_ref().is_some_and(|it| it.evaluate(entry, at) == Truth::True)
    };
    let found = silences.iter().find(|(_, silence)| holds(silence));
    Ok(found.map(|found| {
        let it = status((found.0, &found.1));
        let until = match &*it.until {
            "next_success" => "the next success",
            until => until,
        };
        let comment = if it.comment.is_empty() { &*it.author } else { &*it.comment };
        format!("{comment} (silence {} by {}, until {until})", it.id, it.author)
    }))
}

async fn find(decider: &Decider, id: Subject) -> Result<SilenceStatus, ControlError> {
    let silences = list(decider).await?;
    silences.into_iter().find(|silence| silence.id == id).ok_or(ControlError::NotFound)
}

/// Begins one.
pub(super) async fn add(
    decider: &Decider,
    text: SilenceText,
    now: Timestamp,
) -> Result<SilenceStatus, ControlError> {
    let end = until(text.until.as_deref(), text.lasts.as_deref(), now)?;
    let clause = clauses(&text.matchers)?;
    let author = text.author.trim().to_owned();
    let comment = text.comment.trim().to_owned();
    if author.is_empty() {
        return Err(invalid("a silence says who wants it: `author`"));
    }
    if [&author, &comment].iter().any(|text| text.chars().count() > LONGEST_TEXT) {
        return Err(invalid(format!("author and comment have at most {LONGEST_TEXT} characters")));
    }
    if list(decider).await?.len() >= MOST_SILENCES {
        return Err(ControlError::Conflict(format!("there are {MOST_SILENCES} silences already")));
    }
    let begun = now.as_nanosecond().to_string();
    let id = Subject::of_texts(&["silence", &begun, &text.matchers, &author]);
    let silence = Silence::new((text.matchers, clause), author, comment, At::from(now), end);
    let shown = status((id, &silence));
    decider.wish(SilenceWish::Add(id, Box::new(silence))).await?;
    Ok(shown)
}

/// Gives one another end.
pub(super) async fn extend(
    decider: &Decider,
    id: Subject,
    end: (Option<String>, Option<String>),
    now: Timestamp,
) -> Result<SilenceStatus, ControlError> {
    let end = until(end.0.as_deref(), end.1.as_deref(), now)?;
    // The id is part of what was sent, not of where it was sent to.
    find(decider, id).await.map_err(|error| match error {
        ControlError::NotFound => invalid("there is no silence with that id"),
        other => other,
    })?;
    decider.wish(SilenceWish::Extend(id, end)).await?;
    find(decider, id).await
}

/// Ends one, and says how it stood.
pub(super) async fn end(decider: &Decider, id: Subject) -> Result<SilenceStatus, ControlError> {
    let silence = find(decider, id).await?;
    decider.wish(SilenceWish::End(id)).await?;
    Ok(silence)
}

/// What clauses would have silenced in the last day, as far as it is still known.
pub(super) async fn preview(
    store: &Arc<dyn Store>,
    matchers: &str,
    now: Timestamp,
) -> Result<SilencePreview, ControlError> {
    let clause = clauses(matchers)?;
    let since = now - jiff::SignedDuration::from_hours(PREVIEW_HOURS);
    let mut preview = SilencePreview { since, ..SilencePreview::default() };
    let (mut looked, mut before) = (0, None);
    let mut matching = std::collections::HashSet::new();
    'pages: while looked < PREVIEW_ENTRIES {
        let query = EntryQuery { before, limit: 500, ..EntryQuery::default() };
        let page = store.entries(query).await?;
        for view in &page.items {
            if view.taken_at < since {
                break 'pages;
            }
            looked += 1;
            if clause.evaluate(&view.entry, now) == Truth::True {
                preview.entries += 1;
                matching.insert(view.entry.id);
            }
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    preview.complete = looked < PREVIEW_ENTRIES;
    count_messages(store, &matching, &mut preview).await?;
    Ok(preview)
}

/// Counts the messages about entries that were sent, and lists the newest of them.
async fn count_messages(
    store: &Arc<dyn Store>,
    entries: &std::collections::HashSet<crate::domain::entry::EntryId>,
    preview: &mut SilencePreview,
) -> Result<(), ControlError> {
    let (mut looked, mut before) = (0, None);
    while looked < PREVIEW_ENTRIES && !entries.is_empty() {
        let query = NotificationQuery { before, limit: 500, ..NotificationQuery::default() };
        let page = store.notifications(query).await?;
        for view in page.items {
            if view.created_at < preview.since {
                return Ok(());
            }
            looked += 1;
            let held_before = matches!(
                view.held_by,
                Some(HeldBy::Shadow | HeldBy::State | HeldBy::CatchUp | HeldBy::Inhibited)
            );
            let about = view.entries.iter().any(|entry| entries.contains(entry));
            if !about || held_before || view.state == NotificationState::Held {
                continue;
            }
            preview.notifications += 1;
            *preview.rules.entry(view.rule.clone()).or_default() += 1;
            if preview.newest.len() < PREVIEW_LISTED {
                preview.newest.push(view.id);
            }
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok(())
}
