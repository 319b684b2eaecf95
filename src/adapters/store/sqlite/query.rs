//! What people ask: entries, notifications, counts. Lists go from the newest, page by page.

use rusqlite::{Connection, Row as SqlRow, params};

use crate::{
    domain::{
        entry::{Entry, EntryId, Identity},
        notification::{NotificationId, NotificationState},
        outcome::{OutcomeRecord, Scope},
    },
    ports::{
        Alarm, AlarmKind, AttemptView, EntryQuery, EntryView, List, NotificationQuery,
        NotificationView, OutboxCount, Payload, RejectedView, RuleCount,
    },
};

use super::{
    code::{Code, Coded, DELIVERED, instant, instant_or_none},
    cursors::fields,
    error::{Failure, Outcome},
    names::find_name,
};

/// The most items of a page.
const PAGE_MAX: usize = 500;

pub(super) fn state(conn: &Connection) -> Outcome<Vec<(String, Vec<u8>)>> {
    let mut find = conn.prepare_cached("SELECT name, record FROM state ORDER BY name")?;
    let records = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(records.collect::<Result<_, _>>()?)
}

/// The columns that [`entry_view`] reads.
macro_rules! entry_columns {
    () => {
        "SELECT e.seq, e.id, e.identity, e.ordinal, e.revises, r.source, r.repo, e.fields,
         e.taken_at, e.matched FROM entries e JOIN repos r ON r.id = e.origin "
    };
}

fn entry_view(row: &SqlRow<'_>) -> Outcome<EntryView> {
    let matched: Option<String> = row.get(9)?;
    Ok(EntryView {
        seq: row.get(0)?,
        entry: Entry {
            id: EntryId(row.get(1)?),
            identity: Identity(row.get(2)?),
            ordinal: row.get(3)?,
            revises: row.get(4)?,
            source: row.get(5)?,
            asked_repo: row.get(6)?,
            row: fields(row, 7)?,
        },
        taken_at: instant(row.get(8)?)?,
        matched: matched.map_or(Ok(Vec::new()), |names| serde_json::from_str(&names))?,
        notifications: Vec::new(),
    })
}

pub(super) fn entries(conn: &Connection, query: &EntryQuery) -> Outcome<List<EntryView>> {
    let limit = query.limit.clamp(1, PAGE_MAX);
    let before = query.before.unwrap_or(i64::MAX);
    let (source, one_more) = (query.source.as_deref(), limit as i64 + 1);
    let mut items = Vec::new();
    let mut take = |mut rows: rusqlite::Rows<'_>| -> Outcome<()> {
        while let Some(row) = rows.next()? {
            items.push(entry_view(row)?);
        }
        Ok(())
    };
    if let Some(repo) = &query.repo {
        let Some(repo) = find_name(conn, repo)? else { return Ok(page(items, limit, |_| 0)) };
        let mut find = conn.prepare_cached(concat!(
            entry_columns!(),
            "WHERE e.repo = ?4 AND e.seq < ?1 AND (?2 IS NULL OR r.source = ?2)
             ORDER BY e.seq DESC LIMIT ?3"
        ))?;
        take(find.query(params![before, source, one_more, repo])?)?;
    } else {
        let mut find = conn.prepare_cached(concat!(
            entry_columns!(),
            "WHERE e.seq < ?1 AND (?2 IS NULL OR r.source = ?2) ORDER BY e.seq DESC LIMIT ?3"
        ))?;
        take(find.query(params![before, source, one_more])?)?;
    }
    Ok(page(items, limit, |view: &EntryView| view.seq))
}

/// A page of what was asked for with one more than its limit.
fn page<T>(mut items: Vec<T>, limit: usize, seq: impl Fn(&T) -> i64) -> List<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(seq);
    List { items, next }
}

/// The messages that tell of an entry.
pub(super) const TELLING: &str = "SELECT id FROM messages WHERE seq IN
    (SELECT seq FROM messages WHERE entry = ?1
    UNION SELECT message FROM tells WHERE entry = ?1) ORDER BY seq";

