//! Claims: rows that are due are taken in hand, and their attempts counted.
//!
//! Only the first of a [`mod@super::line`] is due. The parts of a message that was split stand right behind one
//! another in it, and are claimed together though only the first of them is due, so that the lane
//! can send them in one go; no claim ends within such a message. Deliberately absent: what becomes
//! of what was claimed.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    domain::notification::NotificationId,
    ports::{Claim, Delivery, Payload},
};

use super::{
    Writing,
    code::{Code, instant, ms},
    error::{Failure, Outcome},
    follow::{self, Follower},
    names::find_name,
    outbox::{fit_waits, put_lane},
};

/// Rows that are due, from the index of those alone.
pub(super) const DUE: &str =
    "SELECT o.seq, o.attempts, o.failures, o.plain, o.created_at, m.id, m.key, m.reason,
    m.format, m.payload, m.follows, o.next
    FROM outbox o JOIN messages m ON m.seq = o.seq
    WHERE o.receiver = ?1 AND o.state = 0 AND o.due_at IS NOT NULL AND o.due_at <= ?2
    ORDER BY o.due_at, o.seq LIMIT ?3";

/// Takes the same rows in hand.
pub(super) const TAKE: &str = "UPDATE outbox SET state = 1, attempts = attempts + 1
    WHERE seq IN (SELECT seq FROM outbox
    WHERE receiver = ?1 AND state = 0 AND due_at IS NOT NULL AND due_at <= ?2
    ORDER BY due_at, seq LIMIT ?3)";

/// One row that waits for a receiver, due or not.
pub(super) const ONE: &str =
    "SELECT o.seq, o.attempts, o.failures, o.plain, o.created_at, m.id, m.key, m.reason,
    m.format, m.payload, m.follows, o.next, o.due_at
    FROM outbox o JOIN messages m ON m.seq = o.seq
    WHERE o.seq = ?2 AND o.receiver = ?1 AND o.state = 0";

/// Takes one row in hand.
const TAKE_ONE: &str =
    "UPDATE outbox SET state = 1, attempts = attempts + 1 WHERE seq = ?1 AND state = 0";

pub(super) fn claim(writing: &mut Writing, claim: &Claim) -> Outcome<Vec<Delivery>> {
    let conn = &writing.conn;
    let Some(receiver) = find_name(conn, &claim.receiver)? else { return Ok(Vec::new()) };
    if claim.fit_waits {
        fit_waits(conn, Some(receiver), claim.now)?;
    }
    let deliveries = if claim.unfinished.is_some() {
        go_on(conn, receiver, claim)?
    } else {
        due(conn, receiver, claim)?
    };
    if !deliveries.is_empty() {
        put_lane(writing, claim.lane.as_ref())?;
    }
    Ok(deliveries)
}

/// Takes what is due, with the parts behind it.
fn due(conn: &Connection, receiver: i64, claim: &Claim) -> Outcome<Vec<Delivery>> {
    let mut find = conn.prepare_cached(DUE)?;
    let mut rows = find.query(params![receiver, ms(claim.now), claim.limit as i64])?;
    let (mut deliveries, mut parts, mut heads) = (Vec::new(), Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let head = read((conn, receiver), row, claim, None)?;
        let behind = parts_behind((conn, receiver), claim, head.id, (head.seq, row.get(11)?))?;
        let fits = deliveries.len() + 1 + behind.len() <= claim.limit;
        if heads > 0 && !fits {
            break;
        }
        heads += 1;
        parts.extend(behind.iter().map(|part| part.seq));
        deliveries.push(head);
        deliveries.extend(behind);
    }
    if heads == 0 {
        return Ok(deliveries);
    }
    let taken =
        conn.prepare_cached(TAKE)?.execute(params![receiver, ms(claim.now), heads as i64])?;
    if taken != heads {
        return Err(Failure::Bug(format!("read {heads} rows and took {taken}")));
    }
    take(conn, &parts)?;
    Ok(deliveries)
}

/// Takes the next part of a message that is not whole, with those behind it.
fn go_on(conn: &Connection, receiver: i64, claim: &Claim) -> Outcome<Vec<Delivery>> {
    let Some(unfinished) = &claim.unfinished else { return Ok(Vec::new()) };
    let mut find = conn.prepare_cached(ONE)?;
    let mut rows = find.query([receiver, unfinished.seq])?;
    let Some(row) = rows.next()? else { return Ok(Vec::new()) };
    let due_at: Option<i64> = row.get(12)?;
    if due_at.is_none_or(|due_at| due_at > ms(claim.now)) {
        return Ok(Vec::new());
    }
    let mut deliveries = vec![read((conn, receiver), row, claim, Some(unfinished.message))?];
    let place = (unfinished.seq, row.get(11)?);
    deliveries.extend(parts_behind((conn, receiver), claim, unfinished.message, place)?);
    take(conn, &deliveries.iter().map(|delivery| delivery.seq).collect::<Vec<_>>())?;
    Ok(deliveries)
}

fn take(conn: &Connection, rows: &[i64]) -> Outcome<()> {
    for seq in rows {
        if conn.prepare_cached(TAKE_ONE)?.execute([seq])? != 1 {
            return Err(Failure::Bug(format!("read row {seq} and did not take it")));
        }
    }
    Ok(())
}

/// The later parts of a message, from the place of the one before and who stands behind it. Parts
/// are queued one after another, so whatever stands behind that has another place is none.
fn parts_behind(
    (conn, receiver): (&Connection, i64),
    claim: &Claim,
    message: NotificationId,
    (mut before, mut next): (i64, Option<i64>),
) -> Outcome<Vec<Delivery>> {
    let mut parts = Vec::new();
    if next != Some(before + 1) {
        return Ok(parts);
    }
    let mut id = conn.prepare_cached("SELECT id FROM messages WHERE seq = ?1")?;
    while let Some(seq) = next.filter(|&next| next == before + 1) {
        let found: Option<[u8; 16]> = id.query_row([seq], |row| row.get(0)).optional()?;
        if !found.is_some_and(|id| message.has_part(NotificationId(id))) {
            break;
        }
        let mut find = conn.prepare_cached(ONE)?;
        let mut rows = find.query([receiver, seq])?;
        let Some(row) = rows.next()? else { break };
        (before, next) = (seq, row.get(11)?);
        parts.push(read((conn, receiver), row, claim, Some(message))?);
    }
    Ok(parts)
}

fn read(
    (conn, receiver): (&Connection, i64),
    row: &Row<'_>,
    claim: &Claim,
    part_of: Option<NotificationId>,
) -> Outcome<Delivery> {
    let (seq, key, reason) = (row.get(0)?, row.get(6)?, row.get::<_, Code<_>>(7)?.0);
    let first: Option<[u8; 16]> = row.get(10)?;
    let earlier = match first.filter(|_| claim.follow) {
        Some(first) => follow::earlier(conn, &Follower { seq, receiver, key, reason, first })?,
        None => None,
    };
    Ok(Delivery {
        seq,
        attempt: row.get::<_, u32>(1)? + 1,
        failures: row.get(2)?,
        plain: row.get(3)?,
        created_at: instant(row.get(4)?)?,
        id: NotificationId(row.get(5)?),
        receiver: claim.receiver.clone(),
        key,
        part_of,
        reason,
        payload: Payload { format: row.get::<_, Code<_>>(8)?.0, body: row.get(9)? },
        earlier,
    })
}
