//! Delivery: pace, order, retries, dead letters, closed lanes. Paused time, a scripted receiver.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use triggerbell::{
    adapters::clock::TokioClock,
    domain::{
        notification::NotificationState,
        outcome::{Class, Flag, Outcome, Scope},
        pace::Pace,
        retry::SCHEDULE,
        rule::RuleSet,
    },
    engine::{
        alarm::Alarms,
        board::LaneBoards,
        decider::Policy,
        delivery::{Lane, LaneSettings, LaneWorld},
        fallback::Fallback,
        wake::Wakes,
    },
    ports::{AlarmKind, Clock, Delivery, Notifier, Part, RenderError, RenderRequest, Renderer},
    telemetry::Metrics,
};

use crate::support::{outbox::Outbox, turned::TurnedClock};

type Script = Box<dyn Fn(&Delivery, usize) -> Answer + Send + Sync>;

/// What the receiver does with a message.
enum Answer {
    Says(Outcome),
    After(Duration, Outcome),
    Never,
    Panics,
}

fn ok() -> Outcome {
    Outcome::new(Class::Delivered, Some(200), "ok")
}

fn busy(status: u16) -> Outcome {
    Outcome::new(Class::Retry { after: None }, Some(status), "busy")
}

fn slow_down(seconds: u64) -> Outcome {
    let after = Some(Duration::from_secs(seconds));
    Outcome::new(Class::Retry { after }, Some(429), "slow down").with(Flag::Throttle)
}

fn broken_for_now() -> Outcome {
    Outcome::new(Class::Retry { after: None }, Some(500), "an error of the receiver's")
}

fn gone() -> Outcome {
    Outcome::new(Class::Permanent(Scope::Endpoint), Some(410), "the webhook is gone")
}

/// A receiver that answers by a script and notes each message with its time.
struct Receiver {
    clock: TokioClock,
    script: Script,
    seen: Mutex<Vec<(Timestamp, i64, bool)>>,
    busy: AtomicUsize,
    most_busy: AtomicUsize,
}

#[async_trait]
impl Notifier for Receiver {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    async fn send(&self, delivery: &Delivery, _: Timestamp) -> Outcome {
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push((self.clock.now(), delivery.seq, delivery.plain));
            seen.len() - 1
        };
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_busy.fetch_max(busy, Ordering::SeqCst);
        let outcome = match (self.script)(delivery, number) {
            Answer::Says(outcome) => outcome,
            Answer::After(wait, outcome) => {
                tokio::time::sleep(wait).await;
                outcome
            }
            Answer::Never => std::future::pending().await,
            Answer::Panics => panic!("a bug in the receiver's adapter"),
        };
        self.busy.fetch_sub(1, Ordering::SeqCst);
        outcome
    }
}

/// A lane under paused time, with its outbox and its receiver.
struct Scene {
    clock: TokioClock,
    /// What the lane goes by.
    turned: Arc<TurnedClock>,
    start: Timestamp,
    outbox: Outbox,
    receiver: Arc<Receiver>,
    world: LaneWorld,
    boards: LaneBoards,
    cancel: CancellationToken,
    lane: tokio::task::JoinHandle<()>,
}

struct Setting {
    pace: Option<Pace>,
    concurrency: usize,
}

const PLAIN: Setting = Setting { pace: None, concurrency: 4 };

