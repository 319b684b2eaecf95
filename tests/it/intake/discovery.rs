//! Repositories that are found out: they appear, disappear and come back, and none of their rows is
//! lost or told twice.

use std::{sync::atomic::Ordering, time::Duration};

use triggerbell::{
    engine::cursor::FirstRun,
    ports::{AlarmKind, SourceErrorKind, SourceState},
};

use super::scene::{Log, MINUTE, SECOND, Scene, Setting, discovering, name, refusal};

const EVERY: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);

fn names(indices: std::ops::Range<usize>) -> Vec<String> {
    indices.map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_and_wanted_is_read_and_nothing_else() {
    let log = Log::keep();
    let setting = Setting { first_run: FirstRun::Skip, ..discovering(EVERY) };
    let mut scene = Scene::new(setting);
    for repo in ["shop/api", "shop/web", "shop/tmp-1", "other/api"] {
        scene.registry.publish(repo, 3);
    }
    scene.start().await;
    scene.pass(MINUTE).await;
    let asked = |repo| scene.registry.asked_at(repo).len();
    assert!(asked("shop/api") >= 6 && asked("shop/web") >= 6);
    assert_eq!((asked("shop/tmp-1"), asked("other/api")), (0, 0));
    scene.assert_each_once(0);
    let status = scene.status();
    let discovery = status.discovery.clone().unwrap();
    assert_eq!((status.repos, status.state), (2, SourceState::Ok), "{status:?}");
    assert_eq!((discovery.found, discovery.listed, discovery.missing), (2, 4, 0));
    assert_eq!(log.lines_with("found repositories: shop/api, shop/web"), 1);
    assert_eq!(log.lines_with("read the log for the first time"), 2);
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    scene.registry.publish("shop/api", 1);
    scene.pass(10 * SECOND).await;
    scene.assert_each_once(1);
}

#[tokio::test(start_paused = true)]
async fn one_found_later_is_news_since_the_list_before() {
    let setting = Setting { first_run: FirstRun::Skip, ..discovering(EVERY) };
    let mut scene = Scene::new(setting);
    scene.registry.publish(&name(0), 3);
    scene.start().await;
    scene.pass(5 * MINUTE).await;
    // Four rows of now; and of a repository that was there all along and could not be seen, rows of
    // half an hour: those since the last list are news.
    scene.registry.publish(&name(1), 4);
    scene.registry.publish(&name(2), 1800);
    scene.pass(6 * MINUTE).await;
    let decided = scene.store.decided();
    let of = |repo: String| decided.iter().filter(|it| *it.asked_repo == *repo).count();
    assert_eq!(of(name(0)), 0);
    assert_eq!(of(name(1)), 4);
    // Five minutes, and one for clocks that differ.
    assert!((300..=362).contains(&of(name(2))), "{}", of(name(2)));
}

#[tokio::test(start_paused = true)]
async fn one_found_after_a_restart_is_news_since_the_list_before_it() {
    let setting = Setting { first_run: FirstRun::Skip, ..discovering(EVERY) };
    let mut scene = Scene::new(setting);
    scene.registry.publish(&name(0), 3);
    scene.start().await;
    scene.pass(MINUTE).await;
    scene.stop().await;
    scene.pass(HOUR).await;
    scene.registry.publish(&name(1), 5);
    scene.pass(MINUTE).await;
    scene.start().await;
    scene.pass(MINUTE).await;
    scene.assert_each_once(5);
}

#[tokio::test(start_paused = true)]
async fn one_that_disappears_is_read_on_and_loses_nothing() {
    let log = Log::keep();
    let mut scene = Scene::new(discovering(EVERY));
    for index in 0..5 {
        scene.registry.publish(&name(index), 1);
    }
    scene.start().await;
    scene.pass(MINUTE).await;
    scene.registry.lists(names(0..4));
    scene.pass(HOUR).await;
    assert_eq!(log.lines_with("read on for a day or until it refuses them: shop/r4"), 1);
    assert_eq!(scene.status().discovery.unwrap().missing, 1);
    scene.registry.publish(&name(4), 2);
    scene.pass(MINUTE).await;
    scene.assert_each_once(7);
    scene.registry.lists(names(0..5));
    scene.registry.publish(&name(4), 1);
    scene.pass(EVERY).await;
    scene.assert_each_once(8);
    assert_eq!(log.lines_with("listed again: shop/r4"), 1);
    assert!(scene.firing().is_empty(), "one of five is no alarm: {:?}", scene.firing());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_gone_is_let_go_and_goes_on_where_it_was_when_it_comes_back() {
    let log = Log::keep();
    let mut scene = Scene::new(discovering(EVERY));
    for index in 0..5 {
        scene.registry.publish(&name(index), 3);
    }
    scene.start().await;
    scene.pass(MINUTE).await;
    scene.registry.lists(names(0..4));
    let gone = name(4);
    scene
        .registry
        .says(move |asked, _| (asked.repo == gone).then(|| refusal(SourceErrorKind::Repository)));
    scene.pass(30 * MINUTE).await;
    assert_eq!(log.lines_with("it is not read any more"), 1);
    assert_eq!((scene.status().repos, scene.status().failing.len()), (4, 0));
    let asked = scene.registry.asked_at(&name(4)).len();
    scene.pass(HOUR).await;
    assert_eq!(scene.registry.asked_at(&name(4)).len(), asked, "it is not asked any more");
    // A restart does not take it up either.
    scene.stop().await;
    scene.start().await;
    scene.pass(5 * MINUTE).await;
    assert_eq!(scene.registry.asked_at(&name(4)).len(), asked);
    // It comes back with the rows that it had and two more.
    scene.registry.works();
    scene.registry.publish(&name(4), 2);
    scene.registry.lists(names(0..5));
    scene.pass(11 * MINUTE).await;
    scene.assert_each_once(17);
    assert_eq!(scene.status().repos, 5);
}

#[tokio::test(start_paused = true)]
async fn one_that_can_be_read_is_let_go_after_a_day() {
    let mut scene = Scene::new(discovering(EVERY));
    for index in 0..3 {
        scene.registry.publish(&name(index), 1);
    }
    scene.start().await;
    scene.pass(MINUTE).await;
    scene.registry.lists(names(0..2));
    scene.pass(23 * HOUR).await;
    assert_eq!(scene.status().repos, 3);
    scene.pass(2 * HOUR).await;
    assert_eq!(scene.status().repos, 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_shrinks_by_half_is_an_alarm_and_all_are_read_on() {
    let mut scene = Scene::new(discovering(EVERY));
    for index in 0..40 {
        scene.registry.publish(&name(index), 1);
    }
    scene.start().await;
    scene.pass(MINUTE).await;
    scene.registry.lists(names(0..20));
    scene.pass(EVERY).await;
    assert_eq!(scene.firing(), [AlarmKind::Discovery]);
    let said = scene.alarm(AlarmKind::Discovery);
    assert!(said.contains("only 20 of 40 repositories"), "{said}");
    assert!(said.contains("check what the account may see"), "{said}");
    for index in 0..40 {
        scene.registry.publish(&name(index), 1);
    }
    scene.pass(MINUTE).await;
    scene.assert_each_once(80);
    // And so is an answer with nothing at all.
    scene.registry.lists([]);
    scene.pass(EVERY).await;
    assert!(scene.alarm(AlarmKind::Discovery).contains("only 0 of 40"));
    assert_eq!(scene.status().repos, 40);
    scene.registry.lists(names(0..39));
    scene.pass(EVERY).await;
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    assert_eq!(scene.observer.count("alarm"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_can_t_be_had_stops_no_reading_and_is_an_alarm_in_the_end() {
    let log = Log::keep();
    let mut scene = Scene::new(discovering(EVERY));
    scene.registry.publish(&name(0), 1);
    scene.start().await;
    scene.pass(MINUTE).await;
    // An account that may read logs and not list repositories.
    scene.registry.lists_not(refusal(SourceErrorKind::Credentials));
    scene.pass(20 * MINUTE).await;
    scene.registry.publish(&name(0), 1);
    scene.pass(MINUTE).await;
    scene.assert_each_once(2);
    assert!(scene.firing().is_empty(), "not yet: {:?}", scene.firing());
    scene.pass(30 * MINUTE).await;
    assert_eq!(scene.firing(), [AlarmKind::Discovery]);
    assert!(scene.alarm(AlarmKind::Discovery).contains("it says credentials"));
    assert_eq!(scene.status().state, SourceState::Ok);
    let error = scene.status().discovery.unwrap().last_error;
    assert_eq!(error.as_deref(), Some("it says credentials"));
    assert_eq!(log.lines_with("could not list the repositories"), 1, "said once");
    // After a restart it is known what there was.
    scene.stop().await;
    scene.start().await;
    scene.registry.publish(&name(0), 1);
    scene.pass(MINUTE).await;
    scene.assert_each_once(3);
    scene.registry.lists(names(0..1));
    scene.pass(11 * MINUTE).await;
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    assert_eq!(log.lines_with("lists its repositories again"), 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_before_anything_is_known_are_said() {
    let mut scene = Scene::new(discovering(EVERY));
    scene.registry.lists_not(refusal(SourceErrorKind::Credentials));
    scene.start().await;
    scene.pass(MINUTE).await;
    assert_eq!(scene.firing(), [AlarmKind::Credentials]);
    assert_eq!(scene.status().state, SourceState::Refused);
    scene.registry.publish(&name(0), 2);
    scene.registry.lists(names(0..1));
    scene.pass(3 * MINUTE).await;
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    assert_eq!(scene.status().state, SourceState::Ok);
    scene.assert_each_once(2);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_finds_nothing_wanted_is_an_alarm_and_no_blindness() {
    let mut scene = Scene::new(discovering(EVERY));
    scene.registry.publish("other/api", 1);
    scene.start().await;
    scene.pass(HOUR).await;
    assert_eq!(scene.firing(), [AlarmKind::Discovery]);
    let said = scene.alarm(AlarmKind::Discovery);
    assert!(said.contains("lets none of 1 repositories through"), "{said}");
    let status = scene.status();
    assert_eq!((status.state, status.repos), (SourceState::Ok, 0));
    scene.registry.publish(&name(0), 1);
    scene.pass(EVERY).await;
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    scene.assert_each_once(1);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_sees_only_some_is_warned_once_and_shown() {
    let log = Log::keep();
    let mut scene = Scene::new(discovering(EVERY));
    scene.registry.publish(&name(0), 1);
    scene.registry.lists_some_only();
    scene.start().await;
    scene.pass(HOUR).await;
    assert_eq!(log.lines_with("sees only some of the registry's repositories"), 1);
    assert!(scene.status().discovery.unwrap().partial);
}

#[tokio::test(start_paused = true)]
async fn named_repositories_are_read_whatever_is_listed() {
    let mut scene = Scene::new(Setting { repos: 2, ..discovering(EVERY) });
    for index in 0..3 {
        scene.registry.publish(&name(index), 1);
    }
    scene.registry.lists(names(1..3));
    scene.start().await;
    scene.pass(MINUTE).await;
    scene.assert_each_once(3);
    scene.registry.lists([]);
    scene.pass(48 * HOUR).await;
    assert_eq!(scene.status().repos, 2);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_of_a_discovery_loses_and_repeats_nothing() {
    for made in [false, true] {
        for write in 0..40 {
            let mut scene = Scene::new(discovering(EVERY));
            for index in 0..4 {
                scene.registry.publish(&name(index), 3);
            }
            scene.store.stop_at(write, made);
            scene.start().await;
            scene.pass(5 * MINUTE).await;
            for index in 4..8 {
                scene.registry.publish(&name(index), 3);
            }
            scene.pass(10 * MINUTE).await;
            scene.kill().await;
            scene.store.restart();
            scene.pass(30 * MINUTE).await;
            scene.start().await;
            scene.pass(15 * MINUTE).await;
            let decided = scene.store.decided().len();
            assert_eq!(decided, 24, "stopped at write {write}, made: {made}");
            scene.assert_each_once(24);
            scene.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_are_found_in_pages_and_first_contacts_are_summed_up() {
    let log = Log::keep();
    let setting = Setting { requests_per_second: 200.0, ..discovering(EVERY) };
    let mut scene = Scene::new(setting);
    scene.registry.lists(names(0..3000));
    for index in 0..3000 {
        scene.registry.publish(&name(index), 1);
    }
    scene.start().await;
    scene.pass(2 * MINUTE).await;
    assert_eq!(scene.status().repos, 3000);
    assert_eq!(scene.store.decided().len(), 3000);
    assert!((30..=32).contains(&scene.registry.lists_asked()), "{}", scene.registry.lists_asked());
    let lines = log.lines_with("read the log for the first time");
    let summed = log.lines_with("read the logs of more repositories for the first time");
    assert_eq!((lines, summed), (20, 1));
    scene.words.mended.store(true, Ordering::SeqCst);
}
