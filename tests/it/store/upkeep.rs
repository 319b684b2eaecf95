//! Retention and the probe.

use triggerbell::{
    domain::{entry::WallTime, notification::HeldBy},
    ports::{Batch, EntryQuery, Known, NotificationQuery, Rejected, Retention, SettleAs, Store},
};

use super::{Home, about, at, decided, entry, failed_until, id, moved, number, shop_api};

fn before(entries: i64, notifications: i64, limit: usize) -> Retention {
    Retention { entries_before: at(entries), notifications_before: at(notifications), limit }
}

/// Retains to the end; says how many steps it took.
async fn retain(home: &Home, retention: Retention) -> u32 {
    let mut steps = 1;
    while home.retain(retention).await.unwrap() {
        steps += 1;
    }
    steps
}

async fn kept_notifications(home: &Home) -> Vec<u32> {
    let query = NotificationQuery { limit: 500, ..NotificationQuery::default() };
    let list = home.notifications(query).await.unwrap();
    list.items.iter().rev().map(|view| number(view.id)).collect()
}

async fn kept_entries(home: &Home) -> Vec<i64> {
    let list = home.entries(EntryQuery { limit: 500, ..EntryQuery::default() }).await.unwrap();
    list.items.iter().rev().map(|view| view.entry.row.wall_time.0 - 1_000).collect()
}

async fn deliver_all(home: &Home, now: i64) {
    for delivery in home.claim_for("ops", 500, at(now)).await {
        home.settle_as(&delivery, SettleAs::Delivered, at(now)).await;
    }
}

#[tokio::test]
async fn old_rows_go_in_bounded_steps_and_young_ones_stay() {
    let home = Home::new();
    let entries = (1..=40).map(|n| decided(entry(n, "v"), &[])).collect();
    let notifications = (1..=40).map(|n| about(n, "ops", &format!("k{n}"))).collect();
    home.commit(Batch { entries, notifications, ..Batch::default() }).await.unwrap();
    for n in 1..=40 {
        let claimed = home.claim_for("ops", 1, at(n)).await;
        home.settle_as(&claimed[0], SettleAs::Delivered, at(n)).await;
    }
    let steps = retain(&home, before(21, 31, 7)).await;
    assert!(steps >= 7, "{steps}");
    assert_eq!(kept_entries(&home).await, (21..=40).collect::<Vec<_>>());
    assert_eq!(kept_notifications(&home).await, (31..=40).collect::<Vec<_>>());
    // A later round begins anew.
    retain(&home, before(40, 40, 7)).await;
    assert_eq!(kept_entries(&home).await, [40]);
    assert_eq!(kept_notifications(&home).await, [40]);
}

#[tokio::test]
async fn what_waits_is_never_touched_however_old() {
    let home = Home::new();
    let (mut held, mut waiting) = (about(3, "ops", "h"), about(4, "ops", "w"));
    (held.held_by, held.payload) = (Some(HeldBy::Shadow), None);
    waiting.entries = vec![entry(1, "told").id];
    let notifications = vec![about(1, "ops", "s"), about(2, "ops", "r"), held, waiting];
    let entries = vec![decided(entry(1, "told"), &[]), decided(entry(2, "untold"), &[])];
    home.commit(Batch { entries, notifications, ..Batch::default() }).await.unwrap();
    let claimed = home.claim_for("ops", 2, at(9)).await;
    home.settle_as(&claimed[1], failed_until(at(900_000)), at(9)).await;

    retain(&home, before(800_000, 800_000, 3)).await;
    assert_eq!(kept_notifications(&home).await, [1, 2, 4], "only what was held is old");
    assert_eq!(kept_entries(&home).await, [1], "a waiting notification tells of it");
    home.settle_as(&claimed[0], SettleAs::Delivered, at(700_000)).await;
    assert_eq!(home.claim_for("ops", 9, at(900_000)).await.len(), 2);
}

#[tokio::test]
async fn an_entry_stays_while_a_kept_notification_tells_of_it() {
    let home = Home::new();
    let mut told = about(500, "ops", "a");
    told.entries = vec![entry(1, "v").id, entry(2, "v").id, entry(4, "v").id];
    let entries = (1..=5).map(|n| decided(entry(n, "v"), &[])).collect();
    home.commit(Batch { entries, notifications: vec![told], ..Batch::default() }).await.unwrap();
    deliver_all(&home, 600).await;
    retain(&home, before(1_000, 0, 2)).await;
    assert_eq!(kept_entries(&home).await, [1, 2, 4]);
    assert_eq!(home.entry(entry(4, "v").id).await.unwrap().unwrap().notifications, [id(500)]);
    retain(&home, before(1_000, 1_000, 2)).await;
    assert_eq!(kept_entries(&home).await, [] as [i64; 0]);
}

