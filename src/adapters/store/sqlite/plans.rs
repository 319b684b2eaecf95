//! How SQLite goes about the statements whose cost must not grow with what was delivered. A plan
//! that scans a table, or sorts, is a failure here long before it is one in production.

use std::path::Path;

use rusqlite::Connection;

use super::{claim, cursors, follow, hand_over, line, open, outbox, query, retell};

fn plan(conn: &Connection, sql: &str) -> String {
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = explain.raw_query().mapped(|row| row.get::<_, String>(3));
    steps.map(|step| step.unwrap() + "\n").collect()
}

fn with_database(test: impl FnOnce(&Connection)) {
    let folder = tempfile::tempdir().unwrap();
    let opened = open::open_writer(&folder.path().join("bell.db"), None).unwrap();
    test(&opened.conn);
}

fn assert_plan(conn: &Connection, sql: &str, wanted: &[&str]) {
    let plan = plan(conn, sql);
    for words in wanted {
        assert!(plan.contains(words), "wanted {words}:\n{sql}\n{plan}");
    }
    assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "sorts:\n{sql}\n{plan}");
    let tables = ["outbox", "messages", "o", "m", "entries", "staged", "tells"];
    let scans = plan.lines().filter(|line| {
        let scanned = line.strip_prefix("SCAN ").map(|rest| rest.split(' ').next());
        scanned.flatten().is_some_and(|table| tables.contains(&table)) && !line.contains("COVERING")
    });
    assert_eq!(scans.collect::<Vec<_>>(), [""; 0], "scans a table:\n{sql}\n{plan}");
}

#[test]
fn deliveries_read_the_partial_indexes_alone() {
    with_database(|conn| {
        let due = "COVERING INDEX outbox_due (receiver=? AND due_at>?)";
        assert_plan(conn, outbox::NEXT_DUE, &[due]);
        let due = "SEARCH o USING INDEX outbox_due (receiver=? AND due_at>? AND due_at<?)";
        assert_plan(conn, claim::DUE, &[due, "SEARCH m USING INTEGER PRIMARY KEY"]);
        let by_seq = "SEARCH outbox USING INTEGER PRIMARY KEY (rowid=?)";
        assert_plan(conn, line::LAST, &["PRIMARY KEY (receiver=? AND key=?)"]);
        assert_plan(conn, line::ADVANCE, &[by_seq]);
        let due =
            "SEARCH outbox USING COVERING INDEX outbox_due (receiver=? AND due_at>? AND due_at<?)";
        assert_plan(conn, claim::TAKE, &[by_seq, due]);
        assert_plan(conn, claim::ONE, &["SEARCH o USING INTEGER PRIMARY KEY (rowid=?)"]);
        let waiting = "o USING INDEX outbox_live (receiver=?)";
        assert_plan(conn, hand_over::WAITING, &[waiting]);
        assert_plan(conn, retell::KEPT, &["SEARCH o USING INTEGER PRIMARY KEY (rowid=?)"]);
        let dead = "INDEX outbox_dead (receiver=? AND rowid>?)";
        assert_plan(conn, outbox::DEAD, &[dead]);
        assert_plan(conn, outbox::ORPHANS, &["INDEX outbox_live (receiver=?)"]);
        let later = "INDEX messages_follows (follows=? AND rowid<?)";
        let attempts = "SEARCH a USING PRIMARY KEY (message=?)";
        assert_plan(conn, follow::LATER, &[later, attempts]);
        assert_plan(conn, follow::FIRST, &["INDEX messages_id (id=?", attempts]);
    });
}

#[test]
fn what_the_api_asks_reads_indexes() {
    with_database(|conn| {
        let live = "COVERING INDEX outbox_live";
        assert_plan(conn, query::COUNTS, &[live, "COVERING INDEX outbox_dead"]);
        let telling = ["messages_entry (entry=?)", "tells_entry (entry=?)"];
        assert_plan(conn, query::TELLING, &telling);
        assert_plan(conn, cursors::SEALED, &["INDEX staged_oldest (repo=?)"]);
    });
}

#[test]
fn a_file_that_was_migrated_once_is_not_migrated_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bell.db");
    let version = |path: &Path| {
        let opened = open::open_writer(path, None).unwrap();
        opened.conn.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((version(&path), version(&path)), (5, 5));
}
