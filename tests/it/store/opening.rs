//! Opening, closing, and files that can't be used.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use triggerbell::{
    adapters::store::{SqliteSettings, SqliteStore},
    domain::{
        digest::Pressure,
        notification::{NotificationState, Reason},
        pace::Pace,
    },
    ports::{
        Batch, Event, Folding, Observer, Retention, SettleAs, Store, StoreError, StoreErrorKind,
    },
};

use super::{Home, Nobody, about, at, id, numbers, open};

fn refusal(path: &Path) -> StoreError {
    let error = SqliteStore::open(&SqliteSettings::at(path), Arc::new(Nobody)).unwrap_err();
    assert!(error.message.contains(&*path.to_string_lossy()), "names the path: {error}");
    error
}

#[tokio::test]
async fn a_second_open_of_the_same_file_is_refused_until_the_first_is_closed() {
    let home = Home::new();
    let path = home.folder.path().join("bell.db");
    let error = refusal(&path);
    assert_eq!(error.kind, StoreErrorKind::Locked);
    assert!(error.message.contains("another triggerbell"), "{error}");
    // The refused one took nothing from the first.
    home.put(vec![about(1, "ops", "a")]).await;
    assert_eq!(refusal(&path).kind, StoreErrorKind::Locked);

    home.store.close().await;
    let again = open(path);
    assert_eq!(again.outbox().await.unwrap()[0].waiting, 1);
}

/// Where [`a_child_holds_a_store`] finds its file.
const CHILD_FILE: &str = "TRIGGERBELL_TEST_CHILD_FILE";

#[test]
#[ignore = "started by the test below, in a process of its own"]
fn a_child_holds_a_store() {
    let Some(path) = std::env::var_os(CHILD_FILE) else { return };
    let _store = open(path.into());
    println!("open");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn another_processs_file_is_refused_until_that_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bell.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::opening::a_child_holds_a_store", "--ignored", "--nocapture"])
        .env(CHILD_FILE, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.map_while(Result::ok).any(|line| line.ends_with("open")), "the child opens it");
    let refused = refusal(&path);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(refused.kind, StoreErrorKind::Locked);
    open(path);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_an_open_file_is_the_same_file() {
    let home = Home::new();
    let link = home.folder.path().join("link.db");
    std::os::unix::fs::symlink(home.folder.path().join("bell.db"), &link).unwrap();
    let error = SqliteStore::open(&SqliteSettings::at(&link), Arc::new(Nobody)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Locked);
}

#[cfg(unix)]
#[tokio::test]
async fn a_hard_link_to_an_open_file_is_the_same_file() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("other.db");
    fs::hard_link(home.folder.path().join("bell.db"), &link).unwrap();
    let error = refusal(&link);
    assert_eq!(error.kind, StoreErrorKind::Locked);
    assert!(error.message.contains("in use by another triggerbell"), "{error}");
    // The refused one took nothing from the first.
    home.put(vec![about(2, "ops", "b")]).await;
    home.store.close().await;
    assert_eq!(open(link).outbox().await.unwrap()[0].waiting, 2);
}

