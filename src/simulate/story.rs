//! What happens in a made-up company: images are pushed, services are updated, some fail and
//! recover, one flaps, and many jobs fail at once when what they are built on is broken.
//!
//! A pure generator: the same seed tells the same story, and time is a parameter. Deliberately
//! absent: when pushes happen and how rows reach the log (`feed`).

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::entry::{Row, WallTime};

/// A row as it appears in the log, and what becomes of it.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) row: Row,
    /// The result that a row without one gains later.
    pub(super) later: Option<(Duration, i64, String)>,
}

/// The story: who there is, and how they are.
pub(super) struct Story {
    rng: fastrand::Rng,
    repos: Vec<Repo>,
}

struct Repo {
    name: Box<str>,
    version: (u32, u32, u32),
    updates: Vec<Update>,
}

/// A trigger and the service that it updates.
struct Update {
    trigger: Box<str>,
    method: &'static str,
    expr: &'static str,
    place: Place,
    app_id: Box<str>,
    service: Box<str>,
    cluster: Box<str>,
    flaps: bool,
    /// What it fails with until it recovers, and for how many more pushes.
    failing: Option<(usize, u32)>,
    succeeded_last: bool,
}

/// What images are pushed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Release,
    Build,
    Moving,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    name: &'static str,
    region: i64,
}

const PRODUCTION: Place = Place { name: "prod", region: 1 };
const STAGING: Place = Place { name: "staging", region: 4 };
const EDGE: Place = Place { name: "edge", region: 9 };

/// The repositories where none are given.
pub(super) const REPOS: &[&str] =
    &["shop/api", "shop/web", "shop/checkout", "pay/gateway", "media/thumbnailer", "data/etl"];

/// What services fail with: the code and the message, `{}` for the service.
const FAILURES: &[(i64, &str)] = &[
    (404, "kube Resurces NotFound"),
    (1, "deployment \"{}\" exceeded its progress deadline: 1 of 3 updated replicas are available"),
    (500, "Internal error occurred: etcdserver: request timed out"),
    (403, "deployments.apps \"{}\" is forbidden: User \"tke-trigger\" cannot patch resource"),
    (409, "Operation cannot be fulfilled on deployments.apps \"{}\": the object has been modified"),
    (1, "Back-off pulling image: ImagePullBackOff (container {})"),
    (422, "admission webhook \"limits.policy\" denied the request: {} sets no memory limit"),
    (504, "连接集群超时,请检查集群状态"),
];

/// Jobs that are updated together.
const JOBS: usize = 40;

/// How likely a push makes a well service fail.
const FAILS: f64 = 0.09;
/// How likely a row comes without its result.
const UNKNOWN: f64 = 0.04;
/// How likely a row comes twice.
const TWIN: f64 = 0.02;

impl Story {
    pub(super) fn new(seed: u64, repos: &[String]) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let repos = repos.iter().enumerate().map(|(place, name)| Repo::new(place, name, &mut rng));
        Self { repos: repos.collect(), rng }
    }

    /// What every trigger is, in rows that say when none of them fired.
    pub(super) fn triggers(&self) -> Vec<Row> {
        let never = || Row::at(WallTime::default(), Timestamp::UNIX_EPOCH);
        let of = |repo: &Repo| {
            let rows = repo.updates.iter().map(|update| update.row(&repo.name, never()));
            rows.collect::<Vec<_>>()
        };
        self.repos.iter().flat_map(of).collect()
    }

    /// The next push: the rows that it puts into the log, all at `time`.
    pub(super) fn push(&mut self, wall_time: WallTime, time: Timestamp) -> Vec<Told> {
        let rng = &mut self.rng;
        // People push again where something is broken.
        let broken = |repo: &Repo| repo.updates.iter().any(|update| update.failing.is_some());
        let broken: Vec<usize> =
            (0..self.repos.len()).filter(|&place| broken(&self.repos[place])).collect();
        let place = match rng.choice(&broken) {
            Some(&place) if rng.f64() < 0.5 => place,
            _ if self.repos.is_empty() => return Vec::new(),
            _ => rng.usize(..self.repos.len()),
        };
        let repo = &mut self.repos[place];
        let kind = match rng.u32(..10) {
            0..5 => Kind::Release,
            5..8 => Kind::Build,
            _ => Kind::Moving,
        };
        let tag = repo.tag(kind, time, rng);
        let mut told = Vec::new();
        for update in repo.updates.iter_mut().filter(|update| update.takes(kind)) {
            let one = update.run(&repo.name, &tag, Row::at(wall_time, time), rng);
            if rng.f64() < TWIN {
                told.push(one.clone());
            }
            told.push(one);
        }
        told
    }
}

