//! Cursors, their windows, and the rows that a walk stages until it closes.
//!
//! A walk puts its rows down in chunks under the number of the walk; they mean nothing until the
//! cursor's move seals them, which is that number becoming the repository's `sealed_walk`. So the
//! transaction that closes a walk of a hundred thousand rows is as small as that of ten, but for
//! the rows that are still in the overlap: those become known here, in SQL, without passing
//! through the engine's memory. Sealed rows leave oldest first; within one second in the reverse of
//! the walk, which went from the newest.

use std::{collections::HashSet, sync::Arc};

use rusqlite::{Connection, Row as SqlRow, params};

use crate::{
    domain::entry::{Entry, EntryId, Identity, Row, WallTime},
    ports::{Cursor, CursorMove, DecidedEntry, Known, RepoKey},
};

use super::{Writing, code::json_into, error::Outcome, names::find_repo};

/// Sealed rows in their order, as the index has them.
pub(super) const SEALED: &str = "SELECT id, identity, ordinal, revises, fields FROM staged
    WHERE repo = ?1 AND walk <= ?2 ORDER BY wall, seq DESC LIMIT ?3";

/// Staged rows that are forgotten in one transaction.
const CLEAR_ROWS: i64 = 5_000;

pub(super) fn of_source(conn: &Connection, source: &str) -> Outcome<Vec<(Arc<str>, Cursor)>> {
    let mut find = conn.prepare_cached(
        "SELECT repo, cursor FROM repos WHERE source = ?1 AND cursor IS NOT NULL ORDER BY repo",
    )?;
    let mut rows = find.query([source])?;
    let mut cursors = Vec::new();
    while let Some(row) = rows.next()? {
        let cursor =
            serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        cursors.push((row.get(0)?, cursor));
    }
    Ok(cursors)
}

pub(super) fn window(conn: &Connection, repo: &RepoKey) -> Outcome<Vec<Known>> {
    let Some(repo) = find_repo(conn, repo)? else { return Ok(Vec::new()) };
    let mut find = conn
        .prepare_cached("SELECT wall, identity, copies, next_ordinal FROM known WHERE repo = ?1")?;
    let known = find.query_map([repo], |row| {
        Ok(Known {
            wall: WallTime(row.get(0)?),
            identity: Identity(row.get(1)?),
            copies: row.get(2)?,
            next_ordinal: row.get(3)?,
        })
    })?;
    Ok(known.collect::<Result<_, _>>()?)
}

pub(super) fn stage(writing: &mut Writing, repo: &RepoKey, rows: &[Entry]) -> Outcome<()> {
    let Writing { conn, names, buffer, .. } = writing;
    let repo = names.repo(conn, &repo.source, &repo.repo)?;
    let walk = sealed_walk(conn, repo)? + 1;
    let mut insert = conn.prepare_cached(
        "INSERT INTO staged (repo, walk, wall, id, identity, ordinal, revises, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for entry in rows {
        insert.execute(params![
            repo,
            walk,
            entry.row.wall_time.0,
            entry.id.0,
            entry.identity.0,
            entry.ordinal,
            entry.revises,
            json_into(buffer, &entry.row)?,
        ])?;
    }
    Ok(())
}

fn sealed_walk(conn: &Connection, repo: i64) -> Outcome<i64> {
    let mut find = conn.prepare_cached("SELECT sealed_walk FROM repos WHERE id = ?1")?;
    Ok(find.query_row([repo], |row| row.get(0))?)
}

/// Forgets some of the rows of the unfinished walk; true when there may be more.
pub(super) fn clear_stage(writing: &mut Writing, repo: &RepoKey) -> Outcome<bool> {
    let conn = &writing.conn;
    let Some(repo) = find_repo(conn, repo)? else { return Ok(false) };
    let gone = conn
        .prepare_cached(
            "DELETE FROM staged WHERE seq IN
             (SELECT seq FROM staged WHERE repo = ?1 AND walk > ?2 LIMIT ?3)",
        )?
        .execute([repo, sealed_walk(conn, repo)?, CLEAR_ROWS])?;
    Ok(gone as i64 == CLEAR_ROWS)
}

pub(super) fn sealed(conn: &Connection, key: &RepoKey, limit: usize) -> Outcome<Vec<Entry>> {
    let Some(repo) = find_repo(conn, key)? else { return Ok(Vec::new()) };
    let mut find = conn.prepare_cached(SEALED)?;
    let mut rows = find.query(params![repo, sealed_walk(conn, repo)?, limit as i64])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(Entry {
            id: EntryId(row.get(0)?),
            identity: Identity(row.get(1)?),
            ordinal: row.get(2)?,
            revises: row.get(3)?,
            source: key.source.clone(),
            asked_repo: key.repo.clone(),
            row: fields(row, 4)?,
        });
    }
    Ok(entries)
}

