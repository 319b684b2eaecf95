//! Help, usage errors and what is common to all commands.

use crate::support::command::{command, command_with};

const COMMANDS: &[&[&str]] = &[
    &[],
    &["run"],
    &["demo"],
    &["simulate"],
    &["check"],
    &["test"],
    &["fetch"],
    &["replay"],
    &["explain"],
    &["shadow", "report"],
    &["send"],
    &["render"],
    &["status"],
    &["healthcheck"],
    &["deliveries"],
    &["deliveries", "list"],
    &["deliveries", "show"],
    &["deliveries", "retry"],
    &["completions"],
    &["man"],
];

#[tokio::test]
async fn every_command_says_what_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = String::new();
    for words in COMMANDS {
        let args = [*words, &["--help"]].concat();
        let ended =
            command_with(folder.path(), &args, &[("TRIGGERBELL_TOKEN", "hidden")], "").await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{words:?}");
        assert!(ended.out.contains("Usage: triggerbell"), "{words:?}: {}", ended.out);
        assert!(!ended.out.contains("hidden"), "no secret in help: {}", ended.out);
        whole += &format!("$ triggerbell {}\n{}\n", args.join(" "), ended.out);
    }
    insta::assert_snapshot!("help", whole);
}

#[tokio::test]
async fn the_version_is_the_packages() {
    let folder = tempfile::tempdir().unwrap();
    let ended = command(folder.path(), &["--version"]).await;
    assert_eq!(
        (ended.code, ended.out),
        (0, format!("triggerbell {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test]
async fn a_wrong_command_line_is_told_with_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (args, said) in [
        (&["statsu"][..], "'status'"),
        (&["delivery"], "'deliveries'"),
        (&["run", "--logs", "json"], "'--log'"),
        (&["run", "--log", "xml"], "text, json"),
        (&["check", "--format", "jsn"], "'json'"),
        (&["fetch", "--limit", "0"], "1..=100000"),
        (&["deliveries", "list", "--limit", "501"], "1..=500"),
        (&["deliveries", "show", "xyz", "--url", "http://127.0.0.1:9"], "32 hexadecimal digits"),
        (&["status", "--url", "nonsense"], "http://HOST:PORT"),
        (&["status", "--url", "ftp://x"], "http://HOST:PORT"),
        (&["demo", "--for", "5"], "--for"),
        (&["demo", "--rate", "fast"], "--rate"),
        (&["simulate"], "--listen"),
        (&["simulate", "--listen", "127.0.0.1:0", "--fault", "slwo=1"], "known"),
        (&["run", "--listen", "here"], "--listen"),
        (&["render"], "<TEMPLATE>"),
        (&["render", "default", "--receiver", "slak"], "slack"),
        (&["send"], "<RECEIVER>"),
        (&[], "Usage"),
        (&["replay"], "--entries"),
        (&["replay", "--since", "1h"], "--entries"),
        (&["explain", "--rule", "a", "--limit", "0"], "1..=50"),
        (&["shadow"], "report"),
        (&["replay", "--store", "--source", "shop"], "cannot be used with"),
        (&["replay", "--store", "--swap"], "--against"),
        (&["explain"], "--entry <FILE>"),
        (&["silence", "add", "service: pay"], "--for"),
        (&["silence", "add", "--for", "2h"], "<CLAUSES>"),
        (&["silence", "end", "--url", "http://127.0.0.1:9", "x"], "not an id"),
    ] {
        let ended = command(folder.path(), args).await;
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(ended.err.contains(said), "{args:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{args:?}");
    }
}

#[tokio::test]
async fn an_empty_variable_is_an_unset_one() {
    let folder = tempfile::tempdir().unwrap();
    super::config(folder.path(), "log", "http://127.0.0.1:9", "  listen: 127.0.0.1:9\n");
    let env = [
        ("TRIGGERBELL_CONFIG", ""),
        ("TRIGGERBELL_DATA", ""),
        ("TRIGGERBELL_URL", ""),
        ("TRIGGERBELL_TOKEN", ""),
        ("RUST_LOG", ""),
        ("NO_COLOR", ""),
    ];
    assert_eq!(command_with(folder.path(), &["check"], &env, "").await.code, 0);
    let ended = command_with(folder.path(), &["status"], &env, "").await;
    assert_eq!(ended.code, 69, "{ended:?}");
    assert!(ended.err.contains("127.0.0.1:9"), "{}", ended.err);
}