impl Scene {
    fn new(
        setting: &Setting,
        script: impl Fn(&Delivery, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::with_outbox(setting, &Outbox::default(), script)
    }

    fn with_outbox(
        setting: &Setting,
        outbox: &Outbox,
        script: impl Fn(&Delivery, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::falling_back(setting, outbox, None, script)
    }

    fn falling_back(
        setting: &Setting,
        outbox: &Outbox,
        fallback: Option<Fallback>,
        script: impl Fn(&Delivery, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let start: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
        let clock = TokioClock::starting_at(start);
        let receiver = Arc::new(Receiver {
            clock,
            script: Box::new(script),
            seen: Mutex::default(),
            busy: AtomicUsize::new(0),
            most_busy: AtomicUsize::new(0),
        });
        let observer = Arc::new(Metrics::new());
        let name: Arc<str> = "ops".into();
        let turned = Arc::new(TurnedClock::of(clock));
        let world = LaneWorld {
            store: Arc::new(outbox.clone()),
            clock: turned.clone(),
            observer: observer.clone(),
            alarms: Alarms::new(observer),
            wakes: Wakes::new([name.clone()]),
        };
        let settings = LaneSettings {
            receiver: name.clone(),
            pace: setting.pace,
            concurrency: setting.concurrency,
            send_timeout: Duration::from_secs(20),
        };
        let boards = LaneBoards::default();
        let record = outbox.lane("ops");
        let lane = Lane::new(settings, receiver.clone(), world.clone(), boards.lane(&name), record);
        let cancel = CancellationToken::new();
        let lane = tokio::spawn(lane.falling_back(fallback).run(cancel.clone()));
        Self { clock, turned, start, outbox: outbox.clone(), receiver, world, boards, cancel, lane }
    }

    /// A message for the receiver, as a commit would bring it.
    fn push(&self, key: u8) -> i64 {
        let seq = self.outbox.push("ops", key, self.clock.now());
        self.world.wakes.wake("ops");
        seq
    }

    /// A message of so many parts.
    fn push_parts(&self, key: u8, parts: usize) -> i64 {
        let first = self.outbox.push("ops", key, self.clock.now());
        for _ in 1..parts {
            self.outbox.push_part("ops", key, Some(first), self.clock.now());
        }
        self.world.wakes.wake("ops");
        first
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Seconds since the start at which messages were sent.
    fn sent_at(&self) -> Vec<f64> {
        let seen = self.receiver.seen.lock().unwrap();
        seen.iter().map(|(at, ..)| at.duration_since(self.start).as_secs_f64()).collect()
    }

    fn sent(&self) -> Vec<i64> {
        self.receiver.seen.lock().unwrap().iter().map(|(_, seq, _)| *seq).collect()
    }

    fn alarms(&self) -> Vec<AlarmKind> {
        self.world.alarms.firing().iter().map(|alarm| alarm.kind).collect()
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.lane.await.unwrap();
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn every_message_is_delivered_once_side_by_side_up_to_the_concurrency() {
    let scene = Scene::new(&PLAIN, |_, _| Answer::After(Duration::from_millis(100), ok()));
    for key in 0..100 {
        scene.push(key);
    }
    scene.pass(MINUTE).await;
    let mut sent = scene.sent();
    sent.sort_unstable();
    assert_eq!(sent, (0..100).collect::<Vec<_>>());
    assert_eq!(scene.outbox.count(NotificationState::Delivered), 100);
    assert_eq!(scene.receiver.most_busy.load(Ordering::SeqCst), 4);
    // 100 messages of 100 ms, four at once.
    assert!(*scene.sent_at().last().unwrap() < 2.6, "{:?}", scene.sent_at().last());
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_key_leave_in_order_and_one_at_a_time() {
    let scene = Scene::new(&PLAIN, |_, _| Answer::After(Duration::from_millis(10), ok()));
    for _ in 0..20 {
        scene.push(7);
    }
    scene.pass(MINUTE).await;
    assert_eq!(scene.sent(), (0..20).collect::<Vec<_>>());
    assert_eq!(scene.receiver.most_busy.load(Ordering::SeqCst), 1);
    // Nothing is added to the sends themselves, not even a tick of the timer.
    assert!(*scene.sent_at().last().unwrap() < 0.195, "{:?}", scene.sent_at().last());
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_message_go_in_one_go_whatever_else_waits() {
    let answer = |_: &Delivery, _| Answer::After(Duration::from_millis(300), ok());
    let scene = Scene::new(&PLAIN, answer);
    scene.push(1);
    scene.push_parts(2, 3);
    scene.push_parts(3, 4);
    scene.push(4);
    scene.pass(MINUTE).await;
    assert_eq!(scene.sent(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(scene.receiver.most_busy.load(Ordering::SeqCst), 1, "a part goes alone");
    scene.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_message_keep_the_pace_and_their_place() {
    for count in 1..=4 {
        let pace = Some(Pace { count, per: Duration::from_secs(10) });
        let scene = Scene::new(&Setting { pace, concurrency: 4 }, |_, _| Answer::Says(ok()));
        scene.push(1);
        scene.push_parts(2, 3);
        scene.push_parts(3, 3);
        scene.push(4);
        scene.pass(MINUTE * 2).await;
        assert_eq!(scene.sent(), (0..8).collect::<Vec<_>>(), "{count} in 10 s");
        let sent_at = scene.sent_at();
        for (first, next) in sent_at.iter().zip(&sent_at[count as usize..]) {
            assert!(next - first >= 10.0, "{count} in 10 s: {sent_at:?}");
        }
        scene.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_interrupted_goes_on_before_anything_else() {
    type Says = fn() -> Outcome;
    let cases: [(Says, f64); 3] = [(|| slow_down(90), 90.0), (broken_for_now, 5.0), (gone, 60.0)];
    for (says, after) in cases {
        let scene = Scene::new(&PLAIN, move |_, number| {
            Answer::Says(if number == 1 { says() } else { ok() })
        });
        scene.push_parts(2, 3);
        scene.push(1);
        scene.push_parts(3, 2);
        scene.pass(MINUTE * 4).await;
        assert_eq!(scene.sent(), [0, 1, 1, 2, 3, 4, 5], "{:?}", says());
        let waited = scene.sent_at()[2];
        assert!(waited >= after && waited < after * 1.5 + 1.0, "{waited} s: {:?}", says());
        assert_eq!(scene.outbox.count(NotificationState::Delivered), 6);
        scene.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_has_to_wait_for_long_lets_others_go_and_stays_in_order() {
    let fails = |delivery: &Delivery, _| {
        Answer::Says(if delivery.seq == 1 && delivery.attempt < 4 {
            broken_for_now()
        } else {
            ok()
        })
    };
    let scene = Scene::new(&PLAIN, fails);
    scene.push_parts(2, 3);
    scene.push(1);
    scene.pass(MINUTE * 10).await;
    assert_eq!(scene.sent(), [0, 1, 1, 1, 3, 1, 2]);
    scene.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_between_parts_goes_on_with_the_next() {
    let outbox = Outbox::default();
    let slow = |_: &Delivery, _| Answer::After(Duration::from_secs(4), ok());
    let scene = Scene::with_outbox(&PLAIN, &outbox, slow);
    scene.push_parts(2, 3);
    scene.push(1);
    scene.pass(Duration::from_secs(6)).await;
    assert_eq!(scene.sent(), [0, 1]);
    let last = outbox.push("ops", 9, "2026-03-02T00:00:00Z".parse().unwrap());
    scene.stop().await;
    let scene = Scene::with_outbox(&PLAIN, &outbox, slow);
    scene.pass(MINUTE).await;
    assert_eq!(scene.sent(), [2, last, 3]);
    scene.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retrying_message_blocks_its_own_key_only() {
    let scene = Scene::new(&PLAIN, |delivery, number| {
        let first_of_7 = delivery.key == [7; 16] && number == 0;
        Answer::Says(if first_of_7 { busy(503) } else { ok() })
    });
    let failing = scene.push(7);
    scene.pass(Duration::from_millis(10)).await;
    let recovered = scene.push(7);
    let other = scene.push(8);
    scene.pass(Duration::from_secs(4)).await;
    assert_eq!(scene.sent(), [failing, other], "the second of the key waits for the first");
    scene.pass(Duration::from_secs(4)).await;
    assert_eq!(scene.sent(), [failing, other, failing, recovered]);
}

#[tokio::test(start_paused = true)]
async fn twenty_a_minute_is_never_more_than_twenty_in_any_minute() {
    let pace = Some(Pace { count: 20, per: MINUTE });
    let scene = Scene::new(&Setting { pace, concurrency: 4 }, |_, _| {
        Answer::After(Duration::from_millis(30), ok())
    });
    for key in 0..70 {
        scene.push(key);
    }
    scene.pass(MINUTE * 5).await;
    let sent = scene.sent_at();
    assert_eq!(sent.len(), 70);
    for (index, at) in sent.iter().enumerate() {
        let in_window = sent[..=index].iter().filter(|other| *other + 60.0 - at > 1e-6).count();
        assert!(in_window <= 20, "{in_window} in the minute before {at}");
    }
    assert!(sent[69] < 200.0, "the pace is used to the full: {}", sent[69]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_grants_no_fresh_allowance() {
    let pace = Some(Pace { count: 3, per: MINUTE });
    let setting = Setting { pace, concurrency: 4 };
    let outbox = Outbox::default();
    let scene = Scene::with_outbox(&setting, &outbox, |_, _| Answer::Says(ok()));
    for key in 0..3 {
        scene.push(key);
    }
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!(scene.sent().len(), 3);
    scene.stop().await;
    // The clock of the new life starts where that of the old one did, five seconds earlier: the
    // sends lie in its future, as after a clock set back, and only the two oldest rules hold.
    let scene = Scene::with_outbox(&setting, &outbox, |_, _| Answer::Says(ok()));
    scene.push(9);
    scene.pass(MINUTE * 2).await;
    assert_eq!(scene.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn slow_down_holds_the_whole_lane_until_the_deadline_and_loses_nothing() {
    let scene = Scene::new(&PLAIN, |_, number| {
        Answer::Says(if number < 30 { slow_down(30) } else { ok() })
    });
    for key in 0..3 {
        scene.push(key);
    }
    scene.pass(Duration::from_secs(29)).await;
    let held = scene.sent().len();
    assert!(held <= 4, "nothing more is sent within the wait: {held}");
    scene.pass(MINUTE * 60).await;
    assert_eq!(scene.outbox.count(NotificationState::Delivered), 3, "{:?}", scene.sent_at());
    assert_eq!(scene.outbox.count(NotificationState::Dead), 0);
    let times = scene.sent_at();
    let resumed = times.iter().find(|at| **at > 1.0).unwrap();
    assert!((30.0..33.5).contains(resumed), "jitter only lengthens: {resumed}");
}

#[tokio::test(start_paused = true)]
async fn failures_follow_the_schedule_and_end_as_a_dead_letter_with_an_alarm() {
    let scene = Scene::new(&PLAIN, |_, _| Answer::Says(busy(500)));
    let seq = scene.push(1);
    scene.pass(MINUTE * 60 * 30).await;
    let times = scene.sent_at();
    assert_eq!(times.len(), SCHEDULE.len() + 1);
    for (pair, wait) in times.windows(2).zip(SCHEDULE) {
        let gap = pair[1] - pair[0];
        let wait = wait.as_secs_f64();
        assert!((wait..=wait * 1.1 + 0.1).contains(&gap), "{gap} for {wait}");
    }
    let row = scene.outbox.row(seq);
    assert_eq!((row.state, row.attempts), (NotificationState::Dead, 9));
    assert_eq!(row.outcomes.len(), 9);
    assert_eq!(scene.alarms(), [AlarmKind::DeadLetter]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_can_never_pass_is_dead_at_once_and_the_next_goes_on() {
    let scene = Scene::new(&PLAIN, |_, number| {
        Answer::Says(match number {
            0 => Outcome::new(Class::Permanent(Scope::Message), Some(400), "no_text"),
            _ => ok(),
        })
    });
    let bad = scene.push(1);
    let next = scene.push(1);
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!(scene.outbox.row(bad).state, NotificationState::Dead);
    assert_eq!(scene.outbox.row(next).state, NotificationState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_refused_form_is_followed_by_the_plain_form_at_once_and_once() {
    let scene = Scene::new(&PLAIN, |_, _| {
        let refused = Outcome::new(Class::Permanent(Scope::Message), Some(400), "invalid_blocks");
        Answer::Says(refused.with(Flag::Fallback))
    });
    let seq = scene.push(1);
    scene.pass(Duration::from_secs(1)).await;
    let plain: Vec<_> = scene.receiver.seen.lock().unwrap().iter().map(|seen| seen.2).collect();
    assert_eq!(plain, [false, true]);
    assert_eq!(scene.outbox.row(seq).state, NotificationState::Dead);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_everything_closes_its_lane_until_a_probe_passes() {
    let (scene, healed) = {
        let healed = Arc::new(Mutex::new(false));
        let seen = healed.clone();
        let script = move |_: &Delivery, _: usize| {
            Answer::Says(if *seen.lock().unwrap() { ok() } else { gone() })
        };
        (Scene::new(&Setting { pace: None, concurrency: 1 }, script), healed)
    };
    for key in 0..10 {
        scene.push(key);
    }
    scene.pass(Duration::from_secs(30)).await;
    assert_eq!(scene.sent(), [0], "one refusal closes the lane");
    assert_eq!(scene.outbox.count(NotificationState::Pending), 10, "nothing is given up");
    assert_eq!(scene.alarms(), [AlarmKind::LaneClosed]);
    assert!(scene.boards.read()["ops"].closed.is_some());
    scene.pass(MINUTE * 60 * 6).await;
    let times = scene.sent_at();
    let gaps: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).round()).collect();
    assert_eq!(gaps[..6], [60.0, 120.0, 240.0, 480.0, 960.0, 1800.0]);
    assert!(gaps[6..].iter().all(|gap| *gap == 1800.0), "{gaps:?}");
    assert!(scene.sent().iter().all(|seq| *seq == 0), "the oldest probes");
    *healed.lock().unwrap() = true;
    scene.pass(MINUTE * 31).await;
    assert_eq!(scene.outbox.count(NotificationState::Delivered), 10);
    assert_eq!(scene.alarms(), []);
    assert!(scene.boards.read()["ops"].closed.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_message_of_which_no_bell_told_is_found_within_half_a_minute() {
    let scene = Scene::new(&PLAIN, |_, _| Answer::Says(ok()));
    scene.push(1);
    scene.pass(MINUTE).await;
    scene.outbox.push("ops", 2, scene.clock.now());
    scene.pass(Duration::from_secs(31)).await;
    assert_eq!(scene.sent(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn sends_in_flight_when_a_lane_closes_do_not_put_its_probe_off() {
    let script = |_: &Delivery, _: usize| Answer::After(Duration::from_secs(1), gone());
    let scene = Scene::new(&PLAIN, script);
    for key in 0..12 {
        scene.push(key);
    }
    scene.pass(Duration::from_secs(30)).await;
    assert_eq!(scene.sent().len(), 4, "what was in flight, and nothing after the refusal");
    scene.pass(MINUTE).await;
    assert_eq!(scene.sent().len(), 5, "one probes a minute later");
    scene.pass(MINUTE * 2).await;
    assert_eq!(scene.sent().len(), 6, "and the next, two minutes after that");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_holds_a_lane_no_longer_than_was_asked() {
    let outbox = Outbox::default();
    let script = |_: &Delivery, _: usize| Answer::Says(slow_down(3600));
    let scene = Scene::with_outbox(&PLAIN, &outbox, script);
    scene.pass(MINUTE * 60 * 24).await;
    scene.push(1);
    scene.pass(Duration::from_secs(1)).await;
    scene.stop().await;
    // The next life begins where the first did: a day earlier.
    let scene = Scene::with_outbox(&PLAIN, &outbox, |_, _| Answer::Says(ok()));
    let second = scene.push(2);
    scene.pass(MINUTE * 30).await;
    assert!(scene.sent().is_empty(), "the receiver asked for an hour");
    scene.pass(MINUTE * 37).await;
    assert_eq!(scene.sent(), [second]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_delays_no_message_by_as_much() {
    let script = |_: &Delivery, number: usize| match number {
        0 => Answer::Says(broken_for_now()),
        _ => Answer::Says(ok()),
    };
    let scene = Scene::new(&PLAIN, script);
    scene.pass(MINUTE * 60 * 24).await;
    let first = scene.push(1);
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!(scene.sent(), [first], "it will be tried again in five seconds");
    scene.turned.set_back(MINUTE * 60 * 20);
    let second = scene.push(2);
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!(scene.sent(), [first, second], "what is new goes at once");
    scene.pass(MINUTE * 67).await;
    assert_eq!(scene.sent(), [first, second, first], "not 20 hours later");
}

#[tokio::test(start_paused = true)]
async fn a_closed_lane_is_tried_at_once_when_a_person_asks_and_soon_after_a_start() {
    let outbox = Outbox::default();
    let scene = Scene::with_outbox(&PLAIN, &outbox, |_, _| Answer::Says(gone()));
    scene.push(1);
    scene.pass(MINUTE * 60 * 3).await;
    let probes = scene.sent().len();
    scene.pass(MINUTE).await;
    assert_eq!(scene.sent().len(), probes, "by now it probes every half hour");
    scene.world.wakes.urge("ops");
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!(scene.sent().len(), probes + 1);
    scene.pass(MINUTE * 20).await;
    assert_eq!(scene.sent().len(), probes + 1, "and it is as it was before");
    scene.stop().await;
    let scene = Scene::with_outbox(&PLAIN, &outbox, |_, _| Answer::Says(ok()));
    scene.pass(MINUTE + Duration::from_secs(1)).await;
    assert_eq!(scene.outbox.count(NotificationState::Delivered), 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_lane_stays_closed_over_a_restart() {
    let outbox = Outbox::default();
    let scene = Scene::with_outbox(&PLAIN, &outbox, |_, _| Answer::Says(gone()));
    scene.push(1);
    scene.pass(Duration::from_secs(1)).await;
    scene.stop().await;
    let scene = Scene::with_outbox(&PLAIN, &outbox, |_, _| Answer::Says(ok()));
    scene.push(2);
    scene.pass(Duration::from_secs(30)).await;
    assert_eq!(scene.sent().len(), 0, "the probe's time has not come");
    assert_eq!(scene.alarms(), [AlarmKind::LaneClosed]);
    scene.pass(MINUTE).await;
    assert_eq!(scene.outbox.count(NotificationState::Delivered), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_receiver_times_out_and_is_tried_again() {
    let scene = Scene::new(&PLAIN, |_, number| match number {
        0 => Answer::Never,
        _ => Answer::Says(ok()),
    });
    let seq = scene.push(1);
    scene.pass(MINUTE).await;
    let row = scene.outbox.row(seq);
    assert_eq!((row.state, row.attempts), (NotificationState::Delivered, 2));
    assert_eq!(row.outcomes[0].flags, [Flag::Ambiguous]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_adapter_is_a_failed_attempt_and_no_more() {
    let scene = Scene::new(&PLAIN, |_, number| match number {
        0 => Answer::Panics,
        _ => Answer::Says(ok()),
    });
    scene.push(1);
    scene.push(2);
    scene.pass(MINUTE).await;
    assert_eq!(scene.outbox.count(NotificationState::Delivered), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_sending_within_one_batch_and_forgets_no_outcome() {
    let scene = Scene::new(&PLAIN, |_, _| Answer::Says(ok()));
    scene.push(1);
    scene.pass(Duration::from_secs(1)).await;
    scene.outbox.fail(true);
    for key in 0..200 {
        scene.push(key);
    }
    scene.pass(MINUTE).await;
    let sent = scene.sent().len();
    scene.outbox.fail(false);
    scene.pass(MINUTE).await;
    assert_eq!(sent, 1, "what can't be claimed is not sent");
    assert_eq!(scene.outbox.count(NotificationState::Delivered), 201);
    assert_eq!(scene.sent().len(), 201, "nothing twice");
}

#[tokio::test(start_paused = true)]
async fn stopping_lets_sends_in_flight_settle_and_gives_the_rest_back() {
    let scene = Scene::new(&PLAIN, |_, _| Answer::After(Duration::from_secs(3), ok()));
    for key in 0..50 {
        scene.push(key);
    }
    scene.pass(Duration::from_secs(1)).await;
    let outbox = scene.outbox.clone();
    scene.stop().await;
    assert_eq!(outbox.count(NotificationState::Delivered), 4, "those in flight");
    assert_eq!(outbox.count(NotificationState::Pending), 46);
    assert_eq!(outbox.count(NotificationState::Sending), 0);
    assert!((4..50).all(|seq| outbox.row(seq).attempts == 0), "an attempt not made is not counted");
}

/// The outbox in memory has no texts to make anew.
struct NoTexts;

impl Renderer for NoTexts {
    fn render(&self, _: &RenderRequest<'_>) -> Result<Vec<Part>, RenderError> {
        unreachable!("the outbox in memory asks for no text")
    }

    fn plain(&self, _: &RenderRequest<'_>, _: &str) -> Part {
        unreachable!("the outbox in memory asks for no text")
    }
}

fn to_dev() -> Option<Fallback> {
    let policy = Arc::new(Policy::new(RuleSet::default(), Arc::new(NoTexts)));
    Some(Fallback { to: "dev".into(), policy: Arc::new(move || policy.clone()) })
}

#[tokio::test(start_paused = true)]
async fn a_closed_lane_hands_over_all_it_holds_and_what_comes_probes_it_in_time() {
    let mended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let now_well = mended.clone();
    let scene = Scene::falling_back(&PLAIN, &Outbox::default(), to_dev(), move |_, _| {
        Answer::Says(if now_well.load(Ordering::SeqCst) { ok() } else { gone() })
    });
    let for_dev = || {
        let rows = (0..).map_while(|seq| scene.outbox.try_row(seq));
        rows.filter(|row| &*row.receiver == "dev").map(|row| row.seq).collect::<Vec<_>>()
    };
    for key in 0..10 {
        scene.push(key);
    }
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!(for_dev(), (0..10).collect::<Vec<_>>(), "those that met it closed, too");
    assert_eq!(scene.alarms(), [AlarmKind::LaneClosed]);
    let tried = scene.sent().len();
    scene.push(10);
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!((for_dev().len(), scene.sent().len()), (11, tried), "no probe is due");

    // The first of what comes then is the probe; it goes over once that failed.
    scene.pass(MINUTE).await;
    assert_eq!(scene.sent().len(), tried, "nothing is there to probe with");
    scene.push(11);
    scene.push(12);
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!(scene.sent()[tried..], [11]);
    assert_eq!(for_dev().len(), 13);

    mended.store(true, Ordering::SeqCst);
    scene.pass(2 * MINUTE).await;
    for key in 13..16 {
        scene.push(key);
    }
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!(scene.sent()[tried + 1..], [13, 14, 15], "it takes messages again");
    assert_eq!((for_dev().len(), scene.alarms()), (13, vec![]));
    scene.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_when_a_lane_closes_goes_to_its_fallback_once_it_is_refused_too() {
    let scene =
        Scene::falling_back(&PLAIN, &Outbox::default(), to_dev(), |_, number| match number {
            0 => Answer::Says(gone()),
            number => Answer::After(Duration::from_secs(5 * number as u64), gone()),
        });
    for key in 0..4 {
        scene.push(key);
    }
    let at = |seq| scene.outbox.row(seq).receiver.to_string();
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!([0, 1, 2, 3].map(at), ["dev", "ops", "ops", "ops"], "three are on their way");
    // Nothing is queued meanwhile that would have the lane look.
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!([0, 1, 2, 3].map(at), ["dev", "dev", "ops", "ops"]);
    scene.pass(Duration::from_secs(10)).await;
    assert_eq!([0, 1, 2, 3].map(at), ["dev", "dev", "dev", "dev"]);
    assert_eq!(scene.sent().len(), 4, "each was tried once");
    scene.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_delays_the_handing_over_and_no_more() {
    let outbox = Outbox::default();
    let scene = Scene::falling_back(&PLAIN, &outbox, to_dev(), |_, _| Answer::Says(gone()));
    scene.push(0);
    scene.pass(Duration::from_secs(1)).await;
    assert_eq!(&*outbox.row(0).receiver, "dev");
    outbox.fail(true);
    scene.push(1);
    scene.pass(Duration::from_secs(10)).await;
    assert_eq!(&*outbox.row(1).receiver, "ops");
    outbox.fail(false);
    scene.pass(Duration::from_secs(3)).await;
    assert_eq!(&*outbox.row(1).receiver, "dev");
    scene.stop().await;
}
