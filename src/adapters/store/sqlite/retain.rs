//! Retention: old rows go, a bounded number at a time, from the oldest.
//!
//! Each call looks at a bounded number of rows and the next goes on where it stopped, so that rows
//! which have to stay are not looked at again and again. When a round is over, it begins anew.
//! Only notifications that ended and entries that nothing kept tells of can go; what waits, what is
//! staged or sealed, the windows and the decision state are never looked at.

use rusqlite::{Connection, params};

use crate::ports::Retention;

use super::{Writing, code::ms, error::Outcome, line};

/// The most rejected rows that are kept.
const REJECTED_ROWS: i64 = 10_000;

/// How far the round has come: rows up to these places were looked at.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Swept {
    notifications: i64,
    entries: i64,
    /// The round's notifications are done, and its entries are on.
    halfway: bool,
}

/// Whether a step came to the end of what is old enough.
enum Step {
    /// At most so many rows, up to this place.
    More(i64),
    Done,
}

pub(super) fn retain(writing: &mut Writing, retention: &Retention) -> Outcome<bool> {
    let Writing { conn, swept, .. } = writing;
    let limit = retention.limit.max(1) as i64;
    if !swept.halfway {
        let before = ms(retention.notifications_before);
        match sweep_notifications(conn, swept.notifications, before, limit)? {
            Step::More(seq) => swept.notifications = seq,
            Step::Done => *swept = Swept { halfway: true, notifications: 0, ..*swept },
        }
        return Ok(true);
    }
    let before = ms(retention.entries_before);
    match sweep_entries(conn, swept.entries, before, limit)? {
        Step::More(seq) => {
            swept.entries = seq;
            Ok(true)
        }
        Step::Done => {
            *swept = Swept::default();
            sweep_rejected(conn, before)?;
            Ok(false)
        }
    }
}

fn sweep_notifications(conn: &Connection, after: i64, before: i64, limit: i64) -> Outcome<Step> {
    let mut find = conn.prepare_cached(
        // A member of a digest can be asked for as long as the digest.
        "SELECT seq, created_at, live = 0 AND ended_at < ?2 AND NOT EXISTS
         (SELECT 1 FROM outbox d WHERE d.seq = o.folded_into AND (d.live = 1 OR d.ended_at >= ?2)),
         receiver, key, folded_into FROM outbox o WHERE seq > ?1 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = find.query([after, before, limit])?;
    let (mut old, mut last, mut seen) = (Vec::new(), after, 0);
    while let Some(row) = rows.next()? {
        // Nothing ends before it begins, so what comes after this is younger.
        if row.get::<_, i64>(1)? >= before {
            seen = 0;
            break;
        }
        (last, seen) = (row.get(0)?, seen + 1);
        if row.get::<_, Option<bool>>(2)?.unwrap_or(false) {
            line::forget(conn, last, row.get(3)?, row.get(4)?)?;
            if let Some(digest) = row.get::<_, Option<i64>>(5)? {
                line::forget(conn, -digest, row.get(3)?, row.get(4)?)?;
            }
            old.push(last);
        }
    }
    for sql in [
        "DELETE FROM attempts WHERE message = ?1",
        "DELETE FROM tells WHERE message = ?1",
        "DELETE FROM messages WHERE seq = ?1",
        "DELETE FROM outbox WHERE seq = ?1",
    ] {
        let mut delete = conn.prepare_cached(sql)?;
        for seq in &old {
            delete.execute([seq])?;
        }
    }
    Ok(if seen == limit { Step::More(last) } else { Step::Done })
}

fn sweep_entries(conn: &Connection, after: i64, before: i64, limit: i64) -> Outcome<Step> {
    let mut find = conn.prepare_cached(
        "SELECT seq, taken_at, revises,
         EXISTS (SELECT 1 FROM messages m WHERE m.entry = e.seq)
         OR EXISTS (SELECT 1 FROM tells t WHERE t.entry = e.seq)
         FROM entries e WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = find.query([after, limit])?;
    let (mut old, mut last, mut seen) = (Vec::new(), after, 0);
    while let Some(row) = rows.next()? {
        let (young, revises) = (row.get::<_, i64>(1)? >= before, row.get::<_, bool>(2)?);
        // A revision is younger than its place says; what comes after another is younger.
        if young && !revises {
            seen = 0;
            break;
        }
        (last, seen) = (row.get(0)?, seen + 1);
        if !young && !row.get::<_, bool>(3)? {
            old.push(last);
        }
    }
    let mut delete = conn.prepare_cached("DELETE FROM entries WHERE seq = ?1")?;
    for seq in old {
        delete.execute([seq])?;
    }
    Ok(if seen == limit { Step::More(last) } else { Step::Done })
}

fn sweep_rejected(conn: &Connection, before: i64) -> Outcome<()> {
    conn.prepare_cached(
        "DELETE FROM rejected WHERE seen_at < ?1
         OR seq <= (SELECT max(seq) FROM rejected) - ?2",
    )?
    .execute(params![before, REJECTED_ROWS])?;
    Ok(())
}
