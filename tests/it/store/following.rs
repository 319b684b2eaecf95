//! What a message follows, for receivers that know threads and edits.

use triggerbell::{
    domain::{
        incident::IncidentView,
        notification::{Follow, Reason},
    },
    ports::{Claim, NewNotification, SettleAs, Store, Told},
};

use super::{Home, about, at, id, number, settlement, wish};

/// Delivers what is due for a receiver, each with an answer that names the message.
async fn deliver(home: &Home, receiver: &str, now: i64) {
    for delivery in home.claim_for(receiver, 9, at(now)).await {
        let mut settled = settlement(&delivery, SettleAs::Delivered, at(now));
        settled.captured = Some(serde_json::json!({ "ts": number(delivery.id) }));
        home.settle([settled].into(), None).await.unwrap();
    }
}

/// Message `n` of an incident that message 1 told of first.
fn after_the_first(n: u32, receiver: &str, reason: Reason) -> NewNotification {
    NewNotification { reason, told: of_one(), follows: Some(id(1)), ..about(n, receiver, "a") }
}

fn first(reason: Reason) -> NewNotification {
    NewNotification { reason, told: of_one(), ..about(1, "ops", "a") }
}

/// What a message says that tells of one incident.
fn of_one() -> Told {
    let incident = IncidentView { since: at(0), duration_s: 0, count: 1, first_id: Some(id(1)) };
    Told { incident: Some(incident), ..Told::default() }
}

async fn followed(home: &Home, receiver: &str, now: i64) -> Option<(i64, Follow)> {
    let earlier = home.claim_for(receiver, 1, at(now)).await.remove(0).earlier?;
    Some((earlier.captured["ts"].as_i64().unwrap(), earlier.follow))
}

#[tokio::test]
async fn a_message_follows_the_last_of_its_incident_that_arrived() {
    let home = Home::new();
    home.put(vec![first(Reason::Failing), after_the_first(2, "ops", Reason::Reminder)]).await;
    deliver(&home, "ops", 10).await;
    let reminder = home.claim_for("ops", 1, at(11)).await.remove(0);
    let earlier = reminder.earlier.clone().unwrap();
    assert_eq!((earlier.captured["ts"].as_i64(), earlier.follow), (Some(1), Follow::Thread));
    home.settle_as(&reminder, SettleAs::Dead, at(12)).await;
    home.put(vec![after_the_first(3, "ops", Reason::Recovered)]).await;
    let home = home.reopened();
    assert_eq!(followed(&home, "ops", 13).await, Some((1, Follow::Update)), "2 never arrived");

    let home = Home::new();
    let (reminder, over) = (Reason::Reminder, Reason::Recovered);
    home.put(vec![first(Reason::Failing), after_the_first(2, "ops", reminder)]).await;
    deliver(&home, "ops", 10).await;
    deliver(&home, "ops", 11).await;
    home.put(vec![after_the_first(3, "ops", over)]).await;
    assert_eq!(followed(&home, "ops", 13).await, Some((2, Follow::Update)), "it knows where 1 is");
}

#[tokio::test]
async fn the_end_of_one_of_several_goes_into_the_thread_of_what_told_of_all() {
    let home = Home::new();
    let several = NewNotification { told: Told::default(), ..first(Reason::Failing) };
    home.put(vec![several, after_the_first(2, "ops", Reason::Recovered)]).await;
    deliver(&home, "ops", 10).await;
    assert_eq!(followed(&home, "ops", 11).await, Some((1, Follow::Thread)));
}

#[tokio::test]
async fn a_message_follows_none_of_another_receivers_nor_what_stands_for_more_than_its_incident() {
    let home = Home::new();
    home.put(vec![first(Reason::Failing), after_the_first(2, "dev", Reason::Recovered)]).await;
    deliver(&home, "ops", 10).await;
    assert_eq!(followed(&home, "dev", 11).await, None);

    for told in [Reason::Summary, Reason::CatchUp, Reason::Digest, Reason::Matched] {
        let home = Home::new();
        home.put(vec![first(told), after_the_first(2, "ops", Reason::Recovered)]).await;
        deliver(&home, "ops", 10).await;
        assert_eq!(followed(&home, "ops", 11).await, None, "{told}");
    }
    let home = Home::new();
    let of_a_group = NewNotification { key: [7; 16], ..first(Reason::Failing) };
    home.put(vec![of_a_group]).await;
    deliver(&home, "ops", 9).await;
    home.put(vec![after_the_first(2, "ops", Reason::Recovered)]).await;
    assert_eq!(followed(&home, "ops", 11).await, None, "one message for several things");

    let home = Home::new();
    home.put(vec![first(Reason::Failing), after_the_first(2, "ops", Reason::Recovered)]).await;
    deliver(&home, "ops", 10).await;
    let unasked = Claim { follow: false, ..wish("ops", 1, at(11)) };
    assert_eq!(home.claim(unasked).await.unwrap()[0].earlier, None, "it knows no threads");
}
