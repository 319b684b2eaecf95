//! The measurements, in the order of the table.
//!
//! The machine is shared and noisy, so what is compared is run alternately and medians are taken;
//! ratios are of one run.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    many::many,
    processes::{Bare, Registry, Service, Sink, get, post, script},
    report::{Bound, Report},
};

/// Repositories of the registry: with the story's triggers some 1,100 keys.
const REPOS: usize = 480;

/// Sends side by side, as configured.
const CONCURRENCY: usize = 64;

/// The most that one death of the process may repeat, beside the sends in flight.
const SETTLE_BATCH: usize = 256;

/// What the command line asks for.
pub(crate) struct Options {
    json: Option<String>,
    /// A tenth of the entries and one round, to see that all of it runs.
    quick: bool,
    only: Option<String>,
}

impl Options {
    pub(crate) fn of(words: &[&str]) -> Self {
        let value = |name| {
            let at = words.iter().position(|&word| word == name)?;
            words.get(at + 1).map(|&word| word.to_owned())
        };
        Self { json: value("--json"), quick: words.contains(&"--quick"), only: value("--only") }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }
}

/// A part of the table.
type Scenario = fn(&Options, &mut Report);

/// Measures, prints the table, and writes JSON where asked to.
pub(crate) fn run(options: &Options) {
    let mut report = Report::default();
    let scenarios: [(&str, Scenario); 8] = [
        ("backlog", backlog),
        ("rules", rules),
        ("few", few_repositories),
        ("latency", latency),
        ("reload", reloads),
        ("slow", slow_receiver),
        ("idle", idle),
        ("kill", kills),
    ];
    for (name, scenario) in scenarios {
        if options.wants(name) {
            eprintln!("{name}");
            scenario(options, &mut report);
        }
    }
    if options.only.as_deref() == Some("many") {
        eprintln!("many");
        many(if options.quick { 1_000 } else { 10_000 }, &mut report);
    }
    report.print();
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&report.json()).unwrap()).unwrap();
    }
}

/// What one run of the service came to.
struct Run {
    rate: f64,
    cpu_per_10k: f64,
    peak_mib: f64,
    lost: i64,
    repeated: i64,
}

/// Delivers the registry's whole log with so many rules.
fn deliver(registry: &Registry, sink: &mut Sink, entries: usize, rules: usize) -> Run {
    let folder = folder(&registry.words(&registry.addr), &sink.addr, rules);
    sink.reset(0);
    let service = Service::start(folder.path());
    let last = sink.wait_for(entries as u64);
    let took = (last - service.ready).as_secs_f64();
    // What comes twice comes soon.
    std::thread::sleep(Duration::from_millis(300));
    let stats = sink.stats();
    let count = |name: &str| stats[name].as_i64().unwrap();
    let run = Run {
        rate: count("distinct") as f64 / took,
        cpu_per_10k: service.cpu_s() / entries as f64 * 1e4,
        peak_mib: service.mib("VmHWM"),
        lost: entries as i64 - count("distinct"),
        repeated: count("total") - count("distinct"),
    };
    eprintln!(
        "    {rules} rules: {:.0}/s, {:.3} CPU s per 10,000, {:.1} MiB",
        run.rate, run.cpu_per_10k, run.peak_mib
    );
    run
}