/// A row's fields, from a column that holds them as JSON.
pub(super) fn fields(row: &SqlRow<'_>, column: usize) -> Outcome<Row> {
    Ok(serde_json::from_str(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)?)
}

/// Makes a cursor's move.
pub(super) fn advance(writing: &mut Writing, step: &CursorMove) -> Outcome<()> {
    let Writing { conn, names, buffer, .. } = writing;
    let repo = names.repo(conn, &step.repo.source, &step.repo.repo)?;
    let cursor = json_into(buffer, &step.cursor)?;
    conn.prepare_cached("UPDATE repos SET cursor = ?2 WHERE id = ?1")?
        .execute(params![repo, cursor])?;
    let mut put = conn.prepare_cached(
        "INSERT INTO known (repo, wall, identity, copies, next_ordinal)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (repo, wall, identity) DO UPDATE
         SET copies = excluded.copies, next_ordinal = excluded.next_ordinal",
    )?;
    for known in &step.known {
        put.execute(params![
            repo,
            known.wall.0,
            known.identity.0,
            known.copies,
            known.next_ordinal,
        ])?;
    }
    conn.prepare_cached("DELETE FROM known WHERE repo = ?1 AND wall < ?2")?
        .execute([repo, step.forget_before.0])?;
    if step.seal {
        seal(conn, repo, step.forget_before)?;
    }
    Ok(())
}

/// Seals the staged walk and makes its rows known that are still in the window.
fn seal(conn: &Connection, repo: i64, forget_before: WallTime) -> Outcome<()> {
    let walk = sealed_walk(conn, repo)? + 1;
    conn.prepare_cached(
        "INSERT INTO known (repo, wall, identity, copies, next_ordinal)
         SELECT repo, wall, identity, count(*), max(ordinal) + 1 FROM staged
         WHERE repo = ?1 AND wall >= ?2 AND walk = ?3 GROUP BY repo, wall, identity
         ON CONFLICT (repo, wall, identity) DO UPDATE
         SET copies = known.copies + excluded.copies,
             next_ordinal = CASE WHEN known.next_ordinal > excluded.next_ordinal
                            THEN known.next_ordinal ELSE excluded.next_ordinal END",
    )?
    .execute([repo, forget_before.0, walk])?;
    revised(conn, repo, forget_before, walk)?;
    conn.prepare_cached("UPDATE repos SET sealed_walk = ?2 WHERE id = ?1")?
        .execute([repo, walk])?;
    Ok(())
}

/// A row that gained its result is no longer there as the row without one.
fn revised(conn: &Connection, repo: i64, forget_before: WallTime, walk: i64) -> Outcome<()> {
    let mut find = conn.prepare_cached(
        "SELECT fields FROM staged WHERE repo = ?1 AND wall >= ?2 AND walk = ?3 AND revises = 1",
    )?;
    let mut lessen = conn.prepare_cached(
        "UPDATE known SET copies = copies - 1
         WHERE repo = ?1 AND wall = ?2 AND identity = ?3 AND copies > 0",
    )?;
    let mut rows = find.query([repo, forget_before.0, walk])?;
    while let Some(row) = rows.next()? {
        let base = fields(row, 0)?;
        lessen.execute(params![repo, base.wall_time.0, base.identity_without_result().0])?;
    }
    Ok(())
}

/// Forgets the sealed rows of entries, which are as a rule the oldest: they are met first.
pub(super) fn unseal(writing: &mut Writing, entries: &[DecidedEntry]) -> Outcome<()> {
    let Writing { conn, names, .. } = writing;
    let mut rest = entries;
    while let [first, ..] = rest {
        let entry = &first.entry;
        let same = |other: &DecidedEntry| {
            other.entry.source == entry.source && other.entry.asked_repo == entry.asked_repo
        };
        let count = rest.iter().take_while(|other| same(other)).count();
        let repo = names.repo(conn, &entry.source, &entry.asked_repo)?;
        let ids = rest[..count].iter().map(|decided| decided.entry.id.0).collect();
        forget_sealed(conn, repo, ids)?;
        rest = &rest[count..];
    }
    Ok(())
}

fn forget_sealed(conn: &Connection, repo: i64, mut ids: HashSet<[u8; 16]>) -> Outcome<()> {
    let mut find = conn.prepare_cached(
        "SELECT seq, id FROM staged WHERE repo = ?1 AND walk <= ?2 ORDER BY wall, seq DESC",
    )?;
    let mut gone = Vec::with_capacity(ids.len());
    let mut rows = find.query([repo, sealed_walk(conn, repo)?])?;
    while !ids.is_empty()
        && let Some(row) = rows.next()?
    {
        if ids.remove(&row.get::<_, [u8; 16]>(1)?) {
            gone.push(row.get::<_, i64>(0)?);
        }
    }
    let mut delete = conn.prepare_cached("DELETE FROM staged WHERE seq = ?1")?;
    for seq in gone {
        delete.execute([seq])?;
    }
    Ok(())
}
