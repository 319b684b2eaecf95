//! A repository that fails, a registry that is away, rows that can't be understood, gaps, clocks.

use jiff::Timestamp;
use triggerbell::{
    domain::{
        entry::{Row, WallTime},
        notification::HeldBy,
        quiet::{CatchUp, Then},
    },
    ports::{AlarmKind, Clock, Page, SourceErrorKind, SourceState},
};

use super::scene::{Log, MINUTE, SECOND, START, Scene, Setting, name, refusal, reject, row};

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_refused_slows_itself_only_and_is_said_once() {
    let log = Log::keep();
    let scene = Scene::new(Setting { repos: 3, ..Setting::default() });
    scene
        .registry
        .says(|asked, _| (asked.repo == name(1)).then(|| refusal(SourceErrorKind::Repository)));
    let mut scene = scene;
    scene.start().await;
    scene.pass(20 * MINUTE).await;
    let failing = scene.registry.asked_at(&name(1));
    let waits: Vec<f64> = failing.windows(2).map(|pair| (pair[1] - pair[0]).round()).collect();
    assert_eq!(waits, [30.0, 60.0, 120.0, 240.0, 480.0]);
    assert!(scene.registry.asked_at(&name(0)).len() >= 118);
    assert_eq!(log.lines_with("could not read the log of shop/r1"), 1);
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    let status = scene.status();
    assert_eq!(status.failing.len(), 1);
    assert_eq!(&*status.failing[0].repo, "shop/r1");
    assert_eq!(status.state, SourceState::Ok, "the others are read");
    assert!(status.read_at.is_some());

    scene.registry.says(|asked, before| {
        let kind = [SourceErrorKind::Unavailable, SourceErrorKind::Repository][before % 2];
        (asked.repo == name(1)).then(|| refusal(kind))
    });
    scene.pass(60 * MINUTE).await;
    assert_eq!(log.lines_with("could not read the log of shop/r1"), 1, "no news");
    scene.registry.works();
    scene.pass(10 * MINUTE).await;
    assert_eq!(log.lines_with("the log can be read again"), 1);
    assert!(scene.status().failing.is_empty());

    // One that is away and then refused has something new to say.
    let away_until = scene.clock.elapsed().as_secs_f64() + 600.0;
    scene.registry.says(move |asked, _| {
        let away = asked.at < away_until;
        let kind = if away { SourceErrorKind::Unavailable } else { SourceErrorKind::Repository };
        (asked.repo == name(1)).then(|| refusal(kind))
    });
    scene.pass(60 * MINUTE).await;
    assert_eq!(log.lines_with("could not read the log of shop/r1: it says unavailable"), 1);
    assert_eq!(log.lines_with("could not read the log of shop/r1: it says repository"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_is_asked_ever_less_then_blind_and_well_again_soon() {
    let log = Log::keep();
    let scene = Scene::started(Setting { repos: 50, ..Setting::default() }).await;
    scene.pass(MINUTE).await;
    scene.registry.forget();
    scene.registry.says(|_, _| Some(refusal(SourceErrorKind::Unavailable)));
    scene.pass(9 * MINUTE).await;
    assert!(scene.firing().is_empty(), "not blind yet: {:?}", scene.firing());
    scene.pass(2 * MINUTE).await;
    assert_eq!(scene.firing(), [AlarmKind::SourceBlind]);
    assert_eq!(scene.status().state, SourceState::Blind);
    let asked = scene.registry.asked().len();
    assert!(asked < 50 * 20, "{asked} requests in 11 minutes to a registry that is away");
    let named = log.lines_with("could not read the log of");
    assert_eq!(named, 20, "an outage of fifty repositories is not fifty lines");
    assert_eq!(log.lines_with("more repositories can't be read"), 1);

    scene.registry.works();
    scene.pass(130 * SECOND).await;
    assert!(scene.firing().is_empty(), "{:?}", scene.firing());
    assert_eq!(scene.status().state, SourceState::Ok);
    assert!(scene.status().failing.is_empty());
    assert_eq!((scene.observer.count("alarm"), scene.observer.count("alarm_over")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answered_is_blind_too() {
    let scene = Scene::new(Setting::default());
    scene.registry.says(|_, _| Some(refusal(SourceErrorKind::Unavailable)));
    let mut scene = scene;
    scene.start().await;
    scene.pass(11 * MINUTE).await;
    assert_eq!(scene.firing(), [AlarmKind::SourceBlind]);
}

#[tokio::test(start_paused = true)]
async fn a_walk_of_a_quarter_of_an_hour_is_no_blindness() {
    let mut scene = Scene::new(Setting { requests_per_second: 0.1, ..Setting::default() });
    scene.registry.publish(&name(0), 9_000);
    scene.start().await;
    scene.pass(14 * MINUTE).await;
    assert_eq!(scene.observer.count("alarm"), 0);
    scene.pass(2 * MINUTE).await;
    scene.assert_each_once(9_000);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_once_is_asked_again_at_once() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), 250);
    scene.registry.says(|_, before| (before == 1).then(|| refusal(SourceErrorKind::Unavailable)));
    scene.start().await;
    scene.pass(5 * SECOND).await;
    scene.assert_each_once(250);
    assert!(scene.status().failing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_half_way_leaves_everything_as_it_was_and_the_walk_begins_afresh() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), 450);
    scene.registry.says(|asked, _| {
        (asked.offset > 250 && asked.at < 60.0).then(|| refusal(SourceErrorKind::Unavailable))
    });
    scene.start().await;
    scene.pass(55 * SECOND).await;
    assert_eq!(scene.store.decided().len(), 0);
    assert_eq!(scene.store.cursor("shop", &name(0)).baseline_at, None);
    scene.pass(2 * MINUTE).await;
    scene.assert_each_once(450);
    let offsets: Vec<u64> = scene.registry.asked().iter().map(|asked| asked.offset).collect();
    let starts = offsets.iter().filter(|offset| **offset == 0).count();
    assert!(starts >= 3, "each walk begins with page 1: {offsets:?}");
}

#[tokio::test(start_paused = true)]
async fn each_row_that_cannot_be_understood_is_counted_once_however_often_it_is_met() {
    let log = Log::keep();
    let mut scene = Scene::new(Setting { repos: 2, ..Setting::default() });
    scene.registry.publish(&name(0), 5);
    scene.registry.touches(|asked, page| {
        if asked.repo == name(0) {
            reject(page, "{\"no\":1}");
            if asked.at > 60.0 {
                reject(page, "{\"no\":2}");
                reject(page, "{\"no\":3}");
            }
        }
    });
    scene.start().await;
    scene.pass(30 * SECOND).await;
    assert_eq!(scene.status().rejected, 1);
    // New rows make new walks, and each walk meets the old ones again.
    for _ in 0..30 {
        scene.registry.publish(&name(0), 1);
        scene.pass(30 * SECOND).await;
    }
    assert_eq!(scene.status().rejected, 3);
    assert_eq!(scene.observer.count("rejected"), 3);
    assert_eq!(scene.store.rejected(), 3);
    assert_eq!(log.lines_with("can't be understood"), 1);
    assert_eq!(log.lines_with("shop/r0"), log.lines_with("shop/r0").max(1), "it is named");
    scene.assert_each_once(35);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_counted_and_alarmed_until_that_repository_is_read_without_one() {
    let mut scene = Scene::new(Setting { repos: 20, ..Setting::default() });
    for index in 0..20 {
        scene.registry.publish(&name(index), 150);
    }
    scene.start().await;
    scene.pass(30 * SECOND).await;
    // Everything that was known leaves, and other rows come: as if 10,000 had passed by.
    let repo = name(7);
    scene.registry.replace(&repo, (0..120).map(|n| row(START + 25 + n % 3, &format!("new-{n}"))));
    scene.pass(9 * SECOND).await;
    let gaps = scene.status().gaps;
    assert_eq!(gaps, 1);
    assert_eq!(scene.observer.count("gap"), 1);
    assert_eq!(scene.firing(), [AlarmKind::Gap], "polls of others do not end it");
    assert_eq!(scene.observer.count("alarm"), 1);
    scene.pass(MINUTE).await;
    assert_eq!(scene.firing(), []);
    assert_eq!(scene.observer.count("alarm_over"), 1);
    assert_eq!(scene.status().gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_named_and_the_alarm_does_not_flutter() {
    let mut scene = Scene::new(Setting { repos: 2, ..Setting::default() });
    let skew = |by: i64| move |_: &_, page: &mut Page| page.skew_s = Some(by);
    scene.registry.touches(skew(95));
    scene.start().await;
    scene.pass(MINUTE).await;
    assert_eq!(scene.firing(), [AlarmKind::Clock]);
    let said = scene.alarm(AlarmKind::Clock);
    assert!(said.contains("95 s behind"), "{said}");
    assert_eq!(scene.status().skew_s, Some(95));
    scene.registry.touches(skew(-70));
    scene.pass(MINUTE).await;
    assert!(scene.alarm(AlarmKind::Clock).contains("70 s ahead of"));
    // Around the bound it stays what it is.
    scene.registry.touches(|asked, page| {
        page.skew_s = Some(if (asked.at as u64 / 10).is_multiple_of(2) { 59 } else { 61 });
    });
    scene.pass(5 * MINUTE).await;
    assert_eq!((scene.observer.count("alarm"), scene.observer.count("alarm_over")), (1, 0));
    scene.registry.touches(skew(2));
    scene.pass(MINUTE).await;
    assert_eq!(scene.firing(), []);
}

#[tokio::test(start_paused = true)]
async fn a_newest_row_in_the_future_is_a_wrong_zone_whatever_other_repositories_show() {
    let mut scene = Scene::new(Setting { repos: 2, ..Setting::default() });
    scene.registry.publish(&name(0), 3);
    let ahead = Timestamp::from_second(START + 8 * 3600).unwrap();
    scene.registry.push(&name(1), Row { time: ahead, ..row(START + 8 * 3600, "a") });
    scene.registry.touches(|_, page| page.skew_s = Some(1));
    scene.start().await;
    scene.pass(5 * MINUTE).await;
    assert_eq!(scene.firing(), [AlarmKind::Clock]);
    let said = scene.alarm(AlarmKind::Clock);
    assert!(said.contains("in the future") && said.contains("time_zone"), "{said}");
    assert_eq!((scene.observer.count("alarm"), scene.observer.count("alarm_over")), (1, 0));
    // The zone is set right: the same rows lie in the past.
    scene.registry.replace(
        &name(1),
        [Row { time: ahead, ..row(START, "a") }].map(|mut row| {
            row.time = Timestamp::from_second(START).unwrap();
            row.wall_time = WallTime(START);
            row
        }),
    );
    scene.pass(MINUTE).await;
    assert_eq!(scene.firing(), []);
}

#[tokio::test(start_paused = true)]
async fn rows_that_come_whole_hours_late_poll_after_poll_are_a_wrong_zone_and_no_late_news() {
    let older_than = 60 * MINUTE;
    let setting =
        Setting { catch_up: Some(CatchUp { older_than, then: Then::Skip }), ..Setting::default() };
    let mut scene = Scene::new(setting);
    scene.start().await;
    scene.pass(MINUTE).await;
    let mut pushed = 0_usize;
    let mut push = |scene: &Scene, behind_s: i64| {
        let at = scene.clock.now().as_second() - behind_s;
        scene.registry.push(&name(0), row(at, &format!("late-{pushed}")));
        pushed += 1;
    };
    let held = |scene: &Scene| {
        let held = scene.store.notifications();
        held.iter().filter(|it| it.held_by == Some(HeldBy::CatchUp)).count()
    };
    let (nine, eight) = (9 * 3600, 8 * 3600);
    // Merely late: no hours agree.
    for late in [1_500, 1_100, 700] {
        push(&scene, nine + late);
        scene.pass(20 * SECOND).await;
    }
    assert_eq!((scene.firing(), held(&scene)), (vec![], 3));
    for _ in 0..3 {
        push(&scene, eight);
        scene.pass(20 * SECOND).await;
    }
    assert_eq!(scene.firing(), [AlarmKind::Clock]);
    let said = scene.alarm(AlarmKind::Clock);
    assert!(said.contains("8 h after") && said.contains("time_zone"), "{said}");
    assert_eq!(held(&scene), 6, "until then they looked late");
    for _ in 0..3 {
        push(&scene, eight);
        scene.pass(20 * SECOND).await;
    }
    assert_eq!(held(&scene), 6, "news are news again");
    assert_eq!((scene.observer.count("alarm"), scene.observer.count("alarm_over")), (1, 0));
    push(&scene, 0);
    scene.pass(20 * SECOND).await;
    assert_eq!(scene.firing(), []);
    push(&scene, nine);
    scene.pass(20 * SECOND).await;
    assert_eq!(held(&scene), 7, "and late news are late again");
}

#[tokio::test(start_paused = true)]
async fn a_deprecation_is_logged_once() {
    let log = Log::keep();
    let scene = Scene::new(Setting { repos: 5, ..Setting::default() });
    scene.registry.touches(|_, page| page.deprecated = Some("gone by 2027".to_owned()));
    let mut scene = scene;
    scene.start().await;
    scene.pass(5 * MINUTE).await;
    assert_eq!(log.lines_with("gone by 2027"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_done_when_it_has_been_read() {
    let mut scene = Scene::new(Setting { kind: "file", ..Setting::default() });
    scene.registry.publish(&name(0), 3);
    scene.start().await;
    assert_eq!(scene.status().state, SourceState::Starting);
    scene.pass(SECOND).await;
    assert_eq!(scene.status().state, SourceState::Done);
    scene.assert_each_once(3);
}
