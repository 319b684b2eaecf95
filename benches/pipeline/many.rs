//! Many repositories and a budget that is short: what it takes to hold them, and whether each gets
//! its turn.
//!
//! It takes three rounds of the budget, 25 minutes for 10,000 repositories at 20 requests a second,
//! so it is run only when it is asked for: `--only many`. Deliberately absent: rates; nothing here
//! is in a hurry.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::{
    processes::{Registry, Service, get},
    report::{Bound, Report},
};

/// Requests a second, which API 3.0 allows.
const PER_SECOND: f64 = 20.0;

/// Measures so many repositories.
pub(crate) fn many(repos: usize, report: &mut Report) {
    let round_s = repos as f64 / PER_SECOND;
    let registry = Registry::start(repos, 0, Some("1/s"));
    let folder = tempfile::tempdir().unwrap();
    let [_, id, key, _] = registry.words(&registry.addr);
    let config = format!(
        "sources:\n  shop:\n    tcr_personal:\n      endpoint: http://{}\n      region: ap-guangzhou\n      \
         secret_id: {id}\n      secret_key: {key}\n    discover: {{}}\n    poll_every: 10s\n    \
         requests_per_second: {PER_SECOND}\n    first_run: all\nreceivers:\n  nobody:\n    webhook:\n      \
         url: http://127.0.0.1:9/\nrules: [rules.yaml]\n",
        registry.addr,
    );
    fs::write(folder.path().join("triggerbell.yaml"), config).unwrap();
    let rules = "rules:\n  - {name: none, match: {tag: none}, send_to: [nobody]}\n";
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let service = Service::start(folder.path());
    std::thread::sleep(Duration::from_secs_f64(round_s * 3.0 + 30.0));
    let status: Value = serde_json::from_str(&get(service.api, "/api/v1/status").unwrap()).unwrap();
    let source = &status["sources"]["shop"];
    let number = |name: &str| source[name].as_f64().unwrap();
    report.note("repositories found out and read", number("repos"), "");
    let (peak, now) = (service.mib("VmHWM"), service.mib("VmRSS"));
    report.bound("of these, peak memory", peak, "MiB", Bound::AtMost(96.0), Some(48.0));
    report.note("of these, memory in the end", now, "MiB");
    // The longest pause that any of them had, as it was measured.
    let slowest = number("effective_interval_s") / round_s;
    report.bound("slowest repository's interval, in rounds", slowest, "", Bound::AtMost(2.0), None);
    report.note("entries taken in", number("entries"), "");
    let asked = number("requests") / service.ready.elapsed().as_secs_f64();
    report.bound("requests a second of 20", asked, "", Bound::AtMost(PER_SECOND * 1.02), None);
    let ready = get(service.api, "/readyz").is_some();
    report.bound("ready", f64::from(u8::from(ready)), "", Bound::AtLeast(1.0), None);
}
