//! Copying the write-ahead log back into the file, out of the way of those who wait for a commit.
//!
//! A checkpoint writes the file itself and syncs it. On the writer's thread one commit in some
//! thirty would stand behind that, for several times as long as it takes by itself. So a thread of
//! its own, with a connection of its own, copies back what the log holds whenever that has grown to
//! [`LOG_PAGES`], and waits for nobody. Under a load that never pauses the log gains pages while
//! others are being copied, and so can't begin anew; when it has grown to [`LOG_MAX`], the writer
//! copies what is left, which is little by then.
//!
//! Deliberately absent: failures. What could not be copied is in the log, safe, and is copied the
//! next time; a disk that can't be written fails the commits, and they tell.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, wal::CheckpointMode};
use tokio::sync::mpsc;
use tracing::debug;

use super::{error::Outcome, thread::STACK_BYTES};

/// The log is copied back when it holds so many pages: 8 MiB.
const LOG_PAGES: i32 = 1_000;

/// The writer itself copies the log back when it holds so many: the 32 MiB to which the log's file
/// is cut back after a burst.
const LOG_MAX: i32 = 4_000;

/// The thread that copies the log back.
pub(super) struct Checkpointer {
    nudges: mpsc::Sender<()>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts it for the log that `writer` fills.
    pub(super) fn spawn(writer: &mut Connection, own: Connection) -> Outcome<io::Result<Self>> {
        let (nudges, mut nudged) = mpsc::channel(1);
        let ended = Arc::new(AtomicBool::new(false));
        let nudge = nudges.clone();
        writer.wal_hook(Some(move |wal: &mut rusqlite::hooks::Wal, pages| {
            if pages >= LOG_MAX {
                // A failure leaves the log as it is, and this commit made.
                let _ = wal.checkpoint();
            } else if pages >= LOG_PAGES {
                // One that waits already will do.
                let _ = nudge.try_send(());
            }
            Ok(())
        }))?;
        let end = ended.clone();
        let run = move || {
            while nudged.blocking_recv().is_some() && !end.load(Ordering::Acquire) {
                copy(&own);
            }
            // Only then is the channel seen to be closed.
            drop(own);
            drop(nudged);
        };
        let thread = thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(run);
        Ok(thread.map(|thread| Self { nudges, ended, thread: Some(thread) }))
    }

    /// Ends the thread after what it has in hand.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // Where one waits already, that one wakes it.
        let _ = self.nudges.try_send(());
    }

    /// Ends the thread and waits until it has let go of the file.
    pub(super) async fn close(&self) {
        self.end();
        self.nudges.closed().await;
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; one that did has been printed.
            let _ = thread.join();
        }
    }
}

fn copy(conn: &Connection) {
    let copied = conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE);
    if let Err(error) = copied {
        let path = conn.path().map(Path::new).map(Path::display);
        debug!("the log of {path:?} could not be copied back, it stays: {error}");
    }
}
