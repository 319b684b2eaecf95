//! `completions` and `man`: that a shell and a reader of manual pages take them.

use std::process::Command;

use crate::support::command::command;

#[tokio::test]
async fn every_shell_has_completions_that_know_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = command(folder.path(), &["completions", shell]).await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{shell}");
        for word in ["deliveries", "retry", "--deny-warnings", "healthcheck"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(ended.out.contains(word), "{shell} lacks {word}");
        }
    }
    let ended = command(folder.path(), &["completions", "tcsh"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("bash"), "{}", ended.err);
}

#[tokio::test]
async fn bash_completes_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let ended = command(folder.path(), &["completions", "bash"]).await;
    let script = folder.path().join("triggerbell.bash");
    std::fs::write(&script, ended.out).unwrap();
    let asked = "source \"$0\"; COMP_WORDS=(triggerbell deliveries re); COMP_CWORD=2; \
                 _triggerbell triggerbell re deliveries; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", asked]).arg(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "retry", "{output:?}");
}

#[tokio::test]
async fn there_is_a_manual_page_for_the_program_and_each_command() {
    let folder = tempfile::tempdir().unwrap();
    for (words, title, said) in [
        (&["man"][..], ".TH TRIGGERBELL 1", "deliveries"),
        (&["man", "check"], ".TH TRIGGERBELL-CHECK 1", "deny\\-warnings"),
        (&["man", "deliveries", "retry"], ".TH TRIGGERBELL-DELIVERIES-RETRY 1", "\\-\\-to"),
    ] {
        let ended = command(folder.path(), words).await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{words:?}");
        assert!(ended.out.lines().any(|line| line.starts_with(title)), "{}", ended.out);
        assert!(ended.out.contains(said), "{words:?} lacks {said}: {}", ended.out);
    }
    for (words, said) in [
        (&["man", "statsu"][..], "known: run"),
        (&["man", "check", "more"], "no commands of its own"),
    ] {
        let ended = command(folder.path(), words).await;
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{words:?}");
        assert!(ended.err.contains(said), "{}", ended.err);
    }
}
