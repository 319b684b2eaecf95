//! Python, for the tools that others wrote: each set of them in an environment of its own, made once
//! and kept in the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A Python with what `tests/clients/NAME.txt` lists.
pub(crate) fn python(name: &str) -> PathBuf {
    let wanted = PathBuf::from(format!("tests/clients/{name}.txt"));
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    let (python, done) = (home.join("bin/python"), home.join("made-from.txt"));
    if fs::read(&done).ok() != fs::read(&wanted).ok() {
        must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        must(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(&wanted));
        fs::copy(&wanted, &done).expect("the folder was just made");
    }
    python
}

/// What a command that must succeed prints, on both of its ways out.
pub(crate) fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}