fn backlog(options: &Options, report: &mut Report) {
    for entries in [10_000, 100_000] {
        let entries = if options.quick { entries / 10 } else { entries };
        let registry = Registry::start(REPOS, entries, None);
        let mut sink = Sink::start(&registry);
        let folder = folder(&registry.words(&registry.addr), &sink.addr, 3);
        let (mut bare, mut runs) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds() {
            sink.reset(0);
            let loops = Bare::start(&folder.path().join("triggerbell.yaml"), entries);
            let begun = loops.1;
            let cpu = loops.end();
            let total = sink.stats();
            let took = begun.elapsed().as_secs_f64() - total["since_last_s"].as_f64().unwrap();
            bare.push((entries as f64 / took, cpu / entries as f64 * 1e4));
            eprintln!(
                "    bare: {:.0}/s, {:.3} CPU s per 10,000",
                bare[bare.len() - 1].0,
                bare[bare.len() - 1].1
            );
            runs.push(deliver(&registry, &mut sink, entries, 3));
        }
        let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
        let bare_rate = median(bare.iter().map(|run| run.0));
        let title = |what: &str| format!("{entries} entries: {what}");
        let ratio = of(|run| run.rate) / bare_rate;
        report.bound(
            title("rate over the bare loop's"),
            ratio,
            "",
            Bound::AtLeast(0.30),
            Some(0.50),
        );
        report.note(title("rate"), of(|run| run.rate), "/s");
        report.note(title("the bare loop's rate"), bare_rate, "/s");
        let cpu = of(|run| run.cpu_per_10k);
        report.bound(title("CPU per 10,000 delivered"), cpu, "s", Bound::AtMost(0.45), Some(0.30));
        let bare_cpu = median(bare.iter().map(|run| run.1));
        report.note(title("the bare loop's CPU per 10,000"), bare_cpu, "s");
        let peak = of(|run| run.peak_mib);
        report.bound(title("peak memory"), peak, "MiB", Bound::AtMost(96.0), Some(48.0));
        let sum = |figure: fn(&Run) -> i64| runs.iter().map(figure).sum::<i64>() as f64;
        report.bound(title("lost"), sum(|run| run.lost), "", Bound::AtMost(0.0), None);
        report.bound(title("repeated"), sum(|run| run.repeated), "", Bound::AtMost(0.0), None);
    }
    usual(options, report);
}

/// The script, on fewer entries.
fn usual(options: &Options, report: &mut Report) {
    let entries = if options.quick { 200 } else { 2_000 };
    let registry = Registry::start(40, entries, None);
    let mut sink = Sink::start(&registry);
    sink.reset(0);
    if let Some(rate) = script(&registry.words(&registry.addr), &sink.addr, entries) {
        report.note("the script's rate", rate, "/s");
    }
}

fn rules(options: &Options, report: &mut Report) {
    let entries = if options.quick { 3_000 } else { 30_000 };
    let registry = Registry::start(REPOS, entries, None);
    let mut sink = Sink::start(&registry);
    let mut runs = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..options.rounds() {
        for (runs, rules) in runs.iter_mut().zip([3, 1_000, 10_000]) {
            runs.push(deliver(&registry, &mut sink, entries, rules));
        }
    }
    let [three, thousand, ten_thousand] = runs.map(|runs| {
        let rate = median(runs.iter().map(|run| run.rate));
        (
            rate,
            median(runs.iter().map(|run| run.cpu_per_10k)),
            median(runs.iter().map(|run| run.peak_mib)),
        )
    });
    let least = |least| Bound::AtLeast(least);
    report.bound(
        "rate with 1,000 rules over that with 3",
        thousand.0 / three.0,
        "",
        least(0.85),
        Some(0.95),
    );
    report.bound(
        "rate with 10,000 rules over that with 3",
        ten_thousand.0 / three.0,
        "",
        least(0.5),
        Some(0.8),
    );
    report.note("CPU per 10,000 with 3 rules", three.1, "s");
    report.note("CPU per 10,000 with 1,000 rules", thousand.1, "s");
    report.note("CPU per 10,000 with 10,000 rules, loading them included", ten_thousand.1, "s");
    report.note("peak memory with 10,000 rules", ten_thousand.2, "MiB");
}

/// A backlog whose rows do not fit into memory beside each other, of so few keys that order within
/// them bounds the rate.
fn few_repositories(options: &Options, report: &mut Report) {
    let entries = if options.quick { 2_000 } else { 30_000 };
    let registry = Registry::start(6, entries, None);
    let mut sink = Sink::start(&registry);
    let run = deliver(&registry, &mut sink, entries, 3);
    report.note(format!("{entries} entries of 6 repositories, 14 keys: rate"), run.rate, "/s");
    report.note("of these, CPU per 10,000", run.cpu_per_10k, "s");
    report.bound("of these, peak memory", run.peak_mib, "MiB", Bound::AtMost(96.0), Some(48.0));
}

