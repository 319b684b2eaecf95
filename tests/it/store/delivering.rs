//! The outbox: order, claims, settlements, retries.

use std::time::Duration;

use triggerbell::{
    domain::{
        notification::{NotificationState, Reason},
        outcome::{Class, Flag, Outcome, OutcomeRecord},
    },
    ports::{
        Batch, Claim, Delivery, HandOver, HandedOver, LaneRecord, NewNotification, RetriedDead,
        RetryDead, SettleAs, Store, Told, Unfinished,
    },
};

use super::{Home, about, at, failed_until, id, number, numbers, redirect, settlement, wish};

#[tokio::test]
async fn a_claim_takes_what_is_due_oldest_first_and_counts_the_attempt() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "dev", "b"), about(3, "ops", "c")]).await;

    assert_eq!(numbers(&home.claim_for("ops", 10, at(0)).await), [] as [u32; 0], "not yet due");
    let claimed = home.claim_for("ops", 10, at(9)).await;

    assert_eq!(numbers(&claimed), [1, 3]);
    let first = &claimed[0];
    assert_eq!((first.attempt, first.failures, first.plain), (1, 0, false));
    assert_eq!(first.payload.body, "{\"n\": 1}");
    assert_eq!(first.created_at, at(1));
    assert_eq!(&*first.receiver, "ops");
    assert_eq!(home.state_of(id(1)).await, NotificationState::Sending);
    assert_eq!(home.claim_for("ops", 10, at(9)).await.len(), 0, "claimed once");
    assert_eq!(numbers(&home.claim_for("dev", 10, at(9)).await), [2]);
}

#[tokio::test]
async fn a_claim_takes_no_more_than_was_wished() {
    let home = Home::new();
    home.put((1..=9).map(|n| about(n, "ops", &format!("key {n}"))).collect()).await;
    assert_eq!(numbers(&home.claim_for("ops", 4, at(99)).await), [1, 2, 3, 4]);
    assert_eq!(numbers(&home.claim_for("ops", 99, at(99)).await), [5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn one_key_leaves_in_order_and_a_retrying_head_blocks_only_its_key() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "a"), about(3, "ops", "b")]).await;

    let claimed = home.claim_for("ops", 10, at(9)).await;
    assert_eq!(numbers(&claimed), [1, 3]);
    home.settle_as(&claimed[0], failed_until(at(60)), at(10)).await;
    assert_eq!(home.claim_for("ops", 10, at(59)).await.len(), 0, "2 waits behind 1");
    assert_eq!(home.next_due("ops").await.unwrap(), Some(at(60)));

    let again = home.claim_for("ops", 10, at(60)).await;
    assert_eq!(numbers(&again), [1]);
    assert_eq!((again[0].attempt, again[0].failures), (2, 1));
    home.settle_as(&again[0], SettleAs::Delivered, at(61)).await;
    assert_eq!(numbers(&home.claim_for("ops", 10, at(61)).await), [2]);
}

#[tokio::test]
async fn the_same_key_for_two_receivers_is_two_orders() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "dev", "a")]).await;
    assert_eq!(numbers(&home.claim_for("ops", 10, at(9)).await), [1]);
    assert_eq!(numbers(&home.claim_for("dev", 10, at(9)).await), [2]);
}

#[tokio::test]
async fn one_that_comes_while_its_key_is_being_sent_waits_for_the_end() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let first = home.claim_for("ops", 10, at(9)).await;
    home.put(vec![about(2, "ops", "a")]).await;
    assert_eq!(home.next_due("ops").await.unwrap(), None, "all that waits stands behind 1");
    let view = home.notification(id(2)).await.unwrap().unwrap().0;
    assert_eq!((view.state, view.next_attempt_at), (NotificationState::Pending, None));

    home.settle_as(&first[0], SettleAs::Dead, at(10)).await;
    assert_eq!(home.next_due("ops").await.unwrap(), Some(at(2)));
    home.put(vec![about(3, "ops", "a")]).await;
    assert_eq!(numbers(&home.claim_for("ops", 10, at(10)).await), [2]);
}

