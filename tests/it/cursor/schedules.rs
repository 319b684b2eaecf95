//! Random schedules against a naive oracle: what the log published, against what was taken in.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use triggerbell::{
    domain::entry::{Identity, WallTime},
    engine::cursor::{FirstRun, Moment, Settings, Walk, unchanged, waits},
};

use super::{
    ledger::{Ledger, repo},
    registry::{Order, Published, Registry, Total},
};

const OVERLAP: i64 = 120;
const START: i64 = 1_700_000_000;

/// Something that the registry does.
#[derive(Debug, Clone)]
enum Event {
    /// Rows of the present second.
    Push { kinds: Vec<u8>, bare: bool },
    /// Many rows of the present second at once.
    Burst { count: u8, bare: bool },
    /// Rows of an earlier second.
    Late { age: u8, kinds: Vec<u8>, bare: bool },
    /// The oldest rows leave.
    Expire { count: u8 },
    /// A row somewhere leaves.
    Withdraw { pick: u32 },
    /// A row gains its result.
    Finish { pick: u32 },
    /// Time passes.
    Tick { seconds: u8 },
    /// A row of the far future.
    Future,
}

/// What happens to the poller.
#[derive(Debug, Clone)]
enum Step {
    Event(Event),
    /// A poll; between its requests the registry goes on.
    Poll {
        between: Vec<Event>,
        fails_at: Option<u8>,
    },
}

#[derive(Debug, Clone)]
struct Schedule {
    limit: u32,
    order: Order,
    total: Total,
    first_run: FirstRun,
    max_fresh: usize,
    /// Our clock minus the log's, in seconds.
    skew: i64,
    history: Vec<Event>,
    steps: Vec<Step>,
    seed: u64,
}

