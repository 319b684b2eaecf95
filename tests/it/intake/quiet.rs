//! Timers as the service runs them: groups that close between entries, and over a restart.

use std::time::Duration;

use triggerbell::domain::{
    clause::{Clause, Test},
    field::Field,
    notification::Reason,
    quiet::{Grouping, Quiet},
    rule::{Notify, Rule},
};

use super::scene::{MINUTE, SECOND, START, Scene, Setting, everything, name, row};

fn failed(quiet: Quiet) -> Rule {
    let code = Clause::test(Field::ReturnCode, "match.returnCode", Test::IsNumber(vec![0]));
    Rule {
        matches: code.negated(),
        notify: Notify::Change,
        by: vec![Field::Service],
        quiet,
        ..everything(None)
    }
}

fn setting(quiet: Quiet) -> Setting {
    Setting { rules: vec![failed(quiet)], ..Setting::default() }
}

/// A row of a service, so many seconds after the start.
fn update(scene: &Scene, second: i64, service: &str, code: i64) {
    let mut row = row(START + second, service);
    row.return_code = Some(code);
    scene.registry.push(&name(0), row);
}

/// What was queued: reason, count, and how many entries are listed.
fn told(scene: &Scene) -> Vec<(Reason, u64, usize)> {
    let queued = scene.store.notifications().into_iter().filter(|one| one.held_by.is_none());
    queued.map(|one| (one.reason, one.count, one.entries.len())).collect()
}

fn grouped() -> Quiet {
    let group = Grouping { by: Vec::new(), wait: Duration::from_secs(60), max: 10 };
    Quiet { group: Some(group), ..Quiet::default() }
}

#[tokio::test(start_paused = true)]
async fn a_group_closes_at_its_time_with_nothing_else_going_on() {
    let mut scene = Scene::new(setting(grouped()));
    update(&scene, 0, "api", 1);
    update(&scene, 0, "web", 1);
    scene.start().await;
    scene.pass(50 * SECOND).await;
    assert_eq!(told(&scene), []);
    scene.pass(12 * SECOND).await;
    assert_eq!(told(&scene), [(Reason::Failing, 2, 2)]);
    let ops = scene.wakes.bell(&"ops".into());
    assert!(
        tokio::time::timeout(Duration::from_millis(1), ops.notified()).await.is_ok(),
        "its lane was woken"
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_closes_at_its_time_over_a_kill() {
    let mut scene = Scene::new(setting(grouped()));
    update(&scene, 0, "api", 1);
    scene.start().await;
    scene.pass(20 * SECOND).await;
    scene.kill().await;
    scene.pass(5 * SECOND).await;
    scene.start().await;
    update(&scene, 30, "web", 1);
    scene.pass(30 * SECOND).await;
    assert_eq!(told(&scene), []);
    scene.pass(10 * SECOND).await;
    assert_eq!(told(&scene), [(Reason::Failing, 2, 2)]);
}

#[tokio::test(start_paused = true)]
async fn reminders_fire_and_a_store_that_fails_delays_them_and_loses_none() {
    let quiet = Quiet { remind: Some(10 * MINUTE), ..Quiet::default() };
    let mut scene = Scene::new(setting(quiet));
    update(&scene, 0, "api", 1);
    scene.start().await;
    scene.pass(9 * MINUTE).await;
    scene.store.fail(true);
    scene.pass(5 * MINUTE).await;
    scene.store.fail(false);
    scene.pass(MINUTE).await;
    let reasons: Vec<_> = told(&scene).into_iter().map(|(reason, ..)| reason).collect();
    assert_eq!(reasons, [Reason::Failing, Reason::Reminder]);
    update(&scene, 900, "api", 0);
    scene.pass(HOUR).await;
    let reasons: Vec<_> = told(&scene).into_iter().map(|(reason, ..)| reason).collect();
    assert_eq!(reasons, [Reason::Failing, Reason::Reminder, Reason::Recovered]);
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn what_is_absent_is_missed_only_while_the_log_is_read() {
    use triggerbell::ports::SourceErrorKind;
    let rule =
        Rule { notify: Notify::Absent { after: HOUR, per_key: false }, ..failed(Quiet::default()) };
    let mut scene = Scene::new(Setting { rules: vec![rule], ..Setting::default() });
    scene.start().await;
    scene.pass(30 * MINUTE).await;
    scene.registry.says(|_, _| Some(super::scene::refusal(SourceErrorKind::Unavailable)));
    scene.pass(3 * HOUR).await;
    assert_eq!(told(&scene), []);
    scene.registry.works();
    scene.pass(25 * MINUTE).await;
    assert_eq!(told(&scene), []);
    scene.pass(15 * MINUTE).await;
    assert_eq!(told(&scene), [(Reason::Absent, 1, 0)]);
}
