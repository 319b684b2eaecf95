//! When repositories are asked, and how they share the budget.

use std::{collections::BTreeMap, time::Duration};

use triggerbell::ports::{SourceErrorKind, SourceState};

use super::scene::{MINUTE, SECOND, Scene, Setting, name, refusal};

fn gaps(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_quiet_repository_is_asked_once_an_interval_without_drift() {
    let scene = Scene::started(Setting { ..Setting::default() }).await;
    scene.registry.publish(&name(0), 30);
    scene.pass(10 * MINUTE).await;
    let times = scene.registry.asked_at(&name(0));
    // 60 polls, and the walks of the whole overlap ask for no more: all fits a page.
    assert!((60..=62).contains(&times.len()), "{}", times.len());
    let drift = times.last().unwrap() - 10.0 * (times.len() as f64 - 1.0);
    assert!(drift < 0.2, "{drift} s in ten minutes");
    assert!(gaps(&times).iter().all(|gap| (9.99..10.1).contains(gap)), "{:?}", gaps(&times));
    let status = scene.status();
    assert_eq!(status.state, SourceState::Ok);
    assert!((10.0..10.1).contains(&status.effective_interval_s), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_repositories_are_each_read_in_turn_and_the_interval_says_so() {
    let setting = Setting { repos: 1000, ..Setting::default() };
    let scene = Scene::started(setting).await;
    for index in 0..1000 {
        scene.registry.publish(&name(index), 3);
    }
    scene.pass(350 * SECOND).await;
    let mut by_repo: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for asked in scene.registry.asked() {
        by_repo.entry(asked.repo).or_default().push(asked.at);
    }
    assert_eq!(by_repo.len(), 1000);
    for (repo, times) in &by_repo {
        assert!((3..=4).contains(&times.len()), "{repo} was asked {} times", times.len());
        assert!(gaps(times).iter().all(|gap| (90.0..110.0).contains(gap)), "{:?}", gaps(times));
    }
    let total = scene.registry.asked().len();
    assert!((3480..=3520).contains(&total), "10 requests a second: {total}");
    let interval = scene.status().effective_interval_s;
    assert!((99.0..110.0).contains(&interval), "{interval}");
    scene.assert_each_once(3000);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_hundreds_of_pages_holds_up_no_other_repository() {
    let setting = Setting { repos: 20, requests_per_second: 4.0, ..Setting::default() };
    let mut scene = Scene::new(setting);
    scene.registry.publish(&name(0), 40_000);
    for index in 1..20 {
        scene.registry.publish(&name(index), 3);
    }
    scene.start().await;
    scene.pass(150 * SECOND).await;
    let walked = scene.registry.asked_at(&name(0)).len();
    assert!(walked > 200, "the backlog moves on: {walked} pages");
    assert!(walked < 400, "it is not through yet: {walked} pages");
    for index in 1..20 {
        let worst = gaps(&scene.registry.asked_at(&name(index))).into_iter().fold(0.0, f64::max);
        assert!(worst < 12.0, "{} waited {worst} s", name(index));
    }
    scene.pass(5 * MINUTE).await;
    scene.assert_each_once(40_000 + 19 * 3);
}

#[tokio::test(start_paused = true)]
async fn many_backlogs_take_turns_and_the_others_are_still_read() {
    let mut scene = Scene::new(Setting { repos: 50, ..Setting::default() });
    for index in 0..30 {
        scene.registry.publish(&name(index), 1250);
    }
    for index in 30..50 {
        scene.registry.publish(&name(index), 1);
    }
    scene.start().await;
    scene.pass(60 * SECOND).await;
    assert!(scene.store.decided().len() < 30 * 1250, "the backlogs are not through yet");
    for index in 30..50 {
        let times = scene.registry.asked_at(&name(index));
        assert!(times.len() >= 3, "{} was asked {} times", name(index), times.len());
    }
    scene.pass(5 * MINUTE).await;
    scene.assert_each_once(30 * 1250 + 20);
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_takes_longer_than_the_interval_is_followed_at_once() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), 1500);
    scene.registry.latency(SECOND);
    scene.start().await;
    scene.pass(MINUTE).await;
    let asked = scene.registry.asked();
    let second = asked.iter().skip(1).position(|asked| asked.offset == 0).unwrap() + 1;
    let pause = asked[second].at - asked[second - 1].at;
    assert!(asked[second].at - asked[0].at > 10.0, "the walk took long");
    assert!(pause < 2.0, "the next poll waited {pause} s");
    scene.assert_each_once(1500);
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_a_floor_even_where_a_request_had_to_wait() {
    // Ten repositories at one request a second: the last of a round waits nine seconds.
    let setting = Setting { repos: 10, requests_per_second: 1.0, ..Setting::default() };
    let scene = Scene::started(setting).await;
    scene.pass(5 * MINUTE).await;
    for index in 0..10 {
        let gaps = gaps(&scene.registry.asked_at(&name(index)));
        assert!(gaps.iter().all(|gap| *gap > 9.97), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_lower_the_budget_for_a_while_and_the_wished_wait_is_kept() {
    let scene =
        Scene::started(Setting { repos: 200, poll_every: SECOND, ..Setting::default() }).await;
    scene.pass(MINUTE).await;
    let busy = |from: f64, to: f64| {
        let asked = scene.registry.asked();
        asked.iter().filter(|asked| (from..to).contains(&asked.at)).count()
    };
    assert!((580..620).contains(&busy(0.0, 60.0)), "{}", busy(0.0, 60.0));
    // Several requests under way at once are told the same; that is one event.
    scene.registry.latency(SECOND);
    scene.registry.says(|asked, _| {
        (60.0..61.0).contains(&asked.at).then(|| triggerbell::ports::SourceError {
            retry_after: Some(20 * SECOND),
            ..refusal(SourceErrorKind::Throttled)
        })
    });
    scene.pass(2 * MINUTE).await;
    assert!(busy(63.5, 80.5) == 0, "nothing is asked for 20 s: {}", busy(63.5, 80.5));
    let half = busy(100.0, 160.0);
    assert!((280..=310).contains(&half), "half of 10 a second: {half} in a minute");
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    scene.pass(5 * MINUTE).await;
    let full = busy(400.0, 460.0);
    assert!((580..620).contains(&full), "{full}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_repositories_cost_little_at_each_poll() {
    let setting = Setting {
        repos: 10_000,
        poll_every: SECOND,
        requests_per_second: 1000.0,
        rules: Vec::new(),
        ..Setting::default()
    };
    let scene = Scene::new(setting);
    let mut scene = scene;
    scene.registry.latency(Duration::from_millis(1));
    scene.registry.forget();
    scene.start().await;
    let begun = std::time::Instant::now();
    scene.pass(30 * SECOND).await;
    let polls = scene.status().requests;
    assert!(polls > 25_000, "{polls}");
    // A look at each repository at each poll would take minutes in a debug build.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_read_from_the_store_once_and_again_only_after_a_failure() {
    let mut scene = Scene::new(Setting::default());
    scene.start().await;
    for _ in 0..10 {
        scene.registry.publish(&name(0), 3);
        scene.pass(10 * SECOND).await;
    }
    scene.assert_each_once(30);
    assert_eq!(scene.store.window_reads(), 1);
    scene.store.fail(true);
    scene.registry.publish(&name(0), 3);
    scene.pass(20 * SECOND).await;
    scene.store.fail(false);
    scene.pass(20 * SECOND).await;
    scene.assert_each_once(33);
    assert!(scene.store.window_reads() >= 2, "a walk that was not put down leaves nothing");
    let reads = scene.store.window_reads();
    scene.registry.publish(&name(0), 3);
    scene.pass(20 * SECOND).await;
    scene.assert_each_once(36);
    assert_eq!(scene.store.window_reads(), reads);
    scene.stop().await;
}