fn event() -> impl Strategy<Value = Event> {
    let kinds = || prop::collection::vec(0_u8..4, 1..6);
    prop_oneof![
        5 => (kinds(), any::<bool>()).prop_map(|(kinds, bare)| Event::Push { kinds, bare }),
        1 => (1_u8..30, any::<bool>()).prop_map(|(count, bare)| Event::Burst { count, bare }),
        3 => (0..=OVERLAP as u8, kinds(), any::<bool>())
            .prop_map(|(age, kinds, bare)| Event::Late { age, kinds, bare }),
        1 => (1_u8..30).prop_map(|count| Event::Expire { count }),
        1 => any::<u32>().prop_map(|pick| Event::Withdraw { pick }),
        3 => any::<u32>().prop_map(|pick| Event::Finish { pick }),
        4 => (0_u8..50).prop_map(|seconds| Event::Tick { seconds }),
        1 => Just(Event::Future),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => event().prop_map(Step::Event),
        2 => (prop::collection::vec(event(), 0..4), prop::option::weighted(0.15, 0_u8..6))
            .prop_map(|(between, fails_at)| Step::Poll { between, fails_at }),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let order = prop_oneof![Just(Order::Steady), Just(Order::Shuffled), Just(Order::Alternating)];
    let total = prop_oneof![
        4 => Just(Total::Honest),
        1 => Just(Total::Missing),
        1 => Just(Total::Lying),
        1 => Just(Total::Frozen)
    ];
    let first_run = prop_oneof![
        2 => Just(FirstRun::Skip),
        2 => Just(FirstRun::All),
        1 => (0..300_i64).prop_map(|back| FirstRun::Since(WallTime(START - back)))
    ];
    (
        (3_u32..=12, order, total, first_run),
        (prop_oneof![Just(2_usize), Just(2000)], prop_oneof![Just(0_i64), Just(-40), Just(40)]),
        prop::collection::vec(event(), 0..8),
        prop::collection::vec(step(), 1..18),
        any::<u64>(),
    )
        .prop_map(
            |((limit, order, total, first_run), (max_fresh, skew), history, steps, seed)| {
                Schedule { limit, order, total, first_run, max_fresh, skew, history, steps, seed }
            },
        )
}

struct Play {
    registry: Registry,
    ledger: Ledger,
    settings: Settings,
    skew: i64,
    /// Rows of this moment are history or news, as it happens: the first walk is under way.
    in_baseline: bool,
    requests: u64,
}

impl Play {
    fn new(schedule: &Schedule) -> Self {
        let settings = Settings {
            overlap: std::time::Duration::from_secs(OVERLAP as u64),
            page_limit: schedule.limit,
            first_run: schedule.first_run,
            max_fresh: schedule.max_fresh,
        };
        let Schedule { order, total, limit, seed, .. } = *schedule;
        let mut play = Self {
            registry: Registry::new(order, total, limit, seed, START - 400),
            ledger: Ledger::default(),
            settings,
            skew: schedule.skew,
            in_baseline: false,
            requests: 0,
        };
        schedule.history.iter().for_each(|event| play.happen(event));
        play.registry.now = play.registry.now.max(START);
        play
    }

    fn happen(&mut self, event: &Event) {
        let now = self.registry.now;
        match event {
            Event::Push { kinds, bare } => {
                kinds.iter().for_each(|kind| self.publish(now, *kind, *bare));
            }
            Event::Burst { count, bare } => {
                // Every fifth is of a common kind, so that twins lie pages apart.
                (0..*count).for_each(|n| self.publish(now, u8::from(n % 5 == 4), *bare));
            }
            Event::Late { age, kinds, bare } => {
                kinds.iter().for_each(|kind| self.publish(now - i64::from(*age), *kind, *bare));
            }
            Event::Expire { count } => self.registry.expire(usize::from(*count)),
            Event::Withdraw { pick } => self.registry.withdraw(*pick),
            Event::Finish { pick } => self.registry.finish(*pick, now - OVERLAP),
            Event::Tick { seconds } => self.registry.now += i64::from(*seconds),
            // A clock of ours that is ahead together with such a row breaks the guarantee.
            Event::Future if self.skew <= 0 => self.publish(now + 100_000, 0, false),
            Event::Future => {}
        }
    }

    fn publish(&mut self, wall: i64, kind: u8, bare: bool) {
        let doubtful = |doubt: &triggerbell::ports::Doubt| doubt.wall.0 == wall && doubt.history;
        let owed = !self.in_baseline && !self.ledger.cursor.doubts.iter().any(doubtful);
        let result = if bare { None } else { Some(0) };
        self.registry.publish(wall, u32::from(kind), result, owed);
    }

    fn moment(&self) -> Moment {
        let wall = self.registry.now + self.skew;
        Moment { now: Timestamp::from_second(wall).unwrap(), wall: WallTime(wall) }
    }

    fn poll(&mut self, between: &[Event], fails_at: Option<u8>) {
        if !self.ledger.drain(3) {
            return;
        }
        let first_contact = self.ledger.cursor.baseline_at.is_none();
        if first_contact {
            self.begin_baseline();
        }
        self.registry.is_read = true;
        self.walk(between, fails_at);
        self.registry.is_read = false;
        self.in_baseline = false;
    }

    /// At first contact, what is there is history, but for what the settings take.
    fn begin_baseline(&mut self) {
        self.in_baseline = true;
        let first_run = self.settings.first_run;
        for row in &mut self.registry.rows {
            row.owed = match first_run {
                FirstRun::Skip => false,
                FirstRun::All => true,
                FirstRun::Since(since) => row.wall >= since.0,
            };
            row.history = !row.owed && !row.gone;
        }
    }

    fn walk(&mut self, between: &[Event], fails_at: Option<u8>) {
        let moment = self.moment();
        let mut walk: Option<Walk> = None;
        let mut ask =
            triggerbell::engine::cursor::Ask { offset: 0, limit: self.settings.page_limit };
        let mut events = between.iter();
        for request in 0.. {
            assert!(request < 5000, "the walk does not end");
            if fails_at.is_some_and(|at| u32::from(at) == request) {
                if let Some(walk) = walk {
                    walk.abandon();
                }
                return self.ledger.clear_stage();
            }
            self.requests += 1;
            let page = self.registry.page(ask);
            let walk = match &mut walk {
                None if unchanged(&self.settings, &self.ledger.cursor, moment.now, &page) => return,
                None => {
                    let cursor = self.ledger.cursor.clone();
                    let window = self.ledger.window();
                    walk.insert(Walk::new(self.settings, repo(), cursor, window, moment))
                }
                Some(walk) => walk,
            };
            walk.absorb(page);
            if let Some(chunk) = walk.chunk() {
                self.ledger.stage(chunk);
            }
            match walk.ask() {
                Some(next) => ask = next,
                None => break,
            }
            if let Some(event) = events.next() {
                self.happen(event);
            }
        }
        let (closed, mut window) = walk.unwrap().finish();
        if std::env::var_os("TRIGGERBELL_SHOW").is_some() {
            eprintln!("{:?} {:?}", closed.counts, closed.cursor.cursor);
        }
        if closed.counts.given_up > 0 {
            let doubts = &self.ledger.cursor.doubts;
            assert!(
                doubts.iter().any(|doubt| self.is_hopeless(doubt.wall)),
                "given up: {doubts:?}"
            );
        }
        let (moved, seal) = (closed.cursor.clone(), closed.cursor.seal);
        self.ledger.commit(closed);
        if !seal {
            window.apply(&moved);
            assert_eq!(window.len(), self.ledger.known(), "the window differs from the store's");
        }
    }

    /// Nothing happens any more; the poller goes on until nothing is in doubt.
    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..90 {
            let before = self.ledger.entries.len();
            self.registry.now += OVERLAP / 2 + 1;
            self.poll(&[], None);
            let doubts = &self.ledger.cursor.doubts;
            let still = !doubts.iter().any(waits) && self.ledger.drain(3);
            quiet = if still && before == self.ledger.entries.len() { quiet + 1 } else { 0 };
            if quiet >= 3 {
                return;
            }
        }
        let doubts = &self.ledger.cursor.doubts;
        assert!(doubts.iter().all(|doubt| self.is_hopeless(doubt.wall)), "in doubt: {doubts:?}");
    }

    /// Rows left such a second while its order changes: their doubles can't be told from others.
    fn is_hopeless(&self, wall: WallTime) -> bool {
        let left = |row: &Published| row.gone && row.wall == wall.0;
        self.registry.is_shuffled() && self.registry.rows.iter().any(left)
    }

    /// Every row that is owed and there is an entry; no entry but of a row; none twice.
    fn judge(&self) -> Result<(), TestCaseError> {
        for (id, (new, revised)) in &self.ledger.decided {
            prop_assert!(
                *new <= 1 && *revised <= 1,
                "entry {id} was decided {new}+{revised} times"
            );
        }
        let mut taken: HashMap<Identity, i64> = HashMap::new();
        let mut taken_families: HashMap<Identity, i64> = HashMap::new();
        for entry in self.ledger.entries.values() {
            *taken.entry(entry.row.identity()).or_default() += 1;
            *taken_families.entry(entry.row.identity_without_result()).or_default() += 1;
        }
        let mut owed: HashMap<Identity, (i64, String)> = HashMap::new();
        let mut published: HashMap<Identity, i64> = HashMap::new();
        // History that left, or gained its result, may hide a late double of its old self.
        let mut hidden: HashMap<Identity, i64> = HashMap::new();
        let finished: HashSet<Identity> =
            self.registry.rows.iter().filter(|row| row.revised).map(|row| row.family()).collect();
        for row in &self.registry.rows {
            if row.owed && !row.gone {
                let (count, _) = owed.entry(row.identity()).or_insert((0, format!("{row:?}")));
                *count += 1;
            }
            // A row of history becomes news when it, or a double of it, gains its result.
            let may_be_taken = row.owed || !row.history || finished.contains(&row.family());
            *published.entry(row.family()).or_default() += i64::from(may_be_taken);
            *hidden.entry(row.family()).or_default() +=
                i64::from(!row.owed && (row.gone || row.revised));
        }
        for (identity, times) in &self.ledger.decided_rows {
            let had = |row: &&Published| {
                row.identity() == *identity || row.revised && row.family() == *identity
            };
            let had = self.registry.rows.iter().filter(had).count();
            prop_assert!(*times <= had, "twice: {times} decided of {had} that were, {identity:?}");
        }
        for (identity, (count, row)) in &owed {
            let got = taken.get(identity).copied().unwrap_or(0);
            let family = self.family(*identity);
            let hidden = hidden.get(&family).copied().unwrap_or(0);
            prop_assert!(got >= count - hidden, "lost: {got} of {count} taken of {row}");
        }
        for (family, got) in &taken_families {
            let count = published.get(family).copied().unwrap_or(0);
            prop_assert!(*got <= count, "twice: {got} taken of {count} published, {family:?}");
        }
        Ok(())
    }

    fn family(&self, identity: Identity) -> Identity {
        let row = self.registry.rows.iter().find(|row| row.identity() == identity);
        row.map_or(identity, |row| row.family())
    }
}

