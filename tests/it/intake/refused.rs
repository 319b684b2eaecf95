//! A source that refuses us as a whole: one slow probe, one alarm, and full speed again at once.

use triggerbell::ports::{AlarmKind, SourceError, SourceErrorKind, SourceState};

use super::scene::{Log, MINUTE, SECOND, Scene, Setting, name, refusal};

const KINDS: [(SourceErrorKind, AlarmKind); 4] = [
    (SourceErrorKind::Credentials, AlarmKind::Credentials),
    (SourceErrorKind::Clock, AlarmKind::Clock),
    (SourceErrorKind::Retired, AlarmKind::SourceBlind),
    (SourceErrorKind::Configuration, AlarmKind::SourceBlind),
];

#[tokio::test(start_paused = true)]
async fn a_refused_source_is_probed_slowly_by_one_repository_and_alarms_with_the_remedy() {
    for (kind, alarm) in KINDS {
        let log = Log::keep();
        let scene = Scene::started(Setting { repos: 100, ..Setting::default() }).await;
        scene.pass(30 * SECOND).await;
        scene.registry.forget();
        scene.registry.says(move |_, _| Some(SourceError { skew_s: Some(3), ..refusal(kind) }));
        scene.pass(20 * MINUTE).await;
        let asked = scene.registry.asked();
        // What was in hand, then after 30, 60, 120, 240, 300, 300 s.
        let probes: Vec<f64> =
            asked.iter().map(|asked| asked.at - 30.0).filter(|at| *at > 10.0).collect();
        assert!((5..=7).contains(&probes.len()), "{kind:?}: {probes:?}");
        assert!(asked.len() - probes.len() <= 64, "{kind:?}: {}", asked.len());
        assert!((29.0..34.0).contains(&probes[0]), "{kind:?}: {probes:?}");
        assert!((57.0..63.0).contains(&(probes[1] - probes[0])), "{kind:?}: {probes:?}");
        assert_eq!(scene.firing(), [alarm], "{kind:?}");
        let said = scene.alarm(alarm);
        assert!(said.contains("it says"), "{kind:?}: {said}");
        assert_eq!(scene.status().state, SourceState::Refused);
        assert_eq!(scene.status().last_error.as_deref(), Some(&*refusal(kind).message));
        assert_eq!(scene.observer.count("alarm"), 1, "{kind:?} is one alarm, not one a probe");
        assert_eq!(log.lines_with("the source refuses us"), 1);

        // The next probe that is answered restores all of it.
        scene.registry.works();
        scene.pass(5 * MINUTE + 5 * SECOND).await;
        assert_eq!(scene.firing(), [], "{kind:?}");
        assert_eq!(log.lines_with("the source can be read again"), 1);
        let before = scene.registry.asked().len();
        scene.pass(20 * SECOND).await;
        let rate = (scene.registry.asked().len() - before) / 20;
        assert!((9..=10).contains(&rate), "{kind:?}: {rate} a second");
        let interval = scene.status().effective_interval_s;
        assert!(interval < 20.0, "{kind:?}: the time of the refusal is no interval: {interval}");
        assert_eq!(scene.status().state, SourceState::Ok);
    }
}

#[tokio::test(start_paused = true)]
async fn full_speed_is_back_at_once_after_the_probe_that_is_answered() {
    let scene = Scene::started(Setting { repos: 50, ..Setting::default() }).await;
    scene.pass(30 * SECOND).await;
    scene.registry.says(|_, _| Some(refusal(SourceErrorKind::Credentials)));
    scene.pass(31 * SECOND).await;
    scene.registry.works();
    scene.registry.forget();
    // The probes come 30 s and 90 s after the refusal.
    scene.pass(2 * MINUTE).await;
    let asked = scene.registry.asked();
    let first = asked[0].at;
    let read: std::collections::BTreeSet<_> = asked
        .iter()
        .filter(|asked| asked.at < first + 7.0)
        .map(|asked| asked.repo.clone())
        .collect();
    assert_eq!(read.len(), 50, "all are read within the five seconds that 50 requests take");
}