/// What all jobs are built on is pushed: the rows of their updates, which fail or go well together.
pub(super) fn jobs(repo: &str, fail: bool, wall_time: WallTime, time: Timestamp) -> Vec<Row> {
    let text = |text: &str| Some(text.into());
    let row = |number: usize| {
        let service = format!("job-{number:02}");
        Row {
            repo: text(repo),
            tag: text("nightly"),
            trigger: text(&format!("nightly-{service}")),
            invoke_source: text("IMAGE_PUSH"),
            invoke_action: text("SERVICE_UPDATE"),
            invoke_method: text("taglist"),
            invoke_expr: text("nightly"),
            app_id: text("1254110000"),
            service: text(&service),
            cluster_id: Some(cluster(PRODUCTION)),
            namespace: text("batch"),
            container: text(&service),
            cluster_region: Some(PRODUCTION.region),
            return_code: Some(i64::from(fail)),
            return_msg: text(if fail { "Back-off pulling image: ImagePullBackOff" } else { "ok" }),
            ..Row::at(wall_time, time)
        }
    };
    (1..=JOBS).map(row).collect()
}

impl Repo {
    fn new(place: usize, name: &str, rng: &mut fastrand::Rng) -> Self {
        let service = name.rsplit('/').next().unwrap_or(name);
        let app_id = format!("125411{:04}", rng.u32(..10_000));
        let update = |prefix: &str, method, expr, place: Place| Update {
            trigger: format!("{prefix}-{service}").into(),
            method,
            expr,
            place,
            app_id: app_id.as_str().into(),
            service: service.into(),
            cluster: cluster(place),
            flaps: false,
            failing: None,
            succeeded_last: true,
        };
        let mut updates = vec![
            update("release", "regex", r"^v\d+\.\d+\.\d+$", PRODUCTION),
            update("every", "all", "", STAGING),
        ];
        if place.is_multiple_of(3) {
            updates.push(update("edge", "taglist", "latest;canary", EDGE));
        }
        // The second repository has a service in staging that can't make up its mind.
        updates[1].flaps = place == 1;
        let version = (rng.u32(1..4), rng.u32(0..20), rng.u32(0..10));
        Self { name: name.into(), version, updates }
    }

    fn tag(&mut self, kind: Kind, time: Timestamp, rng: &mut fastrand::Rng) -> String {
        match kind {
            Kind::Release => {
                let (major, minor, patch) = &mut self.version;
                if rng.u32(..6) == 0 {
                    (*minor, *patch) = (*minor + 1, 0);
                } else {
                    *patch += 1;
                }
                format!("v{major}.{minor}.{patch}")
            }
            Kind::Build => {
                let date = time.strftime("%Y%m%d");
                format!("{date}-{:07x}", rng.u32(..0x1000_0000))
            }
            Kind::Moving => (*rng.choice(&["latest", "canary"]).unwrap_or(&"latest")).to_owned(),
        }
    }
}

/// The cluster of a place, as clusters are named.
fn cluster(place: Place) -> Box<str> {
    let mut rng = fastrand::Rng::with_seed(place.region as u64);
    let id: String = (0..8).map(|_| rng.alphanumeric().to_ascii_lowercase()).collect();
    format!("cls-{id}").into()
}

impl Update {
    fn takes(&self, kind: Kind) -> bool {
        match self.method {
            "regex" => kind == Kind::Release,
            "taglist" => kind == Kind::Moving,
            _ => true,
        }
    }

