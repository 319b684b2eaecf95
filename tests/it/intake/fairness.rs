//! How repositories share a budget that is short: whatever some of them do, none waits longer than
//! is said in `engine::intake::Load`.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use triggerbell::engine::intake::Load;

use super::scene::{MINUTE, SECOND, Scene, Setting, name};

/// A source of which some repositories have news all the time.
#[derive(Debug, Clone)]
struct Scenario {
    repos: usize,
    busy: usize,
    /// Rows that each busy one gets every ten seconds.
    burst: i64,
    per_second: f64,
    latency_ms: u64,
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    (2_usize..50, 0.0..1.0_f64, 1_i64..600, 0.5..20.0_f64, 1_u64..800).prop_map(
        |(repos, part, burst, per_second, latency_ms)| Scenario {
            repos,
            busy: (repos as f64 * part * part) as usize,
            burst,
            per_second,
            latency_ms,
        },
    )
}

/// Pages of a walk that is not a long one.
const SHORT_PAGES: f64 = 8.0;

/// The longest that a repository may wait between two polls: its interval, and then one poll of
/// each other, while long walks take a fifth of the requests; and what is under way when it is due.
fn bound_s(scenario: &Scenario) -> f64 {
    let load = Load {
        repos: scenario.repos,
        busy: scenario.busy,
        requests_per_poll: SHORT_PAGES,
        per_second: scenario.per_second,
        poll_every: 10 * SECOND,
    };
    let interval = load.intervals().idle.as_secs_f64();
    let round = load.round().as_secs_f64() * 1.25;
    let under_way = 20.0 / scenario.per_second + SHORT_PAGES * scenario.latency_ms as f64 / 1000.0;
    interval + round + under_way
}

/// Runs a scenario for some rounds and gives the longest pause of each repository, by its number,
/// in seconds.
async fn pauses(scenario: &Scenario) -> Vec<f64> {
    let mut scene = Scene::new(Setting {
        repos: scenario.repos,
        requests_per_second: scenario.per_second,
        rules: Vec::new(),
        ..Setting::default()
    });
    scene.registry.latency(Duration::from_millis(scenario.latency_ms));
    for index in 0..scenario.repos {
        scene.registry.publish(&name(index), 2);
    }
    scene.start().await;
    let length = bound_s(scenario) * 2.0;
    let mut passed = 0.0;
    while passed < length {
        for index in 0..scenario.busy {
            scene.registry.publish(&name(index), scenario.burst);
        }
        scene.pass(10 * SECOND).await;
        passed += 10.0;
    }
    let begun = scene.registry.asked().first().map_or(0.0, |asked| asked.at);
    let mut firsts: BTreeMap<String, Vec<f64>> =
        (0..scenario.repos).map(|index| (name(index), vec![begun])).collect();
    for asked in scene.registry.asked() {
        if asked.offset == 0 {
            firsts.get_mut(&asked.repo).unwrap().push(asked.at);
        }
    }
    scene.stop().await;
    let longest = |mut times: Vec<f64>| {
        times.push(passed);
        times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
    };
    (0..scenario.repos).map(|index| longest(firsts.remove(&name(index)).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn no_repository_waits_longer_than_the_bound(scenario in scenarios()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let pauses = runtime.block_on(pauses(&scenario));
        let bound = bound_s(&scenario);
        for (index, pause) in pauses.iter().enumerate().skip(scenario.busy) {
            prop_assert!(*pause <= bound, "r{index} waited {pause} s, the bound is {bound} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn busy_ones_are_asked_at_the_floor_and_idle_ones_pay_a_little_for_it() {
    let mut scene = Scene::new(Setting { repos: 1000, rules: Vec::new(), ..Setting::default() });
    for index in 0..1000 {
        scene.registry.publish(&name(index), 1);
    }
    scene.start().await;
    // All are new, and busy for an hour.
    scene.pass(65 * MINUTE).await;
    scene.registry.forget();
    for _ in 0..90 {
        for index in 0..10 {
            scene.registry.publish(&name(index), 1);
        }
        scene.pass(10 * SECOND).await;
    }
    let status = scene.status();
    assert_eq!(status.intervals.busy, 10, "{status:?}");
    assert!((10.0..10.1).contains(&status.intervals.busy_s), "{status:?}");
    assert!((109.0..112.0).contains(&status.intervals.idle_s), "990 at 9 a second: {status:?}");
    assert!(status.effective_interval_s >= status.intervals.idle_s);
    let polls = |index| scene.registry.asked_at(&name(index)).len();
    for index in 0..10 {
        assert!(polls(index) >= 75, "{} was asked {} times", name(index), polls(index));
    }
    for index in 10..1000 {
        assert!((7..=10).contains(&polls(index)), "{} was asked {}", name(index), polls(index));
    }
}

#[tokio::test(start_paused = true)]
async fn an_interval_longer_than_the_patience_is_no_blindness() {
    let setting = Setting { poll_every: 30 * MINUTE, ..Setting::default() };
    let scene = Scene::started(setting).await;
    scene.pass(5 * 60 * MINUTE).await;
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    scene
        .registry
        .says(|_, _| Some(super::scene::refusal(triggerbell::ports::SourceErrorKind::Unavailable)));
    scene.pass(3 * 60 * MINUTE).await;
    assert_eq!(scene.firing(), [triggerbell::ports::AlarmKind::SourceBlind]);
}
