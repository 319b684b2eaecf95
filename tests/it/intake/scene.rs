//! A source under paused time: a scripted registry, a renderer of plain words, a store in memory.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use triggerbell::{
    adapters::clock::TokioClock,
    domain::{
        clause::Clause,
        entry::{Row, WallTime},
        expression::Glob,
        quiet::{CatchUp, Quiet},
        rule::{DEFAULT_BY, Mode, Notify, Origin, Rule, RuleSet, Severity, Sources},
    },
    engine::{
        alarm::Alarms,
        cursor::FirstRun,
        decider::{Decider, DeciderWorld, Policy},
        intake::{
            DiscoverSettings, Intake, IntakeSettings, IntakeWorld, SourceBoard, SourceBoards,
        },
        wake::Wakes,
        watch::Watch,
    },
    ports::{
        AlarmKind, Clock, Event, Listed, Listing, ListingRequest, Observer, Page, PageRequest,
        Part, Payload, PayloadFormat, Rejected, RenderError, RenderRequest, Renderer, Source,
        SourceError, SourceErrorKind, SourceStatus,
    },
};

use crate::support::memory::Memory;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Midnight of the stage, in Unix seconds; every scene begins there.
pub(super) const START: i64 = 1_772_413_200;

/// A request as the registry saw it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) at: f64,
    pub(super) repo: String,
    pub(super) offset: u64,
}

/// What the registry says instead of a page, from the request and how many there were before it.
type Script = Box<dyn Fn(&Asked, usize) -> Option<SourceError> + Send + Sync>;

/// What the registry changes about a page.
type Touch = Box<dyn Fn(&Asked, &mut Page) + Send + Sync>;

pub(super) fn refusal(kind: SourceErrorKind) -> SourceError {
    SourceError {
        kind,
        message: format!("it says {}", kind.name()),
        code: None,
        retry_after: None,
        skew_s: None,
    }
}

/// The registry's far side.
pub(super) struct Registry {
    clock: TokioClock,
    kind: &'static str,
    latency: Mutex<Duration>,
    /// Oldest first.
    logs: Mutex<BTreeMap<String, Vec<Row>>>,
    script: Mutex<Script>,
    touch: Mutex<Touch>,
    /// The repositories that it lists, where that is not all that have a log.
    listed: Mutex<Option<Vec<String>>>,
    /// What it says instead of a list.
    unlisted: Mutex<Option<SourceError>>,
    partial: std::sync::atomic::AtomicBool,
    lists_asked: std::sync::atomic::AtomicUsize,
    asked: Mutex<Vec<Asked>>,
    asked_before: Mutex<BTreeMap<String, usize>>,
}

impl Registry {
    fn new(clock: TokioClock, kind: &'static str) -> Arc<Self> {
        Arc::new(Self {
            clock,
            kind,
            latency: Mutex::new(Duration::from_millis(20)),
            logs: Mutex::default(),
            script: Mutex::new(Box::new(|_, _| None)),
            touch: Mutex::new(Box::new(|_, _| {})),
            listed: Mutex::default(),
            unlisted: Mutex::default(),
            partial: false.into(),
            lists_asked: 0.into(),
            asked: Mutex::default(),
            asked_before: Mutex::default(),
        })
    }

    /// Adds rows to a repository's log, `count` of them, a second apart, the newest now.
    pub(super) fn publish(&self, repo: &str, count: i64) {
        let now = self.clock.now().as_second();
        let mut logs = self.logs.lock().unwrap();
        let log = logs.entry(repo.to_owned()).or_default();
        for age in (0..count).rev() {
            let number = log.len();
            log.push(row(now - age, &format!("service-{number}")));
        }
        log.sort_by_key(|row| row.wall_time);
    }

    pub(super) fn push(&self, repo: &str, row: Row) {
        let mut logs = self.logs.lock().unwrap();
        let log = logs.entry(repo.to_owned()).or_default();
        log.push(row);
        log.sort_by_key(|row| row.wall_time);
    }

    /// From now on a repository's log is this.
    pub(super) fn replace(&self, repo: &str, rows: impl IntoIterator<Item = Row>) {
        let mut rows: Vec<Row> = rows.into_iter().collect();
        rows.sort_by_key(|row| row.wall_time);
        self.logs.lock().unwrap().insert(repo.to_owned(), rows);
    }

    pub(super) fn latency(&self, latency: Duration) {
        *self.latency.lock().unwrap() = latency;
    }