#[tokio::test]
async fn an_entry_that_was_revised_lately_is_young() {
    let home = Home::new();
    let mut revised = entry(1, "v");
    revised.row.return_code = Some(0);
    (revised.identity, revised.revises) = (revised.row.identity(), true);
    let entries = (1..=3).map(|n| decided(entry(n, "v"), &[])).collect();
    home.commit(Batch { entries, ..Batch::default() }).await.unwrap();
    let mut decided = decided(revised, &[]);
    decided.taken_at = at(500);
    home.commit(Batch { entries: vec![decided], ..Batch::default() }).await.unwrap();
    retain(&home, before(400, 400, 9)).await;
    assert_eq!(kept_entries(&home).await, [1]);
    retain(&home, before(501, 400, 9)).await;
    assert_eq!(kept_entries(&home).await, [] as [i64; 0]);
}

#[tokio::test]
async fn windows_and_sealed_rows_outlive_their_entries() {
    let home = Home::new();
    let first = entry(1, "v");
    let mut step = moved(Default::default());
    step.known = vec![Known {
        wall: first.row.wall_time,
        identity: first.identity,
        copies: 1,
        next_ordinal: 1,
    }];
    let entries = vec![decided(first, &["prod"])];
    home.commit(Batch { cursors: vec![step], entries, ..Batch::default() }).await.unwrap();
    home.stage(&shop_api(), vec![entry(3, "v"), entry(2, "v")]).await.unwrap();
    let mut step = moved(Default::default());
    (step.seal, step.forget_before) = (true, WallTime(1_000));
    home.commit(Batch { cursors: vec![step], ..Batch::default() }).await.unwrap();

    retain(&home, before(900_000, 900_000, 9)).await;
    assert_eq!(kept_entries(&home).await, [] as [i64; 0]);
    assert_eq!(home.window(&shop_api()).await.unwrap().len(), 3);
    assert_eq!(home.sealed(&shop_api(), 9).await.unwrap().len(), 2);
    assert_eq!(home.rule_counts().await.unwrap()[0].matched, 1);
}

#[tokio::test]
async fn rejected_rows_grow_old_too() {
    let home = Home::new();
    for n in [1, 50] {
        let row = Rejected { raw: n.to_string(), reason: "not a row".to_owned() };
        let rejected = vec![(shop_api(), row)];
        home.commit(Batch { rejected, at: Some(at(n)), ..Batch::default() }).await.unwrap();
    }
    retain(&home, before(50, 50, 9)).await;
    assert_eq!(home.rejected(None, 9).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn freed_pages_are_used_again() {
    let home = Home::new();
    let size = || {
        let file = rusqlite::Connection::open(home.folder.path().join("bell.db")).unwrap();
        file.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut after_first = 0;
    for round in 0..4_u32 {
        let from = round * 2_000;
        let new = |n: u32| about(from + n, "ops", &format!("k{}", n % 97));
        home.put((0..2_000).map(new).collect()).await;
        let now = i64::from(from) + 2_000;
        let mut left = 2_000;
        while left > 0 {
            let claimed = home.claim_for("ops", 500, at(now)).await;
            left -= claimed.len();
            let delivered =
                claimed.iter().map(|row| super::settlement(row, SettleAs::Delivered, at(now)));
            home.settle(delivered.collect(), None).await.unwrap();
        }
        retain(&home, before(now + 1, now + 1, 500)).await;
        if round == 1 {
            after_first = size();
        }
    }
    assert!(size() < after_first * 3 / 2, "{} after {after_first}", size());
    assert_eq!(kept_notifications(&home).await, [] as [u32; 0]);
}

#[tokio::test]
async fn a_probe_writes_and_changes_nothing() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    home.probe().await.unwrap();
    home.probe().await.unwrap();
    assert_eq!(kept_notifications(&home).await, [1]);
}

#[tokio::test]
async fn the_log_is_copied_back_while_it_is_written_and_stays_bounded() {
    let home = Home::new();
    let size = |name: &str| std::fs::metadata(home.folder.path().join(name)).unwrap().len();
    let large = |n: u32| {
        let mut new = about(n, "ops", &format!("k{n}"));
        let body = serde_json::json!({ "text": "x".repeat(64 * 1024) }).to_string();
        new.payload.as_mut().unwrap().body = body;
        new
    };
    let mut longest = 0;
    for n in 0..1_200 {
        home.put(vec![large(n)]).await;
        longest = longest.max(size("bell.db-wal"));
    }
    let (mib, written) = (1024 * 1024, size("bell.db"));
    assert!(longest <= 40 * mib, "a log of {} MiB", longest / mib);
    assert!(written >= 40 * mib, "of 75 MiB only {} are in the file", written / mib);
    home.close().await;
    assert!(!home.folder.path().join("bell.db-wal").exists(), "the last one clears the log");
    let home = home.reopened();
    assert_eq!(home.claim_for("ops", 2_000, at(2_000)).await.len(), 1_200);
}