#[tokio::test(start_paused = true)]
async fn polls_that_were_under_way_neither_lift_a_refusal_nor_lengthen_it() {
    let setting = Setting { repos: 3, requests_per_second: 100.0, ..Setting::default() };
    let scene = Scene::new(setting);
    // One repository is refused at once; the others were asked before and are answered later.
    scene.registry.latency(5 * SECOND);
    scene
        .registry
        .says(|asked, _| (asked.repo == name(0)).then(|| refusal(SourceErrorKind::Credentials)));
    let mut scene = scene;
    scene.start().await;
    scene.pass(6 * SECOND).await;
    assert_eq!(scene.firing(), [AlarmKind::Credentials]);
    assert_eq!(scene.status().state, SourceState::Refused);
    assert_eq!(scene.observer.count("alarm_over"), 0);
    scene.registry.forget();
    scene.pass(28 * SECOND).await;
    assert_eq!(scene.registry.asked().len(), 0);
    scene.pass(2 * SECOND).await;
    assert_eq!(scene.registry.asked().len(), 1, "30 s after the refusal, not later");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_meets_another_failure_keeps_the_source_slow() {
    let scene = Scene::started(Setting { repos: 100, ..Setting::default() }).await;
    scene.pass(30 * SECOND).await;
    scene.registry.says(|_, _| Some(refusal(SourceErrorKind::Credentials)));
    scene.pass(10 * SECOND).await;
    scene.registry.forget();
    scene.registry.says(|_, _| Some(refusal(SourceErrorKind::Unavailable)));
    scene.pass(10 * MINUTE).await;
    let asked = scene.registry.asked().len();
    assert!(asked < 100, "one repository every 30 s, its tries with it: {asked}");
    assert_eq!(scene.firing(), [AlarmKind::Credentials]);
}

#[tokio::test(start_paused = true)]
async fn a_sealed_backlog_is_no_sign_that_the_source_answers() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), 2600);
    scene.store.stop_when_sealed();
    scene.start().await;
    scene.pass(30 * SECOND).await;
    assert!(scene.store.cursor("shop", &name(0)).sealed);
    scene.kill().await;
    scene.store.restart();
    scene.registry.says(|_, _| Some(refusal(SourceErrorKind::Credentials)));
    scene.start().await;
    scene.pass(MINUTE).await;
    scene.assert_each_once(2600);
    assert_eq!(scene.firing(), [AlarmKind::Credentials]);
    assert_eq!(scene.status().state, SourceState::Refused);
    assert_eq!(scene.status().read_at, None, "nothing was read in this life");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_refused_at_last_is_one_alarm_not_blind_as_well() {
    let scene = Scene::started(Setting { repos: 5, ..Setting::default() }).await;
    scene.pass(30 * SECOND).await;
    scene.registry.says(|_, _| Some(refusal(SourceErrorKind::Retired)));
    scene.pass(60 * MINUTE).await;
    assert_eq!(scene.firing(), [AlarmKind::SourceBlind]);
    let said = scene.alarm(AlarmKind::SourceBlind);
    assert!(said.contains("it says retired"), "the remedy is not written over: {said}");
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_the_account_may_not_see_slows_no_other_and_alarms_once() {
    let scene = Scene::new(Setting { repos: 3, ..Setting::default() });
    scene
        .registry
        .says(|asked, _| (asked.repo == name(0)).then(|| refusal(SourceErrorKind::Credentials)));
    let mut scene = scene;
    scene.start().await;
    scene.pass(5 * MINUTE).await;
    assert_eq!(scene.firing(), [], "the others are read");
    assert_eq!(scene.observer.count("alarm"), 1);
    scene.registry.forget();
    scene.pass(20 * MINUTE).await;
    assert_eq!(scene.observer.count("alarm"), 1, "it is not raised over and over");
    assert_eq!(scene.status().state, SourceState::Ok);
    assert!(scene.status().read_at.is_some(), "the source counts as read");
    assert_eq!(scene.status().failing[0].repo, name(0).into());
    let often = scene.registry.asked_at(&name(1)).len();
    assert!(often > 100, "at the source's own interval: {often}");
    let seldom = scene.registry.asked_at(&name(0)).len();
    assert!((1..=10).contains(&seldom), "asked for now and then: {seldom}");
}