#[tokio::test]
async fn a_row_that_was_claimed_and_not_sent_is_as_if_it_had_not_been_claimed() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "a")]).await;
    let claimed = home.claim_for("ops", 10, at(9)).await;
    home.settle_as(&claimed[0], SettleAs::Returned, at(9)).await;

    let (view, _, attempts) = home.notification(id(1)).await.unwrap().unwrap();
    assert_eq!((view.state, view.attempts), (NotificationState::Pending, 0));
    assert_eq!(attempts, []);
    let again = home.claim_for("ops", 10, at(9)).await;
    assert_eq!((numbers(&again), again[0].attempt), (vec![1], 1));
}

#[tokio::test]
async fn a_wait_that_the_receiver_asked_for_is_no_failure_and_the_plain_form_is_remembered() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let claimed = home.claim_for("ops", 1, at(9)).await;
    let becomes = SettleAs::Pending { at: at(20), plain: true, failed: false };
    home.settle_as(&claimed[0], becomes, at(9)).await;
    let again = home.claim_for("ops", 1, at(20)).await;
    assert_eq!((again[0].attempt, again[0].failures, again[0].plain), (2, 0, true));
}

#[tokio::test]
async fn what_is_put_off_by_less_than_a_millisecond_is_not_due_too_early() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let claimed = home.claim_for("ops", 1, at(9)).await;
    let due = at(20) + Duration::from_nanos(1);
    home.settle_as(&claimed[0], failed_until(due), at(9)).await;
    assert_eq!(home.claim_for("ops", 1, at(20)).await.len(), 0);
    assert_eq!(home.claim_for("ops", 1, at(20) + Duration::from_millis(1)).await.len(), 1);
}

#[tokio::test]
async fn a_restart_releases_claims_and_keeps_their_count() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "b"), about(3, "ops", "a")]).await;
    assert_eq!(home.claim_for("ops", 1, at(9)).await.len(), 1);

    let home = home.reopened();
    assert_eq!(home.release_claims(at(30)).await.unwrap(), 1);
    assert_eq!(home.release_claims(at(30)).await.unwrap(), 0);
    let claimed = home.claim_for("ops", 10, at(30)).await;
    assert_eq!(numbers(&claimed), [1, 2], "in the old order, 3 behind 1");
    assert_eq!(claimed.iter().map(|row| row.attempt).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn attempts_are_kept_with_what_each_came_to() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let first = home.claim_for("ops", 1, at(9)).await;
    let mut failed = settlement(&first[0], failed_until(at(20)), at(9));
    let outcome = Outcome::new(Class::Retry { after: Some(Duration::from_secs(7)) }, None, "hung")
        .with(Flag::Ambiguous);
    failed.outcome = OutcomeRecord::from(&outcome);
    home.settle([failed.clone()].into(), None).await.unwrap();

    let view = home.notification(id(1)).await.unwrap().unwrap().0;
    assert_eq!(view.last_outcome.as_ref(), Some(&failed.outcome));
    assert_eq!((view.attempts, view.next_attempt_at), (1, Some(at(20))));

    let second = home.claim_for("ops", 1, at(20)).await;
    home.settle_as(&second[0], SettleAs::Delivered, at(20)).await;
    let (view, payload, attempts) = home.notification(id(1)).await.unwrap().unwrap();
    assert_eq!((view.state, view.next_attempt_at), (NotificationState::Delivered, None));
    assert_eq!(view.last_outcome.unwrap().class, "delivered");
    assert_eq!(payload.unwrap().body, "{\"n\": 1}");
    let seen: Vec<_> = attempts.iter().map(|one| (one.number, &*one.outcome.class)).collect();
    assert_eq!(seen, [(1, "retry"), (2, "delivered")]);
    assert_eq!(attempts[0].outcome, failed.outcome);
    assert_eq!((attempts[1].started_at, attempts[1].took_ms), (at(20), 20));
}

#[tokio::test]
async fn a_message_delivered_at_once_shows_its_one_attempt() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let claimed = home.claim_for("ops", 1, at(9)).await;
    let delivered = settlement(&claimed[0], SettleAs::Delivered, at(9));
    home.settle([delivered.clone()].into(), None).await.unwrap();

    let (view, _, attempts) = home.notification(id(1)).await.unwrap().unwrap();
    assert_eq!(view.last_outcome.as_ref(), Some(&delivered.outcome));
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].number, attempts[0].started_at, attempts[0].took_ms), (1, at(9), 20));
    assert_eq!(attempts[0].outcome, delivered.outcome);
}

