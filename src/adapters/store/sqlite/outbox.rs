//! The outbox: settlements, retries by hand, and what becomes of rows whose receiver is gone; claims
//! are in `claim`.
//!
//! Rows of a (receiver, key) stand in [`mod@line`]: only the first is due, and a row that ends makes the
//! next one due in the same transaction. A row that a person retries is due at once, beside whatever
//! of its key is live by then: a dead letter has left its line, and one that waits behind another
//! leaves it. What comes later stands behind a retried dead letter only if that was the last.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    domain::{
        notification::{NotificationId, NotificationState},
        outcome::OutcomeRecord,
        retry::{SCHEDULE, longest_wait},
    },
    ports::{LaneRecord, Redirect, RetriedDead, RetryDead, SettleAs, Settlement},
};

use super::{
    Writing,
    code::{Coded, DELIVERED, Utf8, instant_or_none, json_into, ms, ms_not_before},
    error::Outcome,
    line,
    names::find_name,
    retell::Retelling,
};

/// Rows that become dead letters in one transaction.
const ORPHAN_ROWS: i64 = 5_000;

/// The first of the same index.
pub(super) const NEXT_DUE: &str =
    "SELECT min(due_at) FROM outbox WHERE receiver = ?1 AND state = 0 AND due_at IS NOT NULL";

/// What waits for a receiver, by the index of live rows, from the end: so nobody is left standing
/// behind one who is gone, should the next step never come.
pub(super) const ORPHANS: &str = "SELECT seq FROM outbox
    WHERE receiver = ?1 AND live = 1 AND state = 0 ORDER BY seq DESC LIMIT ?2";

/// A longer detail goes into `attempts`, so that the outbox's rows stay narrow.
const DETAIL_BYTES: usize = 128;

pub(super) fn release_claims(writing: &mut Writing, now: Timestamp) -> Outcome<u64> {
    // They keep the time that they were due at, and so their order.
    let mut release =
        writing.conn.prepare_cached("UPDATE outbox SET state = 0 WHERE live = 1 AND state = 1")?;
    let released = release.execute([])? as u64;
    fit_waits(&writing.conn, None, now)?;
    Ok(released)
}

/// Shortens waits that are longer than any can have been meant: the clock was ahead when they were
/// set. Of all receivers, or of one.
pub(super) fn fit_waits(conn: &Connection, receiver: Option<i64>, now: Timestamp) -> Outcome<()> {
    let longest = |failures| longest_wait(failures).as_millis();
    let steps = (1..=SCHEDULE.len() as u32).map(|k| format!("WHEN {k} THEN {} ", longest(k)));
    let steps: String = steps.collect();
    // What was never tried waits for nothing.
    let latest = format!(
        "(?1 + CASE WHEN attempts = 0 THEN 0 ELSE CASE failures {steps}ELSE {} END END)",
        longest(0)
    );
    let whose = if receiver.is_some() { "receiver = ?2" } else { "?2 IS NULL" };
    let sql = format!(
        "UPDATE outbox SET due_at = {latest}
         WHERE {whose} AND live = 1 AND state = 0 AND due_at > {latest}"
    );
    conn.prepare_cached(&sql)?.execute(params![ms(now), receiver])?;
    Ok(())
}

pub(super) fn next_due(conn: &Connection, receiver: &str) -> Outcome<Option<Timestamp>> {
    let Some(receiver) = find_name(conn, receiver)? else { return Ok(None) };
    let mut find = conn.prepare_cached(NEXT_DUE)?;
    instant_or_none(find.query_row([receiver], |row| row.get(0))?)
}

pub(super) fn settle(
    writing: &mut Writing,
    settlements: &[Settlement],
    lane: Option<&LaneRecord>,
) -> Outcome<()> {
    for settlement in settlements {
        settle_one(writing, settlement)?;
    }
    put_lane(writing, lane)
}

fn settle_one(writing: &mut Writing, settlement: &Settlement) -> Outcome<()> {
    let settled = match settlement.becomes {
        SettleAs::Delivered => end(writing, settlement, NotificationState::Delivered)?,
        SettleAs::Dead => end(writing, settlement, NotificationState::Dead)?,
        SettleAs::Pending { at, plain, failed } => writing
            .conn
            .prepare_cached(
                "UPDATE outbox SET state = 0, due_at = ?2, plain = ?3, failures = failures + ?4
                 WHERE seq = ?1 AND state = 1",
            )?
            .execute(params![settlement.seq, ms_not_before(at), plain, failed])?,
        SettleAs::Returned => {
            let sql = "UPDATE outbox SET state = 0, attempts = attempts - 1
                       WHERE seq = ?1 AND state = 1";
            writing.conn.prepare_cached(sql)?.execute([settlement.seq])?;
            return Ok(());
        }
    };
    if settled == 0 {
        tracing::warn!(
            notification.seq = settlement.seq,
            "an attempt was settled that had not been claimed; it was left out"
        );
        return Ok(());
    }
    if !fits_the_row(settlement) {
        put_attempt(writing, settlement)?;
    }
    Ok(())
}