    pub(super) fn says(
        &self,
        script: impl Fn(&Asked, usize) -> Option<SourceError> + Send + Sync + 'static,
    ) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(super) fn works(&self) {
        self.says(|_, _| None);
    }

    pub(super) fn touches(&self, touch: impl Fn(&Asked, &mut Page) + Send + Sync + 'static) {
        *self.touch.lock().unwrap() = Box::new(touch);
    }

    /// From now on the registry lists these.
    pub(super) fn lists(&self, repos: impl IntoIterator<Item = String>) {
        *self.listed.lock().unwrap() = Some(repos.into_iter().collect());
        *self.unlisted.lock().unwrap() = None;
    }

    /// From now on it says this instead of a list.
    pub(super) fn lists_not(&self, error: SourceError) {
        *self.unlisted.lock().unwrap() = Some(error);
    }

    /// The account sees only some.
    pub(super) fn lists_some_only(&self) {
        self.partial.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// How many pages of lists were asked for.
    pub(super) fn lists_asked(&self) -> usize {
        self.lists_asked.load(std::sync::atomic::Ordering::SeqCst)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Seconds at which a repository was asked for.
    pub(super) fn asked_at(&self, repo: &str) -> Vec<f64> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.repo == repo).map(|asked| asked.at).collect()
    }

    pub(super) fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }

    fn answer(&self, asked: &Asked, limit: u32) -> Page {
        let logs = self.logs.lock().unwrap();
        let log = logs.get(&asked.repo).map(|rows| &rows[..]).unwrap_or_default();
        let total = Some(log.len() as u64);
        let skip = usize::try_from(asked.offset).unwrap();
        let rows: Vec<Row> = log.iter().rev().skip(skip).take(limit as usize).cloned().collect();
        let len = u32::try_from(rows.len()).unwrap();
        Page { rows, len, total, ..Page::default() }
    }
}

pub(super) fn row(wall: i64, service: &str) -> Row {
    let mut row = Row::at(WallTime(wall), Timestamp::from_second(wall).unwrap());
    row.service = Some(service.into());
    row.return_code = Some(0);
    row
}

#[async_trait]
impl Source for Registry {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn page_limit(&self) -> u32 {
        100
    }

    fn wall_time(&self, at: Timestamp) -> WallTime {
        WallTime(at.as_second())
    }

    async fn page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let at = self.clock.elapsed().as_secs_f64();
        let asked = Asked { at, repo: request.repo.to_owned(), offset: request.offset };
        let before = {
            let mut counts = self.asked_before.lock().unwrap();
            let count = counts.entry(asked.repo.clone()).or_default();
            *count += 1;
            *count - 1
        };
        self.asked.lock().unwrap().push(asked.clone());
        let latency = *self.latency.lock().unwrap();
        tokio::time::sleep(latency).await;
        if let Some(error) = self.script.lock().unwrap()(&asked, before) {
            return Err(error);
        }
        let mut page = self.answer(&asked, request.limit);
        self.touch.lock().unwrap()(&asked, &mut page);
        Ok(page)
    }

    async fn repositories(&self, request: ListingRequest) -> Result<Listing, SourceError> {
        self.lists_asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let latency = *self.latency.lock().unwrap();
        tokio::time::sleep(latency).await;
        if let Some(error) = self.unlisted.lock().unwrap().clone() {
            return Err(error);
        }
        let all = match &*self.listed.lock().unwrap() {
            Some(listed) => listed.clone(),
            None => self.logs.lock().unwrap().keys().cloned().collect(),
        };
        let skip = usize::try_from(request.offset).unwrap();
        let page = all.iter().skip(skip).take(request.limit as usize);
        let items: Vec<_> =
            page.map(|repo| Listed { repo: repo.as_str().into(), mark: None }).collect();
        let len = u32::try_from(items.len()).unwrap();
        Ok(Listing { items, len, total: Some(all.len() as u64), partial: None })
    }

    async fn sees_some_only(&self) -> Result<Option<bool>, SourceError> {
        Ok(Some(self.partial.load(std::sync::atomic::Ordering::SeqCst)))
    }
}

/// Adds a row to a page that could not be understood.
pub(super) fn reject(page: &mut Page, raw: &str) {
    page.len += 1;
    page.rejected.push(Rejected { raw: raw.to_owned(), reason: "no time".to_owned() });
}