#[tokio::test]
async fn a_long_answer_is_kept_whole() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let claimed = home.claim_for("ops", 1, at(9)).await;
    let mut delivered = settlement(&claimed[0], SettleAs::Delivered, at(9));
    delivered.outcome.detail = "ok ".repeat(600);
    home.settle([delivered.clone()].into(), None).await.unwrap();
    let (view, _, attempts) = home.notification(id(1)).await.unwrap().unwrap();
    assert_eq!(view.last_outcome.as_ref(), Some(&delivered.outcome));
    assert_eq!(attempts.len(), 1);
}

#[tokio::test]
async fn what_was_not_claimed_can_not_be_settled() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "a")]).await;
    let claimed = home.claim_for("ops", 1, at(9)).await;
    home.settle_as(&claimed[0], failed_until(at(60)), at(9)).await;
    home.settle_as(&claimed[0], SettleAs::Delivered, at(10)).await;
    assert_eq!(home.state_of(id(1)).await, NotificationState::Pending);
    assert_eq!(home.claim_for("ops", 9, at(30)).await.len(), 0);
}

#[tokio::test]
async fn a_lane_lasts_and_is_kept_with_the_claim_or_the_settlement() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let lane = |seconds: i64| LaneRecord {
        receiver: "ops".into(),
        sends: vec![at(seconds)],
        ..LaneRecord::default()
    };
    let claim = |now| Claim {
        receiver: "ops".into(),
        limit: 9,
        now,
        fit_waits: false,
        follow: false,
        unfinished: None,
        lane: Some(lane(1)),
    };
    home.claim(claim(at(0))).await.unwrap();
    assert_eq!(home.lanes().await.unwrap(), [], "nothing was claimed");
    let claimed = home.claim(claim(at(9))).await.unwrap();
    assert_eq!(home.lanes().await.unwrap(), [lane(1)]);
    let settled = settlement(&claimed[0], SettleAs::Delivered, at(9));
    home.settle([settled].into(), Some(lane(2))).await.unwrap();
    assert_eq!(home.reopened().lanes().await.unwrap(), [lane(2)]);
}

#[tokio::test]
async fn rows_of_a_receiver_that_is_gone_become_dead_letters_that_say_so() {
    let home = Home::new();
    home.put(vec![about(1, "old", "a"), about(2, "old", "a"), about(3, "ops", "b")]).await;
    assert_eq!(home.orphan(&["ops".into()], at(50)).await.unwrap(), 2);
    assert_eq!(home.orphan(&["ops".into()], at(50)).await.unwrap(), 0);

    for n in [1, 2] {
        let view = home.notification(id(n)).await.unwrap().unwrap().0;
        assert_eq!(view.state, NotificationState::Dead);
        let outcome = view.last_outcome.unwrap();
        assert_eq!(outcome.class, "permanent");
        assert!(outcome.detail.contains("old"), "{}", outcome.detail);
    }
    assert!(home.retry(id(2), Some(redirect("ops")), at(60)).await.unwrap());
    assert_eq!(numbers(&home.claim_for("ops", 9, at(60)).await), [3, 2]);
    assert_eq!(home.notification(id(2)).await.unwrap().unwrap().0.last_outcome, None);
}

#[tokio::test]
async fn more_orphans_than_fit_one_step_all_become_dead_letters() {
    let home = Home::new();
    let many = (0..12_000).map(|n| about(n, "old", &format!("k{n}"))).collect();
    home.commit(Batch { notifications: many, ..Batch::default() }).await.unwrap();
    assert_eq!(home.orphan(&[], at(20_000)).await.unwrap(), 12_000);
    assert_eq!(home.outbox().await.unwrap()[0].dead, 12_000);
}