fn run(schedule: &Schedule) -> Result<u64, TestCaseError> {
    let mut play = Play::new(schedule);
    for step in &schedule.steps {
        match step {
            Step::Event(event) => play.happen(event),
            Step::Poll { between, fails_at } => play.poll(between, *fails_at),
        }
    }
    play.settle();
    play.judge()?;
    Ok(play.requests)
}

/// Plays `TRIGGERBELL_SCHEDULES` schedules (10,000 unless told) from the seed
/// `TRIGGERBELL_SEED`.
#[test]
fn every_row_is_taken_exactly_once_whatever_the_registry_does() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let cases = number("TRIGGERBELL_SCHEDULES", 10_000);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("TRIGGERBELL_SEED", 20_261_124).to_le_bytes());
    let config = Config {
        cases: cases as u32,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        max_shrink_time: 40_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let requests = std::cell::Cell::new(0);
    let result = TestRunner::new_with_rng(config, rng).run(&schedule(), |schedule| {
        requests.set(requests.get() + run(&schedule)?);
        Ok(())
    });
    match result {
        Ok(()) => eprintln!("{cases} schedules, {} requests", requests.get()),
        Err(TestError::Fail(why, schedule)) => panic!("{why}\n{schedule:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// Found by the test above: positions are what they were, and a page in between was not.
#[test]
fn a_row_that_leaves_above_a_long_second_while_another_comes_hides_none_of_it() {
    let between = vec![Event::Expire { count: 5 }, Event::Future];
    let schedule = Schedule {
        limit: 4,
        order: Order::Alternating,
        total: Total::Honest,
        first_run: FirstRun::Skip,
        max_fresh: 2,
        skew: 0,
        history: Vec::new(),
        steps: vec![
            Step::Event(Event::Late { age: 0, kinds: vec![0; 4], bare: false }),
            Step::Event(Event::Future),
            Step::Poll { between, fails_at: None },
            Step::Event(Event::Push { kinds: vec![0], bare: false }),
        ],
        seed: 0,
    };
    run(&schedule).unwrap();
}
