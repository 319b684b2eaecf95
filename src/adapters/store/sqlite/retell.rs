//! Telling another receiver: a row gets the text that it has there, in the caller's transaction.
//!
//! It keeps its id and all that is known of it. The later parts of a message that was split are
//! folded into its first, which says all of it there. Deliberately absent: which rows go, where they
//! stand in line, and what a text is made of.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, params};

use crate::{
    domain::{entry::EntryId, notification::NotificationId},
    ports::{Kept, Recompose},
};

use super::{
    code::{Code, Coded, Utf8, instant, ms},
    error::Outcome,
    line, query,
};

/// What a row's text is made of, and whom it was meant for first.
pub(super) const KEPT: &str = "SELECT m.id, m.reason, m.severity, m.entries, m.count, m.told,
    o.created_at, (SELECT name FROM names WHERE id = o.rule),
    (SELECT name FROM names WHERE id = coalesce(o.fallback_of, o.receiver))
    FROM outbox o JOIN messages m ON m.seq = o.seq WHERE o.seq = ?1";

/// Tells another receiver, of one message after another.
pub(super) struct Retelling<'a> {
    compose: &'a Recompose,
    now: i64,
    /// Where the message is that a part would belong to.
    firsts: HashMap<NotificationId, i64>,
}

impl<'a> Retelling<'a> {
    pub(super) fn new(compose: &'a Recompose, now: jiff::Timestamp) -> Self {
        Self { compose, now: ms(now), firsts: HashMap::new() }
    }

    /// Gives a row its text; false when it was folded into the message that it is a part of.
    pub(super) fn retell(&mut self, conn: &Connection, seq: i64) -> Outcome<bool> {
        let kept = kept(conn, seq)?;
        if let Some(&first) = self.firsts.get(&kept.id) {
            fold(conn, seq, first, self.now)?;
            return Ok(false);
        }
        self.firsts.extend((1..NotificationId::MOST_PARTS).map(|part| (kept.id.part(part), seq)));
        let payload = (self.compose)(&kept);
        let sql = "UPDATE messages SET format = ?2, payload = ?3 WHERE seq = ?1";
        let body = Utf8(payload.body.as_bytes());
        conn.prepare_cached(sql)?.execute(params![seq, payload.format.code(), body])?;
        Ok(true)
    }
}

fn kept(conn: &Connection, seq: i64) -> Outcome<Kept> {
    let mut find = conn.prepare_cached(KEPT)?;
    let mut rows = find.query([seq])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let entries: Vec<u8> = row.get(3)?;
    let told: Option<String> = row.get(5)?;
    let mut kept = Kept {
        id: NotificationId(row.get(0)?),
        reason: row.get::<_, Code<_>>(1)?.0,
        severity: row.get::<_, Code<_>>(2)?.0,
        entries: Vec::new(),
        count: row.get::<_, i64>(4)?.max(0) as u64,
        told: told.map(|told| serde_json::from_str(&told)).transpose()?.unwrap_or_default(),
        created_at: instant(row.get(6)?)?,
        rule: row.get(7)?,
        receiver: row.get(8)?,
    };
    for &id in entries.as_chunks().0 {
        kept.entries.extend(query::entry(conn, EntryId(id))?.map(|view| Arc::new(view.entry)));
    }
    Ok(kept)
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
