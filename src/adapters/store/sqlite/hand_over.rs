//! Handing over: what waits for one receiver goes to another, in the caller's transaction.
//!
//! A row keeps its id and its place in the order decided, gets the text that it has for the other, and
//! remembers whom it was meant for; one that was handed over before stays where it is. The later parts
//! of a message that was split are folded into its first, which says all of it there.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, params};

use crate::{
    domain::{
        entry::EntryId,
        notification::{NotificationId, Reason},
    },
    ports::{HandOver, HandedOver, Kept, Payload},
};

use super::{
    Writing,
    code::{Code, Coded, Utf8, instant, ms},
    error::Outcome,
    line,
    names::find_name,
    query,
};

/// The most messages that one is split into.
const PARTS: u32 = 4;

/// What waits for a receiver and was meant for it, in the order decided; tests are for it alone.
pub(super) const WAITING: &str = "SELECT o.seq, o.key, m.id, m.reason, m.severity, m.entries,
    m.count, m.told, o.created_at, (SELECT name FROM names WHERE id = o.rule)
    FROM outbox o JOIN messages m ON m.seq = o.seq
    WHERE o.receiver = ?1 AND o.live = 1 AND o.state = 0 AND o.fallback_of IS NULL
    AND m.reason <> ?2 ORDER BY o.seq LIMIT ?3";

/// A row that goes.
struct Going {
    seq: i64,
    key: i64,
    entries: Vec<EntryId>,
    created_at: i64,
    kept: Kept,
}

pub(super) fn hand_over(writing: &mut Writing, wish: &HandOver) -> Outcome<HandedOver> {
    let Writing { conn, names, .. } = writing;
    let Some(from) = find_name(conn, &wish.from)? else { return Ok(HandedOver::default()) };
    let to = names.name(conn, &wish.to)?;
    let going = going(conn, from, wish)?;
    let done = HandedOver { count: going.len() as u64, more: going.len() == wish.limit };
    let mut firsts: HashMap<NotificationId, i64> = HashMap::new();
    for mut row in going {
        if let Some(&first) = firsts.get(&row.kept.id) {
            fold(conn, row.seq, first, ms(wish.now))?;
            continue;
        }
        firsts.extend((1..PARTS).map(|part| (row.kept.id.part(part), row.seq)));
        for &id in &row.entries {
            row.kept.entries.extend(query::entry(conn, id)?.map(|view| Arc::new(view.entry)));
        }
        put_text(conn, row.seq, &(wish.compose)(&row.kept))?;
        line::leave(conn, row.seq)?;
        let behind = line::last(conn, to, row.key)?;
        let due_at = behind.is_none().then_some(row.created_at);
        conn.prepare_cached(
            "UPDATE outbox SET receiver = ?2, fallback_of = ?3, due_at = ?4, behind = ?5,
             failures = 0, plain = 0 WHERE seq = ?1",
        )?
        .execute(params![row.seq, to, from, due_at, behind])?;
        line::join(conn, row.seq, to, row.key, behind)?;
    }
    Ok(done)
}

fn going(conn: &Connection, from: i64, wish: &HandOver) -> Outcome<Vec<Going>> {
    let mut find = conn.prepare_cached(WAITING)?;
    let mut rows = find.query(params![from, Reason::Test.code(), wish.limit as i64])?;
    let mut going = Vec::new();
    while let Some(row) = rows.next()? {
        let entries = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
        let told: Option<String> = row.get(7)?;
        let created_at = row.get(8)?;
        going.push(Going {
            seq: row.get(0)?,
            key: row.get(1)?,
            entries: entries.as_chunks().0.iter().map(|&id| EntryId(id)).collect(),
            created_at,
            kept: Kept {
                id: NotificationId(row.get(2)?),
                receiver: wish.from.clone(),
                rule: row.get(9)?,
                reason: row.get::<_, Code<_>>(3)?.0,
                severity: row.get::<_, Code<_>>(4)?.0,
                entries: Vec::new(),
                count: row.get::<_, i64>(6)?.max(0) as u64,
                created_at: instant(created_at)?,
                told: told.map(|told| serde_json::from_str(&told)).transpose()?.unwrap_or_default(),
            },
        });
    }
    Ok(going)
}

fn put_text(conn: &Connection, seq: i64, payload: &Payload) -> Outcome<()> {
    let sql = "UPDATE messages SET format = ?2, payload = ?3 WHERE seq = ?1";
    let body = Utf8(payload.body.as_bytes());
    conn.prepare_cached(sql)?.execute(params![seq, payload.format.code(), body])?;
    Ok(())
}

fn fold(conn: &Connection, seq: i64, into: i64, now: i64) -> Outcome<()> {
    line::leave(conn, seq)?;
    conn.prepare_cached(
        "UPDATE outbox SET state = 4, live = 0, due_at = NULL, ended_at = ?2, folded_into = ?3
         WHERE seq = ?1",
    )?
    .execute([seq, now, into])?;
    Ok(())
}