/// Ends a row and makes the next of its key due. Says how many rows it ended, 0 or 1.
fn end(writing: &mut Writing, settlement: &Settlement, state: NotificationState) -> Outcome<usize> {
    let outcome = fits_the_row(settlement).then_some(&settlement.outcome);
    let conn = &writing.conn;
    // A failure undoes the whole request: `OR FAIL` spares copying the pages for undoing this alone.
    let mut end = conn.prepare_cached(
        "UPDATE OR FAIL outbox SET state = ?2, live = 0, due_at = NULL, started_at = ?3, ended_at = ?4,
         status = ?5, detail = ?6 WHERE seq = ?1 AND state = 1 RETURNING next",
    )?;
    let mut ended = end.query(params![
        settlement.seq,
        state.code(),
        ms(settlement.started_at),
        ms(settlement.ended_at),
        outcome.and_then(|outcome| outcome.status),
        outcome.map(|outcome| Utf8(outcome.detail.as_bytes())),
    ])?;
    let Some(row) = ended.next()? else { return Ok(0) };
    let next: Option<i64> = row.get(0)?;
    drop(ended);
    match next {
        Some(next) if state == NotificationState::Delivered => {
            line::step_forward(conn, settlement.seq, next)?;
        }
        Some(next) => line::step_aside(conn, settlement.seq, next)?,
        None => {}
    }
    Ok(1)
}

/// Whether an attempt is a delivery at once with nothing more to say than the row holds.
fn fits_the_row(settlement: &Settlement) -> bool {
    let OutcomeRecord { class: _, scope, flags, status: _, detail, retry_after_s } =
        &settlement.outcome;
    settlement.becomes == SettleAs::Delivered
        && settlement.attempt == 1
        && settlement.captured.is_none()
        && settlement.outcome.class == DELIVERED
        && scope.is_none()
        && flags.is_empty()
        && retry_after_s.is_none()
        && detail.len() <= DETAIL_BYTES
}

fn put_attempt(writing: &mut Writing, settlement: &Settlement) -> Outcome<()> {
    let Writing { conn, buffer, .. } = writing;
    let took_ms = ms(settlement.ended_at) - ms(settlement.started_at);
    let captured = settlement.captured.as_ref().map(serde_json::Value::to_string);
    conn.prepare_cached(
        "INSERT INTO attempts (message, number, started_at, took_ms, outcome, captured)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (message, number) DO NOTHING",
    )?
    .execute(params![
        settlement.seq,
        settlement.attempt,
        ms(settlement.started_at),
        took_ms.max(0),
        json_into(buffer, &settlement.outcome)?,
        captured,
    ])?;
    Ok(())
}

pub(super) fn put_lane(writing: &mut Writing, lane: Option<&LaneRecord>) -> Outcome<()> {
    let Some(lane) = lane else { return Ok(()) };
    let Writing { conn, buffer, .. } = writing;
    conn.prepare_cached(
        "INSERT INTO lanes (receiver, record) VALUES (?1, ?2)
         ON CONFLICT (receiver) DO UPDATE SET record = excluded.record",
    )?
    .execute(params![&*lane.receiver, json_into(buffer, lane)?])?;
    Ok(())
}

pub(super) fn lanes(conn: &Connection) -> Outcome<Vec<LaneRecord>> {
    let mut find = conn.prepare_cached("SELECT record FROM lanes ORDER BY receiver")?;
    let mut rows = find.query([])?;
    let mut lanes = Vec::new();
    while let Some(row) = rows.next()? {
        lanes.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
    }
    Ok(lanes)
}

/// Makes dead letters of some of what waits for receivers that are not among these.
pub(super) fn orphan(
    writing: &mut Writing,
    receivers: &[std::sync::Arc<str>],
    now: Timestamp,
) -> Outcome<u64> {
    let conn = &writing.conn;
    let mut find = conn.prepare_cached(
        "SELECT id, name FROM names WHERE EXISTS
         (SELECT 1 FROM outbox WHERE receiver = names.id AND live = 1)",
    )?;
    let waiting = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let waiting: Vec<(i64, String)> = waiting.collect::<Result<_, _>>()?;
    let mut killed = 0;
    for (id, name) in waiting {
        if receivers.iter().any(|receiver| **receiver == *name) {
            continue;
        }
        killed += kill(conn, id, ORPHAN_ROWS - killed, &gone(&name), now)?;
    }
    Ok(killed as u64)
}

fn gone(receiver: &str) -> String {
    format!(
        "the receiver {receiver} is not in the configuration any more; retry it to another receiver"
    )
}

/// Makes dead letters of some of what waits for a receiver.
pub(super) fn bury(writing: &mut Writing, receiver: &str, now: Timestamp) -> Outcome<u64> {
    let Some(id) = find_name(&writing.conn, receiver)? else { return Ok(0) };
    Ok(kill(&writing.conn, id, ORPHAN_ROWS, &gone(receiver), now)? as u64)
}

/// Gives a lane's claims back.
pub(super) fn release_lane(writing: &mut Writing, receiver: &str) -> Outcome<u64> {
    let Some(id) = find_name(&writing.conn, receiver)? else { return Ok(0) };
    let sql = "UPDATE outbox SET state = 0 WHERE receiver = ?1 AND live = 1 AND state = 1";
    Ok(writing.conn.prepare_cached(sql)?.execute([id])? as u64)
}