#[tokio::test]
async fn a_lock_file_that_somebody_removed_lets_nobody_in() {
    let home = Home::new();
    let path = home.folder.path().join("bell.db");
    fs::remove_file(home.folder.path().join("bell.db.lock")).unwrap();
    assert_eq!(refusal(&path).kind, StoreErrorKind::Locked);
    home.put(vec![about(1, "ops", "a")]).await;
    home.store.close().await;
    assert_eq!(open(path).outbox().await.unwrap()[0].waiting, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_were_taken_away_are_noticed_while_they_are_written_to() {
    let at_once = Retention { entries_before: at(0), notifications_before: at(0), limit: 9 };
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("bell.db", |file| fs::remove_file(file).unwrap()),
        ("bell.db-wal", |file| fs::remove_file(file).unwrap()),
        ("bell.db", |file| fs::rename(file, file.with_extension("old")).unwrap()),
        ("bell.db", |file| {
            fs::copy(file, file.with_extension("copy")).unwrap();
            fs::rename(file.with_extension("copy"), file).unwrap();
        }),
    ];
    for (name, change) in changes {
        let home = Home::new();
        home.probe().await.unwrap();
        home.put(vec![about(1, "ops", "a")]).await;
        home.probe().await.unwrap();
        home.retain(at_once).await.unwrap();
        let file = home.folder.path().join(name);
        change(&file);
        for error in [home.probe().await.unwrap_err(), home.retain(at_once).await.unwrap_err()] {
            assert_eq!(error.kind, StoreErrorKind::Io, "{error}");
            assert!(error.message.contains("removed or replaced"), "{error}");
            let named = file.canonicalize().unwrap_or(file.clone());
            assert!(error.message.contains(&*named.to_string_lossy()), "{error}");
        }
        // What it has in hand goes on meanwhile.
        home.put(vec![about(2, "ops", "b")]).await;
    }
}

#[tokio::test]
async fn two_files_are_two_stores() {
    let (one, other) = (Home::new(), Home::new());
    one.put(vec![about(1, "ops", "a")]).await;
    assert_eq!(other.outbox().await.unwrap(), []);
}

/// The file of the first version, with one message in hand, one behind it, and one of another key.
fn of_the_first_version(path: &Path) {
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute_batch(include_str!("../../../src/adapters/store/migrations/0001_first.sql"))
        .unwrap();
    let (a, b) = ("61000000000000000000000000000000", "62000000000000000000000000000000");
    let (short_a, short_b) = (0x6100_0000_0000_0000_u64, 0x6200_0000_0000_0000_u64);
    file.execute_batch("INSERT INTO names (id, name) VALUES (1, 'ops'), (2, 'prod'), (3, 'shop')")
        .unwrap();
    for (seq, key, short, state, due, behind, next, attempts) in [
        (1, a, short_a, 1, "5", "NULL", "2", 1),
        (2, a, short_a, 0, "NULL", "1", "NULL", 0),
        (3, b, short_b, 0, "6", "NULL", "NULL", 0),
    ] {
        file.execute_batch(&format!(
            "INSERT INTO messages (seq, id, source, reason, severity, count, key, entries, key_json,
             format, payload) VALUES ({seq}, x'{seq:032x}', 3, 0, 0, 1, x'{key}', x'', '{{}}', 0, '{{}}');
             INSERT INTO outbox (seq, receiver, rule, key, state, live, created_at, due_at, behind,
             next, attempts) VALUES ({seq}, 1, 2, {}, {state}, 1, 5, {due}, {behind}, {next}, {attempts})",
            short.cast_signed()
        ))
        .unwrap();
    }
    file.execute_batch(&format!(
        "INSERT INTO lines (receiver, key, last) VALUES (1, {}, 2), (1, {}, 3);
         PRAGMA application_id = {}; PRAGMA user_version = 1;",
        short_a.cast_signed(),
        short_b.cast_signed(),
        0x5442_656c
    ))
    .unwrap();
}

#[tokio::test]
async fn what_waits_in_a_file_of_the_first_version_is_sent_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    of_the_first_version(&folder.path().join("bell.db"));
    let home = Home { store: open(folder.path().join("bell.db")), folder };
    assert_eq!(home.release_claims(at(0)).await.unwrap(), 1, "what was in hand waits again");
    let claimed = home.claim_for("ops", 9, at(1)).await;
    assert_eq!(numbers(&claimed), [1, 3], "the second of a key waits for the first");
    assert_eq!(claimed[0].attempt, 2, "the attempt of then counts");
    home.settle_as(&claimed[0], SettleAs::Delivered, at(2)).await;
    home.put(vec![about(4, "ops", "a")]).await;
    let home = home.reopened();
    assert_eq!(numbers(&home.claim_for("ops", 9, at(9)).await), [2], "and the newest behind both");
}

