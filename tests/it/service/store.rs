//! The store on bad days: no room, a damaged file, a folder that can't be written, a file of a
//! later version.
//!
//! Disks of a few megabytes are mounted in a mount namespace of the service's own, so that they end
//! with it whatever happens. Where the system allows no such namespace, the tests that need one
//! fail.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use crate::{
    service::{EVERYTHING, audit, waiting},
    support::{
        process::{PATIENCE, Service, ran, until, until_within},
        receiver::Receiver,
        stand::{Stand, tally},
    },
};

/// The options that let `unshare` mount something, where the system allows it.
async fn unshare() -> &'static str {
    for options in ["-m", "-Urm"] {
        let mut command = Command::new("unshare");
        command.args([options, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]);
        if command.output().await.is_ok_and(|output| output.status.success()) {
            return options;
        }
    }
    panic!("this system lets tests mount nothing: run them as root, or allow user namespaces")
}

/// `run` with its data on a disk of its own at `data`, after `first` was done there.
fn on_disk(folder: &Path, unshare: &str, size: &str, first: &str) -> Command {
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs data && {first}; exec \"$0\" run --data-dir data"
    );
    let mut command = Command::new("unshare");
    command.args([unshare, "sh", "-c", &script, env!("CARGO_BIN_EXE_triggerbell")]);
    command.current_dir(folder).kill_on_drop(true);
    command
}

/// A file that takes all the room of the service's disk until it is dropped.
struct Filler(PathBuf);

impl Filler {
    fn fill(service: &Service) -> Self {
        let data = service.folder.join("data");
        let id = service.child.id().unwrap();
        let root = PathBuf::from(format!("/proc/{id}/root"));
        let path = root.join(data.strip_prefix("/").unwrap()).join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[b'x'; 4096]).is_ok() {}
        while file.write_all(b"x").is_ok() {}
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_room_is_said_and_nothing_is_lost_until_there_is_some() {
    let unshare = unshare().await;
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let source = stand.source("first_run: all\n    poll_every: 1s\n    requests_per_second: 100");
    Service::configure(folder.path(), &format!("{source}{}", audit(&receiver)), EVERYTHING);
    let child = Service::logged(folder.path(), on_disk(folder.path(), unshare, "24m", "true"));
    let service = Service::from_child(folder.path(), child).await;
    stand.push("shop/api", 50);
    until("it delivers", async || receiver.by_id().len() == 50).await;

    for time in 0..3 {
        let filler = Filler::fill(&service);
        // Room within the log of the database is used up first.
        let every = Duration::from_millis(250);
        until_within(PATIENCE, every, "it says that there is no room", async || {
            stand.push("shop/api", 150);
            let ready = service.json("/readyz").await;
            ready["ready"] == false && ready.to_string().contains("make room on its disk")
        })
        .await;
        let told = tally(&stand.rows(), &receiver.seen());
        assert!(told.lost > 0, "time {time}: it was to be in want of room: {told:?}");
        assert_eq!(service.get("/healthz").await.as_deref().map(str::is_empty), Some(false));
        drop(filler);
        until_within(PATIENCE, Duration::from_millis(300), "it goes on by itself", async || {
            tally(&stand.rows(), &receiver.seen()).lost == 0
                && service.json("/readyz").await["ready"] == true
                && waiting(&service.json("/api/v1/status").await, "audit") == 0
        })
        .await;
    }
    let tally = tally(&stand.rows(), &receiver.seen());
    eprintln!("3 times without room: {tally:?}");
    assert_eq!((tally.lost, tally.invented, tally.repeats), (0, 0, 0));
    assert!(service.terminate().await.success());
}

/// Starts `run` with its data on a disk of its own, and gives its exit code and its last words.
async fn refused_on_disk(folder: &Path, unshare: &str, first: &str) -> (Option<i32>, String) {
    let output = on_disk(folder, unshare, "1m", first).output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_start_without_room_or_without_the_right_to_write_is_refused() {
    let unshare = unshare().await;
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let config = format!("{}{}", stand.source("poll_every: 1s"), audit(&receiver));
    Service::configure(folder.path(), &config, EVERYTHING);

    let full = "cat /dev/zero > data/filler 2> /dev/null";
    let (code, said) = refused_on_disk(folder.path(), unshare, full).await;
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("triggerbell.db") && said.contains("make room on its disk"), "{said}");

    let read_only = "mount -o remount,ro data";
    let (code, said) = refused_on_disk(folder.path(), unshare, read_only).await;
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("triggerbell.db") && said.contains("give this user the right"), "{said}");
}

#[tokio::test]
async fn files_that_are_damaged_or_of_a_later_version_are_refused_and_left_alone() {
    let stand = Stand::start(&["shop/api"]).await;
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config =
        format!("{}{}", stand.source("first_run: all\n    poll_every: 1s"), audit(&receiver));
    let service = Service::start(folder.path(), &config, EVERYTHING).await;
    stand.push("shop/api", 1);
    until("there is something to keep", async || receiver.count() == 1).await;
    assert!(service.terminate().await.success());
    let path = folder.path().join("triggerbell.db");
    let sound = std::fs::read(&path).unwrap();

    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let later = std::fs::read(&path).unwrap();
    let mut torn = sound.clone();
    torn[100..].iter_mut().step_by(7).for_each(|byte| *byte = 0xa5);
    for (what, bytes, words) in [
        ("later", &later, "was written by a later triggerbell (schema 99"),
        ("foreign", &b"hello, I am no database at all\n".repeat(99), "is no SQLite database"),
        ("torn", &torn, "is damaged"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let refused = ran(folder.path(), &["run"], &[]).await;
        assert_eq!(refused.code, Some(78), "{what}: {}", refused.said());
        let last = refused.stderr.lines().last().unwrap();
        assert!(last.contains("triggerbell.db") && last.contains(words), "{what}: {last}");
        assert_eq!(&std::fs::read(&path).unwrap(), bytes, "{what}: the file was left alone");
    }

    let nowhere = ran(folder.path(), &["run", "--data-dir", "no/such/folder"], &[]).await;
    assert_eq!(nowhere.code, Some(69), "{}", nowhere.said());
    assert!(nowhere.stderr.contains("there is no folder"), "{}", nowhere.said());

    std::fs::write(&path, sound).unwrap();
    let service = Service::again(folder.path(), &[]).await;
    until("the sound file is used again", async || service.json("/readyz").await["ready"] == true)
        .await;
    assert_eq!(receiver.count(), 1, "and nothing comes twice");
    assert!(service.terminate().await.success());
}
