//! Cursors, windows, staging and sealing, and what one commit puts down.

use std::collections::BTreeMap;

use triggerbell::{
    domain::{
        decision::StateChange,
        entry::{Entry, Identity, WallTime},
        notification::NotificationState,
    },
    ports::{
        Batch, Cursor, Doubt, EntryQuery, Known, NotificationQuery, Rejected, RepoKey, Store,
        StoreErrorKind,
    },
};

use super::{Home, about, at, decided, entry, entry_of, id, moved, row, shop_api};

fn known(second: i64, identity: u8, copies: u32, next_ordinal: u32) -> Known {
    let identity = Identity([identity; 16]);
    Known { wall: WallTime(second), identity, copies, next_ordinal }
}

async fn window(home: &Home) -> BTreeMap<Identity, (i64, u32, u32)> {
    let rows = home.window(&shop_api()).await.unwrap().into_iter();
    rows.map(|row| (row.identity, (row.wall.0, row.copies, row.next_ordinal))).collect()
}

fn sealing(forget_before: WallTime) -> Batch {
    let mut step = moved(Cursor { sealed: true, ..Cursor::default() });
    (step.seal, step.forget_before) = (true, forget_before);
    Batch { cursors: vec![step], ..Batch::default() }
}

fn tags(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.row.tag.as_deref().unwrap()).collect()
}

#[tokio::test]
async fn a_cursor_and_its_window_last() {
    let home = Home::new();
    let (wall, reading) = (WallTime(7), Some(Identity([3; 16])));
    let doubt = Doubt { wall, reading, bits: 5, walks: 2, history: true };
    let cursor = Cursor {
        baseline_at: Some(at(1)),
        floor: WallTime(-5),
        newest: Some(WallTime(7)),
        head: Some(Identity([9; 16])),
        total: Some(12),
        walked_at: Some(at(3)),
        doubts: vec![doubt],
        sealed: false,
        since: Some(WallTime(5)),
        gone_at: Some(at(9)),
    };
    let mut step = moved(cursor.clone());
    step.known = vec![known(5, 1, 1, 1), known(7, 2, 2, 3)];
    home.commit(Batch { cursors: vec![step], ..Batch::default() }).await.unwrap();

    let home = home.reopened();
    assert_eq!(home.cursors("shop").await.unwrap(), [("shop/api".into(), cursor)]);
    assert_eq!(home.cursors("other").await.unwrap(), []);
    let expected = [(Identity([1; 16]), (5, 1, 1)), (Identity([2; 16]), (7, 2, 3))].into();
    assert_eq!(window(&home).await, expected);
    let nowhere = RepoKey { source: "other".into(), repo: "shop/api".into() };
    assert_eq!(home.window(&nowhere).await.unwrap(), []);
}

#[tokio::test]
async fn known_rows_are_replaced_by_what_is_new_and_forgotten_when_they_leave_the_window() {
    let home = Home::new();
    let mut step = moved(Cursor::default());
    step.known = vec![known(5, 1, 1, 1), known(6, 2, 1, 1), known(7, 3, 1, 1)];
    home.commit(Batch { cursors: vec![step], ..Batch::default() }).await.unwrap();
    let mut step = moved(Cursor::default());
    step.known = vec![known(6, 2, 0, 4), known(8, 4, 1, 1)];
    step.forget_before = WallTime(6);
    home.commit(Batch { cursors: vec![step], ..Batch::default() }).await.unwrap();
    let expected = [(2, (6, 0, 4)), (3, (7, 1, 1)), (4, (8, 1, 1))]
        .map(|(identity, row)| (Identity([identity; 16]), row));
    assert_eq!(window(&home).await, expected.into());
}

#[tokio::test]
async fn a_repository_that_was_only_staged_has_no_cursor() {
    let home = Home::new();
    home.stage(&shop_api(), vec![entry(1, "v1")]).await.unwrap();
    assert_eq!(home.cursors("shop").await.unwrap(), []);
    assert_eq!(home.sealed(&shop_api(), 9).await.unwrap(), []);
}

