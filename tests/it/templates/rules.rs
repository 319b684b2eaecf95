//! The rules that come with the program: sound, and true of every result that an update can have.

use std::{fs, path::Path};

use triggerbell::{
    adapters::templates::{Sample, sample_entry},
    config::{Request, load},
    domain::rule::{Mode, Scratch, Severity},
};

const CONFIGURATION: &str = "
sources:
  shop:
    ccr:
      endpoint: https://ccr.api.qcloud.com/v2/index.php
      region: ap-guangzhou
      secret_id: AKIDexample
      secret_key: example
    repos: [shop/api]
receivers:
  ops-wecom:
    wecom:
      key: example
rules: [rules/]
";

#[test]
fn the_shipped_rules_tell_failures_and_unknown_results_and_keep_successes_to_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("triggerbell.yaml");
    fs::write(&config, CONFIGURATION).unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    for entry in fs::read_dir(shipped).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join("rules").join(path.file_name().unwrap())).unwrap();
    }

    let request = Request { config: Some(&config), data_dir: None, env: &|_| None };
    let loaded = load(&request).expect("the shipped rules are sound");

    let rules = loaded.config.rules;
    let matched = |sample| {
        let entry = sample_entry(sample);
        let mut indexes = Vec::new();
        rules.matching(&mut Scratch::default(), &entry, entry.row.time, &mut indexes);
        let rule = |index: usize| {
            let rule = &rules.rules()[index];
            (rule.name.to_string(), rule.severity, rule.mode)
        };
        indexes.into_iter().map(rule).collect::<Vec<_>>()
    };
    let only = |name: &str, severity, mode| vec![(name.to_owned(), severity, mode)];
    assert_eq!(matched(Sample::Failure), only("deploy-failed", Severity::Error, Mode::Live));
    assert_eq!(matched(Sample::Unknown), only("result-unknown", Severity::Warning, Mode::Live));
    assert_eq!(matched(Sample::Success), only("deploy-succeeded", Severity::Info, Mode::Shadow));
}