#[tokio::test]
async fn what_waits_in_a_file_of_the_first_version_folds() {
    let folder = tempfile::tempdir().unwrap();
    of_the_first_version(&folder.path().join("bell.db"));
    let home = Home { store: open(folder.path().join("bell.db")), folder };
    home.release_claims(at(0)).await.unwrap();
    let pace = Pace { count: 1, per: std::time::Duration::from_secs(60) };
    let fold = triggerbell::ports::Fold {
        receiver: "ops".into(),
        now: at(1),
        pressure: Pressure { pace, after: pace.per },
        folded_at: None,
        compose: Arc::new(|digest, _| triggerbell::ports::NewNotification {
            told: Default::default(),
            id: digest.id,
            reason: Reason::Digest,
            ..about(0, "ops", "digest")
        }),
    };
    assert_eq!(home.fold(fold).await.unwrap(), Folding::Folded(3));
    let claimed = home.claim_for("ops", 9, at(2)).await;
    assert_eq!((claimed.len(), claimed[0].reason), (1, Reason::Digest));
    assert_eq!(home.state_of(id(2)).await, NotificationState::Folded);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let home = Home::new();
    home.store.close().await;
    home.store.close().await;
    let calls = [
        home.probe().await.unwrap_err(),
        home.outbox().await.unwrap_err(),
        home.next_due("ops").await.unwrap_err(),
        home.commit(Batch::default()).await.unwrap_err(),
    ];
    assert!(calls.iter().all(|error| error.kind == StoreErrorKind::Closed), "{calls:?}");
}

#[tokio::test]
async fn closing_copies_the_log_back_and_leaves_one_file_with_everything() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    home.store.close().await;
    let wal = home.folder.path().join("bell.db-wal");
    assert!(!wal.exists(), "the log is gone");

    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.db");
    fs::copy(home.folder.path().join("bell.db"), &copy).unwrap();
    assert_eq!(open(copy).outbox().await.unwrap()[0].waiting, 1);
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let home = Home::new();
    for n in 1..=20 {
        home.put(vec![about(n, "ops", &format!("k{n}"))]).await;
        let claimed = home.claim_for("ops", 1, at(99)).await;
        let killed = home.as_if_killed();
        assert_eq!(killed.state_of(id(n)).await, NotificationState::Sending);
        assert_eq!(killed.release_claims(at(99)).await.unwrap(), u64::from(n));
        assert_eq!(numbers(&claimed), [n]);
    }
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "buy milk, and then some more milk").unwrap();
    let error = refusal(&path);
    assert_eq!(error.kind, StoreErrorKind::Damaged);
    assert!(error.message.contains("no SQLite database"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "buy milk, and then some more milk");
}

#[test]
fn another_programs_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE orders (id INTEGER)").unwrap();
    drop(other);
    let error = refusal(&path);
    assert_eq!(error.kind, StoreErrorKind::Damaged);
    assert!(error.message.contains("another program"), "{error}");
}

#[tokio::test]
async fn a_later_versions_file_is_refused() {
    let home = Home::new();
    home.store.close().await;
    let path = home.folder.path().join("bell.db");
    let later = rusqlite::Connection::open(&path).unwrap();
    later.execute_batch("PRAGMA user_version = 7000").unwrap();
    drop(later);
    let error = refusal(&path);
    assert_eq!(error.kind, StoreErrorKind::Damaged);
    assert!(error.message.contains("7000"), "{error}");
}

#[tokio::test]
async fn a_torn_file_is_refused() {
    let home = Home::new();
    home.put((0..500).map(|n| about(n, "ops", &format!("k{n}"))).collect()).await;
    home.store.close().await;
    let path = home.folder.path().join("bell.db");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = refusal(&path);
    assert_eq!(error.kind, StoreErrorKind::Damaged);
    assert!(error.message.contains("restore a backup"), "{error}");
}

