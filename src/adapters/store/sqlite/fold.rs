//! Folding: what waits for a receiver becomes one digest, in the caller's transaction.
//!
//! Members are read once, in the order decided, a narrow row of each at a time. One that is claimed
//! stays, and so does all that stands behind it; digests, alarms and tests stay too, and the end of what
//! an earlier message tells that it changes. The digest takes
//! its members' place in their lines ([`mod@line`]), so that nothing later of a key overtakes it.

use std::{collections::HashSet, sync::Arc};

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    domain::{
        digest::{Gatherer, Step, Waiting},
        entry::EntryId,
        notification::{Follow, NotificationId, Reason},
    },
    ports::{Fold, Folding},
};

use super::{
    Writing,
    code::{Code, ms},
    commit::{Places, put_notifications},
    error::{Failure, Outcome},
    follow::{self, Follower},
    line,
    names::find_name,
    query,
};

/// The most rows of one digest; what is beyond them waits for the next.
const MEMBERS: i64 = 20_000;

/// How many live, up to a bound, by their index alone.
pub(super) const CROWD: &str =
    "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE receiver = ?1 AND live = 1 LIMIT ?2)";

/// All that live, in the order decided.
pub(super) const LIVE: &str = "SELECT o.seq, o.state, o.behind, o.next, o.key, m.id, m.key,
    m.reason, m.severity, m.entries, m.follows FROM outbox o JOIN messages m ON m.seq = o.seq
    WHERE o.receiver = ?1 AND o.live = 1 ORDER BY o.seq LIMIT ?2";

/// A row that folds: its place, its short key, and who stands behind it.
struct Member {
    seq: i64,
    key: i64,
    next: Option<i64>,
}

pub(super) fn fold(writing: &mut Writing, fold: &Fold) -> Outcome<Folding> {
    let Some(receiver) = find_name(&writing.conn, &fold.receiver)? else {
        return Ok(Folding::Calm);
    };
    let bound = i64::try_from(fold.pressure.clears()).unwrap_or(i64::MAX).saturating_add(1);
    let crowd: i64 =
        writing.conn.prepare_cached(CROWD)?.query_row([receiver, bound], |row| row.get(0))?;
    match fold.pressure.step(crowd as u64, fold.folded_at, fold.now) {
        Step::Singly => return Ok(Folding::Calm),
        Step::Gather(until) => return Ok(Folding::Gather(until)),
        Step::Fold => {}
    }
    let mut gatherer = Gatherer::new(&fold.receiver);
    let members = members(&writing.conn, receiver, &mut gatherer)?;
    if members.len() < 2 {
        return Ok(Folding::Calm);
    }
    let digest = gatherer.digest();
    let mut entries = Vec::with_capacity(digest.entries.len());
    for &id in &digest.entries {
        entries.extend(query::entry(&writing.conn, id)?.map(|view| Arc::new(view.entry)));
    }
    let new = (fold.compose)(&digest, &entries);
    let id = new.id;
    put_notifications(writing, &[new], &Places::new())?;
    let seq = place(&writing.conn, id)?;
    take_their_place(&writing.conn, receiver, seq, &members, ms(fold.now))?;
    Ok(Folding::Folded(members.len() as u64))
}

/// The rows that fold, told to the gatherer one by one.
fn members(conn: &Connection, receiver: i64, gatherer: &mut Gatherer) -> Outcome<Vec<Member>> {
    let mut find = conn.prepare_cached(LIVE)?;
    let mut rows = find.query([receiver, MEMBERS])?;
    let (mut members, mut staying) = (Vec::new(), HashSet::new());
    while let Some(row) = rows.next()? {
        let (seq, state): (i64, i64) = (row.get(0)?, row.get(1)?);
        let behind: Option<i64> = row.get(2)?;
        let reason = row.get::<_, Code<Reason>>(7)?.0;
        let key = row.get(6)?;
        let stays = state != 0
            || behind.is_some_and(|behind| behind < 0 || staying.contains(&behind))
            || matches!(reason, Reason::Digest | Reason::Alarm | Reason::Test)
            || match row.get(10)? {
                Some(first) => changes(conn, &Follower { seq, receiver, key, reason, first })?,
                None => false,
            };
        if stays {
            staying.insert(seq);
            continue;
        }
        members.push(Member { seq, key: row.get(4)?, next: row.get(3)? });
        let entries = row.get_ref(9)?.as_blob().map_err(rusqlite::Error::from)?;
        gatherer.add(&Waiting {
            id: NotificationId(row.get(5)?),
            key,
            reason,
            severity: row.get::<_, Code<_>>(8)?.0,
            entry: entries.as_chunks().0.last().map(|&id| EntryId(id)),
        });
    }
    Ok(members)
}

/// Whether it changes a message that stands: then it adds none, and that would else be wrong for ever.
fn changes(conn: &Connection, follower: &Follower) -> Outcome<bool> {
    let over = follower.reason.is_over();
    let earlier = if over { follow::earlier(conn, follower)? } else { None };
    Ok(earlier.is_some_and(|earlier| earlier.follow == Follow::Update))
}

fn place(conn: &Connection, id: NotificationId) -> Outcome<i64> {
    let mut find = conn.prepare_cached("SELECT seq FROM messages WHERE id = ?1")?;
    let found = find.query_row([id.0], |row| row.get(0)).optional()?;
    found.ok_or_else(|| Failure::Bug(format!("digest {id} was not put down")))
}

/// Makes the digest stand where its members stood.
fn take_their_place(
    conn: &Connection,
    receiver: i64,
    digest: i64,
    members: &[Member],
    now: i64,
) -> Outcome<()> {
    conn.prepare_cached("UPDATE outbox SET next = -1 WHERE seq = ?1")?.execute([digest])?;
    let folded: HashSet<i64> = members.iter().map(|member| member.seq).collect();
    let mut fold = conn.prepare_cached(
        "UPDATE outbox SET state = 4, live = 0, due_at = NULL, behind = NULL, next = NULL,
         ended_at = ?2, folded_into = ?3 WHERE seq = ?1",
    )?;
    let mut lead = conn.prepare_cached(
        "UPDATE lines SET last = ?4 WHERE receiver = ?1 AND key = ?2 AND last = ?3",
    )?;
    for member in members {
        fold.execute([member.seq, now, digest])?;
        lead.execute([receiver, member.key, member.seq, -digest])?;
        // One beyond the bound of a digest.
        if let Some(next) = member.next.filter(|next| !folded.contains(next)) {
            let sql = "UPDATE outbox SET behind = ?2 WHERE seq = ?1";
            conn.prepare_cached(sql)?.execute(params![next, -digest])?;
            line::wait_for(conn, digest, next)?;
        }
    }
    Ok(())
}