#[tokio::test]
async fn a_wait_that_a_clock_ahead_of_time_set_ends_at_the_next_start() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "b")]).await;
    let claimed = home.claim_for("ops", 10, at(9)).await;
    home.settle_as(&claimed[0], failed_until(at(400 * 24 * 3600)), at(9)).await;
    home.settle_as(&claimed[1], failed_until(at(3600)), at(9)).await;
    home.release_claims(at(20)).await.unwrap();
    assert_eq!(numbers(&home.claim_for("ops", 10, at(3599)).await), [0; 0]);
    assert_eq!(numbers(&home.claim_for("ops", 10, at(3600)).await), [2], "a true wait stays");
    assert_eq!(
        numbers(&home.claim_for("ops", 10, at(20 + 3960)).await),
        [1],
        "no receiver is believed that asks for more than an hour, and a tenth is jitter"
    );
}

#[tokio::test]
async fn a_clock_set_back_makes_no_row_wait_longer_than_it_was_meant_to() {
    let home = Home::new();
    let day = 24 * 3600;
    let decided =
        |n: u32, key, second| NewNotification { created_at: at(second), ..about(n, "ops", key) };
    home.put(vec![decided(1, "a", day), decided(2, "b", day), decided(3, "c", day)]).await;
    home.put(vec![NewNotification { created_at: at(day), ..about(4, "audit", "a") }]).await;
    let claimed = home.claim_for("ops", 2, at(day)).await;
    home.settle_as(&claimed[0], failed_until(at(day + 5)), at(day)).await;
    home.settle_as(&claimed[1], failed_until(at(day + 30)), at(day)).await;
    // By now the clock shows what it showed 24 hours before.
    let set_back = |second| Claim { fit_waits: true, ..wish("ops", 10, at(second)) };
    let fresh = home.claim(set_back(10)).await.unwrap();
    assert_eq!(numbers(&fresh), [3], "what was never tried waits for nothing");
    assert_eq!(numbers(&home.claim_for("ops", 10, at(10 + 3959)).await), [0; 0]);
    assert_eq!(numbers(&home.claim_for("ops", 10, at(10 + 3960)).await), [1, 2]);
    assert_eq!(
        numbers(&home.claim_for("audit", 10, at(day - 1)).await),
        [0; 0],
        "others ask themselves"
    );
}

/// A wish for all dead letters of `ops` since a second.
fn dead_since(second: i64) -> RetryDead {
    RetryDead {
        receiver: "ops".into(),
        to: None,
        since: at(second),
        after: 0,
        limit: 1_000,
        now: at(100),
        preview: false,
    }
}

#[tokio::test]
async fn dead_letters_since_a_time_go_out_again_in_the_order_of_their_keys() {
    let home = Home::new();
    home.put(vec![
        about(1, "ops", "a"),
        about(2, "ops", "b"),
        about(3, "dev", "a"),
        about(4, "ops", "a"),
        about(5, "ops", "c"),
        about(6, "ops", "a"),
    ])
    .await;
    // Each dies at ten times its number, but for 5, which is delivered.
    for _ in 0..3 {
        for receiver in ["ops", "dev"] {
            for delivery in home.claim_for(receiver, 9, at(9)).await {
                let n = i64::from(number(delivery.id));
                let becomes = if n == 5 { SettleAs::Delivered } else { SettleAs::Dead };
                home.settle_as(&delivery, becomes, at(n * 10)).await;
            }
        }
    }
    home.put(vec![about(7, "ops", "a")]).await;
    let preview = RetryDead { preview: true, ..dead_since(20) };
    let found = home.retry_dead(preview).await.unwrap();
    assert_eq!(found, RetriedDead { count: 3, next: None }, "2, 4 and 6, not 1");
    assert_eq!(home.state_of(id(2)).await, NotificationState::Dead, "a look changes nothing");

    let small = RetryDead { limit: 2, ..dead_since(20) };
    let first = home.retry_dead(small.clone()).await.unwrap();
    assert_eq!(first.count, 1, "1 was looked at and left");
    let second = home.retry_dead(RetryDead { after: first.next.unwrap(), ..small.clone() }).await;
    let second = second.unwrap();
    assert_eq!(second.count, 2);
    let third = home.retry_dead(RetryDead { after: second.next.unwrap(), ..small }).await.unwrap();
    assert_eq!(third, RetriedDead { count: 0, next: None });
    assert_eq!(home.state_of(id(1)).await, NotificationState::Dead);
    assert_eq!(home.state_of(id(3)).await, NotificationState::Dead);

    let mut left = Vec::new();
    loop {
        let claimed = home.claim_for("ops", 9, at(200)).await;
        if claimed.is_empty() {
            break;
        }
        let keys: Vec<_> = claimed.iter().map(|delivery| delivery.key).collect();
        assert!(keys.iter().all(|key| keys.iter().filter(|other| *other == key).count() == 1));
        for delivery in claimed {
            left.push((number(delivery.id), delivery.failures));
            home.settle_as(&delivery, SettleAs::Delivered, at(201)).await;
        }
    }
    assert_eq!(left, [(7, 0), (2, 0), (4, 0), (6, 0)], "those of a key behind what waits");
}

