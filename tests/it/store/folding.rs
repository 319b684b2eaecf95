//! Digests: what waits and can't be cleared becomes one message, and nothing of it is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use triggerbell::{
    adapters::{
        clock::TokioClock,
        templates::{MessageRenderer, ReceiverType, Settings, Target, Templates},
    },
    domain::{
        digest::{Gatherer, Pressure, Step, Tally, Waiting},
        outcome::Flag,
        pace::Pace,
    },
    engine::{
        alarm::Alarms,
        board::LaneBoards,
        delivery::{Lane, LaneSettings, LaneWorld},
        digest::Digests,
        wake::Wakes,
    },
    ports::{Clock, Fold, Folding, NotificationQuery, Notifier, Renderer, Retention},
    telemetry::Metrics,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const PRESSURE: Pressure = Pressure { pace: Pace { count: 20, per: MINUTE }, after: MINUTE };

fn fold_at(now: Timestamp) -> Fold {
    Fold {
        receiver: "ops".into(),
        now,
        pressure: PRESSURE,
        folded_at: None,
        compose: Arc::new(move |digest, _| NewNotification {
            told: Default::default(),
            id: digest.id,
            reason: Reason::Digest,
            count: digest.count,
            key: digest.id.0,
            created_at: now,
            ..about(0, "ops", "")
        }),
    }
}

/// Forty messages, the first two of one key, the first one in hand; all others folded.
async fn folded() -> (Home, Delivery) {
    let home = Home::new();
    let key = |n: u32| if n < 3 { "a".to_owned() } else { format!("k{n}") };
    home.put((1..=40).map(|n| about(n, "ops", &key(n))).collect()).await;
    let in_hand = home.claim_for("ops", 1, at(50)).await.remove(0);
    assert_eq!(number(in_hand.id), 1);
    assert_eq!(home.fold(fold_at(at(50))).await.unwrap(), Folding::Folded(38));
    (home, in_hand)
}

#[tokio::test]
async fn what_is_in_hand_stays_and_what_comes_later_of_a_key_waits_for_the_digest() {
    let (home, in_hand) = folded().await;
    home.put(vec![about(41, "ops", "k5"), about(42, "ops", "k5"), about(43, "ops", "new")]).await;
    let claimed = home.claim_for("ops", 9, at(60)).await;
    let (digest, other) = (&claimed[1], &claimed[0]);
    assert_eq!((number(other.id), digest.reason), (43, Reason::Digest), "{claimed:?}");
    assert_eq!(claimed.len(), 2);
    home.settle_as(digest, failed_until(at(70)), at(60)).await;
    assert_eq!(
        home.claim_for("ops", 9, at(65)).await.len(),
        0,
        "it holds its keys while it retries"
    );
    let again = home.claim_for("ops", 9, at(70)).await;
    assert_eq!(again[0].id, digest.id, "the same id at every attempt");
    home.settle_as(&again[0], SettleAs::Delivered, at(71)).await;
    assert_eq!(numbers(&home.claim_for("ops", 9, at(72)).await), [41], "then the key goes on");
    home.settle_as(&in_hand, SettleAs::Delivered, at(73)).await;
    assert_eq!(numbers(&home.claim_for("ops", 9, at(74)).await), [2]);
}

#[tokio::test]
async fn killed_between_the_fold_and_the_send_the_same_digest_goes() {
    let (home, _) = folded().await;
    let again = home.as_if_killed();
    let (here, there) =
        (home.claim_for("ops", 9, at(60)).await, again.claim_for("ops", 9, at(60)).await);
    assert_eq!(here.len(), 1);
    assert_eq!((here[0].id, &here[0].payload), (there[0].id, &there[0].payload));
    let (member, ..) = again.notification(id(20)).await.unwrap().unwrap();
    assert_eq!(member.state, NotificationState::Folded);
    assert_eq!(member.folded_into, Some(there[0].id));
}

