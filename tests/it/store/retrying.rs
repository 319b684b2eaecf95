//! Retries by hand: a dead letter, or a row that waits, goes at once and disturbs nobody's turn.

use triggerbell::{
    domain::notification::{HeldBy, NotificationState},
    ports::{SettleAs, Store},
};

use super::{Home, about, at, failed_until, id, number, numbers, redirect};

#[tokio::test]
async fn a_dead_letter_is_retried_under_its_id_with_a_fresh_schedule() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let claimed = home.claim_for("ops", 1, at(9)).await;
    home.settle_as(&claimed[0], failed_until(at(20)), at(9)).await;
    let claimed = home.claim_for("ops", 1, at(20)).await;
    home.settle_as(&claimed[0], SettleAs::Dead, at(20)).await;
    assert_eq!(home.state_of(id(1)).await, NotificationState::Dead);

    assert!(home.retry(id(1), None, at(100)).await.unwrap());
    assert_eq!(home.next_due("ops").await.unwrap(), Some(at(100)));
    let again = home.claim_for("ops", 1, at(100)).await;
    assert_eq!((number(again[0].id), again[0].attempt, again[0].failures), (1, 3, 0));
}

#[tokio::test]
async fn a_retried_dead_letter_goes_at_once_whatever_of_its_key_waits() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let first = home.claim_for("ops", 1, at(9)).await;
    home.put(vec![about(2, "ops", "a"), about(3, "ops", "a")]).await;
    home.settle_as(&first[0], SettleAs::Dead, at(10)).await;
    let second = home.claim_for("ops", 1, at(10)).await;
    assert_eq!(numbers(&second), [2]);

    assert!(home.retry(id(1), None, at(11)).await.unwrap());
    let first = home.claim_for("ops", 9, at(11)).await;
    assert_eq!(numbers(&first), [1], "3 still waits behind 2");
    home.settle_as(&second[0], SettleAs::Delivered, at(12)).await;
    assert_eq!(numbers(&home.claim_for("ops", 9, at(12)).await), [3], "1 is beside the line");
}

#[tokio::test]
async fn what_comes_after_a_retried_dead_letter_waits_for_it() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a")]).await;
    let first = home.claim_for("ops", 1, at(9)).await;
    home.settle_as(&first[0], SettleAs::Dead, at(10)).await;
    assert!(home.retry(id(1), None, at(11)).await.unwrap());
    home.put(vec![about(2, "ops", "a")]).await;
    let first = home.claim_for("ops", 9, at(11)).await;
    assert_eq!(numbers(&first), [1]);
    home.settle_as(&first[0], SettleAs::Delivered, at(12)).await;
    assert_eq!(numbers(&home.claim_for("ops", 9, at(12)).await), [2]);
}

#[tokio::test]
async fn a_row_that_is_sent_out_of_its_turn_lets_nobody_pass() {
    let home = Home::new();
    home.put((1..=4).map(|n| about(n, "ops", "a")).collect()).await;
    let first = home.claim_for("ops", 9, at(9)).await;
    // The second goes now; the third still waits for the first, the fourth for the third.
    assert!(home.retry(id(2), None, at(10)).await.unwrap());
    let second = home.claim_for("ops", 9, at(10)).await;
    assert_eq!(numbers(&second), [2]);
    home.settle_as(&second[0], SettleAs::Delivered, at(11)).await;
    assert_eq!(home.claim_for("ops", 9, at(11)).await.len(), 0);
    // The last leaves; a fifth stands behind the third.
    assert!(home.retry(id(4), Some(redirect("dev")), at(11)).await.unwrap());
    home.put(vec![about(5, "ops", "a")]).await;
    for n in [1, 3, 5] {
        let claimed = if n == 1 { first.clone() } else { home.claim_for("ops", 9, at(12)).await };
        assert_eq!(numbers(&claimed), [n]);
        home.settle_as(&claimed[0], SettleAs::Delivered, at(12)).await;
    }
    assert_eq!(numbers(&home.claim_for("dev", 9, at(12)).await), [4]);
}

#[tokio::test]
async fn a_waiting_row_can_be_sent_now_and_elsewhere() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "a")]).await;
    let first = home.claim_for("ops", 1, at(9)).await;
    home.settle_as(&first[0], failed_until(at(900)), at(9)).await;

    assert!(home.retry(id(1), Some(redirect("dev")), at(20)).await.unwrap());
    let elsewhere = home.claim_for("dev", 9, at(20)).await;
    assert_eq!(numbers(&elsewhere), [1]);
    assert_eq!(elsewhere[0].payload.body, format!("{} for ops: None", id(1)), "told anew");
    assert_eq!(numbers(&home.claim_for("ops", 9, at(20)).await), [2], "nothing is before it now");
    assert_eq!(home.notification(id(1)).await.unwrap().unwrap().0.receiver, "dev");
}

#[tokio::test]
async fn only_dead_and_waiting_rows_can_be_retried() {
    let home = Home::new();
    let held = |n| {
        let mut new = about(n, "ops", "h");
        (new.held_by, new.payload) = (Some(HeldBy::Shadow), None);
        new
    };
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "b"), held(3)]).await;
    let claimed = home.claim_for("ops", 9, at(9)).await;
    assert_eq!(numbers(&claimed), [1, 2]);
    home.settle_as(&claimed[0], SettleAs::Delivered, at(9)).await;
    for n in [1, 2, 3, 4] {
        assert!(!home.retry(id(n), None, at(20)).await.unwrap(), "{n}");
    }
    assert_eq!(home.state_of(id(1)).await, NotificationState::Delivered);
    assert_eq!(home.state_of(id(3)).await, NotificationState::Held);
}

#[tokio::test]
async fn a_dead_letter_that_goes_elsewhere_does_not_hurry_what_stood_behind_it() {
    let home = Home::new();
    home.put(vec![about(1, "ops", "a"), about(2, "ops", "a")]).await;
    let first = home.claim_for("ops", 1, at(9)).await;
    home.settle_as(&first[0], SettleAs::Dead, at(10)).await;
    let second = home.claim_for("ops", 1, at(10)).await;
    assert_eq!(numbers(&second), [2]);
    home.settle_as(&second[0], failed_until(at(60)), at(11)).await;

    assert!(home.retry(id(1), Some(redirect("dev")), at(12)).await.unwrap());
    assert_eq!(home.next_due("ops").await.unwrap(), Some(at(60)), "2 waits for its time");
    assert_eq!(numbers(&home.claim_for("dev", 9, at(12)).await), [1]);
}
