//! Putting a batch down: the cursor's move and all that it caused, in the caller's transaction.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    domain::{
        decision::StateChange,
        entry::{EntryId, FieldHasher},
        notification::NotificationState,
    },
    ports::{Alarm, AlarmChange, Batch, DecidedEntry, NewNotification, Rejected, RepoKey},
};

use super::{
    Writing,
    code::{Coded, Utf8, json_into, ms, number, short_key},
    cursors,
    error::{Failure, Outcome},
    line,
};

/// Where the entries of a batch were put.
pub(super) type Places = HashMap<EntryId, i64>;

pub(super) fn commit(writing: &mut Writing, batch: &Batch) -> Outcome<()> {
    for step in &batch.cursors {
        cursors::advance(writing, step)?;
    }
    let places = put_entries(writing, &batch.entries)?;
    if batch.unseal {
        cursors::unseal(writing, &batch.entries)?;
    }
    put_state(&writing.conn, &batch.changes)?;
    put_notifications(writing, &batch.notifications, &places)?;
    put_alarms(&writing.conn, &batch.alarms)?;
    let at = batch.at.or(batch.entries.last().map(|decided| decided.taken_at));
    put_rejected(&writing.conn, &batch.rejected, at.unwrap_or_default())
}

fn put_entries(writing: &mut Writing, entries: &[DecidedEntry]) -> Outcome<Places> {
    let Writing { conn, names, buffer, .. } = writing;
    let mut insert = conn.prepare_cached(
        "INSERT INTO entries
         (id, origin, repo, identity, ordinal, revises, taken_at, matched, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
    )?;
    // A revision that was put down before changes nothing.
    let mut revise = conn.prepare_cached(
        "UPDATE entries SET origin = ?2, repo = ?3, identity = ?4, ordinal = ?5, revises = ?6,
         taken_at = ?7, matched = ?8, fields = ?9 WHERE id = ?1 AND identity <> ?4",
    )?;
    let mut places = Places::with_capacity(entries.len());
    let mut counts: HashMap<&str, (u64, Timestamp)> = HashMap::new();
    for decided in entries {
        let entry = &*decided.entry;
        let matched = (!decided.matched.is_empty())
            .then(|| serde_json::to_string(&decided.matched))
            .transpose()?;
        let values = params![
            entry.id.0,
            names.repo(conn, &entry.source, &entry.asked_repo)?,
            names.name(conn, entry.repo())?,
            entry.identity.0,
            entry.ordinal,
            entry.revises,
            ms(decided.taken_at),
            matched,
            json_into(buffer, &entry.row)?,
        ];
        let revised = entry.revises && revise.execute(values)? > 0;
        let inserted = !revised && insert.execute(values)? > 0;
        if inserted {
            places.insert(entry.id, conn.last_insert_rowid());
        }
        if revised || inserted {
            for rule in &decided.matched {
                let (matched, last_at) = counts.entry(rule).or_insert((0, decided.taken_at));
                *matched += 1;
                *last_at = decided.taken_at;
            }
        }
    }
    count_matches(conn, &counts)?;
    Ok(places)
}

fn count_matches(conn: &Connection, counts: &HashMap<&str, (u64, Timestamp)>) -> Outcome<()> {
    let mut add = conn.prepare_cached(
        "INSERT INTO rule_counts (rule, matched, last_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (rule) DO UPDATE
         SET matched = rule_counts.matched + excluded.matched, last_at = excluded.last_at",
    )?;
    for (rule, &(matched, last_at)) in counts {
        add.execute(params![rule, number(matched), ms(last_at)])?;
    }
    Ok(())
}

fn put_state(conn: &Connection, changes: &[StateChange]) -> Outcome<()> {
    for change in changes {
        match change {
            StateChange::Put { name, record } => conn
                .prepare_cached(
                    "INSERT INTO state (name, record) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET record = excluded.record",
                )?
                .execute(params![name, record])?,
            StateChange::Remove { name } => {
                conn.prepare_cached("DELETE FROM state WHERE name = ?1")?.execute([name])?
            }
        };
    }
    Ok(())
}

pub(super) fn put_notifications(
    writing: &mut Writing,
    notifications: &[NewNotification],
    places: &Places,
) -> Outcome<()> {
    let Writing { conn, names, buffer, .. } = writing;
    let mut put_message = conn.prepare_cached(
        "INSERT INTO messages (id, entry, source, reason, severity, count, held_by, key, entries,
         key_json, format, payload, told, follows)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT (id) DO NOTHING",
    )?;
    let mut put_row = conn.prepare_cached(
        "INSERT INTO outbox (seq, receiver, rule, key, state, live, created_at, due_at, ended_at,
         behind) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut entries = Vec::new();
    for new in notifications {
        let created_at = ms(new.created_at);
        if new.payload.is_none() && new.held_by.is_none() {
            return Err(Failure::Bug(format!("notification {} has nothing to send", new.id)));
        }
        let first = new.entries.first().map(|&id| place_of(conn, places, id)).transpose()?;
        entries.clear();
        entries.extend(new.entries.iter().flat_map(|id| id.0));
        let put = put_message.execute(params![
            new.id.0,
            first.flatten(),
            names.name(conn, &new.source)?,
            new.reason.code(),
            new.severity.code(),
            number(new.count),
            new.held_by.map(Coded::code),
            new.key,
            entries,
            json_into(buffer, &new.key_json)?,
            new.payload.as_ref().map(|payload| payload.format.code()),
            new.payload.as_ref().map(|payload| Utf8(payload.body.as_bytes())),
            (new.told != crate::ports::Told::default())
                .then(|| serde_json::to_string(&new.told))
                .transpose()?,
            new.follows.map(|id| id.0),
        ])?;
        if put == 0 {
            continue;
        }
        let seq = conn.last_insert_rowid();
        let receiver = names.name(conn, &new.receiver)?;
        let key = short_key(&new.key);
        let held = new.held_by.is_some();
        let behind = if held { None } else { line::last(conn, receiver, key)? };
        let state = if held { NotificationState::Held } else { NotificationState::Pending };
        put_row.execute(params![
            seq,
            receiver,
            names.name(conn, &new.rule)?,
            key,
            state.code(),
            !held,
            created_at,
            (!held && behind.is_none()).then_some(created_at),
            held.then_some(created_at),
            behind,
        ])?;
        if !held {
            line::join(conn, seq, receiver, key, behind)?;
        }
        put_tells(conn, places, seq, new)?;
    }
    Ok(())
}

