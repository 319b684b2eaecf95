//! The threads that own the connections, and group commit.
//!
//! SQLite blocks, so each connection lives on a thread of its own and is sent requests through a
//! bounded channel. The writer takes all requests that wait into one transaction and makes it
//! durable with one sync; each request but the first runs under a savepoint, so that one that fails
//! takes nothing else with it, and each caller is answered only after the sync. The exception is a
//! failure at which SQLite itself ends the transaction, a full disk above all: that is told to all
//! who shared it. A caller that goes away does not take its request back. The threads end with the
//! store that owns them.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::ports::{Event, Observer, StoreError};

use super::{
    Writing,
    error::{self, Failure, Outcome},
};

/// Requests that may wait for a thread; more wait in their callers.
const WAITING: usize = 128;

/// Requests that share a sync at most.
const GROUP_REQUESTS: u64 = 128;

/// No request is added to a group that has been worked on for this long, so that the first of a
/// group is not kept waiting by the others.
const GROUP_TIME: Duration = Duration::from_millis(20);

/// Of each of the store's threads.
pub(super) const STACK_BYTES: usize = 512 * 1024;

/// A request that runs in a transaction, or is told why there is none.
type WriteJob = Box<dyn FnOnce(Result<&mut Writing, StoreError>) -> Ran + Send>;

/// How a request failed, and how to answer it once it is known what became of the transaction.
struct Ran {
    failed: Option<StoreError>,
    answer: Answer,
}

type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

type ReadJob = Box<dyn FnOnce(&mut Connection) + Send>;

/// A thread and the way to it. `None` in its channel asks it to end.
struct Worker<J> {
    jobs: Option<mpsc::Sender<Option<J>>>,
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static> Worker<J> {
    fn spawn(
        name: &str,
        run: impl FnOnce(&mut mpsc::Receiver<Option<J>>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || run(&mut receiver))?;
        Ok(Self { jobs: Some(sender), thread: Some(thread) })
    }

    /// False when the thread has ended.
    async fn send(&self, job: J) -> bool {
        match &self.jobs {
            Some(jobs) => jobs.send(Some(job)).await.is_ok(),
            None => false,
        }
    }

    /// Asks the thread to end after what was sent before, and waits until it has let go of all.
    async fn close(&self) {
        if let Some(jobs) = &self.jobs {
            // A failure says that it has ended already.
            let _ = jobs.send(None).await;
            jobs.closed().await;
        }
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It catches the panics of requests; one of its own has been printed.
            let _ = thread.join();
        }
    }
}

/// The thread that writes.
pub(super) struct Writer {
    worker: Worker<WriteJob>,
    path: Arc<PathBuf>,
}

impl Writer {
    pub(super) fn spawn(
        writing: Writing,
        path: Arc<PathBuf>,
        observer: Arc<dyn Observer>,
    ) -> io::Result<Self> {
        let told = path.clone();
        let worker = Worker::spawn("store-writer", move |jobs| {
            let mut group = Group { writing, path: told, observer, answers: Vec::new() };
            while let Some(Some(first)) = jobs.blocking_recv() {
                if group.run(first, jobs) == Next::End {
                    break;
                }
            }
            // Closes the connection, which copies the log back, then lets the lock go; only then is
            // the channel seen to be closed.
            drop(group);
        })?;
        Ok(Self { worker, path })
    }

    /// Runs a request in a transaction that others may share. `Ok` says that it is on the disk.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        request: impl FnOnce(&mut Writing) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let path = self.path.clone();
        let job: WriteJob = Box::new(move |writing| {
            let result = writing.and_then(|writing| guarded(&path, || request(writing)));
            let failed = result.as_ref().err().cloned();
            let answer: Answer = Box::new(move |committed| {
                // Nobody may be waiting any more.
                let _ = sender.send(result.and_then(|value| committed.map(|()| value)));
            });
            Ran { failed, answer }
        });
        if !self.worker.send(job).await {
            return Err(error::closed(&self.path));
        }
        answer.await.unwrap_or_else(|_| Err(error::closed(&self.path)))
    }

    pub(super) async fn close(&self) {
        self.worker.close().await;
    }
}

/// A thread that reads.
pub(super) struct Reader {
    worker: Worker<ReadJob>,
    path: Arc<PathBuf>,
}

impl Reader {
    pub(super) fn spawn(name: &str, mut conn: Connection, path: Arc<PathBuf>) -> io::Result<Self> {
        let worker = Worker::spawn(name, move |jobs: &mut mpsc::Receiver<Option<ReadJob>>| {
            while let Some(Some(job)) = jobs.blocking_recv() {
                job(&mut conn);
            }
            drop(conn);
        })?;
        Ok(Self { worker, path })
    }