pub(super) fn entry(conn: &Connection, id: EntryId) -> Outcome<Option<EntryView>> {
    let mut find = conn.prepare_cached(concat!(entry_columns!(), "WHERE e.id = ?1"))?;
    let mut rows = find.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut view = entry_view(row)?;
    let mut tell = conn.prepare_cached(TELLING)?;
    let ids = tell.query_map([view.seq], |row| Ok(NotificationId(row.get(0)?)))?;
    view.notifications = ids.collect::<Result<_, _>>()?;
    Ok(Some(view))
}

pub(super) fn entries_by_id(conn: &Connection, ids: &[EntryId]) -> Outcome<Vec<Entry>> {
    let mut find = conn.prepare_cached(concat!(entry_columns!(), "WHERE e.id = ?1"))?;
    let mut entries = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = find.query([id.0])?;
        if let Some(row) = rows.next()? {
            entries.push(entry_view(row)?.entry);
        }
    }
    Ok(entries)
}

pub(super) fn entries_at(conn: &Connection, places: &[i64]) -> Outcome<Vec<EntryView>> {
    let mut find = conn.prepare_cached(concat!(entry_columns!(), "WHERE e.seq = ?1"))?;
    let mut entries = Vec::with_capacity(places.len());
    for place in places {
        let mut rows = find.query([place])?;
        if let Some(row) = rows.next()? {
            entries.push(entry_view(row)?);
        }
    }
    Ok(entries)
}

/// The columns that [`notification_view`] reads, and what is read beside them for a single one.
macro_rules! notification_columns {
    () => {
        "SELECT o.seq, m.id, o.state, o.created_at, o.due_at, o.attempts, o.status, o.detail,
         (SELECT name FROM names WHERE id = o.receiver),
         (SELECT name FROM names WHERE id = o.rule),
         (SELECT name FROM names WHERE id = m.source),
         m.key_json, m.reason, m.severity, m.held_by, m.entries,
         (SELECT id FROM messages f WHERE f.seq = o.folded_into),
         (SELECT outcome FROM attempts a WHERE a.message = o.seq ORDER BY number DESC LIMIT 1),
         o.started_at, o.ended_at, m.format, m.payload,
         (SELECT name FROM names WHERE id = o.fallback_of)
         FROM outbox o JOIN messages m ON m.seq = o.seq "
    };
}

fn notification_view(row: &SqlRow<'_>) -> Outcome<NotificationView> {
    let state = row.get::<_, Code<NotificationState>>(2)?.0;
    let due_at = instant_or_none(row.get(4)?)?;
    let key: String = row.get(11)?;
    let entries = row.get_ref(15)?.as_blob().map_err(rusqlite::Error::from)?;
    let folded_into: Option<[u8; 16]> = row.get(16)?;
    Ok(NotificationView {
        seq: row.get(0)?,
        id: NotificationId(row.get(1)?),
        receiver: row.get(8)?,
        rule: row.get(9)?,
        source: row.get(10)?,
        key: serde_json::from_str(&key)?,
        reason: row.get::<_, Code<_>>(12)?.0,
        severity: row.get::<_, Code<_>>(13)?.0,
        state,
        held_by: row.get::<_, Option<Code<_>>>(14)?.map(|code| code.0),
        folded_into: folded_into.map(NotificationId),
        fallback_of: row.get(22)?,
        entries: entries.as_chunks().0.iter().map(|&id| EntryId(id)).collect(),
        created_at: instant(row.get(3)?)?,
        attempts: row.get(5)?,
        next_attempt_at: due_at.filter(|_| state == NotificationState::Pending),
        last_outcome: last_outcome(row, state)?,
    })
}