/// Renders one word; a template named `broken` fails, `silent` gives nothing, `split` three parts.
#[derive(Default)]
pub(super) struct Words {
    pub(super) mended: std::sync::atomic::AtomicBool,
}

fn part(text: String) -> Part {
    Part { payload: Payload { format: PayloadFormat::Text, body: text } }
}

impl Renderer for Words {
    fn render(&self, request: &RenderRequest<'_>) -> Result<Vec<Part>, RenderError> {
        let mended = self.mended.load(std::sync::atomic::Ordering::SeqCst);
        match request.template {
            Some("broken") if !mended => Err(RenderError("broken.hbs:1:7: no such field".into())),
            // As a template that can't cope with some entries only.
            Some("picky") => {
                let service = request.context.entries[0].row.service.as_deref().unwrap();
                if service.ends_with('3') {
                    return Err(RenderError("picky.hbs:2:1: a three".into()));
                }
                Ok(vec![part("picked".into())])
            }
            Some("silent") => Ok(Vec::new()),
            Some("split") => Ok((0..3).map(|number| part(format!("part {number}"))).collect()),
            _ => Ok(vec![part("told".into())]),
        }
    }

    fn plain(&self, _: &RenderRequest<'_>, problem: &str) -> Part {
        part(format!("plain: {problem}"))
    }
}

/// Counts what is told, by word.
#[derive(Default)]
pub(super) struct Counting(Mutex<BTreeMap<&'static str, u64>>);

impl Observer for Counting {
    fn observe(&self, event: Event<'_>) {
        let (word, count) = match event {
            Event::Entries { count, .. } => ("entries", count),
            Event::Rejected { count, .. } => ("rejected", count),
            Event::Gap { .. } => ("gap", 1),
            Event::Queued { count, .. } => ("queued", count),
            Event::Held { count, .. } => ("held", count),
            Event::RenderFailed { .. } => ("render_failed", 1),
            Event::Alarm { firing: true, .. } => ("alarm", 1),
            Event::Alarm { firing: false, .. } => ("alarm_over", 1),
            _ => return,
        };
        *self.0.lock().unwrap().entry(word).or_default() += count;
    }
}

impl Counting {
    pub(super) fn count(&self, word: &str) -> u64 {
        self.0.lock().unwrap().get(word).copied().unwrap_or_default()
    }
}

/// A rule that matches everything and sends to `ops`.
pub(super) fn everything(template: Option<&str>) -> Rule {
    Rule {
        name: "everything".into(),
        matches: Clause::All(Vec::new()),
        severity: Severity::Error,
        labels: BTreeMap::default(),
        send_to: vec!["ops".into()],
        template: template.map(Into::into),
        notify: Notify::Every,
        by: DEFAULT_BY.to_vec(),
        quiet: Quiet::default(),
        stop: false,
        mode: Mode::Live,
        origin: Origin::default(),
    }
}

/// How a scene is set.
pub(super) struct Setting {
    pub(super) repos: usize,
    pub(super) poll_every: Duration,
    pub(super) requests_per_second: f64,
    pub(super) first_run: FirstRun,
    pub(super) kind: &'static str,
    pub(super) rules: Vec<Rule>,
    pub(super) discover: Option<DiscoverSettings>,
    /// What the source says of late news.
    pub(super) catch_up: Option<CatchUp>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            repos: 1,
            poll_every: 10 * SECOND,
            requests_per_second: 10.0,
            first_run: FirstRun::All,
            kind: "ccr",
            rules: vec![everything(None)],
            discover: None,
            catch_up: None,
        }
    }
}

/// A source that is read.
pub(super) struct Scene {
    pub(super) clock: TokioClock,
    pub(super) registry: Arc<Registry>,
    pub(super) store: Memory,
    pub(super) words: Arc<Words>,
    pub(super) observer: Arc<Counting>,
    pub(super) alarms: Alarms,
    pub(super) wakes: Wakes,
    setting: Setting,
    running: Option<Running>,
}