#[tokio::test]
async fn sealed_rows_come_oldest_first_and_within_a_second_against_the_walk() {
    let home = Home::new();
    // The walk goes from the newest: v5 first.
    home.stage(&shop_api(), vec![entry(9, "v5"), entry(8, "v4"), entry(8, "v3")]).await.unwrap();
    home.stage(&shop_api(), vec![entry(8, "v2"), entry(1, "v1")]).await.unwrap();
    home.commit(sealing(WallTime::MIN)).await.unwrap();
    // The next walk has not ended.
    home.stage(&shop_api(), vec![entry(12, "v6")]).await.unwrap();

    let home = home.reopened();
    let sealed = home.sealed(&shop_api(), 99).await.unwrap();
    assert_eq!(tags(&sealed), ["v1", "v2", "v3", "v4", "v5"]);
    assert_eq!(sealed[0], entry(1, "v1"));
    assert_eq!(tags(&home.sealed(&shop_api(), 2).await.unwrap()), ["v1", "v2"]);
    assert!(home.cursors("shop").await.unwrap()[0].1.sealed);

    home.clear_stage(&shop_api()).await.unwrap();
    assert_eq!(home.sealed(&shop_api(), 99).await.unwrap().len(), 5, "sealed rows stay");
    home.commit(sealing(WallTime::MIN)).await.unwrap();
    assert_eq!(home.sealed(&shop_api(), 99).await.unwrap().len(), 5, "v6 was forgotten");
}

#[tokio::test]
async fn a_later_walk_may_be_sealed_before_the_first_is_decided() {
    let home = Home::new();
    home.stage(&shop_api(), vec![entry(5, "v2"), entry(4, "v1")]).await.unwrap();
    home.commit(sealing(WallTime::MIN)).await.unwrap();
    home.stage(&shop_api(), vec![entry(9, "v4"), entry(3, "late")]).await.unwrap();
    home.commit(sealing(WallTime::MIN)).await.unwrap();
    assert_eq!(tags(&home.sealed(&shop_api(), 99).await.unwrap()), ["late", "v1", "v2", "v4"]);
}

#[tokio::test]
async fn a_long_walk_is_forgotten_whole() {
    let home = Home::new();
    let rows = (0..6_000).map(|n| entry(9_000 - n, "v1")).collect();
    home.stage(&shop_api(), rows).await.unwrap();
    home.clear_stage(&shop_api()).await.unwrap();
    home.commit(sealing(WallTime::MIN)).await.unwrap();
    assert_eq!(home.sealed(&shop_api(), 9).await.unwrap(), []);
}

#[tokio::test]
async fn sealing_makes_rows_known_that_are_still_in_the_window() {
    let home = Home::new();
    let twin = |ordinal| entry_of(&shop_api(), row(5, "twin"), ordinal);
    let twin_identity = twin(0).identity;
    let mut step = moved(Cursor::default());
    step.known = vec![Known {
        wall: twin(0).row.wall_time,
        identity: twin_identity,
        copies: 1,
        next_ordinal: 4,
    }];
    home.commit(Batch { cursors: vec![step], ..Batch::default() }).await.unwrap();

    home.stage(&shop_api(), vec![entry(9, "new"), twin(5), twin(4), entry(1, "old")])
        .await
        .unwrap();
    home.commit(sealing(WallTime(1_002))).await.unwrap();
    let new = entry(9, "new");
    let expected = [(twin_identity, (1_005, 3, 6)), (new.identity, (1_009, 1, 1))];
    assert_eq!(window(&home).await, expected.into());
    assert_eq!(home.sealed(&shop_api(), 9).await.unwrap().len(), 4, "all are to be decided");
}

#[tokio::test]
async fn sealing_a_row_that_gained_its_result_takes_it_from_the_rows_without() {
    let home = Home::new();
    let before = entry_of(&shop_api(), row(5, "v1"), 0);
    let mut step = moved(Cursor::default());
    step.known = vec![Known {
        wall: before.row.wall_time,
        identity: before.identity,
        copies: 2,
        next_ordinal: 2,
    }];
    home.commit(Batch { cursors: vec![step], ..Batch::default() }).await.unwrap();

    let mut after = before.clone();
    after.row.return_code = Some(1);
    (after.identity, after.revises) = (after.row.identity(), true);
    home.stage(&shop_api(), vec![after.clone()]).await.unwrap();
    home.commit(sealing(WallTime::MIN)).await.unwrap();
    let expected = [(before.identity, (1_005, 1, 2)), (after.identity, (1_005, 1, 1))];
    assert_eq!(window(&home).await, expected.into());
    assert_eq!(home.sealed(&shop_api(), 9).await.unwrap(), [after]);
}