#[tokio::test]
async fn the_members_of_a_digest_that_is_given_up_can_be_asked_for_and_hold_nobody() {
    let (home, _) = folded().await;
    home.put(vec![about(41, "ops", "k5")]).await;
    let digest = home.claim_for("ops", 9, at(60)).await.remove(0);
    home.settle_as(&digest, SettleAs::Dead, at(61)).await;
    assert_eq!(numbers(&home.claim_for("ops", 9, at(62)).await), [41]);
    let home = home.reopened();
    let (member, ..) = home.notification(id(5)).await.unwrap().unwrap();
    assert_eq!(member.folded_into, Some(digest.id));
    assert!(home.retry(digest.id, None, at(63)).await.unwrap(), "it can be tried again");
    assert_eq!(home.claim_for("ops", 9, at(63)).await[0].id, digest.id);
}

#[tokio::test]
async fn what_pace_clears_in_time_does_not_fold_and_a_further_burst_is_the_next_digest() {
    let home = Home::new();
    home.put((1..=20).map(|n| about(n, "ops", &format!("k{n}"))).collect()).await;
    assert_eq!(home.fold(fold_at(at(50))).await.unwrap(), Folding::Calm);
    home.put((21..=50).map(|n| about(n, "ops", &format!("k{n}"))).collect()).await;
    assert_eq!(home.fold(fold_at(at(50))).await.unwrap(), Folding::Folded(50));
    home.put((51..=90).map(|n| about(n, "ops", &format!("k{n}"))).collect()).await;
    let again = Fold { folded_at: Some(at(50)), ..fold_at(at(60)) };
    assert_eq!(home.fold(again).await.unwrap(), Folding::Gather(at(110)));
    let later = Fold { folded_at: Some(at(50)), ..fold_at(at(110)) };
    assert_eq!(home.fold(later).await.unwrap(), Folding::Folded(40));
    assert_eq!(home.claim_for("ops", 9, at(120)).await.len(), 2, "two digests and nothing else");
}

#[tokio::test]
async fn what_was_folded_can_be_asked_for_as_long_as_its_digest_and_goes_with_it() {
    let (home, in_hand) = folded().await;
    home.settle_as(&in_hand, SettleAs::Delivered, at(55)).await;
    home.put(vec![about(41, "ops", "k5")]).await;
    let mut claimed = home.claim_for("ops", 9, at(60)).await;
    let digest = claimed.remove(claimed.iter().position(|it| it.reason == Reason::Digest).unwrap());
    assert_eq!(numbers(&claimed), [2], "what stood behind the one in hand did not fold");
    let kept = async || {
        let query = NotificationQuery { limit: 500, ..NotificationQuery::default() };
        home.notifications(query).await.unwrap().items.len()
    };
    let retain = async |before| {
        let wish = Retention { entries_before: before, notifications_before: before, limit: 7 };
        while home.retain(wish).await.unwrap() {}
    };
    retain(at(900)).await;
    assert_eq!(kept().await, 41, "only the one that left by itself is old; a digest waits");
    home.settle_as(&digest, SettleAs::Delivered, at(1_000)).await;
    retain(at(1_000)).await;
    assert_eq!(kept().await, 41, "the digest is young");
    assert_eq!(numbers(&home.claim_for("ops", 9, at(1_001)).await), [41]);
    retain(at(1_001)).await;
    assert_eq!(
        kept().await,
        2,
        "the digest and all that it told of are gone, what is in hand stays"
    );
    home.put(vec![about(42, "ops", "k9")]).await;
    assert_eq!(numbers(&home.claim_for("ops", 9, at(1_002)).await), [42], "its key goes on");
}

