//! Which message a message follows, for receivers that know threads and edits.
//!
//! Only the first of its (receiver, key) is claimed, so all that was told of its incident before has
//! settled. The last of that which was delivered, and whose answer said where it stands, is followed:
//! the first message, or one that took its place since it could not be followed. Deliberately absent:
//! what following is (`domain::notification`), and what an answer holds.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    domain::notification::{Follow, Reason},
    ports::{Earlier, Told},
};

use super::{code::Code, error::Outcome};

/// The last that followed the same message, from the index of those that follow any.
pub(super) const LATER: &str = "SELECT m.reason, a.captured, m.told FROM messages m
    JOIN outbox o ON o.seq = m.seq JOIN attempts a ON a.message = m.seq
    WHERE m.follows = ?1 AND m.seq < ?2 AND m.key = ?3 AND o.receiver = ?4 AND o.state = 2
    AND a.captured IS NOT NULL ORDER BY m.seq DESC, a.number DESC LIMIT 1";

/// That message itself.
pub(super) const FIRST: &str = "SELECT m.reason, a.captured, m.told FROM messages m
    JOIN outbox o ON o.seq = m.seq JOIN attempts a ON a.message = m.seq
    WHERE m.id = ?1 AND m.seq < ?2 AND m.key = ?3 AND o.receiver = ?4 AND o.state = 2
    AND a.captured IS NOT NULL ORDER BY a.number DESC LIMIT 1";

/// A message that may follow another.
pub(super) struct Follower {
    pub(super) seq: i64,
    pub(super) receiver: i64,
    pub(super) key: [u8; 16],
    pub(super) reason: Reason,
    /// The message that told of its incident first.
    pub(super) first: [u8; 16],
}

/// What it follows; `None` where that never arrived there, or is kept no more.
pub(super) fn earlier(conn: &Connection, follower: &Follower) -> Outcome<Option<Earlier>> {
    for sql in [LATER, FIRST] {
        let mut find = conn.prepare_cached(sql)?;
        let Follower { seq, receiver, key, first, .. } = follower;
        type Found = (Code<Reason>, String, Option<String>);
        let found: Option<Found> = find
            .query_row(params![first, seq, key, receiver], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((Code(reason), captured, told)) = found else { continue };
        let told: Told =
            told.map(|told| serde_json::from_str(&told)).transpose()?.unwrap_or_default();
        let follow = match reason.followed_by(follower.reason) {
            // What tells of several things has no incident, and is not the place of one of them.
            Some(_) if told.incident.is_none() => Follow::Thread,
            Some(follow) => follow,
            None => continue,
        };
        return Ok(Some(Earlier { captured: serde_json::from_str(&captured)?, follow }));
    }
    Ok(None)
}