    /// Runs a request that sees one state of the store throughout: what was committed when it began.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        request: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let path = self.path.clone();
        let job: ReadJob = Box::new(move |conn| {
            let result = guarded(&path, || {
                let snapshot = conn.transaction()?;
                request(&snapshot)
            });
            // Nobody may be waiting any more.
            let _ = sender.send(result);
        });
        if !self.worker.send(job).await {
            return Err(error::closed(&self.path));
        }
        answer.await.unwrap_or_else(|_| Err(error::closed(&self.path)))
    }

    pub(super) async fn close(&self) {
        self.worker.close().await;
    }
}

/// Runs a request; a panic in it is a failure of that request alone.
fn guarded<T>(path: &Path, request: impl FnOnce() -> Outcome<T>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(request))
        .unwrap_or_else(|_| Err(Failure::Bug("a request panicked".to_owned())))
        .map_err(|failure| failure.told(path))
}

#[derive(PartialEq, Eq)]
enum Next {
    Go,
    End,
}

/// The writer's thread at work.
struct Group {
    writing: Writing,
    path: Arc<PathBuf>,
    observer: Arc<dyn Observer>,
    /// Of the requests that ran well in the open transaction.
    answers: Vec<Answer>,
}

impl Group {
    /// Runs `first` and what else waits in one transaction, and answers all of them.
    fn run(&mut self, first: WriteJob, jobs: &mut mpsc::Receiver<Option<WriteJob>>) -> Next {
        let started = Instant::now();
        let mut end = Next::Go;
        if let Err(error) = self.sql("BEGIN IMMEDIATE") {
            answer_refused(first, error);
            return Next::Go;
        }
        let mut job = first;
        let mut requests = 1;
        loop {
            if !self.run_one(job) {
                break;
            }
            if requests == GROUP_REQUESTS || started.elapsed() >= GROUP_TIME {
                break;
            }
            match jobs.try_recv() {
                Ok(Some(next)) => job = next,
                Ok(None) => {
                    end = Next::End;
                    break;
                }
                Err(_) => break,
            }
            requests += 1;
        }
        self.commit(started, requests);
        end
    }

    /// Runs one request; false when the transaction did not outlive it.
    fn run_one(&mut self, job: WriteJob) -> bool {
        // The first needs no savepoint: if it fails, the transaction holds nothing.
        let apart = !self.answers.is_empty();
        if apart && let Err(error) = self.sql("SAVEPOINT request") {
            answer_refused(job, error);
            return true;
        }
        let Ran { failed, answer } = job(Ok(&mut self.writing));
        let Some(failure) = failed else {
            self.answers.push(answer);
            if apart && let Err(error) = self.sql("RELEASE request") {
                self.fail_all(&error);
                return false;
            }
            return true;
        };
        answer(Ok(()));
        if !apart || self.writing.conn.is_autocommit() {
            self.fail_all(&failure);
            return false;
        }
        self.writing.forget();
        let undone = self.sql("ROLLBACK TO request").and_then(|()| self.sql("RELEASE request"));
        if let Err(error) = &undone {
            self.fail_all(error);
        }
        undone.is_ok()
    }

    fn commit(&mut self, started: Instant, requests: u64) {
        if self.writing.conn.is_autocommit() {
            return;
        }
        if let Err(error) = self.sql("COMMIT") {
            self.fail_all(&error);
            return;
        }
        // Said first, so that who was answered finds it counted.
        self.observer.observe(Event::Commit { took: started.elapsed(), requests });
        for answer in self.answers.drain(..) {
            answer(Ok(()));
        }
    }

    /// Ends the transaction and tells the same failure to all that ran in it.
    fn fail_all(&mut self, error: &StoreError) {
        self.roll_back();
        for answer in self.answers.drain(..) {
            answer(Err(error.clone()));
        }
    }

    fn roll_back(&mut self) {
        self.writing.forget();
        if !self.writing.conn.is_autocommit() {
            // If this fails, the next BEGIN fails too and says so.
            let _ = self.sql("ROLLBACK");
        }
    }

    fn sql(&self, sql: &str) -> Result<(), StoreError> {
        let run = || -> Outcome<()> {
            self.writing.conn.prepare_cached(sql)?.execute([])?;
            Ok(())
        };
        run().map_err(|failure| failure.told(&self.path))
    }
}

/// Answers a request that could not be begun.
fn answer_refused(job: WriteJob, error: StoreError) {
    (job(Err(error)).answer)(Ok(()));
}