#[test]
fn a_failure_and_its_recovery_that_both_waited_are_one_line_that_says_it_is_over() {
    let mut gatherer = Gatherer::new("ops");
    let mut number = 0;
    let mut add = |key: u8, reason, severity| {
        number += 1;
        gatherer.add(&Waiting {
            id: id(number),
            key: [key; 16],
            reason,
            severity,
            entry: Some(EntryId([key; 16])),
        });
    };
    add(1, Reason::Failing, Severity::Critical);
    add(2, Reason::Failing, Severity::Warning);
    add(3, Reason::Recovered, Severity::Error);
    add(4, Reason::Failing, Severity::Error);
    add(1, Reason::Recovered, Severity::Critical);
    add(5, Reason::Matched, Severity::Info);
    let digest = gatherer.digest();
    assert_eq!((digest.count, digest.severity), (6, Severity::Error), "what is over is not grave");
    assert_eq!(digest.tally, Tally { failing: 2, matched: 1, recovered: 1, over: 1 });
    let order: Vec<u8> = digest.entries.iter().map(|id| id.0[0]).collect();
    assert_eq!(order, [4, 2, 5, 3, 1], "the gravest that fails first, what is over last");
}

#[test]
fn the_parts_of_a_message_count_as_one() {
    let mut gatherer = Gatherer::new("ops");
    for id in [id(1), id(1).part(1), id(1).part(2), id(2)] {
        gatherer.add(&Waiting {
            id,
            key: [1; 16],
            reason: Reason::Matched,
            severity: Severity::Info,
            entry: None,
        });
    }
    assert_eq!(gatherer.digest().count, 2);
}

#[test]
fn a_clock_that_was_set_back_puts_no_digest_off() {
    assert_eq!(PRESSURE.step(21, Some(at(50)), at(20)), Step::Fold);
    assert_eq!(PRESSURE.step(20, None, at(20)), Step::Singly);
}

/// A WeCom robot that takes 20 messages in any minute and refuses more with 45009.
struct Robot {
    clock: TokioClock,
    taken: Mutex<Vec<(Timestamp, NotificationId, String)>>,
    refused: Mutex<u32>,
}

#[async_trait]
impl Notifier for Robot {
    fn kind(&self) -> &'static str {
        "wecom"
    }

    async fn send(&self, delivery: &Delivery, _: Timestamp) -> Outcome {
        let now = self.clock.now();
        let mut taken = self.taken.lock().unwrap();
        if taken.iter().filter(|(then, ..)| *then + MINUTE > now).count() >= 20 {
            *self.refused.lock().unwrap() += 1;
            let slow = Class::Retry { after: Some(MINUTE) };
            return Outcome::new(slow, Some(200), "45009").with(Flag::Throttle);
        }
        taken.push((now, delivery.id, delivery.payload.body.clone()));
        Outcome::new(Class::Delivered, Some(200), "ok")
    }
}

fn renderer() -> Arc<dyn Renderer> {
    let settings = Settings {
        zone: TimeZone::UTC,
        public_url: Some("https://bell.example.internal".to_owned()),
    };
    let templates = Arc::new(Templates::load(None, settings).unwrap());
    let target = Target { kind: ReceiverType::Wecom, template: Some("default-zh".into()) };
    Arc::new(MessageRenderer::new(templates, [("ops".into(), target)].into()).unwrap())
}

