//! Names and repositories by number: receivers, rules and repositories recur in every row, and a
//! small number makes rows and indexes narrow.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, OptionalExtension};

use crate::ports::RepoKey;

use super::error::Outcome;

/// The most numbers that are remembered; beyond it the memory is begun afresh.
const REMEMBERED: usize = 20_000;

/// What the writer remembers of `names` and `repos`. To be forgotten whenever a transaction is
/// rolled back, since the numbers may be among what was rolled back.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: HashMap<Box<str>, i64>,
    repos: HashMap<RepoKey, i64>,
}

impl Names {
    pub(super) fn forget(&mut self) {
        self.names.clear();
        self.repos.clear();
    }

    /// The number of a name, given now where it had none.
    pub(super) fn name(&mut self, conn: &Connection, name: &str) -> Outcome<i64> {
        if let Some(&id) = self.names.get(name) {
            return Ok(id);
        }
        let id = match find_name(conn, name)? {
            Some(id) => id,
            None => conn.prepare_cached("INSERT INTO names (name) VALUES (?1)")?.insert([name])?,
        };
        if self.names.len() >= REMEMBERED {
            self.names.clear();
        }
        self.names.insert(name.into(), id);
        Ok(id)
    }

    /// The number of a repository of a source, given now where it had none.
    pub(super) fn repo(
        &mut self,
        conn: &Connection,
        source: &Arc<str>,
        repo: &Arc<str>,
    ) -> Outcome<i64> {
        let key = RepoKey { source: source.clone(), repo: repo.clone() };
        if let Some(&id) = self.repos.get(&key) {
            return Ok(id);
        }
        let id = match find_repo(conn, &key)? {
            Some(id) => id,
            None => conn
                .prepare_cached("INSERT INTO repos (source, repo) VALUES (?1, ?2)")?
                .insert([&**source, &**repo])?,
        };
        if self.repos.len() >= REMEMBERED {
            self.repos.clear();
        }
        self.repos.insert(key, id);
        Ok(id)
    }
}

/// The number of a name that has one.
pub(super) fn find_name(conn: &Connection, name: &str) -> Outcome<Option<i64>> {
    let mut find = conn.prepare_cached("SELECT id FROM names WHERE name = ?1")?;
    Ok(find.query_row([name], |row| row.get(0)).optional()?)
}

/// The number of a repository that has one.
pub(super) fn find_repo(conn: &Connection, key: &RepoKey) -> Outcome<Option<i64>> {
    let mut find = conn.prepare_cached("SELECT id FROM repos WHERE source = ?1 AND repo = ?2")?;
    Ok(find.query_row([&*key.source, &*key.repo], |row| row.get(0)).optional()?)
}