/// The entries of a message after its first.
fn put_tells(conn: &Connection, places: &Places, seq: i64, new: &NewNotification) -> Outcome<()> {
    for &id in new.entries.iter().skip(1) {
        if let Some(entry) = place_of(conn, places, id)? {
            conn.prepare_cached(
                "INSERT INTO tells (message, entry) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute([seq, entry])?;
        }
    }
    Ok(())
}

fn place_of(conn: &Connection, places: &Places, id: EntryId) -> Outcome<Option<i64>> {
    if let Some(&seq) = places.get(&id) {
        return Ok(Some(seq));
    }
    let mut find = conn.prepare_cached("SELECT seq FROM entries WHERE id = ?1")?;
    Ok(find.query_row([id.0], |row| row.get(0)).optional()?)
}

fn put_alarms(conn: &Connection, changes: &[AlarmChange]) -> Outcome<()> {
    for change in changes {
        match change {
            AlarmChange::Began(Alarm { kind, about, message, since }) => conn
                .prepare_cached(
                    "INSERT INTO alarms (kind, about, since, message) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (kind, about) DO UPDATE
                     SET since = excluded.since, message = excluded.message",
                )?
                .execute(params![kind.name(), &**about, ms(*since), message])?,
            AlarmChange::Over(kind, about) => conn
                .prepare_cached("DELETE FROM alarms WHERE kind = ?1 AND about = ?2")?
                .execute([kind.name(), &**about])?,
        };
    }
    Ok(())
}

fn put_rejected(
    conn: &Connection,
    rejected: &[(RepoKey, Rejected)],
    seen_at: Timestamp,
) -> Outcome<()> {
    let mut put = conn.prepare_cached(
        "INSERT INTO rejected (hash, source, repo, raw, reason, seen_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (hash) DO NOTHING",
    )?;
    for (key, row) in rejected {
        let mut hasher = FieldHasher::new("rejected");
        hasher.text(&key.source);
        hasher.text(&key.repo);
        hasher.text(&row.raw);
        put.execute(params![
            hasher.finish(),
            &*key.source,
            &*key.repo,
            row.raw,
            row.reason,
            ms(seen_at),
        ])?;
    }
    Ok(())
}