#[tokio::test]
async fn dead_letters_of_a_receiver_that_is_gone_go_to_another_behind_what_it_has() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "a"), about(3, "dev", "a")]).await;
    assert_eq!(home.orphan(&["dev".into()], at(50)).await.unwrap(), 2);
    let wish = RetryDead { to: Some(redirect("dev")), ..dead_since(50) };
    assert_eq!(home.retry_dead(wish.clone()).await.unwrap().count, 2);
    assert_eq!(home.retry_dead(wish).await.unwrap().count, 0, "once");
    for n in [3, 1, 2] {
        let claimed = home.claim_for("dev", 9, at(100)).await;
        assert_eq!(numbers(&claimed), [n]);
        let anew = format!("{} for ops: None", id(n));
        assert_eq!(claimed[0].payload.body == anew, n != 3, "{}", claimed[0].payload.body);
        home.settle_as(&claimed[0], SettleAs::Delivered, at(100)).await;
    }
    assert_eq!(home.claim_for("ops", 9, at(100)).await.len(), 0);
}

/// A wish to hand over what `ops` has to `dev`, whose texts name whom they were meant for.
fn hand_over(limit: usize) -> HandOver {
    HandOver { from: "ops".into(), to: redirect("dev"), limit, now: at(100) }
}

#[tokio::test]
async fn what_waits_is_handed_over_once_in_order_and_with_a_text_of_its_own() {
    let home = Home::new();
    let mut alarm = about(5, "ops", "c");
    alarm.told = Told { message: Some("it is broken".to_owned()), ..Told::default() };
    let mut test = about(6, "ops", "d");
    test.reason = Reason::Test;
    home.put(vec![
        about(1, "ops", "a"),
        about(2, "ops", "a"),
        about(3, "dev", "a"),
        about(4, "ops", "b"),
        alarm,
        test,
    ])
    .await;
    let claimed = home.claim_for("ops", 1, at(9)).await;
    assert_eq!(numbers(&claimed), [1]);
    home.settle_as(&claimed[0], failed_until(at(60)), at(10)).await;
    let in_hand = home.claim_for("ops", 1, at(9)).await;
    assert_eq!(numbers(&in_hand), [4]);

    let first = home.hand_over(hand_over(2)).await.unwrap();
    assert_eq!(first, HandedOver { count: 2, more: true });
    let home = home.as_if_killed();
    assert_eq!(home.hand_over(hand_over(2)).await.unwrap(), HandedOver { count: 1, more: false });
    assert_eq!(home.hand_over(hand_over(2)).await.unwrap(), HandedOver::default());
    let view = home.notification(id(1)).await.unwrap().unwrap().0;
    assert_eq!((&*view.receiver, view.fallback_of.as_deref()), ("dev", Some("ops")));
    assert_eq!((view.state, view.attempts), (NotificationState::Pending, 1));

    // No second hop, not even back.
    for to in ["third", "ops"] {
        let hop = HandOver { from: "dev".into(), to: redirect(to), ..hand_over(9) };
        let count = home.hand_over(hop).await.unwrap().count;
        assert_eq!(count, u64::from(to == "third"), "only 3 was meant for dev");
    }
    let mut left = Vec::new();
    for _ in 0..3 {
        for delivery in home.claim_for("dev", 9, at(200)).await {
            assert_eq!(delivery.failures, 0);
            left.push((number(delivery.id), delivery.payload.body.clone()));
            home.settle_as(&delivery, SettleAs::Delivered, at(201)).await;
        }
    }
    let text = |n: u32, message: &str| (n, format!("{} for ops: {message}", id(n)));
    let wanted = [text(1, "None"), text(5, "Some(\"it is broken\")"), text(2, "None")];
    assert_eq!(left, wanted, "2 stands behind 1 there, too");
    assert_eq!(numbers(&home.claim_for("ops", 9, at(200)).await), [6], "a test stays");
    let home = home.reopened();
    home.release_claims(at(201)).await.unwrap();
    assert_eq!(numbers(&home.claim_for("ops", 9, at(201)).await), [4, 6], "4 was in hand");
}