/// What the last attempt came to: the row's own word, else the last attempt that was kept.
fn last_outcome(row: &SqlRow<'_>, state: NotificationState) -> Outcome<Option<OutcomeRecord>> {
    let Some(detail) = row.get::<_, Option<String>>(7)? else {
        let kept: Option<String> = row.get(17)?;
        return Ok(kept.map(|kept| serde_json::from_str(&kept)).transpose()?);
    };
    let (class, scope) = match state {
        NotificationState::Delivered => (DELIVERED, None),
        _ => ("permanent", Some(Scope::Message)),
    };
    Ok(Some(OutcomeRecord {
        class: class.to_owned(),
        scope,
        flags: Vec::new(),
        status: row.get(6)?,
        detail,
        retry_after_s: None,
    }))
}

pub(super) fn notifications(
    conn: &Connection,
    query: &NotificationQuery,
) -> Outcome<List<NotificationView>> {
    let limit = query.limit.clamp(1, PAGE_MAX);
    let mut items = Vec::new();
    // Names that nothing was ever sent to or caused by.
    let number = |name: &Option<String>| -> Outcome<Option<Option<i64>>> {
        name.as_deref().map(|name| find_name(conn, name)).transpose()
    };
    let (receiver, rule) = (number(&query.receiver)?, number(&query.rule)?);
    if receiver == Some(None) || rule == Some(None) {
        return Ok(page(items, limit, |_| 0));
    }
    let mut find = conn.prepare_cached(concat!(
        notification_columns!(),
        "WHERE o.seq < ?1 AND (?2 IS NULL OR o.state = ?2) AND (?3 IS NULL OR o.receiver = ?3)
         AND (?4 IS NULL OR o.rule = ?4) AND (?6 IS NULL OR m.held_by = ?6)
         ORDER BY o.seq DESC LIMIT ?5"
    ))?;
    let mut rows = find.query(params![
        query.before.unwrap_or(i64::MAX),
        // What is held is found by narrow rows.
        query.state.or(query.held_by.map(|_| NotificationState::Held)).map(Coded::code),
        receiver.flatten(),
        rule.flatten(),
        limit as i64 + 1,
        query.held_by.map(Coded::code),
    ])?;
    while let Some(row) = rows.next()? {
        items.push(notification_view(row)?);
    }
    Ok(page(items, limit, |view: &NotificationView| view.seq))
}

/// A notification with its payload and its attempts.
type Whole = (NotificationView, Option<Payload>, Vec<AttemptView>);

pub(super) fn notification(conn: &Connection, id: NotificationId) -> Outcome<Option<Whole>> {
    let mut find = conn.prepare_cached(concat!(notification_columns!(), "WHERE m.id = ?1"))?;
    let mut rows = find.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let view = notification_view(row)?;
    let payload = match row.get::<_, Option<Code<_>>>(20)? {
        Some(format) => Some(Payload { format: format.0, body: row.get(21)? }),
        None => None,
    };
    let mut attempts = attempts(conn, view.seq)?;
    if view.state == NotificationState::Delivered
        && row.get_ref(7)? != rusqlite::types::ValueRef::Null
    {
        attempts.extend(attempt_in_row(row, &view)?);
    }
    Ok(Some((view, payload, attempts)))
}

fn attempts(conn: &Connection, seq: i64) -> Outcome<Vec<AttemptView>> {
    let mut find = conn.prepare_cached(
        "SELECT number, started_at, took_ms, outcome, captured FROM attempts WHERE message = ?1
         ORDER BY number",
    )?;
    let mut rows = find.query([seq])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(AttemptView {
            number: row.get(0)?,
            started_at: instant(row.get(1)?)?,
            took_ms: row.get::<_, i64>(2)?.max(0) as u64,
            outcome: serde_json::from_str(&row.get::<_, String>(3)?)?,
            captured: row
                .get::<_, Option<String>>(4)?
                .map(|captured| serde_json::from_str(&captured))
                .transpose()?,
        });
    }
    Ok(attempts)
}

