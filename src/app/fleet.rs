//! What runs for each source and each receiver, and its exchange while the service runs.
//!
//! One way for the start and for a reload: what is new or written otherwise is opened first, which may
//! fail and changes nothing; then it is put in place at once, which can't. Who comes after somebody of
//! the same name waits until that one has ended: a lane's sends have settled and its record is on the
//! disk, a source's rows have been decided. What is written as before goes on untouched.
//! Deliberately absent: reading files, and what is swapped beside (`reload`).

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    adapters::receivers::Wires,
    config::{self, Config},
    engine::{
        alarm::Alarms,
        board::LaneBoards,
        decider::Decider,
        delivery::{Lane, LaneSettings, LaneWorld},
        intake::{Inbox, Intake, IntakeWorld, SourceBoards},
    },
    ports::{AlarmKind, Exchanged, LaneRecord, Notifier, PushSource, Source, StoreError},
};

use super::{
    SEND_GRACE, StartError, digests, fallback, intake_settings, open_receiver, open_source,
};

/// How long is waited when the store failed.
const STORE_BACKOFF: Duration = Duration::from_secs(1);

/// The alarms that are about a source.
const OF_SOURCES: [AlarmKind; 5] = [
    AlarmKind::SourceBlind,
    AlarmKind::Credentials,
    AlarmKind::Clock,
    AlarmKind::Gap,
    AlarmKind::Discovery,
];

/// Something to run until it ends.
pub(super) type Loop = BoxFuture<'static, ()>;

/// The receivers' types, by name.
pub(super) type Kinds = BTreeMap<Arc<str>, &'static str>;

/// A source that was opened.
pub(super) enum Opened {
    /// It is read.
    Read(Arc<dyn Source>),
    /// It is pushed to.
    Pushed(Arc<dyn PushSource>),
}

/// All that runs for sources and receivers.
pub(super) struct Fleet {
    pub(super) lanes: LaneWorld,
    pub(super) intakes: IntakeWorld,
    pub(super) decider: Decider,
    pub(super) boards: LaneBoards,
    pub(super) sources: SourceBoards,
    pub(super) inbox: Arc<Inbox>,
    pub(super) kinds: Arc<ArcSwap<Kinds>>,
    /// Ends everything.
    pub(super) root: CancellationToken,
    pub(super) running: Mutex<Running>,
}

/// Who runs, by name.
#[derive(Default)]
pub(super) struct Running {
    lanes: BTreeMap<Arc<str>, One>,
    sources: BTreeMap<Arc<str>, One>,
    /// Those that were removed and may not have ended yet.
    lanes_leaving: BTreeMap<Arc<str>, CancellationToken>,
    sources_leaving: BTreeMap<Arc<str>, CancellationToken>,
}

/// Somebody who runs.
struct One {
    /// A hash of all that is written of it.
    written: u64,
    /// Has it end.
    stop: CancellationToken,
    /// Is cancelled once it has ended, in whatever way.
    ended: CancellationToken,
}

/// What of a configuration is new or written otherwise, opened; and who is there at all.
pub(super) struct Fresh {
    receivers: Vec<(config::Receiver, Arc<dyn Notifier>)>,
    sources: Vec<(config::Source, Opened)>,
    kinds: Kinds,
    source_names: BTreeSet<Arc<str>>,
    blind_after: Duration,
}

impl Fleet {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens what of a configuration is not running as it is written. Changes nothing.
    ///
    /// # Errors
    /// A file or a setting does not hold what it must.
    pub(super) fn open(&self, config: &Config) -> Result<Fresh, StartError> {
        let running = self.running();
        let blind_after = config.alarms.source_blind_after;
        let mut wires = Wires::default();
        let as_before = |all: &BTreeMap<Arc<str>, One>, name: &str, written: u64| {
            all.get(name).is_some_and(|one| one.written == written)
        };
        let mut receivers = Vec::new();
        for receiver in &config.receivers {
            if !as_before(&running.lanes, &receiver.name, receiver.written) {
                receivers.push((receiver.clone(), open_receiver(receiver, &mut wires)?));
            }
        }
        let mut sources = Vec::new();
        for source in &config.sources {
            if !as_before(&running.sources, &source.name, mark(source, blind_after)) {
                sources.push((source.clone(), open_source(source, &self.intakes.clock)?));
            }
        }
        let kinds = config.receivers.iter().map(|it| (it.name.clone(), it.kind())).collect();
        let source_names = config.sources.iter().map(|source| source.name.clone()).collect();
        Ok(Fresh { receivers, sources, kinds, source_names, blind_after })
    }

    /// Waits until those are gone whose names come again, so that nothing that is queued from now on
    /// is taken for theirs.
    pub(super) async fn make_room(&self, fresh: &Fresh) {
        let leaving: Vec<_> = {
            let running = self.running();
            let names = fresh.receivers.iter().map(|(receiver, _)| &receiver.name);
            names.filter_map(|name| running.lanes_leaving.get(name).cloned()).collect()
        };
        for ended in leaving {
            ended.cancelled().await;
        }
    }

