//! Handing over: what waits for one receiver goes to another, in the caller's transaction.
//!
//! A row keeps its id and its place in the order decided, is told anew ([`retell`](super::retell)),
//! and remembers whom it was meant for; one that was handed over before stays where it is. So does an
//! alarm about the other receiver, which is never told through that.

use rusqlite::{Connection, params};

use crate::{
    domain::notification::Reason,
    ports::{HandOver, HandedOver},
};

use super::{Writing, code::Coded, error::Outcome, line, names::find_name, retell::Retelling};

/// What waits for a receiver and was meant for it, in the order decided; tests are for it alone. An
/// alarm about a template names the receiver at its end; one about a source, which may well have the
/// receiver's name, is not about the receiver.
pub(super) const WAITING: &str = "SELECT o.seq, o.key, o.created_at
    FROM outbox o JOIN messages m ON m.seq = o.seq
    WHERE o.receiver = ?1 AND o.live = 1 AND o.state = 0 AND o.fallback_of IS NULL
    AND m.reason <> ?2 AND NOT (m.reason = ?4 AND
        m.key_json ->> 'alarm' IN ('lane_closed', 'dead_letter', 'template') AND
        substr(' ' || (m.key_json ->> 'about'), -length(' ' || ?5)) = ' ' || ?5)
    ORDER BY o.seq LIMIT ?3";

pub(super) fn hand_over(writing: &mut Writing, wish: &HandOver) -> Outcome<HandedOver> {
    let Writing { conn, names, .. } = writing;
    let Some(from) = find_name(conn, &wish.from)? else { return Ok(HandedOver::default()) };
    let to = names.name(conn, &wish.to.to)?;
    let going = going(conn, (from, &wish.to.to), wish.limit)?;
    let done = HandedOver { count: going.len() as u64, more: going.len() == wish.limit };
    let mut retelling = Retelling::new(&wish.to.compose, wish.now);
    for (seq, key, created_at) in going {
        if !retelling.retell(conn, seq)? {
            continue;
        }
        line::leave(conn, seq)?;
        let behind = line::last(conn, to, key)?;
        let due_at = behind.is_none().then_some(created_at);
        conn.prepare_cached(
            "UPDATE outbox SET receiver = ?2, fallback_of = ?3, due_at = ?4, behind = ?5,
             failures = 0, plain = 0 WHERE seq = ?1",
        )?
        .execute(params![seq, to, from, due_at, behind])?;
        line::join(conn, seq, to, key, behind)?;
    }
    Ok(done)
}

/// The rows that go: where they are, their short keys, and when they were made.
fn going(
    conn: &Connection,
    (from, to): (i64, &str),
    limit: usize,
) -> Outcome<Vec<(i64, i64, i64)>> {
    let mut find = conn.prepare_cached(WAITING)?;
    let (test, alarm) = (Reason::Test.code(), Reason::Alarm.code());
    let rows = find.query_map(params![from, test, limit as i64, alarm, to], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