/// The attempt that the outbox's row holds.
fn attempt_in_row(row: &SqlRow<'_>, view: &NotificationView) -> Outcome<Option<AttemptView>> {
    let Some(outcome) = view.last_outcome.clone() else { return Ok(None) };
    let (Some(started), Some(ended)): (Option<i64>, Option<i64>) = (row.get(18)?, row.get(19)?)
    else {
        return Err(Failure::Unreadable(format!("notification {} has no times", view.id)));
    };
    Ok(Some(AttemptView {
        number: view.attempts,
        started_at: instant(started)?,
        took_ms: (ended - started).max(0) as u64,
        outcome,
        captured: None,
    }))
}

/// Both parts read a partial index alone, but for the oldest row of each receiver.
pub(super) const COUNTS: &str =
    "SELECT n.name, c.waiting, (SELECT created_at FROM outbox WHERE seq = c.oldest), c.dead
     FROM (SELECT receiver, sum(waiting) AS waiting, min(oldest) AS oldest, sum(dead) AS dead
     FROM (SELECT receiver, count(*) AS waiting, min(seq) AS oldest, 0 AS dead
     FROM outbox WHERE live = 1 GROUP BY receiver
     UNION ALL
     SELECT receiver, 0, NULL, count(*)
     FROM outbox WHERE state = 3 GROUP BY receiver)
     GROUP BY receiver) c
     JOIN names n ON n.id = c.receiver";

pub(super) fn outbox(conn: &Connection) -> Outcome<Vec<OutboxCount>> {
    let mut find = conn.prepare_cached(COUNTS)?;
    let mut rows = find.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        counts.push(OutboxCount {
            receiver: row.get(0)?,
            waiting: row.get::<_, i64>(1)? as u64,
            oldest_at: instant_or_none(row.get(2)?)?,
            dead: row.get::<_, i64>(3)? as u64,
        });
    }
    counts.sort_unstable_by(|one, other| one.receiver.cmp(&other.receiver));
    Ok(counts)
}

pub(super) fn alarms(conn: &Connection) -> Outcome<Vec<Alarm>> {
    let mut find = conn.prepare_cached("SELECT kind, about, since, message FROM alarms")?;
    let mut rows = find.query([])?;
    let mut alarms = Vec::new();
    while let Some(row) = rows.next()? {
        // One of a kind that a later version knew is not ours to end.
        let Some(kind) = AlarmKind::by_name(&row.get::<_, String>(0)?) else { continue };
        let (about, since) = (row.get::<_, String>(1)?.into(), instant(row.get(2)?)?);
        alarms.push(Alarm { kind, about, message: row.get(3)?, since });
    }
    Ok(alarms)
}

pub(super) fn rule_counts(conn: &Connection) -> Outcome<Vec<RuleCount>> {
    let mut find =
        conn.prepare_cached("SELECT rule, matched, last_at FROM rule_counts ORDER BY rule")?;
    let mut rows = find.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        counts.push(RuleCount {
            rule: row.get(0)?,
            matched: row.get::<_, i64>(1)? as u64,
            last_at: instant(row.get(2)?)?,
        });
    }
    Ok(counts)
}

pub(super) fn rejected(
    conn: &Connection,
    before: Option<i64>,
    limit: usize,
) -> Outcome<List<RejectedView>> {
    let mut find = conn.prepare_cached(
        "SELECT source, repo, raw, reason, seen_at, seq FROM rejected WHERE seq < ?1
         ORDER BY seq DESC LIMIT ?2",
    )?;
    let mut rows = find.query([before.unwrap_or(i64::MAX), limit as i64 + 1])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        let view = RejectedView {
            source: row.get(0)?,
            repo: row.get(1)?,
            raw: row.get(2)?,
            reason: row.get(3)?,
            seen_at: instant(row.get(4)?)?,
        };
        views.push((row.get(5)?, view));
    }
    let List { items, next } = page(views, limit, |(seq, _)| *seq);
    Ok(List { items: items.into_iter().map(|(_, view)| view).collect(), next })
}