    /// Puts what was opened in place and has what is not there any more end. Says what changed, and
    /// gives the loops that are to run. `records` are the lanes', where they are known.
    pub(super) fn exchange(
        &self,
        fresh: Fresh,
        records: Option<BTreeMap<Arc<str>, LaneRecord>>,
        now: Timestamp,
    ) -> (Exchanged, Exchanged, Vec<Loop>) {
        let mut running = self.running();
        let Running { lanes, sources, lanes_leaving, sources_leaving } = &mut *running;
        let (mut of_receivers, mut of_sources) = (Exchanged::default(), Exchanged::default());
        let mut loops = Vec::new();
        for name in gone(lanes, |name| fresh.kinds.contains_key(name)) {
            let Some(one) = lanes.remove(&name) else { continue };
            one.stop.cancel();
            let ended = CancellationToken::new();
            loops.push(self.bury(name.clone(), one.ended, ended.clone()));
            lanes_leaving.insert(name.clone(), ended);
            of_receivers.removed.push(name);
        }
        for name in gone(sources, |name| fresh.source_names.contains(name)) {
            let Some(one) = sources.remove(&name) else { continue };
            one.stop.cancel();
            let ended = CancellationToken::new();
            loops.push(self.leave(name.clone(), one.ended, ended.clone()));
            sources_leaving.insert(name.clone(), ended);
            self.sources.remove(&name);
            self.inbox.remove(&name);
            of_sources.removed.push(name);
        }
        let mut records = records;
        for (receiver, notifier) in fresh.receivers {
            let name = receiver.name.clone();
            let one = One::new(receiver.written, CancellationToken::new());
            let before = before(lanes, lanes_leaving, &name, &mut of_receivers);
            let record = records.as_mut().map(|records| records.remove(&name));
            loops.push(self.lane(&receiver, notifier, before, record, &one));
            lanes.insert(name, one);
        }
        for (source, opened) in fresh.sources {
            let name = source.name.clone();
            let one = One::new(mark(&source, fresh.blind_after), self.root.child_token());
            let before = before(sources, sources_leaving, &name, &mut of_sources);
            loops.push(self.source(&source, opened, before, &one, (fresh.blind_after, now)));
            sources.insert(name, one);
        }
        lanes_leaving.retain(|_, ended| !ended.is_cancelled());
        sources_leaving.retain(|_, ended| !ended.is_cancelled());
        self.kinds.store(Arc::new(fresh.kinds));
        (of_sources, of_receivers, loops)
    }

    /// A receiver's lane, which begins when the one before it has ended.
    fn lane(
        &self,
        receiver: &config::Receiver,
        notifier: Arc<dyn Notifier>,
        before: Option<CancellationToken>,
        known: Option<Option<LaneRecord>>,
        one: &One,
    ) -> Loop {
        let settings = LaneSettings {
            receiver: receiver.name.clone(),
            pace: receiver.pace,
            concurrency: receiver.concurrency,
            send_timeout: config::send_timeout(&receiver.http) + SEND_GRACE,
        };
        let board = self.boards.lane(&receiver.name);
        if before.is_none() {
            board.lane(notifier.kind(), None, None, receiver.pace);
        }
        let (folding, falling_back) =
            (digests(receiver, &self.decider), fallback(receiver, &self.decider));
        let (world, root) = (self.lanes.clone(), self.root.clone());
        let (stop, ended) = (one.stop.clone(), one.ended.clone());
        let run = async move {
            let _ended = ended.drop_guard();
            if let Some(before) = before {
                before.cancelled().await;
            }
            let record = match known {
                Some(record) => record,
                None => tokio::select! {
                    () = stop.cancelled() => return,
                    () = root.cancelled() => return,
                    record = take_over(&world, &settings.receiver) => record,
                },
            };
            let lane = Lane::new(settings, notifier, world, board, record);
            lane.folding(folding).falling_back(falling_back).run_until(stop, root).await;
        };
        run.boxed()
    }

    /// What a removed receiver leaves: its messages become dead letters once its lane has ended.
    fn bury(&self, name: Arc<str>, before: CancellationToken, ended: CancellationToken) -> Loop {
        let (world, root, boards) = (self.lanes.clone(), self.root.clone(), self.boards.clone());
        let run = async move {
            let _ended = ended.drop_guard();
            before.cancelled().await;
            let now = world.clock.now();
            let bury = until_it_works(|| world.store.bury(&name, now));
            let dead = tokio::select! {
                () = root.cancelled() => return,
                dead = bury => dead,
            };
            info!(
                receiver.name = %name, messages = dead,
                "the receiver is gone; what waited for it are dead letters now"
            );
            let now = world.clock.now();
            world.alarms.clear(AlarmKind::LaneClosed, &name, now);
            if dead > 0 {
                say_orphans(&world.alarms, &name, dead, now);
            }
            boards.remove(&name);
            world.wakes.forget(&name);
        };
        run.boxed()
    }

