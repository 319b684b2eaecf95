//! Standing in line: first in, first out per (receiver, key).
//!
//! Rows of one key are linked: each knows the row it stands `behind` and the `next` one, and
//! `lines` knows the last of each. Only the first of a line is due. An index of live rows by key
//! would say the same in fewer words, but a backlog's worth of it lies in no order of time: every
//! settlement would write another page of it, a third of all that delivering writes. The links
//! lie in rows that are written anyway.
//!
//! A digest stands in many lines at once, in place of its members. Where a line's `last` or a row's
//! `behind` is a digest it is written negative; a digest's own `next` is -1, and who stands behind it
//! is in `digest_waits`.

use rusqlite::{Connection, OptionalExtension};

use super::error::Outcome;

/// The last of a line, if it still lives.
pub(super) const LAST: &str = "SELECT l.last FROM lines l JOIN outbox o ON o.seq = abs(l.last)
    WHERE l.receiver = ?1 AND l.key = ?2 AND o.live = 1";

/// The one who stands behind a row is the first when it has gone.
pub(super) const ADVANCE: &str =
    "UPDATE outbox SET behind = NULL, due_at = created_at WHERE seq = ?1";

/// Whom a new row of a key will stand behind.
pub(super) fn last(conn: &Connection, receiver: i64, key: i64) -> Outcome<Option<i64>> {
    let mut find = conn.prepare_cached(LAST)?;
    Ok(find.query_row([receiver, key], |row| row.get(0)).optional()?)
}

/// Puts a row at the end of its line, behind the last where there is one.
pub(super) fn join(
    conn: &Connection,
    seq: i64,
    receiver: i64,
    key: i64,
    behind: Option<i64>,
) -> Outcome<()> {
    match behind {
        Some(digest) if digest < 0 => wait_for(conn, -digest, seq)?,
        Some(behind) => {
            conn.prepare_cached("UPDATE outbox SET next = ?2 WHERE seq = ?1")?
                .execute([behind, seq])?;
        }
        None => {}
    }
    conn.prepare_cached(
        "INSERT INTO lines (receiver, key, last) VALUES (?1, ?2, ?3)
         ON CONFLICT (receiver, key) DO UPDATE SET last = excluded.last",
    )?
    .execute([receiver, key, seq])?;
    Ok(())
}

/// Notes that a row stands behind a digest.
pub(super) fn wait_for(conn: &Connection, digest: i64, seq: i64) -> Outcome<()> {
    let sql = "INSERT INTO digest_waits (digest, seq) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    conn.prepare_cached(sql)?.execute([digest, seq])?;
    Ok(())
}

/// Makes all who stand behind a digest the first of their lines.
fn step_forward_all(conn: &Connection, digest: i64) -> Outcome<()> {
    conn.prepare_cached(
        "UPDATE outbox SET behind = NULL, due_at = created_at
         WHERE seq IN (SELECT seq FROM digest_waits WHERE digest = ?1)",
    )?
    .execute([digest])?;
    conn.prepare_cached("DELETE FROM digest_waits WHERE digest = ?1")?.execute([digest])?;
    Ok(())
}

/// Makes the one behind a row that was delivered the first. The row keeps its link, which nobody
/// follows any more: it never stands in a line again.
pub(super) fn step_forward(conn: &Connection, seq: i64, next: i64) -> Outcome<()> {
    if next < 0 {
        return step_forward_all(conn, seq);
    }
    conn.prepare_cached(ADVANCE)?.execute([next])?;
    Ok(())
}

/// Makes the one behind a row that may be retried the first, and parts the two.
pub(super) fn step_aside(conn: &Connection, seq: i64, next: i64) -> Outcome<()> {
    step_forward(conn, seq, next)?;
    if next > 0 {
        conn.prepare_cached("UPDATE outbox SET next = NULL WHERE seq = ?1")?.execute([seq])?;
    }
    Ok(())
}

/// Takes a waiting row out of its line, wherever in it it stands; or one that is dead, and so in
/// none, out of what is known of the line it was in.
pub(super) fn leave(conn: &Connection, seq: i64) -> Outcome<()> {
    let mut find =
        conn.prepare_cached("SELECT receiver, key, behind, next FROM outbox WHERE seq = ?1")?;
    let (receiver, key, behind, next): (i64, i64, Option<i64>, Option<i64>) =
        find.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let Some(behind) = behind else {
        if let Some(next) = next {
            step_aside(conn, seq, next)?;
        }
        return forget(conn, seq, receiver, key);
    };
    conn.prepare_cached("UPDATE outbox SET behind = NULL, next = NULL WHERE seq = ?1")?
        .execute([seq])?;
    if behind < 0 {
        conn.prepare_cached("DELETE FROM digest_waits WHERE digest = ?1 AND seq = ?2")?
            .execute([-behind, seq])?;
        if let Some(next) = next {
            wait_for(conn, -behind, next)?;
        }
    } else {
        let sql = "UPDATE outbox SET next = ?2 WHERE seq = ?1";
        conn.prepare_cached(sql)?.execute((behind, next))?;
    }
    match next {
        Some(next) => conn
            .prepare_cached("UPDATE outbox SET behind = ?2 WHERE seq = ?1")?
            .execute([next, behind])?,
        None => conn
            .prepare_cached("UPDATE lines SET last = ?3 WHERE receiver = ?1 AND key = ?2")?
            .execute([receiver, key, behind])?,
    };
    Ok(())
}

/// Forgets a line whose last one is gone.
pub(super) fn forget(conn: &Connection, seq: i64, receiver: i64, key: i64) -> Outcome<()> {
    conn.prepare_cached("DELETE FROM lines WHERE receiver = ?1 AND key = ?2 AND last = ?3")?
        .execute([receiver, key, seq])?;
    Ok(())
}
