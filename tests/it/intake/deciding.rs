//! What becomes of entries: rendered, split, held, and what a failing template does.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use triggerbell::{
    domain::{
        notification::HeldBy,
        rule::{Mode, Rule},
    },
    ports::AlarmKind,
};

use super::scene::{Log, MINUTE, SECOND, Scene, Setting, everything, name};

fn with_template(template: &str) -> Setting {
    Setting { rules: vec![everything(Some(template))], ..Setting::default() }
}

#[tokio::test(start_paused = true)]
async fn a_template_that_fails_becomes_a_plain_message_and_one_alarm_until_it_works() {
    let log = Log::keep();
    let mut scene = Scene::new(with_template("broken"));
    scene.registry.publish(&name(0), 40);
    scene.start().await;
    scene.pass(SECOND).await;
    scene.assert_each_once(40);
    let bodies: BTreeSet<_> = scene
        .store
        .notifications()
        .into_iter()
        .map(|notification| notification.payload.unwrap().body)
        .collect();
    assert_eq!(bodies.into_iter().collect::<Vec<_>>(), ["plain: broken.hbs:1:7: no such field"]);
    assert_eq!(scene.firing(), [AlarmKind::Template]);
    let said = scene.alarm(AlarmKind::Template);
    assert!(said.contains("broken for ops") && said.contains("no such field"), "{said}");
    assert_eq!(scene.observer.count("render_failed"), 40);
    assert_eq!(log.lines_with("no such field"), 1, "said once");

    scene.words.mended.store(true, Ordering::SeqCst);
    scene.registry.publish(&name(0), 1);
    scene.pass(6 * MINUTE).await;
    scene.registry.publish(&name(0), 1);
    scene.pass(20 * SECOND).await;
    assert_eq!(scene.firing(), []);
    assert_eq!(scene.store.notifications().last().unwrap().payload.as_ref().unwrap().body, "told");
}