/// A commit of the burst: a thousand failures of as many services, and recoveries of some.
fn burst(turn: u32) -> Batch {
    let mut batch = Batch { at: Some(at(turn.into())), ..Batch::default() };
    for n in turn * 1_000 + 1..=(turn + 1) * 1_000 {
        let recovers = n % 10 == 0;
        let about_n = if recovers { n - 1 } else { n };
        let entry = entry(n.into(), &format!("v{n}"));
        let severity = if n % 1_000 == 7 { Severity::Critical } else { Severity::Warning };
        batch.notifications.push(NewNotification {
            told: Default::default(),
            reason: if recovers { Reason::Recovered } else { Reason::Failing },
            severity,
            entries: vec![entry.id],
            created_at: at(turn.into()),
            ..about(n, "ops", &format!("s{about_n}"))
        });
        batch.entries.push(decided(entry, &[]));
    }
    batch
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_alerts_to_a_robot_held_to_twenty_a_minute_are_a_handful_of_messages() {
    // While something blocks, time stands still unless the test moves it: the store is a thread.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let blocker = tokio::task::spawn_blocking(move || stopped.recv().is_ok());
    let home = Home::new();
    let clock = TokioClock::starting_at(at(0));
    let robot = Arc::new(Robot { clock, taken: Mutex::default(), refused: Mutex::default() });
    let store: Arc<SqliteStore> = Arc::new(open(home.folder.path().join("burst.db")));
    let metrics = Arc::new(Metrics::new());
    let wakes = Wakes::new(["ops".into()]);
    let world = LaneWorld {
        store: store.clone(),
        clock: Arc::new(clock),
        observer: metrics.clone(),
        alarms: Alarms::new(metrics.clone()),
        wakes: wakes.clone(),
    };
    let settings = LaneSettings {
        receiver: "ops".into(),
        pace: Some(PRESSURE.pace),
        concurrency: 4,
        send_timeout: MINUTE,
    };
    let board = LaneBoards::default().lane(&"ops".into());
    let digests = Digests { pressure: PRESSURE, renderer: Arc::new(renderer) };
    let lane = Lane::new(settings, robot.clone(), world, board, None).folding(Some(digests));
    let cancel = CancellationToken::new();
    let lane = tokio::spawn(lane.run(cancel.clone()));

    let breath = || tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10)));
    for second in 0..150 {
        if second < 10 {
            store.commit(burst(second)).await.unwrap();
            wakes.wake("ops");
        }
        breath().await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    cancel.cancel();
    lane.await.unwrap();

    let taken = robot.taken.lock().unwrap().clone();
    println!("messages: {}", taken.len());
    let mut delivered = BTreeSet::new();
    let (mut counted, mut things) = (BTreeMap::new(), 0);
    for (then, id, body) in &taken {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let content = body["markdown"]["content"].as_str().unwrap();
        println!("{:?}: {} bytes\n{content}", then.duration_since(at(0)), content.len());
        assert!(content.len() <= 4_096);
        assert!(content.contains("deliveries list --state folded --receiver ops"), "{content}");
        let number = |before: &str, after: &str| -> u64 {
            let from = content.split(before).nth(1).unwrap_or_else(|| panic!("{content}"));
            from.split(after).next().unwrap().trim().parse().unwrap_or_else(|_| panic!("{content}"))
        };
        let (failing, over) = (number("🔴 ", "个仍失败"), number("· ✅ ", "个失败后已恢复"));
        let listed = content.matches("\n> ").count() as u64 - 1;
        assert_eq!(listed + number("……另有", "条"), failing + over, "each thing once: {content}");
        assert!(!content.contains("failing"), "it is told in Chinese: {content}");
        things += failing + over;
        assert!(
            content.contains(&format!("https://bell.example.internal/notifications/{id}")),
            "{content}"
        );
        delivered.insert(*id);
    }
    assert!((2..=5).contains(&taken.len()), "a handful, not {}", taken.len());
    assert_eq!(things, 9_000, "a service that recovered meanwhile is one thing");
    assert_eq!(*robot.refused.lock().unwrap(), 0, "never more than the robot takes");

    // The gravest are named.
    let first = &taken[0].2;
    assert!(first.contains("v7"), "the critical one of the first thousand is named: {first}");

    let mut query = NotificationQuery { limit: 500, ..NotificationQuery::default() };
    let mut seen = 0;
    loop {
        let page = store.notifications(query.clone()).await.unwrap();
        for view in &page.items {
            if view.reason == Reason::Digest {
                assert_eq!(view.state, NotificationState::Delivered);
                continue;
            }
            seen += 1;
            assert_eq!(view.state, NotificationState::Folded, "{view:?}");
            let into = view.folded_into.unwrap();
            assert!(delivered.contains(&into), "{view:?}");
            *counted.entry(into).or_insert(0) += 1;
        }
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, 10_000);
    println!("members by digest: {:?}", counted.values().collect::<Vec<_>>());
    drop(stop);
    blocker.await.unwrap();
}