#[tokio::test]
async fn a_message_that_was_split_is_handed_over_as_one() {
    let home = Home::new();
    let first = about(1, "ops", "a");
    let part = |n: u32| {
        let mut part = about(1, "ops", "a");
        part.id = first.id.part(n);
        part
    };
    home.put(vec![first.clone(), part(1), part(2), about(2, "ops", "a")]).await;
    assert_eq!(home.hand_over(hand_over(9)).await.unwrap().count, 4);
    for n in [1, 2] {
        let view = home.notification(first.id.part(n)).await.unwrap().unwrap().0;
        assert_eq!((view.state, view.folded_into), (NotificationState::Folded, Some(first.id)));
    }
    for n in [1, 2] {
        let claimed = home.claim_for("dev", 9, at(99)).await;
        assert_eq!(numbers(&claimed), [n]);
        home.settle_as(&claimed[0], SettleAs::Delivered, at(99)).await;
    }
    assert_eq!(home.next_due("dev").await.unwrap(), None);
    assert_eq!(home.next_due("ops").await.unwrap(), None);
}

/// A message in three parts.
fn in_three(n: u32, key: &str) -> Vec<NewNotification> {
    let first = about(n, "ops", key);
    (0..3).map(|part| NewNotification { id: first.id.part(part), ..first.clone() }).collect()
}

#[tokio::test]
async fn the_parts_of_a_message_are_claimed_together_and_no_claim_ends_among_them() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    home.put(in_three(2, "b")).await;
    home.put(vec![about(3, "ops", "b"), about(4, "ops", "c")]).await;
    let parts = (0..3).map(|part| id(2).part(part)).collect::<Vec<_>>();
    let ids = |claimed: &[Delivery]| claimed.iter().map(|it| it.id).collect::<Vec<_>>();

    let claimed = home.claim_for("ops", 3, at(9)).await;
    assert_eq!(ids(&claimed), [id(1)], "the three do not fit");
    let claimed = home.claim_for("ops", 2, at(9)).await;
    assert_eq!(ids(&claimed), parts, "they come although they are more");
    let part_of: Vec<_> = claimed.iter().map(|it| it.part_of).collect();
    assert_eq!(part_of, [None, Some(id(2)), Some(id(2))]);
    assert_eq!(home.claim_for("ops", 9, at(9)).await.len(), 1, "another key's");

    // The first arrived, the second is to wait, the third was not sent.
    home.settle_as(&claimed[0], SettleAs::Delivered, at(10)).await;
    home.settle_as(&claimed[2], SettleAs::Returned, at(10)).await;
    home.settle_as(&claimed[1], failed_until(at(20)), at(10)).await;
    home.put(vec![about(5, "ops", "d")]).await;
    let place = Unfinished { message: id(2), seq: claimed[1].seq, at: at(20) };
    let go_on = |now| Claim { unfinished: Some(place), ..wish("ops", 1, now) };
    assert!(home.claim(go_on(at(19))).await.unwrap().is_empty(), "not before its time");
    let rest = home.claim(go_on(at(20))).await.unwrap();
    assert_eq!(ids(&rest), parts[1..]);
    assert_eq!(rest.iter().map(|it| it.attempt).collect::<Vec<_>>(), [2, 1]);
    for part in &rest {
        home.settle_as(part, SettleAs::Delivered, at(21)).await;
    }
    assert!(home.claim(go_on(at(22))).await.unwrap().is_empty(), "it has gone");
    let others = home.claim_for("ops", 9, at(22)).await;
    assert_eq!(numbers(&others), [3, 5]);
}