#[tokio::test]
async fn damage_that_is_met_later_is_told_as_such() {
    let home = Home::new();
    home.put((0..3_000).map(|n| about(n, "ops", &format!("k{n}"))).collect()).await;
    home.store.close().await;
    let path = home.folder.path().join("bell.db");
    let mut bytes = fs::read(&path).unwrap();
    // All but the first pages, which hold the schema.
    let keep = 48 * 8192;
    bytes[keep..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let store = open(path);
    let error = store.claim(super::wish("ops", 3_000, at(9_999))).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Damaged);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = refusal(&folder.path().join("no/such/bell.db"));
    assert_eq!(error.kind, StoreErrorKind::Io);
    assert!(error.message.contains("no/such; create it"), "{error}");
}

#[test]
fn a_folder_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refusal(folder.path()).kind, StoreErrorKind::Io);
}

#[cfg(unix)]
#[test]
fn a_file_of_messages_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    for name in ["bell.db", "bell.db-wal", "bell.db.lock"] {
        let mode = fs::metadata(home.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[tokio::test]
async fn a_full_store_refuses_loses_nothing_and_works_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { path: folder.path().join("bell.db"), max_pages: Some(150) };
    let store = SqliteStore::open(&settings, Arc::new(Nobody)).unwrap();
    let mut kept = 0;
    let error = loop {
        let notifications = vec![large(kept + 1)];
        match store.commit(Batch { notifications, ..Batch::default() }).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, StoreErrorKind::Full);
    assert!(error.message.contains("bell.db has no room"), "{error}");
    assert!(kept > 10);

    // What was acknowledged is there and can be delivered; ending it makes room.
    let claimed = store.claim(super::wish("ops", 9_999, at(9_999))).await.unwrap();
    assert_eq!(claimed.len(), kept as usize);
    let settled = claimed
        .iter()
        .map(|row| super::settlement(row, triggerbell::ports::SettleAs::Delivered, at(9_999)));
    store.settle(settled.collect(), None).await.unwrap();
    let retention =
        Retention { entries_before: at(99_999), notifications_before: at(99_999), limit: 50 };
    while store.retain(retention).await.unwrap() {}
    let notifications = vec![large(kept + 1)];
    store.commit(Batch { notifications, ..Batch::default() }).await.unwrap();
    assert_eq!(store.outbox().await.unwrap()[0].waiting, 1);
}

#[tokio::test]
async fn a_full_store_fails_all_that_shared_its_transaction_and_keeps_none_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { path: folder.path().join("bell.db"), max_pages: Some(90) };
    let store = SqliteStore::open(&settings, Arc::new(Nobody)).unwrap();
    let batch = |n| store.commit(Batch { notifications: vec![large(n)], ..Batch::default() });
    let answers = futures_util::future::join_all((1..=100).map(batch)).await;
    let mut refused = 0_u32;
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
        refused += 1;
    }
    assert!(refused > 0);
    let waiting = store.outbox().await.unwrap().first().map_or(0, |count| count.waiting);
    assert_eq!(waiting, u64::from(100 - refused), "exactly what was acknowledged");
}

/// A notification of two pages.
fn large(n: u32) -> triggerbell::ports::NewNotification {
    let mut new = about(n, "ops", &format!("k{n}"));
    new.payload.as_mut().unwrap().body = "x".repeat(16_000);
    new
}

#[derive(Default)]
struct Commits {
    commits: AtomicU64,
    requests: AtomicU64,
}

impl Observer for Commits {
    fn observe(&self, event: Event<'_>) {
        if let Event::Commit { requests, .. } = event {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.requests.fetch_add(requests, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn requests_that_wait_together_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let commits = Arc::new(Commits::default());
    let settings = SqliteSettings::at(folder.path().join("bell.db"));
    let store = SqliteStore::open(&settings, commits.clone()).unwrap();
    let batch = |n| {
        let notifications = vec![about(n, "ops", &format!("k{n}"))];
        store.commit(Batch { notifications, ..Batch::default() })
    };
    let answers = futures_util::future::join_all((1..=100).map(batch)).await;
    assert!(answers.iter().all(Result::is_ok));
    let (shared, requests) =
        (commits.commits.load(Ordering::Relaxed), commits.requests.load(Ordering::Relaxed));
    assert_eq!(requests, 100, "each is counted once");
    assert!(shared < 50, "{shared} commits for 100 requests");
}