struct Running {
    board: SourceBoard,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// What is discovered: everything under `shop` but what is thrown away.
pub(super) fn discovering(every: Duration) -> Setting {
    let glob = |text| Glob::new(text).unwrap();
    let discover = DiscoverSettings {
        include: vec![glob("shop/*")],
        exclude: vec![glob("shop/tmp-*")],
        every,
    };
    Setting { repos: 0, discover: Some(discover), ..Setting::default() }
}

pub(super) fn name(index: usize) -> String {
    format!("shop/r{index}")
}

impl Scene {
    /// A scene whose source is not yet read.
    pub(super) fn new(setting: Setting) -> Self {
        let clock = TokioClock::starting_at(Timestamp::from_second(START).unwrap());
        let observer = Arc::new(Counting::default());
        Self {
            clock,
            registry: Registry::new(clock, setting.kind),
            store: Memory::default(),
            words: Arc::default(),
            alarms: Alarms::new(observer.clone()),
            observer,
            wakes: Wakes::new(["ops".into(), "audit".into()]),
            setting,
            running: None,
        }
    }

    /// Begins to read it, as a start of the service would.
    pub(super) async fn start(&mut self) {
        let late = self.setting.catch_up.map(|catch_up| ("shop".into(), catch_up));
        let sources = Sources { catch_up: late.into_iter().collect(), ..Sources::default() };
        let rules = RuleSet::new(self.setting.rules.clone()).over(sources);
        let policy = Policy::new(rules, self.words.clone());
        let store = Arc::new(self.store.clone());
        let world = DeciderWorld {
            store: store.clone(),
            clock: Arc::new(self.clock),
            observer: self.observer.clone(),
            alarms: self.alarms.clone(),
            wakes: self.wakes.clone(),
        };
        let (decider, deciding) = Decider::new(policy, world).await.unwrap();
        let world = IntakeWorld {
            store,
            decider: decider.clone(),
            clock: Arc::new(self.clock),
            observer: self.observer.clone(),
            alarms: self.alarms.clone(),
        };
        let settings = IntakeSettings {
            name: "shop".into(),
            repos: (0..self.setting.repos).map(|index| name(index).into()).collect(),
            discover: self.setting.discover.clone(),
            poll_every: self.setting.poll_every,
            requests_per_second: self.setting.requests_per_second,
            first_run: self.setting.first_run,
            overlap: 10 * MINUTE,
            blind_after: 10 * MINUTE,
        };
        let intake = Intake::new(settings, self.registry.clone(), world);
        let (board, cancel) = (intake.board(), CancellationToken::new());
        let boards = SourceBoards::default();
        boards.put(&"shop".into(), board.clone());
        let watch = Watch::new(decider, boards);
        let (reading, deciding) = (intake.run(cancel.clone()), deciding.run(cancel.clone()));
        let watching = watch.run(cancel.clone());
        let task = tokio::spawn(async move {
            tokio::join!(reading, deciding, watching);
        });
        self.running = Some(Running { board, cancel, task });
    }

    /// A scene whose source is read from now on.
    pub(super) async fn started(setting: Setting) -> Self {
        let mut scene = Self::new(setting);
        scene.start().await;
        scene
    }

    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub(super) fn status(&self) -> SourceStatus {
        self.running.as_ref().unwrap().board.read()
    }

    /// The alarms that fire, by kind.
    pub(super) fn firing(&self) -> Vec<AlarmKind> {
        self.alarms.firing().iter().map(|alarm| alarm.kind).collect()
    }

    /// What an alarm says.
    pub(super) fn alarm(&self, kind: AlarmKind) -> String {
        let firing = self.alarms.firing();
        let alarm = firing.into_iter().find(|alarm| alarm.kind == kind);
        alarm.map(|alarm| alarm.message).unwrap_or_default()
    }

    /// Stops as SIGTERM would.
    pub(super) async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.cancel.cancel();
        running.task.await.unwrap();
    }

    /// Stops in the middle of whatever it does.
    pub(super) async fn kill(&mut self) {
        let running = self.running.take().unwrap();
        running.task.abort();
        assert!(running.task.await.unwrap_err().is_cancelled());
    }

    /// Says that each of these rows of a repository was decided once.
    pub(super) fn assert_each_once(&self, expected: usize) {
        let decided = self.store.decided();
        let ids: std::collections::BTreeSet<_> =
            decided.iter().map(|entry| format!("{:?}", entry.id)).collect();
        assert_eq!(decided.len(), expected, "entries decided");
        assert_eq!(ids.len(), expected, "different entries");
        assert_eq!(self.store.notifications().len(), expected, "notifications");
    }
}

/// Keeps what is logged on this thread, from now until it is dropped.
pub(super) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(super) fn keep() -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Sink(text.clone());
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || sink.clone())
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// How many lines hold this.
    pub(super) fn lines_with(&self, words: &str) -> usize {
        let text = self.text.lock().unwrap();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(words)).count()
    }
}