#[tokio::test(start_paused = true)]
async fn a_template_that_fails_for_some_entries_is_one_alarm_not_one_for_each() {
    let mut scene = Scene::new(with_template("picky"));
    scene.registry.publish(&name(0), 100);
    scene.start().await;
    scene.pass(SECOND).await;
    scene.assert_each_once(100);
    assert_eq!(scene.observer.count("render_failed"), 10);
    assert_eq!((scene.observer.count("alarm"), scene.observer.count("alarm_over")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_receivers_failing_template_is_not_ended_by_anothers_success() {
    let works =
        Rule { name: "works".into(), send_to: vec!["audit".into()], ..everything(Some("fine")) };
    let rules = vec![everything(Some("broken")), works];
    let mut scene = Scene::new(Setting { rules, ..Setting::default() });
    scene.registry.publish(&name(0), 10);
    scene.start().await;
    scene.pass(10 * MINUTE).await;
    scene.registry.publish(&name(0), 10);
    scene.pass(MINUTE).await;
    assert_eq!((scene.observer.count("alarm"), scene.observer.count("alarm_over")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_nothing_is_a_failure_too() {
    let mut scene = Scene::new(with_template("silent"));
    scene.registry.publish(&name(0), 1);
    scene.start().await;
    scene.pass(SECOND).await;
    let body = scene.store.notifications().remove(0).payload.unwrap().body;
    assert!(body.starts_with("plain: "), "{body}");
    assert_eq!(scene.firing(), [AlarmKind::Template]);
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_message_have_ids_of_their_own_and_keep_their_order() {
    let mut scene = Scene::new(with_template("split"));
    scene.registry.publish(&name(0), 5);
    scene.start().await;
    scene.pass(SECOND).await;
    let notifications = scene.store.notifications();
    assert_eq!(notifications.len(), 15);
    let ids: BTreeSet<_> = notifications.iter().map(|notification| notification.id).collect();
    assert_eq!(ids.len(), 15);
    for message in notifications.chunks(3) {
        let bodies: Vec<_> =
            message.iter().map(|part| part.payload.as_ref().unwrap().body.as_str()).collect();
        assert_eq!(bodies, ["part 0", "part 1", "part 2"]);
        assert!(message.iter().all(|part| part.key == message[0].key));
        assert!(message.iter().all(|part| part.entries == message[0].entries));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_shadow_rule_decides_is_recorded_unrendered_and_wakes_nobody() {
    let shadow = Rule { mode: Mode::Shadow, ..everything(Some("broken")) };
    let mut scene = Scene::new(Setting { rules: vec![shadow], ..Setting::default() });
    scene.registry.publish(&name(0), 3);
    let bell = scene.wakes.bell(&"ops".into());
    scene.start().await;
    scene.pass(SECOND).await;
    let notifications = scene.store.notifications();
    assert_eq!(notifications.len(), 3);
    for notification in notifications {
        assert_eq!(notification.held_by, Some(HeldBy::Shadow));
        assert_eq!(notification.payload, None);
    }
    assert_eq!(scene.observer.count("held"), 3);
    assert_eq!(scene.observer.count("queued"), 0);
    assert_eq!(scene.firing(), [], "it was never rendered");
    assert!(tokio::time::timeout(SECOND, bell.notified()).await.is_err(), "nobody was woken");
}

#[tokio::test(start_paused = true)]
async fn only_the_receivers_of_queued_messages_are_woken() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), 3);
    let (ops, audit) = (scene.wakes.bell(&"ops".into()), scene.wakes.bell(&"audit".into()));
    scene.start().await;
    scene.pass(SECOND).await;
    let short = Duration::from_millis(1);
    assert!(tokio::time::timeout(short, ops.notified()).await.is_ok());
    assert!(tokio::time::timeout(short, audit.notified()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_commit_the_decision_state_is_read_again() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), 5);
    scene.start().await;
    scene.pass(SECOND).await;
    assert_eq!(scene.store.state_reads(), 1, "once, at the start");
    scene.store.fail(true);
    scene.registry.publish(&name(0), 2);
    scene.pass(MINUTE).await;
    assert!(scene.store.state_reads() >= 2, "and it could not be read either");
    scene.store.fail(false);
    scene.pass(MINUTE).await;
    scene.assert_each_once(7);
    let reads = scene.store.state_reads();
    scene.registry.publish(&name(0), 2);
    scene.pass(MINUTE).await;
    assert_eq!(scene.store.state_reads(), reads, "not at every batch");
    scene.assert_each_once(9);
}

/// Five repositories of ten rows each, first read in the same instant.
fn five() -> Scene {
    let scene = Scene::new(Setting { repos: 5, requests_per_second: 1e6, ..Setting::default() });
    for index in 0..5 {
        scene.registry.publish(&name(index), 10);
    }
    scene
}

#[tokio::test(start_paused = true)]
async fn what_several_repositories_bring_while_a_commit_is_under_way_is_one_commit() {
    let mut scene = five();
    scene.start().await;
    scene.pass(5 * SECOND).await;
    scene.assert_each_once(50);
    let commits = scene.store.commits();
    let moved: usize = commits.iter().map(|commit| commit.repos.len()).sum();
    assert_eq!(moved, 5, "each cursor moved once");
    assert!(commits.len() < 5, "{commits:?}");
    assert!(commits.iter().any(|commit| commit.repos.len() > 1 && commit.entries > 10));
}

#[tokio::test(start_paused = true)]
async fn rows_that_the_store_cant_take_in_hold_up_no_other_repository() {
    let mut scene = five();
    scene.store.poison(Some(&name(2)));
    scene.start().await;
    // Sooner than a poll that failed is made again.
    scene.pass(SECOND / 2).await;
    scene.assert_each_once(40);
    assert_eq!(scene.store.cursor("shop", &name(2)).total, None);
    scene.store.poison(None);
    scene.pass(10 * MINUTE).await;
    scene.assert_each_once(50);
}
