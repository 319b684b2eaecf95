//! More rows than memory is to hold: staged, sealed, drained; and a crash at every step of it.

use triggerbell::engine::cursor::FirstRun;

use super::scene::{MINUTE, SECOND, Scene, Setting, name};

const ROWS: usize = 4230;

async fn taken_in(scene: &Scene, most: u32) -> bool {
    for _ in 0..most {
        if scene.store.decided().len() >= ROWS && !scene.store.cursor("shop", &name(0)).sealed {
            return true;
        }
        scene.pass(SECOND).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_is_staged_sealed_at_once_and_drained_oldest_first_in_batches() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), i64::try_from(ROWS).unwrap());
    scene.start().await;
    assert!(taken_in(&scene, 30).await);
    scene.assert_each_once(ROWS);
    let decided = scene.store.decided();
    assert!(decided.is_sorted_by_key(|entry| entry.row.wall_time), "oldest first");
    let commits = scene.store.commits();
    let seals: Vec<_> = commits.iter().filter(|commit| commit.seal).collect();
    assert_eq!(seals.len(), 1);
    assert_eq!(seals[0].entries, 0, "sealing decides nothing");
    let drained: Vec<_> =
        commits.iter().filter(|commit| commit.unseal).map(|commit| commit.entries).collect();
    assert_eq!(drained, [1000, 1000, 1000, 1000, 230]);
    assert!(scene.store.staged_chunks() >= 2, "no chunk holds all of it");
    assert_eq!(scene.store.staged("shop", &name(0)), 0);
    assert_eq!(scene.status().entries, ROWS as u64);
    // What comes next is taken in as ever.
    scene.registry.publish(&name(0), 4);
    scene.pass(20 * SECOND).await;
    scene.assert_each_once(ROWS + 4);
}

#[tokio::test(start_paused = true)]
async fn up_to_two_thousand_rows_are_one_commit_with_the_cursor() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), 1900);
    scene.start().await;
    scene.pass(5 * SECOND).await;
    scene.assert_each_once(1900);
    assert_eq!(scene.store.staged_chunks(), 0);
    let commits = scene.store.commits();
    assert_eq!(commits[0].entries, 1900);
    assert_eq!(commits[0].repos, [name(0).into()]);
}

/// How many writes it takes to take the backlog in.
async fn writes() -> u64 {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), i64::try_from(ROWS).unwrap());
    scene.start().await;
    assert!(taken_in(&scene, 30).await);
    scene.store.writes()
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_of_a_backlog_loses_nothing_and_repeats_nothing() {
    let writes = writes().await;
    assert!((10..40).contains(&writes), "{writes}");
    for made in [false, true] {
        for write in 1..=writes {
            let mut scene = Scene::new(Setting::default());
            scene.registry.publish(&name(0), i64::try_from(ROWS).unwrap());
            scene.store.stop_at(write, made);
            scene.start().await;
            for _ in 0..60 {
                if scene.store.stopped() {
                    break;
                }
                scene.pass(SECOND).await;
            }
            assert!(scene.store.stopped(), "write {write} was never made");
            scene.kill().await;
            scene.store.restart();
            // The log goes on meanwhile.
            scene.registry.publish(&name(0), 3);
            scene.start().await;
            scene.pass(30 * SECOND).await;
            scene.registry.publish(&name(0), 2);
            scene.pass(30 * SECOND).await;
            scene.assert_each_once(ROWS + 5);
            assert_eq!(scene.store.staged("shop", &name(0)), 0, "write {write}, {made}");
            assert!(!scene.store.cursor("shop", &name(0)).sealed);
            scene.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_time_of_a_backlog_loses_nothing_and_repeats_nothing() {
    for step in 1..12 {
        let mut scene = Scene::new(Setting { repos: 2, ..Setting::default() });
        scene.registry.publish(&name(0), i64::try_from(ROWS).unwrap());
        scene.registry.publish(&name(1), 20);
        for life in 0..4 {
            scene.start().await;
            scene.pass(SECOND * (step + life) / 3).await;
            scene.stop().await;
        }
        scene.start().await;
        scene.pass(30 * SECOND).await;
        scene.assert_each_once(ROWS + 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_loses_nothing_and_repeats_nothing() {
    for fails_at in 1..8_u32 {
        let mut scene = Scene::new(Setting { repos: 5, ..Setting::default() });
        scene.registry.publish(&name(0), i64::try_from(ROWS).unwrap());
        for index in 1..5 {
            scene.registry.publish(&name(index), 20);
        }
        scene.start().await;
        scene.pass(SECOND * fails_at).await;
        scene.store.fail(true);
        let committed = scene.store.commits().len();
        scene.pass(5 * MINUTE).await;
        assert_eq!(scene.store.commits().len(), committed, "nothing is taken in meanwhile");
        scene.store.fail(false);
        scene.registry.publish(&name(1), 2);
        scene.pass(2 * MINUTE).await;
        scene.assert_each_once(ROWS + 82);
        assert_eq!(scene.status().entries, (ROWS + 82) as u64, "only what was committed counts");
        scene.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sealed_backlog_is_drained_after_a_restart_while_the_others_are_polled() {
    let mut scene = Scene::new(Setting { repos: 10, ..Setting::default() });
    scene.registry.publish(&name(0), i64::try_from(ROWS).unwrap());
    scene.store.stop_when_sealed();
    scene.start().await;
    scene.pass(30 * SECOND).await;
    assert!(scene.store.cursor("shop", &name(0)).sealed);
    scene.kill().await;
    scene.store.restart();
    let before = scene.store.decided().len();
    assert_eq!(before, 0, "it was killed before it was drained");
    for index in 1..10 {
        scene.registry.publish(&name(index), 2);
    }
    scene.start().await;
    scene.pass(15 * SECOND).await;
    scene.assert_each_once(ROWS + 18);
}

#[tokio::test(start_paused = true)]
async fn history_that_is_skipped_stages_nothing_however_long_it_is() {
    let mut scene = Scene::new(Setting { first_run: FirstRun::Skip, ..Setting::default() });
    scene.registry.publish(&name(0), i64::try_from(ROWS).unwrap());
    scene.start().await;
    scene.pass(30 * SECOND).await;
    scene.assert_each_once(0);
    assert_eq!(scene.store.staged_chunks(), 0);
    scene.registry.publish(&name(0), 3);
    scene.pass(20 * SECOND).await;
    scene.assert_each_once(3);
}

#[tokio::test(start_paused = true)]
async fn a_long_walk_outlasts_a_short_outage_and_a_throttling() {
    let mut scene = Scene::new(Setting::default());
    scene.registry.publish(&name(0), 20_000);
    scene.registry.says(|asked, _| {
        use triggerbell::ports::SourceErrorKind::{Throttled, Unavailable};
        let kind = match asked.at {
            5.0..25.0 => Unavailable,
            30.0..32.0 => Throttled,
            _ => return None,
        };
        Some(super::scene::refusal(kind))
    });
    scene.start().await;
    scene.pass(3 * MINUTE).await;
    scene.assert_each_once(20_000);
    let asked = scene.registry.asked();
    let through = asked.iter().position(|asked| asked.offset > 19_000).unwrap();
    let begun = asked[..through].iter().filter(|asked| asked.offset == 0).count();
    assert_eq!(begun, 1, "the walk was not begun again");
}