    /// A row of this trigger, without what a push brings.
    fn row(&self, repo: &str, mut row: Row) -> Row {
        row.repo = Some(repo.into());
        row.trigger = Some(self.trigger.clone());
        row.invoke_source = Some("IMAGE_PUSH".into());
        row.invoke_action = Some("SERVICE_UPDATE".into());
        row.invoke_method = Some(self.method.into());
        row.invoke_expr = Some(self.expr.into());
        row.app_id = Some(self.app_id.clone());
        row.service = Some(self.service.clone());
        row.cluster_id = Some(self.cluster.clone());
        row.namespace = Some(self.place.name.into());
        row.container = Some(self.service.clone());
        row.cluster_region = Some(self.place.region);
        row
    }

    fn run(&mut self, repo: &str, tag: &str, row: Row, rng: &mut fastrand::Rng) -> Told {
        let mut row = self.row(repo, row);
        row.tag = Some(tag.into());
        let (code, message) = self.outcome(rng);
        if rng.f64() < UNKNOWN {
            // One in five never learns how it ended.
            let later = (rng.u32(..5) > 0)
                .then(|| (Duration::from_millis(rng.u64(4_000..20_000)), code, message));
            return Told { row, later };
        }
        row.return_code = Some(code);
        row.return_msg = Some(message.into());
        Told { row, later: None }
    }

    fn outcome(&mut self, rng: &mut fastrand::Rng) -> (i64, String) {
        let fails = match &mut self.failing {
            Some((failure, left)) => {
                let failure = *failure;
                *left -= 1;
                if *left == 0 {
                    self.failing = None;
                }
                Some(failure)
            }
            None if self.flaps && self.succeeded_last => Some(1),
            // What has just recovered holds for a push.
            None if self.succeeded_last && rng.f64() < FAILS => {
                let failure = rng.usize(..FAILURES.len());
                let more = rng.u32(..3);
                self.failing = (more > 0).then_some((failure, more));
                Some(failure)
            }
            None => None,
        };
        self.succeeded_last = fails.is_none();
        match fails.map(|failure| FAILURES[failure]) {
            Some((code, message)) => (code, message.replace("{}", &self.service)),
            None => (0, "ok".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(seed: u64, pushes: usize) -> Vec<Told> {
        let repos: Vec<String> = REPOS.iter().map(|&repo| repo.to_owned()).collect();
        let mut story = Story::new(seed, &repos);
        (0..pushes).flat_map(|n| story.push(WallTime(n as i64), Timestamp::UNIX_EPOCH)).collect()
    }

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let rows = |seed| story(seed, 200).into_iter().map(|told| told.row).collect::<Vec<_>>();
        assert_eq!(rows(7), rows(7));
        assert_ne!(rows(7), rows(8));
    }

    #[test]
    fn some_fail_some_recover_some_are_unknown_some_are_twins_and_one_flaps() {
        let told = story(1, 2_000);
        let share = |test: &dyn Fn(&Told) -> bool| {
            told.iter().filter(|told| test(told)).count() as f64 / told.len() as f64
        };
        let failed = share(&|told| told.row.return_code.is_some_and(|code| code != 0));
        assert!((0.08..0.35).contains(&failed), "{failed} failed");
        assert!((0.02..0.06).contains(&share(&|told| !told.row.has_result())));
        assert!(told.iter().any(|told| told.row.return_code == Some(404)));
        let twins = told.windows(2).filter(|pair| pair[0].row == pair[1].row).count();
        assert!((20..200).contains(&twins), "{twins} twins");
        let flapping = told.iter().filter(|told| {
            let row = &told.row;
            row.repo.as_deref() == Some("shop/web") && row.namespace.as_deref() == Some("staging")
        });
        let codes: Vec<_> = flapping.filter_map(|told| told.row.return_code).collect();
        let changes = codes.windows(2).filter(|pair| (pair[0] == 0) != (pair[1] == 0)).count();
        assert!(changes * 10 > codes.len() * 8, "{changes} changes in {}", codes.len());
    }
}