    /// A source, which begins when the one before it has ended and what it read has been decided.
    fn source(
        &self,
        configured: &config::Source,
        opened: Opened,
        before: Option<CancellationToken>,
        one: &One,
        (blind_after, now): (Duration, Timestamp),
    ) -> Loop {
        let name = configured.name.clone();
        // Alarms that nobody ends who comes after; the others end as they always do.
        let stale: &'static [AlarmKind] = match &opened {
            Opened::Pushed(_) => &OF_SOURCES,
            Opened::Read(_) if configured.discover.is_none() => &[AlarmKind::Discovery],
            Opened::Read(_) => &[],
        };
        let intake = match opened {
            Opened::Read(source) => {
                let settings = intake_settings(configured, &*source, blind_after, now);
                let intake = Intake::new(settings, source, self.intakes.clone());
                self.inbox.remove(&name);
                self.sources.put(&name, intake.board());
                Some(intake)
            }
            Opened::Pushed(source) => {
                self.sources.put(&name, self.inbox.put(&name, source));
                None
            }
        };
        let after = before.map(|before| self.after(before));
        let (stop, ended) = (one.stop.clone(), one.ended.clone());
        let IntakeWorld { alarms, clock, .. } = self.intakes.clone();
        let run = async move {
            let _ended = ended.drop_guard();
            if let Some(after) = after {
                after.await;
                stale.iter().for_each(|&kind| alarms.clear(kind, &name, clock.now()));
            }
            match intake {
                Some(intake) if !stop.is_cancelled() => intake.run(stop).await,
                _ => {}
            }
        };
        run.boxed()
    }

    /// The end of a source that was removed: nothing is alarming about it any more.
    fn leave(&self, name: Arc<str>, before: CancellationToken, ended: CancellationToken) -> Loop {
        let after = self.after(before);
        let IntakeWorld { alarms, clock, .. } = self.intakes.clone();
        let run = async move {
            let _ended = ended.drop_guard();
            after.await;
            for kind in OF_SOURCES {
                alarms.clear(kind, &name, clock.now());
            }
        };
        run.boxed()
    }

    /// Until a source has ended and what it read has been decided.
    fn after(&self, before: CancellationToken) -> impl Future<Output = ()> + use<> {
        let decider = self.decider.clone();
        async move {
            before.cancelled().await;
            // It asks after all that was asked before; where it can't, nothing is decided any more.
            let _ = decider.look(|_| ()).await;
        }
    }
}

impl One {
    fn new(written: u64, stop: CancellationToken) -> Self {
        Self { written, stop, ended: CancellationToken::new() }
    }
}

/// What tells a source from one that is read otherwise: what is written of it, the zone that it may
/// take from elsewhere, and when it is blind.
fn mark(source: &config::Source, blind_after: Duration) -> u64 {
    let mut hasher = DefaultHasher::new();
    (source.written, source.zone.iana_name(), blind_after).hash(&mut hasher);
    hasher.finish()
}

/// The names of those that are not there any more.
fn gone(all: &BTreeMap<Arc<str>, One>, there: impl Fn(&Arc<str>) -> bool) -> Vec<Arc<str>> {
    all.keys().filter(|name| !there(name)).cloned().collect()
}

/// Whose end is to be waited for under a name, who is told to end by this.
fn before(
    all: &mut BTreeMap<Arc<str>, One>,
    leaving: &mut BTreeMap<Arc<str>, CancellationToken>,
    name: &Arc<str>,
    exchanged: &mut Exchanged,
) -> Option<CancellationToken> {
    match all.remove(name) {
        Some(one) => {
            one.stop.cancel();
            exchanged.changed.push(name.clone());
            Some(one.ended)
        }
        None => {
            exchanged.added.push(name.clone());
            leaving.remove(name)
        }
    }
}

/// What waited for a receiver that is gone will not come by itself.
pub(super) fn say_orphans(alarms: &Alarms, gone: &Arc<str>, dead: u64, now: Timestamp) {
    let message = format!(
        "{dead} messages wait for {gone}, which is not in the configuration any more; send them to \
         another with `deliveries retry --receiver {gone} --since 30d --to NAME`"
    );
    alarms.raise(AlarmKind::DeadLetter, gone, &message, now);
}

/// What a lane leaves to the one after it: claims that nobody settles go back, and its record. Who
/// changed the receiver may have changed what the lane was closed for, so that it is tried at once.
async fn take_over(world: &LaneWorld, receiver: &Arc<str>) -> Option<LaneRecord> {
    let now = world.clock.now();
    until_it_works(|| world.store.release_lane(receiver)).await;
    let lanes = until_it_works(|| world.store.lanes()).await;
    let mut record = lanes.into_iter().find(|lane| lane.receiver == *receiver)?;
    if let Some(closed) = &mut record.closed {
        closed.next_probe_at = closed.next_probe_at.min(now);
    }
    Some(record)
}

/// Asks the store until it answers.
async fn until_it_works<T, Asked: Future<Output = Result<T, StoreError>>>(
    ask: impl Fn() -> Asked,
) -> T {
    let mut said = false;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if !std::mem::replace(&mut said, true) => {
                warn!("could not exchange a receiver, trying on: {error}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(STORE_BACKOFF).await;
    }
}