#[tokio::test]
async fn deciding_sealed_rows_takes_them_away_and_no_others() {
    let home = Home::new();
    let rows = vec![entry(4, "v4"), entry(3, "v3"), entry(2, "v2"), entry(1, "v1")];
    home.stage(&shop_api(), rows).await.unwrap();
    home.commit(sealing(WallTime::MIN)).await.unwrap();
    let part = home.sealed(&shop_api(), 3).await.unwrap();
    let entries = part.into_iter().map(|entry| decided(entry, &[])).collect();
    home.commit(Batch { entries, unseal: true, ..Batch::default() }).await.unwrap();
    assert_eq!(tags(&home.sealed(&shop_api(), 9).await.unwrap()), ["v4"]);
    assert_eq!(
        home.entries(EntryQuery { limit: 9, ..EntryQuery::default() }).await.unwrap().items.len(),
        3
    );
}

#[tokio::test]
async fn a_batch_is_put_down_together() {
    let home = Home::new();
    let mut told = about(1, "ops", "a");
    told.entries = vec![entry(1, "v1").id];
    home.commit(Batch {
        cursors: vec![moved(Cursor { total: Some(1), ..Cursor::default() })],
        entries: vec![decided(entry(1, "v1"), &["prod", "all"]), decided(entry(2, "v2"), &[])],
        changes: vec![
            StateChange::Put { name: "incident/a".to_owned(), record: vec![0, 255] },
            StateChange::Put { name: "incident/b".to_owned(), record: vec![1] },
        ],
        notifications: vec![told],
        ..Batch::default()
    })
    .await
    .unwrap();

    let home = home.as_if_killed();
    assert_eq!(home.cursors("shop").await.unwrap()[0].1.total, Some(1));
    let view = home.entry(entry(1, "v1").id).await.unwrap().unwrap();
    assert_eq!((view.entry, view.taken_at), (entry(1, "v1"), at(1)));
    assert_eq!(view.matched, ["prod", "all"]);
    assert_eq!(view.notifications, [id(1)]);
    assert_eq!(home.entry(entry(2, "v2").id).await.unwrap().unwrap().matched, [""; 0]);
    let records = [("incident/a".to_owned(), vec![0, 255]), ("incident/b".to_owned(), vec![1])];
    assert_eq!(home.state().await.unwrap(), records);
    assert_eq!(home.state_of(id(1)).await, NotificationState::Pending);
    let changes = vec![StateChange::Remove { name: "incident/a".to_owned() }];
    home.commit(Batch { changes, ..Batch::default() }).await.unwrap();
    assert_eq!(home.state().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_batch_that_fails_leaves_nothing_behind() {
    let home = Home::new();
    let mut broken = about(1, "ops", "a");
    broken.payload = None;
    let batch = Batch {
        cursors: vec![moved(Cursor { total: Some(1), ..Cursor::default() })],
        entries: vec![decided(entry(1, "v1"), &["prod"])],
        notifications: vec![about(2, "ops", "b"), broken],
        ..Batch::default()
    };
    let error = home.commit(batch).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Bug);
    assert!(error.message.contains("bell.db"), "{error}");
    assert_eq!(home.cursors("shop").await.unwrap(), []);
    assert!(home.entry(entry(1, "v1").id).await.unwrap().is_none());
    assert_eq!(home.outbox().await.unwrap(), []);
    assert_eq!(home.rule_counts().await.unwrap(), []);

    // What the failed batch had numbered is numbered afresh.
    let entries = vec![decided(entry(1, "v1"), &["prod"])];
    let notifications = vec![about(2, "ops", "b")];
    home.commit(Batch { entries, notifications, ..Batch::default() }).await.unwrap();
    let view = home.notification(id(2)).await.unwrap().unwrap().0;
    assert_eq!((&*view.receiver, &*view.rule), ("ops", "prod-deploy-failed"));
    assert_eq!(home.entry(entry(1, "v1").id).await.unwrap().unwrap().entry, entry(1, "v1"));
}

#[tokio::test]
async fn one_batch_that_fails_takes_no_other_with_it() {
    let home = Home::new();
    let batch = |n: u32| {
        let mut new = about(n, "ops", &format!("k{n}"));
        if n.is_multiple_of(3) {
            new.payload = None;
        }
        home.commit(Batch { notifications: vec![new], ..Batch::default() })
    };
    let answers = futures_util::future::join_all((1..=90).map(batch)).await;
    for (n, answer) in (1..=90).zip(answers) {
        assert_eq!(answer.is_err(), n % 3 == 0, "{n}");
        assert_eq!(home.notification(id(n)).await.unwrap().is_some(), n % 3 != 0, "{n}");
    }
}

#[tokio::test]
async fn what_is_there_already_is_left_as_it_is() {
    let home = Home::new();
    let batch = |body: &str, matched: &[&str]| {
        let mut told = about(1, "ops", "a");
        told.payload.as_mut().unwrap().body = body.to_owned();
        told.entries = vec![entry(1, "v1").id];
        let entries = vec![decided(entry(1, "v1"), matched)];
        Batch { entries, notifications: vec![told], ..Batch::default() }
    };
    home.commit(batch("first", &["prod"])).await.unwrap();
    let claimed = home.claim_for("ops", 1, at(5)).await;
    home.commit(batch("second", &["prod", "all"])).await.unwrap();

    let (view, payload, _) = home.notification(id(1)).await.unwrap().unwrap();
    assert_eq!((view.seq, view.state), (claimed[0].seq, NotificationState::Sending));
    assert_eq!(payload.unwrap().body, "first");
    assert_eq!(home.entry(entry(1, "v1").id).await.unwrap().unwrap().matched, ["prod"]);
    let counts = home.rule_counts().await.unwrap();
    assert_eq!(counts.len(), 1);
    assert_eq!((&*counts[0].rule, counts[0].matched, counts[0].last_at), ("prod", 1, at(1)));
    let all = NotificationQuery { limit: 9, ..NotificationQuery::default() };
    assert_eq!(home.notifications(all).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_revision_replaces_its_entry_in_its_place() {
    let home = Home::new();
    let first = entry(1, "v1");
    let mut told = about(1, "ops", "a");
    told.entries = vec![first.id];
    home.commit(Batch {
        entries: vec![decided(first.clone(), &["unknown"]), decided(entry(2, "v2"), &[])],
        notifications: vec![told],
        ..Batch::default()
    })
    .await
    .unwrap();
    let mut revision = first.clone();
    revision.row.return_code = Some(1);
    (revision.identity, revision.revises) = (revision.row.identity(), true);
    let mut told = about(2, "ops", "a");
    told.entries = vec![first.id];
    let mut revised = decided(revision.clone(), &["failed"]);
    revised.taken_at = at(77);
    let batch = Batch { entries: vec![revised], notifications: vec![told], ..Batch::default() };
    // Twice is the same as once.
    home.commit(batch.clone()).await.unwrap();
    home.commit(batch).await.unwrap();

    let view = home.entry(first.id).await.unwrap().unwrap();
    assert_eq!((view.seq, view.taken_at), (1, at(77)));
    assert_eq!(view.entry, revision);
    assert_eq!(view.matched, ["failed"]);
    assert_eq!(view.notifications, [id(1), id(2)]);
    let counts = home.rule_counts().await.unwrap();
    let counts: Vec<_> = counts.iter().map(|count| (&*count.rule, count.matched)).collect();
    assert_eq!(counts, [("failed", 1), ("unknown", 1)]);
}

#[tokio::test]
async fn a_revision_of_an_entry_that_is_gone_is_kept_as_an_entry() {
    let home = Home::new();
    let mut revision = entry(1, "v1");
    revision.revises = true;
    let entries = vec![decided(revision.clone(), &[])];
    home.commit(Batch { entries, ..Batch::default() }).await.unwrap();
    assert_eq!(home.entry(revision.id).await.unwrap().unwrap().entry, revision);
}

#[tokio::test]
async fn a_row_that_could_not_be_understood_is_kept_once() {
    let home = Home::new();
    let reject = |raw: &str, seconds| Batch {
        rejected: vec![(
            shop_api(),
            Rejected { raw: raw.to_owned(), reason: "`invokeTime` is missing".to_owned() },
        )],
        at: Some(at(seconds)),
        ..Batch::default()
    };
    home.commit(reject("{}", 1)).await.unwrap();
    home.commit(reject("[]", 2)).await.unwrap();
    home.commit(reject("{}", 3)).await.unwrap();
    let views = home.rejected(None, 9).await.unwrap().items;
    let seen: Vec<_> = views.iter().map(|view| (&*view.raw, view.seen_at)).collect();
    assert_eq!(seen, [("[]", at(2)), ("{}", at(1))]);
    assert_eq!((&*views[0].source, &*views[0].repo), ("shop", "shop/api"));
    let first = home.rejected(None, 1).await.unwrap();
    assert_eq!((&*first.items[0].raw, first.items.len()), ("[]", 1));
    let last = home.rejected(first.next, 1).await.unwrap();
    assert_eq!((&*last.items[0].raw, last.items.len(), last.next), ("{}", 1, None));
}