/// Makes dead letters of what waits for a receiver. Says how many.
fn kill(
    conn: &Connection,
    receiver: i64,
    limit: i64,
    detail: &str,
    now: Timestamp,
) -> Outcome<i64> {
    let mut find = conn.prepare_cached(ORPHANS)?;
    let rows: Vec<i64> =
        find.query_map([receiver, limit], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut end = conn.prepare_cached(
        "UPDATE outbox SET state = 3, live = 0, due_at = NULL, ended_at = ?2, status = NULL,
         detail = ?3 WHERE seq = ?1",
    )?;
    for &seq in &rows {
        line::leave(conn, seq)?;
        end.execute(params![seq, ms(now), detail])?;
    }
    Ok(rows.len() as i64)
}

pub(super) fn retry(
    writing: &mut Writing,
    id: NotificationId,
    to: Option<&Redirect>,
    now: Timestamp,
) -> Outcome<bool> {
    let Writing { conn, names, .. } = writing;
    let mut find = conn.prepare_cached(
        "SELECT o.seq, o.receiver, o.behind FROM messages m JOIN outbox o ON o.seq = m.seq
         WHERE m.id = ?1 AND o.state IN (0, 3)",
    )?;
    let found: Option<(i64, i64, Option<i64>)> =
        find.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((seq, from, behind)) = found else { return Ok(false) };
    let redirect = to;
    let to = redirect.map(|redirect| names.name(conn, &redirect.to)).transpose()?.unwrap_or(from);
    if to != from || behind.is_some() {
        line::leave(conn, seq)?;
    }
    if let Some(redirect) = redirect.filter(|_| to != from) {
        Retelling::new(&redirect.compose, now).retell(conn, seq)?;
    }
    conn.prepare_cached(
        "UPDATE outbox SET state = 0, live = 1, receiver = ?2, due_at = ?3, failures = 0, plain = 0,
         ended_at = NULL, status = NULL, detail = NULL WHERE seq = ?1",
    )?
    .execute([seq, to, ms(now)])?;
    Ok(true)
}

/// A receiver's dead letters, in the order decided.
pub(super) const DEAD: &str = "SELECT seq, key, ended_at FROM outbox
    WHERE receiver = ?1 AND state = 3 AND seq > ?2 ORDER BY seq LIMIT ?3";

/// A dead letter: its place and its short key.
type Dead = (i64, i64);

/// Those that a wish is for, and what the wish came to.
fn find_dead(conn: &Connection, wish: &RetryDead) -> Outcome<(Vec<Dead>, RetriedDead)> {
    let Some(receiver) = find_name(conn, &wish.receiver)? else {
        return Ok((Vec::new(), RetriedDead::default()));
    };
    let (limit, since) = (wish.limit.max(1), ms_not_before(wish.since));
    let mut find = conn.prepare_cached(DEAD)?;
    let mut rows = find.query(params![receiver, wish.after, limit as i64])?;
    let (mut found, mut looked, mut last) = (Vec::new(), 0, wish.after);
    while let Some(row) = rows.next()? {
        let ended_at: Option<i64> = row.get(2)?;
        (looked, last) = (looked + 1, row.get(0)?);
        if ended_at.is_none_or(|ended_at| ended_at >= since) {
            found.push((last, row.get(1)?));
        }
    }
    let done = RetriedDead { count: found.len() as u64, next: (looked == limit).then_some(last) };
    Ok((found, done))
}

pub(super) fn dead_since(conn: &Connection, wish: &RetryDead) -> Outcome<RetriedDead> {
    Ok(find_dead(conn, wish)?.1)
}

/// Puts dead letters at the ends of their lines.
pub(super) fn retry_dead(writing: &mut Writing, wish: &RetryDead) -> Outcome<RetriedDead> {
    let Writing { conn, names, .. } = writing;
    let (found, done) = find_dead(conn, wish)?;
    let to = wish.to.as_ref().map_or(&wish.receiver, |redirect| &redirect.to);
    let mut retelling = wish
        .to
        .as_ref()
        .filter(|redirect| redirect.to != wish.receiver)
        .map(|redirect| Retelling::new(&redirect.compose, wish.now));
    let to = names.name(conn, to)?;
    let mut revive = conn.prepare_cached(
        "UPDATE outbox SET state = 0, live = 1, receiver = ?2, due_at = ?3, behind = ?4,
         failures = 0, plain = 0, ended_at = NULL, status = NULL, detail = NULL WHERE seq = ?1",
    )?;
    for (seq, key) in found {
        if let Some(retelling) = &mut retelling
            && !retelling.retell(conn, seq)?
        {
            continue;
        }
        line::leave(conn, seq)?;
        let behind = line::last(conn, to, key)?;
        let due_at = behind.is_none().then_some(ms(wish.now));
        revive.execute(params![seq, to, due_at, behind])?;
        line::join(conn, seq, to, key, behind)?;
    }
    Ok(done)
}