fn latency(options: &Options, report: &mut Report) {
    let registry = Registry::start(40, 0, Some("50/s"));
    let mut sink = Sink::start(&registry);
    let folder = folder(&registry.words(&sink.relay), &sink.addr, 3);
    sink.reset(0);
    let _service = Service::start(folder.path());
    std::thread::sleep(Duration::from_secs(3));
    sink.reset(0);
    std::thread::sleep(Duration::from_secs(if options.quick { 3 } else { 30 }));
    let mut latencies = sink.latencies();
    latencies.sort_by(f64::total_cmp);
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize] * 1e3;
    report.bound("page → message, p50", at(0.50), "ms", Bound::AtMost(3.0), None);
    report.bound("page → message, p99", at(0.99), "ms", Bound::AtMost(15.0), Some(5.0));
    report.note("messages measured", latencies.len() as f64, "");
}

/// The way of a message while 1,000 rules are reloaded every second, beside the same without.
fn reloads(options: &Options, report: &mut Report) {
    let registry = Registry::start(40, 0, Some("50/s"));
    let mut sink = Sink::start(&registry);
    let folder = folder(&registry.words(&sink.relay), &sink.addr, 1_000);
    sink.reset(0);
    let service = Service::start(folder.path());
    std::thread::sleep(Duration::from_secs(3));
    let seconds = if options.quick { 3 } else { 15 };
    let (mut quiet, mut reloading, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds() {
        sink.reset(0);
        std::thread::sleep(Duration::from_secs(seconds));
        quiet.extend(sink.latencies());
        sink.reset(0);
        for _ in 0..seconds {
            let begun = Instant::now();
            post(service.api, "/api/v1/reload").expect("a sound set is taken");
            took.push(begun.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
        }
        reloading.extend(sink.latencies());
    }
    let [quiet, reloading] = [quiet, reloading].map(|mut latencies: Vec<f64>| {
        latencies.sort_by(f64::total_cmp);
        [0.50, 0.99].map(|part| latencies[((latencies.len() - 1) as f64 * part) as usize] * 1e3)
    });
    report.note("with 1,000 rules: page → message, p50", quiet[0], "ms");
    report.note("the same, p99", quiet[1], "ms");
    report.note("with a reload every second, p50", reloading[0], "ms");
    let most = Bound::AtMost(quiet[1] * 1.5);
    report.bound("with a reload every second, p99", reloading[1], "ms", most, None);
    report.note("a reload of 1,000 rules", median(took.into_iter()), "ms");
}

fn slow_receiver(options: &Options, report: &mut Report) {
    let entries = if options.quick { 1_000 } else { 6_400 };
    let registry = Registry::start(REPOS, entries, None);
    let mut sink = Sink::start(&registry);
    let folder = folder(&registry.words(&registry.addr), &sink.addr, 3);
    sink.reset(100);
    let _service = Service::start(folder.path());
    sink.wait_for(entries as u64);
    let stats = sink.stats();
    let rate = stats["middle"].as_f64().unwrap() / stats["middle_s"].as_f64().unwrap();
    let what = "a receiver that takes 100 ms, 64 at once: rate over 640/s";
    report.bound(what, rate / 640.0, "", Bound::AtLeast(0.9), Some(0.97));
}

/// What it costs to start and to have nothing to do.
fn idle(options: &Options, report: &mut Report) {
    let registry = Registry::start(40, 0, None);
    let mut sink = Sink::start(&registry);
    let thousand = folder(&registry.words(&registry.addr), &sink.addr, 1_000);
    let start = || Service::start(thousand.path()).start.as_secs_f64() * 1e3;
    let start = median((0..3 * options.rounds()).map(|_| start()));
    report.bound("start to healthz, 1,000 rules", start, "ms", Bound::AtMost(100.0), Some(30.0));

    let three = folder(&registry.words(&sink.relay), &sink.addr, 3);
    let service = Service::start(three.path());
    std::thread::sleep(Duration::from_secs(5));
    let idle = service.mib("VmRSS");
    report.bound("resident memory, idle", idle, "MiB", Bound::AtMost(24.0), Some(15.0));
    sink.reset(0);
    let before = service.cpu_s();
    std::thread::sleep(Duration::from_secs(10));
    let asked = sink.stats()["requests"].as_f64().unwrap() / (40.0 * 10.0);
    report.bound(
        "requests per repository and poll, nothing new",
        asked,
        "",
        Bound::AtMost(1.05),
        None,
    );
    report.note(
        "CPU when 40 repositories a second are asked",
        (service.cpu_s() - before) / 10.0,
        "cores",
    );
    assert!(get(service.api, "/metrics").is_some());
}

fn kills(options: &Options, report: &mut Report) {
    let entries = if options.quick { 2_000 } else { 40_000 };
    let registry = Registry::start(REPOS, entries, None);
    let mut sink = Sink::start(&registry);
    let folder = folder(&registry.words(&registry.addr), &sink.addr, 3);
    sink.reset(0);
    let (mut killed, mut random) = (0_usize, fastrand::Rng::with_seed(5));
    loop {
        let service = Service::start(folder.path());
        std::thread::sleep(Duration::from_millis(random.u64(20..600)));
        if killed == 100 || sink.stats()["distinct"].as_u64().unwrap() >= entries as u64 {
            sink.wait_for(entries as u64);
            std::thread::sleep(Duration::from_millis(500));
            break;
        }
        service.kill();
        killed += 1;
    }
    let stats = sink.stats();
    let count = |name: &str| stats[name].as_u64().unwrap() as f64;
    report.note(format!("kill -9 during {entries} entries: kills"), killed as f64, "");
    let lost = entries as f64 - count("distinct");
    report.bound("of these, lost", lost, "", Bound::AtMost(0.0), None);
    let repeated = (count("total") - count("distinct")) / killed.max(1) as f64;
    let most = (CONCURRENCY + SETTLE_BATCH) as f64;
    report.bound("of these, repeated per kill", repeated, "", Bound::AtMost(most), None);
}

/// A folder with a configuration that reads the registry and tells the receiver everything once.
fn folder([endpoint, id, key, repos]: &[String; 4], sink: &str, rules: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "sources:\n  shop:\n    ccr:\n      endpoint: {endpoint}\n      secret_id: {id}\n      \
         secret_key: {key}\n    repos: [{}]\n    poll_every: 1s\n    requests_per_second: 1000\n    \
         first_run: all\nreceivers:\n  ops:\n    webhook:\n      url: http://{sink}/hook\n    \
         concurrency: {CONCURRENCY}\nrules: [rules/]\n",
        repos.replace(',', ", "),
    );
    fs::write(folder.path().join("triggerbell.yaml"), config).unwrap();
    write_rules(&folder.path().join("rules"), rules);
    folder
}

/// Rules of which exactly one tells of each entry: all but the last are of the mix of design 7
/// (40 repository globs, 25 tag patterns, services), each ends the looking, and the last takes
/// everything.
fn write_rules(folder: &Path, count: usize) {
    fs::create_dir(folder).unwrap();
    let indexes: Vec<usize> = (0..count).collect();
    for (file, chunk) in indexes.chunks(500).enumerate() {
        let mut text = "defaults:\n  send_to: [ops]\nrules:\n".to_owned();
        for &index in chunk {
            let matches = match index {
                _ if index == count - 1 => "{repo: '**'}".to_owned(),
                _ if count == 3 && index == 0 => "{returnCode: {not: 0}}".to_owned(),
                _ => mixed(index),
            };
            writeln!(text, "  - {{name: rule-{index}, match: {matches}, stop: true}}").unwrap();
        }
        fs::write(folder.join(format!("{file:03}.yaml")), text).unwrap();
    }
}

fn mixed(index: usize) -> String {
    let (repo, tag, service) = (index % 40, (index / 40) % 25, (index + index / 1000) % 30);
    let digit = tag / 5;
    let tag = match tag % 5 {
        0 => format!(r"v{digit}\.\d+\.\d+"),
        1 => format!(r"\d{{8}}-{digit}[0-9a-f]+"),
        2 => format!(r".*-rc{digit}"),
        3 => format!(r"(main|develop|hotfix)-{digit}-.+"),
        _ => format!(r"\w+_{digit}\d*"),
    };
    format!("{{repo: 'team{repo}/*', tag: '{tag}', service: svc-{service}}}")
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
